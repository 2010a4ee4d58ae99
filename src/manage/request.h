/* manage/request.h - one HTTP request, who asks it, and its reply.
 *
 * A handler (routes.def) is called when the request is there as a whole and may be answered. It replies at once, or asks the
 * broker (errand.h) and replies when the answer is back at the room's desk; meanwhile the client may leave, and then
 * the request stays until all that it sent out is back.
 * Owner   the room's thread.
 */
#ifndef LV_MANAGE_REQUEST_H
#define LV_MANAGE_REQUEST_H
#include <jansson.h>

#include "base/bytes.h"
#include "broker/errand.h"
#include "loop/loop.h"
#include "manage/http.h"
#include "manage/json.h"
#include "manage/url.h"

struct lv_client;
struct lv_gzip;
struct lv_manage;
struct lv_rates_ranges;
struct lv_request_block;
struct lv_route_row;

#define LV_REQUEST_ARGS_MAX 6u

/* Tags that mean something here. */
enum lv_who_tag {
    LV_WHO_ADMINISTRATOR = 1 << 0,
    LV_WHO_MONITORING = 1 << 1,
    LV_WHO_POLICYMAKER = 1 << 2,
    LV_WHO_MANAGEMENT = 1 << 3,
    LV_WHO_ANY = LV_WHO_ADMINISTRATOR | LV_WHO_MONITORING | LV_WHO_POLICYMAKER | LV_WHO_MANAGEMENT,
};

struct lv_who {
    struct lv_bytes name; /* the request's memory; empty for the operator */
    uint64_t credential;
    unsigned tags;    /* of enum lv_who_tag */
    bool is_operator; /* came through the socket of the data directory: no user, may everything */
};

enum lv_reply_state { LV_REPLY_NONE, LV_REPLY_GATHERING, LV_REPLY_STREAMING, LV_REPLY_DONE };

struct lv_reply {
    enum lv_reply_state state;
    unsigned status;
    const char *type;      /* content type; NULL: no body */
    struct lv_buf headers; /* more of them: lines with CRLF */
    struct lv_buf body;    /* what is not sent yet */
    uint64_t bytes_out;    /* of the body: what was */
    struct lv_json json;   /* writes into body */
    struct lv_json_columns columns;
    bool is_chunked;
    struct lv_gzip *gzip; /* compresses the body; NULL: it goes as it is */
};

struct lv_request {
    struct lv_manage *room;
    struct lv_client *client; /* NULL: it has left */
    struct lv_http_head head;
    struct lv_url url;
    const struct lv_route_row *route;
    struct lv_bytes vhost;                     /* of the path; ptr NULL: it has none */
    struct lv_bytes args[LV_REQUEST_ARGS_MAX]; /* the path's other variables, in their order */
    struct lv_who who;
    struct lv_buf body;
    struct lv_reply reply;
    void *work;                          /* the handler's */
    void (*go_on)(struct lv_request *r); /* the handler's: there is room for more of the reply */
    void (*clean)(struct lv_request *r); /* it ends: what `work` holds goes */
    void *state;                         /* the handler's, in the request's memory */
    void *poll;                          /* ask.c's; and when it ends: */
    void (*clean_poll)(struct lv_request *r);
    const struct lv_rates_ranges *ranges; /* NULL: not asked for, or not read yet */
    struct lv_request_block *blocks;      /* private */
    struct lv_request *desk_next;         /* private */
    json_t *json;                         /* private */
    uint32_t out_count;                   /* private: errands and logins that are out */
    bool is_body_refused;                 /* private: the reply comes before the body was read */
};

/* ---- what it asks ---- */
/* Memory that goes with the request; zeroed. NULL: none. */
void *lv_request_alloc(struct lv_request *r, size_t bytes) LV_MUST_USE;
/* A copy that does; ptr NULL: no memory. */
struct lv_bytes lv_request_copy(struct lv_request *r, struct lv_bytes b);
/* Is the query's parameter of that name "true"? */
bool lv_request_flag(const struct lv_request *r, const char *name);
/* A number from the query. False: it is there and is none, or above `max`; *out stays when it is not there. */
bool lv_request_number(const struct lv_request *r, const char *name, uint64_t max, uint64_t *out);
/* The body as a JSON object, borrowed; an empty one, null and undefined count as {}. NULL: it was answered with 400. */
json_t *lv_request_json(struct lv_request *r);
/* The default exchange has a name in paths: amq.default. */
static inline struct lv_bytes lv_path_exchange(struct lv_bytes segment)
{
    return lv_bytes_eq(segment, LV_BYTES_LIT("amq.default")) ? LV_BYTES_LIT("") : segment;
}
/* May he see this virtual host? */
bool lv_request_sees(const struct lv_request *r, struct lv_bytes vhost);
bool lv_who_is(const struct lv_request *r, unsigned tags);
/* "rabbit@host" */
const char *lv_request_node(const struct lv_request *r);

/* ---- what it sends out ---- */
/* Right before an errand or the like is sent. */
void lv_request_out(struct lv_request *r);
/* Right after it is back. False: the client has left; if nothing else is out, the request is freed: it is not to be
 * touched any more. */
bool lv_request_back(struct lv_request *r) LV_MUST_USE;

/* ---- the reply ---- */
/* Begins a JSON reply; its outermost value is put next. What ?columns= selects is selected by the caller, if at all. */
struct lv_json *lv_reply_json(struct lv_request *r, unsigned status);
/* Begins a reply of another type, whose text is put into reply.body. */
void lv_reply_begin_text(struct lv_request *r, const char *type);
/* Applies ?columns= to what is put from here on. */
void lv_reply_select(struct lv_request *r);
/* Begins a reply that goes on until the client leaves; its head leaves at once. */
void lv_reply_stream(struct lv_request *r, const char *type);
/* Hands on what was put so far, all of it. False: the connection has enough for now. */
bool lv_reply_flush(struct lv_request *r);
/* Hands on what was put so far, if it is much. False: the connection has enough for now; go_on is called when it has room
 * again. */
bool lv_reply_push(struct lv_request *r) LV_MUST_USE;
/* The reply is whole. The request may be gone after this. */
void lv_reply_end(struct lv_request *r);
/* ---- whole replies; the request may be gone after each ---- */
void lv_reply_empty(struct lv_request *r, unsigned status);
void lv_reply_text(struct lv_request *r, unsigned status, const char *type, struct lv_bytes text);
/* {"error":...,"reason":...} */
void lv_reply_error(struct lv_request *r, unsigned status, const char *error, const char *format,
                    ...) __attribute__((format(printf, 4, 5)));
void lv_reply_bad_request(struct lv_request *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void lv_reply_not_found(struct lv_request *r);
void lv_reply_refused(struct lv_request *r, const char *reason); /* 401, not_authorised */
void lv_reply_no_memory(struct lv_request *r);
/* A header more, before the reply begins or while it gathers; `name` in small letters. */
void lv_reply_header(struct lv_request *r, const char *name, struct lv_bytes value);

#endif
