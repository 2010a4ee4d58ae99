/* base/times.h - how long something took, in buckets of powers of two.
 *
 * Bucket i counts times below 2^i microseconds (and not below 2^(i-1)); the last one all longer ones: that is from a minute on.
 * Owner   one thread adds; any may read, word by word.
 */
#ifndef LV_BASE_TIMES_H
#define LV_BASE_TIMES_H
#include <stdatomic.h>
#include <stdint.h>

#define LV_TIME_BUCKETS 28u

struct lv_times {
    uint64_t count[LV_TIME_BUCKETS];
    uint64_t sum_us;
};

/* The same where it is counted: the words of a struct lv_times. */
#define LV_TIMES_WORDS (LV_TIME_BUCKETS + 1)

static inline unsigned lv_time_bucket(uint64_t us)
{
    unsigned bits = us == 0 ? 0 : 64u - (unsigned)__builtin_clzll(us);

    return bits < LV_TIME_BUCKETS ? bits : LV_TIME_BUCKETS - 1;
}

static inline void lv_word_add(_Atomic uint64_t *word, uint64_t n)
{
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* Counts one. The owner's thread. */
static inline void lv_times_add(_Atomic uint64_t words[LV_TIMES_WORDS], uint64_t us)
{
    lv_word_add(&words[lv_time_bucket(us)], 1);
    lv_word_add(&words[LV_TIME_BUCKETS], us);
}

/* Momentary. Any thread. */
static inline void lv_times_read(const _Atomic uint64_t words[LV_TIMES_WORDS], struct lv_times *out)
{
    for (unsigned i = 0; i < LV_TIME_BUCKETS; i++)
        out->count[i] = atomic_load_explicit(&words[i], memory_order_relaxed);
    out->sum_us = atomic_load_explicit(&words[LV_TIME_BUCKETS], memory_order_relaxed);
}

#endif
