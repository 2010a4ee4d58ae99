/* Headers: each case by the naive matcher, and by the exchange. */
#include "route/route.h"

#include "unit/route/world.h"

static const struct {
    const char *arguments, *headers;
    bool matches;
} cases[] = {
    { "x-match=S:all a=I:1 b=S:x", "a=I:1 b=S:x", true },
    { "x-match=S:all a=I:1 b=S:x", "b=S:x c=V a=I:1", true },
    { "x-match=S:all a=I:1 b=S:x", "a=I:1", false },
    { "x-match=S:all a=I:1 b=S:x", "a=I:1 b=S:y", false },
    { "x-match=S:all a=I:1 b=S:x", "", false },
    { "a=I:1 b=S:x", "a=I:1 b=S:x", true }, /* all is the default */
    { "a=I:1 b=S:x", "a=I:1", false },
    { "x-match=S:any a=I:1 b=S:x", "a=I:1", true },
    { "x-match=S:any a=I:1 b=S:x", "b=S:x", true },
    { "x-match=S:any a=I:1 b=S:x", "a=I:2 b=S:y", false },
    { "x-match=S:any a=I:1 b=S:x", "", false },
    { "x-match=S:all", "", true }, /* nothing asked: everything passes, nothing holds */
    { "x-match=S:all", "a=I:1", true },
    { "", "a=I:1", true },
    { "x-match=S:any", "a=I:1", false },
    { "x-match=S:any", "", false },
    { "x-match=S:all a=V", "a=I:1", true }, /* presence */
    { "x-match=S:all a=V", "a=V", true },
    { "x-match=S:all a=V", "b=I:1", false },
    { "x-match=S:any a=V b=V", "b=S:", true },
    { "a=I:1", "a=V", false },
    { "a=I:1", "a=l:1", true }, /* the width of an integer does not matter */
    { "a=b:-1", "a=l:-1", true },
    { "a=I:1", "a=d:1.0", true }, /* nor, for whole numbers, that it came as a float */
    { "a=d:3.0", "a=b:3", true },
    { "a=I:1", "a=d:1.5", false },
    { "a=I:1", "a=d:1e300", false },
    { "a=I:1", "a=S:1", false },
    { "a=I:1", "a=t:1", false },
    { "a=I:1", "a=T:1", false },
    { "a=d:0.0", "a=d:-0.0", true },
    { "a=d:1.5", "a=d:1.5", true },
    { "a=t:1", "a=t:1", true },
    { "a=t:1", "a=t:0", false },
    { "a=S:x", "A=S:x", false },
    { "a=S:x", "a=S:X", false },
    { "a=S:", "a=S:", true },
    { "x-match=S:all x-a=I:1 b=I:1", "b=I:1", true }, /* x- is left out ... */
    { "x-match=S:all x-a=I:1", "", true },
    { "x-match=S:any x-a=I:1", "x-a=I:1", false },
    { "x-match=S:all-with-x x-a=I:1 b=I:1", "b=I:1", false }, /* ... or not */
    { "x-match=S:all-with-x x-a=I:1 b=I:1", "x-a=I:1 b=I:1", true },
    { "x-match=S:any-with-x x-a=I:1 b=I:1", "x-a=I:1", true },
    { "x-match=S:any-with-x", "x-match=S:any-with-x", false }, /* x-match itself never counts */
    { "x-match=S:all-with-x", "", true },
    { "a=I:1 a=I:2", "a=I:1", false }, /* both are asked for */
    { "x-match=S:any a=I:1 a=I:2", "a=I:2", true },
    { "a=I:1", "a=I:2 a=I:1", true }, /* the last of equal names counts */
    { "a=I:1", "a=I:1 a=I:2", false },
};

static void failed(size_t i)
{
    fprintf(stderr, "arguments '%s', headers '%s'\n", cases[i].arguments, cases[i].headers);
    CHECK(false);
}

