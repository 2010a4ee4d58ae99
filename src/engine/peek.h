/* engine/peek.h - a look at what lies in a queue: nothing is taken, counted or marked.
 *
 * On the queue's thread lv_queue_peek notes what there is: messages in memory, and the places of those that are only in
 * the log. lv_peek_read fetches these, on a thread that may wait for the disk. What leaves the queue in between may be
 * shown all the same, or be missing.
 * Owner   the caller: one thread at a time.
 */
#ifndef LV_ENGINE_PEEK_H
#define LV_ENGINE_PEEK_H
#include "engine/load.h"
#include "engine/queue.h"

#define LV_PEEK_MAX 500u              /* messages in one look */
#define LV_PEEK_BYTES_MAX (16u << 20) /* of them, unless a single one is larger */

struct lv_peeked {
    uint64_t position; /* grows from the head to the tail; a message keeps it as long as it is in the queue */
    struct lv_msg *msg;             /* pins; NULL: it could not be read */
    uint64_t place;                 /* private: of one that is only in the log */
    bool is_unsettled, redelivered; /* redelivered: whoever gets it next is told so */
};

struct lv_peek {
    /* what is asked for; the rest is zero */
    bool ready, unsettled;
    uint64_t from; /* the first position that counts */
    uint32_t max;  /* at most LV_PEEK_MAX */
    /* what there is */
    struct lv_peeked *at; /* own memory; by position */
    uint32_t count;       /* may be less than max although there is more */
    bool has_more;        /* from position `next` on */
    uint64_t next;
    /* private */
    uint64_t redelivered_below;
    struct lv_load_page page; /* count 0: none. It stands behind the others */
    bool is_page_last;
};

/* Looks. A queue in which very much is unsettled takes some milliseconds. LV_ENOMEM. */
enum lv_err lv_queue_peek(const struct lv_queue *q, struct lv_peek *peek) LV_MUST_USE;
/* What must be in the file before lv_peek_read; 0: all is here already. */
lv_lsn lv_peek_needs(const struct lv_peek *peek);
/* Reads what is only in the log. */
void lv_peek_read(struct lv_peek *peek, struct lv_journal *journal, struct lv_wal_reader *reader);
/* Gives back what it holds. */
void lv_peek_fini(struct lv_peek *peek);

#endif
