/* A request as a stranger sends it: head, target, chunked body, and JSON arguments. What is taken keeps its bounds, and
 * what was read as a whole is read the same byte by byte. */
#include "manage/http.h"

#include "base/mem.h"
#include "manage/fields.h"
#include "manage/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_target(struct lv_bytes target)
{
    static uint8_t block[LV_HTTP_HEAD_BYTES_MAX];
    struct lv_url url;

    if (target.len > sizeof(block) || lv_url_parse(target, block, &url) != LV_OK)
        return;
    for (uint32_t i = 0; i < url.segment_count; i++)
        LV_ASSERT(url.segment[i].ptr >= block && url.segment[i].len <= target.len);
    for (uint32_t i = 0; i < url.param_count; i++)
        LV_ASSERT(url.param[i].value.len <= target.len);
}

/* Bytes of the body, and whether it is whole; given `step` bytes at a time. */
static size_t try_chunks(struct lv_bytes body, size_t step, bool *is_whole)
{
    struct lv_http_chunks c = { 0 };
    struct lv_bytes piece;
    size_t given = 0, start = 0, got = 0;

    while (c.state != LV_CHUNK_DONE) {
        struct lv_bytes in = lv_bytes(body.ptr + start, given - start), before = in;
        enum lv_err err = lv_http_chunks_next(&c, &in, &piece);
        LV_ASSERT(in.len <= before.len && piece.len <= before.len);
        start += before.len - in.len;
        got += piece.len;
        if (err == LV_ESYNTAX || (err == LV_EMORE && given == body.len))
            break;
        if (err == LV_EMORE)
            given = LV_MIN(given + step, body.len);
    }
    *is_whole = c.state == LV_CHUNK_DONE;
    return got;
}

static void try_body(struct lv_bytes body)
{
    struct lv_buf table = { 0 };
    bool whole, apart;

    size_t got = try_chunks(body, body.len + 1, &whole), again = try_chunks(body, 1, &apart);
    LV_ASSERT(whole == apart && (!whole || got == again));
    json_t *json = json_loadb((const char *)body.ptr, body.len, JSON_DECODE_ANY, NULL);
    if (json != NULL && lv_fields_from_json(json, &table) == LV_OK)
        LV_ASSERT(lv_table_check(lv_buf_view(&table)) == LV_OK);
    json_decref(json);
    lv_buf_fini(&table);
    LV_ASSERT(lv_mem_used(LV_TAG_MANAGE) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lv_http_head head;
    struct lv_bytes in = lv_bytes(data, size);
    size_t bytes;

    if (size == 0 || lv_http_head_find(in, &bytes) != LV_OK)
        return 0;
    LV_ASSERT(bytes <= size);
    if (lv_http_head_parse(lv_bytes(data, bytes), &head) != LV_OK)
        return 0;
    LV_ASSERT(head.header_count <= LV_HTTP_HEADERS_MAX);
    try_target(head.target);
    try_body(lv_bytes(data + bytes, size - bytes));
    return 0;
}
