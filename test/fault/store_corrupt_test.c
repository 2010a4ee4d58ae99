/* Damage: bits, blocks and ends of files of every kind, one mutation at a time (docs/internals/store-tests.md).
 *
 * What each mutation may take away is told by support/log_image.h, from the documents and the bytes that changed, and never
 * by the code under test. Held against it: what the opening reports and what consumers get. Nothing is deleted, and a body
 * that comes is right.
 *
 * LV_CORRUPT_MUTATIONS=n asks for that many (`make corrupt`); LV_SEED=n begins with that image. */
#include <stdio.h>
#include <stdlib.h>

#include "leveret/unpack.h"
#include "lv_test.h"
#include "store/check.h"
#include "store/store.h"
#include "support/log_image.h"
#include "support/store_world.h"

#define MUTATIONS 200u
#define PER_IMAGE 40u

enum { MESSAGE = 16, ENTER, DROP, PART, PAGE, STATE, HANDED, TX, COMMIT };

/* ---- a mutation ---- */

#define HOWS(X) X(BIT) X(BYTE) X(ZEROS) X(JUNK) X(CUT) X(SWAP) X(COPY) X(GONE)
enum how {
#define X(name) HOW_##name,
    HOWS(X)
#undef X
        HOW_COUNT,
};
static const char *const how_names[] = {
#define X(name) #name,
    HOWS(X)
#undef X
};

struct trial {
    const struct log_image *good;
    struct sim_dir *bad;
    struct log_image now;            /* its files after the mutation */
    const struct image_file **twins; /* by file of `good`: the same one now; NULL: gone */
    enum how how;
    char what[200];
    /* what it did */
    bool *is_hit; /* by record: bytes that its checksum covers are not what they were */
    bool is_store_hit, is_checkpoint_hit, is_stopped_hit;
    const struct image_rec **bad_recs; /* hit, or in doubt */
    size_t bad_count, rec_hits, head_hits;
    uint64_t head_first[2], head_last[2]; /* LSN of files whose heads were hit */
    uint64_t stable[2]; /* what is left says that everything before it had been synced */
    uint64_t doubt[2];  /* from here on nothing tells damage from what was never synced */
};

static void put(struct trial *t, const char *name, uint64_t at, struct lv_bytes bytes)
{
    CHECK_EQ(sim_dir_damage(t->bad, name, at, bytes), LV_OK);
}

static void cut(struct trial *t, const char *name, uint64_t size)
{
    struct lv_file *f;

    CHECK_EQ(lv_dir_open_file(sim_dir_door(t->bad), name, LV_FILE_WRITE, &f), LV_OK);
    CHECK_EQ(lv_file_resize(f, size), LV_OK);
    CHECK_EQ(lv_file_sync(f), LV_OK);
    lv_file_close(f);
}

/* A place worth hitting: each kind of file, and each type of record, as likely as any other. */
static const struct image_file *choose(const struct log_image *im, struct lv_rng *rng, uint64_t *at)
{
    static const char *const small[] = { "store", "checkpoint", "stopped", "reserve" };
    uint32_t die = lv_rng_below(rng, 20);

    if (die < 4) {
        const struct image_file *f = log_image_file(im, small[die]);
        if (f != NULL && f->size != 0) {
            *at = lv_rng_below(rng, (uint32_t)LV_MIN(f->size, 4096u));
            return f;
        }
    }
    if (die == 4) { /* anywhere in any file */
        const struct image_file *f = &im->files[lv_rng_below(rng, (uint32_t)im->file_count)];
        if (f->size != 0) {
            *at = lv_rng_below(rng, (uint32_t)f->size);
            return f;
        }
    }
    if (die == 5) { /* a head */
        for (unsigned i = 0; i < 100; i++) {
            const struct image_file *f = &im->files[lv_rng_below(rng, (uint32_t)im->file_count)];
            if (f->is_used) {
                *at = lv_rng_below(rng, 64);
                return f;
            }
        }
    }
    uint32_t types[] = { 1, 2, MESSAGE, ENTER, DROP, PART, PAGE, STATE, HANDED, TX, COMMIT };
    uint32_t type = types[lv_rng_below(rng, LV_ARRAY_LEN(types))];
    int log = die == 6 || die == 7;
    for (unsigned i = 0;; i++) {
        const struct image_rec *rec = &im->recs[lv_rng_below(rng, (uint32_t)im->rec_count)];
        if (i < 20000 && (rec->log != log || (log == 0 && rec->type != type)))
            continue;
        *at = rec->at + lv_rng_below(rng, rec->size);
        return &im->files[rec->file];
    }
}

