/* What a policy may say: the keys, their values, what they are for, and who wins. Texts are RabbitMQ's. */
#include <stdarg.h>
#include <stdio.h>

#include "broker/policies_priv.h"

enum check {
    STRING,
    NATURAL,
    POSITIVE,
    INTEGER,
    STRATEGY,
    MODE,
    OVERFLOW,
    LOCATOR,
    MASTER,
    VERSION,
    AGE,
    SEGMENT,
    FILTER,
    RETRY,
};

enum merge { OPERATOR_WINS, SMALLER, LIMIT };

/* Kinds of queues that know a key. What is for exchanges, or for both, no kind of queue minds. */
#define C (1u << LV_QUEUE_CLASSIC)
#define Q (1u << LV_QUEUE_QUORUM)
#define T (1u << LV_QUEUE_STREAM)
#define ALL (C | Q | T)

static const struct key {
    const char *name;
    const char *wrong; /* behind the value */
    enum check check;
    unsigned queues;
    bool is_for_operators;
    enum merge merge;
} keys[] = {
    { "alternate-exchange", " is not a valid alternate exchange name", STRING, ALL, false, 0 },
    { "consumer-disconnected-timeout", " is not a valid consumer disconnected timeout", NATURAL, Q,
      false, 0 },
    { "consumer-timeout", " is not a valid consumer timeout", NATURAL, C | Q, false, 0 },
    { "dead-letter-exchange", " is not a valid dead letter exchange name", STRING, C | Q, false, 0 },
    { "dead-letter-routing-key", " is not a valid dead letter routing key", STRING, C | Q, false, 0 },
    { "dead-letter-strategy", " is not a valid dead letter strategy", STRATEGY, Q, false, 0 },
    { "delayed-retry-max", " is not a valid delayed retry maximum", NATURAL, Q, false, 0 },
    { "delayed-retry-min", " is not a valid delayed retry minimum", NATURAL, Q, false, 0 },
    { "delayed-retry-type", " is not a valid delayed retry type", RETRY, Q, false, 0 },
    { "delivery-limit", " is not a valid delivery limit", INTEGER, Q, true, LIMIT },
    { "expires", " is not a valid queue expiry", POSITIVE, C | Q, true, SMALLER },
    { "federation-upstream", " is not a valid federation upstream name", STRING, ALL, false, 0 },
    { "federation-upstream-pattern", " is not a valid federation upstream pattern name", STRING,
      ALL, false, 0 },
    { "federation-upstream-set", " is not a valid federation upstream set name", STRING, ALL, false,
      0 },
    { "initial-cluster-size", " is not a valid cluster size", POSITIVE, Q | T, false, 0 },
    { "max-age", " is not a valid max age", AGE, T, false, 0 },
    { "max-in-memory-bytes", " is not a valid maximum memory in bytes", NATURAL, Q, true, SMALLER },
    { "max-in-memory-length", " is not a valid maximum memory in bytes", NATURAL, Q, true, SMALLER },
    { "max-length", " is not a valid maximum length", NATURAL, C | Q, true, SMALLER },
    { "max-length-bytes", " is not a valid maximum length in bytes", NATURAL, ALL, true, SMALLER },
    { "member-placement-tag", " is not a valid member placement tag", STRING, Q | T, false, 0 },
    { "message-ttl", " is not a valid message TTL", NATURAL, C | Q, true, SMALLER },
    { "overflow", " is not a valid overflow value", OVERFLOW, C | Q, true, OPERATOR_WINS },
    { "queue-leader-locator", " is not a valid queue leader locator value", LOCATOR, ALL, false, 0 },
    { "queue-master-locator", " invalid queue-master-locator value", MASTER, C, false, 0 },
    { "queue-mode", " is not a valid queue-mode value", MODE, C, false, 0 },
    { "queue-version", " is not a valid queue-version value", VERSION, C, true, OPERATOR_WINS },
    { "routing-key", " should be binary", STRING, ALL, false, 0 },
    { "shards-per-node", " should be a number", NATURAL, ALL, false, 0 },
    { "stream-filter-size-bytes", " is not a valid filter size. Valid range is 16-255", FILTER, T,
      false, 0 },
    { "stream-max-segment-size-bytes", " is not a valid segment size", SEGMENT, T, false, 0 },
    { "target-group-size", " is not a valid target group size", POSITIVE, Q, true, SMALLER },
};

static const struct key *find(const char *name)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(keys); i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

/* ---- refusals ---- */

void lv_refused_init(struct lv_refused *r, char *why, size_t cap)
{
    static const char head[] = "Validation failed\n";

    *r = (struct lv_refused){ .text = lv_wr(why, cap != 0 ? cap - 1 : 0) };
    lv_wr_bytes(&r->text, head, sizeof(head) - 1);
}

/* A line that does not fit whole is cut. */
static void put(struct lv_refused *r, const char *text, size_t len)
{
    size_t room = r->text.cap > r->text.used ? r->text.cap - r->text.used : 0;

    lv_wr_bytes(&r->text, text, LV_MIN(len, room));
}

void lv_refused_line(struct lv_refused *r, const char *format, ...)
{
    char line[LV_PARAMETER_WHY_MAX];
    va_list args;

    r->is_any = true;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    put(r, "\n", 1);
    put(r, line, strlen(line));
}

