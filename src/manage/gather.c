/* What a scrape is made of: names in one walk, connections by a census. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "manage/metrics_priv.h"

void lv_metrics_label(struct lv_buf *out, const char *name, struct lv_bytes value)
{
    if (out->len != 0)
        lv_buf_add(out, ",", 1);
    lv_buf_add_str(out, name);
    lv_buf_add(out, "=\"", 2);
    for (size_t i = 0, from = 0; i <= value.len; i++) {
        const char *escaped = i == value.len         ? ""
                              : value.ptr[i] == '"'  ? "\\\""
                              : value.ptr[i] == '\\' ? "\\\\"
                              : value.ptr[i] == '\n' ? "\\n"
                                                     : NULL;
        if (escaped == NULL)
            continue;
        lv_buf_add(out, value.ptr + from, i - from);
        lv_buf_add_str(out, escaped);
        from = i + 1;
    }
    lv_buf_add(out, "\"", 1);
}

static bool is_wanted(const struct lv_metrics *m, enum lv_metrics_kind kind)
{
    return (m->kinds & 1u << kind) != 0;
}

static void add_row(struct lv_metrics *m, struct lv_metrics_rows *to, const void *object)
{
    struct lv_metrics_row row = {
        .labels = lv_census_copy(&m->census, lv_buf_view(&m->text)),
        .object = object,
    };

    lv_buf_add(&to->rows, &row, sizeof(row));
    m->text.len = 0;
}

static const void *copy(struct lv_metrics *m, const void *object, size_t bytes)
{
    return lv_census_copy(&m->census, lv_bytes(object, bytes)).ptr;
}

/* ---- names ---- */

static void see_queue(void *ctx, const struct lv_queue_entry *entry)
{
    struct lv_metrics *m = ctx;
    struct lv_metrics_sum *s = &m->sum;
    struct lv_queue_info q;

    lv_queue_describe(entry, &q);
    s->queues++;
    s->ready += q.ready;
    s->unsettled += q.unsettled;
    s->ready_here += q.ready_here;
    s->persistent += q.persistent;
    s->consumers += q.consumers;
    s->with_capacity += q.consumers != 0 && q.ready == 0;
    s->ready_bytes += q.ready_bytes;
    s->unsettled_bytes += q.unsettled_bytes;
    if (q.ready != 0)
        s->here_bytes += (double)q.ready_bytes * (double)q.ready_here / (double)q.ready;
    if (!is_wanted(m, LV_METRICS_QUEUE) ||
        (m->filter.queue != NULL && !lv_pattern_match(m->filter.queue, q.name)))
        return;
    const void *object = copy(m, &q, sizeof(q));
    lv_metrics_label(&m->text, "vhost", q.vhost);
    lv_metrics_label(&m->text, "queue", q.name);
    if (object != NULL)
        add_row(m, &m->rows[LV_METRICS_QUEUE], object);
}

static void see_exchange(void *ctx, const struct lv_exchange *x)
{
    struct lv_metrics *m = ctx;
    struct lv_exchange_info info;

    m->sum.exchanges++;
    if (m->wants_types) {
        lv_metrics_label(&m->text, "vhost", m->vhost);
        lv_metrics_label(&m->text, "exchange", x->spec.name);
        lv_metrics_label(&m->text, "type", lv_bytes_str(lv_exchange_type_name(x->spec.type)));
        uint64_t bindings = lv_exchange_binding_count(x);
        const void *count = copy(m, &bindings, sizeof(bindings));
        if (count != NULL)
            add_row(m, &m->types, count);
    }
    if (!is_wanted(m, LV_METRICS_EXCHANGE))
        return;
    lv_exchange_count(x, &info);
    const void *object = copy(m, &info, sizeof(info));
    lv_metrics_label(&m->text, "vhost", m->vhost);
    lv_metrics_label(&m->text, "exchange", x->spec.name);
    if (object != NULL)
        add_row(m, &m->rows[LV_METRICS_EXCHANGE], object);
}

static void see_vhost(void *ctx, const struct lv_vhost *v)
{
    struct lv_metrics *m = ctx;

    m->vhost = lv_vhost_name(v);
    if (m->filter.vhost.ptr != NULL && !lv_bytes_eq(m->filter.vhost, m->vhost))
        return;
    lv_metrics_label(&m->text, "vhost", m->vhost);
    add_row(m, &m->vhosts, NULL);
    lv_observe_queues(v, see_queue, m);
    lv_observe_exchanges(v, see_exchange, m);
}

