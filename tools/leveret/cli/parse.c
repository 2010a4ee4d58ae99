/* The words of a command line: which command, which arguments, which options. */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli.h"

#define BOLD "\033[1m"
#define PLAIN "\033[0m"

/* ---- variables ---- */

const char *lv_cli_var(const struct lv_cli *c, const char *name)
{
    for (size_t i = 0; i < c->var_count; i++)
        if (c->vars[i].name_len == strlen(name) &&
            memcmp(c->vars[i].name, name, c->vars[i].name_len) == 0)
            return c->vars[i].value;
    return NULL;
}

bool lv_cli_has(const struct lv_cli *c, const char *name)
{
    return lv_cli_var(c, name) != NULL;
}

void lv_cli_set(struct lv_cli *c, const char *name, size_t name_len, const char *value)
{
    size_t i;

    for (i = 0; i < c->var_count; i++)
        if (c->vars[i].name_len == name_len && memcmp(c->vars[i].name, name, name_len) == 0)
            break;
    if (i == LV_CLI_VARS_MAX)
        return; /* more than there are options and arguments */
    c->vars[i].name = name;
    c->vars[i].name_len = name_len;
    c->vars[i].value = value;
    if (i == c->var_count)
        c->var_count++;
}

/* Variables have _ where words have -. */
static void set_word(struct lv_cli *c, const char *word, size_t len, const char *value)
{
    char *name = lv_keep(strndup(word, len));

    for (char *at = name; (at = strchr(at, '-')) != NULL;)
        *at = '_';
    lv_cli_set(c, name, len, value);
}

char *lv_cli_join(const struct lv_cli *c, const char *between)
{
    char *text = NULL;
    size_t size;
    FILE *out = lv_need(open_memstream(&text, &size));

    for (size_t i = 0; i < c->rest_count; i++)
        fprintf(out, "%s%s", i > 0 ? between : "", c->rest[i]);
    fclose(out);
    return lv_need(text);
}

bool lv_cli_number(struct lv_cli *c, const char *name, long missing, long *out)
{
    const char *text = lv_cli_var(c, name);
    char *end;

    *out = missing;
    if (text == NULL || strcmp(text, "infinity") == 0)
        return true;
    *out = strtol(text, &end, 10);
    if (end != text && *end == '\0' && *out >= 0 && *out <= 1000000000)
        return true;
    lv_cli_fail(c, EX_USAGE, "%s: '%s' is not a number", name, text);
    return false;
}

/* rabbitmqadmin's objects have keys of the same names as these options. */
static const char *variable_of(const struct lv_cli_option *option)
{
    static const char *const own[][2] = { { "password", "login_password" },
                                          { "username", "login" },
                                          { "node", "section" } };

    for (size_t i = 0; option->scope == LV_CLI_ADMIN_ONLY && i < sizeof(own) / sizeof(own[0]); i++)
        if (strcmp(option->name, own[i][0]) == 0)
            return own[i][1];
    return option->name;
}

/* ---- errors ---- */

static int bad_usage(struct lv_cli *c, const char *format, const char *word)
{
    if (lv_cli_command_is_admin(c->command)) {
        fputs("\nERROR: ", stderr);
        fprintf(stderr, format, word);
        fprintf(stderr, "\n\n%s --help for help\n\n", lv_cli_program_name(c->program));
        return EX_USAGE;
    }
    fputs("Error (argument validation): ", stderr);
    fprintf(stderr, format, word);
    fputs("\nArguments given:\n\t", stderr);
    for (int i = 0; i < c->argc; i++)
        fprintf(stderr, "%s%s", i > 0 ? " " : "", c->argv[i]);
    fputs("\n\n" BOLD "Usage" PLAIN "\n\n", stderr);
    lv_cli_usage(c, c->command, stderr);
    return EX_USAGE;
}

static bool is_verb(const char *word)
{
    const struct lv_cli_command *command;
    size_t len = strlen(word);

    for (size_t i = 0; (command = lv_cli_command_at(i)) != NULL; i++)
        if (lv_cli_command_is_admin(command) && strncmp(command->name, word, len) == 0 &&
            command->name[len] == ' ')
            return true;
    return false;
}

/* `object`: the word behind it, or NULL. */
static int no_admin_command(const char *word, const char *object)
{
    const char *near = lv_cli_nearest(word, LV_CLI_ADMIN);

    if (is_verb(word) && object == NULL)
        fputs("\nERROR: Type not specified\n", stderr);
    else if (is_verb(word))
        fprintf(stderr, "\nERROR: Don't know how to %s %s\n", word, object);
    else
        fprintf(stderr, "\nERROR: Action %s not understood\n", word);
    if (near != NULL)
        fprintf(stderr, "Did you mean '%s'?\n", near);
    fputs("\nrabbitmqadmin --help for help\n\n", stderr);
    return EX_USAGE;
}

