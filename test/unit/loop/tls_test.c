/* TLS, seen by a server on loops and by OpenSSL's own client on another thread. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/mem.h"
#include "certs.h"
#include "loop/addr_priv.h"
#include "loop/conn.h"
#include "loop/loop.h"
#include "loop/tickets_priv.h"
#include "loop/tls.h"
#include "os/log.h"

/* ---- the certificates of all tests ---- */

static struct cert ca, other_ca, server, server_2, client, late_client, stranger;

static void make_certs(void)
{
    static bool is_made;
    X509_NAME *name;

    if (is_made)
        return;
    is_made = true;
    signal(SIGPIPE, SIG_IGN);
    certs_open();
    CHECK_EQ(atexit(certs_close), 0);
    ca = cert_new((struct cert_wish){ .common_name = "Test Authority", .is_authority = true });
    other_ca = cert_new((struct cert_wish){ .common_name = "Test Authority", .is_authority = true });
    server = cert_new((struct cert_wish){ .common_name = "first", .issuer = &ca });
    server_2 = cert_new((struct cert_wish){ .common_name = "second", .issuer = &ca });
    name = X509_NAME_new();
    X509_NAME_add_entry_by_txt(name, "C", MBSTRING_UTF8, (const unsigned char *)"CH", -1, -1, 0);
    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8,
                               (const unsigned char *)"Hase, \"Igel\" + Co", -1, -1, 0);
    X509_NAME_add_entry_by_txt(name, "OU", MBSTRING_UTF8, (const unsigned char *)"b", -1, -1, -1);
    X509_NAME_add_entry_by_txt(name, "businessCategory", MBSTRING_UTF8, (const unsigned char *)"x",
                               -1, -1, 0);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)"#J\xc3\xa4ger ",
                               -1, -1, 0);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)"two", -1, -1, 0);
    client = cert_new(
        (struct cert_wish){ .name = name,
                            .issuer = &ca,
                            .san = "DNS:a.example.org,DNS:b.example.org,email:c@example.org,"
                                   "IP:127.0.0.9,IP:::1,URI:urn:x,otherName:msUPN;UTF8:jo@x" });
    late_client = cert_new((struct cert_wish){
        .common_name = "late", .issuer = &ca, .from_s = -2 * DAY, .to_s = -DAY });
    stranger = cert_new((struct cert_wish){ .common_name = "stranger", .issuer = &other_ca });
    write_cert("ca.pem", "w", &ca);
    write_cert("server.pem", "w", &server);
    write_key("server.key", &server, NULL);
    write_cert("second.pem", "w", &server_2);
    write_key("second.key", &server_2, NULL);
}

/* ---- the server ---- */

struct scene;

struct script {
    size_t (*input)(struct scene *s, struct lv_conn *c, struct lv_bytes in);
    void (*filled)(struct scene *s, struct lv_conn *c, size_t n);
    void (*opened)(struct scene *s, struct lv_conn *c);
    void (*drained)(struct scene *s, struct lv_conn *c);
    void (*client)(struct scene *s); /* its own thread */
    unsigned loops, conns;           /* 0: one */
};

struct scene {
    const struct script *script;
    struct lv_tls_options options;
    struct lv_tls *tls;
    struct lv_loops *loops;
    struct lv_listener *listener;
    struct sockaddr_storage addr;
    socklen_t addr_len;
    _Atomic unsigned accepted, closed;
    _Atomic int why; /* of the last one */
    struct lv_tls_info info;
    char sans[256];
    size_t sent, got, steps;
    uint8_t *body;
    size_t body_bytes, body_at;
    const char *log;
    int client_version; /* 0: any */
    const struct cert *client_cert;
    SSL_CTX *client_ctx;
};

struct owner {
    struct lv_conn conn;
    struct scene *scene;
    struct lv_task hop;
};

static struct scene *scene_of(struct lv_conn *c)
{
    return ((struct owner *)c)->scene;
}

static size_t echo(struct scene *s, struct lv_conn *c, struct lv_bytes in)
{
    (void)s;
    if (in.len % 3 == 0)
        lv_conn_write_borrowed(c, in);
    else
        lv_conn_write(c, in);
    return in.len;
}

static size_t on_input(struct lv_conn *c, struct lv_bytes in)
{
    struct scene *s = scene_of(c);

    return s->script->input != NULL ? s->script->input(s, c, in) : echo(s, c, in);
}

static void on_filled(struct lv_conn *c, size_t n)
{
    scene_of(c)->script->filled(scene_of(c), c, n);
}

static void on_drained(struct lv_conn *c)
{
    if (scene_of(c)->script->drained != NULL)
        scene_of(c)->script->drained(scene_of(c), c);
}

static void on_closed(struct lv_conn *c, enum lv_err why)
{
    struct scene *s = scene_of(c);

    s->why = why;
    free(c);
    if (atomic_fetch_add(&s->closed, 1) + 1 == (s->script->conns != 0 ? s->script->conns : 1))
        lv_loops_stop(s->loops);
}

static const struct lv_conn_ops ops = { on_input, on_filled, on_drained, on_closed };

/* mail: a socket to serve, or a connection that hops. */
enum { OP_SERVE, OP_HOP };

static void on_mail(struct lv_loop *loop, unsigned from, const struct lv_mail *m)
{
    struct scene *s = lv_loop_owner(loop);

    (void)from;
    if (m->op == OP_HOP) {
        CHECK_EQ(lv_conn_attach((struct lv_conn *)(uintptr_t)m->w[0], loop), LV_OK);
        return;
    }
    struct owner *o = calloc(1, sizeof(*o));
    o->scene = s;
    lv_list_init(&o->hop.link);
    CHECK_EQ(lv_conn_open(&o->conn, loop, (int)m->w[0], &ops), LV_OK);
    CHECK(!lv_conn_is_tls(&o->conn));
    CHECK_EQ(lv_conn_start_tls(&o->conn, s->tls), LV_OK);
    CHECK(lv_conn_is_tls(&o->conn));
    CHECK(!lv_conn_tls_info(&o->conn, &s->info));
    if (s->script->opened != NULL)
        s->script->opened(s, &o->conn);
}

static void accepted(struct lv_loop *loop, int fd, void *ctx)
{
    struct scene *s = ctx;
    struct lv_mail m = { .op = OP_SERVE, .w = { (uint64_t)fd } };

    lv_loop_post(loop, s->accepted % lv_loops_count(s->loops), &m);
    if (++s->accepted == (s->script->conns != 0 ? s->script->conns : 1))
        lv_listener_close(s->listener);
}

