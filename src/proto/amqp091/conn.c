/* A connection: its frames in, its frames out, its heartbeat, its end. */
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/tls.h"
#include "os/log.h"
#include "proto/amqp091/amqp091.h"
#include "proto/amqp091/amqp_priv.h"

/* ---- out ---- */

struct lv_wr lv_amqp_out(struct lv_amqp_conn *ac, size_t n)
{
    uint8_t *room = ac->s.conn.is_closing ? NULL : lv_conn_reserve(&ac->s.conn, n);

    return lv_wr(room, room != NULL ? n : 0);
}

void lv_amqp_sent(struct lv_amqp_conn *ac, const struct lv_wr *w)
{
    if (w->buf == NULL)
        return;
    LV_ASSERT(lv_wr_ok(w));
    lv_conn_wrote(&ac->s.conn, w->used);
}

#define LINGER_MS 5000u

void lv_amqp_hang_up(struct lv_amqp_conn *ac)
{
    lv_conn_close(&ac->s.conn, LINGER_MS);
}

/* ---- channels by number ---- */

struct lv_amqp_chan *lv_amqp_chan_find(struct lv_amqp_conn *ac, uint16_t number)
{
    if (LV_LIKELY(ac->last != NULL && ac->last->number == number))
        return ac->last;
    if (number >= ac->chan_cap || ac->chans[number] == NULL)
        return NULL;
    return ac->last = ac->chans[number];
}

/* ---- in ---- */

static void leave_on_request(struct lv_amqp_conn *ac);

static void method_frame(struct lv_amqp_conn *ac, const struct lv_amqp_frame *f, bool *again)
{
    if (f->payload.len < 4) {
        lv_amqp_unknown_frame(ac, f);
        return;
    }
    uint32_t method = lv_be32(f->payload.ptr);
    struct lv_bytes args = lv_bytes(f->payload.ptr + 4, f->payload.len - 4);

    if (f->channel == 0) {
        if (method == LV_AMQP_CONNECTION_CLOSE && ac->state == LV_AMQP_RUNNING)
            leave_on_request(ac);
        else
            lv_amqp_connection_method(ac, method, args);
        return;
    }
    if (ac->state != LV_AMQP_RUNNING) {
        lv_amqp_unexpected(ac, f, NULL);
        return;
    }
    struct lv_amqp_chan *ch = lv_amqp_chan_find(ac, f->channel);
    if (ch == NULL && method == LV_AMQP_CHANNEL_OPEN) {
        lv_amqp_chan_open(ac, f->channel);
        return;
    }
    if (ch == NULL) {
        lv_amqp_conn_error(ac, 504, method, "expected 'channel.open'");
        return;
    }
    if (ch->state == LV_AMQP_CHAN_HEADER || ch->state == LV_AMQP_CHAN_BODY) {
        lv_amqp_conn_error(
            ac, 505, LV_AMQP_BASIC_PUBLISH, "%s",
            ch->state == LV_AMQP_CHAN_HEADER
                ? "expected content header for class 60, got non content header frame instead"
                : "expected content body, got non content body frame instead");
        return;
    }
    *again = !lv_amqp_chan_method(ch, method, args);
}

static void content_frame(struct lv_amqp_conn *ac, const struct lv_amqp_frame *f)
{
    struct lv_amqp_chan *ch =
        ac->state == LV_AMQP_RUNNING ? lv_amqp_chan_find(ac, f->channel) : NULL;

    if (f->channel == 0 || ac->state != LV_AMQP_RUNNING) {
        lv_amqp_unexpected(ac, f, NULL);
    } else if (ch != NULL && ch->state == LV_AMQP_CHAN_CLOSING) {
        return;
    } else if (ch == NULL || ch->state == LV_AMQP_CHAN_READY) {
        lv_amqp_unexpected(ac, f, "expected method frame, got non method frame instead");
    } else if (ch->state == LV_AMQP_CHAN_HEADER) {
        if (f->type == LV_AMQP_FRAME_HEADER)
            lv_amqp_content_header(ch, f);
        else
            lv_amqp_conn_error(
                ac, 505, LV_AMQP_BASIC_PUBLISH,
                "expected content header for class 60, got non content header frame instead");
    } else if (f->type == LV_AMQP_FRAME_BODY) {
        lv_amqp_content_body(ch, f->payload);
    } else {
        lv_amqp_conn_error(ac, 505, LV_AMQP_BASIC_PUBLISH,
                           "expected content body, got non content body frame instead");
    }
}

