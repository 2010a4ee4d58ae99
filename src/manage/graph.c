/* /api/x/route and /api/x/topology: where a message would go, and a virtual host as a graph. */
#include <string.h>

#include "base/table.h"
#include "manage/ask.h"
#include "manage/bindings.h"
#include "manage/fields.h"
#include "manage/manage_priv.h"
#include "manage/rates.h"
#include "manage/router.h"
#include "manage/shapes.h"

/* ---- where a message would go ----
 * Exchange by exchange: its bindings are walked, and each is asked by itself whether it matches, which is what the tables that
 * route (route.h) must agree with. */

struct stop {
    struct stop *next;
    struct lv_bytes exchange;
};
struct reached {
    struct reached *next;
    struct lv_bytes name;
};

struct route {
    struct lv_bytes key, headers;
    struct stop *first, *last, *at; /* exchanges, each once; at: the one being walked */
    struct reached *queues;
    struct lv_bound *bindings, **bindings_end; /* that match */
    bool is_short;
};

static void add_exchange(struct lv_request *r, struct route *route, struct lv_bytes name)
{
    struct stop *s = route->first;

    while (s != NULL && !lv_bytes_eq(s->exchange, name))
        s = s->next;
    if (s != NULL)
        return;
    s = lv_request_alloc(r, sizeof(*s));
    if (s == NULL) {
        route->is_short = true;
        return;
    }
    s->exchange = name;
    if (route->last != NULL)
        route->last->next = s;
    else
        route->first = s;
    route->last = s;
}

static void add_queue(struct lv_request *r, struct route *route, struct lv_bytes name)
{
    struct reached *q = route->queues;

    while (q != NULL && !lv_bytes_eq(q->name, name))
        q = q->next;
    if (q != NULL)
        return;
    q = lv_request_alloc(r, sizeof(*q));
    if (q == NULL) {
        route->is_short = true;
        return;
    }
    q->name = name;
    q->next = route->queues;
    route->queues = q;
}

static bool matches(const struct lv_exchange *x, const struct route *route,
                    const struct lv_binding_info *b)
{
    switch (x->spec.type) {
    case LV_EXCHANGE_FANOUT:
        return true;
    case LV_EXCHANGE_TOPIC:
        return lv_topic_match(b->key, route->key);
    case LV_EXCHANGE_HEADERS:
        return lv_headers_match(b->arguments, route->headers);
    default:
        return lv_bytes_eq(b->key, route->key);
    }
}

static void walk_next(struct lv_request *r);

static void reply_route(struct lv_request *r, const struct route *route)
{
    struct lv_json *j;

    if (route->is_short) {
        lv_reply_no_memory(r);
        return;
    }
    j = lv_reply_json(r, 200);
    lv_json_open(j, NULL);
    lv_json_bool(j, "routed", route->queues != NULL);
    lv_json_open_array(j, "queues");
    for (const struct reached *q = route->queues; q != NULL; q = q->next)
        lv_json_bytes(j, NULL, q->name);
    lv_json_close(j);
    lv_json_open_array(j, "bindings");
    for (const struct lv_bound *b = route->bindings; b != NULL; b = b->next)
        lv_json_bound(j, b);
    lv_json_close(j);
    lv_json_close(j);
    lv_reply_end(r);
}

static void walked(struct lv_request *r, struct lv_walk *w)
{
    const struct lv_vhost *v = lv_observe_vhost_find(r->room->broker, r->vhost);
    struct route *route = r->state;
    const struct lv_exchange *x =
        v != NULL ? lv_observe_exchange_find(v, route->at->exchange) : NULL;
    struct lv_bytes alternate;
    struct lv_bound *next;
    bool has_matched = false;

    for (struct lv_bound *b = x != NULL ? w->first : NULL; b != NULL; b = next) {
        next = b->next;
        if (!matches(x, route, &b->info))
            continue;
        has_matched = true;
        b->next = NULL;
        *route->bindings_end = b;
        route->bindings_end = &b->next;
        if (b->info.to_exchange)
            add_exchange(r, route, b->info.destination);
        else
            add_queue(r, route, b->info.destination);
    }
    if (x != NULL && !has_matched && lv_exchange_alternate(x, &alternate))
        add_exchange(r, route, lv_request_copy(r, alternate));
    route->at = route->at->next;
    walk_next(r);
}

