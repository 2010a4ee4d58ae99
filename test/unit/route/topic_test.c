/* Patterns: the naive matcher by a table of cases, the trie by the same ones and by its corners. */
#include "route/route.h"

#include "base/mem.h"
#include "unit/route/world.h"

static const struct {
    const char *pattern, *key;
    bool matches;
} cases[] = {
    { "a", "a", true },
    { "a", "b", false },
    { "a", "", false },
    { "", "", true },
    { "", "a", false },
    { "", ".", false },
    { "#", "", true },
    { "#", "a", true },
    { "#", "a.b.c", true },
    { "#", "...", true },
    { "*", "", false }, /* no word at all */
    { "*", "a", true },
    { "*", "a.b", false },
    { "*.*", ".", true }, /* two empty words */
    { "*.*", "a.", true },
    { "*", ".", false },
    { ".", ".", true },
    { "a.", "a.", true },
    { "a.", "a", false },
    { "a", "a.", false },
    { "a.*", "a.", true },
    { "a.*.b", "a..b", true },
    { "a..b", "a..b", true },
    { "a..b", "a.x.b", false },
    { "a.#", "a", true },
    { "a.#", "a.", true },
    { "a.#", "a.b.c", true },
    { "a.#", "b", false },
    { "#.a", "a", true },
    { "#.a", "b.a", true },
    { "#.a", "b.c.a", true },
    { "#.a", "a.b", false },
    { "a.#.b", "a.b", true },
    { "a.#.b", "a.x.y.b", true },
    { "a.#.b", "a.b.b", true },
    { "a.#.b", "a.b.c", false },
    { "#.#", "", true },
    { "#.#", "a", true },
    { "#.a.#", "x.a.y", true },
    { "#.a.#", "x.y", false },
    { "#.a.#.a.#", "a", false },
    { "#.a.#.a.#", "a.a", true },
    { "#.a.#.a.#", "x.a.y.a.z", true },
    { "#.*", "", false },
    { "#.*", "a", true },
    { "*.#", "", false },
    { "*.#.*", "a", false },
    { "*.#.*", "a.b", true },
    { "#.*.#.*.#", "a", false },
    { "#.*.#.*.#", "a.b", true },
    { "a*", "a*", true }, /* a wildcard is a whole word */
    { "a*", "ab", false },
    { "a#", "ab", false },
    { "**", "a", false },
    { "*", "#", true }, /* in a key they are words like any other */
    { "#", "*", true },
    { "a.b", "a.*", false },
    { "lazy.#", "lazy.pink.rabbit", true },
    { "*.orange.*", "quick.orange.male.rabbit", false },
};

LV_TEST(naive_matcher)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(cases); i++)
        if (lv_topic_match(lv_bytes_str(cases[i].pattern), lv_bytes_str(cases[i].key)) !=
            cases[i].matches) {
            fprintf(stderr, "pattern '%s', key '%s'\n", cases[i].pattern, cases[i].key);
            CHECK(false);
        }
}

LV_TEST(each_pattern_alone_in_the_trie)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(cases); i++) {
        struct world w;
        world_open(&w);
        queue(&w, "q");
        CHECK_EQ(bind(&w, "amq.topic", "q", cases[i].pattern, ""), LV_OK);
        if ((strcmp(routed(&w, "amq.topic", cases[i].key, ""), "q") == 0) != cases[i].matches) {
            fprintf(stderr, "pattern '%s', key '%s'\n", cases[i].pattern, cases[i].key);
            CHECK(false);
        }
        CHECK_EQ(unbind(&w, "amq.topic", "q", cases[i].pattern, ""), LV_OK);
        CHECK_STR(routed(&w, "amq.topic", cases[i].key, ""), "");
        world_close(&w);
    }
}

LV_TEST(all_patterns_together_in_the_trie)
{
    struct world w;
    char name[16];

    world_open(&w);
    for (size_t i = 0; i < LV_ARRAY_LEN(cases); i++) {
        snprintf(name, sizeof(name), "q%zu", i);
        queue(&w, name);
        CHECK_EQ(bind(&w, "amq.topic", name, cases[i].pattern, ""), LV_OK);
    }
    for (size_t i = 0; i < LV_ARRAY_LEN(cases); i++) {
        routed(&w, "amq.topic", cases[i].key, "");
        size_t wanted = 0;
        for (size_t j = 0; j < LV_ARRAY_LEN(cases); j++)
            wanted += lv_topic_match(lv_bytes_str(cases[j].pattern), lv_bytes_str(cases[i].key));
        CHECK_EQ(w.rt.count, wanted);
    }
    world_close(&w);
}

