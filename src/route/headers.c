/* headers: bindings found by what they ask for, so that a message meets only those that may match.
 *
 * Rule     a binding's arguments, read once: the tests that a message must pass, all of them or any.
 * Wanted   all tests for the same name and value (or for a name's mere presence), as one entry of a map. A rule of
 *          `any` stands under each of its tests, and one that holds is enough. A rule of `all` stands under
 *          the test that fewest other rules stand under, and is then checked in full. A rule of `all`
 *          without a test stands in `always`; a rule of `any` without one, nowhere.
 * Scan     a message's headers, hashed by name once for the whole route.
 *
 * RabbitMQ's rules for which arguments count and which values are equal: match.c, base/table.h. */
#include "base/hash.h"
#include "base/table.h"
#include "route/route_priv.h"

struct wanted {
    struct lv_ptrmap_entry entry; /* first; keyed by the header's name, hashed with the value */
    struct lv_ptrmap *map;        /* writer only: that holds it */
    struct lv_rcuset tests;       /* of struct test */
    uint8_t name[];
};

struct test {
    struct lv_headers_rule *rule;
    uint64_t name_hash;
    struct lv_field field; /* views the rule's arguments; kind void: presence */
    struct lv_place place; /* in a `wanted`, when set is not NULL */
};

struct lv_headers_rule {
    struct lv_dest *dest;
    struct lv_place always; /* in table.always, when set is not NULL */
    bool is_any;
    size_t count;
    struct test tests[]; /* followed by a copy of the arguments */
};

struct table {
    struct lv_ptrmap by_value, by_presence; /* of struct wanted */
    struct lv_rcuset always;                /* of struct lv_dest */
};

static struct table *table(const struct lv_exchange *x)
{
    return (struct table *)x->table;
}

/* Equal values (lv_value_eq) under equal names have equal hashes. */
static uint64_t value_hash(uint64_t name_hash, const struct lv_value *v)
{
    uint64_t more = name_hash + v->kind;

    switch (v->kind) {
    case LV_KIND_STRING:
    case LV_KIND_BINARY:
    case LV_KIND_ARRAY:
    case LV_KIND_TABLE:
        return lv_hash(v->bytes, more);
    case LV_KIND_FLOAT: { /* -0.0 is 0.0, and any NaN is any other */
        double f = v->f != v->f ? (double)__builtin_nanf("") : v->f + 0.0;
        return lv_hash(lv_bytes(&f, sizeof(f)), more);
    }
    case LV_KIND_VOID:
    case LV_KIND_BOOL:
    case LV_KIND_INT:
    case LV_KIND_DECIMAL:
    case LV_KIND_TIMESTAMP:
        break;
    }
    return lv_hash(lv_bytes(&v->i, sizeof(v->i)), more);
}

/* ---- writer ---- */

static void wanted_free(void *ptr)
{
    struct wanted *w = ptr;

    lv_rcuset_fini(&w->tests);
    lv_mem_free(w, LV_TAG_ROUTE);
}

static struct lv_ptrmap *map_of(struct table *t, const struct test *test)
{
    return test->field.value.kind == LV_KIND_VOID ? &t->by_presence : &t->by_value;
}

static uint64_t hash_of(const struct test *test)
{
    const struct lv_value *v = &test->field.value;

    return v->kind == LV_KIND_VOID ? test->name_hash : value_hash(test->name_hash, v);
}

static struct wanted *find(struct table *t, const struct test *test)
{
    return (struct wanted *)lv_ptrmap_get(map_of(t, test), test->field.name, hash_of(test));
}

static struct wanted *wanted_new(struct lv_ptrmap *map, const struct test *test)
{
    struct lv_bytes name = test->field.name;
    struct wanted *w = lv_mem_zalloc(sizeof(*w) + name.len, LV_TAG_ROUTE);

    if (w == NULL)
        return NULL;
    if (name.len != 0)
        memcpy(w->name, name.ptr, name.len);
    w->entry = (struct lv_ptrmap_entry){ hash_of(test), lv_bytes(w->name, name.len) };
    w->map = map;
    lv_rcuset_init(&w->tests);
    return w;
}

static enum lv_err enter(struct table *t, struct test *test, const struct lv_reclaim *reclaim)
{
    struct wanted *w = find(t, test);

    if (w != NULL)
        return lv_rcuset_add(&w->tests, test, &test->place, reclaim);
    w = wanted_new(map_of(t, test), test);
    if (w == NULL)
        return LV_ENOMEM;
    enum lv_err err = lv_rcuset_add(&w->tests, test, &test->place, reclaim);
    if (err == LV_OK)
        err = lv_ptrmap_add(w->map, &w->entry);
    if (err != LV_OK) {
        test->place.set = NULL;
        wanted_free(w);
    }
    return err;
}

static void leave(struct test *test, const struct lv_reclaim *reclaim)
{
    if (test->place.set == NULL)
        return;
    struct wanted *w = LV_CONTAINER_OF(test->place.set, struct wanted, tests);
    lv_rcuset_remove(&test->place, reclaim);
    if (lv_rcuset_count(&w->tests) != 0)
        return;
    lv_ptrmap_remove(w->map, &w->entry);
    reclaim->retire(w, wanted_free);
}

