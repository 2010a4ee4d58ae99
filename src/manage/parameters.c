/* Policies, operator policies, runtime parameters and global parameters. */
#include "broker/policies.h"

#include <string.h>

#include "broker/access.h"
#include "manage/ask.h"
#include "manage/fields.h"
#include "manage/listing.h"
#include "manage/manage_priv.h"
#include "manage/router.h"
#include "manage/shapes.h"

/* JSON text that stays until the request ends. NULL: it was answered. */
static struct lv_bytes *dump(struct lv_request *r, const json_t *json)
{
    struct lv_bytes *out = lv_request_alloc(r, sizeof(*out));
    struct lv_buf text = { 0 };

    if (out != NULL && lv_json_dump(json, &text))
        *out = lv_request_copy(r, lv_buf_view(&text));
    lv_buf_fini(&text);
    if (out != NULL && out->ptr != NULL)
        return out;
    lv_reply_no_memory(r);
    return NULL;
}

/* ---- policies ---- */

static enum lv_policy_kind kind_of(const struct lv_request *r)
{
    return lv_bytes_eq(r->url.segment[1], LV_BYTES_LIT("policies")) ? LV_POLICY_USER
                                                                    : LV_POLICY_OPERATOR;
}

static bool describe_policy(struct lv_request *r, const struct lv_listing_item *item,
                            struct lv_json *j)
{
    const struct lv_policy *p = lv_policy_find(r->room->broker, kind_of(r), item->vhost, item->name);

    if (p == NULL)
        return false;
    lv_json_open(j, NULL);
    lv_json_bytes(j, "vhost", p->vhost);
    lv_json_bytes(j, "name", p->name);
    lv_json_bytes(j, "pattern", p->pattern);
    lv_json_str(j, "apply-to", lv_apply_to_name(p->apply_to));
    lv_json_raw(j, "definition", p->definition);
    lv_json_i64(j, "priority", p->priority);
    lv_json_close(j);
    return true;
}

static const struct lv_listing_kind policy_kind = { .describe = describe_policy };

void lv_api_policies(struct lv_request *r)
{
    struct lv_listing *list = lv_listing_new(r, &policy_kind);
    const struct lv_policy *p;
    const struct lv_vhost *v;
    size_t pos = 0, at;

    if (list == NULL)
        return;
    while ((v = lv_request_next_vhost(r, &pos)) != NULL) {
        at = 0;
        while ((p = lv_policy_next(r->room->broker, kind_of(r), lv_vhost_name(v), &at)) != NULL)
            lv_listing_add(list, lv_vhost_name(v), p->name, NULL);
    }
    lv_listing_reply(list);
}

void lv_api_policy(struct lv_request *r)
{
    lv_reply_one(r, &policy_kind,
                 &(struct lv_listing_item){ .vhost = r->vhost, .name = r->args[0] });
}

static enum lv_err put_policy(struct lv_broker *b, struct lv_change *c)
{
    const struct lv_request *r = c->r;
    const struct lv_bytes *json = c->record;

    return lv_broker_put_policy(b, kind_of(r), r->vhost, r->args[0], *json, &c->is_new, c->why,
                                sizeof(c->why));
}

/* Who leaves a member out may say so by null. */
static void tidy_policy(json_t *body)
{
    if (json_is_null(json_object_get(body, "priority")))
        (void)json_object_del(body, "priority");
    if (json_is_null(json_object_get(body, "apply-to")))
        (void)json_object_del(body, "apply-to");
}

void lv_api_policy_put(struct lv_request *r)
{
    struct lv_bytes *json;

    if (lv_request_json(r) == NULL)
        return;
    tidy_policy(r->json);
    json = dump(r, r->json);
    if (json == NULL)
        return;
    lv_change_make(r, put_policy, json, lv_reply_changed_in_vhost);
}

static enum lv_err delete_policy(struct lv_broker *b, struct lv_change *c)
{
    return lv_broker_remove_policy(b, kind_of(c->r), c->r->vhost, c->r->args[0]);
}

