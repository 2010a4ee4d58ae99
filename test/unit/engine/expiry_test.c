/* What is too old: when it dies, and when somebody has to look. */
#include "base/mem.h"
#include "support/queue_rig.h"

static void tick(struct rig *r, lv_time_ms now)
{
    r->now = now;
    lv_queue_tick(r->q, now);
}

/* ---- when ---- */

LV_TEST(at_its_time_and_not_before)
{
    struct rig *r = rig_new();

    rig_put_ttl(r, 1, 100);
    tick(r, 99);
    CHECK_EQ(r->died_count, 0);
    tick(r, 100);
    CHECK(rig_died(r, 1, LV_DEATH_EXPIRED));
    CHECK_EQ(rig_slot(r), LV_SLOT_NONE);
    rig_check_counts(r, 0, 0);
    rig_free(r);
}

LV_TEST(only_at_the_head)
{
    struct rig *r = rig_new();

    rig_put_ttl(r, 1, 100);
    rig_put_ttl(r, 2, 10); /* waits behind it */
    rig_put(r, 3);
    rig_put_ttl(r, 4, 10); /* for ever, behind one that does not expire */
    tick(r, 50);
    CHECK_EQ(r->died_count, 0);
    rig_check_counts(r, 4, 0);
    tick(r, 100);
    CHECK(rig_died(r, 1, LV_DEATH_EXPIRED));
    CHECK(rig_died(r, 2, LV_DEATH_EXPIRED));
    tick(r, 10000);
    rig_check_counts(r, 2, 0);
    CHECK_EQ(rig_eat(r), 3); /* and what is at the head now dies at once */
    CHECK(rig_died(r, 4, LV_DEATH_EXPIRED));
    rig_free(r);
}

LV_TEST(the_smaller_of_its_own_and_the_queues)
{
    struct rig *r = rig_new();

    r->rules.ttl_ms = 50;
    rig_rule(r);
    rig_put_ttl(r, 1, 20);
    rig_put_ttl(r, 2, 1000);
    rig_put(r, 3);
    tick(r, 20);
    CHECK(rig_died(r, 1, LV_DEATH_EXPIRED));
    tick(r, 49);
    rig_check_counts(r, 2, 0);
    tick(r, 50);
    CHECK(rig_died(r, 2, LV_DEATH_EXPIRED));
    CHECK(rig_died(r, 3, LV_DEATH_EXPIRED));
    rig_free(r);
}

LV_TEST(counted_from_the_publish)
{
    struct rig *r = rig_new();

    r->now = 1000;
    rig_put_ttl(r, 1, 100);
    r->now = 1050;
    rig_settle(r, rig_get(r, 1), LV_RELEASED); /* coming back gives no new time */
    tick(r, 1099);
    rig_check_counts(r, 1, 0);
    tick(r, 1100);
    CHECK(rig_died(r, 1, LV_DEATH_EXPIRED));
    rig_free(r);
}

LV_TEST(longer_than_milliseconds_count)
{
    struct rig *r = rig_new();
    uint64_t ttl = (UINT64_C(1) << 32) + 1; /* kept in seconds, rounded up */

    rig_put_ttl(r, 1, ttl);
    tick(r, ttl - 1);
    rig_check_counts(r, 1, 0);
    tick(r, ttl + 999);
    CHECK(rig_died(r, 1, LV_DEATH_EXPIRED));
    rig_free(r);
}

/* ---- it is never handed out ---- */

LV_TEST(not_by_get)
{
    struct rig *r = rig_new();

    rig_put_ttl(r, 1, 10);
    rig_put(r, 2);
    r->now = 10;
    CHECK_EQ(rig_eat(r), 2);
    CHECK(rig_died(r, 1, LV_DEATH_EXPIRED));
    CHECK_EQ(rig_eat(r), UINT32_MAX);
    rig_free(r);
}

LV_TEST(not_to_a_consumer)
{
    struct rig *r = rig_new();
    struct lv_consumer c = { .credit = 9, .owner = r };

    rig_put_ttl(r, 1, 10);
    rig_put_ttl(r, 2, 30);
    rig_put_ttl(r, 3, 10);
    r->now = 20;
    rig_serve(r, &c);
    CHECK_EQ(r->delivered_count, 1);
    CHECK_EQ(r->delivered[0].n, 2);
    CHECK(rig_died(r, 1, LV_DEATH_EXPIRED));
    CHECK(rig_died(r, 3, LV_DEATH_EXPIRED));
    rig_free(r);
}

