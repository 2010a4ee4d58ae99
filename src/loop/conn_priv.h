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
    struct lv_link ready, attention, borrower, all; /* in the loop's lists of those names */
    uint8_t *carry;                                 /* input not consumed yet; NULL: none */
    size_t carry_bytes;
    struct lv_out_buf *buf; /* the buffer being filled, one reference; NULL: none */
    size_t turn_bytes;      /* output since it last ran empty */
    struct lv_timer linger;
};

/* conn.c */
/* The connection is lost, or closed without lingering: torn down in the deferred phase. */
void lv_conn_fail(struct lv_conn *c, enum lv_err why);
void lv_conn_drained(struct lv_conn *c); /* ops->drained in the deferred phase */
void lv_conn_poll_writable(struct lv_conn *c, bool is_blocked);

/* write.c */
void lv_out_seal(struct lv_conn *c);
void lv_out_drop(struct lv_conn *c);
/* Copies every segment that belongs to this loop. */
void lv_conn_own_output(struct lv_conn *c);

#endif
