/* The n-th allocation of the loop's thread fails, for every n until nothing fails any more: the connection may be lost,
 * never anything else, and nothing leaks. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/conn.h"
#include "loop/loop.h"
#include "lv_test.h"

enum { TOTAL = 400000 };

struct scene {
    struct lv_conn conn;
    struct lv_loops *loops;
    int fd, peer_fd;
    uint64_t fail_at;
    unsigned pinned, released, closed;
    size_t echoed; /* by the peer */
    enum lv_err start_err, why;
};

static void release(void *owner)
{
    ((struct scene *)owner)->released++;
}

/* Uses every kind of output, leaves something behind, and pauses now and then. */
static size_t input(struct lv_conn *c, struct lv_bytes in)
{
    struct scene *s = (struct scene *)c;
    size_t third = in.len / 4, at = 0;
    static const uint8_t nothing[20000];

    lv_conn_write(c, lv_bytes(in.ptr, third));
    at += third;
    lv_conn_write_borrowed(c, lv_bytes(in.ptr + at, third));
    at += third;
    uint8_t *room = lv_conn_reserve(c, LV_MIN(third, LV_OUT_RESERVE_MAX));
    if (room == NULL)
        return at;
    memcpy(room, in.ptr + at, LV_MIN(third, LV_OUT_RESERVE_MAX));
    lv_conn_wrote(c, LV_MIN(third, LV_OUT_RESERVE_MAX));
    at += LV_MIN(third, LV_OUT_RESERVE_MAX);
    if (s->pinned < 3) {
        s->pinned++;
        lv_conn_write_ref(c, lv_bytes(nothing, sizeof(nothing)), s, release);
    }
    if (at == 0) {
        lv_conn_write(c, in);
        return in.len;
    }
    if (lv_conn_is_full(c))
        lv_conn_pause(c);
    return at;
}

static void drained(struct lv_conn *c)
{
    lv_conn_resume(c);
}

static void closed(struct lv_conn *c, enum lv_err why)
{
    struct scene *s = (struct scene *)c;

    s->closed++;
    s->why = why;
    lv_loops_stop(s->loops);
}

static const struct lv_conn_ops ops = { input, NULL, drained, closed };

/* Away and back: to the same loop, to have the failures on one thread. */
static void move(struct lv_loop *loop)
{
    struct scene *s = lv_loop_owner(loop);

    if (s->closed != 0 || s->conn.is_closing)
        return;
    lv_conn_detach(&s->conn);
    if (lv_conn_attach(&s->conn, loop) == LV_OK)
        return;
    s->closed++;
    s->why = LV_ENOMEM;
    lv_loops_stop(s->loops);
}

static enum lv_err start(struct lv_loop *loop)
{
    struct scene *s = lv_loop_owner(loop);

    lv_mem_fail_at(s->fail_at);
    s->start_err = lv_conn_open(&s->conn, loop, s->fd, &ops);
    if (s->start_err != LV_OK)
        close(s->fd);
    return s->start_err;
}

static void *read_echo(void *arg)
{
    struct scene *s = arg;
    uint8_t buf[4096];
    ssize_t n;

    while ((n = read(s->peer_fd, buf, sizeof(buf))) > 0)
        s->echoed += (size_t)n;
    return NULL;
}

static void *run_peer(void *arg)
{
    struct scene *s = arg;
    static const uint8_t piece[5000];
    pthread_t reader;
    size_t sent = 0;

    CHECK_EQ(pthread_create(&reader, NULL, read_echo, s), 0);
    while (sent < TOTAL &&
           send(s->peer_fd, piece, sizeof(piece), MSG_NOSIGNAL) == (ssize_t)sizeof(piece))
        sent += sizeof(piece);
    shutdown(s->peer_fd, SHUT_WR);
    pthread_join(reader, NULL);
    close(s->peer_fd);
    return NULL;
}

/* Returns whether everything went well. */
static bool play(uint64_t fail_at)
{
    struct scene s = { .fail_at = fail_at };
    struct lv_loops_config config = { .count = 1,
                                      .owner = &s,
                                      .start = start,
                                      .turn_end = move,
                                      .read_block_bytes = 16384,
                                      .out_high_bytes = 32768 };
    pthread_t peer;
    int fds[2];

    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    s.fd = fds[0];
    s.peer_fd = fds[1];
    CHECK_EQ(lv_loops_new(&config, &s.loops), LV_OK);
    CHECK_EQ(pthread_create(&peer, NULL, run_peer, &s), 0);
    enum lv_err err = lv_loops_run(s.loops);
    lv_mem_fail_at(0);
    pthread_join(peer, NULL);
    lv_loops_free(s.loops);
    CHECK_EQ(err, s.start_err);
    CHECK(err == LV_OK || err == LV_ENOMEM);
    CHECK_EQ(s.closed, err == LV_OK);
    CHECK_EQ(s.released, s.pinned);
    CHECK(s.why == LV_OK || s.why == LV_ENOMEM || s.why == LV_ECLOSED);
    CHECK_EQ(lv_mem_used(LV_TAG_CONN), 0);
    CHECK_EQ(lv_mem_used(LV_TAG_LOOP), 0);
    return err == LV_OK && s.why == LV_ECLOSED;
}

LV_TEST(a_connection_without_memory)
{
    unsigned lost = 0;

    for (uint64_t n = 1; n < 400; n++)
        lost += !play(n);
    CHECK(lost > 3);
    CHECK(play(0));
}

LV_TEST(loops_without_memory)
{
    struct lv_loops_config config = { .count = 3 };
    struct lv_loops *loops = NULL;
    uint64_t n = 0;

    do {
        lv_mem_fail_at(++n);
        enum lv_err err = lv_loops_new(&config, &loops);
        lv_mem_fail_at(0);
        CHECK(err == LV_OK || err == LV_ENOMEM);
        CHECK(err == LV_OK || lv_mem_used(LV_TAG_LOOP) == 0);
    } while (loops == NULL);
    lv_loops_free(loops);
    CHECK(n > 10);
    CHECK_EQ(lv_mem_used(LV_TAG_LOOP), 0);
}
