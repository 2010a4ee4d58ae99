/* proto/amqp091/amqp_priv.h - connection and channel, shared by the files of this room.
 *
 *   conn.c       life of a connection, its frames          handshake.c  header to open-ok
 *   chan.c       life of a channel, its methods            topology.c   exchange.* queue.*
 *   publish.c    basic.publish and contents in             consume.c    basic.consume, deliver, get, qos
 *   confirm.c    publisher confirms                        content.c    contents out
 *   unacked.c    what a channel has to settle              settle.c     ack, nack, reject, recover
 *   reply_to.c   amq.rabbitmq.reply-to                     tx.c         transactions
 *   error.c      close with code and text               describe.c   what a census is told
 */
#ifndef LV_PROTO_AMQP091_AMQP_PRIV_H
#define LV_PROTO_AMQP091_AMQP_PRIV_H
#include "broker/broker.h"
#include "broker/observe.h"
#include "broker/session.h"
#include "config/config.h"
#include "proto/amqp091/codec.h"

/* ---- connection ---- */

enum lv_amqp_conn_state {
    LV_AMQP_HELLO,    /* the 8 bytes of the protocol header are awaited */
    LV_AMQP_STARTING, /* start sent: start-ok, and then whether the login is true */
    LV_AMQP_SECURING, /* secure sent: secure-ok */
    LV_AMQP_TUNING,   /* tune sent: tune-ok */
    LV_AMQP_OPENING,  /* open */
    LV_AMQP_RUNNING,
    LV_AMQP_LEAVING, /* the client's connection.close is being answered */
    LV_AMQP_CLOSING, /* connection.close sent: close-ok, everything else is ignored */
    LV_AMQP_SILENT,  /* not trusted: the socket is closed after a delay, input is dropped */
};

enum lv_amqp_cap {
    LV_AMQP_CAP_AUTH_FAILURE_CLOSE = 1 << 0,
    LV_AMQP_CAP_CANCEL_NOTIFY = 1 << 1,
    LV_AMQP_CAP_BLOCKED = 1 << 2,
};

struct lv_amqp_chan;

struct lv_amqp_conn {
    struct lv_session s;         /* first */
    struct lv_amqp_chan **chans; /* by channel number, chan_cap of them */
    struct lv_amqp_chan *last;   /* the channel of the last frame */
    struct lv_link to_confirm;   /* channels with confirms to send at the end of the turn */
    struct lv_link unstable;     /* channels whose next confirm waits for the disk */
    struct lv_task turn_end;
    struct lv_timer timer;        /* handshake, then heartbeat, then close */
    struct lv_amqp_chan *filling; /* its body goes straight into its message; NULL: none, or no longer */
    uint32_t filling_left;        /* payload bytes of the current body frame still to come */
    uint32_t filling_last; /* the last part, not given to the channel before the end octet was seen */
    bool wants_end;        /* the end octet of such a frame comes next */
    uint32_t payload_max; /* largest payload accepted: frame_max, as RabbitMQ counts */
    uint32_t frame_max;   /* largest frame sent */
    uint32_t chan_cap, chan_count;
    uint16_t channel_max, heartbeat; /* s */
    uint8_t state, caps;
    uint8_t heartbeat_ticks, heartbeats_missed;
    bool sent_heartbeat;
    uint64_t heard, said; /* conn.bytes_in, bytes_out at the last heartbeat check */
    const struct lv_sasl_mechanism *mechanism; /* chosen by start-ok */
    struct lv_bytes user;                      /* as claimed until the login is true; own memory */
    struct lv_bytes name; /* "PEER -> LOCAL", as RabbitMQ names connections; own memory, empty without */
    struct lv_bytes properties; /* of the client, a field table; own memory, empty without */
};

/* ---- channel ---- */

enum lv_amqp_chan_state {
    LV_AMQP_CHAN_READY,
    LV_AMQP_CHAN_HEADER,
    LV_AMQP_CHAN_BODY,
    LV_AMQP_CHAN_CLOSING
};
enum lv_amqp_chan_mode { LV_AMQP_PLAIN, LV_AMQP_CONFIRM, LV_AMQP_TX };

