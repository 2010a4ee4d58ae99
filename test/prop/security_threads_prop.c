/* Readers ask without pause while one writer changes everything: whoever always may is never refused, whoever never may is
 * never let in, whatever else comes and goes; and nothing that a reader holds is freed. Run it under TSan and ASan. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <urcu-qsbr.h>

#include "base/mem.h"
#include "lv_test.h"
#include "security/check.h"

enum { READERS = 2, CHANGES = 1500, RETIRED_MAX = 64, COMERS = 6 };

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

static struct lv_access *dir;
static atomic_bool stop;
static _Atomic uint64_t faults, asked;

static struct lv_bytes str(const char *s)
{
    return lv_bytes_str(s);
}

/* ---- the writer ---- */

static void put(enum lv_access_kind kind, const struct lv_wr *key, const struct lv_wr *value)
{
    CHECK_EQ(lv_access_put(dir, kind, lv_bytes(key->buf, key->used),
                           lv_bytes(value->buf, value->used)),
             LV_OK);
}

static void put_user(const char *name, uint64_t credential, uint32_t tags)
{
    struct lv_user_record r = {
        .name = str(name), .max_connections = -1, .max_channels = -1, .credential = credential
    };
    uint8_t kb[64], vb[256];
    struct lv_wr k = lv_wr(kb, sizeof(kb)), v = lv_wr(vb, sizeof(vb));

    r.tags.count = tags;
    for (uint32_t i = 0; i < tags; i++)
        r.tags.at[i] = str("monitoring");
    lv_user_key(&k, &r);
    lv_user_value(&v, &r);
    put(LV_ACCESS_USER, &k, &v);
}

static void put_vhost(const char *name)
{
    struct lv_vhost_record r = { .name = str(name), .max_connections = -1, .max_queues = -1 };
    uint8_t kb[64], vb[256];
    struct lv_wr k = lv_wr(kb, sizeof(kb)), v = lv_wr(vb, sizeof(vb));

    lv_vhost_key(&k, &r);
    lv_vhost_value(&v, &r);
    put(LV_ACCESS_VHOST, &k, &v);
}

static void put_permission(const char *user, const char *write, const char *read)
{
    struct lv_permission_record r = { str(user), str("/"), str("^c"), str(write), str(read) };
    uint8_t kb[64], vb[256];
    struct lv_wr k = lv_wr(kb, sizeof(kb)), v = lv_wr(vb, sizeof(vb));

    lv_permission_key(&k, &r);
    lv_permission_value(&v, &r);
    put(LV_ACCESS_PERMISSION, &k, &v);
}

static void put_topic(const char *user, const char *write)
{
    struct lv_topic_permission_record r = { str(user), str("/"), str("x"), str(write), str(".*") };
    uint8_t kb[64], vb[256];
    struct lv_wr k = lv_wr(kb, sizeof(kb)), v = lv_wr(vb, sizeof(vb));

    lv_topic_permission_key(&k, &r);
    lv_topic_permission_value(&v, &r);
    put(LV_ACCESS_TOPIC_PERMISSION, &k, &v);
}

static void remove_user(const char *name)
{
    uint8_t kb[64];
    struct lv_wr k = lv_wr(kb, sizeof(kb));

    lv_wr_short(&k, str(name));
    lv_access_remove(dir, LV_ACCESS_USER, lv_bytes(kb, k.used));
}

static void change(struct lv_rng *rng)
{
    static const char *const writes[] = { "^ok", "^(ok|okay)", "^ok.*$", "^o[k]+" };
    static const char *const topics[] = { "^ann", "^{username}", "^{username}\\.?" };
    char comer[16];
    uint32_t die = lv_rng_below(rng, 100);

    snprintf(comer, sizeof(comer), "c%u", lv_rng_below(rng, COMERS));
    if (die < 30)
        put_permission("ann", writes[lv_rng_below(rng, 4)], "");
    else if (die < 45)
        put_user("ann", 1, lv_rng_below(rng, 3));
    else if (die < 60)
        put_topic("ann", topics[lv_rng_below(rng, 3)]);
    else if (die < 70)
        put_user(comer, 1 + lv_rng_below(rng, 2), 0);
    else if (die < 85)
        put_permission(comer, writes[lv_rng_below(rng, 4)], "^ok");
    else
        remove_user(comer);
}

