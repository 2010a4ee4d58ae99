/* manage/queues.h - what others show of queues. */
#ifndef LV_MANAGE_QUEUES_H
#define LV_MANAGE_QUEUES_H
#include "manage/listing.h"

extern const struct lv_listing_kind lv_queue_listing;
/* Adds the queues of the virtual host of the request, or of all that he sees; the names are views of this turn. */
void lv_queues_add(struct lv_request *r, struct lv_listing *list);

#endif
