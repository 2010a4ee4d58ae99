#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void lv_assert_failed(const char *file, int line, const char *func, const char *cond)
{
    fprintf(stderr, "leveret: assertion failed: %s (%s:%d, %s)\n", cond, file, line, func);
    abort();
}
