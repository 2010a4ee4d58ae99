#include "consumer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>
#include <xxhash.h>

#include "amqp_client.h"
#include "peer.h"

#define IN_BYTES (256u << 10)
#define SMALL_FRAME_MAX 8192u /* method and header frames; larger ones are nothing we asked for */
#define ACK_FRAME_BYTES 21u
#define HEADER_FRAME_MIN 22u
#define EVENTS_MAX 64

struct lv_consumer {
    int fd;
    struct lv_worker *worker;

    /* where the stream stands */
    uint64_t body_left; /* bytes of the message's body that no frame has announced yet */
    uint64_t skip;      /* bytes of the current body frame to come, with its end octet */
    uint64_t tag;       /* of the delivery in hand */
    size_t rest_len;    /* bytes of a frame that was not whole */
    uint8_t *rest;

    /* acknowledging */
    uint64_t unacked;
    uint8_t *acks; /* frames on their way out: acks[acks_at..acks_len) */
    size_t acks_at, acks_len;

    /* looking into the body */
    uint64_t body_bytes;
    size_t stamp_len; /* bytes of the stamp that have arrived */
    uint8_t stamp[LV_STAMP_MAX];
    XXH3_state_t *hash;
    uint64_t rest_hash;
    bool is_hashed; /* rest_hash is complete, `hash` was not needed */
    uint64_t index; /* of this connection */
    uint64_t queue; /* the delivery in hand came from the n-th subscription */
    uint64_t *next; /* [n-th subscription][producer]: lowest sequence number that keeps the order */
};

/* What a scan may not keep in the consumer, to stay in registers. */
struct scan {
    const uint8_t *at, *end;
    uint64_t delivered;
    uint64_t now_ns;
};

/* ---- messages ---- */

static void write_ack(struct lv_consumer *c)
{
    struct lv_wr w = lv_wr(c->acks + c->acks_len, ACK_FRAME_BYTES);
    size_t start = lv_method_begin(&w, 1, LV_BASIC_ACK);

    lv_wr_u64(&w, c->tag);
    lv_wr_u8(&w, 1);
    lv_frame_finish(&w, start);
    c->acks_len += w.used;
    c->unacked = 0;
}

static void check_order(struct lv_consumer *c, uint64_t producer, uint64_t sequence)
{
    struct lv_run *run = c->worker->run;
    uint64_t *next = &c->next[c->queue * run->options->producers + producer];

    if (sequence < *next)
        atomic_fetch_add(&run->verdict.out_of_order, 1);
    else
        *next = sequence + 1;
}

static void verify(struct lv_consumer *c, uint64_t rest_hash)
{
    struct lv_run *run = c->worker->run;
    const struct lv_bench_options *o = run->options;
    uint64_t word = lv_be64(c->stamp);
    uint64_t producer = word >> 48, sequence = word & 0xFFFFFFFFFFFF;
    uint64_t sum = lv_be64(c->stamp + lv_stamp_sum_at(run->stamp));

    if (c->body_bytes != o->size || sum != lv_stamp_sum(word, rest_hash) ||
        producer >= o->producers || sequence >= LV_SEEN_MAX) {
        atomic_fetch_add(&run->verdict.corrupt, 1);
        return;
    }
    uint64_t copy =
        run->copies == 1 ? 0 : lv_topology_shared_queue(o->queues, o->consumers, c->index, c->queue);
    if (!lv_seen_add(lv_run_seen(run, copy, producer), sequence))
        atomic_fetch_add(&run->verdict.duplicate, 1);
    else
        check_order(c, producer, sequence);
}

static void inspect(struct lv_consumer *c, uint64_t now_ns)
{
    struct lv_worker *w = c->worker;
    const struct lv_run *run = w->run;

    if (c->stamp_len < lv_stamp_size(run->stamp)) {
        atomic_fetch_add(&w->run->verdict.corrupt, 1);
        return;
    }
    if (run->stamp.is_timed) {
        uint64_t sent_ns = lv_be64(c->stamp + lv_stamp_time_at(run->stamp));
        if (sent_ns >= run->measure_from_ns && sent_ns < run->measure_to_ns)
            lv_histogram_record(w->latency, now_ns > sent_ns ? now_ns - sent_ns : 0);
    }
    if (run->stamp.is_verified)
        verify(c, c->is_hashed ? c->rest_hash : XXH3_64bits_digest(c->hash));
}

