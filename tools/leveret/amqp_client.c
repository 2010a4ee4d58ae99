#include "amqp_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sysexits.h>
#include <unistd.h>

#define ANSWER_TIMEOUT_S 60
#define FRAME_MAX_WANTED 131072u
#define METHOD_BYTES_MAX 2048u
#define CHANNEL 1u

/* ---- bytes ---- */

static bool send_bytes(struct lv_client *c, const void *bytes, size_t len, struct lv_fault *fault)
{
    const uint8_t *at = bytes;

    while (len != 0) {
        ssize_t n = send(c->fd, at, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return lv_fail_errno(fault, EX_IOERR, "sending to the broker");
        at += n;
        len -= (size_t)n;
    }
    return true;
}

/* Reads until `want` bytes are waiting. */
static bool fill(struct lv_client *c, size_t want, struct lv_fault *fault)
{
    if (c->in_at + want > c->in_cap) {
        memmove(c->in, c->in + c->in_at, c->in_len - c->in_at);
        c->in_len -= c->in_at;
        c->in_at = 0;
        if (want > c->in_cap) {
            c->in_cap = want;
            c->in = lv_need(realloc(c->in, c->in_cap));
        }
    }
    while (c->in_len - c->in_at < want) {
        ssize_t n = recv(c->fd, c->in + c->in_len, c->in_cap - c->in_len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return lv_fail(fault, EX_UNAVAILABLE, "no answer from the broker for %d s",
                           ANSWER_TIMEOUT_S);
        if (n < 0)
            return lv_fail_errno(fault, EX_IOERR, "reading from the broker");
        if (n == 0)
            return lv_fail(fault, EX_UNAVAILABLE, "the broker hung up");
        c->in_len += (size_t)n;
    }
    return true;
}

/* The next frame; its payload is valid until the next read. */
static bool read_frame(struct lv_client *c, uint8_t *type, uint16_t *channel,
                       struct lv_bytes *payload, struct lv_fault *fault)
{
    if (!fill(c, LV_FRAME_EXTRA, fault))
        return false;
    const uint8_t *head = c->in + c->in_at;
    if (memcmp(head, "AMQP", 4) == 0)
        return lv_fail(fault, EX_PROTOCOL, "the peer does not speak AMQP 0-9-1");
    size_t size = lv_be32(head + 3);
    if (size > FRAME_MAX_WANTED)
        return lv_fail(fault, EX_PROTOCOL, "the peer sent a frame of %zu bytes", size);
    if (!fill(c, size + LV_FRAME_EXTRA, fault))
        return false;

    head = c->in + c->in_at;
    *type = head[0];
    *channel = lv_be16(head + 1);
    *payload = lv_bytes(head + LV_FRAME_HEAD, size);
    c->in_at += size + LV_FRAME_EXTRA;
    if (payload->ptr[size] != LV_FRAME_END)
        return lv_fail(fault, EX_PROTOCOL, "the peer sent a frame without its end octet");
    return true;
}

/* ---- methods ---- */

bool lv_client_closed_by_peer(struct lv_bytes args, const char *what, struct lv_fault *fault)
{
    struct lv_rd r = lv_rd(args);
    unsigned code = lv_rd_u16(&r);
    struct lv_bytes text = lv_rd_short(&r);
    int exit_code = code == 403 ? EX_NOPERM : code == 320 ? EX_UNAVAILABLE : EX_PROTOCOL;

    return lv_fail(fault, exit_code, "the broker closed the %s: %u %.*s", what, code,
                   LV_BYTES_FMT(text));
}

static bool send_method(struct lv_client *c, struct lv_wr *w, size_t start, struct lv_fault *fault)
{
    lv_frame_finish(w, start);
    if (!lv_wr_ok(w))
        return lv_fail(fault, EX_USAGE, "a name or argument is too long");
    return send_bytes(c, w->buf, w->used, fault);
}

/* Waits for `wanted` on `channel` and gives its arguments; deliveries that overtake it are not expected here. */
static bool await(struct lv_client *c, uint16_t channel, enum lv_method wanted,
                  struct lv_bytes *args, struct lv_fault *fault)
{
    for (;;) {
        uint8_t type;
        uint16_t on_channel;
        struct lv_bytes payload;

        if (!read_frame(c, &type, &on_channel, &payload, fault))
            return false;
        if (type == LV_FRAME_HEARTBEAT)
            continue;
        struct lv_rd r = lv_rd(payload);
        uint32_t method = lv_rd_u32(&r);
        *args = lv_bytes(r.at, lv_rd_left(&r));
        if (method == LV_CONNECTION_CLOSE)
            return lv_client_closed_by_peer(*args, "connection", fault);
        if (method == LV_CHANNEL_CLOSE)
            return lv_client_closed_by_peer(*args, "channel", fault);
        if (method == LV_CONNECTION_BLOCKED || method == LV_CONNECTION_UNBLOCKED)
            continue;
        if (type == LV_FRAME_METHOD && method == (uint32_t)wanted && on_channel == channel)
            return true;
        return lv_fail(fault, EX_PROTOCOL, "the broker answered with method %u.%u, not %u.%u",
                       method >> 16, method & 0xFFFF, (unsigned)wanted >> 16,
                       (unsigned)wanted & 0xFFFF);
    }
}

static bool call(struct lv_client *c, struct lv_wr *w, size_t start, enum lv_method answer,
                 struct lv_fault *fault)
{
    struct lv_bytes args;
    uint16_t channel = lv_be16(w->buf + start + 1);

    return send_method(c, w, start, fault) && await(c, channel, answer, &args, fault);
}

/* ---- connecting ---- */

static bool prepare_socket(int fd, unsigned source, struct lv_fault *fault)
{
    static const int one = 1;
    static const struct timeval timeout = { .tv_sec = ANSWER_TIMEOUT_S };

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    if (source == 0)
        return true;
    struct sockaddr_in from = { .sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK + source - 1) };
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0)
        return lv_fail_errno(fault, EX_OSERR, "binding to 127.0.0.%u", source);
    return true;
}

