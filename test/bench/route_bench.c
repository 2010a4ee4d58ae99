/* What routing costs by itself: nanoseconds for each route or change, the best of five runs.
 *
 *   route_bench [simple] [topic] [headers] [changes]
 *
 * "the same" sends one key again and again; "spread" walks through many, so that caches help as little as in life.
 */
#include "base/mem.h"
#include "base/table.h"
#include "route/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RUNS = 5, QUEUES = 100000, KEYS = 4096 };

static struct lv_router router;
static struct lv_route rt;
static struct lv_dest *queues;
static struct lv_bytes keys[KEYS];
static uint8_t tables[1 << 16];
static size_t tables_used;
static const struct lv_bytes nothing = { NULL, 0 };
static char **wanted;

static double seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static bool is_wanted(const char *name)
{
    bool is = wanted[0] == NULL;

    for (char **word = wanted; *word != NULL && !is; word++)
        is = strstr(name, *word) != NULL;
    return is;
}

static void must(enum lv_err err)
{
    if (err != LV_OK) {
        fprintf(stderr, "%s\n", lv_err_text(err));
        exit(1);
    }
}

static struct lv_bytes text(const char *format, unsigned a, unsigned b)
{
    char *s = malloc(64);

    return lv_bytes(s, (size_t)snprintf(s, 64, format, a, b));
}

static struct lv_exchange *exchange(const char *name)
{
    return lv_router_exchange(&router, lv_bytes_str(name));
}

static void open_router(void)
{
    must(lv_router_init(&router, &lv_reclaim_now));
    for (unsigned i = 0; i < QUEUES; i++)
        must(lv_router_add_queue(&router, &queues[i]));
}

static void close_router(void)
{
    for (unsigned i = 0; i < QUEUES; i++)
        lv_router_remove_queue(&router, &queues[i]);
    lv_router_fini(&router);
}

/* Routes keys[0 .. count-1] in turn. */
static void routes(const char *name, const char *x_name, unsigned count, struct lv_bytes headers)
{
    enum { ROUTES = 400000 };
    struct lv_exchange *x = exchange(x_name);
    double best = 1e9;
    size_t found = 0;

    for (int run = 0; run < RUNS; run++) {
        double start = seconds();
        found = 0;
        for (unsigned i = 0; i < ROUTES; i++) {
            struct lv_route_query query = { .key = keys[i % count], .headers = headers };
            must(lv_route(&router, x, &query, &rt));
            found += rt.count;
        }
        best = LV_MIN(best, seconds() - start);
    }
    printf("%-46s %8.1f ns   %6.2f queues\n", name, best / ROUTES * 1e9, (double)found / ROUTES);
}

static void bind(const char *x, unsigned queue, struct lv_bytes key, struct lv_bytes arguments)
{
    must(lv_router_bind(&router, exchange(x), &queues[queue], key, arguments));
}

static void simple(void)
{
    for (unsigned i = 0; i < KEYS; i++)
        keys[i] = queues[i * 24].name.key;
    routes("default exchange, 100,000 queues, the same", "", 1, nothing);
    routes("default exchange, 100,000 queues, spread", "", KEYS, nothing);
    for (unsigned i = 0; i < QUEUES; i++)
        bind("amq.direct", i, queues[i].name.key, nothing);
    routes("direct, 100,000 keys, the same", "amq.direct", 1, nothing);
    routes("direct, 100,000 keys, spread", "amq.direct", KEYS, nothing);
    for (unsigned i = 0; i < 10; i++)
        bind("amq.fanout", i, nothing, nothing);
    routes("fanout, 10 queues", "amq.fanout", 1, nothing);
    for (unsigned i = 10; i < 1000; i++)
        bind("amq.fanout", i, nothing, nothing);
    routes("fanout, 1,000 queues", "amq.fanout", 1, nothing);
}

/* Patterns as in life: a few exact, most with `*` or `#` somewhere. A key of four words matches a handful. */
static struct lv_bytes pattern(unsigned i, unsigned count)
{
    static const char *const forms[] = { "r%u.s%u.info.x", "r%u.*.s%u.x", "r%u.s%u.#",  "r%u.#.s%u",
                                         "#.r%u.s%u.*",    "*.r%u.s%u.#", "r%u.s%u.*.y" };
    unsigned regions = 1;

    while (regions * regions < count)
        regions++;
    return text(forms[i % LV_ARRAY_LEN(forms)], i % regions, i / regions);
}

