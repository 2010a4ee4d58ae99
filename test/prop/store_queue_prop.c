/* Durable queues on a simulated disk: random commands, checkpoints, stops, kills and power cuts, against the model of
 * support/store_world.h. Each life goes on with what the one before left. */
#include "engine/queue.h"
#include "lv_test.h"
#include "support/store_world.h"

static void live_on(uint64_t seed, const struct world_config *config, unsigned lives)
{
    struct lv_rng rng = lv_rng_seed(seed ^ 0x5eed);
    struct world *w = world_new(seed, config);

    for (unsigned i = 0; i < lives; i++) {
        world_run(w, lv_rng_below(&rng, 8) == 0 ? lv_rng_below(&rng, 20) : lv_rng_below(&rng, 1500));
        world_restart(w, (enum world_end)lv_rng_below(&rng, 3));
    }
    world_free(w);
}

LV_PROP(lives_of_queues)
{
    live_on(seed,
            &(struct world_config){
                .queues = 5, .body_max = 300, .has_deletes = true, .has_transients = true },
            8);
}

LV_PROP(lives_with_large_bodies)
{
    live_on(seed, &(struct world_config){ .queues = 3, .body_max = 20000, .has_deletes = true }, 6);
}

LV_PROP(lives_of_long_queues)
{
    live_on(seed,
            &(struct world_config){ .file_bytes = 256 << 10,
                                    .queues = 2,
                                    .body_max = 60,
                                    .has_bursts = true,
                                    .has_deletes = true },
            4);
}

LV_PROP(lives_of_purged_queues)
{
    live_on(seed,
            &(struct world_config){ .file_bytes = 256 << 10,
                                    .queues = 2,
                                    .body_max = 60,
                                    .has_purges = true,
                                    .has_deletes = true },
            3);
}
