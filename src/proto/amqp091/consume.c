/* basic.consume, cancel, get and qos, and the way of a delivery to the socket. */
#include "base/mem.h"
#include "base/table.h"
#include "broker/names.h"
#include "proto/amqp091/amqp_priv.h"

/* ---- what the channel got, by queue ---- */

struct lv_amqp_used *lv_amqp_used_of(struct lv_amqp_chan *ch, struct lv_bytes queue)
{
    struct lv_amqp_used *u;

    if (ch->used_count >= LV_PUBLISHED_TO_MAX)
        queue.len = 0;
    for (u = ch->used; u != NULL; u = u->next)
        if (lv_bytes_eq(lv_bytes(u->queue, u->len), queue))
            return u;
    u = lv_mem_zalloc(sizeof(*u) + queue.len, LV_TAG_CHANNEL);
    if (u == NULL)
        return NULL;
    u->len = (uint8_t)queue.len;
    if (queue.len != 0)
        memcpy(u->queue, queue.ptr, queue.len);
    u->next = ch->used;
    ch->used = u;
    ch->used_count++;
    return u;
}

void lv_amqp_used_free(struct lv_amqp_chan *ch)
{
    struct lv_amqp_used *u;

    while ((u = ch->used) != NULL) {
        ch->used = u->next;
        lv_mem_free(u, LV_TAG_CHANNEL);
    }
}

/* ---- subscriptions ---- */

struct lv_amqp_sub *lv_amqp_sub_new(struct lv_amqp_chan *ch, struct lv_bytes tag,
                                    struct lv_bytes queue, struct lv_bytes arguments)
{
    struct lv_amqp_used *used = lv_amqp_used_of(ch, queue);
    size_t bytes = LV_AMQP_DELIVER_HEAD + tag.len + queue.len + arguments.len;
    struct lv_amqp_sub *sub =
        used != NULL ? lv_mem_zalloc(sizeof(*sub) + bytes, LV_TAG_CHANNEL) : NULL;

    if (sub == NULL)
        return NULL;
    sub->sub.session = &ch->conn->s;
    sub->ch = ch;
    sub->used = used;
    sub->refs = 1;
    sub->is_get = tag.len == 0; /* a consumer is never without */
    sub->tag_len = (uint8_t)tag.len;
    lv_list_init(&sub->link);
    uint8_t *p = lv_amqp_put_frame_head(sub->head, LV_AMQP_FRAME_METHOD, ch->number, 0);
    lv_put_be32(p, LV_AMQP_BASIC_DELIVER);
    p = lv_amqp_put_short(p + 4, tag);
    sub->queue_len = (uint8_t)queue.len;
    sub->arguments_len = (uint32_t)arguments.len;
    if (queue.len != 0)
        memcpy(p, queue.ptr, queue.len);
    if (arguments.len != 0)
        memcpy(p + queue.len, arguments.ptr, arguments.len);
    return sub;
}

void lv_amqp_sub_count(struct lv_amqp_sub *sub)
{
    *(sub->sub.no_ack ? &sub->used->out.deliver_no_ack : &sub->used->out.deliver) += sub->delivered;
    sub->delivered = 0;
}

void lv_amqp_sub_unref(struct lv_amqp_sub *sub)
{
    if (--sub->refs != 0)
        return;
    lv_amqp_sub_count(sub);
    lv_mem_free(sub, LV_TAG_CHANNEL);
}

struct lv_amqp_sub *lv_amqp_consumer_find(struct lv_amqp_chan *ch, struct lv_bytes tag)
{
    LV_LIST_FOR (l, &ch->consumers) {
        struct lv_amqp_sub *sub = LV_CONTAINER_OF(l, struct lv_amqp_sub, link);
        if (lv_bytes_eq(lv_amqp_sub_tag(sub), tag))
            return sub;
    }
    return NULL;
}

static uint32_t count_consumers(const struct lv_amqp_chan *ch)
{
    uint32_t n = 0;

    LV_LIST_FOR (l, &ch->consumers)
        n++;
    return n;
}

/* ---- deliver ---- */

/* A delivery that came from another loop when the channel-wide limit was already reached. */
struct held {
    struct lv_link link;
    struct lv_amqp_sub *sub; /* pins */
    struct lv_msg *msg;      /* pins */
    uint32_t slot, failures;
    bool redelivered;
};

