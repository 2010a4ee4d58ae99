#include "engine/ready_priv.h"

#include "base/mem.h"

/* With its head a chunk is 256 bytes, 1 KiB, 4 KiB or 16 KiB. */
enum { CAP_FIRST = 15, CAP_MAX = LV_PAGE_ENTRIES_MAX };

struct lv_ready_chunk *lv_ready_chunk_new(uint32_t cap, bool is_page)
{
    uint32_t room = is_page ? 2 : cap;
    struct lv_ready_chunk *chunk =
        lv_mem_alloc(sizeof(*chunk) + room * sizeof(chunk->entries[0]), LV_TAG_QUEUE);

    if (chunk == NULL)
        return NULL;
    chunk->next = NULL;
    chunk->cap = cap;
    chunk->is_page = is_page;
    return chunk;
}

static void append(struct lv_ready *r, struct lv_ready_chunk *chunk)
{
    if (r->last == NULL)
        r->first = chunk;
    else
        r->last->next = chunk;
    r->before_last = r->last;
    r->last = chunk;
}

enum lv_err lv_ready_grow(struct lv_ready *r)
{
    uint32_t cap = r->last == NULL ? CAP_FIRST : LV_MIN(r->last->cap * 4 + 3, CAP_MAX);
    struct lv_ready_chunk *chunk = lv_ready_chunk_new(cap, false);

    if (chunk == NULL)
        return LV_ENOMEM;
    append(r, chunk);
    r->tail = 0;
    return LV_OK;
}

void lv_ready_add_chunk(struct lv_ready *r, struct lv_ready_chunk *chunk)
{
    append(r, chunk);
    r->tail = chunk->cap;
    r->count += chunk->cap;
    if (r->cursor == NULL) {
        r->cursor = chunk;
        r->cursor_at = 0;
    }
}

void lv_ready_shrink(struct lv_ready *r)
{
    struct lv_ready_chunk *gone = r->first;

    /* An empty last chunk behind it was reserved and not used. */
    r->first = gone->next;
    r->head = 0;
    if (r->before_last == gone)
        r->before_last = NULL;
    if (r->first == NULL)
        r->last = NULL;
    lv_mem_free(gone, LV_TAG_QUEUE);
    if (r->count == 0 && r->first != NULL)
        lv_ready_shrink(r);
}

void lv_ready_arrived(struct lv_ready *r)
{
    r->here++;
    r->cursor_at++;
    if (r->here == r->count) {
        r->cursor = NULL;
    } else if (r->cursor_at == r->cursor->cap) {
        r->cursor = r->cursor->next;
        r->cursor_at = 0;
    }
}

void lv_ready_clear(struct lv_ready *r)
{
    struct lv_ready_chunk *next;

    for (struct lv_ready_chunk *c = r->first; c != NULL; c = next) {
        next = c->next;
        for (uint32_t i = lv_ready_from(r, c); !c->is_page && i < lv_ready_to(r, c); i++)
            if (lv_entry_is_here(&c->entries[i]))
                lv_msg_unref(c->entries[i].msg);
        lv_mem_free(c, LV_TAG_QUEUE);
    }
    *r = (struct lv_ready){ 0 };
}

uint32_t lv_ready_skip(struct lv_ready *r)
{
    uint32_t n = r->first->is_page ? r->first->cap : 1;

    LV_ASSERT(r->here == 0 && r->cursor == r->first && r->cursor_at == r->head);
    r->head += n;
    r->count -= n;
    r->cursor_at += n;
    if (r->count == 0) {
        r->cursor = NULL;
    } else if (r->cursor_at == r->cursor->cap) {
        r->cursor = r->cursor->next;
        r->cursor_at = 0;
    }
    if (r->count == 0 || r->head == r->first->cap)
        lv_ready_shrink(r);
    return n;
}

void lv_ready_replace(struct lv_ready *r, struct lv_ready_chunk *old, struct lv_ready_chunk *now)
{
    struct lv_ready_chunk **at = &r->first;

    while (*at != old)
        at = &(*at)->next;
    *at = now;
    now->next = old->next;
    if (r->last == old)
        r->last = now;
    if (r->before_last == old)
        r->before_last = now;
    if (r->cursor == old)
        r->cursor = now;
    lv_mem_free(old, LV_TAG_QUEUE);
}
