#include "security/check.h"

#include "base/mem.h"
#include "security/access_priv.h"
#include "security/refuse_priv.h"

/* ---- the cache: what was allowed, by its bytes ---- */

/* A verb on a name; a verb on a routing key; a verb on every routing key, because none is forbidden. */
enum { WHAT_VERB = 1, WHAT_KEY = 4, WHAT_ANY_KEY = 7 };

void lv_check_cache_fini(struct lv_check_cache *cache)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(cache->topics); i++)
        lv_pattern_free(cache->topics[i].pattern);
    *cache = (struct lv_check_cache){ 0 };
}

/* Everything in the cache was true before the latest change. */
static void refresh(struct lv_check_cache *cache, const struct lv_access *a)
{
    uint64_t now = lv_access_version(a);

    if (LV_LIKELY(cache->version == now))
        return;
    lv_check_cache_fini(cache);
    cache->version = now;
}

/* The text of a question; false: too long to be remembered. */
static bool ask_text(struct lv_check_cached *e, uint8_t what, struct lv_bytes name,
                     struct lv_bytes key)
{
    struct lv_wr w = lv_wr(e->text, sizeof(e->text));

    if (name.len > LV_SHORTSTR_MAX)
        return false;
    lv_wr_short(&w, name);
    lv_wr_bytes(&w, key.ptr, key.len);
    e->what = what;
    e->len = (uint8_t)w.used;
    return lv_wr_ok(&w);
}

static bool is_cached(const struct lv_check_cache *cache, const struct lv_check_cached *q)
{
    for (size_t i = 0; i < LV_CHECK_CACHE_ENTRIES; i++) {
        const struct lv_check_cached *e = &cache->entries[i];
        if (e->what == q->what && e->len == q->len && memcmp(e->text, q->text, q->len) == 0)
            return true;
    }
    return false;
}

static void remember(struct lv_check_cache *cache, const struct lv_check_cached *q)
{
    cache->entries[cache->next] = *q;
    cache->next = (cache->next + 1) % LV_CHECK_CACHE_ENTRIES;
}

/* ---- one name ---- */

static const struct lv_access_value *value_of(const struct lv_access *a, enum lv_access_kind kind,
                                              const struct lv_bytes *names, size_t count)
{
    uint8_t buf[LV_ACCESS_KEY_BYTES_MAX];
    const struct lv_access_value *v;

    lv_access_find(a, kind, lv_access_key(buf, names, count), &v);
    return v;
}

static bool is_permitted(const struct lv_pass *p, struct lv_bytes name, enum lv_verb verb)
{
    const struct lv_access_value *v =
        value_of(p->access, LV_ACCESS_PERMISSION, (struct lv_bytes[]){ p->user, p->vhost }, 2);

    return v != NULL && v->patterns[verb] != NULL && lv_pattern_match(v->patterns[verb], name);
}

bool lv_check(const struct lv_pass *p, struct lv_check_cache *cache, enum lv_thing thing,
              struct lv_bytes name, enum lv_verb verb)
{
    struct lv_check_cached question;

    if (p->access == NULL || !p->is_inside)
        return false;
    if (thing == LV_THING_EXCHANGE && name.len == 0)
        name = LV_BYTES_LIT("amq.default");
    if (cache == NULL)
        return lv_pass_standing(p) == LV_STANDING_GOOD && is_permitted(p, name, verb);
    refresh(cache, p->access);
    bool is_short = ask_text(&question, (uint8_t)(WHAT_VERB + verb), name, lv_bytes(NULL, 0));
    if (is_short && is_cached(cache, &question))
        return true;
    if (lv_pass_standing(p) != LV_STANDING_GOOD || !is_permitted(p, name, verb))
        return false;
    if (is_short)
        remember(cache, &question);
    return true;
}

/* ---- a routing key ---- */

/* The pattern of a topic permission with its variables replaced. NULL: nothing may match. */
static struct lv_pattern *expanded(const struct lv_pass *p, const struct lv_access_value *v,
                                   enum lv_verb verb)
{
    const struct lv_topic_permission_record *r = &v->record.topic_permission;
    struct lv_pattern_vars vars = { p->user, p->vhost, p->client_id, p->has_client_id };
    uint8_t text[LV_PATTERN_BYTES_MAX];
    struct lv_wr w = lv_wr(text, sizeof(text));
    struct lv_pattern *pattern = NULL;
    char why[8];

    if (lv_pattern_expand(verb == LV_WRITE ? r->write : r->read, &vars, &w) != LV_OK ||
        lv_pattern_new(lv_bytes(text, w.used), &pattern, why, sizeof(why)) != LV_OK)
        return NULL;
    return pattern;
}

