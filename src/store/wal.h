/* store/wal.h - one append-only log: many appenders, one writer, group commit.
 *
 * A position in the log is an LSN: the byte where a record begins, counted from the beginning of the log's life. An
 * appender knows the LSN of its record at once; what it names is stable later. File n holds the LSNs from n * file_bytes.
 *
 *   append   reserves [lsn, lsn + size) by one compare-and-swap, copies the record into a ring that all appenders share
 *   write    what is complete in the ring goes to the file in one write, then one sync: lv_wal_stable() grows
 *
 * Owner    an appender number belongs to one thread. lv_wal_write, lv_wal_open: one thread at a time.
 * Memory   the ring, and what found no room in it: bounded by appenders that stop when lv_wal_is_full().
 * Format   docs/formats/wal.md; the invariants L1..L6 stand in store/README.md.
 */
#ifndef LV_STORE_WAL_H
#define LV_STORE_WAL_H
#include <stdatomic.h>

#include "base/bytes.h"
#include "os/file.h"

typedef uint64_t lv_lsn; /* a multiple of 8; 0 is no record's */

struct lv_wal;

#define LV_WAL_FORMAT 1u
#define LV_WAL_FILE_HEAD 64u     /* bytes of a file before its first record */
#define LV_WAL_REC_HEAD 8u       /* bytes of a record before its payload */
#define LV_WAL_FILE_MIN 65536u   /* bytes; a power of two */
#define LV_WAL_FILES_MAX 65536u  /* files at a time */
#define LV_WAL_APPENDERS_MAX 68u /* LV_LOOPS_MAX and the store's own */

enum lv_rec_type {
    LV_REC_PAD = 1,   /* nothing up to the end of the file */
    LV_REC_MARK = 2,  /* u64: everything before this LSN was synced when it was appended */
    LV_REC_FIRST = 16 /* from here on the user's */
};

struct lv_wal_config {
    struct lv_dir *dir; /* borrows */
    const char *name; /* files are <name>-<number in 10 hex digits>.wal; borrows; at most 16 bytes */
    uint64_t id;      /* of the data directory: records of another one are not taken for ours */
    uint64_t file_bytes; /* a power of two from LV_WAL_FILE_MIN */
    size_t ring_bytes;   /* a power of two; at least 8 records of lv_wal_record_max() */
    unsigned appenders;  /* numbers 0..appenders-1; one more is the writer's own */
    uint64_t ahead_bytes; /* files made ahead: what is left on a full disk for everything but publishes; at least two files */
};

enum lv_err lv_wal_new(const struct lv_wal_config *config, struct lv_wal **out) LV_MUST_USE;
/* Nobody appends or writes any more. NULL is allowed. */
void lv_wal_free(struct lv_wal *wal);

/* ---- opening: what is there ---- */

/* What a scan found. Ranges are [from, to). */
struct lv_wal_damage {
    lv_lsn from, to;
};
#define LV_WAL_DAMAGES_MAX 64u
struct lv_wal_report {
    lv_lsn end;          /* where appending goes on */
    uint64_t torn_bytes; /* behind `end`: written and never synced; cut off */
    uint64_t records;
    uint32_t damage_count; /* of `damage`, or more than fit */
    struct lv_wal_damage damage[LV_WAL_DAMAGES_MAX];
};
/* A record that was found. An error ends the scan. */
typedef enum lv_err lv_wal_visit(void *ctx, uint8_t type, lv_lsn lsn, struct lv_bytes payload);

/* What is known of a log before it is walked; zeros: nothing. */
struct lv_wal_known {
    lv_lsn from;      /* where the walk begins; 0: with the oldest file */
    lv_lsn stable;    /* everything before it had been synced: a checkpoint says so */
    lv_lsn clean_end; /* where a clean stop left the log: no look beyond it is needed */
};

/* Walks all records to the end, and prepares the log for appending behind them: a tail that was never synced is cut off,
 * a damaged range before the end is reported and stepped over, nothing is deleted.
 * With `read_only` nothing is changed, and nothing can be appended. LV_EVERSION, LV_EIO, LV_ENOMEM, `visit`'s. */
enum lv_err lv_wal_open(struct lv_wal *wal, const struct lv_wal_known *known, bool read_only,
                        lv_wal_visit *visit, void *ctx, struct lv_wal_report *report) LV_MUST_USE;

