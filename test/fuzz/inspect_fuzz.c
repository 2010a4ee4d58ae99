/* A data directory out of the input, as `leveret inspect` looks at it: flags u8 (1: checksums are mended, 2: the records
 * are shown, 4: text and not JSON, 8: with a checkpoint, from 16: somewhere in the first file), u16 bytes of the topology's
 * first file, then these, then those of the messages' first file. It looks at all of it and changes nothing. */
#include "leveret/look.h"

#include "mem_dir.h"

/* A program is no library: what prints is brought in.
   NOLINTBEGIN(bugprone-suspicious-include) */
#include "../../tools/leveret/inspect.c"
/* NOLINTEND(bugprone-suspicious-include) */

#define FILE_BYTES LV_WAL_FILE_MIN

enum { MENDED = 1, RECORDS = 2, TEXT = 4, HAS_CHECKPOINT = 8, FROM = 16 };

static void put_checkpoint(struct mem_dir *d, lv_lsn from)
{
    uint8_t text[52] = "lvcheck\n";

    lv_put_be32(text + 8, 1);
    lv_put_be64(text + 16, MEM_ID);
    lv_put_be64(text + 24, from);
    lv_put_be32(text + 48, lv_crc32c(lv_bytes(text, 48), 0));
    (void)mem_put(d, "checkpoint", lv_bytes(text, sizeof(text)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lv_look look;
    static bool is_quiet;
    struct lv_rd r = lv_rd(lv_bytes(data, size));
    uint8_t flags = lv_rd_u8(&r);
    uint16_t len = lv_rd_u16(&r);
    struct lv_bytes topology = lv_rd_bytes(&r, LV_MIN(len, lv_rd_left(&r)));
    struct lv_bytes messages = lv_rd_bytes(&r, lv_rd_left(&r));
    struct wishes w = { .json = (flags & TEXT) == 0, .queues = true };
    const char *what = "";
    struct mem_dir d;

    if (!is_quiet) /* what it says is not the matter */
        LV_ASSERT(freopen("/dev/null", "w", stdout) != NULL);
    is_quiet = true;
    mem_begin(&d);
    mem_put_store(&d, FILE_BYTES);
    mem_put_log(&d, "topology", 1, UINT64_C(1) << 20, ~MEM_ID, topology, (flags & MENDED) != 0);
    mem_put_log(&d, "messages", 1, FILE_BYTES, MEM_ID, messages, (flags & MENDED) != 0);
    mem_put_log(&d, "messages", 2, FILE_BYTES, MEM_ID, lv_bytes(NULL, 0), false);
    if ((flags & HAS_CHECKPOINT) != 0)
        put_checkpoint(&d, FILE_BYTES + LV_WAL_FILE_HEAD + ((flags & FROM) != 0 ? len & ~7u : 0));
    struct lv_store_config config = { .dir = &d.dir,
                                      .appenders = 1,
                                      .file_bytes = FILE_BYTES,
                                      .ring_bytes = (size_t)1 << 20,
                                      .read_only = true };
    look = (struct lv_look){ .dir = { .path = "data" } };
    LV_ASSERT(lv_store_open(&config, &look.dir.store) == LV_OK);
    struct records records = { lv_store_topology(look.dir.store) };
    struct lv_look_eye eye = { show_record, &records };
    LV_ASSERT(lv_look(&look, (flags & RECORDS) != 0 ? &eye : NULL, &what) == LV_OK);
    if (w.json)
        show_json(&look, &w);
    else
        show_text(&look, &w);
    lv_look_fini(&look);
    lv_store_close(look.dir.store);
    LV_ASSERT(d.changes == 0);
    mem_end(&d);
    return 0;
}
