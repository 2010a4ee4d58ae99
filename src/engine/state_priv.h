/* engine/state_priv.h - the layout of a state record (docs/formats/messages.md). */
#ifndef LV_ENGINE_STATE_PRIV_H
#define LV_ENGINE_STATE_PRIV_H
#include "engine/entry_priv.h"

#define LV_STATE_HEAD 40u /* id, part, is last, LSN of the part before, seq_next, handed */
#define LV_STATE_RUN_HEAD 8u
#define LV_STATE_PAGE_BYTES 32u
enum lv_state_run { LV_STATE_ENTRIES = 1, LV_STATE_PAGE = 2, LV_STATE_COUNTS = 3 };

struct lv_state_head {
    uint64_t id, before, seq_next, handed;
    uint32_t part;
    bool is_last;
};
/* A page of a queue, as its state tells. */
struct lv_state_page {
    uint64_t place, first, last, bytes;
    uint32_t count;
};

#endif
