/* Who wants dead letters: a message that dies stays in its slot until it was looked after. */
#include "base/mem.h"
#include "engine/peek.h"
#include "support/queue_rig.h"

#define DYING_MAX 4096u /* sweep.c */
#define LARGE (1u << 20)

static struct rig *wanting(struct rig *r)
{
    r->rules.has_dead_letters = true;
    rig_rule(r);
    return r;
}

/* Looks at the next death: the slot that it is buried by. */
static uint32_t slot_of(struct rig *r, uint32_t n, enum lv_death why)
{
    CHECK(rig_died(r, n, why));
    CHECK_NE(rig_slot(r), LV_SLOT_NONE);
    return rig_slot(r);
}

/* ---- with and without ---- */

LV_TEST(nobody_wants_them)
{
    struct rig *r = rig_new();

    rig_put_range(r, 1, 2);
    rig_settle(r, rig_get(r, 1), LV_REJECTED);
    CHECK(rig_died(r, UINT32_MAX, LV_DEATH_REJECTED));
    CHECK_EQ(rig_slot(r), LV_SLOT_NONE);
    r->rules.max_length = 10; /* nor with other rules */
    rig_rule(r);
    rig_settle(r, rig_get(r, 2), LV_REJECTED);
    CHECK(rig_died(r, UINT32_MAX, LV_DEATH_REJECTED));
    rig_check_counts(r, 0, 0);
    CHECK_EQ(lv_mem_used(LV_TAG_MESSAGE), r->memory[0]);
    rig_free(r);
}

LV_TEST(it_stays_until_it_is_buried)
{
    struct rig *r = wanting(rig_new());

    rig_put_range(r, 1, 3);
    rig_settle(r, rig_get(r, 1), LV_REJECTED);
    uint32_t slot = slot_of(r, 1, LV_DEATH_REJECTED);
    rig_check_counts(r, 2, 0); /* neither ready nor unsettled */
    CHECK_EQ(rig_eat(r), 2);   /* and nobody gets it */
    CHECK_EQ(rig_eat(r), 3);
    CHECK_EQ(rig_eat(r), UINT32_MAX);
    CHECK(lv_mem_used(LV_TAG_MESSAGE) > r->memory[0]);
    rig_bury(r, slot);
    CHECK_EQ(lv_mem_used(LV_TAG_MESSAGE), r->memory[0]);
    rig_check_counts(r, 0, 0);
    rig_free(r);
}

LV_TEST(for_every_reason)
{
    struct rig *r = wanting(rig_new());

    r->rules.max_length = 3;
    r->rules.counts_failures = true;
    r->rules.delivery_limit = 0;
    rig_rule(r);
    rig_put_range(r, 1, 4);
    uint32_t surplus = slot_of(r, 1, LV_DEATH_MAXLEN);
    rig_settle(r, rig_get(r, 2), LV_REJECTED);
    uint32_t rejected = slot_of(r, 2, LV_DEATH_REJECTED);
    rig_settle(r, rig_get(r, 3), LV_FAILED);
    uint32_t failed = slot_of(r, 3, LV_DEATH_DELIVERY_LIMIT);
    r->rules.ttl_ms = 0;
    rig_rule(r);
    uint32_t expired = slot_of(r, 4, LV_DEATH_EXPIRED);
    rig_check_counts(r, 0, 0);
    rig_bury(r, rejected);
    rig_bury(r, expired);
    rig_bury(r, surplus);
    rig_bury(r, failed);
    CHECK_EQ(lv_mem_used(LV_TAG_MESSAGE), r->memory[0]);
    rig_free(r);
}

LV_TEST(of_one_that_had_come_back)
{
    struct rig *r = wanting(rig_new());

    rig_put_range(r, 1, 2);
    rig_settle(r, rig_get(r, 1), LV_RELEASED);
    r->rules.max_length = 1;
    rig_rule(r);
    rig_bury(r, slot_of(r, 1, LV_DEATH_MAXLEN));
    CHECK_EQ(rig_eat(r), 2);
    rig_free(r);
}

