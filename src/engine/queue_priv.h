/* engine/queue_priv.h - a queue's parts, for the files that make it up:
 *
 *   queue.c     the commands                       keep.c     what is written down, what is away, what comes back
 *   state.c     a queue as a record                restore.c  from records to queues again
 *   move.c      messages carried forward           sweep.c    what may not stay
 *   lanes.c     ready lists by priority            marks.c    what is known of single messages
 */
#ifndef LV_ENGINE_QUEUE_PRIV_H
#define LV_ENGINE_QUEUE_PRIV_H
#include "base/mem.h"
#define HASH_NONFATAL_OOM 1 /* a mark that cannot be kept is one less */
#define uthash_malloc(bytes) lv_mem_alloc((bytes), LV_TAG_QUEUE)
#define uthash_free(ptr, bytes) lv_mem_free((ptr), LV_TAG_QUEUE)
#include <uthash.h>

#include "engine/load.h"
#include "engine/queue.h"
#include "engine/ready_priv.h"
#include "engine/returned_priv.h"
#include "engine/round_priv.h"

/* The ready messages of one priority. */
struct lv_lane {
    struct lv_ready ready;
    struct lv_lane *next; /* of a lower priority */
    unsigned number;      /* smaller ones first: the lane in their sequence numbers */
};

/* What is known of a message beside its place; most have none. */
struct lv_mark {
    uint64_t seq;
    uint32_t failures;
    bool is_doomed; /* it dies as soon as it is here */
    enum lv_death why;
    UT_hash_handle hh;
};

struct lv_queue {
    const struct lv_queue_sink *sink;
    uint64_t seq_next; /* count of the next message that gets a place */
    uint64_t ready_bytes, unsettled_bytes;
    uint64_t passing; /* of a durable queue: ready and unsettled messages that are not persistent */
    struct lv_round round;
    struct lv_returned returned;
    struct lv_lane *lanes; /* by number; never empty */
    struct lv_lane *head;  /* the first one with messages in it; with none, any */
    struct lv_lane common; /* the only one, mostly */
    struct lv_slots slots; /* unsettled, returned and dying */
    uint16_t levels;       /* of message priorities; 0: there are none */
    uint8_t usual;

    /* what may not stay */
    bool may_expire; /* a message with a time to live of its own may be in it */
    bool is_swept;   /* there may be something for lv_queue_sweep */
    uint32_t dying;
    uint64_t guessed_bytes; /* of ready_bytes: messages from before the restart that were not read yet, by their records */
    lv_time_ms blocked_at;        /* since when a taker waits for the log; 0: none does */
    lv_time_ms wake_at;           /* asked for; LV_QUEUE_NO_LIMIT: nothing is */
    struct lv_queue_rules *rules; /* NULL: none */
    struct lv_mark *marks;        /* by sequence number */

    /* for whoever shows it */
    uint64_t seq_base; /* of the first message since lv_queue_new or the restart */
    uint64_t through;  /* messages that went to a no_ack consumer at once, without a place */
    struct lv_queue_totals out; /* without these */
    void *owner;

    /* the log */
    struct lv_journal *journal; /* NULL: none, and all below is unused */
    uint64_t id, name;
    bool is_noted; /* that the counts changed; or nobody watches */
    bool is_durable;
    bool is_loading; /* one load at a time is on its way */
    bool is_moving;  /* a load for lv_queue_move is on its way */
    bool is_stuck;   /* the last one moved nothing */
    bool is_asking;  /* inside of ops->load */
    bool has_failed; /* in the journal's `failed`: nothing is fetched until it is tried again */
    uint8_t failed_reads; /* of what is next, one after the other */
    bool wants_get;       /* a get found that it has to wait */
    uint32_t generation;  /* of the ready list: loads for an earlier one are for nobody */
    uint64_t here_bytes;  /* of messages in the ready list that are in memory */
    uint64_t unsettled_here_bytes;
    uint64_t handed_to; /* HANDED says so: what has a smaller seq may be handed out, once stable */
    uint64_t handed_ok; /* as much of it as is stable */
    lv_lsn handed_end;  /* what must be stable for handed_to */
    uint64_t redelivered_below;      /* before the last restart these may have been handed out */
    uint64_t state_place;            /* of its last state; 0: none */
    struct lv_link changed, blocked; /* in the journal's lists; `blocked` in `failed` too */
    /* Messages and pages that could not be read, each a chunk of its own: nobody gets them in this life. */
    struct lv_ready_chunk *passed;
};

