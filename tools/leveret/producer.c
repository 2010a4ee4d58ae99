#include "producer.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "amqp_client.h"
#include "confirms.h"
#include "peer.h"

#define REEL_BYTES (256u << 10) /* of one producer; large enough that system calls do not count */
#define REELS_BYTES (8u << 20)  /* of all of them, roughly: a thousand must not flush the caches */
#define REEL_BYTES_MIN (4u << 10)
#define TURN_BYTES (1u << 20) /* written before the others on the thread get their turn */
#define IN_BYTES 4096u        /* confirms come in small frames */
#define EVENTS_MAX 64

struct lv_producer {
    int fd;
    bool is_writable;
    uint64_t index;
    struct lv_reel reel;
    size_t next;      /* message of the reel that comes after the slice in hand */
    size_t at, end;   /* bytes of the slice that are still to be written */
    uint64_t in_hand; /* messages of the slice */
    uint64_t taken;   /* messages taken from the reel so far */
    uint64_t quota;
    double first_ns, interval_ns; /* schedule; interval 0: none */
    struct lv_confirms confirms;
    size_t in_len;
    uint8_t in[IN_BYTES];
};

/* Why a producer stopped writing. */
enum pause {
    PAUSE_TURN,
    PAUSE_SOCKET,
    PAUSE_TIME,
    PAUSE_ROOM,
    PAUSE_CONFIRM,
    PAUSE_DONE,
    PAUSE_FAULT
};

/* ---- publishing ---- */

static uint64_t messages_due(const struct lv_producer *p, uint64_t now)
{
    double elapsed = (double)now - p->first_ns;
    uint64_t due = elapsed < 0 ? 0 : (uint64_t)(elapsed / p->interval_ns) + 1;

    return due > p->taken ? due - p->taken : 0;
}

static uint64_t intended_ns(const struct lv_producer *p, uint64_t message)
{
    return (uint64_t)(p->first_ns + (double)message * p->interval_ns);
}

/* How many messages may be taken now; 0 with the reason in `pause`. */
static uint64_t allowance(const struct lv_producer *p, const struct lv_run *run, enum pause *pause)
{
    const struct lv_bench_options *o = run->options;
    uint64_t n = p->quota - p->taken;

    *pause = PAUSE_DONE;
    if (atomic_load_explicit(&run->is_ending, memory_order_relaxed))
        n = 0;
    if (n == 0) {
        if (o->confirm != 0 && lv_confirms_open(&p->confirms) != 0)
            *pause = PAUSE_CONFIRM;
        return 0;
    }
    if (p->interval_ns > 0) {
        *pause = PAUSE_TIME;
        n = LV_MIN(n, messages_due(p, lv_now_ns()));
    }
    if (n != 0 && o->confirm != 0) {
        *pause = PAUSE_CONFIRM;
        n = LV_MIN(n, o->confirm - lv_confirms_open(&p->confirms));
    }
    if (n != 0) {
        int64_t room = lv_run_room(run) / (int64_t)run->copies;
        *pause = PAUSE_ROOM;
        n = room > 0 ? LV_MIN(n, (uint64_t)room) : 0;
    }
    return n;
}

static void stamp_slice(struct lv_producer *p, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (p->reel.stamp.is_timed)
            lv_reel_stamp_time(&p->reel, p->next + i, intended_ns(p, p->taken + i));
        if (p->reel.stamp.is_verified)
            lv_reel_stamp_sequence(&p->reel, p->next + i, p->index, p->taken + i);
    }
}

/* Takes up to `count` messages that lie in one piece on the reel, and not more bytes than a turn is worth. */
static void take_slice(struct lv_producer *p, struct lv_run *run, uint64_t count)
{
    struct lv_reel *reel = &p->reel;

    count = LV_MIN(count, reel->count - p->next);
    while (count > 1 && reel->start[p->next + count] - reel->start[p->next] > REEL_BYTES)
        count = (count + 1) / 2;
    stamp_slice(p, count);
    p->at = reel->start[p->next];
    p->end = reel->start[p->next + count];
    p->next = (p->next + count) % reel->count;
    p->in_hand = count;
    p->taken += count;
    p->confirms.next += count;
    atomic_fetch_add(&run->in_flight, (int64_t)(count * run->copies));
}

