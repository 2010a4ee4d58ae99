#include "snapshot.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "os/os.h"
#include "store/check.h"

#define ATTEMPTS_MAX 100u
#define PAUSE_US 20000u
#define TEXT_MAX (UINT64_C(1) << 30)

void lv_snapshot_fini(struct lv_snapshot *s)
{
    for (size_t i = 0; i < s->count; i++) {
        lv_file_close(s->files[i].file);
        free(s->files[i].text);
    }
    free(s->files);
    *s = (struct lv_snapshot){ 0 };
}

static struct lv_snapshot_file *add(struct lv_snapshot *s, const char *name)
{
    if (s->count == s->cap) {
        size_t cap = s->cap != 0 ? s->cap * 2 : 64;
        struct lv_snapshot_file *files = realloc(s->files, cap * sizeof(*files));
        if (files == NULL)
            return NULL;
        s->files = files;
        s->cap = cap;
    }
    struct lv_snapshot_file *f = &s->files[s->count++];
    *f = (struct lv_snapshot_file){ 0 };
    memcpy(f->name, name, strlen(name) + 1);
    return f;
}

/* A small file, into memory. */
static enum lv_err read_text(struct lv_dir *dir, const char *name, uint8_t **text, uint64_t *bytes)
{
    struct lv_file *file;
    size_t got = 0;
    enum lv_err err = lv_dir_open_file(dir, name, LV_FILE_READ, &file);

    *text = NULL;
    *bytes = 0;
    if (err != LV_OK)
        return err;
    err = lv_file_size(file, bytes);
    if (err == LV_OK && *bytes > TEXT_MAX)
        err = LV_ECORRUPT;
    if (err == LV_OK && (*text = malloc(*bytes + 1)) == NULL)
        err = LV_ENOMEM;
    if (err == LV_OK)
        err = lv_file_read(file, 0, *text, *bytes, &got);
    if (err == LV_OK)
        *bytes = got;
    lv_file_close(file);
    return err;
}

static enum lv_err add_text(struct lv_snapshot *s, struct lv_dir *dir, const char *name)
{
    uint8_t *text;
    uint64_t bytes;
    enum lv_err err = read_text(dir, name, &text, &bytes);
    struct lv_snapshot_file *f = err == LV_OK ? add(s, name) : NULL;

    if (f == NULL) {
        free(text);
        return err == LV_OK ? LV_ENOMEM : err;
    }
    f->text = text;
    f->size = f->bytes = bytes;
    return LV_OK;
}

/* Is the checkpoint still the one that was read? */
static enum lv_err is_same_checkpoint(const struct lv_snapshot *s, struct lv_dir *dir, bool *is_same)
{
    const struct lv_snapshot_file *was = NULL;
    uint8_t *text;
    uint64_t bytes;
    enum lv_err err = read_text(dir, "checkpoint", &text, &bytes);

    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->files[i].name, "checkpoint") == 0)
            was = &s->files[i];
    if (err == LV_ENOTFOUND) {
        *is_same = was == NULL;
        err = LV_OK;
    } else if (err == LV_OK) {
        *is_same = was != NULL && was->bytes == bytes && memcmp(was->text, text, bytes) == 0;
    }
    free(text);
    return err;
}

static enum lv_err add_log_file(struct lv_snapshot *s, struct lv_dir *dir, const struct lv_wal *wal,
                                uint64_t number)
{
    char name[LV_FILE_NAME_MAX + 1];
    struct lv_file *file;

    lv_wal_file_name(wal, number, name);
    enum lv_err err = lv_dir_open_file(dir, name, LV_FILE_READ, &file);
    if (err != LV_OK)
        return err;
    struct lv_snapshot_file *f = add(s, name);
    if (f == NULL) {
        lv_file_close(file);
        return LV_ENOMEM;
    }
    f->file = file;
    f->size = f->bytes = lv_wal_file_bytes(wal);
    return LV_OK;
}

/* Was anything written to it? */
static enum lv_err is_used(struct lv_file *f, bool *out)
{
    static const uint8_t zeros[LV_WAL_FILE_HEAD];
    uint8_t head[LV_WAL_FILE_HEAD];
    size_t got;
    enum lv_err err = lv_file_read(f, 0, head, sizeof(head), &got);