void lv_refused_value(struct lv_refused *r, const char *before, const json_t *v, const char *after)
{
    char term[LV_PARAMETER_WHY_MAX / 2];
    struct lv_wr w = lv_wr(term, sizeof(term) - 1);

    lv_json_print_term(&w, v);
    term[LV_MIN(w.used, w.cap)] = '\0';
    if (!lv_wr_ok(&w)) /* nothing past the end was written, but the last piece may be missing */
        snprintf(term, sizeof(term), "...");
    lv_refused_line(r, "%s%s%s", before, term, after);
}

bool lv_refused_end(struct lv_refused *r)
{
    if (r->is_any)
        put(r, "\n", 1);
    if (r->text.buf != NULL)
        r->text.buf[r->is_any ? LV_MIN(r->text.used, r->text.cap) : 0] = '\0';
    return r->is_any;
}

/* ---- values ---- */

static bool is_word(const json_t *v, const char *const *words)
{
    if (!json_is_string(v))
        return false;
    for (; *words != NULL; words++)
        if (lv_bytes_eq(lv_json_str(v), lv_bytes_str(*words)))
            return true;
    return false;
}

static bool is_within(const json_t *v, int64_t low, int64_t high)
{
    return json_is_integer(v) && json_integer_value(v) >= low && json_integer_value(v) <= high;
}

/* Digits and one of Y M D h m s. */
static bool is_age(const json_t *v)
{
    struct lv_bytes text = lv_json_str(v);
    size_t digits = 0;

    if (!json_is_string(v))
        return false;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    return digits != 0 && digits + 1 == text.len && strchr("YMDhms", text.ptr[digits]) != NULL;
}

static bool is_valid(enum check check, const json_t *v)
{
    static const char *const strategies[] = { "at-most-once", "at-least-once", NULL };
    static const char *const modes[] = { "default", "lazy", NULL };
    static const char *const overflows[] = { "drop-head", "reject-publish", "reject-publish-dlx",
                                             NULL };
    static const char *const locators[] = { "client-local", "balanced", "random", "least-leaders",
                                            NULL };
    static const char *const masters[] = { "client-local", "min-masters", "random", NULL };
    static const char *const retries[] = { "disabled", "all", "failed", "returned", NULL };

    switch (check) {
    case STRING:
        return json_is_string(v);
    case NATURAL:
        return is_within(v, 0, INT64_MAX);
    case POSITIVE:
        return is_within(v, 1, INT64_MAX);
    case INTEGER:
        return json_is_integer(v);
    case STRATEGY:
        return is_word(v, strategies);
    case MODE:
        return is_word(v, modes);
    case OVERFLOW:
        return is_word(v, overflows);
    case LOCATOR:
        return is_word(v, locators);
    case MASTER:
        return is_word(v, masters);
    case RETRY:
        return is_word(v, retries);
    case VERSION:
        return is_within(v, 1, 2);
    case AGE:
        return is_age(v);
    case SEGMENT:
        return is_within(v, 0, INT64_C(3000000000));
    case FILTER:
        return is_within(v, 16, 255);
    }
    return false;
}

/* ---- definitions ---- */

/* All keys that are not known, as a list of pairs. */
static void refuse_unknown(struct lv_refused *r, enum lv_policy_kind kind, const json_t *definition)
{
    char pairs[LV_PARAMETER_WHY_MAX / 2];
    struct lv_wr w = lv_wr(pairs, sizeof(pairs) - 1);
    const char *name;
    json_t *v;
    size_t kept = 0;

    json_object_foreach((json_t *)(uintptr_t)definition, name, v)
    {
        const struct key *key = find(name);
        if (key != NULL && (kind == LV_POLICY_USER || key->is_for_operators))
            continue;
        lv_wr_bytes(&w, kept == 0 ? "{<<\"" : ",{<<\"", kept == 0 ? 4 : 5);
        lv_wr_bytes(&w, name, strlen(name));
        lv_wr_bytes(&w, "\">>,", 4);
        lv_json_print_term(&w, v);
        lv_wr_u8(&w, '}');
        if (!lv_wr_ok(&w))
            break;
        kept = w.used;
    }
    pairs[kept] = '\0';
    if (w.used != 0)
        lv_refused_line(r, "[%s] are not recognised policy settings", kept != 0 ? pairs : "...");
}

void lv_policy_check(struct lv_refused *r, enum lv_policy_kind kind, const json_t *definition)
{
    const char *name;
    json_t *v;

    if (!json_is_object(definition)) {
        lv_refused_value(r, "definition must be a dictionary: ", definition, "");
        return;
    }
    if (json_object_size(definition) == 0) {
        lv_refused_line(r, "no policy provided");
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)definition, name, v)
    {
        const struct key *key = find(name);
        if (key != NULL && (kind == LV_POLICY_USER || key->is_for_operators) &&
            !is_valid(key->check, v)) {
            lv_refused_value(r, "", v, key->wrong);
            return;
        }
    }
    refuse_unknown(r, kind, definition);
}

unsigned lv_policy_queue_kinds(const json_t *definition)
{
    unsigned kinds = ALL;
    const char *name;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)definition, name, v)
    {
        const struct key *key = find(name);
        kinds &= key != NULL ? key->queues : ALL;
    }
    return kinds;
}

const json_t *lv_policy_merge(const char *name, const json_t *user, const json_t *operator_value)
{
    const struct key *key = find(name);

    if (key == NULL || key->merge == OPERATOR_WINS || !json_is_integer(user) ||
        !json_is_integer(operator_value))
        return operator_value;
    json_int_t a = json_integer_value(user), b = json_integer_value(operator_value);
    bool is_user = key->merge == LIMIT && (a < 0 || b < 0) ? a > b : a < b;
    return is_user ? user : operator_value;
}
