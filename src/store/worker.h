/* store/worker.h - a thread that does jobs, one after the other: for what may wait for the disk. */
#ifndef LV_STORE_WORKER_H
#define LV_STORE_WORKER_H
#include "os/thread.h"

struct lv_job {
    struct lv_job *next;
    void (*run)(struct lv_job *job); /* on the worker's thread; the job is its own afterwards */
};

struct lv_worker {
    struct lv_thread thread;
    struct lv_gate gate;
    _Atomic(struct lv_job *) posted; /* newest first */
    _Atomic uint64_t open;           /* posted and not done */
    _Atomic bool is_stopping;
};

enum lv_err lv_worker_start(struct lv_worker *w, const char *name) LV_MUST_USE;
/* Does what was posted, then ends. */
void lv_worker_stop(struct lv_worker *w);
/* Takes `job` until it has run. In order for one poster. Any thread. */
void lv_worker_post(struct lv_worker *w, struct lv_job *job);
/* Is nothing waiting or being done? Momentary. */
static inline bool lv_worker_is_idle(const struct lv_worker *w)
{
    return atomic_load(&w->open) == 0;
}

#endif
