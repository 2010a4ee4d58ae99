#include "manage/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "manage/manage_priv.h"
#include "manage/router.h"
#include "os/log.h"
#include "os/os.h"

#define HOUR_US 3600000000u

void lv_access_log_init(struct lv_access_log *log)
{
    *log = (struct lv_access_log){ .fd = -1 };
}

void lv_access_log_fini(struct lv_access_log *log)
{
    if (log->fd >= 0)
        (void)close(log->fd);
    log->fd = -1;
}

/* The file of this hour; where it cannot be had, that is told once an hour. */
static void turn_to(struct lv_access_log *log, const char *dir, uint64_t hour)
{
    time_t at = (time_t)(hour * 3600);
    char path[4096], name[32] = "";
    struct tm tm;

    lv_access_log_fini(log);
    log->hour = hour;
    if (gmtime_r(&at, &tm) != NULL)
        (void)strftime(name, sizeof(name), "%Y_%m_%d_%H", &tm);
    (void)snprintf(path, sizeof(path), "%s/access.log.%s", dir, name);
    if (lv_os_mkdir(dir) == LV_OK)
        log->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (log->fd < 0)
        lv_log(HTTP_NO_ACCESS_LOG, lv_log_str(path), lv_log_str(strerror(errno)));
}

/* What a client sent stays within its place in the line. */
static void put(struct lv_buf *line, struct lv_bytes text, bool is_quoted)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if ((c > ' ' || (c == ' ' && is_quoted)) && c < 0x7f && c != '"' && c != '\\')
            lv_buf_add(line, &c, 1);
        else
            lv_buf_addf(line, "\\x%02x", c);
    }
    if (text.len == 0)
        lv_buf_add_str(line, "-");
}

static void put_time(struct lv_buf *line, uint64_t now_us)
{
    time_t at = (time_t)(now_us / 1000000u);
    char text[64];
    struct tm tm;

    if (gmtime_r(&at, &tm) != NULL &&
        strftime(text, sizeof(text), " [%d/%b/%Y:%H:%M:%S +0000] \"", &tm) != 0)
        lv_buf_add_str(line, text);
}

/* The path as it was sent, unless there is a secret in it. */
static struct lv_bytes shown_path(const struct lv_request *r)
{
    struct lv_bytes target = r->head.target;
    const uint8_t *query = memchr(target.ptr, '?', target.len);

    if (r->route != NULL && strstr(r->route->path, ":password") != NULL)
        return lv_bytes_str(r->route->path);
    return query != NULL ? lv_bytes(target.ptr, (size_t)(query - target.ptr)) : target;
}

static void put_line(struct lv_buf *line, const struct lv_request *r, uint64_t now_us)
{
    char peer[LV_ADDR_MAX];

    lv_conn_peer(lv_client_conn(r->client), peer);
    char *port = strrchr(peer, ':');
    if (port != NULL)
        *port = '\0';
    put(line, lv_bytes_str(peer), false);
    lv_buf_add_str(line, " - ");
    put(line, r->who.is_operator ? LV_BYTES_LIT("operator") : r->who.name, false);
    put_time(line, now_us);
    lv_buf_addf(line, "%s ", lv_http_method_name(r->head.method));
    put(line, shown_path(r), false);
    lv_buf_addf(line, " HTTP/1.%c\" %u %llu \"", r->head.is_1_0 ? '0' : '1', r->reply.status,
                (unsigned long long)r->reply.bytes_out);
    put(line, lv_http_header(&r->head, "referer"), true);
    lv_buf_add_str(line, "\" \"");
    put(line, lv_http_header(&r->head, "user-agent"), true);
    lv_buf_add_str(line, "\"\n");
}

void lv_access_log_note(struct lv_access_log *log, const struct lv_request *r)
{
    const char *dir = r->room->settings->management_access_log;
    uint64_t now_us = lv_clock_wall_us();
    struct lv_buf line = { 0 };

    if (dir[0] == '\0')
        return;
    if (log->hour != now_us / HOUR_US)
        turn_to(log, dir, now_us / HOUR_US);
    if (log->fd < 0)
        return;
    put_line(&line, r, now_us);
    if (!line.is_short && write(log->fd, line.at, line.len) < 0)
        lv_access_log_fini(log); /* a full disk: no more lines this hour, but requests go on */
    lv_buf_fini(&line);
}
