/* Virtual hosts: made, found, and ended while others still work in them.
 *
 * Its record and its name go first, in one turn of the registry and with one record in the log, which takes along all that is in
 * it; the name is free at once. What is left is memory that nobody can find any more, and is taken apart without haste:
 *
 *   round   every loop sends away the sessions that are in it and ends the queues whose home it is, in slices; when all
 *           have answered, the registry takes out the queues that had no home
 *   wait    until no queue is left and the last session has gone: whoever found it before its end is counted by then,
 *           since he was counted in the turn in which he found it and every loop has answered since; meanwhile
 *           another round where a late publish has made a queue's home
 *   free    when no reader can hold it */
#include "base/hash.h"
#include "base/mem.h"
#include "broker/policies_priv.h"

#define ENDED_AT_A_TIME 256u   /* queues, in one turn of a loop */
#define LOOKED_AT_A_TIME 8192u /* likewise, also those of others */
#define LOOK_EVERY_MS 50u

struct lv_vhost *lv_vhost_find(const struct lv_broker *b, struct lv_bytes name)
{
    return (struct lv_vhost *)lv_ptrmap_get(&b->vhosts, name, lv_hash(name, 0));
}

enum lv_err lv_vhost_make(struct lv_broker *b, struct lv_bytes name)
{
    if (lv_vhost_find(b, name) != NULL)
        return LV_OK;
    struct lv_vhost *v = lv_mem_zalloc(sizeof(*v) + name.len + 1, LV_TAG_BROKER);
    if (v == NULL)
        return LV_ENOMEM;
    memcpy(v->text, name.ptr, name.len);
    v->name.key = lv_bytes(v->text, name.len);
    v->name.hash = lv_hash(v->name.key, 0);
    v->broker = b;
    lv_list_init(&v->ending);
    enum lv_err err = lv_router_init(&v->router, &lv_loop_reclaim);
    v->router.exchange_gone = lv_meta_exchange_gone;
    if (err == LV_OK)
        err = lv_ptrmap_add(&b->vhosts, &v->name);
    if (err != LV_OK)
        lv_mem_free(v, LV_TAG_BROKER);
    return err;
}

void lv_vhost_free(struct lv_vhost *v)
{
    struct lv_ptrmap_entry *e;
    size_t pos = 0;

    while ((e = lv_ptrmap_next(&v->router.queues, &pos)) != NULL) {
        lv_router_remove_queue(&v->router, (struct lv_dest *)e);
        lv_queue_entry_free(e);
    }
    lv_router_fini(&v->router);
    lv_parameters_free(atomic_load_explicit(&v->parameters, memory_order_relaxed));
    lv_mem_free(v, LV_TAG_BROKER);
}

void lv_vhost_forget(struct lv_broker *b, struct lv_bytes name)
{
    struct lv_vhost *v = lv_vhost_find(b, name);

    if (v == NULL)
        return;
    lv_ptrmap_remove(&b->vhosts, &v->name);
    v->is_dead = true;
    lv_vhost_free(v);
}

bool lv_vhost_enter(struct lv_session *s, struct lv_bytes name)
{
    s->vhost = lv_vhost_find(s->broker, name);
    if (s->vhost == NULL)
        return false;
    atomic_fetch_add(&s->vhost->sessions, 1);
    s->topology_version = &s->vhost->router.version;
    s->access_version = lv_access_version_word(s->broker->access);
    return true;
}

void lv_vhost_leave(struct lv_session *s)
{
    if (s->vhost != NULL)
        atomic_fetch_sub(&s->vhost->sessions, 1);
}

/* ---- the end ---- */

static void post(struct lv_shard *here, unsigned to, enum lv_broker_mail op, struct lv_vhost *v,
                 uint64_t pos)
{
    struct lv_mail m = { .op = op, .w = { (uintptr_t)v, pos } };

    lv_loop_post(here->loop, to, &m);
}

static void start_round(struct lv_shard *registry, struct lv_vhost *v)
{
    v->answers = 0;
    for (unsigned i = 0; i < lv_loops_count(registry->broker->loops); i++)
        post(registry, i, LV_MAIL_VHOST_END, v, 0);
}

void lv_vhost_end(struct lv_broker *b, struct lv_vhost *v)
{
    lv_ptrmap_remove(&b->vhosts, &v->name);
    v->is_dead = true;
    lv_list_push(&b->ending, &v->ending);
    start_round(&b->shards[LV_REGISTRY_LOOP], v);
}

static void send_away(struct lv_shard *shard, const struct lv_vhost *v)
{
    struct lv_session *s;
    uint32_t pos = 0;

    while ((s = lv_handles_next(&shard->sessions, &pos)) != NULL)
        if (s->vhost == v)
            lv_session_recheck(s);
}

/* A slice of the queues that live here. */
static void end_queues(struct lv_shard *shard, struct lv_vhost *v, uint32_t pos)
{
    struct lv_home_queue *hq = NULL;
    unsigned ended = 0, looked = 0;

    if (pos == 0)
        send_away(shard, v);
    while (ended < ENDED_AT_A_TIME && looked++ < LOOKED_AT_A_TIME &&
           (hq = lv_handles_next(&shard->queues, &pos)) != NULL) {
        if (hq->vhost != v)
            continue;
        ended++;
        lv_home_delete(shard, hq, NULL);
    }
    if (hq != NULL)
        post(shard, shard->index, LV_MAIL_VHOST_END, v, pos);
    else
        post(shard, LV_REGISTRY_LOOP, LV_MAIL_VHOST_ENDED, v, 0);
}

static void retired(void *ptr)
{
    lv_vhost_free(ptr);
}

static void look(struct lv_loop *loop, struct lv_timer *timer)
{
    struct lv_vhost *v = LV_CONTAINER_OF(timer, struct lv_vhost, end_timer);

    if (v->router.queues.count != 0) {
        start_round(lv_loop_data(loop), v);
    } else if (atomic_load(&v->sessions) != 0) {
        lv_timer_start(loop, timer, LOOK_EVERY_MS, look);
    } else {
        lv_list_remove(&v->ending);
        lv_loop_reclaim.retire(v, retired);
    }
}

/* A slice of the queues that nobody ever needed. */
static void end_unused(struct lv_shard *registry, struct lv_vhost *v, size_t pos)
{
    struct lv_ptrmap_entry *e = NULL;

    for (unsigned n = 0; n < ENDED_AT_A_TIME; n++) {
        e = lv_ptrmap_next(&v->router.queues, &pos);
        if (e == NULL)
            break;
        lv_queue_end_unused(registry, v, (struct lv_queue_entry *)e);
    }
    if (e != NULL)
        post(registry, LV_REGISTRY_LOOP, LV_MAIL_VHOST_ENDED, v, pos);
    else
        look(registry->loop, &v->end_timer);
}

void lv_broker_mail_vhost(struct lv_shard *shard, const struct lv_mail *m)
{
    struct lv_vhost *v = (struct lv_vhost *)m->w[0];

    if (m->op == LV_MAIL_VHOST_END)
        end_queues(shard, v, (uint32_t)m->w[1]);
    else if (m->w[1] != 0 || ++v->answers == lv_loops_count(shard->broker->loops))
        end_unused(shard, v, m->w[1]);
}
