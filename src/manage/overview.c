/* What the whole node is doing. */
#include "broker/access.h"
#include "manage/manage_priv.h"
#include "manage/node.h"
#include "manage/router.h"
#include "manage/shapes.h"

#define RETENTION "{\"global\":[600,3600,28800,86400],\"basic\":[600,3600],\"detailed\":[600]}"

void lv_api_version(struct lv_request *r)
{
    lv_json_str(lv_reply_json(r, 200), NULL, r->room->settings->product_version);
    lv_reply_end(r);
}

void lv_api_whoami(struct lv_request *r)
{
    const struct lv_user_record *user =
        lv_access_user(lv_broker_access(r->room->broker), r->who.name);
    static const struct lv_tags operator_tags = { 1, { { (const uint8_t *)"administrator", 13 } } };
    struct lv_json *j = lv_reply_json(r, 200);

    lv_json_open(j, NULL);
    lv_json_bytes(j, "name", r->who.is_operator ? LV_BYTES_LIT("operator") : r->who.name);
    lv_json_tags(j, "tags", user != NULL ? &user->tags : &operator_tags);
    lv_json_bool(j, "is_internal_user", true);
    lv_json_u64(j, "login_session_timeout", r->room->settings->management_session_timeout);
    lv_json_close(j);
    lv_reply_end(r);
}

/* ---- sums ---- */

static void put_messages(struct lv_json *j, const struct lv_counters *c, const struct lv_series *s,
                         const struct lv_rates_ranges *ranges)
{
    struct lv_queue_totals out = { 0 };

    for (unsigned i = 0; i < LV_QUEUE_KINDS; i++)
        lv_queue_totals_add(&out, &c->by_kind[i]);
    lv_json_open(j, "message_stats");
    lv_rates_put(j, s, LV_RATE_publish, c->messages_received, ranges);
    lv_rates_put(j, s, LV_RATE_confirm, c->messages_confirmed, ranges);
    lv_rates_put(j, s, LV_RATE_return_unroutable, c->unroutable_returned, ranges);
    lv_rates_put(j, s, LV_RATE_drop_unroutable, c->unroutable_dropped, ranges);
#define X(name) lv_rates_put(j, s, LV_RATE_##name, out.name, ranges);
    LV_QUEUE_COUNTERS(X)
#undef X
    lv_rates_put(j, s, LV_RATE_deliver_get,
                 out.deliver + out.deliver_no_ack + out.get + out.get_no_ack, ranges);
    lv_rates_put(j, s, LV_RATE_disk_reads, 0, ranges);
    lv_rates_put(j, s, LV_RATE_disk_writes, 0, ranges);
    lv_json_close(j);
}

static void put_objects(struct lv_json *j, const struct lv_vhost_sum *sum,
                        const struct lv_counters *c)
{
    lv_json_open(j, "object_totals");
    lv_json_u64(j, "channels", c->channels_opened - c->channels_closed);
    lv_json_u64(j, "connections", c->connections_opened - c->connections_closed);
    lv_json_u64(j, "consumers", sum->consumers);
    lv_json_u64(j, "exchanges", sum->exchanges);
    lv_json_u64(j, "queues", sum->queues);
    lv_json_close(j);
}

static void put_tags(struct lv_json *j, const char *key, const char *items)
{
    struct lv_bytes name, value;

    lv_json_open(j, key);
    while (lv_items_next(&items, &name, &value))
        lv_json_bytes_named(j, name, value);
    lv_json_close(j);
}

void lv_json_sums(struct lv_request *r, struct lv_json *j)
{
    const struct lv_manage *m = r->room;
    struct lv_vhost_sum sum = { 0 };
    struct lv_counters c;
    const struct lv_vhost *v;
    size_t pos = 0;

    while ((v = lv_observe_vhost(m->broker, &pos)) != NULL)
        if (lv_request_sees(r, lv_vhost_name(v)))
            lv_vhost_sum(v, &sum);
    lv_broker_counters(m->broker, &c);
    const struct lv_series *series =
        lv_rates_find(m->rates, LV_RATES_NODE, lv_bytes(NULL, 0), lv_bytes(NULL, 0), 0);
    put_messages(j, &c, series, r->ranges);
    lv_json_open(j, "churn_rates");
    lv_json_churn(j, &c, series, r->ranges);
    lv_json_close(j);
    lv_json_open(j, "queue_totals");
    lv_json_lengths(j, sum.ready, sum.unacknowledged, series, r->ranges);
    lv_json_close(j);
    put_objects(j, &sum, &c);
}

void lv_api_overview(struct lv_request *r)
{
    const struct lv_manage *m = r->room;
    const struct lv_settings *s = m->settings;

    if (!lv_request_ranges(r))
        return;
    struct lv_json *j = lv_reply_json(r, 200);
    lv_reply_select(r);
    lv_json_open(j, NULL);
    lv_json_str(j, "management_version", s->product_version);
    lv_json_str(j, "rates_mode", s->management_rates_mode);
    lv_json_raw(j, "sample_retention_policies", LV_BYTES_LIT(RETENTION));
    lv_json_exchange_types(j);
    lv_json_versions(j, m);
    lv_json_bytes(j, "cluster_name", lv_cluster_name(m));
    put_tags(j, "cluster_tags", s->cluster_tags);
    put_tags(j, "node_tags", s->node_tags);
    lv_json_bool(j, "disable_stats", s->management_disable_stats);
    lv_json_str(j, "default_queue_type", s->default_queue_type);
    lv_json_bool(j, "is_op_policy_updating_enabled", !s->management_fixed_op_policies);
    lv_json_bool(j, "enable_queue_totals", true);
    lv_json_bool(j, "require_definition_json_extension", false);
    lv_json_sums(r, j);
    lv_json_u64(j, "statistics_db_event_queue", 0);
    lv_json_str(j, "node", m->node);
    if (lv_who_is(r, LV_WHO_ADMINISTRATOR | LV_WHO_MONITORING)) {
        lv_json_listeners(j, m);
        lv_json_contexts(j, m);
    }
    lv_json_close(j);
    lv_reply_end(r);
}
