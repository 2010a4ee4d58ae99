#include "report.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"

#define NS 1e9

static const struct {
    const char *name;
    double percent;
} percentiles[] = { { "p50", 50 }, { "p90", 90 }, { "p99", 99 }, { "p99.9", 99.9 }, { "max", 100 } };

uint64_t lv_rss_bytes(uint64_t pid)
{
    char path[48], line[128] = "";

    snprintf(path, sizeof(path), "/proc/%ju/statm", (uintmax_t)pid);
    FILE *file = pid != 0 ? fopen(path, "r") : NULL;
    if (file == NULL)
        return 0;
    const char *resident = fgets(line, sizeof(line), file) != NULL ? strchr(line, ' ') : NULL;
    fclose(file);
    return resident != NULL ? strtoull(resident, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static double seconds_between(const struct lv_sample *from, const struct lv_sample *to)
{
    return to->at_ns > from->at_ns ? (double)(to->at_ns - from->at_ns) / NS : 0;
}

static double per_second(uint64_t count, double seconds)
{
    return seconds > 0 ? (double)count / seconds : 0;
}

static double micros(const struct lv_histogram *h, double percent)
{
    return (double)lv_histogram_percentile(h, percent) / 1000.0;
}

void lv_report_progress(const struct lv_bench_options *o, const struct lv_sample *before,
                        const struct lv_sample *now, uint64_t start_ns, bool is_blocked)
{
    double seconds = seconds_between(before, now);

    fprintf(stderr, "%4.0f s  published %10.0f/s", (double)(now->at_ns - start_ns) / NS,
            per_second(now->published - before->published, seconds));
    if (o->consumers != 0)
        fprintf(stderr, "  delivered %10.0f/s",
                per_second(now->delivered - before->delivered, seconds));
    if (o->confirm != 0)
        fprintf(stderr, "  confirmed %10.0f/s",
                per_second(now->confirmed - before->confirmed, seconds));
    fputs(is_blocked ? "  blocked by the broker\n" : "\n", stderr);
}

/* ---- JSON ---- */

static void json_latency(const struct lv_histogram *h)
{
    printf(", \"latency_us\": {\"count\": %ju", (uintmax_t)lv_histogram_count(h));
    for (size_t i = 0; i < LV_ARRAY_LEN(percentiles); i++)
        printf(", \"%s\": %.1f", percentiles[i].name, micros(h, percentiles[i].percent));
    printf("}");
}

static void json_begin(const struct lv_bench_options *o)
{
    printf("{\"version\": \"%s\", \"mode\": \"%s\"", LV_VERSION, lv_bench_mode_name(o->mode));
}

static void json_load(const struct lv_bench_options *o, const struct lv_load_result *r)
{
    double seconds = seconds_between(&r->from, &r->to);

    json_begin(o);
    printf(", \"producers\": %ju, \"consumers\": %ju, \"queues\": %ju, \"size\": %ju, \"confirm\": "
           "%ju",
           (uintmax_t)o->producers, (uintmax_t)o->consumers, (uintmax_t)o->queues,
           (uintmax_t)o->size, (uintmax_t)o->confirm);
    printf(", \"ack\": %ju, \"prefetch\": %ju, \"in_flight\": %ju, \"rate\": %g", (uintmax_t)o->ack,
           (uintmax_t)o->prefetch, (uintmax_t)o->in_flight, o->rate);
    printf(", \"seconds\": %.6f, \"published_per_s\": %.0f, \"delivered_per_s\": %.0f", seconds,
           per_second(r->to.published - r->from.published, seconds),
           per_second(r->to.delivered - r->from.delivered, seconds));
    printf(", \"confirmed_per_s\": %.0f, \"published\": %ju, \"delivered\": %ju, \"nacked\": %ju",
           per_second(r->to.confirmed - r->from.confirmed, seconds), (uintmax_t)r->total_published,
           (uintmax_t)r->total_delivered, (uintmax_t)r->to.nacked);
    if (r->latency != NULL)
        json_latency(r->latency);
    if (o->is_verified)
        printf(", \"verify\": {\"lost\": %ju, \"duplicate\": %ju, \"out_of_order\": %ju, "
               "\"corrupt\": %ju}",
               (uintmax_t)r->lost, (uintmax_t)r->duplicate, (uintmax_t)r->out_of_order,
               (uintmax_t)r->corrupt);
    if (o->pid != 0)
        printf(", \"rss_bytes\": %ju", (uintmax_t)lv_rss_bytes(o->pid));
    puts("}");
}

static void json_count(const struct lv_bench_options *o, const struct lv_count_result *r)
{
    json_begin(o);
    printf(", \"%s\": %ju, \"seconds\": %.6f, \"per_s\": %.1f", r->noun, (uintmax_t)r->count,
           r->seconds, per_second(r->count, r->seconds));
    if (r->latency != NULL)
        json_latency(r->latency);
    if (r->rss_after != 0)
        printf(", \"rss_before\": %ju, \"rss_after\": %ju, \"rss_each\": %.1f",
               (uintmax_t)r->rss_before, (uintmax_t)r->rss_after,
               ((double)r->rss_after - (double)r->rss_before) / (double)r->count);
    puts("}");
}

/* ---- text ---- */

static void text_latency(const char *what, const struct lv_histogram *h)
{
    printf("%-10s", what);
    for (size_t i = 0; i < LV_ARRAY_LEN(percentiles); i++)
        printf("  %s %.1f us", percentiles[i].name, micros(h, percentiles[i].percent));
    printf("  (%ju)\n", (uintmax_t)lv_histogram_count(h));
}

static void text_rate(const char *what, uint64_t count, double seconds, uint64_t size)
{
    double rate = per_second(count, seconds);

    printf("%-10s %12.0f msg/s  %10.1f MiB/s\n", what, rate, rate * (double)size / (1u << 20));
}

static void text_load(const struct lv_bench_options *o, const struct lv_load_result *r)
{
    double seconds = seconds_between(&r->from, &r->to);

    printf("%s: %ju producers, %ju consumers, %ju queues, %ju bytes, %.2f s\n",
           lv_bench_mode_name(o->mode), (uintmax_t)o->producers, (uintmax_t)o->consumers,
           (uintmax_t)o->queues, (uintmax_t)o->size, seconds);
    if (r->to.published != r->from.published)
        text_rate("published", r->to.published - r->from.published, seconds, o->size);
    if (r->to.confirmed != r->from.confirmed)
        text_rate("confirmed", r->to.confirmed - r->from.confirmed, seconds, o->size);
    if (r->to.delivered != r->from.delivered)
        text_rate("delivered", r->to.delivered - r->from.delivered, seconds, o->size);
    if (r->to.nacked != 0)
        printf("nacked     %ju messages\n", (uintmax_t)r->to.nacked);
    if (r->latency != NULL)
        text_latency("latency", r->latency);
    if (o->is_verified)
        printf(
            "verify     lost %ju, duplicate %ju, out of order %ju, corrupt %ju of %ju published\n",
            (uintmax_t)r->lost, (uintmax_t)r->duplicate, (uintmax_t)r->out_of_order,
            (uintmax_t)r->corrupt, (uintmax_t)r->total_published);
    if (o->pid != 0)
        printf("memory     %.1f MiB resident\n", (double)lv_rss_bytes(o->pid) / (1u << 20));
}

static void text_count(const struct lv_bench_options *o, const struct lv_count_result *r)
{
    printf("%s: %ju %s in %.3f s, %.1f/s\n", lv_bench_mode_name(o->mode), (uintmax_t)r->count,
           r->noun, r->seconds, per_second(r->count, r->seconds));
    if (r->latency != NULL)
        text_latency("each", r->latency);
    if (r->rss_after != 0)
        printf("memory     %.1f MiB before, %.1f MiB after, %.0f bytes each\n",
               (double)r->rss_before / (1u << 20), (double)r->rss_after / (1u << 20),
               ((double)r->rss_after - (double)r->rss_before) / (double)r->count);
}

void lv_report_load(const struct lv_bench_options *o, const struct lv_load_result *r)
{
    (o->is_json ? json_load : text_load)(o, r);
}

void lv_report_count(const struct lv_bench_options *o, const struct lv_count_result *r)
{
    (o->is_json ? json_count : text_count)(o, r);
}
