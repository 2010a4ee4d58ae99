/* base/table.h: every type, every cut, hostile lengths, nesting, comparison. */
#include "base/table.h"

#include "base/limits.h"

#include <math.h>
#include <stdlib.h>

#include "lv_test.h"

/* One field "k" of each type, as it stands on the wire, and what it must read as. */
static const struct sample {
    const char *name;
    struct lv_bytes wire; /* octet and payload */
    enum lv_kind kind;
    int64_t i;
    double f;
    struct lv_bytes bytes;
} samples[] = {
    { "bool", LV_BYTES_LIT("t\x01"), LV_KIND_BOOL, .i = 1 },
    { "bool", LV_BYTES_LIT("t\0"), LV_KIND_BOOL, .i = 0 },
    { "bool", LV_BYTES_LIT("t\x07"), LV_KIND_BOOL, .i = 1 },
    { "byte", LV_BYTES_LIT("b\x80"), LV_KIND_INT, .i = -128 },
    { "unsignedbyte", LV_BYTES_LIT("B\x80"), LV_KIND_INT, .i = 128 },
    { "short", LV_BYTES_LIT("s\xff\xfe"), LV_KIND_INT, .i = -2 },
    { "unsignedshort", LV_BYTES_LIT("u\xff\xfe"), LV_KIND_INT, .i = 65534 },
    { "signedint", LV_BYTES_LIT("I\x80\0\0\0"), LV_KIND_INT, .i = INT32_MIN },
    { "unsignedint", LV_BYTES_LIT("i\x80\0\0\0"), LV_KIND_INT, .i = 2147483648 },
    { "long", LV_BYTES_LIT("l\x80\0\0\0\0\0\0\0"), LV_KIND_INT, .i = INT64_MIN },
    { "long", LV_BYTES_LIT("L\x7f\xff\xff\xff\xff\xff\xff\xff"), LV_KIND_INT, .i = INT64_MAX },
    { "float", LV_BYTES_LIT("f\xbf\xc0\0\0"), LV_KIND_FLOAT, .f = -1.5 },
    { "double", LV_BYTES_LIT("d\x40\x09\x21\xfb\x54\x44\x2d\x18"), LV_KIND_FLOAT,
      .f = 3.141592653589793 },
    { "decimal", LV_BYTES_LIT("D\x02\xff\xff\xff\xff"), LV_KIND_DECIMAL, .i = 4294967295 },
    { "timestamp", LV_BYTES_LIT("T\0\0\0\0\x65\x43\x21\0"), LV_KIND_TIMESTAMP, .i = 0x65432100 },
    { "longstr", LV_BYTES_LIT("S\0\0\0\x03 \xff\0"), LV_KIND_STRING,
      .bytes = LV_BYTES_LIT(" \xff\0") },
    { "longstr", LV_BYTES_LIT("S\0\0\0\0"), LV_KIND_STRING, .i = 0 },
    { "binary", LV_BYTES_LIT("x\0\0\0\x02\x01\x02"), LV_KIND_BINARY,
      .bytes = LV_BYTES_LIT("\x01\x02") },
    { "array", LV_BYTES_LIT("A\0\0\0\x03t\x01V"), LV_KIND_ARRAY, .bytes = LV_BYTES_LIT("t\x01V") },
    { "array", LV_BYTES_LIT("A\0\0\0\0"), LV_KIND_ARRAY, .i = 0 },
    { "table", LV_BYTES_LIT("F\0\0\0\x04\x01xt\x01"), LV_KIND_TABLE,
      .bytes = LV_BYTES_LIT("\x01xt\x01") },
    { "table", LV_BYTES_LIT("F\0\0\0\0"), LV_KIND_TABLE, .i = 0 },
    { "void", LV_BYTES_LIT("V"), LV_KIND_VOID, .i = 0 },
};

/* `bytes` in memory of exactly that size, so that a sanitizer sees one byte too far. Freed by the caller. */
static struct lv_bytes exact(struct lv_bytes bytes)
{
    uint8_t *copy = malloc(bytes.len + 1);

