/* One command line from its first word to the exit code. */
#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "admin.h"
#include "list.h"
#include "run.h"

#define SECRET_BYTES_MAX 4096
#define WATCH_DEFAULT_S 2

/* ---- what is said ---- */

bool lv_cli_is_json(const struct lv_cli *c)
{
    return c->format == LV_CLI_FORMAT_JSON || c->format == LV_CLI_FORMAT_JSON_STREAM;
}

bool lv_cli_has_banner(const struct lv_cli *c)
{
    return !c->is_quiet && !lv_cli_is_json(c) && c->format != LV_CLI_FORMAT_CSV;
}

bool lv_cli_banner(struct lv_cli *c, const char *template)
{
    if (template == NULL || !lv_cli_has_banner(c))
        return true;
    char *text = lv_cli_text(c, template, NULL);
    if (text == NULL)
        return false;
    fprintf(c->out, "%s\n", text);
    fflush(c->out);
    free(text);
    return true;
}

int lv_cli_say(struct lv_cli *c, const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    lv_need(text);
    if (lv_cli_is_json(c)) {
        json_t *object = json_pack("{s: s}", "message", text);
        json_dumpf(object, c->out, JSON_COMPACT);
        fputc('\n', c->out);
        json_decref(object);
    } else {
        fprintf(c->out, "%s\n", text);
    }
    free(text);
    return EX_OK;
}

int lv_cli_ok(struct lv_cli *c)
{
    if (lv_cli_is_json(c))
        fputs("{\"result\":\"ok\"}\n", c->out);
    return EX_OK;
}

/* ---- secrets ---- */

static void set_echo(bool is_on)
{
    struct termios t;

    if (tcgetattr(STDIN_FILENO, &t) != 0)
        return;
    t.c_lflag = is_on ? t.c_lflag | ECHO : t.c_lflag & ~(tcflag_t)ECHO;
    tcsetattr(STDIN_FILENO, TCSANOW, &t);
}

char *lv_cli_secret(const char *prompt)
{
    char line[SECRET_BYTES_MAX];
    bool is_terminal = isatty(STDIN_FILENO) != 0;

    if (is_terminal) {
        fprintf(stderr, "%s", prompt);
        set_echo(false);
    }
    bool is_read = fgets(line, sizeof(line), stdin) != NULL;
    if (is_terminal) {
        set_echo(true);
        fputc('\n', stderr);
    }
    if (!is_read)
        return NULL;
    line[strcspn(line, "\r\n")] = '\0';
    return line[0] != '\0' ? lv_keep(strdup(line)) : NULL;
}

/* ---- kinds of commands ---- */

static bool is_check(const struct lv_cli *c)
{
    return strncmp(c->command->name, "check_", 6) == 0;
}

static int run_do(struct lv_cli *c)
{
    const struct lv_cli_command *command = c->command;
    json_t *body = NULL, *answer = NULL;

    if (!lv_cli_banner(c, command->banner))
        return c->fault.code;
    if (command->body != NULL && (body = lv_cli_body(c, command->body)) == NULL)
        return c->fault.code;
    bool is_done = command->method == NULL ? lv_cli_overview(c) != NULL
                                           : lv_cli_request(c, command->method, command->path, body,
                                                            command->errors, &answer);
    if (!is_done && c->fault.code == EX_OK)
        is_done = true; /* what was missing is no error */
    char *done = is_done && command->done != NULL ? lv_cli_text(c, command->done, answer) : NULL;
    if (done != NULL && !(is_check(c) && c->is_silent))
        lv_cli_say(c, "%s", done);
    else if (is_done && done == NULL)
        lv_cli_ok(c);
    free(done);
    json_decref(answer);
    return c->fault.code;
}

static int run_say(struct lv_cli *c)
{
    if (c->command->code == EX_OK)
        return lv_cli_say(c, "%s", c->command->done);
    return lv_cli_fail(c, c->command->code, "%s: %s", c->command->name, c->command->done);
}

int lv_cli_run(struct lv_cli *c)
{
    switch (c->command->kind) {
    case LV_CLI_LIST:
        return lv_list_run(c);
    case LV_CLI_DO:
        return run_do(c);
    case LV_CLI_SAY:
        return run_say(c);
    case LV_CLI_ADMIN_DO:
        return lv_admin_run(c);
    case LV_CLI_RUN:
        if (!lv_cli_banner(c, c->command->banner))
            return c->fault.code;
        break;
    case LV_CLI_ADMIN_RUN:
        break;
    }
    return c->command->run(c);
}

/* ---- again and again ---- */

/* Over the one before, line by line, and what was below it goes: no blank screen in between. */
static void put_frame(FILE *screen, const char *frame, bool is_terminal)
{
    if (!is_terminal) {
        fprintf(screen, "%s\n", frame);
        return;
    }
    fputs("\033[H", screen);
    for (; *frame != '\0'; frame++) {
        if (*frame == '\n')
            fputs("\033[K", screen);
        fputc(*frame, screen);
    }
    fputs("\033[J", screen);
}

static int run_watched(struct lv_cli *c)
{
    long every = WATCH_DEFAULT_S;
    int code = EX_OK;

    if (strcmp(lv_cli_var(c, "watch"), "true") != 0 &&
        !lv_cli_number(c, "watch", WATCH_DEFAULT_S, &every))
        return c->fault.code;
    FILE *screen = c->out;
    while (code == EX_OK) {
        char *frame = NULL;
        size_t size;
        c->out = lv_need(open_memstream(&frame, &size));
        code = lv_cli_run(c);
        fclose(c->out);
        c->out = screen;
        put_frame(screen, frame, isatty(STDOUT_FILENO) != 0);
        fflush(screen);
        free(frame);
        if (code == EX_OK)
            sleep((unsigned)(every > 0 ? every : 1));
    }
    return code;
}

/* ---- errors ---- */

static void tell_fault(const struct lv_cli *c)
{
    const char *text = c->fault.text;

    if (text[0] == '\0')
        return;
    if (text[0] == '!')
        fprintf(stderr, "%s\n", text + 1);
    else if (lv_cli_command_is_admin(c->command))
        fprintf(stderr, "*** %s\n\n", text);
    else
        fprintf(stderr, "Error:\n%s\n", text);
}

static void show_version(enum lv_cli_program program)
{
    if (program == LV_CLI_LEVERET)
        puts("leveret " LV_VERSION);
    else
        printf("%s" LV_CLI_RABBITMQ_VERSION "\n", program == LV_CLI_ADMIN ? "rabbitmqadmin " : "");
}

int lv_cli_main(enum lv_cli_program program, int argc, char **argv)
{
    struct lv_cli c = { .program = program, .out = stdout };
    int code = lv_cli_parse(&c, argc, argv);

    if (code == LV_CLI_WANTS_VERSION) {
        show_version(program);
        return EX_OK;
    }
    if (code == LV_CLI_WANTS_HELP) {
        lv_cli_help(&c, c.command, stdout);
        return EX_OK;
    }
    if (code != EX_OK)
        return code;
    bool is_watched = lv_cli_has(&c, "watch") && c.command->kind == LV_CLI_LIST;
    code = is_watched ? run_watched(&c) : lv_cli_run(&c);
    fflush(stdout);
    if (code != EX_OK)
        tell_fault(&c);
    json_decref(c.overview);
    lv_api_close(c.api);
    if (code == EX_OK && ferror(stdout) != 0) {
        fputs("leveret: cannot write the result\n", stderr);
        return EX_IOERR;
    }
    return code;
}
