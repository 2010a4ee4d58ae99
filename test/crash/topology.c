/* Queues, exchanges and bindings that come and go, and whether they are there after a crash. */
#include <string.h>

#include "base/bytes.h"
#include "crash.h"

enum { COME_AND_GO = 10, TRANSIENT = 4 };

#define BIND_EXCHANGE "t.bind"
#define BOUND_QUEUE "t.bound"

/* What a name in the history stands for. Bindings are of BIND_EXCHANGE, the key being the number behind. */
enum kind { QUEUE, EXCHANGE, BINDING, QUEUE_BINDING, TRANSIENT_QUEUE, KINDS };
static const struct {
    const char *history, *name;
    unsigned count;
} kinds[KINDS] = {
    [QUEUE] = { "queue:", "t.q", COME_AND_GO },
    [EXCHANGE] = { "exchange:", "t.x", COME_AND_GO },
    [BINDING] = { "binding:", "t.b", COME_AND_GO },
    [QUEUE_BINDING] = { "binding:", "t.q", COME_AND_GO }, /* goes with its queue */
    [TRANSIENT_QUEUE] = { "queue:", "t.t", TRANSIENT },
};

struct thing {
    enum kind kind;
    char history[40], name[20];
};

static struct thing thing(enum kind kind, unsigned number)
{
    struct thing t = { .kind = kind };

    snprintf(t.name, sizeof(t.name), "%s%u", kinds[kind].name, number);
    snprintf(t.history, sizeof(t.history), "%s%s", kinds[kind].history, t.name);
    return t;
}

static amqp_bytes_t str(const char *s)
{
    return amqp_cstring_bytes(s);
}

static void call_declare(struct client *c, const struct thing *t)
{
    if (t->kind == QUEUE || t->kind == TRANSIENT_QUEUE)
        amqp_queue_declare(c->conn, 1, str(t->name), 0, t->kind == QUEUE, 0, 0, amqp_empty_table);
    else if (t->kind == EXCHANGE)
        amqp_exchange_declare(c->conn, 1, str(t->name), str("direct"), 0, 1, 0, 0, amqp_empty_table);
    else
        amqp_queue_bind(c->conn, 1, str(t->kind == BINDING ? BOUND_QUEUE : t->name),
                        str(BIND_EXCHANGE), str(t->name), amqp_empty_table);
}

static void call_delete(struct client *c, const struct thing *t)
{
    if (t->kind == QUEUE || t->kind == TRANSIENT_QUEUE)
        amqp_queue_delete(c->conn, 1, str(t->name), 0, 0);
    else if (t->kind == EXCHANGE)
        amqp_exchange_delete(c->conn, 1, str(t->name), 0);
    else
        amqp_queue_unbind(c->conn, 1, str(BOUND_QUEUE), str(BIND_EXCHANGE), str(t->name),
                          amqp_empty_table);
}

static bool change(struct client *c, const struct thing *t, bool is_declare)
{
    const char *op = is_declare ? "declare" : "delete";
    struct thing its_binding = *t;
    bool has_binding = t->kind == QUEUE && !is_declare;

    snprintf(its_binding.history, sizeof(its_binding.history), "binding:%s", t->name);
    journal_name(c, op, t->history, "unknown");
    if (has_binding)
        journal_name(c, op, its_binding.history, "unknown");
    if (is_declare)
        call_declare(c, t);
    else
        call_delete(c, t);
    if (!link_ok(c))
        return false;
    journal_name(c, op, t->history, "ok");
    if (has_binding)
        journal_name(c, op, its_binding.history, "ok");
    return true;
}

void topology_work(struct client *c)
{
    bool is_whole = link_open(c);

    while (is_whole && !atomic_load(&c->run->is_pausing)) {
        enum kind kind = (enum kind)lv_rng_below(&c->rng, KINDS);
        unsigned number = lv_rng_below(&c->rng, kinds[kind].count);
        struct thing t = thing(kind, number);
        amqp_maybe_release_buffers(c->conn);
        if (kind == QUEUE_BINDING) { /* it needs its queue */
            struct thing queue = thing(QUEUE, number);
            is_whole = change(c, &queue, true) && change(c, &t, true);
            continue;
        }
        is_whole = change(c, &t, lv_rng_below(&c->rng, 2) == 0);
    }
    link_close(c, is_whole);
}

/* ---- looking ---- */

/* A passive declare on a channel of its own, which a 404 closes. -1: the connection is gone. */
static int is_declared(struct client *c, const char *name, bool is_queue, amqp_channel_t channel)
{
    amqp_channel_open(c->conn, channel);
    if (!link_ok(c))
        return -1;
    if (is_queue)
        amqp_queue_declare(c->conn, channel, str(name), 1, 0, 0, 0, amqp_empty_table);
    else
        amqp_exchange_declare(c->conn, channel, str(name), str("direct"), 1, 0, 0, 0,
                              amqp_empty_table);
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(c->conn);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL) {
        reply = amqp_channel_close(c->conn, channel, AMQP_REPLY_SUCCESS);
        return reply.reply_type == AMQP_RESPONSE_NORMAL ? 1 : -1;
    }
    if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION ||
        reply.reply.id != AMQP_CHANNEL_CLOSE_METHOD)
        return -1;
    amqp_channel_close_t *close = reply.reply.decoded;
    if (close->reply_code != 404)
        complain(c->run, c->name, "a passive declare was refused otherwise than by 404");
    amqp_channel_close_ok_t ok = { 0 };
    return amqp_send_method(c->conn, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok) == AMQP_STATUS_OK
               ? 0
               : -1;
}