static bool dial(struct lv_client *c, const struct lv_url *url, unsigned source,
                 struct lv_fault *fault)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list;
    int err = getaddrinfo(url->host, url->port, &hints, &list);

    if (err != 0)
        return lv_fail(fault, EX_NOHOST, "%s: %s", url->host, gai_strerror(err));
    bool is_open = false;
    for (struct addrinfo *a = list; a != NULL && !is_open; a = a->ai_next) {
        c->fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c->fd < 0) {
            lv_fault_set(fault, EX_OSERR, errno, "opening a socket");
            continue;
        }
        is_open = prepare_socket(c->fd, source, fault);
        if (is_open && connect(c->fd, a->ai_addr, a->ai_addrlen) != 0)
            is_open = lv_fail_errno(fault, EX_UNAVAILABLE, "%s:%s", url->host, url->port);
        if (!is_open) {
            close(c->fd);
            c->fd = -1;
        }
    }
    freeaddrinfo(list);
    return is_open;
}

static bool send_start_ok(struct lv_client *c, const struct lv_url *url, struct lv_fault *fault)
{
    uint8_t bytes[METHOD_BYTES_MAX];
    struct lv_wr w = lv_wr(bytes, sizeof(bytes));
    size_t start = lv_method_begin(&w, 0, LV_CONNECTION_START_OK);
    size_t table = lv_table_begin(&w);

    lv_table_string(&w, "product", "leveret bench");
    lv_table_string(&w, "version", LV_VERSION);
    lv_wr_short(&w, lv_bytes_str("capabilities"));
    lv_wr_u8(&w, 'F');
    size_t capabilities = lv_table_begin(&w);
    lv_table_true(&w, "authentication_failure_close");
    lv_table_true(&w, "basic.nack");
    lv_table_true(&w, "connection.blocked");
    lv_table_true(&w, "consumer_cancel_notify");
    lv_table_true(&w, "publisher_confirms");
    lv_table_finish(&w, capabilities);
    lv_table_finish(&w, table);

    lv_wr_short(&w, lv_bytes_str("PLAIN"));
    size_t user_len = strlen(url->user), password_len = strlen(url->password);
    lv_wr_u32(&w, (uint32_t)(user_len + password_len + 2));
    lv_wr_u8(&w, 0);
    lv_wr_bytes(&w, url->user, user_len);
    lv_wr_u8(&w, 0);
    lv_wr_bytes(&w, url->password, password_len);
    lv_wr_short(&w, lv_bytes_str("en_US"));
    return send_method(c, &w, start, fault);
}

/* tune-ok and open leave together: one turn less. Heartbeats off: idle connections are left alone. */
static bool send_tune_ok_and_open(struct lv_client *c, const struct lv_url *url,
                                  struct lv_bytes tune, struct lv_fault *fault)
{
    struct lv_rd r = lv_rd(tune);
    uint16_t channel_max = lv_rd_u16(&r);
    uint32_t frame_max = lv_rd_u32(&r);
    uint8_t bytes[METHOD_BYTES_MAX];
    struct lv_wr w = lv_wr(bytes, sizeof(bytes));

