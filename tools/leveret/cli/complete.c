#include "complete.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli.h"
#include "run.h"
#include "value.h"

#define TIMEOUT_MS 400
#define NAMES_MAX 1000
#define WORDS_MAX 256

/* ---- the scripts ---- */

static const char bash_script[] =
    "# bash completion of leveret, and of the names of RabbitMQ's tools that it may have\n"
    "_leveret()\n"
    "{\n"
    "    local line program=${COMP_WORDS[0]##*/}\n"
    "    COMPREPLY=()\n"
    "    while IFS= read -r line; do\n"
    "        case $line in\n"
    "        *=) compopt -o nospace; COMPREPLY+=(\"$line\") ;;\n"
    "        *) printf -v line %q \"$line\"; COMPREPLY+=(\"$line\") ;;\n"
    "        esac\n"
    "    done < <(leveret __complete bash \"$program\" \"${COMP_WORDS[@]:1:COMP_CWORD}\" "
    "2>/dev/null)\n"
    "}\n"
    "complete -o default -F _leveret leveret rabbitmqctl rabbitmq-diagnostics rabbitmq-queues "
    "rabbitmq-streams rabbitmq-upgrade rabbitmq-plugins rabbitmqadmin\n";

static const char zsh_script[] =
    "#compdef leveret rabbitmqctl rabbitmq-diagnostics rabbitmq-queues rabbitmq-streams "
    "rabbitmq-upgrade "
    "rabbitmq-plugins rabbitmqadmin\n"
    "# zsh completion of leveret, and of the names of RabbitMQ's tools that it may have\n"
    "_leveret()\n"
    "{\n"
    "    local line\n"
    "    local -a found\n"
    "    while IFS= read -r line; do\n"
    "        if [[ $line = *$'\\t'* ]]; then\n"
    "            found+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
    "        else\n"
    "            found+=(\"${line//:/\\\\:}\")\n"
    "        fi\n"
    "    done < <(leveret __complete zsh \"${words[1]:t}\" \"${(@Q)words[2,CURRENT]}\" "
    "2>/dev/null)\n"
    "    if (( ${#found} )); then _describe -t leveret leveret found; else _files; fi\n"
    "}\n"
    "if [ \"$funcstack[1]\" = _leveret ]; then _leveret \"$@\"; else compdef _leveret leveret "
    "rabbitmqctl "
    "rabbitmq-diagnostics rabbitmq-queues rabbitmq-streams rabbitmq-upgrade rabbitmq-plugins "
    "rabbitmqadmin; fi\n";

static const char fish_script[] =
    "# fish completion of leveret, and of the names of RabbitMQ's tools that it may have\n"
    "function __leveret_complete\n"
    "    set -l words (commandline -opc)\n"
    "    leveret __complete fish (basename $words[1]) $words[2..-1] (commandline -ct) 2>/dev/null\n"
    "end\n"
    "for program in leveret rabbitmqctl rabbitmq-diagnostics rabbitmq-queues rabbitmq-streams "
    "rabbitmq-upgrade rabbitmq-plugins rabbitmqadmin\n"
    "    complete -c $program -a '(__leveret_complete)'\n"
    "end\n";

int lv_run_completion(struct lv_cli *c)
{
    static const struct {
        const char *shell, *script;
    } scripts[] = { { "bash", bash_script }, { "zsh", zsh_script }, { "fish", fish_script } };
    const char *shell = lv_cli_var(c, "shell");

    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        if (strcmp(scripts[i].shell, shell) == 0) {
            fputs(scripts[i].script, c->out);
            return EX_OK;
        }
    }
    return lv_cli_fail(c, EX_USAGE, "no completion for '%s': bash, zsh or fish", shell);
}

/* ---- what may come ---- */

struct ask {
    struct lv_cli cli;
    const char *current; /* what is there of the word */
    const char *before;  /* what a candidate loses: bash parts words at = */
    bool has_help;
};

static void offer(const struct ask *a, const char *word, const char *help)
{
    if (strncmp(word, a->current, strlen(a->current)) != 0)
        return;
    size_t cut = strlen(a->before);
    if (strncmp(word, a->before, cut) == 0)
        word += cut;
    /* No empty name, nor one that would end the line or move the cursor. */
    if (word[0] == '\0' || strpbrk(word, "\n\r\t\033") != NULL)
        return;
    if (a->has_help && help != NULL)
        printf("%s\t%s\n", word, help);
    else
        printf("%s\n", word);
}

