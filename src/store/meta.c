#include "store/meta.h"

enum { FLAG_AUTO_DELETE = 1, FLAG_INTERNAL = 2, FLAG_ALTERNATE = 4 };

#define NAMES_MAX (2u + 4u * 256u)

size_t lv_meta_bytes_max(const struct lv_meta *m)
{
    return NAMES_MAX + 16 + m->type.len + m->alternate.len + m->arguments.len + m->access_key.len +
           m->access_value.len + m->value.len;
}

/* ---- writing ---- */

static void write_queue(struct lv_wr *w, const struct lv_meta *m)
{
    lv_wr_short(w, m->name);
    if (!m->is_put)
        return;
    lv_wr_u64(w, m->id);
    lv_wr_u8(w, m->is_auto_delete ? FLAG_AUTO_DELETE : 0);
    lv_wr_long(w, m->arguments);
}

static void write_exchange(struct lv_wr *w, const struct lv_meta *m)
{
    lv_wr_short(w, m->name);
    if (!m->is_put)
        return;
    lv_wr_short(w, m->type);
    lv_wr_u8(w, (uint8_t)((m->is_auto_delete ? FLAG_AUTO_DELETE : 0) |
                          (m->is_internal ? FLAG_INTERNAL : 0) |
                          (m->has_alternate ? FLAG_ALTERNATE : 0)));
    lv_wr_short(w, m->alternate);
    lv_wr_long(w, m->arguments);
}

static void write_binding(struct lv_wr *w, const struct lv_meta *m)
{
    lv_wr_short(w, m->source);
    lv_wr_u8(w, m->is_to_exchange);
    lv_wr_short(w, m->name);
    lv_wr_short(w, m->key);
    lv_wr_long(w, m->arguments);
}

static void write_access(struct lv_wr *w, const struct lv_meta *m)
{
    lv_wr_u8(w, m->access);
    lv_wr_long(w, m->access_key);
    if (m->is_put)
        lv_wr_long(w, m->access_value);
}

static void write_parameter(struct lv_wr *w, const struct lv_meta *m)
{
    lv_wr_short(w, m->component);
    lv_wr_short(w, m->name);
    if (m->is_put)
        lv_wr_long(w, m->value);
}

void lv_meta_write(struct lv_wr *w, const struct lv_meta *m)
{
    lv_wr_u8(w, (uint8_t)m->kind);
    if (m->kind == LV_META_COUNTER) {
        lv_wr_u64(w, m->id);
        return;
    }
    if (m->kind == LV_META_ACCESS) {
        write_access(w, m);
        return;
    }
    lv_wr_short(w, m->vhost);
    if (m->kind == LV_META_QUEUE)
        write_queue(w, m);
    else if (m->kind == LV_META_EXCHANGE)
        write_exchange(w, m);
    else if (m->kind == LV_META_PARAMETER)
        write_parameter(w, m);
    else
        write_binding(w, m);
}

/* ---- reading ---- */

static void read_queue(struct lv_rd *rd, struct lv_meta *m)
{
    m->id = lv_rd_u64(rd);
    m->is_auto_delete = (lv_rd_u8(rd) & FLAG_AUTO_DELETE) != 0;
    m->arguments = lv_rd_long(rd);
}

static void read_exchange(struct lv_rd *rd, struct lv_meta *m)
{
    m->type = lv_rd_short(rd);
    uint8_t flags = lv_rd_u8(rd);
    m->is_auto_delete = (flags & FLAG_AUTO_DELETE) != 0;
    m->is_internal = (flags & FLAG_INTERNAL) != 0;
    m->has_alternate = (flags & FLAG_ALTERNATE) != 0;
    m->alternate = lv_rd_short(rd);
    m->arguments = lv_rd_long(rd);
}

bool lv_meta_parse(uint8_t type, struct lv_bytes payload, struct lv_meta *out)
{
    struct lv_rd rd = lv_rd(payload);

    if (type != LV_REC_META_PUT && type != LV_REC_META_DEL)
        return false;
    *out = (struct lv_meta){ .is_put = type == LV_REC_META_PUT };
    out->kind = lv_rd_u8(&rd);
    if (out->kind < LV_META_QUEUE || out->kind > LV_META_PARAMETER)
        return false;
    if (out->kind == LV_META_COUNTER) {
        out->identity = lv_bytes(payload.ptr, 1);
        out->id = lv_rd_u64(&rd);
        return !rd.bad;
    }
    if (out->kind == LV_META_ACCESS) {
        out->access = lv_rd_u8(&rd);
        out->access_key = lv_rd_long(&rd);
        out->identity = lv_bytes(payload.ptr, payload.len - lv_rd_left(&rd));
        if (out->is_put)
            out->access_value = lv_rd_long(&rd);
        return !rd.bad;
    }
    out->vhost = lv_rd_short(&rd);
    if (out->kind == LV_META_BINDING) {
        out->source = lv_rd_short(&rd);
        out->is_to_exchange = lv_rd_u8(&rd) != 0;
        out->name = lv_rd_short(&rd);
        out->key = lv_rd_short(&rd);
        out->arguments = lv_rd_long(&rd);
    } else {
        if (out->kind == LV_META_PARAMETER)
            out->component = lv_rd_short(&rd);
        out->name = lv_rd_short(&rd);
    }
    out->identity = lv_bytes(payload.ptr, payload.len - lv_rd_left(&rd));
    if (out->is_put && out->kind == LV_META_QUEUE)
        read_queue(&rd, out);
    else if (out->is_put && out->kind == LV_META_EXCHANGE)
        read_exchange(&rd, out);
    else if (out->is_put && out->kind == LV_META_PARAMETER)
        out->value = lv_rd_long(&rd);
    return !rd.bad;
}
