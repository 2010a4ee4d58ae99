/* leveret - one program, many small tools. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/assert.h"
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
    return EX_OK;
}

int main(int argc, char **argv)
{
    static const char *const spellings[][2] = { { "--help", "help" },
                                                { "-h", "help" },
                                                { "--version", "version" } };
    const char *name = argc > 1 ? argv[1] : "help";

    for (size_t i = 0; i < LV_ARRAY_LEN(spellings); i++)
        if (strcmp(name, spellings[i][0]) == 0)
            name = spellings[i][1];
    const struct command *command = find_command(name);
    if (command == NULL) {
        fprintf(stderr, "leveret: no command '%s' (see leveret help)\n", name);
        return EX_USAGE;
    }
    return command->run(argc - 2, argv + 2);
}
