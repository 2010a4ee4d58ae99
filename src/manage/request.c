#include "manage/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>

#include "base/mem.h"
#include "broker/access.h"
#include "manage/gzip.h"
#include "manage/manage_priv.h"
#include "os/os.h"

struct lv_request_block {
    struct lv_request_block *next;
    uint64_t bytes[];
};

/* ---- life ---- */

void *lv_request_alloc(struct lv_request *r, size_t bytes)
{
    struct lv_request_block *block = lv_mem_zalloc(sizeof(*block) + bytes, LV_TAG_MANAGE);

    if (block == NULL)
        return NULL;
    block->next = r->blocks;
    r->blocks = block;
    return block->bytes;
}

struct lv_bytes lv_request_copy(struct lv_request *r, struct lv_bytes b)
{
    uint8_t *copy = lv_request_alloc(r, b.len + 1);

    if (copy == NULL)
        return lv_bytes(NULL, 0);
    if (b.len != 0)
        memcpy(copy, b.ptr, b.len);
    return lv_bytes(copy, b.len);
}

struct lv_request *lv_request_new(struct lv_client *c, struct lv_manage *m, struct lv_bytes head)
{
    struct lv_request *r = lv_mem_zalloc(sizeof(*r), LV_TAG_MANAGE);

    if (r == NULL)
        return NULL;
    r->room = m;
    r->client = c;
    r->head.target = lv_request_copy(r, head);
    if (r->head.target.ptr != NULL)
        return r;
    lv_mem_free(r, LV_TAG_MANAGE);
    return NULL;
}

void lv_request_free(struct lv_request *r)
{
    struct lv_request_block *block, *next;

    LV_ASSERT(r->out_count == 0);
    if (r->clean != NULL)
        r->clean(r);
    if (r->clean_poll != NULL)
        r->clean_poll(r);
    json_decref(r->json);
    lv_buf_fini(&r->body);
    lv_buf_fini(&r->reply.headers);
    lv_buf_fini(&r->reply.body);
    lv_gzip_free(r->reply.gzip);
    for (block = r->blocks; block != NULL; block = next) {
        next = block->next;
        lv_mem_free(block, LV_TAG_MANAGE);
    }
    lv_mem_free(r, LV_TAG_MANAGE);
}

void lv_request_orphan(struct lv_request *r)
{
    r->client = NULL;
    if (r->out_count == 0)
        lv_request_free(r);
    else
        r->room->away++;
}

void lv_request_out(struct lv_request *r)
{
    r->out_count++;
}

bool lv_request_back(struct lv_request *r)
{
    r->out_count--;
    if (r->client != NULL)
        return true;
    if (r->out_count == 0) {
        r->room->away--;
        lv_request_free(r);
    }
    return false;
}

/* ---- what it asks ---- */

bool lv_request_flag(const struct lv_request *r, const char *name)
{
    return lv_bytes_eq(lv_url_param(&r->url, name), LV_BYTES_LIT("true"));
}

bool lv_request_number(const struct lv_request *r, const char *name, uint64_t max, uint64_t *out)
{
    struct lv_bytes text = lv_url_param(&r->url, name);
    uint64_t v = 0;

    if (text.ptr == NULL)
        return true;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || v > max)
            return false;
        v = v * 10 + (text.ptr[i] - (uint64_t)'0');
    }
    if (text.len == 0 || v > max)
        return false;
    *out = v;
    return true;
}

