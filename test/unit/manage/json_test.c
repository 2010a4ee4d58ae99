#include "manage/json.h"

#include <lv_test.h>
#include <stdio.h>

/* One description, three uses. */
static void describe(struct lv_json *j)
{
    lv_json_open(j, NULL);
    lv_json_str(j, "name", "q");
    lv_json_u64(j, "messages", 3);
    lv_json_open(j, "message_stats");
    lv_json_u64(j, "publish", 7);
    lv_json_open(j, "publish_details");
    lv_json_double(j, "rate", 1.5);
    lv_json_close(j);
    lv_json_close(j);
    lv_json_open_array(j, "consumers");
    lv_json_open(j, NULL);
    lv_json_str(j, "tag", "t");
    lv_json_bool(j, "active", true);
    lv_json_close(j);
    lv_json_close(j);
    lv_json_null(j, "policy");
    lv_json_close(j);
}

static void check_columns(const char *columns, const char *wanted)
{
    struct lv_buf out = { 0 };
    struct lv_json_columns c;
    struct lv_json j;

    lv_json_init(&j, &out);
    if (lv_json_columns(lv_bytes_str(columns), &c))
        lv_json_select(&j, &c);
    describe(&j);
    lv_buf_add(&out, "", 1);
    CHECK_STR((const char *)out.at, wanted);
    lv_buf_fini(&out);
}

LV_TEST(everything_is_written_without_columns)
{
    check_columns("", "{\"name\":\"q\",\"messages\":3,\"message_stats\":{\"publish\":7,"
                      "\"publish_details\":{\"rate\":1.5}},\"consumers\":[{\"tag\":\"t\","
                      "\"active\":true}],\"policy\":null}");
}

LV_TEST(columns_choose_members_at_any_depth)
{
    check_columns("name,policy", "{\"name\":\"q\",\"policy\":null}");
    check_columns("message_stats.publish", "{\"message_stats\":{\"publish\":7}}");
    check_columns("message_stats.publish_details.rate,name",
                  "{\"name\":\"q\",\"message_stats\":{\"publish_details\":{\"rate\":1.5}}}");
    check_columns("message_stats",
                  "{\"message_stats\":{\"publish\":7,\"publish_details\":{\"rate\":1.5}}}");
    check_columns("consumers.tag", "{\"consumers\":[{\"tag\":\"t\"}]}");
    check_columns("nothing,name.more", "{}");
}

LV_TEST(columns_that_nobody_could_want_are_bounded)
{
    struct lv_json_columns c;
    char text[1024];
    size_t used = 0;

    while (used + 4 < sizeof(text)) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "a.b,");
    }
    CHECK(lv_json_columns(lv_bytes(text, used), &c));
    CHECK_EQ(c.count, LV_JSON_COLUMNS_MAX);
    CHECK(!lv_json_columns(LV_BYTES_LIT("a.b.c.d.e.f.g"), &c));
    CHECK(!lv_json_columns(LV_BYTES_LIT(",,"), &c));
}

static struct lv_json_value pick(const char *path, struct lv_buf *scratch)
{
    struct lv_json_columns c = { .count = 1 };
    struct lv_json_value v;
    struct lv_json j;

    CHECK(lv_json_path(lv_bytes_str(path), &c.path[0]));
    lv_json_init_pick(&j, &c, &v, scratch);
    describe(&j);
    return v;
}

LV_TEST(a_value_is_picked_and_a_missing_one_counts_as_zero)
{
    struct lv_buf scratch = { 0 };
    struct lv_json_value v = pick("message_stats.publish_details.rate", &scratch);

    CHECK(v.kind == LV_JSON_NUMBER && v.number == 1.5);
    v = pick("name", &scratch);
    CHECK(v.kind == LV_JSON_TEXT && lv_bytes_eq(v.text, LV_BYTES_LIT("q")));
    v = pick("policy", &scratch);
    CHECK_EQ(v.kind, LV_JSON_NULL);
    v = pick("message_stats.nothing", &scratch);
    CHECK(v.kind == LV_JSON_NUMBER && v.number == 0);
    lv_buf_fini(&scratch);
}

LV_TEST(values_have_an_order)
{
    struct lv_json_value one = { .kind = LV_JSON_NUMBER, .number = 1 },
                         two = { .kind = LV_JSON_NUMBER, .number = 2 },
                         text = { .kind = LV_JSON_TEXT, .text = LV_BYTES_LIT("a") },
                         more = { .kind = LV_JSON_TEXT, .text = LV_BYTES_LIT("ab") };

    CHECK(lv_json_value_cmp(&one, &two) < 0 && lv_json_value_cmp(&two, &one) > 0);
    CHECK(lv_json_value_cmp(&two, &text) < 0 && lv_json_value_cmp(&text, &more) < 0);
    CHECK_EQ(lv_json_value_cmp(&more, &more), 0);
}

static void check_quote(struct lv_bytes text, const char *wanted)
{
    struct lv_buf out = { 0 };

    lv_json_quote(&out, text);
    lv_buf_add(&out, "", 1);
    CHECK_STR((const char *)out.at, wanted);
    lv_buf_fini(&out);
}

LV_TEST(text_is_always_utf8)
{
    check_quote(LV_BYTES_LIT("a\"b\\c/\n\x01\x7f"), "\"a\\\"b\\\\c/\\n\\u0001\\u007f\"");
    check_quote(LV_BYTES_LIT("gr\xc3\xbc\xc3\x9f"), "\"gr\xc3\xbc\xc3\x9f\"");
    check_quote(LV_BYTES_LIT("\xff\xc3\xbc"), "\"\\u00ff\\u00c3\\u00bc\"");
    check_quote(LV_BYTES_LIT(""), "\"\"");
}

LV_TEST(numbers_keep_what_they_are)
{
    struct lv_buf out = { 0 };
    struct lv_json j;

    lv_json_init(&j, &out);
    lv_json_open_array(&j, NULL);
    lv_json_u64(&j, NULL, UINT64_MAX);
    lv_json_i64(&j, NULL, INT64_MIN);
    lv_json_double(&j, NULL, 0);
    lv_json_double(&j, NULL, 1e300);
    lv_json_double(&j, NULL, 0.1);
    lv_json_double(&j, NULL, 1.0 / 0.0);
    lv_json_close(&j);
    lv_buf_add(&out, "", 1);
    CHECK_STR((const char *)out.at,
              "[18446744073709551615,-9223372036854775808,0.0,1e+300,0.1,null]");
    lv_buf_fini(&out);
}
