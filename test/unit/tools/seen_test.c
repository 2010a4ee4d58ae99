/* tools/leveret/seen.h: a number is new once, whichever thread adds it. */
/* A program is no library: its test brings the source in.
   NOLINTBEGIN(bugprone-suspicious-include) */
#include "../../../tools/leveret/fault.c"
#include "../../../tools/leveret/seen.c"
/* NOLINTEND(bugprone-suspicious-include) */

#include <pthread.h>

#include "lv_test.h"

LV_TEST(new_only_once)
{
    static const uint64_t numbers[] = {
        0, 1, 63, 64, LV_SEEN_CHUNK_BITS - 1, LV_SEEN_CHUNK_BITS, LV_SEEN_MAX - 1
    };
    struct lv_seen seen;

    lv_seen_init(&seen);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        CHECK(lv_seen_add(&seen, numbers[i]));
        CHECK(!lv_seen_add(&seen, numbers[i]));
    }
    CHECK_EQ(atomic_load(&seen.count), sizeof(numbers) / sizeof(numbers[0]));
    lv_seen_fini(&seen);
}

static void *add_all(void *arg)
{
    for (uint64_t i = 0; i < 3 * LV_SEEN_CHUNK_BITS; i += 7)
        (void)lv_seen_add(arg, i);
    return NULL;
}

LV_TEST(threads_count_each_number_once)
{
    struct lv_seen seen;
    pthread_t threads[4];

    lv_seen_init(&seen);
    for (size_t i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, add_all, &seen), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(atomic_load(&seen.count), (3 * LV_SEEN_CHUNK_BITS + 6) / 7);
    lv_seen_fini(&seen);
}
