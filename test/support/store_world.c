#include "support/store_world.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/account.h"
#include "engine/queue_priv.h"
#include "engine/restore.h"
#include "support/fault_dir.h"

#define QUEUES_MAX 8u
#define MODEL_QUEUES_MAX 64u
#define JOURNALS 2u
#define FEEDS 2u
#define TOUCHED_MAX 8192u
#define UNSETTLED_MAX 256u
#define BODY_MAX 65536u
#define TX_MAX 65536u
#define NEVER UINT64_MAX /* an LSN that does not become stable */

enum { TOPOLOGY_PUT = LV_REC_FIRST, TOPOLOGY_DEL };

/* ---- the model ---- */

enum copy_state {
    GONE,
    READY,
    UNSETTLED,
    PASSED, /* could not be read, and comes again with the next life */
    DYING   /* rejected, and somebody wants dead letters */
};
enum mark { MARK_NO, MARK_MAYBE, MARK_YES };

/* One message in one queue. Sorted by number: each is published once, in order. */
struct copy {
    uint32_t number;
    uint8_t state, mark; /* mark: what "redelivered" must be at the next delivery */
    bool persistent, was_seen;
    bool is_dead;    /* DYING: the queue said so, and waits for the burial */
    bool is_known;   /* `failed` is exact: nothing of it may be lost */
    uint32_t failed; /* deliveries that failed, as far as the queue counts them */
    uint32_t slot;
    lv_lsn end;      /* confirmed when this is stable */
    lv_lsn drop_end; /* 0: in the queue; else gone for good when this is stable */
    uint32_t tx_in, tx_out;
};

struct model_queue {
    uint64_t id;
    lv_lsn created, deleted; /* in the topology; deleted 0: it is there */
    struct copy *copies;
    size_t count, cap, oldest; /* all before `oldest` are gone */
};

struct message {
    uint32_t bytes;
    bool persistent;
};

struct place {
    struct model_queue *q;
    size_t i;
};

/* ---- the broker's part ---- */

struct host;
struct feed {
    struct lv_consumer consumer; /* first */
    struct world *world;
    struct model_queue *model;
};
struct home {
    uint64_t id;
    struct lv_queue *q; /* NULL: free */
    struct model_queue *model;
    struct feed feeds[FEEDS];
};

enum phase { IDLE, BEGUN, NOTED_FIRST, NOTED, CARRY };

struct host {
    struct world *world; /* NULL: an image that is only looked at */
    struct lv_store *store;
    struct lv_wal *wal, *topology;
    struct lv_journal journals[JOURNALS];
    _Atomic uint32_t *back;
    struct lv_wal_reader *reader;
    uint64_t ids[MODEL_QUEUES_MAX]; /* queues of the topology */
    size_t id_count;
    struct home homes[MODEL_QUEUES_MAX];
    lv_lsn topology_end, checkpoint_from;
    struct lv_load *loads; /* that wait for what they want to be written */
    /* a checkpoint under way */
    enum phase phase;
    struct lv_account accounts[JOURNALS];
    lv_lsn round_from, round_topology;
    uint64_t round_first, round_last;
    uint64_t doomed[16];
    size_t doomed_count;
    uint64_t damage_reports, torn_bytes;
    uint64_t next_id; /* of a queue, as the topology tells */
    bool is_topology_damaged;
};

struct world {
    struct lv_rng rng;
    uint64_t seed;
    struct world_config config;
    struct sim_dir *disk;
    struct host *host;
    bool is_dead;
    unsigned failures;
    /* the last life's end, for those who open what it left */
    enum world_end how;
    lv_lsn promised, promised_topology;
    struct model_queue *queues[MODEL_QUEUES_MAX];
    size_t queue_count;
    uint64_t next_id;
    struct message *messages;
    uint32_t message_count, message_cap;
    struct copy *no_copy;
    struct place touched[TOUCHED_MAX];
    size_t touched_count;
    struct place unsettled[UNSETTLED_MAX];
    size_t unsettled_count;
    uint32_t tx; /* the last one */
    bool in_tx;
    struct world_totals totals;
};

/* What kind of queue it is: message priorities, counted failures, dead letters. */
static bool has_priorities(uint64_t id)
{
    return id % 4 == 1;
}
static bool counts_failures(uint64_t id)
{
    return id % 4 == 2;
}
static bool has_dead_letters(uint64_t id)
{
    return id % 4 == 3;
}
#define LEVELS 3u

static unsigned priority_of(uint32_t number)
{
    return (number * 2654435761u >> 20) % 5u; /* the last two are one level */
}

static unsigned level(uint64_t queue, uint32_t number)
{
    return has_priorities(queue) ? LV_MIN(priority_of(number), LEVELS - 1) : 0;
}

static unsigned level_of(const struct model_queue *q, const struct copy *c)
{
    return level(q->id, c->number);
}

bool world_is_before(uint64_t queue, uint32_t a, uint32_t b)
{
    return level(queue, a) != level(queue, b) ? level(queue, a) > level(queue, b) : a < b;
}

static uint32_t below(struct world *w, uint32_t n)
{
    return lv_rng_below(&w->rng, n);
}

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

/* ---- messages ---- */

static void fill_body(uint32_t number, uint8_t *out, size_t bytes)
{
    struct lv_rng r = lv_rng_seed(number * UINT64_C(0x9e3779b1) + 77);
    uint8_t text[8];

    lv_put_be32(out, number);
    for (size_t at = 4; at < bytes; at += 8) {
        lv_put_be64(text, lv_rng_next(&r));
        memcpy(out + at, text, LV_MIN(bytes - at, (size_t)8));
    }
}

static bool is_body(const struct world *w, struct lv_bytes body, uint32_t *number)
{
    static uint8_t want[BODY_MAX];

    if (body.len < 4 || body.len > BODY_MAX)
        return false;
    *number = lv_be32(body.ptr);
    if (*number >= w->message_count || w->messages[*number].bytes != body.len)
        return false;
    fill_body(*number, want, body.len);
    return memcmp(want, body.ptr, body.len) == 0;
}

static uint32_t new_message(struct world *w, bool persistent)
{
    uint32_t most = w->config.body_max, bytes = 4 + below(w, LV_MAX(most, 1u));

    if (below(w, 40) == 0)
        bytes = 4 + below(w, BODY_MAX / 2 - 4);
    if (w->message_count == w->message_cap) {
        w->message_cap = w->message_cap != 0 ? w->message_cap * 2 : 1024;
        w->messages = must(realloc(w->messages, w->message_cap * sizeof(*w->messages)));
    }
    w->messages[w->message_count] = (struct message){ bytes, persistent };
    return w->message_count++;
}

static struct copy *find_copy(struct model_queue *q, uint32_t number)
{
    size_t lo = 0, hi = q->count;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (q->copies[mid].number < number)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < q->count && q->copies[lo].number == number ? &q->copies[lo] : NULL;
}

static struct copy *add_copy(struct model_queue *q, uint32_t number, bool persistent)
{
    if (q->count == q->cap) {
        q->cap = q->cap != 0 ? q->cap * 2 : 64;
        q->copies = must(realloc(q->copies, q->cap * sizeof(*q->copies)));
    }
    q->copies[q->count] = (struct copy){
        .number = number, .state = READY, .persistent = persistent, .is_known = true, .end = NEVER
    };
    return &q->copies[q->count++];
}

static struct lv_journal *journal_of(struct host *h, uint64_t id)
{
    return &h->journals[id % JOURNALS];
}

/* ---- what comes out of queues ---- */

static struct home *home_of(struct host *h, uint64_t id)
{
    for (size_t i = 0; i < MODEL_QUEUES_MAX; i++)
        if (h->homes[i].q != NULL && h->homes[i].id == id)
            return &h->homes[i];
    return NULL;
}

/* It could not be read: those behind it go first. */
static void pass_over(struct world *w, struct copy *c)
{
    if (c->state != READY)
        return;
    c->state = PASSED;
    w->totals.passed++;
}

/* The one that must be handed out next; a message whose death could not be noted is ready again. */
static struct copy *next_ready(struct model_queue *q, uint32_t number)
{
    struct copy *best = NULL;

    while (q->oldest < q->count && q->copies[q->oldest].state == GONE)
        q->oldest++;
    for (size_t i = q->oldest; i < q->count; i++) {
        struct copy *c = &q->copies[i];
        if (c->state == DYING && !c->is_dead && c->number == number)
            return c;
        if (c->state == READY && (best == NULL || level_of(q, c) > level_of(q, best)))
            best = c;
        if (best != NULL && !has_priorities(q->id))
            break;
    }
    return best;
}

