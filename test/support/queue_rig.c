#include "support/queue_rig.h"

#include <stdlib.h>

#include "base/mem.h"
#include "engine/load.h"

#define FILE_BYTES (UINT64_C(1) << 20)
#define QUEUE UINT64_C(1)

/* ---- what the queue says ---- */

static uint32_t number_of(const struct lv_msg *m)
{
    uint32_t n;

    CHECK(m->body_len >= sizeof(n));
    memcpy(&n, m->body, sizeof(n));
    return n;
}

static enum lv_sink_answer on_deliver(struct lv_consumer *c, const struct lv_delivery *d)
{
    struct rig *r = c->owner;

    CHECK(r->delivered_count < RIG_HEARD_MAX);
    r->delivered[r->delivered_count++] =
        (struct rig_delivery){ c, number_of(d->msg), d->slot, d->failures, d->redelivered };
    return LV_SINK_MORE;
}

static void on_cancelled(struct lv_consumer *c)
{
    CHECK(c->queue == NULL);
}

static void on_available(struct lv_journal *j, uint64_t name)
{
    (void)j;
    (void)name;
}

static void on_died(void *owner, const struct lv_delivery *d, enum lv_death why)
{
    struct rig *r = owner;

    CHECK(r->died_count < RIG_HEARD_MAX);
    CHECK(d->slot == LV_SLOT_NONE || d->msg != NULL);
    r->died[r->died_count++] =
        (struct rig_death){ d->msg != NULL ? number_of(d->msg) : UINT32_MAX, d->slot, why };
    if (r->pauses_at_death != NULL)
        lv_consumer_pause(r->pauses_at_death);
}

static void on_wake(void *owner, lv_time_ms at)
{
    struct rig *r = owner;

    r->wake_at = at;
    r->wakes++;
}

static const struct lv_queue_sink sink = {
    .deliver = on_deliver,
    .cancelled = on_cancelled,
    .available = on_available,
    .died = on_died,
    .wake = on_wake,
};

/* ---- the log ---- */

/* That works, whatever else is made to fail. */
static void write_log(struct rig *r)
{
    uint64_t left = lv_mem_fail_at(0);
    bool did = true;

    while (!lv_wal_pump(r->wal, 0) || did) {
        while (lv_wal_wants_file(r->wal))
            CHECK_EQ(lv_wal_make_file(r->wal), LV_OK);
        CHECK_EQ(lv_wal_write(r->wal, lv_wal_complete(r->wal), &did), LV_OK);
    }
    (void)lv_mem_fail_at(left);
}

static void load_now(struct rig *r, struct lv_load *load)
{
    write_log(r);
    lv_load_run(load, r->reader);
    lv_load_return(load, r->q, r->now);
}

static void on_load(struct lv_journal *j, struct lv_load *load)
{
    struct rig *r = j->ctx;

    if (!r->holds_loads) {
        load_now(r, load);
        return;
    }
    load->job.next = (struct lv_job *)r->held;
    r->held = load;
}

void rig_load(struct rig *r)
{
    struct lv_load *load;

    while ((load = r->held) != NULL) {
        r->held = (struct lv_load *)load->job.next;
        load_now(r, load);
    }
}

static enum lv_err ignore(void *ctx, uint8_t type, lv_lsn lsn, struct lv_bytes payload)
{
    (void)ctx;
    (void)type;
    (void)lsn;
    (void)payload;
    return LV_OK;
}

