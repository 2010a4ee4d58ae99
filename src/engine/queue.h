/* engine/queue.h - one queue: ready messages, unsettled deliveries, consumers.
 *
 * A deterministic state machine: commands and `now` in, effects out through the sink. It reads no
 * clock, does no I/O and takes no lock; it works without the server.
 * Owner   home loop of the queue. Nobody else touches it.
 * Sink    called in the middle of a command; must not call back into the queue, but may pause any
 *         consumer (a limit that several share).
 * Read    engine/README.md first; invariants Q1-Qn there.
 */
#ifndef LV_ENGINE_QUEUE_H
#define LV_ENGINE_QUEUE_H
#include "base/err.h"
#include "base/list.h"
#include "base/time.h"
#include "engine/death.h"
#include "engine/message.h"

struct lv_queue; /* opaque */
struct lv_journal;
struct lv_load;
struct lv_band; /* round_priv.h */

#define LV_SLOT_NONE UINT32_MAX /* a delivery that needs no settling */
#define LV_CREDIT_UNLIMITED UINT32_MAX

/* One consumer. The memory is the caller's and stays until lv_queue_unsubscribe or cancelled. */
struct lv_consumer {
    struct lv_link link;    /* private to the queue */
    struct lv_band *band;   /* private to the queue: those of equal priority */
    struct lv_queue *queue; /* NULL when not subscribed */
    void *owner;            /* the caller's */
    uint32_t credit;        /* deliveries still allowed, or LV_CREDIT_UNLIMITED */
    int32_t priority;       /* x-priority: higher is served first */
    bool no_ack;
    bool exclusive;
    bool is_paused;  /* the sink said STOP, or lv_consumer_pause */
    bool is_waiting; /* private: credit or pause keeps it out of the round */
};

/* How a queue treats a consumer: with a single active one the others wait. */
enum lv_activity { LV_ACTIVITY_UP, LV_ACTIVITY_SINGLE_ACTIVE, LV_ACTIVITY_WAITING };

struct lv_delivery {
    struct lv_msg *msg; /* borrows: keep it to hold it longer than the call */
    uint32_t slot;      /* name for settling, or LV_SLOT_NONE */
    uint32_t failures;  /* deliveries of it that have failed (LV_FAILED) */
    bool redelivered;
};

enum lv_sink_answer {
    LV_SINK_MORE, /* delivered; more may come */
    LV_SINK_STOP, /* delivered; nothing more until lv_consumer_resume */
};

struct lv_queue_sink {
    enum lv_sink_answer (*deliver)(struct lv_consumer *c, const struct lv_delivery *d);
    /* The queue is going; `c` is unsubscribed already. */
    void (*cancelled)(struct lv_consumer *c);
    /* After lv_queue_get said LV_EAGAIN: try again. `name` is lv_queue_attach's. Queues with a journal only. */
    void (*available)(struct lv_journal *j, uint64_t name);
    /* The counts change: only after lv_queue_watch. `owner` here and below is lv_queue_own's. */
    void (*noted)(void *owner);
    /* A message dies. With a slot (the rules want dead letters) it stays in the queue until lv_queue_bury(slot), which must
     * not be called from here; without one it is gone (d->msg may be NULL), or was never in it, if the queue refused it for
     * LV_OVERFLOW_REJECT_DEAD. NULL: nobody cares. */
    void (*died)(void *owner, const struct lv_delivery *d, enum lv_death why);
    /* lv_queue_tick is wanted at `at`, not later; one asked for earlier is not needed any more. NULL: nobody keeps time. */
    void (*wake)(void *owner, lv_time_ms at);
};

/* What consumers got and gave back. */
#define LV_QUEUE_COUNTERS(X)                                      \
    X(deliver_no_ack) /* to a no_ack consumer */                  \
    X(deliver)        /* to one that must settle */               \
    X(get_no_ack)                                                 \
    X(get)                                                        \
    X(get_empty)                                                  \
    X(redeliver) /* of all these, those not for the first time */ \
    X(ack)       /* LV_ACCEPTED */

struct lv_queue_totals {
#define X(name) uint64_t name;
    LV_QUEUE_COUNTERS(X)
#undef X
};
static inline void lv_queue_totals_add(struct lv_queue_totals *to,
                                       const struct lv_queue_totals *from)
{
#define X(name) to->name += from->name;
    LV_QUEUE_COUNTERS(X)
#undef X
}
#define LV_QUEUE_COUNTER_COUNT (sizeof(struct lv_queue_totals) / sizeof(uint64_t))

