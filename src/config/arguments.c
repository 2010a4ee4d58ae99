/* The command line: "--option value", "--option=value", "--rabbitmq.key value". */
#include <string.h>

#include "config/load_priv.h"

static void unknown_option(struct lv_config *c, const char *arg, struct lv_bytes name)
{
    char near[LV_CONF_KEY_MAX + 1];

    if (lv_key_foreign(name) != NULL) {
        lv_config_say(c, false, NULL, "option '--%.*s' is not used: %s", LV_BYTES_FMT(name),
                      lv_key_foreign(name));
        return;
    }
    if (lv_key_suggest(name, true, near, sizeof(near)))
        lv_config_say(c, true, NULL, "unknown option '%.200s' (did you mean '--%s'?)", arg, near);
    else
        lv_config_say(c, true, NULL, "unknown option '%.200s'", arg);
    c->notes[c->note_count - 1].is_usage = true;
}

void lv_config_read_arguments(struct lv_config *c, int argc, char *const *argv)
{
    for (int i = 1; i < argc && !c->no_memory; i++) {
        struct lv_key_match match;
        const char *arg = argv[i];
        if (strncmp(arg, "--", 2) != 0) {
            lv_config_say(c, true, NULL, "unexpected argument '%.200s'", arg);
            c->notes[c->note_count - 1].is_usage = true;
            return;
        }
        const char *equals = strchr(arg, '=');
        struct lv_bytes name =
            lv_bytes(arg + 2, equals != NULL ? (size_t)(equals - arg) - 2 : strlen(arg) - 2);
        const char *value = equals != NULL ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
        if (!lv_key_find_option(name, &match)) {
            unknown_option(c, arg, name);
            continue;
        }
        char option[LV_CONF_KEY_MAX + 1];
        size_t len = LV_MIN(name.len, sizeof(option) - 1);
        memcpy(option, name.ptr, len);
        option[len] = '\0';
        struct lv_where where = { .layer = LV_FROM_COMMAND_LINE, .name = lv_config_keep(c, option) };
        if (value == NULL)
            lv_config_say(c, true, &where, "needs a value (%s)", match.setting->value);
        else
            lv_config_assign(c, &where, &match, value);
    }
}
