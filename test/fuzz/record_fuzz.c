/* Records of access control: u8 kind, u8 length of the key, key, value. What is decoded is within the bounds, is written
 * back to the same bytes, and is taken by the directory unless a pattern is none. */
#include "security/access.h"

#include <stdlib.h>

#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TRY(NAME, name)                                    \
    case LV_ACCESS_##NAME: {                               \
        struct lv_##name##_record r;                       \
        if (lv_##name##_decode(key, value, &r) != LV_OK) { \
            free(value_back);                              \
            return false;                                  \
        }                                                  \
        LV_ASSERT(lv_##name##_check(&r) == LV_OK);         \
        lv_##name##_key(&k, &r);                           \
        lv_##name##_value(&v, &r);                         \
        break;                                             \
    }

static bool try_decode(enum lv_access_kind kind, struct lv_bytes key, struct lv_bytes value)
{
    uint8_t key_back[LV_ACCESS_KEY_BYTES_MAX], *value_back = malloc(LV_ACCESS_VALUE_BYTES_MAX);
    struct lv_wr k = lv_wr(key_back, sizeof(key_back));
    struct lv_wr v = lv_wr(value_back, LV_ACCESS_VALUE_BYTES_MAX);

    LV_ASSERT(value_back != NULL);
    switch (kind) {
        LV_ACCESS_KINDS(TRY)
    case LV_ACCESS_KIND_COUNT:
        break;
    }
    LV_ASSERT(lv_wr_ok(&k) && lv_bytes_eq(lv_bytes(key_back, k.used), key));
    LV_ASSERT(lv_wr_ok(&v) && lv_bytes_eq(lv_bytes(value_back, v.used), value));
    free(value_back);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lv_rd r = lv_rd(lv_bytes(data, size));
    enum lv_access_kind kind = (enum lv_access_kind)(lv_rd_u8(&r) % LV_ACCESS_KIND_COUNT);
    struct lv_bytes key = lv_rd_short(&r), value = lv_rd_bytes(&r, lv_rd_left(&r));
    struct lv_access *a;

    bool is_good = try_decode(kind, key, value);
    LV_ASSERT(lv_access_new(&lv_reclaim_now, &a) == LV_OK);
    enum lv_err err = lv_access_put(a, kind, key, value);
    LV_ASSERT(is_good ? err == LV_OK || err == LV_EINVAL : err == LV_ECORRUPT || err == LV_EVERSION);
    lv_access_remove(a, kind, key);
    LV_ASSERT(lv_access_count(a, kind) == 0);
    lv_access_free(a);
    LV_ASSERT(lv_mem_used(LV_TAG_SECURITY) == 0);
    return 0;
}