/* ---- readers ---- */

static void fault(const char *what)
{
    if (atomic_fetch_add(&faults, 1) == 0)
        fprintf(stderr, "%s\n", what);
}

/* A user who comes and goes: in or not, but never with more than his pattern gives. */
static void visit(struct lv_rng *rng)
{
    struct lv_refusal why;
    struct lv_pass p;
    char comer[16];

    snprintf(comer, sizeof(comer), "c%u", lv_rng_below(rng, COMERS));
    if (lv_pass_init(&p, dir, str(comer), 1) == LV_OK && lv_pass_enter(&p, str("/"), &why) == LV_OK) {
        if (lv_check(&p, NULL, LV_THING_QUEUE, str("no"), LV_WRITE))
            fault("a comer may what he may not");
        if (lv_pass_open_channel(&p, &why) == LV_OK)
            lv_pass_close_channel(&p);
    }
    lv_pass_fini(&p);
}

static void *reader(void *arg)
{
    int number = (int)(intptr_t)arg;
    struct lv_check_cache cache = { 0 };
    struct lv_refusal why;
    struct lv_rng rng = lv_rng_seed((uint64_t)number);
    struct lv_pass p;
    uint64_t count = 0;

    rcu_register_thread();
    if (lv_pass_init(&p, dir, str("ann"), 1) != LV_OK || lv_pass_enter(&p, str("/"), &why) != LV_OK)
        fault("ann may not enter");
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        struct lv_check_cache *c = count % 3 ? &cache : NULL;
        if (!lv_check(&p, c, LV_THING_QUEUE, str("okay"), LV_WRITE) ||
            !lv_check_topic(&p, c, str("x"), str("ann.1"), LV_WRITE))
            fault("refused what is always allowed");
        if (lv_check(&p, c, LV_THING_QUEUE, str("no"), LV_WRITE) ||
            lv_check(&p, c, LV_THING_QUEUE, str("okay"), LV_READ) ||
            lv_check_topic(&p, c, str("x"), str("bob.1"), LV_WRITE))
            fault("allowed what never is");
        if (lv_pass_standing(&p) != LV_STANDING_GOOD)
            fault("ann does not stand");
        if (count % 16 == 0)
            visit(&rng);
        if (++count % 8 == 0) {
            atomic_fetch_add_explicit(&turns[number], 1, memory_order_release);
            rcu_quiescent_state();
        }
    }
    lv_check_cache_fini(&cache);
    lv_pass_fini(&p);
    atomic_fetch_add(&asked, count);
    atomic_fetch_add_explicit(&turns[number], 1, memory_order_release);
    rcu_unregister_thread();
    return NULL;
}

LV_PROP(answers_hold_while_everything_changes)
{
    struct lv_rng rng = lv_rng_seed(seed);
    pthread_t threads[READERS];

    CHECK_EQ(lv_access_new(&reclaim, &dir), LV_OK);
    put_vhost("/");
    put_user("ann", 1, 0);
    put_permission("ann", "^ok", "");
    put_topic("ann", "^ann");
    atomic_store(&stop, false);
    for (intptr_t i = 0; i < READERS; i++) {
        uint64_t before = atomic_load(&turns[i]);
        pthread_create(&threads[i], NULL, reader, (void *)i);
        while (atomic_load(&turns[i]) == before)
            sched_yield();
    }
    for (int i = 0; i < CHANGES; i++)
        change(&rng);
    atomic_store(&stop, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(atomic_load(&faults), 0);
    CHECK(atomic_load(&asked) > 0);
    lv_access_free(dir);
    free_retired();
    CHECK_EQ(lv_mem_used(LV_TAG_SECURITY) + lv_mem_used(LV_TAG_BASE), 0);
}
