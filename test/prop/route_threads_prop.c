/* Readers route without pause while one writer binds, unbinds, removes queues and exchanges and gives their memory back.
 * What stays bound must be in every route, what is in a route must match it, and nothing may be there twice. Run it
 * under TSan and ASan: they see what a check cannot. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <urcu-qsbr.h>

#include "base/mem.h"
#include "base/table.h"
#include "lv_test.h"
#include "route/route.h"

enum { READERS = 2, ANCHORS = 4, COMERS = 24, CHANGES = 4000, RETIRED_MAX = 64, KINDS = 6 };

#define ALIVE 0x600dcafeu

struct comer {
    struct lv_dest dest; /* first */
    uint32_t alive;
    bool is_anchor;
    char name[16];
};

/* ---- what was taken out is freed when every reader has passed a quiescent state ---- */

static struct retired {
    void *ptr;
    void (*free_fn)(void *ptr);
} retired[RETIRED_MAX];
static size_t retired_count;
static _Atomic uint64_t turns[READERS]; /* shows TSan the order that liburcu keeps */

static void free_retired(void)
{
    synchronize_rcu();
    for (int i = 0; i < READERS; i++)
        atomic_load_explicit(&turns[i], memory_order_acquire);
    for (size_t i = 0; i < retired_count; i++)
        retired[i].free_fn(retired[i].ptr);
    retired_count = 0;
}

static void retire(void *ptr, void (*free_fn)(void *ptr))
{
    if (retired_count == RETIRED_MAX)
        free_retired();
    retired[retired_count++] = (struct retired){ ptr, free_fn };
}

static const struct lv_reclaim reclaim = { retire };

static void comer_free(void *ptr)
{
    struct comer *c = ptr;

    c->alive = 0;
    free(c);
}

/* ---- topology: every kind leads to the anchors always, and to comers now and then ---- */

static const struct kind {
    const char *exchange, *key;
    const char *bind_keys[3]; /* any of them matches `key` */
} kinds[KINDS] = {
    { "amq.direct", "k", { "k", "k", "k" } },
    { "amq.fanout", "", { "", "a", "b" } },
    { "amq.topic", "a.b.c", { "a.*.c", "#.b.#", "#.b.#.c.#" } },
    { "amq.headers", "", { "1", "2", "3" } },
    { "through", "a.b.c", { "", "x", "y" } }, /* fanout, and bound to amq.topic */
    { "else", "nothing", { "-", "-", "-" } }, /* direct, with amq.fanout as alternate */
};

static uint8_t any_bytes[64], all_bytes[64], header_bytes[64];
static struct lv_bytes any_table, all_table, header_table;

static struct lv_router router;
static struct comer *comers[COMERS];
static int kinds_read; /* readers take the first so many in turn */
static atomic_bool stop;
static _Atomic uint64_t routes, faults;

static struct lv_bytes arguments_of(int kind, uint32_t which)
{
    if (kind != 3)
        return lv_bytes(NULL, 0);
    return which % 2 ? any_table : all_table;
}

static struct lv_exchange *exchange(const char *name)
{
    return lv_router_exchange(&router, lv_bytes_str(name));
}

static void bind(int kind, uint32_t which, struct comer *c)
{
    CHECK_EQ(lv_router_bind(&router, exchange(kinds[kind].exchange), &c->dest,
                            lv_bytes_str(kinds[kind].bind_keys[which]), arguments_of(kind, which)),
             LV_OK);
}

static void unbind(int kind, uint32_t which, struct comer *c)
{
    enum lv_err err =
        lv_router_unbind(&router, exchange(kinds[kind].exchange), &c->dest,
                         lv_bytes_str(kinds[kind].bind_keys[which]), arguments_of(kind, which));
    CHECK(err == LV_OK || err == LV_ENOTFOUND);
}

static struct comer *come(int number, bool is_anchor)
{
    struct comer *c = calloc(1, sizeof(*c));

    c->alive = ALIVE;
    c->is_anchor = is_anchor;
    snprintf(c->name, sizeof(c->name), "%c%d", is_anchor ? 'a' : 'c', number);
    c->dest.name.key = lv_bytes_str(c->name);
    CHECK_EQ(lv_router_add_queue(&router, &c->dest), LV_OK);
    return c;
}

