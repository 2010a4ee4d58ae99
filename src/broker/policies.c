/* The directory of parameters: per virtual host, and one of global ones, an immutable list that is replaced whole with every
 * change. In it the parameters stand by component and name, and the policies once more by rank, so that whoever looks
 * for the one that applies takes the first that does. */
#include "broker/policies.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "broker/access.h"
#include "broker/policies_priv.h"
#include "config/config.h"
#include "security/pattern.h"

struct item {
    struct lv_parameter parameter; /* first; views bytes */
    struct lv_policy policy;       /* of a policy; views bytes */
    struct lv_pattern *pattern;    /* NULL: not a policy */
    unsigned queue_kinds;          /* 1 << enum lv_queue_kind: those that it may apply to */
    bool has_alternate;
    struct lv_bytes alternate; /* alternate-exchange */
    uint8_t bytes[];
};

struct lv_parameters {
    size_t count;
    size_t policies[LV_POLICY_KINDS];
    size_t alternates;
    struct item *at[]; /* by component and name; then the policies of each kind by rank */
};

static const char *const components[LV_POLICY_KINDS] = {
    [LV_POLICY_USER] = "policy",
    [LV_POLICY_OPERATOR] = "operator_policy",
};

static const char *const apply_names[LV_APPLY_COUNT] = {
    [LV_APPLY_ALL] = "all",
    [LV_APPLY_QUEUES] = "queues",
    [LV_APPLY_EXCHANGES] = "exchanges",
    [LV_APPLY_CLASSIC_QUEUES] = "classic_queues",
    [LV_APPLY_QUORUM_QUEUES] = "quorum_queues",
    [LV_APPLY_STREAMS] = "streams",
};

const char *lv_apply_to_name(enum lv_apply_to apply_to)
{
    return apply_names[apply_to];
}

static enum lv_apply_to apply_to_of(struct lv_bytes name)
{
    enum lv_apply_to a = LV_APPLY_ALL;

    while (a < LV_APPLY_COUNT && !lv_bytes_eq(name, lv_bytes_str(apply_names[a])))
        a++;
    return a;
}

/* LV_POLICY_KINDS: it is no policy. */
static enum lv_policy_kind policy_kind_of(struct lv_bytes component)
{
    enum lv_policy_kind kind = LV_POLICY_USER;

    while (kind < LV_POLICY_KINDS && !lv_bytes_eq(component, lv_bytes_str(components[kind])))
        kind++;
    return kind;
}

static bool is_name(struct lv_bytes name)
{
    return name.len != 0 && name.len <= LV_SHORTSTR_MAX;
}

/* ---- checks ---- */

static void check_pattern(struct lv_refused *r, const json_t *pattern)
{
    struct lv_pattern *compiled;
    char why[160];

    if (!json_is_string(pattern)) {
        lv_refused_value(r, "pattern should be a binary but was ", pattern, "");
        return;
    }
    enum lv_err err = lv_pattern_new(lv_json_str(pattern), &compiled, why, sizeof(why));
    if (err == LV_OK) {
        lv_pattern_free(compiled);
        return;
    }
    char *at = err == LV_EINVAL ? strstr(why, " at ") : NULL;
    if (at != NULL)
        lv_refused_line(r, "pattern should be regular expression but is invalid: {\"%.*s\",%s}",
                        (int)(at - why), why, at + 4);
    else
        lv_refused_line(r, "pattern should be regular expression but is invalid: \"%s\"",
                        err == LV_ENOMEM ? lv_err_text(err) : why);
}

