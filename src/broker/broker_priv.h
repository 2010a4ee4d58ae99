/* broker/broker_priv.h - what the files of this room share. */
#ifndef LV_BROKER_BROKER_PRIV_H
#define LV_BROKER_BROKER_PRIV_H
#include <stdatomic.h>

#include "base/table.h"
#include "broker/broker.h"
#include "broker/errand.h"
#include "broker/observe.h"
#include "broker/session.h"
#include "engine/load.h"
#include "store/store.h"

#define LV_REGISTRY_LOOP 0u

enum { LV_ALARM_MEMORY = 1, LV_ALARM_DISK = 2 };

struct lv_parameters;
struct lv_definitions;

struct lv_vhost {
    struct lv_ptrmap_entry name; /* first */
    struct lv_router router;     /* first but for the name: see lv_meta_exchange_gone */
    struct lv_broker *broker;
    _Atomic(struct lv_parameters *) parameters; /* replaced whole by the registry; NULL: none */
    _Atomic uint32_t sessions;                  /* that are in it */
    /* the registry's */
    bool is_dead; /* nothing of it is in the log any more, and nothing comes in */
    unsigned answers;
    struct lv_timer end_timer;
    struct lv_link ending; /* in broker->ending */
    char text[];
};

/* No queue was needed so far; or it is deleted and none will be made. Neither is a handle of anything. */
#define LV_HOME_NONE_YET ((lv_handle)0)
#define LV_HOME_NONE_EVER ((lv_handle)1 << 8)

/* A queue's numbers, written at its home, read by anybody. */
struct lv_queue_stats {
    _Atomic uint64_t ready, unsettled, consumers, ready_here, persistent;
    _Atomic uint64_t ready_bytes, unsettled_bytes;
    _Atomic uint64_t published, out[LV_QUEUE_COUNTER_COUNT];
    _Atomic uint64_t
        active; /* of one with a single active consumer: the subscription that is served; 0: none */
    _Atomic uint64_t active_ms; /* the loop's clock when they changed last; 0: never */
    _Atomic uint64_t seen;      /* what they came to when they were last sampled; the sampler's */
};

/* The directory's record of a queue: written by the registry, read by every loop under RCU. */
struct lv_queue_entry {
    struct lv_dest dest;    /* first */
    _Atomic lv_handle home; /* the queue, on its home loop; or one of LV_HOME_* */
    uint64_t id;            /* never given twice, also over restarts */
    uint64_t owner;         /* session that has it exclusively, 0: nobody */
    struct lv_vhost *vhost;
    _Atomic(struct lv_queue_stats *) stats; /* own memory; NULL: it never had a home */
    bool durable, auto_delete;
    uint8_t kind;              /* enum lv_queue_kind, of the arguments */
    struct lv_bytes arguments; /* views data */
    uint8_t data[];            /* name, arguments */
};

struct lv_look;
struct lv_shard;

/* What a queue's arguments and policies say beyond the rules of the engine. */
struct lv_home_rules {
    bool has_dlx, has_key;
    struct lv_bytes dlx, key; /* dead letter exchange; routing key, when has_key; views of text */
    uint64_t expires_ms;      /* unused for so long, it is deleted; LV_QUEUE_NO_LIMIT */
    uint8_t text[];
};

/* Of the few queues for which something is to happen at a time. */
struct lv_home_clock {
    struct lv_home_queue *hq;
    struct lv_timer wake, unused;
    struct lv_task serve;
    lv_time_ms used_at; /* the loop's clock */
};

/* The queue where it lives. Home loop only. */
struct lv_home_queue {
    struct lv_queue *queue;
    struct lv_shard *shard;
    struct lv_queue_entry *entry; /* the registry's once it is in the directory */
    struct lv_vhost *vhost;
    lv_handle self;
    struct lv_call *gets;         /* basic.get that waits for the disk */
    struct lv_queue_stats *stats; /* the entry's, once it is this queue's */
    struct lv_home_rules *rules;  /* NULL: none */
    struct lv_home_clock *clock;  /* NULL: nothing waits for a time */
    bool is_single;               /* one active consumer */
    struct lv_link noted;         /* in the shard's list: `stats` is older than the queue */
};

