#include "spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/assert.h"
#include "run.h"

static const struct lv_cli_command commands[] = {
#define LV_LIST(programs, group, name, arguments, options, path, columns, banner, errors, help) \
    { LV_CLI_LIST, programs, group,  #name, arguments, options, NULL, "GET",                    \
      path,        columns,  banner, NULL,  errors,    EX_OK,   help },
#define LV_DO(programs, group, name, arguments, options, method, path, body, banner, done, errors, \
              help)                                                                                \
    { LV_CLI_DO, programs, group,  #name, arguments, options, NULL, method,                        \
      path,      body,     banner, done,  errors,    EX_OK,   help },
#define LV_RUN(programs, group, name, arguments, options, function, banner, help)            \
    { LV_CLI_RUN, programs, group, #name, arguments, options, lv_run_##function, NULL, NULL, \
      NULL,       banner,   NULL,  NULL,  EX_OK,     help },
#define LV_SAY(programs, group, name, arguments, code, text, help)     \
    { LV_CLI_SAY, programs, group, #name, arguments, "",   NULL, NULL, \
      NULL,       NULL,     NULL,  text,  NULL,      code, help },
#define LV_ADMIN(name, keys, method, path, body, done, help) \
    { LV_CLI_ADMIN_DO,                                       \
      "A",                                                   \
      "rabbitmqadmin",                                       \
      #name,                                                 \
      "",                                                    \
      keys,                                                  \
      NULL,                                                  \
      method,                                                \
      path,                                                  \
      body,                                                  \
      NULL,                                                  \
      done,                                                  \
      NULL,                                                  \
      EX_OK,                                                 \
      help },
#define LV_ADMIN_RUN(name, keys, function, help) \
    { LV_CLI_ADMIN_RUN,                          \
      "A",                                       \
      "rabbitmqadmin",                           \
      #name,                                     \
      "[<file>]",                                \
      keys,                                      \
      lv_run_##function,                         \
      NULL,                                      \
      NULL,                                      \
      NULL,                                      \
      NULL,                                      \
      NULL,                                      \
      NULL,                                      \
      EX_OK,                                     \
      help },
#include "command.def"
#undef LV_LIST
#undef LV_DO
#undef LV_RUN
#undef LV_SAY
#undef LV_ADMIN
#undef LV_ADMIN_RUN
};

#define ALL LV_CLI_ALL
#define ONE LV_CLI_ONE
#define ADMIN LV_CLI_ADMIN_ONLY
#define BOTH LV_CLI_BOTH
static const struct lv_cli_option options[] = {
#define LV_OPTION(name, letter, value, by_default, scope, help) \
    { name, letter, value, by_default, scope, help },
#include "option.def"
#undef LV_OPTION
};
#undef ALL
#undef ONE
#undef ADMIN
#undef BOTH

static const struct lv_cli_column columns[] = {
#define LV_COLUMN(list, name, path, kind) { #list, name, path, LV_CLI_##kind },
#include "column.def"
#undef LV_COLUMN
};

static const struct {
    const char *name;
    char letter;
} programs[LV_CLI_PROGRAMS] = {
    [LV_CLI_LEVERET] = { "leveret", 'L' },
    [LV_CLI_CTL] = { "rabbitmqctl", 'C' },
    [LV_CLI_DIAGNOSTICS] = { "rabbitmq-diagnostics", 'D' },
    [LV_CLI_QUEUES] = { "rabbitmq-queues", 'Q' },
    [LV_CLI_STREAMS] = { "rabbitmq-streams", 'S' },
    [LV_CLI_UPGRADE] = { "rabbitmq-upgrade", 'U' },
    [LV_CLI_PLUGINS] = { "rabbitmq-plugins", 'P' },
    [LV_CLI_ADMIN] = { "rabbitmqadmin", 'A' },
};

const char *lv_cli_program_name(enum lv_cli_program program)
{
    LV_ASSERT(program < LV_CLI_PROGRAMS);
    return programs[program].name;
}

