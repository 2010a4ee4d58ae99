#include "manage/ask.h"
#include "manage/fields.h"
#include "manage/listing.h"
#include "manage/manage_priv.h"
#include "manage/router.h"
#include "manage/shapes.h"

static void put_traffic(struct lv_request *r, struct lv_json *j, struct lv_bytes vhost,
                        const struct lv_exchange *x)
{
    const struct lv_series *series =
        lv_rates_find(r->room->rates, LV_RATES_EXCHANGE, vhost, x->spec.name, 0);
    struct lv_rates_ranges ranges = { 0 };
    struct lv_exchange_info count;

    lv_exchange_count(x, &count);
    if ((count.publish_in | count.publish_out) == 0 || !lv_json_wants(j, "message_stats"))
        return;
    lv_json_open(j, "message_stats");
    lv_rates_put(j, series, LV_RATE_publish_in, count.publish_in, &ranges);
    lv_rates_put(j, series, LV_RATE_publish_out, count.publish_out, &ranges);
    lv_json_close(j);
}

static bool describe(struct lv_request *r, const struct lv_listing_item *item, struct lv_json *j)
{
    const struct lv_vhost *v = lv_observe_vhost_find(r->room->broker, item->vhost);
    const struct lv_exchange *x = v != NULL ? lv_observe_exchange_find(v, item->name) : NULL;
    struct lv_policy_match match;

    if (x == NULL)
        return false;
    lv_policy_match_exchange(r->room->broker, item->vhost, item->name, &match);
    lv_json_open(j, NULL);
    lv_json_bytes(j, "name", x->spec.name);
    lv_json_bytes(j, "vhost", item->vhost);
    lv_json_str(j, "type", lv_exchange_type_name(x->spec.type));
    lv_json_bool(j, "durable", x->spec.durable);
    lv_json_bool(j, "auto_delete", x->spec.auto_delete);
    lv_json_bool(j, "internal", x->spec.internal);
    lv_json_fields(j, "arguments", x->spec.arguments);
    if (match.policy != NULL)
        lv_json_bytes(j, "policy", match.policy->name);
    lv_json_str(j, "user_who_performed_action", "rmq-internal");
    put_traffic(r, j, item->vhost, x);
    if (r->state == item) {
        lv_json_open_array(j, "incoming");
        lv_json_close(j);
        lv_json_open_array(j, "outgoing");
        lv_json_close(j);
    }
    lv_json_close(j);
    return true;
}

static const struct lv_listing_kind kind = { .describe = describe };

void lv_api_exchanges(struct lv_request *r)
{
    struct lv_listing *list = lv_listing_new(r, &kind);
    const struct lv_exchange *x;
    const struct lv_vhost *v;
    size_t pos = 0, at;

    if (list == NULL)
        return;
    while ((v = lv_request_next_vhost(r, &pos)) != NULL) {
        at = 0;
        while ((x = lv_observe_exchange(v, &at)) != NULL)
            lv_listing_add(list, lv_vhost_name(v), x->spec.name, NULL);
    }
    lv_listing_reply(list);
}

void lv_api_exchange(struct lv_request *r)
{
    struct lv_listing_item item = { .vhost = r->vhost, .name = lv_path_exchange(r->args[0]) };

    r->state = &item; /* one by itself tells more */
    lv_reply_one(r, &kind, &item);
}

/* ---- changes ---- */

void lv_api_exchange_put(struct lv_request *r)
{
    struct lv_agent a = { 0 };
    struct lv_bytes type;
    struct lv_act *verb;

    if (lv_request_json(r) == NULL || !lv_body_need_text(r, "type", &type) ||
        !lv_body_bool(r, "durable", &a.durable) || !lv_body_bool(r, "internal", &a.internal) ||
        !lv_body_bool(r, "auto_delete", &a.auto_delete) || !lv_body_arguments(r, &a.arguments))
        return;
    a.type = lv_exchange_type_of(type);
    if (a.type == LV_EXCHANGE_TYPE_COUNT) {
        lv_reply_bad_request(r, "unknown exchange type '%.*s'", LV_BYTES_FMT(type));
        return;
    }
    verb = lv_act_new(r, LV_AGENT_EXCHANGE_DECLARE, lv_reply_declared);
    if (verb == NULL)
        return;
    verb->agent.name = lv_path_exchange(r->args[0]);
    verb->agent.type = a.type;
    verb->agent.durable = a.durable;
    verb->agent.internal = a.internal;
    verb->agent.auto_delete = a.auto_delete;
    verb->agent.arguments = a.arguments;
    lv_act_send(verb);
}

void lv_api_exchange_delete(struct lv_request *r)
{
    struct lv_act *verb = lv_act_new(r, LV_AGENT_EXCHANGE_DELETE, lv_reply_done);

    if (verb == NULL)
        return;
    verb->agent.name = lv_path_exchange(r->args[0]);
    verb->agent.if_unused = lv_request_flag(r, "if-unused");
    lv_act_send(verb);
}