/* What the client must settle: a basic.consume or basic.get delivery, in order of its tag. */
enum lv_amqp_open_state { LV_AMQP_OPEN, LV_AMQP_SETTLED, LV_AMQP_IN_TX };
struct lv_amqp_sub;

/* What a channel got from a queue; those beyond LV_PUBLISHED_TO_MAX have one nameless together. */
struct lv_amqp_used {
    struct lv_amqp_used *next;
    struct lv_queue_totals out;
    uint8_t len;
    uint8_t queue[];
};

struct lv_amqp_open {
    uint64_t tag;
    struct lv_amqp_sub *sub; /* pins */
    uint32_t slot;
    uint8_t state;
    uint8_t outcome; /* IN_TX: enum lv_outcome at commit */
};

/* A ring in order of tags; settled entries leave at the head, or when it would have to grow. */
struct lv_amqp_unacked {
    struct lv_amqp_open *ring;
    uint32_t cap;         /* power of two, or 0 */
    uint32_t head, count; /* entries, settled ones included */
    uint32_t open;        /* LV_AMQP_OPEN ones */
};

/* A consumer, or the one delivery of a basic.get. */
struct lv_amqp_sub {
    struct lv_sub sub; /* first */
    struct lv_amqp_chan *ch;
    struct lv_link link;       /* in ch->consumers */
    uint32_t refs;             /* the consumer itself and its entries in ch->unacked */
    struct lv_amqp_used *used; /* the channel's */
    uint64_t delivered;        /* not counted there yet */
    bool is_get, is_exclusive;
    uint8_t tag_len;
    uint8_t queue_len;
    uint32_t arguments_len;
    uint8_t head[]; /* the beginning of each deliver frame: frame head, method, consumer tag; the queue's name; its arguments */
};
#define LV_AMQP_DELIVER_HEAD (LV_AMQP_FRAME_HEAD + 4u + 1u) /* before the consumer tag's text */

static inline struct lv_bytes lv_amqp_sub_tag(const struct lv_amqp_sub *sub)
{
    return lv_bytes(sub->head + LV_AMQP_DELIVER_HEAD, sub->tag_len);
}

/* The publishing half of a channel, made by its first basic.publish. */
struct lv_amqp_pub {
    struct lv_route_memo memo;
    struct lv_msg *msg; /* the content being received, or NULL when it is only counted (too large) */
    uint64_t body_size, body_got;
    bool mandatory, immediate;
    uint8_t exchange_len, key_len;
    uint8_t text[2 * LV_SHORTSTR_MAX]; /* exchange and key of the method whose content is awaited */
};

/* What a publish still lacks: acceptances by queues on other loops, and that its records are stable. */
struct lv_amqp_lack {
    lv_lsn end;
    uint32_t count; /* LV_AMQP_NACKED: refused */
};

/* The queue it consumes. */
static inline struct lv_bytes lv_amqp_sub_queue(const struct lv_amqp_sub *sub)
{
    return lv_bytes(sub->head + LV_AMQP_DELIVER_HEAD + sub->tag_len, sub->queue_len);
}

static inline struct lv_bytes lv_amqp_sub_arguments(const struct lv_amqp_sub *sub)
{
    struct lv_bytes queue = lv_amqp_sub_queue(sub);

    return lv_bytes(queue.ptr + queue.len, sub->arguments_len);
}

/* Publisher confirms: 1..done-1 are decided; from `done` on, what each still lacks. */
struct lv_amqp_confirms {
    uint64_t next;             /* number of the next publish, from 1 */
    uint64_t done;             /* lowest undecided number; == next when there is none */
    uint64_t told;             /* up to here the client knows */
    struct lv_amqp_lack *lack; /* ring of undecided ones, by number */
    uint32_t cap;
    struct lv_link link; /* in conn->to_confirm, or conn->unstable */
};
#define LV_AMQP_NACKED UINT32_MAX

struct lv_amqp_tx_publish; /* tx.c */
struct lv_amqp_reply;      /* reply_to.c */