static void mutate(struct trial *t, struct lv_rng *rng)
{
    static uint8_t block[4096], other[4096];
    uint64_t at, at2;
    const struct image_file *f = choose(t->good, rng, &at);
    uint64_t step = lv_rng_below(rng, 2) == 0 ? 512 : 4096, from = at / step * step;
    uint64_t bytes = LV_MIN(step, f->size - from);

    t->how = (enum how)lv_rng_below(rng, HOW_COUNT);
    if (t->how == HOW_GONE && (f->log < 0 || lv_rng_below(rng, 4) != 0))
        t->how = HOW_BIT;
    snprintf(t->what, sizeof(t->what), "%s of %s at %" PRIu64 ", step %" PRIu64, how_names[t->how],
             f->name, at, step);
    memcpy(block, f->bytes + from, bytes);
    switch (t->how) {
    case HOW_BIT:
        block[0] = f->bytes[at] ^ (uint8_t)(1u << lv_rng_below(rng, 8));
        put(t, f->name, at, lv_bytes(block, 1));
        break;
    case HOW_BYTE:
        block[0] = (uint8_t)lv_rng_next(rng);
        put(t, f->name, at, lv_bytes(block, 1));
        break;
    case HOW_ZEROS:
        memset(block, 0, bytes);
        put(t, f->name, from, lv_bytes(block, bytes));
        break;
    case HOW_JUNK:
        for (size_t i = 0; i < bytes; i++)
            block[i] = (uint8_t)lv_rng_next(rng);
        put(t, f->name, from, lv_bytes(block, bytes));
        break;
    case HOW_CUT:
        cut(t, f->name, lv_rng_below(rng, 3) == 0 ? from : at);
        break;
    case HOW_SWAP:
    case HOW_COPY: {
        const struct image_file *g = choose(t->good, rng, &at2);
        uint64_t from2 = at2 / step * step, n = LV_MIN(bytes, LV_MIN(step, g->size - from2));
        memcpy(other, g->bytes + from2, n);
        put(t, f->name, from, lv_bytes(other, n));
        if (t->how == HOW_SWAP)
            put(t, g->name, from2, lv_bytes(block, n));
        size_t used = strlen(t->what);
        snprintf(t->what + used, sizeof(t->what) - used, " with %s at %" PRIu64, g->name, from2);
        break;
    }
    default:
        CHECK_EQ(lv_dir_unlink(sim_dir_door(t->bad), f->name), LV_OK);
        CHECK_EQ(lv_dir_sync(sim_dir_door(t->bad)), LV_OK);
        break;
    }
}

/* ---- what it did, by the documents ---- */

/* Are bytes [at, at + n) of the file what they were? */
static bool is_same(const struct trial *t, const struct image_file *was, uint64_t at, uint64_t n)
{
    const struct image_file *now = t->twins[was - t->good->files];

    return now != NULL && now->size >= at + n && memcmp(now->bytes + at, was->bytes + at, n) == 0;
}

static bool is_newest(const struct trial *t, const struct image_file *f)
{
    for (size_t i = 0; i < t->now.file_count; i++)
        if (t->now.files[i].log == f->log && t->now.files[i].number > f->number)
            return false;
    return true;
}

static void look_at_files(struct trial *t)
{
    for (size_t i = 0; i < t->good->file_count; i++) {
        const struct image_file *f = &t->good->files[i];
        if (f->log < 0)
            continue;
        const struct image_file *now = t->twins[i];
        uint64_t file_bytes = t->good->file_bytes[f->log], lsn = f->number * file_bytes;
        if (f->is_used && !is_same(t, f, 0, 64)) {
            t->head_hits++;
            t->head_first[f->log] = LV_MIN(t->head_first[f->log], lsn);
            t->head_last[f->log] = LV_MAX(t->head_last[f->log], lsn);
        }
        /* A file is whole before the next one is made, and before anything is in it. */
        bool is_whole = now != NULL && now->size >= file_bytes, has_content = false;
        for (uint64_t k = 0; !is_whole && now != NULL && k < now->size && !has_content; k++)
            has_content = now->bytes[k] != 0;
        if (!is_whole && (!is_newest(t, f) || has_content))
            t->stable[f->log] = LV_MAX(t->stable[f->log], lsn + file_bytes);
    }
}

static bool is_doubtful(const struct trial *t, const struct image_rec *rec)
{
    return rec->lsn >= t->doubt[rec->log];
}

static bool is_bad(const struct trial *t, const struct image_rec *rec)
{
    return t->is_hit[rec - t->good->recs] || is_doubtful(t, rec);
}

