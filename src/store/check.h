/* store/check.h - every file of a log, read whole and judged: for tools, never for the start.
 *
 * The start walks from the checkpoint; this looks at all files that are there. A place without a valid record is damage if
 * a mark anywhere says more than it, else the log ends there (L5), as at the start. A file may be missing before the
 * checkpoint: it was given up. Reads only, also while a broker writes: a place that became valid meanwhile is where the
 * log ended when it was looked at.
 */
#ifndef LV_STORE_CHECK_H
#define LV_STORE_CHECK_H
#include "store/wal.h"

#define LV_WAL_CHECK_TYPES 32u /* record types that are counted one by one */

struct lv_wal_check_file {
    uint64_t number, size;
    uint64_t used_bytes; /* up to the last byte that is not zero */
    uint64_t records;
    uint64_t by_type[LV_WAL_CHECK_TYPES];
};

struct lv_wal_check {
    struct lv_wal_check_file *files; /* the oldest first */
    size_t file_count;
    struct lv_wal_damage *damage; /* in order */
    size_t damage_count;
    lv_lsn end;          /* where the log ends */
    uint64_t torn_bytes; /* behind it: written, and not known to be synced */
    uint64_t records;
};

/* What to look at. */
struct lv_wal_check_range {
    uint64_t first; /* number of the first file that is looked at; 0: the oldest */
    lv_lsn from; /* where the start begins to walk: from here on no file may be missing; 0: none may */
    lv_lsn stable; /* everything before it had been synced: a clean stop or a checkpoint says so; 0: unknown */
};

/* `visit` (may be NULL) sees every valid record, marks and pads too. LV_ENOTFOUND: a file went away meanwhile, begin
 * again. LV_EVERSION, LV_EIO, LV_ENOMEM, `visit`'s. The result is freed by lv_wal_check_fini, whatever came back. */
enum lv_err lv_wal_check(struct lv_wal *wal, const struct lv_wal_check_range *range,
                         lv_wal_visit *visit, void *ctx, struct lv_wal_check *out) LV_MUST_USE;
void lv_wal_check_fini(struct lv_wal_check *c);

/* Numbers of the files that are there, sorted; freed with LV_TAG_STORE. LV_EIO, LV_ENOMEM. */
enum lv_err lv_wal_list(const struct lv_wal *wal, uint64_t **numbers, size_t *count) LV_MUST_USE;

#endif
