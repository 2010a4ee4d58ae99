/* The life of a connection and its input. Output is in write.c.
 *
 * libuv's callbacks only put a connection on its loop's ready or dirty list; reading, telling the owner and tearing
 * down happen in the turn (turn.c). So no callback of the owner runs inside a call the owner made, except
 * release functions, and lv_conn_close is allowed anywhere. */
#include "loop/conn.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "loop/conn_priv.h"
#include "loop/loop_priv.h"
#include "loop/proxy_priv.h"
#include "loop/tls_priv.h"

static struct lv_conn_io *io_of(struct lv_link *link, size_t offset)
{
    return (struct lv_conn_io *)((char *)link - offset);
}
#define IO_OF(link, list) io_of(link, offsetof(struct lv_conn_io, list))

/* ---- polling ---- */

static bool wants_bytes(const struct lv_conn *c)
{
    const struct lv_conn_io *io = c->io;

    return io->state == LV_CONN_LINGERING ||
           (io->state == LV_CONN_OPEN && !c->is_paused && !io->is_held);
}

static void on_poll(uv_poll_t *poll, int status, int events);

/* Polls for what is wanted now. */
static void poll_update(struct lv_conn *c)
{
    struct lv_conn_io *io = c->io;
    int events = (wants_bytes(c) ? UV_READABLE : 0) | (io->is_blocked ? UV_WRITABLE : 0);

    if (events == io->events || io->is_broken)
        return;
    io->events = (uint8_t)events;
    if (events == 0)
        (void)uv_poll_stop(io->poll);
    else if (uv_poll_start(io->poll, events, on_poll) != 0)
        lv_conn_fail(c, LV_EIO);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct lv_conn *c = poll->data;
    struct lv_conn_io *io = c->io;
    struct lv_loop *loop = c->loop;

    if (status < 0) {
        io->is_broken = true; /* libuv has stopped polling it */
        io->events = 0;
        if (!wants_bytes(c)) {
            lv_conn_fail(c, LV_ECLOSED);
            return;
        }
        events = UV_READABLE;
    }
    if (events & UV_WRITABLE) {
        io->is_blocked = false;
        lv_conn_mark_dirty(c);
    }
    if (!(events & UV_READABLE))
        return;
    if (loop->overflowing != 0 && !io->is_broken)
        io->is_held = true;
    if (!wants_bytes(c) && !io->is_held) {
        poll_update(c);
        return;
    }
    if (!lv_list_linked(&io->ready))
        lv_list_push(&loop->ready, &io->ready);
    if (io->is_held)
        poll_update(c);
}

static void on_poll_closed(uv_handle_t *handle)
{
    lv_mem_free(handle, LV_TAG_CONN);
}

static enum lv_err poll_open(struct lv_loop *loop, int fd, uv_poll_t **out)
{
    uv_poll_t *poll = lv_mem_alloc(sizeof(*poll), LV_TAG_CONN);

    *out = NULL;
    if (poll == NULL)
        return LV_ENOMEM;
    /* Makes the socket non-blocking, too. */
    if (uv_poll_init(&loop->uv, poll, fd) != 0) {
        lv_mem_free(poll, LV_TAG_CONN);
        return LV_EIO;
    }
    *out = poll;
    return LV_OK;
}

/* ---- hooked into a loop ---- */

static enum lv_err hook_in(struct lv_conn *c, struct lv_loop *loop)
{
    struct lv_conn_io *io = c->io;
    enum lv_err err = poll_open(loop, io->fd, &io->poll);

    if (err != LV_OK)
        return err;
    io->poll->data = c;
    io->events = 0;
    if (wants_bytes(c)) {
        io->events = UV_READABLE;
        if (uv_poll_start(io->poll, UV_READABLE, on_poll) != 0) {
            uv_close((uv_handle_t *)io->poll, on_poll_closed);
            io->poll = NULL;
            return LV_EIO;
        }
    }
    c->loop = loop;
    lv_list_push(&loop->conns, &io->all);
    lv_stat_add(loop, LV_STAT_CONNS, 1);
    return LV_OK;
}

static void unhook(struct lv_conn *c)
{
    struct lv_conn_io *io = c->io;

    uv_close((uv_handle_t *)io->poll, on_poll_closed);
    io->poll = NULL;
    lv_list_remove(&io->ready);
    lv_list_remove(&io->attention);
    lv_list_remove(&io->borrower);
    lv_list_remove(&io->all);
    lv_list_remove(&c->dirty);
    lv_timer_stop(&io->linger);
    if (io->tls != NULL)
        lv_tls_unhook(c);
    lv_stat_add(c->loop, LV_STAT_CONNS, (uint64_t)-1);
}

