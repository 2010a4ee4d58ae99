/* tools/leveret/url.h: parts left out, percent escapes, and what is refused. */
/* A program is no library: its test brings the source in.
   NOLINTBEGIN(bugprone-suspicious-include) */
#include "../../../tools/leveret/fault.c"
#include "../../../tools/leveret/url.c"
/* NOLINTEND(bugprone-suspicious-include) */

#include "lv_test.h"

static void check(const char *text, const char *user, const char *password, const char *host,
                  const char *port, const char *vhost)
{
    struct lv_url url;
    struct lv_fault fault;

    CHECK(lv_url_parse(&url, text, &fault));
    CHECK_STR(url.user, user);
    CHECK_STR(url.password, password);
    CHECK_STR(url.host, host);
    CHECK_STR(url.port, port);
    CHECK_STR(url.vhost, vhost);
}

LV_TEST(parts_left_out_keep_their_defaults)
{
    check("amqp://", "guest", "guest", "127.0.0.1", "5672", "/");
    check("amqp://h", "guest", "guest", "h", "5672", "/");
    check("amqp://h:1", "guest", "guest", "h", "1", "/");
    check("amqp://h/", "guest", "guest", "h", "5672", "/");
    check("amqp://h/v", "guest", "guest", "h", "5672", "v");
    check("amqp://u@h", "u", "guest", "h", "5672", "/");
    check("amqp://u:p@h:1/v", "u", "p", "h", "1", "v");
    check("amqp://u:@h", "u", "", "h", "5672", "/");
}

LV_TEST(escapes_and_addresses)
{
    check("amqp://h/%2f", "guest", "guest", "h", "5672", "/");
    check("amqp://a%40b:p%3Aq@h/x%2Fy", "a@b", "p:q", "h", "5672", "x/y");
    check("amqp://u:p@x@h", "u", "p@x", "h", "5672", "/");
    check("amqp://[::1]:1/v", "guest", "guest", "::1", "1", "v");
    check("amqp://[::1]", "guest", "guest", "::1", "5672", "/");
}

LV_TEST(refused)
{
    static const char *const bad[] = {
        "",
        "h:1",
        "http://h",
        "amqp://h:",
        "amqp://h:x",
        "amqp://h:123456789",
        "amqp://[::1",
        "amqp://[::1]x",
        "amqp://h/%2",
        "amqp://h/%zz",
    };
    struct lv_url url;
    struct lv_fault fault;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fault = (struct lv_fault){ 0 };
        CHECK(!lv_url_parse(&url, bad[i], &fault));
        CHECK_EQ(fault.code, EX_USAGE);
    }
}