static void slice_left(struct lv_producer *p, struct lv_worker *w)
{
    lv_count(&w->stats.published, p->in_hand);
    if (w->run->options->confirm == 0)
        atomic_store_explicit(&w->stats.last_ns, lv_now_ns(), memory_order_relaxed);
}

static enum pause pump(struct lv_producer *p, struct lv_worker *w, struct lv_fault *fault)
{
    size_t written = 0;

    while (written < TURN_BYTES) {
        if (p->at == p->end) {
            enum pause pause;
            uint64_t count = allowance(p, w->run, &pause);
            if (count == 0)
                return pause;
            take_slice(p, w->run, count);
        }
        if (!p->is_writable)
            return PAUSE_SOCKET;
        ssize_t n = send(p->fd, p->reel.bytes + p->at, p->end - p->at, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            p->is_writable = false;
            return PAUSE_SOCKET;
        }
        if (n <= 0) {
            lv_peer_lost(n, fault);
            return PAUSE_FAULT;
        }
        p->at += (size_t)n;
        written += (size_t)n;
        if (p->at == p->end)
            slice_left(p, w);
    }
    return PAUSE_TURN;
}

/* ---- what the broker says ---- */

static bool take_method(struct lv_producer *p, struct lv_worker *w, struct lv_bytes payload,
                        struct lv_fault *fault)
{
    struct lv_rd r = lv_rd(payload);
    uint32_t method = lv_rd_u32(&r);

    if (method != LV_BASIC_ACK && method != LV_BASIC_NACK)
        return lv_peer_method(w->run, payload, fault);
    uint64_t tag = lv_rd_u64(&r);
    bool is_multiple = (lv_rd_u8(&r) & 1) != 0;
    uint64_t settled = lv_confirms_settle(&p->confirms, tag, is_multiple);

    if (settled == 0 && !is_multiple)
        return lv_fail(fault, EX_PROTOCOL, "the broker confirmed tag %ju, which is not open",
                       (uintmax_t)tag);
    lv_count(method == LV_BASIC_ACK ? &w->stats.confirmed : &w->stats.nacked, settled);
    return true;
}

/* Handles the whole frames in p->in and keeps the rest. */
static bool take_frames(struct lv_producer *p, struct lv_worker *w, struct lv_fault *fault)
{
    const uint8_t *at = p->in, *end = p->in + p->in_len;

    while ((size_t)(end - at) >= LV_FRAME_EXTRA) {
        size_t size = lv_be32(at + 3);
        if (size > IN_BYTES - LV_FRAME_EXTRA)
            return lv_fail(fault, EX_PROTOCOL, "the broker sent a publisher a frame of %zu bytes",
                           size);
        if ((size_t)(end - at) < size + LV_FRAME_EXTRA)
            break;
        if (at[0] == LV_FRAME_METHOD && !take_method(p, w, lv_bytes(at + LV_FRAME_HEAD, size), fault))
            return false;
        at += size + LV_FRAME_EXTRA;
    }
    p->in_len = (size_t)(end - at);
    memmove(p->in, at, p->in_len);
    return true;
}

/* Edge-triggered: reads until the socket has no more. */
static bool listen_to_broker(struct lv_producer *p, struct lv_worker *w, struct lv_fault *fault)
{
    for (;;) {
        ssize_t n = recv(p->fd, p->in + p->in_len, IN_BYTES - p->in_len, 0);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0)
            return lv_peer_lost(n, fault);
        p->in_len += (size_t)n;
        if (!take_frames(p, w, fault))
            return false;
    }
    atomic_store_explicit(&w->stats.last_ns, lv_now_ns(), memory_order_relaxed);
    return true;
}

