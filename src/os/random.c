#include <errno.h>
#include <sys/random.h>

#include "os/os.h"

enum lv_err lv_os_random(void *out, size_t bytes)
{
    uint8_t *at = out;

    while (bytes > 0) {
        ssize_t n = getrandom(at, bytes, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return LV_EIO;
        at += n;
        bytes -= (size_t)n;
    }
    return LV_OK;
}
