/* base/assert.h - LV_ASSERT: our own invariants, always on. Never on bytes from wire, disk or config. */
#ifndef LV_BASE_ASSERT_H
#define LV_BASE_ASSERT_H

#define LV_LIKELY(x) __builtin_expect(!!(x), 1)
#define LV_UNLIKELY(x) __builtin_expect(!!(x), 0)

#define LV_ASSERT(cond)                                            \
    do {                                                           \
        if (LV_UNLIKELY(!(cond)))                                  \
            lv_assert_failed(__FILE__, __LINE__, __func__, #cond); \
    } while (0)

/* A place that is not reached, whatever a peer does. */
#define LV_UNREACHABLE(why) lv_assert_failed(__FILE__, __LINE__, __func__, why)

#define LV_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define LV_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define LV_MIN(a, b) ((a) < (b) ? (a) : (b))
#define LV_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Writes place and condition to standard error and aborts. Any thread. */
_Noreturn void lv_assert_failed(const char *file, int line, const char *func, const char *cond);

#endif
