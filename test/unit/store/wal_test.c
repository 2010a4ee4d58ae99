/* store/wal.h: places, the ring, files, what is stable, and appenders on several threads. */
#include "store/wal.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "lv_test.h"
#include "support/sim_dir.h"

#define FILE_BYTES LV_WAL_FILE_MIN
#define RING_BYTES ((size_t)131072)
#define TYPE LV_REC_FIRST

struct log {
    struct sim_dir *disk;
    struct lv_wal *wal;
    struct lv_wal_report report;
};

static enum lv_err ignore(void *ctx, uint8_t type, lv_lsn lsn, struct lv_bytes payload)
{
    (void)ctx;
    (void)type;
    (void)lsn;
    (void)payload;
    return LV_OK;
}

static void make(struct log *l, unsigned appenders)
{
    struct lv_wal_config config = { .dir = sim_dir_door(l->disk),
                                    .name = "messages",
                                    .id = UINT64_C(0x1122334455667788),
                                    .file_bytes = FILE_BYTES,
                                    .ring_bytes = RING_BYTES,
                                    .appenders = appenders };

    CHECK_EQ(lv_wal_new(&config, &l->wal), LV_OK);
}

static void open_with(struct log *l, unsigned appenders, lv_wal_visit *visit, void *ctx)
{
    make(l, appenders);
    CHECK_EQ(lv_wal_open(l->wal, &(struct lv_wal_known){ 0 }, false, visit, ctx, &l->report), LV_OK);
}

static void begin(struct log *l, unsigned appenders)
{
    *l = (struct log){ .disk = sim_dir_new() };
    open_with(l, appenders, ignore, NULL);
}

static void end(struct log *l)
{
    lv_wal_free(l->wal);
    sim_dir_free(l->disk);
}

static void make_files(struct log *l)
{
    while (lv_wal_wants_file(l->wal))
        CHECK_EQ(lv_wal_make_file(l->wal), LV_OK);
}

static bool commit(struct log *l)
{
    bool did;

    make_files(l);
    CHECK_EQ(lv_wal_write(l->wal, lv_wal_complete(l->wal), &did), LV_OK);
    return did;
}

/* A payload that tells its number, and is as long as that says. */
static struct lv_bytes payload_of(uint32_t number, uint8_t *buf, size_t bytes)
{
    struct lv_rng r = lv_rng_seed(number);

    for (size_t i = 0; i < bytes; i++)
        buf[i] = (uint8_t)lv_rng_next(&r);
    lv_put_be32(buf, number);
    return lv_bytes(buf, bytes);
}

static lv_lsn append(struct log *l, unsigned appender, uint32_t number, size_t bytes, lv_lsn *end_at)
{
    static uint8_t buf[1u << 16];
    struct lv_bytes part = payload_of(number, buf, bytes);
    lv_lsn lsn;

    CHECK_EQ(lv_wal_append(l->wal, appender, TYPE, &part, 1, &lsn, end_at), LV_OK);
    return lsn;
}

/* ---- what is found again ---- */

struct seen {
    lv_lsn at[4096];
    uint32_t numbers[4096];
    size_t count;
};

static enum lv_err see(void *ctx, uint8_t type, lv_lsn lsn, struct lv_bytes payload)
{
    static uint8_t want[1u << 16];
    struct seen *s = ctx;

    CHECK_EQ(type, TYPE);
    CHECK(payload.len >= 4 && s->count < LV_ARRAY_LEN(s->at));
    s->at[s->count] = lsn;
    s->numbers[s->count] = lv_be32(payload.ptr);
    CHECK(lv_bytes_eq(payload_of(s->numbers[s->count], want, payload.len), payload));
    s->count++;
    return LV_OK;
}

static void reopen(struct log *l, unsigned appenders, struct seen *seen)
{
    *seen = (struct seen){ 0 };
    lv_wal_free(l->wal);
    open_with(l, appenders, see, seen);
}

