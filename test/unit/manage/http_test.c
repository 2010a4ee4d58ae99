#include "manage/http.h"

#include <lv_test.h>
#include <stdio.h>

static enum lv_err parse(const char *text, struct lv_http_head *head)
{
    return lv_http_head_parse(lv_bytes_str(text), head);
}

LV_TEST(a_head_is_found_when_it_is_whole)
{
    static const char text[] = "\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\nrest";
    size_t bytes, whole = sizeof(text) - 5;

    for (size_t cut = 0; cut < whole; cut++) {
        CHECK_EQ(lv_http_head_find(lv_bytes(text, cut), &bytes), LV_EMORE);
        CHECK_EQ(bytes, 0);
    }
    CHECK_EQ(lv_http_head_find(lv_bytes(text, sizeof(text) - 1), &bytes), LV_OK);
    CHECK_EQ(bytes, whole);
}

LV_TEST(a_head_that_does_not_end_is_refused)
{
    static char text[LV_HTTP_HEAD_BYTES_MAX + 1];
    size_t bytes;

    memset(text, 'a', sizeof(text));
    CHECK_EQ(lv_http_head_find(lv_bytes(text, sizeof(text) - 1), &bytes), LV_EMORE);
    CHECK_EQ(lv_http_head_find(lv_bytes(text, sizeof(text)), &bytes), LV_EFULL);
}

LV_TEST(what_is_no_http_is_refused_at_its_first_byte)
{
    static const char *const other[] = { "\x16\x03\x01\x02", "\r\n\x80\x2e", "\n", " GET" };
    size_t bytes;

    for (size_t i = 0; i < LV_ARRAY_LEN(other); i++)
        CHECK_EQ(lv_http_head_find(lv_bytes_str(other[i]), &bytes), LV_ESYNTAX);
}

LV_TEST(a_request_is_understood)
{
    struct lv_http_head head;

    CHECK_EQ(parse("PUT /api/x?y=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n"
                   "Expect: 100-continue\r\nX-Reason: \t because \r\n\r\n",
                   &head),
             LV_OK);
    CHECK_EQ(head.method, LV_HTTP_PUT);
    CHECK(lv_bytes_eq(head.target, LV_BYTES_LIT("/api/x?y=1")));
    CHECK_EQ(head.body_bytes, 12);
    CHECK(head.is_kept && head.expects_continue && !head.is_chunked && !head.is_1_0);
    CHECK(lv_bytes_eq(lv_http_header(&head, "x-reason"), LV_BYTES_LIT("because")));
    CHECK_EQ(lv_http_header(&head, "x-other").len, 0);
    CHECK_EQ(parse("BREW / HTTP/1.1\r\n\r\n", &head), LV_OK);
    CHECK_EQ(head.method, LV_HTTP_METHOD_COUNT);
}

LV_TEST(connections_go_on_as_their_version_says)
{
    struct lv_http_head head;

    CHECK_EQ(parse("GET / HTTP/1.1\r\nconnection: TE, Close\r\n\r\n", &head), LV_OK);
    CHECK(!head.is_kept);
    CHECK_EQ(parse("GET / HTTP/1.0\r\n\r\n", &head), LV_OK);
    CHECK(!head.is_kept && head.is_1_0);
    CHECK_EQ(parse("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", &head), LV_OK);
    CHECK(head.is_kept);
}

