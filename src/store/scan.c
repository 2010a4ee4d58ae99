/* Opening a log: walk what is there, find its end.
 *
 * Records follow one another without a gap. Where the next one is missing or invalid, either the log ends (what stands
 * behind was written and not synced when the power went) or it is damaged there. Marks tell: each says that
 * everything before some LSN had been synced. If any mark behind the place says so of more than the place, the log went
 * on there: damage, which is reported and stepped over. So it is where a file is short or missing that was whole once.
 * Otherwise the log ends, and what stands behind is overwritten with zeros, so that it can never be taken for part of what
 * will be appended (invariant L4). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "os/failpoint.h"
#include "store/check.h"
#include "store/wal_priv.h"

bool lv_wal_parse(const struct lv_wal *wal, lv_lsn lsn, struct lv_bytes buf, uint8_t *type,
                  struct lv_bytes *payload, size_t *size)
{
    if (buf.len < LV_WAL_REC_HEAD)
        return false;
    uint32_t word = lv_be32(buf.ptr + 4);
    size_t bytes = word & 0xFFFFFF, left = wal->config.file_bytes - (lsn & wal->file_mask);
    *type = (uint8_t)(word >> 24);
    *size = lv_wal_rec_size(bytes);
    if (*type == 0 || *size > left)
        return false;
    if (*type == LV_REC_PAD) {
        *payload = lv_bytes(NULL, 0);
        return *size == left &&
               lv_be32(buf.ptr) == lv_crc32c(lv_bytes(buf.ptr + 4, 4), lv_wal_seed(wal, lsn));
    }
    if (bytes > wal->record_max || LV_WAL_REC_HEAD + bytes > buf.len)
        return false;
    *payload = lv_bytes(buf.ptr + LV_WAL_REC_HEAD, bytes);
    return lv_be32(buf.ptr) == lv_crc32c(lv_bytes(buf.ptr + 4, 4 + bytes), lv_wal_seed(wal, lsn));
}

/* ---- a window of a file ---- */

struct window {
    const struct lv_wal *wal;
    struct lv_file *file; /* NULL: none is open */
    uint64_t number;
    uint8_t *buf;
    size_t cap, len;
    uint64_t at; /* offset in the file of buf[0] */
};

static enum lv_err window_open(struct window *w, uint64_t number)
{
    if (w->file != NULL && w->number == number)
        return LV_OK;
    lv_file_close(w->file);
    w->file = NULL;
    w->number = number;
    w->len = 0;
    return lv_wal_open_file(w->wal, number, LV_FILE_READ, &w->file);
}

/* A view of at least `want` bytes at `offset`, or as many as the file has there. */
static enum lv_err window_get(struct window *w, uint64_t offset, size_t want, struct lv_bytes *out)
{
    if (offset < w->at || offset + want > w->at + w->len) {
        enum lv_err err = lv_file_read(w->file, offset, w->buf, w->cap, &w->len);
        if (err != LV_OK)
            return err;
        w->at = offset;
    }
    size_t skip = offset - w->at;
    *out = skip < w->len ? lv_bytes(w->buf + skip, w->len - skip) : lv_bytes(w->buf, 0);
    return LV_OK;
}

/* ---- which files there are ---- */

struct files {
    const struct lv_wal *wal;
    uint64_t *numbers;
    size_t count, cap;
    enum lv_err err;
};

