/* manage/http.h - HTTP/1.1 (RFC 9112), the server's side: the head of a request, and a chunked body.
 *
 * Pure: no allocation, no I/O, no recursion. Strict where leniency lets two readers disagree about where a request ends: a
 * bare CR, blanks before a colon, folded lines, two lengths, a length beside a transfer coding are refused.
 * Owner   none: everything is a view of the bytes it came from. Any thread.
 */
#ifndef LV_MANAGE_HTTP_H
#define LV_MANAGE_HTTP_H
#include "base/bytes.h"
#include "base/err.h"

#define LV_HTTP_HEAD_BYTES_MAX 16384u /* request line and headers */
#define LV_HTTP_HEADERS_MAX 64u
#define LV_HTTP_CHUNK_LINE_MAX 256u /* size and extensions of a chunk */
#define LV_HTTP_TRAILER_BYTES_MAX 4096u

#define LV_HTTP_METHODS(X) X(GET) X(HEAD) X(PUT) X(POST) X(DELETE) X(PATCH) X(OPTIONS)

enum lv_http_method {
#define X(name) LV_HTTP_##name,
    LV_HTTP_METHODS(X)
#undef X
        LV_HTTP_METHOD_COUNT, /* any other */
};
const char *lv_http_method_name(enum lv_http_method method);

struct lv_http_header {
    struct lv_bytes name, value;
};

struct lv_http_head {
    enum lv_http_method method;
    struct lv_bytes target; /* as sent */
    bool is_1_0;
    bool is_kept; /* the connection may go on */
    bool is_chunked;
    bool expects_continue;
    uint64_t body_bytes; /* without is_chunked */
    uint32_t header_count;
    struct lv_http_header header[LV_HTTP_HEADERS_MAX];
};

/* Where the head at the beginning of `in` ends, its empty line included. LV_EMORE: not yet; LV_EFULL: it is longer than
 * LV_HTTP_HEAD_BYTES_MAX; LV_ESYNTAX: it can become none. Empty lines before it count as a part of it. */
enum lv_err lv_http_head_find(struct lv_bytes in, size_t *bytes) LV_MUST_USE;
/* A whole head. LV_ESYNTAX: 400; LV_EFULL: too many headers, 431; LV_ENOTIMPL: a transfer coding that is none of ours, 501;
 * LV_EVERSION: 505. */
enum lv_err lv_http_head_parse(struct lv_bytes head, struct lv_http_head *out) LV_MUST_USE;
/* The first header of that name, which is in small letters; empty: none. */
struct lv_bytes lv_http_header(const struct lv_http_head *head, const char *name);
/* Does a list like "gzip, deflate;q=0.5" hold that word (small letters), with a weight that is not 0? */
bool lv_http_list_has(struct lv_bytes list, const char *word);

/* A chunked body as it comes. Zeroed is the beginning. */
struct lv_http_chunks {
    uint64_t left;    /* of the present chunk's data */
    uint32_t trailer; /* bytes of trailers seen */
    enum { LV_CHUNK_SIZE, LV_CHUNK_DATA, LV_CHUNK_END, LV_CHUNK_TRAILER, LV_CHUNK_DONE } state;
};
/* Takes the next of `in`, which moves on, and gives a piece of the body, maybe an empty one. LV_OK: there may be more to
 * take; LV_EMORE: more input is needed; state is LV_CHUNK_DONE after the last. LV_ESYNTAX. */
enum lv_err lv_http_chunks_next(struct lv_http_chunks *c, struct lv_bytes *in,
                                struct lv_bytes *piece) LV_MUST_USE;

/* "OK", "Not Found"; static. */
const char *lv_http_reason(unsigned status);

#endif
