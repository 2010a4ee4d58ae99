/* lv_test.h - cmocka with less ceremony: tests register themselves, checks print both sides.
 *
 *   LV_TEST(name) { ... CHECK_EQ(got, wanted); }         run once
 *   LV_PROP(name) { struct lv_rng r = lv_rng_seed(seed); ... }
 *                                                        run with fresh seeds for LV_PROP_SECONDS (default 2)
 *
 * main() comes with the library. `<test> [name...]` runs only the tests whose names contain one of the words;
 * LV_SEED=n runs a property once with that seed, as the failing run prints.
 */
#ifndef LV_TEST_H
#define LV_TEST_H

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef void lv_test_fn(uint64_t seed);

void lv_test_add(const char *name, lv_test_fn *fn, bool is_prop);

void lv_check_true(bool holds, const char *expr, const char *file, int line);
void lv_check_eq(intmax_t a, intmax_t b, const char *a_expr, const char *b_expr, bool want_equal,
                 const char *file, int line);
void lv_check_str(const char *a, const char *b, const char *a_expr, const char *file, int line);
void lv_check_mem(const void *a, const void *b, size_t size, const char *a_expr, const char *file,
                  int line);

#define LV_TEST_REGISTER(name, is_prop)                       \
    static void test_##name(uint64_t seed);                   \
    __attribute__((constructor)) static void add_##name(void) \
    {                                                         \
        lv_test_add(#name, test_##name, is_prop);             \
    }                                                         \
    static void test_##name(__attribute__((unused)) uint64_t seed)

#define LV_TEST(name) LV_TEST_REGISTER(name, false)
#define LV_PROP(name) LV_TEST_REGISTER(name, true)

#define CHECK(cond) lv_check_true((cond), #cond, __FILE__, __LINE__)
#define CHECK_EQ(a, b) lv_check_eq((intmax_t)(a), (intmax_t)(b), #a, #b, true, __FILE__, __LINE__)
#define CHECK_NE(a, b) lv_check_eq((intmax_t)(a), (intmax_t)(b), #a, #b, false, __FILE__, __LINE__)
#define CHECK_STR(a, b) lv_check_str((a), (b), #a, __FILE__, __LINE__)
#define CHECK_MEM(a, b, size) lv_check_mem((a), (b), (size), #a, __FILE__, __LINE__)

/* Small, seeded and the same everywhere (splitmix64): a seed always replays. */
struct lv_rng {
    uint64_t state;
};

static inline struct lv_rng lv_rng_seed(uint64_t seed)
{
    return (struct lv_rng){ .state = seed };
}

static inline uint64_t lv_rng_next(struct lv_rng *r)
{
    uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* 0 .. n-1; n > 0 */
static inline uint32_t lv_rng_below(struct lv_rng *r, uint32_t n)
{
    return (uint32_t)(((lv_rng_next(r) >> 32) * n) >> 32);
}

#endif
