/* Every operation x role x resource: reply code and text, against a table of its own that was written from RabbitMQ's
 * documentation and not from operation.def. The question has no place for whether a thing exists: a name that is refused
 * is refused alike whether something has it or not. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "lv_test.h"
#include "security/check.h"
#include "world.h"

/* ---- roles: what a user may do, as functions and not as patterns ---- */

enum { C = 1, W = 2, R = 4 };

static int everything(struct lv_bytes name)
{
    (void)name;
    return C | W | R;
}

/* An empty permission covers the empty name, and no other. */
static int nothing(struct lv_bytes name)
{
    return name.len == 0 ? C | W | R : 0;
}

static int only_configure(struct lv_bytes name)
{
    return C | nothing(name);
}

static int only_write(struct lv_bytes name)
{
    return W | nothing(name);
}

static int only_read(struct lv_bytes name)
{
    return R | nothing(name);
}

static int own(struct lv_bytes name)
{
    return name.len >= 4 && memcmp(name.ptr, "own-", 4) == 0 ? C | W | R : 0;
}

static int server_made(struct lv_bytes name)
{
    return name.len >= 8 && memcmp(name.ptr, "amq.gen-", 8) == 0 ? C | W | R : 0;
}

static int publisher(struct lv_bytes name)
{
    return name.len == 11 && memcmp(name.ptr, "amq.default", 11) == 0 ? W : nothing(name) & (C | R);
}

static int mixed(struct lv_bytes name)
{
    bool is_even = name.len % 2 == 0;
    return C | (is_even ? W : 0) | (is_even ? 0 : R);
}

static const struct role {
    const char *user, *configure, *write, *read;
    int (*may)(struct lv_bytes name);
    const char *tag;
} roles[] = {
    { "everything", ".*", ".*", ".*", everything, NULL },
    { "administrator", "", "", "", nothing,
      "administrator" }, /* tags give nothing in a virtual host */
    { "nothing", "^$", "^$", "", nothing, NULL },
    { "configure", ".*", "", "", only_configure, NULL },
    { "write", "", ".*", "", only_write, "impersonator" },
    { "read", "", "", ".*", only_read, NULL },
    { "own", "^own-", "^own-.*", "^own-[^!]*", own, NULL },
    { "servermade", "^amq\\.gen-", "^amq\\.gen-.*", "^(amq\\.gen-)", server_made, NULL },
    { "publisher", "", "^amq\\.default$", "", publisher, NULL },
    { "mixed", ".*", "(?s)^(..)*$", "(?s)^(..)*.$", mixed, NULL },
};

/* ---- operations: the letters are asked in this order ---- */

/* C W R  configure, write, read of `name`;   c w r  of `other`;   A  any of the three of `name`
 * d D    `name`, `other` must not be the default exchange
 * s      `name` must not be amq.*, to be deleted;   n  nor to be made
 * t T    every routing key of the topic exchange `name` to write, `other` to read
 * u      user-id
 * The things: q or x for `name`, then for `other`. */