static void assess(struct trial *t)
{
    const struct log_image *im = t->good;
    const struct image_file *store = log_image_file(im, "store");
    const struct image_file *checkpoint = log_image_file(im, "checkpoint");
    const struct image_file *stopped = log_image_file(im, "stopped");

    log_image_read_files(t->bad, &t->now);
    t->twins = calloc(im->file_count, sizeof(struct image_file *));
    for (size_t i = 0; i < im->file_count; i++)
        t->twins[i] = log_image_file(&t->now, im->files[i].name);
    t->is_hit = calloc(im->rec_count + 1, sizeof(bool));
    t->is_store_hit = !is_same(t, store, 0, 44) || log_image_file(&t->now, "store")->size != 48;
    t->is_checkpoint_hit =
        checkpoint != NULL && (!is_same(t, checkpoint, 0, checkpoint->size) ||
                               log_image_file(&t->now, "checkpoint")->size != checkpoint->size);
    t->is_stopped_hit =
        stopped != NULL && (!is_same(t, stopped, 0, stopped->size) ||
                            log_image_file(&t->now, "stopped")->size != stopped->size);
    t->head_first[0] = t->head_first[1] = UINT64_MAX;
    for (unsigned k = 0; k < 2; k++)
        t->stable[k] = t->is_stopped_hit ? 0 : im->clean_end[k];
    if (checkpoint != NULL && !t->is_checkpoint_hit)
        t->stable[0] = LV_MAX(t->stable[0], im->checkpoint_stable);
    look_at_files(t);
    for (size_t i = 0; i < im->rec_count; i++) {
        const struct image_rec *rec = &im->recs[i];
        uint64_t covered = 8 + (rec->type == 1 ? 0 : rec->len);
        t->is_hit[i] = !is_same(t, &im->files[rec->file], rec->at, covered);
        t->rec_hits += t->is_hit[i];
        if (rec->type == 2 && !t->is_hit[i])
            t->stable[rec->log] = LV_MAX(t->stable[rec->log], image_u64(rec->payload));
    }
    t->bad_recs = calloc(im->rec_count + 1, sizeof(struct image_rec *));
    for (int k = 0; k < 2; k++) {
        t->doubt[k] = UINT64_MAX;
        if (t->head_last[k] >= t->stable[k] && t->head_first[k] != UINT64_MAX)
            t->doubt[k] = LV_MAX(t->head_first[k], t->stable[k]);
        for (size_t i = 0; i < im->rec_count; i++)
            if (t->is_hit[i] && im->recs[i].log == k && im->recs[i].lsn >= t->stable[k])
                t->doubt[k] = LV_MIN(t->doubt[k], im->recs[i].lsn);
    }
    for (size_t i = 0; i < im->rec_count; i++)
        if (is_bad(t, &im->recs[i]))
            t->bad_recs[t->bad_count++] = &im->recs[i];
}

/* ---- what a message needs ---- */

/* Number of the message whose record it is; UINT32_MAX: none. The model's messages have it as their key. */
static uint32_t number_of(const struct image_rec *rec)
{
    if (rec == NULL || rec->type != MESSAGE)
        return UINT32_MAX;
    return image_u32(rec->payload + 40 + rec->payload[26]);
}

static uint64_t lsn_of(uint64_t place)
{
    return place & UINT64_C(0x00FFFFFFFFFFFFF8);
}

static bool names(const struct trial *t, uint64_t place, uint32_t number)
{
    return number_of(log_image_rec(t->good, lsn_of(place))) == number;
}

static bool tx_enters(const struct trial *t, const struct image_rec *rec, uint64_t queue,
                      uint32_t number)
{
    const uint8_t *p = rec->payload + 16;

    for (uint32_t n = image_u32(rec->payload + 8); n > 0; n--, p += 24)
        if (image_u64(p) == queue && names(t, image_u64(p + 16), number))
            return true;
    return false;
}

static bool is_committed_by(const struct trial *t, const struct image_rec *commit, uint64_t queue,
                            uint32_t number)
{
    for (size_t i = 0; i < t->good->rec_count; i++) {
        const struct image_rec *rec = &t->good->recs[i];
        if (rec->log == 0 && rec->type == TX &&
            image_u64(rec->payload) == image_u64(commit->payload) &&
            tx_enters(t, rec, queue, number))
            return true;
    }
    return false;
}

static bool is_part_of(const struct trial *t, const struct image_rec *part, uint32_t number)
{
    for (size_t i = 0; i < t->good->rec_count; i++) {
        const struct image_rec *rec = &t->good->recs[i];
        if (rec->log != 0 || number_of(rec) != number || (rec->payload[24] & 8) == 0)
            continue;
        uint32_t at = 40u + rec->payload[26] + rec->payload[27] + image_u32(rec->payload + 28);
        for (; at + 8 <= rec->len; at += 8)
            if (image_u64(rec->payload + at) == part->lsn)
                return true;
    }
    return false;
}