bool lv_cli_program_find(const char *name, enum lv_cli_program *program)
{
    for (unsigned i = 0; i < LV_CLI_PROGRAMS; i++) {
        if (strcmp(programs[i].name, name) == 0) {
            *program = (enum lv_cli_program)i;
            return true;
        }
    }
    return false;
}

const struct lv_cli_command *lv_cli_command_at(size_t i)
{
    return i < LV_ARRAY_LEN(commands) ? &commands[i] : NULL;
}

const struct lv_cli_option *lv_cli_option_at(size_t i)
{
    return i < LV_ARRAY_LEN(options) ? &options[i] : NULL;
}

const struct lv_cli_column *lv_cli_column_at(size_t i)
{
    return i < LV_ARRAY_LEN(columns) ? &columns[i] : NULL;
}

bool lv_cli_command_is_admin(const struct lv_cli_command *command)
{
    return command->kind == LV_CLI_ADMIN_DO || command->kind == LV_CLI_ADMIN_RUN;
}

bool lv_cli_command_in(const struct lv_cli_command *command, enum lv_cli_program program)
{
    /* A plugin's `list` and `set` would be mysterious words at the top of leveret. */
    if (program == LV_CLI_LEVERET)
        return command->programs[0] != programs[LV_CLI_PLUGINS].letter;
    return strchr(command->programs, programs[program].letter) != NULL;
}

static bool is_same_word(const char *a, const char *b)
{
    for (; *a != '\0' || *b != '\0'; a++, b++)
        if (*a != *b && !(*a == '_' && *b == '-') && !(*a == '-' && *b == '_'))
            return false;
    return true;
}

const struct lv_cli_command *lv_cli_command_find(enum lv_cli_program program, const char *name)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(commands); i++)
        if (!lv_cli_command_is_admin(&commands[i]) && lv_cli_command_in(&commands[i], program) &&
            is_same_word(commands[i].name, name))
            return &commands[i];
    return NULL;
}

/* ---- rabbitmqadmin: verb and object ---- */

/* What version 2 calls them, and what is done. */
static const char *const verbs[][2] = {
    { "set", "declare" },
    { "clear", "delete" },
    { "list_all", "list" },
    { "list_in", "list" },
    { "bind", "declare" },
    { "unbind", "delete" },
    { "export_from_vhost", "export" },
    { "import_into_vhost", "import" },
};

static const char *verb_of(const char *word, const char *object, const char **object_out)
{
    *object_out = object;
    if (strcmp(word, "bind") == 0 || strcmp(word, "unbind") == 0)
        *object_out = "binding";
    for (size_t i = 0; i < LV_ARRAY_LEN(verbs); i++)
        if (is_same_word(verbs[i][0], word))
            return verbs[i][1];
    return word;
}

/* "queues" for "queue", "policies" for "policy", and the other way round. */
static bool is_same_noun(const char *a, const char *b)
{
    size_t a_len = strlen(a), b_len = strlen(b);

    if (a_len > b_len)
        return is_same_noun(b, a);
    if (is_same_word(a, b))
        return true;
    if (b_len == a_len + 1)
        return strncmp(a, b, a_len) == 0 && b[a_len] == 's';
    return b_len == a_len + 2 && a[a_len - 1] == 'y' && strncmp(a, b, a_len - 1) == 0 &&
           strcmp(b + a_len - 1, "ies") == 0;
}

static const struct lv_cli_command *find_pair(const char *verb, const char *object)
{
    char known_verb[64];

    for (size_t i = 0; i < LV_ARRAY_LEN(commands); i++) {
        const char *blank = strchr(commands[i].name, ' ');
        if (!lv_cli_command_is_admin(&commands[i]))
            continue;
        snprintf(known_verb, sizeof(known_verb), "%.*s", (int)(blank - commands[i].name),
                 commands[i].name);
        if (verb != NULL && !is_same_word(known_verb, verb))
            continue;
        if (object == NULL ? commands[i].kind == LV_CLI_ADMIN_RUN : is_same_noun(blank + 1, object))
            return &commands[i];
    }
    return NULL;
}