/* A message is whole. */
static inline void finish_message(struct lv_consumer *c, struct scan *s, uint64_t ack_every,
                                  bool is_inspected)
{
    s->delivered++;
    if (is_inspected)
        inspect(c, s->now_ns);
    if (ack_every != 0 && ++c->unacked >= ack_every)
        write_ack(c);
}

/* `n` further bytes of the body: the stamp is kept, the rest hashed. */
static void look_at_body(struct lv_consumer *c, const uint8_t *bytes, size_t n)
{
    struct lv_stamp stamp = c->worker->run->stamp;
    size_t head = LV_MIN(n, lv_stamp_size(stamp) - c->stamp_len);
    bool is_first = c->stamp_len == 0;

    memcpy(c->stamp + c->stamp_len, bytes, head);
    c->stamp_len += head;
    if (!stamp.is_verified)
        return;
    if (is_first && n == c->body_bytes) {
        c->rest_hash = XXH3_64bits(bytes + head, n - head);
        c->is_hashed = true;
        return;
    }
    if (is_first)
        XXH3_64bits_reset(c->hash);
    XXH3_64bits_update(c->hash, bytes + head, n - head);
}

/* ---- frames ---- */

/* The consumer tag is the number of the subscription. */
static void note_queue(struct lv_consumer *c, const uint8_t *tag, size_t len)
{
    uint64_t number = 0;

    for (size_t i = 0; i < len; i++)
        number = number * 10 + (uint64_t)(tag[i] - '0');
    c->queue = number;
}

static inline bool take_method(struct lv_consumer *c, const uint8_t *payload, size_t size,
                               bool is_inspected, struct lv_fault *fault)
{
    /* consumer-tag, delivery-tag, redelivered, exchange, routing-key */
    if (LV_LIKELY(size > 16 && lv_be32(payload) == LV_BASIC_DELIVER && payload[4] + 13u < size)) {
        size_t len = payload[4];
        c->tag = lv_be64(payload + 5 + len);
        if (is_inspected)
            note_queue(c, payload + 5, len);
        return true;
    }
    return lv_peer_method(c->worker->run, lv_bytes(payload, size), fault);
}

static bool bad_frame(struct lv_fault *fault)
{
    return lv_fail(fault, EX_PROTOCOL, "the broker sent a malformed frame");
}

/* The start of a body frame whose end has not arrived: its bytes are taken as they come. */
static bool open_body_frame(struct lv_consumer *c, struct scan *s, size_t size,
                            struct lv_fault *fault)
{
    if (size > c->body_left)
        return bad_frame(fault);
    c->body_left -= size;
    c->skip = size + 1;
    s->at += LV_FRAME_HEAD;
    return true;
}

/* More of an open body frame. */
static inline bool take_body_bytes(struct lv_consumer *c, struct scan *s, uint64_t ack_every,
                                   bool is_inspected, struct lv_fault *fault)
{
    size_t n = LV_MIN((size_t)(s->end - s->at), c->skip);

    if (is_inspected)
        look_at_body(c, s->at, LV_MIN(n, c->skip - 1));
    s->at += n;
    c->skip -= n;
    if (c->skip != 0)
        return true;
    if (s->at[-1] != LV_FRAME_END)
        return bad_frame(fault);
    if (c->body_left == 0)
        finish_message(c, s, ack_every, is_inspected);
    return true;
}

static inline bool take_frame(struct lv_consumer *c, struct scan *s, size_t size,
                              uint64_t ack_every, bool is_inspected, struct lv_fault *fault)
{
    const uint8_t *payload = s->at + LV_FRAME_HEAD;
    uint8_t type = s->at[0];

    if (LV_UNLIKELY(payload[size] != LV_FRAME_END))
        return bad_frame(fault);
    s->at = payload + size + 1;
    switch (type) {
    case LV_FRAME_METHOD:
        return take_method(c, payload, size, is_inspected, fault);
    case LV_FRAME_HEADER:
        if (size < 14)
            return bad_frame(fault);
        c->body_left = c->body_bytes = lv_be64(payload + 4);
        c->stamp_len = 0;
        c->is_hashed = false;
        break;
    case LV_FRAME_BODY:
        if (size == 0 || size > c->body_left)
            return bad_frame(fault);
        c->body_left -= size;
        if (is_inspected)
            look_at_body(c, payload, size);
        break;
    default:
        return true;
    }
    if (c->body_left == 0)
        finish_message(c, s, ack_every, is_inspected);
    return true;
}