/* The home's side of a consumer. */
struct lv_feed {
    struct lv_consumer consumer; /* first; owner is the home queue */
    lv_handle self;
    struct lv_sub *local; /* when the session is on this loop */
    lv_handle remote;     /* else its subscription there */
};

/* One per loop: the queues whose home it is, the sessions that live on it. */
struct lv_shard {
    struct lv_broker *broker;
    struct lv_loop *loop;
    unsigned index;
    struct lv_handles queues;   /* of struct lv_home_queue */
    struct lv_handles feeds;    /* of struct lv_feed */
    struct lv_handles subs;     /* of struct lv_sub */
    struct lv_handles sessions; /* of struct lv_session */
    struct lv_route route;      /* scratch */
    uint8_t alarms;             /* LV_ALARM_*: publishers must wait */
    struct lv_timer ack_timer;  /* looks for deliveries that are never acknowledged */
    bool is_started;            /* the loop runs */

    /* dead_letters.c */
    struct lv_link dead;     /* letters that go out at the end of the turn */
    struct lv_handles dying; /* those on their way to other loops */

    /* count.c */
    bool is_counting;
    struct lv_link noted;      /* queues whose numbers changed */
    struct lv_link publishing; /* route memos with something to add to their exchange's numbers */
    _Atomic uint64_t tally[sizeof(struct lv_counters) / sizeof(uint64_t)]; /* a struct lv_counters */

    _Atomic uint32_t session_count;        /* placement reads it from every loop */
    _Atomic(struct lv_login_try *) logins; /* compared, newest first; by the verifier's thread */
    _Atomic(struct lv_errand *) errands;   /* to be run, newest first; by any thread */

    /* durable.c */
    struct lv_journal journal;
    _Atomic(struct lv_load *) loaded; /* by the reader, newest first */
    _Atomic bool waits;               /* somebody here waits for the log thread */
    lv_lsn stable_seen, told; /* the log's; journal.end when the log thread was last woken */
    lv_lsn topology_seen, topology_told;
    uint64_t damaged_told, rescued_told;          /* of journal.damaged, rescued */
    struct lv_link awaiting;                      /* sessions */
    struct lv_call *first_waiting, *last_waiting; /* calls, in the order of their `end` */
    uint64_t next_tx; /* numbers of transactions: from the log's end at the start, which grows faster */
    struct lv_states *states_due; /* asked for and not written yet */
    struct lv_doomed *doomed;     /* files that messages are carried out of; NULL: none */
    uint32_t doomed_at;           /* queues looked at */
    struct lv_timer retry;        /* of what could not be read */
};

struct lv_broker {
    const struct lv_settings *settings;
    char node[256]; /* its name */
    struct lv_loops *loops;
    uint64_t wall_offset; /* wall clock minus the loops', in ms, at the start: who sets the clock lets nothing expire */
    struct lv_shard *shards; /* one per loop */
    struct lv_ptrmap vhosts;
    struct lv_link ending; /* virtual hosts that are being taken apart; the registry's */
    bool is_running;       /* the loops are; the registry's */
    _Atomic uint64_t next_session_id;
    struct lv_timer alarm_timer;
    uint64_t memory; /* bytes that this process may use, for the watermark */
    struct lv_timer stop_timer;
    lv_time_ms stop_due;
    bool is_stopping;
    _Atomic uint8_t alarms; /* LV_ALARM_*; the registry's, read by any */

    /* policies.c, definitions_boot.c */
    _Atomic(struct lv_parameters *) globals; /* likewise */
    struct lv_definitions *definitions;      /* to be applied at the start */
    char definitions_why[2048];

    /* access.c */
    struct lv_access *access;
    struct lv_verify *verify;
    bool is_access_changed; /* in this turn; the registry's */
    _Atomic bool is_ending; /* no loop runs any more */

