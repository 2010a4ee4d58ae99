#include "manage/multipart.h"

#include <stdio.h>

#include <lv_test.h>

static struct lv_bytes found;

static enum lv_err field(const char *type, const char *body, const char *name)
{
    return lv_multipart_field(lv_bytes_str(type), lv_bytes_str(body), name, &found);
}

static bool is_found(const char *wanted)
{
    return lv_bytes_eq(found, lv_bytes_str(wanted));
}

#define TYPE "multipart/form-data; boundary=xx"
#define PART(headers, contents) "--xx\r\n" headers "\r\n\r\n" contents "\r\n"

LV_TEST(fields_are_found_by_their_names)
{
    static const char body[] = PART("Content-Disposition: form-data; name=\"redirect\"", "/done")
        PART("Content-Type: application/json\r\n"
             "content-disposition: form-data; filename=\"name=x; file.json\"; name=file",
             "{\"a\":\r\n\"--xx in a line\"}\r\n") "--xx--\r\n";

    CHECK_EQ(field(TYPE, body, "file"), LV_OK);
    CHECK(is_found("{\"a\":\r\n\"--xx in a line\"}\r\n"));
    CHECK_EQ(field(TYPE, body, "redirect"), LV_OK);
    CHECK(is_found("/done"));
    CHECK_EQ(field(TYPE, body, "x"), LV_ENOTFOUND);
    CHECK_EQ(field("Multipart/Form-Data ;charset=utf-8; BOUNDARY=\"xx\"", body, "file"), LV_OK);
}

LV_TEST(what_stands_before_and_after_is_passed_over)
{
    static const char body[] =
        "preamble --xx\r\n--xx \t\r\nContent-Disposition: form-data; name=a\r\n\r\n"
        "\r\n--xx--epilogue\r\n--xx\r\n";

    CHECK_EQ(field(TYPE, body, "a"), LV_OK);
    CHECK(is_found(""));
}

LV_TEST(a_part_without_headers_has_no_name)
{
    CHECK_EQ(field(TYPE, "--xx\r\n\r\ntext\r\n--xx\r\n--xx\r\nno headers\r\n--xx--", "a"),
             LV_ENOTFOUND);
}

LV_TEST(what_is_no_form_is_refused)
{
    CHECK(!lv_multipart_is(LV_BYTES_LIT("application/json")));
    CHECK(!lv_multipart_is(LV_BYTES_LIT("multipart/form-database; boundary=x")));
    CHECK_EQ(field("application/json", "{}", "a"), LV_ESYNTAX);
    CHECK_EQ(field("multipart/form-data", PART("", "") "--xx--", "a"), LV_ESYNTAX);
    CHECK_EQ(field("multipart/form-data; boundary=", "----", "a"), LV_ESYNTAX);
    CHECK_EQ(field(TYPE, "", "a"), LV_ESYNTAX);
    CHECK_EQ(field(TYPE, "--xx", "a"), LV_ESYNTAX);
    CHECK_EQ(field(TYPE, "--yy\r\n\r\n\r\n--yy--", "a"), LV_ESYNTAX);
    /* One that does not end may have lost something. */
    CHECK_EQ(field(TYPE, PART("Content-Disposition: form-data; name=a", "text"), "a"), LV_ESYNTAX);
}

LV_TEST(cut_anywhere_it_says_so)
{
    static const char body[] =
        PART("Content-Disposition: form-data; name=a", "1") PART("X: y", "2") "--xx--";
    const size_t last = sizeof(body) - 1 - 2; /* without the two dashes that end it */

    for (size_t cut = 0; cut <= last; cut++)
        CHECK_EQ(lv_multipart_field(LV_BYTES_LIT(TYPE), lv_bytes(body, cut), "b", &found),
                 LV_ESYNTAX);
}

LV_TEST(there_are_not_too_many_parts)
{
    char body[LV_MULTIPART_PARTS_MAX * 16 + 64];
    size_t used = 0;

    for (unsigned i = 0; i <= LV_MULTIPART_PARTS_MAX; i++)
        used += (size_t)snprintf(body + used, sizeof(body) - used, "--xx\r\nA: b\r\n\r\n\r\n");
    used += (size_t)snprintf(body + used, sizeof(body) - used, "--xx--");
    CHECK_EQ(field(TYPE, body, "a"), LV_EFULL);
}
