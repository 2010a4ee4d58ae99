/* Random commands to a queue, held against a model that is too simple to be wrong: every message in
 * publish order with its state, and one list of the consumers that can take. The model is asked
 * inside the sink, so each single delivery is checked for consumer, message, mark and moment. */
#include "base/mem.h"
#include "engine/queue.h"
#include "lv_test.h"

enum { CONSUMERS = 9, OPS = 400, BURST_MAX = 300, MESSAGES_MAX = OPS * BURST_MAX };

enum state { GONE, READY, UNSETTLED };

struct message {
    enum state state;
    uint32_t slot;
    bool was_seen;       /* came back after it was handed out */
    bool is_redelivered; /* as it was handed out last */
};

struct model {
    struct lv_rng rng;
    struct lv_queue *q;
    struct lv_consumer consumers[CONSUMERS];
    size_t round[CONSUMERS]; /* who can take, in the order of their last turn */
    size_t round_len;
    bool is_quiet; /* nothing may be delivered now */
    bool had_consumer;
    uint32_t count, oldest; /* messages; all before `oldest` are gone */
    uint64_t cancelled;
    struct message messages[MESSAGES_MAX];
};

static struct model m;

static uint32_t below(uint32_t n)
{
    return lv_rng_below(&m.rng, n);
}

static uint32_t body_bytes(uint32_t n)
{
    return 4 + n % 60;
}

/* ---- the model ---- */

static bool is_subscribed(size_t i)
{
    return m.consumers[i].queue != NULL;
}

static void round_leave(size_t i)
{
    size_t kept = 0;

    for (size_t k = 0; k < m.round_len; k++)
        if (m.round[k] != i)
            m.round[kept++] = m.round[k];
    m.round_len = kept;
}

static bool round_has(size_t i)
{
    for (size_t k = 0; k < m.round_len; k++)
        if (m.round[k] == i)
            return true;
    return false;
}

/* After anything that changed what consumer `i` may have. */
static void round_update(size_t i)
{
    const struct lv_consumer *c = &m.consumers[i];
    bool can = is_subscribed(i) && c->credit != 0 && !c->is_paused;

    if (!can)
        round_leave(i);
    else if (!round_has(i))
        m.round[m.round_len++] = i;
}

/* Whose turn it is, or CONSUMERS. */
static size_t round_next(void)
{
    size_t best = CONSUMERS;

    for (size_t k = m.round_len; k-- > 0;)
        if (best == CONSUMERS || m.consumers[m.round[k]].priority >= m.consumers[best].priority)
            best = m.round[k];
    return best;
}

static uint32_t oldest_ready(void)
{
    uint32_t n = m.oldest;

    while (n < m.count && m.messages[n].state != READY)
        n++;
    return n;
}

static void forget_prefix(void)
{
    while (m.oldest < m.count && m.messages[m.oldest].state == GONE)
        m.oldest++;
}

/* What must hold when the oldest ready message is handed out. */
static void hand_out(const struct lv_delivery *d, bool no_ack)
{
    uint32_t n, want = oldest_ready();

    CHECK(want < m.count);
    CHECK_EQ(d->msg->body_len, body_bytes(want));
    memcpy(&n, d->msg->body, sizeof(n));
    CHECK_EQ(n, want);
    CHECK_EQ(d->redelivered, m.messages[n].was_seen);
    CHECK_EQ(d->slot == LV_SLOT_NONE, no_ack);
    m.messages[n].state = no_ack ? GONE : UNSETTLED;
    m.messages[n].slot = d->slot;
    m.messages[n].is_redelivered = d->redelivered;
}

static enum lv_sink_answer on_deliver(struct lv_consumer *c, const struct lv_delivery *d)
{
    size_t i = round_next();

    CHECK(!m.is_quiet);
    CHECK_EQ(c - m.consumers, i);
    hand_out(d, c->no_ack);
    round_leave(i);
    round_update(i); /* the queue has counted the credit down by now */
    if (below(20) == 0) {
        size_t other = below(CONSUMERS);
        lv_consumer_pause(&m.consumers[other]);
        round_update(other);
    }
    if (below(12) != 0)
        return LV_SINK_MORE;
    round_leave(i);
    return LV_SINK_STOP;
}

static void on_cancelled(struct lv_consumer *c)
{
    CHECK(c->queue == NULL);
    m.cancelled++;
}

static void check_counts(void)
{
    struct lv_queue_counts c, want = { 0 };

    for (uint32_t n = m.oldest; n < m.count; n++) {
        if (m.messages[n].state == READY) {
            want.ready++;
            want.ready_bytes += body_bytes(n);
        } else if (m.messages[n].state == UNSETTLED) {
            want.unsettled++;
            want.unsettled_bytes += body_bytes(n);
        }
    }
    for (size_t i = 0; i < CONSUMERS; i++)
        want.consumers += is_subscribed(i);
    lv_queue_counts(m.q, &c);
    CHECK_EQ(c.ready, want.ready);
    CHECK_EQ(c.unsettled, want.unsettled);
    CHECK_EQ(c.consumers, want.consumers);
    CHECK_EQ(c.ready_bytes, want.ready_bytes);
    CHECK_EQ(c.unsettled_bytes, want.unsettled_bytes);
    CHECK_EQ(lv_queue_had_consumer(m.q), m.had_consumer);
}

