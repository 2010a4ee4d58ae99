/* The n-th allocation fails, for every n until none is left to fail: nothing may have changed, and the same change
 * must succeed afterwards. */
#include "route/route.h"

#include "base/mem.h"
#include "unit/route/world.h"

static struct world w;

static int64_t used(void)
{
    return lv_mem_used(LV_TAG_ROUTE) + lv_mem_used(LV_TAG_BASE);
}

/* Routes that tell one topology from another. */
static void picture(char *out, size_t size)
{
    static const char *const exchanges[] = { "amq.direct", "amq.fanout", "amq.topic", "amq.headers",
                                             "x" };
    size_t n = 0;

    for (size_t i = 0; i < LV_ARRAY_LEN(exchanges); i++)
        if (exchange(&w, exchanges[i]) != NULL)
            n += (size_t)snprintf(out + n, size - n, "%s:%s ", exchanges[i],
                                  routed(&w, exchanges[i], "k.k", "a=I:1 b=I:2 c=I:3"));
    snprintf(out + n, size - n, "%zu exchanges %zu queues %zu bindings", w.r.exchanges.count,
             w.r.queues.count, w.r.bindings.count);
}

/* `change` returns LV_OK or LV_ENOMEM. */
static void every_failure(enum lv_err (*change)(void))
{
    char before[8192], after[8192];
    enum lv_err err = LV_ENOMEM;

    picture(before, sizeof(before));
    for (uint64_t nth = 1; err != LV_OK; nth++) {
        CHECK(nth < 100);
        uint64_t version = atomic_load(&w.r.version);
        lv_mem_fail_at(nth);
        err = change();
        lv_mem_fail_at(0);
        if (err == LV_OK)
            break;
        CHECK_EQ(err, LV_ENOMEM);
        picture(after, sizeof(after));
        CHECK_STR(after, before);
        CHECK_EQ(atomic_load(&w.r.version), version);
    }
}

static const char *bind_to, *bind_key;
static struct lv_bytes bind_arguments;

static enum lv_err bind_it(void)
{
    return lv_router_bind(&w.r, exchange(&w, bind_to), dest(&w, "q"), lv_bytes_str(bind_key),
                          bind_arguments);
}

static enum lv_err unbind_it(void)
{
    return lv_router_unbind(&w.r, exchange(&w, bind_to), dest(&w, "q"), lv_bytes_str(bind_key),
                            bind_arguments);
}

/* Each binding alone, and behind others, so that sets and maps are due to grow. */
static void bind_and_unbind(const char *x, const char *key, const char *args)
{
    for (int others = 0; others <= 5; others++) {
        int64_t before = used();
        world_open(&w);
        queue(&w, "q");
        for (int i = 0; i < others; i++) {
            char name[8], number[16];
            snprintf(name, sizeof(name), "r%d", i);
            snprintf(number, sizeof(number), "n=I:%d", i);
            queue(&w, name);
            CHECK_EQ(bind(&w, x, name, i % 2 ? key : name, i % 2 ? args : number), LV_OK);
        }
        bind_to = x;
        bind_key = key;
        bind_arguments = table(&w, args);
        every_failure(bind_it);
        every_failure(unbind_it);
        world_close(&w);
        CHECK_EQ(used(), before);
    }
}

LV_TEST(bind_and_unbind_without_memory)
{
    bind_and_unbind("amq.direct", "k.k", "");
    bind_and_unbind("amq.fanout", "", "b=I:1 a=I:2");
    bind_and_unbind("amq.topic", "k.*", "");
    bind_and_unbind("amq.topic", "#.*.#.k.#.l.#", "");
    bind_and_unbind("amq.headers", "", "x-match=S:all a=I:1 b=I:2");
    bind_and_unbind("amq.headers", "", "x-match=S:any c=I:3 b=V a=I:1 d=I:1 e=I:1");
    bind_and_unbind("amq.headers", "", "x-match=S:all");
}

