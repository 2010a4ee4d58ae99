/* tools/leveret/cli/cli.h - one call of the command line: what was asked, of whom, and what the commands share.
 *
 * Owner   the one thread of the program.
 * Memory  a program that ends: what words and options are made of is kept until then (lv_keep); the rest is freed.
 */
#ifndef LV_CLI_CLI_H
#define LV_CLI_CLI_H
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "../fault.h"
#include "api.h"
#include "spec.h"

#define LV_CLI_VARS_MAX 64
#define LV_CLI_RABBITMQ_VERSION "4.2.0" /* what the broker announces (docs/compat/rabbitmq.md) */

enum lv_cli_format {
    LV_CLI_FORMAT_TABLE,
    LV_CLI_FORMAT_CSV,
    LV_CLI_FORMAT_JSON,
    LV_CLI_FORMAT_JSON_STREAM,
    LV_CLI_FORMAT_PRETTY,
    LV_CLI_FORMAT_ERLANG,
};

struct lv_cli {
    enum lv_cli_program program;
    const struct lv_cli_command *command;
    int argc; /* as given, for messages */
    char **argv;
    struct {
        const char *name, *value;
        size_t name_len;
    } vars[LV_CLI_VARS_MAX]; /* arguments and options by name */
    size_t var_count;
    char **rest; /* the values of an argument that ends in "..." */
    size_t rest_count;
    enum lv_cli_format format;
    bool is_quiet, is_silent, has_headers;
    bool is_second; /* in the grammar of rabbitmqadmin's second version */
    FILE *out;
    struct lv_api *api; /* NULL: nobody asked yet */
    json_t *overview;   /* the broker's, once asked for */
    struct lv_fault fault;
};

/* Value of an argument or option; NULL: not given. */
const char *lv_cli_var(const struct lv_cli *c, const char *name);
bool lv_cli_has(const struct lv_cli *c, const char *name);
/* Borrows both. Later values of a name replace earlier ones. */
void lv_cli_set(struct lv_cli *c, const char *name, size_t name_len, const char *value);
/* The values of the "..." argument, parted by `between`; the caller frees. */
char *lv_cli_join(const struct lv_cli *c, const char *between);

/* The broker, looked for at the first call; NULL and c->fault: none found. */
struct lv_api *lv_cli_api(struct lv_cli *c);
/* Where rabbitmqadmin's options and configuration file say that the broker is. false: c->fault. */
bool lv_cli_admin_endpoint(struct lv_cli *c, struct lv_endpoint *out);
/* Its overview, asked for once; NULL and c->fault: it does not answer. Borrowed. */
const json_t *lv_cli_overview(struct lv_cli *c);
/* Its name: --node, or what the overview tells. NULL and c->fault. */
const char *lv_cli_node(struct lv_cli *c);

/* What a template says. Each gives new text, or NULL and c->fault. `answer` may be NULL. */
char *lv_cli_text(struct lv_cli *c, const char *template, const json_t *answer);
char *lv_cli_path(struct lv_cli *c, const char *template);
/* The JSON object that `members` describe (command.def); NULL and c->fault: a value is none of its kind. */
json_t *lv_cli_body(struct lv_cli *c, const char *members);

/* Any request; `path` is a template, `errors` as in command.def or NULL. true: status 2xx. Otherwise c->fault. The caller frees
 * answer->text. */
bool lv_cli_call(struct lv_cli *c, struct lv_api_request *request, const char *path,
                 const char *errors, struct lv_api_answer *answer);
/* GET, decoded; NULL and c->fault. The caller frees. */
json_t *lv_cli_get(struct lv_cli *c, const char *path, const char *errors);
/* Any request with a JSON body (taken; NULL: none); true: status 2xx. Otherwise c->fault. `answer`, unless NULL, gets what came,
 * also NULL, and the caller frees it. */
bool lv_cli_request(struct lv_cli *c, const char *method, const char *path, json_t *body,
                    const char *errors, json_t **answer);

/* Is a banner wanted? Formats for machines have none. */
bool lv_cli_has_banner(const struct lv_cli *c);
bool lv_cli_is_json(const struct lv_cli *c);
/* Prints the banner that `template` says (NULL: none). false: c->fault. */
bool lv_cli_banner(struct lv_cli *c, const char *template);
/* A line of result, or {"message": ...}. Returns EX_OK. */
int lv_cli_say(struct lv_cli *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* {"result":"ok"} where JSON is wanted, else nothing. Returns EX_OK. */
int lv_cli_ok(struct lv_cli *c);
/* Fills c->fault and returns `code`, for `return lv_cli_fail(...)`. */
int lv_cli_fail(struct lv_cli *c, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Reads one line, a secret, without echo when it is a terminal; NULL: there is none. Nobody frees it. */
char *lv_cli_secret(const char *prompt);
/* Number of an option or argument: `missing` when it is not given. false: c->fault. */
bool lv_cli_number(struct lv_cli *c, const char *name, long missing, long *out);

/* Finds the command in argv and reads arguments and options into `c`. EX_OK; or one of LV_CLI_WANTS_*; or the exit code, and all
 * is said on stderr. */
enum { LV_CLI_WANTS_HELP = -1, LV_CLI_WANTS_VERSION = -2 };
int lv_cli_parse(struct lv_cli *c, int argc, char **argv);
/* How a command is written, as one line on `out`. */
void lv_cli_usage(const struct lv_cli *c, const struct lv_cli_command *command, FILE *out);
/* The page of one command; NULL: of the program. */
void lv_cli_help(const struct lv_cli *c, const struct lv_cli_command *command, FILE *out);

/* Runs c->command. The exit code; c->fault. */
int lv_cli_run(struct lv_cli *c);

/* Runs the command line: arguments after the program's name. The exit code. */
int lv_cli_main(enum lv_cli_program program, int argc, char **argv);
/* Is the first word a command of `leveret` on this command line? */
bool lv_cli_knows(const char *word);

#endif
