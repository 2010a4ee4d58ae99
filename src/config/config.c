/* A configuration put together: values, their origins, and what is to be said about them. */
#include "config/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "config/load_priv.h"
#include "os/log.h"

const char *const lv_config_etc[] = { "/etc/leveret/leveret.conf", "/etc/rabbitmq/rabbitmq.conf",
                                      NULL };

/* ---- memory and notes ---- */

const char *lv_config_keep(struct lv_config *c, const char *text)
{
    size_t bytes = strlen(text) + 1;
    struct lv_text *t = lv_mem_alloc(sizeof(*t) + bytes, LV_TAG_CONFIG);

    if (t == NULL) {
        c->no_memory = true;
        return "";
    }
    memcpy(t->text, text, bytes);
    t->next = c->texts;
    c->texts = t;
    return t->text;
}

/* The last place is kept for saying that there is more. */
static void add_note(struct lv_config *c, bool is_error, bool is_usage, const char *text)
{
    if (c->note_count == LV_CONFIG_NOTES_MAX - 1)
        text = "there is more to say; this is where it ends";
    if (c->note_count == LV_CONFIG_NOTES_MAX)
        return;
    c->notes[c->note_count++] =
        (struct lv_config_note){ is_error, is_usage, lv_config_keep(c, text) };
}

void lv_config_say(struct lv_config *c, bool is_error, const struct lv_where *where,
                   const char *format, ...)
{
    char text[1024];
    int used = 0;
    va_list args;

    if (where != NULL && where->layer == LV_FROM_FILE)
        used =
            snprintf(text, sizeof(text), "%.400s:%u:%u: ", where->name, where->line, where->column);
    else if (where != NULL && where->layer == LV_FROM_ENVIRONMENT)
        used = snprintf(text, sizeof(text), "environment variable %.200s: ", where->name);
    else if (where != NULL && where->layer == LV_FROM_COMMAND_LINE)
        used = snprintf(text, sizeof(text), "option '--%.200s': ", where->name);
    va_start(args, format);
    (void)vsnprintf(text + used, sizeof(text) - (size_t)used, format, args);
    va_end(args);
    c->has_error = c->has_error || is_error;
    add_note(c, is_error, where != NULL && where->layer == LV_FROM_COMMAND_LINE, text);
}

const char *lv_config_variable(const struct lv_config *c, const char *name)
{
    size_t len = strlen(name);

    for (char *const *at = c->envp; at != NULL && *at != NULL; at++)
        if (strncmp(*at, name, len) == 0 && (*at)[len] == '=')
            return *at + len + 1;
    return NULL;
}

/* ---- items ---- */

static bool is_number(struct lv_bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (b.ptr[i] < '0' || b.ptr[i] > '9')
            return false;
    return b.len != 0 && b.len < 10;
}

/* Numbered names in the order of their numbers; others stay where they are. */
static bool goes_before(struct lv_bytes a, struct lv_bytes b)
{
    if (!is_number(a) || !is_number(b))
        return false;
    return a.len != b.len ? a.len < b.len : lv_bytes_cmp(a, b) < 0;
}

struct item_writer {
    char *out;
    size_t used, cap;
};

static void write_item(struct item_writer *w, struct lv_bytes name, struct lv_bytes value)
{
    size_t wanted = name.len + value.len + 2;

    if (wanted > w->cap - w->used)
        return; /* room was made for all of them */
    if (w->used != 0)
        w->out[w->used++] = '\n';
    memcpy(w->out + w->used, name.ptr, name.len);
    w->used += name.len;
    w->out[w->used++] = '=';
    if (value.len != 0)
        memcpy(w->out + w->used, value.ptr, value.len);
    w->used += value.len;
    w->out[w->used] = '\0';
}

/* `items` with `name` set to `value`, kept. */
static const char *with_item(struct lv_config *c, const char *items, struct lv_bytes name,
                             struct lv_bytes value)
{
    size_t cap = strlen(items) + name.len + value.len + 4;
    char *out = lv_mem_alloc(cap, LV_TAG_CONFIG);
    struct item_writer w = { out, 0, cap };
    struct lv_bytes old_name, old_value;
    bool is_done = false;

