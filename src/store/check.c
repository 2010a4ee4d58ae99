#include "store/check.h"

#include "base/mem.h"
#include "store/wal_priv.h"

/* A range without a valid record. */
struct gap {
    lv_lsn from, to;
    bool is_missing; /* there is no file */
};

struct check {
    struct lv_wal *wal;
    struct lv_wal_check *out;
    lv_wal_visit *visit;
    void *ctx;
    struct gap *gaps;
    size_t gap_count, gap_cap;
    lv_lsn stable;   /* the most that any mark says, or that files were once whole up to */
    lv_lsn data_end; /* behind the last byte that is not zero */
    /* a window of the file that is read */
    struct lv_file *file;
    uint8_t *buf;
    size_t cap, len;
    uint64_t at; /* offset in the file of buf[0] */
};

static enum lv_err get(struct check *k, uint64_t offset, size_t want, struct lv_bytes *out)
{
    if (offset < k->at || offset + want > k->at + k->len) {
        enum lv_err err = lv_file_read(k->file, offset, k->buf, k->cap, &k->len);
        if (err != LV_OK)
            return err;
        k->at = offset;
    }
    size_t skip = offset - k->at;
    *out = skip < k->len ? lv_bytes(k->buf + skip, k->len - skip) : lv_bytes(k->buf, 0);
    return LV_OK;
}

/* LV_EMORE: no valid record at `lsn` of the open file. */
static enum lv_err record_at(struct check *k, lv_lsn lsn, uint8_t *type, struct lv_bytes *payload,
                             size_t *size)
{
    struct lv_bytes b;
    uint64_t offset = lsn & k->wal->file_mask;
    enum lv_err err = get(k, offset, LV_WAL_REC_HEAD, &b);

    if (err == LV_OK && b.len >= LV_WAL_REC_HEAD) {
        size_t want = LV_WAL_REC_HEAD + (lv_be32(b.ptr + 4) & 0xFFFFFF);
        if (want > b.len && want <= LV_WAL_REC_HEAD + k->wal->record_max)
            err = get(k, offset, want, &b);
    }
    if (err != LV_OK)
        return err;
    return lv_wal_parse(k->wal, lsn, b, type, payload, size) ? LV_OK : LV_EMORE;
}

static enum lv_err add_gap(struct check *k, lv_lsn from, lv_lsn to, bool is_missing)
{
    if (k->gap_count != 0 && k->gaps[k->gap_count - 1].to == from &&
        k->gaps[k->gap_count - 1].is_missing == is_missing) {
        k->gaps[k->gap_count - 1].to = to;
        return LV_OK;
    }
    if (k->gap_count == k->gap_cap) {
        size_t cap = k->gap_cap != 0 ? k->gap_cap * 2 : 16;
        struct gap *gaps = lv_mem_realloc(k->gaps, cap * sizeof(*gaps), LV_TAG_STORE);
        if (gaps == NULL)
            return LV_ENOMEM;
        k->gaps = gaps;
        k->gap_cap = cap;
    }
    k->gaps[k->gap_count++] = (struct gap){ from, to, is_missing };
    return LV_OK;
}

static enum lv_err note_record(struct check *k, struct lv_wal_check_file *f, uint8_t type,
                               lv_lsn lsn, struct lv_bytes payload, size_t size)
{
    f->records++;
    k->out->records++;
    if (type < LV_WAL_CHECK_TYPES)
        f->by_type[type]++;
    if (type == LV_REC_MARK)
        k->stable = LV_MAX(k->stable, lv_wal_mark_of(lsn, payload));
    lv_lsn end = lsn + (type == LV_REC_PAD ? LV_WAL_REC_HEAD : size);
    k->data_end = LV_MAX(k->data_end, end);
    f->used_bytes = (end - 1) % k->wal->config.file_bytes + 1;
    return k->visit != NULL ? k->visit(k->ctx, type, lsn, payload) : LV_OK;
}

/* From a place without a record to the next one, or to the end of the file. */
static enum lv_err step_over(struct check *k, struct lv_wal_check_file *f, lv_lsn *at, lv_lsn stop)
{
    enum lv_err err = LV_OK;
    lv_lsn from = *at;