/* basic.deliver, content header, and a small body: one piece of output. */
static void write_delivery(struct lv_amqp_sub *sub, const struct lv_delivery *d, uint64_t tag)
{
    struct lv_amqp_conn *ac = sub->ch->conn;
    struct lv_conn *c = &ac->s.conn;
    struct lv_msg *m = d->msg;
    uint32_t args = 1u + sub->tag_len + 8 + 1 + 1 + m->exchange_len + 1 + m->key_len;
    bool is_whole = m->body_len <= LV_BODY_INLINE_MAX && m->props_len <= LV_BODY_INLINE_MAX &&
                    m->body_len <= ac->frame_max - LV_AMQP_FRAME_OVERHEAD;
    size_t room = LV_AMQP_FRAME_OVERHEAD + 4 + args;

    if (LV_LIKELY(is_whole))
        room += LV_AMQP_CONTENT_FRAME_BYTES(m->props_len) + LV_AMQP_FRAME_OVERHEAD + m->body_len;
    uint8_t *start = lv_conn_reserve(c, room);
    if (LV_UNLIKELY(start == NULL))
        return;
    memcpy(start, sub->head, LV_AMQP_DELIVER_HEAD + sub->tag_len);
    lv_put_be32(start + 3, 4 + args);
    uint8_t *p = start + LV_AMQP_DELIVER_HEAD + sub->tag_len;
    lv_put_be64(p, tag);
    p[8] = d->redelivered;
    p = lv_amqp_put_short(p + 9, lv_msg_exchange(m));
    p = lv_amqp_put_short(p, lv_msg_key(m));
    *p++ = LV_AMQP_FRAME_END;
    if (LV_UNLIKELY(!is_whole)) {
        lv_conn_wrote(c, (size_t)(p - start));
        lv_amqp_write_content(ac, sub->ch->number, m);
        return;
    }
    p = lv_amqp_put_content(p, sub->ch->number, m->body_len, lv_msg_props(m));
    if (m->body_len != 0) {
        p = lv_amqp_put_frame_head(p, LV_AMQP_FRAME_BODY, sub->ch->number, m->body_len);
        memcpy(p, m->body, m->body_len);
        p += m->body_len;
        *p++ = LV_AMQP_FRAME_END;
    }
    lv_conn_wrote(c, (size_t)(p - start));
}

/* Tells the client how often its delivery has failed (RabbitMQ: x-delivery-count); without memory it does not say. */
static void write_failed_before(struct lv_amqp_sub *sub, const struct lv_delivery *d, uint64_t tag)
{
    struct lv_delivery told = *d;

    told.msg = lv_amqp_with_count(d->msg, d->failures);
    write_delivery(sub, &told, tag);
    lv_msg_unref(told.msg);
}

static bool limit_is_reached(const struct lv_amqp_chan *ch)
{
    return ch->global_limit != 0 && ch->consumed_open >= ch->global_limit;
}

/* All consumers of the channel wait. The one that just delivered is stopped by the sink's answer. */
static void stop_channel(struct lv_amqp_chan *ch, const struct lv_amqp_sub *delivering)
{
    ch->is_stopped = true;
    LV_LIST_FOR (l, &ch->consumers) {
        struct lv_amqp_sub *other = LV_CONTAINER_OF(l, struct lv_amqp_sub, link);
        if (other != delivering)
            lv_sub_pause(&other->sub);
    }
}

static bool hold(struct lv_amqp_sub *sub, const struct lv_delivery *d)
{
    struct held *h = lv_mem_alloc(sizeof(*h), LV_TAG_CHANNEL);
    struct lv_msg *kept = h != NULL ? lv_msg_keep(d->msg) : NULL;

    if (kept == NULL) {
        lv_mem_free(h, LV_TAG_CHANNEL);
        return false;
    }
    *h = (struct held){ .sub = sub,
                        .msg = kept,
                        .slot = d->slot,
                        .failures = d->failures,
                        .redelivered = d->redelivered };
    sub->refs++;
    lv_list_push(&sub->ch->held, &h->link);
    return true;
}

static void held_free(struct held *h)
{
    lv_msg_unref(h->msg);
    lv_amqp_sub_unref(h->sub);
    lv_mem_free(h, LV_TAG_CHANNEL);
}

void lv_amqp_held_drop(struct lv_amqp_chan *ch)
{
    struct lv_link *l;

    while ((l = lv_list_pop(&ch->held)) != NULL) {
        struct held *h = LV_CONTAINER_OF(l, struct held, link);
        lv_sub_settle(&h->sub->sub, &h->slot, 1, LV_UNSEEN);
        held_free(h);
    }
}