static enum lv_err start(struct lv_loop *loop)
{
    struct scene *s = lv_loop_owner(loop);
    char address[LV_ADDR_MAX];

    if (lv_loop_index(loop) != 0)
        return LV_OK;
    CHECK_EQ(lv_listen(loop, "127.0.0.1:0", accepted, s, &s->listener), LV_OK);
    lv_listener_address(s->listener, address);
    CHECK_EQ(lv_addr_parse(address, &s->addr, &s->addr_len), LV_OK);
    return LV_OK;
}

static void *run_client(void *arg)
{
    struct scene *s = arg;

    s->script->client(s);
    return NULL;
}

static pthread_t client_thread;

/* The client begins when the address is known: loop 0 starts on this thread. */
static enum lv_err start_all(struct lv_loop *loop)
{
    struct scene *s = lv_loop_owner(loop);
    enum lv_err err = start(loop);

    if (lv_loop_index(loop) == 0)
        CHECK_EQ(pthread_create(&client_thread, NULL, run_client, s), 0);
    return err;
}

static struct lv_tls_options usual(void)
{
    static char cert[CERT_PATH_MAX], key[CERT_PATH_MAX], authority[CERT_PATH_MAX];

    make_certs();
    (void)snprintf(cert, sizeof(cert), "%s", certs_path("server.pem"));
    (void)snprintf(key, sizeof(key), "%s", certs_path("server.key"));
    (void)snprintf(authority, sizeof(authority), "%s", certs_path("ca.pem"));
    return (struct lv_tls_options){
        .cert_file = cert, .key_file = key, .ca_file = authority, .depth = 1
    };
}

static void play(struct scene *s, const struct script *script)
{
    static char log[65536];
    char error[LV_TLS_ERROR_MAX];
    struct lv_loops_config config = { .count = script->loops != 0 ? script->loops : 1,
                                      .owner = s,
                                      .start = start_all,
                                      .mail = on_mail,
                                      .read_block_bytes = 65536,
                                      .out_high_bytes = 65536 };
    int fds[2];

    s->script = script;
    if (s->options.cert_file == NULL)
        s->options = usual();
    CHECK_EQ(lv_tls_new(&s->options, config.count, &s->tls, error), LV_OK);
    s->client_ctx = SSL_CTX_new(TLS_client_method());
    CHECK_EQ(lv_loops_new(&config, &s->loops), LV_OK);
    CHECK_EQ(pipe2(fds, O_NONBLOCK), 0);
    lv_log_set_fd(fds[1]);
    CHECK_EQ(lv_loops_run(s->loops), LV_OK);
    pthread_join(client_thread, NULL);
    lv_log_set_fd(STDERR_FILENO);
    close(fds[1]);
    ssize_t n = read(fds[0], log, sizeof(log) - 1);
    close(fds[0]);
    log[n > 0 ? n : 0] = '\0';
    s->log = log;
    lv_loops_free(s->loops);
    lv_tls_free(s->tls);
    SSL_CTX_free(s->client_ctx);
    CHECK_EQ(lv_mem_used(LV_TAG_CONN), 0);
    CHECK_EQ(lv_mem_used(LV_TAG_LOOP), 0);
}

/* ---- the client ---- */

static int dial(struct scene *s)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK_EQ(connect(fd, (struct sockaddr *)&s->addr, s->addr_len), 0);
    return fd;
}

static SSL *ssl_on(struct scene *s, int fd)
{
    SSL *ssl = SSL_new(s->client_ctx);

    CHECK_EQ(SSL_set_fd(ssl, fd), 1);
    SSL_set_connect_state(ssl);
    if (s->client_version != 0) {
        SSL_set_min_proto_version(ssl, s->client_version);
        SSL_set_max_proto_version(ssl, s->client_version);
    }
    if (s->client_cert != NULL) {
        CHECK_EQ(SSL_use_certificate(ssl, s->client_cert->x509), 1);
        CHECK_EQ(SSL_use_PrivateKey(ssl, s->client_cert->key), 1);
    }
    return ssl;
}

/* Connected, or the test fails. */
static SSL *greet(struct scene *s)
{
    SSL *ssl = ssl_on(s, dial(s));

    CHECK_EQ(SSL_connect(ssl), 1);
    return ssl;
}

/* Says goodbye unless `is_rude`. */
static void leave_how(SSL *ssl, bool is_rude)
{
    int fd = SSL_get_fd(ssl);

    /* Closing with an unread ticket would reset the socket, and take what is on its way with it. */
    char byte;
    if (!is_rude && SSL_shutdown(ssl) == 0)
        while (SSL_read(ssl, &byte, 1) > 0) {
        }
    SSL_free(ssl);
    close(fd);
    ERR_clear_error();
}

static void leave(SSL *ssl)
{
    leave_how(ssl, false);
}

static uint8_t pattern(uint64_t at)
{
    return (uint8_t)(at * 2654435761u >> 13);
}

static void say(SSL *ssl, const void *bytes, size_t len)
{
    CHECK_EQ(SSL_write(ssl, bytes, (int)len), (int)len);
}

static void hear(SSL *ssl, void *out, size_t len)
{
    for (size_t at = 0; at < len;) {
        int n = SSL_read(ssl, (uint8_t *)out + at, (int)(len - at));
        CHECK(n > 0);
        at += (size_t)n;
    }
}

static void ask(SSL *ssl, const char *text)
{
    char answer[64] = "";

    say(ssl, text, strlen(text));
    hear(ssl, answer, strlen(text));
    CHECK_STR(answer, text);
}

/* ---- both ways ---- */

static size_t echo_and_look(struct scene *s, struct lv_conn *c, struct lv_bytes in)
{
    CHECK(lv_conn_tls_info(c, &s->info));
    return echo(s, c, in);
}

static void client_asks(struct scene *s)
{
    SSL *ssl = greet(s);

    ask(ssl, "hello");
    leave(ssl);
}

static const struct script asked = { .input = echo_and_look, .client = client_asks };

