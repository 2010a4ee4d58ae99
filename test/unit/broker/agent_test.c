/* Errands and agents on a broker with two loops, sent by a thread that is none. */
#include <ftw.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/access.h"
#include "broker/agent.h"
#include "config/config.h"
#include "lv_test.h"
#include "os/os.h"

static struct world {
    char dir[256];
    struct lv_config *config;
    struct lv_broker *broker;
    struct lv_loops *loops;
    pthread_t thread;
    struct lv_desk desk;
    sem_t woken;
    uint64_t credential;
} world;

#define B (world.broker)
#define S(text) lv_bytes_str(text)

static void wake(void *ctx)
{
    (void)ctx;
    sem_post(&world.woken);
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

    (void)snprintf(world.dir, sizeof(world.dir), "/tmp/lv-agent-XXXXXX");
    CHECK(mkdtemp(world.dir) != NULL);
    sem_init(&world.woken, 0, 0);
    world.desk = (struct lv_desk){ .wake = wake };
    CHECK_EQ(lv_config_load(&sources, &world.config), LV_OK);
    CHECK_EQ(lv_broker_new(lv_config_settings(world.config), &B), LV_OK);
    lv_broker_hook(B, &config);
    CHECK_EQ(lv_loops_new(&config, &world.loops), LV_OK);
    CHECK_EQ(lv_broker_set_loops(B, world.loops), LV_OK);
    CHECK_EQ(lv_broker_recover(B), LV_OK);
    CHECK_EQ(lv_broker_begin(B), LV_OK);
    CHECK_EQ(pthread_create(&world.thread, NULL, run, NULL), 0);
    lv_reader_enter();
    lv_reader_begin();
    world.credential = lv_access_user(lv_broker_access(B), S("guest"))->credential;
    lv_reader_end();
}

/* Waits for the one errand that is under way. */
static void await(struct lv_errand *errand)
{
    struct lv_errand *back;

    while ((back = lv_desk_take(&world.desk)) == NULL)
        sem_wait(&world.woken);
    CHECK(back == errand && back->next == NULL);
}

static enum lv_errand_step stop(struct lv_shard *shard, struct lv_errand *errand)
{
    (void)errand;
    lv_broker_stop(lv_shard_broker(shard), 1000);
    return LV_ERRAND_DONE;
}

static int remove_path(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static void end(void)
{
    struct lv_errand last = { .run = stop, .desk = &world.desk };

    lv_errand_send(B, 0, &last);
    await(&last);
    pthread_join(world.thread, NULL);
    lv_reader_leave();
    lv_broker_free(B);
    lv_loops_free(world.loops);
    lv_config_free(world.config);
    sem_destroy(&world.woken);
    CHECK_EQ(nftw(world.dir, remove_path, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* Asks, and waits; `a` has verb and arguments. */
static uint16_t ask(struct lv_agent *a)
{
    a->errand.desk = &world.desk;
    a->user = S("guest");
    a->credential = world.credential;
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
    struct slices s = { .errand = { .run = slice, .desk = &world.desk }, .left = 3 };

    begin();
    lv_errand_send(B, 0, &s.errand);
    await(&s.errand);
    CHECK_EQ(s.left, 0);
    CHECK_EQ(s.loops, 2);
    end();
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

    begin();
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
    end();
}

LV_TEST(publish_says_whether_it_was_routed)
{
    struct lv_agent a = { .verb = LV_AGENT_BIND, .name = S("amq.fanout"), .other = S("q") };

    begin();
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
    end();
}

static void get(struct lv_agent *a, uint32_t count, enum lv_agent_ack ack)
{
    *a = (struct lv_agent){ .verb = LV_AGENT_GET, .name = S("q"), .count = count, .ack_mode = ack };
    CHECK_EQ(ask(a), 0);
}

LV_TEST(get_gives_back_in_place_or_takes)
{
    struct lv_agent a;

    begin();
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
    end();
}

LV_TEST(who_may_not_is_refused)
{
    struct lv_agent a = { .verb = LV_AGENT_QUEUE_DECLARE, .name = S("q"), .vhost = S("elsewhere") };

    begin();
    CHECK_EQ(ask(&a), 530);
    a = (struct lv_agent){ .verb = LV_AGENT_QUEUE_DECLARE, .name = S("q") };
    world.credential++; /* of an earlier password */
    CHECK_EQ(ask(&a), 403);
    world.credential--;
    end();
}
