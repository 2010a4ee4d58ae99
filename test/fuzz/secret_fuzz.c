/* password_hash of definitions: u8 algorithm, text. What is taken in goes out as the same text, costs no more than allowed,
 * and is nobody's empty password. Base64 on the way: one text for one value. */
#include "security/base64.h"
#include "security/password.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_base64(struct lv_bytes text)
{
    uint8_t *bytes = malloc(text.len + 1), *back = malloc(text.len + 4);
    struct lv_wr w = lv_wr(bytes, text.len + 1), b = lv_wr(back, text.len + 4);

    LV_ASSERT(bytes != NULL && back != NULL);
    if (lv_base64_decode(&w, text) == LV_OK) {
        lv_base64_encode(&b, lv_bytes(bytes, w.used));
        LV_ASSERT(lv_bytes_eq(lv_bytes(back, b.used), text));
    }
    free(bytes);
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lv_rd r = lv_rd(lv_bytes(data, size));
    enum lv_hash_algorithm algorithm = (enum lv_hash_algorithm)(lv_rd_u8(&r) % LV_HASH_COUNT);
    struct lv_bytes text = lv_rd_bytes(&r, lv_rd_left(&r));
    struct lv_password_hash h;
    char back[LV_HASH_TEXT_MAX];

    try_base64(text);
    if (lv_password_import(text, lv_bytes_str(lv_hash_algorithm_name(algorithm)), &h) != LV_OK)
        return 0;
    struct lv_bytes hash = lv_bytes(h.bytes, h.len);
    LV_ASSERT(lv_hash_is_sound(h.algorithm, hash));
    lv_password_export(h.algorithm, hash, back);
    LV_ASSERT(lv_bytes_eq(lv_bytes_str(back), text));
    LV_ASSERT(lv_password_verify(h.algorithm, hash, lv_bytes(NULL, 0)) == LV_EREFUSED);
    if (h.algorithm != LV_HASH_ARGON2ID)
        LV_ASSERT(lv_password_verify(h.algorithm, hash, LV_BYTES_LIT("x")) == LV_EREFUSED);
    return 0;
}
