/* basic.publish: method, header, body; then to the queues.
 *
 * Two ways in. Most messages lie whole in the read buffer: lv_amqp_publish_whole takes their three frames at once and
 * publishes a borrowed message, which nobody copies unless a queue must keep it. Everything else comes frame by
 * frame and gathers in a message of its own; large bodies are read straight into it. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/props.h"
#include "base/table.h"
#include "proto/amqp091/amqp_priv.h"

/* One message as it was received. */
struct publish {
    struct lv_bytes exchange, key;
    struct lv_bytes raw_props;
    struct lv_props props;
    struct lv_msg *msg; /* exchange, key and body; props too unless they were rebuilt */
    bool mandatory;
};

#define KEYS_MAX 64u /* CC and BCC keys of one message kept on the stack; more go to the heap */

static struct lv_amqp_pub *pub_of(struct lv_amqp_chan *ch)
{
    if (LV_UNLIKELY(ch->pub == NULL)) {
        ch->pub = lv_mem_zalloc(sizeof(*ch->pub), LV_TAG_CHANNEL);
        if (ch->pub == NULL)
            lv_amqp_error(ch, 541, "out of memory");
        else
            ch->pub->memo.checks = lv_amqp_checks(ch);
    }
    return ch->pub;
}

/* The message dies while its body is read into it: the rest of the frame comes to nobody. */
static void stop_filling(struct lv_amqp_conn *ac)
{
    lv_conn_read_drop(&ac->s.conn);
    ac->filling = NULL;
    ac->filling_left = 0;
    ac->wants_end = true;
}

void lv_amqp_pub_free(struct lv_amqp_chan *ch)
{
    if (ch->pub == NULL)
        return;
    if (ch->conn->filling == ch)
        stop_filling(ch->conn);
    if (ch->pub->msg != NULL)
        lv_msg_unref(ch->pub->msg);
    lv_route_memo_fini(&ch->conn->s, &ch->pub->memo);
    lv_mem_free(ch->pub, LV_TAG_CHANNEL);
    ch->pub = NULL;
    if (ch->state == LV_AMQP_CHAN_HEADER || ch->state == LV_AMQP_CHAN_BODY)
        ch->state = LV_AMQP_CHAN_READY;
}

/* ---- what is in the properties ---- */

/* RabbitMQ's rabbit_basic:parse_expiration: a decimal number of milliseconds and nothing else, at most ten years. */
static bool check_expiration(struct lv_amqp_chan *ch, const struct lv_props *props,
                             struct lv_msg *msg)
{
    struct lv_bytes text = props->expiration;
    size_t i = 0, start = 0;
    bool is_negative = false;
    uint64_t v = 0;
    char reason[400];

    if (text.len > 0 && (text.ptr[0] == '-' || text.ptr[0] == '+')) {
        is_negative = text.ptr[0] == '-';
        start = i = 1;
    }
    for (; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
        v = v > UINT64_MAX / 10 - 10 ? UINT64_MAX / 10 - 10 : v * 10 + (uint64_t)(text.ptr[i] - '0');
    if (i == start)
        snprintf(reason, sizeof(reason), "no_integer");
    else if (i < text.len)
        snprintf(reason, sizeof(reason), "{leftover_string,\"%.*s\"}", (int)(text.len - i),
                 (const char *)text.ptr + i);
    else if (is_negative && v != 0)
        snprintf(reason, sizeof(reason), "{value_negative,-%" PRIu64 "}", v);
    else if (v > UINT64_C(315360000000))
        snprintf(reason, sizeof(reason), "{value_too_large,%" PRIu64 "}", v);
    else {
        lv_msg_set_ttl_ms(msg, v);
        return true;
    }
    lv_amqp_error(ch, 406, "invalid expiration '%.*s': %s", LV_BYTES_FMT(text), reason);
    return false;
}

/* Counts the keys of header `name` (CC or BCC), or puts them into `keys`; what is no string among them is passed over
 * (RabbitMQ). SIZE_MAX: not an array. */
static size_t extra_keys(struct lv_amqp_chan *ch, struct lv_bytes headers, const char *name,
                         struct lv_bytes *keys)
{
    struct lv_value list, v;
    size_t n = 0;

