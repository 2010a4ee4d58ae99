/* Method frames, both ways: one reader and one writer for each type of field, strung together by methods.def.
 * Nothing here knows a method by name. */
#include "base/table.h"
#include "base/utf8.h"
#include "proto/amqp091/codec.h"

enum { C2S = LV_AMQP_C2S, S2C = LV_AMQP_S2C, CONTENT = LV_AMQP_CONTENT, SYNC = LV_AMQP_SYNC };

/* ---- reading ---- */

/* Consecutive bits share octets (§4.2.5.2); once all is inlined, bits_used is a constant at every use. */
struct in {
    struct lv_rd rd;
    uint8_t bits;
    unsigned bits_used; /* 0: the next bit begins an octet */
    bool is_utf8_asked;
    enum lv_err err; /* what is wrong with a field that was there */
};

static inline void get_u8(struct in *in, uint8_t *v)
{
    in->bits_used = 0;
    *v = lv_rd_u8(&in->rd);
}

static inline void get_u16(struct in *in, uint16_t *v)
{
    in->bits_used = 0;
    *v = lv_rd_u16(&in->rd);
}

static inline void get_u32(struct in *in, uint32_t *v)
{
    in->bits_used = 0;
    *v = lv_rd_u32(&in->rd);
}

static inline void get_u64(struct in *in, uint64_t *v)
{
    in->bits_used = 0;
    *v = lv_rd_u64(&in->rd);
}

static inline void get_bit(struct in *in, bool *v)
{
    if (in->bits_used == 0)
        in->bits = lv_rd_u8(&in->rd);
    *v = in->bits >> in->bits_used & 1;
    in->bits_used = (in->bits_used + 1) % 8;
}

static inline void get_shortstr(struct in *in, struct lv_bytes *v)
{
    in->bits_used = 0;
    *v = lv_rd_short(&in->rd);
    if (in->is_utf8_asked && !lv_utf8_valid(*v))
        in->err = LV_EUTF8;
}

static inline void get_longstr(struct in *in, struct lv_bytes *v)
{
    in->bits_used = 0;
    *v = lv_rd_long(&in->rd);
}

static inline void get_table(struct in *in, struct lv_bytes *v)
{
    get_longstr(in, v);
    enum lv_err err = lv_table_check(*v);
    if (err != LV_OK)
        in->err = err;
}

static inline enum lv_err in_end(const struct in *in)
{
    if (LV_UNLIKELY(in->rd.bad || in->rd.at != in->rd.end))
        return LV_ESYNTAX;
    return in->err;
}

#define M(class, id, NAME, name, text, traits, fields)                                  \
    enum lv_err lv_amqp_decode_##name(struct lv_bytes args, struct lv_amqp_##name *out) \
    {                                                                                   \
        struct in in = { .rd = lv_rd(args), .is_utf8_asked = !((traits)&CONTENT) };     \
        (void)out;                                                                      \
        fields return in_end(&in);                                                      \
    }
#define F(type, field) get_##type(&in, &out->field);
#include "proto/amqp091/methods.def"
#undef F
#undef M

/* ---- writing ---- */

struct out {
    struct lv_wr wr; /* a copy, so that it lives in registers */
    size_t start;
    uint8_t bits;
    unsigned bits_used;
};

static inline void put_bits(struct out *out)
{
    if (out->bits_used != 0)
        lv_wr_u8(&out->wr, out->bits);
    out->bits = 0;
    out->bits_used = 0;
}

static inline void put_u8(struct out *out, uint8_t v)
{
    put_bits(out);
    lv_wr_u8(&out->wr, v);
}

static inline void put_u16(struct out *out, uint16_t v)
{
    put_bits(out);
    lv_wr_u16(&out->wr, v);
}

static inline void put_u32(struct out *out, uint32_t v)
{
    put_bits(out);
    lv_wr_u32(&out->wr, v);
}

static inline void put_u64(struct out *out, uint64_t v)
{
    put_bits(out);
    lv_wr_u64(&out->wr, v);
}

static inline void put_bit(struct out *out, bool v)
{
    if (out->bits_used == 8)
        put_bits(out);
    out->bits |= (uint8_t)(v << out->bits_used++);
}

static inline void put_shortstr(struct out *out, struct lv_bytes v)
{
    LV_ASSERT(v.len <= LV_SHORTSTR_MAX);
    put_bits(out);
    lv_wr_short(&out->wr, v);
}

static inline void put_longstr(struct out *out, struct lv_bytes v)
{
    put_bits(out);
    lv_wr_long(&out->wr, v);
}

static inline void put_table(struct out *out, struct lv_bytes v)
{
    put_longstr(out, v);
}

static inline struct out out_begin(const struct lv_wr *w, uint16_t channel, uint32_t method)
{
    struct out out = { .wr = *w, .start = w->used };

    lv_wr_u8(&out.wr, LV_AMQP_FRAME_METHOD);
    lv_wr_u16(&out.wr, channel);
    lv_wr_u32(&out.wr, 0); /* the size, when it is known */
    lv_wr_u32(&out.wr, method);
    return out;
}

static inline void out_end(struct out *out, struct lv_wr *w)
{
    put_bits(out);
    size_t payload = out->wr.used - out->start - LV_AMQP_FRAME_HEAD;
    lv_wr_u8(&out->wr, LV_AMQP_FRAME_END);
    if (LV_LIKELY(lv_wr_ok(&out->wr)))
        lv_put_be32(out->wr.buf + out->start + 3, (uint32_t)payload);
    *w = out->wr;
}

#define M(class, id, NAME, name, text, traits, fields)                                           \
    void lv_amqp_write_##name(struct lv_wr *w, uint16_t channel, const struct lv_amqp_##name *m) \
    {                                                                                            \
        struct out out = out_begin(w, channel, LV_AMQP_##NAME);                                  \
        (void)m;                                                                                 \
        fields out_end(&out, w);                                                                 \
    }
#define F(type, field) put_##type(&out, m->field);
#include "proto/amqp091/methods.def"
#undef F
#undef M
