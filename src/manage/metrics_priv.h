/* manage/metrics_priv.h - what a scrape gathers (gather.c) and what is written of it (metrics.c).
 *
 * Everything is gathered first, and lies in the memory of a census until the reply has been taken: values of one moment, and no
 * object twice, however slowly the client reads.
 */
#ifndef LV_MANAGE_METRICS_PRIV_H
#define LV_MANAGE_METRICS_PRIV_H
#include "broker/observe.h"
#include "manage/manage_priv.h"
#include "manage/request.h"
#include "os/os.h"
#include "security/pattern.h"

#define LV_METRICS_KINDS(X) \
    X(NODE)                 \
    X(PROTOCOL)             \
    X(QUEUE)                \
    X(EXCHANGE)             \
    X(CHANNEL)              \
    X(CHANNEL_QUEUE)        \
    X(CHANNEL_EXCHANGE)     \
    X(CONNECTION)           \
    X(QUEUE_EXCHANGE)       \
    X(CHANNEL_QUEUE_EXCHANGE)

enum lv_metrics_kind {
#define X(name) LV_METRICS_##name,
    LV_METRICS_KINDS(X)
#undef X
        LV_METRICS_KIND_COUNT,
};

/* Objects of a kind, as the getters of metrics.def take them. */
struct lv_metrics_logins {
    uint64_t good, bad;
};
/* What all channels that are open have published from an exchange to a queue. */
struct lv_metrics_routed {
    struct lv_bytes vhost, exchange, queue;
    uint64_t published;
};
typedef struct lv_metrics_sum lv_metrics_of_NODE;
typedef struct lv_metrics_logins lv_metrics_of_PROTOCOL;
typedef struct lv_queue_info lv_metrics_of_QUEUE;
typedef struct lv_exchange_info lv_metrics_of_EXCHANGE;
typedef struct lv_channel_info lv_metrics_of_CHANNEL;
typedef struct lv_channel_queue lv_metrics_of_CHANNEL_QUEUE;
typedef struct lv_channel_exchange lv_metrics_of_CHANNEL_EXCHANGE;
typedef struct lv_connection_info lv_metrics_of_CONNECTION;
typedef struct lv_metrics_routed lv_metrics_of_QUEUE_EXCHANGE;
typedef struct lv_channel_routed lv_metrics_of_CHANNEL_QUEUE_EXCHANGE;

/* Of the whole node. */
struct lv_metrics_sum {
    struct lv_counters counters;
    struct lv_resources resources;
    struct lv_process_usage usage;
    struct lv_store_stats store;
    bool has_store;
    struct lv_queue_totals out;     /* of all types */
    struct lv_channel_info channel; /* numbers of all channels added up */
    uint64_t queues, exchanges, consumers, connections, channels;
    uint64_t ready, unsettled, ready_here, persistent, ready_bytes, unsettled_bytes;
    uint64_t with_capacity; /* queues whose consumers could take a message */
    double here_bytes;      /* of ready messages, about */
    uint64_t bytes_in, bytes_out, reads, writes, pending;
    double uptime_s;
};

struct lv_metrics_row {
    struct lv_bytes labels; /* `vhost="/",queue="q"`; empty: none */
    const void *object;
};

struct lv_metrics_rows {
    struct lv_buf rows; /* of struct lv_metrics_row */
};

struct lv_metrics_filter {
    struct lv_bytes vhost; /* ptr NULL: all */
    struct lv_pattern *queue;
};

struct lv_metrics {
    struct lv_census census; /* first: the errand, and all memory */
    struct lv_request *r;
    struct lv_metrics_filter filter;
    unsigned kinds; /* a bit for each kind whose objects are wanted */
    bool wants_sums, wants_types;
    struct lv_metrics_sum sum;
    struct lv_metrics_rows rows[LV_METRICS_KIND_COUNT];
    struct lv_metrics_rows vhosts,
        types; /* of the cluster's families: virtual hosts; exchanges with their type */
    void (*gathered)(struct lv_request *r);
    /* private */
    struct lv_buf text;
    struct lv_bytes vhost;
};

/* Gathers for r->work, which is one; `gathered` is called when all is there, unless the client has left. */
void lv_metrics_gather(struct lv_metrics *m);
void lv_metrics_fini(struct lv_metrics *m);
static inline size_t lv_metrics_count(const struct lv_metrics_rows *rows)
{
    return rows->rows.len / sizeof(struct lv_metrics_row);
}
static inline const struct lv_metrics_row *lv_metrics_row(const struct lv_metrics_rows *rows,
                                                          size_t i)
{
    return (const struct lv_metrics_row *)rows->rows.at + i;
}

/* A label: `name="value"`, with a comma before it if there is something. */
void lv_metrics_label(struct lv_buf *out, const char *name, struct lv_bytes value);

/* node.c: the i-th of RabbitMQ's parts of memory, in bytes; NULL: no more. */
const char *lv_memory_part(size_t i, const struct lv_process_usage *use, uint64_t *bytes);

#endif
