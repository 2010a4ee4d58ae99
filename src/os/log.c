/* What a line of the log looks like: text, JSON, or the journal's fields. */
#include "os/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/utf8.h"
#include "os/log_priv.h"
#include "os/os.h"

#define FIELDS_MAX 12
#define JSON_VALUE_MAX 400u /* bytes of a value in JSON; 12 of them and a message fit into a line */
#define JSON_MESSAGE_MAX 1200u

static const struct kind {
    enum lv_log_level level;
    enum lv_log_category category;
    const char *name;
    const char *words[FIELDS_MAX + 2]; /* the text, then the names of the fields, then NULL */
} kinds[LV_LOG_ID_COUNT] = {
#define LV_LOG(id, level_, category_, ...) \
    [LV_LOG_##id] = { LV_LOG_##level_, LV_LOG_CATEGORY_##category_, #id, { __VA_ARGS__ } },
#include "os/log.def"
#undef LV_LOG
};

static const char *const level_names[LV_LOG_LEVEL_COUNT] = {
    [LV_LOG_DEBUG] = "debug",     [LV_LOG_INFO] = "info",   [LV_LOG_NOTICE] = "notice",
    [LV_LOG_WARNING] = "warning", [LV_LOG_ERROR] = "error",
};

static const struct category {
    const char *name, *domain;
} categories[LV_LOG_CATEGORY_COUNT] = {
#define X(id, name, domain) { name, domain },
    LV_LOG_CATEGORIES(X)
#undef X
};

static _Atomic int level_min[LV_LOG_CATEGORY_COUNT] = {
#define X(id, name, domain) LV_LOG_INFO,
    LV_LOG_CATEGORIES(X)
#undef X
};
static _Thread_local const char *thread_name = "main";

void lv_log_set_category_level(enum lv_log_category category, enum lv_log_level level)
{
    atomic_store_explicit(&level_min[category], (int)level, memory_order_relaxed);
}

void lv_log_set_level(enum lv_log_level level)
{
    for (int i = 0; i < LV_LOG_CATEGORY_COUNT; i++)
        lv_log_set_category_level((enum lv_log_category)i, level);
}

void lv_log_set_thread(const char *name)
{
    thread_name = name;
}

bool lv_log_level_parse(const char *name, enum lv_log_level *out)
{
    for (int i = 0; i < LV_LOG_LEVEL_COUNT; i++) {
        if (strcmp(name, level_names[i]) != 0)
            continue;
        *out = (enum lv_log_level)i;
        return true;
    }
    *out = strcmp(name, "none") == 0 ? LV_LOG_NONE : LV_LOG_ERROR;
    return *out == LV_LOG_NONE || strcmp(name, "critical") == 0;
}

bool lv_log_category_parse(const char *name, enum lv_log_category *out)
{
    for (int i = 0; i < LV_LOG_CATEGORY_COUNT; i++) {
        if (strcmp(name, categories[i].name) != 0)
            continue;
        *out = (enum lv_log_category)i;
        return true;
    }
    return false;
}

int lv_log_severity(enum lv_log_level level)
{
    static const int severities[LV_LOG_LEVEL_COUNT] = {
        [LV_LOG_DEBUG] = 7,   [LV_LOG_INFO] = 6,  [LV_LOG_NOTICE] = 5,
        [LV_LOG_WARNING] = 4, [LV_LOG_ERROR] = 3,
    };

    return severities[level];
}

/* ---- a line ---- */

void lv_log_put(struct lv_log_line *l, const void *p, size_t n)
{
    size_t room = l->cap - 1 - l->used; /* one is kept for the newline */

    n = LV_MIN(n, room);
    if (n != 0)
        memcpy(l->text + l->used, p, n);
    l->used += n;
}

void lv_log_put_str(struct lv_log_line *l, const char *s)
{
    lv_log_put(l, s, strlen(s));
}

void lv_log_printf(struct lv_log_line *l, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    lv_log_put(l, text, n < 0 ? 0 : LV_MIN((size_t)n, sizeof(text) - 1));
}

static void put_time(struct lv_log_line *l, uint64_t us, enum lv_log_time form)
{
    time_t seconds = (time_t)(us / 1000000u);
    unsigned rest = (unsigned)(us % 1000000u);
    struct tm tm;

    if (form == LV_LOG_TIME_USECS || form == LV_LOG_TIME_SECS) {
        lv_log_printf(l, "%llu",
                      (unsigned long long)(form == LV_LOG_TIME_USECS ? us : us / 1000000u));
        return;
    }
    (void)localtime_r(&seconds, &tm);
    long east = tm.tm_gmtoff / 60, minutes = east < 0 ? -east : east;
    lv_log_printf(l, "%04d-%02d-%02d%c%02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                  form == LV_LOG_TIME_T ? 'T' : ' ', tm.tm_hour, tm.tm_min, tm.tm_sec);
    if (form == LV_LOG_TIME_LAGER)
        lv_log_printf(l, ".%03u", rest / 1000);
    else
        lv_log_printf(l, ".%06u%c%02ld:%02ld", rest, east < 0 ? '-' : '+', minutes / 60,
                      minutes % 60);
}

/* ---- values in text ---- */

static bool is_bare(struct lv_bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (b.ptr[i] <= ' ' || b.ptr[i] == '"' || b.ptr[i] == '\\' || b.ptr[i] == '=' ||
            b.ptr[i] == 0x7F)
            return false;
    return b.len != 0;
}

/* Control characters as \xNN; where it stands between quotes, these too are escaped. */
static void put_escaped(struct lv_log_line *l, struct lv_bytes b, bool in_quotes)
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < b.len; i++) {
        uint8_t c = b.ptr[i];
        if (in_quotes && (c == '"' || c == '\\')) {
            lv_log_put_str(l, "\\");
            lv_log_put(l, &c, 1);
        } else if (c < ' ' || c == 0x7F) {
            const char escaped[4] = { '\\', 'x', hex[c >> 4], hex[c & 15] };
            lv_log_put(l, escaped, sizeof(escaped));
        } else {
            lv_log_put(l, &c, 1);
        }
    }
}