static bool matches_topic(const struct lv_pass *p, struct lv_check_cache *cache,
                          const struct lv_access_value *v, struct lv_bytes key, enum lv_verb verb)
{
    if (v->patterns[verb] != NULL)
        return lv_pattern_match(v->patterns[verb], key);
    if (cache == NULL) {
        struct lv_pattern *once = expanded(p, v, verb);
        bool is_match = once != NULL && lv_pattern_match(once, key);
        lv_pattern_free(once);
        return is_match;
    }
    struct lv_check_topic *kept = &cache->topics[verb - LV_WRITE];
    if (kept->value != v || kept->pattern == NULL) {
        lv_pattern_free(kept->pattern);
        kept->pattern = expanded(p, v, verb);
        kept->value = v;
    }
    return kept->pattern != NULL && lv_pattern_match(kept->pattern, key);
}

bool lv_check_topic(const struct lv_pass *p, struct lv_check_cache *cache, struct lv_bytes exchange,
                    struct lv_bytes key, enum lv_verb verb)
{
    struct lv_check_cached question, any;
    bool is_short = false, is_any_short = false;

    if (p->access == NULL || !p->is_inside || verb == LV_CONFIGURE)
        return false;
    if (cache != NULL) {
        refresh(cache, p->access);
        is_any_short = ask_text(&any, (uint8_t)(WHAT_ANY_KEY + verb), exchange, lv_bytes(NULL, 0));
        is_short = ask_text(&question, (uint8_t)(WHAT_KEY + verb), exchange, key);
        if ((is_any_short && is_cached(cache, &any)) || (is_short && is_cached(cache, &question)))
            return true;
    }
    if (lv_pass_standing(p) != LV_STANDING_GOOD)
        return false;
    const struct lv_access_value *v =
        value_of(p->access, LV_ACCESS_TOPIC_PERMISSION,
                 (struct lv_bytes[]){ p->user, p->vhost, exchange }, 3);
    if (v != NULL && !matches_topic(p, cache, v, key, verb))
        return false;
    if (v == NULL && is_any_short)
        remember(cache, &any);
    else if (v != NULL && is_short)
        remember(cache, &question);
    return true;
}

/* ---- operations ---- */

enum rule { END, ALLOW, ANY, NOT_DEFAULT, NOT_SYSTEM, UNRESERVED, TOPIC, USER_ID, FREE };

#define STEPS_MAX 6

static const struct operation {
    const char *name;
    struct step {
        uint8_t rule, verb, thing;
        uint8_t operand; /* offset in struct lv_operands */
    } steps[STEPS_MAX];
} operations[LV_OPERATION_COUNT] = {
#define OPERAND(which) (uint8_t) offsetof(struct lv_operands, which)
#define ALLOW(verb, thing, which) { ALLOW, LV_##verb, LV_THING_##thing, OPERAND(which) },
#define ANY(thing, which) { ANY, 0, LV_THING_##thing, OPERAND(which) },
#define NOT_DEFAULT(which) { NOT_DEFAULT, 0, LV_THING_EXCHANGE, OPERAND(which) },
#define NOT_SYSTEM(which) { NOT_SYSTEM, 0, LV_THING_EXCHANGE, OPERAND(which) },
#define UNRESERVED(thing, which) { UNRESERVED, 0, LV_THING_##thing, OPERAND(which) },
#define TOPIC(verb, which) { TOPIC, LV_##verb, LV_THING_EXCHANGE, OPERAND(which) },
#define USER_ID() { USER_ID, 0, 0, OPERAND(user_id) },
#define FREE() { FREE, 0, 0, 0 },
#define LV_OPERATION(id, name, steps) [LV_OP_##id] = { name, { steps } },
#include "security/operation.def"
#undef LV_OPERATION
#undef ALLOW
#undef ANY
#undef NOT_DEFAULT
#undef NOT_SYSTEM
#undef UNRESERVED
#undef TOPIC
#undef USER_ID
#undef FREE
};

static const char *const verb_names[] = { "configure", "write", "read" };
static const char *const thing_names[] = { "queue", "exchange" };

/* How a thing is called in texts. */
static struct lv_bytes shown(uint8_t thing, struct lv_bytes name)
{
    return thing == LV_THING_EXCHANGE && name.len == 0 ? LV_BYTES_LIT("amq.default") : name;
}

static enum lv_err refuse_access(const struct lv_pass *p, const struct step *s,
                                 struct lv_bytes name, struct lv_refusal *why)
{
    name = shown(s->thing, name);
    return lv_refuse(why, 403, "%s%saccess to %s '%.*s' in vhost '%.*s' refused for user '%.*s'",
                     s->rule == ANY ? "" : verb_names[s->verb], s->rule == ANY ? "" : " ",
                     thing_names[s->thing], LV_BYTES_FMT(name), LV_BYTES_FMT(p->vhost),
                     LV_BYTES_FMT(p->user));
}

