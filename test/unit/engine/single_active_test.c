/* Single active consumer: one gets everything until it leaves. */
#include "support/queue_rig.h"

enum { CONSUMERS = 5 };

struct crew {
    struct rig *r;
    struct lv_consumer c[CONSUMERS];
};

/* Of these priorities, in that order; no_ack, and unlimited credit. */
static struct crew crew_of(const int32_t *priorities, size_t n)
{
    struct crew crew = { .r = rig_new() };

    lv_queue_serve_one(crew.r->q);
    for (size_t i = 0; i < n; i++)
        crew.c[i] = (struct lv_consumer){
            .credit = LV_CREDIT_UNLIMITED, .no_ack = true, .priority = priorities[i], .owner = crew.r
        };
    return crew;
}
#define CREW(...) \
    crew_of((int32_t[]){ __VA_ARGS__ }, sizeof((int32_t[]){ __VA_ARGS__ }) / sizeof(int32_t))

static void join(struct crew *crew, size_t i)
{
    CHECK_EQ(lv_queue_subscribe(crew->r->q, &crew->c[i]), LV_OK);
}

static void join_all(struct crew *crew, size_t n)
{
    for (size_t i = 0; i < n; i++)
        join(crew, i);
}

/* Who gets the next message, which is published now; CONSUMERS: nobody. */
static size_t next_goes_to(struct crew *crew)
{
    size_t before = crew->r->delivered_count;

    rig_put(crew->r, (uint32_t)before);
    if (crew->r->delivered_count == before)
        return CONSUMERS;
    return (size_t)(crew->r->delivered[before].consumer - crew->c);
}

static bool is_served(const struct crew *crew, size_t i)
{
    return lv_queue_served(crew->r->q) == &crew->c[i];
}

LV_TEST(the_first_gets_everything)
{
    struct crew crew = CREW(0, 0, 0);

    CHECK(lv_queue_served(crew.r->q) == NULL);
    join_all(&crew, 3);
    CHECK(is_served(&crew, 0));
    for (unsigned i = 0; i < 10; i++)
        CHECK_EQ(next_goes_to(&crew), 0);
    struct lv_queue_counts counts;
    lv_queue_counts(crew.r->q, &counts);
    CHECK_EQ(counts.consumers, 3);
    rig_free(crew.r);
}

LV_TEST(all_are_served_without_it)
{
    struct rig *r = rig_new();
    struct lv_consumer c = { .credit = 1, .owner = r };

    CHECK_EQ(lv_queue_subscribe(r->q, &c), LV_OK);
    CHECK(lv_queue_served(r->q) == NULL);
    rig_free(r);
}

LV_TEST(one_that_is_more_urgent_does_not_take_over)
{
    struct crew crew = CREW(0, 10);

    join_all(&crew, 2);
    CHECK_EQ(next_goes_to(&crew), 0);
    CHECK(is_served(&crew, 0));
    rig_free(crew.r);
}

LV_TEST(then_the_most_urgent_that_came_first)
{
    struct crew crew = CREW(0, 1, 5, 5, 1);
    static const size_t order[] = { 2, 3, 1, 4 };
    size_t active = 0;

    join_all(&crew, 5);
    for (size_t i = 0; i < LV_ARRAY_LEN(order); i++) {
        CHECK_EQ(next_goes_to(&crew), active);
        lv_queue_unsubscribe(&crew.c[active]);
        active = order[i];
        CHECK(is_served(&crew, active));
    }
    CHECK_EQ(next_goes_to(&crew), 4);
    lv_queue_unsubscribe(&crew.c[4]);
    CHECK(lv_queue_served(crew.r->q) == NULL);
    CHECK_EQ(next_goes_to(&crew), CONSUMERS);
    join(&crew, 0);
    CHECK(is_served(&crew, 0));
    lv_queue_dispatch(crew.r->q, 0);
    rig_check_counts(crew.r, 0, 0);
    rig_free(crew.r);
}

LV_TEST(who_waits_may_leave)
{
    struct crew crew = CREW(0, 0, 0);

    join_all(&crew, 3);
    lv_queue_unsubscribe(&crew.c[1]);
    CHECK_EQ(next_goes_to(&crew), 0);
    lv_queue_unsubscribe(&crew.c[0]);
    CHECK_EQ(next_goes_to(&crew), 2);
    rig_free(crew.r);
}

LV_TEST(it_leaves_and_comes_back_last)
{
    struct crew crew = CREW(0, 0, 0);

    join_all(&crew, 3);
    lv_queue_unsubscribe(&crew.c[0]);
    join(&crew, 0);
    CHECK_EQ(next_goes_to(&crew), 1);
    lv_queue_unsubscribe(&crew.c[1]);
    CHECK_EQ(next_goes_to(&crew), 2);
    lv_queue_unsubscribe(&crew.c[2]);
    CHECK_EQ(next_goes_to(&crew), 0);
    rig_free(crew.r);
}

/* ---- it cannot take ---- */