/* The death of what was in front may take the last consumer that could have what comes behind. */
LV_TEST(whom_a_death_pauses_gets_nothing)
{
    struct rig *r = rig_new();
    struct lv_consumer c = { .credit = 9, .owner = r };

    rig_put_ttl(r, 1, 10);
    rig_put(r, 2);
    r->now = 20;
    r->pauses_at_death = &c;
    rig_serve(r, &c);
    CHECK(rig_died(r, 1, LV_DEATH_EXPIRED));
    CHECK_EQ(r->delivered_count, 0);
    rig_check_counts(r, 1, 0);
    rig_free(r);
}

/* Whoever wants dead letters needs memory for a death: without it the message is neither lost nor handed out. */
LV_TEST(without_memory_for_its_death)
{
    struct rig *r = rig_new();
    struct lv_delivery d;

    r->rules.has_dead_letters = true;
    rig_rule(r);
    rig_put_ttl(r, 1, 10);
    r->now = 20;
    lv_mem_fail_at(1);
    lv_queue_tick(r->q, r->now);
    CHECK_EQ(r->died_count, 0);
    CHECK_EQ(r->wake_at, 20 + LV_RETRY_MS);
    lv_mem_fail_at(1);
    CHECK_EQ(lv_queue_get(r->q, true, r->now, &d), LV_ENOMEM);
    lv_mem_fail_at(0);
    CHECK(rig_died(r, 1, LV_DEATH_EXPIRED)); /* the look after the get had some again */
    CHECK_EQ(lv_queue_get(r->q, true, r->now, &d), LV_ENOTFOUND);
    rig_free(r);
}

/* ---- ttl 0: now or never ---- */

LV_TEST(no_time_is_enough_to_go_straight_through)
{
    struct rig *r = rig_new();
    struct lv_consumer c = { .credit = 2, .owner = r };

    r->rules.ttl_ms = 0;
    rig_rule(r);
    rig_put(r, 1);
    CHECK(rig_died(r, 1, LV_DEATH_EXPIRED));
    CHECK_EQ(lv_queue_subscribe(r->q, &c), LV_OK);
    rig_put(r, 2);
    rig_put_ttl(r, 3, 0);
    CHECK_EQ(r->delivered_count, 2);
    rig_put(r, 4); /* its credit is used up */
    CHECK(rig_died(r, 4, LV_DEATH_EXPIRED));
    rig_check_counts(r, 0, 2);
    rig_settle(r, r->delivered[0].slot, LV_RELEASED);
    CHECK(rig_died(r, 2, LV_DEATH_EXPIRED));
    rig_settle(r, r->delivered[1].slot, LV_ACCEPTED);
    CHECK_EQ(r->wakes, 0);
    rig_free(r);
}

/* ---- what was handed out ---- */

LV_TEST(not_while_it_is_out)
{
    struct rig *r = rig_new();

    rig_put_ttl(r, 1, 10);
    rig_put_ttl(r, 2, 10);
    uint32_t one = rig_get(r, 1), two = rig_get(r, 2);
    tick(r, 100);
    rig_check_counts(r, 0, 2);
    rig_settle(r, one, LV_ACCEPTED);
    CHECK_EQ(r->died_count, 0);
    rig_settle(r, two, LV_RELEASED);
    CHECK(rig_died(r, 2, LV_DEATH_EXPIRED));
    rig_check_counts(r, 0, 0);
    rig_free(r);
}

LV_TEST(of_those_that_came_back_only_the_oldest)
{
    struct rig *r = rig_new();

    rig_put(r, 1);
    rig_put_ttl(r, 2, 10);
    uint32_t one = rig_get(r, 1), two = rig_get(r, 2);
    rig_settle(r, one, LV_RELEASED);
    r->now = 50;
    rig_settle(r, two, LV_RELEASED);
    tick(r, 60);
    CHECK_EQ(r->died_count, 0);
    rig_check_counts(r, 2, 0);
    CHECK_EQ(rig_eat(r), 1);
    CHECK(rig_died(r, 2, LV_DEATH_EXPIRED));
    rig_free(r);
}

LV_TEST(one_with_another_delivery_still_dies)
{
    struct rig *r = rig_new();

    rig_put_ttl(r, 1, 100);
    for (unsigned i = 0; i < 3; i++)
        rig_settle(r, rig_get(r, 1), LV_UNSEEN);
    tick(r, 100);
    CHECK(rig_died(r, 1, LV_DEATH_EXPIRED));
    rig_free(r);
}

