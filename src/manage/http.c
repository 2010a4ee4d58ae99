#include "manage/http.h"

#include <strings.h>

static const char *const method_names[] = {
#define X(name) #name,
    LV_HTTP_METHODS(X)
#undef X
        "",
};

const char *lv_http_method_name(enum lv_http_method method)
{
    return method_names[method];
}

static const struct {
    unsigned status;
    const char *reason;
} reasons[] = {
    { 100, "Continue" },
    { 200, "OK" },
    { 201, "Created" },
    { 202, "Accepted" },
    { 204, "No Content" },
    { 301, "Moved Permanently" },
    { 302, "Found" },
    { 303, "See Other" },
    { 304, "Not Modified" },
    { 400, "Bad Request" },
    { 401, "Unauthorized" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 408, "Request Timeout" },
    { 409, "Conflict" },
    { 412, "Precondition Failed" },
    { 413, "Content Too Large" },
    { 415, "Unsupported Media Type" },
    { 429, "Too Many Requests" },
    { 431, "Request Header Fields Too Large" },
    { 500, "Internal Server Error" },
    { 501, "Not Implemented" },
    { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" },
    { 505, "HTTP Version Not Supported" },
};

const char *lv_http_reason(unsigned status)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Status";
}

/* ---- the head ---- */