    LV_ASSERT(copy != NULL);
    if (bytes.len != 0)
        memcpy(copy + 1, bytes.ptr, bytes.len);
    return lv_bytes(copy + 1, bytes.len);
}

static void release(struct lv_bytes bytes)
{
    free((void *)(uintptr_t)(bytes.ptr - 1));
}

static enum lv_err check(struct lv_bytes table)
{
    struct lv_bytes copy = exact(table);
    enum lv_err err = lv_table_check(copy);

    release(copy);
    return err;
}

#define CHECK_LIT(s) check(LV_BYTES_LIT(s))

static struct lv_bytes field_of(const struct sample *s, uint8_t buf[64])
{
    struct lv_wr w = lv_wr(buf, 64);

    lv_wr_short(&w, LV_BYTES_LIT("k"));
    lv_wr_bytes(&w, s->wire.ptr, s->wire.len);
    return lv_bytes(buf, w.used);
}

static bool same(struct lv_bytes a, struct lv_bytes b)
{
    return lv_bytes_eq(a, b);
}

LV_TEST(every_type_reads_as_what_it_is)
{
    for (size_t n = 0; n < LV_ARRAY_LEN(samples); n++) {
        const struct sample *s = &samples[n];
        uint8_t buf[64];
        struct lv_bytes table = field_of(s, buf);
        struct lv_value v;

        CHECK_EQ(check(table), LV_OK);
        CHECK(lv_table_find(table, LV_BYTES_LIT("k"), &v));
        CHECK_EQ(v.kind, s->kind);
        CHECK_EQ(v.octet, s->wire.ptr[0]);
        CHECK_EQ(v.i, s->i);
        CHECK(v.f <= s->f && v.f >= s->f);
        CHECK(same(v.bytes, s->bytes));
        CHECK(same(v.raw, s->wire));
        CHECK_STR(lv_value_type_name(&v), s->name);
        CHECK_EQ(v.scale, s->kind == LV_KIND_DECIMAL ? 2 : 0);

        struct lv_rd at = lv_rd(s->wire);
        struct lv_value in_array;
        CHECK(lv_array_next(&at, &in_array));
        CHECK(lv_value_eq(&v, &in_array));
        CHECK(!lv_array_next(&at, &in_array));
        CHECK(!at.bad);
    }
}

/* A cut table is refused, and the steppers stop within it. */
LV_TEST(every_cut_of_every_type_is_refused)
{
    for (size_t n = 0; n < LV_ARRAY_LEN(samples); n++) {
        uint8_t buf[64];
        struct lv_bytes table = field_of(&samples[n], buf);

        for (size_t cut = 1; cut < table.len; cut++) {
            struct lv_bytes piece = exact(lv_bytes(table.ptr, cut));
            struct lv_rd at = lv_rd(piece);
            struct lv_field field;
            CHECK_EQ(lv_table_check(piece), LV_ESYNTAX);
            CHECK(!lv_table_next(&at, &field));
            CHECK(at.bad);
            CHECK(!lv_table_next(&at, &field));
            release(piece);
        }
    }
}

LV_TEST(octets_that_are_no_type_are_refused)
{
    for (unsigned octet = 0; octet < 256; octet++) {
        uint8_t table[32] = { 1, 'k', (uint8_t)octet };
        bool known = octet != 0 && strchr("tbBsuIilLfdDTSxAFV", (int)octet) != NULL;
        bool read = false;

        for (size_t len = 3; len <= 11; len++)
            read |= check(lv_bytes(table, len)) == LV_OK;
        CHECK_EQ(read, known);
    }
}

