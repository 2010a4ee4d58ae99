/* An agent's session has no socket: what a call or a publish tells it makes it step on, as an errand of its own loop. */
#include "broker/agent.h"

#include <stdio.h>

#include "base/mem.h"
#include "broker/broker_priv.h"
#include "config/config.h"

struct agent_session {
    struct lv_session s; /* first */
    struct lv_agent *agent;
    bool is_done;      /* nothing is awaited any more */
    bool is_away;      /* run has returned, and waits to be sent again */
    uint32_t lack;     /* publish: acceptances to come */
    lv_lsn end;        /* publish: what must be stable */
    struct lv_sub sub; /* get: names the queue, for settling */
    uint32_t *slots;   /* get: of agent->got */
    size_t got_bytes;
};

static void finished(struct agent_session *as)
{
    as->is_done = true;
    if (as->is_away)
        lv_errand_send(as->s.broker, as->s.shard->index, &as->agent->errand);
}

static void fail(struct agent_session *as, uint16_t code, const char *text)
{
    struct lv_failure *f = &as->agent->failure;

    if (f->code != 0)
        return;
    f->code = code;
    (void)snprintf(f->text, sizeof(f->text), "%.*s", LV_FAILURE_TEXT_MAX - 1, text);
}

/* ---- what a session without a socket is asked ---- */

static enum lv_sink_answer on_deliver(struct lv_sub *sub, const struct lv_delivery *d)
{
    (void)sub, (void)d;
    LV_UNREACHABLE("an agent has no consumer");
}

static void on_cancelled(struct lv_sub *sub)
{
    (void)sub;
}

static void look_whether_stable(struct agent_session *as)
{
    if (as->lack != 0)
        return;
    if (as->end > lv_session_stable(&as->s))
        lv_session_await_stable(&as->s);
    else if (!as->is_done)
        finished(as);
}

static void on_stable(struct lv_session *s)
{
    look_whether_stable((struct agent_session *)s);
}

static void on_accepted(struct lv_session *s, uint64_t token, lv_lsn end, bool is_refused)
{
    struct agent_session *as = (struct agent_session *)s;

    (void)token;
    as->agent->is_routed = as->agent->is_routed && !is_refused;
    as->lack--;
    as->end = LV_MAX(as->end, end);
    look_whether_stable(as);
}

static bool on_reply(struct lv_session *s, uint64_t consumer, struct lv_msg *msg)
{
    (void)s, (void)consumer, (void)msg;
    return false;
}

static void on_shut(struct lv_session *s, uint16_t code, const char *text)
{
    (void)s, (void)code, (void)text; /* it ends by itself, soon */
}

static void on_logged_in(struct lv_session *s, enum lv_login login)
{
    (void)s, (void)login;
}

static void on_event(struct lv_session *s)
{
    (void)s;
}

static void on_check_acks(struct lv_session *s, lv_time_ms now, uint64_t timeout_ms)
{
    (void)s, (void)now, (void)timeout_ms;
}

static bool can_move(const struct lv_session *s)
{
    (void)s;
    return false;
}

static void on_gone(struct lv_session *s)
{
    struct agent_session *as = (struct agent_session *)s;

    lv_mem_free(as->slots, LV_TAG_BROKER);
    lv_mem_free(as, LV_TAG_BROKER);
}

static const struct lv_session_ops agent_ops = {
    .deliver = on_deliver,
    .cancelled = on_cancelled,
    .accepted = on_accepted,
    .stable = on_stable,
    .reply = on_reply,
    .shut = on_shut,
    .logged_in = on_logged_in,
    .recheck = on_event,
    .can_move = can_move,
    .moved = on_event,
    .check_acks = on_check_acks,
    .unblocked = on_event,
    .leave = on_event,
    .gone = on_gone,
};

/* ---- verbs ---- */

static bool may(struct agent_session *as, enum lv_operation operation, const struct lv_operands *on)
{
    struct lv_refusal why;

    if (lv_check_operation(&as->s.pass, NULL, operation, on, &why) == LV_OK)
        return true;
    fail(as, why.code, why.text);
    return false;
}

