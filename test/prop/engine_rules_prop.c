/* A queue whose rules change, under random commands and a clock that moves: every delivery and every death is held against
 * a model when it happens, and after each command nothing may be left that should have died, or gone out. */
#include "base/mem.h"
#include "engine/queue.h"
#include "lv_test.h"

enum {
    CONSUMERS = 4,
    LEVELS = 4,
    OPS = 400,
    BURST_MAX = 40,
    FLOOD = 3000, /* so many that not all may die at once */
    FLOODS = 3,
    MESSAGES_MAX = OPS * BURST_MAX + FLOODS * FLOOD,
    DYING_MAX = 4096 /* sweep.c */
};

#define NEVER UINT64_MAX

enum state { GONE, READY, RETURNED, UNSETTLED, DYING, CONDEMNED /* it must die in this command */ };

struct message {
    enum state state;
    uint8_t level;     /* 0 goes first */
    enum lv_death why; /* CONDEMNED */
    bool was_seen, is_redelivered;
    uint32_t bytes, slot, failures;
    uint64_t returned_at; /* count of returns */
    lv_time_ms published, ttl;
};

struct list {
    uint32_t at[MESSAGES_MAX];
    size_t count;
};

struct model {
    struct lv_rng rng;
    struct lv_queue *q;
    lv_time_ms now, wake_at;
    struct lv_queue_rules rules;
    unsigned levels, floods;
    uint8_t usual;
    bool is_list, is_single, may_flood;
    bool is_short;                     /* an allocation fails in this command */
    uint32_t fresh;                    /* the message that is published now */
    uint64_t nameless[LV_DEATH_COUNT]; /* deaths to come that show no message */
    size_t condemned;
    struct lv_consumer consumers[CONSUMERS];
    uint64_t arrivals, arrived[CONSUMERS]; /* 0: not subscribed */
    size_t served;                         /* CONSUMERS: nobody */
    struct message messages[MESSAGES_MAX];
    uint32_t count, heads[LEVELS]; /* heads: none of the level before it is READY */
    struct list returned, unsettled, dying;
    uint64_t returns, ready, ready_bytes, unsettled_bytes;
};

static struct model m;

static uint32_t below(uint32_t n)
{
    return lv_rng_below(&m.rng, n);
}

/* ---- the model ---- */

static void list_remove(struct list *l, uint32_t n)
{
    size_t i = 0;

    while (i < l->count && l->at[i] != n)
        i++;
    CHECK(i < l->count);
    l->at[i] = l->at[--l->count];
}

static lv_time_ms deadline(uint32_t n)
{
    uint64_t ttl = LV_MIN(m.messages[n].ttl, m.rules.ttl_ms);

    return ttl == NEVER ? NEVER : m.messages[n].published + ttl;
}

static bool is_due(uint32_t n)
{
    return deadline(n) <= m.now;
}

/* The first of a level that was never handed out; m.count: none. */
static uint32_t head_of(unsigned level)
{
    uint32_t n = m.heads[level];

    while (n < m.count && (m.messages[n].state != READY || m.messages[n].level != level))
        n++;
    m.heads[level] = n;
    return n;
}

static uint32_t head(void)
{
    for (unsigned level = 0; level < LEVELS; level++)
        if (head_of(level) != m.count)
            return head_of(level);
    return m.count;
}

static bool is_before(uint32_t a, uint32_t b)
{
    const struct message *x = &m.messages[a], *y = &m.messages[b];

    if (m.is_list)
        return x->returned_at < y->returned_at;
    return x->level != y->level ? x->level < y->level : a < b;
}

/* The first of those that came back; m.count: none. */
static uint32_t first_returned(void)
{
    uint32_t best = m.count;

    for (size_t i = 0; i < m.returned.count; i++)
        if (best == m.count || is_before(m.returned.at[i], best))
            best = m.returned.at[i];
    return best;
}

/* What goes next; m.count: nothing. */
static uint32_t next(void)
{
    uint32_t ready = head(), back = first_returned();

    if (back == m.count || ready == m.count)
        return back != m.count ? back : ready;
    return m.is_list || m.messages[back].level <= m.messages[ready].level ? back : ready;
}

/* It is not ready any more. */
static void leave(uint32_t n)
{
    struct message *msg = &m.messages[n];

    if (msg->state == RETURNED)
        list_remove(&m.returned, n);
    else
        CHECK_EQ(msg->state, READY);
    m.ready--;
    m.ready_bytes -= msg->bytes;
    msg->state = GONE;
}

