/* A router with names for everything, so that a test reads like a sentence:
 *   bind(&w, "x", "q", "a.*", "");  CHECK_STR(routed(&w, "x", "a.b", ""), "q");
 * Tables are written as text: "x-match=S:any format=S:pdf pages=I:3 draft=V". Names beginning with `x` are exchanges. */
#ifndef TEST_UNIT_ROUTE_WORLD_H
#define TEST_UNIT_ROUTE_WORLD_H
#include <stdio.h>
#include <stdlib.h>

#include "base/table.h"
#include "lv_test.h"
#include "route/route.h"

struct world {
    struct lv_router r;
    struct lv_route rt;
    uint8_t tables[65536]; /* memory of table(), handed out once */
    size_t tables_used;
    char answer[4096];
};

static inline void world_open(struct world *w)
{
    memset(w, 0, sizeof(*w));
    CHECK_EQ(lv_router_init(&w->r, &lv_reclaim_now), LV_OK);
    lv_route_init(&w->rt);
}

static inline void remove_queue(struct world *w, const char *name)
{
    struct lv_dest *q = lv_router_queue(&w->r, lv_bytes_str(name));

    CHECK(q != NULL);
    lv_router_remove_queue(&w->r, q);
    free((void *)(uintptr_t)q->name.key.ptr);
    free(q);
}

static inline void world_close(struct world *w)
{
    struct lv_ptrmap_entry *e;
    char name[256];

    for (size_t pos = 0; (e = lv_ptrmap_next(&w->r.queues, &pos)) != NULL;) {
        snprintf(name, sizeof(name), "%.*s", LV_BYTES_FMT(e->key));
        remove_queue(w, name);
    }
    lv_route_fini(&w->rt);
    lv_router_fini(&w->r);
}

/* Octets: S text, V nothing, t bool, b I l integers of 1, 4 and 8 bytes, d double, T timestamp, x binary. */
static inline struct lv_bytes table(struct world *w, const char *text)
{
    struct lv_wr wr = lv_wr(w->tables + w->tables_used, sizeof(w->tables) - w->tables_used);

    while (*text != '\0') {
        size_t field = strcspn(text, " "), name = strcspn(text, "=");
        char octet = text[name + 1];
        const char *value = text + name + (octet == 'V' ? 2 : 3);
        struct lv_bytes payload = lv_bytes(value, (size_t)(text + field - value));
        double d = strtod(value, NULL);
        uint64_t bits;

        lv_wr_short(&wr, lv_bytes(text, name));
        lv_wr_u8(&wr, (uint8_t)octet);
        if (octet == 'S' || octet == 'x')
            lv_wr_long(&wr, payload);
        else if (octet == 't' || octet == 'b')
            lv_wr_u8(&wr, (uint8_t)strtol(value, NULL, 10));
        else if (octet == 'I')
            lv_wr_u32(&wr, (uint32_t)strtol(value, NULL, 10));
        else if (octet == 'l' || octet == 'T')
            lv_wr_u64(&wr, (uint64_t)strtoll(value, NULL, 10));
        else if (octet == 'd')
            lv_wr_u64(&wr, (memcpy(&bits, &d, sizeof(bits)), bits));
        text += field + (text[field] == ' ');
    }
    CHECK(lv_wr_ok(&wr));
    struct lv_bytes table = lv_bytes(wr.buf, wr.used);
    CHECK_EQ(lv_table_check(table), LV_OK);
    w->tables_used += wr.used;
    return table;
}

static inline struct lv_exchange *exchange(struct world *w, const char *name)
{
    return lv_router_exchange(&w->r, lv_bytes_str(name));
}

/* `more`: "auto_delete", "ae=name", or "". */
static inline struct lv_exchange *declare(struct world *w, const char *name,
                                          enum lv_exchange_type type, const char *more)
{
    struct lv_exchange_spec spec = { .name = lv_bytes_str(name), .type = type };
    struct lv_exchange *x = NULL;

    spec.auto_delete = strcmp(more, "auto_delete") == 0;
    spec.has_alternate = strncmp(more, "ae=", 3) == 0;
    if (spec.has_alternate)
        spec.alternate = lv_bytes_str(more + 3);
    CHECK_EQ(lv_router_declare(&w->r, &spec, &x), LV_OK);
    return x;
}

static inline void queue(struct world *w, const char *name)
{
    struct lv_dest *q = calloc(1, sizeof(*q));
    size_t len = strlen(name);
    char *copy = malloc(len + 1);

    memcpy(copy, name, len + 1);
    q->name.key = lv_bytes(copy, len);
    CHECK_EQ(lv_router_add_queue(&w->r, q), LV_OK);
}

static inline struct lv_dest *dest(struct world *w, const char *name)
{
    struct lv_exchange *x = exchange(w, name);

    return x != NULL ? &x->dest : lv_router_queue(&w->r, lv_bytes_str(name));
}

static inline enum lv_err bind(struct world *w, const char *x, const char *to, const char *key,
                               const char *arguments)
{
    return lv_router_bind(&w->r, exchange(w, x), dest(w, to), lv_bytes_str(key),
                          table(w, arguments));
}

static inline enum lv_err unbind(struct world *w, const char *x, const char *to, const char *key,
                                 const char *arguments)
{
    return lv_router_unbind(&w->r, exchange(w, x), dest(w, to), lv_bytes_str(key),
                            table(w, arguments));
}

static inline int by_key(const void *a, const void *b)
{
    return lv_bytes_cmp((*(struct lv_dest *const *)a)->name.key,
                        (*(struct lv_dest *const *)b)->name.key);
}

/* The names of the queues, in order, with spaces between. */
static inline const char *answer(struct world *w)
{
    size_t used = 0;

    if (w->rt.count != 0)
        qsort(w->rt.queues, w->rt.count, sizeof(*w->rt.queues), by_key);
    w->answer[0] = '\0';
    for (size_t i = 0; i < w->rt.count; i++)
        used += (size_t)snprintf(w->answer + used, sizeof(w->answer) - used, "%s%.*s",
                                 i == 0 ? "" : " ", LV_BYTES_FMT(w->rt.queues[i]->name.key));
    return w->answer;
}

static inline const char *routed_keys(struct world *w, const char *x, const char *key,
                                      const struct lv_bytes *more, size_t more_count,
                                      const char *headers)
{
    struct lv_route_query query = { .key = lv_bytes_str(key),
                                    .more_keys = more,
                                    .more_count = more_count,
                                    .headers = table(w, headers) };

    CHECK_EQ(lv_route(&w->r, exchange(w, x), &query, &w->rt), LV_OK);
    return answer(w);
}

static inline const char *routed(struct world *w, const char *x, const char *key,
                                 const char *headers)
{
    return routed_keys(w, x, key, NULL, 0, headers);
}

#endif
