/* base/table.h - field tables: the typed name-value lists that arguments and headers are made of.
 *
 * The one form in memory and on disk is the AMQP 0-9-1 encoding (§4.2.5.5, with RabbitMQ's type octets, see
 * table.c), so that what a peer sent is kept byte for byte. A "table" here is the contents without the u32
 * length that precedes it on the wire. Every function but lv_table_check expects checked bytes, and still
 * never reads past them.
 * Owner   none: views. Any thread. No recursion; nesting at most LV_TABLE_DEPTH_MAX.
 */
#ifndef LV_BASE_TABLE_H
#define LV_BASE_TABLE_H
#include "base/bytes.h"
#include "base/err.h"

/* What a value is, whatever octets it came in. */
enum lv_kind {
    LV_KIND_VOID,
    LV_KIND_BOOL,
    LV_KIND_INT,   /* b B s u I i l L: as i64 */
    LV_KIND_FLOAT, /* f d: as double */
    LV_KIND_DECIMAL,
    LV_KIND_TIMESTAMP, /* T: seconds, u64 in `i` */
    LV_KIND_STRING,    /* S */
    LV_KIND_BINARY,    /* x */
    LV_KIND_ARRAY,     /* A: `bytes` are the values, one after the other */
    LV_KIND_TABLE,     /* F: `bytes` are the fields */
};

struct lv_value {
    enum lv_kind kind;
    uint8_t octet;         /* the wire type it came with */
    int64_t i;             /* BOOL INT TIMESTAMP; DECIMAL: the unscaled number */
    double f;              /* FLOAT */
    uint8_t scale;         /* DECIMAL */
    struct lv_bytes bytes; /* STRING BINARY ARRAY TABLE; views */
    struct lv_bytes raw;   /* the whole value: octet and payload; views */
};

struct lv_field {
    struct lv_bytes name; /* views; at most 255 bytes */
    struct lv_value value;
};

/* Are these bytes well-formed fields all the way down? LV_ESYNTAX, or LV_EDEPTH: more than LV_TABLE_DEPTH_MAX levels,
 * `table` being the first. Names and strings are any bytes, as in RabbitMQ. */
enum lv_err lv_table_check(struct lv_bytes table) LV_MUST_USE;
/* Steps through the fields: start with lv_rd(table); false at the end. */
bool lv_table_next(struct lv_rd *at, struct lv_field *out);
/* Steps through the values of an array. */
bool lv_array_next(struct lv_rd *at, struct lv_value *out);
/* First field of that name; false when there is none. */
bool lv_table_find(struct lv_bytes table, struct lv_bytes name, struct lv_value *out);

/* The same value, ignoring the wire type of integers (1:int == 1:byte) and floats, but not the kind (1 != 1.0), as
 * RabbitMQ compares arguments and headers. Tables and arrays are the same when their bytes are. */
bool lv_value_eq(const struct lv_value *a, const struct lv_value *b);
/* RabbitMQ's name of the wire type: "signedint", "longstr", "bool" ... static. */
const char *lv_value_type_name(const struct lv_value *v);

/* Writers of one field; the caller frames them with the u32 length. Names at most 255 bytes. */
void lv_table_put_bool(struct lv_wr *w, const char *name, bool v);
void lv_table_put_str(struct lv_wr *w, const char *name, struct lv_bytes v);
void lv_table_put_i64(struct lv_wr *w, const char *name, int64_t v);
void lv_table_put_timestamp(struct lv_wr *w, const char *name, uint64_t seconds);
void lv_table_put_table(struct lv_wr *w, const char *name, struct lv_bytes fields);
/* A field whose values (lv_array_*) the caller writes next; it ends with lv_wr_long_end of what this returns. */
size_t lv_table_begin_array(struct lv_wr *w, const char *name) LV_MUST_USE;
/* Writers of one value of an array. */
void lv_array_put_str(struct lv_wr *w, struct lv_bytes v);
/* A table whose fields the caller writes next; it ends with lv_wr_long_end of what this returns. */
size_t lv_array_begin_table(struct lv_wr *w) LV_MUST_USE;
/* Copies every field but those of that name, byte for byte; as with the others, the length is the caller's. */
void lv_table_copy_without(struct lv_wr *w, struct lv_bytes table, struct lv_bytes name);

#endif
