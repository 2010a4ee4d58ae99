/* broker/session.h - the door that every protocol uses.
 *
 * A session is one client connection inside the broker. A protocol embeds struct lv_session in its own
 * connection, turns frames into the verbs below, and turns deliveries and answers back into frames. Verbs that
 * need somebody else's data (the registry's, a queue's home loop) are calls: they travel from loop to loop and
 * come back to `done`; while one is away the session's input is paused, so a protocol sees its own methods
 * answered in order. A call whose owners are all on this loop is a plain function call.
 * Owner   the session's loop. Nothing here may be touched from another thread.
 */
#ifndef LV_BROKER_SESSION_H
#define LV_BROKER_SESSION_H
#include <stdatomic.h>
#include <string.h>

#include "base/handles.h"
#include "engine/queue.h"
#include "loop/conn.h"
#include "route/route.h"
#include "security/check.h"
#include "security/sasl.h"
#include "security/verify.h"
#include "store/wal.h"

struct lv_broker;
struct lv_shard;
struct lv_vhost;
struct lv_feed;
struct lv_session;
struct lv_sub;
struct lv_call;
struct lv_queue_entry;
struct lv_login_try;
struct lv_census;
struct lv_connection_info;

#define LV_FAILURE_TEXT_MAX 512

/* Why a verb was refused, in AMQP 0-9-1's vocabulary, which is the one users grep for. code 0: it was not. */
struct lv_failure {
    uint16_t code;                  /* reply code: 403, 404, 405, 406, 530, 541 ... */
    char text[LV_FAILURE_TEXT_MAX]; /* without the "NOT_FOUND - " prefix; NUL-terminated */
};

struct lv_session_ops {
    /* A message for `sub`. The delivery's message is borrowed; with a slot it must be settled some time. */
    enum lv_sink_answer (*deliver)(struct lv_sub *sub, const struct lv_delivery *d);
    /* The queue went away; `sub` has ended (lv_sub_end was done for it). */
    void (*cancelled)(struct lv_sub *sub);
    /* A publish of `token` was accepted by a queue on another loop (see lv_session_publish), or refused; it is stable with
     * `end`. */
    void (*accepted)(struct lv_session *s, uint64_t token, lv_lsn end, bool is_refused);
    /* More is stable, and lv_session_await_stable was called since the last time. */
    void (*stable)(struct lv_session *s);
    /* A reply published to this session's direct reply-to address (NULL: only asked); false: nobody waits for it. */
    bool (*reply)(struct lv_session *s, uint64_t consumer, struct lv_msg *msg);
    /* The broker wants the connection closed with this reply (shutdown, operator). */
    void (*shut)(struct lv_session *s, uint16_t code, const char *text);
    /* How lv_session_login ended; with LV_LOGIN_OK the session has its pass. */
    void (*logged_in)(struct lv_session *s, enum lv_login login);
    /* Permissions changed: consumers of queues that may not be read any more end. */
    void (*recheck)(struct lv_session *s);
    /* Fills in what only the protocol knows: of the connection, and down to census->depth (observe.h). The rest is filled in
     * before, or zero. */
    void (*describe)(const struct lv_session *s, struct lv_census *census,
                     struct lv_connection_info *out);
    /* May it be moved to another loop now, and: it is on another loop now. */
    bool (*can_move)(const struct lv_session *s);
    void (*moved)(struct lv_session *s);
    /* Now and then: is a delivery waiting for its ack for longer than `timeout_ms`? */
    void (*check_acks)(struct lv_session *s, lv_time_ms now, uint64_t timeout_ms);
    /* The alarm that blocked this publisher is over; its input goes on after this. */
    void (*unblocked)(struct lv_session *s);
    /* The socket is gone: end all subscriptions, give back what is unsettled. May be called again. */
    void (*leave)(struct lv_session *s);
    /* Last word: nothing in the broker knows this session any more; free it. */
    void (*gone)(struct lv_session *s);
};