/* ---- when somebody has to look ---- */

LV_TEST(woken_once_for_an_earlier_time)
{
    struct rig *r = rig_new();

    rig_put(r, 1);
    CHECK_EQ(r->wakes, 0);
    CHECK_EQ(rig_eat(r), 1);
    rig_put_ttl(r, 2, 100);
    CHECK_EQ(r->wakes, 1);
    CHECK_EQ(r->wake_at, 100);
    rig_put_ttl(r, 3, 50); /* behind it */
    tick(r, 40);           /* nobody asked for it: it changes nothing */
    CHECK_EQ(r->wakes, 1);
    uint32_t two = rig_get(r, 2); /* now 3 is at the head */
    CHECK_EQ(r->wakes, 2);
    CHECK_EQ(r->wake_at, 50);
    rig_settle(r, two, LV_RELEASED); /* its time comes later */
    CHECK_EQ(r->wakes, 2);
    rig_free(r);
}

LV_TEST(and_again_after_that_time)
{
    struct rig *r = rig_new();

    rig_put_ttl(r, 1, 100);
    r->now = 10;
    rig_put_ttl(r, 2, 100);
    tick(r, 100);
    CHECK(rig_died(r, 1, LV_DEATH_EXPIRED));
    CHECK_EQ(r->wakes, 2);
    CHECK_EQ(r->wake_at, 110);
    tick(r, 100); /* asked for already */
    CHECK_EQ(r->wakes, 2);
    tick(r, 110);
    CHECK(rig_died(r, 2, LV_DEATH_EXPIRED));
    CHECK_EQ(r->wakes, 2); /* nothing is left */
    rig_put_ttl(r, 3, 5);
    CHECK_EQ(r->wakes, 3);
    CHECK_EQ(r->wake_at, 115);
    rig_free(r);
}

LV_TEST(also_when_it_was_gone_before)
{
    struct rig *r = rig_new();

    rig_put_ttl(r, 1, 100);
    CHECK_EQ(rig_eat(r), 1);
    rig_put_ttl(r, 2, 200); /* one look at 100 is on its way, and asks for the next */
    CHECK_EQ(r->wakes, 1);
    tick(r, 100);
    CHECK_EQ(r->wakes, 2);
    CHECK_EQ(r->wake_at, 200);
    CHECK_EQ(lv_queue_purge(r->q), 1);
    tick(r, 200);
    CHECK_EQ(r->wakes, 2);
    rig_free(r);
}

/* What has just died needs no look any more. */
LV_TEST(not_for_the_dead)
{
    struct rig *r = rig_new();

    rig_put_ttl(r, 1, 100);
    uint32_t one = rig_get(r, 1);
    tick(r, 150);
    rig_settle(r, one, LV_RELEASED);
    CHECK(rig_died(r, 1, LV_DEATH_EXPIRED));
    CHECK_EQ(r->wakes, 1);
    rig_put_ttl(r, 2, 100);
    CHECK_EQ(r->wakes, 2);
    CHECK_EQ(r->wake_at, 250);
    rig_free(r);
}

LV_TEST(for_the_first_of_all_heads)
{
    struct rig *r = rig_new();
    struct rig_message m = { .n = 1, .expires = true, .ttl_ms = 90, .has_priority = true };

    lv_queue_prioritize(r->q, 3, 0);
    for (m.priority = 0; m.priority < 3; m.priority++, m.n++, m.ttl_ms -= 20)
        CHECK_EQ(rig_publish(r, m), LV_OK);
    CHECK_EQ(r->wakes, 3);
    CHECK_EQ(r->wake_at, 50); /* of 3 */
    rig_put_priority(r, 4, 2);
    tick(r, 75);
    CHECK(rig_died(r, 3, LV_DEATH_EXPIRED));
    CHECK(rig_died(r, 2, LV_DEATH_EXPIRED)); /* not next, but the head of its lane */
    CHECK_EQ(r->wake_at, 90);
    tick(r, 90);
    CHECK(rig_died(r, 1, LV_DEATH_EXPIRED));
    CHECK_EQ(rig_eat(r), 4);
    rig_free(r);
}

/* ---- rules change ---- */

LV_TEST(a_rule_holds_for_what_is_there)
{
    struct rig *r = rig_new();

    rig_put_range(r, 1, 3);
    r->now = 50;
    r->rules.ttl_ms = 100;
    rig_rule(r);
    CHECK_EQ(r->wake_at, 100);
    r->rules.ttl_ms = 1000;
    rig_rule(r);
    CHECK_EQ(r->wake_at, 1000);
    tick(r, 100);
    rig_check_counts(r, 3, 0);
    r->rules.ttl_ms = 99;
    rig_rule(r);
    for (uint32_t n = 1; n <= 3; n++)
        CHECK(rig_died(r, n, LV_DEATH_EXPIRED));
    rig_free(r);
}

