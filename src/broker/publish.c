/* Publishing: from exchange and key to queues, and to the loops where they live. */
#include "base/mem.h"
#include "broker/broker_priv.h"

void lv_route_memo_fini(struct lv_session *s, struct lv_route_memo *memo)
{
    lv_count_memo_fini(s, memo);
    lv_mem_free(memo->queues, LV_TAG_CHANNEL);
    lv_mem_free(memo->routed, LV_TAG_CHANNEL);
    memo->queues = NULL;
    memo->routed = NULL;
    memo->count = memo->cap = 0;
    memo->version = 0;
}

static inline bool memo_is_exchange(const struct lv_route_memo *memo, struct lv_bytes exchange)
{
    return memo->exchange_len == exchange.len && memcmp(memo->text, exchange.ptr, exchange.len) == 0;
}

static enum lv_err memo_take(struct lv_session *s, struct lv_route_memo *memo,
                             const struct lv_route *rt)
{
    lv_count_run(memo);
    if (rt->count > memo->cap) {
        lv_handle *queues =
            lv_mem_realloc(memo->queues, rt->count * sizeof(*queues), LV_TAG_CHANNEL);
        if (queues == NULL)
            return LV_ENOMEM;
        memo->queues = queues;
        struct lv_routed **routed =
            lv_mem_realloc(memo->routed, rt->count * sizeof(*routed), LV_TAG_CHANNEL);
        if (routed == NULL)
            return LV_ENOMEM;
        memo->routed = routed;
        memo->cap = (uint32_t)rt->count;
    }
    memo->keeps_all = false;
    for (size_t i = 0; i < rt->count; i++) {
        memo->keeps_all |= ((const struct lv_queue_entry *)rt->queues[i])->kind == LV_QUEUE_QUORUM;
        memo->queues[i] = lv_home_of(s->shard, s->vhost, (struct lv_queue_entry *)rt->queues[i]);
        if (memo->queues[i] == LV_HOME_NONE_YET)
            return LV_ENOMEM;
        memo->routed[i] = lv_count_route(memo, (const struct lv_queue_entry *)rt->queues[i]);
    }
    memo->count = (uint32_t)rt->count;
    return LV_OK;
}

/* Routing keys are asked for where the exchange is a topic one. */
static bool may_use_keys(struct lv_session *s, struct lv_route_memo *memo,
                         const struct lv_route_query *query, struct lv_refusal *why)
{
    struct lv_operands on = {
        .name = memo->exchange->spec.name,
        .key = query->key,
        .more_keys = query->more_keys,
        .more_count = query->more_count,
        .is_topic = true,
    };

    return memo->exchange->spec.type != LV_EXCHANGE_TOPIC ||
           lv_check_operation(&s->pass, memo->checks, LV_OP_BASIC_PUBLISH_ROUTED, &on, why) == LV_OK;
}

static enum lv_err route_anew(struct lv_session *s, struct lv_route_memo *memo,
                              struct lv_bytes exchange, const struct lv_route_query *query,
                              uint64_t version, struct lv_refusal *why)
{
    const struct lv_router *router = &s->vhost->router;
    struct lv_route *rt = &s->shard->route;
    uint64_t permissions = lv_access_version(s->broker->access);
    bool is_allowed = memo->allowed == permissions && memo_is_exchange(memo, exchange);

    why->code = 0;
    memo->allowed = 0;
    if (!is_allowed && lv_check_operation(&s->pass, memo->checks, LV_OP_BASIC_PUBLISH,
                                          &(struct lv_operands){ .name = exchange }, why) != LV_OK)
        return LV_EREFUSED;
    if (memo->version != version || !memo_is_exchange(memo, exchange)) {
        struct lv_exchange *x = lv_router_exchange(router, exchange);
        memo->version = 0;
        if (x == NULL)
            return LV_ENOTFOUND;
        if (x->spec.internal)
            return LV_EREFUSED;
        lv_count_exchange(memo, x, exchange);
        memo->exchange_len = (uint16_t)exchange.len;
        memcpy(memo->text, exchange.ptr, exchange.len);
    }
    memo->has_key = false;
    if (!may_use_keys(s, memo, query, why))
        return LV_EREFUSED;
    enum lv_err err = lv_route(router, memo->exchange, query, rt);
    if (err == LV_OK)
        err = memo_take(s, memo, rt);
    if (err != LV_OK) {
        memo->version = 0;
        return err;
    }
    memo->version = version;
    memo->allowed = permissions;
    if (query->more_count == 0 && !rt->used_headers) {
        memo->key_len = (uint16_t)query->key.len;
        memcpy(memo->text + memo->exchange_len, query->key.ptr, query->key.len);
        memo->has_key = true;
    }
    return LV_OK;
}

