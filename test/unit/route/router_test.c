/* Names, bindings, and what goes with what. */
#include "route/route.h"

#include "base/mem.h"
#include "unit/route/world.h"

LV_TEST(predeclared_exchanges_are_there)
{
    static const char *const names[] = {
        "",          "amq.direct",        "amq.fanout", "amq.topic", "amq.headers",
        "amq.match", "amq.rabbitmq.trace"
    };
    struct world w;

    world_open(&w);
    for (size_t i = 0; i < LV_ARRAY_LEN(names); i++) {
        CHECK(exchange(&w, names[i]) != NULL);
        CHECK(exchange(&w, names[i])->spec.durable);
    }
    CHECK_EQ(w.r.exchanges.count, LV_ARRAY_LEN(names));
    CHECK(exchange(&w, "")->is_default);
    CHECK(exchange(&w, "amq.rabbitmq.trace")->spec.internal);
    CHECK_EQ(exchange(&w, "amq.match")->spec.type, LV_EXCHANGE_HEADERS);
    world_close(&w);
}

LV_TEST(types_have_their_amqp_names)
{
    for (enum lv_exchange_type t = LV_EXCHANGE_DIRECT; t < LV_EXCHANGE_TYPE_COUNT; t++)
        CHECK_EQ(lv_exchange_type_of(lv_bytes_str(lv_exchange_type_name(t))), t);
    CHECK_EQ(lv_exchange_type_of(LV_BYTES_LIT("x-random")), LV_EXCHANGE_TYPE_COUNT);
    CHECK_EQ(lv_exchange_type_of(LV_BYTES_LIT("")), LV_EXCHANGE_TYPE_COUNT);
}

LV_TEST(names_are_taken_once)
{
    struct lv_exchange_spec spec = { .name = LV_BYTES_LIT("amq.direct") };
    struct lv_dest twin = { .name.key = LV_BYTES_LIT("q") };
    struct lv_exchange *x;
    struct world w;

    world_open(&w);
    queue(&w, "q");
    CHECK_EQ(lv_router_declare(&w.r, &spec, &x), LV_EEXISTS);
    CHECK_EQ(lv_router_add_queue(&w.r, &twin), LV_EEXISTS);
    spec.name = LV_BYTES_LIT("q"); /* exchanges and queues have names of their own */
    CHECK_EQ(lv_router_declare(&w.r, &spec, &x), LV_OK);
    world_close(&w);
}

LV_TEST(the_specification_is_copied)
{
    char name[] = "logs", alternate[] = "rest", arguments[] = "\1aV";
    struct lv_exchange_spec spec = { .name = lv_bytes_str(name),
                                     .type = LV_EXCHANGE_TOPIC,
                                     .alternate = lv_bytes_str(alternate),
                                     .has_alternate = true,
                                     .arguments = lv_bytes_str(arguments) };
    struct lv_exchange *x;
    struct world w;

    world_open(&w);
    CHECK_EQ(lv_router_declare(&w.r, &spec, &x), LV_OK);
    name[0] = alternate[0] = arguments[0] = '?';
    CHECK_EQ(exchange(&w, "logs"), x);
    CHECK(lv_bytes_eq(x->spec.name, LV_BYTES_LIT("logs")));
    CHECK(lv_bytes_eq(x->spec.alternate, LV_BYTES_LIT("rest")));
    CHECK(lv_bytes_eq(x->spec.arguments, LV_BYTES_LIT("\1aV")));
    world_close(&w);
}

LV_TEST(indexes_are_dense_and_reused)
{
    struct world w;

    world_open(&w);
    queue(&w, "a");
    queue(&w, "b");
    uint32_t a = dest(&w, "a")->index, b = dest(&w, "b")->index;
    CHECK_NE(a, b);
    CHECK_EQ(LV_MAX(a, b), w.r.exchanges.count + 1);
    remove_queue(&w, "a");
    declare(&w, "x", LV_EXCHANGE_DIRECT, "");
    CHECK_EQ(exchange(&w, "x")->dest.index, a);
    world_close(&w);
}

