/* What the file door syncs, as the kernel hears it: the calls of libc are this file's. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lv_test.h"
#include "os/file.h"

static char folder[PATH_MAX];
static ino_t synced; /* the last one */
static unsigned syncs;
static bool fails;

static int note(long number, int fd)
{
    struct stat st;

    syncs++;
    synced = fstat(fd, &st) == 0 ? st.st_ino : 0;
    if (fails) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(number, fd);
}

int fdatasync(int fd)
{
    return note(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return note(SYS_fsync, fd);
}

static ino_t inode(const char *name)
{
    char path[PATH_MAX + 20];
    struct stat st;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    CHECK_EQ(stat(path, &st), 0);
    return st.st_ino;
}

static void check_synced(const char *name)
{
    CHECK_EQ(syncs, 1);
    CHECK_EQ(synced, inode(name));
    syncs = 0;
}

LV_TEST(what_is_to_last_is_synced)
{
    const char *temp = getenv("TMPDIR");
    struct lv_dir *d;
    struct lv_file *f;

    (void)snprintf(folder, sizeof(folder), "%s/leveret-sync-XXXXXX",
                   temp != NULL ? temp : "/var/tmp");
    CHECK(mkdtemp(folder) != NULL);
    syncs = 0;
    CHECK_EQ(lv_dir_open(folder, true, &d), LV_OK);
    check_synced("..");
    CHECK_EQ(lv_dir_open_file(d, "a", LV_FILE_WRITE | LV_FILE_CREATE, &f), LV_OK);
    CHECK_EQ(lv_file_sync(f), LV_OK);
    check_synced("a");
    CHECK_EQ(lv_dir_sync(d), LV_OK);
    check_synced(".");
    fails = true;
    CHECK_EQ(lv_file_sync(f), LV_EIO);
    CHECK_EQ(lv_dir_sync(d), LV_EIO);
    lv_file_close(f);
    CHECK_EQ(lv_dir_unlink(d, "a"), LV_OK);
    lv_dir_close(d);
    CHECK_EQ(lv_dir_open(folder, true, &d), LV_EIO);
    CHECK_EQ(errno, EIO);
    fails = false;
    CHECK_EQ(rmdir(folder), 0);
}