static inline uint64_t lv_queue_ready_count(const struct lv_queue *q)
{
    uint64_t n = q->returned.count;

    for (const struct lv_lane *lane = q->lanes; lane != NULL; lane = lane->next)
        n += lane->ready.count;
    return n;
}
static inline bool lv_queue_has_ready(const struct lv_queue *q)
{
    return q->returned.count != 0 || q->head->ready.count != 0;
}
/* The lane of a message that gets a place now. */
static inline unsigned lv_queue_lane_of(const struct lv_queue *q, const struct lv_msg *msg)
{
    if (LV_LIKELY(q->levels == 0))
        return 0;
    unsigned priority = msg->has_priority ? msg->priority : q->usual;
    return priority < q->levels ? q->levels - 1u - priority : 0;
}
static inline uint64_t lv_queue_next_seq(const struct lv_queue *q, const struct lv_msg *msg)
{
    return (uint64_t)lv_queue_lane_of(q, msg) << LV_SEQ_LANE_SHIFT | q->seq_next;
}
/* Is the next message one that came back? There is one, or a ready one. */
static inline bool lv_queue_is_returned_next(const struct lv_queue *q)
{
    if (LV_LIKELY(q->returned.count == 0))
        return false;
    return q->head->ready.count == 0 || q->returned.is_list ||
           lv_entry_lane(&lv_slot_at(&q->slots, q->returned.oldest)->entry) <= q->head->number;
}
static inline bool lv_queue_was_handed(const struct lv_queue *q, const struct lv_entry *e)
{
    return lv_entry_is_redelivered(e) || lv_entry_count(e) < q->redelivered_below;
}

/* lanes.c */
/* NULL: there is none of that number. */
struct lv_lane *lv_queue_lane(struct lv_queue *q, unsigned number);
/* Makes it, if need be. NULL: no memory. */
struct lv_lane *lv_queue_lane_make(struct lv_queue *q, unsigned number) LV_MUST_USE;
void lv_queue_lanes_free(struct lv_queue *q);
/* After a lane got its first message, or lost its last. */
void lv_queue_find_head(struct lv_queue *q);

/* The lane, which is in the queue, got a message. */
static inline void lv_queue_was_put(struct lv_queue *q, struct lv_lane *lane,
                                    const struct lv_msg *msg)
{
    if (LV_UNLIKELY(lane != q->head))
        lv_queue_find_head(q);
    if (LV_UNLIKELY(msg->has_expiration))
        q->may_expire = q->is_swept = true;
}

/* marks.c */
struct lv_mark *lv_queue_mark_slow(const struct lv_queue *q, uint64_t seq);
/* NULL: there is none. */
static inline struct lv_mark *lv_queue_mark(const struct lv_queue *q, const struct lv_entry *e)
{
    return LV_LIKELY(q->marks == NULL) ? NULL : lv_queue_mark_slow(q, lv_entry_seq(e));
}
/* Makes it, if need be. NULL: no memory. */
struct lv_mark *lv_queue_mark_make(struct lv_queue *q, uint64_t seq) LV_MUST_USE;
/* The message is gone. */
void lv_queue_unmark_slow(struct lv_queue *q, uint64_t seq);
static inline void lv_queue_unmark(struct lv_queue *q, const struct lv_entry *e)
{
    if (LV_UNLIKELY(q->marks != NULL))
        lv_queue_unmark_slow(q, lv_entry_seq(e));
}
/* All messages of these sequence numbers are. */
void lv_queue_unmark_range(struct lv_queue *q, uint64_t first, uint64_t count);
void lv_queue_marks_free(struct lv_queue *q);

/* queue.c */
/* Hands out what there is, without looking for what may not stay. */
void lv_queue_hand_out(struct lv_queue *q, lv_time_ms now);
/* Takes the first message of a lane, or the oldest that came back; it must be here. With `wants_slot` it stays in the queue under
 * d->slot, counted nowhere yet; otherwise it is gone and d->msg is the caller's reference. LV_ENOMEM: nothing changed. */
enum lv_err lv_queue_take_ready(struct lv_queue *q, struct lv_lane *lane, bool wants_slot,
                                struct lv_delivery *d) LV_MUST_USE;
void lv_queue_take_returned(struct lv_queue *q, bool wants_slot, struct lv_delivery *d);
/* A message that is only in its slot is gone, without a word in the log; or it is ready again. */
void lv_queue_forget(struct lv_queue *q, uint32_t slot);
void lv_queue_put_back(struct lv_queue *q, uint32_t slot, bool seen);

