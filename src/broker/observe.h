/* broker/observe.h - what is going on: counters, and what there is, for whoever shows it.
 *
 * Three ways, none of which a message waits for:
 *   counters    each loop writes its own (relaxed atomics), anybody adds them up;
 *   names       virtual hosts, exchanges and queues are in tables that a reader may walk (lv_reader_begin, or a loop's
 *               turn); a queue's numbers lie beside its name, written by its home loop;
 *   census      connections, channels and consumers belong to their loops: an errand goes round, and copies them in
 *               slices.
 */
#ifndef LV_BROKER_OBSERVE_H
#define LV_BROKER_OBSERVE_H
#include "base/bytes.h"
#include "base/times.h"
#include "broker/errand.h"
#include "engine/queue.h"
#include "loop/loop.h"
#include "route/route.h"
#include "store/store.h"

struct lv_vhost;
struct lv_queue_entry;

/* ---- counters ---- */

/* Of a node's life. Names as RabbitMQ's metrics have them (rabbitmq_global_..., rabbitmq_..._total). */
/* clang-format off */
#define LV_COUNTERS(X) \
    X(connections_opened) \
    X(connections_closed) \
    X(channels_opened) \
    X(channels_closed) \
    X(queues_declared) \
    X(queues_created) \
    X(queues_deleted) \
    X(messages_received) \
    X(messages_received_confirm) \
    X(messages_routed) \
    X(messages_confirmed) \
    X(unroutable_dropped) \
    X(unroutable_returned) \
    X(logins_ok) \
    X(logins_failed)
/* clang-format on */

/* What consumers got and gave back is counted by queue type: LV_QUEUE_COUNTERS (engine/queue.h). */
enum lv_queue_kind { LV_QUEUE_CLASSIC, LV_QUEUE_QUORUM, LV_QUEUE_STREAM, LV_QUEUE_KINDS };

/* Sizes of bodies received: counts of those of at most 100, 1e3, 1e4, 1e5, 1e6, 1e7, 5e7, 1e8 bytes (and of none of the
 * smaller ones), and of larger ones. */
#define LV_SIZE_BUCKETS 9u
extern const uint64_t lv_size_bounds[LV_SIZE_BUCKETS - 1];

struct lv_counters {
#define X(name) uint64_t name;
    LV_COUNTERS(X)
#undef X
    struct lv_queue_totals by_kind[LV_QUEUE_KINDS];
    uint64_t dead[LV_QUEUE_KINDS][LV_DEATH_COUNT]
                 [2]; /* messages that died; [1]: of queues with a dead letter exchange */
    uint64_t sizes[LV_SIZE_BUCKETS], size_sum;
    uint64_t publishers;     /* channels that have published */
    struct lv_times confirm; /* a sample of: publish received to confirm in the output */
    struct lv_times deliver; /* a sample of: publish received to first delivery in the output; 8 us coarse */
};

/* Sum over all loops; momentary. Any thread. */
void lv_broker_counters(const struct lv_broker *b, struct lv_counters *out);

/* What the broker has, and what it may have. Any thread; not for every message: it asks the system. */
struct lv_resources {
    uint64_t memory_used, memory_limit; /* of the heap, in bytes; the watermark, 0: none */
    uint64_t memory_total;              /* that this process may use; 0: unknown */
    uint64_t disk_free, disk_limit; /* where the data is; UINT64_MAX: unknown, or nothing is kept */
    bool is_memory_low, is_disk_low; /* alarms: publishers wait */
};
void lv_broker_resources(const struct lv_broker *b, struct lv_resources *out);
/* A loop's own figures, and the store's; false: nothing is kept. Any thread. */
void lv_broker_loop_stats(const struct lv_broker *b, unsigned loop, struct lv_loop_stats *out);
/* Of the data directory, for its life; 0: nothing is kept. */
uint64_t lv_broker_id(const struct lv_broker *b);
bool lv_broker_store_stats(const struct lv_broker *b, struct lv_store_stats *out);

/* ---- names: a reader's section ---- */

/* Steps through all, in no order: start with *pos = 0; NULL at the end. While something is made or goes, some may be met twice,
 * or be missed. */
