#include "engine/ready_priv.h"

#include "base/mem.h"

/* With its head a chunk is 256 bytes, 1 KiB or 4 KiB. */
enum { CAP_FIRST = 15, CAP_MAX = 255 };

enum lv_err lv_ready_grow(struct lv_ready *r)
{
    uint32_t cap = r->last == NULL ? CAP_FIRST : LV_MIN(r->last->cap * 4 + 3, CAP_MAX);
    struct lv_ready_chunk *chunk =
        lv_mem_alloc(sizeof(*chunk) + cap * sizeof(chunk->entries[0]), LV_TAG_QUEUE);

    if (chunk == NULL)
        return LV_ENOMEM;
    chunk->next = NULL;
    chunk->cap = cap;
    if (r->last == NULL)
        r->first = chunk;
    else
        r->last->next = chunk;
    r->last = chunk;
    r->tail = 0;
    return LV_OK;
}

void lv_ready_shrink(struct lv_ready *r)
{
    struct lv_ready_chunk *gone = r->first;

    LV_ASSERT((gone == r->last) == (r->count == 0));
    r->first = gone->next;
    r->head = 0;
    if (r->first == NULL)
        r->last = NULL;
    lv_mem_free(gone, LV_TAG_QUEUE);
}
