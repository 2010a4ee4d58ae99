/* manage/manage_priv.h - what the files of this room share. */
#ifndef LV_MANAGE_MANAGE_PRIV_H
#define LV_MANAGE_MANAGE_PRIV_H
#include "base/list.h"
#include "broker/broker.h"
#include "broker/errand.h"
#include "config/config.h"
#include "loop/conn.h"
#include "manage/access_log.h"
#include "manage/manage.h"
#include "manage/request.h"
#include "os/thread.h"
#include "store/worker.h"

#define LV_HTTP_CLIENTS_MAX 1024u      /* connections; more are closed at once */
#define LV_HTTP_PIECE_BYTES 65536u     /* of a long reply, at a time */
#define LV_HTTP_OUT_HIGH_BYTES 262144u /* a connection with more unsent than this gets no more */

struct lv_door {
    struct lv_manage *room;
    struct lv_listener *listener;
    enum lv_door_kind kind;
    char address[LV_ADDR_MAX];
};

struct lv_shown_listener {
    const char *protocol; /* static */
    char address[LV_ADDR_MAX];
};

struct lv_login_job;
struct lv_rates;

struct lv_manage {
    struct lv_broker *broker;
    const struct lv_config *config;
    const struct lv_settings *settings;
    struct lv_tls *tls, *metrics_tls;
    char metrics_tls_at[LV_ADDR_MAX];
    struct lv_manage_hooks hooks;
    char node[256];      /* "rabbit@host" */
    uint64_t started_us; /* wall clock */

    struct lv_loops *loops;
    struct lv_loop *loop;
    struct lv_thread thread;
    struct lv_gate started;
    enum lv_err start_err;
    char start_error[LV_ADDR_MAX + 128];
    _Atomic bool is_up; /* the thread listens, and will until it is stopped */

    struct lv_door doors[LV_MANAGE_DOORS_MAX];
    unsigned door_count;
    struct lv_shown_listener shown[LV_MANAGE_LISTENERS_MAX];
    unsigned shown_count;

    struct lv_link clients;
    uint32_t client_count;
    struct lv_desk desk;
    uint32_t away; /* requests whose client has left, and that are still out */
    _Atomic(struct lv_login_job *) logins; /* compared, newest first; pushed by the verifier's thread */
    struct lv_link waiting;                /* logins that may not be tried yet */
    uint64_t logins_ok, logins_failed;     /* since somebody cleared them */
    uint64_t amqp_ok_before, amqp_failed_before; /* of the broker's counters, likewise */
    struct lv_worker worker;                     /* hashes passwords, reads definitions */
    struct lv_link imports;                      /* of definitions, under way */
    struct lv_rates *rates;
    struct lv_access_log access_log;
    bool is_stopping; /* somebody asked for it: */
    struct lv_timer stop_timer;
    struct lv_errand stopping;
};

/* manage.c: RabbitMQ's word for what is spoken at a door; NULL: it is shown to nobody. */
const char *lv_door_protocol(enum lv_door_kind kind);

/* client.c */
void lv_client_accept(struct lv_loop *loop, int fd, void *door);
/* The login of its request is over: its body is read, or it is answered. */
void lv_client_admitted(struct lv_request *r);
/* The reply to its request has been handed to the connection whole. */
void lv_client_answered(struct lv_request *r);
struct lv_conn *lv_client_conn(struct lv_client *c);
bool lv_client_is_operator(const struct lv_client *c);
/* Came through a door of the metrics. */
bool lv_client_is_scraper(const struct lv_client *c);
/* Something of the reply has been handed to it: it is not idle. */
void lv_client_progress(struct lv_client *c);
/* The connection ends after this reply. */
bool lv_client_is_last(const struct lv_client *c);

/* request.c */
/* Takes a copy of the head. NULL: no memory. */
struct lv_request *lv_request_new(struct lv_client *c, struct lv_manage *m, struct lv_bytes head);
void lv_request_free(struct lv_request *r);
/* The client has left. */
void lv_request_orphan(struct lv_request *r);

/* login.c */
/* Who asks, by header or socket; then what `then` says: lv_route_admit, which answers or admits. */
void lv_http_login_begin(struct lv_request *r);
/* At the end of each turn. */
void lv_http_logins_turn(struct lv_manage *m);
/* The loop ends: those that wait come to nothing. */
void lv_http_logins_drop(struct lv_manage *m);

/* router.c */
/* The head is there: finds the route, and begins the login; or answers. */
void lv_route_begin(struct lv_request *r);
/* He is who he says: may he? */
void lv_route_authorize(struct lv_request *r);
/* All of it is there. */
void lv_route_run(struct lv_request *r);

#endif
