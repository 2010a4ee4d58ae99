/* base/bytes.h: views compare as strings do; cursors never pass their end. */
#include "base/bytes.h"

#include "lv_test.h"

LV_TEST(equality_is_of_length_and_bytes)
{
    CHECK(lv_bytes_eq(LV_BYTES_LIT("abc"), lv_bytes_str("abc")));
    CHECK(!lv_bytes_eq(LV_BYTES_LIT("abc"), LV_BYTES_LIT("abd")));
    CHECK(!lv_bytes_eq(LV_BYTES_LIT("abc"), LV_BYTES_LIT("ab")));
    CHECK(lv_bytes_eq(lv_bytes(NULL, 0), LV_BYTES_LIT("")));
}

LV_TEST(order_puts_the_beginning_first)
{
    CHECK_EQ(lv_bytes_cmp(LV_BYTES_LIT("abc"), LV_BYTES_LIT("abc")), 0);
    CHECK(lv_bytes_cmp(LV_BYTES_LIT("ab"), LV_BYTES_LIT("abc")) < 0);
    CHECK(lv_bytes_cmp(LV_BYTES_LIT("b"), LV_BYTES_LIT("abc")) > 0);
    CHECK(lv_bytes_cmp(LV_BYTES_LIT("\x80"), LV_BYTES_LIT("\x7f")) > 0);
    CHECK(lv_bytes_cmp(lv_bytes(NULL, 0), LV_BYTES_LIT("")) == 0);
}

LV_TEST(prefix)
{
    CHECK(lv_bytes_has_prefix(LV_BYTES_LIT("amq.direct"), LV_BYTES_LIT("amq.")));
    CHECK(lv_bytes_has_prefix(LV_BYTES_LIT("amq."), LV_BYTES_LIT("amq.")));
    CHECK(lv_bytes_has_prefix(LV_BYTES_LIT(""), lv_bytes(NULL, 0)));
    CHECK(!lv_bytes_has_prefix(LV_BYTES_LIT("amq"), LV_BYTES_LIT("amq.")));
}

LV_TEST(reader_reads_big_endian)
{
    struct lv_rd r =
        lv_rd(LV_BYTES_LIT("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
                           "\x02hi\0\0\0\x03you"));

    CHECK_EQ(lv_rd_u8(&r), 0x01);
    CHECK_EQ(lv_rd_u16(&r), 0x0203);
    CHECK_EQ(lv_rd_u32(&r), 0x04050607);
    CHECK_EQ(lv_rd_u64(&r), 0x08090a0b0c0d0e0f);
    CHECK(lv_bytes_eq(lv_rd_short(&r), LV_BYTES_LIT("hi")));
    CHECK(lv_bytes_eq(lv_rd_long(&r), LV_BYTES_LIT("you")));
    CHECK_EQ(lv_rd_left(&r), 0);
    CHECK(!r.bad);
}

/* Once a field was short, everything after it is zero and the mark stays. */
LV_TEST(reader_stops_for_good_at_its_end)
{
    struct lv_rd r = lv_rd(LV_BYTES_LIT("\x01\x02\x03"));

    CHECK_EQ(lv_rd_u32(&r), 0);
    CHECK(r.bad);
    CHECK_EQ(lv_rd_u8(&r), 0);
    CHECK_EQ(lv_rd_left(&r), 0);
    CHECK(r.bad);

    static const char *const hostile[] = { "\xff\xff\xff\xff", "\x80\0\0\0", "\0\0\0\x01" };
    for (size_t i = 0; i < LV_ARRAY_LEN(hostile); i++) {
        r = lv_rd(lv_bytes(hostile[i], 4));
        CHECK_EQ(lv_rd_long(&r).len, 0);
        CHECK(r.bad);
    }
    r = lv_rd(LV_BYTES_LIT("\x01"));
    CHECK_EQ(lv_rd_bytes(&r, SIZE_MAX).len, 0);
    CHECK(r.bad);
}

LV_TEST(reader_of_nothing)
{
    struct lv_rd r = lv_rd(lv_bytes(NULL, 0));

    CHECK_EQ(lv_rd_bytes(&r, 0).len, 0);
    CHECK(!r.bad);
    CHECK_EQ(lv_rd_u8(&r), 0);
    CHECK(r.bad);
}

static void write_all(struct lv_wr *w)
{
    lv_wr_u8(w, 0x01);
    lv_wr_u16(w, 0x0203);
    lv_wr_u32(w, 0x04050607);
    lv_wr_u64(w, 0x08090a0b0c0d0e0f);
    lv_wr_short(w, LV_BYTES_LIT("hi"));
    lv_wr_long(w, LV_BYTES_LIT("you"));
    lv_wr_bytes(w, NULL, 0);
}

/* With any room, the writer leaves what is past it alone and still tells how much it wanted. */
LV_TEST(writer_counts_past_its_end)
{
    static const uint8_t whole[] = { 1,  2,  3, 4,   5,   6, 7, 8, 9, 10,  11,  12, 13,
                                     14, 15, 2, 'h', 'i', 0, 0, 0, 3, 'y', 'o', 'u' };
    uint8_t buf[sizeof(whole) + 1];

    for (size_t cap = 0; cap <= sizeof(whole); cap++) {
        memset(buf, 0xEE, sizeof(buf));
        struct lv_wr w = lv_wr(buf, cap);
        write_all(&w);
        CHECK_EQ(w.used, sizeof(whole));
        CHECK_EQ(lv_wr_ok(&w), cap == sizeof(whole));
        for (size_t i = cap; i < sizeof(buf); i++)
            CHECK_EQ(buf[i], 0xEE);
    }
    CHECK_MEM(buf, whole, sizeof(whole));
}

LV_TEST(raw_big_endian_round_trip)
{
    uint8_t b[8];

    lv_put_be16(b, 0xfedc);
    CHECK_EQ(b[0], 0xfe);
    CHECK_EQ(lv_be16(b), 0xfedc);
    lv_put_be32(b, 0xfedcba98);
    CHECK_EQ(b[3], 0x98);
    CHECK_EQ(lv_be32(b), 0xfedcba98);
    lv_put_be64(b, 0xfedcba9876543210);
    CHECK_EQ(b[7], 0x10);
    CHECK(lv_be64(b) == 0xfedcba9876543210);
}
