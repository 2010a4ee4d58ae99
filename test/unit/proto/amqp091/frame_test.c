/* Frames: cut at every byte, too large, badly ended; content headers; and the raw writers of the message path. */
#include "proto/amqp091/codec.h"

#include <stdlib.h>

#include "lv_test.h"

/* clang-format off */
static const uint8_t publish_wire[] = {
    1, 0, 5, 0, 0, 0, 11, 0, 60, 0, 40, 0, 0, 1, 'x', 1, 'k', 0, 0xCE,
    2, 0, 5, 0, 0, 0, 14, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0xCE,
    3, 0, 5, 0, 0, 0, 2, 'h', 'i', 0xCE,
};
/* clang-format on */

/* lv_amqp_frame_next over memory that ends where the input ends. */
static enum lv_err next(const uint8_t *bytes, size_t len, uint32_t payload_max,
                        struct lv_amqp_frame *out, size_t *used)
{
    uint8_t *copy = malloc(len + 1);

    LV_ASSERT(copy != NULL);
    memcpy(copy + 1, bytes, len);
    enum lv_err err = lv_amqp_frame_next(lv_bytes(copy + 1, len), payload_max, out, used);
    free(copy);
    return err;
}

LV_TEST(frames_follow_one_another)
{
    static const struct lv_amqp_frame wanted[] = {
        { LV_AMQP_FRAME_METHOD, 5, { publish_wire + 7, 11 } },
        { LV_AMQP_FRAME_HEADER, 5, { publish_wire + 26, 14 } },
        { LV_AMQP_FRAME_BODY, 5, { publish_wire + 48, 2 } },
    };
    struct lv_bytes in = lv_bytes(publish_wire, sizeof(publish_wire));
    struct lv_amqp_frame frame;
    size_t used;

    for (size_t n = 0; n < LV_ARRAY_LEN(wanted); n++) {
        CHECK_EQ(lv_amqp_frame_next(in, 4096, &frame, &used), LV_OK);
        CHECK_EQ(frame.type, wanted[n].type);
        CHECK_EQ(frame.channel, wanted[n].channel);
        CHECK(frame.payload.ptr == wanted[n].payload.ptr);
        CHECK_EQ(frame.payload.len, wanted[n].payload.len);
        CHECK_EQ(used, frame.payload.len + LV_AMQP_FRAME_OVERHEAD);
        in = lv_bytes(in.ptr + used, in.len - used);
    }
    CHECK_EQ(in.len, 0);
    CHECK_EQ(lv_amqp_frame_next(in, 4096, &frame, &used), LV_EMORE);
}

/* A frame cut at any byte asks for more and consumes nothing: callers rely on it to keep one buffer. */
LV_TEST(a_frame_cut_anywhere_asks_for_more)
{
    struct lv_amqp_frame frame;
    size_t used = 1;

    for (size_t cut = 0; cut < 19; cut++) {
        CHECK_EQ(next(publish_wire, cut, 4096, &frame, &used), LV_EMORE);
        CHECK_EQ(used, 0);
    }
    CHECK_EQ(next(publish_wire, 19, 4096, &frame, &used), LV_OK);
    CHECK_EQ(used, 19);
}

LV_TEST(too_large_is_told_from_the_head_alone)
{
    static const uint8_t wire[] = { 3, 0, 1, 0, 0, 0x10, 1, 'a', 'b' };
    struct lv_amqp_frame frame;
    size_t used;

    CHECK_EQ(next(wire, 6, 4096, &frame, &used), LV_EMORE);
    for (size_t len = 7; len <= sizeof(wire); len++) {
        CHECK_EQ(next(wire, len, 4096, &frame, &used), LV_EFRAME);
        CHECK_EQ(used, 0);
        CHECK_EQ(frame.type, 3);
        CHECK_EQ(frame.channel, 1);
        CHECK_EQ(frame.payload.len, 0); /* as RabbitMQ shows it, whatever has come */
        CHECK_EQ(next(wire, len, 4097, &frame, &used), LV_EMORE);
    }
    static const uint8_t hostile[] = { 1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xCE };
    CHECK_EQ(next(hostile, sizeof(hostile), 131072, &frame, &used), LV_EFRAME);
    CHECK_EQ(next(hostile, sizeof(hostile), UINT32_MAX, &frame, &used), LV_EMORE);
}

