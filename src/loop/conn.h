/* loop/conn.h - one stream socket on a loop: bytes in, bytes out, no protocol.
 *
 * In    Each turn the socket is read once into the loop's shared read block (the read budget), or straight into
 *       memory the owner named (a large body); the owner consumes what it can. What is left over (the beginning
 *       of a frame) is kept for the connection and put before the next bytes, so the owner always sees one piece.
 * Out   Output gathers in buffers and leaves in one writev at the end of the turn. An idle connection owns
 *       neither input nor output memory.
 * Owner the loop's thread. A connection may be moved to another loop between turns (lv_conn_detach/attach).
 */
#ifndef LV_LOOP_CONN_H
#define LV_LOOP_CONN_H
#include "base/bytes.h"
#include "base/err.h"
#include "loop/loop.h"

struct lv_conn;

struct lv_conn_ops {
    /* New bytes (with what was left over before them). Returns how many were consumed; the rest comes again with
     * more behind it. The bytes are valid until the end of the call; those given to lv_conn_write_borrowed until
     * the end of the turn. Not called while reading is paused, or after lv_conn_close. */
    size_t (*input)(struct lv_conn *c, struct lv_bytes in);
    /* `n` bytes went straight into the memory set by lv_conn_read_into. */
    void (*filled)(struct lv_conn *c, size_t n);
    /* Output was full (lv_conn_is_full) and has drained below half of the high mark. */
    void (*drained)(struct lv_conn *c);
    /* The socket is gone: `why` is LV_OK after lv_conn_close, LV_ECLOSED when the peer closed or the loops stop, LV_EIO
     * on errors, LV_ETIMEOUT when the peer took nothing for as long as its listener allows, LV_EREFUSED when a TLS
     * handshake failed, LV_ENOMEM, LV_EFULL when a whole read block was not enough for the owner to consume anything.
     * The last call, from the deferred phase; the owner frees the memory. */
    void (*closed)(struct lv_conn *c, enum lv_err why);
};

struct lv_out_seg; /* a piece of output */
struct lv_conn_io; /* uv handle and rarely used parts; private */

/* Embedded as the first member of the owner's struct. All fields private but `loop`, `out_*`. */
struct lv_conn {
    struct lv_loop *loop;
    const struct lv_conn_ops *ops;
    struct lv_conn_io *io;
    uint8_t *out_at, *out_end;    /* free room of the last output buffer */
    size_t out_bytes;             /* waiting to be written */
    uint64_t bytes_in, bytes_out; /* of the connection's life: heartbeats watch them */
    uint32_t reads, writes;       /* system calls of its life, modulo 2^32 */
    struct lv_link dirty;         /* in the loop's list of connections to flush */
    struct lv_out_seg *out_first, *out_last;
    uint8_t *into; /* lv_conn_read_into; NULL: dropped */
    size_t into_bytes;
    bool is_full, is_paused, is_closing;
};

/* Takes over the connected socket `fd` (made non-blocking). LV_ENOMEM, LV_EIO: fd is still the caller's. */
enum lv_err lv_conn_open(struct lv_conn *c, struct lv_loop *loop, int fd,
                         const struct lv_conn_ops *ops) LV_MUST_USE;
/* The peer is a proxy that speaks the PROXY protocol: a header comes before everything else, TLS too, and says whose the
 * connection is (lv_conn_peer and the like tell that then). `known` is called when it is there, from where input is called.
 * Right after lv_conn_open. LV_ENOMEM. */
enum lv_err lv_conn_expect_proxy(struct lv_conn *c, void (*known)(struct lv_conn *c)) LV_MUST_USE;
/* Writes what waits, then closes and calls ops->closed. That takes at most `linger_ms` (0: what waits is dropped): our
 * end is shut down, and what still comes is dropped until the peer closes, so that no reset overtakes the last
 * bytes. Idempotent, allowed anywhere. Later output is dropped. */
void lv_conn_close(struct lv_conn *c, uint64_t linger_ms);

/* Stops calling ops->input (bytes already read are kept), or goes on in this turn's deferred phase. While it is paused
 * the peer's end goes unnoticed. */
void lv_conn_pause(struct lv_conn *c);
void lv_conn_resume(struct lv_conn *c);
/* The next `n` input bytes go to `to` instead of the read block. Called from within input, which then consumes all it
 * was given. Until n bytes came (ops->filled reports each part), input is not called. */
void lv_conn_read_into(struct lv_conn *c, uint8_t *to, size_t n);
/* That memory goes away before it is filled: what is still to come for it is dropped, without ops->filled, and then
 * input goes on. Allowed anywhere; without effect when nothing is being filled. */
void lv_conn_read_drop(struct lv_conn *c);

/* Room for `n` (<= LV_OUT_RESERVE_MAX) contiguous bytes of output, or NULL without memory (the connection is then
 * closed). Follow by lv_conn_wrote with how many were used, before anything else is written. */
