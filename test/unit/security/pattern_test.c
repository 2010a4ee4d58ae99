/* security/pattern.h: which forms are simple, what each matches, what is refused, and that a variable's value is only
 * itself. How simple forms and PCRE2 agree is test/prop/security_pattern_prop.c. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "lv_test.h"
#include "security/pattern.h"

static struct lv_pattern *make(const char *source)
{
    struct lv_pattern *p = NULL;
    char why[200];

    CHECK_EQ(lv_pattern_new(lv_bytes_str(source), &p, why, sizeof(why)), LV_OK);
    return p;
}

static const struct {
    const char *source;
    bool is_simple;
    const char *yes[5], *no[5];
} cases[] = {
    { "", true, { "" }, { "a", "amq.default" } },
    { ".*", true, { "", "a", "a\nb" }, { 0 } },
    { "^$", true, { "" }, { "a", "\n" } },
    { "^", true, { "", "a" }, { 0 } },
    { "^a$", true, { "a" }, { "", "aa", "ba", "a\n" } },
    { "^a", true, { "a", "ab" }, { "", "ba" } },
    { "^a.*", true, { "a", "ab", "a\n" }, { "", "ba" } },
    { "^a.*$", true, { "a", "ab" }, { "", "ba", "a\nb", "ab\n" } },
    { "a", true, { "a", "xay" }, { "", "x" } },
    { "^(a|bc)$", true, { "a", "bc" }, { "b", "abc", "" } },
    { "^(a|bc)-.*", true, { "a-", "bc-x" }, { "a", "b-" } },
    { "^x(a|bc|)y$", true, { "xay", "xbcy", "xy" }, { "xa", "xbc", "xayz" } },
    { "^x(a)?y$", false, { "xay", "xy" }, { "xaay" } },
    { "^(a|bc)", true, { "a1", "bcd" }, { "b", "xa" } },
    { "^a$|^b$", true, { "a", "b" }, { "ab", "c" } },
    { "^amq\\.gen-.*", true, { "amq.gen-1" }, { "amqxgen-1" } },
    { "^\\x41\\x2A$", true, { "A*" }, { "A", "AA" } },
    { "^amq\\.(gen.*|default)$", false, { "amq.gen1", "amq.default" }, { "amq.direct" } },
    { "^a?$", false, { "", "a" }, { "aa" } },
    { "(a|b)c", false, { "xacx", "bc" }, { "c" } },
    { "a$", false, { "ba" }, { "ab", "a\n" } },
    { "^[a-c]+$", false, { "abc" }, { "abd", "" } },
    { "^(?!secret).*", false, { "open" }, { "secret", "secrets" } },
    { "^(.)\\1$", false, { "aa" }, { "ab" } },
    { "(?i)^q$", false, { "Q", "q" }, { "qq" } },
};

LV_TEST(forms)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(cases); i++) {
        struct lv_pattern *p = make(cases[i].source);
        if (lv_pattern_is_simple(p) != cases[i].is_simple)
            fprintf(stderr, "pattern: %s\n", cases[i].source);
        CHECK_EQ(lv_pattern_is_simple(p), cases[i].is_simple);
        for (size_t k = 0; k < 5 && cases[i].yes[k] != NULL; k++) {
            if (!lv_pattern_match(p, lv_bytes_str(cases[i].yes[k])))
                fprintf(stderr, "%s should match %s\n", cases[i].source, cases[i].yes[k]);
            CHECK(lv_pattern_match(p, lv_bytes_str(cases[i].yes[k])));
        }
        for (size_t k = 0; k < 5 && cases[i].no[k] != NULL; k++) {
            if (lv_pattern_match(p, lv_bytes_str(cases[i].no[k])))
                fprintf(stderr, "%s should not match %s\n", cases[i].source, cases[i].no[k]);
            CHECK(!lv_pattern_match(p, lv_bytes_str(cases[i].no[k])));
        }
        lv_pattern_free(p);
    }
    CHECK_EQ(lv_mem_used(LV_TAG_SECURITY), 0);
}

LV_TEST(refused)
{
    static const char *const bad[] = { "(", "^(a|b", "[", "a{2,1}", "*", "\\", "(?<n>", "\\C", "^a)" };
    struct lv_pattern *p;
    char why[200];

    for (size_t i = 0; i < LV_ARRAY_LEN(bad); i++) {
        why[0] = '\0';
        CHECK_EQ(lv_pattern_new(lv_bytes_str(bad[i]), &p, why, sizeof(why)), LV_EINVAL);
        CHECK(p == NULL && strstr(why, " at ") != NULL);
    }
    char *longer = malloc(LV_PATTERN_BYTES_MAX + 1);
    memset(longer, 'a', LV_PATTERN_BYTES_MAX + 1);
    CHECK_EQ(lv_pattern_new(lv_bytes(longer, LV_PATTERN_BYTES_MAX + 1), &p, why, sizeof(why)),
             LV_EFULL);
    CHECK_EQ(lv_pattern_new(lv_bytes(longer, LV_PATTERN_BYTES_MAX), &p, why, sizeof(why)), LV_OK);
    lv_pattern_free(p);
    free(longer);
}

/* Exponential backtracking ends at the limit, and ends in refusal. */
LV_TEST(backtracking_ends)
{
    struct lv_pattern *p = make("^(a+)+$");
    char name[256];

    memset(name, 'a', sizeof(name));
    name[254] = '!';
    CHECK(!lv_pattern_match(p, lv_bytes(name, 255)));
    CHECK(lv_pattern_match(p, lv_bytes(name, 20)));
    lv_pattern_free(p);
}

