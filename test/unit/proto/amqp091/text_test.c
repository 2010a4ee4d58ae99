/* Bytes as RabbitMQ's error texts show them: what io_lib:format("~p") and ("~w") of Erlang/OTP 25 print. */
#include "proto/amqp091/codec.h"

#include "lv_test.h"

static void check_octets(struct lv_bytes b, const char *wanted)
{
    char out[128];

    lv_amqp_format_octets(b, out, sizeof(out));
    CHECK_STR(out, wanted);
}

#define OCTETS(s, wanted) check_octets(LV_BYTES_LIT(s), wanted)

LV_TEST(text_when_printable)
{
    OCTETS("hello 12345", "<<\"hello 12345\">>");
    OCTETS("hello \"x\\ 12345", "<<\"hello \\\"x\\\\ 12345\">>");
    OCTETS("\b\t\n\v\f\r\033", "<<\"\\b\\t\\n\\v\\f\\r\\e\">>");
    OCTETS("~ ", "<<\"~ \">>");
    OCTETS("\xa0\xe4\xff", "<<\"\xc2\xa0\xc3\xa4\xc3\xbf\">>"); /* Latin-1, shown in UTF-8 */
}

LV_TEST(numbers_otherwise)
{
    check_octets(lv_bytes(NULL, 0), "<<>>");
    OCTETS("\0", "<<0>>");
    OCTETS("a\r\n\tb\x1b\x7f", "<<97,13,10,9,98,27,127>>");
    OCTETS("\x9f", "<<159>>");
    OCTETS("\0\x3c\0\x28\0\0\x03", "<<0,60,0,40,0,0,3>>");
}

LV_TEST(at_most_sixteen)
{
    OCTETS("0123456789abcdef", "<<\"0123456789abcdef\">>");
    OCTETS("0123456789abcdef\x01", "<<\"0123456789abcdef\">>");
    OCTETS("\xc8\1\xca\xcb\xcc\xcd\xce\xcf\xd0\xd1\xd2\xd3\xd4\xd5\xd6\xd7\xd8",
           "<<200,1,202,203,204,205,206,207,208,209,210,211,212,213,214,215>>");
}

LV_TEST(plain_is_always_numbers)
{
    char out[128];

    lv_amqp_format_octets_plain(LV_BYTES_LIT("ab\xff"), out, sizeof(out));
    CHECK_STR(out, "<<97,98,255>>");
    lv_amqp_format_octets_plain(lv_bytes(NULL, 0), out, sizeof(out));
    CHECK_STR(out, "<<>>");
    lv_amqp_format_octets_plain(LV_BYTES_LIT("0123456789abcdefghij"), out, sizeof(out));
    CHECK_STR(out, "<<48,49,50,51,52,53,54,55,56,57,97,98,99,100,101,102,103,104,105,106>>");
}

/* With any room: NUL-ended, a beginning of the whole, and no character cut in two. */
LV_TEST(cut_to_the_room)
{
    static const char *const inputs[] = { "ab\xe4\xe4\"", "\1\xff\3", "" };

    for (size_t n = 0; n < LV_ARRAY_LEN(inputs); n++) {
        char whole[64], out[65];
        lv_amqp_format_octets(lv_bytes_str(inputs[n]), whole, sizeof(whole));
        for (size_t cap = 1; cap <= sizeof(whole); cap++) {
            memset(out, 'E', sizeof(out));
            lv_amqp_format_octets(lv_bytes_str(inputs[n]), out, cap);
            size_t len = strlen(out);
            CHECK(len < cap);
            CHECK_EQ(out[cap], 'E');
            CHECK_MEM(out, whole, len);
            CHECK_NE((uint8_t)whole[len] >> 6, 2);
        }
        CHECK_STR(out, whole);
    }
}
