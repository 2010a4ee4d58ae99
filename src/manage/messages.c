/* Messages in and out of a queue by HTTP: publish and get. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/props.h"
#include "base/utf8.h"
#include "engine/message.h"
#include "manage/ask.h"
#include "manage/fields.h"
#include "manage/manage_priv.h"
#include "manage/messages.h"
#include "manage/router.h"
#include "security/base64.h"

#define KEYS_MAX 64u                       /* CC and BCC */
#define PROPS_BYTES_MAX (14u * 256u + 16u) /* of all but the headers */
#define TTL_MS_MAX UINT64_C(315360000000)  /* ten years, as RabbitMQ has it */

/* ---- properties from JSON ---- */

struct reading {
    struct lv_request *r;
    const json_t *json;
    bool is_bad;
};

static void complain(struct reading *in, const char *name, const char *wanted)
{
    if (!in->is_bad)
        lv_reply_bad_request(in->r, "property %s should be %s", name, wanted);
    in->is_bad = true;
}

static bool read_shortstr(struct reading *in, const char *name, struct lv_bytes *out)
{
    const json_t *v = json_object_get(in->json, name);

    if (v == NULL || json_is_null(v) || in->is_bad)
        return false;
    if (!json_is_string(v) || json_string_length(v) > LV_SHORTSTR_MAX) {
        complain(in, name, "a string of at most 255 bytes");
        return false;
    }
    *out = lv_bytes(json_string_value(v), json_string_length(v));
    return true;
}

static bool read_number(struct reading *in, const char *name, uint64_t max, uint64_t *out)
{
    const json_t *v = json_object_get(in->json, name);
    char *end = NULL;

    if (v == NULL || json_is_null(v) || in->is_bad)
        return false;
    *out = json_is_string(v) ? strtoull(json_string_value(v), &end, 10)
                             : (uint64_t)json_integer_value(v);
    if ((json_is_string(v) ? end == json_string_value(v) || *end != '\0'
                           : !json_is_integer(v) || json_integer_value(v) < 0) ||
        *out > max) {
        complain(in, name, "a number within its bounds");
        return false;
    }
    return true;
}

static bool read_u8(struct reading *in, const char *name, uint8_t *out)
{
    uint64_t v = 0;
    bool is_there = read_number(in, name, UINT8_MAX, &v);

    *out = (uint8_t)v;
    return is_there;
}

static bool read_timestamp(struct reading *in, const char *name, uint64_t *out)
{
    return read_number(in, name, UINT64_MAX, out);
}

static bool read_table(struct reading *in, const char *name, struct lv_bytes *out)
{
    const json_t *v = json_object_get(in->json, name);
    struct lv_buf table = { 0 };

    if (v == NULL || json_is_null(v) || in->is_bad)
        return false;
    if (lv_fields_from_json(v, &table) != LV_OK)
        complain(in, name, "an object");
    else
        *out = lv_request_copy(in->r, lv_buf_view(&table));
    lv_buf_fini(&table);
    return !in->is_bad;
}