/* ---- the thread ---- */

struct turn {
    bool is_done, wants_more, wants_room;
    uint64_t due_ns; /* next intended send */
};

static bool pump_all(struct lv_worker *w, struct turn *turn, struct lv_fault *fault)
{
    struct lv_producer *producers = w->members;

    *turn = (struct turn){ .is_done = true, .due_ns = UINT64_MAX };
    for (size_t i = 0; i < w->member_count; i++) {
        struct lv_producer *p = &producers[i];
        enum pause pause = pump(p, w, fault);
        switch (pause) {
        case PAUSE_FAULT:
            return false;
        case PAUSE_DONE:
            continue;
        case PAUSE_TURN:
            turn->wants_more = true;
            break;
        case PAUSE_ROOM:
            turn->wants_room = true;
            break;
        case PAUSE_TIME:
            turn->due_ns = LV_MIN(turn->due_ns, intended_ns(p, p->taken));
            break;
        case PAUSE_SOCKET:
        case PAUSE_CONFIRM:
            break;
        }
        turn->is_done = false;
    }
    return true;
}

/* How long the thread may sleep; NULL: until something happens. */
static const struct timespec *sleep_for(struct lv_worker *w, const struct turn *turn,
                                        struct timespec *t)
{
    *t = (struct timespec){ 0 };
    if (turn->wants_more)
        return t;
    if (turn->wants_room) {
        /* Said before the last look, or a consumer that made room meanwhile would not wake us. */
        atomic_store(&w->is_starved, true);
        if (lv_run_room(w->run) >= w->run->in_flight_max - w->run->in_flight_max / 2)
            return t;
    }
    if (turn->due_ns == UINT64_MAX)
        return NULL;
    uint64_t now = lv_now_ns();
    if (turn->due_ns > now) {
        t->tv_sec = (time_t)((turn->due_ns - now) / LV_NS);
        t->tv_nsec = (long)((turn->due_ns - now) % LV_NS);
    }
    return t;
}

static bool handle_events(struct lv_worker *w, const struct epoll_event *events, int count,
                          struct lv_fault *fault)
{
    for (int i = 0; i < count; i++) {
        struct lv_producer *p = events[i].data.ptr;
        if (p == NULL) {
            lv_worker_awake(w);
            continue;
        }
        if (events[i].events & EPOLLOUT)
            p->is_writable = true;
        if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !listen_to_broker(p, w, fault))
            return false;
    }
    return true;
}

static void wait_for_start(const struct lv_run *run)
{
    struct timespec start = { .tv_sec = (time_t)(run->start_ns / LV_NS),
                              .tv_nsec = (long)(run->start_ns % LV_NS) };

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &start, NULL);
}

static void *producer_thread(void *arg)
{
    struct lv_worker *w = arg;
    struct epoll_event events[EVENTS_MAX];
    struct lv_fault fault = { 0 };
    struct turn turn;
    bool is_well;

    prctl(PR_SET_TIMERSLACK, 1UL); /* ns: a fixed rate is kept to the microsecond */
    wait_for_start(w->run);
    while ((is_well = pump_all(w, &turn, &fault)) && !turn.is_done &&
           !atomic_load(&w->run->is_over)) {
        struct timespec t;
        int count = epoll_pwait2(w->epoll_fd, events, EVENTS_MAX, sleep_for(w, &turn, &t), NULL);
        is_well = handle_events(w, events, count, &fault);
        if (!is_well)
            break;
    }
    if (!is_well)
        lv_run_fail(w->run, &fault);
    atomic_store(&w->is_finished, true);
    return NULL;
}

/* ---- life ---- */

static size_t reel_bytes(uint64_t producers)
{
    return LV_MIN(LV_MAX(REELS_BYTES / producers, REEL_BYTES_MIN), REEL_BYTES);
}

