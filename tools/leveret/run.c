#include "run.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sysexits.h>
#include <unistd.h>

/* Producers are woken when half of the cap is free, not for every message. */
void lv_run_arrived(struct lv_run *run, uint64_t n)
{
    int64_t left =
        atomic_fetch_sub_explicit(&run->in_flight, (int64_t)n, memory_order_seq_cst) - (int64_t)n;

    if (left > run->in_flight_max / 2)
        return;
    for (size_t i = 0; i < run->producer_threads; i++) {
        struct lv_worker *w = &run->producers[i];
        if (atomic_load(&w->is_starved) && atomic_exchange(&w->is_starved, false))
            lv_worker_wake(w);
    }
}

void lv_run_tell(struct lv_run *run, _Atomic bool *flag)
{
    atomic_store(flag, true);
    for (size_t i = 0; i < run->producer_threads; i++)
        lv_worker_wake(&run->producers[i]);
    for (size_t i = 0; i < run->consumer_threads; i++)
        lv_worker_wake(&run->consumers[i]);
}

void lv_run_fail(struct lv_run *run, const struct lv_fault *fault)
{
    pthread_mutex_lock(&run->fault_lock);
    if (run->fault.code == 0)
        run->fault = *fault;
    pthread_mutex_unlock(&run->fault_lock);
    lv_run_tell(run, &run->is_over);
}

bool lv_worker_init(struct lv_worker *worker, struct lv_run *run, struct lv_fault *fault)
{
    worker->run = run;
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    worker->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (worker->epoll_fd < 0 || worker->wake_fd < 0)
        return lv_fail_errno(fault, EX_OSERR, "preparing a thread");
    lv_worker_watch(worker, worker->wake_fd, EPOLLIN, NULL);
    return true;
}

void lv_worker_fini(struct lv_worker *worker)
{
    close(worker->epoll_fd);
    close(worker->wake_fd);
    free(worker->latency);
    free(worker->members);
}

void lv_worker_wake(struct lv_worker *worker)
{
    /* Fails only when the counter is full, and then the thread is awake anyway. */
    (void)!write(worker->wake_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
}

void lv_worker_awake(struct lv_worker *worker)
{
    uint64_t count;

    (void)!read(worker->wake_fd, &count, sizeof(count));
}

void lv_worker_watch(struct lv_worker *worker, int fd, uint32_t events, void *data)
{
    struct epoll_event event = { .events = events, .data.ptr = data };

    epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}
