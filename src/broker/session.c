/* A session's life: entering, moving to another loop, ending. */
#include "base/mem.h"
#include "broker/broker_priv.h"
#include "config/config.h"

static void mover_run(struct lv_loop *loop, struct lv_task *task);

static void begin(struct lv_session *s, struct lv_shard *shard, const struct lv_session_ops *ops)
{
    s->ops = ops;
    s->broker = shard->broker;
    s->shard = shard;
    s->id = atomic_fetch_add(&shard->broker->next_session_id, 1) + 1;
    lv_list_init(&s->awaiting);
    lv_list_init(&s->mover.link);
    s->mover.run = mover_run;
}

enum lv_err lv_session_open_detached(struct lv_session *s, struct lv_shard *shard,
                                     const struct lv_session_ops *ops)
{
    begin(s, shard, ops);
    s->is_detached = true;
    return lv_handles_add(&shard->sessions, s, &s->self);
}

enum lv_err lv_session_open(struct lv_session *s, struct lv_shard *shard, int fd,
                            const struct lv_session_ops *ops, const struct lv_conn_ops *conn_ops)
{
    enum lv_err err = lv_handles_add(&shard->sessions, s, &s->self);

    if (err != LV_OK)
        return err;
    err = lv_conn_open(&s->conn, shard->loop, fd, conn_ops);
    if (err != LV_OK) {
        lv_handles_remove(&shard->sessions, s->self);
        return err;
    }
    begin(s, shard, ops);
    atomic_fetch_add(&shard->session_count, 1);
    return LV_OK;
}

void lv_session_pause(struct lv_session *s)
{
    if (!s->is_detached)
        lv_conn_pause(&s->conn);
}

void lv_session_resume(struct lv_session *s)
{
    if (s->is_detached)
        return;
    if (LV_UNLIKELY(s->is_recheck_due) && s->call == NULL)
        lv_session_recheck(s);
    if (s->call == NULL && s->login == NULL && !s->is_moving && !s->is_blocked && !s->is_dying)
        lv_conn_resume(&s->conn);
}

/* ---- the end ---- */

static bool owns(const struct lv_session *s, struct lv_bytes queue)
{
    const struct lv_dest *dest = lv_router_queue(&s->vhost->router, queue);

    return dest != NULL && ((const struct lv_queue_entry *)dest)->owner == s->id;
}

/* Forgets the names of queues that were deleted meanwhile. */
static void prune_exclusive(struct lv_session *s)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < s->exclusive_count; i++) {
        if (owns(s, s->exclusive[i]))
            s->exclusive[kept++] = s->exclusive[i];
        else
            lv_mem_free((void *)(uintptr_t)s->exclusive[i].ptr, LV_TAG_CONN);
    }
    s->exclusive_count = kept;
}

static bool make_room(struct lv_session *s)
{
    uint32_t cap = s->exclusive_cap != 0 ? s->exclusive_cap * 2 : 4;

    prune_exclusive(s);
    if (s->exclusive_count < s->exclusive_cap / 2)
        return true;
    struct lv_bytes *list = lv_mem_realloc(s->exclusive, cap * sizeof(*list), LV_TAG_CONN);
    if (list == NULL)
        return false;
    s->exclusive = list;
    s->exclusive_cap = cap;
    return true;
}

bool lv_session_own(struct lv_session *s, struct lv_bytes queue)
{
    if (s->exclusive_count == s->exclusive_cap && !make_room(s))
        return false;
    void *copy = lv_mem_dup(queue.ptr, queue.len, LV_TAG_CONN);
    if (copy != NULL)
        s->exclusive[s->exclusive_count++] = lv_bytes(copy, queue.len);
    return copy != NULL;
}

/* The name may be somebody else's by now: only what this session owns goes. */
static void drop_exclusive(struct lv_session *s, struct lv_bytes queue,
                           void (*done)(struct lv_session *, struct lv_call *))
{
    struct lv_call *call = lv_call_new(s, done);

    if (call != NULL) {
        call->name = queue;
        call->only_owned = true;
        lv_queue_delete(call);
    }
    lv_mem_free((void *)(uintptr_t)queue.ptr, LV_TAG_CONN);
}

bool lv_session_drop_exclusive(struct lv_session *s,
                               void (*done)(struct lv_session *, struct lv_call *))
{
    s->is_dropping = true;
    while (s->call == NULL && s->exclusive_count > 0)
        drop_exclusive(s, s->exclusive[--s->exclusive_count], done);
    s->is_dropping = false;
    return s->call == NULL;
}

void lv_session_end(struct lv_session *s)
{
    struct lv_shard *shard = s->shard;

    s->is_dying = true;
    if (s->call != NULL)
        return; /* lv_call_finish comes back here */
    lv_login_abandon(s);
    s->ops->leave(s);
    if (!lv_session_drop_exclusive(s, NULL))
        return;
    lv_list_remove(&s->mover.link);
    lv_list_remove(&s->awaiting);
    if (s->self != 0)
        lv_handles_remove(&shard->sessions, s->self);
    if (!s->is_detached)
        atomic_fetch_sub(&shard->session_count, 1);
    lv_mem_free(s->exclusive, LV_TAG_CONN);
    s->exclusive = NULL;
    if (s->vhost != NULL && !s->is_detached)
        LV_TALLY(shard, connections_closed, 1);
    lv_pass_fini(&s->pass);
    lv_vhost_leave(s);
    s->ops->gone(s);
}