static void live_frame(struct lv_amqp_conn *ac, const struct lv_amqp_frame *f, bool *again)
{
    switch (f->type) {
    case LV_AMQP_FRAME_METHOD:
        method_frame(ac, f, again);
        break;
    case LV_AMQP_FRAME_HEADER:
    case LV_AMQP_FRAME_BODY:
        content_frame(ac, f);
        break;
    case LV_AMQP_FRAME_HEARTBEAT:
        if (f->payload.len != 0)
            lv_amqp_unknown_frame(ac, f);
        else if (f->channel != 0)
            lv_amqp_unexpected(ac, f, NULL);
        break;
    default:
        lv_amqp_unknown_frame(ac, f);
    }
}

static void frame(struct lv_amqp_conn *ac, const struct lv_amqp_frame *f, bool *again)
{
    if (ac->state == LV_AMQP_CLOSING || ac->state == LV_AMQP_LEAVING) {
        if (f->channel == 0 && f->type == LV_AMQP_FRAME_METHOD && f->payload.len >= 4)
            lv_amqp_connection_method(ac, lv_be32(f->payload.ptr),
                                      lv_bytes(f->payload.ptr + 4, f->payload.len - 4));
        return;
    }
    live_frame(ac, f, again);
}

/* A large body frame whose payload is still arriving: what is here goes into the message, and the rest is read
 * straight into it. Small rests are waited for as a piece. */
#define FILL_MIN 8192u

static size_t begin_filling(struct lv_amqp_conn *ac, struct lv_bytes in)
{
    uint8_t type;
    uint16_t number;
    uint32_t size;

    if (!lv_amqp_frame_peek(in, &type, &number, &size) || type != LV_AMQP_FRAME_BODY ||
        size < FILL_MIN)
        return 0;
    struct lv_amqp_chan *ch = lv_amqp_chan_find(ac, number);
    size_t here = in.len - LV_AMQP_FRAME_HEAD;
    if (ch == NULL || ch->state != LV_AMQP_CHAN_BODY || here >= size)
        return 0;
    if (lv_amqp_content_room(ch, size) == NULL)
        return 0;
    if (here != 0)
        lv_amqp_content_body(ch, lv_bytes(in.ptr + LV_AMQP_FRAME_HEAD, here));
    ac->filling = ch;
    ac->filling_left = size - (uint32_t)here;
    lv_conn_read_into(&ac->s.conn, lv_amqp_content_room(ch, ac->filling_left), ac->filling_left);
    return in.len;
}

static void conn_filled(struct lv_conn *c, size_t n)
{
    struct lv_amqp_conn *ac = (struct lv_amqp_conn *)c;

    ac->filling_left -= (uint32_t)n;
    ac->wants_end = ac->filling_left == 0;
    /* The end octet is checked before the message is complete: a part that completes the body waits for it. */
    if (ac->filling_left != 0)
        lv_amqp_content_body(ac->filling, lv_bytes(NULL, n));
    else
        ac->filling_last = (uint32_t)n;
}

static size_t end_filling(struct lv_amqp_conn *ac, struct lv_bytes in)
{
    struct lv_amqp_chan *ch = ac->filling;

    ac->wants_end = false;
    ac->filling = NULL;
    if (in.ptr[0] != LV_AMQP_FRAME_END) {
        lv_amqp_conn_error(ac, 501, 0, "type 3: {invalid_frame_end_marker,%u}", in.ptr[0]);
        return in.len;
    }
    if (ch != NULL) /* else the channel was closed meanwhile */
        lv_amqp_content_body(ch, lv_bytes(NULL, ac->filling_last));
    return 1;
}

