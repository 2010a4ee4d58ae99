/* manage/shapes.h - parts that objects of the API have in common. */
#ifndef LV_MANAGE_SHAPES_H
#define LV_MANAGE_SHAPES_H
#include "broker/observe.h"
#include "broker/policies.h"
#include "manage/rates.h"
#include "manage/request.h"

/* Milliseconds since 1970 as RFC 3339: "2026-11-27T09:27:53.123+00:00". */
void lv_json_time_ms(struct lv_json *j, const char *key, uint64_t ms);
/* "message_stats" of what came in and went out, if there was anything; with its rates. `received` is LV_RATE_publish of a queue
 * or channel. */
void lv_json_message_stats(struct lv_json *j, uint64_t published, const struct lv_queue_totals *out,
                           const struct lv_series *series, const struct lv_rates_ranges *ranges);
/* policy, operator_policy, effective_policy_definition. */
void lv_json_policies(struct lv_json *j, const struct lv_policy_match *match);
/* messages, messages_ready, messages_unacknowledged with their rates. */
void lv_json_lengths(struct lv_json *j, uint64_t ready, uint64_t unacknowledged,
                     const struct lv_series *series, const struct lv_rates_ranges *ranges);
/* A list of tags as an array. */
struct lv_tags;
void lv_json_tags(struct lv_json *j, const char *key, const struct lv_tags *tags);
/* Unless it is none. */
void lv_json_limit(struct lv_json *j, const char *key, int64_t limit);
/* "classic", "quorum", "stream"; static. */
const char *lv_queue_kind_name(enum lv_queue_kind kind);

/* What is in the queues of a virtual host; a walk over all of them. */
struct lv_vhost_sum {
    uint64_t queues, exchanges, ready, unacknowledged, consumers, published;
    struct lv_queue_totals out;
};
void lv_vhost_sum(const struct lv_vhost *v, struct lv_vhost_sum *sum);
/* Is it the vhost of the path, or has the path none; and may he see it? */
bool lv_request_wants_vhost(const struct lv_request *r, struct lv_bytes vhost);
/* Steps through those that he wants: start with *pos = 0; NULL at the end. */
const struct lv_vhost *lv_request_next_vhost(const struct lv_request *r, size_t *pos);

#endif
