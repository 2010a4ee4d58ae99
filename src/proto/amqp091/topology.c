/* exchange.* and queue.*: each method becomes a call of the broker, each call's end a method back. */
#include "base/mem.h"
#include "proto/amqp091/amqp_priv.h"

/* RabbitMQ takes carriage returns and newlines out of the names of what is declared and deleted. */
static struct lv_bytes strip(struct lv_bytes name, uint8_t out[LV_SHORTSTR_MAX])
{
    size_t len = 0;

    if (name.len == 0 ||
        (memchr(name.ptr, '\r', name.len) == NULL && memchr(name.ptr, '\n', name.len) == NULL))
        return name;
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] != '\r' && name.ptr[i] != '\n')
            out[len++] = name.ptr[i];
    return lv_bytes(out, len);
}

/* The end of a call whose answer is an empty method. */
#define SIMPLE_DONE(function, answer)                                 \
    static void function(struct lv_session *s, struct lv_call *call)  \
    {                                                                 \
        struct lv_amqp_chan *ch = lv_amqp_call_chan(s, call);         \
        if (!lv_amqp_failed(ch, call) && !lv_amqp_call_no_wait(call)) \
            LV_AMQP_SEND(ch->conn, ch->number, answer, );             \
    }

/* ---- exchanges ---- */

SIMPLE_DONE(exchange_declared, exchange_declare_ok)
SIMPLE_DONE(exchange_deleted, exchange_delete_ok)
SIMPLE_DONE(exchange_bound, exchange_bind_ok)
SIMPLE_DONE(exchange_unbound, exchange_unbind_ok)
SIMPLE_DONE(queue_bound, queue_bind_ok)
SIMPLE_DONE(queue_unbound, queue_unbind_ok)

void lv_amqp_exchange_declare(struct lv_amqp_chan *ch, const struct lv_amqp_exchange_declare *m)
{
    enum lv_exchange_type type = lv_exchange_type_of(m->type);
    uint8_t name[LV_SHORTSTR_MAX];

    if (!m->passive && type == LV_EXCHANGE_TYPE_COUNT) {
        lv_amqp_error(ch, 406, "unknown exchange type '%.*s'", LV_BYTES_FMT(m->type));
        return;
    }
    struct lv_bytes exchange = strip(m->exchange, name);
    if (!lv_amqp_may_name(ch, m->passive ? LV_OP_EXCHANGE_PASSIVE : LV_OP_EXCHANGE_DECLARE, exchange))
        return;
    struct lv_call *call = lv_amqp_call(ch, m->no_wait, exchange_declared);
    if (call == NULL)
        return;
    call->name = exchange;
    call->type = type;
    call->passive = m->passive;
    call->durable = m->durable;
    call->auto_delete = m->auto_delete;
    call->internal = m->internal;
    call->arguments = m->arguments;
    lv_exchange_declare(call);
}

void lv_amqp_exchange_delete(struct lv_amqp_chan *ch, const struct lv_amqp_exchange_delete *m)
{
    uint8_t stripped[LV_SHORTSTR_MAX];
    struct lv_bytes name = strip(m->exchange, stripped);

    if (!lv_amqp_may_name(ch, LV_OP_EXCHANGE_DELETE, name))
        return;
    struct lv_call *call = lv_amqp_call(ch, m->no_wait, exchange_deleted);
    if (call == NULL)
        return;
    call->name = name;
    call->if_unused = m->if_unused;
    lv_exchange_delete(call);
}

/* What bind and unbind have in common. */
struct binding {
    bool no_wait;
    enum lv_operation operation;
    struct lv_bytes source, destination, key, arguments;
    void (*done)(struct lv_session *s, struct lv_call *call);
    void (*verb)(struct lv_call *call);
};

static bool may_bind(struct lv_amqp_chan *ch, const struct binding *b, struct lv_bytes destination,
                     struct lv_bytes key)
{
    return lv_amqp_may(ch, b->operation,
                       &(struct lv_operands){
                           .name = destination,
                           .other = b->source,
                           .key = key,
                           .is_topic = lv_session_is_topic(&ch->conn->s, b->source),
                       });
}

static void bind_exchange(struct lv_amqp_chan *ch, const struct binding *b)
{
    if (!may_bind(ch, b, b->destination, b->key))
        return;
    struct lv_call *call = lv_amqp_call(ch, b->no_wait, b->done);
    if (call == NULL)
        return;
    call->name = b->source;
    call->other = b->destination;
    call->key = b->key;
    call->arguments = b->arguments;
    call->to_exchange = true;
    b->verb(call);
}

void lv_amqp_exchange_bind(struct lv_amqp_chan *ch, const struct lv_amqp_exchange_bind *m)
{
    bind_exchange(ch, &(struct binding){ m->no_wait, LV_OP_EXCHANGE_BIND, m->source, m->destination,
                                         m->routing_key, m->arguments, exchange_bound, lv_bind });
}

void lv_amqp_exchange_unbind(struct lv_amqp_chan *ch, const struct lv_amqp_exchange_unbind *m)
{
    bind_exchange(ch,
                  &(struct binding){ m->no_wait, LV_OP_EXCHANGE_UNBIND, m->source, m->destination,
                                     m->routing_key, m->arguments, exchange_unbound, lv_unbind });
}

/* ---- queues ---- */

static bool remember_queue(struct lv_amqp_chan *ch, struct lv_bytes name)
{
    uint8_t *last = lv_mem_alloc(1 + name.len, LV_TAG_CHANNEL);

    if (last == NULL)
        return false;
    last[0] = (uint8_t)name.len;
    memcpy(last + 1, name.ptr, name.len);
    lv_mem_free(ch->last_queue, LV_TAG_CHANNEL);
    ch->last_queue = last;
    return true;
}

