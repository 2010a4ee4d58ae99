/* direct: a map from routing key to the set of destinations bound by it. */
#include "base/hash.h"
#include "route/route_priv.h"

struct keyed {
    struct lv_ptrmap_entry entry; /* first */
    struct lv_rcuset dests;
    uint8_t key[];
};

static struct lv_ptrmap *table(const struct lv_exchange *x)
{
    return (struct lv_ptrmap *)x->table;
}

static void init(const struct lv_router *r, struct lv_exchange *x)
{
    lv_ptrmap_init(table(x), r->reclaim);
}

static void fini(struct lv_exchange *x)
{
    lv_ptrmap_fini(table(x));
}

static void keyed_free(void *ptr)
{
    struct keyed *k = ptr;

    lv_rcuset_fini(&k->dests);
    lv_mem_free(k, LV_TAG_ROUTE);
}

static struct keyed *keyed_new(struct lv_bytes key, uint64_t hash)
{
    struct keyed *k = lv_mem_zalloc(sizeof(*k) + key.len, LV_TAG_ROUTE);

    if (k == NULL)
        return NULL;
    if (key.len != 0)
        memcpy(k->key, key.ptr, key.len);
    k->entry = (struct lv_ptrmap_entry){ hash, lv_bytes(k->key, key.len) };
    lv_rcuset_init(&k->dests);
    return k;
}

static enum lv_err bind(struct lv_router *r, struct lv_binding *b)
{
    uint64_t hash = lv_hash(b->key, 0);
    struct keyed *k = (struct keyed *)lv_ptrmap_get(table(b->source), b->key, hash);

    if (k != NULL)
        return lv_rcuset_add(&k->dests, b->dest, &b->place, r->reclaim);
    k = keyed_new(b->key, hash);
    if (k == NULL)
        return LV_ENOMEM;
    /* Filled before readers can find it. */
    enum lv_err err = lv_rcuset_add(&k->dests, b->dest, &b->place, r->reclaim);
    if (err == LV_OK)
        err = lv_ptrmap_add(table(b->source), &k->entry);
    if (err != LV_OK)
        keyed_free(k);
    return err;
}

static void unbind(struct lv_router *r, struct lv_binding *b)
{
    struct keyed *k = LV_CONTAINER_OF(b->place.set, struct keyed, dests);

    lv_rcuset_remove(&b->place, r->reclaim);
    if (lv_rcuset_count(&k->dests) != 0)
        return;
    lv_ptrmap_remove(table(b->source), &k->entry);
    r->reclaim->retire(k, keyed_free);
}

static enum lv_err route_key(const struct lv_exchange *x, struct lv_bytes key, struct lv_route *rt)
{
    struct keyed *k = (struct keyed *)lv_ptrmap_get(table(x), key, lv_hash(key, 0));

    return k != NULL ? lv_route_add_all(rt, &k->dests) : LV_OK;
}

static enum lv_err route(const struct lv_exchange *x, const struct lv_route_query *query,
                         struct lv_route *rt)
{
    enum lv_err err = route_key(x, query->key, rt);

    for (size_t i = 0; i < query->more_count && err == LV_OK; i++)
        err = route_key(x, query->more_keys[i], rt);
    return err;
}

const struct lv_exchange_ops lv_exchange_direct = {
    .name = "direct",
    .table_bytes = sizeof(struct lv_ptrmap),
    .init = init,
    .fini = fini,
    .bind = bind,
    .unbind = unbind,
    .route = route,
};
