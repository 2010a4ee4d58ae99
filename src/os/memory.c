#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/os.h"

/* A control group's limit: a number, or "max". 0: none is told. */
static uint64_t read_limit(const char *path)
{
    char text[32] = "";
    FILE *f = fopen(path, "re");

    if (f == NULL)
        return 0;
    if (fgets(text, sizeof(text), f) == NULL)
        text[0] = '\0';
    (void)fclose(f);
    return strtoull(text, NULL, 10);
}

uint64_t lv_os_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t machine = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
    uint64_t v2 = read_limit("/sys/fs/cgroup/memory.max");
    uint64_t limit = v2 != 0 ? v2 : read_limit("/sys/fs/cgroup/memory/memory.limit_in_bytes");

    if (limit != 0 && (machine == 0 || limit < machine))
        return limit;
    return machine;
}
