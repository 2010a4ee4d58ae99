/* os/os.h - the doors to the operating system: clocks, randomness, processors, files.
 *
 * Thread  any. Nothing here keeps state.
 */
#ifndef LV_OS_OS_H
#define LV_OS_OS_H
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/time.h"

/* ---- clocks ---- */
/* Monotonic; the origin has no meaning. */
uint64_t lv_clock_ns(void);
lv_time_ms lv_clock_ms(void);
/* Monotonic too, a few milliseconds coarse and several times cheaper. */
lv_time_ms lv_clock_coarse_ms(void);
/* What this thread has used of a processor. */
uint64_t lv_clock_thread_ns(void);
/* Since 1970, UTC. May jump. */
uint64_t lv_clock_wall_us(void);

/* Waits; for worker threads only. */
void lv_os_sleep_us(unsigned us);

/* ---- processes ---- */
#define LV_EXIT_IO 74 /* sysexits.h EX_IOERR: the disk failed */
/* Ends the process at once: no handlers, nothing flushed. */
_Noreturn void lv_os_exit_now(int code);

/* What this process uses now. */
struct lv_process_usage {
    uint64_t rss_bytes; /* memory that is there; 0: unknown */
    uint64_t fds, fd_limit;
    uint64_t cpu_us;   /* of all threads, in user mode and in the kernel */
    uint64_t switches; /* of context */
};
void lv_os_usage(struct lv_process_usage *out);

/* ---- randomness ---- */
/* Fills `out` from the kernel's generator. LV_EIO: the kernel has none (never on Linux once booted). */
enum lv_err lv_os_random(void *out, size_t bytes) LV_MUST_USE;

/* ---- processors ---- */
/* How many this process may use: its affinity, bounded by the control group's quota. At least 1. */
unsigned lv_os_cpus(void);

/* ---- memory ---- */
/* Bytes that this process may use: the machine's, bounded by the control group's limit. 0: unknown. */
uint64_t lv_os_memory(void);

/* ---- files ---- */
/* Creates the folder, mode 0700; one that is there already is fine. LV_EIO with errno. */
enum lv_err lv_os_mkdir(const char *path) LV_MUST_USE;
/* Replaces `path` whole: whoever reads it sees the old contents or the new, never a part. Mode 0600 minus umask.
 * LV_EIO with errno: `path` is untouched. */
enum lv_err lv_os_replace_file(const char *path, struct lv_bytes contents) LV_MUST_USE;
/* Reads `path` whole into memory that the caller frees with `tag`, a NUL behind it. LV_ENOTFOUND; LV_EFULL: longer than
 * `max` bytes; LV_ENOMEM; LV_EIO with errno. */
enum lv_err lv_os_read_file(const char *path, size_t max, enum lv_mem_tag tag, char **out,
                            size_t *bytes) LV_MUST_USE;
/* The files that fit the shell pattern, sorted; none is fine. `each` gets a path that is good during the call.
 * LV_ENOMEM; LV_EIO: a folder could not be read. */
enum lv_err lv_os_glob(const char *pattern, void (*each)(void *ctx, const char *path),
                       void *ctx) LV_MUST_USE;

#endif
