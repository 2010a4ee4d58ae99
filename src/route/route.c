/* The writer's half: which exchanges, queues and bindings there are, and what goes when something goes.
 * Order of every removal: out of reach of readers, then the new version, then retired. */
#include "route/route.h"

#include "base/hash.h"
#include "base/limits.h"
#include "route/route_priv.h"

static const struct lv_exchange_ops *const types[LV_EXCHANGE_TYPE_COUNT] = {
    [LV_EXCHANGE_DIRECT] = &lv_exchange_direct,
    [LV_EXCHANGE_FANOUT] = &lv_exchange_fanout,
    [LV_EXCHANGE_TOPIC] = &lv_exchange_topic,
    [LV_EXCHANGE_HEADERS] = &lv_exchange_headers,
};

const struct lv_exchange_ops *lv_exchange_ops(const struct lv_exchange *x)
{
    return types[x->spec.type];
}

enum lv_exchange_type lv_exchange_type_of(struct lv_bytes name)
{
    enum lv_exchange_type t = LV_EXCHANGE_DIRECT;

    while (t < LV_EXCHANGE_TYPE_COUNT && !lv_bytes_eq(name, lv_bytes_str(types[t]->name)))
        t++;
    return t;
}

const char *lv_exchange_type_name(enum lv_exchange_type type)
{
    LV_ASSERT(type < LV_EXCHANGE_TYPE_COUNT);
    return types[type]->name;
}

struct lv_exchange *lv_router_exchange(const struct lv_router *r, struct lv_bytes name)
{
    return (struct lv_exchange *)lv_ptrmap_get(&r->exchanges, name, lv_hash(name, 0));
}

struct lv_dest *lv_router_queue(const struct lv_router *r, struct lv_bytes name)
{
    return (struct lv_dest *)lv_ptrmap_get(&r->queues, name, lv_hash(name, 0));
}

static void changed(struct lv_router *r)
{
    uint64_t version = atomic_load_explicit(&r->version, memory_order_relaxed);

    atomic_store_explicit(&r->version, version + 1, memory_order_release);
}

/* ---- destinations ---- */

static enum lv_err enter(struct lv_router *r, struct lv_ptrmap *directory, struct lv_dest *d,
                         struct lv_bytes name)
{
    d->name = (struct lv_ptrmap_entry){ lv_hash(name, 0), name };
    if (lv_ptrmap_get(directory, name, d->name.hash) != NULL)
        return LV_EEXISTS;
    enum lv_err err = lv_indexes_take(r->indexes, &d->index);
    if (err != LV_OK)
        return err;
    lv_list_init(&d->bindings_in);
    err = lv_ptrmap_add(directory, &d->name);
    if (err != LV_OK)
        lv_indexes_give(r->indexes, d->index);
    else
        changed(r);
    return err;
}

enum lv_err lv_router_add_queue(struct lv_router *r, struct lv_dest *q)
{
    q->is_exchange = false;
    return enter(r, &r->queues, q, q->name.key);
}

static struct lv_bytes copy_to(uint8_t **at, struct lv_bytes b)
{
    struct lv_bytes copy = lv_bytes(*at, b.len);

    if (b.len != 0)
        memcpy(*at, b.ptr, b.len);
    *at += b.len;
    return copy;
}

static void exchange_free(void *ptr)
{
    struct lv_exchange *x = ptr;

    lv_exchange_ops(x)->fini(x);
    lv_mem_free(atomic_load_explicit(&x->by_policy, memory_order_relaxed), LV_TAG_ROUTE);
    lv_mem_free(x, LV_TAG_ROUTE);
}

/* One block: the exchange, its type's table, and copies of what the specification views. */
static struct lv_exchange *exchange_new(const struct lv_router *r,
                                        const struct lv_exchange_spec *spec)
{
    const struct lv_exchange_ops *ops = types[spec->type];
    size_t text = spec->name.len + spec->alternate.len + spec->arguments.len;
    struct lv_exchange *x = lv_mem_zalloc(sizeof(*x) + ops->table_bytes + text, LV_TAG_ROUTE);

    if (x == NULL)
        return NULL;
    uint8_t *at = (uint8_t *)(x + 1) + ops->table_bytes;
    x->spec = *spec;
    x->spec.name = copy_to(&at, spec->name);
    x->spec.alternate = copy_to(&at, spec->alternate);
    x->spec.arguments = copy_to(&at, spec->arguments);
    x->is_default = spec->name.len == 0;
    x->dest.is_exchange = true;
    lv_list_init(&x->bindings_out);
    lv_list_init(&x->doomed);
    x->table = (struct lv_exchange_table *)(x + 1);
    ops->init(r, x);
    return x;
}

