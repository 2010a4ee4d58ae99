/* A message with any properties dies twice of the same: it says so in a form that is read again, all else is as it was,
 * and the second time changes nothing but a count. Input: u8 reason, property bytes. */
#include "broker/death.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/props.h"
#include "base/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define QUEUE LV_BYTES_LIT("q")

static struct lv_msg message(struct lv_bytes props)
{
    return (struct lv_msg){
        .exchange = (const uint8_t *)"x",
        .exchange_len = 1,
        .key = (const uint8_t *)"k",
        .key_len = 1,
        .props = props.ptr,
        .props_len = (uint32_t)props.len,
        .has_died = true, /* its history counts */
    };
}

static struct lv_bytes die(struct lv_bytes props, enum lv_death why)
{
    struct lv_msg m = message(props);
    struct lv_death_note note = { why, QUEUE, 1 };
    struct lv_bytes out;

    LV_ASSERT(lv_death_props(&m, &note, &out) == LV_OK);
    LV_ASSERT(out.len <= props.len + LV_DEATH_PROPS_MORE);
    return out;
}

static void drop(struct lv_bytes props)
{
    lv_mem_free((void *)(uintptr_t)props.ptr, LV_TAG_MESSAGE);
}

static bool is_of_death(struct lv_bytes name)
{
    return lv_bytes_eq(name, LV_BYTES_LIT("x-death")) ||
           lv_bytes_has_prefix(name, LV_BYTES_LIT("x-first-death-")) ||
           lv_bytes_has_prefix(name, LV_BYTES_LIT("x-last-death-"));
}

/* The next header that a death does not write. */
static bool next_other(struct lv_rd *at, struct lv_field *out)
{
    while (lv_table_next(at, out))
        if (!is_of_death(out->name))
            return true;
    return false;
}

static void check_other_headers(struct lv_bytes before, struct lv_bytes after)
{
    struct lv_rd a = lv_rd(before), b = lv_rd(after);
    struct lv_field f, g;

    while (next_other(&a, &f)) {
        LV_ASSERT(next_other(&b, &g));
        LV_ASSERT(lv_bytes_eq(f.name, g.name));
        LV_ASSERT(lv_bytes_eq(f.value.raw, g.value.raw));
    }
    LV_ASSERT(!next_other(&b, &g));
}

static void check_other_values(const struct lv_props *before, struct lv_props *after)
{
    LV_ASSERT(after->flags == ((before->flags | LV_PROP_HEADERS) & ~LV_PROP_EXPIRATION));
#define SAME_shortstr(a, b) lv_bytes_eq(a, b)
#define SAME_table(a, b) true /* check_other_headers */
#define SAME_u8(a, b) ((a) == (b))
#define SAME_timestamp(a, b) ((a) == (b))
#define X(type, field, FLAG, bit) LV_ASSERT((bit) == 8 || SAME_##type(before->field, after->field));
    LV_PROPS(X)
#undef X
    LV_ASSERT(after->expiration.len == 0);
}

static struct lv_value need(struct lv_bytes table, const char *name, enum lv_kind kind)
{
    struct lv_value v;

    LV_ASSERT(lv_table_find(table, lv_bytes_str(name), &v));
    LV_ASSERT(v.kind == kind);
    return v;
}

/* The latest death stands first, and nowhere else. */
static void check_history(struct lv_bytes headers, enum lv_death why)
{
    struct lv_bytes reason = lv_bytes_str(lv_death_name(why));
    struct lv_rd at = lv_rd(need(headers, "x-death", LV_KIND_ARRAY).bytes);
    struct lv_value entry;
    size_t count = 0;

    for (; lv_array_next(&at, &entry); count++) {
        LV_ASSERT(entry.kind == LV_KIND_TABLE);
        (void)need(entry.bytes, "count", LV_KIND_INT);
        bool is_it = lv_bytes_eq(need(entry.bytes, "queue", LV_KIND_STRING).bytes, QUEUE) &&
                     lv_bytes_eq(need(entry.bytes, "reason", LV_KIND_STRING).bytes, reason);
        LV_ASSERT(is_it == (count == 0));
    }
    LV_ASSERT(count >= 1 && count <= LV_DEATHS_MAX);
    (void)need(headers, "x-first-death-queue", LV_KIND_STRING);
    LV_ASSERT(lv_bytes_eq(need(headers, "x-last-death-queue", LV_KIND_STRING).bytes, QUEUE));
    LV_ASSERT(lv_bytes_eq(need(headers, "x-last-death-reason", LV_KIND_STRING).bytes, reason));
}

static int64_t count_of(struct lv_bytes headers)
{
    struct lv_rd at = lv_rd(need(headers, "x-death", LV_KIND_ARRAY).bytes);
    struct lv_value entry;

    LV_ASSERT(lv_array_next(&at, &entry));
    return need(entry.bytes, "count", LV_KIND_INT).i;
}

/* The same bytes but for the eight of the first entry's count. */
static void check_again(struct lv_bytes once, struct lv_bytes twice)
{
    struct lv_props a, b;
    size_t others = 0;

    LV_ASSERT(lv_props_decode(once, &a) == LV_OK && lv_props_decode(twice, &b) == LV_OK);
    LV_ASSERT(once.len == twice.len);
    for (size_t i = 0; i < once.len; i++)
        others += once.ptr[i] != twice.ptr[i];
    LV_ASSERT(others <= 8);
    int64_t count = count_of(a.headers);
    LV_ASSERT(count_of(b.headers) == (count < INT64_MAX ? count + 1 : count));
}

static void check_keys(struct lv_bytes props)
{
    struct lv_msg m = message(props);
    size_t count = lv_death_keys(&m, NULL, 0);
    struct lv_bytes *keys = calloc(count, sizeof(*keys));

    LV_ASSERT(keys != NULL);
    LV_ASSERT(count >= 1 && lv_death_keys(&m, keys, count) == count);
    LV_ASSERT(lv_bytes_eq(keys[0], lv_msg_key(&m)));
    for (size_t i = 1; i < count; i++)
        LV_ASSERT(keys[i].ptr >= props.ptr && keys[i].len <= props.len);
    free(keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lv_bytes props = lv_bytes(data + 1, size > 0 ? size - 1 : 0);
    struct lv_props before, after;

    if (size == 0)
        return 0;
    enum lv_death why = (enum lv_death)(data[0] & 3);
    struct lv_msg m = message(props);
    struct lv_death_note note = { why, QUEUE, 1 };
    struct lv_bytes once;
    enum lv_err err = lv_props_decode(props, &before);

    check_keys(props);
    if (err != LV_OK) {
        LV_ASSERT(lv_death_props(&m, &note, &once) == err && once.ptr == NULL);
        LV_ASSERT(!lv_death_is_cycle(props, QUEUE, why));
        return 0;
    }
    once = die(props, why);
    LV_ASSERT(lv_props_decode(once, &after) == LV_OK);
    check_other_values(&before, &after);
    check_other_headers(before.headers, after.headers);
    check_history(after.headers, why);
    LV_ASSERT(lv_death_is_cycle(once, QUEUE, why) == (why != LV_DEATH_REJECTED));
    struct lv_bytes twice = die(once, why);
    check_again(once, twice);
    drop(twice);
    drop(once);
    return 0;
}
