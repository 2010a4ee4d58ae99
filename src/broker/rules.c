/* What a queue's arguments and policies make of it: the rules of its engine, its dead letter exchange, its expiry.
 *
 * Arguments stand for the queue's life; policies change. Where both say something, RabbitMQ's rule decides: the smaller
 * number; of delivery limits a negative one, which is none; of words the argument's, but of `overflow` in a quorum queue
 * the policy's. */
#include "base/mem.h"
#include "base/table.h"
#include "broker/policies_priv.h"

#define QUORUM_LEVELS 32u
#define QUORUM_USUAL 4u /* priority of a message that names none */
#define QUORUM_DELIVERY_LIMIT 20
#define LOOKED_AT_A_TIME 1024u

struct source {
    struct lv_bytes arguments;
    json_t *policy; /* an object, or NULL */
    bool is_quorum;
};

/* ---- numbers and words ---- */

static bool argument_number(const struct source *s, const char *name, int64_t *out)
{
    struct lv_value v;

    if (!lv_table_find(s->arguments, lv_bytes_str(name), &v) || v.kind != LV_KIND_INT)
        return false;
    *out = v.i;
    return true;
}

static bool policy_number(const struct source *s, const char *key, int64_t *out)
{
    const json_t *v = s->policy != NULL ? json_object_get(s->policy, key) : NULL;

    if (v == NULL || !json_is_integer(v))
        return false;
    *out = json_integer_value(v);
    return true;
}

static uint64_t smaller_number(const struct source *s, const char *argument, const char *key)
{
    int64_t a, b;
    bool has_a = argument_number(s, argument, &a) && a >= 0;
    bool has_b = policy_number(s, key, &b) && b >= 0;

    if (has_a && has_b)
        return (uint64_t)LV_MIN(a, b);
    return has_a ? (uint64_t)a : has_b ? (uint64_t)b : LV_QUEUE_NO_LIMIT;
}

static uint64_t delivery_limit(const struct source *s)
{
    int64_t a, b;
    bool has_a = argument_number(s, "x-delivery-limit", &a);
    bool has_b = policy_number(s, "delivery-limit", &b);

    if (!has_a && !has_b)
        return QUORUM_DELIVERY_LIMIT;
    if ((has_a && a < 0) || (has_b && b < 0))
        return LV_QUEUE_NO_LIMIT;
    return has_a && has_b ? (uint64_t)LV_MIN(a, b) : (uint64_t)(has_a ? a : b);
}

static bool argument_word(const struct source *s, const char *name, struct lv_bytes *out)
{
    struct lv_value v;

    if (!lv_table_find(s->arguments, lv_bytes_str(name), &v) || v.kind != LV_KIND_STRING)
        return false;
    *out = v.bytes;
    return true;
}

static bool policy_word(const struct source *s, const char *key, struct lv_bytes *out)
{
    const json_t *v = s->policy != NULL ? json_object_get(s->policy, key) : NULL;

    if (v == NULL || !json_is_string(v))
        return false;
    *out = lv_json_str(v);
    return true;
}

static enum lv_overflow overflow(const struct source *s)
{
    struct lv_bytes word = LV_BYTES_LIT("drop-head");

    if (s->is_quorum)
        (void)(policy_word(s, "overflow", &word) || argument_word(s, "x-overflow", &word));
    else
        (void)(argument_word(s, "x-overflow", &word) || policy_word(s, "overflow", &word));
    if (lv_bytes_eq(word, LV_BYTES_LIT("reject-publish")))
        return LV_OVERFLOW_REJECT;
    if (lv_bytes_eq(word, LV_BYTES_LIT("reject-publish-dlx")) && !s->is_quorum)
        return LV_OVERFLOW_REJECT_DEAD;
    return LV_OVERFLOW_DROP_HEAD;
}

/* ---- a queue's ---- */

enum lv_queue_kind lv_queue_kind_of(struct lv_bytes arguments)
{
    struct lv_value v;

