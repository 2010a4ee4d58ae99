/* Counters: each thread adds to a block of its own, linked into a list that only grows, so that
 * counting needs no shared write. A block freed on another thread makes one thread's counter
 * negative; only the sum has a meaning. */
#include "base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

struct counters {
    _Atomic int64_t used[LV_TAG_COUNT]; /* written by one thread, read by all */
    struct counters *next;
};

static _Atomic(struct counters *) all_counters;
static _Thread_local struct counters *mine;
static _Thread_local uint64_t fail_countdown;

static void count_slow(size_t bytes, enum lv_mem_tag tag, int sign);

static inline void count(void *ptr, enum lv_mem_tag tag, int sign)
{
    size_t bytes = malloc_usable_size(ptr);

    if (LV_UNLIKELY(mine == NULL)) {
        count_slow(bytes, tag, sign);
        return;
    }
    int64_t now = atomic_load_explicit(&mine->used[tag], memory_order_relaxed);
    atomic_store_explicit(&mine->used[tag], now + sign * (int64_t)bytes, memory_order_relaxed);
}

/* First use on this thread. The block is never freed: the sum keeps what a dead thread left behind. */
static __attribute__((noinline)) void count_slow(size_t bytes, enum lv_mem_tag tag, int sign)
{
    mine = calloc(1, sizeof(*mine));
    if (mine == NULL)
        return;
    mine->next = atomic_load(&all_counters);
    while (!atomic_compare_exchange_weak(&all_counters, &mine->next, mine)) {
    }
    atomic_store_explicit(&mine->used[tag], sign * (int64_t)bytes, memory_order_relaxed);
}

static inline int must_fail(void)
{
    return LV_UNLIKELY(fail_countdown != 0) && --fail_countdown == 0;
}

void *lv_mem_alloc(size_t bytes, enum lv_mem_tag tag)
{
    void *ptr = must_fail() ? NULL : malloc(bytes);

    if (ptr != NULL)
        count(ptr, tag, 1);
    return ptr;
}

void *lv_mem_zalloc(size_t bytes, enum lv_mem_tag tag)
{
    void *ptr = must_fail() ? NULL : calloc(1, bytes);

    if (ptr != NULL)
        count(ptr, tag, 1);
    return ptr;
}

void *lv_mem_realloc(void *old, size_t bytes, enum lv_mem_tag tag)
{
    if (old == NULL)
        return lv_mem_alloc(bytes, tag);
    if (must_fail())
        return NULL;
    count(old, tag, -1);
    void *ptr = realloc(old, bytes);
    count(ptr != NULL ? ptr : old, tag, 1);
    return ptr;
}

void lv_mem_free(void *ptr, enum lv_mem_tag tag)
{
    if (ptr == NULL)
        return;
    count(ptr, tag, -1);
    free(ptr);
}

void *lv_mem_dup(const void *src, size_t bytes, enum lv_mem_tag tag)
{
    void *ptr = lv_mem_alloc(bytes != 0 ? bytes : 1, tag);

    if (ptr != NULL && bytes != 0)
        memcpy(ptr, src, bytes);
    return ptr;
}

void lv_mem_tune(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_MMAP_THRESHOLD, (int)LV_MEM_LARGE);
    (void)mallopt(M_TRIM_THRESHOLD, 2 * (int)LV_MEM_LARGE);
#endif
}

int64_t lv_mem_used(enum lv_mem_tag tag)
{
    int64_t sum = 0;

    LV_ASSERT(tag < LV_TAG_COUNT);
    for (struct counters *c = atomic_load(&all_counters); c != NULL; c = c->next)
        sum += atomic_load_explicit(&c->used[tag], memory_order_relaxed);
    return sum;
}

const char *lv_mem_tag_name(enum lv_mem_tag tag)
{
    static const char *const names[] = {
#define X(name) [LV_TAG_##name] = #name,
        LV_MEM_TAGS(X)
#undef X
    };
    LV_ASSERT(tag < LV_TAG_COUNT);
    return names[tag];
}

uint64_t lv_mem_fail_at(uint64_t nth)
{
    uint64_t left = fail_countdown;

    fail_countdown = nth;
    return left;
}
