/* The timer wheel against a list of what should fire, and timers on a running loop. */
#include <stdlib.h>

#include "loop/loop.h"
#include "loop/wheel_priv.h"
#include "lv_test.h"
#include "os/os.h"

enum { TIMERS = 60 };

struct model_timer {
    struct lv_timer timer; /* first */
    bool is_running;
    unsigned fired;
};

static struct lv_wheel wheel;
static struct model_timer timers[TIMERS];
static lv_time_ms clock_ms;
static struct lv_rng rng;
static uint64_t last_tick;

static void model_fire(struct lv_loop *loop, struct lv_timer *t);

static uint64_t some_delay(void)
{
    static const uint32_t scales[] = { 1, 60, 4000, 300000, 20000000, 1200000000, 4000000000 };

    return lv_rng_below(&rng, scales[lv_rng_below(&rng, LV_ARRAY_LEN(scales))]);
}

static void model_start(struct model_timer *m)
{
    lv_timer_stop(&m->timer);
    m->timer.due = clock_ms + some_delay();
    m->timer.fire = model_fire;
    m->is_running = true;
    lv_wheel_add(&wheel, &m->timer);
}

static uint64_t tick_of(lv_time_ms due)
{
    return (due + LV_TICK_MS - 1) / LV_TICK_MS;
}

static void model_fire(struct lv_loop *loop, struct lv_timer *t)
{
    struct model_timer *m = (struct model_timer *)t;

    (void)loop;
    CHECK(m->is_running);
    CHECK(t->due <= clock_ms);
    CHECK(wheel.tick >= last_tick); /* in the order of their ticks */
    last_tick = wheel.tick;
    m->is_running = false;
    m->fired++;
    if (lv_rng_below(&rng, 3) == 0)
        model_start(m);
    if (lv_rng_below(&rng, 4) == 0) { /* another one, which may be due in this very tick */
        struct model_timer *other = &timers[lv_rng_below(&rng, TIMERS)];
        lv_timer_stop(&other->timer);
        other->is_running = false;
    }
}

LV_PROP(wheel_fires_what_is_due)
{
    memset(timers, 0, sizeof(timers));
    rng = lv_rng_seed(seed);
    clock_ms = lv_rng_next(&rng) >> 20;
    last_tick = 0;
    lv_wheel_init(&wheel, clock_ms);
    for (int step = 0; step < 300; step++) {
        struct model_timer *m = &timers[lv_rng_below(&rng, TIMERS)];
        if (lv_rng_below(&rng, 5) != 0) {
            model_start(m);
        } else {
            lv_timer_stop(&m->timer);
            m->is_running = false;
        }
        lv_time_ms next = lv_wheel_next(&wheel);
        uint64_t first = UINT64_MAX;
        for (int i = 0; i < TIMERS; i++)
            if (timers[i].is_running)
                first = LV_MIN(first, LV_MAX(tick_of(timers[i].timer.due), wheel.tick + 1));
        /* The wheel may ask to be turned earlier, to spread a slot; never later, and never in vain. */
        if (first == UINT64_MAX)
            CHECK_EQ(next, LV_WHEEL_NEVER);
        else
            CHECK(next > wheel.tick * LV_TICK_MS && next <= first * LV_TICK_MS);
        clock_ms += some_delay();
        lv_wheel_advance(&wheel, clock_ms, NULL);
        for (int i = 0; i < TIMERS; i++)
            if (timers[i].is_running)
                CHECK(tick_of(timers[i].timer.due) > clock_ms / LV_TICK_MS ||
                      timers[i].timer.due + LV_TICK_MS > clock_ms);
    }
}

LV_TEST(a_stopped_timer_leaves_no_wake_behind)
{
    struct lv_timer t = { .due = 1000 };

    lv_wheel_init(&wheel, 0);
    CHECK_EQ(lv_wheel_next(&wheel), LV_WHEEL_NEVER);
    lv_timer_stop(&t); /* never started */
    lv_wheel_add(&wheel, &t);
    CHECK_EQ(lv_wheel_next(&wheel), 1000);
    lv_timer_stop(&t);
    lv_timer_stop(&t);
    CHECK_EQ(lv_wheel_next(&wheel), LV_WHEEL_NEVER);
}

/* ---- on a loop ---- */

static lv_time_ms began, fired_at[4];
static unsigned fired_count;
static struct lv_timer t_first, t_second, t_far, t_again;
static uint64_t turns;

static void note(struct lv_loop *loop, struct lv_timer *t)
{
    (void)t;
    fired_at[fired_count++] = lv_loop_now(loop) - began;
}

static void again(struct lv_loop *loop, struct lv_timer *t)
{
    struct lv_loop_stats stats;

    note(loop, t);
    if (fired_count < 4) {
        lv_timer_start(loop, t, 100, again);
        return;
    }
    lv_loop_stats(loop, &stats);
    turns = stats.turns;
    lv_loops_stop(lv_loop_all(loop));
}

static enum lv_err start(struct lv_loop *loop)
{
    began = lv_loop_now(loop);
    CHECK(!lv_timer_is_running(&t_far));
    lv_timer_start(loop, &t_far, UINT64_MAX, note);
    CHECK(lv_timer_is_running(&t_far));
    lv_timer_start(loop, &t_first, 120, note);
    lv_timer_start(loop, &t_second, 10, note);
    lv_timer_start(loop, &t_second, 240, note); /* restarted: the later time counts */
    lv_timer_start(loop, &t_again, 600, again);
    return LV_OK;
}

LV_TEST(timers_on_a_loop)
{
    struct lv_loops_config config = { .count = 1, .start = start };
    struct lv_loops *loops;

    CHECK_EQ(lv_loops_new(&config, &loops), LV_OK);
    CHECK_EQ(lv_loops_run(loops), LV_OK);
    lv_loops_free(loops);
    CHECK_EQ(fired_count, 4);
    CHECK(fired_at[0] >= 120 && fired_at[1] >= 240 && fired_at[2] >= 600);
    CHECK(fired_at[3] - fired_at[2] >= 100);
    CHECK(fired_at[1] < fired_at[2]);
    CHECK(turns < 12); /* it slept between them */
}
