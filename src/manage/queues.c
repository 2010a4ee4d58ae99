#include <string.h>

#include "manage/ask.h"
#include "manage/connections.h"
#include "manage/fields.h"
#include "manage/listing.h"
#include "manage/manage_priv.h"
#include "manage/queues.h"
#include "manage/router.h"
#include "manage/shapes.h"

/* Memory of a queue, of a message in memory beside its body, of one on disk. */
#define QUEUE_BYTES 1024u
#define MESSAGE_BYTES 160u
#define ENTRY_BYTES 16u

const char *lv_queue_kind_name(enum lv_queue_kind kind)
{
    static const char *const names[LV_QUEUE_KINDS] = { "classic", "quorum", "stream" };

    return names[kind];
}

static void put_names(struct lv_request *r, struct lv_json *j, const struct lv_queue_info *q)
{
    lv_json_bytes(j, "name", q->name);
    lv_json_bytes(j, "vhost", q->vhost);
    lv_json_str(j, "type", lv_queue_kind_name(q->kind));
    lv_json_bool(j, "durable", q->durable);
    lv_json_bool(j, "auto_delete", q->auto_delete);
    lv_json_bool(j, "exclusive", q->exclusive);
    lv_json_fields(j, "arguments", q->arguments);
    lv_json_str(j, "node", r->room->node);
    lv_json_str(j, "state", "running");
}

static void put_policies(struct lv_request *r, struct lv_json *j, const struct lv_queue_info *q)
{
    struct lv_policy_match match;

    if (!lv_json_wants(j, "policy") && !lv_json_wants(j, "operator_policy") &&
        !lv_json_wants(j, "effective_policy_definition"))
        return;
    lv_policy_match_queue(r->room->broker, q->vhost, q->name, q->kind, &match);
    lv_json_policies(j, &match);
}

/* What is in memory, and what it takes there: about, as nobody counts it message by message. */
static void put_bytes(struct lv_json *j, const struct lv_queue_info *q)
{
    uint64_t here = LV_MIN(q->ready_here, q->ready),
             here_bytes = q->ready != 0
                              ? (uint64_t)((double)q->ready_bytes * (double)here / (double)q->ready)
                              : 0,
             ram = here + q->unsettled, ram_bytes = here_bytes + q->unsettled_bytes,
             all = q->ready + q->unsettled, all_bytes = q->ready_bytes + q->unsettled_bytes;

    lv_json_u64(j, "messages_ram", ram);
    lv_json_u64(j, "messages_ready_ram", here);
    lv_json_u64(j, "messages_unacknowledged_ram", q->unsettled);
    lv_json_u64(j, "messages_persistent", q->durable ? all : 0);
    lv_json_u64(j, "message_bytes", all_bytes);
    lv_json_u64(j, "message_bytes_ready", q->ready_bytes);
    lv_json_u64(j, "message_bytes_unacknowledged", q->unsettled_bytes);
    lv_json_u64(j, "message_bytes_ram", ram_bytes);
    lv_json_u64(j, "message_bytes_persistent", q->durable ? all_bytes : 0);
    lv_json_u64(j, "memory",
                QUEUE_BYTES + ram_bytes + ram * MESSAGE_BYTES + (all - ram) * ENTRY_BYTES);
}

static void put_contents(struct lv_request *r, struct lv_json *j, const struct lv_queue_info *q)
{
    const struct lv_series *series =
        lv_rates_find(r->room->rates, LV_RATES_QUEUE, q->vhost, q->name, 0);
    const struct lv_rates_ranges *ranges = r->ranges;

    lv_json_lengths(j, q->ready, q->unsettled, series, ranges);
    put_bytes(j, q);
    lv_json_u64(j, "consumers", q->consumers);
    /* At this moment: consumers that are there take what comes, or have as much as they may. */
    lv_json_double(j, "consumer_capacity", q->consumers != 0 && q->ready == 0 ? 1 : 0);
    lv_json_double(j, "consumer_utilisation", q->consumers != 0 && q->ready == 0 ? 1 : 0);
    if (q->idle_since_ms != 0)
        lv_json_time_ms(j, "idle_since", q->idle_since_ms);
    lv_json_message_stats(j, q->published, &q->out, series, ranges);
}

static bool find(const struct lv_request *r, struct lv_bytes vhost, struct lv_bytes name,
                 struct lv_queue_info *out)
{
    const struct lv_vhost *v = lv_observe_vhost_find(r->room->broker, vhost);
    const struct lv_queue_entry *entry = v != NULL ? lv_observe_queue_find(v, name) : NULL;

    if (entry != NULL)
        lv_queue_describe(entry, out);
    return entry != NULL;
}

static void put(struct lv_request *r, struct lv_json *j, const struct lv_queue_info *q)
{
    put_names(r, j, q);
    put_policies(r, j, q);
    put_contents(r, j, q);
    lv_json_null(j, "exclusive_consumer_tag");
    lv_json_null(j, "single_active_consumer_tag");
    lv_json_null(j, "head_message_timestamp");
    lv_json_u64(j, "storage_version", 2);
}

static bool describe(struct lv_request *r, const struct lv_listing_item *item, struct lv_json *j)
{
    struct lv_queue_info q;

    if (!find(r, item->vhost, item->name, &q))
        return false;
    lv_json_open(j, NULL);
    put(r, j, &q);
    lv_json_close(j);
    return true;
}

