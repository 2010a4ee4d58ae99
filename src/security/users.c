#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/limits.h"
#include "os/os.h"
#include "security/security.h"

#define PASSWORD_MAX 1024u /* longer ones are refused before they are hashed */

static void hash_password(const uint8_t salt[LV_SALT_BYTES], struct lv_bytes password,
                          uint8_t out[LV_HASH_BYTES])
{
    uint8_t text[LV_SALT_BYTES + PASSWORD_MAX];
    size_t len = LV_MIN(password.len, PASSWORD_MAX);

    memcpy(text, salt, LV_SALT_BYTES);
    if (len != 0)
        memcpy(text + LV_SALT_BYTES, password.ptr, len);
    SHA256(text, LV_SALT_BYTES + len, out);
    OPENSSL_cleanse(text, sizeof(text));
}

enum lv_err lv_users_init(struct lv_users *users, const struct lv_settings *settings)
{
    enum lv_err err = lv_os_random(users->salt, sizeof(users->salt));

    if (err != LV_OK)
        return err;
    users->name = lv_bytes_str(settings->default_user);
    hash_password(users->salt, lv_bytes_str(settings->default_pass), users->hash);
    return LV_OK;
}

enum lv_login lv_users_login(const struct lv_users *users, struct lv_bytes name,
                             struct lv_bytes password, bool from_loopback)
{
    uint8_t hash[LV_HASH_BYTES];
    bool is_known = lv_bytes_eq(name, users->name);

    /* The hash is made and compared for unknown names too: time tells nothing. */
    hash_password(users->salt, password, hash);
    bool is_right = CRYPTO_memcmp(hash, users->hash, sizeof(hash)) == 0;
    if (!is_known || !is_right || password.len == 0 || password.len > PASSWORD_MAX)
        return LV_LOGIN_REFUSED;
    return from_loopback ? LV_LOGIN_OK : LV_LOGIN_LOOPBACK_ONLY;
}

enum lv_login lv_users_anonymous(const struct lv_users *users, bool from_loopback,
                                 struct lv_bytes *name)
{
    *name = users->name;
    return from_loopback ? LV_LOGIN_OK : LV_LOGIN_LOOPBACK_ONLY;
}
