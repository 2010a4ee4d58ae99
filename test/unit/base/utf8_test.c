/* base/utf8.h against the table of RFC 3629 §4, and against a second, slower opinion. */
#include "base/utf8.h"

#include "lv_test.h"

#define OK(s) CHECK(lv_utf8_valid(LV_BYTES_LIT(s)))
#define BAD(s) CHECK(!lv_utf8_valid(LV_BYTES_LIT(s)))

LV_TEST(well_formed)
{
    CHECK(lv_utf8_valid(lv_bytes(NULL, 0)));
    OK("");
    OK("plain ascii, long enough for whole words");
    OK("\0\x01\x7f");
    OK("\xc2\x80");         /* U+0080 */
    OK("\xdf\xbf");         /* U+07FF */
    OK("\xe0\xa0\x80");     /* U+0800 */
    OK("\xed\x9f\xbf");     /* U+D7FF */
    OK("\xee\x80\x80");     /* U+E000 */
    OK("\xef\xbf\xbf");     /* U+FFFF */
    OK("\xf0\x90\x80\x80"); /* U+10000 */
    OK("\xf4\x8f\xbf\xbf"); /* U+10FFFF */
}

LV_TEST(malformed)
{
    BAD("\x80"); /* a continuation alone */
    BAD("\xbf\xbf");
    BAD("\xc0\x80"); /* overlong */
    BAD("\xc1\xbf");
    BAD("\xe0\x9f\xbf");
    BAD("\xf0\x8f\xbf\xbf");
    BAD("\xed\xa0\x80"); /* surrogates */
    BAD("\xed\xbf\xbf");
    BAD("\xf4\x90\x80\x80"); /* above U+10FFFF */
    BAD("\xf5\x80\x80\x80");
    BAD("\xff");
    BAD("\xfe");
    BAD("\xc2"); /* cut */
    BAD("\xe2\x82");
    BAD("\xf0\x9f\x98");
    BAD("\xe2\x82\x41"); /* a continuation that is none */
    BAD("\xf0\x9f\x41\x80");
    BAD("\xf0\x9f\x98\x41");
}

/* The word-wise path: one bad byte at every place of strings of every length up to three words. */
LV_TEST(one_bad_byte_anywhere)
{
    char text[24];

    for (size_t len = 1; len <= sizeof(text); len++) {
        memset(text, 'a', sizeof(text));
        CHECK(lv_utf8_valid(lv_bytes(text, len)));
        for (size_t at = 0; at < len; at++) {
            text[at] = (char)0xff;
            CHECK(!lv_utf8_valid(lv_bytes(text, len)));
            text[at] = 'a';
        }
    }
}

/* Decodes code points by arithmetic, and asks afterwards whether they were the shortest form. */
static bool naive_valid(const uint8_t *p, size_t len)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

    for (size_t i = 0; i < len;) {
        unsigned bytes = p[i] < 0x80       ? 1
                         : p[i] >> 5 == 6  ? 2
                         : p[i] >> 4 == 14 ? 3
                         : p[i] >> 3 == 30 ? 4
                                           : 0;
        if (bytes == 0 || bytes > len - i)
            return false;
        uint32_t code = bytes == 1 ? p[i] : p[i] & (0x7fu >> bytes);
        for (unsigned k = 1; k < bytes; k++) {
            if (p[i + k] >> 6 != 2)
                return false;
            code = code << 6 | (p[i + k] & 0x3f);
        }
        if (code < least[bytes] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
            return false;
        i += bytes;
    }
    return true;
}

LV_TEST(every_string_of_three_bytes_agrees)
{
    for (uint32_t n = 0; n < 1u << 24; n++) {
        uint8_t s[3] = { (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n };
        if (lv_utf8_valid(lv_bytes(s, 3)) != naive_valid(s, 3))
            CHECK_EQ(n, -1);
    }
}

LV_TEST(random_strings_agree)
{
    /* Mostly leads and continuations, so that a fair part is valid. */
    static const uint8_t likely[] = { 'a',  0x80, 0x9f, 0xa0, 0xbf, 0xc2,
                                      0xe0, 0xe1, 0xed, 0xf0, 0xf1, 0xf4 };
    struct lv_rng rng = lv_rng_seed(7);

    for (int run = 0; run < 1000000; run++) {
        uint8_t s[12];
        size_t len = lv_rng_below(&rng, sizeof(s) + 1);
        for (size_t i = 0; i < len; i++)
            s[i] = likely[lv_rng_below(&rng, sizeof(likely))];
        CHECK_EQ(lv_utf8_valid(lv_bytes(s, len)), naive_valid(s, len));
    }
}
