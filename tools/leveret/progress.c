#include "progress.h"

#include <stdio.h>
#include <unistd.h>

#include "os/os.h"

#define TELL_NS 200000000u
#define BAR_WIDTH 20

void lv_progress_begin_count(struct lv_progress *p, const char *verb, const char *unit,
                             uint64_t total, bool quiet)
{
    *p =
        (struct lv_progress){ .verb = verb, .unit = unit, .total = total, .began_ns = lv_clock_ns() };
    p->is_shown = !quiet && isatty(STDERR_FILENO) != 0;
}

void lv_progress_begin(struct lv_progress *p, const char *verb, uint64_t total, bool quiet)
{
    lv_progress_begin_count(p, verb, NULL, total, quiet);
}

static double seconds(const struct lv_progress *p)
{
    return (double)(lv_clock_ns() - p->began_ns) / 1e9;
}

static void draw(const struct lv_progress *p)
{
    char bar[BAR_WIDTH + 1];
    double scale = p->unit == NULL ? 1048576 : 1, rate = (double)p->done / (seconds(p) + 1e-9);
    const char *unit = p->unit == NULL ? "MiB" : p->unit;
    int digits = p->unit == NULL ? 1 : 0;

    if (p->total == 0) {
        fprintf(stderr, "\r%s: %.*f %s, %.*f %s/s\033[K", p->verb, digits, (double)p->done / scale,
                unit, digits, rate / scale, unit);
        return;
    }
    uint64_t done = p->done < p->total ? p->done : p->total;
    int filled = (int)(done * BAR_WIDTH / p->total);
    for (int i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r%s: [%s] %.*f of %.*f %s, %.*f %s/s, %.0f s left\033[K", p->verb, bar,
            digits, (double)p->done / scale, digits, (double)p->total / scale, unit, digits,
            rate / scale, unit, (double)(p->total - done) / (rate + 1e-9));
}

void lv_progress_add(struct lv_progress *p, uint64_t more)
{
    uint64_t now = lv_clock_ns();

    p->done += more;
    if (!p->is_shown || now - p->told_ns < TELL_NS)
        return;
    p->told_ns = now;
    draw(p);
}

double lv_progress_end(struct lv_progress *p)
{
    if (p->is_shown)
        fputs("\r\033[K", stderr);
    return seconds(p);
}
