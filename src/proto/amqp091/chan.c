/* A channel: opening, its methods, closing. */
#include "base/mem.h"
#include "proto/amqp091/amqp_priv.h"

/* ---- life ---- */

static bool reserve_number(struct lv_amqp_conn *ac, uint16_t number)
{
    uint32_t cap = ac->chan_cap != 0 ? ac->chan_cap : 2;

    if (number < ac->chan_cap)
        return true;
    while (cap <= number)
        cap *= 2;
    struct lv_amqp_chan **chans = lv_mem_realloc(ac->chans, cap * sizeof(*chans), LV_TAG_CONN);
    if (chans == NULL)
        return false;
    memset(chans + ac->chan_cap, 0, (cap - ac->chan_cap) * sizeof(*chans));
    ac->chans = chans;
    ac->chan_cap = cap;
    return true;
}

void lv_amqp_chan_open(struct lv_amqp_conn *ac, uint16_t number)
{
    static _Thread_local uint8_t epochs;
    struct lv_amqp_chan *ch = NULL;
    struct lv_refusal why;

    if (ac->chan_count >= ac->channel_max) { /* RabbitMQ counts channels, and takes any number */
        lv_amqp_conn_error(
            ac, 530, 0, "number of channels opened (%u) has reached the negotiated channel_max (%u)",
            ac->chan_count, ac->channel_max);
        return;
    }
    if (lv_pass_open_channel(&ac->s.pass, &why) != LV_OK) {
        lv_amqp_conn_error(ac, why.code, LV_AMQP_CHANNEL_OPEN, "%s", why.text);
        return;
    }
    if (!reserve_number(ac, number) || (ch = lv_mem_zalloc(sizeof(*ch), LV_TAG_CHANNEL)) == NULL) {
        lv_pass_close_channel(&ac->s.pass);
        lv_amqp_conn_error(ac, 541, LV_AMQP_CHANNEL_OPEN, "out of memory");
        return;
    }
    ch->conn = ac;
    ch->number = number;
    ch->epoch = ++epochs;
    ch->confirms.next = ch->confirms.done = 1;
    lv_list_init(&ch->consumers);
    lv_list_init(&ch->held);
    lv_list_init(&ch->confirms.link);
    ac->chans[number] = ch;
    ac->chan_count++;
    lv_session_count_channel(&ac->s, true);
    LV_AMQP_SEND(ac, number, channel_open_ok, .reserved_1 = LV_BYTES_LIT(""));
}

void lv_amqp_chan_end(struct lv_amqp_chan *ch)
{
    LV_LIST_FOR_SAFE (l, &ch->consumers) {
        struct lv_amqp_sub *sub = LV_CONTAINER_OF(l, struct lv_amqp_sub, link);
        lv_list_remove(l);
        lv_sub_end(&sub->sub);
        lv_amqp_sub_unref(sub);
    }
    lv_amqp_reply_free(ch);
}

void lv_amqp_chan_leave(struct lv_amqp_chan *ch)
{
    lv_amqp_chan_end(ch);
    lv_amqp_tx_drop(ch);
    lv_amqp_held_drop(ch);
    lv_amqp_settle(ch, 0, UINT64_MAX, LV_FAILED);
    lv_amqp_pub_free(ch);
    lv_amqp_confirms_free(ch);
}

void lv_amqp_chan_free(struct lv_amqp_chan *ch)
{
    struct lv_amqp_conn *ac = ch->conn;

    lv_amqp_chan_leave(ch);
    ac->chans[ch->number] = NULL;
    ac->chan_count--;
    lv_session_count_channel(&ac->s, false);
    if (ac->last == ch)
        ac->last = NULL;
    lv_mem_free(ch->unacked.ring, LV_TAG_CHANNEL);
    lv_amqp_used_free(ch);
    lv_mem_free(ch->last_queue, LV_TAG_CHANNEL);
    if (ch->checks != NULL)
        lv_check_cache_fini(ch->checks);
    lv_mem_free(ch->checks, LV_TAG_CHANNEL);
    lv_mem_free(ch, LV_TAG_CHANNEL);
    lv_pass_close_channel(&ac->s.pass);
}

/* ---- permission ---- */

struct lv_check_cache *lv_amqp_checks(struct lv_amqp_chan *ch)
{
    if (LV_UNLIKELY(ch->checks == NULL))
        ch->checks = lv_mem_zalloc(sizeof(*ch->checks), LV_TAG_CHANNEL);
    return ch->checks;
}

bool lv_amqp_may(struct lv_amqp_chan *ch, enum lv_operation operation, const struct lv_operands *on)
{
    struct lv_refusal why;

    if (LV_LIKELY(lv_check_operation(&ch->conn->s.pass, lv_amqp_checks(ch), operation, on, &why) ==
                  LV_OK))
        return true;
    lv_amqp_error(ch, why.code, "%s", why.text);
    return false;
}

