/* fuzz/mem_dir.h - a directory in memory, for fuzz targets that read files: nothing is lost, nothing fails but what must.
 *
 * And log files out of an input: raw bytes behind a good head, their checksums mended if the input asks for it, so that a
 * fuzzer comes to what stands behind them. */
#ifndef LV_FUZZ_MEM_DIR_H
#define LV_FUZZ_MEM_DIR_H
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/file.h"
#include "store/crc.h"
#include "store/wal.h"

#define MEM_FILES 32u
#define MEM_ID UINT64_C(0x6c6576657265740a)
#define MEM_STORE_BYTES 48u

struct mem_file {
    char name[LV_FILE_NAME_MAX + 1];
    uint8_t *bytes;
    size_t size;
};

struct mem_dir {
    struct lv_dir dir; /* first */
    struct mem_file files[MEM_FILES];
    uint64_t changes; /* calls that change something */
};

struct mem_handle {
    struct lv_file file; /* first */
    struct mem_dir *dir;
    struct mem_file *f;
};

static struct mem_file *mem_find(struct mem_dir *d, const char *name)
{
    for (size_t i = 0; i < MEM_FILES; i++)
        if (d->files[i].bytes != NULL && strcmp(d->files[i].name, name) == 0)
            return &d->files[i];
    return NULL;
}

static struct mem_file *mem_add(struct mem_dir *d, const char *name)
{
    for (size_t i = 0; i < MEM_FILES; i++) {
        struct mem_file *f = &d->files[i];
        if (f->bytes != NULL)
            continue;
        memcpy(f->name, name, strlen(name) + 1);
        f->bytes = calloc(1, 1);
        LV_ASSERT(f->bytes != NULL);
        f->size = 0;
        return f;
    }
    return NULL;
}

#define MEM_FILE_MAX (UINT64_C(64) << 20) /* bytes; more is a full disk */

static void mem_resize(struct mem_file *f, size_t size)
{
    uint8_t *bytes = calloc(1, LV_MAX(size, (size_t)1));

    LV_ASSERT(bytes != NULL);
    memcpy(bytes, f->bytes, LV_MIN(size, f->size));
    free(f->bytes);
    f->bytes = bytes;
    f->size = size;
}

static enum lv_err mem_read(struct lv_file *file, uint64_t at, void *buf, size_t bytes, size_t *got)
{
    const struct mem_file *f = ((struct mem_handle *)file)->f;

    *got = at < f->size ? LV_MIN(bytes, f->size - (size_t)at) : 0;
    if (*got != 0)
        memcpy(buf, f->bytes + at, *got);
    return LV_OK;
}

static enum lv_err mem_write(struct lv_file *file, uint64_t at, const struct lv_bytes *parts,
                             size_t count)
{
    struct mem_handle *h = (struct mem_handle *)file;

    h->dir->changes++;
    for (size_t i = 0; i < count; i++) {
        if (at > MEM_FILE_MAX || parts[i].len > MEM_FILE_MAX - at)
            return LV_ENOSPC;
        if (at + parts[i].len > h->f->size)
            mem_resize(h->f, (size_t)at + parts[i].len);
        if (parts[i].len != 0)
            memcpy(h->f->bytes + at, parts[i].ptr, parts[i].len);
        at += parts[i].len;
    }
    return LV_OK;
}

static enum lv_err mem_sync(struct lv_file *file)
{
    (void)file;
    return LV_OK;
}

static enum lv_err mem_reserve(struct lv_file *file, uint64_t bytes)
{
    struct mem_handle *h = (struct mem_handle *)file;

    h->dir->changes++;
    if (bytes > (UINT64_C(2) << 20))
        return LV_ENOSPC;
    if (bytes > h->f->size)
        mem_resize(h->f, (size_t)bytes);
    return LV_OK;
}

static enum lv_err mem_size(struct lv_file *file, uint64_t *bytes)
{
    *bytes = ((struct mem_handle *)file)->f->size;
    return LV_OK;
}

static void mem_close(struct lv_file *file)
{
    free(file);
}

static const struct lv_file_ops mem_file_ops = {
    .read = mem_read,
    .write = mem_write,
    .sync = mem_sync,
    .reserve = mem_reserve,
    .size = mem_size,
    .close = mem_close,
};

static enum lv_err mem_open(struct lv_dir *dir, const char *name, unsigned flags,
                            struct lv_file **out)
{
    struct mem_dir *d = (struct mem_dir *)dir;
    struct mem_file *f = mem_find(d, name);

    *out = NULL;
    if ((flags & LV_FILE_CREATE) != 0) {
        d->changes++;
        if (f != NULL)
            return LV_EEXISTS;
        f = mem_add(d, name);
        if (f == NULL)
            return LV_ENOSPC;
    }
    if (f == NULL)
        return LV_ENOTFOUND;
    struct mem_handle *h = malloc(sizeof(*h));
    LV_ASSERT(h != NULL);
    *h = (struct mem_handle){ { &mem_file_ops }, d, f };
    *out = &h->file;
    return LV_OK;
}

static enum lv_err mem_unlink(struct lv_dir *dir, const char *name)
{
    struct mem_file *f = mem_find((struct mem_dir *)dir, name);

