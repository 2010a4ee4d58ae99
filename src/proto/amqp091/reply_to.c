/* Direct reply-to: a requester consumes amq.rabbitmq.reply-to and gets answers without a queue in between.
 *
 * The address put into its messages is amq.rabbitmq.reply-to.<text>: the session's handle, the channel and a random
 * number, so that nobody can guess his way to somebody else's channel. At most once: who is gone gets nothing. */
#include <stdio.h>

#include "base/mem.h"
#include "broker/names.h"
#include "os/os.h"
#include "proto/amqp091/amqp_priv.h"

#define PREFIX LV_AMQP_REPLY_TO "."
#define TOKEN_LEN 32u /* hexadecimal: handle 16, consumer 16 */

struct lv_amqp_reply {
    uint64_t consumer; /* random 48, channel 16 */
    uint8_t tag_len;
    uint8_t tag[LV_SHORTSTR_MAX];
    char address[sizeof(PREFIX) + TOKEN_LEN]; /* with NUL */
};

bool lv_amqp_is_reply_to(struct lv_bytes queue)
{
    return lv_bytes_eq(queue, LV_BYTES_LIT(LV_AMQP_REPLY_TO)) ||
           lv_bytes_has_prefix(queue, LV_BYTES_LIT(PREFIX));
}

void lv_amqp_reply_free(struct lv_amqp_chan *ch)
{
    lv_mem_free(ch->reply, LV_TAG_CHANNEL);
    ch->reply = NULL;
}

struct lv_bytes lv_amqp_reply_address(const struct lv_amqp_chan *ch)
{
    return lv_bytes_str(ch->reply->address);
}

void lv_amqp_reply_consume(struct lv_amqp_chan *ch, const struct lv_amqp_basic_consume *m)
{
    char made[9 + LV_RANDOM_NAME_LEN] = "amq.ctag-";
    struct lv_bytes tag = m->consumer_tag;
    uint64_t random;

    if (m->queue.len != sizeof(LV_AMQP_REPLY_TO) - 1) {
        char rs[LV_RS_MAX];
        lv_amqp_error(ch, 406, "only creator channel may consume from %s",
                      lv_rs(rs, sizeof(rs), "queue", m->queue, ch->conn->s.vhost));
        return;
    }
    if (!m->no_ack) {
        lv_amqp_error(ch, 406, "reply consumer cannot acknowledge");
        return;
    }
    if (ch->reply != NULL) {
        lv_amqp_error(ch, 406, "reply consumer already set");
        return;
    }
    if (tag.len == 0) {
        lv_random_name(made + 9);
        tag = lv_bytes(made, sizeof(made));
    } else if (lv_amqp_consumer_find(ch, tag) != NULL) {
        lv_amqp_error(ch, 530, "attempt to reuse consumer tag '%.*s'", LV_BYTES_FMT(tag));
        return;
    }
    struct lv_amqp_reply *reply = lv_mem_zalloc(sizeof(*reply), LV_TAG_CHANNEL);
    if (reply == NULL || lv_os_random(&random, sizeof(random)) != LV_OK) {
        lv_mem_free(reply, LV_TAG_CHANNEL);
        lv_amqp_error(ch, 541, "out of memory");
        return;
    }
    reply->consumer = random << 16 | ch->number;
    reply->tag_len = (uint8_t)tag.len;
    memcpy(reply->tag, tag.ptr, tag.len);
    snprintf(reply->address, sizeof(reply->address), PREFIX "%016llx%016llx",
             (unsigned long long)ch->conn->s.self, (unsigned long long)reply->consumer);
    ch->reply = reply;
    if (!m->no_wait)
        LV_AMQP_SEND(ch->conn, ch->number, basic_consume_ok, .consumer_tag = tag);
}

bool lv_amqp_reply_cancel(struct lv_amqp_chan *ch, struct lv_bytes tag)
{
    if (ch->reply == NULL || !lv_bytes_eq(tag, lv_bytes(ch->reply->tag, ch->reply->tag_len)))
        return false;
    lv_amqp_reply_free(ch);
    return true;
}

static bool hex_u64(const uint8_t *text, uint64_t *out)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 16; i++) {
        uint8_t c = text[i];
        unsigned digit = c >= '0' && c <= '9'   ? c - (unsigned)'0'
                         : c >= 'a' && c <= 'f' ? c - (unsigned)'a' + 10u
                                                : 16u;
        if (digit == 16)
            return false;
        v = v << 4 | digit;
    }
    *out = v;
    return true;
}

