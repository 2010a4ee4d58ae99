/* leveret restore: a backup becomes a data directory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "command.h"
#include "datadir.h"
#include "json.h"
#include "unpack.h"

#define SUFFIX ".backup"
#define STAMP_BYTES 16u /* of a time in a name */

struct restore {
    const char *from, *to;
    bool json, quiet;
    char path[PATH_MAX];
    FILE *in;
    struct lv_dir *dir;
    struct lv_unpacked done;
    struct lv_progress progress;
};

static int usage(FILE *out, int code)
{
    fputs("usage: leveret restore FILE|DIR --to DIR [--quiet] [--json]\n\n"
          "Makes a data directory of a backup: of FILE, or of the newest one in DIR. The directory "
          "--to\n"
          "must be empty or not exist. Every block is verified; what is damaged or cut short is "
          "refused.\n",
          out);
    return code;
}

static int fail(const char *what, const char *why, int code)
{
    fprintf(stderr, "leveret: %s: %s\n", what, why);
    return code;
}

/* ---- which backup ---- */

/* The time in a name that `leveret backup` gave; NULL: it is none. */
static const char *stamp_of(const char *name)
{
    size_t len = strlen(name);
    size_t tail = STAMP_BYTES + sizeof(SUFFIX) - 1;

    if (strncmp(name, "leveret-", 8) != 0 || len != 8 + 16 + 1 + tail ||
        strcmp(name + len - (sizeof(SUFFIX) - 1), SUFFIX) != 0)
        return NULL;
    return name + len - tail;
}

/* The newest in a folder; of several data directories none is. */
static int choose_in(struct restore *r)
{
    char best[NAME_MAX + 1] = "";
    bool is_mixed = false;
    DIR *stream = opendir(r->from);
    const struct dirent *entry;

    if (stream == NULL)
        return fail(r->from, strerror(errno), EX_NOINPUT);
    while ((entry = readdir(stream)) != NULL) {
        if (stamp_of(entry->d_name) == NULL)
            continue;
        is_mixed = is_mixed || (best[0] != '\0' && strncmp(best, entry->d_name, 8 + 16) != 0);
        if (best[0] == '\0' || strcmp(stamp_of(entry->d_name), stamp_of(best)) > 0)
            memcpy(best, entry->d_name, strlen(entry->d_name) + 1);
    }
    (void)closedir(stream);
    if (best[0] == '\0')
        return fail(r->from, "no backup in it", EX_NOINPUT);
    if (is_mixed)
        return fail(r->from, "backups of several brokers: name the file", EX_USAGE);
    int n = snprintf(r->path, sizeof(r->path), "%s/%s", r->from, best);
    return n > 0 && (size_t)n < sizeof(r->path) ? EX_OK
                                                : fail(r->from, strerror(ENAMETOOLONG), EX_NOINPUT);
}

static int open_backup(struct restore *r)
{
    struct stat st;
    int code = EX_OK;

    if (stat(r->from, &st) != 0)
        return fail(r->from, strerror(errno), EX_NOINPUT);
    if (S_ISDIR(st.st_mode))
        code = choose_in(r);
    else if (strlen(r->from) < sizeof(r->path))
        memcpy(r->path, r->from, strlen(r->from) + 1);
    if (code != EX_OK)
        return code;
    r->in = fopen(r->path, "rbe");
    return r->in != NULL ? EX_OK : fail(r->path, strerror(errno), EX_NOINPUT);
}

/* ---- into which directory ---- */

static void note_name(void *ctx, const char *name)
{
    (void)name;
    *(bool *)ctx = true;
}

static int open_target(struct restore *r)
{
    bool has_any = false;
    enum lv_err err = lv_dir_open(r->to, true, &r->dir);

    if (err == LV_EINUSE)
        return fail(r->to, "a broker has it", EX_TEMPFAIL);
    if (err == LV_OK)
        err = lv_dir_list(r->dir, note_name, &has_any);
    if (err != LV_OK)
        return fail(r->to, strerror(errno), EX_CANTCREAT);
    if (has_any)
        return fail(r->to, "is not empty", EX_CANTCREAT);
    return EX_OK;
}

static int restore(struct restore *r)
{
    int code = open_backup(r);

    if (code == EX_OK)
        code = open_target(r);
    if (code != EX_OK)
        return code;
    errno = 0;
    enum lv_err err = lv_unpack(r->in, r->dir, &r->progress, r->quiet, &r->done);
    int saved = errno;
    double seconds = r->done.has_begun ? lv_progress_end(&r->progress) : 0;
    if (err != LV_OK) {
        fprintf(stderr, "leveret: %s: %s\n", r->path,
                err == LV_ECORRUPT            ? "damaged, cut short, or no backup"
                : err == LV_EIO && saved != 0 ? strerror(saved)
                                              : lv_err_text(err));
        return lv_datadir_code(err);
    }
    if (r->json) {
        fputs("{\"file\": ", stdout);
        lv_json_string(stdout, lv_bytes_str(r->path));
        printf(", \"files\": %" PRIu64 ", \"data_bytes\": %" PRIu64 ", \"seconds\": %.3f}\n",
               r->done.files, r->done.data, seconds);
    } else if (!r->quiet) {
        printf("%s: %" PRIu64 " files, %" PRIu64 " bytes, in %.1f s\n", r->to, r->done.files,
               r->done.data, seconds);
    }
    return EX_OK;
}

int lv_command_restore(int argc, char **argv)
{
    static struct restore r;

    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return usage(stdout, EX_OK);
        if (strcmp(argv[i], "--json") == 0)
            r.json = true;
        else if (strcmp(argv[i], "--quiet") == 0)
            r.quiet = true;
        else if (strcmp(argv[i], "--to") == 0 && i + 1 < argc)
            r.to = argv[++i];
        else if (argv[i][0] != '-' && r.from == NULL)
            r.from = argv[i];
        else
            return usage(stderr, EX_USAGE);
    }
    if (r.from == NULL || r.to == NULL)
        return usage(stderr, EX_USAGE);
    int code = restore(&r);
    if (r.in != NULL)
        (void)fclose(r.in);
    lv_dir_close(r.dir);
    return code;
}