/* As RabbitMQ: names are bytes, an empty one is a name, and twice the same is twice a field. */
LV_TEST(names_are_any_bytes)
{
    struct lv_value v;

    CHECK_EQ(CHECK_LIT("\x01\xfft\x01"), LV_OK);
    CHECK_EQ(CHECK_LIT("\0t\x01"), LV_OK);
    CHECK_EQ(CHECK_LIT("\x01"
                       "a"
                       "b\x01"
                       "\x01"
                       "a"
                       "b\x02"),
             LV_OK);
    CHECK(lv_table_find(LV_BYTES_LIT("\x01"
                                     "a"
                                     "b\x01"
                                     "\x01"
                                     "a"
                                     "b\x02"),
                        LV_BYTES_LIT("a"), &v));
    CHECK_EQ(v.i, 1);
    CHECK(!lv_table_find(LV_BYTES_LIT("\x01"
                                      "a"
                                      "b\x01"),
                         LV_BYTES_LIT("A"), &v));
    CHECK(lv_table_find(LV_BYTES_LIT("\0t\x01"), lv_bytes(NULL, 0), &v));
}

LV_TEST(nothing_is_a_table)
{
    struct lv_rd at = lv_rd(lv_bytes(NULL, 0));
    struct lv_field field;
    struct lv_value v;

    CHECK_EQ(lv_table_check(lv_bytes(NULL, 0)), LV_OK);
    CHECK(!lv_table_next(&at, &field));
    CHECK(!lv_table_find(lv_bytes(NULL, 0), LV_BYTES_LIT("a"), &v));
}

LV_TEST(hostile_lengths)
{
    static const char kinds[] = "SxAF";

    for (const char *kind = kinds; *kind != '\0'; kind++) {
        static const uint32_t lengths[] = { 1, 2, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff };
        for (size_t n = 0; n < LV_ARRAY_LEN(lengths); n++) {
            uint8_t table[8] = { 1, 'k', (uint8_t)*kind, 0, 0, 0, 0, 'V' };
            lv_put_be32(table + 3, lengths[n]);
            CHECK_EQ(check(lv_bytes(table, 7)), LV_ESYNTAX);
            if (lengths[n] > 1)
                CHECK_EQ(check(lv_bytes(table, 8)), LV_ESYNTAX);
        }
    }
    CHECK_EQ(CHECK_LIT("\xff"
                       "k"),
             LV_ESYNTAX);
    /* A child longer than its parent, though not longer than the whole. */
    CHECK_EQ(CHECK_LIT("\x01"
                       "aF\0\0\0\x07"
                       "\x01"
                       "bS\0\0\0\x05"
                       "\x01"
                       "ct\x01"
                       "\x01"
                       "dt\x01"),
             LV_ESYNTAX);
    /* A child that is well-formed by itself, and breaks off inside. */
    CHECK_EQ(CHECK_LIT("\x01"
                       "aA\0\0\0\x02"
                       "t\x01"
                       "\x01"
                       "b"),
             LV_ESYNTAX);
    CHECK_EQ(CHECK_LIT("\x01"
                       "aA\0\0\0\x02"
                       "It"
                       "\x01"
                       "bt\x01"),
             LV_ESYNTAX);
}

/* `levels` tables or arrays, one in the other, the outermost being the table itself. Written backwards. */
static struct lv_bytes nest(uint8_t *buf, size_t cap, unsigned levels, bool arrays)
{
    uint8_t *end = buf + cap, *at = end;

    for (unsigned n = 1; n < levels; n++) {
        uint32_t len = (uint32_t)(end - at);
        at -= 4;
        lv_put_be32(at, len);
        *--at = arrays ? 'A' : 'F';
        if (!arrays || n + 1 == levels) {
            *--at = 'k';
            *--at = 1;
        }
    }
    return lv_bytes(at, (size_t)(end - at));
}

LV_TEST(nesting_has_a_limit)
{
    static uint8_t buf[1 << 20];

    for (int arrays = 0; arrays < 2; arrays++) {
        for (unsigned levels = 1; levels <= LV_TABLE_DEPTH_MAX; levels++)
            CHECK_EQ(check(nest(buf, sizeof(buf), levels, arrays)), LV_OK);
        CHECK_EQ(check(nest(buf, sizeof(buf), LV_TABLE_DEPTH_MAX + 1, arrays)), LV_EDEPTH);
        CHECK_EQ(check(nest(buf, sizeof(buf), 100000, arrays)), LV_EDEPTH);
    }
}

