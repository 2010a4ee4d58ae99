/* tools/leveret/url.h - amqp://user:password@host:port/vhost, each part percent-decoded. */
#ifndef LV_TOOL_URL_H
#define LV_TOOL_URL_H
#include <stdbool.h>

#include "fault.h"

struct lv_url {
    char user[128];
    char password[128];
    char host[256];
    char port[8];
    char vhost[256];
};

/* Parts that `text` leaves out keep RabbitMQ's defaults: guest, guest, 127.0.0.1, 5672, "/". */
bool lv_url_parse(struct lv_url *url, const char *text, struct lv_fault *fault);

#endif
