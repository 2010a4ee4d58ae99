/* Looks at everything once each interval: names in slices of a turn, then connections and channels by a census of those
 * that have moved. What is idle costs a look and no memory. */
#include "base/mem.h"
#include "manage/rates_priv.h"
#include "manage/shapes.h"
#include "os/os.h"

#define LOOKS_PER_TURN 2000u /* names */
#define SWEEP_TICKS 12u

/* ---- objects with names ---- */

static void note_totals(struct lv_rated *o, const struct lv_queue_totals *out,
                        const struct lv_queue_totals *base)
{
#define X(name) lv_rates_note(o, LV_RATE_##name, out->name, base->name);
    LV_QUEUE_COUNTERS(X)
#undef X
}

static void note_queue(struct lv_rates *rates, const struct lv_queue_info *q, bool was_zero)
{
    static const struct lv_queue_info zero;
    struct lv_rated *o = lv_rates_object(rates, LV_RATES_QUEUE, q->vhost, q->name, 0);
    const struct lv_queue_info *base = was_zero ? &zero : q;

    if (o == NULL)
        return;
    lv_rates_note(o, LV_RATE_messages_ready, q->ready, base->ready);
    lv_rates_note(o, LV_RATE_messages_unacknowledged, q->unsettled, base->unsettled);
    lv_rates_note(o, LV_RATE_publish, q->published, base->published);
    note_totals(o, &q->out, &base->out);
}

static void look_at_queue(struct lv_rates *rates, const struct lv_queue_entry *entry)
{
    struct lv_queue_info q;
    bool was_zero;

    lv_queue_describe(entry, &q);
    rates->ready += q.ready;
    rates->unsettled += q.unsettled;
    rates->published += q.published;
    lv_queue_totals_add(&rates->out, &q.out);
    if (lv_queue_has_moved(entry, &q, &was_zero))
        note_queue(rates, &q, was_zero);
}

static void look_at_exchange(struct lv_rates *rates, const struct lv_exchange *x)
{
    struct lv_exchange_info now;
    struct lv_rated *o;
    bool was_zero;

    lv_exchange_count(x, &now);
    if (!lv_exchange_has_moved(x, &now, &was_zero))
        return;
    o = lv_rates_object(rates, LV_RATES_EXCHANGE, rates->vhost, x->spec.name, 0);
    if (o == NULL)
        return;
    lv_rates_note(o, LV_RATE_publish_in, now.publish_in, was_zero ? 0 : now.publish_in);
    lv_rates_note(o, LV_RATE_publish_out, now.publish_out, was_zero ? 0 : now.publish_out);
}

static void note_vhost(struct lv_rates *rates)
{
    static const struct lv_queue_totals zero;
    struct lv_rated *o = lv_rates_object(rates, LV_RATES_VHOST, rates->vhost, lv_bytes(NULL, 0), 0);

    rates->all_ready += rates->ready;
    rates->all_unsettled += rates->unsettled;
    if (o == NULL)
        return;
    lv_rates_note(o, LV_RATE_messages_ready, rates->ready, 0);
    lv_rates_note(o, LV_RATE_messages_unacknowledged, rates->unsettled, 0);
    lv_rates_note(o, LV_RATE_publish, rates->published, 0);
    note_totals(o, &rates->out, &zero);
}

/* ---- the node ---- */

static void note_traffic(struct lv_rates *rates, struct lv_rated *o)
{
    struct lv_loop_stats loop;
    uint64_t in = 0, out = 0, reads = 0, writes = 0;

    for (unsigned i = 0; i < lv_broker_loops(rates->room->broker); i++) {
        lv_broker_loop_stats(rates->room->broker, i, &loop);
        in += loop.bytes_in;
        out += loop.bytes_out;
        reads += loop.reads;
        writes += loop.writes;
    }
    lv_rates_note(o, LV_RATE_recv_oct, in, 0);
    lv_rates_note(o, LV_RATE_send_oct, out, 0);
    lv_rates_note(o, LV_RATE_recv_cnt, reads, 0);
    lv_rates_note(o, LV_RATE_send_cnt, writes, 0);
}

