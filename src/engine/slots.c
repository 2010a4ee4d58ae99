#include "engine/slots_priv.h"

#include "base/mem.h"
#include "engine/queue.h"

static enum lv_err grow(struct lv_slots *s)
{
    unsigned k = s->count;

    if (k == LV_SLOT_CHUNKS_MAX)
        return LV_ENOMEM;
    struct lv_slot_chunk **chunks =
        lv_mem_realloc(s->chunks, (k + 1) * sizeof(struct lv_slot_chunk *), LV_TAG_QUEUE);
    if (chunks == NULL)
        return LV_ENOMEM;
    s->chunks = chunks;
    struct lv_slot_chunk *chunk =
        lv_mem_alloc(sizeof(*chunk) + (size_t)lv_slot_chunk_cap(k) * sizeof(chunk->slots[0]),
                     LV_TAG_QUEUE);
    if (chunk == NULL)
        return LV_ENOMEM;
    chunk->used = chunk->fresh = 0;
    chunk->free = LV_SLOT_NONE;
    chunks[k] = chunk;
    s->count++;
    s->room |= 1u << k;
    return LV_OK;
}

/* The highest chunk goes when it is empty and those below could take as much again as they hold: a
 * queue that swings around a boundary does not pay for it each time. The first chunk stays with a
 * queue that was in use. */
static void shrink(struct lv_slots *s)
{
    while (s->count > 1) {
        unsigned k = s->count - 1;
        if (s->used > lv_slot_chunk_base(k) / 2 || s->chunks[k]->used != 0)
            return;
        lv_mem_free(s->chunks[k], LV_TAG_QUEUE);
        s->room &= ~(1u << k);
        s->count--;
    }
}

uint32_t lv_slots_take(struct lv_slots *s, struct lv_entry e)
{
    if (LV_UNLIKELY(s->room == 0) && grow(s) != LV_OK)
        return LV_SLOT_NONE;
    unsigned k = (unsigned)__builtin_ctz(s->room);
    struct lv_slot_chunk *chunk = s->chunks[k];
    uint32_t i = chunk->free;
    if (i != LV_SLOT_NONE)
        chunk->free = chunk->slots[i].next;
    else
        i = chunk->fresh++;
    chunk->slots[i] = (struct lv_slot){
        .entry = e,
        .child = lv_entry_is_here(&e) ? e.msg->body_len : 0,
        .next = LV_SLOT_UNSETTLED,
    };
    s->used++;
    if (++chunk->used == lv_slot_chunk_cap(k))
        s->room &= ~(1u << k);
    return lv_slot_chunk_base(k) + i;
}

void lv_slots_drop(struct lv_slots *s, uint32_t number)
{
    unsigned k = lv_slot_chunk_of(number);
    struct lv_slot_chunk *chunk = s->chunks[k];
    uint32_t i = number - lv_slot_chunk_base(k);

    chunk->slots[i].entry.place = 0;
    chunk->slots[i].next = chunk->free;
    chunk->free = i;
    chunk->used--;
    s->used--;
    s->room |= 1u << k;
    shrink(s);
}

void lv_slots_fini(struct lv_slots *s)
{
    for (unsigned k = 0; k < s->count; k++) {
        struct lv_slot_chunk *chunk = s->chunks[k];
        for (uint32_t i = 0; chunk->used != 0; i++) {
            struct lv_entry *e = &chunk->slots[i].entry;
            if (e->place == 0)
                continue;
            if (lv_entry_is_here(e))
                lv_msg_unref(e->msg);
            chunk->used--;
        }
        lv_mem_free(chunk, LV_TAG_QUEUE);
    }
    lv_mem_free(s->chunks, LV_TAG_QUEUE);
    *s = (struct lv_slots){ 0 };
}