void lv_sessions_shut(struct lv_shard *shard)
{
    uint32_t pos = 0;
    struct lv_session *s;

    while ((s = lv_handles_next(&shard->sessions, &pos)) != NULL)
        s->ops->shut(s, 320, "broker forced connection closure with reason 'shutdown'");
}

/* ---- deliveries that are never acknowledged ---- */

#define ACK_CHECK_MAX_MS 60000u /* RabbitMQ looks once a minute, too */
#define ACK_CHECK_MIN_MS 100u

static void check_acks(struct lv_loop *loop, struct lv_timer *t)
{
    struct lv_shard *shard = LV_CONTAINER_OF(t, struct lv_shard, ack_timer);
    uint32_t timeout = shard->broker->settings->consumer_timeout, pos = 0;
    struct lv_session *s;

    while (timeout != UINT32_MAX && (s = lv_handles_next(&shard->sessions, &pos)) != NULL)
        s->ops->check_acks(s, lv_shard_now(shard), timeout);
    lv_timer_start(loop, t, LV_MAX(LV_MIN(timeout / 4, ACK_CHECK_MAX_MS), ACK_CHECK_MIN_MS),
                   check_acks);
}

void lv_sessions_watch_acks(struct lv_shard *shard)
{
    check_acks(shard->loop, &shard->ack_timer);
}

/* ---- moving ----
 * A session follows its queue when that saves a hop for every message, and when the other loop is not the busier
 * one. It moves between two frames, with nothing of its own under way; what it has read and not consumed moves
 * with it. */

unsigned lv_session_queue_loop(const struct lv_session *s, struct lv_bytes queue)
{
    struct lv_dest *dest = lv_router_queue(&s->vhost->router, queue);

    lv_handle home = dest != NULL ? atomic_load_explicit(&((struct lv_queue_entry *)dest)->home,
                                                         memory_order_acquire)
                                  : LV_HOME_NONE_YET;

    return home != LV_HOME_NONE_YET ? lv_handle_loop(home) : s->shard->index;
}

bool lv_session_follow(struct lv_session *s, unsigned loop)
{
    if (s->is_detached || s->is_moving || s->is_dying || loop == s->shard->index ||
        s->sub_count != 0)
        return false;
    if (!lv_may_move(s->broker, s->shard->index, loop) || !s->ops->can_move(s))
        return false;
    s->is_moving = true;
    s->move_to = (uint8_t)loop;
    lv_conn_pause(&s->conn);
    lv_loop_defer(s->shard->loop, &s->mover);
    return true;
}

static void mover_run(struct lv_loop *loop, struct lv_task *task)
{
    struct lv_session *s = LV_CONTAINER_OF(task, struct lv_session, mover);
    struct lv_shard *shard = s->shard;

    (void)loop;
    if (s->away_unaccepted != 0 && !s->is_dying)
        return; /* the last acceptance calls again */
    s->is_moving = false;
    if (s->is_dying || s->conn.is_closing)
        return;
    if (s->call != NULL || s->sub_count != 0 || !s->ops->can_move(s)) {
        lv_session_resume(s);
        return;
    }
    lv_handles_remove(&shard->sessions, s->self);
    atomic_fetch_sub(&shard->session_count, 1);
    bool is_awaiting = lv_list_linked(&s->awaiting);
    lv_list_remove(&s->awaiting);
    lv_count_publishers(shard);
    lv_conn_detach(&s->conn);
    struct lv_mail m = { .op = LV_MAIL_MOVE, .a = is_awaiting, .w = { (uintptr_t)s } };
    lv_loop_post(shard->loop, s->move_to, &m);
}

void lv_session_adopt(struct lv_shard *shard, struct lv_session *s, bool is_awaiting)
{
    s->shard = shard;
    atomic_fetch_add(&shard->session_count, 1);
    if (lv_conn_attach(&s->conn, shard->loop) != LV_OK) { /* it has closed the socket */
        s->self = 0;
        lv_session_end(s);
        return;
    }
    if (lv_handles_add(&shard->sessions, s, &s->self) != LV_OK) {
        s->self = 0;
        lv_conn_close(&s->conn, 0);
        return;
    }
    s->ops->moved(s);
    lv_session_recheck(s); /* a change may have missed it on the way */
    if (is_awaiting)       /* maybe it is stable by now */
        s->ops->stable(s);
    if (s->is_blocked && shard->alarms == 0) { /* the alarm ended while it was on its way */
        s->is_blocked = false;
        s->ops->unblocked(s);
    }
    lv_session_resume(s);
}
