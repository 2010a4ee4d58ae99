#include "fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

void lv_fault_set(struct lv_fault *fault, int code, int cause, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(fault->text, sizeof(fault->text), format, args);
    va_end(args);
    fault->code = code;
    if (cause == 0)
        return;
    size_t used = strlen(fault->text);
    snprintf(fault->text + used, sizeof(fault->text) - used, ": %s", strerror(cause));
}

void *lv_need(void *memory)
{
    if (memory != NULL)
        return memory;
    fputs("leveret: out of memory\n", stderr);
    exit(EX_OSERR);
}

void *lv_keep(void *memory)
{
    /* Each is held from here, so that only what was forgotten counts as a leak. */
    static struct kept {
        struct kept *next;
        void *memory;
    } * last;
    struct kept *one = lv_need(malloc(sizeof(*one)));

    *one = (struct kept){ last, lv_need(memory) };
    last = one;
    return memory;
}
