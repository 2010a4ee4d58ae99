/* Connections, their channels, and consumers: what a census brings from the loops. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/table.h"
#include "manage/ask.h"
#include "manage/connections.h"
#include "manage/fields.h"
#include "manage/listing.h"
#include "manage/manage_priv.h"
#include "manage/router.h"
#include "manage/shapes.h"

/* One of the census and what it belongs to. */
struct member {
    const struct lv_connection_info *connection;
    const struct lv_channel_info *channel;
    const struct lv_consumer_info *consumer;
};

/* Monitors see all, others their own. */
static bool is_visible(const struct lv_request *r, const struct lv_connection_info *c)
{
    return lv_who_is(r, LV_WHO_ADMINISTRATOR | LV_WHO_MONITORING) ||
           lv_bytes_eq(c->user, r->who.name);
}

/* ---- shapes ---- */

static void put_or_null(struct lv_json *j, const char *key, struct lv_bytes v)
{
    if (v.len != 0)
        lv_json_bytes(j, key, v);
    else
        lv_json_null(j, key);
}

/* "2026-11-27T09:00:00Z - 2027-...", as RabbitMQ writes it. */
static void put_validity(struct lv_json *j, const struct lv_connection_info *c)
{
    time_t from = (time_t)c->peer_not_before_s, to = (time_t)c->peer_not_after_s;
    struct tm a, b;
    char text[64];

    if (!c->has_cert || gmtime_r(&from, &a) == NULL || gmtime_r(&to, &b) == NULL) {
        lv_json_null(j, "peer_cert_validity");
        return;
    }
    size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ - ", &a);
    (void)strftime(text + n, sizeof(text) - n, "%Y-%m-%dT%H:%M:%SZ", &b);
    lv_json_str(j, "peer_cert_validity", text);
}

static void put_tls(struct lv_json *j, const struct lv_connection_info *c)
{
    lv_json_bool(j, "ssl", c->is_tls);
    put_or_null(j, "ssl_protocol", c->tls_protocol);
    lv_json_null(j, "ssl_key_exchange");
    put_or_null(j, "ssl_cipher", c->tls_cipher);
    lv_json_null(j, "ssl_hash");
    put_or_null(j, "peer_cert_subject", c->peer_subject);
    put_or_null(j, "peer_cert_issuer", c->peer_issuer);
    put_or_null(j, "peer_cert_serial_number", c->peer_serial);
    put_validity(j, c);
}

/* What the client calls the connection, if it does. */
static void put_own_name(struct lv_json *j, struct lv_bytes client_properties)
{
    struct lv_value name;

    if (lv_table_find(client_properties, LV_BYTES_LIT("connection_name"), &name) &&
        name.kind == LV_KIND_STRING)
        lv_json_bytes(j, "user_provided_name", name.bytes);
}

static bool describe(struct lv_request *r, const struct lv_listing_item *item, struct lv_json *j)
{
    const struct lv_connection_info *c = item->object;
    const struct lv_series *series = lv_rates_find(r->room->rates, LV_RATES_CONNECTION,
                                                   lv_bytes(NULL, 0), lv_bytes(NULL, 0), c->id);

    lv_json_open(j, NULL);
    lv_json_bytes(j, "name", c->name);
    lv_json_str(j, "node", r->room->node);
    lv_json_bytes(j, "user", c->user);
    lv_json_bytes(j, "user_who_performed_action", c->user);
    lv_json_bytes(j, "vhost", c->vhost);
    lv_json_str(j, "state", c->state);
    lv_json_str(j, "protocol", c->protocol);
    lv_json_str(j, "type", "network");
    lv_json_bytes(j, "host", c->local_host);
    lv_json_u64(j, "port", c->local_port);
    lv_json_bytes(j, "peer_host", c->peer_host);
    lv_json_u64(j, "peer_port", c->peer_port);
    put_tls(j, c);
    lv_json_bytes(j, "auth_mechanism", c->auth_mechanism);
    lv_json_u64(j, "timeout", c->heartbeat);
    lv_json_u64(j, "frame_max", c->frame_max);
    lv_json_u64(j, "channel_max", c->channel_max);
    lv_json_u64(j, "channels", c->channel_count);
    lv_json_fields(j, "client_properties", c->client_properties);
    put_own_name(j, c->client_properties);
    lv_json_u64(j, "connected_at", c->connected_at_ms);
    lv_rates_put(j, series, LV_RATE_recv_oct, c->bytes_in, r->ranges);
    lv_json_u64(j, "recv_cnt", c->reads);
    lv_rates_put(j, series, LV_RATE_send_oct, c->bytes_out, r->ranges);
    lv_json_u64(j, "send_cnt", c->writes);
    lv_json_u64(j, "send_pend", c->pending);
    lv_json_close(j);
    return true;
}

