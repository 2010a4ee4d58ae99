#include "base/table.h"
#include "security/security.h"

enum lv_err lv_sasl_plain(struct lv_bytes response, struct lv_bytes *name, struct lv_bytes *password)
{
    const uint8_t *end = response.ptr + response.len;
    const uint8_t *first = response.len != 0 ? memchr(response.ptr, 0, response.len) : NULL;
    const uint8_t *second =
        first != NULL && first + 1 < end ? memchr(first + 1, 0, (size_t)(end - first - 1)) : NULL;

    if (second == NULL)
        return LV_ESYNTAX;
    *name = lv_bytes(first + 1, (size_t)(second - first - 1));
    *password = lv_bytes(second + 1, (size_t)(end - second - 1));
    return LV_OK;
}

enum lv_err lv_sasl_amqplain(struct lv_bytes response, struct lv_bytes *name,
                             struct lv_bytes *password)
{
    struct lv_value login, pass;

    if (lv_table_check(response) != LV_OK)
        return LV_ESYNTAX;
    if (!lv_table_find(response, LV_BYTES_LIT("LOGIN"), &login) ||
        !lv_table_find(response, LV_BYTES_LIT("PASSWORD"), &pass))
        return LV_ENOTFOUND;
    if (login.kind != LV_KIND_STRING || pass.kind != LV_KIND_STRING)
        return LV_EINVAL;
    *name = login.bytes;
    *password = pass.bytes;
    return LV_OK;
}
