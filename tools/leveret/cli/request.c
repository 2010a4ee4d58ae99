/* What commands ask of the broker, and how its errors are told. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli.h"

#define STATUS_OK(status) ((status) >= 200 && (status) < 300)

/* ---- the broker ---- */

struct lv_api *lv_cli_api(struct lv_cli *c)
{
    static struct lv_endpoint endpoint;
    long timeout_s;

    if (c->api != NULL)
        return c->api;
    const char *timeout = lv_cli_command_is_admin(c->command) ? "request_timeout" : "timeout";
    if (!lv_cli_number(c, timeout, 0, &timeout_s))
        return NULL;
    endpoint.timeout_ms = timeout_s > 0 ? timeout_s * 1000 : 0;
    bool is_found =
        lv_cli_command_is_admin(c->command) && !lv_cli_has(c, "url") && !lv_cli_has(c, "socket")
            ? lv_cli_admin_endpoint(c, &endpoint)
            : lv_endpoint_find(&endpoint, lv_cli_var(c, "url"), lv_cli_var(c, "socket"), &c->fault);
    if (is_found)
        c->api = lv_api_open(&endpoint, &c->fault);
    return c->api;
}

const json_t *lv_cli_overview(struct lv_cli *c)
{
    if (c->overview == NULL)
        c->overview = lv_cli_get(c, "/overview", NULL);
    return c->overview;
}

const char *lv_cli_node(struct lv_cli *c)
{
    const char *node =
        lv_cli_has(c, "node") && !lv_cli_command_is_admin(c->command) ? lv_cli_var(c, "node") : NULL;

    if (node == NULL && lv_cli_overview(c) != NULL) {
        node = json_string_value(json_object_get(c->overview, "node"));
        if (node == NULL)
            lv_cli_fail(c, EX_PROTOCOL, "the broker does not tell its name");
    }
    return node;
}

/* ---- errors ---- */

int lv_cli_fail(struct lv_cli *c, int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(c->fault.text, sizeof(c->fault.text), format, args);
    va_end(args);
    c->fault.code = code;
    return code;
}

/* Is what the variable names missing? */
static bool is_missing(struct lv_cli *c, const char *variable)
{
    static const char *const where[][2] = { { "vhost", "/vhosts/{vhost}" },
                                            { "username", "/users/{username}" } };
    struct lv_api_answer answer;
    struct lv_fault ignored;

    for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
        if (strcmp(where[i][0], variable) != 0)
            continue;
        char *path = lv_cli_path(c, where[i][1]);
        struct lv_api_request request = { .method = "GET", .path = path };
        bool is_told = path != NULL && lv_api_call(c->api, &request, &answer, &ignored);
        free(path);
        if (is_told)
            free(answer.text);
        return is_told && answer.status == 404;
    }
    return false;
}

/* One "when:code:text"; true: it was this. */
static bool is_case(struct lv_cli *c, const char *word, size_t len, long status,
                    const json_t *answer)
{
    char text[512], *end;

    snprintf(text, sizeof(text), "%.*s", (int)len, word);
    char *code = strchr(text, ':');
    if (code == NULL)
        return false;
    *code++ = '\0';
    long wanted = strtol(text, &end, 10);
    bool is_it = *end == '\0' ? wanted == status : is_missing(c, text);
    if (!is_it)
        return false;
    long exit_code = strtol(code, &end, 10);
    char *told = lv_cli_text(c, end + 1, answer);
    if (told != NULL)
        lv_cli_fail(c, (int)exit_code, "%s", told);
    free(told);
    return true;
}

/* rabbitmqadmin tells where it was refused; why, when there is more to say than that the login was wrong. */
static bool tell_admin(struct lv_cli *c, const char *path, long status, const char *reason)
{
    bool is_login = reason == NULL || strcmp(reason, "Login failed") == 0 ||
                    strcmp(reason, "Not_Authorized") == 0;

    if (!lv_cli_command_is_admin(c->command) || (status != 404 && status != 401))
        return false;
    if (status == 404)
        lv_cli_fail(c, EX_UNAVAILABLE, "Not found: /api%s", path);
    else
        lv_cli_fail(c, EX_NOPERM, "Access refused: /api%s%s%s%s", path, is_login ? "" : " (",
                    is_login ? "" : reason, is_login ? "" : ")");
    return true;
}