static const struct expected {
    enum lv_operation operation;
    const char *name, *things, *steps;
} expected[] = {
    { LV_OP_EXCHANGE_DECLARE, "exchange.declare", "x", "dC" },
    { LV_OP_EXCHANGE_NEW, "exchange.declare", "x", "n" },
    { LV_OP_EXCHANGE_NEW_ALTERNATE, "exchange.declare", "xx", "Rw" },
    { LV_OP_EXCHANGE_PASSIVE, "exchange.declare", "x", "dA" },
    { LV_OP_EXCHANGE_DELETE, "exchange.delete", "x", "dsC" },
    { LV_OP_EXCHANGE_BIND, "exchange.bind", "xx", "WdDrT" },
    { LV_OP_EXCHANGE_UNBIND, "exchange.unbind", "xx", "WdDrT" },
    { LV_OP_QUEUE_DECLARE, "queue.declare", "q", "nC" },
    { LV_OP_QUEUE_NEW_DEAD_LETTER, "queue.declare", "qx", "Rw" },
    { LV_OP_QUEUE_PASSIVE, "queue.declare", "q", "A" },
    { LV_OP_QUEUE_DELETE, "queue.delete", "q", "C" },
    { LV_OP_QUEUE_BIND, "queue.bind", "qx", "WDrT" },
    { LV_OP_QUEUE_UNBIND, "queue.unbind", "qx", "WDrT" },
    { LV_OP_QUEUE_PURGE, "queue.purge", "q", "R" },
    { LV_OP_BASIC_PUBLISH, "basic.publish", "x", "W" },
    { LV_OP_BASIC_PUBLISH_ROUTED, "basic.publish", "x", "tu" },
    { LV_OP_BASIC_GET, "basic.get", "q", "R" },
    { LV_OP_BASIC_CONSUME, "basic.consume", "q", "R" },
    { LV_OP_BASIC_CANCEL, "basic.cancel", "q", "" },
    { LV_OP_BASIC_QOS, "basic.qos", "q", "" },
    { LV_OP_BASIC_ACK, "basic.ack", "q", "" },
    { LV_OP_BASIC_NACK, "basic.nack", "q", "" },
    { LV_OP_BASIC_REJECT, "basic.reject", "q", "" },
    { LV_OP_BASIC_RECOVER, "basic.recover", "q", "" },
    { LV_OP_BASIC_RECOVER_ASYNC, "basic.recover-async", "q", "" },
    { LV_OP_CONFIRM_SELECT, "confirm.select", "q", "" },
    { LV_OP_TX_SELECT, "tx.select", "q", "" },
    { LV_OP_TX_COMMIT, "tx.commit", "q", "" },
    { LV_OP_TX_ROLLBACK, "tx.rollback", "q", "" },
    { LV_OP_ACCESS_REQUEST, "access.request", "q", "" },
    { LV_OP_AMQP10_ATTACH_SENDER, "attach (sender)", "x", "W" },
    { LV_OP_AMQP10_ATTACH_RECEIVER, "attach (receiver)", "q", "R" },
    { LV_OP_MQTT_SUBSCRIBE, "SUBSCRIBE", "qx", "CWrTR" },
    { LV_OP_MQTT_PUBLISH, "PUBLISH", "x", "Wt" },
};

/* ---- resources ---- */

static const char *const names[] = { "own-1",     "theirs-1",   "",          "amq.default",
                                     "amq.topic", "amq.gen-12", "xown-1",    "OWN-1",
                                     "own-1\nx",  "amq.",       "<b>'x'</b>" };

/* The topic permission of everybody on amq.topic: write ^ok., read ^(ok|see). */
static bool may_key(char verb, struct lv_bytes exchange, const char *key)
{
    if (!lv_bytes_eq(exchange, str("amq.topic")))
        return true;
    bool is_ok = strncmp(key, "ok.", 3) == 0;
    return verb == 't' ? is_ok : strncmp(key, "ok", 2) == 0 || strncmp(key, "see", 3) == 0;
}

/* ---- the expected answer ---- */

struct answer {
    int code; /* 0: allowed */
    char text[800];
};

static const char *word_of(char thing)
{
    return thing == 'q' ? "queue" : "exchange";
}

static void expect_access(struct answer *out, const char *verb, char thing, const char *name,
                          const struct role *role)
{
    if (thing == 'x' && name[0] == '\0')
        name = "amq.default";
    out->code = 403;
    snprintf(out->text, sizeof(out->text),
             "%saccess to %s '%s' in vhost 'v h' refused for user '%s'", verb, word_of(thing), name,
             role->user);
}

static int granted(const struct role *role, char thing, const char *name)
{
    return role->may(thing == 'x' && name[0] == '\0' ? str("amq.default") : str(name));
}

