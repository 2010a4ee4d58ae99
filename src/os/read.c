/* Whole files, and the names of several: what configuration is read by. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <unistd.h>

#include "os/os.h"

static enum lv_err read_all(int fd, size_t max, enum lv_mem_tag tag, char **out, size_t *bytes)
{
    size_t cap = 4096, used = 0;
    char *text = lv_mem_alloc(cap, tag);

    while (text != NULL) {
        ssize_t n = read(fd, text + used, cap - 1 - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || used > max) {
            lv_mem_free(text, tag);
            return n < 0 ? LV_EIO : LV_EFULL;
        }
        if (n == 0) {
            text[used] = '\0';
            *out = text;
            *bytes = used;
            return LV_OK;
        }
        used += (size_t)n;
        if (used < cap - 1)
            continue;
        char *more = lv_mem_realloc(text, cap * 2, tag);
        if (more == NULL)
            break;
        text = more;
        cap *= 2;
    }
    lv_mem_free(text, tag);
    return LV_ENOMEM;
}

enum lv_err lv_os_read_file(const char *path, size_t max, enum lv_mem_tag tag, char **out,
                            size_t *bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    *out = NULL;
    *bytes = 0;
    if (fd < 0)
        return errno == ENOENT ? LV_ENOTFOUND : LV_EIO;
    enum lv_err err = read_all(fd, max, tag, out, bytes);
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return err;
}

/* A folder that is not there holds nothing. */
static int on_unreadable(const char *path, int error)
{
    (void)path;
    return error != ENOENT && error != ENOTDIR;
}

enum lv_err lv_os_glob(const char *pattern, void (*each)(void *ctx, const char *path), void *ctx)
{
    glob_t found = { 0 };
    int code = glob(pattern, 0, on_unreadable, &found);

    if (code == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            each(ctx, found.gl_pathv[i]);
    globfree(&found);
    return code == 0 || code == GLOB_NOMATCH ? LV_OK : code == GLOB_NOSPACE ? LV_ENOMEM : LV_EIO;
}
