/* Changes of a virtual host: it is put back as it is, with the change. */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli.h"
#include "run.h"

#define NO_VHOST "404:65:!Virtual host '{vhost_name}' does not exist"

/* What may be put, of the virtual host named by {vhost_name}; NULL and c->fault. */
static json_t *vhost_as_is(struct lv_cli *c)
{
    static const char *const kept[] = { "description", "tags", "default_queue_type", "tracing" };
    json_t *now = lv_cli_get(c, "/vhosts/{vhost_name}", NO_VHOST), *body;

    if (now == NULL)
        return NULL;
    body = json_object();
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        json_t *value = json_object_get(now, kept[i]);
        const char *text = json_string_value(value);
        if (value == NULL || json_is_null(value) || (text != NULL && strcmp(text, "undefined") == 0))
            continue;
        if (!json_is_array(value)) {
            json_object_set(body, kept[i], value);
            continue;
        }
        /* Listed as a list, taken as words parted by commas. */
        char *words = NULL;
        size_t size, j;
        json_t *word;
        FILE *out = lv_need(open_memstream(&words, &size));
        json_array_foreach(value, j, word)
            fprintf(out, "%s%s", j > 0 ? "," : "", json_string_value(word));
        fclose(out);
        json_object_set_new(body, kept[i], json_string(words));
        free(words);
    }
    json_decref(now);
    return body;
}

static int put_vhost(struct lv_cli *c, json_t *body)
{
    return lv_cli_request(c, "PUT", "/vhosts/{vhost_name}", body, NULL, NULL) ? EX_OK
                                                                              : c->fault.code;
}

int lv_run_set_vhost_tags(struct lv_cli *c)
{
    json_t *body = vhost_as_is(c);

    if (body == NULL)
        return c->fault.code;
    char *tags = lv_cli_join(c, ",");
    json_object_set_new(body, "tags", json_string(tags));
    free(tags);
    int code = put_vhost(c, body);
    return code == EX_OK ? lv_cli_ok(c) : code;
}

int lv_run_update_vhost_metadata(struct lv_cli *c)
{
    json_t *changes = lv_cli_body(c, "description tags default_queue_type");
    json_t *body = changes != NULL ? vhost_as_is(c) : NULL;

    if (body == NULL) {
        json_decref(changes);
        return c->fault.code;
    }
    json_object_update(body, changes);
    json_decref(changes);
    int code = put_vhost(c, body);
    return code == EX_OK ? lv_cli_ok(c) : code;
}

static int trace(struct lv_cli *c, bool is_on)
{
    const char *vhost = lv_cli_var(c, "vhost");

    lv_cli_set(c, "vhost_name", strlen("vhost_name"), vhost);
    json_t *body = vhost_as_is(c);
    if (body == NULL)
        return c->fault.code;
    json_object_set_new(body, "tracing", json_boolean(is_on));
    int code = put_vhost(c, body);
    if (code != EX_OK)
        return code;
    return lv_cli_say(c, "Trace %s for vhost %s", is_on ? "enabled" : "disabled", vhost);
}

int lv_run_trace_on(struct lv_cli *c)
{
    return trace(c, true);
}

int lv_run_trace_off(struct lv_cli *c)
{
    return trace(c, false);
}