enum lv_err lv_conn_open(struct lv_conn *c, struct lv_loop *loop, int fd,
                         const struct lv_conn_ops *ops)
{
    struct lv_conn_io *io = lv_mem_zalloc(sizeof(*io), LV_TAG_CONN);
    enum lv_err err;

    if (io == NULL)
        return LV_ENOMEM;
    *c = (struct lv_conn){ .ops = ops, .io = io };
    lv_list_init(&c->dirty);
    io->conn = c;
    io->fd = fd;
    lv_list_init(&io->ready);
    lv_list_init(&io->attention);
    lv_list_init(&io->borrower);
    lv_list_init(&io->all);
    err = hook_in(c, loop);
    if (err != LV_OK) {
        lv_mem_free(io, LV_TAG_CONN);
        c->io = NULL;
        return err;
    }
    return LV_OK;
}

static void attention(struct lv_conn *c)
{
    if (!lv_list_linked(&c->io->attention))
        lv_list_push(&c->loop->attention, &c->io->attention);
}

/* ---- the end ---- */

void lv_conn_fail(struct lv_conn *c, enum lv_err why)
{
    struct lv_conn_io *io = c->io;

    if (io->state == LV_CONN_GONE)
        return;
    if (io->state == LV_CONN_OPEN)
        io->why = why;
    io->state = LV_CONN_GONE;
    c->is_closing = true;
    c->out_at = c->out_end = NULL;
    attention(c);
}

enum lv_err lv_conn_error(int error)
{
    if (error == ETIMEDOUT)
        return LV_ETIMEOUT;
    return error == EPIPE || error == ECONNRESET ? LV_ECLOSED : LV_EIO;
}

static void on_linger(struct lv_loop *loop, struct lv_timer *t)
{
    (void)loop;
    lv_conn_fail(LV_CONTAINER_OF(t, struct lv_conn_io, linger)->conn, LV_OK);
}

static void linger(struct lv_conn *c, enum lv_err why, uint64_t linger_ms)
{
    struct lv_conn_io *io = c->io;

    lv_out_seal(c);
    io->state = LV_CONN_LINGERING;
    io->why = why;
    c->is_closing = true;
    io->is_held = false;
    lv_timer_start(c->loop, &io->linger, linger_ms, on_linger);
    lv_conn_mark_dirty(c);
    poll_update(c);
}

void lv_conn_close(struct lv_conn *c, uint64_t linger_ms)
{
    struct lv_conn_io *io = c->io;

    if (io == NULL || io->state == LV_CONN_GONE)
        return;
    if (linger_ms == 0 || lv_tls_is_shaking(c)) { /* nothing was said yet that could be heard */
        lv_conn_fail(c, LV_OK);
        return;
    }
    if (io->state != LV_CONN_LINGERING)
        linger(c, LV_OK, linger_ms);
}

void lv_conn_give_up(struct lv_conn *c, enum lv_err why, uint64_t linger_ms)
{
    lv_out_drop(c);
    linger(c, why, linger_ms);
}

/* Closes the socket and frees all that the connection holds. It is not hooked into its loop any more. */
static void release_all(struct lv_conn *c)
{
    struct lv_conn_io *io = c->io;

    lv_out_drop(c);
    if (io->tls != NULL)
        lv_tls_close(c);
    (void)close(io->fd);
    lv_mem_free(io->carry, LV_TAG_CONN);
    lv_mem_free(io->proxy, LV_TAG_CONN);
    lv_mem_free(io->proxied, LV_TAG_CONN);
    lv_mem_free(io, LV_TAG_CONN);
    c->io = NULL;
}

static void tear_down(struct lv_conn *c)
{
    enum lv_err why = c->io->why;

    unhook(c);
    release_all(c);
    c->ops->closed(c, why);
}

void lv_conns_drop(struct lv_loop *loop)
{
    while (!lv_list_empty(&loop->conns)) {
        LV_LIST_FOR (link, &loop->conns)
            lv_conn_fail(IO_OF(link, all)->conn, LV_ECLOSED);
        lv_conns_attend(loop);
    }
}

/* ---- moving ---- */

void lv_conn_detach(struct lv_conn *c)
{
    LV_ASSERT(c->loop->reading != c);
    LV_ASSERT(!c->is_closing && !lv_tls_is_shaking(c));
    lv_conn_own_output(c);
    unhook(c);
    c->io->is_held = false;
    c->loop = NULL;
}