/* Goes through the frames in s->at .. s->end and stops before one that is not whole; body frames need not be.
 * Inlined twice, so that a run that does not look into bodies pays nothing for those that do. */
static inline __attribute__((always_inline)) bool scan_frames(struct lv_consumer *c, struct scan *s,
                                                              uint64_t ack_every, bool is_inspected,
                                                              struct lv_fault *fault)
{
    for (;;) {
        size_t left = (size_t)(s->end - s->at);
        bool is_well;

        if (LV_UNLIKELY(c->skip != 0)) {
            is_well = take_body_bytes(c, s, ack_every, is_inspected, fault);
            if (c->skip != 0)
                return is_well;
        } else {
            if (left < LV_FRAME_HEAD)
                return true;
            size_t size = lv_be32(s->at + 3);
            if (LV_LIKELY(left >= size + LV_FRAME_EXTRA))
                is_well = take_frame(c, s, size, ack_every, is_inspected, fault);
            else if (s->at[0] == LV_FRAME_BODY)
                is_well = open_body_frame(c, s, size, fault);
            else
                return size <= SMALL_FRAME_MAX - LV_FRAME_EXTRA || bad_frame(fault);
        }
        if (LV_UNLIKELY(!is_well))
            return false;
    }
}

/* ---- socket ---- */

static bool send_acks(struct lv_consumer *c, struct lv_fault *fault)
{
    while (c->acks_at < c->acks_len) {
        ssize_t n = send(c->fd, c->acks + c->acks_at, c->acks_len - c->acks_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n <= 0)
            return lv_peer_lost(n, fault);
        c->acks_at += (size_t)n;
    }
    c->acks_at = c->acks_len = 0;
    return true;
}

