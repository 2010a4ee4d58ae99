/* manage/connections.h - what other families of routes show of a census. */
#ifndef LV_MANAGE_CONNECTIONS_H
#define LV_MANAGE_CONNECTIONS_H
#include "broker/observe.h"
#include "manage/request.h"

/* "consumer_details" of a queue: `census` is of its virtual host. */
void lv_json_consumers_of(struct lv_request *r, struct lv_json *j, const struct lv_census *census,
                          struct lv_bytes queue);

#endif