static void check_failures(struct copy *c, const struct lv_delivery *d, bool is_lenient)
{
    CHECK(d->failures <= c->failed);
    CHECK(!c->is_known || is_lenient || d->failures == c->failed);
    c->failed = d->failures;
    c->is_known = true;
}

/* What must be stable for that to be so which a queue has just logged. */
static lv_lsn drop_end_now(const struct world *w, const struct model_queue *q)
{
    return w->config.is_lenient ? NEVER : LV_MAX(journal_of(w->host, q->id)->end, 1u);
}

/* The delivery is the next message of its queue, whole, and marked as it must be. */
static void handed(struct world *w, struct model_queue *q, const struct lv_delivery *d, bool no_ack)
{
    uint32_t number = 0;

    CHECK(is_body(w, lv_msg_body(d->msg), &number));
    struct copy *c = next_ready(q, number);
    while (w->config.may_pass && c != NULL && c->number != number) {
        pass_over(w, c);
        c = next_ready(q, number);
    }
    CHECK(c != NULL);
    size_t i = (size_t)(c - q->copies);
    CHECK_EQ(number, c->number);
    check_failures(c, d, w->config.is_lenient);
    CHECK_EQ(d->msg->key_len, 4);
    CHECK_EQ(lv_be32(d->msg->key), number);
    CHECK_EQ(d->msg->persistent, c->persistent);
    CHECK(d->redelivered ? c->mark != MARK_NO : c->mark != MARK_YES);
    c->was_seen = true;
    c->slot = d->slot;
    c->state = no_ack ? GONE : UNSETTLED;
    w->totals.delivered++;
    if (no_ack && w->in_tx && !journal_of(w->host, q->id)->is_collecting) {
        c->drop_end =
            drop_end_now(w, q); /* between the parts of a transaction, and in none of them */
    } else if (no_ack) {
        CHECK(w->touched_count < TOUCHED_MAX);
        w->touched[w->touched_count++] = (struct place){ q, i };
    } else {
        CHECK(w->unsettled_count < UNSETTLED_MAX);
        w->unsettled[w->unsettled_count++] = (struct place){ q, i };
    }
}

static enum lv_sink_answer on_deliver(struct lv_consumer *c, const struct lv_delivery *d)
{
    struct feed *f = (struct feed *)c;

    handed(f->world, f->model, d, c->no_ack);
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

static void on_died(void *owner, const struct lv_delivery *d, enum lv_death why)
{
    struct home *home = owner;
    struct model_queue *q = home->model;

    CHECK_EQ(why, LV_DEATH_REJECTED);
    for (size_t i = q->oldest; d->slot != LV_SLOT_NONE && i < q->count; i++) {
        struct copy *c = &q->copies[i];
        if (c->state != DYING || c->is_dead || c->slot != d->slot)
            continue;
        CHECK_EQ(lv_be32(d->msg->key), c->number);
        c->is_dead = true;
        return;
    }
    CHECK_EQ(d->slot, LV_SLOT_NONE);
}

static const struct lv_queue_sink sink = {
    .deliver = on_deliver, .cancelled = on_cancelled, .available = on_available, .died = on_died
};

/* After every command: what left its queue for good has its drop in the log by now. */
static void settle_touched(struct world *w)
{
    if (w->in_tx)
        return;
    for (size_t i = 0; i < w->touched_count; i++) {
        struct model_queue *q = w->touched[i].q;
        struct copy *c = &q->copies[w->touched[i].i];
        c->drop_end = drop_end_now(w, q);
    }
    w->touched_count = 0;
}

/* ---- loads ---- */

static void load_now(struct host *h, struct lv_load *load)
{
    struct home *home = load->kind != LV_LOAD_SHED ? home_of(h, load->queue) : NULL;

    lv_load_run(load, h->reader);
    lv_load_return(load, home != NULL ? home->q : NULL, 0);
}

static bool is_written(const struct host *h, const struct lv_load *load)
{
    for (uint32_t i = 0; i < load->count; i++)
        if (lv_place_lsn(load->places[i]) >= lv_wal_written(h->wal) &&
            lv_place_lsn(load->places[i]) < lv_wal_tail(h->wal))
            return false;
    return true;
}

static void on_load(struct lv_journal *j, struct lv_load *load)
{
    struct host *h = j->ctx;

    if (is_written(h, load) && (h->world == NULL || below(h->world, 3) != 0)) {
        load_now(h, load);
        return;
    }
    load->job.next = (struct lv_job *)h->loads;
    h->loads = load;
}

static const struct lv_journal_ops journal_ops = { .load = on_load };

static void run_loads(struct host *h)
{
    struct lv_load *list = h->loads, *next;

    h->loads = NULL;
    for (; list != NULL; list = next) {
        next = (struct lv_load *)list->job.next;
        if (is_written(h, list)) {
            load_now(h, list);
        } else {
            list->job.next = (struct lv_job *)h->loads;
            h->loads = list;
        }
    }
}

/* At a stop nobody is handed anything any more, but the account is made complete. */
static void run_sheds(struct host *h)
{
    struct lv_load *list = h->loads, *next;

    h->loads = NULL;
    for (; list != NULL; list = next) {
        next = (struct lv_load *)list->job.next;
        if (list->kind == LV_LOAD_SHED) {
            if (h->world != NULL && below(h->world, 2) == 0)
                lv_load_run(list, h->reader); /* a first time, as a reader that does not wait */
            load_now(h, list);
        } else {
            lv_load_free(list);
        }
    }
}

/* ---- opening and closing, as broker/durable.c ---- */

static enum lv_err visit_topology(void *ctx, uint8_t type, lv_lsn lsn, struct lv_bytes payload)
{
    struct host *h = ctx;
    uint64_t id = payload.len >= 8 ? lv_be64(payload.ptr) : 0;

    (void)lsn;
    CHECK_EQ(payload.len, 8);
    for (size_t i = 0; i < h->id_count; i++)
        if (h->ids[i] == id)
            h->ids[i] = h->ids[--h->id_count];
    if (type == TOPOLOGY_PUT) {
        h->next_id = LV_MAX(h->next_id, id + 1);
        CHECK(h->id_count < MODEL_QUEUES_MAX);
        h->ids[h->id_count++] = id;
    }
    return LV_OK;
}

static bool give_rules(struct home *home)
{
    struct lv_queue_rules rules = LV_QUEUE_NO_RULES;

    rules.counts_failures = counts_failures(home->id);
    rules.has_dead_letters = has_dead_letters(home->id);
    if (has_priorities(home->id))
        lv_queue_prioritize(home->q, LEVELS, 0);
    return lv_queue_rule(home->q, &rules, 0) == LV_OK;
}

static struct home *add_home(struct host *h, uint64_t id)
{
    for (size_t i = 0; i < MODEL_QUEUES_MAX; i++) {
        struct home *home = &h->homes[i];
        if (home->q != NULL)
            continue;
        *home = (struct home){ .id = id };
        if (lv_queue_new(&sink, &home->q) != LV_OK)
            return NULL;
        lv_queue_own(home->q, home);
        lv_queue_attach(home->q, journal_of(h, id), id, true, id);
        if (!give_rules(home)) {
            lv_queue_free(home->q);
            home->q = NULL;
            return NULL;
        }
        return home;
    }
    return NULL;
}

static enum lv_err recover(struct host *h, const struct lv_checkpoint *c,
                           const struct lv_wal_known *known)
{
    struct lv_journal *j = &h->journals[0];
    struct lv_wal_report report = { 0 };
    struct lv_recovery *r;
    enum lv_err err = lv_recovery_new(j, h->reader, c != NULL, &r);

    if (err != LV_OK)
        return err;
    lv_account_restore(j, c);
    lv_recovery_topology(r, h->next_id, h->is_topology_damaged);
    for (size_t i = 0; i < h->id_count && err == LV_OK; i++)
        err = lv_recovery_queue(r, h->ids[i]);
    for (size_t i = 0; c != NULL && i < c->queue_count && err == LV_OK; i++)
        err = lv_recovery_state(r, c->queues[i].id, c->queues[i].state);
    if (err == LV_OK)
        err = lv_wal_open(h->wal, known, false, lv_recovery_visit, r, &report);
    if (err == LV_OK)
        err = lv_recovery_end(r);
    lv_account_keep_damaged(j, &report);
    h->damage_reports += report.damage_count;
    h->torn_bytes += report.torn_bytes;
    for (size_t i = 0; i < h->id_count && err == LV_OK; i++) {
        struct home *home = add_home(h, h->ids[i]);
        err = home != NULL ? lv_recovery_fill(r, h->ids[i], home->q) : LV_ENOMEM;
    }
    struct lv_recovery_facts facts;
    lv_recovery_facts(r, &facts);
    h->damage_reports += facts.damaged;
    if (err == LV_OK && facts.next_id > h->next_id) {
        h->damage_reports++;
        h->next_id = facts.next_id;
    }
    lv_recovery_free(r);
    return err;
}

static void on_stable(void *ctx)
{
    (void)ctx;
}

static void on_failed(void *ctx, enum lv_err err, const char *what)
{
    struct host *h = ctx;

    (void)err;
    (void)what;
    if (h->world != NULL)
        h->world->failures++;
}

static void drop_queues(struct host *h)
{
    for (size_t i = 0; i < MODEL_QUEUES_MAX; i++) {
        lv_queue_free(h->homes[i].q);
        h->homes[i].q = NULL;
    }
}

static void host_free(struct host *h)
{
    struct lv_load *load;

    if (h == NULL)
        return;
    drop_queues(h);
    while ((load = h->loads) != NULL) {
        h->loads = (struct lv_load *)load->job.next;
        lv_load_free(load);
    }
    for (unsigned i = 0; i < JOURNALS; i++) {
        lv_journal_fini(&h->journals[i]);
        lv_account_fini(&h->accounts[i]);
    }
    lv_wal_reader_free(h->reader);
    lv_store_close(h->store);
    free(h->back);
    free(h);
}

static enum lv_err open_logs(struct host *h)
{
    struct lv_wal_report report = { 0 };
    struct lv_checkpoint c;
    struct lv_stopped stopped;

