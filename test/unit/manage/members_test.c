#include "manage/members.h"

#include <lv_test.h>

static const char object[] =
    "{\"a\":1,\"b\":[{\"a\":\"}],{\\\"\",\"c\":{}},[]],\"c\":\"x,\\\\\",\"d\":{\"a\":null}}";

/* The object in pieces of every size. */
static void check(const char *columns, const char *wanted)
{
    struct lv_json_columns c;
    bool has_columns = lv_json_columns(lv_bytes_str(columns), &c);

    for (size_t size = 1; size <= sizeof(object); size++) {
        struct lv_members m = { .wanted = has_columns ? &c : NULL };
        struct lv_buf out = { 0 };
        for (size_t at = 0; at < sizeof(object) - 1; at += size)
            lv_members_pass(&m, lv_bytes(object + at, LV_MIN(size, sizeof(object) - 1 - at)), &out);
        lv_buf_add(&out, "", 1);
        CHECK_STR((const char *)out.at, wanted);
        lv_buf_fini(&out);
    }
}

LV_TEST(members_are_chosen_by_name)
{
    check("", object);
    check("a", "{\"a\":1}");
    check("c,b", "{\"b\":[{\"a\":\"}],{\\\"\",\"c\":{}},[]],\"c\":\"x,\\\\\"}");
    check("d.a", "{\"d\":{\"a\":null}}");
    check("nothing", "{}");
}

LV_TEST(a_name_too_long_is_wanted_by_nobody)
{
    struct lv_json_columns c;
    struct lv_members m = { .wanted = &c };
    struct lv_buf out = { 0 };
    char text[200] = "{\"";

    memset(text + 2, 'k', 100);
    memcpy(text + 102, "\":1,\"b\":2}", 11);
    CHECK(lv_json_columns(LV_BYTES_LIT("b"), &c));
    lv_members_pass(&m, lv_bytes_str(text), &out);
    CHECK(lv_bytes_eq(lv_buf_view(&out), LV_BYTES_LIT("{\"b\":2}")));
    lv_buf_fini(&out);
}
