/* route/route.h - exchanges, bindings, and which queues a message goes to.
 *
 * One writer (the registry) changes the router; any number of readers route at the same time without a lock,
 * each inside a read-side section of the reclaimer. A change is one pointer published or one entry cut out,
 * never a copy of the world: a bind costs the same with ten bindings as with a million.
 * Owner   the registry for everything that takes a non-const struct lv_router; lv_route() on any thread.
 * Read    route/README.md; invariants R1..Rn there.
 */
#ifndef LV_ROUTE_ROUTE_H
#define LV_ROUTE_ROUTE_H
#include <stdatomic.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"
#include "base/ptrmap.h"

enum lv_exchange_type {
    LV_EXCHANGE_DIRECT,
    LV_EXCHANGE_FANOUT,
    LV_EXCHANGE_TOPIC,
    LV_EXCHANGE_HEADERS,
    LV_EXCHANGE_TYPE_COUNT,
};

/* Whatever a binding may lead to. The owner of a queue embeds one; an exchange has one. */
struct lv_dest {
    struct lv_ptrmap_entry name; /* first: the directory's entry; key views the owner's memory */
    uint32_t index;              /* dense and unique among live destinations of the router */
    bool is_exchange;
    struct lv_link bindings_in; /* of struct lv_binding.in; writer only */
};

struct lv_exchange; /* below */
struct lv_alternate;

/* One virtual host's names. Readers look at `exchanges`, `queues` and `version` only. */
struct lv_router {
    const struct lv_reclaim *reclaim;
    struct lv_ptrmap exchanges; /* by name, of struct lv_exchange */
    struct lv_ptrmap queues; /* by name, of struct lv_dest: also what the default exchange routes by */
    struct lv_ptrmap bindings; /* by (source, destination, key, arguments); writer only */
    _Atomic uint64_t version; /* grows with every change that routing could notice: caches compare it */
    struct lv_router_indexes *indexes; /* hands out lv_dest.index */
    /* An exchange is being removed, by a call or because its last binding went; may be NULL. Writer's thread. */
    void (*exchange_gone)(struct lv_router *r, const struct lv_exchange *x);
};

struct lv_exchange_spec {
    struct lv_bytes name; /* at most 255 bytes */
    enum lv_exchange_type type;
    bool durable, auto_delete, internal;
    struct lv_bytes alternate; /* name of the alternate exchange; empty and !has_alternate: none */
    bool has_alternate;
    struct lv_bytes arguments; /* checked field table */
};

/* What came to an exchange from publishers, and what became of it. The router does not count: whoever publishes adds, and
 * anybody reads. */
struct lv_exchange_stats {
    _Atomic uint64_t in,
        out; /* messages published to it; to queues (one message to three queues: 3) */
    _Atomic uint64_t confirmed, returned, dropped;
    _Atomic uint64_t seen; /* what they came to when they were last sampled; the sampler's */
};

struct lv_exchange {
    struct lv_dest dest;          /* first */
    struct lv_exchange_spec spec; /* its views point into this exchange's own memory */
    struct lv_link bindings_out;  /* of struct lv_binding.out; writer only */
    size_t bindings_out_count;    /* others read it as one word */
    bool had_binding;             /* auto-delete only bites after the first one */
    bool is_default;              /* the nameless one */
    struct lv_exchange_stats stats;
    /* private */
    _Atomic(struct lv_alternate *) by_policy; /* where unroutable messages go if `spec` does not say */
    _Atomic uint32_t exchange_bindings;       /* of bindings_out, those that lead to an exchange */
    bool is_doomed;                           /* being deleted */
    struct lv_link doomed;
    struct lv_exchange_table *table; /* per type: how readers find destinations; part of this allocation */
};

/* Where something stands in a set that readers walk; writer only, private (route/rcuset_priv.h). */
struct lv_place {
    struct lv_rcuset *set;
    uint32_t at;
};

/* Readers never look into a binding: what they need is in the tables. */

struct lv_binding {
    struct lv_ptrmap_entry identity; /* first; its key is everything from `source` on */
    struct lv_bytes key;             /* views own memory */
    struct lv_bytes arguments;       /* views own memory; fields in the order of their names */
    struct lv_link in, out;          /* in dest->bindings_in, source->bindings_out */
    union {                          /* private to the type's table */
        struct lv_place place;
        struct lv_headers_rule *rule;
    };
    struct lv_exchange *source;
    struct lv_dest *dest;
    uint8_t bytes[]; /* length of key, key, arguments */
};

/* ---- writer ---- */
/* An empty router with the predeclared exchanges of a virtual host: "", amq.direct, amq.fanout, amq.topic,
 * amq.headers, amq.match, amq.rabbitmq.trace (topic, internal). LV_ENOMEM. */
enum lv_err lv_router_init(struct lv_router *r, const struct lv_reclaim *reclaim) LV_MUST_USE;
/* Retires exchanges and bindings; queues are their owner's and must have been removed. No reader may be left. */
void lv_router_fini(struct lv_router *r);

/* Type by its AMQP name ("direct", ...); LV_EXCHANGE_TYPE_COUNT when unknown. */
enum lv_exchange_type lv_exchange_type_of(struct lv_bytes name);
const char *lv_exchange_type_name(enum lv_exchange_type type);

/* NULL when there is none. Any thread (reader). */
struct lv_exchange *lv_router_exchange(const struct lv_router *r, struct lv_bytes name);
struct lv_dest *lv_router_queue(const struct lv_router *r, struct lv_bytes name);

