/* Many connections on one loop: none is starved, they share the read blocks, and all wait while mail overflows. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/conn.h"
#include "loop/loop.h"
#include "lv_test.h"

enum { CROWD = 20 };

struct member {
    struct lv_conn conn;
    struct crowd *crowd;
    int fd, peer_fd;
    uint64_t got;
    /* the peer's */
    uint64_t sent, echoed;
};

struct crowd {
    struct member member[CROWD];
    struct lv_loops *loops;
    size_t (*input)(struct lv_conn *c, struct lv_bytes in);
    void (*mail)(struct lv_loop *loop, unsigned from, const struct lv_mail *m);
    void *(*peers)(void *crowd);
    unsigned loop_count, open;
    unsigned start_us; /* the first turn waits, for all sockets to be ready in it */
    uint64_t total;
    _Atomic bool is_over;
    uint64_t mails;
    int64_t mem_max;
};

static size_t input(struct lv_conn *c, struct lv_bytes in)
{
    struct member *m = (struct member *)c;

    m->got += in.len;
    m->crowd->total += in.len;
    return m->crowd->input(c, in);
}

static void drained(struct lv_conn *c)
{
    lv_conn_resume(c);
}

static void closed(struct lv_conn *c, enum lv_err why)
{
    struct crowd *crowd = ((struct member *)c)->crowd;

    (void)why;
    if (--crowd->open == 0)
        lv_loops_stop(crowd->loops);
}

static const struct lv_conn_ops ops = { input, NULL, drained, closed };

static enum lv_err start(struct lv_loop *loop)
{
    struct crowd *crowd = lv_loop_owner(loop);

    for (unsigned i = 0; lv_loop_index(loop) == 0 && i < CROWD; i++) {
        struct member *m = &crowd->member[i];
        m->crowd = crowd;
        CHECK_EQ(lv_conn_open(&m->conn, loop, m->fd, &ops), LV_OK);
        crowd->open++;
    }
    usleep(crowd->start_us);
    return LV_OK;
}

