/* base/props.h - the properties of a message: u16 flags, then the values whose flags are set, in the order of LV_PROPS.
 *
 * The AMQP 0-9-1 encoding of class basic (§4.2.6.1) is the one form in memory and on disk, whatever protocol a message
 * came with, so that what a publisher sent is kept byte for byte. Decoded values are views into it.
 * Owner   none: views. Any thread.
 */
#ifndef LV_BASE_PROPS_H
#define LV_BASE_PROPS_H
#include "base/bytes.h"
#include "base/err.h"

/* type, field, FLAG, bit: in wire order */
#define LV_PROPS(X)                                     \
    X(shortstr, content_type, CONTENT_TYPE, 15)         \
    X(shortstr, content_encoding, CONTENT_ENCODING, 14) \
    X(table, headers, HEADERS, 13)                      \
    X(u8, delivery_mode, DELIVERY_MODE, 12)             \
    X(u8, priority, PRIORITY, 11)                       \
    X(shortstr, correlation_id, CORRELATION_ID, 10)     \
    X(shortstr, reply_to, REPLY_TO, 9)                  \
    X(shortstr, expiration, EXPIRATION, 8)              \
    X(shortstr, message_id, MESSAGE_ID, 7)              \
    X(timestamp, timestamp, TIMESTAMP, 6)               \
    X(shortstr, type, TYPE, 5)                          \
    X(shortstr, user_id, USER_ID, 4)                    \
    X(shortstr, app_id, APP_ID, 3)                      \
    X(shortstr, cluster_id, CLUSTER_ID, 2)

enum lv_prop {
#define X(type, field, FLAG, bit) LV_PROP_##FLAG = 1 << (bit),
    LV_PROPS(X)
#undef X
#define X(type, field, FLAG, bit) | 1 << (bit)
        LV_PROP_ALL = 0 LV_PROPS(X),
#undef X
};

#define LV_PROP_C_shortstr struct lv_bytes
#define LV_PROP_C_table struct lv_bytes /* the fields, without the length before them */
#define LV_PROP_C_u8 uint8_t
#define LV_PROP_C_timestamp uint64_t /* seconds */

struct lv_props {
    uint16_t flags; /* enum lv_prop: which are present; the others are zero and empty */
#define X(type, field, FLAG, bit) LV_PROP_C_##type field;
    LV_PROPS(X)
#undef X
};

/* Decodes and checks flags and list, to the last byte. LV_ESYNTAX: short, trailing bytes, a malformed headers table;
 * LV_EDEPTH. As RabbitMQ: strings are any bytes, and the two flags that stand for no property are ignored. */
enum lv_err lv_props_decode(struct lv_bytes raw, struct lv_props *out) LV_MUST_USE;
/* Writes flags and list, as raw properties are kept. Short strings are at most LV_SHORTSTR_MAX bytes (asserted). */
void lv_props_write(struct lv_wr *w, const struct lv_props *p);
/* The same in two halves, for headers that are made on the way: between them the caller writes the u32 length and the
 * fields, and p->headers is not looked at. p->flags must have LV_PROP_HEADERS (asserted). */
void lv_props_write_before_headers(struct lv_wr *w, const struct lv_props *p);
void lv_props_write_after_headers(struct lv_wr *w, const struct lv_props *p);

/* At most so many bytes more than `raw` has. */
#define LV_PROPS_WITH_HEADER_MORE(name_bytes) (4u + 1u + (name_bytes) + 1u + 8u)
/* Writes `raw` with the header `name` (at most 255 bytes) = `value` as a 64-bit integer, last of the headers; every
 * header of that name before is left out, all else stays byte for byte. The errors of lv_props_decode, and then nothing
 * was written. */
enum lv_err lv_props_write_with_header(struct lv_wr *w, struct lv_bytes raw, const char *name,
                                       int64_t value) LV_MUST_USE;

#endif
