/* A broker's answer out of the input, told in every way that the command line has. Nothing of it may move a terminal's cursor, and
 * what is told as JSON is JSON. */
#include "leveret/cli/value.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_text(char *text, bool is_plain)
{
    for (const char *at = text; is_plain && *at != '\0'; at++)
        must((unsigned char)*at >= 0x20 || *at == '\t');
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *value = json_loadb((const char *)data, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

    if (value == NULL)
        return 0;
    for (int kind = LV_CLI_PLAIN; kind <= LV_CLI_PROTOCOL; kind++) {
        check_text(lv_cli_value_text(value, (enum lv_cli_column_kind)kind), kind != LV_CLI_JSON);
        check_text(lv_cli_value_erlang(value, (enum lv_cli_column_kind)kind), true);
        json_t *told = lv_cli_value_json(value, (enum lv_cli_column_kind)kind);
        char *text = json_dumps(told, JSON_ENCODE_ANY);
        must(text != NULL);
        free(text);
        json_decref(told);
    }
    check_text(lv_cli_value_python(value), false);
    (void)lv_cli_value_at(value, "a.0.b", 5);
    json_decref(value);
    return 0;
}
