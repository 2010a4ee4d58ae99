/* tools/leveret/progress.h - how far a long job is: one line on stderr, written over again, when a person watches. */
#ifndef LV_TOOL_PROGRESS_H
#define LV_TOOL_PROGRESS_H
#include <stdbool.h>
#include <stdint.h>

struct lv_progress {
    const char *verb;
    const char *unit;     /* NULL: bytes */
    uint64_t total, done; /* total 0: unknown */
    uint64_t began_ns, told_ns;
    bool is_shown;
};

/* Shown only when stderr is a terminal and not `quiet`. */
void lv_progress_begin(struct lv_progress *p, const char *verb, uint64_t total, bool quiet);
/* The same for things that are counted: `unit` is their name. */
void lv_progress_begin_count(struct lv_progress *p, const char *verb, const char *unit,
                             uint64_t total, bool quiet);
/* So many bytes, or things, more. */
void lv_progress_add(struct lv_progress *p, uint64_t more);
/* Leaves an empty line behind; returns the seconds that it took. */
double lv_progress_end(struct lv_progress *p);

#endif
