/* Listening sockets. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/addr_priv.h"
#include "loop/conn.h"
#include "loop/loop_priv.h"
#include "os/log.h"

#define BACKLOG 4096
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

static int listening_socket(const struct sockaddr_storage *addr, socklen_t len)
{
    int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int yes = 1, no = 0, error;

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (addr->ss_family == AF_INET6) /* "[::]" serves both families, as RabbitMQ's does */
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
    if (bind(fd, (const struct sockaddr *)addr, len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    error = errno;
    (void)close(fd);
    errno = error;
    return -1;
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
    struct sockaddr_storage addr;
    socklen_t len;
    struct lv_listener *l;
    enum lv_err err;

    *out = NULL;
    err = lv_addr_parse(address, &addr, &len);
    if (err != LV_OK)
        return err;
    l = lv_mem_zalloc(sizeof(*l), LV_TAG_LOOP);
    if (l == NULL)
        return LV_ENOMEM;
    l->loop = loop;
    l->accepted = accepted;
    l->ctx = ctx;
    l->reserve = -1;
    l->fd = listening_socket(&addr, len);
    if (l->fd < 0) {
        lv_mem_free(l, LV_TAG_LOOP);
        return LV_EIO;
    }
    l->reserve = open_reserve();
    lv_addr_local(l->fd, l->address);
    if (uv_poll_init(&loop->uv, &l->poll, l->fd) != 0) {
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

static void on_closed(uv_handle_t *handle)
{
    listener_free(handle->data);
}

void lv_listener_close(struct lv_listener *l)
{
    lv_timer_stop(&l->back_off);
    uv_close((uv_handle_t *)&l->poll, on_closed);
}