LV_TEST(the_end_octet_is_checked)
{
    uint8_t wire[10] = { 3, 0, 1, 0, 0, 0, 2, 'h', 'i', 0xCE };
    struct lv_amqp_frame frame;
    size_t used;

    for (unsigned end = 0; end < 256; end++) {
        wire[9] = (uint8_t)end;
        CHECK_EQ(next(wire, sizeof(wire), 100, &frame, &used), end == 0xCE ? LV_OK : LV_EFRAME);
        CHECK_EQ(used, end == 0xCE ? 10 : 0);
        CHECK_EQ(frame.payload.len, 2);
    }
}

LV_TEST(an_empty_payload_is_a_frame)
{
    static const uint8_t heartbeat[] = { 8, 0, 0, 0, 0, 0, 0, 0xCE };
    struct lv_amqp_frame frame;
    size_t used;

    CHECK_EQ(next(heartbeat, sizeof(heartbeat), 0, &frame, &used), LV_OK);
    CHECK_EQ(used, LV_AMQP_FRAME_OVERHEAD);
    CHECK_EQ(frame.type, LV_AMQP_FRAME_HEARTBEAT);
    CHECK_EQ(frame.payload.len, 0);
}

LV_TEST(peek_needs_the_head_only)
{
    uint8_t type;
    uint16_t channel;
    uint32_t size;

    for (size_t len = 0; len < LV_AMQP_FRAME_HEAD; len++)
        CHECK(!lv_amqp_frame_peek(lv_bytes(publish_wire, len), &type, &channel, &size));
    CHECK(lv_amqp_frame_peek(lv_bytes(publish_wire, 7), &type, &channel, &size));
    CHECK_EQ(type, 1);
    CHECK_EQ(channel, 5);
    CHECK_EQ(size, 11);
}

LV_TEST(raw_writers_make_the_same_bytes)
{
    uint8_t buf[64], *p = lv_amqp_put_frame_head(buf, LV_AMQP_FRAME_METHOD, 5, 11);

    lv_put_be32(p, LV_AMQP_BASIC_PUBLISH);
    lv_put_be16(p + 4, 0);
    p = lv_amqp_put_short(p + 6, LV_BYTES_LIT("x"));
    p = lv_amqp_put_short(p, LV_BYTES_LIT("k"));
    *p++ = 0;
    *p++ = LV_AMQP_FRAME_END;
    uint8_t *header = p;
    p = lv_amqp_put_content(p, 5, 2, LV_BYTES_LIT("\0\0"));
    CHECK_EQ(p - header, LV_AMQP_CONTENT_FRAME_BYTES(2));
    p = lv_amqp_put_frame_head(p, LV_AMQP_FRAME_BODY, 5, 2);
    CHECK_EQ(p - buf, sizeof(publish_wire) - 3);
    CHECK_MEM(buf, publish_wire, sizeof(publish_wire) - 3);
    p = lv_amqp_put_short(buf, lv_bytes(NULL, 0));
    CHECK_EQ(p - buf, 1);
    CHECK_EQ(buf[0], 0);
}

LV_TEST(content_header)
{
    struct lv_bytes wire = LV_BYTES_LIT("\0\x3c\0\x07\0\0\0\x01\0\0\0\x02\x10\0\x02");
    struct lv_amqp_content c;

    CHECK_EQ(lv_amqp_decode_content(wire, &c), LV_OK);
    CHECK_EQ(c.class_id, LV_AMQP_CLASS_BASIC);
    CHECK_EQ(c.weight, 7);
    CHECK(c.body_size == 0x100000002);
    CHECK(lv_bytes_eq(c.props, LV_BYTES_LIT("\x10\0\x02")));
    for (size_t cut = 0; cut < 12; cut++)
        CHECK_EQ(lv_amqp_decode_content(lv_bytes(wire.ptr, cut), &c), LV_ESYNTAX);
    /* RabbitMQ takes it for a header; its properties are then found wanting. */
    CHECK_EQ(lv_amqp_decode_content(lv_bytes(wire.ptr, 12), &c), LV_OK);
    CHECK_EQ(c.props.len, 0);
}
