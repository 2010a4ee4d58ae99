/* broker/death.h: what x-death says after one death and after many, and what it makes of headers that it did not write. */
#include "broker/death.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/props.h"
#include "base/table.h"

#include "lv_test.h"

/* ---- messages ---- */

#define NOTHING lv_bytes(NULL, 0)

static struct lv_msg message(struct lv_bytes props)
{
    return (struct lv_msg){
        .exchange = (const uint8_t *)"x",
        .exchange_len = 1,
        .key = (const uint8_t *)"k",
        .key_len = 1,
        .props = props.ptr,
        .props_len = (uint32_t)props.len,
        .has_died = true,
    };
}

/* Property bytes with nothing but these headers; they die with the next call. */
static struct lv_bytes with_headers(struct lv_bytes headers)
{
    static uint8_t buf[1u << 20];
    struct lv_wr w = lv_wr(buf, sizeof(buf));
    struct lv_props props = { .flags = LV_PROP_HEADERS, .headers = headers };

    lv_props_write(&w, &props);
    LV_ASSERT(lv_wr_ok(&w));
    return lv_bytes(buf, w.used);
}

static void set(struct lv_bytes *props, struct lv_bytes now)
{
    lv_mem_free((void *)(uintptr_t)props->ptr, LV_TAG_MESSAGE);
    *props = now;
}

/* One more death; `props` is freed and replaced. */
static void die(struct lv_bytes *props, enum lv_death why, const char *queue, uint64_t time_s)
{
    struct lv_msg m = message(*props);
    struct lv_death_note note = { why, lv_bytes_str(queue), time_s };
    struct lv_bytes now;

    CHECK_EQ(lv_death_props(&m, &note, &now), LV_OK);
    CHECK(now.len <= props->len + LV_DEATH_PROPS_MORE);
    set(props, now);
}

/* The first death of a message with `props`. */
static struct lv_bytes dead(struct lv_bytes props, enum lv_death why, const char *queue)
{
    struct lv_bytes copy = lv_bytes(lv_mem_dup(props.ptr, props.len, LV_TAG_MESSAGE), props.len);

    die(&copy, why, queue, 100);
    return copy;
}

/* ---- what they say ---- */

static struct lv_bytes headers_of(struct lv_bytes props)
{
    struct lv_props p;

    CHECK_EQ(lv_props_decode(props, &p), LV_OK);
    CHECK((p.flags & LV_PROP_HEADERS) != 0);
    return p.headers;
}

static struct lv_value need(struct lv_bytes table, const char *name, enum lv_kind kind)
{
    struct lv_value v = { 0 };

    CHECK(lv_table_find(table, lv_bytes_str(name), &v));
    CHECK_EQ(v.kind, kind);
    return v;
}

static void say(struct lv_wr *w, const char *before, struct lv_bytes text)
{
    lv_wr_bytes(w, before, strlen(before));
    lv_wr_bytes(w, text.ptr, text.len);
}

static void say_entry(struct lv_wr *w, struct lv_bytes entry)
{
    struct lv_value keys = need(entry, "routing-keys", LV_KIND_ARRAY), key, ttl;
    struct lv_rd at = lv_rd(keys.bytes);
    char numbers[64];

    say(w, "", need(entry, "reason", LV_KIND_STRING).bytes);
    say(w, " ", need(entry, "queue", LV_KIND_STRING).bytes);
    int n = snprintf(numbers, sizeof(numbers), " x%lld @%lld ",
                     (long long)need(entry, "count", LV_KIND_INT).i,
                     (long long)need(entry, "time", LV_KIND_TIMESTAMP).i);
    say(w, "", lv_bytes(numbers, (size_t)n));
    say(w, "", need(entry, "exchange", LV_KIND_STRING).bytes);
    while (lv_array_next(&at, &key))
        say(w, "/", key.bytes);
    if (lv_table_find(entry, LV_BYTES_LIT("original-expiration"), &ttl))
        say(w, " ttl ", ttl.bytes);
}

