#include "admin.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "value.h"

int lv_admin_done(struct lv_cli *c, const char *text)
{
    if (!lv_cli_has(c, "quiet") && !lv_cli_has(c, "non_interactive") && !c->is_second)
        fprintf(c->out, "%s\n", text);
    return EX_OK;
}

static void set_default(struct lv_cli *c, const char *name, const char *value)
{
    if (!lv_cli_has(c, name))
        lv_cli_set(c, name, strlen(name), value);
}

/* ---- lists ---- */

/* Names parted by blanks or commas, as a query that asks for no more than those. */
static void put_columns(FILE *out, const char *columns)
{
    const char *before = "?columns=";

    for (columns += strspn(columns, ", "); *columns != '\0'; columns += strspn(columns, ", ")) {
        char name[256];
        size_t len = strcspn(columns, ", ");
        snprintf(name, sizeof(name), "%.*s", (int)len, columns);
        const char *alias = lv_admin_column_alias(name);
        fprintf(out, "%s%s%s%s", before, name, alias != NULL ? "," : "", alias != NULL ? alias : "");
        before = ",";
        columns += len;
    }
}

/* The path of a list: that of one virtual host only when one is named. */
static char *list_path(struct lv_cli *c, const char *columns)
{
    const char *path = c->command->path, *vhost = strstr(path, "/{vhost}");
    size_t len = strcspn(path, "|");
    char *text = NULL;
    size_t size;
    FILE *out = lv_need(open_memstream(&text, &size));
    char between = '?';

    if (vhost != NULL && !lv_cli_has(c, "vhost") && vhost[strlen("/{vhost}")] != '/')
        len = (size_t)(vhost - path);
    fprintf(out, "%.*s", (int)len, path);
    if (columns != NULL && columns[0] != '\0' && strchr(path, '|') == NULL) {
        put_columns(out, columns);
        between = '&';
    }
    if (lv_cli_has(c, "sort")) {
        fprintf(out, "%csort=%s", between, lv_cli_var(c, "sort"));
        between = '&';
    }
    if (lv_cli_has(c, "sort_reverse"))
        fprintf(out, "%csort_reverse=true", between);
    fclose(out);
    return lv_need(text);
}

/* Drops the rows that "|key=value" behind the path does not mean. */
static void filter(json_t *rows, const char *path)
{
    const char *bar = strchr(path, '|');
    char key[64];

    if (bar == NULL)
        return;
    size_t len = strcspn(bar + 1, "=");
    snprintf(key, sizeof(key), "%.*s", (int)len, bar + 1);
    for (size_t i = json_array_size(rows); i-- > 0;) {
        const char *got = json_string_value(json_object_get(json_array_get(rows, i), key));
        if (got == NULL || strcmp(got, bar + 2 + len) != 0)
            json_array_remove(rows, i);
    }
}

static int run_list(struct lv_cli *c)
{
    char *asked = c->rest_count > 0 ? lv_cli_join(c, ",") : NULL;
    const char *columns = asked != NULL ? asked : lv_cli_var(c, "columns");

    if (columns == NULL)
        columns = c->command->body;
    if (strstr(c->command->path, "/{vhost}/") != NULL)
        set_default(c, "vhost", "/");
    char *path = list_path(c, columns);
    json_t *rows = lv_cli_get(c, path, NULL);
    free(path);
    if (rows == NULL)
        return c->fault.code;
    if (json_is_object(rows)) {
        json_t *one = json_array();
        json_array_append_new(one, rows);
        rows = one;
    }
    filter(rows, c->command->path);
    int code = lv_admin_print(c, rows, columns);
    json_decref(rows);
    free(asked);
    return code;
}

/* ---- what objects need besides their keys ---- */

static bool is_about(const struct lv_cli *c, const char *object)
{
    return strcmp(strchr(c->command->name, ' ') + 1, object) == 0;
}

