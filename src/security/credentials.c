#include "security/credentials.h"

#include <stdio.h>

#include "security/pattern.h"

static enum lv_err check_length(uint32_t least, struct lv_bytes password, char *why, size_t cap)
{
    if (password.len >= least)
        return LV_OK;
    (void)snprintf(why, cap, "minimum required password length is %u", least);
    return LV_EINVAL;
}

static enum lv_err check_pattern(struct lv_bytes source, struct lv_bytes password, char *why,
                                 size_t cap)
{
    struct lv_pattern *pattern;
    char wrong[200];
    enum lv_err err = lv_pattern_new(source, &pattern, wrong, sizeof(wrong));

    if (err == LV_ENOMEM)
        return err;
    if (source.len == 0 || err != LV_OK) { /* a rule that says nothing allows nothing */
        if (err == LV_OK)
            lv_pattern_free(pattern);
        (void)snprintf(why, cap, "credential_validator.regexp is %s%s",
                       source.len == 0 ? "not set" : "no regular expression: ",
                       source.len == 0 ? "" : wrong);
        return LV_EINVAL;
    }
    bool is_match = lv_pattern_match(pattern, password);
    lv_pattern_free(pattern);
    if (is_match)
        return LV_OK;
    (void)snprintf(why, cap, "provided password does not match the validator regular expression");
    return LV_EINVAL;
}

enum lv_err lv_credentials_check(const struct lv_settings *s, struct lv_bytes password, char *why,
                                 size_t cap)
{
    struct lv_bytes validator = lv_bytes_str(s->credential_validator);

    if (cap != 0)
        why[0] = '\0';
    if (lv_bytes_eq(validator, LV_BYTES_LIT("rabbit_credential_validator_min_password_length")))
        return check_length(s->credential_min_length, password, why, cap);
    if (lv_bytes_eq(validator, LV_BYTES_LIT("rabbit_credential_validator_password_regexp")))
        return check_pattern(lv_bytes_str(s->credential_regexp), password, why, cap);
    return LV_OK;
}