/* "maxlen q x1 @100 exchange/key/key ttl 5; ..."; dies with the next call. */
static const char *story(struct lv_bytes props)
{
    static char text[4096];
    struct lv_wr w = lv_wr(text, sizeof(text) - 1);
    struct lv_rd at = lv_rd(need(headers_of(props), "x-death", LV_KIND_ARRAY).bytes);
    struct lv_value entry;

    while (lv_array_next(&at, &entry)) {
        CHECK_EQ(entry.kind, LV_KIND_TABLE);
        if (w.used != 0)
            say(&w, "; ", NOTHING);
        say_entry(&w, entry.bytes);
    }
    CHECK(lv_wr_ok(&w));
    text[w.used] = '\0';
    return text;
}

/* "queue reason exchange" of x-`which`-death-*. */
static const char *end_of(struct lv_bytes props, const char *which)
{
    static const char *const facts[] = { "queue", "reason", "exchange" };
    static char text[1024];
    struct lv_wr w = lv_wr(text, sizeof(text) - 1);

    for (size_t i = 0; i < LV_ARRAY_LEN(facts); i++) {
        char name[64];
        snprintf(name, sizeof(name), "x-%s-death-%s", which, facts[i]);
        say(&w, i > 0 ? " " : "", need(headers_of(props), name, LV_KIND_STRING).bytes);
    }
    text[w.used] = '\0';
    return text;
}

static size_t entries_of(struct lv_bytes props)
{
    struct lv_rd at = lv_rd(need(headers_of(props), "x-death", LV_KIND_ARRAY).bytes);
    struct lv_value entry;
    size_t n = 0;

    while (lv_array_next(&at, &entry))
        n++;
    return n;
}

/* ---- one death ---- */

LV_TEST(reasons_have_rabbitmqs_names)
{
    CHECK_STR(lv_death_name(LV_DEATH_REJECTED), "rejected");
    CHECK_STR(lv_death_name(LV_DEATH_EXPIRED), "expired");
    CHECK_STR(lv_death_name(LV_DEATH_MAXLEN), "maxlen");
    CHECK_STR(lv_death_name(LV_DEATH_DELIVERY_LIMIT), "delivery_limit");
}

#define STR(len, text) "S\0\0\0" len text

LV_TEST(the_first_death_to_the_byte)
{
    static const char entry[] =
        "\x05"
        "countl\0\0\0\0\0\0\0\x01"
        "\x06reason" STR("\x06", "maxlen") "\x05queue" STR(
            "\x01", "q") "\x04timeT\0\0\0\0\x65\x43\x21\0"
                         "\x08"
                         "exchange" STR("\x01", "x") "\x0crouting-keysA\0\0\0\x06" STR("\x01", "k");
    static const char first[] =
        "\x13x-first-death-queue" STR("\x01", "q") "\x14x-first-death-reason" STR(
            "\x06", "maxlen") "\x16x-first-death-exchange" STR("\x01", "x");
    static const char last[] =
        "\x12x-last-death-queue" STR("\x01", "q") "\x13x-last-death-reason" STR(
            "\x06", "maxlen") "\x15x-last-death-exchange" STR("\x01", "x");
    struct lv_msg m = message(LV_BYTES_LIT("\x10\0\x02"));
    struct lv_death_note note = { LV_DEATH_MAXLEN, LV_BYTES_LIT("q"), 0x65432100 };
    uint8_t buf[512];
    struct lv_wr w = lv_wr(buf, sizeof(buf));
    struct lv_bytes out;

    lv_wr_bytes(&w, "\x30\0", 2);
    size_t start = lv_wr_long_begin(&w);
    lv_wr_bytes(&w, first, sizeof(first) - 1);
    size_t array = lv_table_begin_array(&w, "x-death");
    size_t table = lv_array_begin_table(&w);
    lv_wr_bytes(&w, entry, sizeof(entry) - 1);
    lv_wr_long_end(&w, table);
    lv_wr_long_end(&w, array);
    lv_wr_bytes(&w, last, sizeof(last) - 1);
    lv_wr_long_end(&w, start);
    lv_wr_u8(&w, 2);
    CHECK(lv_wr_ok(&w));
    CHECK_EQ(lv_death_props(&m, &note, &out), LV_OK);
    CHECK_EQ(out.len, w.used);
    CHECK_MEM(out.ptr, buf, w.used);
    set(&out, NOTHING);
}

