/* tools/leveret/idle.h - connections that log in, open a channel and then stay silent. */
#ifndef LV_TOOL_IDLE_H
#define LV_TOOL_IDLE_H
#include <stddef.h>

#include "url.h"

struct lv_idle {
    int *fd;
    size_t count;
};

/* Opens `count` connections, several at a time. On failure those already open stay for lv_idle_close(). */
bool lv_idle_open(struct lv_idle *idle, const struct lv_url *url, size_t count,
                  struct lv_fault *fault);
void lv_idle_close(struct lv_idle *idle);

#endif