static const struct lv_listing_kind kind = { .describe = describe, .is_kept = true };

static bool describe_short(struct lv_request *r, const struct lv_listing_item *item,
                           struct lv_json *j)
{
    const struct lv_connection_info *c = item->object;

    lv_json_open(j, NULL);
    lv_json_bytes(j, "name", c->name);
    lv_json_str(j, "node", r->room->node);
    lv_json_bytes(j, "user", c->user);
    lv_json_bytes(j, "vhost", c->vhost);
    lv_json_close(j);
    return true;
}

static const struct lv_listing_kind short_kind = { .describe = describe_short, .is_kept = true };

/* "CONNECTION (NUMBER)" */
static struct lv_bytes channel_name(const struct member *m, char *out, size_t cap)
{
    int n = snprintf(out, cap, "%.*s (%u)", LV_BYTES_FMT(m->connection->name), m->channel->number);

    return lv_bytes(out, LV_MIN((size_t)LV_MAX(n, 0), cap - 1));
}

static void put_channel_details(struct lv_request *r, struct lv_json *j, const struct member *m)
{
    char name[512];

    lv_json_open(j, "channel_details");
    lv_json_bytes(j, "name", channel_name(m, name, sizeof(name)));
    lv_json_u64(j, "number", m->channel->number);
    lv_json_bytes(j, "connection_name", m->connection->name);
    lv_json_str(j, "node", r->room->node);
    lv_json_bytes(j, "peer_host", m->connection->peer_host);
    lv_json_u64(j, "peer_port", m->connection->peer_port);
    lv_json_bytes(j, "user", m->connection->user);
    lv_json_close(j);
}

static bool describe_consumer(struct lv_request *r, const struct lv_listing_item *item,
                              struct lv_json *j)
{
    static const char *const activities[] = { "up", "single_active", "waiting" };
    const struct member *m = item->object;
    const struct lv_consumer_info *c = m->consumer;
    uint32_t timeout = r->room->settings->consumer_timeout;

    lv_json_open(j, NULL);
    lv_json_bytes(j, "consumer_tag", c->tag);
    lv_json_open(j, "queue");
    lv_json_bytes(j, "name", c->queue);
    lv_json_bytes(j, "vhost", m->connection->vhost);
    lv_json_close(j);
    put_channel_details(r, j, m);
    lv_json_bool(j, "ack_required", c->ack_required);
    lv_json_bool(j, "exclusive", c->exclusive);
    lv_json_u64(j, "prefetch_count", c->prefetch);
    lv_json_bool(j, "active", c->activity != LV_ACTIVITY_WAITING);
    lv_json_str(j, "activity_status", activities[c->activity]);
    lv_json_fields(j, "arguments", c->arguments);
    if (timeout != LV_UNLIMITED)
        lv_json_u64(j, "consumer_timeout", timeout);
    lv_json_close(j);
    return true;
}

static const struct lv_listing_kind consumer_kind = { .describe = describe_consumer,
                                                      .is_kept = true };

static void put_channel_messages(struct lv_request *r, struct lv_json *j, const struct member *m)
{
    const struct lv_channel_info *c = m->channel;
    const struct lv_series *series =
        lv_rates_find(r->room->rates, LV_RATES_CHANNEL, lv_bytes(NULL, 0), lv_bytes(NULL, 0),
                      m->connection->id | (uint64_t)c->number << 48);
    uint64_t got = c->out.deliver + c->out.deliver_no_ack + c->out.get + c->out.get_no_ack;

    if ((c->published | got | c->out.get_empty | c->out.ack) == 0)
        return;
    lv_json_open(j, "message_stats");
    if (c->published != 0) {
        lv_rates_put(j, series, LV_RATE_publish, c->published, r->ranges);
        lv_rates_put(j, series, LV_RATE_confirm, c->confirmed, r->ranges);
        lv_rates_put(j, series, LV_RATE_return_unroutable, c->returned, r->ranges);
        lv_rates_put(j, series, LV_RATE_drop_unroutable, c->dropped, r->ranges);
    }
#define X(name) lv_rates_put(j, series, LV_RATE_##name, c->out.name, r->ranges);
    LV_QUEUE_COUNTERS(X)
#undef X
    lv_rates_put(j, series, LV_RATE_deliver_get, got, r->ranges);
    lv_json_close(j);
}

