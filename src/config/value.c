#include "config/value_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- fields ---- */

void lv_value_put(const struct lv_setting *d, struct lv_settings *s, const char *text,
                  uint64_t number)
{
    void *at = (char *)s + d->offset;

    if (lv_setting_is_text(d)) {
        if (d->is_live)
            atomic_store_explicit((const char *_Atomic *)at, text, memory_order_release);
        else
            *(const char **)at = text;
    } else if (d->type == LV_TYPE_BOOL) {
        if (d->is_live)
            atomic_store_explicit((_Atomic bool *)at, number != 0, memory_order_relaxed);
        else
            *(bool *)at = number != 0;
    } else if (d->type == LV_TYPE_SIZE) {
        if (d->is_live)
            atomic_store_explicit((_Atomic uint64_t *)at, number, memory_order_relaxed);
        else
            *(uint64_t *)at = number;
    } else if (d->is_live) {
        atomic_store_explicit((_Atomic uint32_t *)at, (uint32_t)number, memory_order_relaxed);
    } else {
        *(uint32_t *)at = (uint32_t)number;
    }
}

uint64_t lv_value_number(const struct lv_setting *d, const struct lv_settings *s)
{
    const void *at = (const char *)s + d->offset;

    if (d->type == LV_TYPE_BOOL)
        return *(const bool *)at;
    if (d->type == LV_TYPE_SIZE)
        return *(const uint64_t *)at;
    return *(const uint32_t *)at;
}

const char *lv_value_text(const struct lv_setting *d, const struct lv_settings *s, char buf[24])
{
    if (lv_setting_is_text(d))
        return *(const char *const *)(const void *)((const char *)s + d->offset);
    uint64_t number = lv_value_number(d, s);
    bool is_open = d->type == LV_TYPE_LIMIT || d->type == LV_TYPE_MS;
    if (d->type == LV_TYPE_BOOL)
        return number != 0 ? "true" : "false";
    if (is_open && number == LV_UNLIMITED)
        return "infinity";
    (void)snprintf(buf, 24, "%llu", (unsigned long long)number);
    return buf;
}

void lv_settings_init(struct lv_settings *s)
{
    for (size_t i = 0; i < LV_SETTING_COUNT; i++)
        lv_value_put(&lv_setting_table[i], s, lv_setting_table[i].text, lv_setting_table[i].number);
}

/* ---- numbers ---- */

/* Decimal digits and nothing else before *end. */
static bool parse_digits(const char *text, char **end, uint64_t *out)
{
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *out = strtoull(text, end, 10);
    return errno == 0;
}

struct unit {
    const char *suffix;
    double factor;
};

static const struct unit *find_unit(const struct unit *units, size_t count, const char *suffix)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(units[i].suffix, suffix) == 0)
            return &units[i];
    return NULL;
}

/* RabbitMQ's: k, M and G are binary alone or with i, decimal with B. */
static const struct unit size_units[] = {
    { "", 1 },        { "B", 1 },      { "kB", 1e3 },   { "KB", 1e3 },     { "kb", 1e3 },
    { "MB", 1e6 },    { "mb", 1e6 },   { "GB", 1e9 },   { "gb", 1e9 },     { "TB", 1e12 },
    { "tb", 1e12 },   { "k", 0x1p10 }, { "K", 0x1p10 }, { "KiB", 0x1p10 }, { "kib", 0x1p10 },
    { "Ki", 0x1p10 }, { "M", 0x1p20 }, { "m", 0x1p20 }, { "MiB", 0x1p20 }, { "mib", 0x1p20 },
    { "Mi", 0x1p20 }, { "G", 0x1p30 }, { "g", 0x1p30 }, { "GiB", 0x1p30 }, { "gib", 0x1p30 },
    { "Gi", 0x1p30 }, { "T", 0x1p40 }, { "t", 0x1p40 }, { "TiB", 0x1p40 }, { "tib", 0x1p40 },
    { "Ti", 0x1p40 },
};

/* A decimal number without sign or exponent, as its value and what follows it. */
static bool parse_decimal(const char *text, double *out, const char **end)
{
    size_t n = strspn(text, "0123456789.");
    char digits[32], *rest;

    if (n == 0 || n >= sizeof(digits))
        return false;
    memcpy(digits, text, n);
    digits[n] = '\0';
    *out = strtod(digits, &rest);
    *end = text + n;
    return rest != digits && *rest == '\0' && *out <= 0x1p53;
}