    while (*at < stop) {
        struct lv_bytes b, payload;
        uint8_t type;
        size_t size, zeros = 0;
        err = get(k, *at & k->wal->file_mask, 8, &b);
        if (err != LV_OK)
            return err;
        if (b.len < 8) {
            *at = stop;
            break;
        }
        while (zeros + 8 <= b.len && lv_be64(b.ptr + zeros) == 0)
            zeros += 8;
        if (zeros != 0) {
            *at += zeros;
            continue;
        }
        err = record_at(k, *at, &type, &payload, &size);
        if (err != LV_EMORE)
            break;
        *at += 8;
        k->data_end = LV_MAX(k->data_end, *at);
        f->used_bytes = (*at - 1) % k->wal->config.file_bytes + 1;
        err = LV_OK;
    }
    *at = LV_MIN(*at, stop);
    return err == LV_OK ? add_gap(k, from, *at, false) : err;
}

static enum lv_err check_file(struct check *k, struct lv_wal_check_file *f, bool is_newest)
{
    lv_lsn start = f->number * k->wal->config.file_bytes, stop = start + k->wal->config.file_bytes;
    lv_lsn at = start;
    struct lv_bytes b;
    enum lv_err err = lv_file_size(k->file, &f->size);

    if (err == LV_OK)
        err = get(k, 0, LV_WAL_FILE_HEAD, &b);
    if (err == LV_OK)
        err = b.len < LV_WAL_FILE_HEAD ? LV_ECORRUPT : lv_wal_check_head(k->wal, f->number, b.ptr);
    if (err == LV_OK) {
        at += LV_WAL_FILE_HEAD;
        f->used_bytes = LV_WAL_FILE_HEAD;
        k->data_end = LV_MAX(k->data_end, at);
    } else if (err != LV_EMORE && err != LV_ECORRUPT) {
        return err;
    } else {
        err = step_over(k, f, &at, stop);
    }
    while (err == LV_OK && at < stop) {
        uint8_t type;
        struct lv_bytes payload;
        size_t size;
        err = record_at(k, at, &type, &payload, &size);
        if (err == LV_OK) {
            err = note_record(k, f, type, at, payload, size);
            at += size;
        } else if (err == LV_EMORE) {
            err = step_over(k, f, &at, stop);
        }
    }
    /* Whole and lasting before anything was written to it, and before the next one was made (L3). */
    if (f->size < k->wal->config.file_bytes && (f->used_bytes != 0 || !is_newest))
        k->stable = LV_MAX(k->stable, stop);
    return err;
}

static enum lv_err open_window(struct check *k, uint64_t number)
{
    lv_file_close(k->file);
    k->file = NULL;
    k->len = 0;
    k->at = 0;
    return lv_wal_open_file(k->wal, number, LV_FILE_READ, &k->file);
}

/* Is there a record by now? Then nothing was damaged: the log went on while it was read. */
static enum lv_err look_again(struct check *k, lv_lsn lsn, bool *is_there)
{
    uint8_t type;
    struct lv_bytes payload, b;
    size_t size;
    enum lv_err err = open_window(k, lsn / k->wal->config.file_bytes);

    if (err == LV_OK && (lsn & k->wal->file_mask) == 0) {
        err = get(k, 0, LV_WAL_FILE_HEAD, &b);
        if (err == LV_OK)
            err = b.len < LV_WAL_FILE_HEAD
                      ? LV_EMORE
                      : lv_wal_check_head(k->wal, lsn / k->wal->config.file_bytes, b.ptr);
    } else if (err == LV_OK) {
        err = record_at(k, lsn, &type, &payload, &size);
    }
    *is_there = err == LV_OK;
    return err == LV_EMORE || err == LV_ECORRUPT ? LV_OK : err;
}

/* Damage, or the end? */
static enum lv_err judge(struct check *k, const struct lv_wal_check_range *range)
{
    lv_lsn stable = LV_MAX(k->stable, range->stable);
    struct lv_wal_check *out = k->out;

