/* tools/leveret/options.h - what `leveret bench` was asked to do. */
#ifndef LV_TOOL_OPTIONS_H
#define LV_TOOL_OPTIONS_H
#include <stdint.h>

#include "url.h"

enum lv_bench_mode_id {
    LV_BENCH_THROUGHPUT,
    LV_BENCH_LATENCY,
    LV_BENCH_FANOUT,
    LV_BENCH_TOPIC,
    LV_BENCH_HEADERS,
    LV_BENCH_QUEUES,
    LV_BENCH_FILL,
    LV_BENCH_DRAIN,
    LV_BENCH_CONNECTIONS,
    LV_BENCH_DECLARE,
    LV_BENCH_CHURN_CONNECTION,
    LV_BENCH_CHURN_CHANNEL,
    LV_BENCH_CHURN_QUEUE,
    LV_BENCH_MODES,
};

struct lv_bench_options {
    enum lv_bench_mode_id mode;
    struct lv_url url;
    uint64_t producers, consumers, queues, clients, threads;
    uint64_t size;      /* bytes of a body */
    uint64_t confirm;   /* unconfirmed publishes allowed per producer; 0: no confirms */
    uint64_t ack;       /* one multiple ack every so many deliveries; 0: automatic */
    uint64_t prefetch;  /* 0: no limit */
    uint64_t in_flight; /* published and not yet consumed, all producers together; 0: no cap */
    uint64_t bindings, keys;
    uint64_t idle_connections;
    uint64_t count; /* messages, or things to open; 0: until `duration_s` is over */
    uint64_t pid;   /* of the broker, to read its memory; 0: unknown */
    double rate;    /* messages a second, all producers together; 0: as fast as it goes */
    double duration_s, warmup_s;
    const char *queue_type; /* NULL: the broker's default */
    const char *name;       /* queues are <name>.0 and so on; NULL: lv<pid> */
    bool is_persistent, is_durable, is_kept, is_verified, is_json;
};

/* Word for the mode on the command line. */
const char *lv_bench_mode_name(enum lv_bench_mode_id mode);

enum lv_parse { LV_PARSE_RUN, LV_PARSE_HELP, LV_PARSE_BAD };

/* Reads the arguments after `bench`; what is not given gets the mode's own default. Views argv. */
enum lv_parse lv_bench_options_parse(struct lv_bench_options *o, int argc, char **argv,
                                     struct lv_fault *fault);
/* Modes, options and their defaults, on standard output. */
void lv_bench_options_help(void);

#endif