/* Acks that the socket does not take stop the reading. */
static void listen_for(struct lv_consumer *c, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = c };

    epoll_ctl(c->worker->epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

/* Looks at `in`, which begins with what was kept, and keeps what is not whole. */
static bool take_bytes(struct lv_consumer *c, const uint8_t *in, size_t len, struct lv_fault *fault)
{
    struct lv_worker *w = c->worker;
    struct lv_run *run = w->run;
    struct scan s = { .at = in, .end = in + len, .now_ns = lv_now_ns() };
    uint64_t ack_every = run->options->ack;
    bool is_inspected = run->stamp.is_timed || run->stamp.is_verified;
    bool is_well = is_inspected ? scan_frames(c, &s, ack_every, true, fault)
                                : scan_frames(c, &s, ack_every, false, fault);

    if (!is_well)
        return false;
    c->rest_len = (size_t)(s.end - s.at);
    memcpy(c->rest, s.at, c->rest_len);
    if (s.delivered != 0) {
        lv_count(&w->stats.delivered, s.delivered);
        atomic_store_explicit(&w->stats.last_ns, s.now_ns, memory_order_relaxed);
        lv_run_arrived(run, s.delivered);
    }
    if (!send_acks(c, fault))
        return false;
    if (c->acks_len != 0)
        listen_for(c, EPOLLOUT);
    return true;
}

static bool read_some(struct lv_consumer *c, uint8_t *in, struct lv_fault *fault)
{
    memcpy(in, c->rest, c->rest_len);
    ssize_t n = recv(c->fd, in + c->rest_len, IN_BYTES - c->rest_len, 0);

    if (n < 0 && errno == EAGAIN)
        return true;
    if (n <= 0)
        return lv_peer_lost(n, fault);
    return take_bytes(c, in, c->rest_len + (size_t)n, fault);
}

static bool write_some(struct lv_consumer *c, struct lv_fault *fault)
{
    if (!send_acks(c, fault))
        return false;
    if (c->acks_len == 0)
        listen_for(c, EPOLLIN);
    return true;
}

static bool handle_events(struct lv_worker *w, const struct epoll_event *events, int count,
                          uint8_t *in, struct lv_fault *fault)
{
    for (int i = 0; i < count; i++) {
        struct lv_consumer *c = events[i].data.ptr;
        if (c == NULL)
            lv_worker_awake(w);
        else if (!(events[i].events & EPOLLOUT ? write_some(c, fault) : read_some(c, in, fault)))
            return false;
    }
    return true;
}

static void *consumer_thread(void *arg)
{
    struct lv_worker *w = arg;
    struct epoll_event events[EVENTS_MAX];
    struct lv_fault fault = { 0 };
    uint8_t *in = lv_need(malloc(IN_BYTES));

    while (!atomic_load(&w->run->is_over)) {
        int count = epoll_wait(w->epoll_fd, events, EVENTS_MAX, -1);
        if (!handle_events(w, events, count, in, &fault))
            lv_run_fail(w->run, &fault);
    }
    free(in);
    return NULL;
}

/* ---- life ---- */

static bool subscribe(struct lv_consumer *c, struct lv_client *client, bool is_backlogged,
                      struct lv_fault *fault)
{
    const struct lv_bench_options *o = c->worker->run->options;
    uint64_t count = lv_topology_share(o->queues, o->consumers, c->index);

    if (!lv_client_channel_open(client, 1, fault) ||
        (o->prefetch != 0 && !lv_client_qos(client, (uint16_t)o->prefetch, fault)))
        return false;
    for (uint64_t i = 0; i < count; i++) {
        char queue[LV_NAME_MAX], tag[24];
        lv_topology_queue_name(queue, o,
                               lv_topology_shared_queue(o->queues, o->consumers, c->index, i));
        snprintf(tag, sizeof(tag), "%u", (unsigned)i);
        if (!lv_client_consume(client, queue, tag, o->ack == 0, !is_backlogged, fault))
            return false;
    }
    c->next = lv_need(calloc(count * o->producers, sizeof(*c->next)));
    return true;
}

/* A read brings at most IN_BYTES and a message has at least a header, so this many acks fall due before a send. */
static size_t ack_bytes_max(uint64_t ack_every)
{
    return ((IN_BYTES + SMALL_FRAME_MAX) / HEADER_FRAME_MIN / ack_every + 1) * ACK_FRAME_BYTES;
}

static bool open_one(struct lv_consumer *c, bool is_backlogged, struct lv_fault *fault)
{
    const struct lv_bench_options *o = c->worker->run->options;
    struct lv_client client;

    if (!lv_client_open(&client, &o->url, 0, fault))
        return false;
    if (!subscribe(c, &client, is_backlogged, fault)) {
        lv_client_drop(&client);
        return false;
    }
    c->rest = lv_need(malloc(SMALL_FRAME_MAX));
    c->hash = o->is_verified ? lv_need(XXH3_createState()) : NULL;
    c->acks = o->ack != 0 ? lv_need(malloc(ack_bytes_max(o->ack))) : NULL;
    c->fd = lv_client_detach(&client, c->rest, SMALL_FRAME_MAX, &c->rest_len);
    return true;
}

bool lv_consumers_open(struct lv_run *run, bool is_backlogged, struct lv_fault *fault)
{
    const struct lv_bench_options *o = run->options;

    for (size_t i = 0; i < run->consumer_threads; i++) {
        struct lv_worker *w = &run->consumers[i];
        uint64_t count = lv_topology_share(o->consumers, run->consumer_threads, i);
        struct lv_consumer *consumers = lv_need(calloc(count, sizeof(*consumers)));
        w->members = consumers;
        w->latency = lv_need(calloc(1, sizeof(*w->latency)));
        for (; w->member_count < count; w->member_count++) {
            struct lv_consumer *c = &consumers[w->member_count];
            c->fd = -1;
            c->worker = w;
            c->index = i + w->member_count * run->consumer_threads;
            if (!open_one(c, is_backlogged, fault))
                return false;
            lv_worker_watch(w, c->fd, EPOLLIN, c);
        }
    }
    return true;
}

void lv_consumers_start(struct lv_run *run)
{
    for (size_t i = 0; i < run->consumer_threads; i++)
        pthread_create(&run->consumers[i].thread, NULL, consumer_thread, &run->consumers[i]);
}

void lv_consumers_join(struct lv_run *run)
{
    for (size_t i = 0; i < run->consumer_threads; i++)
        if (run->consumers[i].thread != 0)
            pthread_join(run->consumers[i].thread, NULL);
}

void lv_consumers_close(struct lv_run *run)
{
    for (size_t i = 0; i < run->consumer_threads; i++) {
        struct lv_consumer *consumers = run->consumers[i].members;
        for (size_t j = 0; j < run->consumers[i].member_count; j++) {
            close(consumers[j].fd);
            free(consumers[j].rest);
            free(consumers[j].acks);
            free(consumers[j].next);
            XXH3_freeState(consumers[j].hash);
        }
    }
}