enum lv_err lv_size_parse(const char *text, uint64_t *bytes)
{
    char *end;
    const char *rest;
    double v;

    if (parse_digits(text, &end, bytes) && *end == '\0')
        return LV_OK;
    if (!parse_decimal(text, &v, &rest))
        return LV_EINVAL;
    const struct unit *unit = find_unit(size_units, LV_ARRAY_LEN(size_units), rest);
    if (unit == NULL || unit->factor == 1 || v * unit->factor > 0x1p63)
        return LV_EINVAL;
    *bytes = (uint64_t)(v * unit->factor);
    return LV_OK;
}

enum lv_err lv_watermark_parse(const char *text, uint64_t total, uint64_t *bytes)
{
    const char *rest;
    double v;

    if (!parse_decimal(text, &v, &rest))
        return LV_EINVAL;
    /* "0.6" and "1" are parts, "2" is two bytes, "2.0" twice all. */
    if (*rest != '\0' || (v > 1 && strchr(text, '.') == NULL))
        return lv_size_parse(text, bytes);
    if (v > 1024)
        return LV_EINVAL;
    double all = v * (double)total;
    *bytes = all < 0x1p63 ? (uint64_t)all : UINT64_C(1) << 63;
    return LV_OK;
}

bool lv_mark_is_part(const char *text)
{
    const char *rest;
    double v;

    return parse_decimal(text, &v, &rest) && *rest == '\0' && v > 0 &&
           (v <= 1 || strchr(text, '.') != NULL);
}

static bool has_ending(struct lv_bytes b, struct lv_bytes ending)
{
    return b.len >= ending.len &&
           lv_bytes_eq(lv_bytes(b.ptr + b.len - ending.len, ending.len), ending);
}

/* The two keys of a watermark allow one of its two forms each. */
static enum lv_err parse_mark(const struct lv_setting *d, struct lv_bytes pattern, const char *text,
                              char *out)
{
    bool is_relative = has_ending(pattern, LV_BYTES_LIT(".relative"));
    bool is_absolute = has_ending(pattern, LV_BYTES_LIT(".absolute"));
    const char *rest;
    uint64_t bytes;
    double v;

    if (!parse_decimal(text, &v, &rest) || (is_relative && *rest != '\0') ||
        (is_absolute && lv_mark_is_part(text)))
        return LV_EINVAL;
    if (v == 0)
        text = "0";
    bool is_whole = is_relative && v > 0 && strchr(text, '.') == NULL;
    (void)snprintf(out, LV_CONF_VALUE_MAX, "%s%s", text, is_whole ? ".0" : "");
    bool is_too_much = d->high == 1 && v > 1 && lv_mark_is_part(out);
    return is_too_much ? LV_EINVAL : lv_watermark_parse(out, 1, &bytes);
}

static const struct unit time_units[] = {
    { "", 1 },       { "ms", 1 },     { "s", 1e3 },         { "m", 60e3 },
    { "min", 60e3 }, { "h", 3600e3 }, { "d", 24 * 3600e3 },
};

static enum lv_err parse_number(const struct lv_setting *d, const char *text, uint64_t *out)
{
    const char *rest;
    char *end;
    double v;

    bool is_open = d->type == LV_TYPE_LIMIT || d->type == LV_TYPE_MS;
    if (is_open && d->high == LV_UNLIMITED - 1 && strcmp(text, "infinity") == 0) {
        *out = LV_UNLIMITED;
        return LV_OK;
    }
    switch (d->type) {
    case LV_TYPE_BOOL:
        *out = strcmp(text, "true") == 0 || strcmp(text, "on") == 0;
        return *out != 0 || strcmp(text, "false") == 0 || strcmp(text, "off") == 0 ? LV_OK
                                                                                   : LV_EINVAL;
    case LV_TYPE_MS: {
        if (!parse_decimal(text, &v, &rest))
            return LV_EINVAL;
        const struct unit *unit = find_unit(time_units, LV_ARRAY_LEN(time_units), rest);
        if (unit == NULL || v * unit->factor > UINT32_MAX)
            return LV_EINVAL;
        *out = (uint64_t)(v * unit->factor);
        break;
    }
    case LV_TYPE_BYTES:
    case LV_TYPE_SIZE:
        if (lv_size_parse(text, out) != LV_OK)
            return LV_EINVAL;
        break;
    default:
        if (!parse_digits(text, &end, out) || *end != '\0')
            return LV_EINVAL;
    }
    return *out >= d->low && (*out <= d->high || d->high == 0) ? LV_OK : LV_EINVAL;
}