/* Puts a key of its own, if set, into the arguments, as an integer where it is one. */
static void add_argument(struct lv_cli *c, json_t *arguments, const char *key, const char *argument)
{
    const char *text = lv_cli_var(c, key);

    if (text == NULL)
        return;
    json_t *number = json_loads(text, JSON_DECODE_ANY, NULL);
    if (json_is_integer(number)) {
        json_object_set_new(arguments, argument, number);
        return;
    }
    json_decref(number);
    json_object_set_new(arguments, argument, json_string(text));
}

static int set_arguments(struct lv_cli *c)
{
    const char *text = lv_cli_var(c, "arguments");
    json_t *arguments = text != NULL ? json_loads(text, 0, NULL) : json_object();

    if (!json_is_object(arguments)) {
        json_decref(arguments);
        return lv_cli_fail(c, EX_DATAERR, "arguments is not a JSON object: %s", text);
    }
    if (is_about(c, "stream"))
        lv_cli_set(c, "queue_type", strlen("queue_type"), "stream");
    add_argument(c, arguments, "queue_type", "x-queue-type");
    add_argument(c, arguments, "expiration", "x-max-age");
    add_argument(c, arguments, "max_length_bytes", "x-max-length-bytes");
    add_argument(c, arguments, "max_segment_length_bytes", "x-stream-max-segment-size-bytes");
    if (json_object_size(arguments) > 0)
        lv_cli_set(c, "arguments", strlen("arguments"),
                   lv_keep(json_dumps(arguments, JSON_COMPACT)));
    json_decref(arguments);
    return EX_OK;
}

static void set_binding(struct lv_cli *c)
{
    const char *type = lv_cli_var(c, "destination_type");
    bool is_exchange = type != NULL && type[0] == 'e';

    set_default(c, "destination_kind", is_exchange ? "e" : "q");
    /* A binding without arguments is named by its routing key, encoded; ~ is the empty one. */
    const char *key = lv_cli_var(c, "routing_key");
    set_default(c, "properties_key",
                key != NULL && key[0] != '\0' ? lv_keep(lv_cli_path(c, "{routing_key}")) : "~");
    set_default(c, "routing_key", "");
}

static int prepare(struct lv_cli *c)
{
    bool is_put = strcmp(c->command->method, "PUT") == 0;

    set_default(c, "vhost", "/");
    if (is_put && (is_about(c, "queue") || is_about(c, "exchange") || is_about(c, "stream")))
        set_default(c, "durable", "true");
    if (is_about(c, "binding"))
        set_binding(c);
    if (is_about(c, "user"))
        set_default(c, "tags", "");
    if (is_put && (is_about(c, "queue") || is_about(c, "stream")))
        return set_arguments(c);
    return EX_OK;
}

static char *conditions(const struct lv_cli *c)
{
    char *text = NULL;
    size_t size;
    FILE *out = lv_need(open_memstream(&text, &size));
    const char *between = "?";

    fputs(c->command->path, out);
    if (lv_cli_has(c, "if_empty")) {
        fputs("?if-empty=true", out);
        between = "&";
    }
    if (lv_cli_has(c, "if_unused"))
        fprintf(out, "%sif-unused=true", between);
    fclose(out);
    return lv_need(text);
}

int lv_admin_run(struct lv_cli *c)
{
    const struct lv_cli_command *command = c->command;
    json_t *body = NULL;
    bool is_check = strncmp(command->name, "health_check", 12) == 0;

    if (strcmp(command->method, "GET") == 0 && !is_check)
        return run_list(c);
    int code = prepare(c);
    if (code != EX_OK)
        return code;
    if (command->body != NULL && (body = lv_cli_body(c, command->body)) == NULL)
        return c->fault.code;
    char *path = conditions(c);
    const char *errors = lv_cli_has(c, "idempotently") ? "404:0:" : NULL;
    bool is_done = lv_cli_request(c, command->method, path, body, errors, NULL);
    free(path);
    return is_done || c->fault.code == EX_OK ? lv_admin_done(c, command->done) : c->fault.code;
}
