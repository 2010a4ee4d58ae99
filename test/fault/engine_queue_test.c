/* Memory runs out at every place in turn: what was said to have happened has happened, and nothing
 * else. */
#include "base/mem.h"
#include "engine/queue.h"
#include "lv_test.h"
#include "support/queue_rig.h"

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

/* ---- with rules: each message is accepted or dies, once ---- */

enum { RULED = 120, CREDIT = 60, LEVELS = 3 };

struct fates {
    unsigned ended[RULED];
    size_t looked_at; /* of the deaths */
};

static void publish_all(struct rig *r)
{
    for (uint32_t n = 0; n < RULED; n++) {
        struct rig_message m = { .n = n,
                                 .expires = n % 5 == 0,
                                 .ttl_ms = 50,
                                 .has_priority = true,
                                 .priority = (uint8_t)(n % LEVELS) };
        enum lv_err err;
        while ((err = rig_publish(r, m)) != LV_OK)
            CHECK_EQ(err, LV_ENOMEM);
    }
}

/* The slots of the last `CREDIT` deliveries. */
static void hand_out(struct rig *r, struct lv_consumer *c, uint32_t slots_out[CREDIT])
{
    size_t before = r->delivered_count;

    rig_serve(r, c);
    for (unsigned tries = 0; tries < 3; tries++)
        rig_serve(r, NULL);
    CHECK_EQ(r->delivered_count - before, CREDIT);
    for (size_t i = 0; i < CREDIT; i++)
        slots_out[i] = r->delivered[before + i].slot;
}

static void bury_the_dead(struct rig *r, struct fates *f)
{
    while (r->died_seen < r->died_count) {
        const struct rig_death *d = &r->died[r->died_seen++];
        CHECK(d->n < RULED);
        f->ended[d->n]++;
        rig_bury(r, d->slot);
    }
}

static void look(struct rig *r)
{
    for (unsigned tries = 0; tries < 3; tries++) {
        lv_queue_tick(r->q, r->now);
        rig_serve(r, NULL);
    }
}

static void eat_the_rest(struct rig *r, struct fates *f)
{
    struct lv_delivery d;
    enum lv_err err;

    while ((err = lv_queue_get(r->q, false, r->now, &d)) != LV_ENOTFOUND) {
        uint32_t n;
        if (err != LV_OK) {
            CHECK(err == LV_ENOMEM || err == LV_EAGAIN);
            rig_serve(r, NULL);
            continue;
        }
        memcpy(&n, d.msg->body, sizeof(n));
        CHECK(n < RULED && (n % 5 != 0 || r->now < 50));
        f->ended[n]++;
        rig_settle(r, d.slot, LV_ACCEPTED);
    }
}

static void life_with_rules(struct rig *r)
{
    struct lv_consumer c = { .credit = CREDIT, .owner = r };
    struct fates f = { 0 };
    struct lv_queue_counts counts;
    uint32_t out[CREDIT];

    r->rules.has_dead_letters = r->rules.counts_failures = true;
    r->rules.delivery_limit = 1;
    while (lv_queue_rule(r->q, &r->rules, r->now) != LV_OK)
        ;
    publish_all(r);
    hand_out(r, &c, out);
    lv_queue_settle(r->q, out, 30, LV_FAILED, r->now);
    lv_queue_settle(r->q, out + 30, 10, LV_REJECTED, r->now);
    lv_queue_settle(r->q, out + 40, 10, LV_RELEASED, r->now);
    for (size_t i = 50; i < CREDIT; i++)
        f.ended[r->delivered[i].n]++;
    lv_queue_settle(r->q, out + 50, 10, LV_ACCEPTED, r->now);
    lv_consumer_credit(&c, CREDIT);
    hand_out(r, NULL, out);
    lv_queue_unsubscribe(&c);
    lv_queue_settle(r->q, out, CREDIT, LV_FAILED, r->now);
    CHECK(r->died_count >= 10 + 30 - 2); /* who was not counted once or twice is still there */
    r->now = 50;
    look(r);
    r->rules.max_length = 10;
    rig_rule(r);
    look(r);
    lv_queue_counts(r->q, &counts);
    CHECK(counts.ready <= 10); /* fewer: what had waited behind them was too old */
    CHECK_EQ(counts.unsettled, 0);
    bury_the_dead(r, &f);
    eat_the_rest(r, &f);
    bury_the_dead(r, &f);
    for (uint32_t n = 0; n < RULED; n++)
        CHECK_EQ(f.ended[n], 1);
    rig_check_counts(r, 0, 0);
}