static void check_policy(struct lv_refused *r, enum lv_policy_kind kind, struct lv_bytes name,
                         const json_t *value)
{
    const json_t *definition = json_object_get(value, "definition");
    const json_t *pattern = json_object_get(value, "pattern");
    const json_t *apply_to = json_object_get(value, "apply-to");
    const json_t *priority = json_object_get(value, "priority");

    if (definition == NULL)
        lv_refused_line(r, "Key \"definition\" not found in %.*s", LV_BYTES_FMT(name));
    else
        lv_policy_check(r, kind, definition);
    if (apply_to != NULL && !json_is_string(apply_to))
        lv_refused_value(r, "apply-to should be a binary but was ", apply_to, "");
    else if (apply_to != NULL && apply_to_of(lv_json_str(apply_to)) == LV_APPLY_COUNT)
        lv_refused_line(
            r,
            "apply-to '%.*s' unrecognised; should be one of: 'queues', 'classic_queues', "
            "'quorum_queues', 'streams', 'exchanges', or 'all'",
            LV_BYTES_FMT(lv_json_str(apply_to)));
    if (pattern == NULL)
        lv_refused_line(r, "Key \"pattern\" not found in %.*s", LV_BYTES_FMT(name));
    else
        check_pattern(r, pattern);
    if (priority != NULL && !json_is_integer(priority))
        lv_refused_value(r, "priority should be a number, actually was ", priority, "");
}

static bool is_limit(const json_t *v)
{
    return json_is_integer(v) && json_integer_value(v) >= LV_NO_LIMIT &&
           json_integer_value(v) <= LV_LIMIT_MAX;
}

enum lv_err lv_limits_parse(const json_t *value, struct lv_bytes name, int64_t *max_connections,
                            int64_t *max_queues, char *why, size_t cap)
{
    struct lv_refused r;
    const char *key;
    json_t *v;

    *max_connections = *max_queues = LV_NO_LIMIT;
    lv_refused_init(&r, why, cap);
    if (!json_is_object(value) && json_array_size(value) != 0) /* [] is how Erlang writes no limits */
        lv_refused_value(&r, "limits should be a map, actually was ", value, "");
    json_object_foreach((json_t *)(uintptr_t)value, key, v)
    {
        int64_t *limit = strcmp(key, "max-connections") == 0 ? max_connections
                         : strcmp(key, "max-queues") == 0    ? max_queues
                                                             : NULL;
        if (limit == NULL) {
            char before[300];
            snprintf(before, sizeof(before), "Unrecognised terms [{<<\"%.200s\">>,", key);
            char after[300];
            snprintf(after, sizeof(after), "}] in %.*s", LV_BYTES_FMT(name));
            lv_refused_value(&r, before, v, after);
        } else if (!is_limit(v)) {
            char before[64];
            snprintf(before, sizeof(before), "%s should be a number, actually was ", key);
            lv_refused_value(&r, before, v, "");
        } else {
            *limit = json_integer_value(v);
        }
    }
    return lv_refused_end(&r) ? LV_EINVAL : LV_OK;
}

enum lv_err lv_parameter_check(struct lv_bytes component, struct lv_bytes name, const json_t *value,
                               char *why, size_t cap)
{
    enum lv_policy_kind kind = policy_kind_of(component);
    struct lv_refused r;
    struct lv_wr size = lv_wr(NULL, 0);

    lv_refused_init(&r, why, cap);
    if (!is_name(name))
        lv_refused_line(&r, "a name has 1 to 255 bytes");
    else if (component.len > LV_SHORTSTR_MAX)
        lv_refused_line(&r, "a component has at most 255 bytes");
    else if (kind != LV_POLICY_KINDS)
        check_policy(&r, kind, name, value);
    lv_json_write(&size, value);
    if (size.used > LV_PARAMETER_BYTES_MAX)
        lv_refused_line(&r, "longer than %u bytes", LV_PARAMETER_BYTES_MAX);
    return lv_refused_end(&r) ? LV_EINVAL : LV_OK;
}

static bool is_known_component(struct lv_bytes component)
{
    static const char *const known[] = { "federation-upstream", "federation-upstream-set",
                                         "shovel" };

    for (size_t i = 0; i < LV_ARRAY_LEN(known); i++)
        if (lv_bytes_eq(component, lv_bytes_str(known[i])))
            return true;
    return false;
}

/* ---- items ---- */

