/* Definitions, compared with what is there, and applied. The registry's. */
#include <stdio.h>

#include "base/mem.h"
#include "broker/access.h"
#include "broker/definitions_priv.h"
#include "os/os.h"

/* What an item meets. */
struct step {
    struct lv_broker *b;
    struct lv_definitions *d;
    struct lv_item *item;
    char why[LV_PARAMETER_WHY_MAX];
};

/* Is it applied now, since it is not there as it should be? */
static bool is_due(const struct step *s, bool is_there, bool is_same)
{
    s->item->outcome = !is_there ? LV_IMPORT_NEW : is_same ? LV_IMPORT_SAME : LV_IMPORT_CHANGED;
    return s->d->is_applying && !is_same;
}

static void ignore(struct step *s, const char *note)
{
    s->item->outcome = LV_IMPORT_IGNORED;
    s->item->note = note;
}

static enum lv_err refuse(struct step *s, const char *what, struct lv_bytes name)
{
    (void)snprintf(s->why, sizeof(s->why), "there is no %s '%.*s'", what, LV_BYTES_FMT(name));
    return LV_EINVAL;
}

static bool has_vhost(const struct step *s, struct lv_bytes name)
{
    return lv_vhost_find(s->b, name) != NULL ||
           lv_definitions_find(s->d, LV_LIST_VHOSTS, lv_bytes(NULL, 0), name) != NULL;
}

static bool has_user(const struct step *s, struct lv_bytes name)
{
    return lv_access_user(s->b->access, name) != NULL ||
           lv_definitions_find(s->d, LV_LIST_USERS, lv_bytes(NULL, 0), name) != NULL;
}

/* ---- users and virtual hosts ---- */

static bool are_same_tags(const struct lv_tags *a, const struct lv_tags *b)
{
    bool is_same = a->count == b->count;

    for (uint32_t i = 0; is_same && i < a->count; i++)
        is_same = lv_bytes_eq(a->at[i], b->at[i]);
    return is_same;
}

static enum lv_err step_user(struct step *s)
{
    struct lv_user_record u = s->item->user.record;
    const struct lv_user_record *have = lv_access_user(s->b->access, u.name);

    if (have != NULL && !s->item->user.has_limits) {
        u.max_connections = have->max_connections;
        u.max_channels = have->max_channels;
    }
    bool has_hash =
        have != NULL && have->algorithm == u.algorithm && lv_bytes_eq(have->hash, u.hash);
    bool is_same = has_hash && are_same_tags(&have->tags, &u.tags) &&
                   have->max_connections == u.max_connections &&
                   have->max_channels == u.max_channels;
    if (!is_due(s, have != NULL, is_same))
        return LV_OK;
    if (has_hash)
        u.credential = have->credential;
    else if (lv_os_random(&u.credential, sizeof(u.credential)) != LV_OK)
        return LV_EIO;
    return lv_broker_put_user(s->b, &u, s->why, sizeof(s->why));
}

static enum lv_err step_vhost(struct step *s)
{
    const struct lv_item *item = s->item;
    const struct lv_vhost_record *wish = &item->vhost_.record;
    const struct lv_vhost_record *have = lv_access_vhost(s->b->access, item->name);
    struct lv_vhost_record v = *wish;

    if (have != NULL) { /* what the file does not speak of stays */
        v = *have;
        v.description = item->vhost_.has_description ? wish->description : have->description;
        v.tags = item->vhost_.has_tags ? wish->tags : have->tags;
        v.default_queue_type =
            item->vhost_.has_type ? wish->default_queue_type : have->default_queue_type;
        v.is_protected = item->vhost_.has_protection ? wish->is_protected : have->is_protected;
        if (item->vhost_.has_limits) {
            v.max_connections = wish->max_connections;
            v.max_queues = wish->max_queues;
        }
    }
    bool is_same = have != NULL && lv_bytes_eq(have->description, v.description) &&
                   are_same_tags(&have->tags, &v.tags) &&
                   lv_bytes_eq(have->default_queue_type, v.default_queue_type) &&
                   have->is_protected == v.is_protected &&
                   have->max_connections == v.max_connections && have->max_queues == v.max_queues;
    if (!is_due(s, have != NULL, is_same))
        return LV_OK;
    return lv_broker_put_vhost(s->b, &v, s->why, sizeof(s->why));
}

