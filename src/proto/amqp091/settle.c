/* basic.ack, nack, reject, recover. */
#include <inttypes.h>

#include "proto/amqp091/amqp_priv.h"

#define BATCH 256u

/* The entry is decided: out of the books of the channel. Its pin on the subscription passes to the caller. */
static void close_entry(struct lv_amqp_chan *ch, struct lv_amqp_open *e)
{
    if (e->state == LV_AMQP_OPEN)
        ch->unacked.open--;
    e->state = LV_AMQP_SETTLED;
    if (!e->sub->is_get)
        ch->consumed_open--;
}

static void after_settling(struct lv_amqp_chan *ch)
{
    lv_amqp_unacked_trim(&ch->unacked);
    if (LV_UNLIKELY(ch->is_stopped || !lv_list_empty(&ch->held)))
        lv_amqp_chan_resume(ch);
}

/* Settles runs of open entries that have their subscription in common, as one command each. Settling may
 * deliver, and delivering adds entries: so nothing is held across it but the tag to go on from. */
void lv_amqp_settle(struct lv_amqp_chan *ch, uint64_t first, uint64_t last, enum lv_outcome outcome)
{
    for (;;) {
        struct lv_amqp_open *e = lv_amqp_unacked_at(&ch->unacked, first);
        struct lv_amqp_sub *sub = NULL;
        uint32_t slots[BATCH], n = 0;
        for (; e != NULL && e->tag <= last && n < BATCH; e = lv_amqp_unacked_next(&ch->unacked, e)) {
            if (e->state != LV_AMQP_OPEN)
                continue;
            if (sub == NULL)
                sub = e->sub;
            else if (e->sub != sub)
                break;
            slots[n++] = e->slot;
            first = e->tag + 1;
            close_entry(ch, e);
        }
        if (n == 0)
            break;
        if (outcome == LV_ACCEPTED)
            sub->used->out.ack += n;
        lv_sub_settle(&sub->sub, slots, n, outcome);
        while (n-- > 0)
            lv_amqp_sub_unref(sub);
    }
    after_settling(ch);
}

/* The commit has settled what was decided in the transaction. */
void lv_amqp_settled_tx(struct lv_amqp_chan *ch)
{
    struct lv_amqp_open *e = lv_amqp_unacked_at(&ch->unacked, 0);

    for (; e != NULL; e = lv_amqp_unacked_next(&ch->unacked, e)) {
        if (e->state != LV_AMQP_IN_TX)
            continue;
        struct lv_amqp_sub *sub = e->sub;
        sub->used->out.ack += e->outcome == LV_ACCEPTED;
        close_entry(ch, e);
        lv_amqp_sub_unref(sub);
    }
    after_settling(ch);
}

/* In a transaction: decided, but not done before the commit. */
static void keep_for_commit(struct lv_amqp_chan *ch, uint64_t first, uint64_t last,
                            enum lv_outcome outcome)
{
    struct lv_amqp_open *e = lv_amqp_unacked_at(&ch->unacked, first);

    for (; e != NULL && e->tag <= last; e = lv_amqp_unacked_next(&ch->unacked, e)) {
        if (e->state != LV_AMQP_OPEN)
            continue;
        e->state = LV_AMQP_IN_TX;
        e->outcome = (uint8_t)outcome;
        ch->unacked.open--;
    }
}

void lv_amqp_client_settles(struct lv_amqp_chan *ch, uint64_t tag, bool multiple,
                            enum lv_outcome outcome)
{
    uint64_t first = multiple ? 0 : tag, last = tag;

    if (tag == 0 && multiple) {
        last = ch->last_tag; /* all so far; never an error */
    } else {
        /* RabbitMQ: the tag itself must be open, also when it stands for all before it. */
        struct lv_amqp_open *e = lv_amqp_unacked_at(&ch->unacked, tag);
        if (e == NULL || e->tag != tag || e->state != LV_AMQP_OPEN) {
            lv_amqp_error(ch, 406, "unknown delivery tag %" PRIu64, tag);
            return;
        }
    }
    if (ch->mode == LV_AMQP_TX)
        keep_for_commit(ch, first, last, outcome);
    else
        lv_amqp_settle(ch, first, last, outcome);
}

void lv_amqp_recover(struct lv_amqp_chan *ch, bool requeue, bool wants_ok)
{
    if (!requeue) {
        lv_amqp_error(ch, 540, "requeue=false");
        return;
    }
    if (wants_ok) /* before what it gives back (RabbitMQ) */
        LV_AMQP_SEND(ch->conn, ch->number, basic_recover_ok, );
    if (ch->unacked.count != 0)
        lv_amqp_settle(ch, 0, ch->last_tag, LV_RELEASED);
}

/* ---- deliveries that are never acknowledged ----
 * A delivery has no time of its own. A channel remembers a tag and when it was the last one; while the oldest open delivery
 * is not a later one, it is at least as old. So one is found late by up to a whole timeout, and never early. */

static void check_channel(struct lv_amqp_chan *ch, lv_time_ms now, uint64_t timeout_ms)
{
    const struct lv_amqp_open *oldest = lv_amqp_unacked_at(&ch->unacked, 0);

    if (oldest == NULL || ch->state == LV_AMQP_CHAN_CLOSING)
        return;
    if (oldest->tag > ch->late_tag) {
        ch->late_tag = ch->last_tag;
        ch->late_since = now;
    } else if (now - ch->late_since >= timeout_ms) {
        ch->method = 0;
        lv_amqp_error(
            ch, 406,
            "delivery acknowledgement on channel %u timed out. Timeout value used: %llu ms. "
            "This timeout value can be configured, see consumers doc guide to learn more",
            ch->number, (unsigned long long)timeout_ms);
    }
}

void lv_amqp_check_acks(struct lv_session *s, lv_time_ms now, uint64_t timeout_ms)
{
    struct lv_amqp_conn *ac = (struct lv_amqp_conn *)s;

    for (uint32_t i = 0; i < ac->chan_cap && ac->state == LV_AMQP_RUNNING; i++)
        if (ac->chans[i] != NULL)
            check_channel(ac->chans[i], now, timeout_ms);
}
