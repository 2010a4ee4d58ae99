/* engine/ready_priv.h - the ready messages that were never handed out: a list of chunks.
 *
 * Orders only grow from head to tail. The first chunks are small, so that a short queue costs little; an empty list owns
 * no chunk. From some place on messages may be away, in the log only: `here` of them lead, and are in memory; the
 * cursor stands at the first one that is not. A chunk behind the cursor may be away as a whole: a page in the wal, and a
 * stub of it here.
 */
#ifndef LV_ENGINE_READY_PRIV_H
#define LV_ENGINE_READY_PRIV_H
#include "engine/entry_priv.h"
#include "engine/page_priv.h"

struct lv_ready_chunk {
    struct lv_ready_chunk *next; /* towards the tail */
    uint32_t cap;                /* entries there is room for; of a page: how many it has */
    bool is_page;                /* see lv_page_stub */
    struct lv_entry entries[];
};

/* A page's stub has room for two entries, used so: */
static inline uint64_t *lv_page_place(struct lv_ready_chunk *c)
{
    return &c->entries[0].place;
}
static inline uint64_t *lv_page_first(struct lv_ready_chunk *c)
{
    return &c->entries[0].order;
}
static inline uint64_t *lv_page_bytes(struct lv_ready_chunk *c)
{
    return &c->entries[1].place;
}
static inline uint64_t *lv_page_last(struct lv_ready_chunk *c)
{
    return &c->entries[1].order;
}

struct lv_ready {
    struct lv_ready_chunk *first, *last; /* NULL when empty */
    struct lv_ready_chunk *before_last;  /* NULL: last is the first */
    uint32_t head;                       /* of `first`: the oldest entry */
    uint32_t tail;                       /* of `last`: behind the newest entry */
    uint64_t count, here;
    struct lv_ready_chunk *cursor; /* NULL: all are here */
    uint32_t cursor_at;
};

/* Room for one more entry: a push cannot fail then. LV_ENOMEM: nothing changed. */
enum lv_err lv_ready_grow(struct lv_ready *r) LV_MUST_USE;
/* Frees the first chunk, whose entries are all gone. */
void lv_ready_shrink(struct lv_ready *r);
/* Drops all references and all memory. */
void lv_ready_clear(struct lv_ready *r);
/* Drops what stands at the head, which is away: one entry, or a page; returns how many messages. */
uint32_t lv_ready_skip(struct lv_ready *r);
/* Where the entries of a chunk begin and end. */
static inline uint32_t lv_ready_from(const struct lv_ready *r, const struct lv_ready_chunk *c)
{
    return c == r->first ? r->head : 0;
}
static inline uint32_t lv_ready_to(const struct lv_ready *r, const struct lv_ready_chunk *c)
{
    return c == r->last ? r->tail : c->cap;
}
/* The entry at the cursor is here now; the cursor goes on. */
void lv_ready_arrived(struct lv_ready *r);
/* A chunk for `cap` entries; NULL: no memory. */
struct lv_ready_chunk *lv_ready_chunk_new(uint32_t cap, bool is_page) LV_MUST_USE;
/* `now` stands where `old` stood, which is freed. */
void lv_ready_replace(struct lv_ready *r, struct lv_ready_chunk *old, struct lv_ready_chunk *now);
/* Appends a whole chunk (a page, or full), as recovery does. Takes it. */
void lv_ready_add_chunk(struct lv_ready *r, struct lv_ready_chunk *chunk);

static inline LV_MUST_USE enum lv_err lv_ready_reserve(struct lv_ready *r)
{
    return LV_UNLIKELY(r->last == NULL || r->tail == r->last->cap) ? lv_ready_grow(r) : LV_OK;
}

/* Takes the reference in `e`; there is room. */
static inline void lv_ready_put(struct lv_ready *r, struct lv_entry e)
{
    if (LV_LIKELY(lv_entry_is_here(&e))) {
        r->here++;
    } else if (r->cursor == NULL) {
        r->cursor = r->last;
        r->cursor_at = r->tail;
    }
    r->last->entries[r->tail++] = e;
    r->count++;
}

/* Takes the reference in `e` on LV_OK. LV_ENOMEM: nothing changed. */
static inline LV_MUST_USE enum lv_err lv_ready_push(struct lv_ready *r, struct lv_entry e)
{
    enum lv_err err = lv_ready_reserve(r);

    if (err == LV_OK)
        lv_ready_put(r, e);
    return err;
}

/* The oldest entry; there must be one, and here. It stays. */
static inline struct lv_entry lv_ready_peek(const struct lv_ready *r)
{
    return r->first->entries[r->head];
}

/* Removes the oldest entry; there must be one, and here. Its reference is the caller's. A message a few
 * places on is fetched meanwhile: in a long queue it has been out of the cache for long. What
 * stands behind the tail is not a pointer, but only a hint is made of it. */
static inline struct lv_entry lv_ready_pop(struct lv_ready *r)
{
    struct lv_entry e = lv_ready_peek(r);

    __builtin_prefetch(r->first->entries[LV_MIN(r->head + 6, r->first->cap - 1)].msg, 1);
    r->head++;
    r->count--;
    r->here--;
    if (LV_UNLIKELY(r->count == 0 || r->head == r->first->cap))
        lv_ready_shrink(r);
    return e;
}

#endif