LV_TEST(what_is_agreed_on)
{
    struct scene s = { 0 }, t = { .client_version = TLS1_2_VERSION };

    play(&s, &asked);
    CHECK_EQ(s.why, LV_ECLOSED);
    CHECK_STR(s.info.version, "TLSv1.3");
    CHECK_STR(s.info.cipher, "TLS_AES_256_GCM_SHA384");
    CHECK_EQ(s.info.cipher_bits, 256);
    CHECK(!s.info.has_cert && !s.info.is_resumed && s.info.subject[0] == '\0');
    CHECK_STR(s.log, "");
    play(&t, &asked);
    CHECK_STR(t.info.version, "TLSv1.2");
    CHECK_STR(t.info.cipher, "ECDHE-ECDSA-AES256-GCM-SHA384");
}

static void client_echoes_odd_sizes(struct scene *s)
{
    static uint8_t out[50000], in[50000];
    struct lv_rng rng = lv_rng_seed(7);
    SSL *ssl = greet(s);

    for (int i = 0; i < 300; i++) {
        size_t n = 1 + lv_rng_below(&rng, i % 3 == 0 ? 50000 : 300);
        for (size_t k = 0; k < n; k++)
            out[k] = pattern(s->sent + k);
        say(ssl, out, n);
        hear(ssl, in, n);
        CHECK_MEM(in, out, n);
        s->sent += n;
    }
    leave(ssl);
}

LV_TEST(odd_sizes_come_back)
{
    static const struct script script = { .client = client_echoes_odd_sizes };
    struct scene s = { 0 }, t = { .client_version = TLS1_2_VERSION };

    play(&s, &script);
    play(&t, &script);
    CHECK(s.sent > 2000000);
}

/* Small pieces that are left over and come again. */
static size_t take_sevens(struct scene *s, struct lv_conn *c, struct lv_bytes in)
{
    size_t n = in.len - in.len % 7;

    for (size_t i = 0; i < n; i++)
        CHECK(in.ptr[i] == pattern(s->got + i));
    s->got += n;
    if (n > 0 && s->got % 3 == 0) {
        lv_conn_pause(c);
        lv_conn_resume(c);
    }
    return n;
}

static void client_sends_pattern(struct scene *s)
{
    static uint8_t out[30000];
    struct lv_rng rng = lv_rng_seed(9);
    SSL *ssl = greet(s);

    while (s->sent < 7 * 500000) {
        size_t n = 1 + lv_rng_below(&rng, 30000);
        n = LV_MIN(n, 7 * 500000 - s->sent);
        for (size_t k = 0; k < n; k++)
            out[k] = pattern(s->sent + k);
        say(ssl, out, n);
        s->sent += n;
    }
    leave(ssl);
}

LV_TEST(what_is_left_over_comes_again)
{
    static const struct script script = { .input = take_sevens, .client = client_sends_pattern };
    struct scene s = { 0 };

    play(&s, &script);
    CHECK_EQ(s.got, 7 * 500000);
    CHECK_EQ(s.why, LV_ECLOSED);
}

/* ---- much at once ---- */

enum { FLOOD = 20 << 20 };
static uint8_t flood_bytes[1 << 20];
static unsigned released;

static void release_one(void *owner)
{
    (void)owner;
    released++;
}

static void fill_up(struct scene *s, struct lv_conn *c)
{
    while (!lv_conn_is_full(c) && s->sent < FLOOD) {
        size_t n = LV_MIN(s->steps % 2 == 0 ? 777u : 70000u, FLOOD - s->sent);
        const uint8_t *from = flood_bytes + s->sent % 500000;
        if (s->steps++ % 2 == 0)
            lv_conn_write(c, lv_bytes(from, n));
        else
            lv_conn_write_ref(c, lv_bytes(from, n), NULL, release_one);
        s->sent += n;
    }
    if (s->sent == FLOOD)
        lv_conn_close(c, 10000);
}

static void client_reads_slowly(struct scene *s)
{
    static uint8_t in[100000];
    size_t step = 0, at = 0; /* replays what the server wrote */
    SSL *ssl = greet(s);
    int n;

    usleep(100000);
    while ((n = SSL_read(ssl, in, sizeof(in))) > 0) {
        for (size_t i = 0; i < (size_t)n; i++) {
            size_t len = step % 2 == 0 ? 777 : 70000, begin = step / 2 * 70777 + (step % 2) * 777;
            CHECK(in[i] == flood_bytes[begin % 500000 + at]);
            if (++at == len) {
                at = 0;
                step++;
            }
        }
        s->got += (size_t)n;
        if (s->got % 64 == 0)
            usleep(1000);
    }
    CHECK_EQ(SSL_get_error(ssl, n), SSL_ERROR_ZERO_RETURN); /* a clean end */
    leave(ssl);
}

LV_TEST(a_flood_waits_for_its_reader_and_ends_cleanly)
{
    static const struct script script = { .opened = fill_up,
                                          .drained = fill_up,
                                          .client = client_reads_slowly };
    struct scene s = { 0 };

    for (size_t i = 0; i < sizeof(flood_bytes); i++)
        flood_bytes[i] = pattern(i);
    released = 0;
    play(&s, &script);
    CHECK_EQ(s.got, FLOOD);
    CHECK_EQ(s.why, LV_OK);
    CHECK_EQ(released, s.steps / 2);
}

/* ---- straight into the owner's memory ---- */

enum { BODIES = 300 };

static size_t body_size(uint64_t n)
{
    return (size_t)(n * n * n * 7919 % 40000);
}

static void body_done(struct scene *s)
{
    for (size_t i = 0; i < s->body_bytes; i++)
        CHECK(s->body[i] == pattern(s->steps + i));
    free(s->body);
    s->body = NULL;
    s->steps++;
}

/* Every third is given up half way. */
static void body_filled(struct scene *s, struct lv_conn *c, size_t n)
{
    if (s->steps % 3 == 2) {
        free(s->body);
        s->body = NULL;
        s->steps++;
        lv_conn_read_drop(c);
        return;
    }
    s->body_at += n;
    if (s->body_at == s->body_bytes)
        body_done(s);
}

static size_t read_bodies(struct scene *s, struct lv_conn *c, struct lv_bytes in)
{
    struct lv_rd r = lv_rd(in);

    while (lv_rd_left(&r) >= 4) {
        s->body_bytes = lv_rd_u32(&r);
        CHECK_EQ(s->body_bytes, body_size(s->steps));
        s->body = malloc(s->body_bytes + 1);
        s->body_at = LV_MIN(s->body_bytes, lv_rd_left(&r));
        memcpy(s->body, lv_rd_bytes(&r, s->body_at).ptr, s->body_at);
        if (s->body_at < s->body_bytes) {
            lv_conn_read_into(c, s->body + s->body_at, s->body_bytes - s->body_at);
            return in.len;
        }
        body_done(s);
    }
    return in.len - lv_rd_left(&r);
}