/* ---- connections and channels ---- */

static void see_routed(struct lv_metrics *m, struct lv_bytes vhost, struct lv_bytes channel,
                       const struct lv_channel_routed *q)
{
    struct lv_metrics_routed *all = lv_census_alloc(&m->census, sizeof(*all));

    lv_metrics_label(&m->text, "channel", channel);
    lv_metrics_label(&m->text, "queue_vhost", vhost);
    lv_metrics_label(&m->text, "queue", q->queue);
    lv_metrics_label(&m->text, "exchange_vhost", vhost);
    lv_metrics_label(&m->text, "exchange", q->exchange);
    add_row(m, &m->rows[LV_METRICS_CHANNEL_QUEUE_EXCHANGE], q);
    if (all == NULL)
        return;
    *all = (struct lv_metrics_routed){ vhost, q->exchange, q->queue, q->published };
    add_row(m, &m->rows[LV_METRICS_QUEUE_EXCHANGE], all);
}

static int compare_routed(const void *a, const void *b)
{
    const struct lv_metrics_routed *x = ((const struct lv_metrics_row *)a)->object,
                                   *y = ((const struct lv_metrics_row *)b)->object;
    int c = lv_bytes_cmp(x->vhost, y->vhost);

    if (c == 0)
        c = lv_bytes_cmp(x->exchange, y->exchange);
    return c != 0 ? c : lv_bytes_cmp(x->queue, y->queue);
}

/* What several channels did becomes one row, with its labels. */
static void sum_routed(struct lv_metrics *m)
{
    struct lv_buf *rows = &m->rows[LV_METRICS_QUEUE_EXCHANGE].rows;
    struct lv_metrics_row *at = (struct lv_metrics_row *)rows->at;
    size_t count = lv_metrics_count(&m->rows[LV_METRICS_QUEUE_EXCHANGE]), kept = 0;

    if (count == 0)
        return;
    qsort(at, count, sizeof(*at), compare_routed);
    for (size_t i = 0; i < count; i++) {
        const struct lv_metrics_routed *r = at[i].object;
        if (kept != 0 && compare_routed(&at[kept - 1], &at[i]) == 0) {
            ((struct lv_metrics_routed *)(uintptr_t)at[kept - 1].object)->published += r->published;
            continue;
        }
        lv_metrics_label(&m->text, "vhost", r->vhost);
        lv_metrics_label(&m->text, "exchange", r->exchange);
        lv_metrics_label(&m->text, "queue", r->queue);
        at[i].labels = lv_census_copy(&m->census, lv_buf_view(&m->text));
        m->text.len = 0;
        at[kept++] = at[i];
    }
    rows->len = kept * sizeof(*at);
}

static void see_uses(struct lv_metrics *m, const struct lv_connection_info *c,
                     const struct lv_channel_info *ch, struct lv_bytes name)
{
    for (const struct lv_channel_queue *q = ch->queues; q != NULL; q = q->next) {
        lv_metrics_label(&m->text, "channel", name);
        lv_metrics_label(&m->text, "vhost", c->vhost);
        lv_metrics_label(&m->text, "queue", q->queue);
        add_row(m, &m->rows[LV_METRICS_CHANNEL_QUEUE], q);
    }
    for (const struct lv_channel_exchange *x = ch->exchanges; x != NULL; x = x->next) {
        lv_metrics_label(&m->text, "channel", name);
        lv_metrics_label(&m->text, "vhost", c->vhost);
        lv_metrics_label(&m->text, "exchange", x->exchange);
        add_row(m, &m->rows[LV_METRICS_CHANNEL_EXCHANGE], x);
        for (const struct lv_channel_routed *q = x->queues; q != NULL; q = q->next)
            see_routed(m, c->vhost, name, q);
    }
}

static void see_channel(struct lv_metrics *m, const struct lv_connection_info *c,
                        const struct lv_channel_info *ch)
{
    struct lv_channel_info *all = &m->sum.channel;
    char name[2 * LV_ADDR_MAX + 32];

    m->sum.channels++;
    all->consumer_count += ch->consumer_count;
    all->prefetch += ch->prefetch;
    all->global_prefetch += ch->global_prefetch;
    all->unacked += ch->unacked;
    all->unconfirmed += ch->unconfirmed;
    all->uncommitted += ch->uncommitted;
    all->acks_uncommitted += ch->acks_uncommitted;
    if (m->kinds == 0)
        return;
    int n = snprintf(name, sizeof(name), "%.*s (%u)", LV_BYTES_FMT(c->name), ch->number);
    struct lv_bytes text = lv_bytes(name, LV_MIN((size_t)n, sizeof(name) - 1));
    lv_metrics_label(&m->text, "channel", text);
    add_row(m, &m->rows[LV_METRICS_CHANNEL], ch);
    see_uses(m, c, ch, text);
}

