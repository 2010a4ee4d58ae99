/* The end of a virtual host under a running broker: who is in it goes, what is in it is gone, its name is free at once, and a
 * crash leaves all of it or nothing. */
#include <signal.h>
#include <sys/wait.h>

#include "broker/access.h"
#include "broker/broker_priv.h"
#include "broker/policies.h"
#include "os/failpoint.h"
#include "os/os.h"
#include "proto/amqp091/amqp091.h"
#include "proto/amqp091/codec.h"
#include "unit/broker/world.h"

static char why[LV_PARAMETER_WHY_MAX];

static void make(void)
{
    struct lv_vhost_record vhost = { .name = S("v"),
                                     .max_connections = LV_NO_LIMIT,
                                     .max_queues = LV_NO_LIMIT };
    struct lv_permission_record p = { S("guest"), S("v"), S(".*"), S(".*"), S(".*") };
    struct lv_topic_permission_record t = { S("guest"), S("v"), S("amq.topic"), S(".*"), S(".*") };

    CHECK_EQ(lv_broker_put_vhost(B, &vhost, why, sizeof(why)), LV_OK);
    CHECK_EQ(lv_broker_put_permission(B, &p, why, sizeof(why)), LV_OK);
    CHECK_EQ(lv_broker_put_topic_permission(B, &t, why, sizeof(why)), LV_OK);
    CHECK_EQ(lv_broker_put_policy(B, LV_POLICY_USER, S("v"), S("p"),
                                  S("{\"pattern\":\"\",\"definition\":{\"max-length\":1}}"), NULL,
                                  why, sizeof(why)),
             LV_OK);
}

static void end_it(void)
{
    CHECK_EQ(lv_broker_remove(B, LV_ACCESS_VHOST, LV_BYTES_LIT("\1v")), LV_OK);
    CHECK_EQ(lv_broker_remove(B, LV_ACCESS_VHOST, LV_BYTES_LIT("\1v")), LV_ENOTFOUND);
    CHECK(lv_access_vhost(lv_broker_access(B), S("v")) == NULL);
    CHECK(lv_access_permission(lv_broker_access(B), S("guest"), S("v")) == NULL);
    CHECK(lv_policy_find(B, LV_POLICY_USER, S("v"), S("p")) == NULL);
}

/* In one turn. */
static void end_and_make(void)
{
    end_it();
    make();
}

static void protect(void)
{
    struct lv_vhost_record vhost = *lv_access_vhost(lv_broker_access(B), S("v"));

    vhost.is_protected = true;
    CHECK_EQ(lv_broker_put_vhost(B, &vhost, why, sizeof(why)), LV_OK);
    CHECK_EQ(lv_broker_remove(B, LV_ACCESS_VHOST, LV_BYTES_LIT("\1v")), LV_EREFUSED);
    vhost = *lv_access_vhost(lv_broker_access(B), S("v"));
    vhost.is_protected = false;
    CHECK_EQ(lv_broker_put_vhost(B, &vhost, why, sizeof(why)), LV_OK);
}

static size_t ending;

static void count_ending(void)
{
    ending = 0;
    for (struct lv_link *l = B->ending.next; l != &B->ending; l = l->next)
        ending++;
}

/* All that is left of it is freed some time after the last one has gone. */
static void await_freed(void)
{
    for (int i = 0; i < 2000; i++) {
        on_loop(count_ending);
        if (ending == 0)
            return;
        lv_os_sleep_us(5000);
    }
    CHECK_EQ(ending, 0);
}

static void declare(const char *name, bool durable, bool exclusive)
{
    SEND(1, queue_declare, .queue = S(name), .durable = durable, .exclusive = exclusive);
    (void)expect(LV_AMQP_QUEUE_DECLARE_OK);
}

static void bind_to_x(const char *name)
{
    SEND(1, queue_bind, .queue = S(name), .exchange = S("x"), .routing_key = S("k"));
    (void)expect(LV_AMQP_QUEUE_BIND_OK);
}

/* To exchange x, persistent. */
static void publish(void)
{
    static const uint8_t content[] = { 2, 0, 1, 0,  0, 0, 15,   0, 60, 0, 0, 0, 0, 0, 0,   0,
                                       0, 0, 1, 16, 0, 2, 0xCE, 3, 0,  1, 0, 0, 0, 1, 'b', 0xCE };

    SEND(1, basic_publish, .exchange = S("x"), .routing_key = S("k"));
    send_bytes(content, sizeof(content));
}

