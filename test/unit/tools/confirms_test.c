/* tools/leveret/confirms.h against a list of tags. */
/* A program is no library: its test brings the source in.
   NOLINTBEGIN(bugprone-suspicious-include) */
#include "../../../tools/leveret/confirms.c"
#include "../../../tools/leveret/fault.c"
/* NOLINTEND(bugprone-suspicious-include) */

#include "lv_test.h"

#define WINDOW 20

LV_TEST(one_by_one)
{
    struct lv_confirms c;

    lv_confirms_init(&c, WINDOW);
    c.next += 3;
    CHECK_EQ(lv_confirms_open(&c), 3);
    CHECK_EQ(lv_confirms_settle(&c, 2, false), 1);
    CHECK_EQ(lv_confirms_open(&c), 3); /* tag 1 still holds the window */
    CHECK_EQ(lv_confirms_settle(&c, 2, false), 0);
    CHECK_EQ(lv_confirms_settle(&c, 1, false), 1);
    CHECK_EQ(lv_confirms_open(&c), 1);
    CHECK_EQ(lv_confirms_settle(&c, 4, false), 0); /* not published yet */
    lv_confirms_fini(&c);
}

LV_TEST(tag_zero_means_all)
{
    struct lv_confirms c;

    lv_confirms_init(&c, WINDOW);
    c.next += 5;
    CHECK_EQ(lv_confirms_settle(&c, 0, true), 5);
    CHECK_EQ(lv_confirms_settle(&c, 0, true), 0);
    CHECK_EQ(lv_confirms_open(&c), 0);
    lv_confirms_fini(&c);
}

LV_PROP(any_order)
{
    struct lv_rng r = lv_rng_seed(seed);
    struct lv_confirms c;
    bool is_open[2000] = { false };
    uint64_t lowest = 1;

    lv_confirms_init(&c, WINDOW);
    while (c.next < 1500) {
        while (lv_confirms_open(&c) < WINDOW && lv_rng_below(&r, 4) != 0)
            is_open[c.next++] = true;
        uint64_t tag = lowest + lv_rng_below(&r, WINDOW);
        bool is_multiple = lv_rng_below(&r, 3) == 0;
        uint64_t settled = 0;
        for (uint64_t i = is_multiple ? lowest : tag; i <= tag && tag < c.next; i++) {
            settled += is_open[i];
            is_open[i] = false;
        }
        CHECK_EQ(lv_confirms_settle(&c, tag, is_multiple), settled);
        while (lowest < c.next && !is_open[lowest])
            lowest++;
        CHECK_EQ(lv_confirms_open(&c), c.next - lowest);
    }
    lv_confirms_fini(&c);
}
