#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static uint64_t seed;

void lv_hash_seed(uint64_t secret)
{
    seed = secret;
}

uint64_t lv_hash(struct lv_bytes b, uint64_t more)
{
    return XXH3_64bits_withSeed(b.ptr, b.len, seed ^ more);
}
