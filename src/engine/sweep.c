/* What may not stay in a queue: what is too old, what is too much, what nobody wants.
 *
 * Messages expire where they would be handed out next: at the head of each lane, and as the oldest that came back. Nobody
 * looks behind them; what waits there dies when it gets to the head. Who dies leaves at once, unless somebody wants dead letters:
 * then it keeps its slot, and its place in the log, until it was looked after. */
#include "base/mem.h"
#include "engine/queue_priv.h"

#define DYING_MAX 4096u /* at once; the others wait until half of them are buried */

static bool wants_dead_letters(const struct lv_queue *q)
{
    return q->rules != NULL && q->rules->has_dead_letters;
}

static void die(struct lv_queue *q, const struct lv_delivery *d, enum lv_death why)
{
    if (d->slot != LV_SLOT_NONE) {
        struct lv_slot *slot = lv_slot_at(&q->slots, d->slot);
        slot->next = LV_SLOT_DYING;
        lv_queue_forget_passing(q, &slot->entry); /* it counts nowhere */
        q->dying++;
    }
    lv_queue_note(q);
    lv_queue_tell(q, d, why);
    if (d->slot == LV_SLOT_NONE)
        lv_msg_unref(d->msg);
}

/* LV_QUEUE_NO_LIMIT: never. */
static lv_time_ms deadline(const struct lv_queue *q, const struct lv_msg *m)
{
    uint64_t ttl = m->has_expiration ? lv_msg_ttl_ms(m) : LV_QUEUE_NO_LIMIT;

    if (q->rules != NULL)
        ttl = LV_MIN(ttl, q->rules->ttl_ms);
    return ttl == LV_QUEUE_NO_LIMIT ? LV_QUEUE_NO_LIMIT : m->published_ms + ttl;
}

static bool may_expire(const struct lv_queue *q)
{
    return q->may_expire || (q->rules != NULL && q->rules->ttl_ms != LV_QUEUE_NO_LIMIT);
}

static void update(struct lv_queue *q)
{
    q->is_swept = may_expire(q) || q->marks != NULL ||
                  (q->rules != NULL && (q->rules->max_length != LV_QUEUE_NO_LIMIT ||
                                        q->rules->max_bytes != LV_QUEUE_NO_LIMIT));
}

/* Why the message dies now, if it does. *at: when it will. */
static bool is_due(const struct lv_queue *q, const struct lv_entry *e, lv_time_ms now,
                   enum lv_death *why, lv_time_ms *at)
{
    const struct lv_mark *mark = lv_queue_mark(q, e);

    *at = LV_QUEUE_NO_LIMIT;
    *why = LV_DEATH_EXPIRED;
    if (mark != NULL && mark->is_doomed) {
        *why = mark->why;
        return true;
    }
    if (lv_entry_is_here(e))
        *at = deadline(q, e->msg);
    return *at <= now;
}

static void kill_returned(struct lv_queue *q, enum lv_death why)
{
    struct lv_delivery d;

    lv_queue_take_returned(q, wants_dead_letters(q), &d);
    die(q, &d, why);
}

/* false: no memory. */
static bool kill_ready(struct lv_queue *q, struct lv_lane *lane, enum lv_death why)
{
    struct lv_delivery d;

    if (lv_queue_take_ready(q, lane, wants_dead_letters(q), &d) != LV_OK)
        return false;
    die(q, &d, why);
    return true;
}

static const struct lv_entry *oldest_returned(const struct lv_queue *q)
{
    return &lv_slot_at(&q->slots, q->returned.oldest)->entry;
}

enum lv_err lv_queue_next_lives(struct lv_queue *q, lv_time_ms now)
{
    bool is_returned = lv_queue_is_returned_next(q);
    struct lv_entry e = is_returned ? *oldest_returned(q) : lv_ready_peek(&q->head->ready);
    enum lv_death why;
    lv_time_ms at;

    if (!is_due(q, &e, now, &why, &at))
        return LV_OK;
    if (q->dying >= DYING_MAX && q->journal != NULL)
        return LV_EAGAIN;
    if (!is_returned)
        return kill_ready(q, q->head, why) ? LV_ENOTFOUND : LV_ENOMEM;
    kill_returned(q, why);
    return LV_ENOTFOUND;
}

/* ---- what is too old ---- */