LV_TEST(what_two_readers_could_read_differently_is_refused)
{
    static const struct {
        const char *text;
        enum lv_err err;
    } bad[] = {
        { "GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n", LV_ESYNTAX },
        { "GET / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", LV_ESYNTAX },
        { "GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
          LV_ESYNTAX },
        { "GET / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n", LV_ESYNTAX },
        { "GET / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n", LV_ENOTIMPL },
        { "GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", LV_ESYNTAX },
        { "GET / HTTP/1.1\r\ncontent-length: 1 2\r\n\r\n", LV_ESYNTAX },
        { "GET / HTTP/1.1\r\ncontent-length: 9999999999999999999\r\n\r\n", LV_ESYNTAX },
        { "GET / HTTP/1.1\r\ncontent-length:\r\n\r\n", LV_ESYNTAX },
        { "GET / HTTP/1.1\r\ncontent-length : 1\r\n\r\n", LV_ESYNTAX },
        { "GET / HTTP/1.1\r\na: b\r\n c\r\n\r\n", LV_ESYNTAX },
        { "GET / HTTP/1.1\r\na: b\nc: d\r\n\r\n", LV_ESYNTAX },
        { "GET / HTTP/1.1\r\na: b\rc\r\n\r\n", LV_ESYNTAX },
        { "GET / HTTP/1.1\r\nnocolon\r\n\r\n", LV_ESYNTAX },
        { "GET /\r\n\r\n", LV_ESYNTAX },
        { "GET  / HTTP/1.1\r\n\r\n", LV_ESYNTAX },
        { "GET / x HTTP/1.1\r\n\r\n", LV_ESYNTAX },
        { "G(T / HTTP/1.1\r\n\r\n", LV_ESYNTAX },
        { "GET /\xff HTTP/1.1\r\n\r\n", LV_ESYNTAX },
        { "GET / HTTP/2.0\r\n\r\n", LV_EVERSION },
        { "GET / HTTP/1.2\r\n\r\n", LV_EVERSION },
        { "GET / FTTP/1.1\r\n\r\n", LV_ESYNTAX },
    };
    struct lv_http_head head;

    for (size_t i = 0; i < LV_ARRAY_LEN(bad); i++)
        CHECK_EQ(parse(bad[i].text, &head), bad[i].err);
}

LV_TEST(headers_are_bounded)
{
    struct lv_http_head head;
    char text[4096] = "GET / HTTP/1.1\r\n";
    size_t used = strlen(text);

    for (unsigned i = 0; i <= LV_HTTP_HEADERS_MAX; i++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "a: b\r\n");
    }
    memcpy(text + used, "\r\n", 3);
    CHECK_EQ(parse(text, &head), LV_EFULL);
}

LV_TEST(lists_have_weights)
{
    CHECK(lv_http_list_has(LV_BYTES_LIT("deflate, GZIP;q=0.5"), "gzip"));
    CHECK(!lv_http_list_has(LV_BYTES_LIT("gzip;q=0, br"), "gzip"));
    CHECK(!lv_http_list_has(LV_BYTES_LIT("gzip; q=0.000"), "gzip"));
    CHECK(!lv_http_list_has(LV_BYTES_LIT("gzipped"), "gzip"));
}

/* The body of `text`, given in pieces of `step` bytes, into `out`; false: malformed, or not whole. */
static bool take_chunks(struct lv_bytes text, size_t step, char *out)
{
    struct lv_http_chunks c = { 0 };
    size_t given = 0, start = 0, used = 0;
    struct lv_bytes piece;

    while (c.state != LV_CHUNK_DONE) {
        struct lv_bytes in = lv_bytes(text.ptr + start, given - start), before = in;
        enum lv_err err = lv_http_chunks_next(&c, &in, &piece);
        if (err == LV_ESYNTAX || (err == LV_EMORE && given == text.len))
            return false;
        start += before.len - in.len;
        memcpy(out + used, piece.ptr, piece.len);
        used += piece.len;
        if (err == LV_EMORE)
            given = LV_MIN(given + step, text.len);
    }
    out[used] = '\0';
    return start == text.len;
}

LV_TEST(a_chunked_body_comes_in_any_pieces)
{
    static const char text[] =
        "4;name=value\r\nWiki\r\n1\r\n-\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
    char out[128];

    for (size_t step = 1; step < sizeof(text); step++) {
        CHECK(take_chunks(lv_bytes(text, sizeof(text) - 1), step, out));
        CHECK_STR(out, "Wiki-0123456789");
    }
}

LV_TEST(malformed_chunks_are_refused)
{
    static const char *const bad[] = { "x\r\n",
                                       "\r\n",
                                       "1\r\nab\r\n",
                                       "1 1\r\n",
                                       "1\n",
                                       "fffffffffffffffff\r\n",
                                       "0\r\nbad\nline\r\n\r\n" };
    char out[128];

    for (size_t i = 0; i < LV_ARRAY_LEN(bad); i++)
        CHECK(!take_chunks(lv_bytes_str(bad[i]), 1, out));
}
