#include "support/fault_dir.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct fault_dir {
    struct lv_dir door; /* first */
    struct lv_dir *inner;
    pthread_mutex_t mutex;
    uint64_t counts[FAULT_KIND_COUNT], hits;
    enum fault_kind kind;
    uint64_t nth;
    enum lv_err err;
    unsigned how;
    bool is_paused;
};

struct fault_file {
    struct lv_file file; /* first */
    struct fault_dir *fault;
    struct lv_file *inner;
};

static struct fault_dir *dir_of(struct lv_dir *d)
{
    return (struct fault_dir *)d;
}

static struct fault_file *file_of(struct lv_file *f)
{
    return (struct fault_file *)f;
}

static void *zeroed(size_t count, size_t size)
{
    void *p = calloc(count, size);

    if (p == NULL)
        abort();
    return p;
}

/* The error that the call is to fail with, or LV_OK. */
static enum lv_err check(struct fault_dir *fault, enum fault_kind kind)
{
    enum lv_err err = LV_OK;

    pthread_mutex_lock(&fault->mutex);
    fault->counts[kind] += !fault->is_paused;
    fault->counts[FAULT_ANY] += !fault->is_paused;
    uint64_t count = fault->counts[fault->kind];
    if (!fault->is_paused && fault->nth != 0 && (fault->kind == kind || fault->kind == FAULT_ANY) &&
        (count == fault->nth || (count > fault->nth && (fault->how & FAULT_STICKY) != 0))) {
        err = fault->err;
        fault->hits++;
    }
    pthread_mutex_unlock(&fault->mutex);
    return err;
}

static enum lv_err fail(enum lv_err err)
{
    errno = err == LV_ENOSPC      ? ENOSPC
            : err == LV_ENOTFOUND ? ENOENT
            : err == LV_ENOMEM    ? EMFILE
                                  : EIO;
    return err;
}

static enum lv_err file_read(struct lv_file *f, uint64_t at, void *buf, size_t bytes, size_t *got)
{
    enum lv_err err = check(file_of(f)->fault, FAULT_READ);

    *got = 0;
    return err == LV_OK ? lv_file_read(file_of(f)->inner, at, buf, bytes, got) : fail(err);
}

/* The first half of the bytes arrives. */
static void write_half(struct lv_file *inner, uint64_t at, const struct lv_bytes *parts,
                       size_t count)
{
    struct lv_bytes *some = zeroed(count + 1, sizeof(*some));
    size_t left = 0, used = 0;

    for (size_t i = 0; i < count; i++)
        left += parts[i].len;
    for (left /= 2; left > 0; used++) {
        some[used] = lv_bytes(parts[used].ptr, LV_MIN(parts[used].len, left));
        left -= some[used].len;
    }
    (void)!lv_file_write(inner, at, some, used);
    free(some);
}

static enum lv_err file_write(struct lv_file *f, uint64_t at, const struct lv_bytes *parts,
                              size_t count)
{
    enum lv_err err = check(file_of(f)->fault, FAULT_WRITE);

    if (err == LV_OK)
        return lv_file_write(file_of(f)->inner, at, parts, count);
    if ((file_of(f)->fault->how & FAULT_SHORT) != 0)
        write_half(file_of(f)->inner, at, parts, count);
    return fail(err);
}

static enum lv_err file_sync(struct lv_file *f)
{
    enum lv_err err = check(file_of(f)->fault, FAULT_SYNC);

    return err == LV_OK ? lv_file_sync(file_of(f)->inner) : fail(err);
}

static enum lv_err file_reserve(struct lv_file *f, uint64_t bytes)
{
    enum lv_err err = check(file_of(f)->fault, FAULT_RESERVE);

    return err == LV_OK ? lv_file_reserve(file_of(f)->inner, bytes) : fail(err);
}

static enum lv_err file_resize(struct lv_file *f, uint64_t bytes)
{
    enum lv_err err = check(file_of(f)->fault, FAULT_RESIZE);

    return err == LV_OK ? lv_file_resize(file_of(f)->inner, bytes) : fail(err);
}

static enum lv_err file_size(struct lv_file *f, uint64_t *bytes)
{
    enum lv_err err = check(file_of(f)->fault, FAULT_SIZE);

    return err == LV_OK ? lv_file_size(file_of(f)->inner, bytes) : fail(err);
}

static void file_close(struct lv_file *f)
{
    lv_file_close(file_of(f)->inner);
    free(f);
}

static const struct lv_file_ops file_ops = {
    .read = file_read,
    .write = file_write,
    .sync = file_sync,
    .reserve = file_reserve,
    .resize = file_resize,
    .size = file_size,
    .close = file_close,
};

