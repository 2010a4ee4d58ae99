/* loop/loop_priv.h - what the files of this room share about a loop.
 *
 * A turn is one pass of libuv's loop: I/O callbacks only note which sockets are ready (ready list) and the check
 * phase, right after the poll, does the work in the order that loop.h gives (turn.c). So everything that calls the
 * owner runs in one place, on one stack level.
 */
#ifndef LV_LOOP_LOOP_PRIV_H
#define LV_LOOP_LOOP_PRIV_H
#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "base/limits.h"
#include "base/mem.h"
#include "loop/conn.h"
#include "loop/loop.h"
#include "loop/out_priv.h"
#include "loop/wheel_priv.h"

#define LV_BLOCKS_MAX 8u /* read blocks lent out in one turn before borrowers are flushed */
#define LV_TURN_READ_BYTES \
    1048576u /* read in one turn, all connections; the others wait for the next */
#define LV_WRITE_BUDGET_BYTES 1048576u /* written to one connection in one turn */

struct lv_mailbox; /* mail.c */
struct lv_retired; /* rcu.c */

/* Counters: written by the loop's thread only, read by any. */
enum lv_stat {
    LV_STAT_TURNS,
    LV_STAT_SLOW_TURNS,
    LV_STAT_MAILS_IN,
    LV_STAT_MAILS_OUT,
    LV_STAT_BYTES_IN,
    LV_STAT_BYTES_OUT,
    LV_STAT_READS,
    LV_STAT_WRITES,
    LV_STAT_BUSY_NS,
    LV_STAT_CONNS,
    LV_STAT_COUNT,
};

struct lv_loop {
    struct lv_loops *all;
    void *data;
    unsigned index;

    /* the turn */
    bool in_turn; /* between lv_turn_begin and the end of the check phase: online for RCU */
    bool again;
    lv_time_ms now;
    uint64_t began_ns;
    struct lv_link tasks; /* lv_loop_defer */

    /* sockets */
    struct lv_link ready;     /* to be read, in the order they became readable */
    struct lv_link attention; /* something to tell the owner in the deferred phase */
    struct lv_link dirty;     /* output to flush */
    struct lv_link borrowers; /* output that points into a read block */
    struct lv_link conns;     /* all */
    struct lv_conn *reading;  /* whose input is being called */
    uint8_t *blocks[LV_BLOCKS_MAX];
    unsigned block;     /* the current one */
    bool is_block_lent; /* some output points into it */
    uint8_t *records; /* TLS records as they are read (tls_priv.h); NULL: no connection had TLS yet */
    size_t block_bytes, out_high_bytes;
    struct lv_out_pool pool;
    struct lv_timer trim; /* gives the pool and the further blocks back; runs while there may be any */
    uint8_t trash[LV_OUT_RESERVE_MAX]; /* output of closed connections */

    /* mail */
    struct lv_mailbox **in, **out; /* by the other loop's index; NULL for itself */
    uint64_t posted;               /* bit per loop to wake at the turn's end */
    unsigned overflowing;          /* boxes whose ring was full: no socket is read */
    bool holds_input;              /* lv_loop_hold_input: counts as one of them */
    _Atomic bool is_asleep;        /* blocked in the poll: must be woken */
    _Atomic bool is_called;        /* lv_loop_call: no waiting before the next turn */

    struct lv_wheel wheel;
    lv_time_ms armed; /* what the libuv timer is set to; LV_WHEEL_NEVER: off */

    /* the watchdog */
    const char *doing, *longest;
    lv_time_ms doing_since, longest_ms;
    uint64_t slow_turns; /* since the last line in the log */
    lv_time_ms slow_log_after;

    /* reclamation, rcu.c */
    bool is_offline;
    struct lv_retired *retired, *retired_last; /* of this turn */
    _Atomic(struct lv_retired *) graced;       /* batches that liburcu gave back */
    struct lv_retired *reaped;                 /* batches that wait for mail to be taken */
    struct lv_timer reap;
    uint64_t mail_clock;        /* as seen before mail was taken */
    _Atomic uint64_t mail_seen; /* as seen by the last turn that ended */

    _Atomic uint64_t stats[LV_STAT_COUNT], turn_us[LV_TIMES_WORDS];
    _Atomic bool is_stopping;

    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* active: the poll does not wait */
    uv_async_t wake;
    uv_timer_t timer;
    uv_thread_t thread;
    char name[16];
};

struct lv_loops {
    struct lv_loops_config config;
    unsigned count;
    _Atomic int failed;        /* first error of a start hook */
    uv_sem_t gate;             /* threads wait here until all are made */
    bool is_running;           /* said before the gate opens */
    pthread_barrier_t barrier; /* the stop is done in step */
    _Atomic uint64_t stop_mails;
    _Atomic uint64_t mail_clock; /* rcu.c */
    struct lv_loop *loop[LV_LOOPS_MAX];
};

static inline void lv_stat_add(struct lv_loop *loop, enum lv_stat stat, uint64_t n)
{
    uint64_t v = atomic_load_explicit(&loop->stats[stat], memory_order_relaxed);

    atomic_store_explicit(&loop->stats[stat], v + n, memory_order_relaxed);
}

/* turn.c */
/* Ends the loop's wait for I/O, if it waits; whoever calls has left something that on_prepare looks for. Any thread. */
void lv_loop_wake(struct lv_loop *loop);
/* Goes online and takes the time, once a turn. First thing in every libuv callback that runs an owner's code. */
void lv_turn_begin(struct lv_loop *loop);
/* Runs the deferred phase: tasks, and what connections have to be told. */
void lv_turn_work(struct lv_loop *loop);
enum lv_err lv_turn_init(struct lv_loop *loop);
/* Closes every handle and the libuv loop. */
void lv_turn_fini(struct lv_loop *loop);

/* mail.c */
enum lv_err lv_mail_open(struct lv_loops *loops);
void lv_mail_close(struct lv_loops *loops);
/* Takes in all that was there at the call. Returns how many. */
uint64_t lv_mail_take(struct lv_loop *loop);
/* Tries again to post what found its ring full. */
void lv_mail_retry(struct lv_loop *loop);
void lv_mail_wake(struct lv_loop *loop); /* the loops posted to */
/* Is there anything to take, or room for what waits to be posted? */
bool lv_mail_waiting(struct lv_loop *loop);

/* conn.c */
void lv_conns_read(struct lv_loop *loop);   /* the ready list, within the read budget */
void lv_conns_attend(struct lv_loop *loop); /* the deferred phase */
void lv_conns_flush(struct lv_loop *loop);
void lv_conns_settle(struct lv_loop *loop); /* copies borrowed output, gets back the read blocks */
void lv_conns_drop(struct lv_loop *loop);   /* closes all, without their output */

/* rcu.c */
void lv_rcu_enter(struct lv_loop *loop); /* on its thread */
void lv_rcu_leave(struct lv_loop *loop);
void lv_rcu_online(struct lv_loop *loop);
void lv_rcu_turn_begin(struct lv_loop *loop); /* before mail is taken */
void lv_rcu_turn_end(struct lv_loop *loop);   /* hands over what this turn retired */
bool lv_rcu_has_work(const struct lv_loop *loop);
void lv_rcu_quiescent(struct lv_loop *loop, bool will_wait);
void lv_rcu_drain(struct lv_loops *loops); /* no loop runs any more: frees the rest */

#endif
