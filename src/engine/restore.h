/* engine/restore.h - from the records of a log to the queues they tell of.
 *
 * Begins with the states that a checkpoint names, goes on with every record behind it in order, ends with what is left of
 * each queue. The same code serves the start, a start without a checkpoint (then the whole log is walked and what is
 * alive is counted anew), and inspection.
 */
#ifndef LV_ENGINE_RESTORE_H
#define LV_ENGINE_RESTORE_H
#include "engine/journal.h"

struct lv_recovery;
struct lv_queue;

/* `j` takes the account of what is alive, and lends its wal; `reader` is borrowed. `counts` false: what is alive is not
 * known and is counted at the end. LV_ENOMEM. */
enum lv_err lv_recovery_new(struct lv_journal *j, struct lv_wal_reader *reader, bool counts,
                            struct lv_recovery **out) LV_MUST_USE;
void lv_recovery_free(struct lv_recovery *r);

/* What else the topology tells: queue ids from `next_id` on were not given yet; with `is_damaged` queues may be missing
 * from it. A queue that it should know and does not is kept then, not given up. Before anything else is said. */
void lv_recovery_topology(struct lv_recovery *r, uint64_t next_id, bool is_damaged);
/* A queue that exists. LV_ENOMEM. */
enum lv_err lv_recovery_queue(struct lv_recovery *r, uint64_t id) LV_MUST_USE;
/* Its state as the checkpoint names it (also for one that does not exist any more: what it had is given up then).
 * LV_ECORRUPT: it cannot be read. */
enum lv_err lv_recovery_state(struct lv_recovery *r, uint64_t id, lv_lsn state) LV_MUST_USE;
/* One record: lv_wal_visit. */
enum lv_err lv_recovery_visit(void *recovery, uint8_t type, lv_lsn lsn, struct lv_bytes payload);
/* All records were visited: gives up what belongs to no queue, counts. LV_ENOMEM; LV_ECORRUPT only counts up `damaged`. */
enum lv_err lv_recovery_end(struct lv_recovery *r) LV_MUST_USE;

/* Has it anything to be put into a queue? */
bool lv_recovery_has(const struct lv_recovery *r, uint64_t id);
/* Puts it into `q`, new and attached. LV_ENOMEM. */
enum lv_err lv_recovery_fill(struct lv_recovery *r, uint64_t id, struct lv_queue *q) LV_MUST_USE;

struct lv_recovery_facts {
    uint64_t queues, messages, pages;
    uint64_t damaged; /* pages and states that could not be read, records that make no sense */
    uint64_t rescued; /* of the pages: put together again, whole, from the records of their messages */
    uint64_t unknown_queues, unknown_messages; /* kept though the topology does not know them */
    uint64_t next_id;                          /* no queue has this id or a greater one */
    uint64_t open_tx;                          /* transactions without a commit: forgotten */
};
void lv_recovery_facts(const struct lv_recovery *r, struct lv_recovery_facts *out);
struct lv_recovery_queue_facts {
    uint64_t seq_next, handed; /* messages below `handed` may have been handed out before */
    uint64_t messages, pages;
    lv_lsn state; /* 0: none */
};
void lv_recovery_queue_facts(const struct lv_recovery *r, uint64_t id,
                             struct lv_recovery_queue_facts *out);
/* What a queue holds, for tools and tests: calls `each` with every message in order. LV_ECORRUPT: a page is unreadable. */
enum lv_err lv_recovery_walk(struct lv_recovery *r, uint64_t id,
                             void (*each)(void *ctx, uint64_t seq, uint64_t place, bool redelivered),
                             void *ctx) LV_MUST_USE;

#endif
