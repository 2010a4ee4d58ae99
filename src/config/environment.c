/* The environment: RabbitMQ's variables (env.def), then LEVERET_<OPTION>. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "config/load_priv.h"
#include "os/log.h"
#include "os/os.h"

enum kind { SET, READ, OWN, FOREIGN, QUIET };

static const struct variable {
    const char *name;
    enum kind kind;
    const char *what; /* SET, READ: the key. FOREIGN: why */
} variables[] = {
#define LV_ENV(n, k, w) { .name = (n), .kind = (k), .what = (w) },
#include "config/env.def"
#undef LV_ENV
};

/* ---- variables that are more than a value ---- */

static struct lv_where from(const char *name)
{
    return (struct lv_where){ .layer = LV_FROM_ENVIRONMENT, .name = name };
}

static const char *value_of(const struct lv_config *c, const char *name)
{
    const char *value = lv_config_variable(c, name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

static void read_listener(struct lv_config *c)
{
    const char *port = value_of(c, "RABBITMQ_NODE_PORT");
    const char *ip = value_of(c, "RABBITMQ_NODE_IP_ADDRESS");
    struct lv_where where = from(port != NULL ? "RABBITMQ_NODE_PORT" : "RABBITMQ_NODE_IP_ADDRESS");
    char address[128];

    if (port == NULL && ip == NULL)
        return;
    (void)snprintf(address, sizeof(address), "%.60s:%.20s", ip != NULL ? ip : "*",
                   port != NULL ? port : "5672");
    lv_config_assign_key(c, &where, "listeners.tcp", address);
}

static void read_data_dir(struct lv_config *c)
{
    const char *base = value_of(c, "RABBITMQ_MNESIA_BASE");
    struct lv_where where = from("RABBITMQ_MNESIA_BASE");
    char path[4096];

    if (base == NULL || value_of(c, "RABBITMQ_MNESIA_DIR") != NULL)
        return;
    (void)snprintf(path, sizeof(path), "%.4000s/leveret", base);
    lv_config_assign_key(c, &where, "data_dir", path);
}

static void read_log_output(struct lv_config *c)
{
    const char *to = value_of(c, "RABBITMQ_LOGS");
    struct lv_where where = from("RABBITMQ_LOGS");

    if (to == NULL)
        return;
    bool is_console = strcmp(to, "-") == 0 || strcmp(to, "-stderr") == 0;
    lv_config_assign_key(c, &where, "log.file", is_console ? "false" : to);
    if (!is_console)
        return;
    lv_config_assign_key(c, &where, "log.console", "true");
    lv_config_assign_key(c, &where, "log.console.stdio", to[1] == '\0' ? "stdout" : "stderr");
}

/* RABBITMQ_LOG: a level, CATEGORY=LEVEL, and +color or -color, commas between. */
static void read_log_levels(struct lv_config *c)
{
    const char *at = value_of(c, "RABBITMQ_LOG");
    struct lv_where where = from("RABBITMQ_LOG");

    while (at != NULL && *at != '\0') {
        char word[128], key[160];
        size_t len = strcspn(at, ",");
        (void)snprintf(word, sizeof(word), "%.*s", (int)LV_MIN(len, sizeof(word) - 1), at);
        char *equals = strchr(word, '=');
        if (equals != NULL) {
            struct lv_key_match match;
            *equals = '\0';
            (void)snprintf(key, sizeof(key), "log.%s.level", word);
            if (lv_key_find(lv_bytes_str(key), &match))
                lv_config_assign(c, &where, &match, equals + 1);
            else
                lv_config_say(c, true, &where, "'%s' is not a category", word);
        } else if (word[0] != '+' && word[0] != '-' && word[0] != '\0') {
            lv_config_assign_key(c, &where, "log.default.level", word);
        }
        at += len + (at[len] == ',');
    }
}

/* ---- plain variables ---- */

/* The first line of a file, as secrets are handed to containers. */
static void read_from_file(struct lv_config *c, const struct lv_where *where, const char *key,
                           const char *path)
{
    char *text;
    size_t bytes;

    if (lv_os_read_file(path, LV_CONF_VALUE_MAX, LV_TAG_CONFIG, &text, &bytes) != LV_OK) {
        lv_config_say(c, true, where, "cannot read %s", path);
        return;
    }
    text[strcspn(text, "\r\n")] = '\0';
    lv_config_assign_key(c, where, key, text);
    lv_mem_free(text, LV_TAG_CONFIG);
}

static void read_variable(struct lv_config *c, const struct variable *v)
{
    const char *value = value_of(c, v->name);
    struct lv_where where = from(v->name);

    if (value == NULL)
        return;
    if (v->kind == SET)
        lv_config_assign_key(c, &where, v->what, value);
    else if (v->kind == READ)
        read_from_file(c, &where, v->what, value);
    else if (v->kind == FOREIGN)
        lv_config_say(c, false, &where, "not used: %s", v->what);
}

static bool is_known(const char *name, size_t len)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(variables); i++)
        if (strlen(variables[i].name) == len && memcmp(variables[i].name, name, len) == 0)
            return true;
    return false;
}

/* LEVERET_HARTBEAT: no option is called so. Not an error, as other programs may have variables of that kind. */
static void tell_unknown_option(struct lv_config *c, const char *name, size_t len)
{
    char option[128], near[LV_CONF_KEY_MAX + 1];
    struct lv_key_match match;

    (void)snprintf(option, sizeof(option), "%.*s", (int)LV_MIN(len, sizeof(option) - 1), name);
    for (char *at = option; *at != '\0'; at++)
        *at = (char)(*at == '_' ? '-' : *at >= 'A' && *at <= 'Z' ? *at - 'A' + 'a' : *at);
    if (strcmp(option, "config-file") == 0 || lv_key_find_option(lv_bytes_str(option), &match))
        return;
    bool is_near = lv_key_suggest(lv_bytes_str(option), true, near, sizeof(near));
    lv_config_say(c, false, NULL, "environment variable LEVERET_%.*s is not used%s%s%s",
                  (int)LV_MIN(len, 100), name, is_near ? " (did you mean that of --" : "",
                  is_near ? near : "", is_near ? "?)" : "");
}

/* Variables that mean nothing here: one notice each. */
static void tell_unknown(struct lv_config *c)
{
    for (char *const *at = c->envp; at != NULL && *at != NULL; at++) {
        size_t len = strcspn(*at, "=");
        if (strncmp(*at, "RABBITMQ_", 9) == 0 && !is_known(*at, len))
            lv_config_say(c, false, NULL, "environment variable %.*s is not used",
                          (int)LV_MIN(len, 100), *at);
        else if (strncmp(*at, "LEVERET_", 8) == 0)
            tell_unknown_option(c, *at + 8, len - 8);
    }
}

void lv_config_read_environment(struct lv_config *c)
{
    char name[64];

    if (c->envp == NULL)
        return;
    read_listener(c);
    read_data_dir(c);
    read_log_output(c);
    read_log_levels(c);
    for (size_t i = 0; i < LV_ARRAY_LEN(variables); i++)
        read_variable(c, &variables[i]);
    tell_unknown(c);
    for (size_t i = 0; i < LV_SETTING_COUNT; i++) {
        struct lv_key_match match = { .setting = &lv_setting_table[i] };
        const char *value;
        if (i == LV_SETTING_config_file || !lv_setting_variable(match.setting, name, sizeof(name)) ||
            (value = value_of(c, name)) == NULL)
            continue;
        struct lv_where where = from(lv_config_keep(c, name));
        lv_config_assign(c, &where, &match, value);
    }
}
