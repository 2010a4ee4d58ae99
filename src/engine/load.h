/* engine/load.h - reading messages and pages back from the wal, wherever a thread may block for it.
 *
 * A load is made by a queue, handed to lv_journal_ops.load, carried out by lv_load_run() on a thread that may wait for
 * the disk, and given back with lv_load_return(). It names its queue by the owner's number, so that the queue may
 * be gone when it comes back.
 */
#ifndef LV_ENGINE_LOAD_H
#define LV_ENGINE_LOAD_H
#include "base/time.h"
#include "engine/journal.h"
#include "store/worker.h"

enum lv_load_kind {
    LV_LOAD_READY, /* messages of the ready list, from `order` on */
    LV_LOAD_SLOT,  /* the message in `slot` */
    LV_LOAD_PAGE,  /* the page that begins with `order` */
    LV_LOAD_SHED,  /* pages of a queue that is gone: what is in them counts as alive no more */
    LV_LOAD_MOVE,  /* messages to be carried forward; orders[] tells which */
};

struct lv_entry;

/* A page as its queue knows it: what it must hold, also to find that again when the page itself is damaged. */
struct lv_load_page {
    uint64_t id; /* of the queue; LV_QUEUE_ID_NONE: its messages are not logged under one */
    uint64_t place, first, last; /* orders of its first and last entry */
    uint32_t count;
};

struct lv_load {
    struct lv_job job;          /* first; the carrier's */
    struct lv_journal *journal; /* to which it comes back */
    uint64_t queue;             /* lv_queue_options.name */
    uint32_t generation;
    enum lv_load_kind kind;
    uint32_t slot, count;
    uint64_t order;
    struct lv_load_page page; /* PAGE */
    /* results */
    struct lv_msg **msgs; /* READY, SLOT, MOVE: `count` of them, fewer after an error; NULL in it: damaged */
    struct lv_entry *entries;   /* PAGE, SHED */
    uint32_t entry_count, done; /* done: SHED, places before an error */
    bool is_rescued;  /* PAGE: put together from the records of its messages; some may be missing */
    uint32_t tries;   /* SHED: that failed, one after the other */
    enum lv_err err;  /* LV_ENOMEM, LV_EIO: may be tried again; PAGE: LV_ECORRUPT */
    uint64_t *orders; /* MOVE */
    uint64_t places[];
};

#define LV_LOAD_MESSAGES_MAX 512u
#define LV_LOAD_BYTES 524288u /* of records, in one load; one message may be larger */

struct lv_load *lv_load_new(enum lv_load_kind kind, uint32_t count) LV_MUST_USE;
/* Gives its results to `q`, the queue that load->queue names, or NULL when that is gone; then dispatches. Takes it. On the
 * queue's thread. */
void lv_load_return(struct lv_load *load, struct lv_queue *q, lv_time_ms now);
/* Drops what it still holds. */
void lv_load_free(struct lv_load *load);
/* Reads. Whatever fails is told in the results. Any thread, with its own reader. */
void lv_load_run(struct lv_load *load, struct lv_wal_reader *reader);

#endif
