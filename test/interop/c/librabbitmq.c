/* Checks of the broker with librabbitmq. Takes AMQP_HOST and AMQP_PORT; prints a line a check. */
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPECT(condition)      \
    do {                       \
        if (!(condition))      \
            return #condition; \
    } while (0)

typedef amqp_connection_state_t conn_t;
/* Gives NULL, or what did not hold. */
typedef const char *(*check_fn)(conn_t c);

static const struct timeval patience = { 5, 0 };
static amqp_rpc_reply_t last; /* the refusal that refused() saw */
static int failures;

static amqp_bytes_t str(const char *s)
{
    return amqp_cstring_bytes(s);
}

static bool same(amqp_bytes_t bytes, const char *s)
{
    return bytes.len == strlen(s) && memcmp(bytes.bytes, s, bytes.len) == 0;
}

static bool starts(amqp_bytes_t bytes, const char *s)
{
    return bytes.len >= strlen(s) && memcmp(bytes.bytes, s, strlen(s)) == 0;
}

static bool fine(conn_t c)
{
    return amqp_get_rpc_reply(c).reply_type == AMQP_RESPONSE_NORMAL;
}

static amqp_rpc_reply_t login(conn_t *out, const char *vhost, const char *password, int frame_max,
                              int heartbeat)
{
    amqp_rpc_reply_t bad = { .reply_type = AMQP_RESPONSE_NONE };
    conn_t c = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(c);

    *out = c;
    if (amqp_socket_open_noblock(socket, getenv("AMQP_HOST"),
                                 (int)strtol(getenv("AMQP_PORT"), NULL, 10),
                                 &patience) != AMQP_STATUS_OK)
        return bad;
    amqp_set_rpc_timeout(c, &patience);

    /* By itself librabbitmq does not ask to be told of cancelled consumers. */
    amqp_table_entry_t cancel = { str("consumer_cancel_notify"),
                                  { AMQP_FIELD_KIND_BOOLEAN, { .boolean = 1 } } };
    amqp_table_entry_t capabilities = { str("capabilities"),
                                        { AMQP_FIELD_KIND_TABLE, { .table = { 1, &cancel } } } };
    amqp_table_t properties = { 1, &capabilities };
    return amqp_login_with_properties(c, vhost, 0, frame_max, heartbeat, &properties,
                                      AMQP_SASL_METHOD_PLAIN, "guest", password);
}

