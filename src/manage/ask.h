/* manage/ask.h - what a handler asks the broker: a verb in a user's name, a change of the registry, a census.
 *
 * Each is made in the request's memory, filled in, and sent; when it is back and the client is still there, `done` is
 * called with the request. One at a time for a request.
 * Owner   the room's thread, but the broker from sending until `done`; then `make` and `walk` may use the request's memory.
 */
#ifndef LV_MANAGE_ASK_H
#define LV_MANAGE_ASK_H
#include "broker/agent.h"
#include "broker/observe.h"
#include "broker/policies.h"
#include "manage/request.h"

/* ---- a verb ---- */
struct lv_act {
    struct lv_agent agent; /* first; user, vhost (of the path), done and desk are filled in */
    struct lv_request *r;
    void (*done)(struct lv_request *r, struct lv_agent *agent); /* it did not fail */
};
/* NULL: it was answered. */
struct lv_act *lv_act_new(struct lv_request *r, enum lv_agent_verb verb,
                          void (*done)(struct lv_request *r, struct lv_agent *agent));
void lv_act_send(struct lv_act *verb);
/* 201 for what is new, else 204: `done` of a declare. */
void lv_reply_declared(struct lv_request *r, struct lv_agent *agent);
/* 204. */
void lv_reply_done(struct lv_request *r, struct lv_agent *agent);

/* What the broker refused, as RabbitMQ answers a reply code of AMQP. */
void lv_reply_failure(struct lv_request *r, const struct lv_failure *failure);

/* ---- a change ---- */
struct lv_change {
    struct lv_errand errand; /* first */
    struct lv_request *r;
    /* On loop 0. */
    enum lv_err (*make)(struct lv_broker *b, struct lv_change *c);
    /* NULL: 201 for what is_new, else 204; errors by their kind. */
    void (*done)(struct lv_request *r, struct lv_change *c);
    void *record; /* the handler's */
    enum lv_err err;
    bool is_new;
    char why[LV_PARAMETER_WHY_MAX];
};
/* NULL: it was answered. `make` finds `record`. */
struct lv_change *lv_change_new(struct lv_request *r,
                                enum lv_err (*make)(struct lv_broker *b, struct lv_change *c),
                                void *record);
void lv_change_send(struct lv_change *c);
/* Both, for a change of which nothing else is set; `done` as in struct lv_change. */
void lv_change_make(struct lv_request *r,
                    enum lv_err (*make)(struct lv_broker *b, struct lv_change *c), void *record,
                    void (*done)(struct lv_request *r, struct lv_change *c));
void lv_reply_changed(struct lv_request *r, struct lv_change *c);
/* The same, but LV_ENOTFOUND is about the virtual host of the path. */
void lv_reply_changed_in_vhost(struct lv_request *r, struct lv_change *c);

/* ---- a census ---- */
struct lv_poll {
    struct lv_census census; /* first */
    struct lv_request *r;
    void (*done)(struct lv_request *r, struct lv_census *census);
};
/* Of the virtual host of the path, if it has one. NULL: it was answered. */
struct lv_poll *lv_poll_new(struct lv_request *r, enum lv_census_depth depth,
                            void (*done)(struct lv_request *r, struct lv_census *census));
void lv_poll_send(struct lv_poll *poll);

/* ---- bodies ---- */
/* A member that may be left out. Each: false: it was answered with 400. */
bool lv_body_bool(struct lv_request *r, const char *key, bool *out); /* "true" counts, too */
bool lv_body_number(struct lv_request *r, const char *key, int64_t min, int64_t max, int64_t *out);
bool lv_body_text(struct lv_request *r, const char *key, struct lv_bytes *out);
/* "value" of a limit, LV_NO_LIMIT for none; it may not be left out. */
bool lv_body_limit(struct lv_request *r, int64_t *out);
/* One that may not. */
bool lv_body_need_text(struct lv_request *r, const char *key, struct lv_bytes *out);
/* "arguments" as a field table, in the request's memory. */
bool lv_body_arguments(struct lv_request *r, struct lv_bytes *out);
/* Tags: "a,b" or ["a", "b"]. */
struct lv_tags;
bool lv_body_tags(struct lv_request *r, struct lv_tags *out);

#endif