/* ---- places ---- */

LV_TEST(a_place_is_a_byte_position)
{
    struct log l;
    lv_lsn end_of, lsn;
    uint8_t raw[64];
    size_t got, size;
    struct lv_file *f;
    struct lv_bytes payload;
    uint8_t type;

    begin(&l, 1);
    lsn = append(&l, 0, 1, 21, &end_of);
    CHECK_EQ(lsn, FILE_BYTES + LV_WAL_FILE_HEAD); /* the first file is number 1 */
    CHECK_EQ(end_of, lsn + 8 + 24);
    CHECK_EQ(append(&l, 0, 2, 16, NULL), end_of);
    CHECK_EQ(lv_wal_tail(l.wal), end_of + 24);
    CHECK_EQ(lv_wal_stable(l.wal), FILE_BYTES);
    CHECK(commit(&l));
    CHECK_EQ(lv_wal_stable(l.wal), lv_wal_tail(l.wal));
    CHECK_EQ(lv_wal_written(l.wal), lv_wal_tail(l.wal));
    CHECK(!commit(&l));
    CHECK_EQ(lv_dir_open_file(sim_dir_door(l.disk), "messages-0000000001.log", LV_FILE_READ, &f),
             LV_OK);
    CHECK_EQ(lv_file_read(f, lsn % FILE_BYTES, raw, sizeof(raw), &got), LV_OK);
    lv_file_close(f);
    CHECK(lv_wal_parse(l.wal, lsn, lv_bytes(raw, got), &type, &payload, &size));
    CHECK(type == TYPE && payload.len == 21 && size == 32 && lv_be32(payload.ptr) == 1);
    /* The same bytes anywhere else are no record. */
    CHECK(!lv_wal_parse(l.wal, lsn + 8, lv_bytes(raw, got), &type, &payload, &size));
    CHECK(!lv_wal_parse(l.wal, lsn + FILE_BYTES, lv_bytes(raw, got), &type, &payload, &size));
    end(&l);
}

LV_TEST(a_record_lies_in_one_file)
{
    struct log l;
    struct seen *seen = malloc(sizeof(*seen));
    lv_lsn at[400];

    begin(&l, 1);
    for (uint32_t i = 0; i < 400; i++) {
        lv_lsn end_of;
        at[i] = append(&l, 0, i, 4 + (i * 37) % 1500, &end_of);
        CHECK_EQ(at[i] / FILE_BYTES, (end_of - 1) / FILE_BYTES);
        CHECK(at[i] % FILE_BYTES >= LV_WAL_FILE_HEAD);
        if (lv_wal_is_full(l.wal))
            (void)commit(&l);
    }
    (void)commit(&l);
    CHECK(lv_wal_current_file(l.wal) >= 4);
    reopen(&l, 1, seen);
    CHECK_EQ(seen->count, 400);
    for (uint32_t i = 0; i < 400; i++)
        CHECK(seen->numbers[i] == i && seen->at[i] == at[i]);
    CHECK_EQ(l.report.damage_count, 0);
    CHECK_EQ(l.report.torn_bytes, 0);
    free(seen);
    end(&l);
}

/* A record that just fits, one byte more, and the largest one. */
LV_TEST(a_pad_is_one_only_at_its_place)
{
    struct log l;
    struct lv_wal_reader *reader;
    struct lv_bytes payload;
    lv_lsn pad = 0, behind = 0;
    uint8_t raw[LV_WAL_REC_HEAD], type;
    size_t got, size;

    begin(&l, 1);
    for (uint32_t i = 0; behind / FILE_BYTES == pad / FILE_BYTES || pad == 0; i++) {
        pad = behind;
        (void)append(&l, 0, i, 1400, &behind);
        (void)commit(&l);
    }
    CHECK_EQ(lv_wal_reader_new(l.wal, &reader), LV_OK);
    CHECK_EQ(lv_wal_read(reader, pad, raw, sizeof(raw), &got), LV_OK);
    lv_wal_reader_free(reader);
    CHECK(lv_wal_parse(l.wal, pad, lv_bytes(raw, got), &type, &payload, &size));
    CHECK_EQ(type, LV_REC_PAD);
    CHECK_EQ(size, FILE_BYTES - pad % FILE_BYTES);
    CHECK(!lv_wal_parse(l.wal, pad + FILE_BYTES, lv_bytes(raw, got), &type, &payload, &size));
    raw[0] ^= 1;
    CHECK(!lv_wal_parse(l.wal, pad, lv_bytes(raw, got), &type, &payload, &size));
    end(&l);
}

