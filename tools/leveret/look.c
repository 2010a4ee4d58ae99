#include "look.h"

#include <stdlib.h>

#include "os/os.h"

#define ATTEMPTS_MAX 50u
#define PAUSE_US 20000u

/* ---- the two logs ---- */

struct visit {
    struct lv_look *look;
    const struct lv_look_eye *eye;
    struct lv_wal *wal;
    bool is_topology;
};

static enum lv_err visit_any(void *ctx, uint8_t type, lv_lsn lsn, struct lv_bytes payload)
{
    const struct visit *v = ctx;

    if (v->eye != NULL)
        v->eye->record(v->eye->ctx, v->wal, type, lsn, payload);
    return v->is_topology ? lv_model_visit(&v->look->model, type, lsn, payload) : LV_OK;
}

static enum lv_err check_logs(struct lv_look *look, const struct lv_look_eye *eye, const char **what)
{
    struct lv_wal_check_range all = { 0 };
    struct visit v = { look, eye, lv_store_topology(look->dir.store), true };

    lv_store_read_stopped(look->dir.store, &look->stopped);
    all.stable = look->stopped.topology;
    *what = "the topology's log";
    enum lv_err err = lv_wal_check(v.wal, &all, visit_any, &v, &look->topology);
    if (err != LV_OK)
        return err;
    lv_model_settle(&look->model);
    *what = "the checkpoint";
    look->checkpoint_err = lv_store_read_checkpoint(look->dir.store, &look->checkpoint);
    if (look->checkpoint_err != LV_OK && look->checkpoint_err != LV_ENOTFOUND &&
        look->checkpoint_err != LV_ECORRUPT)
        return look->checkpoint_err;
    all.from = look->checkpoint.from;
    all.stable = LV_MAX(look->stopped.messages, lv_checkpoint_stable(&look->checkpoint));
    v.wal = lv_store_messages(look->dir.store);
    v.is_topology = false;
    *what = "the messages' log";
    err = lv_wal_check(v.wal, &all, visit_any, &v, &look->messages);
    if (err != LV_OK || look->checkpoint_err == LV_ECORRUPT)
        return err;
    /* Without a checkpoint nothing was ever given up. */
    uint64_t must_be =
        look->checkpoint_err == LV_OK ? lv_lsn_file(all.from, lv_wal_file_bytes(v.wal)) : 1;
    if (look->messages.file_count != 0)
        look->is_beheaded = look->messages.files[0].number > must_be;
    else
        look->is_beheaded = look->checkpoint_err == LV_OK;
    return LV_OK;
}

/* ---- messages of a queue ---- */

struct reading {
    struct lv_look *look;
    struct lv_look_queue *queue;
    struct lv_wal *wal;
    struct lv_wal_reader *reader;
    uint8_t *buf, *part;
    size_t cap;
    enum lv_err err;
};

/* LV_ECORRUPT: no such record there. */
static enum lv_err read_record(struct reading *r, lv_lsn lsn, uint8_t want, uint8_t *buf,
                               size_t span, struct lv_bytes *payload)
{
    size_t got, size;
    uint8_t type;
    enum lv_err err = lv_wal_read(r->reader, lsn, buf, LV_MIN(span, r->cap), &got);

    if (err == LV_ENOTFOUND)
        return LV_ECORRUPT;
    if (err != LV_OK)
        return err;
    return lv_wal_parse(r->wal, lsn, lv_bytes(buf, got), &type, payload, &size) && type == want
               ? LV_OK
               : LV_ECORRUPT;
}

static enum lv_err read_parts(struct reading *r, const struct lv_rec_message *m, lv_lsn *bad)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i + 8 <= m->parts.len; i += 8) {
        struct lv_bytes part;
        lv_lsn lsn = lv_be64(m->parts.ptr + i);
        enum lv_err err = read_record(r, lsn, LV_REC_PART, r->part, r->cap, &part);
        if (err != LV_OK) {
            *bad = lsn;
            return err;
        }
        bytes += part.len;
    }
    return bytes == m->body_len ? LV_OK : LV_ECORRUPT;
}