    if (!lv_table_find(headers, lv_bytes_str(name), &list))
        return 0;
    if (list.kind != LV_KIND_ARRAY) {
        lv_amqp_error(ch, 406, "invalid message: {unacceptable_type_in_header,<<\"%s\">>,%s}", name,
                      lv_value_type_name(&list));
        return SIZE_MAX;
    }
    struct lv_rd rd = lv_rd(list.bytes);
    while (lv_array_next(&rd, &v)) {
        if (v.kind != LV_KIND_STRING)
            continue;
        if (keys != NULL)
            keys[n] = v.bytes;
        n++;
    }
    return n;
}

/* ---- to the queues ---- */

static void unroutable(struct lv_amqp_chan *ch, const struct publish *p)
{
    lv_session_unroutable(&ch->conn->s, &ch->pub->memo, lv_amqp_fate(0, p->mandatory));
    if (p->mandatory)
        lv_amqp_return(ch, p->msg);
}

static void send_to(struct lv_amqp_chan *ch, struct publish *p, const lv_handle *queues,
                    uint32_t count)
{
    bool lost = false;
    lv_lsn end;
    uint64_t confirm = ch->mode == LV_AMQP_CONFIRM ? ch->confirms.next : 0;

    if (LV_UNLIKELY(ch->pub->memo.keeps_all))
        p->msg->persistent = true;
    if (ch->mode == LV_AMQP_TX) {
        lv_amqp_tx_publish(ch, p->msg, queues, count, p->mandatory);
        return;
    }
    lv_session_published(&ch->conn->s, &ch->pub->memo, p->msg, confirm);
    if (LV_UNLIKELY(count == 0))
        unroutable(ch, p);
    uint32_t lack = lv_session_publish(&ch->conn->s, queues, count, p->msg,
                                       lv_amqp_confirm_token(ch), &lost, &end);
    lv_amqp_confirm(ch, lost ? LV_AMQP_NACKED : lack, end);
}

static void route(struct lv_amqp_chan *ch, struct publish *p, const struct lv_bytes *more_keys,
                  size_t more_count)
{
    struct lv_amqp_pub *pub = pub_of(ch);
    struct lv_refusal why;
    char rs[LV_RS_MAX];

    if (pub == NULL)
        return;
    enum lv_err err = lv_session_route(&ch->conn->s, &pub->memo, p->exchange, p->key, more_keys,
                                       more_count, p->props.headers, &why);
    if (LV_LIKELY(err == LV_OK)) {
        send_to(ch, p, pub->memo.queues, pub->memo.count);
        return;
    }
    lv_rs(rs, sizeof(rs), "exchange", p->exchange, ch->conn->s.vhost);
    if (err == LV_EREFUSED && why.code != 0)
        lv_amqp_error(ch, why.code, "%s", why.text);
    else if (err == LV_ENOTFOUND)
        lv_amqp_error(ch, 404, "no %s", rs);
    else if (err == LV_EREFUSED)
        lv_amqp_error(ch, 403, "cannot publish to internal %s", rs);
    else
        lv_amqp_error(ch, 541, "%s", lv_err_text(err));
}

/* The message again with other properties: what has its own memory gets it anew, what is borrowed stays borrowed. */
static struct lv_msg *with_props(const struct lv_msg *m, struct lv_bytes props,
                                 struct lv_msg *borrowed)
{
    if (lv_msg_is_borrowed(m)) {
        *borrowed = *m;
        borrowed->props = props.ptr;
        borrowed->props_len = (uint32_t)props.len;
        return borrowed;
    }
    return lv_msg_with(m, lv_msg_exchange(m), lv_msg_key(m), props);
}

/* Properties that the broker must change on the way: a reply address filled in, BCC taken out. */
static void publish_rebuilt(struct lv_amqp_chan *ch, struct publish *p,
                            const struct lv_bytes *more_keys, size_t more_count, bool has_bcc)
{
    size_t cap = p->raw_props.len + LV_SHORTSTR_MAX;
    uint8_t *props = lv_mem_alloc(2 * cap, LV_TAG_CHANNEL);
    struct lv_props changed = p->props;
    struct publish rebuilt = *p;
    struct lv_msg borrowed;

    if (props == NULL) {
        lv_amqp_error(ch, 541, "out of memory");
        return;
    }
    if (has_bcc) {
        struct lv_wr headers = lv_wr(props + cap, cap);
        lv_table_copy_without(&headers, p->props.headers, LV_BYTES_LIT("BCC"));
        changed.headers = lv_bytes(props + cap, headers.used);
    }
    if (lv_bytes_eq(p->props.reply_to, LV_BYTES_LIT(LV_AMQP_REPLY_TO)))
        changed.reply_to = lv_amqp_reply_address(ch);
    struct lv_wr w = lv_wr(props, cap);
    lv_props_write(&w, &changed);
    LV_ASSERT(lv_wr_ok(&w));
    rebuilt.msg = with_props(p->msg, lv_bytes(props, w.used), &borrowed);
    if (rebuilt.msg == NULL) {
        lv_amqp_error(ch, 541, "out of memory");
    } else {
        route(ch, &rebuilt, more_keys, more_count);
        if (rebuilt.msg == &borrowed)
            lv_msg_done(&borrowed);
        else
            lv_msg_unref(rebuilt.msg);
    }
    lv_mem_free(props, LV_TAG_CHANNEL);
}

#define RARE_PROPS (LV_PROP_HEADERS | LV_PROP_EXPIRATION | LV_PROP_USER_ID | LV_PROP_REPLY_TO)

/* Everything but the straight road: headers, expiration, user-id, reply-to. The order of checks is RabbitMQ's. */
static void publish_rare(struct lv_amqp_chan *ch, struct publish *p)
{
    const struct lv_props *props = &p->props;
    struct lv_bytes on_stack[KEYS_MAX], *keys = on_stack;
    bool wants_reply = lv_bytes_eq(props->reply_to, LV_BYTES_LIT(LV_AMQP_REPLY_TO));
    struct lv_value v;

    if (!lv_amqp_may_name(ch, LV_OP_BASIC_PUBLISH, p->exchange))
        return;
    if (lv_session_find_exchange(&ch->conn->s, p->exchange) != LV_OK) {
        route(ch, p, NULL, 0); /* says 404 or 403 */
        return;
    }
    if (wants_reply && ch->reply == NULL) {
        lv_amqp_error(ch, 406, "fast reply consumer does not exist");
        return;
    }
    if ((props->flags & LV_PROP_EXPIRATION) != 0 && !check_expiration(ch, props, p->msg))
        return;
    size_t cc = extra_keys(ch, props->headers, "CC", NULL);
    size_t bcc = cc != SIZE_MAX ? extra_keys(ch, props->headers, "BCC", NULL) : SIZE_MAX;
    if (bcc == SIZE_MAX)
        return;
    if (cc + bcc > KEYS_MAX) {
        keys = lv_mem_alloc((cc + bcc) * sizeof(*keys), LV_TAG_CHANNEL);
        if (keys == NULL) {
            lv_amqp_error(ch, 541, "out of memory");
            return;
        }
    }
    (void)extra_keys(ch, props->headers, "CC", keys);
    (void)extra_keys(ch, props->headers, "BCC", keys + cc);
    struct lv_operands on = {
        .name = p->exchange,
        .key = p->key,
        .more_keys = keys,
        .more_count = cc + bcc,
        .is_topic = lv_session_is_topic(&ch->conn->s, p->exchange),
        .user_id = props->user_id,
        .has_user_id = (props->flags & LV_PROP_USER_ID) != 0,
    };
    bool has_bcc = lv_table_find(props->headers, LV_BYTES_LIT("BCC"), &v);
    if (!lv_amqp_may(ch, LV_OP_BASIC_PUBLISH_ROUTED, &on)) {
        if (keys != on_stack)
            lv_mem_free(keys, LV_TAG_CHANNEL);
        return;
    }
    if (wants_reply || has_bcc)
        publish_rebuilt(ch, p, keys, cc + bcc, has_bcc);
    else
        route(ch, p, keys, cc + bcc);
    if (keys != on_stack)
        lv_mem_free(keys, LV_TAG_CHANNEL);
}

/* A reply to whoever consumes the pseudo-queue of that name. */
static bool publish_reply(struct lv_amqp_chan *ch, struct publish *p)
{
    if (LV_LIKELY(p->exchange.len != 0 || p->key.len <= sizeof(LV_AMQP_REPLY_TO) ||
                  !lv_bytes_has_prefix(p->key, LV_BYTES_LIT(LV_AMQP_REPLY_TO "."))))
        return false;
    if (!lv_amqp_may_name(ch, LV_OP_BASIC_PUBLISH, p->exchange))
        return true;
    if (p->mandatory) {
        lv_amqp_reply_send_mandatory(ch, p->msg);
    } else {
        lv_amqp_reply_send(ch, p->msg);
        lv_amqp_confirm(ch, 0, 0);
    }
    return true;
}

static void block(struct lv_amqp_conn *ac, const char *reason)
{
    if ((ac->caps & LV_AMQP_CAP_BLOCKED) != 0)
        LV_AMQP_SEND(ac, 0, connection_blocked, .reason = lv_bytes_str(reason));
}

static void publish(struct lv_amqp_chan *ch, struct publish *p)
{
    p->msg->persistent = p->props.delivery_mode == 2;
    p->msg->priority = p->props.priority;
    p->msg->has_priority = (p->props.flags & LV_PROP_PRIORITY) != 0;
    if (LV_UNLIKELY((p->props.flags & RARE_PROPS) != 0)) {
        if (!publish_reply(ch, p))
            publish_rare(ch, p);
    } else if (LV_LIKELY(!publish_reply(ch, p))) {
        route(ch, p, NULL, 0);
    }
    const char *reason = lv_session_block(&ch->conn->s);
    if (LV_UNLIKELY(reason != NULL))
        block(ch->conn, reason);
}

static void refuse_immediate(struct lv_amqp_chan *ch)
{
    lv_amqp_error(ch, 540, "immediate=true");
}

static bool is_too_large(struct lv_amqp_chan *ch, uint64_t body_bytes)
{
    uint32_t max = lv_amqp_settings(ch->conn)->max_message_size;

    if (LV_LIKELY(body_bytes <= max))
        return false;
    lv_amqp_error(ch, 406,
                  max == LV_BODY_BYTES_HARD_MAX
                      ? "message size %" PRIu64 " is larger than max size %u"
                      : "message size %" PRIu64 " is larger than configured max size %u",
                  body_bytes, max);
    return true;
}

/* ---- the whole message in the buffer ---- */

size_t lv_amqp_publish_whole(struct lv_amqp_conn *ac, struct lv_bytes in)
{
    const uint8_t *p = in.ptr;
    struct lv_amqp_frame method, header, body;
    struct lv_amqp_content content;
    size_t n, used;

    /* Frame head 7, class and method 4, ticket 2, two short strings 2, bits 1, end 1 */
    if (in.len < 17 || p[0] != LV_AMQP_FRAME_METHOD || lv_be32(p + 7) != LV_AMQP_BASIC_PUBLISH ||
        ac->state != LV_AMQP_RUNNING)
        return 0;
    struct lv_amqp_chan *ch = lv_amqp_chan_find(ac, lv_be16(p + 1));
    if (LV_UNLIKELY(ch == NULL || ch->state != LV_AMQP_CHAN_READY))
        return 0;
    if (LV_UNLIKELY(lv_amqp_frame_next(in, ac->payload_max, &method, &used) != LV_OK))
        return 0;
    if (LV_UNLIKELY(lv_amqp_frame_next(lv_bytes(p + used, in.len - used), ac->payload_max, &header,
                                       &n) != LV_OK))
        return 0;
    if (LV_UNLIKELY(header.type != LV_AMQP_FRAME_HEADER || header.channel != method.channel ||
                    lv_amqp_decode_content(header.payload, &content) != LV_OK ||
                    content.class_id != LV_AMQP_CLASS_BASIC || content.weight != 0))
        return 0;
    used += n;
    body.payload = lv_bytes(NULL, 0);
    if (content.body_size != 0) {
        if (lv_amqp_frame_next(lv_bytes(p + used, in.len - used), ac->payload_max, &body, &n) !=
                LV_OK ||
            body.type != LV_AMQP_FRAME_BODY || body.channel != method.channel ||
            body.payload.len != content.body_size)
            return 0;
        used += n;
    }
    struct lv_amqp_basic_publish m;
    struct publish pub;
    if (lv_amqp_decode_basic_publish(lv_bytes(method.payload.ptr + 4, method.payload.len - 4),
                                     &m) != LV_OK ||
        lv_props_decode(content.props, &pub.props) != LV_OK)
        return 0;
    ch->method = LV_AMQP_BASIC_PUBLISH;
    if (LV_UNLIKELY(m.immediate)) {
        refuse_immediate(ch);
        return used;
    }
    if (is_too_large(ch, content.body_size))
        return used;
    struct lv_msg msg = {
        .exchange = m.exchange.ptr,
        .exchange_len = (uint8_t)m.exchange.len,
        .key = m.routing_key.ptr,
        .key_len = (uint8_t)m.routing_key.len,
        .props = content.props.ptr,
        .props_len = (uint32_t)content.props.len,
        .body = body.payload.ptr,
        .body_len = (uint32_t)body.payload.len,
    };
    pub.exchange = m.exchange;
    pub.key = m.routing_key;
    pub.raw_props = content.props;
    pub.msg = &msg;
    pub.mandatory = m.mandatory;
    publish(ch, &pub);
    lv_msg_done(&msg);
    return used;
}

/* ---- frame by frame ---- */

void lv_amqp_publish_begin(struct lv_amqp_chan *ch, const struct lv_amqp_basic_publish *m)
{
    struct lv_amqp_pub *pub = pub_of(ch);

    if (pub == NULL)
        return;
    pub->exchange_len = (uint8_t)m->exchange.len;
    pub->key_len = (uint8_t)m->routing_key.len;
    if (m->exchange.len != 0)
        memcpy(pub->text, m->exchange.ptr, m->exchange.len);
    if (m->routing_key.len != 0)
        memcpy(pub->text + m->exchange.len, m->routing_key.ptr, m->routing_key.len);
    pub->mandatory = m->mandatory;
    pub->immediate = m->immediate;
    ch->state = LV_AMQP_CHAN_HEADER;
}

static void content_complete(struct lv_amqp_chan *ch)
{
    struct lv_amqp_pub *pub = ch->pub;
    struct lv_msg *msg = pub->msg;
    struct publish p;

    pub->msg = NULL;
    ch->state = LV_AMQP_CHAN_READY;
    if (pub->immediate)
        refuse_immediate(ch);
    else if (!is_too_large(ch, pub->body_size)) {
        p.exchange = lv_msg_exchange(msg);
        p.key = lv_msg_key(msg);
        p.raw_props = lv_msg_props(msg);
        p.msg = msg;
        p.mandatory = pub->mandatory;
        enum lv_err err = lv_props_decode(p.raw_props, &p.props);
        LV_ASSERT(err == LV_OK); /* checked with the header */
        publish(ch, &p);
    }
    if (msg != NULL)
        lv_msg_unref(msg);
}

void lv_amqp_content_header(struct lv_amqp_chan *ch, const struct lv_amqp_frame *f)
{
    struct lv_amqp_pub *pub = ch->pub;
    struct lv_amqp_conn *ac = ch->conn;
    struct lv_amqp_content content;
    struct lv_props props;

    ch->method = LV_AMQP_BASIC_PUBLISH;
    if (lv_amqp_decode_content(f->payload, &content) != LV_OK) {
        lv_amqp_unknown_frame(ac, f);
        return;
    }
    if (content.weight != 0) {
        lv_amqp_conn_error(
            ac, 505, LV_AMQP_BASIC_PUBLISH,
            "expected content header for class 60, got non content header frame instead");
        return;
    }
    if (content.class_id != LV_AMQP_CLASS_BASIC) {
        lv_amqp_conn_error(ac, 505, LV_AMQP_BASIC_PUBLISH,
                           "expected content header for class 60, got one for class %u instead",
                           content.class_id);
        return;
    }
    if (content.body_size > LV_BODY_BYTES_HARD_MAX) {
        lv_amqp_conn_error(ac, 501, LV_AMQP_BASIC_PUBLISH,
                           "content body size %" PRIu64 " exceeds maximum allowed size %u",
                           content.body_size, LV_BODY_BYTES_HARD_MAX);
        return;
    }
    if (lv_props_decode(content.props, &props) != LV_OK) {
        lv_amqp_cannot_decode(ac, LV_AMQP_BASIC_PUBLISH, content.props, LV_ESYNTAX);
        return;
    }
    pub->body_size = content.body_size;
    pub->body_got = 0;
    if (content.body_size <= lv_amqp_settings(ac)->max_message_size) {
        pub->msg = lv_msg_new(lv_bytes(pub->text, pub->exchange_len),
                              lv_bytes(pub->text + pub->exchange_len, pub->key_len), content.props,
                              (uint32_t)content.body_size);
        if (pub->msg == NULL) {
            lv_amqp_error(ch, 541, "out of memory");
            return;
        }
    }
    ch->state = LV_AMQP_CHAN_BODY;
    if (content.body_size == 0)
        content_complete(ch);
}

uint8_t *lv_amqp_content_room(struct lv_amqp_chan *ch, size_t n)
{
    struct lv_amqp_pub *pub = ch->pub;

    if (pub->msg == NULL || n > pub->body_size - pub->body_got)
        return NULL;
    return lv_msg_body_room(pub->msg) + pub->body_got;
}

void lv_amqp_content_body(struct lv_amqp_chan *ch, struct lv_bytes bytes)
{
    struct lv_amqp_pub *pub = ch->pub;

    if (ch->state != LV_AMQP_CHAN_BODY)
        return; /* the channel was closed while its body was being read */
    if (bytes.len > pub->body_size - pub->body_got) {
        lv_amqp_conn_error(ch->conn, 501, LV_AMQP_BASIC_PUBLISH,
                           "content body frame exceeds remaining content size");
        return;
    }
    if (bytes.ptr != NULL && bytes.len != 0 && pub->msg != NULL)
        memcpy(lv_msg_body_room(pub->msg) + pub->body_got, bytes.ptr, bytes.len);
    pub->body_got += bytes.len;
    if (pub->body_got == pub->body_size)
        content_complete(ch);
}