struct lv_amqp_chan {
    struct lv_amqp_conn *conn;
    uint16_t number;
    uint8_t state, mode;
    uint8_t epoch;          /* tells a channel from an earlier one with its number */
    bool is_stopped;        /* the channel-wide limit is reached: all consumers are paused */
    uint32_t method;        /* under way: named by an error */
    uint32_t prefetch;      /* for consumers to come; 0: no limit */
    uint32_t global_limit;  /* for all consumers together; 0: no limit */
    uint32_t consumed_open; /* unsettled deliveries of consumers (gets not counted) */
    struct lv_amqp_used *used;
    uint32_t used_count;
    uint64_t seen_tag;    /* last_tag when it was described last */
    lv_time_ms active_ms; /* when it was last heard of, or delivered to */
    uint64_t late_tag;    /* at late_since, nothing after it was handed out */
    lv_time_ms late_since;
    uint64_t last_tag; /* of the last delivery */
    struct lv_link consumers;
    struct lv_amqp_unacked unacked;
    struct lv_amqp_pub *pub;
    struct lv_amqp_confirms confirms;
    struct lv_amqp_tx_publish *tx_first, *tx_last;
    bool is_committing;  /* the commit is away: what is in it is not ours meanwhile */
    struct lv_link held; /* deliveries from other loops that the channel-wide limit holds back */
    struct lv_amqp_reply *reply;   /* direct reply-to consumer, or NULL */
    struct lv_check_cache *checks; /* what was allowed lately, or NULL */
    uint8_t *last_queue; /* length and name of the most recently declared queue, or NULL */
};

/* ---- conn.c ---- */
static inline const struct lv_settings *lv_amqp_settings(const struct lv_amqp_conn *ac)
{
    return lv_broker_settings(ac->s.broker);
}
/* Room for a method frame of at most `n` bytes; a writer without room when the connection is closing. */
struct lv_wr lv_amqp_out(struct lv_amqp_conn *ac, size_t n);
void lv_amqp_sent(struct lv_amqp_conn *ac, const struct lv_wr *w);
#define LV_AMQP_METHOD_MAX 1536u /* three short strings, a long string of 512 and some numbers */
#define LV_AMQP_SEND(ac, number, name, ...)                         \
    do {                                                            \
        struct lv_amqp_##name lv_m_ = { __VA_ARGS__ };              \
        struct lv_wr lv_w_ = lv_amqp_out((ac), LV_AMQP_METHOD_MAX); \
        lv_amqp_write_##name(&lv_w_, (number), &lv_m_);             \
        lv_amqp_sent((ac), &lv_w_);                                 \
    } while (0)
/* lv_amqp_chan_leave for every channel. */
void lv_amqp_leave_all(struct lv_amqp_conn *ac);
/* Closes the socket once what waits is written. */
void lv_amqp_hang_up(struct lv_amqp_conn *ac);
void lv_amqp_start_heartbeat(struct lv_amqp_conn *ac);
struct lv_amqp_chan *lv_amqp_chan_find(struct lv_amqp_conn *ac, uint16_t number);
/* At the end of this turn: send the confirms of channels in to_confirm. */
void lv_amqp_at_turn_end(struct lv_amqp_conn *ac);

/* ---- describe.c ---- */
void lv_amqp_describe(const struct lv_session *s, struct lv_census *census,
                      struct lv_connection_info *out);

/* ---- handshake.c ---- */
/* RabbitMQ's word for the connection's state. */
const char *lv_amqp_state_name(const struct lv_amqp_conn *ac);
/* The protocol header; bytes consumed, 0: more are needed. */
size_t lv_amqp_hello(struct lv_amqp_conn *ac, struct lv_bytes in);
void lv_amqp_logged_in(struct lv_session *s, enum lv_login login);
/* A method of class connection. */
void lv_amqp_connection_method(struct lv_amqp_conn *ac, uint32_t method, struct lv_bytes args);

/* ---- error.c ---- */
/* connection.close with `code`, class and method of `method` (0: none); everything after is ignored. */
void lv_amqp_conn_error(struct lv_amqp_conn *ac, uint16_t code, uint32_t method, const char *format,
                        ...) __attribute__((format(printf, 4, 5)));