enum lv_sink_answer lv_amqp_deliver(struct lv_sub *base, const struct lv_delivery *d)
{
    struct lv_amqp_sub *sub = (struct lv_amqp_sub *)base;
    struct lv_amqp_chan *ch = sub->ch;

    if (d->slot != LV_SLOT_NONE) {
        if (LV_UNLIKELY(limit_is_reached(ch)) && hold(sub, d))
            return LV_SINK_STOP;
        if (LV_UNLIKELY(lv_amqp_unacked_push(&ch->unacked, ch->last_tag + 1, sub, d->slot) != LV_OK)) {
            lv_conn_close(&ch->conn->s.conn, 0); /* without memory it could never be settled */
            return LV_SINK_STOP;
        }
        sub->refs++;
        ch->consumed_open++;
    }
    sub->delivered++;
    if (LV_UNLIKELY(d->redelivered))
        sub->used->out.redeliver++;
    if (LV_UNLIKELY(d->msg->stamp != 0))
        lv_session_delivered(&ch->conn->s, d);
    ch->last_tag++;
    if (LV_LIKELY(d->failures == 0))
        write_delivery(sub, d, ch->last_tag);
    else
        write_failed_before(sub, d, ch->last_tag);
    /* A client that must settle is waited for: it begins while the rest of the turn goes on. */
    if (LV_UNLIKELY(ch->conn->s.conn.out_bytes > LV_OUT_EAGER_BYTES) && d->slot != LV_SLOT_NONE)
        lv_conn_flush(&ch->conn->s.conn);
    if (LV_UNLIKELY(limit_is_reached(ch)) && d->slot != LV_SLOT_NONE) {
        stop_channel(ch, sub);
        return LV_SINK_STOP;
    }
    return LV_UNLIKELY(lv_conn_is_full(&ch->conn->s.conn)) ? LV_SINK_STOP : LV_SINK_MORE;
}

void lv_amqp_chan_resume(struct lv_amqp_chan *ch)
{
    struct lv_link *l;

    while (!limit_is_reached(ch) && (l = lv_list_pop(&ch->held)) != NULL) {
        struct held *h = LV_CONTAINER_OF(l, struct held, link);
        struct lv_delivery d = {
            .msg = h->msg, .slot = h->slot, .failures = h->failures, .redelivered = h->redelivered
        };
        (void)lv_amqp_deliver(&h->sub->sub, &d);
        held_free(h);
    }
    if (limit_is_reached(ch))
        return;
    ch->is_stopped = false;
    LV_LIST_FOR_SAFE (it, &ch->consumers) {
        if (limit_is_reached(ch) || lv_conn_is_full(&ch->conn->s.conn))
            return;
        lv_sub_resume(&LV_CONTAINER_OF(it, struct lv_amqp_sub, link)->sub);
    }
}

/* ---- consume ---- */

static void consumed(struct lv_session *s, struct lv_call *call)
{
    struct lv_amqp_chan *ch = lv_amqp_call_chan(s, call);
    struct lv_amqp_sub *sub = (struct lv_amqp_sub *)call->sub;

    if (call->failure.code != 0) {
        lv_amqp_sub_unref(sub);
        (void)lv_amqp_failed(ch, call);
        return;
    }
    lv_list_push(&ch->consumers, &sub->link);
    if (ch->conn->state != LV_AMQP_RUNNING)
        return; /* it closes, and takes the consumer along */
    if (!lv_amqp_call_no_wait(call))
        LV_AMQP_SEND(ch->conn, ch->number, basic_consume_ok, .consumer_tag = lv_amqp_sub_tag(sub));
    if (!ch->is_stopped)
        lv_sub_start(&sub->sub);
}

static bool consumer_priority(struct lv_amqp_chan *ch, const struct lv_amqp_basic_consume *m,
                              struct lv_bytes queue, int32_t *out)
{
    struct lv_value v;
    char rs[LV_RS_MAX];

    *out = 0;
    if (!lv_table_find(m->arguments, LV_BYTES_LIT("x-priority"), &v))
        return true;
    if (v.kind != LV_KIND_INT) {
        lv_amqp_error(ch, 406, "invalid arg 'x-priority' for %s: \"expected integer, got %s\"",
                      lv_rs(rs, sizeof(rs), "queue", queue, ch->conn->s.vhost),
                      lv_value_type_name(&v));
        return false;
    }
    *out = (int32_t)LV_MAX(LV_MIN(v.i, INT32_MAX), INT32_MIN);
    return true;
}

