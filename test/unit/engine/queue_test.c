/* One queue: each rule of engine/queue.h once. */
#include "base/mem.h"
#include "engine/queue.h"
#include "lv_test.h"

/* ---- a sink that writes down what it gets ---- */

enum { LOG_MAX = 4096 };

struct got {
    struct lv_consumer *consumer;
    uint32_t n; /* the message */
    uint32_t slot;
    bool redelivered;
};

static struct got got[LOG_MAX];
static size_t got_count;
static size_t cancelled_count;
static enum lv_sink_answer answer;
static struct lv_consumer *pause_on_deliver;

static uint32_t number_of(const struct lv_msg *m)
{
    uint32_t n;

    CHECK_EQ(m->body_len, sizeof(n));
    memcpy(&n, m->body, sizeof(n));
    return n;
}

static enum lv_sink_answer on_deliver(struct lv_consumer *c, const struct lv_delivery *d)
{
    CHECK(got_count < LOG_MAX);
    got[got_count++] = (struct got){ c, number_of(d->msg), d->slot, d->redelivered };
    if (pause_on_deliver != NULL)
        lv_consumer_pause(pause_on_deliver);
    return answer;
}

static void on_cancelled(struct lv_consumer *c)
{
    CHECK(c->queue == NULL);
    cancelled_count++;
}

static const struct lv_queue_sink sink = { .deliver = on_deliver, .cancelled = on_cancelled };

static struct lv_queue *queue_new(void)
{
    struct lv_queue *q;

    got_count = cancelled_count = 0;
    answer = LV_SINK_MORE;
    pause_on_deliver = NULL;
    CHECK_EQ(lv_queue_new(&sink, &q), LV_OK);
    return q;
}

static void publish(struct lv_queue *q, uint32_t n)
{
    struct lv_msg m = { .body = (const uint8_t *)&n, .body_len = sizeof(n) };

    CHECK_EQ(lv_queue_publish(q, &m, 0), LV_OK);
    lv_msg_done(&m);
}

static void publish_range(struct lv_queue *q, uint32_t from, uint32_t to)
{
    for (uint32_t n = from; n <= to; n++)
        publish(q, n);
}

static void check_counts(struct lv_queue *q, uint64_t ready, uint64_t unsettled)
{
    struct lv_queue_counts c;

    lv_queue_counts(q, &c);
    CHECK_EQ(c.ready, ready);
    CHECK_EQ(c.unsettled, unsettled);
    CHECK_EQ(c.ready_bytes, ready * 4);
    CHECK_EQ(c.unsettled_bytes, unsettled * 4);
}

static void settle(struct lv_queue *q, uint32_t slot, enum lv_outcome outcome)
{
    lv_queue_settle(q, &slot, 1, outcome, 0);
}

static struct lv_delivery get(struct lv_queue *q)
{
    struct lv_delivery d;

    CHECK_EQ(lv_queue_get(q, false, 0, &d), LV_OK);
    return d;
}

#define CONSUMER(...) ((struct lv_consumer){ .credit = LV_CREDIT_UNLIMITED, __VA_ARGS__ })

/* ---- get ---- */

LV_TEST(get_in_order)
{
    struct lv_queue *q = queue_new();
    struct lv_delivery d;

    CHECK_EQ(lv_queue_get(q, true, 0, &d), LV_ENOTFOUND);
    publish_range(q, 1, 1000);
    check_counts(q, 1000, 0);
    for (uint32_t n = 1; n <= 1000; n++) {
        CHECK_EQ(lv_queue_get(q, true, 0, &d), LV_OK);
        CHECK_EQ(number_of(d.msg), n);
        CHECK_EQ(d.slot, LV_SLOT_NONE);
        CHECK(!d.redelivered);
        lv_msg_unref(d.msg);
    }
    check_counts(q, 0, 0);
    CHECK_EQ(lv_queue_get(q, true, 0, &d), LV_ENOTFOUND);
    lv_queue_free(q);
}

