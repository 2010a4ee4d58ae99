/* Users and permissions change under a running broker, and survive a restart. */
#include "broker/access.h"
#include "config/config.h"
#include "os/os.h"
#include "proto/amqp091/amqp091.h"
#include "proto/amqp091/codec.h"
#include "security/defaults.h"
#include "unit/broker/world.h"

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
    make_dir();
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
