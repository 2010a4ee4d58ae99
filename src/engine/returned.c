#include "engine/returned_priv.h"

#include "engine/queue.h"

static void adopt(struct lv_slots *s, uint32_t parent, uint32_t child)
{
    struct lv_slot *p = lv_slot_at(s, parent);

    lv_slot_at(s, child)->next = p->child;
    p->child = child;
}

/* Two heaps become one; their roots' `next` is nobody's any more. */
static uint32_t meld(struct lv_slots *s, uint32_t a, uint32_t b)
{
    if (lv_slot_at(s, b)->entry.order < lv_slot_at(s, a)->entry.order) {
        adopt(s, b, a);
        return b;
    }
    adopt(s, a, b);
    return a;
}

/* The classic two passes: meld pairs from left to right, then all of them from right to left. */
static uint32_t meld_siblings(struct lv_slots *s, uint32_t first)
{
    uint32_t pairs = LV_SLOT_NONE; /* a stack through `next` */

    while (first != LV_SLOT_NONE) {
        uint32_t one = first, two = lv_slot_at(s, one)->next;
        first = LV_SLOT_NONE;
        if (two != LV_SLOT_NONE) {
            first = lv_slot_at(s, two)->next;
            one = meld(s, one, two);
        }
        lv_slot_at(s, one)->next = pairs;
        pairs = one;
    }
    uint32_t root = pairs;
    if (root == LV_SLOT_NONE)
        return root;
    pairs = lv_slot_at(s, root)->next;
    while (pairs != LV_SLOT_NONE) {
        uint32_t rest = lv_slot_at(s, pairs)->next;
        root = meld(s, root, pairs);
        pairs = rest;
    }
    lv_slot_at(s, root)->next = LV_SLOT_NONE;
    return root;
}

void lv_returned_push(struct lv_returned *r, struct lv_slots *s, uint32_t number)
{
    struct lv_slot *slot = lv_slot_at(s, number);

    slot->child = LV_SLOT_NONE;
    if (LV_UNLIKELY(r->is_list)) {
        slot->next = LV_SLOT_NONE;
        *(r->count++ == 0 ? &r->oldest : &lv_slot_at(s, r->newest)->next) = number;
        r->newest = number;
        return;
    }
    r->oldest = r->count == 0 ? number : meld(s, r->oldest, number);
    lv_slot_at(s, r->oldest)->next = LV_SLOT_NONE;
    r->count++;
}

uint32_t lv_returned_pop(struct lv_returned *r, struct lv_slots *s)
{
    uint32_t number = r->oldest;
    struct lv_slot *slot = lv_slot_at(s, number);

    r->oldest = r->is_list ? slot->next : meld_siblings(s, slot->child);
    r->count--;
    slot->next = LV_SLOT_UNSETTLED;
    return number;
}