/* A stack of groups does not overflow anything of ours. */
LV_TEST(deep_groups)
{
    char source[1001];
    struct lv_pattern *p;
    char why[200];

    memset(source, '(', 500);
    memset(source + 500, ')', 500);
    CHECK_EQ(lv_pattern_new(lv_bytes(source, 1000), &p, why, sizeof(why)), LV_EINVAL);
}

static bool expands_to(const char *source, const struct lv_pattern_vars *vars, const char *name)
{
    uint8_t text[LV_PATTERN_BYTES_MAX];
    struct lv_wr w = lv_wr(text, sizeof(text));
    struct lv_pattern *p;
    char why[200];

    if (lv_pattern_expand(lv_bytes_str(source), vars, &w) != LV_OK)
        return false;
    CHECK_EQ(lv_pattern_new(lv_bytes(text, w.used), &p, why, sizeof(why)), LV_OK);
    bool is_match = lv_pattern_match(p, lv_bytes_str(name));
    lv_pattern_free(p);
    return is_match;
}

LV_TEST(variables_mean_themselves)
{
    struct lv_pattern_vars vars = { lv_bytes_str("a.*"), lv_bytes_str("/"), lv_bytes_str(".*|x"),
                                    true };

    CHECK(lv_pattern_has_vars(lv_bytes_str("^{username}$")));
    CHECK(lv_pattern_has_vars(lv_bytes_str("x{client_id}")));
    CHECK(!lv_pattern_has_vars(lv_bytes_str("^{user}{2}$")));
    CHECK(expands_to("^{username}$", &vars, "a.*"));
    CHECK(!expands_to("^{username}$", &vars, "abc"));
    CHECK(expands_to("^{client_id}\\..*", &vars, ".*|x.temp"));
    CHECK(!expands_to("^{client_id}\\..*", &vars, "x.temp"));
    CHECK(!expands_to("^{client_id}\\..*", &vars, "other.temp"));
    CHECK(expands_to("^{vhost}-{username}$", &vars, "/-a.*"));
    CHECK(expands_to("^[{vhost}]+$", &vars, "//"));
    vars.username = lv_bytes_str("{client_id}"); /* a value is not looked at again */
    CHECK(expands_to("^{username}$", &vars, "{client_id}"));
    vars.username = lv_bytes_str("0");
    CHECK(expands_to("^(a)\\1{username}$", &vars, "aa0")); /* and not \10 */
    vars.username = lv_bytes_str("\\E\n\xc3\xa9");
    CHECK(expands_to("^{username}$", &vars, "\\E\n\xc3\xa9"));
    vars.has_client_id = false;
    CHECK(!expands_to("^{client_id}", &vars, "{client_id}"));
    CHECK(!expands_to(".*|{client_id}", &vars, "x"));
}

LV_TEST(no_memory_is_no_match)
{
    struct lv_pattern *p = make("^[a-c]+$");

    for (uint64_t n = 1; n < 4; n++) {
        lv_mem_fail_at(n);
        CHECK(!lv_pattern_match(p, lv_bytes_str("abc")));
    }
    lv_mem_fail_at(0);
    CHECK(lv_pattern_match(p, lv_bytes_str("abc")));
    lv_pattern_free(p);
}