struct lv_queue_counts {
    uint64_t ready, unsettled, consumers;
    uint64_t ready_here; /* of `ready`, about as many are in memory */
    uint64_t persistent; /* of a durable queue: ready and unsettled ones that survive a restart */
    uint64_t ready_bytes, unsettled_bytes; /* of bodies */
    uint64_t published;                    /* accepted since lv_queue_new, as is `out` */
    struct lv_queue_totals out;
};

enum lv_outcome {
    LV_ACCEPTED, /* done: forget it */
    LV_REJECTED, /* not wanted: dead letter or drop */
    LV_RELEASED, /* back to its original place; the next delivery is marked redelivered */
    LV_FAILED,   /* as LV_RELEASED, and counted where the rules limit that */
    LV_UNSEEN,   /* as LV_RELEASED, but nobody saw it: marked only if it was before */
};

#define LV_QUEUE_NO_LIMIT UINT64_MAX

enum lv_overflow { LV_OVERFLOW_DROP_HEAD, LV_OVERFLOW_REJECT, LV_OVERFLOW_REJECT_DEAD };

/* What may not stay in a queue, and what becomes of it. They may change at any time, and hold for what is in it, too. */
struct lv_queue_rules {
    uint64_t ttl_ms; /* LV_QUEUE_NO_LIMIT: none; a message has the smaller of this and its own */
    uint64_t max_length;     /* ready messages */
    uint64_t max_bytes;      /* of their bodies */
    uint64_t delivery_limit; /* deliveries of one message that may fail */
    enum lv_overflow overflow;
    bool has_dead_letters; /* who dies gets a slot */
    bool counts_failures;  /* of LV_FAILED (quorum queues) */
};
#define LV_QUEUE_NO_RULES                                                              \
    ((struct lv_queue_rules){ LV_QUEUE_NO_LIMIT, LV_QUEUE_NO_LIMIT, LV_QUEUE_NO_LIMIT, \
                              LV_QUEUE_NO_LIMIT, LV_OVERFLOW_DROP_HEAD, false, false })

/* `sink` is borrowed for the queue's life. LV_ENOMEM. */
enum lv_err lv_queue_new(const struct lv_queue_sink *sink, struct lv_queue **out) LV_MUST_USE;
/* Gives a new queue the log (borrows): what must survive is written there first, what has to wait long may wait
 * there. `id` is never used again for another queue; `name` is what loads and sink.available call it. A queue that is
 * not durable uses the log only when memory is short. */
void lv_queue_attach(struct lv_queue *q, struct lv_journal *j, uint64_t id, bool is_durable,
                     uint64_t name);
/* Who is told by the sink what concerns the queue as a whole. */
void lv_queue_own(struct lv_queue *q, void *owner);
/* Of a new queue: messages have priorities 0 to `levels` - 1 (at most LV_QUEUE_LEVELS_MAX), a greater one counts as the last; one that
 * names none has `usual`. A higher one goes first. */
#define LV_QUEUE_LEVELS_MAX 256u
void lv_queue_prioritize(struct lv_queue *q, unsigned levels, uint8_t usual);
/* Of a new queue: what comes back goes before all others, in the order of its return (quorum queues). */
void lv_queue_serve_returned_first(struct lv_queue *q);
/* Of a new queue: one consumer gets everything until it leaves, then the one of the highest priority that came first. */
void lv_queue_serve_one(struct lv_queue *q);
/* The consumer that is served then; NULL: all are, or there is none. */
const struct lv_consumer *lv_queue_served(const struct lv_queue *q);
/* From now on. LV_ENOMEM: as before. */
enum lv_err lv_queue_rule(struct lv_queue *q, const struct lv_queue_rules *rules,
                          lv_time_ms now) LV_MUST_USE;
/* The time asked for by sink.wake has come; or what was restored has not been looked at yet. */
void lv_queue_tick(struct lv_queue *q, lv_time_ms now);
/* A dead message has been looked after: it is gone. Then what the queue had put off. */
void lv_queue_bury(struct lv_queue *q, uint32_t slot, lv_time_ms now);
/* Before lv_queue_free, when the queue is deleted and does not just end with the process: what it has in the log is
 * dead from now on. Its deletion must be known before that (whoever keeps the ids). */
