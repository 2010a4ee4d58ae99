/* The topology log: a record for every change of what has a name. A put says how a thing is, a del that it is gone; walking
 * them in order gives what there was. Only what survives a restart is in it: durable exchanges and queues, and bindings
 * between them. Deleting a thing deletes its bindings, in the log as in the router. */
#include "base/hash.h"
#include "base/mem.h"
#include "broker/broker_priv.h"
#include "os/failpoint.h"

enum { REC_PUT = LV_REC_FIRST, REC_DEL };
enum { FLAG_AUTO_DELETE = 1, FLAG_INTERNAL = 2, FLAG_ALTERNATE = 4 };

#define TIDY_BYTES (UINT64_C(8) << 20) /* of changes, before a snapshot is thought of */

/* ---- writing ---- */

/* kind, key and value one behind the other, in memory of its own. */
struct record {
    uint8_t on_stack[1024];
    uint8_t *heap;
    struct lv_wr w;
};

static bool record_begin(struct record *r, size_t most, enum lv_meta_kind kind,
                         const struct lv_vhost *v)
{
    r->heap = NULL;
    if (most > sizeof(r->on_stack) && (r->heap = lv_mem_alloc(most, LV_TAG_BROKER)) == NULL)
        return false;
    r->w = lv_wr(r->heap != NULL ? r->heap : r->on_stack,
                 r->heap != NULL ? most : sizeof(r->on_stack));
    lv_wr_u8(&r->w, (uint8_t)kind);
    if (v != NULL)
        lv_wr_short(&r->w, v->name.key);
    return true;
}

static enum lv_err record_end(struct lv_broker *b, struct record *r, uint8_t type)
{
    struct lv_bytes part = lv_bytes(r->w.buf, r->w.used);
    struct lv_wal *wal = b->store != NULL ? lv_store_topology(b->store) : NULL;
    enum lv_err err = LV_OK;

    LV_ASSERT(lv_wr_ok(&r->w));
    if (wal != NULL && part.len > lv_wal_record_max(wal))
        err = LV_EFULL;
    else if (wal != NULL && !b->is_recovering)
        err = lv_wal_append(wal, LV_REGISTRY_LOOP, type, &part, 1, NULL, &b->topology_end);
    b->topology_bytes += lv_wal_rec_size(part.len);
    lv_mem_free(r->heap, LV_TAG_BROKER);
    lv_failpoint("meta.put");
    return err;
}

#define NAMES_MAX (2u + 4u * 256u)

static enum lv_err put_counter(struct lv_broker *b)
{
    struct record r;

    (void)record_begin(&r, 16, LV_META_COUNTER, NULL);
    lv_wr_u64(&r.w, b->next_queue_id);
    return record_end(b, &r, REC_PUT);
}

enum lv_err lv_meta_put_queue(struct lv_broker *b, const struct lv_vhost *v,
                              const struct lv_queue_entry *entry)
{
    struct record r;

    if (!entry->durable)
        return LV_OK;
    if (!record_begin(&r, NAMES_MAX + 16 + entry->arguments.len, LV_META_QUEUE, v))
        return LV_ENOMEM;
    lv_wr_short(&r.w, entry->dest.name.key);
    lv_wr_u64(&r.w, entry->id);
    lv_wr_u8(&r.w, entry->auto_delete ? FLAG_AUTO_DELETE : 0);
    lv_wr_long(&r.w, entry->arguments);
    return record_end(b, &r, REC_PUT);
}

enum lv_err lv_meta_del_queue(struct lv_broker *b, const struct lv_vhost *v,
                              const struct lv_queue_entry *entry)
{
    struct record r;

    if (!entry->durable)
        return LV_OK;
    if (!record_begin(&r, NAMES_MAX, LV_META_QUEUE, v))
        return LV_ENOMEM;
    lv_wr_short(&r.w, entry->dest.name.key);
    return record_end(b, &r, REC_DEL);
}

enum lv_err lv_meta_put_exchange(struct lv_broker *b, const struct lv_vhost *v,
                                 const struct lv_exchange_spec *spec)
{
    struct record r;

    if (!spec->durable)
        return LV_OK;
    if (!record_begin(&r, NAMES_MAX + 16 + spec->arguments.len, LV_META_EXCHANGE, v))
        return LV_ENOMEM;
    lv_wr_short(&r.w, spec->name);
    lv_wr_short(&r.w, lv_bytes_str(lv_exchange_type_name(spec->type)));
    lv_wr_u8(&r.w, (uint8_t)((spec->auto_delete ? FLAG_AUTO_DELETE : 0) |
                             (spec->internal ? FLAG_INTERNAL : 0) |
                             (spec->has_alternate ? FLAG_ALTERNATE : 0)));
    lv_wr_short(&r.w, spec->has_alternate ? spec->alternate : lv_bytes(NULL, 0));
    lv_wr_long(&r.w, spec->arguments);
    return record_end(b, &r, REC_PUT);
}

