/* A connection's life, seen by its owner and by a peer that is a plain blocking socket on another thread. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/conn.h"
#include "loop/loop.h"
#include "lv_test.h"

struct scene;

/* What a test says about its server and its peer; unset callbacks do nothing. */
struct script {
    void (*opened)(struct scene *s);
    size_t (*input)(struct scene *s, struct lv_bytes in);
    void (*filled)(struct scene *s, size_t n);
    void (*drained)(struct scene *s);
    void (*timer)(struct scene *s);
    void (*peer)(struct scene *s); /* its own thread; the socket is closed behind it */
    bool is_tcp;
    unsigned loops; /* 0: one */
    void (*mail)(struct scene *s, struct lv_loop *loop);
};

struct scene {
    const struct script *script;
    struct lv_conn *conn; /* heap: freed when closed */
    struct lv_loops *loops;
    struct lv_timer timer;
    int fd, peer_fd;
    enum lv_err why;
    unsigned closed, released, drained;
    uint64_t got, steps;
    size_t peer_got; /* the peer's thread's */
    uint8_t *body;
    size_t body_bytes, body_at;
};

struct owner {
    struct lv_conn conn;
    struct scene *scene;
};

static struct scene *scene_of(struct lv_conn *c)
{
    return ((struct owner *)c)->scene;
}

static size_t on_input(struct lv_conn *c, struct lv_bytes in)
{
    struct scene *s = scene_of(c);

    s->got += in.len;
    return s->script->input != NULL ? s->script->input(s, in) : in.len;
}

static void on_filled(struct lv_conn *c, size_t n)
{
    scene_of(c)->script->filled(scene_of(c), n);
}

static void on_drained(struct lv_conn *c)
{
    struct scene *s = scene_of(c);

    s->drained++;
    if (s->script->drained != NULL)
        s->script->drained(s);
}

static void on_closed(struct lv_conn *c, enum lv_err why)
{
    struct scene *s = scene_of(c);

    s->closed++;
    s->why = why;
    lv_conn_close(c, 0); /* too late, and harmless */
    lv_conn_close(c, 100);
    lv_timer_stop(&s->timer);
    lv_loops_stop(s->loops);
    free(c);
    s->conn = NULL;
}

static const struct lv_conn_ops ops = { on_input, on_filled, on_drained, on_closed };

static void on_timer(struct lv_loop *loop, struct lv_timer *t)
{
    struct scene *s = lv_loop_owner(loop);

    (void)t;
    s->script->timer(s);
}

static void on_mail(struct lv_loop *loop, unsigned from, const struct lv_mail *m)
{
    struct scene *s = lv_loop_owner(loop);

    (void)from;
    (void)m;
    s->script->mail(s, loop);
}

static enum lv_err start(struct lv_loop *loop)
{
    struct scene *s = lv_loop_owner(loop);

    if (lv_loop_index(loop) != 0)
        return LV_OK;
    CHECK_EQ(lv_conn_open(s->conn, loop, s->fd, &ops), LV_OK);
    if (s->script->timer != NULL)
        lv_timer_start(loop, &s->timer, 0, on_timer);
    if (s->script->opened != NULL)
        s->script->opened(s);
    return LV_OK;
}

static void *run_peer(void *arg)
{
    struct scene *s = arg;

    if (s->script->peer != NULL)
        s->script->peer(s);
    close(s->peer_fd);
    return NULL;
}

static void tcp_pair(int *a, int *b)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(addr);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    CHECK_EQ(bind(listener, (struct sockaddr *)&addr, len), 0);
    CHECK_EQ(listen(listener, 1), 0);
    CHECK_EQ(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
    *a = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(connect(*a, (struct sockaddr *)&addr, len), 0);
    *b = accept(listener, NULL, NULL);
    close(listener);
}

static void play(struct scene *s, const struct script *script)
{
    struct owner *owner = calloc(1, sizeof(*owner));
    struct lv_loops_config config = { .count = script->loops != 0 ? script->loops : 1,
                                      .owner = s,
                                      .start = start,
                                      .mail = on_mail,
                                      .read_block_bytes = 65536,
                                      .out_high_bytes = 65536 };
    pthread_t peer;
    int fds[2];

    owner->scene = s;
    s->conn = &owner->conn;
    s->script = script;
    if (script->is_tcp)
        tcp_pair(&s->fd, &s->peer_fd);
    else {
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        s->fd = fds[0];
        s->peer_fd = fds[1];
    }
    CHECK_EQ(lv_loops_new(&config, &s->loops), LV_OK);
    CHECK_EQ(pthread_create(&peer, NULL, run_peer, s), 0);
    CHECK_EQ(lv_loops_run(s->loops), LV_OK);
    pthread_join(peer, NULL);
    lv_loops_free(s->loops);
    CHECK_EQ(s->closed, 1);
    CHECK_EQ(lv_mem_used(LV_TAG_CONN), 0);
    CHECK_EQ(lv_mem_used(LV_TAG_LOOP), 0);
}

