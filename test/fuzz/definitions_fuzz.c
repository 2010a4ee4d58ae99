/* Any bytes: definitions, or a reason why not. What is accepted is checked tables, names within bounds, and texts of JSON. */
#include <stdlib.h>

#include "base/limits.h"
#include "base/table.h"
#include "broker/definitions_priv.h"
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const struct lv_item *item)
{
    char why[LV_DEFINITIONS_WHY_MAX];
    json_t *value;

    LV_ASSERT(item->vhost.len <= LV_SHORTSTR_MAX && item->name.len <= LV_SHORTSTR_MAX);
    if (item->is_out)
        return;
    switch (item->list) {
    case LV_LIST_USERS:
        LV_ASSERT(lv_user_check(&item->user.record) == LV_OK);
        break;
    case LV_LIST_VHOSTS:
        LV_ASSERT(lv_vhost_check(&item->vhost_.record) == LV_OK);
        break;
    case LV_LIST_PERMISSIONS:
        LV_ASSERT(lv_permission_check(&item->permission) == LV_OK);
        break;
    case LV_LIST_TOPIC_PERMISSIONS:
        LV_ASSERT(lv_topic_permission_check(&item->topic_permission) == LV_OK);
        break;
    case LV_LIST_GLOBALS:
    case LV_LIST_POLICIES:
    case LV_LIST_PARAMETERS:
        value = lv_json_parse(item->parameter.value, why, sizeof(why));
        LV_ASSERT(value != NULL);
        json_decref(value);
        break;
    case LV_LIST_EXCHANGES:
        LV_ASSERT(lv_table_check(item->exchange.arguments) == LV_OK);
        break;
    case LV_LIST_QUEUES:
        LV_ASSERT(lv_table_check(item->queue.arguments) == LV_OK);
        break;
    case LV_LIST_BINDINGS:
        LV_ASSERT(lv_table_check(item->binding.arguments) == LV_OK);
        LV_ASSERT(item->binding.key.len <= LV_SHORTSTR_MAX);
        break;
    case LV_LIST_COUNT:
        LV_UNREACHABLE("a list");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[LV_DEFINITIONS_WHY_MAX];
    static struct lv_settings settings;
    struct lv_definitions *d;

    if (settings.password_hashing == NULL)
        lv_settings_init(&settings);
    if (size == 0)
        return 0;
    struct lv_bytes vhost = data[0] % 2 == 0 ? lv_bytes(NULL, 0) : LV_BYTES_LIT("v");
    enum lv_err err =
        lv_definitions_parse(&settings, lv_bytes(data + 1, size - 1), vhost, &d, why, sizeof(why));
    LV_ASSERT(err == LV_OK || why[0] != '\0');
    for (size_t i = 0; err == LV_OK && i < d->count; i++)
        look(d->items[i]);
    lv_definitions_free(d);
    return 0;
}