#define LV_OUT_RESERVE_MAX 16384u
static inline uint8_t *lv_conn_reserve(struct lv_conn *c, size_t n);
static inline void lv_conn_wrote(struct lv_conn *c, size_t n);
/* Appends a copy. */
void lv_conn_write(struct lv_conn *c, struct lv_bytes b);
/* Appends without a copy; `release(owner)` runs on this loop exactly once, after the last byte left or the
 * connection closed. Takes one reference of owner, whatever that is. */
void lv_conn_write_ref(struct lv_conn *c, struct lv_bytes b, void *owner,
                       void (*release)(void *owner));
/* Appends without a copy bytes of the loop's current read block, to any connection of this loop: only while the input
 * that was given them runs. If they could not be written at the turn's end they are copied then. */
void lv_conn_write_borrowed(struct lv_conn *c, struct lv_bytes b);

/* Unhooks from its loop: from a task, timer, mail, turn_end or ops->drained, never from input or filled, nor when it is
 * closing. Then, on the other loop's thread, hooks it in again; in between nothing else may be called. Leftover input
 * and unwritten output move with it (references are copied and released). LV_ENOMEM, LV_EIO from attach: the socket is
 * closed and the connection's memory freed; ops->closed is not called. */
void lv_conn_detach(struct lv_conn *c);
enum lv_err lv_conn_attach(struct lv_conn *c, struct lv_loop *loop) LV_MUST_USE;

/* Peer's and own address as text: "127.0.0.1:5672", "unix:/run/mq.sock" (its client: "unix"). */
#define LV_ADDR_MAX 128
void lv_conn_peer(const struct lv_conn *c, char out[LV_ADDR_MAX]);
void lv_conn_local(const struct lv_conn *c, char out[LV_ADDR_MAX]);
/* Is the peer's address a loopback one (127.0.0.0/8, ::1, mapped, Unix socket)? */
bool lv_conn_peer_is_loopback(const struct lv_conn *c);
/* The peer's address in network order: 4 bytes, 16, or 0 for none. */
size_t lv_conn_peer_ip(const struct lv_conn *c, uint8_t out[16]);

/* ---- listening ---- */
struct lv_listener;
/* Listens on "ADDR:PORT" ("[::1]:5672", "[::]:5672" for IPv4 too; port 0: any), or on the Unix socket
 * "unix:/PATH[?mode=OCTAL]" (LV_UNIX_MODE). A socket file that nobody listens on any more is replaced, another file
 * never; it goes when the listener is closed. `accepted` is called on `loop` with each new socket, which it takes.
 * LV_EINVAL bad address, LV_EIO with errno set. */
#define LV_UNIX_MODE 0660
enum lv_err lv_listen(struct lv_loop *loop, const char *address,
                      void (*accepted)(struct lv_loop *loop, int fd, void *ctx), void *ctx,
                      struct lv_listener **out) LV_MUST_USE;
/* The address really listened on, as text. */
void lv_listener_address(const struct lv_listener *l, char out[LV_ADDR_MAX]);
#define LV_LISTEN_BACKLOG 4096
struct lv_listen_options {
    int backlog; /* connections that the kernel holds until they are accepted; 0: LV_LISTEN_BACKLOG */
    int sndbuf, recbuf;       /* bytes of the kernel's buffers; 0: its own choice */
    unsigned send_timeout_ms; /* a peer that takes nothing for so long is given up; 0: never */
    bool waits_for_more;      /* small segments are gathered (Nagle's algorithm) */
    bool has_keepalive;       /* the kernel asks a silent peer whether it is there */
    bool resets_at_close; /* what is unsent when a socket is closed is dropped, and the peer told by a reset */
};
/* Of a TCP listener and all that it accepts from now on; without it all is 0. */
void lv_listener_set_options(struct lv_listener *l, const struct lv_listen_options *options);
void lv_listener_close(struct lv_listener *l); /* frees, before the loop ends */

/* ---- inline: the message path ---- */
uint8_t *lv_conn_reserve_slow(struct lv_conn *c, size_t n);
void lv_conn_mark_dirty(struct lv_conn *c);

static inline uint8_t *lv_conn_reserve(struct lv_conn *c, size_t n)
{
    if (LV_LIKELY((size_t)(c->out_end - c->out_at) >= n))
        return c->out_at;
    return lv_conn_reserve_slow(c, n);
}

static inline void lv_conn_wrote(struct lv_conn *c, size_t n)
{
    c->out_at += n;
    c->out_bytes += n;
    if (LV_UNLIKELY(!lv_list_linked(&c->dirty)))
        lv_conn_mark_dirty(c);
}

/* Writes what waits at once instead of at the turn's end: for one that gets much, so that its peer can begin. */
#define LV_OUT_EAGER_BYTES 32768u
void lv_conn_flush(struct lv_conn *c);

/* Over the high mark: hand nothing more to it until ops->drained. */
bool lv_conn_is_full(struct lv_conn *c);

#endif
