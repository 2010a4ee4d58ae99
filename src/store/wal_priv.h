/* store/wal_priv.h - inside a log: shared by log.c (append, write), scan.c (open) and read.c. */
#ifndef LV_STORE_WAL_PRIV_H
#define LV_STORE_WAL_PRIV_H
#include "store/crc.h"
#include "store/wal.h"

/* A record that found no room in the ring; its place in the log is its already. */
struct lv_wal_waiting {
    struct lv_wal_waiting *next;
    lv_lsn lsn;
    size_t bytes;
    lv_lsn pad_from, pad_to; /* the gap before it that it owns; equal: none */
    uint8_t data[];
};

struct lv_wal_appender {
    _Alignas(64) _Atomic lv_lsn
        low; /* nothing of this appender is incomplete before it; NONE: nothing at all */
    struct lv_wal_waiting *first, *last;
};
#define LV_WAL_LOW_NONE UINT64_MAX

struct lv_wal {
    struct lv_wal_config config;
    uint64_t file_mask; /* file_bytes - 1 */
    uint8_t *ring;
    size_t record_max;
    _Alignas(64) _Atomic lv_lsn tail;    /* next free */
    _Alignas(64) _Atomic lv_lsn written; /* in the files; the ring before it is free */
    _Atomic lv_lsn stable;
    _Atomic lv_lsn marked; /* what the last mark says */
    /* the writer's */
    struct lv_file *file;                    /* `current` */
    uint64_t forgotten;                      /* bytes of it: lv_wal_forget */
    uint64_t write_ns, write_bytes;          /* what writes cost lately */
    lv_lsn forget_until;                     /* while it is written up to here, pages are dear */
    _Atomic uint64_t current, first, newest; /* file numbers; newest: made */
    bool is_poisoned, is_read_only;
    struct lv_wal_appender appenders[]; /* config.appenders + 1 */
};

static inline uint32_t lv_wal_seed(const struct lv_wal *wal, lv_lsn lsn)
{
    return (uint32_t)(lsn >> 3) ^ (uint32_t)(lsn >> 35) ^ (uint32_t)wal->config.id ^
           (uint32_t)(wal->config.id >> 32);
}

/* What the mark at `lsn` says: everything before it had been synced. 0: nothing that could be true. */
static inline lv_lsn lv_wal_mark_of(lv_lsn lsn, struct lv_bytes payload)
{
    lv_lsn stable = payload.len == 8 ? lv_be64(payload.ptr) : 0;

    return stable <= lsn ? stable : 0;
}

/* The bytes before a file's first record. */
void lv_wal_write_head(const struct lv_wal *wal, uint64_t number, uint8_t out[LV_WAL_FILE_HEAD]);
/* LV_OK, LV_EMORE: nothing was written there, LV_ECORRUPT, LV_EVERSION. */
enum lv_err lv_wal_check_head(const struct lv_wal *wal, uint64_t number,
                              const uint8_t head[LV_WAL_FILE_HEAD]);
/* Is it the beginning of a file that nothing was written to? */
bool lv_wal_is_unused(struct lv_bytes head);
/* Opens file `number`. */
enum lv_err lv_wal_open_file(const struct lv_wal *wal, uint64_t number, unsigned flags,
                             struct lv_file **out) LV_MUST_USE;

#endif
