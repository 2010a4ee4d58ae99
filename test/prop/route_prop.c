/* Random changes of the topology, and after each some routes, held against a model that keeps bindings in a list and
 * matches them one by one. */
#include "route/route.h"

#include "base/mem.h"
#include "unit/route/world.h"

enum { EXCHANGES = 8, QUEUES = 12, BINDINGS = 400, OPS = 400, KEY_SIZE = 64 };

struct model_exchange {
    bool exists, auto_delete;
    enum lv_exchange_type type;
    int alternate; /* -1: none */
};

struct model_binding {
    int source, dest; /* dest: an exchange, or EXCHANGES + queue */
    char key[KEY_SIZE];
    size_t arguments;
};

struct model {
    struct model_exchange x[EXCHANGES];
    bool has_queue[QUEUES];
    struct model_binding b[BINDINGS];
    int count;
};

/* Twice the same table in another order, to find the same binding by. */
static const char *const arguments[][2] = {
    { "", "" },
    { "x-match=S:any", "x-match=S:any" },
    { "a=I:1", "a=I:1" },
    { "a=I:1 b=S:x", "b=S:x a=I:1" },
    { "x-match=S:any a=I:1 b=S:x", "b=S:x x-match=S:any a=I:1" },
    { "x-match=S:any c=V", "c=V x-match=S:any" },
    { "x-match=S:all c=V a=I:2", "a=I:2 x-match=S:all c=V" },
    { "x-match=S:all-with-x x-a=I:1", "x-a=I:1 x-match=S:all-with-x" },
    { "x-match=S:any-with-x x-a=I:1 a=I:3", "a=I:3 x-a=I:1 x-match=S:any-with-x" },
};

static const char *const headers[] = {
    "", "a=I:1", "a=l:1 b=S:x", "b=S:x", "c=I:9", "a=I:2 c=S:y", "x-a=I:1", "a=I:3 x-a=I:2 b=S:z",
};

/* ---- model ---- */

static void model_delete(struct model *m, int x);

static void model_drop(struct model *m, int i)
{
    int source = m->b[i].source;

    m->b[i] = m->b[--m->count];
    for (int j = 0; j < m->count; j++)
        if (m->b[j].source == source)
            return;
    if (m->x[source].exists && m->x[source].auto_delete)
        model_delete(m, source);
}

static void model_drop_of(struct model *m, int end)
{
    for (int i = 0; i < m->count;) {
        if (m->b[i].dest == end || m->b[i].source == end) {
            model_drop(m, i);
            i = 0; /* it may have taken any others along */
        } else {
            i++;
        }
    }
}

static void model_delete(struct model *m, int x)
{
    m->x[x].exists = false;
    model_drop_of(m, x);
}

static int model_find(const struct model *m, const struct model_binding *b)
{
    for (int i = 0; i < m->count; i++)
        if (m->b[i].source == b->source && m->b[i].dest == b->dest &&
            m->b[i].arguments == b->arguments && strcmp(m->b[i].key, b->key) == 0)
            return i;
    return -1;
}

static bool model_matches(struct world *w, const struct model *m, const struct model_binding *b,
                          const struct lv_route_query *query)
{
    struct lv_bytes key = lv_bytes_str(b->key);
    bool is_topic = m->x[b->source].type == LV_EXCHANGE_TOPIC;

    if (m->x[b->source].type == LV_EXCHANGE_FANOUT)
        return true;
    if (m->x[b->source].type == LV_EXCHANGE_HEADERS)
        return lv_headers_match(table(w, arguments[b->arguments][0]), query->headers);
    bool matches = is_topic ? lv_topic_match(key, query->key) : lv_bytes_eq(key, query->key);
    for (size_t i = 0; i < query->more_count && !matches; i++)
        matches = is_topic ? lv_topic_match(key, query->more_keys[i])
                           : lv_bytes_eq(key, query->more_keys[i]);
    return matches;
}

/* Sets found[] for every queue that a message through `start` gets to. */
static void model_route(struct world *w, const struct model *m, int start,
                        const struct lv_route_query *query, bool found[QUEUES])
{
    bool visited[EXCHANGES] = { false }, wanted[EXCHANGES] = { false };
    bool more = true;

    wanted[start] = true;
    memset(found, 0, QUEUES * sizeof(*found));
    while (more) {
        more = false;
        for (int x = 0; x < EXCHANGES; x++) {
            if (!wanted[x] || visited[x])
                continue;
            visited[x] = more = true;
            bool matched = false;
            for (int i = 0; i < m->count; i++) {
                if (m->b[i].source != x || !model_matches(w, m, &m->b[i], query))
                    continue;
                matched = true;
                if (m->b[i].dest < EXCHANGES)
                    wanted[m->b[i].dest] = true;
                else
                    found[m->b[i].dest - EXCHANGES] = true;
            }
            int alternate = m->x[x].alternate;
            if (!matched && alternate >= 0 && m->x[alternate].exists)
                wanted[alternate] = true;
        }
    }
}

/* ---- one run ---- */

static void random_key(struct lv_rng *rng, char *out, bool is_pattern)
{
    static const char *const words[] = { "a", "b", "", "c", "*", "#", "#" };
    uint32_t count = lv_rng_below(rng, 6);
    size_t used = 0;

    out[0] = '\0';
    for (uint32_t i = 0; i < count; i++)
        used += (size_t)snprintf(out + used, KEY_SIZE - used, "%s%s", i == 0 ? "" : ".",
                                 words[lv_rng_below(rng, is_pattern ? LV_ARRAY_LEN(words) : 4)]);
}