static void hand(uint32_t n, const struct lv_delivery *d, bool no_ack)
{
    struct message *msg = &m.messages[n];
    uint32_t number;

    memcpy(&number, d->msg->body, sizeof(number));
    CHECK_EQ(number, n);
    CHECK_EQ(d->msg->body_len, msg->bytes);
    CHECK_EQ(d->redelivered, msg->was_seen);
    CHECK_EQ(d->failures, msg->failures);
    CHECK_EQ(d->slot == LV_SLOT_NONE, no_ack);
    leave(n);
    if (no_ack)
        return;
    msg->state = UNSETTLED;
    msg->slot = d->slot;
    msg->is_redelivered = d->redelivered;
    m.unsettled.at[m.unsettled.count++] = n;
    m.unsettled_bytes += msg->bytes;
}

static bool is_too_much(void)
{
    return m.rules.overflow == LV_OVERFLOW_DROP_HEAD && m.ready != 0 &&
           (m.ready > m.rules.max_length || m.ready_bytes > m.rules.max_bytes);
}

static bool is_refused(uint32_t bytes)
{
    return m.rules.overflow != LV_OVERFLOW_DROP_HEAD &&
           (m.ready >= m.rules.max_length ||
            (m.rules.max_bytes != NEVER && m.ready_bytes + bytes > m.rules.max_bytes));
}

static bool can_take(size_t i)
{
    const struct lv_consumer *c = &m.consumers[i];

    return m.arrived[i] != 0 && c->credit != 0 && !c->is_paused && (!m.is_single || m.served == i);
}

/* The earliest time at which one dies that nobody would look at otherwise. */
static lv_time_ms next_deadline(void)
{
    uint32_t back = first_returned();
    lv_time_ms at = back != m.count ? deadline(back) : NEVER;

    for (unsigned level = 0; level < LEVELS; level++)
        if (head_of(level) != m.count)
            at = LV_MIN(at, deadline(head_of(level)));
    return at;
}

/* ---- what the queue says ---- */

static enum lv_sink_answer on_deliver(struct lv_consumer *c, const struct lv_delivery *d)
{
    size_t i = (size_t)(c - m.consumers);
    uint32_t n = next();

    CHECK(m.arrived[i] != 0 && !c->is_paused && (!m.is_single || m.served == i));
    CHECK(n < m.count);
    CHECK(!is_due(n) || n == m.fresh);
    hand(n, d, c->no_ack);
    if (below(20) == 0)
        lv_consumer_pause(&m.consumers[below(CONSUMERS)]);
    return below(12) == 0 ? LV_SINK_STOP : LV_SINK_MORE;
}

static void on_cancelled(struct lv_consumer *c)
{
    m.arrived[c - m.consumers] = 0;
}

/* May it die for that, now? */
static void judge(uint32_t n, enum lv_death why)
{
    struct message *msg = &m.messages[n];

    if (msg->state == CONDEMNED) {
        CHECK_EQ(msg->why, why);
        m.condemned--;
        return;
    }
    if (why == LV_DEATH_MAXLEN) {
        CHECK(is_too_much());
        CHECK_EQ(n, next());
    } else {
        CHECK_EQ(why, LV_DEATH_EXPIRED);
        CHECK(is_due(n));
        CHECK(n == first_returned() || n == head_of(msg->level));
    }
    leave(n);
}

static void on_died(void *owner, const struct lv_delivery *d, enum lv_death why)
{
    uint32_t n;

    CHECK(owner == &m);
    if (d->msg == NULL) {
        CHECK_EQ(d->slot, LV_SLOT_NONE);
        CHECK(m.nameless[why]-- != 0);
        return;
    }
    memcpy(&n, d->msg->body, sizeof(n));
    CHECK(n < m.count);
    CHECK_EQ(d->msg->body_len, m.messages[n].bytes);
    judge(n, why);
    if (d->slot != LV_SLOT_NONE) {
        CHECK(m.rules.has_dead_letters);
        m.messages[n].state = DYING;
        m.messages[n].slot = d->slot;
        m.dying.at[m.dying.count++] = n;
    } else {
        CHECK(!m.rules.has_dead_letters || is_refused(m.messages[n].bytes));
        m.messages[n].state = GONE;
    }
    if (below(30) == 0)
        lv_consumer_pause(&m.consumers[below(CONSUMERS)]);
}

static void on_wake(void *owner, lv_time_ms at)
{
    CHECK(owner == &m);
    CHECK(at > m.now && at < m.wake_at);
    CHECK(m.is_short || m.dying.count >= DYING_MAX || at == next_deadline());
    m.wake_at = at;
}