static bool is_any_allowed(const struct lv_pass *p, struct lv_check_cache *cache, uint8_t thing,
                           struct lv_bytes name)
{
    for (unsigned verb = LV_CONFIGURE; verb <= LV_READ; verb++)
        if (lv_check(p, cache, (enum lv_thing)thing, name, (enum lv_verb)verb))
            return true;
    return false;
}

static enum lv_err check_key(const struct lv_pass *p, struct lv_check_cache *cache,
                             const struct step *s, struct lv_bytes exchange, struct lv_bytes key,
                             struct lv_refusal *why)
{
    if (lv_check_topic(p, cache, exchange, key, (enum lv_verb)s->verb))
        return LV_OK;
    return lv_refuse(
        why, 403,
        "%s access to topic '%.*s' in exchange '%.*s' in vhost '%.*s' refused for user "
        "'%.*s'",
        verb_names[s->verb], LV_BYTES_FMT(key), LV_BYTES_FMT(exchange), LV_BYTES_FMT(p->vhost),
        LV_BYTES_FMT(p->user));
}

static enum lv_err check_keys(const struct lv_pass *p, struct lv_check_cache *cache,
                              const struct step *s, struct lv_bytes exchange,
                              const struct lv_operands *on, struct lv_refusal *why)
{
    if (!on->is_topic)
        return LV_OK;
    enum lv_err err = check_key(p, cache, s, exchange, on->key, why);
    for (size_t i = 0; err == LV_OK && i < on->more_count; i++)
        err = check_key(p, cache, s, exchange, on->more_keys[i], why);
    return err;
}

static enum lv_err check_user_id(const struct lv_pass *p, const struct lv_operands *on,
                                 struct lv_refusal *why)
{
    if (!on->has_user_id || lv_bytes_eq(on->user_id, p->user))
        return LV_OK;
    const struct lv_user_record *user =
        p->access != NULL ? lv_access_user(p->access, p->user) : NULL;
    if (user != NULL && lv_tags_have(&user->tags, LV_BYTES_LIT("impersonator")))
        return LV_OK;
    return lv_refuse(why, 406, "user_id property set to '%.*s' but authenticated user was '%.*s'",
                     LV_BYTES_FMT(on->user_id), LV_BYTES_FMT(p->user));
}

static enum lv_err check_step(const struct lv_pass *p, struct lv_check_cache *cache,
                              const struct step *s, const struct lv_operands *on,
                              struct lv_refusal *why)
{
    struct lv_bytes name = *(const struct lv_bytes *)(const void *)((const char *)on + s->operand);
    bool is_system = lv_bytes_has_prefix(name, LV_BYTES_LIT("amq."));

    switch ((enum rule)s->rule) {
    case ALLOW:
        return lv_check(p, cache, (enum lv_thing)s->thing, name, (enum lv_verb)s->verb)
                   ? LV_OK
                   : refuse_access(p, s, name, why);
    case ANY:
        return is_any_allowed(p, cache, s->thing, name) ? LV_OK : refuse_access(p, s, name, why);
    case NOT_DEFAULT:
        return name.len != 0
                   ? LV_OK
                   : lv_refuse(why, 403, "operation not permitted on the default exchange");
    case NOT_SYSTEM:
        return !is_system
                   ? LV_OK
                   : lv_refuse(why, 403,
                               "deletion of system exchange '%.*s' in vhost '%.*s' not allowed",
                               LV_BYTES_FMT(name), LV_BYTES_FMT(p->vhost));
    case UNRESERVED:
        return !is_system || on->is_server_made
                   ? LV_OK
                   : lv_refuse(why, 403, "%s name '%.*s' contains reserved prefix 'amq.*'",
                               thing_names[s->thing], LV_BYTES_FMT(name));
    case TOPIC:
        return check_keys(p, cache, s, name, on, why);
    case USER_ID:
        return check_user_id(p, on, why);
    case FREE:
        return LV_OK;
    case END:
        break;
    }
    LV_UNREACHABLE("no such rule");
}

enum lv_err lv_check_operation(const struct lv_pass *p, struct lv_check_cache *cache,
                               enum lv_operation operation, const struct lv_operands *on,
                               struct lv_refusal *why)
{
    LV_ASSERT(operation < LV_OPERATION_COUNT);
    const struct step *s = operations[operation].steps;

    LV_ASSERT(s->rule != END); /* an operation without a step would be allowed to everybody */
    for (size_t i = 0; i < STEPS_MAX && s[i].rule != END; i++) {
        enum lv_err err = check_step(p, cache, &s[i], on, why);
        if (err != LV_OK)
            return err;
    }
    return LV_OK;
}

const char *lv_operation_name(enum lv_operation operation)
{
    LV_ASSERT(operation < LV_OPERATION_COUNT);
    return operations[operation].name;
}
