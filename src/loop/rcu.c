/* Reclamation: what a turn retires is handed to liburcu in one piece at the turn's end, and freed by its thread after
 * every loop has ended the turn it was in. A loop that waits for I/O is offline and holds nobody up. */
#include <urcu/urcu-qsbr.h>

#include "loop/loop_priv.h"
#include "loop/tsan_priv.h"

struct lv_retired {
    struct rcu_head head; /* of the first one of a turn */
    struct lv_retired *next;
    void *ptr;
    void (*free_fn)(void *ptr);
};

static _Thread_local struct lv_loop *current;
static char tsan_quiescence; /* liburcu's ordering, said to ThreadSanitizer */

static void free_list(struct rcu_head *head)
{
    struct lv_retired *r = LV_CONTAINER_OF(head, struct lv_retired, head), *next;

    lv_tsan_acquire(&tsan_quiescence);
    for (; r != NULL; r = next) {
        next = r->next;
        r->free_fn(r->ptr);
        lv_mem_free(r, LV_TAG_LOOP);
    }
}

static void retire(void *ptr, void (*free_fn)(void *ptr))
{
    struct lv_retired *r = lv_mem_alloc(sizeof(*r), LV_TAG_LOOP);
    struct lv_loop *loop = current;

    if (r == NULL)
        return; /* without memory for the note the object stays allocated: nobody may free it now */
    *r = (struct lv_retired){ .ptr = ptr, .free_fn = free_fn };
    if (loop == NULL) {
        lv_tsan_release(&tsan_quiescence);
        urcu_qsbr_call_rcu(&r->head, free_list);
        return;
    }
    if (loop->retired == NULL)
        loop->retired = r;
    else
        loop->retired_last->next = r;
    loop->retired_last = r;
}

const struct lv_reclaim lv_loop_reclaim = { retire };

void lv_rcu_turn_end(struct lv_loop *loop)
{
    if (loop->retired == NULL)
        return;
    lv_tsan_release(&tsan_quiescence);
    urcu_qsbr_call_rcu(&loop->retired->head, free_list);
    loop->retired = NULL;
}

void lv_rcu_enter(struct lv_loop *loop)
{
    current = loop;
    urcu_qsbr_register_thread();
}

void lv_rcu_leave(struct lv_loop *loop)
{
    lv_rcu_turn_end(loop);
    lv_tsan_release(&tsan_quiescence);
    urcu_qsbr_unregister_thread();
    current = NULL;
}

void lv_rcu_online(void)
{
    urcu_qsbr_thread_online();
}

void lv_rcu_offline(void)
{
    lv_tsan_release(&tsan_quiescence);
    urcu_qsbr_thread_offline();
}

void lv_rcu_quiescent(void)
{
    lv_tsan_release(&tsan_quiescence);
    urcu_qsbr_quiescent_state();
}

void lv_rcu_drain(void)
{
    urcu_qsbr_barrier();
}
