#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/os.h"

enum lv_err lv_os_mkdir(const char *path)
{
    struct stat st;

    if (mkdir(path, 0700) == 0)
        return LV_OK;
    if (errno != EEXIST)
        return LV_EIO;
    if (stat(path, &st) != 0)
        return LV_EIO;
    if (S_ISDIR(st.st_mode))
        return LV_OK;
    errno = ENOTDIR;
    return LV_EIO;
}

static enum lv_err write_all(int fd, struct lv_bytes b)
{
    while (b.len > 0) {
        ssize_t n = write(fd, b.ptr, b.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return LV_EIO;
        b.ptr += n;
        b.len -= (size_t)n;
    }
    return LV_OK;
}

enum lv_err lv_os_replace_file(const char *path, struct lv_bytes contents)
{
    char temp[PATH_MAX];
    enum lv_err err;
    int saved;

    int len = snprintf(temp, sizeof(temp), "%s.%ld.tmp", path, (long)getpid());
    if (len < 0 || (size_t)len >= sizeof(temp)) {
        errno = ENAMETOOLONG;
        return LV_EIO;
    }
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return LV_EIO;
    err = write_all(fd, contents);
    saved = errno;
    if (close(fd) != 0 && err == LV_OK) {
        err = LV_EIO;
        saved = errno;
    }
    if (err == LV_OK && rename(temp, path) != 0) {
        err = LV_EIO;
        saved = errno;
    }
    if (err != LV_OK) {
        (void)unlink(temp);
        errno = saved;
    }
    return err;
}
