/* The payload of one method frame. What decodes is written again, as long as it came; that decodes to the same and
 * is written the same. */
#include "proto/amqp091/codec.h"

#include <stdint.h>
#include <stdlib.h>

#define METHODS "proto/amqp091/methods.def"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

union any_method {
#define M(class, id, NAME, name, text, traits, fields) struct lv_amqp_##name name;
#define F(type, field)
#include METHODS
#undef F
#undef M
};

/* LV_OK, LV_ESYNTAX and so on; *out holds the method. LV_ENOTFOUND: no such method. */
static enum lv_err decode(struct lv_bytes payload, union any_method *out)
{
    struct lv_bytes args = lv_bytes(payload.ptr + 4, payload.len - 4);

    switch (lv_be32(payload.ptr)) {
#define M(class, id, NAME, name, text, traits, fields) \
    case LV_AMQP_##NAME:                               \
        return lv_amqp_decode_##name(args, &out->name);
#define F(type, field)
#include METHODS
#undef F
#undef M
    default:
        return LV_ENOTFOUND;
    }
}

static void write(struct lv_wr *w, uint32_t method, const union any_method *m)
{
    switch (method) {
#define M(class, id, NAME, name, text, traits, fields) \
    case LV_AMQP_##NAME:                               \
        lv_amqp_write_##name(w, 0x0102, &m->name);     \
        break;
#define F(type, field)
#include METHODS
#undef F
#undef M
    default:
        abort();
    }
}

/* Writes `m` into exactly the room it needs and cuts the one frame off. Freed by the caller. */
static uint8_t *written(uint32_t method, const union any_method *m, size_t payload_bytes,
                        struct lv_bytes *payload)
{
    size_t bytes = payload_bytes + LV_AMQP_FRAME_OVERHEAD, used;
    uint8_t *buf = malloc(bytes);
    struct lv_wr w = lv_wr(buf, bytes);
    struct lv_amqp_frame frame;

    LV_ASSERT(buf != NULL);
    write(&w, method, m);
    LV_ASSERT(w.used == bytes);
    LV_ASSERT(lv_amqp_frame_next(lv_bytes(buf, bytes), (uint32_t)payload_bytes, &frame, &used) ==
              LV_OK);
    LV_ASSERT(used == bytes && frame.type == LV_AMQP_FRAME_METHOD && frame.channel == 0x0102);
    *payload = frame.payload;
    return buf;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    union any_method first, second;
    struct lv_bytes once, twice;

    if (size < 4)
        return 0;
    uint32_t method = lv_be32(data);
    enum lv_err err = decode(lv_bytes(data, size), &first);
    LV_ASSERT((err == LV_ENOTFOUND) == (lv_amqp_method_traits(method) == 0));
    if (err != LV_OK)
        return 0;
    uint8_t *a = written(method, &first, size, &once);
    LV_ASSERT(decode(once, &second) == LV_OK);
    uint8_t *b = written(method, &second, size, &twice);
    LV_ASSERT(lv_bytes_eq(once, twice));
    free(a);
    free(b);
    return 0;
}
