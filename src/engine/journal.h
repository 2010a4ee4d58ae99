/* engine/journal.h - the log as queues see it: what they write down, and what they read back.
 *
 * One journal a loop. A queue that has one writes a record for each change that must survive before it makes the
 * change in memory; it may keep the place of a message in the log instead of the message, and asks for it back when its
 * turn comes. A place is 8 bytes: size class, LSN, flags.
 * Owner    the loop's thread, as its queues.
 * Records  docs/formats/messages.md.
 */
#ifndef LV_ENGINE_JOURNAL_H
#define LV_ENGINE_JOURNAL_H
#include "base/list.h"
#include "engine/message.h"
#include "store/wal.h"

struct lv_journal;
struct lv_queue;
struct lv_load;

enum lv_journal_rec {
    LV_REC_MESSAGE = LV_REC_FIRST, /* a message; and its place in a queue, if it names one */
    LV_REC_ENTER,                  /* a message that is in the log already enters a queue */
    LV_REC_DROP,                   /* messages left a queue: ranges of sequence numbers */
    LV_REC_PART,                   /* a part of a body that is too large for one record */
    LV_REC_PAGE,                   /* entries of a long queue */
    LV_REC_STATE,                  /* all of a queue at one moment; replaces what was before */
    LV_REC_HANDED, /* messages before this sequence number may have been handed out */
    LV_REC_TX,     /* a transaction, or one loop's part of it */
    LV_REC_COMMIT, /* the parts of this transaction count */
    LV_REC_COUNT,  /* how often the delivery of a message has failed */
};

#define LV_QUEUE_ID_NONE UINT64_C(0) /* a message that is in no queue by its own record */

/* ---- places ---- */
#define LV_PLACE_IN_LOG UINT64_C(1)  /* always set: it is no pointer */
#define LV_PLACE_PASSING UINT64_C(2) /* a transient message: gone after a restart */
#define LV_PLACE_EXPIRES \
    UINT64_C(4) /* a message with a time to live of its own; of a page: it has one */
#define LV_PLACE_LSN UINT64_C(0x00FFFFFFFFFFFFF8)

static inline lv_lsn lv_place_lsn(uint64_t place)
{
    return place & LV_PLACE_LSN;
}
static inline unsigned lv_place_class(uint64_t place)
{
    return (unsigned)(place >> 56);
}
static inline bool lv_place_is_passing(uint64_t place)
{
    return (place & LV_PLACE_PASSING) != 0;
}
/* Sizes in 256 steps of at most an eighth: the smallest class that holds `bytes`, and what a class holds at most. */
unsigned lv_size_class(uint64_t bytes);
uint64_t lv_class_bytes(unsigned size_class);
/* Place of a message that is in the log (m->lsn). */
uint64_t lv_place_of(const struct lv_msg *m);
/* Bytes its record takes in the wal, parts included. */
uint64_t lv_msg_log_bytes(const struct lv_msg *m);

/* ---- what is alive in a file of the wal, by this appender's account ---- */
struct lv_live {
    int64_t refs;    /* entries, pages and states that survive a restart */
    int64_t bytes;   /* of them, by size class */
    int64_t passing; /* entries that do not, and references on their way between loops */
    int64_t passing_bytes;
};

/* What one loop has to do for a transaction. Bodies are logged before (LV_QUEUE_ID_NONE). */
struct lv_tx_enter {
    uint64_t id, seq, place;
};
struct lv_tx_drop {
    uint64_t id, seq;
};
struct lv_tx_collected {
    struct lv_tx_enter *enters;
    struct lv_tx_drop *drops;
    size_t enter_count, enter_cap, drop_count, drop_cap;
    bool is_short; /* memory ran out: it may not count */
};

struct lv_journal_ops {
    /* Reads what `load` asks for, now or later; then lv_load_return(load, queue). Takes `load`. */
    void (*load)(struct lv_journal *j, struct lv_load *load);
};

struct lv_journal {
    struct lv_wal *wal;
    unsigned appender;
    const struct lv_journal_ops *ops;
    void *ctx;
    struct lv_live *live;   /* by file number modulo LV_WAL_FILES_MAX */
    _Atomic uint32_t *back; /* shared: by file, how many files back its messages' parts reach */
    lv_lsn end; /* of the last record appended here: what must be stable for all of them to be */
    uint64_t here_bytes;  /* of messages that wait in memory in these queues */
    uint64_t here_max;    /* for messages that are in the log anyway */
    uint64_t passing_max; /* for others, which go to the log above it */
    uint64_t damaged;     /* messages that could not be read back, and were passed over */
    uint64_t rescued;     /* pages that could not be, and were put together again */
    bool is_collecting;   /* between lv_journal_tx_begin and end */
    struct lv_tx_collected collected;
    uint32_t open_parts; /* transactions whose commit is not appended yet: no states meanwhile */
    uint32_t open_sheds; /* loads that will tell what of purged pages is not alive: no states meanwhile */
    struct lv_link changed; /* queues changed since their last state */
    struct lv_link blocked; /* queues that wait for something to be stable before they hand out */
    struct lv_link failed;  /* queues that could not read, or had no memory: lv_journal_retry */
    struct lv_load *sheds;  /* loads that could not be carried out, open all the same */
};