static void declare(const char *name, enum lv_exchange_type type, const char *alternate)
{
    struct lv_exchange_spec spec = { .name = lv_bytes_str(name), .type = type };
    struct lv_exchange *x;

    spec.has_alternate = alternate != NULL;
    if (alternate != NULL)
        spec.alternate = lv_bytes_str(alternate);
    CHECK_EQ(lv_router_declare(&router, &spec, &x), LV_OK);
}

static void change(struct lv_rng *rng)
{
    int kind = (int)lv_rng_below(rng, KINDS - 1), n = (int)lv_rng_below(rng, COMERS);
    uint32_t which = lv_rng_below(rng, 3), die = lv_rng_below(rng, 100);

    if (comers[n] == NULL) {
        comers[n] = come(n, false);
    } else if (die < 5) {
        lv_router_remove_queue(&router, &comers[n]->dest);
        retire(comers[n], comer_free);
        comers[n] = NULL;
    } else if (die < 10) { /* an exchange that comes into the way, and goes by itself */
        if (exchange("guest") == NULL)
            declare("guest", LV_EXCHANGE_FANOUT, NULL);
        struct lv_exchange *guest = exchange("guest");
        CHECK_EQ(lv_router_bind(&router, guest, &comers[n]->dest, lv_bytes(NULL, 0),
                                lv_bytes(NULL, 0)),
                 LV_OK);
        CHECK_EQ(lv_router_bind(&router, exchange("amq.fanout"), &guest->dest, lv_bytes(NULL, 0),
                                lv_bytes(NULL, 0)),
                 LV_OK);
    } else if (die < 13 && exchange("guest") != NULL) {
        lv_router_delete(&router, exchange("guest"));
    } else if (die < 60) {
        bind(kind, which, comers[n]);
    } else {
        unbind(kind, which, comers[n]);
    }
}

/* ---- readers ---- */

static void fault(const char *what, int kind)
{
    if (atomic_fetch_add(&faults, 1) == 0)
        fprintf(stderr, "%s: %s\n", kinds[kind].exchange, what);
}

static void look(const struct lv_route *rt, int kind)
{
    uint32_t anchors = 0;

    for (size_t i = 0; i < rt->count; i++) {
        const struct comer *c = (const struct comer *)rt->queues[i];
        if (c->alive != ALIVE)
            fault("a queue that is gone", kind);
        anchors += c->is_anchor;
        for (size_t j = 0; j < i; j++)
            if (rt->queues[j] == rt->queues[i])
                fault("a queue twice", kind);
    }
    if (anchors != ANCHORS)
        fault("not every queue that stays bound", kind);
}

static void *reader(void *arg)
{
    int number = (int)(intptr_t)arg;
    struct lv_route rt;
    uint64_t count = 0;

    rcu_register_thread();
    lv_route_init(&rt);
    for (int kind = 0; !atomic_load_explicit(&stop, memory_order_relaxed);
         kind = (kind + 1) % kinds_read) {
        struct lv_route_query query = { .key = lv_bytes_str(kinds[kind].key),
                                        .headers = header_table };
        if (lv_route(&router, exchange(kinds[kind].exchange), &query, &rt) != LV_OK)
            fault("no memory", kind);
        look(&rt, kind);
        if (++count % 8 == 0) {
            atomic_fetch_add_explicit(&turns[number], 1, memory_order_release);
            rcu_quiescent_state();
        }
    }
    atomic_fetch_add(&routes, count);
    atomic_fetch_add_explicit(&turns[number], 1, memory_order_release);
    rcu_unregister_thread();
    lv_route_fini(&rt);
    return NULL;
}