static void expect_step(struct answer *out, char step, const struct expected *e,
                        const struct role *role, const char *name, const char *other,
                        const struct lv_operands *on)
{
    static const struct {
        char letter;
        int bit;
        const char *verb;
        bool is_other;
    } asks[] = { { 'C', C, "configure ", false }, { 'W', W, "write ", false },
                 { 'R', R, "read ", false },      { 'c', C, "configure ", true },
                 { 'w', W, "write ", true },      { 'r', R, "read ", true } };
    const char *named = step == 'D' || step == 'T' ? other : name;
    bool is_amq = strncmp(name, "amq.", 4) == 0;

    for (size_t i = 0; i < LV_ARRAY_LEN(asks); i++) {
        const char *n = asks[i].is_other ? other : name;
        char thing = e->things[asks[i].is_other];
        if (asks[i].letter == step && (granted(role, thing, n) & asks[i].bit) == 0)
            expect_access(out, asks[i].verb, thing, n, role);
    }
    if (step == 'A' && granted(role, e->things[0], name) == 0)
        expect_access(out, "", e->things[0], name, role);
    if ((step == 'd' || step == 'D') && named[0] == '\0') {
        out->code = 403;
        snprintf(out->text, sizeof(out->text), "operation not permitted on the default exchange");
    }
    if (step == 's' && is_amq) {
        out->code = 403;
        snprintf(out->text, sizeof(out->text),
                 "deletion of system exchange '%s' in vhost 'v h' not allowed", name);
    }
    if (step == 'n' && is_amq && !on->is_server_made) {
        out->code = 403;
        snprintf(out->text, sizeof(out->text), "%s name '%s' contains reserved prefix 'amq.*'",
                 word_of(e->things[0]), name);
    }
    if ((step == 't' || step == 'T') && on->is_topic) {
        for (size_t i = 0; i <= on->more_count && out->code == 0; i++) {
            const char *key = (const char *)(i == 0 ? on->key : on->more_keys[i - 1]).ptr;
            if (may_key(step, str(named), key))
                continue;
            out->code = 403;
            snprintf(
                out->text, sizeof(out->text),
                "%s access to topic '%s' in exchange '%s' in vhost 'v h' refused for user '%s'",
                step == 't' ? "write" : "read", key, named, role->user);
        }
    }
    bool is_impersonator = role->tag != NULL && strcmp(role->tag, "impersonator") == 0;
    if (step == 'u' && on->has_user_id && !lv_bytes_eq(on->user_id, str(role->user)) &&
        !is_impersonator) {
        out->code = 406;
        snprintf(out->text, sizeof(out->text),
                 "user_id property set to '%s' but authenticated user was '%s'",
                 (const char *)on->user_id.ptr, role->user);
    }
}

static struct answer expect(const struct expected *e, const struct role *role, const char *name,
                            const char *other, const struct lv_operands *on)
{
    struct answer out = { 0, "" };

    for (const char *step = e->steps; *step != '\0' && out.code == 0; step++)
        expect_step(&out, *step, e, role, name, other, on);
    return out;
}

/* ---- asking ---- */

static struct lv_pass passes[LV_ARRAY_LEN(roles)];
static struct lv_check_cache caches[LV_ARRAY_LEN(roles)];
static unsigned long asked, refused;

static void open_world(void)
{
    world_open();
    put_vhost("v h");
    for (size_t i = 0; i < LV_ARRAY_LEN(roles); i++) {
        const struct role *r = &roles[i];
        put_user(r->user, r->tag);
        put_permission(r->user, "v h", r->configure, r->write, r->read);
        put_topic_permission(r->user, "v h", "amq.topic", "^ok\\.", "^(ok|see)");
    }
    for (size_t i = 0; i < LV_ARRAY_LEN(roles); i++) /* after the last change: the caches fill */
        enter(&passes[i], roles[i].user, "v h");
    asked = refused = 0;
}

static void close_world(void)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(roles); i++) {
        lv_check_cache_fini(&caches[i]);
        lv_pass_fini(&passes[i]);
    }
    lv_access_free(world);
    CHECK_EQ(lv_mem_used(LV_TAG_SECURITY), 0);
}

static void ask(const struct expected *e, size_t role, const char *name, const char *other,
                struct lv_operands on)
{
    on.name = str(name);
    on.other = str(other);
    struct answer want = expect(e, &roles[role], name, other, &on);

    /* with the cache, again out of it, and without one */
    for (int i = 0; i < 3; i++) {
        struct lv_refusal why = { 0, "" };
        enum lv_err err = lv_check_operation(&passes[role], i < 2 ? &caches[role] : NULL,
                                             e->operation, &on, &why);
        if (err != (want.code ? LV_EREFUSED : LV_OK) || why.code != want.code)
            fprintf(stderr, "%s by %s of '%s', '%s'\n", e->name, roles[role].user, name, other);
        CHECK_EQ(err, want.code ? LV_EREFUSED : LV_OK);
        CHECK_EQ(why.code, want.code);
        CHECK_STR(why.text, want.text);
    }
    asked++;
    refused += want.code != 0;
}

