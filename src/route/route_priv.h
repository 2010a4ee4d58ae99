/* route/route_priv.h - what the files of this room tell each other. */
#ifndef LV_ROUTE_ROUTE_PRIV_H
#define LV_ROUTE_ROUTE_PRIV_H
#include "base/mem.h"
#include "base/table.h"
#include "route/rcuset_priv.h"
#include "route/route.h"

/* A name that readers see or do not. */
struct lv_alternate {
    uint8_t len;
    uint8_t name[];
};

/* ---- exchange types ---- */

/* What makes a type. `bind` enters a binding that is not there yet; on LV_ENOMEM the table is as before. */
struct lv_exchange_ops {
    const char *name;
    size_t table_bytes;
    void (*init)(const struct lv_router *r, struct lv_exchange *x);
    void (*fini)(struct lv_exchange *x); /* no binding and no reader is left */
    enum lv_err (*bind)(struct lv_router *r, struct lv_binding *b);
    void (*unbind)(struct lv_router *r, struct lv_binding *b);
    /* Readers: hands every destination that matches to lv_route_add(). */
    enum lv_err (*route)(const struct lv_exchange *x, const struct lv_route_query *query,
                         struct lv_route *rt);
};

extern const struct lv_exchange_ops lv_exchange_direct, lv_exchange_fanout, lv_exchange_topic,
    lv_exchange_headers;

const struct lv_exchange_ops *lv_exchange_ops(const struct lv_exchange *x);

/* ---- binding.c ---- */

/* A binding outside of every table and list. LV_ENOMEM. */
enum lv_err lv_binding_new(struct lv_exchange *source, struct lv_dest *dest, struct lv_bytes key,
                           struct lv_bytes arguments, struct lv_binding **out) LV_MUST_USE;
void lv_binding_free(struct lv_binding *b);
/* *out is NULL when there is none. LV_ENOMEM. */
enum lv_err lv_binding_find(const struct lv_router *r, struct lv_exchange *source,
                            struct lv_dest *dest, struct lv_bytes key, struct lv_bytes arguments,
                            struct lv_binding **out) LV_MUST_USE;

/* ---- indexes.c: small numbers for whatever a route meets at most once ---- */

struct lv_router_indexes *lv_indexes_new(void) LV_MUST_USE;
void lv_indexes_free(struct lv_router_indexes *ix);
enum lv_err lv_indexes_take(struct lv_router_indexes *ix, uint32_t *index) LV_MUST_USE;
void lv_indexes_give(struct lv_router_indexes *ix, uint32_t index);

/* ---- headers ---- */

/* lv_table_next for what is matched: a float that is a whole number is that integer (Erlang's 1 == 1.0). */
bool lv_match_next(struct lv_rd *at, struct lv_field *out);

enum lv_match {
    LV_MATCH_ALL,
    LV_MATCH_ANY,
    LV_MATCH_ALL_WITH_X,
    LV_MATCH_ANY_WITH_X,
    LV_MATCH_COUNT,
};

static inline bool lv_match_is_any(enum lv_match m)
{
    return m == LV_MATCH_ANY || m == LV_MATCH_ANY_WITH_X;
}
/* x-match of a binding, LV_MATCH_ALL when absent, LV_MATCH_COUNT when bad. */
enum lv_match lv_match_of(struct lv_bytes arguments);
/* Does a binding's argument of that name take part? x-match never does. */
bool lv_match_counts(enum lv_match m, struct lv_bytes name);

void lv_headers_scan_free(struct lv_headers_scan *scan);
/* A new message: what was hashed of the last one is forgotten. */
void lv_headers_scan_reset(struct lv_headers_scan *scan);

/* ---- a route under way (walk.c) ---- */

enum lv_err lv_route_grow_seen(struct lv_route *rt, uint32_t index) LV_MUST_USE;
enum lv_err lv_route_grow(struct lv_route_list *list) LV_MUST_USE;
enum lv_err lv_route_grow_queues(struct lv_route *rt) LV_MUST_USE;

static inline enum lv_err lv_route_push(struct lv_route_list *list, void *item)
{
    if (LV_UNLIKELY(list->count == list->cap)) {
        enum lv_err err = lv_route_grow(list);
        if (err != LV_OK)
            return err;
    }
    list->at[list->count++] = item;
    return LV_OK;
}

/* *met: was `index` met in pass `since` or later? From now on it has been. */
static inline enum lv_err lv_route_meet(struct lv_route *rt, uint32_t index, uint32_t since,
                                        bool *met)
{
    if (LV_UNLIKELY(index >= rt->seen_cap)) {
        enum lv_err err = lv_route_grow_seen(rt, index);
        if (err != LV_OK)
            return err;
    }
    *met = rt->seen[index] >= since;
    rt->seen[index] = rt->pass;
    return LV_OK;
}

/* The exchange at hand leads to `d`. */
static inline enum lv_err lv_route_add(struct lv_route *rt, struct lv_dest *d)
{
    bool met;
    enum lv_err err = lv_route_meet(rt, d->index, rt->epoch, &met);

    if (err != LV_OK)
        return err;
    rt->matched = true;
    if (met)
        return LV_OK;
    if (d->is_exchange)
        return lv_route_push(&rt->todo, d);
    if (LV_UNLIKELY(rt->count == rt->cap)) {
        err = lv_route_grow_queues(rt);
        if (err != LV_OK)
            return err;
    }
    rt->queues[rt->count++] = d;
    return LV_OK;
}

/* It leads to all of `dests`, of struct lv_dest. */
static inline enum lv_err lv_route_add_all(struct lv_route *rt, const struct lv_rcuset *dests)
{
    struct lv_rcuset_walk walk = lv_rcuset_walk(dests);
    struct lv_dest *d;
    enum lv_err err = LV_OK;

    while (err == LV_OK && (d = lv_rcuset_next(&walk)) != NULL)
        err = lv_route_add(rt, d);
    return err;
}

#endif
