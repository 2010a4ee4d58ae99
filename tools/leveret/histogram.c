#include "histogram.h"

#include <math.h>

uint64_t lv_histogram_bucket_top(size_t bucket)
{
    if (bucket < 2 * LV_HISTOGRAM_SUB)
        return bucket;
    size_t octave = (bucket >> LV_HISTOGRAM_SUB_BITS) - 1;
    uint64_t top_bits = bucket - (octave << LV_HISTOGRAM_SUB_BITS);
    return (top_bits << octave) + ((UINT64_C(1) << octave) - 1);
}

static uint64_t count_of(const struct lv_histogram *h, size_t bucket)
{
    return atomic_load_explicit(&h->bucket[bucket], memory_order_relaxed);
}

void lv_histogram_merge(struct lv_histogram *into, const struct lv_histogram *from)
{
    for (size_t i = 0; i < LV_HISTOGRAM_BUCKETS; i++)
        atomic_store_explicit(&into->bucket[i], count_of(into, i) + count_of(from, i),
                              memory_order_relaxed);
    uint64_t max = atomic_load_explicit(&from->max, memory_order_relaxed);
    if (max > atomic_load_explicit(&into->max, memory_order_relaxed))
        atomic_store_explicit(&into->max, max, memory_order_relaxed);
}

uint64_t lv_histogram_count(const struct lv_histogram *h)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < LV_HISTOGRAM_BUCKETS; i++)
        sum += count_of(h, i);
    return sum;
}

uint64_t lv_histogram_percentile(const struct lv_histogram *h, double percent)
{
    uint64_t max = atomic_load_explicit(&h->max, memory_order_relaxed);
    uint64_t wanted = (uint64_t)ceil((double)lv_histogram_count(h) * percent / 100.0);
    uint64_t seen = 0;

    for (size_t i = 0; i < LV_HISTOGRAM_BUCKETS; i++) {
        seen += count_of(h, i);
        if (seen != 0 && seen >= wanted) {
            uint64_t top = lv_histogram_bucket_top(i);
            return top < max ? top : max;
        }
    }
    return 0;
}
