/* Metrics in the text format of Prometheus 0.0.4: RabbitMQ's by the table of metrics.def and by hand what has labels of its own,
 * ours behind leveret_. */
#include "manage/metrics_priv.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "manage/node.h"
#include "manage/router.h"

#define TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define NONE NAN

/* ---- the table ---- */

#define LV_METRIC(family, name, type, kind, help, one, all)             \
    static double one_##family##_##name(const void *object)             \
    {                                                                   \
        const lv_metrics_of_##kind *o = object;                         \
        (void)o;                                                        \
        return (double)(one);                                           \
    }                                                                   \
    static double all_##family##_##name(const struct lv_metrics_sum *s) \
    {                                                                   \
        (void)s;                                                        \
        return (double)(all);                                           \
    }
#include "manage/metrics.def"
#undef LV_METRIC

static const struct metric {
    const char *family, *name, *type, *help;
    enum lv_metrics_kind kind;
    double (*one)(const void *object);
    double (*all)(const struct lv_metrics_sum *s);
} table[] = {
#define LV_METRIC(family, name, type, kind, help, one, all) \
    { #family, #name, #type, help, LV_METRICS_##kind, one_##family##_##name, all_##family##_##name },
#include "manage/metrics.def"
#undef LV_METRIC
};
#define TABLE_LEN LV_ARRAY_LEN(table)

/* Families of the whole cluster, for /metrics/detailed only. */
enum cluster_family { CLUSTER_VHOSTS, CLUSTER_BINDINGS, CLUSTER_NAMES, CLUSTER_COUNT };
static const struct {
    const char *family, *name, *help;
} cluster[CLUSTER_COUNT] = {
    { "vhost_status", "rabbitmq_cluster_vhost_status", "Whether a virtual host is running: 2" },
    { "exchange_bindings", "rabbitmq_cluster_exchange_bindings", "Bindings of an exchange" },
    { "exchange_names", "rabbitmq_cluster_exchange_name", "Exchanges that there are" },
};

/* ---- a scrape ---- */

enum part { PART_TABLE, PART_QUEUES, PART_CLUSTER, PART_REST };

struct scrape {
    struct lv_metrics m; /* first */
    const char *prefix, *endpoint;
    bool is_detailed;
    bool selected[TABLE_LEN], cluster[CLUSTER_COUNT];
    enum part part;
    size_t at, row; /* what comes next */
};

static void put_value(struct lv_buf *out, double v)
{
    if (v == floor(v) && fabs(v) < 9e15)
        lv_buf_addf(out, " %.0f\n", v);
    else
        lv_buf_addf(out, " %.17g\n", v);
}

static void put_head(struct lv_buf *out, const char *prefix, const char *name, const char *type,
                     const char *help)
{
    lv_buf_addf(out, "# HELP %s%s %s\n# TYPE %s%s %s\n", prefix, name, help, prefix, name, type);
}

static void put_sample(struct lv_buf *out, const char *prefix, const char *name,
                       struct lv_bytes labels, double v)
{
    lv_buf_add_str(out, prefix);
    lv_buf_add_str(out, name);
    if (labels.len != 0) {
        lv_buf_add(out, "{", 1);
        lv_buf_add_bytes(out, labels);
        lv_buf_add(out, "}", 1);
    }
    put_value(out, v);
}

/* One without labels, with its head. */
static void put_one(struct lv_buf *out, const char *name, const char *type, const char *help,
                    double v)
{
    put_head(out, "", name, type, help);
    put_sample(out, "", name, lv_bytes(NULL, 0), v);
}

/* ---- RabbitMQ's that are no table ---- */

static void put_identity(struct lv_buf *out, const struct scrape *s)
{
    const struct lv_manage *room = s->m.r->room;
    struct lv_buf labels = { 0 };
    char id[64];

    (void)snprintf(id, sizeof(id), "rabbitmq-cluster-id-%016llx",
                   (unsigned long long)lv_broker_id(room->broker));
    lv_metrics_label(&labels, "rabbitmq_node", lv_bytes_str(room->node));
    lv_metrics_label(&labels, "rabbitmq_cluster", lv_cluster_name(room));
    lv_metrics_label(&labels, "rabbitmq_cluster_permanent_id", lv_bytes_str(id));
    lv_metrics_label(&labels, "rabbitmq_endpoint", lv_bytes_str(s->endpoint));
    put_head(out, "", "rabbitmq_identity_info", "gauge", "Node and cluster");
    put_sample(out, "", "rabbitmq_identity_info", lv_buf_view(&labels), 1);
    labels.len = 0;
    lv_metrics_label(&labels, "rabbitmq_version", lv_bytes_str(room->settings->product_version));
    lv_metrics_label(&labels, "prometheus_plugin_version",
                     lv_bytes_str(room->settings->product_version));
    lv_metrics_label(&labels, "prometheus_client_version", LV_BYTES_LIT("none"));
    lv_metrics_label(&labels, "erlang_version", LV_BYTES_LIT("none"));
    lv_metrics_label(&labels, "product_version", LV_BYTES_LIT(LV_VERSION));
    lv_metrics_label(&labels, "product_name", LV_BYTES_LIT("Leveret"));
    put_head(out, "", "rabbitmq_build_info", "gauge", "Versions");
    put_sample(out, "", "rabbitmq_build_info", lv_buf_view(&labels), 1);
    lv_buf_fini(&labels);
}

static void put_totals(struct lv_buf *out, const struct lv_metrics_sum *s)
{
    put_one(out, "rabbitmq_connections", "gauge", "Connections", (double)s->connections);
    put_one(out, "rabbitmq_channels", "gauge", "Channels", (double)s->channels);
    put_one(out, "rabbitmq_consumers", "gauge", "Consumers", (double)s->consumers);
    put_one(out, "rabbitmq_queues", "gauge", "Queues", (double)s->queues);
    put_one(out, "rabbitmq_alarms_file_descriptor_limit", "gauge",
            "1 when file descriptors have run out",
            s->usage.fd_limit != 0 && s->usage.fds >= s->usage.fd_limit);
    put_one(out, "rabbitmq_alarms_free_disk_space_watermark", "gauge",
            "1 when the disk alarm is set", s->resources.is_disk_low);
    put_one(out, "rabbitmq_alarms_memory_used_watermark", "gauge", "1 when the memory alarm is set",
            s->resources.is_memory_low);
}

static void put_protocol(struct lv_buf *out, const char *name, const char *type, const char *help,
                         uint64_t v)
{
    put_head(out, "rabbitmq_global_", name, type, help);
    put_sample(out, "rabbitmq_global_", name, LV_BYTES_LIT("protocol=\"amqp091\""), (double)v);
}

static void put_by_protocol(struct lv_buf *out, const struct lv_metrics_sum *s)
{
    const struct lv_counters *c = &s->counters;

    put_protocol(out, "messages_received_total", "counter", "Messages received from publishers",
                 c->messages_received);
    put_protocol(out, "messages_received_confirm_total", "counter",
                 "Messages received from publishers that await confirms",
                 c->messages_received_confirm);
    put_protocol(out, "messages_routed_total", "counter", "Messages routed to queues",
                 c->messages_routed);
    put_protocol(out, "messages_unroutable_dropped_total", "counter",
                 "Messages dropped as no queue was found", c->unroutable_dropped);
    put_protocol(out, "messages_unroutable_returned_total", "counter",
                 "Messages returned as no queue was found", c->unroutable_returned);
    put_protocol(out, "messages_confirmed_total", "counter", "Messages confirmed to publishers",
                 c->messages_confirmed);
    put_protocol(out, "publishers", "gauge", "Channels that have published", c->publishers);
    put_protocol(out, "consumers", "gauge", "Consumers", s->consumers);
}

static const char *const queue_types[LV_QUEUE_KINDS] = {
    "rabbit_classic_queue",
    "rabbit_quorum_queue",
    "rabbit_stream_queue",
};

static uint64_t delivered(const struct lv_queue_totals *t)
{
    return t->deliver + t->deliver_no_ack + t->get + t->get_no_ack;
}

#define X(name)                                                   \
    static uint64_t count_##name(const struct lv_queue_totals *t) \
    {                                                             \
        return t->name;                                           \
    }
LV_QUEUE_COUNTERS(X)
#undef X

static void put_by_queue_type(struct lv_buf *out, const struct lv_counters *c)
{
    static const struct {
        const char *name, *help;
        uint64_t (*count)(const struct lv_queue_totals *t);
    } rows[] = {
        { "delivered_total", "Messages delivered to consumers, and fetched", delivered },
        { "delivered_consume_auto_ack_total", "Delivered in automatic acknowledgement mode",
          count_deliver_no_ack },
        { "delivered_consume_manual_ack_total", "Delivered in manual acknowledgement mode",
          count_deliver },
        { "delivered_get_auto_ack_total", "Fetched in automatic acknowledgement mode",
          count_get_no_ack },
        { "delivered_get_manual_ack_total", "Fetched in manual acknowledgement mode", count_get },
        { "get_empty_total", "Times basic.get found no message", count_get_empty },
        { "redelivered_total", "Messages redelivered", count_redeliver },
        { "acknowledged_total", "Messages acknowledged", count_ack },
    };
    char labels[128];

    for (size_t i = 0; i < LV_ARRAY_LEN(rows); i++) {
        put_head(out, "rabbitmq_global_messages_", rows[i].name, "counter", rows[i].help);
        for (unsigned k = 0; k < LV_QUEUE_KINDS; k++) {
            (void)snprintf(labels, sizeof(labels), "protocol=\"amqp091\",queue_type=\"%s\"",
                           queue_types[k]);
            put_sample(out, "rabbitmq_global_messages_", rows[i].name, lv_bytes_str(labels),
                       (double)rows[i].count(&c->by_kind[k]));
        }
    }
}

/* Messages that died in queues of a kind. All dead letters go out "at most once", as RabbitMQ calls it: a queue that is full
 * does not get them later. */
static uint64_t died(const struct lv_counters *c, unsigned kind, int why, struct lv_bytes strategy)
{
    if (why < 0 || lv_bytes_eq(strategy, LV_BYTES_LIT("at_least_once")))
        return 0;
    return c->dead[kind][why][lv_bytes_eq(strategy, LV_BYTES_LIT("at_most_once"))];
}

/* What can happen to a message by queue type and strategy (RabbitMQ). */
static void put_dead_letters(struct lv_buf *out, const struct lv_counters *c)
{
    static const struct {
        const char *reason, *help, *classic, *quorum; /* strategies */
        int why;
    } rows[] = {
        { "confirmed", "Messages dead-lettered and confirmed by target queues", "", "at_least_once",
          -1 },
        { "delivery_limit", "Messages dead-lettered as they were delivered too often", "",
          "at_least_once at_most_once disabled", LV_DEATH_DELIVERY_LIMIT },
        { "expired", "Messages dead-lettered as they expired", "at_most_once disabled",
          "at_least_once at_most_once disabled", LV_DEATH_EXPIRED },
        { "maxlen", "Messages dead-lettered as the queue was full", "at_most_once disabled",
          "at_most_once disabled", LV_DEATH_MAXLEN },
        { "rejected", "Messages dead-lettered as they were rejected", "at_most_once disabled",
          "at_least_once at_most_once disabled", LV_DEATH_REJECTED },
    };
    char name[64], labels[128];

    for (size_t i = 0; i < LV_ARRAY_LEN(rows); i++) {
        (void)snprintf(name, sizeof(name), "%s_total", rows[i].reason);
        put_head(out, "rabbitmq_global_messages_dead_lettered_", name, "counter", rows[i].help);
        for (unsigned k = LV_QUEUE_CLASSIC; k <= LV_QUEUE_QUORUM; k++) {
            const char *word = k == LV_QUEUE_CLASSIC ? rows[i].classic : rows[i].quorum;
            while (*word != '\0') {
                size_t len = strcspn(word, " ");
                (void)snprintf(labels, sizeof(labels),
                               "queue_type=\"%s\",dead_letter_strategy=\"%.*s\"", queue_types[k],
                               (int)len, word);
                put_sample(out, "rabbitmq_global_messages_dead_lettered_", name,
                           lv_bytes_str(labels),
                           (double)died(c, k, rows[i].why, lv_bytes(word, len)));
                word += len + (word[len] == ' ');
            }
        }
    }
}

static void put_sizes(struct lv_buf *out, const struct lv_counters *c)
{
    static const char *const bounds[LV_SIZE_BUCKETS] = {
        "100.0", "1000.0", "10000.0", "100000.0", "1e+06", "1e+07", "5e+07", "1e+08", "+Inf",
    };
    uint64_t sum = 0;

    put_head(out, "", "rabbitmq_message_size_bytes", "histogram",
             "Size of messages received from publishers");
    for (unsigned i = 0; i < LV_SIZE_BUCKETS; i++) {
        sum += c->sizes[i];
        lv_buf_addf(out, "rabbitmq_message_size_bytes_bucket{protocol=\"amqp091\",le=\"%s\"} %llu\n",
                    bounds[i], (unsigned long long)sum);
    }
    lv_buf_addf(out,
                "rabbitmq_message_size_bytes_sum{protocol=\"amqp091\"} %llu\n"
                "rabbitmq_message_size_bytes_count{protocol=\"amqp091\"} %llu\n",
                (unsigned long long)c->size_sum, (unsigned long long)sum);
}

/* ---- our own ---- */

static void put_times(struct lv_buf *out, const char *name, const char *help,
                      const struct lv_times *t)
{
    uint64_t sum = 0;

    put_head(out, "", name, "histogram", help);
    for (unsigned i = 0; i < LV_TIME_BUCKETS; i++) {
        sum += t->count[i];
        if (i + 1 < LV_TIME_BUCKETS)
            lv_buf_addf(out, "%s_bucket{le=\"%.9g\"} %llu\n", name, (double)(1u << i) / 1e6,
                        (unsigned long long)sum);
    }
    lv_buf_addf(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.9g\n%s_count %llu\n", name,
                (unsigned long long)sum, name, (double)t->sum_us / 1e6, name,
                (unsigned long long)sum);
}

static void put_store(struct lv_buf *out, const struct lv_store_stats *s)
{
    put_times(out, "leveret_store_write_seconds", "Time of a log's write with its fdatasync",
              &s->write);
    put_one(out, "leveret_store_rounds_total", "counter", "Rounds of the log thread",
            (double)s->rounds);
    put_one(out, "leveret_store_syncs_total", "counter", "Syncs of the logs", (double)s->syncs);
    put_one(out, "leveret_store_written_bytes_total", "counter", "Bytes written to the logs",
            (double)s->bytes);
    put_one(out, "leveret_store_unstable_bytes", "gauge",
            "Bytes appended that a power cut would take", (double)s->unstable_bytes);
    put_head(out, "", "leveret_store_files", "gauge", "Files of a log");
    put_sample(out, "", "leveret_store_files", LV_BYTES_LIT("log=\"messages\""), (double)s->files);
    put_sample(out, "", "leveret_store_files", LV_BYTES_LIT("log=\"topology\""),
               (double)s->topology_files);
}

static void put_by_loop(struct lv_buf *out, const struct lv_broker *b, const char *name,
                        const char *type, const char *help,
                        double (*value)(const struct lv_loop_stats *l))
{
    struct lv_loop_stats stats;
    char labels[32];

    put_head(out, "", name, type, help);
    for (unsigned i = 0; i < lv_broker_loops(b); i++) {
        lv_broker_loop_stats(b, i, &stats);
        (void)snprintf(labels, sizeof(labels), "loop=\"%u\"", i);
        put_sample(out, "", name, lv_bytes_str(labels), value(&stats));
    }
}

static double loop_busy(const struct lv_loop_stats *l)
{
    return (double)l->busy_ns / 1e9;
}
static double loop_turns(const struct lv_loop_stats *l)
{
    return (double)l->turns;
}
static double loop_slow(const struct lv_loop_stats *l)
{
    return (double)l->slow_turns;
}
static double loop_mails(const struct lv_loop_stats *l)
{
    return (double)l->mails_in;
}
static double loop_conns(const struct lv_loop_stats *l)
{
    return (double)l->conns;
}

static void put_loops(struct lv_buf *out, const struct lv_broker *b)
{
    struct lv_times all = { 0 };
    struct lv_loop_stats stats;

    for (unsigned i = 0; i < lv_broker_loops(b); i++) {
        lv_broker_loop_stats(b, i, &stats);
        for (unsigned k = 0; k < LV_TIME_BUCKETS; k++)
            all.count[k] += stats.turn.count[k];
        all.sum_us += stats.turn.sum_us;
    }
    put_times(out, "leveret_loop_turn_seconds",
              "Time of an event loop's turn: as long may something wait that comes in one", &all);
    put_by_loop(out, b, "leveret_loop_busy_seconds_total", "counter",
                "Time that a loop did not wait for input", loop_busy);
    put_by_loop(out, b, "leveret_loop_turns_total", "counter", "Turns of a loop", loop_turns);
    put_by_loop(out, b, "leveret_loop_slow_turns_total", "counter", "Turns of 50 ms and more",
                loop_slow);
    put_by_loop(out, b, "leveret_loop_mails_total", "counter", "Mail from other loops", loop_mails);
    put_by_loop(out, b, "leveret_loop_connections", "gauge", "Connections of a loop", loop_conns);
}

static void put_own(struct lv_buf *out, const struct scrape *s)
{
    const struct lv_metrics_sum *sum = &s->m.sum;
    char labels[64];

    put_times(out, "leveret_publish_to_confirm_seconds",
              "A sample of publishes: from their arrival to their confirm in the output",
              &sum->counters.confirm);
    put_times(out, "leveret_publish_to_deliver_seconds",
              "The same sample: from their arrival to their first delivery in the output",
              &sum->counters.deliver);
    if (sum->has_store)
        put_store(out, &sum->store);
    put_loops(out, s->m.r->room->broker);
    put_head(out, "", "leveret_memory_bytes", "gauge", "Heap in use, by part of the broker");
    for (unsigned i = 0; i < LV_TAG_COUNT; i++) {
        int64_t used = lv_mem_used((enum lv_mem_tag)i);
        (void)snprintf(labels, sizeof(labels), "part=\"%s\"", lv_mem_tag_name((enum lv_mem_tag)i));
        put_sample(out, "", "leveret_memory_bytes", lv_bytes_str(labels), (double)LV_MAX(used, 0));
    }
    put_one(out, "leveret_cpu_seconds_total", "counter", "Processor time of the process",
            (double)sum->usage.cpu_us / 1e6);
}

/* ---- writing ---- */

/* Rows of one metric from s->row on. False: the connection has enough for now. */
static bool put_rows(struct scrape *s, const struct lv_metrics_rows *rows, const char *prefix,
                     const char *name, double (*value)(const void *object))
{
    struct lv_buf *out = &s->m.r->reply.body;

    while (s->row < lv_metrics_count(rows)) {
        const struct lv_metrics_row *row = lv_metrics_row(rows, s->row++);
        put_sample(out, prefix, name, row->labels, value(row->object));
        if (!lv_reply_push(s->m.r))
            return false;
    }
    s->row = 0;
    return true;
}

static bool put_metric(struct scrape *s, const struct metric *metric)
{
    const struct lv_metrics_rows *rows = &s->m.rows[metric->kind];
    bool is_sum = metric->kind == LV_METRICS_NODE ||
                  (metric->kind != LV_METRICS_PROTOCOL && (s->m.kinds & 1u << metric->kind) == 0);
    struct lv_buf *out = &s->m.r->reply.body;
    double sum = is_sum ? metric->all(&s->m.sum) : 0;

    if (is_sum ? isnan(sum) : lv_metrics_count(rows) == 0)
        return true;
    if (s->row == 0)
        put_head(out, s->prefix, metric->name, metric->type, metric->help);
    if (!is_sum)
        return put_rows(s, rows, s->prefix, metric->name, metric->one);
    put_sample(out, s->prefix, metric->name, lv_bytes(NULL, 0), sum);
    return true;
}

static bool put_table(struct scrape *s)
{
    for (; s->at < TABLE_LEN; s->at++)
        if (s->selected[s->at] && !put_metric(s, &table[s->at]))
            return false;
    s->at = 0;
    return true;
}

static bool put_queues(struct scrape *s)
{
    const struct lv_metrics_rows *rows = &s->m.rows[LV_METRICS_QUEUE];
    struct lv_buf *out = &s->m.r->reply.body;

    if (s->is_detailed || lv_metrics_count(rows) == 0)
        return true;
    if (s->row == 0)
        put_head(out, "rabbitmq_", "queue_info", "gauge", "Type of a queue");
    while (s->row < lv_metrics_count(rows)) {
        const struct lv_metrics_row *row = lv_metrics_row(rows, s->row++);
        const struct lv_queue_info *q = row->object;
        lv_buf_addf(out, "rabbitmq_queue_info{%.*s,queue_type=\"%s\",membership=\"leader\"} 1\n",
                    LV_BYTES_FMT(row->labels), queue_types[q->kind]);
        if (!lv_reply_push(s->m.r))
            return false;
    }
    s->row = 0;
    return true;
}

static double one(const void *object)
{
    (void)object;
    return 1;
}
static double running(const void *object)
{
    (void)object;
    return 2;
}
static double bindings(const void *object)
{
    return (double)*(const uint64_t *)object;
}

static bool put_cluster(struct scrape *s)
{
    static double (*const values[CLUSTER_COUNT])(const void *) = { running, bindings, one };

    for (; s->at < CLUSTER_COUNT; s->at++) {
        const struct lv_metrics_rows *rows = s->at == CLUSTER_VHOSTS ? &s->m.vhosts : &s->m.types;
        if (!s->cluster[s->at])
            continue;
        if (s->row == 0)
            put_head(&s->m.r->reply.body, "", cluster[s->at].name, "gauge", cluster[s->at].help);
        if (!put_rows(s, rows, "", cluster[s->at].name, values[s->at]))
            return false;
    }
    s->at = 0;
    return true;
}

static void put_rest(struct scrape *s)
{
    struct lv_buf *out = &s->m.r->reply.body;

    put_identity(out, s);
    if (s->is_detailed)
        return;
    put_totals(out, &s->m.sum);
    put_by_protocol(out, &s->m.sum);
    put_by_queue_type(out, &s->m.sum.counters);
    put_dead_letters(out, &s->m.sum.counters);
    put_sizes(out, &s->m.sum.counters);
    put_own(out, s);
}

static void write_on(struct lv_request *r)
{
    static bool (*const parts[PART_REST])(struct scrape * s) = { put_table, put_queues,
                                                                 put_cluster };
    struct scrape *s = r->work;

    for (; s->part < PART_REST; s->part++)
        if (!parts[s->part](s))
            return;
    r->go_on = NULL;
    put_rest(s);
    lv_reply_end(r);
}

static void gathered(struct lv_request *r)
{
    struct scrape *s = r->work;

    if (s->m.census.is_short) {
        lv_reply_no_memory(r);
        return;
    }
    lv_reply_begin_text(r, TEXT_TYPE);
    r->go_on = write_on;
    write_on(r);
}

/* ---- what is asked for ---- */

static void clean(struct lv_request *r)
{
    lv_metrics_fini(r->work);
}

/* NULL: it was answered. */
static struct scrape *scrape_new(struct lv_request *r, const char *endpoint)
{
    struct scrape *s = lv_request_alloc(r, sizeof(*s));

    if (s == NULL) {
        lv_reply_no_memory(r);
        return NULL;
    }
    s->m.r = r;
    s->m.gathered = gathered;
    s->prefix = "rabbitmq_";
    s->endpoint = endpoint;
    r->work = s;
    r->clean = clean;
    return s;
}

static bool has_param(const struct lv_request *r, const char *name, const char *value)
{
    for (uint32_t i = 0; i < r->url.param_count; i++)
        if (lv_bytes_eq(r->url.param[i].name, lv_bytes_str(name)) &&
            lv_bytes_eq(r->url.param[i].value, lv_bytes_str(value)))
            return true;
    return false;
}

/* A name stands in several families: it is written once. */
static bool is_told(const struct scrape *s, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (s->selected[k] && strcmp(table[k].name, table[i].name) == 0)
            return true;
    return false;
}

static void select_all(struct scrape *s, bool per_object)
{
    for (size_t i = 0; i < TABLE_LEN; i++)
        s->selected[i] = !is_told(s, i);
    s->m.kinds = per_object ? ~0u : 0;
    s->m.wants_sums = true;
}

void lv_api_metrics_per_object(struct lv_request *r)
{
    struct scrape *s = scrape_new(r, "per-object");

    if (s == NULL)
        return;
    select_all(s, true);
    lv_metrics_gather(&s->m);
}

void lv_api_metrics(struct lv_request *r)
{
    struct scrape *s;

    if (r->room->settings->prometheus_per_object) {
        lv_api_metrics_per_object(r);
        return;
    }
    s = scrape_new(r, "aggregated");
    if (s == NULL)
        return;
    select_all(s, false);
    lv_metrics_gather(&s->m);
}

/* False: it was answered. */
static bool read_filter(struct scrape *s)
{
    struct lv_request *r = s->m.r;
    struct lv_bytes queue = lv_url_param(&r->url, "queue"), vhost = lv_url_param(&r->url, "vhost");
    char why[256];

    if (vhost.len != 0)
        s->m.filter.vhost = vhost;
    if (queue.len == 0 || lv_pattern_new(queue, &s->m.filter.queue, why, sizeof(why)) == LV_OK)
        return true;
    lv_reply_bad_request(r, "queue is not a regular expression: %s", why);
    return false;
}

void lv_api_metrics_detailed(struct lv_request *r)
{
    struct scrape *s = scrape_new(r, "detailed");

    if (s == NULL || !read_filter(s))
        return;
    s->prefix = "rabbitmq_detailed_";
    s->is_detailed = true;
    for (size_t i = 0; i < TABLE_LEN; i++) {
        s->selected[i] = has_param(r, "family", table[i].family) && !is_told(s, i);
        if (s->selected[i])
            s->m.kinds |= 1u << table[i].kind;
    }
    for (size_t i = 0; i < CLUSTER_COUNT; i++)
        s->cluster[i] = has_param(r, "family", cluster[i].family);
    s->m.wants_types = s->cluster[CLUSTER_BINDINGS] || s->cluster[CLUSTER_NAMES];
    lv_metrics_gather(&s->m);
}

void lv_api_metrics_memory(struct lv_request *r)
{
    struct scrape *s = scrape_new(r, "memory-breakdown");
    struct lv_process_usage usage;
    const char *part;
    uint64_t bytes;
    char name[96];

    if (s == NULL)
        return;
    lv_os_usage(&usage);
    lv_reply_begin_text(r, TEXT_TYPE);
    for (size_t i = 0; (part = lv_memory_part(i, &usage, &bytes)) != NULL; i++) {
        (void)snprintf(name, sizeof(name), "rabbitmq_memory_%s_bytes", part);
        put_one(&r->reply.body, name, "gauge", "A part of the memory in use", (double)bytes);
    }
    put_identity(&r->reply.body, s);
    lv_reply_end(r);
}
