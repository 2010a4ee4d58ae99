/* engine/rescue_priv.h - a page that cannot be read, put together again from the records of its messages.
 *
 * A page only says again what the log said before: which messages of a queue, one behind the other, wait, and where they
 * stand. So the records from the oldest file up to the page tell what was in it. That reads the whole log up to there;
 * it happens only when a page is damaged. */
#ifndef LV_ENGINE_RESCUE_PRIV_H
#define LV_ENGINE_RESCUE_PRIV_H
#include "engine/load.h"

/* Up to `want->count` entries in order; the caller frees them (LV_TAG_STORE). *count may be less: the records of some
 * are damaged too. LV_ECORRUPT: none is left, or it cannot be told which they were. LV_ENOMEM, LV_EIO. Any thread. */
enum lv_err lv_page_rescue(struct lv_wal *wal, const struct lv_load_page *want,
                           struct lv_entry **entries, uint32_t *count) LV_MUST_USE;

#endif
