/* Pages about a node and its cluster. */
#include "node.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "run.h"
#include "value.h"

#define BOLD "\033[1m"
#define PLAIN "\033[0m"

static const char *text_at(const json_t *root, const char *path)
{
    const char *text = json_string_value(lv_cli_value_at(root, path, strlen(path)));

    return text != NULL ? text : "";
}

static double number_at(const json_t *root, const char *path)
{
    return json_number_value(lv_cli_value_at(root, path, strlen(path)));
}

static void heading(struct lv_cli *c, const char *text, bool is_first)
{
    fprintf(c->out, "%s" BOLD "%s" PLAIN "\n\n", is_first ? "" : "\n", text);
}

json_t *lv_node_get(struct lv_cli *c)
{
    return lv_cli_get(c, "/nodes/{node}", "404:69:no node '{node}' is known");
}

/* ---- units ---- */

static const struct {
    const char *name;
    double bytes;
} units[] = { { "bytes", 1 },       { "kb", 1e3 },           { "mb", 1e6 },
              { "gb", 1e9 },        { "tb", 1e12 },          { "kib", 1024 },
              { "mib", 1048576.0 }, { "gib", 1073741824.0 }, { "tib", 1099511627776.0 } };

/* The unit asked for, or gb; false: c->fault. */
static bool find_unit(struct lv_cli *c, size_t *unit)
{
    const char *asked = lv_cli_has(c, "unit") ? lv_cli_var(c, "unit") : "gb";

    for (*unit = 0; *unit < sizeof(units) / sizeof(units[0]); (*unit)++)
        if (strcasecmp(units[*unit].name, asked) == 0)
            return true;
    lv_cli_fail(c, EX_USAGE,
                "unit '%s' is not supported. Please use one of: bytes, mb, gb, tb, mib, gib, tib",
                asked);
    return false;
}

/* "0.1405 gb" */
static void put_bytes(FILE *out, double bytes, size_t unit)
{
    char number[64];

    if (units[unit].bytes == 1) {
        fprintf(out, "%.0f bytes", bytes);
        return;
    }
    lv_cli_value_real(number, sizeof(number), bytes / units[unit].bytes, 4);
    fprintf(out, "%s %s", number, units[unit].name);
}

static void put_percent(FILE *out, double part, double whole, const char *sign)
{
    char number[64];

    lv_cli_value_real(number, sizeof(number), whole > 0 ? part * 100 / whole : 0, 2);
    fprintf(out, " (%s%s)", number, sign);
}

/* ---- memory ---- */

struct share {
    const char *name;
    double bytes;
};

static int by_size(const void *a, const void *b)
{
    const struct share *x = a, *y = b;

    return x->bytes < y->bytes ? 1 : x->bytes > y->bytes ? -1 : strcmp(x->name, y->name);
}

/* What memory is used for, the most first; `memory` is as /nodes/x/memory has it. Returns how many. */
static size_t shares_of(const json_t *memory, struct share *shares, size_t max)
{
    const char *key;
    json_t *value;
    size_t count = 0;

    json_object_foreach((json_t *)memory, key, value) if (json_is_number(value) && count < max)
        shares[count++] = (struct share){ key, json_number_value(value) };
    qsort(shares, count, sizeof(*shares), by_size);
    return count;
}

static double total_of(const json_t *memory)
{
    const char *strategy = text_at(memory, "strategy");
    char path[64];

    if (json_is_number(json_object_get(memory, "total")))
        return number_at(memory, "total");
    snprintf(path, sizeof(path), "total.%s", strcmp(strategy, "legacy") == 0 ? "erlang" : strategy);
    return number_at(memory, path);
}

#define SHARES_MAX 64

static void put_shares(struct lv_cli *c, const json_t *memory, size_t unit, const char *sign)
{
    struct share shares[SHARES_MAX];
    size_t count = shares_of(memory, shares, SHARES_MAX);
    double total = total_of(memory);

    for (size_t i = 0; i < count; i++) {
        fprintf(c->out, "%s: ", shares[i].name);
        put_bytes(c->out, shares[i].bytes, unit);
        put_percent(c->out, shares[i].bytes, total, sign);
        fputc('\n', c->out);
    }
}

