/* The table in words: --help, `leveret config explain` and `leveret config list`. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/load_priv.h"

/* Writes what fits and counts what was wanted. */
struct writer {
    char *out;
    size_t cap, used;
};

static __attribute__((format(printf, 2, 3))) void say(struct writer *w, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(w->used < w->cap ? w->out + w->used : NULL,
                      w->used < w->cap ? w->cap - w->used : 0, format, args);
    va_end(args);
    w->used += n > 0 ? (size_t)n : 0;
}

/* A default in one line. */
static void say_default(struct writer *w, const struct lv_setting *d)
{
    struct lv_settings s;
    char number[24];

    lv_settings_init(&s);
    if (lv_value_text(d, &s, number)[0] == '\0')
        say(w, "none");
    for (const char *at = lv_value_text(d, &s, number); *at != '\0'; at++)
        say(w, *at == '\n' ? ", " : "%c", *at);
}

size_t lv_settings_help(char *out, size_t cap)
{
    struct writer w = { out, cap, 0 };

    for (size_t i = 0; i < LV_SETTING_COUNT; i++) {
        const struct lv_setting *d = &lv_setting_table[i];
        char head[96];
        if (d->option[0] == '\0')
            continue;
        (void)snprintf(head, sizeof(head), "--%s %s", d->option,
                       strlen(d->value) > 32 ? "WORD" : d->value);
        say(&w, "  %-32s %s (default: ", head, d->help);
        say_default(&w, d);
        say(&w, d->has_effect ? ")\n" : "; no effect yet)\n");
    }
    return w.used;
}

static void say_origin(struct writer *w, const struct lv_where *where)
{
    switch (where->layer) {
    case LV_FROM_DEFAULT:
        say(w, "default");
        break;
    case LV_FROM_FILE:
        say(w, "%s:%u", where->name, where->line);
        break;
    case LV_FROM_ENVIRONMENT:
        say(w, "environment variable %s", where->name);
        break;
    case LV_FROM_COMMAND_LINE:
        say(w, "option --%s", where->name);
        break;
    case LV_FROM_OPERATOR:
        say(w, "set while it runs");
    }
}

/* ---- explain ---- */

static size_t explain(const struct lv_config *c, const struct lv_setting *d, struct writer *w)
{
    char name[LV_CONF_KEY_MAX + 3], variable[64], expected[LV_WHY_MAX], number[24];
    struct lv_bytes key;

    lv_setting_name(d, name, sizeof(name));
    say(w, "%s\n  %s\n\n", name, d->help);
    lv_value_expect(d, expected, sizeof(expected));
    say(w, "  value          %s: %s\n  default        ", strlen(d->value) > 32 ? "WORD" : d->value,
        expected);
    say_default(w, d);
    say(w, "\n");
    for (size_t i = 0; (key = lv_setting_key(d, i)).len != 0; i++)
        say(w, "  %s       %.*s\n", i == 0 ? "in files" : "      or", LV_BYTES_FMT(key));
    if (lv_setting_variable(d, variable, sizeof(variable)))
        say(w, "  command line   --%s\n  environment    %s\n", d->option, variable);
    say(w, "  a change       %s\n",
        d->is_live ? "is taken up by a reload (SIGHUP)" : "needs a restart");
    if (!d->has_effect)
        say(w, "  effect         none yet: it is checked and kept\n");
    if (c == NULL)
        return w->used;
    const char *value = lv_value_text(d, &c->settings, number);
    say(w, "  now            ");
    if (lv_setting_is_secret(d) && value[0] != '\0')
        say(w, "(secret)");
    else
        for (; *value != '\0'; value++)
            say(w, *value == '\n' ? ", " : "%c", *value);
    say(w, "  (");
    say_origin(w, &c->origins[d - lv_setting_table]);
    say(w, ")\n");
    return w->used;
}

size_t lv_config_explain(const struct lv_config *c, const char *key, char *out, size_t cap)
{
    struct writer w = { out, cap, 0 };
    struct lv_bytes name = lv_bytes_str(strncmp(key, "--", 2) == 0 ? key + 2 : key);
    struct lv_key_match match;

    if (lv_key_find_option(name, &match))
        return explain(c, match.setting, &w);
    const char *why = lv_key_foreign(name);
    if (why != NULL) {
        say(&w, "%s\n  a key of RabbitMQ that is read over: %s\n", key, why);
        return w.used;
    }
    if (!lv_key_suggest(name, true, out, cap))
        out[0] = '\0';
    return 0;
}

/* ---- list ---- */

static void say_quoted(struct writer *w, struct lv_bytes value)
{
    bool is_bare = value.len != 0 && memchr(value.ptr, '#', value.len) == NULL &&
                   value.ptr[0] > ' ' && value.ptr[0] != '\'' && value.ptr[value.len - 1] > ' ';

    say(w, is_bare ? "%.*s" : "'%.*s'", LV_BYTES_FMT(value));
}

static void say_line(struct writer *w, const struct lv_config *c, const struct lv_setting *d,
                     struct lv_bytes name, struct lv_bytes value)
{
    const struct lv_where *where = &c->origins[d - lv_setting_table];
    struct lv_bytes key = lv_setting_key(d, 0);

    if (where->layer == LV_FROM_DEFAULT)
        say(w, "# ");
    if (d->type == LV_TYPE_LISTEN || (d->low == 1 && name.len == 0 && lv_setting_is_items(d)))
        /* the key that takes all of them */
        key = lv_setting_key(d, lv_setting_key(d, 1).len != 0);
    else if (d->type == LV_TYPE_MARK) {
        char mark[64];
        (void)snprintf(mark, sizeof(mark), "%.*s", LV_BYTES_FMT(value));
        bool is_part = lv_mark_is_part(mark);
        for (size_t i = 0; i < 2; i++) {
            struct lv_bytes k = lv_setting_key(d, i);
            if ((memmem(k.ptr, k.len, ".relative", 9) != NULL) == is_part)
                key = k;
        }
    }
    char text[2 * LV_CONF_KEY_MAX];
    lv_key_write(key, name, text, sizeof(text));
    say(w, "%s = ", text);
    if (lv_setting_is_secret(d) && value.len != 0)
        say(w, "(secret)");
    else
        say_quoted(w, value);
    if (where->layer != LV_FROM_DEFAULT) {
        say(w, "   # ");
        say_origin(w, where);
    }
    say(w, "\n");
}

size_t lv_config_list(const struct lv_config *c, bool changed_only, char *out, size_t cap)
{
    struct writer w = { out, cap, 0 };

    if (cap != 0)
        out[0] = '\0';
    for (size_t i = 0; i < LV_SETTING_COUNT; i++) {
        const struct lv_setting *d = &lv_setting_table[i];
        struct lv_bytes name, value;
        char number[24];
        if (i == LV_SETTING_config_file || (changed_only && c->origins[i].layer == LV_FROM_DEFAULT))
            continue;
        const char *text = lv_value_text(d, &c->settings, number);
        if (!lv_setting_is_items(d)) {
            say_line(&w, c, d, LV_BYTES_LIT(""), lv_bytes_str(text));
            continue;
        }
        if (d->low == 1) /* else the default's items would come back */
            say_line(&w, c, d, LV_BYTES_LIT(""), LV_BYTES_LIT("none"));
        while (lv_items_next(&text, &name, &value))
            say_line(&w, c, d, name, value);
    }
    return w.used;
}
