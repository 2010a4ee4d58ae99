/* Field tables as JSON and back, as RabbitMQ's HTTP API has them. No recursion: the open arrays and tables are a stack. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "broker/definitions_priv.h"

/* ---- bytes that grow ---- */

void lv_text_bytes(struct lv_text *t, const void *bytes, size_t n)
{
    if (t->is_short || n == 0)
        return;
    if (n > t->cap - t->used) {
        size_t cap = LV_MAX(t->cap * 2, LV_MAX(t->used + n, (size_t)256));
        uint8_t *at = lv_mem_realloc(t->at, cap, LV_TAG_BROKER);
        if (at == NULL) {
            t->is_short = true;
            return;
        }
        t->at = at;
        t->cap = cap;
    }
    memcpy(t->at + t->used, bytes, n);
    t->used += n;
}

void lv_text_str(struct lv_text *t, const char *s)
{
    lv_text_bytes(t, s, strlen(s));
}

void lv_text_fini(struct lv_text *t)
{
    lv_mem_free(t->at, LV_TAG_BROKER);
    *t = (struct lv_text){ 0 };
}

/* ---- to JSON ---- */

static void put_char(struct lv_text *t, uint8_t c)
{
    char escape[8];

    if (c == '"' || c == '\\') {
        snprintf(escape, sizeof(escape), "\\%c", c);
        lv_text_str(t, escape);
    } else if (c < 0x20) {
        snprintf(escape, sizeof(escape), "\\u%04x", c);
        lv_text_str(t, escape);
    } else {
        lv_text_bytes(t, &c, 1);
    }
}

void lv_text_json_string(struct lv_text *t, struct lv_bytes s)
{
    bool is_utf8 = lv_utf8_valid(s);
    size_t done = 0;

    lv_text_bytes(t, "\"", 1);
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        bool is_plain = c >= 0x20 && c != '"' && c != '\\' && (c < 0x80 || is_utf8);
        if (is_plain)
            continue;
        lv_text_bytes(t, s.ptr + done, i - done);
        done = i + 1;
        if (c >= 0x80)
            lv_text_str(t, "\\ufffd");
        else
            put_char(t, c);
    }
    lv_text_bytes(t, s.ptr + done, s.len - done);
    lv_text_bytes(t, "\"", 1);
}

/* The shortest text that reads back as the same number, and as a number with a fraction. */
static void put_double(struct lv_text *t, double f)
{
    char text[64];

    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof(text), "%.*g", precision, f);
        if (strtod(text, NULL) == f)
            break;
    }
    lv_text_str(t, text);
    if (strpbrk(text, ".e") == NULL)
        lv_text_str(t, ".0");
}

static unsigned put_text(struct lv_text *t, struct lv_bytes s)
{
    lv_text_json_string(t, s);
    return lv_utf8_valid(s) ? 0 : LV_TABLE_LOSSY;
}

/* A value that holds no others; what is lost. */
static unsigned put_scalar(struct lv_text *t, const struct lv_value *v)
{
    char number[64];

    switch (v->kind) {
    case LV_KIND_STRING:
        return put_text(t, v->bytes);
    case LV_KIND_BINARY:
        lv_text_json_string(t, v->bytes);
        return LV_TABLE_LOSSY;
    case LV_KIND_BOOL:
        lv_text_str(t, v->i != 0 ? "true" : "false");
        return 0;
    case LV_KIND_INT:
        snprintf(number, sizeof(number), "%" PRId64, v->i);
        lv_text_str(t, number);
        return v->octet == 'l' ? 0 : LV_TABLE_WIDTH;
    case LV_KIND_TIMESTAMP:
        snprintf(number, sizeof(number), "%" PRIu64, (uint64_t)v->i);
        lv_text_str(t, number);
        return LV_TABLE_LOSSY;
    case LV_KIND_DECIMAL:
        snprintf(number, sizeof(number), "%" PRId64 "e-%u", v->i, v->scale);
        lv_text_str(t, number);
        return LV_TABLE_LOSSY;
    case LV_KIND_FLOAT:
        if (isfinite(v->f))
            put_double(t, v->f);
        else
            lv_text_str(t, "null");
        return !isfinite(v->f) ? LV_TABLE_LOSSY : v->octet == 'd' ? 0 : LV_TABLE_WIDTH;
    case LV_KIND_VOID:
    case LV_KIND_ARRAY:
    case LV_KIND_TABLE:
        break;
    }
    lv_text_str(t, "null");
    return LV_TABLE_LOSSY;
}

struct open {
    struct lv_rd at;
    bool is_array, has_one;
};

