/* The log settings, as os/log.h wants them. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "os/log.h"

static enum lv_log_level level_of(const char *name)
{
    enum lv_log_level level = LV_LOG_INFO;

    return lv_log_level_parse(name, &level) ? level : LV_LOG_INFO;
}

static enum lv_log_form form_of(const char *name)
{
    return strcmp(name, "json") == 0 ? LV_LOG_JSON : LV_LOG_TEXT;
}

static enum lv_log_time time_of(const char *name)
{
    static const struct {
        const char *name;
        enum lv_log_time time;
    } times[] = { { "rfc3339_T", LV_LOG_TIME_T },
                  { "lager_default", LV_LOG_TIME_LAGER },
                  { "epoch_usecs", LV_LOG_TIME_USECS },
                  { "epoch_secs", LV_LOG_TIME_SECS } };

    for (size_t i = 0; i < LV_ARRAY_LEN(times); i++)
        if (strcmp(name, times[i].name) == 0)
            return times[i].time;
    return LV_LOG_TIME_SPACE;
}

static uint8_t facility_of(const char *name)
{
    static const struct {
        const char *name;
        uint8_t number;
    } facilities[] = { { "kern", 0 },     { "kernel", 0 },  { "user", 1 },    { "userlevel", 1 },
                       { "mail", 2 },     { "daemon", 3 },  { "system", 3 },  { "auth", 4 },
                       { "security", 4 }, { "syslog", 5 },  { "lpr", 6 },     { "news", 7 },
                       { "uucp", 8 },     { "cron", 9 },    { "clock", 9 },   { "authpriv", 10 },
                       { "ftp", 11 },     { "local0", 16 }, { "local1", 17 }, { "local2", 18 },
                       { "local3", 19 },  { "local4", 20 }, { "local5", 21 }, { "local6", 22 },
                       { "local7", 23 } };

    for (size_t i = 0; i < LV_ARRAY_LEN(facilities); i++)
        if (strcmp(name, facilities[i].name) == 0)
            return facilities[i].number;
    return 3;
}

static void set_levels(const struct lv_settings *s, struct lv_log_config *c)
{
    const char *at = s->log_levels;
    enum lv_log_category category;
    struct lv_bytes name, value;
    char word[64];

    for (int i = 0; i < LV_LOG_CATEGORY_COUNT; i++)
        c->levels[i] = level_of(s->log_level);
    while (lv_items_next(&at, &name, &value)) {
        (void)snprintf(word, sizeof(word), "%.*s", LV_BYTES_FMT(name));
        if (!lv_log_category_parse(word, &category))
            continue; /* RabbitMQ has more of them */
        (void)snprintf(word, sizeof(word), "%.*s", LV_BYTES_FMT(value));
        c->levels[category] = level_of(word);
    }
}

static void set_file(const struct lv_settings *s, struct lv_log_config *c)
{
    const char *name = s->log_file, *dir = s->log_dir;
    size_t cap = sizeof(c->file.path);

    if (strcmp(name, "false") == 0 || name[0] == '\0')
        return;
    if (strchr(name, '/') != NULL)
        (void)snprintf(c->file.path, cap, "%s", name);
    else if (dir[0] != '\0')
        (void)snprintf(c->file.path, cap, "%s/%s", dir, name);
    else
        (void)snprintf(c->file.path, cap, "%s/log/%s", s->data_dir, name);
    c->file.level = level_of(s->log_file_level);
    c->file.form = form_of(s->log_file_format);
    c->file.time = time_of(s->log_file_time);
    c->file.bytes_max = s->log_file_rotation_size;
    c->file.kept = s->log_file_rotation_count;
    (void)snprintf(c->file.rotation_date, sizeof(c->file.rotation_date), "%s",
                   s->log_file_rotation_date);
}

static void set_syslog(const struct lv_settings *s, struct lv_log_config *c)
{
    const char *transport = s->log_syslog_transport;

    if (!s->log_syslog)
        return;
    c->syslog.level = level_of(s->log_syslog_level);
    c->syslog.form = form_of(s->log_syslog_format);
    c->syslog.transport = strcmp(transport, "tcp") == 0   ? LV_LOG_SYSLOG_TCP
                          : strcmp(transport, "udp") == 0 ? LV_LOG_SYSLOG_UDP
                                                          : LV_LOG_SYSLOG_LOCAL;
    c->syslog.is_rfc5424 = strcmp(s->log_syslog_protocol, "rfc5424") == 0;
    (void)snprintf(c->syslog.host, sizeof(c->syslog.host), "%s", s->log_syslog_host);
    c->syslog.port = (uint16_t)s->log_syslog_port;
    c->syslog.facility = facility_of(s->log_syslog_facility);
    (void)snprintf(c->syslog.identity, sizeof(c->syslog.identity), "%s", s->log_syslog_identity);
}

/* auto: where nothing else would be told, and where somebody looks at it. */
static void set_console(const struct lv_settings *s, struct lv_log_config *c)
{
    const char *wanted = s->log_console, *stream = s->log_console_stream;
    bool has_other = c->file.level != LV_LOG_NONE || c->journald.level != LV_LOG_NONE ||
                     c->syslog.level != LV_LOG_NONE;
    bool is_on = strcmp(wanted, "auto") == 0
                     ? !has_other
                     : strcmp(wanted, "true") == 0 || strcmp(wanted, "on") == 0;

    c->console.level = is_on ? level_of(s->log_console_level) : LV_LOG_NONE;
    c->console.form = form_of(s->log_console_format);
    c->console.time = time_of(s->log_console_time);
    c->console.fd = strcmp(stream, "stdout") == 0 || strcmp(stream, "standard_io") == 0
                        ? STDOUT_FILENO
                        : STDERR_FILENO;
}

void lv_config_log(const struct lv_settings *s, struct lv_log_config *out)
{
    lv_log_config_init(out);
    set_levels(s, out);
    set_file(s, out);
    if (s->log_journald)
        out->journald.level = level_of(s->log_journald_level);
    set_syslog(s, out);
    set_console(s, out);
}
