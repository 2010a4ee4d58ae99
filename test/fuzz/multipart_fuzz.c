/* A content type, a NUL, a body: a view of the body, or a reason why not. */
#include <string.h>

#include "manage/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size != 0 ? memchr(data, 0, size) : NULL;
    struct lv_bytes out;

    if (nul == NULL)
        return 0;
    struct lv_bytes type = lv_bytes(data, (size_t)(nul - data));
    struct lv_bytes body = lv_bytes(nul + 1, size - type.len - 1);
    if (lv_multipart_field(type, body, "file", &out) != LV_OK)
        return 0;
    LV_ASSERT(out.ptr >= body.ptr && out.ptr + out.len <= body.ptr + body.len);
    return 0;
}
