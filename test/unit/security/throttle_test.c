/* security/throttle.h: the burst, the doubling, forgetting, and that nobody pays for another. */
#include "security/throttle.h"

#include "base/mem.h"
#include "lv_test.h"

static struct lv_throttle *t;
static lv_time_ms now;

static void open_with(struct lv_throttle_rule rule)
{
    CHECK_EQ(lv_throttle_new(&rule, &t), LV_OK);
    now = 1000000;
}

static struct lv_bytes host(uint32_t n)
{
    static uint8_t buf[4];

    lv_put_be32(buf, n);
    return lv_bytes(buf, 4);
}

/* What the attempt has to wait for; a failure when it need not. */
static uint32_t try_wrong(uint32_t n)
{
    uint32_t wait = lv_throttle_admit(t, host(n), now);

    if (wait == 0)
        lv_throttle_settle(t, host(n), true, now);
    return wait;
}

static void try_right(uint32_t n)
{
    CHECK_EQ(lv_throttle_admit(t, host(n), now), 0);
    lv_throttle_settle(t, host(n), false, now);
}

LV_TEST(burst_then_doubling)
{
    static const uint32_t waits[] = { 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000 };

    open_with(LV_THROTTLE_DEFAULT);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(try_wrong(1), 0);
    for (size_t i = 0; i < LV_ARRAY_LEN(waits); i++) {
        CHECK_EQ(try_wrong(1), waits[i]);
        now += waits[i] - 1;
        CHECK_EQ(try_wrong(1), 1);                 /* asking early changes nothing */
        CHECK_EQ(try_wrong(100 + (uint32_t)i), 0); /* and another address does not notice */
        now += 1;
        CHECK_EQ(try_wrong(1), 0);
    }
    lv_throttle_free(t);
}

LV_TEST(success_costs_nothing)
{
    open_with(LV_THROTTLE_DEFAULT);
    for (int i = 0; i < 1000; i++)
        try_right(1);
    for (int i = 0; i < 9; i++)
        CHECK_EQ(try_wrong(1), 0);
    try_right(1);
    CHECK_EQ(try_wrong(1), 0);
    CHECK_EQ(try_wrong(1), 1000);
    now += 1000;
    try_right(1);
    CHECK_EQ(try_wrong(1), 1000); /* no shorter, and no longer */
    lv_throttle_free(t);
}

LV_TEST(failures_are_forgotten)
{
    open_with(LV_THROTTLE_DEFAULT);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(try_wrong(1), 0);
    now += 6000; /* one of ten a minute */
    CHECK_EQ(try_wrong(1), 0);
    CHECK_EQ(try_wrong(1), 1000);
    now += 1000;
    CHECK_EQ(try_wrong(1), 0);
    now += 20 * 60000;
    for (int i = 0; i < 10; i++)
        CHECK_EQ(try_wrong(1), 0);
    CHECK_EQ(try_wrong(1), 1000);
    lv_throttle_free(t);
}

LV_TEST(all_at_once_gains_nothing)
{
    int admitted = 0;

    open_with(LV_THROTTLE_DEFAULT);
    for (int i = 0; i < 100; i++)
        admitted += lv_throttle_admit(t, host(1), now) == 0;
    CHECK_EQ(admitted, 10);
    lv_throttle_free(t);
}

LV_TEST(addresses)
{
    uint8_t six[16] = { 0x20, 1, 0xd, 0xb8 }, mapped[16] = { [10] = 0xff, [11] = 0xff, [15] = 1 };

    open_with((struct lv_throttle_rule){ 1, 10, 1000, 60000 });
    CHECK_EQ(lv_throttle_admit(t, lv_bytes(six, 16), now), 0);
    six[15] = 9; /* the same network */
    CHECK_NE(lv_throttle_admit(t, lv_bytes(six, 16), now), 0);
    six[7] = 9;
    CHECK_EQ(lv_throttle_admit(t, lv_bytes(six, 16), now), 0);
    CHECK_EQ(lv_throttle_admit(t, host(1), now), 0);
    CHECK_NE(lv_throttle_admit(t, lv_bytes(mapped, 16), now), 0);
    CHECK_EQ(lv_throttle_admit(t, lv_bytes(NULL, 0), now), 0); /* no address: a local socket */
    lv_throttle_free(t);
}

/* A flood of addresses costs no memory, and one that is being slowed is still slowed in most of it. */
LV_TEST(many_addresses)
{
    open_with(LV_THROTTLE_DEFAULT);
    int64_t before = lv_mem_used(LV_TAG_SECURITY);
    for (uint32_t i = 0; i < 100000; i++)
        CHECK_EQ(try_wrong(i), 0);
    CHECK_EQ(lv_mem_used(LV_TAG_SECURITY), before);
    lv_throttle_free(t);
}

LV_TEST(switched_off)
{
    open_with((struct lv_throttle_rule){ 0, 0, 0, 0 });
    for (int i = 0; i < 100; i++)
        CHECK_EQ(try_wrong(1), 0);
    lv_throttle_free(t);
    CHECK_EQ(lv_mem_used(LV_TAG_SECURITY), 0);
}
