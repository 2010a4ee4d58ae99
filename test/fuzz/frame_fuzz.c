/* A whole stream of frames: each that is cut off is written again the same, whatever piece of the stream was there
 * first; methods, content headers and properties in them are decoded. Input: u16 largest payload, stream. */
#include "base/props.h"
#include "proto/amqp091/codec.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_rewritten(const struct lv_amqp_frame *frame, struct lv_bytes wire)
{
    uint8_t head[LV_AMQP_FRAME_HEAD];

    LV_ASSERT(wire.len == frame->payload.len + LV_AMQP_FRAME_OVERHEAD);
    lv_amqp_put_frame_head(head, frame->type, frame->channel, (uint32_t)frame->payload.len);
    LV_ASSERT(memcmp(head, wire.ptr, sizeof(head)) == 0);
    LV_ASSERT(frame->payload.ptr == wire.ptr + LV_AMQP_FRAME_HEAD);
    LV_ASSERT(wire.ptr[wire.len - 1] == LV_AMQP_FRAME_END);
}

/* Any beginning of a frame says either that more is needed, or already what the whole says. */
static void check_cuts(struct lv_bytes in, uint32_t payload_max, enum lv_err whole,
                       size_t frame_bytes)
{
    size_t cuts = whole == LV_OK ? frame_bytes : in.len;
    struct lv_amqp_frame frame;
    size_t used;

    for (size_t cut = 0; cut < LV_MIN(cuts, 32); cut++) {
        enum lv_err err = lv_amqp_frame_next(lv_bytes(in.ptr, cut), payload_max, &frame, &used);
        LV_ASSERT(err == LV_EMORE || (err == LV_EFRAME && whole == LV_EFRAME));
        LV_ASSERT(used == 0);
    }
}

static void decode_header(struct lv_bytes payload)
{
    struct lv_amqp_content content;
    struct lv_props props;

    if (lv_amqp_decode_content(payload, &content) != LV_OK)
        return;
    LV_ASSERT(content.props.len + 12 == payload.len);
    if (lv_props_decode(content.props, &props) != LV_OK ||
        content.class_id != LV_AMQP_CLASS_BASIC || content.weight != 0)
        return;
    size_t bytes = LV_AMQP_CONTENT_FRAME_BYTES(content.props.len);
    uint8_t *again = malloc(bytes);
    LV_ASSERT(again != NULL);
    LV_ASSERT(lv_amqp_put_content(again, 0, content.body_size, content.props) == again + bytes);
    LV_ASSERT(memcmp(again + LV_AMQP_FRAME_HEAD, payload.ptr, payload.len) == 0);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    uint32_t payload_max = lv_be16(data);
    struct lv_bytes in = lv_bytes(data + 2, size - 2);
    struct lv_amqp_frame frame = { 0 };

    for (;;) {
        size_t used;
        enum lv_err err = lv_amqp_frame_next(in, payload_max, &frame, &used);
        check_cuts(in, payload_max, err, used);
        LV_ASSERT((err == LV_OK) == (used != 0));
        if (err != LV_OK)
            return 0;
        LV_ASSERT(frame.payload.len <= payload_max);
        check_rewritten(&frame, lv_bytes(in.ptr, used));
        if (frame.type == LV_AMQP_FRAME_HEADER)
            decode_header(frame.payload);
        in = lv_bytes(in.ptr + used, in.len - used);
    }
}