    lv_store_read_stopped(h->store, &stopped);
    struct lv_wal_known known = { .clean_end = stopped.topology };
    enum lv_err err = lv_wal_open(h->topology, &known, false, visit_topology, h, &report);
    if (err != LV_OK)
        return err;
    h->damage_reports += report.damage_count;
    h->torn_bytes += report.torn_bytes;
    h->is_topology_damaged = report.damage_count != 0;
    err = lv_store_read_checkpoint(h->store, &c);
    if (err != LV_OK && err != LV_ENOTFOUND && err != LV_ECORRUPT)
        return err;
    bool has_checkpoint = err == LV_OK;
    h->damage_reports += err == LV_ECORRUPT;
    known = (struct lv_wal_known){ .from = c.from,
                                   .stable = lv_checkpoint_stable(&c),
                                   .clean_end = stopped.messages };
    if (err == LV_ENOTFOUND)
        known.from = lv_wal_file_bytes(h->wal);
    err = recover(h, has_checkpoint ? &c : NULL, &known);
    if (err == LV_ECORRUPT && has_checkpoint) {
        h->damage_reports++;
        drop_queues(h);
        known.from = 0;
        err = recover(h, NULL, &known);
    }
    h->checkpoint_from = has_checkpoint ? c.from : 0;
    lv_checkpoint_fini(&c);
    return err == LV_OK ? lv_store_forget_stopped(h->store) : err;
}

static enum lv_err host_new(struct world *w, struct lv_dir *door, uint64_t file_bytes,
                            struct host **out)
{
    struct host *h = must(calloc(1, sizeof(*h)));
    struct lv_store_config config = {
        .dir = door,
        .appenders = JOURNALS,
        .file_bytes = file_bytes,
        .ring_bytes = file_bytes * 2,
        .stable = on_stable,
        .failed = on_failed,
        .ctx = h,
    };

    h->world = w;
    h->next_id = 1;
    h->back = must(calloc(LV_WAL_FILES_MAX, sizeof(*h->back)));
    enum lv_err err = lv_store_open(&config, &h->store);
    if (err == LV_OK) {
        h->wal = lv_store_messages(h->store);
        h->topology = lv_store_topology(h->store);
    }
    for (unsigned i = 0; i < JOURNALS && err == LV_OK; i++) {
        err = lv_journal_init(&h->journals[i], h->wal, i, h->back, &journal_ops, h);
        h->journals[i].here_max = 8192;
    }
    if (err == LV_OK)
        err = lv_wal_reader_new(h->wal, &h->reader);
    if (err == LV_OK)
        err = open_logs(h);
    if (err != LV_OK) {
        host_free(h);
        h = NULL;
    }
    *out = h;
    return err;
}

/* ---- looking into queues ---- */

typedef void each_entry(void *ctx, struct home *home, const struct lv_entry *e);

static bool read_record(struct host *h, lv_lsn lsn, uint8_t want, uint8_t *buf, size_t cap,
                        struct lv_bytes *payload)
{
    size_t got, size;
    uint8_t type;

