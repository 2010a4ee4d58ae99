/* tools/leveret/cli/value.h: JSON as RabbitMQ's tools print it. */
#include "leveret/cli/value.h"

#include <stdlib.h>

#include "lv_test.h"

static void check_text(const char *json, enum lv_cli_column_kind kind, const char *wanted)
{
    json_t *value = json_loads(json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    char *text = lv_cli_value_text(value, kind);

    CHECK(value != NULL);
    CHECK_STR(text, wanted);
    free(text);
    json_decref(value);
}

static void check_json(const char *json, enum lv_cli_column_kind kind, const char *wanted)
{
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL), *told = lv_cli_value_json(value, kind);
    char *text = json_dumps(told, JSON_COMPACT | JSON_ENCODE_ANY);

    CHECK_STR(text, wanted);
    free(text);
    json_decref(told);
    json_decref(value);
}

static void check_erlang(const char *json, enum lv_cli_column_kind kind, const char *wanted)
{
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    char *text = lv_cli_value_erlang(value, kind);

    CHECK_STR(text, wanted);
    free(text);
    json_decref(value);
}

LV_TEST(texts)
{
    check_text("\"a\\tb\"", LV_CLI_PLAIN, "a\tb");
    check_text("\"\\u001b[31m\\u0000\\n\"", LV_CLI_PLAIN, "\\033[31m\\000\\012");
    check_text("true", LV_CLI_PLAIN, "true");
    check_text("null", LV_CLI_PLAIN, "");
    check_text("9007199254740993", LV_CLI_PLAIN, "9007199254740993");
    check_text("[\"a\",\"b\"]", LV_CLI_WORDS, "[a, b]");
    check_text("\"a,b\"", LV_CLI_WORDS, "[a, b]");
    check_text("\"\"", LV_CLI_WORDS, "[]");
    check_text("{\"n@h\":\"running\"}", LV_CLI_STATES, "[{n@h, running}]");
    check_text("\"AMQP 0-9-1\"", LV_CLI_PROTOCOL, "{0,9,1}");
    check_text("\"MQTT 3-1-1\"", LV_CLI_PROTOCOL, "MQTT 3-1-1");
    check_text("{\"a\":1}", LV_CLI_JSON, "{\"a\":1}");
}

LV_TEST(tables)
{
    static const char table[] =
        "{\"x-b\":true,\"x-l\":[\"a\",1],\"x-t\":{\"k\":\"v\\\"\"},\"x-n\":null,\"x-f\":1.5}";

    check_text(
        table, LV_CLI_TABLE,
        "[{\"x-b\",true},{\"x-l\",[\"a\",1]},{\"x-t\",[{\"k\",\"v\\\"\"}]},{\"x-n\",undefined},"
        "{\"x-f\",1.5}]");
    check_text("{}", LV_CLI_TABLE, "[]");
    check_text("[]", LV_CLI_TABLE, "[]");
    check_json(
        "{\"x-max\":5,\"x-s\":\"v\",\"x-big\":5000000000}",
        LV_CLI_TABLE, "[[\"x-max\",\"signedint\",5],[\"x-s\",\"longstr\",\"v\"],[\"x-big\",\"long\",5000000000]]");
    check_json("[]", LV_CLI_TABLE, "[]");
    check_json("null", LV_CLI_TABLE, "\"\"");
    check_json("\"AMQP 0-9-1\"", LV_CLI_PROTOCOL, "[0,9,1]");
    check_json("{\"a\":1}", LV_CLI_JSON, "\"{\\\"a\\\":1}\"");
    check_erlang("{\"x\":[\"a\"],\"y\":1}", LV_CLI_TABLE,
                 "[{<<\"x\">>,array,[{longstr,<<\"a\">>}]},{<<\"y\">>,signedint,1}]");
    check_erlang("\"a\\tb\"", LV_CLI_PLAIN, "<<\"a\\tb\">>");
    check_erlang("[\"n@h\"]", LV_CLI_WORDS, "[n@h]");
}

LV_TEST(reals)
{
    static const struct {
        double number;
        int digits;
        const char *text;
    } cases[] = { { 0.1, -1, "0.1" },         { 1, -1, "1.0" },
                  { 100000, -1, "100000.0" }, { 0.018256841998156456, -1, "0.018256841998156456" },
                  { 60.454, 2, "60.45" },     { 0.00001, 4, "0.0" },
                  { 1e-7, -1, "1e-07" },      { 2.5e9, -1, "2500000000.0" } };
    char text[64];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        lv_cli_value_real(text, sizeof(text), cases[i].number, cases[i].digits);
        CHECK_STR(text, cases[i].text);
    }
}

LV_TEST(paths)
{
    json_t *root = json_loads("{\"a\":{\"b\":[1,{\"c\":2}]},\"d\":3}", 0, NULL);

    CHECK_EQ(json_integer_value(lv_cli_value_at(root, "a.b.1.c", 7)), 2);
    CHECK_EQ(json_integer_value(lv_cli_value_at(root, "d", 1)), 3);
    CHECK(lv_cli_value_at(root, "a.x.y", 5) == NULL);
    CHECK(lv_cli_value_at(root, "a.b.9", 5) == NULL);
    CHECK(lv_cli_value_at(root, "d.e", 3) == NULL);
    json_decref(root);
}