/* Everything that a virtual host can have in it. */
static void fill(void)
{
    SEND(1, exchange_declare, .exchange = S("x"), .type = S("topic"), .durable = true);
    (void)expect(LV_AMQP_EXCHANGE_DECLARE_OK);
    declare("durable", true, false);
    declare("transient", false, false);
    declare("mine", false, true);
    declare("unused", true, false);
    bind_to_x("durable");
    bind_to_x("transient");
    bind_to_x("mine");
    SEND(1, confirm_select, );
    (void)expect(LV_AMQP_CONFIRM_SELECT_OK);
    publish();
    (void)expect(LV_AMQP_BASIC_ACK);
}

static void consume(void)
{
    SEND(1, basic_consume, .queue = S("mine"), .consumer_tag = S("t"), .no_ack = true);
    (void)expect(LV_AMQP_BASIC_CONSUME_OK);
}

/* Reads what is on its way, up to the close. */
static void expect_end(void)
{
    uint8_t byte, last[4] = { 0 };
    struct pollfd p = { .fd = sockets[0], .events = POLLIN };
    static const uint8_t close_method[4] = { 0, 10, 0, 50 };

    while (memcmp(last, close_method, 4) != 0) {
        CHECK_EQ(poll(&p, 1, 10000), 1);
        CHECK_EQ(read(sockets[0], &byte, 1), 1);
        memmove(last, last + 1, 3);
        last[3] = byte;
    }
    uint8_t rest[3];
    char text[256] = { 0 };
    take(rest, 3);
    CHECK_EQ(lv_be16(rest), 320);
    take((uint8_t *)text, rest[2]);
    CHECK_STR(text, "CONNECTION_FORCED - vhost 'v' is deleted");
}

static void passive_declare(const char *name)
{
    char text[128];

    SEND(1, queue_declare, .queue = S(name), .passive = true);
    snprintf(text, sizeof(text), "NOT_FOUND - no queue '%s' in vhost 'v'", name);
    expect_close(LV_AMQP_CHANNEL_CLOSE, 404, text);
    SEND(1, channel_close_ok, );
    SEND(1, channel_open, .reserved_1 = S(""));
    (void)expect(LV_AMQP_CHANNEL_OPEN_OK);
}

static void check_empty(void)
{
    open_in("guest", "guest", "v");
    passive_declare("durable");
    passive_declare("transient");
    passive_declare("unused");
    SEND(1, exchange_declare, .exchange = S("x"), .passive = true);
    expect_close(LV_AMQP_CHANNEL_CLOSE, 404, "NOT_FOUND - no exchange 'x' in vhost 'v'");
    close(sockets[0]);
}

/* ---- a crash in the middle ---- */

#define QUEUES 100

/* In a process of its own: fills it, says so, and ends it until it is killed. */
static void be_killed(int ready, const char *failpoint)
{
    char name[32];

    (void)alarm(30); /* it ends in any case */
    begin();
    on_loop(make);
    open_in("guest", "guest", "v");
    fill();
    for (int i = 0; i < QUEUES; i++) {
        snprintf(name, sizeof(name), "q%d", i);
        SEND(1, queue_declare, .queue = S(name), .no_wait = true, .durable = true);
        SEND(1, queue_bind, .queue = S(name), .exchange = S("x"), .routing_key = S("k"),
             .no_wait = true);
    }
    declare("last", true, false);
    if (failpoint != NULL) {
        setenv("LEVERET_FAILPOINT", failpoint, 1);
        CHECK(lv_failpoint_init());
    }
    CHECK_EQ(write(ready, "r", 1), 1);
    on_loop(end_it);
    for (;;)
        lv_os_sleep_us(1000);
}

/* In another one: is all of it there, or nothing? Ends with 1 or 0. */
static int look_what_is_left(void)
{
    (void)alarm(30);
    begin();
    const struct lv_vhost *v = lv_vhost_find(B, S("v"));
    bool has_record = lv_access_vhost(lv_broker_access(B), S("v")) != NULL;
    bool has_permission = lv_access_permission(lv_broker_access(B), S("guest"), S("v")) != NULL;
    bool has_policy = lv_policy_find(B, LV_POLICY_USER, S("v"), S("p")) != NULL;

    if ((v != NULL) != has_record || has_permission != has_record || has_policy != has_record)
        return 3;
    if (v != NULL && (v->router.queues.count != QUEUES + 3 || v->router.bindings.count != QUEUES + 1 ||
                      lv_router_exchange(&v->router, S("x")) == NULL))
        return 4;
    end();
    return v != NULL;
}

