/* What others see of a running broker: sums, names and their numbers. */
#include "broker/observe.h"

#include <limits.h>

#include "base/hash.h"
#include "broker/broker_priv.h"
#include "os/os.h"

#define IDLE_AFTER_MS 5000u /* an object that did nothing for so long is idle */

static inline uint64_t load(const _Atomic uint64_t *at)
{
    return atomic_load_explicit(at, memory_order_relaxed);
}

/* ---- counters ---- */

void lv_broker_counters(const struct lv_broker *b, struct lv_counters *out)
{
    uint64_t *words = (uint64_t *)out;

    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < lv_loops_count(b->loops); i++)
        for (size_t k = 0; k < sizeof(*out) / sizeof(*words); k++)
            words[k] += load(&b->shards[i].tally[k]);
}

void lv_broker_loop_stats(const struct lv_broker *b, unsigned loop, struct lv_loop_stats *out)
{
    lv_loop_stats(b->shards[loop].loop, out);
}

uint64_t lv_broker_id(const struct lv_broker *b)
{
    return b->store != NULL ? lv_store_id(b->store) : 0;
}

bool lv_broker_store_stats(const struct lv_broker *b, struct lv_store_stats *out)
{
    if (b->store != NULL)
        lv_store_stats(b->store, out);
    return b->store != NULL;
}

/* ---- names ---- */

const struct lv_vhost *lv_observe_vhost(const struct lv_broker *b, size_t *pos)
{
    return (const struct lv_vhost *)lv_ptrmap_next(&b->vhosts, pos);
}

const struct lv_vhost *lv_observe_vhost_find(const struct lv_broker *b, struct lv_bytes name)
{
    return lv_vhost_find(b, name);
}

struct lv_bytes lv_vhost_name(const struct lv_vhost *v)
{
    return v->name.key;
}

const struct lv_exchange *lv_observe_exchange(const struct lv_vhost *v, size_t *pos)
{
    return (const struct lv_exchange *)lv_ptrmap_next(&v->router.exchanges, pos);
}

const struct lv_queue_entry *lv_observe_queue(const struct lv_vhost *v, size_t *pos)
{
    return (const struct lv_queue_entry *)lv_ptrmap_next(&v->router.queues, pos);
}

const struct lv_queue_entry *lv_observe_queue_find(const struct lv_vhost *v, struct lv_bytes name)
{
    return (const struct lv_queue_entry *)lv_router_queue(&v->router, name);
}

const struct lv_exchange *lv_observe_exchange_find(const struct lv_vhost *v, struct lv_bytes name)
{
    return lv_router_exchange(&v->router, name);
}

void lv_observe_vhosts(const struct lv_broker *b,
                       void (*visit)(void *ctx, const struct lv_vhost *v), void *ctx)
{
    struct lv_ptrmap_walk w = lv_ptrmap_walk(&b->vhosts);
    const struct lv_ptrmap_entry *e;

    while ((e = lv_ptrmap_walk_next(&w)) != NULL)
        visit(ctx, (const struct lv_vhost *)e);
}

void lv_observe_queues(const struct lv_vhost *v,
                       void (*visit)(void *ctx, const struct lv_queue_entry *entry), void *ctx)
{
    struct lv_ptrmap_walk w = lv_ptrmap_walk(&v->router.queues);
    const struct lv_ptrmap_entry *e;

    while ((e = lv_ptrmap_walk_next(&w)) != NULL)
        visit(ctx, (const struct lv_queue_entry *)e);
}

void lv_observe_exchanges(const struct lv_vhost *v,
                          void (*visit)(void *ctx, const struct lv_exchange *x), void *ctx)
{
    struct lv_ptrmap_walk w = lv_ptrmap_walk(&v->router.exchanges);
    const struct lv_ptrmap_entry *e;

    while ((e = lv_ptrmap_walk_next(&w)) != NULL)
        visit(ctx, (const struct lv_exchange *)e);
}

uint64_t lv_vhost_version(const struct lv_vhost *v)
{
    return atomic_load_explicit(&v->router.version, memory_order_acquire);
}

size_t lv_vhost_queue_count(const struct lv_vhost *v)
{
    return lv_ptrmap_count(&v->router.queues);
}

size_t lv_vhost_exchange_count(const struct lv_vhost *v)
{
    return lv_ptrmap_count(&v->router.exchanges);
}

/* ---- numbers beside names ---- */

uint64_t lv_idle_since(lv_time_ms active_ms)
{
    lv_time_ms now = lv_clock_ms();

    if (active_ms == 0 || now < active_ms + IDLE_AFTER_MS)
        return 0;
    return lv_clock_wall_us() / 1000 - (now - active_ms);
}

static void describe_numbers(const struct lv_queue_stats *s, struct lv_queue_info *out)
{
    uint64_t *words = (uint64_t *)&out->out;

    out->ready = load(&s->ready);
    out->unsettled = load(&s->unsettled);
    out->consumers = load(&s->consumers);
    out->ready_here = load(&s->ready_here);
    out->persistent = load(&s->persistent);
    out->ready_bytes = load(&s->ready_bytes);
    out->unsettled_bytes = load(&s->unsettled_bytes);
    out->published = load(&s->published);
    out->idle_since_ms = lv_idle_since(load(&s->active_ms));
    for (size_t i = 0; i < LV_QUEUE_COUNTER_COUNT; i++)
        words[i] = load(&s->out[i]);
}

const struct lv_dest *lv_queue_dest(const struct lv_queue_entry *entry)
{
    return &entry->dest;
}

