#include "manage/router.h"

#include <stdio.h>

#include "broker/access.h"
#include "manage/manage_priv.h"

static const struct lv_route_row rows[] = {
#define LV_ROUTE(method, path, access, handler) \
    { LV_HTTP_##method, path, LV_ROUTE_##access, lv_api_##handler },
#include "manage/routes.def"
#undef LV_ROUTE
};

const struct lv_route_row *lv_route_at(size_t i)
{
    return i < LV_ARRAY_LEN(rows) ? &rows[i] : NULL;
}

/* ---- finding ---- */

/* The next word of a pattern, without its slash. */
static struct lv_bytes next_word(const char **pattern)
{
    const char *from = *pattern + 1;
    size_t len = strcspn(from, "/");

    *pattern = from + len;
    return lv_bytes(from, len);
}

/* Does the path fit the pattern? Then out has what its variables stand for. */
static bool fits(const char *pattern, const struct lv_url *url, struct lv_route_match *out)
{
    uint32_t i = 0, args = 0;

    out->vhost = lv_bytes(NULL, 0);
    if (pattern[1] == '\0')
        return url->segment_count == 0;
    for (; *pattern != '\0'; i++) {
        struct lv_bytes word = next_word(&pattern);
        if (i == url->segment_count)
            return false;
        if (lv_bytes_eq(word, LV_BYTES_LIT(":vhost")) || lv_bytes_eq(word, LV_BYTES_LIT(":vhost?")))
            out->vhost = url->segment[i];
        else if (word.ptr[0] == ':')
            out->args[args++] = url->segment[i];
        else if (!lv_bytes_eq(word, url->segment[i]))
            return false;
    }
    return i == url->segment_count;
}

void lv_route_find(enum lv_http_method method, const struct lv_url *url, struct lv_route_match *out)
{
    struct lv_route_match match = { 0 };
    const char *path = NULL;

    *out = match;
    for (size_t i = 0; i < LV_ARRAY_LEN(rows); i++) {
        const struct lv_route_row *row = &rows[i];
        if (path == NULL ? !fits(row->path, url, &match) : strcmp(path, row->path) != 0)
            continue;
        if (path == NULL)
            *out = match;
        path = row->path;
        out->methods |= 1u << row->method;
        if (row->method == method || (method == LV_HTTP_HEAD && row->method == LV_HTTP_GET))
            out->row = row;
    }
    if ((out->methods & 1u << LV_HTTP_GET) != 0)
        out->methods |= 1u << LV_HTTP_HEAD;
    if (out->methods != 0)
        out->methods |= 1u << LV_HTTP_OPTIONS;
}

void lv_route_allow(unsigned methods, char out[LV_ROUTE_ALLOW_MAX])
{
    size_t used = 0;

    out[0] = '\0';
    for (unsigned i = 0; i < LV_HTTP_METHOD_COUNT; i++)
        if ((methods & 1u << i) != 0)
            used += (size_t)snprintf(out + used, LV_ROUTE_ALLOW_MAX - used, "%s%s",
                                     used != 0 ? ", " : "",
                                     lv_http_method_name((enum lv_http_method)i));
}

/* ---- a request's way ---- */

static void not_allowed(struct lv_request *r, unsigned methods)
{
    char allow[LV_ROUTE_ALLOW_MAX];

    lv_route_allow(methods, allow);
    if (!r->room->settings->management_hide_allow)
        lv_reply_header(r, "allow", lv_bytes_str(allow));
    lv_reply_error(r, 405, "method_not_allowed", "Method Not Allowed");
}

/* Whoever asks what he may ask need not log in. */
static void options(struct lv_request *r, unsigned methods)
{
    char allow[LV_ROUTE_ALLOW_MAX];

    lv_route_allow(methods, allow);
    lv_reply_header(r, "allow", lv_bytes_str(allow));
    lv_reply_header(r, "access-control-allow-methods", lv_bytes_str(allow));
    lv_reply_empty(r, 200);
}

/* Whether the target is that path (which may end with a slash) or below it; *rest is what follows. */
static bool is_below(struct lv_bytes target, const char *path, struct lv_bytes *rest)
{
    struct lv_bytes prefix = lv_bytes_str(path);

    while (prefix.len != 0 && prefix.ptr[prefix.len - 1] == '/')
        prefix.len--;
    if (!lv_bytes_has_prefix(target, prefix))
        return false;
    *rest = lv_bytes(target.ptr + prefix.len, target.len - prefix.len);
    return rest->len == 0 || rest->ptr[0] == '/' || rest->ptr[0] == '?';
}

/* "/metrics" stands for prometheus.path at the doors of the metrics, and nothing else is there. ptr NULL: no such path, or
 * no memory. */
static struct lv_bytes metrics_target(struct lv_request *r)
{
    struct lv_bytes name = LV_BYTES_LIT("/metrics"), rest;

    if (!is_below(r->head.target, r->room->settings->prometheus_path, &rest))
        return lv_bytes(NULL, 0);
    uint8_t *target = lv_request_alloc(r, name.len + rest.len);
    if (target == NULL)
        return lv_bytes(NULL, 0);
    memcpy(target, name.ptr, name.len);
    memcpy(target + name.len, rest.ptr, rest.len);
    return lv_bytes(target, name.len + rest.len);
}

/* The target as routes.def has it: without what stands before every path here. */
static struct lv_bytes target_of(struct lv_request *r)
{
    struct lv_bytes rest;

    if (lv_client_is_scraper(r->client))
        return metrics_target(r);
    if (!is_below(r->head.target, r->room->settings->management_path_prefix, &rest))
        return r->head.target;
    return rest.len != 0 ? rest : LV_BYTES_LIT("/");
}

static bool is_open(const struct lv_request *r, const struct lv_route_row *row)
{
    return row->access == LV_ROUTE_OPEN ||
           (row->access == LV_ROUTE_METRICS && !r->room->settings->prometheus_auth);
}

/* What management.restrictions forbids. The command line on this machine may all the same, as RabbitMQ's. */
static void restrict_methods(const struct lv_request *r, struct lv_route_match *match)
{
    if (match->row == NULL || match->row->access != LV_ROUTE_OPERATOR ||
        !r->room->settings->management_fixed_op_policies || lv_client_is_operator(r->client))
        return;
    match->row = NULL;
    match->methods &= ~(1u << LV_HTTP_PUT | 1u << LV_HTTP_DELETE);
}

void lv_route_begin(struct lv_request *r)
{
    struct lv_bytes target = target_of(r);
    uint8_t *block = lv_request_alloc(r, target.len + 1);
    struct lv_route_match match;

    r->is_body_refused = r->head.is_chunked || r->head.body_bytes != 0; /* until it is read */
    if (target.ptr == NULL) {
        lv_reply_not_found(r);
        return;
    }
    if (block == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    if (lv_url_parse(target, block, &r->url) != LV_OK) {
        lv_reply_bad_request(r, "Malformed path or query");
        return;
    }
    lv_route_find(r->head.method, &r->url, &match);
    restrict_methods(r, &match);
    if (match.methods == 0) {
        lv_reply_not_found(r);
    } else if (r->head.method == LV_HTTP_OPTIONS) {
        options(r, match.methods);
    } else if (match.row == NULL) {
        not_allowed(r, match.methods);
    } else {
        r->route = match.row;
        r->vhost = match.vhost;
        memcpy(r->args, match.args, sizeof(r->args));
        if (is_open(r, match.row))
            lv_client_admitted(r);
        else
            lv_http_login_begin(r);
    }
}

/* Why not; NULL: he may. RabbitMQ's words. */
static const char *refusal(const struct lv_request *r)
{
    if (!lv_who_is(r, LV_WHO_ANY))
        return "Not management user";
    switch (r->route->access) {
    case LV_ROUTE_METRICS:
    case LV_ROUTE_MONITOR:
        return lv_who_is(r, LV_WHO_ADMINISTRATOR | LV_WHO_MONITORING) ? NULL : "Not monitor user";
    case LV_ROUTE_POLICY:
        return lv_who_is(r, LV_WHO_ADMINISTRATOR | LV_WHO_POLICYMAKER)
                   ? NULL
                   : "User not authorised to access object";
    case LV_ROUTE_ADMIN:
    case LV_ROUTE_OPERATOR:
        return lv_who_is(r, LV_WHO_ADMINISTRATOR) ? NULL : "Not administrator user";
    default:
        return NULL;
    }
}

/* The virtual host of the path is not there, or not for him. */
static void refuse_vhost(struct lv_request *r)
{
    bool is_there = lv_access_vhost(lv_broker_access(r->room->broker), r->vhost) != NULL;

    if (is_there && strstr(r->route->path, ":vhost?") == NULL)
        lv_reply_refused(r, "User not authorised to access virtual host");
    else if (r->head.method == LV_HTTP_PUT || r->head.method == LV_HTTP_POST)
        lv_reply_error(r, 404, "not_found", "vhost_not_found");
    else
        lv_reply_not_found(r);
}

void lv_route_authorize(struct lv_request *r)
{
    const char *why = refusal(r);
    bool is_new_vhost = r->head.method == LV_HTTP_PUT && r->route->access >= LV_ROUTE_ADMIN;

    if (why != NULL)
        lv_reply_refused(r, why);
    else if (r->vhost.ptr != NULL && !is_new_vhost && !lv_request_sees(r, r->vhost))
        refuse_vhost(r);
    else
        lv_client_admitted(r);
}

void lv_route_run(struct lv_request *r)
{
    r->is_body_refused = false;
    r->route->run(r);
}
