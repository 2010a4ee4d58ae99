/* os/file.h - the file door: a data directory, and the files in it.
 *
 * Everything that must survive goes through these calls and no other, so that a test can put another directory behind
 * them: one that fails the n-th call, or one that drops, tears and reorders what was not synced (test/support).
 * Names    of files in the directory, without '/'; at most LV_FILE_NAME_MAX bytes.
 * Errors   LV_EIO with errno; LV_ENOSPC when the disk or a quota is full (ENOSPC, EDQUOT); LV_ENOMEM when memory or file
 *          descriptors are short (EMFILE, ENFILE, ENOMEM): later it may work; LV_ENOTFOUND, LV_EEXISTS.
 * Thread   any, for different files. One file: reads at any time from any thread; everything else from one thread at a time.
 */
#ifndef LV_OS_FILE_H
#define LV_OS_FILE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define LV_FILE_NAME_MAX 63u

enum lv_file_flags {
    LV_FILE_READ = 0,        /* must exist; read only */
    LV_FILE_WRITE = 1 << 0,  /* must exist unless created; read and write */
    LV_FILE_CREATE = 1 << 1, /* with WRITE: must not exist. Lasting after lv_dir_sync */
};

struct lv_file {
    const struct lv_file_ops *ops;
};
struct lv_dir {
    const struct lv_dir_ops *ops;
};

struct lv_file_ops {
    enum lv_err (*read)(struct lv_file *f, uint64_t at, void *buf, size_t bytes, size_t *got);
    enum lv_err (*write)(struct lv_file *f, uint64_t at, const struct lv_bytes *parts, size_t count);
    enum lv_err (*sync)(struct lv_file *f);
    enum lv_err (*reserve)(struct lv_file *f, uint64_t bytes);
    enum lv_err (*resize)(struct lv_file *f, uint64_t bytes);
    enum lv_err (*size)(struct lv_file *f, uint64_t *bytes);
    void (*forget)(struct lv_file *f, uint64_t at, uint64_t bytes); /* NULL: nothing to do */
    void (*close)(struct lv_file *f);
};

struct lv_dir_ops {
    enum lv_err (*open)(struct lv_dir *d, const char *name, unsigned flags, struct lv_file **out);
    enum lv_err (*rename)(struct lv_dir *d, const char *from, const char *to);
    enum lv_err (*unlink)(struct lv_dir *d, const char *name);
    enum lv_err (*sync)(struct lv_dir *d);
    enum lv_err (*list)(struct lv_dir *d, void (*each)(void *ctx, const char *name), void *ctx);
    enum lv_err (*space)(struct lv_dir *d, uint64_t *free_bytes, uint64_t *total_bytes);
    void (*close)(struct lv_dir *d);
};

/* The real directory `path`, created (0700) when missing and its name made lasting; with `lock` it is this process's
 * alone until closed: LV_EINUSE when another has it. */
enum lv_err lv_dir_open(const char *path, bool lock, struct lv_dir **out) LV_MUST_USE;

/* Opens a file; see enum lv_file_flags. */
static inline LV_MUST_USE enum lv_err lv_dir_open_file(struct lv_dir *d, const char *name,
                                                       unsigned flags, struct lv_file **out)
{
    return d->ops->open(d, name, flags, out);
}
/* `to` is replaced if it exists. Lasting only after lv_dir_sync. */
static inline LV_MUST_USE enum lv_err lv_dir_rename(struct lv_dir *d, const char *from,
                                                    const char *to)
{
    return d->ops->rename(d, from, to);
}
static inline LV_MUST_USE enum lv_err lv_dir_unlink(struct lv_dir *d, const char *name)
{
    return d->ops->unlink(d, name);
}
/* Names created, renamed or removed so far survive a power cut. */
static inline LV_MUST_USE enum lv_err lv_dir_sync(struct lv_dir *d)
{
    return d->ops->sync(d);
}
/* Every name but "." and "..", in no order. */
static inline LV_MUST_USE enum lv_err lv_dir_list(struct lv_dir *d,
                                                  void (*each)(void *ctx, const char *name),
                                                  void *ctx)
{
    return d->ops->list(d, each, ctx);
}
/* Bytes that may still be written on the directory's file system, and its size. */
static inline LV_MUST_USE enum lv_err lv_dir_space(struct lv_dir *d, uint64_t *free_bytes,
                                                   uint64_t *total_bytes)
{
    return d->ops->space(d, free_bytes, total_bytes);
}
/* Releases the lock. Files opened from it must be closed before. NULL is allowed. */
static inline void lv_dir_close(struct lv_dir *d)
{
    if (d != NULL)
        d->ops->close(d);
}

/* Reads up to `bytes` from offset `at`; *got is less only at the end of the file. */
static inline LV_MUST_USE enum lv_err lv_file_read(struct lv_file *f, uint64_t at, void *buf,
                                                   size_t bytes, size_t *got)
{
    return f->ops->read(f, at, buf, bytes, got);
}
/* Writes all parts one behind the other from offset `at`, or fails (some of it may have been written). */
static inline LV_MUST_USE enum lv_err lv_file_write(struct lv_file *f, uint64_t at,
                                                    const struct lv_bytes *parts, size_t count)
{
    return f->ops->write(f, at, parts, count);
}
/* What was written so far survives a power cut, the file's size included. After a failure nothing is known about
 * what was written since the last success: never call it again to find out. */
static inline LV_MUST_USE enum lv_err lv_file_sync(struct lv_file *f)
{
    return f->ops->sync(f);
}
/* The file has `bytes` bytes on disk that later writes cannot run out of (zeros where nothing was written). */
static inline LV_MUST_USE enum lv_err lv_file_reserve(struct lv_file *f, uint64_t bytes)
{
    return f->ops->reserve(f, bytes);
}
static inline LV_MUST_USE enum lv_err lv_file_resize(struct lv_file *f, uint64_t bytes)
{
    return f->ops->resize(f, bytes);
}
static inline LV_MUST_USE enum lv_err lv_file_size(struct lv_file *f, uint64_t *bytes)
{
    return f->ops->size(f, bytes);
}
/* What was synced of that range need not stay in the system's memory; reading it again is right, and slower. */
static inline void lv_file_forget(struct lv_file *f, uint64_t at, uint64_t bytes)
{
    if (f->ops->forget != NULL)
        f->ops->forget(f, at, bytes);
}
/* NULL is allowed. */
static inline void lv_file_close(struct lv_file *f)
{
    if (f != NULL)
        f->ops->close(f);
}

#endif