static void put_channel(struct lv_request *r, struct lv_json *j, const struct member *m)
{
    const struct lv_channel_info *c = m->channel;
    char name[512];

    lv_json_bytes(j, "name", channel_name(m, name, sizeof(name)));
    lv_json_u64(j, "number", c->number);
    lv_json_str(j, "node", r->room->node);
    lv_json_bytes(j, "user", m->connection->user);
    lv_json_bytes(j, "user_who_performed_action", m->connection->user);
    lv_json_bytes(j, "vhost", m->connection->vhost);
    lv_json_open(j, "connection_details");
    lv_json_bytes(j, "name", m->connection->name);
    lv_json_bytes(j, "peer_host", m->connection->peer_host);
    lv_json_u64(j, "peer_port", m->connection->peer_port);
    lv_json_close(j);
    lv_json_str(j, "state", c->is_flow ? "flow" : "running");
    lv_json_bool(j, "confirm", c->is_confirm);
    lv_json_bool(j, "transactional", c->is_tx);
    lv_json_u64(j, "consumer_count", c->consumer_count);
    lv_json_u64(j, "prefetch_count", c->prefetch);
    lv_json_u64(j, "global_prefetch_count", c->global_prefetch);
    lv_json_u64(j, "messages_unacknowledged", c->unacked);
    lv_json_u64(j, "messages_unconfirmed", c->unconfirmed);
    lv_json_u64(j, "messages_uncommitted", c->uncommitted);
    lv_json_u64(j, "acks_uncommitted", c->acks_uncommitted);
    lv_json_u64(j, "pending_raft_commands", 0);
    lv_json_u64(j, "cached_segments", 0);
    if (c->idle_since_ms != 0)
        lv_json_time_ms(j, "idle_since", c->idle_since_ms);
    put_channel_messages(r, j, m);
}

static bool describe_channel(struct lv_request *r, const struct lv_listing_item *item,
                             struct lv_json *j)
{
    lv_json_open(j, NULL);
    put_channel(r, j, item->object);
    lv_json_close(j);
    return true;
}

static const struct lv_listing_kind channel_kind = { .describe = describe_channel, .is_kept = true };

/* ---- connections ---- */

static const struct lv_connection_info *find(const struct lv_census *census, struct lv_bytes name)
{
    const struct lv_connection_info *c = census->connections;

    while (c != NULL && !lv_bytes_eq(c->name, name))
        c = c->next;
    return c;
}

static void list_connections(struct lv_request *r, struct lv_census *census)
{
    struct lv_listing *list = lv_listing_new(r, &kind);

    if (list == NULL)
        return;
    for (const struct lv_connection_info *c = census->connections; c != NULL; c = c->next)
        if (is_visible(r, c))
            lv_listing_add(list, c->vhost, c->name, c);
    lv_listing_reply(list);
}

static void poll(struct lv_request *r, enum lv_census_depth depth,
                 void (*done)(struct lv_request *r, struct lv_census *census))
{
    struct lv_poll *p = lv_request_ranges(r) ? lv_poll_new(r, depth, done) : NULL;

    if (p != NULL)
        lv_poll_send(p);
}

void lv_api_connections(struct lv_request *r)
{
    poll(r, LV_CENSUS_CONNECTIONS, list_connections);
}

/* The one of the path. NULL: it was answered. */
static const struct lv_connection_info *find_of_path(struct lv_request *r,
                                                     const struct lv_census *census)
{
    const struct lv_connection_info *c = find(census, r->args[0]);

    if (c == NULL) {
        lv_reply_not_found(r);
    } else if (!is_visible(r, c)) {
        lv_reply_refused(r, "User not authorised to access object");
        c = NULL;
    }
    return c;
}

static void one_connection(struct lv_request *r, struct lv_census *census)
{
    const struct lv_connection_info *c = find_of_path(r, census);

    if (c != NULL)
        lv_reply_one(r, &kind, &(struct lv_listing_item){ .object = c });
}

