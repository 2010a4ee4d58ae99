/* What is too much: a queue drops its head, or refuses what comes. */
#include "base/mem.h"
#include "support/queue_rig.h"

static enum lv_err put_bytes(struct rig *r, uint32_t n, uint32_t bytes)
{
    return rig_publish(r, (struct rig_message){ .n = n, .bytes = bytes });
}

static struct rig *rig_of(uint64_t max_length, uint64_t max_bytes, enum lv_overflow overflow)
{
    struct rig *r = rig_new();

    r->rules.max_length = max_length;
    r->rules.max_bytes = max_bytes;
    r->rules.overflow = overflow;
    rig_rule(r);
    return r;
}

/* ---- the head goes ---- */

LV_TEST(the_oldest_goes)
{
    struct rig *r = rig_of(3, LV_QUEUE_NO_LIMIT, LV_OVERFLOW_DROP_HEAD);

    rig_put_range(r, 1, 3);
    CHECK_EQ(r->died_count, 0);
    rig_put_range(r, 4, 5);
    CHECK(rig_died(r, 1, LV_DEATH_MAXLEN));
    CHECK_EQ(rig_slot(r), LV_SLOT_NONE);
    CHECK(rig_died(r, 2, LV_DEATH_MAXLEN));
    rig_check_counts(r, 3, 0);
    CHECK_EQ(rig_eat(r), 3);
    rig_free(r);
}

LV_TEST(as_many_as_it_takes_for_the_bytes)
{
    struct rig *r = rig_of(LV_QUEUE_NO_LIMIT, 100, LV_OVERFLOW_DROP_HEAD);

    for (uint32_t n = 1; n <= 4; n++)
        CHECK_EQ(put_bytes(r, n, 25), LV_OK);
    CHECK_EQ(r->died_count, 0);
    CHECK_EQ(put_bytes(r, 5, 60), LV_OK);
    for (uint32_t n = 1; n <= 3; n++)
        CHECK(rig_died(r, n, LV_DEATH_MAXLEN));
    CHECK_EQ(rig_eat(r), 4);
    CHECK_EQ(put_bytes(r, 6, 101), LV_OK); /* the new one, too, if it alone is too much */
    CHECK(rig_died(r, 5, LV_DEATH_MAXLEN));
    CHECK(rig_died(r, 6, LV_DEATH_MAXLEN));
    rig_check_counts(r, 0, 0);
    rig_free(r);
}

LV_TEST(whoever_can_take_gets_it_first)
{
    struct rig *r = rig_of(0, LV_QUEUE_NO_LIMIT, LV_OVERFLOW_DROP_HEAD);
    struct lv_consumer c = { .credit = 2, .owner = r };

    CHECK_EQ(lv_queue_subscribe(r->q, &c), LV_OK);
    rig_put_range(r, 1, 3);
    CHECK_EQ(r->delivered_count, 2);
    CHECK(rig_died(r, 3, LV_DEATH_MAXLEN));
    rig_check_counts(r, 0, 2);
    rig_free(r);
}

/* RabbitMQ: ready ones count, those that are out do not. */
LV_TEST(those_that_are_out_do_not_count)
{
    struct rig *r = rig_of(2, LV_QUEUE_NO_LIMIT, LV_OVERFLOW_DROP_HEAD);

    rig_put_range(r, 1, 2);
    uint32_t one = rig_get(r, 1), two = rig_get(r, 2);
    rig_put_range(r, 3, 4);
    rig_check_counts(r, 2, 2);
    CHECK_EQ(r->died_count, 0);
    rig_settle(r, two, LV_RELEASED); /* it is the head now, and goes */
    CHECK(rig_died(r, 2, LV_DEATH_MAXLEN));
    CHECK_EQ(rig_eat(r), 3);
    rig_settle(r, one, LV_RELEASED);
    CHECK_EQ(r->died_count, 1);
    CHECK_EQ(rig_eat(r), 1);
    CHECK_EQ(rig_eat(r), 4);
    rig_free(r);
}

LV_TEST(many_come_back_at_once)
{
    struct rig *r = rig_of(3, LV_QUEUE_NO_LIMIT, LV_OVERFLOW_DROP_HEAD);
    uint32_t slots[5];

    for (uint32_t n = 0; n < 5; n++) {
        rig_put(r, n);
        slots[n] = rig_get(r, n);
    }
    lv_queue_settle(r->q, slots, 5, LV_RELEASED, r->now);
    CHECK(rig_died(r, 0, LV_DEATH_MAXLEN));
    CHECK(rig_died(r, 1, LV_DEATH_MAXLEN));
    rig_check_counts(r, 3, 0);
    rig_free(r);
}

