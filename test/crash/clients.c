/* Publishers with confirms, consumers with acknowledgements, and consumers that do both in transactions. */
#include <amqp_tcp_socket.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/bytes.h"
#include "crash.h"
#include "support/history.h"

enum { BACKLOG_MAX = 30000, WINDOW_MAX = 1000, BATCH_MAX = 100, STILL_MS = 15000 };

const char *const queue_names[QUEUES] = { "q0", "q1", "q2", "q3", "f0", "f1", "f2" };

/* ---- connections ---- */

static void tell_refusal(struct client *c, const amqp_method_t *method)
{
    char text[300] = "an unexpected method";

    if (method->id == AMQP_CHANNEL_CLOSE_METHOD) {
        amqp_channel_close_t *m = method->decoded;
        snprintf(text, sizeof(text), "channel closed: %.*s", (int)m->reply_text.len,
                 (char *)m->reply_text.bytes);
    } else if (method->id == AMQP_CONNECTION_CLOSE_METHOD) {
        amqp_connection_close_t *m = method->decoded;
        snprintf(text, sizeof(text), "connection closed: %.*s", (int)m->reply_text.len,
                 (char *)m->reply_text.bytes);
    }
    if (!atomic_load(&c->run->may_close))
        complain(c->run, c->name, text);
}

static bool reply_ok(struct client *c, amqp_rpc_reply_t reply)
{
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION)
        tell_refusal(c, &reply.reply);
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION &&
        reply.library_error == AMQP_STATUS_TIMEOUT)
        complain(c->run, c->name, "no answer");
    return reply.reply_type == AMQP_RESPONSE_NORMAL;
}

bool link_ok(struct client *c)
{
    return reply_ok(c, amqp_get_rpc_reply(c->conn));
}