/* The test that fewest rules stand under already; a value rather than mere presence. */
static struct test *rarest(struct table *t, struct lv_headers_rule *rule)
{
    struct test *best = NULL;
    uint32_t best_count = 0;

    for (size_t i = 0; i < rule->count; i++) {
        struct test *test = &rule->tests[i];
        struct wanted *w = find(t, test);
        uint32_t count = w != NULL ? lv_rcuset_count(&w->tests) : 0;
        if (best != NULL && map_of(t, best) == map_of(t, test) && count >= best_count)
            continue;
        if (best != NULL && map_of(t, best) == &t->by_value && map_of(t, test) != &t->by_value)
            continue;
        best = test;
        best_count = count;
    }
    return best;
}

static size_t count_tests(enum lv_match m, struct lv_bytes arguments)
{
    struct lv_rd at = lv_rd(arguments);
    struct lv_field field;
    size_t count = 0;

    while (lv_table_next(&at, &field))
        count += lv_match_counts(m, field.name);
    return count;
}

static struct lv_headers_rule *rule_new(const struct lv_binding *b, enum lv_match m)
{
    size_t count = count_tests(m, b->arguments);
    size_t head = sizeof(struct lv_headers_rule) + count * sizeof(struct test);
    struct lv_headers_rule *rule = lv_mem_zalloc(head + b->arguments.len, LV_TAG_ROUTE);

    if (rule == NULL)
        return NULL;
    uint8_t *copy = (uint8_t *)rule + head;
    memcpy(copy, b->arguments.ptr, b->arguments.len);
    struct lv_rd at = lv_rd(lv_bytes(copy, b->arguments.len));
    struct lv_field field;
    rule->dest = b->dest;
    rule->is_any = lv_match_is_any(m);
    while (lv_match_next(&at, &field))
        if (lv_match_counts(m, field.name))
            rule->tests[rule->count++] =
                (struct test){ .rule = rule, .name_hash = lv_hash(field.name, 0), .field = field };
    return rule;
}

static void rule_free(void *rule)
{
    lv_mem_free(rule, LV_TAG_ROUTE);
}

static void withdraw(struct lv_headers_rule *rule, const struct lv_reclaim *reclaim)
{
    if (rule->always.set != NULL)
        lv_rcuset_remove(&rule->always, reclaim);
    for (size_t i = 0; i < rule->count; i++)
        leave(&rule->tests[i], reclaim);
    reclaim->retire(rule, rule_free);
}

static enum lv_err bind(struct lv_router *r, struct lv_binding *b)
{
    struct table *t = table(b->source);
    enum lv_match m = lv_match_of(b->arguments);
    enum lv_err err = LV_OK;

    if (m == LV_MATCH_COUNT)
        return LV_EINVAL;
    struct lv_headers_rule *rule = rule_new(b, m);
    if (rule == NULL)
        return LV_ENOMEM;
    if (!rule->is_any && rule->count == 0)
        err = lv_rcuset_add(&t->always, rule->dest, &rule->always, r->reclaim);
    else if (!rule->is_any)
        err = enter(t, rarest(t, rule), r->reclaim);
    for (size_t i = 0; rule->is_any && i < rule->count && err == LV_OK; i++)
        err = enter(t, &rule->tests[i], r->reclaim);
    if (err != LV_OK)
        withdraw(rule, r->reclaim);
    else
        b->rule = rule;
    return err;
}

static void unbind(struct lv_router *r, struct lv_binding *b)
{
    withdraw(b->rule, r->reclaim);
}

static void init(const struct lv_router *r, struct lv_exchange *x)
{
    lv_ptrmap_init(&table(x)->by_value, r->reclaim);
    lv_ptrmap_init(&table(x)->by_presence, r->reclaim);
    lv_rcuset_init(&table(x)->always);
}

static void fini(struct lv_exchange *x)
{
    lv_ptrmap_fini(&table(x)->by_value);
    lv_ptrmap_fini(&table(x)->by_presence);
    lv_rcuset_fini(&table(x)->always);
}

/* ---- readers: the message's headers ---- */

struct header {
    uint64_t name_hash;
    struct lv_field field; /* views the message */
};

struct lv_headers_scan {
    bool is_done;
    size_t count, cap; /* of at[]; cap is a power of two */
    struct header *at; /* in the order of the message; of equal names the last value */
    uint32_t *slots;   /* 2 * cap of them: 1 + index into at[], by hash of the name; 0: free */
};

void lv_headers_scan_free(struct lv_headers_scan *scan)
{
    if (scan == NULL)
        return;
    lv_mem_free(scan->at, LV_TAG_ROUTE);
    lv_mem_free(scan->slots, LV_TAG_ROUTE);
    lv_mem_free(scan, LV_TAG_ROUTE);
}

void lv_headers_scan_reset(struct lv_headers_scan *scan)
{
    if (scan != NULL)
        scan->is_done = false;
}

/* Room for `count` headers. */
static enum lv_err scan_reserve(struct lv_headers_scan *scan, size_t count)
{
    size_t cap = LV_MAX(scan->cap, 8);

