/* Reclamation. What a turn retires stays until nobody can reach it, neither from a turn nor from mail:
 *
 *   1. At the turn's end its retired objects go to liburcu as one batch. When every loop has ended the turn it was
 *      in, nobody holds a pointer he read from a shared structure, but he may have posted it.
 *   2. Liburcu's thread hands the batch back. The loop advances the mail clock; a loop that sees the new time takes
 *      all mail that was posted before. When all have ended such a turn, the batch is freed, where it was retired.
 *
 * A loop that waits for I/O is offline and holds nobody up in step 1; in step 2 it is woken. A loop with mail that
 * found its ring full reports no quiescence, so that after step 1 all mail is in the rings. */
#include <urcu/urcu-qsbr.h>

#include "loop/loop_priv.h"
#include "loop/tsan_priv.h"

struct lv_retired {
    struct rcu_head head; /* used in the first of a batch, as are `loop`, `batch` and `mark` */
    struct lv_loop *loop; /* where it was retired; NULL: no loop's thread */
    struct lv_retired *batch;
    uint64_t mark; /* what the mail clock must have been seen to show */
    struct lv_retired *next;
    void *ptr;
    void (*free_fn)(void *ptr);
};

static _Thread_local struct lv_loop *current;
static _Atomic bool is_used; /* liburcu's thread begins with the first batch */
static char tsan_quiescence; /* liburcu's ordering, said to ThreadSanitizer */

static void free_batch(struct lv_retired *r)
{
    struct lv_retired *next;

    for (; r != NULL; r = next) {
        next = r->next;
        r->free_fn(r->ptr);
        lv_mem_free(r, LV_TAG_LOOP);
    }
}

static void free_batches(struct lv_retired *r)
{
    struct lv_retired *next;

    for (; r != NULL; r = next) {
        next = r->batch;
        free_batch(r);
    }
}

/* Step 1 is over. On liburcu's thread. */
static void grace_over(struct rcu_head *head)
{
    struct lv_retired *r = LV_CONTAINER_OF(head, struct lv_retired, head);

    lv_tsan_acquire(&tsan_quiescence);
    struct lv_loop *loop = r->loop;
    if (loop == NULL) {
        free_batch(r);
        return;
    }
    r->batch = atomic_load_explicit(&loop->graced, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&loop->graced, &r->batch, r)) {
    }
    lv_loop_wake(loop);
}

/* Step 1 begins. */
static void start_grace(struct lv_retired *batch)
{
    atomic_store_explicit(&is_used, true, memory_order_relaxed);
    lv_tsan_release(&tsan_quiescence);
    urcu_qsbr_call_rcu(&batch->head, grace_over);
}

static void retire(void *ptr, void (*free_fn)(void *ptr))
{
    struct lv_retired *r = lv_mem_alloc(sizeof(*r), LV_TAG_LOOP);
    struct lv_loop *loop = current;

    if (r == NULL)
        return; /* without memory for the note the object stays allocated: nobody may free it now */
    *r = (struct lv_retired){ .ptr = ptr, .free_fn = free_fn, .loop = loop };
    if (loop == NULL) {
        start_grace(r);
        return;
    }
    if (loop->retired == NULL)
        loop->retired = r;
    else
        loop->retired_last->next = r;
    loop->retired_last = r;
}

const struct lv_reclaim lv_loop_reclaim = { retire };

/* ---- step 2 ---- */

static bool all_have_seen(const struct lv_loops *loops, uint64_t mark)
{
    for (unsigned i = 0; i < loops->count; i++)
        if (atomic_load_explicit(&loops->loop[i]->mail_seen, memory_order_acquire) < mark)
            return false;
    return true;
}

static void look_again(struct lv_loop *loop, struct lv_timer *t)
{
    (void)loop;
    (void)t; /* having a turn is enough */
}

