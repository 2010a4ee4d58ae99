/* base/handles.h - names for things that may die: a number that finds the thing, or finds out that it is gone.
 *
 * A handle is loop, index and generation in one u64; 0 is never one. It may be kept and sent anywhere; only the
 * table's owner can turn it into a pointer, and gets NULL when the thing was removed, whoever lives there now.
 * Owner   one thread. Lookup is two loads and a compare. Memory: 16 bytes an entry at the table's widest.
 */
#ifndef LV_BASE_HANDLES_H
#define LV_BASE_HANDLES_H
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef uint64_t lv_handle; /* generation 32, index 24, loop 8 */

#define LV_HANDLES_MAX (1u << 24)

struct lv_handle_cell {
    void *ptr;     /* NULL: free */
    uint32_t gen;  /* of the present or the next tenant, never 0 */
    uint32_t next; /* free cells: the next one */
};

struct lv_handles {
    struct lv_handle_cell *cells;
    uint32_t count, cap, free_head, used;
    uint8_t loop;
};

static inline unsigned lv_handle_loop(lv_handle h)
{
    return (unsigned)(h & 0xFF);
}
static inline uint32_t lv_handle_index(lv_handle h)
{
    return (uint32_t)(h >> 8) & 0xFFFFFF;
}

void lv_handles_init(struct lv_handles *t, uint8_t loop);
void lv_handles_fini(struct lv_handles *t);
/* A name for `ptr` (borrows, not NULL). LV_ENOMEM, LV_EFULL. */
enum lv_err lv_handles_add(struct lv_handles *t, void *ptr, lv_handle *out) LV_MUST_USE;
/* `h` finds nothing from now on. Must be live. */
void lv_handles_remove(struct lv_handles *t, lv_handle h);
/* Steps through what is there: start with *pos = 0; NULL at the end. */
void *lv_handles_next(const struct lv_handles *t, uint32_t *pos);

static inline void *lv_handles_get(const struct lv_handles *t, lv_handle h)
{
    uint32_t i = lv_handle_index(h);

    return i < t->count && t->cells[i].gen == (uint32_t)(h >> 32) ? t->cells[i].ptr : NULL;
}

#endif
