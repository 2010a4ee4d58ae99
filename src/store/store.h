/* store/store.h - a data directory: two logs, one thread that syncs them, checkpoints.
 *
 *   store              what this directory is: format, id, file sizes (written once)
 *   messages-N.log     the log of messages: whatever queues hold (wal.h; records: engine/journal.h)
 *   topology-N.log     the log of everything that is named: queues, exchanges, bindings, users ... (records: meta.h)
 *   checkpoint         where the walk through the messages may begin, and what is alive in which file
 *   stopped            after a stop in order, until the next start: where both logs end
 *
 * A change of the topology is stable before any message record that was appended after it: one round syncs the topology
 * as it is when the messages' end has been read, first.
 * Failure  the first error of a write or sync is final: `failed` is called, once, and nothing becomes stable any more.
 * Owner    open, start and stop: one thread. The rest says it.
 */
#ifndef LV_STORE_STORE_H
#define LV_STORE_STORE_H
#include "base/times.h"
#include "store/wal.h"
#include "store/worker.h"

struct lv_store;

struct lv_store_config {
    struct lv_dir *dir;  /* takes it on LV_OK */
    unsigned appenders;  /* of each log */
    uint64_t file_bytes; /* of a new directory's message files; a power of two */
    size_t ring_bytes;   /* of the message log; a power of two */
    bool read_only;      /* for inspection: nothing is written */
    /* Log thread: more is stable, or there is room again. */
    void (*stable)(void *ctx);
    /* Any thread, once: a write or sync failed. Stop the process. */
    void (*failed)(void *ctx, enum lv_err err, const char *what);
    /* Keeper's thread: the disk is full, no file can be made; or that is over. */
    void (*full)(void *ctx, bool is_full);
    void *ctx;
};

/* Opens or makes the directory's `store` file. LV_EVERSION, LV_ECORRUPT, LV_EIO, LV_ENOSPC, LV_ENOMEM. */
enum lv_err lv_store_open(const struct lv_store_config *config, struct lv_store **out) LV_MUST_USE;
/* Stops the threads if they run; what is complete was written by lv_store_stop. Closes the directory. NULL is allowed. */
void lv_store_close(struct lv_store *s);

struct lv_wal *lv_store_messages(struct lv_store *s);
struct lv_wal *lv_store_topology(struct lv_store *s);
uint64_t lv_store_id(const struct lv_store *s);
struct lv_dir *lv_store_dir(struct lv_store *s);

/* ---- checkpoints ---- */
struct lv_checkpoint_file {
    uint64_t number;
    int64_t refs, bytes;
    uint32_t back; /* files that its messages' parts reach back */
};
struct lv_checkpoint_queue {
    uint64_t id;
    lv_lsn state;
};
struct lv_checkpoint {
    lv_lsn from; /* records before it are in the states, or dead */
    struct lv_checkpoint_file *files;
    size_t file_count;
    struct lv_checkpoint_queue *queues;
    size_t queue_count;
};
/* LV_ENOTFOUND: none; LV_ECORRUPT: unusable, walk the whole log; LV_EVERSION. */
enum lv_err lv_store_read_checkpoint(struct lv_store *s, struct lv_checkpoint *out) LV_MUST_USE;
void lv_checkpoint_fini(struct lv_checkpoint *c);
/* How far the messages' log was stable, at least, when it was written. NULL, or zeros: 0. */
lv_lsn lv_checkpoint_stable(const struct lv_checkpoint *c);
/* Replaces the checkpoint, whole and lasting. Everything it names is stable. Any one thread. */
enum lv_err lv_store_write_checkpoint(struct lv_store *s, const struct lv_checkpoint *c) LV_MUST_USE;

/* ---- a stop in order ---- */
struct lv_stopped {
    lv_lsn messages, topology; /* where the logs end; 0: not known */
};
/* Zeros when there is none, or it is damaged: then the ends are looked for. */
void lv_store_read_stopped(struct lv_store *s, struct lv_stopped *out);
/* After lv_store_stop, and the last checkpoint. */
enum lv_err lv_store_write_stopped(struct lv_store *s) LV_MUST_USE;
/* Before anything is appended: it is true no longer. */
enum lv_err lv_store_forget_stopped(struct lv_store *s) LV_MUST_USE;

/* ---- running ---- */
/* After both logs are open: starts the log thread, the keeper and the reader. */
enum lv_err lv_store_start(struct lv_store *s) LV_MUST_USE;
/* Nobody appends any more: writes and syncs what there is, ends the threads. */
enum lv_err lv_store_stop(struct lv_store *s) LV_MUST_USE;
/* Something was appended. Any thread; cheap when the log thread knows. */
void lv_store_wake(struct lv_store *s);
/* One round by hand: files made, everything complete written and synced. For programs without threads. LV_ENOSPC, LV_ENOMEM,
 * LV_EAGAIN: not all of it could be, and later it may; any other error is final. */
enum lv_err lv_store_step(struct lv_store *s) LV_MUST_USE;
/* Workers: `reader` for reads, `keeper` for everything else that blocks. */
struct lv_worker *lv_store_reader(struct lv_store *s);
struct lv_worker *lv_store_keeper(struct lv_store *s);
/* Since the start, but for the files; momentary. Any thread. */
struct lv_store_stats {
    uint64_t syncs, bytes, rounds;  /* one round writes both logs, if there is anything */
    struct lv_times write;          /* of a log's write with its sync */
    uint64_t files, topology_files; /* there are */
    uint64_t unstable_bytes;        /* appended, and not yet to survive a power cut */
};
void lv_store_stats(const struct lv_store *s, struct lv_store_stats *out);

#endif