/* RFC 9110 5.6.2 */
static bool is_token_char(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

enum lv_err lv_http_head_find(struct lv_bytes in, size_t *bytes)
{
    size_t at = 0;

    *bytes = 0;
    while (at + 1 < in.len && in.ptr[at] == '\r' && in.ptr[at + 1] == '\n')
        at += 2;
    const uint8_t *end = in.len > at ? memmem(in.ptr + at, in.len - at, "\r\n\r\n", 4) : NULL;
    size_t found = end != NULL ? (size_t)(end - in.ptr) + 4 : in.len;
    if (found > LV_HTTP_HEAD_BYTES_MAX)
        return LV_EFULL;
    if (end == NULL) /* who speaks TLS here waits for an answer, and his head has no end */
        return at == in.len || in.ptr[at] == '\r' || is_token_char(in.ptr[at]) ? LV_EMORE
                                                                               : LV_ESYNTAX;
    *bytes = found;
    return LV_OK;
}

static bool is_token(struct lv_bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (!is_token_char(b.ptr[i]))
            return false;
    return b.len != 0;
}

static struct lv_bytes trim(struct lv_bytes b)
{
    while (b.len != 0 && (b.ptr[0] == ' ' || b.ptr[0] == '\t'))
        b = lv_bytes(b.ptr + 1, b.len - 1);
    while (b.len != 0 && (b.ptr[b.len - 1] == ' ' || b.ptr[b.len - 1] == '\t'))
        b.len--;
    return b;
}

static bool is_word(struct lv_bytes b, const char *word)
{
    return b.len == strlen(word) && strncasecmp((const char *)b.ptr, word, b.len) == 0;
}

/* The line at the beginning, without its CRLF. False: there is none, or it holds what no line may. */
static bool next_line(struct lv_bytes *in, struct lv_bytes *line)
{
    for (size_t i = 0; i < in->len; i++) {
        uint8_t c = in->ptr[i];
        if (c == '\r' && i + 1 < in->len && in->ptr[i + 1] == '\n') {
            *line = lv_bytes(in->ptr, i);
            *in = lv_bytes(in->ptr + i + 2, in->len - i - 2);
            return true;
        }
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return false;
}

static struct lv_bytes before(struct lv_bytes *b, char at)
{
    const uint8_t *end = b->len != 0 ? memchr(b->ptr, at, b->len) : NULL;
    size_t n = end != NULL ? (size_t)(end - b->ptr) : b->len;
    struct lv_bytes head = lv_bytes(b->ptr, n);

    n += end != NULL ? 1 : 0;
    *b = lv_bytes(b->ptr + n, b->len - n);
    return head;
}

static bool is_target(struct lv_bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (b.ptr[i] <= ' ' || b.ptr[i] >= 0x7f)
            return false;
    return b.len != 0;
}

static enum lv_err parse_request_line(struct lv_bytes line, struct lv_http_head *out)
{
    struct lv_bytes method = before(&line, ' ');

    out->target = before(&line, ' ');
    if (!is_token(method) || !is_target(out->target) ||
        !lv_bytes_has_prefix(line, LV_BYTES_LIT("HTTP/")) || line.len != 8 || line.ptr[6] != '.')
        return LV_ESYNTAX;
    if (line.ptr[5] != '1' || (line.ptr[7] != '0' && line.ptr[7] != '1'))
        return LV_EVERSION;
    out->is_1_0 = line.ptr[7] == '0';
    out->method = LV_HTTP_METHOD_COUNT;
    for (int i = 0; i < LV_HTTP_METHOD_COUNT; i++)
        if (lv_bytes_eq(method, lv_bytes_str(method_names[i])))
            out->method = (enum lv_http_method)i;
    return LV_OK;
}

static bool parse_number(struct lv_bytes b, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < b.len; i++) {
        if (b.ptr[i] < '0' || b.ptr[i] > '9')
            return false;
        *out = *out * 10 + (b.ptr[i] - (uint64_t)'0');
    }
    return b.len != 0 && b.len <= 18;
}

/* What the headers say about the body and the connection. */
static enum lv_err parse_framing(struct lv_http_head *out)
{
    bool has_length = false;

    out->is_kept = !out->is_1_0;
    for (uint32_t i = 0; i < out->header_count; i++) {
        struct lv_bytes name = out->header[i].name, value = out->header[i].value;
        if (is_word(name, "content-length")) {
            if (has_length || !parse_number(value, &out->body_bytes))
                return LV_ESYNTAX;
            has_length = true;
        } else if (is_word(name, "transfer-encoding")) {
            if (out->is_chunked || out->is_1_0)
                return LV_ESYNTAX;
            if (!is_word(value, "chunked"))
                return LV_ENOTIMPL;
            out->is_chunked = true;
        } else if (is_word(name, "connection")) {
            if (lv_http_list_has(value, "close"))
                out->is_kept = false;
            else if (lv_http_list_has(value, "keep-alive"))
                out->is_kept = true;
        } else if (is_word(name, "expect")) {
            out->expects_continue = !out->is_1_0 && is_word(value, "100-continue");
        }
    }
    return has_length && out->is_chunked ? LV_ESYNTAX : LV_OK;
}

enum lv_err lv_http_head_parse(struct lv_bytes head, struct lv_http_head *out)
{
    struct lv_bytes line;

    *out = (struct lv_http_head){ 0 };
    do {
        if (!next_line(&head, &line))
            return LV_ESYNTAX;
    } while (line.len == 0);
    enum lv_err err = parse_request_line(line, out);
    if (err != LV_OK)
        return err;
    for (;;) {
        if (!next_line(&head, &line))
            return LV_ESYNTAX;
        if (line.len == 0)
            break;
        if (out->header_count == LV_HTTP_HEADERS_MAX)
            return LV_EFULL;
        struct lv_http_header *h = &out->header[out->header_count++];
        if (memchr(line.ptr, ':', line.len) == NULL)
            return LV_ESYNTAX;
        h->name = before(&line, ':');
        h->value = trim(line);
        if (!is_token(h->name))
            return LV_ESYNTAX;
    }
    return parse_framing(out);
}

struct lv_bytes lv_http_header(const struct lv_http_head *head, const char *name)
{
    for (uint32_t i = 0; i < head->header_count; i++)
        if (is_word(head->header[i].name, name))
            return head->header[i].value;
    return lv_bytes(NULL, 0);
}

bool lv_http_list_has(struct lv_bytes list, const char *word)
{
    while (list.len != 0) {
        struct lv_bytes item = before(&list, ','), value = trim(before(&item, ';'));
        if (!is_word(value, word))
            continue;
        item = trim(item);
        return !(lv_bytes_has_prefix(item, LV_BYTES_LIT("q=0")) &&
                 strspn((const char *)item.ptr + 2, "0.") >= item.len - 2);
    }
    return false;
}

/* ---- chunks ---- */

static int hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum lv_err chunk_size(struct lv_bytes line, uint64_t *out)
{
    size_t digits = 0;

    *out = 0;
    for (; digits < line.len && hex(line.ptr[digits]) >= 0; digits++)
        *out = *out << 4 | (uint64_t)hex(line.ptr[digits]);
    if (digits == 0 || digits > 15)
        return LV_ESYNTAX;
    struct lv_bytes rest = trim(lv_bytes(line.ptr + digits, line.len - digits));
    return rest.len == 0 || rest.ptr[0] == ';' ? LV_OK : LV_ESYNTAX;
}

/* A line of at most `max` bytes. */
static enum lv_err take_line(struct lv_bytes *in, size_t max, struct lv_bytes *line)
{
    struct lv_bytes at = *in;

    if (memmem(at.ptr, at.len, "\r\n", 2) == NULL)
        return at.len > max + 1 ? LV_ESYNTAX : LV_EMORE; /* one may be the CR */
    if (!next_line(&at, line) || line->len > max)
        return LV_ESYNTAX;
    *in = at;
    return LV_OK;
}

enum lv_err lv_http_chunks_next(struct lv_http_chunks *c, struct lv_bytes *in,
                                struct lv_bytes *piece)
{
    struct lv_bytes line;
    enum lv_err err;

    *piece = lv_bytes(in->ptr, 0);
    if (c->state == LV_CHUNK_DONE)
        return LV_OK;
    if (in->len == 0)
        return LV_EMORE;
    if (c->state == LV_CHUNK_DATA) {
        *piece = lv_bytes(in->ptr, LV_MIN(in->len, c->left));
        *in = lv_bytes(in->ptr + piece->len, in->len - piece->len);
        c->left -= piece->len;
        if (c->left == 0)
            c->state = LV_CHUNK_END;
        return LV_OK;
    }
    err = take_line(in, LV_HTTP_CHUNK_LINE_MAX, &line);
    if (err != LV_OK)
        return err;
    switch (c->state) {
    case LV_CHUNK_SIZE:
        err = chunk_size(line, &c->left);
        c->state = c->left != 0 ? LV_CHUNK_DATA : LV_CHUNK_TRAILER;
        return err;
    case LV_CHUNK_END:
        c->state = LV_CHUNK_SIZE;
        return line.len == 0 ? LV_OK : LV_ESYNTAX;
    default:
        c->trailer += (uint32_t)line.len + 2;
        if (line.len == 0)
            c->state = LV_CHUNK_DONE;
        return c->trailer <= LV_HTTP_TRAILER_BYTES_MAX ? LV_OK : LV_ESYNTAX;
    }
}