/* ---- permissions ---- */

static enum lv_err step_permission(struct step *s)
{
    const struct lv_permission_record *p = &s->item->permission;
    const struct lv_permission_record *have = lv_access_permission(s->b->access, p->user, p->vhost);

    if (!has_user(s, p->user))
        return refuse(s, "user", p->user);
    if (!has_vhost(s, p->vhost))
        return refuse(s, "vhost", p->vhost);
    bool is_same = have != NULL && lv_bytes_eq(have->configure, p->configure) &&
                   lv_bytes_eq(have->write, p->write) && lv_bytes_eq(have->read, p->read);
    return is_due(s, have != NULL, is_same)
               ? lv_broker_put_permission(s->b, p, s->why, sizeof(s->why))
               : LV_OK;
}

static enum lv_err step_topic_permission(struct step *s)
{
    const struct lv_topic_permission_record *p = &s->item->topic_permission;
    const struct lv_topic_permission_record *have =
        lv_access_topic_permission(s->b->access, p->user, p->vhost, p->exchange);

    if (!has_user(s, p->user))
        return refuse(s, "user", p->user);
    if (!has_vhost(s, p->vhost))
        return refuse(s, "vhost", p->vhost);
    bool is_same =
        have != NULL && lv_bytes_eq(have->write, p->write) && lv_bytes_eq(have->read, p->read);
    return is_due(s, have != NULL, is_same)
               ? lv_broker_put_topic_permission(s->b, p, s->why, sizeof(s->why))
               : LV_OK;
}

/* ---- parameters ---- */

/* The same JSON, in whatever order its keys are. */
static bool are_same_texts(struct lv_bytes a, struct lv_bytes b)
{
    char why[LV_PARAMETER_WHY_MAX];

    if (lv_bytes_eq(a, b))
        return true;
    json_t *x = lv_json_parse(a, why, sizeof(why)), *y = lv_json_parse(b, why, sizeof(why));
    bool is_same = x != NULL && y != NULL && json_equal(x, y) != 0;
    json_decref(x);
    json_decref(y);
    return is_same;
}

static enum lv_err step_limits(struct step *s)
{
    const struct lv_item *item = s->item;
    const struct lv_vhost_record *have = lv_access_vhost(s->b->access, item->vhost);
    int64_t connections, queues;
    json_t *value = lv_json_parse(item->parameter.value, s->why, sizeof(s->why));

    if (value == NULL)
        return LV_ENOMEM;
    enum lv_err err =
        lv_limits_parse(value, item->name, &connections, &queues, s->why, sizeof(s->why));
    json_decref(value);
    bool has_any =
        have != NULL && (have->max_connections != LV_NO_LIMIT || have->max_queues != LV_NO_LIMIT);
    bool is_same =
        have != NULL && have->max_connections == connections && have->max_queues == queues;
    if (err != LV_OK || !is_due(s, has_any || is_same, is_same))
        return err;
    return lv_parameter_put(s->b, item->vhost, item->parameter.component, item->name,
                            item->parameter.value, NULL, s->why, sizeof(s->why));
}

static enum lv_err step_parameter(struct step *s)
{
    const struct lv_item *item = s->item;
    bool is_global = item->list == LV_LIST_GLOBALS;
    const struct lv_parameter *have =
        is_global ? lv_global_find(s->b, item->name)
                  : lv_parameter_find(s->b, item->vhost, item->parameter.component, item->name);