static void put_number(struct lv_log_line *l, uint64_t number)
{
    lv_log_printf(l, "%llu", (unsigned long long)number);
}

static void put_value(struct lv_log_line *l, const struct lv_log_value *v)
{
    if (v->bytes.ptr == NULL) {
        put_number(l, v->number);
    } else if (is_bare(v->bytes)) {
        lv_log_put(l, v->bytes.ptr, v->bytes.len);
    } else {
        lv_log_put_str(l, "\"");
        put_escaped(l, v->bytes, true);
        lv_log_put_str(l, "\"");
    }
}

/* The field that "{name}..." names; -1: that is just text. */
static int find_field(const struct kind *k, const char *at, size_t *len)
{
    const char *end = strchr(at, '}');

    if (end == NULL)
        return -1;
    *len = (size_t)(end - at) + 1;
    for (int i = 1; k->words[i] != NULL; i++)
        if (strlen(k->words[i]) == *len - 2 && memcmp(k->words[i], at + 1, *len - 2) == 0)
            return i - 1;
    return -1;
}

/* The text, with values in the places that it has for them; a bit for each field that was put. */
static unsigned put_text(struct lv_log_line *l, const struct lv_log_fact *f)
{
    const struct kind *k = &kinds[f->id];
    unsigned done = 0;

    for (const char *at = k->words[0]; *at != '\0';) {
        size_t len = strcspn(at, "{");
        if (len != 0) {
            lv_log_put(l, at, len);
            at += len;
            continue;
        }
        int field = find_field(k, at, &len);
        if (field < 0) {
            lv_log_put(l, at++, 1);
            continue;
        }
        done |= 1u << field;
        at += len;
        if (f->values[field].bytes.ptr == NULL)
            put_number(l, f->values[field].number);
        else
            put_escaped(l, f->values[field].bytes, false);
    }
    return done;
}

void lv_log_put_message(struct lv_log_line *l, const struct lv_log_fact *f)
{
    const struct kind *k = &kinds[f->id];
    unsigned done = put_text(l, f);

    for (unsigned i = 0; k->words[i + 1] != NULL; i++) {
        if ((done & 1u << i) != 0)
            continue;
        lv_log_put_str(l, " ");
        lv_log_put_str(l, k->words[i + 1]);
        lv_log_put_str(l, "=");
        put_value(l, &f->values[i]);
    }
}

/* ---- JSON ---- */

/* A string, cut so that no more than `max` bytes and its quotes are written. Bytes that are not UTF-8 become the
 * characters of their numbers. */
