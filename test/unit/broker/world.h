/* A broker with two loops in this process, and a client that speaks over a socket pair. What must run on loop 0 is a step: a
 * timer there sees it. */
#ifndef LV_TEST_UNIT_BROKER_WORLD_H
#define LV_TEST_UNIT_BROKER_WORLD_H
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/access.h"
#include "config/config.h"
#include "lv_test.h"
#include "os/os.h"
#include "proto/amqp091/amqp091.h"
#include "proto/amqp091/codec.h"

static struct world {
    char dir[256];
    struct lv_config *config;
    struct lv_broker *broker;
    struct lv_loops *loops;
    pthread_t thread;
    struct lv_timer timer;
    enum lv_err (*broker_start)(struct lv_loop *loop);
    void (*_Atomic step)(void);
} world;

#define B (world.broker)
#define S(text) lv_bytes_str(text)

/* ---- the broker ---- */

static void look(struct lv_loop *loop, struct lv_timer *timer)
{
    void (*step)(void) = atomic_load(&world.step);

    if (step != NULL) {
        step();
        atomic_store(&world.step, NULL);
    }
    lv_timer_start(loop, timer, 1, look);
}

static enum lv_err start(struct lv_loop *loop)
{
    enum lv_err err = world.broker_start(loop);

    if (lv_loop_index(loop) == 0)
        lv_timer_start(loop, &world.timer, 1, look);
    return err;
}

static void *run(void *arg)
{
    (void)arg;
    CHECK_EQ(lv_loops_run(world.loops), LV_OK);
    return NULL;
}

static void make_dir(void)
{
    const char *temp = getenv("TMPDIR");

    (void)snprintf(world.dir, sizeof(world.dir), "%s/lv-broker-XXXXXX",
                   temp != NULL ? temp : P_tmpdir);
    CHECK(mkdtemp(world.dir) != NULL);
}

/* Starts the broker of world.dir. */
__attribute__((unused)) static void begin(void)
{
    struct lv_loops_config config = { .count = 2 };
    char *argv[] = { "t", "--config", "none", "--data-dir", world.dir, NULL };
    struct lv_config_sources sources = { .argc = 5, .argv = argv };

    world.timer = (struct lv_timer){ 0 };
    CHECK_EQ(lv_config_load(&sources, &world.config), LV_OK);
    CHECK_EQ(lv_broker_new(lv_config_settings(world.config), &B), LV_OK);
    lv_broker_hook(B, &config);
    world.broker_start = config.start;
    config.start = start;
    CHECK_EQ(lv_loops_new(&config, &world.loops), LV_OK);
    CHECK_EQ(lv_broker_set_loops(B, world.loops), LV_OK);
    CHECK_EQ(lv_broker_recover(B), LV_OK);
    CHECK_EQ(lv_broker_begin(B), LV_OK);
    CHECK_EQ(pthread_create(&world.thread, NULL, run, NULL), 0);
}

__attribute__((unused)) static void on_loop(void (*step)(void))
{
    atomic_store(&world.step, step);
    while (atomic_load(&world.step) != NULL)
        lv_os_sleep_us(1000);
}

static void stop(void)
{
    lv_broker_stop(B, 1000);
}

__attribute__((unused)) static void end(void)
{
    on_loop(stop);
    pthread_join(world.thread, NULL);
    lv_broker_free(B);
    lv_loops_free(world.loops);
    lv_config_free(world.config);
}

__attribute__((unused)) static int remove_path(const char *path, const struct stat *st, int flag,
                                               struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

/* ---- the client ---- */

static int sockets[2];

static void place(void)
{
    lv_broker_place(B, sockets[1], lv_amqp_accept);
}

__attribute__((unused)) static void send_bytes(const void *bytes, size_t n)
{
    CHECK_EQ(write(sockets[0], bytes, n), (ssize_t)n);
}

#define SEND(channel, name, ...)                     \
    do {                                             \
        uint8_t buf_[1024];                          \
        struct lv_wr w_ = lv_wr(buf_, sizeof(buf_)); \
        struct lv_amqp_##name m_ = { __VA_ARGS__ };  \
        lv_amqp_write_##name(&w_, (channel), &m_);   \
        CHECK(lv_wr_ok(&w_));                        \
        send_bytes(buf_, w_.used);                   \
    } while (0)

static void take(uint8_t *out, size_t n)
{
    struct pollfd p = { .fd = sockets[0], .events = POLLIN };

    for (size_t got = 0; got < n;) {
        CHECK_EQ(poll(&p, 1, 10000), 1);
        ssize_t part = read(sockets[0], out + got, n - got);
        CHECK(part > 0);
        got += (size_t)part;
    }
}

/* The next method, and its arguments. */
static uint32_t next_method(struct lv_bytes *arguments)
{
    static uint8_t frame[8192];

    take(frame, 7);
    uint32_t size = lv_be32(frame + 3);
    CHECK(size + 8 <= sizeof(frame));
    take(frame + 7, size + 1);
    CHECK_EQ(frame[0], LV_AMQP_FRAME_METHOD);
    *arguments = lv_bytes(frame + 11, size - 4);
    return lv_be32(frame + 7);
}

/* It must be this one. */
static struct lv_bytes expect(uint32_t method)
{
    struct lv_bytes arguments;

    CHECK_EQ(next_method(&arguments), method);
    return arguments;
}

__attribute__((unused)) static void expect_close(uint32_t method, uint16_t code, const char *text)
{
    struct lv_rd args = lv_rd(expect(method));
    char got[300];

    CHECK_EQ(lv_rd_u16(&args), code);
    struct lv_bytes reply = lv_rd_short(&args);
    (void)snprintf(got, sizeof(got), "%.*s", LV_BYTES_FMT(reply));
    CHECK_STR(got, text);
}

__attribute__((unused)) static void connect_as(const char *name, const char *password)
{
    static const uint8_t header[8] = { 'A', 'M', 'Q', 'P', 0, 0, 9, 1 };
    /* {"capabilities": {"consumer_cancel_notify": true, "authentication_failure_close": true}} */
    static const char capabilities[] = "\x0c"
                                       "capabilitiesF\0\0\0\x38"
                                       "\x16"
                                       "consumer_cancel_notifyt\x01"
                                       "\x1c"
                                       "authentication_failure_closet\x01";
    char response[128];
    int n = snprintf(response, sizeof(response), "%c%s%c%s", 0, name, 0, password);

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    on_loop(place);
    send_bytes(header, sizeof(header));
    (void)expect(LV_AMQP_CONNECTION_START);
    SEND(0, connection_start_ok,
         .client_properties = lv_bytes(capabilities, sizeof(capabilities) - 1),
         .mechanism = S("PLAIN"), .response = lv_bytes(response, (size_t)n), .locale = S("en_US"));
}

__attribute__((unused)) static void open_in(const char *name, const char *password,
                                            const char *vhost)
{
    connect_as(name, password);
    (void)expect(LV_AMQP_CONNECTION_TUNE);
    SEND(0, connection_tune_ok, .channel_max = 10, .frame_max = 131072);
    SEND(0, connection_open, .virtual_host = S(vhost));
    (void)expect(LV_AMQP_CONNECTION_OPEN_OK);
    SEND(1, channel_open, .reserved_1 = S(""));
    (void)expect(LV_AMQP_CHANNEL_OPEN_OK);
}

__attribute__((unused)) static void open_as(const char *name, const char *password)
{
    open_in(name, password, "/");
}

#endif
