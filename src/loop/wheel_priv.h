/* loop/wheel_priv.h - a hierarchical wheel of timers, in ticks of LV_TICK_MS. No I/O, no clock. */
#ifndef LV_LOOP_WHEEL_PRIV_H
#define LV_LOOP_WHEEL_PRIV_H
#include "loop/loop.h"

#define LV_WHEEL_BITS 6u
#define LV_WHEEL_SLOTS (1u << LV_WHEEL_BITS)
#define LV_WHEEL_LEVELS \
    4u /* 64^4 ticks: 9.7 days; later timers wait in the last level and go round again */
#define LV_WHEEL_NEVER UINT64_MAX

struct lv_wheel {
    uint64_t tick;                      /* all timers due at or before it have fired */
    uint64_t occupied[LV_WHEEL_LEVELS]; /* bit per slot; may be set for an empty one (lv_timer_stop) */
    struct lv_link slot[LV_WHEEL_LEVELS][LV_WHEEL_SLOTS];
};

void lv_wheel_init(struct lv_wheel *w, lv_time_ms now);
void lv_wheel_add(struct lv_wheel *w, struct lv_timer *t);
/* When the wheel next wants to be advanced; LV_WHEEL_NEVER: it is empty. */
lv_time_ms lv_wheel_next(struct lv_wheel *w);
/* Fires everything due at `now`. */
void lv_wheel_advance(struct lv_wheel *w, lv_time_ms now, struct lv_loop *loop);

#endif
