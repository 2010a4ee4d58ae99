/* lv-failing-disk.so, preloaded: calls on files in one directory fail as the environment says.
 *
 *   LV_DISK_DIR=PATH       the directory, as /proc/self/fd tells it
 *   LV_DISK_FAIL=CALL:ERROR:N[:sticky]
 *
 * The N-th CALL fails with ERROR (EIO, ENOSPC, EMFILE, EACCES), with `sticky` all after it too. CALL is open, read, write, sync, rename,
 * reserve or dirsync. A write that fails has written its first half. A sync that fails loses what was written since the last one, as a
 * kernel may that calls the pages clean. ERROR may be EINTR: then nothing fails for good, but of N + 1 such calls one is interrupted, and
 * reads and writes are short half of the time. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FILES_MAX = 4096 };

static struct {
    char dir[PATH_MAX], call[16];
    size_t dir_len;
    int error;
    unsigned long nth, count;
    bool sticky;
    struct range {
        off_t from, to; /* written and not synced; from == to: nothing */
    } unsynced[FILES_MAX];
    pthread_mutex_t mutex;
} disk = { .mutex = PTHREAD_MUTEX_INITIALIZER };

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int error_of(const char *name)
{
    static const struct {
        const char *name;
        int error;
    } errors[] = {
        { "EIO", EIO },       { "ENOSPC", ENOSPC }, { "EMFILE", EMFILE },
        { "EACCES", EACCES }, { "EINTR", EINTR },
    };

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (strcmp(errors[i].name, name) == 0)
            return errors[i].error;
    return 0;
}

__attribute__((constructor)) static void begin(void)
{
    const char *dir = getenv("LV_DISK_DIR"), *how = getenv("LV_DISK_FAIL");
    char error[16] = "", sticky[16] = "";

    if (dir == NULL || how == NULL || /* NOLINTNEXTLINE(cert-err34-c): the test that writes it */
        sscanf(how, "%15[^:]:%15[^:]:%lu:%15s", disk.call, error, &disk.nth, sticky) < 3)
        return;
    disk.error = error_of(error);
    disk.sticky = sticky[0] != '\0';
    (void)snprintf(disk.dir, sizeof(disk.dir), "%s", dir);
    disk.dir_len = strlen(disk.dir);
}

static bool is_ours(int fd, bool *is_dir)
{
    char name[64], path[PATH_MAX];

    if (disk.dir_len == 0)
        return false;
    (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(name, path, sizeof(path) - 1);
    if (n < (ssize_t)disk.dir_len || strncmp(path, disk.dir, disk.dir_len) != 0)
        return false;
    *is_dir = (size_t)n == disk.dir_len;
    return *is_dir || path[disk.dir_len] == '/';
}

/* Whether this call fails; sets errno. */
static bool fails(const char *call)
{
    pthread_mutex_lock(&disk.mutex);
    bool is_due = false;
    if (strcmp(call, disk.call) == 0) {
        disk.count++;
        is_due = disk.error == EINTR
                     ? disk.count % (disk.nth + 1) == 0
                     : disk.count == disk.nth || (disk.sticky && disk.count > disk.nth);
    }
    pthread_mutex_unlock(&disk.mutex);
    if (is_due)
        errno = disk.error;
    return is_due;
}

/* Short reads and writes come with the interruptions. */
static bool is_short(void)
{
    return disk.error == EINTR && disk.count % 2 == 0;
}

static void note_written(int fd, off_t from, off_t to)
{
    struct range *r = &disk.unsynced[(unsigned)fd % FILES_MAX];

    pthread_mutex_lock(&disk.mutex);
    *r = r->from == r->to
             ? (struct range){ from, to }
             : (struct range){ from < r->from ? from : r->from, to > r->to ? to : r->to };
    pthread_mutex_unlock(&disk.mutex);
}

static void lose(int fd)
{
    static const char zeros[65536];
    struct range r = disk.unsynced[(unsigned)fd % FILES_MAX];

    while (r.from < r.to) {
        size_t left = (size_t)(r.to - r.from);
        ssize_t n = pwrite(fd, zeros, left < sizeof(zeros) ? left : sizeof(zeros), r.from);
        if (n <= 0)
            return;
        r.from += n;
    }
}

static int do_sync(int fd, int (*real)(int))
{
    bool is_dir = false, is_mine = is_ours(fd, &is_dir);

    if (is_mine && fails(is_dir ? "dirsync" : "sync")) {
        if (!is_dir)
            lose(fd);
        errno = disk.error;
        return -1;
    }
    int failed = real(fd);
    if (is_mine && failed == 0)
        disk.unsynced[(unsigned)fd % FILES_MAX] = (struct range){ 0, 0 };
    return failed;
}

int fdatasync(int fd)
{
    return do_sync(fd, REAL(fdatasync));
}

int fsync(int fd)
{
    return do_sync(fd, REAL(fsync));
}

ssize_t pread(int fd, void *buf, size_t bytes, off_t at)
{
    bool is_dir, is_mine = is_ours(fd, &is_dir);

    if (is_mine && fails("read"))
        return -1;
    return REAL(pread)(fd, buf, is_mine && is_short() && bytes > 1 ? bytes / 2 : bytes, at);
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t at)
{
    bool is_dir, is_mine = is_ours(fd, &is_dir), has_failed = is_mine && fails("write");
    struct iovec half = { .iov_base = iov[0].iov_base, .iov_len = iov[0].iov_len / 2 };

    if (has_failed && disk.error == EINTR)
        return -1;
    bool is_half = has_failed || (is_mine && is_short() && half.iov_len != 0);
    ssize_t n = is_half ? REAL(pwritev)(fd, &half, 1, at) : REAL(pwritev)(fd, iov, count, at);
    if (is_mine && n > 0)
        note_written(fd, at, at + n);
    if (!has_failed)
        return n;
    errno = disk.error;
    return -1;
}

int posix_fallocate(int fd, off_t from, off_t bytes)
{
    bool is_dir;

    return is_ours(fd, &is_dir) && fails("reserve") ? disk.error
                                                    : REAL(posix_fallocate)(fd, from, bytes);
}

int openat(int dir, const char *path, int flags, ...)
{
    bool is_dir;
    va_list args;

    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (is_ours(dir, &is_dir) && fails("open"))
        return -1;
    int fd = REAL(openat)(dir, path, flags, mode);
    if (fd >= 0)
        disk.unsynced[(unsigned)fd % FILES_MAX] = (struct range){ 0, 0 };
    return fd;
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    bool is_dir;

    return is_ours(from_dir, &is_dir) && fails("rename")
               ? -1
               : REAL(renameat)(from_dir, from, to_dir, to);
}