static void open_log(struct rig *r, lv_wal_visit *visit, struct lv_recovery **recovery)
{
    static const struct lv_journal_ops ops = { .load = on_load };
    struct lv_wal_known known = { 0 };
    struct lv_wal_report report;

    struct lv_wal_config config = { .dir = sim_dir_door(r->disk),
                                    .name = "messages",
                                    .id = 5,
                                    .file_bytes = FILE_BYTES,
                                    .ring_bytes = FILE_BYTES,
                                    .appenders = 1 };
    CHECK_EQ(lv_wal_new(&config, &r->wal), LV_OK);
    CHECK_EQ(lv_wal_reader_new(r->wal, &r->reader), LV_OK);
    CHECK_EQ(lv_journal_init(&r->journal, r->wal, 0, NULL, &ops, r), LV_OK);
    if (recovery != NULL) {
        CHECK_EQ(lv_recovery_new(&r->journal, r->reader, false, recovery), LV_OK);
        lv_recovery_topology(*recovery, QUEUE + 1, false);
        CHECK_EQ(lv_recovery_queue(*recovery, QUEUE), LV_OK);
    }
    CHECK_EQ(lv_wal_open(r->wal, &known, false, visit, recovery != NULL ? *recovery : NULL, &report),
             LV_OK);
}

static void close_log(struct rig *r)
{
    lv_journal_fini(&r->journal);
    lv_wal_reader_free(r->reader);
    lv_wal_free(r->wal);
}

/* Until nothing is left to be written or tried again: what becomes stable lets the queue go on, and it may append. */
static void sync_log(struct rig *r)
{
    lv_lsn before;

    do {
        before = lv_wal_tail(r->wal);
        write_log(r);
        lv_journal_stable(&r->journal, r->now);
        if (lv_journal_has_failed(&r->journal))
            lv_journal_retry(&r->journal, r->now);
    } while (lv_wal_tail(r->wal) != before || lv_journal_has_failed(&r->journal));
}

/* ---- life ---- */

struct rig *rig_new(void)
{
    struct rig *r = calloc(1, sizeof(*r));

    CHECK(r != NULL);
    r->memory[0] = lv_mem_used(LV_TAG_MESSAGE);
    r->memory[1] = lv_mem_used(LV_TAG_QUEUE);
    r->rules = LV_QUEUE_NO_RULES;
    CHECK_EQ(lv_queue_new(&sink, &r->q), LV_OK);
    lv_queue_own(r->q, r);
    return r;
}

struct rig *rig_logged(void)
{
    struct rig *r = rig_new();

    r->disk = sim_dir_new();
    open_log(r, ignore, NULL);
    lv_queue_attach(r->q, &r->journal, QUEUE, true, QUEUE);
    return r;
}

void rig_restart(struct rig *r)
{
    struct lv_recovery *recovery;

    sync_log(r);
    CHECK(r->held == NULL);
    lv_queue_free(r->q);
    close_log(r);
    open_log(r, lv_recovery_visit, &recovery);
    CHECK_EQ(lv_recovery_end(recovery), LV_OK);
    CHECK_EQ(lv_queue_new(&sink, &r->q), LV_OK);
    lv_queue_own(r->q, r);
    lv_queue_attach(r->q, &r->journal, QUEUE, true, QUEUE);
    CHECK_EQ(lv_recovery_fill(recovery, QUEUE, r->q), LV_OK);
    lv_recovery_free(recovery);
    rig_rule(r);
    lv_queue_tick(r->q, r->now);
}

void rig_free(struct rig *r)
{
    CHECK_EQ(r->died_seen, r->died_count);
    CHECK(r->held == NULL);
    lv_queue_free(r->q);
    if (r->disk != NULL) {
        close_log(r);
        sim_dir_free(r->disk);
    }
    CHECK_EQ(lv_mem_used(LV_TAG_MESSAGE), r->memory[0]);
    CHECK_EQ(lv_mem_used(LV_TAG_QUEUE), r->memory[1]);
    free(r);
}

void rig_rule(struct rig *r)
{
    CHECK_EQ(lv_queue_rule(r->q, &r->rules, r->now), LV_OK);
}

/* ---- in ---- */

enum lv_err rig_publish(struct rig *r, struct rig_message what)
{
    static uint8_t body[2u << 20];
    struct lv_msg m = {
        .body = body,
        .body_len = what.bytes != 0 ? what.bytes : sizeof(what.n),
        .persistent = r->disk != NULL && !what.is_transient,
        .published_ms = r->now,
        .has_priority = what.has_priority,
        .priority = what.priority,
    };

