/* A connection: requests in, one after the other, and their replies out.
 *
 * What comes in is read as far as the present step wants it; while a request is looked at or answered nothing is read at all, so
 * a client that sends ahead waits in its socket. A request is let in (route, login, permission) before its body is read. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/tls.h"
#include "manage/manage_priv.h"
#include "os/os.h"

#define LINGER_MS 2000u
#define DRAIN_BYTES_MAX 1048576u /* of a body that nobody wants: who sends more loses the answer */

enum step {
    STEP_HEAD,   /* a head is read, or waited for */
    STEP_ADMIT,  /* may it be asked? Nothing is read */
    STEP_BODY,   /* its body is read */
    STEP_ANSWER, /* nothing is read */
    STEP_DRAIN,  /* answered before its body was read: what still comes is dropped, for a while */
    STEP_OVER,   /* the connection closes */
};

struct lv_client {
    struct lv_conn conn; /* first */
    struct lv_manage *room;
    struct lv_link link; /* in room->clients */
    struct lv_timer timer;
    struct lv_request *request; /* from STEP_ADMIT on */
    struct lv_http_chunks chunks;
    enum step step;
    uint32_t served, drained;
    bool is_operator, is_scraper;
    bool has_begun; /* some of the next head is there */
};

struct lv_conn *lv_client_conn(struct lv_client *c)
{
    return &c->conn;
}

bool lv_client_is_operator(const struct lv_client *c)
{
    return c->is_operator;
}

bool lv_client_is_scraper(const struct lv_client *c)
{
    return c->is_scraper;
}

bool lv_client_is_last(const struct lv_client *c)
{
    const struct lv_request *r = c->request;

    return r == NULL || !r->head.is_kept || r->is_body_refused ||
           c->served >= c->room->settings->management_max_keepalive;
}

/* ---- time ---- */

static void too_late(struct lv_loop *loop, struct lv_timer *t)
{
    struct lv_client *c = LV_CONTAINER_OF(t, struct lv_client, timer);

    (void)loop;
    c->step = STEP_OVER;
    lv_conn_close(&c->conn, 0);
}

/* The connection may stay as it is for so long. */
static void allow(struct lv_client *c, uint32_t ms)
{
    if (ms == LV_UNLIMITED)
        lv_timer_stop(&c->timer);
    else
        lv_timer_start(c->room->loop, &c->timer, ms, too_late);
}

void lv_client_progress(struct lv_client *c)
{
    if (c->step == STEP_ANSWER)
        allow(c, c->room->settings->management_inactivity_timeout);
}

static void end(struct lv_client *c)
{
    c->step = STEP_OVER;
    allow(c, LV_UNLIMITED);
    lv_conn_close(&c->conn, LINGER_MS);
}

/* The client may be sending still: reset at once, it would not read the answer. */
static void drain(struct lv_client *c)
{
    c->step = STEP_DRAIN;
    allow(c, LINGER_MS);
    lv_conn_resume(&c->conn);
}

/* ---- reading ---- */

/* What cannot be understood is answered without ever having been a request. */
static void refuse(struct lv_client *c, unsigned status)
{
    struct lv_buf out = { 0 };

    lv_buf_addf(&out,
                "HTTP/1.1 %u %s\r\nconnection: close\r\ncontent-type: application/json\r\n"
                "content-length: %zu\r\n\r\n{\"error\":\"%s\",\"reason\":\"%s\"}",
                status, lv_http_reason(status),
                sizeof("{\"error\":\"\",\"reason\":\"\"}") - 1 + 2 * strlen(lv_http_reason(status)),
                lv_http_reason(status), lv_http_reason(status));
    lv_conn_write(&c->conn, lv_buf_view(&out));
    lv_buf_fini(&out);
    end(c);
}

static unsigned status_of(enum lv_err err)
{
    switch (err) {
    case LV_EFULL:
        return 431;
    case LV_ENOTIMPL:
        return 501;
    case LV_EVERSION:
        return 505;
    case LV_ENOMEM:
        return 503;
    default:
        return 400;
    }
}

/* Returns what it took. */
static size_t take_head(struct lv_client *c, struct lv_bytes in)
{
    size_t bytes;
    enum lv_err err = lv_http_head_find(in, &bytes);

    if (err == LV_EMORE) {
        if (!c->has_begun)
            allow(c, c->room->settings->management_request_timeout);
        c->has_begun = true;
        return 0;
    }
    c->has_begun = false;
    c->request = err == LV_OK ? lv_request_new(c, c->room, lv_bytes(in.ptr, bytes)) : NULL;
    if (err == LV_OK)
        err = c->request == NULL ? LV_ENOMEM
                                 : lv_http_head_parse(lv_bytes(c->request->head.target.ptr, bytes),
                                                      &c->request->head);
    if (err != LV_OK) {
        refuse(c, status_of(err));
        return in.len;
    }
    c->served++;
    c->step = STEP_ADMIT;
    c->chunks = (struct lv_http_chunks){ 0 };
    allow(c, c->room->settings->management_request_timeout);
    lv_conn_pause(&c->conn);
    lv_route_begin(c->request);
    return bytes;
}

static void run(struct lv_client *c)
{
    c->step = STEP_ANSWER;
    allow(c, c->room->settings->management_inactivity_timeout);
    lv_conn_pause(&c->conn);
    lv_route_run(c->request);
}

static void refuse_body(struct lv_client *c)
{
    c->step = STEP_ANSWER;
    lv_conn_pause(&c->conn);
    c->request->is_body_refused = true;
    lv_reply_bad_request(c->request, "Exceeded HTTP request body size limit");
}