static void check_nothing_left_to_do(void)
{
    CHECK(m.round_len == 0 || oldest_ready() == m.count);
}

/* ---- commands ---- */

static void publish(bool memory_may_fail)
{
    uint8_t body[64] = { 0 };
    uint32_t n = m.count++;

    memcpy(body, &n, sizeof(n));
    struct lv_msg msg = { .body = body, .body_len = body_bytes(n) };
    m.messages[n] = (struct message){ .state = READY };
    enum lv_err err = lv_queue_publish(m.q, &msg, 0);
    lv_msg_done(&msg);
    if (err == LV_OK)
        return;
    CHECK(memory_may_fail && err == LV_ENOMEM);
    CHECK_EQ(m.messages[n].state, READY);
    m.count--;
}

static void op_publish(void)
{
    publish(false);
    check_nothing_left_to_do();
}

static void op_publish_burst(void)
{
    for (uint32_t i = 1 + below(BURST_MAX); i > 0; i--)
        publish(false);
    check_nothing_left_to_do();
}

/* One allocation fails, whichever it is: nothing is lost, and the next dispatch goes on. */
static void op_publish_without_memory(void)
{
    lv_mem_fail_at(1 + below(4));
    for (uint32_t i = below(20); i > 0; i--)
        publish(true);
    lv_mem_fail_at(0);
    lv_queue_dispatch(m.q, 0);
    check_nothing_left_to_do();
}

static void op_dispatch_without_memory(void)
{
    lv_mem_fail_at(1);
    lv_queue_dispatch(m.q, 0);
    lv_mem_fail_at(0);
    lv_queue_dispatch(m.q, 0);
    check_nothing_left_to_do();
}

static void op_subscribe(void)
{
    size_t i = below(CONSUMERS), others = 0;
    struct lv_consumer *c = &m.consumers[i];
    bool is_taken = false;

    if (is_subscribed(i))
        return;
    for (size_t k = 0; k < CONSUMERS; k++) {
        others += is_subscribed(k);
        is_taken |= is_subscribed(k) && m.consumers[k].exclusive;
    }
    *c = (struct lv_consumer){
        .credit = below(3) == 0 ? LV_CREDIT_UNLIMITED : below(60),
        .priority = (int32_t)below(4) - 2,
        .no_ack = below(3) == 0,
        .exclusive = below(8) == 0,
    };
    m.is_quiet = true;
    enum lv_err err = lv_queue_subscribe(m.q, c);
    m.is_quiet = false;
    CHECK_EQ(err, is_taken || (c->exclusive && others != 0) ? LV_EREFUSED : LV_OK);
    m.had_consumer |= err == LV_OK;
    round_update(i);
    if (below(2) == 0)
        lv_queue_dispatch(m.q, 0);
}

static void op_unsubscribe(void)
{
    size_t i = below(CONSUMERS);

    lv_queue_unsubscribe(&m.consumers[i]);
    CHECK(!is_subscribed(i));
    round_leave(i);
}

static void op_credit(void)
{
    size_t i = below(CONSUMERS);
    uint32_t before = m.consumers[i].credit, n = below(50);

    m.is_quiet = true;
    lv_consumer_credit(&m.consumers[i], n);
    m.is_quiet = false;
    CHECK_EQ(m.consumers[i].credit, before == LV_CREDIT_UNLIMITED ? before : before + n);
    round_update(i);
}

static void op_pause(void)
{
    size_t i = below(CONSUMERS);

    lv_consumer_pause(&m.consumers[i]);
    round_update(i);
}

static void op_resume(void)
{
    m.is_quiet = true;
    for (size_t i = below(3); i < CONSUMERS; i += 1 + below(3)) {
        lv_consumer_resume(&m.consumers[i]);
        round_update(i);
    }
    m.is_quiet = false;
}

static void op_dispatch(void)
{
    lv_queue_dispatch(m.q, 0);
    check_nothing_left_to_do();
}

static void op_get(void)
{
    bool no_ack = below(3) == 0, has_ready = oldest_ready() != m.count;
    struct lv_delivery d;

    m.is_quiet = true;
    enum lv_err err = lv_queue_get(m.q, no_ack, 0, &d);
    m.is_quiet = false;
    CHECK_EQ(err, has_ready ? LV_OK : LV_ENOTFOUND);
    if (err != LV_OK)
        return;
    hand_out(&d, no_ack);
    if (no_ack)
        lv_msg_unref(d.msg);
}