static void item_free(void *ptr)
{
    struct item *item = ptr;

    if (item != NULL)
        lv_pattern_free(item->pattern);
    lv_mem_free(item, LV_TAG_BROKER);
}

/* As {"pattern":..,"definition":..,"priority":..,"apply-to":..}; *definition is where that lies. */
static void write_policy(struct lv_wr *w, const json_t *value, size_t *at, size_t *len)
{
    const json_t *apply_to = json_object_get(value, "apply-to");
    const json_t *priority = json_object_get(value, "priority");
    char tail[96];

    lv_wr_bytes(w, "{\"pattern\":", 11);
    lv_json_write(w, json_object_get(value, "pattern"));
    lv_wr_bytes(w, ",\"definition\":", 14);
    *at = w->used;
    lv_json_write(w, json_object_get(value, "definition"));
    *len = w->used - *at;
    int used = snprintf(tail, sizeof(tail), ",\"priority\":%" PRId64 ",\"apply-to\":\"%s\"}",
                        (int64_t)json_integer_value(priority),
                        json_is_string(apply_to) ? json_string_value(apply_to) : "all");
    lv_wr_bytes(w, tail, (size_t)used);
}

void lv_policy_write(struct lv_wr *w, const json_t *value)
{
    size_t at, len;

    write_policy(w, value, &at, &len);
}

static struct lv_bytes put_bytes(struct lv_wr *w, struct lv_bytes b)
{
    size_t at = w->used;

    lv_wr_bytes(w, b.ptr, b.len);
    return lv_bytes(w->buf + at, b.len);
}

/* The policy's own part, from checked JSON. */
static enum lv_err parse_policy(struct item *item, enum lv_policy_kind kind, const json_t *value,
                                struct lv_wr *w)
{
    const json_t *definition = json_object_get(value, "definition");
    const json_t *apply_to = json_object_get(value, "apply-to");
    const json_t *alternate = json_object_get(definition, "alternate-exchange");
    char why[1];

    item->policy.kind = kind;
    item->policy.vhost = item->parameter.vhost;
    item->policy.name = item->parameter.name;
    item->policy.pattern = put_bytes(w, lv_json_str(json_object_get(value, "pattern")));
    item->policy.priority = json_integer_value(json_object_get(value, "priority"));
    item->policy.apply_to =
        json_is_string(apply_to) ? apply_to_of(lv_json_str(apply_to)) : LV_APPLY_ALL;
    item->queue_kinds = lv_policy_queue_kinds(definition);
    item->has_alternate =
        json_is_string(alternate) && json_string_length(alternate) <= LV_SHORTSTR_MAX;
    if (item->has_alternate)
        item->alternate = put_bytes(w, lv_json_str(alternate));
    return lv_pattern_new(item->policy.pattern, &item->pattern, why, sizeof(why));
}

static enum lv_err item_new(struct lv_bytes vhost, struct lv_bytes component, struct lv_bytes name,
                            const json_t *value, struct item **out)
{
    enum lv_policy_kind kind = policy_kind_of(component);
    bool is_policy = kind != LV_POLICY_KINDS;
    struct lv_wr size = lv_wr(NULL, 0);
    size_t at = 0, len = 0;
    enum lv_err err = LV_OK;

    *out = NULL;
    if (is_policy)
        write_policy(&size, value, &at, &len);
    else
        lv_json_write(&size, value);
    /* Pattern and alternate exchange lie in the text, too: twice that is enough for all. */
    size_t most = vhost.len + component.len + name.len + (is_policy ? 2 : 1) * size.used;
    struct item *item = lv_mem_zalloc(sizeof(*item) + most, LV_TAG_BROKER);
    if (item == NULL)
        return LV_ENOMEM;
    struct lv_wr w = lv_wr(item->bytes, most);
    item->parameter.vhost = put_bytes(&w, vhost);
    item->parameter.component = put_bytes(&w, component);
    item->parameter.name = put_bytes(&w, name);
    size_t text = w.used;
    if (is_policy)
        write_policy(&w, value, &at, &len);
    else
        lv_json_write(&w, value);
    item->parameter.value = lv_bytes(item->bytes + text, w.used - text);
    if (is_policy) {
        item->policy.definition = lv_bytes(item->bytes + at, len);
        err = parse_policy(item, kind, value, &w);
    }
    LV_ASSERT(lv_wr_ok(&w));
    if (err != LV_OK) {
        item_free(item);
        return err;
    }
    *out = item;
    return LV_OK;
}