static void queue_declared(struct lv_session *s, struct lv_call *call)
{
    struct lv_amqp_chan *ch = lv_amqp_call_chan(s, call);

    if (lv_amqp_failed(ch, call))
        return;
    if (!remember_queue(ch, call->name)) {
        lv_amqp_error(ch, 541, "out of memory");
        return;
    }
    if (!lv_amqp_call_no_wait(call))
        LV_AMQP_SEND(ch->conn, ch->number, queue_declare_ok, .queue = call->name,
                     .message_count = (uint32_t)LV_MIN(call->messages, UINT32_MAX),
                     .consumer_count = (uint32_t)call->consumers);
}

void lv_amqp_queue_declare(struct lv_amqp_chan *ch, const struct lv_amqp_queue_declare *m)
{
    uint8_t stripped[LV_SHORTSTR_MAX];
    struct lv_bytes name = strip(m->queue, stripped);

    if (lv_amqp_is_reply_to(name)) {
        lv_amqp_reply_declare(ch, name, m->no_wait);
        return;
    }
    struct lv_call *call = lv_amqp_call(ch, m->no_wait, queue_declared);
    if (call == NULL)
        return;
    call->name = name;
    struct lv_operands on = { .is_server_made = name.len == 0 && !m->passive };
    if (on.is_server_made)
        lv_call_make_name(call);
    on.name = call->name;
    if (!lv_amqp_may(ch, m->passive ? LV_OP_QUEUE_PASSIVE : LV_OP_QUEUE_DECLARE, &on)) {
        lv_call_drop(call);
        return;
    }
    call->passive = m->passive;
    call->durable = m->durable;
    call->exclusive = m->exclusive;
    call->auto_delete = m->auto_delete;
    call->arguments = m->arguments;
    lv_queue_declare(call);
}

static bool is_volatile(struct lv_amqp_chan *ch, struct lv_bytes queue)
{
    if (!lv_amqp_is_reply_to(queue))
        return false;
    lv_amqp_error(ch, 403, "cannot bind or unbind to a volatile (direct reply-to) queue");
    return true;
}

/* An empty queue name means the last one declared; an empty key is then its name too. */
static void bind_queue(struct lv_amqp_chan *ch, const struct binding *b)
{
    struct lv_bytes queue;

    if (!lv_amqp_queue_name(ch, b->destination, &queue) || is_volatile(ch, queue))
        return;
    struct lv_bytes key = b->key.len == 0 && b->destination.len == 0 ? queue : b->key;
    if (!may_bind(ch, b, queue, key))
        return;
    struct lv_call *call = lv_amqp_call(ch, b->no_wait, b->done);
    if (call == NULL)
        return;
    call->name = b->source;
    call->other = queue;
    call->key = key;
    call->arguments = b->arguments;
    b->verb(call);
}

void lv_amqp_queue_bind(struct lv_amqp_chan *ch, const struct lv_amqp_queue_bind *m)
{
    bind_queue(ch, &(struct binding){ m->no_wait, LV_OP_QUEUE_BIND, m->exchange, m->queue,
                                      m->routing_key, m->arguments, queue_bound, lv_bind });
}

void lv_amqp_queue_unbind(struct lv_amqp_chan *ch, const struct lv_amqp_queue_unbind *m)
{
    bind_queue(ch, &(struct binding){ false, LV_OP_QUEUE_UNBIND, m->exchange, m->queue,
                                      m->routing_key, m->arguments, queue_unbound, lv_unbind });
}

static void queue_purged(struct lv_session *s, struct lv_call *call)
{
    struct lv_amqp_chan *ch = lv_amqp_call_chan(s, call);

    if (!lv_amqp_failed(ch, call) && !lv_amqp_call_no_wait(call))
        LV_AMQP_SEND(ch->conn, ch->number, queue_purge_ok,
                     .message_count = (uint32_t)LV_MIN(call->messages, UINT32_MAX));
}

void lv_amqp_queue_purge(struct lv_amqp_chan *ch, const struct lv_amqp_queue_purge *m)
{
    struct lv_bytes name;

    if (!lv_amqp_queue_name(ch, m->queue, &name) || !lv_amqp_may_name(ch, LV_OP_QUEUE_PURGE, name))
        return;
    struct lv_call *call = lv_amqp_call(ch, m->no_wait, queue_purged);
    if (call == NULL)
        return;
    call->name = name;
    lv_queue_purge_call(call);
}

static void queue_deleted(struct lv_session *s, struct lv_call *call)
{
    struct lv_amqp_chan *ch = lv_amqp_call_chan(s, call);

    if (!lv_amqp_failed(ch, call) && !lv_amqp_call_no_wait(call))
        LV_AMQP_SEND(ch->conn, ch->number, queue_delete_ok,
                     .message_count = (uint32_t)LV_MIN(call->messages, UINT32_MAX));
}

void lv_amqp_queue_delete(struct lv_amqp_chan *ch, const struct lv_amqp_queue_delete *m)
{
    uint8_t stripped[LV_SHORTSTR_MAX];
    struct lv_bytes name;

    if (!lv_amqp_queue_name(ch, strip(m->queue, stripped), &name) ||
        !lv_amqp_may_name(ch, LV_OP_QUEUE_DELETE, name))
        return;
    struct lv_call *call = lv_amqp_call(ch, m->no_wait, queue_deleted);
    if (call == NULL)
        return;
    call->name = name;
    call->if_unused = m->if_unused;
    call->if_empty = m->if_empty;
    lv_queue_delete(call);
}
