/* The node: what it is, has and uses. */
#include <openssl/opensslv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "broker/access.h"
#include "manage/manage_priv.h"
#include "manage/metrics_priv.h"
#include "manage/node.h"
#include "manage/router.h"
#include "manage/shapes.h"
#include "os/os.h"

#define PROCESSES_MAX \
    1048576u /* that tools compare with: connections, channels and queues are not bounded by it */

/* ---- where it listens ---- */

static bool view_address(const char *protocol, const char *address, struct lv_listener_view *out)
{
    const char *colon = strrchr(address, ':');
    bool is_bracketed = address[0] == '[';

    if (colon == NULL || strncmp(address, "unix:", 5) == 0)
        return false;
    size_t host = (size_t)(colon - address);
    if (is_bracketed && host >= 2)
        out->host = lv_bytes(address + 1, host - 2);
    else
        out->host = lv_bytes(address, host);
    out->protocol = protocol;
    out->port = (uint32_t)strtoul(colon + 1, NULL, 10);
    return true;
}

bool lv_listener_at(const struct lv_manage *m, unsigned i, struct lv_listener_view *out)
{
    for (unsigned k = 0; k < m->shown_count; k++)
        if (view_address(m->shown[k].protocol, m->shown[k].address, out) && i-- == 0)
            return true;
    for (unsigned k = 0; k < m->door_count; k++)
        if (lv_door_protocol(m->doors[k].kind) != NULL &&
            view_address(lv_door_protocol(m->doors[k].kind), m->doors[k].address, out) && i-- == 0)
            return true;
    return false;
}

void lv_json_listeners(struct lv_json *j, const struct lv_manage *m)
{
    struct lv_listener_view l;

    lv_json_open_array(j, "listeners");
    for (unsigned i = 0; lv_listener_at(m, i, &l); i++) {
        lv_json_open(j, NULL);
        lv_json_str(j, "node", m->node);
        lv_json_str(j, "protocol", l.protocol);
        lv_json_bytes(j, "ip_address", l.host);
        lv_json_u64(j, "port", l.port);
        lv_json_open(j, "socket_opts");
        lv_json_close(j);
        lv_json_bool(j, "tls",
                     strstr(l.protocol, "ssl") != NULL || strncmp(l.protocol, "https", 5) == 0);
        lv_json_close(j);
    }
    lv_json_close(j);
}

void lv_json_contexts(struct lv_json *j, const struct lv_manage *m)
{
    lv_json_open_array(j, "contexts");
    for (unsigned i = 0; i < m->door_count; i++) {
        const char *colon = strrchr(m->doors[i].address, ':');
        if (m->doors[i].kind == LV_DOOR_SOCKET || colon == NULL)
            continue;
        lv_json_open(j, NULL);
        lv_json_open_array(j, "ssl_opts");
        lv_json_close(j);
        lv_json_str(j, "node", m->node);
        lv_json_str(j, "description",
                    strstr(lv_door_protocol(m->doors[i].kind), "prometheus") != NULL
                        ? "Leveret metrics"
                        : "Leveret management");
        lv_json_str(j, "path",
                    m->settings->management_path_prefix[0] != '\0'
                        ? m->settings->management_path_prefix
                        : "/");
        lv_json_str(j, "protocol",
                    strncmp(lv_door_protocol(m->doors[i].kind), "https", 5) == 0 ? "https" : "http");
        lv_json_bytes(j, "ip", lv_bytes(m->doors[i].address, (size_t)(colon - m->doors[i].address)));
        lv_json_str(j, "port", colon + 1);
        lv_json_close(j);
    }
    lv_json_close(j);
}

void lv_json_exchange_types(struct lv_json *j)
{
    lv_json_open_array(j, "exchange_types");
    for (int i = 0; i < LV_EXCHANGE_TYPE_COUNT; i++) {
        lv_json_open(j, NULL);
        lv_json_str(j, "name", lv_exchange_type_name((enum lv_exchange_type)i));
        lv_json_str(j, "description", "AMQP 0-9-1 exchange");
        lv_json_bool(j, "enabled", true);
        lv_json_close(j);
    }
    lv_json_close(j);
}

/* ---- versions ---- */

void lv_json_versions(struct lv_json *j, const struct lv_manage *m)
{
    lv_json_str(j, "rabbitmq_version", m->settings->product_version);
    lv_json_str(j, "product_name", "Leveret");
    lv_json_str(j, "product_version", LV_VERSION);
    lv_json_str(j, "erlang_version", "27.0"); /* a number that tools compare; there is no Erlang */
    lv_json_str(j, "erlang_full_version", "Leveret " LV_VERSION " (C)");
    lv_json_str(j, "crypto_lib_version", OPENSSL_VERSION_TEXT);
}

