#include "engine/queue.h"

#include "base/mem.h"
#include "engine/queue_priv.h"

enum lv_err lv_queue_new(const struct lv_queue_sink *sink, struct lv_queue **out)
{
    struct lv_queue *q = lv_mem_zalloc(sizeof(*q), LV_TAG_QUEUE);

    *out = q;
    if (q == NULL)
        return LV_ENOMEM;
    q->sink = sink;
    lv_round_init(&q->round);
    q->lanes = q->head = &q->common;
    q->wake_at = LV_QUEUE_NO_LIMIT;
    q->returned.oldest = LV_SLOT_NONE;
    q->is_noted = true;
    lv_list_init(&q->changed);
    lv_list_init(&q->blocked);
    return LV_OK;
}

void lv_queue_attach(struct lv_queue *q, struct lv_journal *j, uint64_t id, bool is_durable,
                     uint64_t name)
{
    LV_ASSERT(q->journal == NULL && !lv_queue_has_ready(q));
    q->journal = j;
    q->id = is_durable ? id : LV_QUEUE_ID_NONE;
    q->is_durable = is_durable;
    q->name = name;
}

void lv_queue_own(struct lv_queue *q, void *owner)
{
    q->owner = owner;
}

void lv_queue_prioritize(struct lv_queue *q, unsigned levels, uint8_t usual)
{
    LV_ASSERT(levels <= LV_QUEUE_LEVELS_MAX && !lv_queue_has_ready(q));
    q->levels = (uint16_t)levels;
    q->usual = usual;
}

void lv_queue_serve_returned_first(struct lv_queue *q)
{
    LV_ASSERT(q->returned.count == 0);
    q->returned.is_list = true;
}

void lv_queue_serve_one(struct lv_queue *q)
{
    LV_ASSERT(q->round.count == 0);
    q->round.is_single = true;
}

const struct lv_consumer *lv_queue_served(const struct lv_queue *q)
{
    return q->round.active;
}

void lv_queue_free(struct lv_queue *q)
{
    struct lv_consumer *c;

    if (q == NULL)
        return;
    lv_queue_lanes_free(q); /* without a word in the log */
    lv_slots_fini(&q->slots);
    lv_queue_marks_free(q);
    lv_mem_free(q->rules, LV_TAG_QUEUE);
    lv_queue_forget_passed(q);
    q->is_noted = true; /* nobody is to hear more of it */
    lv_list_remove(&q->changed);
    lv_list_remove(&q->blocked);
    while ((c = lv_round_any(&q->round)) != NULL) {
        lv_queue_unsubscribe(c);
        q->sink->cancelled(c);
    }
    lv_mem_free(q, LV_TAG_QUEUE);
}

/* ---- messages on their way out ---- */

static void not_ready(struct lv_queue *q, const struct lv_msg *msg)
{
    q->ready_bytes -= LV_MIN(msg->body_len, q->ready_bytes);
    if (!lv_queue_has_ready(q))
        q->ready_bytes = q->guessed_bytes = 0; /* after a restart it begins as a bound */
}

static inline void describe(struct lv_queue *q, const struct lv_entry *e, struct lv_delivery *d)
{
    const struct lv_mark *mark = lv_queue_mark(q, e);

    d->msg = e->msg;
    d->failures = mark != NULL ? mark->failures : 0;
    d->redelivered = lv_queue_was_handed(q, e);
}

void lv_queue_take_returned(struct lv_queue *q, bool wants_slot, struct lv_delivery *d)
{
    uint32_t slot = lv_returned_pop(&q->returned, &q->slots);
    struct lv_entry e = lv_slot_at(&q->slots, slot)->entry;

    d->slot = wants_slot ? slot : LV_SLOT_NONE;
    describe(q, &e, d);
    if (wants_slot) {
        lv_slot_at(&q->slots, slot)->child = e.msg->body_len;
    } else {
        if (q->journal != NULL)
            lv_queue_drop_slots(q, &slot, 1);
        lv_queue_unmark(q, &e);
        lv_slots_drop(&q->slots, slot);
    }
    not_ready(q, e.msg);
}

inline enum lv_err lv_queue_take_ready(struct lv_queue *q, struct lv_lane *lane, bool wants_slot,
                                       struct lv_delivery *d)
{
    struct lv_entry e = lv_ready_peek(&lane->ready);

