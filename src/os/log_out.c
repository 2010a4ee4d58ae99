/* Where lines of the log go: console, file, journal, syslog.
 *
 * Any thread writes while one thread sets up. An output's settings are an immutable snapshot, published by a pointer and
 * never freed (a set-up that changes nothing makes none). An output's descriptor number never changes once it is there:
 * a new file or socket is put behind the same number, so no writer ever holds a number that means something else.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/log_priv.h"
#include "os/os.h"

#define GIVE_UP_MS 1000u       /* an output that took no line is not waited for again for so long */
#define RECONNECT_MS 5000u     /* between attempts to reach a syslog server */
#define DATE_CHECK_S INT64_MAX /* no date to rotate at */

enum output { CONSOLE, LOG_FILE, JOURNALD, SYSLOG, OUTPUTS };

static const char *const output_names[OUTPUTS] = { "console", "file", "journald", "syslog" };

struct snapshot {
    struct lv_log_config config;
    struct snapshot *older; /* kept: a writer may still look at it */
};

static struct snapshot *_Atomic current; /* NULL: as lv_log_config_init has it */
static _Atomic int fds[OUTPUTS] = { STDERR_FILENO, -1, -1, -1 };
static _Atomic uint64_t lost[OUTPUTS]; /* lines, since the last that was taken */
static _Atomic uint64_t
    wait_after[OUTPUTS];    /* ms: lines that are not taken at once are dropped until then */
static atomic_bool is_busy; /* somebody sets up, rotates or reconnects */
static _Atomic uint64_t file_bytes;
static _Atomic int64_t file_until_s = DATE_CHECK_S;
static _Atomic uint64_t reconnect_after;

/* ---- writing ---- */

static bool is_ready(enum output o, int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    uint64_t now = lv_clock_coarse_ms();
    bool may_wait = now >= atomic_load_explicit(&wait_after[o], memory_order_relaxed);

    if (poll(&p, 1, may_wait ? LV_LOG_WAIT_MS : 0) != 0)
        return true; /* an error shows when writing */
    atomic_store_explicit(&wait_after[o], now + GIVE_UP_MS, memory_order_relaxed);
    return false;
}

static void tell_lost(enum output o)
{
    uint64_t n = atomic_exchange_explicit(&lost[o], 0, memory_order_relaxed);

    if (n != 0)
        lv_log(LOG_DROPPED, lv_log_str(output_names[o]), lv_log_u64(n));
}

static void count(enum output o, bool is_taken)
{
    if (!is_taken)
        atomic_fetch_add_explicit(&lost[o], 1, memory_order_relaxed);
    else if (LV_UNLIKELY(atomic_load_explicit(&lost[o], memory_order_relaxed) != 0))
        tell_lost(o);
}

static int fd_of(enum output o)
{
    return atomic_load_explicit(&fds[o], memory_order_acquire);
}

static void write_console(const struct lv_log_line *l)
{
    int fd = fd_of(CONSOLE);
    bool is_taken = is_ready(CONSOLE, fd) && write(fd, l->text, l->used) == (ssize_t)l->used;

    count(CONSOLE, is_taken);
}

/* ---- descriptors ---- */

static bool take_busy(void)
{
    return !atomic_exchange_explicit(&is_busy, true, memory_order_acquire);
}

static void leave_busy(void)
{
    atomic_store_explicit(&is_busy, false, memory_order_release);
}

/* Puts `fd` behind the output's number; takes `fd`. */
static void install(enum output o, int fd)
{
    int at = fd_of(o);

    if (at < 0) {
        atomic_store_explicit(&fds[o], fd, memory_order_release);
        return;
    }
    (void)dup3(fd, at, O_CLOEXEC);
    (void)close(fd);
}

/* Nothing is behind the output's number any more, and the number stays taken. */
static void uninstall(enum output o)
{
    int fd = fd_of(o) >= 0 ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;

    if (fd >= 0)
        install(o, fd);
}

/* ---- file ---- */

static enum lv_err open_file(const char *path)
{
    struct stat st;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);

    if (fd < 0)
        return LV_EIO;
    atomic_store_explicit(&file_bytes, fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0,
                          memory_order_relaxed);
    install(LOG_FILE, fd);
    return LV_OK;
}