/* The expiration is told and taken out; nothing else of the fourteen properties changes. */
LV_TEST(the_expiration_goes_and_the_rest_stays)
{
    uint8_t raw[256], wanted[256], got[256];
    struct lv_wr w = lv_wr(raw, sizeof(raw)), w2 = lv_wr(wanted, sizeof(wanted));
    struct lv_wr w3 = lv_wr(got, sizeof(got));
    struct lv_props p = { .flags = LV_PROP_ALL, .expiration = LV_BYTES_LIT("60000") }, after;

    p.content_type = LV_BYTES_LIT("text/plain");
    p.content_encoding = LV_BYTES_LIT("gzip");
    p.headers = LV_BYTES_LIT("\x01"
                             "at\x07");
    p.correlation_id = LV_BYTES_LIT("c");
    p.timestamp = 0x102030405;
    p.cluster_id = LV_BYTES_LIT("last");
    lv_props_write(&w, &p);
    struct lv_bytes out = dead(lv_bytes(raw, w.used), LV_DEATH_EXPIRED, "q");
    CHECK_STR(story(out), "expired q x1 @100 x/k ttl 60000");
    CHECK_EQ(lv_props_decode(out, &after), LV_OK);
    CHECK_EQ(after.flags, LV_PROP_ALL & ~LV_PROP_EXPIRATION);
    CHECK(lv_bytes_has_prefix(after.headers, p.headers));
    after.headers = p.headers;
    p.flags = after.flags;
    lv_props_write(&w2, &p);
    lv_props_write(&w3, &after);
    CHECK_EQ(w3.used, w2.used);
    CHECK_MEM(got, wanted, w2.used);
    /* it does not expire twice */
    die(&out, LV_DEATH_EXPIRED, "r", 200);
    CHECK_STR(story(out), "expired r x1 @200 x/k; expired q x1 @100 x/k ttl 60000");
    set(&out, NOTHING);
}

LV_TEST(the_original_expiration_is_a_plain_number)
{
    static const char *const rows[][2] = { { "0", "0" },   { "000", "0" }, { "007", "7" },
                                           { "+5", "5" },  { "-0", "0" },  { "+", "+" },
                                           { "10", "10" }, { "", "" } };

    for (size_t i = 0; i < LV_ARRAY_LEN(rows); i++) {
        uint8_t raw[64];
        char wanted[64];
        struct lv_wr w = lv_wr(raw, sizeof(raw));
        lv_wr_u16(&w, LV_PROP_EXPIRATION);
        lv_wr_short(&w, lv_bytes_str(rows[i][0]));
        struct lv_bytes out = dead(lv_bytes(raw, w.used), LV_DEATH_REJECTED, "q");
        snprintf(wanted, sizeof(wanted), "rejected q x1 @100 x/k ttl %s", rows[i][1]);
        CHECK_STR(story(out), wanted);
        set(&out, NOTHING);
    }
}

/* ---- more deaths ---- */

LV_TEST(one_entry_for_each_queue_and_reason)
{
    struct lv_bytes props = dead(LV_BYTES_LIT("\0\0"), LV_DEATH_EXPIRED, "a");

    die(&props, LV_DEATH_EXPIRED, "a", 200);
    CHECK_STR(story(props), "expired a x2 @100 x/k");
    die(&props, LV_DEATH_MAXLEN, "a", 300);
    CHECK_STR(story(props), "maxlen a x1 @300 x/k; expired a x2 @100 x/k");
    die(&props, LV_DEATH_REJECTED, "b", 400);
    die(&props, LV_DEATH_EXPIRED, "a", 500);
    CHECK_STR(story(props), "expired a x3 @100 x/k; rejected b x1 @400 x/k; maxlen a x1 @300 x/k");
    set(&props, NOTHING);
}

