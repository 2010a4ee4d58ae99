/* tools/leveret/producer.h - the publishing side of a run. */
#ifndef LV_TOOL_PRODUCER_H
#define LV_TOOL_PRODUCER_H
#include "run.h"
#include "topology.h"

/* Opens the connections and readies their messages; nothing is published yet. Uses run->producers[]. */
bool lv_producers_open(struct lv_run *run, const struct lv_topology *t, struct lv_fault *fault);
/* Starts the threads; the schedule of a fixed rate begins at run->start_ns. */
void lv_producers_start(struct lv_run *run);
/* Waits for the threads: they end when each producer has sent its share, or after is_ending or is_over. */
void lv_producers_join(struct lv_run *run);
void lv_producers_close(struct lv_run *run);

#endif
