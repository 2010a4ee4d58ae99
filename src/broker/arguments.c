/* What queue.declare and exchange.declare check: values of known arguments, and equality with what exists.
 * The texts are RabbitMQ's (rabbit_amqqueue, rabbit_misc), because that is what users search for. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/table.h"
#include "broker/broker_priv.h"
#include "config/config.h"

#define DURATION_MAX_MS INT64_C(315360000000) /* ten years */

enum check {
    ANY,
    NATURAL,
    NATURAL_MS,
    POSITIVE_MS,
    STRING,
    BOOLEAN,
    PRIORITY,
    OVERFLOW,
    TYPE,
    VERSION
};

enum { CLASSIC = 1, QUORUM = 2 };

/* Known arguments: how a value is checked, and the queue types that take it. */
static const struct argument {
    const char *name;
    enum check check;
    int types;
} known[] = {
    { "x-queue-type", TYPE, CLASSIC | QUORUM },
    { "x-expires", POSITIVE_MS, CLASSIC | QUORUM },
    { "x-message-ttl", NATURAL_MS, CLASSIC | QUORUM },
    { "x-dead-letter-exchange", STRING, CLASSIC | QUORUM },
    { "x-dead-letter-routing-key", STRING, CLASSIC | QUORUM },
    { "x-dead-letter-strategy", ANY, QUORUM },
    { "x-max-length", NATURAL, CLASSIC | QUORUM },
    { "x-max-length-bytes", NATURAL, CLASSIC | QUORUM },
    { "x-max-in-memory-length", NATURAL, QUORUM },
    { "x-max-in-memory-bytes", NATURAL, QUORUM },
    { "x-max-priority", PRIORITY, CLASSIC | QUORUM }, /* on quorum queues: accepted and ignored */
    { "x-overflow", OVERFLOW, CLASSIC | QUORUM },
    { "x-single-active-consumer", BOOLEAN, CLASSIC | QUORUM },
    { "x-queue-leader-locator", STRING, CLASSIC | QUORUM },
    { "x-queue-master-locator", STRING, CLASSIC },
    { "x-queue-mode", ANY, CLASSIC },
    { "x-queue-version", VERSION, CLASSIC },
    { "x-delivery-limit", ANY, QUORUM },
    { "x-quorum-initial-group-size", NATURAL, QUORUM },
    { "x-consumer-timeout", NATURAL_MS, QUORUM },
};

static void describe_arg(const struct lv_call *call, const char *name, char *out, size_t cap)
{
    char rs[LV_RS_MAX];

    snprintf(out, cap, "invalid arg '%s' for %s", name,
             lv_rs(rs, sizeof(rs), "queue", call->name, call->vhost));
}

static void fail_arg(struct lv_call *call, const char *name, const char *reason)
{
    char what[LV_RS_MAX];

    describe_arg(call, name, what, sizeof(what));
    lv_call_fail(call, 406, "%s: %s", what, reason);
}

static void fail_term(struct lv_call *call, const char *name, const char *term, int64_t n)
{
    char reason[64];

    snprintf(reason, sizeof(reason), "{%s,%" PRId64 "}", term, n);
    fail_arg(call, name, reason);
}

static void check_integer(struct lv_call *call, const struct argument *a, const struct lv_value *v)
{
    if (v->kind != LV_KIND_INT) {
        char reason[64];
        snprintf(reason, sizeof(reason), "\"expected integer, got %s\"", lv_value_type_name(v));
        fail_arg(call, a->name, reason);
    } else if (v->i < 0) {
        fail_term(call, a->name, "value_negative", v->i);
    } else if (v->i == 0 && a->check == POSITIVE_MS) {
        fail_term(call, a->name, "value_zero", 0);
    } else if (v->i > DURATION_MAX_MS && (a->check == POSITIVE_MS || a->check == NATURAL_MS)) {
        fail_term(call, a->name, "value_too_large", v->i);
    } else if (v->i > 255 && a->check == PRIORITY) {
        fail_term(call, a->name, "max_value_exceeded", v->i);
    }
}

static bool is_one_of(struct lv_bytes b, const char *const *texts)
{
    for (; *texts != NULL; texts++)
        if (lv_bytes_eq(b, lv_bytes_str(*texts)))
            return true;
    return false;
}

static void check_string(struct lv_call *call, const struct argument *a, const struct lv_value *v)
{
    static const char *const overflows[] = { "drop-head", "reject-publish", "reject-publish-dlx",
                                             NULL };
    char rs[LV_RS_MAX], reason[LV_RS_MAX];

    if (v->kind == LV_KIND_STRING) {
        if (a->check == OVERFLOW && !is_one_of(v->bytes, overflows))
            fail_arg(call, a->name, "invalid_overflow");
        return;
    }
    if (strcmp(a->name, "x-dead-letter-exchange") == 0) {
        lv_call_fail(call, 406, "invalid type '%s' for arg '%s' in %s", lv_value_type_name(v),
                     a->name, lv_rs(rs, sizeof(rs), "queue", call->name, call->vhost));
        return;
    }
    snprintf(reason, sizeof(reason), "{unacceptable_type,%s}", lv_value_type_name(v));
    fail_arg(call, a->name, reason);
}