LV_TEST(the_first_death_stays_and_the_last_changes)
{
    struct lv_bytes props = dead(LV_BYTES_LIT("\0\0"), LV_DEATH_EXPIRED, "a");

    CHECK_STR(end_of(props, "first"), "a expired x");
    CHECK_STR(end_of(props, "last"), "a expired x");
    die(&props, LV_DEATH_DELIVERY_LIMIT, "b", 200);
    CHECK_STR(end_of(props, "first"), "a expired x");
    CHECK_STR(end_of(props, "last"), "b delivery_limit x");
    set(&props, NOTHING);
}

/* The entry tells where the message came from the first time, whatever the way that it took later. */
LV_TEST(exchange_and_keys_are_those_of_the_first_time)
{
    struct lv_bytes props = dead(LV_BYTES_LIT("\0\0"), LV_DEATH_REJECTED, "a"), again;
    struct lv_msg m = message(props);
    struct lv_death_note note = { LV_DEATH_REJECTED, LV_BYTES_LIT("a"), 200 };

    m.exchange_len = 0;
    m.key = (const uint8_t *)"other";
    m.key_len = 5;
    CHECK_EQ(lv_death_props(&m, &note, &again), LV_OK);
    CHECK_STR(story(again), "rejected a x2 @100 x/k");
    CHECK_STR(end_of(again, "first"), "a rejected x");
    CHECK_STR(end_of(again, "last"), "a rejected ");
    set(&again, NOTHING);
    set(&props, NOTHING);
}

/* ---- keys ---- */

#define CC \
    "\x02" \
    "CCA\0\0\0\x0f" STR("\x02", "c1") "t\x01" STR("\x01", "d")
#define BCC \
    "\x03"  \
    "BCCA\0\0\0\x06" STR("\x01", "b")

LV_TEST(entries_tell_cc_but_not_bcc)
{
    struct lv_bytes out = dead(with_headers(LV_BYTES_LIT(BCC CC)), LV_DEATH_MAXLEN, "q");

    CHECK_STR(story(out), "maxlen q x1 @100 x/k/c1/d");
    set(&out, NOTHING);
    out = dead(with_headers(LV_BYTES_LIT("\x02"
                                         "CC" STR("\x01", "c"))),
               LV_DEATH_MAXLEN, "q");
    CHECK_STR(story(out), "maxlen q x1 @100 x/k");
    set(&out, NOTHING);
}

LV_TEST(routing_takes_the_key_then_cc_then_bcc)
{
    struct lv_msg m = message(with_headers(LV_BYTES_LIT(BCC CC)));
    struct lv_bytes keys[5];

    for (size_t max = 0; max < LV_ARRAY_LEN(keys); max++) {
        memset(keys, 0, sizeof(keys));
        CHECK_EQ(lv_death_keys(&m, keys, max), 4);
        CHECK_EQ(keys[max].len, 0);
    }
    CHECK(lv_bytes_eq(keys[0], LV_BYTES_LIT("k")));
    CHECK(lv_bytes_eq(keys[1], LV_BYTES_LIT("c1")));
    CHECK(lv_bytes_eq(keys[2], LV_BYTES_LIT("d")));
    CHECK(lv_bytes_eq(keys[3], LV_BYTES_LIT("b")));
    m = message(LV_BYTES_LIT("\0\0"));
    CHECK_EQ(lv_death_keys(&m, keys, 4), 1);
    m = message(LV_BYTES_LIT("\x20"));
    CHECK_EQ(lv_death_keys(&m, keys, 4), 1);
    m = message(with_headers(LV_BYTES_LIT("\x02"
                                          "CCV\x03"
                                          "BCCF\0\0\0\0")));
    CHECK_EQ(lv_death_keys(&m, keys, 4), 1);
}

