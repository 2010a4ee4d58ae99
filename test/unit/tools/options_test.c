/* tools/leveret/options.h: defaults of the modes, good and bad values, and what cannot go together. */
/* A program is no library: its test brings the source in.
   NOLINTBEGIN(bugprone-suspicious-include) */
#include "../../../tools/leveret/fault.c"
#include "../../../tools/leveret/options.c"
#include "../../../tools/leveret/url.c"
/* NOLINTEND(bugprone-suspicious-include) */

#include "base/assert.h"
#include "lv_test.h"

#define WORDS_MAX 16

static struct lv_fault fault;

/* Parses a command line given as one string, words parted by single spaces. */
static enum lv_parse parse(struct lv_bench_options *o, const char *line)
{
    static char text[256];
    char *argv[WORDS_MAX];
    int argc = 0;

    snprintf(text, sizeof(text), "%s", line);
    for (char *word = text; word != NULL && *word != '\0' && argc < WORDS_MAX;) {
        argv[argc++] = word;
        word = strchr(word, ' ');
        if (word != NULL)
            *word++ = '\0';
    }
    return lv_bench_options_parse(o, argc, argv, &fault);
}

static struct lv_bench_options good(const char *line)
{
    struct lv_bench_options o;

    CHECK_EQ(parse(&o, line), LV_PARSE_RUN);
    return o;
}

static void bad(const char *line, const char *text)
{
    struct lv_bench_options o;

    CHECK_EQ(parse(&o, line), LV_PARSE_BAD);
    CHECK_EQ(fault.code, EX_USAGE);
    CHECK_STR(fault.text, text);
}

LV_TEST(defaults_of_throughput)
{
    struct lv_bench_options o = good("throughput");

    CHECK_EQ(o.mode, LV_BENCH_THROUGHPUT);
    CHECK_EQ(o.producers, 1);
    CHECK_EQ(o.consumers, 1);
    CHECK_EQ(o.queues, 1);
    CHECK_EQ(o.size, 16);
    CHECK_EQ(o.ack, 0);
    CHECK_EQ(o.confirm, 0);
    CHECK_EQ(o.count, 0);
    CHECK(o.duration_s == 10);
    CHECK(o.warmup_s == 1);
    CHECK(o.rate == 0);
    CHECK(!o.is_json && !o.is_verified && !o.is_durable && !o.is_persistent);
    CHECK_STR(o.url.host, "127.0.0.1");
}

LV_TEST(defaults_of_the_other_modes)
{
    CHECK_EQ(good("fanout").consumers, 10);
    CHECK_EQ(good("fanout --queues 3").consumers, 3);
    CHECK_EQ(good("topic").bindings, 1000);
    CHECK_EQ(good("topic").keys, 1000);
    CHECK_EQ(good("topic --bindings 7").keys, 7);
    CHECK_EQ(good("headers").bindings, 100);
    CHECK_EQ(good("queues").queues, 1000);
    CHECK_EQ(good("fill").consumers, 0);
    CHECK_EQ(good("fill").count, 1000000);
    CHECK(good("latency").rate == 5000);
    CHECK_EQ(good("churn-queue").clients, 4);
    CHECK_EQ(good("connections").count, 1000);
}

LV_TEST(values)
{
    CHECK_EQ(good("throughput --size 16K").size, 16384);
    CHECK_EQ(good("throughput --size 1m").size, 1048576);
    CHECK_EQ(good("--consumers 0 throughput").consumers, 0);
    CHECK_EQ(good("throughput --ack 100").ack, 100);
    CHECK_EQ(good("throughput --ack auto").ack, 0);
    CHECK(good("throughput --rate 2.5").rate == 2.5);
    CHECK(good("throughput --json").is_json);
    CHECK_STR(good("throughput --url amqp://a:b@h:1/v").url.vhost, "v");
}

LV_TEST(a_count_has_no_warm_up_and_no_other_end)
{
    struct lv_bench_options o = good("throughput --count 5");

    CHECK_EQ(o.count, 5);
    CHECK(o.warmup_s == 0);
}

LV_TEST(the_in_flight_cap_follows_the_size)
{
    CHECK_EQ(good("throughput").in_flight, IN_FLIGHT_MAX);
    CHECK_EQ(good("throughput --size 1M").in_flight, IN_FLIGHT_MIN);
    CHECK_EQ(good("throughput --in-flight 0").in_flight, 0);
}

LV_TEST(quorum_queues_are_durable)
{
    CHECK(good("throughput --queue-type quorum").is_durable);
    CHECK(!good("throughput --queue-type classic").is_durable);
}

LV_TEST(bad_command_lines)
{
    bad("", "which mode?");
    bad("sideways", "'sideways' is not a mode");
    bad("throughput latency", "'latency' is not a mode");
    bad("throughput --fast", "unknown option '--fast'");
    bad("throughput --size", "--size needs a value");
    bad("throughput --size x", "--size: bad value 'x'");
    bad("throughput --size 5Q", "--size: bad value '5Q'");
    bad("throughput --size -1", "--size: bad value '-1'");
    bad("throughput --size 5KK", "--size: bad value '5KK'");
    bad("throughput --queues 0", "--queues: bad value '0'");
    bad("throughput --rate nan", "--rate: bad value 'nan'");
    bad("throughput --ack 0", "--ack: bad value '0'");
    bad("throughput --count 99999999999999999999G", "--count: bad value '99999999999999999999G'");
}

LV_TEST(what_cannot_go_together)
{
    bad("throughput --verify --size 15", "--size: this run needs at least 16 bytes");
    bad("latency --verify", "--size: this run needs at least 24 bytes");
    bad("throughput --ack 10 --prefetch 9", "--ack 10 would wait for ever with --prefetch 9");
    bad("throughput --producers 0", "--producers: at least 1");
    bad("latency --rate 0", "latency needs a rate and a consumer");
    bad("drain --consumers 0", "drain needs a consumer");
    bad("fill --duration 3", "fill goes by --count");
    bad("topic --bindings 2 --keys 3", "--keys: at most one for each binding");
}

LV_TEST(help_wins)
{
    struct lv_bench_options o;

    CHECK_EQ(parse(&o, "sideways --help"), LV_PARSE_HELP);
}