/* Many children side by side are not deep. */
LV_TEST(breadth_has_none)
{
    static uint8_t buf[1 << 20];
    struct lv_wr w = lv_wr(buf, sizeof(buf));

    for (int n = 0; n < 10000; n++)
        lv_table_put_table(&w, "k",
                           LV_BYTES_LIT("\x01"
                                        "aF\0\0\0\0"));
    CHECK(lv_wr_ok(&w));
    CHECK_EQ(check(lv_bytes(buf, w.used)), LV_OK);
}

LV_TEST(writers_write_what_readers_read)
{
    uint8_t buf[256];
    struct lv_wr w = lv_wr(buf, sizeof(buf));
    struct lv_value v;

    lv_table_put_bool(&w, "yes", true);
    lv_table_put_bool(&w, "no", false);
    lv_table_put_str(&w, "s", LV_BYTES_LIT("text"));
    lv_table_put_i64(&w, "n", -5);
    lv_table_put_table(&w, "t",
                       LV_BYTES_LIT("\x01"
                                    "aV"));
    CHECK(lv_wr_ok(&w));
    struct lv_bytes table = lv_bytes(buf, w.used);
    CHECK_EQ(check(table), LV_OK);
    CHECK(lv_table_find(table, LV_BYTES_LIT("yes"), &v) && v.kind == LV_KIND_BOOL && v.i == 1);
    CHECK(lv_table_find(table, LV_BYTES_LIT("no"), &v) && v.kind == LV_KIND_BOOL && v.i == 0);
    CHECK(lv_table_find(table, LV_BYTES_LIT("s"), &v) && v.kind == LV_KIND_STRING);
    CHECK(same(v.bytes, LV_BYTES_LIT("text")));
    CHECK(lv_table_find(table, LV_BYTES_LIT("n"), &v) && v.kind == LV_KIND_INT && v.octet == 'l');
    CHECK_EQ(v.i, -5);
    CHECK(lv_table_find(table, LV_BYTES_LIT("t"), &v) && v.kind == LV_KIND_TABLE);
    CHECK(same(v.bytes, LV_BYTES_LIT("\x01"
                                     "aV")));
}

static void check_without(struct lv_bytes table, const char *name, struct lv_bytes wanted)
{
    uint8_t buf[256];
    struct lv_wr w = lv_wr(buf, sizeof(buf)), small = lv_wr(buf, 0);

    lv_table_copy_without(&small, table, lv_bytes_str(name));
    CHECK_EQ(small.used, wanted.len);
    lv_table_copy_without(&w, table, lv_bytes_str(name));
    CHECK(same(lv_bytes(buf, w.used), wanted));
}

LV_TEST(writers_of_lists_count_what_was_written)
{
    static const char wire[] = "\x01tT\0\0\0\0\0\0\x01\x02"
                               "\x01"
                               "aA\0\0\0\x0e"
                               "S\0\0\0\x01x"
                               "F\0\0\0\x03"
                               "\x01nV";
    uint8_t buf[64];

    for (size_t cap = 0; cap <= sizeof(buf); cap++) {
        struct lv_wr w = lv_wr(buf, cap);
        lv_table_put_timestamp(&w, "t", 0x102);
        size_t array = lv_table_begin_array(&w, "a");
        lv_array_put_str(&w, LV_BYTES_LIT("x"));
        size_t table = lv_array_begin_table(&w);
        lv_wr_bytes(&w, "\x01nV", 3);
        lv_wr_long_end(&w, table);
        lv_wr_long_end(&w, array);
        CHECK_EQ(w.used, sizeof(wire) - 1);
        if (lv_wr_ok(&w))
            CHECK_MEM(buf, wire, w.used);
    }
    CHECK_EQ(check(lv_bytes(buf, sizeof(wire) - 1)), LV_OK);
}