static void put_shares_json(struct lv_cli *c, const json_t *memory)
{
    struct share shares[SHARES_MAX];
    size_t count = shares_of(memory, shares, SHARES_MAX);
    double total = total_of(memory);

    fputc('{', c->out);
    for (size_t i = 0; i < count; i++) {
        char percent[64];
        lv_cli_value_real(percent, sizeof(percent), total > 0 ? shares[i].bytes * 100 / total : 0,
                          2);
        fprintf(c->out, "%s\"%s\":{\"bytes\":%.0f,\"percentage\":%s}", i > 0 ? "," : "",
                shares[i].name, shares[i].bytes, percent);
    }
    fputs("}\n", c->out);
}

/* The memory object of the node; NULL and c->fault. The caller frees `*root`. */
static const json_t *get_memory(struct lv_cli *c, json_t **root)
{
    *root = lv_cli_get(c, "/nodes/{node}/memory", NULL);
    return json_object_get(*root, "memory");
}

int lv_run_memory_breakdown(struct lv_cli *c)
{
    json_t *root = NULL;
    size_t unit;
    const json_t *memory = find_unit(c, &unit) ? get_memory(c, &root) : NULL;

    if (memory == NULL) {
        if (c->fault.code == EX_OK)
            lv_cli_fail(c, EX_UNAVAILABLE, "the broker does not tell");
    } else if (lv_cli_is_json(c)) {
        put_shares_json(c, memory);
    } else {
        put_shares(c, memory, unit, "%");
        fputc('\n', c->out);
    }
    json_decref(root);
    return c->fault.code;
}

/* ---- listeners and alarms ---- */

static const char *purpose_of(const char *protocol)
{
    static const char *const purposes[][2] = {
        { "amqp", "AMQP 0-9-1 and AMQP 1.0" },
        { "amqp/ssl", "AMQP 0-9-1 and AMQP 1.0 over TLS" },
        { "mqtt", "MQTT" },
        { "mqtt/ssl", "MQTT over TLS" },
        { "stomp", "STOMP" },
        { "stomp/ssl", "STOMP over TLS" },
        { "stream", "stream" },
        { "stream/ssl", "stream over TLS" },
        { "http", "HTTP API" },
        { "https", "HTTP API over TLS (HTTPS)" },
        { "http/web-mqtt", "MQTT over WebSockets" },
        { "https/web-mqtt", "MQTT over WebSockets and TLS (HTTPS)" },
        { "http/web-stomp", "STOMP over WebSockets" },
        { "https/web-stomp", "STOMP over WebSockets and TLS (HTTPS)" },
        { "http/web-amqp", "AMQP 1.0 over WebSockets" },
        { "http/prometheus", "Prometheus exporter API over HTTP" },
        { "https/prometheus", "Prometheus exporter API over TLS (HTTPS)" },
        { "clustering", "inter-node and CLI tool communication" },
        { "clustering/ssl", "inter-node and CLI tool communication over TLS" },
    };

    for (size_t i = 0; i < sizeof(purposes) / sizeof(purposes[0]); i++)
        if (strcmp(purposes[i][0], protocol) == 0)
            return purposes[i][1];
    return protocol;
}

json_t *lv_node_listeners(const json_t *overview)
{
    json_t *list = json_array(), *row;
    size_t i;

    json_array_foreach(json_object_get(overview, "listeners"), i, row)
    {
        const char *address = text_at(row, "ip_address"), *protocol = text_at(row, "protocol");
        char interface[128];
        bool is_v6 = strchr(address, ':') != NULL;
        snprintf(interface, sizeof(interface), is_v6 ? "[%s]" : "%s", address);
        json_array_append_new(list, json_pack("{s: s, s: s, s: O, s: s, s: s}", "interface",
                                              interface, "node", text_at(row, "node"), "port",
                                              json_object_get(row, "port"), "protocol", protocol,
                                              "purpose", purpose_of(protocol)));
    }
    return list;
}

