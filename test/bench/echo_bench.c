/* What the loop room costs: a producer sends small framed messages over TCP, one loop copies each by itself to a
 * consumer. Prints messages a second and what the loop's thread needed for each.
 *
 *   bench_echo [message bytes [seconds]] */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/conn.h"
#include "loop/loop.h"
#include "os/os.h"

struct end {
    struct lv_conn conn;
    struct end *other;
};

struct bench {
    struct end from, to;
    int from_fd, to_fd; /* the loop's */
    int producer_fd, consumer_fd;
    _Atomic bool is_over;
    uint64_t messages;
    struct rusage usage;
};

static size_t bytes_each = 64;

static size_t relay(struct lv_conn *c, struct lv_bytes in)
{
    struct bench *b = lv_loop_owner(c->loop);
    struct lv_conn *to = &((struct end *)c)->other->conn;
    size_t at = 0;

    for (; in.len - at >= bytes_each; at += bytes_each) {
        uint8_t *p = lv_conn_reserve(to, bytes_each);
        if (p == NULL)
            break;
        memcpy(p, in.ptr + at, bytes_each);
        lv_conn_wrote(to, bytes_each);
        b->messages++;
    }
    if (lv_conn_is_full(to))
        lv_conn_pause(c);
    return at;
}

static void drained(struct lv_conn *c)
{
    lv_conn_resume(&((struct end *)c)->other->conn);
}

static void closed(struct lv_conn *c, enum lv_err why)
{
    struct bench *b = lv_loop_owner(c->loop);

    (void)why;
    getrusage(RUSAGE_THREAD, &b->usage);
    lv_loops_stop(lv_loop_all(c->loop));
}

static const struct lv_conn_ops ops = { relay, NULL, drained, closed };

static enum lv_err start(struct lv_loop *loop)
{
    struct bench *b = lv_loop_owner(loop);
    enum lv_err err = lv_conn_open(&b->from.conn, loop, b->from_fd, &ops);

    return err != LV_OK ? err : lv_conn_open(&b->to.conn, loop, b->to_fd, &ops);
}

static void *produce(void *arg)
{
    struct bench *b = arg;
    static uint8_t block[262144];

    while (!b->is_over)
        if (write(b->producer_fd, block, sizeof(block)) <= 0)
            break;
    close(b->producer_fd);
    return NULL;
}

static void *consume(void *arg)
{
    struct bench *b = arg;
    static uint8_t block[262144];

    while (read(b->consumer_fd, block, sizeof(block)) > 0) {
    }
    return NULL;
}

static void *stop_later(void *arg)
{
    struct bench *b = arg;
    const char *seconds = getenv("SECONDS_EACH");

    sleep(seconds != NULL ? (unsigned)strtoul(seconds, NULL, 10) : 3);
    b->is_over = true;
    return NULL;
}

static void tcp_pair(int *a, int *b)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof(addr);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(listener, (struct sockaddr *)&addr, len) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&addr, &len) != 0)
        exit(1);
    *a = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(*a, (struct sockaddr *)&addr, len) != 0)
        exit(1);
    *b = accept(listener, NULL, NULL);
    close(listener);
}

int main(int argc, char **argv)
{
    struct bench b = { .is_over = false };
    struct lv_loops_config config = { .count = 1, .owner = &b, .start = start };
    const char *block = getenv("READ_BLOCK");
    struct lv_loops *loops;
    pthread_t threads[3];

    if (argc > 1)
        bytes_each = strtoul(argv[1], NULL, 10);
    if (block != NULL)
        config.read_block_bytes = strtoul(block, NULL, 10);
    b.from.other = &b.to;
    b.to.other = &b.from;
    tcp_pair(&b.producer_fd, &b.from_fd);
    tcp_pair(&b.consumer_fd, &b.to_fd);
    if (lv_loops_new(&config, &loops) != LV_OK)
        return 1;
    pthread_create(&threads[0], NULL, produce, &b);
    pthread_create(&threads[1], NULL, consume, &b);
    pthread_create(&threads[2], NULL, stop_later, &b);
    uint64_t began = lv_clock_ns();
    if (lv_loops_run(loops) != LV_OK)
        return 1;
    double seconds = (double)(lv_clock_ns() - began) * 1e-9, n = (double)b.messages;
    double user = (double)b.usage.ru_utime.tv_sec + (double)b.usage.ru_utime.tv_usec * 1e-6;
    double kernel = (double)b.usage.ru_stime.tv_sec + (double)b.usage.ru_stime.tv_usec * 1e-6;
    printf("%zu bytes: %.2f M messages/s, %.2f GB/s; loop: %.0f %% busy, %.1f ns user and %.1f ns "
           "kernel a message\n",
           bytes_each, n / seconds * 1e-6, n * (double)bytes_each / seconds * 1e-9,
           (user + kernel) / seconds * 100, user / n * 1e9, kernel / n * 1e9);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    lv_loops_free(loops);
    return 0;
}