static void check_value(struct lv_call *call, const struct argument *a, const struct lv_value *v)
{
    char reason[LV_RS_MAX];

    switch (a->check) {
    case NATURAL:
    case NATURAL_MS:
    case POSITIVE_MS:
    case PRIORITY:
        check_integer(call, a, v);
        break;
    case STRING:
    case OVERFLOW:
        check_string(call, a, v);
        break;
    case BOOLEAN:
        if (v->kind != LV_KIND_BOOL) {
            snprintf(reason, sizeof(reason), "{unacceptable_type,%s}", lv_value_type_name(v));
            fail_arg(call, a->name, reason);
        }
        break;
    case VERSION:
        if (v->kind != LV_KIND_INT || v->i != 2) {
            snprintf(reason, sizeof(reason), "\"unsupported queue version '%" PRId64 "'\"", v->i);
            fail_arg(call, a->name, reason);
        }
        break;
    case TYPE:
    case ANY:
        break;
    }
}

/* RabbitMQ's: a quorum queue or stream is durable, not exclusive and not auto-delete; where it cannot be, it is a classic
 * queue. Neither is a queue that the broker names. */
void lv_add_default_type(struct lv_call *call)
{
    static const char name[] = "x-queue-type";
    const struct lv_vhost_record *record =
        lv_access_vhost(call->broker->access, call->vhost->name.key);
    struct lv_bytes type = lv_bytes_str(call->broker->settings->default_queue_type);
    struct lv_value v;

    if (record != NULL && record->default_queue_type.len != 0)
        type = record->default_queue_type;
    if (lv_bytes_eq(type, LV_BYTES_LIT("classic")) || call->passive || !call->durable ||
        call->exclusive || call->auto_delete || call->name.ptr == (const uint8_t *)call->name_buf ||
        lv_table_find(call->arguments, lv_bytes_str(name), &v))
        return;
    size_t room = call->arguments.len + sizeof(name) + 5 + type.len;
    call->own = lv_mem_alloc(room, LV_TAG_BROKER);
    if (call->own == NULL) {
        lv_call_fail(call, 541, "out of memory");
        return;
    }
    struct lv_wr w = lv_wr(call->own, room);
    lv_wr_bytes(&w, call->arguments.ptr, call->arguments.len);
    lv_table_put_str(&w, name, type);
    LV_ASSERT(lv_wr_ok(&w));
    call->arguments = lv_bytes(call->own, w.used);
}

/* The queue type asked for; 0 after a failure. */
static int queue_type(struct lv_call *call)
{
    char reason[LV_RS_MAX];
    struct lv_value v;

    if (!lv_table_find(call->arguments, LV_BYTES_LIT("x-queue-type"), &v))
        return CLASSIC;
    if (v.kind != LV_KIND_STRING) {
        snprintf(reason, sizeof(reason), "{unacceptable_type,%s}", lv_value_type_name(&v));
        fail_arg(call, "x-queue-type", reason);
        return 0;
    }
    if (v.bytes.len == 0 || lv_bytes_eq(v.bytes, LV_BYTES_LIT("classic")) ||
        lv_bytes_eq(v.bytes, LV_BYTES_LIT("undefined")))
        return CLASSIC;
    if (lv_bytes_eq(v.bytes, LV_BYTES_LIT("quorum")))
        return QUORUM;
    snprintf(reason, sizeof(reason), "\"unsupported queue type '%.*s'\"", LV_BYTES_FMT(v.bytes));
    fail_arg(call, "x-queue-type", reason);
    return 0;
}

static const struct argument *find_known(struct lv_bytes name)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(known); i++)
        if (lv_bytes_eq(name, lv_bytes_str(known[i].name)))
            return &known[i];
    return NULL;
}

static void check_quorum_flags(struct lv_call *call)
{
    const char *property = call->exclusive     ? "exclusive-owner"
                           : call->auto_delete ? "auto-delete"
                           : !call->durable    ? "non-durable"
                                               : NULL;
    char rs[LV_RS_MAX];

    lv_rs(rs, sizeof(rs), "queue", call->name, call->vhost);
    if (call->name.ptr == (const uint8_t *)call->name_buf)
        lv_call_fail(call, 406, "Cannot declare a server-named queue for type rabbit_quorum_queue");
    else if (property != NULL)
        lv_call_fail(call, 406, "invalid property '%s' for %s", property, rs);
}

