/* engine/entry_priv.h - a message at its place in a queue.
 *
 * The place is a sequence number given at publish; it is never given twice and never changes, so a
 * message that comes back finds its place again. The low bit of `order` says whether it was handed
 * out before: comparing orders compares places.
 */
#ifndef LV_ENGINE_ENTRY_PRIV_H
#define LV_ENGINE_ENTRY_PRIV_H
#include "engine/message.h"

struct lv_entry {
    struct lv_msg *msg; /* pins */
    uint64_t order;     /* sequence number * 2 + redelivered */
};

static inline bool lv_entry_is_redelivered(const struct lv_entry *e)
{
    return (e->order & 1) != 0;
}

#endif