enum lv_err lv_session_route_slow(struct lv_session *s, struct lv_route_memo *memo,
                                  struct lv_bytes exchange, struct lv_bytes key,
                                  const struct lv_bytes *more_keys, size_t more_count,
                                  struct lv_bytes headers, struct lv_refusal *why)
{
    uint64_t version = atomic_load_explicit(&s->vhost->router.version, memory_order_acquire);
    struct lv_route_query query = {
        .key = key,
        .more_keys = more_keys,
        .more_count = more_count,
        .headers = headers,
    };

    return route_anew(s, memo, exchange, &query, version, why);
}

enum lv_err lv_session_find_exchange(const struct lv_session *s, struct lv_bytes exchange)
{
    const struct lv_exchange *x = lv_router_exchange(&s->vhost->router, exchange);

    return x == NULL ? LV_ENOTFOUND : x->spec.internal ? LV_EREFUSED : LV_OK;
}

bool lv_session_is_topic(const struct lv_session *s, struct lv_bytes exchange)
{
    const struct lv_exchange *x = lv_router_exchange(&s->vhost->router, exchange);

    return x != NULL && x->spec.type == LV_EXCHANGE_TOPIC;
}

/* A publisher whose messages all go to one other loop had better live there. */
#define AWAY_STREAK 256u

static void note_away(struct lv_session *s, unsigned loop)
{
    if (s->away_loop != loop) {
        s->away_loop = (uint8_t)loop;
        s->away_streak = 0;
    }
    if (++s->away_streak >= AWAY_STREAK) {
        s->away_streak = 0;
        lv_session_follow(s, loop);
    }
}

void lv_publish_post(struct lv_shard *shard, lv_handle queue, struct lv_msg *kept, struct lv_mail *m)
{
    lv_msg_share(kept);
    m->w[0] = queue;
    m->w[1] = (uintptr_t)kept;
    m->w[4] = lv_msg_lsn(kept);
    /* Its record, if it has one already, is not given up before the queue over there has counted it. */
    if (m->w[4] != 0)
        lv_journal_hold(&shard->journal, m->w[4], 1);
    lv_loop_post(shard->loop, lv_handle_loop(queue), m);
}

enum lv_err lv_publish_take(struct lv_shard *shard, const struct lv_mail *m)
{
    struct lv_msg *msg = (struct lv_msg *)m->w[1];
    enum lv_err err = lv_home_publish(shard, m->w[0], msg);

    lv_msg_unref(msg);
    if (m->w[4] != 0)
        lv_journal_hold(&shard->journal, m->w[4], -1);
    return err;
}

static bool publish_away(struct lv_session *s, lv_handle queue, struct lv_msg *msg, uint64_t token)
{
    struct lv_msg *kept = lv_msg_keep(msg);

    if (kept == NULL)
        return false;
    struct lv_mail m = { .op = LV_MAIL_PUBLISH, .w = { [2] = s->self, [3] = token } };
    lv_publish_post(s->shard, queue, kept, &m);
    s->away_unaccepted += token != 0;
    note_away(s, lv_handle_loop(queue));
    return true;
}

static bool publish_here(struct lv_session *s, lv_handle queue, struct lv_msg *msg)
{
    s->away_streak = 0;
    return LV_LIKELY(lv_home_publish(s->shard, queue, msg) == LV_OK);
}