/* Does the state name the message as one of the queue's? */
static bool state_names(const struct trial *t, const struct image_rec *state, uint32_t number)
{
    static const uint32_t bytes[] = { [1] = 16, [2] = 32, [3] = 16 }; /* of one in a run of that kind */
    const uint8_t *p = state->payload + 40, *end = state->payload + state->len;

    while (end - p >= 8) {
        uint32_t kind = image_u32(p), n = kind == 2 ? 1 : image_u32(p + 4);
        p += 8;
        for (; n > 0 && end - p >= bytes[kind]; n--, p += bytes[kind])
            if (kind == 1 && names(t, image_u64(p), number))
                return true;
    }
    return false;
}

static bool needs(const struct trial *t, uint64_t queue, uint32_t number,
                  const struct image_rec *rec);

/* Does nothing but states tell any more that the message is in the queue? What entered it stood in a file of which nothing
 * was alive. */
static bool is_known_by_states(const struct trial *t, uint64_t queue, uint32_t number)
{
    for (size_t i = 0; i < t->good->rec_count; i++) {
        const struct image_rec *rec = &t->good->recs[i];
        bool enters = rec->type == ENTER || rec->type == TX ||
                      (rec->type == MESSAGE && image_u64(rec->payload) == queue);
        if (rec->log == 0 && enters && needs(t, queue, number, rec))
            return false;
    }
    return true;
}

/* Does the message have to be in the queue no more when `rec` is lost? */
static bool needs(const struct trial *t, uint64_t queue, uint32_t number,
                  const struct image_rec *rec)
{
    if (rec->log == 1)
        return rec->type >= 16 && image_u64(rec->payload) == queue;
    switch (rec->type) {
    case MESSAGE:
        return number_of(rec) == number;
    case PART:
        return is_part_of(t, rec, number);
    case ENTER:
        return image_u64(rec->payload) == queue && names(t, image_u64(rec->payload + 16), number);
    case TX:
        return tx_enters(t, rec, queue, number);
    case COMMIT:
        return is_committed_by(t, rec, queue, number);
    case STATE:
        return image_u64(rec->payload) == queue && state_names(t, rec, number) &&
               is_known_by_states(t, queue, number);
    default:
        return false;
    }
}

/* The record that excuses its absence; NULL: none. One that is certainly damaged before one in doubt. */
static const struct image_rec *excuse(const struct trial *t, uint64_t queue, uint32_t number)
{
    const struct image_rec *doubtful = NULL;

    for (size_t i = 0; i < t->bad_count; i++) {
        const struct image_rec *rec = t->bad_recs[i];
        if (!needs(t, queue, number, rec))
            continue;
        if (!is_doubtful(t, rec))
            return rec;
        doubtful = rec;
    }
    return doubtful;
}

/* Was something lost by which messages leave a queue? */
static bool may_return(const struct trial *t)
{
    for (size_t i = 0; i < t->good->rec_count; i++) {
        const struct image_rec *rec = &t->good->recs[i];
        bool is_leaving = rec->log == 1 || rec->type == DROP || rec->type == STATE ||
                          rec->type == TX || rec->type == COMMIT || rec->type == PAGE;
        if (is_leaving && is_bad(t, rec))
            return true;
    }
    return false;
}

/* ---- held against it ---- */

struct totals {
    uint64_t mutations, reported, refused, inspected, harmless, doubtful, lost, rescued;
};
static struct totals totals;

/* What an opening may do to files: nothing to what is in the logs, and zeros behind their ends. */
static void on_opened(void *ctx, struct sim_dir *image, const struct world_view *v)
{
    struct trial *t = ctx;
    struct log_image after;

    log_image_read_files(image, &after);
    for (size_t i = 0; i < t->now.file_count; i++) {
        const struct image_file *f = &t->now.files[i], *g = log_image_file(&after, f->name);
        if (v->err == LV_OK && strcmp(f->name, "stopped") == 0)
            continue;
        CHECK(g != NULL && g->size >= f->size);
        uint64_t end = f->log == 0 ? v->messages_end : v->topology_end;
        bool is_other = memcmp(f->bytes, g->bytes, f->size) != 0;
        for (uint64_t k = 0; is_other && k < f->size; k++) {
            if (f->bytes[k] == g->bytes[k])
                continue;
            CHECK(v->err == LV_OK && f->log >= 0);
            CHECK(f->number * t->good->file_bytes[f->log] + k >= end);
            CHECK_EQ(g->bytes[k], 0);
        }
    }
    log_image_fini(&after);
}

