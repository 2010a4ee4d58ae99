/* JSON as values of parameters and definitions: parsed by jansson, kept as text. */
#include <inttypes.h>
#include <stdio.h>

#include "broker/policies_priv.h"

struct lv_json_level lv_json_level(const json_t *v)
{
    /* Jansson's iterators want a value that could be changed. */
    return (struct lv_json_level){ v, 0, json_object_iter((json_t *)(uintptr_t)v) };
}

const json_t *lv_json_next(struct lv_json_level *l, const char **key)
{
    json_t *open = (json_t *)(uintptr_t)l->value;
    void *at = l->member;

    *key = NULL;
    if (json_is_array(open))
        return json_array_get(open, l->index++);
    if (at == NULL)
        return NULL;
    *key = json_object_iter_key(at);
    l->member = json_object_iter_next(open, at);
    return json_object_iter_value(at);
}

static bool is_open(const json_t *v)
{
    return json_is_array(v) || json_is_object(v);
}

static bool is_too_deep(const json_t *v)
{
    struct lv_json_level levels[LV_JSON_DEPTH_MAX];
    size_t depth = 0;
    const char *key;

    if (is_open(v))
        levels[depth++] = lv_json_level(v);
    while (depth != 0) {
        const json_t *child = lv_json_next(&levels[depth - 1], &key);
        if (child == NULL)
            depth--;
        else if (is_open(child) && depth == LV_JSON_DEPTH_MAX)
            return true;
        else if (is_open(child))
            levels[depth++] = lv_json_level(child);
    }
    return false;
}

json_t *lv_json_parse(struct lv_bytes text, char *why, size_t cap)
{
    json_error_t error;
    json_t *v =
        json_loadb((const char *)text.ptr, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

    if (v == NULL) {
        snprintf(why, cap, "not JSON: %s at line %d, column %d", error.text, error.line,
                 error.column);
        return NULL;
    }
    if (is_too_deep(v)) {
        snprintf(why, cap, "not JSON: nested more than %u deep", LV_JSON_DEPTH_MAX);
        json_decref(v);
        return NULL;
    }
    return v;
}

static int dumped(const char *buffer, size_t size, void *data)
{
    lv_wr_bytes(data, buffer, size);
    return 0;
}

void lv_json_write(struct lv_wr *w, const json_t *v)
{
    (void)json_dump_callback(v, dumped, w, JSON_COMPACT | JSON_ENCODE_ANY);
}

/* ---- as an Erlang term ---- */

static void put(struct lv_wr *w, const char *text)
{
    lv_wr_bytes(w, text, strlen(text));
}

static void put_scalar(struct lv_wr *w, const json_t *v)
{
    char number[64];

    switch (json_typeof(v)) {
    case JSON_STRING:
        put(w, "<<\"");
        lv_wr_bytes(w, json_string_value(v), json_string_length(v));
        put(w, "\">>");
        break;
    case JSON_INTEGER:
        snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        put(w, number);
        break;
    case JSON_REAL:
        snprintf(number, sizeof(number), "%.15g", json_real_value(v));
        put(w, number);
        break;
    case JSON_TRUE:
        put(w, "true");
        break;
    case JSON_FALSE:
        put(w, "false");
        break;
    case JSON_NULL:
        put(w, "null");
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
}

static void put_name(struct lv_wr *w, const char *name)
{
    put(w, "<<\"");
    put(w, name);
    put(w, "\">> => ");
}

void lv_json_print_term(struct lv_wr *w, const json_t *v)
{
    struct lv_json_level levels[LV_JSON_DEPTH_MAX + 1];
    size_t depth = 0;
    const char *key;
    bool is_first = true;

    if (!is_open(v)) {
        put_scalar(w, v);
        return;
    }
    put(w, json_is_array(v) ? "[" : "#{");
    levels[depth++] = lv_json_level(v);
    while (depth != 0) {
        struct lv_json_level *l = &levels[depth - 1];
        const json_t *child = lv_json_next(l, &key);
        if (child == NULL) {
            put(w, json_is_array(l->value) ? "]" : "}");
            depth--;
            is_first = false;
            continue;
        }
        if (!is_first)
            put(w, ",");
        if (key != NULL)
            put_name(w, key);
        is_first = is_open(child);
        if (!is_first) {
            put_scalar(w, child);
            continue;
        }
        put(w, json_is_array(child) ? "[" : "#{");
        levels[depth++] = lv_json_level(child);
    }
}