static void put_listeners(struct lv_cli *c, const json_t *listeners, bool has_node)
{
    json_t *row;
    size_t i;

    json_array_foreach(listeners, i, row)
    {
        if (has_node)
            fprintf(c->out, "Node: %s, interface: %s", text_at(row, "node"),
                    text_at(row, "interface"));
        else
            fprintf(c->out, "Interface: %s", text_at(row, "interface"));
        fprintf(c->out, ", port: %.0f, protocol: %s, purpose: %s\n", number_at(row, "port"),
                text_at(row, "protocol"), text_at(row, "purpose"));
    }
}

int lv_run_listeners(struct lv_cli *c)
{
    const json_t *overview = lv_cli_overview(c);
    const char *node = overview != NULL ? lv_cli_node(c) : NULL;

    if (node == NULL)
        return c->fault.code;
    json_t *listeners = lv_node_listeners(overview);
    if (lv_cli_is_json(c)) {
        json_t *all =
            json_pack("{s: s, s: s, s: O}", "result", "ok", "node", node, "listeners", listeners);
        json_dumpf(all, c->out, JSON_COMPACT | JSON_SORT_KEYS);
        fputc('\n', c->out);
        json_decref(all);
    } else {
        put_listeners(c, listeners, false);
    }
    json_decref(listeners);
    return EX_OK;
}

static void add_alarm(json_t *list, const json_t *node, const char *key, const char *what)
{
    char text[512];

    if (!json_is_true(json_object_get(node, key)))
        return;
    snprintf(text, sizeof(text), "%s alarm on node %s", what, text_at(node, "name"));
    json_array_append_new(list, json_string(text));
}

json_t *lv_node_alarms(const json_t *nodes)
{
    json_t *list = json_array(), *node;
    size_t i;

    json_array_foreach(nodes, i, node)
    {
        add_alarm(list, node, "mem_alarm", "Memory");
        add_alarm(list, node, "disk_free_alarm", "Free disk space");
    }
    return list;
}

static void put_lines(struct lv_cli *c, const json_t *list, const char *before, bool has_none)
{
    json_t *item;
    size_t i;

    if (has_none && json_array_size(list) == 0)
        fputs("(none)\n", c->out);
    json_array_foreach(list, i, item) fprintf(c->out, "%s%s\n", before, json_string_value(item));
}

/* ---- status ---- */

struct status {
    const json_t *overview, *memory;
    json_t *node, *memory_root, *alarms, *listeners;
    size_t vhosts, unit;
};

static bool gather_status(struct lv_cli *c, struct status *s)
{
    *s = (struct status){ .overview = lv_cli_overview(c) };
    if (s->overview == NULL || !find_unit(c, &s->unit) || (s->node = lv_node_get(c)) == NULL)
        return false;
    s->memory = get_memory(c, &s->memory_root);
    json_t *vhosts = s->memory != NULL ? lv_cli_get(c, "/vhosts?columns=name", NULL) : NULL;
    if (vhosts == NULL)
        return false;
    s->vhosts = json_array_size(vhosts);
    json_decref(vhosts);
    json_t *nodes = json_pack("[O]", s->node);
    s->alarms = lv_node_alarms(nodes);
    json_decref(nodes);
    s->listeners = lv_node_listeners(s->overview);
    return true;
}

static void free_status(struct status *s)
{
    json_decref(s->node);
    json_decref(s->memory_root);
    json_decref(s->alarms);
    json_decref(s->listeners);
}