LV_TEST(the_end_of_a_file)
{
    for (size_t over = 0; over <= 16; over += 8) {
        struct log l;
        struct seen *seen = malloc(sizeof(*seen));
        begin(&l, 1);
        size_t max = lv_wal_record_max(l.wal);
        uint64_t left = FILE_BYTES - LV_WAL_FILE_HEAD;
        uint32_t n = 0;
        for (; left > 2 * (max + 8); left -= lv_wal_rec_size(max))
            (void)append(&l, 0, n++, max, NULL);
        (void)append(&l, 0, n++, left / 2 / 8 * 8 - 8, NULL);
        left -= left / 2 / 8 * 8;
        lv_lsn lsn = append(&l, 0, n++, left - 8 - 16 + over, NULL); /* 16, 8 or no bytes are left */
        CHECK_EQ(lsn / FILE_BYTES, 1);
        lsn = append(&l, 0, n++, 16, NULL);
        CHECK_EQ(lsn, 2 * FILE_BYTES + LV_WAL_FILE_HEAD);
        (void)commit(&l);
        reopen(&l, 1, seen);
        CHECK_EQ(seen->count, n);
        CHECK_EQ(l.report.damage_count, 0);
        free(seen);
        end(&l);
    }
}

/* ---- the ring ---- */

/* Records that find no room in the ring wait, keep their places, and go in order when there is room. */
LV_TEST(a_full_ring_waits)
{
    struct log l;
    struct seen *seen = malloc(sizeof(*seen));
    uint32_t n = 0;

    begin(&l, 2);
    while (!lv_wal_is_full(l.wal)) {
        (void)append(&l, n % 2, n, 4000, NULL);
        n++;
    }
    for (unsigned i = 0; i < 40; i++, n++)
        (void)append(&l, n % 2, n, 4000, NULL);
    CHECK(!lv_wal_pump(l.wal, 0));
    CHECK(!lv_wal_pump(l.wal, 1));
    CHECK(lv_wal_complete(l.wal) < lv_wal_tail(l.wal));
    for (unsigned turns = 0; lv_wal_stable(l.wal) < lv_wal_tail(l.wal); turns++) {
        CHECK(turns < 100);
        CHECK(lv_wal_complete(l.wal) - lv_wal_written(l.wal) <= RING_BYTES);
        (void)commit(&l);
        (void)lv_wal_pump(l.wal, turns % 2);
    }
    reopen(&l, 2, seen);
    CHECK_EQ(seen->count, n);
    for (uint32_t i = 0; i < n; i++)
        CHECK_EQ(seen->numbers[i], i);
    free(seen);
    end(&l);
}

/* Round and round the ring, with records that lie across its end. */
LV_TEST(the_ring_wraps)
{
    struct log l;
    struct seen *seen = malloc(sizeof(*seen));
    uint32_t n = 0;

    begin(&l, 1);
    while (lv_wal_tail(l.wal) < 10 * RING_BYTES) {
        for (unsigned i = 0; i < 5; i++, n++)
            (void)append(&l, 0, n, 3000 + n % 777, NULL);
        (void)commit(&l);
    }
    reopen(&l, 1, seen);
    CHECK_EQ(seen->count, n);
    free(seen);
    end(&l);
}