    return lv_wal_read(h->reader, lsn, buf, cap, &got) == LV_OK &&
           lv_wal_parse(h->wal, lsn, lv_bytes(buf, got), &type, payload, &size) && type == want;
}

static void walk_page(struct host *h, struct home *home, struct lv_ready_chunk *c, each_entry *each,
                      each_entry *pages, void *ctx)
{
    static uint8_t buf[LV_PAGE_BYTES_MAX + 64];
    struct lv_entry stub = { .place = *lv_page_place(c), .order = LV_ORDER_LOGGED };
    struct lv_entry *list = NULL;
    struct lv_bytes payload;
    uint32_t n = 0;

    if (pages != NULL)
        pages(ctx, home, &stub);
    CHECK(lv_place_lsn(stub.place) < lv_wal_written(h->wal)); /* step first */
    CHECK(read_record(h, lv_place_lsn(stub.place), LV_REC_PAGE, buf, sizeof(buf), &payload));
    CHECK_EQ(lv_page_parse(payload, NULL, &list, &n), LV_OK);
    CHECK_EQ(n, c->cap);
    for (uint32_t i = 0; i < n; i++)
        each(ctx, home, &list[i]);
    lv_mem_free(list, LV_TAG_STORE);
}

static void walk_lane(struct host *h, struct home *home, const struct lv_ready *r, each_entry *each,
                      each_entry *pages, void *ctx)
{
    for (struct lv_ready_chunk *c = r->first; c != NULL; c = c->next) {
        if (c->is_page)
            walk_page(h, home, c, each, pages, ctx);
        for (uint32_t i = lv_ready_from(r, c); !c->is_page && i < lv_ready_to(r, c); i++)
            each(ctx, home, &c->entries[i]);
    }
}

/* Every entry of a queue: of pages too, for which `pages` is called. */
static void walk_queue(struct host *h, struct home *home, each_entry *each, each_entry *pages,
                       void *ctx)
{
    const struct lv_queue *q = home->q;

    for (unsigned k = 0; k < q->slots.count; k++)
        for (uint32_t i = 0; i < q->slots.chunks[k]->fresh; i++)
            if (q->slots.chunks[k]->slots[i].entry.place != 0)
                each(ctx, home, &q->slots.chunks[k]->slots[i].entry);
    for (struct lv_ready_chunk *c = q->passed; c != NULL; c = c->next) {
        if (c->is_page)
            walk_page(h, home, c, each, pages, ctx);
        else
            each(ctx, home, &c->entries[0]);
    }
    for (const struct lv_lane *lane = q->lanes; lane != NULL; lane = lane->next)
        walk_lane(h, home, &lane->ready, each, pages, ctx);
}

/* The account of all journals is what a count from scratch gives. */
static void count_entry(void *ctx, struct home *home, const struct lv_entry *e)
{
    struct lv_journal *j = ctx;

    if (lv_entry_is_logged(e))
        lv_journal_live(j, lv_queue_place(home->q, e), 1);
}

static void count_page(void *ctx, struct home *home, const struct lv_entry *e)
{
    (void)home;
    lv_journal_live(ctx, e->place, 1);
}

static void check_live(const struct world *w, int64_t is, int64_t wanted)
{
    if (w->config.may_leak)
        CHECK(is >= wanted); /* and never go too early */
    else
        CHECK_EQ(is, wanted);
}

static void check_account(const struct world *w, struct host *h)
{
    struct lv_journal scratch = { .wal = h->wal };
    uint64_t stop = lv_lsn_file(lv_wal_tail(h->wal), lv_wal_file_bytes(h->wal)) + 1;

    for (unsigned k = 0; k < JOURNALS; k++)
        if (h->journals[k].open_sheds != 0)
            return;
    scratch.live = must(calloc(LV_WAL_FILES_MAX, sizeof(*scratch.live)));
    for (size_t i = 0; i < MODEL_QUEUES_MAX; i++) {
        struct home *home = &h->homes[i];
        if (home->q == NULL)
            continue;
        walk_queue(h, home, count_entry, count_page, &scratch);
        if (home->q->state_place != 0)
            lv_journal_live(&scratch, home->q->state_place, 1);
    }
    for (uint64_t file = 0; file < stop; file++) {
        struct lv_live sum = { 0 }, want = scratch.live[file % LV_WAL_FILES_MAX];
        for (unsigned k = 0; k < JOURNALS; k++) {
            const struct lv_live *live = &h->journals[k].live[file % LV_WAL_FILES_MAX];
            sum.refs += live->refs;
            sum.bytes += live->bytes;
            sum.passing += live->passing;
            sum.passing_bytes += live->passing_bytes;
        }
        if (!w->config.may_leak && memcmp(&sum, &want, sizeof(sum)) != 0)
            fprintf(stderr, "file %llu: refs %lld counted %lld, passing %lld counted %lld\n",
                    (unsigned long long)file, (long long)sum.refs, (long long)want.refs,
                    (long long)sum.passing, (long long)want.passing);
        check_live(w, sum.refs, want.refs);
        check_live(w, sum.bytes, want.bytes);
        check_live(w, sum.passing, want.passing);
        check_live(w, sum.passing_bytes, want.passing_bytes);
    }
    free(scratch.live);
}

/* ---- what was found, held against the model ---- */

struct found {
    uint32_t number;
    bool redelivered, is_good;
};
struct look {
    struct world *w;
    struct host *h;
    struct found *list;
    size_t count, cap;
};

static bool read_body(struct host *h, uint64_t place, uint8_t *out, size_t *bytes)
{
    static uint8_t head[BODY_MAX], part[BODY_MAX];
    struct lv_rec_message m;
    struct lv_bytes payload;

    *bytes = 0;
    if (!read_record(h, lv_place_lsn(place), LV_REC_MESSAGE, head, sizeof(head), &payload) ||
        !lv_rec_message_parse(payload, &m) || m.body_len > BODY_MAX)
        return false;
    if (m.parts.len == 0) {
        memcpy(out, m.body.ptr, m.body.len);
        *bytes = m.body.len;
        return true;
    }
    for (size_t i = 0; i < m.parts.len; i += 8) {
        if (!read_record(h, lv_be64(m.parts.ptr + i), LV_REC_PART, part, sizeof(part), &payload) ||
            *bytes + payload.len > BODY_MAX)
            return false;
        memcpy(out + *bytes, payload.ptr, payload.len);
        *bytes += payload.len;
    }
    return *bytes == m.body_len;
}

static void look_at(void *ctx, struct home *home, const struct lv_entry *e)
{
    static uint8_t body[BODY_MAX];
    struct look *l = ctx;
    struct found f = { 0 };
    size_t bytes;

    if (l->count == l->cap) {
        l->cap = l->cap != 0 ? l->cap * 2 : 256;
        l->list = must(realloc(l->list, l->cap * sizeof(*l->list)));
    }
    f.redelivered = lv_queue_was_handed(home->q, e);
    f.is_good = !lv_entry_is_here(e) && read_body(l->h, e->place, body, &bytes) &&
                is_body(l->w, lv_bytes(body, bytes), &f.number);
    l->list[l->count++] = f;
}

/* 0: not known, 1: it happened, 2: it did not */
static void tx_says(uint8_t *txs, uint32_t tx, uint8_t says)
{
    if (tx == 0)
        return;
    CHECK(txs[tx] == 0 || txs[tx] == says);
    txs[tx] = says;
}

static size_t compare_level(const struct model_queue *m, const struct look *l, unsigned wanted,
                            size_t at, lv_lsn stable, enum world_end how, uint8_t *txs)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct copy *c = &m->copies[i];
        if (level_of(m, c) != wanted)
            continue;
        bool is_there = at < l->count && l->list[at].number == c->number;
        bool was_entered = c->persistent && c->end <= stable;
        if (!is_there) {
            if (was_entered && c->drop_end == 0 && m->deleted == 0)
                fprintf(stderr, "lost: queue %llu message %u, end %llu, stable %llu\n",
                        (unsigned long long)m->id, c->number, (unsigned long long)c->end,
                        (unsigned long long)stable);
            CHECK(!was_entered || c->drop_end != 0 || m->deleted != 0);
            if (c->drop_end == 0 && c->persistent && m->deleted == 0)
                tx_says(txs, c->tx_in, 2);
            if (was_entered && m->deleted == 0)
                tx_says(txs, c->tx_out, 1);
            continue;
        }
        if (!c->persistent || (c->drop_end != 0 && c->drop_end <= stable))
            fprintf(stderr, "returned: queue %llu message %u, gone at %llu, stable %llu\n",
                    (unsigned long long)m->id, c->number, (unsigned long long)c->drop_end,
                    (unsigned long long)stable);
        CHECK(c->persistent);
        CHECK(c->drop_end == 0 || c->drop_end > stable);
        CHECK(l->list[at].is_good);
        if (c->was_seen && !l->list[at].redelivered)
            fprintf(stderr,
                    "not marked: queue %llu message %u after %d, mark %d, state %d, end %llu\n",
                    (unsigned long long)m->id, c->number, how, c->mark, c->state,
                    (unsigned long long)c->end);
        CHECK(!c->was_seen || l->list[at].redelivered);
        if (how == WORLD_STOP && c->mark == MARK_NO && !c->was_seen)
            CHECK(!l->list[at].redelivered);
        tx_says(txs, c->tx_in, 1);
        tx_says(txs, c->tx_out, 2);
        at++;
    }
    return at;
}

static void compare_queue(struct world *w, const struct model_queue *m, const struct look *l,
                          lv_lsn stable, enum world_end how, uint8_t *txs)
{
    size_t at = 0;

    for (unsigned wanted = LEVELS; wanted-- > 0;)
        at = compare_level(m, l, wanted, at, stable, how, txs);
    if (at < l->count)
        fprintf(stderr, "queue %llu: out of order, twice, or from nowhere: %u\n",
                (unsigned long long)m->id, l->list[at].number);
    CHECK_EQ(at, l->count);
    (void)w;
}

static struct model_queue *model_of(struct world *w, uint64_t id)
{
    for (size_t i = 0; i < w->queue_count; i++)
        if (w->queues[i]->id == id)
            return w->queues[i];
    return NULL;
}

/* Everything in `h`, just opened, against what clients knew when the logs were stable up to there. */
static void compare(struct world *w, struct host *h, lv_lsn stable, lv_lsn topology,
                    enum world_end how, struct found **survivors, size_t *survivor_counts)
{
    uint8_t *txs = must(calloc(w->tx + 1, 1));

    CHECK_EQ(h->damage_reports, 0);
    for (size_t i = 0; i < h->id_count; i++)
        CHECK(model_of(w, h->ids[i]) != NULL);
    for (size_t i = 0; i < w->queue_count; i++) {
        struct model_queue *m = w->queues[i];
        struct home *home = home_of(h, m->id);
        struct look look = { .w = w, .h = h };
        CHECK(home != NULL || m->created > topology || m->deleted != 0);
        CHECK(home == NULL || m->deleted == 0 || m->deleted > topology);
        if (home != NULL)
            walk_queue(h, home, look_at, NULL, &look);
        if (home != NULL || m->deleted == 0)
            compare_queue(w, m, &look, stable, how, txs);
        if (survivors != NULL) {
            survivors[i] = look.list;
            survivor_counts[i] = look.count;
        } else {
            free(look.list);
        }
    }
    check_account(w, h);
    free(txs);
}

/* ---- steps ---- */

static void world_step(struct world *w)
{
    struct host *h = w->host;

    if (w->is_dead)
        return;
    for (unsigned i = 0; i < 4; i++) {
        bool is_through = true;
        enum lv_err err = lv_store_step(h->store);
        if (err == LV_ENOMEM || err == LV_ENOSPC || err == LV_EAGAIN)
            break;
        if (err != LV_OK) {
            w->is_dead = true;
            return;
        }
        for (unsigned k = 0; k < JOURNALS; k++)
            is_through = lv_wal_pump(h->wal, k) && is_through;
        if (is_through)
            break;
    }
    run_loads(h);
    for (unsigned k = 0; k < JOURNALS; k++) {
        lv_journal_stable(&h->journals[k], 0);
        lv_journal_retry(&h->journals[k], 0);
    }
    settle_touched(w);
}

