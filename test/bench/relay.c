/* lv-relay - how fast loopback and one thread can be, for comparison with brokers.
 *
 * It looks like a broker to `leveret bench` and does nothing that a broker is for: it scans frame heads, writes a
 * deliver method where the publish method was, copies the header and body frames to the consumer whose turn it is,
 * and forgets the message. No queue, no acknowledgement (acks are read and ignored), no routing but "every queue
 * bound to the exchange". What has no consumer is dropped.
 *
 * A message up to WHOLE_MAX is passed on when it is complete. A larger one is streamed; its consumers then belong
 * to that producer until it ends. A consumer with OUT_MAX bytes waiting pauses the producers that write to it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include <uthash.h>

#include "../../tools/leveret/amqp_frame.h"

#define IN_BYTES (256u << 10)
#define WHOLE_MAX (64u << 10)
#define OUT_MAX (512u << 10)
#define FRAME_MAX 131072u
#define CHANNEL_MAX 2047u
#define TARGETS_MAX 256u
#define EVENTS_MAX 64

struct target {
    struct conn *conn;
    uint16_t channel;
    uint8_t tag_len;
    uint8_t tag[31];
};

struct queue {
    UT_hash_handle hh;
    struct target *consumers;
    size_t consumer_count, turn;
    size_t name_len;
    char name[];
};

struct exchange {
    UT_hash_handle hh;
    struct queue **queues;
    size_t queue_count;
    size_t name_len;
    char name[];
};

struct conn {
    int fd;
    bool has_greeted, is_confirming, is_closing;
    bool is_paused;  /* its input waits for a consumer; in `paused` */
    bool is_touched; /* has output of this turn; in `touched` */
    bool is_full;    /* its socket takes no more for now */
    uint64_t published, confirmed;

    /* as a consumer */
    bool is_consumer;
    struct conn *writer; /* a producer that is streaming into it */
    uint64_t delivered;
    uint8_t *out; /* out[out_at..out_len) waits for the socket */
    size_t out_at, out_len, out_cap;

    /* as a producer */
    uint8_t *rest; /* input that was not whole, or waits */
    size_t rest_len;
    struct stream *stream; /* a large message on its way */
    struct conn *next, *prev;
};

struct stream {
    uint64_t body_left; /* bytes that no frame has announced yet */
    size_t frame_left;  /* bytes of the open frame, with its end octet */
    size_t target_count;
    struct target targets[TARGETS_MAX];
};

static struct {
    int epoll_fd, listen_fd;
    struct queue *queues;
    struct exchange *exchanges;
    struct conn *conns;
    struct conn **paused, **touched;
    size_t paused_count, touched_count, list_cap;
    size_t conn_count;
    bool should_resume; /* a consumer has room again */
    uint8_t in[IN_BYTES + 2 * WHOLE_MAX];
} relay;

