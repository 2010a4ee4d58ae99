#include "broker/errand.h"

#include "broker/broker_priv.h"

unsigned lv_broker_loops(const struct lv_broker *b)
{
    return lv_loops_count(b->loops);
}

struct lv_broker *lv_shard_broker(const struct lv_shard *shard)
{
    return shard->broker;
}

static void push(_Atomic(struct lv_errand *) *stack, struct lv_errand *errand)
{
    errand->next = atomic_load(stack);
    while (!atomic_compare_exchange_weak(stack, &errand->next, errand)) {
    }
}

static struct lv_errand *take(_Atomic(struct lv_errand *) *stack)
{
    struct lv_errand *e = atomic_exchange(stack, NULL), *oldest = NULL, *next;

    for (; e != NULL; e = next) {
        next = e->next;
        e->next = oldest;
        oldest = e;
    }
    return oldest;
}

void lv_errand_send(struct lv_broker *b, unsigned loop, struct lv_errand *errand)
{
    struct lv_shard *shard = &b->shards[loop];

    push(&shard->errands, errand);
    lv_loop_call(shard->loop);
}

void lv_errand_pass(struct lv_shard *shard, struct lv_errand *errand, unsigned loop)
{
    lv_errand_send(shard->broker, loop, errand);
}

void lv_errand_finish(struct lv_shard *shard, struct lv_errand *errand)
{
    struct lv_desk *desk = errand->desk;

    (void)shard;
    push(&desk->back, errand);
    desk->wake(desk->ctx);
}

struct lv_errand *lv_desk_take(struct lv_desk *desk)
{
    return take(&desk->back);
}

static bool is_stable(const struct lv_broker *b, uint64_t end)
{
    return b->store == NULL || lv_wal_stable(lv_store_topology(b->store)) >= end;
}

/* Behind those that wait already: ends only grow. */
static void await_stable(struct lv_shard *registry, struct lv_errand *errand)
{
    struct lv_broker *b = registry->broker;

    LV_ASSERT(registry->index == LV_REGISTRY_LOOP);
    if (is_stable(b, b->topology_end)) {
        lv_errand_finish(registry, errand);
        return;
    }
    errand->end = b->topology_end;
    errand->next = NULL;
    if (b->first_unstable != NULL)
        b->last_unstable->next = errand;
    else
        b->first_unstable = errand;
    b->last_unstable = errand;
}

void lv_errands_stable(struct lv_broker *b)
{
    struct lv_errand *errand;

    while ((errand = b->first_unstable) != NULL && is_stable(b, errand->end)) {
        b->first_unstable = errand->next;
        lv_errand_finish(&b->shards[LV_REGISTRY_LOOP], errand);
    }
}

void lv_errands_turn(struct lv_shard *shard)
{
    struct lv_errand *errand = take(&shard->errands), *next;

    for (; errand != NULL; errand = next) {
        next = errand->next;
        switch (errand->run(shard, errand)) {
        case LV_ERRAND_DONE:
            lv_errand_finish(shard, errand);
            break;
        case LV_ERRAND_AGAIN:
            push(&shard->errands, errand);
            lv_loop_again(shard->loop);
            break;
        case LV_ERRAND_AWAY:
            break;
        case LV_ERRAND_STABLE:
            await_stable(shard, errand);
            break;
        }
    }
}

static void drop(struct lv_shard *shard, struct lv_errand *errand)
{
    struct lv_errand *next;

    for (; errand != NULL; errand = next) {
        next = errand->next;
        lv_errand_finish(shard, errand);
    }
}

void lv_errands_drop(struct lv_shard *shard)
{
    drop(shard, take(&shard->errands));
    if (shard->index != LV_REGISTRY_LOOP)
        return;
    drop(shard, shard->broker->first_unstable);
    shard->broker->first_unstable = NULL;
}