const struct lv_vhost *lv_observe_vhost(const struct lv_broker *b, size_t *pos);
const struct lv_vhost *lv_observe_vhost_find(const struct lv_broker *b, struct lv_bytes name);
struct lv_bytes lv_vhost_name(const struct lv_vhost *v);
const struct lv_exchange *lv_observe_exchange(const struct lv_vhost *v, size_t *pos);
const struct lv_queue_entry *lv_observe_queue(const struct lv_vhost *v, size_t *pos);
const struct lv_queue_entry *lv_observe_queue_find(const struct lv_vhost *v, struct lv_bytes name);
/* A queue as the end of a binding. */
const struct lv_dest *lv_queue_dest(const struct lv_queue_entry *entry);
const struct lv_exchange *lv_observe_exchange_find(const struct lv_vhost *v, struct lv_bytes name);
/* All of them, each once; within one section. */
void lv_observe_vhosts(const struct lv_broker *b,
                       void (*visit)(void *ctx, const struct lv_vhost *v), void *ctx);
void lv_observe_queues(const struct lv_vhost *v,
                       void (*visit)(void *ctx, const struct lv_queue_entry *entry), void *ctx);
void lv_observe_exchanges(const struct lv_vhost *v,
                          void (*visit)(void *ctx, const struct lv_exchange *x), void *ctx);
/* Grows with every queue, exchange or binding made or gone in it: who remembers a list compares it. */
uint64_t lv_vhost_version(const struct lv_vhost *v);
size_t lv_vhost_queue_count(const struct lv_vhost *v);
size_t lv_vhost_exchange_count(const struct lv_vhost *v);

/* A queue as a reader sees it; views stay for the reader's section. */
struct lv_queue_info {
    struct lv_bytes name, vhost;
    struct lv_bytes arguments; /* field table */
    enum lv_queue_kind kind;
    bool durable, auto_delete, exclusive;
    uint64_t owner; /* exclusive: id of the session */
    uint64_t ready, unsettled, consumers;
    uint64_t ready_here; /* of `ready`, about as many are in memory */
    uint64_t persistent; /* of ready and unsettled; 0 if the queue is not durable */
    uint64_t ready_bytes, unsettled_bytes;
    uint64_t published;         /* messages that came in */
    struct lv_queue_totals out; /* what went out */
    uint64_t idle_since_ms;     /* wall clock; 0: it is not idle */
    unsigned loop;              /* its home; UINT_MAX: none yet */
};
void lv_queue_describe(const struct lv_queue_entry *entry, struct lv_queue_info *out);
/* Its name only, for a long walk. */
struct lv_bytes lv_queue_name(const struct lv_queue_entry *entry);

/* Have its numbers changed since the last call for it? `was_zero`: at that time nothing had been counted. One thread only, which
 * samples: so it need not remember all that is idle. */
bool lv_queue_has_moved(const struct lv_queue_entry *entry, const struct lv_queue_info *now,
                        bool *was_zero);

/* Messages published to an exchange, and by it to queues. */
struct lv_exchange_info {
    uint64_t publish_in,
        publish_out; /* messages to it; to queues (one message to three queues: 3) */
    uint64_t confirmed, returned, dropped;
};
void lv_exchange_count(const struct lv_exchange *x, struct lv_exchange_info *out);
/* Bindings whose source it is; momentary. */
uint64_t lv_exchange_binding_count(const struct lv_exchange *x);
/* As lv_queue_has_moved. */
bool lv_exchange_has_moved(const struct lv_exchange *x, const struct lv_exchange_info *now,
                           bool *was_zero);

/* ---- bindings ----
 * They are the registry's alone: an errand on loop 0 walks them. */
struct lv_binding_info {
    struct lv_bytes source, destination, key, arguments;
    bool to_exchange;
};
/* Bindings of a virtual host: all of them (source and destination NULL), of a source, to a destination, or both; the implicit
 * ones of the default exchange are not among them. Visits at most `max` from *pos on (start with 0; SIZE_MAX afterwards: that
 * was all). Registry's loop. */
void lv_observe_bindings(const struct lv_vhost *v, const struct lv_exchange *source,
                         const struct lv_dest *destination, size_t *pos, size_t max,
                         void (*visit)(void *ctx, const struct lv_binding_info *b), void *ctx);

/* ---- census ---- */

struct lv_consumer_info {
    struct lv_consumer_info *next; /* of the same channel */
    struct lv_bytes tag, queue, arguments;
    uint32_t prefetch;
    bool ack_required, exclusive;
    enum lv_activity activity;
};

