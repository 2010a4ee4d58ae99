#include "manage/fields.h"

#include "base/limits.h"

#include <lv_test.h>

/* JSON text -> table -> JSON text. */
static enum lv_err there_and_back(const char *json, struct lv_buf *back)
{
    json_t *parsed = json_loads(json, JSON_DECODE_ANY, NULL);
    struct lv_buf table = { 0 };
    struct lv_json j;

    enum lv_err err = lv_fields_from_json(parsed, &table);
    if (err == LV_OK) {
        CHECK_EQ(lv_table_check(lv_buf_view(&table)), LV_OK);
        lv_json_init(&j, back);
        lv_json_fields(&j, NULL, lv_buf_view(&table));
        lv_buf_add(back, "", 1);
    }
    lv_buf_fini(&table);
    json_decref(parsed);
    return err;
}

static void check_same(const char *json)
{
    struct lv_buf back = { 0 };

    CHECK_EQ(there_and_back(json, &back), LV_OK);
    CHECK_STR((const char *)back.at, json);
    lv_buf_fini(&back);
}

LV_TEST(tables_and_json_are_the_same)
{
    check_same("{}");
    check_same("{\"x-max-length\":10,\"x-queue-type\":\"quorum\",\"f\":1.5,\"t\":true,\"u\":false,"
               "\"n\":null,\"a\":[1,\"b\",[],{}],\"o\":{\"p\":{\"q\":-1}}}");
}

LV_TEST(only_objects_are_tables)
{
    struct lv_buf back = { 0 };

    CHECK_EQ(there_and_back("[]", &back), LV_EINVAL);
    CHECK_EQ(there_and_back("1", &back), LV_EINVAL);
    lv_buf_fini(&back);
}

LV_TEST(nesting_is_bounded)
{
    struct lv_buf back = { 0 };
    char text[512];
    size_t used = 0;

    for (unsigned i = 0; i < LV_TABLE_DEPTH_MAX; i++) {
        memcpy(text + used, "{\"a\":", 5);
        used += 5;
    }
    memcpy(text + used, "{}", 2);
    used += 2;
    memset(text + used, '}', LV_TABLE_DEPTH_MAX);
    text[used + LV_TABLE_DEPTH_MAX] = '\0';
    CHECK_EQ(there_and_back(text, &back), LV_EDEPTH);
    text[used + LV_TABLE_DEPTH_MAX - 1] = '\0'; /* one level fewer */
    CHECK_EQ(there_and_back(text + 5, &back), LV_OK);
    lv_buf_fini(&back);
}

LV_TEST(long_names_are_refused)
{
    struct lv_buf back = { 0 };
    char text[300] = "{\"";

    memset(text + 2, 'a', 256);
    memcpy(text + 258, "\":1}", 5);
    CHECK_EQ(there_and_back(text, &back), LV_EINVAL);
    lv_buf_fini(&back);
}
