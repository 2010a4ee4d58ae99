/* security/access_priv.h - how the directory keeps a record, for those of the room who ask it. */
#ifndef LV_SECURITY_ACCESS_PRIV_H
#define LV_SECURITY_ACCESS_PRIV_H
#include <stdatomic.h>

#include "base/ptrmap.h"
#include "security/access.h"
#include "security/pattern.h"

/* Who is here in the name of a user, or in a virtual host. Outlives its record while somebody is. */
struct lv_quota {
    _Atomic uint32_t refs; /* the record's node, and one for each pass */
    _Atomic uint32_t connections, channels;
};

/* What a record says. Replaced whole. */
struct lv_access_value {
    union {
        struct lv_vhost_record vhost;
        struct lv_user_record user;
        struct lv_permission_record permission;
        struct lv_topic_permission_record topic_permission;
    } record;                       /* first; views bytes[] */
    struct lv_pattern *patterns[3]; /* by enum lv_verb; NULL: has variables, or none */
    uint8_t bytes[];                /* key, value */
};

/* The place of a record: stays from its first preparation to its removal. */
struct lv_access_node {
    struct lv_ptrmap_entry entry;            /* first */
    _Atomic(struct lv_access_value *) value; /* NULL: prepared only */
    struct lv_quota *quota;                  /* pins; users and virtual hosts */
    uint32_t pending;                        /* changes prepared; the writer's */
    uint8_t key[];
};

struct lv_access {
    const struct lv_reclaim *reclaim;
    _Atomic uint64_t version;
    struct lv_ptrmap maps[LV_ACCESS_KIND_COUNT];
    size_t counts[LV_ACCESS_KIND_COUNT]; /* with a value; the writer's */
    lv_access_visit *changed;
    void *changed_ctx;
    _Atomic int64_t max_connections, max_channels;
    struct lv_quota node; /* everybody */
};

/* The node of a record that is there, or NULL; *value is what it says. */
const struct lv_access_node *lv_access_find(const struct lv_access *a, enum lv_access_kind kind,
                                            struct lv_bytes key,
                                            const struct lv_access_value **value);
/* A key of up to three names in `buf`. Names that are too long for a key give an empty view, which finds nothing. */
struct lv_bytes lv_access_key(uint8_t buf[LV_ACCESS_KEY_BYTES_MAX], const struct lv_bytes *names,
                              size_t count);
void lv_quota_unref(struct lv_quota *q);

#endif
