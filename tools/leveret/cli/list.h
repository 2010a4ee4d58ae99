/* tools/leveret/cli/list.h - rows of a list, in any of the formats of rabbitmqctl. */
#ifndef LV_CLI_LIST_H
#define LV_CLI_LIST_H
#include "cli.h"

#define LV_LIST_COLUMNS_MAX 64

/* Prints every object of `rows` (an array) with these columns, banner apart. */
void lv_list_print(struct lv_cli *c, const json_t *rows, const struct lv_cli_column *columns,
                   size_t column_count);
/* What a LIST row of command.def says. The exit code. */
int lv_list_run(struct lv_cli *c);
/* A table with the given headers, NULL-terminated, of `rows`, an array of arrays of text. Lines are drawn as a VT100 does. */
void lv_list_boxes(FILE *out, const char *const *headers, size_t column_count, const json_t *rows);

#endif
