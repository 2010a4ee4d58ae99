/* broker/definitions_priv.h - what the files of definitions share. */
#ifndef LV_BROKER_DEFINITIONS_PRIV_H
#define LV_BROKER_DEFINITIONS_PRIV_H
#include "broker/definitions.h"
#include "broker/policies_priv.h"
#include "security/defaults.h"

/* ---- text.c: bytes that grow ---- */
struct lv_text {
    uint8_t *at; /* own */
    size_t used, cap;
    bool is_short; /* memory ran out: the rest is missing */
};
void lv_text_bytes(struct lv_text *t, const void *bytes, size_t n);
void lv_text_str(struct lv_text *t, const char *s);
void lv_text_fini(struct lv_text *t);

/* ---- json_table.c: JSON and field tables ---- */
/* A string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void lv_text_json_string(struct lv_text *t, struct lv_bytes s);

/* What JSON cannot say of a table. */
enum {
    LV_TABLE_LOSSY = 1, /* timestamps, byte arrays ... become another kind of value */
    LV_TABLE_WIDTH = 2, /* integers and floats of other sizes than JSON's numbers get */
};
/* A checked table as an object. Returns what is lost. */
unsigned lv_text_json_table(struct lv_text *t, struct lv_bytes table);
/* An object (or an empty array, which is how Erlang writes an empty one) as fields. LV_EINVAL: `why` says what cannot be in a
 * table; LV_ENOMEM. */
enum lv_err lv_table_from_json(const json_t *object, struct lv_text *out, char *why,
                               size_t cap) LV_MUST_USE;
/* Key of an item beside its arguments: base64 of the table, when JSON says less. */
#define LV_EXACT_ARGUMENTS "leveret_arguments"

/* ---- definitions ---- */

/* Lists of a file, in the order of an import. */
#define LV_LISTS(X)                           \
    X(USERS, "users")                         \
    X(VHOSTS, "vhosts")                       \
    X(PERMISSIONS, "permissions")             \
    X(EXCHANGES, "exchanges")                 \
    X(TOPIC_PERMISSIONS, "topic_permissions") \
    X(GLOBALS, "global_parameters")           \
    X(POLICIES, "policies")                   \
    X(PARAMETERS, "parameters")               \
    X(QUEUES, "queues")                       \
    X(BINDINGS, "bindings")

enum lv_list {
#define X(id, name) LV_LIST_##id,
    LV_LISTS(X)
#undef X
        LV_LIST_COUNT,
};
extern const char *const lv_list_names[LV_LIST_COUNT];

/* One item, checked; its views lie in the arena of its definitions. */
struct lv_item {
    struct lv_ptrmap_entry entry; /* first; in `names`, of what others refer to */
    enum lv_list list;
    uint32_t number, file;
    enum lv_outcome_of_import outcome;
    const char *note;
    bool is_out; /* never applied: `note` says why */
    struct lv_bytes vhost, name;
    union {
        struct {
            struct lv_user_record record;
            bool has_limits;
        } user;
        struct {
            struct lv_vhost_record record;
            bool has_description, has_tags, has_type, has_limits, has_protection;
        } vhost_;
        struct lv_permission_record permission;
        struct lv_topic_permission_record topic_permission;
        struct {
            struct lv_bytes component, value; /* of policies too */
        } parameter;
        struct lv_exchange_spec exchange;
        struct {
            struct lv_bytes arguments;
            bool durable, auto_delete;
        } queue;
        struct {
            struct lv_bytes source, key, arguments;
            bool to_exchange;
        } binding; /* name: the destination */
    };
};

struct lv_chunk;

struct lv_definitions {
    struct lv_chunk *chunks;
    struct lv_item **items; /* by file, and in it by list */
    size_t count, cap;
    struct lv_ptrmap names; /* users, virtual hosts, exchanges, queues that the files have */
    char **files;           /* own; labels for `why`, NULL: none */
    uint32_t file_count;
    struct lv_bytes vhost; /* empty: of the whole broker */
    bool has_users, has_vhosts;
    enum lv_hash_algorithm hashing; /* of passwords in the clear */
    char digest[160];               /* of the files, as "algorithm:hex"; "": not asked for */
    /* steps */
    bool is_dry, is_applying;
    size_t at;
    _Atomic uint64_t done, total;
};

/* An empty one. LV_ENOMEM. */
enum lv_err lv_definitions_new(const struct lv_settings *s, struct lv_bytes vhost,
                               struct lv_definitions **out) LV_MUST_USE;
/* Adds what a text says; `file` (may be NULL) is named in `why`. As lv_definitions_parse. */
enum lv_err lv_definitions_add(struct lv_definitions *d, const char *file, struct lv_bytes text,
                               char *why, size_t cap) LV_MUST_USE;
/* The item of the files with these names, or NULL. `vhost` is empty for users and virtual hosts. */
struct lv_item *lv_definitions_find(const struct lv_definitions *d, enum lv_list list,
                                    struct lv_bytes vhost, struct lv_bytes name);
/* Writes "FILE: queues[3] 'q' in vhost '/': " and the reason. */
void lv_definitions_blame(const struct lv_definitions *d, const struct lv_item *item, char *why,
                          size_t cap, const char *reason);

/* definitions_boot.c: applies what lv_broker_use_definitions gave. */
enum lv_err lv_definitions_boot(struct lv_broker *b) LV_MUST_USE;

#endif