enum lv_err lv_router_declare(struct lv_router *r, const struct lv_exchange_spec *spec,
                              struct lv_exchange **out)
{
    LV_ASSERT(spec->type < LV_EXCHANGE_TYPE_COUNT);
    struct lv_exchange *x = exchange_new(r, spec);
    if (x == NULL)
        return LV_ENOMEM;
    enum lv_err err = enter(r, &r->exchanges, &x->dest, x->spec.name);
    if (err != LV_OK) {
        exchange_free(x);
        return err;
    }
    *out = x;
    return LV_OK;
}

static void alternate_free(void *ptr)
{
    lv_mem_free(ptr, LV_TAG_ROUTE);
}

enum lv_err lv_router_set_alternate(struct lv_router *r, struct lv_exchange *x, bool has,
                                    struct lv_bytes name)
{
    struct lv_alternate *old = atomic_load_explicit(&x->by_policy, memory_order_relaxed);
    struct lv_alternate *new = NULL;

    if (has ? old != NULL && lv_bytes_eq(lv_bytes(old->name, old->len), name) : old == NULL)
        return LV_OK;
    if (has) {
        LV_ASSERT(name.len <= LV_SHORTSTR_MAX);
        new = lv_mem_alloc(sizeof(*new) + name.len, LV_TAG_ROUTE);
        if (new == NULL)
            return LV_ENOMEM;
        new->len = (uint8_t)name.len;
        if (name.len != 0)
            memcpy(new->name, name.ptr, name.len);
    }
    atomic_store_explicit(&x->by_policy, new, memory_order_release);
    changed(r);
    if (old != NULL)
        r->reclaim->retire(old, alternate_free);
    return LV_OK;
}

/* ---- what goes ---- */

/* Exchanges on their way out: a list, because one may take others along, and no recursion. */
static void doom(struct lv_router *r, struct lv_exchange *x, struct lv_link *doomed)
{
    x->is_doomed = true;
    lv_ptrmap_remove(&r->exchanges, &x->dest.name);
    lv_list_push(doomed, &x->doomed);
}

static void drop(struct lv_router *r, struct lv_binding *b, struct lv_link *doomed)
{
    struct lv_exchange *source = b->source;

    lv_exchange_ops(source)->unbind(r, b);
    lv_ptrmap_remove(&r->bindings, &b->identity);
    lv_list_remove(&b->in);
    lv_list_remove(&b->out);
    __atomic_store_n(&source->bindings_out_count, source->bindings_out_count - 1, __ATOMIC_RELAXED);
    if (b->dest->is_exchange)
        atomic_fetch_sub_explicit(&source->exchange_bindings, 1, memory_order_release);
    lv_binding_free(b);
    if (source->spec.auto_delete && source->bindings_out_count == 0 && !source->is_doomed)
        doom(r, source, doomed);
}

static void drop_in(struct lv_router *r, struct lv_dest *d, struct lv_link *doomed)
{
    while (!lv_list_empty(&d->bindings_in))
        drop(r, LV_CONTAINER_OF(d->bindings_in.next, struct lv_binding, in), doomed);
}

static void drop_out(struct lv_router *r, struct lv_exchange *x, struct lv_link *doomed)
{
    while (!lv_list_empty(&x->bindings_out))
        drop(r, LV_CONTAINER_OF(x->bindings_out.next, struct lv_binding, out), doomed);
}

/* Ends a removal: also of every exchange that goes by it. */
static void bury(struct lv_router *r, struct lv_link *doomed)
{
    struct lv_link *l;

    while ((l = lv_list_pop(doomed)) != NULL) {
        struct lv_exchange *x = LV_CONTAINER_OF(l, struct lv_exchange, doomed);
        if (r->exchange_gone != NULL)
            r->exchange_gone(r, x);
        drop_in(r, &x->dest, doomed);
        drop_out(r, x, doomed);
        lv_indexes_give(r->indexes, x->dest.index);
        changed(r);
        r->reclaim->retire(x, exchange_free);
    }
    changed(r);
}

void lv_router_delete(struct lv_router *r, struct lv_exchange *x)
{
    struct lv_link doomed;

    lv_list_init(&doomed);
    doom(r, x, &doomed);
    bury(r, &doomed);
}

void lv_router_remove_queue(struct lv_router *r, struct lv_dest *q)
{
    struct lv_link doomed;

    lv_list_init(&doomed);
    lv_ptrmap_remove(&r->queues, &q->name);
    drop_in(r, q, &doomed);
    lv_indexes_give(r->indexes, q->index);
    bury(r, &doomed);
}

/* ---- bindings ---- */

static bool is_default(const struct lv_exchange *source, const struct lv_dest *dest)
{
    return source->is_default ||
           (dest->is_exchange && ((const struct lv_exchange *)dest)->is_default);
}