/* `log` is open. LV_ENOMEM. */
enum lv_err lv_journal_init(struct lv_journal *j, struct lv_wal *wal, unsigned appender,
                            _Atomic uint32_t *back, const struct lv_journal_ops *ops,
                            void *ctx) LV_MUST_USE;
void lv_journal_fini(struct lv_journal *j);
/* What became stable may be handed out. After each lv_wal_stable() that grew. */
void lv_journal_stable(struct lv_journal *j, uint64_t now);
/* What failed is tried again: to be called LV_RETRY_MS after there was something. */
#define LV_RETRY_MS 100u
static inline bool lv_journal_has_failed(const struct lv_journal *j)
{
    return !lv_list_empty(&j->failed) || j->sheds != NULL;
}
void lv_journal_retry(struct lv_journal *j, uint64_t now);

/* Appends one record made of `parts`. */
enum lv_err lv_journal_append(struct lv_journal *j, uint8_t type, const struct lv_bytes *parts,
                              size_t count, lv_lsn *lsn) LV_MUST_USE;
/* `m` enters queue `id` with `seq`: a record of its own with the body, or a short one when it is in the log already. With
 * LV_QUEUE_ID_NONE only the body is logged. Notes m->lsn. `is_moved`: anew, whatever m->lsn says. */
enum lv_err lv_journal_message(struct lv_journal *j, uint64_t id, uint64_t seq, struct lv_msg *m,
                               bool is_moved) LV_MUST_USE;

/* What is at `lsn` needs what is from `first` on: those files stay as long as the one of `lsn`. */
void lv_journal_note_back(struct lv_journal *j, lv_lsn first, lv_lsn lsn);

struct lv_seq_range {
    uint64_t seq, count;
};
/* The delivery of that message of queue `id` has failed `count` times. */
enum lv_err lv_journal_count(struct lv_journal *j, uint64_t id, uint64_t seq,
                             uint32_t count) LV_MUST_USE;
/* Messages left queue `id`. */
enum lv_err lv_journal_drop(struct lv_journal *j, uint64_t id, const struct lv_seq_range *ranges,
                            size_t count) LV_MUST_USE;

/* One more, or (`n` -1) one less, counts as alive at `place`. */
static inline void lv_journal_live(struct lv_journal *j, uint64_t place, int n)
{
    struct lv_live *live =
        &j->live[lv_lsn_file(lv_place_lsn(place), lv_wal_file_bytes(j->wal)) % LV_WAL_FILES_MAX];

    if (lv_place_is_passing(place)) {
        live->passing += n;
        live->passing_bytes += n * (int64_t)lv_class_bytes(lv_place_class(place));
        return;
    }
    live->refs += n;
    live->bytes += n * (int64_t)lv_class_bytes(lv_place_class(place));
}
/* A reference on its way from one loop to another. */
static inline void lv_journal_hold(struct lv_journal *j, lv_lsn lsn, int n)
{
    j->live[lv_lsn_file(lsn, lv_wal_file_bytes(j->wal)) % LV_WAL_FILES_MAX].passing += n;
}

/* ---- transactions ---- */
/* Until the end, what queues of this journal log of messages that enter and leave is collected and not appended. */
void lv_journal_tx_begin(struct lv_journal *j);
/* Appends what was collected, as lv_journal_tx. LV_ENOMEM: some of it is missing. */
enum lv_err lv_journal_tx_end(struct lv_journal *j, uint64_t tx) LV_MUST_USE;
/* Appends them. tx 0: this is all of the transaction, and it counts at once if it fits into one record. Otherwise it
 * counts with lv_journal_commit(tx). */
enum lv_err lv_journal_tx(struct lv_journal *j, uint64_t tx, const struct lv_tx_enter *enters,
                          size_t enter_count, const struct lv_tx_drop *drops,
                          size_t drop_count) LV_MUST_USE;
enum lv_err lv_journal_commit(struct lv_journal *j, uint64_t tx) LV_MUST_USE;

/* ---- records, read ---- */
struct lv_rec_message {
    uint64_t id, seq;
    uint64_t published_ms; /* wall clock */
    bool persistent, is_moved, has_expiration, has_priority, is_ttl_seconds, has_died;
    uint8_t priority;
    uint32_t ttl, body_len;
    struct lv_bytes exchange, key, props;
    struct lv_bytes body;  /* or, with parts: */
    struct lv_bytes parts; /* u64 LSNs */
};
/* false: not one. Views the payload. */
bool lv_rec_message_parse(struct lv_bytes payload, struct lv_rec_message *out);
/* Place of a message record at `lsn`. */
uint64_t lv_rec_message_place(const struct lv_rec_message *m, lv_lsn lsn);

#endif