static void put_runtime(struct lv_cli *c, const struct status *s)
{
    const char *product = text_at(s->overview, "product_name");

    heading(c, "Runtime", true);
    fprintf(c->out, "OS PID: %s\nOS: Linux\nUptime (seconds): %.0f\nIs under maintenance?: %s\n",
            text_at(s->node, "os_pid"), floor(number_at(s->node, "uptime") / 1000),
            json_is_true(json_object_get(s->node, "being_drained")) ? "true" : "false");
    fprintf(c->out, "RabbitMQ version: %s\n", text_at(s->overview, "rabbitmq_version"));
    if (product[0] != '\0' && strcmp(product, "RabbitMQ") != 0)
        fprintf(c->out, "Product name: %s\nProduct version: %s\n", product,
                text_at(s->overview, "product_version"));
    if (json_is_string(json_object_get(s->overview, "release_series_support_status")))
        fprintf(c->out, "RabbitMQ release series support status: %s\n",
                text_at(s->overview, "release_series_support_status"));
    fprintf(c->out, "Node name: %s\nErlang configuration: %s\nCrypto library: %s\n",
            text_at(s->node, "name"), text_at(s->overview, "erlang_full_version"),
            text_at(s->node, "crypto_lib_version"));
    fprintf(c->out, "Erlang processes: %.0f used, %.0f limit\nScheduler run queue: %.0f\n",
            number_at(s->node, "proc_used"), number_at(s->node, "proc_total"),
            number_at(s->node, "run_queue"));
    fprintf(c->out, "Cluster heartbeat timeout (net_ticktime): %.0f\n",
            number_at(s->node, "net_ticktime"));
}

static void put_files(struct lv_cli *c, const struct status *s)
{
    heading(c, "Plugins", false);
    fprintf(c->out, "Enabled plugin file: %s\nEnabled plugins:\n\n",
            text_at(s->node, "enabled_plugins_file"));
    put_lines(c, json_object_get(s->node, "enabled_plugins"), " * ", false);
    heading(c, "Data directory", false);
    fprintf(c->out, "Node data directory: %s\nRaft data directory: %s\n",
            text_at(s->node, "db_dir"), text_at(s->node, "db_dir"));
    heading(c, "Config files", false);
    put_lines(c, json_object_get(s->node, "config_files"), " * ", false);
    heading(c, "Log file(s)", false);
    put_lines(c, json_object_get(s->node, "log_files"), " * ", false);
    heading(c, "Alarms", false);
    put_lines(c, s->alarms, "", true);
    heading(c, "Tags", false);
    char *tags = lv_cli_value_text(json_object_get(s->overview, "node_tags"), LV_CLI_TABLE);
    fprintf(c->out, "%s\n", strcmp(tags, "[]") == 0 || tags[0] == '\0' ? "(none)" : tags);
    free(tags);
}

static void put_resources(struct lv_cli *c, const struct status *s)
{
    heading(c, "Memory", false);
    fputs("Total memory used: ", c->out);
    put_bytes(c->out, total_of(s->memory), s->unit);
    fprintf(c->out, "\nCalculation strategy: %s\nMemory high watermark, computed to: ",
            text_at(s->memory, "strategy"));
    put_bytes(c->out, number_at(s->node, "mem_limit"), s->unit);
    fputs("\n\n", c->out);
    put_shares(c, s->memory, s->unit, " %");
    heading(c, "Free Disk Space", false);
    fputs("Low free disk space watermark: ", c->out);
    put_bytes(c->out, number_at(s->node, "disk_free_limit"), s->unit);
    fputs("\nFree disk space: ", c->out);
    put_bytes(c->out, number_at(s->node, "disk_free"), s->unit);
    fputc('\n', c->out);
    heading(c, "Totals", false);
    fprintf(c->out, "Connection count: %.0f\nQueue count: %.0f\nVirtual host count: %zu\n",
            number_at(s->overview, "object_totals.connections"),
            number_at(s->overview, "object_totals.queues"), s->vhosts);
    heading(c, "Listeners", false);
    put_listeners(c, s->listeners, false);
}

/* The member of `from`, or an empty one of the kind. */
static json_t *member(const json_t *from, const char *key)
{
    json_t *value = json_object_get(from, key);

    return value != NULL ? json_incref(value) : json_string("");
}