json_t *lv_request_json(struct lv_request *r)
{
    struct lv_bytes body = lv_buf_view(&r->body);
    json_error_t error;

    if (r->json != NULL)
        return r->json;
    if (body.len == 0 || lv_bytes_eq(body, LV_BYTES_LIT("null")) ||
        lv_bytes_eq(body, LV_BYTES_LIT("undefined")))
        r->json = json_object();
    else
        r->json =
            json_loadb((const char *)body.ptr, body.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (json_is_object(r->json))
        return r->json;
    bool is_text = json_is_string(r->json);
    json_decref(r->json);
    r->json = NULL;
    lv_reply_bad_request(r, is_text ? "invalid payload: the request body JSON-decoded to a string. "
                                      "Is the input doubly-JSON-encoded?"
                                    : "not_json");
    return NULL;
}

bool lv_who_is(const struct lv_request *r, unsigned tags)
{
    return r->who.is_operator || (r->who.tags & tags) != 0;
}

bool lv_request_sees(const struct lv_request *r, struct lv_bytes vhost)
{
    const struct lv_access *access = lv_broker_access(r->room->broker);

    if (lv_access_vhost(access, vhost) == NULL)
        return false;
    return lv_who_is(r, LV_WHO_ADMINISTRATOR | LV_WHO_MONITORING) ||
           lv_access_permission(access, r->who.name, vhost) != NULL;
}

const char *lv_request_node(const struct lv_request *r)
{
    return r->room->node;
}

/* ---- the reply: its head ---- */

static void add_header(struct lv_buf *out, const char *name, struct lv_bytes value)
{
    lv_buf_add_str(out, name);
    lv_buf_add(out, ": ", 2);
    for (size_t i = 0; i < value.len; i++) /* nothing may end the line but we */
        if (value.ptr[i] >= ' ' && value.ptr[i] != 0x7f)
            lv_buf_add(out, value.ptr + i, 1);
    lv_buf_add(out, "\r\n", 2);
}

void lv_reply_header(struct lv_request *r, const char *name, struct lv_bytes value)
{
    add_header(&r->reply.headers, name, value);
}

static void add_date(struct lv_buf *out)
{
    time_t now = (time_t)(lv_clock_wall_us() / 1000000u);
    struct tm tm;
    char text[64];

    if (gmtime_r(&now, &tm) != NULL &&
        strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm) != 0)
        add_header(out, "date", lv_bytes_str(text));
}

static bool is_listed_origin(const struct lv_settings *s, struct lv_bytes origin)
{
    const char *items = s->management_cors_origins;
    struct lv_bytes name, value;

    while (lv_items_next(&items, &name, &value))
        if (lv_bytes_eq(value, origin))
            return true;
    return false;
}

static void add_cors(struct lv_buf *out, const struct lv_request *r)
{
    const struct lv_settings *s = r->room->settings;
    struct lv_bytes origin = lv_http_header(&r->head, "origin"), wanted;

    if (origin.len == 0)
        return;
    if (is_listed_origin(s, origin)) {
        add_header(out, "access-control-allow-origin", origin);
        add_header(out, "access-control-allow-credentials", LV_BYTES_LIT("true"));
    } else if (is_listed_origin(
                   s, LV_BYTES_LIT("*"))) { /* any page, but not with the login of who looks at it */
        add_header(out, "access-control-allow-origin", LV_BYTES_LIT("*"));
    } else {
        return;
    }
    if (r->head.method != LV_HTTP_OPTIONS)
        return;
    lv_buf_addf(out, "access-control-max-age: %u\r\n", (unsigned)s->management_cors_max_age);
    wanted = lv_http_header(&r->head, "access-control-request-headers");
    if (wanted.len != 0)
        add_header(out, "access-control-allow-headers", wanted);
}

/* Headers that rabbitmq.conf has a word of its own for, and what they say unless it does. */
static const struct guard {
    const char *word, *header, *value;
} guards[] = {
    { "content_type_options", "x-content-type-options", "nosniff" },
    { "frame_options", "x-frame-options", "sameorigin" },
    { "xss_protection", "x-xss-protection", NULL },
};

static const struct guard *guard_find(struct lv_bytes name)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(guards); i++)
        if (lv_bytes_eq(name, lv_bytes_str(guards[i].word)) ||
            lv_bytes_eq(name, lv_bytes_str(guards[i].header)))
            return &guards[i];
    return NULL;
}

/* management.headers */
static void add_chosen(struct lv_buf *out, const char *items)
{
    const char *rest = items;
    struct lv_bytes name, value;

    for (size_t i = 0; i < LV_ARRAY_LEN(guards); i++) {
        if (lv_items_get(items, guards[i].word, &value) ||
            lv_items_get(items, guards[i].header, &value))
            add_header(out, guards[i].header, value);
        else if (guards[i].value != NULL)
            add_header(out, guards[i].header, lv_bytes_str(guards[i].value));
    }
    while (lv_items_next(&rest, &name, &value)) {
        if (guard_find(name) != NULL)
            continue;
        lv_buf_add_bytes(out, name);
        add_header(out, "", value);
    }
}