bool lv_amqp_consume(struct lv_amqp_chan *ch, const struct lv_amqp_basic_consume *m)
{
    struct lv_session *s = &ch->conn->s;
    char made[9 + LV_RANDOM_NAME_LEN] = "amq.ctag-";
    struct lv_bytes tag = m->consumer_tag, queue;
    int32_t priority;

    if (lv_amqp_is_reply_to(m->queue)) {
        lv_amqp_reply_consume(ch, m);
        return true;
    }
    if (!lv_amqp_queue_name(ch, m->queue, &queue))
        return true;
    if (tag.len == 0) {
        lv_random_name(made + 9);
        tag = lv_bytes(made, sizeof(made));
    } else if (lv_amqp_consumer_find(ch, tag) != NULL) {
        lv_amqp_error(ch, 530, "attempt to reuse consumer tag '%.*s'", LV_BYTES_FMT(tag));
        return true;
    }
    uint32_t consumers_max = lv_amqp_settings(ch->conn)->consumer_max_per_channel;
    if (count_consumers(ch) >= consumers_max) {
        lv_amqp_error(ch, 530, "reached maximum (%u) of consumers per channel", consumers_max);
        return true;
    }
    if (!lv_amqp_may_name(ch, LV_OP_BASIC_CONSUME, queue) ||
        !consumer_priority(ch, m, queue, &priority))
        return true;
    unsigned home = lv_session_queue_loop(s, queue);
    if (lv_session_follow(s, home))
        return false; /* again over there */
    struct lv_amqp_sub *sub = lv_amqp_sub_new(ch, tag, queue, m->arguments);
    struct lv_call *call = sub != NULL ? lv_amqp_call(ch, m->no_wait, consumed) : NULL;
    if (call == NULL) {
        lv_mem_free(sub, LV_TAG_CHANNEL);
        lv_amqp_error(ch, 541, "out of memory");
        return true;
    }
    sub->is_exclusive = m->exclusive;
    call->name = queue;
    call->sub = &sub->sub;
    call->no_ack = m->no_ack;
    call->exclusive = m->exclusive;
    call->priority = priority;
    call->credit = ch->prefetch;
    lv_subscribe(call);
    return true;
}

/* ---- cancel ---- */

static void cancelled_by_client(struct lv_session *s, struct lv_call *call)
{
    struct lv_amqp_chan *ch = lv_amqp_call_chan(s, call);
    struct lv_amqp_sub *sub = (struct lv_amqp_sub *)call->sub;

    if (!lv_amqp_call_no_wait(call))
        LV_AMQP_SEND(ch->conn, ch->number, basic_cancel_ok, .consumer_tag = lv_amqp_sub_tag(sub));
    if (lv_list_linked(&sub->link)) { /* its queue did not go away meanwhile */
        lv_list_remove(&sub->link);
        lv_amqp_sub_unref(sub);
    }
    lv_amqp_sub_unref(sub); /* the call's own */
}

void lv_amqp_cancel(struct lv_amqp_chan *ch, const struct lv_amqp_basic_cancel *m)
{
    struct lv_amqp_sub *sub = lv_amqp_consumer_find(ch, m->consumer_tag);

    if (sub == NULL) { /* unknown or already gone: agreed (RabbitMQ) */
        (void)lv_amqp_reply_cancel(ch, m->consumer_tag);
        if (!m->no_wait)
            LV_AMQP_SEND(ch->conn, ch->number, basic_cancel_ok, .consumer_tag = m->consumer_tag);
        return;
    }
    struct lv_call *call = lv_amqp_call(ch, m->no_wait, cancelled_by_client);
    if (call == NULL)
        return;
    call->sub = &sub->sub;
    sub->refs++; /* while the call is away the queue, or a permission, may go */
    lv_unsubscribe(call);
}

/* The queue went away. Clients that did not ask to be told hear nothing (RabbitMQ). */
void lv_amqp_cancelled(struct lv_sub *base)
{
    struct lv_amqp_sub *sub = (struct lv_amqp_sub *)base;
    struct lv_amqp_conn *ac = sub->ch->conn;

    if (!lv_list_linked(&sub->link))
        return; /* its own end is under way */
    if (ac->state == LV_AMQP_RUNNING && (ac->caps & LV_AMQP_CAP_CANCEL_NOTIFY) != 0)
        LV_AMQP_SEND(ac, sub->ch->number, basic_cancel, .consumer_tag = lv_amqp_sub_tag(sub),
                     .no_wait = true);
    lv_list_remove(&sub->link);
    lv_amqp_sub_count(sub);
    lv_amqp_sub_unref(sub);
}