bool link_open(struct client *c)
{
    struct timeval patience = { STILL_MS / 1000, 0 };

    c->conn = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(c->conn);
    c->number = atomic_fetch_add(&c->run->channels, 1) + 1;
    if (c->number > UINT16_MAX)
        abort(); /* more than a history can tell apart */
    amqp_set_rpc_timeout(c->conn, &patience);
    if (amqp_socket_open(socket, "127.0.0.1", c->run->broker.port) != AMQP_STATUS_OK)
        return false;
    if (!reply_ok(c,
                  amqp_login(c->conn, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest")))
        return false;
    amqp_channel_open(c->conn, 1);
    return link_ok(c);
}

void link_close(struct client *c, bool is_polite)
{
    if (is_polite)
        (void)amqp_connection_close(c->conn, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(c->conn);
    c->conn = NULL;
}

static bool is_pausing(const struct client *c)
{
    return atomic_load(&c->run->is_pausing);
}

static uint64_t id_of(const struct client *c, uint64_t number)
{
    return (uint64_t)c->number << HISTORY_CLIENT_SHIFT | number;
}

/* ---- publishers ---- */

struct publisher {
    struct client *client;
    unsigned window;
    uint64_t oldest, next; /* delivery tags: the first without an answer, and the next to publish */
    struct {
        const char *name;
        bool is_answered;
    } open[WINDOW_MAX];
    uint8_t body[BODY_MAX];
};

static bool publish(struct client *c, const char *exchange, const char *key, const char *name,
                    uint64_t number, uint8_t *body)
{
    static const amqp_basic_properties_t persistent = { ._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
                                                        .delivery_mode = 2 };
    size_t bytes = body_make(body, &c->rng, id_of(c, number), name);

    atomic_fetch_add(&c->run->published, 1);
    return amqp_basic_publish(c->conn, 1, amqp_cstring_bytes(exchange), amqp_cstring_bytes(key), 0,
                              0, &persistent, (amqp_bytes_t){ bytes, body }) == AMQP_STATUS_OK;
}

static void answered(struct publisher *p, uint64_t tag, bool is_multiple, const char *result)
{
    for (uint64_t t = is_multiple ? p->oldest : tag; t <= tag && t < p->next; t++) {
        if (t < p->oldest || p->open[t % p->window].is_answered)
            continue;
        p->open[t % p->window].is_answered = true;
        journal(p->client, "pub", p->open[t % p->window].name, id_of(p->client, t), result);
    }
    while (p->oldest < p->next && p->open[p->oldest % p->window].is_answered)
        p->oldest++;
}

/* Reads one frame if there is one within `ms`. false: the connection is gone. */
static bool hear(struct publisher *p, unsigned ms)
{
    struct timeval patience = { ms / 1000, (ms % 1000) * 1000 };
    amqp_frame_t frame;
    int status = amqp_simple_wait_frame_noblock(p->client->conn, &frame, &patience);

    if (status == AMQP_STATUS_TIMEOUT)
        return true;
    if (status != AMQP_STATUS_OK)
        return false;
    if (frame.frame_type != AMQP_FRAME_METHOD)
        return true;
    if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD) {
        amqp_basic_ack_t *ack = frame.payload.method.decoded;
        answered(p, ack->delivery_tag, ack->multiple, "ok");
    } else if (frame.payload.method.id == AMQP_BASIC_NACK_METHOD) {
        amqp_basic_nack_t *nack = frame.payload.method.decoded;
        answered(p, nack->delivery_tag, nack->multiple, "fail");
    } else {
        tell_refusal(p->client, &frame.payload.method);
        return false;
    }
    amqp_maybe_release_buffers(p->client->conn);
    return true;
}

static bool publish_next(struct publisher *p, bool is_fan)
{
    struct client *c = p->client;
    const char *queue = queue_names[lv_rng_below(&c->rng, DIRECT_QUEUES)];
    const char *name = is_fan ? FAN : queue;

    p->open[p->next % p->window].name = name;
    p->open[p->next % p->window].is_answered = false;
    journal(c, "pub", name, id_of(c, p->next), "unknown");
    atomic_fetch_add(&c->run->backlog, is_fan ? QUEUES - DIRECT_QUEUES : 1);
    return publish(c, is_fan ? FAN : "", is_fan ? "" : queue, name, p->next++, p->body);
}

static bool publish_on(struct publisher *p, bool is_fan)
{
    struct client *c = p->client;
    uint64_t heard = now_us();

    while (!is_pausing(c) || p->oldest < p->next) {
        bool is_open = p->next - p->oldest < p->window && !is_pausing(c) &&
                       atomic_load(&c->run->backlog) < BACKLOG_MAX;
        uint64_t oldest = p->oldest;
        if (is_open && !publish_next(p, is_fan))
            return false;
        if (!hear(p, is_open ? 0 : 20))
            return false;
        if (p->oldest > oldest || p->oldest == p->next)
            heard = now_us();
        if (now_us() - heard > STILL_MS * UINT64_C(1000)) {
            complain(c->run, c->name, "no confirm");
            return false;
        }
    }
    return true;
}

static void publish_work(struct client *c, bool is_fan)
{
    static const unsigned windows[] = { 1, 10, 100, WINDOW_MAX };
    struct publisher *p = calloc(1, sizeof(*p));
    bool is_whole = false;

    if (p == NULL)
        abort();
    p->client = c;
    p->window = windows[lv_rng_below(&c->rng, LV_ARRAY_LEN(windows))];
    p->oldest = p->next = 1;
    if (link_open(c)) {
        amqp_confirm_select(c->conn, 1);
        is_whole = link_ok(c) && publish_on(p, is_fan);
    }
    link_close(c, is_whole);
    free(p);
}

void publisher_work(struct client *c)
{
    publish_work(c, false);
}

void fan_publisher_work(struct client *c)
{
    publish_work(c, true);
}

/* ---- consumers ---- */

struct taken {
    uint64_t tag, id;
    unsigned queue;
};

struct consumer {
    struct client *client;
    bool is_tx;
    unsigned batch, nack_percent;
    struct taken items[BATCH_MAX];
    unsigned count;
    uint64_t published;
    uint8_t body[BODY_MAX];
};

static unsigned queue_of_tag(amqp_bytes_t tag)
{
    return tag.len == 1 ? (unsigned)(((const uint8_t *)tag.bytes)[0] - '0') % QUEUES : 0;
}

/* The consumer's tag is the number of its queue. */
static bool consume(struct client *c, unsigned queue)
{
    char tag[2] = { (char)('0' + queue), '\0' };

    amqp_basic_consume(c->conn, 1, amqp_cstring_bytes(queue_names[queue]), amqp_cstring_bytes(tag),
                       0, 0, 0, amqp_empty_table);
    return link_ok(c);
}

enum next { NEXT_MESSAGE, NEXT_NONE, NEXT_GONE };

/* The next delivery, written down as `op`. */
static enum next take_next(struct client *c, const char *op, unsigned ms, struct taken *out)
{
    struct timeval patience = { ms / 1000, (ms % 1000) * 1000 };
    amqp_envelope_t envelope;

    amqp_maybe_release_buffers(c->conn);
    amqp_rpc_reply_t reply = amqp_consume_message(c->conn, &envelope, &patience, 0);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION &&
            reply.library_error == AMQP_STATUS_TIMEOUT)
            return NEXT_NONE;
        if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION &&
            reply.library_error == AMQP_STATUS_UNEXPECTED_STATE) {
            amqp_frame_t frame;
            if (amqp_simple_wait_frame(c->conn, &frame) == AMQP_STATUS_OK &&
                frame.frame_type == AMQP_FRAME_METHOD)
                tell_refusal(c, &frame.payload.method);
        }
        return NEXT_GONE;
    }
    out->tag = envelope.delivery_tag;
    out->queue = queue_of_tag(envelope.consumer_tag);
    bool is_good = body_read(envelope.message.body.bytes, envelope.message.body.len, &out->id);
    journal(c, op, queue_names[out->queue], out->id,
            !is_good               ? "bad"
            : envelope.redelivered ? "again"
                                   : "ok");
    atomic_fetch_add(&c->run->delivered, 1);
    amqp_destroy_envelope(&envelope);
    return NEXT_MESSAGE;
}

