#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lv_test.h"

LV_TEST(clocks_go_forward_and_agree)
{
    uint64_t ns = lv_clock_ns();
    lv_time_ms ms = lv_clock_ms(), coarse = lv_clock_coarse_ms();

    CHECK(ms >= ns / 1000000u && ms < ns / 1000000u + 10000);
    CHECK(coarse + 100 >= ms && coarse <= ms + 10000);
    CHECK(lv_clock_ns() >= ns);
    CHECK(lv_clock_wall_us() / 1000000u > 1600000000u);
}

LV_TEST(random_bytes_differ)
{
    uint8_t a[64] = { 0 }, b[64] = { 0 };

    CHECK_EQ(lv_os_random(a, sizeof(a)), LV_OK);
    CHECK_EQ(lv_os_random(b, sizeof(b)), LV_OK);
    CHECK(memcmp(a, b, sizeof(a)) != 0);
    CHECK_EQ(lv_os_random(a, 0), LV_OK);
}

LV_TEST(processors_follow_affinity)
{
    cpu_set_t all, one;

    CHECK(lv_os_cpus() >= 1);
    CHECK_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
    CHECK(lv_os_cpus() <= (unsigned)CPU_COUNT(&all));
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET(i, &all))
            continue;
        CPU_SET(i, &one);
        break;
    }
    CHECK_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    CHECK_EQ(lv_os_cpus(), 1);
    CHECK_EQ(sched_setaffinity(0, sizeof(all), &all), 0);
}

static char folder[PATH_MAX];

static const char *in_folder(const char *name)
{
    static char path[PATH_MAX + 100];
    const char *temp = getenv("TMPDIR");

    if (folder[0] == '\0') {
        snprintf(folder, sizeof(folder), "%s/leveret-os-XXXXXX", temp != NULL ? temp : "/var/tmp");
        CHECK(mkdtemp(folder) != NULL);
    }
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void check_contents(const char *path, const char *wanted)
{
    char text[200];
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, text, sizeof(text) - 1);

    close(fd);
    CHECK(n >= 0);
    text[n] = '\0';
    CHECK_STR(text, wanted);
}

LV_TEST(folders_are_private)
{
    struct stat st;
    const char *path = in_folder("data");

    CHECK_EQ(lv_os_mkdir(path), LV_OK);
    CHECK_EQ(lv_os_mkdir(path), LV_OK);
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(st.st_mode & 0777, 0700);
    CHECK_EQ(rmdir(path), 0);
    CHECK_EQ(lv_os_mkdir(in_folder("a/b/c")), LV_EIO);
    CHECK_EQ(errno, ENOENT);
    CHECK_EQ(lv_os_replace_file(in_folder("file"), LV_BYTES_LIT("")), LV_OK);
    CHECK_EQ(lv_os_mkdir(in_folder("file")), LV_EIO);
    CHECK_EQ(errno, ENOTDIR);
    CHECK_EQ(unlink(in_folder("file")), 0);
    CHECK_EQ(rmdir(folder), 0);
    folder[0] = '\0';
}

LV_TEST(files_are_replaced_whole)
{
    CHECK_EQ(lv_os_replace_file(in_folder("ready"), LV_BYTES_LIT("first, and longer")), LV_OK);
    CHECK_EQ(lv_os_replace_file(in_folder("ready"), LV_BYTES_LIT("second")), LV_OK);
    check_contents(in_folder("ready"), "second");
    CHECK_EQ(lv_os_replace_file(in_folder("none/ready"), LV_BYTES_LIT("x")), LV_EIO);
    CHECK_EQ(unlink(in_folder("ready")), 0);
    CHECK_EQ(rmdir(folder), 0); /* nothing else was left in it */
    folder[0] = '\0';
}