LV_TEST(a_binding_counts_once_and_is_found_again)
{
    struct world w;

    world_open(&w);
    declare(&w, "x", LV_EXCHANGE_DIRECT, "");
    queue(&w, "q");
    CHECK_EQ(bind(&w, "x", "q", "k", ""), LV_OK);
    CHECK_EQ(bind(&w, "x", "q", "k", ""), LV_OK);
    CHECK_EQ(exchange(&w, "x")->bindings_out_count, 1);
    CHECK_EQ(bind(&w, "x", "q", "k", "a=I:1"), LV_OK); /* other arguments: another binding */
    CHECK_EQ(exchange(&w, "x")->bindings_out_count, 2);
    CHECK_STR(routed(&w, "x", "k", ""), "q"); /* and one delivery */
    CHECK_EQ(unbind(&w, "x", "q", "k", ""), LV_OK);
    CHECK_STR(routed(&w, "x", "k", ""), "q");
    CHECK_EQ(unbind(&w, "x", "q", "k", ""), LV_ENOTFOUND);
    CHECK_EQ(unbind(&w, "x", "q", "other", ""), LV_ENOTFOUND);
    CHECK_EQ(unbind(&w, "x", "q", "k", "a=I:1"), LV_OK);
    CHECK_STR(routed(&w, "x", "k", ""), "");
    world_close(&w);
}

/* Clients whose tables have no order send them in any. */
LV_TEST(order_of_arguments_does_not_matter)
{
    char many[2048], backwards[2048];
    size_t used = 0, used_backwards = 0;
    struct world w;

    world_open(&w);
    queue(&w, "q");
    CHECK_EQ(bind(&w, "amq.headers", "q", "", "a=I:1 b=S:x x-match=S:any c=V"), LV_OK);
    CHECK_EQ(bind(&w, "amq.headers", "q", "", "x-match=S:any c=V b=S:x a=I:1"), LV_OK);
    CHECK_EQ(exchange(&w, "amq.headers")->bindings_out_count, 1);
    struct lv_binding *b =
        LV_CONTAINER_OF(exchange(&w, "amq.headers")->bindings_out.next, struct lv_binding, out);
    struct lv_bytes sorted = table(&w, "a=I:1 b=S:x c=V x-match=S:any");
    CHECK(lv_bytes_eq(b->arguments, sorted));
    CHECK_EQ(unbind(&w, "amq.headers", "q", "", "b=S:x c=V a=I:1 x-match=S:any"), LV_OK);
    CHECK_EQ(exchange(&w, "amq.headers")->bindings_out_count, 0);
    for (int i = 0; i < 100; i++) { /* more than fits on the stack */
        used += (size_t)snprintf(many + used, sizeof(many) - used, "h%02d=I:%d ", i, i);
        used_backwards +=
            (size_t)snprintf(backwards + used_backwards, sizeof(backwards) - used_backwards,
                             "h%02d=I:%d ", 99 - i, 99 - i);
    }
    CHECK_EQ(bind(&w, "amq.headers", "q", "", many), LV_OK);
    CHECK_EQ(unbind(&w, "amq.headers", "q", "", backwards), LV_OK);
    world_close(&w);
}

LV_TEST(the_default_exchange_takes_no_bindings)
{
    struct world w;

    world_open(&w);
    queue(&w, "q");
    CHECK_EQ(bind(&w, "", "q", "k", ""), LV_EREFUSED);
    CHECK_EQ(bind(&w, "amq.direct", "", "k", ""), LV_EREFUSED);
    CHECK_EQ(unbind(&w, "", "q", "q", ""), LV_ENOTFOUND);
    world_close(&w);
}

LV_TEST(a_removed_queue_takes_its_bindings_along)
{
    struct world w;

    world_open(&w);
    queue(&w, "q");
    queue(&w, "r");
    for (enum lv_exchange_type t = LV_EXCHANGE_DIRECT; t < LV_EXCHANGE_TYPE_COUNT; t++) {
        char name[32];
        snprintf(name, sizeof(name), "amq.%s", lv_exchange_type_name(t));
        CHECK_EQ(bind(&w, name, "q", "k", "h=I:1"), LV_OK);
        CHECK_EQ(bind(&w, name, "r", "k", "h=I:1"), LV_OK);
    }
    CHECK_EQ(w.r.bindings.count, 8);
    remove_queue(&w, "q");
    CHECK_EQ(w.r.bindings.count, 4);
    for (enum lv_exchange_type t = LV_EXCHANGE_DIRECT; t < LV_EXCHANGE_TYPE_COUNT; t++) {
        char name[32];
        snprintf(name, sizeof(name), "amq.%s", lv_exchange_type_name(t));
        CHECK_STR(routed(&w, name, "k", "h=I:1"), "r");
    }
    world_close(&w);
}

