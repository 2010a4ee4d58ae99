/* tools/leveret/stamp.h - the first bytes of a body, by which a consumer knows a message again.
 *
 *   verify   8 bytes  producer (16 bits) and its sequence number (48 bits)
 *   latency  8 bytes  intended time of sending, ns of CLOCK_MONOTONIC
 *   verify   8 bytes  sum over the first word and the hash of the rest of the body
 *
 * All big-endian; a field is there only when the run needs it.
 */
#ifndef LV_TOOL_STAMP_H
#define LV_TOOL_STAMP_H
#include "base/bytes.h"

#define LV_STAMP_MAX 24u

struct lv_stamp {
    bool is_verified, is_timed;
};

static inline size_t lv_stamp_size(struct lv_stamp s)
{
    return (s.is_verified ? 16u : 0u) + (s.is_timed ? 8u : 0u);
}

static inline size_t lv_stamp_time_at(struct lv_stamp s)
{
    return s.is_verified ? 8 : 0;
}

static inline size_t lv_stamp_sum_at(struct lv_stamp s)
{
    return s.is_timed ? 16 : 8;
}

static inline uint64_t lv_stamp_word(uint64_t producer, uint64_t sequence)
{
    return producer << 48 | (sequence & 0xFFFFFFFFFFFF);
}

static inline uint64_t lv_stamp_sum(uint64_t word, uint64_t rest_hash)
{
    uint64_t sum = (word ^ rest_hash) * UINT64_C(0x9E3779B97F4A7C15);

    return sum ^ sum >> 32;
}

#endif