static const struct lv_queue_sink sink = {
    .deliver = on_deliver,
    .cancelled = on_cancelled,
    .died = on_died,
    .wake = on_wake,
};

/* ---- after a command ---- */

static void check_counts(void)
{
    struct lv_queue_counts c;

    lv_queue_counts(m.q, &c);
    CHECK_EQ(c.ready, m.ready);
    CHECK_EQ(c.ready_bytes, m.ready_bytes);
    CHECK_EQ(c.unsettled, m.unsettled.count);
    CHECK_EQ(c.unsettled_bytes, m.unsettled_bytes);
    CHECK_EQ(m.condemned, 0);
    for (size_t i = 0; i < LV_DEATH_COUNT; i++)
        CHECK_EQ(m.nameless[i], 0);
    const struct lv_consumer *served = m.served < CONSUMERS ? &m.consumers[m.served] : NULL;
    CHECK(lv_queue_served(m.q) == (m.is_single ? served : NULL));
}

static void check_swept(void)
{
    lv_time_ms at = next_deadline();

    if (m.dying.count >= DYING_MAX)
        return;
    CHECK(!is_too_much());
    CHECK(at > m.now);
    CHECK(at == NEVER || m.wake_at <= at);
}

static void check_done(void)
{
    for (size_t i = 0; i < CONSUMERS; i++)
        CHECK(!can_take(i) || m.ready == 0);
    check_swept();
}

/* ---- commands ---- */

static uint64_t some_ttl(void)
{
    static const uint64_t some[] = { 0, 1, 20, 100, 1000, UINT64_C(5000000000) };

    return some[below(LV_ARRAY_LEN(some))];
}

static uint32_t new_message(struct lv_msg *msg, uint8_t body[64])
{
    uint32_t n = m.count;
    struct message *mine = &m.messages[n];

    CHECK(n < MESSAGES_MAX);
    memcpy(body, &n, sizeof(n));
    *mine =
        (struct message){ .state = READY, .bytes = 4 + below(60), .published = m.now, .ttl = NEVER };
    *msg = (struct lv_msg){ .body = body, .body_len = mine->bytes, .published_ms = m.now };
    if (below(4) == 0) {
        mine->ttl = some_ttl();
        lv_msg_set_ttl_ms(msg, mine->ttl);
    }
    unsigned priority = m.usual;
    if (below(3) != 0) {
        msg->has_priority = true;
        msg->priority = (uint8_t)(priority = below(6));
    }
    if (m.levels != 0)
        mine->level = (uint8_t)(m.levels - 1 - LV_MIN(priority, m.levels - 1));
    return n;
}

/* Was it accepted? */
static bool publish(void)
{
    uint8_t body[64] = { 0 };
    struct lv_msg msg;
    uint32_t n = new_message(&msg, body);
    bool is_refused_here = is_refused(m.messages[n].bytes);
    bool may_go_through = m.ready == 0;

    m.count++;
    if (is_refused_here) {
        m.messages[n].state = CONDEMNED;
        m.messages[n].why = LV_DEATH_MAXLEN;
        m.condemned += m.rules.overflow == LV_OVERFLOW_REJECT_DEAD;
    } else {
        m.ready++;
        m.ready_bytes += m.messages[n].bytes;
        m.fresh = may_go_through ? n : UINT32_MAX;
    }
    enum lv_err err = lv_queue_publish(m.q, &msg, m.now);
    lv_msg_done(&msg);
    m.fresh = UINT32_MAX;
    if (err == LV_EFULL) {
        CHECK(is_refused_here);
        m.messages[n].state = GONE;
        return false;
    }
    CHECK(!is_refused_here);
    if (err == LV_OK)
        return true;
    CHECK(m.is_short && err == LV_ENOMEM);
    CHECK_EQ(m.messages[n].state, READY);
    leave(n);
    return false;
}

static void op_publish(void)
{
    if (publish())
        check_done();
}

static void op_publish_burst(void)
{
    uint32_t n = 1 + below(BURST_MAX);

    if (m.may_flood && m.floods < FLOODS && below(10) == 0) {
        m.floods++;
        n = FLOOD;
    }
    while (n-- > 0)
        (void)publish();
}

static void tick(void)
{
    if (m.now >= m.wake_at)
        m.wake_at = NEVER;
    lv_queue_tick(m.q, m.now);
}

static void op_without_memory(void)
{
    m.is_short = true;
    lv_mem_fail_at(1 + below(4));
    if (below(2) == 0)
        for (uint32_t i = below(20); i > 0; i--)
            (void)publish();
    else
        tick();
    lv_mem_fail_at(0);
    m.is_short = false;
    lv_queue_dispatch(m.q, m.now);
    check_done();
}