static void tell(struct lv_cli *c, const char *path, const char *errors,
                 const struct lv_api_answer *answer)
{
    json_t *root = lv_api_decode(answer);
    bool is_told = false;

    while (errors != NULL && *errors != '\0' && !is_told) {
        size_t len = strcspn(errors, "|");
        is_told = is_case(c, errors, len, answer->status, root);
        errors += len + (errors[len] == '|');
    }
    const char *why = json_string_value(json_object_get(root, "reason"));
    is_told = is_told || tell_admin(c, path, answer->status, why);
    json_decref(root);
    if (is_told)
        return;
    char *reason = lv_api_reason(answer);
    lv_cli_fail(c, answer->status == 401 ? EX_NOPERM : EX_UNAVAILABLE, "%s", reason);
    free(reason);
}

/* ---- requests ---- */

bool lv_cli_call(struct lv_cli *c, struct lv_api_request *request, const char *path,
                 const char *errors, struct lv_api_answer *answer)
{
    char *expanded = lv_cli_api(c) != NULL ? lv_cli_path(c, path) : NULL;

    *answer = (struct lv_api_answer){ 0 };
    if (expanded == NULL)
        return false;
    request->path = expanded;
    bool is_good = lv_api_call(c->api, request, answer, &c->fault);
    if (is_good && !STATUS_OK(answer->status)) {
        is_good = false;
        tell(c, expanded, errors, answer);
    } else if (!is_good && c->fault.code == EX_UNAVAILABLE) {
        struct lv_fault why = c->fault;
        if (lv_cli_command_is_admin(c->command))
            lv_cli_fail(c, EX_UNAVAILABLE, "Could not connect: %.600s", why.text);
        else
            lv_cli_fail(c, EX_UNAVAILABLE,
                        "!Error: unable to reach the broker: %.600s\n\nIs it running, with its "
                        "HTTP API? Where it "
                        "is may be told by --url, --socket, LEVERET_URL or LEVERET_DATA_DIR.",
                        why.text);
    }
    free(expanded);
    return is_good;
}

json_t *lv_cli_get(struct lv_cli *c, const char *path, const char *errors)
{
    struct lv_api_request request = { .method = "GET" };
    struct lv_api_answer answer;
    json_t *root = NULL;

    if (lv_cli_call(c, &request, path, errors, &answer)) {
        root = lv_api_decode(&answer);
        if (root == NULL)
            lv_cli_fail(c, EX_PROTOCOL, "the broker's answer is no JSON");
    }
    free(answer.text);
    return root;
}

static bool only_tell(struct lv_cli *c, const char *method, const char *path, const char *body)
{
    char *expanded = lv_cli_path(c, path);

    if (expanded == NULL)
        return false;
    fprintf(c->out, "%s /api%s%s%s\n", method, expanded, body != NULL ? " " : "",
            body != NULL ? body : "");
    free(expanded);
    return true;
}

bool lv_cli_request(struct lv_cli *c, const char *method, const char *path, json_t *body,
                    const char *errors, json_t **answer)
{
    char *text = body != NULL ? lv_need(json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY)) : NULL;
    struct lv_api_request request = { .method = method, .body = text };
    struct lv_api_answer got = { 0 };
    bool is_good;

    json_decref(body);
    if (answer != NULL)
        *answer = NULL;
    request.body_len = text != NULL ? strlen(text) : 0;
    if (lv_cli_has(c, "dry_run") && strcmp(method, "GET") != 0)
        is_good = only_tell(c, method, path, text);
    else
        is_good = lv_cli_call(c, &request, path, errors, &got);
    if (answer != NULL && got.text != NULL)
        *answer = lv_api_decode(&got);
    free(got.text);
    free(text);
    return is_good;
}