    return lv_table_find(arguments, LV_BYTES_LIT("x-queue-type"), &v) && v.kind == LV_KIND_STRING &&
                   lv_bytes_eq(v.bytes, LV_BYTES_LIT("quorum"))
               ? LV_QUEUE_QUORUM
               : LV_QUEUE_CLASSIC;
}

/* false: no memory. */
static bool open_source(const struct lv_broker *b, const struct lv_queue_entry *entry,
                        struct source *s)
{
    enum lv_queue_kind kind = (enum lv_queue_kind)entry->kind;
    struct lv_policy_match match;
    char why[LV_PARAMETER_WHY_MAX];

    *s = (struct source){ .arguments = entry->arguments, .is_quorum = kind == LV_QUEUE_QUORUM };
    lv_policy_match_queue(b, entry->vhost->name.key, entry->dest.name.key, kind, &match);
    if (match.policy == NULL && match.operator_policy == NULL)
        return true;
    size_t cap = (match.policy != NULL ? match.policy->definition.len : 0) +
                 (match.operator_policy != NULL ? match.operator_policy->definition.len : 0) + 2;
    uint8_t *text = lv_mem_alloc(cap, LV_TAG_BROKER);
    if (text == NULL)
        return false;
    struct lv_wr w = lv_wr(text, cap);
    if (lv_policy_effective(&match, &w) == LV_OK)
        s->policy = lv_json_parse(lv_bytes(text, w.used), why, sizeof(why));
    lv_mem_free(text, LV_TAG_BROKER);
    return s->policy != NULL;
}

static void read_engine_rules(const struct source *s, bool has_dlx, struct lv_queue_rules *out)
{
    *out = (struct lv_queue_rules){
        .ttl_ms = smaller_number(s, "x-message-ttl", "message-ttl"),
        .max_length = smaller_number(s, "x-max-length", "max-length"),
        .max_bytes = smaller_number(s, "x-max-length-bytes", "max-length-bytes"),
        .delivery_limit = s->is_quorum ? delivery_limit(s) : LV_QUEUE_NO_LIMIT,
        .overflow = overflow(s),
        .has_dead_letters = has_dlx,
        .counts_failures = s->is_quorum,
    };
}

/* NULL: it has none of these, or no memory (then *is_short). */
static struct lv_home_rules *read_home_rules(const struct source *s, bool *is_short)
{
    struct lv_bytes dlx = { 0 }, key = { 0 };
    bool has_dlx = argument_word(s, "x-dead-letter-exchange", &dlx) ||
                   policy_word(s, "dead-letter-exchange", &dlx);
    bool has_key = argument_word(s, "x-dead-letter-routing-key", &key) ||
                   policy_word(s, "dead-letter-routing-key", &key);
    uint64_t expires = smaller_number(s, "x-expires", "expires");

    *is_short = false;
    if (!has_dlx && expires == LV_QUEUE_NO_LIMIT)
        return NULL;
    dlx.len = LV_MIN(dlx.len, LV_SHORTSTR_MAX);
    key.len = LV_MIN(key.len, LV_SHORTSTR_MAX);
    struct lv_home_rules *r = lv_mem_zalloc(sizeof(*r) + dlx.len + key.len, LV_TAG_QUEUE);
    if (r == NULL) {
        *is_short = true;
        return NULL;
    }
    r->has_dlx = has_dlx;
    r->has_key = has_key;
    r->expires_ms = expires;
    if (dlx.len != 0)
        memcpy(r->text, dlx.ptr, dlx.len);
    if (key.len != 0)
        memcpy(r->text + dlx.len, key.ptr, key.len);
    r->dlx = lv_bytes(r->text, dlx.len);
    r->key = lv_bytes(r->text + dlx.len, key.len);
    return r;
}

/* ---- time ---- */

static void serve(struct lv_loop *loop, struct lv_task *task)
{
    struct lv_home_queue *hq = LV_CONTAINER_OF(task, struct lv_home_clock, serve)->hq;

    (void)loop;
    lv_queue_dispatch(hq->queue, lv_shard_wall(hq->shard));
}

