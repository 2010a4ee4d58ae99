/* manage/router.h - which handler a request goes to, and who may ask for it: routes.def, read.
 *
 * Owner   none: a table. Any thread.
 */
#ifndef LV_MANAGE_ROUTER_H
#define LV_MANAGE_ROUTER_H
#include "manage/http.h"
#include "manage/url.h"

struct lv_request;

enum lv_route_access {
    LV_ROUTE_OPEN,
    LV_ROUTE_METRICS, /* open, unless prometheus.authentication.enabled */
    LV_ROUTE_USER,
    LV_ROUTE_MONITOR,
    LV_ROUTE_POLICY,
    LV_ROUTE_ADMIN,
    LV_ROUTE_OPERATOR, /* ADMIN, unless operator policies are fixed */
    LV_ROUTE_ACCESS_COUNT,
};

struct lv_route_row {
    enum lv_http_method method;
    const char *path;
    enum lv_route_access access;
    void (*run)(struct lv_request *r);
};

#define LV_ROUTE_VARIABLES_MAX 6u

/* What the path's variables stand for: views of the URL. */
struct lv_route_match {
    const struct lv_route_row *row; /* NULL: the path exists without this method, or not at all */
    unsigned methods;               /* a bit for each that the path has; 0: there is no such path */
    struct lv_bytes vhost;          /* ptr NULL: the path has none */
    struct lv_bytes args[LV_ROUTE_VARIABLES_MAX];
};

void lv_route_find(enum lv_http_method method, const struct lv_url *url, struct lv_route_match *out);
/* "GET, HEAD, OPTIONS" of lv_route_match.methods, NUL-terminated. */
#define LV_ROUTE_ALLOW_MAX 64u
void lv_route_allow(unsigned methods, char out[LV_ROUTE_ALLOW_MAX]);
/* The i-th row; NULL: no more. */
const struct lv_route_row *lv_route_at(size_t i);

#define LV_ROUTE(method, path, access, handler) void lv_api_##handler(struct lv_request *r);
#include "manage/routes.def"
#undef LV_ROUTE

#endif
