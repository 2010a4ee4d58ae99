/* The real directory behind the file door. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/file.h"
#include "os/os.h"

struct real_file {
    struct lv_file file; /* first */
    int fd;
};
struct real_dir {
    struct lv_dir dir; /* first */
    int fd;
};

static enum lv_err from_errno(void)
{
    switch (errno) {
    case ENOSPC:
    case EDQUOT:
        return LV_ENOSPC;
    case ENOENT:
        return LV_ENOTFOUND;
    case EEXIST:
        return LV_EEXISTS;
    case EMFILE: /* as memory: nothing is wrong with the disk, and later there may be some */
    case ENFILE:
    case ENOMEM:
        return LV_ENOMEM;
    default:
        return LV_EIO;
    }
}

static int fd_of(struct lv_file *f)
{
    return ((struct real_file *)f)->fd;
}

/* ---- files ---- */

static enum lv_err file_read(struct lv_file *f, uint64_t at, void *buf, size_t bytes, size_t *got)
{
    *got = 0;
    while (*got < bytes) {
        ssize_t n = pread(fd_of(f), (char *)buf + *got, bytes - *got, (off_t)(at + *got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return LV_EIO;
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return LV_OK;
}

enum { IOV_PARTS = 64 };

/* Fills `iov` from the parts, `skip` bytes of the first one being written already; returns how many. */
static int fill_iov(struct iovec iov[IOV_PARTS], const struct lv_bytes *parts, size_t count,
                    size_t skip)
{
    int n = 0;

    for (size_t i = 0; i < count && n < IOV_PARTS; i++) {
        size_t from = i == 0 ? skip : 0;
        iov[n].iov_base = (void *)(uintptr_t)(parts[i].ptr + from);
        iov[n++].iov_len = parts[i].len - from;
    }
    return n;
}

static enum lv_err file_write(struct lv_file *f, uint64_t at, const struct lv_bytes *parts,
                              size_t count)
{
    struct iovec iov[IOV_PARTS];
    size_t skip = 0;

    while (count > 0) {
        if (skip == parts[0].len) {
            parts++;
            count--;
            skip = 0;
            continue;
        }
        ssize_t n = pwritev(fd_of(f), iov, fill_iov(iov, parts, count, skip), (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return from_errno();
        at += (uint64_t)n;
        for (size_t left = (size_t)n; left > 0;) { /* a short write goes on where it ended */
            size_t step = LV_MIN(left, parts[0].len - skip);
            skip += step;
            left -= step;
            if (skip == parts[0].len && left > 0) {
                parts++;
                count--;
                skip = 0;
            }
        }
    }
    return LV_OK;
}

static enum lv_err file_sync(struct lv_file *f)
{
    return fdatasync(fd_of(f)) == 0 ? LV_OK : LV_EIO;
}

static enum lv_err file_reserve(struct lv_file *f, uint64_t bytes)
{
    int err;

    if (bytes == 0) /* EINVAL to the kernel, and nothing to do for us */
        return LV_OK;
    do {
        err = posix_fallocate(fd_of(f), 0, (off_t)bytes);
    } while (err == EINTR);
    errno = err;
    return err == 0 ? LV_OK : from_errno();
}

static void file_forget(struct lv_file *f, uint64_t at, uint64_t bytes)
{
    (void)posix_fadvise(fd_of(f), (off_t)at, (off_t)bytes, POSIX_FADV_DONTNEED);
}

static enum lv_err file_resize(struct lv_file *f, uint64_t bytes)
{
    int err;

    do {
        err = ftruncate(fd_of(f), (off_t)bytes);
    } while (err != 0 && errno == EINTR);
    return err == 0 ? LV_OK : from_errno();
}

static enum lv_err file_size(struct lv_file *f, uint64_t *bytes)
{
    struct stat st;

    if (fstat(fd_of(f), &st) != 0)
        return LV_EIO;
    *bytes = (uint64_t)st.st_size;
    return LV_OK;
}

static void file_close(struct lv_file *f)
{
    (void)close(fd_of(f)); /* what must last was synced before */
    lv_mem_free(f, LV_TAG_STORE);
}

static const struct lv_file_ops file_ops = {
    .read = file_read,
    .write = file_write,
    .sync = file_sync,
    .reserve = file_reserve,
    .resize = file_resize,
    .size = file_size,
    .forget = file_forget,
    .close = file_close,
};

/* ---- the directory ---- */

static int dir_fd(struct lv_dir *d)
{
    return ((struct real_dir *)d)->fd;
}

static enum lv_err dir_open_file(struct lv_dir *d, const char *name, unsigned flags,
                                 struct lv_file **out)
{
    int how = (flags & LV_FILE_WRITE) != 0 ? O_RDWR : O_RDONLY;
    struct real_file *f = lv_mem_zalloc(sizeof(*f), LV_TAG_STORE);

    *out = NULL;
    if (f == NULL)
        return LV_ENOMEM;
    if ((flags & LV_FILE_CREATE) != 0)
        how |= O_CREAT | O_EXCL;
    f->file.ops = &file_ops;
    f->fd = openat(dir_fd(d), name, how | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f->fd < 0) {
        enum lv_err err = from_errno();
        lv_mem_free(f, LV_TAG_STORE);
        return err;
    }
    *out = &f->file;
    return LV_OK;
}

static enum lv_err dir_rename(struct lv_dir *d, const char *from, const char *to)
{
    return renameat(dir_fd(d), from, dir_fd(d), to) == 0 ? LV_OK : from_errno();
}

static enum lv_err dir_unlink(struct lv_dir *d, const char *name)
{
    return unlinkat(dir_fd(d), name, 0) == 0 ? LV_OK : from_errno();
}

static enum lv_err dir_sync(struct lv_dir *d)
{
    return fsync(dir_fd(d)) == 0 ? LV_OK : LV_EIO;
}

static enum lv_err dir_list(struct lv_dir *d, void (*each)(void *ctx, const char *name), void *ctx)
{
    int fd = openat(dir_fd(d), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;

    if (stream == NULL) {
        int saved = errno;
        if (fd >= 0)
            (void)close(fd);
        errno = saved;
        return LV_EIO;
    }
    /* Cleared before each call: what `each` leaves in errno is no error of the listing. */
    while (errno = 0, (entry = readdir(stream)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            each(ctx, entry->d_name);
    int saved = errno;
    (void)closedir(stream);
    errno = saved;
    return saved == 0 ? LV_OK : LV_EIO;
}

static enum lv_err dir_space(struct lv_dir *d, uint64_t *free_bytes, uint64_t *total_bytes)
{
    struct statvfs st;

    if (fstatvfs(dir_fd(d), &st) != 0)
        return LV_EIO;
    *free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
    *total_bytes = (uint64_t)st.f_blocks * st.f_frsize;
    return LV_OK;
}

static void dir_close(struct lv_dir *d)
{
    (void)close(dir_fd(d)); /* and the lock goes with it */
    lv_mem_free(d, LV_TAG_STORE);
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

/* The folder's own name must survive a power cut too, or everything in it goes with it. Done at every opening: who
 * created the folder may have died before this line. A parent that may not be read was made by somebody else. */
static enum lv_err sync_parent(int fd)
{
    int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err;

    if (parent < 0)
        return errno == EACCES ? LV_OK : LV_EIO;
    err = fsync(parent);
    (void)close(parent);
    return err == 0 ? LV_OK : LV_EIO;
}

enum lv_err lv_dir_open(const char *path, bool lock, struct lv_dir **out)
{
    struct real_dir *d;
    enum lv_err err = lv_os_mkdir(path);

    *out = NULL;
    if (err != LV_OK)
        return err;
    d = lv_mem_zalloc(sizeof(*d), LV_TAG_STORE);
    if (d == NULL)
        return LV_ENOMEM;
    d->dir.ops = &dir_ops;
    d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->fd < 0) {
        err = LV_EIO;
        goto err_free;
    }
    if (lock && flock(d->fd, LOCK_EX | LOCK_NB) != 0) {
        err = errno == EWOULDBLOCK ? LV_EINUSE : LV_EIO;
        goto err_close;
    }
    err = sync_parent(d->fd);
    if (err != LV_OK)
        goto err_close;
    *out = &d->dir;
    return LV_OK;
err_close:
    (void)close(d->fd); /* succeeds, and so leaves errno to the caller */
err_free:
    lv_mem_free(d, LV_TAG_STORE);
    return err;
}
