/* Records of the messages' log out of the input: flags u8 (1: checksums are mended, 2: with a checkpoint, 4: the topology is
 * damaged), u16 and u16: where in the first file the states of queues 1 and 2 are, then the bytes behind its head. Queues 1
 * to 3 exist. Whatever the records say: what comes out of the queues is a message, the account of what is alive comes back
 * to nothing when all is gone, and what is written down again is read back as the same. */
#include "engine/account.h"
#include "engine/load.h"
#include "engine/queue_priv.h"
#include "engine/restore.h"
#include "mem_dir.h"

#include "base/mem.h"

#define FILE_BYTES (UINT64_C(4) * LV_WAL_FILE_MIN)
#define QUEUES 3u
#define GETS_MAX 20000u

enum { MENDED = 1, CHECKPOINT = 2, TOPOLOGY_DAMAGED = 4 };

struct run {
    struct lv_wal *wal;
    struct lv_wal_reader *reader;
    struct lv_journal j;
    struct lv_recovery *r;
    struct lv_wal_report report;
    struct lv_recovery_facts facts;
    struct lv_queue *queues[QUEUES + 1]; /* by id */
    uint64_t held[QUEUES + 1];
};

static _Atomic uint32_t back[LV_WAL_FILES_MAX];

static enum lv_sink_answer on_deliver(struct lv_consumer *c, const struct lv_delivery *d)
{
    (void)c;
    (void)d;
    return LV_SINK_MORE;
}

static void on_cancelled(struct lv_consumer *c)
{
    (void)c;
}

static void on_available(struct lv_journal *j, uint64_t name)
{
    (void)j;
    (void)name;
}

static const struct lv_queue_sink sink = { .deliver = on_deliver,
                                           .cancelled = on_cancelled,
                                           .available = on_available };

static void commit(struct run *run)
{
    bool did;

    for (unsigned i = 0; i < 100; i++) {
        while (lv_wal_wants_file(run->wal))
            LV_ASSERT(lv_wal_make_file(run->wal) == LV_OK);
        (void)!lv_wal_write(run->wal, lv_wal_complete(run->wal), &did);
        if (lv_wal_pump(run->wal, 0) && lv_wal_written(run->wal) == lv_wal_tail(run->wal))
            return;
    }
    abort();
}

static void load(struct lv_journal *j, struct lv_load *l)
{
    struct run *run = j->ctx;

    commit(run);
    lv_load_run(l, run->reader);
    lv_load_return(l, l->kind != LV_LOAD_SHED ? run->queues[l->queue] : NULL, 0);
}

static const struct lv_journal_ops ops = { .load = load };

static void count_message(void *ctx, uint64_t seq, uint64_t place, bool redelivered)
{
    (void)seq;
    (void)redelivered;
    LV_ASSERT(place != 0);
    ++*(uint64_t *)ctx;
}

static void open_log(struct run *run, struct mem_dir *d)
{
    struct lv_wal_config config = { .dir = &d->dir,
                                    .name = "messages",
                                    .id = MEM_ID,
                                    .file_bytes = FILE_BYTES,
                                    .ring_bytes = (size_t)FILE_BYTES,
                                    .appenders = 1 };

    LV_ASSERT(lv_wal_new(&config, &run->wal) == LV_OK);
    LV_ASSERT(lv_wal_reader_new(run->wal, &run->reader) == LV_OK);
    LV_ASSERT(lv_journal_init(&run->j, run->wal, 0, back, &ops, run) == LV_OK);
}

/* As a broker starts. `states` NULL: without a checkpoint. */
static enum lv_err recover(struct run *run, const uint16_t *states, bool is_damaged)
{
    struct lv_wal_known known = { 0 };
    enum lv_err err = LV_OK;

    lv_account_restore(&run->j, NULL);
    LV_ASSERT(lv_recovery_new(&run->j, run->reader, states != NULL, &run->r) == LV_OK);
    lv_recovery_topology(run->r, QUEUES + 1, is_damaged);
    for (uint64_t id = 1; id <= QUEUES; id++)
        LV_ASSERT(lv_recovery_queue(run->r, id) == LV_OK);
    for (uint64_t id = 1; states != NULL && id <= 2 && err == LV_OK; id++)
        if (states[id - 1] != 0)
            err = lv_recovery_state(run->r, id, FILE_BYTES + states[id - 1] / 8u * 8u);
    LV_ASSERT(err == LV_OK || err == LV_ECORRUPT);
    if (err == LV_OK)
        err = lv_wal_open(run->wal, &known, false, lv_recovery_visit, run->r, &run->report);
    if (err == LV_OK)
        err = lv_recovery_end(run->r);
    lv_recovery_facts(run->r, &run->facts);
    return err;
}

