/* What is counted and shown of a running broker: a known conversation, and the numbers after it. */
#include "broker/observe.h"

#include <limits.h>

#include "broker/access.h"
#include "config/config.h"
#include "loop/loop.h"
#include "os/os.h"
#include "proto/amqp091/amqp091.h"
#include "proto/amqp091/codec.h"
#include "unit/broker/world.h"

/* ---- what is there, as this thread sees it ---- */

static bool describe(const char *queue, struct lv_queue_info *out)
{
    const struct lv_vhost *v = lv_observe_vhost_find(B, S("/"));
    const struct lv_queue_entry *entry = lv_observe_queue_find(v, S(queue));

    if (entry != NULL)
        lv_queue_describe(entry, out);
    return entry != NULL;
}

/* Numbers are there when the turn has ended in which they changed: at most a few thousand looks. */
#define EVENTUALLY(condition)                             \
    do {                                                  \
        bool is_true_ = false;                            \
        for (int n_ = 0; n_ < 10000 && !is_true_; n_++) { \
            lv_reader_begin();                            \
            is_true_ = (condition);                       \
            lv_reader_end();                              \
            if (!is_true_)                                \
                lv_os_sleep_us(1000);                     \
        }                                                 \
        CHECK(is_true_ &&#condition);                     \
    } while (0)

static bool queue_has(const char *queue, uint64_t ready, uint64_t unsettled, uint64_t published)
{
    struct lv_queue_info q;

    return describe(queue, &q) && q.ready == ready && q.unsettled == unsettled &&
           q.published == published;
}

static struct lv_counters counters(void)
{
    struct lv_counters c;

    lv_broker_counters(B, &c);
    return c;
}

static struct lv_exchange_info exchange(const char *name)
{
    const struct lv_vhost *v = lv_observe_vhost_find(B, S("/"));
    struct lv_exchange_info info;

    lv_reader_begin();
    lv_exchange_count(lv_observe_exchange_find(v, S(name)), &info);
    lv_reader_end();
    return info;
}

/* ---- the conversation ---- */

static void publish(const char *exchange_name, const char *key, bool mandatory, uint8_t bytes)
{
    uint8_t content[22 + 8 + 255] = { 2, 0, 1, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, bytes };
    uint8_t *body = content + 22;

    SEND(1, basic_publish, .exchange = S(exchange_name), .routing_key = S(key),
         .mandatory = mandatory);
    content[21] = 0xCE;
    body[0] = 3, body[1] = 0, body[2] = 1, body[3] = body[4] = body[5] = 0, body[6] = bytes;
    memset(body + 7, 'x', bytes);
    body[7 + bytes] = 0xCE;
    send_bytes(content, 22 + 8u + bytes);
}

static void skip_content(void)
{
    uint8_t frame[400];

    for (int i = 0; i < 2; i++) {
        take(frame, 7);
        take(frame + 7, lv_be32(frame + 3) + 1);
    }
}

static void begin_conversation(void)
{
    make_dir();
    begin();
    lv_reader_enter();
    open_as("guest", "guest");
    SEND(1, confirm_select, );
    (void)expect(LV_AMQP_CONFIRM_SELECT_OK);
    SEND(1, queue_declare, .queue = S("q"));
    (void)expect(LV_AMQP_QUEUE_DECLARE_OK);
}

static void end_conversation(void)
{
    close(sockets[0]);
    EVENTUALLY(counters().connections_closed == 1);
    lv_reader_leave();
    end();
    (void)nftw(world.dir, remove_path, 16, FTW_DEPTH | FTW_PHYS);
}

LV_TEST(a_queue_that_was_never_used)
{
    struct lv_queue_info q;
    size_t pos = 0;

    begin_conversation();
    lv_reader_begin();
    const struct lv_vhost *v = lv_observe_vhost(B, &pos);
    CHECK(lv_bytes_eq(lv_vhost_name(v), S("/")));
    CHECK(lv_observe_vhost(B, &pos) == NULL);
    CHECK_EQ(lv_vhost_queue_count(v), 1);
    CHECK_EQ(lv_vhost_exchange_count(v), 7);
    CHECK(!describe("no", &q));
    CHECK(describe("q", &q));
    CHECK(lv_bytes_eq(q.name, S("q")) && lv_bytes_eq(q.vhost, S("/")));
    CHECK_EQ(q.loop, UINT_MAX);
    CHECK_EQ(q.ready + q.unsettled + q.consumers + q.published + q.idle_since_ms, 0);
    pos = 0;
    CHECK(lv_observe_queue(v, &pos) == lv_observe_queue_find(v, S("q")));
    CHECK(lv_observe_queue(v, &pos) == NULL);
    uint64_t version = lv_vhost_version(v);
    lv_reader_end();
    SEND(1, queue_bind, .queue = S("q"), .exchange = S("amq.direct"), .routing_key = S("k"));
    (void)expect(LV_AMQP_QUEUE_BIND_OK);
    CHECK(lv_vhost_version(v) > version);
    end_conversation();
}

LV_TEST(numbers_after_a_conversation)
{
    begin_conversation();
    publish("", "q", false, 1);
    publish("", "q", false, 100);
    publish("", "q", false, 101);
    publish("amq.direct", "nowhere", false, 5);
    publish("amq.direct", "nowhere", true, 5);
    struct lv_bytes arguments;
    uint32_t method;
    while ((method = next_method(&arguments)) == LV_AMQP_BASIC_ACK)
        continue; /* of those before it, if a turn ended in between */
    CHECK_EQ(method, LV_AMQP_BASIC_RETURN);
    skip_content();
    EVENTUALLY(counters().messages_confirmed == 5);
    EVENTUALLY(queue_has("q", 3, 0, 3));
    struct lv_queue_info q;
    CHECK(describe("q", &q));
    CHECK_EQ(q.ready_bytes, 202);
    CHECK_EQ(q.ready_here, 3);
    CHECK(q.loop < 2);

    struct lv_counters c = counters();
    CHECK_EQ(c.messages_received, 5);
    CHECK_EQ(c.messages_received_confirm, 5);
    CHECK_EQ(c.messages_routed, 3);
    CHECK_EQ(c.unroutable_dropped, 1);
    CHECK_EQ(c.unroutable_returned, 1);
    CHECK_EQ(c.publishers, 1);
    CHECK_EQ(c.sizes[0], 4);
    CHECK_EQ(c.sizes[1], 1);
    CHECK_EQ(c.size_sum, 1 + 100 + 101 + 5 + 5);
    CHECK_EQ(c.connections_opened, 1);
    CHECK_EQ(c.channels_opened, 1);
    CHECK_EQ(c.queues_declared, 1);
    CHECK_EQ(c.queues_created, 1);
    CHECK_EQ(c.logins_ok, 1);
    CHECK_EQ(exchange("").publish_in, 3);
    CHECK_EQ(exchange("").publish_out, 3);
    CHECK_EQ(exchange("amq.direct").publish_in, 2);
    CHECK_EQ(exchange("amq.direct").publish_out, 0);
    CHECK_EQ(exchange("amq.direct").returned, 1);
    CHECK_EQ(exchange("amq.direct").dropped, 1);
    end_conversation();
}

/* The answers to what was published, told one by one or several at once, until the `count`-th. */
static void take_acks(uint64_t count)
{
    uint64_t tag = 0;

    while (tag < count) {
        struct lv_rd args = lv_rd(expect(LV_AMQP_BASIC_ACK));
        tag = lv_rd_u64(&args);
    }
}

LV_TEST(what_consumers_got)
{
    begin_conversation();
    for (int i = 0; i < 4; i++)
        publish("", "q", false, 10);
    take_acks(4);
    SEND(1, basic_get, .queue = S("q"), .no_ack = true);
    (void)expect(LV_AMQP_BASIC_GET_OK);
    skip_content();
    SEND(1, basic_get, .queue = S("q"));
    (void)expect(LV_AMQP_BASIC_GET_OK);
    skip_content();
    EVENTUALLY(queue_has("q", 2, 1, 4));
    SEND(1, basic_nack, .delivery_tag = 2, .requeue = true);
    SEND(1, basic_consume, .queue = S("q"), .consumer_tag = S("t"));
    (void)expect(LV_AMQP_BASIC_CONSUME_OK);
    for (int i = 0; i < 3; i++) {
        (void)expect(LV_AMQP_BASIC_DELIVER);
        skip_content();
    }
    EVENTUALLY(queue_has("q", 0, 3, 4));
    SEND(1, basic_ack, .delivery_tag = 4, .multiple = true);
    EVENTUALLY(queue_has("q", 0, 1, 4));
    SEND(1, basic_get, .queue = S("q"));
    (void)expect(LV_AMQP_BASIC_GET_EMPTY);
    EVENTUALLY(counters().by_kind[LV_QUEUE_CLASSIC].get_empty == 1);

    struct lv_queue_info q;
    CHECK(describe("q", &q));
    CHECK_EQ(q.consumers, 1);
    CHECK_EQ(q.unsettled_bytes, 10);
    CHECK_EQ(q.out.get_no_ack, 1);
    CHECK_EQ(q.out.get, 1);
    CHECK_EQ(q.out.get_empty, 1);
    CHECK_EQ(q.out.deliver, 3);
    CHECK_EQ(q.out.deliver_no_ack, 0);
    CHECK_EQ(q.out.redeliver, 1);
    CHECK_EQ(q.out.ack, 2);
    struct lv_counters c = counters();
    CHECK_MEM(&c.by_kind[LV_QUEUE_CLASSIC], &q.out, sizeof(q.out));

    /* What a queue has counted stays when it is gone. */
    SEND(1, queue_delete, .queue = S("q"));
    (void)expect(LV_AMQP_BASIC_CANCEL);
    (void)expect(LV_AMQP_QUEUE_DELETE_OK);
    EVENTUALLY(!describe("q", &q) && counters().queues_deleted == 1);
    c = counters();
    CHECK_EQ(c.by_kind[LV_QUEUE_CLASSIC].deliver, 3);
    end_conversation();
}

/* Every 256th publish is timed, to its confirm and to its consumer. */
LV_TEST(times_of_a_sample)
{
    begin_conversation();
    SEND(1, basic_consume, .queue = S("q"), .consumer_tag = S("t"), .no_ack = true);
    (void)expect(LV_AMQP_BASIC_CONSUME_OK);
    for (unsigned i = 1; i <= 600; i++) {
        uint8_t frame[400];
        publish("", "q", false, 1);
        for (bool is_delivered = false; !is_delivered;) {
            take(frame, 7);
            take(frame + 7, lv_be32(frame + 3) + 1);
            is_delivered = frame[0] == LV_AMQP_FRAME_BODY;
        }
    }
    EVENTUALLY(counters().messages_confirmed == 600);
    struct lv_counters c = counters();
    uint64_t confirms = 0, deliveries = 0;
    for (unsigned i = 0; i < LV_TIME_BUCKETS; i++) {
        confirms += c.confirm.count[i];
        deliveries += c.deliver.count[i];
    }
    CHECK_EQ(confirms, 2);
    CHECK_EQ(deliveries, 2);
    CHECK_EQ(c.by_kind[LV_QUEUE_CLASSIC].deliver_no_ack, 600);
    end_conversation();
}

/* ---- errands ---- */

static _Atomic int woken;

static void wake(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&woken, 1);
}

