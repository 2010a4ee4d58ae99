/* One loop echoes to a client that is a plain blocking socket on another thread. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/conn.h"
#include "loop/loop.h"
#include "lv_test.h"

struct echo {
    struct lv_conn conn;
    size_t grain; /* consumes whole multiples of it only */
    void (*write)(struct lv_conn *c, struct lv_bytes b);
};

struct world {
    struct lv_loops *loops;
    struct echo *echo;
    int server_fd;
};

static size_t echo_input(struct lv_conn *c, struct lv_bytes in)
{
    struct echo *e = (struct echo *)c;
    size_t n = in.len - in.len % e->grain;

    e->write(c, lv_bytes(in.ptr, n));
    if (lv_conn_is_full(c))
        lv_conn_pause(c);
    return n;
}

static void echo_drained(struct lv_conn *c)
{
    lv_conn_resume(c);
}

static void echo_closed(struct lv_conn *c, enum lv_err why)
{
    (void)why;
    lv_loops_stop(lv_loop_all(c->loop));
    free(c);
}

static const struct lv_conn_ops echo_ops = { echo_input, NULL, echo_drained, echo_closed };

static enum lv_err start(struct lv_loop *loop)
{
    struct world *w = lv_loop_owner(loop);

    return lv_conn_open(&w->echo->conn, loop, w->server_fd, &echo_ops);
}

static void *run_loops(void *arg)
{
    struct world *w = arg;

    CHECK_EQ(lv_loops_run(w->loops), LV_OK);
    return NULL;
}

static void *send_all(void *arg)
{
    int fd = *(int *)arg;
    uint8_t piece[7001];
    uint32_t at = 0;

    for (size_t i = 0; i < 300; i++) {
        for (size_t j = 0; j < sizeof(piece); j++)
            piece[j] = (uint8_t)(at++ * 2654435761u >> 24);
        CHECK_EQ(write(fd, piece, sizeof(piece)), (ssize_t)sizeof(piece));
    }
    return NULL;
}

/* Sends 2.1 MB and checks that the same comes back; a slow reader makes output pile up. */
static void echo_case(size_t grain, bool is_slow,
                      void (*write_fn)(struct lv_conn *, struct lv_bytes))
{
    struct world w = { .echo = calloc(1, sizeof(struct echo)) };
    struct lv_loops_config config = {
        .count = 1, .owner = &w, .start = start, .out_high_bytes = 65536
    };
    uint8_t buf[65536];
    uint32_t at = 0;
    int fds[2];
    pthread_t loops, sender;

    w.echo->grain = grain;
    w.echo->write = write_fn;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    w.server_fd = fds[0];
    CHECK_EQ(lv_loops_new(&config, &w.loops), LV_OK);
    CHECK_EQ(pthread_create(&loops, NULL, run_loops, &w), 0);
    CHECK_EQ(pthread_create(&sender, NULL, send_all, &fds[1]), 0);
    uint32_t total = 300 * 7001 / (uint32_t)grain * (uint32_t)grain;
    while (at < total) {
        ssize_t n = read(fds[1], buf, is_slow ? 5000 : sizeof(buf));
        CHECK(n > 0);
        for (ssize_t i = 0; i < n; i++, at++)
            if (buf[i] != (uint8_t)(at * 2654435761u >> 24))
                CHECK_EQ(at, -1);
        if (is_slow && at < total / 2)
            usleep(200);
    }
    CHECK_EQ(at, total);
    pthread_join(sender, NULL);
    close(fds[1]);
    pthread_join(loops, NULL);
    lv_loops_free(w.loops);
    CHECK_EQ(lv_mem_used(LV_TAG_CONN), 0);
    CHECK_EQ(lv_mem_used(LV_TAG_LOOP), 0);
}

LV_TEST(echoes_what_it_gets)
{
    echo_case(1, false, lv_conn_write);
}
LV_TEST(keeps_what_was_not_consumed)
{
    echo_case(977, false, lv_conn_write);
}
LV_TEST(slow_reader_stops_the_writer)
{
    echo_case(1, true, lv_conn_write);
}
LV_TEST(borrowed_bytes_arrive)
{
    echo_case(1, false, lv_conn_write_borrowed);
}
LV_TEST(borrowed_bytes_outlive_the_block_of_a_slow_reader)
{
    echo_case(31, true, lv_conn_write_borrowed);
}
