/* loop/loop.h - event loops, one per thread: turns, mail between loops, timers, deferred work.
 *
 * A turn: wait for I/O; take in all mail; run socket callbacks (conn.h); run due timers; call hooks.turn_end;
 * flush every connection with output by one gathered write each; wake the loops that were posted to, once each;
 * report quiescence to RCU. Nothing in a turn blocks.
 * Owner   everything belongs to its loop's thread, except where a comment says otherwise.
 */
#ifndef LV_LOOP_LOOP_H
#define LV_LOOP_LOOP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "base/reclaim.h"
#include "base/time.h"
#include "base/times.h"

struct lv_loops; /* all of them */
struct lv_loop;

/* One piece of mail, copied by value; what its words mean is the poster's and the receiver's business. */
struct lv_mail {
    uint32_t op;
    uint32_t a;
    uint64_t w[7];
};

struct lv_loops_config {
    unsigned count;   /* 1..LV_LOOPS_MAX; 0: one per processor this process may use */
    const char *name; /* of their threads, a number behind it; at most 11 characters. NULL: "loop" */
    void *owner;      /* handed back by lv_loop_owner() */
    size_t read_block_bytes; /* size of the shared read block; 0: 256 KiB */
    size_t out_high_bytes;   /* a connection with more output than this is full; 0: 1 MiB */
    /* On the loop's own thread, before its first turn; may be NULL. An error ends all loops. */
    enum lv_err (*start)(struct lv_loop *loop);
    void (*stop)(struct lv_loop *loop); /* on the loop's own thread, after its last turn; may be NULL */
    void (*mail)(struct lv_loop *loop, unsigned from, const struct lv_mail *m);
    void (*turn_end)(struct lv_loop *loop); /* after mail and timers, before the flush; may be NULL */
};

/* LV_ENOMEM, LV_EIO. Threads start in lv_loops_run. */
enum lv_err lv_loops_new(const struct lv_loops_config *config, struct lv_loops **out) LV_MUST_USE;
/* Runs loop 0 on the calling thread and the others on threads of their own; returns when all have stopped. */
enum lv_err lv_loops_run(struct lv_loops *loops) LV_MUST_USE;
/* Asks every loop to end after its current turn. Any loop's thread. */
void lv_loops_stop(struct lv_loops *loops);
void lv_loops_free(struct lv_loops *loops);
unsigned lv_loops_count(const struct lv_loops *loops);
/* The i-th, there from lv_loops_new to lv_loops_free. */
struct lv_loop *lv_loops_at(struct lv_loops *loops, unsigned i);

unsigned lv_loop_index(const struct lv_loop *loop);
struct lv_loops *lv_loop_all(const struct lv_loop *loop);
void *lv_loop_owner(const struct lv_loop *loop);
/* A pointer of the user's own per loop (the broker's per-loop state). */
void *lv_loop_data(const struct lv_loop *loop);
void lv_loop_set_data(struct lv_loop *loop, void *data);
/* Milliseconds, monotonic, taken once per turn. */
lv_time_ms lv_loop_now(const struct lv_loop *loop);
/* The underlying uv_loop_t, for signals. A callback of yours on it calls lv_loop_enter first: it begins the turn, whose
 * other phases then follow. */
struct uv_loop_s *lv_loop_uv(struct lv_loop *loop);
void lv_loop_enter(struct lv_loop *loop);

/* Posts `m` to loop `to` (its own index is allowed: taken in next turn). In order per pair of loops; never fails:
 * when the ring is full the mail waits here and this loop reads no sockets until it is gone. */
void lv_loop_post(struct lv_loop *loop, unsigned to, const struct lv_mail *m);
/* No socket is read until it is let go again: what input leads to has no room. Owner's thread. */
void lv_loop_hold_input(struct lv_loop *loop, bool hold);
/* The loop will have a whole turn after this call. Any thread. */
void lv_loop_call(struct lv_loop *loop);
/* Another turn is wanted at once, even without I/O. */
void lv_loop_again(struct lv_loop *loop);
/* A callback once, in the coming turn_end phase (before hooks.turn_end). */
struct lv_task {
    struct lv_link link; /* initialise with lv_list_init before first use */
    void (*run)(struct lv_loop *loop, struct lv_task *task);
};
void lv_loop_defer(struct lv_loop *loop, struct lv_task *task); /* already deferred: no effect */

/* ---- timers: a hashed wheel of LV_TICK_MS; late by up to one tick, never early ---- */
#define LV_TICK_MS 50
struct lv_timer {
    struct lv_link link; /* zeroed is a valid stopped timer */
    lv_time_ms due;
    void (*fire)(struct lv_loop *loop,
                 struct lv_timer *t); /* may start or stop any timer, free its own memory */
};
/* (Re)starts. */
void lv_timer_start(struct lv_loop *loop, struct lv_timer *t, uint64_t delay_ms,
                    void (*fire)(struct lv_loop *loop, struct lv_timer *t));
void lv_timer_stop(struct lv_timer *t);
static inline bool lv_timer_is_running(const struct lv_timer *t)
{
    return t->link.next != NULL && lv_list_linked(&t->link);
}

/* Retires through RCU: freed on this loop's thread, after every loop has ended the turn it is in and has then taken all
 * mail posted until that end. So a turn may use what it finds in a shared structure, and post a pointer to it; who
 * takes the mail may use it until the end of that turn. From any loop's thread. */
extern const struct lv_reclaim lv_loop_reclaim;

/* Readers that are no loop (a thread that shows what there is). A thread enters once and leaves once; between begin and end
 * it may use what it finds in a shared structure, and while it does, nothing that is retired is freed: keep it short, and
 * end it before waiting for anything. It takes no mail, so what loops post to each other is not for it. */
void lv_reader_enter(void);
void lv_reader_begin(void);
void lv_reader_end(void);
void lv_reader_leave(void);

/* The watchdog: what this loop is doing now, for its warning when a turn takes over LV_TURN_SLOW_MS. Static text. */
#define LV_TURN_SLOW_MS 50
void lv_loop_doing(struct lv_loop *loop, const char *what);

struct lv_loop_stats {
    uint64_t turns, slow_turns, mails_in, mails_out, bytes_in, bytes_out, reads, writes;
    uint64_t busy_ns; /* time not spent waiting for I/O */
    uint64_t conns;
    struct lv_times turn; /* how long turns took: as long may something have waited that came in one */
};
void lv_loop_stats(const struct lv_loop *loop,
                   struct lv_loop_stats *out); /* any thread: a momentary view */

#endif