/* ---- what is stable ---- */

static void count_syncs(void *ctx, struct sim_dir *sim, enum sim_op op, bool is_done)
{
    (void)sim;
    if (is_done && op == SIM_OP_SYNC)
        ++*(unsigned *)ctx;
}

LV_TEST(one_sync_for_many)
{
    struct log l;
    unsigned syncs = 0;
    bool did;

    begin(&l, 3);
    make_files(&l);
    for (uint32_t i = 0; i < 90; i++)
        (void)append(&l, i % 3, i, 100, NULL);
    sim_dir_hook(l.disk, count_syncs, &syncs);
    CHECK_EQ(lv_wal_write(l.wal, lv_wal_complete(l.wal), &did), LV_OK);
    CHECK_EQ(syncs, 1);
    CHECK_EQ(lv_wal_stable(l.wal), lv_wal_tail(l.wal));
    sim_dir_hook(l.disk, NULL, NULL);
    end(&l);
}

LV_TEST(stable_is_what_a_power_cut_leaves)
{
    struct log l;
    struct seen *seen = malloc(sizeof(*seen));
    struct lv_rng rng = lv_rng_seed(5);

    begin(&l, 1);
    for (uint32_t i = 0; i < 150; i++) {
        (void)append(&l, 0, i, 900, NULL);
        if (i < 100)
            (void)commit(&l);
    }
    struct log after = { .disk = sim_dir_cut(l.disk, &rng, SIM_CUT_NONE) };
    *seen = (struct seen){ 0 };
    open_with(&after, 1, see, seen);
    CHECK_EQ(seen->count, 100);
    CHECK_EQ(lv_wal_tail(after.wal), lv_wal_stable(l.wal));
    free(seen);
    end(&after);
    end(&l);
}

LV_TEST(a_failed_sync_is_final)
{
    struct log l;
    bool did;

    begin(&l, 1);
    (void)append(&l, 0, 1, 100, NULL);
    CHECK(commit(&l));
    lv_lsn stable = lv_wal_stable(l.wal);
    (void)append(&l, 0, 2, 100, NULL);
    sim_dir_fail_sync_at(l.disk, sim_dir_count_syncs(l.disk) + 1);
    CHECK_EQ(lv_wal_write(l.wal, lv_wal_complete(l.wal), &did), LV_EIO);
    CHECK_EQ(lv_wal_stable(l.wal), stable);
    end(&l);
}

/* Without the next file the writer stops at its edge; nothing before it is held up, nothing is lost. */
LV_TEST(no_next_file_yet)
{
    struct log l;
    struct seen *seen = malloc(sizeof(*seen));
    bool did;
    uint32_t n = 0;

    begin(&l, 1);
    while (lv_wal_tail(l.wal) < 2 * FILE_BYTES + 1000)
        (void)append(&l, 0, n++, 1000, NULL);
    CHECK_EQ(lv_wal_write(l.wal, lv_wal_complete(l.wal), &did), LV_EAGAIN);
    CHECK(did);
    CHECK_EQ(lv_wal_stable(l.wal), 2 * FILE_BYTES);
    CHECK_EQ(lv_wal_write(l.wal, lv_wal_complete(l.wal), &did), LV_EAGAIN);
    CHECK(!did);
    sim_dir_set_space(l.disk, 1);
    CHECK_EQ(lv_wal_make_file(l.wal), LV_ENOSPC);
    sim_dir_set_space(l.disk, UINT64_C(1) << 30);
    (void)lv_wal_pump(l.wal, 0);
    CHECK(commit(&l));
    reopen(&l, 1, seen);
    CHECK_EQ(seen->count, n);
    free(seen);
    end(&l);
}

