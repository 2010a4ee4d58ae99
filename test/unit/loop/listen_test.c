/* Listening: addresses, and running out of descriptors. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/addr_priv.h"
#include "loop/conn.h"
#include "loop/loop.h"
#include "lv_test.h"
#include "os/log.h"

LV_TEST(addresses_are_read)
{
    static const char *const good[] = {
        "127.0.0.1:0", "0.0.0.0:5672", "255.255.255.255:65535", "[::]:5672",
        "[::1]:0",     "[fe80::1]:1",  "[::ffff:10.0.0.1]:5672"
    };
    static const char *const bad[] = {
        "",
        ":",
        "5672",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:5672x",
        "127.0.0.1: 5672",
        "::1:5672",
        "[::1]",
        "[::1]:",
        "[::1",
        "[]:1",
        "[:1",
        "]:1",
        "localhost:5672",
        "[127.0.0.1]:5672",
        "127.0.0.1:000001",
        "1111111111111111111111111111111111111111111111111111111111111111:1"
    };
    struct sockaddr_storage addr;
    socklen_t len;

    for (size_t i = 0; i < LV_ARRAY_LEN(good); i++)
        CHECK_EQ(lv_addr_parse(good[i], &addr, &len), LV_OK);
    for (size_t i = 0; i < LV_ARRAY_LEN(bad); i++)
        CHECK_EQ(lv_addr_parse(bad[i], &addr, &len), LV_EINVAL);
}

/* ---- accepting ---- */

struct host {
    const char *address;
    struct lv_listener *listener;
    char bound[LV_ADDR_MAX];
    unsigned accepted, wanted;
    pthread_t client;
    void *(*run_client)(void *host);
};

static void accepted(struct lv_loop *loop, int fd, void *ctx)
{
    struct host *h = ctx;

    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    close(fd);
    if (++h->accepted != h->wanted)
        return;
    lv_listener_close(h->listener);
    lv_loops_stop(lv_loop_all(loop));
}

static enum lv_err start(struct lv_loop *loop)
{
    struct host *h = lv_loop_owner(loop);
    struct lv_listener *second;

    CHECK_EQ(lv_listen(loop, h->address, accepted, h, &h->listener), LV_OK);
    lv_listener_address(h->listener, h->bound);
    CHECK_EQ(lv_listen(loop, h->bound, accepted, h, &second), LV_EIO); /* taken */
    CHECK(second == NULL);
    CHECK_EQ(pthread_create(&h->client, NULL, h->run_client, h), 0);
    return LV_OK;
}

