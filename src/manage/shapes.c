#include "manage/shapes.h"

#include <stdio.h>
#include <time.h>

#include "manage/manage_priv.h"
#include "security/record.h"

void lv_json_time_ms(struct lv_json *j, const char *key, uint64_t ms)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    char text[64];

    if (gmtime_r(&seconds, &tm) == NULL)
        return;
    size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(text + n, sizeof(text) - n, ".%03u+00:00", (unsigned)(ms % 1000));
    lv_json_str(j, key, text);
}

void lv_json_message_stats(struct lv_json *j, uint64_t published, const struct lv_queue_totals *out,
                           const struct lv_series *series, const struct lv_rates_ranges *ranges)
{
    uint64_t deliver_get = out->deliver + out->deliver_no_ack + out->get + out->get_no_ack;

    if ((published | deliver_get | out->get_empty | out->ack | out->redeliver) == 0)
        return;
    lv_json_open(j, "message_stats");
    lv_rates_put(j, series, LV_RATE_publish, published, ranges);
#define X(name) lv_rates_put(j, series, LV_RATE_##name, out->name, ranges);
    LV_QUEUE_COUNTERS(X)
#undef X
    lv_rates_put(j, series, LV_RATE_deliver_get, deliver_get, ranges);
    lv_json_close(j);
}

static void put_name(struct lv_json *j, const char *key, const struct lv_policy *policy)
{
    if (policy != NULL)
        lv_json_bytes(j, key, policy->name);
    else
        lv_json_null(j, key);
}

void lv_json_policies(struct lv_json *j, const struct lv_policy_match *match)
{
    uint8_t text[4096];
    struct lv_wr w = lv_wr(text, sizeof(text));

    put_name(j, "policy", match->policy);
    put_name(j, "operator_policy", match->operator_policy);
    if (lv_policy_effective(match, &w) == LV_OK && lv_wr_ok(&w))
        lv_json_raw(j, "effective_policy_definition", lv_bytes(text, w.used));
}

void lv_json_lengths(struct lv_json *j, uint64_t ready, uint64_t unacknowledged,
                     const struct lv_series *series, const struct lv_rates_ranges *ranges)
{
    lv_rates_put(j, series, LV_RATE_messages, ready + unacknowledged, ranges);
    lv_rates_put(j, series, LV_RATE_messages_ready, ready, ranges);
    lv_rates_put(j, series, LV_RATE_messages_unacknowledged, unacknowledged, ranges);
}

void lv_json_tags(struct lv_json *j, const char *key, const struct lv_tags *tags)
{
    lv_json_open_array(j, key);
    for (uint32_t i = 0; i < tags->count; i++)
        lv_json_bytes(j, NULL, tags->at[i]);
    lv_json_close(j);
}

void lv_vhost_sum(const struct lv_vhost *v, struct lv_vhost_sum *sum)
{
    const struct lv_queue_entry *entry;
    struct lv_queue_info q;
    size_t pos = 0;

    while ((entry = lv_observe_queue(v, &pos)) != NULL) {
        lv_queue_describe(entry, &q);
        sum->queues++;
        sum->ready += q.ready;
        sum->unacknowledged += q.unsettled;
        sum->consumers += q.consumers;
        sum->published += q.published;
        lv_queue_totals_add(&sum->out, &q.out);
    }
    pos = 0;
    while (lv_observe_exchange(v, &pos) != NULL)
        sum->exchanges++;
}

void lv_json_limit(struct lv_json *j, const char *key, int64_t limit)
{
    if (limit != LV_NO_LIMIT)
        lv_json_i64(j, key, limit);
}

bool lv_request_wants_vhost(const struct lv_request *r, struct lv_bytes vhost)
{
    struct lv_bytes only =
        lv_http_header(&r->head, "x-vhost"); /* RabbitMQ's pages narrow lists by it */

    if (r->vhost.ptr != NULL)
        return lv_bytes_eq(r->vhost, vhost);
    return (only.len == 0 || lv_bytes_eq(only, vhost)) && lv_request_sees(r, vhost);
}

const struct lv_vhost *lv_request_next_vhost(const struct lv_request *r, size_t *pos)
{
    const struct lv_vhost *v;

    do {
        v = lv_observe_vhost(r->room->broker, pos);
    } while (v != NULL && !lv_request_wants_vhost(r, lv_vhost_name(v)));
    return v;
}
