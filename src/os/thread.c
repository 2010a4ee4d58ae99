#include "os/thread.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "os/log.h"

static void *start(void *arg)
{
    struct lv_thread *t = arg;

    (void)pthread_setname_np(pthread_self(), t->name);
    lv_log_set_thread(t->name);
    t->run(t->ctx);
    return NULL;
}

enum lv_err lv_thread_start(struct lv_thread *t, const char *name, void (*run)(void *ctx), void *ctx)
{
    sigset_t all, old;

    *t = (struct lv_thread){ .run = run, .ctx = ctx, .name = name };
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    errno = pthread_create(&t->id, NULL, start, t);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    t->is_running = errno == 0;
    return t->is_running ? LV_OK : LV_EIO;
}

void lv_thread_join(struct lv_thread *t)
{
    if (t->is_running)
        (void)pthread_join(t->id, NULL);
    t->is_running = false;
}

void lv_gate_init(struct lv_gate *g)
{
    pthread_condattr_t attr;

    (void)pthread_mutex_init(&g->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&g->cond, &attr);
    (void)pthread_condattr_destroy(&attr);
    atomic_init(&g->is_raised, false);
}

void lv_gate_fini(struct lv_gate *g)
{
    (void)pthread_cond_destroy(&g->cond);
    (void)pthread_mutex_destroy(&g->lock);
}

void lv_gate_raise(struct lv_gate *g)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&g->is_raised))
        return;
    (void)pthread_mutex_lock(&g->lock);
    atomic_store(&g->is_raised, true);
    (void)pthread_cond_signal(&g->cond);
    (void)pthread_mutex_unlock(&g->lock);
}

void lv_gate_wait(struct lv_gate *g, uint64_t timeout_ms)
{
    struct timespec due;
    int err = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &due);
    due.tv_sec += (time_t)(timeout_ms / 1000);
    due.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (due.tv_nsec >= 1000000000) {
        due.tv_sec++;
        due.tv_nsec -= 1000000000;
    }
    (void)pthread_mutex_lock(&g->lock);
    while (!atomic_load(&g->is_raised) && err == 0)
        err = timeout_ms == 0 ? pthread_cond_wait(&g->cond, &g->lock)
                              : pthread_cond_timedwait(&g->cond, &g->lock, &due);
    atomic_store(&g->is_raised, false);
    (void)pthread_mutex_unlock(&g->lock);
}
