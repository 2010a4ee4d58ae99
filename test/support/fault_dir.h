/* support/fault_dir.h - a directory in front of another one, whose n-th call fails.
 *
 *   struct fault_dir *fault = fault_dir_new(sim_dir_door(disk));
 *   for (uint64_t n = 1;; n++) {
 *       fault_dir_fail(fault, FAULT_ANY, n, LV_EIO, FAULT_ONCE);
 *       ... a whole run on fault_dir_door(fault) ...
 *       if (fault_dir_hits(fault) == 0)
 *           break;                                    every call has failed once
 *   }
 *
 * Thread  any, for everything.
 */
#ifndef LV_SUPPORT_FAULT_DIR_H
#define LV_SUPPORT_FAULT_DIR_H
#include <stdint.h>

#include "os/file.h"

struct fault_dir;

/* One a call of the file door; ANY counts them together. What cannot fail (close) is not counted. */
#define FAULT_KINDS(X) \
    X(OPEN)            \
    X(READ)            \
    X(WRITE)           \
    X(SYNC)            \
    X(RESERVE)         \
    X(RESIZE)          \
    X(SIZE)            \
    X(RENAME)          \
    X(UNLINK)          \
    X(DIR_SYNC)        \
    X(LIST)            \
    X(SPACE)           \
    X(ANY)

enum fault_kind {
#define X(name) FAULT_##name,
    FAULT_KINDS(X)
#undef X
        FAULT_KIND_COUNT,
};

enum fault_how {
    FAULT_ONCE = 0,
    FAULT_STICKY = 1 << 0, /* the n-th call of the kind and all after it */
    FAULT_SHORT = 1 << 1,  /* a write writes its first half before it fails */
};

/* Borrows `inner`. Never NULL: a test that runs out of memory aborts. */
struct fault_dir *fault_dir_new(struct lv_dir *inner);
/* Files must be closed before. NULL is allowed. */
void fault_dir_free(struct fault_dir *fault);
/* The directory as the code under test sees it, owned by `fault`. Closing it closes the inner one. */
struct lv_dir *fault_dir_door(struct fault_dir *fault);

/* From now on the `nth` call of `kind` (1: the next) fails with `err`, and errno to fit; the inner directory does not
 * hear of it. Counts begin again. 0: nothing fails. `how` is a set of enum fault_how. */
void fault_dir_fail(struct fault_dir *fault, enum fault_kind kind, uint64_t nth, enum lv_err err,
                    unsigned how);
/* While paused nothing fails and nothing is counted: for a test that looks for itself. */
void fault_dir_pause(struct fault_dir *fault, bool is_paused);
/* Calls of `kind` and calls that were made to fail, since the last fault_dir_fail. */
uint64_t fault_dir_count(struct fault_dir *fault, enum fault_kind kind);
uint64_t fault_dir_hits(struct fault_dir *fault);

/* Name of a kind as in FAULT_KINDS, static. */
const char *fault_kind_name(enum fault_kind kind);

#endif