LV_TEST(a_queue_bound_by_many_patterns_gets_one_copy)
{
    struct world w;

    world_open(&w);
    queue(&w, "q");
    queue(&w, "r");
    CHECK_EQ(bind(&w, "amq.topic", "q", "#", ""), LV_OK);
    CHECK_EQ(bind(&w, "amq.topic", "q", "a.#", ""), LV_OK);
    CHECK_EQ(bind(&w, "amq.topic", "q", "*.b", ""), LV_OK);
    CHECK_EQ(bind(&w, "amq.topic", "q", "a.b", ""), LV_OK);
    CHECK_EQ(bind(&w, "amq.topic", "r", "a.b", ""), LV_OK);
    CHECK_STR(routed(&w, "amq.topic", "a.b", ""), "q r");
    CHECK_STR(routed(&w, "amq.topic", "b", ""), "q");
    world_close(&w);
}

/* The nodes of one pattern must not take down those that another still needs. */
LV_TEST(unbinding_leaves_what_others_need)
{
    struct world w;

    world_open(&w);
    queue(&w, "q");
    queue(&w, "r");
    CHECK_EQ(bind(&w, "amq.topic", "q", "a.#.b.#", ""), LV_OK);
    CHECK_EQ(bind(&w, "amq.topic", "r", "a.#", ""), LV_OK);
    CHECK_EQ(unbind(&w, "amq.topic", "r", "a.#", ""), LV_OK);
    CHECK_STR(routed(&w, "amq.topic", "a.x.b", ""), "q");
    CHECK_EQ(bind(&w, "amq.topic", "r", "a.#", ""), LV_OK);
    CHECK_EQ(unbind(&w, "amq.topic", "q", "a.#.b.#", ""), LV_OK);
    CHECK_STR(routed(&w, "amq.topic", "a.x.b", ""), "r");
    world_close(&w);
}

/* As many `#` as a key of 255 bytes has room for, against the key that keeps them all busy. */
LV_TEST(many_hashes_do_not_explode)
{
    char pattern[256], key[256], cc[8192];
    struct world w;

    world_open(&w);
    queue(&w, "q");
    for (size_t i = 0; i < 252; i += 4)
        memcpy(pattern + i, "#.a.", 4);
    pattern[251] = '\0';
    for (size_t i = 0; i < 254; i += 2)
        memcpy(key + i, "a.", 2);
    key[253] = '\0';
    CHECK_EQ(bind(&w, "amq.topic", "q", pattern, ""), LV_OK);
    CHECK_STR(routed(&w, "amq.topic", key, ""), "q");
    key[252] = 'b';
    CHECK_STR(routed(&w, "amq.topic", key, ""), "");
    for (size_t i = 0; i < sizeof(cc) - 1; i++) /* a CC key may be longer than a routing key */
        cc[i] = i % 2 ? '.' : 'a';
    struct lv_bytes more = lv_bytes(cc, sizeof(cc) - 1);
    CHECK_EQ(bind(&w, "amq.topic", "q", "#.a.*", ""), LV_OK);
    CHECK_STR(routed_keys(&w, "amq.topic", "no", &more, 1, ""), "q");
    world_close(&w);
}

/* Every key is matched afresh, also below two `#`. */
LV_TEST(keys_of_one_message_do_not_hide_each_other)
{
    struct lv_bytes more[] = { LV_BYTES_LIT("x.b.c"), LV_BYTES_LIT("b") };
    struct world w;

    world_open(&w);
    queue(&w, "q");
    queue(&w, "r");
    CHECK_EQ(bind(&w, "amq.topic", "q", "#.b.#.c", ""), LV_OK);
    CHECK_EQ(bind(&w, "amq.topic", "r", "#.b.#.d", ""), LV_OK);
    CHECK_STR(routed_keys(&w, "amq.topic", "b.d", more, 2, ""), "q r");
    CHECK_STR(routed_keys(&w, "amq.topic", "x", more, 2, ""), "q");
    world_close(&w);
}

LV_TEST(the_trie_shrinks_to_nothing)
{
    struct world w;

    world_open(&w);
    queue(&w, "q");
    int64_t before = lv_mem_used(LV_TAG_ROUTE);
    for (size_t i = 0; i < LV_ARRAY_LEN(cases); i++)
        CHECK_EQ(bind(&w, "amq.topic", "q", cases[i].pattern, ""), LV_OK);
    for (size_t i = 0; i < LV_ARRAY_LEN(cases); i++) {
        enum lv_err err = unbind(&w, "amq.topic", "q", cases[i].pattern, "");
        CHECK(err == LV_OK || err == LV_ENOTFOUND); /* some patterns stand in two cases */
    }
    CHECK_EQ(lv_mem_used(LV_TAG_ROUTE), before);
    world_close(&w);
}