enum lv_err lv_conn_attach(struct lv_conn *c, struct lv_loop *loop)
{
    struct lv_conn_io *io = c->io;
    enum lv_err err = LV_OK;

    if (io->tls != NULL)
        err = lv_tls_hook_in(loop);
    if (err == LV_OK)
        err = hook_in(c, loop);
    if (err != LV_OK) {
        c->loop = loop;
        c->is_closing = true;
        release_all(c);
        return err;
    }
    if (io->state == LV_CONN_GONE || io->wants_input || io->wants_drained)
        attention(c);
    if (io->has_more)
        lv_list_push(&loop->ready, &io->ready);
    if (io->is_blocked)
        poll_update(c);
    else if (c->out_first != NULL || io->tls != NULL)
        lv_conn_mark_dirty(c);
    return LV_OK;
}

/* ---- input ---- */

/* Copies what the owner left, to go before the next bytes. */
static void keep(struct lv_conn *c, const uint8_t *at, size_t len)
{
    struct lv_conn_io *io = c->io;

    io->carry = lv_mem_dup(at, len, LV_TAG_CONN);
    io->carry_bytes = len;
    if (io->carry == NULL)
        lv_conn_fail(c, LV_ENOMEM);
}

/* Puts back in front of a block what was kept. Returns how much. */
static size_t unkeep(struct lv_conn *c, uint8_t *block)
{
    struct lv_conn_io *io = c->io;
    size_t len = io->carry_bytes;

    if (io->carry == NULL)
        return 0;
    memcpy(block, io->carry, len);
    lv_mem_free(io->carry, LV_TAG_CONN);
    io->carry = NULL;
    io->carry_bytes = 0;
    return len;
}

/* Hands `len` bytes to the owner and keeps what it leaves. */
static void deliver(struct lv_conn *c, uint8_t *at, size_t len)
{
    struct lv_loop *loop = c->loop;
    size_t used = 0;

    if (len == 0)
        return;
    if (!c->is_closing && !c->is_paused) {
        loop->reading = c;
        used = c->ops->input(c, lv_bytes(at, len));
        loop->reading = NULL;
        LV_ASSERT(used <= len);
        LV_ASSERT(used == len || c->into_bytes == 0 || c->is_closing);
    }
    if (used < len && c->io->state == LV_CONN_OPEN)
        keep(c, at + used, len - used);
}

/* The read block, no output pointing into it. */
static uint8_t *free_block(struct lv_loop *loop)
{
    if (!loop->is_block_lent)
        return loop->blocks[loop->block];
    loop->is_block_lent = false;
    if (loop->block + 1 < LV_BLOCKS_MAX) {
        uint8_t **next = &loop->blocks[loop->block + 1];
        if (*next == NULL)
            *next = lv_mem_alloc(loop->block_bytes, LV_TAG_LOOP);
        if (*next != NULL) {
            loop->block++;
            return *next;
        }
    }
    lv_conns_settle(loop);
    return loop->blocks[loop->block];
}

/* What a lingering connection still receives is read and dropped: closing a socket with unread input would reset it,
 * and the peer might never see our last bytes. */
static void drop_input(struct lv_conn *c, uint8_t *block)
{
    ssize_t n = read(c->io->fd, block, c->loop->block_bytes);

    if (n > 0) {
        c->bytes_in += (uint64_t)n;
        return;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        lv_conn_fail(c, LV_OK);
}

/* Reads into the owner's memory, if it has named any, and into the block. */
static ssize_t receive(struct lv_conn *c, uint8_t *block, size_t room)
{
    struct iovec iov[2] = { { c->into, c->into_bytes }, { block, room } };

    if (LV_UNLIKELY(c->io->proxy != NULL))
        return lv_proxy_receive(c);
    if (LV_UNLIKELY(c->io->tls != NULL))
        return lv_tls_receive(c, block, room);
    if (c->into_bytes == 0 || c->into == NULL)
        return read(c->io->fd, block, room);
    return readv(c->io->fd, iov, 2);
}

/* One read. Returns how many bytes came. */
static size_t read_once(struct lv_conn *c)
{
    struct lv_loop *loop = c->loop;
    uint8_t *block = free_block(loop), *at = block;

    if (c->io->state == LV_CONN_LINGERING) {
        drop_input(c, block);
        return 0;
    }
    size_t kept = unkeep(c, block);
    if (kept >= loop->block_bytes - (LV_UNLIKELY(c->io->tls != NULL) ? LV_TLS_RECORD_MAX : 0)) {
        lv_conn_fail(c, LV_EFULL);
        return 0;
    }
    ssize_t n = receive(c, block + kept, loop->block_bytes - kept);
    if (n <= 0) {
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (kept > 0)
                keep(c, block, kept);
            return 0;
        }
        lv_conn_fail(c, n == 0 ? LV_ECLOSED : lv_conn_error(errno));
        return 0;
    }
    /* Nothing is kept while the owner's memory is filled: input had to consume everything. */
    size_t got = (size_t)n, awaited = LV_MIN(got, c->into_bytes);
    c->bytes_in += got;
    c->into_bytes -= awaited;
    if (c->into == NULL) {
        at += awaited; /* dropped */
    } else if (awaited > 0) {
        c->into += awaited;
        loop->reading = c;
        c->ops->filled(c, awaited);
        loop->reading = NULL;
    }
    deliver(c, at, kept + got - awaited);
    return got;
}

