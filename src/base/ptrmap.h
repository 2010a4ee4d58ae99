/* base/ptrmap.h - open-addressing hash table of pointers; one writer, readers on any thread without a lock.
 *
 * An entry is any object that begins with struct lv_ptrmap_entry: the map keeps pointers only, and compares
 * keys by (hash, bytes). Readers may run at the same time as the writer: they see an entry wholly or not
 * at all. What the writer takes out must be freed through the reclaimer by the caller; the map retires its
 * own arrays itself.
 * Owner    one writer thread for add/remove/free; lv_ptrmap_get and iteration from any registered reader.
 * Bounds   grows with its entries (load at most 3/4); an add shrinks it when it is under 1/16 full. Amortised O(1).
 */
#ifndef LV_BASE_PTRMAP_H
#define LV_BASE_PTRMAP_H
#include <stdatomic.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/reclaim.h"

struct lv_ptrmap_entry {
    uint64_t hash;       /* lv_hash(key, 0) */
    struct lv_bytes key; /* views memory that lives as long as the entry */
};

struct lv_ptrmap_slots;

struct lv_ptrmap {
    _Atomic(struct lv_ptrmap_slots *) slots;
    const struct lv_reclaim *reclaim; /* borrows, for the map's life */
    size_t count;                     /* entries; lv_ptrmap_count for all but the writer */
    size_t used;                      /* entries and tombstones */
};

/* An empty map without memory of its own. */
void lv_ptrmap_init(struct lv_ptrmap *m, const struct lv_reclaim *reclaim);
/* Frees the arrays, not the entries. No reader may be left. */
void lv_ptrmap_fini(struct lv_ptrmap *m);
/* Entry whose key equals `key` and whose hash is `hash`, or NULL. Any thread, under its read-side rule. */
struct lv_ptrmap_entry *lv_ptrmap_get(const struct lv_ptrmap *m, struct lv_bytes key, uint64_t hash);
/* Adds `e` (borrows it until removed); its key must not be present. LV_ENOMEM: unchanged. */
enum lv_err lv_ptrmap_add(struct lv_ptrmap *m, struct lv_ptrmap_entry *e) LV_MUST_USE;
/* Takes out exactly the pointer `e`; does nothing when it is not there. Never fails. */
void lv_ptrmap_remove(struct lv_ptrmap *m, struct lv_ptrmap_entry *e);
/* Steps through all entries: start with *pos = 0; NULL at the end. The writer may remove what it was handed. Another thread
 * that walks while the map grows may meet some twice, while it shrinks may miss some. */
struct lv_ptrmap_entry *lv_ptrmap_next(const struct lv_ptrmap *m, size_t *pos);
/* The same within one read-side section: each entry that is there all the time is met once. */
struct lv_ptrmap_walk {
    const struct lv_ptrmap_slots *slots;
    size_t pos;
};
struct lv_ptrmap_walk lv_ptrmap_walk(const struct lv_ptrmap *m);
struct lv_ptrmap_entry *lv_ptrmap_walk_next(struct lv_ptrmap_walk *w);
/* How many entries there are; momentary. Any thread. */
static inline size_t lv_ptrmap_count(const struct lv_ptrmap *m)
{
    return __atomic_load_n(&m->count, __ATOMIC_RELAXED);
}

#endif
