/* tools/leveret/churn.h - the modes that count operations instead of messages. */
#ifndef LV_TOOL_CHURN_H
#define LV_TOOL_CHURN_H
#include "options.h"

/* churn-connection, churn-channel, churn-queue: several clients, one round trip after the other. */
int lv_bench_churn(const struct lv_bench_options *o);

#endif