LV_TEST(a_smaller_limit_holds_at_once)
{
    struct rig *r = rig_new();

    rig_put_range(r, 1, 10);
    r->rules.max_length = 7;
    rig_rule(r);
    r->rules.max_bytes = 4 * 5;
    rig_rule(r);
    for (uint32_t n = 1; n <= 5; n++)
        CHECK(rig_died(r, n, LV_DEATH_MAXLEN));
    r->rules = LV_QUEUE_NO_RULES;
    rig_rule(r);
    rig_put_range(r, 11, 20);
    rig_check_counts(r, 15, 0);
    rig_free(r);
}

LV_TEST(the_head_is_what_would_go_next)
{
    struct rig *r = rig_new();

    lv_queue_prioritize(r->q, 3, 0);
    r->rules.max_length = 2;
    rig_rule(r);
    rig_put_priority(r, 1, 0);
    rig_put_priority(r, 2, 1);
    rig_put_priority(r, 3, 0);
    CHECK(rig_died(r, 2, LV_DEATH_MAXLEN)); /* as in RabbitMQ: the most urgent one */
    rig_put_priority(r, 4, 2);
    CHECK(rig_died(r, 4, LV_DEATH_MAXLEN));
    rig_check_counts(r, 2, 0);
    rig_free(r);
}

LV_TEST(dropped_into_dead_letters)
{
    struct rig *r = rig_new();

    r->rules.max_length = 1;
    r->rules.has_dead_letters = true;
    rig_rule(r);
    rig_put_range(r, 1, 2);
    CHECK(rig_died(r, 1, LV_DEATH_MAXLEN));
    uint32_t slot = rig_slot(r);
    CHECK_NE(slot, LV_SLOT_NONE);
    rig_check_counts(r, 1, 0);
    rig_bury(r, slot);
    rig_check_counts(r, 1, 0);
    rig_free(r);
}

LV_TEST(those_that_are_away_are_read_to_be_dropped)
{
    struct rig *r = rig_logged();

    r->journal.here_max = 0;
    rig_put_range(r, 1, 20);
    r->rules.max_length = 15;
    r->rules.has_dead_letters = true;
    rig_rule(r);
    for (uint32_t n = 1; n <= 5; n++)
        CHECK(rig_died(r, n, LV_DEATH_MAXLEN));
    rig_check_counts(r, 15, 0);
    uint32_t slot = rig_get(r, 6);
    rig_put(r, 21);
    rig_settle(r, slot, LV_RELEASED);
    CHECK(rig_died(r, 6, LV_DEATH_MAXLEN));
    rig_free(r);
}

/* ---- it is refused ---- */

LV_TEST(refused_leaves_nothing_behind)
{
    struct rig *r = rig_of(2, LV_QUEUE_NO_LIMIT, LV_OVERFLOW_REJECT);
    struct lv_queue_counts before, after;

    rig_put_range(r, 1, 2);
    lv_queue_counts(r->q, &before);
    int64_t messages = lv_mem_used(LV_TAG_MESSAGE), queues = lv_mem_used(LV_TAG_QUEUE);
    CHECK_EQ(put_bytes(r, 3, 0), LV_EFULL);
    CHECK_EQ(rig_publish(r, (struct rig_message){ .n = 4, .expires = true }), LV_EFULL);
    lv_queue_counts(r->q, &after);
    CHECK_EQ(memcmp(&before, &after, sizeof(before)), 0);
    CHECK_EQ(lv_mem_used(LV_TAG_MESSAGE), messages);
    CHECK_EQ(lv_mem_used(LV_TAG_QUEUE), queues);
    CHECK_EQ(r->died_count, 0);
    CHECK_EQ(r->wakes, 0);
    CHECK_EQ(rig_eat(r), 1);
    rig_put(r, 5);
    CHECK_EQ(rig_eat(r), 2);
    CHECK_EQ(rig_eat(r), 5);
    rig_free(r);
}

