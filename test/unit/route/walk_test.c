/* From exchange to exchange, alternates, several keys. */
#include "route/route.h"

#include "unit/route/world.h"

LV_TEST(default_exchange_knows_every_queue_by_name)
{
    struct lv_bytes more[] = { LV_BYTES_LIT("r"), LV_BYTES_LIT("q"), LV_BYTES_LIT("none") };
    struct world w;

    world_open(&w);
    queue(&w, "q");
    queue(&w, "r");
    CHECK_STR(routed(&w, "", "q", ""), "q");
    CHECK_STR(routed(&w, "", "none", ""), "");
    CHECK_STR(routed(&w, "", "amq.direct", ""), ""); /* an exchange is not a queue */
    CHECK_STR(routed_keys(&w, "", "q", more, 3, ""), "q r");
    remove_queue(&w, "q");
    CHECK_STR(routed(&w, "", "q", ""), "");
    world_close(&w);
}

LV_TEST(direct_and_fanout)
{
    struct lv_bytes more[] = { LV_BYTES_LIT("b"), LV_BYTES_LIT("c") };
    struct world w;

    world_open(&w);
    queue(&w, "q");
    queue(&w, "r");
    CHECK_EQ(bind(&w, "amq.direct", "q", "a", ""), LV_OK);
    CHECK_EQ(bind(&w, "amq.direct", "r", "a", ""), LV_OK);
    CHECK_EQ(bind(&w, "amq.direct", "r", "b", ""), LV_OK);
    CHECK_EQ(bind(&w, "amq.direct", "q", "", ""), LV_OK);
    CHECK_STR(routed(&w, "amq.direct", "a", ""), "q r");
    CHECK_STR(routed(&w, "amq.direct", "b", ""), "r");
    CHECK_STR(routed(&w, "amq.direct", "", ""), "q");
    CHECK_STR(routed(&w, "amq.direct", "*", ""), "");
    CHECK_STR(routed_keys(&w, "amq.direct", "", more, 2, ""), "q r"); /* CC */
    CHECK_EQ(bind(&w, "amq.fanout", "q", "a", ""), LV_OK);
    CHECK_EQ(bind(&w, "amq.fanout", "r", "b", ""), LV_OK);
    CHECK_EQ(bind(&w, "amq.fanout", "r", "c", ""), LV_OK);
    CHECK_STR(routed(&w, "amq.fanout", "x", ""), "q r");
    world_close(&w);
}

LV_TEST(sets_grow_and_shrink)
{
    enum { COUNT = 500 };
    char name[16];
    struct world w;

    world_open(&w);
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof(name), "q%d", i);
        queue(&w, name);
        CHECK_EQ(bind(&w, "amq.fanout", name, "", ""), LV_OK);
        routed(&w, "amq.fanout", "", "");
        CHECK_EQ(w.rt.count, i + 1);
    }
    for (int i = 0; i < COUNT; i++) { /* from somewhere in the middle */
        snprintf(name, sizeof(name), "q%d", (i * 7) % COUNT);
        CHECK_EQ(unbind(&w, "amq.fanout", name, "", ""), LV_OK);
        routed(&w, "amq.fanout", "", "");
        CHECK_EQ(w.rt.count, COUNT - 1 - i);
        for (size_t j = 0; j < w.rt.count; j++)
            CHECK(!lv_bytes_eq(w.rt.queues[j]->name.key, lv_bytes_str(name)));
    }
    world_close(&w);
}

