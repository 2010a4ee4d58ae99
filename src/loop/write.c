/* Output of a connection: gathered during the turn, written by one call at its end.
 *
 * While `out_at` is set, out_last is a run that is still growing: it ends at out_at. lv_out_seal() closes it. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "loop/conn_priv.h"
#include "loop/loop_priv.h"
#include "loop/tls_priv.h"

#define WRITE_PIECES_MAX 128
#define TRIM_EVERY_MS 2000u

void lv_out_seal(struct lv_conn *c)
{
    if (c->out_at != NULL && !c->is_closing) {
        struct lv_out_seg *run = c->out_last;
        struct lv_out_buf *buf = c->io->buf;
        run->len = (size_t)(c->out_at - run->ptr);
        buf->used = (uint32_t)(c->out_at - buf->data);
    }
    c->out_at = c->out_end = NULL;
}

static struct lv_out_seg *append(struct lv_conn *c, enum lv_seg_kind kind, const uint8_t *ptr,
                                 size_t len)
{
    struct lv_out_seg *seg = lv_out_seg_get(&c->loop->pool);

    if (seg == NULL) {
        lv_conn_fail(c, LV_ENOMEM);
        return NULL;
    }
    *seg = (struct lv_out_seg){ .ptr = ptr, .len = len, .kind = kind };
    if (c->out_first == NULL)
        c->out_first = seg;
    else
        c->out_last->next = seg;
    c->out_last = seg;
    return seg;
}

/* A buffer with room for `n`: the one begun, or a new one, larger each time one was not enough. */
static struct lv_out_buf *buf_with_room(struct lv_conn *c, size_t n)
{
    struct lv_conn_io *io = c->io;
    struct lv_out_pool *pool = &c->loop->pool;

    if (io->buf != NULL) {
        if (io->buf->cap - io->buf->used >= n)
            return io->buf;
        lv_out_buf_unref(pool, io->buf);
        io->buf = NULL;
        if (io->out_class + 1u < LV_OUT_CLASSES)
            io->out_class++;
    }
    while (lv_out_class_bytes(io->out_class) < n)
        io->out_class++;
    io->buf = lv_out_buf_get(pool, io->out_class);
    return io->buf;
}

uint8_t *lv_conn_reserve_slow(struct lv_conn *c, size_t n)
{
    LV_ASSERT(n <= LV_OUT_RESERVE_MAX);
    if (c->is_closing) {
        /* Dropped: written where nobody looks. */
        c->out_at = c->loop->trash;
        c->out_end = c->loop->trash + n;
        return c->out_at;
    }
    lv_out_seal(c);
    struct lv_out_buf *buf = buf_with_room(c, n);
    if (buf == NULL) {
        lv_conn_fail(c, LV_ENOMEM);
        return NULL;
    }
    struct lv_out_seg *run = append(c, LV_SEG_RUN, buf->data + buf->used, 0);
    if (run == NULL)
        return NULL;
    run->owner = buf;
    buf->refs++;
    c->out_at = buf->data + buf->used;
    c->out_end = buf->data + buf->cap;
    return c->out_at;
}

void lv_conn_mark_dirty(struct lv_conn *c)
{
    if (c->io != NULL && !lv_list_linked(&c->dirty)) /* closed already: the output was dropped */
        lv_list_push(&c->loop->dirty, &c->dirty);
}

void lv_conn_write(struct lv_conn *c, struct lv_bytes b)
{
    while (b.len > 0) {
        size_t room = (size_t)(c->out_end - c->out_at);
        if (room == 0) {
            if (lv_conn_reserve(c, LV_MIN(b.len, LV_OUT_RESERVE_MAX)) == NULL)
                return;
            room = (size_t)(c->out_end - c->out_at);
        }
        size_t n = LV_MIN(room, b.len);
        memcpy(c->out_at, b.ptr, n);
        lv_conn_wrote(c, n);
        b.ptr += n;
        b.len -= n;
    }
}

void lv_conn_write_ref(struct lv_conn *c, struct lv_bytes b, void *owner,
                       void (*release)(void *owner))
{
    struct lv_out_seg *seg = NULL;

    if (!c->is_closing) {
        lv_out_seal(c);
        seg = append(c, LV_SEG_REF, b.ptr, b.len);
    }
    if (seg == NULL) {
        release(owner);
        return;
    }
    seg->owner = owner;
    seg->release = release;
    c->out_bytes += b.len;
    lv_conn_mark_dirty(c);
}