static const struct world_item *find_item(const struct world_view *v, uint64_t queue,
                                          uint32_t number)
{
    for (size_t i = 0; i < v->count; i++)
        if (v->items[i].queue == queue && v->items[i].number == number)
            return &v->items[i];
    return NULL;
}

/* Nothing that was lost is deleted: the newest record of the message, whole or not, is where it was, if it is hit itself or
 * stands not far before the record that is. */
static void check_kept(const struct trial *t, uint32_t number, const struct image_rec *why)
{
    const struct image_rec *newest = NULL;
    struct log_image after;

    for (size_t i = 0; i < t->good->rec_count; i++)
        if (t->good->recs[i].log == 0 && number_of(&t->good->recs[i]) == number)
            newest = &t->good->recs[i];
    if (newest == NULL || is_doubtful(t, newest))
        return;
    uint64_t file_bytes = t->good->file_bytes[0];
    bool is_own = why->type == MESSAGE || why->type == PART || why->log == 1;
    if (!is_own && newest->lsn / file_bytes + 1 < why->lsn / file_bytes)
        return; /* what entered it is lost, and stood far behind: nothing tells of it any more */
    const struct image_file *f = &t->good->files[newest->file],
                            *now = log_image_file(&t->now, f->name);
    if (now == NULL)
        return;
    log_image_read_files(t->bad, &after);
    const struct image_file *g = log_image_file(&after, f->name);
    CHECK(g != NULL);
    uint64_t n = now->size > newest->at ? LV_MIN(newest->size, now->size - newest->at) : 0;
    CHECK(n == 0 || memcmp(g->bytes + newest->at, now->bytes + newest->at, n) == 0);
    log_image_fini(&after);
}

static void check_lost(struct trial *t, const struct world_view *was, const struct world_view *v)
{
    bool is_checked = false;

    for (size_t i = 0; i < was->count; i++) {
        const struct world_item *item = &was->items[i];
        if (find_item(v, item->queue, item->number) != NULL)
            continue;
        const struct image_rec *rec = excuse(t, item->queue, item->number);
        totals.lost++;
        if (rec == NULL)
            fprintf(stderr, "lost without a reason: queue %" PRIu64 " message %u\n", item->queue,
                    item->number);
        CHECK(rec != NULL);
        if (!is_doubtful(t, rec))
            CHECK(v->damage + v->passed_over != 0);
        if (!is_checked)
            check_kept(t, item->number, rec);
        is_checked = true; /* one of them a mutation: it reads the whole disk */
    }
}

static void check_found(const struct trial *t, const struct world_view *was,
                        const struct world_view *v)
{
    bool returns = may_return(t);

    for (size_t i = 0; i < v->count; i++) {
        if (i > 0 && v->items[i].queue == v->items[i - 1].queue)
            CHECK(world_is_before(v->items[i].queue, v->items[i - 1].number, v->items[i].number));
        const struct world_item *item = find_item(was, v->items[i].queue, v->items[i].number);
        if (item == NULL && !returns)
            fprintf(stderr, "came back: queue %" PRIu64 " message %u\n", v->items[i].queue,
                    v->items[i].number);
        CHECK(item != NULL || returns);
        if (item != NULL && item->redelivered && t->rec_hits == 0)
            CHECK(v->items[i].redelivered);
    }
}

/* Must the opening have seen it? It walks from the checkpoint. */
static bool must_be_told(const struct trial *t)
{
    const struct log_image *im = t->good;
    uint64_t from[2] = { im->checkpoint_from != IMAGE_NONE ? im->checkpoint_from : 0, 0 };

    if (t->is_checkpoint_hit)
        return true;
    for (size_t i = 0; i < im->rec_count; i++)
        if (t->is_hit[i] && im->recs[i].lsn >= from[im->recs[i].log] && !is_doubtful(t, &im->recs[i]))
            return true;
    for (unsigned k = 0; k < 2; k++)
        if (t->head_first[k] != UINT64_MAX && t->head_last[k] >= from[k] &&
            t->head_last[k] < t->stable[k])
            return true;
    return false;
}

/* The oldest file is gone: the log alone cannot know that it was not given up. Its messages will be missed. */
static bool looks_given_up(const struct trial *t, const struct image_file *f)
{
    if (log_image_file(&t->now, f->name) != NULL)
        return false;
    for (size_t i = 0; i < t->now.file_count; i++)
        if (t->now.files[i].log == f->log && t->now.files[i].number < f->number)
            return false;
    return true;
}