    while (cap < count)
        cap *= 2;
    if (cap == scan->cap)
        return LV_OK;
    struct header *at = lv_mem_realloc(scan->at, cap * sizeof(*at), LV_TAG_ROUTE);
    if (at == NULL)
        return LV_ENOMEM;
    scan->at = at;
    uint32_t *slots = lv_mem_realloc(scan->slots, 2 * cap * sizeof(*slots), LV_TAG_ROUTE);
    if (slots == NULL)
        return LV_ENOMEM;
    scan->slots = slots;
    scan->cap = cap;
    return LV_OK;
}

static uint32_t *scan_slot(const struct lv_headers_scan *scan, struct lv_bytes name, uint64_t hash)
{
    size_t mask = 2 * scan->cap - 1;

    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        uint32_t slot = scan->slots[i];
        if (slot == 0)
            return &scan->slots[i];
        const struct header *h = &scan->at[slot - 1];
        if (h->name_hash == hash && lv_bytes_eq(h->field.name, name))
            return &scan->slots[i];
    }
}

static const struct header *scan_find(const struct lv_headers_scan *scan, struct lv_bytes name,
                                      uint64_t hash)
{
    uint32_t slot = *scan_slot(scan, name, hash);

    return slot != 0 ? &scan->at[slot - 1] : NULL;
}

static enum lv_err scan_fill(struct lv_headers_scan *scan, struct lv_bytes headers)
{
    struct lv_field field;
    size_t count = 0;

    if (headers.len != 0)
        for (struct lv_rd at = lv_rd(headers); lv_table_next(&at, &field);)
            count++;
    enum lv_err err = scan_reserve(scan, count);
    if (err != LV_OK)
        return err;
    memset(scan->slots, 0, 2 * scan->cap * sizeof(*scan->slots));
    scan->count = 0;
    if (count == 0)
        return LV_OK;
    for (struct lv_rd at = lv_rd(headers); lv_match_next(&at, &field);) {
        uint64_t hash = lv_hash(field.name, 0);
        uint32_t *slot = scan_slot(scan, field.name, hash);
        if (*slot == 0)
            *slot = (uint32_t)++scan->count;
        scan->at[*slot - 1] = (struct header){ hash, field };
    }
    return LV_OK;
}

/* The scan of this message, made when the route first comes to an exchange that needs it. */
static enum lv_err scan_of(struct lv_route *rt, struct lv_bytes headers)
{
    if (rt->header == NULL)
        rt->header = lv_mem_zalloc(sizeof(*rt->header), LV_TAG_ROUTE);
    if (rt->header == NULL)
        return LV_ENOMEM;
    if (rt->header->is_done)
        return LV_OK;
    enum lv_err err = scan_fill(rt->header, headers);
    rt->header->is_done = err == LV_OK;
    return err;
}

/* ---- readers: match ---- */

static bool holds(const struct test *test, const struct header *h)
{
    return test->field.value.kind == LV_KIND_VOID ||
           lv_value_eq(&test->field.value, &h->field.value);
}

static bool rule_matches(const struct lv_headers_rule *rule, const struct lv_headers_scan *scan)
{
    for (size_t i = 0; i < rule->count; i++) {
        const struct test *test = &rule->tests[i];
        const struct header *h = scan_find(scan, test->field.name, test->name_hash);
        if (h == NULL || !holds(test, h))
            return false;
    }
    return true;
}

static enum lv_err route_wanted(const struct lv_ptrmap *map, uint64_t hash, const struct header *h,
                                struct lv_route *rt)
{
    struct wanted *w = (struct wanted *)lv_ptrmap_get(map, h->field.name, hash);

    if (w == NULL)
        return LV_OK;
    struct lv_rcuset_walk walk = lv_rcuset_walk(&w->tests);
    struct test *test;
    while ((test = lv_rcuset_next(&walk)) != NULL) {
        struct lv_headers_rule *rule = test->rule;
        if (rule->is_any ? !holds(test, h) : !rule_matches(rule, rt->header))
            continue;
        enum lv_err err = lv_route_add(rt, rule->dest);
        if (err != LV_OK)
            return err;
    }
    return LV_OK;
}

static enum lv_err route(const struct lv_exchange *x, const struct lv_route_query *query,
                         struct lv_route *rt)
{
    const struct table *t = table(x);

    rt->used_headers = true;
    enum lv_err err = scan_of(rt, query->headers);
    if (err == LV_OK)
        err = lv_route_add_all(rt, &t->always);
    for (size_t i = 0; err == LV_OK && i < rt->header->count; i++) {
        const struct header *h = &rt->header->at[i];
        err = route_wanted(&t->by_value, value_hash(h->name_hash, &h->field.value), h, rt);
        if (err == LV_OK)
            err = route_wanted(&t->by_presence, h->name_hash, h, rt);
    }
    return err;
}

const struct lv_exchange_ops lv_exchange_headers = {
    .name = "headers",
    .table_bytes = sizeof(struct table),
    .init = init,
    .fini = fini,
    .bind = bind,
    .unbind = unbind,
    .route = route,
};
