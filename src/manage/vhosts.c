#include "broker/access.h"
#include "manage/listing.h"
#include "manage/manage_priv.h"
#include "manage/router.h"
#include "manage/shapes.h"

static void put_metadata(struct lv_json *j, const struct lv_vhost_record *v, const char *type)
{
    lv_json_open(j, "metadata");
    lv_json_bytes(j, "description", v->description);
    lv_json_tags(j, "tags", &v->tags);
    lv_json_str(j, "default_queue_type", type);
    lv_json_close(j);
}

static void put_traffic(struct lv_request *r, struct lv_json *j, struct lv_bytes name)
{
    const struct lv_vhost *v = lv_observe_vhost_find(r->room->broker, name);
    const struct lv_series *series =
        lv_rates_find(r->room->rates, LV_RATES_VHOST, name, lv_bytes(NULL, 0), 0);
    struct lv_rates_ranges ranges = { 0 };
    struct lv_vhost_sum sum = { 0 };

    if (v == NULL || (!lv_json_wants(j, "messages") && !lv_json_wants(j, "message_stats") &&
                      !lv_json_wants(j, "messages_ready")))
        return;
    lv_vhost_sum(v, &sum);
    lv_json_lengths(j, sum.ready, sum.unacknowledged, series, &ranges);
    lv_json_message_stats(j, sum.published, &sum.out, series, &ranges);
}

static bool describe(struct lv_request *r, const struct lv_listing_item *item, struct lv_json *j)
{
    const struct lv_vhost_record *v = lv_access_vhost(lv_broker_access(r->room->broker), item->name);
    char type[32];

    if (v == NULL)
        return false;
    if (v->default_queue_type.len != 0)
        (void)snprintf(type, sizeof(type), "%.*s", LV_BYTES_FMT(v->default_queue_type));
    else
        (void)snprintf(type, sizeof(type), "%s", r->room->settings->default_queue_type);
    lv_json_open(j, NULL);
    lv_json_bytes(j, "name", v->name);
    lv_json_bytes(j, "description", v->description);
    lv_json_tags(j, "tags", &v->tags);
    lv_json_str(j, "default_queue_type", type);
    put_metadata(j, v, type);
    lv_json_bool(j, "protected_from_deletion", v->is_protected);
    lv_json_bool(j, "tracing", false);
    lv_json_open(j, "cluster_state");
    lv_json_str(j, r->room->node, "running");
    lv_json_close(j);
    put_traffic(r, j, v->name);
    lv_json_close(j);
    return true;
}

static const struct lv_listing_kind kind = { .describe = describe };

void lv_api_vhosts(struct lv_request *r)
{
    const struct lv_access *access = lv_broker_access(r->room->broker);
    struct lv_listing *list = lv_listing_new(r, &kind);
    const struct lv_vhost_record *v;
    size_t pos = 0;

    if (list == NULL)
        return;
    while ((v = lv_access_next(access, LV_ACCESS_VHOST, &pos)) != NULL)
        if (lv_request_sees(r, v->name))
            lv_listing_add(list, lv_bytes(NULL, 0), v->name, NULL);
    lv_listing_reply(list);
}

void lv_api_vhost(struct lv_request *r)
{
    lv_reply_one(r, &kind, &(struct lv_listing_item){ .name = r->vhost });
}
