/* security/credentials.h - may this be somebody's new password? What credential_validator.* says, in RabbitMQ's words.
 *
 * Asked by whoever takes a password in the clear. A hash is taken as it is, and who has no password at all can be made only
 * where everything is accepted.
 * Owner   none. Any thread.
 */
#ifndef LV_SECURITY_CREDENTIALS_H
#define LV_SECURITY_CREDENTIALS_H
#include "config/config.h"

/* `password` may be empty: none. LV_EINVAL: no, and `why` (of `cap` bytes) says why not; LV_ENOMEM. */
enum lv_err lv_credentials_check(const struct lv_settings *s, struct lv_bytes password, char *why,
                                 size_t cap) LV_MUST_USE;

#endif