static void put_json_string(struct lv_log_line *l, struct lv_bytes b, size_t max)
{
    bool is_utf8 = lv_utf8_valid(b);
    size_t used = 0;

    lv_log_put_str(l, "\"");
    for (size_t i = 0; i < b.len; i++) {
        char escaped[8];
        size_t n;
        if (b.ptr[i] == '"' || b.ptr[i] == '\\')
            n = (size_t)snprintf(escaped, sizeof(escaped), "\\%c", b.ptr[i]);
        else if (b.ptr[i] < ' ' || b.ptr[i] == 0x7F || (b.ptr[i] >= 0x80 && !is_utf8))
            n = (size_t)snprintf(escaped, sizeof(escaped), "\\u%04x", b.ptr[i]);
        else
            n = (size_t)snprintf(escaped, sizeof(escaped), "%c", b.ptr[i]);
        /* A character of several bytes goes whole or not at all. */
        bool is_start = (b.ptr[i] & 0xC0) != 0x80;
        if (used + n + (is_start && is_utf8 && b.ptr[i] >= 0x80 ? 3 : 0) > max)
            break;
        lv_log_put(l, escaped, n);
        used += n;
    }
    lv_log_put_str(l, "\"");
}

static void put_json(struct lv_log_line *l, const struct lv_log_fact *f, enum lv_log_time time)
{
    const struct kind *k = &kinds[f->id];
    struct lv_log_line message = { .used = 0, .cap = LV_LOG_LINE_MAX };
    bool is_count = time == LV_LOG_TIME_USECS || time == LV_LOG_TIME_SECS;

    (void)put_text(&message, f);
    lv_log_put_str(l, is_count ? "{\"time\":" : "{\"time\":\"");
    put_time(l, f->wall_us, time);
    lv_log_printf(l, "%s,\"level\":\"%s\",\"msg\":", is_count ? "" : "\"", level_names[f->level]);
    put_json_string(l, lv_bytes(message.text, message.used), JSON_MESSAGE_MAX);
    lv_log_printf(l, ",\"domain\":\"%s\",\"pid\":\"<%s>\",\"event\":\"%s\"",
                  categories[k->category].domain, f->thread, k->name);
    for (int i = 0; k->words[i + 1] != NULL; i++) {
        lv_log_printf(l, ",\"%s\":", k->words[i + 1]);
        if (f->values[i].bytes.ptr == NULL)
            put_number(l, f->values[i].number);
        else
            put_json_string(l, f->values[i].bytes, JSON_VALUE_MAX);
    }
    lv_log_put_str(l, "}");
}

/* ---- whole lines ---- */

void lv_log_put_line(struct lv_log_line *l, const struct lv_log_fact *f, enum lv_log_form form,
                     enum lv_log_time time)
{
    l->used = 0;
    l->cap = form == LV_LOG_JSON ? sizeof(l->text) : LV_LOG_LINE_MAX;
    if (form == LV_LOG_JSON) {
        put_json(l, f, time);
        return;
    }
    put_time(l, f->wall_us, time);
    lv_log_printf(l, " [%s] <%s> ", level_names[f->level], f->thread);
    lv_log_put_message(l, f);
}

/* Fields are NAME=value lines; values hold no newline, as controls are escaped. */
void lv_log_put_journal(struct lv_log_line *l, const struct lv_log_fact *f)
{
    const struct kind *k = &kinds[f->id];

    l->used = 0;
    l->cap = LV_LOG_LINE_MAX;
    lv_log_put_str(l, "MESSAGE=");
    lv_log_put_message(l, f);
    l->cap = sizeof(l->text);
    lv_log_printf(l, "\nPRIORITY=%d\nSYSLOG_IDENTIFIER=leveretd\nLEVERET_EVENT=%s\nLEVERET_THREAD=%s\n",
                  lv_log_severity(f->level), k->name, f->thread);
    for (int i = 0; k->words[i + 1] != NULL; i++) {
        char name[40];
        size_t n = 0;
        for (const char *at = k->words[i + 1]; *at != '\0' && n < sizeof(name) - 1; at++)
            name[n++] = (char)(*at >= 'a' && *at <= 'z' ? *at - 'a' + 'A' : *at);
        name[n] = '\0';
        lv_log_printf(l, "LEVERET_%s=", name);
        if (f->values[i].bytes.ptr == NULL)
            put_number(l, f->values[i].number);
        else
            put_escaped(l, lv_bytes(f->values[i].bytes.ptr, LV_MIN(f->values[i].bytes.len, 100)),
                        false);
        lv_log_put_str(l, "\n");
    }
}

void lv_log_write(enum lv_log_id id, const struct lv_log_value *values)
{
    const struct kind *k = &kinds[id];

    if ((int)k->level < atomic_load_explicit(&level_min[k->category], memory_order_relaxed))
        return;
    struct lv_log_fact f = { id, k->level, values, thread_name, lv_clock_wall_us() };
    lv_log_out(&f);
}