static void put_status_json(struct lv_cli *c, const struct status *s)
{
    const char *const same[][2] = { { "active_plugins", "enabled_plugins" },
                                    { "config_files", "config_files" },
                                    { "crypto_lib_version", "crypto_lib_version" },
                                    { "data_directory", "db_dir" },
                                    { "raft_data_directory", "db_dir" },
                                    { "disk_free", "disk_free" },
                                    { "disk_free_limit", "disk_free_limit" },
                                    { "enabled_plugin_file", "enabled_plugins_file" },
                                    { "is_under_maintenance", "being_drained" },
                                    { "log_files", "log_files" },
                                    { "net_ticktime", "net_ticktime" },
                                    { "run_queue", "run_queue" },
                                    { "vm_memory_high_watermark_limit", "mem_limit" },
                                    { "vm_memory_calculation_strategy",
                                      "mem_calculation_strategy" } };
    json_t *all = json_pack("{s: O, s: O, s: O, s: s, s: o, s: {s: o, s: o}}", "alarms", s->alarms,
                            "listeners", s->listeners, "memory", s->memory, "os", "Linux", "tags",
                            member(s->overview, "node_tags"), "processes", "limit",
                            member(s->node, "proc_total"), "used", member(s->node, "proc_used"));

    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        json_object_set_new(all, same[i][0], member(s->node, same[i][1]));
    json_object_set_new(all, "pid", json_integer(strtol(text_at(s->node, "os_pid"), NULL, 10)));
    json_object_set_new(all, "uptime",
                        json_integer((json_int_t)(number_at(s->node, "uptime") / 1000)));
    json_object_set_new(all, "rabbitmq_version", member(s->overview, "rabbitmq_version"));
    json_object_set_new(all, "erlang_version", member(s->overview, "erlang_full_version"));
    json_object_set_new(all, "product_name", member(s->overview, "product_name"));
    json_object_set_new(all, "product_version", member(s->overview, "product_version"));
    json_object_set_new(
        all, "totals",
        json_pack("{s: o, s: o, s: I}", "connection_count",
                  json_integer((json_int_t)number_at(s->overview, "object_totals.connections")),
                  "queue_count",
                  json_integer((json_int_t)number_at(s->overview, "object_totals.queues")),
                  "virtual_host_count", (json_int_t)s->vhosts));
    json_dumpf(all, c->out, JSON_COMPACT | JSON_SORT_KEYS);
    fputc('\n', c->out);
    json_decref(all);
}

int lv_run_status(struct lv_cli *c)
{
    struct status s;

    if (gather_status(c, &s)) {
        if (lv_cli_is_json(c)) {
            put_status_json(c, &s);
        } else {
            put_runtime(c, &s);
            put_files(c, &s);
            put_resources(c, &s);
        }
    }
    free_status(&s);
    return c->fault.code;
}

/* ---- cluster ---- */

struct cluster {
    const json_t *overview;
    json_t *nodes, *flags, *alarms, *listeners;
};

static bool gather_cluster(struct lv_cli *c, struct cluster *k)
{
    *k = (struct cluster){ .overview = lv_cli_overview(c) };
    if (k->overview == NULL || (k->nodes = lv_cli_get(c, "/nodes", NULL)) == NULL ||
        (k->flags = lv_cli_get(c, "/feature-flags", NULL)) == NULL)
        return false;
    k->alarms = lv_node_alarms(k->nodes);
    k->listeners = lv_node_listeners(k->overview);
    return true;
}

static void free_cluster(struct cluster *k)
{
    json_decref(k->nodes);
    json_decref(k->flags);
    json_decref(k->alarms);
    json_decref(k->listeners);
}

static bool is_running(const json_t *node)
{
    return json_is_true(json_object_get(node, "running"));
}

