/* engine/queue_priv.h - a queue's parts, for the files that make it up:
 *
 *   queue.c     the commands                       keep.c     what is written down, what is away, what comes back
 *   state.c     a queue as a record                restore.c  from records to queues again
 *   move.c      messages carried forward
 */
#ifndef LV_ENGINE_QUEUE_PRIV_H
#define LV_ENGINE_QUEUE_PRIV_H
#include "engine/load.h"
#include "engine/queue.h"
#include "engine/ready_priv.h"
#include "engine/returned_priv.h"
#include "engine/round_priv.h"

struct lv_queue {
    const struct lv_queue_sink *sink;
    uint64_t seq_next; /* of the next message that gets a place */
    uint64_t ready_bytes, unsettled_bytes;
    uint64_t passing; /* of a durable queue: ready and unsettled messages that are not persistent */
    struct lv_round round;
    struct lv_returned returned;
    struct lv_ready ready;
    struct lv_slots slots; /* unsettled and returned */

    /* for whoever shows it */
    uint64_t seq_base; /* of the first message since lv_queue_new or the restart */
    uint64_t through;  /* messages that went to a no_ack consumer at once, without a place */
    struct lv_queue_totals out; /* without these */
    void *watcher;

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
    return q->ready.count + q->returned.count;
}

/* queue.c: the counts have changed. */
void lv_queue_note_slow(struct lv_queue *q);
static inline void lv_queue_note(struct lv_queue *q)
{
    if (LV_UNLIKELY(!q->is_noted))
        lv_queue_note_slow(q);
}

/* keep.c */
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
/* Fetches what is next, if little is here. */
void lv_queue_fetch_ahead(struct lv_queue *q);
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
/* More was made stable. */
void lv_queue_unblocked(struct lv_queue *q, uint64_t now);
/* Keeps only the place of what was handed out, when there is much of it. */
void lv_queue_trim_unsettled(struct lv_queue *q, uint32_t slot);

#endif
