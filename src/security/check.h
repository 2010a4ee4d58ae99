/* security/check.h - the one question: may this pass do that? Everything that is not allowed is refused.
 *
 * lv_check_operation is the choke point: what a protocol's method needs stands in operation.def, and nowhere else; a
 * session asks it before it asks the broker anything, so that what is refused is refused alike whether the name exists
 * or not. The two functions above it answer for a single name.
 * Owner   the pass's loop, in a reader's section. A cache belongs to one channel of one pass.
 * Cost    a repeated question is answered by the cache in a few compares; else three or four hash lookups and a match.
 */
#ifndef LV_SECURITY_CHECK_H
#define LV_SECURITY_CHECK_H
#include "security/pass.h"

struct lv_pattern;

enum lv_verb { LV_CONFIGURE, LV_WRITE, LV_READ };
enum lv_thing { LV_THING_QUEUE, LV_THING_EXCHANGE };

#define LV_CHECK_CACHE_ENTRIES 8u
#define LV_CHECK_CACHE_BYTES 62u /* longer names are looked up each time */

/* What was allowed lately, at one version of the directory. Zeroed is empty. */
struct lv_check_cache {
    uint64_t version;
    uint32_t next; /* the entry to be replaced */
    struct lv_check_cached {
        uint8_t what; /* 0: none */
        uint8_t len;
        uint8_t text[LV_CHECK_CACHE_BYTES];
    } entries[LV_CHECK_CACHE_ENTRIES];
    /* By verb, write and read: the topic permission whose variables were replaced last. */
    struct lv_check_topic {
        const void *value; /* identity of the record at `version` */
        struct lv_pattern *pattern;
    } topics[2];
};

void lv_check_cache_fini(struct lv_check_cache *cache);

/* May it? The exchange without a name is asked for as amq.default (RabbitMQ). `cache` may be NULL. */
bool lv_check(const struct lv_pass *p, struct lv_check_cache *cache, enum lv_thing thing,
              struct lv_bytes name, enum lv_verb verb);
/* And this routing key of this topic exchange? Yes, where no topic permission is set for the exchange. */
bool lv_check_topic(const struct lv_pass *p, struct lv_check_cache *cache, struct lv_bytes exchange,
                    struct lv_bytes key, enum lv_verb verb);

enum lv_operation {
#define LV_OPERATION(id, name, steps) LV_OP_##id,
#include "security/operation.def"
#undef LV_OPERATION
    LV_OPERATION_COUNT,
};

/* What an operation is about; operation.def says which it looks at. */
struct lv_operands {
    struct lv_bytes name;  /* what the method names: queue, exchange, destination of a binding */
    struct lv_bytes other; /* source of a binding; alternate or dead letter exchange */
    struct lv_bytes key;   /* routing key */
    const struct lv_bytes *more_keys; /* CC and BCC */
    size_t more_count;
    bool is_topic;           /* the exchange that the key is for exists and is of type topic */
    bool is_server_made;     /* name: made by the broker (amq.gen-...) */
    struct lv_bytes user_id; /* property of a message */
    bool has_user_id;
};

/* LV_OK, or LV_EREFUSED with reply code and text. */
enum lv_err lv_check_operation(const struct lv_pass *p, struct lv_check_cache *cache,
                               enum lv_operation operation, const struct lv_operands *on,
                               struct lv_refusal *why) LV_MUST_USE;
/* "queue.declare" ... static. */
const char *lv_operation_name(enum lv_operation operation);

#endif