static void read_message(void *ctx, uint64_t seq, uint64_t place, bool redelivered)
{
    struct reading *r = ctx;
    struct lv_look *look = r->look;
    struct lv_bytes payload;
    struct lv_rec_message m;
    lv_lsn bad = lv_place_lsn(place);

    if (r->err != LV_OK)
        return;
    enum lv_err err = read_record(r, bad, LV_REC_MESSAGE, r->buf,
                                  (size_t)lv_class_bytes(lv_place_class(place)), &payload);
    if (err == LV_OK && !lv_rec_message_parse(payload, &m))
        err = LV_ECORRUPT;
    if (err == LV_OK && m.parts.len != 0)
        err = read_parts(r, &m, &bad);
    r->queue->messages++;
    r->queue->redelivered += redelivered;
    if (err == LV_OK) {
        r->queue->bytes += m.body_len;
    } else if (err == LV_ECORRUPT) {
        r->queue->unreadable++;
        if (look->unreadable_count < LV_LOOK_UNREADABLE_MAX)
            look->unreadable[look->unreadable_count] =
                (struct lv_look_unreadable){ r->queue->item->meta.id, seq, bad };
        look->unreadable_count++;
    } else {
        r->err = err;
    }
}

static enum lv_err read_queues(struct lv_look *look, struct lv_recovery *recovery,
                               struct lv_wal_reader *reader)
{
    struct reading r = { .look = look, .wal = lv_store_messages(look->dir.store), .reader = reader };
    struct lv_model_item *item, *next;
    size_t n = 0;
    enum lv_err err = LV_OK;

    r.cap = LV_WAL_REC_HEAD + lv_wal_record_max(r.wal);
    r.buf = malloc(2 * r.cap);
    look->queues = calloc(LV_MAX(look->model.queues, 1u), sizeof(*look->queues));
    if (r.buf == NULL || look->queues == NULL)
        err = LV_ENOMEM;
    r.part = r.buf + r.cap;
    HASH_ITER (hh, look->model.items, item, next) {
        if (err != LV_OK || item->meta.kind != LV_META_QUEUE)
            continue;
        r.queue = &look->queues[n++];
        r.queue->item = item;
        lv_recovery_queue_facts(recovery, item->meta.id, &r.queue->facts);
        err = lv_recovery_walk(recovery, item->meta.id, read_message, &r);
        if (err == LV_ECORRUPT) { /* a page: it is in the facts */
            r.queue->unreadable += r.queue->facts.messages - r.queue->messages;
            err = LV_OK;
        }
        if (err == LV_OK)
            err = r.err;
        look->message_count += r.queue->messages;
        look->body_bytes += r.queue->bytes;
    }
    free(r.buf);
    return err;
}

/* ---- what a start would make of it ---- */

static enum lv_err recover(struct lv_look *look, struct lv_journal *j, struct lv_wal_reader *reader,
                           const struct lv_checkpoint *c, struct lv_recovery **out)
{
    struct lv_model_item *item, *next;
    enum lv_err err = lv_recovery_new(j, reader, c != NULL, out);

    memset(j->live, 0, LV_WAL_FILES_MAX * sizeof(*j->live));
    for (size_t i = 0; c != NULL && i < c->file_count; i++) {
        struct lv_live *live = &j->live[c->files[i].number % LV_WAL_FILES_MAX];
        live->refs = c->files[i].refs;
        live->bytes = c->files[i].bytes;
    }
    if (err == LV_OK)
        lv_recovery_topology(*out, LV_MAX(look->model.next_queue_id, 1u),
                             look->topology.damage_count != 0);
    HASH_ITER (hh, look->model.items, item, next)
        if (err == LV_OK && item->meta.kind == LV_META_QUEUE)
            err = lv_recovery_queue(*out, item->meta.id);
    for (size_t i = 0; c != NULL && i < c->queue_count && err == LV_OK; i++)
        err = lv_recovery_state(*out, c->queues[i].id, c->queues[i].state);
    struct lv_wal_known known = { .from = c != NULL ? c->from : 0,
                                  .stable = lv_checkpoint_stable(&look->checkpoint),
                                  .clean_end = look->stopped.messages };
    if (err == LV_OK)
        err = lv_wal_open(j->wal, &known, true, lv_recovery_visit, *out, &look->start);
    return err == LV_OK ? lv_recovery_end(*out) : err;
}

static enum lv_err note_live(struct lv_look *look, const struct lv_journal *j)
{
    size_t count = look->messages.file_count;