static void op_dispatch(void)
{
    lv_queue_dispatch(m.q, m.now);
    check_done();
}

/* Time goes on, and somebody looks or not. */
static void op_clock(void)
{
    if (m.wake_at != NEVER && below(2) == 0)
        m.now = LV_MAX(m.now, m.wake_at);
    else
        m.now += below(below(2) == 0 ? 5 : 80);
    if (below(3) == 0)
        return;
    tick();
    check_swept();
}

static void op_get(void)
{
    bool no_ack = below(3) == 0;
    struct lv_delivery d;
    uint32_t n;

    /* What stands in front of it and is too old dies first; more may die when it is gone. */
    while ((n = next()) != m.count && is_due(n)) {
        leave(n);
        m.messages[n].state = CONDEMNED;
        m.messages[n].why = LV_DEATH_EXPIRED;
        m.condemned++;
    }
    if (n != m.count) {
        struct message *msg = &m.messages[n];
        leave(n);
        enum lv_err err = lv_queue_get(m.q, no_ack, m.now, &d);
        CHECK_EQ(err, LV_OK);
        msg->state = READY; /* as hand() wants it */
        m.ready++;
        m.ready_bytes += msg->bytes;
        hand(n, &d, no_ack);
        if (no_ack)
            lv_msg_unref(d.msg);
    } else {
        CHECK_EQ(lv_queue_get(m.q, no_ack, m.now, &d), LV_ENOTFOUND);
    }
    check_swept();
}

static void op_get_burst(void)
{
    for (uint32_t i = below(BURST_MAX); i > 0; i--)
        op_get();
}

static void settled(uint32_t n, enum lv_outcome outcome)
{
    struct message *msg = &m.messages[n];
    bool dies = outcome == LV_REJECTED;

    list_remove(&m.unsettled, n);
    m.unsettled_bytes -= msg->bytes;
    msg->was_seen = msg->is_redelivered || outcome != LV_UNSEEN;
    msg->state = GONE;
    if (outcome == LV_ACCEPTED)
        return;
    msg->why = LV_DEATH_REJECTED;
    if (outcome == LV_FAILED && m.rules.counts_failures) {
        msg->why = LV_DEATH_DELIVERY_LIMIT;
        dies = ++msg->failures > m.rules.delivery_limit;
    }
    if (!dies) {
        msg->state = RETURNED;
        msg->returned_at = ++m.returns;
        m.returned.at[m.returned.count++] = n;
        m.ready++;
        m.ready_bytes += msg->bytes;
    } else if (m.rules.has_dead_letters) {
        msg->state = CONDEMNED;
        m.condemned++;
    } else {
        m.nameless[msg->why]++;
    }
}

static void op_settle(void)
{
    uint32_t slots[BURST_MAX];
    size_t most = 1 + below(below(2) == 0 ? 4 : BURST_MAX), count = LV_MIN(most, m.unsettled.count);
    enum lv_outcome outcome = (enum lv_outcome)below(LV_UNSEEN + 1);

    for (size_t i = 0; i < count; i++) {
        uint32_t n = m.unsettled.at[below((uint32_t)m.unsettled.count)];
        slots[i] = m.messages[n].slot;
        settled(n, outcome);
    }
    lv_queue_settle(m.q, slots, count, outcome, m.now);
    check_done();
}

/* Some of the dead, or all of them: then what waited for that dies. */
static void op_bury(void)
{
    bool all = below(3) == 0;
    size_t count = all ? m.dying.count : below((uint32_t)m.dying.count + 1);

    for (size_t i = 0; i < count; i++) {
        uint32_t n = m.dying.at[below((uint32_t)m.dying.count)];
        list_remove(&m.dying, n);
        m.messages[n].state = GONE;
        lv_queue_bury(m.q, m.messages[n].slot, m.now);
    }
    if (all && count != 0)
        check_swept();
}

static void op_rule(void)
{
    struct lv_queue_rules r = LV_QUEUE_NO_RULES;

    if (below(4) != 0)
        return;
    if (below(3) == 0)
        r.ttl_ms = some_ttl();
    if (below(3) == 0)
        r.max_length = below(100);
    if (below(5) == 0)
        r.max_bytes = below(3000);
    r.overflow = below(2) == 0 ? LV_OVERFLOW_DROP_HEAD : (enum lv_overflow)below(3);
    r.has_dead_letters = below(2) == 0;
    r.counts_failures = below(2) == 0;
    if (r.counts_failures && below(4) != 0)
        r.delivery_limit = below(4);
    m.rules = r;
    m.wake_at = NEVER;
    CHECK_EQ(lv_queue_rule(m.q, &r, m.now), LV_OK);
    check_swept();
}