void lv_api_policy_delete(struct lv_request *r)
{
    lv_change_make(r, delete_policy, NULL, NULL);
}

/* ---- parameters ---- */

static void put_parameter_members(struct lv_json *j, const struct lv_parameter *p)
{
    lv_json_open(j, NULL);
    if (p->vhost.len != 0) {
        lv_json_bytes(j, "vhost", p->vhost);
        lv_json_bytes(j, "component", p->component);
    }
    lv_json_bytes(j, "name", p->name);
    lv_json_raw(j, "value", p->value);
    lv_json_close(j);
}

/* The name of an item: component, a NUL, name. */
static bool describe_parameter(struct lv_request *r, const struct lv_listing_item *item,
                               struct lv_json *j)
{
    const uint8_t *nul = item->name.len != 0 ? memchr(item->name.ptr, 0, item->name.len) : NULL;
    size_t component = nul != NULL ? (size_t)(nul - item->name.ptr) : 0;
    const struct lv_parameter *p =
        nul == NULL
            ? NULL
            : lv_parameter_find(r->room->broker, item->vhost, lv_bytes(item->name.ptr, component),
                                lv_bytes(nul + 1, item->name.len - component - 1));

    if (p == NULL)
        return false;
    put_parameter_members(j, p);
    return true;
}

static const struct lv_listing_kind parameter_kind = { .describe = describe_parameter,
                                                       .is_kept = true };

static struct lv_bytes parameter_name(struct lv_request *r, struct lv_bytes component,
                                      struct lv_bytes name)
{
    uint8_t text[2 * LV_SHORTSTR_MAX + 1];
    struct lv_wr w = lv_wr(text, sizeof(text));

    lv_wr_bytes(&w, component.ptr, component.len);
    lv_wr_u8(&w, 0);
    lv_wr_bytes(&w, name.ptr, name.len);
    return lv_request_copy(r, lv_bytes(text, lv_wr_ok(&w) ? w.used : 0));
}

/* Policies have routes of their own. */
static bool is_shown(const struct lv_request *r, const struct lv_parameter *p)
{
    if (r->args[0].ptr != NULL)
        return lv_bytes_eq(p->component, r->args[0]);
    return !lv_bytes_eq(p->component, LV_BYTES_LIT("policy")) &&
           !lv_bytes_eq(p->component, LV_BYTES_LIT("operator_policy"));
}

void lv_api_parameters(struct lv_request *r)
{
    struct lv_listing *list = lv_listing_new(r, &parameter_kind);
    const struct lv_parameter *p;
    const struct lv_vhost *v;
    size_t pos = 0, at;

    if (list == NULL)
        return;
    while ((v = lv_request_next_vhost(r, &pos)) != NULL) {
        at = 0;
        while ((p = lv_parameter_next(r->room->broker, lv_vhost_name(v), &at)) != NULL)
            if (is_shown(r, p))
                lv_listing_add(list, lv_request_copy(r, p->vhost),
                               parameter_name(r, p->component, p->name), NULL);
    }
    lv_listing_reply(list);
}

void lv_api_parameter(struct lv_request *r)
{
    const struct lv_parameter *p =
        lv_parameter_find(r->room->broker, r->vhost, r->args[0], r->args[1]);

    if (p == NULL) {
        lv_reply_not_found(r);
        return;
    }
    put_parameter_members(lv_reply_json(r, 200), p);
    lv_reply_end(r);
}

static enum lv_err put_parameter(struct lv_broker *b, struct lv_change *c)
{
    const struct lv_request *r = c->r;
    const struct lv_bytes *json = c->record;

    return lv_broker_put_parameter(b, r->vhost, r->args[0], r->args[1], *json, &c->is_new, c->why,
                                   sizeof(c->why));
}

/* "value" of the body as JSON text. NULL: it was answered. */
static struct lv_bytes *read_value(struct lv_request *r)
{
    const json_t *value = lv_request_json(r) != NULL ? json_object_get(r->json, "value") : NULL;