static void *need(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

/* ---- output ---- */

static size_t waiting(const struct conn *c)
{
    return c->out_len - c->out_at;
}

static void watch(struct conn *c, uint32_t events, int op)
{
    struct epoll_event event = { .events = events, .data.ptr = c };

    epoll_ctl(relay.epoll_fd, op, c->fd, &event);
}

static void set_interest(struct conn *c)
{
    uint32_t in = c->is_paused ? 0 : EPOLLIN;
    uint32_t out = c->is_full ? EPOLLOUT : 0;

    watch(c, in | out, EPOLL_CTL_MOD);
}

/* Room for `n` bytes behind the output; the caller writes them and adds to out_len. */
static uint8_t *out_room(struct conn *c, size_t n)
{
    if (!c->is_touched) {
        c->is_touched = true;
        relay.touched[relay.touched_count++] = c;
    }
    if (c->out_len + n > c->out_cap) {
        if (c->out_at != 0)
            memmove(c->out, c->out + c->out_at, waiting(c));
        c->out_len -= c->out_at;
        c->out_at = 0;
        if (c->out_len + n > c->out_cap) {
            c->out_cap = (c->out_len + n) * 2;
            c->out = need(realloc(c->out, c->out_cap));
        }
    }
    return c->out + c->out_len;
}

static void out_bytes(struct conn *c, const void *bytes, size_t n)
{
    memcpy(out_room(c, n), bytes, n);
    c->out_len += n;
}

static void flush(struct conn *c)
{
    bool was_full = c->is_full;

    while (waiting(c) != 0) {
        ssize_t n = send(c->fd, c->out + c->out_at, waiting(c), MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) {
            c->is_closing = true;
            c->out_at = c->out_len;
            break;
        }
        c->out_at += (size_t)n;
    }
    c->is_full = waiting(c) != 0;
    if (c->is_full != was_full)
        set_interest(c);
    if (c->is_full)
        return;
    c->out_at = c->out_len = 0;
    if (relay.paused_count != 0)
        relay.should_resume = true;
    if (!c->is_consumer) { /* idle connections keep nothing */
        free(c->out);
        c->out = NULL;
        c->out_cap = 0;
    }
}

/* ---- names ---- */

static struct queue *find_queue(struct lv_bytes name)
{
    struct queue *q;

    HASH_FIND(hh, relay.queues, name.ptr, name.len, q);
    return q;
}

static struct queue *make_queue(struct lv_bytes name)
{
    struct queue *q = find_queue(name);

    if (q != NULL)
        return q;
    q = need(calloc(1, sizeof(*q) + name.len));
    q->name_len = name.len;
    memcpy(q->name, name.ptr, name.len);
    HASH_ADD_KEYPTR(hh, relay.queues, q->name, q->name_len, q);
    return q;
}

static struct exchange *find_exchange(struct lv_bytes name)
{
    struct exchange *x;

    HASH_FIND(hh, relay.exchanges, name.ptr, name.len, x);
    return x;
}

static void make_exchange(struct lv_bytes name)
{
    struct exchange *x = find_exchange(name);

    if (x != NULL)
        return;
    x = need(calloc(1, sizeof(*x) + name.len));
    x->name_len = name.len;
    memcpy(x->name, name.ptr, name.len);
    HASH_ADD_KEYPTR(hh, relay.exchanges, x->name, x->name_len, x);
}

static void bind_queue(struct exchange *x, struct queue *q)
{
    for (size_t i = 0; i < x->queue_count; i++)
        if (x->queues[i] == q)
            return;
    x->queues = need(realloc(x->queues, (x->queue_count + 1) * sizeof(struct queue *)));
    x->queues[x->queue_count++] = q;
}

static void delete_queue(struct lv_bytes name)
{
    struct queue *q = find_queue(name);

    if (q == NULL)
        return;
    for (struct exchange *x = relay.exchanges; x != NULL; x = x->hh.next)
        for (size_t i = 0; i < x->queue_count; i++)
            if (x->queues[i] == q)
                x->queues[i--] = x->queues[--x->queue_count];
    HASH_DEL(relay.queues, q);
    free(q->consumers);
    free(q);
}

static void delete_exchange(struct lv_bytes name)
{
    struct exchange *x = find_exchange(name);

    if (x == NULL)
        return;
    HASH_DEL(relay.exchanges, x);
    free(x->queues);
    free(x);
}

static void add_consumer(struct queue *q, struct conn *c, uint16_t channel, struct lv_bytes tag)
{
    q->consumers = need(realloc(q->consumers, (q->consumer_count + 1) * sizeof(*q->consumers)));
    struct target *t = &q->consumers[q->consumer_count++];
    c->is_consumer = true;
    *t = (struct target){ .conn = c,
                          .channel = channel,
                          .tag_len = (uint8_t)LV_MIN(tag.len, sizeof(t->tag)) };
    memcpy(t->tag, tag.ptr, t->tag_len);
}

/* ---- passing messages on ---- */

/* The consumers whose turn it is. */
static size_t route(struct lv_bytes exchange, struct lv_bytes key, struct target **targets)
{
    struct queue *only, **queues = &only;
    size_t queue_count = 1, count = 0;

    if (exchange.len == 0) {
        only = find_queue(key);
        queue_count = only != NULL;
    } else {
        struct exchange *x = find_exchange(exchange);
        queues = x != NULL ? x->queues : NULL;
        queue_count = x != NULL ? LV_MIN(x->queue_count, TARGETS_MAX) : 0;
    }
    for (size_t i = 0; i < queue_count; i++) {
        struct queue *q = queues[i];
        if (q->consumer_count == 0)
            continue;
        if (++q->turn >= q->consumer_count)
            q->turn = 0;
        targets[count++] = &q->consumers[q->turn];
    }
    return count;
}

static bool can_write(const struct conn *producer, const struct conn *consumer)
{
    return waiting(consumer) < OUT_MAX && (consumer->writer == NULL || consumer->writer == producer);
}

/* Writes the deliver method in front of content that follows. */
static void write_deliver(const struct target *t, struct lv_bytes exchange, struct lv_bytes key)
{
    size_t payload = 4u + 1 + t->tag_len + 8 + 1 + 1 + exchange.len + 1 + key.len;
    uint8_t *p = out_room(t->conn, payload + LV_FRAME_EXTRA);

    p[0] = LV_FRAME_METHOD;
    lv_put_be16(p + 1, t->channel);
    lv_put_be32(p + 3, (uint32_t)payload);
    lv_put_be32(p + 7, LV_BASIC_DELIVER);
    p[11] = t->tag_len;
    memcpy(p + 12, t->tag, t->tag_len);
    p += 12 + t->tag_len;
    lv_put_be64(p, ++t->conn->delivered);
    p[8] = 0;
    p[9] = (uint8_t)exchange.len;
    memcpy(p + 10, exchange.ptr, exchange.len);
    p += 10 + exchange.len;
    p[0] = (uint8_t)key.len;
    memcpy(p + 1, key.ptr, key.len);
    p[1 + key.len] = LV_FRAME_END;
    t->conn->out_len += payload + LV_FRAME_EXTRA;
}

/* Copies whole frames and gives them the consumer's channel. */
static void copy_frames(const struct target *t, const uint8_t *frames, size_t len)
{
    uint8_t *at = out_room(t->conn, len), *end = at + len;

    memcpy(at, frames, len);
    t->conn->out_len += len;
    for (; at < end; at += lv_be32(at + 3) + LV_FRAME_EXTRA)
        lv_put_be16(at + 1, t->channel);
}

enum step { STEP_DONE, STEP_MORE, STEP_PAUSE, STEP_BAD };

/* Length of the frame at `at`; 0 when it is not whole. */
static size_t frame_length(const uint8_t *at, const uint8_t *end)
{
    size_t left = (size_t)(end - at);
    size_t length = left >= LV_FRAME_HEAD ? lv_be32(at + 3) + (size_t)LV_FRAME_EXTRA : 0;

    return length <= left ? length : 0;
}

/* End of the body frames that begin at `at`; NULL when they are not all there. */
static const uint8_t *content_end(const uint8_t *at, const uint8_t *end, uint64_t body)
{
    while (body != 0) {
        size_t length = frame_length(at, end);
        if (length <= LV_FRAME_EXTRA || length - LV_FRAME_EXTRA > body)
            return NULL;
        body -= length - LV_FRAME_EXTRA;
        at += length;
    }
    return at;
}

static void begin_stream(struct conn *c, struct target **targets, size_t count, uint64_t body)
{
    struct stream *s = need(malloc(sizeof(*s)));

    s->body_left = body;
    s->frame_left = 0;
    s->target_count = count;
    for (size_t i = 0; i < count; i++) {
        s->targets[i] = *targets[i];
        targets[i]->conn->writer = c;
    }
    c->stream = s;
}

static void end_stream(struct conn *c)
{
    for (size_t i = 0; i < c->stream->target_count; i++)
        if (c->stream->targets[i].conn != NULL)
            c->stream->targets[i].conn->writer = NULL;
    free(c->stream);
    c->stream = NULL;
    relay.should_resume = true;
}

/* basic.publish at *at: passes the message on when it is whole, begins to stream it when it is large. */
static enum step take_publish(struct conn *c, const uint8_t **at, const uint8_t *end,
                              size_t method_len)
{
    const uint8_t *header = *at + method_len;
    size_t header_len = frame_length(header, end);
    struct lv_rd r = lv_rd(lv_bytes(*at + 13, method_len - 14)); /* behind the ids and the ticket */
    struct lv_bytes exchange = lv_rd_short(&r), key = lv_rd_short(&r);
    struct target *targets[TARGETS_MAX];

    if (header_len == 0)
        return STEP_MORE;
    if (r.bad || header[0] != LV_FRAME_HEADER || header_len < 22)
        return STEP_BAD;
    uint64_t body = lv_be64(header + 11);
    bool is_whole = body <= WHOLE_MAX;
    const uint8_t *next =
        is_whole ? content_end(header + header_len, end, body) : header + header_len;
    if (next == NULL)
        return STEP_MORE;

    size_t count = route(exchange, key, targets);
    for (size_t i = 0; i < count; i++)
        if (!can_write(c, targets[i]->conn))
            return STEP_PAUSE;
    for (size_t i = 0; i < count; i++) {
        write_deliver(targets[i], exchange, key);
        copy_frames(targets[i], header, (size_t)(next - header));
    }
    c->published++;
    if (!is_whole)
        begin_stream(c, targets, count, body);
    *at = next;
    return STEP_DONE;
}

static bool can_stream(const struct conn *c)
{
    for (size_t i = 0; i < c->stream->target_count; i++)
        if (c->stream->targets[i].conn != NULL && waiting(c->stream->targets[i].conn) >= OUT_MAX)
            return false;
    return true;
}

/* Sends at once what need not wait behind other output, and keeps the rest. */
static void stream_to(struct conn *c, const uint8_t *bytes, size_t n)
{
    ssize_t sent = waiting(c) == 0 ? send(c->fd, bytes, n, MSG_NOSIGNAL) : 0;
    size_t done = sent > 0 ? (size_t)sent : 0;

    if (done < n)
        out_bytes(c, bytes + done, n - done);
}

static void stream_bytes(struct stream *s, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < s->target_count; i++)
        if (s->targets[i].conn != NULL)
            stream_to(s->targets[i].conn, bytes, n);
}