/* What no poll will report is read again without one. */
static void read_again(struct lv_conn *c)
{
    struct lv_conn_io *io = c->io;

    if (((io->is_broken && io->state != LV_CONN_GONE) ||
         (io->has_more && io->state == LV_CONN_OPEN)) &&
        !lv_list_linked(&io->ready))
        lv_list_push(&c->loop->ready, &io->ready);
}

void lv_conns_read(struct lv_loop *loop)
{
    struct lv_link due, *link;
    size_t left = LV_TURN_READ_BYTES;
    uint64_t bytes = 0, reads = 0;

    lv_list_init(&due);
    lv_list_splice(&due, &loop->ready);
    while (loop->overflowing == 0 && bytes < left && (link = lv_list_pop(&due)) != NULL) {
        struct lv_conn *c = IO_OF(link, ready)->conn;
        if (c->io->is_held) {
            c->io->is_held = false;
            poll_update(c);
        }
        if (!wants_bytes(c) || (c->io->wants_input && c->io->carry != NULL))
            continue; /* what was kept while it was paused comes first, in the deferred phase */
        size_t got = read_once(c);
        c->reads++;
        bytes += got;
        reads++;
        read_again(c);
    }
    /* Those that have waited go first in the next turn. */
    lv_list_splice(&due, &loop->ready);
    lv_list_splice(&loop->ready, &due);
    if (reads != 0) {
        lv_stat_add(loop, LV_STAT_READS, reads);
        lv_stat_add(loop, LV_STAT_BYTES_IN, bytes);
    }
}

void lv_conn_read_into(struct lv_conn *c, uint8_t *to, size_t n)
{
    LV_ASSERT(c->loop->reading == c);
    c->into = to;
    c->into_bytes = n;
}

void lv_conn_read_drop(struct lv_conn *c)
{
    c->into = NULL;
}

void lv_conn_pause(struct lv_conn *c)
{
    /* The poll goes on until it fires: pausing and going on between two reads costs no system call. */
    c->is_paused = true;
}

void lv_conn_resume(struct lv_conn *c)
{
    if (!c->is_paused)
        return;
    c->is_paused = false;
    if (c->io == NULL || c->io->state != LV_CONN_OPEN)
        return;
    c->io->wants_input = true;
    attention(c);
}

/* ---- the deferred phase ---- */

static void attend(struct lv_conn *c)
{
    struct lv_conn_io *io = c->io;

    if (io->wants_input && io->state == LV_CONN_OPEN && !c->is_paused) {
        io->wants_input = false;
        poll_update(c);
        read_again(c);
        if (io->carry != NULL) {
            uint8_t *block = free_block(c->loop);
            deliver(c, block, unkeep(c, block));
        }
    }
    if (io->state == LV_CONN_GONE) {
        tear_down(c);
        return;
    }
    if (io->wants_drained) {
        io->wants_drained = false;
        if (!c->is_closing)
            c->ops->drained(c); /* may detach it */
    }
}

void lv_conns_attend(struct lv_loop *loop)
{
    struct lv_link due, *link;

    lv_list_init(&due);
    lv_list_splice(&due, &loop->attention);
    while ((link = lv_list_pop(&due)) != NULL)
        attend(IO_OF(link, attention)->conn);
}

void lv_conn_drained(struct lv_conn *c)
{
    c->is_full = false;
    c->io->wants_drained = true;
    attention(c);
}

void lv_conn_poll_writable(struct lv_conn *c, bool is_blocked)
{
    c->io->is_blocked = is_blocked;
    poll_update(c);
}
