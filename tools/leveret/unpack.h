/* tools/leveret/unpack.h - a backup, block by block, into an empty directory.
 *
 * `store`, without which a directory is none, comes last and by renaming: what was not finished or not good is
 * refused by every broker.
 */
#ifndef LV_TOOL_UNPACK_H
#define LV_TOOL_UNPACK_H
#include <stdio.h>

#include "os/file.h"
#include "progress.h"

struct lv_unpacked {
    uint64_t files, data; /* bytes of the files that were told */
    bool has_begun;       /* `progress` runs */
};

/* Reads `in` to its end; what it names is written to `dir`, which is empty, and lasting when it returns LV_OK. Otherwise
 * nothing of it stays in `dir`. LV_ECORRUPT: damaged, cut short, or no backup; LV_EVERSION, LV_EIO, LV_ENOSPC, LV_ENOMEM. */
enum lv_err lv_unpack(FILE *in, struct lv_dir *dir, struct lv_progress *progress, bool quiet,
                      struct lv_unpacked *out) LV_MUST_USE;

#endif
