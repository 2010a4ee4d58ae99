/* Closing with a reply code: soft ones close the channel, hard ones the connection (§1.2 of the specification's
 * reply codes; 506 and 541 are hard in RabbitMQ). Texts follow RabbitMQ: "NAME - explanation", at most 255 bytes. */
#include <stdarg.h>
#include <stdio.h>

#include "os/log.h"
#include "proto/amqp091/amqp_priv.h"

static const struct reply_code {
    uint16_t code;
    bool is_soft;
    const char *name;
} reply_codes[] = {
    { 311, true, "CONTENT_TOO_LARGE" },   { 312, true, "NO_ROUTE" },
    { 313, true, "NO_CONSUMERS" },        { 403, true, "ACCESS_REFUSED" },
    { 404, true, "NOT_FOUND" },           { 405, true, "RESOURCE_LOCKED" },
    { 406, true, "PRECONDITION_FAILED" }, { 320, false, "CONNECTION_FORCED" },
    { 402, false, "INVALID_PATH" },       { 501, false, "FRAME_ERROR" },
    { 502, false, "SYNTAX_ERROR" },       { 503, false, "COMMAND_INVALID" },
    { 504, false, "CHANNEL_ERROR" },      { 505, false, "UNEXPECTED_FRAME" },
    { 506, false, "RESOURCE_ERROR" },     { 530, false, "NOT_ALLOWED" },
    { 540, false, "NOT_IMPLEMENTED" },    { 541, false, "INTERNAL_ERROR" },
};

static const struct reply_code *find_code(uint16_t code)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(reply_codes); i++)
        if (reply_codes[i].code == code)
            return &reply_codes[i];
    LV_UNREACHABLE("a reply code of ours");
}

/* The reply text is a short string, and must stay UTF-8 when it is cut. */
static struct lv_bytes reply_text(const struct reply_code *rc, const char *text, char out[1024])
{
    int n = snprintf(out, 1024, "%s - %s", rc->name, text);
    size_t len = n < 0 ? 0 : LV_MIN((size_t)n, 1023u);

    if (len > LV_SHORTSTR_MAX) {
        len = LV_SHORTSTR_MAX;
        while (len > 0 && ((uint8_t)out[len] & 0xC0) == 0x80)
            len--;
    }
    return lv_bytes(out, len);
}

#define CLOSE_WAIT_MS 10000u  /* for close-ok */
#define SILENT_CLOSE_MS 3000u /* RabbitMQ: SILENT_CLOSE_DELAY */

static void give_up(struct lv_loop *loop, struct lv_timer *t)
{
    (void)loop;
    lv_amqp_hang_up(LV_CONTAINER_OF(t, struct lv_amqp_conn, timer));
}

/* A peer that did not prove itself learns nothing, and waits. */
static void go_silent(struct lv_amqp_conn *ac)
{
    ac->state = LV_AMQP_SILENT;
    lv_timer_start(ac->s.conn.loop, &ac->timer, SILENT_CLOSE_MS, give_up);
}

static void conn_close(struct lv_amqp_conn *ac, uint16_t code, uint32_t method, const char *text)
{
    char buf[1024];
    const struct reply_code *rc = find_code(code);
    struct lv_bytes reply = reply_text(rc, text, buf);
    enum lv_amqp_conn_state was = (enum lv_amqp_conn_state)ac->state;

    if (was == LV_AMQP_CLOSING || was == LV_AMQP_SILENT || was == LV_AMQP_LEAVING || ac->s.is_dying)
        return;
    lv_log(CONN_ERROR, lv_log_u64(ac->s.id), lv_log_bytes(ac->name), lv_log_bytes(ac->user),
           lv_log_u64(code), lv_log_bytes(reply));
    bool is_trusted = was == LV_AMQP_RUNNING || was == LV_AMQP_OPENING || code == 320 ||
                      code == 530 ||
                      (code == 403 && (ac->caps & LV_AMQP_CAP_AUTH_FAILURE_CLOSE) != 0);
    if (!is_trusted) {
        go_silent(ac);
        return;
    }
    lv_amqp_leave_all(ac);
    if (ac->s.call == NULL) /* else the registry may be asking about it */
        lv_pass_leave(&ac->s.pass);
    LV_AMQP_SEND(ac, 0, connection_close, .reply_code = code, .reply_text = reply,
                 .class_id = (uint16_t)(method >> 16), .method_id = (uint16_t)method);
    ac->state = LV_AMQP_CLOSING;
    lv_session_unblock(&ac->s);
    if (was == LV_AMQP_RUNNING)
        lv_timer_start(ac->s.conn.loop, &ac->timer, CLOSE_WAIT_MS, give_up);
    else
        lv_amqp_hang_up(ac); /* RabbitMQ does not wait for a close-ok before opening */
}