static int no_command(struct lv_cli *c, const char *word)
{
    const char *near = lv_cli_nearest(word, c->program);

    if (near != NULL) {
        fprintf(stderr, "\nCommand '%s' not found. \nDid you mean '%s'? \n\n", word, near);
        return EX_USAGE;
    }
    fprintf(stderr, "\nCommand '%s' not found. \n", word);
    lv_cli_help(c, NULL, stderr);
    return EX_USAGE;
}

/* ---- options ---- */

/* In front of a command there may be what all have. */
static const struct lv_cli_command any_plain = { .kind = LV_CLI_RUN, .options = "" },
                                   any_admin = { .kind = LV_CLI_ADMIN_DO, .options = "" };

static const struct lv_cli_command *as_known(const struct lv_cli *c)
{
    if (c->command != NULL)
        return c->command;
    return c->program == LV_CLI_ADMIN ? &any_admin : &any_plain;
}

static const struct lv_cli_option *option_of(const struct lv_cli *c, const char *word,
                                             const char **value)
{
    bool is_long = word[1] == '-';
    const char *name = word + 1 + is_long;
    size_t len = is_long ? strcspn(name, "=") : 1;

    *value = is_long && name[len] == '=' ? name + len + 1 : NULL;
    if (!is_long && name[1] != '\0')
        *value = name + 1 + (name[1] == '='); /* -p/vhost, -p=/vhost */
    const struct lv_cli_option *option =
        lv_cli_option_find(as_known(c), name, len, is_long ? '\0' : name[0]);
    bool is_admin =
        c->program == LV_CLI_ADMIN || (c->program == LV_CLI_LEVERET && c->command == NULL);
    if (option == NULL && is_admin)
        option = lv_cli_option_find(&any_admin, name, len, is_long ? '\0' : name[0]);
    return option;
}

/* A key of one of rabbitmqadmin's objects, with the names that either version has for it. */
static bool find_key(const struct lv_cli_command *command, const char *name, size_t len,
                     const char **key, size_t *key_len, bool *is_flag)
{
    static const char *const also[][2] = { { "type", "queue_type" },
                                           { "ack-mode", "ackmode" },
                                           { "tag_list", "tags" } };
    const char *words = command->options, *word;
    size_t word_len;
    char wanted[64];

    snprintf(wanted, sizeof(wanted), "%.*s", (int)len, name);
    for (char *at = wanted; (at = strchr(at, '-')) != NULL;)
        *at = '_';
    while (lv_cli_word(&words, &word, &word_len)) {
        size_t bare = word_len - (word[word_len - 1] == '!' || word[word_len - 1] == '?');
        char known[64];
        snprintf(known, sizeof(known), "%.*s", (int)bare, word);
        for (char *at = known; (at = strchr(at, '-')) != NULL;)
            *at = '_';
        if (strcmp(known, wanted) == 0) {
            *key = word;
            *key_len = bare;
            *is_flag = word[word_len - 1] == '?';
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(also) / sizeof(also[0]); i++)
        if (strlen(also[i][0]) == len && strncmp(also[i][0], name, len) == 0)
            return find_key(command, also[i][1], strlen(also[i][1]), key, key_len, is_flag);
    return false;
}

/* Steps over the option at argv[i], and takes it when the command is known. Gives the place of the next word, or -1. In front of
 * the command (`is_before`) no option is a key of its object. */
static int take_option(struct lv_cli *c, int argc, char **argv, int i, bool is_before)
{
    const char *value, *key;
    size_t key_len;
    bool is_flag;
    const struct lv_cli_option *option = option_of(c, argv[i], &value);

    if (c->command != NULL && lv_cli_command_is_admin(c->command) && argv[i][1] == '-' &&
        !is_before && strncmp(argv[i], "--node", 6) != 0) {
        const char *name = argv[i] + 2;
        size_t len = strcspn(name, "=");
        if (find_key(c->command, name, len, &key, &key_len, &is_flag)) {
            if (!is_flag && value == NULL && name[len] == '=')
                value = name + len + 1;
            if (!is_flag && value == NULL && i + 1 < argc)
                value = argv[++i];
            if (!is_flag && value == NULL)
                return bad_usage(c, "%s needs a value", argv[i]), -1;
            set_word(c, key, key_len, is_flag ? "true" : value);
            return i + 1;
        }
    }
    if (option == NULL) {
        if (c->command == NULL)
            return i + 1;
        bad_usage(c,
                  lv_cli_command_is_admin(c->command) ? "no such option: %s"
                                                      : "Invalid options for this command:\n%s : ",
                  argv[i]);
        return -1;
    }
    bool has_value = option->value != NULL && option->value[0] != '=';
    if (has_value && value == NULL && i + 1 < argc)
        value = argv[++i];
    if (c->command == NULL)
        return i + 1;
    if (has_value && value == NULL)
        return bad_usage(c, "%s needs a value", argv[i]), -1;
    if (!has_value && option->value == NULL && value != NULL && strcmp(value, "false") == 0)
        return i + 1;
    const char *variable = variable_of(option);
    set_word(c, variable, strlen(variable), option->value == NULL || value == NULL ? "true" : value);
    return i + 1;
}

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0';
}

