/* tools/leveret/fault.h - what went wrong, for the person at the terminal. */
#ifndef LV_TOOL_FAULT_H
#define LV_TOOL_FAULT_H
#include <errno.h>
#include <stdbool.h>

struct lv_fault {
    int code; /* exit code, from sysexits.h */
    char text[1024];
};

/* Fills `fault`; with `cause` other than 0, its text (as of errno) follows after ": ". */
void lv_fault_set(struct lv_fault *fault, int code, int cause, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Fill `fault` and are false, so that a failing function can `return lv_fail(...)`. */
#define lv_fail(fault, code, ...) (lv_fault_set((fault), (code), 0, __VA_ARGS__), false)
#define lv_fail_errno(fault, code, ...) (lv_fault_set((fault), (code), errno, __VA_ARGS__), false)

/* Memory of a load generator either is there or the run is pointless: exits with EX_OSERR. */
void *lv_need(void *memory);
/* The same for what lives as long as the program does: nobody frees it. */
void *lv_keep(void *memory);

#endif
