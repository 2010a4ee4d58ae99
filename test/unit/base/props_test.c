/* The properties of a message. */
#include "base/props.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/table.h"

#include "lv_test.h"

static enum lv_err decode(struct lv_bytes raw, struct lv_props *out)
{
    uint8_t *copy = malloc(raw.len + 1);

    LV_ASSERT(copy != NULL);
    memcpy(copy + 1, raw.ptr, raw.len);
    enum lv_err err = lv_props_decode(lv_bytes(copy + 1, raw.len), out);
    free(copy);
    return err;
}

#define DECODE(s) decode(LV_BYTES_LIT(s), &props)

/* Every property alone: bit, field and value, then cut and lengthened. */
LV_TEST(each_property_alone)
{
    static const struct {
        uint16_t flag;
        struct lv_bytes value;
    } rows[] = {
#define WIRE_shortstr   \
    LV_BYTES_LIT("\x03" \
                 "abc")
#define WIRE_table                \
    LV_BYTES_LIT("\0\0\0\x04\x01" \
                 "at\x01")
#define WIRE_u8 LV_BYTES_LIT("\x09")
#define WIRE_timestamp LV_BYTES_LIT("\0\0\0\0\0\0\x01\x02")
#define X(type, field, FLAG, bit) { 1u << (bit), WIRE_##type },
        LV_PROPS(X)
#undef X
    };

    CHECK_EQ(LV_ARRAY_LEN(rows), 14);
    for (size_t n = 0; n < LV_ARRAY_LEN(rows); n++) {
        struct lv_props props;
        uint8_t buf[32] = { (uint8_t)(rows[n].flag >> 8), (uint8_t)rows[n].flag };
        size_t len = 2 + rows[n].value.len;

        CHECK_EQ(rows[n].flag, 0x8000 >> n);
        memcpy(buf + 2, rows[n].value.ptr, rows[n].value.len);
        CHECK_EQ(decode(lv_bytes(buf, len), &props), LV_OK);
        CHECK_EQ(props.flags, rows[n].flag);
        for (size_t cut = 0; cut < len; cut++)
            CHECK_EQ(decode(lv_bytes(buf, cut), &props), LV_ESYNTAX);
        CHECK_EQ(decode(lv_bytes(buf, len + 1), &props), LV_ESYNTAX);
    }
}

/* All fourteen in RabbitMQ's order; what is written again is the same to the byte. */
static const uint8_t all_wire[] = "\xff\xfc"
                                  "\x0a"
                                  "text/plain"
                                  "\x04"
                                  "gzip"
                                  "\0\0\0\x05\x02"
                                  "x1b\xff"
                                  "\x02"
                                  "\x07"
                                  "\x02"
                                  "c1"
                                  "\x02"
                                  "r1"
                                  "\x05"
                                  "60000"
                                  "\x02"
                                  "m1"
                                  "\0\0\0\0\x65\x43\x21\0"
                                  "\x02"
                                  "t1"
                                  "\x05"
                                  "guest"
                                  "\x02"
                                  "a1"
                                  "\x02"
                                  "k1";
#define ALL lv_bytes(all_wire, sizeof(all_wire) - 1)