LV_TEST(get_settle)
{
    struct lv_queue *q = queue_new();

    publish_range(q, 1, 3);
    struct lv_delivery a = get(q), b = get(q), c = get(q);
    check_counts(q, 0, 3);
    settle(q, a.slot, LV_ACCEPTED);
    settle(q, b.slot, LV_REJECTED);
    check_counts(q, 0, 1);
    settle(q, c.slot, LV_RELEASED);
    check_counts(q, 1, 0);
    lv_queue_free(q);
}

/* ---- consumers ---- */

LV_TEST(publish_reaches_a_waiting_consumer_without_memory)
{
    struct lv_queue *q = queue_new();
    struct lv_consumer c = CONSUMER(.no_ack = true);

    CHECK_EQ(lv_queue_subscribe(q, &c), LV_OK);
    lv_mem_fail_at(1);
    publish_range(q, 1, 3);
    lv_mem_fail_at(0);
    CHECK_EQ(got_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_EQ(got[i].n, i + 1);
        CHECK_EQ(got[i].slot, LV_SLOT_NONE);
    }
    check_counts(q, 0, 0);
    lv_queue_unsubscribe(&c);
    lv_queue_free(q);
}

LV_TEST(subscribe_does_not_deliver_dispatch_does)
{
    struct lv_queue *q = queue_new();
    struct lv_consumer c = CONSUMER(.no_ack = true);

    publish_range(q, 1, 300);
    CHECK_EQ(lv_queue_subscribe(q, &c), LV_OK);
    CHECK_EQ(got_count, 0);
    lv_queue_dispatch(q, 0);
    CHECK_EQ(got_count, 300);
    CHECK_EQ(got[299].n, 300);
    lv_queue_free(q);
    CHECK_EQ(cancelled_count, 1);
}

LV_TEST(settled_once_and_gone)
{
    struct lv_queue *q = queue_new();
    struct lv_consumer c = CONSUMER();

    CHECK_EQ(lv_queue_subscribe(q, &c), LV_OK);
    publish_range(q, 1, 100);
    check_counts(q, 0, 100);
    uint32_t slots[100];
    for (size_t i = 0; i < 100; i++)
        slots[i] = got[i].slot;
    lv_queue_settle(q, slots, 100, LV_ACCEPTED, 0);
    check_counts(q, 0, 0);
    lv_queue_free(q);
}

LV_TEST(credit_bounds_deliveries)
{
    struct lv_queue *q = queue_new();
    struct lv_consumer c = { .credit = 2 };

    CHECK_EQ(lv_queue_subscribe(q, &c), LV_OK);
    publish_range(q, 1, 5);
    CHECK_EQ(got_count, 2);
    check_counts(q, 3, 2);
    settle(q, got[0].slot, LV_ACCEPTED); /* gives no credit by itself */
    CHECK_EQ(got_count, 2);
    lv_consumer_credit(&c, 2);
    CHECK_EQ(got_count, 2);
    lv_queue_dispatch(q, 0);
    CHECK_EQ(got_count, 4);
    CHECK_EQ(got[3].n, 4);
    CHECK_EQ(c.credit, 0);
    lv_consumer_credit(&c, UINT32_MAX);
    CHECK_EQ(c.credit, LV_CREDIT_UNLIMITED - 1);
    lv_consumer_credit(&c, 7);
    CHECK_EQ(c.credit, LV_CREDIT_UNLIMITED - 1);
    lv_queue_free(q);
}

LV_TEST(unlimited_credit_stays)
{
    struct lv_queue *q = queue_new();
    struct lv_consumer c = CONSUMER(.no_ack = true);

    CHECK_EQ(lv_queue_subscribe(q, &c), LV_OK);
    publish_range(q, 1, 3);
    lv_consumer_credit(&c, 5);
    CHECK_EQ(c.credit, LV_CREDIT_UNLIMITED);
    lv_queue_free(q);
}

