/* manage/access_log.h - a line for each request that was answered, in the form that Apache calls combined, as RabbitMQ writes
 * it; a file for each hour (UTC): access.log.2026_11_27_13.
 *
 * Neither queries nor passwords are written. A request whose client left before it was answered has no line.
 * Owner   the room's thread.
 */
#ifndef LV_MANAGE_ACCESS_LOG_H
#define LV_MANAGE_ACCESS_LOG_H
#include <stdint.h>

struct lv_request;

struct lv_access_log {
    int fd;        /* -1: none is open */
    uint64_t hour; /* since 1970: the one that the file is for */
};

void lv_access_log_init(struct lv_access_log *log);
void lv_access_log_fini(struct lv_access_log *log);
/* Its reply is whole. Without management.http_log_dir nothing is done. */
void lv_access_log_note(struct lv_access_log *log, const struct lv_request *r);

#endif