static int connect_to(const char *address)
{
    struct sockaddr_storage addr;
    socklen_t len;

    CHECK_EQ(lv_addr_parse(address, &addr, &len), LV_OK);
    int fd = socket(addr.ss_family, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK_EQ(connect(fd, (struct sockaddr *)&addr, len), 0);
    return fd;
}

static void *connect_often(void *arg)
{
    struct host *h = arg;
    char byte;

    for (unsigned i = 0; i < h->wanted; i++) {
        int fd = connect_to(h->bound);
        CHECK(read(fd, &byte, 1) <= 0);
        close(fd);
    }
    return NULL;
}

static void host(struct host *h)
{
    struct lv_loops_config config = { .count = 1, .owner = h, .start = start };
    struct lv_loops *loops;

    CHECK_EQ(lv_loops_new(&config, &loops), LV_OK);
    CHECK_EQ(lv_loops_run(loops), LV_OK);
    pthread_join(h->client, NULL);
    lv_loops_free(loops);
    CHECK_EQ(lv_mem_used(LV_TAG_LOOP), 0);
}

LV_TEST(accepts_on_ipv4)
{
    struct host h = { .address = "127.0.0.1:0", .wanted = 200, .run_client = connect_often };

    host(&h);
    CHECK(strncmp(h.bound, "127.0.0.1:", 10) == 0 && strcmp(h.bound, "127.0.0.1:0") != 0);
}

LV_TEST(accepts_on_ipv6)
{
    struct host h = { .address = "[::1]:0", .wanted = 20, .run_client = connect_often };
    struct sockaddr_in6 addr = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool has_ipv6 = fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;

    close(fd);
    if (!has_ipv6)
        skip();
    host(&h);
    CHECK(strncmp(h.bound, "[::1]:", 6) == 0);
}

/* ---- options ---- */

static int option(int fd, int level, int name)
{
    int value = 0;
    socklen_t len = sizeof(value);

    CHECK_EQ(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static struct linger linger_of(int fd)
{
    struct linger value = { 0 };
    socklen_t len = sizeof(value);

    CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_LINGER, &value, &len), 0);
    return value;
}

static void expect_defaults(int fd)
{
    CHECK_EQ(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    CHECK_EQ(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
    CHECK_EQ(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    CHECK_EQ(linger_of(fd).l_onoff, 0);
}

static const struct lv_listen_options all_options = {
    .backlog = 1,
    .sndbuf = 20000,
    .recbuf = 30000,
    .send_timeout_ms = 1234,
    .waits_for_more = true,
    .has_keepalive = true,
    .resets_at_close = true,
};

static void expect_all(int fd)
{
    CHECK_EQ(option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
    CHECK_EQ(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 1234);
    CHECK_EQ(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    CHECK_EQ(option(fd, SOL_SOCKET, SO_SNDBUF), 2 * 20000); /* Linux doubles it */
    CHECK_EQ(option(fd, SOL_SOCKET, SO_RCVBUF), 2 * 30000);
    CHECK_EQ(linger_of(fd).l_onoff, 1);
    CHECK_EQ(linger_of(fd).l_linger, 0);
}

struct optioned {
    struct lv_listener *listener;
    char bound[LV_ADDR_MAX];
    int client;
    const struct lv_listen_options *options;
    void (*expect)(int fd);
};

static void accepted_with_options(struct lv_loop *loop, int fd, void *ctx)
{
    struct optioned *o = ctx;

    o->expect(fd);
    close(fd);
    lv_listener_close(o->listener);
    lv_loops_stop(lv_loop_all(loop));
}

static enum lv_err start_with_options(struct lv_loop *loop)
{
    struct optioned *o = lv_loop_owner(loop);

    CHECK_EQ(lv_listen(loop, "127.0.0.1:0", accepted_with_options, o, &o->listener), LV_OK);
    if (o->options != NULL)
        lv_listener_set_options(o->listener, o->options);
    lv_listener_address(o->listener, o->bound);
    o->client = connect_to(o->bound);
    return LV_OK;
}

static void accept_one(struct optioned *o)
{
    struct lv_loops_config config = { .count = 1, .owner = o, .start = start_with_options };
    struct lv_loops *loops;

    CHECK_EQ(lv_loops_new(&config, &loops), LV_OK);
    CHECK_EQ(lv_loops_run(loops), LV_OK);
    lv_loops_free(loops);
    close(o->client);
}

LV_TEST(what_is_accepted_has_the_listeners_options)
{
    struct optioned plain = { .expect = expect_defaults };
    struct optioned all = { .options = &all_options, .expect = expect_all };

    accept_one(&plain);
    accept_one(&all);
}

/* ---- no descriptor is left ---- */

static void *connect_without_descriptors(void *arg)
{
    struct host *h = arg;
    struct rlimit old, low;
    char byte;
    int fds[50];

    for (int i = 0; i < 50; i++) { /* sockets first: connecting later needs no new descriptor */
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        CHECK(fds[i] >= 0);
    }
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = (rlim_t)fds[49] + 1;
    int holes[16], hole_count = 0; /* and none is free below */
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
    while (hole_count < 16 && (holes[hole_count] = dup(0)) >= 0)
        hole_count++;

    struct sockaddr_storage addr;
    socklen_t len;
    CHECK_EQ(lv_addr_parse(h->bound, &addr, &len), LV_OK);
    for (int i = 0; i < 49; i++) {
        CHECK_EQ(connect(fds[i], (struct sockaddr *)&addr, len), 0);
        CHECK(read(fds[i], &byte, 1) <= 0); /* refused, not left hanging */
    }
    while (hole_count > 0)
        close(holes[--hole_count]);
    CHECK_EQ(h->accepted, 0);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    CHECK_EQ(connect(fds[49], (struct sockaddr *)&addr, len), 0);
    CHECK(read(fds[49], &byte, 1) <= 0);
    for (int i = 0; i < 50; i++)
        close(fds[i]);
    return NULL;
}

/* Even giving up the reserve does not help: no descriptor may be opened at all. */
static void *connect_too_early(void *arg)
{
    struct host *h = arg;
    struct rlimit old, none;
    struct sockaddr_storage addr;
    socklen_t len;
    char byte;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK_EQ(lv_addr_parse(h->bound, &addr, &len), LV_OK);
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
    none = old;
    none.rlim_cur = 1;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    CHECK_EQ(connect(fd, (struct sockaddr *)&addr, len), 0);
    usleep(150000);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
    CHECK(read(fd, &byte, 1) <= 0); /* accepted after all */
    close(fd);
    return NULL;
}

static const char *host_and_read_log(struct host *h)
{
    static char text[65536];
    int fds[2];

    CHECK_EQ(pipe(fds), 0);
    lv_log_set_fd(fds[1]);
    host(h);
    lv_log_set_fd(STDERR_FILENO);
    close(fds[1]);
    ssize_t n = read(fds[0], text, sizeof(text) - 1);
    close(fds[0]);
    CHECK(n >= 0);
    text[n] = '\0';
    return text;
}

LV_TEST(out_of_descriptors_clients_are_refused_at_once)
{
    struct host h = { .address = "127.0.0.1:0",
                      .wanted = 1,
                      .run_client = connect_without_descriptors };
    const char *text = host_and_read_log(&h);

    CHECK(strstr(text, "[error] <loop-0> cannot accept connections address=127.0.0.1:") != NULL);
    CHECK(strstr(text, "error=\"Too many open files\"") != NULL);
    CHECK(strlen(text) < 600); /* a line a second, not one for each */
}

LV_TEST(without_any_descriptor_clients_wait)
{
    struct host h = { .address = "127.0.0.1:0", .wanted = 1, .run_client = connect_too_early };
    const char *text = host_and_read_log(&h);

    CHECK(strstr(text, "cannot accept connections") != NULL);
    CHECK_EQ(h.accepted, 1);
}