static const struct lv_operands *variants(size_t *count)
{
    static const struct lv_bytes more_good[] = { LV_BYTES_LIT("ok.2"), LV_BYTES_LIT("ok.3") };
    static const struct lv_bytes more_bad[] = { LV_BYTES_LIT("ok.2"), LV_BYTES_LIT("no.3") };
    static const struct lv_operands all[] = {
        { .key = LV_BYTES_LIT("no.1") },
        { .key = LV_BYTES_LIT("ok.1"), .is_topic = true },
        { .key = LV_BYTES_LIT("see.1"), .is_topic = true },
        { .key = LV_BYTES_LIT("no.1"), .is_topic = true },
        { .key = LV_BYTES_LIT("ok.1"), .is_topic = true, .more_keys = more_good, .more_count = 2 },
        { .key = LV_BYTES_LIT("ok.1"), .is_topic = true, .more_keys = more_bad, .more_count = 2 },
        { .key = LV_BYTES_LIT("k"), .is_server_made = true },
        { .key = LV_BYTES_LIT("k"), .has_user_id = true, .user_id = LV_BYTES_LIT("everything") },
        { .key = LV_BYTES_LIT("k"), .has_user_id = true, .user_id = LV_BYTES_LIT("nobody") },
    };

    *count = LV_ARRAY_LEN(all);
    return all;
}

LV_TEST(every_operation_role_and_resource)
{
    size_t variant_count;
    const struct lv_operands *variant = variants(&variant_count);

    open_world();
    for (size_t e = 0; e < LV_ARRAY_LEN(expected); e++)
        for (size_t r = 0; r < LV_ARRAY_LEN(roles); r++)
            for (size_t n = 0; n < LV_ARRAY_LEN(names); n++)
                for (size_t o = 0; o < LV_ARRAY_LEN(names); o++)
                    for (size_t v = 0; v < variant_count; v++)
                        ask(&expected[e], r, names[n], names[o], variant[v]);
    printf("%lu questions, %lu refused\n", asked, refused);
    CHECK(refused > asked / 10 && refused < asked - asked / 10);
    close_world();
}

/* The table above names every operation once, under the name it has. */
LV_TEST(no_operation_is_forgotten)
{
    unsigned seen[LV_OPERATION_COUNT] = { 0 };

    for (size_t i = 0; i < LV_ARRAY_LEN(expected); i++) {
        seen[expected[i].operation]++;
        CHECK_STR(lv_operation_name(expected[i].operation), expected[i].name);
    }
    for (size_t i = 0; i < LV_OPERATION_COUNT; i++)
        CHECK_EQ(seen[i], 1);
}

/* Every method that a client may send on a channel is an operation; those about the channel itself need none. */
LV_TEST(no_method_is_forgotten)
{
    static const struct {
        unsigned class_id;
        const char *name;
        unsigned traits;
    } methods[] = {
#define C2S 1u
#define S2C 2u
#define CONTENT 4u
#define SYNC 8u
#define F(type, field)
#define M(class_id, id, NAME, name, text, traits, ...) { class_id, text, traits },
#include "proto/amqp091/methods.def"
#undef M
#undef F
    };

    for (size_t i = 0; i < LV_ARRAY_LEN(methods); i++) {
        size_t len = strlen(methods[i].name);
        bool is_answer = len > 3 && strcmp(methods[i].name + len - 3, "-ok") == 0;
        bool is_found = false;
        if ((methods[i].traits & C2S) == 0 || is_answer || methods[i].class_id <= 20)
            continue;
        for (size_t k = 0; k < LV_OPERATION_COUNT; k++)
            is_found |= strcmp(lv_operation_name((enum lv_operation)k), methods[i].name) == 0;
        if (!is_found)
            fprintf(stderr, "%s needs a line in security/operation.def\n", methods[i].name);
        CHECK(is_found);
    }
}

/* Whoever has no permission in the virtual host, or is not inside one, is refused whatever needs any. */
LV_TEST(deny_by_default)
{
    struct lv_operands on = { .name = LV_BYTES_LIT("q"), .other = LV_BYTES_LIT("x") };
    struct lv_pass nobody = { 0 }, outside, revoked;
    struct lv_refusal why;

    open_world();
    CHECK_EQ(lv_pass_init(&outside, world, str("everything"), 1), LV_OK);
    enter(&revoked, "own", "v h");
    remove_record(LV_ACCESS_PERMISSION, "own", "v h");
    for (size_t i = 0; i < LV_ARRAY_LEN(expected); i++) {
        if (strpbrk(expected[i].steps, "CWRcwrA") == NULL)
            continue;
        CHECK_EQ(lv_check_operation(&nobody, NULL, expected[i].operation, &on, &why), LV_EREFUSED);
        CHECK_EQ(lv_check_operation(&outside, NULL, expected[i].operation, &on, &why), LV_EREFUSED);
        CHECK_EQ(lv_check_operation(&revoked, NULL, expected[i].operation, &on, &why), LV_EREFUSED);
        CHECK_EQ(why.code, 403);
    }
    lv_pass_fini(&outside);
    lv_pass_fini(&revoked);
    close_world();
}