/* The next value, its name written before it. false: no more. */
static bool next_value(struct lv_text *t, struct open *o, struct lv_value *v, unsigned *lost)
{
    struct lv_field f = { .name = lv_bytes(NULL, 0) };
    bool is_there = o->is_array ? lv_array_next(&o->at, v) : lv_table_next(&o->at, &f);

    if (!is_there)
        return false;
    if (o->has_one)
        lv_text_bytes(t, ",", 1);
    o->has_one = true;
    if (!o->is_array) {
        *v = f.value;
        *lost |= put_text(t, f.name);
        lv_text_bytes(t, ":", 1);
    }
    return true;
}

unsigned lv_text_json_table(struct lv_text *t, struct lv_bytes table)
{
    struct open stack[LV_TABLE_DEPTH_MAX + 1] = { { .at = lv_rd(table) } };
    unsigned lost = 0;
    size_t depth = 1;
    struct lv_value v;

    lv_text_bytes(t, "{", 1);
    while (depth != 0) {
        struct open *o = &stack[depth - 1];
        if (!next_value(t, o, &v, &lost)) {
            lv_text_bytes(t, o->is_array ? "]" : "}", 1);
            depth--;
        } else if ((v.kind == LV_KIND_ARRAY || v.kind == LV_KIND_TABLE) &&
                   depth < LV_ARRAY_LEN(stack)) {
            bool is_array = v.kind == LV_KIND_ARRAY;
            lv_text_bytes(t, is_array ? "[" : "{", 1);
            stack[depth++] = (struct open){ .at = lv_rd(v.bytes), .is_array = is_array };
        } else {
            lost |= put_scalar(t, &v);
        }
    }
    return lost;
}

/* ---- from JSON ---- */

static void put_u8(struct lv_text *t, uint8_t v)
{
    lv_text_bytes(t, &v, 1);
}

static void put_u32(struct lv_text *t, uint32_t v)
{
    uint8_t b[4];

    lv_put_be32(b, v);
    lv_text_bytes(t, b, sizeof(b));
}

static void put_u64(struct lv_text *t, uint64_t v)
{
    uint8_t b[8];

    lv_put_be64(b, v);
    lv_text_bytes(t, b, sizeof(b));
}

/* Where it has its length: to be filled in when it ends. */
struct opened {
    struct lv_json_level level;
    size_t length_at;
};

static void put_value(struct lv_text *t, const json_t *v)
{
    uint64_t bits;
    double f;

    switch (json_typeof(v)) {
    case JSON_STRING:
        put_u8(t, 'S');
        put_u32(t, (uint32_t)json_string_length(v));
        lv_text_bytes(t, json_string_value(v), json_string_length(v));
        break;
    case JSON_INTEGER:
        put_u8(t, 'l');
        put_u64(t, (uint64_t)json_integer_value(v));
        break;
    case JSON_REAL:
        f = json_real_value(v);
        memcpy(&bits, &f, sizeof(bits));
        put_u8(t, 'd');
        put_u64(t, bits);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        put_u8(t, 't');
        put_u8(t, json_is_true(v));
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        put_u8(t, json_is_array(v) ? 'A' : 'F');
        put_u32(t, 0);
        break;
    case JSON_NULL:
        break;
    }
}

enum lv_err lv_table_from_json(const json_t *object, struct lv_text *out, char *why, size_t cap)
{
    struct opened stack[LV_TABLE_DEPTH_MAX];
    size_t depth = 0;
    const char *key;

    if (object == NULL || (json_is_array(object) && json_array_size(object) == 0))
        return LV_OK;
    if (!json_is_object(object)) {
        snprintf(why, cap, "arguments must be an object");
        return LV_EINVAL;
    }
    stack[depth++] = (struct opened){ lv_json_level(object), 0 };
    while (depth != 0) {
        struct opened *o = &stack[depth - 1];
        const json_t *v = lv_json_next(&o->level, &key);
        if (v == NULL) {
            if (--depth != 0 && !out->is_short)
                lv_put_be32(out->at + o->length_at, (uint32_t)(out->used - o->length_at - 4));
            continue;
        }
        bool is_open = json_is_array(v) || json_is_object(v);
        if (json_is_null(v) || (key != NULL && strlen(key) > LV_SHORTSTR_MAX) ||
            (is_open && depth == LV_TABLE_DEPTH_MAX)) {
            snprintf(why, cap, "arguments: %s",
                     json_is_null(v) ? "null_not_allowed"
                     : is_open       ? "nested too deeply"
                                     : "a name is longer than 255 bytes");
            return LV_EINVAL;
        }
        if (key != NULL) {
            put_u8(out, (uint8_t)strlen(key));
            lv_text_str(out, key);
        }
        put_value(out, v);
        if (is_open)
            stack[depth++] = (struct opened){ lv_json_level(v), out->used - 4 };
    }
    return out->is_short ? LV_ENOMEM : LV_OK;
}