    if (out == NULL) {
        c->no_memory = true;
        return items;
    }
    out[0] = '\0';
    while (lv_items_next(&items, &old_name, &old_value)) {
        bool is_it = lv_bytes_eq(old_name, name);
        if (!is_done && (is_it || goes_before(name, old_name))) {
            write_item(&w, name, value);
            is_done = true;
        }
        if (!is_it)
            write_item(&w, old_name, old_value);
    }
    if (!is_done)
        write_item(&w, name, value);
    const char *kept = lv_config_keep(c, out);
    lv_mem_free(out, LV_TAG_CONFIG);
    return kept;
}

/* The addresses of a LISTEN's items, commas between. */
static const char *joined(struct lv_config *c, const char *items)
{
    struct lv_bytes name, value;
    char *out = lv_mem_alloc(strlen(items) + 1, LV_TAG_CONFIG);
    size_t used = 0;

    if (out == NULL) {
        c->no_memory = true;
        return "none";
    }
    while (lv_items_next(&items, &name, &value)) {
        if (used != 0)
            out[used++] = ',';
        memcpy(out + used, value.ptr, value.len);
        used += value.len;
    }
    out[used] = '\0';
    const char *kept = lv_config_keep(c, out);
    lv_mem_free(out, LV_TAG_CONFIG);
    return kept;
}

/* ---- assignment ---- */

static void put(struct lv_config *c, const struct lv_setting *d, const struct lv_where *where,
                const char *text, uint64_t number)
{
    lv_value_put(d, &c->settings, text, number);
    c->origins[d - lv_setting_table] = *where;
}

/* A value of one item goes to those of its own layer; those of a lower layer are replaced as a whole. */
static void assign_item(struct lv_config *c, const struct lv_where *where,
                        const struct lv_setting *d, const char *name, const char *value)
{
    size_t id = (size_t)(d - lv_setting_table);
    bool is_first = c->origins[id].layer != where->layer;
    const char *items;
    char number[24];

    if (!lv_conf_is_word(lv_bytes_str(name))) {
        lv_config_say(c, true, where, "'%.64s' is not a name: no blanks, quotes, '=' or '#'", name);
        return;
    }
    if (d->type == LV_TYPE_LISTEN)
        items = is_first || c->addresses[id] == NULL ? "" : c->addresses[id];
    else if (is_first)
        items = d->low == 1 ? d->text : "";
    else
        items = lv_value_text(d, &c->settings, number);
    items = with_item(c, items, lv_bytes_str(name), lv_bytes_str(value));
    if (d->type == LV_TYPE_LISTEN) {
        c->addresses[id] = items;
        items = joined(c, items);
    }
    put(c, d, where, items, 0);
}

/* All items at once: "none", or "name=value,name=value", or "value,value". */
static void assign_all_items(struct lv_config *c, const struct lv_where *where,
                             const struct lv_setting *d, const char *text)
{
    char one[LV_CONF_VALUE_MAX + 1], number[16], why[LV_WHY_MAX];
    bool is_flag = strcmp(d->value, "true|false") == 0;
    struct lv_value value;

    put(c, d, where, "", 0);
    if (strcmp(text, "none") == 0)
        return;
    for (unsigned i = 1; *text != '\0'; i++) {
        size_t len = strcspn(text, ",");
        (void)snprintf(one, sizeof(one), "%.*s", (int)LV_MIN(len, LV_CONF_VALUE_MAX), text);
        (void)snprintf(number, sizeof(number), "%u", i);
        char *equals = strchr(one, '=');
        const char *name = equals != NULL || is_flag ? one : number;
        const char *given = equals != NULL ? equals + 1 : is_flag ? "true" : one;
        if (equals != NULL)
            *equals = '\0';
        if (lv_value_parse(d, LV_BYTES_LIT(""), false, given, &value, why) != LV_OK) {
            lv_config_say(c, true, where, "%s", why);
            return;
        }
        assign_item(c, where, d, name, value.text);
        text += len + (text[len] == ',');
    }
}