/* Goes over the body frames in at..end as far as they belong to the message; NULL when they are malformed. */
static const uint8_t *skip_body(struct stream *s, const uint8_t *at, const uint8_t *end)
{
    while (s->frame_left != 0 || s->body_left != 0) {
        if (s->frame_left == 0) {
            if ((size_t)(end - at) < LV_FRAME_HEAD)
                break;
            size_t size = lv_be32(at + 3);
            if (at[0] != LV_FRAME_BODY || size > s->body_left)
                return NULL;
            s->body_left -= size;
            s->frame_left = size + LV_FRAME_EXTRA;
        }
        size_t n = LV_MIN(s->frame_left, (size_t)(end - at));
        if (n == 0)
            break;
        at += n;
        s->frame_left -= n;
    }
    return at;
}

/* The next bytes of a large message. */
static enum step take_stream(struct conn *c, const uint8_t **at, const uint8_t *end)
{
    struct stream *s = c->stream;

    if (!can_stream(c))
        return STEP_PAUSE;
    const uint8_t *next = skip_body(s, *at, end);
    if (next == NULL)
        return STEP_BAD;
    if (next == *at)
        return STEP_MORE;
    stream_bytes(s, *at,
                 (size_t)(next - *at)); /* channel as published: all that use the relay are on 1 */
    *at = next;
    if (s->frame_left == 0 && s->body_left == 0)
        end_stream(c);
    return STEP_DONE;
}

