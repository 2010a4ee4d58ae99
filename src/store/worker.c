#include "store/worker.h"

static struct lv_job *take_all(struct lv_worker *w)
{
    struct lv_job *newest = atomic_exchange(&w->posted, NULL), *oldest = NULL;

    while (newest != NULL) {
        struct lv_job *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static void run(void *ctx)
{
    struct lv_worker *w = ctx;

    for (;;) {
        bool is_last = atomic_load(&w->is_stopping);
        struct lv_job *job = take_all(w), *next;
        bool had_any = job != NULL;
        for (; job != NULL; job = next) {
            next = job->next;
            job->run(job);
            atomic_fetch_sub(&w->open, 1);
        }
        if (had_any)
            continue;
        if (is_last)
            return;
        lv_gate_wait(&w->gate, 0);
    }
}

enum lv_err lv_worker_start(struct lv_worker *w, const char *name)
{
    lv_gate_init(&w->gate);
    atomic_init(&w->posted, NULL);
    atomic_init(&w->open, 0);
    atomic_init(&w->is_stopping, false);
    return lv_thread_start(&w->thread, name, run, w);
}

void lv_worker_stop(struct lv_worker *w)
{
    if (!w->thread.is_running)
        return;
    atomic_store(&w->is_stopping, true);
    lv_gate_raise(&w->gate);
    lv_thread_join(&w->thread);
    lv_gate_fini(&w->gate);
}

void lv_worker_post(struct lv_worker *w, struct lv_job *job)
{
    atomic_fetch_add(&w->open, 1);
    job->next = atomic_load(&w->posted);
    while (!atomic_compare_exchange_weak(&w->posted, &job->next, job)) {
    }
    lv_gate_raise(&w->gate);
}