static void gather(struct crowd *crowd)
{
    struct lv_loops_config config = { .count = crowd->loop_count,
                                      .owner = crowd,
                                      .start = start,
                                      .mail = crowd->mail,
                                      .out_high_bytes = 32768 };
    pthread_t peers;

    for (unsigned i = 0; i < CROWD; i++) {
        int fds[2];
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        crowd->member[i].fd = fds[0];
        crowd->member[i].peer_fd = fds[1];
        CHECK_EQ(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    }
    CHECK_EQ(lv_loops_new(&config, &crowd->loops), LV_OK);
    CHECK_EQ(pthread_create(&peers, NULL, crowd->peers, crowd), 0);
    CHECK_EQ(lv_loops_run(crowd->loops), LV_OK);
    pthread_join(peers, NULL);
    lv_loops_free(crowd->loops);
    CHECK_EQ(lv_mem_used(LV_TAG_CONN), 0);
    CHECK_EQ(lv_mem_used(LV_TAG_LOOP), 0);
}

/* ---- fairness ---- */

static size_t swallow(struct lv_conn *c, struct lv_bytes in)
{
    struct crowd *crowd = ((struct member *)c)->crowd;

    if (crowd->total > UINT64_C(100) << 20)
        crowd->is_over = true;
    return in.len;
}

static void *flood(void *arg)
{
    struct crowd *crowd = arg;
    static const uint8_t block[65536];

    while (!crowd->is_over)
        for (unsigned i = 0; i < CROWD; i++)
            (void)send(crowd->member[i].peer_fd, block, sizeof(block), MSG_NOSIGNAL);
    for (unsigned i = 0; i < CROWD; i++)
        close(crowd->member[i].peer_fd);
    return NULL;
}

LV_TEST(nobody_is_starved)
{
    struct crowd *crowd = calloc(1, sizeof(*crowd));
    uint64_t least = UINT64_MAX;

    crowd->input = swallow;
    crowd->peers = flood;
    crowd->loop_count = 1;
    gather(crowd);
    for (unsigned i = 0; i < CROWD; i++)
        least = LV_MIN(least, crowd->member[i].got);
    CHECK(least > crowd->total / CROWD / 2);
    free(crowd);
}

/* ---- many borrow in one turn ---- */

static uint8_t pattern(uint64_t member, uint64_t at)
{
    return (uint8_t)((at + member * 977) * 2654435761u >> 13);
}

static size_t echo_borrowed(struct lv_conn *c, struct lv_bytes in)
{
    lv_conn_write_borrowed(c, in);
    if (lv_conn_is_full(c))
        lv_conn_pause(c);
    return in.len;
}

enum { ECHO_EACH = 1500000 };

static void exchange(struct member *m, unsigned index)
{
    uint8_t buf[50000];

    if (m->sent < ECHO_EACH) {
        size_t n = LV_MIN(sizeof(buf), ECHO_EACH - m->sent);
        for (size_t i = 0; i < n; i++)
            buf[i] = pattern(index, m->sent + i);
        ssize_t done = write(m->peer_fd, buf, n);
        m->sent += done > 0 ? (uint64_t)done : 0;
    }
    ssize_t n = read(m->peer_fd, buf, 20000); /* slowly */
    for (ssize_t i = 0; i < n; i++, m->echoed++)
        CHECK(buf[i] == pattern(index, m->echoed));
}

static void *send_and_check(void *arg)
{
    struct crowd *crowd = arg;
    unsigned done;

    do {
        done = 0;
        for (unsigned i = 0; i < CROWD; i++) {
            exchange(&crowd->member[i], i);
            done += crowd->member[i].echoed == ECHO_EACH;
        }
    } while (done < CROWD);
    for (unsigned i = 0; i < CROWD; i++)
        close(crowd->member[i].peer_fd);
    return NULL;
}

LV_TEST(many_borrow_in_one_turn)
{
    struct crowd *crowd = calloc(1, sizeof(*crowd));

    crowd->input = echo_borrowed;
    crowd->start_us = 50000;
    crowd->peers = send_and_check;
    crowd->loop_count = 1;
    gather(crowd);
    CHECK_EQ(crowd->total, (uint64_t)CROWD * ECHO_EACH);
    free(crowd);
}

/* ---- mail that is not taken stops the sockets ---- */

enum { POST_EACH = 200000 };

/* A mail for every byte, to a loop that is slower. */
static size_t post_all(struct lv_conn *c, struct lv_bytes in)
{
    struct crowd *crowd = ((struct member *)c)->crowd;
    struct lv_mail m = { .op = 1 };

    for (size_t i = 0; i < in.len; i++)
        lv_loop_post(c->loop, 1, &m);
    int64_t used = lv_mem_used(LV_TAG_LOOP);
    crowd->mem_max = LV_MAX(crowd->mem_max, used);
    return in.len;
}

static void take_slowly(struct lv_loop *loop, unsigned from, const struct lv_mail *m)
{
    struct crowd *crowd = lv_loop_owner(loop);

    (void)from;
    (void)m;
    if (++crowd->mails % 50000 == 0)
        usleep(1000);
}

static void *send_pieces(void *arg)
{
    struct crowd *crowd = arg;
    static const uint8_t piece[5000];
    unsigned done;

    do {
        done = 0;
        for (unsigned i = 0; i < CROWD; i++) {
            struct member *m = &crowd->member[i];
            ssize_t n = m->sent < POST_EACH ? write(m->peer_fd, piece, sizeof(piece)) : 0;
            m->sent += n > 0 ? (uint64_t)n : 0;
            done += m->sent == POST_EACH;
        }
    } while (done < CROWD);
    for (unsigned i = 0; i < CROWD; i++)
        close(crowd->member[i].peer_fd);
    return NULL;
}

LV_TEST(sockets_wait_while_mail_overflows)
{
    struct crowd *crowd = calloc(1, sizeof(*crowd));

    crowd->input = post_all;
    crowd->mail = take_slowly;
    crowd->peers = send_pieces;
    crowd->loop_count = 2;
    gather(crowd);
    CHECK_EQ(crowd->mails, (uint64_t)CROWD * POST_EACH);
    /* One read may overflow by its own mail, 64 bytes for each of ours, and no second one is made. */
    CHECK(crowd->mem_max < 20 * 1024 * 1024 + 4 * 1024 * 1024);
    free(crowd);
}