    /* durable.c, metadata.c; the registry's where not said */
    struct lv_store *store; /* NULL: nothing is kept */
    _Atomic uint32_t *back; /* by file of the message log, for all journals */
    uint64_t next_queue_id;
    lv_lsn topology_end; /* of the last change */
    struct lv_errand *first_unstable,
        *last_unstable;       /* errands that wait for it, in the order of their ends */
    uint64_t topology_bytes;  /* appended since the last snapshot */
    uint64_t snapshot_bytes;  /* of the last snapshot */
    lv_lsn checkpoint_from;   /* of the last checkpoint */
    struct lv_states *states; /* a checkpoint under way */
    struct lv_timer durable_timer;
    lv_time_ms room_after;            /* no checkpoint only for the sake of room before */
    struct lv_wal_reader *wal_reader; /* the reader's thread */
    uint64_t recovered_messages;
    _Atomic bool is_alarm_hurried; /* loops set their alarm before the registry's round: it says again how things are */
    _Atomic bool is_disk_full, is_closing;
    bool is_recovering, is_stopped;
    bool is_topology_damaged;   /* queues may be missing from it: nothing of it is tidied away */
    bool is_counter_due;        /* next_queue_id was found in the messages: it must be said again */
    lv_lsn tidy_from, tidy_end; /* a snapshot that is not stable yet; tidy_end 0: none */
};

/* Mail between loops: what the words mean. */
enum lv_broker_mail {
    LV_MAIL_CALL,     /* w0 call */
    LV_MAIL_ACCEPT,   /* w0 accept function, a fd */
    LV_MAIL_MOVE,     /* w0 session */
    LV_MAIL_PUBLISH,  /* lv_publish_post, w2 session, w3 token */
    LV_MAIL_ACCEPTED, /* w0 session, w1 token, w2 LSN, a 1: refused */
    LV_MAIL_DELIVER, /* w0 sub, w1 msg (shared, with a reference), w2 queue, a slot, w3 redelivered | failures << 1 */
    LV_MAIL_SETTLE, /* w0 queue, w1 feed, w2 outcome | n << 32, a credit, w3.. slots in pairs */
    LV_MAIL_CREDIT, /* w0 feed, a credit */
    LV_MAIL_PAUSE,  /* w0 feed */
    LV_MAIL_RESUME, /* w0 feed */
    LV_MAIL_UNSUBSCRIBE, /* w0 feed */
    LV_MAIL_REMOVE,      /* w0 entry, w1 vhost, w2 call or 0; to the registry */
    LV_MAIL_CANCELLED,   /* w0 sub */
    LV_MAIL_REPLY,       /* w0 session, w1 consumer, w2 msg (shared, with a reference) */
    LV_MAIL_SHUT,        /* close every session */
    LV_MAIL_ALARM,       /* a: 1 set, 0 cleared */
    LV_MAIL_STATES,      /* w0 states: write down the queues that changed */
    LV_MAIL_STATES_DONE, /* w0 states; to the registry */
    LV_MAIL_DOOMED,      /* w0 doomed, with a reference */
    LV_MAIL_TX_CLOSED,   /* a transaction's commit is appended */
    LV_MAIL_ACCESS,      /* permissions changed */
    LV_MAIL_VHOST_END,   /* w0 vhost, w1 how far: what of it lives here ends */
    LV_MAIL_VHOST_ENDED, /* w0 vhost, w1 how far; to the registry */
    LV_MAIL_RULES,       /* w0 vhost, only to be compared; a how far: policies changed */
    LV_MAIL_DEAD_LETTER, /* lv_publish_post, w2 letter */
    LV_MAIL_BURIED,      /* w0 letter: a queue on another loop has it; a 1: had no memory */
    LV_MAIL_OP_COUNT,
};

#define LV_SETTLE_MAIL_SLOTS 8u /* in w3..w6 */
#define LV_REMOTE_WINDOW \
    512u /* deliveries on their way to a subscription without limit on another loop */