void lv_json_churn(struct lv_json *j, const struct lv_counters *c, const struct lv_series *s,
                   const struct lv_rates_ranges *ranges)
{
    lv_rates_put(j, s, LV_RATE_connection_created, c->connections_opened, ranges);
    lv_rates_put(j, s, LV_RATE_connection_closed, c->connections_closed, ranges);
    lv_rates_put(j, s, LV_RATE_channel_created, c->channels_opened, ranges);
    lv_rates_put(j, s, LV_RATE_channel_closed, c->channels_closed, ranges);
    lv_rates_put(j, s, LV_RATE_queue_declared, c->queues_declared, ranges);
    lv_rates_put(j, s, LV_RATE_queue_created, c->queues_created, ranges);
    lv_rates_put(j, s, LV_RATE_queue_deleted, c->queues_deleted, ranges);
}

/* ---- the node ---- */

static void put_list(struct lv_json *j, const char *key, const char *items)
{
    struct lv_bytes name, value;

    lv_json_open_array(j, key);
    while (lv_items_next(&items, &name, &value))
        lv_json_bytes(j, NULL, value);
    lv_json_close(j);
}

static void put_mechanisms(struct lv_json *j, const char *items)
{
    struct lv_bytes name, value;

    lv_json_open_array(j, "auth_mechanisms");
    while (lv_items_next(&items, &name, &value)) {
        lv_json_open(j, NULL);
        lv_json_bytes(j, "name", value);
        lv_json_str(j, "description", "SASL mechanism");
        lv_json_bool(j, "enabled", true);
        lv_json_close(j);
    }
    lv_json_close(j);
}

static void put_empty(struct lv_json *j, const char *key)
{
    lv_json_open_array(j, key);
    lv_json_close(j);
}

static void put_resources(struct lv_json *j, const struct lv_manage *m, const struct lv_series *s,
                          const struct lv_rates_ranges *ranges)
{
    struct lv_resources have;
    struct lv_counters c;
    struct lv_process_usage use;

    lv_broker_resources(m->broker, &have);
    lv_broker_counters(m->broker, &c);
    lv_os_usage(&use);
    lv_json_u64(j, "fd_total", use.fd_limit);
    lv_rates_put(j, s, LV_RATE_fd_used, use.fds, ranges);
    lv_json_u64(j, "sockets_total", use.fd_limit);
    lv_rates_put(j, s, LV_RATE_sockets_used, lv_broker_sessions(m->broker) + m->client_count,
                 ranges);
    lv_json_u64(j, "mem_limit", have.memory_limit);
    lv_rates_put(j, s, LV_RATE_mem_used, use.rss_bytes, ranges);
    lv_json_bool(j, "mem_alarm", have.is_memory_low);
    lv_json_str(j, "mem_calculation_strategy", "rss");
    lv_json_u64(j, "disk_free_limit", have.disk_limit == UINT64_MAX ? 0 : have.disk_limit);
    lv_rates_put(j, s, LV_RATE_disk_free, have.disk_free == UINT64_MAX ? 0 : have.disk_free, ranges);
    lv_json_bool(j, "disk_free_alarm", have.is_disk_low);
    lv_json_u64(j, "proc_total", PROCESSES_MAX);
    lv_rates_put(j, s, LV_RATE_proc_used,
                 c.connections_opened - c.connections_closed + c.channels_opened -
                     c.channels_closed + c.queues_created - c.queues_deleted,
                 ranges);
    lv_json_u64(j, "run_queue", 0);
    lv_json_u64(j, "processors", lv_os_cpus());
    lv_json_u64(j, "uptime", (lv_clock_wall_us() - m->started_us) / 1000u);
    lv_json_churn(j, &c, s, ranges);
}

static void put_files(struct lv_json *j, const struct lv_manage *m)
{
    const char *file;

    lv_json_open_array(j, "log_files");
    if (strcmp(m->settings->log_file, "false") != 0)
        lv_json_str(j, NULL, m->settings->log_file);
    lv_json_close(j);
    lv_json_str(j, "db_dir", m->settings->data_dir);
    lv_json_open_array(j, "config_files");
    for (size_t i = 0; (file = lv_config_file(m->config, i)) != NULL; i++)
        lv_json_str(j, NULL, file);
    lv_json_close(j);
}

static void put_applications(struct lv_json *j)
{
    lv_json_open_array(j, "applications");
    lv_json_open(j, NULL);
    lv_json_str(j, "name", "leveret");
    lv_json_str(j, "description", "Leveret");
    lv_json_str(j, "version", LV_VERSION);
    lv_json_close(j);
    lv_json_close(j);
}

