#include "engine/account.h"

#include "base/mem.h"
#include "engine/queue.h"

#define DOOMED_SHARE 4 /* a file with less than this part alive is given up */

enum lv_err lv_account_note(struct lv_account *a, const struct lv_journal *j, uint64_t first)
{
    uint64_t bytes = lv_wal_file_bytes(j->wal);

    /* Up to the newest record: what was appended since the walk's beginning and is told by the states is not counted
     * by the walk. */
    *a = (struct lv_account){ .first = first, .end = j->end };
    a->file_count = lv_lsn_file(LV_MAX(lv_wal_tail(j->wal), 1u) - 1, bytes) - first + 1;
    a->live = lv_mem_alloc(a->file_count * sizeof(*a->live), LV_TAG_STORE);
    if (a->live == NULL) {
        a->file_count = 0;
        return LV_ENOMEM;
    }
    for (size_t i = 0; i < a->file_count; i++)
        a->live[i] = j->live[(first + i) % LV_WAL_FILES_MAX];
    return LV_OK;
}

enum lv_err lv_account_queue(struct lv_account *a, const struct lv_queue *q)
{
    if (lv_queue_state_lsn(q) == 0)
        return LV_OK;
    if (a->queue_count == a->queue_cap) {
        size_t cap = LV_MAX(a->queue_cap * 2, (size_t)16);
        struct lv_checkpoint_queue *queues =
            lv_mem_realloc(a->queues, cap * sizeof(*queues), LV_TAG_STORE);
        if (queues == NULL)
            return LV_ENOMEM;
        a->queues = queues;
        a->queue_cap = cap;
    }
    a->queues[a->queue_count++] =
        (struct lv_checkpoint_queue){ lv_queue_id(q), lv_queue_state_lsn(q) };
    return LV_OK;
}

void lv_account_fini(struct lv_account *a)
{
    lv_mem_free(a->live, LV_TAG_STORE);
    lv_mem_free(a->queues, LV_TAG_STORE);
    *a = (struct lv_account){ 0 };
}

static struct lv_live sum(const struct lv_account *accounts, unsigned count, uint64_t file)
{
    struct lv_live all = { 0 };

    for (unsigned k = 0; k < count; k++) {
        const struct lv_account *a = &accounts[k];
        if (file < a->first || file - a->first >= a->file_count)
            continue;
        const struct lv_live *live = &a->live[file - a->first];
        all.refs += live->refs;
        all.bytes += live->bytes;
        all.passing += live->passing;
        all.passing_bytes += live->passing_bytes;
    }
    return all;
}

/* Behind the newest file that any account knows. */
static uint64_t stop_of(const struct lv_account *accounts, unsigned count)
{
    uint64_t stop = 0;

    for (unsigned k = 0; k < count; k++)
        stop = LV_MAX(stop, accounts[k].first + accounts[k].file_count);
    return stop;
}

enum lv_err lv_account_checkpoint(const struct lv_account *accounts, unsigned count, lv_lsn from,
                                  _Atomic uint32_t *back, struct lv_checkpoint *out)
{
    uint64_t first = accounts[0].first, stop = stop_of(accounts, count);
    size_t queues = 0;

    for (unsigned k = 0; k < count; k++)
        queues += accounts[k].queue_count;
    *out = (struct lv_checkpoint){ .from = from };
    out->files = lv_mem_alloc((stop - first + 1) * sizeof(*out->files), LV_TAG_STORE);
    out->queues = lv_mem_alloc((queues + 1) * sizeof(*out->queues), LV_TAG_STORE);
    if (out->files == NULL || out->queues == NULL)
        return LV_ENOMEM;
    for (uint64_t file = first; file < stop; file++) {
        struct lv_live live = sum(accounts, count, file);
        uint32_t reach = atomic_load(&back[file % LV_WAL_FILES_MAX]);
        if (live.refs != 0 || live.bytes != 0 || reach != 0)
            out->files[out->file_count++] =
                (struct lv_checkpoint_file){ file, live.refs, live.bytes, reach };
    }
    for (unsigned k = 0; k < count; k++) {
        if (accounts[k].queue_count != 0)
            memcpy(out->queues + out->queue_count, accounts[k].queues,
                   accounts[k].queue_count * sizeof(*out->queues));
        out->queue_count += accounts[k].queue_count;
    }
    return LV_OK;
}

/* Is something alive in a later file whose parts reach back to `file`? */
static bool is_reached(const struct lv_account *accounts, unsigned count, uint64_t last,
                       _Atomic uint32_t *back, uint64_t file)
{
    uint64_t stop = LV_MAX(stop_of(accounts, count), last + 1);

    for (uint64_t later = file + 1; later < stop; later++) {
        struct lv_live live = sum(accounts, count, later);
        bool is_alive = live.refs != 0 || live.passing != 0 || later >= last;
        if (is_alive && atomic_load(&back[later % LV_WAL_FILES_MAX]) >= later - file)
            return true;
    }
    return false;
}

enum lv_fate lv_account_fate(const struct lv_account *accounts, unsigned count, uint64_t last,
                             _Atomic uint32_t *back, uint64_t file_bytes, uint64_t file)
{
    struct lv_live live = sum(accounts, count, file);
    int64_t bytes = live.bytes + live.passing_bytes;

    if (live.refs == 0 && live.passing == 0)
        return is_reached(accounts, count, last, back, file) ? LV_FATE_STAYS : LV_FATE_DEAD;
    return bytes >= 0 && live.passing >= 0 && (uint64_t)bytes < file_bytes / DOOMED_SHARE
               ? LV_FATE_DOOMED
               : LV_FATE_STAYS;
}

void lv_account_restore(struct lv_journal *j, const struct lv_checkpoint *c)
{
    memset(j->live, 0, LV_WAL_FILES_MAX * sizeof(*j->live));
    for (size_t i = 0; c != NULL && i < c->file_count; i++) {
        struct lv_live *live = &j->live[c->files[i].number % LV_WAL_FILES_MAX];
        live->refs = c->files[i].refs;
        live->bytes = c->files[i].bytes;
        atomic_store(&j->back[c->files[i].number % LV_WAL_FILES_MAX], c->files[i].back);
    }
}

static void keep_files(struct lv_journal *j, lv_lsn from, lv_lsn to)
{
    uint64_t bytes = lv_wal_file_bytes(j->wal);
    /* What was entered by a record that is lost stands right before it: in the same file, or the one before. */
    uint64_t file = lv_lsn_file(from, bytes) - 1,
             stop = lv_lsn_file(LV_MAX(to, from + 1) - 1, bytes) + 1;

    for (unsigned n = 0; file < stop && n < LV_WAL_FILES_MAX; file++, n++) {
        struct lv_live *live = &j->live[file % LV_WAL_FILES_MAX];
        live->refs++;
        live->bytes += (int64_t)bytes; /* nothing is carried out of it either */
    }
}

void lv_account_keep_damaged(struct lv_journal *j, const struct lv_wal_report *report)
{
    uint32_t told = LV_MIN(report->damage_count, LV_WAL_DAMAGES_MAX);

    for (uint32_t i = 0; i < told; i++)
        keep_files(j, report->damage[i].from, report->damage[i].to);
    if (told < report->damage_count) /* the others are behind the last that is told */
        keep_files(j, report->damage[told - 1].to, report->end);
}

void lv_account_keep_all(struct lv_journal *j)
{
    uint64_t bytes = lv_wal_file_bytes(j->wal);

    keep_files(j, (lv_wal_first_file(j->wal) + 1) * bytes, lv_wal_tail(j->wal));
}