void lv_conn_write_borrowed(struct lv_conn *c, struct lv_bytes b)
{
    struct lv_loop *loop = c->loop;
    const uint8_t *block = loop->blocks[loop->block];

    LV_ASSERT(b.ptr >= block && b.ptr + b.len <= block + loop->block_bytes);
    if (c->is_closing)
        return;
    lv_out_seal(c);
    if (append(c, LV_SEG_BORROWED, b.ptr, b.len) == NULL)
        return;
    c->out_bytes += b.len;
    loop->is_block_lent = true;
    if (!lv_list_linked(&c->io->borrower))
        lv_list_push(&loop->borrowers, &c->io->borrower);
    lv_conn_mark_dirty(c);
}

bool lv_conn_is_full(struct lv_conn *c)
{
    if (c->out_bytes > c->loop->out_high_bytes)
        c->is_full = true;
    return c->is_full;
}

/* ---- giving back ---- */

static void pop(struct lv_conn *c)
{
    struct lv_out_seg *seg = c->out_first;

    c->out_first = seg->next;
    if (c->out_first == NULL)
        c->out_last = NULL;
    lv_out_seg_put(&c->loop->pool, seg);
}

void lv_out_drop(struct lv_conn *c)
{
    lv_out_seal(c);
    while (c->out_first != NULL)
        pop(c);
    c->out_bytes = 0;
    if (c->io->buf != NULL)
        lv_out_buf_unref(&c->loop->pool, c->io->buf);
    c->io->buf = NULL;
}

/* All is written: an idle connection owns no buffer, and its next one fits what it wrote since it last was idle. */
static void ran_empty(struct lv_conn *c)
{
    struct lv_conn_io *io = c->io;

    if (io->buf != NULL)
        lv_out_buf_unref(&c->loop->pool, io->buf);
    io->buf = NULL;
    if (io->out_class > 0 && io->turn_bytes < lv_out_class_bytes(io->out_class - 1u) / 2)
        io->out_class--;
    io->turn_bytes = 0;
    c->out_bytes = 0;
    if (io->state == LV_CONN_LINGERING && !io->has_shut) {
        io->has_shut = true;
        (void)shutdown(io->fd, SHUT_WR); /* the peer's end of file ends the lingering */
    }
}

/* ---- writing ---- */

static int gather(struct lv_conn *c, struct iovec *iov, size_t budget, size_t *bytes)
{
    int n = 0;

    *bytes = 0;
    for (struct lv_out_seg *s = c->out_first; s != NULL && n < WRITE_PIECES_MAX && *bytes < budget;
         s = s->next) {
        if (s->len == 0)
            continue;
        iov[n++] = (struct iovec){ (void *)(uintptr_t)s->ptr, s->len };
        *bytes += s->len;
    }
    return n;
}

void lv_out_written(struct lv_conn *c, size_t n)
{
    c->bytes_out += n;
    c->out_bytes -= LV_MIN(n, c->out_bytes); /* what was dropped after closing was counted, too */
    c->io->turn_bytes += n;
    while (c->out_first != NULL && n >= c->out_first->len) {
        n -= c->out_first->len;
        pop(c);
    }
    if (n > 0) {
        c->out_first->ptr += n;
        c->out_first->len -= n;
    }
}

/* Writes what waits, as far as the socket takes it. */
static void send_plain(struct lv_conn *c)
{
    struct lv_loop *loop = c->loop;
    size_t budget = LV_WRITE_BUDGET_BYTES;

    for (;;) {
        struct iovec iov[WRITE_PIECES_MAX];
        size_t want;
        struct msghdr msg = { .msg_iov = iov };
        msg.msg_iovlen = (size_t)gather(c, iov, budget, &want);
        if (want == 0)
            return;
        ssize_t n = sendmsg(c->io->fd, &msg, MSG_NOSIGNAL);
        lv_stat_add(loop, LV_STAT_WRITES, 1);
        c->writes++;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN && errno != ENOBUFS) {
            lv_conn_fail(c, lv_conn_error(errno));
            return;
        }
        size_t done = n > 0 ? (size_t)n : 0;
        lv_stat_add(loop, LV_STAT_BYTES_OUT, done);
        lv_out_written(c, done);
        if (done < want) {
            lv_conn_poll_writable(c, true);
            return;
        }
        budget -= LV_MIN(budget, done);
        if (budget == 0 && c->out_first != NULL) {
            lv_conn_mark_dirty(c); /* the others first */
            return;
        }
    }
}

