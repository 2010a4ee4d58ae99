/* The n-th call fails, for every n: of each kind at the file door, and of each allocation. Three lives of a store are
 * run on it (support/store_world.h): opened, used, checkpointed, emptied of old files, stopped in order, opened again. Each failure
 * is survived, or ends the store: then it is opened again on a disk that works, and is what clients were promised, whether the
 * power went as well or not.
 *
 * LV_FAULTS=all tries every n (`make faults`), otherwise the further on the fewer. LV_FAULT="NAME N" runs that one alone. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/queue.h"
#include "lv_test.h"
#include "support/fault_dir.h"
#include "support/store_world.h"

#define LIVES 3u

struct misfortune {
    const char *name;
    enum fault_kind kind;
    enum lv_err err;
    unsigned how;
};

/* EMFILE, as every error of a machine that is short of something, comes as LV_ENOMEM. */
static const struct misfortune misfortunes[] = {
    { "write-eio", FAULT_WRITE, LV_EIO, FAULT_ONCE },
    { "write-eio-short", FAULT_WRITE, LV_EIO, FAULT_SHORT },
    { "write-enospc-short", FAULT_WRITE, LV_ENOSPC, FAULT_SHORT },
    { "write-enospc-sticky", FAULT_WRITE, LV_ENOSPC, FAULT_STICKY },
    { "sync-eio", FAULT_SYNC, LV_EIO, FAULT_ONCE },
    { "sync-eio-sticky", FAULT_SYNC, LV_EIO, FAULT_STICKY },
    { "dir-sync-eio", FAULT_DIR_SYNC, LV_EIO, FAULT_ONCE },
    { "open-eio", FAULT_OPEN, LV_EIO, FAULT_ONCE },
    { "open-emfile", FAULT_OPEN, LV_ENOMEM, FAULT_ONCE },
    { "open-emfile-sticky", FAULT_OPEN, LV_ENOMEM, FAULT_STICKY },
    { "reserve-enospc", FAULT_RESERVE, LV_ENOSPC, FAULT_ONCE },
    { "reserve-enospc-sticky", FAULT_RESERVE, LV_ENOSPC, FAULT_STICKY },
    { "reserve-eio", FAULT_RESERVE, LV_EIO, FAULT_ONCE },
    { "rename-eio", FAULT_RENAME, LV_EIO, FAULT_ONCE },
    { "rename-enospc", FAULT_RENAME, LV_ENOSPC, FAULT_ONCE },
    { "unlink-eio", FAULT_UNLINK, LV_EIO, FAULT_ONCE },
    { "unlink-eio-sticky", FAULT_UNLINK, LV_EIO, FAULT_STICKY },
    { "read-eio", FAULT_READ, LV_EIO, FAULT_ONCE },
    { "read-eio-sticky", FAULT_READ, LV_EIO, FAULT_STICKY },
    { "size-eio", FAULT_SIZE, LV_EIO, FAULT_ONCE },
    { "list-eio", FAULT_LIST, LV_EIO, FAULT_ONCE },
};

struct script {
    const char *name;
    struct world_config config;
    unsigned ops;
    bool has_burst; /* thousands of messages at once, and so pages */
    bool has_moves; /* something is carried forward */
};
static const struct script scripts[] = {
    { .name = "small",
      .config = { .queues = 4, .body_max = 300, .has_deletes = true, .has_transients = true },
      .ops = 300 },
    { .name = "large",
      .config = { .queues = 3, .body_max = 12000, .has_deletes = true },
      .ops = 200,
      .has_moves = true },
    { .name = "long",
      .config = { .file_bytes = 256 << 10, .queues = 2, .body_max = 60, .has_deletes = true },
      .ops = 200,
      .has_burst = true },
};

static char running[96]; /* what a failed check was in */
static uint64_t runs, deaths;

__attribute__((destructor)) static void tell(void)
{
    if (running[0] != '\0')
        fprintf(stderr, "LV_FAULT=\"%s\"\n", running);
}

static int64_t heap(void)
{
    int64_t sum = 0;

    for (unsigned tag = 0; tag < LV_TAG_COUNT; tag++)
        sum += lv_mem_used((enum lv_mem_tag)tag);
    return sum;
}

/* Nothing failed: was everything tried? */
static void check_reach(const struct world *w, const struct script *s)
{
    struct world_totals t;

    world_totals(w, &t);
    CHECK(t.transactions != 0);
    CHECK(t.delivered != 0);
    CHECK(t.checkpoints != 0);
    CHECK(t.removed != 0 || s->has_burst);
    CHECK(t.moved != 0 || !s->has_moves);
    CHECK_EQ(t.passed, 0);
    CHECK_EQ(t.lives, LIVES + 2);
    CHECK(!world_is_dead(w));
}

