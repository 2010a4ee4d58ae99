#include "os/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "os/os.h"

#define FIELDS_MAX 12

static const struct {
    enum lv_log_level level;
    const char *words[FIELDS_MAX + 2]; /* the text, then the names of the fields, then NULL */
} lines[LV_LOG_ID_COUNT] = {
#define LV_LOG(id, level_, ...) [LV_LOG_##id] = { LV_LOG_##level_, { __VA_ARGS__ } },
#include "os/log.def"
#undef LV_LOG
};

static const char *const level_names[LV_LOG_LEVEL_COUNT] = {
    [LV_LOG_DEBUG] = "debug",     [LV_LOG_INFO] = "info",   [LV_LOG_NOTICE] = "notice",
    [LV_LOG_WARNING] = "warning", [LV_LOG_ERROR] = "error",
};

static _Atomic int level_min = LV_LOG_INFO;
static _Atomic int log_fd = STDERR_FILENO;
static _Thread_local const char *thread_name = "main";

void lv_log_set_level(enum lv_log_level level)
{
    atomic_store_explicit(&level_min, (int)level, memory_order_relaxed);
}

void lv_log_set_fd(int fd)
{
    atomic_store_explicit(&log_fd, fd, memory_order_relaxed);
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
    return false;
}

/* A line under construction; what does not fit is cut off. */
struct line {
    size_t used;
    char text[LV_LOG_LINE_MAX];
};

static void put(struct line *l, const void *p, size_t n)
{
    size_t room = sizeof(l->text) - 1 - l->used; /* one is kept for the newline */

    memcpy(l->text + l->used, p, LV_MIN(n, room));
    l->used += LV_MIN(n, room);
}

static void put_str(struct line *l, const char *s)
{
    put(l, s, strlen(s));
}

static void put_time(struct line *l)
{
    uint64_t us = lv_clock_wall_us();
    time_t seconds = (time_t)(us / 1000000u);
    struct tm tm;
    char text[80];

    (void)localtime_r(&seconds, &tm);
    long east = tm.tm_gmtoff / 60, minutes = east < 0 ? -east : east;
    int n = snprintf(text, sizeof(text), "%04d-%02d-%02d %02d:%02d:%02d.%06u%c%02ld:%02ld",
                     tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                     (unsigned)(us % 1000000u), east < 0 ? '-' : '+', minutes / 60, minutes % 60);
    put(l, text, LV_MIN((size_t)n, sizeof(text) - 1));
}

static bool is_bare(struct lv_bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (b.ptr[i] <= ' ' || b.ptr[i] == '"' || b.ptr[i] == '\\' || b.ptr[i] == '=' ||
            b.ptr[i] == 0x7F)
            return false;
    return b.len != 0;
}

static void put_quoted(struct line *l, struct lv_bytes b)
{
    static const char hex[] = "0123456789abcdef";

    put_str(l, "\"");
    for (size_t i = 0; i < b.len; i++) {
        uint8_t c = b.ptr[i];
        if (c == '"' || c == '\\') {
            put_str(l, "\\");
            put(l, &c, 1);
        } else if (c < ' ' || c == 0x7F) {
            const char escaped[4] = { '\\', 'x', hex[c >> 4], hex[c & 15] };
            put(l, escaped, sizeof(escaped));
        } else {
            put(l, &c, 1);
        }
    }
    put_str(l, "\"");
}

static void put_value(struct line *l, const struct lv_log_value *v)
{
    char digits[24];

    if (v->bytes.ptr == NULL) {
        int n = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)v->number);
        put(l, digits, (size_t)n);
    } else if (is_bare(v->bytes)) {
        put(l, v->bytes.ptr, v->bytes.len);
    } else {
        put_quoted(l, v->bytes);
    }
}

void lv_log_write(enum lv_log_id id, const struct lv_log_value *values)
{
    struct line l;

    if ((int)lines[id].level < atomic_load_explicit(&level_min, memory_order_relaxed))
        return;
    l.used = 0;
    put_time(&l);
    put_str(&l, " [");
    put_str(&l, level_names[lines[id].level]);
    put_str(&l, "] <");
    put_str(&l, thread_name);
    put_str(&l, "> ");
    put_str(&l, lines[id].words[0]);
    for (size_t i = 0; lines[id].words[i + 1] != NULL; i++) {
        put_str(&l, " ");
        put_str(&l, lines[id].words[i + 1]);
        put_str(&l, "=");
        put_value(&l, &values[i]);
    }
    l.text[l.used++] = '\n';
    /* A log that cannot be written has nobody to be told to. */
    ssize_t done = write(atomic_load_explicit(&log_fd, memory_order_relaxed), l.text, l.used);
    (void)done;
}
