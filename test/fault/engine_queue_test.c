/* Memory runs out at every place in turn: what was said to have happened has happened, and nothing
 * else. */
#include "base/mem.h"
#include "engine/queue.h"
#include "lv_test.h"

enum { WANTED = 700 };

static uint32_t slots[WANTED];
static size_t unsettled;
static uint32_t expected; /* the next number that must be delivered */

static enum lv_sink_answer on_deliver(struct lv_consumer *c, const struct lv_delivery *d)
{
    uint32_t n;

    (void)c;
    memcpy(&n, d->msg->body, sizeof(n));
    CHECK_EQ(n, expected++);
    if (d->slot != LV_SLOT_NONE)
        slots[unsettled++] = d->slot;
    return LV_SINK_MORE;
}

static void on_cancelled(struct lv_consumer *c)
{
    (void)c;
}

static const struct lv_queue_sink sink = { .deliver = on_deliver, .cancelled = on_cancelled };

static enum lv_err publish(struct lv_queue *q, uint32_t n)
{
    struct lv_msg m = { .body = (const uint8_t *)&n, .body_len = sizeof(n) };
    enum lv_err err = lv_queue_publish(q, &m, 0);

    lv_msg_done(&m);
    return err;
}

/* Does everything a queue does once; each command that memory failed is simply tried again. Returns
 * how many were. */
static size_t life_of_a_queue(void)
{
    struct lv_consumer c = { .credit = WANTED, .priority = 1 };
    struct lv_queue_counts counts;
    struct lv_queue *q;
    struct lv_delivery d;
    size_t failures = 0;

    unsettled = 0;
    expected = 0;
    while (lv_queue_new(&sink, &q) != LV_OK)
        failures++;
    for (uint32_t n = 0; n < WANTED / 2; n++)
        while (publish(q, n) != LV_OK)
            failures++;
    while (lv_queue_get(q, false, 0, &d) != LV_OK)
        failures++;
    lv_queue_settle(q, &d.slot, 1, LV_UNSEEN, 0);
    while (lv_queue_subscribe(q, &c) != LV_OK)
        failures++;
    for (lv_queue_dispatch(q, 0); expected != WANTED / 2; lv_queue_dispatch(q, 0))
        failures++;
    for (uint32_t n = WANTED / 2; n < WANTED; n++)
        while (publish(q, n) != LV_OK)
            failures++;
    CHECK_EQ(expected, WANTED);
    lv_queue_counts(q, &counts);
    CHECK_EQ(counts.ready, 0);
    CHECK_EQ(counts.unsettled, WANTED);
    lv_queue_settle(q, slots, WANTED / 2, LV_ACCEPTED, 0);
    lv_queue_settle(q, slots + WANTED / 2, WANTED / 2, LV_RELEASED, 0);
    expected = WANTED / 2;
    unsettled = 0;
    lv_consumer_credit(&c, WANTED);
    for (lv_queue_dispatch(q, 0); expected != WANTED; lv_queue_dispatch(q, 0))
        failures++;
    lv_queue_free(q);
    return failures;
}

LV_TEST(every_allocation_fails_once)
{
    int64_t messages_before = lv_mem_used(LV_TAG_MESSAGE);
    int64_t queues_before = lv_mem_used(LV_TAG_QUEUE);
    size_t failures = 1;

    for (uint64_t n = 1; failures != 0; n++) {
        lv_mem_fail_at(n);
        failures = life_of_a_queue();
        lv_mem_fail_at(0);
        CHECK(failures <= 1);
        CHECK(n > WANTED || failures == 1); /* each message was an allocation at least */
        CHECK_EQ(lv_mem_used(LV_TAG_MESSAGE), messages_before);
        CHECK_EQ(lv_mem_used(LV_TAG_QUEUE), queues_before);
    }
}
