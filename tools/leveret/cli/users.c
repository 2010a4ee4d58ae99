/* Users and what they may do, where one request is not enough. */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/bytes.h"
#include "cli.h"
#include "run.h"
#include "security/base64.h"
#include "security/password.h"

#define USER_PATH "/users/{username}"
#define NO_USER "404:67:User \"{username}\" does not exist"

/* The password given as argument, or read. NULL and c->fault: none. Freed by nobody. */
static const char *password_of(struct lv_cli *c)
{
    const char *password = lv_cli_var(c, "password");

    if (password == NULL)
        password = lv_cli_secret("Password: ");
    if (password == NULL)
        lv_cli_fail(c, EX_DATAERR, "Password is not provided via argument or stdin");
    return password;
}

/* Puts the user with what `user` has, and says so. `user` is taken. */
static int put_user(struct lv_cli *c, json_t *user)
{
    return lv_cli_request(c, "PUT", USER_PATH, user, NULL, NULL) ? lv_cli_ok(c) : c->fault.code;
}

/* Is there such a user? EX_OK yes, EX_NOUSER no (c->fault is empty then), or another error. */
static int look_up(struct lv_cli *c, json_t **user)
{
    *user = lv_cli_get(c, USER_PATH, "404:67:");
    return *user != NULL ? EX_OK : c->fault.code;
}

int lv_run_add_user(struct lv_cli *c)
{
    json_t *user;
    const char *password = password_of(c);

    if (password == NULL)
        return c->fault.code;
    int code = look_up(c, &user);
    json_decref(user);
    if (code == EX_OK)
        return lv_cli_fail(c, EX_SOFTWARE, "User \"%s\" already exists", lv_cli_var(c, "username"));
    if (code != EX_NOUSER)
        return code;
    c->fault.code = EX_OK;
    bool is_hash = lv_cli_has(c, "pre_hashed_password");
    user = json_pack("{s: s, s: s}", is_hash ? "password_hash" : "password", password, "tags", "");
    if (user == NULL)
        return lv_cli_fail(c, EX_DATAERR, "the password is not UTF-8");
    if (!lv_cli_request(c, "PUT", USER_PATH, user, NULL, NULL))
        return c->fault.code;
    return lv_cli_is_json(c)
               ? lv_cli_ok(c)
               : lv_cli_say(
                     c,
                     "Done. Don't forget to grant the user permissions to some virtual hosts! See "
                     "'%s help set_permissions' to learn more.",
                     lv_cli_program_name(c->program));
}

/* The user as it is, to be put back with a change; NULL and c->fault. */
static json_t *user_as_is(struct lv_cli *c)
{
    json_t *user = lv_cli_get(c, USER_PATH, NO_USER);

    if (user == NULL)
        return NULL;
    json_object_del(user, "name");
    json_object_del(user, "limits");
    return user;
}

int lv_run_change_password(struct lv_cli *c)
{
    const char *password = password_of(c);
    json_t *user = password != NULL ? user_as_is(c) : NULL;

    if (user == NULL)
        return c->fault.code;
    json_object_del(user, "password_hash");
    json_object_del(user, "hashing_algorithm");
    if (json_object_set_new(user, "password", json_string(password)) != 0) {
        json_decref(user);
        return lv_cli_fail(c, EX_DATAERR, "the password is not UTF-8");
    }
    return put_user(c, user);
}

int lv_run_clear_password(struct lv_cli *c)
{
    json_t *user = user_as_is(c);

    if (user == NULL)
        return c->fault.code;
    json_object_set_new(user, "password_hash", json_string(""));
    json_object_del(user, "hashing_algorithm");
    return put_user(c, user);
}

int lv_run_set_user_tags(struct lv_cli *c)
{
    json_t *user = user_as_is(c);

    if (user == NULL)
        return c->fault.code;
    char *tags = lv_cli_join(c, ",");
    json_object_set_new(user, "tags", json_string(tags));
    free(tags);
    return put_user(c, user);
}

/* Asks the broker who the user is, as that user. */
int lv_run_authenticate_user(struct lv_cli *c)
{
    const char *password = password_of(c), *name = lv_cli_var(c, "username");
    struct lv_api_request request = { .method = "GET", .path = "/whoami" };
    struct lv_api_answer answer = { 0 };
    struct lv_endpoint as_user;

    if (password == NULL || lv_cli_api(c) == NULL)
        return c->fault.code;
    as_user = *lv_api_endpoint(c->api);
    as_user.user = name;
    as_user.password = password;
    struct lv_api *api = lv_api_open(&as_user, &c->fault);
    if (api == NULL)
        return c->fault.code;
    int code = EX_OK;
    if (!lv_api_call(api, &request, &answer, &c->fault)) {
        code = c->fault.code;
    } else {
        char *reason = lv_api_reason(&answer);
        /* Who has no tag of the management API is refused by it, but only after the password was good. */
        bool is_good = answer.status == 200 || strstr(reason, "Not management user") != NULL ||
                       strstr(reason, "anagement") != NULL;
        code =
            is_good
                ? lv_cli_say(c, "Success")
                : lv_cli_fail(
                      c, EX_DATAERR,
                      "Error: failed to authenticate user \"%s\"\nuser '%s' - invalid credentials",
                      name, name);
        free(reason);
    }
    free(answer.text);
    lv_api_close(api);
    return code;
}

int lv_run_hash_password(struct lv_cli *c)
{
    const char *password = password_of(c);
    struct lv_password_hash hash;
    uint8_t text[LV_BASE64_TEXT_BYTES(LV_HASH_BYTES_MAX)];
    struct lv_wr out = lv_wr(text, sizeof(text));

    if (password == NULL)
        return c->fault.code;
    enum lv_err err = lv_password_hash(LV_HASH_SHA256, lv_bytes_str(password), &hash);
    if (err != LV_OK)
        return lv_cli_fail(c, EX_DATAERR, "a password has 1 to %u bytes", LV_PASSWORD_BYTES_MAX);
    lv_base64_encode(&out, lv_bytes(hash.bytes, hash.len));
    if (lv_cli_has_banner(c) && !lv_cli_command_is_admin(c->command))
        fputs("Will hash password <password>\n", c->out);
    return lv_cli_say(c, "%.*s", (int)out.used, (const char *)text);
}

int lv_run_clear_topic_permissions(struct lv_cli *c)
{
    bool has_exchange = lv_cli_has(c, "exchange");

    if (!lv_cli_banner(
            c,
            has_exchange
                ? "Clearing topic permissions on \"{exchange}\" for user \"{username}\" in vhost "
                  "\"{vhost}\" ..."
                : "Clearing topic permissions for user \"{username}\" in vhost \"{vhost}\" ..."))
        return c->fault.code;
    bool is_done =
        lv_cli_request(c, "DELETE",
                       has_exchange ? "/topic-permissions/{vhost}/{username}/{exchange}"
                                    : "/topic-permissions/{vhost}/{username}",
                       NULL,
                       "vhost:65:!Virtual host '{vhost}' does not exist|username:67:User "
                       "{username} does not exist|404:0:",
                       NULL);
    return is_done || c->fault.code == EX_OK ? lv_cli_ok(c) : c->fault.code;
}