/* vhosts.c */
struct lv_vhost *lv_vhost_find(const struct lv_broker *b, struct lv_bytes name);
/* Makes it with its predeclared exchanges, if it is not there. Registry. */
enum lv_err lv_vhost_make(struct lv_broker *b, struct lv_bytes name) LV_MUST_USE;
/* While nothing runs yet: with all that is in it. */
void lv_vhost_forget(struct lv_broker *b, struct lv_bytes name);
/* Takes it apart while others are in it: its record is gone already, from the log and from the directory. Registry. */
void lv_vhost_end(struct lv_broker *b, struct lv_vhost *v);
/* No reader may be left. */
void lv_vhost_free(struct lv_vhost *v);
void lv_broker_mail_vhost(struct lv_shard *shard, const struct lv_mail *m);
/* The session is in this virtual host from now on; false: it has just ended. */
bool lv_vhost_enter(struct lv_session *s, struct lv_bytes name);
/* The last thing that a session does with it. */
void lv_vhost_leave(struct lv_session *s);

/* count.c */
/* Adds to a counter of this loop's struct lv_counters. Its thread. */
static inline void lv_tally_add(struct lv_shard *shard, size_t word, uint64_t n)
{
    lv_word_add(&shard->tally[word], n);
}
#define LV_TALLY(shard, field, n) \
    lv_tally_add((shard), offsetof(struct lv_counters, field) / sizeof(uint64_t), (n))
void lv_count_init(struct lv_shard *shard);
/* At the end of each turn. */
void lv_count_turn(struct lv_shard *shard);
/* Adds what the memo has gathered. */
void lv_count_memo(struct lv_route_memo *memo);
/* What was published to memo->queues: before they change. */
void lv_count_run(struct lv_route_memo *memo);
/* Where what goes to that queue is counted; NULL: nowhere. */
struct lv_routed *lv_count_route(struct lv_route_memo *memo, const struct lv_queue_entry *entry);
/* From now on it publishes to `x`, whose name is `name`. NULL: to none that is there. */
void lv_count_exchange(struct lv_route_memo *memo, struct lv_exchange *x, struct lv_bytes name);
void lv_count_memo_fini(struct lv_session *s, struct lv_route_memo *memo);
/* What publishers of this loop have not added yet: before one of them goes to another loop. */
void lv_count_publishers(struct lv_shard *shard);
/* The numbers of the home queue have changed. */
void lv_count_note(void *home_queue);
/* Before its queue is freed. */
void lv_count_last(struct lv_home_queue *hq);

/* defaults.c */
/* What the settings give a new virtual host. What cannot be is logged. Registry. */
void lv_vhost_defaults(struct lv_broker *b, struct lv_bytes vhost);
/* Is that pattern found in the name? false too if it is none. */
bool lv_pattern_fits(struct lv_bytes pattern, struct lv_bytes name);
/* The value of an item of a MAP. */
struct lv_bytes lv_item_or(const char *items, struct lv_bytes name, const char *otherwise);

/* access.c */
/* Before the loops run: what was appended to the topology is stable afterwards, unless the disk is full. */
void lv_broker_wait_stable(struct lv_broker *b);
/* At the end of each turn. */
void lv_access_turn(struct lv_shard *shard);
void lv_broker_mail_access(struct lv_shard *shard);
/* Sends the session away, or ends consumers, if it is not right any more. */
void lv_session_recheck(struct lv_session *s);

/* errand.c, agent.c */
/* At the end of each turn that finds some. */
void lv_errands_turn(struct lv_shard *shard);
/* More of the topology is stable: some go back to their desks. Registry. */
void lv_errands_stable(struct lv_broker *b);
/* No loop runs any more: what is left goes back to its desk, not done. */
void lv_errands_drop(struct lv_shard *shard);
void lv_agents_drop(struct lv_shard *registry);

/* login.c */
void lv_logins_take(struct lv_shard *shard);
/* Those that nobody will take any more. */
void lv_logins_drop(struct lv_shard *shard);
void lv_login_abandon(struct lv_session *s);