    if (r->json == NULL)
        return NULL;
    if (value != NULL)
        return dump(r, value);
    lv_reply_bad_request(r, "value should be given: key missing");
    return NULL;
}

void lv_api_parameter_put(struct lv_request *r)
{
    struct lv_bytes *json = read_value(r);

    if (json != NULL)
        lv_change_make(r, put_parameter, json, NULL);
}

static enum lv_err delete_parameter(struct lv_broker *b, struct lv_change *c)
{
    return lv_broker_remove_parameter(b, c->r->vhost, c->r->args[0], c->r->args[1]);
}

void lv_api_parameter_delete(struct lv_request *r)
{
    lv_change_make(r, delete_parameter, NULL, NULL);
}

/* ---- global parameters ---- */

static bool describe_global(struct lv_request *r, const struct lv_listing_item *item,
                            struct lv_json *j)
{
    const struct lv_parameter *p = lv_global_find(r->room->broker, item->name);

    if (p == NULL)
        return false;
    put_parameter_members(j, p);
    return true;
}

static const struct lv_listing_kind global_kind = { .describe = describe_global };

void lv_api_globals(struct lv_request *r)
{
    struct lv_listing *list = lv_listing_new(r, &global_kind);
    const struct lv_parameter *p;
    size_t pos = 0;

    if (list == NULL)
        return;
    while ((p = lv_global_next(r->room->broker, &pos)) != NULL)
        if (!lv_global_is_internal(p->name))
            lv_listing_add(list, lv_bytes(NULL, 0), p->name, NULL);
    lv_listing_reply(list);
}

void lv_api_global(struct lv_request *r)
{
    lv_reply_one(r, &global_kind, &(struct lv_listing_item){ .name = r->args[0] });
}

static enum lv_err put_global(struct lv_broker *b, struct lv_change *c)
{
    const struct lv_bytes *json = c->record;

    return lv_broker_put_global(b, c->r->args[0], *json, &c->is_new, c->why, sizeof(c->why));
}

void lv_api_global_put(struct lv_request *r)
{
    struct lv_bytes *json = read_value(r);

    if (json != NULL)
        lv_change_make(r, put_global, json, NULL);
}

static enum lv_err delete_global(struct lv_broker *b, struct lv_change *c)
{
    return lv_broker_remove_global(b, c->r->args[0]);
}

void lv_api_global_delete(struct lv_request *r)
{
    lv_change_make(r, delete_global, NULL, NULL);
}

/* ---- the cluster's name is one of them ---- */

struct lv_bytes lv_cluster_name(const struct lv_manage *m)
{
    const struct lv_parameter *p = lv_global_find(m->broker, LV_BYTES_LIT("cluster_name"));
    const char *set = m->settings->cluster_name;

    if (p != NULL && p->value.len > 2 && p->value.ptr[0] == '"')
        return lv_bytes(p->value.ptr + 1, p->value.len - 2);
    return lv_bytes_str(set[0] != '\0' ? set : m->node);
}

void lv_api_cluster_name(struct lv_request *r)
{
    struct lv_json *j = lv_reply_json(r, 200);

    lv_json_open(j, NULL);
    lv_json_bytes(j, "name", lv_cluster_name(r->room));
    lv_json_close(j);
    lv_reply_end(r);
}

static enum lv_err put_cluster_name(struct lv_broker *b, struct lv_change *c)
{
    const struct lv_bytes *json = c->record;

    return lv_broker_put_global(b, LV_BYTES_LIT("cluster_name"), *json, NULL, c->why,
                                sizeof(c->why));
}

void lv_api_cluster_name_put(struct lv_request *r)
{
    struct lv_bytes name, *json;

    if (lv_request_json(r) == NULL || !lv_body_need_text(r, "name", &name))
        return;
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] < ' ' || name.ptr[i] == '"' || name.ptr[i] == '\\') {
            lv_reply_bad_request(r, "name should have no quotes and no backslashes");
            return;
        }
    json = dump(r, json_object_get(r->json, "name"));
    if (json != NULL)
        lv_change_make(r, put_cluster_name, json, NULL);
}