static void add_fixed(struct lv_buf *out, const struct lv_request *r)
{
    const struct lv_settings *s = r->room->settings;
    const char *csp = s->management_csp, *hsts = s->management_hsts;

    lv_buf_add_str(out, "server: Leveret\r\ncache-control: no-cache\r\n"
                        "vary: accept, accept-encoding, origin\r\n"
                        "referrer-policy: same-origin\r\n");
    add_header(out, "content-security-policy",
               csp[0] != '\0' ? lv_bytes_str(csp)
                              : LV_BYTES_LIT("script-src 'self'; object-src 'self'"));
    if (hsts[0] != '\0')
        add_header(out, "strict-transport-security", lv_bytes_str(hsts));
    add_chosen(out, s->management_headers);
}

#define COMPRESS_FROM_BYTES 1024u

/* Longer texts are compressed for who takes it. Before the head is sent. */
static void choose_coding(struct lv_request *r)
{
    struct lv_reply *reply = &r->reply;

    if (reply->type == NULL || reply->body.len < COMPRESS_FROM_BYTES ||
        r->head.method == LV_HTTP_HEAD || !r->room->settings->management_compress ||
        !lv_http_list_has(lv_http_header(&r->head, "accept-encoding"), "gzip"))
        return;
    reply->gzip = lv_gzip_new(); /* without memory it goes as it is */
    if (reply->gzip != NULL)
        lv_reply_header(r, "content-encoding", LV_BYTES_LIT("gzip"));
}

/* What is in the body becomes what is sent of it. */
static void compress(struct lv_request *r, bool is_last)
{
    struct lv_buf *body = &r->reply.body, out = { 0 };

    if (r->reply.gzip == NULL)
        return;
    lv_gzip_add(r->reply.gzip, lv_buf_view(body), is_last, &out);
    out.is_short |= body->is_short;
    lv_buf_fini(body);
    *body = out;
}

/* `bytes` is the length of the body, unless it is chunked. */
static void send_head(struct lv_request *r, size_t bytes)
{
    struct lv_reply *reply = &r->reply;
    struct lv_buf out = { 0 };

    lv_buf_addf(&out, "HTTP/1.1 %u %s\r\n", reply->status, lv_http_reason(reply->status));
    add_date(&out);
    add_fixed(&out, r);
    add_cors(&out, r);
    if (reply->type != NULL)
        add_header(&out, "content-type", lv_bytes_str(reply->type));
    lv_buf_add_bytes(&out, lv_buf_view(&reply->headers));
    if (reply->is_chunked)
        lv_buf_add_str(&out, "transfer-encoding: chunked\r\n");
    else if (reply->status != 204 && reply->status != 304 && reply->state != LV_REPLY_STREAMING)
        lv_buf_addf(&out, "content-length: %zu\r\n", bytes);
    if (lv_client_is_last(r->client))
        lv_buf_add_str(&out, "connection: close\r\n");
    else if (r->head.is_1_0)
        lv_buf_add_str(&out, "connection: keep-alive\r\n");
    lv_buf_add_str(&out, "\r\n");
    lv_conn_write(lv_client_conn(r->client), lv_buf_view(&out));
    lv_buf_fini(&out);
}

/* ---- the reply: its body ---- */

static void begin(struct lv_request *r, unsigned status, const char *type)
{
    LV_ASSERT(r->reply.state == LV_REPLY_NONE && r->client != NULL);
    r->reply.state = LV_REPLY_GATHERING;
    r->reply.status = status;
    r->reply.type = type;
}

struct lv_json *lv_reply_json(struct lv_request *r, unsigned status)
{
    begin(r, status, "application/json");
    lv_json_init(&r->reply.json, &r->reply.body);
    return &r->reply.json;
}

void lv_reply_begin_text(struct lv_request *r, const char *type)
{
    begin(r, 200, type);
}

void lv_reply_select(struct lv_request *r)
{
    if (lv_json_columns(lv_url_param(&r->url, "columns"), &r->reply.columns))
        lv_json_select(&r->reply.json, &r->reply.columns);
}