bool lv_amqp_may_name(struct lv_amqp_chan *ch, enum lv_operation operation, struct lv_bytes name)
{
    return lv_amqp_may(ch, operation, &(struct lv_operands){ .name = name });
}

/* ---- calls ---- */

#define COOKIE_NO_WAIT (UINT64_C(1) << 16)

struct lv_call *lv_amqp_call(struct lv_amqp_chan *ch, bool no_wait,
                             void (*done)(struct lv_session *, struct lv_call *))
{
    struct lv_call *call = lv_call_new(&ch->conn->s, done);

    if (call == NULL)
        lv_amqp_error(ch, 541, "out of memory");
    else
        call->cookie = ch->number | (no_wait ? COOKIE_NO_WAIT : 0);
    return call;
}

struct lv_amqp_chan *lv_amqp_call_chan(struct lv_session *s, const struct lv_call *call)
{
    return lv_amqp_chan_find((struct lv_amqp_conn *)s, (uint16_t)call->cookie);
}

bool lv_amqp_call_no_wait(const struct lv_call *call)
{
    return (call->cookie & COOKIE_NO_WAIT) != 0;
}

bool lv_amqp_queue_name(struct lv_amqp_chan *ch, struct lv_bytes name, struct lv_bytes *out)
{
    *out = name;
    if (name.len != 0)
        return true;
    if (ch->last_queue == NULL) {
        lv_amqp_error(ch, 404, "no previously declared queue");
        return false;
    }
    *out = lv_bytes(ch->last_queue + 1, ch->last_queue[0]);
    return true;
}

/* ---- methods of one line ---- */

static void channel_close(struct lv_amqp_chan *ch, const struct lv_amqp_channel_close *m)
{
    struct lv_amqp_conn *ac = ch->conn;
    uint16_t number = ch->number;

    (void)m;
    lv_amqp_confirm_flush(ch);
    lv_amqp_chan_free(ch);
    LV_AMQP_SEND(ac, number, channel_close_ok, );
}

static void second_open(struct lv_amqp_chan *ch, const struct lv_amqp_channel_open *m)
{
    (void)m;
    lv_amqp_error(ch, 504, "second 'channel.open' seen");
}

static void unasked_flow_ok(struct lv_amqp_chan *ch, const struct lv_amqp_channel_flow_ok *m)
{
    (void)m;
    lv_amqp_error(ch, 503, "unimplemented method");
}

static void channel_flow(struct lv_amqp_chan *ch, const struct lv_amqp_channel_flow *m)
{
    if (!m->active)
        lv_amqp_error(ch, 540, "active=false");
    else
        LV_AMQP_SEND(ch->conn, ch->number, channel_flow_ok, .active = true);
}

static void access_request(struct lv_amqp_chan *ch, const struct lv_amqp_access_request *m)
{
    (void)m;
    LV_AMQP_SEND(ch->conn, ch->number, access_request_ok, .ticket = 1);
}

static void confirm_select(struct lv_amqp_chan *ch, const struct lv_amqp_confirm_select *m)
{
    lv_amqp_confirm_select(ch, m->no_wait);
}

static void basic_ack(struct lv_amqp_chan *ch, const struct lv_amqp_basic_ack *m)
{
    lv_amqp_client_settles(ch, m->delivery_tag, m->multiple, LV_ACCEPTED);
}

static void basic_nack(struct lv_amqp_chan *ch, const struct lv_amqp_basic_nack *m)
{
    lv_amqp_client_settles(ch, m->delivery_tag, m->multiple, m->requeue ? LV_RELEASED : LV_REJECTED);
}

static void basic_reject(struct lv_amqp_chan *ch, const struct lv_amqp_basic_reject *m)
{
    lv_amqp_client_settles(ch, m->delivery_tag, false, m->requeue ? LV_FAILED : LV_REJECTED);
}

static void basic_recover(struct lv_amqp_chan *ch, const struct lv_amqp_basic_recover *m)
{
    lv_amqp_recover(ch, m->requeue, true);
}

static void basic_recover_async(struct lv_amqp_chan *ch, const struct lv_amqp_basic_recover_async *m)
{
    lv_amqp_recover(ch, m->requeue, false);
}

static void basic_cancel_ok(struct lv_amqp_chan *ch, const struct lv_amqp_basic_cancel_ok *m)
{
    (void)ch, (void)m; /* some clients answer our basic.cancel although it said no-wait */
}

static void tx_select(struct lv_amqp_chan *ch, const struct lv_amqp_tx_select *m)
{
    (void)m;
    lv_amqp_tx_select(ch);
}