/* ---- appending ---- */

/* Largest payload of a record. */
size_t lv_wal_record_max(const struct lv_wal *wal);
/* Appends one record, its payload being the parts one behind the other. *lsn is its position, *end what must be stable
 * for it to be (either may be NULL). LV_ENOMEM: the ring was full and there is no memory; nothing happened. */
enum lv_err lv_wal_append(struct lv_wal *wal, unsigned appender, uint8_t type,
                          const struct lv_bytes *parts, size_t count, lv_lsn *lsn,
                          lv_lsn *end) LV_MUST_USE;
/* Puts what found no room into the ring, as far as there is room now. False: some is left. */
bool lv_wal_pump(struct lv_wal *wal, unsigned appender);
/* The ring is so full that this appender should take no more work: input that leads to appends must wait. */
bool lv_wal_is_full(const struct lv_wal *wal);
/* LSN of the next record; momentary. */
lv_lsn lv_wal_tail(const struct lv_wal *wal);
/* Everything before it is in the file and can be read back. */
lv_lsn lv_wal_written(const struct lv_wal *wal);
/* Everything before it survives a power cut. */
lv_lsn lv_wal_stable(const struct lv_wal *wal);

/* ---- writing ---- */

/* The end of what is complete now. */
lv_lsn lv_wal_complete(struct lv_wal *wal);
/* Writes up to `upto` and syncs. *did tells whether there was anything. An error is final: what is stable stays so, and
 * nothing else is known. LV_EAGAIN: the next file is not ready (lv_wal_make_file); call again. */
enum lv_err lv_wal_write(struct lv_wal *wal, lv_lsn upto, bool *did) LV_MUST_USE;
/* Where new pages of memory are dear: lets the system forget what was written more than LV_WAL_CACHED_BYTES ago. After a
 * write; the writer. */
#define LV_WAL_CACHED_BYTES (32u << 20)
void lv_wal_forget(struct lv_wal *wal);
/* Appends a mark that says what is stable, if the last one says less. LV_ENOMEM. */
enum lv_err lv_wal_mark(struct lv_wal *wal) LV_MUST_USE;
/* Should lv_wal_make_file be called? */
bool lv_wal_wants_file(const struct lv_wal *wal);
/* Creates the file after the newest one, whole and lasting. Any one thread. LV_ENOSPC, LV_ENOMEM: try again later. */
enum lv_err lv_wal_make_file(struct lv_wal *wal) LV_MUST_USE;

/* ---- files ---- */

static inline uint64_t lv_lsn_file(lv_lsn lsn, uint64_t file_bytes)
{
    return lsn / file_bytes;
}
uint64_t lv_wal_file_bytes(const struct lv_wal *wal);
/* Name of file `number`, into `out`. */
void lv_wal_file_name(const struct lv_wal *wal, uint64_t number, char out[LV_FILE_NAME_MAX + 1]);
/* Number of the oldest file that is there, and of the one that is written to. */
uint64_t lv_wal_first_file(const struct lv_wal *wal);
uint64_t lv_wal_current_file(const struct lv_wal *wal);
/* Removes a file that is not the current one. LV_ENOTFOUND: it is gone already. */
enum lv_err lv_wal_remove_file(struct lv_wal *wal, uint64_t number) LV_MUST_USE;

/* ---- reading back ---- */

/* Reads records at any written place. One thread; keeps a few files open. */
struct lv_wal_reader;
enum lv_err lv_wal_reader_new(struct lv_wal *wal, struct lv_wal_reader **out) LV_MUST_USE;
void lv_wal_reader_free(struct lv_wal_reader *r);
/* Up to `bytes` from `lsn` on, not beyond its file. */
enum lv_err lv_wal_read(struct lv_wal_reader *r, lv_lsn lsn, void *buf, size_t bytes,
                        size_t *got) LV_MUST_USE;
/* The record that begins at buf[0] and is at `lsn`; false: not whole, or not a valid one. *size is what it takes in the
 * log. `payload` views buf. */
bool lv_wal_parse(const struct lv_wal *wal, lv_lsn lsn, struct lv_bytes buf, uint8_t *type,
                  struct lv_bytes *payload, size_t *size);

static inline size_t lv_wal_rec_size(size_t payload)
{
    return LV_WAL_REC_HEAD + ((payload + 7) & ~(size_t)7);
}

#endif
