/* Reading back: a reader keeps the files it used last open. */
#include "base/mem.h"
#include "store/wal_priv.h"

enum { OPEN_FILES = 16 };

struct lv_wal_reader {
    struct lv_wal *wal;
    uint64_t clock;
    struct {
        struct lv_file *file;
        uint64_t number, used;
    } open[OPEN_FILES];
};

enum lv_err lv_wal_reader_new(struct lv_wal *wal, struct lv_wal_reader **out)
{
    *out = lv_mem_zalloc(sizeof(**out), LV_TAG_STORE);
    if (*out == NULL)
        return LV_ENOMEM;
    (*out)->wal = wal;
    return LV_OK;
}

void lv_wal_reader_free(struct lv_wal_reader *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < OPEN_FILES; i++)
        lv_file_close(r->open[i].file);
    lv_mem_free(r, LV_TAG_STORE);
}

static enum lv_err find(struct lv_wal_reader *r, uint64_t number, struct lv_file **out)
{
    size_t oldest = 0;

    r->clock++;
    for (size_t i = 0; i < OPEN_FILES; i++) {
        if (r->open[i].file != NULL && r->open[i].number == number) {
            r->open[i].used = r->clock;
            *out = r->open[i].file;
            return LV_OK;
        }
        if (r->open[i].used < r->open[oldest].used)
            oldest = i;
    }
    lv_file_close(r->open[oldest].file);
    r->open[oldest].file = NULL;
    enum lv_err err = lv_wal_open_file(r->wal, number, LV_FILE_READ, &r->open[oldest].file);
    if (err != LV_OK)
        return err;
    r->open[oldest].number = number;
    r->open[oldest].used = r->clock;
    *out = r->open[oldest].file;
    return LV_OK;
}

enum lv_err lv_wal_read(struct lv_wal_reader *r, lv_lsn lsn, void *buf, size_t bytes, size_t *got)
{
    struct lv_file *f;
    uint64_t offset = lsn & r->wal->file_mask;
    enum lv_err err = find(r, lsn / r->wal->config.file_bytes, &f);

    *got = 0;
    if (err != LV_OK)
        return err;
    return lv_file_read(f, offset, buf, LV_MIN(bytes, r->wal->config.file_bytes - offset), got);
}