static size_t piece_max;

static void client_sends_bodies(struct scene *s)
{
    static uint8_t wire[BODIES * 40004];
    struct lv_wr w = lv_wr(wire, sizeof(wire));
    struct lv_rng rng = lv_rng_seed(piece_max);
    SSL *ssl = greet(s);

    for (uint64_t n = 0; n < BODIES; n++) {
        lv_wr_u32(&w, (uint32_t)body_size(n));
        for (size_t i = 0; i < body_size(n); i++)
            lv_wr_u8(&w, pattern(n + i));
    }
    for (size_t at = 0; at < w.used;) {
        size_t n = 1 + lv_rng_below(&rng, (uint32_t)piece_max);
        n = LV_MIN(n, w.used - at);
        say(ssl, wire + at, n);
        at += n;
    }
    leave(ssl);
}

LV_TEST(bodies_go_straight_to_their_place)
{
    static const struct script script = { .input = read_bodies,
                                          .filled = body_filled,
                                          .client = client_sends_bodies };
    static const size_t pieces[] = { 100, 3000, 1000000 };

    for (size_t i = 0; i < LV_ARRAY_LEN(pieces); i++) {
        struct scene s = { 0 };
        piece_max = pieces[i];
        play(&s, &script);
        CHECK_EQ(s.steps, BODIES);
    }
}

/* ---- moving ---- */

static void do_hop(struct lv_loop *loop, struct lv_task *task)
{
    struct owner *o = LV_CONTAINER_OF(task, struct owner, hop);
    struct lv_mail m = { .op = OP_HOP, .w = { (uint64_t)(uintptr_t)&o->conn } };

    if (o->conn.is_closing)
        return;
    o->scene->steps++;
    lv_conn_detach(&o->conn);
    lv_loop_post(loop, 1 - lv_loop_index(loop), &m);
}

static size_t echo_and_hop(struct scene *s, struct lv_conn *c, struct lv_bytes in)
{
    struct owner *o = (struct owner *)c;

    o->hop.run = do_hop;
    lv_loop_defer(c->loop, &o->hop);
    return echo(s, c, in);
}

LV_TEST(a_connection_moves_between_loops)
{
    static const struct script script = { .input = echo_and_hop,
                                          .client = client_echoes_odd_sizes,
                                          .loops = 2 };
    struct scene s = { 0 };

    play(&s, &script);
    CHECK(s.steps > 300);
    CHECK_EQ(s.why, LV_ECLOSED);
}

/* ---- how it ends ---- */

/* Data and goodbye in one segment; then the client waits for the server's goodbye. */
static void client_closes_its_half(struct scene *s)
{
    SSL *ssl = greet(s);
    BIO *wire = BIO_new(BIO_s_mem());
    char *bytes;

    ask(ssl, "first"); /* the ticket has come */
    SSL_set0_wbio(ssl, wire);
    BIO_up_ref(wire);
    say(ssl, "last", 4);
    CHECK_EQ(SSL_shutdown(ssl), 0);
    long n = BIO_get_mem_data(wire, &bytes);
    CHECK_EQ(write(SSL_get_rfd(ssl), bytes, (size_t)n), n);
    CHECK_EQ(SSL_shutdown(ssl), 1);
    int fd = SSL_get_rfd(ssl);
    SSL_free(ssl);
    BIO_free(wire);
    close(fd);
}

static size_t count_and_echo_first(struct scene *s, struct lv_conn *c, struct lv_bytes in)
{
    s->got += in.len;
    if (s->got == 5)
        lv_conn_write(c, in);
    return in.len;
}

LV_TEST(a_half_close_is_answered)
{
    static const struct script script = { .input = count_and_echo_first,
                                          .client = client_closes_its_half };
    struct scene s = { 0 };

    play(&s, &script);
    CHECK_EQ(s.got, 9);
    CHECK_EQ(s.why, LV_ECLOSED);
}

static void client_goes_rudely(struct scene *s)
{
    SSL *ssl = greet(s);

    ask(ssl, "hello");
    leave_how(ssl, true);
}

LV_TEST(going_without_goodbye_is_going)
{
    static const struct script script = { .client = client_goes_rudely };
    struct scene s = { 0 };

    play(&s, &script);
    CHECK_EQ(s.why, LV_ECLOSED);
}

