/* support/store_world.h - a store with its queues on a simulated disk, in one thread, and a model of what its clients know.
 *
 *   struct world *w = world_new(seed, &config);       an empty disk, opened
 *   world_run(w, ops);                                 random operations; every effect is held against the model
 *   world_restart(w, WORLD_CUT);                       loses its power, opens what is left, compares, goes on
 *   world_free(w);
 *
 * The queues, journals, loads, checkpoints, and the opening are the broker's own code; only the threads are missing. An
 * image of the disk can also be opened aside (world_judge), at any moment of a run.
 */
#ifndef LV_SUPPORT_STORE_WORLD_H
#define LV_SUPPORT_STORE_WORLD_H
#include "lv_test.h"
#include "store/wal.h"
#include "support/sim_dir.h"

struct world;
struct fault_dir;

struct world_config {
    uint64_t file_bytes;  /* 0: as small as can be */
    unsigned queues;      /* at a time; at most 8 */
    bool has_bursts;      /* now and then thousands of messages at once: pages */
    bool has_purges;      /* bursts and purges, again and again */
    uint32_t body_max;    /* of most messages; some are several records long */
    bool has_deletes;     /* queues are deleted and made anew */
    bool has_transients;  /* some messages are not persistent */
    struct sim_dir *disk; /* takes; NULL: a new one */
    struct fault_dir *fault; /* in front of the disk; borrows. Pauses while the world looks for itself */
    bool may_pass;           /* reads fail: messages may be passed over until the next life */
    bool is_lenient;         /* allocations fail: what could not be written down may come again */
    bool may_leak;           /* a file of the log may stay longer than what is in it */
};

enum world_end {
    WORLD_STOP, /* in order */
    WORLD_KILL, /* kill -9: the disk keeps what was written */
    WORLD_CUT,  /* the power goes */
};

/* An empty disk, opened. */
struct world *world_new(uint64_t seed, const struct world_config *config);
/* The same, not opened yet. */
struct world *world_closed(uint64_t seed, const struct world_config *config);
/* NULL is allowed. */
void world_free(struct world *w);
/* Random operations; fewer when the disk stops working. */
void world_run(struct world *w, unsigned ops);
/* Thousands of messages to one queue. */
void world_burst(struct world *w);
/* Ends this life and begins another on what is left: world_end, and world_open, which must succeed. */
void world_restart(struct world *w, enum world_end how);
/* Ends this life; a stop that does not succeed is a kill. The world is closed then. */
void world_end(struct world *w, enum world_end how);
/* Opens what the last life left, and holds it against the model. After an error it is still closed. */
enum lv_err world_open(struct world *w);
/* Stops in order, closes, keeps the disk. false: a call failed. */
bool world_close(struct world *w);
/* Opens `image` (takes it) aside and holds it against the model; the world goes on as if nothing had been. */
void world_judge(struct world *w, struct sim_dir *image);
/* What an image that may be damaged gives back, as it came, queue by queue. Bodies that come are right, or the test fails. */
struct world_item {
    uint64_t queue;
    uint32_t number; /* of the message */
    bool redelivered;
};
struct world_view {
    enum lv_err err; /* of the opening: refused, and nothing else is told */
    struct world_item *items;
    size_t count, cap;
    uint64_t damage; /* ranges, states, pages, and the checkpoint: reported by the opening */
    uint64_t torn_bytes;
    uint64_t passed_over, rescued; /* messages when their turn came; pages then */
    lv_lsn messages_end, topology_end;
};
/* Opens `image`, which stays the caller's, calls `opened`, and takes all messages that it holds; with `goes_round`
 * after rounds of checkpoints that give up files and carry messages forward. */
void world_view(const struct world *w, struct sim_dir *image, bool goes_round,
                void (*opened)(void *ctx, struct sim_dir *image, const struct world_view *v),
                void *ctx, struct world_view *v);
void world_view_fini(struct world_view *v);
/* Is message `a` handed out before `b` in that queue? */
bool world_is_before(uint64_t queue, uint32_t a, uint32_t b);
struct sim_dir *world_disk(struct world *w);
bool world_is_open(const struct world *w);
/* Is the store dead: did a call fail? */
bool world_is_dead(const struct world *w);
/* How often `failed` was told in this life. */
unsigned world_failures(const struct world *w);
struct world_totals {
    uint64_t published, confirmed, delivered, checkpoints, removed, moved, transactions, lives,
        passed;
};
void world_totals(const struct world *w, struct world_totals *out);

#endif