static struct lv_desk desk = { .wake = wake };

static void wait_for(struct lv_errand *errand)
{
    while (atomic_load(&woken) == 0)
        lv_os_sleep_us(1000);
    atomic_fetch_sub(&woken, 1);
    CHECK(lv_desk_take(&desk) == errand);
}

static void take_census(struct lv_census *census, enum lv_census_depth depth, bool counts_only)
{
    *census = (struct lv_census){ .errand.desk = &desk, .depth = depth, .counts_only = counts_only };
    lv_census_send(B, census);
    wait_for(&census->errand);
    CHECK(!census->is_short);
}

static bool is_text(struct lv_bytes b, const char *text)
{
    return lv_bytes_eq(b, S(text));
}

LV_TEST(census)
{
    static const char arguments[] = "\x0ax-priorityI\0\0\0\x05";
    struct lv_census census;

    begin_conversation();
    SEND(2, channel_open, .reserved_1 = S(""));
    (void)expect(LV_AMQP_CHANNEL_OPEN_OK);
    SEND(2, tx_select, );
    (void)expect(LV_AMQP_TX_SELECT_OK);
    publish("", "q", false, 1);
    publish("", "nowhere", false, 1);
    take_acks(2);
    SEND(2, basic_qos, .prefetch_count = 7);
    (void)expect(LV_AMQP_BASIC_QOS_OK);
    SEND(2, basic_consume, .queue = S("q"), .consumer_tag = S("t"),
         .arguments = lv_bytes(arguments, sizeof(arguments) - 1));
    (void)expect(LV_AMQP_BASIC_CONSUME_OK);
    (void)expect(LV_AMQP_BASIC_DELIVER);
    skip_content();
    SEND(2, basic_ack, .delivery_tag = 1);
    SEND(2, basic_qos, .prefetch_count = 8);
    (void)expect(LV_AMQP_BASIC_QOS_OK);

    take_census(&census, LV_CENSUS_CONSUMERS, false);
    CHECK_EQ(census.count, 1);
    const struct lv_connection_info *c = census.connections;
    CHECK(c->next == NULL && c->id != 0);
    CHECK(is_text(c->user, "guest") && is_text(c->vhost, "/") && is_text(c->auth_mechanism, "PLAIN"));
    CHECK(c->name.len > 4);
    CHECK_STR(c->protocol, "AMQP 0-9-1");
    CHECK_STR(c->state, "running");
    CHECK(c->client_properties.len > 20);
    CHECK_EQ(c->channel_max, 10);
    CHECK_EQ(c->frame_max, 131072);
    CHECK_EQ(c->channel_count, 2);
    CHECK(c->connected_at_ms > 1600000000000);
    CHECK(c->bytes_in > 100 && c->bytes_out > 100 && c->reads > 1 && c->writes > 1);
    CHECK(!c->is_tls && !c->has_cert);

    const struct lv_channel_info *first = c->channels, *second = first->next;
    CHECK(second->next == NULL);
    CHECK_EQ(first->number, 1);
    CHECK(first->is_confirm && !first->is_tx);
    CHECK_EQ(first->published, 2);
    CHECK_EQ(first->confirmed, 2);
    CHECK_EQ(first->dropped, 1);
    CHECK_EQ(first->unconfirmed + first->unacked + first->consumer_count, 0);
    const struct lv_channel_exchange *x = first->exchanges;
    CHECK(x != NULL && x->next == NULL && x->exchange.len == 0);
    CHECK_EQ(x->published, 2);
    CHECK_EQ(x->confirmed, 2);
    CHECK_EQ(x->dropped, 1);
    CHECK(x->queues != NULL && x->queues->next == NULL && is_text(x->queues->queue, "q"));
    CHECK_EQ(x->queues->published, 1);
    CHECK(first->queues == NULL);
    CHECK_EQ(second->number, 2);
    CHECK(second->is_tx && !second->is_confirm);
    CHECK_EQ(second->prefetch, 8);
    CHECK_EQ(second->consumer_count, 1);
    CHECK_EQ(second->unacked, 0);
    CHECK_EQ(second->acks_uncommitted, 1);
    CHECK_EQ(second->out.deliver, 1);
    CHECK(second->queues != NULL && is_text(second->queues->queue, "q"));
    CHECK_EQ(second->queues->out.deliver, 1);
    CHECK(second->exchanges == NULL);
    const struct lv_consumer_info *consumer = second->consumers;
    CHECK(is_text(consumer->tag, "t") && is_text(consumer->queue, "q"));
    CHECK_EQ(consumer->arguments.len, sizeof(arguments) - 1);
    CHECK_EQ(consumer->prefetch, 7);
    CHECK(consumer->ack_required && !consumer->exclusive && consumer->activity == LV_ACTIVITY_UP);
    uint64_t id = c->id;
    lv_census_fini(&census);

    /* Only who moved something since the last time. */
    take_census(&census, LV_CENSUS_CHANNELS, true);
    CHECK_EQ(census.count, 1);
    CHECK_EQ(census.connections->channels->published, 2);
    lv_census_fini(&census);
    take_census(&census, LV_CENSUS_CHANNELS, true);
    CHECK_EQ(census.count, 0);
    lv_census_fini(&census);

    struct lv_eviction eviction = { .errand.desk = &desk, .id = id + 1, .reason = "enough" };
    lv_eviction_send(B, &eviction);
    wait_for(&eviction.errand);
    CHECK(!eviction.was_there);
    eviction = (struct lv_eviction){ .errand.desk = &desk, .id = id, .reason = "enough" };
    lv_eviction_send(B, &eviction);
    wait_for(&eviction.errand);
    CHECK(eviction.was_there);
    expect_close(LV_AMQP_CONNECTION_CLOSE, 320, "CONNECTION_FORCED - enough");
    end_conversation();
}