/* A mark says what was stable when it was appended, and is not repeated for nothing. */
LV_TEST(marks)
{
    struct log l;

    begin(&l, 1);
    (void)append(&l, 0, 1, 100, NULL);
    (void)commit(&l);
    lv_lsn stable = lv_wal_stable(l.wal), tail = lv_wal_tail(l.wal);
    CHECK_EQ(lv_wal_mark(l.wal), LV_OK);
    CHECK_EQ(lv_wal_tail(l.wal), tail + 16);
    CHECK_EQ(lv_wal_mark(l.wal), LV_OK);
    CHECK_EQ(lv_wal_tail(l.wal), tail + 16);
    (void)commit(&l);
    CHECK_EQ(lv_wal_mark(l.wal), LV_OK); /* only the mark itself became stable */
    CHECK_EQ(lv_wal_tail(l.wal), tail + 16);

    struct lv_wal_reader *reader;
    uint8_t raw[16], type;
    size_t got, size;
    struct lv_bytes payload;
    CHECK_EQ(lv_wal_reader_new(l.wal, &reader), LV_OK);
    CHECK_EQ(lv_wal_read(reader, tail, raw, sizeof(raw), &got), LV_OK);
    CHECK(lv_wal_parse(l.wal, tail, lv_bytes(raw, got), &type, &payload, &size));
    CHECK(type == LV_REC_MARK && payload.len == 8);
    CHECK_EQ(lv_be64(payload.ptr), stable);
    lv_wal_reader_free(reader);
    end(&l);
}

/* ---- files ---- */

static unsigned files_there(struct log *l)
{
    struct lv_file *f;
    char name[LV_FILE_NAME_MAX + 1];
    unsigned n = 0;

    for (uint64_t i = 0; i < 64; i++) {
        lv_wal_file_name(l->wal, i, name);
        if (lv_dir_open_file(sim_dir_door(l->disk), name, LV_FILE_READ, &f) != LV_OK)
            continue;
        uint64_t bytes;
        CHECK_EQ(lv_file_size(f, &bytes), LV_OK);
        CHECK_EQ(bytes, FILE_BYTES);
        lv_file_close(f);
        n++;
    }
    return n;
}

LV_TEST(files_are_made_ahead_and_removed)
{
    struct log l;
    struct seen *seen = malloc(sizeof(*seen));

    begin(&l, 1);
    for (uint32_t i = 0; i < 250; i++) {
        (void)append(&l, 0, i, 1000, NULL);
        (void)commit(&l);
    }
    uint64_t current = lv_wal_current_file(l.wal);
    CHECK_EQ(lv_wal_first_file(l.wal), 1);
    CHECK(current >= 4);
    CHECK_EQ(files_there(&l), current + 2);
    CHECK_EQ(lv_wal_remove_file(l.wal, 1), LV_OK);
    CHECK_EQ(lv_wal_remove_file(l.wal, 1), LV_ENOTFOUND);
    CHECK_EQ(lv_wal_first_file(l.wal), 2);
    CHECK_EQ(files_there(&l), current + 1);
    reopen(&l, 1, seen);
    CHECK(seen->count > 100 && seen->at[0] / FILE_BYTES == 2);
    CHECK_EQ(l.report.damage_count, 0);
    CHECK_EQ(lv_wal_first_file(l.wal), 2);
    CHECK_EQ(lv_wal_current_file(l.wal), current);
    free(seen);
    end(&l);
}

/* ---- threads ---- */

#define THREADS 4u
#define PER_THREAD 900u

struct pusher {
    struct log *log;
    unsigned appender;
    lv_lsn last;
    bool is_ordered;
    _Atomic unsigned *open; /* threads that are not done */
};

