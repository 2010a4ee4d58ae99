/* Queues: declare, delete, purge, and where they live.
 *
 * The directory's entry is the queue's name and properties; the registry enters and removes it. The queue itself is
 * made when somebody first needs one, a consumer or a publisher, on that loop: home is where it is used. Whoever
 * puts his handle into entry->home first has made it; a deletion puts LV_HOME_NONE_EVER there, so that nobody does
 * any more. A queue ends first at home, then in the directory; in between other loops may still find its entry, but
 * the handle is dead and its messages are dropped, as if they had come just before the deletion. */
#include "base/mem.h"
#include "base/table.h"
#include "broker/broker_priv.h"
#include "broker/names.h"
#include "config/config.h"

struct lv_home_queue *lv_home_find(struct lv_shard *shard, lv_handle queue)
{
    return lv_handles_get(&shard->queues, queue);
}

void lv_queue_entry_free(void *ptr)
{
    struct lv_queue_entry *entry = ptr;

    if (entry != NULL)
        lv_mem_free(atomic_load_explicit(&entry->stats, memory_order_relaxed), LV_TAG_QUEUE);
    lv_mem_free(entry, LV_TAG_QUEUE);
}

static void home_forget(struct lv_shard *shard, struct lv_home_queue *hq)
{
    struct lv_call *get;

    while ((get = hq->gets) != NULL) { /* nobody will answer them otherwise */
        hq->gets = get->next;
        lv_call_fail(get, 404, "no queue '%.*s' in vhost '%s'", LV_BYTES_FMT(get->name),
                     hq->vhost->text);
        lv_call_finish(shard, get);
    }
    lv_handles_remove(&shard->queues, hq->self);
    lv_count_last(hq);
    lv_home_rules_fini(hq);
    lv_queue_free(hq->queue);
    if (atomic_load_explicit(&hq->entry->stats, memory_order_relaxed) != hq->stats)
        lv_mem_free(hq->stats, LV_TAG_QUEUE); /* it never was the entry's queue */
    lv_mem_free(hq, LV_TAG_QUEUE);
}

static struct lv_home_queue *home_new(struct lv_shard *shard, struct lv_vhost *vhost,
                                      struct lv_queue_entry *entry)
{
    struct lv_home_queue *hq = lv_mem_zalloc(sizeof(*hq), LV_TAG_QUEUE);

    if (hq == NULL)
        return NULL;
    hq->shard = shard;
    hq->vhost = vhost;
    hq->entry = entry;
    hq->stats = lv_mem_zalloc(sizeof(*hq->stats), LV_TAG_QUEUE);
    if (hq->stats == NULL || lv_queue_new(&lv_home_sink, &hq->queue) != LV_OK)
        goto err_free;
    if (lv_handles_add(&shard->queues, hq, &hq->self) != LV_OK)
        goto err_queue;
    lv_queue_own(hq->queue, hq);
    lv_durable_attach(hq);
    lv_list_init(&hq->noted);
    lv_count_note(hq);
    lv_home_shape(hq);
    if (shard->is_started) /* else lv_rules_start does it, when all policies are known */
        lv_home_rule(hq);
    return hq;
err_queue:
    lv_queue_free(hq->queue);
err_free:
    lv_mem_free(hq->stats, LV_TAG_QUEUE);
    lv_mem_free(hq, LV_TAG_QUEUE);
    return NULL;
}

struct lv_home_queue *lv_home_make(struct lv_shard *shard, struct lv_vhost *vhost,
                                   struct lv_queue_entry *entry)
{
    struct lv_home_queue *hq = home_new(shard, vhost, entry);
    lv_handle none = LV_HOME_NONE_YET;

    if (hq == NULL)
        return NULL;
    if (atomic_compare_exchange_strong(&entry->home, &none, hq->self)) {
        atomic_store_explicit(&entry->stats, hq->stats, memory_order_release);
        return hq;
    }
    home_forget(shard, hq); /* another loop, or a deletion, was first */
    return NULL;
}

