/* The transport of a connection with TLS.
 *
 * In   One read a turn brings records into a block of the loop; OpenSSL takes them from there piece by piece and puts
 *      what they hold where the owner wants it. Never more is read than there is room for when decrypted, so nothing
 *      waits inside OpenSSL but the beginning of a record.
 * Out  What waits is made into records of up to LV_TLS_RECORD_BYTES, which gather in an output buffer and leave in
 *      one send. OpenSSL is never told that a socket is full: a buffer takes everything, and what of it could not be sent
 *      stays with the connection.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>

#include "loop/addr_priv.h"
#include "loop/loop_priv.h"
#include "loop/tls_priv.h"
#include "os/log.h"

#define FAIL_LINGER_MS 1000u /* for the alert to arrive */

/* ---- between OpenSSL and the loop's blocks ---- */

static int bio_read(BIO *bio, char *to, int n)
{
    struct lv_tls_conn *t = BIO_get_data(bio);
    size_t len = LV_MIN((size_t)n, t->in_bytes);

    BIO_clear_retry_flags(bio);
    if (len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(to, t->in, len);
    t->in += len;
    t->in_bytes -= len;
    return (int)len;
}

/* Makes room for `n` more bytes of records. */
static enum lv_err make_room(struct lv_tls_conn *t, size_t n)
{
    struct lv_out_pool *pool = &t->conn->loop->pool;
    struct lv_out_buf *old = t->out;
    size_t kept = old != NULL ? old->used - t->out_at : 0;

    if (old != NULL && old->cap - old->used >= n)
        return LV_OK;
    if (kept + n > LV_TLS_OUT_MAX)
        return LV_EFULL;
    t->out = lv_out_buf_fit(pool, kept + n);
    if (t->out == NULL) {
        t->out = old;
        return LV_ENOMEM;
    }
    if (old != NULL) {
        memcpy(t->out->data, old->data + t->out_at, kept);
        lv_out_buf_unref(pool, old);
    }
    t->out->used = (uint32_t)kept;
    t->out_at = 0;
    return LV_OK;
}

static int bio_write(BIO *bio, const char *from, int n)
{
    struct lv_tls_conn *t = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (make_room(t, (size_t)n) != LV_OK) {
        t->is_starved = true;
        return -1;
    }
    memcpy(t->out->data + t->out->used, from, (size_t)n);
    t->out->used += (uint32_t)n;
    return n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *ptr)
{
    (void)bio, (void)number, (void)ptr;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *bio_method(void)
{
    static _Atomic(BIO_METHOD *) made;
    BIO_METHOD *method = atomic_load_explicit(&made, memory_order_acquire), *none = NULL;

    if (method != NULL)
        return method;
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "leveret");
    if (method == NULL)
        return NULL;
    (void)BIO_meth_set_read(method, bio_read);
    (void)BIO_meth_set_write(method, bio_write);
    (void)BIO_meth_set_ctrl(method, bio_ctrl);
    if (atomic_compare_exchange_strong(&made, &none, method))
        return method;
    BIO_meth_free(method);
    return none;
}

/* ---- the beginning ---- */

static void too_late(struct lv_loop *loop, struct lv_timer *timer);

static SSL *ssl_new(struct lv_tls_conn *t)
{
    BIO_METHOD *method = bio_method();
    BIO *bio = method != NULL ? BIO_new(method) : NULL;
    SSL *ssl = bio != NULL ? SSL_new(t->site->ctx) : NULL;

    if (ssl == NULL) {
        BIO_free(bio);
        return NULL;
    }
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    (void)SSL_set_app_data(ssl, t);
    SSL_set_accept_state(ssl);
    return ssl;
}

enum lv_err lv_tls_hook_in(struct lv_loop *loop)
{
    if (loop->records == NULL)
        loop->records = lv_mem_alloc(LV_TLS_READ_BYTES, LV_TAG_LOOP);
    return loop->records != NULL ? LV_OK : LV_ENOMEM;
}

enum lv_err lv_conn_start_tls(struct lv_conn *c, struct lv_tls *tls)
{
    struct lv_loop *loop = c->loop;
    struct lv_tls_conn *t;

    LV_ASSERT(c->io->tls == NULL && c->bytes_in == 0 && c->out_first == NULL);
    t = lv_tls_hook_in(loop) == LV_OK ? lv_mem_zalloc(sizeof(*t), LV_TAG_CONN) : NULL;
    if (t == NULL)
        return LV_ENOMEM;
    t->conn = c;
    t->site = lv_tls_site(tls, loop);
    t->ssl = ssl_new(t);
    if (t->ssl == NULL) {
        ERR_clear_error();
        lv_mem_free(t, LV_TAG_CONN);
        return LV_ENOMEM;
    }
    c->io->tls = t;
    lv_timer_start(loop, &t->timer, t->site->handshake_ms, too_late);
    return LV_OK;
}

bool lv_conn_is_tls(const struct lv_conn *c)
{
    return c->io != NULL && c->io->tls != NULL;
}

bool lv_tls_is_shaking(const struct lv_conn *c)
{
    return c->io->tls != NULL && c->io->tls->state == LV_TLS_HANDSHAKE;
}

/* ---- what went wrong ---- */

static const struct {
    int reason;
    const char *text;
} handshake_texts[] = {
    { SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "the client shows no certificate" },
    { SSL_R_UNSUPPORTED_PROTOCOL, "the client offers no TLS version that is allowed here" },
    { SSL_R_VERSION_TOO_LOW, "the client offers no TLS version that is allowed here" },
    { SSL_R_NO_SHARED_CIPHER, "the client offers no cipher that is allowed here" },
    { SSL_R_HTTP_REQUEST, "not TLS: an HTTP request" },
    { SSL_R_HTTPS_PROXY_REQUEST, "not TLS: an HTTP request" },
    { SSL_R_WRONG_VERSION_NUMBER, "not TLS: a client without it on a TLS port" },
    { SSL_R_EXCESSIVE_MESSAGE_SIZE, "the client sends more certificates than are looked at" },
};

/* An alert from the peer. */
static bool is_alert(unsigned long e)
{
    return ERR_GET_LIB(e) == ERR_LIB_SSL && ERR_GET_REASON(e) > SSL_AD_REASON_OFFSET;
}

static void explain(const struct lv_tls_conn *t, char *out, size_t cap)
{
    unsigned long e = ERR_peek_last_error();
    int reason = ERR_GET_REASON(e);
    bool is_ssl = ERR_GET_LIB(e) == ERR_LIB_SSL;

    if (is_ssl && reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        (void)snprintf(out, cap, "the client's certificate is refused: %s",
                       X509_verify_cert_error_string(SSL_get_verify_result(t->ssl)));
        return;
    }
    if (is_alert(e)) {
        (void)snprintf(out, cap, "the client gives up: %s",
                       SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
        return;
    }
    for (size_t i = 0; is_ssl && i < LV_ARRAY_LEN(handshake_texts); i++) {
        if (handshake_texts[i].reason == reason) {
            (void)snprintf(out, cap, "%s", handshake_texts[i].text);
            return;
        }
    }
    (void)lv_tls_reason(out, cap);
}

static void say_failed(const struct lv_conn *c, const char *why)
{
    char peer[LV_ADDR_MAX];

    lv_conn_peer(c, peer);
    lv_log(TLS_FAILED, lv_log_str(peer), lv_log_str(why));
}

/* Lingers, so that the alert arrives; what else was to be written is dropped. */
static void fail(struct lv_conn *c, enum lv_err why)
{
    struct lv_tls_conn *t = c->io->tls;

    t->state = LV_TLS_FAILED;
    c->io->has_more = false;
    lv_timer_stop(&t->timer);
    if (t->is_starved)
        lv_conn_fail(c, LV_ENOMEM);
    else
        lv_conn_give_up(c, why, FAIL_LINGER_MS);
}

static void too_late(struct lv_loop *loop, struct lv_timer *timer)
{
    struct lv_tls_conn *t = LV_CONTAINER_OF(timer, struct lv_tls_conn, timer);

    (void)loop;
    say_failed(t->conn, "the handshake took too long");
    lv_conn_fail(t->conn, LV_EREFUSED);
}

/* ---- in ---- */

/* True when the handshake is over. */
static bool shake(struct lv_conn *c)
{
    struct lv_tls_conn *t = c->io->tls;
    char why[256];

    ERR_clear_error();
    int ok = SSL_accept(t->ssl);
    if (ok != 1 && SSL_get_error(t->ssl, ok) == SSL_ERROR_WANT_READ)
        return false;
    if (ok != 1) {
        explain(t, why, sizeof(why));
        say_failed(c, why);
        fail(c, LV_EREFUSED);
        return false;
    }
    t->state = LV_TLS_OPEN;
    lv_timer_stop(&t->timer);
    if (c->out_first != NULL)
        lv_conn_mark_dirty(c);
    return true;
}

/* Decrypts all that was read. Returns how many bytes came. */
static size_t decrypt(struct lv_conn *c, uint8_t *block, size_t room)
{
    struct lv_tls_conn *t = c->io->tls;
    size_t awaited = c->into != NULL ? c->into_bytes : 0, got = 0;

    ERR_clear_error();
    for (;;) {
        uint8_t *to = got < awaited ? c->into + got : block + (got - awaited);
        size_t n, want = got < awaited ? awaited - got : room - (got - awaited);
        int ok = SSL_read_ex(t->ssl, to, want, &n);
        if (ok == 1) {
            got += n;
            continue;
        }
        int error = SSL_get_error(t->ssl, ok);
        if (error == SSL_ERROR_WANT_READ) {
            LV_ASSERT(t->in_bytes == 0);
            return got;
        }
        t->state = error == SSL_ERROR_ZERO_RETURN ? LV_TLS_ENDED : LV_TLS_FAILED;
        t->why = is_alert(ERR_peek_last_error()) ? LV_ECLOSED : LV_EIO;
        ERR_clear_error();
        return got;
    }
}

ssize_t lv_tls_receive(struct lv_conn *c, uint8_t *block, size_t room)
{
    struct lv_tls_conn *t = c->io->tls;
    ssize_t n;

    if (t->state == LV_TLS_ENDED)
        return 0;
    if (t->state == LV_TLS_FAILED)
        goto failed;
    n = read(c->io->fd, c->loop->records, LV_MIN(LV_TLS_READ_BYTES, room - LV_TLS_RECORD_MAX));
    if (n <= 0) {
        if (n == 0 && t->state == LV_TLS_HANDSHAKE && t->has_input)
            say_failed(c, "the client went away");
        return n;
    }
    t->has_input = true;
    t->in = c->loop->records;
    t->in_bytes = (size_t)n;
    n = 0;
    if (t->state == LV_TLS_OPEN || shake(c))
        n = (ssize_t)decrypt(c, block, room);
    t->in = NULL;
    t->in_bytes = 0;
    if (t->out != NULL)
        lv_conn_mark_dirty(c);
    if (n == 0 && t->state == LV_TLS_ENDED)
        return 0;
    if (n == 0 && t->state == LV_TLS_FAILED)
        goto failed;
    /* What came before goodbye, or before a bad record, counts; the poll may not report the rest. */
    c->io->has_more = t->state == LV_TLS_ENDED || t->state == LV_TLS_FAILED;
    if (n > 0)
        return n;
    errno = EAGAIN;
    return -1;

failed:
    if (c->io->state == LV_CONN_OPEN)
        fail(c, t->why);
    errno = EAGAIN;
    return -1;
}

/* ---- out ---- */

/* Up to a record's content, in one piece: where it is, or gathered in `scratch`. */
static const uint8_t *next_content(const struct lv_conn *c, uint8_t *scratch, size_t *bytes)
{
    const struct lv_out_seg *s = c->out_first;
    size_t n = 0;

    while (s != NULL && s->len == 0)
        s = s->next;
    if (s == NULL || s->len >= LV_TLS_RECORD_BYTES || s->next == NULL) {
        *bytes = s != NULL ? LV_MIN(s->len, LV_TLS_RECORD_BYTES) : 0;
        return s != NULL ? s->ptr : NULL;
    }
    for (; s != NULL && n < LV_TLS_RECORD_BYTES; s = s->next) {
        size_t part = LV_MIN(s->len, LV_TLS_RECORD_BYTES - n);
        memcpy(scratch + n, s->ptr, part);
        n += part;
    }
    *bytes = n;
    return scratch;
}

/* Room for the records of `bytes`, at most for as many as the largest buffer holds. */
static size_t room_for(size_t bytes)
{
    size_t records = bytes / LV_TLS_RECORD_BYTES + 1;

    return LV_MIN(bytes + records * LV_TLS_RECORD_EXTRA, lv_out_class_bytes(LV_OUT_CLASSES - 1));
}

/* Makes records until the buffer is full or nothing waits. */
static enum lv_err encrypt(struct lv_conn *c, size_t *budget)
{
    struct lv_tls_conn *t = c->io->tls;
    uint8_t scratch[LV_TLS_RECORD_BYTES];

    while (t->state == LV_TLS_OPEN && *budget > 0) {
        size_t n, done;
        const uint8_t *from = next_content(c, scratch, &n);
        if (n == 0) {
            lv_out_written(c, 0); /* empty pieces */
            return LV_OK;
        }
        if (t->out == NULL && make_room(t, room_for(c->out_bytes)) != LV_OK)
            return LV_ENOMEM;
        if (t->out->cap - t->out->used < n + LV_TLS_RECORD_EXTRA) {
            if (t->out->used > t->out_at)
                return LV_OK;
            if (make_room(t, n + LV_TLS_RECORD_EXTRA) != LV_OK)
                return LV_ENOMEM;
        }
        ERR_clear_error();
        if (SSL_write_ex(t->ssl, from, n, &done) != 1) {
            ERR_clear_error();
            return t->is_starved ? LV_ENOMEM : LV_EIO;
        }
        *budget -= LV_MIN(*budget, n);
        lv_stat_add(c->loop, LV_STAT_BYTES_OUT, done);
        lv_out_written(c, done);
    }
    return LV_OK;
}

static void drop_out(struct lv_tls_conn *t)
{
    if (t->out != NULL)
        lv_out_buf_unref(&t->conn->loop->pool, t->out);
    t->out = NULL;
    t->out_at = 0;
}

/* False: the socket took not all, or failed. */
static bool send_records(struct lv_conn *c)
{
    struct lv_tls_conn *t = c->io->tls;
    size_t left = t->out->used - t->out_at;
    ssize_t n;

    do {
        n = send(c->io->fd, t->out->data + t->out_at, left, MSG_NOSIGNAL);
        lv_stat_add(c->loop, LV_STAT_WRITES, 1);
        c->writes++;
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN && errno != ENOBUFS) {
        lv_conn_fail(c, lv_conn_error(errno));
        return false;
    }
    if (n < (ssize_t)left) {
        t->out_at += n > 0 ? (uint32_t)n : 0;
        lv_conn_poll_writable(c, true);
        return false;
    }
    drop_out(t);
    return true;
}

static bool can_bid(const struct lv_tls_conn *t)
{
    return !t->has_bid && (t->state == LV_TLS_OPEN || t->state == LV_TLS_ENDED);
}

static void bid(struct lv_tls_conn *t)
{
    t->has_bid = true;
    ERR_clear_error();
    (void)SSL_shutdown(t->ssl);
    ERR_clear_error();
}

void lv_tls_send(struct lv_conn *c)
{
    struct lv_tls_conn *t = c->io->tls;
    size_t budget = LV_WRITE_BUDGET_BYTES;

    for (;;) {
        enum lv_err err = encrypt(c, &budget);
        if (err != LV_OK) {
            lv_conn_fail(c, err);
            return;
        }
        if (c->out_first == NULL && c->io->state == LV_CONN_LINGERING && can_bid(t))
            bid(t);
        if (t->out == NULL || t->out->used == t->out_at)
            break;
        if (!send_records(c))
            return;
    }
    drop_out(t);
    if (budget == 0 && c->out_first != NULL)
        lv_conn_mark_dirty(c); /* the others first */
}

/* ---- the end ---- */

void lv_tls_unhook(struct lv_conn *c)
{
    lv_timer_stop(&c->io->tls->timer);
}

void lv_tls_close(struct lv_conn *c)
{
    struct lv_tls_conn *t = c->io->tls;

    if (t->out == NULL && can_bid(t) && !c->io->has_shut) {
        bid(t);
        if (t->out != NULL)
            (void)send(c->io->fd, t->out->data, t->out->used, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    drop_out(t);
    SSL_free(t->ssl);
    lv_mem_free(t, LV_TAG_CONN);
    c->io->tls = NULL;
}
