/* store/meta.h - the records of the topology log, read and written: one form for the broker and for tools.
 *
 * A put says how a thing is, a del that it is gone (docs/formats/topology.md). Pure functions; any thread.
 */
#ifndef LV_STORE_META_H
#define LV_STORE_META_H
#include "store/wal.h"

enum lv_meta_rec { LV_REC_META_PUT = LV_REC_FIRST, LV_REC_META_DEL };

enum lv_meta_kind {
    LV_META_QUEUE = 1,
    LV_META_EXCHANGE = 2,
    LV_META_BINDING = 3,
    LV_META_COUNTER = 4,   /* the next queue id */
    LV_META_ACCESS = 5,    /* of access control: what is in it security/record.h says */
    LV_META_PARAMETER = 6, /* policies are some of them */
};

struct lv_meta {
    enum lv_meta_kind kind;
    bool is_put;
    struct lv_bytes vhost;
    struct lv_bytes
        name; /* of the queue or exchange; of a binding: its destination. At most 255 bytes, as all names */
    struct lv_bytes arguments;       /* of a put, and of every binding: a field table */
    bool is_auto_delete;             /* queue, exchange */
    uint64_t id;                     /* queue; counter: the next one */
    struct lv_bytes type, alternate; /* exchange */
    bool is_internal, has_alternate;
    struct lv_bytes source, key; /* binding */
    bool is_to_exchange;
    uint8_t access; /* access: which kind of record */
    struct lv_bytes access_key, access_value;
    struct lv_bytes component,
        value;                /* parameter; a global one has neither virtual host nor component */
    struct lv_bytes identity; /* when read: bytes that only records of the same thing begin with */
};

/* Views `payload`. false: not a record of this version; it is passed over. */
bool lv_meta_parse(uint8_t type, struct lv_bytes payload, struct lv_meta *out);
/* At most so many bytes are written. */
size_t lv_meta_bytes_max(const struct lv_meta *m);
/* The payload of its record, whose type is lv_meta_type(). */
void lv_meta_write(struct lv_wr *w, const struct lv_meta *m);
static inline uint8_t lv_meta_type(const struct lv_meta *m)
{
    return m->is_put ? LV_REC_META_PUT : LV_REC_META_DEL;
}

#endif
