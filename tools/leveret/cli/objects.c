/* Queues, connections and feature flags, where one request is not enough. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "cli.h"
#include "list.h"
#include "run.h"

#define NO_QUEUE "vhost:65:!Virtual host '{vhost}' does not exist|404:64:Queue not found"

/* ---- queues ---- */

static const char *delete_banner(const struct lv_cli *c)
{
    bool is_empty = lv_cli_has(c, "if_empty"), is_unused = lv_cli_has(c, "if_unused");

    if (is_empty && is_unused)
        return "Deleting queue '{queue}' on vhost '{vhost}' if queue is empty and if queue is "
               "unused ...";
    if (is_empty)
        return "Deleting queue '{queue}' on vhost '{vhost}' if queue is empty ...";
    if (is_unused)
        return "Deleting queue '{queue}' on vhost '{vhost}' if queue is unused ...";
    return "Deleting queue '{queue}' on vhost '{vhost}' ...";
}

int lv_run_delete_queue(struct lv_cli *c)
{
    static const char *const paths[] = {
        "/queues/{vhost}/{queue}",
        "/queues/{vhost}/{queue}?if-empty=true",
        "/queues/{vhost}/{queue}?if-unused=true",
        "/queues/{vhost}/{queue}?if-empty=true&if-unused=true",
    };
    unsigned which = (lv_cli_has(c, "if_empty") ? 1u : 0) + (lv_cli_has(c, "if_unused") ? 2u : 0);

    if (!lv_cli_banner(c, delete_banner(c)))
        return c->fault.code;
    json_t *queue = lv_cli_get(c, paths[0], NO_QUEUE);
    if (queue == NULL)
        return c->fault.code;
    json_int_t ready = json_integer_value(json_object_get(queue, "messages_ready"));
    json_decref(queue);
    if (!lv_cli_request(c, "DELETE", paths[which], NULL, NO_QUEUE, NULL))
        return c->fault.code;
    return lv_cli_say(c,
                      "Queue was successfully deleted with %" JSON_INTEGER_FORMAT " ready messages",
                      ready);
}

int lv_run_quorum_status(struct lv_cli *c)
{
    static const char *const headers[] = { "Node Name", "Raft State" };
    json_t *queue = lv_cli_get(c, "/queues/{vhost}/{queue}", "404:69:not_found"), *member;
    size_t i;

    if (queue == NULL)
        return c->fault.code;
    const char *type = json_string_value(json_object_get(queue, "type"));
    const char *leader = json_string_value(json_object_get(queue, "leader"));
    if (type == NULL || strcmp(type, "quorum") != 0) {
        json_decref(queue);
        return lv_cli_fail(c, EX_UNAVAILABLE, "Cannot get quorum status of a %s queue",
                           type != NULL ? "classic" : "strange");
    }
    json_t *rows = json_array();
    json_array_foreach(json_object_get(queue, "members"), i, member)
    {
        const char *name = json_string_value(member);
        bool is_leader = name != NULL && leader != NULL && strcmp(name, leader) == 0;
        json_array_append_new(rows, json_pack("[s, s]", name != NULL ? name : "",
                                              is_leader ? "leader" : "follower"));
    }
    lv_list_boxes(c->out, headers, 2, rows);
    json_decref(rows);
    json_decref(queue);
    return EX_OK;
}

/* ---- connections ---- */

/* Closes the connection that {connection} names; its client is told why. */
static bool close_one(struct lv_cli *c, const char *errors)
{
    char *header = NULL;
    struct lv_api_answer answer;
    const char *reason = lv_cli_var(c, "reason");

    if (strpbrk(reason, "\r\n") != NULL)
        return lv_cli_fail(c, EX_USAGE, "a reason is one line"), false;
    if (asprintf(&header, "X-Reason: %s", reason) < 0)
        header = NULL;
    struct lv_api_request request = { .method = "DELETE", .header = lv_need(header) };
    bool is_done = lv_cli_call(c, &request, "/connections/{connection}", errors, &answer);
    free(answer.text);
    free(header);
    return is_done;
}

int lv_run_close_connection(struct lv_cli *c)
{
    return close_one(c, "404:69:no connection '{connection}'") ? lv_cli_ok(c) : c->fault.code;
}