LV_TEST(naive_matcher)
{
    struct world w;

    world_open(&w);
    for (size_t i = 0; i < LV_ARRAY_LEN(cases); i++)
        if (lv_headers_match(table(&w, cases[i].arguments), table(&w, cases[i].headers)) !=
            cases[i].matches)
            failed(i);
    world_close(&w);
}

LV_TEST(each_binding_alone)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(cases); i++) {
        struct world w;
        world_open(&w);
        queue(&w, "q");
        CHECK_EQ(bind(&w, "amq.match", "q", "any key", cases[i].arguments), LV_OK);
        if ((strcmp(routed(&w, "amq.match", "", cases[i].headers), "q") == 0) != cases[i].matches)
            failed(i);
        CHECK_EQ(unbind(&w, "amq.match", "q", "any key", cases[i].arguments), LV_OK);
        CHECK_STR(routed(&w, "amq.match", "", cases[i].headers), "");
        world_close(&w);
    }
}

LV_TEST(all_bindings_together)
{
    struct world w;
    char name[16];

    world_open(&w);
    for (size_t i = 0; i < LV_ARRAY_LEN(cases); i++) {
        snprintf(name, sizeof(name), "q%zu", i);
        queue(&w, name);
        CHECK_EQ(bind(&w, "amq.headers", name, "", cases[i].arguments), LV_OK);
    }
    for (size_t i = 0; i < LV_ARRAY_LEN(cases); i++) {
        routed(&w, "amq.headers", "", cases[i].headers);
        size_t wanted = 0;
        for (size_t j = 0; j < LV_ARRAY_LEN(cases); j++)
            wanted += lv_headers_match(table(&w, cases[j].arguments), table(&w, cases[i].headers));
        CHECK_EQ(w.rt.count, wanted);
        w.tables_used = 0;
    }
    world_close(&w);
}

LV_TEST(bad_x_match_is_refused)
{
    struct world w;

    world_open(&w);
    queue(&w, "q");
    CHECK_EQ(bind(&w, "amq.headers", "q", "", "x-match=S:some a=I:1"), LV_EINVAL);
    CHECK_EQ(bind(&w, "amq.headers", "q", "", "x-match=I:1"), LV_EINVAL);
    CHECK_EQ(bind(&w, "amq.headers", "q", "", "x-match=S:"), LV_EINVAL);
    CHECK_EQ(w.r.bindings.count, 0);
    CHECK_EQ(bind(&w, "amq.direct", "q", "", "x-match=S:some"), LV_OK); /* means nothing there */
    world_close(&w);
}

/* More headers than the first table of the scan has room for, and the last ones count too. */
LV_TEST(many_headers)
{
    char headers[4096];
    size_t used = 0;
    struct world w;

    world_open(&w);
    queue(&w, "q");
    CHECK_EQ(bind(&w, "amq.headers", "q", "", "h0=I:0 h199=I:199 h100=V"), LV_OK);
    for (int i = 0; i < 200; i++)
        used += (size_t)snprintf(headers + used, sizeof(headers) - used, "h%d=I:%d ", i, i);
    CHECK_STR(routed(&w, "amq.headers", "", headers), "q");
    CHECK_STR(routed(&w, "amq.headers", "", "h0=I:0 h199=I:199"), "");
    world_close(&w);
}

/* The headers of the last message are forgotten. */
LV_TEST(each_message_is_scanned)
{
    struct world w;

    world_open(&w);
    queue(&w, "q");
    CHECK_EQ(bind(&w, "amq.headers", "q", "", "a=I:1"), LV_OK);
    CHECK_STR(routed(&w, "amq.headers", "", "a=I:1"), "q");
    CHECK_STR(routed(&w, "amq.headers", "", "a=I:2"), "");
    CHECK_STR(routed(&w, "amq.headers", "", ""), "");
    CHECK_STR(routed(&w, "amq.headers", "", "a=I:1"), "q");
    world_close(&w);
}
