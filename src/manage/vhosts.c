#include <stdio.h>
#include <string.h>

#include "broker/access.h"
#include "manage/ask.h"
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

/* ---- changing ---- */

struct vhost_body {
    struct lv_bytes name, owner; /* owner: who made it, and may do everything there (RabbitMQ) */
    struct lv_bytes description, type; /* ptr NULL: not said */
    struct lv_tags tags;
    bool has_tags, has_protection, is_protected;
};

static enum lv_err put(struct lv_broker *b, struct lv_change *c)
{
    const struct vhost_body *body = c->record;
    const struct lv_vhost_record *have = lv_access_vhost(lv_broker_access(b), body->name);
    struct lv_vhost_record v = {
        .name = body->name,
        .max_connections = LV_NO_LIMIT,
        .max_queues = LV_NO_LIMIT,
    };

    if (have != NULL)
        v = *have;
    if (body->description.ptr != NULL)
        v.description = body->description;
    if (body->type.ptr != NULL)
        v.default_queue_type = body->type;
    if (body->has_tags)
        v.tags = body->tags;
    if (body->has_protection)
        v.is_protected = body->is_protected;
    c->is_new = have == NULL;
    enum lv_err err = lv_broker_put_vhost(b, &v, c->why, sizeof(c->why));
    if (err != LV_OK || have != NULL || body->owner.len == 0)
        return err;
    const struct lv_permission_record all = {
        .user = body->owner,
        .vhost = body->name,
        .configure = LV_BYTES_LIT(".*"),
        .write = LV_BYTES_LIT(".*"),
        .read = LV_BYTES_LIT(".*"),
    };
    return lv_broker_put_permission(b, &all, c->why, sizeof(c->why));
}

static struct vhost_body *body_new(struct lv_request *r)
{
    struct vhost_body *body = lv_request_alloc(r, sizeof(*body));

    if (body == NULL) {
        lv_reply_no_memory(r);
        return NULL;
    }
    body->name = r->vhost;
    return body;
}

static bool is_queue_type(struct lv_bytes type)
{
    return type.ptr == NULL || type.len == 0 || lv_bytes_eq(type, LV_BYTES_LIT("undefined")) ||
           lv_bytes_eq(type, LV_BYTES_LIT("classic")) ||
           lv_bytes_eq(type, LV_BYTES_LIT("quorum")) || lv_bytes_eq(type, LV_BYTES_LIT("stream"));
}

void lv_api_vhost_put(struct lv_request *r)
{
    struct vhost_body *body = body_new(r);
    bool is_traced = false;

    if (body == NULL || lv_request_json(r) == NULL ||
        !lv_body_text(r, "description", &body->description) ||
        !lv_body_text(r, "default_queue_type", &body->type) || !lv_body_tags(r, &body->tags) ||
        !lv_body_bool(r, "tracing", &is_traced) ||
        !lv_body_bool(r, "protected_from_deletion", &body->is_protected))
        return;
    if (is_traced) {
        lv_reply_bad_request(r, "tracing is not supported");
        return;
    }
    if (!is_queue_type(body->type)) {
        lv_reply_bad_request(r, "Unsupported default queue type '%.*s'", LV_BYTES_FMT(body->type));
        return;
    }
    if (lv_bytes_eq(body->type, LV_BYTES_LIT("undefined")))
        body->type.len = 0;
    body->has_tags = json_object_get(r->json, "tags") != NULL;
    body->has_protection = json_object_get(r->json, "protected_from_deletion") != NULL;
    body->owner = r->who.name;
    lv_change_make(r, put, body, NULL);
}

void lv_api_vhost_protect(struct lv_request *r)
{
    struct vhost_body *body = body_new(r);

    if (body == NULL)
        return;
    body->has_protection = true;
    body->is_protected = r->head.method == LV_HTTP_POST;
    lv_change_make(r, put, body, NULL);
}

static enum lv_err del(struct lv_broker *b, struct lv_change *c)
{
    uint8_t key[LV_ACCESS_KEY_BYTES_MAX];
    struct lv_wr w = lv_wr(key, sizeof(key));

