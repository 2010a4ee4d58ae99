/* engine/ready_priv.h - the ready messages that were never handed out: a queue made of chunks.
 *
 * Orders only grow from head to tail. The first chunks are small, so that a short queue costs
 * little; an empty list owns no chunk.
 */
#ifndef LV_ENGINE_READY_PRIV_H
#define LV_ENGINE_READY_PRIV_H
#include "engine/entry_priv.h"

struct lv_ready_chunk {
    struct lv_ready_chunk *next; /* towards the tail */
    uint32_t cap;
    struct lv_entry entries[];
};

struct lv_ready {
    struct lv_ready_chunk *first, *last; /* NULL when empty */
    uint32_t head;                       /* of `first`: the oldest entry */
    uint32_t tail;                       /* of `last`: behind the newest entry */
    uint64_t count;
};

/* Appends a chunk. LV_ENOMEM: nothing changed. */
enum lv_err lv_ready_grow(struct lv_ready *r) LV_MUST_USE;
/* Frees the first chunk, whose entries are all gone. */
void lv_ready_shrink(struct lv_ready *r);

/* Takes the reference in `e` on LV_OK. LV_ENOMEM: nothing changed. */
static inline LV_MUST_USE enum lv_err lv_ready_push(struct lv_ready *r, struct lv_entry e)
{
    if (LV_UNLIKELY(r->last == NULL || r->tail == r->last->cap)) {
        enum lv_err err = lv_ready_grow(r);
        if (err != LV_OK)
            return err;
    }
    r->last->entries[r->tail++] = e;
    r->count++;
    return LV_OK;
}

/* The oldest entry; there must be one. It stays. */
static inline struct lv_entry lv_ready_peek(const struct lv_ready *r)
{
    return r->first->entries[r->head];
}

/* Removes the oldest entry; there must be one. Its reference is the caller's. A message a few
 * places on is fetched meanwhile: in a long queue it has been out of the cache for long. What
 * stands behind the tail is not a pointer, but only a hint is made of it. */
static inline struct lv_entry lv_ready_pop(struct lv_ready *r)
{
    struct lv_entry e = lv_ready_peek(r);

    __builtin_prefetch(r->first->entries[LV_MIN(r->head + 6, r->first->cap - 1)].msg, 1);
    r->head++;
    r->count--;
    if (LV_UNLIKELY(r->count == 0 || r->head == r->first->cap))
        lv_ready_shrink(r);
    return e;
}

#endif