/* A mandatory message comes back when nothing is bound; its confirm comes after that. */
static int is_bound(struct client *c, const char *key)
{
    struct timeval patience = { 15, 0 };
    int is_returned = 0;
    amqp_frame_t frame;

    if (amqp_basic_publish(c->conn, 1, str(BIND_EXCHANGE), str(key), 1, 0, NULL, str("?")) !=
        AMQP_STATUS_OK)
        return -1;
    while (amqp_simple_wait_frame_noblock(c->conn, &frame, &patience) == AMQP_STATUS_OK) {
        if (frame.frame_type != AMQP_FRAME_METHOD)
            continue;
        if (frame.payload.method.id == AMQP_BASIC_RETURN_METHOD)
            is_returned = 1;
        else if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD)
            return !is_returned;
        else
            break;
    }
    return -1;
}

static bool declare_lasting(struct client *c, const char *name, bool is_queue, const char *type)
{
    char history[40];

    snprintf(history, sizeof(history), "%s%s", kinds[is_queue ? QUEUE : EXCHANGE].history, name);
    journal_name(c, "declare", history, "unknown");
    if (is_queue)
        amqp_queue_declare(c->conn, 1, str(name), 0, 1, 0, 0, amqp_empty_table);
    else
        amqp_exchange_declare(c->conn, 1, str(name), str(type), 0, 1, 0, 0, amqp_empty_table);
    if (!link_ok(c))
        return false;
    journal_name(c, "declare", history, "ok");
    return true;
}

bool topology_declare(struct client *c)
{
    if (!declare_lasting(c, FAN, false, "fanout") ||
        !declare_lasting(c, BIND_EXCHANGE, false, "direct") ||
        !declare_lasting(c, BOUND_QUEUE, true, NULL))
        return false;
    for (unsigned i = 0; i < QUEUES; i++) {
        if (!declare_lasting(c, queue_names[i], true, NULL))
            return false;
        if (i < DIRECT_QUEUES)
            continue;
        amqp_queue_bind(c->conn, 1, str(queue_names[i]), str(FAN), str(""), amqp_empty_table);
        if (!link_ok(c))
            return false;
    }
    return true;
}

/* -1: the connection is gone. */
static int look_up(struct client *c, const struct thing *t)
{
    bool is_binding = t->kind == BINDING || t->kind == QUEUE_BINDING;
    int seen;

    amqp_maybe_release_buffers(c->conn);
    seen = is_binding ? is_bound(c, t->name) : is_declared(c, t->name, t->kind != EXCHANGE, 2);
    if (seen >= 0)
        journal_name(c, "exists", t->history, seen ? "ok" : "fail");
    else if (!atomic_load(&c->run->may_close))
        complain(c->run, c->name, "no answer when looking for a name");
    return seen;
}

static int look_up_lasting(struct client *c, const char *name, bool is_queue)
{
    struct thing t = { .kind = is_queue ? QUEUE : EXCHANGE };

    snprintf(t.name, sizeof(t.name), "%s", name);
    snprintf(t.history, sizeof(t.history), "%s%s", kinds[t.kind].history, name);
    return look_up(c, &t);
}

/* How many of the clients' needs are missing; -1: the connection is gone. */
static int count_missing(struct client *c)
{
    int missing = 0;

    for (unsigned i = 0; i < QUEUES + 3; i++) {
        int seen = i < QUEUES        ? look_up_lasting(c, queue_names[i], true)
                   : i == QUEUES     ? look_up_lasting(c, FAN, false)
                   : i == QUEUES + 1 ? look_up_lasting(c, BIND_EXCHANGE, false)
                                     : look_up_lasting(c, BOUND_QUEUE, true);
        if (seen < 0)
            return -1;
        missing += !seen;
    }
    return missing;
}

static bool look_up_all(struct client *c, enum kind kind)
{
    for (unsigned n = 0; n < kinds[kind].count; n++) {
        struct thing t = thing(kind, n);
        if (look_up(c, &t) < 0)
            return false;
    }
    return true;
}

bool topology_look(struct client *c)
{
    int missing;

    for (unsigned n = 0; n < TRANSIENT; n++) { /* gone with the broker that had them */
        struct thing t = thing(TRANSIENT_QUEUE, n);
        journal_name(c, "delete", t.history, "ok");
    }
    missing = count_missing(c);
    if (missing < 0 || (missing > 0 && !topology_declare(c)))
        return false;
    if (!look_up_all(c, QUEUE) || !look_up_all(c, EXCHANGE) || !look_up_all(c, TRANSIENT_QUEUE))
        return false;
    amqp_confirm_select(c->conn, 1);
    if (!link_ok(c) || !look_up_all(c, BINDING) || !look_up_all(c, QUEUE_BINDING))
        return false;
    amqp_queue_purge(c->conn, 1, str(BOUND_QUEUE));
    return link_ok(c);
}
