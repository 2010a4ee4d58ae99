/* os/thread.h - threads for work that blocks, and the gate they wait at.
 *
 * A gate is a mutex, a condition and a flag: whoever raises it wakes the one that waits, also when it was raised
 * before the wait began. Raising a gate that is raised costs one load.
 */
#ifndef LV_OS_THREAD_H
#define LV_OS_THREAD_H
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct lv_thread {
    pthread_t id;
    void (*run)(void *ctx);
    void *ctx;
    const char *name; /* borrows; at most 15 characters */
    bool is_running;
};

/* Runs `run(ctx)` on a thread of its own, with all signals blocked. LV_EIO with errno. */
enum lv_err lv_thread_start(struct lv_thread *t, const char *name, void (*run)(void *ctx),
                            void *ctx) LV_MUST_USE;
/* Waits until it has returned; nothing when it was not started. */
void lv_thread_join(struct lv_thread *t);

struct lv_gate {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    _Atomic bool is_raised;
};

void lv_gate_init(struct lv_gate *g);
void lv_gate_fini(struct lv_gate *g);
/* Any thread. What was written before is seen by whoever passes the gate. */
void lv_gate_raise(struct lv_gate *g);
/* Until it is raised, or `timeout_ms` is over (0: for ever); lowers it. One thread at a time. */
void lv_gate_wait(struct lv_gate *g, uint64_t timeout_ms);

#endif
