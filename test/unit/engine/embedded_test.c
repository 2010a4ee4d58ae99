/* The engine by itself: a producer and workers in one program, without a broker. */
#include "engine/queue.h"
#include "lv_test.h"

enum { INBOX_MAX = 8 };

struct worker {
    struct lv_consumer consumer;
    uint32_t slots[INBOX_MAX]; /* jobs it was given and has not done yet: its credit bounds them */
    uint32_t jobs[INBOX_MAX];
    size_t inbox_count;
    uint64_t sum; /* of the jobs it did */
    bool is_gone;
};

static enum lv_sink_answer give(struct lv_consumer *c, const struct lv_delivery *d)
{
    struct worker *w = c->owner;

    memcpy(&w->jobs[w->inbox_count], d->msg->body, d->msg->body_len);
    w->slots[w->inbox_count++] = d->slot;
    return LV_SINK_MORE;
}

static void gone(struct lv_consumer *c)
{
    ((struct worker *)c->owner)->is_gone = true;
}

static const struct lv_queue_sink sink = { .deliver = give, .cancelled = gone };

static void worker_start(struct worker *w, struct lv_queue *q)
{
    w->consumer = (struct lv_consumer){ .owner = w, .credit = INBOX_MAX };
    CHECK_EQ(lv_queue_subscribe(q, &w->consumer), LV_OK);
    lv_queue_dispatch(q, 0);
}

/* Does what is in the inbox. Settling may fill it again at once, so it is emptied first. */
static void work(struct lv_queue *q, struct worker *w)
{
    uint32_t done[INBOX_MAX];
    size_t n = w->inbox_count;

    memcpy(done, w->slots, sizeof(done));
    for (size_t i = 0; i < n; i++)
        w->sum += w->jobs[i];
    w->inbox_count = 0;
    lv_consumer_credit(&w->consumer, (uint32_t)n);
    lv_queue_settle(q, done, n, LV_ACCEPTED, 0);
}

static void produce(struct lv_queue *q, uint32_t from, uint32_t to)
{
    for (uint32_t n = from; n <= to; n++) {
        struct lv_msg job = { .body = (const uint8_t *)&n, .body_len = sizeof(n) };
        CHECK_EQ(lv_queue_publish(q, &job, 0), LV_OK);
        lv_msg_done(&job);
    }
}

LV_TEST(producer_and_workers)
{
    struct worker ann = { 0 }, bob = { 0 };
    struct lv_queue *q;

    CHECK_EQ(lv_queue_new(&sink, &q), LV_OK);
    worker_start(&ann, q);
    worker_start(&bob, q);
    produce(q, 1, 1000);
    while (ann.inbox_count + bob.inbox_count != 0) {
        work(q, &ann);
        work(q, &bob);
    }
    CHECK_EQ(ann.sum + bob.sum, 1000 * 1001 / 2);
    CHECK(ann.sum != 0 && bob.sum != 0);
    lv_queue_free(q);
    CHECK(ann.is_gone && bob.is_gone);
}

LV_TEST(jobs_of_a_lost_worker_are_done_by_another)
{
    struct worker ann = { 0 }, bob = { 0 };
    struct lv_queue *q;

    CHECK_EQ(lv_queue_new(&sink, &q), LV_OK);
    worker_start(&ann, q);
    produce(q, 1, 20);
    CHECK_EQ(ann.inbox_count, INBOX_MAX);
    worker_start(&bob, q);
    CHECK_EQ(bob.jobs[0], INBOX_MAX + 1);
    lv_queue_unsubscribe(&ann.consumer);
    lv_queue_settle(q, ann.slots, ann.inbox_count, LV_RELEASED, 0);
    work(q, &bob);
    CHECK_EQ(bob.jobs[0], 1);
    while (bob.inbox_count != 0)
        work(q, &bob);
    CHECK_EQ(bob.sum, 20 * 21 / 2);
    lv_queue_free(q);
    CHECK(bob.is_gone && !ann.is_gone);
}