void lv_api_connection(struct lv_request *r)
{
    poll(r, LV_CENSUS_CONNECTIONS, one_connection);
}

/* AMQP 1.0 is not spoken. */
static void no_sessions(struct lv_request *r, struct lv_census *census)
{
    if (find_of_path(r, census) == NULL)
        return;
    struct lv_json *j = lv_reply_json(r, 200);
    lv_json_open_array(j, NULL);
    lv_json_close(j);
    lv_reply_end(r);
}

void lv_api_connection_sessions(struct lv_request *r)
{
    poll(r, LV_CENSUS_CONNECTIONS, no_sessions);
}

/* ---- closing ---- */

/* One after the other, those of a list. */
struct closing {
    struct lv_eviction eviction; /* first */
    struct lv_request *r;
    const struct lv_connection_info *next;
};

static void close_next(struct closing *c);

static void closed(struct lv_errand *errand)
{
    struct closing *c = (struct closing *)errand;

    if (lv_request_back(c->r))
        close_next(c);
}

static bool is_chosen(const struct lv_request *r, const struct lv_connection_info *c)
{
    return lv_bytes_eq(r->url.segment[2], LV_BYTES_LIT("username"))
               ? lv_bytes_eq(c->user, r->args[0])
               : lv_bytes_eq(c->name, r->args[0]);
}

static void close_next(struct closing *c)
{
    struct lv_request *r = c->r;

    while (c->next != NULL && !is_chosen(r, c->next))
        c->next = c->next->next;
    if (c->next == NULL) {
        lv_reply_empty(r, 204);
        return;
    }
    c->eviction.id = c->next->id;
    c->next = c->next->next;
    c->eviction.was_there = false;
    c->eviction.loop = c->eviction.pos = 0;
    lv_request_out(r);
    lv_eviction_send(r->room->broker, &c->eviction);
}