const struct lv_listing_kind lv_queue_listing = { .describe = describe };

void lv_queues_add(struct lv_request *r, struct lv_listing *list)
{
    const struct lv_queue_entry *entry;
    const struct lv_vhost *v;
    size_t pos = 0, at;

    while ((v = lv_request_next_vhost(r, &pos)) != NULL) {
        at = 0;
        while ((entry = lv_observe_queue(v, &at)) != NULL)
            lv_listing_add(list, lv_vhost_name(v), lv_queue_name(entry), NULL);
    }
}

void lv_api_queues(struct lv_request *r)
{
    struct lv_listing *list = lv_request_ranges(r) ? lv_listing_new(r, &lv_queue_listing) : NULL;

    if (list == NULL)
        return;
    lv_queues_add(r, list);
    lv_listing_reply(list);
}

/* ---- one, with its consumers ---- */

static void put_exclusive_owner(struct lv_json *j, const struct lv_census *census, uint64_t owner)
{
    const struct lv_connection_info *c = census->connections;

    while (c != NULL && c->id != owner)
        c = c->next;
    if (c == NULL)
        return;
    lv_json_open(j, "owner_pid_details");
    lv_json_bytes(j, "name", c->name);
    lv_json_bytes(j, "peer_host", c->peer_host);
    lv_json_u64(j, "peer_port", c->peer_port);
    lv_json_close(j);
}

static void put_nothing(struct lv_json *j, const char *key)
{
    lv_json_open_array(j, key);
    lv_json_close(j);
}

/* `census` NULL: nobody consumes. */
static void reply_details(struct lv_request *r, struct lv_census *census)
{
    static const struct lv_census nobody;
    struct lv_queue_info q;
    struct lv_json *j;

    if (census == NULL)
        census = (struct lv_census *)(uintptr_t)&nobody;
    if (!find(r, r->vhost, r->args[0], &q)) {
        lv_reply_not_found(r);
        return;
    }
    j = lv_reply_json(r, 200);
    lv_reply_select(r);
    lv_json_open(j, NULL);
    put(r, j, &q);
    lv_json_consumers_of(r, j, census, q.name);
    if (q.owner != 0)
        put_exclusive_owner(j, census, q.owner);
    put_nothing(j, "incoming");
    put_nothing(j, "deliveries");
    lv_json_close(j);
    lv_reply_end(r);
}

/* Nobody is asked who cannot say anything: tools that scale by queues ask often. */
static bool wants_census(const struct lv_request *r, const struct lv_queue_info *q)
{
    struct lv_bytes columns = lv_url_param(&r->url, "columns");

    return (q->consumers != 0 || q->owner != 0) && !lv_request_flag(r, "disable_stats") &&
           (columns.len == 0 || memmem(columns.ptr, columns.len, "consumer_details", 16) != NULL ||
            memmem(columns.ptr, columns.len, "owner_pid_details", 17) != NULL);
}

void lv_api_queue(struct lv_request *r)
{
    struct lv_queue_info q;
    struct lv_poll *poll;

    if (!lv_request_ranges(r))
        return;
    if (!find(r, r->vhost, r->args[0], &q) || !wants_census(r, &q)) {
        reply_details(r, NULL);
        return;
    }
    poll = lv_poll_new(r, LV_CENSUS_CONSUMERS, reply_details);
    if (poll != NULL)
        lv_poll_send(poll);
}

/* ---- changes ---- */

void lv_api_queue_put(struct lv_request *r)
{
    struct lv_act *verb;
    struct lv_agent a = { .name = r->args[0] };

    if (lv_request_json(r) == NULL || !lv_body_bool(r, "durable", &a.durable) ||
        !lv_body_bool(r, "auto_delete", &a.auto_delete) || !lv_body_arguments(r, &a.arguments))
        return;
    verb = lv_act_new(r, LV_AGENT_QUEUE_DECLARE, lv_reply_declared);
    if (verb == NULL)
        return;
    verb->agent.name = a.name;
    verb->agent.durable = a.durable;
    verb->agent.auto_delete = a.auto_delete;
    verb->agent.arguments = a.arguments;
    lv_act_send(verb);
}

void lv_api_queue_delete(struct lv_request *r)
{
    struct lv_act *verb = lv_act_new(r, LV_AGENT_QUEUE_DELETE, lv_reply_done);

    if (verb == NULL)
        return;
    verb->agent.name = r->args[0];
    verb->agent.if_unused = lv_request_flag(r, "if-unused");
    verb->agent.if_empty = lv_request_flag(r, "if-empty");
    lv_act_send(verb);
}

void lv_api_queue_purge(struct lv_request *r)
{
    struct lv_act *verb = lv_act_new(r, LV_AGENT_QUEUE_PURGE, lv_reply_done);

    if (verb == NULL)
        return;
    verb->agent.name = r->args[0];
    lv_act_send(verb);
}

/* RabbitMQ knows none any more. */
void lv_api_queue_action(struct lv_request *r)
{
    struct lv_bytes action = { NULL, 0 };

    if (lv_request_json(r) != NULL && lv_body_need_text(r, "action", &action))
        lv_reply_bad_request(r, "Unknown action '%.*s'", LV_BYTES_FMT(action));
}
