#include "loop/out_priv.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

#define POOL_BYTES_MAX 1048576u /* kept of each class; what is over goes back to the heap */
#define POOL_SEGS_MAX 4096u

/* The third class holds one LV_OUT_RESERVE_MAX. */
static const uint32_t class_bytes[LV_OUT_CLASSES] = { 960, 4032, 16384, 65472 };

size_t lv_out_class_bytes(unsigned class)
{
    return class_bytes[class];
}

static struct lv_out_buf *buf_new(unsigned class, size_t cap)
{
    struct lv_out_buf *buf = lv_mem_alloc(sizeof(*buf) + cap, LV_TAG_CONN);

    if (buf == NULL)
        return NULL;
    buf->class = class;
    buf->cap = (uint32_t)cap;
    return buf;
}

struct lv_out_buf *lv_out_buf_get(struct lv_out_pool *pool, unsigned class)
{
    struct lv_out_buf *buf = pool->bufs[class];

    if (buf != NULL) {
        pool->bufs[class] = buf->next;
        pool->buf_count[class]--;
    } else {
        buf = buf_new(class, class_bytes[class]);
        if (buf == NULL)
            return NULL;
    }
    buf->refs = 1;
    buf->used = 0;
    return buf;
}

struct lv_out_buf *lv_out_buf_fit(struct lv_out_pool *pool, size_t bytes)
{
    unsigned class = 0;

    while (class < LV_OUT_CLASSES && class_bytes[class] < bytes)
        class ++;
    if (class < LV_OUT_CLASSES)
        return lv_out_buf_get(pool, class);
    struct lv_out_buf *buf = buf_new(LV_OUT_CLASSES, bytes);
    if (buf == NULL)
        return NULL;
    buf->refs = 1;
    buf->used = 0;
    return buf;
}

struct lv_out_buf *lv_out_buf_copy(struct lv_out_pool *pool, const uint8_t *ptr, size_t len)
{
    struct lv_out_buf *buf = lv_out_buf_fit(pool, len);

    if (buf == NULL)
        return NULL;
    buf->used = (uint32_t)len;
    memcpy(buf->data, ptr, len);
    return buf;
}

void lv_out_buf_unref(struct lv_out_pool *pool, struct lv_out_buf *buf)
{
    if (--buf->refs != 0)
        return;
    unsigned class = buf->class;
    if (class == LV_OUT_CLASSES ||
        (pool->buf_count[class] + 1) * class_bytes[class] > POOL_BYTES_MAX) {
        lv_mem_free(buf, LV_TAG_CONN);
        return;
    }
    buf->next = pool->bufs[class];
    pool->bufs[class] = buf;
    pool->buf_count[class]++;
}

struct lv_out_seg *lv_out_seg_get(struct lv_out_pool *pool)
{
    struct lv_out_seg *seg = pool->segs;

    if (seg == NULL)
        return lv_mem_alloc(sizeof(*seg), LV_TAG_CONN);
    pool->segs = seg->next;
    pool->seg_count--;
    return seg;
}

void lv_out_seg_put(struct lv_out_pool *pool, struct lv_out_seg *seg)
{
    if (seg->kind == LV_SEG_RUN)
        lv_out_buf_unref(pool, seg->owner);
    else if (seg->kind == LV_SEG_REF)
        seg->release(seg->owner);
    if (pool->seg_count == POOL_SEGS_MAX) {
        lv_mem_free(seg, LV_TAG_CONN);
        return;
    }
    seg->next = pool->segs;
    pool->segs = seg;
    pool->seg_count++;
}

void lv_out_pool_trim(struct lv_out_pool *pool)
{
    for (unsigned class = 0; class < LV_OUT_CLASSES; class ++) {
        struct lv_out_buf *buf;
        while ((buf = pool->bufs[class]) != NULL) {
            pool->bufs[class] = buf->next;
            lv_mem_free(buf, LV_TAG_CONN);
        }
        pool->buf_count[class] = 0;
    }
    struct lv_out_seg *seg;
    while ((seg = pool->segs) != NULL) {
        pool->segs = seg->next;
        lv_mem_free(seg, LV_TAG_CONN);
    }
    pool->seg_count = 0;
}