/* `leveret inspect` looks at all of it, wherever a start would begin. */
static bool check_inspection(const struct trial *t)
{
    bool is_found = false;
    struct lv_store_config config = { .dir = sim_dir_door(t->bad),
                                      .appenders = 1,
                                      .file_bytes = t->good->file_bytes[0],
                                      .ring_bytes = t->good->file_bytes[0] * 2,
                                      .read_only = true };
    struct lv_store *s;
    uint64_t ops = sim_dir_count_ops(t->bad);
    enum lv_err err = lv_store_open(&config, &s);

    CHECK_EQ(err != LV_OK, t->is_store_hit);
    if (err != LV_OK)
        return true;
    struct lv_stopped stopped;
    lv_store_read_stopped(s, &stopped);
    struct lv_checkpoint c;
    (void)!lv_store_read_checkpoint(s, &c); /* zeros when it is damaged */
    for (int k = 0; k < 2; k++) {
        struct lv_wal *wal = k == 0 ? lv_store_messages(s) : lv_store_topology(s);
        struct lv_wal_check_range range = { .stable = stopped.topology };
        if (k == 0)
            range.stable = LV_MAX(stopped.messages, lv_checkpoint_stable(&c));
        struct lv_wal_check found;
        bool must = false;
        for (size_t i = 0; i < t->good->rec_count; i++)
            must = must || (t->is_hit[i] && t->good->recs[i].log == k &&
                            !is_doubtful(t, &t->good->recs[i]) &&
                            !looks_given_up(t, &t->good->files[t->good->recs[i].file]));
        must = must || (t->how != HOW_GONE && t->head_first[k] != UINT64_MAX &&
                        t->head_first[k] < t->stable[k]);
        CHECK_EQ(lv_wal_check(wal, &range, NULL, NULL, &found), LV_OK);
        CHECK(!must || found.damage_count != 0);
        is_found = is_found || found.damage_count != 0;
        lv_wal_check_fini(&found);
    }
    lv_checkpoint_fini(&c);
    lv_store_close(s);
    CHECK_EQ(sim_dir_count_ops(t->bad), ops); /* it only reads */
    return is_found;
}

static void judge(struct trial *t, const struct world *w, const struct world_view *was,
                  bool goes_round)
{
    struct world_view v;
    bool is_doubt = t->doubt[0] != UINT64_MAX || t->doubt[1] != UINT64_MAX;

    bool is_inspected = check_inspection(t);
    world_view(w, t->bad, goes_round, on_opened, t, &v);
    totals.mutations++;
    if (t->is_store_hit) {
        CHECK(v.err == LV_ECORRUPT || v.err == LV_EVERSION);
        totals.refused++;
        world_view_fini(&v);
        return;
    }
    CHECK_EQ(v.err, LV_OK);
    if (must_be_told(t))
        CHECK(v.damage != 0);
    check_found(t, was, &v);
    check_lost(t, was, &v);
    if (t->rec_hits + t->head_hits == 0) /* nothing is missing, and nothing has come back */
        CHECK_EQ(v.count, was->count);
    totals.rescued += v.rescued;
    totals.doubtful += is_doubt;
    bool is_told = v.damage + v.passed_over + v.rescued != 0;
    totals.reported += is_told && !is_doubt;
    totals.inspected += !is_told && is_inspected && !is_doubt;
    totals.harmless += !is_told && !is_inspected && !is_doubt;
    world_view_fini(&v);
}

/* ---- images ---- */

static void nothing(void *ctx, struct sim_dir *image, const struct world_view *v)
{
    (void)ctx;
    (void)image;
    (void)v;
}

static void try_image(struct world *w, struct sim_dir *image, uint64_t seed, unsigned count)
{
    struct lv_rng rng = lv_rng_seed(seed);
    struct log_image good;
    struct world_view was;
    struct sim_dir *first = sim_dir_cut(image, &rng, SIM_CUT_ALL);

    log_image_read(image, &good);
    world_view(w, first, false, nothing, NULL, &was);
    CHECK_EQ(was.err, LV_OK);
    CHECK_EQ(was.damage + was.torn_bytes + was.passed_over, 0);
    sim_dir_free(first);
    for (unsigned i = 0; i < count; i++) {
        struct lv_rng mine = lv_rng_seed(seed * 1000003 + i);
        struct trial t = { .good = &good, .bad = sim_dir_cut(image, &rng, SIM_CUT_ALL) };
        mutate(&t, &mine);
        if (getenv("LV_CORRUPT_VERBOSE") != NULL)
            fprintf(stderr, "image %" PRIu64 " mutation %u: %s\n", seed, i, t.what);
        assess(&t);
        judge(&t, w, &was, lv_rng_below(&mine, 2) == 0);
        log_image_fini(&t.now);
        free(t.is_hit);
        free(t.twins);
        free(t.bad_recs);
        sim_dir_free(t.bad);
    }
    world_view_fini(&was);
    log_image_fini(&good);
}

/* ---- a backup ---- */

