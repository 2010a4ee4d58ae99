/* tools/leveret/histogram.h: the error bound, the order of buckets, percentiles against a sorted list. */
/* A program is no library: its test brings the source in.
   NOLINTBEGIN(bugprone-suspicious-include) */
#include "../../../tools/leveret/histogram.c"
/* NOLINTEND(bugprone-suspicious-include) */

#include <stdlib.h>

#include "lv_test.h"

static struct lv_histogram *new_histogram(void)
{
    struct lv_histogram *h = calloc(1, sizeof(*h));

    CHECK(h != NULL);
    return h;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

LV_TEST(every_bucket_holds_its_top)
{
    for (size_t i = 0; i < LV_HISTOGRAM_BUCKETS; i++)
        CHECK_EQ(lv_histogram_bucket(lv_histogram_bucket_top(i)), i);
}

LV_TEST(the_value_after_a_top_is_in_the_next_bucket)
{
    for (size_t i = 0; i + 1 < LV_HISTOGRAM_BUCKETS; i++)
        CHECK_EQ(lv_histogram_bucket(lv_histogram_bucket_top(i) + 1), i + 1);
}

LV_TEST(the_largest_value_has_the_last_bucket)
{
    CHECK_EQ(lv_histogram_bucket(UINT64_MAX), LV_HISTOGRAM_BUCKETS - 1);
    CHECK(lv_histogram_bucket_top(LV_HISTOGRAM_BUCKETS - 1) == UINT64_MAX);
}

LV_TEST(small_values_are_exact)
{
    for (uint64_t value = 0; value < 2 * LV_HISTOGRAM_SUB; value++)
        CHECK_EQ(lv_histogram_bucket_top(lv_histogram_bucket(value)), value);
}

LV_PROP(error_is_under_one_percent)
{
    struct lv_rng r = lv_rng_seed(seed);

    for (int i = 0; i < 1000; i++) {
        uint64_t value = lv_rng_next(&r) >> lv_rng_below(&r, 64);
        uint64_t top = lv_histogram_bucket_top(lv_histogram_bucket(value));
        CHECK(top >= value);
        CHECK(top - value <= value / 100);
    }
}

LV_TEST(empty)
{
    struct lv_histogram *h = new_histogram();

    CHECK_EQ(lv_histogram_count(h), 0);
    CHECK_EQ(lv_histogram_percentile(h, 50), 0);
    CHECK_EQ(lv_histogram_percentile(h, 100), 0);
    free(h);
}

LV_TEST(the_hundredth_percentile_is_the_maximum_itself)
{
    struct lv_histogram *h = new_histogram();

    lv_histogram_record(h, 10);
    lv_histogram_record(h, 1000001);
    CHECK_EQ(lv_histogram_percentile(h, 100), 1000001);
    CHECK_EQ(lv_histogram_percentile(h, 50), 10);
    CHECK_EQ(lv_histogram_percentile(h, 0), 10);
    free(h);
}

LV_PROP(percentiles_agree_with_a_sorted_list)
{
    enum { COUNT = 1000 };
    struct lv_rng r = lv_rng_seed(seed);
    struct lv_histogram *h = new_histogram();
    uint64_t values[COUNT];

    for (size_t i = 0; i < COUNT; i++) {
        values[i] = lv_rng_next(&r) >> (24 + lv_rng_below(&r, 40));
        lv_histogram_record(h, values[i]);
    }
    qsort(values, COUNT, sizeof(values[0]), compare);
    for (unsigned percent = 1; percent <= 100; percent++) {
        uint64_t exact = values[COUNT * percent / 100 - 1];
        uint64_t got = lv_histogram_percentile(h, percent);
        CHECK(got >= exact);
        CHECK(got - exact <= exact / 100);
    }
    free(h);
}

LV_TEST(merging_adds_counts_and_keeps_the_larger_maximum)
{
    struct lv_histogram *a = new_histogram(), *b = new_histogram();

    for (uint64_t i = 0; i < 100; i++) {
        lv_histogram_record(a, 10);
        lv_histogram_record(b, 5000);
    }
    lv_histogram_merge(a, b);
    CHECK_EQ(lv_histogram_count(a), 200);
    CHECK_EQ(lv_histogram_percentile(a, 50), 10);
    CHECK_EQ(lv_histogram_percentile(a, 100), 5000);
    free(a);
    free(b);
}
