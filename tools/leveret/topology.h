/* tools/leveret/topology.h - the queues, exchange and bindings of a run, under names of its own.
 *
 * Declared over one control connection, which also removes them at the end.
 */
#ifndef LV_TOOL_TOPOLOGY_H
#define LV_TOOL_TOPOLOGY_H
#include "amqp_client.h"
#include "options.h"
#include "reel.h"

#define LV_NAME_MAX 40u

struct lv_topology {
    const struct lv_bench_options *options;
    struct lv_client control;
    char exchange[LV_NAME_MAX]; /* "": the default exchange */
    uint64_t queues_declared;
    bool has_exchange;
};

/* The routes of one producer. */
struct lv_routes {
    struct lv_route *route;
    size_t count;
    char *text; /* what the routes view */
    uint8_t *tables;
};

bool lv_topology_open(struct lv_topology *t, const struct lv_bench_options *o,
                      struct lv_fault *fault);
/* Deletes what was declared (unless it is to be kept) and hangs up; says on standard error what could not be deleted. */
void lv_topology_close(struct lv_topology *t);

void lv_topology_queue_name(char name[static LV_NAME_MAX], const struct lv_bench_options *o,
                            uint64_t queue);
/* Number of queues that one of `sharers` connections works on, and the n-th of them for connection `index`:
 * every connection has its own queues when there are enough, else every queue has several connections. */
uint64_t lv_topology_share(uint64_t queues, uint64_t sharers, uint64_t index);
uint64_t lv_topology_shared_queue(uint64_t queues, uint64_t sharers, uint64_t index, uint64_t n);

void lv_topology_routes(const struct lv_topology *t, uint64_t producer, struct lv_routes *routes);
void lv_routes_free(struct lv_routes *routes);

#endif