static void put_nodes(struct lv_cli *c, const struct cluster *k)
{
    json_t *node;
    size_t i;

    heading(c, "Disk Nodes", false);
    json_array_foreach(k->nodes, i, node) fprintf(c->out, "%s\n", text_at(node, "name"));
    heading(c, "Running Nodes", false);
    json_array_foreach(k->nodes, i, node) if (is_running(node))
        fprintf(c->out, "%s\n", text_at(node, "name"));
    heading(c, "Versions", false);
    json_array_foreach(k->nodes, i, node)
        fprintf(c->out, "%s: RabbitMQ %s on Erlang %s\n", text_at(node, "name"),
                text_at(k->overview, "rabbitmq_version"), text_at(k->overview, "erlang_version"));
    heading(c, "CPU Cores", false);
    json_array_foreach(k->nodes, i, node)
        fprintf(c->out, "Node: %s, available CPU cores: %.0f\n", text_at(node, "name"),
                number_at(node, "processors"));
    heading(c, "Maintenance status", false);
    json_array_foreach(k->nodes, i, node)
        fprintf(c->out, "Node: %s, status: %s\n", text_at(node, "name"),
                json_is_true(json_object_get(node, "being_drained")) ? "marked for maintenance"
                                                                     : "not under maintenance");
}

static double cores_of(const json_t *nodes)
{
    json_t *node;
    size_t i;
    double cores = 0;

    json_array_foreach(nodes, i, node) cores += number_at(node, "processors");
    return cores;
}

static void put_cluster(struct lv_cli *c, const struct cluster *k)
{
    json_t *flag;
    size_t i;

    heading(c, "Basics", true);
    fprintf(c->out, "Cluster name: %s\nTotal CPU cores available cluster-wide: %.0f\n",
            text_at(k->overview, "cluster_name"), cores_of(k->nodes));
    put_nodes(c, k);
    heading(c, "Alarms", false);
    put_lines(c, k->alarms, "", true);
    heading(c, "Network Partitions", false);
    fputs("(none)\n", c->out);
    heading(c, "Listeners", false);
    put_listeners(c, k->listeners, true);
    heading(c, "Feature flags", false);
    json_array_foreach(k->flags, i, flag)
        fprintf(c->out, "Flag: %s, state: %s\n", text_at(flag, "name"), text_at(flag, "state"));
}

static void put_cluster_json(struct lv_cli *c, const struct cluster *k)
{
    json_t *disk = json_array(), *running = json_array(), *versions = json_object();
    json_t *maintenance = json_object(), *listeners = json_object(), *node, *row;
    size_t i;

    json_array_foreach(k->nodes, i, node)
    {
        const char *name = text_at(node, "name");
        json_array_append_new(disk, json_string(name));
        if (is_running(node))
            json_array_append_new(running, json_string(name));
        json_object_set_new(versions, name,
                            json_pack("{s: s, s: s, s: s}", "rabbitmq_name", "RabbitMQ",
                                      "rabbitmq_version", text_at(k->overview, "rabbitmq_version"),
                                      "erlang_version", text_at(k->overview, "erlang_version")));
        json_object_set_new(maintenance, name,
                            json_string(json_is_true(json_object_get(node, "being_drained"))
                                            ? "marked for maintenance"
                                            : "not under maintenance"));
        json_object_set_new(listeners, name, json_array());
    }
    json_array_foreach(k->listeners, i, row)
        json_array_append(json_object_get(listeners, text_at(row, "node")), row);
    json_t *all =
        json_pack("{s: O, s: s, s: o, s: O, s: o, s: o, s: {}, s: [], s: o, s: o}", "alarms",
                  k->alarms, "cluster_name", text_at(k->overview, "cluster_name"), "disk_nodes",
                  disk, "feature_flags", k->flags, "listeners", listeners, "maintenance_status",
                  maintenance, "partitions", "ram_nodes", "running_nodes", running, "versions",
                  versions);
    json_dumpf(all, c->out, JSON_COMPACT | JSON_SORT_KEYS);
    fputc('\n', c->out);
    json_decref(all);
}

