#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"

enum type { STR, U32 };

static const struct setting {
    enum type type;
    size_t offset;
    const char *key, *value, *help;
    const char *text; /* default of a STR */
    uint32_t number;  /* default of a U32 */
} settings[] = {
#define LV_D_STR(def) .text = (def)
#define LV_D_U32(def) .number = (def)
#define LV_SETTING(t, field, k, def, v, h)           \
    { .type = t,                                     \
      .offset = offsetof(struct lv_settings, field), \
      .key = k,                                      \
      .value = v,                                    \
      .help = h,                                     \
      LV_D_##t(def) },
#include "config/settings.def"
#undef LV_SETTING
};

static void put(struct lv_settings *s, const struct setting *d, const char *text, uint32_t number)
{
    char *at = (char *)s + d->offset;

    if (d->type == STR)
        *(const char **)(void *)at = text;
    else
        *(uint32_t *)(void *)at = number;
}

void lv_settings_init(struct lv_settings *s)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(settings); i++)
        put(s, &settings[i], settings[i].text, settings[i].number);
}

static const struct setting *find(const char *key, size_t len)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(settings); i++)
        if (strlen(settings[i].key) == len && memcmp(settings[i].key, key, len) == 0)
            return &settings[i];
    return NULL;
}

static enum lv_err parse_number(const char *text, uint32_t *out)
{
    char *end;

    errno = 0;
    unsigned long v = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || v > UINT32_MAX)
        return LV_EINVAL;
    *out = (uint32_t)v;
    return LV_OK;
}

enum lv_err lv_watermark_parse(const char *text, uint64_t total, uint64_t *bytes)
{
    static const struct {
        const char *suffix;
        double factor;
    } units[] = { { "", 1 },       { "kB", 1e3 },      { "MB", 1e6 },    { "GB", 1e9 },
                  { "KiB", 1024 }, { "MiB", 1048576 }, { "GiB", 0x1p30 } };
    char *end;
    double v = strtod(text, &end);

    if (end == text || !(v >= 0) || v > 0x1p53)
        return LV_EINVAL;
    if (*end == '\0' && v <= 1) {
        *bytes = (uint64_t)(v * (double)total);
        return LV_OK;
    }
    for (size_t i = 0; i < LV_ARRAY_LEN(units); i++) {
        if (strcmp(end, units[i].suffix) != 0)
            continue;
        *bytes = (uint64_t)(v * units[i].factor);
        return LV_OK;
    }
    return LV_EINVAL;
}

/* Bounds that a value must keep beyond being a number. */
static const char *out_of_bounds(const struct lv_settings *s)
{
    if (s->loops > LV_LOOPS_MAX)
        return "loops: at most 64";
    if (s->channel_max > UINT16_MAX)
        return "channel-max: at most 65535";
    if (s->frame_max < LV_FRAME_MIN)
        return "frame-max: at least 4096";
    if (s->heartbeat > UINT16_MAX)
        return "heartbeat: at most 65535";
    uint64_t bytes;
    if (lv_watermark_parse(s->memory_high_watermark, 0, &bytes) != LV_OK)
        return "memory-high-watermark: a part from 0 to 1, or a size";
    if (s->max_message_size == 0 || s->max_message_size > LV_BODY_BYTES_HARD_MAX)
        return "max-message-size: from 1 to 536870912";
    return NULL;
}

enum lv_err lv_settings_parse(struct lv_settings *s, int argc, char **argv, char *error, size_t cap)
{
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (strncmp(arg, "--", 2) != 0) {
            snprintf(error, cap, "unexpected argument '%s'", arg);
            return LV_EINVAL;
        }
        const char *equals = strchr(arg, '=');
        size_t len = equals != NULL ? (size_t)(equals - arg) - 2 : strlen(arg) - 2;
        const struct setting *d = find(arg + 2, len);
        const char *value = equals != NULL ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
        uint32_t number = 0;
        if (d == NULL) {
            snprintf(error, cap, "unknown option '%s'", arg);
            return LV_EINVAL;
        }
        if (value == NULL) {
            snprintf(error, cap, "option '--%s' needs a value (%s)", d->key, d->value);
            return LV_EINVAL;
        }
        if (d->type == U32 && parse_number(value, &number) != LV_OK) {
            snprintf(error, cap, "option '--%s': '%s' is not a number", d->key, value);
            return LV_EINVAL;
        }
        put(s, d, value, number);
    }
    const char *bad = out_of_bounds(s);
    if (bad != NULL) {
        snprintf(error, cap, "option '--%s", bad);
        return LV_EINVAL;
    }
    return LV_OK;
}

size_t lv_settings_help(char *out, size_t cap)
{
    size_t used = 0;

    for (size_t i = 0; i < LV_ARRAY_LEN(settings); i++) {
        const struct setting *d = &settings[i];
        char head[64], def[32];
        snprintf(head, sizeof(head), "--%s %s", d->key, d->value);
        snprintf(def, sizeof(def), "%u", d->number);
        int n =
            snprintf(used < cap ? out + used : NULL, used < cap ? cap - used : 0,
                     "  %-32s %s (default: %s)\n", head, d->help, d->type == STR ? d->text : def);
        used += n > 0 ? (size_t)n : 0;
    }
    return used;
}
