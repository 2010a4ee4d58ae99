/* A backup out of the input: flags u8 (1: numbers and checksums of blocks are mended), then the file. What `leveret restore`
 * takes is a directory with a file `store` and nothing that a backup may not hold; what it refuses leaves nothing behind. */
#include "leveret/archive.h"

#include <stdio.h>

#include "base/mem.h"
#include "leveret/unpack.h"
#include "mem_dir.h"

static void mend(uint8_t *bytes, size_t size)
{
    uint64_t number = 0;

    for (size_t at = LV_ARCHIVE_HEAD; at + LV_ARCHIVE_BLOCK_HEAD <= size;) {
        size_t left = size - at - LV_ARCHIVE_BLOCK_HEAD, payload = lv_be32(bytes + at + 16);
        if (payload > left)
            lv_put_be32(bytes + at + 16, (uint32_t)(payload = left));
        lv_put_be64(bytes + at + 8, number++);
        lv_put_be32(bytes + at,
                    lv_crc32c(lv_bytes(bytes + at + 4, LV_ARCHIVE_BLOCK_HEAD - 4 + payload), 0));
        at += LV_ARCHIVE_BLOCK_HEAD + payload;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lv_progress progress = { 0 };
    struct lv_unpacked done;
    struct mem_dir d;

    if (size < 2)
        return 0;
    uint8_t *bytes = malloc(size - 1);
    LV_ASSERT(bytes != NULL);
    memcpy(bytes, data + 1, size - 1);
    if ((data[0] & 1) != 0)
        mend(bytes, size - 1);
    FILE *in = fmemopen(bytes, size - 1, "rb");
    LV_ASSERT(in != NULL);
    mem_begin(&d);
    enum lv_err err = lv_unpack(in, &d.dir, &progress, true, &done);
    LV_ASSERT(err == LV_OK || err == LV_ECORRUPT || err == LV_EVERSION || err == LV_ENOSPC);
    uint64_t files = 0;
    for (size_t i = 0; i < MEM_FILES; i++) {
        if (d.files[i].bytes == NULL)
            continue;
        files++;
        LV_ASSERT(lv_archive_name_ok(lv_bytes_str(d.files[i].name)));
    }
    LV_ASSERT(err == LV_OK ? files == done.files && mem_find(&d, "store") != NULL : files == 0);
    (void)fclose(in);
    free(bytes);
    mem_end(&d);
    return 0;
}
