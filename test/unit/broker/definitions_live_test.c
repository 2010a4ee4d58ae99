/* Definitions while clients are at work: an import as an errand, in slices, with messages in between; an export of the same moment;
 * a virtual host that ends under its import. */
#include <semaphore.h>

#include "broker/access.h"
#include "broker/broker_priv.h"
#include "broker/definitions.h"
#include "broker/errand.h"
#include "config/config.h"
#include "os/os.h"
#include "proto/amqp091/amqp091.h"
#include "proto/amqp091/codec.h"
#include "security/defaults.h"
#include "unit/broker/world.h"

#define QUEUES 5000

struct import {
    struct lv_errand errand; /* first */
    struct lv_definitions *d;
    enum lv_err err;
    size_t max;
    unsigned slices;
    char why[LV_DEFINITIONS_WHY_MAX];
};

static sem_t woken;
static struct lv_desk desk;
static char why[LV_DEFINITIONS_WHY_MAX];

static void wake(void *ctx)
{
    sem_post(ctx);
}

static enum lv_errand_step import_run(struct lv_shard *shard, struct lv_errand *errand)
{
    struct import *i = (struct import *)errand;

    i->slices++;
    i->err = lv_definitions_step(lv_shard_broker(shard), i->d, i->max, i->why, sizeof(i->why));
    return i->err == LV_EAGAIN ? LV_ERRAND_AGAIN : LV_ERRAND_DONE;
}

static void import_done(struct lv_errand *errand)
{
    (void)errand;
}

static void send_import(struct import *i, struct lv_definitions *d, size_t max)
{
    *i = (struct import){ .errand = { .run = import_run, .done = import_done, .desk = &desk },
                          .d = d,
                          .max = max };
    lv_definitions_begin(d, false);
    lv_errand_send(B, 0, &i->errand);
}

static void await(struct import *i)
{
    struct lv_errand *back;

    while ((back = lv_desk_take(&desk)) == NULL)
        sem_wait(&woken);
    CHECK(back == &i->errand);
}

static size_t append(char *text, size_t at, const char *format, const char *vhost, int n)
{
    return (size_t)snprintf(text + at, 300, format, n != 0 ? "," : "", n, vhost, n);
}

/* Queues with a binding each. */
static struct lv_definitions *many(const char *vhost, int count)
{
    char *text = malloc((size_t)count * 250 + 200);
    struct lv_definitions *d;
    size_t used = 0;

    used += (size_t)snprintf(text, 100, "{\"vhosts\":[{\"name\":\"%s\"}],\"queues\":[", vhost);
    for (int n = 0; n < count; n++)
        used += append(text, used, "%s{\"name\":\"q%d\",\"vhost\":\"%s\",\"x\":%d}", vhost, n);
    used += (size_t)snprintf(text + used, 100, "],\"bindings\":[");
    for (int n = 0; n < count; n++)
        used += append(text, used,
                       "%s{\"source\":\"amq.topic\",\"destination\":\"q%d\",\"vhost\":\"%s\","
                       "\"destination_type\":\"queue\",\"routing_key\":\"k%d\"}",
                       vhost, n);
    used += (size_t)snprintf(text + used, 100, "]}");
    if (lv_definitions_parse(lv_broker_settings(B), lv_bytes(text, used), lv_bytes(NULL, 0), &d,
                             why, sizeof(why)) != LV_OK)
        CHECK_STR(why, "");
    free(text);
    return d;
}

static void publish(const char *key)
{
    static const uint8_t content[] = { 2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0,
                                       0, 0, 0, 0, 0, 0, 0,  0, 0,  0, 0xCE };

    SEND(1, basic_publish, .exchange = S("amq.topic"), .routing_key = S(key));
    send_bytes(content, sizeof(content));
}

static struct lv_snapshot *snapshot;

static void take_snapshot(void)
{
    CHECK_EQ(lv_definitions_take(B, lv_bytes(NULL, 0), &snapshot), LV_OK);
}

static size_t count_in_export(const char *what)
{
    static char piece[4096];
    char *text = NULL;
    size_t used = 0, got = 0, count = 0;

    do {
        CHECK_EQ(lv_snapshot_read(snapshot, piece, sizeof(piece), &got), LV_OK);
        text = realloc(text, used + got + 1);
        memcpy(text + used, piece, got);
        used += got;
        text[used] = '\0';
    } while (got != 0);
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        count++;
    free(text);
    lv_snapshot_free(snapshot);
    return count;
}

static void open_world(void)
{
    CHECK_EQ(sem_init(&woken, 0, 0), 0);
    desk = (struct lv_desk){ .wake = wake, .ctx = &woken };
    make_dir();
    begin();
}

static void close_world(void)
{
    end();
    sem_destroy(&woken);
    CHECK_EQ(nftw(world.dir, remove_path, 8, FTW_DEPTH | FTW_PHYS), 0);
}

LV_TEST(messages_go_on_during_an_import)
{
    struct import i;
    uint64_t done = 0, total = 0, before;
    unsigned published = 0;

    open_world();
    struct lv_definitions *d = many("/", QUEUES);
    open_as("guest", "guest");
    SEND(1, confirm_select, );
    (void)expect(LV_AMQP_CONFIRM_SELECT_OK);
    send_import(&i, d, 100);
    do {
        publish("k1");
        (void)expect(LV_AMQP_BASIC_ACK);
        published++;
        before = done;
        lv_definitions_progress(d, &done, &total);
        CHECK(done >= before);
    } while (done < total);
    await(&i);
    CHECK_EQ(i.err, LV_OK);
    CHECK_STR(i.why, "");
    CHECK_EQ(total, 2 * (2 * QUEUES + 1));
    CHECK(i.slices >= total / 100);
    CHECK(published > 1);
    on_loop(take_snapshot);
    CHECK_EQ(count_in_export("\"auto_delete\":false"), QUEUES);
    publish("k1");
    (void)expect(LV_AMQP_BASIC_ACK);
    SEND(1, queue_declare, .queue = S("q1"), .passive = true);
    struct lv_rd args = lv_rd(expect(LV_AMQP_QUEUE_DECLARE_OK));
    (void)lv_rd_short(&args);
    CHECK(lv_rd_u32(&args) >= 1);
    close(sockets[0]);
    lv_definitions_free(d);
    close_world();
}

static void end_v(void)
{
    enum lv_err err = lv_broker_remove(B, LV_ACCESS_VHOST, LV_BYTES_LIT("\1v"));

    CHECK(err == LV_OK || err == LV_ENOTFOUND);
}

LV_TEST(a_virtual_host_ends_under_its_import)
{
    struct import i;

    open_world();
    for (unsigned round = 0; round < 10; round++) {
        struct lv_definitions *d = many("v", 2000);
        uint64_t done = 0, total = 1;
        send_import(&i, d, 50);
        while (done < total * (5 + round) / 16)
            lv_definitions_progress(d, &done, &total);
        on_loop(end_v);
        await(&i);
        CHECK(i.err == LV_OK || i.err == LV_EINVAL);
        if (i.err == LV_EINVAL)
            CHECK(strstr(i.why, "there is no vhost 'v'") != NULL ||
                  strstr(i.why, "vhost 'v'") != NULL);
        on_loop(end_v);
        lv_definitions_free(d);
    }
    close_world();
}
