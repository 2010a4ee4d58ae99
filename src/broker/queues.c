/* Queues: declare, delete, purge.
 *
 * A queue is made at its home (placement.c) and becomes visible when the
 * registry enters it into the directory; two loops that declare one name at the same time meet there, and the
 * loser starts again. It ends the other way round: first at home, then in the directory. In between other
 * loops may still find its entry, but the home's handle is dead and its messages are dropped, as if they had
 * come just before the deletion. */
#include "base/mem.h"
#include "broker/broker_priv.h"
#include "broker/names.h"

struct lv_home_queue *lv_home_find(struct lv_shard *shard, lv_handle queue)
{
    return lv_handles_get(&shard->queues, queue);
}

static void entry_free(void *ptr)
{
    lv_mem_free(ptr, LV_TAG_QUEUE);
}

/* ---- registry ---- */

/* Takes the entry of a queue that has ended at home; `call` waits for it, or is NULL. */
static void registry_remove(struct lv_shard *registry, struct lv_vhost *vhost,
                            struct lv_queue_entry *entry, struct lv_call *call)
{
    lv_router_remove_queue(&vhost->router, &entry->dest);
    vhost->router.reclaim->retire(entry, entry_free);
    if (call != NULL)
        lv_call_finish(registry, call);
}

void lv_broker_mail_remove(struct lv_shard *registry, const struct lv_mail *m)
{
    registry_remove(registry, (struct lv_vhost *)m->w[1], (struct lv_queue_entry *)m->w[0],
                    (struct lv_call *)m->w[2]);
}

/* ---- the end of a queue, at home ---- */

static void home_forget(struct lv_shard *shard, struct lv_home_queue *hq)
{
    lv_handles_remove(&shard->queues, hq->self);
    atomic_fetch_sub_explicit(&shard->queue_count, 1, memory_order_relaxed);
    lv_queue_free(hq->queue);
    lv_mem_free(hq, LV_TAG_QUEUE);
}

void lv_home_delete(struct lv_shard *shard, struct lv_home_queue *hq, struct lv_call *call)
{
    struct lv_queue_entry *entry = hq->entry;
    struct lv_vhost *vhost = hq->vhost;

    if (call != NULL && shard->index != LV_REGISTRY_LOOP && !lv_call_leave(call)) {
        lv_call_fail(call, 541, "out of memory");
        lv_call_finish(shard, call);
        return;
    }
    home_forget(shard, hq);
    if (shard->index == LV_REGISTRY_LOOP) {
        registry_remove(shard, vhost, entry, call);
        return;
    }
    struct lv_mail m = {
        .op = LV_MAIL_REMOVE,
        .w = { (uintptr_t)entry, (uintptr_t)vhost, (uintptr_t)call },
    };
    lv_loop_post(shard->loop, LV_REGISTRY_LOOP, &m);
}

static void delete_at_home(struct lv_shard *shard, struct lv_call *call)
{
    struct lv_home_queue *hq = lv_home_find(shard, call->queue);
    struct lv_queue_counts counts;
    char rs[LV_RS_MAX];

    if (hq == NULL) { /* someone was faster: deleting what is not there is fine */
        lv_call_finish(shard, call);
        return;
    }
    lv_queue_counts(hq->queue, &counts);
    lv_rs(rs, sizeof(rs), "queue", call->name, call->vhost);
    if (call->if_unused && counts.consumers != 0)
        lv_call_fail(call, 406, "%s in use", rs);
    else if (call->if_empty && counts.ready != 0)
        lv_call_fail(call, 406, "%s not empty", rs);
    if (call->failure.code != 0) {
        lv_call_finish(shard, call);
        return;
    }
    call->messages = counts.ready;
    lv_home_delete(shard, hq, call);
}