static int wait_for(pid_t child)
{
    int status;

    CHECK_EQ(waitpid(child, &status, 0), child);
    return status;
}

#if defined(__SANITIZE_THREAD__)
#define HAS_TSAN true
#elif defined(__has_feature)
#define HAS_TSAN __has_feature(thread_sanitizer)
#else
#define HAS_TSAN false
#endif

static int crash(unsigned delay_us, const char *failpoint)
{
    int ready[2];
    char byte;

    make_dir();
    CHECK_EQ(pipe(ready), 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        be_killed(ready[1], failpoint);
        _exit(9);
    }
    close(ready[1]);
    CHECK_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    if (failpoint == NULL) {
        lv_os_sleep_us(delay_us);
        CHECK_EQ(kill(child, SIGKILL), 0);
    }
    int status = wait_for(child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(look_what_is_left());
    status = wait_for(child);
    CHECK_EQ(nftw(world.dir, remove_path, 8, FTW_DEPTH | FTW_PHYS), 0);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* The first test: a process that has had loops before has lost their threads in its child. */
LV_TEST(a_crash_leaves_all_or_nothing)
{
    if (HAS_TSAN) /* which allows no threads after a fork */
        return;
    CHECK_EQ(crash(0, "vhost.removed:1"), 1); /* appended, not written: all of it is there */
    for (unsigned i = 0; i < 12; i++) {
        int left = crash(i * i * 150, NULL);
        CHECK(left == 0 || left == 1);
    }
    CHECK_EQ(crash(500000, NULL), 0);
}

/* ---- no crash ---- */

LV_TEST(all_of_it_goes_and_the_name_is_free)
{
    int in_root, in_v;

    make_dir();
    begin();
    on_loop(make);
    on_loop(protect);
    open_as("guest", "guest");
    declare("durable", true, false);
    in_root = sockets[0];
    open_in("guest", "guest", "v"); /* on the other loop */
    SEND(1, confirm_select, );
    (void)expect(LV_AMQP_CONFIRM_SELECT_OK);
    in_v = sockets[0];
    open_in("guest", "guest", "v");
    fill();
    consume();
    on_loop(end_and_make);
    expect_end();
    close(sockets[0]);
    sockets[0] = in_v;
    expect_end();
    SEND(0, connection_close_ok, );
    close(sockets[0]);
    check_empty();
    await_freed();
    sockets[0] = in_root;
    SEND(1, queue_declare, .queue = S("durable"), .passive = true);
    (void)expect(LV_AMQP_QUEUE_DECLARE_OK);
    close(sockets[0]);

    /* The new one has what the old one had, and after a restart only that. */
    open_in("guest", "guest", "v");
    SEND(1, exchange_declare, .exchange = S("x"), .type = S("fanout"), .durable = true);
    (void)expect(LV_AMQP_EXCHANGE_DECLARE_OK);
    declare("new", true, false);
    bind_to_x("new");
    SEND(1, confirm_select, );
    (void)expect(LV_AMQP_CONFIRM_SELECT_OK);
    publish();
    (void)expect(LV_AMQP_BASIC_ACK);
    close(sockets[0]);
    end();
    begin();
    open_in("guest", "guest", "v");
    passive_declare("durable");
    SEND(1, queue_declare, .queue = S("new"), .passive = true);
    struct lv_rd args = lv_rd(expect(LV_AMQP_QUEUE_DECLARE_OK));
    (void)lv_rd_short(&args);
    CHECK_EQ(lv_rd_u32(&args), 1);
    close(sockets[0]);
    on_loop(end_it);
    await_freed();
    end();
    begin();
    CHECK(lv_access_vhost(lv_broker_access(B), S("v")) == NULL);
    CHECK(lv_vhost_find(B, S("v")) == NULL);
    end();
    CHECK_EQ(nftw(world.dir, remove_path, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* Clients that publish, consume and declare while it ends under them, again and again. */
LV_TEST(it_ends_under_load)
{
    int clients[4];

    make_dir();
    begin();
    on_loop(make);
    for (int round = 0; round < 15; round++) {
        for (size_t i = 0; i < LV_ARRAY_LEN(clients); i++) {
            open_in("guest", "guest", "v");
            if (i == 0) {
                fill();
                consume();
            }
            clients[i] = sockets[0];
        }
        for (size_t i = 1; i < LV_ARRAY_LEN(clients); i++) {
            char name[32];
            sockets[0] = clients[i];
            snprintf(name, sizeof(name), "q%zu", i);
            for (int n = 0; n < 50; n++) {
                SEND(1, queue_declare, .queue = S(name), .no_wait = true, .durable = n % 2 == 0,
                     .auto_delete = n % 3 == 0);
                publish();
            }
        }
        on_loop(end_and_make);
        for (size_t i = 0; i < LV_ARRAY_LEN(clients); i++)
            close(clients[i]);
    }
    await_freed();
    check_empty();
    end();
    CHECK_EQ(nftw(world.dir, remove_path, 8, FTW_DEPTH | FTW_PHYS), 0);
}

LV_TEST(many_queues_end_in_slices)
{
    char name[32];

    make_dir();
    begin();
    on_loop(make);
    open_in("guest", "guest", "v");
    SEND(1, exchange_declare, .exchange = S("x"), .type = S("fanout"), .durable = true);
    (void)expect(LV_AMQP_EXCHANGE_DECLARE_OK);
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "q%d", i);
        SEND(1, queue_declare, .queue = S(name), .no_wait = true, .durable = i % 2 == 0);
        if (i % 4 == 0)
            SEND(1, queue_bind, .queue = S(name), .exchange = S("x"), .no_wait = true);
    }
    SEND(1, confirm_select, );
    (void)expect(LV_AMQP_CONFIRM_SELECT_OK);
    publish(); /* a quarter of them gets a home */
    (void)expect(LV_AMQP_BASIC_ACK);
    on_loop(end_and_make);
    expect_end();
    close(sockets[0]);
    await_freed();
    check_empty();
    end();
    CHECK_EQ(nftw(world.dir, remove_path, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void prefer_quorum(void)
{
    struct lv_vhost_record vhost = *lv_access_vhost(lv_broker_access(B), S("v"));

    vhost.default_queue_type = S("quorum");
    CHECK_EQ(lv_broker_put_vhost(B, &vhost, why, sizeof(why)), LV_OK);
}

static void prefer_nothing(void)
{
    struct lv_vhost_record vhost = *lv_access_vhost(lv_broker_access(B), S("v"));

    vhost.default_queue_type = S("");
    CHECK_EQ(lv_broker_put_vhost(B, &vhost, why, sizeof(why)), LV_OK);
}

#define CLASSIC LV_BYTES_LIT("\x0cx-queue-typeS\0\0\0\7classic")
#define QUORUM LV_BYTES_LIT("\x0cx-queue-typeS\0\0\0\6quorum")

/* A queue that names no type has the virtual host's, if it may; it says so ever after. */
LV_TEST(the_default_type_of_queues)
{
    make_dir();
    begin();
    on_loop(make);
    on_loop(prefer_quorum);
    open_in("guest", "guest", "v");
    declare("q", true, false);
    declare("q", true, false);
    declare("transient", false, false);
    declare("mine", true, true);
    SEND(1, queue_declare, .queue = S("q"), .durable = true, .arguments = QUORUM);
    (void)expect(LV_AMQP_QUEUE_DECLARE_OK);
    SEND(1, queue_declare, .queue = S("named"), .durable = true, .arguments = CLASSIC);
    (void)expect(LV_AMQP_QUEUE_DECLARE_OK);
    on_loop(prefer_nothing);
    SEND(1, queue_declare, .queue = S("q"), .durable = true, .arguments = QUORUM);
    (void)expect(LV_AMQP_QUEUE_DECLARE_OK);
    SEND(1, queue_declare, .queue = S("named"), .durable = true);
    (void)expect(LV_AMQP_QUEUE_DECLARE_OK);
    SEND(1, queue_declare, .queue = S("transient"));
    (void)expect(LV_AMQP_QUEUE_DECLARE_OK);
    SEND(1, queue_declare, .queue = S("q"), .durable = true);
    expect_close(
        LV_AMQP_CHANNEL_CLOSE, 406,
        "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost 'v': "
        "received 'classic' but current is 'quorum'");
    close(sockets[0]);
    end();
    CHECK_EQ(nftw(world.dir, remove_path, 8, FTW_DEPTH | FTW_PHYS), 0);
}