    if (lv_access_vhost(lv_broker_access(b), c->r->vhost) == NULL)
        return LV_ENOTFOUND;
    lv_vhost_key(&w, &(struct lv_vhost_record){ .name = c->r->vhost });
    enum lv_err err = lv_broker_remove(b, LV_ACCESS_VHOST, lv_bytes(key, w.used));
    if (err == LV_EREFUSED)
        (void)
            snprintf(c->why, sizeof(c->why),
                     "Refusing to delete virtual host '%.*s' because it is protected from deletion",
                     LV_BYTES_FMT(c->r->vhost));
    return err;
}

void lv_api_vhost_delete(struct lv_request *r)
{
    lv_change_make(r, del, NULL, NULL);
}

/* It runs wherever it is there. */
void lv_api_vhost_start(struct lv_request *r)
{
    if (lv_bytes_eq(r->args[0], lv_bytes_str(r->room->node)))
        lv_reply_empty(r, 204);
    else
        lv_reply_not_found(r);
}

/* ---- limits ---- */

static bool has_limit(const struct lv_vhost_record *v)
{
    return v->max_connections != LV_NO_LIMIT || v->max_queues != LV_NO_LIMIT;
}

static bool describe_limits(struct lv_request *r, const struct lv_listing_item *item,
                            struct lv_json *j)
{
    const struct lv_vhost_record *v = lv_access_vhost(lv_broker_access(r->room->broker), item->name);

    if (v == NULL)
        return false;
    lv_json_open(j, NULL);
    lv_json_bytes(j, "vhost", v->name);
    lv_json_open(j, "value");
    lv_json_limit(j, "max-connections", v->max_connections);
    lv_json_limit(j, "max-queues", v->max_queues);
    lv_json_close(j);
    lv_json_close(j);
    return true;
}

static const struct lv_listing_kind limits_kind = { .describe = describe_limits };

void lv_api_vhost_limits(struct lv_request *r)
{
    const struct lv_access *access = lv_broker_access(r->room->broker);
    struct lv_listing *list = lv_listing_new(r, &limits_kind);
    const struct lv_vhost_record *v;
    size_t pos = 0;

    if (list == NULL)
        return;
    while ((v = lv_access_next(access, LV_ACCESS_VHOST, &pos)) != NULL)
        if (has_limit(v) && lv_request_wants_vhost(r, v->name))
            lv_listing_add(list, lv_bytes(NULL, 0), v->name, NULL);
    lv_listing_reply(list);
}

struct limit {
    struct lv_bytes vhost, name;
    int64_t value;
};

static enum lv_err put_vhost_limit(struct lv_broker *b, struct lv_change *c)
{
    const struct limit *limit = c->record;
    const struct lv_vhost_record *have = lv_access_vhost(lv_broker_access(b), limit->vhost);

    if (have == NULL)
        return LV_ENOTFOUND;
    struct lv_vhost_record v = *have;
    if (lv_bytes_eq(limit->name, LV_BYTES_LIT("max-connections"))) {
        v.max_connections = limit->value;
    } else if (lv_bytes_eq(limit->name, LV_BYTES_LIT("max-queues"))) {
        v.max_queues = limit->value;
    } else {
        (void)snprintf(c->why, sizeof(c->why),
                       "Validation failed\n\nUnrecognised terms [{<<\"%.*s\">>,%lld}] in limits\n",
                       LV_BYTES_FMT(limit->name), (long long)limit->value);
        return LV_EINVAL;
    }
    return lv_broker_put_vhost(b, &v, c->why, sizeof(c->why));
}

static void change_limit(struct lv_request *r, int64_t value)
{
    struct limit *limit = lv_request_alloc(r, sizeof(*limit));

    if (limit == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    *limit = (struct limit){ r->vhost, r->args[0], value };
    lv_change_make(r, put_vhost_limit, limit, lv_reply_changed_in_vhost);
}

void lv_api_vhost_limit_put(struct lv_request *r)
{
    int64_t value;

    if (lv_access_vhost(lv_broker_access(r->room->broker), r->vhost) == NULL) {
        lv_reply_error(r, 404, "not_found", "vhost_not_found");
        return;
    }
    if (lv_body_limit(r, &value))
        change_limit(r, value);
}

void lv_api_vhost_limit_delete(struct lv_request *r)
{
    change_limit(r, LV_NO_LIMIT);
}
