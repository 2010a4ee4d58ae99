/* support/sim_dir.h - a directory in memory that can lose its power.
 *
 *   struct sim_dir *disk = sim_dir_new();
 *   ... use sim_dir_door(disk) as any struct lv_dir, until sim_dir_stop_at() stops it or the test has enough ...
 *   struct sim_dir *after = sim_dir_cut(disk, &rng, SIM_CUT_ANY);
 *   ... open sim_dir_door(after), and look what is there ...
 *
 * What lasts   the contents and the size of a file at its last lv_file_sync; the names of the directory at its last
 *              lv_dir_sync: a file that was created and synced is gone when the directory was not. Nothing else.
 * What may     every later write, resize, creation, rename and removal, whole or in part, as the modes below say. Bytes
 *   last too   outside of an unsynced write are never touched by it, and a sector holds what it held at some time since
 *              its file was synced: never a later write without an earlier one to the same 512 bytes. A file that was cut short
 *              never shows its old end again.
 * Thread       any, for everything: one mutex a directory. A cut is a moment.
 * Memory       pages are shared between a directory and its cuts, so a cut costs about as much as what was written.
 */
#ifndef LV_SUPPORT_SIM_DIR_H
#define LV_SUPPORT_SIM_DIR_H
#include <stdbool.h>
#include <stdint.h>

#include "lv_test.h"
#include "os/file.h"

struct sim_dir;

/* What was not synced when the power went, and is on the disk nevertheless: */
#define SIM_CUTS(X)                                                                            \
    X(NONE, "nothing")                                                                         \
    X(ALL, "everything: what a kill -9 leaves")                                                \
    X(PREFIX, "the first n operations on files and names, as they were called")                \
    X(SECTORS, "any 512-byte sectors, each at any age; any size; names as for NAMES_PREFIX")   \
    X(TORN,                                                                                    \
      "as PREFIX, and of the next write a part: its last 4 KiB torn, then old, zeros or junk") \
    X(NAMES_LOST, "all in the files, but no creation, rename or removal")                      \
    X(NAMES_PREFIX, "all in the files, and the first n creations, renames and removals")       \
    X(ZEROS, "the sizes of files, but zeros or old bytes in them; names as for NAMES_PREFIX")

enum sim_cut {
#define X(name, text) SIM_CUT_##name,
    SIM_CUTS(X)
#undef X
        SIM_CUT_COUNT,
    SIM_CUT_ANY = SIM_CUT_COUNT, /* one of them, by the generator */
};

/* Name of a mode as in SIM_CUTS, static. */
const char *sim_cut_name(enum sim_cut mode);

/* Calls that change something, or make it last: these are counted. Opening is one only when it creates. */
#define SIM_OPS(X) X(WRITE) X(RESIZE) X(RESERVE) X(SYNC) X(CREATE) X(RENAME) X(UNLINK) X(DIR_SYNC)
enum sim_op {
#define X(name) SIM_OP_##name,
    SIM_OPS(X)
#undef X
        SIM_OP_COUNT,
};

/* An empty directory, synced. Never NULL: a test that runs out of memory aborts. */
struct sim_dir *sim_dir_new(void);
/* Files must be closed before; the door needs not be. NULL is allowed. */
void sim_dir_free(struct sim_dir *sim);
/* The directory as the code under test sees it, owned by `sim`. Closing it keeps everything: it may be used again. */
struct lv_dir *sim_dir_door(struct sim_dir *sim);

/* How many operations (SIM_OPS) have begun so far; and syncs among them. */
uint64_t sim_dir_count_ops(struct sim_dir *sim);
uint64_t sim_dir_count_syncs(struct sim_dir *sim);

/* ---- stopping: every call after that fails with LV_EIO and changes nothing ---- */
enum sim_point {
    SIM_BEFORE_SYNC, /* the n-th sync of a file or the directory fails, and syncs nothing */
    SIM_AFTER_SYNC,  /* it succeeds, and is the last call that does */
    SIM_BEFORE_OP,   /* the same for the n-th operation of any kind */
    SIM_AFTER_OP,
};
/* Counted from the making of `sim`, 1 being the first. 0: never. One stop at a time. */
void sim_dir_stop_at(struct sim_dir *sim, enum sim_point point, uint64_t nth);
void sim_dir_stop(struct sim_dir *sim);
bool sim_dir_is_stopped(struct sim_dir *sim);
/* Works again, as after a kill: what was not synced still is not. */
void sim_dir_resume(struct sim_dir *sim);

/* ---- looking on: one run of a script can be cut at every point ---- */
/* Called before (`is_done` false, not counted yet) and after each operation, on its thread, without the mutex: it may
 * cut, stop and count. */
typedef void sim_hook_fn(void *ctx, struct sim_dir *sim, enum sim_op op, bool is_done);
/* `fn` NULL: none. Set while nothing else uses `sim`. */
void sim_dir_hook(struct sim_dir *sim, sim_hook_fn *fn, void *ctx);

/* ---- cutting ---- */
/* A new directory with what could be on the disk if the power went now; everything in it is synced. `sim` stays as it is. */
struct sim_dir *sim_dir_cut(struct sim_dir *sim, struct lv_rng *rng, enum sim_cut mode);

/* ---- other misfortunes ---- */
/* The n-th sync of a file (from the making of `sim`, directory syncs counted too) fails with LV_EIO, and the kernel
 * forgets what it should have written: it is read as before, later syncs succeed, and a power cut loses it. */
void sim_dir_fail_sync_at(struct sim_dir *sim, uint64_t nth);
/* The size of the disk; growing files beyond it fails with LV_ENOSPC. 1 TiB at first. */
void sim_dir_set_space(struct sim_dir *sim, uint64_t total_bytes);
/* Overwrites bytes of a file as a bad disk would; it may grow. LV_ENOTFOUND. */
enum lv_err sim_dir_damage(struct sim_dir *sim, const char *name, uint64_t at,
                           struct lv_bytes bytes) LV_MUST_USE;

#endif