    ((struct mem_dir *)dir)->changes++;
    if (f == NULL)
        return LV_ENOTFOUND;
    free(f->bytes); /* nobody has it open: targets close first */
    f->bytes = NULL;
    return LV_OK;
}

static enum lv_err mem_rename(struct lv_dir *dir, const char *from, const char *to)
{
    struct mem_file *f = mem_find((struct mem_dir *)dir, from);

    if (f == NULL)
        return LV_ENOTFOUND;
    (void)!mem_unlink(dir, to);
    memcpy(f->name, to, strlen(to) + 1);
    return LV_OK;
}

static enum lv_err mem_dir_sync(struct lv_dir *dir)
{
    (void)dir;
    return LV_OK;
}

static enum lv_err mem_list(struct lv_dir *dir, void (*each)(void *ctx, const char *name), void *ctx)
{
    struct mem_dir *d = (struct mem_dir *)dir;

    for (size_t i = 0; i < MEM_FILES; i++)
        if (d->files[i].bytes != NULL)
            each(ctx, d->files[i].name);
    return LV_OK;
}

static void mem_dir_close(struct lv_dir *dir)
{
    (void)dir;
}

static const struct lv_dir_ops mem_dir_ops = {
    .open = mem_open,
    .rename = mem_rename,
    .unlink = mem_unlink,
    .sync = mem_dir_sync,
    .list = mem_list,
    .close = mem_dir_close,
};

static inline void mem_begin(struct mem_dir *d)
{
    *d = (struct mem_dir){ .dir = { &mem_dir_ops } };
}

static inline void mem_end(struct mem_dir *d)
{
    for (size_t i = 0; i < MEM_FILES; i++)
        free(d->files[i].bytes);
    *d = (struct mem_dir){ 0 };
}

static inline struct mem_file *mem_put(struct mem_dir *d, const char *name, struct lv_bytes bytes)
{
    struct mem_file *f = mem_add(d, name);

    LV_ASSERT(f != NULL);
    mem_resize(f, bytes.len);
    if (bytes.len != 0)
        memcpy(f->bytes, bytes.ptr, bytes.len);
    return f;
}

/* ---- logs ---- */

/* The file `store` of directory MEM_ID. */
static inline void mem_put_store(struct mem_dir *d, uint64_t file_bytes)
{
    uint8_t text[MEM_STORE_BYTES] = "lvstore\n";

    lv_put_be32(text + 8, 1);
    lv_put_be64(text + 16, MEM_ID);
    lv_put_be64(text + 24, file_bytes);
    lv_put_be64(text + 32, UINT64_C(1) << 20);
    lv_put_be32(text + 40, lv_crc32c(lv_bytes(text, 40), 0));
    (void)mem_put(d, "store", lv_bytes(text, sizeof(text)));
}

/* Right checksums over whatever stands there as records, one behind the other, from `at` on. */
static inline void mem_mend(struct mem_file *f, uint64_t number, uint64_t file_bytes, uint64_t id)
{
    for (size_t at = LV_WAL_FILE_HEAD; at + LV_WAL_REC_HEAD <= f->size;) {
        uint64_t lsn = number * file_bytes + at;
        uint32_t word = lv_be32(f->bytes + at + 4);
        size_t bytes = word & 0xFFFFFF, covered = word >> 24 == LV_REC_PAD ? 0 : bytes;
        uint32_t seed =
            (uint32_t)(lsn >> 3) ^ (uint32_t)(lsn >> 35) ^ (uint32_t)id ^ (uint32_t)(id >> 32);
        if (word >> 24 == 0 || bytes > f->size - at - LV_WAL_REC_HEAD) {
            at += 8;
            continue;
        }
        lv_put_be32(f->bytes + at, lv_crc32c(lv_bytes(f->bytes + at + 4, 4 + covered), seed));
        at += lv_wal_rec_size(bytes);
    }
}

/* Log file `number` with `raw` behind its head, reserved whole. */
static inline void mem_put_log(struct mem_dir *d, const char *log, uint64_t number,
                               uint64_t file_bytes, uint64_t id, struct lv_bytes raw, bool is_mended)
{
    char name[LV_FILE_NAME_MAX + 1];

    (void)snprintf(name, sizeof(name), "%s-%010" PRIx64 ".log", log, number);
    struct mem_file *f = mem_put(d, name, lv_bytes(NULL, 0));
    mem_resize(f, (size_t)file_bytes);
    if (raw.len == 0)
        return; /* made ahead */
    memcpy(f->bytes, "leveret\n", 8);
    lv_put_be32(f->bytes + 8, LV_WAL_FORMAT);
    lv_put_be64(f->bytes + 16, file_bytes);
    lv_put_be64(f->bytes + 24, number);
    lv_put_be64(f->bytes + 32, id);
    lv_put_be32(f->bytes + 40, lv_crc32c(lv_bytes(f->bytes, 40), 0));
    memcpy(f->bytes + LV_WAL_FILE_HEAD, raw.ptr,
           LV_MIN(raw.len, (size_t)file_bytes - LV_WAL_FILE_HEAD));
    if (is_mended)
        mem_mend(f, number, file_bytes, id);
}

#endif