LV_TEST(not_even_in_the_log)
{
    struct rig *r = rig_logged();

    r->rules.max_length = 1;
    r->rules.overflow = LV_OVERFLOW_REJECT;
    rig_rule(r);
    rig_put(r, 1);
    lv_lsn tail = lv_wal_tail(r->wal);
    CHECK_EQ(put_bytes(r, 2, 100), LV_EFULL);
    CHECK_EQ(lv_wal_tail(r->wal), tail);
    CHECK_EQ(rig_eat(r), 1);
    rig_free(r);
}

LV_TEST(full_to_the_byte)
{
    struct rig *r = rig_of(LV_QUEUE_NO_LIMIT, 100, LV_OVERFLOW_REJECT);

    CHECK_EQ(put_bytes(r, 1, 101), LV_EFULL);
    CHECK_EQ(put_bytes(r, 2, 60), LV_OK);
    CHECK_EQ(put_bytes(r, 3, 41), LV_EFULL);
    CHECK_EQ(put_bytes(r, 4, 40), LV_OK);
    CHECK_EQ(put_bytes(r, 5, 0), LV_EFULL);
    CHECK_EQ(rig_eat(r), 2);
    CHECK_EQ(put_bytes(r, 6, 60), LV_OK);
    rig_free(r);
}

/* RabbitMQ: a consumer that waits makes no difference. */
LV_TEST(refused_though_somebody_waits)
{
    struct rig *r = rig_of(0, LV_QUEUE_NO_LIMIT, LV_OVERFLOW_REJECT);
    struct lv_consumer c = { .credit = 2, .owner = r };

    CHECK_EQ(lv_queue_subscribe(r->q, &c), LV_OK);
    CHECK_EQ(put_bytes(r, 1, 0), LV_EFULL);
    CHECK_EQ(r->delivered_count, 0);
    rig_free(r);
}

LV_TEST(what_comes_back_is_never_refused)
{
    struct rig *r = rig_of(2, LV_QUEUE_NO_LIMIT, LV_OVERFLOW_REJECT);

    rig_put_range(r, 1, 2);
    uint32_t one = rig_get(r, 1);
    rig_put(r, 3);
    CHECK_EQ(put_bytes(r, 4, 0), LV_EFULL);
    rig_settle(r, one, LV_RELEASED); /* one too many, and it stays */
    rig_check_counts(r, 3, 0);
    CHECK_EQ(rig_eat(r), 1);
    CHECK_EQ(put_bytes(r, 5, 0), LV_EFULL);
    CHECK_EQ(rig_eat(r), 2);
    rig_put(r, 6);
    CHECK_EQ(r->died_count, 0);
    rig_free(r);
}

LV_TEST(the_dead_letter_of_what_was_refused)
{
    struct rig *r = rig_of(1, LV_QUEUE_NO_LIMIT, LV_OVERFLOW_REJECT_DEAD);

    r->rules.has_dead_letters = true;
    rig_rule(r);
    rig_put(r, 1);
    CHECK_EQ(put_bytes(r, 2, 0), LV_EFULL);
    CHECK(rig_died(r, 2, LV_DEATH_MAXLEN));
    CHECK_EQ(rig_slot(r), LV_SLOT_NONE); /* it never was in it: nothing to bury */
    rig_check_counts(r, 1, 0);
    rig_free(r);
}

LV_TEST(from_refusing_to_dropping)
{
    struct rig *r = rig_of(3, LV_QUEUE_NO_LIMIT, LV_OVERFLOW_REJECT);

    rig_put_range(r, 1, 3);
    r->rules.max_length = 1;
    rig_rule(r);
    CHECK_EQ(r->died_count, 0); /* who refuses does not drop */
    r->rules.overflow = LV_OVERFLOW_DROP_HEAD;
    rig_rule(r);
    CHECK(rig_died(r, 1, LV_DEATH_MAXLEN));
    CHECK(rig_died(r, 2, LV_DEATH_MAXLEN));
    CHECK_EQ(rig_eat(r), 3);
    rig_free(r);
}

LV_TEST(what_is_too_old_goes_after_what_is_too_much)
{
    struct rig *r = rig_of(2, LV_QUEUE_NO_LIMIT, LV_OVERFLOW_DROP_HEAD);

    rig_put_ttl(r, 1, 10);
    rig_put_ttl(r, 2, 10);
    r->now = 20;
    rig_put(r, 3);
    CHECK(rig_died(r, 1, LV_DEATH_MAXLEN));
    CHECK(rig_died(r, 2, LV_DEATH_EXPIRED));
    rig_check_counts(r, 1, 0);
    rig_free(r);
}