static void drain(struct run *run, uint64_t id)
{
    struct lv_queue *q = run->queues[id];
    struct lv_delivery del;
    uint64_t n = 0;

    for (unsigned i = 0; i < GETS_MAX; i++) {
        enum lv_err err = lv_queue_get(q, i % 2 == 0, 0, &del);
        if (err == LV_ENOTFOUND)
            break;
        if (err != LV_OK) {
            commit(run);
            lv_journal_stable(&run->j, 0);
            continue;
        }
        LV_ASSERT(lv_msg_body(del.msg).len <= 64u << 20);
        n++;
        if (i % 2 == 0)
            lv_msg_unref(del.msg);
        else
            lv_queue_settle(q, &del.slot, 1, i % 4 == 1 ? LV_RELEASED : LV_ACCEPTED, 0);
        if (i % 64 == 63)
            commit(run);
    }
}

static void fill(struct run *run)
{
    for (uint64_t id = 1; id <= QUEUES; id++) {
        struct lv_recovery_queue_facts facts;
        uint64_t n = 0;
        lv_recovery_queue_facts(run->r, id, &facts);
        if (facts.pages == 0) {
            LV_ASSERT(lv_recovery_walk(run->r, id, count_message, &n) == LV_OK);
            LV_ASSERT(n == facts.messages);
        }
        run->held[id] = facts.messages;
        LV_ASSERT(lv_queue_new(&sink, &run->queues[id]) == LV_OK);
        lv_queue_attach(run->queues[id], &run->j, id, true, id);
        LV_ASSERT(lv_recovery_fill(run->r, id, run->queues[id]) == LV_OK);
        LV_ASSERT(lv_queue_ready_count(run->queues[id]) == facts.messages);
    }
}

static void end_run(struct run *run)
{
    for (uint64_t id = 1; id <= QUEUES; id++)
        lv_queue_free(run->queues[id]);
    lv_recovery_free(run->r);
    lv_journal_fini(&run->j);
    lv_wal_reader_free(run->reader);
    lv_wal_free(run->wal);
}

/* What the queues are written down as is what the next start makes of it. */
static void check_again(struct mem_dir *d, const uint64_t *held)
{
    struct run run = { 0 };

    open_log(&run, d);
    LV_ASSERT(recover(&run, NULL, false) == LV_OK);
    for (uint64_t id = 1; id <= QUEUES; id++) {
        struct lv_recovery_queue_facts facts;
        lv_recovery_queue_facts(run.r, id, &facts);
        LV_ASSERT(facts.messages == held[id]);
    }
    end_run(&run);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lv_rd r = lv_rd(lv_bytes(data, size));
    uint8_t flags = lv_rd_u8(&r);
    uint16_t states[2] = { lv_rd_u16(&r), lv_rd_u16(&r) };
    struct lv_bytes raw = lv_rd_bytes(&r, lv_rd_left(&r));
    struct run run = { 0 };
    struct mem_dir d;

    mem_begin(&d);
    mem_put_log(&d, "messages", 1, FILE_BYTES, MEM_ID, raw, (flags & MENDED) != 0);
    mem_put_log(&d, "messages", 2, FILE_BYTES, MEM_ID, lv_bytes(NULL, 0), false);
    open_log(&run, &d);
    bool is_damaged = (flags & TOPOLOGY_DAMAGED) != 0;
    if (recover(&run, (flags & CHECKPOINT) != 0 ? states : NULL, is_damaged) == LV_OK) {
        bool is_exact = (flags & CHECKPOINT) == 0 && run.report.damage_count == 0 &&
                        run.facts.damaged == 0 && run.facts.unknown_queues == 0;
        fill(&run);
        for (unsigned i = 0; i < 2; i++) { /* once as it is, once as it was written down */
            while (!lv_list_empty(&run.j.changed))
                LV_ASSERT(lv_queue_write_changed(&run.j, false) == LV_OK);
            commit(&run);
        }
        if (is_exact && run.facts.open_tx == 0)
            check_again(&d, run.held);
        for (uint64_t id = 1; id <= QUEUES; id++)
            drain(&run, id);
        for (uint64_t id = 1; id <= QUEUES; id++)
            lv_queue_discard(run.queues[id]);
        for (size_t i = 0; is_exact && run.j.damaged == 0 && i < 256; i++)
            LV_ASSERT(run.j.live[i].refs == 0 && run.j.live[i].bytes == 0);
    }
    end_run(&run);
    mem_end(&d);
    return 0;
}
