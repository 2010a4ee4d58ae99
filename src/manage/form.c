#include "manage/form.h"

#include <stdio.h>
#include <strings.h>

#define BOUNDARY_MAX 70u /* RFC 2046 5.1.1 */

static bool starts(struct lv_bytes b, const char *word)
{
    return b.len >= strlen(word) && strncasecmp((const char *)b.ptr, word, strlen(word)) == 0;
}

/* The value of a parameter like name="value" or name=value. */
static bool parameter(struct lv_bytes text, const char *name, struct lv_bytes *out)
{
    size_t len = strlen(name);

    for (size_t i = 0; i + len + 1 < text.len; i++) {
        bool begins =
            i == 0 || text.ptr[i - 1] == ' ' || text.ptr[i - 1] == ';' || text.ptr[i - 1] == '\t';
        if (!begins || !starts(lv_bytes(text.ptr + i, text.len - i), name) ||
            text.ptr[i + len] != '=')
            continue;
        struct lv_bytes rest = lv_bytes(text.ptr + i + len + 1, text.len - i - len - 1);
        bool is_quoted = rest.len != 0 && rest.ptr[0] == '"';
        if (is_quoted)
            rest = lv_bytes(rest.ptr + 1, rest.len - 1);
        size_t n = 0;
        while (n < rest.len &&
               (is_quoted ? rest.ptr[n] != '"' : strchr("; \t\r\n", rest.ptr[n]) == NULL))
            n++;
        *out = lv_bytes(rest.ptr, n);
        return true;
    }
    return false;
}

/* Is a part with these headers the wanted one? */
static bool is_named(struct lv_bytes headers, const char *name)
{
    struct lv_bytes value;

    while (headers.len != 0) {
        const uint8_t *end = memmem(headers.ptr, headers.len, "\r\n", 2);
        struct lv_bytes line =
            lv_bytes(headers.ptr, end != NULL ? (size_t)(end - headers.ptr) : headers.len);
        size_t used = line.len + (end != NULL ? 2 : 0);
        headers = lv_bytes(headers.ptr + used, headers.len - used);
        if (starts(line, "content-disposition:") && parameter(line, "name", &value))
            return lv_bytes_eq(value, lv_bytes_str(name));
    }
    return false;
}

bool lv_form_part(struct lv_bytes content_type, struct lv_bytes body, const char *name,
                  struct lv_bytes *out)
{
    char mark[BOUNDARY_MAX + 8];
    struct lv_bytes boundary;

    if (!starts(content_type, "multipart/form-data") ||
        !parameter(content_type, "boundary", &boundary) || boundary.len == 0 ||
        boundary.len > BOUNDARY_MAX)
        return false;
    size_t len = (size_t)snprintf(mark, sizeof(mark), "\r\n--%.*s", LV_BYTES_FMT(boundary));
    const uint8_t *end = body.ptr + body.len, *at = body.ptr;
    if (body.len < len - 2 || memcmp(at, mark + 2, len - 2) != 0)
        return false;
    for (at += len - 2; end - at > 2 && memcmp(at, "\r\n", 2) == 0; at += len) {
        at += 2;
        const uint8_t *head = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
        if (head == NULL)
            return false;
        const uint8_t *next = memmem(head + 2, (size_t)(end - head) - 2, mark, len);
        if (next == NULL)
            return false;
        if (is_named(lv_bytes(at, (size_t)(head - at)), name) && next >= head + 4) {
            *out = lv_bytes(head + 4, (size_t)(next - head) - 4);
            return true;
        }
        at = next;
    }
    return false;
}
