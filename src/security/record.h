/* security/record.h - what access control remembers, as records for the metadata log: kind, key bytes, value bytes.
 *
 * Key     the names, each with a u8 length before it (user; virtual host; user, virtual host; user, virtual host,
 *         exchange). Two keys are of one thing exactly when their bytes are equal.
 * Value   u8 version, then the fields in the order of the encoder in record.c; big-endian.
 * Decoders are total: any bytes give a record within the bounds below, or an error; nothing is kept of trailing bytes.
 * Owner   none: views. Any thread.
 */
#ifndef LV_SECURITY_RECORD_H
#define LV_SECURITY_RECORD_H
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "security/password.h"

#define LV_ACCESS_KINDS(X)    \
    X(VHOST, vhost)           \
    X(USER, user)             \
    X(PERMISSION, permission) \
    X(TOPIC_PERMISSION, topic_permission)

/* Written to disk: append only. */
enum lv_access_kind {
#define X(NAME, name) LV_ACCESS_##NAME,
    LV_ACCESS_KINDS(X)
#undef X
        LV_ACCESS_KIND_COUNT,
};

#define LV_TAGS_MAX 16u /* of a user or a virtual host */
#define LV_DESCRIPTION_BYTES_MAX 1024u
#define LV_NO_LIMIT (-1) /* as RabbitMQ writes it */
#define LV_LIMIT_MAX INT64_C(4294967294)
#define LV_ACCESS_KEY_BYTES_MAX (3u * (1u + LV_SHORTSTR_MAX))
#define LV_ACCESS_VALUE_BYTES_MAX 16384u

struct lv_tags {
    uint32_t count;
    struct lv_bytes at[LV_TAGS_MAX]; /* 1 to 255 bytes each */
};

struct lv_vhost_record {
    struct lv_bytes name; /* key; 1 to 255 bytes */
    struct lv_bytes description;
    struct lv_tags tags;
    struct lv_bytes default_queue_type;  /* empty: the broker's */
    int64_t max_connections, max_queues; /* LV_NO_LIMIT */
    bool is_protected;                   /* from deletion */
    uint64_t birth; /* random at creation: a later one of the same name is another one */
};

struct lv_user_record {
    struct lv_bytes name; /* key; 1 to 255 bytes */
    enum lv_hash_algorithm algorithm;
    struct lv_bytes hash; /* as password.h says; empty with LV_HASH_NONE: no password will do */
    struct lv_tags tags;
    int64_t max_connections, max_channels; /* LV_NO_LIMIT */
    uint64_t credential; /* random, new whenever the password is: who came with an older one must go */
};

struct lv_permission_record {
    struct lv_bytes user, vhost;            /* key */
    struct lv_bytes configure, write, read; /* patterns */
};

struct lv_topic_permission_record {
    struct lv_bytes user, vhost, exchange; /* key; the exchange may be empty: the default one */
    struct lv_bytes write, read;           /* patterns, maybe with variables */
};

/* For each kind <name>:
 *   void lv_<name>_key(struct lv_wr *w, const struct lv_<name>_record *r);
 *   void lv_<name>_value(struct lv_wr *w, const struct lv_<name>_record *r);
 *   enum lv_err lv_<name>_decode(struct lv_bytes key, struct lv_bytes value, struct lv_<name>_record *out);
 *   enum lv_err lv_<name>_check(const struct lv_<name>_record *r);
 * The encoders want a record that passes check. check: LV_EINVAL (a name is empty or too long, a limit below -1, a
 * hash that does not fit its algorithm ...). decode: LV_ECORRUPT, LV_EVERSION; `out` views key and value. */
#define X(NAME, name)                                                            \
    struct lv_##name##_record;                                                   \
    void lv_##name##_key(struct lv_wr *w, const struct lv_##name##_record *r);   \
    void lv_##name##_value(struct lv_wr *w, const struct lv_##name##_record *r); \
    enum lv_err lv_##name##_decode(struct lv_bytes key, struct lv_bytes value,   \
                                   struct lv_##name##_record *out) LV_MUST_USE;  \
    enum lv_err lv_##name##_check(const struct lv_##name##_record *r) LV_MUST_USE;
LV_ACCESS_KINDS(X)
#undef X

bool lv_tags_have(const struct lv_tags *tags, struct lv_bytes tag);

#endif