    c->frame_max = frame_max == 0 ? FRAME_MAX_WANTED : LV_MIN(frame_max, FRAME_MAX_WANTED);
    size_t start = lv_method_begin(&w, 0, LV_CONNECTION_TUNE_OK);
    lv_wr_u16(&w, channel_max);
    lv_wr_u32(&w, c->frame_max);
    lv_wr_u16(&w, 0);
    lv_frame_finish(&w, start);

    start = lv_method_begin(&w, 0, LV_CONNECTION_OPEN);
    lv_wr_short(&w, lv_bytes_str(url->vhost));
    lv_wr_u8(&w, 0);
    lv_wr_u8(&w, 0);
    return send_method(c, &w, start, fault);
}

static bool log_in(struct lv_client *c, const struct lv_url *url, struct lv_fault *fault)
{
    struct lv_bytes args;

    return send_bytes(c, LV_PROTOCOL_HEADER, 8, fault) &&
           await(c, 0, LV_CONNECTION_START, &args, fault) && send_start_ok(c, url, fault) &&
           await(c, 0, LV_CONNECTION_TUNE, &args, fault) &&
           send_tune_ok_and_open(c, url, args, fault) &&
           await(c, 0, LV_CONNECTION_OPEN_OK, &args, fault);
}

bool lv_client_open(struct lv_client *c, const struct lv_url *url, unsigned source,
                    struct lv_fault *fault)
{
    *c = (struct lv_client){ .fd = -1, .frame_max = FRAME_MAX_WANTED, .in_cap = 4096 };
    c->in = lv_need(malloc(c->in_cap));
    if (dial(c, url, source, fault) && log_in(c, url, fault))
        return true;
    lv_client_drop(c);
    return false;
}

bool lv_client_close(struct lv_client *c, struct lv_fault *fault)
{
    uint8_t bytes[64];
    struct lv_wr w = lv_wr(bytes, sizeof(bytes));
    size_t start = lv_method_begin(&w, 0, LV_CONNECTION_CLOSE);

    lv_wr_u16(&w, 200);
    lv_wr_short(&w, lv_bytes_str("bye"));
    lv_wr_u32(&w, 0);
    bool is_polite = call(c, &w, start, LV_CONNECTION_CLOSE_OK, fault);
    lv_client_drop(c);
    return is_polite;
}

void lv_client_drop(struct lv_client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    free(c->in);
    c->in = NULL;
}

int lv_client_detach(struct lv_client *c, uint8_t *early, size_t early_size, size_t *early_len)
{
    int fd = c->fd;

    *early_len = LV_MIN(c->in_len - c->in_at, early_size);
    memcpy(early, c->in + c->in_at, *early_len);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    c->fd = -1;
    lv_client_drop(c);
    return fd;
}

/* ---- the few calls ---- */

bool lv_client_channel_open(struct lv_client *c, uint16_t channel, struct lv_fault *fault)
{
    uint8_t bytes[64];
    struct lv_wr w = lv_wr(bytes, sizeof(bytes));
    size_t start = lv_method_begin(&w, channel, LV_CHANNEL_OPEN);

    lv_wr_u8(&w, 0);
    return call(c, &w, start, LV_CHANNEL_OPEN_OK, fault);
}

bool lv_client_channel_close(struct lv_client *c, uint16_t channel, struct lv_fault *fault)
{
    uint8_t bytes[64];
    struct lv_wr w = lv_wr(bytes, sizeof(bytes));
    size_t start = lv_method_begin(&w, channel, LV_CHANNEL_CLOSE);

    lv_wr_u16(&w, 200);
    lv_wr_short(&w, lv_bytes_str("bye"));
    lv_wr_u32(&w, 0);
    return call(c, &w, start, LV_CHANNEL_CLOSE_OK, fault);
}

bool lv_client_exchange_declare(struct lv_client *c, const char *name, const char *type,
                                bool is_durable, struct lv_fault *fault)
{
    uint8_t bytes[METHOD_BYTES_MAX];
    struct lv_wr w = lv_wr(bytes, sizeof(bytes));
    size_t start = lv_method_begin(&w, CHANNEL, LV_EXCHANGE_DECLARE);

    lv_wr_u16(&w, 0);
    lv_wr_short(&w, lv_bytes_str(name));
    lv_wr_short(&w, lv_bytes_str(type));
    lv_wr_u8(&w, is_durable ? 2 : 0); /* passive, durable, auto-delete, internal, no-wait */
    lv_wr_u32(&w, 0);
    return call(c, &w, start, LV_EXCHANGE_DECLARE_OK, fault);
}

