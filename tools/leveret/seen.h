/* tools/leveret/seen.h - which sequence numbers have arrived: a set of bits that grows by itself.
 *
 * Any number of threads may add; the count is exact once they have stopped.
 */
#ifndef LV_TOOL_SEEN_H
#define LV_TOOL_SEEN_H
#include <stdbool.h>
#include <stdint.h>

#define LV_SEEN_CHUNK_BITS (UINT64_C(1) << 20)
#define LV_SEEN_CHUNKS 16384u
#define LV_SEEN_MAX (LV_SEEN_CHUNK_BITS * LV_SEEN_CHUNKS)

struct lv_seen {
    _Atomic(_Atomic uint64_t *) *chunk; /* NULL: nothing in it yet */
    _Atomic uint64_t count;
};

void lv_seen_init(struct lv_seen *seen);
void lv_seen_fini(struct lv_seen *seen);
/* Adds `number` (< LV_SEEN_MAX); false when it was there already. */
bool lv_seen_add(struct lv_seen *seen, uint64_t number);

#endif
