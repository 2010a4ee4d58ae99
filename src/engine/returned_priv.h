/* engine/returned_priv.h - messages that came back, the oldest first.
 *
 * A pairing heap whose nodes are the slots that the messages never left. All of them are older than
 * every message in the ready list, so they are served before it. Putting back costs a comparison
 * and cannot fail; taking the oldest costs O(log n), amortised. No recursion.
 */
#ifndef LV_ENGINE_RETURNED_PRIV_H
#define LV_ENGINE_RETURNED_PRIV_H
#include "engine/slots_priv.h"

struct lv_returned {
    uint32_t oldest; /* slot, or LV_SLOT_NONE; of a list: that came back first */
    uint32_t newest; /* of a list only */
    uint32_t count;
    bool is_list; /* in the order of their return, through `next` */
};

/* Puts an unsettled slot back. */
void lv_returned_push(struct lv_returned *r, struct lv_slots *s, uint32_t number);
/* Takes the slot of the oldest one; it is unsettled again. There must be one. */
uint32_t lv_returned_pop(struct lv_returned *r, struct lv_slots *s);

#endif