/* What RabbitMQ counts of parts that it has and this broker has not. */
static void put_zeros(struct lv_json *j)
{
    static const char *const names[] = {
        "gc_num",
        "gc_bytes_reclaimed",
        "context_switches",
        "io_read_count",
        "io_read_bytes",
        "io_read_avg_time",
        "io_write_count",
        "io_write_bytes",
        "io_write_avg_time",
        "io_sync_count",
        "io_sync_avg_time",
        "io_seek_count",
        "io_seek_avg_time",
        "io_reopen_count",
        "mnesia_ram_tx_count",
        "mnesia_disk_tx_count",
        "msg_store_read_count",
        "msg_store_write_count",
        "queue_index_read_count",
        "queue_index_write_count",
    };

    char details[64];

    for (size_t i = 0; i < LV_ARRAY_LEN(names); i++) {
        lv_json_u64(j, names[i], 0);
        (void)snprintf(details, sizeof(details), "%s_details", names[i]);
        lv_json_open(j, details);
        lv_json_double(j, "rate", 0);
        lv_json_close(j);
    }
    lv_json_open(j, "ra_open_file_metrics");
    lv_json_u64(j, "ra_log_wal", 0);
    lv_json_u64(j, "ra_log_segment_writer", 0);
    lv_json_close(j);
    lv_json_open(j, "metrics_gc_queue_length");
    lv_json_close(j);
}

/* Names of RabbitMQ's parts, and the rooms here that come nearest; those without one are 0. LV_TAG_COUNT: none. */
static const struct {
    const char *name;
    enum lv_mem_tag tag;
} parts[] = {
    { "connection_readers", LV_TAG_CONN },
    { "connection_writers", LV_TAG_LOOP },
    { "connection_channels", LV_TAG_CHANNEL },
    { "connection_other", LV_TAG_COUNT },
    { "queue_procs", LV_TAG_QUEUE },
    { "quorum_queue_procs", LV_TAG_COUNT },
    { "quorum_queue_dlx_procs", LV_TAG_COUNT },
    { "stream_queue_procs", LV_TAG_COUNT },
    { "stream_queue_replica_reader_procs", LV_TAG_COUNT },
    { "stream_queue_coordinator_procs", LV_TAG_COUNT },
    { "plugins", LV_TAG_COUNT },
    { "metadata_store", LV_TAG_ROUTE },
    { "other_proc", LV_TAG_BROKER },
    { "metrics", LV_TAG_COUNT },
    { "mgmt_db", LV_TAG_MANAGE },
    { "mnesia", LV_TAG_COUNT },
    { "quorum_ets", LV_TAG_COUNT },
    { "metadata_store_ets", LV_TAG_COUNT },
    { "other_ets", LV_TAG_SECURITY },
    { "binary", LV_TAG_MESSAGE },
    { "msg_index", LV_TAG_STORE },
    { "code", LV_TAG_COUNT },
    { "atom", LV_TAG_COUNT },
    { "other_system", LV_TAG_BASE },
};

static uint64_t heap_in_use(void)
{
    uint64_t sum = 0;

    for (int i = 0; i < LV_TAG_COUNT; i++)
        sum += (uint64_t)LV_MAX(lv_mem_used((enum lv_mem_tag)i), 0);
    return sum;
}

const char *lv_memory_part(size_t i, const struct lv_process_usage *use, uint64_t *bytes)
{
    uint64_t allocated;

    *bytes = 0;
    if (i < LV_ARRAY_LEN(parts)) {
        if (parts[i].tag != LV_TAG_COUNT)
            *bytes = (uint64_t)LV_MAX(lv_mem_used(parts[i].tag), 0);
        return parts[i].name;
    }
    if (i > LV_ARRAY_LEN(parts))
        return i == LV_ARRAY_LEN(parts) + 1 ? "reserved_unallocated" : NULL;
    allocated = heap_in_use();
    *bytes = use->rss_bytes > allocated ? use->rss_bytes - allocated : 0;
    return "allocated_unused";
}

static void put_memory(struct lv_json *j, bool is_relative)
{
    struct lv_process_usage use;
    uint64_t allocated = heap_in_use(), shown;
    const char *name;

    lv_os_usage(&use);
    uint64_t whole = LV_MAX(LV_MAX(use.rss_bytes, allocated), 1u);
    lv_json_open(j, "memory");
    for (size_t i = 0; (name = lv_memory_part(i, &use, &shown)) != NULL; i++)
        lv_json_u64(j, name, is_relative ? shown * 100 / whole : shown);
    if (!is_relative)
        lv_json_str(j, "strategy", "rss");
    if (is_relative) {
        lv_json_u64(j, "total", 100);
    } else {
        lv_json_open(j, "total");
        lv_json_u64(j, "rss", use.rss_bytes);
        lv_json_u64(j, "allocated", whole);
        lv_json_u64(j, "erlang", allocated);
        lv_json_close(j);
    }
    lv_json_close(j);
}