LV_TEST(all_properties)
{
    struct lv_props props;
    uint8_t buf[128];
    struct lv_wr w = lv_wr(buf, sizeof(buf));

    CHECK_EQ(lv_props_decode(ALL, &props), LV_OK);
    CHECK_EQ(props.flags, LV_PROP_ALL);
    CHECK(lv_bytes_eq(props.content_type, LV_BYTES_LIT("text/plain")));
    CHECK(lv_bytes_eq(props.content_encoding, LV_BYTES_LIT("gzip")));
    CHECK(lv_bytes_eq(props.headers, LV_BYTES_LIT("\x02"
                                                  "x1b\xff")));
    CHECK_EQ(props.delivery_mode, 2);
    CHECK_EQ(props.priority, 7);
    CHECK(lv_bytes_eq(props.correlation_id, LV_BYTES_LIT("c1")));
    CHECK(lv_bytes_eq(props.reply_to, LV_BYTES_LIT("r1")));
    CHECK(lv_bytes_eq(props.expiration, LV_BYTES_LIT("60000")));
    CHECK(lv_bytes_eq(props.message_id, LV_BYTES_LIT("m1")));
    CHECK_EQ(props.timestamp, 0x65432100);
    CHECK(lv_bytes_eq(props.type, LV_BYTES_LIT("t1")));
    CHECK(lv_bytes_eq(props.user_id, LV_BYTES_LIT("guest")));
    CHECK(lv_bytes_eq(props.app_id, LV_BYTES_LIT("a1")));
    CHECK(lv_bytes_eq(props.cluster_id, LV_BYTES_LIT("k1")));
    lv_props_write(&w, &props);
    CHECK_EQ(w.used, ALL.len);
    CHECK_MEM(buf, all_wire, ALL.len);
    for (size_t cut = 0; cut < ALL.len; cut++)
        CHECK_EQ(decode(lv_bytes(all_wire, cut), &props), LV_ESYNTAX);
    for (size_t cap = 0; cap < ALL.len; cap++) {
        struct lv_wr small = lv_wr(buf, cap);
        CHECK_EQ(lv_props_decode(ALL, &props), LV_OK);
        memset(buf, 0xEE, sizeof(buf));
        lv_props_write(&small, &props);
        CHECK_EQ(small.used, ALL.len);
        CHECK_EQ(buf[cap], 0xEE);
    }
}

LV_TEST(no_properties)
{
    struct lv_props props;
    uint8_t buf[2] = { 1, 1 };
    struct lv_wr w = lv_wr(buf, sizeof(buf));

    CHECK_EQ(DECODE("\0\0"), LV_OK);
    CHECK_EQ(props.flags, 0);
    CHECK_EQ(props.headers.len, 0);
    CHECK_EQ(props.timestamp, 0);
    CHECK_EQ(props.cluster_id.len, 0);
    lv_props_write(&w, &props);
    CHECK_MEM(buf, "\0\0", 2);
    CHECK_EQ(DECODE(""), LV_ESYNTAX);
    CHECK_EQ(DECODE("\0"), LV_ESYNTAX);
    CHECK_EQ(DECODE("\0\0\0"), LV_ESYNTAX);
}

/* Bits 1 and 0 (a word of further flags, by the specification) say nothing to RabbitMQ: the list follows at once. */
LV_TEST(flags_without_a_property_are_ignored)
{
    struct lv_props props;

    CHECK_EQ(DECODE("\0\x01"), LV_OK);
    CHECK_EQ(props.flags, 0);
    CHECK_EQ(DECODE("\x10\x03\x02"), LV_OK);
    CHECK_EQ(props.flags, LV_PROP_DELIVERY_MODE);
    CHECK_EQ(props.delivery_mode, 2);
    CHECK_EQ(DECODE("\0\x01\0\0"), LV_ESYNTAX);
}

LV_TEST(strings_are_any_bytes)
{
    struct lv_props props;

    CHECK_EQ(DECODE("\x80\0\x02\xff\xfe"), LV_OK);
    CHECK_EQ(props.content_type.len, 2);
}

