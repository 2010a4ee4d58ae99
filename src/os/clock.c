#include <time.h>
#include <unistd.h>

#include "os/os.h"

static struct timespec read_clock(clockid_t id)
{
    struct timespec ts;

    (void)clock_gettime(id, &ts);
    return ts;
}

uint64_t lv_clock_ns(void)
{
    struct timespec ts = read_clock(CLOCK_MONOTONIC);

    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

lv_time_ms lv_clock_ms(void)
{
    return lv_clock_ns() / 1000000u;
}

lv_time_ms lv_clock_coarse_ms(void)
{
    struct timespec ts = read_clock(CLOCK_MONOTONIC_COARSE);

    return (uint64_t)ts.tv_sec * 1000u + (uint64_t)ts.tv_nsec / 1000000u;
}

uint64_t lv_clock_thread_ns(void)
{
    struct timespec ts = read_clock(CLOCK_THREAD_CPUTIME_ID);

    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t lv_clock_wall_us(void)
{
    struct timespec ts = read_clock(CLOCK_REALTIME);

    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

void lv_os_sleep_us(unsigned us)
{
    struct timespec t = { .tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000 };

    (void)nanosleep(&t, NULL);
}

void lv_os_exit_now(int code)
{
    _exit(code);
}