/* ---- methods ---- */

static void answer(struct conn *c, struct lv_wr *w, size_t start)
{
    lv_frame_finish(w, start);
    out_bytes(c, w->buf, w->used);
}

static void answer_plain(struct conn *c, uint16_t channel, enum lv_method method)
{
    uint8_t bytes[32];
    struct lv_wr w = lv_wr(bytes, sizeof(bytes));

    answer(c, &w, lv_method_begin(&w, channel, method));
}

static void answer_close(struct conn *c, uint16_t code, const char *text)
{
    uint8_t bytes[300];
    struct lv_wr w = lv_wr(bytes, sizeof(bytes));
    size_t start = lv_method_begin(&w, 0, LV_CONNECTION_CLOSE);

    lv_wr_u16(&w, code);
    lv_wr_short(&w, lv_bytes_str(text));
    lv_wr_u32(&w, 0);
    answer(c, &w, start);
}

static void greet(struct conn *c)
{
    uint8_t bytes[128];
    struct lv_wr w = lv_wr(bytes, sizeof(bytes));
    size_t start = lv_method_begin(&w, 0, LV_CONNECTION_START);

    lv_wr_u16(&w, 0x0009);
    size_t table = lv_table_begin(&w);
    lv_table_string(&w, "product", "lv-relay");
    lv_table_finish(&w, table);
    lv_wr_long(&w, lv_bytes_str("PLAIN"));
    lv_wr_long(&w, lv_bytes_str("en_US"));
    answer(c, &w, start);
}

