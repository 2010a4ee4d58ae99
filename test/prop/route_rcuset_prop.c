/* A reader stops at every step of its walk while the writer goes on: whatever was in the set all the time must be met,
 * and nothing that was taken out before the walk began. */
#include "route/rcuset_priv.h"

#include <stdlib.h>

#include "base/mem.h"
#include "lv_test.h"

enum { ITEMS = 40, WALKS = 200, RETIRED_MAX = 4096 };

struct item {
    struct lv_place place;
    bool is_in, was_in_all_the_time, was_in_at_some_time, is_met;
};

static void *retired[RETIRED_MAX];
static void (*retired_free)(void *ptr);
static size_t retired_count;

static void retire(void *ptr, void (*free_fn)(void *ptr))
{
    CHECK(retired_count < RETIRED_MAX);
    retired_free = free_fn;
    retired[retired_count++] = ptr;
}

static void free_retired(void)
{
    while (retired_count != 0)
        retired_free(retired[--retired_count]);
}

static const struct lv_reclaim reclaim = { retire };

/* `lean`: of 100 changes so many add. */
static void change(struct lv_rcuset *s, struct item *items, struct lv_rng *rng, uint32_t lean)
{
    struct item *item = &items[lv_rng_below(rng, ITEMS)];

    if (lv_rng_below(rng, 100) < lean) {
        if (item->is_in)
            return;
        CHECK_EQ(lv_rcuset_add(s, item, &item->place, &reclaim), LV_OK);
        item->is_in = item->was_in_at_some_time = true;
    } else if (item->is_in) {
        lv_rcuset_remove(&item->place, &reclaim);
        item->is_in = item->was_in_all_the_time = false;
    }
}

LV_PROP(a_walk_meets_what_stays)
{
    struct item items[ITEMS] = { 0 };
    struct lv_rng rng = lv_rng_seed(seed);
    struct lv_rcuset s;

    lv_rcuset_init(&s);
    for (int walk = 0; walk < WALKS; walk++) {
        uint32_t lean = 20 + lv_rng_below(&rng, 60), pace = 1 + lv_rng_below(&rng, 4);
        uint32_t count = 0;
        for (int i = 0; i < ITEMS; i++) {
            items[i].was_in_all_the_time = items[i].was_in_at_some_time = items[i].is_in;
            items[i].is_met = false;
            count += items[i].is_in;
        }
        CHECK_EQ(lv_rcuset_count(&s), count);
        struct lv_rcuset_walk w = lv_rcuset_walk(&s);
        struct item *item;
        while ((item = lv_rcuset_next(&w)) != NULL) {
            item->is_met = true;
            for (uint32_t n = lv_rng_below(&rng, pace); n > 0; n--)
                change(&s, items, &rng, lean);
        }
        for (int i = 0; i < ITEMS; i++) {
            CHECK(items[i].is_met || !items[i].was_in_all_the_time);
            CHECK(items[i].was_in_at_some_time || !items[i].is_met);
        }
        free_retired();
        for (int n = 0; n < 10; n++)
            change(&s, items, &rng, lean);
    }
    free_retired();
    lv_rcuset_fini(&s);
    CHECK_EQ(lv_mem_used(LV_TAG_ROUTE), 0);
}
