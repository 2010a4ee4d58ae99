/* The topology log: a record for every change of what has a name. A put says how a thing is, a del that it is gone; walking
 * them in order gives what there was. Only what survives a restart is in it: durable exchanges and queues, and bindings
 * between them. Deleting a thing deletes its bindings, in the log as in the router. */
#include "base/mem.h"
#include "broker/policies_priv.h"
#include "os/failpoint.h"
#include "store/meta.h"

#define TIDY_BYTES (UINT64_C(8) << 20) /* of changes, before a snapshot is thought of */

/* ---- writing ---- */

static enum lv_err append(struct lv_broker *b, const struct lv_meta *m)
{
    uint8_t on_stack[1024], *heap = NULL;
    size_t most = lv_meta_bytes_max(m);
    struct lv_wal *wal = b->store != NULL ? lv_store_topology(b->store) : NULL;
    enum lv_err err = LV_OK;

    if (most > sizeof(on_stack) && (heap = lv_mem_alloc(most, LV_TAG_BROKER)) == NULL)
        return LV_ENOMEM;
    struct lv_wr w = lv_wr(heap != NULL ? heap : on_stack, LV_MAX(most, sizeof(on_stack)));
    lv_meta_write(&w, m);
    LV_ASSERT(lv_wr_ok(&w));
    struct lv_bytes part = lv_bytes(w.buf, w.used);
    if (wal != NULL && part.len > lv_wal_record_max(wal))
        err = LV_EFULL;
    else if (wal != NULL && !b->is_recovering)
        err =
            lv_wal_append(wal, LV_REGISTRY_LOOP, lv_meta_type(m), &part, 1, NULL, &b->topology_end);
    b->topology_bytes += lv_wal_rec_size(part.len);
    lv_mem_free(heap, LV_TAG_BROKER);
    lv_failpoint("meta.put");
    return err;
}

/* What is in a virtual host that has ended is not in the log any more; another one may have its name. */
static enum lv_err append_in(struct lv_broker *b, const struct lv_vhost *v, const struct lv_meta *m)
{
    return v->is_dead ? LV_OK : append(b, m);
}

enum lv_err lv_meta_put_counter(struct lv_broker *b)
{
    struct lv_meta m = { .kind = LV_META_COUNTER, .is_put = true, .id = b->next_queue_id };

    return append(b, &m);
}

enum lv_err lv_meta_put_queue(struct lv_broker *b, const struct lv_vhost *v,
                              const struct lv_queue_entry *entry)
{
    struct lv_meta m = {
        .kind = LV_META_QUEUE,
        .is_put = true,
        .vhost = v->name.key,
        .name = entry->dest.name.key,
        .id = entry->id,
        .is_auto_delete = entry->auto_delete,
        .arguments = entry->arguments,
    };

    return entry->durable ? append_in(b, v, &m) : LV_OK;
}

enum lv_err lv_meta_del_queue(struct lv_broker *b, const struct lv_vhost *v,
                              const struct lv_queue_entry *entry)
{
    struct lv_meta m = { .kind = LV_META_QUEUE, .vhost = v->name.key, .name = entry->dest.name.key };

    return entry->durable ? append_in(b, v, &m) : LV_OK;
}

enum lv_err lv_meta_put_exchange(struct lv_broker *b, const struct lv_vhost *v,
                                 const struct lv_exchange_spec *spec)
{
    struct lv_meta m = {
        .kind = LV_META_EXCHANGE,
        .is_put = true,
        .vhost = v->name.key,
        .name = spec->name,
        .type = lv_bytes_str(lv_exchange_type_name(spec->type)),
        .is_auto_delete = spec->auto_delete,
        .is_internal = spec->internal,
        .has_alternate = spec->has_alternate,
        .alternate = spec->has_alternate ? spec->alternate : lv_bytes(NULL, 0),
        .arguments = spec->arguments,
    };

    return spec->durable ? append_in(b, v, &m) : LV_OK;
}