/* sweep.c */
static inline void lv_queue_tell(struct lv_queue *q, const struct lv_delivery *d, enum lv_death why)
{
    if (q->sink->died != NULL)
        q->sink->died(q->owner, d, why);
}
/* LV_OK: what is next, and here, may be handed out. LV_ENOTFOUND: it has died instead. LV_ENOMEM: it would have; LV_EAGAIN: it
 * will, when some of those that die now have been buried. */
enum lv_err lv_queue_next_lives(struct lv_queue *q, lv_time_ms now) LV_MUST_USE;
/* Ends what may not stay. */
void lv_queue_sweep(struct lv_queue *q, lv_time_ms now);
/* Must it be refused? Then it was told. */
bool lv_queue_refuses(struct lv_queue *q, struct lv_msg *msg);
/* What becomes of a message that was rejected, or whose delivery has failed; it is in its slot and counts nowhere. */
void lv_queue_not_accepted(struct lv_queue *q, uint32_t slot, enum lv_outcome outcome);

/* queue.c: the counts have changed. */
void lv_queue_note_slow(struct lv_queue *q);
static inline void lv_queue_note(struct lv_queue *q)
{
    if (LV_UNLIKELY(!q->is_noted))
        lv_queue_note_slow(q);
}

/* keep.c */
#define LV_QUEUE_AHEAD_BYTES (UINT64_C(512) << 10) /* fetched before they are needed */
/* The place of a logged entry, as this queue counts it. */
uint64_t lv_queue_place(const struct lv_queue *q, const struct lv_entry *e);
/* Must it be there after a restart? */
static inline bool lv_queue_is_kept(const struct lv_queue *q, const struct lv_entry *e)
{
    return q->is_durable && lv_entry_is_logged(e) && !lv_place_is_passing(lv_queue_place(q, e));
}
/* A message is gone for good. */
static inline void lv_queue_forget_passing(struct lv_queue *q, const struct lv_entry *e)
{
    if (q->is_durable && !lv_queue_is_kept(q, e) && q->passing != 0)
        q->passing--;
}
/* Accepts a message that goes to the ready list of a queue with a journal. */
enum lv_err lv_queue_put(struct lv_queue *q, struct lv_msg *msg) LV_MUST_USE;
/* May what is at the head be handed out now? If not, what has to happen first is on its way. */
bool lv_queue_head_can_go(struct lv_queue *q);
/* May a message that is published now go out at once? */
bool lv_queue_may_hand(struct lv_queue *q, uint64_t seq);
/* Fetches what is first away in a lane, or the oldest that came back. true: there is something new already; false: it is on its
 * way, or will be. */
bool lv_queue_fetch(struct lv_queue *q, struct lv_lane *lane);
bool lv_queue_fetch_returned(struct lv_queue *q);
/* The ready list lost `e`, which was here; for good unless it is `unsettled` now. */
void lv_queue_left_ready(struct lv_queue *q, const struct lv_entry *e, bool unsettled);
/* Logs a message that goes straight to the consumer and is in `slot` already. LV_ENOMEM: nothing happened. */
enum lv_err lv_queue_log_slot(struct lv_queue *q, struct lv_msg *msg, uint32_t slot) LV_MUST_USE;
/* Makes pages of what could not become one when it was filled, and can now. */
void lv_queue_page_more(struct lv_queue *q);
/* `n` slots are about to be forgotten: says so in the log. */
void lv_queue_drop_slots(struct lv_queue *q, const uint32_t *slots, size_t n);
/* Forgets, without a word in the log, what could not be read. */
void lv_queue_forget_passed(struct lv_queue *q);
/* Its entry counts no longer. */
void lv_queue_unlive(struct lv_queue *q, const struct lv_entry *e);
/* Drops the ready list and what was returned, in the log too. */
void lv_queue_purge_kept(struct lv_queue *q);
void lv_queue_changed(struct lv_queue *q);
/* Messages to be carried forward were read (move.c). */
void lv_queue_moved(struct lv_queue *q, struct lv_load *load);
/* What it waited for has come: hands out, and says so to who wants to get. */
void lv_queue_go_on(struct lv_queue *q, lv_time_ms now);
/* More was made stable. */
void lv_queue_unblocked(struct lv_queue *q, uint64_t now);
/* Keeps only the place of what was handed out, when there is much of it. */
void lv_queue_trim_unsettled(struct lv_queue *q, uint32_t slot);

#endif
