/* os/log_priv.h - between the two halves of the log: log.c says what a line looks like, log_out.c where it goes. */
#ifndef LV_OS_LOG_PRIV_H
#define LV_OS_LOG_PRIV_H
#include <stddef.h>

#include "os/log.h"

#define LV_LOG_BYTES_MAX \
    8192 /* of a JSON line or a datagram, whose long values are cut one by one */

/* A line under construction; what does not fit is cut off, but for one byte. */
struct lv_log_line {
    size_t used, cap;
    char text[LV_LOG_BYTES_MAX];
};

/* What is to be logged. */
struct lv_log_fact {
    enum lv_log_id id;
    enum lv_log_level level;
    const struct lv_log_value *values;
    const char *thread;
    uint64_t wall_us;
};

void lv_log_put(struct lv_log_line *l, const void *p, size_t n);
void lv_log_put_str(struct lv_log_line *l, const char *s);
__attribute__((format(printf, 2, 3))) void lv_log_printf(struct lv_log_line *l, const char *format,
                                                         ...);
/* The text, values in their places, and the other fields. */
void lv_log_put_message(struct lv_log_line *l, const struct lv_log_fact *f);
/* A whole line without its newline. */
void lv_log_put_line(struct lv_log_line *l, const struct lv_log_fact *f, enum lv_log_form form,
                     enum lv_log_time time);
/* The datagram of journald's native protocol. */
void lv_log_put_journal(struct lv_log_line *l, const struct lv_log_fact *f);
/* RFC 5424 6.2.1 */
int lv_log_severity(enum lv_log_level level);

void lv_log_set_category_level(enum lv_log_category category, enum lv_log_level level);
/* To every output that wants it. */
void lv_log_out(const struct lv_log_fact *f);

#endif
