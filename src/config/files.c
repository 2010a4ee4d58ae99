/* The files of a configuration: which ones, and their lines. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/load_priv.h"
#include "os/os.h"

/* ---- lines ---- */

/* The value with every $(NAME) replaced by the variable's value; false: something was wrong and is said. */
static bool expand(struct lv_config *c, struct lv_where *where, struct lv_bytes value,
                   char out[LV_CONF_VALUE_MAX + 1])
{
    size_t used = 0;
    unsigned column = where->column;

    for (size_t i = 0; i < value.len;) {
        const uint8_t *at = value.ptr + i;
        const char *put = (const char *)at;
        size_t len = 1, step = 1;
        if (at[0] == '$' && i + 1 < value.len && at[1] == '(') {
            char name[128];
            const uint8_t *end = memchr(at, ')', value.len - i);
            where->column = column + (unsigned)i;
            if (end == NULL || (size_t)(end - at) - 2 >= sizeof(name)) {
                lv_config_say(c, true, where, "'$(' begins a variable that does not end");
                return false;
            }
            step = (size_t)(end - at) + 1;
            memcpy(name, at + 2, step - 3);
            name[step - 3] = '\0';
            put = lv_config_variable(c, name);
            if (put == NULL) {
                lv_config_say(c, true, where, "environment variable '%s' is not set", name);
                return false;
            }
            len = strlen(put);
            where->column = column;
        }
        if (len > LV_CONF_VALUE_MAX - used) {
            lv_config_say(c, true, where, "a value this long");
            return false;
        }
        memcpy(out + used, put, len);
        used += len;
        i += step;
    }
    out[used] = '\0';
    return true;
}

static void unknown_key(struct lv_config *c, const struct lv_where *where, struct lv_bytes key)
{
    char near[LV_CONF_KEY_MAX + 1];
    const char *why = lv_key_foreign(key);
    bool is_full = c->note_count == LV_CONFIG_NOTES_MAX; /* then nobody would hear of the nearest */

    if (why != NULL)
        lv_config_say(c, false, where, "%.*s is not used: %s", LV_BYTES_FMT(key), why);
    else if (!is_full && lv_key_suggest(key, false, near, sizeof(near)))
        lv_config_say(c, true, where, "unknown key '%.*s' (did you mean '%s'?)", LV_BYTES_FMT(key),
                      near);
    else
        lv_config_say(c, true, where, "unknown key '%.*s'", LV_BYTES_FMT(key));
}

static void read_item(struct lv_config *c, const char *name, const struct lv_conf_item *item)
{
    static const struct lv_bytes encrypted = LV_BYTES_LIT("encrypted:");
    struct lv_where where = { LV_FROM_FILE, name, item->line, item->key_column };
    struct lv_key_match match;
    char value[LV_CONF_VALUE_MAX + 1];

    if (!lv_key_find(item->key, &match)) {
        unknown_key(c, &where, item->key);
        return;
    }
    if (item->note != NULL) {
        where.column = item->note_column;
        lv_config_say(c, false, &where, "%s", item->note);
    }
    where.column = item->value_column;
    if (lv_bytes_has_prefix(item->value, encrypted)) {
        lv_config_say(c, true, &where,
                      "encrypted values are not read; take it from the environment: $(VARIABLE)");
        return;
    }
    if (expand(c, &where, item->value, value))
        lv_config_assign(c, &where, &match, value);
}

void lv_config_read_text(struct lv_config *c, const char *name, struct lv_bytes text)
{
    struct lv_conf_fault fault;
    struct lv_conf_item item;
    enum lv_conf_step step;
    struct lv_conf conf;

    name = lv_config_keep(c, name);
    lv_conf_init(&conf, text);
    while ((step = lv_conf_next(&conf, &item, &fault)) != LV_CONF_END) {
        struct lv_where where = { LV_FROM_FILE, name, fault.line, fault.column };
        if (step == LV_CONF_ITEM)
            read_item(c, name, &item);
        else
            lv_config_say(c, true, &where, "%s", fault.why);
        if (c->no_memory)
            return;
    }
}

/* ---- files ---- */

