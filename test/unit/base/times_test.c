#include "base/times.h"

#include "lv_test.h"

LV_TEST(buckets_are_powers_of_two)
{
    CHECK_EQ(lv_time_bucket(0), 0);
    CHECK_EQ(lv_time_bucket(1), 1);
    CHECK_EQ(lv_time_bucket(2), 2);
    CHECK_EQ(lv_time_bucket(3), 2);
    CHECK_EQ(lv_time_bucket(4), 3);
    for (unsigned i = 1; i < LV_TIME_BUCKETS - 1; i++) {
        CHECK_EQ(lv_time_bucket((UINT64_C(1) << i) - 1), i);
        CHECK_EQ(lv_time_bucket(UINT64_C(1) << i), i + 1);
    }
    CHECK_EQ(lv_time_bucket(UINT64_MAX), LV_TIME_BUCKETS - 1);
}

LV_TEST(what_is_added_is_read)
{
    static _Atomic uint64_t words[LV_TIMES_WORDS];
    struct lv_times t;

    lv_times_add(words, 0);
    lv_times_add(words, 5);
    lv_times_add(words, 7);
    lv_times_read(words, &t);
    CHECK_EQ(t.count[0], 1);
    CHECK_EQ(t.count[3], 2);
    CHECK_EQ(t.sum_us, 12);
}