static void answer_tune(struct conn *c)
{
    uint8_t bytes[64];
    struct lv_wr w = lv_wr(bytes, sizeof(bytes));
    size_t start = lv_method_begin(&w, 0, LV_CONNECTION_TUNE);

    lv_wr_u16(&w, CHANNEL_MAX);
    lv_wr_u32(&w, FRAME_MAX);
    lv_wr_u16(&w, 0);
    answer(c, &w, start);
}

static void answer_declare(struct conn *c, uint16_t channel, struct lv_rd *r)
{
    lv_rd_u16(r);
    struct lv_bytes name = lv_rd_short(r);
    uint8_t bytes[300];
    struct lv_wr w = lv_wr(bytes, sizeof(bytes));
    size_t start = lv_method_begin(&w, channel, LV_QUEUE_DECLARE_OK);

    make_queue(name);
    lv_wr_short(&w, name);
    lv_wr_u32(&w, 0);
    lv_wr_u32(&w, 0);
    answer(c, &w, start);
}

static void answer_bind(struct conn *c, uint16_t channel, struct lv_rd *r)
{
    lv_rd_u16(r);
    struct queue *q = find_queue(lv_rd_short(r));
    struct exchange *x = find_exchange(lv_rd_short(r));

    if (q != NULL && x != NULL)
        bind_queue(x, q);
    answer_plain(c, channel, LV_QUEUE_BIND_OK);
}

static void answer_delete(struct conn *c, uint16_t channel, struct lv_rd *r)
{
    uint8_t bytes[32];
    struct lv_wr w = lv_wr(bytes, sizeof(bytes));
    size_t start = lv_method_begin(&w, channel, LV_QUEUE_DELETE_OK);

    lv_rd_u16(r);
    delete_queue(lv_rd_short(r));
    lv_wr_u32(&w, 0);
    answer(c, &w, start);
}

static void answer_consume(struct conn *c, uint16_t channel, struct lv_rd *r)
{
    lv_rd_u16(r);
    struct queue *q = make_queue(lv_rd_short(r));
    struct lv_bytes tag = lv_rd_short(r);
    uint8_t bytes[300];
    struct lv_wr w = lv_wr(bytes, sizeof(bytes));
    size_t start = lv_method_begin(&w, channel, LV_BASIC_CONSUME_OK);

    lv_wr_short(&w, tag);
    answer(c, &w, start);
    add_consumer(q, c, channel, tag);
}

