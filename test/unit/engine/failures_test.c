/* Deliveries that failed: counted, limited, and forgotten with their message. */
#include "base/mem.h"
#include "engine/queue_priv.h"
#include "support/queue_rig.h"

static struct rig *counting(struct rig *r, uint64_t limit)
{
    r->rules.counts_failures = true;
    r->rules.delivery_limit = limit;
    rig_rule(r);
    return r;
}

static void fails(struct rig *r, uint32_t n, uint32_t failures)
{
    rig_settle(r, rig_get_failed(r, n, failures), LV_FAILED);
}

LV_TEST(nobody_counts)
{
    struct rig *r = rig_new();

    rig_put(r, 1);
    for (unsigned i = 0; i < 5; i++)
        fails(r, 1, 0);
    r->rules.ttl_ms = 1000; /* nor with other rules */
    r->rules.delivery_limit = 2;
    rig_rule(r);
    for (unsigned i = 0; i < 5; i++)
        fails(r, 1, 0);
    CHECK_EQ(rig_eat(r), 1);
    rig_free(r);
}

LV_TEST(each_time_is_told_with_the_next)
{
    struct rig *r = counting(rig_new(), LV_QUEUE_NO_LIMIT);

    rig_put_range(r, 1, 2);
    for (uint32_t i = 0; i < 20; i++)
        fails(r, 1, i);
    uint32_t one = rig_get_failed(r, 1, 20);
    fails(r, 2, 0); /* each for itself */
    rig_settle(r, one, LV_UNSEEN);
    rig_settle(r, rig_get_failed(r, 1, 20), LV_RELEASED); /* neither is a failure */
    rig_settle(r, rig_get_failed(r, 1, 20), LV_ACCEPTED);
    rig_settle(r, rig_get_failed(r, 2, 1), LV_REJECTED);
    CHECK(rig_died(r, UINT32_MAX, LV_DEATH_REJECTED));
    rig_check_counts(r, 0, 0);
    rig_free(r);
}

LV_TEST(told_to_consumers)
{
    struct rig *r = counting(rig_new(), 5);
    struct lv_consumer c = { .credit = 3, .owner = r };

    CHECK_EQ(lv_queue_subscribe(r->q, &c), LV_OK);
    rig_put(r, 1);
    for (uint32_t i = 0; i < 2; i++)
        rig_settle(r, r->delivered[i].slot, LV_FAILED);
    CHECK_EQ(r->delivered_count, 3);
    for (uint32_t i = 0; i < 3; i++)
        CHECK(r->delivered[i].failures == i && r->delivered[i].redelivered == (i != 0));
    rig_free(r);
}

/* RabbitMQ: with a limit of n a message is delivered n + 1 times. */
LV_TEST(one_too_many)
{
    struct rig *r = counting(rig_new(), 2);

    rig_put(r, 1);
    for (uint32_t i = 0; i < 3; i++)
        fails(r, 1, i);
    CHECK(rig_died(r, UINT32_MAX, LV_DEATH_DELIVERY_LIMIT));
    CHECK_EQ(rig_slot(r), LV_SLOT_NONE);
    rig_check_counts(r, 0, 0);
    rig_free(r);
}

LV_TEST(none_may_fail)
{
    struct rig *r = counting(rig_new(), 0);

    rig_put(r, 1);
    rig_settle(r, rig_get(r, 1), LV_RELEASED);
    fails(r, 1, 0);
    CHECK(rig_died(r, UINT32_MAX, LV_DEATH_DELIVERY_LIMIT));
    rig_free(r);
}

LV_TEST(one_too_many_for_a_dead_letter)
{
    struct rig *r = counting(rig_new(), 1);

    r->rules.has_dead_letters = true;
    rig_rule(r);
    rig_put(r, 1);
    fails(r, 1, 0);
    fails(r, 1, 1);
    CHECK(rig_died(r, 1, LV_DEATH_DELIVERY_LIMIT));
    rig_check_counts(r, 0, 0);
    rig_bury(r, rig_slot(r));
    rig_free(r);
}

