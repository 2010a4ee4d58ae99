/* engine/slots_priv.h - messages that were handed out, each under a number for settling.
 *
 * A slot keeps its message from the first hand-out until it is gone from the queue. A returned
 * message stays in its slot and waits there for the next hand-out (returned_priv.h), so giving back
 * needs no memory. Chunk k holds 16 << k slots: slots never move. The lowest chunk with room is
 * filled first and only the highest is freed, when the ones below are half empty.
 */
#ifndef LV_ENGINE_SLOTS_PRIV_H
#define LV_ENGINE_SLOTS_PRIV_H
#include "engine/entry_priv.h"

#define LV_SLOT_FIRST_CHUNK 16u
#define LV_SLOT_CHUNKS_MAX 28u              /* all numbers below the two marks */
#define LV_SLOT_UNSETTLED (UINT32_MAX - 1u) /* in `next`: handed out */
#define LV_SLOT_DYING (UINT32_MAX - 2u)     /* in `next`: dead, and somebody looks after it */

struct lv_slot {
    struct lv_entry entry; /* place 0: free */
    uint32_t child;        /* unsettled: bytes of the body; returned: first child in the heap */
    uint32_t next; /* LV_SLOT_UNSETTLED, LV_SLOT_DYING; returned: sibling; free: next free of the chunk */
};
static inline bool lv_slot_is_returned(const struct lv_slot *s)
{
    return s->entry.place != 0 && s->next != LV_SLOT_UNSETTLED && s->next != LV_SLOT_DYING;
}

struct lv_slot_chunk {
    uint32_t used;  /* slots in use */
    uint32_t fresh; /* from here on never used */
    uint32_t free;  /* first free one below `fresh`, by its place in the chunk, or LV_SLOT_NONE */
    struct lv_slot slots[];
};

struct lv_slots {
    struct lv_slot_chunk **chunks; /* `count` of them */
    uint32_t count;
    uint32_t room; /* bit k: chunk k has a free slot */
    uint32_t used;
};

static inline unsigned lv_slot_chunk_of(uint32_t number)
{
    return 27u - (unsigned)__builtin_clz((number + LV_SLOT_FIRST_CHUNK) | 1u);
}
static inline uint32_t lv_slot_chunk_cap(unsigned k)
{
    return LV_SLOT_FIRST_CHUNK << k;
}
static inline uint32_t lv_slot_chunk_base(unsigned k)
{
    return lv_slot_chunk_cap(k) - LV_SLOT_FIRST_CHUNK;
}

/* The slot of that number, which must be in use. */
static inline struct lv_slot *lv_slot_at(const struct lv_slots *s, uint32_t number)
{
    unsigned k = lv_slot_chunk_of(number);

    LV_ASSERT(k < s->count);
    uint32_t i = number - lv_slot_chunk_base(k);
    LV_ASSERT(i < s->chunks[k]->fresh);
    return &s->chunks[k]->slots[i];
}

/* An unsettled slot for `e`, whose reference it takes. LV_SLOT_NONE: no memory, nothing changed. */
uint32_t lv_slots_take(struct lv_slots *s, struct lv_entry e) LV_MUST_USE;
/* Frees a slot. Its reference is the caller's. */
void lv_slots_drop(struct lv_slots *s, uint32_t number);
/* Drops the references of all slots in use, and all memory. */
void lv_slots_fini(struct lv_slots *s);

#endif