/* ---- lists ---- */

static const struct lv_parameters none;

static _Atomic(struct lv_parameters *) *list_of(struct lv_broker *b, struct lv_vhost *v)
{
    return v != NULL ? &v->parameters : &b->globals;
}

static const struct lv_parameters *load(const struct lv_broker *b, struct lv_bytes vhost)
{
    struct lv_vhost *v = vhost.len != 0 ? lv_vhost_find(b, vhost) : NULL;
    const struct lv_parameters *p;

    if (vhost.len != 0 && v == NULL)
        return &none;
    p = atomic_load_explicit(list_of((struct lv_broker *)(uintptr_t)b, v), memory_order_acquire);
    return p != NULL ? p : &none;
}

static int order(struct lv_bytes component, struct lv_bytes name, const struct item *item)
{
    int c = lv_bytes_cmp(component, item->parameter.component);

    return c != 0 ? c : lv_bytes_cmp(name, item->parameter.name);
}

/* Where it is, or would be. */
static size_t place_of(const struct lv_parameters *p, struct lv_bytes component,
                       struct lv_bytes name)
{
    size_t from = 0, to = p->count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (order(component, name, p->at[middle]) > 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static struct item *find(const struct lv_parameters *p, struct lv_bytes component,
                         struct lv_bytes name)
{
    size_t at = place_of(p, component, name);

    return at < p->count && order(component, name, p->at[at]) == 0 ? p->at[at] : NULL;
}

static struct item *const *ranked(const struct lv_parameters *p, enum lv_policy_kind kind)
{
    return p->at + p->count + (kind == LV_POLICY_OPERATOR ? p->policies[LV_POLICY_USER] : 0);
}

static bool ranks_before(const struct item *a, const struct item *b)
{
    return a->policy.priority != b->policy.priority
               ? a->policy.priority > b->policy.priority
               : lv_bytes_cmp(a->policy.name, b->policy.name) < 0;
}

/* Copies a part of the list without `old` and with `new` (either may be NULL) at its place. Returns the end. */
static struct item **copy_part(struct item **to, struct item *const *from, size_t count,
                               const struct item *old, struct item *new,
                               bool (*is_before)(const struct item *, const struct item *))
{
    for (size_t i = 0; i < count; i++) {
        if (from[i] == old)
            continue;
        if (new != NULL && is_before(new, from[i])) {
            *to++ = new;
            new = NULL;
        }
        *to++ = from[i];
    }
    if (new != NULL)
        *to++ = new;
    return to;
}

static bool stands_before(const struct item *a, const struct item *b)
{
    return order(a->parameter.component, a->parameter.name, b) < 0;
}

/* Of these two of the same name, or one of them. */
static enum lv_err list_new(const struct lv_parameters *p, const struct item *old, struct item *new,
                            struct lv_parameters **out)
{
    const struct item *any = new != NULL ? new : old;
    enum lv_policy_kind kind = policy_kind_of(any->parameter.component);
    size_t most = p->count + p->policies[0] + p->policies[1] + 2;
    struct lv_parameters *list =
        lv_mem_zalloc(sizeof(*list) + most * sizeof(list->at[0]), LV_TAG_BROKER);

    *out = list;
    if (list == NULL)
        return LV_ENOMEM;
    struct item **end = copy_part(list->at, p->at, p->count, old, new, stands_before);
    list->count = (size_t)(end - list->at);
    for (enum lv_policy_kind k = LV_POLICY_USER; k < LV_POLICY_KINDS; k++) {
        bool is_it = k == kind;
        struct item **begin = end;
        end = copy_part(end, ranked(p, k), p->policies[k], is_it ? old : NULL, is_it ? new : NULL,
                        ranks_before);
        list->policies[k] = (size_t)(end - begin);
    }
    list->alternates =
        p->alternates + (new != NULL &&new->has_alternate) - (old != NULL && old->has_alternate);
    return LV_OK;
}

static void list_free(void *ptr)
{
    lv_mem_free(ptr, LV_TAG_BROKER);
}

void lv_parameters_free(struct lv_parameters *p)
{
    for (size_t i = 0; p != NULL && i < p->count; i++)
        item_free(p->at[i]);
    list_free(p);
}

static void publish(struct lv_broker *b, struct lv_vhost *v, struct lv_parameters *list,
                    struct item *old)
{
    struct lv_parameters *before =
        atomic_exchange_explicit(list_of(b, v), list, memory_order_acq_rel);
    bool has_alternate = (before != NULL && before->alternates != 0) || list->alternates != 0;

    if (old != NULL)
        lv_loop_reclaim.retire(old, item_free);
    if (before != NULL) /* no loop's thread when the broker begins: then it may be gone at once */
        lv_loop_reclaim.retire(before, list_free);
    if (v != NULL && has_alternate && !b->is_recovering)
        (void)!lv_policies_apply(v); /* what has no memory now is put right by the next change */
    if (v != NULL)
        lv_rules_changed(v);
}

/* ---- changes ---- */

static enum lv_err change(struct lv_broker *b, struct lv_vhost *v, struct lv_bytes component,
                          struct lv_bytes name, struct item *new)
{
    struct lv_bytes vhost = v != NULL ? v->name.key : lv_bytes(NULL, 0);
    struct item *old = find(load(b, vhost), component, name);
    struct lv_parameters *list;
    enum lv_err err;

    if (old == NULL && new == NULL)
        return LV_ENOTFOUND;
    err = list_new(load(b, vhost), old, new, &list);
    if (err == LV_OK)
        err = lv_meta_parameter(b, new != NULL, vhost, component, name,
                                new != NULL ? new->parameter.value : lv_bytes(NULL, 0));
    if (err != LV_OK) {
        list_free(list);
        return err;
    }
    publish(b, v, list, old);
    return LV_OK;
}

static enum lv_err put(struct lv_broker *b, struct lv_vhost *v, struct lv_bytes component,
                       struct lv_bytes name, const json_t *value, bool *is_new)
{
    struct lv_bytes vhost = v != NULL ? v->name.key : lv_bytes(NULL, 0);
    struct item *item;
    enum lv_err err = item_new(vhost, component, name, value, &item);

    if (err != LV_OK)
        return err;
    if (is_new != NULL)
        *is_new = find(load(b, vhost), component, name) == NULL;
    err = change(b, v, component, name, item);
    if (err != LV_OK)
        item_free(item);
    return err;
}

static enum lv_err put_limits(struct lv_broker *b, struct lv_bytes vhost, struct lv_bytes name,
                              const json_t *value, bool *is_new, char *why, size_t cap)
{
    const struct lv_vhost_record *have = lv_access_vhost(b->access, vhost);
    struct lv_vhost_record record;
    int64_t connections, queues;

    if (have == NULL)
        return LV_ENOTFOUND;
    enum lv_err err = lv_limits_parse(value, name, &connections, &queues, why, cap);
    if (err != LV_OK)
        return err;
    if (is_new != NULL)
        *is_new = have->max_connections == LV_NO_LIMIT && have->max_queues == LV_NO_LIMIT;
    record = *have;
    record.max_connections = connections;
    record.max_queues = queues;
    return lv_broker_put_vhost(b, &record, why, cap);
}

enum lv_err lv_parameter_put(struct lv_broker *b, struct lv_bytes vhost, struct lv_bytes component,
                             struct lv_bytes name, struct lv_bytes json, bool *is_new, char *why,
                             size_t cap)
{
    struct lv_vhost *v = vhost.len != 0 ? lv_vhost_find(b, vhost) : NULL;
    enum lv_err err;

    if (cap != 0)
        why[0] = '\0';
    if (vhost.len != 0 && v == NULL)
        return LV_ENOTFOUND;
    json_t *value = lv_json_parse(json, why, cap);
    if (value == NULL)
        return LV_EINVAL;
    if (vhost.len != 0 && lv_bytes_eq(component, LV_BYTES_LIT("vhost-limits"))) {
        err = put_limits(b, vhost, name, value, is_new, why, cap);
    } else {
        err = lv_parameter_check(component, name, value, why, cap);
        if (err == LV_OK)
            err = put(b, v, component, name, value, is_new);
    }
    json_decref(value);
    return err;
}

enum lv_err lv_broker_put_policy(struct lv_broker *b, enum lv_policy_kind kind,
                                 struct lv_bytes vhost, struct lv_bytes name, struct lv_bytes json,
                                 bool *is_new, char *why, size_t cap)
{
    if (vhost.len == 0)
        return LV_ENOTFOUND;
    return lv_parameter_put(b, vhost, lv_bytes_str(components[kind]), name, json, is_new, why, cap);
}

enum lv_err lv_broker_put_parameter(struct lv_broker *b, struct lv_bytes vhost,
                                    struct lv_bytes component, struct lv_bytes name,
                                    struct lv_bytes json, bool *is_new, char *why, size_t cap)
{
    if (vhost.len == 0)
        return LV_ENOTFOUND;
    if (policy_kind_of(component) != LV_POLICY_KINDS) {
        snprintf(why, cap, "policies may not be set using this method");
        return LV_EINVAL;
    }
    if (!is_known_component(component) && !lv_bytes_eq(component, LV_BYTES_LIT("vhost-limits"))) {
        snprintf(why, cap, "Validation failed\n\ncomponent %.*s not found\n",
                 LV_BYTES_FMT(component));
        return LV_EINVAL;
    }
    return lv_parameter_put(b, vhost, component, name, json, is_new, why, cap);
}

enum lv_err lv_broker_put_global(struct lv_broker *b, struct lv_bytes name, struct lv_bytes json,
                                 bool *is_new, char *why, size_t cap)
{
    return lv_parameter_put(b, lv_bytes(NULL, 0), lv_bytes(NULL, 0), name, json, is_new, why, cap);
}

static enum lv_err remove_from(struct lv_broker *b, struct lv_bytes vhost,
                               struct lv_bytes component, struct lv_bytes name)
{
    struct lv_vhost *v = vhost.len != 0 ? lv_vhost_find(b, vhost) : NULL;

    return vhost.len != 0 && v == NULL ? LV_ENOTFOUND : change(b, v, component, name, NULL);
}

enum lv_err lv_broker_remove_policy(struct lv_broker *b, enum lv_policy_kind kind,
                                    struct lv_bytes vhost, struct lv_bytes name)
{
    return vhost.len == 0 ? LV_ENOTFOUND
                          : remove_from(b, vhost, lv_bytes_str(components[kind]), name);
}

enum lv_err lv_broker_remove_parameter(struct lv_broker *b, struct lv_bytes vhost,
                                       struct lv_bytes component, struct lv_bytes name)
{
    const struct lv_vhost_record *have = lv_access_vhost(b->access, vhost);
    char why[1];

    if (have == NULL)
        return LV_ENOTFOUND;
    if (!lv_bytes_eq(component, LV_BYTES_LIT("vhost-limits")))
        return remove_from(b, vhost, component, name);
    if (have->max_connections == LV_NO_LIMIT && have->max_queues == LV_NO_LIMIT)
        return LV_ENOTFOUND;
    struct lv_vhost_record record = *have;
    record.max_connections = record.max_queues = LV_NO_LIMIT;
    return lv_broker_put_vhost(b, &record, why, sizeof(why));
}

enum lv_err lv_broker_remove_global(struct lv_broker *b, struct lv_bytes name)
{
    return remove_from(b, lv_bytes(NULL, 0), lv_bytes(NULL, 0), name);
}

enum lv_err lv_parameter_visit(struct lv_broker *b, const struct lv_bytes *vhost, bool is_put,
                               struct lv_bytes component, struct lv_bytes name,
                               struct lv_bytes value)
{
    struct lv_vhost *v = vhost->len != 0 ? lv_vhost_find(b, *vhost) : NULL;
    char why[LV_PARAMETER_WHY_MAX];
    enum lv_err err = LV_OK;

    if (vhost->len != 0 && v == NULL)
        return LV_OK;
    if (!is_put) {
        err = change(b, v, component, name, NULL);
        return err == LV_ENOMEM ? err : LV_OK;
    }
    json_t *parsed = lv_json_parse(value, why, sizeof(why));
    if (parsed == NULL)
        return LV_OK; /* what cannot be read has no effect */
    if (lv_parameter_check(component, name, parsed, why, sizeof(why)) == LV_OK)
        err = put(b, v, component, name, parsed, NULL);
    json_decref(parsed);
    return err == LV_ENOMEM ? err : LV_OK;
}

/* ---- what there is ---- */

const struct lv_policy *lv_policy_next(const struct lv_broker *b, enum lv_policy_kind kind,
                                       struct lv_bytes vhost, size_t *pos)
{
    const struct lv_parameters *p = load(b, vhost);

    return *pos < p->policies[kind] ? &ranked(p, kind)[(*pos)++]->policy : NULL;
}

const struct lv_policy *lv_policy_find(const struct lv_broker *b, enum lv_policy_kind kind,
                                       struct lv_bytes vhost, struct lv_bytes name)
{
    const struct item *item = find(load(b, vhost), lv_bytes_str(components[kind]), name);

    return item != NULL ? &item->policy : NULL;
}

static const struct lv_parameter *next(const struct lv_parameters *p, size_t *pos)
{
    return *pos < p->count ? &p->at[(*pos)++]->parameter : NULL;
}

const struct lv_parameter *lv_parameter_next(const struct lv_broker *b, struct lv_bytes vhost,
                                             size_t *pos)
{
    return vhost.len != 0 ? next(load(b, vhost), pos) : NULL;
}

const struct lv_parameter *lv_parameter_find(const struct lv_broker *b, struct lv_bytes vhost,
                                             struct lv_bytes component, struct lv_bytes name)
{
    return vhost.len != 0 ? (const void *)find(load(b, vhost), component, name) : NULL;
}

const struct lv_parameter *lv_global_next(const struct lv_broker *b, size_t *pos)
{
    return next(load(b, lv_bytes(NULL, 0)), pos);
}

const struct lv_parameter *lv_global_find(const struct lv_broker *b, struct lv_bytes name)
{
    return (const void *)find(load(b, lv_bytes(NULL, 0)), lv_bytes(NULL, 0), name);
}

bool lv_global_is_internal(struct lv_bytes name)
{
    return lv_bytes_has_prefix(name, LV_BYTES_LIT("internal"));
}

/* ---- what applies ---- */

static bool is_for_queue(const struct item *item, enum lv_queue_kind kind)
{
    static const enum lv_apply_to of_kind[LV_QUEUE_KINDS] = {
        [LV_QUEUE_CLASSIC] = LV_APPLY_CLASSIC_QUEUES,
        [LV_QUEUE_QUORUM] = LV_APPLY_QUORUM_QUEUES,
        [LV_QUEUE_STREAM] = LV_APPLY_STREAMS,
    };
    enum lv_apply_to to = item->policy.apply_to;

    return (to == LV_APPLY_ALL || to == LV_APPLY_QUEUES || to == of_kind[kind]) &&
           (item->queue_kinds & 1u << kind) != 0;
}

static bool is_for_exchange(const struct item *item, enum lv_queue_kind kind)
{
    (void)kind;
    return item->policy.apply_to == LV_APPLY_ALL || item->policy.apply_to == LV_APPLY_EXCHANGES;
}

static const struct item *first(const struct lv_parameters *p, enum lv_policy_kind policies,
                                struct lv_bytes name, enum lv_queue_kind kind,
                                bool (*is_for)(const struct item *, enum lv_queue_kind))
{
    struct item *const *at = ranked(p, policies);

    for (size_t i = 0; i < p->policies[policies]; i++)
        if (is_for(at[i], kind) && lv_pattern_match(at[i]->pattern, name))
            return at[i];
    return NULL;
}

static void match(const struct lv_parameters *p, struct lv_bytes name, enum lv_queue_kind kind,
                  bool (*is_for)(const struct item *, enum lv_queue_kind),
                  struct lv_policy_match *out)
{
    const struct item *user = first(p, LV_POLICY_USER, name, kind, is_for);
    const struct item *operators = first(p, LV_POLICY_OPERATOR, name, kind, is_for);

    out->policy = user != NULL ? &user->policy : NULL;
    out->operator_policy = operators != NULL ? &operators->policy : NULL;
}

void lv_policy_match_queue(const struct lv_broker *b, struct lv_bytes vhost, struct lv_bytes name,
                           enum lv_queue_kind kind, struct lv_policy_match *out)
{
    match(load(b, vhost), name, kind, is_for_queue, out);
}

void lv_policy_match_exchange(const struct lv_broker *b, struct lv_bytes vhost,
                              struct lv_bytes name, struct lv_policy_match *out)
{
    match(load(b, vhost), name, LV_QUEUE_CLASSIC, is_for_exchange, out);
}

/* Adds to `user` what the operator says. */
static bool merge(json_t *user, const json_t *operators)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)operators, key, v)
    {
        const json_t *mine = json_object_get(user, key);
        const json_t *won = mine != NULL ? lv_policy_merge(key, mine, v) : v;
        if (won != mine && json_object_set(user, key, v) != 0)
            return false;
    }
    return true;
}

