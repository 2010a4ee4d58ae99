/* The first bytes of a proxied connection, in whatever pieces they come. What is taken is never more than is there, and a header
 * that comes in two pieces says what it says in one. */
#include "base/assert.h"
#include "loop/proxy_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lv_proxied whole, part;
    bool has, part_has;
    size_t own = lv_proxy_extent(lv_bytes(data, size));

    LV_ASSERT(own <= size);
    if (own == 0 || lv_proxy_parse(lv_bytes(data, own), &whole, &has) != LV_OK)
        return 0;
    LV_ASSERT(!has || whole.peer.ss_family == whole.local.ss_family);
    for (size_t n = 1; n < own; n++) {
        LV_ASSERT(lv_proxy_extent(lv_bytes(data, n)) == n);
        LV_ASSERT(lv_proxy_parse(lv_bytes(data, n), &part, &part_has) == LV_EMORE);
    }
    return 0;
}