    if (!is_global && !has_vhost(s, item->vhost))
        return refuse(s, "vhost", item->vhost);
    if (lv_bytes_eq(item->parameter.component, LV_BYTES_LIT("vhost-limits")))
        return step_limits(s);
    bool is_same = have != NULL && are_same_texts(have->value, item->parameter.value);
    if (!is_due(s, have != NULL, is_same))
        return LV_OK;
    return lv_parameter_put(s->b, item->vhost, item->parameter.component, item->name,
                            item->parameter.value, NULL, s->why, sizeof(s->why));
}

/* ---- exchanges, queues, bindings ---- */

/* The same fields, in whatever order and widths. */
static bool are_same_tables(struct lv_bytes a, struct lv_bytes b)
{
    struct lv_rd x = lv_rd(a), y = lv_rd(b);
    struct lv_field f;
    struct lv_value v;
    size_t count = 0;

    while (lv_table_next(&x, &f)) {
        count++;
        if (!lv_table_find(b, f.name, &v) || !lv_value_eq(&f.value, &v))
            return false;
    }
    while (lv_table_next(&y, &f))
        count--;
    return count == 0;
}

static enum lv_err no_vhost_yet(struct step *s)
{
    if (!has_vhost(s, s->item->vhost))
        return refuse(s, "vhost", s->item->vhost);
    (void)is_due(s, false, false);
    return LV_OK;
}

static enum lv_err step_exchange(struct step *s)
{
    struct lv_vhost *v = lv_vhost_find(s->b, s->item->vhost);
    const struct lv_exchange_spec *wish = &s->item->exchange;

    if (v == NULL)
        return no_vhost_yet(s);
    const struct lv_exchange *have = lv_router_exchange(&v->router, wish->name);
    if (have == NULL)
        return is_due(s, false, false) ? lv_registry_add_exchange(s->b, v, wish) : LV_OK;
    (void)is_due(s, true, true);
    if (have->spec.type != wish->type || have->spec.durable != wish->durable ||
        have->spec.auto_delete != wish->auto_delete || have->spec.internal != wish->internal ||
        !are_same_tables(have->spec.arguments, wish->arguments))
        ignore(s, "it exists with other properties, which cannot change");
    return LV_OK;
}

static enum lv_err step_queue(struct step *s)
{
    struct lv_vhost *v = lv_vhost_find(s->b, s->item->vhost);
    struct lv_item *item = s->item;

    if (v == NULL)
        return no_vhost_yet(s);
    const struct lv_queue_entry *have = (const void *)lv_router_queue(&v->router, item->name);
    if (have == NULL) {
        if (!is_due(s, false, false))
            return LV_OK;
        struct lv_queue_entry *entry = lv_queue_entry_new(v, item->name, item->queue.arguments);
        if (entry == NULL)
            return LV_ENOMEM;
        entry->durable = item->queue.durable;
        entry->auto_delete = item->queue.auto_delete;
        enum lv_err err = lv_registry_add_queue(s->b, v, entry);
        if (err != LV_OK)
            lv_queue_entry_free(entry);
        return err;
    }
    (void)is_due(s, true, true);
    if (have->durable != item->queue.durable || have->auto_delete != item->queue.auto_delete ||
        !are_same_tables(have->arguments, item->queue.arguments))
        ignore(s, "it exists with other properties, which cannot change");
    return LV_OK;
}

/* Is there such a thing, or will there be one? */
static bool has_end(const struct step *s, const struct lv_vhost *v, bool is_exchange,
                    struct lv_bytes name)
{
    bool is_there = v != NULL && (is_exchange ? lv_router_exchange(&v->router, name) != NULL
                                              : lv_router_queue(&v->router, name) != NULL);

    return is_there || lv_bytes_has_prefix(name, LV_BYTES_LIT("amq.")) ||
           lv_definitions_find(s->d, is_exchange ? LV_LIST_EXCHANGES : LV_LIST_QUEUES,
                               s->item->vhost, name) != NULL;
}

static enum lv_err step_binding(struct step *s)
{
    struct lv_item *item = s->item;
    struct lv_vhost *v = lv_vhost_find(s->b, item->vhost);
    bool to_exchange = item->binding.to_exchange;
    struct lv_bytes key = item->binding.key, arguments = item->binding.arguments;

