/* Pages made of the table. */
#include <string.h>
#include <sysexits.h>

#include "cli.h"
#include "run.h"

#define NAME_WIDTH 34

/* On a terminal, and wherever RabbitMQ's tools have it without asking, headings are bold. */
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

static void put_options(const struct lv_cli_command *command, FILE *out)
{
    const char *at = command->options, *word;
    size_t len;

    while (lv_cli_word(&at, &word, &len)) {
        const struct lv_cli_option *option = lv_cli_option_find(command, word, len, '\0');
        if (option == NULL)
            continue;
        if (option->value == NULL)
            fprintf(out, " [--%s]", option->name);
        else if (option->value[0] == '=')
            fprintf(out, " [--%s[=<%s>]]", option->name, option->value + 1);
        else
            fprintf(out, " [--%s <%s>]", option->name, option->value);
    }
}

static void put_keys(const struct lv_cli_command *command, FILE *out)
{
    const char *at = command->options, *word;
    size_t len;

    while (lv_cli_word(&at, &word, &len)) {
        char last = word[len - 1];
        int bare = (int)len - (last == '!' || last == '?');
        fprintf(out, last == '!' ? " %.*s=..." : " [%.*s=...]", bare, word);
    }
}

void lv_cli_usage(const struct lv_cli *c, const struct lv_cli_command *command, FILE *out)
{
    fprintf(out, "%s", lv_cli_program_name(c->program));
    if (lv_cli_command_is_admin(command)) {
        fprintf(out, " [options] %s", command->name);
        put_keys(command, out);
        bool is_list = command->kind == LV_CLI_ADMIN_DO && strcmp(command->method, "GET") == 0;
        fprintf(out, "%s\n", is_list && command->options[0] == '\0' ? " [<column>...]" : "");
        return;
    }
    fprintf(out, " [--node <node>] [--longnames] [--quiet] %s", command->name);
    put_options(command, out);
    fprintf(out, "%s%s\n", command->arguments[0] != '\0' ? " " : "", command->arguments);
}

static void put_columns(const struct lv_cli_command *command, FILE *out)
{
    const char *between = "\t";
    const struct lv_cli_column *column;

    fprintf(out, "\n<column>\n");
    for (size_t i = 0; (column = lv_cli_column_at(i)) != NULL; i++) {
        if (strcmp(column->list, command->name) != 0)
            continue;
        fprintf(out, "%s%s", between, column->name);
        between = ", ";
    }
    fprintf(out, "\n\t(%s)\n", command->body);
}

static void put_own_options(const struct lv_cli_command *command, FILE *out)
{
    const struct lv_cli_option *option;

    for (size_t i = 0; (option = lv_cli_option_at(i)) != NULL; i++)
        if (option->scope == LV_CLI_ONE && lv_cli_option_fits(command, option))
            fprintf(out, "\n--%s%s%s%s\n\t%s\n", option->name, option->value != NULL ? " <" : "",
                    option->value != NULL ? option->value + (option->value[0] == '=') : "",
                    option->value != NULL ? ">" : "", option->help);
}

static void put_common_options(const struct lv_cli_command *command, FILE *out)
{
    const struct lv_cli_option *option;

    fputs("\n" BOLD "General Options" PLAIN "\n\n", out);
    for (size_t i = 0; (option = lv_cli_option_at(i)) != NULL; i++) {
        char name[64];
        if (option->scope == LV_CLI_ONE || !lv_cli_option_fits(command, option))
            continue;
        snprintf(name, sizeof(name), "--%s%s%s%s", option->name, option->value != NULL ? " <" : "",
                 option->value != NULL ? option->value : "", option->value != NULL ? ">" : "");
        if (option->letter != 0)
            fprintf(out, "-%c, %-38s %s\n", option->letter, name, option->help);
        else
            fprintf(out, "    %-38s %s\n", name, option->help);
    }
}

static void command_page(const struct lv_cli *c, const struct lv_cli_command *command, FILE *out)
{
    fputs("\n" BOLD "Usage" PLAIN "\n\n", out);
    lv_cli_usage(c, command, out);
    fprintf(out, "\n%s.\n", command->help);
    if (command->kind == LV_CLI_LIST && command->arguments[0] == '[')
        put_columns(command, out);
    put_own_options(command, out);
    put_common_options(command, out);
}

static bool is_first_of_group(size_t at, enum lv_cli_program program)
{
    const struct lv_cli_command *command = lv_cli_command_at(at);

    for (size_t i = 0; i < at; i++)
        if (lv_cli_command_in(lv_cli_command_at(i), program) &&
            strcmp(lv_cli_command_at(i)->group, command->group) == 0)
            return false;
    return true;
}

static void put_group(const struct lv_cli *c, const char *group, FILE *out)
{
    const struct lv_cli_command *command;

    fprintf(out, "\n" BOLD "%s" PLAIN ":\n\n", group);
    for (size_t i = 0; (command = lv_cli_command_at(i)) != NULL; i++)
        if (lv_cli_command_in(command, c->program) && strcmp(command->group, group) == 0)
            fprintf(out, "   %-*s %s\n", NAME_WIDTH, command->name, command->help);
}

static void program_page(const struct lv_cli *c, FILE *out)
{
    const char *name = lv_cli_program_name(c->program);
    const struct lv_cli_command *command;

    fprintf(out, "\n" BOLD "Usage" PLAIN "\n\n%s %s\n\nAvailable commands:\n", name,
            c->program == LV_CLI_ADMIN ? "[options] <verb> <object> [<key>=<value>...]"
                                       : "[--node <node>] [--timeout <timeout>] [--longnames] "
                                         "[--quiet] <command> [<command options>]");
    for (size_t i = 0; (command = lv_cli_command_at(i)) != NULL; i++)
        if (lv_cli_command_in(command, c->program) && is_first_of_group(i, c->program))
            put_group(c, command->group, out);
    fprintf(out, "\nUse '%s help <command>' to learn more about a specific command\n", name);
}

void lv_cli_help(const struct lv_cli *c, const struct lv_cli_command *command, FILE *out)
{
    if (command != NULL)
        command_page(c, command, out);
    else
        program_page(c, out);
}

static const char config_page[] =
    "Sections of ~/.rabbitmqadmin.conf, or of the file that --config names; --node says which:\n\n"
    "  [default]\n"
    "  hostname = localhost\n"
    "  port = 15672\n"
    "  username = guest\n"
    "  password = guest\n"
    "  vhost = /\n"
    "  ssl = True                 # then also ssl_ca_cert_file, ssl_cert_file, ssl_key_file\n\n"
    "What is told on the command line comes first.\n";

int lv_run_help(struct lv_cli *c)
{
    const struct lv_cli_command *command = NULL;
    bool is_topic = c->program == LV_CLI_ADMIN && c->rest_count == 1;

    if (is_topic && strcmp(c->rest[0], "config") == 0) {
        fputs(config_page, c->out);
        return EX_OK;
    }
    if (c->rest_count > 0 && !(is_topic && strcmp(c->rest[0], "subcommands") == 0)) {
        command = lv_cli_command_find(c->program, c->rest[0]);
        if (command == NULL)
            command = lv_cli_admin_find(c->rest[0], c->rest_count > 1 ? c->rest[1] : NULL);
        if (command == NULL || !lv_cli_command_in(command, c->program))
            return lv_cli_fail(c, EX_USAGE, "no command '%s'", c->rest[0]);
    }
    lv_cli_help(c, command, c->out);
    return EX_OK;
}
