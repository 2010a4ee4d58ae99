/* security/defaults.h - the records that a broker begins with, and users made from a name and a password. */
#ifndef LV_SECURITY_DEFAULTS_H
#define LV_SECURITY_DEFAULTS_H
#include "config/config.h"
#include "security/record.h"

typedef enum lv_err lv_record_emit(void *ctx, enum lv_access_kind kind, struct lv_bytes key,
                                   struct lv_bytes value);

struct lv_defaults {
    struct lv_bytes vhost, user, password;
    struct lv_bytes configure, write, read;
    struct lv_tags tags;
    enum lv_hash_algorithm algorithm;
};

/* What the settings default_vhost, default_user, default_pass, default_permissions.*, default_user_tags and
 * password_hashing say; views them. LV_EINVAL: too many tags, or no such algorithm. */
enum lv_err lv_defaults_of(const struct lv_settings *s, struct lv_defaults *out) LV_MUST_USE;

/* RabbitMQ: virtual host `vhost` and the user, who may do everything there. Emits vhost, user, permission, in this order,
 * and stops at the first error of `emit`, which it returns. Hashes the password: some 20 ms, not on a loop. LV_EINVAL: a
 * value is out of its bounds, or no password; LV_EIO: no randomness; LV_ENOMEM. */
enum lv_err lv_defaults_emit(const struct lv_defaults *d, lv_record_emit *emit,
                             void *ctx) LV_MUST_USE;

/* Gives a user this hash and a new credential: whoever is here with the old one must go. `hash` is viewed. LV_EIO. */
enum lv_err lv_user_set_password(struct lv_user_record *user,
                                 const struct lv_password_hash *hash) LV_MUST_USE;
/* Tags from "a,b" or "a b": views of `text`. LV_EINVAL: too many, or one is too long. */
enum lv_err lv_tags_parse(struct lv_bytes text, struct lv_tags *out) LV_MUST_USE;

#endif