LV_TEST(many_at_once)
{
    struct rig *r = counting(rig_new(), 1);
    uint32_t slots[6];

    for (uint32_t n = 0; n < 6; n++)
        rig_put(r, n);
    for (uint32_t n = 0; n < 3; n++)
        slots[n] = rig_get(r, n);
    lv_queue_settle(r->q, slots, 3, LV_FAILED, r->now);
    for (uint32_t n = 0; n < 6; n++)
        slots[n] = rig_get_failed(r, n, n < 3);
    lv_queue_settle(r->q, slots, 6, LV_FAILED, r->now);
    for (uint32_t n = 0; n < 3; n++)
        CHECK(rig_died(r, UINT32_MAX, LV_DEATH_DELIVERY_LIMIT));
    rig_check_counts(r, 3, 0);
    for (uint32_t n = 3; n < 6; n++)
        (void)rig_get_failed(r, n, 1);
    rig_free(r);
}

LV_TEST(another_limit_counts_from_the_next_failure_on)
{
    struct rig *r = counting(rig_new(), 9);

    rig_put(r, 1);
    for (uint32_t i = 0; i < 4; i++)
        fails(r, 1, i);
    counting(r, 2);
    rig_check_counts(r, 1, 0); /* it is judged when it fails */
    rig_settle(r, rig_get_failed(r, 1, 4), LV_RELEASED);
    fails(r, 1, 4);
    CHECK(rig_died(r, UINT32_MAX, LV_DEATH_DELIVERY_LIMIT));
    rig_free(r);
}

/* ---- what is known of a message goes with it ---- */

enum { ACCEPT, REJECT, PURGE, GET, DELIVER, EXPIRE, OVERFLOW, LIMIT, WAYS };

static void end_message(struct rig *r, unsigned way)
{
    struct lv_consumer c = { .credit = 1, .no_ack = true, .owner = r };
    struct lv_delivery d;

    switch (way) {
    case ACCEPT:
        rig_settle(r, rig_get_failed(r, 1, 2), LV_ACCEPTED);
        break;
    case REJECT:
        rig_settle(r, rig_get_failed(r, 1, 2), LV_REJECTED);
        CHECK(rig_died(r, UINT32_MAX, LV_DEATH_REJECTED));
        break;
    case PURGE:
        CHECK_EQ(lv_queue_purge(r->q), 1);
        break;
    case GET:
        CHECK_EQ(lv_queue_get(r->q, true, r->now, &d), LV_OK);
        CHECK_EQ(d.failures, 2);
        lv_msg_unref(d.msg);
        break;
    case DELIVER:
        rig_serve(r, &c);
        CHECK_EQ(r->delivered[0].failures, 2);
        lv_queue_unsubscribe(&c);
        break;
    case EXPIRE:
        r->now = 1000;
        lv_queue_tick(r->q, r->now);
        CHECK(rig_died(r, 1, LV_DEATH_EXPIRED));
        break;
    case OVERFLOW:
        r->rules.max_length = 0;
        rig_rule(r);
        CHECK(rig_died(r, 1, LV_DEATH_MAXLEN));
        break;
    default:
        fails(r, 1, 2);
        CHECK(rig_died(r, UINT32_MAX, LV_DEATH_DELIVERY_LIMIT));
        break;
    }
}

LV_TEST(forgotten_with_the_message)
{
    for (unsigned way = 0; way < WAYS; way++) {
        struct rig *r = counting(rig_new(), 2);
        int64_t before = 0;
        for (unsigned round = 0; round < 3; round++) {
            r->now = 0;
            counting(r, 2);
            rig_put_ttl(r, 1, 500);
            fails(r, 1, 0);
            fails(r, 1, 1);
            end_message(r, way);
            rig_check_counts(r, 0, 0);
            if (round != 0)
                CHECK_EQ(lv_mem_used(LV_TAG_QUEUE), before);
            before = lv_mem_used(LV_TAG_QUEUE);
            r->rules.max_length = LV_QUEUE_NO_LIMIT;
            r->delivered_count = 0;
        }
        rig_free(r);
    }
}

/* It is ready once more rather than lost: without memory to count, the failure is not. */
LV_TEST(without_memory_to_count)
{
    struct rig *r = counting(rig_new(), 0);

    rig_put(r, 1);
    uint32_t slot = rig_get(r, 1);
    lv_mem_fail_at(1);
    rig_settle(r, slot, LV_FAILED);
    lv_mem_fail_at(0);
    rig_check_counts(r, 1, 0);
    fails(r, 1, 0);
    CHECK(rig_died(r, UINT32_MAX, LV_DEATH_DELIVERY_LIMIT));
    rig_free(r);
}

/* ---- over a restart ---- */