struct backup {
    uint8_t *bytes;
    size_t size;
    uint64_t blocks;
};

static void put_bytes(struct backup *b, const void *bytes, size_t n)
{
    b->bytes = realloc(b->bytes, b->size + n + 1);
    if (b->bytes == NULL)
        abort();
    memcpy(b->bytes + b->size, bytes, n);
    b->size += n;
}

/* A block by the word of docs/formats/backup.md: two numbers, and bytes. */
static void put_block(struct backup *b, uint32_t kind, uint64_t one, uint64_t two,
                      const void *bytes, size_t n)
{
    uint8_t head[40] = { 0 };
    size_t numbers = kind == 1 ? 24 : kind == 4 ? 16 : 8, at = b->size;

    lv_put_be32(head + 4, kind);
    lv_put_be64(head + 8, b->blocks++);
    lv_put_be32(head + 16, (uint32_t)(numbers + n));
    lv_put_be64(head + 24, one);
    lv_put_be64(head + 32, two);
    put_bytes(b, head, 24 + LV_MIN(numbers, (size_t)16));
    put_bytes(b, "\0\0\0\0\0\0\0\0", numbers - LV_MIN(numbers, (size_t)16));
    put_bytes(b, bytes, n);
    lv_put_be32(b->bytes + at, image_crc32c(0, b->bytes + at + 4, b->size - at - 4));
}

static struct backup backup_of(const struct log_image *im)
{
    struct backup b = { 0 };
    uint64_t files = 0, data = 0;

    put_bytes(&b, "lvbackup\0\0\0\1\0\0\0\0", 16);
    put_block(&b, 1, im->id, 0, "", 0);
    for (size_t i = 0; i < im->file_count; i++) {
        const struct image_file *f = &im->files[i];
        uint8_t name[64] = { (uint8_t)strlen(f->name) };
        if (strcmp(f->name, "stopped") == 0 || strcmp(f->name, "reserve") == 0 ||
            (f->log >= 0 && !f->is_used))
            continue;
        memcpy(name + 1, f->name, name[0]);
        put_block(&b, 2, f->size, 0, name, name[0] + 1u);
        files++;
        for (uint64_t at = 0; at < f->size; at += 10000) {
            uint64_t n = LV_MIN(f->size - at, UINT64_C(10000));
            put_block(&b, 3, at, 0, f->bytes + at, n);
            data += n;
        }
    }
    put_block(&b, 4, files, data, "", 0);
    return b;
}

static void mutate_backup(const struct backup *good, struct backup *bad, struct lv_rng *rng)
{
    size_t step = lv_rng_below(rng, 2) == 0 ? 512 : 10000 + 32; /* the size of most blocks */
    size_t a = lv_rng_below(rng, (uint32_t)good->size), b = lv_rng_below(rng, (uint32_t)good->size);
    size_t n = LV_MIN(step, good->size - LV_MAX(a, b));
    uint32_t how = lv_rng_below(rng, 7);

    *bad = (struct backup){ 0 };
    put_bytes(bad, good->bytes, good->size);
    if (how <= 1)
        bad->bytes[how == 0 ? a : a % 600] ^= (uint8_t)(1u << lv_rng_below(rng, 8));
    else if (how == 2)
        memset(bad->bytes + a, 0, n);
    else if (how == 3)
        bad->size = a;
    else if (how == 4)
        memcpy(bad->bytes + a, good->bytes + b, n);
    else if (how == 5) { /* a piece twice */
        bad->size = a + n;
        put_bytes(bad, good->bytes + a, good->size - a);
    } else if (a + n <= b || b + n <= a) {
        memcpy(bad->bytes + a, good->bytes + b, n);
        memcpy(bad->bytes + b, good->bytes + a, n);
    }
}

static void check_names(void *ctx, const char *name)
{
    (void)name;
    ++*(uint64_t *)ctx;
}

