#include "manage/series.h"

#include "base/mem.h"
#include "lv_test.h"

static const struct lv_series_policy policy = { .count = 2, .level = { { 1, 10 }, { 5, 6 } } };

static struct lv_series_world world_new(void)
{
    return (struct lv_series_world){ .bytes_max = 1u << 20, .every_ms = 1000, .last_ms = 1000 };
}

/* Notes at the next tick, which is then whole. */
static void note(struct lv_series_world *w, struct lv_series *s, uint64_t value)
{
    CHECK_EQ(lv_series_note(w, s, &policy, 3, w->tick + 1, value, 0), LV_OK);
    w->tick++;
}

static uint64_t at(const struct lv_series_world *w, const struct lv_series *s, uint32_t ago)
{
    return lv_series_at(w, s, &policy, 3, ago, 99);
}

LV_TEST(nothing_was_noted)
{
    struct lv_series_world w = world_new();
    struct lv_series s = { 0 };

    note(&w, &s, 0);
    CHECK_EQ(s.count, 0);
    CHECK_EQ(w.bytes, 0);
    CHECK(lv_series_rate(&w, &s, 3) == 0);
    CHECK(lv_series_rate(&w, NULL, 3) == 0);
    CHECK_EQ(at(&w, &s, 0), 99);
    lv_series_fini(&w, &s, &policy);
}

LV_TEST(rate_of_the_last_tick)
{
    struct lv_series_world w = world_new();
    struct lv_series s = { 0 };

    note(&w, &s, 10);
    CHECK(lv_series_rate(&w, &s, 3) == 10);
    note(&w, &s, 10);
    CHECK(lv_series_rate(&w, &s, 3) == 0);
    note(&w, &s, 4);
    CHECK(lv_series_rate(&w, &s, 3) == -6);
    w.last_ms = 2000;
    CHECK(lv_series_rate(&w, &s, 3) == -3);
    /* The tick that is under way does not count before it is over. */
    CHECK_EQ(lv_series_note(&w, &s, &policy, 3, w.tick + 1, 5, 0), LV_OK);
    CHECK(lv_series_rate(&w, &s, 3) == 0.5);
    lv_series_fini(&w, &s, &policy);
    CHECK_EQ(w.bytes, 0);
}

LV_TEST(samples_against_an_array)
{
    struct lv_series_world w = world_new();
    struct lv_series s = { 0 };
    struct lv_rng r = lv_rng_seed(7);
    uint64_t values[200] = { 0 }, v = 0;

    for (uint32_t tick = 1; tick < 200; tick++) {
        if (lv_rng_below(&r, 3) == 0)
            v += lv_rng_below(&r, 5);
        values[tick] = v;
        note(&w, &s, v);
        for (uint32_t ago = 0; ago < 9 && ago < tick; ago++)
            CHECK_EQ(at(&w, &s, ago), s.count != 0 ? values[tick - ago] : 99);
        /* Farther back only each fifth was kept: the last of its slot. */
        for (uint32_t ago = 9; ago < 25 && ago < tick; ago++) {
            uint32_t end = (tick - ago) / 5 * 5 + 4;
            CHECK_EQ(at(&w, &s, ago), values[end < tick ? end : tick]);
        }
    }
    lv_series_fini(&w, &s, &policy);
}

LV_TEST(what_was_before_the_first_change)
{
    struct lv_series_world w = world_new();
    struct lv_series s = { 0 };

    w.tick = 50;
    CHECK_EQ(lv_series_note(&w, &s, &policy, 3, 51, 700, 700), LV_OK);
    CHECK_EQ(s.count, 0);
    CHECK_EQ(lv_series_note(&w, &s, &policy, 3, 51, 705, 700), LV_OK);
    w.tick = 53;
    CHECK_EQ(at(&w, &s, 2), 705);
    CHECK_EQ(at(&w, &s, 3), 700);
    CHECK_EQ(at(&w, &s, 20), 700);
    CHECK_EQ(at(&w, &s, 1000), 700);
    lv_series_fini(&w, &s, &policy);
}

LV_TEST(still_for_long)
{
    struct lv_series_world w = world_new();
    struct lv_series s = { 0 };

    note(&w, &s, 1);
    CHECK(!lv_series_is_still(&w, &s, &policy));
    w.tick += 30;
    CHECK(!lv_series_is_still(&w, &s, &policy));
    w.tick++;
    CHECK(lv_series_is_still(&w, &s, &policy));
    note(&w, &s, 2);
    CHECK(!lv_series_is_still(&w, &s, &policy));
    CHECK_EQ(at(&w, &s, 1), 1);
    lv_series_fini(&w, &s, &policy);
}

LV_TEST(without_room_for_samples)
{
    struct lv_series_world w = world_new();
    struct lv_series s = { 0 };

    w.bytes_max = 100;
    note(&w, &s, 5);
    note(&w, &s, 8);
    CHECK(lv_series_rate(&w, &s, 3) == 3);
    CHECK_EQ(at(&w, &s, 0), 8);
    CHECK(w.bytes <= w.bytes_max);
    lv_series_fini(&w, &s, &policy);
}

LV_TEST(without_memory)
{
    struct lv_series_world w = world_new();
    struct lv_series s = { 0 };

    lv_mem_fail_at(1);
    CHECK_EQ(lv_series_note(&w, &s, &policy, 3, 1, 5, 0), LV_ENOMEM);
    lv_mem_fail_at(0);
    CHECK_EQ(s.count, 0);
    note(&w, &s, 5);
    CHECK_EQ(at(&w, &s, 0), 5);
    lv_series_fini(&w, &s, &policy);
}