void lv_queue_delete(struct lv_call *call)
{
    struct lv_shard *shard = call->session->shard;
    struct lv_queue_entry *entry = lv_call_find_queue(call);

    if (entry == NULL) {
        if (call->failure.code == 404) /* idempotent since RabbitMQ 3.2 */
            call->failure.code = 0;
        lv_call_finish(shard, call);
        return;
    }
    call->queue = entry->home;
    lv_call_go(shard, call, lv_handle_loop(call->queue), delete_at_home);
}

/* ---- declare ---- */

static struct lv_queue_entry *entry_new(const struct lv_call *call)
{
    size_t bytes = call->name.len + call->arguments.len;
    struct lv_queue_entry *entry = lv_mem_zalloc(sizeof(*entry) + bytes, LV_TAG_QUEUE);

    if (entry == NULL)
        return NULL;
    memcpy(entry->data, call->name.ptr, call->name.len);
    if (call->arguments.len != 0)
        memcpy(entry->data + call->name.len, call->arguments.ptr, call->arguments.len);
    entry->dest.name.key = lv_bytes(entry->data, call->name.len);
    entry->arguments = lv_bytes(entry->data + call->name.len, call->arguments.len);
    entry->owner = call->exclusive ? call->owner : 0;
    entry->durable =
        call->durable && !call->exclusive; /* RabbitMQ: exclusive queues are never durable */
    entry->auto_delete = call->auto_delete;
    return entry;
}

/* Makes the queue on this loop, with an entry that nobody sees yet. */
static struct lv_home_queue *home_new(struct lv_shard *shard, const struct lv_call *call)
{
    struct lv_home_queue *hq = lv_mem_zalloc(sizeof(*hq), LV_TAG_QUEUE);

    if (hq == NULL)
        return NULL;
    hq->shard = shard;
    hq->vhost = call->vhost;
    hq->auto_delete = call->auto_delete;
    hq->entry = entry_new(call);
    if (hq->entry == NULL)
        goto err_free;
    if (lv_queue_new(&lv_home_sink, &hq->queue) != LV_OK)
        goto err_entry;
    if (lv_handles_add(&shard->queues, hq, &hq->self) != LV_OK)
        goto err_queue;
    hq->entry->home = hq->self;
    atomic_fetch_add_explicit(&shard->queue_count, 1, memory_order_relaxed);
    return hq;
err_queue:
    lv_queue_free(hq->queue);
err_entry:
    entry_free(hq->entry);
err_free:
    lv_mem_free(hq, LV_TAG_QUEUE);
    return NULL;
}

static bool reserve_exclusive(struct lv_session *s)
{
    if (s->exclusive_count < s->exclusive_cap)
        return true;
    uint32_t cap = s->exclusive_cap != 0 ? s->exclusive_cap * 2 : 4;
    lv_handle *list = lv_mem_realloc(s->exclusive, cap * sizeof(*list), LV_TAG_CONN);
    if (list == NULL)
        return false;
    s->exclusive = list;
    s->exclusive_cap = cap;
    return true;
}

static void declare(struct lv_shard *shard, struct lv_call *call);

/* The queue is in the directory. */
static void declare_entered(struct lv_shard *shard, struct lv_call *call)
{
    struct lv_session *s = call->session;

    if (call->exclusive)
        s->exclusive[s->exclusive_count++] = call->queue;
    lv_call_finish(shard, call);
}

/* It is not: it never was. Either something failed, or another declare was first. */
static void declare_lost(struct lv_shard *home, struct lv_call *call)
{
    struct lv_home_queue *hq = lv_home_find(home, call->queue);

    entry_free(hq->entry);
    home_forget(home, hq);
    lv_call_go(home, call, call->origin, call->failure.code != 0 ? lv_call_finish : declare);
}

static void declare_at_registry(struct lv_shard *registry, struct lv_call *call)
{
    enum lv_err err = lv_router_add_queue(&call->vhost->router, &call->entry->dest);

    if (err == LV_OK) {
        lv_call_go(registry, call, call->origin, declare_entered);
        return;
    }
    if (err != LV_EEXISTS)
        lv_call_fail(call, 541, "%s", lv_err_text(err));
    lv_call_go(registry, call, lv_handle_loop(call->queue), declare_lost);
}