struct lv_session {
    struct lv_conn conn; /* first */
    const struct lv_session_ops *ops;
    struct lv_broker *broker;
    struct lv_shard *shard;
    struct lv_vhost *vhost; /* NULL until opened, as are the two versions */
    const _Atomic uint64_t *topology_version,
        *access_version;        /* what a remembered route depends on */
    struct lv_call *call;       /* the one that is away, or NULL */
    struct lv_pass pass;        /* zeroed until the login: may nothing */
    struct lv_login_try *login; /* the one under way, or NULL */
    struct lv_task mover;
    struct lv_link awaiting; /* in shard->awaiting */
    lv_handle self;
    uint64_t id;                /* unique in the broker's life: owner of exclusive queues */
    uint64_t opened_ms;         /* wall clock: into its virtual host; 0: not yet */
    uint64_t seen_bytes;        /* in and out at the last census of counts */
    struct lv_bytes *exclusive; /* names of queues it owns (some may be gone already); own memory */
    uint32_t exclusive_count, exclusive_cap;
    uint32_t sub_count;       /* subscriptions that have not ended */
    uint32_t away_unaccepted; /* publishes on their way to other loops whose acceptance is awaited */
    uint32_t away_streak;     /* publishes in a row that went to one other loop */
    uint8_t away_loop, move_to;
    bool is_moving, is_dying;
    bool is_dropping; /* its exclusive queues are being deleted, one call after the other */
    bool is_detached; /* it has no socket: nothing of `conn` is there, and it is nobody's client */
    bool is_recheck_due; /* permissions changed while a call was away */
    bool is_blocked;     /* publishes while there is an alarm: not read */
};

/* Enters an accepted socket as a session. `s` is zeroed memory of the protocol, which stays the protocol's until
 * ops->gone. On failure the descriptor is still the caller's. */
enum lv_err lv_session_open(struct lv_session *s, struct lv_shard *shard, int fd,
                            const struct lv_session_ops *ops,
                            const struct lv_conn_ops *conn_ops) LV_MUST_USE;
/* The socket is closed (from conn_ops->closed): ops->leave, exclusive queues are deleted, ops->gone; now, or when
 * the call that is away has come back. */
void lv_session_end(struct lv_session *s);
/* Deletes this session's exclusive queues; true when all are gone. false: a call is away, `done` hears when it is
 * back, and asks again. */
bool lv_session_drop_exclusive(struct lv_session *s,
                               void (*done)(struct lv_session *, struct lv_call *));
/* Wishes to live on `loop`, where its queue is: true when it will move after the present input call, which must
 * then return without consuming more; the rest of the input is handled over there. */
bool lv_session_follow(struct lv_session *s, unsigned loop);
/* Home loop of a queue, or the session's own when it has none yet, or there is none of that name. */
unsigned lv_session_queue_loop(const struct lv_session *s, struct lv_bytes queue);

/* ---- coming in ---- */
/* Is the claim true? ops->logged_in hears it, now or later; input is paused meanwhile. One at a time. */
void lv_session_login(struct lv_session *s, const struct lv_claim *claim);
/* After the login: into the virtual host. LV_EREFUSED: `why` is RabbitMQ's 530; LV_ENOMEM. From here on a verb is only
 * called for what lv_check_operation allows to s->pass; what is made anew the verb asks for itself. */
enum lv_err lv_session_enter(struct lv_session *s, struct lv_bytes vhost,
                             struct lv_refusal *why) LV_MUST_USE;
/* Is there a topic exchange of that name? Its keys are to be checked too. */
bool lv_session_is_topic(const struct lv_session *s, struct lv_bytes exchange);

/* ---- calls ---- */
struct lv_call {
    struct lv_session *
        session; /* touched on the origin loop only; lives until the call is back; NULL: no one waits */
    struct lv_broker *broker;
    unsigned origin;
    bool is_away;
    void (*step)(struct lv_shard *shard, struct lv_call *call);
    void (*done)(struct lv_session *s,
                 struct lv_call *call); /* takes nothing: the call is freed after it */
    struct lv_vhost *vhost;
    uint64_t owner; /* id of the asking session */

