/* Errands and agents on a broker with two loops, sent by a thread that is none. */
#include <semaphore.h>

#include "broker/agent.h"
#include "broker/policies.h"
#include "world.h"

static struct lv_desk desk;
static sem_t woken;
static uint64_t credential;

static void wake(void *ctx)
{
    (void)ctx;
    sem_post(&woken);
}

static void open_desk(void)
{
    make_dir();
    sem_init(&woken, 0, 0);
    desk = (struct lv_desk){ .wake = wake };
    begin();
    lv_reader_enter();
    lv_reader_begin();
    credential = lv_access_user(lv_broker_access(B), S("guest"))->credential;
    lv_reader_end();
}

static void close_desk(void)
{
    lv_reader_leave();
    end();
    sem_destroy(&woken);
    CHECK_EQ(nftw(world.dir, remove_path, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* Waits for the one errand that is under way. */
static void await(struct lv_errand *errand)
{
    struct lv_errand *back;

    while ((back = lv_desk_take(&desk)) == NULL)
        sem_wait(&woken);
    CHECK(back == errand && back->next == NULL);
}

/* Asks, and waits; `a` has verb and arguments. */
static uint16_t ask(struct lv_agent *a)
{
    a->errand.desk = &desk;
    a->user = S("guest");
    a->credential = credential;
    if (a->vhost.len == 0)
        a->vhost = S("/");
    lv_agent_send(B, a);
    await(&a->errand);
    return a->failure.code;
}

/* ---- errands ---- */

struct slices {
    struct lv_errand errand;
    unsigned left, loops;
};

static enum lv_errand_step slice(struct lv_shard *shard, struct lv_errand *errand)
{
    struct slices *s = (struct slices *)errand;

    if (--s->left != 0)
        return LV_ERRAND_AGAIN;
    if (++s->loops == lv_broker_loops(lv_shard_broker(shard)))
        return LV_ERRAND_DONE;
    s->left = 3;
    lv_errand_pass(shard, errand, s->loops);
    return LV_ERRAND_AWAY;
}

LV_TEST(errand_runs_in_slices_on_every_loop)
{
    struct slices s = { .errand = { .run = slice, .desk = &desk }, .left = 3 };

    open_desk();
    lv_errand_send(B, 0, &s.errand);
    await(&s.errand);
    CHECK_EQ(s.left, 0);
    CHECK_EQ(s.loops, 2);
    close_desk();
}

struct change {
    struct lv_errand errand;
    const char *user;
};

static enum lv_errand_step put_user(struct lv_shard *shard, struct lv_errand *errand)
{
    const struct change *c = (const struct change *)errand;
    const struct lv_user_record user = { .name = S(c->user),
                                         .max_connections = LV_NO_LIMIT,
                                         .max_channels = LV_NO_LIMIT };
    char why[64];

    CHECK_EQ(lv_broker_put_user(lv_shard_broker(shard), &user, why, sizeof(why)), LV_OK);
    return LV_ERRAND_STABLE;
}

static enum lv_errand_step do_nothing(struct lv_shard *shard, struct lv_errand *errand)
{
    (void)shard, (void)errand;
    return LV_ERRAND_STABLE;
}

LV_TEST(errand_comes_back_when_what_it_did_is_stable)
{
    struct change a = { { .run = put_user, .desk = &desk }, "a" };
    struct change b = { { .run = put_user, .desk = &desk }, "b" };
    struct lv_errand nothing = { .run = do_nothing, .desk = &desk };
    struct lv_errand *back, *order[2];
    unsigned n = 0;

    open_desk();
    lv_errand_send(B, 0, &a.errand);
    lv_errand_send(B, 0, &b.errand);
    while (n < 2) {
        sem_wait(&woken);
        for (back = lv_desk_take(&desk); back != NULL; back = back->next)
            order[n++] = back;
    }
    CHECK(order[0] == &a.errand && order[1] == &b.errand);
    lv_errand_send(B, 0, &nothing);
    await(&nothing); /* at once: everything is */
    close_desk();
}

/* More in one turn than the log takes at a time. */
static enum lv_errand_step put_much(struct lv_shard *shard, struct lv_errand *errand)
{
    static char text[60000];
    char name[16], why[64];

    (void)errand;
    memset(text, 'x', sizeof(text));
    text[0] = text[sizeof(text) - 1] = '"';
    for (unsigned i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof(name), "p%u", i);
        CHECK_EQ(lv_broker_put_global(lv_shard_broker(shard), S(name), lv_bytes(text, sizeof(text)),
                                      NULL, why, sizeof(why)),
                 LV_OK);
    }
    return LV_ERRAND_STABLE;
}

LV_TEST(what_the_log_has_no_room_for_comes_in_later)
{
    struct lv_errand much = { .run = put_much, .desk = &desk };
    size_t pos = 0, count = 0;

    open_desk();
    lv_errand_send(B, 0, &much);
    await(&much);
    end();
    begin();
    lv_reader_begin();
    while (lv_global_next(B, &pos) != NULL)
        count++;
    lv_reader_end();
    CHECK_EQ(count, 200);
    close_desk();
}

/* ---- agents ---- */

static void declare(const char *queue, bool durable)
{
    struct lv_agent a = { .verb = LV_AGENT_QUEUE_DECLARE, .name = S(queue), .durable = durable };

    CHECK_EQ(ask(&a), 0);
}

static bool publish(const char *exchange, const char *key, const char *body)
{
    struct lv_agent a = {
        .verb = LV_AGENT_PUBLISH,
        .name = S(exchange),
        .key = S(key),
        .properties = LV_BYTES_LIT("\x10\x00\x02"), /* delivery mode 2 */
        .body = S(body),
        .is_persistent = true,
    };

    CHECK_EQ(ask(&a), 0);
    return a.is_routed;
}

LV_TEST(declares_what_is_new_and_says_so)
{
    struct lv_agent a = { .verb = LV_AGENT_QUEUE_DECLARE, .name = S("q"), .durable = true };

    open_desk();
    CHECK_EQ(ask(&a), 0);
    CHECK(a.is_new);
    CHECK_EQ(ask(&a), 0);
    CHECK(!a.is_new);
    a.durable = false;
    CHECK_EQ(ask(&a), 406);
    CHECK(strstr(a.failure.text, "inequivalent arg 'durable' for queue 'q' in vhost '/'") != NULL);
    struct lv_agent x = { .verb = LV_AGENT_EXCHANGE_DECLARE,
                          .name = S("x"),
                          .type = LV_EXCHANGE_FANOUT };
    CHECK_EQ(ask(&x), 0);
    CHECK(x.is_new);
    x.name = S("amq.mine");
    x.failure.code = 0;
    CHECK_EQ(ask(&x), 403);
    struct lv_agent gone = { .verb = LV_AGENT_QUEUE_DELETE, .name = S("none") };
    CHECK_EQ(ask(&gone), 404);
    CHECK_STR(gone.failure.text, "no queue 'none' in vhost '/'");
    gone = (struct lv_agent){ .verb = LV_AGENT_EXCHANGE_DELETE, .name = S("x") };
    CHECK_EQ(ask(&gone), 0);
    CHECK_EQ(ask(&gone), 404);
    close_desk();
}

LV_TEST(publish_says_whether_it_was_routed)
{
    struct lv_agent a = { .verb = LV_AGENT_BIND, .name = S("amq.fanout"), .other = S("q") };

    open_desk();
    declare("q", true);
    CHECK(publish("", "q", "one"));
    CHECK(!publish("amq.fanout", "", "nowhere"));
    CHECK_EQ(ask(&a), 0);
    CHECK(publish("amq.fanout", "", "two"));
    a.verb = LV_AGENT_UNBIND;
    CHECK_EQ(ask(&a), 0);
    CHECK(!publish("amq.fanout", "", "nowhere"));
    struct lv_agent none = { .verb = LV_AGENT_PUBLISH, .name = S("none"), .key = S("q") };
    CHECK_EQ(ask(&none), 404);
    CHECK_STR(none.failure.text, "no exchange 'none' in vhost '/'");
    struct lv_agent inner = { .verb = LV_AGENT_PUBLISH, .name = S("amq.rabbitmq.trace") };
    CHECK_EQ(ask(&inner), 403);
    struct lv_agent purge = { .verb = LV_AGENT_QUEUE_PURGE, .name = S("q") };
    CHECK_EQ(ask(&purge), 0);
    CHECK_EQ(purge.messages, 2);
    close_desk();
}

static void get(struct lv_agent *a, uint32_t count, enum lv_agent_ack ack)
{
    *a = (struct lv_agent){ .verb = LV_AGENT_GET, .name = S("q"), .count = count, .ack_mode = ack };
    CHECK_EQ(ask(a), 0);
}

LV_TEST(get_gives_back_in_place_or_takes)
{
    struct lv_agent a;

    open_desk();
    declare("q", true);
    CHECK(publish("", "q", "one"));
    CHECK(publish("", "q", "two"));
    CHECK(publish("", "q", "three"));
    get(&a, 2, LV_AGENT_ACK_REQUEUE);
    CHECK_EQ(a.got_count, 2);
    CHECK(lv_bytes_eq(lv_msg_body(a.got[0].msg), S("one")));
    CHECK_EQ(a.got[0].left, 2);
    CHECK(!a.got[0].redelivered);
    CHECK_EQ(a.got[1].left, 1);
    lv_agent_fini(&a);
    get(&a, 10, LV_AGENT_ACK);
    CHECK_EQ(a.got_count, 3);
    CHECK(lv_bytes_eq(lv_msg_body(a.got[0].msg), S("one")));
    CHECK(a.got[0].redelivered && a.got[1].redelivered && !a.got[2].redelivered);
    CHECK(lv_bytes_eq(lv_msg_body(a.got[2].msg), S("three")));
    lv_agent_fini(&a);
    get(&a, 10, LV_AGENT_REJECT);
    CHECK_EQ(a.got_count, 0);
    lv_agent_fini(&a);
    close_desk();
}

LV_TEST(who_may_not_is_refused)
{
    struct lv_agent a = { .verb = LV_AGENT_QUEUE_DECLARE, .name = S("q"), .vhost = S("elsewhere") };

    open_desk();
    CHECK_EQ(ask(&a), 530);
    a = (struct lv_agent){ .verb = LV_AGENT_QUEUE_DECLARE, .name = S("q") };
    credential++; /* of an earlier password */
    CHECK_EQ(ask(&a), 403);
    credential--;
    close_desk();
}
