#include "options.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/assert.h"

#define UNSET UINT64_MAX
#define NAME_BYTES_MAX 20u
#define URL_DEFAULT "amqp://guest:guest@127.0.0.1:5672/%2f"

/* Default in-flight cap: enough to keep every socket buffer full, too little to fill a broker. */
#define IN_FLIGHT_BYTES (32u << 20)
#define IN_FLIGHT_MIN 64u
#define IN_FLIGHT_MAX 100000u

static const struct mode {
    const char *name, *help;
    struct {
        uint64_t producers, consumers, queues, bindings, count, confirm;
        double rate;
    } by_default;
} modes[LV_BENCH_MODES] = {
    [LV_BENCH_THROUGHPUT] = { "throughput",
                              "messages a second through queues",
                              { .producers = 1, .consumers = 1, .queues = 1 } },
    [LV_BENCH_LATENCY] = { "latency",
                           "time from the intended send to the delivery, at a fixed rate",
                           { .producers = 1, .consumers = 1, .queues = 1, .rate = 5000 } },
    [LV_BENCH_FANOUT] = { "fanout",
                          "a fanout exchange with every queue bound, a consumer on each",
                          { .producers = 1, .queues = 10 } },
    [LV_BENCH_TOPIC] = { "topic",
                         "a topic exchange; each key matches one of the bindings",
                         { .producers = 1, .consumers = 1, .queues = 1, .bindings = 1000 } },
    [LV_BENCH_HEADERS] = { "headers",
                           "a headers exchange; each message matches one of the bindings",
                           { .producers = 1, .consumers = 1, .queues = 1, .bindings = 100 } },
    [LV_BENCH_QUEUES] = { "queues",
                          "throughput spread over many queues",
                          { .producers = 1, .consumers = 1, .queues = 1000 } },
    [LV_BENCH_FILL] = { "fill",
                        "publish into a queue that nobody reads",
                        { .producers = 1, .queues = 1, .count = 1000000, .confirm = 5000 } },
    [LV_BENCH_DRAIN] = { "drain",
                         "empty a queue that was filled before (--producers 0: by another run)",
                         { .producers = 1,
                           .consumers = 1,
                           .queues = 1,
                           .count = 1000000,
                           .confirm = 5000 } },
    [LV_BENCH_CONNECTIONS] = { "connections",
                               "open idle connections, a channel on each",
                               { .count = 1000 } },
    [LV_BENCH_DECLARE] = { "declare", "declare empty queues", { .count = 10000 } },
    [LV_BENCH_CHURN_CONNECTION] = { "churn-connection", "open and close connections", { 0 } },
    [LV_BENCH_CHURN_CHANNEL] = { "churn-channel", "open and close channels", { 0 } },
    [LV_BENCH_CHURN_QUEUE] = { "churn-queue", "declare and delete queues", { 0 } },
};

enum kind { KIND_COUNT, KIND_REAL, KIND_FLAG, KIND_TEXT, KIND_ACK, KIND_URL };

#define AT(member) offsetof(struct lv_bench_options, member)

static const struct option {
    const char *name;
    enum kind kind;
    size_t at;
    uint64_t min, max;
    const char *value, *help;
} options[] = {
    { "--url", KIND_URL, AT(url), 0, 0, "URL", "the broker (" URL_DEFAULT ")" },
    { "--producers", KIND_COUNT, AT(producers), 0, 100000, "N", "publishing connections" },
    { "--consumers", KIND_COUNT, AT(consumers), 0, 100000, "N", "consuming connections" },
    { "--queues", KIND_COUNT, AT(queues), 1, 1000000, "N", "queues" },
    { "--clients", KIND_COUNT, AT(clients), 1, 1000, "N", "clients of the churn modes (4)" },
    { "--threads", KIND_COUNT, AT(threads), 1, 256, "N",
      "threads for each side (half the processors, at least 1)" },
    { "--size", KIND_COUNT, AT(size), 0, 512u << 20, "BYTES", "body size; 16K, 1M (16)" },
    { "--confirm", KIND_COUNT, AT(confirm), 0, 1000000, "WINDOW",
      "publisher confirms, window per producer (0: none)" },
    { "--ack", KIND_ACK, AT(ack), 1, 65535, "auto|N", "acknowledge every N deliveries (auto)" },
    { "--prefetch", KIND_COUNT, AT(prefetch), 0, 65535, "N",
      "prefetch of each consumer (0: no limit)" },
    { "--in-flight", KIND_COUNT, AT(in_flight), 0, UINT64_MAX / 4, "N",
      "published and not yet consumed; 0: no cap (32 MiB of bodies, at most 100000)" },
    { "--rate", KIND_REAL, AT(rate), 0, 0, "MSGS/S", "fixed rate of all producers (latency: 5000)" },
    { "--duration", KIND_REAL, AT(duration_s), 0, 0, "S", "seconds to measure (10)" },
    { "--warmup", KIND_REAL, AT(warmup_s), 0, 0, "S",
      "seconds before that do not count (1; 0 with --count)" },
    { "--count", KIND_COUNT, AT(count), 1, UINT64_MAX / 4, "N",
      "stop after N messages or operations" },
    { "--bindings", KIND_COUNT, AT(bindings), 1, 1000000, "N", "bindings of topic and headers" },
    { "--keys", KIND_COUNT, AT(keys), 1, 1000000, "N",
      "different routing keys published (all bindings)" },
    { "--persistent", KIND_FLAG, AT(is_persistent), 0, 0, NULL, "delivery mode 2" },
    { "--durable", KIND_FLAG, AT(is_durable), 0, 0, NULL, "durable queues and exchanges" },
    { "--queue-type", KIND_TEXT, AT(queue_type), 0, 0, "TYPE", "x-queue-type of the queues" },
    { "--name", KIND_TEXT, AT(name), 0, 0, "NAME", "queues are NAME.0, NAME.1 ... (lv<pid>)" },
    { "--keep", KIND_FLAG, AT(is_kept), 0, 0, NULL, "leave queues, exchange and messages behind" },
    { "--verify", KIND_FLAG, AT(is_verified), 0, 0, NULL,
      "check for loss, duplicates, order and content" },
    { "--idle-connections", KIND_COUNT, AT(idle_connections), 0, 1000000, "N",
      "idle connections held open beside the load" },
    { "--pid", KIND_COUNT, AT(pid), 1, UINT32_MAX, "PID",
      "the broker's process, to report its memory" },
    { "--json", KIND_FLAG, AT(is_json), 0, 0, NULL, "result as JSON on standard output" },
};

