#include "security/password.h"

#include <argon2.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "os/os.h"
#include "security/base64.h"

#define SALT_BYTES 4u /* RabbitMQ's */
#define ARGON2_SALT_BYTES 16u
#define ARGON2_HASH_BYTES 32u

static const struct algorithm {
    const char *name;
    uint8_t bytes; /* salt and digest of RabbitMQ's */
} algorithms[LV_HASH_COUNT] = {
#define X(id, octet, size, text) [LV_HASH_##id] = { text, size },
    LV_HASHES(X)
#undef X
};

/* ---- Argon2id's text form ---- */

/* Decimal without sign, blanks or leading zeros, up to `max`. */
static bool take_number(struct lv_rd *r, uint32_t max, uint32_t *out)
{
    uint64_t n = 0;
    const uint8_t *first = r->at;

    while (lv_rd_left(r) != 0 && *r->at >= '0' && *r->at <= '9' && n <= max)
        n = n * 10 + (uint64_t)(*r->at++ - '0');
    *out = (uint32_t)n;
    return r->at != first && *first != '0' && n <= max;
}

static bool take_text(struct lv_rd *r, const char *text)
{
    struct lv_bytes want = lv_bytes_str(text);

    return lv_rd_left(r) >= want.len && lv_bytes_eq(lv_rd_bytes(r, want.len), want);
}

/* Unpadded base64 of at least `min` bytes, up to `end` or the end of all. */
static bool take_base64(struct lv_rd *r, size_t min)
{
    const uint8_t *first = r->at;

    while (lv_rd_left(r) != 0 && *r->at != '$') {
        uint8_t c = *r->at;
        bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                         (c >= '0' && c <= '9') || c == '+' || c == '/';
        if (!is_letter)
            return false;
        r->at++;
    }
    size_t len = (size_t)(r->at - first);
    return len % 4 != 1 && len * 3 / 4 >= min;
}

/* The library would take any cost that fits in 32 bits; what an import asks for must be bounded before it is asked. */
static bool is_sound_argon2(struct lv_bytes hash)
{
    struct lv_rd r = lv_rd(hash);
    uint32_t memory, passes, lanes;

    return hash.len < LV_HASH_BYTES_MAX && take_text(&r, "$argon2id$v=19$m=") &&
           take_number(&r, LV_ARGON2_MEMORY_KIB_MAX, &memory) && take_text(&r, ",t=") &&
           take_number(&r, LV_ARGON2_PASSES_MAX, &passes) && take_text(&r, ",p=") &&
           take_number(&r, LV_ARGON2_LANES_MAX, &lanes) && memory >= 8 * lanes &&
           take_text(&r, "$") && take_base64(&r, 8) && take_text(&r, "$") && take_base64(&r, 16) &&
           lv_rd_left(&r) == 0;
}

static enum lv_err verify_argon2(struct lv_bytes hash, struct lv_bytes password)
{
    char text[LV_HASH_BYTES_MAX];

    if (!is_sound_argon2(hash))
        return LV_EREFUSED;
    memcpy(text, hash.ptr, hash.len);
    text[hash.len] = '\0';
    switch (argon2id_verify(text, password.ptr, password.len)) {
    case ARGON2_OK:
        return LV_OK;
    case ARGON2_MEMORY_ALLOCATION_ERROR:
    case ARGON2_THREAD_FAIL:
        return LV_ENOMEM;
    default:
        return LV_EREFUSED;
    }
}

static enum lv_err hash_argon2(struct lv_bytes password, struct lv_password_hash *out)
{
    uint8_t salt[ARGON2_SALT_BYTES];
    char text[LV_HASH_BYTES_MAX];
    enum lv_err err = lv_os_random(salt, sizeof(salt));

    if (err != LV_OK)
        return err;
    int code = argon2id_hash_encoded(LV_ARGON2_PASSES, LV_ARGON2_MEMORY_KIB, LV_ARGON2_LANES,
                                     password.ptr, password.len, salt, sizeof(salt),
                                     ARGON2_HASH_BYTES, text, sizeof(text));
    if (code != ARGON2_OK)
        return LV_ENOMEM;
    out->len = (uint8_t)strlen(text);
    memcpy(out->bytes, text, out->len);
    return LV_OK;
}

/* ---- RabbitMQ's: digest of salt and password ---- */

static const EVP_MD *digest_of(enum lv_hash_algorithm algorithm)
{
    return algorithm == LV_HASH_MD5      ? EVP_md5()
           : algorithm == LV_HASH_SHA256 ? EVP_sha256()
                                         : EVP_sha512();
}