LV_TEST(many_at_once)
{
    struct rig *r = wanting(rig_new());
    uint32_t slots[100];

    for (uint32_t n = 0; n < 100; n++) {
        rig_put(r, n);
        slots[n] = rig_get(r, n);
    }
    lv_queue_settle(r->q, slots, 100, LV_REJECTED, r->now);
    rig_check_counts(r, 0, 0);
    for (uint32_t n = 0; n < 100; n++) {
        CHECK(rig_died(r, n, LV_DEATH_REJECTED));
        CHECK_EQ(rig_slot(r), slots[n]);
    }
    for (uint32_t n = 0; n < 100; n++)
        rig_bury(r, slots[n * 37 % 100]);
    CHECK_EQ(lv_mem_used(LV_TAG_MESSAGE), r->memory[0]);
    rig_free(r);
}

/* ---- what passes over them ---- */

LV_TEST(a_purge_leaves_them)
{
    struct rig *r = wanting(rig_new());

    rig_put_range(r, 1, 4);
    rig_settle(r, rig_get(r, 1), LV_REJECTED);
    rig_settle(r, rig_get(r, 2), LV_RELEASED);
    uint32_t slot = slot_of(r, 1, LV_DEATH_REJECTED);
    CHECK_EQ(lv_queue_purge(r->q), 3);
    rig_check_counts(r, 0, 0);
    CHECK(lv_mem_used(LV_TAG_MESSAGE) > r->memory[0]);
    rig_bury(r, slot);
    rig_free(r);
}

LV_TEST(freed_with_the_queue)
{
    struct rig *r = wanting(rig_new());

    for (uint32_t n = 0; n < 50; n++) {
        rig_put(r, n);
        rig_settle(r, rig_get(r, n), LV_REJECTED);
        (void)slot_of(r, n, LV_DEATH_REJECTED);
    }
    rig_free(r); /* which looks for what is left of them */
}

LV_TEST(rules_change_meanwhile)
{
    struct rig *r = wanting(rig_new());

    rig_put_range(r, 1, 2);
    rig_settle(r, rig_get(r, 1), LV_REJECTED);
    uint32_t slot = slot_of(r, 1, LV_DEATH_REJECTED);
    r->rules = LV_QUEUE_NO_RULES;
    rig_rule(r);
    rig_settle(r, rig_get(r, 2), LV_REJECTED);
    CHECK(rig_died(r, UINT32_MAX, LV_DEATH_REJECTED));
    rig_bury(r, slot);
    CHECK_EQ(lv_mem_used(LV_TAG_MESSAGE), r->memory[0]);
    rig_free(r);
}

LV_TEST(a_look_does_not_show_them)
{
    struct rig *r = wanting(rig_new());
    struct lv_peek p = { .ready = true, .unsettled = true, .max = 10 };

    rig_put_range(r, 1, 3);
    rig_settle(r, rig_get(r, 1), LV_REJECTED);
    (void)slot_of(r, 1, LV_DEATH_REJECTED);
    (void)rig_get(r, 2);
    CHECK_EQ(lv_queue_peek(r->q, &p), LV_OK);
    CHECK_EQ(p.count, 2);
    CHECK(p.at[0].is_unsettled && !p.at[1].is_unsettled);
    lv_peek_fini(&p);
    rig_free(r);
}

/* ---- not too many at a time ---- */

static void put_many(struct rig *r, uint32_t count)
{
    for (uint32_t n = 0; n < count; n++)
        rig_put(r, n);
}

static void check_bound(struct rig *r, enum lv_death why, uint32_t count)
{
    CHECK_EQ(r->died_count, DYING_MAX);
    rig_check_counts(r, count - DYING_MAX, 0);
    lv_queue_tick(r->q, r->now);
    lv_queue_dispatch(r->q, r->now);
    CHECK_EQ(r->died_count, DYING_MAX);
    for (uint32_t n = 0; n < DYING_MAX; n++)
        rig_bury(r, slot_of(r, n, why));
    CHECK_EQ(r->died_count, count); /* the others, in their turn */
    rig_check_counts(r, 0, 0);
    for (uint32_t n = DYING_MAX; n < count; n++)
        rig_bury(r, slot_of(r, n, why));
    CHECK_EQ(lv_mem_used(LV_TAG_MESSAGE), r->memory[0]);
}

LV_TEST(so_many_expire_at_once)
{
    struct rig *r = wanting(rig_new());

    put_many(r, DYING_MAX + 900);
    r->rules.ttl_ms = 0;
    rig_rule(r);
    check_bound(r, LV_DEATH_EXPIRED, DYING_MAX + 900);
    rig_free(r);
}