void lv_meta_exchange_gone(struct lv_router *router, const struct lv_exchange *x)
{
    struct lv_vhost *v = LV_CONTAINER_OF(router, struct lv_vhost, router);
    struct lv_meta m = { .kind = LV_META_EXCHANGE, .vhost = v->name.key, .name = x->spec.name };

    if (x->spec.durable && !v->broker->is_stopped)
        (void)!append_in(v->broker, v, &m); /* without memory it may be there again after a restart */
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
    struct lv_meta m = {
        .kind = LV_META_BINDING,
        .is_put = put,
        .vhost = v->name.key,
        .source = source->spec.name,
        .is_to_exchange = dest->is_exchange,
        .name = dest->is_exchange ? ((const struct lv_exchange *)dest)->spec.name : dest->name.key,
        .key = key,
        .arguments = arguments,
    };

    return source->spec.durable && is_durable(dest) ? append_in(b, v, &m) : LV_OK;
}

enum lv_err lv_meta_access(struct lv_broker *b, bool put, enum lv_access_kind kind,
                           struct lv_bytes key, struct lv_bytes value)
{
    struct lv_meta m = {
        .kind = LV_META_ACCESS,
        .is_put = put,
        .access = (uint8_t)kind,
        .access_key = key,
        .access_value = value,
    };

    return append(b, &m);
}

enum lv_err lv_meta_parameter(struct lv_broker *b, bool put, struct lv_bytes vhost,
                              struct lv_bytes component, struct lv_bytes name, struct lv_bytes value)
{
    struct lv_meta m = {
        .kind = LV_META_PARAMETER,
        .is_put = put,
        .vhost = vhost,
        .component = component,
        .name = name,
        .value = value,
    };

    return append(b, &m);
}

/* ---- reading ---- */

static enum lv_err visit_queue(struct lv_broker *b, struct lv_vhost *v, const struct lv_meta *m)
{
    struct lv_dest *old = lv_router_queue(&v->router, m->name);

    if (!m->is_put) {
        if (old != NULL) {
            lv_router_remove_queue(&v->router, old);
            lv_queue_entry_free(old);
        }
        return LV_OK;
    }
    b->next_queue_id = LV_MAX(b->next_queue_id, m->id + 1);
    if (old != NULL)
        return LV_OK; /* a snapshot says again what is known */
    struct lv_queue_entry *entry = lv_queue_entry_new(v, m->name, m->arguments);
    if (entry == NULL)
        return LV_ENOMEM;
    entry->id = m->id;
    entry->durable = true;
    entry->auto_delete = m->is_auto_delete;
    enum lv_err err = lv_router_add_queue(&v->router, &entry->dest);
    if (err != LV_OK)
        lv_queue_entry_free(entry);
    return err;
}

static enum lv_err visit_exchange(struct lv_vhost *v, const struct lv_meta *m)
{
    struct lv_exchange *old = lv_router_exchange(&v->router, m->name);

    if (!m->is_put) {
        if (old != NULL)
            lv_router_delete(&v->router, old);
        return LV_OK;
    }
    struct lv_exchange_spec spec = {
        .name = m->name,
        .durable = true,
        .type = lv_exchange_type_of(m->type),
        .auto_delete = m->is_auto_delete,
        .internal = m->is_internal,
        .has_alternate = m->has_alternate,
        .alternate = m->alternate,
        .arguments = m->arguments,
    };
    if (old != NULL || spec.type == LV_EXCHANGE_TYPE_COUNT)
        return LV_OK;
    return lv_router_declare(&v->router, &spec, &old);
}

static enum lv_err visit_binding(struct lv_vhost *v, const struct lv_meta *m)
{
    struct lv_exchange *source = lv_router_exchange(&v->router, m->source);
    struct lv_exchange *x = m->is_to_exchange ? lv_router_exchange(&v->router, m->name) : NULL;
    struct lv_dest *dest = !m->is_to_exchange ? lv_router_queue(&v->router, m->name)
                           : x != NULL        ? &x->dest
                                              : NULL;

    if (source == NULL || dest == NULL)
        return LV_OK;
    enum lv_err err = m->is_put ? lv_router_bind(&v->router, source, dest, m->key, m->arguments)
                                : lv_router_unbind(&v->router, source, dest, m->key, m->arguments);
    return err == LV_ENOMEM ? err : LV_OK;
}

/* What cannot be read allows nothing to anybody. */
static enum lv_err visit_access(struct lv_broker *b, const struct lv_meta *m)
{
    enum lv_access_kind kind = (enum lv_access_kind)m->access;
    struct lv_rd names = lv_rd(m->access_key);
    struct lv_bytes name = lv_rd_short(&names);
    enum lv_err err = LV_OK;

