#include "support/log_image.h"

#include <stdio.h>
#include <stdlib.h>

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

uint32_t image_crc32c(uint32_t crc, const uint8_t *p, size_t n)
{
    static uint32_t table[256];

    for (uint32_t i = 0; table[255] == 0 && i < 256; i++) {
        uint32_t c = i;
        for (unsigned k = 0; k < 8; k++)
            c = (c & 1) != 0 ? c >> 1 ^ UINT32_C(0x82F63B78) : c >> 1;
        table[i] = c;
    }
    for (size_t i = 0; i < n; i++)
        crc = table[(crc ^ p[i]) & 0xFF] ^ crc >> 8;
    return crc;
}

/* ---- files ---- */

struct listing {
    struct log_image *im;
    struct lv_dir *door;
};

static void note(void *ctx, const char *name)
{
    struct listing *l = ctx;
    struct log_image *im = l->im;
    struct lv_file *f;
    size_t got;

    im->files = must(realloc(im->files, (im->file_count + 1) * sizeof(*im->files)));
    struct image_file *file = &im->files[im->file_count++];
    *file = (struct image_file){ .log = -1 };
    snprintf(file->name, sizeof(file->name), "%s", name);
    CHECK_EQ(lv_dir_open_file(l->door, name, LV_FILE_READ, &f), LV_OK);
    CHECK_EQ(lv_file_size(f, &file->size), LV_OK);
    file->bytes = must(malloc(file->size + 1));
    CHECK_EQ(lv_file_read(f, 0, file->bytes, file->size, &got), LV_OK);
    CHECK_EQ(got, file->size);
    lv_file_close(f);
    if (strncmp(name, "messages-", 9) == 0)
        file->log = 0;
    else if (strncmp(name, "topology-", 9) == 0)
        file->log = 1;
    if (file->log >= 0)
        file->number = strtoull(name + 9, NULL, 16);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct image_file *)a)->name, ((const struct image_file *)b)->name);
}

void log_image_read_files(struct sim_dir *disk, struct log_image *out)
{
    struct listing l = { out, sim_dir_door(disk) };

    *out = (struct log_image){ .checkpoint_from = IMAGE_NONE };
    CHECK_EQ(lv_dir_list(l.door, note, &l), LV_OK);
    qsort(out->files, out->file_count, sizeof(*out->files), by_name);
}

void log_image_fini(struct log_image *im)
{
    for (size_t i = 0; i < im->file_count; i++)
        free(im->files[i].bytes);
    free(im->files);
    free(im->recs);
    *im = (struct log_image){ 0 };
}

const struct image_file *log_image_file(const struct log_image *im, const char *name)
{
    for (size_t i = 0; i < im->file_count; i++)
        if (strcmp(im->files[i].name, name) == 0)
            return &im->files[i];
    return NULL;
}

/* ---- records ---- */

static uint64_t log_id(const struct log_image *im, int log)
{
    return log == 0 ? im->id : ~im->id;
}

static void check_head(const struct log_image *im, const struct image_file *f)
{
    const uint8_t *b = f->bytes;

    CHECK_EQ(f->size, im->file_bytes[f->log]);
    CHECK(memcmp(b, "leveret\n", 8) == 0 && image_u32(b + 8) == 1);
    CHECK_EQ(image_u64(b + 16), im->file_bytes[f->log]);
    CHECK_EQ(image_u64(b + 24), f->number);
    CHECK_EQ(image_u64(b + 32), log_id(im, f->log));
    CHECK_EQ(image_u32(b + 40), image_crc32c(0, b, 40));
}

static bool is_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != 0)
            return false;
    return true;
}

/* The record at `at`, if there is one. */
static bool read_rec(const struct log_image *im, const struct image_file *f, uint64_t at,
                     struct image_rec *out)
{
    const uint8_t *b = f->bytes + at;
    uint64_t lsn = f->number * im->file_bytes[f->log] + at, id = log_id(im, f->log);
    uint32_t seed =
        (uint32_t)(lsn >> 3) ^ (uint32_t)(lsn >> 35) ^ (uint32_t)id ^ (uint32_t)(id >> 32);