void lv_meta_exchange_gone(struct lv_router *router, const struct lv_exchange *x)
{
    struct lv_vhost *v = LV_CONTAINER_OF(router, struct lv_vhost, router);
    struct record r;

    if (!x->spec.durable || v->broker->is_stopped ||
        !record_begin(&r, NAMES_MAX, LV_META_EXCHANGE, v))
        return;
    lv_wr_short(&r.w, x->spec.name);
    (void)!record_end(v->broker, &r,
                      REC_DEL); /* without memory it may be there again after a restart */
}

static bool is_durable(const struct lv_dest *dest)
{
    return dest->is_exchange ? ((const struct lv_exchange *)dest)->spec.durable
                             : ((const struct lv_queue_entry *)dest)->durable;
}

enum lv_err lv_meta_binding(struct lv_broker *b, const struct lv_vhost *v, bool put,
                            const struct lv_exchange *source, const struct lv_dest *dest,
                            struct lv_bytes key, struct lv_bytes arguments)
{
    struct record r;

    if (!source->spec.durable || !is_durable(dest))
        return LV_OK;
    if (!record_begin(&r, NAMES_MAX + 16 + arguments.len, LV_META_BINDING, v))
        return LV_ENOMEM;
    lv_wr_short(&r.w, source->spec.name);
    lv_wr_u8(&r.w, dest->is_exchange);
    lv_wr_short(&r.w,
                dest->is_exchange ? ((const struct lv_exchange *)dest)->spec.name : dest->name.key);
    lv_wr_short(&r.w, key);
    lv_wr_long(&r.w, arguments);
    return record_end(b, &r, put ? REC_PUT : REC_DEL);
}

/* ---- reading ---- */

static struct lv_vhost *vhost_of(struct lv_broker *b, struct lv_rd *rd)
{
    struct lv_bytes name = lv_rd_short(rd);

    return (struct lv_vhost *)lv_ptrmap_get(&b->vhosts, name, lv_hash(name, 0));
}

static enum lv_err visit_queue(struct lv_broker *b, bool put, struct lv_rd *rd)
{
    struct lv_vhost *v = vhost_of(b, rd);
    struct lv_bytes name = lv_rd_short(rd);

    if (v == NULL || rd->bad)
        return LV_OK;
    struct lv_dest *old = lv_router_queue(&v->router, name);
    if (!put) {
        if (old != NULL) {
            lv_router_remove_queue(&v->router, old);
            lv_mem_free(old, LV_TAG_QUEUE);
        }
        return LV_OK;
    }
    uint64_t id = lv_rd_u64(rd);
    uint8_t flags = lv_rd_u8(rd);
    struct lv_bytes arguments = lv_rd_long(rd);
    b->next_queue_id = LV_MAX(b->next_queue_id, id + 1);
    if (old != NULL || rd->bad)
        return LV_OK; /* a snapshot says again what is known */
    struct lv_queue_entry *entry = lv_queue_entry_new(name, arguments);
    if (entry == NULL)
        return LV_ENOMEM;
    entry->id = id;
    entry->durable = true;
    entry->auto_delete = (flags & FLAG_AUTO_DELETE) != 0;
    enum lv_err err = lv_router_add_queue(&v->router, &entry->dest);
    if (err != LV_OK)
        lv_mem_free(entry, LV_TAG_QUEUE);
    return err;
}

static enum lv_err visit_exchange(struct lv_broker *b, bool put, struct lv_rd *rd)
{
    struct lv_vhost *v = vhost_of(b, rd);
    struct lv_exchange_spec spec = { .name = lv_rd_short(rd), .durable = true };

    if (v == NULL || rd->bad)
        return LV_OK;
    struct lv_exchange *old = lv_router_exchange(&v->router, spec.name);
    if (!put) {
        if (old != NULL)
            lv_router_delete(&v->router, old);
        return LV_OK;
    }
    spec.type = lv_exchange_type_of(lv_rd_short(rd));
    uint8_t flags = lv_rd_u8(rd);
    spec.auto_delete = (flags & FLAG_AUTO_DELETE) != 0;
    spec.internal = (flags & FLAG_INTERNAL) != 0;
    spec.has_alternate = (flags & FLAG_ALTERNATE) != 0;
    spec.alternate = lv_rd_short(rd);
    spec.arguments = lv_rd_long(rd);
    if (old != NULL || rd->bad || spec.type == LV_EXCHANGE_TYPE_COUNT)
        return LV_OK;
    return lv_router_declare(&v->router, &spec, &old);
}

static enum lv_err visit_binding(struct lv_broker *b, bool put, struct lv_rd *rd)
{
    struct lv_vhost *v = vhost_of(b, rd);
    struct lv_bytes from = lv_rd_short(rd);
    bool to_exchange = lv_rd_u8(rd) != 0;
    struct lv_bytes to = lv_rd_short(rd), key = lv_rd_short(rd), arguments = lv_rd_long(rd);