/* ---- addresses ---- */

static bool is_port(const char *text)
{
    char *end;
    uint64_t port;

    return parse_digits(text, &end, &port) && *end == '\0' && port <= UINT16_MAX;
}

/* A numeric address, or "*". Names are not looked up: a start must not wait for a name server. */
static bool is_host(struct lv_bytes host)
{
    uint8_t binary[sizeof(struct in6_addr)];
    char text[INET6_ADDRSTRLEN];

    if (host.len >= sizeof(text))
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    return strcmp(text, "*") == 0 || inet_pton(AF_INET, text, binary) == 1 ||
           inet_pton(AF_INET6, text, binary) == 1;
}

/* One address into its canonical form, at `out`; false: it is none. "5672" and "*:5672" are every address, "::1:5672"
 * is RabbitMQ's way to write "[::1]:5672"; "/PATH" is "unix:/PATH". */
static bool canonical_address(const char *text, char *out, size_t cap)
{
    const char *colon = strrchr(text, ':');
    int n;

    if (text[0] == '/' || strncmp(text, "unix:/", 6) == 0) {
        n = snprintf(out, cap, "%s%s", text[0] == '/' ? "unix:" : "", text);
        return n > 0 && (size_t)n < cap;
    }
    if (colon == NULL) {
        if (!is_port(text))
            return false;
        n = snprintf(out, cap, "*:%s", text);
        return n > 0 && (size_t)n < cap;
    }
    struct lv_bytes host = lv_bytes(text, (size_t)(colon - text));
    if (!is_port(colon + 1) || host.len == 0)
        return false;
    bool is_bracketed = host.ptr[0] == '[';
    if (is_bracketed && (host.len < 4 || host.ptr[host.len - 1] != ']'))
        return false;
    if (lv_bytes_eq(host, LV_BYTES_LIT("localhost")))
        host = LV_BYTES_LIT("127.0.0.1");
    bool is_v6 = !is_bracketed && memchr(host.ptr, ':', host.len) != NULL;
    if (!is_host(is_bracketed ? lv_bytes(host.ptr + 1, host.len - 2) : host))
        return false;
    n = snprintf(out, cap, is_v6 ? "[%.*s]%s" : "%.*s%s", LV_BYTES_FMT(host), colon);
    return n > 0 && (size_t)n < cap;
}

static enum lv_err parse_addresses(const char *text, bool is_whole, char *out)
{
    size_t used = 0;

    if (is_whole && strcmp(text, "none") == 0) {
        memcpy(out, "none", sizeof("none"));
        return LV_OK;
    }
    for (;;) {
        char one[128];
        size_t len = is_whole ? strcspn(text, ",") : strlen(text);
        if (len == 0 || len >= sizeof(one))
            return LV_EINVAL;
        memcpy(one, text, len);
        one[len] = '\0';
        if (used != 0)
            out[used++] = ',';
        if (!canonical_address(one, out + used, LV_CONF_VALUE_MAX - used))
            return LV_EINVAL;
        used += strlen(out + used);
        if (text[len] == '\0')
            return LV_OK;
        text += len + 1;
    }
}

/* ---- texts ---- */

/* Whether `text` is one of the words of `value`, "a|b|c". */
static bool is_word_of(const char *value, struct lv_bytes text)
{
    for (const char *at = value;;) {
        size_t len = strcspn(at, "|");
        if (lv_bytes_eq(lv_bytes(at, len), text))
            return true;
        if (at[len] == '\0')
            return false;
        at += len + 1;
    }
}

static bool has_words(const struct lv_setting *d)
{
    return strchr(d->value, '|') != NULL;
}