void lv_rcu_turn_begin(struct lv_loop *loop)
{
    struct lv_loops *loops = loop->all;
    struct lv_retired *r = loop->reaped;

    if (LV_UNLIKELY(r != NULL)) {
        if (all_have_seen(loops, r->mark)) {
            loop->reaped = NULL;
            free_batches(r);
        } else if (!lv_timer_is_running(&loop->reap)) {
            lv_timer_start(loop, &loop->reap, 0, look_again);
        }
    }
    if (loop->reaped == NULL &&
        LV_UNLIKELY(atomic_load_explicit(&loop->graced, memory_order_relaxed) != NULL)) {
        r = loop->reaped = atomic_exchange(&loop->graced, NULL);
        r->mark = atomic_fetch_add(&loops->mail_clock, 1) + 1;
        for (unsigned i = 0; i < loops->count; i++)
            lv_loop_wake(loops->loop[i]);
        lv_timer_start(loop, &loop->reap, 0, look_again);
    }
    loop->mail_clock = atomic_load(&loops->mail_clock);
}

/* Asked after the loop has said that it sleeps, so that either this is seen here or the loop is woken. */
bool lv_rcu_has_work(const struct lv_loop *loop)
{
    return (loop->reaped == NULL &&
            atomic_load_explicit(&loop->graced, memory_order_relaxed) != NULL) ||
           atomic_load_explicit(&loop->all->mail_clock, memory_order_relaxed) != loop->mail_clock;
}

void lv_rcu_turn_end(struct lv_loop *loop)
{
    atomic_store_explicit(&loop->mail_seen, loop->mail_clock, memory_order_release);
    if (loop->retired == NULL)
        return;
    start_grace(loop->retired);
    loop->retired = NULL;
}

/* ---- step 1 ---- */

void lv_rcu_enter(struct lv_loop *loop)
{
    current = loop;
    urcu_qsbr_register_thread();
}

void lv_rcu_leave(struct lv_loop *loop)
{
    loop->mail_clock = UINT64_MAX;
    lv_rcu_turn_end(loop);
    lv_tsan_release(&tsan_quiescence);
    urcu_qsbr_unregister_thread();
    current = NULL;
}

void lv_rcu_online(struct lv_loop *loop)
{
    if (loop->is_offline)
        urcu_qsbr_thread_online();
    loop->is_offline = false;
}

void lv_rcu_quiescent(struct lv_loop *loop, bool will_wait)
{
    if (loop->overflowing != (loop->holds_input ? 1u : 0u))
        return;
    lv_tsan_release(&tsan_quiescence);
    if (will_wait)
        urcu_qsbr_thread_offline();
    else
        urcu_qsbr_quiescent_state();
    loop->is_offline = will_wait;
}

/* ---- readers that are no loop: offline but for what they read ---- */

void lv_reader_enter(void)
{
    urcu_qsbr_register_thread();
    lv_reader_end();
}

void lv_reader_begin(void)
{
    urcu_qsbr_thread_online();
}

void lv_reader_end(void)
{
    lv_tsan_release(&tsan_quiescence);
    urcu_qsbr_thread_offline();
}

void lv_reader_leave(void)
{
    urcu_qsbr_unregister_thread();
}

/* ---- the end ---- */

struct last {
    struct rcu_head head;
    uv_sem_t is_run;
};

static void last_run(struct rcu_head *head)
{
    uv_sem_post(&LV_CONTAINER_OF(head, struct last, head)->is_run);
}

/* Liburcu runs callbacks in order: when this one runs, all batches are back. (Its own barrier does the same, in a way
 * that ThreadSanitizer cannot follow.) */
static void wait_for_batches(void)
{
    struct last last;

    if (!atomic_load(&is_used) || uv_sem_init(&last.is_run, 0) != 0)
        return;
    urcu_qsbr_call_rcu(&last.head, last_run);
    uv_sem_wait(&last.is_run);
    uv_sem_destroy(&last.is_run);
}

void lv_rcu_drain(struct lv_loops *loops)
{
    wait_for_batches();
    for (unsigned i = 0; i < loops->count && loops->loop[i] != NULL; i++) {
        struct lv_loop *loop = loops->loop[i];
        free_batch(loop->retired);
        free_batches(loop->reaped);
        free_batches(atomic_load(&loop->graced));
    }
}