static void put_topology(struct world *w, uint8_t type, uint64_t id, lv_lsn *end)
{
    uint8_t text[8];

    lv_put_be64(text, id);
    struct lv_bytes part = lv_bytes(text, sizeof(text));
    if (lv_wal_append(w->host->topology, 0, type, &part, 1, NULL, end) != LV_OK)
        *end = 0;
    w->host->topology_end = LV_MAX(w->host->topology_end, *end);
}

static void make_queue(struct world *w)
{
    lv_lsn end;

    if (w->queue_count == MODEL_QUEUES_MAX)
        return;
    put_topology(w, TOPOLOGY_PUT, w->next_id, &end);
    if (end == 0)
        return;
    struct model_queue *m = must(calloc(1, sizeof(*m)));
    *m = (struct model_queue){ .id = w->next_id++, .created = end };
    w->queues[w->queue_count++] = m;
    struct home *home = add_home(w->host, m->id);
    if (home != NULL)
        home->model = m;
}

static struct home *any_home(struct world *w)
{
    struct home *some[MODEL_QUEUES_MAX];
    uint32_t n = 0;

    for (size_t i = 0; i < MODEL_QUEUES_MAX; i++)
        if (w->host->homes[i].q != NULL)
            some[n++] = &w->host->homes[i];
    return n != 0 ? some[below(w, n)] : NULL;
}

static unsigned homes(const struct world *w)
{
    unsigned n = 0;

    for (size_t i = 0; i < MODEL_QUEUES_MAX; i++)
        n += w->host->homes[i].q != NULL;
    return n;
}

static void delete_queue(struct world *w)
{
    struct home *home = any_home(w);
    size_t kept = 0;

    if (home == NULL)
        return;
    put_topology(w, TOPOLOGY_DEL, home->id, &home->model->deleted);
    if (home->model->deleted == 0)
        return;
    for (size_t i = 0; i < w->unsettled_count; i++)
        if (w->unsettled[i].q != home->model)
            w->unsettled[kept++] = w->unsettled[i];
    w->unsettled_count = kept;
    struct lv_queue *q = home->q;
    home->q = NULL; /* loads that come back find nobody */
    lv_queue_discard(q);
    lv_queue_free(q);
}

/* ---- publish ---- */

static bool publish_to(struct world *w, struct home *home, uint32_t number, struct lv_msg *msg,
                       uint32_t tx)
{
    struct model_queue *m = home->model;
    size_t i = m->count;
    struct copy *c = add_copy(m, number, w->messages[number].persistent);

    c->tx_in = tx;
    if (lv_queue_publish(home->q, msg, 0) != LV_OK) {
        CHECK_EQ(m->count, i + 1);
        m->count--;
        return false;
    }
    c = &m->copies[i];
    if (tx == 0 && !w->in_tx)
        c->end = journal_of(w->host, home->id)->end;
    settle_touched(w);
    w->totals.published++;
    return true;
}

static void set_priority(struct lv_msg *m, uint32_t number)
{
    m->priority = (uint8_t)priority_of(number);
    m->has_priority = m->priority != 0 || number % 2 == 0;
}

/* A message as a protocol has it: borrowed from a buffer, or kept. */
static struct lv_msg *message(struct world *w, uint32_t number, struct lv_msg *room)
{
    static uint8_t body[BODY_MAX], key[4];
    uint32_t bytes = w->messages[number].bytes;
    struct lv_msg *m = room;

    fill_body(number, body, bytes);
    lv_put_be32(key, number);
    if (below(w, 2) == 0) {
        *room = (struct lv_msg){ .key = key, .key_len = 4, .body = body, .body_len = bytes };
    } else {
        m = lv_msg_new(lv_bytes(NULL, 0), lv_bytes(key, 4), lv_bytes("\x10\x00", 2), bytes);
        if (m == NULL)
            return NULL;
        memcpy(lv_msg_body_room(m), body, bytes);
    }
    m->persistent = w->messages[number].persistent;
    set_priority(m, number);
    return m;
}

static void message_end(struct lv_msg *m, struct lv_msg *room)
{
    if (m == room)
        lv_msg_done(m);
    else
        lv_msg_unref(m);
}

static void publish(struct world *w, struct home *only)
{
    struct home *targets[3];
    unsigned n = only != NULL ? 1u : 1u + (below(w, 4) == 0) + (below(w, 8) == 0);
    uint32_t number = new_message(w, !w->config.has_transients || below(w, 8) != 0);
    struct lv_msg room, *m = message(w, number, &room);

    if (m == NULL)
        return;
    for (unsigned i = 0; i < n; i++) {
        bool is_twice = false;
        targets[i] = only != NULL ? only : any_home(w);
        for (unsigned k = 0; k < i; k++)
            is_twice = is_twice || targets[k] == targets[i];
        if (targets[i] != NULL && !is_twice)
            (void)publish_to(w, targets[i], number, m, 0);
    }
    message_end(m, &room);
}

/* ---- settle, get, purge ---- */

static struct copy *copy_at(struct place p)
{
    return &p.q->copies[p.i];
}

static void model_settled(struct world *w, struct place p, enum lv_outcome outcome, uint32_t tx)
{
    struct copy *c = copy_at(p);

    if (outcome == LV_REJECTED && has_dead_letters(p.q->id)) {
        c->state = DYING;
        c->is_dead = false;
        return;
    }
    if (outcome >= LV_RELEASED) {
        c->failed += outcome == LV_FAILED && counts_failures(p.q->id);
        c->state = READY;
        c->mark = MARK_YES;
        p.q->oldest = LV_MIN(p.q->oldest, p.i);
        return;
    }
    c->state = GONE;
    c->tx_out = tx;
    CHECK(w->touched_count < TOUCHED_MAX);
    w->touched[w->touched_count++] = p;
}

static struct place take_unsettled(struct world *w, size_t i)
{
    struct place p = w->unsettled[i];

    w->unsettled[i] = w->unsettled[--w->unsettled_count];
    return p;
}

static void give_credit(struct world *w, struct home *home)
{
    struct feed *f = &home->feeds[below(w, FEEDS)];

    if (f->consumer.queue != NULL && !f->consumer.no_ack && f->consumer.credit == 0)
        lv_consumer_credit(&f->consumer, 1 + below(w, 4));
}

static void settle(struct world *w)
{
    uint32_t slots[8];
    unsigned n = 0, most = 1 + below(w, 8);
    enum lv_outcome outcome = below(w, 5) == 0   ? (below(w, 2) == 0 ? LV_RELEASED : LV_FAILED)
                              : below(w, 8) == 0 ? LV_REJECTED
                                                 : LV_ACCEPTED;

    if (w->unsettled_count == 0)
        return;
    struct model_queue *q = w->unsettled[below(w, (uint32_t)w->unsettled_count)].q;
    for (size_t i = 0; i < w->unsettled_count && n < most;) {
        if (w->unsettled[i].q != q) {
            i++;
            continue;
        }
        struct place p = take_unsettled(w, i);
        slots[n++] = copy_at(p)->slot;
        model_settled(w, p, outcome, 0);
    }
    struct home *home = home_of(w->host, q->id);
    give_credit(w, home);
    lv_queue_settle(home->q, slots, n, outcome, 0);
    settle_touched(w);
}

/* The dead letters of a queue have arrived, some of them. */
static void bury(struct world *w)
{
    struct home *home = any_home(w);
    struct model_queue *q = home != NULL ? home->model : NULL;

    for (size_t i = q != NULL ? q->oldest : 0; q != NULL && i < q->count; i++) {
        struct copy *c = &q->copies[i];
        if (c->state != DYING || !c->is_dead || below(w, 3) == 0)
            continue;
        c->state = GONE;
        CHECK(w->touched_count < TOUCHED_MAX);
        w->touched[w->touched_count++] = (struct place){ q, i };
        lv_queue_bury(home->q, c->slot, 0);
        settle_touched(w);
        c = NULL; /* it may have moved */
    }
}

