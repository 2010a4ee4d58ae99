/* security/sasl.h: what is offered, what can be chosen, and what a response claims. */
#include "security/sasl.h"

#include "base/table.h"
#include "lv_test.h"

#define ALL "PLAIN AMQPLAIN ANONYMOUS EXTERNAL"
#define ALL_ITEMS "1=PLAIN\n2=AMQPLAIN\n3=ANONYMOUS\n4=EXTERNAL"

static struct lv_bytes str(const char *s)
{
    return lv_bytes_str(s);
}

static struct lv_sasl_context all(void)
{
    return (struct lv_sasl_context){ .mechanisms = ALL_ITEMS,
                                     .anonymous_user = LV_BYTES_LIT("guest"),
                                     .anonymous_pass = LV_BYTES_LIT("open"),
                                     .is_tls = true };
}

static enum lv_err step(const struct lv_sasl_context *ctx, const char *mechanism,
                        struct lv_bytes response, struct lv_claim *claim)
{
    const struct lv_sasl_mechanism *m = lv_sasl_find(ctx, str(mechanism));
    struct lv_bytes challenge;

    CHECK(m != NULL);
    return lv_sasl_step(m, ctx, response, claim, &challenge);
}

LV_TEST(offers)
{
    struct lv_sasl_context ctx = all();
    char out[64];

    CHECK_EQ(lv_sasl_offer(&ctx, out, sizeof(out)), strlen(ALL));
    CHECK_STR(out, ALL);
    ctx.is_tls = false;
    lv_sasl_offer(&ctx, out, sizeof(out));
    CHECK_STR(out, "PLAIN AMQPLAIN ANONYMOUS");
    CHECK(lv_sasl_find(&ctx, str("EXTERNAL")) == NULL);
    ctx.anonymous_user = str("none");
    lv_sasl_offer(&ctx, out, sizeof(out));
    CHECK_STR(out, "PLAIN AMQPLAIN");
    CHECK(lv_sasl_find(&ctx, str("ANONYMOUS")) == NULL);
    ctx.mechanisms = "1=AMQPLAIN\n2=SCRAM\n3=PLAIN";
    lv_sasl_offer(&ctx, out, sizeof(out));
    CHECK_STR(out, "AMQPLAIN PLAIN");
    ctx.mechanisms = "1=AMQPLAIN";
    CHECK(lv_sasl_find(&ctx, str("PLAIN")) == NULL);
    CHECK(lv_sasl_find(&ctx, str("amqplain")) == NULL);
    CHECK(lv_sasl_find(&ctx, str("")) == NULL);
    lv_sasl_offer(&ctx, out, 5);
    CHECK_STR(out, "");
}

LV_TEST(plain)
{
    static const struct {
        struct lv_bytes response;
        enum lv_err err;
        const char *name, *password;
    } cases[] = {
        { LV_BYTES_LIT("\0ann\0pw"), LV_OK, "ann", "pw" },
        { LV_BYTES_LIT("id\0ann\0pw"), LV_OK, "ann", "pw" },
        { LV_BYTES_LIT("\0\0"), LV_OK, "", "" },
        { LV_BYTES_LIT("\0ann\0"), LV_OK, "ann", "" },
        { LV_BYTES_LIT("\0ann"), LV_ESYNTAX, NULL, NULL },
        { LV_BYTES_LIT("\0"), LV_ESYNTAX, NULL, NULL },
        { LV_BYTES_LIT(""), LV_ESYNTAX, NULL, NULL },
        { LV_BYTES_LIT("ann pw"), LV_ESYNTAX, NULL, NULL },
        { LV_BYTES_LIT("\0ann\0p\0w"), LV_ESYNTAX, NULL, NULL },
    };
    struct lv_sasl_context ctx = all();

    for (size_t i = 0; i < LV_ARRAY_LEN(cases); i++) {
        struct lv_claim claim;
        CHECK_EQ(step(&ctx, "PLAIN", cases[i].response, &claim), cases[i].err);
        if (cases[i].err != LV_OK)
            continue;
        CHECK_EQ(claim.kind, LV_CLAIM_PASSWORD);
        CHECK(lv_bytes_eq(claim.name, str(cases[i].name)));
        CHECK(lv_bytes_eq(claim.password, str(cases[i].password)));
    }
}

LV_TEST(amqplain)
{
    struct lv_sasl_context ctx = all();
    struct lv_claim claim;
    uint8_t buf[100];
    struct lv_wr w = lv_wr(buf, sizeof(buf));

    lv_table_put_str(&w, "LOGIN", str("ann"));
    CHECK_EQ(step(&ctx, "AMQPLAIN", lv_bytes(buf, w.used), &claim), LV_ENOTFOUND);
    lv_table_put_str(&w, "PASSWORD", str("pw"));
    CHECK_EQ(step(&ctx, "AMQPLAIN", lv_bytes(buf, w.used), &claim), LV_OK);
    CHECK_EQ(claim.kind, LV_CLAIM_PASSWORD);
    CHECK(lv_bytes_eq(claim.name, str("ann")) && lv_bytes_eq(claim.password, str("pw")));
    CHECK_EQ(step(&ctx, "AMQPLAIN", lv_bytes(buf, w.used - 1), &claim), LV_ESYNTAX);
    w = lv_wr(buf, sizeof(buf));
    lv_table_put_str(&w, "LOGIN", str("ann"));
    lv_table_put_bool(&w, "PASSWORD", true);
    CHECK_EQ(step(&ctx, "AMQPLAIN", lv_bytes(buf, w.used), &claim), LV_EINVAL);
}

LV_TEST(anonymous_and_external)
{
    struct lv_sasl_context ctx = all();
    struct lv_claim claim;

    CHECK_EQ(step(&ctx, "ANONYMOUS", str("me"), &claim), LV_OK);
    CHECK_EQ(claim.kind, LV_CLAIM_PASSWORD);
    CHECK(lv_bytes_eq(claim.name, str("guest")));
    CHECK(lv_bytes_eq(claim.password, str("open")));
    CHECK_EQ(step(&ctx, "EXTERNAL", str(""), &claim), LV_OK);
    CHECK_EQ(claim.kind, LV_CLAIM_NONE);
    CHECK_STR(claim.reason, "connection peer presented no TLS (x.509) certificate");
    ctx.cert = LV_SASL_UNVERIFIED_CERT;
    ctx.cert_name = str("ann");
    CHECK_EQ(step(&ctx, "EXTERNAL", str(""), &claim), LV_OK);
    CHECK_EQ(claim.kind, LV_CLAIM_NONE);
    CHECK_STR(claim.reason, "TLS configuration is unsafe");
    ctx.cert = LV_SASL_CERT;
    CHECK_EQ(step(&ctx, "EXTERNAL", str("root"), &claim), LV_OK);
    CHECK_EQ(claim.kind, LV_CLAIM_CERTIFICATE);
    CHECK(lv_bytes_eq(claim.name, str("ann")));
    ctx.cert_name = str("");
    CHECK_EQ(step(&ctx, "EXTERNAL", str(""), &claim), LV_OK);
    CHECK_STR(claim.reason, "no name found");
}
