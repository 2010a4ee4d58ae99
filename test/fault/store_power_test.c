/* The power goes: at every sync of a script, before and after it, and at random operations between; every image of the disk
 * opens by itself and has what clients were promised (support/store_world.h).
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