    look->live = calloc(LV_MAX(count, 1u), sizeof(*look->live));
    for (size_t i = 0; look->live != NULL && i < count; i++)
        look->live[i] = j->live[look->messages.files[i].number % LV_WAL_FILES_MAX];
    return look->live != NULL ? LV_OK : LV_ENOMEM;
}

static enum lv_err look_into_queues(struct lv_look *look)
{
    static _Atomic uint32_t back[LV_WAL_FILES_MAX];
    struct lv_wal *wal = lv_store_messages(look->dir.store);
    struct lv_wal_reader *reader = NULL;
    struct lv_recovery *recovery = NULL;
    struct lv_journal j;
    const struct lv_checkpoint *c = look->checkpoint_err == LV_OK ? &look->checkpoint : NULL;
    enum lv_err err = lv_journal_init(&j, wal, 0, back, NULL, NULL);

    if (err == LV_OK)
        err = lv_wal_reader_new(wal, &reader);
    if (err == LV_OK)
        err = recover(look, &j, reader, c, &recovery);
    if (err == LV_ECORRUPT && c != NULL) { /* as a start would do: without the checkpoint */
        look->is_state_damaged = true;
        lv_recovery_free(recovery);
        recovery = NULL;
        err = recover(look, &j, reader, NULL, &recovery);
    }
    if (err == LV_OK) {
        lv_recovery_facts(recovery, &look->facts);
        err = note_live(look, &j);
    }
    if (err == LV_OK)
        err = read_queues(look, recovery, reader);
    lv_recovery_free(recovery);
    lv_wal_reader_free(reader);
    lv_journal_fini(&j);
    return err;
}

static enum lv_err look_once(struct lv_look *look, const struct lv_look_eye *eye, const char **what)
{
    enum lv_err err = check_logs(look, eye, what);

    if (err != LV_OK)
        return err;
    *what = "the queues";
    return look_into_queues(look);
}

static bool is_same(const struct lv_checkpoint *a, const struct lv_checkpoint *b)
{
    return a->from == b->from && a->file_count == b->file_count &&
           a->queue_count == b->queue_count &&
           (a->file_count == 0 ||
            memcmp(a->files, b->files, a->file_count * sizeof(*a->files)) == 0) &&
           (a->queue_count == 0 ||
            memcmp(a->queues, b->queues, a->queue_count * sizeof(*a->queues)) == 0);
}

/* A checkpoint that was written meanwhile lets files go: what was missed then is no damage. */
static bool has_moved_on(struct lv_look *look, enum lv_err err)
{
    struct lv_checkpoint now;

    if (err != LV_OK || !lv_look_is_damaged(look))
        return err == LV_ENOTFOUND;
    err = lv_store_read_checkpoint(look->dir.store, &now);
    bool has_moved = err != look->checkpoint_err || !is_same(&now, &look->checkpoint);
    lv_checkpoint_fini(&now);
    return has_moved;
}

enum lv_err lv_look(struct lv_look *look, const struct lv_look_eye *eye, const char **what)
{
    for (unsigned n = 0;; n++) {
        enum lv_err err = look_once(look, n == 0 ? eye : NULL, what); /* tells no record twice */
        if (!look->dir.is_live || !has_moved_on(look, err))
            return err;
        if (n == ATTEMPTS_MAX)
            return LV_ENOTFOUND;
        struct lv_datadir dir = look->dir;
        lv_look_fini(look);
        *look = (struct lv_look){ .dir = dir };
        lv_os_sleep_us(PAUSE_US);
    }
}

bool lv_look_is_damaged(const struct lv_look *look)
{
    return look->topology.damage_count != 0 || look->messages.damage_count != 0 ||
           look->checkpoint_err == LV_ECORRUPT || look->is_state_damaged || look->is_beheaded ||
           look->facts.damaged != 0 || look->facts.unknown_queues != 0 ||
           look->unreadable_count != 0;
}

void lv_look_fini(struct lv_look *look)
{
    lv_checkpoint_fini(&look->checkpoint);
    lv_wal_check_fini(&look->topology);
    lv_wal_check_fini(&look->messages);
    lv_model_fini(&look->model);
    free(look->live);
    free(look->queues);
}
