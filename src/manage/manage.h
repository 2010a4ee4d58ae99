/* manage/manage.h - the HTTP API as the server sees it: made, started, stopped.
 *
 * It runs on a thread and an event loop of its own, beside those of the broker, and reaches the broker by what observe.h,
 * agent.h and access.h offer.
 * Owner   the main thread for what is declared here.
 */
#ifndef LV_MANAGE_MANAGE_H
#define LV_MANAGE_MANAGE_H
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "loop/conn.h"

struct lv_broker;
struct lv_config;
struct lv_config_change;
struct lv_manage;
struct lv_tls;

#define LV_MANAGE_DOORS_MAX 16u     /* listeners of this room */
#define LV_MANAGE_LISTENERS_MAX 32u /* of others, shown by /api/overview */

/* What a client may have come through. */
enum lv_door_kind {
    LV_DOOR_HTTP,
    LV_DOOR_HTTPS,
    LV_DOOR_METRICS, /* for /metrics only */
    LV_DOOR_METRICS_TLS,
    LV_DOOR_SOCKET, /* of the data directory: its owner, and root, are administrators without login */
    LV_DOOR_KINDS,
};

/* What a reload of the configuration has to tell. */
struct lv_reload_report {
    void (*changed)(void *ctx, const struct lv_config_change *change);
    void (*wrong)(void *ctx, const char *text);
    void *ctx;
};

/* What can be done to a running server from outside, on loop 0. */
struct lv_manage_hooks {
    /* Takes up what changed in the configuration. False: it has errors, and nothing was changed. */
    bool (*reload)(void *ctx, const struct lv_reload_report *report);
    /* Sets one key until the next reload or restart; errors as of lv_config_set. */
    enum lv_err (*set)(void *ctx, const char *key, const char *value, char *why, size_t cap);
    /* Asks everybody to go, and ends the process. */
    void (*stop)(void *ctx);
    void *ctx;
};

struct lv_manage_config {
    struct lv_broker *broker;       /* borrows */
    const struct lv_config *config; /* borrows */
    struct lv_tls *tls; /* of one loop, for the HTTPS listener; NULL: there is none. Borrows */
    struct lv_tls *metrics_tls; /* likewise for that of the metrics, which is at this address */
    const char *metrics_tls_at;
    struct lv_manage_hooks hooks;
};

/* LV_ENOMEM, LV_EIO. */
enum lv_err lv_manage_new(const struct lv_manage_config *config, struct lv_manage **out) LV_MUST_USE;
/* A listener of somebody else, to be shown: protocol as RabbitMQ calls it ("amqp", "amqp/ssl"), address as conn.h writes it.
 * Before the start; those beyond LV_MANAGE_LISTENERS_MAX are not shown. */
void lv_manage_add_listener(struct lv_manage *m, const char *protocol, const char *address);
/* Starts the thread, and returns when it listens. LV_EINVAL, LV_EFULL, LV_EIO: nothing runs, and `error` says where it cannot
 * listen, and why. */
enum lv_err lv_manage_start(struct lv_manage *m, char *error, size_t cap) LV_MUST_USE;
/* What the ready file calls a kind: "http", "https", "metrics" ... */
const char *lv_door_name(enum lv_door_kind kind);
/* The i-th address of a kind; false: no more. After the start. */
bool lv_manage_address(const struct lv_manage *m, enum lv_door_kind kind, unsigned i,
                       char out[LV_ADDR_MAX]);
/* Closes all, and ends the thread; what was sent to the broker is still out. Harmless when it does not run. */
void lv_manage_stop(struct lv_manage *m);
/* After lv_broker_free, which gives back what was out. NULL is allowed. */
void lv_manage_free(struct lv_manage *m);

#endif