    d->slot = LV_SLOT_NONE;
    if (wants_slot && (d->slot = lv_slots_take(&q->slots, e)) == LV_SLOT_NONE)
        return LV_ENOMEM;
    lv_ready_pop(&lane->ready);
    if (LV_UNLIKELY(lane->ready.count == 0))
        lv_queue_find_head(q);
    if (LV_UNLIKELY(q->journal != NULL))
        lv_queue_left_ready(q, &e, wants_slot);
    describe(q, &e, d);
    if (!wants_slot)
        lv_queue_unmark(q, &e);
    not_ready(q, e.msg);
    return LV_OK;
}

/* Takes the next message to be handed out, as lv_queue_take_ready: then it is unsettled. */
static inline enum lv_err take_next(struct lv_queue *q, bool wants_slot, struct lv_delivery *d)
{
    if (LV_UNLIKELY(lv_queue_is_returned_next(q))) {
        lv_queue_take_returned(q, wants_slot, d);
    } else {
        enum lv_err err = lv_queue_take_ready(q, q->head, wants_slot, d);
        if (err != LV_OK)
            return err;
    }
    if (LV_UNLIKELY(d->redelivered))
        q->out.redeliver++;
    if (wants_slot) {
        q->unsettled_bytes += d->msg->body_len;
        q->unsettled_here_bytes += d->msg->body_len;
    }
    return LV_OK;
}

/* The last step of a delivery: the sink may pause any consumer, so nothing of the round is
 * remembered across it. */
static inline void hand_over(struct lv_queue *q, struct lv_consumer *c, const struct lv_delivery *d)
{
    lv_round_turn(&q->round, c);
    if (q->sink->deliver(c, d) == LV_SINK_STOP)
        lv_consumer_pause(c);
}

/* LV_OK: the next message may be handed out. LV_ENOTFOUND: there is none; LV_EAGAIN: it is on its way. LV_ENOMEM: it is dead,
 * and there was none to say so. */
static inline enum lv_err await_next(struct lv_queue *q, lv_time_ms now)
{
    while (lv_queue_has_ready(q)) {
        if (LV_UNLIKELY(q->journal != NULL) && !lv_queue_head_can_go(q)) {
            if (q->blocked_at == 0 && lv_list_linked(&q->blocked))
                q->blocked_at = now;
            return lv_queue_has_ready(q) ? LV_EAGAIN : LV_ENOTFOUND;
        }
        enum lv_err err = LV_LIKELY(!q->is_swept) ? LV_OK : lv_queue_next_lives(q, now);
        if (err != LV_ENOTFOUND)
            return err;
    }
    return LV_ENOTFOUND;
}

inline void lv_queue_hand_out(struct lv_queue *q, lv_time_ms now)
{
    if (q->round.top == NULL || !lv_queue_has_ready(q))
        return;
    lv_queue_note(q);
    /* Who hears of a death may pause consumers, too. */
    while (q->round.top != NULL && await_next(q, now) == LV_OK && q->round.top != NULL) {
        struct lv_consumer *c = lv_round_next(&q->round);
        struct lv_delivery d;
        bool no_ack = c->no_ack;
        if (take_next(q, !no_ack, &d) != LV_OK)
            return;
        hand_over(q, c, &d);
        if (no_ack) {
            q->out.deliver_no_ack++;
            lv_msg_unref(d.msg);
        } else {
            q->out.deliver++;
            if (LV_UNLIKELY(q->journal != NULL))
                lv_queue_trim_unsettled(q, d.slot);
        }
    }
}

void lv_queue_dispatch(struct lv_queue *q, lv_time_ms now)
{
    lv_queue_hand_out(q, now);
    /* What a consumer will take when the log allows it has not come too late, and is not too much. */
    if (LV_UNLIKELY(q->is_swept) && !(q->round.top != NULL && lv_list_linked(&q->blocked)))
        lv_queue_sweep(q, now);
}

enum lv_err lv_queue_get(struct lv_queue *q, bool no_ack, lv_time_ms now, struct lv_delivery *d)
{
    lv_queue_note(q);
    enum lv_err err = await_next(q, now);
    if (err == LV_OK)
        err = take_next(q, !no_ack, d);
    if (err == LV_OK && no_ack)
        q->out.get_no_ack++;
    else if (err == LV_OK)
        q->out.get++;
    else if (err == LV_ENOTFOUND)
        q->out.get_empty++;
    else if (err == LV_EAGAIN)
        q->wants_get = true;
    if (LV_UNLIKELY(q->is_swept)) /* what is next now may be too old */
        lv_queue_sweep(q, now);
    return err;
}

/* ---- messages on their way in ---- */

/* Nothing is ready and a consumer waits: the message never sees the ready list, and is not even
 * kept when nobody will settle it. */