__attribute__((noinline)) static uint32_t publish_to_all(struct lv_session *s,
                                                         const lv_handle *queues, size_t count,
                                                         struct lv_msg *msg, uint64_t token,
                                                         bool *lost)
{
    struct lv_shard *shard = s->shard;
    size_t others = 0;
    uint32_t away = 0;

    /* Those here first: what they log of the message, the others need not log again. */
    for (size_t i = 0; i < count; i++) {
        if (LV_UNLIKELY(lv_handle_loop(queues[i]) != shard->index)) {
            others++;
            continue;
        }
        if (!publish_here(s, queues[i], msg))
            *lost = true;
    }
    for (size_t i = 0; others != 0 && i < count; i++) {
        if (lv_handle_loop(queues[i]) == shard->index)
            continue;
        if (publish_away(s, queues[i], msg, token))
            away += token != 0;
        else
            *lost = true;
    }
    return away;
}

uint32_t lv_session_publish(struct lv_session *s, const lv_handle *queues, size_t count,
                            struct lv_msg *msg, uint64_t token, bool *lost, lv_lsn *end)
{
    struct lv_shard *shard = s->shard;
    lv_lsn before = shard->journal.end;
    uint32_t away = 0;

    msg->published_ms = lv_shard_wall(shard);

    if (LV_UNLIKELY(count != 1 || lv_handle_loop(queues[0]) != shard->index))
        away = publish_to_all(s, queues, count, msg, token, lost);
    else if (LV_UNLIKELY(!publish_here(s, queues[0], msg)))
        *lost = true;
    *end = shard->journal.end != before ? shard->journal.end : 0;
    return away;
}

void lv_session_reply(struct lv_session *s, lv_handle to, uint64_t consumer, struct lv_msg *msg)
{
    struct lv_shard *shard = s->shard;
    struct lv_session *target;

    if (lv_handle_loop(to) >= lv_loops_count(s->broker->loops))
        return; /* an address that we never gave out */
    if (lv_handle_loop(to) == shard->index) {
        target = lv_handles_get(&shard->sessions, to);
        if (target != NULL)
            (void)target->ops->reply(target, consumer, msg);
        return;
    }
    struct lv_msg *kept = lv_msg_keep(msg);
    if (kept == NULL)
        return; /* at most once: replies may be lost */
    lv_msg_share(kept);
    struct lv_mail m = { .op = LV_MAIL_REPLY, .w = { to, consumer, (uintptr_t)kept } };
    lv_loop_post(shard->loop, lv_handle_loop(to), &m);
}

static void reply_there(struct lv_shard *shard, struct lv_call *call)
{
    struct lv_session *target = lv_handles_get(&shard->sessions, call->queue);

    call->is_empty = target == NULL || !target->ops->reply(target, call->consumers, call->msg);
    lv_call_finish(shard, call);
}

void lv_reply(struct lv_call *call)
{
    struct lv_shard *shard = call->session->shard;
    unsigned loop = lv_handle_loop(call->queue);

    if (loop >= lv_loops_count(call->broker->loops)) {
        call->is_empty = true;
        lv_call_finish(shard, call);
        return;
    }
    if (call->msg != NULL && loop != shard->index)
        lv_msg_share(call->msg);
    lv_call_go(shard, call, loop, reply_there);
}

/* ---- mail ---- */

static void publish_arrived(struct lv_shard *shard, const struct lv_mail *m)
{
    lv_lsn before = shard->journal.end;
    bool is_refused = lv_publish_take(shard, m) != LV_OK;

    if (m->w[3] == 0)
        return;
    lv_lsn end = shard->journal.end != before ? shard->journal.end : 0;
    struct lv_mail back = {
        .op = LV_MAIL_ACCEPTED,
        .a = is_refused,
        .w = { m->w[2], m->w[3], end },
    };
    lv_loop_post(shard->loop, lv_handle_loop(m->w[2]), &back);
}

void lv_broker_mail_publish(struct lv_shard *shard, const struct lv_mail *m)
{
    if (m->op == LV_MAIL_PUBLISH) {
        publish_arrived(shard, m);
        return;
    }
    struct lv_session *s = lv_handles_get(&shard->sessions, m->w[0]);
    if (m->op == LV_MAIL_ACCEPTED) {
        if (s == NULL)
            return;
        s->ops->accepted(s, m->w[1], m->w[2], m->a != 0);
        if (--s->away_unaccepted == 0 && s->is_moving)
            lv_loop_defer(shard->loop, &s->mover);
        return;
    }
    struct lv_msg *msg = (struct lv_msg *)m->w[2];
    if (s != NULL)
        (void)s->ops->reply(s, m->w[1], msg);
    lv_msg_unref(msg);
}
