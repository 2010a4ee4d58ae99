#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/os.h"

/* The beginning of a small text file; false when it cannot be read. */
static bool read_text(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return false;
    ssize_t n = read(fd, out, size - 1);
    close(fd);
    if (n <= 0)
        return false;
    out[n] = '\0';
    return true;
}

/* A control group's quota in whole processors, rounded up; 0: no limit. A container sees its own group at the root.
 * Version 2 has "quota period" (quota may be "max") in one file, version 1 has two files. */
static unsigned quota_cpus(void)
{
    char text[64], period_text[32];
    char *rest;
    long quota, period;

    if (read_text("/sys/fs/cgroup/cpu.max", text, sizeof(text))) {
        quota = strtol(text, &rest, 10);
        period = strtol(rest, NULL, 10);
    } else if (read_text("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", text, sizeof(text)) &&
               read_text("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period_text, sizeof(period_text))) {
        quota = strtol(text, NULL, 10);
        period = strtol(period_text, NULL, 10);
    } else {
        return 0;
    }
    if (quota <= 0 || period <= 0)
        return 0;
    return (unsigned)((quota - 1) / period + 1);
}

unsigned lv_os_cpus(void)
{
    unsigned quota = quota_cpus();
    cpu_set_t set;
    unsigned cpus = 1;

    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
        cpus = (unsigned)CPU_COUNT(&set);
    } else {
        /* More processors than a cpu_set_t holds. */
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        cpus = online > 0 ? (unsigned)online : 1;
    }
    if (quota != 0)
        cpus = LV_MIN(cpus, quota);
    return LV_MAX(cpus, 1u);
}
