/* Consumers: subscribe, feed, settle.
 *
 * A consumer has two halves. The session has a struct lv_sub, the queue's home has a struct lv_feed with the
 * engine's consumer in it. When both are on one loop the halves know each other and a delivery is a function
 * call. Otherwise they write mail, and name each other by handles: whichever half is gone, the mail that finds
 * nobody is put right (a delivery goes back to its queue unseen, a settlement is for nothing). */
#include "base/mem.h"
#include "broker/broker_priv.h"

/* ---- home's side ---- */

static enum lv_sink_answer feed_deliver(struct lv_consumer *c, const struct lv_delivery *d)
{
    struct lv_feed *feed = (struct lv_feed *)c;

    if (LV_LIKELY(feed->local != NULL))
        return feed->local->session->ops->deliver(feed->local, d);

    struct lv_home_queue *hq = c->owner;
    struct lv_msg *kept = lv_msg_keep(d->msg);
    if (kept ==
        NULL) /* only a no_ack delivery can come unkept: lost, like on a full socket that breaks */
        return LV_SINK_STOP;
    lv_msg_share(kept);
    struct lv_mail m = {
        .op = LV_MAIL_DELIVER,
        .a = d->slot,
        .w = { feed->remote, (uintptr_t)kept, hq->self, (uint64_t)d->failures << 1 | d->redelivered },
    };
    lv_loop_post(hq->shard->loop, lv_handle_loop(feed->remote), &m);
    return LV_SINK_MORE;
}

static void feed_free(struct lv_shard *shard, struct lv_feed *feed)
{
    lv_handles_remove(&shard->feeds, feed->self);
    lv_mem_free(feed, LV_TAG_QUEUE);
}

static void sub_detach(struct lv_sub *sub)
{
    struct lv_session *s = sub->session;

    lv_handles_remove(&s->shard->subs, sub->self);
    sub->self = sub->feed = 0;
    sub->local = NULL;
    s->sub_count--;
}

static void feed_cancelled(struct lv_consumer *c)
{
    struct lv_feed *feed = (struct lv_feed *)c;
    struct lv_shard *shard = ((struct lv_home_queue *)c->owner)->shard;
    struct lv_sub *sub = feed->local;

    if (sub != NULL) {
        sub_detach(sub);
        sub->session->ops->cancelled(sub);
    } else {
        struct lv_mail m = { .op = LV_MAIL_CANCELLED, .w = { feed->remote } };
        lv_loop_post(shard->loop, lv_handle_loop(feed->remote), &m);
    }
    feed_free(shard, feed);
}

const struct lv_queue_sink lv_home_sink = {
    .deliver = feed_deliver,
    .cancelled = feed_cancelled,
    .available = lv_home_available,
    .noted = lv_count_note,
    .died = lv_home_died,
    .wake = lv_home_wake,
};

/* The consumer has left; an auto-delete queue goes with its last one. */
void lv_feed_end(struct lv_shard *shard, struct lv_feed *feed)
{
    struct lv_home_queue *hq = feed->consumer.owner;
    struct lv_queue_counts counts;

    lv_queue_unsubscribe(&feed->consumer);
    feed_free(shard, feed);
    lv_home_used(hq);
    if (hq->entry->auto_delete) {
        lv_queue_counts(hq->queue, &counts);
        if (counts.consumers == 0) {
            lv_home_delete(shard, hq, NULL);
            return;
        }
    }
    if (hq->is_single)
        lv_home_hand_over(hq);
}

static void settle_at_home(struct lv_shard *shard, lv_handle queue, struct lv_feed *feed,
                           uint32_t credit, const uint32_t *slots, size_t n, enum lv_outcome outcome)
{
    struct lv_home_queue *hq = lv_home_find(shard, queue);

    if (hq == NULL)
        return;
    if (feed != NULL && credit != 0)
        lv_consumer_credit(&feed->consumer, credit);
    lv_queue_settle(hq->queue, slots, n, outcome, lv_shard_wall(shard));
}

static void feed_run(struct lv_shard *shard, struct lv_feed *feed)
{
    struct lv_home_queue *hq = feed->consumer.owner;

    lv_queue_dispatch(hq->queue, lv_shard_wall(shard));
}

/* ---- subscribe ---- */

static void subscribe_back(struct lv_shard *shard, struct lv_call *call)
{
    struct lv_sub *sub = call->sub;

    if (call->failure.code != 0) {
        lv_handles_remove(&shard->subs, sub->self);
        sub->self = 0;
    } else {
        sub->session->sub_count++;
    }
    lv_call_finish(shard, call);
}

