/* base/ptrmap.h: a model of its contents, and readers that look while the writer changes everything. */
#include "base/ptrmap.h"

#include "base/hash.h"
#include "base/mem.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "lv_test.h"

enum { KEYS = 300 };

struct entry {
    struct lv_ptrmap_entry e; /* first: the map sees only this */
    char name[16];
    bool is_in;
};

static uint64_t full_hash(struct lv_bytes key)
{
    return lv_hash(key, 0);
}

/* Everything in eight buckets, and some keys share a whole hash. */
static uint64_t poor_hash(struct lv_bytes key)
{
    return lv_hash(key, 0) & 7;
}

static void entry_init(struct entry *x, int n, uint64_t (*hash)(struct lv_bytes))
{
    int len = snprintf(x->name, sizeof(x->name), "key-%d", n);

    x->e.key = lv_bytes(x->name, (size_t)len);
    x->e.hash = hash(x->e.key);
    x->is_in = false;
}

static void check_contents(const struct lv_ptrmap *m, const struct entry *all, size_t count)
{
    size_t seen = 0, pos = 0, wanted = 0;

    for (struct lv_ptrmap_entry *e; (e = lv_ptrmap_next(m, &pos)) != NULL; seen++)
        CHECK(((const struct entry *)e)->is_in);
    for (size_t i = 0; i < count; i++) {
        struct lv_ptrmap_entry *got = lv_ptrmap_get(m, all[i].e.key, all[i].e.hash);
        CHECK(got == (all[i].is_in ? &all[i].e : NULL));
        wanted += all[i].is_in;
    }
    CHECK_EQ(seen, wanted);
    CHECK_EQ(lv_ptrmap_count(m), wanted);
}

static void add_or_remove(struct lv_ptrmap *m, struct entry *x)
{
    if (x->is_in)
        lv_ptrmap_remove(m, &x->e);
    else
        CHECK_EQ(lv_ptrmap_add(m, &x->e), LV_OK);
    x->is_in = !x->is_in;
}

/* Arrays that are outgrown stay, as they do while a reader's section lasts. */
static void *outgrown[64];
static size_t outgrown_count;

static void keep(void *ptr, void (*free_fn)(void *ptr))
{
    CHECK(free_fn != NULL);
    outgrown[outgrown_count++] = ptr;
}

/* A walk meets what was there at its beginning once, whatever is added meanwhile. */
LV_TEST(a_walk_while_the_map_grows)
{
    static const struct lv_reclaim later = { keep };
    static struct entry all[KEYS];
    struct lv_ptrmap m;
    unsigned met[KEYS / 3] = { 0 };

    lv_ptrmap_init(&m, &later);
    for (int i = 0; i < KEYS; i++)
        entry_init(&all[i], i, full_hash);
    for (int i = 0; i < KEYS / 3; i++)
        add_or_remove(&m, &all[i]);
    struct lv_ptrmap_walk w = lv_ptrmap_walk(&m);
    size_t next = KEYS / 3;
    for (struct lv_ptrmap_entry *e; (e = lv_ptrmap_walk_next(&w)) != NULL;) {
        ptrdiff_t i = (struct entry *)e - all;
        if (i < KEYS / 3)
            met[i]++;
        for (int n = 0; n < 3 && next < KEYS; n++)
            add_or_remove(&m, &all[next++]);
    }
    for (int i = 0; i < KEYS / 3; i++)
        CHECK_EQ(met[i], 1);
    CHECK(outgrown_count >= 2);
    while (outgrown_count != 0)
        lv_mem_free(outgrown[--outgrown_count], LV_TAG_BASE);
    lv_ptrmap_fini(&m);
}

LV_TEST(empty_map_owns_nothing)
{
    struct lv_ptrmap m;
    struct entry x;
    size_t pos = 0;

    entry_init(&x, 1, full_hash);
    lv_ptrmap_init(&m, &lv_reclaim_now);
    CHECK(lv_ptrmap_get(&m, x.e.key, x.e.hash) == NULL);
    CHECK(lv_ptrmap_next(&m, &pos) == NULL);
    lv_ptrmap_remove(&m, &x.e);
    CHECK_EQ(m.count, 0);
    lv_ptrmap_fini(&m);
}