/* ---- bindings ---- */

static struct walk {
    struct lv_errand errand;
    const char *source, *queue;
    size_t pos, max;
    unsigned visits, turns;
} walk;

static void visit(void *ctx, const struct lv_binding_info *b)
{
    (void)ctx;
    walk.visits++;
    CHECK(is_text(b->source, "amq.direct") || is_text(b->source, "amq.topic"));
    CHECK_EQ(b->to_exchange, is_text(b->destination, "amq.fanout"));
}

static enum lv_errand_step walk_run(struct lv_shard *shard, struct lv_errand *errand)
{
    const struct lv_vhost *v = lv_observe_vhost_find(lv_shard_broker(shard), S("/"));
    const struct lv_exchange *source =
        walk.source != NULL ? lv_observe_exchange_find(v, S(walk.source)) : NULL;
    const struct lv_dest *queue =
        walk.queue != NULL ? (const struct lv_dest *)lv_observe_queue_find(v, S(walk.queue)) : NULL;

    (void)errand;
    walk.turns++;
    lv_observe_bindings(v, source, queue, &walk.pos, walk.max, visit, NULL);
    return walk.pos == SIZE_MAX ? LV_ERRAND_DONE : LV_ERRAND_AGAIN;
}

static unsigned bindings(const char *source, const char *queue, size_t max)
{
    walk = (struct walk){
        .errand = { .run = walk_run, .desk = &desk },
        .source = source,
        .queue = queue,
        .max = max,
    };
    lv_errand_send(B, 0, &walk.errand);
    wait_for(&walk.errand);
    return walk.visits;
}

