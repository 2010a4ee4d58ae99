/* leveret backup: the data of a broker, stopped or running, as one file. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "archive.h"
#include "command.h"
#include "json.h"
#include "os/os.h"
#include "progress.h"
#include "snapshot.h"

struct backup {
    const char *data_dir, *to;
    bool json, quiet;
    char path[PATH_MAX], partial[PATH_MAX];
    int fd;
    uint64_t blocks, files, written; /* written: bytes of the backup itself */
    uint64_t data;                   /* bytes of files in it */
    uint8_t *out, *in;
    struct lv_progress progress;
};

static int usage(FILE *out, int code)
{
    fputs("usage: leveret backup --data-dir DIR --to FILE|DIR [--quiet] [--json]\n\n"
          "Copies the data of a broker, stopped or running, as it is at one moment. Everything "
          "that was\n"
          "confirmed before the command began is in it. FILE must not exist; in a DIR that exists "
          "the\n"
          "file is named after the data and the time. `leveret restore` makes a directory of it "
          "again.\n",
          out);
    return code;
}

static int fail(const char *what, const char *why, int code)
{
    fprintf(stderr, "leveret: %s: %s\n", what, why);
    return code;
}

/* ---- writing ---- */

static enum lv_err write_all(struct backup *b, const uint8_t *bytes, size_t count)
{
    b->written += count;
    while (count > 0) {
        ssize_t n = write(b->fd, bytes, count);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return LV_EIO;
        bytes += n;
        count -= (size_t)n;
    }
    return LV_OK;
}

static enum lv_err put_block(struct backup *b, const struct lv_archive_block *block)
{
    return write_all(b, b->out, lv_archive_write(b->blocks++, block, b->out));
}

static size_t without_zeros(const uint8_t *bytes, size_t count)
{
    while (count > 0 && bytes[count - 1] == 0)
        count--;
    return count;
}

static enum lv_err put_file(struct backup *b, const struct lv_snapshot_file *f)
{
    struct lv_archive_block block = { .kind = LV_ARCHIVE_FILE,
                                      .size = f->size,
                                      .name = lv_bytes_str(f->name) };
    enum lv_err err = put_block(b, &block);

    b->files++;
    for (uint64_t at = 0; err == LV_OK && at < f->bytes; at += LV_ARCHIVE_DATA_MAX) {
        size_t want = (size_t)LV_MIN(f->bytes - at, LV_ARCHIVE_DATA_MAX), got = want;
        const uint8_t *bytes = b->in;
        if (f->file != NULL)
            err = lv_file_read(f->file, at, b->in, want, &got);
        else
            bytes = f->text + at;
        size_t len = without_zeros(bytes, got);
        block = (struct lv_archive_block){ .kind = LV_ARCHIVE_DATA,
                                           .offset = at,
                                           .data = lv_bytes(bytes, len) };
        if (err == LV_OK && len != 0)
            err = put_block(b, &block);
        b->data += len;
        lv_progress_add(&b->progress, want);
    }
    return err;
}

static enum lv_err put_all(struct backup *b, const struct lv_datadir *d, const struct lv_snapshot *s)
{
    uint8_t head[LV_ARCHIVE_HEAD];
    struct lv_archive_block block = { .kind = LV_ARCHIVE_BEGIN,
                                      .id = lv_store_id(d->store),
                                      .time_ms = lv_clock_wall_us() / 1000,
                                      .total = s->total };

    lv_archive_write_head(head);
    enum lv_err err = write_all(b, head, sizeof(head));
    if (err == LV_OK)
        err = put_block(b, &block);
    for (size_t i = 0; i < s->count && err == LV_OK; i++)
        if (s->files[i].bytes != 0)
            err = put_file(b, &s->files[i]);
    block = (struct lv_archive_block){ .kind = LV_ARCHIVE_END, .files = b->files, .total = b->data };
    return err == LV_OK ? put_block(b, &block) : err;
}

/* ---- the file ---- */

/* Where it goes: FILE, or a name of its own in DIR. */
static int choose_path(struct backup *b, uint64_t id)
{
    struct stat st;
    char when[32];
    time_t now = (time_t)(lv_clock_wall_us() / 1000000);
    struct tm utc;
    int n;

    if (stat(b->to, &st) != 0) {
        n = snprintf(b->path, sizeof(b->path), "%s", b->to);
    } else if (S_ISDIR(st.st_mode)) {
        (void)strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
        n = snprintf(b->path, sizeof(b->path), "%s/leveret-%016" PRIx64 "-%s.backup", b->to, id,
                     when);
    } else {
        return fail(b->to, "exists already", EX_CANTCREAT);
    }
    if (n < 0 || (size_t)n + sizeof(".partial") > sizeof(b->path))
        return fail(b->to, strerror(ENAMETOOLONG), EX_CANTCREAT);
    memcpy(b->partial, b->path, (size_t)n);
    memcpy(b->partial + n, ".partial", sizeof(".partial"));
    return EX_OK;
}