enum lv_err lv_policy_effective(const struct lv_policy_match *match, struct lv_wr *out)
{
    const struct lv_policy *a = match->policy, *b = match->operator_policy;
    char why[LV_PARAMETER_WHY_MAX];

    if (a == NULL || b == NULL) {
        struct lv_bytes text = a != NULL   ? a->definition
                               : b != NULL ? b->definition
                                           : LV_BYTES_LIT("{}");
        lv_wr_bytes(out, text.ptr, text.len);
        return LV_OK;
    }
    json_t *user = lv_json_parse(a->definition, why, sizeof(why));
    json_t *operators = lv_json_parse(b->definition, why, sizeof(why));
    bool is_merged = user != NULL && operators != NULL && merge(user, operators);
    if (is_merged)
        lv_json_write(out, user);
    json_decref(user);
    json_decref(operators);
    return is_merged ? LV_OK : LV_ENOMEM;
}

/* ---- what has an effect: the alternate exchange ---- */

enum lv_err lv_policies_apply_exchange(struct lv_vhost *v, struct lv_exchange *x)
{
    const struct lv_parameters *p = atomic_load_explicit(&v->parameters, memory_order_relaxed);
    const struct item *item = NULL;

    if (p != NULL && p->alternates != 0)
        item = first(p, LV_POLICY_USER, x->spec.name, LV_QUEUE_CLASSIC, is_for_exchange);
    bool has = item != NULL && item->has_alternate && !x->is_default;
    return lv_router_set_alternate(&v->router, x, has, has ? item->alternate : lv_bytes(NULL, 0));
}

enum lv_err lv_policies_apply(struct lv_vhost *v)
{
    struct lv_ptrmap_entry *e;
    enum lv_err err = LV_OK;
    size_t pos = 0;

    while (err == LV_OK && (e = lv_ptrmap_next(&v->router.exchanges, &pos)) != NULL)
        err = lv_policies_apply_exchange(v, (struct lv_exchange *)e);
    return err;
}
