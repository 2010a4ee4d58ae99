/* tools/leveret/report.h - progress lines and results, for people and as JSON. */
#ifndef LV_TOOL_REPORT_H
#define LV_TOOL_REPORT_H
#include <stdio.h>

#include "histogram.h"
#include "options.h"

/* Totals at one moment. */
struct lv_sample {
    uint64_t at_ns, published, confirmed, nacked, delivered;
};

struct lv_load_result {
    struct lv_sample from, to;
    struct lv_histogram *latency; /* NULL: not measured */
    uint64_t total_published, total_delivered;
    uint64_t lost, duplicate, out_of_order, corrupt; /* with --verify */
};

/* Something done many times: operations, connections, queues. */
struct lv_count_result {
    const char *noun; /* plural */
    uint64_t count;
    double seconds;
    struct lv_histogram *latency;   /* of one; NULL: not measured */
    uint64_t rss_before, rss_after; /* bytes of --pid; 0: unknown */
};

/* One line a second on standard error, about what happened between two samples. */
void lv_report_progress(const struct lv_bench_options *o, const struct lv_sample *before,
                        const struct lv_sample *now, uint64_t start_ns, bool is_blocked);
void lv_report_load(const struct lv_bench_options *o, const struct lv_load_result *r);
void lv_report_count(const struct lv_bench_options *o, const struct lv_count_result *r);
/* Resident bytes of a process; 0 when it cannot be read. */
uint64_t lv_rss_bytes(uint64_t pid);

#endif
