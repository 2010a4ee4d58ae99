/* Message priorities: a higher one goes first, equal ones in order. */
#include "base/mem.h"
#include "support/queue_rig.h"

static struct rig *rig_of(unsigned levels, uint8_t usual)
{
    struct rig *r = rig_new();

    lv_queue_prioritize(r->q, levels, usual);
    return r;
}

static void check_order(struct rig *r, const uint32_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++)
        CHECK_EQ(rig_eat(r), order[i]);
    CHECK_EQ(rig_eat(r), UINT32_MAX);
}
#define CHECK_ORDER(r, ...)                       \
    check_order((r), (uint32_t[]){ __VA_ARGS__ }, \
                sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

LV_TEST(a_higher_one_goes_first)
{
    struct rig *r = rig_of(4, 0);

    for (uint32_t n = 0; n < 12; n++)
        rig_put_priority(r, n, n * 5 % 4);
    rig_check_counts(r, 12, 0);
    CHECK_ORDER(r, 3, 7, 11, 2, 6, 10, 1, 5, 9, 0, 4, 8);
    rig_free(r);
}

LV_TEST(one_above_all_counts_as_the_highest)
{
    struct rig *r = rig_of(3, 0);

    rig_put_priority(r, 1, 1);
    rig_put_priority(r, 2, 3);
    rig_put_priority(r, 3, 255);
    rig_put_priority(r, 4, 2);
    CHECK_ORDER(r, 2, 3, 4, 1);
    rig_free(r);
}

LV_TEST(one_that_names_none_has_the_usual)
{
    struct rig *r = rig_of(3, 1);

    rig_put_priority(r, 1, 0);
    rig_put(r, 2);
    rig_put_priority(r, 3, 2);
    rig_put_priority(r, 4, 1);
    CHECK_ORDER(r, 3, 2, 4, 1);
    rig_free(r);
}

LV_TEST(a_queue_without_them)
{
    struct rig *r = rig_new();

    rig_put_priority(r, 1, 0);
    rig_put_priority(r, 2, 9);
    rig_put(r, 3);
    CHECK_ORDER(r, 1, 2, 3);
    rig_free(r);
}

LV_TEST(all_levels)
{
    struct rig *r = rig_of(LV_QUEUE_LEVELS_MAX, 0);
    uint32_t n = 0;

    for (unsigned round = 0; round < 3; round++)
        for (unsigned p = 0; p < LV_QUEUE_LEVELS_MAX; p++)
            rig_put_priority(r, n++, (uint8_t)(p * 77)); /* 77 is odd: each once */
    rig_check_counts(r, n, 0);
    for (unsigned p = LV_QUEUE_LEVELS_MAX; p-- > 0;)
        for (unsigned round = 0; round < 3; round++) {
            uint32_t got = rig_eat(r);
            CHECK_EQ((uint8_t)(got % LV_QUEUE_LEVELS_MAX * 77), p);
            CHECK_EQ(got / LV_QUEUE_LEVELS_MAX, round);
        }
    CHECK_EQ(rig_eat(r), UINT32_MAX);
    rig_free(r);
}

/* ---- what comes back ---- */

LV_TEST(back_in_its_own_level)
{
    struct rig *r = rig_of(3, 0);

    rig_put_priority(r, 1, 1);
    uint32_t one = rig_get(r, 1);
    rig_put_priority(r, 2, 1);
    rig_put_priority(r, 3, 2);
    rig_put_priority(r, 4, 0);
    rig_settle(r, one, LV_RELEASED);
    CHECK_ORDER(r, 3, 1, 2, 4);
    rig_free(r);
}

LV_TEST(many_back_in_theirs)
{
    struct rig *r = rig_of(3, 0);
    uint32_t slots[9];

    for (uint32_t n = 0; n < 9; n++)
        rig_put_priority(r, n, (uint8_t)(n % 3));
    for (uint32_t i = 0; i < 9; i++)
        slots[i] = rig_get(r, i % 3 * 3 + (2 - i / 3)); /* 2 5 8 1 4 7 0 3 6 */
    for (uint32_t i = 0; i < 9; i++)
        rig_settle(r, slots[i * 4 % 9], LV_UNSEEN);
    rig_check_counts(r, 9, 0);
    rig_put_priority(r, 9, 2);
    rig_put_priority(r, 10, 0);
    CHECK_ORDER(r, 2, 5, 8, 9, 1, 4, 7, 0, 3, 6, 10);
    rig_free(r);
}

LV_TEST(quorum_queues_serve_it_before_all_levels)
{
    struct rig *r = rig_of(2, 0);

    lv_queue_serve_returned_first(r->q);
    rig_put_priority(r, 1, 1);
    rig_put_priority(r, 2, 0);
    rig_put_priority(r, 3, 0);
    uint32_t one = rig_get(r, 1), two = rig_get(r, 2);
    rig_put_priority(r, 4, 1);
    rig_settle(r, two, LV_RELEASED);
    rig_settle(r, one, LV_RELEASED);
    CHECK_ORDER(r, 2, 1, 4, 3);
    rig_free(r);
}

/* ---- consumers ---- */

LV_TEST(straight_through_whatever_its_priority)
{
    struct rig *r = rig_of(3, 0);
    struct lv_consumer c = { .credit = 3, .owner = r };

    CHECK_EQ(lv_queue_subscribe(r->q, &c), LV_OK);
    rig_put_priority(r, 1, 0);
    rig_put_priority(r, 2, 2);
    rig_put_priority(r, 3, 1);
    CHECK_EQ(r->delivered_count, 3);
    for (uint32_t i = 0; i < 3; i++)
        CHECK_EQ(r->delivered[i].n, i + 1);
    uint32_t slots[3] = { r->delivered[0].slot, r->delivered[1].slot, r->delivered[2].slot };
    lv_queue_settle(r->q, slots, 3, LV_RELEASED, r->now); /* but coming back has an order */
    CHECK_ORDER(r, 2, 3, 1);
    rig_free(r);
}

LV_TEST(a_dispatch_goes_by_priority)
{
    struct rig *r = rig_of(2, 0);
    struct lv_consumer c = { .credit = 3, .owner = r };

    rig_put_priority(r, 1, 0);
    rig_put_priority(r, 2, 1);
    rig_put_priority(r, 3, 0);
    rig_put_priority(r, 4, 1);
    rig_serve(r, &c);
    CHECK_EQ(r->delivered_count, 3);
    CHECK(r->delivered[0].n == 2 && r->delivered[1].n == 4 && r->delivered[2].n == 1);
    rig_free(r);
}

/* ---- the rest of a queue's life ---- */

LV_TEST(purged_in_all_levels)
{
    struct rig *r = rig_of(3, 0);

    for (uint32_t n = 0; n < 30; n++)
        rig_put_priority(r, n, (uint8_t)(n % 3));
    uint32_t two = rig_get(r, 2), five = rig_get(r, 5);
    rig_settle(r, two, LV_RELEASED);
    rig_check_counts(r, 29, 1);
    CHECK_EQ(lv_queue_purge(r->q), 29);
    rig_check_counts(r, 0, 1);
    CHECK_EQ(rig_eat(r), UINT32_MAX);
    rig_put_priority(r, 40, 0);
    rig_put_priority(r, 41, 1);
    rig_settle(r, five, LV_RELEASED);
    CHECK_ORDER(r, 5, 41, 40);
    rig_free(r);
}

/* Levels come and go empty, in any order. */
LV_TEST(one_level_after_the_other)
{
    struct rig *r = rig_of(5, 0);
    static const uint8_t walk[] = { 2, 4, 0, 3, 1, 0, 4, 4, 2 };

    for (uint32_t i = 0; i < LV_ARRAY_LEN(walk); i++) {
        rig_put_priority(r, i, walk[i]);
        CHECK_EQ(rig_eat(r), i);
    }
    for (uint32_t i = 0; i < LV_ARRAY_LEN(walk); i++)
        rig_put_priority(r, i, walk[i]);
    CHECK_ORDER(r, 1, 6, 7, 3, 0, 8, 4, 2, 5);
    rig_free(r);
}

LV_TEST(without_memory_for_a_level)
{
    static const uint64_t nth[] = { 1, 2,
                                    2 }; /* the level, which stays then; the message; its place */
    struct rig_message m = { .n = 2, .has_priority = true, .priority = 2 };
    struct rig *r = rig_of(3, 0);

    rig_put_priority(r, 1, 0);
    for (size_t i = 0; i < LV_ARRAY_LEN(nth); i++) {
        lv_mem_fail_at(nth[i]);
        CHECK_EQ(rig_publish(r, m), LV_ENOMEM);
        CHECK_EQ(lv_mem_fail_at(0), 0);
        rig_check_counts(r, 1, 0);
    }
    CHECK_EQ(rig_publish(r, m), LV_OK);
    CHECK_ORDER(r, 2, 1);
    rig_free(r);
}

LV_TEST(through_the_log)
{
    struct rig *r = rig_logged();
    uint32_t slots[40];

    lv_queue_prioritize(r->q, 4, 0);
    r->journal.here_max = 0; /* all of it waits there */
    for (uint32_t n = 0; n < 40; n++)
        rig_put_priority(r, n, (uint8_t)(n % 4));
    rig_check_counts(r, 40, 0);
    for (uint32_t i = 0; i < 40; i++)
        slots[i] = rig_get(r, i % 10 * 4 + (3 - i / 10));
    for (uint32_t i = 0; i < 40; i++)
        rig_settle(r, slots[i * 7 % 40], LV_RELEASED);
    for (uint32_t i = 0; i < 40; i++)
        CHECK_EQ(rig_eat(r), i % 10 * 4 + (3 - i / 10));
    rig_check_counts(r, 0, 0);
    rig_free(r);
}