LV_TEST(so_many_are_dropped_at_once)
{
    struct rig *r = wanting(rig_new());

    put_many(r, DYING_MAX + 900);
    r->rules.max_length = 0;
    rig_rule(r);
    check_bound(r, LV_DEATH_MAXLEN, DYING_MAX + 900);
    rig_free(r);
}

/* What waits for the dead does not wait for one that nobody can look after. */
LV_TEST(one_that_is_never_buried)
{
    struct rig *r = wanting(rig_new());

    put_many(r, 2 * DYING_MAX);
    r->rules.ttl_ms = 0;
    rig_rule(r);
    CHECK_EQ(r->died_count, DYING_MAX);
    for (uint32_t n = 0; n < 2 * DYING_MAX; n++) {
        uint32_t slot = slot_of(r, n, LV_DEATH_EXPIRED);
        if (n != 7)
            rig_bury(r, slot);
    }
    rig_check_counts(r, 0, 0);
    rig_free(r);
}

LV_TEST(without_dead_letters_all_of_them)
{
    struct rig *r = rig_new();

    put_many(r, DYING_MAX + 900);
    r->rules.ttl_ms = 0;
    rig_rule(r);
    rig_check_counts(r, 0, 0);
    for (uint32_t n = 0; n < DYING_MAX + 900; n++)
        CHECK(rig_died(r, n, LV_DEATH_EXPIRED));
    rig_free(r);
}

/* ---- in the log ---- */

LV_TEST(not_buried_before_the_end)
{
    struct rig *r = wanting(rig_logged());

    rig_put_range(r, 1, 3);
    uint32_t one = rig_get(r, 1), two = rig_get(r, 2);
    rig_settle(r, one, LV_REJECTED);
    rig_settle(r, two, LV_REJECTED);
    (void)slot_of(r, 1, LV_DEATH_REJECTED);
    rig_bury(r, slot_of(r, 2, LV_DEATH_REJECTED));
    rig_restart(r);
    CHECK_EQ(rig_eat(r), 1); /* nobody had it yet: at least once */
    CHECK_EQ(rig_eat(r), 3);
    CHECK_EQ(rig_eat(r), UINT32_MAX);
    rig_free(r);
}

LV_TEST(no_longer_counted_as_persistent)
{
    struct rig *r = wanting(rig_logged());
    struct rig_message transient = { .n = 2, .is_transient = true };
    struct lv_queue_counts c;

    rig_put(r, 1);
    CHECK_EQ(rig_publish(r, transient), LV_OK);
    rig_put(r, 3);
    uint32_t slots[2] = { rig_get(r, 1), rig_get(r, 2) };
    lv_queue_settle(r->q, slots, 2, LV_REJECTED, r->now);
    for (uint32_t n = 1; n <= 2; n++) {
        lv_queue_counts(r->q, &c);
        CHECK_EQ(c.persistent, 1);
        rig_bury(r, slot_of(r, n, LV_DEATH_REJECTED));
    }
    CHECK_EQ(rig_publish(r, transient), LV_OK);
    lv_queue_counts(r->q, &c);
    CHECK_EQ(c.ready, 2);
    CHECK_EQ(c.persistent, 1);
    rig_free(r);
}

/* Messages 0 to count - 1, a MiB each, all handed out: of those above 4 MiB the queue keeps only the places. */
static void hand_out_large(struct rig *r, uint32_t *slots, uint32_t count)
{
    for (uint32_t n = 0; n < count; n++)
        CHECK_EQ(rig_publish(r, (struct rig_message){ .n = n, .bytes = LARGE }), LV_OK);
    struct lv_consumer c = { .credit = count, .owner = r };
    rig_serve(r, &c);
    CHECK_EQ(r->delivered_count, count);
    for (uint32_t n = 0; n < count; n++) {
        CHECK_EQ(r->delivered[n].n, n);
        slots[n] = r->delivered[n].slot;
    }
    lv_queue_unsubscribe(&c);
    CHECK(lv_mem_used(LV_TAG_MESSAGE) - r->memory[0] < (int64_t)5 * LARGE);
}

static void check_bytes(struct rig *r, uint64_t ready, uint64_t unsettled)
{
    struct lv_queue_counts c;

    lv_queue_counts(r->q, &c);
    CHECK_EQ(c.ready, ready);
    CHECK_EQ(c.ready_bytes, ready * LARGE);
    CHECK_EQ(c.unsettled, unsettled);
    CHECK_EQ(c.unsettled_bytes, unsettled * LARGE);
}