/* ---- the peer's side ---- */

static uint8_t pattern(uint64_t at)
{
    return (uint8_t)(at * 2654435761u >> 13);
}

static size_t read_all(int fd, bool *is_reset)
{
    uint8_t buf[65536];
    size_t got = 0;
    ssize_t n;

    while ((n = read(fd, buf, sizeof(buf))) > 0)
        got += (size_t)n;
    if (is_reset != NULL)
        *is_reset = n < 0;
    return got;
}

static void peer_reads_all(struct scene *s)
{
    s->peer_got = read_all(s->peer_fd, NULL);
}

static void peer_sends_hello(struct scene *s)
{
    CHECK_EQ(write(s->peer_fd, "hello", 5), 5);
    peer_reads_all(s);
}

/* ---- how it ends ---- */

static void close_now(struct scene *s)
{
    lv_conn_close(s->conn, 0);
    lv_conn_close(s->conn, 0);
    CHECK_EQ(s->closed, 0); /* never inside the call */
}

static size_t close_in_input(struct scene *s, struct lv_bytes in)
{
    close_now(s);
    return in.len / 2;
}

LV_TEST(closing_at_once)
{
    static const struct script at_open = { .opened = close_now, .peer = peer_reads_all };
    static const struct script in_timer = { .timer = close_now, .peer = peer_reads_all };
    static const struct script in_input = { .input = close_in_input, .peer = peer_sends_hello };
    const struct script *all[] = { &at_open, &in_timer, &in_input };

    for (size_t i = 0; i < LV_ARRAY_LEN(all); i++) {
        struct scene s = { .why = LV_EIO };
        play(&s, all[i]);
        CHECK_EQ(s.why, LV_OK);
    }
}

LV_TEST(the_peer_closes)
{
    static const struct script script = { .is_tcp = false };
    static const struct script tcp = { .is_tcp = true };
    struct scene s = { .why = LV_OK }, t = { .why = LV_OK };

    play(&s, &script);
    CHECK_EQ(s.why, LV_ECLOSED);
    play(&t, &tcp);
    CHECK_EQ(t.why, LV_ECLOSED);
}