static void close_all(struct lv_request *r, struct lv_census *census)
{
    struct lv_bytes reason = lv_http_header(&r->head, "x-reason");
    struct closing *c = lv_request_alloc(r, sizeof(*c));

    if (c == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    if (reason.len == 0)
        reason = LV_BYTES_LIT("Closed via management plugin");
    (void)snprintf(c->eviction.reason, sizeof(c->eviction.reason), "%.*s", LV_BYTES_FMT(reason));
    c->eviction.errand.done = closed;
    c->eviction.errand.desk = &r->room->desk;
    c->r = r;
    c->next = census->connections;
    close_next(c);
}

static void close_one(struct lv_request *r, struct lv_census *census)
{
    if (find_of_path(r, census) != NULL)
        close_all(r, census);
}

void lv_api_connection_close(struct lv_request *r)
{
    poll(r, LV_CENSUS_CONNECTIONS, close_one);
}

/* ---- of a user ---- */

static void list_of_user(struct lv_request *r, struct lv_census *census)
{
    struct lv_listing *list = lv_listing_new(r, &short_kind);

    if (list == NULL)
        return;
    for (const struct lv_connection_info *c = census->connections; c != NULL; c = c->next)
        if (is_chosen(r, c))
            lv_listing_add(list, c->vhost, c->name, c);
    lv_listing_reply(list);
}

static void of_user(struct lv_request *r,
                    void (*done)(struct lv_request *r, struct lv_census *census))
{
    if (!lv_who_is(r, LV_WHO_ADMINISTRATOR | LV_WHO_MONITORING) &&
        !lv_bytes_eq(r->args[0], r->who.name))
        lv_reply_refused(r, "User not authorised to access object");
    else
        poll(r, LV_CENSUS_CONNECTIONS, done);
}

void lv_api_connections_of(struct lv_request *r)
{
    of_user(r, list_of_user);
}

void lv_api_connections_of_close(struct lv_request *r)
{
    of_user(r, close_all);
}

/* ---- channels ---- */

static void add_channels(struct lv_listing *list, struct lv_request *r,
                         const struct lv_connection_info *connection)
{
    char text[512];

    for (const struct lv_channel_info *c = connection->channels; c != NULL; c = c->next) {
        struct member *m = lv_request_alloc(r, sizeof(*m));
        if (m == NULL)
            return;
        *m = (struct member){ .connection = connection, .channel = c };
        lv_listing_add(list, connection->vhost,
                       lv_request_copy(r, channel_name(m, text, sizeof(text))), m);
    }
}

static void list_channels(struct lv_request *r, struct lv_census *census)
{
    struct lv_listing *list = lv_listing_new(r, &channel_kind);

    if (list == NULL)
        return;
    for (const struct lv_connection_info *c = census->connections; c != NULL; c = c->next)
        if (is_visible(r, c))
            add_channels(list, r, c);
    lv_listing_reply(list);
}

void lv_api_channels(struct lv_request *r)
{
    poll(r, LV_CENSUS_CHANNELS, list_channels);
}

static void list_of_connection(struct lv_request *r, struct lv_census *census)
{
    const struct lv_connection_info *c = find_of_path(r, census);
    struct lv_listing *list = c != NULL ? lv_listing_new(r, &channel_kind) : NULL;

    if (list == NULL)
        return;
    add_channels(list, r, c);
    lv_listing_reply(list);
}

void lv_api_connection_channels(struct lv_request *r)
{
    poll(r, LV_CENSUS_CHANNELS, list_of_connection);
}

static void put_consumers(struct lv_request *r, struct lv_json *j, struct member *m)
{
    lv_json_open_array(j, "consumer_details");
    for (m->consumer = m->channel->consumers; m->consumer != NULL; m->consumer = m->consumer->next)
        (void)describe_consumer(r, &(struct lv_listing_item){ .object = m }, j);
    lv_json_close(j);
}

static void one_channel(struct lv_request *r, struct lv_census *census)
{
    struct member m = { .connection = census->connections };
    char name[512];

    for (; m.connection != NULL; m.connection = m.connection->next) {
        m.channel = m.connection->channels;
        while (m.channel != NULL && !lv_bytes_eq(channel_name(&m, name, sizeof(name)), r->args[0]))
            m.channel = m.channel->next;
        if (m.channel != NULL)
            break;
    }
    if (m.connection == NULL) {
        lv_reply_not_found(r);
        return;
    }
    if (!is_visible(r, m.connection)) {
        lv_reply_refused(r, "User not authorised to access object");
        return;
    }
    struct lv_json *j = lv_reply_json(r, 200);
    lv_reply_select(r);
    lv_json_open(j, NULL);
    put_channel(r, j, &m);
    put_consumers(r, j, &m);
    lv_json_open_array(j, "publishes");
    lv_json_close(j);
    lv_json_open_array(j, "deliveries");
    lv_json_close(j);
    lv_json_close(j);
    lv_reply_end(r);
}

void lv_api_channel(struct lv_request *r)
{
    poll(r, LV_CENSUS_CONSUMERS, one_channel);
}

/* ---- consumers ---- */

static void list_consumers(struct lv_request *r, struct lv_census *census)
{
    struct lv_listing *list = lv_listing_new(r, &consumer_kind);
    struct member at = { .connection = census->connections };

    if (list == NULL)
        return;
    for (; at.connection != NULL; at.connection = at.connection->next) {
        if (!is_visible(r, at.connection))
            continue;
        for (at.channel = at.connection->channels; at.channel != NULL; at.channel = at.channel->next)
            for (at.consumer = at.channel->consumers; at.consumer != NULL;
                 at.consumer = at.consumer->next) {
                struct member *m = lv_request_alloc(r, sizeof(*m));
                if (m != NULL)
                    *m = at;
                if (m != NULL)
                    lv_listing_add(list, at.connection->vhost, at.consumer->queue, m);
            }
    }
    lv_listing_reply(list);
}

void lv_api_consumers(struct lv_request *r)
{
    poll(r, LV_CENSUS_CONSUMERS, list_consumers);
}

void lv_json_consumers_of(struct lv_request *r, struct lv_json *j, const struct lv_census *census,
                          struct lv_bytes queue)
{
    struct member m = { .connection = census->connections };

    lv_json_open_array(j, "consumer_details");
    for (; m.connection != NULL; m.connection = m.connection->next)
        for (m.channel = m.connection->channels; m.channel != NULL; m.channel = m.channel->next)
            for (m.consumer = m.channel->consumers; m.consumer != NULL;
                 m.consumer = m.consumer->next)
                if (lv_bytes_eq(m.consumer->queue, queue))
                    (void)describe_consumer(r, &(struct lv_listing_item){ .object = &m }, j);
    lv_json_close(j);
}
