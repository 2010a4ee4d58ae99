/* Exchanges and bindings: all of it is the registry's. */
#include "base/mem.h"
#include "base/table.h"
#include "broker/policies_priv.h"
#include "config/config.h"

/* The answer waits until what was done is stable. */
static void finish_changed(struct lv_shard *registry, struct lv_call *call)
{
    call->end = call->failure.code == 0 ? registry->broker->topology_end : 0;
    call->is_topology = true;
    lv_call_finish_stable(registry, call);
}

/* ---- declare ---- */

/* The predeclared ones count too (RabbitMQ). */
static bool is_one_too_many(struct lv_broker *b, struct lv_call *call)
{
    const struct lv_ptrmap_entry *e;
    uint64_t sum = 0;
    size_t pos = 0;

    while ((e = lv_ptrmap_next(&b->vhosts, &pos)) != NULL)
        sum += ((const struct lv_vhost *)e)->router.exchanges.count;
    if (sum < b->settings->exchange_max)
        return false;
    lv_call_fail(call, 406, "cannot declare exchange '%.*s': exchange limit of %u is reached",
                 LV_BYTES_FMT(call->name), b->settings->exchange_max);
    return true;
}

enum lv_err lv_registry_add_exchange(struct lv_broker *b, struct lv_vhost *v,
                                     const struct lv_exchange_spec *spec)
{
    struct lv_exchange *x;
    enum lv_err err = lv_meta_put_exchange(b, v, spec);

    if (err == LV_OK)
        err = lv_router_declare(&v->router, spec, &x);
    return err == LV_OK ? lv_policies_apply_exchange(v, x) : err;
}

static void declare_at_registry(struct lv_shard *registry, struct lv_call *call)
{
    struct lv_router *router = &call->vhost->router;
    struct lv_exchange *x = lv_router_exchange(router, call->name);
    struct lv_value alternate;
    char rs[LV_RS_MAX];

    if (x != NULL) {
        lv_check_exchange_equivalence(call, x);
        lv_call_finish(registry, call);
        return;
    }
    lv_rs(rs, sizeof(rs), "exchange", call->name, call->vhost);
    struct lv_exchange_spec spec = {
        .name = call->name,
        .type = call->type,
        .durable = call->durable,
        .auto_delete = call->auto_delete,
        .internal = call->internal,
        .arguments = call->arguments,
    };
    struct lv_operands on = { .name = call->name };
    if (lv_call_may(call, LV_OP_EXCHANGE_NEW, &on) && !is_one_too_many(registry->broker, call) &&
        lv_table_find(call->arguments, LV_BYTES_LIT("alternate-exchange"), &alternate)) {
        spec.has_alternate = alternate.kind == LV_KIND_STRING;
        spec.alternate = alternate.bytes;
        if (!spec.has_alternate)
            lv_call_fail(call, 406, "invalid type '%s' for arg 'alternate-exchange' in %s",
                         lv_value_type_name(&alternate), rs);
        on.other = spec.alternate;
        if (spec.has_alternate)
            (void)lv_call_may(call, LV_OP_EXCHANGE_NEW_ALTERNATE, &on);
    }
    if (call->failure.code == 0) {
        enum lv_err err = lv_registry_add_exchange(registry->broker, call->vhost, &spec);
        if (err != LV_OK)
            lv_call_fail(call, 541, "%s", lv_err_text(err));
    }
    if (spec.durable)
        finish_changed(registry, call);
    else
        lv_call_finish(registry, call);
}

void lv_exchange_declare(struct lv_call *call)
{
    struct lv_shard *shard = call->session->shard;
    char rs[LV_RS_MAX];

    if (call->passive) {
        if (lv_router_exchange(&call->vhost->router, call->name) == NULL)
            lv_call_fail(call, 404, "no %s",
                         lv_rs(rs, sizeof(rs), "exchange", call->name, call->vhost));
        lv_call_finish(shard, call);
    } else {
        lv_call_go(shard, call, LV_REGISTRY_LOOP, declare_at_registry);
    }
}

/* ---- delete ---- */

static void delete_at_registry(struct lv_shard *registry, struct lv_call *call)
{
    struct lv_router *router = &call->vhost->router;
    struct lv_exchange *x = lv_router_exchange(router, call->name);
    char rs[LV_RS_MAX];

    if (x != NULL && call->if_unused && x->bindings_out_count != 0)
        lv_call_fail(call, 406, "%s in use",
                     lv_rs(rs, sizeof(rs), "exchange", call->name, call->vhost));
    else if (x != NULL)
        lv_router_delete(router, x);
    finish_changed(registry, call);
}

void lv_exchange_delete(struct lv_call *call)
{
    lv_call_go(call->session->shard, call, LV_REGISTRY_LOOP, delete_at_registry);
}

/* ---- bind and unbind ---- */