/* ---- which command ---- */

/* The first words that are no options: at most `max`, their places in argv. */
static int first_words(struct lv_cli *c, int argc, char **argv, int *places, int max)
{
    int found = 0;

    for (int i = 0; i < argc && found < max;) {
        if (strcmp(argv[i], "--") == 0)
            break;
        if (is_option(argv[i])) {
            i = take_option(c, argc, argv, i, true);
            continue;
        }
        places[found++] = i++;
    }
    return found;
}

static const struct lv_cli_command *find_command(struct lv_cli *c, int argc, char **argv,
                                                 int *places, int *used)
{
    const struct lv_cli_command *command = NULL;
    int found = first_words(c, argc, argv, places, 2);

    *used = 1;
    if (found == 0)
        return NULL;
    if ((command = lv_cli_command_find(c->program, argv[places[0]])) != NULL)
        return command;
    if (c->program != LV_CLI_ADMIN && c->program != LV_CLI_LEVERET)
        return NULL;
    if (found == 2 && (command = lv_cli_admin_find(argv[places[0]], argv[places[1]])) != NULL) {
        *used = 2;
        c->is_second = !is_verb(argv[places[0]]) || command->kind == LV_CLI_ADMIN_RUN;
        return command;
    }
    return lv_cli_admin_find(argv[places[0]], NULL);
}

bool lv_cli_knows(const char *word)
{
    if (lv_cli_command_find(LV_CLI_LEVERET, word) != NULL || lv_cli_admin_find(word, NULL) != NULL)
        return true;
    for (size_t i = 0; lv_cli_command_at(i) != NULL; i++) {
        const struct lv_cli_command *command = lv_cli_command_at(i);
        if (!lv_cli_command_is_admin(command))
            continue;
        const char *object = strchr(command->name, ' ') + 1;
        char verb[64];
        snprintf(verb, sizeof(verb), "%.*s", (int)(object - 1 - command->name), command->name);
        if (lv_cli_admin_find(word, object) != NULL || lv_cli_admin_find(verb, word) == command)
            return true;
    }
    return false;
}

/* ---- arguments ---- */

static int take_arguments(struct lv_cli *c, char **words, size_t count)
{
    const char *at = c->command->arguments, *spec;
    size_t len, taken = 0;

    while (lv_cli_word(&at, &spec, &len)) {
        const char *name = strchr(spec, '<') + 1;
        size_t name_len = strcspn(name, ">");
        bool is_optional = spec[0] == '[', is_rest = memmem(spec, len, "...", 3) != NULL;
        if (is_rest) {
            if (!is_optional && taken == count)
                return bad_usage(c, "not enough arguments.%s", "");
            c->rest = words + taken;
            c->rest_count = count - taken;
            taken = count;
            set_word(c, name, name_len, lv_keep(lv_cli_join(c, ", ")));
        } else if (taken < count) {
            set_word(c, name, name_len, words[taken++]);
        } else if (!is_optional) {
            return bad_usage(c, "not enough arguments.%s", "");
        }
    }
    return taken == count ? EX_OK : bad_usage(c, "too many arguments.%s", "");
}

/* What lists show instead of their own columns. */
static void take_columns(struct lv_cli *c, char **words, size_t count)
{
    c->rest = words;
    c->rest_count = count;
}

static int take_key(struct lv_cli *c, const char *word)
{
    const char *equals = strchr(word, '='), *key;
    size_t len = (size_t)(equals - word), key_len;
    bool is_flag;

    if (len == 5 && strncmp(word, "vhost", 5) == 0) {
        set_word(c, word, len, equals + 1);
        return EX_OK;
    }
    if (!find_key(c->command, word, len, &key, &key_len, &is_flag)) {
        char *name = lv_keep(strndup(word, len));
        return bad_usage(c, "Argument \"%s\" is not recognised", name);
    }
    set_word(c, key, key_len, equals + 1);
    return EX_OK;
}

static int check_keys(struct lv_cli *c)
{
    const char *words = c->command->options, *word;
    size_t len;

    while (lv_cli_word(&words, &word, &len)) {
        char name[64];
        if (word[len - 1] != '!')
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)len - 1, word);
        char *variable = lv_keep(strdup(name));
        for (char *at = variable; (at = strchr(at, '-')) != NULL;)
            *at = '_';
        if (!lv_cli_has(c, variable))
            return bad_usage(c, "mandatory argument \"%s\" is required", variable);
    }
    return EX_OK;
}

