/* tools/leveret/archive.h: what is written is what is read; one bit, one byte or one block off is refused. */
#include "lv_test.h"
#include "store/crc.h"

/* A program is no library: its test brings the source in.
   NOLINTBEGIN(bugprone-suspicious-include) */
#include "../../../tools/leveret/archive.c"
/* NOLINTEND(bugprone-suspicious-include) */

static uint8_t buf[LV_ARCHIVE_BLOCK_HEAD + LV_ARCHIVE_BLOCK_MAX];

LV_TEST(blocks)
{
    struct lv_archive_block b = { .kind = LV_ARCHIVE_BEGIN, .id = 1, .time_ms = 2, .total = 3 }, got;
    size_t n = lv_archive_write(0, &b, buf);

    CHECK_EQ(lv_archive_parse(0, lv_bytes(buf, n), &got), LV_OK);
    CHECK(got.kind == LV_ARCHIVE_BEGIN && got.id == 1 && got.time_ms == 2 && got.total == 3);
    b = (struct lv_archive_block){ .kind = LV_ARCHIVE_FILE,
                                   .size = 77,
                                   .name = LV_BYTES_LIT("checkpoint") };
    n = lv_archive_write(1, &b, buf);
    CHECK_EQ(lv_archive_parse(1, lv_bytes(buf, n), &got), LV_OK);
    CHECK(got.size == 77 && lv_bytes_eq(got.name, b.name));
    b = (struct lv_archive_block){ .kind = LV_ARCHIVE_END, .files = 4, .total = 5 };
    n = lv_archive_write(2, &b, buf);
    CHECK_EQ(lv_archive_parse(2, lv_bytes(buf, n), &got), LV_OK);
    CHECK(got.files == 4 && got.total == 5);
}

LV_TEST(largest_data)
{
    static uint8_t data[LV_ARCHIVE_DATA_MAX];
    struct lv_archive_block b = { .kind = LV_ARCHIVE_DATA,
                                  .offset = 1u << 30,
                                  .data = lv_bytes(data, sizeof(data)) };
    struct lv_archive_block got;
    size_t payload, n = lv_archive_write(9, &b, buf);

    CHECK_EQ(lv_archive_payload_bytes(buf, &payload), LV_OK);
    CHECK_EQ(payload + LV_ARCHIVE_BLOCK_HEAD, n);
    CHECK_EQ(lv_archive_parse(9, lv_bytes(buf, n), &got), LV_OK);
    CHECK(got.offset == b.offset && lv_bytes_eq(got.data, b.data));
    lv_put_be32(buf + 16, LV_ARCHIVE_BLOCK_MAX + 1);
    CHECK_EQ(lv_archive_payload_bytes(buf, &payload), LV_ECORRUPT);
}

LV_TEST(every_bit_and_every_length)
{
    struct lv_archive_block b = { .kind = LV_ARCHIVE_DATA,
                                  .offset = 8,
                                  .data = LV_BYTES_LIT("bytes of a file") };
    struct lv_archive_block got;
    size_t n = lv_archive_write(5, &b, buf);

    for (size_t bit = 0; bit < n * 8; bit++) {
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK_EQ(lv_archive_parse(5, lv_bytes(buf, n), &got), LV_ECORRUPT);
        buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t len = 0; len < n; len++)
        CHECK_EQ(lv_archive_parse(5, lv_bytes(buf, len), &got), LV_ECORRUPT);
    CHECK_EQ(lv_archive_parse(4, lv_bytes(buf, n), &got), LV_ECORRUPT); /* another one's place */
    CHECK_EQ(lv_archive_parse(5, lv_bytes(buf, n), &got), LV_OK);
}

LV_TEST(head)
{
    uint8_t head[LV_ARCHIVE_HEAD];

    lv_archive_write_head(head);
    CHECK_EQ(lv_archive_check_head(head), LV_OK);
    head[11]++;
    CHECK_EQ(lv_archive_check_head(head), LV_EVERSION);
    head[0] = 'x';
    CHECK_EQ(lv_archive_check_head(head), LV_ECORRUPT);
}

LV_TEST(names)
{
    CHECK(lv_archive_name_ok(LV_BYTES_LIT("store")));
    CHECK(lv_archive_name_ok(LV_BYTES_LIT("messages-00000000ff.log")));
    CHECK(lv_archive_name_ok(LV_BYTES_LIT("topology-0000000001.log")));
    CHECK(!lv_archive_name_ok(LV_BYTES_LIT("")));
    CHECK(!lv_archive_name_ok(LV_BYTES_LIT("stopped")));
    CHECK(!lv_archive_name_ok(LV_BYTES_LIT("../../../../etc/passwd")));
    CHECK(!lv_archive_name_ok(LV_BYTES_LIT("messages-../../../x.log")));
    CHECK(!lv_archive_name_ok(LV_BYTES_LIT("messages-00000000FF.log")));
}
