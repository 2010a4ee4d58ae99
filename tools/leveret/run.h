/* tools/leveret/run.h - what all threads of one load run share.
 *
 * A run has producer threads and consumer threads; each drives its connections with one epoll. Counters have one
 * writer each and are read by the main thread, which starts, watches and ends the run.
 */
#ifndef LV_TOOL_RUN_H
#define LV_TOOL_RUN_H
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "histogram.h"
#include "options.h"
#include "seen.h"
#include "stamp.h"

#define LV_NS 1000000000u

struct lv_stats {
    _Alignas(64) _Atomic uint64_t published; /* messages handed to the socket */
    _Atomic uint64_t confirmed, nacked;
    _Atomic uint64_t delivered;
    _Atomic uint64_t last_ns; /* when the newest confirm or delivery was read */
};

struct lv_worker {
    struct lv_stats stats;
    struct lv_run *run;
    pthread_t thread;
    int epoll_fd, wake_fd;
    _Atomic bool is_starved;      /* a producer of it waits for room in flight */
    _Atomic bool is_finished;     /* its thread has nothing left to do */
    struct lv_histogram *latency; /* consumers only */
    void *members;                /* struct lv_producer[] or struct lv_consumer[] */
    size_t member_count;
};

/* What --verify found; exact after the threads have ended. */
struct lv_verdict {
    _Atomic uint64_t duplicate, out_of_order, corrupt;
};

struct lv_run {
    const struct lv_bench_options *options;
    struct lv_stamp stamp;
    uint64_t copies; /* deliveries of one message */
    uint64_t start_ns, measure_from_ns, measure_to_ns;

    struct lv_worker *producers, *consumers;
    size_t producer_threads, consumer_threads;

    struct lv_seen *seen; /* [copy][producer], when verified */
    struct lv_verdict verdict;

    _Alignas(64) _Atomic int64_t in_flight; /* deliveries to come */
    int64_t in_flight_max;

    _Alignas(64) _Atomic bool is_ending; /* producers: finish the message in hand and stop */
    _Atomic bool is_over;                /* everybody: leave */
    _Atomic bool is_blocked;             /* the broker said connection.blocked */
    pthread_mutex_t fault_lock;
    struct lv_fault fault; /* the first one; code 0: none */
};

static inline uint64_t lv_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * LV_NS + (uint64_t)now.tv_nsec;
}

/* For counters with one writer. */
static inline void lv_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline struct lv_seen *lv_run_seen(const struct lv_run *run, uint64_t copy, uint64_t producer)
{
    return &run->seen[copy * run->options->producers + producer];
}

/* Deliveries that may still be added to what is in flight. Any thread. */
static inline int64_t lv_run_room(const struct lv_run *run)
{
    return run->in_flight_max - atomic_load_explicit(&run->in_flight, memory_order_seq_cst);
}

/* Notes that `n` deliveries have arrived, and wakes producers that waited for them. */
void lv_run_arrived(struct lv_run *run, uint64_t n);
/* Keeps the first fault and ends the run. Any thread. */
void lv_run_fail(struct lv_run *run, const struct lv_fault *fault);
/* Sets `flag` (is_ending or is_over) and wakes everybody. */
void lv_run_tell(struct lv_run *run, _Atomic bool *flag);

/* Creates epoll and wake-up descriptors. False: out of descriptors. */
bool lv_worker_init(struct lv_worker *worker, struct lv_run *run, struct lv_fault *fault);
void lv_worker_fini(struct lv_worker *worker);
void lv_worker_wake(struct lv_worker *worker);
/* The descriptor is reported with `data`; events as for epoll_ctl. */
void lv_worker_watch(struct lv_worker *worker, int fd, uint32_t events, void *data);
/* Empties the wake-up descriptor. */
void lv_worker_awake(struct lv_worker *worker);

#endif