void lv_config_assign(struct lv_config *c, const struct lv_where *where,
                      const struct lv_key_match *key, const char *text)
{
    const struct lv_setting *d = key->setting;
    char why[LV_WHY_MAX], name[2 * LV_CONF_KEY_MAX];
    struct lv_value value;

    if (lv_setting_is_items(d) && key->name[0] == '\0') {
        assign_all_items(c, where, d, text);
    } else if (lv_value_parse(d, key->pattern, key->name[0] == '\0', text, &value, why) != LV_OK) {
        lv_config_say(c, true, where, "%s", why);
        return;
    } else if (key->name[0] != '\0') {
        assign_item(c, where, d, key->name, value.text);
    } else {
        c->addresses[d - lv_setting_table] = NULL;
        put(c, d, where, lv_setting_is_text(d) ? lv_config_keep(c, value.text) : NULL, value.number);
    }
    if (d->has_effect || where->layer == LV_FROM_COMMAND_LINE)
        return;
    if (key->pattern.len != 0)
        lv_key_write(key->pattern, lv_bytes_str(key->name), name, sizeof(name));
    else
        lv_setting_name(d, name, sizeof(name));
    lv_config_say(c, false, where, "%s is kept, and has no effect yet", name);
}

void lv_config_assign_key(struct lv_config *c, const struct lv_where *where, const char *key,
                          const char *value)
{
    struct lv_key_match match;
    bool is_known = lv_key_find(lv_bytes_str(key), &match);

    LV_ASSERT(is_known);
    lv_config_assign(c, where, &match, value);
}

enum lv_err lv_config_set(struct lv_config *running, const char *key, const char *text, char *why,
                          size_t cap)
{
    static const struct lv_where operator= { .layer = LV_FROM_OPERATOR };
    struct lv_key_match match;
    struct lv_value value;
    char wrong[LV_WHY_MAX], number[24];

    if (cap != 0)
        why[0] = '\0';
    if (!lv_key_find(lv_bytes_str(key), &match) ||
        (lv_setting_is_items(match.setting) && match.name[0] == '\0'))
        return LV_ENOTFOUND;
    const struct lv_setting *d = match.setting;
    if (!d->is_live)
        return LV_EREFUSED;
    if (lv_value_parse(d, match.pattern, false, text, &value, wrong) != LV_OK) {
        (void)snprintf(why, cap, "%s", wrong);
        return LV_EINVAL;
    }
    running->no_memory = false;
    const char *kept = !lv_setting_is_text(d) ? NULL
                       : match.name[0] == '\0'
                           ? lv_config_keep(running, value.text)
                           : with_item(running, lv_value_text(d, &running->settings, number),
                                       lv_bytes_str(match.name), lv_bytes_str(value.text));
    if (running->no_memory)
        return LV_ENOMEM;
    put(running, d, &operator, kept, value.number);
    return LV_OK;
}

/* ---- loading ---- */

static struct lv_config *new_config(void)
{
    struct lv_config *c = lv_mem_zalloc(sizeof(*c), LV_TAG_CONFIG);

    if (c != NULL)
        lv_settings_init(&c->settings);
    return c;
}

/* RabbitMQ says port and address of a listener apart (management.tcp.port, .ip). */
static void derive_listener(struct lv_config *c, int port_setting, int ip_setting, int listen,
                            const char *option, const char *host, uint32_t port)
{
    const struct lv_where *from_port = &c->origins[port_setting], *ip = &c->origins[ip_setting];
    const struct lv_where *where = from_port->layer >= ip->layer ? from_port : ip;
    char address[128], why[LV_WHY_MAX];
    struct lv_key_match match;
    struct lv_value value;

    if (where->layer == LV_FROM_DEFAULT || where->layer < c->origins[listen].layer ||
        c->origins[listen].layer == LV_FROM_COMMAND_LINE)
        return;
    (void)snprintf(address, sizeof(address), "%.60s:%u", host[0] != '\0' ? host : "*", port);
    bool is_known = lv_key_find_option(lv_bytes_str(option), &match);
    LV_ASSERT(is_known);
    if (lv_value_parse(match.setting, match.pattern, true, address, &value, why) != LV_OK)
        lv_config_say(c, true, ip, "%s", why);
    else
        put(c, match.setting, where, lv_config_keep(c, value.text), 0);
}