const char *lv_bench_mode_name(enum lv_bench_mode_id mode)
{
    LV_ASSERT(mode < LV_BENCH_MODES);
    return modes[mode].name;
}

/* A whole number with an optional K, M or G (1024, 1024^2, 1024^3). */
static bool parse_count(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
    static const char suffixes[] = "KMG";
    char *end;

    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end == text || text[0] == '-')
        return false;
    const char *suffix = *end != '\0' ? strchr(suffixes, *end & ~0x20) : NULL;
    if (suffix != NULL) {
        unsigned shift = 10u * (unsigned)(suffix - suffixes + 1);
        if (number > (UINT64_MAX >> shift))
            return false;
        number <<= shift;
        end++;
    }
    *value = number;
    return *end == '\0' && number >= min && number <= max;
}

static bool parse_real(const char *text, double *value)
{
    char *end;

    *value = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*value) && *value >= 0;
}

static bool set_option(struct lv_bench_options *o, const struct option *option, const char *value,
                       struct lv_fault *fault)
{
    void *field = (char *)o + option->at;
    bool is_good = true;

    switch (option->kind) {
    case KIND_URL:
        return lv_url_parse(field, value, fault);
    case KIND_FLAG:
        *(bool *)field = true;
        break;
    case KIND_TEXT:
        *(const char **)field = value;
        break;
    case KIND_REAL:
        is_good = parse_real(value, field);
        break;
    case KIND_ACK:
        if (strcmp(value, "auto") == 0) {
            *(uint64_t *)field = 0;
            break;
        }
        /* fall through */
    case KIND_COUNT:
        is_good = parse_count(value, option->min, option->max, field);
        break;
    }
    return is_good || lv_fail(fault, EX_USAGE, "%s: bad value '%s'", option->name, value);
}

static const struct option *find_option(const char *name)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(options); i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

static bool find_mode(const char *name, enum lv_bench_mode_id *mode)
{
    for (unsigned i = 0; i < LV_BENCH_MODES; i++) {
        if (strcmp(modes[i].name, name) == 0) {
            *mode = (enum lv_bench_mode_id)i;
            return true;
        }
    }
    return false;
}

static void unset_all(struct lv_bench_options *o)
{
    *o = (struct lv_bench_options){
        .mode = LV_BENCH_MODES, .rate = -1, .duration_s = -1, .warmup_s = -1
    };
    for (size_t i = 0; i < LV_ARRAY_LEN(options); i++)
        if (options[i].kind == KIND_COUNT)
            *(uint64_t *)((char *)o + options[i].at) = UNSET;
}

static void set_default(uint64_t *field, uint64_t value)
{
    if (*field == UNSET)
        *field = value;
}

static uint64_t default_in_flight(uint64_t size)
{
    uint64_t cap = IN_FLIGHT_BYTES / (size + 64);

    return LV_MIN(LV_MAX(cap, IN_FLIGHT_MIN), IN_FLIGHT_MAX);
}