/* Everything but publish; true when the connection may go on. */
static bool take_method(struct conn *c, uint16_t channel, struct lv_bytes payload)
{
    struct lv_rd r = lv_rd(payload);
    uint32_t method = lv_rd_u32(&r);

    switch (method) {
    case LV_CONNECTION_START_OK:
        answer_tune(c);
        break;
    case LV_CONNECTION_TUNE_OK:
    case LV_BASIC_ACK:
    case LV_CHANNEL_CLOSE_OK:
        break;
    case LV_CONNECTION_OPEN: /* open-ok and channel.open-ok carry an empty string */
        out_bytes(c, "\x01\x00\x00\x00\x00\x00\x05\x00\x0A\x00\x29\x00\xCE", 13);
        break;
    case LV_CHANNEL_OPEN: {
        uint8_t frame[] = "\x01\x00\x00\x00\x00\x00\x08\x00\x14\x00\x0B\x00\x00\x00\x00\xCE";
        lv_put_be16(frame + 1, channel);
        out_bytes(c, frame, sizeof(frame) - 1);
        break;
    }
    case LV_CONNECTION_CLOSE:
        answer_plain(c, 0, LV_CONNECTION_CLOSE_OK);
        return false;
    case LV_CHANNEL_CLOSE:
        answer_plain(c, channel, LV_CHANNEL_CLOSE_OK);
        break;
    case LV_EXCHANGE_DECLARE:
        lv_rd_u16(&r);
        make_exchange(lv_rd_short(&r));
        answer_plain(c, channel, LV_EXCHANGE_DECLARE_OK);
        break;
    case LV_EXCHANGE_DELETE:
        lv_rd_u16(&r);
        delete_exchange(lv_rd_short(&r));
        answer_plain(c, channel, LV_EXCHANGE_DELETE_OK);
        break;
    case LV_QUEUE_DECLARE:
        answer_declare(c, channel, &r);
        break;
    case LV_QUEUE_BIND:
        answer_bind(c, channel, &r);
        break;
    case LV_QUEUE_DELETE:
        answer_delete(c, channel, &r);
        break;
    case LV_BASIC_QOS:
        answer_plain(c, channel, LV_BASIC_QOS_OK);
        break;
    case LV_BASIC_CONSUME:
        answer_consume(c, channel, &r);
        break;
    case LV_CONFIRM_SELECT:
        c->is_confirming = true;
        c->published = 0;
        answer_plain(c, channel, LV_CONFIRM_SELECT_OK);
        break;
    default:
        answer_close(c, 540, "NOT_IMPLEMENTED - this is only a relay");
        return false;
    }
    return true;
}

/* ---- input ---- */

static enum step take_frame(struct conn *c, const uint8_t **at, const uint8_t *end)
{
    if (c->stream != NULL)
        return take_stream(c, at, end);
    size_t length = frame_length(*at, end);
    if (length == 0)
        return (size_t)(end - *at) >= LV_FRAME_HEAD && lv_be32(*at + 3) > FRAME_MAX ? STEP_BAD
                                                                                    : STEP_MORE;
    if ((*at)[length - 1] != LV_FRAME_END)
        return STEP_BAD;
    if ((*at)[0] == LV_FRAME_METHOD && length > 16 && lv_be32(*at + 7) == LV_BASIC_PUBLISH)
        return take_publish(c, at, end, length);

    struct lv_bytes payload = lv_bytes(*at + LV_FRAME_HEAD, length - LV_FRAME_EXTRA);
    bool is_well = (*at)[0] != LV_FRAME_METHOD || take_method(c, lv_be16(*at + 1), payload);
    *at += length;
    return is_well ? STEP_DONE : STEP_BAD;
}

