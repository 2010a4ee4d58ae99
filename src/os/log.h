/* os/log.h - the log: one line a fact, each kind declared once in log.def.
 *
 *   lv_log(ACCEPT_FAILED, lv_log_str(address), lv_log_str(why), lv_log_u64(count));
 *   2026-11-21 07:00:00.123456+00:00 [error] <loop-0> cannot accept connections address=127.0.0.1:5672 ...
 *
 * Thread  any: a line leaves in one write. A line longer than LV_LOG_LINE_MAX is cut.
 * Values  that hold spaces, quotes or control characters are quoted and escaped, so nothing from outside can forge
 *         a line.
 */
#ifndef LV_OS_LOG_H
#define LV_OS_LOG_H
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define LV_LOG_LINE_MAX 2048

enum lv_log_level {
    LV_LOG_DEBUG,
    LV_LOG_INFO,
    LV_LOG_NOTICE,
    LV_LOG_WARNING,
    LV_LOG_ERROR,
    LV_LOG_LEVEL_COUNT,
};

enum lv_log_id {
#define LV_LOG(id, level, ...) LV_LOG_##id,
#include "os/log.def"
#undef LV_LOG
    LV_LOG_ID_COUNT,
};

/* How many fields each line has. */
enum lv_log_fields {
#define LV_LOG(id, level, ...) \
    LV_LOG_FIELDS_##id = sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(const char *) - 1,
#include "os/log.def"
#undef LV_LOG
};

struct lv_log_value {
    struct lv_bytes bytes; /* views; ptr NULL: the number counts */
    uint64_t number;
};

static inline struct lv_log_value lv_log_u64(uint64_t v)
{
    return (struct lv_log_value){ { NULL, 0 }, v };
}
static inline struct lv_log_value lv_log_bytes(struct lv_bytes b)
{
    return (struct lv_log_value){ { b.ptr != NULL ? b.ptr : (const uint8_t *)"", b.len }, 0 };
}
static inline struct lv_log_value lv_log_str(const char *s)
{
    return lv_log_bytes(lv_bytes_str(s != NULL ? s : ""));
}

/* Writes the line `id` of log.def with one value for each of its fields (checked when compiled). */
#define lv_log(id, ...)                                                                \
    do {                                                                               \
        const struct lv_log_value lv_log_values_[] = { lv_log_u64(0), ##__VA_ARGS__ }; \
        _Static_assert(sizeof(lv_log_values_) / sizeof(struct lv_log_value) - 1 ==     \
                           (size_t)LV_LOG_FIELDS_##id,                                 \
                       "one value for each field in log.def");                         \
        lv_log_write(LV_LOG_##id, lv_log_values_ + 1);                                 \
    } while (0)
void lv_log_write(enum lv_log_id id, const struct lv_log_value *values);

/* Lines below `level` are dropped; LV_LOG_INFO at first. */
void lv_log_set_level(enum lv_log_level level);
/* "debug", "info", "notice", "warning", "error"; false: none of them. */
bool lv_log_level_parse(const char *name, enum lv_log_level *out);
/* Where lines go; standard error at first. */
void lv_log_set_fd(int fd);
/* Name of the calling thread in its lines, static text; "main" at first. */
void lv_log_set_thread(const char *name);

#endif
