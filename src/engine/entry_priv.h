/* engine/entry_priv.h - a message at its place in a queue: 16 bytes.
 *
 * The place is a sequence number given at publish; it is never given twice and never changes, so a
 * message that comes back finds its place again. Comparing orders compares places.
 * The message is in memory (a pointer), or only in the log (a place, with bit 0 set).
 */
#ifndef LV_ENGINE_ENTRY_PRIV_H
#define LV_ENGINE_ENTRY_PRIV_H
#include "engine/journal.h"
#include "engine/message.h"

struct lv_entry {
    union {
        struct lv_msg *msg; /* pins */
        uint64_t place;     /* lv_place_*; 0: nothing */
    };
    uint64_t order; /* sequence number * 4 + LV_ORDER_* */
};

/* A sequence number is a lane, 0 first, and a count: with message priorities those of a higher one go in a smaller lane. */
#define LV_SEQ_LANE_SHIFT 53
#define LV_SEQ_COUNT_MAX ((UINT64_C(1) << LV_SEQ_LANE_SHIFT) - 1)
static inline unsigned lv_seq_lane(uint64_t seq)
{
    return (unsigned)(seq >> LV_SEQ_LANE_SHIFT);
}
static inline uint64_t lv_seq_count(uint64_t seq)
{
    return seq & LV_SEQ_COUNT_MAX;
}

#define LV_ORDER_REDELIVERED UINT64_C(1)
#define LV_ORDER_LOGGED UINT64_C(2) /* a record of it counts as live in the log's file */
#define LV_ORDER_SHIFT 2

static inline uint64_t lv_order_make(uint64_t seq)
{
    return seq << LV_ORDER_SHIFT;
}
static inline uint64_t lv_entry_seq(const struct lv_entry *e)
{
    return e->order >> LV_ORDER_SHIFT;
}
static inline unsigned lv_entry_lane(const struct lv_entry *e)
{
    return lv_seq_lane(lv_entry_seq(e));
}
static inline uint64_t lv_entry_count(const struct lv_entry *e)
{
    return lv_seq_count(lv_entry_seq(e));
}
static inline bool lv_entry_is_redelivered(const struct lv_entry *e)
{
    return (e->order & LV_ORDER_REDELIVERED) != 0;
}
static inline bool lv_entry_is_logged(const struct lv_entry *e)
{
    return (e->order & LV_ORDER_LOGGED) != 0;
}
/* Is its message in memory? */
static inline bool lv_entry_is_here(const struct lv_entry *e)
{
    return (e->place & 1) == 0;
}
/* Has it a time to live of its own? */
static inline bool lv_entry_expires(const struct lv_entry *e)
{
    return lv_entry_is_here(e) ? e->msg->has_expiration : (e->place & LV_PLACE_EXPIRES) != 0;
}
/* Where its record stands. Logged entries only. */
static inline uint64_t lv_entry_place(const struct lv_entry *e)
{
    return lv_entry_is_here(e) ? lv_place_of(e->msg) : e->place;
}

#endif