static int take_admin_arguments(struct lv_cli *c, char **words, size_t count)
{
    bool is_list = c->command->kind == LV_CLI_ADMIN_DO && strcmp(c->command->method, "GET") == 0;

    if (is_list && c->command->options[0] == '\0') {
        take_columns(c, words, count);
        return EX_OK;
    }
    for (size_t i = 0; i < count; i++) {
        if (strchr(words[i], '=') != NULL) {
            int code = take_key(c, words[i]);
            if (code != EX_OK)
                return code;
        } else if (c->command->arguments[0] != '\0' && !lv_cli_has(c, "file")) {
            set_word(c, "file", 4, words[i]);
        } else {
            return bad_usage(c, "Argument \"%s\" not in the form name=value", words[i]);
        }
    }
    return check_keys(c);
}

/* ---- all of it ---- */

/* Defaults are set first: what is given replaces them. */
static void set_defaults(struct lv_cli *c)
{
    for (size_t i = 0; lv_cli_option_at(i) != NULL; i++) {
        const struct lv_cli_option *option = lv_cli_option_at(i);
        if (option->by_default != NULL && lv_cli_option_fits(c->command, option))
            set_word(c, variable_of(option), strlen(variable_of(option)), option->by_default);
    }
}

static int read_format(struct lv_cli *c)
{
    static const char *const names[] = {
        [LV_CLI_FORMAT_TABLE] = "table",         [LV_CLI_FORMAT_CSV] = "csv",
        [LV_CLI_FORMAT_JSON] = "json",           [LV_CLI_FORMAT_JSON_STREAM] = "json_stream",
        [LV_CLI_FORMAT_PRETTY] = "pretty_table", [LV_CLI_FORMAT_ERLANG] = "erlang"
    };
    const char *asked = lv_cli_var(c, "formatter");

    c->is_silent = lv_cli_has(c, "silent");
    c->is_quiet = c->is_silent || lv_cli_has(c, "quiet");
    c->has_headers = !c->is_silent && !lv_cli_has(c, "no_table_headers");
    if (asked == NULL)
        return EX_OK;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(asked, names[i]) == 0) {
            c->format = (enum lv_cli_format)i;
            return EX_OK;
        }
    }
    return bad_usage(c, "no formatter '%s'", asked);
}

/* Every word but the command's own: options go to their variables, the others stay. */
static int take_words(struct lv_cli *c, int argc, char **argv, const int *places, int used)
{
    char **words = lv_keep(calloc((size_t)argc + 1, sizeof(*words)));
    size_t count = 0;
    bool is_open = true; /* no -- yet */

    for (int i = 0; i < argc;) {
        if (i == places[0] || (used == 2 && i == places[1])) {
            i++;
        } else if (is_open && strcmp(argv[i], "--") == 0) {
            is_open = false;
            i++;
        } else if (is_open && is_option(argv[i])) {
            i = take_option(c, argc, argv, i, i < places[0]);
            if (i < 0)
                return EX_USAGE;
        } else {
            words[count++] = argv[i++];
        }
    }
    if (lv_cli_has(c, "help"))
        return LV_CLI_WANTS_HELP;
    if (lv_cli_has(c, "version"))
        return LV_CLI_WANTS_VERSION;
    int code = read_format(c);
    if (code != EX_OK)
        return code;
    if (lv_cli_command_is_admin(c->command))
        return take_admin_arguments(c, words, count);
    return take_arguments(c, words, count);
}

static bool asks_for(int argc, char **argv, const char *word, const char *letter)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], word) == 0 || strcmp(argv[i], letter) == 0)
            return true;
    return false;
}

int lv_cli_parse(struct lv_cli *c, int argc, char **argv)
{
    int places[2] = { 0, 0 }, used;

    c->argc = argc;
    c->argv = argv;
    const struct lv_cli_command *command = find_command(c, argc, argv, places, &used);
    if (command != NULL) {
        c->command = command;
        set_defaults(c);
        return take_words(c, argc, argv, places, used);
    }
    int found = first_words(c, argc, argv, places, 2);
    if (found > 0 &&
        (c->program == LV_CLI_ADMIN || (c->program == LV_CLI_LEVERET && is_verb(argv[places[0]]))))
        return no_admin_command(argv[places[0]], found > 1 ? argv[places[1]] : NULL);
    if (found > 0)
        return no_command(c, argv[places[0]]);
    if (asks_for(argc, argv, "--version", "-V"))
        return LV_CLI_WANTS_VERSION;
    if (asks_for(argc, argv, "--help", "-h") || asks_for(argc, argv, "-?", "-?"))
        return LV_CLI_WANTS_HELP;
    lv_cli_help(c, NULL, stderr);
    return EX_USAGE;
}