    if (!has_vhost(s, item->vhost))
        return refuse(s, "vhost", item->vhost);
    struct lv_exchange *source =
        v != NULL ? lv_router_exchange(&v->router, item->binding.source) : NULL;
    struct lv_exchange *x =
        v != NULL && to_exchange ? lv_router_exchange(&v->router, item->name) : NULL;
    struct lv_dest *dest = x != NULL                   ? &x->dest
                           : v != NULL && !to_exchange ? lv_router_queue(&v->router, item->name)
                                                       : NULL;
    if (source == NULL || dest == NULL) {
        if (!s->d->is_applying && has_end(s, v, true, item->binding.source) &&
            has_end(s, v, to_exchange, item->name))
            (void)is_due(s, false, false);
        else /* RabbitMQ's exports may have such */
            ignore(s, "its source or its destination is not there");
        return LV_OK;
    }
    if (!is_due(s, lv_router_has_binding(&v->router, source, dest, key, arguments),
                lv_router_has_binding(&v->router, source, dest, key, arguments)))
        return LV_OK;
    return lv_registry_bind(s->b, v, source, dest, key, arguments);
}

/* ---- steps ---- */

static enum lv_err step_item(struct step *s)
{
    if (s->item->is_out) {
        s->item->outcome = LV_IMPORT_IGNORED;
        return LV_OK;
    }
    s->item->note = NULL;
    switch (s->item->list) {
    case LV_LIST_USERS:
        return step_user(s);
    case LV_LIST_VHOSTS:
        return step_vhost(s);
    case LV_LIST_PERMISSIONS:
        return step_permission(s);
    case LV_LIST_TOPIC_PERMISSIONS:
        return step_topic_permission(s);
    case LV_LIST_GLOBALS:
    case LV_LIST_POLICIES:
    case LV_LIST_PARAMETERS:
        return step_parameter(s);
    case LV_LIST_EXCHANGES:
        return step_exchange(s);
    case LV_LIST_QUEUES:
        return step_queue(s);
    case LV_LIST_BINDINGS:
        return step_binding(s);
    case LV_LIST_COUNT:
        break;
    }
    return LV_OK;
}

void lv_definitions_begin(struct lv_definitions *d, bool is_dry)
{
    d->is_dry = is_dry;
    d->is_applying = false;
    d->at = 0;
    atomic_store(&d->done, 0);
    atomic_store(&d->total, (uint64_t)d->count * (is_dry ? 1 : 2));
}

void lv_definitions_progress(const struct lv_definitions *d, uint64_t *done, uint64_t *total)
{
    *done = atomic_load(&d->done);
    *total = atomic_load(&d->total);
}

enum lv_err lv_definitions_step(struct lv_broker *b, struct lv_definitions *d, size_t max,
                                char *why, size_t cap)
{
    struct step s = { .b = b, .d = d };

    if (cap != 0)
        why[0] = '\0';
    if (d->vhost.len != 0 && lv_vhost_find(b, d->vhost) == NULL)
        return LV_ENOTFOUND;
    while (max-- != 0 && d->at < d->count) {
        s.item = d->items[d->at];
        enum lv_outcome_of_import before = s.item->outcome;
        enum lv_err err = step_item(&s);
        if (err != LV_OK) {
            lv_definitions_blame(d, s.item, why, cap, s.why[0] != '\0' ? s.why : lv_err_text(err));
            return err == LV_ENOTFOUND ? LV_EINVAL : err;
        }
        if (d->is_applying && s.item->outcome == LV_IMPORT_SAME)
            s.item->outcome = before; /* a list may name a thing twice */
        d->at++;
        atomic_fetch_add(&d->done, 1);
    }
    if (d->at < d->count)
        return LV_EAGAIN;
    if (d->is_dry || d->is_applying)
        return LV_OK;
    d->is_applying = true;
    d->at = 0;
    return d->count != 0 ? LV_EAGAIN : LV_OK;
}
