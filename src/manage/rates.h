/* manage/rates.h - what changed lately: counters sampled at intervals, and rates made of the samples.
 *
 * An object has one series for each of its counters and lengths. What the API shows of one is "<name>_details": the rate per
 * second now, and with ?msg_rates_age=60&msg_rates_incr=5 (lengths_, data_rates_, node_stats_) samples, their average and
 * that of the rate.
 * Owner   the room's thread.
 */
#ifndef LV_MANAGE_RATES_H
#define LV_MANAGE_RATES_H
#include "base/bytes.h"
#include "base/err.h"
#include "manage/json.h"

struct lv_manage;
struct lv_rates;
struct lv_request;
struct lv_series; /* of one object */

/* LV_RATE(name in the API, which parameters its samples obey) */
#define LV_RATES(X)                     \
    X(messages, LENGTHS)                \
    X(messages_ready, LENGTHS)          \
    X(messages_unacknowledged, LENGTHS) \
    X(publish, MSG_RATES)               \
    X(publish_in, MSG_RATES)            \
    X(publish_out, MSG_RATES)           \
    X(confirm, MSG_RATES)               \
    X(deliver, MSG_RATES)               \
    X(deliver_no_ack, MSG_RATES)        \
    X(get, MSG_RATES)                   \
    X(get_no_ack, MSG_RATES)            \
    X(get_empty, MSG_RATES)             \
    X(deliver_get, MSG_RATES)           \
    X(redeliver, MSG_RATES)             \
    X(ack, MSG_RATES)                   \
    X(return_unroutable, MSG_RATES)     \
    X(drop_unroutable, MSG_RATES)       \
    X(disk_reads, MSG_RATES)            \
    X(disk_writes, MSG_RATES)           \
    X(recv_oct, DATA_RATES)             \
    X(send_oct, DATA_RATES)             \
    X(recv_cnt, DATA_RATES)             \
    X(send_cnt, DATA_RATES)             \
    X(reductions, DATA_RATES)           \
    X(connection_created, NODE_STATS)   \
    X(connection_closed, NODE_STATS)    \
    X(channel_created, NODE_STATS)      \
    X(channel_closed, NODE_STATS)       \
    X(queue_declared, NODE_STATS)       \
    X(queue_created, NODE_STATS)        \
    X(queue_deleted, NODE_STATS)        \
    X(mem_used, NODE_STATS)             \
    X(fd_used, NODE_STATS)              \
    X(disk_free, NODE_STATS)            \
    X(proc_used, NODE_STATS)            \
    X(sockets_used, NODE_STATS)         \
    X(run_queue, NODE_STATS)

enum lv_rate {
#define X(name, range) LV_RATE_##name,
    LV_RATES(X)
#undef X
        LV_RATE_COUNT,
};

enum lv_rate_range {
    LV_RANGE_LENGTHS,
    LV_RANGE_MSG_RATES,
    LV_RANGE_DATA_RATES,
    LV_RANGE_NODE_STATS,
    LV_RANGE_COUNT
};

/* What a request wants to see of the samples; age 0: nothing but the rate. */
struct lv_rates_ranges {
    uint32_t age_s[LV_RANGE_COUNT], incr_s[LV_RANGE_COUNT];
};
/* From the query. False: it was answered with 400 (invalid_range_parameters). */
bool lv_rates_ranges(struct lv_request *r, struct lv_rates_ranges *out);
/* The same, into r->ranges. */
bool lv_request_ranges(struct lv_request *r);

enum lv_rates_kind {
    LV_RATES_NODE,       /* neither vhost nor name */
    LV_RATES_VHOST,      /* vhost */
    LV_RATES_EXCHANGE,   /* vhost, name */
    LV_RATES_QUEUE,      /* vhost, name */
    LV_RATES_CONNECTION, /* id */
    LV_RATES_CHANNEL,    /* id: lv_rates_channel_id */
};
static inline uint64_t lv_rates_channel_id(uint64_t connection, uint32_t number)
{
    return connection | (uint64_t)number << 48;
}

/* Begins sampling, on the loop of the room. LV_ENOMEM. */
enum lv_err lv_rates_start(struct lv_manage *m, struct lv_rates **out) LV_MUST_USE;
/* No sample any more; what is out comes back to the desk. */
void lv_rates_stop(struct lv_rates *rates);
/* When nothing of it is out. NULL is allowed. */
void lv_rates_free(struct lv_rates *rates);

/* The series of an object; NULL: nothing was sampled so far. Good until the next turn. */
const struct lv_series *lv_rates_find(const struct lv_rates *rates, enum lv_rates_kind kind,
                                      struct lv_bytes vhost, struct lv_bytes name, uint64_t id);
/* Puts "<name>": value and "<name>_details": {"rate": ..., ...}. `series` may be NULL. */
void lv_rates_put(struct lv_json *j, const struct lv_series *series, enum lv_rate rate,
                  uint64_t value, const struct lv_rates_ranges *ranges);
/* The rate per second now, for whoever shows nothing else. */
double lv_rates_now(const struct lv_series *series, enum lv_rate rate);

#endif
