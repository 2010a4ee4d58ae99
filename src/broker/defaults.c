/* What new virtual hosts get: permissions of default_users, default_limits, default_policies. As in RabbitMQ the first rule whose
 * pattern is found in the name sets the limits; every policy whose pattern is, is made. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/access.h"
#include "broker/definitions_priv.h"
#include "config/config.h"
#include "os/log.h"
#include "security/pattern.h"

bool lv_pattern_fits(struct lv_bytes pattern, struct lv_bytes name)
{
    struct lv_pattern *p;
    char why[8];

    if (lv_pattern_new(pattern, &p, why, sizeof(why)) != LV_OK)
        return false;
    bool is_match = lv_pattern_match(p, name);
    lv_pattern_free(p);
    return is_match;
}

struct lv_bytes lv_item_or(const char *items, struct lv_bytes name, const char *otherwise)
{
    struct lv_bytes n, v;

    while (lv_items_next(&items, &n, &v))
        if (lv_bytes_eq(n, name))
            return v;
    return lv_bytes_str(otherwise);
}

/* ---- rules: items "ID.KEY" that belong together ---- */

static bool split(struct lv_bytes name, struct lv_bytes *id, struct lv_bytes *key)
{
    size_t dot = name.len;

    while (dot != 0 && name.ptr[dot - 1] != '.')
        dot--;
    if (dot == 0)
        return false;
    *id = lv_bytes(name.ptr, dot - 1);
    *key = lv_bytes(name.ptr + dot, name.len - dot);
    return true;
}

/* The first item of a rule is where the rule is looked at. */
static bool is_first(const char *items, const char *until, struct lv_bytes id)
{
    struct lv_bytes name, value, other, key;

    while (items < until && lv_items_next(&items, &name, &value) && items < until)
        if (split(name, &other, &key) && lv_bytes_eq(other, id))
            return false;
    return true;
}

static struct lv_bytes value_of(const char *items, struct lv_bytes id, const char *key,
                                const char *otherwise)
{
    struct lv_bytes name, value, other, k;

    while (lv_items_next(&items, &name, &value))
        if (split(name, &other, &k) && lv_bytes_eq(other, id) && lv_bytes_eq(k, lv_bytes_str(key)))
            return value;
    return lv_bytes_str(otherwise);
}

typedef bool apply_rule(struct lv_broker *b, struct lv_bytes vhost, const char *items,
                        struct lv_bytes id);

/* Until one says that it was enough. */
static void each_rule(struct lv_broker *b, struct lv_bytes vhost, const char *items,
                      apply_rule *apply)
{
    struct lv_bytes name, value, id, key;
    const char *at = items;

    while (lv_items_next(&at, &name, &value))
        if (split(name, &id, &key) && is_first(items, at, id) && apply(b, vhost, items, id))
            return;
}

static void tell(const char *what, struct lv_bytes id, const char *why)
{
    lv_log(DEFAULT_REFUSED, lv_log_str(what), lv_log_bytes(id), lv_log_str(why));
}

/* ---- limits ---- */

static bool set_limits(struct lv_broker *b, struct lv_bytes vhost, const char *items,
                       struct lv_bytes id)
{
    struct lv_bytes connections = value_of(items, id, "max_connections", "-1");
    struct lv_bytes queues = value_of(items, id, "max_queues", "-1");
    char json[256], why[LV_PARAMETER_WHY_MAX];

    if (!lv_pattern_fits(value_of(items, id, "pattern", ".*"), vhost))
        return false;
    int n = snprintf(json, sizeof(json), "{\"max-connections\":%.*s,\"max-queues\":%.*s}",
                     LV_BYTES_FMT(connections), LV_BYTES_FMT(queues));
    enum lv_err err =
        lv_parameter_put(b, vhost, LV_BYTES_LIT("vhost-limits"), LV_BYTES_LIT("limits"),
                         lv_bytes(json, (size_t)n), NULL, why, sizeof(why));
    if (err != LV_OK)
        tell("default_limits.vhosts", id, why[0] != '\0' ? why : lv_err_text(err));
    return true;
}