bool lv_client_exchange_delete(struct lv_client *c, const char *name, struct lv_fault *fault)
{
    uint8_t bytes[METHOD_BYTES_MAX];
    struct lv_wr w = lv_wr(bytes, sizeof(bytes));
    size_t start = lv_method_begin(&w, CHANNEL, LV_EXCHANGE_DELETE);

    lv_wr_u16(&w, 0);
    lv_wr_short(&w, lv_bytes_str(name));
    lv_wr_u8(&w, 0);
    return call(c, &w, start, LV_EXCHANGE_DELETE_OK, fault);
}

bool lv_client_queue_declare(struct lv_client *c, const struct lv_queue_spec *queue,
                             struct lv_fault *fault)
{
    uint8_t bytes[METHOD_BYTES_MAX];
    struct lv_wr w = lv_wr(bytes, sizeof(bytes));
    size_t start = lv_method_begin(&w, CHANNEL, LV_QUEUE_DECLARE);

    lv_wr_u16(&w, 0);
    lv_wr_short(&w, lv_bytes_str(queue->name));
    lv_wr_u8(&w, queue->is_durable ? 2 : 0); /* passive, durable, exclusive, auto-delete, no-wait */
    size_t table = lv_table_begin(&w);
    if (queue->type != NULL)
        lv_table_string(&w, "x-queue-type", queue->type);
    lv_table_finish(&w, table);
    return call(c, &w, start, LV_QUEUE_DECLARE_OK, fault);
}

bool lv_client_queue_delete(struct lv_client *c, const char *name, struct lv_fault *fault)
{
    uint8_t bytes[METHOD_BYTES_MAX];
    struct lv_wr w = lv_wr(bytes, sizeof(bytes));
    size_t start = lv_method_begin(&w, CHANNEL, LV_QUEUE_DELETE);

    lv_wr_u16(&w, 0);
    lv_wr_short(&w, lv_bytes_str(name));
    lv_wr_u8(&w, 0);
    return call(c, &w, start, LV_QUEUE_DELETE_OK, fault);
}

bool lv_client_queue_bind(struct lv_client *c, const char *queue, const char *exchange,
                          const char *key, struct lv_bytes table, struct lv_fault *fault)
{
    uint8_t bytes[METHOD_BYTES_MAX];
    struct lv_wr w = lv_wr(bytes, sizeof(bytes));
    size_t start = lv_method_begin(&w, CHANNEL, LV_QUEUE_BIND);

    lv_wr_u16(&w, 0);
    lv_wr_short(&w, lv_bytes_str(queue));
    lv_wr_short(&w, lv_bytes_str(exchange));
    lv_wr_short(&w, lv_bytes_str(key));
    lv_wr_u8(&w, 0);
    if (table.len != 0)
        lv_wr_bytes(&w, table.ptr, table.len);
    else
        lv_wr_u32(&w, 0);
    return call(c, &w, start, LV_QUEUE_BIND_OK, fault);
}

bool lv_client_qos(struct lv_client *c, uint16_t prefetch, struct lv_fault *fault)
{
    uint8_t bytes[64];
    struct lv_wr w = lv_wr(bytes, sizeof(bytes));
    size_t start = lv_method_begin(&w, CHANNEL, LV_BASIC_QOS);

    lv_wr_u32(&w, 0);
    lv_wr_u16(&w, prefetch);
    lv_wr_u8(&w, 0);
    return call(c, &w, start, LV_BASIC_QOS_OK, fault);
}

bool lv_client_consume(struct lv_client *c, const char *queue, const char *tag, bool no_ack,
                       bool is_awaited, struct lv_fault *fault)
{
    uint8_t bytes[METHOD_BYTES_MAX];
    struct lv_wr w = lv_wr(bytes, sizeof(bytes));
    size_t start = lv_method_begin(&w, CHANNEL, LV_BASIC_CONSUME);

    lv_wr_u16(&w, 0);
    lv_wr_short(&w, lv_bytes_str(queue));
    lv_wr_short(&w, lv_bytes_str(tag));
    lv_wr_u8(&w, no_ack ? 2 : 0); /* no-local, no-ack, exclusive, no-wait */
    lv_wr_u32(&w, 0);
    if (!is_awaited)
        return send_method(c, &w, start, fault);
    return call(c, &w, start, LV_BASIC_CONSUME_OK, fault);
}

bool lv_client_confirm_select(struct lv_client *c, struct lv_fault *fault)
{
    uint8_t bytes[64];
    struct lv_wr w = lv_wr(bytes, sizeof(bytes));
    size_t start = lv_method_begin(&w, CHANNEL, LV_CONFIRM_SELECT);

    lv_wr_u8(&w, 0);
    return call(c, &w, start, LV_CONFIRM_SELECT_OK, fault);
}