LV_TEST(an_entry_repeats_so_many_keys_only)
{
    static uint8_t headers[64 * 1024];

    for (size_t len = 0; len < 300; len += 90) {
        struct lv_wr w = lv_wr(headers, sizeof(headers));
        struct lv_bytes key = lv_bytes(memset(headers + sizeof(headers) / 2, 'c', len), len), v;
        size_t start = lv_table_begin_array(&w, "CC");
        while (w.used < 20000)
            lv_array_put_str(&w, key);
        lv_wr_long_end(&w, start);
        struct lv_bytes out = dead(with_headers(lv_bytes(headers, w.used)), LV_DEATH_MAXLEN, "q");
        v = need(headers_of(out), "x-death", LV_KIND_ARRAY).bytes;
        CHECK(v.len > LV_DEATH_KEYS_BYTES_MAX - len);
        CHECK(v.len < LV_DEATH_KEYS_BYTES_MAX + 256);
        set(&out, NOTHING);
    }
}

/* ---- cycles ---- */

LV_TEST(a_cycle_is_a_way_back_that_nobody_rejected)
{
    struct lv_bytes props = dead(LV_BYTES_LIT("\0\0"), LV_DEATH_EXPIRED, "a");

    CHECK(lv_death_is_cycle(props, LV_BYTES_LIT("a"), LV_DEATH_EXPIRED));
    CHECK(!lv_death_is_cycle(props, LV_BYTES_LIT("b"), LV_DEATH_EXPIRED));
    CHECK(!lv_death_is_cycle(props, LV_BYTES_LIT("a"), LV_DEATH_REJECTED));
    die(&props, LV_DEATH_MAXLEN, "b", 200);
    CHECK(lv_death_is_cycle(props, LV_BYTES_LIT("a"), LV_DEATH_MAXLEN));
    CHECK(lv_death_is_cycle(props, LV_BYTES_LIT("b"), LV_DEATH_MAXLEN));
    die(&props, LV_DEATH_REJECTED, "c", 300);
    die(&props, LV_DEATH_DELIVERY_LIMIT, "d", 400);
    CHECK(lv_death_is_cycle(props, LV_BYTES_LIT("d"), LV_DEATH_DELIVERY_LIMIT));
    CHECK(!lv_death_is_cycle(props, LV_BYTES_LIT("c"), LV_DEATH_DELIVERY_LIMIT));
    CHECK(!lv_death_is_cycle(props, LV_BYTES_LIT("a"), LV_DEATH_DELIVERY_LIMIT));
    set(&props, NOTHING);
    CHECK(!lv_death_is_cycle(LV_BYTES_LIT("\0\0"), LV_BYTES_LIT("a"), LV_DEATH_EXPIRED));
    CHECK(!lv_death_is_cycle(LV_BYTES_LIT("\x20"), LV_BYTES_LIT("a"), LV_DEATH_EXPIRED));
}

/* ---- what publishers send ---- */

