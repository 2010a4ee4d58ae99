/* base/hash.h: depends on every byte, on the earlier part, and on the secret. */
#include "base/hash.h"

#include <stdio.h>

#include "lv_test.h"

LV_TEST(depends_on_every_byte_and_the_length)
{
    char text[64];

    memset(text, 'x', sizeof(text));
    for (size_t len = 1; len <= sizeof(text); len++) {
        uint64_t h = lv_hash(lv_bytes(text, len), 0);
        CHECK(h == lv_hash(lv_bytes(text, len), 0));
        CHECK(h != lv_hash(lv_bytes(text, len - 1), 0));
        for (size_t at = 0; at < len; at++) {
            text[at] ^= 1;
            CHECK(h != lv_hash(lv_bytes(text, len), 0));
            text[at] ^= 1;
        }
    }
}

LV_TEST(more_makes_another_hash)
{
    uint64_t a = lv_hash(LV_BYTES_LIT("vhost a"), 0), b = lv_hash(LV_BYTES_LIT("vhost b"), 0);

    CHECK(lv_hash(LV_BYTES_LIT("queue"), a) != lv_hash(LV_BYTES_LIT("queue"), b));
    CHECK(lv_hash(LV_BYTES_LIT("queue"), a) != lv_hash(LV_BYTES_LIT("queue"), 0));
}

LV_TEST(the_secret_changes_everything)
{
    uint64_t before = lv_hash(LV_BYTES_LIT("queue"), 0);

    lv_hash_seed(12345);
    CHECK(lv_hash(LV_BYTES_LIT("queue"), 0) != before);
    lv_hash_seed(0);
    CHECK(lv_hash(LV_BYTES_LIT("queue"), 0) == before);
}

LV_TEST(nothing_has_a_hash)
{
    CHECK(lv_hash(lv_bytes(NULL, 0), 0) == lv_hash(LV_BYTES_LIT(""), 0));
}

/* Low bits choose the bucket: names that differ in a counter must spread. */
LV_TEST(numbered_names_spread)
{
    enum { BUCKETS = 256, NAMES = BUCKETS * 100 };
    static unsigned load[BUCKETS];

    for (int n = 0; n < NAMES; n++) {
        char name[32];
        int len = snprintf(name, sizeof(name), "amq.gen-%d", n);
        load[lv_hash(lv_bytes(name, (size_t)len), 0) % BUCKETS]++;
    }
    for (int i = 0; i < BUCKETS; i++)
        CHECK(load[i] > 50 && load[i] < 160);
}
