/* manage/buf.h - bytes that grow: what a reply is gathered in, and what a request's body is kept in.
 *
 * Owner   whoever embeds it. Zeroed memory is an empty one.
 */
#ifndef LV_MANAGE_BUF_H
#define LV_MANAGE_BUF_H
#include "base/bytes.h"

struct lv_buf {
    uint8_t *at; /* own memory; NULL: none so far */
    size_t len, cap;
    bool is_short; /* memory ran out: something is missing. Stays until lv_buf_fini */
};

/* Appends a copy. */
void lv_buf_add(struct lv_buf *b, const void *bytes, size_t n);
static inline void lv_buf_add_str(struct lv_buf *b, const char *s)
{
    lv_buf_add(b, s, strlen(s));
}
static inline void lv_buf_add_bytes(struct lv_buf *b, struct lv_bytes bytes)
{
    lv_buf_add(b, bytes.ptr, bytes.len);
}
void lv_buf_addf(struct lv_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Room for `n` more bytes at at + len, which the caller fills and counts; NULL: no memory. */
uint8_t *lv_buf_room(struct lv_buf *b, size_t n);
/* Forgets the first `n` bytes. */
void lv_buf_drop(struct lv_buf *b, size_t n);
/* Gives the memory back; it is an empty one again. */
void lv_buf_fini(struct lv_buf *b);
/* What is in it; a view until the next change. */
static inline struct lv_bytes lv_buf_view(const struct lv_buf *b)
{
    return lv_bytes(b->at, b->len);
}

#endif