LV_TEST(what_is_no_history_is_replaced)
{
    /* clang-format off */
    static const struct lv_bytes values[] = {
        LV_BYTES_LIT("V"), LV_BYTES_LIT("F\0\0\0\0"), LV_BYTES_LIT("A\0\0\0\0"),
        LV_BYTES_LIT("A\0\0\0\x01V"), LV_BYTES_LIT("A\0\0\0\x05" "F\0\0\0\0"),
        /* no queue; a number for a reason; a string for a count */
        LV_BYTES_LIT("A\0\0\0\x1f" "F\0\0\0\x1a" "\x06reason" STR("\x01", "r") "\x05" "countb\x01" "\x01" "aV\0V"),
        LV_BYTES_LIT("A\0\0\0\x27" "F\0\0\0\x22" "\x05queue" STR("\x01", "q") "\x06reasonb\x01" "\x05" "countb\x01" "\x01" "aV\0V"),
        LV_BYTES_LIT("A\0\0\0\x2a" "F\0\0\0\x25" "\x05queue" STR("\x01", "q") "\x06reason" STR("\x01", "r") "\x05" "count" STR("\x01", "1")),
    };
    /* clang-format on */

    for (size_t i = 0; i < LV_ARRAY_LEN(values); i++) {
        uint8_t buf[256];
        struct lv_wr w = lv_wr(buf, sizeof(buf));
        lv_wr_short(&w, LV_BYTES_LIT("x-death"));
        lv_wr_bytes(&w, values[i].ptr, values[i].len);
        lv_table_put_str(&w, "x-first-death-queue", LV_BYTES_LIT("of the publisher"));
        lv_table_put_i64(&w, "x-last-death-queue", 5);
        lv_table_put_i64(&w, "x-death", 5);
        struct lv_bytes out = dead(with_headers(lv_bytes(buf, w.used)), LV_DEATH_EXPIRED, "q");
        CHECK_STR(story(out), "expired q x1 @100 x/k");
        CHECK_STR(end_of(out, "first"), "q expired x");
        CHECK_STR(end_of(out, "last"), "q expired x");
        set(&out, NOTHING);
    }
}

/* One entry with a count of any width, and a field that we do not know. */
static size_t put_history(uint8_t *buf, size_t cap, const char *count, size_t count_bytes)
{
    struct lv_wr w = lv_wr(buf, cap);
    size_t array = lv_table_begin_array(&w, "x-death"), table = lv_array_begin_table(&w);

    lv_table_put_bool(&w, "mine", true);
    lv_wr_short(&w, LV_BYTES_LIT("count"));
    lv_wr_bytes(&w, count, count_bytes);
    lv_table_put_str(&w, "reason", LV_BYTES_LIT("expired"));
    lv_table_put_str(&w, "queue", LV_BYTES_LIT("q"));
    lv_wr_long_end(&w, table);
    lv_wr_long_end(&w, array);
    LV_ASSERT(lv_wr_ok(&w));
    return w.used;
}

LV_TEST(a_history_is_believed_and_kept)
{
    static const struct {
        const char *count;
        size_t count_bytes;
        int64_t wanted;
    } rows[] = {
        { "b\x7f", 2, 128 },
        { "I\xff\xff\xff\xff", 5, 0 },
        { "l\0\0\0\0\0\0\0\x09", 9, 10 },
        { "l\x7f\xff\xff\xff\xff\xff\xff\xff", 9, INT64_MAX },
        { "l\x80\0\0\0\0\0\0\0", 9, INT64_MIN + 1 },
    };

    for (size_t i = 0; i < LV_ARRAY_LEN(rows); i++) {
        uint8_t buf[256];
        size_t used = put_history(buf, sizeof(buf), rows[i].count, rows[i].count_bytes);
        struct lv_bytes props = dead(with_headers(lv_bytes(buf, used)), LV_DEATH_EXPIRED, "q");
        struct lv_rd at = lv_rd(need(headers_of(props), "x-death", LV_KIND_ARRAY).bytes);
        struct lv_value entry;
        CHECK(lv_array_next(&at, &entry));
        CHECK_EQ(need(entry.bytes, "count", LV_KIND_INT).i, rows[i].wanted);
        CHECK_EQ(need(entry.bytes, "mine", LV_KIND_BOOL).i, 1);
        CHECK(!lv_array_next(&at, &entry));
        CHECK_STR(end_of(props, "first"), "q expired x");
        set(&props, NOTHING);
    }
}

