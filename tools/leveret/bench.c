#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sysexits.h>

#include "census.h"
#include "churn.h"
#include "command.h"
#include "load.h"

static int (*const run_mode[LV_BENCH_MODES])(const struct lv_bench_options *o) = {
    [LV_BENCH_THROUGHPUT] = lv_bench_load,
    [LV_BENCH_LATENCY] = lv_bench_load,
    [LV_BENCH_FANOUT] = lv_bench_load,
    [LV_BENCH_TOPIC] = lv_bench_load,
    [LV_BENCH_HEADERS] = lv_bench_load,
    [LV_BENCH_QUEUES] = lv_bench_load,
    [LV_BENCH_FILL] = lv_bench_load,
    [LV_BENCH_DRAIN] = lv_bench_load,
    [LV_BENCH_CONNECTIONS] = lv_bench_connections,
    [LV_BENCH_DECLARE] = lv_bench_declare,
    [LV_BENCH_CHURN_CONNECTION] = lv_bench_churn,
    [LV_BENCH_CHURN_CHANNEL] = lv_bench_churn,
    [LV_BENCH_CHURN_QUEUE] = lv_bench_churn,
};

/* Thousands of connections need more descriptors than a shell gives. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int lv_command_bench(int argc, char **argv)
{
    struct lv_bench_options options;
    struct lv_fault fault = { 0 };

    switch (lv_bench_options_parse(&options, argc, argv, &fault)) {
    case LV_PARSE_HELP:
        lv_bench_options_help();
        return EX_OK;
    case LV_PARSE_BAD:
        fprintf(stderr, "leveret bench: %s (see leveret bench --help)\n", fault.text);
        return fault.code;
    case LV_PARSE_RUN:
        break;
    }
    raise_descriptor_limit();
    signal(SIGPIPE, SIG_IGN);
    return run_mode[options.mode](&options);
}