static void subscribe_at_home(struct lv_shard *shard, struct lv_call *call)
{
    struct lv_home_queue *hq = lv_home_find(shard, call->queue);
    struct lv_sub *sub = call->sub;
    struct lv_feed *feed = NULL;
    bool is_local = shard->index == call->origin;
    char rs[LV_RS_MAX];

    lv_rs(rs, sizeof(rs), "queue", call->name, call->vhost);
    if (hq == NULL) {
        lv_call_fail(call, 404, "no %s", rs);
        goto back;
    }
    feed = lv_mem_zalloc(sizeof(*feed), LV_TAG_QUEUE);
    if (feed == NULL || lv_handles_add(&shard->feeds, feed, &feed->self) != LV_OK) {
        lv_mem_free(feed, LV_TAG_QUEUE);
        lv_call_fail(call, 541, "out of memory");
        goto back;
    }
    feed->consumer.owner = hq;
    feed->consumer.no_ack = call->no_ack;
    feed->consumer.exclusive = call->exclusive;
    feed->consumer.priority = call->priority;
    feed->consumer.credit = call->credit != 0 && !call->no_ack ? call->credit
                            : is_local                         ? LV_CREDIT_UNLIMITED
                                                               : LV_REMOTE_WINDOW;
    feed->local = is_local ? sub : NULL;
    feed->remote = sub->self;
    enum lv_err err = lv_queue_subscribe(hq->queue, &feed->consumer);
    if (err != LV_OK) {
        feed_free(shard, feed);
        if (err == LV_EREFUSED)
            lv_call_fail(call, 403, "%s in exclusive use", rs);
        else
            lv_call_fail(call, 541, "%s", lv_err_text(err));
        goto back;
    }
    /* Nothing until the session has told its client: lv_sub_start. */
    lv_consumer_pause(&feed->consumer);
    sub->feed = feed->self; /* the session waits: nobody else touches it */
    sub->local = is_local ? feed : NULL;
back:
    lv_call_go(shard, call, call->origin, subscribe_back);
}

void lv_subscribe(struct lv_call *call)
{
    struct lv_session *s = call->session;
    struct lv_sub *sub = call->sub;
    struct lv_queue_entry *entry = lv_call_find_queue(call);

    if (entry != NULL) {
        call->queue = lv_home_of(s->shard, call->vhost, entry);
        if (call->queue == LV_HOME_NONE_YET ||
            lv_handles_add(&s->shard->subs, sub, &sub->self) != LV_OK)
            lv_call_fail(call, 541, "out of memory");
    }
    if (call->failure.code != 0) {
        lv_call_finish(s->shard, call);
        return;
    }
    sub->session = s;
    sub->queue = call->queue;
    sub->limit = call->no_ack ? 0 : call->credit;
    sub->no_ack = call->no_ack;
    lv_call_go(s->shard, call, lv_handle_loop(call->queue), subscribe_at_home);
}

/* ---- the session's side ---- */

static void post_to_feed(struct lv_sub *sub, enum lv_broker_mail op)
{
    struct lv_mail m = { .op = op, .w = { sub->feed } };

    lv_loop_post(sub->session->shard->loop, lv_handle_loop(sub->feed), &m);
}

void lv_sub_start(struct lv_sub *sub)
{
    lv_sub_resume(sub);
}

void lv_sub_pause(struct lv_sub *sub)
{
    if (sub->local != NULL)
        lv_consumer_pause(&sub->local->consumer);
    else if (sub->feed != 0)
        post_to_feed(sub, LV_MAIL_PAUSE);
}

void lv_sub_resume(struct lv_sub *sub)
{
    if (sub->local != NULL) {
        lv_consumer_resume(&sub->local->consumer);
        feed_run(sub->session->shard, sub->local);
    } else if (sub->feed != 0) {
        post_to_feed(sub, LV_MAIL_RESUME);
    }
}

void lv_sub_end(struct lv_sub *sub)
{
    struct lv_feed *local = sub->local;

    if (sub->feed == 0)
        return;
    if (local == NULL)
        post_to_feed(sub, LV_MAIL_UNSUBSCRIBE);
    sub_detach(sub);
    if (local != NULL)
        lv_feed_end(sub->session->shard, local);
}