LV_TEST(copy_without_keeps_the_rest_byte_for_byte)
{
    struct lv_bytes table = LV_BYTES_LIT("\x02"
                                         "CCt\x07"
                                         "\x03"
                                         "BCCS\0\0\0\x01x"
                                         "\x01zL\0\0\0\0\0\0\0\x05"
                                         "\x03"
                                         "BCCV");

    check_without(table, "BCC",
                  LV_BYTES_LIT("\x02"
                               "CCt\x07"
                               "\x01zL\0\0\0\0\0\0\0\x05"));
    check_without(table, "CC",
                  LV_BYTES_LIT("\x03"
                               "BCCS\0\0\0\x01x"
                               "\x01zL\0\0\0\0\0\0\0\x05"
                               "\x03"
                               "BCCV"));
    check_without(table, "none", table);
    check_without(lv_bytes(NULL, 0), "none", lv_bytes(NULL, 0));
    check_without(LV_BYTES_LIT("\x03"
                               "BCCV"),
                  "BCC", lv_bytes(NULL, 0));
}

static struct lv_value value(struct lv_bytes wire)
{
    struct lv_rd at = lv_rd(wire);
    struct lv_value v;

    CHECK(lv_array_next(&at, &v));
    return v;
}

#define EQ(a, b)                                                                \
    do {                                                                        \
        struct lv_value x = value(LV_BYTES_LIT(a)), y = value(LV_BYTES_LIT(b)); \
        CHECK(lv_value_eq(&x, &y));                                             \
        CHECK(lv_value_eq(&y, &x));                                             \
    } while (0)
#define DIFFER(a, b)                                                            \
    do {                                                                        \
        struct lv_value x = value(LV_BYTES_LIT(a)), y = value(LV_BYTES_LIT(b)); \
        CHECK(!lv_value_eq(&x, &y));                                            \
        CHECK(!lv_value_eq(&y, &x));                                            \
    } while (0)

LV_TEST(comparison)
{
    EQ("b\x01", "l\0\0\0\0\0\0\0\x01");
    EQ("b\xff", "I\xff\xff\xff\xff");
    EQ("B\xff", "u\0\xff");
    DIFFER("b\xff", "B\xff");
    DIFFER("b\x01", "b\x02");
    DIFFER("b\x01", "t\x01"); /* kinds */
    DIFFER("I\0\0\0\x01", "f\x3f\x80\0\0");
    DIFFER("T\0\0\0\0\0\0\0\x01", "l\0\0\0\0\0\0\0\x01");
    DIFFER("S\0\0\0\x01"
           "a",
           "x\0\0\0\x01"
           "a");
    EQ("t\x01", "t\x02");
    EQ("f\x3f\x80\0\0", "d\x3f\xf0\0\0\0\0\0\0");
    EQ("f\0\0\0\0", "f\x80\0\0\0");       /* -0.0 */
    EQ("f\x7f\xc0\0\0", "f\x7f\xc0\0\0"); /* what is the same stays the same, even NaN */
    DIFFER("f\x7f\xc0\0\0", "f\x3f\x80\0\0");
    EQ("D\x02\0\0\0\x05", "D\x02\0\0\0\x05");
    DIFFER("D\x02\0\0\0\x05", "D\x01\0\0\0\x05");
    EQ("S\0\0\0\x02hi", "S\0\0\0\x02hi");
    DIFFER("S\0\0\0\x02hi", "S\0\0\0\x02Hi");
    DIFFER("S\0\0\0\0", "V");
    EQ("V", "V");
    EQ("A\0\0\0\x02t\x01", "A\0\0\0\x02t\x01");
    DIFFER("A\0\0\0\x02"
           "b\x01",
           "A\0\0\0\x02"
           "B\x01");
    DIFFER("A\0\0\0\0", "F\0\0\0\0");
}