static void note_churn(struct lv_rated *o, const struct lv_counters *c)
{
    lv_rates_note(o, LV_RATE_connection_created, c->connections_opened, 0);
    lv_rates_note(o, LV_RATE_connection_closed, c->connections_closed, 0);
    lv_rates_note(o, LV_RATE_channel_created, c->channels_opened, 0);
    lv_rates_note(o, LV_RATE_channel_closed, c->channels_closed, 0);
    lv_rates_note(o, LV_RATE_queue_declared, c->queues_declared, 0);
    lv_rates_note(o, LV_RATE_queue_created, c->queues_created, 0);
    lv_rates_note(o, LV_RATE_queue_deleted, c->queues_deleted, 0);
}

static void note_node(struct lv_rates *rates)
{
    static const struct lv_queue_totals zero;
    struct lv_rated *o = rates->node;
    struct lv_queue_totals out = { 0 };
    struct lv_resources r;
    struct lv_process_usage use;
    struct lv_counters c;

    lv_broker_counters(rates->room->broker, &c);
    lv_broker_resources(rates->room->broker, &r);
    for (unsigned i = 0; i < LV_QUEUE_KINDS; i++)
        lv_queue_totals_add(&out, &c.by_kind[i]);
    lv_rates_note(o, LV_RATE_messages_ready, rates->all_ready, 0);
    lv_rates_note(o, LV_RATE_messages_unacknowledged, rates->all_unsettled, 0);
    lv_rates_note(o, LV_RATE_publish, c.messages_received, 0);
    lv_rates_note(o, LV_RATE_confirm, c.messages_confirmed, 0);
    lv_rates_note(o, LV_RATE_return_unroutable, c.unroutable_returned, 0);
    lv_rates_note(o, LV_RATE_drop_unroutable, c.unroutable_dropped, 0);
    note_totals(o, &out, &zero);
    note_churn(o, &c);
    note_traffic(rates, o);
    lv_os_usage(&use);
    lv_rates_note(o, LV_RATE_fd_used, use.fds, use.fds);
    lv_rates_note(o, LV_RATE_mem_used, r.memory_used, r.memory_used);
    if (r.disk_free != UINT64_MAX)
        lv_rates_note(o, LV_RATE_disk_free, r.disk_free, r.disk_free);
}

/* ---- connections and channels ---- */

static void note_channel(struct lv_rates *rates, uint64_t connection,
                         const struct lv_channel_info *ch)
{
    struct lv_rated *o =
        lv_rates_object(rates, LV_RATES_CHANNEL, lv_bytes(NULL, 0), lv_bytes(NULL, 0),
                        lv_rates_channel_id(connection, ch->number));

    if (o == NULL)
        return;
    lv_rates_note_met(o, LV_RATE_publish, ch->published);
    lv_rates_note_met(o, LV_RATE_confirm, ch->confirmed);
    lv_rates_note_met(o, LV_RATE_return_unroutable, ch->returned);
    lv_rates_note_met(o, LV_RATE_drop_unroutable, ch->dropped);
#define X(name) lv_rates_note_met(o, LV_RATE_##name, ch->out.name);
    LV_QUEUE_COUNTERS(X)
#undef X
}

static void note_connection(struct lv_rates *rates, const struct lv_connection_info *c)
{
    struct lv_rated *o =
        lv_rates_object(rates, LV_RATES_CONNECTION, lv_bytes(NULL, 0), lv_bytes(NULL, 0), c->id);

    if (o == NULL)
        return;
    lv_rates_note_met(o, LV_RATE_recv_oct, c->bytes_in);
    lv_rates_note_met(o, LV_RATE_send_oct, c->bytes_out);
    lv_rates_note_met(o, LV_RATE_recv_cnt, c->reads);
    lv_rates_note_met(o, LV_RATE_send_cnt, c->writes);
    for (const struct lv_channel_info *ch = c->channels; ch != NULL; ch = ch->next)
        note_channel(rates, c->id, ch);
}

static void tick_done(struct lv_rates *rates)
{
    struct lv_series_world *w = &rates->world;

    w->tick++;
    w->tick_ms = lv_clock_wall_us() / 1000;
    w->last_ms = rates->last_began_ms != 0 ? (uint32_t)(rates->began_ms - rates->last_began_ms)
                                           : w->every_ms;
    rates->last_began_ms = rates->began_ms;
    rates->step = LV_SAMPLER_RESTS;
    if (w->tick % SWEEP_TICKS == 0)
        lv_rates_sweep(rates);
}