static void offer_all(const struct ask *a, const char *words)
{
    const char *word;
    size_t len;

    while (lv_cli_word(&words, &word, &len)) {
        char text[64];
        snprintf(text, sizeof(text), "%.*s", (int)len, word);
        offer(a, text, NULL);
    }
}

/* Names that the broker knows, with `prefix` before each. */
static void offer_names(struct ask *a, const char *prefix, const char *path, const char *field)
{
    json_t *rows, *row;
    size_t i;

    if (lv_cli_api(&a->cli) == NULL)
        return;
    rows = lv_cli_get(&a->cli, path, NULL);
    json_array_foreach(rows, i, row)
    {
        const char *name = json_string_value(json_object_get(row, field));
        char *text = NULL;
        if (name == NULL || i == NAMES_MAX)
            continue;
        if (asprintf(&text, "%s%s", prefix, name) >= 0)
            offer(a, text, NULL);
        free(text);
    }
    json_decref(rows);
}

/* What an argument, an option's value or an object is called, and where its names are. */
static const struct {
    const char *what, *path, *field;
} sources[] = {
    { "queue", "/queues/{vhost}?columns=name", "name" },
    { "stream", "/queues/{vhost}?columns=name", "name" },
    { "exchange", "/exchanges/{vhost}?columns=name", "name" },
    { "source", "/exchanges/{vhost}?columns=name", "name" },
    { "username", "/users?columns=name", "name" },
    { "user", "/users?columns=name", "name" },
    { "vhost", "/vhosts?columns=name", "name" },
    { "vhost_name", "/vhosts?columns=name", "name" },
    { "policy", "/policies/{vhost}", "name" },
    { "operator_policy", "/operator-policies/{vhost}", "name" },
    { "connection", "/connections?columns=name", "name" },
    { "flag", "/feature-flags", "name" },
    { "feature_flag", "/feature-flags", "name" },
    { "parameter", "/parameters", "name" },
    { "global_parameter", "/global-parameters", "name" },
    { "destination", "/queues/{vhost}?columns=name", "name" },
};

/* Words that are always the same. */
static const char *const choices[][2] = {
    { "formatter", "table csv json json_stream pretty_table erlang" },
    { "level", "debug info warning error critical none" },
    { "apply-to", "queues classic_queues quorum_queues streams exchanges all" },
    { "default-queue-type", "classic quorum stream" },
    { "queue_type", "classic quorum stream" },
    { "type", "classic quorum stream direct fanout topic headers" },
    { "unit", "bytes kb mb gb tb" },
    { "protocol", "amqp amqps mqtt stomp stream http https" },
    { "shell", "bash zsh fish" },
    { "component", "federation-upstream federation-upstream-set shovel" },
    { "table-style", "modern borderless ascii dots psql markdown sharp" },
    { "destination_type", "queue exchange" },
    { "durable", "true false" },
    { "auto_delete", "true false" },
    { "ackmode", "ack_requeue_true ack_requeue_false reject_requeue_true reject_requeue_false" },
    { "tag", "administrator monitoring policymaker management impersonator" },
    { "configure", ".*" },
    { "write", ".*" },
    { "read", ".*" },
};

static void offer_values(struct ask *a, const char *prefix, const char *what)
{
    for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
        const char *words = choices[i][1], *word;
        size_t len;
        while (strcmp(choices[i][0], what) == 0 && lv_cli_word(&words, &word, &len)) {
            char text[128];
            snprintf(text, sizeof(text), "%s%.*s", prefix, (int)len, word);
            offer(a, text, NULL);
        }
    }
    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
        if (strcmp(sources[i].what, what) == 0)
            offer_names(a, prefix, sources[i].path, sources[i].field);
}

/* ---- parts of a line ---- */

static void offer_options(const struct ask *a, const struct lv_cli_command *command)
{
    const struct lv_cli_option *option;

    for (size_t i = 0; (option = lv_cli_option_at(i)) != NULL; i++) {
        char text[64];
        if (!lv_cli_option_fits(command, option))
            continue;
        snprintf(text, sizeof(text), "--%s", option->name);
        offer(a, text, option->help);
    }
    if (!lv_cli_command_is_admin(command))
        return;
    const char *keys = command->options, *key;
    size_t len;
    while (lv_cli_word(&keys, &key, &len)) {
        char text[64];
        len -= key[len - 1] == '!' || key[len - 1] == '?';
        snprintf(text, sizeof(text), "--%.*s", (int)len, key);
        for (char *at = text; (at = strchr(at, '_')) != NULL;)
            *at = '-';
        offer(a, text, NULL);
    }
}

