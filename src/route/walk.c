/* One message's way through the exchanges. Every exchange is visited once and every queue taken once: each has a
 * small number, and rt->seen tells by that number in which pass it was met last. */
#include "base/hash.h"
#include "route/route_priv.h"

#define LIST_MIN 16u
#define PASS_MAX (UINT32_MAX / 2) /* far more room than the keys of one message need */

void lv_route_init(struct lv_route *rt)
{
    *rt = (struct lv_route){ .queues = NULL };
}

void lv_route_fini(struct lv_route *rt)
{
    lv_mem_free(rt->queues, LV_TAG_ROUTE);
    lv_mem_free(rt->seen, LV_TAG_ROUTE);
    lv_mem_free(rt->todo.at, LV_TAG_ROUTE);
    lv_mem_free(rt->at.at, LV_TAG_ROUTE);
    lv_mem_free(rt->next.at, LV_TAG_ROUTE);
    lv_mem_free(rt->loose.at, LV_TAG_ROUTE);
    lv_headers_scan_free(rt->header);
    lv_route_init(rt);
}

enum lv_err lv_route_grow_seen(struct lv_route *rt, uint32_t index)
{
    size_t cap = LV_MAX(rt->seen_cap, LIST_MIN);

    while (cap <= index)
        cap *= 2;
    uint32_t *seen = lv_mem_realloc(rt->seen, cap * sizeof(*seen), LV_TAG_ROUTE);
    if (seen == NULL)
        return LV_ENOMEM;
    memset(seen + rt->seen_cap, 0, (cap - rt->seen_cap) * sizeof(*seen));
    rt->seen = seen;
    rt->seen_cap = cap;
    return LV_OK;
}

enum lv_err lv_route_grow(struct lv_route_list *list)
{
    size_t cap = LV_MAX(list->cap * 2, LIST_MIN);
    void **at = lv_mem_realloc(list->at, cap * sizeof(*at), LV_TAG_ROUTE);

    if (at == NULL)
        return LV_ENOMEM;
    list->at = at;
    list->cap = cap;
    return LV_OK;
}

enum lv_err lv_route_grow_queues(struct lv_route *rt)
{
    size_t cap = LV_MAX(rt->cap * 2, LIST_MIN);
    struct lv_dest **queues = lv_mem_realloc(rt->queues, cap * sizeof(*queues), LV_TAG_ROUTE);

    if (queues == NULL)
        return LV_ENOMEM;
    rt->queues = queues;
    rt->cap = cap;
    return LV_OK;
}

static void begin(struct lv_route *rt)
{
    if (rt->pass >= PASS_MAX) {
        memset(rt->seen, 0, rt->seen_cap * sizeof(*rt->seen));
        rt->pass = 0;
    }
    rt->epoch = ++rt->pass;
    rt->count = rt->todo.count = 0;
    rt->used_headers = false;
    lv_headers_scan_reset(rt->header);
}

/* The default exchange: every queue by its own name. */
static enum lv_err route_by_name(const struct lv_router *r, struct lv_bytes name,
                                 struct lv_route *rt)
{
    struct lv_dest *q = lv_router_queue(r, name);

    return q != NULL ? lv_route_add(rt, q) : LV_OK;
}

static enum lv_err route_default(const struct lv_router *r, const struct lv_route_query *query,
                                 struct lv_route *rt)
{
    enum lv_err err = route_by_name(r, query->key, rt);

    for (size_t i = 0; i < query->more_count && err == LV_OK; i++)
        err = route_by_name(r, query->more_keys[i], rt);
    return err;
}

bool lv_exchange_alternate(const struct lv_exchange *x, struct lv_bytes *name)
{
    const struct lv_alternate *by_policy;

    *name = x->spec.alternate;
    if (x->spec.has_alternate)
        return true;
    by_policy = atomic_load_explicit(&x->by_policy, memory_order_acquire);
    if (by_policy != NULL)
        *name = lv_bytes(by_policy->name, by_policy->len);
    return by_policy != NULL;
}

static enum lv_err visit(const struct lv_router *r, const struct lv_exchange *x,
                         const struct lv_route_query *query, struct lv_route *rt)
{
    struct lv_bytes name;
    enum lv_err err;

    rt->matched = false;
    if (x->is_default)
        err = route_default(r, query, rt);
    else
        err = lv_exchange_ops(x)->route(x, query, rt);
    if (err != LV_OK || rt->matched || !lv_exchange_alternate(x, &name))
        return err;
    /* By name, and at this moment: it may come and go as it likes (RabbitMQ). */
    struct lv_exchange *alternate = lv_router_exchange(r, name);
    return alternate != NULL ? lv_route_add(rt, &alternate->dest) : LV_OK;
}

enum lv_err lv_route(const struct lv_router *r, struct lv_exchange *x,
                     const struct lv_route_query *query, struct lv_route *rt)
{
    begin(rt);
    enum lv_err err = lv_route_add(rt, &x->dest);
    while (err == LV_OK && rt->todo.count != 0)
        err = visit(r, rt->todo.at[--rt->todo.count], query, rt);
    if (err != LV_OK)
        rt->count = 0;
    return err;
}

bool lv_route_uses_headers(const struct lv_router *r, const struct lv_exchange *x)
{
    (void)r;
    return x->spec.type == LV_EXCHANGE_HEADERS || x->spec.has_alternate ||
           atomic_load_explicit(&x->by_policy, memory_order_relaxed) != NULL ||
           atomic_load_explicit(&x->exchange_bindings, memory_order_acquire) != 0;
}