static void confirm(struct conn *c)
{
    uint8_t bytes[32];
    struct lv_wr w = lv_wr(bytes, sizeof(bytes));
    size_t start = lv_method_begin(&w, 1, LV_BASIC_ACK);

    lv_wr_u64(&w, c->published);
    lv_wr_u8(&w, 1);
    answer(c, &w, start);
    c->confirmed = c->published;
}

static void pause_input(struct conn *c)
{
    c->is_paused = true;
    relay.paused[relay.paused_count++] = c;
    set_interest(c);
}

static void keep_rest(struct conn *c, const uint8_t *at, size_t len)
{
    free(c->rest);
    c->rest = NULL;
    c->rest_len = len;
    if (len != 0) {
        c->rest = need(malloc(len));
        memcpy(c->rest, at, len);
    }
}

static void take_bytes(struct conn *c, const uint8_t *at, const uint8_t *end)
{
    enum step step = STEP_DONE;

    if (!c->has_greeted && end - at >= 8) {
        c->has_greeted = true;
        at += 8;
        greet(c);
    }
    while (c->has_greeted && step == STEP_DONE)
        step = take_frame(c, &at, end);
    if (step == STEP_BAD)
        c->is_closing = true;
    if (c->is_confirming && c->published != c->confirmed)
        confirm(c);
    keep_rest(c, at, (size_t)(end - at));
    if (step == STEP_PAUSE)
        pause_input(c);
}

static void flush_touched(void)
{
    for (size_t i = 0; i < relay.touched_count; i++) {
        relay.touched[i]->is_touched = false;
        flush(relay.touched[i]);
    }
    relay.touched_count = 0;
}

static void read_some(struct conn *c)
{
    if (c->rest_len != 0)
        memcpy(relay.in, c->rest, c->rest_len);
    ssize_t n = recv(c->fd, relay.in + c->rest_len, sizeof(relay.in) - c->rest_len, 0);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        c->is_closing = true;
        return;
    }
    take_bytes(c, relay.in, relay.in + c->rest_len + (size_t)n);
    flush_touched();
}

/* Producers that waited go on with what they had read already. */
static void resume_paused(void)
{
    while (relay.should_resume) {
        size_t count = relay.paused_count;
        relay.should_resume = false;
        for (size_t i = 0; i < count; i++) {
            struct conn *c = relay.paused[i];
            size_t len = c->rest_len;
            c->is_paused = false;
            if (len != 0)
                memcpy(relay.in, c->rest, len);
            take_bytes(c, relay.in, relay.in + len);
            if (!c->is_paused)
                set_interest(c);
            flush_touched();
        }
        memmove(relay.paused, relay.paused + count,
                (relay.paused_count - count) * sizeof(struct conn *));
        relay.paused_count -= count;
    }
}

/* ---- connections ---- */

static void grow_lists(void)
{
    if (relay.conn_count < relay.list_cap / 2)
        return;
    relay.list_cap =
        (relay.conn_count + 64) * 4; /* paused ones are listed anew before the old entries go */
    relay.paused = need(realloc(relay.paused, relay.list_cap * sizeof(struct conn *)));
    relay.touched = need(realloc(relay.touched, relay.list_cap * sizeof(struct conn *)));
}

