/* A look at a queue without a log: what it shows, and that it changes nothing. */
#include "engine/peek.h"

#include "base/mem.h"
#include "lv_test.h"

static enum lv_sink_answer on_deliver(struct lv_consumer *c, const struct lv_delivery *d)
{
    (void)c, (void)d;
    return LV_SINK_MORE;
}

static void on_cancelled(struct lv_consumer *c)
{
    (void)c;
}

static const struct lv_queue_sink sink = { .deliver = on_deliver, .cancelled = on_cancelled };

/* Messages 0 to count-1; 0 to 2 are taken, then 1 comes back. */
static struct lv_queue *queue_of(uint32_t count, uint32_t slots[3])
{
    struct lv_delivery d;
    struct lv_queue *q;

    CHECK_EQ(lv_queue_new(&sink, &q), LV_OK);
    for (uint32_t n = 0; n < count; n++) {
        struct lv_msg m = { .body = (const uint8_t *)&n, .body_len = sizeof(n) };
        CHECK_EQ(lv_queue_publish(q, &m, 0), LV_OK);
        lv_msg_done(&m);
    }
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(lv_queue_get(q, false, 0, &d), LV_OK);
        slots[i] = d.slot;
    }
    lv_queue_settle(q, &slots[1], 1, LV_RELEASED, 0);
    return q;
}

static uint32_t number_of(const struct lv_peeked *m)
{
    uint32_t n;

    CHECK(m->msg != NULL);
    memcpy(&n, m->msg->body, sizeof(n));
    return n;
}

static struct lv_peek look(const struct lv_queue *q, bool ready, bool unsettled, uint64_t from,
                           uint32_t max)
{
    struct lv_peek p = { .ready = ready, .unsettled = unsettled, .from = from, .max = max };

    CHECK_EQ(lv_queue_peek(q, &p), LV_OK);
    CHECK_EQ(lv_peek_needs(&p), 0);
    return p;
}

LV_TEST(ready_and_unsettled_are_told_apart)
{
    uint32_t slots[3];
    struct lv_queue *q = queue_of(5, slots);
    struct lv_peek p = look(q, true, false, 0, 10);

    CHECK_EQ(p.count, 3);
    CHECK(!p.has_more);
    CHECK_EQ(number_of(&p.at[0]), 1); /* came back */
    CHECK(p.at[0].redelivered && !p.at[0].is_unsettled);
    CHECK_EQ(number_of(&p.at[1]), 3);
    CHECK(!p.at[1].redelivered);
    lv_peek_fini(&p);

    p = look(q, false, true, 0, 10);
    CHECK_EQ(p.count, 2);
    CHECK_EQ(number_of(&p.at[0]), 0);
    CHECK_EQ(number_of(&p.at[1]), 2);
    CHECK(p.at[0].is_unsettled && p.at[1].is_unsettled);
    lv_peek_fini(&p);

    p = look(q, true, true, 0, 10);
    CHECK_EQ(p.count, 5);
    for (uint32_t n = 0; n < 5; n++)
        CHECK_EQ(number_of(&p.at[n]), n);
    lv_peek_fini(&p);
    lv_queue_free(q);
}

/* From page to page everything is shown once, whatever the size of a page. */
LV_TEST(a_cursor_goes_through_all)
{
    uint32_t slots[3];
    struct lv_queue *q = queue_of(3000, slots);

    for (uint32_t max = 1; max <= LV_PEEK_MAX; max = max * 3 + 1) {
        uint64_t from = 0;
        uint32_t wanted = 0;
        for (bool has_more = true; has_more;) {
            struct lv_peek p = look(q, true, true, from, max);
            for (uint32_t i = 0; i < p.count; i++)
                CHECK_EQ(number_of(&p.at[i]), wanted++);
            CHECK(p.count == max || !p.has_more);
            CHECK(p.next > from);
            from = p.next;
            has_more = p.has_more;
            lv_peek_fini(&p);
        }
        CHECK_EQ(wanted, 3000);
    }
    lv_queue_free(q);
}

LV_TEST(a_look_changes_nothing)
{
    uint32_t slots[3];
    struct lv_queue *q = queue_of(100, slots);
    struct lv_queue_counts before, after;
    struct lv_delivery d;

    lv_queue_counts(q, &before);
    struct lv_peek p = look(q, true, true, 0, 50);
    lv_queue_counts(q, &after);
    CHECK_EQ(memcmp(&before, &after, sizeof(before)), 0);
    /* What is shown stays readable, also when it has left. */
    CHECK_EQ(lv_queue_purge(q), 98);
    lv_queue_settle(q, &slots[0], 1, LV_ACCEPTED, 0);
    for (uint32_t n = 0; n < 50; n++)
        CHECK_EQ(number_of(&p.at[n]), n);
    lv_peek_fini(&p);
    CHECK_EQ(lv_queue_get(q, false, 0, &d), LV_ENOTFOUND);
    p = look(q, true, true, 0, 50);
    CHECK_EQ(p.count, 1);
    CHECK_EQ(number_of(&p.at[0]), 2);
    lv_peek_fini(&p);
    lv_queue_free(q);
    CHECK_EQ(lv_mem_used(LV_TAG_MESSAGE), 0);
    CHECK_EQ(lv_mem_used(LV_TAG_QUEUE), 0);
}

LV_TEST(large_messages_come_one_by_one)
{
    static uint8_t body[10u << 20];
    uint64_t from = 0;
    struct lv_queue *q;

    CHECK_EQ(lv_queue_new(&sink, &q), LV_OK);
    for (unsigned i = 0; i < 3; i++) {
        struct lv_msg m = { .body = body, .body_len = sizeof(body) };
        CHECK_EQ(lv_queue_publish(q, &m, 0), LV_OK);
        lv_msg_done(&m);
    }
    for (unsigned i = 0; i < 3; i++) {
        struct lv_peek p = look(q, true, false, from, 10);
        CHECK_EQ(p.count, 1);
        CHECK_EQ(p.has_more, i < 2);
        from = p.next;
        lv_peek_fini(&p);
    }
    lv_queue_free(q);
}
