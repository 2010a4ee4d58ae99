/* Contents out: header and body frames of a message, for basic.return, get-ok and large deliveries. */
#include "base/mem.h"
#include "base/props.h"
#include "proto/amqp091/amqp_priv.h"

static void release_msg(void *owner)
{
    lv_msg_unref(owner);
}

/* One body frame: small parts are copied, large ones referred to. */
static void write_body(struct lv_amqp_conn *ac, uint16_t number, struct lv_msg *msg,
                       struct lv_bytes part)
{
    struct lv_conn *c = &ac->s.conn;
    bool is_small = part.len <= LV_BODY_INLINE_MAX;
    uint8_t *p = lv_conn_reserve(c, LV_AMQP_FRAME_OVERHEAD + (is_small ? part.len : 0));

    if (p == NULL)
        return;
    uint8_t *start = p;
    p = lv_amqp_put_frame_head(p, LV_AMQP_FRAME_BODY, number, (uint32_t)part.len);
    if (is_small) {
        memcpy(p, part.ptr, part.len);
        p += part.len;
        *p++ = LV_AMQP_FRAME_END;
        lv_conn_wrote(c, (size_t)(p - start));
        return;
    }
    lv_conn_wrote(c, (size_t)(p - start));
    if (lv_msg_is_borrowed(msg)) {
        lv_conn_write_borrowed(c, part);
    } else {
        struct lv_msg *kept = lv_msg_keep(msg); /* one more reference: cannot fail */
        lv_conn_write_ref(c, part, kept, release_msg);
    }
    p = lv_conn_reserve(c, 1);
    if (p == NULL)
        return;
    *p = LV_AMQP_FRAME_END;
    lv_conn_wrote(c, 1);
}

void lv_amqp_write_content(struct lv_amqp_conn *ac, uint16_t number, struct lv_msg *msg)
{
    uint8_t head[LV_AMQP_FRAME_HEAD + 12];
    static const uint8_t end = LV_AMQP_FRAME_END;
    struct lv_conn *c = &ac->s.conn;
    uint32_t part_max = ac->frame_max != 0 ? ac->frame_max - LV_AMQP_FRAME_OVERHEAD : UINT32_MAX;

    if (c->is_closing)
        return;
    uint8_t *p = lv_amqp_put_frame_head(head, LV_AMQP_FRAME_HEADER, number, 12 + msg->props_len);
    lv_put_be16(p, LV_AMQP_CLASS_BASIC);
    lv_put_be16(p + 2, 0);
    lv_put_be64(p + 4, msg->body_len);
    lv_conn_write(c, lv_bytes(head, sizeof(head)));
    lv_conn_write(c, lv_msg_props(msg));
    lv_conn_write(c, lv_bytes(&end, 1));
    for (uint32_t at = 0; at < msg->body_len;) {
        uint32_t part = LV_MIN(msg->body_len - at, part_max);
        write_body(ac, number, msg, lv_bytes(msg->body + at, part));
        at += part;
    }
}

#define COUNT_HEADER "x-delivery-count"

struct lv_msg *lv_amqp_with_count(struct lv_msg *msg, uint32_t failures)
{
    size_t cap = msg->props_len + LV_PROPS_WITH_HEADER_MORE(sizeof(COUNT_HEADER) - 1);
    uint8_t *props = failures != 0 ? lv_mem_alloc(cap, LV_TAG_CHANNEL) : NULL;
    struct lv_msg *told = NULL;

    if (props != NULL) {
        struct lv_wr w = lv_wr(props, cap);
        if (lv_props_write_with_header(&w, lv_msg_props(msg), COUNT_HEADER, failures) == LV_OK)
            told = lv_msg_with(msg, lv_msg_exchange(msg), lv_msg_key(msg), lv_bytes(props, w.used));
        lv_mem_free(props, LV_TAG_CHANNEL);
    }
    return told != NULL ? told : lv_msg_keep(msg); /* kept already: cannot fail */
}

void lv_amqp_return(struct lv_amqp_chan *ch, const struct lv_msg *msg)
{
    LV_AMQP_SEND(ch->conn, ch->number, basic_return, .reply_code = 312,
                 .reply_text = LV_BYTES_LIT("NO_ROUTE"), .exchange = lv_msg_exchange(msg),
                 .routing_key = lv_msg_key(msg));
    lv_amqp_write_content(ch->conn, ch->number, (struct lv_msg *)(uintptr_t)msg);
}
