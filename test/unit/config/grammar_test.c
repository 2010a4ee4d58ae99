/* Lines of a configuration file: what they say, and where exactly they are wrong. */
#include "config/grammar.h"

#include <stdio.h>

#include "lv_test.h"

/* The whole text as the parser sees it: "key|value" or "!line:column why", one after the other. */
static const char *read(const char *text)
{
    static char out[4096];
    struct lv_conf_fault fault;
    struct lv_conf_item item;
    enum lv_conf_step step;
    struct lv_conf c;
    size_t used = 0;

    out[0] = '\0';
    lv_conf_init(&c, lv_bytes_str(text));
    while ((step = lv_conf_next(&c, &item, &fault)) != LV_CONF_END) {
        if (step == LV_CONF_ITEM)
            used += (size_t)snprintf(out + used, sizeof(out) - used, "%.*s|%.*s;",
                                     LV_BYTES_FMT(item.key), LV_BYTES_FMT(item.value));
        else
            used += (size_t)snprintf(out + used, sizeof(out) - used, "!%u:%u %s;", fault.line,
                                     fault.column, fault.why);
    }
    return out;
}

LV_TEST(keys_and_values)
{
    CHECK_STR(read(""), "");
    CHECK_STR(read("a = b"), "a|b;");
    CHECK_STR(read("a=b\n"), "a|b;");
    CHECK_STR(read("\t a.b-c_d.1\t=\tx y  z \t\r\n\r\nc = d"), "a.b-c_d.1|x y  z;c|d;");
    CHECK_STR(read("a = b = c"), "a|b = c;");
    CHECK_STR(read("a\\.b.c = d"), "a\\.b.c|d;");
    CHECK_STR(read("\xEF\xBB\xBF"
                   "a = b"),
              "a|b;");
}

LV_TEST(comments)
{
    CHECK_STR(read("# a = b\n  # c\n\n   \n##"), "");
    CHECK_STR(read("a = b # c = d"), "a|b;");
    CHECK_STR(read("a = b#c"), "a|b;");
    CHECK_STR(read("a = 'b#c'   # d"), "a|b#c;");
}

LV_TEST(quotes_keep_what_is_in_them)
{
    CHECK_STR(read("a = ''"), "a|;");
    CHECK_STR(read("a = '  b = \"c\" '"), "a|  b = \"c\" ;");
    CHECK_STR(read("a = it's"), "a|it's;");
}

LV_TEST(a_comment_that_may_be_a_mistake_is_noted)
{
    struct lv_conf_fault fault;
    struct lv_conf_item item;
    struct lv_conf c;

    lv_conf_init(&c, LV_BYTES_LIT("default_pass = abc#def\na = b # c\na = 'x#y'"));
    CHECK_EQ(lv_conf_next(&c, &item, &fault), LV_CONF_ITEM);
    CHECK(item.note != NULL);
    CHECK_EQ(item.note_column, 19);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(lv_conf_next(&c, &item, &fault), LV_CONF_ITEM);
        CHECK(item.note == NULL);
    }
}

LV_TEST(positions_of_items)
{
    struct lv_conf_fault fault;
    struct lv_conf_item item;
    struct lv_conf c;

    lv_conf_init(&c, LV_BYTES_LIT("\n  ab =  cd\na = 'b'"));
    CHECK_EQ(lv_conf_next(&c, &item, &fault), LV_CONF_ITEM);
    CHECK_EQ(item.line, 2);
    CHECK_EQ(item.key_column, 3);
    CHECK_EQ(item.value_column, 9);
    CHECK(!item.is_quoted);
    CHECK_EQ(lv_conf_next(&c, &item, &fault), LV_CONF_ITEM);
    CHECK_EQ(item.line, 3);
    CHECK_EQ(item.value_column, 6);
    CHECK(item.is_quoted);
}

/* Every fault has a place, and the next line is read all the same. */
LV_TEST(every_fault_and_its_place)
{
    CHECK_STR(read("= b\na = c"), "!1:1 expected a key;a|c;");
    CHECK_STR(read("  'a' = b"), "!1:3 expected a key;");
    CHECK_STR(read(".a = b"), "!1:1 expected a word before '.';");
    CHECK_STR(read("a..b = c"), "!1:3 expected a word before '.';");
    CHECK_STR(read("ab. = c"), "!1:4 expected a word after '.';");
    CHECK_STR(read("ab"), "!1:3 expected '=' after the key;");
    CHECK_STR(read("ab cd = e"), "!1:4 expected '=' after the key;");
    CHECK_STR(read("[{rabbit, []}]."), "!1:11 expected '=' after the key;");
    CHECK_STR(read("a =\nb = c"), "!1:4 expected a value (an empty one is '');b|c;");
    CHECK_STR(read("a = # b"), "!1:5 expected a value (an empty one is '');");
    CHECK_STR(read("a = 'b"), "!1:5 a quote that is not closed;");
    CHECK_STR(read("a = 'b' c"), "!1:9 something after the closing quote;");
    CHECK_STR(read("\na = b\x01"
                   "c"),
              "!2:6 a control character;");
    CHECK_STR(read("a = 'b\x1b'"), "!1:7 a control character;");
}

LV_TEST(lengths_have_a_limit)
{
    static char text[LV_CONF_VALUE_MAX + 100];
    struct lv_conf_fault fault;
    struct lv_conf_item item;
    struct lv_conf c;

    memset(text, 'k', LV_CONF_KEY_MAX + 1);
    memcpy(text + LV_CONF_KEY_MAX + 1, " = v", 5);
    lv_conf_init(&c, lv_bytes_str(text));
    CHECK_EQ(lv_conf_next(&c, &item, &fault), LV_CONF_FAULT);
    CHECK_EQ(fault.column, 1);
    memset(text, 'v', sizeof(text) - 1);
    memcpy(text, "k = ", 4);
    text[4 + LV_CONF_VALUE_MAX] = '\0';
    lv_conf_init(&c, lv_bytes_str(text));
    CHECK_EQ(lv_conf_next(&c, &item, &fault), LV_CONF_ITEM);
    text[4 + LV_CONF_VALUE_MAX] = 'v';
    lv_conf_init(&c, lv_bytes_str(text));
    CHECK_EQ(lv_conf_next(&c, &item, &fault), LV_CONF_FAULT);
    CHECK_EQ(fault.column, 5);
}
