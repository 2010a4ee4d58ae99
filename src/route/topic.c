/* topic: a trie of the patterns' words.
 *
 * Node     one prefix of patterns. Its children are at most one `*`, at most one `#`, and any number of words.
 * Edges    the word children of all nodes stand in one map. A child's hash is its word's plus a number peculiar to
 *          its parent, so a node costs no map of its own and equal words under two parents never meet (edge_hash).
 * Match    the words of the key are taken one by one; `at` is the set of nodes that the words so far lead to.
 *          A `#` node is reached by nothing, stays reached by any word, and so is reached for good: it is entered
 *          into `loose` once, its destinations are taken at once. A trie has one path to a node, so no node
 *          gets into `at` twice with the same word, except below two `#`; and it does not if the lower
 *          `#` is entered once only. For that such nodes have an index. The work for a word is therefore at most
 *          one step for each node, however many `#` there are.
 * Change   a child is linked when it is whole and unlinked when it is bare: no destination, no child. */
#include "base/hash.h"
#include "route/route_priv.h"
#include "route/words_priv.h"

#define NO_INDEX UINT32_MAX

struct node {
    struct lv_ptrmap_entry edge; /* first; in the map only when this is a word's node */
    struct node *parent;         /* writer only; NULL: root */
    _Atomic(struct node *) star, hash;
    _Atomic uint32_t words; /* word children; 0 spares readers the look-up */
    uint32_t index;         /* of a `#` below another `#` */
    struct lv_rcuset dests; /* bound by the pattern that ends here */
    uint8_t word[];
};

struct topic {
    struct lv_ptrmap edges;
    struct node root;
};

static struct topic *table(const struct lv_exchange *x)
{
    return (struct topic *)x->table;
}

/* For one word it differs between any two parents: a node is larger than 16 bytes, and an odd factor keeps
 * different numbers different. */
static uint64_t edge_hash(const struct node *parent, uint64_t word_hash)
{
    return word_hash + ((uintptr_t)parent >> 4) * UINT64_C(0x9e3779b97f4a7c15);
}

static struct node *load(const _Atomic(struct node *) *child)
{
    return atomic_load_explicit(child, memory_order_acquire);
}

static struct node *word_child(const struct topic *t, const struct node *n, struct lv_bytes word,
                               uint64_t word_hash)
{
    if (atomic_load_explicit(&n->words, memory_order_acquire) == 0)
        return NULL;
    return (struct node *)lv_ptrmap_get(&t->edges, word, edge_hash(n, word_hash));
}

/* ---- writer ---- */

static void node_init(struct node *n, struct node *parent)
{
    n->parent = parent;
    n->index = NO_INDEX;
    lv_rcuset_init(&n->dests);
}

static void node_free(void *ptr)
{
    struct node *n = ptr;

    lv_rcuset_fini(&n->dests);
    lv_mem_free(n, LV_TAG_ROUTE);
}

/* Where the parent keeps this kind of child; NULL: in the map of edges. */
static _Atomic(struct node *) *wildcard_of(struct node *parent, struct lv_bytes word)
{
    if (lv_word_is(word, '*'))
        return &parent->star;
    if (lv_word_is(word, '#'))
        return &parent->hash;
    return NULL;
}

static void add_words(struct node *n, uint32_t by)
{
    uint32_t words = atomic_load_explicit(&n->words, memory_order_relaxed);

    atomic_store_explicit(&n->words, words + by, memory_order_release);
}

static bool is_below_hash(const struct node *n)
{
    for (; n->parent != NULL; n = n->parent)
        if (lv_word_is(n->edge.key, '#'))
            return true;
    return false;
}

static enum lv_err node_new(struct lv_router *r, struct topic *t, struct node *parent,
                            struct lv_bytes word, struct node **out)
{
    struct node *n = lv_mem_zalloc(sizeof(*n) + word.len, LV_TAG_ROUTE);
    enum lv_err err = LV_OK;

    if (n == NULL)
        return LV_ENOMEM;
    node_init(n, parent);
    if (word.len != 0)
        memcpy(n->word, word.ptr, word.len);
    n->edge.key = lv_bytes(n->word, word.len);
    n->edge.hash = edge_hash(parent, lv_hash(word, 0));
    _Atomic(struct node *) *wildcard = wildcard_of(parent, word);
    if (wildcard == NULL)
        err = lv_ptrmap_add(&t->edges, &n->edge);
    else if (wildcard == &parent->hash && is_below_hash(parent))
        err = lv_indexes_take(r->indexes, &n->index);
    if (err != LV_OK) {
        node_free(n);
        return err;
    }
    if (wildcard == NULL)
        add_words(parent, 1);
    else
        atomic_store_explicit(wildcard, n, memory_order_release);
    *out = n;
    return LV_OK;
}

static bool is_bare(struct node *n)
{
    return load(&n->star) == NULL && load(&n->hash) == NULL &&
           atomic_load_explicit(&n->words, memory_order_relaxed) == 0 &&
           lv_rcuset_count(&n->dests) == 0;
}