/* Takes an address apart; false when it is none of ours. */
static bool parse_address(struct lv_bytes address, uint64_t *session, uint64_t *consumer)
{
    size_t prefix = sizeof(PREFIX) - 1;

    return address.len == prefix + TOKEN_LEN && hex_u64(address.ptr + prefix, session) &&
           hex_u64(address.ptr + prefix + 16, consumer);
}

void lv_amqp_reply_send(struct lv_amqp_chan *ch, struct lv_msg *msg)
{
    uint64_t session, consumer;

    if (parse_address(lv_msg_key(msg), &session, &consumer))
        lv_session_reply(&ch->conn->s, session, consumer, msg);
}

static void sent_or_not(struct lv_session *s, struct lv_call *call)
{
    struct lv_amqp_chan *ch = lv_amqp_call_chan(s, call);

    if (call->is_empty)
        lv_amqp_return(ch, call->msg);
    lv_amqp_confirm(ch, 0, 0);
    lv_msg_unref(call->msg);
}

/* A mandatory one: whether somebody is there may be known on another loop only. */
void lv_amqp_reply_send_mandatory(struct lv_amqp_chan *ch, struct lv_msg *msg)
{
    struct lv_call *call = lv_amqp_call(ch, false, sent_or_not);

    if (call == NULL)
        return;
    call->msg = lv_msg_keep(msg);
    if (call->msg == NULL) {
        lv_call_drop(call);
        lv_amqp_error(ch, 541, "out of memory");
        return;
    }
    if (!parse_address(lv_msg_key(msg), &call->queue, &call->consumers))
        call->queue = 0; /* no session has this handle */
    lv_reply(call);
}

static struct lv_amqp_chan *find_consumer(struct lv_session *s, uint64_t consumer)
{
    struct lv_amqp_chan *ch = lv_amqp_chan_find((struct lv_amqp_conn *)s, (uint16_t)consumer);

    return ch != NULL && ch->reply != NULL && ch->reply->consumer == consumer ? ch : NULL;
}

bool lv_amqp_reply_arrived(struct lv_session *s, uint64_t consumer, struct lv_msg *msg)
{
    struct lv_amqp_chan *ch = find_consumer(s, consumer);

    if (ch == NULL || ch->state == LV_AMQP_CHAN_CLOSING)
        return false;
    if (msg == NULL)
        return true;
    LV_AMQP_SEND(ch->conn, ch->number, basic_deliver,
                 .consumer_tag = lv_bytes(ch->reply->tag, ch->reply->tag_len),
                 .delivery_tag = ++ch->last_tag, .exchange = lv_msg_exchange(msg),
                 .routing_key = lv_msg_key(msg));
    lv_amqp_write_content(ch->conn, ch->number, msg);
    return true;
}

static void say_declared(struct lv_amqp_chan *ch, struct lv_bytes name, bool is_there, bool no_wait)
{
    char rs[LV_RS_MAX];

    if (!is_there)
        lv_amqp_error(ch, 404, "no %s", lv_rs(rs, sizeof(rs), "queue", name, ch->conn->s.vhost));
    else if (!no_wait)
        LV_AMQP_SEND(ch->conn, ch->number, queue_declare_ok, .queue = name, .consumer_count = 1);
}

static void asked(struct lv_session *s, struct lv_call *call)
{
    say_declared(lv_amqp_call_chan(s, call), call->name, !call->is_empty,
                 lv_amqp_call_no_wait(call));
}

/* RabbitMQ: such a declare only asks whether anybody is there. The bare name always is. */
void lv_amqp_reply_declare(struct lv_amqp_chan *ch, struct lv_bytes name, bool no_wait)
{
    uint64_t session, consumer;

    if (!parse_address(name, &session, &consumer)) {
        say_declared(ch, name, name.len == sizeof(LV_AMQP_REPLY_TO) - 1, no_wait);
        return;
    }
    struct lv_call *call = lv_amqp_call(ch, no_wait, asked);
    if (call == NULL)
        return;
    call->name = name;
    call->queue = session;
    call->consumers = consumer;
    lv_reply(call);
}
