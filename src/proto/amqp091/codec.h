/* proto/amqp091/codec.h - AMQP 0-9-1 bytes to views and back: frames, methods, content headers.
 *
 * Pure: no allocation, no state, no I/O, no recursion; includes base only. Everything decoded is a view into the
 * bytes it came from. Nothing that a peer sends is trusted: every length is checked against what is left.
 * Writers go through struct lv_wr (past its end they only count) or, named lv_amqp_put_*, straight to memory the
 * caller has reserved.
 * Owner   none. Any thread.
 * Read    methods.def (the table everything about methods expands from), README.md.
 */
#ifndef LV_PROTO_AMQP091_CODEC_H
#define LV_PROTO_AMQP091_CODEC_H
#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

/* ---- frames (§4.2.3): type u8, channel u16, size u32, payload, 0xCE ---- */

enum lv_amqp_frame_type {
    LV_AMQP_FRAME_METHOD = 1,
    LV_AMQP_FRAME_HEADER = 2,
    LV_AMQP_FRAME_BODY = 3,
    LV_AMQP_FRAME_HEARTBEAT = 8,
};

#define LV_AMQP_FRAME_END 0xCEu
#define LV_AMQP_FRAME_HEAD 7u     /* bytes before the payload */
#define LV_AMQP_FRAME_OVERHEAD 8u /* bytes around the payload */
#define LV_AMQP_CLASS_BASIC 60u

struct lv_amqp_frame {
    uint8_t type; /* any octet: whether it is known is the session's question */
    uint16_t channel;
    struct lv_bytes payload; /* views the input */
};

/* The first 7 bytes of a frame, whether or not the payload is there; false when there are fewer. */
static inline bool lv_amqp_frame_peek(struct lv_bytes in, uint8_t *type, uint16_t *channel,
                                      uint32_t *size)
{
    if (in.len < LV_AMQP_FRAME_HEAD)
        return false;
    *type = in.ptr[0];
    *channel = lv_be16(in.ptr + 1);
    *size = lv_be32(in.ptr + 3);
    return true;
}

/* Cuts the first frame off `in`; *used gets its whole size, and 0 unless LV_OK. LV_EMORE: incomplete.
 * LV_EFRAME: the payload is larger than payload_max (told as soon as the 7 head bytes are there), or the
 * end octet is not 0xCE. After LV_EFRAME `out` holds what RabbitMQ shows in its error text: type, channel,
 * and the payload, which is empty when it was too large. */
static inline enum lv_err LV_MUST_USE lv_amqp_frame_next(struct lv_bytes in, uint32_t payload_max,
                                                         struct lv_amqp_frame *out, size_t *used)
{
    uint32_t size;

    *used = 0;
    if (!lv_amqp_frame_peek(in, &out->type, &out->channel, &size))
        return LV_EMORE;
    size_t left = in.len - LV_AMQP_FRAME_HEAD;
    out->payload = lv_bytes(in.ptr + LV_AMQP_FRAME_HEAD, 0);
    if (LV_UNLIKELY(size > payload_max))
        return LV_EFRAME;
    if (left <= size)
        return LV_EMORE;
    out->payload.len = size;
    if (LV_UNLIKELY(out->payload.ptr[size] != LV_AMQP_FRAME_END))
        return LV_EFRAME;
    *used = size + (size_t)LV_AMQP_FRAME_OVERHEAD;
    return LV_OK;
}

/* Writes 7 bytes and returns where the payload goes; the caller ends it with LV_AMQP_FRAME_END. */
static inline uint8_t *lv_amqp_put_frame_head(uint8_t *p, uint8_t type, uint16_t channel,
                                              uint32_t size)
{
    p[0] = type;
    lv_put_be16(p + 1, channel);
    lv_put_be32(p + 3, size);
    return p + LV_AMQP_FRAME_HEAD;
}

/* Writes a short string; `b` is at most LV_SHORTSTR_MAX bytes. */
static inline uint8_t *lv_amqp_put_short(uint8_t *p, struct lv_bytes b)
{
    *p++ = (uint8_t)b.len;
    if (b.len != 0)
        memcpy(p, b.ptr, b.len);
    return p + b.len;
}

/* Bytes of a content header frame whose raw properties (flags and list) have `props_bytes`. */
#define LV_AMQP_CONTENT_FRAME_BYTES(props_bytes) (LV_AMQP_FRAME_OVERHEAD + 12u + (props_bytes))

/* Writes a whole content header frame of class basic; `props` is the flags word and list, at least 2 bytes. */
static inline uint8_t *lv_amqp_put_content(uint8_t *p, uint16_t channel, uint64_t body_bytes,
                                           struct lv_bytes props)
{
    p = lv_amqp_put_frame_head(p, LV_AMQP_FRAME_HEADER, channel, (uint32_t)(12 + props.len));
    lv_put_be16(p, LV_AMQP_CLASS_BASIC);
    lv_put_be16(p + 2, 0);
    lv_put_be64(p + 4, body_bytes);
    memcpy(p + 12, props.ptr, props.len);
    p += 12 + props.len;
    *p++ = LV_AMQP_FRAME_END;
    return p;
}