static void called(struct lv_session *s, struct lv_call *call)
{
    struct agent_session *as = (struct agent_session *)s;
    struct lv_agent *a = as->agent;

    if (call->failure.code != 0)
        fail(as, call->failure.code, call->failure.text);
    a->is_new = a->is_new && a->failure.code == 0;
    a->messages = call->messages;
    a->consumers = call->consumers;
    finished(as);
}

static struct lv_call *call_new(struct agent_session *as,
                                void (*done)(struct lv_session *, struct lv_call *))
{
    const struct lv_agent *a = as->agent;
    struct lv_call *call = lv_call_new(&as->s, done);

    if (call == NULL) {
        fail(as, 541, "out of memory");
        finished(as);
        return NULL;
    }
    call->name = a->name;
    call->other = a->other;
    call->key = a->key;
    call->arguments = a->arguments;
    call->type = a->type;
    call->durable = a->durable;
    call->auto_delete = a->auto_delete;
    call->internal = a->internal;
    call->if_unused = a->if_unused;
    call->if_empty = a->if_empty;
    call->to_exchange = a->to_exchange;
    return call;
}

/* A verb that is one call: what it needs, and what must be there. */
struct plain_verb {
    enum lv_operation operation;
    void (*call)(struct lv_call *call);
    enum { NOTHING, A_QUEUE, AN_EXCHANGE } needs; /* of that name, or it is 404 */
};

static const struct plain_verb plain_verbs[] = {
    [LV_AGENT_QUEUE_DECLARE] = { LV_OP_QUEUE_DECLARE, lv_queue_declare, NOTHING },
    [LV_AGENT_QUEUE_DELETE] = { LV_OP_QUEUE_DELETE, lv_queue_delete, A_QUEUE },
    [LV_AGENT_QUEUE_PURGE] = { LV_OP_QUEUE_PURGE, lv_queue_purge_call, A_QUEUE },
    [LV_AGENT_EXCHANGE_DECLARE] = { LV_OP_EXCHANGE_DECLARE, lv_exchange_declare, NOTHING },
    [LV_AGENT_EXCHANGE_DELETE] = { LV_OP_EXCHANGE_DELETE, lv_exchange_delete, AN_EXCHANGE },
    [LV_AGENT_BIND] = { LV_OP_QUEUE_BIND, lv_bind, NOTHING },
    [LV_AGENT_UNBIND] = { LV_OP_QUEUE_UNBIND, lv_unbind, NOTHING },
};

static bool is_there(const struct agent_session *as, bool is_exchange)
{
    const struct lv_router *router = &as->s.vhost->router;

    return is_exchange ? lv_router_exchange(router, as->agent->name) != NULL
                       : lv_router_queue(router, as->agent->name) != NULL;
}

static void plain(struct agent_session *as)
{
    struct lv_agent *a = as->agent;
    const struct plain_verb *verb = &plain_verbs[a->verb];
    bool is_binding = a->verb == LV_AGENT_BIND || a->verb == LV_AGENT_UNBIND;
    bool is_exchange = verb->needs == AN_EXCHANGE || a->verb == LV_AGENT_EXCHANGE_DECLARE;
    struct lv_operands on = { .name = a->name };
    enum lv_operation operation = verb->operation;
    char rs[LV_RS_MAX], text[LV_RS_MAX + 8];

    if (is_binding) { /* the call's name is the source */
        on.name = a->other;
        on.other = a->name;
        on.key = a->key;
        on.is_topic = lv_session_is_topic(&as->s, a->name);
        if (a->to_exchange)
            operation = a->verb == LV_AGENT_BIND ? LV_OP_EXCHANGE_BIND : LV_OP_EXCHANGE_UNBIND;
    }
    if (!may(as, operation, &on)) {
        finished(as);
        return;
    }
    a->is_new = !is_binding && !is_there(as, is_exchange);
    if (verb->needs != NOTHING && a->is_new) {
        (void)snprintf(text, sizeof(text), "no %s",
                       lv_rs(rs, sizeof(rs), is_exchange ? "exchange" : "queue", a->name,
                             as->s.vhost));
        fail(as, 404, text);
        finished(as);
        return;
    }
    struct lv_call *call = call_new(as, called);
    if (call != NULL)
        verb->call(call);
}

/* ---- publish ---- */

