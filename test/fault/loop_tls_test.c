/* The n-th allocation fails, for every n until nothing fails any more: a context is not made, a reload changes nothing, a
 * connection is lost; never anything else, and nothing leaks. */
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "base/mem.h"
#include "loop/conn.h"
#include "loop/loop.h"
#include "loop/tls.h"
#include "lv_test.h"
#include "os/log.h"
#include "unit/loop/certs.h"

enum { TOTAL = 300000 };

static struct cert server;

static struct lv_tls_options options(void)
{
    static char cert[CERT_PATH_MAX], key[CERT_PATH_MAX];
    static struct lv_tls_host host = { "mq.example.org", cert, key, NULL };

    if (server.x509 == NULL) {
        certs_open();
        CHECK_EQ(atexit(certs_close), 0);
        signal(SIGPIPE, SIG_IGN);
        server = cert_new((struct cert_wish){ .common_name = "server", .is_authority = true });
        write_cert("server.pem", "w", &server);
        write_key("server.key", &server, NULL);
        (void)snprintf(cert, sizeof(cert), "%s", certs_path("server.pem"));
        (void)snprintf(key, sizeof(key), "%s", certs_path("server.key"));
    }
    return (struct lv_tls_options){
        .cert_file = cert, .key_file = key, .ca_file = cert, .hosts = &host, .host_count = 1
    };
}

LV_TEST(making_a_context)
{
    struct lv_tls_options o = options();
    enum lv_err err = LV_ENOMEM;
    char error[LV_TLS_ERROR_MAX];

    for (uint64_t n = 1; err != LV_OK; n++) {
        struct lv_tls *tls;
        lv_mem_fail_at(n);
        err = lv_tls_new(&o, 2, &tls, error);
        lv_mem_fail_at(0);
        CHECK(err == LV_OK || err == LV_ENOMEM);
        CHECK_EQ(tls != NULL, err == LV_OK);
        CHECK(err == LV_OK || strcmp(error, "TLS: out of memory") == 0);
        lv_tls_free(tls);
        CHECK_EQ(lv_mem_used(LV_TAG_LOOP), 0);
    }
}

/* ---- a connection ---- */

struct scene {
    struct lv_conn conn;
    struct lv_tls *tls;
    struct lv_loops *loops;
    int fd, peer_fd;
    uint64_t fail_at;
    unsigned closed;
    size_t echoed; /* to the peer */
    enum lv_err start_err, why;
};

/* Leaves something behind, writes copies and bytes of the block. */
static size_t input(struct lv_conn *c, struct lv_bytes in)
{
    size_t n = in.len > 10 ? in.len - in.len % 7 : in.len, half = n / 2;

    lv_conn_write(c, lv_bytes(in.ptr, half));
    lv_conn_write_borrowed(c, lv_bytes(in.ptr + half, n - half));
    return n;
}

static void closed(struct lv_conn *c, enum lv_err why)
{
    struct scene *s = (struct scene *)c;

    s->closed++;
    s->why = why;
    lv_loops_stop(s->loops);
}

static const struct lv_conn_ops ops = { input, NULL, NULL, closed };

static enum lv_err start(struct lv_loop *loop)
{
    struct scene *s = lv_loop_owner(loop);
    struct lv_tls_options o = options();
    char error[LV_TLS_ERROR_MAX];

    CHECK_EQ(lv_conn_open(&s->conn, loop, s->fd, &ops), LV_OK);
    /* What a reload retires without memory for a note is never freed, by decision (rcu.c): so without faults. */
    CHECK_EQ(lv_tls_reload(s->tls, &o, error), LV_OK);
    lv_mem_fail_at(s->fail_at);
    s->start_err = lv_conn_start_tls(&s->conn, s->tls);
    if (s->start_err != LV_OK)
        lv_conn_close(&s->conn, 0);
    return LV_OK;
}

static void stop(struct lv_loop *loop)
{
    (void)loop;
    lv_mem_fail_at(0);
}

static void *run_peer(void *arg)
{
    static uint8_t out[40000], in[40000];
    struct scene *s = arg;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    bool is_well = SSL_set_fd(ssl, s->peer_fd) == 1 && SSL_connect(ssl) == 1;

    while (is_well && s->echoed < TOTAL) {
        size_t want = LV_MIN(sizeof(out), TOTAL - s->echoed), got = 0;
        is_well = SSL_write(ssl, out, (int)want) == (int)want;
        while (is_well && got + 7 < want) { /* a rest may be left behind until more comes */
            int n = SSL_read(ssl, in, sizeof(in));
            is_well = n > 0;
            got += is_well ? (size_t)n : 0;
        }
        s->echoed += want;
    }
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(s->peer_fd);
    return NULL;
}

/* True when nothing failed. */
static bool play(uint64_t fail_at)
{
    struct scene s = { .fail_at = fail_at };
    struct lv_loops_config config = { .count = 1, .owner = &s, .start = start, .stop = stop };
    struct lv_tls_options o = options();
    char error[LV_TLS_ERROR_MAX];
    pthread_t peer;
    int fds[2];

    CHECK_EQ(lv_tls_new(&o, 1, &s.tls, error), LV_OK);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    s.fd = fds[0];
    s.peer_fd = fds[1];
    CHECK_EQ(lv_loops_new(&config, &s.loops), LV_OK);
    CHECK_EQ(pthread_create(&peer, NULL, run_peer, &s), 0);
    CHECK_EQ(lv_loops_run(s.loops), LV_OK);
    pthread_join(peer, NULL);
    lv_mem_fail_at(0);
    lv_loops_free(s.loops);
    lv_tls_free(s.tls);
    CHECK_EQ(s.closed, 1);
    CHECK(s.why == LV_ENOMEM || s.why == LV_ECLOSED || s.start_err == LV_ENOMEM);
    CHECK_EQ(lv_mem_used(LV_TAG_CONN), 0);
    CHECK_EQ(lv_mem_used(LV_TAG_LOOP), 0);
    return s.why == LV_ECLOSED;
}

LV_TEST(serving_a_connection)
{
    unsigned in_a_row = 0;

    lv_log_set_fd(-1);
    for (uint64_t n = 1; in_a_row < 20 && n < 2000; n++)
        in_a_row = play(n) ? in_a_row + 1 : 0;
    CHECK_EQ(in_a_row, 20);
}
