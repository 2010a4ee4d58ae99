/* Lists of what plugins of RabbitMQ have and this broker has not: links of federations, shovels, clients of the stream protocol.
 * There is none, and programs that gather them learn that instead of failing. */
#include "manage/listing.h"
#include "manage/router.h"

static bool describe(struct lv_request *r, const struct lv_listing_item *item, struct lv_json *j)
{
    (void)r, (void)item, (void)j;
    return false;
}

static const struct lv_listing_kind kind = { .describe = describe };

void lv_api_none(struct lv_request *r)
{
    struct lv_listing *list = lv_listing_new(r, &kind);

    if (list != NULL)
        lv_listing_reply(list);
}
