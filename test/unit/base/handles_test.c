/* base/handles.h: a name finds its thing until it is removed, and never the next tenant. */
#include "base/handles.h"

#include "base/assert.h"
#include "base/mem.h"

#include "lv_test.h"

static int things[64];

static lv_handle add(struct lv_handles *t, void *ptr)
{
    lv_handle h = 0;

    CHECK_EQ(lv_handles_add(t, ptr, &h), LV_OK);
    CHECK(h != 0);
    return h;
}

LV_TEST(an_empty_table_finds_nothing)
{
    struct lv_handles t;
    uint32_t pos = 0;

    lv_handles_init(&t, 3);
    CHECK(lv_handles_get(&t, 0) == NULL);
    CHECK(lv_handles_get(&t, UINT64_MAX) == NULL);
    CHECK(lv_handles_next(&t, &pos) == NULL);
    lv_handles_fini(&t);
}

LV_TEST(a_removed_name_never_finds_the_next_tenant)
{
    struct lv_handles t;

    lv_handles_init(&t, 3);
    lv_handle a = add(&t, &things[0]), b = add(&t, &things[1]);
    CHECK_EQ(lv_handle_loop(a), 3);
    CHECK_NE(lv_handle_index(a), lv_handle_index(b));
    CHECK(lv_handles_get(&t, a) == &things[0]);
    lv_handles_remove(&t, a);
    CHECK(lv_handles_get(&t, a) == NULL);
    lv_handle c = add(&t, &things[2]);
    CHECK_EQ(lv_handle_index(c), lv_handle_index(a)); /* the cell is used again */
    CHECK(lv_handles_get(&t, a) == NULL);
    CHECK(lv_handles_get(&t, b) == &things[1]);
    CHECK(lv_handles_get(&t, c) == &things[2]);
    CHECK(lv_handles_get(&t, 0) == NULL);
    lv_handles_fini(&t);
}

/* After four thousand million tenants a cell begins anew, and still not with 0. */
LV_TEST(generations_skip_zero)
{
    struct lv_handles t;

    lv_handles_init(&t, 0);
    lv_handles_remove(&t, add(&t, &things[0]));
    t.cells[0].gen = UINT32_MAX;
    lv_handle last = add(&t, &things[1]);
    lv_handles_remove(&t, last);
    lv_handle first = add(&t, &things[2]);
    CHECK(first != 0);
    CHECK(lv_handles_get(&t, last) == NULL);
    CHECK(lv_handles_get(&t, first) == &things[2]);
    lv_handles_fini(&t);
}

LV_TEST(without_memory_nothing_changes)
{
    struct lv_handles t;
    lv_handle live[16], h = 7;

    lv_handles_init(&t, 0);
    lv_mem_fail_at(1);
    CHECK_EQ(lv_handles_add(&t, &things[0], &h), LV_ENOMEM);
    for (size_t i = 0; i < LV_ARRAY_LEN(live); i++)
        live[i] = add(&t, &things[i]);
    lv_mem_fail_at(1);
    CHECK_EQ(lv_handles_add(&t, &things[20], &h), LV_ENOMEM);
    for (size_t i = 0; i < LV_ARRAY_LEN(live); i++)
        CHECK(lv_handles_get(&t, live[i]) == &things[i]);
    h = add(&t, &things[20]);
    CHECK(lv_handles_get(&t, h) == &things[20]);
    lv_handles_fini(&t);
}

LV_PROP(matches_a_model)
{
    struct lv_rng rng = lv_rng_seed(seed);
    lv_handle live[64] = { 0 }, dead[64] = { 0 };
    struct lv_handles t;

    lv_handles_init(&t, 9);
    for (int op = 0; op < 2000; op++) {
        uint32_t i = lv_rng_below(&rng, 64);
        if (live[i] == 0) {
            live[i] = add(&t, &things[i]);
        } else {
            lv_handles_remove(&t, live[i]);
            dead[i] = live[i];
            live[i] = 0;
        }
        i = lv_rng_below(&rng, 64);
        CHECK(lv_handles_get(&t, live[i]) == (live[i] != 0 ? &things[i] : NULL));
        CHECK(lv_handles_get(&t, dead[i]) == NULL);
    }
    uint32_t pos = 0, seen = 0, wanted = 0;
    for (int *p; (p = lv_handles_next(&t, &pos)) != NULL; seen++)
        CHECK(live[p - things] != 0);
    for (size_t i = 0; i < 64; i++)
        wanted += live[i] != 0;
    CHECK_EQ(seen, wanted);
    CHECK_EQ(t.used, wanted);
    CHECK(t.cap <= 64);
    lv_handles_fini(&t);
}