    CHECK(m.body_len <= sizeof(body));
    memcpy(body, &what.n, sizeof(what.n));
    if (what.expires)
        lv_msg_set_ttl_ms(&m, what.ttl_ms);
    enum lv_err err = lv_queue_publish(r->q, &m, r->now);
    lv_msg_done(&m);
    if (r->disk != NULL)
        sync_log(r);
    return err;
}

void rig_put(struct rig *r, uint32_t n)
{
    CHECK_EQ(rig_publish(r, (struct rig_message){ .n = n }), LV_OK);
}

void rig_put_range(struct rig *r, uint32_t from, uint32_t to)
{
    for (uint32_t n = from; n <= to; n++)
        rig_put(r, n);
}

void rig_put_ttl(struct rig *r, uint32_t n, uint64_t ttl_ms)
{
    struct rig_message m = { .n = n, .expires = true, .ttl_ms = ttl_ms };

    CHECK_EQ(rig_publish(r, m), LV_OK);
}

void rig_put_priority(struct rig *r, uint32_t n, uint8_t priority)
{
    struct rig_message m = { .n = n, .has_priority = true, .priority = priority };

    CHECK_EQ(rig_publish(r, m), LV_OK);
}

/* ---- out ---- */

void rig_serve(struct rig *r, struct lv_consumer *c)
{
    if (c != NULL)
        CHECK_EQ(lv_queue_subscribe(r->q, c), LV_OK);
    lv_queue_dispatch(r->q, r->now);
    if (r->disk != NULL)
        sync_log(r);
}

static enum lv_err take(struct rig *r, struct lv_delivery *d)
{
    enum lv_err err = lv_queue_get(r->q, false, r->now, d);

    if (err == LV_EAGAIN) { /* it waits for the log */
        sync_log(r);
        err = lv_queue_get(r->q, false, r->now, d);
    }
    return err;
}

uint32_t rig_get_failed(struct rig *r, uint32_t n, uint32_t failures)
{
    struct lv_delivery d;

    CHECK_EQ(take(r, &d), LV_OK);
    CHECK_EQ(number_of(d.msg), n);
    CHECK_EQ(d.failures, failures);
    return d.slot;
}

uint32_t rig_get(struct rig *r, uint32_t n)
{
    return rig_get_failed(r, n, 0);
}

uint32_t rig_eat(struct rig *r)
{
    struct lv_delivery d;
    enum lv_err err = take(r, &d);

    if (err == LV_ENOTFOUND)
        return UINT32_MAX;
    CHECK_EQ(err, LV_OK);
    uint32_t n = number_of(d.msg);
    rig_settle(r, d.slot, LV_ACCEPTED);
    return n;
}

void rig_settle(struct rig *r, uint32_t slot, enum lv_outcome outcome)
{
    lv_queue_settle(r->q, &slot, 1, outcome, r->now);
}

bool rig_died(struct rig *r, uint32_t n, enum lv_death why)
{
    if (r->died_seen == r->died_count)
        return false;
    const struct rig_death *d = &r->died[r->died_seen++];
    CHECK_EQ(d->n, n);
    CHECK_EQ(d->why, why);
    return d->n == n && d->why == why;
}

uint32_t rig_slot(const struct rig *r)
{
    CHECK(r->died_seen != 0);
    return r->died[r->died_seen - 1].slot;
}

void rig_bury(struct rig *r, uint32_t slot)
{
    lv_queue_bury(r->q, slot, r->now);
}

void rig_check_counts(struct rig *r, uint64_t ready, uint64_t unsettled)
{
    struct lv_queue_counts c;

    lv_queue_counts(r->q, &c);
    CHECK_EQ(c.ready, ready);
    CHECK_EQ(c.unsettled, unsettled);
    CHECK_EQ(c.ready_bytes, ready * 4);
    CHECK_EQ(c.unsettled_bytes, unsettled * 4);
}
