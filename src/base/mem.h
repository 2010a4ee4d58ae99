/* base/mem.h - the heap, accounted per room. The only file that calls malloc and free is mem.c.
 *
 * Thread  any; the counters are per thread and summed by lv_mem_used().
 * Faults  tests make the n-th allocation of this thread fail with lv_mem_fail_at().
 */
#ifndef LV_BASE_MEM_H
#define LV_BASE_MEM_H
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define LV_MEM_TAGS(X) \
    X(BASE)            \
    X(ROUTE)           \
    X(MESSAGE)         \
    X(QUEUE)           \
    X(CONN)            \
    X(CHANNEL)         \
    X(LOOP)            \
    X(BROKER)          \
    X(STORE)           \
    X(SECURITY)        \
    X(CONFIG)          \
    X(MANAGE)          \
    X(TEST)

enum lv_mem_tag {
#define X(name) LV_TAG_##name,
    LV_MEM_TAGS(X)
#undef X
        LV_TAG_COUNT,
};

/* Memory of `bytes` (at least 1), uninitialised; NULL when there is none. Freed with lv_mem_free and the same tag. */
void *lv_mem_alloc(size_t bytes, enum lv_mem_tag tag) LV_MUST_USE;
/* Like lv_mem_alloc, all bytes zero. */
void *lv_mem_zalloc(size_t bytes, enum lv_mem_tag tag) LV_MUST_USE;
/* Resizes; on NULL the old block is untouched. `old` may be NULL. */
void *lv_mem_realloc(void *old, size_t bytes, enum lv_mem_tag tag) LV_MUST_USE;
/* Takes `ptr`, which may be NULL. */
void lv_mem_free(void *ptr, enum lv_mem_tag tag);
/* Copies `bytes` of `src` into a new block; NULL when there is no memory. */
void *lv_mem_dup(const void *src, size_t bytes, enum lv_mem_tag tag) LV_MUST_USE;

/* Once, before there are threads: large blocks (LV_MEM_LARGE bytes and more) are mapped one by one and go back to the system
 * when they are freed, and so does the end of the heap. glibc would grow both limits with what it sees (a password's hash
 * takes 19 MiB for a moment). Without glibc: nothing. */
#define LV_MEM_LARGE (4u << 20)
void lv_mem_tune(void);

/* Bytes in use under `tag`, all threads; a momentary sum. Any thread. */
int64_t lv_mem_used(enum lv_mem_tag tag);
/* Name of a tag as in LV_MEM_TAGS, static. */
const char *lv_mem_tag_name(enum lv_mem_tag tag);

/* Tests: the n-th allocation of this thread from now on fails once (1: the next); 0 switches off. Returns how many were
 * left of the last such wish; 0: none, or it was fulfilled. */
uint64_t lv_mem_fail_at(uint64_t nth);

#endif
