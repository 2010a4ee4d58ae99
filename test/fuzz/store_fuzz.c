/* The small files of a data directory: which u8 (0 store, 1 checkpoint, 2 stopped), flags u8 (1: checksum mended), then its
 * bytes. What is read from a checkpoint is within its bounds, and written again it is the same bytes. */
#include "store/store.h"

#include "base/mem.h"
#include "mem_dir.h"

static const char *const names[] = { "store", "checkpoint", "stopped" };

/* Where the checksum stands; SIZE_MAX: nowhere. */
static size_t checksum_at(unsigned which, size_t size)
{
    size_t at = which == 0 ? 40 : which == 1 ? size - 4 : 36;

    return size >= 4 && at + 4 <= size ? at : SIZE_MAX;
}

static void check_checkpoint(struct lv_store *s, const struct mem_dir *d, struct lv_bytes was)
{
    struct lv_checkpoint c;
    enum lv_err err = lv_store_read_checkpoint(s, &c);

    LV_ASSERT(err == LV_OK || err == LV_ENOTFOUND || err == LV_ECORRUPT || err == LV_EVERSION);
    if (err == LV_OK) {
        lv_lsn stable = lv_checkpoint_stable(&c);
        LV_ASSERT(stable >= c.from && c.file_count <= LV_WAL_FILES_MAX);
        LV_ASSERT(lv_store_write_checkpoint(s, &c) == LV_OK);
        const struct mem_file *f = mem_find((struct mem_dir *)(uintptr_t)d, "checkpoint");
        LV_ASSERT(f != NULL && f->size == was.len);
        LV_ASSERT(memcmp(f->bytes, was.ptr, 12) == 0 &&
                  memcmp(f->bytes + 16, was.ptr + 16, was.len - 20) ==
                      0); /* but for what is reserved */
    }
    lv_checkpoint_fini(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lv_rd r = lv_rd(lv_bytes(data, size));
    unsigned which = lv_rd_u8(&r) % LV_ARRAY_LEN(names);
    bool is_mended = (lv_rd_u8(&r) & 1) != 0;
    struct lv_bytes text = lv_rd_bytes(&r, lv_rd_left(&r));
    struct mem_dir d;
    struct lv_store *s;

    mem_begin(&d);
    if (which != 0)
        mem_put_store(&d, LV_WAL_FILE_MIN);
    struct mem_file *f = mem_put(&d, names[which], text);
    size_t at = checksum_at(which, f->size);
    if (is_mended && at != SIZE_MAX)
        lv_put_be32(f->bytes + at, lv_crc32c(lv_bytes(f->bytes, at), 0));
    uint8_t *was = malloc(text.len + 1);
    LV_ASSERT(was != NULL);
    memcpy(was, f->bytes, text.len);
    struct lv_store_config config = { .dir = &d.dir,
                                      .appenders = 1,
                                      .file_bytes = LV_WAL_FILE_MIN,
                                      .ring_bytes = (size_t)1 << 20,
                                      .read_only = true };
    enum lv_err err = lv_store_open(&config, &s);
    LV_ASSERT(which == 0 ? err == LV_OK || err == LV_ECORRUPT || err == LV_EVERSION : err == LV_OK);
    if (err == LV_OK) {
        struct lv_stopped stopped;
        uint64_t bytes = lv_wal_file_bytes(lv_store_messages(s));
        LV_ASSERT(bytes >= LV_WAL_FILE_MIN && (bytes & (bytes - 1)) == 0);
        lv_store_read_stopped(s, &stopped);
        check_checkpoint(s, &d, lv_bytes(was, text.len));
        lv_store_close(s);
    }
    free(was);
    mem_end(&d);
    LV_ASSERT(lv_mem_used(LV_TAG_STORE) == 0);
    return 0;
}