static size_t conn_input(struct lv_conn *c, struct lv_bytes in)
{
    struct lv_amqp_conn *ac = (struct lv_amqp_conn *)c;
    size_t used = 0;

    lv_loop_doing(c->loop, "AMQP 0-9-1 input");
    if (LV_UNLIKELY(ac->state == LV_AMQP_HELLO)) {
        used = lv_amqp_hello(ac, in);
        if (used == 0)
            return 0;
    }
    if (LV_UNLIKELY(ac->wants_end))
        used = end_filling(ac, in);
    while (!c->is_paused && !c->is_closing) {
        struct lv_bytes rest = lv_bytes(in.ptr + used, in.len - used);
        struct lv_amqp_frame f;
        size_t n = lv_amqp_publish_whole(ac, rest);
        if (LV_LIKELY(n != 0)) {
            used += n;
            continue;
        }
        if (LV_UNLIKELY(ac->state == LV_AMQP_SILENT))
            return in.len;
        enum lv_err err = lv_amqp_frame_next(rest, ac->payload_max, &f, &n);
        if (err == LV_EMORE) {
            used += begin_filling(ac, rest);
            break;
        }
        if (err != LV_OK) {
            lv_amqp_bad_frame(ac, &f, rest);
            return in.len;
        }
        bool again = false;
        frame(ac, &f, &again);
        if (again)
            break;
        used += n;
    }
    return c->is_closing ? in.len : used;
}

/* ---- heartbeat ----
 * RabbitMQ: the sender looks every half interval and speaks if it was silent since; the receiver gives up after two
 * whole intervals without an octet. Any octet counts. */

static void heartbeat_tick(struct lv_loop *loop, struct lv_timer *t)
{
    struct lv_amqp_conn *ac = LV_CONTAINER_OF(t, struct lv_amqp_conn, timer);
    struct lv_conn *c = &ac->s.conn;

    if (c->bytes_out == ac->said || !ac->sent_heartbeat) {
        struct lv_wr w = lv_amqp_out(ac, LV_AMQP_FRAME_OVERHEAD);
        if (w.buf != NULL) {
            *lv_amqp_put_frame_head(w.buf, LV_AMQP_FRAME_HEARTBEAT, 0, 0) = LV_AMQP_FRAME_END;
            w.used = LV_AMQP_FRAME_OVERHEAD;
        }
        lv_amqp_sent(ac, &w);
        ac->sent_heartbeat = true;
    }
    ac->said = c->bytes_out;
    if (++ac->heartbeat_ticks == 2) {
        ac->heartbeat_ticks = 0;
        bool is_silent =
            c->bytes_in == ac->heard && !ac->s.is_blocked; /* what is not read is not counted */
        ac->heartbeats_missed = is_silent ? (uint8_t)(ac->heartbeats_missed + 1) : 0;
        ac->heard = c->bytes_in;
        if (ac->heartbeats_missed == 2) {
            lv_log(HEARTBEAT_MISSED, lv_log_bytes(ac->name), lv_log_u64(ac->heartbeat));
            lv_conn_close(c, 0);
            return;
        }
    }
    lv_timer_start(loop, t, (uint64_t)ac->heartbeat * 500, heartbeat_tick);
}

void lv_amqp_start_heartbeat(struct lv_amqp_conn *ac)
{
    lv_timer_stop(&ac->timer);
    if (ac->heartbeat != 0)
        lv_timer_start(ac->s.conn.loop, &ac->timer, (uint64_t)ac->heartbeat * 500, heartbeat_tick);
}

/* ---- the end of a turn ---- */

static void turn_end(struct lv_loop *loop, struct lv_task *task)
{
    struct lv_amqp_conn *ac = LV_CONTAINER_OF(task, struct lv_amqp_conn, turn_end);
    struct lv_link *l;

    (void)loop;
    while ((l = lv_list_pop(&ac->to_confirm)) != NULL)
        lv_amqp_confirm_flush(LV_CONTAINER_OF(l, struct lv_amqp_chan, confirms.link));
}

void lv_amqp_at_turn_end(struct lv_amqp_conn *ac)
{
    lv_loop_defer(ac->s.conn.loop, &ac->turn_end);
}

/* ---- the client's connection.close ----
 * Consumers end and what is unsettled goes back at once; exclusive queues are gone before close-ok (RabbitMQ). */

void lv_amqp_leave_all(struct lv_amqp_conn *ac)
{
    /* All consumers end before the first message goes back, or it would come to another channel of this connection. */
    for (uint32_t i = 0; i < ac->chan_cap; i++)
        if (ac->chans[i] != NULL)
            lv_amqp_chan_end(ac->chans[i]);
    for (uint32_t i = 0; i < ac->chan_cap; i++)
        if (ac->chans[i] != NULL)
            lv_amqp_chan_leave(ac->chans[i]);
}