static void numbered(char out[4112], const char *path, uint32_t n)
{
    (void)snprintf(out, 4112, "%s.%u", path, n);
}

/* PATH.0 is the newest; with none kept, what there was goes. */
static void put_aside(const struct lv_log_config *c)
{
    char from[4112], to[4112];

    if (c->file.kept == 0) {
        (void)unlink(c->file.path);
        return;
    }
    for (uint32_t i = c->file.kept - 1; i > 0; i--) {
        numbered(from, c->file.path, i - 1);
        numbered(to, c->file.path, i);
        (void)rename(from, to);
    }
    numbered(to, c->file.path, 0);
    (void)rename(c->file.path, to);
}

static void set_date(const struct lv_log_config *c)
{
    int64_t next = DATE_CHECK_S;

    if (c->file.rotation_date[0] != '\0' &&
        !lv_log_date_next(c->file.rotation_date, (int64_t)(lv_clock_wall_us() / 1000000u), &next))
        next = DATE_CHECK_S;
    atomic_store_explicit(&file_until_s, next, memory_order_relaxed);
}

static bool is_due(const struct lv_log_config *c, size_t bytes, uint64_t wall_us)
{
    uint64_t used = atomic_load_explicit(&file_bytes, memory_order_relaxed);

    return (c->file.bytes_max != 0 && used != 0 && used + bytes > c->file.bytes_max) ||
           (int64_t)(wall_us / 1000000u) >=
               atomic_load_explicit(&file_until_s, memory_order_relaxed);
}

/* One thread does it, a matter of a few renames; others write on meanwhile. */
static void rotate(const struct lv_log_config *c, size_t bytes, uint64_t wall_us)
{
    if (!take_busy())
        return;
    bool is_still_due = is_due(c, bytes, wall_us), is_open = true;
    int error = 0;
    if (is_still_due) {
        put_aside(c);
        is_open = open_file(c->file.path) == LV_OK;
        error = errno;
        if (!is_open) /* the old one goes on for as long again: what is due now is due for every line */
            atomic_store_explicit(&file_bytes, 0, memory_order_relaxed);
        set_date(c);
    }
    leave_busy();
    if (!is_still_due)
        return;
    if (is_open)
        lv_log(LOG_ROTATED, lv_log_str(c->file.path));
    else
        lv_log(LOG_FAILED, lv_log_str("file"), lv_log_str(c->file.path),
               lv_log_str(strerrordesc_np(error)));
}

static void write_file(const struct lv_log_config *c, const struct lv_log_line *l, uint64_t wall_us)
{
    if (LV_UNLIKELY(is_due(c, l->used, wall_us)))
        rotate(c, l->used, wall_us);
    atomic_fetch_add_explicit(&file_bytes, l->used, memory_order_relaxed);
    count(LOG_FILE, write(fd_of(LOG_FILE), l->text, l->used) == (ssize_t)l->used);
}

/* ---- datagrams of this machine ---- */

static enum lv_err open_local(enum output o)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return LV_EIO;
    install(o, fd);
    return LV_OK;
}

/* Addressed each time: a daemon that was restarted is found again. */
static void send_local(enum output o, const char *path, const struct lv_log_line *l)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };

    (void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    count(o, sendto(fd_of(o), l->text, l->used, MSG_DONTWAIT | MSG_NOSIGNAL,
                    (const struct sockaddr *)&to, sizeof(to)) == (ssize_t)l->used);
}

/* ---- syslog ---- */

static bool syslog_address(const struct lv_log_config *c, struct sockaddr_storage *out,
                           socklen_t *len)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, c->syslog.host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(c->syslog.port);
        *len = sizeof(*v4);
        return true;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(c->syslog.port);
    *len = sizeof(*v6);
    return inet_pton(AF_INET6, c->syslog.host, &v6->sin6_addr) == 1;
}

/* A TCP connection is under way when this returns. */
static enum lv_err open_syslog(const struct lv_log_config *c)
{
    bool is_tcp = c->syslog.transport == LV_LOG_SYSLOG_TCP;
    struct sockaddr_storage to;
    socklen_t len;