/* Every exchange is visited once, so circles end. */
LV_TEST(exchange_to_exchange)
{
    struct world w;

    world_open(&w);
    queue(&w, "q");
    queue(&w, "r");
    declare(&w, "x1", LV_EXCHANGE_FANOUT, "");
    declare(&w, "x2", LV_EXCHANGE_TOPIC, "");
    declare(&w, "x3", LV_EXCHANGE_DIRECT, "");
    CHECK_EQ(bind(&w, "x1", "x2", "", ""), LV_OK);
    CHECK_EQ(bind(&w, "x1", "x3", "", ""), LV_OK);
    CHECK_EQ(bind(&w, "x2", "x1", "#", ""), LV_OK);
    CHECK_EQ(bind(&w, "x2", "q", "a.*", ""), LV_OK);
    CHECK_EQ(bind(&w, "x3", "r", "a.b", ""), LV_OK);
    CHECK_EQ(bind(&w, "x3", "q", "a.b", ""), LV_OK);
    CHECK_EQ(bind(&w, "x3", "x3", "a.b", ""), LV_OK);
    CHECK_STR(routed(&w, "x1", "a.b", ""), "q r");
    CHECK_STR(routed(&w, "x2", "a.b", ""), "q r");
    CHECK_STR(routed(&w, "x3", "a.b", ""), "q r");
    CHECK_STR(routed(&w, "x1", "a.c", ""), "q");
    CHECK(!w.rt.used_headers);
    CHECK(lv_route_uses_headers(&w.r, exchange(&w, "x1"))); /* might, for all it knows */
    CHECK_EQ(unbind(&w, "x1", "x2", "", ""), LV_OK);
    CHECK_STR(routed(&w, "x1", "a.c", ""), "");
    world_close(&w);
}

LV_TEST(headers_looked_at_are_told)
{
    struct world w;

    world_open(&w);
    queue(&w, "q");
    CHECK_EQ(bind(&w, "amq.topic", "amq.headers", "h.#", ""), LV_OK);
    CHECK_EQ(bind(&w, "amq.headers", "q", "", "a=I:1"), LV_OK);
    CHECK_STR(routed(&w, "amq.topic", "h", "a=I:1"), "q");
    CHECK(w.rt.used_headers);
    CHECK_STR(routed(&w, "amq.topic", "g", "a=I:1"), "");
    CHECK(!w.rt.used_headers);
    CHECK(lv_route_uses_headers(&w.r, exchange(&w, "amq.headers")));
    CHECK(!lv_route_uses_headers(&w.r, exchange(&w, "amq.direct")));
    CHECK_EQ(unbind(&w, "amq.topic", "amq.headers", "h.#", ""), LV_OK);
    CHECK(!lv_route_uses_headers(&w.r, exchange(&w, "amq.topic")));
    world_close(&w);
}

LV_TEST(alternate_takes_what_nothing_matched)
{
    struct world w;

    world_open(&w);
    queue(&w, "q");
    queue(&w, "rest");
    declare(&w, "x", LV_EXCHANGE_DIRECT, "ae=x2");
    CHECK_EQ(bind(&w, "x", "q", "k", ""), LV_OK);
    CHECK_STR(routed(&w, "x", "other", ""), ""); /* it need not exist */
    declare(&w, "x2", LV_EXCHANGE_FANOUT, "");
    CHECK_STR(routed(&w, "x", "other", ""), "");
    CHECK_EQ(bind(&w, "x2", "rest", "", ""), LV_OK);
    CHECK_STR(routed(&w, "x", "other", ""), "rest");
    CHECK_STR(routed(&w, "x", "k", ""), "q");
    lv_router_delete(&w.r, exchange(&w, "x2"));
    CHECK_STR(routed(&w, "x", "other", ""), "");
    world_close(&w);
}