static void journal_acks(struct consumer *s, const char *result)
{
    for (unsigned i = 0; i < s->count; i++)
        journal(s->client, "ack", queue_names[s->items[i].queue], s->items[i].id, result);
}

static bool settle_plain(struct consumer *s)
{
    struct client *c = s->client;
    uint64_t last = s->items[s->count - 1].tag;

    if (lv_rng_below(&c->rng, 100) < s->nack_percent) {
        s->count = 0;
        return amqp_basic_nack(c->conn, 1, last, 1, 1) == AMQP_STATUS_OK;
    }
    journal_acks(s, "unknown");
    atomic_fetch_sub(&c->run->backlog, s->count);
    s->count = 0;
    return amqp_basic_ack(c->conn, 1, last, 1) == AMQP_STATUS_OK;
}

static bool publish_some(struct consumer *s, const char *names[3], unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        names[i] = queue_names[lv_rng_below(&s->client->rng, DIRECT_QUEUES)];
        if (!publish(s->client, "", names[i], names[i], ++s->published, s->body))
            return false;
    }
    return true;
}

static bool ack_all(struct consumer *s)
{
    return amqp_basic_ack(s->client->conn, 1, s->items[s->count - 1].tag, 1) == AMQP_STATUS_OK;
}

/* Done and taken back: as if it had never been. */
static bool try_and_roll_back(struct consumer *s)
{
    const char *names[3];

    if (!ack_all(s) || !publish_some(s, names, lv_rng_below(&s->client->rng, 4)))
        return false;
    amqp_tx_rollback(s->client->conn, 1);
    return link_ok(s->client);
}

/* Acknowledges, publishes some, and commits all of it. */
static bool settle_tx(struct consumer *s)
{
    struct client *c = s->client;
    const char *names[3];
    unsigned publishes = lv_rng_below(&c->rng, 4);

    if (lv_rng_below(&c->rng, 10) == 0 && !try_and_roll_back(s))
        return false;
    uint64_t first = s->published + 1;
    if (!ack_all(s) || !publish_some(s, names, publishes))
        return false;
    journal_acks(s, "unknown");
    for (unsigned i = 0; i < publishes; i++)
        journal(c, "pub", names[i], id_of(c, first + i), "unknown");
    amqp_tx_commit(c->conn, 1);
    if (!link_ok(c))
        return false;
    journal_acks(s, "ok");
    for (unsigned i = 0; i < publishes; i++)
        journal(c, "pub", names[i], id_of(c, first + i), "ok");
    atomic_fetch_add(&c->run->backlog, (long)publishes - (long)s->count);
    s->count = 0;
    return true;
}