lv_handle lv_home_of(struct lv_shard *shard, struct lv_vhost *vhost, struct lv_queue_entry *entry)
{
    lv_handle home = atomic_load_explicit(&entry->home, memory_order_acquire);

    if (LV_LIKELY(home != LV_HOME_NONE_YET))
        return home;
    struct lv_home_queue *hq = lv_home_make(shard, vhost, entry);
    return hq != NULL ? hq->self : atomic_load_explicit(&entry->home, memory_order_acquire);
}

/* ---- registry ---- */

/* The answer waits until the change of the topology is stable. */
static void finish_changed(struct lv_shard *registry, struct lv_call *call)
{
    call->end = registry->broker->topology_end;
    call->is_topology = true;
    lv_call_finish_stable(registry, call);
}

/* Takes the entry of a queue that has ended at home; `call` waits for it, or is NULL. */
static void registry_remove(struct lv_shard *registry, struct lv_vhost *vhost,
                            struct lv_queue_entry *entry, struct lv_call *call)
{
    bool was_durable = entry->durable;

    /* Without memory for the record the queue may be there again after a restart, as if deleted just after it. */
    (void)!lv_meta_del_queue(registry->broker, vhost, entry);
    lv_router_remove_queue(&vhost->router, &entry->dest);
    vhost->router.reclaim->retire(entry, lv_queue_entry_free);
    LV_TALLY(registry, queues_deleted, 1);
    if (call != NULL && was_durable)
        finish_changed(registry, call);
    else if (call != NULL)
        lv_call_finish(registry, call);
}

void lv_broker_mail_remove(struct lv_shard *registry, const struct lv_mail *m)
{
    registry_remove(registry, (struct lv_vhost *)m->w[1], (struct lv_queue_entry *)m->w[0],
                    (struct lv_call *)m->w[2]);
}

void lv_queue_end_unused(struct lv_shard *registry, struct lv_vhost *vhost,
                         struct lv_queue_entry *entry)
{
    lv_handle home = LV_HOME_NONE_YET;

    if (atomic_compare_exchange_strong(&entry->home, &home, LV_HOME_NONE_EVER))
        registry_remove(registry, vhost, entry, NULL);
}

/* ---- the end of a queue ---- */

/* Takes the entry, which has no home any more, out of the directory; then finishes `call` (may be NULL). */
static void entry_remove(struct lv_shard *shard, struct lv_vhost *vhost,
                         struct lv_queue_entry *entry, struct lv_call *call)
{
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

/* The call is going to the registry: false, and finished, when it cannot. */
static bool can_leave(struct lv_shard *shard, struct lv_call *call)
{
    if (call == NULL || shard->index == LV_REGISTRY_LOOP || lv_call_leave(call))
        return true;
    lv_call_fail(call, 541, "out of memory");
    lv_call_finish(shard, call);
    return false;
}

void lv_home_delete(struct lv_shard *shard, struct lv_home_queue *hq, struct lv_call *call)
{
    struct lv_queue_entry *entry = hq->entry;
    struct lv_vhost *vhost = hq->vhost;

    if (!can_leave(shard, call))
        return;
    lv_queue_discard(hq->queue);
    home_forget(shard, hq);
    entry_remove(shard, vhost, entry, call);
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
    lv_handle home = LV_HOME_NONE_YET;

    if (entry == NULL || (call->only_owned && entry->owner != call->owner)) {
        if (call->failure.code == 404) /* idempotent since RabbitMQ 3.2 */
            call->failure.code = 0;
        lv_call_finish(shard, call);
        return;
    }
    if (!can_leave(shard, call))
        return;
    if (atomic_compare_exchange_strong(&entry->home, &home, LV_HOME_NONE_EVER)) {
        entry_remove(shard, call->vhost, entry, call); /* never used: nothing in it, nobody at it */
        return;
    }
    call->queue = home;
    lv_call_go(shard, call, lv_handle_loop(home), delete_at_home);
}

/* ---- declare ---- */

struct lv_queue_entry *lv_queue_entry_new(struct lv_vhost *vhost, struct lv_bytes name,
                                          struct lv_bytes arguments)
{
    struct lv_queue_entry *entry =
        lv_mem_zalloc(sizeof(*entry) + name.len + arguments.len, LV_TAG_QUEUE);

