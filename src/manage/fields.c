#include "manage/fields.h"

#include <math.h>

#include "base/limits.h"

/* ---- to JSON ---- */

struct level {
    struct lv_rd at;
    bool is_array;
};

/* The next of a level; elements of an array have no name. */
static bool next(struct level *l, struct lv_field *out)
{
    if (!l->is_array)
        return lv_table_next(&l->at, out);
    out->name = lv_bytes(NULL, 0);
    return lv_array_next(&l->at, &out->value);
}

static void put_plain(struct lv_json *j, struct lv_bytes name, const struct lv_value *v)
{
    switch (v->kind) {
    case LV_KIND_BOOL:
        lv_json_bool_named(j, name, v->i != 0);
        break;
    case LV_KIND_INT:
    case LV_KIND_TIMESTAMP:
        lv_json_i64_named(j, name, v->i);
        break;
    case LV_KIND_FLOAT:
        lv_json_double_named(j, name, v->f);
        break;
    case LV_KIND_DECIMAL:
        lv_json_double_named(j, name, (double)v->i / pow(10, v->scale));
        break;
    case LV_KIND_STRING:
    case LV_KIND_BINARY:
        lv_json_bytes_named(j, name, v->bytes);
        break;
    default:
        lv_json_null_named(j, name);
        break;
    }
}

void lv_json_fields(struct lv_json *j, const char *key, struct lv_bytes table)
{
    struct level levels[LV_TABLE_DEPTH_MAX + 1];
    struct lv_field field;
    unsigned depth = 0;

    lv_json_open(j, key);
    levels[0] = (struct level){ lv_rd(table), false };
    for (;;) {
        if (!next(&levels[depth], &field)) {
            lv_json_close(j);
            if (depth-- == 0)
                return;
            continue;
        }
        const struct lv_value *v = &field.value;
        bool is_array = v->kind == LV_KIND_ARRAY;
        if ((!is_array && v->kind != LV_KIND_TABLE) || depth + 1 == LV_ARRAY_LEN(levels)) {
            put_plain(j, field.name, v);
            continue;
        }
        if (is_array)
            lv_json_open_array_named(j, field.name);
        else
            lv_json_open_named(j, field.name);
        levels[++depth] = (struct level){ lv_rd(v->bytes), is_array };
    }
}

/* ---- from JSON ---- */

struct container {
    json_t *json;
    void *member;     /* of an object: the next */
    size_t element;   /* of an array: the next */
    size_t length_at; /* where its length is to be put; SIZE_MAX: it has none */
};

static void enter(struct container *c, const json_t *json, size_t length_at)
{
    c->json = (json_t *)(uintptr_t)json;
    c->member = json_is_object(json) ? json_object_iter(c->json) : NULL;
    c->element = 0;
    c->length_at = length_at;
}

/* The next value of a container, after its name has been written. NULL: no more. */
static json_t *step(struct container *c, struct lv_buf *out, enum lv_err *err)
{
    if (json_is_array(c->json))
        return json_array_get(c->json, c->element++);
    if (c->member == NULL)
        return NULL;
    const char *name = json_object_iter_key(c->member);
    json_t *value = json_object_iter_value(c->member);
    size_t len = strlen(name);
    uint8_t octet = (uint8_t)len;
    c->member = json_object_iter_next(c->json, c->member);
    if (len > LV_SHORTSTR_MAX)
        *err = LV_EINVAL;
    lv_buf_add(out, &octet, 1);
    lv_buf_add(out, name, len);
    return value;
}

static void put(struct lv_buf *out, char octet, const void *payload, size_t bytes)
{
    lv_buf_add(out, &octet, 1);
    lv_buf_add(out, payload, bytes);
}

static void put_number(struct lv_buf *out, char octet, uint64_t bits)
{
    uint8_t wire[8];

    lv_put_be64(wire, bits);
    put(out, octet, wire, sizeof(wire));
}

static void put_value(struct lv_buf *out, const json_t *v)
{
    uint8_t wire[4], truth = json_is_true(v);
    uint64_t bits;
    double real;

    switch (json_typeof(v)) {
    case JSON_STRING:
        lv_put_be32(wire, (uint32_t)json_string_length(v));
        put(out, 'S', wire, sizeof(wire));
        lv_buf_add(out, json_string_value(v), json_string_length(v));
        break;
    case JSON_INTEGER:
        put_number(out, 'l', (uint64_t)json_integer_value(v));
        break;
    case JSON_REAL:
        real = json_real_value(v);
        memcpy(&bits, &real, sizeof(bits));
        put_number(out, 'd', bits);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        put(out, 't', &truth, 1);
        break;
    default:
        put(out, 'V', NULL, 0);
        break;
    }
}

/* The length of what was written since it was entered. */
static void leave(const struct container *c, struct lv_buf *out)
{
    if (c->length_at != SIZE_MAX && !out->is_short)
        lv_put_be32(out->at + c->length_at, (uint32_t)(out->len - c->length_at - 4));
}

enum lv_err lv_fields_from_json(const json_t *object, struct lv_buf *out)
{
    struct container stack[LV_TABLE_DEPTH_MAX];
    enum lv_err err = LV_OK;
    unsigned depth = 0;

    if (!json_is_object(object))
        return LV_EINVAL;
    enter(&stack[0], object, SIZE_MAX);
    while (err == LV_OK) {
        json_t *v = step(&stack[depth], out, &err);
        if (v == NULL) {
            leave(&stack[depth], out);
            if (depth-- == 0)
                break;
        } else if (!json_is_object(v) && !json_is_array(v)) {
            put_value(out, v);
        } else if (depth + 1 == LV_TABLE_DEPTH_MAX) {
            err = LV_EDEPTH;
        } else {
            put(out, json_is_array(v) ? 'A' : 'F', "\0\0\0\0", 4);
            enter(&stack[++depth], v, out->len - 4);
        }
    }
    return err == LV_OK && out->is_short ? LV_ENOMEM : err;
}

static int dump_piece(const char *text, size_t bytes, void *out)
{
    lv_buf_add(out, text, bytes);
    return ((const struct lv_buf *)out)->is_short ? -1 : 0;
}

bool lv_json_dump(const json_t *json, struct lv_buf *out)
{
    return json_dump_callback(json, dump_piece, out, JSON_COMPACT | JSON_ENCODE_ANY) == 0;
}
