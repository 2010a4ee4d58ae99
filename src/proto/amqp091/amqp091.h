/* proto/amqp091/amqp091.h - AMQP 0-9-1 connections, as RabbitMQ speaks it.
 *
 * Owner   the loop of the connection's shard.
 */
#ifndef LV_PROTO_AMQP091_AMQP091_H
#define LV_PROTO_AMQP091_AMQP091_H

struct lv_shard;
struct lv_tls;

/* Serves a freshly accepted socket on this shard's loop. Takes `fd`. (lv_accept_fn) */
void lv_amqp_accept(struct lv_shard *shard, int fd);
/* What lv_amqp_accept_tls shows to clients; borrowed for the life of the process. Before the first such socket. */
void lv_amqp_set_tls(struct lv_tls *tls);
/* Serves a socket on which the client speaks TLS first. Takes `fd`. (lv_accept_fn) */
void lv_amqp_accept_tls(struct lv_shard *shard, int fd);

#endif