static void client_breaks_a_record(struct scene *s)
{
    SSL *ssl = greet(s);
    static const uint8_t bad[] = { 23, 3,  3,  0,  32, 1,  2,  3,  4,  5,  6,  7,  8,
                                   9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                   22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32 };
    char byte;

    ask(ssl, "hello");
    CHECK_EQ(write(SSL_get_fd(ssl), bad, sizeof(bad)), (ssize_t)sizeof(bad));
    CHECK(SSL_read(ssl, &byte, 1) <= 0);
    CHECK_EQ(ERR_GET_REASON(ERR_peek_error()), SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
    leave_how(ssl, true);
}

LV_TEST(a_bad_record_ends_it_with_an_alert)
{
    static const struct script script = { .client = client_breaks_a_record };
    struct scene s = { 0 };

    play(&s, &script);
    CHECK_EQ(s.why, LV_EIO);
}

static void close_at_once(struct scene *s, struct lv_conn *c)
{
    (void)s;
    lv_conn_write(c, LV_BYTES_LIT("never heard"));
    lv_conn_close(c, 5000); /* there is nobody to linger for */
}

static void client_is_turned_away(struct scene *s)
{
    SSL *ssl = ssl_on(s, dial(s));

    CHECK(SSL_connect(ssl) <= 0);
    leave_how(ssl, true);
}

LV_TEST(closing_before_the_handshake)
{
    static const struct script script = { .opened = close_at_once, .client = client_is_turned_away };
    struct scene s = { .why = LV_EIO };

    play(&s, &script);
    CHECK_EQ(s.why, LV_OK);
}

/* ---- handshakes that fail ---- */

static void client_is_silent(struct scene *s)
{
    int fd = dial(s);
    char byte;

    CHECK_EQ(read(fd, &byte, 1), 0);
    close(fd);
}

LV_TEST(a_handshake_has_an_end)
{
    static const struct script script = { .client = client_is_silent };
    struct scene s = { .options = usual() };

    s.options.handshake_ms = 100;
    play(&s, &script);
    CHECK_EQ(s.why, LV_EREFUSED);
    CHECK(strstr(s.log, "TLS handshake failed peer=127.0.0.1:") != NULL);
    CHECK(strstr(s.log, "why=\"the handshake took too long\"") != NULL);
}

/* Every byte in a segment of its own. */
static void client_greets_bytewise(struct scene *s)
{
    SSL *ssl = ssl_on(s, dial(s));
    int fd = SSL_get_fd(ssl), ok;
    BIO *wire = BIO_new(BIO_s_mem());
    char byte;

    CHECK_EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    SSL_set0_wbio(ssl, wire);
    do {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        ok = SSL_connect(ssl);
        bool more = ok != 1;
        while (BIO_read(wire, &byte, 1) == 1) {
            CHECK_EQ(write(fd, &byte, 1), 1);
            s->sent++;
            usleep(50);
        }
        if (more)
            CHECK_EQ(poll(&p, 1, 5000), 1);
    } while (ok != 1);
    SSL_free(ssl);
    close(fd);
}

LV_TEST(a_handshake_byte_by_byte)
{
    static const struct script script = { .client = client_greets_bytewise };
    struct scene s = { 0 }, t = { .client_version = TLS1_2_VERSION };

    play(&s, &script);
    CHECK(s.sent > 200);
    CHECK_EQ(s.why, LV_ECLOSED);
    CHECK_STR(s.log, "");
    play(&t, &script);
    CHECK_EQ(t.why, LV_ECLOSED);
    CHECK_STR(t.log, "");
}

static void check_refused(struct scene *s, const struct script *script, const char *why)
{
    char wanted[256];

    play(s, script);
    CHECK_EQ(s->why, LV_EREFUSED);
    (void)snprintf(wanted, sizeof(wanted), "why=\"%s\"\n", why);
    if (strstr(s->log, wanted) == NULL)
        CHECK_STR(s->log, wanted);
}

static void client_is_old(struct scene *s)
{
    SSL_CTX_set_security_level(s->client_ctx, 0);
    s->client_version = TLS1_1_VERSION;
    client_is_turned_away(s);
}

static void client_speaks_amqp(struct scene *s)
{
    int fd = dial(s);
    char in[100];

    CHECK_EQ(write(fd, "AMQP\0\0\x09\x01", 8), 8);
    while (read(fd, in, sizeof(in)) > 0) {
    }
    close(fd);
}

static void client_speaks_http(struct scene *s)
{
    int fd = dial(s);
    char in[100];

    CHECK_EQ(write(fd, "GET / HTTP/1.1\r\n\r\n", 18), 18);
    while (read(fd, in, sizeof(in)) > 0) {
    }
    close(fd);
}

static void client_wants_a_weak_cipher(struct scene *s)
{
    s->client_version = TLS1_2_VERSION;
    CHECK_EQ(SSL_CTX_set_cipher_list(s->client_ctx, "ECDHE-ECDSA-AES128-SHA"), 1);
    client_is_turned_away(s);
}

LV_TEST(clients_that_are_turned_away)
{
    static const struct {
        void (*client)(struct scene *s);
        const char *why;
    } cases[] = {
        { client_is_old, "the client offers no TLS version that is allowed here" },
        { client_speaks_amqp, "not TLS: a client without it on a TLS port" },
        { client_speaks_http, "not TLS: an HTTP request" },
        { client_wants_a_weak_cipher, "the client offers no cipher that is allowed here" },
    };

    for (size_t i = 0; i < LV_ARRAY_LEN(cases); i++) {
        struct script script = { .client = cases[i].client };
        struct scene s = { 0 };
        check_refused(&s, &script, cases[i].why);
    }
}

static void client_goes_while_shaking(struct scene *s)
{
    int fd = dial(s);

    CHECK_EQ(write(fd, "\x16\x03\x01", 3), 3);
    close(fd);
}

LV_TEST(a_client_that_goes_during_the_handshake)
{
    static const struct script script = { .client = client_goes_while_shaking };
    struct scene s = { 0 };

    play(&s, &script);
    CHECK_EQ(s.why, LV_ECLOSED);
    CHECK(strstr(s.log, "why=\"the client went away\"") != NULL);
}

static void client_does_not_trust(struct scene *s)
{
    SSL_CTX_set_verify(s->client_ctx, SSL_VERIFY_PEER, NULL);
    client_is_turned_away(s);
}

LV_TEST(a_client_that_does_not_trust_us)
{
    static const struct script script = { .client = client_does_not_trust };
    struct scene s = { 0 };

    check_refused(&s, &script, "the client gives up: unknown CA");
}

static void client_renegotiates(struct scene *s)
{
    SSL *ssl = greet(s);

    ask(ssl, "hello");
    CHECK_EQ(SSL_renegotiate(ssl), 1);
    CHECK(SSL_do_handshake(ssl) != 1);
    CHECK_EQ(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
    leave_how(ssl, true);
}

LV_TEST(renegotiation_is_refused)
{
    static const struct script script = { .client = client_renegotiates };
    struct scene s = { .client_version = TLS1_2_VERSION };

    play(&s, &script);
    CHECK_EQ(s.why, LV_ECLOSED);
}

/* ---- clients with certificates ---- */

static size_t echo_and_list(struct scene *s, struct lv_conn *c, struct lv_bytes in)
{
    size_t used = 0;

    CHECK(lv_conn_tls_info(c, &s->info));
    for (int kind = LV_TLS_SAN_DNS; kind <= LV_TLS_SAN_OTHER; kind++) {
        char text[LV_TLS_NAME_MAX];
        for (unsigned i = 0; lv_conn_tls_san(c, (enum lv_tls_san_kind)kind, i, text); i++)
            used += (size_t)snprintf(s->sans + used, sizeof(s->sans) - used, "%d:%s ", kind, text);
    }
    return echo(s, c, in);
}

static const struct script listed = { .input = echo_and_list, .client = client_asks };

LV_TEST(a_clients_certificate_is_known)
{
    struct scene s = { .options = usual(), .client_cert = &client };
    uint8_t want[32], *der = NULL;
    int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(client.x509), &der);

    s.options.verify_peer = s.options.fail_if_no_peer_cert = true;
    play(&s, &listed);
    CHECK(s.info.has_cert);
    CHECK_STR(s.info.subject,
              "CN=two,CN=\\#J\\C3\\A4ger\\ ,2.5.4.15=x,OU=b+O=Hase\\, \\\"Igel\\\" \\+ Co,C=CH");
    CHECK_STR(s.info.issuer, "CN=Test Authority");
    CHECK_STR(s.info.common_name, "#J\xc3\xa4ger ,two");
    CHECK_EQ(strlen(s.info.serial), 4);
    CHECK_EQ(s.info.not_after_s - s.info.not_before_s, 2 * DAY);
    CHECK_EQ(EVP_Digest(der, (size_t)n, want, NULL, EVP_sha256(), NULL), 1);
    CHECK_MEM(s.info.spki_sha256, want, 32);
    CHECK_STR(s.sans,
              "0:a.example.org 0:b.example.org 1:c@example.org 2:urn:x 3:127.0.0.9 3:::1 4:jo@x ");
    OPENSSL_free(der);
}

static void client_is_refused(struct scene *s)
{
    SSL *ssl = ssl_on(s, dial(s));
    char byte;

    /* With TLS 1.3 the client has finished before the server has looked at its certificate. */
    if (SSL_connect(ssl) == 1)
        CHECK(SSL_read(ssl, &byte, 1) <= 0);
    leave_how(ssl, true);
}

LV_TEST(clients_are_verified)
{
    static const struct script refused = { .client = client_is_refused };
    static const struct {
        const struct cert *cert;
        bool must_have;
        const char *why; /* NULL: let in */
    } cases[] = {
        { &client, true, NULL },
        { &client, false, NULL },
        { NULL, false, NULL },
        { NULL, true, "the client shows no certificate" },
        { &stranger, true, "the client's certificate is refused: certificate signature failure" },
        { &stranger, false, "the client's certificate is refused: certificate signature failure" },
        { &late_client, true, "the client's certificate is refused: certificate has expired" },
    };

    for (size_t i = 0; i < LV_ARRAY_LEN(cases); i++)
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            struct scene s = { .options = usual(),
                               .client_cert = cases[i].cert,
                               .client_version = version };
            s.options.verify_peer = true;
            s.options.fail_if_no_peer_cert = cases[i].must_have;
            if (cases[i].why != NULL) {
                check_refused(&s, &refused, cases[i].why);
                continue;
            }
            play(&s, &listed);
            CHECK_EQ(s.info.has_cert, cases[i].cert != NULL);
        }
}

