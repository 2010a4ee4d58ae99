#include "security/certname.h"

#include <stdio.h>

#define COMMON_NAME "2.5.4.3"

/* Names of attribute types as RabbitMQ writes them; others by their number (RFC 4514 §2.3). */
static const struct {
    struct lv_bytes oid, name;
} types[] = {
    { LV_BYTES_LIT("2.5.4.4"), LV_BYTES_LIT("SN") },
    { LV_BYTES_LIT("2.5.4.42"), LV_BYTES_LIT("GIVENNAME") },
    { LV_BYTES_LIT("2.5.4.43"), LV_BYTES_LIT("INITIALS") },
    { LV_BYTES_LIT("2.5.4.44"), LV_BYTES_LIT("GENERATIONQUALIFIER") },
    { LV_BYTES_LIT(COMMON_NAME), LV_BYTES_LIT("CN") },
    { LV_BYTES_LIT("2.5.4.7"), LV_BYTES_LIT("L") },
    { LV_BYTES_LIT("2.5.4.8"), LV_BYTES_LIT("ST") },
    { LV_BYTES_LIT("2.5.4.10"), LV_BYTES_LIT("O") },
    { LV_BYTES_LIT("2.5.4.11"), LV_BYTES_LIT("OU") },
    { LV_BYTES_LIT("2.5.4.12"), LV_BYTES_LIT("TITLE") },
    { LV_BYTES_LIT("2.5.4.6"), LV_BYTES_LIT("C") },
    { LV_BYTES_LIT("2.5.4.5"), LV_BYTES_LIT("SERIALNUMBER") },
    { LV_BYTES_LIT("2.5.4.65"), LV_BYTES_LIT("PSEUDONYM") },
    { LV_BYTES_LIT("0.9.2342.19200300.100.1.25"), LV_BYTES_LIT("DC") },
    { LV_BYTES_LIT("1.2.840.113549.1.9.1"), LV_BYTES_LIT("EMAILADDRESS") },
    { LV_BYTES_LIT("2.5.4.9"), LV_BYTES_LIT("STREET") },
    { LV_BYTES_LIT("0.9.2342.19200300.100.1.1"), LV_BYTES_LIT("UID") },
};

static struct lv_bytes type_name(struct lv_bytes oid)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(types); i++)
        if (lv_bytes_eq(types[i].oid, oid))
            return types[i].name;
    return oid;
}

static void put_escaped(struct lv_wr *out, struct lv_bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.ptr[i];
        bool is_edge = (i == 0 && (c == ' ' || c == '#')) || (i == value.len - 1 && c == ' ');
        bool is_special = c != 0 && strchr("\"+,;<>\\", c) != NULL;
        if (is_edge || is_special) {
            lv_wr_u8(out, '\\');
            lv_wr_u8(out, c);
        } else if (c < 32 || c >= 126) {
            char hex[4];
            snprintf(hex, sizeof(hex), "\\%02X", c);
            lv_wr_bytes(out, hex, 3);
        } else {
            lv_wr_u8(out, c);
        }
    }
}

static void put_attribute(struct lv_wr *out, const struct lv_cert_attribute *a)
{
    struct lv_bytes name = type_name(a->oid);

    lv_wr_bytes(out, name.ptr, name.len);
    lv_wr_u8(out, '=');
    put_escaped(out, a->value);
}

void lv_cert_subject(struct lv_wr *out, const struct lv_cert_names *names)
{
    size_t end = names->subject_count;

    while (end != 0) {
        size_t first = end - 1;
        while (first != 0 && names->subject[first].joins_previous)
            first--;
        if (end != names->subject_count)
            lv_wr_u8(out, ',');
        for (size_t i = first; i < end; i++) {
            if (i != first)
                lv_wr_u8(out, '+');
            put_attribute(out, &names->subject[i]);
        }
        end = first;
    }
}

/* All of them, with "," between, as RabbitMQ does. */
static bool put_common_names(struct lv_wr *out, const struct lv_cert_names *names)
{
    bool has_any = false;

    for (size_t i = 0; i < names->subject_count; i++) {
        if (!lv_bytes_eq(names->subject[i].oid, LV_BYTES_LIT(COMMON_NAME)))
            continue;
        if (has_any)
            lv_wr_u8(out, ',');
        lv_wr_bytes(out, names->subject[i].value.ptr, names->subject[i].value.len);
        has_any = true;
    }
    return has_any;
}

static bool put_san(struct lv_wr *out, const struct lv_cert_names *names,
                    enum lv_cert_san_type type, size_t index)
{
    for (size_t i = 0; i < names->san_count; i++) {
        if (names->sans[i].type != type || index-- != 0)
            continue;
        lv_wr_bytes(out, names->sans[i].value.ptr, names->sans[i].value.len);
        return true;
    }
    return false;
}

enum lv_err lv_cert_name(struct lv_wr *out, const struct lv_cert_names *names,
                         enum lv_cert_rule rule, enum lv_cert_san_type san_type, size_t san_index)
{
    uint8_t text[LV_CERT_NAME_MAX];
    struct lv_wr w = lv_wr(text, sizeof(text));
    bool has_name = true;

    if (rule == LV_CERT_COMMON_NAME)
        has_name = put_common_names(&w, names);
    else if (rule == LV_CERT_SUBJECT_ALTERNATIVE_NAME)
        has_name = put_san(&w, names, san_type, san_index);
    else
        lv_cert_subject(&w, names);
    if (!has_name || w.used == 0)
        return LV_ENOTFOUND;
    if (!lv_wr_ok(&w))
        return LV_EFULL;
    if (memchr(text, 0, w.used) != NULL)
        return LV_ENOTFOUND;
    lv_wr_bytes(out, text, w.used);
    return LV_OK;
}

/* ---- the settings' words ---- */

enum lv_err lv_cert_rule_of(struct lv_bytes text, enum lv_cert_rule *out)
{
    static const struct {
        const char *text;
        enum lv_cert_rule rule;
    } rules[] = {
        { "distinguished_name", LV_CERT_DISTINGUISHED_NAME },
        { "common_name", LV_CERT_COMMON_NAME },
        { "subject_alternative_name", LV_CERT_SUBJECT_ALTERNATIVE_NAME },
        { "subject_alt_name", LV_CERT_SUBJECT_ALTERNATIVE_NAME },
    };

    for (size_t i = 0; i < LV_ARRAY_LEN(rules); i++) {
        if (!lv_bytes_eq(text, lv_bytes_str(rules[i].text)))
            continue;
        *out = rules[i].rule;
        return LV_OK;
    }
    return LV_EINVAL;
}

enum lv_err lv_cert_san_type_of(struct lv_bytes text, enum lv_cert_san_type *out)
{
    static const char *const names[] = {
        [LV_SAN_DNS] = "dns",
        [LV_SAN_IP] = "ip",
        [LV_SAN_EMAIL] = "email",
        [LV_SAN_URI] = "uri",
        [LV_SAN_OTHER_NAME] = "other_name",
    };

    for (size_t i = 0; i < LV_ARRAY_LEN(names); i++) {
        if (!lv_bytes_eq(text, lv_bytes_str(names[i])))
            continue;
        *out = (enum lv_cert_san_type)i;
        return LV_OK;
    }
    return LV_EINVAL;
}
