#include "model.h"

#include <stdlib.h>

static struct lv_model_item *find(const struct lv_model *m, struct lv_bytes identity)
{
    struct lv_model_item *item;

    HASH_FIND(hh, m->items, identity.ptr, identity.len, item);
    return item;
}

static void drop(struct lv_model *m, struct lv_model_item *item)
{
    HASH_DEL(m->items, item);
    free(item);
}

/* All that is in it goes by the one record that says so. */
static void drop_vhost(struct lv_model *m, struct lv_bytes key)
{
    struct lv_rd rd = lv_rd(key);
    struct lv_bytes name = lv_rd_short(&rd);
    struct lv_model_item *item, *next;

    for (item = m->items; item != NULL; item = next) {
        next = item->hh.next;
        if (lv_bytes_eq(item->meta.vhost, name))
            drop(m, item);
    }
}

enum lv_err lv_model_visit(void *model, uint8_t type, lv_lsn lsn, struct lv_bytes payload)
{
    struct lv_model *m = model;
    struct lv_meta meta;

    (void)lsn;
    if (type < LV_REC_FIRST)
        return LV_OK;
    m->order++;
    if (!lv_meta_parse(type, payload, &meta)) {
        m->unknown++;
        return LV_OK;
    }
    if (meta.kind == LV_META_COUNTER || (meta.kind == LV_META_QUEUE && meta.is_put))
        m->next_queue_id = LV_MAX(m->next_queue_id, meta.id + (meta.kind == LV_META_QUEUE));
    if (meta.kind == LV_META_ACCESS && !meta.is_put && meta.access == 0)
        drop_vhost(m, meta.access_key);
    if (meta.kind == LV_META_COUNTER || meta.kind == LV_META_ACCESS ||
        meta.kind == LV_META_PARAMETER)
        return LV_OK;
    struct lv_model_item *item = find(m, meta.identity);
    if (!meta.is_put) {
        if (item != NULL)
            drop(m, item);
        return LV_OK;
    }
    if (item != NULL) { /* a queue said again is the same one; a binding may be one to a new queue */
        if (meta.kind == LV_META_BINDING)
            item->order = m->order;
        return LV_OK;
    }
    item = malloc(sizeof(*item) + payload.len);
    if (item == NULL)
        return LV_ENOMEM;
    memcpy(item->payload, payload.ptr, payload.len);
    item->order = m->order;
    (void)lv_meta_parse(type, lv_bytes(item->payload, payload.len), &item->meta);
    HASH_ADD_KEYPTR(hh, m->items, item->meta.identity.ptr, item->meta.identity.len, item);
    return LV_OK;
}

/* Was it there when the binding came, and is it still? What every virtual host has by itself is not in the log. */
static bool has_end(const struct lv_model *m, const struct lv_model_item *binding,
                    enum lv_meta_kind kind, struct lv_bytes name)
{
    uint8_t identity[3 + 2 * 255];
    struct lv_wr w = lv_wr(identity, sizeof(identity));

    if (kind == LV_META_EXCHANGE && lv_bytes_has_prefix(name, LV_BYTES_LIT("amq.")))
        return true;
    lv_wr_u8(&w, (uint8_t)kind);
    lv_wr_short(&w, binding->meta.vhost);
    lv_wr_short(&w, name);
    const struct lv_model_item *end = find(m, lv_bytes(identity, w.used));
    return end != NULL && end->order < binding->order;
}

void lv_model_settle(struct lv_model *m)
{
    struct lv_model_item *item, *next;

    HASH_ITER (hh, m->items, item, next) {
        const struct lv_meta *meta = &item->meta;
        if (meta->kind == LV_META_QUEUE) {
            m->queues++;
        } else if (meta->kind == LV_META_EXCHANGE) {
            m->exchanges++;
        } else if (has_end(m, item, LV_META_EXCHANGE, meta->source) &&
                   has_end(m, item, meta->is_to_exchange ? LV_META_EXCHANGE : LV_META_QUEUE,
                           meta->name)) {
            m->bindings++;
        } else {
            drop(m, item);
        }
    }
}

void lv_model_fini(struct lv_model *m)
{
    struct lv_model_item *item, *next;

    HASH_ITER (hh, m->items, item, next)
        drop(m, item);
}