    if (c->syslog.transport == LV_LOG_SYSLOG_LOCAL)
        return open_local(SYSLOG);
    if (!syslog_address(c, &to, &len))
        return LV_EINVAL;
    int fd =
        socket(to.ss_family, (is_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return LV_EIO;
    if (connect(fd, (const struct sockaddr *)&to, len) != 0 && errno != EINPROGRESS) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return LV_EIO;
    }
    install(SYSLOG, fd);
    return LV_OK;
}

static void reconnect(const struct lv_log_config *c)
{
    uint64_t now = lv_clock_coarse_ms();

    if (now < atomic_load_explicit(&reconnect_after, memory_order_relaxed) || !take_busy())
        return;
    atomic_store_explicit(&reconnect_after, now + RECONNECT_MS, memory_order_relaxed);
    (void)open_syslog(c);
    leave_busy();
}

static void put_syslog_head(struct lv_log_line *l, const struct lv_log_config *c,
                            const struct lv_log_fact *f)
{
    static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    time_t seconds = (time_t)(f->wall_us / 1000000u);
    int priority = c->syslog.facility * 8 + lv_log_severity(f->level);
    char host[65] = "-";
    struct tm tm;

    (void)gethostname(host, sizeof(host) - 1);
    if (c->syslog.is_rfc5424) {
        (void)gmtime_r(&seconds, &tm);
        lv_log_printf(l, "<%d>1 %04d-%02d-%02dT%02d:%02d:%02d.%06uZ %s %s %ld - - ", priority,
                      tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                      (unsigned)(f->wall_us % 1000000u), host, c->syslog.identity, (long)getpid());
        return;
    }
    (void)localtime_r(&seconds, &tm);
    lv_log_printf(l, "<%d>%s %2d %02d:%02d:%02d ", priority, months[tm.tm_mon], tm.tm_mday,
                  tm.tm_hour, tm.tm_min, tm.tm_sec);
    if (c->syslog.transport != LV_LOG_SYSLOG_LOCAL)
        lv_log_printf(l, "%s ", host);
    lv_log_printf(l, "%s[%ld]: ", c->syslog.identity, (long)getpid());
}

/* Frames of RFC 6587: octets counted for RFC 5424, else a line feed behind each. */
static void send_tcp(const struct lv_log_config *c, struct lv_log_line *l)
{
    char head[24];
    int n = 0;

    if (c->syslog.is_rfc5424)
        n = snprintf(head, sizeof(head), "%zu ", l->used);
    else
        l->text[l->used++] = '\n';
    struct iovec parts[2] = { { head, (size_t)n }, { l->text, l->used } };
    struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2 };
    ssize_t done = sendmsg(fd_of(SYSLOG), &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    bool is_taken = done == (ssize_t)(l->used + (size_t)n);

    /* Half a frame would spoil the next one. */
    if (!is_taken && (done > 0 || (errno != EAGAIN && errno != ENOTCONN && errno != EALREADY)))
        reconnect(c);
    count(SYSLOG, is_taken);
}

static void write_syslog(const struct lv_log_config *c, const struct lv_log_fact *f,
                         struct lv_log_line *l)
{
    struct lv_log_line body;

