#include "security/credentials.h"

#include "lv_test.h"

static char why[256];

static enum lv_err check(const char *validator, uint32_t least, const char *regexp,
                         const char *password)
{
    struct lv_settings s;

    lv_settings_init(&s);
    s.credential_validator = validator;
    s.credential_min_length = least;
    s.credential_regexp = regexp;
    return lv_credentials_check(&s, lv_bytes_str(password), why, sizeof(why));
}

LV_TEST(everything_is_accepted_unless_somebody_says_otherwise)
{
    struct lv_settings s;

    lv_settings_init(&s);
    CHECK_EQ(lv_credentials_check(&s, lv_bytes(NULL, 0), why, sizeof(why)), LV_OK);
    CHECK_EQ(s.credential_min_length, 5);
    CHECK_EQ(check("rabbit_credential_validator_accept_everything", 99, "^$", "x"), LV_OK);
}

LV_TEST(a_password_can_be_too_short)
{
    static const char validator[] = "rabbit_credential_validator_min_password_length";

    CHECK_EQ(check(validator, 5, "", "guest"), LV_OK);
    CHECK_EQ(check(validator, 5, "", "gues"), LV_EINVAL);
    CHECK_STR(why, "minimum required password length is 5");
    CHECK_EQ(check(validator, 5, "", "\xc3\xa4\xc3\xb6x"), LV_OK); /* bytes, as in RabbitMQ */
    CHECK_EQ(check(validator, 1, "", ""), LV_EINVAL);
    CHECK_EQ(check(validator, 0, "", ""), LV_OK);
}

LV_TEST(a_password_can_be_of_the_wrong_form)
{
    static const char validator[] = "rabbit_credential_validator_password_regexp";

    CHECK_EQ(check(validator, 0, "^[a-z]+[0-9]$", "abc1"), LV_OK);
    CHECK_EQ(check(validator, 0, "^[a-z]+[0-9]$", "abc"), LV_EINVAL);
    CHECK_STR(why, "provided password does not match the validator regular expression");
    CHECK_EQ(check(validator, 0, "", "abc"), LV_EINVAL);
    CHECK_STR(why, "credential_validator.regexp is not set");
    CHECK_EQ(check(validator, 0, "(", "abc"), LV_EINVAL);
    CHECK(strstr(why, "credential_validator.regexp is no regular expression: ") == why);
}
