/* What the engine costs by itself, without sockets: nanoseconds per message and bytes per thing.
 *
 *   engine_bench [name...]      each line is the median of five runs
 */
#include "base/mem.h"
#include "engine/queue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RUNS = 5, BATCH = 1000 };

static uint32_t slots[BATCH];
static size_t slot_count;

static enum lv_sink_answer on_deliver(struct lv_consumer *c, const struct lv_delivery *d)
{
    (void)c;
    slots[slot_count++ % BATCH] = d->slot;
    return LV_SINK_MORE;
}

static void on_cancelled(struct lv_consumer *c)
{
    (void)c;
}

static const struct lv_queue_sink sink = { .deliver = on_deliver, .cancelled = on_cancelled };

static double seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static struct lv_queue *queue_new(void)
{
    struct lv_queue *q;

    if (lv_queue_new(&sink, &q) != LV_OK)
        abort();
    slot_count = 0;
    return q;
}

static struct lv_consumer *subscribe(struct lv_queue *q, size_t n, bool no_ack)
{
    struct lv_consumer *c = calloc(n, sizeof(*c));

    for (size_t i = 0; i < n; i++) {
        c[i].credit = LV_CREDIT_UNLIMITED;
        c[i].no_ack = no_ack;
        if (lv_queue_subscribe(q, &c[i]) != LV_OK)
            abort();
    }
    return c;
}

/* A 16-byte message as a session would make it: views into what was read. */
static inline struct lv_msg borrowed(void)
{
    static const uint8_t wire[64];

    return (struct lv_msg){
        .key_len = 5,
        .props_len = 2,
        .body_len = 16,
        .exchange = wire,
        .key = wire + 8,
        .props = wire + 16,
        .body = wire + 32,
    };
}

static inline void publish(struct lv_queue *q)
{
    struct lv_msg m = borrowed();

    if (lv_queue_publish(q, &m, 0) != LV_OK)
        abort();
    lv_msg_done(&m);
}

static double per_message(double start, size_t n)
{
    return (seconds() - start) * 1e9 / (double)n;
}

/* Keeping and forgetting messages alone, `held` of them at a time. */
static double keep(size_t held)
{
    enum { N = 5000000 };
    static struct lv_msg *kept[BATCH];
    double start = seconds();

    for (size_t i = 0; i < N / held; i++) {
        for (size_t k = 0; k < held; k++) {
            struct lv_msg m = borrowed();
            kept[k] = lv_msg_keep(&m);
            lv_msg_done(&m);
        }
        for (size_t k = 0; k < held; k++)
            lv_msg_unref(kept[k]);
    }
    return per_message(start, N);
}

static double keep_1(void)
{
    return keep(1);
}

static double keep_1000(void)
{
    return keep(1000);
}

enum { RING = 8192, CROSSING = 4000000 };
static struct lv_msg *ring[RING];
static _Atomic size_t ring_in, ring_out;

static void *unref_all(void *arg)
{
    size_t out = 0;

    while (out < CROSSING) {
        size_t in = atomic_load_explicit(&ring_in, memory_order_acquire);
        for (; out < in; out++)
            lv_msg_unref(ring[out % RING]);
        atomic_store_explicit(&ring_out, out, memory_order_release);
    }
    return arg;
}

/* Kept by one thread, forgotten by another, as between two loops. */
static double keep_here_unref_there(void)
{
    pthread_t other;
    double start = seconds();

    ring_in = ring_out = 0;
    if (pthread_create(&other, NULL, unref_all, NULL) != 0)
        abort();
    for (size_t in = 0; in < CROSSING; in++) {
        while (in - atomic_load_explicit(&ring_out, memory_order_acquire) == RING) {
        }
        struct lv_msg m = borrowed();
        ring[in % RING] = lv_msg_keep(&m);
        lv_msg_done(&m);
        lv_msg_share(ring[in % RING]);
        if ((in & 63) == 63)
            atomic_store_explicit(&ring_in, in + 1, memory_order_release);
    }
    atomic_store_explicit(&ring_in, CROSSING, memory_order_release);
    pthread_join(other, NULL);
    return per_message(start, CROSSING);
}

static double through(size_t consumers)
{
    enum { N = 5000000 };
    struct lv_queue *q = queue_new();
    struct lv_consumer *c = subscribe(q, consumers, true);
    double start = seconds();

    for (size_t i = 0; i < N; i++)
        publish(q);
    double ns = per_message(start, N);
    lv_queue_free(q);
    free(c);
    return ns;
}

static double no_ack(void)
{
    return through(1);
}

static double no_ack_10000_consumers(void)
{
    return through(10000);
}

static double settled(size_t batch)
{
    enum { N = 3000000 };
    struct lv_queue *q = queue_new();
    struct lv_consumer *c = subscribe(q, 1, false);
    double start = seconds();

    for (size_t i = 0; i < N / batch; i++) {
        slot_count = 0;
        for (size_t k = 0; k < batch; k++)
            publish(q);
        lv_queue_settle(q, slots, batch, LV_ACCEPTED, 0);
    }
    double ns = per_message(start, N);
    lv_queue_free(q);
    free(c);
    return ns;
}

static double settle_each(void)
{
    return settled(1);
}

static double settle_each_100(void)
{
    return settled(100);
}

static double settle_each_1000(void)
{
    return settled(1000);
}