static void put_node(struct lv_json *j, const struct lv_manage *m,
                     const struct lv_rates_ranges *ranges, bool with_memory)
{
    char pid[24];
    const struct lv_series *s =
        lv_rates_find(m->rates, LV_RATES_NODE, lv_bytes(NULL, 0), lv_bytes(NULL, 0), 0);

    (void)snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    lv_json_open(j, NULL);
    lv_json_str(j, "name", m->node);
    lv_json_str(j, "type", "disc");
    lv_json_bool(j, "running", true);
    lv_json_bool(j, "being_drained", false);
    lv_json_str(j, "os_pid", pid);
    put_empty(j, "partitions");
    put_resources(j, m, s, ranges);
    lv_json_str(j, "rates_mode", m->settings->management_rates_mode);
    put_zeros(j);
    lv_json_exchange_types(j);
    put_mechanisms(j, m->settings->auth_mechanisms);
    put_applications(j);
    lv_json_contexts(j, m);
    put_files(j, m);
    lv_json_u64(j, "net_ticktime", 60);
    put_list(j, "enabled_plugins", "1=rabbitmq_management\n2=rabbitmq_prometheus");
    lv_json_versions(j, m);
    put_empty(j, "cluster_links");
    if (with_memory)
        put_memory(j, false);
    lv_json_close(j);
}

/* False: it was answered. */
static bool is_this_node(struct lv_request *r)
{
    if (lv_bytes_eq(r->args[0], lv_bytes_str(r->room->node)))
        return true;
    lv_reply_not_found(r);
    return false;
}

void lv_api_nodes(struct lv_request *r)
{
    if (!lv_request_ranges(r))
        return;
    struct lv_json *j = lv_reply_json(r, 200);
    lv_reply_select(r);
    lv_json_open_array(j, NULL);
    put_node(j, r->room, r->ranges, false);
    lv_json_close(j);
    lv_reply_end(r);
}

void lv_api_node(struct lv_request *r)
{
    if (!is_this_node(r) || !lv_request_ranges(r))
        return;
    struct lv_json *j = lv_reply_json(r, 200);
    lv_reply_select(r);
    put_node(j, r->room, r->ranges,
             lv_bytes_eq(lv_url_param(&r->url, "memory"), LV_BYTES_LIT("true")));
    lv_reply_end(r);
}

static void reply_memory(struct lv_request *r, bool is_relative)
{
    if (!is_this_node(r))
        return;
    struct lv_json *j = lv_reply_json(r, 200);
    lv_json_open(j, NULL);
    put_memory(j, is_relative);
    lv_json_close(j);
    lv_reply_end(r);
}

void lv_api_node_memory(struct lv_request *r)
{
    reply_memory(r, false);
}

void lv_api_node_memory_relative(struct lv_request *r)
{
    reply_memory(r, true);
}

/* ---- logins ---- */

static void put_attempts(struct lv_json *j, const char *protocol, uint64_t good, uint64_t bad)
{
    lv_json_open(j, NULL);
    lv_json_str(j, "protocol", protocol);
    lv_json_u64(j, "auth_attempts", good + bad);
    lv_json_u64(j, "auth_attempts_failed", bad);
    lv_json_u64(j, "auth_attempts_succeeded", good);
    lv_json_close(j);
}

void lv_api_attempts(struct lv_request *r)
{
    const struct lv_manage *m = r->room;
    struct lv_counters c;

    if (!is_this_node(r))
        return;
    lv_broker_counters(m->broker, &c);
    struct lv_json *j = lv_reply_json(r, 200);
    lv_json_open_array(j, NULL);
    put_attempts(j, "amqp091", c.logins_ok - m->amqp_ok_before,
                 c.logins_failed - m->amqp_failed_before);
    put_attempts(j, "http", m->logins_ok, m->logins_failed);
    lv_json_close(j);
    lv_reply_end(r);
}

/* They are not told apart by where they came from, as in RabbitMQ unless it is told to. */
void lv_api_attempts_by_source(struct lv_request *r)
{
    if (!is_this_node(r))
        return;
    struct lv_json *j = lv_reply_json(r, 200);
    lv_json_open_array(j, NULL);
    lv_json_close(j);
    lv_reply_end(r);
}

void lv_api_attempts_reset(struct lv_request *r)
{
    struct lv_manage *m = r->room;
    struct lv_counters c;

    if (!is_this_node(r))
        return;
    lv_broker_counters(m->broker, &c);
    m->amqp_ok_before = c.logins_ok;
    m->amqp_failed_before = c.logins_failed;
    m->logins_ok = m->logins_failed = 0;
    lv_reply_empty(r, 204);
}

/* ---- what there is nothing to do for ---- */

/* Queues are where they are used (docs/decisions/0002); nothing is kept that a reset would clear. */
void lv_api_nothing_to_do(struct lv_request *r)
{
    if (r->args[0].ptr == NULL || is_this_node(r))
        lv_reply_empty(r, 204);
}
