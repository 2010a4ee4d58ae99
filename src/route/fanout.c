/* fanout: one set of destinations; keys are ignored. */
#include "route/route_priv.h"

static struct lv_rcuset *table(const struct lv_exchange *x)
{
    return (struct lv_rcuset *)x->table;
}

static void init(const struct lv_router *r, struct lv_exchange *x)
{
    (void)r;
    lv_rcuset_init(table(x));
}

static void fini(struct lv_exchange *x)
{
    lv_rcuset_fini(table(x));
}

static enum lv_err bind(struct lv_router *r, struct lv_binding *b)
{
    return lv_rcuset_add(table(b->source), b->dest, &b->place, r->reclaim);
}

static void unbind(struct lv_router *r, struct lv_binding *b)
{
    lv_rcuset_remove(&b->place, r->reclaim);
}

static enum lv_err route(const struct lv_exchange *x, const struct lv_route_query *query,
                         struct lv_route *rt)
{
    (void)query;
    return lv_route_add_all(rt, table(x));
}

const struct lv_exchange_ops lv_exchange_fanout = {
    .name = "fanout",
    .table_bytes = sizeof(struct lv_rcuset),
    .init = init,
    .fini = fini,
    .bind = bind,
    .unbind = unbind,
    .route = route,
};
