/* A log out of the input: flags u8 (1: checksums are mended, 2: a second file, 4: a clean end), u16 the clean end or where
 * the second file's bytes begin, then the bytes behind the head of the first file. The two readers must agree, the opening
 * changes nothing that it has read, and goes on behind it. */
#include "mem_dir.h"
#include "store/check.h"

#define FILE_BYTES LV_WAL_FILE_MIN
#define RING_BYTES ((size_t)65536)

enum { MENDED = 1, TWO_FILES = 2, CLEAN_END = 4 };

struct seen {
    uint64_t count, sum;
};

static enum lv_err see(void *ctx, uint8_t type, lv_lsn lsn, struct lv_bytes payload)
{
    struct seen *s = ctx;

    if (type < LV_REC_FIRST)
        return LV_OK;
    s->count++;
    s->sum = s->sum * 1000003 + (lsn ^ (uint64_t)type << 56 ^ lv_crc32c(payload, 7));
    return LV_OK;
}

static struct lv_wal *open_log(struct mem_dir *d, const struct lv_wal_known *known, bool read_only,
                               struct seen *seen, struct lv_wal_report *report)
{
    struct lv_wal_config config = { .dir = &d->dir,
                                    .name = "messages",
                                    .id = MEM_ID,
                                    .file_bytes = FILE_BYTES,
                                    .ring_bytes = RING_BYTES,
                                    .appenders = 1 };
    struct lv_wal *wal;

    *seen = (struct seen){ 0 };
    LV_ASSERT(lv_wal_new(&config, &wal) == LV_OK);
    LV_ASSERT(lv_wal_open(wal, known, read_only, see, seen, report) == LV_OK);
    return wal;
}

static void check(struct mem_dir *d, struct lv_wal *wal, const struct lv_wal_known *known,
                  const struct seen *seen, const struct lv_wal_report *report)
{
    struct lv_wal_check_range range = { .stable = known->clean_end };
    struct lv_wal_check found;
    struct seen again = { 0 };
    uint64_t changes = d->changes;

    LV_ASSERT(lv_wal_check(wal, &range, see, &again, &found) == LV_OK);
    LV_ASSERT(d->changes == changes);
    /* The start sees what is before its end; all that is there, when that is all. */
    if (report->torn_bytes == 0 && known->clean_end == 0)
        LV_ASSERT(again.count == seen->count && again.sum == seen->sum);
    if (known->clean_end == 0) {
        lv_lsn end = report->end;
        if (end % FILE_BYTES == 0 && found.end % FILE_BYTES == LV_WAL_FILE_HEAD)
            end += LV_WAL_FILE_HEAD; /* a file with a head and nothing else */
        LV_ASSERT((found.damage_count != 0) == (report->damage_count != 0));
        LV_ASSERT(found.end == end);
    }
    lv_wal_check_fini(&found);
}

static void append(struct lv_wal *wal)
{
    struct lv_bytes part = LV_BYTES_LIT("one more");
    bool did;

    LV_ASSERT(lv_wal_append(wal, 0, LV_REC_FIRST, &part, 1, NULL, NULL) == LV_OK);
    while (lv_wal_wants_file(wal))
        LV_ASSERT(lv_wal_make_file(wal) == LV_OK);
    LV_ASSERT(lv_wal_write(wal, lv_wal_complete(wal), &did) == LV_OK && did);
    LV_ASSERT(lv_wal_mark(wal) == LV_OK);
    LV_ASSERT(lv_wal_write(wal, lv_wal_complete(wal), &did) == LV_OK && did);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lv_rd r = lv_rd(lv_bytes(data, size));
    uint8_t flags = lv_rd_u8(&r);
    uint16_t at = lv_rd_u16(&r);
    struct lv_bytes raw = lv_rd_bytes(&r, lv_rd_left(&r)), rest = lv_bytes(NULL, 0);
    struct lv_wal_known known = { 0 };
    struct lv_wal_report report, again;
    struct seen seen, more;
    struct mem_dir d;

    mem_begin(&d);
    if ((flags & TWO_FILES) != 0 && at < raw.len) {
        rest = lv_bytes(raw.ptr + at, raw.len - at);
        raw.len = at;
    }
    if ((flags & CLEAN_END) != 0)
        known.clean_end = FILE_BYTES + (at & ~7u);
    mem_put_log(&d, "messages", 1, FILE_BYTES, MEM_ID, raw, (flags & MENDED) != 0);
    mem_put_log(&d, "messages", 2, FILE_BYTES, MEM_ID, rest, (flags & MENDED) != 0);
    struct lv_wal *wal = open_log(&d, &known, true, &seen, &report);
    check(&d, wal, &known, &seen, &report);
    lv_wal_free(wal);
    LV_ASSERT(d.changes == 0);

    wal = open_log(&d, &known, false, &more, &again);
    LV_ASSERT(more.count == seen.count && more.sum == seen.sum && again.end == report.end);
    append(wal);
    lv_wal_free(wal);
    if ((flags & CLEAN_END) == 0) { /* what stands behind a clean end nobody has looked at */
        wal = open_log(&d, &known, true, &more, &again);
        LV_ASSERT(more.count == seen.count + 1 && again.torn_bytes == 0);
        lv_wal_free(wal);
    }
    mem_end(&d);
    return 0;
}