static struct lv_home_clock *clock_of(struct lv_home_queue *hq)
{
    if (hq->clock == NULL && (hq->clock = lv_mem_zalloc(sizeof(*hq->clock), LV_TAG_QUEUE)) != NULL) {
        hq->clock->hq = hq;
        hq->clock->serve.run = serve;
        lv_list_init(&hq->clock->serve.link);
    }
    return hq->clock;
}

static void sweep(struct lv_loop *loop, struct lv_timer *timer)
{
    struct lv_home_clock *clock = LV_CONTAINER_OF(timer, struct lv_home_clock, wake);

    (void)loop;
    lv_queue_tick(clock->hq->queue, lv_shard_wall(clock->hq->shard));
}

void lv_home_wake(void *home, lv_time_ms at)
{
    struct lv_home_queue *hq = home;
    struct lv_home_clock *clock = hq->shard->is_started ? clock_of(hq) : NULL;
    lv_time_ms now = lv_shard_wall(hq->shard);

    if (clock != NULL) /* without memory: it is looked at when somebody uses it */
        lv_timer_start(hq->shard->loop, &clock->wake, at > now ? at - now : 0, sweep);
}

void lv_home_used(struct lv_home_queue *hq)
{
    if (LV_UNLIKELY(hq->clock != NULL))
        hq->clock->used_at = lv_shard_now(hq->shard);
}

static void watch_use(struct lv_home_queue *hq);

static void look_whether_unused(struct lv_loop *loop, struct lv_timer *timer)
{
    struct lv_home_queue *hq = LV_CONTAINER_OF(timer, struct lv_home_clock, unused)->hq;
    struct lv_queue_counts counts;

    (void)loop;
    lv_queue_counts(hq->queue, &counts);
    if (counts.consumers != 0)
        lv_home_used(hq);
    if (lv_shard_now(hq->shard) - hq->clock->used_at >= hq->rules->expires_ms)
        lv_home_delete(hq->shard, hq, NULL);
    else
        watch_use(hq);
}

static void watch_use(struct lv_home_queue *hq)
{
    lv_time_ms due = hq->clock->used_at + hq->rules->expires_ms;
    lv_time_ms now = lv_shard_now(hq->shard);

    lv_timer_start(hq->shard->loop, &hq->clock->unused, due > now ? due - now : 0,
                   look_whether_unused);
}

static void start_clock(struct lv_home_queue *hq)
{
    bool was_running = hq->clock != NULL && lv_timer_is_running(&hq->clock->unused);

    if (hq->rules == NULL || hq->rules->expires_ms == LV_QUEUE_NO_LIMIT) {
        if (hq->clock != NULL)
            lv_timer_stop(&hq->clock->unused);
        return;
    }
    if (!hq->shard->is_started || clock_of(hq) == NULL)
        return;
    if (!was_running)
        lv_home_used(hq);
    watch_use(hq);
}

void lv_home_rules_fini(struct lv_home_queue *hq)
{
    if (hq->clock != NULL) {
        lv_timer_stop(&hq->clock->wake);
        lv_timer_stop(&hq->clock->unused);
        lv_list_remove(&hq->clock->serve.link);
    }
    lv_mem_free(hq->clock, LV_TAG_QUEUE);
    lv_mem_free(hq->rules, LV_TAG_QUEUE);
    hq->clock = NULL;
    hq->rules = NULL;
}

/* ---- in effect ---- */

void lv_home_rule(struct lv_home_queue *hq)
{
    struct lv_queue_rules rules;
    struct source s;
    bool is_short;

    if (!open_source(hq->shard->broker, hq->entry, &s))
        return; /* no memory: as before, until the next change */
    struct lv_home_rules *own = read_home_rules(&s, &is_short);
    if (!is_short) {
        read_engine_rules(&s, own != NULL && own->has_dlx, &rules);
        lv_mem_free(hq->rules, LV_TAG_QUEUE);
        hq->rules = own;
        (void)!lv_queue_rule(hq->queue, &rules, lv_shard_wall(hq->shard));
        start_clock(hq);
    }
    json_decref(s.policy);
}