    out->damage = lv_mem_alloc(LV_MAX(k->gap_count, 1u) * sizeof(*out->damage), LV_TAG_STORE);
    if (out->damage == NULL)
        return LV_ENOMEM;
    for (size_t i = 0; i < k->gap_count; i++) {
        struct gap *g = &k->gaps[i];
        bool is_there = false;
        if (g->is_missing && g->to <= range->from)
            continue;
        if (g->from < stable && !g->is_missing) {
            enum lv_err err = look_again(k, g->from, &is_there);
            if (err != LV_OK)
                return err;
        }
        if (g->from >= stable || is_there) {
            out->end = g->from;
            break;
        }
        out->damage[out->damage_count++] =
            (struct lv_wal_damage){ g->from, LV_MIN(g->to, LV_MAX(stable, k->data_end)) };
        if (g->to >= stable && g->to >= k->data_end) /* damaged up to its end */
            out->end = LV_MAX(stable, k->data_end);
    }
    if (k->data_end > out->end)
        out->torn_bytes = k->data_end - out->end;
    return LV_OK;
}

/* The file that must be there first: the oldest one, or when that was never used the one before it. */
static enum lv_err find_first(struct check *k, uint64_t oldest, uint64_t *first)
{
    struct lv_bytes head;
    enum lv_err err = open_window(k, oldest);

    if (err == LV_OK)
        err = get(k, 0, LV_WAL_FILE_HEAD, &head);
    if (err == LV_OK)
        *first = oldest > 1 && lv_wal_is_unused(head) ? oldest - 1 : oldest;
    return err;
}

static enum lv_err check_files(struct check *k, const struct lv_wal_check_range *range,
                               const uint64_t *numbers, size_t count)
{
    uint64_t file_bytes = k->wal->config.file_bytes, next = range->first;
    enum lv_err err = LV_OK;

    if (next == 0 && count != 0)
        err = find_first(k, numbers[0], &next);
    for (size_t i = 0; i < count && err == LV_OK; i++) {
        struct lv_wal_check_file *f = &k->out->files[k->out->file_count];
        if (numbers[i] < range->first)
            continue;
        if (next != 0 && numbers[i] != next) { /* it was made after those that are missing */
            err = add_gap(k, next * file_bytes, numbers[i] * file_bytes, true);
            k->stable = LV_MAX(k->stable, numbers[i] * file_bytes);
        }
        next = numbers[i] + 1;
        f->number = numbers[i];
        k->out->file_count++;
        if (err == LV_OK)
            err = open_window(k, numbers[i]);
        if (err == LV_OK)
            err = check_file(k, f, i + 1 == count);
    }
    k->out->end = (next != 0 ? next : 1) * file_bytes;
    return err;
}

enum lv_err lv_wal_check(struct lv_wal *wal, const struct lv_wal_check_range *range,
                         lv_wal_visit *visit, void *ctx, struct lv_wal_check *out)
{
    struct check k = { .wal = wal, .out = out, .visit = visit, .ctx = ctx };
    uint64_t *numbers = NULL;
    size_t count = 0;

    *out = (struct lv_wal_check){ 0 };
    enum lv_err err = lv_wal_list(wal, &numbers, &count);
    k.cap = LV_MAX((size_t)1 << 20, wal->record_max + LV_WAL_REC_HEAD);
    k.buf = lv_mem_alloc(k.cap, LV_TAG_STORE);
    out->files = lv_mem_zalloc(LV_MAX(count, 1u) * sizeof(*out->files), LV_TAG_STORE);
    if (err == LV_OK && (k.buf == NULL || out->files == NULL))
        err = LV_ENOMEM;
    if (err == LV_OK)
        err = check_files(&k, range, numbers, count);
    if (err == LV_OK)
        err = judge(&k, range);
    lv_file_close(k.file);
    lv_mem_free(k.buf, LV_TAG_STORE);
    lv_mem_free(k.gaps, LV_TAG_STORE);
    lv_mem_free(numbers, LV_TAG_STORE);
    return err;
}

void lv_wal_check_fini(struct lv_wal_check *c)
{
    lv_mem_free(c->files, LV_TAG_STORE);
    lv_mem_free(c->damage, LV_TAG_STORE);
    *c = (struct lv_wal_check){ 0 };
}