LV_TEST(round_robin_rotates_after_each)
{
    struct lv_queue *q = queue_new();
    struct lv_consumer c[3] = { CONSUMER(.no_ack = true), CONSUMER(.no_ack = true), CONSUMER() };

    for (size_t i = 0; i < 3; i++)
        CHECK_EQ(lv_queue_subscribe(q, &c[i]), LV_OK);
    publish_range(q, 1, 9);
    for (size_t i = 0; i < 9; i++)
        CHECK(got[i].consumer == &c[i % 3]);
    lv_queue_free(q);
    CHECK_EQ(cancelled_count, 3);
}

/* RabbitMQ: who was blocked comes back at the end of the round. */
LV_TEST(back_at_the_end_of_the_round)
{
    struct lv_queue *q = queue_new();
    struct lv_consumer a = { .credit = 1, .no_ack = true }, b = CONSUMER(.no_ack = true),
                       c = CONSUMER(.no_ack = true);

    CHECK_EQ(lv_queue_subscribe(q, &a), LV_OK);
    CHECK_EQ(lv_queue_subscribe(q, &b), LV_OK);
    CHECK_EQ(lv_queue_subscribe(q, &c), LV_OK);
    publish_range(q, 1, 2); /* a, b; a is out */
    lv_consumer_credit(&a, 1);
    publish_range(q, 3, 5);
    CHECK(got[2].consumer == &c);
    CHECK(got[3].consumer == &b);
    CHECK(got[4].consumer == &a);
    lv_queue_free(q);
}

LV_TEST(higher_priority_first_while_it_can)
{
    struct lv_queue *q = queue_new();
    struct lv_consumer low = CONSUMER(.priority = -5), mid = CONSUMER(),
                       high = { .credit = 2, .priority = 10 },
                       high_too = { .credit = 1, .priority = 10 };

    CHECK_EQ(lv_queue_subscribe(q, &low), LV_OK);
    CHECK_EQ(lv_queue_subscribe(q, &high), LV_OK);
    CHECK_EQ(lv_queue_subscribe(q, &mid), LV_OK);
    CHECK_EQ(lv_queue_subscribe(q, &high_too), LV_OK);
    publish_range(q, 1, 4);
    CHECK(got[0].consumer == &high);
    CHECK(got[1].consumer == &high_too);
    CHECK(got[2].consumer == &high);
    CHECK(got[3].consumer == &mid);
    lv_queue_unsubscribe(&mid);
    publish(q, 5);
    CHECK(got[4].consumer == &low);
    lv_consumer_credit(&high_too, 1);
    publish_range(q, 6, 7);
    CHECK(got[5].consumer == &high_too);
    CHECK(got[6].consumer == &low);
    lv_queue_free(q);
    CHECK_EQ(cancelled_count, 3);
}

LV_TEST(stop_pauses_until_resume)
{
    struct lv_queue *q = queue_new();
    struct lv_consumer c = CONSUMER(.no_ack = true);

    CHECK_EQ(lv_queue_subscribe(q, &c), LV_OK);
    answer = LV_SINK_STOP;
    publish_range(q, 1, 3);
    CHECK_EQ(got_count, 1);
    CHECK(c.is_paused);
    lv_queue_dispatch(q, 0);
    CHECK_EQ(got_count, 1);
    answer = LV_SINK_MORE;
    lv_consumer_resume(&c);
    CHECK_EQ(got_count, 1);
    lv_queue_dispatch(q, 0);
    CHECK_EQ(got_count, 3);
    lv_queue_free(q);
}

LV_TEST(stop_lets_the_next_take_over)
{
    struct lv_queue *q = queue_new();
    struct lv_consumer a = CONSUMER(.no_ack = true), b = CONSUMER(.no_ack = true);

    publish_range(q, 1, 5);
    CHECK_EQ(lv_queue_subscribe(q, &a), LV_OK);
    CHECK_EQ(lv_queue_subscribe(q, &b), LV_OK);
    answer = LV_SINK_STOP;
    lv_queue_dispatch(q, 0);
    CHECK_EQ(got_count, 2);
    CHECK(got[0].consumer == &a && got[1].consumer == &b);
    check_counts(q, 3, 0);
    lv_queue_free(q);
}