static void topic(void)
{
    static const struct {
        const char *name;
        unsigned count;
    } sizes[] = { { "topic, 100 patterns", 100 },
                  { "topic, 1,000 patterns", 1000 },
                  { "topic, 10,000 patterns", 10000 },
                  { "topic, 100,000 patterns", 100000 } };

    for (size_t i = 0; i < LV_ARRAY_LEN(sizes); i++) {
        unsigned regions = 1, count = sizes[i].count;
        char name[64];
        while (regions * regions < count)
            regions++;
        open_router();
        for (unsigned p = 0; p < count; p++)
            bind("amq.topic", p, pattern(p, count), nothing);
        for (unsigned k = 0; k < KEYS; k++) {
            static const char *const forms[] = { "r%u.s%u.info.x", "a.r%u.s%u.x", "r%u.x.s%u.x" };
            keys[k] = text(forms[k % LV_ARRAY_LEN(forms)], k * 7 % regions, k * 13 % regions);
        }
        snprintf(name, sizeof(name), "%s, the same", sizes[i].name);
        routes(name, "amq.topic", 1, nothing);
        snprintf(name, sizeof(name), "%s, spread", sizes[i].name);
        routes(name, "amq.topic", KEYS, nothing);
        close_router();
    }
}

static struct lv_bytes table(const char *match, unsigned type, unsigned format)
{
    struct lv_wr w = lv_wr(tables + tables_used, sizeof(tables) - tables_used);

    if (match != NULL)
        lv_table_put_str(&w, "x-match", lv_bytes_str(match));
    lv_table_put_str(&w, "type", text("type-%u", type, 0));
    lv_table_put_i64(&w, "format", format);
    if (match == NULL)
        lv_table_put_str(&w, "sender", LV_BYTES_LIT("somebody"));
    LV_ASSERT(lv_wr_ok(&w));
    struct lv_bytes b = lv_bytes(tables + tables_used, w.used);
    tables_used += w.used;
    return b;
}

static void headers(void)
{
    static const char *const matches[] = { "all", "any" };

    for (size_t m = 0; m < LV_ARRAY_LEN(matches); m++) {
        char name[64];
        open_router();
        tables_used = 0;
        for (unsigned i = 0; i < 100; i++)
            bind("amq.headers", i, nothing, table(matches[m], i, m == 0 ? i % 10 : 1000 + i));
        snprintf(name, sizeof(name), "headers, 100 bindings of %s, 3 headers", matches[m]);
        routes(name, "amq.headers", 1, table(NULL, 57, 7));
        close_router();
    }
}

/* A million bindings beside 100,000 queues. */
static void changes(void)
{
    enum { EACH = 10 };
    const double bindings = QUEUES * EACH;
    static struct lv_bytes own[QUEUES];
    int64_t before = lv_mem_used(LV_TAG_ROUTE) + lv_mem_used(LV_TAG_BASE);
    char key[16];
    double start = seconds(), longest = 0;

    for (unsigned i = 0; i < QUEUES; i++) {
        for (unsigned k = 0; k < EACH; k++) {
            double at = seconds();
            snprintf(key, sizeof(key), "%08x", (i * EACH + k) % 200000);
            bind("amq.direct", i, lv_bytes(key, 8), nothing);
            longest = LV_MAX(longest, seconds() - at);
        }
    }
    printf("%-46s %8.1f ns   longest %.1f ms, %.0f bytes each\n", "bind, direct, up to 1,000,000",
           (seconds() - start) / bindings * 1e9, longest * 1e3,
           (double)(lv_mem_used(LV_TAG_ROUTE) + lv_mem_used(LV_TAG_BASE) - before) / bindings);
    for (unsigned i = 0; i < QUEUES; i++)
        own[i] = text("k%u.*.#", i, 0);
    start = seconds();
    for (unsigned i = 0; i < QUEUES; i++)
        bind("amq.topic", i, own[i], nothing);
    printf("%-46s %8.1f ns\n", "bind, topic, 100,000 more", (seconds() - start) / QUEUES * 1e9);
    start = seconds();
    for (unsigned i = 0; i < QUEUES; i++)
        must(lv_router_unbind(&router, exchange("amq.topic"), &queues[i], own[i], nothing));
    printf("%-46s %8.1f ns\n", "unbind, topic, 100,000", (seconds() - start) / QUEUES * 1e9);
    start = seconds();
    for (unsigned i = 0; i < QUEUES; i++)
        lv_router_remove_queue(&router, &queues[i]);
    printf("%-46s %8.1f ns\n", "remove a queue with 10 bindings",
           (seconds() - start) / QUEUES * 1e9);
    start = seconds();
    for (unsigned i = 0; i < QUEUES; i++)
        must(lv_router_add_queue(&router, &queues[i]));
    printf("%-46s %8.1f ns\n", "add a queue", (seconds() - start) / QUEUES * 1e9);
}

int main(int argc, char **argv)
{
    (void)argc;
    wanted = argv + 1;
    queues = calloc(QUEUES, sizeof(*queues));
    for (unsigned i = 0; i < QUEUES; i++)
        queues[i].name.key = text("queue-%u", i, 0);
    lv_route_init(&rt);
    if (is_wanted("simple")) {
        open_router();
        simple();
        close_router();
    }
    if (is_wanted("topic"))
        topic();
    if (is_wanted("headers"))
        headers();
    if (is_wanted("changes")) {
        open_router();
        changes();
        close_router();
    }
    lv_route_fini(&rt);
    return 0;
}