/* Takes out `n` and its ancestors as far as nothing needs them. */
static void prune(struct lv_router *r, struct topic *t, struct node *n)
{
    while (n->parent != NULL && is_bare(n)) {
        struct node *parent = n->parent;
        _Atomic(struct node *) *wildcard = wildcard_of(parent, n->edge.key);
        if (wildcard != NULL) {
            atomic_store_explicit(wildcard, NULL, memory_order_release);
        } else {
            lv_ptrmap_remove(&t->edges, &n->edge);
            add_words(parent, (uint32_t)-1);
        }
        if (n->index != NO_INDEX)
            lv_indexes_give(r->indexes, n->index);
        r->reclaim->retire(n, node_free);
        n = parent;
    }
}

static void init(const struct lv_router *r, struct lv_exchange *x)
{
    lv_ptrmap_init(&table(x)->edges, r->reclaim);
    node_init(&table(x)->root, NULL);
}

static void fini(struct lv_exchange *x)
{
    lv_ptrmap_fini(&table(x)->edges);
    lv_rcuset_fini(&table(x)->root.dests);
}

static enum lv_err bind(struct lv_router *r, struct lv_binding *b)
{
    struct topic *t = table(b->source);
    struct node *n = &t->root;
    struct lv_words words = lv_words(b->key);
    struct lv_bytes word;
    enum lv_err err = LV_OK;

    while (err == LV_OK && lv_words_next(&words, &word)) {
        _Atomic(struct node *) *wildcard = wildcard_of(n, word);
        struct node *child =
            wildcard != NULL ? load(wildcard) : word_child(t, n, word, lv_hash(word, 0));
        if (child == NULL)
            err = node_new(r, t, n, word, &child);
        if (err == LV_OK)
            n = child;
    }
    if (err == LV_OK)
        err = lv_rcuset_add(&n->dests, b->dest, &b->place, r->reclaim);
    if (err != LV_OK)
        prune(r, t, n);
    return err;
}

static void unbind(struct lv_router *r, struct lv_binding *b)
{
    struct node *n = LV_CONTAINER_OF(b->place.set, struct node, dests);

    lv_rcuset_remove(&b->place, r->reclaim);
    prune(r, table(b->source), n);
}

/* ---- readers ---- */

/* Can a word lead further from here? */
static bool leads_on(const struct node *n)
{
    return load(&n->star) != NULL || atomic_load_explicit(&n->words, memory_order_acquire) != 0;
}

/* The words so far lead to `n`, and on to the `#` below it. */
static enum lv_err reach(struct node *n, struct lv_route_list *to, struct lv_route *rt)
{
    enum lv_err err = lv_route_push(to, n);

    for (n = load(&n->hash); n != NULL && err == LV_OK; n = load(&n->hash)) {
        if (n->index != NO_INDEX) {
            bool met;
            err = lv_route_meet(rt, n->index, rt->pass, &met);
            if (err != LV_OK || met)
                return err;
        }
        err = lv_route_add_all(rt, &n->dests);
        if (err == LV_OK && leads_on(n))
            err = lv_route_push(&rt->loose, n);
    }
    return err;
}

static enum lv_err step(const struct topic *t, const struct node *n, struct lv_bytes word,
                        uint64_t word_hash, struct lv_route *rt)
{
    struct node *star = load(&n->star);
    struct node *child = word_child(t, n, word, word_hash);
    enum lv_err err = star != NULL ? reach(star, &rt->next, rt) : LV_OK;

    if (err == LV_OK && child != NULL)
        err = reach(child, &rt->next, rt);
    return err;
}

static enum lv_err steps(const struct topic *t, const struct lv_route_list *from, size_t count,
                         struct lv_bytes word, uint64_t word_hash, struct lv_route *rt)
{
    for (size_t i = 0; i < count; i++) {
        enum lv_err err = step(t, from->at[i], word, word_hash, rt);
        if (err != LV_OK)
            return err;
    }
    return LV_OK;
}

static enum lv_err route_key(struct topic *t, struct lv_bytes key, struct lv_route *rt)
{
    struct lv_words words = lv_words(key);
    struct lv_bytes word;

    rt->pass++;
    rt->at.count = rt->loose.count = 0;
    enum lv_err err = reach(&t->root, &rt->at, rt);
    while (err == LV_OK && rt->at.count + rt->loose.count != 0 && lv_words_next(&words, &word)) {
        uint64_t word_hash = lv_hash(word, 0);
        size_t loose = rt->loose.count; /* those that this word reaches wait for the next one */
        rt->next.count = 0;
        err = steps(t, &rt->at, rt->at.count, word, word_hash, rt);
        if (err == LV_OK)
            err = steps(t, &rt->loose, loose, word, word_hash, rt);
        struct lv_route_list at = rt->at;
        rt->at = rt->next;
        rt->next = at;
    }
    for (size_t i = 0; i < rt->at.count && err == LV_OK; i++)
        err = lv_route_add_all(rt, &((struct node *)rt->at.at[i])->dests);
    return err;
}

static enum lv_err route(const struct lv_exchange *x, const struct lv_route_query *query,
                         struct lv_route *rt)
{
    enum lv_err err = route_key(table(x), query->key, rt);

    for (size_t i = 0; i < query->more_count && err == LV_OK; i++)
        err = route_key(table(x), query->more_keys[i], rt);
    return err;
}

const struct lv_exchange_ops lv_exchange_topic = {
    .name = "topic",
    .table_bytes = sizeof(struct topic),
    .init = init,
    .fini = fini,
    .bind = bind,
    .unbind = unbind,
    .route = route,
};