LV_TEST(a_deleted_exchange_takes_its_bindings_along)
{
    struct world w;

    world_open(&w);
    declare(&w, "x", LV_EXCHANGE_TOPIC, "");
    queue(&w, "q");
    CHECK_EQ(bind(&w, "amq.fanout", "x", "", ""), LV_OK);
    CHECK_EQ(bind(&w, "amq.fanout", "q", "", ""), LV_OK);
    CHECK_EQ(bind(&w, "x", "q", "#.#", ""), LV_OK);
    CHECK_EQ(bind(&w, "x", "x", "a", ""), LV_OK);
    lv_router_delete(&w.r, exchange(&w, "x"));
    CHECK(exchange(&w, "x") == NULL);
    CHECK_EQ(w.r.bindings.count, 1);
    CHECK_EQ(exchange(&w, "amq.fanout")->bindings_out_count, 1);
    CHECK_STR(routed(&w, "amq.fanout", "", ""), "q");
    world_close(&w);
}

LV_TEST(an_auto_delete_exchange_goes_with_its_last_binding)
{
    struct world w;

    world_open(&w);
    queue(&w, "q");
    declare(&w, "x", LV_EXCHANGE_DIRECT, "auto_delete");
    CHECK_EQ(bind(&w, "amq.direct", "x", "", ""), LV_OK); /* as a destination does not count */
    CHECK_EQ(unbind(&w, "amq.direct", "x", "", ""), LV_OK);
    CHECK_EQ(bind(&w, "x", "q", "a", ""), LV_OK);
    CHECK_EQ(bind(&w, "x", "q", "b", ""), LV_OK);
    CHECK_EQ(unbind(&w, "x", "q", "a", ""), LV_OK);
    CHECK(exchange(&w, "x") != NULL);
    CHECK_EQ(unbind(&w, "x", "q", "b", ""), LV_OK);
    CHECK(exchange(&w, "x") == NULL);
    world_close(&w);
}

/* x0 -> x1 -> ... -> x999 -> q: all go when q does, without a stack frame for each. */
LV_TEST(auto_delete_cascades)
{
    enum { LENGTH = 1000 };
    char name[16], next[16];
    struct world w;

    world_open(&w);
    queue(&w, "q");
    for (int i = 0; i < LENGTH; i++) {
        snprintf(name, sizeof(name), "x%d", i);
        declare(&w, name, (enum lv_exchange_type)(i % LV_EXCHANGE_TYPE_COUNT), "auto_delete");
    }
    for (int i = 0; i < LENGTH; i++) {
        snprintf(name, sizeof(name), "x%d", i);
        snprintf(next, sizeof(next), "x%d", i + 1);
        CHECK_EQ(bind(&w, name, i + 1 < LENGTH ? next : "q", "k", ""), LV_OK);
    }
    CHECK_STR(routed(&w, "x0", "k", ""), "q");
    remove_queue(&w, "q");
    CHECK_EQ(w.r.exchanges.count, 7);
    CHECK_EQ(w.r.bindings.count, 0);
    world_close(&w);
}

LV_TEST(auto_delete_exchange_bound_to_itself)
{
    struct world w;

    world_open(&w);
    declare(&w, "x", LV_EXCHANGE_FANOUT, "auto_delete");
    declare(&w, "xy", LV_EXCHANGE_FANOUT, "auto_delete");
    CHECK_EQ(bind(&w, "x", "x", "", ""), LV_OK);
    CHECK_EQ(bind(&w, "x", "xy", "", ""), LV_OK);
    CHECK_EQ(bind(&w, "xy", "x", "", ""), LV_OK);
    lv_router_delete(&w.r, exchange(&w, "x")); /* takes xy's only binding */
    CHECK_EQ(w.r.exchanges.count, 7);
    declare(&w, "x", LV_EXCHANGE_FANOUT, "auto_delete");
    CHECK_EQ(bind(&w, "x", "x", "", ""), LV_OK);
    CHECK_EQ(unbind(&w, "x", "x", "", ""), LV_OK);
    CHECK_EQ(w.r.exchanges.count, 7);
    world_close(&w);
}

LV_TEST(version_grows_with_every_change)
{
    uint64_t version;
    struct world w;

    world_open(&w);
#define GROWS(change)                               \
    do {                                            \
        version = atomic_load(&w.r.version);        \
        change;                                     \
        CHECK(atomic_load(&w.r.version) > version); \
    } while (0)
    GROWS(queue(&w, "q"));
    GROWS(declare(&w, "x", LV_EXCHANGE_DIRECT, ""));
    GROWS(CHECK_EQ(bind(&w, "x", "q", "k", ""), LV_OK));
    GROWS(CHECK_EQ(unbind(&w, "x", "q", "k", ""), LV_OK));
    GROWS(lv_router_delete(&w.r, exchange(&w, "x")));
    GROWS(remove_queue(&w, "q"));
#undef GROWS
    version = atomic_load(&w.r.version);
    routed(&w, "amq.topic", "k", "");
    CHECK_EQ(atomic_load(&w.r.version), version);
    world_close(&w);
}

