#include "base/handles.h"

#include "base/assert.h"
#include "base/mem.h"

#define NO_CELL UINT32_MAX

void lv_handles_init(struct lv_handles *t, uint8_t loop)
{
    *t = (struct lv_handles){ .free_head = NO_CELL, .loop = loop };
}

void lv_handles_fini(struct lv_handles *t)
{
    lv_mem_free(t->cells, LV_TAG_BASE);
    t->cells = NULL;
    t->count = t->cap = t->used = 0;
}

static enum lv_err grow(struct lv_handles *t)
{
    uint32_t cap = t->cap != 0 ? t->cap * 2 : 16;

    if (t->cap >= LV_HANDLES_MAX)
        return LV_EFULL;
    struct lv_handle_cell *cells = lv_mem_realloc(t->cells, cap * sizeof(*cells), LV_TAG_BASE);
    if (cells == NULL)
        return LV_ENOMEM;
    t->cells = cells;
    t->cap = cap;
    return LV_OK;
}

enum lv_err lv_handles_add(struct lv_handles *t, void *ptr, lv_handle *out)
{
    uint32_t i = t->free_head;

    LV_ASSERT(ptr != NULL);
    if (i != NO_CELL) {
        t->free_head = t->cells[i].next;
    } else {
        if (t->count == t->cap) {
            enum lv_err err = grow(t);
            if (err != LV_OK)
                return err;
        }
        i = t->count++;
        t->cells[i].gen = 1;
    }
    t->cells[i].ptr = ptr;
    t->used++;
    *out = (uint64_t)t->cells[i].gen << 32 | (uint64_t)i << 8 | t->loop;
    return LV_OK;
}

void lv_handles_remove(struct lv_handles *t, lv_handle h)
{
    struct lv_handle_cell *cell = &t->cells[lv_handle_index(h)];

    LV_ASSERT(lv_handles_get(t, h) != NULL);
    cell->ptr = NULL;
    cell->gen = cell->gen == UINT32_MAX ? 1 : cell->gen + 1;
    cell->next = t->free_head;
    t->free_head = lv_handle_index(h);
    t->used--;
}

void *lv_handles_next(const struct lv_handles *t, uint32_t *pos)
{
    while (*pos < t->count) {
        void *ptr = t->cells[(*pos)++].ptr;
        if (ptr != NULL)
            return ptr;
    }
    return NULL;
}