/* The last call must have ended channel `channel` with this code; it is opened again. */
static bool refused(conn_t c, amqp_channel_t channel, int code)
{
    amqp_channel_close_t *close;

    last = amqp_get_rpc_reply(c);
    if (last.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION ||
        last.reply.id != AMQP_CHANNEL_CLOSE_METHOD)
        return false;
    close = last.reply.decoded;
    if (close->reply_code != code) {
        fprintf(stderr, "refused with %d %.*s\n", close->reply_code, (int)close->reply_text.len,
                (char *)close->reply_text.bytes);
        return false;
    }
    amqp_channel_close_ok_t ok = { 0 };
    amqp_send_method(c, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
    amqp_channel_open(c, channel);
    return fine(c);
}

static amqp_bytes_t own_queue(conn_t c)
{
    amqp_queue_declare_ok_t *ok =
        amqp_queue_declare(c, 1, amqp_empty_bytes, 0, 0, 1, 0, amqp_empty_table);
    return ok ? amqp_bytes_malloc_dup(ok->queue) : amqp_empty_bytes;
}

static int send(conn_t c, amqp_bytes_t queue, const char *body)
{
    return amqp_basic_publish(c, 1, amqp_empty_bytes, queue, 0, 0, NULL, str(body));
}

/* Gets a message within five seconds; the caller destroys it. */
static uint64_t take(conn_t c, amqp_bytes_t queue, bool no_ack, amqp_message_t *message)
{
    for (int i = 0; i < 500; i++) {
        amqp_rpc_reply_t reply = amqp_basic_get(c, 1, queue, no_ack);
        if (reply.reply_type != AMQP_RESPONSE_NORMAL)
            return 0;
        if (reply.reply.id == AMQP_BASIC_GET_OK_METHOD) {
            uint64_t tag = ((amqp_basic_get_ok_t *)reply.reply.decoded)->delivery_tag;
            reply = amqp_read_message(c, 1, message, 0);
            return reply.reply_type == AMQP_RESPONSE_NORMAL ? tag : 0;
        }
        usleep(10000);
    }
    return 0;
}

static bool takes(conn_t c, amqp_bytes_t queue, const char *body)
{
    amqp_message_t message;
    if (!take(c, queue, true, &message))
        return false;
    bool equal = same(message.body, body);
    amqp_destroy_message(&message);
    return equal;
}

static bool consumes(conn_t c, amqp_envelope_t *envelope, int milliseconds)
{
    struct timeval timeout = { milliseconds / 1000, (milliseconds % 1000) * 1000 };
    amqp_maybe_release_buffers(c);
    return amqp_consume_message(c, envelope, &timeout, 0).reply_type == AMQP_RESPONSE_NORMAL;
}

/* The next method on channel 1 must be this one. */
static bool comes(conn_t c, amqp_method_number_t id, amqp_method_t *method)
{
    amqp_frame_t frame;
    if (amqp_simple_wait_frame_noblock(c, &frame, &patience) != AMQP_STATUS_OK)
        return false;
    *method = frame.payload.method;
    return frame.frame_type == AMQP_FRAME_METHOD && frame.channel == 1 && method->id == id;
}

static const char *connects(conn_t c)
{
    amqp_table_t *properties = amqp_get_server_properties(c);
    int i = 0;
    while (i < properties->num_entries && !same(properties->entries[i].key, "product"))
        i++;
    EXPECT(i < properties->num_entries);
    EXPECT(same(properties->entries[i].value.value.bytes, "RabbitMQ"));
    EXPECT(amqp_get_channel_max(c) == 2047);
    EXPECT(amqp_get_frame_max(c) == 131072);
    return NULL;
}

static const char *wrong_password(conn_t unused)
{
    conn_t c;
    amqp_rpc_reply_t reply = login(&c, "/", "wrong", 131072, 0);
    (void)unused;
    EXPECT(reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION);
    EXPECT(reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD);
    amqp_connection_close_t *close = reply.reply.decoded;
    EXPECT(close->reply_code == 403);
    EXPECT(starts(close->reply_text, "ACCESS_REFUSED - Login was refused"));
    amqp_destroy_connection(c);
    return NULL;
}

static const char *missing_vhost(conn_t unused)
{
    conn_t c;
    amqp_rpc_reply_t reply = login(&c, "nowhere", "guest", 131072, 0);
    (void)unused;
    EXPECT(reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION);
    amqp_connection_close_t *close = reply.reply.decoded;
    EXPECT(close->reply_code == 530);
    amqp_destroy_connection(c);
    return NULL;
}

static const char *smallest_frames(conn_t unused)
{
    conn_t c;
    static char body[50000];
    (void)unused;
    memset(body, 'x', sizeof(body) - 1);
    EXPECT(login(&c, "/", "guest", 4096, 0).reply_type == AMQP_RESPONSE_NORMAL);
    amqp_channel_open(c, 1);
    amqp_bytes_t queue = own_queue(c);
    EXPECT(send(c, queue, body) == AMQP_STATUS_OK);
    EXPECT(takes(c, queue, body));
    amqp_bytes_free(queue);
    amqp_connection_close(c, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(c);
    return NULL;
}

static const char *declares(conn_t c)
{
    static const char *const kinds[] = { "direct", "fanout", "topic", "headers" };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        amqp_exchange_declare(c, 1, str("c.exchange"), str(kinds[i]), 0, 0, 0, 0, amqp_empty_table);
        EXPECT(fine(c));
        amqp_exchange_declare(c, 1, str("c.exchange"), str(kinds[i]), 1, 0, 0, 0, amqp_empty_table);
        EXPECT(fine(c));
        amqp_exchange_delete(c, 1, str("c.exchange"), 0);
        EXPECT(fine(c));
    }
    for (int flags = 0; flags < 8; flags++) {
        amqp_queue_declare_ok_t *ok =
            amqp_queue_declare(c, 1, str("c.queue"), 0, flags & 1, flags >> 1 & 1, flags >> 2,
                               amqp_empty_table);
        EXPECT(ok && same(ok->queue, "c.queue") && ok->message_count == 0 && ok->consumer_count == 0);
        EXPECT(amqp_queue_delete(c, 1, str("c.queue"), 0, 0));
    }
    amqp_queue_declare_ok_t *ok =
        amqp_queue_declare(c, 1, amqp_empty_bytes, 0, 0, 1, 1, amqp_empty_table);
    EXPECT(ok && starts(ok->queue, "amq.gen-"));
    return NULL;
}

static const char *refusals(conn_t c)
{
    amqp_channel_close_t *close;
    amqp_channel_open(c, 2);
    amqp_queue_declare(c, 2, str("interop.missing"), 1, 0, 0, 0, amqp_empty_table);
    EXPECT(refused(c, 2, 404));
    amqp_exchange_declare(c, 2, str("interop.missing"), str("direct"), 1, 0, 0, 0, amqp_empty_table);
    EXPECT(refused(c, 2, 404));
    amqp_exchange_declare(c, 2, str("amq.direct"), str("fanout"), 0, 1, 0, 0, amqp_empty_table);
    EXPECT(refused(c, 2, 406));
    amqp_exchange_delete(c, 2, amqp_empty_bytes, 0);
    EXPECT(refused(c, 2, 403));
    close = last.reply.decoded;
    EXPECT(close->class_id == 40 && close->method_id == 20);
    amqp_queue_declare(c, 1, str("c.still"), 0, 0, 1, 0, amqp_empty_table);
    EXPECT(fine(c));
    return NULL;
}

static const char *locked_queue(conn_t c)
{
    conn_t other;
    amqp_bytes_t queue = own_queue(c);
    EXPECT(login(&other, "/", "guest", 131072, 0).reply_type == AMQP_RESPONSE_NORMAL);
    amqp_channel_open(other, 1);
    amqp_queue_declare(other, 1, queue, 1, 0, 0, 0, amqp_empty_table);
    EXPECT(refused(other, 1, 405));
    amqp_connection_close(other, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(other);
    amqp_bytes_free(queue);
    return NULL;
}

static const char *properties_round_trip(conn_t c)
{
    amqp_bytes_t queue = own_queue(c);
    amqp_message_t message;
    amqp_basic_properties_t sent = {
        ._flags = 0xfffc & ~(amqp_flags_t)AMQP_BASIC_HEADERS_FLAG,
        .content_type = str("text/plain"),
        .content_encoding = str("utf-8"),
        .delivery_mode = 2,
        .priority = 7,
        .correlation_id = str("c"),
        .reply_to = str("r"),
        .expiration = str("60000"),
        .message_id = str("m"),
        .timestamp = 1767225600,
        .type = str("t"),
        .user_id = str("guest"),
        .app_id = str("a"),
        .cluster_id = str("k"),
    };
    EXPECT(amqp_basic_publish(c, 1, amqp_empty_bytes, queue, 0, 0, &sent, str("x")) == 0);
    EXPECT(take(c, queue, true, &message));
    amqp_basic_properties_t *got = &message.properties;
    EXPECT(got->_flags == sent._flags);
    EXPECT(same(got->content_type, "text/plain") && same(got->content_encoding, "utf-8"));
    EXPECT(got->delivery_mode == 2 && got->priority == 7 && got->timestamp == 1767225600);
    EXPECT(same(got->correlation_id, "c") && same(got->reply_to, "r"));
    EXPECT(same(got->expiration, "60000") && same(got->message_id, "m") && same(got->type, "t"));
    EXPECT(same(got->user_id, "guest") && same(got->app_id, "a") && same(got->cluster_id, "k"));
    amqp_destroy_message(&message);
    amqp_bytes_free(queue);
    return NULL;
}

/* Every kind of field value that librabbitmq can write, one header each. */
static const char *header_types_round_trip(conn_t c)
{
    amqp_bytes_t queue = own_queue(c);
    amqp_message_t message;
    amqp_table_entry_t inner[] = {
        { str("deep"), { AMQP_FIELD_KIND_UTF8, { .bytes = str("x") } } },
    };
    amqp_field_value_t items[] = {
        { AMQP_FIELD_KIND_I32, { .i32 = 1 } },
        { AMQP_FIELD_KIND_UTF8, { .bytes = str("two") } },
    };
    amqp_table_entry_t entries[] = {
        { str("t"), { AMQP_FIELD_KIND_BOOLEAN, { .boolean = 1 } } },
        { str("b"), { AMQP_FIELD_KIND_I8, { .i8 = -8 } } },
        { str("B"), { AMQP_FIELD_KIND_U8, { .u8 = 200 } } },
        { str("s"), { AMQP_FIELD_KIND_I16, { .i16 = -300 } } },
        { str("u"), { AMQP_FIELD_KIND_U16, { .u16 = 60000 } } },
        { str("I"), { AMQP_FIELD_KIND_I32, { .i32 = -70000 } } },
        { str("i"), { AMQP_FIELD_KIND_U32, { .u32 = 4000000000u } } },
        { str("l"), { AMQP_FIELD_KIND_I64, { .i64 = -5000000000 } } },
        { str("f"), { AMQP_FIELD_KIND_F32, { .f32 = 0.5f } } },
        { str("d"), { AMQP_FIELD_KIND_F64, { .f64 = 1.25 } } },
        { str("D"), { AMQP_FIELD_KIND_DECIMAL, { .decimal = { 2, 314 } } } },
        { str("S"), { AMQP_FIELD_KIND_UTF8, { .bytes = str("text") } } },
        { str("T"), { AMQP_FIELD_KIND_TIMESTAMP, { .u64 = 1767225600 } } },
        { str("V"), { AMQP_FIELD_KIND_VOID, { 0 } } },
        { str("x"), { AMQP_FIELD_KIND_BYTES, { .bytes = { 2, "\0\xff" } } } },
        { str("A"), { AMQP_FIELD_KIND_ARRAY, { .array = { 2, items } } } },
        { str("F"), { AMQP_FIELD_KIND_TABLE, { .table = { 1, inner } } } },
    };
    enum { COUNT = sizeof(entries) / sizeof(*entries) };
    amqp_basic_properties_t sent = { ._flags = AMQP_BASIC_HEADERS_FLAG,
                                     .headers = { COUNT, entries } };
    EXPECT(amqp_basic_publish(c, 1, amqp_empty_bytes, queue, 0, 0, &sent, str("x")) == 0);
    EXPECT(take(c, queue, true, &message));
    amqp_table_t *got = &message.properties.headers;
    EXPECT(got->num_entries == COUNT);
    for (int i = 0; i < COUNT; i++) {
        amqp_field_value_t *a = &entries[i].value, *b = &got->entries[i].value;
        EXPECT(same(got->entries[i].key, entries[i].key.bytes));
        EXPECT(a->kind == b->kind);
        switch (a->kind) {
        case AMQP_FIELD_KIND_UTF8:
        case AMQP_FIELD_KIND_BYTES:
            EXPECT(a->value.bytes.len == b->value.bytes.len);
            EXPECT(memcmp(a->value.bytes.bytes, b->value.bytes.bytes, a->value.bytes.len) == 0);
            break;
        case AMQP_FIELD_KIND_ARRAY:
            EXPECT(b->value.array.num_entries == 2 && b->value.array.entries[0].value.i32 == 1);
            EXPECT(same(b->value.array.entries[1].value.bytes, "two"));
            break;
        case AMQP_FIELD_KIND_TABLE:
            EXPECT(b->value.table.num_entries == 1 && same(b->value.table.entries[0].key, "deep"));
            break;
        case AMQP_FIELD_KIND_DECIMAL:
            EXPECT(b->value.decimal.decimals == 2 && b->value.decimal.value == 314);
            break;
        case AMQP_FIELD_KIND_F32:
            EXPECT(b->value.f32 == 0.5f);
            break;
        case AMQP_FIELD_KIND_BOOLEAN:
            EXPECT(b->value.boolean);
            break;
        case AMQP_FIELD_KIND_I8:
        case AMQP_FIELD_KIND_U8:
            EXPECT(a->value.u8 == b->value.u8);
            break;
        case AMQP_FIELD_KIND_I16:
        case AMQP_FIELD_KIND_U16:
            EXPECT(a->value.u16 == b->value.u16);
            break;
        case AMQP_FIELD_KIND_I32:
        case AMQP_FIELD_KIND_U32:
            EXPECT(a->value.u32 == b->value.u32);
            break;
        case AMQP_FIELD_KIND_VOID:
            break;
        default:
            EXPECT(a->value.u64 == b->value.u64);
        }
    }
    amqp_destroy_message(&message);
    amqp_bytes_free(queue);
    return NULL;
}

static const char *consuming(conn_t c)
{
    amqp_bytes_t queue = own_queue(c);
    amqp_envelope_t envelope;
    uint64_t tags[3];
    send(c, queue, "1");
    send(c, queue, "2");
    send(c, queue, "3");
    EXPECT(amqp_basic_qos(c, 1, 0, 2, 0));
    EXPECT(amqp_basic_consume(c, 1, queue, str("tag"), 0, 0, 0, amqp_empty_table));
    for (int i = 0; i < 2; i++) {
        EXPECT(consumes(c, &envelope, 3000));
        EXPECT(same(envelope.consumer_tag, "tag") && !envelope.redelivered);
        tags[i] = envelope.delivery_tag;
        amqp_destroy_envelope(&envelope);
    }
    EXPECT(!consumes(c, &envelope, 60));
    EXPECT(amqp_basic_ack(c, 1, tags[0], 0) == AMQP_STATUS_OK);
    EXPECT(consumes(c, &envelope, 3000));
    tags[2] = envelope.delivery_tag;
    EXPECT(same(envelope.message.body, "3"));
    amqp_destroy_envelope(&envelope);
    EXPECT(amqp_basic_nack(c, 1, tags[2], 1, 1) == AMQP_STATUS_OK);
    for (int i = 0; i < 2; i++) {
        EXPECT(consumes(c, &envelope, 3000));
        EXPECT(envelope.redelivered && same(envelope.message.body, i ? "3" : "2"));
        EXPECT(amqp_basic_reject(c, 1, envelope.delivery_tag, 0) == AMQP_STATUS_OK);
        amqp_destroy_envelope(&envelope);
    }
    EXPECT(amqp_basic_cancel(c, 1, str("tag")));
    amqp_queue_declare_ok_t *ok = amqp_queue_declare(c, 1, queue, 1, 0, 0, 0, amqp_empty_table);
    EXPECT(ok && ok->message_count == 0 && ok->consumer_count == 0);
    amqp_bytes_free(queue);
    return NULL;
}

static const char *recovering(conn_t c)
{
    amqp_bytes_t queue = own_queue(c);
    amqp_message_t message;
    send(c, queue, "x");
    EXPECT(take(c, queue, false, &message));
    amqp_destroy_message(&message);
    EXPECT(amqp_basic_recover(c, 1, 1));
    EXPECT(takes(c, queue, "x"));
    amqp_bytes_free(queue);
    return NULL;
}

static const char *unknown_tag(conn_t c)
{
    amqp_basic_ack(c, 1, 9, 0);
    amqp_queue_declare(c, 1, amqp_empty_bytes, 0, 0, 1, 0, amqp_empty_table);
    EXPECT(refused(c, 1, 406));
    return NULL;
}

static const char *routing(conn_t c)
{
    amqp_bytes_t queue = own_queue(c);
    EXPECT(amqp_exchange_declare(c, 1, str("c.inner"), str("fanout"), 0, 0, 1, 0, amqp_empty_table));
    EXPECT(
        amqp_exchange_bind(c, 1, str("c.inner"), str("amq.topic"), str("c.*.x"), amqp_empty_table));
    EXPECT(amqp_queue_bind(c, 1, queue, str("c.inner"), amqp_empty_bytes, amqp_empty_table));
    EXPECT(amqp_queue_bind(c, 1, queue, str("amq.direct"), str("c.key"), amqp_empty_table));
    amqp_basic_publish(c, 1, str("amq.topic"), str("c.1.y"), 0, 0, NULL, str("no"));
    amqp_basic_publish(c, 1, str("amq.topic"), str("c.1.x"), 0, 0, NULL, str("topic"));
    amqp_basic_publish(c, 1, str("amq.direct"), str("c.key"), 0, 0, NULL, str("direct"));
    EXPECT(takes(c, queue, "topic") && takes(c, queue, "direct"));
    EXPECT(amqp_queue_unbind(c, 1, queue, str("amq.direct"), str("c.key"), amqp_empty_table));
    EXPECT(amqp_exchange_unbind(c, 1, str("c.inner"), str("amq.topic"), str("c.*.x"),
                                amqp_empty_table));
    EXPECT(amqp_queue_purge(c, 1, queue));
    amqp_bytes_free(queue);
    return NULL;
}

static const char *confirms(conn_t c)
{
    amqp_bytes_t queue = own_queue(c);
    amqp_method_t method;
    uint64_t confirmed = 0;
    EXPECT(amqp_confirm_select(c, 1));
    for (int i = 0; i < 100; i++)
        send(c, queue, "x");
    while (confirmed < 100) {
        EXPECT(comes(c, AMQP_BASIC_ACK_METHOD, &method));
        amqp_basic_ack_t *ack = method.decoded;
        EXPECT(ack->delivery_tag > confirmed || !ack->multiple);
        confirmed = ack->multiple ? ack->delivery_tag : confirmed + 1;
    }
    EXPECT(confirmed == 100);
    amqp_bytes_free(queue);
    return NULL;
}

static const char *returned(conn_t c)
{
    amqp_method_t method;
    amqp_message_t message;
    EXPECT(amqp_confirm_select(c, 1));
    amqp_basic_publish(c, 1, str("amq.direct"), str("nobody"), 1, 0, NULL, str("lost"));
    EXPECT(comes(c, AMQP_BASIC_RETURN_METHOD, &method));
    amqp_basic_return_t *back = method.decoded;
    EXPECT(back->reply_code == 312 && same(back->reply_text, "NO_ROUTE"));
    EXPECT(same(back->exchange, "amq.direct") && same(back->routing_key, "nobody"));
    EXPECT(amqp_read_message(c, 1, &message, 0).reply_type == AMQP_RESPONSE_NORMAL);
    EXPECT(same(message.body, "lost"));
    amqp_destroy_message(&message);
    EXPECT(comes(c, AMQP_BASIC_ACK_METHOD, &method));
    return NULL;
}

static const char *transactions(conn_t c)
{
    amqp_bytes_t queue = own_queue(c);
    EXPECT(amqp_tx_select(c, 1));
    send(c, queue, "no");
    EXPECT(amqp_tx_rollback(c, 1));
    send(c, queue, "yes");
    EXPECT(amqp_tx_commit(c, 1));
    EXPECT(takes(c, queue, "yes"));
    amqp_bytes_free(queue);
    return NULL;
}

static const char *cancelled_by_broker(conn_t c)
{
    amqp_method_t method;
    EXPECT(amqp_queue_declare(c, 1, str("c.gone"), 0, 0, 0, 0, amqp_empty_table));
    EXPECT(amqp_basic_consume(c, 1, str("c.gone"), str("watch"), 0, 1, 0, amqp_empty_table));
    amqp_channel_open(c, 2);
    EXPECT(amqp_queue_delete(c, 2, str("c.gone"), 0, 0));
    EXPECT(comes(c, AMQP_BASIC_CANCEL_METHOD, &method));
    EXPECT(same(((amqp_basic_cancel_t *)method.decoded)->consumer_tag, "watch"));
    return NULL;
}

static const char *direct_reply_to(conn_t c)
{
    amqp_bytes_t queue = own_queue(c);
    amqp_basic_properties_t ask = { ._flags = AMQP_BASIC_REPLY_TO_FLAG,
                                    .reply_to = str("amq.rabbitmq.reply-to") };
    amqp_envelope_t envelope;
    amqp_message_t asked;
    EXPECT(amqp_basic_consume(c, 1, ask.reply_to, str("replies"), 0, 1, 0, amqp_empty_table));
    amqp_basic_publish(c, 1, amqp_empty_bytes, queue, 0, 0, &ask, str("ping"));
    EXPECT(take(c, queue, true, &asked));
    EXPECT(starts(asked.properties.reply_to, "amq.rabbitmq.reply-to."));
    amqp_basic_publish(c, 1, amqp_empty_bytes, asked.properties.reply_to, 0, 0, NULL, str("pong"));
    amqp_destroy_message(&asked);
    EXPECT(consumes(c, &envelope, 3000));
    EXPECT(same(envelope.consumer_tag, "replies") && same(envelope.message.body, "pong"));
    amqp_destroy_envelope(&envelope);
    amqp_bytes_free(queue);
    return NULL;
}

static const char *large_bodies(conn_t c)
{
    static const size_t sizes[] = { 1 << 20, (16 << 20) - 1 };
    amqp_bytes_t queue = own_queue(c);
    for (size_t i = 0; i < 2; i++) {
        amqp_bytes_t body = amqp_bytes_malloc(sizes[i]);
        amqp_message_t message;
        memset(body.bytes, 'z', body.len);
        EXPECT(amqp_basic_publish(c, 1, amqp_empty_bytes, queue, 0, 0, NULL, body) == 0);
        EXPECT(take(c, queue, true, &message));
        EXPECT(message.body.len == body.len && memcmp(message.body.bytes, body.bytes, body.len) == 0);
        amqp_destroy_message(&message);
        amqp_bytes_free(body);
        amqp_maybe_release_buffers(c);
    }
    amqp_bytes_free(queue);
    return NULL;
}

static const char *many_channels(conn_t c)
{
    amqp_bytes_t queue = own_queue(c);
    for (amqp_channel_t channel = 2; channel <= 200; channel++) {
        EXPECT(amqp_channel_open(c, channel));
        amqp_basic_publish(c, channel, amqp_empty_bytes, queue, 0, 0, NULL, str("x"));
        amqp_maybe_release_buffers(c);
    }
    for (int i = 2; i <= 200; i++)
        EXPECT(takes(c, queue, "x"));
    EXPECT(amqp_channel_close(c, 200, AMQP_REPLY_SUCCESS).reply_type == AMQP_RESPONSE_NORMAL);
    EXPECT(amqp_channel_open(c, 200));
    amqp_bytes_free(queue);
    return NULL;
}

static const char *heartbeats(conn_t unused)
{
    conn_t c;
    amqp_frame_t frame;
    struct timeval wait = { 3, 200000 };
    (void)unused;
    EXPECT(login(&c, "/", "guest", 131072, 1).reply_type == AMQP_RESPONSE_NORMAL);
    /* Sends and expects heartbeats while it waits. */
    EXPECT(amqp_simple_wait_frame_noblock(c, &frame, &wait) == AMQP_STATUS_TIMEOUT);
    EXPECT(amqp_channel_open(c, 1));
    amqp_connection_close(c, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(c);
    return NULL;
}

static void check(const char *name, check_fn run)
{
    conn_t c;
    const char *why = "login";

    if (login(&c, "/", "guest", 131072, 0).reply_type == AMQP_RESPONSE_NORMAL) {
        amqp_channel_open(c, 1);
        alarm(12);
        why = run(c);
        alarm(0);
        amqp_connection_close(c, AMQP_REPLY_SUCCESS);
    }
    amqp_destroy_connection(c);
    failures += why != NULL;
    if (why)
        printf("not ok %s: %s\n", name, why);
    else
        printf("ok %s\n", name);
    fflush(stdout);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    check("connect", connects);
    check("wrong password is 403", wrong_password);
    check("missing vhost is 530", missing_vhost);
    check("frames of 4096 bytes", smallest_frames);
    check("declare every kind", declares);
    check("refusals close only their channel", refusals);
    check("locked queue is 405", locked_queue);
    check("properties round trip", properties_round_trip);
    check("header types round trip", header_types_round_trip);
    check("consume, ack, nack, reject, prefetch, cancel", consuming);
    check("recover", recovering);
    check("unknown delivery tag is 406", unknown_tag);
    check("routing and exchange bindings", routing);
    check("confirms", confirms);
    check("return comes before its confirm", returned);
    check("transactions", transactions);
    check("consumer is told when its queue goes", cancelled_by_broker);
    check("direct reply-to", direct_reply_to);
    check("large bodies", large_bodies);
    check("many channels", many_channels);
    check("heartbeats", heartbeats);
    return failures != 0;
}
