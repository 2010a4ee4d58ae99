/* manage/series.h - the numbers of one object over time: what they are now, what they were, how fast they change.
 *
 * Time is counted in ticks, one each interval of the sampler. A number that does not change is not touched: what it was last
 * holds for all ticks since. A number that has changed has rings of samples, one for each step of its policy; when it has been
 * still for as long as the longest of them reaches, the series can go.
 * Owner   one thread.
 */
#ifndef LV_MANAGE_SERIES_H
#define LV_MANAGE_SERIES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define LV_SERIES_LEVELS_MAX 4u

/* How long samples are kept: levels from fine to coarse. */
struct lv_series_policy {
    unsigned count;
    struct {
        uint32_t every; /* ticks between samples */
        uint32_t slots; /* how many are kept */
    } level[LV_SERIES_LEVELS_MAX];
};

struct lv_track; /* one number of an object */
#define LV_TRACK_BYTES 96u

struct lv_series {
    struct lv_track *tracks; /* those that were ever not zero */
    uint8_t count;
    uint32_t changed; /* tick of the last change */
};

/* What all series of a room have in common. */
struct lv_series_world {
    uint32_t tick;     /* the newest whole one */
    size_t bytes;      /* of all rings */
    size_t bytes_max;  /* beyond them numbers have a rate, and no samples */
    uint64_t tick_ms;  /* wall clock of the newest tick */
    uint32_t every_ms; /* between ticks, as wanted */
    uint32_t last_ms;  /* between the last two, as it was */
};

/* Notes that number `which` is `value` at tick `tick`, which is the newest whole one or the next; it was `base` before, if it was
 * never noted. Cheap when it has not changed. LV_ENOMEM: not noted. */
enum lv_err lv_series_note(struct lv_series_world *w, struct lv_series *s,
                           const struct lv_series_policy *policy, unsigned which, uint32_t tick,
                           uint64_t value, uint64_t base);
/* Number `which`, which was never noted, is `value` from now on, and was before. LV_ENOMEM: nothing happened. */
enum lv_err lv_series_start(struct lv_series *s, unsigned which, uint64_t value);
/* Gives its memory back; it is an empty one again. */
void lv_series_fini(struct lv_series_world *w, struct lv_series *s,
                    const struct lv_series_policy *policy);

/* Change per second in the last tick; 0 of a number that was never noted. */
double lv_series_rate(const struct lv_series_world *w, const struct lv_series *s, unsigned which);
/* The value `ago` ticks before the newest, as far as that is known; `now` if it was never noted. */
uint64_t lv_series_at(const struct lv_series_world *w, const struct lv_series *s,
                      const struct lv_series_policy *policy, unsigned which, uint32_t ago,
                      uint64_t now);
/* Has it been still for as long as the policy reaches? */
bool lv_series_is_still(const struct lv_series_world *w, const struct lv_series *s,
                        const struct lv_series_policy *policy);

#endif
