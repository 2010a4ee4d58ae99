/* Linear probing over an array of atomic pointers. A removed entry leaves a tombstone, so that a reader's
 * probe never stops early; adding reuses the first tombstone on its way. When entries and tombstones pass
 * 3/4 of the array, live entries move to a new array, which is published whole; the old one is retired. */
#include "base/ptrmap.h"

#include "base/mem.h"

struct lv_ptrmap_slots {
    size_t mask; /* slots - 1, a power of two minus one */
    _Atomic(struct lv_ptrmap_entry *) at[];
};

static struct lv_ptrmap_entry tombstone;

#define SLOTS_MIN 4u

void lv_ptrmap_init(struct lv_ptrmap *m, const struct lv_reclaim *reclaim)
{
    atomic_init(&m->slots, NULL);
    m->reclaim = reclaim;
    m->count = m->used = 0;
}

static void slots_free(void *ptr)
{
    lv_mem_free(ptr, LV_TAG_BASE);
}

void lv_ptrmap_fini(struct lv_ptrmap *m)
{
    slots_free(atomic_load_explicit(&m->slots, memory_order_relaxed));
    atomic_store_explicit(&m->slots, NULL, memory_order_relaxed);
    m->count = m->used = 0;
}

struct lv_ptrmap_entry *lv_ptrmap_get(const struct lv_ptrmap *m, struct lv_bytes key, uint64_t hash)
{
    struct lv_ptrmap_slots *s = atomic_load_explicit(&m->slots, memory_order_acquire);

    if (s == NULL)
        return NULL;
    for (size_t i = hash & s->mask;; i = (i + 1) & s->mask) {
        struct lv_ptrmap_entry *e = atomic_load_explicit(&s->at[i], memory_order_acquire);
        if (e == NULL)
            return NULL;
        if (e != &tombstone && e->hash == hash && lv_bytes_eq(e->key, key))
            return e;
    }
}

static void place(struct lv_ptrmap_slots *s, struct lv_ptrmap_entry *e)
{
    size_t i = e->hash & s->mask;

    while (atomic_load_explicit(&s->at[i], memory_order_relaxed) != NULL)
        i = (i + 1) & s->mask;
    atomic_store_explicit(&s->at[i], e, memory_order_relaxed);
}

static enum lv_err resize(struct lv_ptrmap *m, size_t slots)
{
    struct lv_ptrmap_slots *old = atomic_load_explicit(&m->slots, memory_order_relaxed);
    struct lv_ptrmap_slots *new =
        lv_mem_zalloc(sizeof(*new) + slots * sizeof(new->at[0]), LV_TAG_BASE);

    if (new == NULL)
        return LV_ENOMEM;
    new->mask = slots - 1;
    for (size_t i = 0; old != NULL && i <= old->mask; i++) {
        struct lv_ptrmap_entry *e = atomic_load_explicit(&old->at[i], memory_order_relaxed);
        if (e != NULL && e != &tombstone)
            place(new, e);
    }
    atomic_store_explicit(&m->slots, new, memory_order_release);
    m->used = m->count;
    if (old != NULL)
        m->reclaim->retire(old, slots_free);
    return LV_OK;
}

enum lv_err lv_ptrmap_add(struct lv_ptrmap *m, struct lv_ptrmap_entry *e)
{
    struct lv_ptrmap_slots *s = atomic_load_explicit(&m->slots, memory_order_relaxed);

    if (s == NULL || (m->used + 1) * 4 > (s->mask + 1) * 3 ||
        (s->mask >= 64 && (m->count + 1) * 16 < s->mask)) {
        size_t slots = SLOTS_MIN;
        while (slots < (m->count + 1) * 2)
            slots *= 2;
        enum lv_err err = resize(m, slots);
        if (err != LV_OK)
            return err;
        s = atomic_load_explicit(&m->slots, memory_order_relaxed);
    }
    size_t i = e->hash & s->mask;
    struct lv_ptrmap_entry *there;
    while ((there = atomic_load_explicit(&s->at[i], memory_order_relaxed)) != NULL &&
           there != &tombstone)
        i = (i + 1) & s->mask;
    m->used += there == NULL;
    __atomic_store_n(&m->count, m->count + 1, __ATOMIC_RELAXED);
    atomic_store_explicit(&s->at[i], e, memory_order_release);
    return LV_OK;
}

void lv_ptrmap_remove(struct lv_ptrmap *m, struct lv_ptrmap_entry *e)
{
    struct lv_ptrmap_slots *s = atomic_load_explicit(&m->slots, memory_order_relaxed);

    if (s == NULL)
        return;
    for (size_t i = e->hash & s->mask;; i = (i + 1) & s->mask) {
        struct lv_ptrmap_entry *there = atomic_load_explicit(&s->at[i], memory_order_relaxed);
        if (there == NULL)
            return;
        if (there == e) {
            atomic_store_explicit(&s->at[i], &tombstone, memory_order_release);
            break;
        }
    }
    __atomic_store_n(&m->count, m->count - 1, __ATOMIC_RELAXED);
}

struct lv_ptrmap_walk lv_ptrmap_walk(const struct lv_ptrmap *m)
{
    return (struct lv_ptrmap_walk){
        .slots = atomic_load_explicit(&m->slots, memory_order_acquire),
    };
}

struct lv_ptrmap_entry *lv_ptrmap_walk_next(struct lv_ptrmap_walk *w)
{
    while (w->slots != NULL && w->pos <= w->slots->mask) {
        struct lv_ptrmap_entry *e =
            atomic_load_explicit(&w->slots->at[w->pos++], memory_order_acquire);
        if (e != NULL && e != &tombstone)
            return e;
    }
    return NULL;
}

struct lv_ptrmap_entry *lv_ptrmap_next(const struct lv_ptrmap *m, size_t *pos)
{
    struct lv_ptrmap_walk w = lv_ptrmap_walk(m);

    w.pos = *pos;
    struct lv_ptrmap_entry *e = lv_ptrmap_walk_next(&w);
    *pos = w.pos;
    return e;
}
