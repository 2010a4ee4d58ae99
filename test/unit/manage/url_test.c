#include "manage/url.h"

#include <lv_test.h>

static enum lv_err parse(const char *target, struct lv_url *url)
{
    static uint8_t block[4096];

    return lv_url_parse(lv_bytes_str(target), block, url);
}

#define CHECK_SEGMENT(url, i, text) CHECK(lv_bytes_eq((url).segment[i], LV_BYTES_LIT(text)))

LV_TEST(a_path_is_split_before_it_is_decoded)
{
    struct lv_url url;

    CHECK_EQ(parse("/api/queues/%2F/a%2fb%20c+d", &url), LV_OK);
    CHECK_EQ(url.segment_count, 4);
    CHECK_SEGMENT(url, 2, "/");
    CHECK_SEGMENT(url, 3, "a/b c+d");
}

LV_TEST(one_slash_at_the_end_is_ignored)
{
    struct lv_url url;

    CHECK_EQ(parse("/api/users/", &url), LV_OK);
    CHECK_EQ(url.segment_count, 2);
    CHECK_EQ(parse("/", &url), LV_OK);
    CHECK_EQ(url.segment_count, 0);
    CHECK_EQ(parse("/api/queues//", &url), LV_OK);
    CHECK_EQ(url.segment_count, 3);
    CHECK_EQ(url.segment[2].len, 0);
    CHECK_EQ(parse("/api/queues//q", &url), LV_OK);
    CHECK_EQ(url.segment_count, 4);
}

LV_TEST(dots_are_names)
{
    struct lv_url url;

    CHECK_EQ(parse("/api/queues/%2F/..", &url), LV_OK);
    CHECK_SEGMENT(url, 3, "..");
}

LV_TEST(a_query_is_a_form)
{
    struct lv_url url;

    CHECK_EQ(parse("/a?name=x%26y+z&flag&=v&&sort=a.b#part", &url), LV_OK);
    CHECK(lv_bytes_eq(lv_url_param(&url, "name"), LV_BYTES_LIT("x&y z")));
    CHECK(lv_bytes_eq(lv_url_param(&url, "sort"), LV_BYTES_LIT("a.b")));
    CHECK(lv_url_param(&url, "flag").ptr != NULL && lv_url_param(&url, "flag").len == 0);
    CHECK(lv_url_param(&url, "nothing").ptr == NULL);
}

LV_TEST(the_absolute_form_is_taken)
{
    struct lv_url url;

    CHECK_EQ(parse("http://host:15672/api/overview?x=http://y", &url), LV_OK);
    CHECK_EQ(url.segment_count, 2);
    CHECK_SEGMENT(url, 1, "overview");
    CHECK_EQ(parse("http://host", &url), LV_ESYNTAX);
}

LV_TEST(what_is_malformed_is_refused)
{
    static const char *const bad[] = { "",       "*",       "api",    "/%",   "/%2",      "/%zz",
                                       "/a%00b", "/a?b=%4", "/a?%00", "/%ff", "/a/%c0%af" };
    struct lv_url url;

    for (size_t i = 0; i < LV_ARRAY_LEN(bad); i++)
        CHECK_EQ(parse(bad[i], &url), LV_ESYNTAX);
    CHECK_EQ(parse("/1/2/3/4/5/6/7/8/9/10/11/12/13", &url), LV_EFULL);
}

LV_TEST(what_was_encoded_is_read_back)
{
    uint8_t all[127], text[1024], block[1024];
    struct lv_wr w = lv_wr(text, sizeof(text));
    struct lv_url url;

    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (uint8_t)(i + 1);
    lv_wr_u8(&w, '/');
    lv_url_encode(&w, lv_bytes(all, sizeof(all)));
    CHECK(lv_wr_ok(&w));
    CHECK_EQ(lv_url_parse(lv_bytes(text, w.used), block, &url), LV_OK);
    CHECK_EQ(url.segment_count, 1);
    CHECK(lv_bytes_eq(url.segment[0], lv_bytes(all, sizeof(all))));
}