static void see_connections(struct lv_metrics *m)
{
    for (const struct lv_connection_info *c = m->census.connections; c != NULL; c = c->next) {
        m->sum.connections++;
        m->sum.pending += c->pending;
        if (m->kinds != 0) {
            lv_metrics_label(&m->text, "channel", c->name);
            add_row(m, &m->rows[LV_METRICS_CONNECTION], c);
        }
        for (const struct lv_channel_info *ch = c->channels; ch != NULL; ch = ch->next)
            see_channel(m, c, ch);
    }
    sum_routed(m);
}

/* ---- the node ---- */

static void see_node(struct lv_metrics *m)
{
    const struct lv_manage *room = m->r->room;
    struct lv_metrics_sum *s = &m->sum;
    struct lv_loop_stats loop;

    lv_broker_counters(room->broker, &s->counters);
    lv_broker_resources(room->broker, &s->resources);
    lv_os_usage(&s->usage);
    s->has_store = lv_broker_store_stats(room->broker, &s->store);
    s->uptime_s = (double)(lv_clock_wall_us() - room->started_us) / 1e6;
    for (unsigned i = 0; i < LV_QUEUE_KINDS; i++)
        lv_queue_totals_add(&s->out, &s->counters.by_kind[i]);
    for (unsigned i = 0; i < lv_broker_loops(room->broker); i++) {
        lv_broker_loop_stats(room->broker, i, &loop);
        s->bytes_in += loop.bytes_in;
        s->bytes_out += loop.bytes_out;
        s->reads += loop.reads;
        s->writes += loop.writes;
    }
}

static void see_logins(struct lv_metrics *m)
{
    const struct lv_manage *room = m->r->room;
    const struct lv_counters *c = &m->sum.counters;
    const struct {
        const char *protocol;
        struct lv_metrics_logins logins;
    } all[] = {
        { "amqp091", { c->logins_ok, c->logins_failed } },
        { "http", { room->logins_ok, room->logins_failed } },
    };

    for (size_t i = 0; i < LV_ARRAY_LEN(all); i++) {
        const void *object = copy(m, &all[i].logins, sizeof(all[i].logins));
        lv_metrics_label(&m->text, "protocol", lv_bytes_str(all[i].protocol));
        if (object != NULL)
            add_row(m, &m->rows[LV_METRICS_PROTOCOL], object);
    }
}

static void gather_now(struct lv_metrics *m)
{
    see_node(m);
    see_logins(m);
    lv_observe_vhosts(m->r->room->broker, see_vhost, m);
    see_connections(m);
    m->gathered(m->r);
}

static void census_done(struct lv_errand *errand)
{
    struct lv_metrics *m = (struct lv_metrics *)errand;

    if (lv_request_back(m->r))
        gather_now(m);
}

void lv_metrics_gather(struct lv_metrics *m)
{
    unsigned of_connections = 1u << LV_METRICS_CHANNEL | 1u << LV_METRICS_CHANNEL_QUEUE |
                              1u << LV_METRICS_CHANNEL_EXCHANGE | 1u << LV_METRICS_CONNECTION |
                              1u << LV_METRICS_QUEUE_EXCHANGE |
                              1u << LV_METRICS_CHANNEL_QUEUE_EXCHANGE;

    if (!m->wants_sums && (m->kinds & of_connections) == 0) {
        gather_now(m);
        return;
    }
    m->census.errand.done = census_done;
    m->census.errand.desk = &m->r->room->desk;
    m->census.depth = LV_CENSUS_CHANNELS;
    lv_request_out(m->r);
    lv_census_send(m->r->room->broker, &m->census);
}

void lv_metrics_fini(struct lv_metrics *m)
{
    for (unsigned i = 0; i < LV_METRICS_KIND_COUNT; i++)
        lv_buf_fini(&m->rows[i].rows);
    lv_buf_fini(&m->vhosts.rows);
    lv_buf_fini(&m->types.rows);
    lv_buf_fini(&m->text);
    lv_pattern_free(m->filter.queue);
    lv_census_fini(&m->census);
}