LV_TEST(bindings_are_walked)
{
    static const char *const keys[] = { "a", "b", "c", "d", "e" };

    begin_conversation();
    for (size_t i = 0; i < LV_ARRAY_LEN(keys); i++) {
        SEND(1, queue_bind, .queue = S("q"), .exchange = S("amq.direct"), .routing_key = S(keys[i]));
        (void)expect(LV_AMQP_QUEUE_BIND_OK);
    }
    SEND(1, exchange_bind, .source = S("amq.topic"), .destination = S("amq.fanout"),
         .routing_key = S("#"));
    (void)expect(LV_AMQP_EXCHANGE_BIND_OK);
    CHECK_EQ(bindings(NULL, NULL, 100), 6);
    CHECK_EQ(bindings(NULL, NULL, 1), 6);
    CHECK_EQ(bindings("amq.direct", NULL, 100), 5);
    CHECK_EQ(walk.turns, 1);
    CHECK_EQ(bindings("amq.direct", NULL, 2), 5);
    CHECK_EQ(walk.turns, 3);
    CHECK_EQ(bindings("amq.topic", NULL, 2), 1);
    CHECK_EQ(bindings(NULL, "q", 5), 5);
    CHECK_EQ(bindings("amq.direct", "q", 3), 5);
    CHECK_EQ(bindings("amq.topic", "q", 3), 0);
    end_conversation();
}

LV_TEST(resources_and_figures)
{
    struct lv_resources r;
    struct lv_store_stats store;
    struct lv_loop_stats loop;

    begin_conversation();
    publish("", "q", false, 1);
    take_acks(1);
    lv_broker_resources(B, &r);
    CHECK(r.memory_used > 0 && r.memory_total > 0 && r.memory_limit > 0);
    CHECK(r.disk_free > 0 && r.disk_limit == 50000000);
    CHECK(!r.is_memory_low && !r.is_disk_low);
    CHECK(lv_broker_store_stats(B, &store));
    CHECK(store.files >= 1 && store.topology_files >= 1 && store.syncs >= 1);
    uint64_t times = 0;
    for (unsigned i = 0; i < LV_TIME_BUCKETS; i++)
        times += store.write.count[i];
    CHECK(times >= 1);
    lv_broker_loop_stats(B, 0, &loop);
    CHECK(loop.turns > 0);
    end_conversation();
}