static bool route(struct agent_session *as, struct lv_route_memo *memo)
{
    struct lv_agent *a = as->agent;
    struct lv_refusal why;
    char rs[LV_RS_MAX], text[LV_RS_MAX + 40];
    struct lv_operands on = {
        .name = a->name,
        .key = a->key,
        .more_keys = a->more_keys,
        .more_count = a->more_count,
        .is_topic = lv_session_is_topic(&as->s, a->name),
        .user_id = a->user_id,
        .has_user_id = a->has_user_id,
    };

    if (!may(as, LV_OP_BASIC_PUBLISH, &on))
        return false;
    enum lv_err err = lv_session_find_exchange(&as->s, a->name);
    if (err == LV_OK && !may(as, LV_OP_BASIC_PUBLISH_ROUTED, &on))
        return false;
    if (err == LV_OK)
        err = lv_session_route(&as->s, memo, a->name, a->key, a->more_keys, a->more_count,
                               a->headers, &why);
    if (err == LV_OK)
        return true;
    lv_rs(rs, sizeof(rs), "exchange", a->name, as->s.vhost);
    if (err == LV_ENOTFOUND)
        (void)snprintf(text, sizeof(text), "no %s", rs);
    else
        (void)snprintf(text, sizeof(text), "cannot publish to internal %s", rs);
    fail(as,
         err == LV_ENOTFOUND  ? 404
         : err == LV_EREFUSED ? 403
                              : 541,
         err == LV_ENOMEM ? "out of memory" : text);
    return false;
}

static void publish(struct agent_session *as)
{
    struct lv_agent *a = as->agent;
    struct lv_route_memo memo = { 0 };
    struct lv_msg *msg = NULL;
    bool lost = false;

    if (as->s.shard->alarms != 0)
        fail(as, 506, "publishing is blocked: low on memory or disk");
    else if (a->body.len > as->s.broker->settings->max_message_size)
        fail(as, 406, "message size is larger than the configured max size");
    else if (route(as, &memo)) {
        msg = lv_msg_new(a->name, a->key, a->properties, (uint32_t)a->body.len);
        if (msg == NULL)
            fail(as, 541, "out of memory");
    }
    if (msg != NULL) {
        if (a->body.len != 0)
            memcpy(lv_msg_body_room(msg), a->body.ptr, a->body.len);
        msg->persistent = a->is_persistent || memo.keeps_all;
        msg->priority = a->priority;
        msg->has_priority = a->has_priority;
        if (a->has_expiration)
            lv_msg_set_ttl_ms(msg, a->ttl_ms);
        a->is_routed = memo.count != 0;
        lv_session_published(&as->s, &memo, msg, 1);
        if (!a->is_routed)
            lv_session_unroutable(&as->s, &memo, LV_FATE_RETURNED);
        as->lack = lv_session_publish(&as->s, memo.queues, memo.count, msg, 1, &lost, &as->end);
        a->is_routed = a->is_routed && !lost;
        lv_msg_unref(msg);
    }
    lv_route_memo_fini(&as->s, &memo);
    look_whether_stable(as);
}

/* ---- get ---- */

static void get_next(struct agent_session *as);

static void settle_got(struct agent_session *as)
{
    static const enum lv_outcome outcomes[] = {
        [LV_AGENT_ACK_REQUEUE] = LV_RELEASED,
        [LV_AGENT_ACK] = LV_ACCEPTED,
        [LV_AGENT_REJECT] = LV_REJECTED,
    };

    if (as->agent->got_count != 0)
        lv_sub_settle(&as->sub, as->slots, as->agent->got_count, outcomes[as->agent->ack_mode]);
    finished(as);
}

static void got(struct lv_session *s, struct lv_call *call)
{
    struct agent_session *as = (struct agent_session *)s;
    struct lv_agent *a = as->agent;

    if (call->failure.code != 0)
        fail(as, call->failure.code, call->failure.text);
    if (call->failure.code != 0 || call->is_empty) {
        settle_got(as);
        return;
    }
    lv_msg_share(call->msg);
    as->sub.queue = call->queue;
    as->slots[a->got_count] = call->slot;
    a->got[a->got_count++] =
        (struct lv_agent_message){ call->msg, call->messages, call->redelivered };
    as->got_bytes += call->msg->body_len + call->msg->props_len;
    if (a->got_count == a->count || as->got_bytes >= LV_AGENT_GET_BYTES_MAX)
        settle_got(as);
    else if (as->is_away) /* the next one as a step of its own: this call is not over yet */
        lv_errand_send(s->broker, s->shard->index, &a->errand);
}

