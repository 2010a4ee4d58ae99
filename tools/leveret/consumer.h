/* tools/leveret/consumer.h - the consuming side of a run. */
#ifndef LV_TOOL_CONSUMER_H
#define LV_TOOL_CONSUMER_H
#include "run.h"
#include "topology.h"

/* Opens the connections and subscribes them. With `is_backlogged` the queues may hold messages already, whose
 * deliveries begin at once. Uses run->consumers[]. */
bool lv_consumers_open(struct lv_run *run, bool is_backlogged, struct lv_fault *fault);
void lv_consumers_start(struct lv_run *run);
/* Waits for the threads, which end after is_over. */
void lv_consumers_join(struct lv_run *run);
void lv_consumers_close(struct lv_run *run);

#endif