static void pause_ms(long ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

    if (ms > 0)
        nanosleep(&t, NULL);
}

static bool is_in_vhost(const json_t *connection, const char *vhost)
{
    const char *got = json_string_value(json_object_get(connection, "vhost"));

    return vhost == NULL || (got != NULL && strcmp(got, vhost) == 0);
}

/* Closes those of `rows` in `vhost` (NULL: all), at most `limit` of them; the number closed, or -1 and c->fault. */
static long close_each(struct lv_cli *c, const json_t *rows, const char *vhost, long limit,
                       long delay_ms)
{
    struct lv_progress progress;
    json_t *row;
    size_t i;
    long closed = 0;

    lv_progress_begin_count(&progress, "closing", "connections", json_array_size(rows), c->is_quiet);
    json_array_foreach(rows, i, row)
    {
        lv_progress_add(&progress, 1);
        if (closed >= limit || !is_in_vhost(row, vhost))
            continue;
        lv_cli_set(c, "connection", strlen("connection"),
                   json_string_value(json_object_get(row, "name")));
        /* It may have gone by itself. */
        if (!close_one(c, "404:0:") && c->fault.code != EX_OK)
            break;
        closed++;
        pause_ms(delay_ms);
    }
    lv_progress_end(&progress);
    return c->fault.code == EX_OK ? closed : -1;
}

int lv_run_close_all_connections(struct lv_cli *c)
{
    bool is_global = lv_cli_has(c, "global");
    long delay_ms, limit, closed = -1;

    if (!lv_cli_number(c, "per_connection_delay", 0, &delay_ms) ||
        !lv_cli_number(c, "limit", 0, &limit))
        return c->fault.code;
    if (!lv_cli_banner(
            c,
            is_global
                ? "Closing all connections to node {node} (across all vhosts), reason: {reason}..."
                : "Closing all connections in vhost {vhost}, reason: {reason}..."))
        return c->fault.code;
    json_t *rows = lv_cli_get(c, "/connections?columns=name,vhost", NULL);
    if (rows != NULL)
        closed = close_each(c, rows, is_global ? NULL : lv_cli_var(c, "vhost"),
                            limit > 0 ? limit : LONG_MAX, delay_ms);
    json_decref(rows);
    return closed >= 0 ? lv_cli_say(c, "Closed %ld connections", closed) : c->fault.code;
}

int lv_run_close_all_user_connections(struct lv_cli *c)
{
    json_t *rows = lv_cli_get(c, "/connections/username/{username}", "404:0:");
    long closed = rows != NULL ? close_each(c, rows, NULL, LONG_MAX, 0) : 0;

    json_decref(rows);
    return closed >= 0 && c->fault.code == EX_OK ? lv_cli_ok(c) : c->fault.code;
}

/* ---- feature flags ---- */

static bool enable(struct lv_cli *c, const char *flag)
{
    lv_cli_set(c, "flag", strlen("flag"), flag);
    return lv_cli_request(c, "PUT", "/feature-flags/{flag}/enable",
                          json_pack("{s: s}", "name", flag),
                          "404:70:The feature flag '{flag}' is not supported", NULL);
}

int lv_run_enable_feature_flag(struct lv_cli *c)
{
    const char *flag = lv_cli_var(c, "flag");
    json_t *row;
    size_t i;

    if (strcmp(flag, "all") != 0) {
        if (!lv_cli_banner(c, "Enabling feature flag \"{flag}\" ...") || !enable(c, flag))
            return c->fault.code;
        return lv_cli_ok(c);
    }
    json_t *rows = lv_cli_banner(c, "Enabling all feature flags ...")
                       ? lv_cli_get(c, "/feature-flags", NULL)
                       : NULL;
    bool is_good = rows != NULL;
    json_array_foreach(rows, i, row)
    {
        const char *state = json_string_value(json_object_get(row, "state"));
        const char *stability = json_string_value(json_object_get(row, "stability"));
        bool is_wanted = state != NULL && strcmp(state, "disabled") == 0 &&
                         (stability == NULL || strcmp(stability, "experimental") != 0);
        if (is_good && is_wanted)
            is_good = enable(c, json_string_value(json_object_get(row, "name")));
    }
    json_decref(rows);
    return is_good ? lv_cli_ok(c) : c->fault.code;
}