/* One call after the other; those that are answered at once in one turn. */
static void get_next(struct agent_session *as)
{
    struct lv_agent *a = as->agent;
    uint32_t before;

    do {
        before = a->got_count;
        struct lv_call *call = call_new(as, got);
        if (call != NULL)
            lv_get(call);
    } while (!as->is_done && as->s.call == NULL && a->got_count != before);
}

static void get(struct agent_session *as)
{
    struct lv_agent *a = as->agent;

    a->count = LV_MIN(a->count, LV_AGENT_GET_MAX);
    if (!may(as, LV_OP_BASIC_GET, &(struct lv_operands){ .name = a->name }) || a->count == 0) {
        finished(as);
        return;
    }
    as->sub.session = &as->s;
    as->slots = lv_mem_alloc(a->count * sizeof(*as->slots), LV_TAG_BROKER);
    a->got = lv_mem_alloc(a->count * sizeof(*a->got), LV_TAG_BROKER);
    if (as->slots == NULL || a->got == NULL) {
        fail(as, 541, "out of memory");
        finished(as);
        return;
    }
    get_next(as);
}

/* ---- its life ---- */

static struct agent_session *begin(struct lv_shard *shard, struct lv_agent *a)
{
    struct agent_session *as = lv_mem_zalloc(sizeof(*as), LV_TAG_BROKER);
    struct lv_refusal why = { .code = 403, .text = "access refused" };

    if (as == NULL || lv_session_open_detached(&as->s, shard, &agent_ops) != LV_OK) {
        lv_mem_free(as, LV_TAG_BROKER);
        a->failure = (struct lv_failure){ 541, "out of memory" };
        return NULL;
    }
    as->agent = a;
    enum lv_err err = lv_pass_init(&as->s.pass, shard->broker->access, a->user, a->credential);
    if (err == LV_OK)
        err = lv_session_enter(&as->s, a->vhost, &why);
    if (err == LV_OK)
        return as;
    fail(as, err == LV_ENOMEM ? 541 : why.code, err == LV_ENOMEM ? "out of memory" : why.text);
    as->is_done = true;
    return as;
}

static void start(struct agent_session *as)
{
    if (as->agent->verb == LV_AGENT_PUBLISH)
        publish(as);
    else if (as->agent->verb == LV_AGENT_GET)
        get(as);
    else
        plain(as);
}

static enum lv_errand_step run(struct lv_shard *shard, struct lv_errand *errand)
{
    struct lv_agent *a = (struct lv_agent *)errand;
    struct agent_session *as = a->session;

    if (as == NULL) {
        as = a->session = begin(shard, a);
        if (as == NULL)
            return LV_ERRAND_DONE;
        if (!as->is_done)
            start(as);
    } else if (!as->is_done) {
        as->is_away = false;
        get_next(as);
    }
    if (!as->is_done) {
        as->is_away = true;
        return LV_ERRAND_AWAY;
    }
    a->session = NULL;
    lv_session_end(&as->s);
    return LV_ERRAND_DONE;
}

void lv_agent_send(struct lv_broker *b, struct lv_agent *agent)
{
    agent->errand.run = run;
    lv_errand_send(b, LV_REGISTRY_LOOP, &agent->errand);
}

void lv_agent_fini(struct lv_agent *agent)
{
    for (uint32_t i = 0; i < agent->got_count; i++)
        lv_msg_unref(agent->got[i].msg);
    lv_mem_free(agent->got, LV_TAG_BROKER);
    agent->got = NULL;
    agent->got_count = 0;
}

void lv_agents_drop(struct lv_shard *registry)
{
    struct lv_session *s;
    uint32_t pos = 0;

    while ((s = lv_handles_next(&registry->sessions, &pos)) != NULL) {
        if (s->ops != &agent_ops)
            continue;
        struct agent_session *as = (struct agent_session *)s;
        struct lv_agent *a = as->agent;
        fail(as, 320, "the broker is stopping");
        a->session = NULL;
        lv_handles_remove(&registry->sessions, s->self);
        lv_pass_fini(&s->pass);
        on_gone(s);
        lv_errand_finish(registry, &a->errand);
    }
}