/* A limit that several consumers of a channel share: the sink pauses them all in the middle of a
 * dispatch. */
LV_TEST(sink_may_pause_others)
{
    struct lv_queue *q = queue_new();
    struct lv_consumer a = CONSUMER(), b = CONSUMER(), c = CONSUMER(.priority = 1);

    CHECK_EQ(lv_queue_subscribe(q, &a), LV_OK);
    CHECK_EQ(lv_queue_subscribe(q, &b), LV_OK);
    publish_range(q, 1, 1);
    pause_on_deliver = &a;
    publish_range(q, 2, 4);
    CHECK(got[1].consumer == &b && got[2].consumer == &b && got[3].consumer == &b);
    pause_on_deliver = &b;
    publish_range(q, 5, 6);
    CHECK_EQ(got_count, 5);
    check_counts(q, 1, 5);
    /* the one being served pauses the whole band below, and itself */
    CHECK_EQ(lv_queue_subscribe(q, &c), LV_OK);
    lv_consumer_resume(&a);
    pause_on_deliver = &a;
    answer = LV_SINK_STOP;
    lv_queue_dispatch(q, 0);
    CHECK_EQ(got_count, 6);
    CHECK(got[5].consumer == &c);
    publish(q, 7);
    CHECK_EQ(got_count, 6);
    lv_queue_free(q);
}

LV_TEST(pause_outside_a_queue)
{
    struct lv_queue *q = queue_new();
    struct lv_consumer c = CONSUMER(.no_ack = true);

    lv_consumer_pause(&c);
    CHECK_EQ(lv_queue_subscribe(q, &c), LV_OK);
    publish(q, 1);
    CHECK_EQ(got_count, 0);
    lv_queue_unsubscribe(&c);
    lv_consumer_resume(&c);
    lv_consumer_credit(&c, 1);
    lv_queue_unsubscribe(&c);
    CHECK_EQ(lv_queue_subscribe(q, &c), LV_OK);
    lv_queue_dispatch(q, 0);
    CHECK_EQ(got_count, 1);
    lv_queue_free(q);
}

LV_TEST(exclusive_use)
{
    struct lv_queue *q = queue_new();
    struct lv_consumer plain = CONSUMER(), only = CONSUMER(.exclusive = true);

    CHECK(!lv_queue_had_consumer(q));
    CHECK_EQ(lv_queue_subscribe(q, &plain), LV_OK);
    CHECK(lv_queue_had_consumer(q));
    CHECK_EQ(lv_queue_subscribe(q, &only), LV_EREFUSED);
    CHECK(only.queue == NULL);
    lv_queue_unsubscribe(&plain);
    CHECK_EQ(lv_queue_subscribe(q, &only), LV_OK);
    CHECK_EQ(lv_queue_subscribe(q, &plain), LV_EREFUSED);
    lv_queue_unsubscribe(&only);
    CHECK_EQ(lv_queue_subscribe(q, &plain), LV_OK);
    lv_queue_free(q);
    CHECK(plain.queue == NULL);
}

LV_TEST(refused_is_no_consumer)
{
    struct lv_queue *q = queue_new();
    struct lv_consumer c = CONSUMER(.priority = 3);

    lv_mem_fail_at(1);
    CHECK_EQ(lv_queue_subscribe(q, &c), LV_ENOMEM);
    CHECK(c.queue == NULL);
    CHECK(!lv_queue_had_consumer(q));
    struct lv_queue_counts counts;
    lv_queue_counts(q, &counts);
    CHECK_EQ(counts.consumers, 0);
    lv_queue_free(q);
}