void lv_amqp_recheck(struct lv_session *s)
{
    struct lv_amqp_conn *ac = (struct lv_amqp_conn *)s;

    for (uint32_t i = 0; ac->state == LV_AMQP_RUNNING && i < ac->chan_cap; i++) {
        struct lv_amqp_chan *ch = ac->chans[i];
        if (ch == NULL)
            continue;
        LV_LIST_FOR_SAFE (l, &ch->consumers) {
            struct lv_amqp_sub *sub = LV_CONTAINER_OF(l, struct lv_amqp_sub, link);
            if (lv_check(&s->pass, lv_amqp_checks(ch), LV_THING_QUEUE, lv_amqp_sub_queue(sub),
                         LV_READ))
                continue;
            lv_sub_end(&sub->sub);
            lv_amqp_cancelled(&sub->sub);
        }
    }
}

/* ---- get ---- */

static void write_get_ok(struct lv_amqp_chan *ch, const struct lv_call *call, uint64_t tag)
{
    LV_AMQP_SEND(ch->conn, ch->number, basic_get_ok, .delivery_tag = tag,
                 .redelivered = call->redelivered, .exchange = lv_msg_exchange(call->msg),
                 .routing_key = lv_msg_key(call->msg),
                 .message_count = (uint32_t)LV_MIN(call->messages, UINT32_MAX));
    struct lv_msg *msg = lv_amqp_with_count(call->msg, call->failures);
    lv_amqp_write_content(ch->conn, ch->number, msg);
    lv_msg_unref(msg);
}

static void count_got(struct lv_amqp_used *used, const struct lv_call *call)
{
    if (call->slot != LV_SLOT_NONE)
        used->out.get++;
    else
        used->out.get_no_ack++;
    used->out.redeliver += call->redelivered;
}

static void got(struct lv_session *s, struct lv_call *call)
{
    struct lv_amqp_chan *ch = lv_amqp_call_chan(s, call);
    struct lv_amqp_sub *sub = NULL;

    if (lv_amqp_failed(ch, call))
        return;
    struct lv_amqp_used *used = lv_amqp_used_of(ch, call->name);
    if (call->is_empty) {
        if (used != NULL)
            used->out.get_empty++;
        LV_AMQP_SEND(ch->conn, ch->number, basic_get_empty, .reserved_1 = LV_BYTES_LIT(""));
        return;
    }
    if (call->slot != LV_SLOT_NONE) {
        sub = lv_amqp_sub_new(ch, lv_bytes(NULL, 0), call->name, lv_bytes(NULL, 0));
        if (sub != NULL)
            sub->sub.queue = call->queue;
        if (sub == NULL ||
            lv_amqp_unacked_push(&ch->unacked, ch->last_tag + 1, sub, call->slot) != LV_OK) {
            lv_mem_free(sub, LV_TAG_CHANNEL);
            lv_conn_close(&s->conn, 0); /* without memory it could never be settled */
            lv_msg_unref(call->msg);
            return;
        }
    }
    if (used != NULL)
        count_got(used, call);
    write_get_ok(ch, call, ++ch->last_tag);
    lv_msg_unref(call->msg);
}

void lv_amqp_get(struct lv_amqp_chan *ch, const struct lv_amqp_basic_get *m)
{
    struct lv_bytes queue;

    if (!lv_amqp_queue_name(ch, m->queue, &queue) || !lv_amqp_may_name(ch, LV_OP_BASIC_GET, queue))
        return;
    struct lv_call *call = lv_amqp_call(ch, false, got);
    if (call == NULL)
        return;
    call->name = queue;
    call->no_ack = m->no_ack;
    lv_get(call);
}

/* ---- qos ---- */

/* RabbitMQ: global means the channel's consumers together, otherwise each consumer that is yet to come. */
void lv_amqp_qos(struct lv_amqp_chan *ch, const struct lv_amqp_basic_qos *m)
{
    if (m->prefetch_size != 0) {
        lv_amqp_error(ch, 540, "prefetch_size!=0 (%u)", m->prefetch_size);
        return;
    }
    if (m->global) {
        ch->global_limit = m->prefetch_count;
    } else {
        ch->prefetch = m->prefetch_count;
        ch->global_limit = 0;
    }
    LV_AMQP_SEND(ch->conn, ch->number, basic_qos_ok, );
    if (limit_is_reached(ch))
        stop_channel(ch, NULL);
    else if (ch->is_stopped)
        lv_amqp_chan_resume(ch);
}