void lv_check_queue_arguments(struct lv_call *call)
{
    int type = queue_type(call);
    struct lv_rd rd = lv_rd(call->arguments);
    struct lv_field f;
    struct lv_value v;

    while (call->failure.code == 0 && lv_table_next(&rd, &f)) {
        const struct argument *a = find_known(f.name);
        if (a == NULL)
            continue; /* kept and never looked at */
        if ((a->types & type) == 0) {
            char what[LV_RS_MAX];
            describe_arg(call, a->name, what, sizeof(what));
            lv_call_fail(call, 406, "%s of queue type rabbit_%s_queue", what,
                         type == QUORUM ? "quorum" : "classic");
        } else {
            check_value(call, a, &f.value);
        }
    }
    if (lv_table_find(call->arguments, LV_BYTES_LIT("x-dead-letter-routing-key"), &v) &&
        !lv_table_find(call->arguments, LV_BYTES_LIT("x-dead-letter-exchange"), &v))
        fail_arg(call, "x-dead-letter-routing-key", "routing_key_but_no_dlx_defined");
    if (type == QUORUM)
        check_quorum_flags(call);
}

/* ---- equivalence ---- */

static void require_bool(struct lv_call *call, const char *what, bool want, bool have,
                         const char *rs)
{
    if (want != have)
        lv_call_fail(call, 406, "inequivalent arg '%s' for %s: received '%s' but current is '%s'",
                     what, rs, want ? "true" : "false", have ? "true" : "false");
}

/* A value as RabbitMQ prints it: strings and numbers bare. */
const char *lv_print_value(const struct lv_value *v, char *out, size_t cap)
{
    switch (v->kind) {
    case LV_KIND_STRING:
    case LV_KIND_BINARY:
        snprintf(out, cap, "%.*s", LV_BYTES_FMT(v->bytes));
        break;
    case LV_KIND_BOOL:
        snprintf(out, cap, "%s", v->i != 0 ? "true" : "false");
        break;
    case LV_KIND_FLOAT:
        snprintf(out, cap, "%g", v->f);
        break;
    case LV_KIND_VOID:
        snprintf(out, cap, "undefined");
        break;
    case LV_KIND_INT:
    case LV_KIND_TIMESTAMP:
    case LV_KIND_DECIMAL:
        snprintf(out, cap, "%" PRId64, v->i);
        break;
    case LV_KIND_ARRAY:
    case LV_KIND_TABLE:
        snprintf(out, cap, "%s", lv_value_type_name(v));
        break;
    }
    return out;
}

static const char *print_typed(const struct lv_value *v, bool present, char *out, size_t cap)
{
    char value[300];

    if (!present)
        return "none";
    snprintf(out, cap, "the value '%s' of type '%s'", lv_print_value(v, value, sizeof(value)),
             lv_value_type_name(v));
    return out;
}

static void require_argument(struct lv_call *call, const char *name, struct lv_bytes have_table,
                             const char *rs)
{
    struct lv_value want, have;
    bool has_want = lv_table_find(call->arguments, lv_bytes_str(name), &want);
    bool has_have = lv_table_find(have_table, lv_bytes_str(name), &have);
    char a[400], b[400];

    if (strcmp(name, "x-queue-type") == 0) { /* absent means classic */
        struct lv_value classic = { .kind = LV_KIND_STRING,
                                    .octet = 'S',
                                    .bytes = LV_BYTES_LIT("classic") };
        want = has_want ? want : classic;
        have = has_have ? have : classic;
        has_want = has_have = true;
    }
    if (has_want != has_have)
        lv_call_fail(call, 406, "inequivalent arg '%s' for %s: received %s but current is %s", name,
                     rs, print_typed(&want, has_want, a, sizeof(a)),
                     print_typed(&have, has_have, b, sizeof(b)));
    else if (has_want && !lv_value_eq(&want, &have))
        lv_call_fail(call, 406, "inequivalent arg '%s' for %s: received '%s' but current is '%s'",
                     name, rs, lv_print_value(&want, a, sizeof(a)),
                     lv_print_value(&have, b, sizeof(b)));
}

void lv_check_queue_equivalence(struct lv_call *call, const struct lv_queue_entry *have)
{
    char rs[LV_RS_MAX];

    lv_rs(rs, sizeof(rs), "queue", call->name, call->vhost);
    if (have->owner != (call->exclusive ? call->owner : 0)) {
        lv_call_fail_locked(call, rs);
        return;
    }
    require_bool(call, "durable", call->durable && !call->exclusive, have->durable, rs);
    require_bool(call, "auto_delete", call->auto_delete, have->auto_delete, rs);
    for (size_t i = 0; i < LV_ARRAY_LEN(known) && call->failure.code == 0; i++)
        require_argument(call, known[i].name, have->arguments, rs);
}

void lv_check_exchange_equivalence(struct lv_call *call, const struct lv_exchange *have)
{
    char rs[LV_RS_MAX];

    lv_rs(rs, sizeof(rs), "exchange", call->name, call->vhost);
    if (call->type != have->spec.type)
        lv_call_fail(call, 406, "inequivalent arg 'type' for %s: received '%s' but current is '%s'",
                     rs, lv_exchange_type_name(call->type), lv_exchange_type_name(have->spec.type));
    require_bool(call, "durable", call->durable, have->spec.durable, rs);
    require_bool(call, "auto_delete", call->auto_delete, have->spec.auto_delete, rs);
    require_bool(call, "internal", call->internal, have->spec.internal, rs);
    require_argument(call, "alternate-exchange", have->spec.arguments, rs);
}