static void offer_columns(const struct ask *a, const struct lv_cli_command *command)
{
    const struct lv_cli_column *column;

    for (size_t i = 0; (column = lv_cli_column_at(i)) != NULL; i++)
        if (strcmp(column->list, command->name) == 0)
            offer(a, column->name, NULL);
}

/* The argument at `place`, or the last when it repeats. */
static void offer_argument(struct ask *a, const struct lv_cli_command *command, size_t place)
{
    const char *at = command->arguments, *spec;
    size_t len;

    while (lv_cli_word(&at, &spec, &len)) {
        bool is_rest = memmem(spec, len, "...", 3) != NULL;
        if (place > 0 && !is_rest) {
            place--;
            continue;
        }
        char name[64];
        const char *word = strchr(spec, '<') + 1;
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, ">"), word);
        if (strcmp(name, "column") == 0)
            offer_columns(a, command);
        else if (strcmp(name, "name") == 0 && strstr(command->name, "policy") != NULL)
            offer_values(a, "",
                         strstr(command->name, "operator") != NULL ? "operator_policy" : "policy");
        else
            offer_values(a, "", name);
        return;
    }
}

/* key=value of rabbitmqadmin: keys, or values when = is there. */
static void offer_keys(struct ask *a, const struct lv_cli_command *command)
{
    const char *keys = command->options, *key, *equals = strchr(a->current, '=');
    size_t len;

    while (lv_cli_word(&keys, &key, &len)) {
        char text[80];
        len -= key[len - 1] == '!' || key[len - 1] == '?';
        snprintf(text, sizeof(text), "%.*s=", (int)len, key);
        if (equals == NULL) {
            offer(a, text, NULL);
        } else if (strncmp(a->current, text, len + 1) == 0) {
            char what[64];
            bool is_name = strncmp(text, "name=", 5) == 0;
            snprintf(what, sizeof(what), "%.*s", (int)len, key);
            offer_values(a, text, is_name ? strchr(command->name, ' ') + 1 : what);
        }
    }
}

static void offer_commands(const struct ask *a, enum lv_cli_program program)
{
    const struct lv_cli_command *command;
    char last[64] = "";

    for (size_t i = 0; (command = lv_cli_command_at(i)) != NULL; i++) {
        char verb[64];
        if (!lv_cli_command_in(command, program))
            continue;
        if (!lv_cli_command_is_admin(command)) {
            offer(a, command->name, command->help);
            continue;
        }
        snprintf(verb, sizeof(verb), "%.*s", (int)strcspn(command->name, " "), command->name);
        if (program == LV_CLI_ADMIN && strcmp(verb, last) != 0)
            offer(a, verb, NULL);
        snprintf(last, sizeof(last), "%s", verb);
    }
    if (program == LV_CLI_LEVERET)
        offer_all(a, "backup bench config inspect restore version rabbitmqctl rabbitmq-diagnostics "
                     "rabbitmqadmin");
}

static void offer_objects(const struct ask *a, const char *verb)
{
    const struct lv_cli_command *command;
    size_t len = strlen(verb);

    for (size_t i = 0; (command = lv_cli_command_at(i)) != NULL; i++)
        if (lv_cli_command_is_admin(command) && strncmp(command->name, verb, len) == 0 &&
            command->name[len] == ' ')
            offer(a, command->name + len + 1, command->help);
}

/* ---- a line ---- */

/* bash parts "name=x" in three; here it is one word again. */
static int joined(int argc, char **argv, char **words, struct ask *a)
{
    int count = 0;

    for (int i = 0; i < argc && count < WORDS_MAX; i++) {
        bool is_part = strcmp(argv[i], "=") == 0 && count > 0;
        if (!is_part) {
            words[count++] = argv[i];
            continue;
        }
        char *text = NULL;
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (asprintf(&text, "%s=%s", words[count - 1], value) < 0)
            text = NULL;
        words[count - 1] = lv_keep(text);
        i += i + 1 < argc;
        if (i + 1 >= argc)
            a->before = lv_keep(strndup(text, strcspn(text, "=") + 1));
    }
    return count;
}

