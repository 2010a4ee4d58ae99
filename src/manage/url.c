#include "manage/url.h"

#include "base/utf8.h"

static int hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Appends what `in` stands for to *block. */
static enum lv_err decode(struct lv_bytes in, bool is_form, uint8_t **block, struct lv_bytes *out)
{
    uint8_t *to = *block;

    for (size_t i = 0; i < in.len; i++) {
        uint8_t c = in.ptr[i];
        if (c == '%') {
            int high = in.len - i > 2 ? hex(in.ptr[i + 1]) : -1;
            int low = in.len - i > 2 ? hex(in.ptr[i + 2]) : -1;
            if (high < 0 || low < 0)
                return LV_ESYNTAX;
            c = (uint8_t)(high << 4 | low);
            i += 2;
        } else if (c == '+' && is_form) {
            c = ' ';
        }
        if (c == '\0')
            return LV_ESYNTAX;
        *to++ = c;
    }
    *out = lv_bytes(*block, (size_t)(to - *block));
    *block = to;
    return LV_OK;
}

/* What stands before the first `at`, which is taken too. */
static struct lv_bytes before(struct lv_bytes *b, char at, bool *was_there)
{
    const uint8_t *end = b->len != 0 ? memchr(b->ptr, at, b->len) : NULL;
    size_t n = end != NULL ? (size_t)(end - b->ptr) : b->len;
    struct lv_bytes head = lv_bytes(b->ptr, n);

    *was_there = end != NULL;
    n += *was_there ? 1 : 0;
    *b = lv_bytes(b->ptr + n, b->len - n);
    return head;
}

static enum lv_err parse_params(struct lv_bytes query, uint8_t **block, struct lv_url *out)
{
    enum lv_err err = LV_OK;
    bool is_there;

    while (query.len != 0 && err == LV_OK) {
        struct lv_bytes value = before(&query, '&', &is_there);
        if (value.len == 0)
            continue;
        struct lv_bytes name = before(&value, '=', &is_there);
        if (out->param_count == LV_URL_PARAMS_MAX)
            return LV_EFULL;
        struct lv_url_param *p = &out->param[out->param_count++];
        err = decode(name, true, block, &p->name);
        if (err == LV_OK)
            err = decode(value, true, block, &p->value);
    }
    return err;
}

enum lv_err lv_url_parse_form(struct lv_bytes form, uint8_t *block, struct lv_url *out)
{
    out->param_count = 0;
    return parse_params(form, &block, out);
}

static enum lv_err parse_path(struct lv_bytes path, uint8_t **block, struct lv_url *out)
{
    bool is_more = true;

    if (path.len == 0 || path.ptr[0] != '/')
        return LV_ESYNTAX;
    path = lv_bytes(path.ptr + 1, path.len - 1);
    while (is_more) {
        struct lv_bytes segment = before(&path, '/', &is_more);
        if (!is_more && segment.len == 0)
            break;
        if (out->segment_count == LV_URL_SEGMENTS_MAX)
            return LV_EFULL;
        enum lv_err err = decode(segment, false, block, &out->segment[out->segment_count++]);
        if (err != LV_OK)
            return err;
        if (!lv_utf8_valid(out->segment[out->segment_count - 1]))
            return LV_ESYNTAX;
    }
    return LV_OK;
}

enum lv_err lv_url_parse(struct lv_bytes target, uint8_t *block, struct lv_url *out)
{
    bool is_there;

    out->segment_count = out->param_count = 0;
    target = before(&target, '#', &is_there);
    struct lv_bytes path = before(&target, '?', &is_there);
    const uint8_t *scheme = memmem(path.ptr, path.len, "://", 3);
    if (scheme != NULL && path.ptr[0] != '/') {
        path = lv_bytes(scheme + 3, path.len - (size_t)(scheme + 3 - path.ptr));
        const uint8_t *slash = memchr(path.ptr, '/', path.len);
        if (slash == NULL)
            return LV_ESYNTAX;
        path = lv_bytes(slash, path.len - (size_t)(slash - path.ptr));
    }
    out->path = path;
    enum lv_err err = parse_path(path, &block, out);
    return err == LV_OK ? parse_params(target, &block, out) : err;
}

struct lv_bytes lv_url_param(const struct lv_url *url, const char *name)
{
    for (uint32_t i = 0; i < url->param_count; i++)
        if (lv_bytes_eq(url->param[i].name, lv_bytes_str(name)))
            return url->param[i].value;
    return lv_bytes(NULL, 0);
}

void lv_url_encode(struct lv_wr *out, struct lv_bytes name)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
            c == '-' || c == '_' || c == '.' || c == '~') {
            lv_wr_u8(out, c);
        } else {
            lv_wr_u8(out, '%');
            lv_wr_u8(out, (uint8_t)digits[c >> 4]);
            lv_wr_u8(out, (uint8_t)digits[c & 15]);
        }
    }
}
