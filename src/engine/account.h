/* engine/account.h - what is alive in which file of the log, and the checkpoint that says so.
 *
 * Each loop tells, at a moment of its own and just after its queues' states were written: what counts as alive by its
 * journal, and where the states are. All of them together are a checkpoint, and decide which files are given up.
 * Thread   an account belongs to whoever holds it; the loop's own while it is noted.
 */
#ifndef LV_ENGINE_ACCOUNT_H
#define LV_ENGINE_ACCOUNT_H
#include "engine/journal.h"
#include "store/store.h"

struct lv_account {
    struct lv_live *live; /* of the files from `first` to the one that the log was in at that moment */
    uint64_t first;
    size_t file_count;
    struct lv_checkpoint_queue *queues;
    size_t queue_count, queue_cap;
    lv_lsn end;    /* what must be stable for all of it to be true after a cut */
    bool is_short; /* the caller's: memory was short, and it says nothing */
};

/* What is alive in the files from `first` on. LV_ENOMEM. */
enum lv_err lv_account_note(struct lv_account *a, const struct lv_journal *j,
                            uint64_t first) LV_MUST_USE;
/* The place of a queue's state, if it has one. LV_ENOMEM. */
enum lv_err lv_account_queue(struct lv_account *a, const struct lv_queue *q) LV_MUST_USE;
void lv_account_fini(struct lv_account *a);

/* A checkpoint from which the walk begins at `from`; lv_checkpoint_fini() it in any case. LV_ENOMEM. */
enum lv_err lv_account_checkpoint(const struct lv_account *accounts, unsigned count, lv_lsn from,
                                  _Atomic uint32_t *back, struct lv_checkpoint *out) LV_MUST_USE;

enum lv_fate {
    LV_FATE_STAYS,
    LV_FATE_DOOMED, /* little in it is alive: worth carrying forward */
    LV_FATE_DEAD,   /* may be removed, once that checkpoint stands */
};
/* Of a file before `last`, the one that the walk begins in. */
enum lv_fate lv_account_fate(const struct lv_account *accounts, unsigned count, uint64_t last,
                             _Atomic uint32_t *back, uint64_t file_bytes, uint64_t file);

/* At the start: `j` begins with what a checkpoint says is alive; NULL: with nothing. */
void lv_account_restore(struct lv_journal *j, const struct lv_checkpoint *c);
/* Behind lv_account_restore: files in which a walk found damage stay, each with the one before it, for whoever wants to rescue
 * what is in them. */
void lv_account_keep_damaged(struct lv_journal *j, const struct lv_wal_report *report);
/* Every file stays: something that is alive may be in any of them. */
void lv_account_keep_all(struct lv_journal *j);

#endif
