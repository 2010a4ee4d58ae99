/* config/config.h - the settings of a broker: one table (settings.def), parsed from the command line.
 *
 * Owner   read-only once the loops run; any thread.
 */
#ifndef LV_CONFIG_CONFIG_H
#define LV_CONFIG_CONFIG_H
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct lv_settings {
#define LV_C_STR const char *
#define LV_C_U32 uint32_t
#define LV_SETTING(type, field, key, def, value, help) LV_C_##type field;
#include "config/settings.def"
#undef LV_SETTING
#undef LV_C_STR
#undef LV_C_U32
};

/* All defaults. */
void lv_settings_init(struct lv_settings *s);
/* Takes "--key value" and "--key=value" of argv[1..); strings are borrowed from argv. LV_EINVAL: `error` (of `cap`
 * bytes) says which argument and why. */
enum lv_err lv_settings_parse(struct lv_settings *s, int argc, char **argv, char *error,
                              size_t cap) LV_MUST_USE;
/* A watermark: a part ("0.6") of `total` bytes, or a size ("512MiB", "2GB", "1000000"). LV_EINVAL: neither. */
enum lv_err lv_watermark_parse(const char *text, uint64_t total, uint64_t *bytes) LV_MUST_USE;
/* The table as text for --help: one line a setting, into `out`; returns the bytes it wanted. */
size_t lv_settings_help(char *out, size_t cap);

#endif