/* Adds a piece of the body. False: it is answered already. */
static bool add_body(struct lv_client *c, struct lv_bytes piece)
{
    struct lv_buf *body = &c->request->body;

    if (piece.len > c->room->settings->management_max_body_size - body->len) {
        refuse_body(c);
        return false;
    }
    lv_buf_add_bytes(body, piece);
    if (!body->is_short)
        return true;
    c->step = STEP_ANSWER;
    c->request->is_body_refused = true;
    lv_reply_no_memory(c->request);
    return false;
}

/* Returns what it took. */
static size_t take_chunks(struct lv_client *c, struct lv_bytes in)
{
    struct lv_bytes rest = in, piece;

    while (c->chunks.state != LV_CHUNK_DONE) {
        enum lv_err err = lv_http_chunks_next(&c->chunks, &rest, &piece);
        if (err == LV_EMORE)
            return in.len - rest.len;
        if (err != LV_OK) {
            refuse(c, 400);
            return in.len;
        }
        if (!add_body(c, piece))
            return in.len - rest.len;
    }
    run(c);
    return in.len - rest.len;
}

static size_t take_body(struct lv_client *c, struct lv_bytes in)
{
    struct lv_request *r = c->request;

    if (r->head.is_chunked)
        return take_chunks(c, in);
    size_t n = LV_MIN(in.len, (size_t)r->head.body_bytes - r->body.len);
    if (add_body(c, lv_bytes(in.ptr, n)) && r->body.len == r->head.body_bytes)
        run(c);
    return n;
}

static size_t on_input(struct lv_conn *conn, struct lv_bytes in)
{
    struct lv_client *c = (struct lv_client *)conn;

    switch (c->step) {
    case STEP_HEAD:
        return take_head(c, in);
    case STEP_BODY:
        return take_body(c, in);
    case STEP_DRAIN:
        c->drained += (uint32_t)LV_MIN(in.len, DRAIN_BYTES_MAX);
        if (c->drained >= DRAIN_BYTES_MAX)
            too_late(c->room->loop, &c->timer);
        return in.len;
    case STEP_OVER:
        return in.len;
    default:
        return 0;
    }
}

/* ---- between requests and replies ---- */

void lv_client_admitted(struct lv_request *r)
{
    struct lv_client *c = r->client;

    if (!r->head.is_chunked && r->head.body_bytes == 0) {
        run(c);
        return;
    }
    if (!r->head.is_chunked && r->head.body_bytes > c->room->settings->management_max_body_size) {
        refuse_body(c);
        return;
    }
    if (r->head.expects_continue)
        lv_conn_write(&c->conn, LV_BYTES_LIT("HTTP/1.1 100 Continue\r\n\r\n"));
    c->step = STEP_BODY;
    allow(c, c->room->settings->management_request_timeout);
    lv_conn_resume(&c->conn);
}

void lv_client_answered(struct lv_request *r)
{
    struct lv_client *c = r->client;
    bool is_last = lv_client_is_last(c), is_body_refused = r->is_body_refused;

    lv_access_log_note(&c->room->access_log, r);
    c->request = NULL;
    lv_request_free(r);
    if (is_body_refused) {
        drain(c);
        return;
    }
    if (is_last) {
        end(c);
        return;
    }
    c->step = STEP_HEAD;
    allow(c, c->room->settings->management_idle_timeout);
    if (!lv_conn_is_full(&c->conn))
        lv_conn_resume(&c->conn);
}

static void on_drained(struct lv_conn *conn)
{
    struct lv_client *c = (struct lv_client *)conn;
    struct lv_request *r = c->request;

    if (c->step == STEP_HEAD) {
        lv_conn_resume(conn);
    } else if (c->step == STEP_ANSWER && r->go_on != NULL) {
        lv_client_progress(c);
        r->go_on(r);
    }
}

/* ---- coming and going ---- */

static void on_closed(struct lv_conn *conn, enum lv_err why)
{
    struct lv_client *c = (struct lv_client *)conn;

    (void)why;
    lv_timer_stop(&c->timer);
    if (c->request != NULL)
        lv_request_orphan(c->request);
    lv_list_remove(&c->link);
    c->room->client_count--;
    lv_mem_free(c, LV_TAG_MANAGE);
}

static const struct lv_conn_ops conn_ops = {
    .input = on_input,
    .drained = on_drained,
    .closed = on_closed,
};

/* The user of this process, and root: whoever could read the files of the data directory anyway. */
static bool is_own_user(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

void lv_client_accept(struct lv_loop *loop, int fd, void *ctx)
{
    const struct lv_door *door = ctx;
    struct lv_manage *m = door->room;
    struct lv_client *c = NULL;

    if (m->client_count < LV_HTTP_CLIENTS_MAX)
        c = lv_mem_zalloc(sizeof(*c), LV_TAG_MANAGE);
    if (c == NULL || lv_conn_open(&c->conn, loop, fd, &conn_ops) != LV_OK) {
        lv_mem_free(c, LV_TAG_MANAGE);
        (void)close(fd);
        return;
    }
    c->room = m;
    c->is_operator = door->kind == LV_DOOR_SOCKET && is_own_user(fd);
    c->is_scraper = door->kind == LV_DOOR_METRICS || door->kind == LV_DOOR_METRICS_TLS;
    lv_list_push(&m->clients, &c->link);
    m->client_count++;
    allow(c, m->settings->management_request_timeout);
    struct lv_tls *tls = door->kind == LV_DOOR_HTTPS         ? m->tls
                         : door->kind == LV_DOOR_METRICS_TLS ? m->metrics_tls
                                                             : NULL;
    if (tls != NULL && lv_conn_start_tls(&c->conn, tls) != LV_OK)
        lv_conn_close(&c->conn, 0);
}