/* Lives until the store dies or cannot be opened. */
static void live_on(struct world *w, const struct script *s)
{
    static const enum world_end ends[LIVES] = { WORLD_STOP, WORLD_KILL, WORLD_STOP };

    for (unsigned i = 0; i < LIVES; i++) {
        if (world_open(w) != LV_OK)
            return;
        if (s->has_burst && i == 0)
            world_burst(w);
        world_run(w, s->ops);
        if (world_is_dead(w))
            return;
        world_end(w, ends[i]);
    }
}

/* The disk works again, and maybe the power had gone. */
static void look_after(struct world *w, struct lv_rng *rng, unsigned ops)
{
    deaths += world_is_dead(w);
    CHECK(world_failures(w) <= 1);
    world_judge(w, sim_dir_cut(world_disk(w), rng, SIM_CUT_NONE));
    world_judge(w, sim_dir_cut(world_disk(w), rng, SIM_CUT_ANY));
    if (world_is_open(w))
        world_end(w, WORLD_KILL);
    CHECK_EQ(world_open(w), LV_OK);
    world_run(w, ops / 4);
    world_restart(w, WORLD_STOP);
}

/* false: there is no n-th call. `m` NULL: the n-th allocation fails. */
static bool run(const struct script *s, const struct misfortune *m, uint64_t n)
{
    struct sim_dir *disk = sim_dir_new();
    struct fault_dir *fault = fault_dir_new(sim_dir_door(disk));
    struct lv_rng rng = lv_rng_seed(n);
    struct world_config config = s->config;
    int64_t before = heap();
    bool was_hit;

    (void)snprintf(running, sizeof(running), "%s/%s %llu", m != NULL ? m->name : "alloc", s->name,
                   (unsigned long long)n);
    config.disk = disk;
    config.fault = fault;
    config.may_pass = m != NULL && (m->kind == FAULT_READ || m->kind == FAULT_OPEN);
    config.is_lenient = m == NULL;
    config.may_leak = m == NULL || (config.may_pass && (m->how & FAULT_STICKY) != 0);
    struct world *w = world_closed(7, &config);
    if (m != NULL)
        fault_dir_fail(fault, m->kind, n, m->err, m->how);
    else
        (void)lv_mem_fail_at(n);
    live_on(w, s);
    was_hit = m != NULL ? fault_dir_hits(fault) != 0 : lv_mem_fail_at(0) == 0;
    fault_dir_fail(fault, FAULT_ANY, 0, LV_OK, FAULT_ONCE);
    look_after(w, &rng, s->ops);
    if (!was_hit)
        check_reach(w, s);
    world_free(w);
    fault_dir_free(fault);
    CHECK_EQ(heap(), before);
    running[0] = '\0';
    runs++;
    return was_hit;
}

static bool is_wanted(const char *name, const char *script, uint64_t *n)
{
    const char *only = getenv("LV_FAULT");
    char text[sizeof(running)];

    if (only == NULL)
        return true;
    int len = snprintf(text, sizeof(text), "%s/%s ", name, script);
    if (strncmp(only, text, (size_t)len) != 0)
        return false;
    *n = strtoull(only + len, NULL, 10);
    return true;
}

static void every_nth(const struct script *s, const struct misfortune *m, uint64_t share)
{
    const char *asked = getenv("LV_FAULTS");
    bool is_all = asked != NULL && strcmp(asked, "all") == 0;
    const char *name = m != NULL ? m->name : "alloc";
    uint64_t n = 1;

    if (!is_wanted(name, s->name, &n))
        return;
    runs = deaths = 0;
    while (run(s, m, n) && getenv("LV_FAULT") == NULL)
        n += is_all ? 1 : 1 + n / share;
    fprintf(stderr, "%-22s %-6s %6llu runs up to call %6llu, %5llu ended the store\n", name, s->name,
            (unsigned long long)runs, (unsigned long long)n - 1, (unsigned long long)deaths);
}

LV_TEST(every_call_of_the_file_door_fails_once)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(misfortunes); i++)
        for (size_t k = 0; k < LV_ARRAY_LEN(scripts); k++)
            every_nth(&scripts[k], &misfortunes[i], scripts[k].has_burst ? 3 : 6);
}

LV_TEST(every_allocation_fails_once)
{
    for (size_t k = 0; k < LV_ARRAY_LEN(scripts); k++)
        every_nth(&scripts[k], NULL, scripts[k].has_burst ? 5 : 20);
}