enum lv_activity lv_sub_activity(const struct lv_sub *sub, struct lv_bytes queue)
{
    const struct lv_dest *dest = lv_router_queue(&sub->session->vhost->router, queue);
    const struct lv_queue_stats *stats =
        dest != NULL ? atomic_load_explicit(&((const struct lv_queue_entry *)dest)->stats,
                                            memory_order_acquire)
                     : NULL;
    uint64_t active = stats != NULL ? atomic_load_explicit(&stats->active, memory_order_relaxed) : 0;

    return active == 0           ? LV_ACTIVITY_UP
           : active == sub->self ? LV_ACTIVITY_SINGLE_ACTIVE
                                 : LV_ACTIVITY_WAITING;
}

static void unsubscribe_back(struct lv_shard *shard, struct lv_call *call)
{
    if (call->sub->self != 0) /* not cancelled by the queue meanwhile */
        sub_detach(call->sub);
    lv_call_finish(shard, call);
}

static void unsubscribe_at_home(struct lv_shard *shard, struct lv_call *call)
{
    struct lv_feed *feed = lv_handles_get(&shard->feeds, call->queue);

    if (feed != NULL)
        lv_feed_end(shard, feed);
    lv_call_go(shard, call, call->origin, unsubscribe_back);
}

void lv_unsubscribe(struct lv_call *call)
{
    struct lv_shard *shard = call->session->shard;

    if (call->sub->feed == 0) {
        lv_call_finish(shard, call);
        return;
    }
    call->queue = call->sub->feed;
    lv_call_go(shard, call, lv_handle_loop(call->queue), unsubscribe_at_home);
}

void lv_sub_settle(struct lv_sub *sub, const uint32_t *slots, size_t n, enum lv_outcome outcome)
{
    struct lv_shard *shard = sub->session->shard;
    bool has_limit = sub->limit != 0;

    if (lv_handle_loop(sub->queue) == shard->index) {
        settle_at_home(shard, sub->queue, sub->local, has_limit ? (uint32_t)n : 0, slots, n,
                       outcome);
        return;
    }
    while (n > 0) {
        uint32_t part = (uint32_t)LV_MIN(n, LV_SETTLE_MAIL_SLOTS);
        struct lv_mail m = {
            .op = LV_MAIL_SETTLE,
            .a = has_limit ? part : 0,
            .w = { sub->queue, sub->feed, (uint64_t)outcome | (uint64_t)part << 32 },
        };
        memcpy(&m.w[3], slots, part * sizeof(*slots));
        lv_loop_post(shard->loop, lv_handle_loop(sub->queue), &m);
        slots += part;
        n -= part;
    }
}

/* ---- get ---- */

static void get_at_home(struct lv_shard *shard, struct lv_call *call)
{
    struct lv_home_queue *hq = lv_home_find(shard, call->queue);
    struct lv_queue_counts counts;
    struct lv_delivery d;
    char rs[LV_RS_MAX];

    if (hq == NULL) {
        lv_call_fail(call, 404, "no %s", lv_rs(rs, sizeof(rs), "queue", call->name, call->vhost));
        lv_call_finish(shard, call);
        return;
    }
    if (hq->is_single && hq->entry->kind == LV_QUEUE_QUORUM) {
        lv_call_fail(call, 405,
                     "cannot obtain access to locked %s. basic.get operations are not supported by "
                     "quorum queues with single active consumer",
                     lv_rs(rs, sizeof(rs), "queue", call->name, call->vhost));
        lv_call_finish(shard, call);
        return;
    }
    lv_home_used(hq);
    enum lv_err err = lv_queue_get(hq->queue, call->no_ack, lv_shard_wall(shard), &d);
    if (err == LV_EAGAIN && lv_call_leave(call)) { /* its message is still on the way from the disk */
        call->next = NULL;
        struct lv_call **last = &hq->gets;
        while (*last != NULL)
            last = &(*last)->next;
        *last = call;
        return;
    }
    if (err == LV_ENOTFOUND)
        call->is_empty = true;
    else if (err != LV_OK)
        lv_call_fail(call, 541, "%s", lv_err_text(err));
    if (err != LV_OK) {
        lv_call_finish(shard, call);
        return;
    }
    call->msg = call->no_ack ? d.msg : lv_msg_keep(d.msg); /* kept already: cannot fail */
    call->slot = call->no_ack ? LV_SLOT_NONE : d.slot;
    call->redelivered = d.redelivered;
    call->failures = d.failures;
    if (shard->index != call->origin)
        lv_msg_share(call->msg);
    lv_queue_counts(hq->queue, &counts);
    call->messages = counts.ready;
    lv_call_finish(shard, call);
}

