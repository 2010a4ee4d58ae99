/* What the process uses, as /proc says. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "os/os.h"

static uint64_t count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    uint64_t count = 0;

    if (dir == NULL)
        return 0;
    for (const struct dirent *e; (e = readdir(dir)) != NULL;)
        count += e->d_name[0] != '.';
    (void)closedir(dir);
    return count - 1; /* without that of the folder */
}

static uint64_t microseconds(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

void lv_os_usage(struct lv_process_usage *out)
{
    FILE *file = fopen("/proc/self/statm", "re");
    char text[128], *second;
    struct rusage usage;
    struct rlimit limit;

    *out = (struct lv_process_usage){ .fds = count_fds() };
    if (file != NULL && fgets(text, sizeof(text), file) != NULL &&
        (second = strchr(text, ' ')) != NULL)
        out->rss_bytes = strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (file != NULL)
        (void)fclose(file);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        out->fd_limit = limit.rlim_cur;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return;
    out->cpu_us = microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
    out->switches = (uint64_t)usage.ru_nvcsw + (uint64_t)usage.ru_nivcsw;
}