/* Creates; copies everything in `spec`. The name must be free (LV_EEXISTS). LV_ENOMEM: nothing changed. */
enum lv_err lv_router_declare(struct lv_router *r, const struct lv_exchange_spec *spec,
                              struct lv_exchange **out) LV_MUST_USE;
/* Removes the exchange, its bindings both ways, and auto-delete exchanges that lose their last binding by it. */
void lv_router_delete(struct lv_router *r, struct lv_exchange *x);
/* Where an exchange sends what none of its bindings took: its own argument, or a policy's; false: nowhere. Any thread
 * (reader). */
bool lv_exchange_alternate(const struct lv_exchange *x, struct lv_bytes *name);
/* Names the alternate exchange that a policy gives; one of the exchange's own comes before it. `has` false: none. Copies.
 * LV_ENOMEM: unchanged. */
enum lv_err lv_router_set_alternate(struct lv_router *r, struct lv_exchange *x, bool has,
                                    struct lv_bytes name) LV_MUST_USE;
/* Enters a queue under name.key, and fills in everything else of `q`. Borrows `q` until it is removed, and until
 * readers have passed after that. LV_EEXISTS, LV_ENOMEM: nothing changed. */
enum lv_err lv_router_add_queue(struct lv_router *r, struct lv_dest *q) LV_MUST_USE;
/* Removes the queue and its bindings (and auto-delete exchanges as above). The owner retires `q` afterwards. Its
 * index may be given to another destination at once. */
void lv_router_remove_queue(struct lv_router *r, struct lv_dest *q);

/* Adds a binding; LV_OK also when the same one (source, dest, key, arguments in any order) exists. `key` is at most
 * 255 bytes and `arguments` a checked table. LV_EINVAL: headers exchange, and x-match is none of all, any,
 * all-with-x, any-with-x. LV_EREFUSED: either end is the default exchange. LV_ENOMEM: unchanged. */
enum lv_err lv_router_bind(struct lv_router *r, struct lv_exchange *source, struct lv_dest *dest,
                           struct lv_bytes key, struct lv_bytes arguments) LV_MUST_USE;
/* Removes it; LV_ENOTFOUND when there is none. A source that is auto-delete and has no binding left goes too, and
 * `source` is not to be used any more. LV_ENOMEM: unchanged (only with unsorted or very long arguments). */
enum lv_err lv_router_unbind(struct lv_router *r, struct lv_exchange *source, struct lv_dest *dest,
                             struct lv_bytes key, struct lv_bytes arguments) LV_MUST_USE;

/* LV_OK of a bind would have changed nothing. The writer. false also without memory (only with unsorted or very long
 * arguments). */
bool lv_router_has_binding(const struct lv_router *r, struct lv_exchange *source,
                           struct lv_dest *dest, struct lv_bytes key, struct lv_bytes arguments);

/* ---- readers ---- */
struct lv_route_query {
    struct lv_bytes key;              /* routing key */
    const struct lv_bytes *more_keys; /* CC and BCC; borrows */
    size_t more_count;
    struct lv_bytes headers; /* checked table; empty when the message has none */
};

struct lv_route_list {
    void **at;
    size_t count, cap;
};

/* One thread's result and scratch; reused from message to message, so routing allocates nothing in the long run. */
struct lv_route {
    struct lv_dest **queues; /* each once; valid until the read-side section ends */
    size_t count, cap;
    bool used_headers; /* the message's headers were looked at: the result must not be remembered by key */
    /* private */
    bool matched;   /* the exchange at hand led somewhere */
    uint32_t *seen; /* by index: the pass in which it was met last */
    size_t seen_cap;
    uint32_t epoch;            /* first pass of this route */
    uint32_t pass;             /* grows by one for each topic key */
    struct lv_route_list todo; /* exchanges still to visit */
    struct lv_route_list at,
        next; /* topic: nodes reached by the words so far, and with the next word */
    struct lv_route_list loose;     /* topic: nodes of `#` reached, which stay so */
    struct lv_headers_scan *header; /* the message's headers, hashed */
};

void lv_route_init(struct lv_route *rt);
void lv_route_fini(struct lv_route *rt);

/* Fills rt->queues with every queue the message goes to, each once: own bindings, exchange-to-exchange bindings
 * (each exchange visited once), and the alternate exchange when an exchange matched nothing (RabbitMQ). The
 * order of queues is not specified. LV_ENOMEM: rt is empty. */
enum lv_err lv_route(const struct lv_router *r, struct lv_exchange *x,
                     const struct lv_route_query *query, struct lv_route *rt) LV_MUST_USE;
/* May the result depend on more than (exchange, keys)? A quick answer on the safe side: true also for every exchange
 * that may lead on to another. After lv_route(), rt->used_headers is exact. */
bool lv_route_uses_headers(const struct lv_router *r, const struct lv_exchange *x);

/* Pure matchers, one binding at a time: what the tables must agree with. For tests and tools.
 * A key is split at its dots; "" has no words, "a." has two. `*` is one word (also an empty one), `#` any number.
 * Of headers with the same name the last one counts (RabbitMQ 4). */
bool lv_topic_match(struct lv_bytes pattern, struct lv_bytes key);
bool lv_headers_match(struct lv_bytes binding_arguments, struct lv_bytes headers);

#endif
