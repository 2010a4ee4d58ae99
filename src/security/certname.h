/* security/certname.h - which user a certificate names (SASL EXTERNAL), as pure functions on what the TLS layer read.
 *
 * Values are UTF-8; the TLS layer has decoded and verified the certificate. A value with a NUL in it names nobody.
 * Owner   none: views. Any thread.
 */
#ifndef LV_SECURITY_CERTNAME_H
#define LV_SECURITY_CERTNAME_H
#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"

#define LV_CERT_NAME_MAX 255u /* a longer name is no user's */

/* RabbitMQ: ssl_cert_login_from */
enum lv_cert_rule {
    LV_CERT_DISTINGUISHED_NAME,
    LV_CERT_COMMON_NAME,
    LV_CERT_SUBJECT_ALTERNATIVE_NAME
};
/* RabbitMQ: ssl_cert_login_san_type */
enum lv_cert_san_type { LV_SAN_DNS, LV_SAN_IP, LV_SAN_EMAIL, LV_SAN_URI, LV_SAN_OTHER_NAME };

struct lv_cert_attribute {
    struct lv_bytes oid; /* dotted: "2.5.4.3" */
    struct lv_bytes value;
    bool joins_previous; /* of the same relative name ("+") */
};

struct lv_cert_san {
    enum lv_cert_san_type type;
    struct lv_bytes value;
};

struct lv_cert_names {
    const struct lv_cert_attribute *subject; /* in the certificate's order */
    size_t subject_count;
    const struct lv_cert_san *sans;
    size_t san_count;
};

/* "distinguished_name", "common_name", "subject_alternative_name" (or "subject_alt_name"); LV_EINVAL. */
enum lv_err lv_cert_rule_of(struct lv_bytes text, enum lv_cert_rule *out) LV_MUST_USE;
/* "dns", "ip", "email", "uri", "other_name"; LV_EINVAL. */
enum lv_err lv_cert_san_type_of(struct lv_bytes text, enum lv_cert_san_type *out) LV_MUST_USE;
/* The subject as RabbitMQ prints it: RFC 4514, last name first, every octet outside printable ASCII escaped. */
void lv_cert_subject(struct lv_wr *out, const struct lv_cert_names *names);
/* The user. `san_index` counts the names of that type from 0. LV_ENOTFOUND: no such name; LV_EFULL: longer than
 * LV_CERT_NAME_MAX. */
enum lv_err lv_cert_name(struct lv_wr *out, const struct lv_cert_names *names,
                         enum lv_cert_rule rule, enum lv_cert_san_type san_type,
                         size_t san_index) LV_MUST_USE;

#endif