void lv_value_expect(const struct lv_setting *d, char *out, size_t cap)
{
    char words[LV_WHY_MAX];
    size_t used = 0;

    switch (d->type) {
    case LV_TYPE_BOOL:
        (void)snprintf(out, cap, "true or false");
        return;
    case LV_TYPE_MARK:
        (void)snprintf(out, cap, "a part of the memory like 0.6%s, or a size like 512MiB",
                       d->high == 1 ? ", at most 1" : "");
        return;
    case LV_TYPE_LISTEN:
        (void)snprintf(out, cap, "a port, ADDRESS:PORT or unix:/PATH");
        return;
    case LV_TYPE_ENUM:
    case LV_TYPE_MAP:
    case LV_TYPE_SMAP:
        if (!has_words(d))
            break;
        for (const char *at = d->value; *at != '\0' && used + 8 < sizeof(words);) {
            size_t len = LV_MIN(strcspn(at, "|"), sizeof(words) - used - 8);
            const char *between = used == 0 ? "" : strchr(at, '|') != NULL ? ", " : " or ";
            used += (size_t)snprintf(words + used, sizeof(words) - used, "%s%.*s", between,
                                     (int)len, at);
            at += strcspn(at, "|");
            at += *at == '|';
        }
        (void)snprintf(out, cap, "%s", words);
        return;
    default:
        break;
    }
    const char *kind = d->type == LV_TYPE_MS      ? "milliseconds, or a time like 10s"
                       : d->type >= LV_TYPE_BYTES ? "bytes, or a size like 16MiB"
                       : lv_setting_is_text(d)    ? "a text"
                                                  : "a number";
    bool is_open =
        (d->type == LV_TYPE_LIMIT || d->type == LV_TYPE_MS) && d->high == LV_UNLIMITED - 1;
    if (lv_setting_is_text(d) || d->high == 0)
        (void)snprintf(out, cap, "%s", kind);
    else if (is_open)
        (void)snprintf(out, cap, "%s, from %llu, or infinity", kind, (unsigned long long)d->low);
    else
        (void)snprintf(out, cap, "%s, from %llu to %llu", kind, (unsigned long long)d->low,
                       (unsigned long long)d->high);
}

static enum lv_err parse_text(const struct lv_setting *d, struct lv_bytes pattern, bool is_whole,
                              const char *text, char *out)
{
    switch (d->type) {
    case LV_TYPE_MARK:
        return parse_mark(d, pattern, text, out);
    case LV_TYPE_LISTEN:
        return parse_addresses(text, is_whole, out);
    case LV_TYPE_ENUM:
    case LV_TYPE_MAP:
    case LV_TYPE_SMAP:
        if (has_words(d) && !is_word_of(d->value, lv_bytes_str(text)))
            return LV_EINVAL;
        break;
    default:
        break;
    }
    /* Lines are what divides the items of a MAP. */
    if (strchr(text, '\n') != NULL)
        return LV_EINVAL;
    memcpy(out, text, strlen(text) + 1);
    return LV_OK;
}

enum lv_err lv_value_parse(const struct lv_setting *d, struct lv_bytes pattern, bool is_whole,
                           const char *text, struct lv_value *out, char why[LV_WHY_MAX])
{
    char expected[LV_WHY_MAX - 100];
    enum lv_err err = LV_EINVAL;

    out->text[0] = '\0';
    out->number = 0;
    if (strlen(text) < LV_CONF_VALUE_MAX - 16)
        err = lv_setting_is_text(d) ? parse_text(d, pattern, is_whole, text, out->text)
                                    : parse_number(d, text, &out->number);
    if (err == LV_OK)
        return LV_OK;
    lv_value_expect(d, expected, sizeof(expected));
    if (lv_setting_is_secret(d))
        (void)snprintf(why, LV_WHY_MAX, "expected %s", expected);
    else
        (void)snprintf(why, LV_WHY_MAX, "expected %s, not '%.64s'", expected, text);
    return LV_EINVAL;
}

/* ---- values that hold several ---- */

bool lv_items_next(const char **at, struct lv_bytes *name, struct lv_bytes *value)
{
    const char *line = *at, *end = strchrnul(line, '\n'),
               *equals = memchr(line, '=', (size_t)(end - line));

    if (*line == '\0' || equals == NULL)
        return false;
    *name = lv_bytes(line, (size_t)(equals - line));
    *value = lv_bytes(equals + 1, (size_t)(end - equals - 1));
    *at = *end == '\n' ? end + 1 : end;
    return true;
}

bool lv_items_get(const char *items, const char *name, struct lv_bytes *value)
{
    struct lv_bytes found;

    while (lv_items_next(&items, &found, value))
        if (lv_bytes_eq(found, lv_bytes_str(name)))
            return true;
    return false;
}

bool lv_listen_next(const char **at, char *out, size_t cap)
{
    size_t len = strcspn(*at, ",");

    if (len == 0 || strcmp(*at, "none") == 0)
        return false;
    (void)snprintf(out, cap, "%.*s", (int)len, *at);
    *at += len + ((*at)[len] == ',');
    return true;
}