static bool consume_on(struct consumer *s)
{
    while (!is_pausing(s->client)) {
        enum next next = take_next(s->client, "get", 20, &s->items[s->count]);
        if (next == NEXT_GONE)
            return false;
        s->count += next == NEXT_MESSAGE;
        if (s->count == 0 || (s->count < s->batch && next == NEXT_MESSAGE))
            continue;
        if (!(s->is_tx ? settle_tx(s) : settle_plain(s)))
            return false;
    }
    return true;
}

static bool consumer_begin(struct consumer *s)
{
    static const unsigned batches[] = { 1, 1, 7, BATCH_MAX };
    struct client *c = s->client;
    unsigned first = lv_rng_below(&c->rng, QUEUES), count = 1 + lv_rng_below(&c->rng, QUEUES);

    s->batch = batches[lv_rng_below(&c->rng, LV_ARRAY_LEN(batches))];
    s->nack_percent = lv_rng_below(&c->rng, 2) == 0 ? 0 : 5;
    if (s->is_tx)
        amqp_tx_select(c->conn, 1);
    if (s->is_tx && !link_ok(c))
        return false;
    amqp_basic_qos(c->conn, 1, 0, (uint16_t)(s->batch * (1 + lv_rng_below(&c->rng, 5))), 0);
    if (!link_ok(c))
        return false;
    for (unsigned i = 0; i < count; i++)
        if (!consume(c, (first + i) % QUEUES))
            return false;
    return true;
}

static void consume_work(struct client *c, bool is_tx)
{
    struct consumer *s = calloc(1, sizeof(*s));
    bool is_whole = false;

    if (s == NULL)
        abort();
    s->client = c;
    s->is_tx = is_tx;
    if (link_open(c))
        is_whole = consumer_begin(s) && consume_on(s);
    link_close(c, is_whole);
    free(s);
}

void consumer_work(struct client *c)
{
    consume_work(c, false);
}

void tx_consumer_work(struct client *c)
{
    consume_work(c, true);
}

/* ---- the end ---- */

long count_waiting(struct client *c)
{
    long sum = 0;

    for (unsigned i = 0; i < QUEUES; i++) {
        amqp_queue_declare_ok_t *ok =
            amqp_queue_declare(c->conn, 1, amqp_cstring_bytes(queue_names[i]), 1, 1, 0, 0,
                               amqp_empty_table);
        if (ok == NULL || !link_ok(c))
            return -1;
        sum += ok->message_count;
    }
    return sum;
}

static void keep(struct drained *all, const struct taken *t)
{
    if (all->count == all->max) {
        all->max = all->max * 2 + 1000;
        all->items = realloc(all->items, all->max * sizeof(all->items[0]));
        if (all->items == NULL)
            abort();
    }
    all->items[all->count].id = t->id;
    all->items[all->count++].queue = t->queue;
}

/* All queues by one channel, a batch at a time: what is in the queue comes in its order. */
bool drain(struct client *c, const char *op, struct drained *taken)
{
    unsigned open = 0, idle = 0;
    struct taken t = { 0 };

    amqp_basic_qos(c->conn, 1, 0, 500, 0);
    if (!link_ok(c))
        return false;
    for (unsigned i = 0; i < QUEUES; i++)
        if (!consume(c, i))
            return false;
    while (idle < 2) {
        enum next next = take_next(c, op, 300, &t);
        if (next == NEXT_GONE)
            return false;
        if (next == NEXT_MESSAGE) {
            journal(c, "ack", queue_names[t.queue], t.id, "unknown");
            keep(taken, &t);
            open++;
        }
        if (open > 0 && (open == 250 || next == NEXT_NONE)) {
            if (amqp_basic_ack(c->conn, 1, t.tag, 1) != AMQP_STATUS_OK)
                return false;
            open = 0;
        }
        idle = next == NEXT_NONE ? idle + 1 : 0;
    }
    return true;
}
