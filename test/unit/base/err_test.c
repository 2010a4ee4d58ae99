/* base/err.h: every code has a text, and a number that is no code is answered too. */
#include "base/err.h"

#include "lv_test.h"

LV_TEST(every_code_has_its_row)
{
#define LV_ERR(code, name, text, reply)            \
    CHECK_STR(lv_err_text(LV_##name), text);       \
    CHECK_EQ(lv_err_reply_code(LV_##name), reply); \
    CHECK_EQ(LV_##name, code);
#include "base/err.def"
#undef LV_ERR
    CHECK_EQ(LV_OK, 0);
}

LV_TEST(an_unknown_code_reads_as_invalid)
{
    CHECK_STR(lv_err_text((enum lv_err) - 10000), lv_err_text(LV_EINVAL));
    CHECK_EQ(lv_err_reply_code((enum lv_err) - 10000), lv_err_reply_code(LV_EINVAL));
    CHECK_STR(lv_err_text((enum lv_err)17), lv_err_text(LV_EINVAL));
}