static inline enum lv_err publish_through(struct lv_queue *q, struct lv_msg *msg)
{
    struct lv_consumer *c = lv_round_next(&q->round);
    struct lv_delivery d = { .msg = msg, .slot = LV_SLOT_NONE };

    if (c->no_ack) {
        q->through++;
    } else {
        d.msg = lv_msg_keep(msg);
        if (d.msg == NULL)
            return LV_ENOMEM;
        struct lv_entry e = { .msg = d.msg, .order = lv_order_make(lv_queue_next_seq(q, msg)) };
        d.slot = lv_slots_take(&q->slots, e);
        if (d.slot == LV_SLOT_NONE) {
            lv_msg_unref(d.msg);
            return LV_ENOMEM;
        }
        if (q->is_durable && !msg->persistent) {
            q->passing++;
        } else if (q->is_durable) {
            enum lv_err err = lv_queue_log_slot(q, msg, d.slot);
            if (err != LV_OK) {
                lv_slots_drop(&q->slots, d.slot);
                lv_msg_unref(d.msg);
                return err;
            }
        }
        q->seq_next++;
        q->unsettled_bytes += d.msg->body_len;
        q->unsettled_here_bytes += d.msg->body_len;
        q->out.deliver++;
    }
    lv_queue_note(q);
    hand_over(q, c, &d);
    if (LV_UNLIKELY(q->journal != NULL) && d.slot != LV_SLOT_NONE)
        lv_queue_trim_unsettled(q, d.slot);
    return LV_OK;
}

static enum lv_err put(struct lv_queue *q, struct lv_msg *msg)
{
    struct lv_lane *lane = lv_queue_lane_make(q, lv_queue_lane_of(q, msg));
    struct lv_msg *kept = lane != NULL ? lv_msg_keep(msg) : NULL;

    if (kept == NULL)
        return LV_ENOMEM;
    struct lv_entry e = { .msg = kept, .order = lv_order_make(lv_queue_next_seq(q, msg)) };
    enum lv_err err = lv_ready_push(&lane->ready, e);
    if (err != LV_OK) {
        lv_msg_unref(kept);
        return err;
    }
    q->seq_next++;
    q->ready_bytes += kept->body_len;
    lv_queue_was_put(q, lane, msg);
    return LV_OK;
}

enum lv_err lv_queue_publish(struct lv_queue *q, struct lv_msg *msg, lv_time_ms now)
{
    if (LV_UNLIKELY(q->rules != NULL) && lv_queue_refuses(q, msg))
        return LV_EFULL;
    bool is_awaited = q->round.top != NULL && !lv_queue_has_ready(q);
    if (is_awaited &&
        (!q->is_durable || lv_round_next(&q->round)->no_ack || lv_queue_may_hand(q, q->seq_next)))
        return publish_through(q, msg);
    if (LV_UNLIKELY(is_awaited || q->blocked_at != 0)) /* other loops' clocks may be behind */
        q->blocked_at =
            LV_MAX(LV_MIN(q->blocked_at != 0 ? q->blocked_at : now, msg->published_ms), 1u);
    enum lv_err err = q->journal != NULL ? lv_queue_put(q, msg) : put(q, msg);
    if (err != LV_OK)
        return err;
    lv_queue_note(q);
    /* It is handed out at once only after a dispatch that memory cut short, or before the first one of a new consumer. */
    lv_queue_dispatch(q, now);
    return LV_OK;
}

/* ---- settling ---- */

static inline void put_back(struct lv_queue *q, uint32_t number, struct lv_slot *slot, bool seen)
{
    slot->entry.order |= seen ? LV_ORDER_REDELIVERED : 0;
    q->ready_bytes += slot->child;
    lv_returned_push(&q->returned, &q->slots, number);
    if (LV_UNLIKELY(lv_entry_expires(&slot->entry)))
        q->may_expire = q->is_swept = true;
}

static inline void forget(struct lv_queue *q, uint32_t number, struct lv_slot *slot)
{
    struct lv_entry e = slot->entry;

    lv_queue_unmark(q, &e);
    lv_slots_drop(&q->slots, number);
    if (LV_LIKELY(lv_entry_is_here(&e)))
        lv_msg_unref(e.msg);
}

void lv_queue_forget(struct lv_queue *q, uint32_t slot)
{
    forget(q, slot, lv_slot_at(&q->slots, slot));
}

void lv_queue_put_back(struct lv_queue *q, uint32_t slot, bool seen)
{
    put_back(q, slot, lv_slot_at(&q->slots, slot), seen);
}

