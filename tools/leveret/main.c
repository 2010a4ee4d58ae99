/* leveret - one program, many small tools. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/assert.h"
#include "cli/cli.h"
#include "cli/complete.h"
#include "command.h"

static int show_help(int argc, char **argv);

static int show_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("leveret " LV_VERSION);
    return EX_OK;
}

static const struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    { "backup", "copy the data of a broker, stopped or running, to a file", lv_command_backup },
    { "bench", "put load on an AMQP 0-9-1 broker and measure it", lv_command_bench },
    { "config", "explain, list and check the settings of leveretd", lv_command_config },
    { "help", "this page", show_help },
    { "inspect", "what is in a data directory, and whether all of it is good", lv_command_inspect },
    { "restore", "make a data directory of a backup", lv_command_restore },
    { "version", "the version of this program", show_version },
};

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int show_help(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("usage: leveret COMMAND [ARGUMENT...]\n\ncommands:");
    for (size_t i = 0; i < LV_ARRAY_LEN(commands); i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].summary);
    puts("\nand, of a running broker, everything that RabbitMQ's tools know, by their words:\n\n"
         "  leveret list_queues name messages          leveret declare queue name=x durable=true\n"
         "  leveret add_user alice                     leveret queues list\n"
         "  leveret top                                leveret check_running\n\n"
         "leveret help COMMAND tells about one; leveret rabbitmqctl help, leveret rabbitmqadmin "
         "help\n"
         "and so on list them. A link of such a name to this program is that tool.");
    return EX_OK;
}

static int run_word(int argc, char **argv)
{
    enum lv_cli_program program;
    const struct command *command;

    if (strcmp(argv[0], "__complete") == 0)
        return lv_cli_complete(argc - 1, argv + 1);
    if (lv_cli_program_find(argv[0], &program))
        return lv_cli_main(program, argc - 1, argv + 1);
    if (strcmp(argv[0], "help") == 0 && argc > 1)
        return lv_cli_main(LV_CLI_LEVERET, argc, argv);
    if ((command = find_command(argv[0])) != NULL)
        return command->run(argc - 1, argv + 1);
    return lv_cli_main(LV_CLI_LEVERET, argc, argv);
}

/* The program goes by the name that it is called by, then by the first word. */
int main(int argc, char **argv)
{
    static const char *const spellings[][2] = { { "--help", "help" },
                                                { "-h", "help" },
                                                { "--version", "version" } };
    enum lv_cli_program program;
    char help[] = "help", *no_words[] = { help, NULL };

    if (argc > 0 && lv_cli_program_find(basename(argv[0]), &program) && program != LV_CLI_LEVERET)
        return lv_cli_main(program, argc - 1, argv + 1);
    if (argc < 2)
        return run_word(1, no_words);
    for (size_t i = 0; i < LV_ARRAY_LEN(spellings); i++)
        if (argc == 2 && strcmp(argv[1], spellings[i][0]) == 0)
            return find_command(spellings[i][1])->run(0, NULL);
    return run_word(argc - 1, argv + 1);
}
