/* Listening sockets. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loop/addr_priv.h"
#include "loop/conn.h"
#include "loop/loop_priv.h"
#include "os/log.h"

#define ACCEPTS_PER_WAKE 64
#define LOG_EVERY_MS 1000u
#define BACK_OFF_MS 100u

struct lv_listener {
    uv_poll_t poll;
    struct lv_loop *loop;
    void (*accepted)(struct lv_loop *loop, int fd, void *ctx);
    void *ctx;
    int fd;
    int reserve; /* given up for a moment when descriptors run out, to refuse a client and not let it hang */
    struct lv_timer back_off; /* until clients are accepted again */
    uint64_t refused;         /* since the last line in the log */
    lv_time_ms log_after;
    char address[LV_ADDR_MAX];
    struct sockaddr_un path; /* of a Unix socket; the file is ours as long as it is this one */
    dev_t dev;
    ino_t ino;
};

static int open_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void log_refused(struct lv_listener *l, int error)
{
    l->refused++;
    if (l->loop->now < l->log_after)
        return;
    lv_log(ACCEPT_FAILED, lv_log_str(l->address), lv_log_str(strerrordesc_np(error)),
           lv_log_u64(l->refused));
    l->log_after = l->loop->now + LOG_EVERY_MS;
    l->refused = 0;
}

static void on_readable(uv_poll_t *poll, int status, int events);

static void accept_again(struct lv_loop *loop, struct lv_timer *t)
{
    struct lv_listener *l = LV_CONTAINER_OF(t, struct lv_listener, back_off);

    if (l->reserve < 0)
        l->reserve = open_reserve();
    if (uv_poll_start(&l->poll, UV_READABLE, on_readable) != 0)
        lv_timer_start(loop, t, BACK_OFF_MS, accept_again);
}

/* No descriptor is left (`why`), though perhaps no client either: the kernel looks for descriptors first. A client is
 * refused with the one kept for that, else the backlog would stay readable for ever. If even that does not help, all
 * wait a little. False: enough for now. */
static bool refuse_one(struct lv_listener *l, int why)
{
    (void)close(l->reserve);
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
    bool is_empty = fd < 0 && errno == EAGAIN;
    if (fd >= 0)
        (void)close(fd);
    l->reserve = open_reserve();
    if (is_empty)
        return false;
    log_refused(l, why);
    if (fd >= 0)
        return true;
    (void)uv_poll_stop(&l->poll);
    lv_timer_start(l->loop, &l->back_off, BACK_OFF_MS, accept_again);
    return false;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct lv_listener *l = poll->data;

    (void)status;
    (void)events;
    lv_turn_begin(l->loop);
    for (int i = 0; i < ACCEPTS_PER_WAKE && !uv_is_closing((uv_handle_t *)poll); i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            l->accepted(l->loop, fd, l->ctx);
            continue;
        }
        if (errno == EAGAIN)
            return;
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (!refuse_one(l, errno))
            return;
    }
}

/* ---- opening ---- */

static int close_failed(int fd)
{
    int error = errno;

    (void)close(fd);
    errno = error;
    return -1;
}

static void set_option(int fd, int level, int option, int value)
{
    /* A Unix socket has some of them only: then there is nothing to set. */
    (void)setsockopt(fd, level, option, &value, sizeof(value));
}

static int listening_socket(const struct sockaddr_storage *addr, socklen_t len)
{
    int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (addr->ss_family == AF_INET6) /* "[::]" serves both families, as RabbitMQ's does */
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (bind(fd, (const struct sockaddr *)addr, len) == 0 && listen(fd, LV_LISTEN_BACKLOG) == 0)
        return fd;
    return close_failed(fd);
}

/* Removes a socket file whose listener is gone; anything else stays, and errno says what it is. */
static bool remove_stale(const struct sockaddr_un *addr)
{
    struct stat st;
    int error = EEXIST;

    if (lstat(addr->sun_path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        bool is_refused = fd >= 0 &&
                          connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) != 0 &&
                          errno == ECONNREFUSED;
        if (fd >= 0)
            (void)close(fd);
        if (is_refused && unlink(addr->sun_path) == 0)
            return true;
        error = EADDRINUSE;
    }
    errno = error;
    return false;
}