/* False: it was answered. */
static bool read_props(struct lv_request *r, struct lv_props *p)
{
    struct reading in = { r, json_object_get(r->json, "properties"), false };

    *p = (struct lv_props){ 0 };
    if (in.json != NULL && !json_is_object(in.json) &&
        !(json_is_array(in.json) && json_array_size(in.json) == 0)) {
        lv_reply_bad_request(r, "properties should be an object");
        return false;
    }
#define X(type, field, FLAG, bit)            \
    if (read_##type(&in, #field, &p->field)) \
        p->flags |= LV_PROP_##FLAG;
    LV_PROPS(X)
#undef X
    return !in.is_bad;
}

/* ---- publish ---- */

/* The strings of the array `name` among the headers, put behind those that are there. */
static void add_keys(const struct lv_props *p, const char *name, struct lv_bytes *keys,
                     size_t *count)
{
    struct lv_value array, key;

    if (!lv_table_find(p->headers, lv_bytes_str(name), &array) || array.kind != LV_KIND_ARRAY)
        return;
    struct lv_rd at = lv_rd(array.bytes);
    while (*count < KEYS_MAX && lv_array_next(&at, &key))
        if (key.kind == LV_KIND_STRING && key.bytes.len <= LV_SHORTSTR_MAX)
            keys[(*count)++] = key.bytes;
}

static bool set_expiration(struct lv_request *r, struct lv_agent *a, const struct lv_props *p)
{
    uint64_t ms = 0;

    if ((p->flags & LV_PROP_EXPIRATION) == 0)
        return true;
    for (size_t i = 0; i < p->expiration.len && ms <= TTL_MS_MAX; i++) {
        uint8_t c = p->expiration.ptr[i];
        ms = c >= '0' && c <= '9' ? ms * 10 + (c - (uint64_t)'0') : UINT64_MAX;
    }
    if (p->expiration.len == 0 || ms > TTL_MS_MAX) {
        lv_reply_bad_request(r, "invalid expiration '%.*s'", LV_BYTES_FMT(p->expiration));
        return false;
    }
    a->has_expiration = true;
    a->ttl_ms = ms;
    return true;
}

/* What the properties say besides their bytes. False: it was answered. */
static bool set_props(struct lv_request *r, struct lv_agent *a, struct lv_props *p)
{
    struct lv_bytes *keys = lv_request_alloc(r, KEYS_MAX * sizeof(*keys));
    struct lv_bytes headers = p->headers;
    size_t bytes = headers.len + PROPS_BYTES_MAX;
    uint8_t *raw = lv_request_alloc(r, bytes), *rest = lv_request_alloc(r, headers.len + 1);

    if (keys == NULL || raw == NULL || rest == NULL) {
        lv_reply_no_memory(r);
        return false;
    }
    if (!set_expiration(r, a, p))
        return false;
    add_keys(p, "CC", keys, &a->more_count);
    add_keys(p, "BCC", keys, &a->more_count);
    a->more_keys = keys;
    struct lv_wr without = lv_wr(rest, headers.len);
    lv_table_copy_without(&without, headers, LV_BYTES_LIT("BCC"));
    p->headers = lv_bytes(rest, without.used);
    struct lv_wr w = lv_wr(raw, bytes);
    lv_props_write(&w, p);
    LV_ASSERT(lv_wr_ok(&w));
    a->properties = lv_bytes(raw, w.used);
    a->headers = p->headers;
    a->is_persistent = p->delivery_mode == 2;
    a->priority = p->priority;
    a->has_priority = (p->flags & LV_PROP_PRIORITY) != 0;
    a->has_user_id = (p->flags & LV_PROP_USER_ID) != 0;
    a->user_id = p->user_id;
    return true;
}

/* False: it was answered. */
static bool read_payload(struct lv_request *r, struct lv_bytes *out)
{
    struct lv_bytes text, encoding = LV_BYTES_LIT("string");

    if (!lv_body_need_text(r, "payload", &text) || !lv_body_text(r, "payload_encoding", &encoding))
        return false;
    *out = text;
    if (lv_bytes_eq(encoding, LV_BYTES_LIT("string")))
        return true;
    uint8_t *bytes = lv_request_alloc(r, text.len + 1);
    struct lv_wr w = lv_wr(bytes, text.len);
    if (bytes == NULL) {
        lv_reply_no_memory(r);
        return false;
    }
    if (!lv_bytes_eq(encoding, LV_BYTES_LIT("base64"))) {
        lv_reply_bad_request(r, "Unsupported encoding '%.*s'", LV_BYTES_FMT(encoding));
        return false;
    }
    if (lv_base64_decode(&w, text) != LV_OK || !lv_wr_ok(&w)) {
        lv_reply_bad_request(r, "payload is not base64");
        return false;
    }
    *out = lv_bytes(bytes, w.used);
    return true;
}

static void published(struct lv_request *r, struct lv_agent *a)
{
    struct lv_json *j = lv_reply_json(r, 200);

    lv_json_open(j, NULL);
    lv_json_bool(j, "routed", a->is_routed);
    lv_json_close(j);
    lv_reply_end(r);
}

void lv_api_publish(struct lv_request *r)
{
    struct lv_bytes key, body;
    struct lv_props props;
    struct lv_act *verb;

    if (lv_request_json(r) == NULL || !lv_body_need_text(r, "routing_key", &key) ||
        !read_payload(r, &body) || !read_props(r, &props))
        return;
    if (key.len > LV_SHORTSTR_MAX) {
        lv_reply_bad_request(r, "routing_key is longer than 255 bytes");
        return;
    }
    verb = lv_act_new(r, LV_AGENT_PUBLISH, published);
    if (verb == NULL || !set_props(r, &verb->agent, &props))
        return;
    verb->agent.name = lv_path_exchange(r->args[0]);
    verb->agent.key = key;
    verb->agent.body = body;
    lv_act_send(verb);
}

/* ---- a message as JSON ---- */

static void put_shortstr(struct lv_json *j, const char *key, struct lv_bytes v)
{
    lv_json_bytes(j, key, v);
}
static void put_table(struct lv_json *j, const char *key, struct lv_bytes v)
{
    lv_json_fields(j, key, v);
}
static void put_u8(struct lv_json *j, const char *key, uint64_t v)
{
    lv_json_u64(j, key, v);
}
static void put_timestamp(struct lv_json *j, const char *key, uint64_t v)
{
    lv_json_u64(j, key, v);
}

static void put_props(struct lv_json *j, struct lv_bytes raw)
{
    struct lv_props p;

    lv_json_open(j, "properties");
    if (lv_props_decode(raw, &p) == LV_OK) {
#define X(type, field, FLAG, bit)        \
    if ((p.flags & LV_PROP_##FLAG) != 0) \
        put_##type(j, #field, p.field);
        LV_PROPS(X)
#undef X
    }
    lv_json_close(j);
}

static void put_payload(struct lv_json *j, struct lv_bytes body, bool is_base64)
{
    struct lv_buf text = { 0 };

    if (!is_base64) {
        lv_json_bytes(j, "payload", body);
    } else {
        uint8_t *room = lv_buf_room(&text, LV_BASE64_TEXT_BYTES(body.len));
        struct lv_wr w = lv_wr(room, room != NULL ? LV_BASE64_TEXT_BYTES(body.len) : 0);
        if (room != NULL)
            lv_base64_encode(&w, body);
        else
            j->out->is_short = true;
        lv_json_bytes(j, "payload", lv_bytes(room, lv_wr_ok(&w) ? w.used : 0));
        lv_buf_fini(&text);
    }
    lv_json_str(j, "payload_encoding", is_base64 ? "base64" : "string");
}

void lv_json_message(struct lv_json *j, const struct lv_msg *msg, bool is_redelivered,
                     const struct lv_payload_form *form)
{
    struct lv_bytes body = lv_msg_body(msg), shown = body;

    shown.len = (size_t)LV_MIN((uint64_t)body.len, form->truncate);
    lv_json_u64(j, "payload_bytes", body.len);
    lv_json_bool(j, "redelivered", is_redelivered);
    lv_json_bytes(j, "exchange", lv_msg_exchange(msg));
    lv_json_bytes(j, "routing_key", lv_msg_key(msg));
    put_props(j, lv_msg_props(msg));
    put_payload(j, shown, form->is_base64 || !lv_utf8_valid(shown));
}

bool lv_body_payload_form(struct lv_request *r, struct lv_payload_form *out)
{
    struct lv_bytes encoding = LV_BYTES_LIT("auto");
    int64_t truncate = INT64_MAX;

    if (!lv_body_text(r, "encoding", &encoding) ||
        !lv_body_number(r, "truncate", 0, INT64_MAX, &truncate))
        return false;
    out->truncate = (uint64_t)truncate;
    out->is_base64 = lv_bytes_eq(encoding, LV_BYTES_LIT("base64"));
    if (out->is_base64 || lv_bytes_eq(encoding, LV_BYTES_LIT("auto")))
        return true;
    lv_reply_bad_request(r, "Unsupported encoding '%.*s'. Please use 'base64' or 'auto'",
                         LV_BYTES_FMT(encoding));
    return false;
}

/* ---- get ---- */

struct get {
    struct lv_payload_form form;
    uint32_t at;
};

/* As many as the client takes. */
static void write_on(struct lv_request *r)
{
    struct lv_agent *a = &((struct lv_act *)r->work)->agent;
    struct lv_json *j = &r->reply.json;
    struct get *get = r->state;

    while (get->at < a->got_count) {
        const struct lv_agent_message *m = &a->got[get->at++];
        lv_json_open(j, NULL);
        lv_json_message(j, m->msg, m->redelivered, &get->form);
        lv_json_u64(j, "message_count", m->left);
        lv_json_close(j);
        if (!lv_reply_push(r))
            return;
    }
    r->go_on = NULL;
    lv_json_close(j);
    lv_reply_end(r);
}

static void got(struct lv_request *r, struct lv_agent *a)
{
    (void)a;
    lv_json_open_array(lv_reply_json(r, 200), NULL);
    r->go_on = write_on;
    write_on(r);
}

static bool read_ackmode(struct lv_request *r, enum lv_agent_ack *out)
{
    static const struct {
        const char *name;
        enum lv_agent_ack mode;
    } modes[] = {
        { "ack_requeue_true", LV_AGENT_ACK_REQUEUE },
        { "reject_requeue_true", LV_AGENT_ACK_REQUEUE },
        { "ack_requeue_false", LV_AGENT_ACK },
        { "reject_requeue_false", LV_AGENT_REJECT },
    };
    struct lv_bytes name;

    if (!lv_body_need_text(r, "ackmode", &name))
        return false;
    for (size_t i = 0; i < LV_ARRAY_LEN(modes); i++)
        if (lv_bytes_eq(name, lv_bytes_str(modes[i].name))) {
            *out = modes[i].mode;
            return true;
        }
    lv_reply_bad_request(r, "Unknown ackmode '%.*s'", LV_BYTES_FMT(name));
    return false;
}

void lv_api_get(struct lv_request *r)
{
    struct get *get = lv_request_alloc(r, sizeof(*get));
    enum lv_agent_ack mode;
    int64_t count = -1;
    struct lv_act *verb;

    if (get == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    if (lv_request_json(r) == NULL || !lv_body_number(r, "count", 0, INT64_MAX, &count) ||
        !read_ackmode(r, &mode) || !lv_body_payload_form(r, &get->form))
        return;
    if (count < 0) {
        lv_reply_bad_request(r, "count should be given: key missing");
        return;
    }
    r->state = get;
    verb = lv_act_new(r, LV_AGENT_GET, got);
    if (verb == NULL)
        return;
    verb->agent.name = r->args[0];
    verb->agent.count = (uint32_t)LV_MIN(count, (int64_t)LV_AGENT_GET_MAX);
    verb->agent.ack_mode = mode;
    lv_act_send(verb);
}
