/* Users and permissions change under a running broker with two loops, and survive a restart. A client speaks over a socket
 * pair; changes run on loop 0, one after the other, when a timer there sees them. */
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
#include "security/defaults.h"

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

static void begin(void)
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

static void on_loop(void (*step)(void))
{
    atomic_store(&world.step, step);
    while (atomic_load(&world.step) != NULL)
        lv_os_sleep_us(1000);
}

static void stop(void)
{
    lv_broker_stop(B, 1000);
}

static void end(void)
{
    on_loop(stop);
    pthread_join(world.thread, NULL);
    lv_broker_free(B);
    lv_loops_free(world.loops);
    lv_config_free(world.config);
}

static int remove_path(const char *path, const struct stat *st, int flag, struct FTW *ftw)
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

static void send_bytes(const void *bytes, size_t n)
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

/* The next method, which must be this one; its arguments. */
static struct lv_bytes expect(uint32_t method)
{
    static uint8_t frame[8192];

    take(frame, 7);
    uint32_t size = lv_be32(frame + 3);
    CHECK(size + 8 <= sizeof(frame));
    take(frame + 7, size + 1);
    CHECK_EQ(frame[0], LV_AMQP_FRAME_METHOD);
    CHECK_EQ(lv_be32(frame + 7), method);
    return lv_bytes(frame + 11, size - 4);
}

static void expect_close(uint32_t method, uint16_t code, const char *text)
{
    struct lv_rd args = lv_rd(expect(method));
    char got[300];

    CHECK_EQ(lv_rd_u16(&args), code);
    struct lv_bytes reply = lv_rd_short(&args);
    (void)snprintf(got, sizeof(got), "%.*s", LV_BYTES_FMT(reply));
    CHECK_STR(got, text);
}

static void connect_as(const char *name, const char *password)
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

static void open_as(const char *name, const char *password)
{
    connect_as(name, password);
    (void)expect(LV_AMQP_CONNECTION_TUNE);
    SEND(0, connection_tune_ok, .channel_max = 10, .frame_max = 131072);
    SEND(0, connection_open, .virtual_host = S("/"));
    (void)expect(LV_AMQP_CONNECTION_OPEN_OK);
    SEND(1, channel_open, .reserved_1 = S(""));
    (void)expect(LV_AMQP_CHANNEL_OPEN_OK);
}

/* ---- changes ---- */

static char why[256];

static enum lv_err put_user(const char *name, const char *password)
{
    struct lv_user_record user = { .name = S(name),
                                   .max_connections = LV_NO_LIMIT,
                                   .max_channels = LV_NO_LIMIT };
    struct lv_password_hash hash;

    CHECK_EQ(lv_password_hash(LV_HASH_SHA256, S(password), &hash), LV_OK);
    CHECK_EQ(lv_user_set_password(&user, &hash), LV_OK);
    return lv_broker_put_user(B, &user, why, sizeof(why));
}

static enum lv_err allow(const char *name, const char *configure, const char *write,
                         const char *read)
{
    struct lv_permission_record p = { S(name), S("/"), S(configure), S(write), S(read) };

    return lv_broker_put_permission(B, &p, why, sizeof(why));
}

static enum lv_err remove_user(const char *name)
{
    struct lv_user_record user = { .name = S(name) };
    uint8_t key[LV_ACCESS_KEY_BYTES_MAX];
    struct lv_wr w = lv_wr(key, sizeof(key));

    lv_user_key(&w, &user);
    return lv_broker_remove(B, LV_ACCESS_USER, lv_bytes(key, w.used));
}

static void add_users(void)
{
    struct lv_vhost_record vhost = { .name = S("other"),
                                     .max_connections = LV_NO_LIMIT,
                                     .max_queues = LV_NO_LIMIT };

    CHECK_EQ(allow("ann", ".*", ".*", ".*"), LV_ENOTFOUND);
    CHECK_EQ(put_user("ann", "pw"), LV_OK);
    CHECK_EQ(allow("ann", ".*", "(", ".*"), LV_EINVAL);
    CHECK(why[0] != '\0');
    CHECK_EQ(allow("ann", ".*", ".*", ".*"), LV_OK);
    CHECK_EQ(put_user("bob", "pw"), LV_OK);
    CHECK_EQ(put_user("eve", "pw"), LV_OK);
    CHECK_EQ(allow("eve", "^$", "^$", "^q"), LV_OK);
    CHECK_EQ(lv_broker_put_vhost(B, &vhost, why, sizeof(why)), LV_OK);
    uint64_t birth = lv_access_vhost(lv_broker_access(B), S("other"))->birth;
    CHECK(birth != 0);
    CHECK_EQ(lv_broker_put_vhost(B, &vhost, why, sizeof(why)), LV_OK);
    CHECK_EQ(lv_access_vhost(lv_broker_access(B), S("other"))->birth, birth);
    CHECK_EQ(lv_broker_remove(B, LV_ACCESS_VHOST, LV_BYTES_LIT("\x05other")), LV_EREFUSED);
    CHECK_EQ(lv_broker_remove(B, LV_ACCESS_USER, LV_BYTES_LIT("\x06nobody")), LV_ENOTFOUND);
}

