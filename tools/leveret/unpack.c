#include "unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "archive.h"

#define STORE_ASIDE "store.new"

struct unpack {
    FILE *in;
    struct lv_dir *dir;
    struct lv_file *file;
    uint64_t size; /* of `file` */
    bool has_store, quiet;
    uint64_t blocks;
    uint8_t *buf;
    struct lv_progress *progress;
    struct lv_unpacked *out;
};

static enum lv_err read_exactly(struct unpack *r, uint8_t *out, size_t bytes)
{
    if (fread(out, 1, bytes, r->in) == bytes)
        return LV_OK;
    return ferror(r->in) ? LV_EIO : LV_ECORRUPT;
}

static enum lv_err next_block(struct unpack *r, struct lv_archive_block *out)
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
static enum lv_err finish_file(struct unpack *r)
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

static enum lv_err begin_file(struct unpack *r, const struct lv_archive_block *block)
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
    r->out->files++;
    err = lv_dir_open_file(r->dir, is_store ? STORE_ASIDE : name, LV_FILE_WRITE | LV_FILE_CREATE,
                           &r->file);
    return err == LV_EEXISTS ? LV_ECORRUPT : err;
}

static enum lv_err take_data(struct unpack *r, const struct lv_archive_block *block)
{
    if (r->file == NULL || block->offset > r->size || block->data.len > r->size - block->offset)
        return LV_ECORRUPT;
    r->out->data += block->data.len;
    lv_progress_add(r->progress, block->data.len);
    return lv_file_write(r->file, block->offset, &block->data, 1);
}

static enum lv_err finish(struct unpack *r, const struct lv_archive_block *block)
{
    enum lv_err err = finish_file(r);

    if (err == LV_OK && (block->files != r->out->files || block->total != r->out->data ||
                         !r->has_store || fgetc(r->in) != EOF))
        err = LV_ECORRUPT;
    if (err == LV_OK)
        err = lv_dir_sync(r->dir);
    if (err == LV_OK)
        err = lv_dir_rename(r->dir, STORE_ASIDE, "store");
    return err == LV_OK ? lv_dir_sync(r->dir) : err;
}

static enum lv_err take_all(struct unpack *r)
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
        if ((block.kind == LV_ARCHIVE_BEGIN) == r->out->has_begun)
            return LV_ECORRUPT;
        if (block.kind == LV_ARCHIVE_BEGIN) {
            r->out->has_begun = true;
            lv_progress_begin(r->progress, "restore", block.total, r->quiet);
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

enum lv_err lv_unpack(FILE *in, struct lv_dir *dir, struct lv_progress *progress, bool quiet,
                      struct lv_unpacked *out)
{
    struct unpack r = { .in = in, .dir = dir, .progress = progress, .quiet = quiet, .out = out };

    *out = (struct lv_unpacked){ 0 };
    r.buf = malloc(LV_ARCHIVE_BLOCK_HEAD + LV_ARCHIVE_BLOCK_MAX);
    enum lv_err err = r.buf != NULL ? take_all(&r) : LV_ENOMEM;
    int saved = errno; /* of what went wrong */
    lv_file_close(r.file);
    if (err != LV_OK)
        (void)!lv_dir_list(dir, remove_name, dir);
    free(r.buf);
    errno = saved;
    return err;
}
