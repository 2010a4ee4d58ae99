#include "manage/json.h"

#include <math.h>
#include <stdio.h>

#include "base/utf8.h"

/* ---- columns ---- */

static struct lv_bytes cut(struct lv_bytes *text, char at)
{
    const uint8_t *end = text->len != 0 ? memchr(text->ptr, at, text->len) : NULL;
    struct lv_bytes head = lv_bytes(text->ptr, end != NULL ? (size_t)(end - text->ptr) : text->len);
    size_t used = head.len + (end != NULL ? 1 : 0);

    *text = lv_bytes(text->ptr + used, text->len - used);
    return head;
}

bool lv_json_path(struct lv_bytes text, struct lv_json_path *out)
{
    out->count = 0;
    while (text.len != 0) {
        struct lv_bytes part = cut(&text, '.');
        if (out->count == LV_JSON_PARTS_MAX)
            return false;
        out->part[out->count++] = part;
    }
    return out->count != 0;
}

bool lv_json_columns(struct lv_bytes text, struct lv_json_columns *out)
{
    out->count = 0;
    while (text.len != 0 && out->count < LV_JSON_COLUMNS_MAX)
        out->count += lv_json_path(cut(&text, ','), &out->path[out->count]);
    return out->count != 0;
}

int lv_json_value_cmp(const struct lv_json_value *a, const struct lv_json_value *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->kind == LV_JSON_NUMBER)
        return (a->number > b->number) - (a->number < b->number);
    return a->kind == LV_JSON_TEXT ? lv_bytes_cmp(a->text, b->text) : 0;
}

/* ---- levels ---- */

void lv_json_init(struct lv_json *j, struct lv_buf *out)
{
    *j = (struct lv_json){ .out = out };
    j->level[0].is_whole = true;
}

void lv_json_select(struct lv_json *j, const struct lv_json_columns *columns)
{
    j->columns = columns;
    j->level[j->depth].is_whole = columns == NULL;
    j->level[j->depth].part = 0;
    j->level[j->depth].columns =
        columns != NULL ? UINT64_MAX >> (LV_JSON_COLUMNS_MAX - columns->count) : 0;
}

void lv_json_init_pick(struct lv_json *j, const struct lv_json_columns *path,
                       struct lv_json_value *pick, struct lv_buf *scratch)
{
    *pick = (struct lv_json_value){ .kind = LV_JSON_NUMBER };
    *j = (struct lv_json){ .pick = pick, .out = scratch };
    lv_json_select(j, path);
}

/* What a member has to do with the columns: those that it is on the way to, and whether it is one itself. */
static uint64_t led_to(const struct lv_json *j, struct lv_bytes key, bool *is_whole)
{
    const uint32_t part = j->level[j->depth].part;
    uint64_t left = j->level[j->depth].columns, led = 0;

    *is_whole = false;
    while (left != 0) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        const struct lv_json_path *path = &j->columns->path[i];
        left &= left - 1;
        if (!lv_bytes_eq(path->part[part], key))
            continue;
        if (path->count == part + 1)
            *is_whole = true;
        else
            led |= UINT64_C(1) << i;
    }
    return led;
}

/* A value by itself: is it wanted? */
static bool is_wanted(const struct lv_json *j, struct lv_bytes key)
{
    bool is_whole;

    if (j->skipped != 0)
        return false;
    if (j->level[j->depth].is_whole)
        return true;
    if (key.ptr == NULL)
        return false;
    (void)led_to(j, key, &is_whole);
    return is_whole;
}

bool lv_json_wants(const struct lv_json *j, const char *key)
{
    bool is_whole;

    return j->skipped == 0 && (j->level[j->depth].is_whole ||
                               led_to(j, lv_bytes_str(key), &is_whole) != 0 || is_whole);
}

/* ---- text ---- */

/* What must be escaped: 0 no; 'u' as \u00XX; else the letter behind the backslash. */
static char escape_of(uint8_t c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return c < 0x20 || c == 0x7f ? 'u' : 0;
    }
}

void lv_json_quote(struct lv_buf *out, struct lv_bytes text)
{
    const bool is_utf8 = lv_utf8_valid(text);
    size_t from = 0;

    lv_buf_add(out, "\"", 1);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        char escape = c >= 0x80 && !is_utf8 ? 'u' : escape_of(c);
        if (escape == 0)
            continue;
        lv_buf_add(out, text.ptr + from, i - from);
        from = i + 1;
        if (escape == 'u')
            lv_buf_addf(out, "\\u%04x", c);
        else
            lv_buf_add(out, (char[]){ '\\', escape }, 2);
    }
    lv_buf_add(out, text.ptr + from, text.len - from);
    lv_buf_add(out, "\"", 1);
}

static void begin_value(struct lv_json *j, struct lv_bytes key)
{
    if (j->level[j->depth].has_member)
        lv_buf_add(j->out, ",", 1);
    j->level[j->depth].has_member = true;
    if (key.ptr == NULL || j->level[j->depth].is_array)
        return;
    lv_json_quote(j->out, key);
    lv_buf_add(j->out, ":", 1);
}

static struct lv_bytes key_of(const char *key)
{
    return key != NULL ? lv_bytes_str(key) : lv_bytes(NULL, 0);
}

