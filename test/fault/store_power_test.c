/* The power goes: at every sync of a script, before and after it, and at random operations between; every image of the disk
 * opens by itself and has what clients were promised (support/store_world.h). So has it when the power goes soon after a start.
 *
 * LV_POWERCUT_IMAGES=n asks for that many images (`make powercut`); the scripts go on with other seeds until then. */
#include <stdio.h>
#include <stdlib.h>

#include "engine/queue.h"
#include "lv_test.h"
#include "support/store_world.h"

#define IMAGES 500u
#define SCRIPT_OPS 2000u

struct cuts {
    struct world *world;
    struct lv_rng rng;
    uint64_t images, syncs;
    bool is_looking; /* an image is being opened: it has a disk of its own */
};

static struct cuts cuts;

static void judge(struct sim_dir *sim, enum sim_cut mode)
{
    cuts.images++;
    world_judge(cuts.world, sim_dir_cut(sim, &cuts.rng, mode));
}

static void on_op(void *ctx, struct sim_dir *sim, enum sim_op op, bool is_done)
{
    bool is_sync = op == SIM_OP_SYNC || op == SIM_OP_DIR_SYNC;

    (void)ctx;
    if (cuts.world == NULL)
        return;
    if (is_sync) {
        cuts.syncs += is_done;
        judge(sim, SIM_CUT_NONE);
        judge(sim, SIM_CUT_ANY);
    } else if (lv_rng_below(&cuts.rng, 4) == 0) {
        judge(sim, SIM_CUT_ANY);
    }
}

static void run_script(uint64_t seed, const struct world_config *config, unsigned ops)
{
    struct world *w = world_new(seed, config);

    cuts.world = w;
    sim_dir_hook(world_disk(w), on_op, NULL);
    world_run(w, ops);
    (void)world_close(w);
    sim_dir_hook(world_disk(w), NULL, NULL);
    cuts.world = NULL;
    world_free(w);
}

LV_TEST(every_sync_boundary_and_between)
{
    const char *asked = getenv("LV_POWERCUT_IMAGES"), *first = getenv("LV_SEED");
    uint64_t images = asked != NULL ? strtoull(asked, NULL, 10) : IMAGES;
    uint64_t begin = first != NULL ? strtoull(first, NULL, 10) : 1;
    static const struct world_config configs[] = {
        { .queues = 4, .body_max = 400, .has_deletes = true, .has_transients = true },
        { .queues = 3, .body_max = 12000, .has_deletes = true },
        { .queues = 2, .body_max = 100 },
    };

    cuts.images = cuts.syncs = 0;
    for (uint64_t k = begin; cuts.images < images; k++) {
        cuts.rng = lv_rng_seed(k * 31);
        if (k % 50 == 0)
            fprintf(stderr, "power cuts: script %llu, %llu images\n", (unsigned long long)k,
                    (unsigned long long)cuts.images);
        run_script(k, &configs[k % 3], asked != NULL ? SCRIPT_OPS : 250);
    }
    fprintf(stderr, "power cuts: %llu images, %llu syncs\n", (unsigned long long)cuts.images,
            (unsigned long long)cuts.syncs);
}

/* The power goes at every sync of some more operations, and between. */
static void watch(struct world *w, unsigned ops)
{
    cuts.world = w;
    sim_dir_hook(world_disk(w), on_op, NULL);
    world_run(w, ops);
    sim_dir_hook(world_disk(w), NULL, NULL);
    cuts.world = NULL;
}

/* A name that a start found, and may write to, lasts. */
static void is_lasting(void *ctx, const char *name)
{
    struct lv_file *f;

    CHECK_EQ(lv_dir_open_file(sim_dir_door(ctx), name, LV_FILE_READ, &f), LV_OK);
    lv_file_close(f);
}

/* A life that is killed before its n-th operation on the disk, and the start after it. false: there is no n-th. */
static bool kill_and_start(const struct world_config *config, uint64_t n)
{
    struct world *w = world_new(5, config);
    struct sim_dir *disk = world_disk(w);
    struct lv_rng rng = lv_rng_seed(n);

    sim_dir_stop_at(disk, SIM_BEFORE_OP, sim_dir_count_ops(disk) + n);
    world_run(w, 250);
    bool was_killed = sim_dir_is_stopped(disk);
    world_end(w, WORLD_KILL);
    sim_dir_resume(disk);
    CHECK_EQ(world_open(w), LV_OK);
    world_judge(w, sim_dir_cut(disk, &rng, SIM_CUT_NONE));
    world_judge(w, sim_dir_cut(disk, &rng, SIM_CUT_ANY));
    struct sim_dir *image = sim_dir_cut(disk, &rng, SIM_CUT_NONE);
    CHECK_EQ(lv_dir_list(sim_dir_door(disk), is_lasting, image), LV_OK);
    sim_dir_free(image);
    world_run(w, 20);
    world_judge(w, sim_dir_cut(disk, &rng, SIM_CUT_NONE));
    world_free(w);
    return was_killed;
}

/* What a start after a kill found counts as stable: so it must be, also what the one before had only written. */
LV_TEST(what_a_start_after_a_kill_found_survives_a_power_cut)
{
    static const struct world_config large = { .queues = 3, .body_max = 12000, .has_deletes = true };
    uint64_t n = 1;

    while (kill_and_start(&large, n))
        n++;
    fprintf(stderr, "power cuts after kills: %llu\n", (unsigned long long)n);
}

/* `stopped` is true until the next start, and not one record longer. */
LV_TEST(a_stop_in_order_is_forgotten_for_good)
{
    for (uint64_t k = 1; k <= 4; k++) {
        struct world *w =
            world_new(k,
                      &(struct world_config){ .queues = 3, .body_max = 400, .has_deletes = true });

        world_run(w, 100);
        world_restart(w, WORLD_STOP);
        cuts.rng = lv_rng_seed(k);
        struct sim_dir *image = sim_dir_cut(world_disk(w), &cuts.rng, SIM_CUT_NONE);
        struct lv_file *f;
        CHECK_EQ(lv_dir_open_file(sim_dir_door(image), "stopped", LV_FILE_READ, &f), LV_ENOTFOUND);
        sim_dir_free(image);
        watch(w, 40);
        world_free(w);
    }
}