/* ---- methods: all of this expands from methods.def ---- */

/* LV_AMQP_BASIC_PUBLISH = 60 << 16 | 40: the first four bytes of a method frame's payload. */
enum lv_amqp_method {
#define M(class, id, NAME, name, text, traits, fields) LV_AMQP_##NAME = (class) << 16 | (id),
#define F(type, field)
#include "proto/amqp091/methods.def"
#undef F
#undef M
};

enum lv_amqp_trait {
    LV_AMQP_C2S = 1 << 0,     /* a client may send it */
    LV_AMQP_S2C = 1 << 1,     /* a server may send it */
    LV_AMQP_CONTENT = 1 << 2, /* a content header and bodies follow */
    LV_AMQP_SYNC = 1 << 3,    /* its sender waits for an answer, unless no_wait is set */
};

/* struct lv_amqp_basic_publish { uint16_t ticket; struct lv_bytes exchange, routing_key; bool mandatory, immediate; };
 * A table is its contents, without the length before it. */
#define LV_AMQP_C_u8 uint8_t
#define LV_AMQP_C_u16 uint16_t
#define LV_AMQP_C_u32 uint32_t
#define LV_AMQP_C_u64 uint64_t
#define LV_AMQP_C_timestamp uint64_t /* seconds */
#define LV_AMQP_C_bit bool
#define LV_AMQP_C_shortstr struct lv_bytes
#define LV_AMQP_C_longstr struct lv_bytes
#define LV_AMQP_C_table struct lv_bytes
#define M(class, id, NAME, name, text, traits, fields) \
    struct lv_amqp_##name {                            \
        fields                                         \
    };
#define F(type, field) LV_AMQP_C_##type field;
#include "proto/amqp091/methods.def"
#undef F
#undef M

/* enum lv_err lv_amqp_decode_basic_publish(struct lv_bytes args, struct lv_amqp_basic_publish *out);
 *   args: the frame's payload after class and method id. LV_ESYNTAX: too short, too long, or a malformed table;
 *   LV_EUTF8: a short string is not UTF-8 (RabbitMQ asks this of methods without content only: a routing key may
 *   be any bytes); LV_EDEPTH: a table nested too deeply. `out` is undefined on error. Spare bits are ignored.
 * void lv_amqp_write_basic_publish(struct lv_wr *w, uint16_t channel, const struct lv_amqp_basic_publish *m);
 *   the whole method frame. Short strings are at most LV_SHORTSTR_MAX bytes (asserted). */
#define M(class, id, NAME, name, text, traits, fields)                                  \
    enum lv_err lv_amqp_decode_##name(struct lv_bytes args, struct lv_amqp_##name *out) \
        LV_MUST_USE;                                                                    \
    void lv_amqp_write_##name(struct lv_wr *w, uint16_t channel, const struct lv_amqp_##name *m);
#define F(type, field)
#include "proto/amqp091/methods.def"
#undef F
#undef M

/* "basic.publish", "basic.get-empty"; "unknown". Static. */
const char *lv_amqp_method_name(uint32_t method);
/* enum lv_amqp_trait bits; 0: unknown method. */
uint32_t lv_amqp_method_traits(uint32_t method);

/* ---- content header (§4.2.6.1) ---- */

struct lv_amqp_content {
    uint16_t class_id;
    uint16_t weight; /* RabbitMQ takes a header whose weight is not 0 for no header at all: 505 */
    uint64_t body_size;
    struct lv_bytes props; /* property flags and list (base/props.h), raw; views */
};

/* The payload of a header frame. LV_ESYNTAX: shorter than 12 bytes. The properties are not looked at. */
static inline enum lv_err LV_MUST_USE lv_amqp_decode_content(struct lv_bytes payload,
                                                             struct lv_amqp_content *out)
{
    if (LV_UNLIKELY(payload.len < 12))
        return LV_ESYNTAX;
    out->class_id = lv_be16(payload.ptr);
    out->weight = lv_be16(payload.ptr + 2);
    out->body_size = lv_be64(payload.ptr + 4);
    out->props = lv_bytes(payload.ptr + 12, payload.len - 12);
    return LV_OK;
}

/* ---- how RabbitMQ's error texts show bytes ---- */

#define LV_AMQP_OCTETS_MAX 16u

/* The first LV_AMQP_OCTETS_MAX of `b` as Erlang's ~p prints a binary: <<"text">> when printable, else <<1,2,3>>. Ends
 * with NUL, cut to `cap`. */
void lv_amqp_format_octets(struct lv_bytes b, char *out, size_t cap);
/* All of `b` as Erlang's ~w prints a binary: always <<1,2,3>>. Ends with NUL, cut to `cap`. */
void lv_amqp_format_octets_plain(struct lv_bytes b, char *out, size_t cap);

#endif