static void stop_reading(void)
{
    CHECK_EQ(allow("ann", ".*", ".*", "^x"), LV_OK);
}

static void stop_writing(void)
{
    CHECK_EQ(allow("ann", ".*", "^$", ".*"), LV_OK);
}

static void change_password(void)
{
    CHECK_EQ(put_user("ann", "new"), LV_OK);
}

static void remove_ann(void)
{
    CHECK_EQ(remove_user("ann"), LV_OK);
    CHECK(lv_access_permission(lv_broker_access(B), S("ann"), S("/")) == NULL);
}

static void publish(void)
{
    static const uint8_t content[] = { 2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0,
                                       0, 0, 0, 0, 0, 0, 0,  0, 0,  0, 0xCE };

    SEND(1, basic_publish, .exchange = S("amq.fanout"), .routing_key = S("k"));
    send_bytes(content, sizeof(content));
}

/* ---- tests ---- */

LV_TEST(a_change_reaches_who_is_here)
{
    const char *temp = getenv("TMPDIR");

    (void)snprintf(world.dir, sizeof(world.dir), "%s/lv-access-XXXXXX",
                   temp != NULL ? temp : P_tmpdir);
    CHECK(mkdtemp(world.dir) != NULL);
    begin();
    on_loop(add_users);

    open_as("ann", "pw");
    SEND(1, queue_declare, .queue = S("q"));
    (void)expect(LV_AMQP_QUEUE_DECLARE_OK);
    SEND(1, basic_consume, .queue = S("q"), .consumer_tag = S("t"));
    (void)expect(LV_AMQP_BASIC_CONSUME_OK);
    on_loop(stop_reading);
    (void)expect(LV_AMQP_BASIC_CANCEL);
    SEND(1, basic_get, .queue = S("q"));
    expect_close(LV_AMQP_CHANNEL_CLOSE, 403,
                 "ACCESS_REFUSED - read access to queue 'q' in vhost '/' refused for user 'ann'");
    SEND(1, channel_close_ok, );
    SEND(1, channel_open, .reserved_1 = S(""));
    (void)expect(LV_AMQP_CHANNEL_OPEN_OK);

    /* What a publisher's route remembers is forgotten. */
    SEND(1, confirm_select, );
    (void)expect(LV_AMQP_CONFIRM_SELECT_OK);
    for (int i = 0; i < 3; i++) {
        publish();
        (void)expect(LV_AMQP_BASIC_ACK);
    }
    on_loop(stop_writing);
    publish();
    expect_close(
        LV_AMQP_CHANNEL_CLOSE,
        403, "ACCESS_REFUSED - write access to exchange 'amq.fanout' in vhost '/' refused for user 'ann'");

    on_loop(change_password);
    expect_close(LV_AMQP_CONNECTION_CLOSE, 320,
                 "CONNECTION_FORCED - the password of user 'ann' changed");
    close(sockets[0]);

    connect_as("ann", "pw");
    expect_close(
        LV_AMQP_CONNECTION_CLOSE, 403,
        "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see "
        "the broker logfile.");
    close(sockets[0]);

    open_as("ann", "new");
    on_loop(remove_ann);
    expect_close(LV_AMQP_CONNECTION_CLOSE, 320, "CONNECTION_FORCED - user 'ann' is deleted");
    close(sockets[0]);
    end();

    begin();
    const struct lv_access *a = lv_broker_access(B);
    CHECK(lv_access_user(a, S("ann")) == NULL);
    CHECK(lv_access_user(a, S("bob")) != NULL);
    CHECK(lv_access_user(a, S("guest")) != NULL);
    CHECK(lv_access_vhost(a, S("other")) != NULL);
    CHECK(lv_access_permission(a, S("ann"), S("/")) == NULL);
    CHECK(lv_access_permission(a, S("eve"), S("/")) != NULL);
    CHECK_EQ(lv_access_count(a, LV_ACCESS_USER), 3);
    CHECK_EQ(lv_access_count(a, LV_ACCESS_VHOST), 2);
    end();
    (void)nftw(world.dir, remove_path, 16, FTW_DEPTH | FTW_PHYS);
}
