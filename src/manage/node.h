/* manage/node.h - facts of the node that several families of routes show. */
#ifndef LV_MANAGE_NODE_H
#define LV_MANAGE_NODE_H
#include "broker/observe.h"
#include "manage/rates.h"
#include "manage/request.h"

/* Where something listens, by TCP. */
struct lv_listener_view {
    const char *protocol; /* as RabbitMQ calls it */
    struct lv_bytes host; /* without brackets; a view of the room */
    uint32_t port;
};
/* The i-th; false: no more. */
bool lv_listener_at(const struct lv_manage *m, unsigned i, struct lv_listener_view *out);

/* Members of an open object. */
void lv_json_listeners(struct lv_json *j, const struct lv_manage *m);
void lv_json_contexts(struct lv_json *j, const struct lv_manage *m);
void lv_json_exchange_types(struct lv_json *j);
void lv_json_versions(struct lv_json *j, const struct lv_manage *m);
void lv_json_churn(struct lv_json *j, const struct lv_counters *c, const struct lv_series *s,
                   const struct lv_rates_ranges *ranges);

/* message_stats, churn_rates, queue_totals, object_totals: what he sees of them. */
void lv_json_sums(struct lv_request *r, struct lv_json *j);
/* The name that tools show for the cluster: a global parameter, a setting, or the node's. A view until the turn ends. */
struct lv_bytes lv_cluster_name(const struct lv_manage *m);

#endif