static void op_get_burst(void)
{
    for (uint32_t i = below(BURST_MAX); i > 0; i--)
        op_get();
}

static void shuffle(uint32_t *slots, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t k = below((uint32_t)i);
        uint32_t slot = slots[k];
        slots[k] = slots[i - 1];
        slots[i - 1] = slot;
    }
}

static void op_settle(void)
{
    static uint32_t slots[BURST_MAX];
    size_t n = 0, limit = 1 + below(below(2) == 0 ? 4 : BURST_MAX);
    uint32_t one_in = 1 + below(4);
    enum lv_outcome outcome = (enum lv_outcome)below(LV_UNSEEN + 1);
    bool goes_back = outcome >= LV_RELEASED;

    for (uint32_t i = m.oldest; i < m.count && n < limit; i++) {
        struct message *msg = &m.messages[i];
        if (msg->state != UNSETTLED || below(one_in) != 0)
            continue;
        slots[n++] = msg->slot;
        msg->state = goes_back ? READY : GONE;
        msg->was_seen = msg->is_redelivered || (goes_back && outcome != LV_UNSEEN);
    }
    shuffle(slots, n);
    lv_queue_settle(m.q, slots, n, outcome, 0);
    check_nothing_left_to_do();
}

static void op_purge(void)
{
    uint64_t want = 0;

    if (below(4) != 0)
        return;
    for (uint32_t n = m.oldest; n < m.count; n++) {
        if (m.messages[n].state != READY)
            continue;
        m.messages[n].state = GONE;
        want++;
    }
    CHECK_EQ(lv_queue_purge(m.q), want);
}

static void (*const ops[])(void) = {
    op_publish,   op_publish,   op_publish, op_publish_burst, op_publish_without_memory,
    op_subscribe, op_subscribe, op_credit,  op_credit,        op_dispatch_without_memory,
    op_pause,     op_resume,    op_resume,  op_dispatch,      op_unsubscribe,
    op_settle,    op_settle,    op_settle,  op_settle,        op_purge,
    op_get,       op_get_burst,
};

LV_PROP(queue_matches_model)
{
    static const struct lv_queue_sink sink = { .deliver = on_deliver, .cancelled = on_cancelled };
    int64_t messages_before = lv_mem_used(LV_TAG_MESSAGE);
    int64_t queues_before = lv_mem_used(LV_TAG_QUEUE);
    uint64_t subscribed = 0;

    m.rng = lv_rng_seed(seed);
    m.round_len = m.count = m.oldest = 0;
    m.cancelled = 0;
    m.is_quiet = m.had_consumer = false;
    memset(m.consumers, 0, sizeof(m.consumers));
    CHECK_EQ(lv_queue_new(&sink, &m.q), LV_OK);
    for (size_t i = 0; i < OPS; i++) {
        ops[below(LV_ARRAY_LEN(ops))]();
        forget_prefix();
        check_counts();
    }
    for (size_t i = 0; i < CONSUMERS; i++)
        subscribed += is_subscribed(i);
    lv_queue_free(m.q);
    CHECK_EQ(m.cancelled, subscribed);
    CHECK_EQ(lv_mem_used(LV_TAG_MESSAGE), messages_before);
    CHECK_EQ(lv_mem_used(LV_TAG_QUEUE), queues_before);
}

/* Equal consumers that always can take get equal shares, whatever comes and goes around them. */
static uint64_t shares[CONSUMERS];

static enum lv_sink_answer count_share(struct lv_consumer *c, const struct lv_delivery *d)
{
    (void)d;
    shares[c - m.consumers]++;
    return LV_SINK_MORE;
}

LV_PROP(round_is_fair)
{
    static const struct lv_queue_sink sink = { .deliver = count_share, .cancelled = on_cancelled };
    uint32_t steady = 2 + (uint32_t)(seed % 5);

    m.rng = lv_rng_seed(seed);
    memset(m.consumers, 0, sizeof(m.consumers));
    memset(shares, 0, sizeof(shares));
    CHECK_EQ(lv_queue_new(&sink, &m.q), LV_OK);
    for (size_t i = 0; i < CONSUMERS; i++) {
        m.consumers[i].no_ack = true;
        m.consumers[i].credit = i < steady ? LV_CREDIT_UNLIMITED : 0;
        CHECK_EQ(lv_queue_subscribe(m.q, &m.consumers[i]), LV_OK);
    }
    for (size_t i = 0; i < 1000; i++) {
        struct lv_msg msg = { 0 };
        lv_consumer_credit(&m.consumers[steady + below(CONSUMERS - steady)], below(2));
        CHECK_EQ(lv_queue_publish(m.q, &msg, 0), LV_OK);
        lv_msg_done(&msg);
    }
    for (size_t i = 1; i < steady; i++)
        CHECK(shares[i] + 1 >= shares[0] && shares[i] <= shares[0] + 1);
    lv_queue_free(m.q);
}
