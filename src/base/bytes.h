/* base/bytes.h - a view of bytes somebody else owns, and cursors that read and write big-endian fields.
 *
 * The reader is total: each lv_rd_*() either advances or sets `bad` once and yields zero, so a decoder
 * checks `bad` once at its end and no field can be read past the limit.
 * The writer is the same: past its end it only counts, so that `used` tells the space that was needed.
 */
#ifndef LV_BASE_BYTES_H
#define LV_BASE_BYTES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"

struct lv_bytes {
    const uint8_t *ptr; /* views; may be NULL when len is 0 */
    size_t len;
};

#define LV_BYTES_LIT(s) ((struct lv_bytes){ (const uint8_t *)(s), sizeof(s) - 1 })
#define LV_BYTES_FMT(b) (int)(b).len, (const char *)(b).ptr /* for "%.*s" */

static inline struct lv_bytes lv_bytes(const void *ptr, size_t len)
{
    return (struct lv_bytes){ (const uint8_t *)ptr, len };
}

static inline struct lv_bytes lv_bytes_str(const char *s)
{
    return lv_bytes(s, strlen(s));
}

static inline bool lv_bytes_eq(struct lv_bytes a, struct lv_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Order of memcmp, shorter first when one is the other's beginning. */
static inline int lv_bytes_cmp(struct lv_bytes a, struct lv_bytes b)
{
    size_t n = LV_MIN(a.len, b.len);
    int c = n != 0 ? memcmp(a.ptr, b.ptr, n) : 0;

    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

static inline bool lv_bytes_has_prefix(struct lv_bytes b, struct lv_bytes prefix)
{
    return b.len >= prefix.len && (prefix.len == 0 || memcmp(b.ptr, prefix.ptr, prefix.len) == 0);
}

static inline uint16_t lv_be16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap16(v);
}
static inline uint32_t lv_be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap32(v);
}
static inline uint64_t lv_be64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap64(v);
}
static inline void lv_put_be16(uint8_t *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof(v));
}
static inline void lv_put_be32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof(v));
}
static inline void lv_put_be64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof(v));
}

/* ---- reader ---- */
struct lv_rd {
    const uint8_t *at, *end;
    bool bad;
};

static inline struct lv_rd lv_rd(struct lv_bytes b)
{
    if (b.ptr == NULL) /* C adds nothing to NULL, not even 0 */
        b.ptr = (const uint8_t *)"";
    return (struct lv_rd){ b.ptr, b.ptr + b.len, false };
}

static inline size_t lv_rd_left(const struct lv_rd *r)
{
    return (size_t)(r->end - r->at);
}

/* The next `n` bytes, or an empty view and `bad`. */
static inline struct lv_bytes lv_rd_bytes(struct lv_rd *r, size_t n)
{
    if (LV_UNLIKELY(n > lv_rd_left(r))) {
        r->bad = true;
        r->at = r->end;
        return (struct lv_bytes){ r->end, 0 };
    }
    struct lv_bytes b = { r->at, n };
    r->at += n;
    return b;
}

static inline uint8_t lv_rd_u8(struct lv_rd *r)
{
    struct lv_bytes b = lv_rd_bytes(r, 1);
    return b.len != 0 ? b.ptr[0] : 0;
}
static inline uint16_t lv_rd_u16(struct lv_rd *r)
{
    struct lv_bytes b = lv_rd_bytes(r, 2);
    return b.len != 0 ? lv_be16(b.ptr) : 0;
}
static inline uint32_t lv_rd_u32(struct lv_rd *r)
{
    struct lv_bytes b = lv_rd_bytes(r, 4);
    return b.len != 0 ? lv_be32(b.ptr) : 0;
}
static inline uint64_t lv_rd_u64(struct lv_rd *r)
{
    struct lv_bytes b = lv_rd_bytes(r, 8);
    return b.len != 0 ? lv_be64(b.ptr) : 0;
}
/* u8 length and as many bytes. */
static inline struct lv_bytes lv_rd_short(struct lv_rd *r)
{
    size_t n = lv_rd_u8(r);
    return lv_rd_bytes(r, n);
}
/* u32 length and as many bytes. */
static inline struct lv_bytes lv_rd_long(struct lv_rd *r)
{
    size_t n = lv_rd_u32(r);
    return lv_rd_bytes(r, n);
}

/* ---- writer ---- */
struct lv_wr {
    uint8_t *buf; /* borrows */
    size_t cap;
    size_t used; /* bytes wanted so far; more than cap: nothing past cap was written */
};

static inline struct lv_wr lv_wr(void *buf, size_t cap)
{
    return (struct lv_wr){ (uint8_t *)buf, cap, 0 };
}

static inline bool lv_wr_ok(const struct lv_wr *w)
{
    return w->used <= w->cap;
}

static inline void lv_wr_bytes(struct lv_wr *w, const void *p, size_t n)
{
    if (LV_LIKELY(w->used <= w->cap && n <= w->cap - w->used) && n != 0)
        memcpy(w->buf + w->used, p, n);
    w->used += n;
}
static inline void lv_wr_u8(struct lv_wr *w, uint8_t v)
{
    lv_wr_bytes(w, &v, 1);
}
static inline void lv_wr_u16(struct lv_wr *w, uint16_t v)
{
    v = __builtin_bswap16(v);
    lv_wr_bytes(w, &v, 2);
}
static inline void lv_wr_u32(struct lv_wr *w, uint32_t v)
{
    v = __builtin_bswap32(v);
    lv_wr_bytes(w, &v, 4);
}
static inline void lv_wr_u64(struct lv_wr *w, uint64_t v)
{
    v = __builtin_bswap64(v);
    lv_wr_bytes(w, &v, 8);
}
/* Caller has checked that `b` is at most 255 bytes. */
static inline void lv_wr_short(struct lv_wr *w, struct lv_bytes b)
{
    lv_wr_u8(w, (uint8_t)b.len);
    lv_wr_bytes(w, b.ptr, b.len);
}
static inline void lv_wr_long(struct lv_wr *w, struct lv_bytes b)
{
    lv_wr_u32(w, (uint32_t)b.len);
    lv_wr_bytes(w, b.ptr, b.len);
}
/* A u32 length that is known at its end: what is written until lv_wr_long_end is what it counts. */
static inline size_t lv_wr_long_begin(struct lv_wr *w)
{
    size_t start = w->used;

    lv_wr_u32(w, 0);
    return start;
}
/* `start`: what lv_wr_long_begin returned. */
static inline void lv_wr_long_end(struct lv_wr *w, size_t start)
{
    if (lv_wr_ok(w))
        lv_put_be32(w->buf + start, (uint32_t)(w->used - start - 4));
}

#endif