static lv_time_ms sweep_returned(struct lv_queue *q, lv_time_ms now)
{
    lv_time_ms at;

    while (q->returned.count != 0 && q->dying < DYING_MAX) {
        const struct lv_entry *e = oldest_returned(q);
        bool is_here = lv_entry_is_here(e);
        enum lv_death why;
        if (is_here && !is_due(q, e, now, &why, &at))
            return at;
        if (is_here)
            kill_returned(q, why);
        else if (!(may_expire(q) || is_due(q, e, now, &why, &at)) || !lv_queue_fetch_returned(q))
            break;
    }
    return LV_QUEUE_NO_LIMIT;
}

static lv_time_ms sweep_lane(struct lv_queue *q, struct lv_lane *lane, lv_time_ms now)
{
    lv_time_ms at;

    while (lane->ready.count != 0 && q->dying < DYING_MAX) {
        if (lane->ready.here == 0) {
            if (!lv_queue_fetch(q, lane))
                break;
            continue;
        }
        struct lv_entry e = lv_ready_peek(&lane->ready);
        enum lv_death why;
        if (!is_due(q, &e, now, &why, &at))
            return at;
        if (!kill_ready(q, lane, why))
            return now + LV_RETRY_MS;
    }
    return LV_QUEUE_NO_LIMIT;
}

static void sweep_expired(struct lv_queue *q, lv_time_ms now)
{
    lv_time_ms at = sweep_returned(q, now), lane_at;

    for (struct lv_lane *lane = q->lanes; may_expire(q) && lane != NULL; lane = lane->next) {
        lane_at = sweep_lane(q, lane, now);
        at = LV_MIN(at, lane_at);
    }
    if (at < q->wake_at && q->sink->wake != NULL) {
        q->wake_at = at;
        q->sink->wake(q->owner, at);
    }
}

/* ---- what is too much ---- */

/* After a restart the bytes of what was not read yet are a guess that is rather too high: nobody dies of it. */
static uint64_t known_bytes(const struct lv_queue *q)
{
    return q->ready_bytes - LV_MIN(q->guessed_bytes, q->ready_bytes);
}

static bool is_too_much(const struct lv_queue *q)
{
    const struct lv_queue_rules *rules = q->rules;

    return rules != NULL && rules->overflow == LV_OVERFLOW_DROP_HEAD && lv_queue_has_ready(q) &&
           (known_bytes(q) > rules->max_bytes || lv_queue_ready_count(q) > rules->max_length);
}

/* Where the guess decides, the messages that go next are read, as many as may be in memory; what is behind them counts when
 * it is read. */
static void learn_sizes(struct lv_queue *q)
{
    if (q->guessed_bytes == 0 || q->rules == NULL || q->ready_bytes <= q->rules->max_bytes)
        return;
    for (struct lv_lane *lane = q->lanes; lane != NULL; lane = lane->next)
        while (q->here_bytes < LV_QUEUE_AHEAD_BYTES && lv_queue_fetch(q, lane))
            ;
}

static void sweep_surplus(struct lv_queue *q)
{
    learn_sizes(q);
    while (is_too_much(q) && q->dying < DYING_MAX) {
        if (lv_queue_is_returned_next(q)) {
            if (lv_entry_is_here(oldest_returned(q)))
                kill_returned(q, LV_DEATH_MAXLEN);
            else if (!lv_queue_fetch_returned(q))
                return;
        } else if (q->head->ready.here == 0) {
            if (!lv_queue_fetch(q, q->head))
                return;
        } else if (!kill_ready(q, q->head, LV_DEATH_MAXLEN)) {
            return;
        }
    }
}

/* ---- both ---- */

void lv_queue_sweep(struct lv_queue *q, lv_time_ms now)
{
    if (!lv_queue_has_ready(q)) {
        q->may_expire = false;
        update(q);
        return;
    }
    sweep_surplus(q);
    sweep_expired(q, now);
}

void lv_queue_tick(struct lv_queue *q, lv_time_ms now)
{
    if (now >= q->wake_at)
        q->wake_at = LV_QUEUE_NO_LIMIT;
    lv_queue_sweep(q, now);
}

void lv_queue_bury(struct lv_queue *q, uint32_t slot, lv_time_ms now)
{
    if (q->journal != NULL)
        lv_queue_drop_slots(q, &slot, 1);
    q->dying--;
    lv_queue_forget(q, slot);
    lv_queue_note(q);
    /* Not only when there are none: there may be one that is never buried. */
    if (q->is_swept && (q->dying == 0 || q->dying == DYING_MAX / 2))
        lv_queue_go_on(q, now);
}

