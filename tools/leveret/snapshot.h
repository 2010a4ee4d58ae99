/* tools/leveret/snapshot.h - the files of a data directory as they were at one moment, also while a broker writes them.
 *
 * A moment is as a power cut then would have left it, and that a start can cope with. In this order, so that it holds:
 *
 *   1  the checkpoint is read;
 *   2  all files of the message log are opened: what is given up from here on stays readable;
 *   3  the checkpoint is read again. Another one: files may have gone that the first one needs - begin again. So is it when
 *      a file went away between its name and its opening;
 *   4  the end of the message log is found: everything before it is records, one behind the other. What was confirmed
 *      before step 1 was in the file then, and is before the end;
 *   5  the files of the topology log are opened, and its end is found. It comes last: the log thread writes the topology
 *      first (S2 in store/README.md), so every queue that has a message before the end of 4 is in it, and no queue id that
 *      occurs there can be given again. A queue that was deleted between 4 and 5 is gone, with what it held.
 *
 * What stands behind either end is not part of it. `stopped` never is: the ends are found anew.
 */
#ifndef LV_TOOL_SNAPSHOT_H
#define LV_TOOL_SNAPSHOT_H
#include "datadir.h"

struct lv_snapshot_file {
    char name[LV_FILE_NAME_MAX + 1];
    struct lv_file *file; /* NULL: `text` is all of it */
    uint8_t *text;
    uint64_t size;  /* of the whole file */
    uint64_t bytes; /* that belong to the moment; the rest is zeros */
};

struct lv_snapshot {
    struct lv_snapshot_file *files;
    size_t count, cap;
    uint64_t total; /* bytes of all files */
    lv_lsn messages_end, topology_end;
    uint64_t damaged; /* ranges that were found damaged on the way; they are part of it */
    unsigned attempts;
};

/* LV_EAGAIN: the checkpoints came too fast, again and again. The directory stays open as long as the snapshot. */
enum lv_err lv_snapshot_take(struct lv_datadir *d, struct lv_snapshot *out) LV_MUST_USE;
void lv_snapshot_fini(struct lv_snapshot *s);

#endif
