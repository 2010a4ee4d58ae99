/* tools/leveret/cli/template.c: texts, paths and bodies that rows describe. */
#include <stdlib.h>
#include <sysexits.h>

#include "leveret/cli/cli.h"

#include "lv_test.h"

static struct lv_cli cli;

static void set_variables(void)
{
    static const char *const variables[][2] = {
        { "name", "a/b \xc3\xbc" },    { "empty", "" },     { "pattern", "^q" },
        { "definition", "{\"a\":1}" }, { "priority", "3" }, { "durable", "True" },
        { "tags", "a, b,c" },          { "bad", "{" },      { "node", "n@h" }
    };

    cli.command = lv_cli_command_find(LV_CLI_CTL, "ping");
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        lv_cli_set(&cli, variables[i][0], strlen(variables[i][0]), variables[i][1]);
}

static void check(char *got, const char *wanted)
{
    CHECK_STR(got, wanted);
    free(got);
}

LV_TEST(texts)
{
    set_variables();
    json_t *answer = json_loads("{\"x\":{\"y\":7},\"l\":[\"b\",\"a\"]}", 0, NULL);

    check(lv_cli_text(&cli, "to {name} on {node}", NULL), "to a/b \xc3\xbc on n@h");
    check(lv_cli_text(&cli, "{nothing|5} {nothing}.", NULL), "5 .");
    check(lv_cli_text(&cli, "{.x.y} {.l} {.none}", answer), "7 a, b ");
    check(lv_cli_text(&cli, "{timeout_ms} {timeout_s}", NULL), "60000 60.0");
    check(lv_cli_text(&cli, "{} {name", NULL), "{} {name");
    json_decref(answer);
}

LV_TEST(paths)
{
    set_variables();
    check(lv_cli_path(&cli, "/q/{name}/{pattern}"), "/q/a%2Fb%20%C3%BC/%5Eq");
    check(lv_cli_path(&cli, "/e/{empty}/x"), "/e/amq.default/x");
}

LV_TEST(bodies)
{
    json_t *body =
        lv_cli_body(&cli, "pattern definition:j priority:n durable:b tags:l apply-to=nothing");
    char *text = json_dumps(body, JSON_COMPACT);

    check(text, "{\"pattern\":\"^q\",\"definition\":{\"a\":1},\"priority\":3,\"durable\":true,"
                "\"tags\":[\"a\",\"b\",\"c\"]}");
    json_decref(body);
    CHECK(lv_cli_body(&cli, "value=bad:j") == NULL);
    CHECK(cli.fault.code == EX_UNAVAILABLE);
    CHECK(lv_cli_body(&cli, "value=name:n") == NULL);
    CHECK(lv_cli_body(&cli, "value=name:b") == NULL);
}
