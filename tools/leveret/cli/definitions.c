/* Definitions, to a file and from one. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "admin.h"
#include "run.h"

/* They hold hashes of passwords. */
#define FILE_MODE 0600

/* ---- export ---- */

static bool fetch(struct lv_cli *c, FILE *to, const char *path, bool is_quiet)
{
    struct lv_progress progress;
    struct lv_api_request request = {
        .method = "GET", .to = to, .progress = &progress, .is_patient = true
    };
    struct lv_api_answer answer;

    lv_progress_begin(&progress, "exporting", 0, is_quiet);
    bool is_done =
        lv_cli_call(c, &request, path, "vhost:65:!Virtual host '{vhost}' does not exist", &answer);
    lv_progress_end(&progress);
    free(answer.text);
    return is_done;
}

/* A file that is there is only replaced by a whole one. */
static bool fetch_to_file(struct lv_cli *c, const char *path, const char *api)
{
    struct stat info;
    bool is_plain = stat(path, &info) != 0 || S_ISREG(info.st_mode);
    char *part = NULL;

    if (asprintf(&part, is_plain ? "%s.part" : "%s", path) < 0)
        part = NULL;
    lv_need(part);
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (file == NULL) {
        lv_fault_set(&c->fault, EX_CANTCREAT, errno, "%s", part);
        free(part);
        return false;
    }
    bool is_good = fetch(c, file, api, c->is_quiet);
    if ((fclose(file) != 0 || (is_good && is_plain && rename(part, path) != 0)) && is_good)
        is_good = lv_fail_errno(&c->fault, EX_IOERR, "%s", path);
    if (!is_good && is_plain)
        unlink(part);
    free(part);
    return is_good;
}

static bool is_stdio(const char *path)
{
    return path == NULL || strcmp(path, "-") == 0;
}

static bool is_format_known(struct lv_cli *c)
{
    const char *format = lv_cli_var(c, "format");

    if (format == NULL || strcmp(format, "json") == 0)
        return true;
    lv_cli_fail(c, EX_USAGE, "definitions are JSON here: no format '%s'", format);
    return false;
}

int lv_run_export_definitions(struct lv_cli *c)
{
    const char *path = lv_cli_var(c, "file");

    if (!is_format_known(c))
        return c->fault.code;
    if (is_stdio(path)) {
        if (fetch(c, c->out, "/definitions", true))
            fputc('\n', c->out);
        return c->fault.code;
    }
    if (lv_cli_banner(c, "Exporting definitions in JSON to a file at \"{file}\" ..."))
        fetch_to_file(c, path, "/definitions");
    return c->fault.code;
}

int lv_run_admin_export(struct lv_cli *c)
{
    const char *path = lv_cli_var(c, "file");
    const char *api = lv_cli_has(c, "vhost") ? "/definitions/{vhost}" : "/definitions";
    char *text = NULL;

    if (lv_cli_has(c, "stdout") || is_stdio(path)) {
        fetch(c, c->out, api, true);
        return c->fault.code;
    }
    if (!fetch_to_file(c, path, api))
        return c->fault.code;
    if (asprintf(&text, "Exported definitions for %s to \"%s\"",
                 lv_cli_has(c, "host") ? lv_cli_var(c, "host") : "localhost", path) < 0)
        text = NULL;
    lv_admin_done(c, lv_need(text));
    free(text);
    return EX_OK;
}

/* ---- import ---- */

/* All of standard input, so that its length is known. NULL and c->fault. */
static FILE *stdin_kept(struct lv_cli *c)
{
    char chunk[65536];
    FILE *kept = tmpfile();

    if (kept == NULL) {
        lv_fault_set(&c->fault, EX_CANTCREAT, errno, "a temporary file");
        return NULL;
    }
    for (size_t got; (got = fread(chunk, 1, sizeof(chunk), stdin)) > 0;) {
        if (fwrite(chunk, 1, got, kept) != got) {
            lv_fault_set(&c->fault, EX_IOERR, errno, "a temporary file");
            fclose(kept);
            return NULL;
        }
    }
    return kept;
}

static bool send_file(struct lv_cli *c, const char *path, const char *api)
{
    struct lv_progress progress;
    struct lv_api_answer answer;
    FILE *file = is_stdio(path) ? stdin_kept(c) : fopen(path, "re");

    if (file == NULL) {
        if (c->fault.code == EX_OK)
            lv_fault_set(&c->fault, EX_NOINPUT, errno, "%s", path);
        return false;
    }
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    struct lv_api_request request = { .method = "POST",
                                      .from = file,
                                      .from_bytes = size > 0 ? (uint64_t)size : 0,
                                      .progress = &progress,
                                      .is_patient = true };
    lv_progress_begin(&progress, "importing", request.from_bytes, c->is_quiet);
    bool is_done = lv_cli_call(c, &request, api, NULL, &answer);
    lv_progress_end(&progress);
    free(answer.text);
    fclose(file);
    return is_done;
}

int lv_run_import_definitions(struct lv_cli *c)
{
    const char *path = lv_cli_var(c, "file");

    if (!is_format_known(c))
        return c->fault.code;
    if (!is_stdio(path) && access(path, F_OK) != 0) {
        fprintf(stderr, "Error (argument validation): Bad argument: File %s does not exist\n", path);
        return EX_DATAERR;
    }
    if (!lv_cli_banner(c, is_stdio(path)
                              ? "Importing definitions in JSON from standard input ..."
                              : "Importing definitions in JSON from a file at \"{file}\" ..."))
        return c->fault.code;
    return send_file(c, path, "/definitions") ? lv_cli_ok(c) : c->fault.code;
}

int lv_run_admin_import(struct lv_cli *c)
{
    const char *path = lv_cli_has(c, "stdin") ? NULL : lv_cli_var(c, "file");

    if (!send_file(c, path, lv_cli_has(c, "vhost") ? "/definitions/{vhost}" : "/definitions"))
        return c->fault.code;
    return lv_admin_done(c, "Uploaded definitions. Consult server logs to see what came of them.");
}