    *out = err == LV_OK && got != 0 && memcmp(head, zeros, got) != 0;
    return err;
}

struct log {
    struct lv_wal *wal;
    size_t at;      /* index of its first file in the snapshot */
    uint64_t first; /* its number, of the files that were there */
    uint64_t *numbers;
    size_t count;
    uint64_t current; /* number of the last one that was written to */
};

static enum lv_err open_log(struct lv_snapshot *s, struct lv_dir *dir, struct log *l)
{
    enum lv_err err = lv_wal_list(l->wal, &l->numbers, &l->count);

    l->at = s->count;
    for (size_t i = 0; i < l->count && err == LV_OK; i++) {
        bool used = false;
        err = add_log_file(s, dir, l->wal, l->numbers[i]);
        if (err == LV_OK)
            err = is_used(s->files[s->count - 1].file, &used);
        if (used || i == 0)
            l->current = l->numbers[i];
    }
    return err;
}

/* Finds the end, opens what was begun since the files were listed, and leaves out what is behind the end. */
static enum lv_err end_log(struct lv_snapshot *s, struct lv_dir *dir, struct log *l, uint64_t first,
                           lv_lsn *end)
{
    struct lv_wal_check_range range = { .first = first };
    struct lv_wal_check found;
    uint64_t file_bytes = lv_wal_file_bytes(l->wal);
    enum lv_err err = lv_wal_check(l->wal, &range, NULL, NULL, &found);

    if (err == LV_OK) {
        s->damaged += found.damage_count;
        *end = found.end;
    }
    lv_wal_check_fini(&found);
    if (err != LV_OK || l->count == 0)
        return err;
    uint64_t last = *end / file_bytes, newest = l->numbers[l->count - 1];
    for (uint64_t n = newest + 1; n <= last && *end % file_bytes != 0 && err == LV_OK; n++)
        err = add_log_file(s, dir, l->wal, n);
    for (size_t i = l->at; i < s->count; i++) {
        uint64_t number =
            i - l->at < l->count ? l->numbers[i - l->at] : newest + 1 + (i - l->at - l->count);
        if (number >= last)
            s->files[i].bytes = number == last ? *end % file_bytes : 0;
    }
    return err;
}

static enum lv_err take(struct lv_datadir *d, struct lv_snapshot *s)
{
    struct lv_dir *dir = lv_store_dir(d->store);
    struct log messages = { .wal = lv_store_messages(d->store) };
    struct log topology = { .wal = lv_store_topology(d->store) };
    bool is_same = true;
    enum lv_err err = add_text(s, dir, "store");

    if (err == LV_OK) {
        err = add_text(s, dir, "checkpoint");
        if (err == LV_ENOTFOUND)
            err = LV_OK;
    }
    if (err == LV_OK)
        err = open_log(s, dir, &messages);
    if (err == LV_OK)
        err = is_same_checkpoint(s, dir, &is_same);
    if (err == LV_OK && !is_same)
        err = LV_ENOTFOUND;
    if (err == LV_OK)
        err = end_log(s, dir, &messages, messages.current, &s->messages_end);
    if (err == LV_OK)
        err = open_log(s, dir, &topology);
    if (err == LV_OK)
        err = end_log(s, dir, &topology, 0, &s->topology_end);
    lv_mem_free(messages.numbers, LV_TAG_STORE);
    lv_mem_free(topology.numbers, LV_TAG_STORE);
    return err;
}

/* Every file is open at once. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

enum lv_err lv_snapshot_take(struct lv_datadir *d, struct lv_snapshot *out)
{
    unsigned attempts = 0;
    enum lv_err err;

    raise_file_limit();
    *out = (struct lv_snapshot){ 0 };
    while ((err = take(d, out)) == LV_ENOTFOUND && ++attempts < ATTEMPTS_MAX) {
        lv_snapshot_fini(out);
        lv_os_sleep_us(PAUSE_US);
    }
    if (err != LV_OK) {
        lv_snapshot_fini(out);
        return err == LV_ENOTFOUND ? LV_EAGAIN : err;
    }
    out->attempts = attempts + 1;
    for (size_t i = 0; i < out->count; i++)
        out->total += out->files[i].bytes;
    return LV_OK;
}
