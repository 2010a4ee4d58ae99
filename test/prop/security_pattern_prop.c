/* Simple forms and PCRE2 give one answer, whatever the pattern and the name. */
#include "security/pattern.h"

#include <stdio.h>

#include "lv_test.h"

static size_t random_text(struct lv_rng *r, char *out, size_t max, const char *const *words,
                          size_t count)
{
    size_t used = 0;

    for (uint32_t n = lv_rng_below(r, 7); n > 0; n--) {
        struct lv_bytes word = lv_bytes_str(words[lv_rng_below(r, (uint32_t)count)]);
        if (used + word.len > max)
            break;
        memcpy(out + used, word.ptr, word.len);
        used += word.len;
    }
    return used;
}

LV_PROP(simple_forms_are_pcre2s)
{
    static const char *const pieces[] = { "^",     "$",      "(",   ")",    "|",    ".*",  "a",
                                          "b",     "ab",     "\\.", ".",    "\\-",  "\\_", "?",
                                          "\\x61", "\\x0a",  "*",   "{",    "\xc3", " ",   "\\\\",
                                          "^a$",   "^(a|b)", "#",   "(a|)", "(b|ab" };
    static const char *const letters[] = { "a",  "b",  ".", "-",    "_", "\n",
                                           "ab", "\\", "{", "\xc3", " ", "#" };
    struct lv_rng r = lv_rng_seed(seed);
    struct lv_pattern *fast, *slow;
    char source[64], name[64], why[200];

    for (int i = 0; i < 200; i++) {
        struct lv_bytes s =
            lv_bytes(source, random_text(&r, source, sizeof(source), pieces, LV_ARRAY_LEN(pieces)));
        enum lv_err err = lv_pattern_new_slow(s, &slow, why, sizeof(why));
        CHECK_EQ(lv_pattern_new(s, &fast, why, sizeof(why)), err);
        if (err != LV_OK)
            continue;
        for (int k = 0; k < 20; k++) {
            struct lv_bytes n =
                lv_bytes(name, random_text(&r, name, sizeof(name), letters, LV_ARRAY_LEN(letters)));
            if (lv_pattern_match(fast, n) != lv_pattern_match(slow, n))
                fprintf(stderr, "pattern '%.*s', name '%.*s'\n", LV_BYTES_FMT(s), LV_BYTES_FMT(n));
            CHECK_EQ(lv_pattern_match(fast, n), lv_pattern_match(slow, n));
        }
        lv_pattern_free(fast);
        lv_pattern_free(slow);
    }
}

/* With any value, {username} matches exactly that value. */
LV_PROP(a_variable_is_its_value)
{
    struct lv_rng r = lv_rng_seed(seed);
    uint8_t value[24], text[LV_PATTERN_BYTES_MAX], other[24];
    struct lv_pattern *p;
    char why[200];

    for (int i = 0; i < 100; i++) {
        size_t len = lv_rng_below(&r, sizeof(value));
        for (size_t k = 0; k < len; k++)
            value[k] = (uint8_t)lv_rng_next(&r);
        struct lv_pattern_vars vars = { .username = lv_bytes(value, len) };
        struct lv_wr w = lv_wr(text, sizeof(text));
        const char *source = i % 2 ? "^{username}$" : "^(?:{username})$";
        CHECK_EQ(lv_pattern_expand(lv_bytes_str(source), &vars, &w), LV_OK);
        CHECK_EQ(lv_pattern_new(lv_bytes(text, w.used), &p, why, sizeof(why)), LV_OK);
        CHECK(lv_pattern_match(p, vars.username));
        memcpy(other, value, sizeof(value));
        if (len != 0) {
            other[lv_rng_below(&r, (uint32_t)len)] ^= (uint8_t)(1u << lv_rng_below(&r, 8));
            CHECK(!lv_pattern_match(p, lv_bytes(other, len)));
            CHECK(!lv_pattern_match(p, lv_bytes(value, len - 1)));
        }
        lv_pattern_free(p);
    }
}