/* call.c */
/* May the session that asks do that, too? false: the call has failed. Any loop while the call is there. */
bool lv_call_may(struct lv_call *call, enum lv_operation operation, const struct lv_operands *on);
/* Goes on with `step` on loop `to`: now when that is here. */
void lv_call_go(struct lv_shard *here, struct lv_call *call, unsigned to,
                void (*step)(struct lv_shard *, struct lv_call *));
/* Goes on with `step` here in the next turn: what it waits for is on its way. */
void lv_call_later(struct lv_shard *here, struct lv_call *call,
                   void (*step)(struct lv_shard *, struct lv_call *));
/* Prepares a call for leaving its origin: strings copied, session paused. false: no memory. */
bool lv_call_leave(struct lv_call *call) LV_MUST_USE;
void lv_call_arrived(struct lv_shard *shard, struct lv_call *call);
/* Looks the queue call->name up for an operation by call->owner: 404 and 405 are reported to the call. */
struct lv_queue_entry *lv_call_find_queue(struct lv_call *call);
/* 405 with RabbitMQ's text; `rs` is the queue as lv_rs names it. */
void lv_call_fail_locked(struct lv_call *call, const char *rs);

/* queues.c, exchanges.c */
/* Of all virtual hosts. Registry. */
uint64_t lv_broker_queue_count(const struct lv_broker *b);
extern const struct lv_queue_sink lv_home_sink;
/* Handle of the entry's queue, which is made on this loop if nobody needed it so far. LV_HOME_NONE_YET: no memory. */
lv_handle lv_home_of(struct lv_shard *shard, struct lv_vhost *vhost, struct lv_queue_entry *entry);
struct lv_home_queue *lv_home_find(struct lv_shard *shard, lv_handle queue);
/* A directory entry with these names, everything else zero; NULL: no memory. */
struct lv_queue_entry *lv_queue_entry_new(struct lv_vhost *vhost, struct lv_bytes name,
                                          struct lv_bytes arguments) LV_MUST_USE;
void lv_queue_entry_free(void *entry);
/* Makes the queue of an entry on this loop, whoever else may be doing so; NULL: no memory, or another was first. */
struct lv_home_queue *lv_home_make(struct lv_shard *shard, struct lv_vhost *vhost,
                                   struct lv_queue_entry *entry);
/* basic.get may find something now. */
void lv_home_available(struct lv_journal *j, uint64_t queue);
/* Ends a queue at its home and in the directory, then finishes `call` (may be NULL). */
void lv_home_delete(struct lv_shard *shard, struct lv_home_queue *hq, struct lv_call *call);
void lv_broker_mail_remove(struct lv_shard *registry, const struct lv_mail *m);
/* Makes what is not there yet, in the log and in the router. Registry. add_queue borrows `entry`, which stays the caller's on an
 * error; bind: LV_EINVAL as lv_router_bind. LV_EFULL, LV_ENOMEM. */
enum lv_err lv_registry_add_queue(struct lv_broker *b, struct lv_vhost *v,
                                  struct lv_queue_entry *entry) LV_MUST_USE;
enum lv_err lv_registry_add_exchange(struct lv_broker *b, struct lv_vhost *v,
                                     const struct lv_exchange_spec *spec) LV_MUST_USE;
enum lv_err lv_registry_bind(struct lv_broker *b, struct lv_vhost *v, struct lv_exchange *source,
                             struct lv_dest *dest, struct lv_bytes key,
                             struct lv_bytes arguments) LV_MUST_USE;
/* Ends a queue that has no home; one that has is left alone. Registry. */
void lv_queue_end_unused(struct lv_shard *registry, struct lv_vhost *vhost,
                         struct lv_queue_entry *entry);

