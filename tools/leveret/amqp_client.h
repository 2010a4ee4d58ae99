/* tools/leveret/amqp_client.h - a small blocking AMQP 0-9-1 client: log in, declare, hang up.
 *
 * It sets the stage; the traffic itself is driven by producer.c and consumer.c, which take the socket over with
 * lv_client_detach(). One thread at a time per client. Functions return false with `fault` filled.
 */
#ifndef LV_TOOL_AMQP_CLIENT_H
#define LV_TOOL_AMQP_CLIENT_H
#include "amqp_frame.h"
#include "url.h"

struct lv_client {
    int fd;
    uint32_t frame_max; /* negotiated; bytes, whole frame */
    uint8_t *in;        /* received and not yet looked at: in[in_at..in_len) */
    size_t in_at, in_len, in_cap;
};

struct lv_queue_spec {
    const char *name;
    const char *type; /* x-queue-type, or NULL */
    bool is_durable;
};

/* Connects and logs in. `source` above 0: from 127.0.0.<source>, for more connections than one address has ports. */
bool lv_client_open(struct lv_client *c, const struct lv_url *url, unsigned source,
                    struct lv_fault *fault);
/* Says connection.close and waits for the answer. The client is gone in any case. */
bool lv_client_close(struct lv_client *c, struct lv_fault *fault);
/* Hangs up. Safe on a client that was closed or detached. */
void lv_client_drop(struct lv_client *c);
/* Gives the socket away, non-blocking. `early` (of `early_size` bytes) takes what has arrived already. */
int lv_client_detach(struct lv_client *c, uint8_t *early, size_t early_size, size_t *early_len);

bool lv_client_channel_open(struct lv_client *c, uint16_t channel, struct lv_fault *fault);
bool lv_client_channel_close(struct lv_client *c, uint16_t channel, struct lv_fault *fault);
bool lv_client_exchange_declare(struct lv_client *c, const char *name, const char *type,
                                bool is_durable, struct lv_fault *fault);
bool lv_client_exchange_delete(struct lv_client *c, const char *name, struct lv_fault *fault);
bool lv_client_queue_declare(struct lv_client *c, const struct lv_queue_spec *queue,
                             struct lv_fault *fault);
bool lv_client_queue_delete(struct lv_client *c, const char *name, struct lv_fault *fault);
/* `table`: encoded arguments with their length in front; empty for none. */
bool lv_client_queue_bind(struct lv_client *c, const char *queue, const char *exchange,
                          const char *key, struct lv_bytes table, struct lv_fault *fault);
bool lv_client_qos(struct lv_client *c, uint16_t prefetch, struct lv_fault *fault);
/* With `is_awaited` false the consume-ok is left in the stream, where deliveries may overtake it. */
bool lv_client_consume(struct lv_client *c, const char *queue, const char *tag, bool no_ack,
                       bool is_awaited, struct lv_fault *fault);
bool lv_client_confirm_select(struct lv_client *c, struct lv_fault *fault);

/* Fills `fault` from the arguments of connection.close or channel.close; always false. */
bool lv_client_closed_by_peer(struct lv_bytes args, const char *what, struct lv_fault *fault);

#endif