/* channel.close for a soft code, connection.close for a hard one, naming ch->method. */
void lv_amqp_error(struct lv_amqp_chan *ch, uint16_t code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a verb that failed; false: it did not fail. */
bool lv_amqp_failed(struct lv_amqp_chan *ch, const struct lv_call *call);
/* Method arguments that do not decode. */
void lv_amqp_cannot_decode(struct lv_amqp_conn *ac, uint32_t method, struct lv_bytes args,
                           enum lv_err err);
/* A frame that cannot be right: 501 with its dump. */
void lv_amqp_bad_frame(struct lv_amqp_conn *ac, const struct lv_amqp_frame *f, struct lv_bytes in);
/* A frame of no known kind: 501 with its dump. */
void lv_amqp_unknown_frame(struct lv_amqp_conn *ac, const struct lv_amqp_frame *f);
/* A whole frame where it must not be: 505 with `text`, or its dump when that is NULL. */
void lv_amqp_unexpected(struct lv_amqp_conn *ac, const struct lv_amqp_frame *f, const char *text);

/* ---- chan.c ---- */
void lv_amqp_chan_open(struct lv_amqp_conn *ac, uint16_t number);
/* Ends consumers; nothing is delivered any more. */
void lv_amqp_chan_end(struct lv_amqp_chan *ch);
/* Likewise, and gives back what is unsettled, drops what is half received. The channel stays. */
void lv_amqp_chan_leave(struct lv_amqp_chan *ch);
void lv_amqp_chan_free(struct lv_amqp_chan *ch);
/* Handles one method of an open channel. false: not now; the frame must come again. */
bool lv_amqp_chan_method(struct lv_amqp_chan *ch, uint32_t method, struct lv_bytes args) LV_MUST_USE;
/* May this user do that? false: the channel was closed with the refusal. */
bool lv_amqp_may(struct lv_amqp_chan *ch, enum lv_operation operation,
                 const struct lv_operands *on) LV_MUST_USE;
/* The same, of one name. */
bool lv_amqp_may_name(struct lv_amqp_chan *ch, enum lv_operation operation,
                      struct lv_bytes name) LV_MUST_USE;
/* Where answers are remembered; NULL without memory. */
struct lv_check_cache *lv_amqp_checks(struct lv_amqp_chan *ch);
/* A call for `ch` whose answer goes to `done`, which finds the channel with lv_amqp_call_chan. NULL: closed for want of memory. */
struct lv_call *lv_amqp_call(struct lv_amqp_chan *ch, bool no_wait,
                             void (*done)(struct lv_session *, struct lv_call *));
struct lv_amqp_chan *lv_amqp_call_chan(struct lv_session *s, const struct lv_call *call);
bool lv_amqp_call_no_wait(const struct lv_call *call);
/* The queue a method names: `name`, or the most recently declared one when it is empty. false: 404 was raised. */
bool lv_amqp_queue_name(struct lv_amqp_chan *ch, struct lv_bytes name, struct lv_bytes *out);

/* ---- topology.c ---- */
void lv_amqp_exchange_declare(struct lv_amqp_chan *ch, const struct lv_amqp_exchange_declare *m);
void lv_amqp_exchange_delete(struct lv_amqp_chan *ch, const struct lv_amqp_exchange_delete *m);
void lv_amqp_exchange_bind(struct lv_amqp_chan *ch, const struct lv_amqp_exchange_bind *m);
void lv_amqp_exchange_unbind(struct lv_amqp_chan *ch, const struct lv_amqp_exchange_unbind *m);
void lv_amqp_queue_declare(struct lv_amqp_chan *ch, const struct lv_amqp_queue_declare *m);
void lv_amqp_queue_bind(struct lv_amqp_chan *ch, const struct lv_amqp_queue_bind *m);
void lv_amqp_queue_unbind(struct lv_amqp_chan *ch, const struct lv_amqp_queue_unbind *m);
void lv_amqp_queue_purge(struct lv_amqp_chan *ch, const struct lv_amqp_queue_purge *m);
void lv_amqp_queue_delete(struct lv_amqp_chan *ch, const struct lv_amqp_queue_delete *m);

/* ---- publish.c ---- */
static inline enum lv_route_fate lv_amqp_fate(uint32_t queues, bool mandatory)
{
    if (LV_LIKELY(queues != 0))
        return LV_FATE_ROUTED;
    return mandatory ? LV_FATE_RETURNED : LV_FATE_DROPPED;
}
/* Publishes the message whose publish method frame begins `in`, if all of it is there; bytes consumed, or 0: handle its
 * frames one by one. */
size_t lv_amqp_publish_whole(struct lv_amqp_conn *ac, struct lv_bytes in);
void lv_amqp_publish_begin(struct lv_amqp_chan *ch, const struct lv_amqp_basic_publish *m);
void lv_amqp_content_header(struct lv_amqp_chan *ch, const struct lv_amqp_frame *f);
/* A body frame's payload, or (`bytes.ptr` NULL) as many bytes that went straight into the message. */
void lv_amqp_content_body(struct lv_amqp_chan *ch, struct lv_bytes bytes);
/* Where `n` more body bytes of the frame under way may go directly; NULL: nowhere. */
uint8_t *lv_amqp_content_room(struct lv_amqp_chan *ch, size_t n);
void lv_amqp_pub_free(struct lv_amqp_chan *ch);

/* ---- confirm.c ---- */
void lv_amqp_confirm_select(struct lv_amqp_chan *ch, bool no_wait);
/* Names the publish under way, for whoever accepts it later; 0: nobody has to. */
uint64_t lv_amqp_confirm_token(const struct lv_amqp_chan *ch);
/* The publish under way lacks `lack` acceptances (LV_AMQP_NACKED: it failed), and is stable with `end`. Nothing outside
 * confirm mode. */
void lv_amqp_confirm(struct lv_amqp_chan *ch, uint32_t lack, lv_lsn end);
/* Sends what confirms are due. */
void lv_amqp_confirm_flush(struct lv_amqp_chan *ch);
void lv_amqp_accepted(struct lv_session *s, uint64_t token, lv_lsn end, bool is_refused);
/* More is stable. */
void lv_amqp_stable(struct lv_session *s);
void lv_amqp_confirms_free(struct lv_amqp_chan *ch);

/* ---- content.c ---- */
/* Writes content header and body frames of `msg`. */
void lv_amqp_write_content(struct lv_amqp_conn *ac, uint16_t number, struct lv_msg *msg);
/* `msg`, kept, with one more reference; after failures a copy whose header x-delivery-count tells of them, unless memory is
 * short. */
struct lv_msg *lv_amqp_with_count(struct lv_msg *msg, uint32_t failures);
/* basic.return 312 with the whole content. */
void lv_amqp_return(struct lv_amqp_chan *ch, const struct lv_msg *msg);

/* ---- consume.c ---- */
bool lv_amqp_consume(struct lv_amqp_chan *ch, const struct lv_amqp_basic_consume *m) LV_MUST_USE;
void lv_amqp_cancel(struct lv_amqp_chan *ch, const struct lv_amqp_basic_cancel *m);
void lv_amqp_get(struct lv_amqp_chan *ch, const struct lv_amqp_basic_get *m);
void lv_amqp_qos(struct lv_amqp_chan *ch, const struct lv_amqp_basic_qos *m);
enum lv_sink_answer lv_amqp_deliver(struct lv_sub *sub, const struct lv_delivery *d);
void lv_amqp_cancelled(struct lv_sub *sub);
/* Permissions changed: consumers whose queue may not be read any more end. */
void lv_amqp_recheck(struct lv_session *s);
/* Room in the output again, or under the channel-wide limit: consumers go on. */
void lv_amqp_chan_resume(struct lv_amqp_chan *ch);
/* Where the channel counts what it gets from the queue; NULL: no memory. It stays as long as the channel. */
struct lv_amqp_used *lv_amqp_used_of(struct lv_amqp_chan *ch, struct lv_bytes queue) LV_MUST_USE;
/* Counts there what the consumer was delivered. */
void lv_amqp_sub_count(struct lv_amqp_sub *sub);
void lv_amqp_used_free(struct lv_amqp_chan *ch);
struct lv_amqp_sub *lv_amqp_sub_new(struct lv_amqp_chan *ch, struct lv_bytes tag,
                                    struct lv_bytes queue, struct lv_bytes arguments) LV_MUST_USE;
void lv_amqp_sub_unref(struct lv_amqp_sub *sub);
struct lv_amqp_sub *lv_amqp_consumer_find(struct lv_amqp_chan *ch, struct lv_bytes tag);
void lv_amqp_held_drop(struct lv_amqp_chan *ch);

/* ---- unacked.c ---- */
enum lv_err lv_amqp_unacked_push(struct lv_amqp_unacked *u, uint64_t tag, struct lv_amqp_sub *sub,
                                 uint32_t slot) LV_MUST_USE;
/* The entry of `tag`, or the first one after it; NULL: none. */
struct lv_amqp_open *lv_amqp_unacked_at(struct lv_amqp_unacked *u, uint64_t tag);
/* The entry after `e`, or NULL. */
struct lv_amqp_open *lv_amqp_unacked_next(struct lv_amqp_unacked *u, struct lv_amqp_open *e);
/* Drops settled entries at the head, and the ring when it is empty. */
void lv_amqp_unacked_trim(struct lv_amqp_unacked *u);

/* ---- settle.c ---- */
/* Settles the open entries of tags first..last. */
void lv_amqp_settle(struct lv_amqp_chan *ch, uint64_t first, uint64_t last, enum lv_outcome outcome);
/* Settles the entries that a transaction kept, each with its outcome. */
void lv_amqp_settled_tx(struct lv_amqp_chan *ch);
/* basic.ack, nack, reject: with the exact-tag rule; in a transaction it is kept for the commit. */
void lv_amqp_client_settles(struct lv_amqp_chan *ch, uint64_t tag, bool multiple,
                            enum lv_outcome outcome);
/* Closes channels with a delivery that waits for longer than that. */
void lv_amqp_check_acks(struct lv_session *s, lv_time_ms now, uint64_t timeout_ms);
void lv_amqp_recover(struct lv_amqp_chan *ch, bool requeue, bool wants_ok);

/* ---- tx.c ---- */
void lv_amqp_tx_select(struct lv_amqp_chan *ch);
void lv_amqp_tx_commit(struct lv_amqp_chan *ch);
void lv_amqp_tx_rollback(struct lv_amqp_chan *ch);
/* Keeps a publish for the commit. Pins msg. */
void lv_amqp_tx_publish(struct lv_amqp_chan *ch, struct lv_msg *msg, const lv_handle *queues,
                        uint32_t count, bool mandatory);
void lv_amqp_tx_drop(struct lv_amqp_chan *ch);
/* Publishes that wait for the commit. */
uint64_t lv_amqp_tx_count(const struct lv_amqp_chan *ch);

/* ---- reply_to.c ---- */
#define LV_AMQP_REPLY_TO "amq.rabbitmq.reply-to"
bool lv_amqp_is_reply_to(struct lv_bytes queue);
void lv_amqp_reply_consume(struct lv_amqp_chan *ch, const struct lv_amqp_basic_consume *m);
/* true: `tag` was the reply consumer's, which has ended. */
bool lv_amqp_reply_cancel(struct lv_amqp_chan *ch, struct lv_bytes tag);
/* queue.declare of a reply address: is somebody there? */
void lv_amqp_reply_declare(struct lv_amqp_chan *ch, struct lv_bytes name, bool no_wait);
/* The address that replaces LV_AMQP_REPLY_TO in this channel's reply_to property. */
struct lv_bytes lv_amqp_reply_address(const struct lv_amqp_chan *ch);
/* A publish to the default exchange with a reply address as key. */
void lv_amqp_reply_send(struct lv_amqp_chan *ch, struct lv_msg *msg);
/* The same; returned when nobody is there, and confirmed. */
void lv_amqp_reply_send_mandatory(struct lv_amqp_chan *ch, struct lv_msg *msg);
bool lv_amqp_reply_arrived(struct lv_session *s, uint64_t consumer, struct lv_msg *msg);
void lv_amqp_reply_free(struct lv_amqp_chan *ch);

#endif
