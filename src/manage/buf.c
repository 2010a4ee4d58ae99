#include "manage/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

#define CAP_MIN 512u

uint8_t *lv_buf_room(struct lv_buf *b, size_t n)
{
    if (b->is_short)
        return NULL;
    if (b->cap - b->len < n) {
        size_t cap = LV_MAX(LV_MAX(b->cap * 2, b->len + n), CAP_MIN);
        uint8_t *at = lv_mem_realloc(b->at, cap, LV_TAG_MANAGE);
        if (at == NULL) {
            b->is_short = true;
            return NULL;
        }
        b->at = at;
        b->cap = cap;
    }
    return b->at + b->len;
}

void lv_buf_add(struct lv_buf *b, const void *bytes, size_t n)
{
    uint8_t *to = lv_buf_room(b, n);

    if (to == NULL || n == 0)
        return;
    memcpy(to, bytes, n);
    b->len += n;
}

void lv_buf_addf(struct lv_buf *b, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    uint8_t *to = n >= 0 ? lv_buf_room(b, (size_t)n + 1) : NULL;
    if (to == NULL)
        return;
    va_start(args, format);
    (void)vsnprintf((char *)to, (size_t)n + 1, format, args);
    va_end(args);
    b->len += (size_t)n;
}

void lv_buf_drop(struct lv_buf *b, size_t n)
{
    LV_ASSERT(n <= b->len);
    b->len -= n;
    if (b->len != 0 && n != 0)
        memmove(b->at, b->at + n, b->len);
}

void lv_buf_fini(struct lv_buf *b)
{
    lv_mem_free(b->at, LV_TAG_MANAGE);
    *b = (struct lv_buf){ 0 };
}
