/* Limits of virtual hosts and of users: the API has one request for each. */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli.h"
#include "list.h"
#include "run.h"

#define NO_VHOST "vhost:65:!Virtual host '{vhost}' does not exist"
#define NO_USER "username:67:User \"{username}\" does not exist"

/* One request for each member of the object that was given. `path` has {limit}. */
static int set_each(struct lv_cli *c, const char *path, const char *errors)
{
    const char *text = lv_cli_var(c, "definition"), *key;
    json_t *limits = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *value;
    bool is_good = json_is_object(limits);

    if (!is_good)
        lv_cli_fail(c, EX_UNAVAILABLE, "JSON decoding error. Reason: not an object: %s", text);
    json_object_foreach(limits, key, value)
    {
        if (!is_good)
            break;
        lv_cli_set(c, "limit", strlen("limit"), key);
        is_good = lv_cli_request(c, "PUT", path, json_pack("{s: O}", "value", value), errors, NULL);
    }
    json_decref(limits);
    return is_good ? lv_cli_ok(c) : c->fault.code;
}

int lv_run_set_vhost_limits(struct lv_cli *c)
{
    return set_each(c, "/vhost-limits/{vhost}/{limit}", NO_VHOST);
}

int lv_run_set_user_limits(struct lv_cli *c)
{
    return set_each(c, "/user-limits/{username}/{limit}", NO_USER);
}

/* What is set for one, an object (empty: nothing); NULL and c->fault. */
static json_t *limits_of(struct lv_cli *c, const char *path, const char *errors)
{
    json_t *rows = lv_cli_get(c, path, errors);

    if (rows == NULL)
        return NULL;
    json_t *limits = json_incref(json_object_get(json_array_get(rows, 0), "value"));
    json_decref(rows);
    return limits != NULL ? limits : json_object();
}

/* Deletes each limit that is set, or the one that is asked for. */
static int clear_each(struct lv_cli *c, json_t *limits, const char *path, const char *only)
{
    const char *key;
    json_t *value;
    bool is_good = limits != NULL;

    json_object_foreach(limits, key, value)
    {
        if (!is_good || (only != NULL && strcmp(only, key) != 0))
            continue;
        lv_cli_set(c, "limit", strlen("limit"), key);
        is_good = lv_cli_request(c, "DELETE", path, NULL, NULL, NULL);
    }
    json_decref(limits);
    return is_good ? lv_cli_ok(c) : c->fault.code;
}

int lv_run_clear_vhost_limits(struct lv_cli *c)
{
    return clear_each(c, limits_of(c, "/vhost-limits/{vhost}", NO_VHOST),
                      "/vhost-limits/{vhost}/{limit}", NULL);
}

int lv_run_clear_user_limits(struct lv_cli *c)
{
    const char *only = lv_cli_var(c, "limit");
    bool is_all = strcmp(only, "all") == 0;

    if (!lv_cli_banner(c, is_all ? "Clearing all limits for user \"{username}\" ..."
                                 : "Clearing \"{limit}\" limit for user \"{username}\" ..."))
        return c->fault.code;
    return clear_each(c, limits_of(c, "/user-limits/{username}", NO_USER),
                      "/user-limits/{username}/{limit}", is_all ? NULL : only);
}

static int list_all(struct lv_cli *c, const char *path, const char *who)
{
    const struct lv_cli_column columns[] = { { "", who, who, LV_CLI_PLAIN },
                                             { "", "limits", "value", LV_CLI_JSON } };
    json_t *rows = lv_cli_get(c, path, NULL);

    if (rows == NULL)
        return c->fault.code;
    lv_list_print(c, rows, columns, 2);
    json_decref(rows);
    return EX_OK;
}

static int list_one(struct lv_cli *c, const char *path, const char *errors)
{
    json_t *limits = limits_of(c, path, errors);

    if (limits == NULL)
        return c->fault.code;
    char *text = lv_need(json_dumps(limits, JSON_COMPACT));
    lv_cli_say(c, "%s", json_object_size(limits) > 0 ? text : "");
    free(text);
    json_decref(limits);
    return EX_OK;
}

int lv_run_list_vhost_limits(struct lv_cli *c)
{
    bool is_global = lv_cli_has(c, "global");

    if (!lv_cli_banner(c, is_global ? "Listing limits for all vhosts ..."
                                    : "Listing limits for vhost \"{vhost}\" ..."))
        return c->fault.code;
    return is_global ? list_all(c, "/vhost-limits", "vhost")
                     : list_one(c, "/vhost-limits/{vhost}", NO_VHOST);
}

int lv_run_list_user_limits(struct lv_cli *c)
{
    bool is_one = lv_cli_has(c, "user");

    if (!lv_cli_banner(c, is_one ? "Listing limits for user \"{user}\" ..."
                                 : "Listing limits for all users ..."))
        return c->fault.code;
    return is_one ? list_one(c, "/user-limits/{user}", NULL) : list_all(c, "/user-limits", "user");
}
