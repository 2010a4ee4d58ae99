/* security/security.h - who may log in.
 *
 * Today: one user, from the settings, allowed from loopback only (RabbitMQ's rule for guest), its password kept as
 * RabbitMQ keeps it: four bytes of salt and SHA-256 of salt and password.
 * Owner   read-only after lv_users_init; any thread.
 */
#ifndef LV_SECURITY_SECURITY_H
#define LV_SECURITY_SECURITY_H
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "config/config.h"
#include "security/sasl.h"
#include "security/verify.h"

#define LV_SALT_BYTES 4
#define LV_HASH_BYTES 32

struct lv_users {
    struct lv_bytes name; /* borrowed from the settings */
    uint8_t salt[LV_SALT_BYTES];
    uint8_t hash[LV_HASH_BYTES];
};

/* Makes the user of the settings. LV_EIO: no randomness. */
enum lv_err lv_users_init(struct lv_users *users, const struct lv_settings *settings) LV_MUST_USE;

enum lv_login lv_users_login(const struct lv_users *users, struct lv_bytes name,
                             struct lv_bytes password, bool from_loopback);
/* ANONYMOUS: the name it logs in as (RabbitMQ: anonymous_login_user, guest). */
enum lv_login lv_users_anonymous(const struct lv_users *users, bool from_loopback,
                                 struct lv_bytes *name);

#endif
