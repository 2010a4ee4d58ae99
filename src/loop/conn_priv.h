/* loop/conn_priv.h - the rarely used part of a connection. */
#ifndef LV_LOOP_CONN_PRIV_H
#define LV_LOOP_CONN_PRIV_H
#include <uv.h>

#include "loop/conn.h"
#include "loop/out_priv.h"

enum lv_conn_state {
    LV_CONN_OPEN,
    LV_CONN_LINGERING, /* closed by its owner: writes what waits, drops what comes */
    LV_CONN_GONE,      /* to be torn down in the deferred phase */
};

struct lv_conn_io {
    struct lv_conn *conn;
    uv_poll_t *poll; /* freed by libuv's close callback, so on its own; NULL while detached */
    int fd;
    enum lv_err why; /* for ops->closed */
    enum lv_conn_state state;
    uint8_t events;     /* what the poll waits for */
    uint8_t out_class;  /* size of its next output buffer */
    bool is_blocked;    /* the socket took no more: wait until it is writable */
    bool is_broken;     /* libuv saw an error: read until it shows */
    bool is_held;       /* not polled for input while mail overflows */
    bool has_shut;      /* our end is shut down */
    bool wants_input;   /* deferred: bytes kept while paused, or polling to go on */
    bool wants_drained; /* deferred: ops->drained */
    bool has_more;      /* there is something to read that the poll does not show */
    struct lv_link ready, attention, borrower, all; /* in the loop's lists of those names */
    uint8_t *carry;                                 /* input not consumed yet; NULL: none */
    size_t carry_bytes;
    struct lv_out_buf *buf; /* the buffer being filled, one reference; NULL: none */
    size_t turn_bytes;      /* output since it last ran empty */
    struct lv_timer linger;
    struct lv_tls_conn *tls;    /* NULL: none (tls_priv.h) */
    struct lv_proxy *proxy;     /* whose header is awaited; NULL: none (proxy_priv.h) */
    struct lv_proxied *proxied; /* what it said; NULL: nothing */
};

/* conn.c */
/* The connection is lost, or closed without lingering: torn down in the deferred phase. */
void lv_conn_fail(struct lv_conn *c, enum lv_err why);
/* What a failed call of the socket means, from its errno. */
enum lv_err lv_conn_error(int error);
/* The connection is lost, but what of its transport waits (an alert) is still written. */
void lv_conn_give_up(struct lv_conn *c, enum lv_err why, uint64_t linger_ms);
void lv_conn_drained(struct lv_conn *c); /* ops->drained in the deferred phase */
void lv_conn_poll_writable(struct lv_conn *c, bool is_blocked);

/* write.c */
void lv_out_seal(struct lv_conn *c);
void lv_out_drop(struct lv_conn *c);
/* The first `n` bytes that waited are written. */
void lv_out_written(struct lv_conn *c, size_t n);
/* Copies every segment that belongs to this loop. */
void lv_conn_own_output(struct lv_conn *c);

#endif
