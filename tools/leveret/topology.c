#include "topology.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TABLE_MAX 96u

/* The other modes publish to the default exchange. */
static const char *const exchange_type[LV_BENCH_MODES] = {
    [LV_BENCH_FANOUT] = "fanout",
    [LV_BENCH_TOPIC] = "topic",
    [LV_BENCH_HEADERS] = "headers",
};

/* The beginning of every name: what the user wants, or what no other run on this machine has. */
static void name_prefix(char prefix[static LV_NAME_MAX], const struct lv_bench_options *o)
{
    if (o->name != NULL)
        snprintf(prefix, LV_NAME_MAX, "%s", o->name);
    else
        snprintf(prefix, LV_NAME_MAX, "lv%x", (unsigned)getpid());
}

void lv_topology_queue_name(char name[static LV_NAME_MAX], const struct lv_bench_options *o,
                            uint64_t queue)
{
    name_prefix(name, o);
    size_t len = strlen(name);
    snprintf(name + len, LV_NAME_MAX - len, ".%u", (unsigned)queue);
}

uint64_t lv_topology_share(uint64_t queues, uint64_t sharers, uint64_t index)
{
    return sharers >= queues ? 1 : (queues - index + sharers - 1) / sharers;
}

uint64_t lv_topology_shared_queue(uint64_t queues, uint64_t sharers, uint64_t index, uint64_t n)
{
    return (index + n * sharers) % queues;
}

/* ---- bindings ---- */

/* A third of the patterns is plain, a third has a star and a third a hash; key i fits pattern i alone. */
static void topic_pattern(char text[static LV_NAME_MAX], uint64_t i)
{
    static const char *const forms[] = { "stock.%u.nyse", "*.%u.nyse", "stock.%u.#" };

    snprintf(text, LV_NAME_MAX, forms[i % LV_ARRAY_LEN(forms)], (unsigned)i);
}

static void topic_key(char text[static LV_NAME_MAX], uint64_t i)
{
    snprintf(text, LV_NAME_MAX, "stock.%u.nyse", (unsigned)i);
}

/* Arguments of binding i, or (without the match rule) headers of a message that fits it alone. */
static struct lv_bytes headers_table(uint8_t out[static TABLE_MAX], uint64_t i, bool is_binding)
{
    struct lv_wr w = lv_wr(out, TABLE_MAX);
    size_t table = lv_table_begin(&w);
    char number[24];

    snprintf(number, sizeof(number), "%u", (unsigned)i);
    if (is_binding)
        lv_table_string(&w, "x-match", "all");
    lv_table_string(&w, "kind", "bench");
    lv_table_string(&w, "number", number);
    lv_table_finish(&w, table);
    return lv_bytes(out, w.used);
}

static bool bind_one(struct lv_topology *t, uint64_t i, struct lv_fault *fault)
{
    char queue[LV_NAME_MAX], pattern[LV_NAME_MAX] = "";
    uint8_t bytes[TABLE_MAX];
    struct lv_bytes table = { 0 };

    lv_topology_queue_name(queue, t->options, i % t->options->queues);
    if (t->options->mode == LV_BENCH_TOPIC)
        topic_pattern(pattern, i);
    if (t->options->mode == LV_BENCH_HEADERS)
        table = headers_table(bytes, i, true);
    return lv_client_queue_bind(&t->control, queue, t->exchange, pattern, table, fault);
}

static bool bind_all(struct lv_topology *t, const char *type, struct lv_fault *fault)
{
    const struct lv_bench_options *o = t->options;
    uint64_t count = o->mode == LV_BENCH_FANOUT ? o->queues : o->bindings;

    char prefix[LV_NAME_MAX];

    name_prefix(prefix, o);
    snprintf(t->exchange, sizeof(t->exchange), "%.30s.x", prefix);
    if (!lv_client_exchange_declare(&t->control, t->exchange, type, o->is_durable, fault))
        return false;
    t->has_exchange = true;
    for (uint64_t i = 0; i < count; i++)
        if (!bind_one(t, i, fault))
            return false;
    return true;
}