/* Of two, the exchange's own comes first. */
LV_TEST(a_policy_may_name_the_alternate)
{
    struct world w;

    world_open(&w);
    queue(&w, "q");
    queue(&w, "rest");
    declare(&w, "x", LV_EXCHANGE_DIRECT, "");
    declare(&w, "x1", LV_EXCHANGE_DIRECT, "ae=none");
    declare(&w, "x2", LV_EXCHANGE_FANOUT, "");
    CHECK_EQ(bind(&w, "x2", "rest", "", ""), LV_OK);
    CHECK(!lv_route_uses_headers(&w.r, exchange(&w, "x")));
    uint64_t version = w.r.version;
    CHECK_EQ(lv_router_set_alternate(&w.r, exchange(&w, "x"), true, LV_BYTES_LIT("x2")), LV_OK);
    CHECK(w.r.version > version);
    CHECK(lv_route_uses_headers(&w.r, exchange(&w, "x")));
    CHECK_STR(routed(&w, "x", "k", ""), "rest");
    version = w.r.version;
    CHECK_EQ(lv_router_set_alternate(&w.r, exchange(&w, "x"), true, LV_BYTES_LIT("x2")), LV_OK);
    CHECK_EQ(w.r.version, version);
    CHECK_EQ(lv_router_set_alternate(&w.r, exchange(&w, "x1"), true, LV_BYTES_LIT("x2")), LV_OK);
    CHECK_STR(routed(&w, "x1", "k", ""), "");
    CHECK_EQ(lv_router_set_alternate(&w.r, exchange(&w, "x"), true, LV_BYTES_LIT("")), LV_OK);
    CHECK_STR(routed(&w, "x", "q", ""), "q");
    CHECK_EQ(lv_router_set_alternate(&w.r, exchange(&w, "x"), false, LV_BYTES_LIT("")), LV_OK);
    CHECK_STR(routed(&w, "x", "q", ""), "");
    CHECK_EQ(lv_router_set_alternate(&w.r, exchange(&w, "x"), true, LV_BYTES_LIT("x2")), LV_OK);
    world_close(&w);
}

/* Chained; a loop is cut; the default exchange may be one. */
LV_TEST(alternates_chain_and_loop)
{
    struct world w;

    world_open(&w);
    queue(&w, "q");
    declare(&w, "x1", LV_EXCHANGE_DIRECT, "ae=x2");
    declare(&w, "x2", LV_EXCHANGE_TOPIC, "ae=x3");
    declare(&w, "x3", LV_EXCHANGE_FANOUT, "ae=x1");
    CHECK_STR(routed(&w, "x1", "k", ""), "");
    CHECK_STR(routed(&w, "x2", "k", ""), "");
    CHECK_EQ(bind(&w, "x3", "q", "", ""), LV_OK);
    CHECK_STR(routed(&w, "x1", "k", ""), "q");
    declare(&w, "x4", LV_EXCHANGE_FANOUT, "ae=");
    CHECK_STR(routed(&w, "x4", "q", ""), "q");
    world_close(&w);
}

/* Leading to another exchange is a match, even if that one leads nowhere or was visited before. */
LV_TEST(a_match_that_leads_nowhere_is_a_match)
{
    struct world w;

    world_open(&w);
    queue(&w, "rest");
    declare(&w, "x1", LV_EXCHANGE_FANOUT, "ae=x3");
    declare(&w, "x2", LV_EXCHANGE_FANOUT, "");
    declare(&w, "x3", LV_EXCHANGE_FANOUT, "");
    CHECK_EQ(bind(&w, "x3", "rest", "", ""), LV_OK);
    CHECK_STR(routed(&w, "x1", "", ""), "rest");
    CHECK_EQ(bind(&w, "x1", "x2", "", ""), LV_OK);
    CHECK_STR(routed(&w, "x1", "", ""), "");
    CHECK_EQ(bind(&w, "x2", "x1", "", ""), LV_OK);
    CHECK_STR(routed(&w, "x2", "", ""), "");
    world_close(&w);
}

/* The numbers of the passes are used up once in two thousand million messages. */
LV_TEST(passes_wrap)
{
    struct world w;

    world_open(&w);
    queue(&w, "q");
    CHECK_EQ(bind(&w, "amq.topic", "q", "#.a.#.b.#", ""), LV_OK);
    CHECK_STR(routed(&w, "amq.topic", "a.b", ""), "q");
    w.rt.pass = UINT32_MAX / 2 - 20;
    for (int i = 0; i < 100; i++)
        CHECK_STR(routed(&w, "amq.topic", "a.b", ""), "q");
    CHECK(w.rt.pass < 1000);
    world_close(&w);
}
