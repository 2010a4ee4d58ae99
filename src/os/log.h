/* os/log.h - the log: one line a fact, each kind declared once in log.def.
 *
 *   lv_log(ACCEPT_FAILED, lv_log_str(address), lv_log_str(why), lv_log_u64(count));
 *   2026-11-21 07:00:00.123456+00:00 [error] <loop-0> cannot accept connections address=127.0.0.1:5672 ...
 *
 * Thread  any: a line leaves each output in one write. A line longer than LV_LOG_LINE_MAX is cut.
 * Time    an output that takes no line holds its writer up for LV_LOG_WAIT_MS at most, then lines are dropped and
 *         counted for a while.
 * Values  that hold spaces, quotes or control characters are quoted and escaped, so nothing from outside can forge
 *         a line.
 */
#ifndef LV_OS_LOG_H
#define LV_OS_LOG_H
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define LV_LOG_LINE_MAX 2048
#define LV_LOG_WAIT_MS 10

enum lv_log_level {
    LV_LOG_DEBUG,
    LV_LOG_INFO,
    LV_LOG_NOTICE,
    LV_LOG_WARNING,
    LV_LOG_ERROR,
    LV_LOG_LEVEL_COUNT,
    LV_LOG_NONE = LV_LOG_LEVEL_COUNT, /* as the least level: no line at all */
};

/* What lines are about; each has a least level of its own. RabbitMQ's names and domains. */
#define LV_LOG_CATEGORIES(X)                           \
    X(DEFAULT, "default", "rabbitmq")                  \
    X(CONNECTION, "connection", "rabbitmq.connection") \
    X(CHANNEL, "channel", "rabbitmq.channel")          \
    X(QUEUE, "queue", "rabbitmq.queue")                \
    X(FEDERATION, "federation", "rabbitmq.federation") \
    X(SHOVEL, "shovel", "rabbitmq.shovel")             \
    X(UPGRADE, "upgrade", "rabbitmq.upgrade")          \
    X(USER, "user", "rabbitmq.user")

enum lv_log_category {
#define X(id, name, domain) LV_LOG_CATEGORY_##id,
    LV_LOG_CATEGORIES(X)
#undef X
        LV_LOG_CATEGORY_COUNT,
};

enum lv_log_id {
#define LV_LOG(id, level, category, ...) LV_LOG_##id,
#include "os/log.def"
#undef LV_LOG
    LV_LOG_ID_COUNT,
};

/* How many fields each line has. */
enum lv_log_fields {
#define LV_LOG(id, level, category, ...) \
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

/* ---- set up: one thread at a time ---- */
enum lv_log_form { LV_LOG_TEXT, LV_LOG_JSON };
enum lv_log_time {
    LV_LOG_TIME_SPACE, /* 2026-11-21 07:00:00.123456+00:00 */
    LV_LOG_TIME_T,     /* 2026-11-21T07:00:00.123456+00:00 */
    LV_LOG_TIME_LAGER, /* 2026-11-21 07:00:00.123 */
    LV_LOG_TIME_USECS, /* since 1970 */
    LV_LOG_TIME_SECS,
};

struct lv_log_config {
    enum lv_log_level levels[LV_LOG_CATEGORY_COUNT];
    struct {
        enum lv_log_level level; /* LV_LOG_NONE: there is no such output; the same below */
        enum lv_log_form form;
        enum lv_log_time time;
        int fd;
    } console;
    struct {
        enum lv_log_level level;
        enum lv_log_form form;
        enum lv_log_time time;
        char path[4096];
        uint64_t bytes_max;     /* put aside when it has grown to this; 0: never */
        uint32_t kept;          /* files put aside that are kept: PATH.0 is the newest */
        char rotation_date[16]; /* see lv_log_date_next(); "": by size alone */
    } file;
    struct {
        enum lv_log_level level;
        char socket[108];
    } journald;
    struct {
        enum lv_log_level level;
        enum lv_log_form form;
        enum { LV_LOG_SYSLOG_LOCAL, LV_LOG_SYSLOG_UDP, LV_LOG_SYSLOG_TCP } transport;
        bool is_rfc5424;
        char socket[108]; /* of this machine */
        char host[64];    /* numeric */
        uint16_t port;
        uint8_t facility; /* RFC 5424 6.2.1 */
        char identity[48];
    } syslog;
};

/* Lines to standard error, from LV_LOG_INFO on: what is in effect before anything else is said. */
void lv_log_config_init(struct lv_log_config *c);
/* Opens and closes outputs so that they are as `c` says; what is unchanged goes on undisturbed. LV_EINVAL, LV_EIO: an
 * output cannot be opened; `error` says which and why, the others are as they should be. */
enum lv_err lv_log_configure(const struct lv_log_config *c, char *error, size_t cap) LV_MUST_USE;
/* Opens the log file anew, for who has moved it away. */
void lv_log_reopen(void);
/* When a log file is next put aside, in seconds since 1970, local time: "$D0" days at 0 h, "$W1D5" Mondays at 5 h
 * (0 is Sunday), "$M1D0" the first of a month at 0 h, "$H0" every hour at minute 0. False: `rule` is none of them. */
bool lv_log_date_next(const char *rule, int64_t now_s, int64_t *next_s);

/* Lines below `level` are dropped in every category; LV_LOG_INFO at first. */
void lv_log_set_level(enum lv_log_level level);
/* "debug", "info", "notice", "warning", "error", "critical" (an error here), "none"; false: none of them. */
bool lv_log_level_parse(const char *name, enum lv_log_level *out);
/* The category called `name`; false: there is none. */
bool lv_log_category_parse(const char *name, enum lv_log_category *out);
/* Where lines of the console go; standard error at first. */
void lv_log_set_fd(int fd);
/* Name of the calling thread in its lines, static text; "main" at first. */
void lv_log_set_thread(const char *name);

#endif