/* false: libcrypto does not do this one (MD5 under FIPS). */
static bool salted(enum lv_hash_algorithm algorithm, const uint8_t salt[SALT_BYTES],
                   struct lv_bytes password, uint8_t *out)
{
    uint8_t text[SALT_BYTES + LV_PASSWORD_BYTES_MAX];

    memcpy(text, salt, SALT_BYTES);
    memcpy(text + SALT_BYTES, password.ptr, password.len);
    int ok = EVP_Digest(text, SALT_BYTES + password.len, out, NULL, digest_of(algorithm), NULL);
    OPENSSL_cleanse(text, sizeof(text));
    return ok == 1;
}

/* ---- all ---- */

static bool is_password(struct lv_bytes password)
{
    return password.len != 0 && password.len <= LV_PASSWORD_BYTES_MAX;
}

bool lv_hash_is_sound(enum lv_hash_algorithm algorithm, struct lv_bytes hash)
{
    if (algorithm == LV_HASH_ARGON2ID)
        return is_sound_argon2(hash);
    return algorithm < LV_HASH_COUNT && hash.len == algorithms[algorithm].bytes;
}

enum lv_err lv_password_hash(enum lv_hash_algorithm algorithm, struct lv_bytes password,
                             struct lv_password_hash *out)
{
    *out = (struct lv_password_hash){ .algorithm = algorithm };
    if (!is_password(password) || algorithm == LV_HASH_NONE)
        return LV_EINVAL;
    if (algorithm == LV_HASH_ARGON2ID)
        return hash_argon2(password, out);
    enum lv_err err = lv_os_random(out->bytes, SALT_BYTES);
    if (err != LV_OK)
        return err;
    out->len = algorithms[algorithm].bytes;
    return salted(algorithm, out->bytes, password, out->bytes + SALT_BYTES) ? LV_OK : LV_EIO;
}

enum lv_err lv_password_verify(enum lv_hash_algorithm algorithm, struct lv_bytes hash,
                               struct lv_bytes password)
{
    uint8_t digest[EVP_MAX_MD_SIZE];

    if (!is_password(password) || algorithm == LV_HASH_NONE)
        return LV_EREFUSED;
    if (algorithm == LV_HASH_ARGON2ID)
        return verify_argon2(hash, password);
    if (!lv_hash_is_sound(algorithm, hash) || !salted(algorithm, hash.ptr, password, digest))
        return LV_EREFUSED;
    return CRYPTO_memcmp(digest, hash.ptr + SALT_BYTES, hash.len - SALT_BYTES) == 0 ? LV_OK
                                                                                    : LV_EREFUSED;
}

/* ---- definitions ---- */

enum lv_err lv_hash_algorithm_of(struct lv_bytes name, enum lv_hash_algorithm *out)
{
    *out = LV_HASH_MD5;
    if (name.len == 0)
        return LV_OK;
    for (unsigned i = LV_HASH_MD5; i < LV_HASH_COUNT; i++) {
        if (!lv_bytes_eq(name, lv_bytes_str(algorithms[i].name)))
            continue;
        *out = (enum lv_hash_algorithm)i;
        return LV_OK;
    }
    return LV_ENOTFOUND;
}

const char *lv_hash_algorithm_name(enum lv_hash_algorithm algorithm)
{
    LV_ASSERT(algorithm < LV_HASH_COUNT);
    return algorithms[algorithm].name;
}

enum lv_err lv_password_import(struct lv_bytes text, struct lv_bytes name,
                               struct lv_password_hash *out)
{
    enum lv_err err = lv_hash_algorithm_of(name, &out->algorithm);

    out->len = 0;
    if (err != LV_OK)
        return err;
    if (text.len == 0) {
        out->algorithm = LV_HASH_NONE;
        return LV_OK;
    }
    struct lv_wr w = lv_wr(out->bytes, sizeof(out->bytes));
    if (out->algorithm == LV_HASH_ARGON2ID)
        lv_wr_bytes(&w, text.ptr, text.len);
    else if (lv_base64_decode(&w, text) != LV_OK)
        return LV_EINVAL;
    if (!lv_wr_ok(&w) || !lv_hash_is_sound(out->algorithm, lv_bytes(out->bytes, w.used)))
        return LV_EINVAL;
    out->len = (uint8_t)w.used;
    return LV_OK;
}

void lv_password_export(enum lv_hash_algorithm algorithm, struct lv_bytes hash, char *out)
{
    struct lv_wr w = lv_wr(out, LV_HASH_TEXT_MAX - 1);

    if (algorithm == LV_HASH_ARGON2ID)
        lv_wr_bytes(&w, hash.ptr, hash.len);
    else
        lv_base64_encode(&w, hash);
    LV_ASSERT(lv_wr_ok(&w));
    out[w.used] = '\0';
}
