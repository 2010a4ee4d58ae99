/* Raw properties: what decodes is written again to the byte, but for the two flags that mean nothing. */
#include "base/props.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lv_props props;

    if (lv_props_decode(lv_bytes(data, size), &props) != LV_OK)
        return 0;
    uint8_t *again = malloc(size);
    struct lv_wr w = lv_wr(again, size);

    LV_ASSERT(again != NULL);
    lv_props_write(&w, &props);
    LV_ASSERT(w.used == size);
    LV_ASSERT(lv_be16(again) == (lv_be16(data) & LV_PROP_ALL));
    LV_ASSERT(size == 2 || memcmp(again + 2, data + 2, size - 2) == 0);
    free(again);
    return 0;
}