static void get(struct world *w)
{
    struct home *home = any_home(w);
    struct lv_delivery d;
    bool no_ack = below(w, 3) == 0;

    if (home == NULL || w->unsettled_count >= UNSETTLED_MAX - 64)
        return;
    enum lv_err err = lv_queue_get(home->q, no_ack, 0, &d);
    if (err == LV_OK) {
        handed(w, home->model, &d, no_ack);
        if (no_ack)
            lv_msg_unref(d.msg);
    } else if (err == LV_ENOTFOUND) {
        for (size_t i = home->model->oldest; i < home->model->count; i++) {
            if (w->config.may_pass)
                pass_over(w, &home->model->copies[i]);
            CHECK(home->model->copies[i].state != READY);
        }
    }
    settle_touched(w);
}

static void purge(struct world *w)
{
    struct home *home = any_home(w);
    struct model_queue *m = home != NULL ? home->model : NULL;
    uint64_t n = 0;

    if (home == NULL)
        return;
    uint64_t had = lv_queue_purge(home->q);
    lv_lsn end = w->config.is_lenient ? NEVER : LV_MAX(journal_of(w->host, m->id)->end, 1u);
    for (size_t i = m->oldest; i < m->count; i++) {
        bool is_ready =
            m->copies[i].state == READY || (m->copies[i].state == DYING && !m->copies[i].is_dead);
        if (!is_ready && m->copies[i].state != PASSED)
            continue;
        n += is_ready;
        m->copies[i].state = GONE;
        m->copies[i].drop_end = end;
    }
    CHECK(had == n || (w->config.may_pass && had < n));
}

static void consume(struct world *w)
{
    struct home *home = any_home(w);
    unsigned k = below(w, FEEDS);

    if (home == NULL)
        return;
    struct feed *f = &home->feeds[k];
    if (f->consumer.queue != NULL) {
        lv_queue_unsubscribe(&f->consumer);
        return;
    }
    if (w->unsettled_count > UNSETTLED_MAX / 3)
        return;
    *f = (struct feed){ .world = w, .model = home->model };
    f->consumer.no_ack = below(w, 4) == 0;
    f->consumer.credit = 1 + below(w, f->consumer.no_ack ? 30 : 6);
    if (lv_queue_subscribe(home->q, &f->consumer) == LV_OK)
        lv_queue_dispatch(home->q, 0);
    settle_touched(w);
}

/* ---- transactions, as broker/commit.c ---- */

#define TX_PUBLISHES 6u
#define TX_SETTLES 6u

struct tx_plan {
    uint32_t numbers[TX_PUBLISHES];
    struct home *to[TX_PUBLISHES];
    struct lv_msg rooms[TX_PUBLISHES], *msgs[TX_PUBLISHES];
    struct place entered[TX_PUBLISHES];
    size_t publishes, entered_count;
    struct place settles[TX_SETTLES];
    size_t settle_count;
};

static bool do_part(struct world *w, struct tx_plan *plan, unsigned journal, uint64_t tx)
{
    struct lv_journal *j = &w->host->journals[journal];
    bool is_whole = true;

    lv_journal_tx_begin(j);
    for (size_t i = 0; i < plan->publishes; i++) {
        if (plan->to[i]->id % JOURNALS != journal)
            continue;
        struct model_queue *m = plan->to[i]->model;
        if (plan->msgs[i] == NULL ||
            !publish_to(w, plan->to[i], plan->numbers[i], plan->msgs[i], w->tx)) {
            is_whole = false;
            continue;
        }
        plan->entered[plan->entered_count++] = (struct place){ m, m->count - 1 };
    }
    for (size_t i = 0; i < plan->settle_count; i++) {
        struct place p = plan->settles[i];
        if (p.q->id % JOURNALS != journal)
            continue;
        uint32_t slot = copy_at(p)->slot;
        model_settled(w, p, LV_ACCEPTED, w->tx);
        lv_queue_settle(home_of(w->host, p.q->id)->q, &slot, 1, LV_ACCEPTED, 0);
    }
    if (lv_journal_tx_end(j, tx) != LV_OK)
        is_whole = false;
    if (tx != 0)
        j->open_parts++;
    return is_whole;
}

static void plan_tx(struct world *w, struct tx_plan *plan)
{
    plan->publishes = below(w, TX_PUBLISHES);
    for (size_t i = 0; i < plan->publishes; i++) {
        bool is_again = i != 0 && below(w, 3) == 0; /* the same message to another queue */
        plan->to[i] = any_home(w);
        plan->numbers[i] = is_again ? plan->numbers[i - 1] : new_message(w, true);
        for (size_t k = 0; is_again && k < i; k++)
            if (plan->to[k] == plan->to[i] && plan->numbers[k] == plan->numbers[i]) {
                plan->numbers[i] = new_message(w, true);
                is_again = false;
            }
        plan->msgs[i] = NULL;
        struct lv_msg *m = is_again ? plan->msgs[i - 1] : NULL;
        static uint8_t body[BODY_MAX], key[4];
        if (m != NULL) {
            plan->msgs[i] = lv_msg_keep(m);
            continue;
        }
        uint32_t bytes = w->messages[plan->numbers[i]].bytes;
        lv_put_be32(key, plan->numbers[i]);
        fill_body(plan->numbers[i], body, bytes);
        m = plan->msgs[i] =
            lv_msg_new(lv_bytes(NULL, 0), lv_bytes(key, 4), lv_bytes(NULL, 0), bytes);
        if (m == NULL)
            continue;
        memcpy(lv_msg_body_room(m), body, bytes);
        m->persistent = true;
        set_priority(m, plan->numbers[i]);
    }
    size_t most = below(w, TX_SETTLES);
    while (plan->settle_count < most && w->unsettled_count != 0)
        plan->settles[plan->settle_count++] =
            take_unsettled(w, below(w, (uint32_t)w->unsettled_count));
}

static void transact(struct world *w)
{
    struct tx_plan plan = { 0 };
    struct host *h = w->host;
    bool parts[JOURNALS] = { false }, is_whole = true;

    if (w->queue_count == 0 || any_home(w) == NULL || w->tx + 1 >= TX_MAX)
        return;
    plan_tx(w, &plan);
    for (size_t i = 0; i < plan.publishes; i++)
        parts[plan.to[i]->id % JOURNALS] = true;
    for (size_t i = 0; i < plan.settle_count; i++)
        parts[plan.settles[i].q->id % JOURNALS] = true;
    uint64_t tx = parts[0] && parts[1] ? lv_wal_tail(h->wal) << 6 : 0;
    w->tx++;
    w->in_tx = true;
    for (unsigned k = 0; k < JOURNALS; k++) {
        if (!parts[k])
            continue;
        is_whole = do_part(w, &plan, k, tx) && is_whole;
        if (tx != 0 && below(w, 3) == 0)
            world_step(w); /* the power may go here */
    }
    if (tx != 0) {
        is_whole = is_whole && lv_journal_commit(&h->journals[0], tx) == LV_OK;
        for (unsigned k = 0; k < JOURNALS; k++)
            h->journals[k].open_parts--;
    }
    w->in_tx = false;
    lv_lsn end = LV_MAX(h->journals[0].end, h->journals[1].end);
    for (size_t i = 0; i < w->touched_count; i++) {
        struct copy *c = copy_at(w->touched[i]);
        c->drop_end = is_whole && !w->config.is_lenient ? LV_MAX(end, 1u) : NEVER;
        if (!is_whole)
            c->tx_out = 0;
    }
    w->touched_count = 0;
    for (size_t i = 0; i < plan.entered_count; i++) {
        struct copy *c = copy_at(plan.entered[i]);
        if (is_whole)
            c->end = end;
        else
            c->tx_in = 0;
    }
    for (size_t i = 0; i < plan.publishes; i++)
        if (plan.msgs[i] != NULL)
            lv_msg_unref(plan.msgs[i]);
    w->totals.transactions++;
}

/* ---- checkpoints, as broker/durable.c ---- */

static bool is_doomed(void *ctx, uint64_t file)
{
    const struct host *h = ctx;

    for (size_t i = 0; i < h->doomed_count; i++)
        if (h->doomed[i] == file)
            return true;
    return false;
}

