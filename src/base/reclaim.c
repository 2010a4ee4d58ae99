#include "base/reclaim.h"

static void retire_now(void *ptr, void (*free_fn)(void *ptr))
{
    free_fn(ptr);
}

const struct lv_reclaim lv_reclaim_now = { retire_now };