    l->used = 0;
    l->cap = sizeof(l->text);
    put_syslog_head(l, c, f);
    if (c->syslog.form == LV_LOG_JSON) {
        lv_log_put_line(&body, f, LV_LOG_JSON, LV_LOG_TIME_SPACE);
        lv_log_put(l, body.text, body.used);
    } else { /* syslog has a time of its own */
        l->cap = LV_LOG_LINE_MAX;
        lv_log_printf(l, "<%s> ", f->thread);
        lv_log_put_message(l, f);
    }
    if (c->syslog.transport == LV_LOG_SYSLOG_LOCAL)
        send_local(SYSLOG, c->syslog.socket, l);
    else if (c->syslog.transport == LV_LOG_SYSLOG_TCP)
        send_tcp(c, l);
    else
        count(SYSLOG, send(fd_of(SYSLOG), l->text, l->used, MSG_DONTWAIT | MSG_NOSIGNAL) ==
                          (ssize_t)l->used);
}

/* ---- all outputs ---- */

void lv_log_out(const struct lv_log_fact *f)
{
    const struct snapshot *s = atomic_load_explicit(&current, memory_order_acquire);
    struct lv_log_line l;

    if (s == NULL) {
        lv_log_put_line(&l, f, LV_LOG_TEXT, LV_LOG_TIME_SPACE);
        l.text[l.used++] = '\n';
        write_console(&l);
        return;
    }
    const struct lv_log_config *c = &s->config;
    if (f->level >= c->console.level) {
        lv_log_put_line(&l, f, c->console.form, c->console.time);
        l.text[l.used++] = '\n';
        write_console(&l);
    }
    if (f->level >= c->file.level) {
        lv_log_put_line(&l, f, c->file.form, c->file.time);
        l.text[l.used++] = '\n';
        write_file(c, &l, f->wall_us);
    }
    if (f->level >= c->journald.level) {
        lv_log_put_journal(&l, f);
        send_local(JOURNALD, c->journald.socket, &l);
    }
    if (f->level >= c->syslog.level)
        write_syslog(c, f, &l);
}

void lv_log_set_fd(int fd)
{
    atomic_store_explicit(&fds[CONSOLE], fd, memory_order_release);
}

/* ---- set up ---- */

void lv_log_config_init(struct lv_log_config *c)
{
    memset(c, 0, sizeof(*c));
    for (int i = 0; i < LV_LOG_CATEGORY_COUNT; i++)
        c->levels[i] = LV_LOG_INFO;
    c->console.level = LV_LOG_DEBUG;
    c->console.fd = STDERR_FILENO;
    c->file.level = c->journald.level = c->syslog.level = LV_LOG_NONE;
    c->syslog.facility = 3;
    c->syslog.port = 514;
    memcpy(c->journald.socket, "/run/systemd/journal/socket", sizeof("/run/systemd/journal/socket"));
    memcpy(c->syslog.socket, "/dev/log", sizeof("/dev/log"));
    memcpy(c->syslog.identity, "leveretd", sizeof("leveretd"));
}

struct failure {
    enum lv_err err;
    char *text;
    size_t cap;
};

/* An output that cannot be opened is switched off; the first one is told. */
static void failed(struct failure *f, enum lv_err err, const char *what, const char *where)
{
    if (f->err == LV_OK)
        (void)snprintf(f->text, f->cap, "%s %s: %s", what, where,
                       err == LV_EINVAL ? "not a numeric address" : strerrordesc_np(errno));
    f->err = f->err == LV_OK ? err : f->err;
}

static void set_file(struct lv_log_config *c, const struct lv_log_config *old, struct failure *f)
{
    bool was_open = old != NULL && old->file.level != LV_LOG_NONE;
    bool is_same = was_open && strcmp(old->file.path, c->file.path) == 0;

    if (c->file.level == LV_LOG_NONE) {
        uninstall(LOG_FILE);
        return;
    }
    if (!is_same && open_file(c->file.path) != LV_OK) {
        failed(f, LV_EIO, "log file", c->file.path);
        c->file.level = LV_LOG_NONE;
        uninstall(LOG_FILE);
        return;
    }
    set_date(c);
}

static void set_sockets(struct lv_log_config *c, struct failure *f)
{
    if (c->journald.level == LV_LOG_NONE) {
        uninstall(JOURNALD);
    } else if (open_local(JOURNALD) != LV_OK) {
        failed(f, LV_EIO, "journal", c->journald.socket);
        c->journald.level = LV_LOG_NONE;
    }
    enum lv_err err = c->syslog.level == LV_LOG_NONE ? LV_OK : open_syslog(c);
    if (err != LV_OK) {
        failed(f, err, "syslog server", c->syslog.host);
        c->syslog.level = LV_LOG_NONE;
    }
    if (c->syslog.level == LV_LOG_NONE)
        uninstall(SYSLOG);
}

static bool is_same(const struct lv_log_config *a, const struct lv_log_config *b)
{
    return a->console.level == b->console.level && a->console.form == b->console.form &&
           a->console.time == b->console.time && a->console.fd == b->console.fd &&
           a->file.level == b->file.level && a->file.form == b->file.form &&
           a->file.time == b->file.time && strcmp(a->file.path, b->file.path) == 0 &&
           a->file.bytes_max == b->file.bytes_max && a->file.kept == b->file.kept &&
           strcmp(a->file.rotation_date, b->file.rotation_date) == 0 &&
           a->journald.level == b->journald.level &&
           strcmp(a->journald.socket, b->journald.socket) == 0 &&
           a->syslog.level == b->syslog.level && a->syslog.form == b->syslog.form &&
           a->syslog.transport == b->syslog.transport &&
           a->syslog.is_rfc5424 == b->syslog.is_rfc5424 &&
           strcmp(a->syslog.socket, b->syslog.socket) == 0 &&
           strcmp(a->syslog.host, b->syslog.host) == 0 && a->syslog.port == b->syslog.port &&
           a->syslog.facility == b->syslog.facility &&
           strcmp(a->syslog.identity, b->syslog.identity) == 0;
}

enum lv_err lv_log_configure(const struct lv_log_config *c, char *error, size_t cap)
{
    struct snapshot *old = atomic_load_explicit(&current, memory_order_acquire);
    struct failure f = { LV_OK, error, cap };