LV_TEST(and_as_long_as_it_is_one)
{
    struct rig *r = rig_new();

    r->rules.ttl_ms = 100;
    rig_rule(r);
    rig_put(r, 1);
    rig_put_ttl(r, 2, 200);
    r->rules = LV_QUEUE_NO_RULES;
    rig_rule(r);
    tick(r, 100);
    tick(r, 150);
    rig_check_counts(r, 2, 0);
    CHECK_EQ(rig_eat(r), 1); /* its own time is no rule of the queue's */
    CHECK_EQ(r->wake_at, 200);
    tick(r, 200);
    CHECK(rig_died(r, 2, LV_DEATH_EXPIRED));
    rig_free(r);
}

LV_TEST(without_memory_rules_stay_as_they_were)
{
    struct rig *r = rig_new();
    struct lv_queue_rules rules = LV_QUEUE_NO_RULES;

    rig_put(r, 1);
    rules.ttl_ms = 0;
    lv_mem_fail_at(1);
    CHECK_EQ(lv_queue_rule(r->q, &rules, 0), LV_ENOMEM);
    lv_mem_fail_at(0);
    rig_check_counts(r, 1, 0);
    rig_put(r, 2);
    r->rules.ttl_ms = 100;
    rig_rule(r);
    lv_mem_fail_at(1); /* another one needs none */
    CHECK_EQ(lv_queue_rule(r->q, &rules, 0), LV_OK);
    CHECK(rig_died(r, 1, LV_DEATH_EXPIRED));
    CHECK(rig_died(r, 2, LV_DEATH_EXPIRED));
    lv_mem_fail_at(0);
    rig_free(r);
}

/* ---- nobody cares ---- */

static enum lv_sink_answer on_deliver(struct lv_consumer *c, const struct lv_delivery *d)
{
    (void)c, (void)d;
    return LV_SINK_MORE;
}

static void on_cancelled(struct lv_consumer *c)
{
    (void)c;
}

LV_TEST(a_sink_without_ears)
{
    static const struct lv_queue_sink sink = { .deliver = on_deliver, .cancelled = on_cancelled };
    struct lv_queue_rules rules = LV_QUEUE_NO_RULES;
    struct lv_msg m = { 0 };
    struct lv_delivery d;
    struct lv_queue *q;

    rules.ttl_ms = 10;
    CHECK_EQ(lv_queue_new(&sink, &q), LV_OK);
    CHECK_EQ(lv_queue_rule(q, &rules, 0), LV_OK);
    CHECK_EQ(lv_queue_publish(q, &m, 0), LV_OK);
    lv_msg_done(&m);
    CHECK_EQ(lv_queue_get(q, false, 10, &d), LV_ENOTFOUND);
    lv_queue_free(q);
}

/* ---- in the log ---- */

/* What is away is read when it is at the head, also only to die. */
LV_TEST(those_that_are_away)
{
    struct rig *r = rig_logged();

    r->journal.here_max = 0;
    for (uint32_t n = 1; n <= 100; n++)
        rig_put_ttl(r, n, n % 10 != 0 ? 100 : 1000); /* every tenth holds the others up */
    CHECK_EQ(r->wake_at, 100);
    tick(r, 100);
    for (uint32_t n = 1; n <= 9; n++)
        CHECK(rig_died(r, n, LV_DEATH_EXPIRED));
    rig_check_counts(r, 91, 0);
    tick(r, 1000);
    for (uint32_t n = 10; n <= 100; n++)
        CHECK(rig_died(r, n, LV_DEATH_EXPIRED));
    rig_check_counts(r, 0, 0);
    rig_free(r);
}

LV_TEST(those_that_are_on_their_way)
{
    struct rig *r = rig_logged();

    r->journal.here_max = 0;
    r->holds_loads = true;
    rig_put_ttl(r, 1, 100);
    rig_put_ttl(r, 2, 100);
    tick(r, 100);
    CHECK_EQ(r->died_count, 0);
    rig_load(r);
    CHECK(rig_died(r, 1, LV_DEATH_EXPIRED));
    CHECK(rig_died(r, 2, LV_DEATH_EXPIRED));
    rig_free(r);
}