const struct lv_cli_command *lv_cli_admin_find(const char *verb, const char *object)
{
    const struct lv_cli_command *found;
    const char *other;

    if (object == NULL)
        return find_pair(verb, NULL);
    const char *plain = verb_of(verb, object, &other);
    if ((found = find_pair(plain, other)) != NULL)
        return found;
    plain = verb_of(object, verb, &other);
    return find_pair(plain, other);
}

/* ---- nearest ---- */

#define NAME_MAX_BYTES 64

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    return LV_MIN(LV_MIN(a, b), c);
}

/* Letters to insert, drop, change, or swap with their neighbour, to make `a` of `b`. */
static unsigned distance(const char *a, const char *b)
{
    unsigned rows[3][NAME_MAX_BYTES + 1];
    size_t n = strlen(a), m = strlen(b);

    if (n > NAME_MAX_BYTES || m > NAME_MAX_BYTES)
        return NAME_MAX_BYTES;
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = LV_MIN(row[j], above2[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

const char *lv_cli_nearest(const char *name, enum lv_cli_program program)
{
    const char *best = NULL;
    unsigned least = (unsigned)strlen(name) / 3 + 1;

    for (size_t i = 0; i < LV_ARRAY_LEN(commands); i++) {
        if (!lv_cli_command_in(&commands[i], program))
            continue;
        unsigned d = distance(name, commands[i].name);
        if (d <= least && (best == NULL || d < least)) {
            least = d;
            best = commands[i].name;
        }
    }
    return best;
}

/* ---- options and columns ---- */

bool lv_cli_word(const char **at, const char **word, size_t *len)
{
    *word = *at + strspn(*at, " ");
    *len = strcspn(*word, " ");
    *at = *word + *len;
    return *len != 0;
}

static bool has_word(const char *words, const char *name)
{
    const char *word;
    size_t len;

    while (lv_cli_word(&words, &word, &len))
        if (strlen(name) == len && memcmp(word, name, len) == 0)
            return true;
    return false;
}

bool lv_cli_option_fits(const struct lv_cli_command *command, const struct lv_cli_option *option)
{
    bool is_admin = lv_cli_command_is_admin(command);

    switch (option->scope) {
    case LV_CLI_BOTH:
        return true;
    case LV_CLI_ALL:
        return !is_admin;
    case LV_CLI_ADMIN_ONLY:
        return is_admin;
    case LV_CLI_ONE:
        return !is_admin && has_word(command->options, option->name);
    }
    return false;
}

/* The length of the part that must match: words of options are separated by - and _ alike. */
static bool is_named(const struct lv_cli_option *option, const char *name, size_t len)
{
    char word[NAME_MAX_BYTES];

    if (len >= sizeof(word))
        return false;
    memcpy(word, name, len);
    word[len] = '\0';
    return is_same_word(option->name, word);
}

const struct lv_cli_option *lv_cli_option_find(const struct lv_cli_command *command,
                                               const char *name, size_t name_len, char letter)
{
    const struct lv_cli_option *found = NULL;

    for (size_t i = 0; i < LV_ARRAY_LEN(options); i++) {
        bool is_it =
            letter != 0 ? options[i].letter == letter : is_named(&options[i], name, name_len);
        if (!is_it || !lv_cli_option_fits(command, &options[i]))
            continue;
        /* A letter of the command's own comes before a common one. */
        if (found == NULL || options[i].scope == LV_CLI_ONE)
            found = &options[i];
    }
    return found;
}

const struct lv_cli_column *lv_cli_column_find(const char *list, const char *name, size_t name_len)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(columns); i++)
        if (strcmp(columns[i].list, list) == 0 && strlen(columns[i].name) == name_len &&
            memcmp(columns[i].name, name, name_len) == 0)
            return &columns[i];
    return NULL;
}