static void session_leave(struct lv_session *s)
{
    struct lv_amqp_conn *ac = (struct lv_amqp_conn *)s;

    lv_amqp_leave_all(ac);
    for (uint32_t i = 0; i < ac->chan_cap; i++)
        if (ac->chans[i] != NULL)
            lv_amqp_chan_free(ac->chans[i]);
}

/* Exclusive queues may live on other loops: this runs again when a call is back. */
static void leave_go_on(struct lv_session *s, struct lv_call *call)
{
    struct lv_amqp_conn *ac = (struct lv_amqp_conn *)s;

    (void)call;
    if (!lv_session_drop_exclusive(s, leave_go_on) || ac->state != LV_AMQP_LEAVING)
        return;
    lv_pass_leave(&s->pass); /* whoever waits for the answer may count on the place */
    LV_AMQP_SEND(ac, 0, connection_close_ok, );
    lv_log(CONN_CLOSED, lv_log_u64(ac->s.id), lv_log_bytes(ac->name), lv_log_bytes(ac->user));
    ac->state = LV_AMQP_CLOSING;
    lv_amqp_hang_up(ac);
}

static void leave_on_request(struct lv_amqp_conn *ac)
{
    lv_loop_doing(ac->s.conn.loop, "connection.close");
    session_leave(&ac->s);
    ac->state = LV_AMQP_LEAVING;
    leave_go_on(&ac->s, NULL);
}

/* ---- the session's other duties ---- */

static void conn_drained(struct lv_conn *c)
{
    struct lv_amqp_conn *ac = (struct lv_amqp_conn *)c;

    for (uint32_t i = 0; i < ac->chan_cap; i++)
        if (ac->chans[i] != NULL)
            lv_amqp_chan_resume(ac->chans[i]);
}

static void conn_closed(struct lv_conn *c, enum lv_err why)
{
    struct lv_amqp_conn *ac = (struct lv_amqp_conn *)c;

    lv_timer_stop(&ac->timer);
    if (ac->state == LV_AMQP_RUNNING)
        lv_log(CONN_LOST, lv_log_u64(ac->s.id), lv_log_bytes(ac->name), lv_log_bytes(ac->user),
               lv_log_str(lv_err_text(why)));
    lv_session_end(&ac->s);
}

static void session_shut(struct lv_session *s, uint16_t code, const char *text)
{
    struct lv_amqp_conn *ac = (struct lv_amqp_conn *)s;

    if (ac->state == LV_AMQP_RUNNING)
        lv_amqp_conn_error(ac, code, 0, "%s", text);
    else if (ac->state != LV_AMQP_CLOSING)
        lv_conn_close(&ac->s.conn, 0);
}

static void session_unblocked(struct lv_session *s)
{
    struct lv_amqp_conn *ac = (struct lv_amqp_conn *)s;

    if ((ac->caps & LV_AMQP_CAP_BLOCKED) != 0 && ac->state == LV_AMQP_RUNNING)
        LV_AMQP_SEND(ac, 0, connection_unblocked, );
    ac->heard = s->conn.bytes_in;
    ac->heartbeats_missed = 0;
}

static bool session_can_move(const struct lv_session *s)
{
    const struct lv_amqp_conn *ac = (const struct lv_amqp_conn *)s;

    if (ac->state != LV_AMQP_RUNNING || ac->filling != NULL || ac->wants_end)
        return false;
    for (uint32_t i = 0; i < ac->chan_cap; i++) {
        const struct lv_amqp_chan *ch = ac->chans[i];
        if (ch != NULL && (ch->unacked.count != 0 || ch->reply != NULL ||
                           !lv_list_empty(&ch->consumers) || ch->tx_first != NULL))
            return false;
    }
    return true;
}

static void session_moved(struct lv_session *s)
{
    lv_amqp_start_heartbeat((struct lv_amqp_conn *)s);
}