static bool is_none(const struct lv_queue_rules *r)
{
    return r->ttl_ms == LV_QUEUE_NO_LIMIT && r->max_length == LV_QUEUE_NO_LIMIT &&
           r->max_bytes == LV_QUEUE_NO_LIMIT && !r->has_dead_letters && !r->counts_failures;
}

enum lv_err lv_queue_rule(struct lv_queue *q, const struct lv_queue_rules *rules, lv_time_ms now)
{
    if (is_none(rules)) {
        lv_mem_free(q->rules, LV_TAG_QUEUE);
        q->rules = NULL;
    } else {
        if (q->rules == NULL)
            q->rules = lv_mem_zalloc(sizeof(*q->rules), LV_TAG_QUEUE);
        if (q->rules == NULL)
            return LV_ENOMEM;
        *q->rules = *rules;
    }
    update(q);
    q->wake_at = LV_QUEUE_NO_LIMIT;
    if (q->is_swept)
        lv_queue_sweep(q, now);
    return LV_OK;
}

/* ---- what is refused ---- */

bool lv_queue_refuses(struct lv_queue *q, struct lv_msg *msg)
{
    const struct lv_queue_rules *rules = q->rules;
    struct lv_delivery d = { .msg = msg, .slot = LV_SLOT_NONE };

    if (rules->overflow == LV_OVERFLOW_DROP_HEAD ||
        (lv_queue_ready_count(q) < rules->max_length &&
         (rules->max_bytes == LV_QUEUE_NO_LIMIT ||
          known_bytes(q) + msg->body_len <= rules->max_bytes)))
        return false;
    if (rules->overflow == LV_OVERFLOW_REJECT_DEAD)
        lv_queue_tell(q, &d, LV_DEATH_MAXLEN);
    return true;
}

/* ---- what nobody wants ---- */

/* It waits to be read, and dies then. Without memory for that it is ready once more: at least once. */
static void doom(struct lv_queue *q, uint32_t slot, enum lv_death why)
{
    struct lv_mark *mark = lv_queue_mark_make(q, lv_entry_seq(&lv_slot_at(&q->slots, slot)->entry));

    if (mark != NULL) {
        mark->is_doomed = true;
        mark->why = why;
        q->is_swept = true;
    }
    lv_queue_put_back(q, slot, true);
}

/* How often its delivery has failed, this time included; it is in the log as well. */
static uint64_t count_failure(struct lv_queue *q, uint32_t slot)
{
    const struct lv_entry *e = &lv_slot_at(&q->slots, slot)->entry;
    struct lv_mark *mark = lv_queue_mark_make(q, lv_entry_seq(e));

    if (mark == NULL)
        return 0;
    mark->failures += mark->failures != UINT32_MAX;
    q->is_swept = true;
    if (lv_queue_is_kept(q, e)) {
        (void)!lv_journal_count(q->journal, q->id, lv_entry_seq(e), mark->failures);
        lv_queue_changed(q);
    }
    return mark->failures;
}

void lv_queue_not_accepted(struct lv_queue *q, uint32_t slot, enum lv_outcome outcome)
{
    struct lv_slot *s = lv_slot_at(&q->slots, slot);
    enum lv_death why = LV_DEATH_REJECTED;
    struct lv_delivery d = { .msg = s->entry.msg, .slot = slot };

    s->entry.order |= LV_ORDER_REDELIVERED; /* should it come again after all */
    if (outcome == LV_FAILED) {
        why = LV_DEATH_DELIVERY_LIMIT;
        if (!q->rules->counts_failures || count_failure(q, slot) <= q->rules->delivery_limit) {
            lv_queue_put_back(q, slot, true);
            return;
        }
    }
    if (!wants_dead_letters(q)) {
        if (q->journal != NULL)
            lv_queue_drop_slots(q, &slot, 1);
        lv_queue_tell(q, &(struct lv_delivery){ .slot = LV_SLOT_NONE }, why);
        lv_queue_forget(q, slot);
    } else if (lv_entry_is_here(&s->entry)) {
        die(q, &d, why);
    } else {
        doom(q, slot, why);
    }
}
