#include "census.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#include "idle.h"
#include "report.h"
#include "run.h"
#include "topology.h"

/* Lets a broker that allocates and collects in the background come to rest before its memory is read. */
static void settle(const struct lv_bench_options *o)
{
    if (o->pid != 0)
        nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
}

int lv_bench_connections(const struct lv_bench_options *o)
{
    struct lv_count_result r = { .noun = "connections",
                                 .count = o->count,
                                 .rss_before = lv_rss_bytes(o->pid) };
    struct lv_idle idle = { 0 };
    struct lv_fault fault = { 0 };
    uint64_t start_ns = lv_now_ns();
    bool is_open = lv_idle_open(&idle, &o->url, o->count, &fault);

    r.seconds = (double)(lv_now_ns() - start_ns) / LV_NS;
    if (is_open) {
        settle(o);
        r.rss_after = lv_rss_bytes(o->pid);
        lv_report_count(o, &r);
    } else {
        fprintf(stderr, "leveret: %s\n", fault.text);
    }
    lv_idle_close(&idle);
    return fault.code;
}

int lv_bench_declare(const struct lv_bench_options *o)
{
    struct lv_bench_options declare = *o;
    struct lv_count_result r = { .noun = "queues",
                                 .count = o->count,
                                 .rss_before = lv_rss_bytes(o->pid) };
    struct lv_topology topology;
    struct lv_fault fault = { 0 };
    uint64_t start_ns = lv_now_ns();

    declare.queues = o->count;
    if (!lv_topology_open(&topology, &declare, &fault)) {
        fprintf(stderr, "leveret: %s\n", fault.text);
        return fault.code;
    }
    r.seconds = (double)(lv_now_ns() - start_ns) / LV_NS;
    settle(o);
    r.rss_after = lv_rss_bytes(o->pid);
    lv_report_count(o, &r);
    lv_topology_close(&topology);
    return EX_OK;
}
