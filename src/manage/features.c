/* Feature flags and deprecated features: lists that tools read before they begin. */
#include "broker/observe.h"
#include "manage/manage_priv.h"
#include "manage/router.h"

static const struct {
    const char *name, *phase, *text; /* phase NULL: a feature flag */
} features[] = {
#define LV_FEATURE(name, text) { #name, NULL, text },
#define LV_DEPRECATED(name, phase, text) { #name, phase, text },
#include "manage/features.def"
#undef LV_FEATURE
#undef LV_DEPRECATED
};

void lv_api_feature_flags(struct lv_request *r)
{
    struct lv_json *j = lv_reply_json(r, 200);

    lv_reply_select(r);
    lv_json_open_array(j, NULL);
    for (size_t i = 0; i < LV_ARRAY_LEN(features); i++) {
        if (features[i].phase != NULL)
            continue;
        lv_json_open(j, NULL);
        lv_json_str(j, "name", features[i].name);
        lv_json_str(j, "desc", features[i].text);
        lv_json_str(j, "doc_url", "");
        lv_json_str(j, "state", "enabled");
        lv_json_str(j, "stability", "required");
        lv_json_str(j, "require_level", "hard");
        lv_json_str(j, "provided_by", "rabbit");
        lv_json_close(j);
    }
    lv_json_close(j);
    lv_reply_end(r);
}

/* All are. */
void lv_api_feature_flag_enable(struct lv_request *r)
{
    bool is_known = lv_bytes_eq(r->args[0], LV_BYTES_LIT("all"));

    for (size_t i = 0; i < LV_ARRAY_LEN(features); i++)
        is_known = is_known || (features[i].phase == NULL &&
                                lv_bytes_eq(r->args[0], lv_bytes_str(features[i].name)));
    if (is_known)
        lv_reply_empty(r, 204);
    else
        lv_reply_bad_request(r, "unsupported");
}

/* Is there a queue that is neither durable nor somebody's own? */
static bool has_transient_queue(const struct lv_broker *b)
{
    const struct lv_queue_entry *entry;
    const struct lv_vhost *v;
    struct lv_queue_info q;
    size_t pos = 0, at;

    while ((v = lv_observe_vhost(b, &pos)) != NULL) {
        at = 0;
        while ((entry = lv_observe_queue(v, &at)) != NULL) {
            lv_queue_describe(entry, &q);
            if (!q.durable && !q.exclusive)
                return true;
        }
    }
    return false;
}

static void list_deprecated(struct lv_request *r, bool used_only)
{
    struct lv_json *j = lv_reply_json(r, 200);
    bool has_transient = used_only && has_transient_queue(r->room->broker);

    lv_reply_select(r);
    lv_json_open_array(j, NULL);
    for (size_t i = 0; i < LV_ARRAY_LEN(features); i++) {
        if (features[i].phase == NULL ||
            (used_only &&
             !(has_transient && strcmp(features[i].name, "transient_nonexcl_queues") == 0)))
            continue;
        lv_json_open(j, NULL);
        lv_json_str(j, "name", features[i].name);
        lv_json_str(j, "desc", features[i].text);
        lv_json_str(j, "deprecation_phase", features[i].phase);
        lv_json_str(j, "doc_url", "");
        lv_json_str(j, "provided_by", "rabbit");
        lv_json_str(j, "state", "permitted");
        lv_json_close(j);
    }
    lv_json_close(j);
    lv_reply_end(r);
}

void lv_api_deprecated(struct lv_request *r)
{
    list_deprecated(r, false);
}

void lv_api_deprecated_used(struct lv_request *r)
{
    list_deprecated(r, true);
}

void lv_api_extensions(struct lv_request *r)
{
    struct lv_json *j = lv_reply_json(r, 200);

    lv_json_open_array(j, NULL);
    lv_json_close(j);
    lv_reply_end(r);
}