    if (names.bad || m->access >= LV_ACCESS_KIND_COUNT)
        return LV_OK;
    if (!m->is_put) {
        lv_access_remove(b->access, kind, m->access_key);
        if (kind == LV_ACCESS_VHOST)
            lv_vhost_forget(b, name);
        return LV_OK;
    }
    if (kind == LV_ACCESS_VHOST)
        err = lv_vhost_make(b, name);
    if (err == LV_OK)
        err = lv_access_put(b->access, kind, m->access_key, m->access_value);
    return err == LV_ENOMEM ? err : LV_OK;
}

enum lv_err lv_meta_visit(void *broker, uint8_t type, lv_lsn lsn, struct lv_bytes payload)
{
    struct lv_broker *b = broker;
    struct lv_meta m;

    (void)lsn;
    if (!lv_meta_parse(type, payload, &m))
        return LV_OK; /* of a later version: its format number would have said so if it mattered */
    if (m.kind == LV_META_COUNTER) {
        b->next_queue_id = LV_MAX(b->next_queue_id, m.id);
        return LV_OK;
    }
    if (m.kind == LV_META_ACCESS)
        return visit_access(b, &m);
    if (m.kind == LV_META_PARAMETER)
        return lv_parameter_visit(b, &m.vhost, m.is_put, m.component, m.name, m.value);
    struct lv_vhost *v = lv_vhost_find(b, m.vhost);
    if (v == NULL)
        return LV_OK;
    if (m.kind == LV_META_QUEUE)
        return visit_queue(b, v, &m);
    return m.kind == LV_META_EXCHANGE ? visit_exchange(v, &m) : visit_binding(v, &m);
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

static enum lv_err snapshot_parameter(struct lv_broker *b, const struct lv_parameter *p)
{
    return lv_meta_parameter(b, true, p->vhost, p->component, p->name, p->value);
}

static enum lv_err snapshot_parameters(struct lv_broker *b, const struct lv_vhost *v)
{
    const struct lv_parameter *p;
    enum lv_err err = LV_OK;
    size_t pos = 0;

    while (err == LV_OK && (p = lv_parameter_next(b, v->name.key, &pos)) != NULL)
        err = snapshot_parameter(b, p);
    return err;
}

static enum lv_err snapshot_globals(struct lv_broker *b)
{
    const struct lv_parameter *p;
    enum lv_err err = LV_OK;
    size_t pos = 0;

    while (err == LV_OK && (p = lv_global_next(b, &pos)) != NULL)
        err = snapshot_parameter(b, p);
    return err;
}

static enum lv_err snapshot_vhost(struct lv_broker *b, struct lv_vhost *v)
{
    struct lv_ptrmap_entry *e;
    enum lv_err err = snapshot_parameters(b, v);
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

#define X(NAME, name)                                                                             \
    static enum lv_err snapshot_of_##name(struct lv_broker *b)                                    \
    {                                                                                             \
        uint8_t key[LV_ACCESS_KEY_BYTES_MAX], value[LV_ACCESS_VALUE_BYTES_MAX];                   \
        const struct lv_##name##_record *r;                                                       \
        enum lv_err err = LV_OK;                                                                  \
        size_t pos = 0;                                                                           \
        while (err == LV_OK && (r = lv_access_next(b->access, LV_ACCESS_##NAME, &pos)) != NULL) { \
            struct lv_wr k = lv_wr(key, sizeof(key)), v = lv_wr(value, sizeof(value));            \
            lv_##name##_key(&k, r);                                                               \
            lv_##name##_value(&v, r);                                                             \
            err = lv_meta_access(b, true, LV_ACCESS_##NAME, lv_bytes(key, k.used),                \
                                 lv_bytes(value, v.used));                                        \
        }                                                                                         \
        return err;                                                                               \
    }
LV_ACCESS_KINDS(X)
#undef X

static enum lv_err snapshot(struct lv_broker *b)
{
    struct lv_ptrmap_entry *e;
    enum lv_err err = lv_meta_put_counter(b);

    /* Virtual hosts come before what is in them. */
#define X(NAME, name) \
    if (err == LV_OK) \
        err = snapshot_of_##name(b);
    LV_ACCESS_KINDS(X)
#undef X
    size_t pos = 0;

    if (err == LV_OK)
        err = snapshot_globals(b);
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

    if (b->is_topology_damaged)
        return;             /* what is damaged may be rescued as long as it is there */
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
