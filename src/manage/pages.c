/* Pages for people who look around, and the description of the API for programs. */
#include <stdio.h>
#include <string.h>

#include "manage/manage_priv.h"
#include "manage/router.h"

extern const unsigned char lv_openapi_json[];
extern const unsigned long lv_openapi_json_bytes;

/* Where it is, whatever stands before every path here. */
static void redirect(struct lv_request *r, const char *to)
{
    const char *prefix = r->room->settings->management_path_prefix;
    size_t len = strlen(prefix);
    char location[512];

    while (len != 0 && prefix[len - 1] == '/')
        len--;
    (void)snprintf(location, sizeof(location), "%.*s%s", (int)len, prefix, to);
    lv_reply_header(r, "location", lv_bytes_str(location));
    lv_reply_empty(r, 301);
}

void lv_api_home(struct lv_request *r)
{
    redirect(r, "/api/index.html");
}

void lv_api_to_home(struct lv_request *r)
{
    redirect(r, "/");
}

void lv_api_to_index(struct lv_request *r)
{
    redirect(r, "/api/index.html");
}

void lv_api_to_cli(struct lv_request *r)
{
    redirect(r, "/cli/index.html");
}

void lv_api_openapi(struct lv_request *r)
{
    lv_reply_text(r, 200, "application/json", lv_bytes(lv_openapi_json, lv_openapi_json_bytes));
}

void lv_api_index(struct lv_request *r)
{
    static const char *const access[LV_ROUTE_ACCESS_COUNT] = {
        [LV_ROUTE_OPEN] = "anybody",
        [LV_ROUTE_METRICS] = "anybody",
        [LV_ROUTE_USER] = "user",
        [LV_ROUTE_MONITOR] = "monitoring",
        [LV_ROUTE_POLICY] = "policymaker",
        [LV_ROUTE_ADMIN] = "administrator",
        [LV_ROUTE_OPERATOR] = "administrator",
    };
    const struct lv_route_row *row;
    struct lv_buf page = { 0 };

    lv_buf_add_str(&page, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
                          "<title>Leveret HTTP API</title><h1>Leveret HTTP API</h1>"
                          "<p>Described for programs in <a href=\"openapi.json\">openapi.json</a>."
                          "</p><table><tr><th>Method<th>Path<th>Who</tr>");
    for (size_t i = 0; (row = lv_route_at(i)) != NULL; i++)
        lv_buf_addf(&page, "<tr><td>%s<td><code>%s</code><td>%s</tr>",
                    lv_http_method_name(row->method), row->path, access[row->access]);
    lv_buf_add_str(&page, "</table></html>");
    lv_reply_text(r, 200, "text/html; charset=utf-8", lv_buf_view(&page));
    lv_buf_fini(&page);
}

void lv_api_cli(struct lv_request *r)
{
    lv_reply_text(r, 200, "text/plain; charset=utf-8",
                  LV_BYTES_LIT(
                      "The tool for this API is the program leveret; it is installed with "
                      "the broker, and takes\nthe commands of rabbitmqadmin and "
                      "rabbitmqctl. Programs that speak RabbitMQ's HTTP API, rabbitmqadmin\n"
                      "among them, work unchanged.\n"));
}
