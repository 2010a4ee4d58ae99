/* What changed since the configuration was loaded: LIVE settings take their new value, others wait for a restart. */
#include <string.h>

#include "base/mem.h"
#include "config/load_priv.h"

static const char *shown(const struct lv_setting *d, const char *text)
{
    return lv_setting_is_secret(d) && text[0] != '\0' ? "(secret)" : text;
}

/* Texts of `fresh` die with it; `running` gets its own. */
static bool take(struct lv_config *running, const struct lv_config *fresh, size_t i)
{
    const struct lv_setting *d = &lv_setting_table[i];
    struct lv_where origin = fresh->origins[i];
    char number[24];

    const char *text = lv_config_keep(running, lv_value_text(d, &fresh->settings, number));
    if (origin.name != NULL)
        origin.name = lv_config_keep(running, origin.name);
    if (running->no_memory)
        return false;
    running->origins[i] = origin;
    lv_value_put(d, &running->settings, text,
                 lv_setting_is_text(d) ? 0 : lv_value_number(d, &fresh->settings));
    return true;
}

enum lv_err lv_config_reload(struct lv_config *running, const struct lv_config_sources *from,
                             struct lv_config **fresh,
                             void (*each)(void *ctx, const struct lv_config_change *change),
                             void *ctx)
{
    enum lv_err err = lv_config_load(from, fresh);

    if (err != LV_OK)
        return err;
    running->no_memory = false;
    for (size_t i = 0; i < LV_SETTING_COUNT; i++) {
        const struct lv_setting *d = &lv_setting_table[i];
        char key[LV_CONF_KEY_MAX + 3], old_number[24], new_number[24];
        const char *old = lv_value_text(d, &running->settings, old_number);
        const char *new = lv_value_text(d, &(*fresh)->settings, new_number);
        if (strcmp(old, new) == 0)
            continue;
        if (d->is_live && !take(running, *fresh, i))
            return LV_ENOMEM;
        lv_setting_name(d, key, sizeof(key));
        struct lv_config_change change = { key, shown(d, old), shown(d, new), d->is_live };
        each(ctx, &change);
    }
    return LV_OK;
}
