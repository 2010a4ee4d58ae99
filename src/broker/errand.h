/* broker/errand.h - work that a thread which is no loop wants done on one.
 *
 * The management thread, which serves HTTP and metrics, owns a desk. It sends errands to loops; each runs at the end of
 * a turn there, as often as it wants to (a long one in slices, so that messages do not wait for it), and comes back to the
 * desk. Nothing of a loop is touched from elsewhere, and nobody waits.
 * Owner   an errand: the sender, but the loop from lv_errand_send until it comes out of lv_desk_take.
 */
#ifndef LV_BROKER_ERRAND_H
#define LV_BROKER_ERRAND_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct lv_broker;
struct lv_shard;
struct lv_errand;

/* Where errands come back to. Zeroed but for wake and ctx. */
struct lv_desk {
    _Atomic(struct lv_errand *) back; /* newest first */
    void (*wake)(void *ctx);          /* on any thread: have a look at lv_desk_take soon */
    void *ctx;
};

enum lv_errand_step {
    LV_ERRAND_DONE,
    LV_ERRAND_AGAIN, /* call it in the next turn once more */
    LV_ERRAND_AWAY,  /* somebody on this loop will call lv_errand_finish, or lv_errand_pass */
    LV_ERRAND_STABLE, /* loop 0: it comes back when what has a name is on stable storage as it is now */
};

/* Embedded in what is to be done. */
struct lv_errand {
    /* On the loop: a turn of it, and a reader's section. */
    enum lv_errand_step (*run)(struct lv_shard *shard, struct lv_errand *errand);
    /* The sender's thread calls it, for what lv_desk_take gave it. */
    void (*done)(struct lv_errand *errand);
    struct lv_desk *desk;
    struct lv_errand *next; /* private */
    uint64_t end;           /* private */
};

/* Sends it to a loop; run, done and desk are set. Any thread. After lv_broker_free began it comes back at once, not run. */
void lv_errand_send(struct lv_broker *b, unsigned loop, struct lv_errand *errand);
/* On the loop that ran it, or whoever has it from there: it goes back to its desk. */
void lv_errand_finish(struct lv_shard *shard, struct lv_errand *errand);
/* From within run, which then returns LV_ERRAND_AWAY: it goes on to another loop. */
void lv_errand_pass(struct lv_shard *shard, struct lv_errand *errand, unsigned loop);
/* What came back, oldest first, linked by next; NULL: nothing. The desk's owner. */
struct lv_errand *lv_desk_take(struct lv_desk *desk);
/* Loops there are; errands go to 0..n-1. Loop 0 is the registry. */
unsigned lv_broker_loops(const struct lv_broker *b);
/* The broker of a loop, for run. */
struct lv_broker *lv_shard_broker(const struct lv_shard *shard);

#endif