static void derive_listeners(struct lv_config *c)
{
    derive_listener(c, LV_SETTING_management_port, LV_SETTING_management_ip, LV_SETTING_http_listen,
                    "http-listen", c->settings.management_ip, c->settings.management_port);
    derive_listener(c, LV_SETTING_prometheus_port, LV_SETTING_prometheus_ip,
                    LV_SETTING_metrics_listen, "metrics-listen", c->settings.prometheus_ip,
                    c->settings.prometheus_port);
}

/* What only the log can say about its settings. */
static void check_log(struct lv_config *c)
{
    const char *date = c->settings.log_file_rotation_date, *host = c->settings.log_syslog_host;
    struct lv_key_match match;
    struct lv_value value;
    char address[128], why[LV_WHY_MAX];
    int64_t next;

    if (date[0] != '\0' && !lv_log_date_next(date, 0, &next))
        lv_config_say(c, true, &c->origins[LV_SETTING_log_file_rotation_date],
                      "expected a date like $D0, $W1D5, $M1D0 or $H0, not '%.64s'", date);
    (void)snprintf(address, sizeof(address), strchr(host, ':') != NULL ? "[%.60s]:1" : "%.60s:1",
                   host);
    bool is_known = lv_key_find_option(LV_BYTES_LIT("amqp-listen"), &match);
    LV_ASSERT(is_known);
    if (lv_value_parse(match.setting, match.pattern, false, address, &value, why) != LV_OK)
        lv_config_say(c, true, &c->origins[LV_SETTING_log_syslog_host],
                      "expected a numeric address, not '%.64s'", host);
}

static enum lv_err finish(struct lv_config *c, struct lv_config **out)
{
    derive_listeners(c);
    check_log(c);
    c->envp = NULL;
    if (c->no_memory) {
        lv_config_free(c);
        return LV_ENOMEM;
    }
    *out = c;
    return c->has_error ? LV_EINVAL : LV_OK;
}

/* --config stands on the command line, which is read last: it is looked for first. */
static const char *config_argument(int argc, char *const *argv)
{
    const char *found = NULL;

    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--config=", 9) == 0)
            found = argv[i] + 9;
        else if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
            found = argv[i + 1];
    }
    return found;
}

enum lv_err lv_config_load(const struct lv_config_sources *from, struct lv_config **out)
{
    struct lv_config *c = new_config();

    *out = NULL;
    if (c == NULL)
        return LV_ENOMEM;
    c->envp = from->envp;
    lv_config_read_files(c, config_argument(from->argc, from->argv), from->etc);
    lv_config_read_environment(c);
    lv_config_read_arguments(c, from->argc, from->argv);
    return finish(c, out);
}

enum lv_err lv_config_check_file(const char *path, struct lv_config **out)
{
    extern char **environ;
    struct lv_config *c = new_config();

    *out = NULL;
    if (c == NULL)
        return LV_ENOMEM;
    c->envp = environ;
    lv_config_read_one(c, path);
    return finish(c, out);
}

enum lv_err lv_config_check_text(const char *name, struct lv_bytes text, struct lv_config **out)
{
    struct lv_config *c = new_config();

    *out = NULL;
    if (c == NULL)
        return LV_ENOMEM;
    lv_config_read_text(c, name, text);
    return finish(c, out);
}

void lv_config_free(struct lv_config *c)
{
    struct lv_text *next;

    if (c == NULL)
        return;
    for (struct lv_text *t = c->texts; t != NULL; t = next) {
        next = t->next;
        lv_mem_free(t, LV_TAG_CONFIG);
    }
    lv_mem_free(c, LV_TAG_CONFIG);
}

const struct lv_settings *lv_config_settings(const struct lv_config *c)
{
    return &c->settings;
}

const struct lv_config_note *lv_config_note(const struct lv_config *c, size_t i)
{
    return i < c->note_count ? &c->notes[i] : NULL;
}

const char *lv_config_file(const struct lv_config *c, size_t i)
{
    return i < c->file_count ? c->files[i] : NULL;
}