/* Everything is given back, whatever was bound. */
LV_TEST(nothing_is_left_behind)
{
    int64_t before = lv_mem_used(LV_TAG_ROUTE) + lv_mem_used(LV_TAG_BASE);
    struct world w;

    world_open(&w);
    queue(&w, "q");
    for (int i = 0; i < 1000; i++) {
        char key[64], arguments[64];
        snprintf(key, sizeof(key), "#.%d.*.#.a%d", i % 7, i);
        snprintf(arguments, sizeof(arguments), "x-match=S:%s a=I:%d b=V", i % 2 ? "any" : "all", i);
        CHECK_EQ(bind(&w, "amq.topic", "q", key, ""), LV_OK);
        CHECK_EQ(bind(&w, "amq.direct", "q", key, ""), LV_OK);
        CHECK_EQ(bind(&w, "amq.fanout", "q", key, ""), LV_OK);
        CHECK_EQ(bind(&w, "amq.headers", "q", "", arguments), LV_OK);
        w.tables_used = 0;
    }
    world_close(&w);
    CHECK_EQ(lv_mem_used(LV_TAG_ROUTE) + lv_mem_used(LV_TAG_BASE), before);
}

/* What a million bindings weigh. The figures are bounds, not measurements. */
static int64_t weight(struct lv_dest *queues, uint32_t queue_count, uint32_t per_queue,
                      bool keys_shared)
{
    int64_t before = lv_mem_used(LV_TAG_ROUTE) + lv_mem_used(LV_TAG_BASE);
    struct lv_router r;
    char text[32];

    CHECK_EQ(lv_router_init(&r, &lv_reclaim_now), LV_OK);
    struct lv_exchange *x = lv_router_exchange(&r, LV_BYTES_LIT("amq.direct"));
    for (uint32_t i = 0; i < queue_count; i++) {
        snprintf(text, sizeof(text), "q%u", i);
        char *name = strdup(text);
        queues[i].name.key = lv_bytes_str(name);
        CHECK_EQ(lv_router_add_queue(&r, &queues[i]), LV_OK);
        for (uint32_t k = 0; k < per_queue; k++) {
            snprintf(text, sizeof(text), "%08x", keys_shared ? (i + k) % 1000 : i * per_queue + k);
            CHECK_EQ(lv_router_bind(&r, x, &queues[i], lv_bytes(text, 8), lv_bytes(NULL, 0)), LV_OK);
        }
    }
    int64_t used = lv_mem_used(LV_TAG_ROUTE) + lv_mem_used(LV_TAG_BASE) - before;
    for (uint32_t i = 0; i < queue_count; i++) {
        lv_router_remove_queue(&r, &queues[i]);
        free((void *)(uintptr_t)queues[i].name.key.ptr);
    }
    lv_router_fini(&r);
    CHECK_EQ(lv_mem_used(LV_TAG_ROUTE) + lv_mem_used(LV_TAG_BASE), before);
    return used;
}

/* ThreadSanitizer makes it a minute's work, and sees nothing new in it. */
#if defined(__SANITIZE_THREAD__)
#define MILLION 100000u
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MILLION 100000u
#endif
#endif
#ifndef MILLION
#define MILLION 1000000u
#endif

LV_TEST(a_million_bindings_are_light)
{
    enum { EACH = 10 };
    struct lv_dest *queues = calloc(MILLION / EACH, sizeof(*queues));

    int64_t shared = weight(queues, MILLION / EACH, EACH, true) / MILLION;
    int64_t alone = weight(queues, MILLION / EACH, EACH, false) / MILLION;
    printf("bytes a binding with a key of 8: shared keys %d, keys of its own %d\n", (int)shared,
           (int)alone);
    CHECK(shared < 220);
    CHECK(alone < 300);
    free(queues);
}

LV_TEST(an_empty_exchange_is_small)
{
    struct world w;

    world_open(&w);
    int64_t before = lv_mem_used(LV_TAG_ROUTE);
    declare(&w, "x", LV_EXCHANGE_TOPIC, "");
    CHECK(lv_mem_used(LV_TAG_ROUTE) - before < 512);
    world_close(&w);
}
