/* tools/leveret/cli/spec.h: what may stand in the table of commands; words, spellings and neighbours. */
#include "leveret/cli/spec.h"

#include "lv_test.h"

/* "<x>" and the like, parted by blanks. */
static bool is_argument(const char *spec, size_t len)
{
    const char *open = memchr(spec, '<', len), *close = memchr(spec, '>', len);

    return open != NULL && close != NULL && close > open + 1 && (spec[0] == '<' || spec[0] == '[');
}

LV_TEST(rows_are_sound)
{
    const struct lv_cli_command *command;

    for (size_t i = 0; (command = lv_cli_command_at(i)) != NULL; i++) {
        const char *at = command->arguments, *word;
        size_t len;
        while (lv_cli_word(&at, &word, &len))
            CHECK(is_argument(word, len));
        at = lv_cli_command_is_admin(command) ? "" : command->options;
        while (lv_cli_word(&at, &word, &len))
            CHECK(lv_cli_option_find(command, word, len, '\0') != NULL);
        at = command->kind == LV_CLI_LIST ? command->body + (command->body[0] == '-') : "";
        while (lv_cli_word(&at, &word, &len))
            CHECK(lv_cli_column_find(command->name, word, len) != NULL);
        CHECK(command->help[0] != '\0' && command->help[strlen(command->help) - 1] != '.');
        CHECK(strpbrk(command->programs, "CDQSUPAL") != NULL);
        for (size_t j = 0; j < i; j++)
            CHECK(strcmp(command->name, lv_cli_command_at(j)->name) != 0 ||
                  strcmp(command->programs, lv_cli_command_at(j)->programs) != 0);
    }
}

LV_TEST(columns_have_lists)
{
    const struct lv_cli_column *column;

    for (size_t i = 0; (column = lv_cli_column_at(i)) != NULL; i++) {
        const struct lv_cli_command *list = lv_cli_command_find(LV_CLI_LEVERET, column->list);
        CHECK(list != NULL && list->kind == LV_CLI_LIST);
    }
}

LV_TEST(commands_of_programs)
{
    CHECK(lv_cli_command_find(LV_CLI_CTL, "list_queues") != NULL);
    CHECK(lv_cli_command_find(LV_CLI_CTL, "list-queues") != NULL);
    CHECK(lv_cli_command_find(LV_CLI_CTL, "check_running") == NULL);
    CHECK(lv_cli_command_find(LV_CLI_DIAGNOSTICS, "check_running") != NULL);
    CHECK(lv_cli_command_find(LV_CLI_LEVERET, "check_running") != NULL);
    CHECK(lv_cli_command_find(LV_CLI_PLUGINS, "list") != NULL);
    CHECK(lv_cli_command_find(LV_CLI_LEVERET, "list") == NULL);
}

LV_TEST(both_grammars_of_admin)
{
    const struct lv_cli_command *declare = lv_cli_admin_find("declare", "queue");

    CHECK(declare != NULL);
    CHECK(lv_cli_admin_find("queues", "declare") == declare);
    CHECK(lv_cli_admin_find("declare", "policy") == lv_cli_admin_find("policies", "declare"));
    CHECK(lv_cli_admin_find("parameters", "set") == lv_cli_admin_find("declare", "parameter"));
    CHECK(lv_cli_admin_find("exchanges", "bind") == lv_cli_admin_find("declare", "binding"));
    CHECK(lv_cli_admin_find("vhosts", "list") == lv_cli_admin_find("list", "vhosts"));
    CHECK(lv_cli_admin_find("publish", NULL) == lv_cli_admin_find("publish", "message"));
    CHECK(lv_cli_admin_find("declare", NULL) == NULL);
    CHECK(lv_cli_admin_find("nonsense", "queue") == NULL);
}

LV_TEST(neighbours)
{
    CHECK_STR(lv_cli_nearest("list_queue", LV_CLI_CTL), "list_queues");
    CHECK_STR(lv_cli_nearest("lsit_queues", LV_CLI_CTL), "list_queues");
    CHECK_STR(lv_cli_nearest("add_usr", LV_CLI_CTL), "add_user");
    CHECK(lv_cli_nearest("zzzzzz", LV_CLI_CTL) == NULL);
    CHECK(lv_cli_nearest("", LV_CLI_CTL) == NULL);
}

LV_TEST(options_of_commands)
{
    const struct lv_cli_command *del = lv_cli_command_find(LV_CLI_CTL, "delete_queue");
    const struct lv_cli_command *wait = lv_cli_command_find(LV_CLI_CTL, "wait");
    const struct lv_cli_command *list = lv_cli_admin_find("list", "queues");

    CHECK_STR(lv_cli_option_find(del, NULL, 0, 'p')->name, "vhost");
    CHECK_STR(lv_cli_option_find(del, NULL, 0, 'e')->name, "if-empty");
    CHECK_STR(lv_cli_option_find(wait, NULL, 0, 'P')->name, "pid");
    CHECK_STR(lv_cli_option_find(list, NULL, 0, 'p')->name, "password");
    CHECK(lv_cli_option_find(del, "if_empty", 8, '\0') != NULL);
    CHECK(lv_cli_option_find(del, "global", 6, '\0') == NULL);
    CHECK(lv_cli_option_find(list, "formatter", 9, '\0') == NULL);
}