/* Nothing that is in the log is alive any more. */
static void check_account(const struct rig *r)
{
    for (size_t i = 0; r->disk != NULL && i < 64; i++) {
        const struct lv_live *live = &r->journal.live[i];
        CHECK(live->refs == 0 && live->bytes == 0 && live->passing == 0);
    }
}

/* Lives until one in which nothing failed; returns how many. */
static uint64_t lives(struct rig *make(void), void (*live)(struct rig *r))
{
    int64_t store_before = lv_mem_used(LV_TAG_STORE);

    for (uint64_t n = 1;; n++) {
        struct rig *r = make();
        lv_mem_fail_at(n);
        live(r);
        bool is_last = lv_mem_fail_at(0) != 0;
        check_account(r);
        rig_free(r);
        CHECK_EQ(lv_mem_used(LV_TAG_STORE), store_before);
        if (is_last)
            return n;
    }
}

static struct rig *plain(void)
{
    struct rig *r = rig_new();

    lv_queue_prioritize(r->q, LEVELS, 0);
    return r;
}

static struct rig *away(void)
{
    struct rig *r = rig_logged();

    lv_queue_prioritize(r->q, LEVELS, 0);
    r->journal.here_max = 0; /* what is ready is in the log only */
    return r;
}

static struct rig *returned_first(void)
{
    struct rig *r = plain();

    lv_queue_serve_returned_first(r->q);
    return r;
}

LV_TEST(every_allocation_fails_once_with_rules)
{
    CHECK(lives(plain, life_with_rules) > RULED);
    CHECK(lives(returned_first, life_with_rules) > RULED);
}

LV_TEST(every_allocation_fails_once_with_rules_and_a_log)
{
    CHECK(lives(rig_logged, life_with_rules) > RULED);
    CHECK(lives(away, life_with_rules) > 50);
}

/* Rejected while only the place was left: it dies, or is ready once more. */
static void life_of_the_doomed(struct rig *r)
{
    uint64_t left = lv_mem_fail_at(0);
    struct lv_consumer c = { .credit = 7, .owner = r };
    uint32_t dead = 0, alive = 0;
    struct lv_delivery d;
    enum lv_err err;

    r->rules.has_dead_letters = true;
    rig_rule(r);
    for (uint32_t n = 0; n < 7; n++)
        CHECK_EQ(rig_publish(r, (struct rig_message){ .n = n, .bytes = 1u << 20 }), LV_OK);
    rig_serve(r, &c);
    CHECK_EQ(r->delivered_count, 7);
    lv_queue_unsubscribe(&c);
    (void)lv_mem_fail_at(left);
    for (size_t i = 0; i < 7; i++)
        rig_settle(r, r->delivered[i].slot, LV_REJECTED);
    look(r);
    for (; r->died_seen < r->died_count; dead++)
        rig_bury(r, r->died[r->died_seen++].slot);
    while ((err = lv_queue_get(r->q, false, r->now, &d)) != LV_ENOTFOUND) {
        if (err != LV_OK) {
            rig_serve(r, NULL);
            continue;
        }
        CHECK(d.redelivered);
        rig_settle(r, d.slot, LV_ACCEPTED);
        alive++;
    }
    for (; r->died_seen < r->died_count; dead++)
        rig_bury(r, r->died[r->died_seen++].slot);
    CHECK_EQ(dead + alive, 7);
    CHECK(alive <= 1);
    rig_check_counts(r, 0, 0);
}

LV_TEST(every_allocation_of_the_doomed)
{
    CHECK(lives(rig_logged, life_of_the_doomed) > 6);
}
