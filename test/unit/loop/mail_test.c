/* Mail between loops: order, completeness when rings overflow, life of what mail points to. */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "lv_test.h"

enum { LOOPS = 3, BURST = 3000 };

struct post_office {
    uint64_t each; /* mails for each ordered pair */
    uint64_t sent[LOOPS][LOOPS], got[LOOPS][LOOPS];
    _Atomic unsigned done;
    bool is_done[LOOPS];
    _Atomic uint64_t wrong;
};

static void check_done(struct lv_loop *loop)
{
    struct post_office *p = lv_loop_owner(loop);
    unsigned me = lv_loop_index(loop);

    if (p->is_done[me])
        return;
    for (unsigned i = 0; i < LOOPS; i++)
        if (p->sent[me][i] < p->each || p->got[me][i] < p->each)
            return;
    p->is_done[me] = true;
    if (atomic_fetch_add(&p->done, 1) + 1 == LOOPS)
        lv_loops_stop(lv_loop_all(loop));
}

static void got_mail(struct lv_loop *loop, unsigned from, const struct lv_mail *m)
{
    struct post_office *p = lv_loop_owner(loop);
    unsigned me = lv_loop_index(loop);

    if (m->w[0] != p->got[me][from] || m->w[6] != ~m->w[0] || m->a != from)
        atomic_fetch_add(&p->wrong, 1);
    p->got[me][from]++;
    check_done(loop);
}

static void post_burst(struct lv_loop *loop)
{
    struct post_office *p = lv_loop_owner(loop);
    unsigned me = lv_loop_index(loop);

    for (unsigned to = 0; to < LOOPS; to++) {
        for (unsigned i = 0; i < BURST && p->sent[me][to] < p->each; i++) {
            struct lv_mail m = { .a = me, .w = { p->sent[me][to] } };
            m.w[6] = ~m.w[0];
            lv_loop_post(loop, to, &m);
            p->sent[me][to]++;
        }
        if (p->sent[me][to] < p->each)
            lv_loop_again(loop);
    }
    check_done(loop);
}

LV_TEST(mail_keeps_its_order_through_full_rings)
{
    struct post_office *p = calloc(1, sizeof(*p));
    struct lv_loops_config config = {
        .count = LOOPS, .owner = p, .mail = got_mail, .turn_end = post_burst
    };
    struct lv_loops *loops;

    p->each = 200000;
    CHECK_EQ(lv_loops_new(&config, &loops), LV_OK);
    CHECK_EQ(lv_loops_run(loops), LV_OK);
    CHECK_EQ(p->wrong, 0);
    for (unsigned i = 0; i < LOOPS; i++)
        for (unsigned j = 0; j < LOOPS; j++)
            CHECK_EQ(p->got[i][j], p->each);
    lv_loops_free(loops);
    free(p);
    CHECK_EQ(lv_mem_used(LV_TAG_LOOP), 0);
}

/* ---- two loops that always wait for each other: no wake may be lost ---- */

static void ping(struct lv_loop *loop, unsigned from, const struct lv_mail *m)
{
    struct lv_mail next = *m;

    if (next.w[0]-- == 0)
        lv_loops_stop(lv_loop_all(loop));
    else
        lv_loop_post(loop, from, &next);
}

static enum lv_err serve(struct lv_loop *loop)
{
    struct lv_mail first = { .w = { *(uint64_t *)lv_loop_owner(loop) } };

    if (lv_loop_index(loop) == 0)
        lv_loop_post(loop, 1, &first);
    return LV_OK;
}

LV_TEST(no_wake_is_lost)
{
    uint64_t rounds = 100000;
    struct lv_loops_config config = { .count = 2, .owner = &rounds, .start = serve, .mail = ping };
    struct lv_loops *loops;

    CHECK_EQ(lv_loops_new(&config, &loops), LV_OK);
    CHECK_EQ(lv_loops_run(loops), LV_OK);
    lv_loops_free(loops);
}

/* ---- what mail points to lives until it was taken ---- */

struct shared {
    uint64_t alive;
};

struct library {
    _Atomic(struct shared *) shown; /* loop 0 replaces it all the time */
    uint64_t replaced;
    _Atomic uint64_t looked, dead, freed;
};

static _Atomic uint64_t freed;

static void burn(void *ptr)
{
    struct shared *s = ptr;

    s->alive = 0;
    free(s);
    atomic_fetch_add(&freed, 1);
}

static void look(struct lv_loop *loop, unsigned from, const struct lv_mail *m)
{
    struct library *lib = lv_loop_owner(loop);
    struct shared *s = (struct shared *)(uintptr_t)m->w[0];

    (void)from;
    if (s->alive != 4711)
        atomic_fetch_add(&lib->dead, 1);
    atomic_fetch_add(&lib->looked, 1);
}

static void lend(struct lv_loop *loop)
{
    struct library *lib = lv_loop_owner(loop);
    unsigned me = lv_loop_index(loop);

    if (me == 0 && lib->replaced < 20000) {
        struct shared *s = malloc(sizeof(*s));
        s->alive = 4711;
        s = atomic_exchange(&lib->shown, s);
        lv_loop_reclaim.retire(s, burn);
        lib->replaced++;
    }
    struct lv_mail m = { .w = { (uintptr_t)atomic_load(&lib->shown) } };
    lv_loop_post(loop, (me + 1) % LOOPS, &m);
    lv_loop_post(loop, me, &m);
    lv_loop_again(loop);
    if (me == 0 && lib->replaced == 20000)
        lv_loops_stop(lv_loop_all(loop));
}

LV_TEST(what_mail_points_to_outlives_it)
{
    struct library *lib = calloc(1, sizeof(*lib));
    struct lv_loops_config config = { .count = LOOPS, .owner = lib, .mail = look, .turn_end = lend };
    struct lv_loops *loops;

    freed = 0;
    lib->shown = malloc(sizeof(struct shared));
    lib->shown->alive = 4711;
    CHECK_EQ(lv_loops_new(&config, &loops), LV_OK);
    CHECK_EQ(lv_loops_run(loops), LV_OK);
    lv_loops_free(loops);
    CHECK(lib->looked > 0);
    CHECK_EQ(lib->dead, 0);
    CHECK_EQ(freed, 20000);
    free(lib->shown);
    free(lib);
    CHECK_EQ(lv_mem_used(LV_TAG_LOOP), 0);
}

/* Retired objects are freed while loops run, though all others sleep. */
static void count_freed(struct lv_loop *loop, struct lv_timer *t)
{
    if (atomic_load(&freed) == 10)
        lv_loops_stop(lv_loop_all(loop));
    else
        lv_timer_start(loop, t, LV_TICK_MS, count_freed);
}

static struct lv_timer counter;

static enum lv_err retire_some(struct lv_loop *loop)
{
    if (lv_loop_index(loop) != 1)
        return LV_OK;
    for (int i = 0; i < 10; i++)
        lv_loop_reclaim.retire(calloc(1, sizeof(struct shared)), burn);
    lv_timer_start(loop, &counter, 0, count_freed);
    return LV_OK;
}

LV_TEST(sleeping_loops_hold_up_no_reclamation)
{
    struct lv_loops_config config = { .count = LOOPS, .start = retire_some, .mail = look };
    struct lv_loops *loops;

    freed = 0;
    CHECK_EQ(lv_loops_new(&config, &loops), LV_OK);
    CHECK_EQ(lv_loops_run(loops), LV_OK);
    lv_loops_free(loops);
    CHECK_EQ(freed, 10);
}
