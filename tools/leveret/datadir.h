/* tools/leveret/datadir.h - a broker's data directory, opened by a tool that only reads.
 *
 * A shared lock is held while it is open: several tools may look at once, and no broker begins meanwhile. One that has
 * the directory already is found out by that.
 */
#ifndef LV_TOOL_DATADIR_H
#define LV_TOOL_DATADIR_H
#include "store/store.h"

struct lv_datadir {
    const char *path; /* borrows */
    int lock;
    bool is_live; /* a broker has it */
    struct lv_store *store;
};

/* EX_OK, or an exit code, and why on stderr. `allow_live`: also when a broker has it. */
int lv_datadir_open(const char *path, bool allow_live, struct lv_datadir *out);
void lv_datadir_close(struct lv_datadir *d);
/* Exit code for `err`. */
int lv_datadir_code(enum lv_err err);

#endif
