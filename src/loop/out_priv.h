/* loop/out_priv.h - output that waits to be written: a chain of segments, and the loop's pool they come from.
 *
 * Copied bytes gather in buffers; a run is a stretch of one buffer. References to other memory stand between runs.
 * A buffer lives as long as a run points into it or its connection writes to it, so it can follow a connection to
 * another loop.
 */
#ifndef LV_LOOP_OUT_PRIV_H
#define LV_LOOP_OUT_PRIV_H
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define LV_OUT_CLASSES \
    4u /* sizes of buffers: a connection moves up while it fills them, down while it does not */

struct lv_out_buf {
    struct lv_out_buf *next; /* in the pool */
    uint32_t refs;
    uint32_t class; /* LV_OUT_CLASSES: of its own size, not pooled */
    uint32_t cap, used;
    uint8_t data[];
};

enum lv_seg_kind {
    LV_SEG_RUN,      /* owner is the struct lv_out_buf */
    LV_SEG_REF,      /* release(owner) when written */
    LV_SEG_BORROWED, /* points into a read block until the turn's end */
};

struct lv_out_seg {
    struct lv_out_seg *next;
    const uint8_t *ptr; /* what is still to be written */
    size_t len;
    void *owner;
    void (*release)(void *owner);
    enum lv_seg_kind kind;
};

struct lv_out_pool {
    struct lv_out_buf *bufs[LV_OUT_CLASSES];
    struct lv_out_seg *segs;
    unsigned buf_count[LV_OUT_CLASSES], seg_count;
};

/* A buffer of that class with one reference; NULL without memory. */
struct lv_out_buf *lv_out_buf_get(struct lv_out_pool *pool, unsigned class) LV_MUST_USE;
/* One of the smallest class that has room for `bytes`, or of its own size. */
struct lv_out_buf *lv_out_buf_fit(struct lv_out_pool *pool, size_t bytes) LV_MUST_USE;
/* One that holds a copy of `len` bytes. */
struct lv_out_buf *lv_out_buf_copy(struct lv_out_pool *pool, const uint8_t *ptr,
                                   size_t len) LV_MUST_USE;
void lv_out_buf_unref(struct lv_out_pool *pool, struct lv_out_buf *buf);
size_t lv_out_class_bytes(unsigned class);
struct lv_out_seg *lv_out_seg_get(struct lv_out_pool *pool) LV_MUST_USE;
/* Gives back the segment and what it holds. */
void lv_out_seg_put(struct lv_out_pool *pool, struct lv_out_seg *seg);
/* Gives the pool's memory back to the heap. */
void lv_out_pool_trim(struct lv_out_pool *pool);

#endif