    /* arguments; the views are copied when the call leaves its loop */
    struct lv_bytes name;      /* queue or exchange; source of a binding */
    struct lv_bytes other;     /* destination of a binding */
    struct lv_bytes key;       /* routing key */
    struct lv_bytes arguments; /* checked field table */
    uint8_t *copy;             /* where the views point after leaving */
    uint8_t *own;              /* the broker's: arguments with what it added */
    char name_buf[40];         /* a name made by the server */
    enum lv_exchange_type type;
    bool durable, exclusive, auto_delete, internal, passive, if_unused, if_empty, no_ack;
    bool only_owned;              /* delete: only if it is this session's exclusive queue */
    bool to_exchange;             /* the binding's destination is an exchange */
    int32_t priority;             /* subscribe */
    uint32_t credit;              /* subscribe: prefetch limit, 0: none */
    struct lv_sub *sub;           /* subscribe, unsubscribe */
    uint64_t cookie;              /* the protocol's */
    struct lv_queue_entry *entry; /* the broker's */
    struct lv_call *next;         /* the broker's: calls that wait */
    lv_lsn end;                   /* the broker's: what must be stable first */
    bool is_topology;             /* the broker's: of which log */
    const struct lv_commit *commit;
    uint64_t loops, tx; /* the broker's: loops still to visit; number of the transaction, or 0 */
    bool is_partial;    /* the broker's: a queue was full */

    /* results */
    struct lv_failure failure;
    lv_handle queue;
    uint64_t messages, consumers;
    bool is_empty;      /* get: there was none */
    struct lv_msg *msg; /* get: with its reference */
    uint32_t slot;      /* get */
    bool redelivered;   /* get */
    uint32_t failures;  /* get: deliveries of it that failed */
};

/* A call of `s` with everything zero but the session's own facts; NULL without memory. `s` must have none away. */
struct lv_call *lv_call_new(struct lv_session *s,
                            void (*done)(struct lv_session *, struct lv_call *)) LV_MUST_USE;