LV_TEST(malformed_properties_are_told)
{
    struct lv_bytes whole = dead(LV_BYTES_LIT("\0\0"), LV_DEATH_EXPIRED, "q"), out;
    struct lv_death_note note = { LV_DEATH_EXPIRED, LV_BYTES_LIT("q"), 100 };

    for (size_t cut = 0; cut < whole.len; cut++) {
        uint8_t *part = malloc(cut + 1);
        LV_ASSERT(part != NULL);
        memcpy(part, whole.ptr, cut);
        struct lv_msg m = message(lv_bytes(part, cut));
        CHECK_EQ(lv_death_props(&m, &note, &out), LV_ESYNTAX);
        CHECK(out.ptr == NULL);
        CHECK(!lv_death_is_cycle(lv_bytes(part, cut), note.queue, note.why));
        free(part);
    }
    set(&whole, NOTHING);
}

LV_TEST(no_memory)
{
    struct lv_msg m = message(LV_BYTES_LIT("\0\0"));
    struct lv_death_note note = { LV_DEATH_EXPIRED, LV_BYTES_LIT("q"), 100 };
    struct lv_bytes out;

    lv_mem_fail_at(1);
    CHECK_EQ(lv_death_props(&m, &note, &out), LV_ENOMEM);
    CHECK(out.ptr == NULL);
}

/* ---- limits ---- */

LV_TEST(the_oldest_deaths_are_forgotten)
{
    struct lv_bytes props = dead(LV_BYTES_LIT("\0\0"), LV_DEATH_EXPIRED, "0");
    char name[16];

    for (unsigned i = 1; i < LV_DEATHS_MAX + 10; i++) {
        snprintf(name, sizeof(name), "%u", i);
        die(&props, LV_DEATH_EXPIRED, name, 100 + i);
        CHECK_EQ(entries_of(props), LV_MIN(i + 1, LV_DEATHS_MAX));
    }
    CHECK(!lv_death_is_cycle(props, LV_BYTES_LIT("9"), LV_DEATH_EXPIRED));
    CHECK(lv_death_is_cycle(props, LV_BYTES_LIT("10"), LV_DEATH_EXPIRED));
    /* the oldest dies again: it comes to the front and pushes nobody out */
    die(&props, LV_DEATH_EXPIRED, "10", 900);
    CHECK_EQ(entries_of(props), LV_DEATHS_MAX);
    CHECK(lv_death_is_cycle(props, LV_BYTES_LIT("11"), LV_DEATH_EXPIRED));
    CHECK_STR(end_of(props, "first"), "0 expired x");
    set(&props, NOTHING);
}

/* A publisher's giant array, of good entries and of others. */
LV_TEST(a_giant_history_is_cut)
{
    static uint8_t headers[1u << 19];
    struct lv_wr w = lv_wr(headers, sizeof(headers));
    size_t array = lv_table_begin_array(&w, "x-death");

    for (unsigned i = 0; i < 200; i++) {
        static const uint8_t filler[1000];
        char name[16];
        size_t table = lv_array_begin_table(&w);
        snprintf(name, sizeof(name), "%u", i);
        lv_table_put_i64(&w, "count", 1);
        lv_table_put_str(&w, "reason", lv_bytes(filler, sizeof(filler)));
        lv_table_put_str(&w, "queue", lv_bytes_str(name));
        lv_wr_long_end(&w, table);
    }
    lv_wr_long_end(&w, array);
    struct lv_bytes out = dead(with_headers(lv_bytes(headers, w.used)), LV_DEATH_EXPIRED, "q");
    size_t bytes = need(headers_of(out), "x-death", LV_KIND_ARRAY).bytes.len;
    CHECK(bytes <= LV_DEATHS_BYTES_MAX);
    CHECK(bytes > LV_DEATHS_BYTES_MAX - 1100);
    set(&out, NOTHING);

    w = lv_wr(headers, sizeof(headers));
    array = lv_table_begin_array(&w, "x-death");
    while (w.used < sizeof(headers) - 1)
        lv_wr_u8(&w, 'V');
    lv_wr_long_end(&w, array);
    out = dead(with_headers(lv_bytes(headers, w.used)), LV_DEATH_EXPIRED, "q");
    CHECK_STR(story(out), "expired q x1 @100 x/k");
    set(&out, NOTHING);
}
