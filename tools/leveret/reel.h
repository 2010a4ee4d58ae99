/* tools/leveret/reel.h - a run of ready-made messages that a producer sends round and round.
 *
 * Publish, header and body frames are encoded once; afterwards a turn of the reel costs one large write and,
 * when messages are stamped, a few stores into each. Owned by one producer.
 */
#ifndef LV_TOOL_REEL_H
#define LV_TOOL_REEL_H
#include "fault.h"
#include "stamp.h"

/* Where a message goes and what it says to the exchange. Views. */
struct lv_route {
    const char *exchange, *key;
    struct lv_bytes headers; /* encoded table with its length in front; empty: none */
};

struct lv_reel_spec {
    const struct lv_route *routes; /* borrows; used in turn */
    size_t route_count;
    size_t body_bytes;
    size_t bytes_wanted; /* size of the reel, if the routes do not need more */
    uint32_t frame_max;
    bool is_persistent;
    struct lv_stamp stamp;
};

struct lv_reel {
    uint8_t *bytes;
    size_t *start;   /* of message i in bytes; start[count] is the end */
    size_t *body_at; /* of message i: first byte of its body */
    size_t count;
    uint64_t rest_hash; /* of the body behind the stamp */
    struct lv_stamp stamp;
};

bool lv_reel_init(struct lv_reel *reel, const struct lv_reel_spec *spec, struct lv_fault *fault);
void lv_reel_fini(struct lv_reel *reel);

static inline void lv_reel_stamp_time(struct lv_reel *reel, size_t i, uint64_t time_ns)
{
    lv_put_be64(reel->bytes + reel->body_at[i] + lv_stamp_time_at(reel->stamp), time_ns);
}

static inline void lv_reel_stamp_sequence(struct lv_reel *reel, size_t i, uint64_t producer,
                                          uint64_t sequence)
{
    uint8_t *body = reel->bytes + reel->body_at[i];
    uint64_t word = lv_stamp_word(producer, sequence);

    lv_put_be64(body, word);
    lv_put_be64(body + lv_stamp_sum_at(reel->stamp), lv_stamp_sum(word, reel->rest_hash));
}

#endif