LV_TEST(remove_takes_the_pointer_not_the_key)
{
    struct lv_ptrmap m;
    struct entry x, twin;

    entry_init(&x, 1, full_hash);
    entry_init(&twin, 1, full_hash);
    lv_ptrmap_init(&m, &lv_reclaim_now);
    CHECK_EQ(lv_ptrmap_add(&m, &x.e), LV_OK);
    lv_ptrmap_remove(&m, &twin.e);
    CHECK(lv_ptrmap_get(&m, twin.e.key, twin.e.hash) == &x.e);
    lv_ptrmap_remove(&m, &x.e);
    CHECK(lv_ptrmap_get(&m, x.e.key, x.e.hash) == NULL);
    lv_ptrmap_fini(&m);
}

/* What was taken out leaves a mark behind: it is nobody's entry, and it is used again. */
LV_TEST(a_tombstone_is_nothing)
{
    struct lv_ptrmap m;
    struct entry x;

    entry_init(&x, 1, full_hash);
    x.e.hash = 0;
    lv_ptrmap_init(&m, &lv_reclaim_now);
    for (int n = 0; n < 3; n++) {
        CHECK_EQ(lv_ptrmap_add(&m, &x.e), LV_OK);
        CHECK_EQ(m.used, 1);
        lv_ptrmap_remove(&m, &x.e);
        CHECK(lv_ptrmap_get(&m, lv_bytes(NULL, 0), 0) == NULL);
    }
    lv_ptrmap_fini(&m);
}

static void against_model(uint64_t seed, uint64_t (*hash)(struct lv_bytes))
{
    struct lv_rng rng = lv_rng_seed(seed);
    struct lv_ptrmap m;
    static struct entry all[KEYS];
    int64_t memory = lv_mem_used(LV_TAG_BASE);

    lv_ptrmap_init(&m, &lv_reclaim_now);
    for (int i = 0; i < KEYS; i++)
        entry_init(&all[i], i, hash);
    for (int phase = 0; phase < 4; phase++) {
        uint32_t keys = 1 + lv_rng_below(&rng, KEYS); /* the map swells and thins */
        for (int op = 0; op < 300; op++)
            add_or_remove(&m, &all[lv_rng_below(&rng, keys)]);
        check_contents(&m, all, KEYS);
    }
    size_t pos = 0;
    for (struct lv_ptrmap_entry *e; (e = lv_ptrmap_next(&m, &pos)) != NULL;) {
        lv_ptrmap_remove(&m, e); /* what one was just handed */
        ((struct entry *)e)->is_in = false;
    }
    check_contents(&m, all, KEYS);
    lv_ptrmap_fini(&m);
    CHECK_EQ(lv_mem_used(LV_TAG_BASE), memory);
}

LV_PROP(matches_a_model)
{
    against_model(seed, full_hash);
}

LV_PROP(matches_a_model_when_hashes_collide)
{
    against_model(seed, poor_hash);
}

/* One name coming and going must not grow the array, nor slow down looking for what is not there. */
LV_TEST(churn_does_not_grow)
{
    struct lv_ptrmap m;
    struct entry x;
    int64_t memory = 0;

    lv_ptrmap_init(&m, &lv_reclaim_now);
    for (int n = 0; n < 100000; n++) {
        entry_init(&x, n, full_hash);
        CHECK_EQ(lv_ptrmap_add(&m, &x.e), LV_OK);
        lv_ptrmap_remove(&m, &x.e);
        if (n == 100)
            memory = lv_mem_used(LV_TAG_BASE);
    }
    CHECK_EQ(lv_mem_used(LV_TAG_BASE), memory);
    lv_ptrmap_fini(&m);
}

LV_TEST(a_map_that_has_emptied_shrinks)
{
    enum { MANY = 100000 };
    struct entry *all = lv_mem_alloc(MANY * sizeof(*all), LV_TAG_TEST);
    struct lv_ptrmap m;

    CHECK(all != NULL);
    lv_ptrmap_init(&m, &lv_reclaim_now);
    int64_t before = lv_mem_used(LV_TAG_BASE);
    for (int n = 0; n < MANY; n++) {
        entry_init(&all[n], n, full_hash);
        CHECK_EQ(lv_ptrmap_add(&m, &all[n].e), LV_OK);
    }
    CHECK(lv_mem_used(LV_TAG_BASE) - before > MANY * 8);
    for (int n = 1; n < MANY; n++)
        lv_ptrmap_remove(&m, &all[n].e);
    CHECK_EQ(lv_ptrmap_add(&m, &all[1].e), LV_OK);
    CHECK(lv_mem_used(LV_TAG_BASE) - before < 1024);
    CHECK(lv_ptrmap_get(&m, all[0].e.key, all[0].e.hash) == &all[0].e);
    CHECK(lv_ptrmap_get(&m, all[1].e.key, all[1].e.hash) == &all[1].e);
    lv_ptrmap_fini(&m);
    lv_mem_free(all, LV_TAG_TEST);
}