void lv_config_read_one(struct lv_config *c, const char *path)
{
    char *text;
    size_t bytes;

    if (c->file_count == LV_CONFIG_FILES_MAX) {
        lv_config_say(c, true, NULL, "%s: more than %u files", path, LV_CONFIG_FILES_MAX);
        return;
    }
    switch (lv_os_read_file(path, LV_CONFIG_FILE_BYTES_MAX, LV_TAG_CONFIG, &text, &bytes)) {
    case LV_OK:
        break;
    case LV_ENOMEM:
        c->no_memory = true;
        return;
    case LV_EFULL:
        lv_config_say(c, true, NULL, "%s: longer than %u bytes", path, LV_CONFIG_FILE_BYTES_MAX);
        return;
    default:
        lv_config_say(c, true, NULL, "cannot read %s: %s", path, strerrordesc_np(errno));
        return;
    }
    c->files[c->file_count++] = lv_config_keep(c, path);
    lv_config_read_text(c, path, lv_bytes(text, bytes));
    lv_mem_free(text, LV_TAG_CONFIG);
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* `name` beside the file, or in its folder's folder; false: too long. */
static bool beside(const char *file, const char *name, char *out, size_t cap)
{
    const char *slash = strrchr(file, '/');
    int folder = slash != NULL ? (int)(slash - file) + 1 : 0;
    int n = snprintf(out, cap, "%.*s%s", folder, file, name);

    return n > 0 && (size_t)n < cap;
}

static void read_found(void *ctx, const char *path)
{
    lv_config_read_one(ctx, path);
}

static void read_pattern(struct lv_config *c, const char *pattern)
{
    enum lv_err err = lv_os_glob(pattern, read_found, c);

    c->no_memory = c->no_memory || err == LV_ENOMEM;
    if (err == LV_EIO)
        lv_config_say(c, true, NULL, "cannot read the folder of %s: %s", pattern,
                      strerrordesc_np(errno));
}

/* RABBITMQ_CONFIG_FILES: a folder, or a pattern. Else conf.d beside the file. */
static void read_more(struct lv_config *c, const char *file)
{
    const char *given = lv_config_variable(c, "RABBITMQ_CONFIG_FILES");
    char pattern[4096];
    int n;

    if (given == NULL || given[0] == '\0') {
        if (file != NULL && beside(file, "conf.d/*.conf", pattern, sizeof(pattern)))
            read_pattern(c, pattern);
        return;
    }
    n = snprintf(pattern, sizeof(pattern), "%s/.", given);
    bool is_folder = n > 0 && (size_t)n < sizeof(pattern) && is_there(pattern);
    n = snprintf(pattern, sizeof(pattern), is_folder ? "%s/*.conf" : "%s", given);
    if (n > 0 && (size_t)n < sizeof(pattern))
        read_pattern(c, pattern);
}

/* The file that a variable names; RabbitMQ lets the ".conf" be left out. */
static const char *named_file(struct lv_config *c, char *buf, size_t cap)
{
    const char *name = lv_config_variable(c, "LEVERET_CONFIG_FILE");

    if (name != NULL && name[0] != '\0')
        return name;
    name = lv_config_variable(c, "RABBITMQ_CONFIG_FILE");
    if (name == NULL || name[0] == '\0')
        return NULL;
    int n = snprintf(buf, cap, "%s.conf", name);
    return !is_there(name) && n > 0 && (size_t)n < cap && is_there(buf) ? buf : name;
}

/* The first of `etc` that is there, or has a conf.d beside it. */
static const char *found_file(const char *const *etc)
{
    char folder[4096];

    for (; etc != NULL && *etc != NULL; etc++)
        if (is_there(*etc) || (beside(*etc, "conf.d", folder, sizeof(folder)) && is_there(folder)))
            return *etc;
    return NULL;
}

/* What RabbitMQ would read too and this broker cannot. */
static void tell_unread(struct lv_config *c, const char *file)
{
    static const struct {
        const char *variable, *name, *what;
    } unread[] = {
        { "RABBITMQ_ADVANCED_CONFIG_FILE", "advanced.config",
          "holds Erlang terms; set what it sets in the configuration file" },
        { "RABBITMQ_CONF_ENV_FILE", "rabbitmq-env.conf",
          "is a shell script; set the variables in the environment, with RABBITMQ_ before them" },
    };

    for (size_t i = 0; i < LV_ARRAY_LEN(unread); i++) {
        char path[4096];
        const char *given = lv_config_variable(c, unread[i].variable);
        if (given == NULL && file != NULL && beside(file, unread[i].name, path, sizeof(path)))
            given = path;
        if (given != NULL && given[0] != '\0' && is_there(given))
            lv_config_say(c, false, NULL, "%s is not read: it %s", given, unread[i].what);
    }
}

void lv_config_read_files(struct lv_config *c, const char *file, const char *const *etc)
{
    char buf[4096];
    bool is_named = true;

    if (file == NULL)
        file = named_file(c, buf, sizeof(buf));
    if (file == NULL) {
        is_named = false;
        file = found_file(etc);
    }
    if (file != NULL && strcmp(file, "none") == 0)
        return;
    if (file != NULL && (is_named || is_there(file)))
        lv_config_read_one(c, file);
    read_more(c, file);
    tell_unread(c, file);
}
