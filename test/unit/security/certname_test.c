/* security/certname.h: the three rules, RFC 4514's escapes as RabbitMQ writes them, and names that are nobody's. */
#include "security/certname.h"

#include "lv_test.h"

#define CN "2.5.4.3"
#define L(s) LV_BYTES_LIT(s)

static struct lv_cert_names subject(const struct lv_cert_attribute *a, size_t n)
{
    return (struct lv_cert_names){ .subject = a, .subject_count = n };
}

static bool named(const struct lv_cert_names *names, enum lv_cert_rule rule,
                  enum lv_cert_san_type type, size_t index, const char *want)
{
    uint8_t out[300];
    struct lv_wr w = lv_wr(out, sizeof(out));

    CHECK_EQ(lv_cert_name(&w, names, rule, type, index), LV_OK);
    return lv_bytes_eq(lv_bytes(out, w.used), lv_bytes_str(want));
}

static enum lv_err refused(const struct lv_cert_names *names, enum lv_cert_rule rule,
                           enum lv_cert_san_type type, size_t index)
{
    uint8_t out[300];
    struct lv_wr w = lv_wr(out, sizeof(out));
    enum lv_err err = lv_cert_name(&w, names, rule, type, index);

    CHECK_EQ(w.used, 0);
    return err;
}

LV_TEST(distinguished_name)
{
    static const struct lv_cert_attribute a[] = {
        { L("2.5.4.6"), L("SE"), false },   { L("2.5.4.10"), L("Acme, Inc."), false },
        { L("2.5.4.11"), L("ops"), false }, { L("0.9.2342.19200300.100.1.1"), L("7"), true },
        { L(CN), L("ann"), false },         { L("1.2.3.4"), L("x"), false },
    };
    struct lv_cert_names names = subject(a, LV_ARRAY_LEN(a));

    CHECK(named(&names, LV_CERT_DISTINGUISHED_NAME, LV_SAN_DNS, 0,
                "1.2.3.4=x,CN=ann,OU=ops+UID=7,O=Acme\\, Inc.,C=SE"));
}

LV_TEST(escapes)
{
    static const struct {
        struct lv_bytes value;
        const char *want;
    } cases[] = {
        { L("#1"), "CN=\\#1" },
        { L("a#"), "CN=a#" },
        { L(" a "), "CN=\\ a\\ " },
        { L("a b"), "CN=a b" },
        { L("\"+,;<>\\"), "CN=\\\"\\+\\,\\;\\<\\>\\\\" },
        { L("\xc3\xa9"), "CN=\\C3\\A9" },
        { L("a\nb~\x7f"), "CN=a\\0Ab\\7E\\7F" },
        { L("a\0b"), "CN=a\\00b" },
        { L(""), "CN=" },
    };

    for (size_t i = 0; i < LV_ARRAY_LEN(cases); i++) {
        struct lv_cert_attribute a = { L(CN), cases[i].value, false };
        struct lv_cert_names names = subject(&a, 1);
        CHECK(named(&names, LV_CERT_DISTINGUISHED_NAME, LV_SAN_DNS, 0, cases[i].want));
    }
}

LV_TEST(common_name)
{
    static const struct lv_cert_attribute a[] = {
        { L(CN), L("ann"), false },
        { L("2.5.4.10"), L("o"), false },
        { L(CN), L("bob"), false },
    };
    static uint8_t big[256] = { 1 };
    struct lv_cert_attribute odd = { L(CN), L("ann\0bob"), false };
    struct lv_cert_names names = subject(a, 1);

    CHECK(named(&names, LV_CERT_COMMON_NAME, LV_SAN_DNS, 0, "ann"));
    names.subject_count = 3;
    CHECK(named(&names, LV_CERT_COMMON_NAME, LV_SAN_DNS, 0, "ann,bob"));
    names = subject(&a[1], 1);
    CHECK_EQ(refused(&names, LV_CERT_COMMON_NAME, LV_SAN_DNS, 0), LV_ENOTFOUND);
    names = subject(&odd, 1);
    CHECK_EQ(refused(&names, LV_CERT_COMMON_NAME, LV_SAN_DNS, 0), LV_ENOTFOUND);
    odd.value = lv_bytes(big, sizeof(big));
    CHECK_EQ(refused(&names, LV_CERT_COMMON_NAME, LV_SAN_DNS, 0), LV_EFULL);
    odd.value = lv_bytes(big, 0);
    CHECK_EQ(refused(&names, LV_CERT_COMMON_NAME, LV_SAN_DNS, 0), LV_ENOTFOUND);
    names = subject(NULL, 0);
    CHECK_EQ(refused(&names, LV_CERT_DISTINGUISHED_NAME, LV_SAN_DNS, 0), LV_ENOTFOUND);
}

LV_TEST(alternative_names)
{
    static const struct lv_cert_san sans[] = {
        { LV_SAN_DNS, L("a.example") },
        { LV_SAN_EMAIL, L("ann@example") },
        { LV_SAN_DNS, L("b.example") },
    };
    struct lv_cert_names names = { .sans = sans, .san_count = LV_ARRAY_LEN(sans) };
    enum lv_cert_rule rule = LV_CERT_SUBJECT_ALTERNATIVE_NAME;

    CHECK(named(&names, rule, LV_SAN_DNS, 0, "a.example"));
    CHECK(named(&names, rule, LV_SAN_DNS, 1, "b.example"));
    CHECK(named(&names, rule, LV_SAN_EMAIL, 0, "ann@example"));
    CHECK_EQ(refused(&names, rule, LV_SAN_DNS, 2), LV_ENOTFOUND);
    CHECK_EQ(refused(&names, rule, LV_SAN_URI, 0), LV_ENOTFOUND);
}

LV_TEST(words_of_the_settings)
{
    enum lv_cert_rule rule;
    enum lv_cert_san_type type;

    CHECK_EQ(lv_cert_rule_of(L("subject_alt_name"), &rule), LV_OK);
    CHECK_EQ(rule, LV_CERT_SUBJECT_ALTERNATIVE_NAME);
    CHECK_EQ(lv_cert_rule_of(L("name"), &rule), LV_EINVAL);
    CHECK_EQ(lv_cert_san_type_of(L("other_name"), &type), LV_OK);
    CHECK_EQ(type, LV_SAN_OTHER_NAME);
    CHECK_EQ(lv_cert_san_type_of(L("DNS"), &type), LV_EINVAL);
}