static void flush(struct lv_conn *c)
{
    struct lv_loop *loop = c->loop;
    struct lv_conn_io *io = c->io;

    lv_list_remove(&c->dirty);
    lv_out_seal(c);
    if (io->state == LV_CONN_GONE || io->is_blocked)
        return;
    if (LV_UNLIKELY(io->tls != NULL))
        lv_tls_send(c);
    else
        send_plain(c);
    if (io->state == LV_CONN_GONE)
        return;
    while (c->out_first != NULL && c->out_first->len == 0)
        pop(c);
    if (c->out_first == NULL && !io->is_blocked)
        ran_empty(c);
    if (!io->is_blocked && io->events & UV_WRITABLE && c->out_first == NULL)
        lv_conn_poll_writable(c, false);
    if (c->is_full && c->out_bytes <= loop->out_high_bytes / 2)
        lv_conn_drained(c);
}

void lv_conn_flush(struct lv_conn *c)
{
    if (c->io != NULL && !c->io->is_blocked)
        flush(c);
}

/* Now and then everything that lies idle goes back to the heap; a busy loop fetches it again at no cost to speak of. */
static void on_trim(struct lv_loop *loop, struct lv_timer *t)
{
    if (loop->is_block_lent || loop->block != 0) {
        lv_timer_start(loop, t, 0, on_trim);
        return;
    }
    lv_out_pool_trim(&loop->pool);
    for (unsigned i = 1; i < LV_BLOCKS_MAX; i++) {
        lv_mem_free(loop->blocks[i], LV_TAG_LOOP);
        loop->blocks[i] = NULL;
    }
}

void lv_conns_flush(struct lv_loop *loop)
{
    struct lv_link due, *link;

    if (lv_list_empty(&loop->dirty))
        return;
    if (!lv_timer_is_running(&loop->trim))
        lv_timer_start(loop, &loop->trim, TRIM_EVERY_MS, on_trim);
    lv_list_init(&due);
    lv_list_splice(&due, &loop->dirty);
    while ((link = lv_list_pop(&due)) != NULL)
        flush(LV_CONTAINER_OF(link, struct lv_conn, dirty));
}

/* ---- borrowed bytes ---- */

/* Turns a segment into a run of a copy. */
static enum lv_err copy_seg(struct lv_conn *c, struct lv_out_seg *seg)
{
    struct lv_out_buf *buf = lv_out_buf_copy(&c->loop->pool, seg->ptr, seg->len);

    if (buf == NULL)
        return LV_ENOMEM;
    if (seg->kind == LV_SEG_REF)
        seg->release(seg->owner);
    seg->kind = LV_SEG_RUN;
    seg->owner = buf;
    seg->ptr = buf->data;
    return LV_OK;
}

static void copy_segs(struct lv_conn *c, bool refs_too)
{
    lv_out_seal(c);
    for (struct lv_out_seg *s = c->out_first; s != NULL; s = s->next) {
        if (s->kind == LV_SEG_RUN || (s->kind == LV_SEG_REF && !refs_too))
            continue;
        if (copy_seg(c, s) != LV_OK) {
            lv_conn_fail(c, LV_ENOMEM);
            return;
        }
    }
}

void lv_conn_own_output(struct lv_conn *c)
{
    copy_segs(c, true);
}

void lv_conns_settle(struct lv_loop *loop)
{
    struct lv_link *link;

    while ((link = lv_list_pop(&loop->borrowers)) != NULL) {
        struct lv_conn *c = LV_CONTAINER_OF(link, struct lv_conn_io, borrower)->conn;
        if (lv_list_linked(&c->dirty))
            flush(c); /* the blocks ran out in the middle of a turn */
        if (c->io->state == LV_CONN_GONE)
            lv_out_drop(c);
        else
            copy_segs(c, false);
    }
    loop->block = 0;
    loop->is_block_lent = false;
}