    if (f->size - at < 8 || b[4] == 0)
        return false;
    uint32_t len = image_u32(b + 4) & 0xFFFFFF;
    uint32_t covered = b[4] == 1 ? 0 : len;
    if (8 + (uint64_t)len > f->size - at || image_u32(b) != image_crc32c(seed, b + 4, 4 + covered))
        return false;
    *out = (struct image_rec){ .type = b[4],
                               .log = f->log,
                               .lsn = lsn,
                               .at = at,
                               .len = len,
                               .size = 8 + (len + 7) / 8 * 8,
                               .payload = b + 8 };
    return true;
}

static void read_log(struct log_image *im, int log)
{
    bool is_over = false;

    for (size_t i = 0; i < im->file_count; i++) {
        struct image_file *f = &im->files[i];
        uint64_t at = 64;
        if (f->log != log)
            continue;
        f->is_used = !is_zero(f->bytes, LV_MIN(f->size, 64u));
        if (!f->is_used || is_over) {
            CHECK(is_zero(f->bytes, f->size));
            is_over = true;
            continue;
        }
        check_head(im, f);
        for (struct image_rec rec; at < f->size && read_rec(im, f, at, &rec); at += rec.size) {
            rec.file = i;
            if (im->rec_count == im->rec_cap) {
                im->rec_cap = LV_MAX(im->rec_cap * 2, (size_t)1024);
                im->recs = must(realloc(im->recs, im->rec_cap * sizeof(*im->recs)));
            }
            im->recs[im->rec_count++] = rec;
        }
        im->end[log] = f->number * im->file_bytes[log] + at;
        is_over = at < f->size;
        CHECK(is_zero(f->bytes + at, f->size - at));
    }
}

void log_image_read(struct sim_dir *disk, struct log_image *out)
{
    log_image_read_files(disk, out);
    const struct image_file *store = log_image_file(out, "store");
    const struct image_file *stopped = log_image_file(out, "stopped");
    const struct image_file *checkpoint = log_image_file(out, "checkpoint");

    CHECK(store != NULL && store->size == 48 && memcmp(store->bytes, "lvstore\n", 8) == 0);
    CHECK_EQ(image_u32(store->bytes + 40), image_crc32c(0, store->bytes, 40));
    out->id = image_u64(store->bytes + 16);
    out->file_bytes[0] = image_u64(store->bytes + 24);
    out->file_bytes[1] = image_u64(store->bytes + 32);
    if (stopped != NULL) {
        CHECK(stopped->size == 40 && memcmp(stopped->bytes, "lvstop\n", 8) == 0);
        CHECK_EQ(image_u32(stopped->bytes + 36), image_crc32c(0, stopped->bytes, 36));
        out->clean_end[0] = image_u64(stopped->bytes + 20);
        out->clean_end[1] = image_u64(stopped->bytes + 28);
    }
    if (checkpoint != NULL) {
        size_t n = checkpoint->size;
        CHECK(n >= 52 && memcmp(checkpoint->bytes, "lvcheck\n", 8) == 0);
        CHECK_EQ(image_u32(checkpoint->bytes + n - 4), image_crc32c(0, checkpoint->bytes, n - 4));
        out->checkpoint_from = out->checkpoint_stable = image_u64(checkpoint->bytes + 24);
        const uint8_t *p = checkpoint->bytes + 48 + 28 * image_u64(checkpoint->bytes + 32);
        for (uint64_t q = image_u64(checkpoint->bytes + 40); q > 0; q--, p += 16)
            out->checkpoint_stable = LV_MAX(out->checkpoint_stable, image_u64(p + 8));
    }
    read_log(out, 0);
    read_log(out, 1);
    for (unsigned k = 0; k < 2; k++)
        CHECK(out->clean_end[k] == 0 || out->clean_end[k] == out->end[k] ||
              out->clean_end[k] % out->file_bytes[k] == 0);
}

const struct image_rec *log_image_rec(const struct log_image *im, uint64_t lsn)
{
    size_t lo = 0, hi = im->rec_count;

    while (hi > 0 && im->recs[hi - 1].log != 0)
        hi--;
    size_t count = hi;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (im->recs[mid].lsn < lsn)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < count && im->recs[lo].lsn == lsn ? &im->recs[lo] : NULL;
}
