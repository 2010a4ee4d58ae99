/* tools/leveret/load.h - the modes that move messages. */
#ifndef LV_TOOL_LOAD_H
#define LV_TOOL_LOAD_H
#include "options.h"

/* Runs and reports; gives the exit code. */
int lv_bench_load(const struct lv_bench_options *o);

#endif
