/* leveret config: what a setting means, what is set, and whether a file is good. */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "command.h"

static int usage(FILE *out, int code)
{
    fputs(
        "usage: leveret config explain KEY [FILE]   what KEY of rabbitmq.conf, or an option, "
        "means\n"
        "       leveret config list [FILE]          every setting, as a file would set it\n"
        "       leveret config changed [FILE]       those that are not default, and who set them\n"
        "       leveret config check FILE           whether the file is good\n\n"
        "Without FILE: what leveretd would find, with the environment.\n",
        out);
    return code;
}

static int tell_notes(const struct lv_config *c)
{
    const struct lv_config_note *note;
    int code = EX_OK;

    for (size_t i = 0; (note = lv_config_note(c, i)) != NULL; i++) {
        if (note->is_error)
            code = EX_CONFIG;
        fprintf(stderr, "%s%s\n", note->is_error ? "" : "notice: ", note->text);
    }
    return code;
}

static int no_memory(void)
{
    fputs("leveret: out of memory\n", stderr);
    return EX_OSERR;
}

/* As leveretd would load it, and with `file` in place of the one that it would look for. */
static enum lv_err load(const char *file, struct lv_config **out)
{
    char *argv[] = { "leveret", "--config", (char *)(uintptr_t)file };
    struct lv_config_sources from = { file != NULL ? 3 : 1, argv, environ, lv_config_etc };

    return lv_config_load(&from, out);
}

static int check(const char *file)
{
    struct lv_config *c;

    if (lv_config_check_file(file, &c) == LV_ENOMEM)
        return no_memory();
    int code = tell_notes(c);
    if (code == EX_OK)
        printf("%s: good\n", file);
    lv_config_free(c);
    return code;
}

static int list(const char *file, bool changed_only)
{
    struct lv_config *c;

    if (load(file, &c) == LV_ENOMEM)
        return no_memory();
    int code = tell_notes(c);
    size_t wanted = lv_config_list(c, changed_only, NULL, 0) + 1;
    char *text = code == EX_OK ? malloc(wanted) : NULL;
    if (text != NULL) {
        lv_config_list(c, changed_only, text, wanted);
        fputs(text, stdout);
    }
    free(text);
    lv_config_free(c);
    return code;
}

static int explain(const char *key, const char *file)
{
    char text[4096];
    struct lv_config *c;
    int code = EX_OK;

    enum lv_err err = load(file, &c);
    if (err == LV_ENOMEM)
        return no_memory();
    if (lv_config_explain(err == LV_OK ? c : NULL, key, text, sizeof(text)) != 0) {
        fputs(text, stdout);
    } else {
        fprintf(stderr, "leveret: no setting '%s'", key);
        fprintf(stderr, text[0] != '\0' ? " (did you mean '%s'?)\n" : "\n", text);
        code = EX_DATAERR;
    }
    lv_config_free(c);
    return code;
}

int lv_command_config(int argc, char **argv)
{
    const char *verb = argc > 0 ? argv[0] : "";
    const char *first = argc > 1 ? argv[1] : NULL, *second = argc > 2 ? argv[2] : NULL;

    if (strcmp(verb, "--help") == 0)
        return usage(stdout, EX_OK);
    if (strcmp(verb, "explain") == 0 && (argc == 2 || argc == 3))
        return explain(first, second);
    if (strcmp(verb, "check") == 0 && argc == 2)
        return check(first);
    if ((strcmp(verb, "list") == 0 || strcmp(verb, "changed") == 0) && argc <= 2)
        return list(first, verb[0] == 'c');
    return usage(stderr, EX_USAGE);
}
