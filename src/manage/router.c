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

/* The target without what stands before every path here. */
static struct lv_bytes without_prefix(const struct lv_request *r)
{
    struct lv_bytes target = r->head.target,
                    prefix = lv_bytes_str(r->room->settings->management_path_prefix);

    if (prefix.len == 0 || !lv_bytes_has_prefix(target, prefix))
        return target;
    target = lv_bytes(target.ptr + prefix.len, target.len - prefix.len);
    return target.len != 0 ? target : LV_BYTES_LIT("/");
}

static bool is_open(const struct lv_request *r, const struct lv_route_row *row)
{
    return row->access == LV_ROUTE_OPEN ||
           (row->access == LV_ROUTE_METRICS && !r->room->settings->prometheus_auth);
}

/* Who came through the door of the metrics sees nothing else. */
static bool is_behind_door(const struct lv_request *r)
{
    return !lv_client_is_scraper(r->client) ||
           (r->url.segment_count != 0 && lv_bytes_eq(r->url.segment[0], LV_BYTES_LIT("metrics")));
}

void lv_route_begin(struct lv_request *r)
{
    struct lv_bytes target = without_prefix(r);
    uint8_t *block = lv_request_alloc(r, target.len + 1);
    struct lv_route_match match;

    r->is_body_refused = r->head.is_chunked || r->head.body_bytes != 0; /* until it is read */
    if (block == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    if (lv_url_parse(target, block, &r->url) != LV_OK) {
        lv_reply_bad_request(r, "Malformed path or query");
        return;
    }
    lv_route_find(r->head.method, &r->url, &match);
    if (match.methods == 0 || !is_behind_door(r)) {
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
    bool is_new_vhost = r->head.method == LV_HTTP_PUT && r->route->access == LV_ROUTE_ADMIN;

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