static void declare_again(struct lv_shard *registry, struct lv_call *call)
{
    lv_call_go(registry, call, call->origin, declare);
}

/* An existing queue: its numbers are at home. */
static void declare_count(struct lv_shard *shard, struct lv_call *call)
{
    struct lv_home_queue *hq = lv_home_find(shard, call->queue);
    struct lv_queue_counts counts;

    if (hq == NULL) { /* deleted meanwhile; the registry hears of that before it sees this call */
        lv_call_go(shard, call, LV_REGISTRY_LOOP, declare_again);
        return;
    }
    lv_queue_counts(hq->queue, &counts);
    call->messages = counts.ready;
    call->consumers = counts.consumers;
    lv_call_finish(shard, call);
}

/* amq.gen- and 22 characters of base64url of 16 random bytes, as RabbitMQ makes them. */
static void make_name(struct lv_call *call)
{
    memcpy(call->name_buf, "amq.gen-", 8);
    lv_random_name(call->name_buf + 8);
    call->name = lv_bytes(call->name_buf, 8 + LV_RANDOM_NAME_LEN);
}

static void declare_at_home(struct lv_shard *home, struct lv_call *call)
{
    struct lv_home_queue *hq = home_new(home, call);

    if (hq == NULL) {
        lv_call_fail(call, 541, "out of memory");
        lv_call_finish(home, call);
        return;
    }
    call->queue = hq->self;
    call->entry = hq->entry;
    lv_call_go(home, call, LV_REGISTRY_LOOP, declare_at_registry);
}

static void declare_new(struct lv_shard *shard, struct lv_call *call)
{
    lv_check_queue_arguments(call);
    if (call->exclusive && !reserve_exclusive(call->session))
        lv_call_fail(call, 541, "out of memory");
    if (call->failure.code != 0) {
        lv_call_finish(shard, call);
        return;
    }
    /* An exclusive queue stays with its connection; others are spread, or one that declares for everybody would
     * have them all. */
    unsigned home = call->exclusive ? shard->index : lv_place_queue(shard);
    lv_call_go(shard, call, home, declare_at_home);
}

static void declare(struct lv_shard *shard, struct lv_call *call)
{
    struct lv_dest *dest = lv_router_queue(&call->vhost->router, call->name);

    if (dest == NULL && !call->passive) {
        declare_new(shard, call);
        return;
    }
    struct lv_queue_entry *entry = lv_call_find_queue(call);
    if (entry != NULL && !call->passive)
        lv_check_queue_equivalence(call, entry);
    if (call->failure.code != 0) {
        lv_call_finish(shard, call);
        return;
    }
    call->queue = entry->home;
    lv_call_go(shard, call, lv_handle_loop(call->queue), declare_count);
}

void lv_queue_declare(struct lv_call *call)
{
    struct lv_shard *shard = call->session->shard;

    if (!call->passive && lv_bytes_has_prefix(call->name, LV_BYTES_LIT("amq."))) {
        lv_call_fail(call, 403, "queue name '%.*s' contains reserved prefix 'amq.*'",
                     LV_BYTES_FMT(call->name));
        lv_call_finish(shard, call);
        return;
    }
    if (call->name.len == 0 && !call->passive)
        make_name(call);
    declare(shard, call);
}

/* ---- purge ---- */

static void purge_at_home(struct lv_shard *shard, struct lv_call *call)
{
    struct lv_home_queue *hq = lv_home_find(shard, call->queue);

    if (hq != NULL)
        call->messages = lv_queue_purge(hq->queue);
    lv_call_finish(shard, call);
}

void lv_queue_purge_call(struct lv_call *call)
{
    struct lv_shard *shard = call->session->shard;
    struct lv_queue_entry *entry = lv_call_find_queue(call);

    if (entry == NULL) {
        lv_call_finish(shard, call);
        return;
    }
    call->queue = entry->home;
    lv_call_go(shard, call, lv_handle_loop(call->queue), purge_at_home);
}
