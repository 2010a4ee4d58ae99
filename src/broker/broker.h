/* broker/broker.h - the broker as the server sees it: made, run on loops, stopped.
 *
 * Owner   loop 0 for everything but lv_broker_new and lv_broker_free.
 */
#ifndef LV_BROKER_BROKER_H
#define LV_BROKER_BROKER_H
#include "base/err.h"
#include "loop/loop.h"

struct lv_broker;
struct lv_shard;
struct lv_settings;

/* What a protocol does with a freshly accepted socket, on the loop that will serve it. Takes `fd`. */
typedef void lv_accept_fn(struct lv_shard *shard, int fd);

/* `settings` is borrowed for the broker's life. */
enum lv_err lv_broker_new(const struct lv_settings *settings, struct lv_broker **out) LV_MUST_USE;
/* After the loops have stopped, before lv_loops_free. */
void lv_broker_free(struct lv_broker *b);
/* Fills the hooks of a loops' configuration; afterwards tell the broker about the loops. */
void lv_broker_hook(struct lv_broker *b, struct lv_loops_config *config);
enum lv_err lv_broker_set_loops(struct lv_broker *b, struct lv_loops *loops) LV_MUST_USE;

/* Opens the data directory and brings back what is in it; after lv_broker_set_loops, before the loops run. LV_EINUSE:
 * another process has it; LV_EVERSION, LV_ECORRUPT, LV_EIO, LV_ENOSPC, LV_ENOMEM. */
enum lv_err lv_broker_recover(struct lv_broker *b) LV_MUST_USE;
/* Gives a socket accepted on loop 0 to the loop with the fewest sessions. Takes `fd`. */
void lv_broker_place(struct lv_broker *b, int fd, lv_accept_fn *accept);
/* Asks every session to close (320), and stops the loops when all are gone or `grace_ms` is over. Loop 0. */
void lv_broker_stop(struct lv_broker *b, uint64_t grace_ms);

const struct lv_settings *lv_broker_settings(const struct lv_broker *b);
/* Name of this node: node_name, or rabbit@HOST as RabbitMQ names nodes. */
const char *lv_broker_node_name(const struct lv_broker *b);
/* Sessions of all loops; momentary. */
uint64_t lv_broker_sessions(const struct lv_broker *b);

#endif