static enum lv_err declare_it(void)
{
    struct lv_exchange_spec spec = { .name = LV_BYTES_LIT("x"),
                                     .type = LV_EXCHANGE_TOPIC,
                                     .alternate = LV_BYTES_LIT("y"),
                                     .has_alternate = true };
    struct lv_exchange *x;

    return lv_router_declare(&w.r, &spec, &x);
}

static struct lv_dest late = { .name.key = LV_BYTES_LIT("late") };

static enum lv_err add_late(void)
{
    return lv_router_add_queue(&w.r, &late);
}

LV_TEST(declare_and_add_without_memory)
{
    for (int others = 0; others < 20; others++) {
        world_open(&w);
        for (int i = 0; i < others; i++) {
            char name[8];
            snprintf(name, sizeof(name), "x%d", i);
            declare(&w, name, LV_EXCHANGE_DIRECT, "");
            queue(&w, name);
        }
        every_failure(declare_it);
        every_failure(add_late);
        lv_router_remove_queue(&w.r, &late);
        world_close(&w);
    }
}

LV_TEST(init_without_memory)
{
    struct lv_router r;
    int64_t before = used();
    enum lv_err err = LV_ENOMEM;

    for (uint64_t nth = 1; err != LV_OK; nth++) {
        CHECK(nth < 100);
        lv_mem_fail_at(nth);
        err = lv_router_init(&r, &lv_reclaim_now);
        lv_mem_fail_at(0);
        if (err != LV_OK)
            CHECK_EQ(used(), before);
    }
    lv_router_fini(&r);
    CHECK_EQ(used(), before);
}

/* A removal may not fail: what it cannot shrink stays large. */
LV_TEST(removal_needs_no_memory)
{
    char name[8];

    world_open(&w);
    queue(&w, "q");
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "r%d", i);
        queue(&w, name);
        CHECK_EQ(bind(&w, "amq.fanout", name, "", ""), LV_OK);
    }
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "r%d", i);
        lv_mem_fail_at(1);
        remove_queue(&w, name);
        lv_mem_fail_at(0);
        routed(&w, "amq.fanout", "", "");
        CHECK_EQ(w.rt.count, 99 - i);
    }
    world_close(&w);
}

/* A route without memory is empty, and the next one is right. */
LV_TEST(route_without_memory)
{
    struct lv_bytes more[] = { LV_BYTES_LIT("q"), LV_BYTES_LIT("r7") };
    char name[8];

    world_open(&w);
    declare(&w, "x", LV_EXCHANGE_TOPIC, "");
    queue(&w, "q");
    CHECK_EQ(bind(&w, "amq.fanout", "x", "", ""), LV_OK);
    CHECK_EQ(bind(&w, "amq.fanout", "amq.headers", "", ""), LV_OK);
    CHECK_EQ(bind(&w, "amq.headers", "q", "", "x-match=S:any a=I:1"), LV_OK);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "r%d", i);
        queue(&w, name);
        CHECK_EQ(bind(&w, "x", name, "#.*.#", ""), LV_OK);
        CHECK_EQ(bind(&w, "x", name, name, ""), LV_OK);
    }
    struct lv_route_query query = { .key = LV_BYTES_LIT("r1"),
                                    .more_keys = more,
                                    .more_count = 2,
                                    .headers = table(&w, "a=I:1 b=V c=V d=V e=V f=V g=V h=V i=V") };
    enum lv_err err = LV_ENOMEM;
    for (uint64_t nth = 1; err != LV_OK; nth++) {
        struct lv_route rt;
        CHECK(nth < 100);
        lv_route_init(&rt);
        lv_mem_fail_at(nth);
        err = lv_route(&w.r, exchange(&w, "amq.fanout"), &query, &rt);
        lv_mem_fail_at(0);
        CHECK(err == LV_OK || (err == LV_ENOMEM && rt.count == 0));
        CHECK_EQ(lv_route(&w.r, exchange(&w, "amq.fanout"), &query, &rt), LV_OK);
        CHECK_EQ(rt.count, 41);
        lv_route_fini(&rt);
    }
    world_close(&w);
}
