/* tools/leveret/reel.h: the ready-made bytes are the frames AMQP 0-9-1 asks for, and stamps leave them so. */
/* A program is no library: its test brings the source in.
   NOLINTBEGIN(bugprone-suspicious-include) */
#include "../../../tools/leveret/fault.c"
#include "../../../tools/leveret/reel.c"
/* NOLINTEND(bugprone-suspicious-include) */

#include "base/bytes.h"
#include "lv_test.h"

static const struct lv_route routes[] = { { "", "a", { 0 } }, { "x", "bc", { 0 } } };

static struct lv_reel make(size_t body, uint32_t frame_max, struct lv_stamp stamp)
{
    struct lv_reel_spec spec = { .routes = routes,
                                 .route_count = 2,
                                 .body_bytes = body,
                                 .bytes_wanted = 1000,
                                 .frame_max = frame_max,
                                 .stamp = stamp };
    struct lv_reel reel;
    struct lv_fault fault;

    CHECK(lv_reel_init(&reel, &spec, &fault));
    return reel;
}

LV_TEST(one_message_byte_for_byte)
{
    static const uint8_t wanted[] =
        "\x01\x00\x01\x00\x00\x00\x0C\x00\x3C\x00\x28\x00\x00\x01x\x02"
        "bc\x00\xCE"
        "\x02\x00\x01\x00\x00\x00\x0E\x00\x3C\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\xCE"
        "\x03\x00\x01\x00\x00\x00\x03"
        "abc\xCE";
    struct lv_reel reel = make(3, 4096, (struct lv_stamp){ 0 });

    CHECK_EQ(reel.start[2] - reel.start[1], sizeof(wanted) - 1);
    CHECK_MEM(reel.bytes + reel.start[1], wanted, sizeof(wanted) - 1);
    lv_reel_fini(&reel);
}

LV_TEST(routes_take_turns_in_whole_rounds)
{
    struct lv_reel reel = make(3, 4096, (struct lv_stamp){ 0 });

    CHECK(reel.count >= 4);
    CHECK_EQ(reel.count % 2, 0);
    CHECK_EQ(reel.start[2] - reel.start[0], reel.start[4] - reel.start[2]);
    CHECK_MEM(reel.bytes, reel.bytes + reel.start[2], reel.start[2]);
    lv_reel_fini(&reel);
}

LV_TEST(a_large_body_is_cut_into_frames)
{
    struct lv_reel reel = make(10000, 4096, (struct lv_stamp){ 0 });
    const uint8_t *at = reel.bytes, *end = reel.bytes + reel.start[1];
    size_t body = 0, frames = 0;

    for (; at < end; frames++) {
        size_t size = lv_be32(at + 3);
        CHECK(size + LV_FRAME_EXTRA <= 4096);
        CHECK_EQ(at[LV_FRAME_HEAD + size], LV_FRAME_END);
        if (at[0] == LV_FRAME_BODY)
            body += size;
        at += size + LV_FRAME_EXTRA;
    }
    CHECK(at == end);
    CHECK_EQ(body, 10000);
    CHECK_EQ(frames, 2 + 3);
    lv_reel_fini(&reel);
}

LV_TEST(stamps_land_in_the_body)
{
    struct lv_reel reel = make(30, 4096, (struct lv_stamp){ .is_verified = true, .is_timed = true });
    const uint8_t *body = reel.bytes + reel.body_at[1];

    lv_reel_stamp_time(&reel, 1, 123);
    lv_reel_stamp_sequence(&reel, 1, 7, 9);
    CHECK_EQ(lv_be64(body) >> 48, 7);
    CHECK_EQ(lv_be64(body) & 0xFFFFFFFF, 9);
    CHECK_EQ(lv_be64(body + 8), 123);
    CHECK(lv_be64(body + 16) == lv_stamp_sum(lv_be64(body), XXH3_64bits(body + 24, 6)));
    CHECK_EQ(body[24], 'a' + 24);
    lv_reel_fini(&reel);
}
