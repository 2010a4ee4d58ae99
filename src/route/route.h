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

struct lv_router {
    const struct lv_reclaim *reclaim;
    struct lv_ptrmap exchanges; /* by name, of struct lv_exchange */
    struct lv_ptrmap queues;    /* by name, of struct lv_dest: also what the default exchange routes by */
    struct lv_ptrmap bindings;  /* by (source, destination, key, arguments); writer only */
    _Atomic uint64_t version;   /* grows with every change that routing could notice: caches compare it */
    struct lv_router_indexes *indexes; /* hands out lv_dest.index */
};

struct lv_exchange_spec {
    struct lv_bytes name; /* at most 255 bytes */
    enum lv_exchange_type type;
    bool durable, auto_delete, internal;
    struct lv_bytes alternate; /* name of the alternate exchange; empty and !has_alternate: none */
    bool has_alternate;
    struct lv_bytes arguments; /* checked field table */
};

struct lv_exchange {
    struct lv_dest dest; /* first */
    struct lv_exchange_spec spec; /* its views point into this exchange's own memory */
    struct lv_link bindings_out;  /* of struct lv_binding.out; writer only */
    size_t bindings_out_count;
    bool had_binding; /* auto-delete only bites after the first one */
    bool is_default;  /* the nameless one */
    struct lv_exchange_table *table; /* per type: how readers find destinations */
};

struct lv_binding {
    struct lv_ptrmap_entry identity; /* first */
    struct lv_exchange *source;
    struct lv_dest *dest;
    struct lv_bytes key;       /* views own memory */
    struct lv_bytes arguments; /* views own memory */
    struct lv_link in, out;    /* in dest->bindings_in, source->bindings_out */
    /* private to the type's table follows in route_priv.h */
};

/* ---- writer ---- */
/* An empty router with the predeclared exchanges of a virtual host: "", amq.direct, amq.fanout, amq.topic,
 * amq.headers, amq.match, amq.rabbitmq.trace (topic, internal). LV_ENOMEM. */
enum lv_err lv_router_init(struct lv_router *r, const struct lv_reclaim *reclaim) LV_MUST_USE;
/* Frees exchanges and bindings; queues are their owner's and must have been removed. No reader may be left. */
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
/* Enters a queue under name.key (hash is computed here) and gives it an index. LV_EEXISTS, LV_ENOMEM. */
enum lv_err lv_router_add_queue(struct lv_router *r, struct lv_dest *q) LV_MUST_USE;
/* Removes the queue and its bindings (and auto-delete exchanges as above). The owner retires `q` afterwards. */
void lv_router_remove_queue(struct lv_router *r, struct lv_dest *q);

/* Adds a binding; LV_OK also when the same one (source, dest, key, arguments) exists. `arguments` is a checked
 * table. LV_EINVAL: headers exchange with a bad x-match (see lv_route_bad_match). LV_ENOMEM: unchanged. */
enum lv_err lv_router_bind(struct lv_router *r, struct lv_exchange *source, struct lv_dest *dest,
                           struct lv_bytes key, struct lv_bytes arguments) LV_MUST_USE;
/* Removes it; LV_ENOTFOUND when there is none. An auto-delete source without bindings goes too. */
enum lv_err lv_router_unbind(struct lv_router *r, struct lv_exchange *source, struct lv_dest *dest,
                             struct lv_bytes key, struct lv_bytes arguments) LV_MUST_USE;

/* ---- readers ---- */
struct lv_route_query {
    struct lv_bytes key;              /* routing key */
    const struct lv_bytes *more_keys; /* CC and BCC; borrows */
    size_t more_count;
    struct lv_bytes headers; /* checked table; empty when the message has none */
};

/* One thread's result and scratch; reused from message to message, so routing allocates nothing in the long run. */
struct lv_route {
    struct lv_dest **queues; /* each once; valid until the read-side section ends */
    size_t count, cap;
    uint32_t *seen; /* by dest index: == epoch when already visited */
    size_t seen_cap;
    uint32_t epoch;
    struct lv_exchange **todo; /* exchanges still to visit (exchange-to-exchange, alternate) */
    size_t todo_count, todo_cap;
};

void lv_route_init(struct lv_route *rt);
void lv_route_fini(struct lv_route *rt);

/* Fills rt->queues with every queue the message goes to, each once: own bindings, exchange-to-exchange bindings
 * (each exchange visited once), and the alternate exchange when an exchange matched nothing (RabbitMQ). The
 * order of queues is not specified. LV_ENOMEM: rt is empty. */
enum lv_err lv_route(const struct lv_router *r, struct lv_exchange *x,
                     const struct lv_route_query *query, struct lv_route *rt) LV_MUST_USE;
/* Does the result depend on more than (exchange, key)? Then it must not be cached by key. */
bool lv_route_uses_headers(const struct lv_router *r, const struct lv_exchange *x);

/* Pure matchers, for tests and tools. */
bool lv_topic_match(struct lv_bytes pattern, struct lv_bytes key);
bool lv_headers_match(struct lv_bytes binding_arguments, struct lv_bytes headers);

#endif