static void accept_all(void)
{
    static const int one = 1;

    for (;;) {
        int fd = accept4(relay.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        struct conn *c = need(calloc(1, sizeof(*c)));
        c->fd = fd;
        c->next = relay.conns;
        if (relay.conns != NULL)
            relay.conns->prev = c;
        relay.conns = c;
        relay.conn_count++;
        grow_lists();
        watch(c, EPOLLIN, EPOLL_CTL_ADD);
    }
}

static void forget_consumer(const struct conn *c)
{
    for (struct queue *q = relay.queues; q != NULL; q = q->hh.next)
        for (size_t i = 0; i < q->consumer_count; i++)
            if (q->consumers[i].conn == c)
                q->consumers[i--] = q->consumers[--q->consumer_count];
    for (struct conn *p = relay.conns; p != NULL; p = p->next)
        for (size_t i = 0; p->stream != NULL && i < p->stream->target_count; i++)
            if (p->stream->targets[i].conn == c)
                p->stream->targets[i].conn = NULL;
}

static void forget_paused(const struct conn *c)
{
    for (size_t i = 0; i < relay.paused_count; i++)
        if (relay.paused[i] == c)
            relay.paused[i--] = relay.paused[--relay.paused_count];
}

static void drop(struct conn *c)
{
    if (c->is_consumer)
        forget_consumer(c);
    if (c->is_paused)
        forget_paused(c);
    if (c->stream != NULL)
        end_stream(c);
    if (c->next != NULL)
        c->next->prev = c->prev;
    *(c->prev != NULL ? &c->prev->next : &relay.conns) = c->next;
    relay.conn_count--;
    relay.should_resume = true;
    close(c->fd);
    free(c->out);
    free(c->rest);
    free(c);
}

static void handle(struct conn *c, uint32_t events)
{
    if (events & EPOLLOUT)
        flush(c);
    if (events & EPOLLIN)
        read_some(c);
    else if (events & (EPOLLHUP | EPOLLERR))
        c->is_closing = true;
    if (c->is_closing)
        drop(c);
    resume_paused();
}

/* ---- start ---- */

/* ADDRESS:PORT, IPv4. */
static bool parse_address(const char *text, struct sockaddr_in *addr)
{
    const char *colon = strrchr(text, ':');
    char host[INET_ADDRSTRLEN], *end;

    if (colon == NULL || (size_t)(colon - text) >= sizeof(host))
        return false;
    snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
    unsigned long port = strtoul(colon + 1, &end, 10);
    *addr = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    return inet_pton(AF_INET, host, &addr->sin_addr) == 1 && *end == '\0' && port <= UINT16_MAX;
}

/* Gives the port, or -1. */
static int listen_on(const char *address)
{
    static const int one = 1;
    struct sockaddr_in addr;
    socklen_t len = sizeof(addr);

    if (!parse_address(address, &addr))
        return -1;
    relay.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(relay.listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(relay.listen_fd, (struct sockaddr *)&addr, len) != 0 ||
        listen(relay.listen_fd, 4096) != 0 ||
        getsockname(relay.listen_fd, (struct sockaddr *)&addr, &len) != 0)
        return -1;
    return ntohs(addr.sin_port);
}

static bool write_ready_file(const char *path, int port)
{
    FILE *file = fopen(path, "w");

    if (file == NULL)
        return false;
    fprintf(file, "{\"pid\": %d, \"amqp\": [\"127.0.0.1:%d\"], \"http\": []}\n", (int)getpid(),
            port);
    return fclose(file) == 0;
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    const char *address = "127.0.0.1:0", *ready_file = NULL;
    struct epoll_event events[EVENTS_MAX];

    for (int i = 1; i < argc; i += 2) {
        bool has_value = i + 1 < argc;
        if (has_value && strcmp(argv[i], "--amqp-listen") == 0) {
            address = argv[i + 1];
        } else if (has_value && strcmp(argv[i], "--ready-file") == 0) {
            ready_file = argv[i + 1];
        } else {
            fputs("usage: lv-relay [--amqp-listen ADDRESS:PORT] [--ready-file FILE]\n", stderr);
            return EX_USAGE;
        }
    }
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    int port = listen_on(address);
    if (port < 0) {
        perror(address);
        return 1;
    }
    printf("relay on port %d\n", port);
    fflush(stdout);
    relay.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event accepting = { .events = EPOLLIN, .data.ptr = NULL };
    epoll_ctl(relay.epoll_fd, EPOLL_CTL_ADD, relay.listen_fd, &accepting);
    grow_lists();
    if (ready_file != NULL && !write_ready_file(ready_file, port)) {
        perror(ready_file);
        return 1;
    }
    for (;;) {
        int count = epoll_wait(relay.epoll_fd, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL)
                accept_all();
            else
                handle(events[i].data.ptr, events[i].events);
        }
    }
}
