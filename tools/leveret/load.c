#include "load.h"

#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>

#include "consumer.h"
#include "idle.h"
#include "producer.h"
#include "report.h"
#include "run.h"
#include "topology.h"

#define TICK_NS 2000000
#define STALL_NS (UINT64_C(20) * LV_NS) /* nothing moved for so long: it never will */
#define UNLIMITED (INT64_MAX / 2)

static volatile sig_atomic_t is_interrupted;

static void on_interrupt(int number)
{
    (void)number;
    is_interrupted = 1;
}

/* ---- counting ---- */

static uint64_t value_of(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static struct lv_sample sample(const struct lv_run *run)
{
    struct lv_sample s = { .at_ns = lv_now_ns() };

    for (size_t i = 0; i < run->producer_threads; i++) {
        const struct lv_stats *stats = &run->producers[i].stats;
        s.published += value_of(&stats->published);
        s.confirmed += value_of(&stats->confirmed);
        s.nacked += value_of(&stats->nacked);
    }
    for (size_t i = 0; i < run->consumer_threads; i++)
        s.delivered += value_of(&run->consumers[i].stats.delivered);
    return s;
}

/* When the last message moved: deliveries if somebody consumes, else confirms or writes. */
static uint64_t last_moved_ns(const struct lv_run *run)
{
    bool is_consumed = run->consumer_threads != 0;
    const struct lv_worker *workers = is_consumed ? run->consumers : run->producers;
    size_t count = is_consumed ? run->consumer_threads : run->producer_threads;
    uint64_t last = 0;

    for (size_t i = 0; i < count; i++)
        last = LV_MAX(last, value_of(&workers[i].stats.last_ns));
    return last;
}

static bool are_producers_finished(const struct lv_run *run)
{
    for (size_t i = 0; i < run->producer_threads; i++)
        if (!atomic_load(&run->producers[i].is_finished))
            return false;
    return true;
}

/* ---- watching ---- */

struct watch {
    struct lv_sample from, to; /* the measured time */
    struct lv_sample shown;    /* at the last progress line */
    struct lv_sample moved;    /* when something last changed */
};

static bool has_moved(const struct lv_sample *a, const struct lv_sample *b)
{
    return a->published != b->published || a->delivered != b->delivered ||
           a->confirmed + a->nacked != b->confirmed + b->nacked;
}

/* One look at the run: progress, measured time, stall. False when the run is over or broken. */
static bool look(struct lv_run *run, struct watch *watch)
{
    struct lv_fault fault;
    struct lv_sample now = sample(run);

    if (atomic_load(&run->is_over))
        return false;
    if (is_interrupted) {
        lv_fault_set(&fault, EX_TEMPFAIL, 0, "interrupted");
        lv_run_fail(run, &fault);
        return false;
    }
    if (has_moved(&now, &watch->moved)) {
        watch->moved = now;
    } else if (now.at_ns > watch->moved.at_ns + STALL_NS) {
        lv_fault_set(&fault, EX_TEMPFAIL, 0, "nothing moved for 20 s%s; %jd deliveries missing",
                     atomic_load(&run->is_blocked) ? " (the broker blocks publishers)" : "",
                     (intmax_t)atomic_load(&run->in_flight));
        lv_run_fail(run, &fault);
        return false;
    }
    if (now.at_ns >= watch->shown.at_ns + LV_NS) {
        lv_report_progress(run->options, &watch->shown, &now, run->start_ns,
                           atomic_load(&run->is_blocked));
        watch->shown = now;
    }
    if (watch->from.at_ns == 0 && now.at_ns >= run->measure_from_ns)
        watch->from = now;
    return true;
}

static void tick(void)
{
    nanosleep(&(struct timespec){ .tv_nsec = TICK_NS }, NULL);
}

/* Until the measured time is over. */
static void watch_duration(struct lv_run *run, struct watch *watch)
{
    while (look(run, watch) && lv_now_ns() < run->measure_to_ns)
        tick();
    watch->to = sample(run);
}

/* Until every message that was or will be sent has arrived, if anybody consumes. */
static void watch_to_the_end(struct lv_run *run, struct watch *watch)
{
    while (look(run, watch)) {
        bool is_drained = run->consumer_threads == 0 || atomic_load(&run->in_flight) <= 0;
        if (are_producers_finished(run) && is_drained)
            break;
        tick();
    }
}

static void watch_count(struct lv_run *run, struct watch *watch)
{
    watch_to_the_end(run, watch);
    watch->to = sample(run);
    watch->to.at_ns = last_moved_ns(run);
}

/* ---- phases ---- */

static void set_times(struct lv_run *run)
{
    const struct lv_bench_options *o = run->options;

    run->start_ns = lv_now_ns() + LV_NS / 100;
    run->measure_from_ns = run->start_ns + (uint64_t)(o->warmup_s * LV_NS);
    run->measure_to_ns =
        o->count != 0 ? UINT64_MAX : run->measure_from_ns + (uint64_t)(o->duration_s * LV_NS);
}

static bool start_consumers(struct lv_run *run, bool is_backlogged, struct lv_fault *fault)
{
    if (run->consumer_threads == 0)
        return true;
    bool is_open = lv_consumers_open(run, is_backlogged, fault);
    if (is_open)
        lv_consumers_start(run);
    return is_open;
}

static bool start_producers(struct lv_run *run, const struct lv_topology *t, struct watch *watch,
                            struct lv_fault *fault)
{
    if (!lv_producers_open(run, t, fault))
        return false;
    set_times(run);
    watch->shown.at_ns = watch->moved.at_ns = run->start_ns;
    if (run->options->count != 0)
        watch->from.at_ns = run->start_ns;
    lv_producers_start(run);
    return true;
}

/* Publishers and consumers at the same time. */
static bool flow(struct lv_run *run, const struct lv_topology *t, struct watch *watch,
                 struct lv_fault *fault)
{
    const struct lv_bench_options *o = run->options;

    if (!start_consumers(run, false, fault) || !start_producers(run, t, watch, fault))
        return false;
    if (o->count != 0) {
        watch_count(run, watch);
        return true;
    }
    watch_duration(run, watch);
    if (o->is_verified || run->stamp.is_timed) { /* these want every message, however late */
        lv_run_tell(run, &run->is_ending);
        watch_to_the_end(run, watch);
    }
    return true;
}

/* First all publishing, which is not measured, then all consuming. */
static bool fill_then_drain(struct lv_run *run, const struct lv_topology *t, struct watch *watch,
                            struct lv_fault *fault)
{
    size_t consumer_threads = run->consumer_threads;

    run->consumer_threads = 0;
    if (!start_producers(run, t, watch, fault))
        return false;
    watch_to_the_end(run, watch);
    if (run->options->producers == 0) /* it was filled by another run */
        atomic_store(&run->in_flight, (int64_t)run->options->count);
    run->consumer_threads = consumer_threads;
    watch->from = sample(run);
    if (!start_consumers(run, true, fault))
        return false;
    watch_count(run, watch);
    return true;
}

/* ---- verdict ---- */

static uint64_t count_lost(const struct lv_run *run, uint64_t published)
{
    uint64_t wanted = published * run->copies, seen = 0;

    for (uint64_t i = 0; i < run->copies * run->options->producers; i++)
        seen += value_of(&run->seen[i].count);
    return wanted > seen ? wanted - seen : 0;
}

static int report(const struct lv_run *run, const struct watch *watch)
{
    struct lv_sample last = sample(run);
    struct lv_load_result r = { .from = watch->from,
                                .to = watch->to,
                                .total_published = last.published,
                                .total_delivered = last.delivered };

    if (run->stamp.is_timed) {
        r.latency = lv_need(calloc(1, sizeof(*r.latency)));
        for (size_t i = 0; i < run->consumer_threads; i++)
            lv_histogram_merge(r.latency, run->consumers[i].latency);
    }
    if (run->stamp.is_verified) {
        r.lost = count_lost(run, last.published);
        r.duplicate = value_of(&run->verdict.duplicate);
        r.out_of_order = value_of(&run->verdict.out_of_order);
        r.corrupt = value_of(&run->verdict.corrupt);
    }
    lv_report_load(run->options, &r);
    free(r.latency);
    return r.lost + r.duplicate + r.out_of_order + r.corrupt == 0 ? EX_OK : EX_DATAERR;
}

/* ---- life ---- */

static bool workers_init(struct lv_run *run, struct lv_worker **workers, size_t *threads,
                         uint64_t connections, struct lv_fault *fault)
{
    size_t count = LV_MIN(run->options->threads, connections);
    size_t bytes = count * sizeof(**workers);

    if (count == 0)
        return true;
    *workers = lv_need(aligned_alloc(_Alignof(struct lv_worker), bytes));
    memset(*workers, 0, bytes);
    for (; *threads < count; (*threads)++)
        if (!lv_worker_init(&(*workers)[*threads], run, fault))
            return false;
    return true;
}

static bool run_init(struct lv_run *run, const struct lv_bench_options *o, struct lv_fault *fault)
{
    bool is_deep = o->mode == LV_BENCH_FILL || o->mode == LV_BENCH_DRAIN || o->consumers == 0;

    run->options = o;
    run->stamp =
        (struct lv_stamp){ .is_verified = o->is_verified, .is_timed = o->mode == LV_BENCH_LATENCY };
    run->copies = o->mode == LV_BENCH_FANOUT ? o->queues : 1;
    run->in_flight_max =
        is_deep || o->in_flight == 0 ? UNLIMITED : (int64_t)LV_MAX(o->in_flight, run->copies);
    pthread_mutex_init(&run->fault_lock, NULL);
    if (o->is_verified) {
        run->seen = lv_need(calloc(run->copies * o->producers, sizeof(*run->seen)));
        for (uint64_t i = 0; i < run->copies * o->producers; i++)
            lv_seen_init(&run->seen[i]);
    }
    return workers_init(run, &run->producers, &run->producer_threads, o->producers, fault) &&
           workers_init(run, &run->consumers, &run->consumer_threads, o->consumers, fault);
}

/* Ends the threads, then closes what they used. */
static void run_fini(struct lv_run *run)
{
    lv_run_tell(run, &run->is_over);
    lv_producers_join(run);
    lv_consumers_join(run);
    lv_producers_close(run);
    lv_consumers_close(run);
    for (size_t i = 0; i < run->producer_threads; i++)
        lv_worker_fini(&run->producers[i]);
    for (size_t i = 0; i < run->consumer_threads; i++)
        lv_worker_fini(&run->consumers[i]);
    free(run->producers);
    free(run->consumers);
    if (run->seen != NULL)
        for (uint64_t i = 0; i < run->copies * run->options->producers; i++)
            lv_seen_fini(&run->seen[i]);
    free(run->seen);
    pthread_mutex_destroy(&run->fault_lock);
}

static bool perform(struct lv_run *run, const struct lv_topology *t, struct watch *watch,
                    struct lv_fault *fault)
{
    bool is_done = run->options->mode == LV_BENCH_DRAIN ? fill_then_drain(run, t, watch, fault)
                                                        : flow(run, t, watch, fault);

    if (run->fault.code != 0) {
        *fault = run->fault;
        return false;
    }
    return is_done;
}

int lv_bench_load(const struct lv_bench_options *o)
{
    struct lv_run run = { 0 };
    struct lv_topology topology;
    struct lv_idle idle = { 0 };
    struct watch watch = { 0 };
    struct lv_fault fault = { 0 };

    /* What was declared is removed also then; a second interrupt is taken at its word. */
    sigaction(SIGINT,
              &(struct sigaction){ .sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND },
              NULL);
    if (!lv_topology_open(&topology, o, &fault)) {
        fprintf(stderr, "leveret: %s\n", fault.text);
        return fault.code;
    }
    bool is_done = run_init(&run, o, &fault) &&
                   lv_idle_open(&idle, &o->url, o->idle_connections, &fault) &&
                   perform(&run, &topology, &watch, &fault);
    int code = is_done ? report(&run, &watch) : fault.code;

    if (!is_done)
        fprintf(stderr, "leveret: %s\n", fault.text);
    run_fini(&run);
    lv_idle_close(&idle);
    lv_topology_close(&topology);
    return code;
}