static void tx_commit(struct lv_amqp_chan *ch, const struct lv_amqp_tx_commit *m)
{
    (void)m;
    lv_amqp_tx_commit(ch);
}

static void tx_rollback(struct lv_amqp_chan *ch, const struct lv_amqp_tx_rollback *m)
{
    (void)m;
    lv_amqp_tx_rollback(ch);
}

/* ---- dispatch ---- */

/* Only these mean anything to a channel that waits for its close-ok. */
static void closing_method(struct lv_amqp_chan *ch, uint32_t method)
{
    if (method == LV_AMQP_CHANNEL_CLOSE)
        LV_AMQP_SEND(ch->conn, ch->number, channel_close_ok, );
    else if (method == LV_AMQP_CHANNEL_OPEN)
        lv_amqp_conn_error(ch->conn, 504, method, "second 'channel.open' seen");
    else if (method == LV_AMQP_CHANNEL_CLOSE_OK)
        lv_amqp_chan_free(ch);
}

#define ON(NAME, name, handle)                 \
    case LV_AMQP_##NAME: {                     \
        struct lv_amqp_##name m;               \
        err = lv_amqp_decode_##name(args, &m); \
        if (err == LV_OK)                      \
            handle(ch, &m);                    \
        break;                                 \
    }

bool lv_amqp_chan_method(struct lv_amqp_chan *ch, uint32_t method, struct lv_bytes args)
{
    struct lv_amqp_conn *ac = ch->conn;
    enum lv_err err = LV_OK;

    if (ch->state == LV_AMQP_CHAN_CLOSING) {
        closing_method(ch, method);
        return true;
    }
    ch->method = method;
    ch->active_ms = lv_loop_now(ac->s.conn.loop);
    switch (method) {
        ON(BASIC_PUBLISH, basic_publish, lv_amqp_publish_begin)
        ON(BASIC_ACK, basic_ack, basic_ack)
        ON(BASIC_NACK, basic_nack, basic_nack)
        ON(BASIC_REJECT, basic_reject, basic_reject)
        ON(BASIC_GET, basic_get, lv_amqp_get)
        ON(BASIC_QOS, basic_qos, lv_amqp_qos)
        ON(BASIC_CANCEL, basic_cancel, lv_amqp_cancel)
        ON(BASIC_CANCEL_OK, basic_cancel_ok, basic_cancel_ok)
        ON(BASIC_RECOVER, basic_recover, basic_recover)
        ON(BASIC_RECOVER_ASYNC, basic_recover_async, basic_recover_async)
        ON(QUEUE_DECLARE, queue_declare, lv_amqp_queue_declare)
        ON(QUEUE_BIND, queue_bind, lv_amqp_queue_bind)
        ON(QUEUE_UNBIND, queue_unbind, lv_amqp_queue_unbind)
        ON(QUEUE_PURGE, queue_purge, lv_amqp_queue_purge)
        ON(QUEUE_DELETE, queue_delete, lv_amqp_queue_delete)
        ON(EXCHANGE_DECLARE, exchange_declare, lv_amqp_exchange_declare)
        ON(EXCHANGE_DELETE, exchange_delete, lv_amqp_exchange_delete)
        ON(EXCHANGE_BIND, exchange_bind, lv_amqp_exchange_bind)
        ON(EXCHANGE_UNBIND, exchange_unbind, lv_amqp_exchange_unbind)
        ON(CONFIRM_SELECT, confirm_select, confirm_select)
        ON(TX_SELECT, tx_select, tx_select)
        ON(TX_COMMIT, tx_commit, tx_commit)
        ON(TX_ROLLBACK, tx_rollback, tx_rollback)
        ON(CHANNEL_OPEN, channel_open, second_open)
        ON(CHANNEL_CLOSE, channel_close, channel_close)
        ON(CHANNEL_FLOW_OK, channel_flow_ok, unasked_flow_ok)
        ON(CHANNEL_FLOW, channel_flow, channel_flow)
        ON(ACCESS_REQUEST, access_request, access_request)
    case LV_AMQP_BASIC_CONSUME: {
        struct lv_amqp_basic_consume m;
        err = lv_amqp_decode_basic_consume(args, &m);
        if (err == LV_OK && !lv_amqp_consume(ch, &m))
            return false;
        break;
    }
    default:
        if (lv_amqp_method_traits(method) == 0)
            lv_amqp_cannot_decode(ac, 0, args, LV_ESYNTAX);
        else
            lv_amqp_conn_error(ac, 503, method, "unimplemented method");
    }
    if (err != LV_OK)
        lv_amqp_cannot_decode(ac, method, args, err);
    return true;
}