void lv_amqp_conn_error(struct lv_amqp_conn *ac, uint16_t code, uint32_t method, const char *format,
                        ...)
{
    char text[LV_FAILURE_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    conn_close(ac, code, method, text);
}

static void raise_error(struct lv_amqp_chan *ch, uint16_t code, const char *text)
{
    struct lv_amqp_conn *ac = ch->conn;
    const struct reply_code *rc = find_code(code);
    char buf[1024];

    if (!rc->is_soft) {
        conn_close(ac, code, ch->method, text);
        return;
    }
    if (ch->state == LV_AMQP_CHAN_CLOSING || ac->state != LV_AMQP_RUNNING || ac->s.is_dying)
        return; /* nobody listens any more */
    struct lv_bytes reply = reply_text(rc, text, buf);
    lv_log(CHANNEL_ERROR, lv_log_u64(ac->s.id), lv_log_bytes(ac->name), lv_log_bytes(ac->user),
           lv_log_u64(ch->number), lv_log_u64(code), lv_log_bytes(reply));
    lv_amqp_confirm_flush(ch);
    lv_amqp_chan_leave(ch);
    ch->state = LV_AMQP_CHAN_CLOSING;
    LV_AMQP_SEND(ac, ch->number, channel_close, .reply_code = code, .reply_text = reply,
                 .class_id = (uint16_t)(ch->method >> 16), .method_id = (uint16_t)ch->method);
}

void lv_amqp_error(struct lv_amqp_chan *ch, uint16_t code, const char *format, ...)
{
    char text[LV_FAILURE_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    raise_error(ch, code, text);
}

bool lv_amqp_failed(struct lv_amqp_chan *ch, const struct lv_call *call)
{
    if (call->failure.code == 0)
        return false;
    raise_error(ch, call->failure.code, call->failure.text);
    return true;
}

void lv_amqp_cannot_decode(struct lv_amqp_conn *ac, uint32_t method, struct lv_bytes args,
                           enum lv_err err)
{
    char dump[400];

    if (err == LV_EUTF8) {
        lv_amqp_conn_error(ac, 501, 0, "Malformed UTF-8 in shortstr");
        return;
    }
    lv_amqp_format_octets_plain(args, dump, sizeof(dump));
    lv_amqp_conn_error(ac, 501, method, "cannot decode %s", dump);
}

static void dump_frame(const struct lv_amqp_frame *f, char *out, size_t cap)
{
    char octets[200];

    lv_amqp_format_octets(f->payload, octets, sizeof(octets));
    snprintf(out, cap, "type %u, %s octets = %s", f->type,
             f->payload.len > LV_AMQP_OCTETS_MAX ? "first 16" : "all", octets);
}

void lv_amqp_bad_frame(struct lv_amqp_conn *ac, const struct lv_amqp_frame *f, struct lv_bytes in)
{
    char dump[300];
    uint32_t size = lv_be32(in.ptr + 3);

    dump_frame(f, dump, sizeof(dump));
    if (size > ac->payload_max)
        lv_amqp_conn_error(ac, 501, 0, "%s: {frame_too_large,%u,%u}", dump, size,
                           ac->payload_max - LV_AMQP_FRAME_OVERHEAD);
    else
        lv_amqp_conn_error(ac, 501, 0, "%s: {invalid_frame_end_marker,%u}", dump,
                           in.ptr[LV_AMQP_FRAME_HEAD + size]);
}

void lv_amqp_unexpected(struct lv_amqp_conn *ac, const struct lv_amqp_frame *f, const char *text)
{
    char dump[300];

    if (text != NULL) {
        lv_amqp_conn_error(ac, 505, 0, "%s", text);
        return;
    }
    dump_frame(f, dump, sizeof(dump));
    lv_amqp_conn_error(ac, 505, 0, "%s", dump);
}

void lv_amqp_unknown_frame(struct lv_amqp_conn *ac, const struct lv_amqp_frame *f)
{
    char dump[300];

    dump_frame(f, dump, sizeof(dump));
    lv_amqp_conn_error(ac, 501, 0, "%s: unknown_frame", dump);
}
