#include "base/props.h"

#include "base/limits.h"
#include "base/table.h"

/* The type of a property -> who reads it and who writes it. */
#define RD_shortstr lv_rd_short
#define RD_table lv_rd_long
#define RD_u8 lv_rd_u8
#define RD_timestamp lv_rd_u64
#define WR_shortstr wr_shortstr
#define WR_table lv_wr_long
#define WR_u8 lv_wr_u8
#define WR_timestamp lv_wr_u64

enum lv_err lv_props_decode(struct lv_bytes raw, struct lv_props *out)
{
    struct lv_rd r = lv_rd(raw);
    uint16_t flags = lv_rd_u16(&r) & LV_PROP_ALL;

    out->flags = flags;
#define X(type, field, FLAG, bit) \
    out->field = flags & LV_PROP_##FLAG ? RD_##type(&r) : (LV_PROP_C_##type){ 0 };
    LV_PROPS(X)
#undef X
    if (LV_UNLIKELY(r.bad || r.at != r.end))
        return LV_ESYNTAX;
    return flags & LV_PROP_HEADERS ? lv_table_check(out->headers) : LV_OK;
}

static void wr_shortstr(struct lv_wr *w, struct lv_bytes v)
{
    LV_ASSERT(v.len <= LV_SHORTSTR_MAX);
    lv_wr_short(w, v);
}

/* Those of the properties that `which` has, which is a constant: what is not asked for leaves no code. */
static inline void write_values(struct lv_wr *w, const struct lv_props *p, int which)
{
#define X(type, field, FLAG, bit)          \
    if (p->flags & which & LV_PROP_##FLAG) \
        WR_##type(w, p->field);
    LV_PROPS(X)
#undef X
}

void lv_props_write(struct lv_wr *w, const struct lv_props *p)
{
    lv_wr_u16(w, p->flags);
    write_values(w, p, LV_PROP_ALL);
}

void lv_props_write_before_headers(struct lv_wr *w, const struct lv_props *p)
{
    LV_ASSERT(p->flags & LV_PROP_HEADERS);
    lv_wr_u16(w, p->flags);
    write_values(w, p, LV_PROP_ALL & ~(2 * LV_PROP_HEADERS - 1));
}

void lv_props_write_after_headers(struct lv_wr *w, const struct lv_props *p)
{
    write_values(w, p, LV_PROP_HEADERS - 1);
}

enum lv_err lv_props_write_with_header(struct lv_wr *w, struct lv_bytes raw, const char *name,
                                       int64_t value)
{
    struct lv_props p;
    enum lv_err err = lv_props_decode(raw, &p);

    if (err != LV_OK)
        return err;
    p.flags |= LV_PROP_HEADERS;
    lv_props_write_before_headers(w, &p);
    size_t start = lv_wr_long_begin(w);
    lv_table_copy_without(w, p.headers, lv_bytes_str(name));
    lv_table_put_i64(w, name, value);
    lv_wr_long_end(w, start);
    lv_props_write_after_headers(w, &p);
    return LV_OK;
}
