/* tools/leveret/datadir.h - a broker's data directory, opened by a tool that only reads.
 *
 * Who wants it to hold still has a shared lock while it is open: several tools may look at once, and no broker begins
 * meanwhile. One that has the directory already is found out by that.
 */
#ifndef LV_TOOL_DATADIR_H
#define LV_TOOL_DATADIR_H
#include "store/store.h"

enum lv_datadir_use {
    LV_DATADIR_STILL,    /* refused when a broker has it; none begins meanwhile */
    LV_DATADIR_AS_IT_IS, /* the same, but when a broker has it, it goes on */
    LV_DATADIR_MOVING,   /* takes no lock: whatever a broker does meanwhile is fine */
};

struct lv_datadir {
    const char *path; /* borrows */
    int lock;
    bool is_live; /* a broker has it */
    struct lv_store *store;
};

/* EX_OK, or an exit code, and why on stderr. */
int lv_datadir_open(const char *path, enum lv_datadir_use use, struct lv_datadir *out);
void lv_datadir_close(struct lv_datadir *d);
/* Exit code for `err`. */
int lv_datadir_code(enum lv_err err);

#endif