/* Fails the call with a RabbitMQ-worded reason; the first failure stays. */
void lv_call_fail(struct lv_call *call, uint16_t code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Gives a queue.declare without a name one: amq.gen-... */
void lv_call_make_name(struct lv_call *call);
/* Frees a call that was never started. */
void lv_call_drop(struct lv_call *call);
/* Ends the call where it stands: back to its origin, `done`, freed. */
void lv_call_finish(struct lv_shard *shard, struct lv_call *call);

/* The verbs. Each takes the call; the answer comes to call->done, maybe before the function returns. In the
 * comments: arguments -> results. */
void lv_queue_declare(struct lv_call *call); /* name flags arguments -> name queue messages consumers */
void lv_queue_delete(struct lv_call *call);     /* name if_unused if_empty -> messages */
void lv_queue_purge_call(struct lv_call *call); /* name -> messages */
void lv_exchange_declare(struct lv_call *call); /* name type flags arguments (alternate-exchange) */
void lv_exchange_delete(struct lv_call *call);  /* name if_unused */
void lv_bind(struct lv_call *call);             /* name other key arguments to_exchange */
void lv_unbind(struct lv_call *call);           /* likewise */
void lv_subscribe(
    struct lv_call *call); /* name sub no_ack exclusive priority credit -> sub is fed after lv_sub_start */
void lv_unsubscribe(struct lv_call *call); /* sub -> no delivery any more */
void lv_get(struct lv_call *call); /* name no_ack -> is_empty, or msg slot redelivered queue messages */
void lv_reply(
    struct lv_call *call); /* queue (session), consumers, msg (kept, or NULL: only ask) -> is_empty: nobody there */

/* A transaction: all of it, or nothing. Borrowed until the call is done. */
struct lv_commit_publish {
    struct lv_msg *msg; /* kept */
    const lv_handle *queues;
    uint32_t count;
};
struct lv_commit_settle {
    struct lv_sub *sub; /* pinned by the protocol until done */
    uint32_t slot;
    enum lv_outcome outcome;
    /* the broker's */
    lv_handle queue, feed;
    bool gives_credit;
};
struct lv_commit {
    struct lv_commit_publish *publishes;
    struct lv_commit_settle *settles;
    uint32_t publish_count, settle_count;
};
void lv_commit(
    struct lv_call *call); /* commit -> done when it is stable; failure 541: some of it may be missing; 406: in full queues */

/* ---- subscriptions ---- */
/* The session's side of a consumer, or of one basic.get with acknowledgement. Embedded in the protocol's struct. */
struct lv_sub {
    struct lv_session *session;
    lv_handle self; /* in the shard's table, 0 until subscribed */
    lv_handle queue;
    lv_handle feed;        /* at the queue's home; 0: ended, or a get */
    struct lv_feed *local; /* when the home is this loop */
    uint32_t limit;        /* unsettled deliveries allowed; 0: no limit */
    uint32_t unreported;   /* remote, no limit: deliveries since the last credit */
    bool no_ack;
};

/* The first delivery may come: after the protocol wrote its consume-ok. */
void lv_sub_start(struct lv_sub *sub);
/* Ends it without waiting: what is still on its way from another loop goes back to the queue unseen. */
void lv_sub_end(struct lv_sub *sub);
/* No delivery until resumed (a few may be on their way from another loop). */
void lv_sub_pause(struct lv_sub *sub);
void lv_sub_resume(struct lv_sub *sub);
/* Does its queue serve it? One with a single active consumer keeps the others waiting. */
enum lv_activity lv_sub_activity(const struct lv_sub *sub, struct lv_bytes queue);
/* Settles deliveries of `sub` and gives their credit back. */
void lv_sub_settle(struct lv_sub *sub, const uint32_t *slots, size_t n, enum lv_outcome outcome);

/* ---- publishing ---- */
/* What became of what a publisher sent to an exchange. */
struct lv_published {
    uint64_t count; /* messages */
    uint64_t confirmed, returned, dropped;
};
/* How many of them went to a queue. */
struct lv_routed {
    struct lv_routed *next;
    uint64_t queue_id, count;
    uint8_t len;
    uint8_t queue[];
};
struct lv_published_to {
    struct lv_published_to *next;
    struct lv_routed *queues; /* not those of transactions */
    uint32_t queue_count;
    struct lv_published life,
        told; /* of its life; as much as is in the exchange's and the loop's numbers */
    uint8_t len;
    uint8_t exchange[];
};
#define LV_PUBLISHED_TO_MAX \
    64u /* exchanges of one publisher, and queues of one of them, that are told apart */

/* Where the last message of this publisher went; the next one with the same exchange and key goes there again
 * while the topology stands. And what it has published. Zeroed is empty. */
struct lv_route_memo {
    struct lv_check_cache *checks; /* borrowed, may be NULL; the owner's to set */
    uint64_t allowed; /* version of the permissions that allowed exchange and key; 0: none did */
    uint64_t version; /* of the router, 0: nothing remembered */
    struct lv_exchange *exchange; /* valid at that version */
    uint64_t run_key; /* a run: messages in a row that are counted together; 0: the next one begins one */
    uint32_t run_left; /* until it is added up; of run_size */
    uint32_t run_size;
    lv_handle *queues;
    struct lv_routed **routed; /* for each queue where it is counted, or NULL */
    uint32_t count, cap;
    uint16_t exchange_len, key_len;
    bool keeps_all; /* a quorum queue is among them: whatever its delivery mode, the message is persistent */
    bool has_key;      /* false: only the exchange is remembered */
    bool is_publisher; /* has published */
    bool is_noted;     /* in the loop's list of those with something to add */
    struct lv_link noted;
    struct lv_session *session;        /* whose it is; set when it is noted */
    struct lv_published_to *published; /* by exchange, own memory; the present one first */
    uint32_t published_count;
    uint64_t out, wanted;       /* not told yet: to queues; to be confirmed */
    lv_time_ms active_ms;       /* when it published last */
    uint64_t sample, sample_us; /* the publish whose confirm is timed, and since when; 0: none */
    uint8_t text[2 * 255];      /* exchange, key */
};

void lv_route_memo_fini(struct lv_session *s, struct lv_route_memo *memo);
/* Where a message goes: memo->queues[0..count). LV_ENOTFOUND: no such exchange; LV_EREFUSED: `why` has the refusal, or code
 * 0 for an internal exchange; LV_ENOMEM. `why` is not touched on the straight road. `more_keys` and `headers` may be empty; `headers` only matters for headers exchanges. */
enum lv_err lv_session_route_slow(struct lv_session *s, struct lv_route_memo *memo,
                                  struct lv_bytes exchange, struct lv_bytes key,
                                  const struct lv_bytes *more_keys, size_t more_count,
                                  struct lv_bytes headers, struct lv_refusal *why) LV_MUST_USE;
static inline bool lv_route_memo_is(const struct lv_route_memo *memo, struct lv_bytes exchange,
                                    struct lv_bytes key)
{
    return memo->exchange_len == exchange.len && memo->has_key && memo->key_len == key.len &&
           memcmp(memo->text, exchange.ptr, exchange.len) == 0 &&
           memcmp(memo->text + exchange.len, key.ptr, key.len) == 0;
}
LV_MUST_USE static inline enum lv_err lv_session_route(struct lv_session *s,
                                                       struct lv_route_memo *memo,
                                                       struct lv_bytes exchange, struct lv_bytes key,
                                                       const struct lv_bytes *more_keys,
                                                       size_t more_count, struct lv_bytes headers,
                                                       struct lv_refusal *why)
{
    if (LV_LIKELY(memo->version == atomic_load_explicit(s->topology_version, memory_order_acquire) &&
                  memo->allowed == atomic_load_explicit(s->access_version, memory_order_acquire) &&
                  more_count == 0 && lv_route_memo_is(memo, exchange, key)))
        return LV_OK;
    return lv_session_route_slow(s, memo, exchange, key, more_keys, more_count, headers, why);
}
/* Can this exchange be published to? LV_ENOTFOUND, LV_EREFUSED (internal). */
enum lv_err lv_session_find_exchange(const struct lv_session *s,
                                     struct lv_bytes exchange) LV_MUST_USE;
/* Publishes to each queue. Returns how many acceptances are still to come through ops->accepted(token) (0: all
 * have it). With token 0 nobody waits and 0 is returned. A queue that is gone counts as having accepted. If
 * one is full or has no memory the message is lost there and *lost is set. What was accepted here is stable with *end (0: it needs
 * not be). */
uint32_t lv_session_publish(struct lv_session *s, const lv_handle *queues, size_t count,
                            struct lv_msg *msg, uint64_t token, bool *lost, lv_lsn *end);
/* Counts a message that lv_session_route has found a way for, before lv_session_publish: also one that goes to no queue.
 * `confirm` is its number among those that the publisher wants confirmed, 0: it does not. Messages of one size on one way are
 * a run: only its first and its last one cost more than a comparison. */
void lv_session_published_slow(struct lv_session *s, struct lv_route_memo *memo, struct lv_msg *msg,
                               uint64_t confirm, uint64_t key);
static inline void lv_session_published(struct lv_session *s, struct lv_route_memo *memo,
                                        struct lv_msg *msg, uint64_t confirm)
{
    uint64_t key = (uint64_t)msg->body_len << 2 | (confirm != 0 ? 2u : 0u) | 1u;

    if (LV_LIKELY(key == memo->run_key) && LV_LIKELY(--memo->run_left != 0))
        return;
    lv_session_published_slow(s, memo, msg, confirm, key);
}
enum lv_route_fate { LV_FATE_ROUTED, LV_FATE_RETURNED, LV_FATE_DROPPED };
/* What becomes of one that goes to no queue. */
void lv_session_unroutable(struct lv_session *s, struct lv_route_memo *memo,
                           enum lv_route_fate fate);
/* The same for one that was routed some time ago, to `queues` queues. */
void lv_session_committed(struct lv_session *s, struct lv_route_memo *memo,
                          const struct lv_msg *msg, uint32_t queues, enum lv_route_fate fate);
/* Counts `n` confirms, up to the publish `upto`. */
void lv_session_confirmed(struct lv_session *s, struct lv_route_memo *memo, uint64_t n,
                          uint64_t upto);
/* A message with a stamp is in the output for its consumer. */
void lv_session_delivered(struct lv_session *s, const struct lv_delivery *d);
/* Of all exchanges together. */
void lv_published_sum(const struct lv_route_memo *memo, struct lv_published *out);
/* Counts a channel that was opened, or closed. */
void lv_session_count_channel(struct lv_session *s, bool opened);
/* Everything before it survives a power cut. */
lv_lsn lv_session_stable(const struct lv_session *s);
/* ops->stable once, when more is. */
void lv_session_await_stable(struct lv_session *s);
/* Asked after each publish: the reason, once, when an alarm stops this session's input from now on; else NULL. */
const char *lv_session_block(struct lv_session *s);
/* Reads a blocked session again all the same: it is to close. */
void lv_session_unblock(struct lv_session *s);
/* Sends a reply to the session `to` (any loop): its ops->reply(consumer) gets it, if it is there. */
void lv_session_reply(struct lv_session *s, lv_handle to, uint64_t consumer, struct lv_msg *msg);

/* RabbitMQ's name for a thing: "queue 'q' in vhost '/'". Writes at most cap bytes, NUL included; returns out. */
char *lv_rs(char *out, size_t cap, const char *kind, struct lv_bytes name,
            const struct lv_vhost *vhost);
#define LV_RS_MAX 600

#endif