/* rules.c */
/* Of arguments that were checked. */
enum lv_queue_kind lv_queue_kind_of(struct lv_bytes arguments);
/* Gives a new queue what its arguments settle for its life: priorities, a single active consumer. */
void lv_home_shape(struct lv_home_queue *hq);
/* Gives it what is in effect now. Without memory: as before. */
void lv_home_rule(struct lv_home_queue *hq);
void lv_home_rules_fini(struct lv_home_queue *hq);
/* Another consumer may be the active one: it is served at the turn's end, behind what the last one gives back. */
void lv_home_hand_over(struct lv_home_queue *hq);
/* A consumer left, somebody got a message, it was declared again: for x-expires. */
void lv_home_used(struct lv_home_queue *hq);
/* lv_queue_sink.wake */
void lv_home_wake(void *home, lv_time_ms at);
/* Does a queue go when nobody uses it? A reader's section. */
bool lv_queue_may_expire(const struct lv_queue_entry *entry);
/* Policies of the virtual host changed. Registry. */
void lv_rules_changed(struct lv_vhost *v);
/* On the loop's own thread, before its first turn. */
void lv_rules_start(struct lv_shard *shard);
void lv_broker_mail_rules(struct lv_shard *shard, const struct lv_mail *m);

/* dead_letters.c */
/* lv_queue_sink.died */
void lv_home_died(void *home, const struct lv_delivery *d, enum lv_death why);
/* At the end of each turn that finds some. */
void lv_dead_letters_turn(struct lv_shard *shard);
/* No loop runs any more. */
void lv_dead_letters_drop(struct lv_shard *shard);
void lv_broker_mail_dead_letters(struct lv_shard *shard, const struct lv_mail *m);

/* consumers.c */
void lv_feed_end(struct lv_shard *shard, struct lv_feed *feed);
void lv_broker_mail_consumers(struct lv_shard *shard, const struct lv_mail *m);

/* durable.c: the broker and its store */
/* At the end of each turn. */
void lv_durable_turn(struct lv_loop *loop);
void lv_durable_start(struct lv_shard *registry);
void lv_durable_mail(struct lv_shard *shard, const struct lv_mail *m);
/* All loops have ended: writes what is left, and a checkpoint. */
void lv_durable_stop(struct lv_broker *b);
/* The call is done when `call->end` of the topology (is_topology) or of the messages is stable. On the shard's thread. */
void lv_call_finish_stable(struct lv_shard *shard, struct lv_call *call);
/* Reads what a look found to be only in the log; then it goes back to its desk. */
void lv_durable_look(struct lv_shard *shard, struct lv_look *look);
/* Gives a new home queue its journal. */
void lv_durable_attach(struct lv_home_queue *hq);

/* metadata.c: everything that has a name, in the topology log */
enum lv_err lv_meta_visit(void *broker, uint8_t type, lv_lsn lsn, struct lv_bytes payload);
/* The change is appended before it is made; call->end says when it is stable. LV_ENOMEM. */
enum lv_err lv_meta_put_queue(struct lv_broker *b, const struct lv_vhost *v,
                              const struct lv_queue_entry *entry) LV_MUST_USE;
enum lv_err lv_meta_del_queue(struct lv_broker *b, const struct lv_vhost *v,
                              const struct lv_queue_entry *entry) LV_MUST_USE;
enum lv_err lv_meta_put_exchange(struct lv_broker *b, const struct lv_vhost *v,
                                 const struct lv_exchange_spec *spec) LV_MUST_USE;
enum lv_err lv_meta_binding(struct lv_broker *b, const struct lv_vhost *v, bool put,
                            const struct lv_exchange *source, const struct lv_dest *dest,
                            struct lv_bytes key, struct lv_bytes arguments) LV_MUST_USE;
/* `value` is nothing in a del. LV_EFULL, LV_ENOMEM. */
enum lv_err lv_meta_access(struct lv_broker *b, bool put, enum lv_access_kind kind,
                           struct lv_bytes key, struct lv_bytes value) LV_MUST_USE;
/* `vhost` and `component` are empty for a global one; `value` is nothing in a del. LV_EFULL, LV_ENOMEM. */
enum lv_err lv_meta_parameter(struct lv_broker *b, bool put, struct lv_bytes vhost,
                              struct lv_bytes component, struct lv_bytes name,
                              struct lv_bytes value) LV_MUST_USE;