static void peer_resets(struct scene *s)
{
    struct linger now = { 1, 0 };

    CHECK_EQ(write(s->peer_fd, "hello", 5), 5);
    setsockopt(s->peer_fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

LV_TEST(the_peer_resets)
{
    static const struct script script = { .is_tcp = true, .peer = peer_resets };
    struct scene s = { .why = LV_OK };

    play(&s, &script);
    CHECK_EQ(s.why, LV_ECLOSED);
}

static uint8_t megabyte[1 << 20];

static void release_one(void *owner)
{
    ((struct scene *)owner)->released++;
}

static void write_and_linger(struct scene *s)
{
    for (int i = 0; i < 4; i++) {
        lv_conn_write(s->conn, LV_BYTES_LIT("head"));
        lv_conn_write_ref(s->conn, lv_bytes(megabyte, sizeof(megabyte)), s, release_one);
        lv_conn_write(s->conn, lv_bytes(megabyte, 100000));
    }
    lv_conn_close(s->conn, 10000);
    lv_conn_write(s->conn, LV_BYTES_LIT("dropped"));
    memset(lv_conn_reserve(s->conn, 1000), 1, 1000);
    lv_conn_wrote(s->conn, 1000);
    lv_conn_write_ref(s->conn, LV_BYTES_LIT("dropped, too"), s, release_one);
    CHECK_EQ(s->released, 1);
}

#define WRITTEN 4u * (4 + sizeof(megabyte) + 100000)

LV_TEST(lingering_writes_everything_first)
{
    static const struct script script = { .opened = write_and_linger, .peer = peer_reads_all };
    struct scene s = { .why = LV_EIO };

    play(&s, &script);
    CHECK_EQ(s.why, LV_OK);
    CHECK_EQ(s.peer_got, WRITTEN);
    CHECK_EQ(s.released, 5);
}

/* The peer has sent what nobody reads, and reads only at the very end. */
static void peer_floods_then_reads(struct scene *s)
{
    bool is_reset;

    CHECK(write(s->peer_fd, megabyte, sizeof(megabyte)) > 0);
    usleep(20000);
    s->peer_got = read_all(s->peer_fd, &is_reset);
    CHECK(!is_reset);
}

static size_t say_goodbye(struct scene *s, struct lv_bytes in)
{
    (void)in;
    lv_conn_write(s->conn, LV_BYTES_LIT("goodbye"));
    lv_conn_close(s->conn, 10000);
    return 0;
}

LV_TEST(last_words_survive_unread_input)
{
    static const struct script script = { .is_tcp = true,
                                          .input = say_goodbye,
                                          .peer = peer_floods_then_reads };
    struct scene s = { .why = LV_EIO };

    play(&s, &script);
    CHECK_EQ(s.peer_got, 7);
    CHECK_EQ(s.why, LV_OK);
}

static void peer_is_deaf(struct scene *s)
{
    /* Reads nothing, and only by writing sees when the other end is gone. */
    while (send(s->peer_fd, "?", 1, MSG_NOSIGNAL) == 1)
        usleep(1000);
}

static void write_and_linger_shortly(struct scene *s)
{
    lv_conn_write_ref(s->conn, lv_bytes(megabyte, sizeof(megabyte)), s, release_one);
    lv_conn_close(s->conn, 100);
}

LV_TEST(lingering_has_an_end)
{
    static const struct script script = { .opened = write_and_linger_shortly, .peer = peer_is_deaf };
    struct scene s = { .why = LV_EIO };

    play(&s, &script);
    CHECK_EQ(s.released, 1);
    CHECK_EQ(s.why, LV_OK);
}

static void write_and_drop(struct scene *s)
{
    write_and_linger(s);
    lv_conn_close(s->conn, 0);
}

LV_TEST(dropping_releases_what_was_not_written)
{
    static const struct script script = { .opened = write_and_drop, .peer = peer_reads_all };
    struct scene s = { .why = LV_EIO };

    play(&s, &script);
    CHECK_EQ(s.released, 5);
}

/* The loops end while a connection is open and has output. */
static void stop_with_output(struct scene *s)
{
    lv_conn_write_ref(s->conn, lv_bytes(megabyte, sizeof(megabyte)), s, release_one);
    lv_loops_stop(s->loops);
}

LV_TEST(stopping_closes_what_is_open)
{
    static const struct script script = { .opened = stop_with_output, .peer = peer_reads_all };
    struct scene s = { .why = LV_OK };

    play(&s, &script);
    CHECK_EQ(s.released, 1);
    CHECK_EQ(s.why, LV_ECLOSED);
}

/* ---- full and drained ---- */

static void fill_up(struct scene *s)
{
    CHECK(s->conn->out_bytes <= 32768);
    while (!lv_conn_is_full(s->conn)) {
        lv_conn_write(s->conn, lv_bytes(megabyte, 1000));
        s->body_at += 1000;
    }
    CHECK(s->conn->out_bytes > 65536 && s->conn->out_bytes <= 66536);
    if (++s->steps == 50)
        lv_conn_close(s->conn, 10000);
}

LV_TEST(drained_is_told_once_each_time)
{
    static const struct script script = { .opened = fill_up,
                                          .drained = fill_up,
                                          .peer = peer_reads_all };
    struct scene s = { .why = LV_EIO };

    play(&s, &script);
    CHECK_EQ(s.drained, 49);
    CHECK_EQ(s.peer_got, s.body_at);
}

/* ---- pausing ---- */

static void peer_sends_pattern(struct scene *s)
{
    uint8_t buf[3001];

    for (uint64_t at = 0; at < 3001u * 100;) {
        for (size_t i = 0; i < sizeof(buf); i++, at++)
            buf[i] = pattern(at);
        CHECK_EQ(write(s->peer_fd, buf, sizeof(buf)), (ssize_t)sizeof(buf));
    }
}

static size_t take_some_and_pause(struct scene *s, struct lv_bytes in)
{
    size_t n = LV_MIN(in.len, 1000u + s->body_at % 77);

    CHECK(!s->conn->is_paused);
    for (size_t i = 0; i < n; i++)
        CHECK(in.ptr[i] == pattern(s->body_at + i));
    s->body_at += n;
    lv_conn_pause(s->conn);
    lv_conn_pause(s->conn);
    if (s->steps++ % 3 != 0)
        lv_conn_resume(s->conn); /* goes on in the deferred phase of this turn or the next */
    return n;
}

static void resume_often(struct scene *s)
{
    lv_conn_resume(s->conn);
    lv_timer_start(s->conn->loop, &s->timer, 0, on_timer);
}

LV_TEST(pausing_loses_nothing)
{
    static const struct script script = { .input = take_some_and_pause,
                                          .timer = resume_often,
                                          .peer = peer_sends_pattern };
    struct scene s = { .why = LV_OK };

    play(&s, &script);
    CHECK_EQ(s.body_at, 3001u * 100);
    CHECK_EQ(s.why, LV_ECLOSED);
}

/* ---- more than a block without any progress ---- */

static size_t never_content(struct scene *s, struct lv_bytes in)
{
    (void)s;
    (void)in;
    return 0;
}

static void peer_floods(struct scene *s)
{
    while (send(s->peer_fd, megabyte, 10000, MSG_NOSIGNAL) > 0) {
    }
}

LV_TEST(an_owner_that_never_consumes_is_cut_off)
{
    static const struct script script = { .input = never_content, .peer = peer_floods };
    struct scene s = { .why = LV_OK };

    play(&s, &script);
    CHECK_EQ(s.why, LV_EFULL);
}

/* ---- reading into memory of the owner ---- */

enum { BODIES = 300 };

static size_t body_size(uint64_t n)
{
    return (size_t)(n * n * n * 7919 % 40000);
}

static void body_done(struct scene *s)
{
    for (size_t i = 0; i < s->body_bytes; i++)
        CHECK(s->body[i] == pattern(s->steps + i));
    free(s->body);
    s->body = NULL;
    s->steps++;
}

static void body_filled(struct scene *s, size_t n)
{
    s->body_at += n;
    if (s->body_at == s->body_bytes)
        body_done(s);
}

/* Frames of a four-byte length and that many bytes, the beginning of which may be in the block. */
static size_t read_bodies(struct scene *s, struct lv_bytes in)
{
    struct lv_rd r = lv_rd(in);

    CHECK(s->body == NULL);
    while (lv_rd_left(&r) >= 4) {
        s->body_bytes = lv_rd_u32(&r);
        CHECK_EQ(s->body_bytes, body_size(s->steps));
        s->body = malloc(s->body_bytes + 1);
        s->body_at = LV_MIN(s->body_bytes, lv_rd_left(&r));
        memcpy(s->body, lv_rd_bytes(&r, s->body_at).ptr, s->body_at);
        if (s->body_at < s->body_bytes) {
            lv_conn_read_into(s->conn, s->body + s->body_at, s->body_bytes - s->body_at);
            return in.len;
        }
        body_done(s);
    }
    return in.len - lv_rd_left(&r);
}

static size_t piece_max;

static void peer_sends_bodies(struct scene *s)
{
    static uint8_t wire[BODIES * 40004];
    struct lv_wr w = lv_wr(wire, sizeof(wire));
    struct lv_rng rng = lv_rng_seed(piece_max);

    for (uint64_t n = 0; n < BODIES; n++) {
        size_t bytes = body_size(n);
        lv_wr_u32(&w, (uint32_t)bytes);
        for (size_t i = 0; i < bytes; i++)
            lv_wr_u8(&w, pattern(n + i));
    }
    for (size_t at = 0; at < w.used;) {
        size_t n = 1 + lv_rng_below(&rng, (uint32_t)piece_max);
        n = LV_MIN(n, w.used - at);
        CHECK_EQ(write(s->peer_fd, wire + at, n), (ssize_t)n);
        at += n;
    }
}

LV_TEST(bodies_go_straight_to_their_place)
{
    static const struct script script = { .input = read_bodies,
                                          .filled = body_filled,
                                          .peer = peer_sends_bodies };
    static const size_t pieces[] = { 100, 3000, 1000000 };

    for (size_t i = 0; i < LV_ARRAY_LEN(pieces); i++) {
        struct scene s = { .why = LV_OK };
        piece_max = pieces[i];
        play(&s, &script);
        CHECK_EQ(s.steps, BODIES);
    }
}

/* Every third body is given up when a part of it has come; the frames behind it are found all the same. */
static void fill_or_give_up(struct scene *s, size_t n)
{
    if (s->steps % 3 != 0) {
        body_filled(s, n);
        return;
    }
    free(s->body); /* at once: nothing may be written to it any more */
    s->body = NULL;
    s->steps++;
    lv_conn_read_drop(s->conn);
    lv_conn_read_drop(s->conn);
}

LV_TEST(a_body_may_be_given_up)
{
    static const struct script script = { .input = read_bodies,
                                          .filled = fill_or_give_up,
                                          .peer = peer_sends_bodies };
    static const size_t pieces[] = { 100, 3000, 1000000 };

    for (size_t i = 0; i < LV_ARRAY_LEN(pieces); i++) {
        struct scene s = { .why = LV_OK };
        piece_max = pieces[i];
        play(&s, &script);
        CHECK_EQ(s.steps, BODIES);
    }
}

/* ---- moving to another loop ---- */

static void hop(struct scene *s)
{
    struct lv_conn *c = s->conn;
    struct lv_loop *loop = c->loop;
    struct lv_mail m = { .op = 1 };

    s->steps++;
    lv_conn_detach(c);
    lv_loop_post(loop, 1 - lv_loop_index(loop), &m);
}

struct hop_task {
    struct lv_task task;
    struct scene *scene;
};
static struct hop_task hops[2]; /* one for each loop */

static void hop_task(struct lv_loop *loop, struct lv_task *task)
{
    struct scene *s = ((struct hop_task *)task)->scene;

    (void)loop;
    if (!s->conn->is_closing)
        hop(s);
}

static size_t echo_and_hop(struct scene *s, struct lv_bytes in)
{
    size_t n = s->body_at + in.len < 3001u * 100 ? in.len - in.len % 7 : in.len;
    struct hop_task *h = &hops[lv_loop_index(s->conn->loop)];

    s->body_at += n;
    if (s->got % 3 == 0)
        lv_conn_write_borrowed(s->conn, lv_bytes(in.ptr, n));
    else
        lv_conn_write(s->conn, lv_bytes(in.ptr, n));
    if (h->scene == NULL) {
        lv_list_init(&h->task.link);
        h->task.run = hop_task;
    }
    h->scene = s;
    lv_loop_defer(s->conn->loop, &h->task);
    return n;
}

static void arrive(struct scene *s, struct lv_loop *loop)
{
    CHECK_EQ(lv_conn_attach(s->conn, loop), LV_OK);
}

static void *drain_echo(void *arg)
{
    struct scene *s = arg;
    uint8_t buf[30000];
    uint64_t at = 0;

    while (at < 3001u * 100) {
        ssize_t n = read(s->peer_fd, buf, sizeof(buf));
        CHECK(n > 0);
        for (ssize_t i = 0; i < n; i++, at++)
            CHECK(buf[i] == pattern(at));
    }
    return NULL;
}

static void peer_sends_and_checks(struct scene *s)
{
    pthread_t reader;

    CHECK_EQ(pthread_create(&reader, NULL, drain_echo, s), 0);
    peer_sends_pattern(s);
    pthread_join(reader, NULL);
}

LV_TEST(a_connection_moves_between_loops_under_load)
{
    static const struct script script = {
        .input = echo_and_hop, .peer = peer_sends_and_checks, .mail = arrive, .loops = 2
    };
    struct scene s = { .why = LV_OK };

    memset(hops, 0, sizeof(hops));
    play(&s, &script);
    CHECK(s.steps > 2);
    CHECK_EQ(s.why, LV_ECLOSED);
}

/* ---- small things ---- */

static void look_at_addresses(struct scene *s)
{
    char peer[LV_ADDR_MAX], local[LV_ADDR_MAX];

    lv_conn_peer(s->conn, peer);
    lv_conn_local(s->conn, local);
    CHECK(strncmp(peer, "127.0.0.1:", 10) == 0);
    CHECK(strncmp(local, "127.0.0.1:", 10) == 0);
    CHECK(lv_conn_peer_is_loopback(s->conn));
}

LV_TEST(addresses)
{
    static const struct script script = { .is_tcp = true, .opened = look_at_addresses };
    struct scene s = { .why = LV_OK };

    play(&s, &script);
}

static void measure(struct scene *s)
{
    /* The owner's struct is not on our heap: add what it embeds. */
    CHECK((size_t)lv_mem_used(LV_TAG_CONN) + sizeof(struct lv_conn) < 700);
    lv_conn_close(s->conn, 0);
}

LV_TEST(an_idle_connection_is_small)
{
    static const struct script script = { .timer = measure, .peer = peer_reads_all };
    struct scene s = { .why = LV_OK };

    play(&s, &script);
}
