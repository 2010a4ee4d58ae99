#include "route/rcuset_priv.h"

#include "base/mem.h"

#define CAP_MIN 4u

void lv_rcuset_init(struct lv_rcuset *s)
{
    atomic_init(&s->first_slot.item, NULL);
    s->first.slots = &s->first_slot;
    s->first.cap = 1;
    atomic_init(&s->first.count, 0);
    atomic_init(&s->array, &s->first);
}

static void array_free(void *array)
{
    lv_mem_free(array, LV_TAG_ROUTE);
}

void lv_rcuset_fini(struct lv_rcuset *s)
{
    struct lv_rcuset_array *a = atomic_load_explicit(&s->array, memory_order_relaxed);

    if (a != &s->first)
        array_free(a);
}

/* Replaces the array by one of `cap` slots. */
static enum lv_err resize(struct lv_rcuset *s, uint32_t cap, const struct lv_reclaim *reclaim)
{
    struct lv_rcuset_array *old = atomic_load_explicit(&s->array, memory_order_relaxed);
    uint32_t count = atomic_load_explicit(&old->count, memory_order_relaxed);
    struct lv_rcuset_array *new =
        lv_mem_zalloc(sizeof(*new) + (size_t)cap * sizeof(*new->slots), LV_TAG_ROUTE);

    if (new == NULL)
        return LV_ENOMEM;
    new->slots = (struct lv_rcuset_slot *)(new + 1);
    new->cap = cap;
    atomic_init(&new->count, count);
    for (uint32_t i = 0; i < count; i++) {
        atomic_init(&new->slots[i].item,
                    atomic_load_explicit(&old->slots[i].item, memory_order_relaxed));
        new->slots[i].place = old->slots[i].place;
    }
    atomic_store_explicit(&s->array, new, memory_order_release);
    if (old != &s->first)
        reclaim->retire(old, array_free);
    return LV_OK;
}

enum lv_err lv_rcuset_add(struct lv_rcuset *s, void *item, struct lv_place *place,
                          const struct lv_reclaim *reclaim)
{
    struct lv_rcuset_array *a = atomic_load_explicit(&s->array, memory_order_relaxed);
    uint32_t at = atomic_load_explicit(&a->count, memory_order_relaxed);

    if (at == a->cap) {
        if (at > UINT32_MAX / 2)
            return LV_ENOMEM;
        enum lv_err err = resize(s, LV_MAX(at * 2, CAP_MIN), reclaim);
        if (err != LV_OK)
            return err;
        a = atomic_load_explicit(&s->array, memory_order_relaxed);
    }
    *place = (struct lv_place){ s, at };
    a->slots[at].place = place;
    /* Release on the slot too: a reader with an older, higher count may come upon it before the count. */
    atomic_store_explicit(&a->slots[at].item, item, memory_order_release);
    atomic_store_explicit(&a->count, at + 1, memory_order_release);
    return LV_OK;
}

void lv_rcuset_remove(struct lv_place *place, const struct lv_reclaim *reclaim)
{
    struct lv_rcuset *s = place->set;
    struct lv_rcuset_array *a = atomic_load_explicit(&s->array, memory_order_relaxed);
    uint32_t last = atomic_load_explicit(&a->count, memory_order_relaxed) - 1;
    struct lv_rcuset_slot *gap = &a->slots[place->at], *end = &a->slots[last];

    LV_ASSERT(place->at <= last && gap->place == place);
    if (gap != end) {
        gap->place = end->place;
        gap->place->at = place->at;
        atomic_store_explicit(&gap->item, atomic_load_explicit(&end->item, memory_order_relaxed),
                              memory_order_release);
    }
    /* Whoever finds this slot empty has the moved item still before him. */
    atomic_store_explicit(&end->item, NULL, memory_order_release);
    atomic_store_explicit(&a->count, last, memory_order_release);
    place->set = NULL;
    if (a->cap > CAP_MIN && last < a->cap / 4) {
        /* Without memory it stays large, and the next removal tries again. */
        enum lv_err err = resize(s, a->cap / 2, reclaim);
        (void)err;
    }
}