static void session_gone(struct lv_session *s)
{
    struct lv_amqp_conn *ac = (struct lv_amqp_conn *)s;

    lv_list_remove(&ac->turn_end.link);
    lv_timer_stop(&ac->timer);
    lv_mem_free((void *)(uintptr_t)ac->user.ptr, LV_TAG_CONN);
    lv_mem_free((void *)(uintptr_t)ac->name.ptr, LV_TAG_CONN);
    lv_mem_free((void *)(uintptr_t)ac->properties.ptr, LV_TAG_CONN);
    lv_mem_free(ac->chans, LV_TAG_CONN);
    lv_mem_free(ac, LV_TAG_CONN);
}

static const struct lv_session_ops session_ops = {
    .deliver = lv_amqp_deliver,
    .cancelled = lv_amqp_cancelled,
    .accepted = lv_amqp_accepted,
    .stable = lv_amqp_stable,
    .reply = lv_amqp_reply_arrived,
    .logged_in = lv_amqp_logged_in,
    .recheck = lv_amqp_recheck,
    .describe = lv_amqp_describe,
    .shut = session_shut,
    .check_acks = lv_amqp_check_acks,
    .unblocked = session_unblocked,
    .can_move = session_can_move,
    .moved = session_moved,
    .leave = session_leave,
    .gone = session_gone,
};

static const struct lv_conn_ops conn_ops = {
    .input = conn_input,
    .filled = conn_filled,
    .drained = conn_drained,
    .closed = conn_closed,
};

static void handshake_late(struct lv_loop *loop, struct lv_timer *t)
{
    struct lv_amqp_conn *ac = LV_CONTAINER_OF(t, struct lv_amqp_conn, timer);

    (void)loop;
    lv_log(HANDSHAKE_TIMEOUT, lv_log_bytes(ac->name));
    lv_conn_close(&ac->s.conn, 0);
}

/* Taken while the peer is there: when it has gone, nobody can tell who it was. */
static void take_name(struct lv_conn *c)
{
    struct lv_amqp_conn *ac = (struct lv_amqp_conn *)c;
    char peer[LV_ADDR_MAX], local[LV_ADDR_MAX], name[2 * LV_ADDR_MAX + 4];

    lv_conn_peer(c, peer);
    lv_conn_local(c, local);
    int n = snprintf(name, sizeof(name), "%s -> %s", peer, local);
    ac->name.ptr = lv_mem_dup(name, (size_t)n, LV_TAG_CONN);
    ac->name.len = ac->name.ptr != NULL ? (size_t)n : 0;
    lv_log(CONN_ACCEPTED, lv_log_u64(ac->s.id), lv_log_bytes(ac->name));
}

static struct lv_amqp_conn *accept_socket(struct lv_shard *shard, int fd)
{
    struct lv_amqp_conn *ac = lv_mem_zalloc(sizeof(*ac), LV_TAG_CONN);

    if (ac == NULL || lv_session_open(&ac->s, shard, fd, &session_ops, &conn_ops) != LV_OK) {
        lv_mem_free(ac, LV_TAG_CONN);
        close(fd);
        return NULL;
    }
    if (!lv_amqp_settings(ac)->proxy_protocol)
        take_name(&ac->s.conn);
    else if (lv_conn_expect_proxy(&ac->s.conn, take_name) != LV_OK)
        lv_conn_close(&ac->s.conn, 0);
    ac->payload_max = LV_FRAME_INITIAL_MAX;
    lv_list_init(&ac->to_confirm);
    lv_list_init(&ac->unstable);
    lv_list_init(&ac->turn_end.link);
    ac->turn_end.run = turn_end;
    lv_timer_start(ac->s.conn.loop, &ac->timer, lv_amqp_settings(ac)->handshake_timeout,
                   handshake_late);
    return ac;
}

void lv_amqp_accept(struct lv_shard *shard, int fd)
{
    (void)accept_socket(shard, fd);
}

static struct lv_tls *tls_context; /* set before the first socket, read by all loops */

void lv_amqp_set_tls(struct lv_tls *tls)
{
    tls_context = tls;
}

void lv_amqp_accept_tls(struct lv_shard *shard, int fd)
{
    struct lv_amqp_conn *ac = accept_socket(shard, fd);

    if (ac != NULL && lv_conn_start_tls(&ac->s.conn, tls_context) != LV_OK)
        lv_conn_close(&ac->s.conn, 0);
}
