#include "security/base64.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void lv_base64_encode(struct lv_wr *out, struct lv_bytes in)
{
    for (size_t i = 0; i < in.len; i += 3) {
        size_t n = LV_MIN(in.len - i, 3);
        uint32_t bits = (uint32_t)in.ptr[i] << 16;
        if (n > 1)
            bits |= (uint32_t)in.ptr[i + 1] << 8;
        if (n > 2)
            bits |= in.ptr[i + 2];
        for (size_t k = 0; k < 4; k++)
            lv_wr_u8(out, k <= n ? (uint8_t)letters[bits >> (18 - 6 * k) & 63] : '=');
    }
}

static int value_of(uint8_t c)
{
    const char *at = c != 0 ? strchr(letters, c) : NULL;

    return at != NULL ? (int)(at - letters) : -1;
}

enum lv_err lv_base64_decode(struct lv_wr *out, struct lv_bytes text)
{
    if (text.len % 4 != 0)
        return LV_ESYNTAX;
    for (size_t i = 0; i < text.len; i += 4) {
        bool is_last = i + 4 == text.len;
        size_t pad = 0;
        uint32_t bits = 0;
        if (is_last && text.ptr[i + 3] == '=')
            pad = text.ptr[i + 2] == '=' ? 2 : 1;
        for (size_t k = 0; k < 4; k++) {
            int v = k < 4 - pad ? value_of(text.ptr[i + k]) : 0;
            if (v < 0)
                return LV_ESYNTAX;
            bits = bits << 6 | (uint32_t)v;
        }
        if ((pad == 1 && (bits & 0xFF) != 0) || (pad == 2 && (bits & 0xFFFF) != 0))
            return LV_ESYNTAX; /* one text for one hash */
        for (size_t k = 0; k < 3 - pad; k++)
            lv_wr_u8(out, (uint8_t)(bits >> (16 - 8 * k)));
    }
    return LV_OK;
}
