/* tools/leveret/cli/value.h - JSON values as RabbitMQ's tools print them.
 *
 * Each function gives new text, which the caller frees. NULL as a value, and JSON's null, are empty.
 */
#ifndef LV_CLI_VALUE_H
#define LV_CLI_VALUE_H
#include <jansson.h>
#include <stddef.h>

#include "spec.h"

/* The value at a.b.0 below `root` (numbers count the places of a list); NULL: nothing there. Borrowed. */
const json_t *lv_cli_value_at(const json_t *root, const char *path, size_t len);

/* For a person, or a cell of a table: numbers in their shortest form; lists of words with ", " between; an AMQP table as
 * [{"key",value}]. Control characters other than tab are told as octal, so that a name cannot move a terminal's cursor. */
char *lv_cli_value_text(const json_t *value, enum lv_cli_column_kind kind);
/* For --formatter json: a new reference. Tables have their types, null is "". */
json_t *lv_cli_value_json(const json_t *value, enum lv_cli_column_kind kind);
/* An Erlang term; at the top words are binaries. */
char *lv_cli_value_erlang(const json_t *value, enum lv_cli_column_kind kind);
/* As Python prints it, which is what rabbitmqadmin shows: True, None, {"a": 1}. */
char *lv_cli_value_python(const json_t *value);
/* The shortest decimal that is `number` again, with a point, as Erlang writes it; rounded to `digits` behind the point unless
 * negative. */
void lv_cli_value_real(char *out, size_t size, double number, int digits);

#endif