    if (v == NULL || rd->bad)
        return LV_OK;
    struct lv_exchange *source = lv_router_exchange(&v->router, from);
    struct lv_exchange *x = to_exchange ? lv_router_exchange(&v->router, to) : NULL;
    struct lv_dest *dest = !to_exchange ? lv_router_queue(&v->router, to)
                           : x != NULL  ? &x->dest
                                        : NULL;
    if (source == NULL || dest == NULL)
        return LV_OK;
    enum lv_err err = put ? lv_router_bind(&v->router, source, dest, key, arguments)
                          : lv_router_unbind(&v->router, source, dest, key, arguments);
    return err == LV_ENOMEM ? err : LV_OK;
}

enum lv_err lv_meta_visit(void *broker, uint8_t type, lv_lsn lsn, struct lv_bytes payload)
{
    struct lv_broker *b = broker;
    struct lv_rd rd = lv_rd(payload);
    bool put = type == REC_PUT;

    (void)lsn;
    switch (lv_rd_u8(&rd)) {
    case LV_META_QUEUE:
        return visit_queue(b, put, &rd);
    case LV_META_EXCHANGE:
        return visit_exchange(b, put, &rd);
    case LV_META_BINDING:
        return visit_binding(b, put, &rd);
    case LV_META_COUNTER:
        b->next_queue_id = LV_MAX(b->next_queue_id, lv_rd_u64(&rd));
        return LV_OK;
    default: /* of a later version: its format number would have said so if it mattered */
        return LV_OK;
    }
}

/* ---- snapshots ---- */

static enum lv_err snapshot_bindings(struct lv_broker *b, struct lv_vhost *v)
{
    struct lv_ptrmap_entry *e;
    enum lv_err err = LV_OK;
    size_t pos = 0;

    while (err == LV_OK && (e = lv_ptrmap_next(&v->router.bindings, &pos)) != NULL) {
        struct lv_binding *binding = (struct lv_binding *)e;
        err = lv_meta_binding(b, v, true, binding->source, binding->dest, binding->key,
                              binding->arguments);
    }
    return err;
}

static enum lv_err snapshot_vhost(struct lv_broker *b, struct lv_vhost *v)
{
    struct lv_ptrmap_entry *e;
    enum lv_err err = LV_OK;
    size_t pos = 0;

    while (err == LV_OK && (e = lv_ptrmap_next(&v->router.exchanges, &pos)) != NULL) {
        const struct lv_exchange *x = (const struct lv_exchange *)e;
        if (!x->is_default && !lv_bytes_has_prefix(x->spec.name, LV_BYTES_LIT("amq.")))
            err = lv_meta_put_exchange(b, v, &x->spec);
    }
    lv_failpoint("meta.snapshot");
    pos = 0;
    while (err == LV_OK && (e = lv_ptrmap_next(&v->router.queues, &pos)) != NULL)
        err = lv_meta_put_queue(b, v, (const struct lv_queue_entry *)e);
    return err == LV_OK ? snapshot_bindings(b, v) : err;
}

static enum lv_err snapshot(struct lv_broker *b)
{
    struct lv_ptrmap_entry *e;
    enum lv_err err = put_counter(b);
    size_t pos = 0;

    while (err == LV_OK && (e = lv_ptrmap_next(&b->vhosts, &pos)) != NULL)
        err = snapshot_vhost(b, (struct lv_vhost *)e);
    return err;
}

/* Files whose records are all said again behind them. */
struct drop_job {
    struct lv_job job; /* first */
    struct lv_wal *wal;
    uint64_t from, to;
};

static void drop_files(struct lv_job *job)
{
    struct drop_job *d = (struct drop_job *)job;

    /* The oldest first: what is left is always the end of the story. */
    for (uint64_t n = d->from; n < d->to; n++) {
        enum lv_err err = lv_wal_remove_file(d->wal, n);
        lv_failpoint("log.file_removed");
        if (err != LV_OK && err != LV_ENOTFOUND)
            break;
    }
    lv_mem_free(d, LV_TAG_BROKER);
}

void lv_meta_tidy(struct lv_broker *b)
{
    struct lv_wal *wal = lv_store_topology(b->store);

    if (b->tidy_end != 0) { /* a snapshot was written: when it is stable, what was before may go */
        if (lv_wal_stable(wal) < b->tidy_end)
            return;
        struct drop_job *d = lv_mem_alloc(sizeof(*d), LV_TAG_BROKER);
        if (d == NULL)
            return;
        *d = (struct drop_job){ .job.run = drop_files, .wal = wal };
        d->from = lv_wal_first_file(wal);
        d->to = LV_MIN(lv_lsn_file(b->tidy_from, lv_wal_file_bytes(wal)), lv_wal_current_file(wal));
        lv_worker_post(lv_store_keeper(b->store), &d->job);
        b->tidy_end = 0;
        return;
    }
    if (b->topology_bytes < TIDY_BYTES + 3 * b->snapshot_bytes)
        return;
    b->tidy_from = lv_wal_tail(wal);
    b->topology_bytes = 0;
    if (snapshot(b) != LV_OK)
        return;
    b->tidy_end = b->topology_end;
    b->snapshot_bytes = b->topology_bytes;
    b->topology_bytes = 0;
    lv_store_wake(b->store);
}