void lv_queue_settle(struct lv_queue *q, const uint32_t *slots, size_t n, enum lv_outcome outcome,
                     lv_time_ms now)
{
    bool goes_back = outcome >= LV_RELEASED;
    bool is_watched = q->rules != NULL && (outcome == LV_FAILED ||
                                           (outcome == LV_REJECTED && q->rules->has_dead_letters));

    if (LV_UNLIKELY(q->journal != NULL) && !goes_back && !is_watched)
        lv_queue_drop_slots(q, slots, n);
    for (size_t i = 0; i < n; i++) {
        struct lv_slot *slot = lv_slot_at(&q->slots, slots[i]);
        LV_ASSERT(slot->entry.place != 0 && slot->next == LV_SLOT_UNSETTLED);
        q->unsettled_bytes -= slot->child;
        if (LV_LIKELY(lv_entry_is_here(&slot->entry)))
            q->unsettled_here_bytes -= slot->child;
        if (LV_UNLIKELY(is_watched))
            lv_queue_not_accepted(q, slots[i], outcome);
        else if (goes_back)
            put_back(q, slots[i], slot, outcome != LV_UNSEEN);
        else
            forget(q, slots[i], slot);
        if (LV_UNLIKELY(outcome == LV_REJECTED) && !is_watched)
            lv_queue_tell(q, &(struct lv_delivery){ .slot = LV_SLOT_NONE }, LV_DEATH_REJECTED);
    }
    if (outcome == LV_ACCEPTED)
        q->out.ack += n;
    lv_queue_note(q);
    lv_queue_dispatch(q, now);
}

uint64_t lv_queue_purge(struct lv_queue *q)
{
    uint64_t n = lv_queue_ready_count(q);

    if (q->journal != NULL)
        lv_queue_purge_kept(q);
    while (q->returned.count != 0) {
        uint32_t slot = lv_returned_pop(&q->returned, &q->slots);
        forget(q, slot, lv_slot_at(&q->slots, slot));
    }
    for (struct lv_lane *lane = q->lanes; lane != NULL; lane = lane->next)
        lv_ready_clear(&lane->ready);
    q->ready_bytes = q->guessed_bytes = q->here_bytes = 0;
    q->generation++;
    lv_queue_note(q);
    return n;
}

/* ---- consumers ---- */

enum lv_err lv_queue_subscribe(struct lv_queue *q, struct lv_consumer *c)
{
    LV_ASSERT(c->queue == NULL);
    enum lv_err err = lv_round_add(&q->round, c);
    if (err == LV_OK) {
        c->queue = q;
        lv_queue_note(q);
    }
    return err;
}

void lv_queue_unsubscribe(struct lv_consumer *c)
{
    if (c->queue == NULL)
        return;
    lv_round_remove(&c->queue->round, c);
    lv_queue_note(c->queue);
    c->queue = NULL;
}

bool lv_queue_had_consumer(const struct lv_queue *q)
{
    return q->round.had_any;
}

static void update(struct lv_consumer *c)
{
    if (c->queue != NULL)
        lv_round_update(&c->queue->round, c);
}

void lv_consumer_credit(struct lv_consumer *c, uint32_t n)
{
    if (c->credit == LV_CREDIT_UNLIMITED)
        return;
    c->credit += LV_MIN(n, LV_CREDIT_UNLIMITED - 1 - c->credit);
    update(c);
}

void lv_consumer_pause(struct lv_consumer *c)
{
    c->is_paused = true;
    update(c);
}

void lv_consumer_resume(struct lv_consumer *c)
{
    c->is_paused = false;
    update(c);
}

void lv_queue_counts(const struct lv_queue *q, struct lv_queue_counts *out)
{
    uint64_t ready = lv_queue_ready_count(q);
    uint64_t all = ready - q->returned.count + q->slots.used - q->dying;

    *out = (struct lv_queue_counts){
        .ready = ready,
        .unsettled = q->slots.used - q->returned.count - q->dying,
        .consumers = q->round.count,
        .ready_here = q->returned.count,
        .persistent = q->is_durable ? all - LV_MIN(all, q->passing) : 0,
        .ready_bytes = q->ready_bytes,
        .unsettled_bytes = q->unsettled_bytes,
        .published = q->seq_next - q->seq_base + q->through,
        .out = q->out,
    };
    for (const struct lv_lane *lane = q->lanes; lane != NULL; lane = lane->next)
        out->ready_here += lane->ready.here;
    out->out.deliver_no_ack += q->through;
}

/* ---- whoever shows it ---- */

void lv_queue_note_slow(struct lv_queue *q)
{
    q->is_noted = true;
    q->sink->noted(q->owner);
}

void lv_queue_watch(struct lv_queue *q)
{
    q->is_noted = false;
}
