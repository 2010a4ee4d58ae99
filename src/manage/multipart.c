#include "manage/multipart.h"

#include <string.h>
#include <strings.h>

#define FORM_TYPE "multipart/form-data"

bool lv_multipart_is(struct lv_bytes content_type)
{
    size_t len = sizeof(FORM_TYPE) - 1;

    return content_type.len >= len &&
           strncasecmp((const char *)content_type.ptr, FORM_TYPE, len) == 0 &&
           (content_type.len == len || content_type.ptr[len] == ';' || content_type.ptr[len] == ' ');
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct lv_bytes trim(struct lv_bytes b)
{
    while (b.len != 0 && is_blank(b.ptr[0]))
        b = lv_bytes(b.ptr + 1, b.len - 1);
    while (b.len != 0 && is_blank(b.ptr[b.len - 1]))
        b.len--;
    return b;
}

/* The next parameter of a header's value, which begins with ';'; its quotes are taken off, what is escaped in them stays so.
 * False: there is none any more. */
static bool next_parameter(struct lv_bytes *value, struct lv_bytes *name, struct lv_bytes *out)
{
    const uint8_t *at = value->ptr, *end = value->ptr + value->len;

    while (at < end && *at != ';')
        at++;
    if (at == end)
        return false;
    const uint8_t *first = ++at;
    while (at < end && *at != '=' && *at != ';')
        at++;
    *name = trim(lv_bytes(first, (size_t)(at - first)));
    *out = lv_bytes(at, 0);
    if (at < end && *at == '=') {
        first = ++at;
        if (at < end && *at == '"') {
            first = ++at;
            while (at < end && *at != '"')
                at += *at == '\\' && at + 1 < end ? 2 : 1;
            *out = lv_bytes(first, (size_t)(at - first));
        } else {
            while (at < end && *at != ';')
                at++;
            *out = trim(lv_bytes(first, (size_t)(at - first)));
        }
    }
    *value = lv_bytes(at, (size_t)(end - at));
    return true;
}

static bool is_word(struct lv_bytes b, const char *word)
{
    return b.len == strlen(word) && strncasecmp((const char *)b.ptr, word, b.len) == 0;
}

static bool find_parameter(struct lv_bytes value, const char *name, struct lv_bytes *out)
{
    struct lv_bytes found;

    while (next_parameter(&value, &found, out))
        if (is_word(found, name))
            return true;
    return false;
}

/* The next line that begins with the delimiter, from *at on: *at is what follows it, *before what stands before it without the
 * line's end that belongs to it. False: there is none. */
static bool next_delimiter(struct lv_bytes *at, struct lv_bytes delimiter, bool is_first,
                           struct lv_bytes *before)
{
    const uint8_t *from = at->ptr, *end = at->ptr + at->len;

    for (const uint8_t *look = from; look < end; look++) {
        const uint8_t *hit = memmem(look, (size_t)(end - look), delimiter.ptr, delimiter.len);
        if (hit == NULL)
            return false;
        bool is_line = hit >= from + 2 && hit[-1] == '\n' && hit[-2] == '\r';
        if (is_line || (is_first && hit == from)) {
            *before = lv_bytes(from, is_line ? (size_t)(hit - from) - 2 : 0);
            hit += delimiter.len;
            *at = lv_bytes(hit, (size_t)(end - hit));
            return true;
        }
        look = hit;
    }
    return false;
}

/* Does the part have that name? Then *contents is behind its headers. */
static bool is_field(struct lv_bytes part, const char *name, struct lv_bytes *contents)
{
    static const char header[] = "content-disposition:";
    bool is_it = false;

    for (;;) {
        const uint8_t *end = memmem(part.ptr, part.len, "\r\n", 2);
        if (end == NULL)
            return false;
        struct lv_bytes line = lv_bytes(part.ptr, (size_t)(end - part.ptr)), found;
        part = lv_bytes(end + 2, part.len - line.len - 2);
        if (line.len == 0)
            break;
        if (line.len >= sizeof(header) - 1 &&
            strncasecmp((const char *)line.ptr, header, sizeof(header) - 1) == 0)
            is_it = find_parameter(line, "name", &found) && lv_bytes_eq(found, lv_bytes_str(name));
    }
    *contents = part;
    return is_it;
}

enum lv_err lv_multipart_field(struct lv_bytes content_type, struct lv_bytes body, const char *name,
                               struct lv_bytes *out)
{
    uint8_t text[2 + LV_MULTIPART_BOUNDARY_MAX] = "--";
    struct lv_bytes boundary, part;

    if (!lv_multipart_is(content_type) || !find_parameter(content_type, "boundary", &boundary) ||
        boundary.len == 0 || boundary.len > LV_MULTIPART_BOUNDARY_MAX)
        return LV_ESYNTAX;
    memcpy(text + 2, boundary.ptr, boundary.len);
    struct lv_bytes delimiter = lv_bytes(text, boundary.len + 2);
    if (!next_delimiter(&body, delimiter, true, &part))
        return LV_ESYNTAX;
    for (unsigned i = 0; i < LV_MULTIPART_PARTS_MAX; i++) {
        if (lv_bytes_has_prefix(body, LV_BYTES_LIT("--")))
            return LV_ENOTFOUND;
        const uint8_t *line = memmem(body.ptr, body.len, "\r\n", 2);
        if (line == NULL)
            return LV_ESYNTAX;
        /* The delimiter's own line end may be the one before the next delimiter. */
        if (!next_delimiter(&body, delimiter, false, &part))
            return LV_ESYNTAX;
        if (part.ptr + part.len < line + 2)
            continue;
        if (is_field(lv_bytes(line + 2, (size_t)(part.ptr + part.len - line) - 2), name, out))
            return LV_OK;
    }
    return LV_EFULL;
}
