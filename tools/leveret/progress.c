#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#include "os/os.h"

#define TELL_NS 200000000u

void lv_progress_begin(struct lv_progress *p, const char *verb, uint64_t total, bool quiet)
{
    *p = (struct lv_progress){ .verb = verb, .total = total, .began_ns = lv_clock_ns() };
    p->is_shown = !quiet && isatty(STDERR_FILENO) != 0;
}

static double seconds(const struct lv_progress *p)
{
    return (double)(lv_clock_ns() - p->began_ns) / 1e9;
}

void lv_progress_add(struct lv_progress *p, uint64_t bytes)
{
    uint64_t now = lv_clock_ns();

    p->done += bytes;
    if (!p->is_shown || now - p->told_ns < TELL_NS)
        return;
    p->told_ns = now;
    double rate = (double)p->done / (seconds(p) + 1e-9);
    double left = p->total > p->done ? (double)(p->total - p->done) / (rate + 1e-9) : 0;
    fprintf(stderr, "\r%s: %.1f of %.1f MiB, %.1f MiB/s, %.0f s left\033[K", p->verb,
            (double)p->done / 1048576, (double)p->total / 1048576, rate / 1048576, left);
}

double lv_progress_end(struct lv_progress *p)
{
    if (p->is_shown)
        fputs("\r\033[K", stderr);
    return seconds(p);
}
