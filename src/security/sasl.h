/* security/sasl.h - the SASL mechanisms: what a client's responses claim. Whether it is true is verify.h's affair.
 *
 * A table of mechanisms (sasl.c), each a step function; all of today's are done in one step, and the caller need not
 * know: it feeds responses until the answer is not LV_EMORE.
 * Owner   none: views. Any thread.
 */
#ifndef LV_SECURITY_SASL_H
#define LV_SECURITY_SASL_H
#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"

/* What the connection and the settings allow. */
struct lv_sasl_context {
    const char *mechanisms;         /* setting auth_mechanisms: "1=PLAIN", "2=..." on lines */
    struct lv_bytes anonymous_user; /* setting anonymous_login_user; "none": ANONYMOUS is not offered */
    /* Setting of that name. It is compared like any other password, so that whoever changes that user's password shuts this
     * door too (RabbitMQ). */
    struct lv_bytes anonymous_pass;
    bool is_tls; /* else EXTERNAL is not offered */
    enum lv_sasl_cert {
        LV_SASL_NO_CERT,         /* the peer showed none */
        LV_SASL_UNVERIFIED_CERT, /* peers are not verified: a name in one proves nothing */
        LV_SASL_NAMELESS_CERT,   /* no name by the rule of the settings */
        LV_SASL_CERT,
    } cert;
    struct lv_bytes cert_name; /* by the rule of the settings */
};

enum lv_claim_kind {
    LV_CLAIM_PASSWORD,    /* to be verified */
    LV_CLAIM_CERTIFICATE, /* the name stands in a verified certificate; it must be a user's */
    LV_CLAIM_NONE,        /* refused: `reason` says why, in RabbitMQ's words */
};

struct lv_claim {
    enum lv_claim_kind kind;
    struct lv_bytes name, password; /* view the response, or the context */
    const char *reason;             /* static */
};

struct lv_sasl_mechanism;

/* Mechanisms to offer, with blanks between them; returns the length, at most cap - 1, NUL-terminated. */
size_t lv_sasl_offer(const struct lv_sasl_context *ctx, char *out, size_t cap);
/* The mechanism that a client chose. NULL: none of those that are offered. */
const struct lv_sasl_mechanism *lv_sasl_find(const struct lv_sasl_context *ctx,
                                             struct lv_bytes name);
struct lv_bytes lv_sasl_name(const struct lv_sasl_mechanism *m);
/* LV_OK: `claim` is filled in. LV_EMORE: send `challenge`, and come again with the answer. LV_ESYNTAX: the response says
 * nothing; LV_ENOTFOUND, LV_EINVAL: as lv_sasl_amqplain. */
enum lv_err lv_sasl_step(const struct lv_sasl_mechanism *m, const struct lv_sasl_context *ctx,
                         struct lv_bytes response, struct lv_claim *claim,
                         struct lv_bytes *challenge) LV_MUST_USE;

/* PLAIN: authzid NUL authcid NUL password (RFC 4616); authzid is ignored, a NUL in the password is none. LV_ESYNTAX. */
enum lv_err lv_sasl_plain(struct lv_bytes response, struct lv_bytes *name,
                          struct lv_bytes *password) LV_MUST_USE;
/* AMQPLAIN: the fields of a table with LOGIN and PASSWORD. LV_ENOTFOUND: one is missing; LV_EINVAL: not a string;
 * LV_ESYNTAX: not a table. */
enum lv_err lv_sasl_amqplain(struct lv_bytes response, struct lv_bytes *name,
                             struct lv_bytes *password) LV_MUST_USE;

#endif
