/* tools/leveret/amqp_frame.h - AMQP 0-9-1 frames as the load generator and the relay need them. */
#ifndef LV_TOOL_AMQP_FRAME_H
#define LV_TOOL_AMQP_FRAME_H
#include "base/bytes.h"

#define LV_FRAME_HEAD 7u  /* type, channel, size */
#define LV_FRAME_EXTRA 8u /* the head and the end octet */
#define LV_FRAME_END 0xCEu
#define LV_PROTOCOL_HEADER "AMQP\x00\x00\x09\x01" /* 8 bytes */

enum lv_frame_type {
    LV_FRAME_METHOD = 1,
    LV_FRAME_HEADER = 2,
    LV_FRAME_BODY = 3,
    LV_FRAME_HEARTBEAT = 8,
};

/* Class in the upper half, method in the lower, as the four bytes on the wire. */
enum lv_method {
    LV_CONNECTION_START = 0x000A000A,
    LV_CONNECTION_START_OK = 0x000A000B,
    LV_CONNECTION_TUNE = 0x000A001E,
    LV_CONNECTION_TUNE_OK = 0x000A001F,
    LV_CONNECTION_OPEN = 0x000A0028,
    LV_CONNECTION_OPEN_OK = 0x000A0029,
    LV_CONNECTION_CLOSE = 0x000A0032,
    LV_CONNECTION_CLOSE_OK = 0x000A0033,
    LV_CONNECTION_BLOCKED = 0x000A003C,
    LV_CONNECTION_UNBLOCKED = 0x000A003D,
    LV_CHANNEL_OPEN = 0x0014000A,
    LV_CHANNEL_OPEN_OK = 0x0014000B,
    LV_CHANNEL_CLOSE = 0x00140028,
    LV_CHANNEL_CLOSE_OK = 0x00140029,
    LV_EXCHANGE_DECLARE = 0x0028000A,
    LV_EXCHANGE_DECLARE_OK = 0x0028000B,
    LV_EXCHANGE_DELETE = 0x00280014,
    LV_EXCHANGE_DELETE_OK = 0x00280015,
    LV_QUEUE_DECLARE = 0x0032000A,
    LV_QUEUE_DECLARE_OK = 0x0032000B,
    LV_QUEUE_BIND = 0x00320014,
    LV_QUEUE_BIND_OK = 0x00320015,
    LV_QUEUE_DELETE = 0x00320028,
    LV_QUEUE_DELETE_OK = 0x00320029,
    LV_BASIC_QOS = 0x003C000A,
    LV_BASIC_QOS_OK = 0x003C000B,
    LV_BASIC_CONSUME = 0x003C0014,
    LV_BASIC_CONSUME_OK = 0x003C0015,
    LV_BASIC_CANCEL = 0x003C001E,
    LV_BASIC_PUBLISH = 0x003C0028,
    LV_BASIC_DELIVER = 0x003C003C,
    LV_BASIC_ACK = 0x003C0050,
    LV_BASIC_NACK = 0x003C0078,
    LV_CONFIRM_SELECT = 0x0055000A,
    LV_CONFIRM_SELECT_OK = 0x0055000B,
};

#define LV_CLASS_BASIC 60u

/* Writes a frame's head and returns where the frame starts, for lv_frame_finish(). */
static inline size_t lv_frame_begin(struct lv_wr *w, enum lv_frame_type type, uint16_t channel)
{
    size_t start = w->used;

    lv_wr_u8(w, (uint8_t)type);
    lv_wr_u16(w, channel);
    lv_wr_u32(w, 0);
    return start;
}

static inline void lv_frame_finish(struct lv_wr *w, size_t start)
{
    if (lv_wr_ok(w))
        lv_put_be32(w->buf + start + 3, (uint32_t)(w->used - start - LV_FRAME_HEAD));
    lv_wr_u8(w, LV_FRAME_END);
}

static inline size_t lv_method_begin(struct lv_wr *w, uint16_t channel, enum lv_method method)
{
    size_t start = lv_frame_begin(w, LV_FRAME_METHOD, channel);

    lv_wr_u32(w, (uint32_t)method);
    return start;
}

/* Field tables: begin, entries, finish. */
static inline size_t lv_table_begin(struct lv_wr *w)
{
    lv_wr_u32(w, 0);
    return w->used;
}

static inline void lv_table_string(struct lv_wr *w, const char *key, const char *value)
{
    lv_wr_short(w, lv_bytes_str(key));
    lv_wr_u8(w, 'S');
    lv_wr_long(w, lv_bytes_str(value));
}

static inline void lv_table_true(struct lv_wr *w, const char *key)
{
    lv_wr_short(w, lv_bytes_str(key));
    lv_wr_u8(w, 't');
    lv_wr_u8(w, 1);
}

static inline void lv_table_finish(struct lv_wr *w, size_t start)
{
    if (lv_wr_ok(w))
        lv_put_be32(w->buf + start - 4, (uint32_t)(w->used - start));
}

#endif