LV_TEST(headers_are_checked)
{
    struct lv_props props;
    uint8_t deep[256];
    struct lv_wr w = lv_wr(deep, sizeof(deep));

    CHECK_EQ(DECODE("\x20\0\0\0\0\0"), LV_OK);
    CHECK_EQ(DECODE("\x20\0\0\0\0\x01\0"), LV_ESYNTAX);
    CHECK_EQ(DECODE("\x20\0\xff\xff\xff\xff\x01"
                    "at\x01"),
             LV_ESYNTAX);
    CHECK_EQ(DECODE("\x20\0\0\0\0\x04\x01"
                    "aZ\x01"),
             LV_ESYNTAX);
    lv_wr_u16(&w, LV_PROP_HEADERS);
    for (uint32_t levels = LV_TABLE_DEPTH_MAX; levels > 0; levels--) {
        lv_wr_u32(&w, levels * 7);
        lv_wr_bytes(&w, "\x01kF", 3);
    }
    lv_wr_u32(&w, 0);
    CHECK_EQ(decode(lv_bytes(deep, w.used), &props), LV_EDEPTH);
}

/* How a BCC header is taken out of a message: everything else stays as the publisher wrote it. */
LV_TEST(one_header_taken_out)
{
    uint8_t headers[64], buf[128];
    struct lv_props props;
    struct lv_wr h = lv_wr(headers, sizeof(headers)), w = lv_wr(buf, sizeof(buf));

    CHECK_EQ(lv_props_decode(LV_BYTES_LIT("\x30\0\0\0\0\x0a\x01"
                                          "at\x07\x03"
                                          "BCCV\x01"),
                             &props),
             LV_ESYNTAX);
    CHECK_EQ(lv_props_decode(LV_BYTES_LIT("\x30\0\0\0\0\x09\x01"
                                          "at\x07\x03"
                                          "BCCV\x01"),
                             &props),
             LV_OK);
    lv_table_copy_without(&h, props.headers, LV_BYTES_LIT("BCC"));
    props.headers = lv_bytes(headers, h.used);
    lv_props_write(&w, &props);
    CHECK_EQ(w.used, 11);
    CHECK_MEM(buf,
              "\x30\0\0\0\0\x04\x01"
              "at\x07\x01",
              w.used);
}

static void check_with_header(struct lv_bytes raw, struct lv_bytes wanted)
{
    uint8_t buf[256];
    struct lv_wr w = lv_wr(buf, sizeof(buf));

    CHECK_EQ(lv_props_write_with_header(&w, raw, "n", 3), LV_OK);
    CHECK_EQ(w.used, wanted.len);
    CHECK_MEM(buf, wanted.ptr, wanted.len);
    CHECK(w.used <= raw.len + LV_PROPS_WITH_HEADER_MORE(1));
    for (size_t cap = 0; cap < wanted.len; cap++) {
        struct lv_wr small = lv_wr(buf, cap);
        memset(buf, 0xEE, sizeof(buf));
        CHECK_EQ(lv_props_write_with_header(&small, raw, "n", 3), LV_OK);
        CHECK_EQ(small.used, wanted.len);
        CHECK_EQ(buf[cap], 0xEE);
    }
}

#define N3 "\x01nl\0\0\0\0\0\0\0\x03"

LV_TEST(one_header_put_in)
{
    /* no headers yet, with and without something before and after them */
    check_with_header(LV_BYTES_LIT("\0\0"), LV_BYTES_LIT("\x20\0\0\0\0\x0b" N3));
    check_with_header(LV_BYTES_LIT("\xd0\0\x01t\x02gz\x02"),
                      LV_BYTES_LIT("\xf0\0\x01t\x02gz\0\0\0\x0b" N3 "\x02"));
    /* others stay, and stay first */
    check_with_header(LV_BYTES_LIT("\x30\0\0\0\0\x04\x01"
                                   "at\x07\x02"),
                      LV_BYTES_LIT("\x30\0\0\0\0\x0f\x01"
                                   "at\x07" N3 "\x02"));
    /* of any type and however often it was there */
    check_with_header(LV_BYTES_LIT("\x20\0\0\0\0\x0a\x01nV\x01"
                                   "at\x07\x01nV"),
                      LV_BYTES_LIT("\x20\0\0\0\0\x0f\x01"
                                   "at\x07" N3));
    /* flags that stand for nothing are not passed on */
    check_with_header(LV_BYTES_LIT("\0\x03"), LV_BYTES_LIT("\x20\0\0\0\0\x0b" N3));
}