static struct lv_dest *binding_destination(struct lv_call *call)
{
    char rs[LV_RS_MAX];

    if (call->to_exchange) {
        struct lv_exchange *x = lv_router_exchange(&call->vhost->router, call->other);
        if (x == NULL)
            lv_call_fail(call, 404, "no %s",
                         lv_rs(rs, sizeof(rs), "exchange", call->other, call->vhost));
        return x != NULL ? &x->dest : NULL;
    }
    struct lv_bytes source = call->name;
    call->name = call->other;
    struct lv_queue_entry *entry = lv_call_find_queue(call);
    call->name = source;
    return entry != NULL ? &entry->dest : NULL;
}

static struct lv_exchange *binding_source(struct lv_call *call)
{
    struct lv_exchange *x = lv_router_exchange(&call->vhost->router, call->name);
    char rs[LV_RS_MAX];

    if (x == NULL)
        lv_call_fail(call, 404, "no %s", lv_rs(rs, sizeof(rs), "exchange", call->name, call->vhost));
    return x;
}

static void fail_match(struct lv_call *call)
{
    struct lv_value v = { 0 };
    char value[300];

    if (!lv_table_find(call->arguments, LV_BYTES_LIT("x-match"), &v))
        lv_call_fail(call, 406, "invalid binding arguments");
    else if (v.kind == LV_KIND_STRING)
        lv_call_fail(call, 406,
                     "Invalid x-match field value <<\"%.*s\">>; expected all, any, all-with-x, or "
                     "any-with-x",
                     LV_BYTES_FMT(v.bytes));
    else
        lv_call_fail(call, 406, "Invalid x-match field type %s (value %s); expected longstr",
                     lv_value_type_name(&v), lv_print_value(&v, value, sizeof(value)));
}

enum lv_err lv_registry_bind(struct lv_broker *b, struct lv_vhost *v, struct lv_exchange *source,
                             struct lv_dest *dest, struct lv_bytes key, struct lv_bytes arguments)
{
    enum lv_err err = lv_meta_binding(b, v, true, source, dest, key, arguments);

    return err == LV_OK ? lv_router_bind(&v->router, source, dest, key, arguments) : err;
}

/* RabbitMQ 4.3.5: more than two "#" in a topic pattern are refused. (Here matching would stay linear.) */
#define TOPIC_HASHES_MAX 2u

static bool has_too_many_hashes(struct lv_call *call, const struct lv_exchange *x)
{
    unsigned hashes = 0;
    size_t start = 0;

    if (x->spec.type != LV_EXCHANGE_TOPIC)
        return false;
    for (size_t i = 0; i <= call->key.len; i++) {
        if (i < call->key.len && call->key.ptr[i] != '.')
            continue;
        hashes += i - start == 1 && call->key.ptr[start] == '#';
        start = i + 1;
    }
    if (hashes > TOPIC_HASHES_MAX)
        lv_call_fail(call, 406,
                     "Topic binding key '%.*s' uses %u '#' wildcards, at most %u are allowed",
                     LV_BYTES_FMT(call->key), hashes, TOPIC_HASHES_MAX);
    return hashes > TOPIC_HASHES_MAX;
}

static void bind_at_registry(struct lv_shard *registry, struct lv_call *call)
{
    struct lv_exchange *x = binding_source(call);
    struct lv_dest *dest = x != NULL ? binding_destination(call) : NULL;

    if (dest != NULL && !has_too_many_hashes(call, x)) {
        enum lv_err err =
            lv_registry_bind(registry->broker, call->vhost, x, dest, call->key, call->arguments);
        if (err == LV_EINVAL)
            fail_match(call);
        else if (err != LV_OK)
            lv_call_fail(call, 541, "%s", lv_err_text(err));
    }
    finish_changed(registry, call);
}

/* Missing binding, source or destination: all the same, there is nothing to unbind (RabbitMQ since 3.2). */
static void unbind_at_registry(struct lv_shard *registry, struct lv_call *call)
{
    struct lv_exchange *x = binding_source(call);
    struct lv_dest *dest = x != NULL ? binding_destination(call) : NULL;

    if (dest != NULL && lv_meta_binding(registry->broker, call->vhost, false, x, dest, call->key,
                                        call->arguments) != LV_OK)
        lv_call_fail(call, 541, "out of memory");
    else if (dest != NULL && lv_router_unbind(&call->vhost->router, x, dest, call->key,
                                              call->arguments) == LV_ENOMEM)
        lv_call_fail(call, 541, "out of memory");
    if (call->failure.code == 404)
        call->failure.code = 0;
    finish_changed(registry, call);
}

void lv_bind(struct lv_call *call)
{
    lv_call_go(call->session->shard, call, LV_REGISTRY_LOOP, bind_at_registry);
}

void lv_unbind(struct lv_call *call)
{
    lv_call_go(call->session->shard, call, LV_REGISTRY_LOOP, unbind_at_registry);
}