static void open_tables(void)
{
    struct lv_wr any = lv_wr(any_bytes, sizeof(any_bytes));
    struct lv_wr all = lv_wr(all_bytes, sizeof(all_bytes));
    struct lv_wr header = lv_wr(header_bytes, sizeof(header_bytes));

    lv_table_put_str(&any, "x-match", LV_BYTES_LIT("any"));
    lv_table_put_i64(&any, "a", 1);
    lv_table_put_i64(&any, "b", 7);
    lv_table_put_i64(&all, "b", 2);
    lv_table_put_i64(&all, "a", 1);
    lv_table_put_i64(&header, "a", 1);
    lv_table_put_i64(&header, "b", 2);
    any_table = lv_bytes(any_bytes, any.used);
    all_table = lv_bytes(all_bytes, all.used);
    header_table = lv_bytes(header_bytes, header.used);
}

static struct comer *anchors[ANCHORS];
static pthread_t threads[READERS];

static void world_open(void)
{
    open_tables();
    CHECK_EQ(lv_router_init(&router, &reclaim), LV_OK);
    declare("through", LV_EXCHANGE_FANOUT, NULL);
    declare("else", LV_EXCHANGE_DIRECT, "amq.fanout");
    CHECK_EQ(lv_router_bind(&router, exchange("through"), &exchange("amq.topic")->dest,
                            lv_bytes(NULL, 0), lv_bytes(NULL, 0)),
             LV_OK);
    for (int i = 0; i < ANCHORS; i++) {
        anchors[i] = come(i, true);
        for (int kind = 0; kind < 4; kind++)
            bind(kind, (uint32_t)i % 3, anchors[i]);
    }
}

static void readers_start(int kinds_used)
{
    atomic_store(&stop, false);
    kinds_read = kinds_used;
    for (intptr_t i = 0; i < READERS; i++) {
        uint64_t before = atomic_load(&turns[i]);
        pthread_create(&threads[i], NULL, reader, (void *)i);
        while (atomic_load(&turns[i]) == before) /* on a busy machine a thread may be long in coming */
            sched_yield();
    }
}

static void world_close(void)
{
    atomic_store(&stop, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(atomic_load(&faults), 0);
    CHECK(atomic_load(&routes) > 0);
    for (int i = 0; i < COMERS; i++) {
        if (comers[i] == NULL)
            continue;
        lv_router_remove_queue(&router, &comers[i]->dest);
        retire(comers[i], comer_free);
        comers[i] = NULL;
    }
    for (int i = 0; i < ANCHORS; i++) {
        lv_router_remove_queue(&router, &anchors[i]->dest);
        retire(anchors[i], comer_free);
    }
    lv_router_fini(&router);
    free_retired();
    CHECK_EQ(lv_mem_used(LV_TAG_ROUTE) + lv_mem_used(LV_TAG_BASE), 0);
}

LV_PROP(routes_hold_while_the_topology_changes)
{
    struct lv_rng rng = lv_rng_seed(seed);

    world_open();
    readers_start(KINDS);
    for (int i = 0; i < CHANGES; i++)
        change(&rng);
    world_close();
}

/* To the end of the set of amq.direct's key, by one of two bindings in turn: there is always one. */
static void rebind(struct comer *c, uint32_t turn)
{
    struct lv_exchange *x = exchange(kinds[0].exchange);
    struct lv_bytes key = lv_bytes_str(kinds[0].key), none = { NULL, 0 };
    bool is_odd = turn % 2;

    CHECK_EQ(lv_router_bind(&router, x, &c->dest, key, is_odd ? all_table : none), LV_OK);
    enum lv_err err = lv_router_unbind(&router, x, &c->dest, key, is_odd ? none : all_table);
    CHECK(err == LV_OK || err == LV_ENOTFOUND);
}

/* One set, always in motion: queues that stay move about within it, and may not slip past a reader. */
LV_PROP(nothing_slips_past_a_reader)
{
    struct lv_rng rng = lv_rng_seed(seed);

    world_open();
    for (int i = 0; i < COMERS; i++)
        comers[i] = come(i, false);
    readers_start(1);
    for (uint32_t i = 0; i < CHANGES; i++) {
        for (int n = 0; n < COMERS; n++)
            bind(0, 0, comers[n]);
        for (int n = 0; n < ANCHORS; n++)
            rebind(anchors[n], i);
        for (int n = 0; n < COMERS; n++)
            unbind(0, 0, comers[lv_rng_below(&rng, COMERS)]);
    }
    world_close();
}
