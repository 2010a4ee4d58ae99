/* tools/leveret/census.h - the modes that open many things once and tell what each costs. */
#ifndef LV_TOOL_CENSUS_H
#define LV_TOOL_CENSUS_H
#include "options.h"

/* Idle connections, a channel on each. Gives the exit code, as below. */
int lv_bench_connections(const struct lv_bench_options *o);
/* Empty queues. */
int lv_bench_declare(const struct lv_bench_options *o);

#endif