static void census_done(struct lv_errand *errand)
{
    struct lv_rates *rates = LV_CONTAINER_OF(errand, struct lv_rates, census.errand);

    for (const struct lv_connection_info *c = rates->census.connections; c != NULL; c = c->next)
        note_connection(rates, c);
    lv_census_fini(&rates->census);
    tick_done(rates);
}

static void send_census(struct lv_rates *rates)
{
    rates->step = LV_SAMPLER_CENSUS;
    rates->census = (struct lv_census){
        .errand = { .done = census_done, .desk = &rates->room->desk },
        .depth = LV_CENSUS_CHANNELS,
        .counts_only = true,
    };
    lv_census_send(rates->room->broker, &rates->census);
}

/* ---- the walk ---- */

/* False: there is none left. */
static bool next_vhost(struct lv_rates *rates)
{
    const struct lv_vhost *v;
    struct lv_bytes name;

    do {
        v = lv_observe_vhost(rates->room->broker, &rates->vhost_at);
        if (v == NULL)
            return false;
        name = lv_vhost_name(v);
    } while (name.len > sizeof(rates->vhost_text));
    memcpy(rates->vhost_text, name.ptr, name.len);
    rates->vhost = lv_bytes(rates->vhost_text, name.len);
    rates->at = 0;
    rates->ready = rates->unsettled = rates->published = 0;
    rates->out = (struct lv_queue_totals){ 0 };
    rates->step = LV_SAMPLER_QUEUES;
    return true;
}

/* Some of what is in the virtual host. False: that was all. */
static bool look_around(struct lv_rates *rates, const struct lv_vhost *v)
{
    for (unsigned n = 0; n < LOOKS_PER_TURN; n++) {
        if (rates->step == LV_SAMPLER_QUEUES) {
            const struct lv_queue_entry *entry = lv_observe_queue(v, &rates->at);
            if (entry != NULL) {
                look_at_queue(rates, entry);
                continue;
            }
            rates->step = LV_SAMPLER_EXCHANGES;
            rates->at = 0;
        }
        const struct lv_exchange *x = lv_observe_exchange(v, &rates->at);
        if (x == NULL)
            return false;
        look_at_exchange(rates, x);
    }
    return true;
}

static void walk(struct lv_loop *loop, struct lv_task *task)
{
    struct lv_rates *rates = LV_CONTAINER_OF(task, struct lv_rates, slice);

    if (rates->step == LV_SAMPLER_VHOSTS && !next_vhost(rates)) {
        note_node(rates);
        send_census(rates);
        return;
    }
    const struct lv_vhost *v = lv_observe_vhost_find(rates->room->broker, rates->vhost);
    if (v == NULL || !look_around(rates, v)) {
        if (v != NULL)
            note_vhost(rates);
        rates->step = LV_SAMPLER_VHOSTS;
    }
    lv_loop_defer(loop, task);
    lv_loop_again(loop);
}

static void tick(struct lv_loop *loop, struct lv_timer *timer)
{
    struct lv_rates *rates = LV_CONTAINER_OF(timer, struct lv_rates, timer);

    lv_timer_start(loop, timer, rates->world.every_ms, tick);
    if (rates->step != LV_SAMPLER_RESTS || rates->room->settings->management_disable_stats)
        return; /* the last one is not over; or nobody wants it */
    rates->began_ms = lv_loop_now(loop);
    rates->step = LV_SAMPLER_VHOSTS;
    rates->vhost_at = 0;
    rates->all_ready = rates->all_unsettled = 0;
    lv_loop_defer(loop, &rates->slice);
}

void lv_sampler_start(struct lv_rates *rates)
{
    lv_list_init(&rates->slice.link);
    rates->slice.run = walk;
    lv_timer_start(rates->room->loop, &rates->timer, rates->world.every_ms, tick);
}

void lv_sampler_stop(struct lv_rates *rates)
{
    lv_timer_stop(&rates->timer);
    lv_list_remove(&rates->slice.link);
    rates->is_stopped = true;
}
