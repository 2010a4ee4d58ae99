/* tools/leveret/archive.h - the container of a backup, block by block (docs/formats/backup.md). Pure; any thread. */
#ifndef LV_TOOL_ARCHIVE_H
#define LV_TOOL_ARCHIVE_H
#include "base/bytes.h"
#include "base/err.h"

#define LV_ARCHIVE_FORMAT 1u
#define LV_ARCHIVE_HEAD 16u
#define LV_ARCHIVE_BLOCK_HEAD 24u
#define LV_ARCHIVE_DATA_MAX (1u << 20) /* bytes of a file in one block */
#define LV_ARCHIVE_BLOCK_MAX (LV_ARCHIVE_DATA_MAX + 8u)

enum lv_archive_kind {
    LV_ARCHIVE_BEGIN = 1, /* what is copied, and when */
    LV_ARCHIVE_FILE = 2,  /* the blocks behind it are of this file */
    LV_ARCHIVE_DATA = 3,  /* bytes at an offset; what no block tells is zeros */
    LV_ARCHIVE_END = 4,   /* nothing is missing */
};

/* What a payload says; fields of other kinds are zeros. */
struct lv_archive_block {
    enum lv_archive_kind kind;
    uint64_t id, time_ms; /* BEGIN: of the data directory; when it was copied, since 1970 */
    uint64_t total; /* BEGIN: bytes that are about to come, at most. END: bytes of data that came */
    uint64_t files; /* END */
    uint64_t size;  /* FILE: of the whole file */
    struct lv_bytes name; /* FILE; views */
    uint64_t offset;      /* DATA */
    struct lv_bytes data; /* DATA; views */
};

void lv_archive_write_head(uint8_t out[LV_ARCHIVE_HEAD]);
/* LV_ECORRUPT: no backup; LV_EVERSION. */
enum lv_err lv_archive_check_head(const uint8_t head[LV_ARCHIVE_HEAD]) LV_MUST_USE;

/* Block `number` (they count from 0): its head and payload into `out`; returns how many bytes. Names at most 63 bytes. */
size_t lv_archive_write(uint64_t number, const struct lv_archive_block *block,
                        uint8_t out[LV_ARCHIVE_BLOCK_HEAD + LV_ARCHIVE_BLOCK_MAX]);
/* Bytes of the payload behind a block's head. LV_ECORRUPT: no head. */
enum lv_err lv_archive_payload_bytes(const uint8_t head[LV_ARCHIVE_BLOCK_HEAD],
                                     size_t *bytes) LV_MUST_USE;
/* A head and its payload, whole. LV_ECORRUPT: not what was written as block `number`. Views `block`. */
enum lv_err lv_archive_parse(uint64_t number, struct lv_bytes block,
                             struct lv_archive_block *out) LV_MUST_USE;

/* Is it the name of a file that a backup holds? Nothing else is ever written to disk. */
bool lv_archive_name_ok(struct lv_bytes name);

#endif