LV_TEST(rejected_while_it_was_away)
{
    struct rig *r = wanting(rig_logged());
    uint32_t slots[8];

    hand_out_large(r, slots, 8);
    lv_queue_settle(r->q, slots, 8, LV_REJECTED, r->now);
    check_bytes(r, 0, 0);
    for (uint32_t n = 0; n < 8; n++)
        rig_bury(r, slot_of(r, n, LV_DEATH_REJECTED)); /* whole, read back for that */
    CHECK_EQ(lv_mem_used(LV_TAG_MESSAGE), r->memory[0]);
    rig_restart(r);
    CHECK_EQ(rig_eat(r), UINT32_MAX);
    rig_free(r);
}

LV_TEST(failed_once_too_often_while_it_was_away)
{
    struct rig *r = wanting(rig_logged());
    uint32_t slots[6];

    r->rules.counts_failures = true;
    r->rules.delivery_limit = 0;
    rig_rule(r);
    hand_out_large(r, slots, 6);
    lv_queue_settle(r->q, slots, 6, LV_FAILED, r->now);
    for (uint32_t n = 0; n < 6; n++)
        rig_bury(r, slot_of(r, n, LV_DEATH_DELIVERY_LIMIT));
    check_bytes(r, 0, 0);
    rig_free(r);
}

/* Until it is read it waits with the ready ones, at its old place; then it dies instead of being handed out. */
LV_TEST(doomed_and_on_its_way)
{
    struct rig *r = wanting(rig_logged());
    struct lv_consumer c = { .credit = 10, .owner = r };
    uint32_t slots[7];

    hand_out_large(r, slots, 7);
    r->holds_loads = true;
    lv_queue_settle(r->q, slots + 5, 1, LV_REJECTED, r->now);
    lv_queue_settle(r->q, slots + 6, 1, LV_RELEASED, r->now);
    check_bytes(r, 2, 5);
    rig_serve(r, &c);
    CHECK_EQ(r->died_count, 0);
    CHECK_EQ(r->delivered_count, 7);
    rig_load(r);
    rig_bury(r, slot_of(r, 5, LV_DEATH_REJECTED));
    CHECK_EQ(r->delivered_count, 8);
    CHECK(r->delivered[7].n == 6 && r->delivered[7].redelivered);
    check_bytes(r, 0, 6);
    rig_free(r);
}

LV_TEST(doomed_but_purged)
{
    struct rig *r = wanting(rig_logged());
    uint32_t slots[6];

    hand_out_large(r, slots, 6);
    r->holds_loads = true;
    lv_queue_settle(r->q, slots, 6, LV_REJECTED, r->now);
    for (uint32_t n = 0; n < 4; n++)
        rig_bury(r, slot_of(r, n, LV_DEATH_REJECTED));
    CHECK_EQ(lv_queue_purge(r->q), 2);
    rig_load(r); /* it comes too late */
    CHECK_EQ(r->died_count, 4);
    rig_put(r, 9);
    CHECK_EQ(rig_eat(r), 9);
    rig_free(r);
}

LV_TEST(doomed_when_nobody_wants_it_any_more)
{
    struct rig *r = wanting(rig_logged());
    uint32_t slots[6];

    hand_out_large(r, slots, 6);
    r->holds_loads = true;
    lv_queue_settle(r->q, slots + 5, 1, LV_REJECTED, r->now);
    r->rules = LV_QUEUE_NO_RULES;
    rig_rule(r);
    rig_load(r);
    CHECK(rig_died(r, 5, LV_DEATH_REJECTED));
    CHECK_EQ(rig_slot(r), LV_SLOT_NONE);
    check_bytes(r, 0, 5);
    rig_free(r);
}

/* At least once: without memory to note its death it is ready once more. */
LV_TEST(without_memory_to_doom_it)
{
    struct rig *r = wanting(rig_logged());
    uint32_t slots[6];

    hand_out_large(r, slots, 6);
    r->holds_loads = true;
    lv_mem_fail_at(1);
    lv_queue_settle(r->q, slots + 5, 1, LV_REJECTED, r->now);
    lv_mem_fail_at(0);
    check_bytes(r, 1, 5);
    r->holds_loads = false;
    rig_load(r);
    slots[5] = rig_get(r, 5);
    lv_queue_settle(r->q, slots + 5, 1, LV_REJECTED, r->now);
    rig_bury(r, slot_of(r, 5, LV_DEATH_REJECTED));
    rig_free(r);
}