/* ---- policies ---- */

/* The keys of the definition: those that are not about the rule, with '-' for '_'. */
static void write_definition(struct lv_text *t, const char *items, struct lv_bytes id)
{
    struct lv_bytes name, value, other, key;
    bool has_one = false;

    lv_text_str(t, "{");
    while (lv_items_next(&items, &name, &value)) {
        if (!split(name, &other, &key) || !lv_bytes_eq(other, id) ||
            lv_bytes_eq(key, LV_BYTES_LIT("vhost_pattern")) ||
            lv_bytes_eq(key, LV_BYTES_LIT("queue_pattern")))
            continue;
        char text[64];
        snprintf(text, sizeof(text), "%.*s", LV_BYTES_FMT(key));
        for (char *c = text; *c != '\0'; c++)
            *c = *c == '_' ? '-' : *c;
        char *end;
        char number[32];
        snprintf(number, sizeof(number), "%.*s", LV_BYTES_FMT(value));
        (void)strtoll(number, &end, 10);
        lv_text_str(t, has_one ? "," : "");
        lv_text_json_string(t, lv_bytes_str(text));
        lv_text_str(t, ":");
        if (end != number && *end == '\0')
            lv_text_str(t, number);
        else
            lv_text_json_string(t, value);
        has_one = true;
    }
    lv_text_str(t, "}");
}

static bool add_policy(struct lv_broker *b, struct lv_bytes vhost, const char *items,
                       struct lv_bytes id)
{
    struct lv_text json = { 0 };
    char why[LV_PARAMETER_WHY_MAX] = "";
    enum lv_err err = LV_ENOMEM;

    if (!lv_pattern_fits(value_of(items, id, "vhost_pattern", ".*"), vhost))
        return false;
    lv_text_str(&json, "{\"apply-to\":\"queues\",\"pattern\":");
    lv_text_json_string(&json, value_of(items, id, "queue_pattern", ".*"));
    lv_text_str(&json, ",\"definition\":");
    write_definition(&json, items, id);
    lv_text_str(&json, "}");
    if (!json.is_short)
        err = lv_broker_put_policy(b, LV_POLICY_OPERATOR, vhost, id, lv_bytes(json.at, json.used),
                                   NULL, why, sizeof(why));
    if (err != LV_OK)
        tell("default_policies.operator", id, why[0] != '\0' ? why : lv_err_text(err));
    lv_text_fini(&json);
    return false;
}

/* ---- users ---- */

/* Those that are there: a user who was removed does not come back. */
static void allow_users(struct lv_broker *b, struct lv_bytes vhost)
{
    const struct lv_settings *s = b->settings;
    const char *at = s->default_users_password;
    struct lv_bytes name, password;
    char why[1];

    while (lv_items_next(&at, &name, &password)) {
        struct lv_permission_record p = {
            .user = name,
            .vhost = vhost,
            .configure = lv_item_or(s->default_users_configure, name, ".*"),
            .write = lv_item_or(s->default_users_write, name, ".*"),
            .read = lv_item_or(s->default_users_read, name, ".*"),
        };
        if (lv_access_user(b->access, name) == NULL ||
            !lv_pattern_fits(lv_item_or(s->default_users_vhost_pattern, name, ".*"), vhost))
            continue;
        enum lv_err err = lv_broker_put_permission(b, &p, why, sizeof(why));
        if (err != LV_OK)
            tell("default_users", name, lv_err_text(err));
    }
}

void lv_vhost_defaults(struct lv_broker *b, struct lv_bytes vhost)
{
    each_rule(b, vhost, b->settings->default_limits, set_limits);
    each_rule(b, vhost, b->settings->default_policies, add_policy);
    allow_users(b, vhost);
}
