/* route/rcuset_priv.h - a set of pointers that any thread walks while one writer adds and takes out.
 *
 * Items stand densely in an array. Adding writes the slot behind the last and then the count. Taking out moves the
 * last item down into the gap, then clears the slot it left, then lowers the count. So an item only ever moves
 * towards the beginning, and a reader who walks from the end towards the beginning meets every item that was
 * there all the time: at its old place, at its new one, or at both (readers drop duplicates anyway).
 * An array that is outgrown, or mostly empty, is replaced by a copy, published whole and the old one retired; a
 * reader in the old one sees it unchanged. Every change is amortised O(1).
 * Owner   one writer; lv_rcuset_walk() and lv_rcuset_next() on any thread, inside a read-side section.
 * Bounds  32 bits of items; one item needs no memory of its own.
 */
#ifndef LV_ROUTE_RCUSET_PRIV_H
#define LV_ROUTE_RCUSET_PRIV_H
#include <stdatomic.h>

#include "base/err.h"
#include "base/reclaim.h"
#include "route/route.h"

struct lv_rcuset_slot {
    _Atomic(void *) item;   /* NULL: was just taken out or moved */
    struct lv_place *place; /* writer only: who must be told when the item moves */
};

struct lv_rcuset_array {
    struct lv_rcuset_slot *slots;
    uint32_t cap;
    _Atomic uint32_t count;
};

struct lv_rcuset {
    _Atomic(struct lv_rcuset_array *) array;
    struct lv_rcuset_array first; /* the array while there has never been more than one item */
    struct lv_rcuset_slot first_slot;
};

void lv_rcuset_init(struct lv_rcuset *s);
/* No reader may be left. Items are their owners'. */
void lv_rcuset_fini(struct lv_rcuset *s);
/* Adds `item` and notes in `place` (borrows it until taken out) where it stands. LV_ENOMEM: unchanged. */
enum lv_err lv_rcuset_add(struct lv_rcuset *s, void *item, struct lv_place *place,
                          const struct lv_reclaim *reclaim) LV_MUST_USE;
/* Takes out what stands at `place`. Never fails. */
void lv_rcuset_remove(struct lv_place *place, const struct lv_reclaim *reclaim);

/* Items in it; writer's thread, or a hint. */
static inline uint32_t lv_rcuset_count(const struct lv_rcuset *s)
{
    struct lv_rcuset_array *a = atomic_load_explicit(&s->array, memory_order_acquire);

    return atomic_load_explicit(&a->count, memory_order_acquire);
}

/* A reader's walk: from the end towards the beginning. */
struct lv_rcuset_walk {
    const struct lv_rcuset_slot *slots;
    uint32_t left;
};

static inline struct lv_rcuset_walk lv_rcuset_walk(const struct lv_rcuset *s)
{
    struct lv_rcuset_array *a = atomic_load_explicit(&s->array, memory_order_acquire);

    return (struct lv_rcuset_walk){ a->slots,
                                    atomic_load_explicit(&a->count, memory_order_acquire) };
}

/* NULL at the end. */
static inline void *lv_rcuset_next(struct lv_rcuset_walk *w)
{
    while (w->left != 0) {
        void *item = atomic_load_explicit(&w->slots[--w->left].item, memory_order_acquire);
        if (LV_LIKELY(item != NULL))
            return item;
    }
    return NULL;
}

#endif