int lv_run_cluster_status(struct lv_cli *c)
{
    struct cluster k;

    if (gather_cluster(c, &k)) {
        if (lv_cli_is_json(c))
            put_cluster_json(c, &k);
        else
            put_cluster(c, &k);
    }
    free_cluster(&k);
    return c->fault.code;
}

/* ---- configuration ---- */

/* Text, as the broker has it. */
int lv_run_environment(struct lv_cli *c)
{
    struct lv_api_request request = { .method = "GET", .to = c->out };
    struct lv_api_answer answer;

    if (lv_cli_call(c, &request, "/config/effective",
                    "404:69:the broker does not tell its configuration", &answer))
        fputc('\n', c->out);
    free(answer.text);
    return c->fault.code;
}

/* A fraction by the name `part` that the route has for it, or (NULL) a size with its unit. */
static int put_setting(struct lv_cli *c, const char *what, const char *text, const char *part)
{
    char path[128], *end;
    double fraction = strtod(text, &end);

    if (part != NULL && (end == text || *end != '\0' || !(fraction >= 0)))
        return lv_cli_fail(c, EX_USAGE, "'%s' is not a fraction", text);
    snprintf(path, sizeof(path), "/x/node/%s", what);
    json_t *body =
        part != NULL ? json_pack("{s: f}", part, fraction) : json_pack("{s: s}", "absolute", text);
    return lv_cli_request(c, "PUT", path, body, NULL, NULL) ? lv_cli_ok(c) : c->fault.code;
}

/* A fraction of memory; "absolute" and a size. */
int lv_run_set_memory_watermark(struct lv_cli *c)
{
    const char *first = lv_cli_var(c, "fraction"), *second = lv_cli_var(c, "limit");
    bool is_absolute = strcmp(first, "absolute") == 0;

    if (is_absolute != (second != NULL))
        return lv_cli_fail(c, EX_USAGE, "a fraction, or: absolute <limit>");
    if (!lv_cli_banner(c, is_absolute ? "Setting memory threshold on {node} to {limit} bytes ..."
                                      : "Setting memory threshold on {node} to {fraction} ..."))
        return c->fault.code;
    return put_setting(c, "memory-high-watermark", is_absolute ? second : first,
                       is_absolute ? NULL : "fraction");
}

/* A size; "mem_relative" and a fraction of memory. */
int lv_run_set_disk_limit(struct lv_cli *c)
{
    const char *first = lv_cli_var(c, "limit"), *second = lv_cli_var(c, "fraction");
    bool is_relative = strcmp(first, "mem_relative") == 0;

    if (is_relative != (second != NULL))
        return lv_cli_fail(c, EX_USAGE, "a limit in bytes, or: mem_relative <fraction>");
    if (!lv_cli_banner(
            c, is_relative
                   ? "Setting disk free limit on {node} to {fraction} times the total RAM ..."
                   : "Setting disk free limit on {node} to {limit} bytes ..."))
        return c->fault.code;
    return put_setting(c, "disk-free-limit", is_relative ? second : first,
                       is_relative ? "mem_relative" : NULL);
}

/* ---- report ---- */

int lv_run_report(struct lv_cli *c)
{
    static const char *const parts[] = { "status",           "cluster_status", "list_vhosts",
                                         "list_queues",      "list_exchanges", "list_bindings",
                                         "list_connections", "list_channels",  "list_consumers",
                                         "list_policies",    "list_users",     "list_permissions",
                                         "environment" };

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct lv_cli part = *c;
        part.command = lv_cli_command_find(LV_CLI_CTL, parts[i]);
        part.rest_count = 0;
        part.has_headers = true;
        if (lv_cli_run(&part) != EX_OK)
            fprintf(c->out, "%s: %s\n", parts[i], part.fault.text);
        /* What the part asked for first serves the others. */
        c->api = part.api;
        c->overview = part.overview;
        fputc('\n', c->out);
    }
    return EX_OK;
}
