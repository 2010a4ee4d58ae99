#include "churn.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "amqp_client.h"
#include "report.h"
#include "run.h"

struct churn {
    const struct lv_bench_options *options;
    uint64_t start_ns, measure_from_ns, measure_to_ns;
    _Atomic bool has_failed;
};

struct churner {
    pthread_t thread;
    struct churn *churn;
    struct lv_client client; /* of the modes that keep their connection */
    unsigned index;
    uint64_t quota; /* operations; 0: until the time is over */
    _Atomic uint64_t done;
    struct lv_histogram *latency;
    uint64_t last_ns;
    struct lv_fault fault; /* code 0: none */
};

/* ---- operations ---- */

static bool churn_connection(struct churner *c)
{
    struct lv_client client;

    return lv_client_open(&client, &c->churn->options->url, 0, &c->fault) &&
           lv_client_close(&client, &c->fault);
}

static bool churn_channel(struct churner *c)
{
    return lv_client_channel_open(&c->client, 1, &c->fault) &&
           lv_client_channel_close(&c->client, 1, &c->fault);
}

static bool churn_queue(struct churner *c)
{
    const struct lv_bench_options *o = c->churn->options;
    char name[48];
    struct lv_queue_spec queue = { .name = name, .type = o->queue_type, .is_durable = o->is_durable };

    snprintf(name, sizeof(name), "lv%x.%u.%ju", (unsigned)getpid(), c->index,
             (uintmax_t)atomic_load_explicit(&c->done, memory_order_relaxed));
    return lv_client_queue_declare(&c->client, &queue, &c->fault) &&
           lv_client_queue_delete(&c->client, name, &c->fault);
}

static const struct operation {
    bool (*perform)(struct churner *c);
    bool keeps_connection, needs_channel;
    const char *noun;
} operations[LV_BENCH_MODES] = {
    [LV_BENCH_CHURN_CONNECTION] = { churn_connection, false, false, "connections" },
    [LV_BENCH_CHURN_CHANNEL] = { churn_channel, true, false, "channels" },
    [LV_BENCH_CHURN_QUEUE] = { churn_queue, true, true, "queues" },
};

/* ---- clients ---- */

static bool prepare(struct churner *c, const struct operation *op)
{
    if (op->keeps_connection && !lv_client_open(&c->client, &c->churn->options->url, 0, &c->fault))
        return false;
    return !op->needs_channel || lv_client_channel_open(&c->client, 1, &c->fault);
}

static bool is_finished(const struct churner *c, uint64_t now)
{
    if (atomic_load_explicit(&c->churn->has_failed, memory_order_relaxed))
        return true;
    return c->quota != 0 ? atomic_load_explicit(&c->done, memory_order_relaxed) >= c->quota
                         : now >= c->churn->measure_to_ns;
}

static void *churn_thread(void *arg)
{
    struct churner *c = arg;
    const struct operation *op = &operations[c->churn->options->mode];
    uint64_t now = lv_now_ns();

    while (!is_finished(c, now)) {
        uint64_t began = now;
        if (!op->perform(c)) {
            atomic_store(&c->churn->has_failed, true);
            break;
        }
        now = lv_now_ns();
        lv_count(&c->done, 1);
        if (began >= c->churn->measure_from_ns)
            lv_histogram_record(c->latency, now - began);
    }
    c->last_ns = now;
    return NULL;
}

/* ---- the run ---- */

static void show_progress(const struct churn *churn, const struct churner *churners, uint64_t *shown)
{
    uint64_t done = 0;

    for (uint64_t i = 0; i < churn->options->clients; i++)
        done += atomic_load_explicit(&churners[i].done, memory_order_relaxed);
    fprintf(stderr, "%4.0f s  %ju %s/s\n", (double)(lv_now_ns() - churn->start_ns) / LV_NS,
            (uintmax_t)(done - *shown), operations[churn->options->mode].noun);
    *shown = done;
}

static void watch(const struct churn *churn, struct churner *churners)
{
    uint64_t shown = 0;

    for (;;) {
        uint64_t tick_end = lv_now_ns() + LV_NS;
        while (lv_now_ns() < tick_end) {
            bool is_over = true;
            for (uint64_t i = 0; i < churn->options->clients; i++)
                is_over = is_over && is_finished(&churners[i], lv_now_ns());
            if (is_over)
                return;
            nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
        }
        show_progress(churn, churners, &shown);
    }
}

static struct lv_count_result gather(const struct churn *churn, const struct churner *churners)
{
    struct lv_count_result r = { .noun = operations[churn->options->mode].noun,
                                 .latency = lv_need(calloc(1, sizeof(*r.latency))) };
    uint64_t last_ns = churn->measure_from_ns;

    for (uint64_t i = 0; i < churn->options->clients; i++) {
        lv_histogram_merge(r.latency, churners[i].latency);
        last_ns = LV_MAX(last_ns, churners[i].last_ns);
    }
    r.count = lv_histogram_count(r.latency);
    r.seconds = (double)(last_ns - churn->measure_from_ns) / LV_NS;
    return r;
}

static const struct lv_fault *first_fault(const struct churner *churners, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (churners[i].fault.code != 0)
            return &churners[i].fault;
    return NULL;
}

static int conclude(const struct churn *churn, const struct churner *churners)
{
    const struct lv_fault *fault = first_fault(churners, churn->options->clients);

    if (fault != NULL) {
        fprintf(stderr, "leveret: %s\n", fault->text);
        return fault->code;
    }
    struct lv_count_result r = gather(churn, churners);
    lv_report_count(churn->options, &r);
    free(r.latency);
    return 0;
}

int lv_bench_churn(const struct lv_bench_options *o)
{
    const struct operation *op = &operations[o->mode];
    struct churner *churners = lv_need(calloc(o->clients, sizeof(*churners)));
    struct churn churn = { .options = o };
    bool is_ready = true;

    for (uint64_t i = 0; i < o->clients; i++) {
        struct churner *c = &churners[i];
        c->churn = &churn;
        c->client.fd = -1;
        c->index = (unsigned)i;
        c->quota = o->count == 0 ? 0 : LV_MAX(o->count / o->clients, 1u);
        c->latency = lv_need(calloc(1, sizeof(*c->latency)));
        is_ready = is_ready && prepare(c, op);
    }
    churn.start_ns = lv_now_ns();
    churn.measure_from_ns = churn.start_ns + (uint64_t)(o->warmup_s * LV_NS);
    churn.measure_to_ns = churn.measure_from_ns + (uint64_t)(o->duration_s * LV_NS);
    if (is_ready) {
        for (uint64_t i = 0; i < o->clients; i++)
            pthread_create(&churners[i].thread, NULL, churn_thread, &churners[i]);
        watch(&churn, churners);
        for (uint64_t i = 0; i < o->clients; i++)
            pthread_join(churners[i].thread, NULL);
    }
    int code = conclude(&churn, churners);

    for (uint64_t i = 0; i < o->clients; i++) {
        lv_client_drop(&churners[i].client);
        free(churners[i].latency);
    }
    free(churners);
    return code;
}