static void fill_defaults(struct lv_bench_options *o)
{
    const struct mode *mode = &modes[o->mode];
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    bool is_timed = o->duration_s >= 0 && o->count == UNSET;

    set_default(&o->producers, mode->by_default.producers);
    set_default(&o->queues, mode->by_default.queues);
    set_default(&o->consumers, o->mode == LV_BENCH_FANOUT ? o->queues : mode->by_default.consumers);
    set_default(&o->bindings, mode->by_default.bindings);
    set_default(&o->keys, o->bindings);
    set_default(&o->count, is_timed ? 0 : mode->by_default.count);
    set_default(&o->clients, 4);
    set_default(&o->threads, processors > 2 ? (uint64_t)processors / 2 : 1);
    set_default(&o->size, 16);
    set_default(&o->confirm, mode->by_default.confirm);
    set_default(&o->prefetch, 0);
    set_default(&o->in_flight, default_in_flight(o->size));
    set_default(&o->idle_connections, 0);
    set_default(&o->pid, 0);
    if (o->rate < 0)
        o->rate = mode->by_default.rate;
    if (o->duration_s < 0)
        o->duration_s = 10;
    if (o->warmup_s < 0)
        o->warmup_s = o->count != 0 ? 0 : 1;
    if (o->queue_type != NULL && strcmp(o->queue_type, "classic") != 0)
        o->is_durable = true; /* quorum queues and streams know nothing else */
}

static bool check(const struct lv_bench_options *o, struct lv_fault *fault)
{
    uint64_t stamp = (o->is_verified ? 16u : 0) + (o->mode == LV_BENCH_LATENCY ? 8u : 0);
    bool is_load = o->mode <= LV_BENCH_DRAIN;

    if (o->size < stamp)
        return lv_fail(fault, EX_USAGE, "--size: this run needs at least %u bytes", (unsigned)stamp);
    if (o->ack != 0 && o->prefetch != 0 && o->ack > o->prefetch)
        return lv_fail(fault, EX_USAGE, "--ack %u would wait for ever with --prefetch %u",
                       (unsigned)o->ack, (unsigned)o->prefetch);
    if (is_load && o->producers == 0 && (o->mode != LV_BENCH_DRAIN || o->is_verified))
        return lv_fail(fault, EX_USAGE, "--producers: at least 1");
    if (o->name != NULL && (o->name[0] == '\0' || strlen(o->name) > NAME_BYTES_MAX))
        return lv_fail(fault, EX_USAGE, "--name: 1 to %u bytes", NAME_BYTES_MAX);
    if (o->mode == LV_BENCH_LATENCY && (o->rate <= 0 || o->consumers == 0))
        return lv_fail(fault, EX_USAGE, "latency needs a rate and a consumer");
    bool goes_by_count = o->mode >= LV_BENCH_FILL && o->mode <= LV_BENCH_DECLARE;
    if (goes_by_count && o->count == 0)
        return lv_fail(fault, EX_USAGE, "%s goes by --count", modes[o->mode].name);
    if (o->mode == LV_BENCH_DRAIN && o->consumers == 0)
        return lv_fail(fault, EX_USAGE, "drain needs a consumer");
    if (o->keys > o->bindings)
        return lv_fail(fault, EX_USAGE, "--keys: at most one for each binding");
    return true;
}

static bool read_arguments(struct lv_bench_options *o, int argc, char **argv, struct lv_fault *fault)
{
    for (int i = 0; i < argc; i++) {
        if (argv[i][0] != '-') {
            if (o->mode != LV_BENCH_MODES || !find_mode(argv[i], &o->mode))
                return lv_fail(fault, EX_USAGE, "'%s' is not a mode", argv[i]);
            continue;
        }
        const struct option *option = find_option(argv[i]);
        if (option == NULL)
            return lv_fail(fault, EX_USAGE, "unknown option '%s'", argv[i]);
        if (option->kind != KIND_FLAG && ++i == argc)
            return lv_fail(fault, EX_USAGE, "%s needs a value", option->name);
        if (!set_option(o, option, argv[i], fault))
            return false;
    }
    return o->mode != LV_BENCH_MODES || lv_fail(fault, EX_USAGE, "which mode?");
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

enum lv_parse lv_bench_options_parse(struct lv_bench_options *o, int argc, char **argv,
                                     struct lv_fault *fault)
{
    unset_all(o);
    if (asks_for_help(argc, argv))
        return LV_PARSE_HELP;
    if (!lv_url_parse(&o->url, URL_DEFAULT, fault) || !read_arguments(o, argc, argv, fault))
        return LV_PARSE_BAD;
    fill_defaults(o);
    return check(o, fault) ? LV_PARSE_RUN : LV_PARSE_BAD;
}

void lv_bench_options_help(void)
{
    puts("usage: leveret bench MODE [OPTION...]\n\nmodes:");
    for (size_t i = 0; i < LV_BENCH_MODES; i++)
        printf("  %-18s %s\n", modes[i].name, modes[i].help);
    puts("\noptions (default):");
    for (size_t i = 0; i < LV_ARRAY_LEN(options); i++)
        printf("  %-18s %-8s %s\n", options[i].name,
               options[i].value != NULL ? options[i].value : "", options[i].help);
}