LV_TEST(without_verification_no_certificate_is_asked_for)
{
    struct scene s = { .client_cert = &client };

    play(&s, &listed);
    CHECK(!s.info.has_cert);
}

/* ---- names ---- */

static void check_shown(struct scene *s, const char *asked_for, const char *common_name)
{
    SSL *ssl = ssl_on(s, dial(s));
    char name[64] = "";

    if (asked_for != NULL)
        SSL_set_tlsext_host_name(ssl, asked_for);
    CHECK_EQ(SSL_connect(ssl), 1);
    X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(ssl)), NID_commonName,
                              name, sizeof(name));
    CHECK_STR(name, common_name);
    ask(ssl, "hello");
    leave(ssl);
}

static void client_asks_for_names(struct scene *s)
{
    check_shown(s, NULL, "first");
    check_shown(s, "mq.example.org", "second");
    check_shown(s, "MQ.Example.org", "second");
    check_shown(s, "x.mq.example.org", "first");
    check_shown(s, "a.wild.example.org", "second");
    check_shown(s, "a.b.wild.example.org", "first");
    check_shown(s, "wild.example.org", "first");
}

LV_TEST(certificates_by_name)
{
    static const struct script script = { .input = echo_and_look,
                                          .client = client_asks_for_names,
                                          .conns = 7 };
    struct scene s = { .options = usual(), .client_cert = &client };
    char cert[CERT_PATH_MAX], key[CERT_PATH_MAX];
    (void)snprintf(cert, sizeof(cert), "%s", certs_path("second.pem"));
    (void)snprintf(key, sizeof(key), "%s", certs_path("second.key"));
    struct lv_tls_host hosts[] = { { "mq.example.org", cert, key, NULL },
                                   { "*.wild.example.org", cert, key, NULL } };

    s.options.hosts = hosts;
    s.options.host_count = 2;
    s.options.verify_peer = s.options.fail_if_no_peer_cert = true; /* for every name */
    play(&s, &script);
    CHECK_STR(s.info.sni, "wild.example.org");
    CHECK(s.info.has_cert);
}

/* ---- reload ---- */

static size_t obey(struct scene *s, struct lv_conn *c, struct lv_bytes in)
{
    char error[LV_TLS_ERROR_MAX];
    struct lv_tls_options options = s->options;

    if (lv_bytes_eq(in, LV_BYTES_LIT("good"))) {
        options.cert_file = certs_path("second.pem");
        options.key_file = certs_path("second.key");
        CHECK_EQ(lv_tls_reload(s->tls, &options, error), LV_OK);
        CHECK_STR(error, "");
    } else if (lv_bytes_eq(in, LV_BYTES_LIT("bad"))) {
        options.cert_file = certs_path("server.pem");
        options.key_file = certs_path("second.key");
        CHECK_EQ(lv_tls_reload(s->tls, &options, error), LV_EINVAL);
        CHECK(strstr(error, "the key does not belong to the certificate in") != NULL);
    }
    return echo(s, c, in);
}

static void client_sees_a_reload(struct scene *s)
{
    SSL *old = greet(s);
    int half = dial(s); /* begins with the old ones, ends after the change */
    SSL *slow = ssl_on(s, half);
    char name[64];

    check_shown(s, NULL, "first");
    ask(old, "bad");
    check_shown(s, NULL, "first");
    ask(old, "good");
    check_shown(s, NULL, "second");
    ask(old, "good");
    check_shown(s, NULL, "second");
    ask(old, "still here");
    CHECK_EQ(SSL_connect(slow), 1);
    X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(slow)),
                              NID_commonName, name, sizeof(name));
    CHECK_STR(name, "first");
    ask(slow, "hello");
    leave(slow);
    leave(old);
}

LV_TEST(certificates_are_changed_under_way)
{
    static const struct script script = { .input = obey, .client = client_sees_a_reload, .conns = 6 };
    static const struct script two_loops = {
        .input = obey, .client = client_sees_a_reload, .conns = 6, .loops = 2
    };
    struct scene s = { 0 }, t = { 0 };

    play(&s, &script);
    play(&t, &two_loops);
    CHECK_EQ(s.why, LV_ECLOSED);
}