/* ---- declaring and removing ---- */

static bool declare_queues(struct lv_topology *t, struct lv_fault *fault)
{
    const struct lv_bench_options *o = t->options;
    char name[LV_NAME_MAX];
    struct lv_queue_spec queue = { .name = name, .type = o->queue_type, .is_durable = o->is_durable };

    for (; t->queues_declared < o->queues; t->queues_declared++) {
        lv_topology_queue_name(name, o, t->queues_declared);
        if (!lv_client_queue_declare(&t->control, &queue, fault))
            return false;
    }
    return true;
}

bool lv_topology_open(struct lv_topology *t, const struct lv_bench_options *o,
                      struct lv_fault *fault)
{
    const char *type = exchange_type[o->mode];

    *t = (struct lv_topology){ .options = o };
    if (!lv_client_open(&t->control, &o->url, 0, fault))
        return false;
    if (lv_client_channel_open(&t->control, 1, fault) && declare_queues(t, fault) &&
        (type == NULL || bind_all(t, type, fault)))
        return true;
    lv_topology_close(t);
    return false;
}

static bool remove_all(struct lv_topology *t, struct lv_fault *fault)
{
    char name[LV_NAME_MAX];

    if (t->options->is_kept)
        return lv_client_close(&t->control, fault);
    if (t->has_exchange && !lv_client_exchange_delete(&t->control, t->exchange, fault))
        return false;
    for (uint64_t i = 0; i < t->queues_declared; i++) {
        lv_topology_queue_name(name, t->options, i);
        if (!lv_client_queue_delete(&t->control, name, fault))
            return false;
    }
    return lv_client_close(&t->control, fault);
}

void lv_topology_close(struct lv_topology *t)
{
    struct lv_fault fault = { 0 };

    if (!remove_all(t, &fault))
        fprintf(stderr, "leveret: cleaning up: %s\n", fault.text);
    lv_client_drop(&t->control);
}

/* ---- routes ---- */

static void route_to_queues(const struct lv_topology *t, uint64_t producer, struct lv_routes *routes)
{
    const struct lv_bench_options *o = t->options;

    for (size_t i = 0; i < routes->count; i++) {
        char *key = routes->text + i * LV_NAME_MAX;
        lv_topology_queue_name(key, o,
                               lv_topology_shared_queue(o->queues, o->producers, producer, i));
        routes->route[i].key = key;
    }
}

static void route_to_bindings(const struct lv_topology *t, struct lv_routes *routes)
{
    for (size_t i = 0; i < routes->count; i++) {
        char *key = routes->text + i * LV_NAME_MAX;
        if (t->options->mode == LV_BENCH_TOPIC)
            topic_key(key, i);
        if (t->options->mode == LV_BENCH_HEADERS)
            routes->route[i].headers = headers_table(routes->tables + i * TABLE_MAX, i, false);
        routes->route[i].key = key;
    }
}

void lv_topology_routes(const struct lv_topology *t, uint64_t producer, struct lv_routes *routes)
{
    const struct lv_bench_options *o = t->options;

    if (!t->has_exchange)
        routes->count = lv_topology_share(o->queues, o->producers, producer);
    else
        routes->count = o->mode == LV_BENCH_FANOUT ? 1 : o->keys;
    routes->route = lv_need(calloc(routes->count, sizeof(*routes->route)));
    routes->text = lv_need(calloc(routes->count, LV_NAME_MAX));
    routes->tables = lv_need(calloc(routes->count, TABLE_MAX));
    for (size_t i = 0; i < routes->count; i++)
        routes->route[i].exchange = t->exchange;
    if (t->has_exchange)
        route_to_bindings(t, routes);
    else
        route_to_queues(t, producer, routes);
}

void lv_routes_free(struct lv_routes *routes)
{
    free(routes->route);
    free(routes->text);
    free(routes->tables);
}
