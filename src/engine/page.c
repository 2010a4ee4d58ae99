#include "base/mem.h"
#include "engine/page_priv.h"

size_t lv_page_write(uint8_t *out, uint64_t id, const struct lv_entry *entries, uint32_t count)
{
    struct lv_wr w = lv_wr(out, LV_PAGE_BYTES_MAX);

    lv_wr_u64(&w, id);
    lv_wr_u32(&w, count);
    for (uint32_t i = 0; i < count; i++) {
        lv_wr_u64(&w, lv_entry_place(&entries[i]));
        lv_wr_u64(&w, entries[i].order);
    }
    return w.used;
}

enum lv_err lv_page_parse(struct lv_bytes payload, uint64_t *id, struct lv_entry **entries,
                          uint32_t *count)
{
    struct lv_rd r = lv_rd(payload);
    uint64_t queue = lv_rd_u64(&r), last = 0;

    *count = lv_rd_u32(&r);
    *entries = NULL;
    if (id != NULL)
        *id = queue;
    if (r.bad || *count == 0 || *count > LV_PAGE_ENTRIES_MAX || lv_rd_left(&r) != *count * 16u)
        return LV_ECORRUPT;
    struct lv_entry *e = lv_mem_alloc(*count * sizeof(*e), LV_TAG_STORE);
    if (e == NULL)
        return LV_ENOMEM;
    for (uint32_t i = 0; i < *count; i++) {
        e[i].place = lv_rd_u64(&r);
        e[i].order = lv_rd_u64(&r);
        if ((e[i].place & LV_PLACE_IN_LOG) == 0 || !lv_entry_is_logged(&e[i]) ||
            (i != 0 && e[i].order <= last)) {
            lv_mem_free(e, LV_TAG_STORE);
            return LV_ECORRUPT;
        }
        last = e[i].order;
    }
    *entries = e;
    return LV_OK;
}
