/* leveret restore: a backup becomes a data directory.
 *
 * `store`, without which a directory is none, comes last and by renaming: what was not finished or not good is
 * refused by every broker. */
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

#include "archive.h"
#include "command.h"
#include "datadir.h"
#include "json.h"
#include "progress.h"

#define STORE_ASIDE "store.new"
#define SUFFIX ".backup"
#define STAMP_BYTES 16u /* of a time in a name */

struct restore {
    const char *from, *to;
    bool json, quiet;
    char path[PATH_MAX];
    FILE *in;
    struct lv_dir *dir;
    struct lv_file *file;
    uint64_t size; /* of `file` */
    bool has_store, has_begun;
    uint64_t blocks, files, data;
    uint8_t *buf;
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

/* ---- block by block ---- */

static enum lv_err read_exactly(struct restore *r, uint8_t *out, size_t bytes)
{
    if (fread(out, 1, bytes, r->in) == bytes)
        return LV_OK;
    return ferror(r->in) ? LV_EIO : LV_ECORRUPT;
}

static enum lv_err next_block(struct restore *r, struct lv_archive_block *out)
{
    size_t bytes = 0;
    enum lv_err err = read_exactly(r, r->buf, LV_ARCHIVE_BLOCK_HEAD);

    if (err == LV_OK)
        err = lv_archive_payload_bytes(r->buf, &bytes);
    if (err == LV_OK)
        err = read_exactly(r, r->buf + LV_ARCHIVE_BLOCK_HEAD, bytes);
    return err == LV_OK
               ? lv_archive_parse(r->blocks++, lv_bytes(r->buf, LV_ARCHIVE_BLOCK_HEAD + bytes), out)
               : err;
}

/* The file so far is whole: as long as it was, and lasting. */
static enum lv_err finish_file(struct restore *r)
{
    if (r->file == NULL)
        return LV_OK;
    enum lv_err err = lv_file_reserve(r->file, r->size);
    if (err == LV_OK)
        err = lv_file_sync(r->file);
    lv_file_close(r->file);
    r->file = NULL;
    return err;
}

static enum lv_err begin_file(struct restore *r, const struct lv_archive_block *block)
{
    char name[LV_FILE_NAME_MAX + 1];
    enum lv_err err = finish_file(r);

    if (err != LV_OK)
        return err;
    if (!lv_archive_name_ok(block->name) || block->size > (UINT64_C(1) << 40))
        return LV_ECORRUPT;
    memcpy(name, block->name.ptr, block->name.len);
    name[block->name.len] = '\0';
    bool is_store = strcmp(name, "store") == 0;
    r->has_store = r->has_store || is_store;
    r->size = block->size;
    r->files++;
    err = lv_dir_open_file(r->dir, is_store ? STORE_ASIDE : name, LV_FILE_WRITE | LV_FILE_CREATE,
                           &r->file);
    return err == LV_EEXISTS ? LV_ECORRUPT : err;
}

static enum lv_err take_data(struct restore *r, const struct lv_archive_block *block)
{
    if (r->file == NULL || block->offset > r->size || block->data.len > r->size - block->offset)
        return LV_ECORRUPT;
    r->data += block->data.len;
    lv_progress_add(&r->progress, block->data.len);
    return lv_file_write(r->file, block->offset, &block->data, 1);
}

static enum lv_err finish(struct restore *r, const struct lv_archive_block *block)
{
    enum lv_err err = finish_file(r);

    if (err == LV_OK && (block->files != r->files || block->total != r->data || !r->has_store ||
                         fgetc(r->in) != EOF))
        err = LV_ECORRUPT;
    if (err == LV_OK)
        err = lv_dir_sync(r->dir);
    if (err == LV_OK)
        err = lv_dir_rename(r->dir, STORE_ASIDE, "store");
    return err == LV_OK ? lv_dir_sync(r->dir) : err;
}

static enum lv_err take_all(struct restore *r)
{
    struct lv_archive_block block;
    uint8_t head[LV_ARCHIVE_HEAD];
    enum lv_err err = read_exactly(r, head, sizeof(head));

    if (err == LV_OK)
        err = lv_archive_check_head(head);
    while (err == LV_OK) {
        err = next_block(r, &block);
        if (err != LV_OK)
            return err;
        if ((block.kind == LV_ARCHIVE_BEGIN) == r->has_begun)
            return LV_ECORRUPT;
        if (block.kind == LV_ARCHIVE_BEGIN) {
            r->has_begun = true;
            lv_progress_begin(&r->progress, "restore", block.total, r->quiet);
        } else if (block.kind == LV_ARCHIVE_FILE) {
            err = begin_file(r, &block);
        } else if (block.kind == LV_ARCHIVE_DATA) {
            err = take_data(r, &block);
        } else {
            return finish(r, &block);
        }
    }
    return err;
}

/* What was written of a bad backup goes again: nobody shall take it for data. */
static void remove_name(void *ctx, const char *name)
{
    (void)!lv_dir_unlink(ctx, name);
}

static int restore(struct restore *r)
{
    int code = open_backup(r);

    if (code == EX_OK)
        code = open_target(r);
    if (code != EX_OK)
        return code;
    r->buf = malloc(LV_ARCHIVE_BLOCK_HEAD + LV_ARCHIVE_BLOCK_MAX);
    errno = 0;
    enum lv_err err = r->buf != NULL ? take_all(r) : LV_ENOMEM;
    double seconds = r->has_begun ? lv_progress_end(&r->progress) : 0;
    if (err != LV_OK) {
        int saved = errno;
        lv_file_close(r->file);
        (void)!lv_dir_list(r->dir, remove_name, r->dir);
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
               r->files, r->data, seconds);
    } else if (!r->quiet) {
        printf("%s: %" PRIu64 " files, %" PRIu64 " bytes, in %.1f s\n", r->to, r->files, r->data,
               seconds);
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
    free(r.buf);
    lv_dir_close(r.dir);
    return code;
}