    if (entry == NULL)
        return NULL;
    entry->vhost = vhost;
    memcpy(entry->data, name.ptr, name.len);
    if (arguments.len != 0)
        memcpy(entry->data + name.len, arguments.ptr, arguments.len);
    entry->dest.name.key = lv_bytes(entry->data, name.len);
    entry->arguments = lv_bytes(entry->data + name.len, arguments.len);
    entry->kind = (uint8_t)lv_queue_kind_of(entry->arguments);
    return entry;
}

static struct lv_queue_entry *entry_new(const struct lv_call *call)
{
    struct lv_queue_entry *entry = lv_queue_entry_new(call->vhost, call->name, call->arguments);

    if (entry == NULL)
        return NULL;
    entry->owner = call->exclusive ? call->owner : 0;
    entry->durable =
        call->durable && !call->exclusive; /* RabbitMQ: exclusive queues are never durable */
    entry->auto_delete = call->auto_delete;
    return entry;
}

uint64_t lv_broker_queue_count(const struct lv_broker *b)
{
    const struct lv_ptrmap_entry *e;
    uint64_t sum = 0;
    size_t pos = 0;

    while ((e = lv_ptrmap_next(&b->vhosts, &pos)) != NULL)
        sum += ((const struct lv_vhost *)e)->router.queues.count;
    return sum;
}

enum lv_err lv_registry_add_queue(struct lv_broker *b, struct lv_vhost *v,
                                  struct lv_queue_entry *entry)
{
    entry->id = ++b->next_queue_id;
    enum lv_err err = lv_meta_put_queue(b, v, entry);
    if (err != LV_OK)
        return err;
    err = lv_router_add_queue(&v->router, &entry->dest);
    if (err != LV_OK)
        (void)!lv_meta_del_queue(b, v, entry);
    else
        LV_TALLY(&b->shards[LV_REGISTRY_LOOP], queues_created, 1);
    return err;
}

static void declare(struct lv_shard *shard, struct lv_call *call);

static void declare_at_registry(struct lv_shard *registry, struct lv_call *call)
{
    struct lv_broker *b = registry->broker;
    struct lv_queue_entry *entry = call->entry;
    bool exists = lv_router_queue(&call->vhost->router, call->name) != NULL;
    enum lv_err err = LV_EEXISTS;
    struct lv_refusal why;

    if (call->vhost->is_dead) {
        lv_queue_entry_free(entry);
        lv_call_fail(call, 404, "vhost '%s' is deleted", call->vhost->text);
        lv_call_finish(registry, call);
        return;
    }
    if (!exists && lv_broker_queue_count(b) >= b->settings->queue_max) {
        lv_queue_entry_free(entry);
        lv_call_fail(call, 406,
                     "cannot declare queue '%.*s': queue limit in cluster (%u) is reached",
                     LV_BYTES_FMT(call->name), b->settings->queue_max);
        lv_call_finish(registry, call);
        return;
    }
    if (!exists && call->session != NULL &&
        lv_pass_may_add_queue(&call->session->pass, call->name, call->vhost->router.queues.count,
                              &why) != LV_OK) {
        lv_queue_entry_free(entry);
        lv_call_fail(call, why.code, "%s", why.text);
        lv_call_finish(registry, call);
        return;
    }
    if (!exists)
        err = lv_registry_add_queue(b, call->vhost, entry);
    if (err == LV_OK)
        LV_TALLY(registry, queues_declared, 1);
    if (err == LV_OK && lv_queue_may_expire(entry))
        (void)lv_home_of(registry, call->vhost, entry);
    if (err == LV_OK && entry->durable) {
        finish_changed(registry, call);
        return;
    }
    if (err == LV_OK) {
        lv_call_finish(registry, call);
        return;
    }
    lv_queue_entry_free(entry);
    if (err == LV_EEXISTS) { /* another declare was first */
        lv_call_go(registry, call, call->origin, declare);
        return;
    }
    lv_call_fail(call, 541, "%s", lv_err_text(err));
    lv_call_finish(registry, call);
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
    lv_home_used(hq);
    lv_call_finish(shard, call);
}

/* amq.gen- and 22 characters of base64url of 16 random bytes, as RabbitMQ makes them. */
void lv_call_make_name(struct lv_call *call)
{
    memcpy(call->name_buf, "amq.gen-", 8);
    lv_random_name(call->name_buf + 8);
    call->name = lv_bytes(call->name_buf, 8 + LV_RANDOM_NAME_LEN);
}

/* RabbitMQ asks for the dead letter exchange of a new queue before it looks at the other arguments. */
static void check_dead_letter(struct lv_call *call)
{
    struct lv_operands on = { .name = call->name };
    struct lv_value v;

    if (!lv_table_find(call->arguments, LV_BYTES_LIT("x-dead-letter-exchange"), &v) ||
        v.kind != LV_KIND_STRING)
        return;
    on.other = v.bytes;
    (void)lv_call_may(call, LV_OP_QUEUE_NEW_DEAD_LETTER, &on);
}

static void declare_new(struct lv_shard *shard, struct lv_call *call)
{
    check_dead_letter(call);
    if (call->failure.code == 0)
        lv_check_queue_arguments(call);
    if (call->failure.code == 0) {
        if (!can_leave(shard, call))
            return;
        call->entry = entry_new(call);
        if (call->entry == NULL || (call->exclusive && !lv_session_own(call->session, call->name)))
            lv_call_fail(call, 541, "out of memory");
    }
    if (call->failure.code != 0) {
        lv_queue_entry_free(call->entry);
        lv_call_finish(shard, call);
        return;
    }
    lv_call_go(shard, call, LV_REGISTRY_LOOP, declare_at_registry);
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
    if (!call->passive)
        LV_TALLY(shard, queues_declared, 1);
    call->queue = atomic_load_explicit(&entry->home, memory_order_acquire);
    if (call->queue == LV_HOME_NONE_YET)
        lv_call_finish(shard, call); /* never used: 0 messages, 0 consumers */
    else if (call->queue == LV_HOME_NONE_EVER)
        lv_call_later(shard, call, declare); /* the registry is being told to take it out */
    else
        lv_call_go(shard, call, lv_handle_loop(call->queue), declare_count);
}

void lv_queue_declare(struct lv_call *call)
{
    struct lv_shard *shard = call->session->shard;

    lv_add_default_type(call);
    if (call->failure.code != 0)
        lv_call_finish(shard, call);
    else
        declare(shard, call);
}

/* ---- purge ---- */

static void purge_at_home(struct lv_shard *shard, struct lv_call *call)
{
    struct lv_home_queue *hq = lv_home_find(shard, call->queue);

    if (hq != NULL)
        call->messages = lv_queue_purge(hq->queue);
    call->end = shard->journal.end;
    lv_call_finish_stable(shard, call);
}

void lv_queue_purge_call(struct lv_call *call)
{
    struct lv_shard *shard = call->session->shard;
    struct lv_queue_entry *entry = lv_call_find_queue(call);

    if (entry == NULL) {
        lv_call_finish(shard, call);
        return;
    }
    call->queue = atomic_load_explicit(&entry->home, memory_order_acquire);
    lv_call_go(shard, call, lv_handle_loop(call->queue), purge_at_home);
}