/* ---- one writer, readers on other threads. What is retired is freed once each reader has been quiet after it: the
 * rule of QSBR, in atomics that the thread sanitizer understands ---- */

enum { STAY = 50, COME_AND_GO = 200, ROUNDS = 20000, READERS = 2 };

static struct shared {
    struct lv_ptrmap map;
    struct entry stay[STAY];
    _Atomic uint64_t quiet[READERS]; /* how often this reader held nothing */
    atomic_bool is_over;
} shared;

static struct retired {
    void *ptr;
    void (*free_fn)(void *);
    struct retired *next;
} * retired;

static void retire_later(void *ptr, void (*free_fn)(void *))
{
    struct retired *r = lv_mem_alloc(sizeof(*r), LV_TAG_TEST);

    LV_ASSERT(r != NULL);
    *r = (struct retired){ ptr, free_fn, retired };
    retired = r;
}

static void wait_until_all_were_quiet(void)
{
    for (int i = 0; i < READERS; i++) {
        /* Adding nothing is also the barrier between unpublishing and looking. */
        uint64_t before = atomic_fetch_add(&shared.quiet[i], 0);
        while (atomic_load(&shared.quiet[i]) == before)
            sched_yield();
    }
}

static void free_retired(void)
{
    while (retired != NULL) {
        struct retired *r = retired;
        retired = r->next;
        r->free_fn(r->ptr);
        lv_mem_free(r, LV_TAG_TEST);
    }
}

static void entry_free(void *ptr)
{
    memset(ptr, 0xDD, sizeof(struct entry)); /* who still looks will stumble */
    lv_mem_free(ptr, LV_TAG_TEST);
}

/* What stays is always found, whatever array it is in; what is found by walking is whole. */
static void *reader(void *arg)
{
    _Atomic uint64_t *quiet = arg;
    struct lv_rng rng = lv_rng_seed((uint64_t)(quiet - shared.quiet));
    intptr_t wrong = 0;

    while (!atomic_load_explicit(&shared.is_over, memory_order_relaxed)) {
        for (int i = 0; i < 100; i++) {
            struct entry *x = &shared.stay[lv_rng_below(&rng, STAY)];
            wrong += lv_ptrmap_get(&shared.map, x->e.key, x->e.hash) != &x->e;
        }
        size_t pos = 0;
        for (struct lv_ptrmap_entry *e; (e = lv_ptrmap_next(&shared.map, &pos)) != NULL;)
            wrong +=
                e->hash != full_hash(e->key) || !lv_bytes_has_prefix(e->key, LV_BYTES_LIT("key-"));
        atomic_fetch_add(quiet, 1);
    }
    return (void *)wrong;
}

static void come_or_go(struct entry **guest, int n)
{
    if (*guest == NULL) {
        *guest = lv_mem_alloc(sizeof(**guest), LV_TAG_TEST);
        CHECK(*guest != NULL);
        entry_init(*guest, n, full_hash);
        CHECK_EQ(lv_ptrmap_add(&shared.map, &(*guest)->e), LV_OK);
    } else {
        lv_ptrmap_remove(&shared.map, &(*guest)->e);
        retire_later(*guest, entry_free);
        *guest = NULL;
    }
}

LV_TEST(readers_never_miss_what_stays)
{
    static const struct lv_reclaim reclaim = { retire_later };
    struct entry *guests[COME_AND_GO] = { 0 };
    struct lv_rng rng = lv_rng_seed(3);
    pthread_t threads[READERS];
    void *wrong;

    lv_ptrmap_init(&shared.map, &reclaim);
    for (int i = 0; i < STAY; i++) {
        entry_init(&shared.stay[i], i, full_hash);
        CHECK_EQ(lv_ptrmap_add(&shared.map, &shared.stay[i].e), LV_OK);
    }
    for (int i = 0; i < READERS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, reader, &shared.quiet[i]), 0);
    for (int round = 0; round < ROUNDS; round++) {
        come_or_go(&guests[lv_rng_below(&rng, COME_AND_GO)], STAY + round);
        if (round % 100 == 0) {
            wait_until_all_were_quiet();
            free_retired();
        }
    }
    atomic_store(&shared.is_over, true);
    for (int i = 0; i < READERS; i++) {
        pthread_join(threads[i], &wrong);
        CHECK_EQ((intptr_t)wrong, 0);
    }
    for (int i = 0; i < COME_AND_GO; i++)
        lv_mem_free(guests[i], LV_TAG_TEST);
    free_retired();
    lv_ptrmap_fini(&shared.map);
}