static enum lv_err sync_folder_of(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash != NULL ? (size_t)(slash - path) : 0;

    memcpy(folder, path, len);
    folder[len] = '\0';
    int fd = open(slash == NULL ? "."
                  : len == 0    ? "/"
                                : folder,
                  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return LV_EIO;
    int failed = fsync(fd);
    (void)close(fd);
    return failed == 0 ? LV_OK : LV_EIO;
}

/* Whole and lasting under its name, or not there. */
static int write_file(struct backup *b, const struct lv_datadir *d, const struct lv_snapshot *s)
{
    b->fd = open(b->partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (b->fd < 0)
        return fail(b->partial, strerror(errno), EX_CANTCREAT);
    enum lv_err err = put_all(b, d, s);
    if (err == LV_OK && fsync(b->fd) != 0)
        err = LV_EIO;
    int saved = errno;
    (void)close(b->fd);
    errno = saved;
    if (err == LV_OK && link(b->partial, b->path) != 0) /* takes no other file's place */
        err = LV_EIO;
    saved = errno;
    (void)unlink(b->partial);
    errno = saved;
    if (err == LV_OK)
        err = sync_folder_of(b->path);
    return err == LV_OK ? EX_OK : fail(b->path, strerror(errno), EX_IOERR);
}

static void tell(const struct backup *b, const struct lv_snapshot *s, double seconds)
{
    if (b->json) {
        fputs("{\"file\": ", stdout);
        lv_json_string(stdout, lv_bytes_str(b->path));
        printf(", \"files\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"data_bytes\": %" PRIu64
               ", \"messages_end\": %" PRIu64 ", \"topology_end\": %" PRIu64
               ", \"attempts\": %u, \"damaged\": %" PRIu64 ", \"seconds\": %.3f}\n",
               b->files, b->written, b->data, s->messages_end, s->topology_end, s->attempts,
               s->damaged, seconds);
    } else if (!b->quiet) {
        printf("%s: %" PRIu64 " files, %" PRIu64 " bytes, in %.1f s\n", b->path, b->files,
               b->written, seconds);
    }
    if (s->damaged != 0)
        fprintf(
            stderr, "leveret: %s: the data are damaged, and so is their copy: leveret inspect tells where\n",
            b->data_dir);
}

static int copy(struct backup *b, struct lv_datadir *d)
{
    struct lv_snapshot s;
    int code = choose_path(b, lv_store_id(d->store));

    if (code != EX_OK)
        return code;
    enum lv_err err = lv_snapshot_take(d, &s);
    if (err != LV_OK)
        return fail(b->data_dir,
                    err == LV_EAGAIN ? "its files change too fast: try again" : lv_err_text(err),
                    err == LV_EAGAIN ? EX_TEMPFAIL : lv_datadir_code(err));
    b->in = malloc(LV_ARCHIVE_DATA_MAX);
    b->out = malloc(LV_ARCHIVE_BLOCK_HEAD + LV_ARCHIVE_BLOCK_MAX);
    lv_progress_begin(&b->progress, "backup", s.total, b->quiet);
    code = b->in != NULL && b->out != NULL ? write_file(b, d, &s)
                                           : fail(b->to, strerror(ENOMEM), EX_OSERR);
    double seconds = lv_progress_end(&b->progress);
    if (code == EX_OK)
        tell(b, &s, seconds);
    if (code == EX_OK && s.damaged != 0)
        code = EX_DATAERR;
    free(b->in);
    free(b->out);
    lv_snapshot_fini(&s);
    return code;
}

int lv_command_backup(int argc, char **argv)
{
    static struct backup b;
    struct lv_datadir d;

    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return usage(stdout, EX_OK);
        if (strcmp(argv[i], "--json") == 0)
            b.json = true;
        else if (strcmp(argv[i], "--quiet") == 0)
            b.quiet = true;
        else if (strcmp(argv[i], "--data-dir") == 0 && i + 1 < argc)
            b.data_dir = argv[++i];
        else if (strcmp(argv[i], "--to") == 0 && i + 1 < argc)
            b.to = argv[++i];
        else
            return usage(stderr, EX_USAGE);
    }
    if (b.data_dir == NULL || b.to == NULL)
        return usage(stderr, EX_USAGE);
    int code = lv_datadir_open(b.data_dir, LV_DATADIR_MOVING, &d);
    if (code != EX_OK)
        return code;
    code = copy(&b, &d);
    lv_datadir_close(&d);
    return code;
}