/* What a channel published to an exchange, and what it got from a queue; of the first LV_PUBLISHED_TO_MAX of each. */
struct lv_channel_exchange {
    struct lv_channel_exchange *next;
    struct lv_bytes exchange;
    uint64_t published, confirmed, returned, dropped;
    struct lv_channel_routed *queues;
};
/* How much of that went to a queue. */
struct lv_channel_routed {
    struct lv_channel_routed *next;
    struct lv_bytes exchange, queue;
    uint64_t published;
};
struct lv_channel_queue {
    struct lv_channel_queue *next;
    struct lv_bytes queue;
    struct lv_queue_totals out;
};

struct lv_channel_info {
    struct lv_channel_info *next; /* of the same connection */
    struct lv_consumer_info *consumers;
    struct lv_channel_exchange *exchanges; /* not in a census of counts */
    struct lv_channel_queue *queues;
    uint32_t number, prefetch, global_prefetch, consumer_count;
    bool is_confirm, is_tx, is_flow;
    uint64_t unacked, unconfirmed, uncommitted, acks_uncommitted;
    uint64_t published, confirmed, returned, dropped; /* of its life */
    struct lv_queue_totals out;
    uint64_t idle_since_ms; /* wall clock; 0: it is not idle */
};

struct lv_connection_info {
    struct lv_connection_info *next;
    struct lv_channel_info *channels; /* by number */
    uint64_t id;                      /* unique in the broker's life */
    struct lv_bytes name;             /* "PEER -> LOCAL" */
    struct lv_bytes user, vhost, auth_mechanism;
    struct lv_bytes client_properties; /* field table */
    const char *protocol;              /* "AMQP 0-9-1" */
    const char *state;                 /* "running", "blocked", "starting", "closing" ... */
    struct lv_bytes peer_host, local_host;
    uint32_t peer_port, local_port;
    uint32_t channel_max, frame_max, heartbeat, channel_count;
    uint64_t connected_at_ms;                             /* wall clock */
    uint64_t bytes_in, bytes_out, reads, writes, pending; /* pending: bytes not written yet */
    unsigned loop;
    bool is_tls;
    bool has_cert; /* the client showed a certificate, which was found good */
    struct lv_bytes tls_protocol, tls_cipher; /* "TLSv1.3", "TLS_AES_256_GCM_SHA384" */
    struct lv_bytes peer_subject, peer_issuer, peer_serial;
    uint64_t peer_not_before_s, peer_not_after_s; /* since 1970 */
};

/* What is wanted: each includes what stands above it. */
enum lv_census_depth { LV_CENSUS_CONNECTIONS, LV_CENSUS_CHANNELS, LV_CENSUS_CONSUMERS };

struct lv_census {
    struct lv_errand errand; /* first; done and desk are the caller's */
    enum lv_census_depth depth;
    bool counts_only; /* only those that moved more than heartbeats since the last such census, with their numbers and without
                            * texts but vhost; one at a time */
    struct lv_bytes vhost; /* only of this one; empty: all. The caller's memory */
    uint64_t id;           /* only this connection; 0: all */
    /* Result: in no order */
    struct lv_connection_info *connections;
    size_t count;
    bool is_short; /* memory ran out: some are missing */
    /* private */
    unsigned loop;
    uint32_t pos;
    void *arena; /* all of the result lies in it */
};
/* Sends it round; only depth, counts_only, vhost, id, done and desk are set, the rest is zero. Who moves to another loop
 * meanwhile may be missing, or in it twice. */
void lv_census_send(struct lv_broker *b, struct lv_census *census);
void lv_census_fini(struct lv_census *census);
/* For ops->describe: the wall clock in ms since which an object has done nothing, when `active_ms` was its loop's time as it
 * last did something (0: never); 0: it is not idle. */
uint64_t lv_idle_since(lv_time_ms active_ms);
/* For ops->describe: zeroed memory of the census, and copies; NULL and empty without memory. */
void *lv_census_alloc(struct lv_census *census, size_t bytes);
struct lv_bytes lv_census_copy(struct lv_census *census, struct lv_bytes b);

/* Closes a connection: 320, CONNECTION_FORCED and the reason. */
struct lv_eviction {
    struct lv_errand errand; /* first */
    uint64_t id;             /* of the connection */
    char reason[256];        /* NUL-terminated */
    bool was_there;          /* result */
    unsigned loop;           /* private */
    uint32_t pos;
};
void lv_eviction_send(struct lv_broker *b, struct lv_eviction *eviction);

#endif