void lv_queue_discard(struct lv_queue *q);
/* Appends a state record; with `is_final` nobody will be handed anything any more. Clears "changed". */
enum lv_err lv_queue_write_state(struct lv_queue *q, bool is_final) LV_MUST_USE;
/* Carries forward some of what the queue has in log files that `is_doomed` names; false: there is nothing (in memory). Call
 * again in a later turn until then. */
typedef bool lv_is_doomed(void *ctx, uint64_t file);
bool lv_queue_move(struct lv_queue *q, lv_is_doomed *is_doomed, void *ctx);
/* Is a part of that on its way? */
bool lv_queue_is_moving(const struct lv_queue *q);
/* lv_queue_write_state for one of the queues that changed; there must be one. */
enum lv_err lv_queue_write_changed(struct lv_journal *j, bool is_final) LV_MUST_USE;
/* Before the last states: also a queue that did not change since is written once more, if what may have been handed out
 * is not yet told one by one. */
void lv_queue_will_stop(struct lv_queue *q);
/* LSN of its last state record; 0: it has none, and nothing in the log. */
uint64_t lv_queue_state_lsn(const struct lv_queue *q);
uint64_t lv_queue_id(const struct lv_queue *q);
/* Drops all messages (not dead-lettered, and without a word in the wal), hands every consumer to sink.cancelled, frees. NULL
 * is allowed. */
void lv_queue_free(struct lv_queue *q);

/* Accepts `msg`: hands it to a consumer that can take it, or keeps it as ready. The caller's
 * reference stays the caller's. `now` is wall clock, as in msg->published_ms. LV_ENOMEM: nothing changed; LV_EFULL: the queue
 * is, and refuses it. */
enum lv_err lv_queue_publish(struct lv_queue *q, struct lv_msg *msg, lv_time_ms now) LV_MUST_USE;

/* Subscribes `c` (its fields credit, priority, no_ack, exclusive, owner set; the rest zero) without
 * delivering yet: call lv_queue_dispatch when the subscriber is ready for it. LV_EREFUSED: the
 * queue is in exclusive use, or exclusive was asked and there are others. */
enum lv_err lv_queue_subscribe(struct lv_queue *q, struct lv_consumer *c) LV_MUST_USE;
/* No delivery for `c` any more; what it has unsettled stays unsettled. Not subscribed: nothing. */
void lv_queue_unsubscribe(struct lv_consumer *c);
/* Was there ever a consumer? (auto-delete) */
bool lv_queue_had_consumer(const struct lv_queue *q);

/* `n` more deliveries allowed; no effect when unlimited. Delivers nothing by itself. */
void lv_consumer_credit(struct lv_consumer *c, uint32_t n);
void lv_consumer_pause(struct lv_consumer *c);
/* Undoes pause or STOP. Delivers nothing by itself. */
void lv_consumer_resume(struct lv_consumer *c);
/* Hands out ready messages while a consumer can take one. Cheap when there is nothing to do. Ends
 * early when memory is short; the next command that dispatches goes on. */
void lv_queue_dispatch(struct lv_queue *q, lv_time_ms now);

/* Takes the first ready message, or LV_ENOTFOUND, or LV_EAGAIN when it is still on its way from the log. With no_ack it is gone from the queue and
 * `d->msg` is the caller's reference; otherwise it is unsettled under d->slot and d->msg is
 * borrowed until it is settled. */
enum lv_err lv_queue_get(struct lv_queue *q, bool no_ack, lv_time_ms now,
                         struct lv_delivery *d) LV_MUST_USE;

/* Settles `n` deliveries, then dispatches. Each slot must be unsettled: it is named by whoever got
 * it, once. Needs no memory and gives no credit. */
void lv_queue_settle(struct lv_queue *q, const uint32_t *slots, size_t n, enum lv_outcome outcome,
                     lv_time_ms now);
/* Drops the ready messages; returns how many. Unsettled ones stay. */
uint64_t lv_queue_purge(struct lv_queue *q);

void lv_queue_counts(const struct lv_queue *q, struct lv_queue_counts *out);
/* sink.noted(owner) will be called, once, when the counts change next. */
void lv_queue_watch(struct lv_queue *q);

#endif
