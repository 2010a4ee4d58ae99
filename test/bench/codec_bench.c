/* What the codec costs by itself: nanoseconds per message or call, the median of five runs.
 *
 *   codec_bench [name...]
 */
#include "base/props.h"
#include "base/table.h"
#include "proto/amqp091/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RUNS = 5, LAPS = 400, MESSAGES = 1000, STREAM_BYTES = 1 << 20 };

static uint8_t stream[STREAM_BYTES];
static size_t stream_bytes;

static double seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* A frame may be anything: keeps the compiler from knowing what it reads. */
static void forget(void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

static void fill_stream(const struct lv_props *props)
{
    struct lv_wr w = lv_wr(stream, sizeof(stream));
    uint8_t raw[512], *p;
    struct lv_wr r = lv_wr(raw, sizeof(raw));

    lv_props_write(&r, props);
    for (int n = 0; n < MESSAGES; n++) {
        struct lv_amqp_basic_publish m = { .exchange = LV_BYTES_LIT("amq.topic"),
                                           .routing_key = LV_BYTES_LIT("stock.usd.nyse") };
        lv_amqp_write_basic_publish(&w, 1, &m);
        p = lv_amqp_put_content(w.buf + w.used, 1, 16, lv_bytes(raw, r.used));
        p = lv_amqp_put_frame_head(p, LV_AMQP_FRAME_BODY, 1, 16) + 16;
        *p++ = LV_AMQP_FRAME_END;
        w.used = (size_t)(p - w.buf);
    }
    LV_ASSERT(lv_wr_ok(&w));
    stream_bytes = w.used;
}

static bool take(struct lv_bytes *in, struct lv_amqp_frame *frame)
{
    size_t used;

    if (lv_amqp_frame_next(*in, 131072, frame, &used) != LV_OK)
        return false;
    *in = lv_bytes(in->ptr + used, in->len - used);
    return true;
}

/* The way in: three frames, publish, content header, properties. */
static void read_stream(void)
{
    struct lv_bytes in = lv_bytes(stream, stream_bytes);
    struct lv_amqp_frame frame = { 0 };
    struct lv_amqp_basic_publish publish;
    struct lv_amqp_content content;
    struct lv_props props;

    while (take(&in, &frame)) {
        struct lv_bytes args = lv_bytes(frame.payload.ptr + 4, frame.payload.len - 4);
        if (lv_amqp_decode_basic_publish(args, &publish) != LV_OK || !take(&in, &frame) ||
            lv_amqp_decode_content(frame.payload, &content) != LV_OK ||
            lv_props_decode(content.props, &props) != LV_OK || !take(&in, &frame))
            abort();
        forget(&publish);
        forget(&props);
    }
}

/* The way out: deliver and content header. */
static void out_deliver(void)
{
    static uint8_t buf[256];
    struct lv_amqp_basic_deliver m = { .consumer_tag = LV_BYTES_LIT("ctag1.0123456789abcdef"),
                                       .exchange = LV_BYTES_LIT("amq.topic"),
                                       .routing_key = LV_BYTES_LIT("stock.usd.nyse") };

    for (int n = 0; n < MESSAGES; n++) {
        struct lv_wr w = lv_wr(buf, sizeof(buf));
        m.delivery_tag++;
        lv_amqp_write_basic_deliver(&w, 1, &m);
        forget(lv_amqp_put_content(buf + w.used, 1, 16, LV_BYTES_LIT("\x10\0\x02")));
    }
}

static void acks(void)
{
    struct lv_amqp_basic_ack m = { 0 };

    for (int n = 0; n < MESSAGES; n++) {
        struct lv_bytes args = LV_BYTES_LIT("\0\0\0\0\0\0\0\x05\x01");
        forget(&args);
        if (lv_amqp_decode_basic_ack(args, &m) != LV_OK)
            abort();
        forget(&m);
    }
}

static const struct lv_props no_props = { 0 };
static const struct lv_props persistent = { .flags = LV_PROP_DELIVERY_MODE, .delivery_mode = 2 };
static const struct lv_props rich = {
    .flags = LV_PROP_CONTENT_TYPE | LV_PROP_HEADERS | LV_PROP_DELIVERY_MODE |
             LV_PROP_CORRELATION_ID | LV_PROP_REPLY_TO | LV_PROP_MESSAGE_ID,
    .content_type = LV_BYTES_LIT("application/json"),
    .headers = LV_BYTES_LIT("\x04lang"
                            "S\0\0\0\x02py"
                            "\x04task"
                            "S\0\0\0\x08"
                            "proj.add"
                            "\x07retries"
                            "I\0\0\0\0"),
    .delivery_mode = 2,
    .correlation_id = LV_BYTES_LIT("6f1e2c9a-0000-4000-8000-123456789abc"),
    .reply_to = LV_BYTES_LIT("amq.gen-JzTY20BRgKO-HjmUJj0wLg"),
    .message_id = LV_BYTES_LIT("6f1e2c9a-0000-4000-8000-123456789abc"),
};

static const struct bench {
    const char *name;
    void (*run)(void);
    const struct lv_props *props; /* of the stream, or NULL */
} benches[] = {
    { "publish in, no properties", read_stream, &no_props },
    { "publish in, delivery-mode", read_stream, &persistent },
    { "publish in, task of a worker (6 properties, 3 headers)", read_stream, &rich },
    { "deliver out", out_deliver, NULL },
    { "ack in", acks, NULL },
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(benches); i++) {
        const struct bench *b = &benches[i];
        double ns[RUNS];
        bool is_wanted = argc < 2;
        for (int n = 1; n < argc; n++)
            is_wanted |= strstr(b->name, argv[n]) != NULL;
        if (!is_wanted)
            continue;
        if (b->props != NULL)
            fill_stream(b->props);
        for (int run = 0; run < RUNS; run++) {
            double start = seconds();
            for (int lap = 0; lap < LAPS; lap++)
                b->run();
            ns[run] = (seconds() - start) * 1e9 / LAPS / MESSAGES;
        }
        qsort(ns, RUNS, sizeof(ns[0]), by_value);
        printf("%-56s %6.1f ns\n", b->name, ns[RUNS / 2]);
    }
    return 0;
}