static void note_file(void *ctx, const char *name)
{
    struct files *f = ctx;
    char want[LV_FILE_NAME_MAX + 1];
    size_t prefix = strlen(f->wal->config.name);

    if (strncmp(name, f->wal->config.name, prefix) != 0 || name[prefix] != '-')
        return;
    uint64_t number = strtoull(name + prefix + 1, NULL, 16);
    lv_wal_file_name(f->wal, number, want);
    if (strcmp(name, want) != 0)
        return;
    if (f->count == f->cap) {
        size_t cap = f->cap != 0 ? f->cap * 2 : 64;
        uint64_t *numbers = lv_mem_realloc(f->numbers, cap * sizeof(*numbers), LV_TAG_STORE);
        if (numbers == NULL) {
            f->err = LV_ENOMEM;
            return;
        }
        f->numbers = numbers;
        f->cap = cap;
    }
    f->numbers[f->count++] = number;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static enum lv_err find_files(const struct lv_wal *wal, struct files *f)
{
    *f = (struct files){ .wal = wal };
    enum lv_err err = lv_dir_list(wal->config.dir, note_file, f);
    if (err == LV_OK)
        err = f->err;
    if (err == LV_OK && f->count > 1)
        qsort(f->numbers, f->count, sizeof(*f->numbers), by_number);
    return err;
}

enum lv_err lv_wal_list(const struct lv_wal *wal, uint64_t **numbers, size_t *count)
{
    struct files f;
    enum lv_err err = find_files(wal, &f);

    if (err != LV_OK) {
        lv_mem_free(f.numbers, LV_TAG_STORE);
        f = (struct files){ 0 };
    }
    *numbers = f.numbers;
    *count = f.count;
    return err;
}

/* ---- the walk ---- */

struct walk {
    struct lv_wal *wal;
    struct window w;
    struct files files;
    size_t file; /* index of the file that `at` lies in */
    lv_lsn at;
};

static void walk_fini(struct walk *k)
{
    lv_file_close(k->w.file);
    lv_mem_free(k->w.buf, LV_TAG_STORE);
    lv_mem_free(k->files.numbers, LV_TAG_STORE);
}

static lv_lsn start_of(const struct walk *k, size_t file)
{
    return k->files.numbers[file] * k->wal->config.file_bytes;
}

/* Index of the file that holds `lsn`; files.count: none does. */
static size_t file_of(const struct walk *k, lv_lsn lsn)
{
    for (size_t i = 0; i < k->files.count; i++)
        if (k->files.numbers[i] == lsn / k->wal->config.file_bytes)
            return i;
    return k->files.count;
}

/* The record at `lsn`. LV_OK, or LV_EMORE: no valid one there (its file may be missing). */
static enum lv_err record_at(struct walk *k, lv_lsn lsn, uint8_t *type, struct lv_bytes *payload,
                             size_t *size)
{
    struct lv_bytes b;
    uint64_t offset = lsn & k->wal->file_mask;

    if (file_of(k, lsn) == k->files.count)
        return LV_EMORE;
    enum lv_err err = window_open(&k->w, lsn / k->wal->config.file_bytes);
    if (err == LV_OK)
        err = window_get(&k->w, offset, LV_WAL_REC_HEAD, &b);
    if (err != LV_OK)
        return err;
    if (b.len < LV_WAL_REC_HEAD)
        return LV_EMORE;
    size_t want = LV_WAL_REC_HEAD + (lv_be32(b.ptr + 4) & 0xFFFFFF);
    if (want > b.len && want <= LV_WAL_REC_HEAD + k->wal->record_max) {
        err = window_get(&k->w, offset, want, &b);
        if (err != LV_OK)
            return err;
    }
    return lv_wal_parse(k->wal, lsn, b, type, payload, size) ? LV_OK : LV_EMORE;
}

/* At the beginning of a file: is its head right? Steps over it. */
static enum lv_err enter_file(struct walk *k, lv_lsn *at)
{
    struct lv_bytes b;

    if ((*at & k->wal->file_mask) != 0)
        return LV_OK;
    if (file_of(k, *at) == k->files.count)
        return LV_EMORE;
    enum lv_err err = window_open(&k->w, *at / k->wal->config.file_bytes);
    if (err == LV_OK)
        err = window_get(&k->w, 0, LV_WAL_FILE_HEAD, &b);
    if (err == LV_OK)
        err = b.len < LV_WAL_FILE_HEAD
                  ? LV_EMORE
                  : lv_wal_check_head(k->wal, *at / k->wal->config.file_bytes, b.ptr);
    if (err == LV_OK)
        *at += LV_WAL_FILE_HEAD;
    return err == LV_ECORRUPT ? LV_EMORE : err;
}

/* What stands behind a place where the walk could not go on. */
struct beyond {
    lv_lsn next; /* the next valid record, 0: none */
    lv_lsn stable; /* everything before it had been synced: by the marks there, or by the files' sizes */
    lv_lsn data_end; /* behind the last byte that is not zero */
};

/* From `at` in the open file to its end, or with `only_next` to the next valid record. */
static enum lv_err look_through(struct walk *k, lv_lsn at, bool only_next, struct beyond *out)
{
    lv_lsn stop = (at | k->wal->file_mask) + 1;

    while (at < stop) {
        struct lv_bytes b, payload;
        uint8_t type;
        size_t size, zeros = 0;
        enum lv_err err = window_get(&k->w, at & k->wal->file_mask, 8, &b);
        if (err != LV_OK || b.len < 8)
            return err;
        while (zeros + 8 <= b.len && lv_be64(b.ptr + zeros) == 0)
            zeros += 8;
        if (zeros != 0) {
            at += zeros;
            continue;
        }
        err = record_at(k, at, &type, &payload, &size);
        if (err == LV_EMORE) {
            at += 8;
            out->data_end = at;
            continue;
        }
        if (err != LV_OK)
            return err;
        if (out->next == 0)
            out->next = at;
        if (only_next)
            return LV_OK;
        if (type == LV_REC_MARK)
            out->stable = LV_MAX(out->stable, lv_wal_mark_of(at, payload));
        at += size;
        out->data_end = type == LV_REC_PAD ? at - size + LV_WAL_REC_HEAD : at;
    }
    return LV_OK;
}

/* A file is whole and lasting before anything is written to it, and before the next one is made (L3): one that is short
 * and has been used, or has one behind it, was whole once, and so was everything in it. */
static enum lv_err look_at_size(struct walk *k, size_t file, bool is_used, struct beyond *out)
{
    lv_lsn stop = start_of(k, file) + k->wal->config.file_bytes;
    uint64_t bytes;
    enum lv_err err = lv_file_size(k->w.file, &bytes);

    if (err == LV_OK && bytes < k->wal->config.file_bytes && (is_used || file + 1 < k->files.count))
        out->stable = LV_MAX(out->stable, stop);
    return err;
}

/* All that stands behind `from`, in every file: a record of another time that stayed there could be taken for part of
 * what will be appended (L4). With `only_next` no more than the next record. */
static enum lv_err look_beyond(struct walk *k, lv_lsn from, bool only_next, struct beyond *out)
{
    uint64_t expected = from / k->wal->config.file_bytes;
    enum lv_err err = LV_OK;

    *out = (struct beyond){ .data_end = from };
    for (size_t i = 0; i < k->files.count && err == LV_OK; i++) {
        lv_lsn start = start_of(k, i);
        if (k->files.numbers[i] < expected)
            continue;
        if (k->files.numbers[i] != expected) /* made after one that is missing */
            out->stable = start;
        expected = k->files.numbers[i] + 1;
        err = window_open(&k->w, k->files.numbers[i]);
        if (err == LV_OK)
            err = look_through(k, LV_MAX(from, start), only_next, out);
        if (err == LV_OK && only_next && out->next != 0)
            return LV_OK;
        if (err == LV_OK)
            err = look_at_size(k, i, from > start || out->data_end > start, out);
    }
    return err;
}

static void report_damage(struct lv_wal_report *report, lv_lsn from, lv_lsn to)
{
    if (report->damage_count < LV_WAL_DAMAGES_MAX)
        report->damage[report->damage_count] = (struct lv_wal_damage){ from, to };
    report->damage_count++;
}

static enum lv_err walk_all(struct walk *k, const struct lv_wal_known *known, lv_wal_visit *visit,
                            void *ctx, struct lv_wal_report *report, struct beyond *beyond)
{
    lv_lsn clean_end = known->clean_end;
    bool has_looked = false;
    lv_lsn at = k->at;

    for (;;) {
        uint8_t type;
        struct lv_bytes payload;
        size_t size;
        lv_lsn begin = at;
        if (clean_end != 0 && at == clean_end) {
            report->end = at;
            *beyond = (struct beyond){ .data_end = at };
            return LV_OK;
        }
        enum lv_err err = enter_file(k, &at);
        if (err == LV_OK)
            err = record_at(k, at, &type, &payload, &size);
        if (err == LV_OK) {
            if (type >= LV_REC_FIRST)
                err = visit(ctx, type, at, payload);
            if (err != LV_OK)
                return err;
            report->records++;
            at += size;
            continue;
        }
        if (err != LV_EMORE)
            return err;
        report->end = at;
        struct beyond here = *beyond;
        err = LV_OK;
        if (!has_looked || at < beyond->stable)
            err = look_beyond(k, at, has_looked, &here);
        if (err != LV_OK)
            return err;
        if (!has_looked) { /* once for all that is behind the first such place */
            *beyond = here;
            beyond->stable = LV_MAX(beyond->stable, LV_MAX(known->stable, clean_end));
        }
        has_looked = true;
        if (beyond->stable <=
            at) { /* the log ends here; behind the head of a file that has nothing else, or before */
            report->end = at - begin == LV_WAL_FILE_HEAD && at != begin ? begin : at;
            beyond->data_end = LV_MAX(beyond->data_end, report->end);
            return LV_OK;
        }
        report_damage(report, begin, here.next != 0 ? here.next : beyond->stable);
        at = here.next;
        if (here.next == 0) { /* damaged up to its end */
            report->end = beyond->stable;
            beyond->data_end = LV_MAX(beyond->data_end, report->end);
            return LV_OK;
        }
    }
}

/* Where the walk begins when nobody says it: in the oldest file. When that was never used, and is not the first of all, the
 * one that was written to last is missing before it. */
static enum lv_err find_begin(struct walk *k)
{
    struct lv_bytes head;

    k->at = k->wal->config.file_bytes; /* 0 is no record's */
    if (k->files.count == 0)
        return LV_OK;
    k->at = start_of(k, 0);
    enum lv_err err = window_open(&k->w, k->files.numbers[0]);
    if (err == LV_OK)
        err = window_get(&k->w, 0, LV_WAL_FILE_HEAD, &head);
    if (err == LV_OK && k->files.numbers[0] > 1 && lv_wal_is_unused(head))
        k->at -= k->wal->config.file_bytes;
    return err;
}

/* ---- the end ---- */

/* Zeros over [from, to): what was never synced is nobody's. They last when settle() has synced the files. */
static enum lv_err cut(struct walk *k, lv_lsn from, lv_lsn to)
{
    static const uint8_t zeros[65536];

    while (from < to) {
        lv_lsn stop = LV_MIN(to, (from | k->wal->file_mask) + 1);
        struct lv_file *f;
        if (file_of(k, from) == k->files.count) {
            from = stop;
            continue;
        }
        enum lv_err err =
            lv_wal_open_file(k->wal, from / k->wal->config.file_bytes, LV_FILE_WRITE, &f);
        while (err == LV_OK && from < stop) {
            struct lv_bytes part = lv_bytes(zeros, LV_MIN(stop - from, sizeof(zeros)));
            err = lv_file_write(f, from & k->wal->file_mask, &part, 1);
            from += part.len;
        }
        if (f != NULL)
            lv_file_close(f);
        if (err != LV_OK)
            return err;
    }
    return LV_OK;
}

static enum lv_err sync_before(struct walk *k, uint64_t number)
{
    struct lv_file *f;
    enum lv_err err = lv_wal_open_file(k->wal, number - 1, LV_FILE_WRITE, &f);

    if (err == LV_OK) {
        err = lv_file_sync(f);
        lv_file_close(f);
    } else if (err == LV_ENOTFOUND) {
        err = LV_OK;
    }
    return err == LV_OK ? lv_dir_sync(k->wal->config.dir) : err;
}

/* The file that appending goes on in, whole and with its head. */
static enum lv_err settle(struct walk *k, lv_lsn end, bool is_clean)
{
    struct lv_wal *wal = k->wal;
    uint64_t number = end / wal->config.file_bytes;
    uint64_t newest = k->files.count != 0 ? k->files.numbers[k->files.count - 1] : 0;
    enum lv_err err = LV_OK;

    atomic_store(&wal->first, k->files.count != 0 ? LV_MIN(k->files.numbers[0], number) : number);
    /* A cut may have left files short; and what was read, cut off or made ahead may never have been synced. */
    for (uint64_t n = number; n <= newest && k->files.count != 0 && err == LV_OK; n++) {
        struct lv_file *f;
        err = lv_wal_open_file(wal, n, LV_FILE_WRITE, &f);
        if (err == LV_ENOTFOUND) { /* a hole: files are made one behind the other */
            newest = n - 1;
            err = LV_OK;
            break;
        }
        if (err == LV_OK) {
            uint64_t bytes;
            err = lv_file_size(f, &bytes);
            bool is_short = err == LV_OK && bytes < wal->config.file_bytes;
            if (is_short)
                err = lv_file_reserve(f, wal->config.file_bytes);
            if (err == LV_OK && (is_short || !is_clean))
                err = lv_file_sync(f);
            lv_file_close(f);
        }
    }
    /* After a kill the last full file, or a name, may have been written and not synced. */
    if (err == LV_OK && !is_clean)
        err = sync_before(k, number);
    if (err != LV_OK)
        return err;
    if (k->files.count == 0 || newest < number) {
        atomic_store(&wal->newest, number - 1);
        err = lv_wal_make_file(wal);
        if (err != LV_OK)
            return err;
        newest = number;
    }
    atomic_store(&wal->newest, newest);
    atomic_store(&wal->current, number);
    if ((end & wal->file_mask) != 0)
        err = lv_wal_open_file(wal, number, LV_FILE_WRITE, &wal->file);
    return err;
}

enum lv_err lv_wal_open(struct lv_wal *wal, const struct lv_wal_known *known, bool read_only,
                        lv_wal_visit *visit, void *ctx, struct lv_wal_report *report)
{
    struct walk k = { .wal = wal, .w = { .wal = wal } };
    struct beyond beyond = { 0 };

    *report = (struct lv_wal_report){ 0 };
    wal->is_read_only = read_only;
    k.w.cap = LV_MAX((size_t)1 << 20, wal->record_max + LV_WAL_REC_HEAD);
    k.w.buf = lv_mem_alloc(k.w.cap, LV_TAG_STORE);
    enum lv_err err = k.w.buf != NULL ? find_files(wal, &k.files) : LV_ENOMEM;
    if (err != LV_OK)
        goto end;
    k.at = known->from;
    if (known->from == 0)
        err = find_begin(&k);
    if (err == LV_OK)
        err = walk_all(&k, known, visit, ctx, report, &beyond);
    if (err != LV_OK)
        goto end;
    if (beyond.data_end > report->end)
        report->torn_bytes = beyond.data_end - report->end;
    if (read_only)
        goto end;
    if (report->torn_bytes != 0) {
        lv_failpoint("recover.cut");
        err = cut(&k, report->end, beyond.data_end);
    }
    if (err == LV_OK)
        err = settle(&k, report->end, known->clean_end != 0 && report->end == known->clean_end);
    atomic_store(&wal->tail, report->end);
    atomic_store(&wal->written, report->end);
    atomic_store(&wal->stable, report->end);
    atomic_store(&wal->marked, 0);
end:
    walk_fini(&k);
    return err;
}