static const struct lv_cli_command *command_of(enum lv_cli_program program, char **words,
                                               size_t count, size_t *used)
{
    const struct lv_cli_command *command = count > 0 ? lv_cli_command_find(program, words[0]) : NULL;

    *used = 1;
    if (command != NULL || (program != LV_CLI_ADMIN && program != LV_CLI_LEVERET) || count == 0)
        return command;
    if (count > 1 && (command = lv_cli_admin_find(words[0], words[1])) != NULL) {
        *used = 2;
        return command;
    }
    return lv_cli_admin_find(words[0], NULL);
}

/* Plain words of the line, without options and their values; an option that still waits for one in *waiting. */
static size_t plain_words(struct ask *a, enum lv_cli_program program, char **words, int count,
                          char **plain, const struct lv_cli_option **waiting)
{
    static const struct lv_cli_command common = { .kind = LV_CLI_RUN, .options = "" },
                                       admin = { .kind = LV_CLI_ADMIN_DO, .options = "" };
    size_t found = 0, used;

    *waiting = NULL;
    for (int i = 0; i < count; i++) {
        const char *word = words[i];
        if (*waiting != NULL) {
            if (strcmp((*waiting)->name, "vhost") == 0 || strcmp((*waiting)->name, "url") == 0 ||
                strcmp((*waiting)->name, "socket") == 0)
                lv_cli_set(&a->cli, (*waiting)->name, strlen((*waiting)->name), word);
            *waiting = NULL;
            continue;
        }
        if (word[0] != '-' || word[1] == '\0') {
            plain[found++] = words[i];
            continue;
        }
        const struct lv_cli_command *command = command_of(program, plain, found, &used);
        if (command == NULL)
            command = program == LV_CLI_ADMIN ? &admin : &common;
        bool is_long = word[1] == '-';
        const struct lv_cli_option *option =
            lv_cli_option_find(command, word + 2, strlen(word + 1 + is_long),
                               is_long ? '\0' : word[1]);
        if (option != NULL && option->value != NULL && option->value[0] != '=')
            *waiting = option;
    }
    return found;
}

static void complete(struct ask *a, enum lv_cli_program program, char **words, int count)
{
    char *plain[WORDS_MAX];
    const struct lv_cli_option *waiting;
    size_t used, found = plain_words(a, program, words, count, plain, &waiting);
    const struct lv_cli_command *command = command_of(program, plain, found, &used);

    if (waiting != NULL) {
        offer_values(a, "", waiting->name);
    } else if (a->current[0] == '-' && command != NULL) {
        offer_options(a, command);
    } else if (command == NULL && found == 0) {
        offer_commands(a, program);
    } else if (command == NULL) {
        offer_objects(a, plain[0]);
    } else if (!lv_cli_command_is_admin(command)) {
        offer_argument(a, command, found - used);
        if (command->run == lv_run_help)
            offer_commands(a, program);
    } else if (command->options[0] != '\0') {
        offer_keys(a, command);
    } else {
        offer_all(a, command->body != NULL ? command->body : "");
    }
}

int lv_cli_complete(int argc, char **argv)
{
    static const struct lv_cli_command asking = { .kind = LV_CLI_RUN, .options = "vhost" };
    static struct lv_endpoint endpoint;
    char *words[WORDS_MAX];
    enum lv_cli_program program;
    struct ask a = { .current = "", .before = "" };

    if (argc < 2 || !lv_cli_program_find(argv[1], &program))
        return EX_OK;
    a.has_help = strcmp(argv[0], "bash") != 0;
    int count = joined(argc - 2, argv + 2, words, &a);
    enum lv_cli_program named;
    int skipped = 0;
    if (program == LV_CLI_LEVERET && count > 1 && lv_cli_program_find(words[0], &named)) {
        program = named;
        skipped = 1;
    }
    a.cli = (struct lv_cli){ .program = program, .command = &asking, .out = stdout };
    lv_cli_set(&a.cli, "vhost", strlen("vhost"), "/");
    if (count > skipped)
        a.current = words[--count];
    /* Options on the line may say where the broker is: they are read before anybody asks it. */
    char *ignored[WORDS_MAX];
    const struct lv_cli_option *none;
    plain_words(&a, program, words + skipped, count - skipped, ignored, &none);
    if (lv_endpoint_find(&endpoint, lv_cli_var(&a.cli, "url"), lv_cli_var(&a.cli, "socket"),
                         &a.cli.fault)) {
        endpoint.timeout_ms = TIMEOUT_MS;
        a.cli.api = lv_api_open(&endpoint, &a.cli.fault);
    }
    complete(&a, program, words + skipped, count - skipped);
    lv_api_close(a.cli.api);
    return EX_OK;
}