void lv_home_available(struct lv_journal *j, uint64_t queue)
{
    struct lv_shard *shard = j->ctx;
    struct lv_home_queue *hq = lv_home_find(shard, queue);
    struct lv_call *call = hq->gets, *next;

    hq->gets = NULL;
    for (; call != NULL; call = next) {
        next = call->next;
        get_at_home(shard, call);
    }
}

void lv_get(struct lv_call *call)
{
    struct lv_shard *shard = call->session->shard;
    struct lv_queue_entry *entry = lv_call_find_queue(call);

    if (entry == NULL) {
        lv_call_finish(shard, call);
        return;
    }
    call->queue = lv_home_of(shard, call->vhost, entry);
    lv_call_go(shard, call, lv_handle_loop(call->queue), get_at_home);
}

/* ---- mail ---- */

/* A delivery from another loop. */
static void deliver_arrived(struct lv_shard *shard, const struct lv_mail *m)
{
    struct lv_sub *sub = lv_handles_get(&shard->subs, m->w[0]);
    struct lv_delivery d = {
        .msg = (struct lv_msg *)m->w[1],
        .slot = m->a,
        .failures = (uint32_t)(m->w[3] >> 1),
        .redelivered = (m->w[3] & 1) != 0,
    };

    if (sub == NULL) {
        if (d.slot != LV_SLOT_NONE) {
            struct lv_mail back = {
                .op = LV_MAIL_SETTLE,
                .w = { m->w[2], 0, (uint64_t)LV_UNSEEN | (uint64_t)1 << 32, d.slot },
            };
            lv_loop_post(shard->loop, lv_handle_loop(m->w[2]), &back);
        }
        lv_msg_unref(d.msg);
        return;
    }
    enum lv_sink_answer answer = sub->session->ops->deliver(sub, &d);
    lv_msg_unref(d.msg);
    if (answer == LV_SINK_STOP)
        post_to_feed(sub, LV_MAIL_PAUSE);
    if (sub->limit == 0 && ++sub->unreported == LV_REMOTE_WINDOW / 2) {
        struct lv_mail credit = { .op = LV_MAIL_CREDIT, .a = sub->unreported, .w = { sub->feed } };
        lv_loop_post(shard->loop, lv_handle_loop(sub->feed), &credit);
        sub->unreported = 0;
    }
}

static void settle_arrived(struct lv_shard *shard, const struct lv_mail *m)
{
    uint32_t slots[LV_SETTLE_MAIL_SLOTS];
    uint32_t n = (uint32_t)(m->w[2] >> 32);

    memcpy(slots, &m->w[3], n * sizeof(*slots));
    settle_at_home(shard, m->w[0], lv_handles_get(&shard->feeds, m->w[1]), m->a, slots, n,
                   (enum lv_outcome)(uint32_t)m->w[2]);
}

static void cancelled_arrived(struct lv_shard *shard, const struct lv_mail *m)
{
    struct lv_sub *sub = lv_handles_get(&shard->subs, m->w[0]);

    if (sub == NULL)
        return;
    sub_detach(sub);
    sub->session->ops->cancelled(sub);
}

void lv_broker_mail_consumers(struct lv_shard *shard, const struct lv_mail *m)
{
    if (m->op == LV_MAIL_DELIVER) {
        deliver_arrived(shard, m);
        return;
    }
    if (m->op == LV_MAIL_SETTLE) {
        settle_arrived(shard, m);
        return;
    }
    if (m->op == LV_MAIL_CANCELLED) {
        cancelled_arrived(shard, m);
        return;
    }
    struct lv_feed *feed = lv_handles_get(&shard->feeds, m->w[0]);
    if (feed == NULL)
        return;
    switch (m->op) {
    case LV_MAIL_CREDIT:
        lv_consumer_credit(&feed->consumer, m->a);
        feed_run(shard, feed);
        break;
    case LV_MAIL_PAUSE:
        lv_consumer_pause(&feed->consumer);
        break;
    case LV_MAIL_RESUME:
        lv_consumer_resume(&feed->consumer);
        feed_run(shard, feed);
        break;
    case LV_MAIL_UNSUBSCRIBE:
        lv_feed_end(shard, feed);
        break;
    default:
        LV_UNREACHABLE("mail for a feed");
    }
}