/* What was gathered leaves as one piece. */
static void send_piece(struct lv_request *r)
{
    struct lv_conn *conn = lv_client_conn(r->client);
    struct lv_buf *body = &r->reply.body;
    char size[24];

    if (body->len != 0 && r->head.method != LV_HTTP_HEAD) {
        if (r->reply.is_chunked) {
            int n = snprintf(size, sizeof(size), "%zx\r\n", body->len);
            lv_conn_write(conn, lv_bytes(size, (size_t)n));
        }
        lv_conn_write(conn, lv_buf_view(body));
        r->reply.bytes_out += body->len;
        if (r->reply.is_chunked)
            lv_conn_write(conn, LV_BYTES_LIT("\r\n"));
    }
    lv_buf_drop(body, body->len);
}

/* The head of a reply whose length nobody knows yet. */
static void begin_streaming(struct lv_request *r)
{
    struct lv_reply *reply = &r->reply;

    reply->state = LV_REPLY_STREAMING;
    reply->is_chunked = !r->head.is_1_0;
    r->head.is_kept &= reply->is_chunked; /* else its end is the connection's */
    send_head(r, 0);
}

void lv_reply_stream(struct lv_request *r, const char *type)
{
    begin(r, 200, type);
    begin_streaming(r);
}

bool lv_reply_flush(struct lv_request *r)
{
    struct lv_conn *conn = lv_client_conn(r->client);

    compress(r, false);
    if (r->reply.body.is_short) { /* what was promised cannot be sent */
        lv_conn_close(conn, 0);
        return false;
    }
    send_piece(r);
    lv_client_progress(r->client);
    return !lv_conn_is_full(conn);
}

bool lv_reply_push(struct lv_request *r)
{
    if (r->reply.body.len < LV_HTTP_PIECE_BYTES)
        return true;
    if (r->reply.state == LV_REPLY_GATHERING) {
        choose_coding(r);
        begin_streaming(r);
    }
    return lv_reply_flush(r);
}

void lv_reply_end(struct lv_request *r)
{
    struct lv_reply *reply = &r->reply;
    struct lv_conn *conn = lv_client_conn(r->client);

    LV_ASSERT(reply->state == LV_REPLY_GATHERING || reply->state == LV_REPLY_STREAMING);
    if (reply->state == LV_REPLY_GATHERING)
        choose_coding(r);
    compress(r, true);
    if (reply->body.is_short || reply->headers.is_short) { /* what was promised cannot be sent */
        lv_conn_close(conn, 0);
        return;
    }
    if (reply->state == LV_REPLY_GATHERING)
        send_head(r, reply->body.len);
    send_piece(r);
    if (reply->is_chunked && r->head.method != LV_HTTP_HEAD)
        lv_conn_write(conn, LV_BYTES_LIT("0\r\n\r\n"));
    reply->state = LV_REPLY_DONE;
    lv_client_answered(r);
}

/* ---- whole replies ---- */

void lv_reply_empty(struct lv_request *r, unsigned status)
{
    begin(r, status, NULL);
    lv_reply_end(r);
}

void lv_reply_text(struct lv_request *r, unsigned status, const char *type, struct lv_bytes text)
{
    begin(r, status, type);
    lv_buf_add_bytes(&r->reply.body, text);
    lv_reply_end(r);
}

static void reply_error(struct lv_request *r, unsigned status, const char *error,
                        const char *format, va_list args)
{
    char reason[2048];
    int n = vsnprintf(reason, sizeof(reason), format, args);
    struct lv_json *j = lv_reply_json(r, status);

    lv_json_open(j, NULL);
    lv_json_str(j, "error", error);
    lv_json_bytes(j, "reason", lv_bytes(reason, LV_MIN((size_t)LV_MAX(n, 0), sizeof(reason) - 1)));
    lv_json_close(j);
    lv_reply_end(r);
}

void lv_reply_error(struct lv_request *r, unsigned status, const char *error, const char *format,
                    ...)
{
    va_list args;

    va_start(args, format);
    reply_error(r, status, error, format, args);
    va_end(args);
}

void lv_reply_bad_request(struct lv_request *r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    reply_error(r, 400, "bad_request", format, args);
    va_end(args);
}

void lv_reply_not_found(struct lv_request *r)
{
    lv_reply_error(r, 404, "Object Not Found", "Not Found");
}

void lv_reply_refused(struct lv_request *r, const char *reason)
{
    lv_reply_error(r, 401, "not_authorised", "%s", reason);
}

void lv_reply_no_memory(struct lv_request *r)
{
    lv_reply_error(r, 503, "service_unavailable", "out of memory");
}