static void *push(void *arg)
{
    struct pusher *p = arg;
    uint8_t buf[4096];

    p->is_ordered = true;
    for (uint32_t i = 0; i < PER_THREAD; i++) {
        uint32_t number = p->appender * PER_THREAD + i;
        struct lv_bytes part = payload_of(number, buf, 4 + (number * 131) % 2500);
        struct lv_bytes halves[2] = { lv_bytes(part.ptr, part.len / 2),
                                      lv_bytes(part.ptr + part.len / 2, part.len - part.len / 2) };
        lv_lsn lsn;
        if (lv_wal_append(p->log->wal, p->appender, TYPE, halves, 2, &lsn, NULL) != LV_OK)
            abort();
        p->is_ordered = p->is_ordered && lsn > p->last;
        p->last = lsn;
        while (lv_wal_is_full(p->log->wal)) { /* as a loop does */
            (void)lv_wal_pump(p->log->wal, p->appender);
            sched_yield();
        }
        (void)lv_wal_pump(p->log->wal, p->appender);
    }
    while (!lv_wal_pump(p->log->wal, p->appender))
        sched_yield();
    atomic_fetch_sub(p->open, 1);
    return NULL;
}

/* Files are made by a thread of their own, as the keeper does. */
struct maker {
    struct log *log;
    _Atomic bool is_over;
};

static void *make_on(void *arg)
{
    struct maker *m = arg;

    while (!atomic_load(&m->is_over)) {
        if (lv_wal_wants_file(m->log->wal) && lv_wal_make_file(m->log->wal) != LV_OK)
            abort();
        sched_yield();
    }
    return NULL;
}

static void read_some(struct log *l)
{
    struct lv_wal_reader *reader;
    uint8_t raw[64];
    size_t got;

    CHECK_EQ(lv_wal_reader_new(l->wal, &reader), LV_OK);
    if (lv_wal_written(l->wal) > FILE_BYTES)
        CHECK_EQ(lv_wal_read(reader, FILE_BYTES, raw, sizeof(raw), &got), LV_OK);
    lv_wal_reader_free(reader);
}

static void check_all_there(struct log *l)
{
    struct seen *seen = malloc(sizeof(*seen));
    uint32_t next[THREADS] = { 0 };

    reopen(l, THREADS, seen);
    CHECK_EQ(seen->count, THREADS * PER_THREAD);
    for (size_t i = 0; i < seen->count; i++) { /* each thread's in its own order */
        uint32_t k = seen->numbers[i] / PER_THREAD;
        CHECK_EQ(seen->numbers[i] % PER_THREAD, next[k]);
        next[k]++;
    }
    CHECK_EQ(l->report.damage_count, 0);
    CHECK_EQ(l->report.torn_bytes, 0);
    free(seen);
}

LV_TEST(appenders_on_threads)
{
    struct log l;
    struct pusher pushers[THREADS];
    pthread_t threads[THREADS], making;
    unsigned rounds = 0;

    begin(&l, THREADS);
    struct maker maker = { .log = &l };
    _Atomic unsigned open_pushers = THREADS;
    CHECK_EQ(pthread_create(&making, NULL, make_on, &maker), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        pushers[i] = (struct pusher){ .log = &l, .appender = i, .open = &open_pushers };
        CHECK_EQ(pthread_create(&threads[i], NULL, push, &pushers[i]), 0);
    }
    for (bool is_last = false, is_over = false; !is_over; rounds++) {
        bool did;
        is_over = is_last && lv_wal_stable(l.wal) == lv_wal_tail(l.wal);
        is_last = atomic_load(&open_pushers) == 0;
        if (rounds % 4 == 0 && !is_last)
            CHECK_EQ(lv_wal_mark(l.wal), LV_OK);
        (void)lv_wal_pump(l.wal, THREADS);
        enum lv_err err = lv_wal_write(l.wal, lv_wal_complete(l.wal), &did);
        CHECK(err == LV_OK || err == LV_EAGAIN);
        if (rounds % 64 == 0)
            read_some(&l); /* what is written can be read while others append */
        sched_yield();
    }
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
        CHECK(pushers[i].is_ordered);
    }
    atomic_store(&maker.is_over, true);
    CHECK_EQ(pthread_join(making, NULL), 0);
    check_all_there(&l);
    end(&l);
}
