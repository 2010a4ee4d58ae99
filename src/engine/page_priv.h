/* engine/page_priv.h - entries of a queue as bytes: in a page record, and in a state record. */
#ifndef LV_ENGINE_PAGE_PRIV_H
#define LV_ENGINE_PAGE_PRIV_H
#include "engine/entry_priv.h"
#include "engine/load.h"

#define LV_PAGE_ENTRIES_MAX 1023u
#define LV_PAGE_HEAD 12u /* queue id, count */
#define LV_PAGE_BYTES_MAX (LV_PAGE_HEAD + LV_PAGE_ENTRIES_MAX * 16u)

/* Writes `entries` of queue `id` as a page's payload into `out` (LV_PAGE_BYTES_MAX); returns its bytes. Every entry is
 * logged. */
size_t lv_page_write(uint8_t *out, uint64_t id, const struct lv_entry *entries, uint32_t count);
/* The other way; `entries` is the caller's (LV_TAG_STORE). LV_ECORRUPT, LV_ENOMEM. */
enum lv_err lv_page_parse(struct lv_bytes payload, uint64_t *id, struct lv_entry **entries,
                          uint32_t *count) LV_MUST_USE;
/* Are these the entries that the page must hold? */
static inline bool lv_page_is(const struct lv_load_page *want, const struct lv_entry *entries,
                              uint32_t count)
{
    return count == want->count && entries[0].order == want->first &&
           entries[count - 1].order == want->last;
}

#endif
