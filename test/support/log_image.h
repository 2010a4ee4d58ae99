/* support/log_image.h - the files of a data directory, read by the word of docs/formats and not by the code under test.
 *
 * Of a directory that is known to be good: anything else than what the documents say fails the test. What a change of some
 * bytes can take away follows from it: which records they belong to, and what these say.
 */
#ifndef LV_SUPPORT_LOG_IMAGE_H
#define LV_SUPPORT_LOG_IMAGE_H
#include "lv_test.h"
#include "support/sim_dir.h"

#define IMAGE_NONE UINT64_MAX

struct image_file {
    char name[LV_FILE_NAME_MAX + 1];
    uint8_t *bytes;
    uint64_t size;
    int log;         /* 0 messages, 1 topology, -1 none */
    uint64_t number; /* of a log file */
    bool is_used;    /* it has a head */
};

struct image_rec {
    uint8_t type;
    int log;
    uint64_t lsn, at;   /* at: its offset in the file */
    size_t file;        /* index */
    uint32_t len, size; /* of the payload; of all of it in the file */
    const uint8_t *payload;
};

struct log_image {
    struct image_file *files; /* sorted by name */
    size_t file_count;
    struct image_rec *recs; /* in the order of the logs, messages first */
    size_t rec_count, rec_cap;
    uint64_t id, file_bytes[2], end[2];
    uint64_t clean_end[2];      /* as `stopped` says; 0: none */
    uint64_t checkpoint_from;   /* IMAGE_NONE: no checkpoint */
    uint64_t checkpoint_stable; /* it was written when everything before this had been synced */
};

/* Reads all of a good directory. */
void log_image_read(struct sim_dir *disk, struct log_image *out);
/* The files only, whatever is in them. */
void log_image_read_files(struct sim_dir *disk, struct log_image *out);
void log_image_fini(struct log_image *im);
/* NULL: none. */
const struct image_file *log_image_file(const struct log_image *im, const char *name);
/* The record of the messages' log at `lsn`; NULL: none. */
const struct image_rec *log_image_rec(const struct log_image *im, uint64_t lsn);

/* CRC32C, going on from `crc`, neither end inverted. */
uint32_t image_crc32c(uint32_t crc, const uint8_t *p, size_t n);

static inline uint64_t image_u64(const uint8_t *p)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}
static inline uint32_t image_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

#endif