static bool note(struct host *h, unsigned k, bool is_final)
{
    struct lv_journal *j = &h->journals[k];
    enum lv_err err = LV_OK;

    while (err == LV_OK && !lv_list_empty(&j->changed))
        err = lv_queue_write_changed(j, is_final);
    if (err == LV_OK)
        err = lv_account_note(&h->accounts[k], j, h->round_first);
    for (size_t i = 0; i < MODEL_QUEUES_MAX && err == LV_OK; i++)
        if (h->homes[i].q != NULL && h->homes[i].id % JOURNALS == k)
            err = lv_account_queue(&h->accounts[k], h->homes[i].q);
    return err == LV_OK;
}

static void end_round(struct host *h)
{
    for (unsigned k = 0; k < JOURNALS; k++)
        lv_account_fini(&h->accounts[k]);
    h->phase = IDLE;
}

static void give_up_files(struct world *w, struct host *h)
{
    uint64_t bytes = lv_wal_file_bytes(h->wal);

    h->doomed_count = 0;
    for (uint64_t file = h->round_first; file < h->round_last; file++) {
        enum lv_fate fate =
            lv_account_fate(h->accounts, JOURNALS, h->round_last, h->back, bytes, file);
        if (fate == LV_FATE_DEAD) {
            if (lv_wal_remove_file(h->wal, file) == LV_OK) {
                atomic_store(&h->back[file % LV_WAL_FILES_MAX], 0);
                w->totals.removed++;
            }
        } else if (fate == LV_FATE_DOOMED && h->doomed_count < LV_ARRAY_LEN(h->doomed)) {
            h->doomed[h->doomed_count++] = file;
        }
    }
}

static void write_checkpoint(struct world *w, struct host *h)
{
    struct lv_checkpoint c;
    lv_lsn end = h->round_from;

    for (unsigned k = 0; k < JOURNALS; k++)
        end = LV_MAX(end, h->accounts[k].end);
    while ((lv_wal_stable(h->wal) < end || lv_wal_stable(h->topology) < h->round_topology) &&
           !w->is_dead) {
        lv_lsn before = lv_wal_stable(h->wal);
        world_step(w);
        if (lv_wal_stable(h->wal) == before)
            return; /* no room or memory: later */
    }
    if (w->is_dead)
        return;
    enum lv_err err = lv_account_checkpoint(h->accounts, JOURNALS, h->round_from, h->back, &c);
    if (err == LV_OK)
        err = lv_store_write_checkpoint(h->store, &c);
    if (err == LV_OK) {
        h->checkpoint_from = c.from;
        w->totals.checkpoints++;
        give_up_files(w, h);
        h->phase = CARRY;
    } else if (err == LV_EIO) {
        w->is_dead = true;
    } else {
        end_round(h);
    }
    lv_checkpoint_fini(&c);
}

static void carry(struct world *w, struct host *h)
{
    for (size_t i = 0; i < MODEL_QUEUES_MAX; i++) {
        for (unsigned n = 0; h->homes[i].q != NULL && n < 1000; n++) {
            if (lv_queue_is_moving(h->homes[i].q))
                return;
            if (!lv_queue_move(h->homes[i].q, is_doomed, h))
                break;
            CHECK(n < 999);
            w->totals.moved++;
        }
    }
    end_round(h);
}

static void round_on(struct world *w)
{
    struct host *h = w->host;

    switch (h->phase) {
    case IDLE:
        if (h->loads != NULL ||
            (lv_wal_tail(h->wal) - h->checkpoint_from < 2 * lv_wal_file_bytes(h->wal) &&
             below(w, 8) != 0))
            return;
        h->round_from = lv_wal_tail(h->wal);
        h->round_first = lv_wal_first_file(h->wal);
        h->round_last = lv_lsn_file(h->round_from, lv_wal_file_bytes(h->wal));
        h->phase = BEGUN;
        return;
    case BEGUN:
    case NOTED_FIRST:
        if (h->journals[h->phase == NOTED_FIRST].open_sheds != 0)
            return;
        if (!note(h, h->phase == NOTED_FIRST, false)) {
            end_round(h);
            return;
        }
        h->round_topology = lv_wal_tail(h->topology);
        h->phase++;
        return;
    case NOTED:
        write_checkpoint(w, h);
        return;
    case CARRY:
        carry(w, h);
        return;
    }
}

/* ---- running ---- */

/* Looks into the store: that must not fail. */
static void look_on(struct world *w, void (*look)(const struct world *w, struct host *h))
{
    uint64_t left = lv_mem_fail_at(0);

    if (w->config.fault != NULL)
        fault_dir_pause(w->config.fault, true);
    look(w, w->host);
    if (w->config.fault != NULL)
        fault_dir_pause(w->config.fault, false);
    (void)lv_mem_fail_at(left);
}

void world_burst(struct world *w)
{
    struct home *home = any_home(w);
    uint32_t most = w->config.body_max;

    if (home == NULL)
        return;
    w->config.body_max = 40;
    for (unsigned i = 0; i < 6500 && !w->is_dead; i++) {
        publish(w, home);
        if (lv_wal_is_full(w->host->wal))
            world_step(w);
    }
    w->config.body_max = most;
}

static void one_op(struct world *w)
{
    uint32_t n = below(w, 1000);

    if (w->config.has_purges && below(w, 40) == 0)
        (below(w, 3) == 0 ? world_burst : purge)(w);
    if (n < 400) {
        if (homes(w) != 0)
            publish(w, NULL);
    } else if (n < 600) {
        settle(w);
    } else if (n < 680) {
        get(w);
    } else if (n < 684) {
        purge(w);
    } else if (n < 700) {
        bury(w);
    } else if (n < 740) {
        consume(w);
    } else if (n < 790) {
        transact(w);
    } else if (n < 880) {
        world_step(w);
        if (!w->is_dead && !w->config.is_lenient && below(w, 4) == 0 &&
            lv_wal_written(w->host->wal) == lv_wal_tail(w->host->wal))
            look_on(w, check_account);
    } else if (n < 980) {
        round_on(w);
    } else if (n < 984) {
        if (w->config.has_deletes && homes(w) > 1)
            delete_queue(w);
    } else if (n < 990) {
        if (homes(w) < w->config.queues)
            make_queue(w);
    } else if (n == 999 && w->config.has_bursts && below(w, 2) == 0) {
        world_burst(w);
    }
}

void world_run(struct world *w, unsigned ops)
{
    struct host *h = w->host;

    for (unsigned i = 0; i < ops && !w->is_dead; i++) {
        one_op(w);
        for (unsigned k = 0; k < JOURNALS; k++)
            (void)lv_wal_pump(h->wal, k);
        if (!w->is_dead && lv_wal_is_full(h->wal))
            world_step(w);
        if (sim_dir_is_stopped(w->disk))
            w->is_dead = true;
    }
}

/* ---- lives ---- */

static int by_number(const void *a, const void *b)
{
    uint32_t x = ((const struct copy *)a)->number, y = ((const struct copy *)b)->number;

    return (x > y) - (x < y);
}

/* The model goes on with what was found. */
static void prune(struct world *w, struct found **survivors, const size_t *counts,
                  enum world_end how)
{
    size_t kept = 0;

    w->unsettled_count = w->touched_count = 0;
    w->in_tx = false;
    w->tx = 0;
    for (size_t i = 0; i < w->queue_count; i++) {
        struct model_queue *m = w->queues[i];
        struct home *home = home_of(w->host, m->id);
        struct copy *list = must(malloc((counts[i] + 1) * sizeof(*list)));
        size_t n = 0;
        for (size_t k = 0; k < counts[i]; k++) {
            struct copy *c = find_copy(m, survivors[i][k].number);
            struct copy now = { .number = c->number,
                                .state = READY,
                                .persistent = true,
                                .was_seen = c->was_seen,
                                .failed = c->failed,
                                .is_known = c->is_known && how == WORLD_STOP,
                                .mark = c->was_seen         ? MARK_YES
                                        : how == WORLD_STOP ? c->mark
                                                            : MARK_MAYBE };
            list[n++] = now;
        }
        qsort(list, n, sizeof(*list), by_number);
        free(m->copies);
        m->copies = list;
        m->cap = counts[i] + 1;
        m->count = n;
        m->oldest = 0;
        free(survivors[i]);
        if (home == NULL) {
            free(m->copies);
            free(m);
            continue;
        }
        m->created = m->deleted = 0;
        home->model = m;
        w->queues[kept++] = m;
    }
    w->queue_count = kept;
}