LV_TEST(no_header_is_put_into_malformed_properties)
{
    uint8_t buf[64];
    struct lv_wr w = lv_wr(buf, sizeof(buf));

    for (size_t cut = 0; cut < ALL.len; cut++)
        CHECK_EQ(lv_props_write_with_header(&w, lv_bytes(all_wire, cut), "n", 3), LV_ESYNTAX);
    CHECK_EQ(lv_props_write_with_header(&w,
                                        LV_BYTES_LIT("\x20\0\0\0\0\x04\x01"
                                                     "aZ\x01"),
                                        "n", 3),
             LV_ESYNTAX);
    CHECK_EQ(w.used, 0);
}

/* Random subsets of properties: written, read, written. */
LV_PROP(subsets_go_there_and_back)
{
    struct lv_rng rng = lv_rng_seed(seed);
    uint8_t letters[255], raw[4096], again[4096];
    struct lv_props p, out;
    struct lv_wr w = lv_wr(raw, sizeof(raw)), w2 = lv_wr(again, sizeof(again));

    for (size_t i = 0; i < sizeof(letters); i++)
        letters[i] = (uint8_t)lv_rng_next(&rng);
#define ANY_shortstr lv_bytes(letters, lv_rng_below(&rng, 256))
#define ANY_table                   \
    LV_BYTES_LIT("\x01"             \
                 "aF\0\0\0\x04\x01" \
                 "bB\x03")
#define ANY_u8 (uint8_t) lv_rng_next(&rng)
#define ANY_timestamp lv_rng_next(&rng)
#define X(type, field, FLAG, bit) p.field = ANY_##type;
    LV_PROPS(X)
#undef X
    p.flags = (uint16_t)lv_rng_next(&rng) & LV_PROP_ALL;
    lv_props_write(&w, &p);
    CHECK(lv_wr_ok(&w));
    CHECK_EQ(lv_props_decode(lv_bytes(raw, w.used), &out), LV_OK);
    CHECK_EQ(out.flags, p.flags);
    lv_props_write(&w2, &out);
    CHECK_EQ(w2.used, w.used);
    CHECK_MEM(again, raw, w.used);
}

/* A header put in is found, and taken out again leaves what was there. */
LV_PROP(a_header_goes_in_and_out)
{
    struct lv_rng rng = lv_rng_seed(seed);
    uint8_t raw[64], with[256], without[256];
    struct lv_props p = { 0 }, out;
    struct lv_wr w = lv_wr(raw, sizeof(raw)), w2 = lv_wr(with, sizeof(with));
    struct lv_wr w3 = lv_wr(without, sizeof(without));
    struct lv_value v;
    int64_t value = (int64_t)lv_rng_next(&rng);

    p.flags = (uint16_t)lv_rng_next(&rng) & LV_PROP_ALL;
    p.headers = LV_BYTES_LIT("\x01"
                             "aF\0\0\0\x04\x01"
                             "bB\x03");
    lv_props_write(&w, &p);
    CHECK(lv_wr_ok(&w));
    CHECK_EQ(lv_props_write_with_header(&w2, lv_bytes(raw, w.used), "count", value), LV_OK);
    CHECK_EQ(lv_props_decode(lv_bytes(with, w2.used), &out), LV_OK);
    CHECK_EQ(out.flags, p.flags | LV_PROP_HEADERS);
    CHECK(lv_table_find(out.headers, LV_BYTES_LIT("count"), &v));
    CHECK_EQ(v.kind, LV_KIND_INT);
    CHECK_EQ(v.i, value);
    out.flags = p.flags;
    out.headers.len -= 1 + 5 + 1 + 8;
    lv_props_write(&w3, &out);
    CHECK_EQ(w3.used, w.used);
    CHECK_MEM(without, raw, w.used);
}
