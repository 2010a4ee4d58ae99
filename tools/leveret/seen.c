#include "seen.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "fault.h"

void lv_seen_init(struct lv_seen *seen)
{
    seen->chunk = lv_need(calloc(LV_SEEN_CHUNKS, sizeof(*seen->chunk)));
    atomic_init(&seen->count, 0);
}

void lv_seen_fini(struct lv_seen *seen)
{
    for (unsigned i = 0; i < LV_SEEN_CHUNKS; i++)
        free((void *)atomic_load(&seen->chunk[i]));
    free((void *)seen->chunk);
    seen->chunk = NULL;
}

/* Whoever comes second to an empty place gives its memory back. */
static _Atomic uint64_t *add_chunk(struct lv_seen *seen, uint64_t index)
{
    _Atomic uint64_t *fresh = lv_need(calloc(LV_SEEN_CHUNK_BITS / 64, sizeof(*fresh)));
    _Atomic uint64_t *present = NULL;

    if (atomic_compare_exchange_strong(&seen->chunk[index], &present, fresh))
        return fresh;
    free((void *)fresh);
    return present;
}

bool lv_seen_add(struct lv_seen *seen, uint64_t number)
{
    uint64_t index = number / LV_SEEN_CHUNK_BITS, within = number % LV_SEEN_CHUNK_BITS;
    uint64_t bit = UINT64_C(1) << (within % 64);
    _Atomic uint64_t *chunk = atomic_load_explicit(&seen->chunk[index], memory_order_acquire);

    if (chunk == NULL)
        chunk = add_chunk(seen, index);
    if (atomic_fetch_or_explicit(&chunk[within / 64], bit, memory_order_relaxed) & bit)
        return false;
    atomic_fetch_add_explicit(&seen->count, 1, memory_order_relaxed);
    return true;
}
