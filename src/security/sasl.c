#include "security/sasl.h"

#include "base/table.h"
#include "config/config.h"

enum lv_err lv_sasl_plain(struct lv_bytes response, struct lv_bytes *name, struct lv_bytes *password)
{
    const uint8_t *end = response.ptr + response.len;
    const uint8_t *first = response.len != 0 ? memchr(response.ptr, 0, response.len) : NULL;
    const uint8_t *second =
        first != NULL && first + 1 < end ? memchr(first + 1, 0, (size_t)(end - first - 1)) : NULL;

    if (second == NULL || memchr(second + 1, 0, (size_t)(end - second - 1)) != NULL)
        return LV_ESYNTAX;
    *name = lv_bytes(first + 1, (size_t)(second - first - 1));
    *password = lv_bytes(second + 1, (size_t)(end - second - 1));
    return LV_OK;
}

enum lv_err lv_sasl_amqplain(struct lv_bytes response, struct lv_bytes *name,
                             struct lv_bytes *password)
{
    struct lv_value login, pass;

    if (lv_table_check(response) != LV_OK)
        return LV_ESYNTAX;
    if (!lv_table_find(response, LV_BYTES_LIT("LOGIN"), &login) ||
        !lv_table_find(response, LV_BYTES_LIT("PASSWORD"), &pass))
        return LV_ENOTFOUND;
    if (login.kind != LV_KIND_STRING || pass.kind != LV_KIND_STRING)
        return LV_EINVAL;
    *name = login.bytes;
    *password = pass.bytes;
    return LV_OK;
}

/* ---- the mechanisms ---- */

static enum lv_err step_plain(const struct lv_sasl_context *ctx, struct lv_bytes response,
                              struct lv_claim *claim)
{
    (void)ctx;
    claim->kind = LV_CLAIM_PASSWORD;
    return lv_sasl_plain(response, &claim->name, &claim->password);
}

static enum lv_err step_amqplain(const struct lv_sasl_context *ctx, struct lv_bytes response,
                                 struct lv_claim *claim)
{
    (void)ctx;
    claim->kind = LV_CLAIM_PASSWORD;
    return lv_sasl_amqplain(response, &claim->name, &claim->password);
}

static enum lv_err step_anonymous(const struct lv_sasl_context *ctx, struct lv_bytes response,
                                  struct lv_claim *claim)
{
    (void)response; /* a trace, if anything (RFC 4505) */
    claim->kind = LV_CLAIM_PASSWORD;
    claim->name = ctx->anonymous_user;
    claim->password = ctx->anonymous_pass;
    return LV_OK;
}

static enum lv_err step_external(const struct lv_sasl_context *ctx, struct lv_bytes response,
                                 struct lv_claim *claim)
{
    static const char *const reasons[] = {
        [LV_SASL_NO_CERT] = "connection peer presented no TLS (x.509) certificate",
        [LV_SASL_UNVERIFIED_CERT] = "TLS configuration is unsafe",
        [LV_SASL_NAMELESS_CERT] = "no name found",
        [LV_SASL_CERT] = NULL,
    };

    (void)response; /* an authorisation id is not looked at (RabbitMQ) */
    claim->reason = ctx->is_tls ? reasons[ctx->cert] : "not a TLS-enabled connection";
    if (claim->reason == NULL && ctx->cert_name.len == 0)
        claim->reason = reasons[LV_SASL_NAMELESS_CERT];
    if (claim->reason != NULL)
        return LV_OK;
    claim->kind = LV_CLAIM_CERTIFICATE;
    claim->name = ctx->cert_name;
    return LV_OK;
}

static bool always(const struct lv_sasl_context *ctx)
{
    (void)ctx;
    return true;
}

static bool has_anonymous_user(const struct lv_sasl_context *ctx)
{
    return ctx->anonymous_user.len != 0 && !lv_bytes_eq(ctx->anonymous_user, LV_BYTES_LIT("none"));
}

/* Without a certificate too: the refusal says more than a mechanism that is missing. */
static bool is_tls(const struct lv_sasl_context *ctx)
{
    return ctx->is_tls;
}

static const struct lv_sasl_mechanism {
    struct lv_bytes name;
    bool (*is_offered)(const struct lv_sasl_context *ctx);
    enum lv_err (*step)(const struct lv_sasl_context *ctx, struct lv_bytes response,
                        struct lv_claim *claim);
} mechanisms[] = {
    { LV_BYTES_LIT("PLAIN"), always, step_plain },
    { LV_BYTES_LIT("AMQPLAIN"), always, step_amqplain },
    { LV_BYTES_LIT("ANONYMOUS"), has_anonymous_user, step_anonymous },
    { LV_BYTES_LIT("EXTERNAL"), is_tls, step_external },
};

static const struct lv_sasl_mechanism *offered(const struct lv_sasl_context *ctx,
                                               struct lv_bytes name)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(mechanisms); i++)
        if (lv_bytes_eq(mechanisms[i].name, name))
            return mechanisms[i].is_offered(ctx) ? &mechanisms[i] : NULL;
    return NULL;
}

size_t lv_sasl_offer(const struct lv_sasl_context *ctx, char *out, size_t cap)
{
    const char *at = ctx->mechanisms;
    struct lv_wr w = lv_wr(out, cap - 1);
    struct lv_bytes number, word;

    while (lv_items_next(&at, &number, &word)) {
        if (offered(ctx, word) == NULL || w.used + 1 + word.len > cap - 1)
            continue;
        if (w.used != 0)
            lv_wr_u8(&w, ' ');
        lv_wr_bytes(&w, word.ptr, word.len);
    }
    out[w.used] = '\0';
    return w.used;
}

const struct lv_sasl_mechanism *lv_sasl_find(const struct lv_sasl_context *ctx, struct lv_bytes name)
{
    const char *at = ctx->mechanisms;
    struct lv_bytes number, word;

    while (lv_items_next(&at, &number, &word))
        if (lv_bytes_eq(word, name))
            return offered(ctx, word);
    return NULL;
}

struct lv_bytes lv_sasl_name(const struct lv_sasl_mechanism *m)
{
    return m->name;
}

enum lv_err lv_sasl_step(const struct lv_sasl_mechanism *m, const struct lv_sasl_context *ctx,
                         struct lv_bytes response, struct lv_claim *claim,
                         struct lv_bytes *challenge)
{
    *claim = (struct lv_claim){ .kind = LV_CLAIM_NONE };
    *challenge = lv_bytes(NULL, 0);
    return m->step(ctx, response, claim);
}
