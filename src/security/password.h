/* security/password.h - hashes of passwords: made, compared, and exchanged with RabbitMQ.
 *
 * New ones are Argon2id (RFC 9106). RabbitMQ's, salted MD5 (before 3.6), SHA-256 and SHA-512, are taken in, compared and
 * handed out, so that definitions can be exchanged.
 * Cost    making and comparing Argon2id takes some 20 ms and 19 MiB: never on a loop (verify.h).
 * Owner   none. Any thread.
 */
#ifndef LV_SECURITY_PASSWORD_H
#define LV_SECURITY_PASSWORD_H
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

/* LV_HASH(id, octet on disk, bytes of hash, name in definitions) */
#define LV_HASHES(X)                                       \
    X(NONE, 0, 0, "")                                      \
    X(MD5, 1, 4 + 16, "rabbit_password_hashing_md5")       \
    X(SHA256, 2, 4 + 32, "rabbit_password_hashing_sha256") \
    X(SHA512, 3, 4 + 64, "rabbit_password_hashing_sha512") \
    X(ARGON2ID, 4, 0, "leveret_password_hashing_argon2id")

enum lv_hash_algorithm {
#define X(id, octet, bytes, name) LV_HASH_##id = (octet),
    LV_HASHES(X)
#undef X
        LV_HASH_COUNT,
};

#define LV_PASSWORD_BYTES_MAX 1024u /* longer ones are refused before they are hashed */
#define LV_HASH_BYTES_MAX 192u      /* of any algorithm, as kept */
#define LV_HASH_TEXT_MAX 260u       /* as exported, NUL included */

/* Argon2id: what new hashes cost, and the most that an imported one may. */
#define LV_ARGON2_MEMORY_KIB 19456u
#define LV_ARGON2_PASSES 2u
#define LV_ARGON2_LANES 1u
#define LV_ARGON2_MEMORY_KIB_MAX 131072u
#define LV_ARGON2_PASSES_MAX 8u
#define LV_ARGON2_LANES_MAX 4u

/* A hash as it is kept: salt (4 bytes) and digest for RabbitMQ's, for Argon2id the text "$argon2id$v=19$m=..$salt$hash". */
struct lv_password_hash {
    enum lv_hash_algorithm algorithm;
    uint8_t len;
    uint8_t bytes[LV_HASH_BYTES_MAX];
};

/* Have these bytes the form of a hash of this algorithm, at a cost within bounds? */
bool lv_hash_is_sound(enum lv_hash_algorithm algorithm, struct lv_bytes hash);

/* Hashes with fresh salt. LV_EINVAL: empty, or longer than LV_PASSWORD_BYTES_MAX; LV_EIO: no randomness; LV_ENOMEM. */
enum lv_err lv_password_hash(enum lv_hash_algorithm algorithm, struct lv_bytes password,
                             struct lv_password_hash *out) LV_MUST_USE;
/* LV_OK: it is the password. LV_EREFUSED: it is not (always for an empty one, and with LV_HASH_NONE). LV_ENOMEM: cannot be
 * told. Compares in constant time. */
enum lv_err lv_password_verify(enum lv_hash_algorithm algorithm, struct lv_bytes hash,
                               struct lv_bytes password) LV_MUST_USE;

/* Algorithm of a name in definitions; without one (empty) RabbitMQ means MD5. LV_ENOTFOUND: no such. */
enum lv_err lv_hash_algorithm_of(struct lv_bytes name, enum lv_hash_algorithm *out) LV_MUST_USE;
/* Name in definitions, static. */
const char *lv_hash_algorithm_name(enum lv_hash_algorithm algorithm);
/* `text` is `password_hash` of definitions (base64, Argon2id as it is; empty: no password), `name` is
 * `hashing_algorithm`. LV_ENOTFOUND: no such algorithm; LV_EINVAL: not a hash of it. */
enum lv_err lv_password_import(struct lv_bytes text, struct lv_bytes name,
                               struct lv_password_hash *out) LV_MUST_USE;
/* The other way: NUL-terminated text in `out` (LV_HASH_TEXT_MAX bytes). */
void lv_password_export(enum lv_hash_algorithm algorithm, struct lv_bytes hash, char *out);

#endif
