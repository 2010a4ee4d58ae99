/* config/value_priv.h - the types of settings: from text to value and back. */
#ifndef LV_CONFIG_VALUE_PRIV_H
#define LV_CONFIG_VALUE_PRIV_H
#include "config/keys_priv.h"

#define LV_WHY_MAX 512u

struct lv_value {
    char text[LV_CONF_VALUE_MAX + 1]; /* canonical, of a text; "key = $(X)" may have made it this long */
    uint64_t number;
};

/* Reads `text` as one value of the setting: for a MAP that of one item, for a LISTEN one address, unless `is_whole`
 * says that it is all of them with commas between. `pattern` is the key used. LV_EINVAL: `why` says what was expected. */
enum lv_err lv_value_parse(const struct lv_setting *d, struct lv_bytes pattern, bool is_whole,
                           const char *text, struct lv_value *out, char why[LV_WHY_MAX]) LV_MUST_USE;
/* "512MiB", "2GB", "100". LV_EINVAL. */
enum lv_err lv_size_parse(const char *text, uint64_t *bytes) LV_MUST_USE;
/* Whether a watermark is a part of the memory and not a size. */
bool lv_mark_is_part(const char *text);
/* What a value of the setting may be, in words. */
void lv_value_expect(const struct lv_setting *d, char *out, size_t cap);

/* The value in `s` as text, a number as such; secrets are not hidden. `buf` is for numbers. */
const char *lv_value_text(const struct lv_setting *d, const struct lv_settings *s, char buf[24]);
uint64_t lv_value_number(const struct lv_setting *d, const struct lv_settings *s);
/* Stores a canonical value, atomically if the setting is LIVE. `text` is kept. */
void lv_value_put(const struct lv_setting *d, struct lv_settings *s, const char *text,
                  uint64_t number);

#endif
