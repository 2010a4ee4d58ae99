/* broker/agent.h - a verb done for a user who has no connection: what HTTP and tools ask for.
 *
 * The ask goes to the registry's loop as an errand. There it becomes a session without a socket, with the pass of the user
 * who asks, so that permissions, limits and texts are the same as for a client of AMQP 0-9-1.
 * Owner   as an errand.
 */
#ifndef LV_BROKER_AGENT_H
#define LV_BROKER_AGENT_H
#include "base/bytes.h"
#include "broker/errand.h"
#include "broker/session.h"

enum lv_agent_verb {
    LV_AGENT_QUEUE_DECLARE,    /* name flags arguments -> is_new messages consumers */
    LV_AGENT_QUEUE_DELETE,     /* name if_unused if_empty -> messages; 404 when it is not there */
    LV_AGENT_QUEUE_PURGE,      /* name -> messages */
    LV_AGENT_EXCHANGE_DECLARE, /* name type flags arguments -> is_new */
    LV_AGENT_EXCHANGE_DELETE,  /* name if_unused; 404 when it is not there */
    LV_AGENT_BIND,             /* name (source) other (destination) to_exchange key arguments */
    LV_AGENT_UNBIND,           /* likewise; nothing to say when it is not there */
    LV_AGENT_PUBLISH, /* name key properties... body -> is_routed, once it is accepted and stable; 506: an alarm */
    LV_AGENT_GET, /* name count ack_mode -> got */
};

/* RabbitMQ's ackmode of /queues/V/Q/get. */
enum lv_agent_ack {
    LV_AGENT_ACK_REQUEUE, /* ack_requeue_true, reject_requeue_true: back to its place, redelivered */
    LV_AGENT_ACK,         /* ack_requeue_false: gone */
    LV_AGENT_REJECT,      /* reject_requeue_false: dead letter, or gone */
};

#define LV_AGENT_GET_MAX 10000u /* messages */
#define LV_AGENT_GET_BYTES_MAX \
    (64u << 20) /* of bodies and properties, in one answer; at least one message */

struct lv_agent_message {
    struct lv_msg *msg; /* pins: exchange, key, properties (0-9-1's bytes), body are its own */
    uint64_t left;      /* ready messages behind it */
    bool redelivered;
};

struct lv_agent {
    struct lv_errand errand; /* first; done and desk are the caller's */
    enum lv_agent_verb verb;
    /* Who asks: a user of the directory with the credential that his login had (lv_verify_job). */
    struct lv_bytes user;
    uint64_t credential;
    struct lv_bytes vhost;
    /* Arguments; views of the caller's memory that stay until it is back. */
    struct lv_bytes name, other, key;
    struct lv_bytes arguments; /* field table, without its length, checked */
    enum lv_exchange_type type;
    bool durable, auto_delete, internal, if_unused, if_empty, to_exchange;
    /* publish: property flags and values as in a 0-9-1 header frame, checked, and what they say */
    struct lv_bytes properties, body;
    bool is_persistent, has_priority, has_expiration, has_user_id;
    uint8_t priority;
    uint64_t ttl_ms;
    struct lv_bytes headers, user_id;
    const struct lv_bytes *more_keys; /* CC and BCC */
    size_t more_count;
    uint32_t count; /* get: at most LV_AGENT_GET_MAX */
    enum lv_agent_ack ack_mode;
    /* Results */
    struct lv_failure failure; /* code 0: done */
    bool is_new, is_routed;
    uint64_t messages, consumers;
    struct lv_agent_message *got; /* own memory */
    uint32_t got_count;
    void *session; /* private */
};

/* Sends it; the errand's run is set here. Everything but the results is filled in, the rest zero. */
void lv_agent_send(struct lv_broker *b, struct lv_agent *agent);
/* Gives back what the results hold. Any thread. */
void lv_agent_fini(struct lv_agent *agent);

#endif
