/* What is a plugin elsewhere is built in here, and a setting turns it on: nothing to install, and no script fails. */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli.h"
#include "run.h"

#define NOTE "Everything is built in: settings turn it on (leveret config list)."

/* RabbitMQ's names of what the broker has, or will have, without a plugin. */
static const char *const names[] = {
    "rabbitmq_amqp1_0",
    "rabbitmq_auth_backend_cache",
    "rabbitmq_auth_backend_http",
    "rabbitmq_auth_backend_ldap",
    "rabbitmq_auth_backend_oauth2",
    "rabbitmq_auth_mechanism_ssl",
    "rabbitmq_consistent_hash_exchange",
    "rabbitmq_delayed_message_exchange",
    "rabbitmq_event_exchange",
    "rabbitmq_federation",
    "rabbitmq_federation_management",
    "rabbitmq_management",
    "rabbitmq_management_agent",
    "rabbitmq_mqtt",
    "rabbitmq_peer_discovery_k8s",
    "rabbitmq_prometheus",
    "rabbitmq_random_exchange",
    "rabbitmq_shovel",
    "rabbitmq_shovel_management",
    "rabbitmq_stomp",
    "rabbitmq_stream",
    "rabbitmq_stream_management",
    "rabbitmq_tracing",
    "rabbitmq_web_dispatch",
    "rabbitmq_web_mqtt",
    "rabbitmq_web_stomp",
};

#define NAMES (sizeof(names) / sizeof(names[0]))

static bool is_known(const char *name)
{
    for (size_t i = 0; i < NAMES; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static bool is_asked_for(const struct lv_cli *c, const char *name)
{
    const char *pattern = lv_cli_var(c, "pattern");

    return pattern == NULL || strcmp(pattern, ".*") == 0 || strstr(name, pattern) != NULL;
}

static void put_plugins_json(struct lv_cli *c)
{
    json_t *list = json_array();

    for (size_t i = 0; i < NAMES; i++)
        if (is_asked_for(c, names[i]))
            json_array_append_new(list, json_pack("{s: s, s: s, s: b, s: s, s: s}", "name",
                                                  names[i], "enabled", "enabled", "running", 1,
                                                  "version", LV_CLI_RABBITMQ_VERSION,
                                                  "running_version", LV_CLI_RABBITMQ_VERSION));
    json_t *all =
        json_pack("{s: s, s: s, s: o}", "format", "normal", "status", "running", "plugins", list);
    json_dumpf(all, c->out, JSON_COMPACT | JSON_SORT_KEYS);
    fputc('\n', c->out);
    json_decref(all);
}

int lv_run_plugins_list(struct lv_cli *c)
{
    bool is_short = lv_cli_has(c, "minimal") || c->is_silent;

    if (lv_cli_is_json(c)) {
        put_plugins_json(c);
        return EX_OK;
    }
    if (!is_short)
        fputs(" Configured: E = explicitly enabled; e = implicitly enabled\n"
              " | Status: * = running\n |/\n",
              c->out);
    for (size_t i = 0; i < NAMES; i++)
        if (is_asked_for(c, names[i]))
            fprintf(c->out, is_short ? "%s\n" : "[E*] %-33s " LV_CLI_RABBITMQ_VERSION "\n",
                    names[i]);
    return EX_OK;
}

static int accept(struct lv_cli *c)
{
    for (size_t i = 0; i < c->rest_count; i++)
        fprintf(c->out, "%s\n", c->rest[i]);
    if (!c->is_silent)
        fputs(NOTE "\n", c->out);
    return EX_OK;
}

int lv_run_plugins_enable(struct lv_cli *c)
{
    return accept(c);
}

int lv_run_plugins_disable(struct lv_cli *c)
{
    return accept(c);
}

int lv_run_plugins_is_enabled(struct lv_cli *c)
{
    const char *node = lv_cli_has(c, "node") ? lv_cli_var(c, "node") : "this node";

    for (size_t i = 0; i < c->rest_count; i++)
        if (!is_known(c->rest[i]))
            return lv_cli_fail(c, EX_UNAVAILABLE, "Plugin %s is not enabled on node %s.",
                               c->rest[i], node);
    return lv_cli_say(c,
                      c->rest_count == 1 ? "Plugin %s is enabled on node %s"
                                         : "Plugins %s are enabled on node %s",
                      lv_cli_var(c, "plugin"), node);
}

int lv_run_plugins_directories(struct lv_cli *c)
{
    return lv_cli_say(c, NOTE);
}