static void walk_next(struct lv_request *r)
{
    struct route *route = r->state;
    struct lv_walk *w;

    if (route->at == NULL || route->is_short) {
        reply_route(r, route);
        return;
    }
    w = lv_walk_new(r, walked);
    if (w == NULL)
        return;
    w->source = route->at->exchange;
    w->may_miss =
        route->at != route->first; /* a binding or an alternate may lead to what is not there */
    if (route->at->exchange.len == 0) { /* the default exchange: one queue, if it is there */
        w->destination = route->key;
        w->has_destination_kind = true;
        w->may_miss = true;
    }
    lv_walk_send(w);
}

void lv_api_route(struct lv_request *r)
{
    struct route *route = lv_request_alloc(r, sizeof(*route));
    struct lv_bytes exchange;
    struct lv_buf headers = { 0 };
    const json_t *json;

    if (route == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    route->key = LV_BYTES_LIT("");
    route->bindings_end = &route->bindings;
    if (lv_request_json(r) == NULL || !lv_body_need_text(r, "exchange", &exchange) ||
        !lv_body_text(r, "routing_key", &route->key))
        return;
    json = json_object_get(r->json, "headers");
    if (json != NULL && lv_fields_from_json(json, &headers) != LV_OK) {
        lv_buf_fini(&headers);
        lv_reply_bad_request(r, "headers should be an object");
        return;
    }
    route->headers = lv_request_copy(r, lv_buf_view(&headers));
    lv_buf_fini(&headers);
    add_exchange(r, route, lv_path_exchange(exchange));
    route->at = route->first;
    r->state = route;
    walk_next(r);
}

/* ---- a virtual host as a graph ---- */

struct graph {
    struct lv_bound *bindings;
    struct lv_census *census;
};

/* Names of different kinds of things do not meet. */
static void put_id(struct lv_json *j, const char *key, const char *kind, struct lv_bytes name)
{
    struct lv_buf id = { 0 };

    lv_buf_add_str(&id, kind);
    lv_buf_add(&id, ":", 1);
    lv_buf_add_bytes(&id, name);
    lv_json_bytes(j, key, lv_buf_view(&id));
    j->out->is_short |= id.is_short;
    lv_buf_fini(&id);
}

static void put_exchanges(struct lv_request *r, struct lv_json *j, const struct lv_vhost *v)
{
    const struct lv_exchange *x;
    size_t pos = 0;

    while ((x = lv_observe_exchange(v, &pos)) != NULL) {
        const struct lv_series *s =
            lv_rates_find(r->room->rates, LV_RATES_EXCHANGE, r->vhost, x->spec.name, 0);
        lv_json_open(j, NULL);
        put_id(j, "id", "exchange", x->spec.name);
        lv_json_str(j, "kind", "exchange");
        lv_json_bytes(j, "name", x->spec.name);
        lv_json_str(j, "type", lv_exchange_type_name(x->spec.type));
        lv_json_double(j, "rate", lv_rates_now(s, LV_RATE_publish_in));
        lv_json_close(j);
    }
}

static void put_queues(struct lv_request *r, struct lv_json *j, const struct lv_vhost *v)
{
    const struct lv_queue_entry *entry;
    struct lv_queue_info q;
    size_t pos = 0;

    while ((entry = lv_observe_queue(v, &pos)) != NULL) {
        lv_queue_describe(entry, &q);
        const struct lv_series *s =
            lv_rates_find(r->room->rates, LV_RATES_QUEUE, r->vhost, q.name, 0);
        lv_json_open(j, NULL);
        put_id(j, "id", "queue", q.name);
        lv_json_str(j, "kind", "queue");
        lv_json_bytes(j, "name", q.name);
        lv_json_str(j, "type", lv_queue_kind_name(q.kind));
        lv_json_u64(j, "messages", q.ready + q.unsettled);
        lv_json_double(j, "rate", lv_rates_now(s, LV_RATE_publish));
        lv_json_close(j);
    }
}

/* "CONNECTION (CHANNEL) TAG" */
static void put_consumer_name(struct lv_buf *out, const struct lv_connection_info *c,
                              const struct lv_channel_info *ch, const struct lv_consumer_info *cons)
{
    lv_buf_add_bytes(out, c->name);
    lv_buf_addf(out, " (%u) ", ch->number);
    lv_buf_add_bytes(out, cons->tag);
}

typedef void each_consumer(struct lv_json *j, struct lv_bytes name,
                           const struct lv_consumer_info *consumer);

static void for_consumers(const struct lv_census *census, struct lv_json *j, each_consumer *each)
{
    struct lv_buf name = { 0 };

    for (const struct lv_connection_info *c = census->connections; c != NULL; c = c->next)
        for (const struct lv_channel_info *ch = c->channels; ch != NULL; ch = ch->next)
            for (const struct lv_consumer_info *k = ch->consumers; k != NULL; k = k->next) {
                lv_buf_drop(&name, name.len);
                put_consumer_name(&name, c, ch, k);
                each(j, lv_buf_view(&name), k);
            }
    j->out->is_short |= name.is_short;
    lv_buf_fini(&name);
}

static void put_consumer(struct lv_json *j, struct lv_bytes name,
                         const struct lv_consumer_info *consumer)
{
    lv_json_open(j, NULL);
    put_id(j, "id", "consumer", name);
    lv_json_str(j, "kind", "consumer");
    lv_json_bytes(j, "name", consumer->tag);
    lv_json_close(j);
}

static void put_edge(struct lv_json *j, const char *kind, const char *from_kind,
                     struct lv_bytes from, const char *to_kind, struct lv_bytes to)
{
    lv_json_open(j, NULL);
    put_id(j, "from", from_kind, from);
    put_id(j, "to", to_kind, to);
    lv_json_str(j, "kind", kind);
}

static void put_consumer_edge(struct lv_json *j, struct lv_bytes name,
                              const struct lv_consumer_info *consumer)
{
    put_edge(j, "consumer", "queue", consumer->queue, "consumer", name);
    lv_json_close(j);
}

static void put_alternates(struct lv_json *j, const struct lv_vhost *v)
{
    const struct lv_exchange *x;
    struct lv_bytes name;
    size_t pos = 0;

    while ((x = lv_observe_exchange(v, &pos)) != NULL) {
        if (!lv_exchange_alternate(x, &name))
            continue;
        put_edge(j, "alternate", "exchange", x->spec.name, "exchange", name);
        lv_json_close(j);
    }
}

static void put_dead_letters(struct lv_json *j, const struct lv_vhost *v)
{
    const struct lv_queue_entry *entry;
    struct lv_queue_info q;
    struct lv_value x;
    size_t pos = 0;

    while ((entry = lv_observe_queue(v, &pos)) != NULL) {
        lv_queue_describe(entry, &q);
        if (!lv_table_find(q.arguments, LV_BYTES_LIT("x-dead-letter-exchange"), &x) ||
            x.kind != LV_KIND_STRING)
            continue;
        put_edge(j, "dead-letter", "queue", q.name, "exchange", x.bytes);
        lv_json_close(j);
    }
}

static void put_binding(struct lv_json *j, const struct lv_bound *b)
{
    put_edge(j, "binding", "exchange", b->info.source, b->info.to_exchange ? "exchange" : "queue",
             b->info.destination);
    lv_json_bytes(j, "routing_key", b->info.key);
    lv_json_fields(j, "arguments", b->info.arguments);
    lv_json_close(j);
}

static void reply_topology(struct lv_request *r, struct lv_census *census)
{
    const struct graph *g = r->state;
    const struct lv_vhost *v = lv_observe_vhost_find(r->room->broker, r->vhost);
    struct lv_json *j;

    if (v == NULL) {
        lv_reply_not_found(r);
        return;
    }
    j = lv_reply_json(r, 200);
    lv_json_open(j, NULL);
    lv_json_open_array(j, "nodes");
    put_exchanges(r, j, v);
    put_queues(r, j, v);
    for_consumers(census, j, put_consumer);
    lv_json_close(j);
    lv_json_open_array(j, "edges");
    for (const struct lv_bound *b = g->bindings; b != NULL; b = b->next)
        put_binding(j, b);
    put_alternates(j, v);
    put_dead_letters(j, v);
    for_consumers(census, j, put_consumer_edge);
    lv_json_close(j);
    lv_json_close(j);
    lv_reply_end(r);
}

static void topology_walked(struct lv_request *r, struct lv_walk *w)
{
    struct graph *g = lv_request_alloc(r, sizeof(*g));
    struct lv_poll *poll;

    if (g == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    g->bindings = w->first;
    r->state = g;
    poll = lv_poll_new(r, LV_CENSUS_CONSUMERS, reply_topology);
    if (poll != NULL)
        lv_poll_send(poll);
}

void lv_api_topology(struct lv_request *r)
{
    struct lv_walk *w = lv_walk_new(r, topology_walked);

    if (w == NULL)
        return;
    w->no_implicit = true; /* every queue has one: that shows nothing */
    lv_walk_send(w);
}
