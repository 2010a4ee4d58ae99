/* tools/leveret/cli/spec.h - the table of commands (command.def), of options (option.def) and of columns (column.def), as data.
 *
 * Owner   none: constant. Any thread.
 */
#ifndef LV_CLI_SPEC_H
#define LV_CLI_SPEC_H
#include <stdbool.h>
#include <stddef.h>

struct lv_cli;

enum lv_cli_program {
    LV_CLI_LEVERET,
    LV_CLI_CTL,
    LV_CLI_DIAGNOSTICS,
    LV_CLI_QUEUES,
    LV_CLI_STREAMS,
    LV_CLI_UPGRADE,
    LV_CLI_PLUGINS,
    LV_CLI_ADMIN,
    LV_CLI_PROGRAMS,
};

enum lv_cli_kind {
    LV_CLI_LIST,
    LV_CLI_DO,
    LV_CLI_RUN,
    LV_CLI_SAY,
    LV_CLI_ADMIN_DO,
    LV_CLI_ADMIN_RUN
};

struct lv_cli_command {
    enum lv_cli_kind kind;
    const char *programs, *group, *name, *arguments, *options;
    int (*run)(struct lv_cli *c);
    const char *method, *path;
    const char *body; /* members of the request; of a list: the columns shown by default */
    const char *banner, *done, *errors;
    int code; /* SAY: exit code */
    const char *help;
};

enum lv_cli_scope { LV_CLI_ALL, LV_CLI_ONE, LV_CLI_ADMIN_ONLY, LV_CLI_BOTH };

struct lv_cli_option {
    const char *name;
    char letter;       /* 0: none */
    const char *value; /* what follows; NULL: nothing; "=x": only as --name=x */
    const char *by_default;
    enum lv_cli_scope scope;
    const char *help;
};

enum lv_cli_column_kind {
    LV_CLI_PLAIN,
    LV_CLI_WORDS,
    LV_CLI_TABLE,
    LV_CLI_STATES,
    LV_CLI_JSON,
    LV_CLI_PROTOCOL,
};

struct lv_cli_column {
    const char *list, *name, *path;
    enum lv_cli_column_kind kind;
};

/* The word that calls the program, as argv[0] or as first argument: rabbitmqctl ... */
const char *lv_cli_program_name(enum lv_cli_program program);
/* false: no such program. */
bool lv_cli_program_find(const char *name, enum lv_cli_program *program);

/* The i-th row of each table, NULL behind the last. */
const struct lv_cli_command *lv_cli_command_at(size_t i);
const struct lv_cli_option *lv_cli_option_at(size_t i);
const struct lv_cli_column *lv_cli_column_at(size_t i);

/* Is the command one of the program's? rabbitmqadmin's are its own, and leveret's too. */
bool lv_cli_command_in(const struct lv_cli_command *command, enum lv_cli_program program);
bool lv_cli_command_is_admin(const struct lv_cli_command *command);
/* A command that is one word, - for _ taken; NULL: none. */
const struct lv_cli_command *lv_cli_command_find(enum lv_cli_program program, const char *name);
/* rabbitmqadmin's by verb and object, in either order, singular or plural ("queues", "declare"), with the verbs of both its
 * versions; either may be NULL when the other says it all. NULL: none. */
const struct lv_cli_command *lv_cli_admin_find(const char *verb, const char *object);
/* The name nearest to what was asked for, or NULL when none is near. `is_known` says which rows count. */
const char *lv_cli_nearest(const char *name, enum lv_cli_program program);

/* An option by its long name (`letter` 0) or by its letter, as the command knows it; NULL: none. */
const struct lv_cli_option *lv_cli_option_find(const struct lv_cli_command *command,
                                               const char *name, size_t name_len, char letter);
/* Does the command take the option? */
bool lv_cli_option_fits(const struct lv_cli_command *command, const struct lv_cli_option *option);

const struct lv_cli_column *lv_cli_column_find(const char *list, const char *name, size_t name_len);

/* Steps through words parted by blanks: the next one at *at, its length; false at the end. */
bool lv_cli_word(const char **at, const char **word, size_t *len);

#endif