static const char *name_of(int end)
{
    static char names[EXCHANGES + QUEUES][8];

    snprintf(names[end], sizeof(names[end]), end < EXCHANGES ? "x%d" : "q%d",
             end < EXCHANGES ? end : end - EXCHANGES);
    return names[end];
}

static void change(struct world *w, struct model *m, struct lv_rng *rng)
{
    int x = (int)lv_rng_below(rng, EXCHANGES), q = (int)lv_rng_below(rng, QUEUES);
    uint32_t die = lv_rng_below(rng, 100);

    if (!m->x[x].exists) {
        char more[16] = "";
        m->x[x] = (struct model_exchange){ .exists = true,
                                           .type = lv_rng_below(rng, LV_EXCHANGE_TYPE_COUNT),
                                           .auto_delete = die < 30,
                                           .alternate = -1 };
        if (die >= 60)
            m->x[x].alternate = (int)lv_rng_below(rng, EXCHANGES);
        if (die < 30 || die >= 60)
            snprintf(more, sizeof(more), die < 30 ? "auto_delete" : "ae=x%d", m->x[x].alternate);
        declare(w, name_of(x), m->x[x].type, more);
        return;
    }
    if (!m->has_queue[q]) {
        m->has_queue[q] = true;
        queue(w, name_of(EXCHANGES + q));
        return;
    }
    if (die < 3) {
        model_delete(m, x);
        lv_router_delete(&w->r, exchange(w, name_of(x)));
        return;
    }
    if (die < 6) {
        m->has_queue[q] = false;
        model_drop_of(m, EXCHANGES + q);
        remove_queue(w, name_of(EXCHANGES + q));
        return;
    }
    struct model_binding b = { .source = x, .dest = EXCHANGES + q };
    int other = (int)lv_rng_below(rng, EXCHANGES);
    if (die % 5 == 0 && m->x[other].exists)
        b.dest = other;
    b.arguments = lv_rng_below(rng, LV_ARRAY_LEN(arguments));
    random_key(rng, b.key, true);
    if (die >= 65 && m->count != 0) /* mostly one that is there */
        b = m->b[lv_rng_below(rng, (uint32_t)m->count)];
    const char *text = arguments[b.arguments][lv_rng_below(rng, 2)];
    int at = model_find(m, &b);
    if (die < 65 && m->count < BINDINGS) {
        CHECK_EQ(bind(w, name_of(b.source), name_of(b.dest), b.key, text), LV_OK);
        if (at < 0)
            m->b[m->count++] = b;
    } else {
        CHECK_EQ(unbind(w, name_of(b.source), name_of(b.dest), b.key, text),
                 at < 0 ? LV_ENOTFOUND : LV_OK);
        if (at >= 0)
            model_drop(m, at);
    }
}

static void compare_route(struct world *w, struct model *m, struct lv_rng *rng)
{
    char keys[3][KEY_SIZE], wanted[4096] = "";
    size_t used = 0;
    bool found[QUEUES];
    int start = (int)lv_rng_below(rng, EXCHANGES);

    if (!m->x[start].exists)
        return;
    for (int i = 0; i < 3; i++)
        random_key(rng, keys[i], false);
    struct lv_bytes more[] = { lv_bytes_str(keys[1]), lv_bytes_str(keys[2]) };
    struct lv_route_query query = {
        .key = lv_bytes_str(keys[0]),
        .more_keys = more,
        .more_count = lv_rng_below(rng, 4) == 0 ? 2 : 0,
        .headers = table(w, headers[lv_rng_below(rng, LV_ARRAY_LEN(headers))]),
    };
    model_route(w, m, start, &query, found);
    char *names[QUEUES];
    int count = 0;
    for (int q = 0; q < QUEUES; q++)
        if (found[q])
            names[count++] = (char *)(uintptr_t)name_of(EXCHANGES + q);
    for (int i = 1; i < count; i++) /* in the order of names, as answer() gives them */
        for (int j = i; j > 0 && strcmp(names[j - 1], names[j]) > 0; j--) {
            char *swap = names[j];
            names[j] = names[j - 1];
            names[j - 1] = swap;
        }
    for (int i = 0; i < count; i++)
        used += (size_t)snprintf(wanted + used, sizeof(wanted) - used, "%s%s", i == 0 ? "" : " ",
                                 names[i]);
    CHECK_EQ(lv_route(&w->r, exchange(w, name_of(start)), &query, &w->rt), LV_OK);
    CHECK_STR(answer(w), wanted);
}

LV_PROP(router_matches_model)
{
    static struct world w;
    static struct model m;
    struct lv_rng rng = lv_rng_seed(seed);
    int64_t before = lv_mem_used(LV_TAG_ROUTE) + lv_mem_used(LV_TAG_BASE);

    memset(&m, 0, sizeof(m));
    world_open(&w);
    for (int i = 0; i < OPS; i++) {
        change(&w, &m, &rng);
        CHECK_EQ(w.r.bindings.count, m.count);
        for (int x = 0; x < EXCHANGES; x++)
            CHECK_EQ(exchange(&w, name_of(x)) != NULL, m.x[x].exists);
        compare_route(&w, &m, &rng);
        w.tables_used = 0;
    }
    world_close(&w);
    CHECK_EQ(lv_mem_used(LV_TAG_ROUTE) + lv_mem_used(LV_TAG_BASE), before);
}