LV_TEST(while_it_is_paused_nobody_gets_anything)
{
    struct crew crew = CREW(0, 9);

    join_all(&crew, 2);
    lv_consumer_pause(&crew.c[0]);
    CHECK_EQ(next_goes_to(&crew), CONSUMERS);
    CHECK(is_served(&crew, 0));
    lv_consumer_resume(&crew.c[0]);
    lv_queue_dispatch(crew.r->q, 0);
    CHECK_EQ(crew.r->delivered_count, 1);
    CHECK(crew.r->delivered[0].consumer == &crew.c[0]);
    rig_free(crew.r);
}

LV_TEST(nor_while_it_has_no_credit)
{
    struct crew crew = CREW(0, 9);

    crew.c[0].credit = 2;
    join_all(&crew, 2);
    CHECK_EQ(next_goes_to(&crew), 0);
    CHECK_EQ(next_goes_to(&crew), 0);
    CHECK_EQ(next_goes_to(&crew), CONSUMERS);
    lv_consumer_credit(&crew.c[0], 1);
    lv_queue_dispatch(crew.r->q, 0);
    CHECK_EQ(crew.r->delivered_count, 3);
    CHECK(crew.r->delivered[2].consumer == &crew.c[0]);
    rig_free(crew.r);
}

LV_TEST(the_next_may_be_one_that_cannot)
{
    struct crew crew = CREW(0, 5, 0);

    crew.c[1].credit = 0;
    crew.c[1].is_paused = true;
    join_all(&crew, 3);
    lv_queue_unsubscribe(&crew.c[0]);
    CHECK(is_served(&crew, 1));
    CHECK_EQ(next_goes_to(&crew), CONSUMERS);
    lv_consumer_resume(&crew.c[1]);
    lv_queue_dispatch(crew.r->q, 0);
    CHECK_EQ(crew.r->delivered_count, 0);
    lv_consumer_credit(&crew.c[1], 1);
    lv_queue_dispatch(crew.r->q, 0);
    CHECK_EQ(crew.r->delivered_count, 1);
    lv_queue_unsubscribe(&crew.c[1]);
    CHECK_EQ(next_goes_to(&crew), 2);
    rig_free(crew.r);
}

/* Pausing and credit change nobody's place, neither of those that wait nor of the one that is served. */
LV_TEST(the_order_of_arrival_stays)
{
    struct crew crew = CREW(0, 0, 0, 0);

    join_all(&crew, 4);
    for (size_t i = 0; i < 3; i++) {
        lv_consumer_pause(&crew.c[i]);
        lv_consumer_resume(&crew.c[i]);
        lv_consumer_credit(&crew.c[i], 5);
    }
    lv_consumer_pause(&crew.c[1]); /* out of turn anyway */
    for (size_t i = 0; i < 4; i++) {
        CHECK_EQ(next_goes_to(&crew), i != 1 ? i : CONSUMERS);
        if (i == 1) {
            lv_consumer_resume(&crew.c[1]);
            lv_queue_dispatch(crew.r->q, 0);
        }
        lv_queue_unsubscribe(&crew.c[i]);
    }
    rig_free(crew.r);
}

/* ---- and what else ---- */

LV_TEST(nobody_has_it_for_himself)
{
    struct crew crew = CREW(0, 0);

    crew.c[0].exclusive = true;
    CHECK_EQ(lv_queue_subscribe(crew.r->q, &crew.c[0]), LV_EREFUSED);
    CHECK(lv_queue_served(crew.r->q) == NULL);
    crew.c[0].exclusive = false;
    join(&crew, 0);
    crew.c[1].exclusive = true;
    CHECK_EQ(lv_queue_subscribe(crew.r->q, &crew.c[1]), LV_EREFUSED);
    CHECK(is_served(&crew, 0));
    rig_free(crew.r);
}

LV_TEST(what_it_had_goes_to_the_next)
{
    struct crew crew = CREW(0, 0);
    struct rig *r = crew.r;

    crew.c[0].no_ack = crew.c[1].no_ack = false;
    join_all(&crew, 2);
    rig_put_range(r, 1, 2);
    lv_queue_unsubscribe(&crew.c[0]);
    uint32_t slots[2] = { r->delivered[0].slot, r->delivered[1].slot };
    rig_put(r, 3);
    lv_queue_settle(r->q, slots, 2, LV_RELEASED, 0);
    CHECK_EQ(r->delivered_count, 5);
    for (size_t i = 2; i < 5; i++)
        CHECK(r->delivered[i].consumer == &crew.c[1]);
    CHECK_EQ(r->delivered[2].n, 3);
    CHECK(r->delivered[3].n == 1 && r->delivered[3].redelivered);
    rig_free(r);
}

LV_TEST(get_is_not_consuming)
{
    struct crew crew = CREW(0, 0);

    lv_consumer_pause(&crew.c[0]);
    join_all(&crew, 2);
    rig_put(crew.r, 1);
    CHECK_EQ(rig_eat(crew.r), 1);
    rig_free(crew.r);
}
