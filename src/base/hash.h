/* base/hash.h - hash of a byte string under a secret of this process, so that nobody outside can aim at a bucket. */
#ifndef LV_BASE_HASH_H
#define LV_BASE_HASH_H
#include <stdint.h>

#include "base/bytes.h"

/* Sets the secret. Once, before any other thread runs; without it the secret is 0 (tests, library). */
void lv_hash_seed(uint64_t secret);
/* XXH3 of `b`, mixed with `more` (the hash of an earlier part, or 0). Any thread. */
uint64_t lv_hash(struct lv_bytes b, uint64_t more);

#endif