static int unix_socket(const struct sockaddr_un *addr, mode_t mode)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const struct sockaddr *name = (const struct sockaddr *)addr;

    if (fd < 0)
        return -1;
    /* Linux makes the file with the socket's mode less the umask: at no time may more connect than shall. */
    if (fchmod(fd, mode) != 0)
        return close_failed(fd);
    if (bind(fd, name, sizeof(*addr)) != 0 &&
        (errno != EADDRINUSE || !remove_stale(addr) || bind(fd, name, sizeof(*addr)) != 0))
        return close_failed(fd);
    if (chmod(addr->sun_path, mode) == 0 && listen(fd, LV_LISTEN_BACKLOG) == 0)
        return fd;
    close_failed(fd);
    int error = errno;
    (void)unlink(addr->sun_path);
    errno = error;
    return -1;
}

static void remember_file(struct lv_listener *l)
{
    struct stat st;

    if (lstat(l->path.sun_path, &st) == 0) {
        l->dev = st.st_dev;
        l->ino = st.st_ino;
    }
}

static void remove_file(const struct lv_listener *l)
{
    struct stat st;

    if (l->path.sun_path[0] != '\0' && lstat(l->path.sun_path, &st) == 0 && st.st_dev == l->dev &&
        st.st_ino == l->ino)
        (void)unlink(l->path.sun_path);
}

static enum lv_err open_socket(struct lv_listener *l, const char *address)
{
    struct sockaddr_storage addr;
    struct sockaddr_un path;
    socklen_t len;
    mode_t mode;

    if (lv_addr_parse(address, &addr, &len) == LV_OK) {
        l->fd = listening_socket(&addr, len);
    } else if (lv_addr_parse_unix(address, &path, &mode) == LV_OK) {
        l->fd = unix_socket(&path, mode);
        if (l->fd >= 0) {
            l->path = path;
            remember_file(l);
        }
    } else {
        return LV_EINVAL;
    }
    return l->fd >= 0 ? LV_OK : LV_EIO;
}

static void listener_free(struct lv_listener *l)
{
    (void)close(l->fd);
    if (l->reserve >= 0)
        (void)close(l->reserve);
    lv_mem_free(l, LV_TAG_LOOP);
}

enum lv_err lv_listen(struct lv_loop *loop, const char *address,
                      void (*accepted)(struct lv_loop *loop, int fd, void *ctx), void *ctx,
                      struct lv_listener **out)
{
    struct lv_listener *l = lv_mem_zalloc(sizeof(*l), LV_TAG_LOOP);
    enum lv_err err;

    *out = NULL;
    if (l == NULL)
        return LV_ENOMEM;
    l->loop = loop;
    l->accepted = accepted;
    l->ctx = ctx;
    l->reserve = -1;
    err = open_socket(l, address);
    if (err != LV_OK) {
        lv_mem_free(l, LV_TAG_LOOP);
        return err;
    }
    l->reserve = open_reserve();
    lv_addr_local(l->fd, l->address);
    if (uv_poll_init(&loop->uv, &l->poll, l->fd) != 0) {
        remove_file(l);
        listener_free(l);
        return LV_EIO;
    }
    l->poll.data = l;
    if (uv_poll_start(&l->poll, UV_READABLE, on_readable) != 0) {
        lv_listener_close(l);
        return LV_EIO;
    }
    *out = l;
    return LV_OK;
}

void lv_listener_address(const struct lv_listener *l, char out[LV_ADDR_MAX])
{
    memcpy(out, l->address, LV_ADDR_MAX);
}

/* On Linux an accepted socket begins with what its listener was given, and buffers have to be known before the window is
 * negotiated. */
void lv_listener_set_options(struct lv_listener *l, const struct lv_listen_options *options)
{
    struct linger linger = { options->resets_at_close, 0 };
    int backlog = options->backlog != 0 ? options->backlog : LV_LISTEN_BACKLOG;

    set_option(l->fd, IPPROTO_TCP, TCP_NODELAY, !options->waits_for_more);
    set_option(l->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)options->send_timeout_ms);
    set_option(l->fd, SOL_SOCKET, SO_KEEPALIVE, options->has_keepalive);
    (void)setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    if (options->sndbuf != 0)
        set_option(l->fd, SOL_SOCKET, SO_SNDBUF, options->sndbuf);
    if (options->recbuf != 0)
        set_option(l->fd, SOL_SOCKET, SO_RCVBUF, options->recbuf);
    (void)listen(l->fd, backlog); /* a listening socket takes a new number */
}

static void on_closed(uv_handle_t *handle)
{
    listener_free(handle->data);
}

void lv_listener_close(struct lv_listener *l)
{
    lv_timer_stop(&l->back_off);
    remove_file(l);
    uv_close((uv_handle_t *)&l->poll, on_closed);
}