void lv_queue_describe(const struct lv_queue_entry *entry, struct lv_queue_info *out)
{
    const struct lv_queue_stats *stats = atomic_load_explicit(&entry->stats, memory_order_acquire);
    lv_handle home = atomic_load_explicit(&entry->home, memory_order_relaxed);

    *out = (struct lv_queue_info){
        .name = entry->dest.name.key,
        .vhost = entry->vhost->name.key,
        .arguments = entry->arguments,
        .kind = (enum lv_queue_kind)entry->kind,
        .durable = entry->durable,
        .auto_delete = entry->auto_delete,
        .exclusive = entry->owner != 0,
        .owner = entry->owner,
        .loop =
            home == LV_HOME_NONE_YET || home == LV_HOME_NONE_EVER ? UINT_MAX : lv_handle_loop(home),
    };
    if (stats != NULL)
        describe_numbers(stats, out);
}

struct lv_bytes lv_queue_name(const struct lv_queue_entry *entry)
{
    return entry->dest.name.key;
}

void lv_exchange_count(const struct lv_exchange *x, struct lv_exchange_info *out)
{
    *out = (struct lv_exchange_info){
        .publish_in = load(&x->stats.in),
        .publish_out = load(&x->stats.out),
        .confirmed = load(&x->stats.confirmed),
        .returned = load(&x->stats.returned),
        .dropped = load(&x->stats.dropped),
    };
}

uint64_t lv_exchange_binding_count(const struct lv_exchange *x)
{
    return __atomic_load_n(&x->bindings_out_count, __ATOMIC_RELAXED);
}

/* ---- what moved ---- */

/* Numbers as one, so that a change of any shows: counters only grow, and what is ready is weighed so that it does not undo
 * them. */
static bool has_moved(_Atomic uint64_t *seen, uint64_t now, bool *was_zero)
{
    uint64_t before = load(seen);

    *was_zero = before == 0;
    if (before == now)
        return false;
    atomic_store_explicit(seen, now, memory_order_relaxed);
    return true;
}

bool lv_queue_has_moved(const struct lv_queue_entry *entry, const struct lv_queue_info *now,
                        bool *was_zero)
{
    struct lv_queue_stats *stats = atomic_load_explicit(&entry->stats, memory_order_acquire);
    const uint64_t *words = (const uint64_t *)&now->out;
    uint64_t sum =
        now->published + now->ready * 0x9E3779B97F4A7C15u + now->unsettled * 0xC2B2AE3D27D4EB4Fu;

    *was_zero = true;
    if (stats == NULL)
        return false;
    for (size_t i = 0; i < LV_QUEUE_COUNTER_COUNT; i++)
        sum += words[i] << (i + 1);
    return has_moved(&stats->seen, sum, was_zero);
}

bool lv_exchange_has_moved(const struct lv_exchange *x, const struct lv_exchange_info *now,
                           bool *was_zero)
{
    _Atomic uint64_t *seen = (_Atomic uint64_t *)(uintptr_t)&x->stats.seen;

    return has_moved(seen,
                     now->publish_in + (now->publish_out << 1) + (now->confirmed << 2) +
                         (now->returned << 3) + (now->dropped << 4),
                     was_zero);
}

/* ---- bindings ---- */

static void show_binding(const struct lv_binding *b,
                         void (*visit)(void *ctx, const struct lv_binding_info *b), void *ctx)
{
    struct lv_binding_info info = {
        .source = b->source->spec.name,
        .destination = b->dest->name.key,
        .key = b->key,
        .arguments = b->arguments,
        .to_exchange = b->dest->is_exchange,
    };

    visit(ctx, &info);
}

/* Those of one end: a list that is walked anew to *pos each time. */
static void walk_list(const struct lv_link *list, bool is_out, const struct lv_dest *destination,
                      size_t *pos, size_t max,
                      void (*visit)(void *ctx, const struct lv_binding_info *b), void *ctx)
{
    size_t i = 0;

    LV_LIST_FOR (l, list) {
        const struct lv_binding *b = is_out ? LV_CONTAINER_OF(l, struct lv_binding, out)
                                            : LV_CONTAINER_OF(l, struct lv_binding, in);
        if (i++ < *pos)
            continue;
        if (i > *pos + max) {
            *pos += max;
            return;
        }
        if (destination == NULL || b->dest == destination)
            show_binding(b, visit, ctx);
    }
    *pos = SIZE_MAX;
}

static void walk_all(const struct lv_ptrmap *bindings, size_t *pos, size_t max,
                     void (*visit)(void *ctx, const struct lv_binding_info *b), void *ctx)
{
    for (size_t n = 0; n < max; n++) {
        const struct lv_ptrmap_entry *e = lv_ptrmap_next(bindings, pos);
        if (e == NULL) {
            *pos = SIZE_MAX;
            return;
        }
        show_binding((const struct lv_binding *)e, visit, ctx);
    }
}

void lv_observe_bindings(const struct lv_vhost *v, const struct lv_exchange *source,
                         const struct lv_dest *destination, size_t *pos, size_t max,
                         void (*visit)(void *ctx, const struct lv_binding_info *b), void *ctx)
{
    if (*pos == SIZE_MAX)
        return;
    if (source != NULL)
        walk_list(&source->bindings_out, true, destination, pos, max, visit, ctx);
    else if (destination != NULL)
        walk_list(&destination->bindings_in, false, NULL, pos, max, visit, ctx);
    else
        walk_all(&v->router.bindings, pos, max, visit, ctx);
}
