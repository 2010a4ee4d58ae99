/* What a census is told of a connection, its channels and their consumers. */
#include "proto/amqp091/amqp_priv.h"

static struct lv_consumer_info *consumer(const struct lv_amqp_sub *sub, struct lv_census *census)
{
    struct lv_consumer_info *out = lv_census_alloc(census, sizeof(*out));

    if (out == NULL)
        return NULL;
    out->tag = lv_census_copy(census, lv_amqp_sub_tag(sub));
    out->queue = lv_census_copy(census, lv_amqp_sub_queue(sub));
    out->arguments = lv_census_copy(census, lv_amqp_sub_arguments(sub));
    out->prefetch = sub->sub.limit;
    out->ack_required = !sub->sub.no_ack;
    out->exclusive = sub->is_exclusive;
    out->activity = lv_sub_activity(&sub->sub, lv_amqp_sub_queue(sub));
    return out;
}

static void consumers(const struct lv_amqp_chan *ch, struct lv_census *census,
                      struct lv_channel_info *out)
{
    struct lv_consumer_info **last = &out->consumers;

    LV_LIST_FOR (l, &ch->consumers) {
        out->consumer_count++;
        if (census->depth < LV_CENSUS_CONSUMERS)
            continue;
        *last = consumer(LV_CONTAINER_OF(l, struct lv_amqp_sub, link), census);
        if (*last == NULL)
            return;
        last = &(*last)->next;
    }
}

static uint64_t decided_in_tx(const struct lv_amqp_chan *ch)
{
    const struct lv_amqp_unacked *u = &ch->unacked;
    uint64_t n = 0;

    for (uint32_t i = 0; ch->mode == LV_AMQP_TX && i < u->count; i++)
        n += u->ring[(u->head + i) & (u->cap - 1)].state == LV_AMQP_IN_TX;
    return n;
}

static void published(const struct lv_amqp_chan *ch, struct lv_channel_info *out)
{
    struct lv_published sum;

    lv_published_sum(&ch->pub->memo, &sum);
    out->published = sum.count;
    out->confirmed = sum.confirmed;
    out->returned = sum.returned;
    out->dropped = sum.dropped;
}

static void routed(const struct lv_published_to *to, struct lv_census *census,
                   struct lv_channel_exchange *out)
{
    for (const struct lv_routed *r = to->queues; r != NULL; r = r->next) {
        struct lv_channel_routed *q = lv_census_alloc(census, sizeof(*q));
        if (q == NULL)
            return;
        q->exchange = out->exchange;
        q->queue = lv_census_copy(census, lv_bytes(r->queue, r->len));
        q->published = r->count;
        q->next = out->queues;
        out->queues = q;
    }
}

static void exchanges(const struct lv_amqp_chan *ch, struct lv_census *census,
                      struct lv_channel_info *out)
{
    for (const struct lv_published_to *to = ch->pub->memo.published; to != NULL; to = to->next) {
        struct lv_channel_exchange *x = lv_census_alloc(census, sizeof(*x));
        if (x == NULL)
            return;
        x->exchange = lv_census_copy(census, lv_bytes(to->exchange, to->len));
        x->published = to->life.count;
        x->confirmed = to->life.confirmed;
        x->returned = to->life.returned;
        x->dropped = to->life.dropped;
        routed(to, census, x);
        x->next = out->exchanges;
        out->exchanges = x;
    }
}

static void queues(const struct lv_amqp_chan *ch, struct lv_census *census,
                   struct lv_channel_info *out)
{
    for (const struct lv_amqp_used *u = ch->used; u != NULL; u = u->next) {
        lv_queue_totals_add(&out->out, &u->out);
        struct lv_channel_queue *q =
            u->len != 0 && !census->counts_only ? lv_census_alloc(census, sizeof(*q)) : NULL;
        if (q == NULL)
            continue;
        q->queue = lv_census_copy(census, lv_bytes(u->queue, u->len));
        q->out = u->out;
        q->next = out->queues;
        out->queues = q;
    }
}

/* What was delivered since the last time counts as activity of now: deliveries take no time of their own. */
static lv_time_ms last_active(struct lv_amqp_chan *ch)
{
    LV_LIST_FOR (l, &ch->consumers)
        lv_amqp_sub_count(LV_CONTAINER_OF(l, struct lv_amqp_sub, link));
    if (ch->last_tag != ch->seen_tag)
        ch->active_ms = lv_loop_now(ch->conn->s.conn.loop);
    ch->seen_tag = ch->last_tag;
    return ch->pub != NULL ? LV_MAX(ch->active_ms, ch->pub->memo.active_ms) : ch->active_ms;
}

static struct lv_channel_info *channel(struct lv_amqp_chan *ch, struct lv_census *census)
{
    struct lv_channel_info *out = lv_census_alloc(census, sizeof(*out));
    lv_time_ms active_ms = last_active(ch);

    if (out == NULL)
        return NULL;
    out->number = ch->number;
    out->prefetch = ch->prefetch;
    out->global_prefetch = ch->global_limit;
    out->is_confirm = ch->mode == LV_AMQP_CONFIRM;
    out->is_tx = ch->mode == LV_AMQP_TX;
    out->unacked = ch->unacked.open;
    out->unconfirmed = out->is_confirm ? ch->confirms.next - 1 - ch->confirms.told : 0;
    out->uncommitted = lv_amqp_tx_count(ch);
    out->acks_uncommitted = decided_in_tx(ch);
    queues(ch, census, out);
    if (ch->pub != NULL) {
        published(ch, out);
        if (!census->counts_only)
            exchanges(ch, census, out);
    }
    out->idle_since_ms = lv_idle_since(active_ms);
    consumers(ch, census, out);
    return out;
}

static void channels(const struct lv_amqp_conn *ac, struct lv_census *census,
                     struct lv_connection_info *out)
{
    for (uint32_t i = ac->chan_cap; i-- > 0;) {
        struct lv_amqp_chan *ch = ac->chans[i];
        struct lv_channel_info *info;
        if (ch == NULL || ch->state == LV_AMQP_CHAN_CLOSING || (info = channel(ch, census)) == NULL)
            continue;
        info->next = out->channels;
        out->channels = info;
    }
}

void lv_amqp_describe(const struct lv_session *s, struct lv_census *census,
                      struct lv_connection_info *out)
{
    const struct lv_amqp_conn *ac = (const struct lv_amqp_conn *)s;

    out->protocol = "AMQP 0-9-1";
    out->state = s->is_blocked ? "blocked" : lv_amqp_state_name(ac);
    out->channel_max = ac->channel_max;
    out->frame_max = ac->frame_max;
    out->heartbeat = ac->heartbeat;
    out->channel_count = ac->chan_count;
    if (!census->counts_only) {
        out->name = lv_census_copy(census, ac->name);
        out->client_properties = lv_census_copy(census, ac->properties);
        if (ac->mechanism != NULL)
            out->auth_mechanism = lv_census_copy(census, lv_sasl_name(ac->mechanism));
    }
    if (census->depth >= LV_CENSUS_CHANNELS)
        channels(ac, census, out);
}