/* ---- containers ---- */

static void open_level(struct lv_json *j, struct lv_bytes key, bool is_array)
{
    bool is_whole = j->level[j->depth].is_whole;
    uint64_t columns = j->level[j->depth].columns;
    uint8_t part = j->level[j->depth].part;

    if (j->skipped == 0 && !is_whole && key.ptr != NULL) {
        columns = led_to(j, key, &is_whole);
        part++;
    }
    LV_ASSERT(j->depth + 1 < LV_JSON_DEPTH_MAX);
    if (j->skipped != 0 || (!is_whole && columns == 0)) {
        j->skipped++;
        return;
    }
    if (j->pick == NULL) {
        begin_value(j, key);
        lv_buf_add(j->out, is_array ? "[" : "{", 1);
    }
    j->depth++;
    j->level[j->depth].columns = columns;
    j->level[j->depth].part = part;
    j->level[j->depth].is_whole = is_whole;
    j->level[j->depth].is_array = is_array;
    j->level[j->depth].has_member = false;
}

void lv_json_open(struct lv_json *j, const char *key)
{
    open_level(j, key_of(key), false);
}
void lv_json_open_array(struct lv_json *j, const char *key)
{
    open_level(j, key_of(key), true);
}
void lv_json_open_named(struct lv_json *j, struct lv_bytes key)
{
    open_level(j, key, false);
}
void lv_json_open_array_named(struct lv_json *j, struct lv_bytes key)
{
    open_level(j, key, true);
}

void lv_json_close(struct lv_json *j)
{
    if (j->skipped != 0) {
        j->skipped--;
        return;
    }
    LV_ASSERT(j->depth != 0);
    if (j->pick == NULL)
        lv_buf_add(j->out, j->level[j->depth].is_array ? "]" : "}", 1);
    j->depth--;
}

/* ---- values ---- */

void lv_json_bytes_named(struct lv_json *j, struct lv_bytes key, struct lv_bytes text)
{
    if (!is_wanted(j, key))
        return;
    if (j->pick != NULL) {
        lv_buf_drop(j->out, j->out->len);
        lv_buf_add_bytes(j->out, text);
        *j->pick = (struct lv_json_value){ .kind = LV_JSON_TEXT, .text = lv_buf_view(j->out) };
        return;
    }
    begin_value(j, key);
    lv_json_quote(j->out, text);
}

static void put_number(struct lv_json *j, struct lv_bytes key, double v, const char *text)
{
    if (!is_wanted(j, key))
        return;
    if (j->pick != NULL) {
        *j->pick = (struct lv_json_value){ .kind = LV_JSON_NUMBER, .number = v };
        return;
    }
    begin_value(j, key);
    lv_buf_add_str(j->out, text);
}

static void put_word(struct lv_json *j, struct lv_bytes key, enum lv_json_kind kind,
                     const char *word)
{
    if (!is_wanted(j, key))
        return;
    if (j->pick != NULL) {
        j->pick->kind = kind;
        return;
    }
    begin_value(j, key);
    lv_buf_add_str(j->out, word);
}

void lv_json_i64_named(struct lv_json *j, struct lv_bytes key, int64_t v)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%lld", (long long)v);
    put_number(j, key, (double)v, text);
}

void lv_json_u64(struct lv_json *j, const char *key, uint64_t v)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
    put_number(j, key_of(key), (double)v, text);
}

void lv_json_double_named(struct lv_json *j, struct lv_bytes key, double v)
{
    char text[40];

    if (!isfinite(v)) {
        lv_json_null_named(j, key);
        return;
    }
    (void)snprintf(text, sizeof(text) - 2, "%.15g", v);
    if (strpbrk(text, ".e") == NULL)
        memcpy(text + strlen(text), ".0", 3);
    put_number(j, key, v, text);
}

void lv_json_bool_named(struct lv_json *j, struct lv_bytes key, bool v)
{
    put_word(j, key, v ? LV_JSON_TRUE : LV_JSON_FALSE, v ? "true" : "false");
}

void lv_json_null_named(struct lv_json *j, struct lv_bytes key)
{
    put_word(j, key, LV_JSON_NULL, "null");
}

void lv_json_bytes(struct lv_json *j, const char *key, struct lv_bytes text)
{
    lv_json_bytes_named(j, key_of(key), text);
}
void lv_json_str(struct lv_json *j, const char *key, const char *text)
{
    lv_json_bytes_named(j, key_of(key), lv_bytes_str(text));
}
void lv_json_i64(struct lv_json *j, const char *key, int64_t v)
{
    lv_json_i64_named(j, key_of(key), v);
}
void lv_json_double(struct lv_json *j, const char *key, double v)
{
    lv_json_double_named(j, key_of(key), v);
}
void lv_json_bool(struct lv_json *j, const char *key, bool v)
{
    lv_json_bool_named(j, key_of(key), v);
}
void lv_json_null(struct lv_json *j, const char *key)
{
    lv_json_null_named(j, key_of(key));
}

void lv_json_raw(struct lv_json *j, const char *key, struct lv_bytes json)
{
    if (!is_wanted(j, key_of(key)) || j->pick != NULL)
        return;
    begin_value(j, key_of(key));
    lv_buf_add_bytes(j->out, json);
}