/* ---- tickets ---- */

/* Connects, with the session if there is one, and takes the ticket that comes. */
static bool came_back(struct scene *s, SSL_SESSION **session)
{
    SSL *ssl = ssl_on(s, dial(s));

    if (*session != NULL)
        CHECK_EQ(SSL_set_session(ssl, *session), 1);
    CHECK_EQ(SSL_connect(ssl), 1);
    ask(ssl, "hello");
    bool is_resumed = SSL_session_reused(ssl) == 1;
    SSL_SESSION_free(*session);
    *session = SSL_get1_session(ssl);
    leave(ssl);
    return is_resumed;
}

static void client_comes_back(struct scene *s)
{
    SSL_SESSION *session = NULL;
    SSL *ssl;

    CHECK(!came_back(s, &session));
    CHECK(came_back(s, &session)); /* on the other loop */
    CHECK(came_back(s, &session));
    ssl = greet(s);
    ask(ssl, "good"); /* reload: what was before is forgotten */
    leave(ssl);
    CHECK(!came_back(s, &session));
    CHECK(came_back(s, &session));
    SSL_SESSION_free(session);
}

LV_TEST(tickets_are_good_on_every_loop_until_a_reload)
{
    static const struct script script = {
        .input = obey, .client = client_comes_back, .conns = 6, .loops = 2
    };
    struct scene s = { .client_version = TLS1_3_VERSION }, t = { .client_version = TLS1_2_VERSION };

    play(&s, &script);
    play(&t, &script);
}

static void client_is_looked_at_each_time(struct scene *s)
{
    SSL_SESSION *session = NULL;

    CHECK(!came_back(s, &session));
    CHECK(!came_back(s, &session));
    SSL_SESSION_free(session);
}

LV_TEST(no_tickets_where_clients_are_verified)
{
    static const struct script script = { .client = client_is_looked_at_each_time, .conns = 2 };

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct scene s = { .options = usual(), .client_cert = &client, .client_version = version };
        s.options.verify_peer = true;
        play(&s, &script);
    }
}

LV_TEST(ticket_keys_rotate_alike_and_forget)
{
    uint8_t secret[LV_TICKET_SECRET] = { 1, 2, 3 };
    struct lv_tickets a, b;

    CHECK_EQ(lv_tickets_init(&a, secret, 1000), LV_OK);
    CHECK_EQ(lv_tickets_init(&b, secret, 1000), LV_OK);
    struct lv_ticket_keys first = a.now;
    CHECK_MEM(&a.now, &b.now, sizeof(a.now));
    CHECK(memcmp(a.now.aes, a.now.mac, 32) != 0);
    CHECK_EQ(lv_tickets_advance(&a, 1000 + LV_TICKET_ROTATE_MS - 1), LV_OK);
    CHECK_MEM(&a.now, &first, sizeof(first));
    CHECK_EQ(lv_tickets_advance(&a, 1000 + LV_TICKET_ROTATE_MS), LV_OK);
    CHECK(memcmp(&a.now, &first, sizeof(first)) != 0);
    CHECK(lv_tickets_find(&a, first.name) == &a.before);
    CHECK(lv_tickets_find(&a, a.now.name) == &a.now);
    CHECK(lv_tickets_find(&b, a.now.name) == NULL); /* it has not got there */
    CHECK_EQ(lv_tickets_advance(&a, 1000 + 2 * LV_TICKET_ROTATE_MS), LV_OK);
    CHECK(lv_tickets_find(&a, first.name) == NULL);
    CHECK_EQ(lv_tickets_advance(&b, 1000 + 2 * LV_TICKET_ROTATE_MS + 5), LV_OK);
    CHECK_MEM(&a.now, &b.now, sizeof(a.now));
    CHECK_MEM(&a.before, &b.before, sizeof(a.before));
    lv_tickets_fini(&a);
    lv_tickets_fini(&b);
}

/* ---- files and options that are wrong ---- */

static void check_complaint(const struct lv_tls_options *options, const char *file, const char *text)
{
    char error[LV_TLS_ERROR_MAX], wanted[LV_TLS_ERROR_MAX];
    struct lv_tls *tls;

    CHECK_EQ(lv_tls_new(options, 2, &tls, error), LV_EINVAL);
    CHECK(tls == NULL);
    (void)snprintf(wanted, sizeof(wanted), "%s: %s", file, text);
    CHECK_STR(error, wanted);
    CHECK_EQ(lv_mem_used(LV_TAG_LOOP), 0);
    CHECK_EQ(ERR_peek_error(), 0);
}