LV_TEST(unsettled_outlive_their_consumer)
{
    struct lv_queue *q = queue_new();
    struct lv_consumer a = CONSUMER(), b = CONSUMER();

    CHECK_EQ(lv_queue_subscribe(q, &a), LV_OK);
    publish_range(q, 1, 2);
    lv_queue_unsubscribe(&a);
    publish(q, 3);
    check_counts(q, 1, 2);
    CHECK_EQ(lv_queue_subscribe(q, &b), LV_OK);
    settle(q, got[1].slot, LV_RELEASED); /* dispatches */
    CHECK_EQ(got_count, 4);
    CHECK(got[2].consumer == &b && got[2].n == 2 && got[2].redelivered);
    CHECK(got[3].consumer == &b && got[3].n == 3 && !got[3].redelivered);
    settle(q, got[0].slot, LV_ACCEPTED);
    lv_queue_free(q);
}

/* ---- coming back ---- */

LV_TEST(released_goes_to_its_old_place)
{
    struct lv_queue *q = queue_new();
    struct lv_delivery d[6];
    static const uint32_t order[] = { 3, 0, 5, 1, 4, 2 };

    publish_range(q, 0, 9);
    for (size_t i = 0; i < 6; i++)
        d[i] = get(q);
    for (size_t i = 0; i < 6; i++)
        settle(q, d[order[i]].slot, LV_RELEASED);
    check_counts(q, 10, 0);
    for (uint32_t n = 0; n < 10; n++) {
        struct lv_delivery e = get(q);
        CHECK_EQ(number_of(e.msg), n);
        CHECK_EQ(e.redelivered, n < 6);
    }
    lv_queue_free(q);
}

LV_TEST(unseen_keeps_its_mark)
{
    struct lv_queue *q = queue_new();

    publish(q, 1);
    struct lv_delivery d = get(q);
    settle(q, d.slot, LV_UNSEEN);
    d = get(q);
    CHECK(!d.redelivered);
    settle(q, d.slot, LV_RELEASED);
    d = get(q);
    CHECK(d.redelivered);
    settle(q, d.slot, LV_UNSEEN);
    d = get(q);
    CHECK(d.redelivered);
    lv_queue_free(q);
}

LV_TEST(returned_to_a_consumer_without_ack)
{
    struct lv_queue *q = queue_new();
    struct lv_consumer c = CONSUMER(.no_ack = true);

    publish_range(q, 1, 2);
    struct lv_delivery d = get(q);
    CHECK_EQ(lv_queue_subscribe(q, &c), LV_OK);
    settle(q, d.slot, LV_RELEASED);
    CHECK_EQ(got_count, 2);
    CHECK(got[0].n == 1 && got[0].redelivered && got[0].slot == LV_SLOT_NONE);
    CHECK(got[1].n == 2 && !got[1].redelivered);
    check_counts(q, 0, 0);
    lv_queue_free(q);
}

LV_TEST(settle_needs_no_memory)
{
    struct lv_queue *q = queue_new();
    static uint32_t slots[3000];
    struct lv_consumer c = { .credit = 3000 };

    CHECK_EQ(lv_queue_subscribe(q, &c), LV_OK);
    publish_range(q, 0, 2999);
    for (size_t i = 0; i < 3000; i++)
        slots[i] = got[i].slot;
    lv_mem_fail_at(1);
    lv_queue_settle(q, slots, 3000, LV_RELEASED, 0);
    got_count = 0;
    lv_consumer_credit(&c, 3000);
    lv_queue_dispatch(q, 0); /* and neither does handing out again what came back */
    lv_mem_fail_at(0);
    CHECK_EQ(got_count, 3000);
    for (uint32_t n = 0; n < 3000; n++)
        CHECK(got[n].n == n && got[n].redelivered);
    lv_queue_free(q);
}

LV_TEST(purge_drops_ready_only)
{
    struct lv_queue *q = queue_new();

    publish_range(q, 1, 5);
    struct lv_delivery a = get(q), b = get(q), c = get(q);
    settle(q, a.slot, LV_RELEASED);
    settle(q, c.slot, LV_RELEASED);
    check_counts(q, 4, 1);
    CHECK_EQ(lv_queue_purge(q), 4);
    CHECK_EQ(lv_queue_purge(q), 0);
    check_counts(q, 0, 1);
    settle(q, b.slot, LV_RELEASED);
    CHECK_EQ(number_of(get(q).msg), 2);
    lv_queue_free(q);
}