static enum lv_err dir_open_file(struct lv_dir *d, const char *name, unsigned flags,
                                 struct lv_file **out)
{
    enum lv_err err = check(dir_of(d), FAULT_OPEN);
    struct lv_file *inner;

    *out = NULL;
    if (err != LV_OK)
        return fail(err);
    err = lv_dir_open_file(dir_of(d)->inner, name, flags, &inner);
    if (err != LV_OK)
        return err;
    struct fault_file *f = zeroed(1, sizeof(*f));
    f->file.ops = &file_ops;
    f->fault = dir_of(d);
    f->inner = inner;
    *out = &f->file;
    return LV_OK;
}

static enum lv_err dir_rename(struct lv_dir *d, const char *from, const char *to)
{
    enum lv_err err = check(dir_of(d), FAULT_RENAME);

    return err == LV_OK ? lv_dir_rename(dir_of(d)->inner, from, to) : fail(err);
}

static enum lv_err dir_unlink(struct lv_dir *d, const char *name)
{
    enum lv_err err = check(dir_of(d), FAULT_UNLINK);

    return err == LV_OK ? lv_dir_unlink(dir_of(d)->inner, name) : fail(err);
}

static enum lv_err dir_sync(struct lv_dir *d)
{
    enum lv_err err = check(dir_of(d), FAULT_DIR_SYNC);

    return err == LV_OK ? lv_dir_sync(dir_of(d)->inner) : fail(err);
}

static enum lv_err dir_list(struct lv_dir *d, void (*each)(void *ctx, const char *name), void *ctx)
{
    enum lv_err err = check(dir_of(d), FAULT_LIST);

    return err == LV_OK ? lv_dir_list(dir_of(d)->inner, each, ctx) : fail(err);
}

static enum lv_err dir_space(struct lv_dir *d, uint64_t *free_bytes, uint64_t *total_bytes)
{
    enum lv_err err = check(dir_of(d), FAULT_SPACE);

    return err == LV_OK ? lv_dir_space(dir_of(d)->inner, free_bytes, total_bytes) : fail(err);
}

static void dir_close(struct lv_dir *d)
{
    lv_dir_close(dir_of(d)->inner);
}

static const struct lv_dir_ops dir_ops = {
    .open = dir_open_file,
    .rename = dir_rename,
    .unlink = dir_unlink,
    .sync = dir_sync,
    .list = dir_list,
    .space = dir_space,
    .close = dir_close,
};

struct fault_dir *fault_dir_new(struct lv_dir *inner)
{
    struct fault_dir *fault = zeroed(1, sizeof(*fault));

    fault->door.ops = &dir_ops;
    fault->inner = inner;
    pthread_mutex_init(&fault->mutex, NULL);
    return fault;
}

void fault_dir_free(struct fault_dir *fault)
{
    if (fault == NULL)
        return;
    pthread_mutex_destroy(&fault->mutex);
    free(fault);
}

struct lv_dir *fault_dir_door(struct fault_dir *fault)
{
    return &fault->door;
}

void fault_dir_fail(struct fault_dir *fault, enum fault_kind kind, uint64_t nth, enum lv_err err,
                    unsigned how)
{
    pthread_mutex_lock(&fault->mutex);
    memset(fault->counts, 0, sizeof(fault->counts));
    fault->hits = 0;
    fault->kind = kind;
    fault->nth = nth;
    fault->err = err;
    fault->how = how;
    pthread_mutex_unlock(&fault->mutex);
}

void fault_dir_pause(struct fault_dir *fault, bool is_paused)
{
    pthread_mutex_lock(&fault->mutex);
    fault->is_paused = is_paused;
    pthread_mutex_unlock(&fault->mutex);
}

static uint64_t locked_u64(struct fault_dir *fault, const uint64_t *value)
{
    pthread_mutex_lock(&fault->mutex);
    uint64_t v = *value;
    pthread_mutex_unlock(&fault->mutex);
    return v;
}

uint64_t fault_dir_count(struct fault_dir *fault, enum fault_kind kind)
{
    return locked_u64(fault, &fault->counts[kind]);
}

uint64_t fault_dir_hits(struct fault_dir *fault)
{
    return locked_u64(fault, &fault->hits);
}

const char *fault_kind_name(enum fault_kind kind)
{
    static const char *const names[] = {
#define X(name) #name,
        FAULT_KINDS(X)
#undef X
    };
    LV_ASSERT(kind < FAULT_KIND_COUNT);
    return names[kind];
}