static void write_broken_files(void)
{
    struct cert late = cert_new((struct cert_wish){
        .common_name = "late", .issuer = &ca, .from_s = -2 * DAY, .to_s = -DAY });
    struct cert early = cert_new(
        (struct cert_wish){ .common_name = "early", .issuer = &ca, .from_s = DAY, .to_s = 2 * DAY });
    struct cert weak = cert_new(
        (struct cert_wish){ .common_name = "weak", .issuer = &ca, .key = EVP_RSA_gen(1024) });
    struct cert old_hash =
        cert_new((struct cert_wish){ .common_name = "sha1", .issuer = &ca, .md = EVP_sha1() });

    write_cert("late.pem", "w", &late);
    write_key("late.key", &late, NULL);
    write_cert("early.pem", "w", &early);
    write_key("early.key", &early, NULL);
    write_cert("weak.pem", "w", &weak);
    write_key("weak.key", &weak, NULL);
    write_cert("sha1.pem", "w", &old_hash);
    write_key("sha1.key", &old_hash, NULL);
    write_cert("chain-late.pem", "w", &server);
    write_cert("chain-late.pem", "a", &late);
    write_text("text.pem", "nothing to see here\n");
    write_text("damaged.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
    write_text("damaged.key", "-----BEGIN PRIVATE "
                              "KEY-----\nMIIB\n-----END PRIVATE KEY-----\n");
    write_key("locked.key", &server, "secret");
    CHECK_EQ(mkdir(certs_path("folder"), 0700), 0);
    cert_free(&late);
    cert_free(&early);
    cert_free(&weak);
    cert_free(&old_hash);
}

static const char *when(long from_now_s)
{
    static char text[64];
    time_t t = time(NULL) + from_now_s;

    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", gmtime(&t));
    return text;
}

LV_TEST(complaints_name_the_file_and_the_reason)
{
    static const struct {
        const char *cert, *key, *password, *ca;
        const char *blamed, *text;
    } cases[] = {
        { "none.pem", "server.key", NULL, NULL, "none.pem", "No such file or directory" },
        { "server.pem", "none.key", NULL, NULL, "none.key", "No such file or directory" },
        { "server.pem", "server.key", NULL, "none.ca", "none.ca", "No such file or directory" },
        { "folder", "server.key", NULL, NULL, "folder", "not a regular file of at most 4 MiB" },
        { "text.pem", "server.key", NULL, NULL, "text.pem",
          "no certificate in it (-----BEGIN CERTIFICATE-----)" },
        { "server.key", "server.key", NULL, NULL, "server.key",
          "no certificate in it (-----BEGIN CERTIFICATE-----)" },
        { "damaged.pem", "server.key", NULL, NULL, "damaged.pem",
          "certificate 1 in it is damaged (ASN1 lib)" },
        { "server.pem", "text.pem", NULL, NULL, "text.pem",
          "no private key in it (-----BEGIN PRIVATE "
          "KEY-----)" },
        { "server.pem", NULL, NULL, NULL, "server.pem",
          "no private key in it (-----BEGIN PRIVATE "
          "KEY-----)" },
        { "server.pem", "damaged.key", NULL, NULL, "damaged.key",
          "the private key is damaged, or of a kind that is not known" },
        { "server.pem", "locked.key", NULL, NULL, "locked.key",
          "the key is encrypted, and no password is given" },
        { "server.pem", "locked.key", "", NULL, "locked.key",
          "the key is encrypted, and no password is given" },
        { "server.pem", "locked.key", "wrong", NULL, "locked.key",
          "the password does not open the key" },
        { "weak.pem", "weak.key", NULL, NULL, "weak.pem",
          "the certificate's key is too short to be safe" },
        { "sha1.pem", "sha1.key", NULL, NULL, "sha1.pem",
          "the certificate is signed with a hash that is not safe any more" },
        { "server.pem", "server.key", NULL, "text.pem", "text.pem",
          "no certificate in it (-----BEGIN CERTIFICATE-----)" },
        { "server.pem", "server.key", NULL, "late.pem", "late.pem",
          "every certificate in it has expired" },
    };
    char text[256], paths[5][CERT_PATH_MAX];

    make_certs();
    write_broken_files();
    for (size_t i = 0; i < LV_ARRAY_LEN(cases); i++) {
        const char *names[] = { cases[i].cert, cases[i].key, cases[i].ca, cases[i].blamed };
        for (size_t k = 0; k < 4; k++)
            (void)snprintf(paths[k], sizeof(paths[k]), "%s",
                           names[k] != NULL ? certs_path(names[k]) : "");
        struct lv_tls_options o = { .cert_file = paths[0],
                                    .key_file = paths[1],
                                    .ca_file = paths[2],
                                    .password = cases[i].password };
        check_complaint(&o, paths[3], cases[i].text);
    }

    struct lv_tls_options o = usual();
    o.key_file = certs_path("second.key");
    (void)snprintf(text, sizeof(text), "the key does not belong to the certificate in %s",
                   o.cert_file);
    check_complaint(&o, o.key_file, text);
    o.cert_file = certs_path("late.pem");
    o.key_file = certs_path("late.key");
    (void)snprintf(text, sizeof(text), "the certificate expired on %.10s", when(-DAY));
    char error[LV_TLS_ERROR_MAX];
    struct lv_tls *tls;
    CHECK_EQ(lv_tls_new(&o, 1, &tls, error), LV_EINVAL);
    CHECK(strstr(error, text) != NULL && strstr(error, "late.pem: ") != NULL);
    o.cert_file = certs_path("early.pem");
    o.key_file = certs_path("early.key");
    (void)snprintf(text, sizeof(text), "the certificate is not valid before %.10s", when(DAY));
    CHECK_EQ(lv_tls_new(&o, 1, &tls, error), LV_EINVAL);
    CHECK(strstr(error, text) != NULL);
    o.cert_file = certs_path("chain-late.pem");
    o.key_file = certs_path("server.key");
    CHECK_EQ(lv_tls_new(&o, 1, &tls, error), LV_EINVAL);
    CHECK(strstr(error, "chain-late.pem: certificate 2 in it expired on ") != NULL);
}

LV_TEST(complaints_about_options)
{
    struct lv_tls_options o = usual(), none = { 0 };

    check_complaint(&none, "TLS", "no certificate file is given");
    o.verify_peer = true;
    o.ca_file = "";
    check_complaint(&o, "TLS", "clients are to be verified, and no file of authorities is given");
    o = usual();
    o.ciphers = "ECDHE-RSA-AES128-GCM-SHA256:NO-SUCH-CIPHER";
    check_complaint(&o, "ciphers", "OpenSSL knows no cipher NO-SUCH-CIPHER");
    o.ciphers = "TLS_NO_SUCH";
    check_complaint(&o, "ciphers", "OpenSSL knows no cipher TLS_NO_SUCH");
    o.ciphers = "ECDHE-RSA-AES128-GCM-SHA256:!ALL";
    check_complaint(&o, "ciphers", "ECDHE-RSA-AES128-GCM-SHA256:!ALL leaves none");
    o.ciphers = "TLS_AES_128_GCM_SHA256";
    o.versions = LV_TLS_1_2;
    check_complaint(&o, "ciphers", "none for the TLS versions that are allowed");
    o = usual();
    struct lv_tls_host host = { "mq.example.org", NULL, NULL, NULL };
    o.hosts = &host;
    o.host_count = 1;
    check_complaint(&o, "mq.example.org", "no certificate file is given");
}

LV_TEST(a_key_with_a_password_in_the_certificates_file)
{
    struct scene s = { .options = usual() };

    write_key("both.pem", &server, "secret");
    write_cert("both.pem", "a", &server);
    s.options.cert_file = certs_path("both.pem");
    s.options.key_file = NULL;
    s.options.password = "secret";
    s.options.ciphers = "TLS_AES_128_GCM_SHA256, ECDHE-ECDSA-AES128-GCM-SHA256";
    play(&s, &asked);
    CHECK_STR(s.info.cipher, "TLS_AES_128_GCM_SHA256");
}
