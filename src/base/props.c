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

void lv_props_write(struct lv_wr *w, const struct lv_props *p)
{
    lv_wr_u16(w, p->flags);
#define X(type, field, FLAG, bit)  \
    if (p->flags & LV_PROP_##FLAG) \
        WR_##type(w, p->field);
    LV_PROPS(X)
#undef X
}