/* Is it what it was, but for four bytes of its head that mean nothing? Then all is there; else it is refused, and nothing is. */
static void try_unpack(const struct log_image *im, const struct backup *good,
                       const struct backup *bad)
{
    bool is_same = bad->size == good->size && memcmp(bad->bytes, good->bytes, 12) == 0 &&
                   memcmp(bad->bytes + 16, good->bytes + 16, good->size - 16) == 0;
    struct sim_dir *dir = sim_dir_new();
    struct lv_progress progress = { 0 };
    struct lv_unpacked done;
    uint64_t names_left = 0;
    FILE *in = bad->size != 0 ? fmemopen(bad->bytes, bad->size, "rb") : tmpfile();

    CHECK(in != NULL);
    enum lv_err err = lv_unpack(in, sim_dir_door(dir), &progress, true, &done);
    (void)fclose(in);
    CHECK_EQ(lv_dir_list(sim_dir_door(dir), check_names, &names_left), LV_OK);
    if (is_same) {
        struct log_image after;
        CHECK_EQ(err, LV_OK);
        log_image_read_files(dir, &after);
        CHECK_EQ(after.file_count, done.files);
        for (size_t i = 0; i < after.file_count; i++) {
            const struct image_file *f = log_image_file(im, after.files[i].name);
            CHECK(f != NULL && f->size == after.files[i].size);
            CHECK_MEM(after.files[i].bytes, f->bytes, f->size);
        }
        log_image_fini(&after);
        totals.harmless++;
    } else {
        CHECK(err == LV_ECORRUPT || err == LV_EVERSION);
        CHECK_EQ(names_left, 0);
        totals.refused++;
    }
    sim_dir_free(dir);
    totals.mutations++;
}

/* A disk as a life leaves it: stopped in order, or killed. */
static void try_seed(uint64_t seed, unsigned count)
{
    static const struct world_config configs[] = {
        { .queues = 4, .body_max = 400, .has_deletes = true, .has_transients = true },
        { .queues = 3, .body_max = 9000, .has_deletes = true },
        { .file_bytes = 256 << 10, .queues = 2, .body_max = 60, .has_bursts = true },
    };
    struct lv_rng rng = lv_rng_seed(seed * 77);
    struct world *w = world_new(seed, &configs[seed % LV_ARRAY_LEN(configs)]);

    bool has_pages = configs[seed % LV_ARRAY_LEN(configs)].has_bursts;
    for (uint32_t lives = lv_rng_below(&rng, 3); lives > 0; lives--) {
        world_run(w, 300 + lv_rng_below(&rng, 600));
        world_restart(w, lv_rng_below(&rng, 2) == 0 ? WORLD_STOP : WORLD_KILL);
    }
    world_run(w, 300 + lv_rng_below(&rng, 600));
    if (has_pages) {
        world_burst(w);
        world_run(w, 80);
    }
    if (lv_rng_below(&rng, 2) == 0)
        CHECK(world_close(w));
    struct sim_dir *image = sim_dir_cut(world_disk(w), &rng, SIM_CUT_ALL);
    try_image(w, image, seed, count);
    sim_dir_free(image);
    world_free(w);
}

static uint64_t asked_for(uint64_t most)
{
    const char *asked = getenv("LV_CORRUPT_MUTATIONS");

    return asked != NULL ? strtoull(asked, NULL, 10) : most;
}

LV_TEST(a_backup)
{
    struct world *w = world_new(3, &(struct world_config){ .queues = 3, .body_max = 900 });
    struct log_image good;
    struct backup bad, b;

    world_run(w, 500);
    CHECK(world_close(w));
    log_image_read(world_disk(w), &good);
    b = backup_of(&good);
    totals = (struct totals){ 0 };
    try_unpack(&good, &b, &b);
    CHECK_EQ(totals.harmless, 1);
    for (uint64_t i = 0; i < asked_for(MUTATIONS); i++) {
        struct lv_rng rng = lv_rng_seed(i * 7919);
        mutate_backup(&b, &bad, &rng);
        try_unpack(&good, &b, &bad);
        free(bad.bytes);
    }
    fprintf(stderr,
            "corruption of a backup: %" PRIu64 " mutations, %" PRIu64 " refused, %" PRIu64
            " that changed nothing\n",
            totals.mutations, totals.refused, totals.harmless);
    free(b.bytes);
    log_image_fini(&good);
    world_free(w);
}

LV_TEST(one_mutation)
{
    const char *first = getenv("LV_SEED");
    uint64_t mutations = asked_for(MUTATIONS);
    uint64_t next = first != NULL ? strtoull(first, NULL, 10) : 1;

    totals = (struct totals){ 0 };
    for (; totals.mutations < mutations; next++) {
        if (next % 10 == 0)
            fprintf(stderr, "corruption: image %" PRIu64 ", %" PRIu64 " mutations\n", next,
                    totals.mutations);
        try_seed(next, (unsigned)LV_MIN(PER_IMAGE, mutations - totals.mutations));
    }
    fprintf(stderr,
            "corruption: %" PRIu64 " mutations: %" PRIu64
            " reported by the start or at delivery, %" PRIu64 " refused, %" PRIu64
            " of the past, found by inspection, %" PRIu64 " of bytes that nothing is in, %" PRIu64
            " behind the last mark; %" PRIu64 " messages lost with their bytes, %" PRIu64
            " pages put together again\n",
            totals.mutations, totals.reported, totals.refused, totals.inspected, totals.harmless,
            totals.doubtful, totals.lost, totals.rescued);
}
