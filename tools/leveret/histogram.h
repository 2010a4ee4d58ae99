/* tools/leveret/histogram.h - counts of values over 64 bits with under 1 % error.
 *
 * Buckets are linear within each power of two (128 of them), so recording is a shift and an add,
 * and memory is fixed whatever the values are.
 * One thread records; any thread may merge it into its own copy meanwhile.
 */
#ifndef LV_TOOL_HISTOGRAM_H
#define LV_TOOL_HISTOGRAM_H
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define LV_HISTOGRAM_SUB_BITS 7
#define LV_HISTOGRAM_SUB (1u << LV_HISTOGRAM_SUB_BITS)
#define LV_HISTOGRAM_BUCKETS ((64 - LV_HISTOGRAM_SUB_BITS + 1) * LV_HISTOGRAM_SUB)

struct lv_histogram {
    _Atomic uint64_t max;
    _Atomic uint64_t bucket[LV_HISTOGRAM_BUCKETS]; /* all zero: empty */
};

/* Values below LV_HISTOGRAM_SUB have a bucket each; above, the top 8 bits choose it. */
static inline size_t lv_histogram_bucket(uint64_t value)
{
    if (value < LV_HISTOGRAM_SUB)
        return (size_t)value;
    unsigned octave = 63u - (unsigned)__builtin_clzll(value) - LV_HISTOGRAM_SUB_BITS;
    return (size_t)((octave << LV_HISTOGRAM_SUB_BITS) + (value >> octave));
}

/* Largest value that falls into the bucket. */
uint64_t lv_histogram_bucket_top(size_t bucket);

static inline void lv_histogram_record(struct lv_histogram *h, uint64_t value)
{
    /* One writer: a load and a store, no locked instruction. */
    _Atomic uint64_t *count = &h->bucket[lv_histogram_bucket(value)];

    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    if (value > atomic_load_explicit(&h->max, memory_order_relaxed))
        atomic_store_explicit(&h->max, value, memory_order_relaxed);
}

/* Adds `from`, which may be recording, to `into`, which the caller owns. */
void lv_histogram_merge(struct lv_histogram *into, const struct lv_histogram *from);
uint64_t lv_histogram_count(const struct lv_histogram *h);
/* Value that at least `percent` (0..100) of the recorded ones do not exceed; 0 when empty. */
uint64_t lv_histogram_percentile(const struct lv_histogram *h, double percent);

#endif