/* What was found, held against what was promised; the model goes on with it. */
static void take_over(const struct world *world, struct host *h)
{
    struct world *w = h->world;
    struct found *survivors[MODEL_QUEUES_MAX];
    size_t counts[MODEL_QUEUES_MAX];

    compare(w, h, world->promised, world->promised_topology, world->how, survivors, counts);
    prune(w, survivors, counts, world->how);
}

enum lv_err world_open(struct world *w)
{
    struct lv_dir *door =
        w->config.fault != NULL ? fault_dir_door(w->config.fault) : sim_dir_door(w->disk);

    w->failures = 0;
    enum lv_err err = host_new(w, door, w->config.file_bytes, &w->host);

    if (err != LV_OK)
        return err;
    look_on(w, take_over);
    w->is_dead = false;
    w->totals.lives++;
    for (unsigned i = 0; i < 3 && homes(w) < 3; i++)
        make_queue(w);
    return LV_OK;
}

bool world_close(struct world *w)
{
    struct host *h = w->host;
    bool is_good = !w->is_dead;
    struct lv_checkpoint c;

    end_round(h);
    h->round_first = lv_wal_first_file(h->wal);
    for (size_t i = 0; i < MODEL_QUEUES_MAX; i++)
        if (h->homes[i].q != NULL)
            lv_queue_will_stop(h->homes[i].q);
    for (unsigned k = 0; k < JOURNALS; k++) {
        while (is_good && !lv_list_empty(&h->journals[k].changed)) {
            is_good = lv_queue_write_changed(&h->journals[k], true) == LV_OK;
            while (is_good && (!lv_wal_pump(h->wal, k) || lv_wal_is_full(h->wal)))
                is_good = lv_store_step(h->store) == LV_OK;
        }
        while (is_good && !lv_wal_pump(h->wal, k))
            is_good = lv_store_step(h->store) == LV_OK;
    }
    is_good = is_good && lv_store_step(h->store) == LV_OK;
    is_good = is_good && lv_store_stop(h->store) == LV_OK;
    run_sheds(h);
    for (unsigned k = 0; k < JOURNALS && is_good; k++)
        is_good = note(h, k, true) && h->journals[k].open_sheds == 0;
    if (is_good) {
        is_good = lv_account_checkpoint(h->accounts, JOURNALS, lv_wal_tail(h->wal), h->back, &c) ==
                      LV_OK &&
                  lv_store_write_checkpoint(h->store, &c) == LV_OK &&
                  lv_store_write_stopped(h->store) == LV_OK;
        lv_checkpoint_fini(&c);
    }
    return is_good;
}

void world_end(struct world *w, enum world_end how)
{
    if (how == WORLD_STOP && !world_close(w))
        how = WORLD_KILL;
    w->how = how;
    w->promised = lv_wal_stable(w->host->wal);
    w->promised_topology = lv_wal_stable(w->host->topology);
    struct sim_dir *image = how == WORLD_CUT ? sim_dir_cut(w->disk, &w->rng, SIM_CUT_ANY) : NULL;

    host_free(w->host);
    w->host = NULL;
    if (image != NULL) {
        sim_dir_free(w->disk);
        w->disk = image;
        w->config.fault = NULL;
    }
}

void world_restart(struct world *w, enum world_end how)
{
    world_end(w, how);
    CHECK_EQ(world_open(w), LV_OK);
}

void world_judge(struct world *w, struct sim_dir *image)
{
    struct host *h = NULL;
    lv_lsn stable = w->host != NULL ? lv_wal_stable(w->host->wal) : w->promised;
    lv_lsn topology = w->host != NULL ? lv_wal_stable(w->host->topology) : w->promised_topology;

    CHECK_EQ(host_new(NULL, sim_dir_door(image), w->config.file_bytes, &h), LV_OK);
    compare(w, h, stable, topology, WORLD_CUT, NULL, NULL);
    host_free(h);
    sim_dir_free(image);
}

/* ---- an image that may be damaged ---- */

static void add_item(struct world_view *v, struct world_item item)
{
    if (v->count == v->cap) {
        v->cap = v->cap != 0 ? v->cap * 2 : 256;
        v->items = must(realloc(v->items, v->cap * sizeof(*v->items)));
    }
    v->items[v->count++] = item;
}

static void host_step(struct host *h)
{
    (void)!lv_store_step(h->store);
    for (unsigned k = 0; k < JOURNALS; k++)
        (void)lv_wal_pump(h->wal, k);
    run_loads(h);
    for (unsigned k = 0; k < JOURNALS; k++) {
        lv_journal_stable(&h->journals[k], 0);
        lv_journal_retry(&h->journals[k], 0);
    }
}

/* All of a queue, as a consumer gets it: whole, or not at all. */
static void drain(const struct world *w, struct host *h, struct home *home, struct world_view *v)
{
    unsigned idle = 0;

    while (idle < 100) {
        struct lv_delivery d;
        uint32_t number = 0;
        enum lv_err err = lv_queue_get(home->q, false, 0, &d);
        if (err == LV_ENOTFOUND)
            return;
        if (err != LV_OK) {
            idle++;
            host_step(h);
            continue;
        }
        idle = 0;
        CHECK(is_body(w, lv_msg_body(d.msg), &number));
        CHECK(d.msg->key_len == 4 && lv_be32(d.msg->key) == number && d.msg->persistent);
        add_item(v, (struct world_item){ home->id, number, d.redelivered });
    }
    CHECK(idle < 100); /* hangs */
}

/* Checkpoints until files were given up and messages carried forward. */
static void go_round(const struct world *w, struct host *h)
{
    static struct world shadow;

    shadow = *w;
    shadow.host = h;
    shadow.is_dead = false;
    shadow.touched_count = 0;
    h->world = &shadow;
    for (unsigned i = 0; i < 80; i++) {
        round_on(&shadow);
        world_step(&shadow);
    }
    CHECK(!shadow.is_dead);
    end_round(h);
    h->world = NULL;
}

void world_view(const struct world *w, struct sim_dir *image, bool goes_round,
                void (*opened)(void *ctx, struct sim_dir *image, const struct world_view *v),
                void *ctx, struct world_view *v)
{
    struct host *h = NULL;

    *v = (struct world_view){ 0 };
    v->err = host_new(NULL, sim_dir_door(image), w->config.file_bytes, &h);
    if (v->err != LV_OK) {
        opened(ctx, image, v);
        return;
    }
    v->damage = h->damage_reports;
    v->torn_bytes = h->torn_bytes;
    v->messages_end = lv_wal_tail(h->wal);
    v->topology_end = lv_wal_tail(h->topology);
    opened(ctx, image, v);
    if (goes_round)
        go_round(w, h);
    for (size_t i = 0; i < MODEL_QUEUES_MAX; i++)
        if (h->homes[i].q != NULL)
            drain(w, h, &h->homes[i], v);
    for (unsigned k = 0; k < JOURNALS; k++) {
        v->passed_over += h->journals[k].damaged;
        v->rescued += h->journals[k].rescued;
    }
    host_free(h);
}

void world_view_fini(struct world_view *v)
{
    free(v->items);
    *v = (struct world_view){ 0 };
}

struct world *world_closed(uint64_t seed, const struct world_config *config)
{
    struct world *w = must(calloc(1, sizeof(*w)));

    w->rng = lv_rng_seed(seed);
    w->seed = seed;
    w->config = *config;
    w->config.queues = LV_MIN(config->queues, QUEUES_MAX);
    if (config->file_bytes == 0)
        w->config.file_bytes = LV_WAL_FILE_MIN;
    w->disk = config->disk != NULL ? config->disk : sim_dir_new();
    w->next_id = 1;
    w->how = WORLD_KILL;
    return w;
}

struct world *world_new(uint64_t seed, const struct world_config *config)
{
    struct world *w = world_closed(seed, config);

    CHECK_EQ(world_open(w), LV_OK);
    return w;
}

void world_free(struct world *w)
{
    if (w == NULL)
        return;
    host_free(w->host);
    for (size_t i = 0; i < w->queue_count; i++) {
        free(w->queues[i]->copies);
        free(w->queues[i]);
    }
    free(w->messages);
    sim_dir_free(w->disk);
    free(w);
}

struct sim_dir *world_disk(struct world *w)
{
    return w->disk;
}

bool world_is_open(const struct world *w)
{
    return w->host != NULL;
}

bool world_is_dead(const struct world *w)
{
    return w->is_dead;
}

unsigned world_failures(const struct world *w)
{
    return w->failures;
}

void world_totals(const struct world *w, struct world_totals *out)
{
    *out = w->totals;
}