static bool open_one(struct lv_producer *p, const struct lv_run *run, const struct lv_topology *t,
                     struct lv_fault *fault)
{
    const struct lv_bench_options *o = run->options;
    struct lv_client client;

    if (!lv_client_open(&client, &o->url, 0, fault))
        return false;
    if (!lv_client_channel_open(&client, 1, fault) ||
        (o->confirm != 0 && !lv_client_confirm_select(&client, fault))) {
        lv_client_drop(&client);
        return false;
    }
    struct lv_routes routes;
    lv_topology_routes(t, p->index, &routes);
    struct lv_reel_spec spec = { .routes = routes.route,
                                 .route_count = routes.count,
                                 .body_bytes = o->size,
                                 .bytes_wanted = reel_bytes(o->producers),
                                 .frame_max = client.frame_max,
                                 .is_persistent = o->is_persistent,
                                 .stamp = run->stamp };
    p->fd = lv_client_detach(&client, p->in, IN_BYTES, &p->in_len);
    bool is_ready = lv_reel_init(&p->reel, &spec, fault);
    lv_routes_free(&routes);
    return is_ready;
}

static uint64_t quota_of(const struct lv_bench_options *o, uint64_t index)
{
    if (o->count == 0)
        return UINT64_MAX;
    return o->count / o->producers + (index < o->count % o->producers ? 1 : 0);
}

bool lv_producers_open(struct lv_run *run, const struct lv_topology *t, struct lv_fault *fault)
{
    const struct lv_bench_options *o = run->options;

    for (size_t i = 0; i < run->producer_threads; i++) {
        struct lv_worker *w = &run->producers[i];
        uint64_t count = lv_topology_share(o->producers, run->producer_threads, i);
        struct lv_producer *producers = lv_need(calloc(count, sizeof(*producers)));
        w->members = producers;
        for (; w->member_count < count; w->member_count++) {
            struct lv_producer *p = &producers[w->member_count];
            p->fd = -1;
            p->index = i + w->member_count * run->producer_threads;
            p->quota = quota_of(o, p->index);
            lv_confirms_init(&p->confirms, o->confirm);
            if (!open_one(p, run, t, fault)) {
                w->member_count++;
                return false;
            }
            lv_worker_watch(w, p->fd, EPOLLIN | EPOLLOUT | EPOLLET, p);
        }
    }
    return true;
}

/* Producers of a fixed rate take turns within the interval, so that the sum is even. */
static void set_schedule(struct lv_producer *p, const struct lv_run *run)
{
    const struct lv_bench_options *o = run->options;

    if (o->rate <= 0)
        return;
    p->interval_ns = (double)LV_NS * (double)o->producers / o->rate;
    p->first_ns = (double)run->start_ns + (double)p->index * (double)LV_NS / o->rate;
}

void lv_producers_start(struct lv_run *run)
{
    for (size_t i = 0; i < run->producer_threads; i++) {
        struct lv_worker *w = &run->producers[i];
        struct lv_producer *producers = w->members;
        for (size_t j = 0; j < w->member_count; j++)
            set_schedule(&producers[j], run);
        pthread_create(&w->thread, NULL, producer_thread, w);
    }
}

void lv_producers_join(struct lv_run *run)
{
    for (size_t i = 0; i < run->producer_threads; i++)
        if (run->producers[i].thread != 0)
            pthread_join(run->producers[i].thread, NULL);
}

void lv_producers_close(struct lv_run *run)
{
    for (size_t i = 0; i < run->producer_threads; i++) {
        struct lv_producer *producers = run->producers[i].members;
        for (size_t j = 0; j < run->producers[i].member_count; j++) {
            if (producers[j].fd >= 0)
                close(producers[j].fd);
            lv_reel_fini(&producers[j].reel);
            lv_confirms_fini(&producers[j].confirms);
        }
    }
}