enum lv_err lv_router_bind(struct lv_router *r, struct lv_exchange *source, struct lv_dest *dest,
                           struct lv_bytes key, struct lv_bytes arguments)
{
    struct lv_binding *b;

    if (is_default(source, dest))
        return LV_EREFUSED;
    if (key.len > LV_SHORTSTR_MAX)
        return LV_EINVAL;
    enum lv_err err = lv_binding_new(source, dest, key, arguments, &b);
    if (err != LV_OK)
        return err;
    if (lv_ptrmap_get(&r->bindings, b->identity.key, b->identity.hash) != NULL) {
        lv_binding_free(b);
        return LV_OK;
    }
    err = lv_ptrmap_add(&r->bindings, &b->identity);
    if (err != LV_OK)
        goto err_free;
    err = lv_exchange_ops(source)->bind(r, b);
    if (err != LV_OK)
        goto err_remove;
    lv_list_push(&dest->bindings_in, &b->in);
    lv_list_push(&source->bindings_out, &b->out);
    __atomic_store_n(&source->bindings_out_count, source->bindings_out_count + 1, __ATOMIC_RELAXED);
    source->had_binding = true;
    if (dest->is_exchange)
        atomic_fetch_add_explicit(&source->exchange_bindings, 1, memory_order_release);
    changed(r);
    return LV_OK;

err_remove:
    lv_ptrmap_remove(&r->bindings, &b->identity);
err_free:
    lv_binding_free(b);
    return err;
}

enum lv_err lv_router_unbind(struct lv_router *r, struct lv_exchange *source, struct lv_dest *dest,
                             struct lv_bytes key, struct lv_bytes arguments)
{
    struct lv_link doomed;
    struct lv_binding *b;

    if (key.len > LV_SHORTSTR_MAX)
        return LV_ENOTFOUND;
    enum lv_err err = lv_binding_find(r, source, dest, key, arguments, &b);
    if (err != LV_OK)
        return err;
    if (b == NULL)
        return LV_ENOTFOUND;
    lv_list_init(&doomed);
    drop(r, b, &doomed);
    bury(r, &doomed);
    return LV_OK;
}

bool lv_router_has_binding(const struct lv_router *r, struct lv_exchange *source,
                           struct lv_dest *dest, struct lv_bytes key, struct lv_bytes arguments)
{
    struct lv_binding *b;

    return key.len <= LV_SHORTSTR_MAX &&
           lv_binding_find(r, source, dest, key, arguments, &b) == LV_OK && b != NULL;
}

/* ---- life ---- */

enum lv_err lv_router_init(struct lv_router *r, const struct lv_reclaim *reclaim)
{
    static const struct {
        const char *name;
        enum lv_exchange_type type;
        bool internal;
    } predeclared[] = {
        { "", LV_EXCHANGE_DIRECT, false },
        { "amq.direct", LV_EXCHANGE_DIRECT, false },
        { "amq.fanout", LV_EXCHANGE_FANOUT, false },
        { "amq.topic", LV_EXCHANGE_TOPIC, false },
        { "amq.headers", LV_EXCHANGE_HEADERS, false },
        { "amq.match", LV_EXCHANGE_HEADERS, false },
        { "amq.rabbitmq.trace", LV_EXCHANGE_TOPIC, true },
    };

    *r = (struct lv_router){ .reclaim = reclaim };
    lv_ptrmap_init(&r->exchanges, reclaim);
    lv_ptrmap_init(&r->queues, reclaim);
    lv_ptrmap_init(&r->bindings, &lv_reclaim_now); /* no reader looks at it */
    r->indexes = lv_indexes_new();
    if (r->indexes == NULL)
        return LV_ENOMEM;
    for (size_t i = 0; i < LV_ARRAY_LEN(predeclared); i++) {
        struct lv_exchange_spec spec = { .name = lv_bytes_str(predeclared[i].name),
                                         .type = predeclared[i].type,
                                         .durable = true,
                                         .internal = predeclared[i].internal };
        struct lv_exchange *x;
        enum lv_err err = lv_router_declare(r, &spec, &x);
        if (err != LV_OK) {
            lv_router_fini(r);
            return err;
        }
    }
    return LV_OK;
}

void lv_router_fini(struct lv_router *r)
{
    struct lv_ptrmap_entry *e;
    size_t pos = 0;

    LV_ASSERT(r->queues.count == 0);
    while ((e = lv_ptrmap_next(&r->exchanges, &pos)) != NULL)
        lv_router_delete(r, (struct lv_exchange *)e);
    lv_ptrmap_fini(&r->exchanges);
    lv_ptrmap_fini(&r->queues);
    lv_ptrmap_fini(&r->bindings);
    lv_indexes_free(r->indexes);
    *r = (struct lv_router){ .reclaim = NULL };
}