/* lv_router.exchange_gone */
void lv_meta_exchange_gone(struct lv_router *r, const struct lv_exchange *x);
/* Writes all of it anew when most of the log is of the past, and lets the older files go. Registry; cheap when not. */
void lv_meta_tidy(struct lv_broker *b);
/* Says the next queue id. LV_ENOMEM. */
enum lv_err lv_meta_put_counter(struct lv_broker *b) LV_MUST_USE;

/* publish.c */
/* A message for a queue on another loop. `m` says what it is; set here are w0 queue, w1 msg (shared, with the reference that is
 * given), w4 its LSN. */
void lv_publish_post(struct lv_shard *shard, lv_handle queue, struct lv_msg *kept,
                     struct lv_mail *m);
/* There: lv_home_publish. */
enum lv_err lv_publish_take(struct lv_shard *shard, const struct lv_mail *m) LV_MUST_USE;
void lv_broker_mail_publish(struct lv_shard *shard, const struct lv_mail *m);

/* alarms.c */
/* Before the loops run: how things are from the start. */
void lv_alarm_init(struct lv_broker *b);
void lv_alarm_start(struct lv_shard *registry);
void lv_broker_mail_alarm(struct lv_shard *shard, const struct lv_mail *m);

/* placement.c */
/* Loop for a new connection. */
unsigned lv_place_session(const struct lv_broker *b);
/* May a session go from one loop to another, as far as balance is concerned? */
bool lv_may_move(const struct lv_broker *b, unsigned from, unsigned to);

/* session.c */
/* A session without a socket (agent.c): it ends by lv_session_end, like every other. LV_ENOMEM, LV_EFULL. */
enum lv_err lv_session_open_detached(struct lv_session *s, struct lv_shard *shard,
                                     const struct lv_session_ops *ops) LV_MUST_USE;
/* Its input waits. */
void lv_session_pause(struct lv_session *s);
/* Remembers that the session owns an exclusive queue of that name. false: no memory. */
bool lv_session_own(struct lv_session *s, struct lv_bytes queue);
/* Reads the session's input again, unless something else still holds it. */
void lv_session_resume(struct lv_session *s);
void lv_session_adopt(struct lv_shard *shard, struct lv_session *s, bool is_awaiting);
void lv_sessions_shut(struct lv_shard *shard);
/* Begins to look for deliveries that wait too long for their acknowledgement. */
void lv_sessions_watch_acks(struct lv_shard *shard);

/* arguments.c */
/* Writes the default type of queues of the virtual host into the arguments of a queue.declare that names none and may have
 * it. No memory is reported to the call. */
void lv_add_default_type(struct lv_call *call);
/* Checks the arguments of a queue.declare; the failure is reported to the call. */
void lv_check_queue_arguments(struct lv_call *call);
/* Compares a redeclaration with what exists (RabbitMQ's order and texts). */
void lv_check_queue_equivalence(struct lv_call *call, const struct lv_queue_entry *have);
void lv_check_exchange_equivalence(struct lv_call *call, const struct lv_exchange *have);

/* A value as RabbitMQ's texts show it: strings and numbers bare. Returns `out`, of `cap` bytes. */
const char *lv_print_value(const struct lv_value *v, char *out, size_t cap);

static inline lv_time_ms lv_shard_now(const struct lv_shard *shard)
{
    return lv_loop_now(shard->loop);
}
/* The wall clock as it would be had nobody set it since the start: queues tell time by it, and messages keep it over a
 * restart. */
static inline lv_time_ms lv_shard_wall(const struct lv_shard *shard)
{
    return lv_loop_now(shard->loop) + shard->broker->wall_offset;
}

/* Publishes to a queue whose home is here; one that is gone has it. LV_EFULL, LV_ENOMEM: it is not in the queue. */
LV_MUST_USE static inline enum lv_err lv_home_publish(struct lv_shard *shard, lv_handle queue,
                                                      struct lv_msg *msg)
{
    struct lv_home_queue *hq = lv_home_find(shard, queue);

    return LV_UNLIKELY(hq == NULL) ? LV_OK : lv_queue_publish(hq->queue, msg, lv_shard_wall(shard));
}

#endif
