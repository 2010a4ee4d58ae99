/* tools/leveret/cli/admin.h - rabbitmqadmin: its objects, and the formats of its lists. */
#ifndef LV_CLI_ADMIN_H
#define LV_CLI_ADMIN_H
#include "cli.h"

/* What an ADMIN row of command.def says. The exit code. */
int lv_admin_run(struct lv_cli *c);
/* Prints `rows`, an array of objects, with these columns, parted by blanks or commas (NULL or empty: those that they have). */
int lv_admin_print(struct lv_cli *c, const json_t *rows, const char *columns);
/* Another name of a column, or NULL. */
const char *lv_admin_column_alias(const char *name);
/* A line that tells what was done, unless --quiet, and the second version
 * is silent anyway. Returns EX_OK. */
int lv_admin_done(struct lv_cli *c, const char *text);

#endif