/* As when output is full for a moment: a batch waits in the ready list before it goes. */
static double by_ready_list(void)
{
    enum { N = 3000000 };
    struct lv_queue *q = queue_new();
    struct lv_consumer *c = subscribe(q, 1, true);
    double start = seconds();

    for (size_t i = 0; i < N / BATCH; i++) {
        lv_consumer_pause(c);
        for (size_t k = 0; k < BATCH; k++)
            publish(q);
        lv_consumer_resume(c);
        lv_queue_dispatch(q, 0);
    }
    double ns = per_message(start, N);
    lv_queue_free(q);
    free(c);
    return ns;
}

enum { MILLION = 1000000 };

static double fill(void)
{
    struct lv_queue *q = queue_new();
    double start = seconds();

    for (size_t i = 0; i < MILLION; i++)
        publish(q);
    double ns = per_message(start, MILLION);
    lv_queue_free(q);
    return ns;
}

static double drain(bool without_ack)
{
    struct lv_queue *q = queue_new();

    for (size_t i = 0; i < MILLION; i++)
        publish(q);
    struct lv_consumer *c = subscribe(q, 1, without_ack);
    double start = seconds();
    lv_queue_dispatch(q, 0);
    double ns = per_message(start, MILLION);
    lv_queue_free(q);
    free(c);
    return ns;
}

static double drain_no_ack(void)
{
    return drain(true);
}

static double drain_unsettled(void)
{
    return drain(false);
}

/* Filled in turn, drained one by one: neighbours in a queue lie far apart in memory. */
static double drain_1000_queues(void)
{
    enum { QUEUES = 1000 };
    struct lv_queue *q[QUEUES];

    for (size_t i = 0; i < QUEUES; i++)
        q[i] = queue_new();
    for (size_t i = 0; i < MILLION; i++)
        publish(q[i % QUEUES]);
    double start = seconds();
    for (size_t i = 0; i < QUEUES; i++) {
        struct lv_consumer *c = subscribe(q[i], 1, true);
        lv_queue_dispatch(q[i], 0);
        lv_queue_unsubscribe(c);
        free(c);
    }
    double ns = per_message(start, MILLION);
    for (size_t i = 0; i < QUEUES; i++)
        lv_queue_free(q[i]);
    return ns;
}

/* A connection with a million unsettled messages goes, and another takes them all. */
static double release_and_hand_out_again(void)
{
    struct lv_queue *q = queue_new();
    uint32_t *all = calloc(MILLION, sizeof(*all));
    struct lv_delivery d;

    for (size_t i = 0; i < MILLION; i++) {
        publish(q);
        if (lv_queue_get(q, false, 0, &d) != LV_OK)
            abort();
        all[i] = d.slot;
    }
    double start = seconds();
    lv_queue_settle(q, all, MILLION, LV_RELEASED, 0);
    struct lv_consumer *c = subscribe(q, 1, true);
    lv_queue_dispatch(q, 0);
    double ns = per_message(start, MILLION);
    lv_queue_free(q);
    free(all);
    free(c);
    return ns;
}

static double memory_used(void)
{
    return (double)(lv_mem_used(LV_TAG_MESSAGE) + lv_mem_used(LV_TAG_QUEUE));
}

static double bytes_queued_message(void)
{
    struct lv_queue *q = queue_new();
    double before = memory_used();

    for (size_t i = 0; i < MILLION; i++)
        publish(q);
    double bytes = (memory_used() - before) / MILLION;
    lv_queue_free(q);
    return bytes;
}

static double bytes_empty_queue(void)
{
    enum { QUEUES = 100000 };
    struct lv_queue **q = calloc(QUEUES, sizeof(struct lv_queue *));
    double before = memory_used();

    for (size_t i = 0; i < QUEUES; i++)
        q[i] = queue_new();
    double bytes = (memory_used() - before) / QUEUES;
    for (size_t i = 0; i < QUEUES; i++)
        lv_queue_free(q[i]);
    free(q);
    return bytes;
}

static const struct {
    const char *name;
    double (*run)(void);
    const char *unit;
} benches[] = {
    { "keep_1", keep_1, "ns" },
    { "keep_1000", keep_1000, "ns" },
    { "keep_here_unref_there", keep_here_unref_there, "ns" },
    { "no_ack", no_ack, "ns" },
    { "no_ack_10000_consumers", no_ack_10000_consumers, "ns" },
    { "settle_each", settle_each, "ns" },
    { "settle_each_100", settle_each_100, "ns" },
    { "settle_each_1000", settle_each_1000, "ns" },
    { "by_ready_list", by_ready_list, "ns" },
    { "fill", fill, "ns" },
    { "drain_no_ack", drain_no_ack, "ns" },
    { "drain_1000_queues", drain_1000_queues, "ns" },
    { "drain_unsettled", drain_unsettled, "ns" },
    { "release_and_hand_out_again", release_and_hand_out_again, "ns" },
    { "bytes_queued_message", bytes_queued_message, "bytes" },
    { "bytes_empty_queue", bytes_empty_queue, "bytes" },
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static bool is_wanted(const char *name, char **words)
{
    if (*words == NULL)
        return true;
    for (; *words != NULL; words++)
        if (strcmp(name, *words) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 0 && i < LV_ARRAY_LEN(benches); i++) {
        double result[RUNS];
        if (!is_wanted(benches[i].name, argv + 1))
            continue;
        for (size_t r = 0; r < RUNS; r++)
            result[r] = benches[i].run();
        qsort(result, RUNS, sizeof(result[0]), by_value);
        printf("%-28s %7.1f %s\n", benches[i].name, result[RUNS / 2], benches[i].unit);
    }
    return 0;
}