LV_TEST(what_failed_before_a_restart_counts)
{
    struct rig *r = counting(rig_logged(), 3);

    rig_put_range(r, 1, 3);
    fails(r, 1, 0);
    fails(r, 1, 1);
    rig_settle(r, rig_get_failed(r, 1, 2), LV_ACCEPTED);
    fails(r, 2, 0);
    fails(r, 2, 1);
    rig_restart(r);
    fails(r, 2, 2);
    rig_restart(r);
    fails(r, 2, 3);
    CHECK(rig_died(r, UINT32_MAX, LV_DEATH_DELIVERY_LIMIT));
    rig_restart(r);
    fails(r, 3, 0);
    CHECK_EQ(rig_eat(r), 3);
    rig_free(r);
}

LV_TEST(purged_before_it_was_handed_out_again)
{
    struct rig *r = counting(rig_logged(), 9);

    rig_put_range(r, 1, 3);
    fails(r, 1, 0);
    (void)rig_get_failed(r, 1, 1);
    fails(r, 2, 0);
    rig_restart(r);
    uint32_t one = rig_get_failed(r, 1, 1); /* it is out; 2 and 3 are ready */
    int64_t before = lv_mem_used(LV_TAG_QUEUE);
    CHECK_EQ(lv_queue_purge(r->q), 2);
    CHECK(lv_mem_used(LV_TAG_QUEUE) < before);
    rig_settle(r, one, LV_FAILED); /* of this one all is known still */
    rig_settle(r, rig_get_failed(r, 1, 2), LV_ACCEPTED);
    CHECK(r->q->marks == NULL);
    rig_free(r);
}

/* ---- quorum queues ---- */

LV_TEST(back_in_the_order_of_their_return)
{
    struct rig *r = counting(rig_new(), 9);
    static const uint32_t order[] = { 3, 1, 4, 2 };
    uint32_t slots[5];

    lv_queue_serve_returned_first(r->q);
    rig_put_range(r, 0, 6);
    for (uint32_t n = 0; n < 5; n++)
        slots[n] = rig_get(r, n);
    for (size_t i = 0; i < 4; i++)
        rig_settle(r, slots[order[i]], LV_FAILED);
    rig_check_counts(r, 6, 1);
    uint32_t three = rig_get_failed(r, 3, 1);
    rig_settle(r, slots[0], LV_RELEASED); /* the last that came back, and the first of all messages */
    rig_settle(r, three, LV_FAILED);
    rig_settle(r, rig_get_failed(r, 1, 1), LV_ACCEPTED);
    rig_settle(r, rig_get_failed(r, 4, 1), LV_ACCEPTED);
    rig_settle(r, rig_get_failed(r, 2, 1), LV_ACCEPTED);
    rig_settle(r, rig_get_failed(r, 0, 0), LV_ACCEPTED);
    rig_settle(r, rig_get_failed(r, 3, 2), LV_ACCEPTED);
    CHECK_EQ(rig_eat(r), 5);
    CHECK_EQ(rig_eat(r), 6);
    rig_free(r);
}

LV_TEST(of_those_the_first_expires)
{
    struct rig *r = rig_new();

    lv_queue_serve_returned_first(r->q);
    rig_put_ttl(r, 1, 10);
    rig_put(r, 2);
    uint32_t one = rig_get(r, 1), two = rig_get(r, 2);
    rig_settle(r, two, LV_RELEASED);
    rig_settle(r, one, LV_RELEASED);
    r->now = 20;
    lv_queue_tick(r->q, r->now);
    rig_check_counts(r, 2, 0); /* it stands behind 2 */
    CHECK_EQ(rig_eat(r), 2);
    CHECK(rig_died(r, 1, LV_DEATH_EXPIRED));
    rig_free(r);
}

LV_TEST(purged_and_used_again)
{
    struct rig *r = rig_new();

    lv_queue_serve_returned_first(r->q);
    rig_put_range(r, 1, 3);
    uint32_t one = rig_get(r, 1), two = rig_get(r, 2);
    rig_settle(r, two, LV_RELEASED);
    CHECK_EQ(lv_queue_purge(r->q), 2);
    rig_settle(r, one, LV_RELEASED);
    rig_put(r, 4);
    CHECK_EQ(rig_eat(r), 1);
    CHECK_EQ(rig_eat(r), 4);
    rig_free(r);
}