static void op_purge(void)
{
    uint64_t want = m.ready;

    if (below(6) != 0)
        return;
    for (uint32_t n; (n = next()) != m.count;)
        leave(n);
    CHECK_EQ(m.ready, 0);
    CHECK_EQ(lv_queue_purge(m.q), want);
}

static void op_subscribe(void)
{
    size_t i = below(CONSUMERS);
    struct lv_consumer *c = &m.consumers[i];

    if (m.arrived[i] != 0)
        return;
    *c = (struct lv_consumer){
        .credit = below(4) == 0 ? LV_CREDIT_UNLIMITED : below(40),
        .priority = (int32_t)below(3) - 1,
        .no_ack = below(3) == 0,
    };
    CHECK_EQ(lv_queue_subscribe(m.q, c), LV_OK);
    m.arrived[i] = ++m.arrivals;
    if (m.served == CONSUMERS)
        m.served = i;
    if (below(2) == 0)
        op_dispatch();
}

static void op_unsubscribe(void)
{
    size_t i = below(CONSUMERS);

    lv_queue_unsubscribe(&m.consumers[i]);
    m.arrived[i] = 0;
    if (m.served != i)
        return;
    m.served = CONSUMERS;
    for (size_t k = 0; k < CONSUMERS; k++) {
        const struct lv_consumer *c = &m.consumers[k], *best = &m.consumers[m.served % CONSUMERS];
        if (m.arrived[k] == 0)
            continue;
        if (m.served == CONSUMERS || c->priority > best->priority ||
            (c->priority == best->priority && m.arrived[k] < m.arrived[m.served]))
            m.served = k;
    }
}

static void op_credit(void)
{
    lv_consumer_credit(&m.consumers[below(CONSUMERS)], below(50));
}

static void op_resume(void)
{
    for (size_t i = below(2); i < CONSUMERS; i += 1 + below(2))
        lv_consumer_resume(&m.consumers[i]);
}

static void (*const ops[])(void) = {
    op_publish,  op_publish, op_publish,     op_publish_burst, op_publish_burst, op_without_memory,
    op_dispatch, op_clock,   op_clock,       op_clock,         op_get,           op_get_burst,
    op_settle,   op_settle,  op_settle,      op_settle,        op_bury,          op_rule,
    op_purge,    op_credit,  op_unsubscribe, op_subscribe,     op_resume,
};

static void begin(uint64_t seed)
{
    m.rng = lv_rng_seed(seed);
    m.now = 1000;
    m.wake_at = NEVER;
    m.rules = LV_QUEUE_NO_RULES;
    m.levels = below(2) == 0 ? 0 : 1 + below(LEVELS);
    m.usual = (uint8_t)below(LEVELS);
    m.is_list = below(4) == 0;
    m.is_single = below(4) == 0;
    m.may_flood = below(8) == 0;
    m.floods = 0;
    m.fresh = UINT32_MAX;
    m.served = CONSUMERS;
    m.count = 0;
    m.condemned = m.returned.count = m.unsettled.count = m.dying.count = 0;
    m.arrivals = m.returns = m.ready = m.ready_bytes = m.unsettled_bytes = 0;
    memset(m.heads, 0, sizeof(m.heads));
    memset(m.arrived, 0, sizeof(m.arrived));
    memset(m.nameless, 0, sizeof(m.nameless));
    memset(m.consumers, 0, sizeof(m.consumers));
    CHECK_EQ(lv_queue_new(&sink, &m.q), LV_OK);
    lv_queue_own(m.q, &m);
    lv_queue_prioritize(m.q, m.levels, m.usual);
    if (m.is_list)
        lv_queue_serve_returned_first(m.q);
    if (m.is_single)
        lv_queue_serve_one(m.q);
}

LV_PROP(rules_match_model)
{
    int64_t messages_before = lv_mem_used(LV_TAG_MESSAGE);
    int64_t queues_before = lv_mem_used(LV_TAG_QUEUE);

    begin(seed);
    for (size_t i = 0; i < OPS; i++) {
        ops[below(LV_ARRAY_LEN(ops))]();
        check_counts();
    }
    lv_queue_free(m.q);
    CHECK_EQ(lv_mem_used(LV_TAG_MESSAGE), messages_before);
    CHECK_EQ(lv_mem_used(LV_TAG_QUEUE), queues_before);
}