void lv_home_shape(struct lv_home_queue *hq)
{
    struct source s = { .arguments = hq->entry->arguments };
    struct lv_value v;
    int64_t max;

    if (hq->entry->kind == LV_QUEUE_QUORUM) {
        lv_queue_prioritize(hq->queue, QUORUM_LEVELS, QUORUM_USUAL);
        lv_queue_serve_returned_first(hq->queue);
    } else if (argument_number(&s, "x-max-priority", &max) && max > 0) {
        lv_queue_prioritize(hq->queue, (unsigned)LV_MIN(max, LV_QUEUE_LEVELS_MAX - 1) + 1, 0);
    }
    hq->is_single = lv_table_find(s.arguments, LV_BYTES_LIT("x-single-active-consumer"), &v) &&
                    v.kind == LV_KIND_BOOL && v.i != 0;
    if (hq->is_single)
        lv_queue_serve_one(hq->queue);
}

void lv_home_hand_over(struct lv_home_queue *hq)
{
    if (clock_of(hq) != NULL)
        lv_loop_defer(hq->shard->loop, &hq->clock->serve);
}

bool lv_queue_may_expire(const struct lv_queue_entry *entry)
{
    struct source s;
    bool may = open_source(entry->vhost->broker, entry, &s) &&
               smaller_number(&s, "x-expires", "expires") != LV_QUEUE_NO_LIMIT;

    json_decref(s.policy);
    return may;
}

/* ---- changes ---- */

/* A queue that nobody used so far expires, too: somebody has to watch it. */
static void watch_unused(struct lv_shard *registry, struct lv_vhost *v)
{
    struct lv_ptrmap_entry *e;
    size_t pos = 0;

    while ((e = lv_ptrmap_next(&v->router.queues, &pos)) != NULL) {
        struct lv_queue_entry *entry = (struct lv_queue_entry *)e;
        if (atomic_load(&entry->home) == LV_HOME_NONE_YET && lv_queue_may_expire(entry))
            (void)lv_home_of(registry, v, entry);
    }
}

static void rule_all(struct lv_shard *shard, uintptr_t vhost, uint32_t pos)
{
    struct lv_home_queue *hq = NULL;
    unsigned looked = 0;

    while (looked++ < LOOKED_AT_A_TIME && (hq = lv_handles_next(&shard->queues, &pos)) != NULL)
        if ((uintptr_t)hq->vhost == vhost) /* only compared: it may be gone */
            lv_home_rule(hq);
    struct lv_mail m = { .op = LV_MAIL_RULES, .a = pos, .w = { vhost } };
    if (hq != NULL)
        lv_loop_post(shard->loop, shard->index, &m);
}

void lv_broker_mail_rules(struct lv_shard *shard, const struct lv_mail *m)
{
    rule_all(shard, m->w[0], m->a);
}

void lv_rules_changed(struct lv_vhost *v)
{
    struct lv_broker *b = v->broker;
    struct lv_mail m = { .op = LV_MAIL_RULES, .w = { (uintptr_t)v } };

    if (!b->is_running)
        return; /* lv_rules_start sees it */
    watch_unused(&b->shards[LV_REGISTRY_LOOP], v);
    for (unsigned i = 0; i < lv_loops_count(b->loops); i++)
        lv_loop_post(b->shards[LV_REGISTRY_LOOP].loop, i, &m);
}

void lv_rules_start(struct lv_shard *shard)
{
    struct lv_ptrmap_entry *v;
    struct lv_home_queue *hq;
    uint32_t pos = 0;
    size_t vpos = 0;

    shard->is_started = true;
    while ((hq = lv_handles_next(&shard->queues, &pos)) != NULL) {
        lv_home_rule(hq);
        lv_queue_tick(hq->queue, lv_shard_wall(shard)); /* what was restored may be too old */
    }
    if (shard->index != LV_REGISTRY_LOOP)
        return;
    while ((v = lv_ptrmap_next(&shard->broker->vhosts, &vpos)) != NULL)
        watch_unused(shard, (struct lv_vhost *)v);
}