    for (int i = 0; i < LV_LOG_CATEGORY_COUNT; i++)
        lv_log_set_category_level((enum lv_log_category)i, c->levels[i]);
    if (old != NULL && is_same(c, &old->config))
        return LV_OK;
    struct snapshot *s = lv_mem_alloc(sizeof(*s), LV_TAG_CONFIG);
    if (s == NULL) {
        (void)snprintf(error, cap, "out of memory");
        return LV_ENOMEM;
    }
    s->config = *c;
    s->older = old;
    while (!take_busy())
        sched_yield();
    lv_log_set_fd(c->console.fd);
    set_file(&s->config, old != NULL ? &old->config : NULL, &f);
    set_sockets(&s->config, &f);
    atomic_store_explicit(&current, s, memory_order_release);
    leave_busy();
    return f.err;
}

void lv_log_reopen(void)
{
    struct snapshot *s = atomic_load_explicit(&current, memory_order_acquire);

    if (s == NULL || s->config.file.level == LV_LOG_NONE)
        return;
    while (!take_busy())
        sched_yield();
    enum lv_err err = open_file(s->config.file.path);
    int error = errno;
    leave_busy();
    if (err != LV_OK)
        lv_log(LOG_FAILED, lv_log_str("file"), lv_log_str(s->config.file.path),
               lv_log_str(strerrordesc_np(error)));
}

/* ---- dates ---- */

/* "$D0": kind and numbers; false: not of that form. */
static bool parse_date(const char *rule, char *kind, long *number, long *hour)
{
    char *end;

    if (rule[0] != '$' || strchr("HDWM", rule[1]) == NULL || rule[1] == '\0')
        return false;
    *kind = rule[1];
    *hour = 0;
    if (rule[2] < '0' || rule[2] > '9')
        return false;
    *number = strtol(rule + 2, &end, 10);
    if ((*kind == 'W' || *kind == 'M') && end[0] == 'D' && end[1] >= '0' && end[1] <= '9')
        *hour = strtol(end + 1, &end, 10);
    static const struct {
        char kind;
        long low, high;
    } bounds[] = { { 'H', 0, 59 }, { 'D', 0, 23 }, { 'W', 0, 6 }, { 'M', 1, 31 } };
    for (size_t i = 0; i < LV_ARRAY_LEN(bounds); i++)
        if (bounds[i].kind == *kind)
            return *end == '\0' && *number >= bounds[i].low && *number <= bounds[i].high &&
                   *hour <= 23;
    return false;
}

bool lv_log_date_next(const char *rule, int64_t now_s, int64_t *next_s)
{
    time_t now = (time_t)now_s;
    long number, hour;
    char kind;

    if (!parse_date(rule, &kind, &number, &hour))
        return false;
    /* At most 62 days ahead, whatever the month is like. */
    for (int step = 0; step <= 62; step++) {
        struct tm tm;
        (void)localtime_r(&now, &tm);
        tm.tm_sec = 0;
        tm.tm_isdst = -1;
        if (kind == 'H') {
            tm.tm_min = (int)number;
            tm.tm_hour += step;
        } else {
            tm.tm_min = 0;
            tm.tm_hour = (int)(kind == 'D' ? number : hour);
            tm.tm_mday += step;
        }
        time_t at = mktime(&tm);
        bool is_day = kind == 'H' || kind == 'D' || (kind == 'W' && tm.tm_wday == (int)number) ||
                      (kind == 'M' && tm.tm_mday == (int)number);
        if (is_day && at > now) {
            *next_s = (int64_t)at;
            return true;
        }
    }
    return false;
}