/* ---- size ---- */

LV_TEST(empty_queue_is_small)
{
    int64_t before = lv_mem_used(LV_TAG_QUEUE);
    struct lv_queue *q = queue_new();

    CHECK(lv_mem_used(LV_TAG_QUEUE) - before < 560);
    int64_t fresh = lv_mem_used(LV_TAG_QUEUE);
    struct lv_delivery d;
    publish_range(q, 1, 1000);
    while (lv_queue_get(q, true, 0, &d) == LV_OK)
        lv_msg_unref(d.msg);
    CHECK_EQ(lv_mem_used(LV_TAG_QUEUE), fresh);
    lv_queue_free(q);
    CHECK_EQ(lv_mem_used(LV_TAG_QUEUE), before);
}

/* A burst of unsettled messages does not stay in memory once it is settled. */
LV_TEST(slots_shrink)
{
    int64_t before = lv_mem_used(LV_TAG_QUEUE);
    struct lv_queue *q = queue_new();
    static uint32_t slots[100000];

    for (uint32_t n = 0; n < 100000; n++) {
        publish(q, n);
        slots[n] = get(q).slot;
    }
    lv_queue_settle(q, slots, 99990, LV_ACCEPTED, 0);
    lv_queue_settle(q, slots + 99990, 10, LV_ACCEPTED, 0);
    CHECK(lv_mem_used(LV_TAG_QUEUE) - before < 1120);
    lv_queue_free(q);
    CHECK_EQ(lv_mem_used(LV_TAG_QUEUE), before);
}

/* But a queue whose deliveries swing around the end of a chunk does not pay for it each time. */
LV_TEST(slots_do_not_flutter)
{
    struct lv_queue *q = queue_new();
    uint32_t slots[17];

    publish_range(q, 1, 300);
    for (size_t i = 0; i < 17; i++)
        slots[i] = get(q).slot;
    lv_mem_fail_at(1);
    for (size_t round = 0; round < 20; round++) {
        settle(q, slots[16], LV_ACCEPTED);
        slots[16] = get(q).slot;
    }
    lv_mem_fail_at(0);
    check_counts(q, 300 - 37, 17);
    lv_queue_free(q);
}

LV_TEST(free_drops_what_is_left)
{
    int64_t before = lv_mem_used(LV_TAG_MESSAGE);
    struct lv_queue *q = queue_new();

    publish_range(q, 1, 400);
    for (size_t i = 0; i < 100; i++) {
        uint32_t slot = get(q).slot;
        get(q);
        settle(q, slot, LV_RELEASED);
    }
    lv_queue_free(q);
    CHECK_EQ(lv_mem_used(LV_TAG_MESSAGE), before);
    lv_queue_free(NULL);
}

/* ---- numbers ---- */

LV_TEST(many_consumers)
{
    enum { MANY = 20000 };
    static struct lv_consumer c[MANY];
    static uint32_t served[MANY];
    struct lv_queue *q = queue_new();

    for (size_t i = 0; i < MANY; i++) {
        c[i] = (struct lv_consumer){ .credit = 2, .no_ack = true };
        served[i] = 0;
        CHECK_EQ(lv_queue_subscribe(q, &c[i]), LV_OK);
    }
    for (uint32_t n = 0; n < MANY * 2; n++) {
        got_count = 0;
        publish(q, n);
        CHECK_EQ(got_count, 1);
        served[got[0].consumer - c]++;
    }
    publish(q, 0);
    check_counts(q, 1, 0);
    for (size_t i = 0; i < MANY; i++) {
        CHECK_EQ(served[i], 2);
        lv_queue_unsubscribe(&c[i]);
    }
    lv_queue_free(q);
    CHECK_EQ(cancelled_count, 0);
}
