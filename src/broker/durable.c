/* The broker and its store: start, what became stable, checkpoints, files that are given up, stop.
 *
 * A checkpoint goes round. The registry notes the log's end and asks every loop for the states of the queues that
 * changed; each loop writes them in one turn, and notes what is alive in which file by its own account at that moment. When
 * all have answered and what they wrote is stable, the keeper replaces the checkpoint, and removes the files before it in
 * which nothing was alive. Messages that keep a nearly dead file are carried forward by their queues afterwards. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "broker/broker_priv.h"
#include "broker/look.h"
#include "config/config.h"
#include "engine/account.h"
#include "engine/restore.h"
#include "os/failpoint.h"
#include "os/log.h"
#include "os/os.h"

#define DURABLE_TICK_MS 100u
#define CHECKPOINT_FILES \
    2u                  /* this many files of the log are walked again after a crash, at least */
#define DOOMED_MAX 16u  /* nearly dead files that are given up at a time */
#define MOVE_QUEUES 64u /* looked at in one turn */

/* ---- loads ---- */

/* What was appended a moment ago may not be in the file yet. */
static void await_written(struct lv_broker *b, lv_lsn lsn)
{
    const struct lv_wal *wal = lv_store_messages(b->store);

    while (lsn >= lv_wal_written(wal) && lsn < lv_wal_tail(wal) && !atomic_load(&b->is_closing)) {
        lv_store_wake(b->store);
        lv_os_sleep_us(50);
    }
}

static void load_run(struct lv_job *job)
{
    struct lv_load *load = (struct lv_load *)job;
    struct lv_shard *shard = load->journal->ctx;

    for (uint32_t i = 0; i < load->count; i++)
        await_written(shard->broker, lv_place_lsn(load->places[i]));
    lv_load_run(load, shard->broker->wal_reader);
    struct lv_job *head = (struct lv_job *)atomic_load(&shard->loaded);
    do {
        load->job.next = head;
    } while (!atomic_compare_exchange_weak(&shard->loaded, (struct lv_load **)&head, load));
    lv_loop_call(shard->loop);
}

static void load(struct lv_journal *j, struct lv_load *l)
{
    struct lv_shard *shard = j->ctx;

    l->job.run = load_run;
    lv_worker_post(lv_store_reader(shard->broker->store), &l->job);
}

static const struct lv_journal_ops journal_ops = { .load = load };

/* The reader. */
static void look_run(struct lv_job *job)
{
    struct lv_look *look = LV_CONTAINER_OF(job, struct lv_look, job);
    struct lv_shard *shard = look->shard;

    await_written(shard->broker, lv_peek_needs(&look->peek));
    lv_peek_read(&look->peek, &shard->journal, shard->broker->wal_reader);
    lv_errand_finish(shard, &look->errand);
}

void lv_durable_look(struct lv_shard *shard, struct lv_look *look)
{
    look->shard = shard;
    look->job.run = look_run;
    lv_worker_post(lv_store_reader(shard->broker->store), &look->job);
}

static void take_loads(struct lv_shard *shard)
{
    struct lv_load *newest, *oldest = NULL;

    if (LV_LIKELY(atomic_load_explicit(&shard->loaded, memory_order_relaxed) == NULL))
        return;
    newest = atomic_exchange(&shard->loaded, NULL);
    while (newest != NULL) {
        struct lv_load *next = (struct lv_load *)newest->job.next;
        newest->job.next = (struct lv_job *)oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct lv_load *next = (struct lv_load *)oldest->job.next;
        struct lv_home_queue *hq =
            oldest->kind != LV_LOAD_SHED ? lv_home_find(shard, oldest->queue) : NULL;
        lv_load_return(oldest, hq != NULL ? hq->queue : NULL, lv_shard_wall(shard));
        oldest = next;
    }
}

/* At a stop: what is left makes the account of what is alive complete; nobody is handed anything any more. */
static void take_sheds(struct lv_shard *shard)
{
    struct lv_load *l = atomic_exchange(&shard->loaded, NULL), *next;

    for (; l != NULL; l = next) {
        next = (struct lv_load *)l->job.next;
        if (l->kind == LV_LOAD_SHED) {
            /* The reader has not waited for what was not written yet; now all is. */
            lv_load_run(l, shard->broker->wal_reader);
            lv_load_return(l, NULL, 0);
        } else {
            lv_load_free(l);
        }
    }
}

void lv_durable_attach(struct lv_home_queue *hq)
{
    struct lv_shard *shard = hq->shard;

    if (shard->broker->store != NULL)
        lv_queue_attach(hq->queue, &shard->journal, hq->entry->id, hq->entry->durable, hq->self);
}

/* ---- what is stable ---- */

lv_lsn lv_session_stable(const struct lv_session *s)
{
    return s->broker->store != NULL ? lv_wal_stable(lv_store_messages(s->broker->store))
                                    : UINT64_MAX;
}

void lv_session_await_stable(struct lv_session *s)
{
    if (!lv_list_linked(&s->awaiting))
        lv_list_push(&s->shard->awaiting, &s->awaiting);
}

static bool is_stable(struct lv_shard *shard, const struct lv_call *call)
{
    struct lv_store *store = shard->broker->store;

    return lv_wal_stable(call->is_topology ? lv_store_topology(store) : lv_store_messages(store)) >=
           call->end;
}

void lv_call_finish_stable(struct lv_shard *shard, struct lv_call *call)
{
    if (call->end == 0 || shard->broker->store == NULL || is_stable(shard, call)) {
        lv_call_finish(shard, call);
        return;
    }
    if (!lv_call_leave(call)) { /* its input must wait: no memory even for that */
        lv_call_fail(call, 541, "out of memory");
        lv_call_finish(shard, call);
        return;
    }
    call->next = NULL;
    if (shard->first_waiting != NULL)
        shard->last_waiting->next = call;
    else
        shard->first_waiting = call;
    shard->last_waiting = call;
}

static void finish_calls(struct lv_shard *shard)
{
    struct lv_call *call = shard->first_waiting, *next, *stay = NULL, *last = NULL;

    shard->first_waiting = NULL;
    for (; call != NULL; call = next) {
        next = call->next;
        call->next = NULL;
        if (is_stable(shard, call)) {
            lv_call_finish(shard, call); /* may add others, behind those that stay */
            continue;
        }
        if (stay != NULL)
            last->next = call;
        else
            stay = call;
        last = call;
    }
    if (stay == NULL)
        return;
    last->next = shard->first_waiting;
    if (shard->first_waiting == NULL)
        shard->last_waiting = last;
    shard->first_waiting = stay;
}

static void tell_sessions(struct lv_shard *shard)
{
    struct lv_link due, *l;

    lv_list_init(&due);
    lv_list_splice(&due, &shard->awaiting);
    while ((l = lv_list_pop(&due)) != NULL) {
        struct lv_session *s = LV_CONTAINER_OF(l, struct lv_session, awaiting);
        s->ops->stable(s);
    }
}

static bool has_waiters(const struct lv_shard *shard)
{
    return !lv_list_empty(&shard->awaiting) || shard->first_waiting != NULL ||
           !lv_list_empty(&shard->journal.blocked) ||
           (shard->index == LV_REGISTRY_LOOP && shard->broker->first_unstable != NULL);
}

static void take_stable(struct lv_shard *shard)
{
    struct lv_store *store = shard->broker->store;
    lv_lsn messages = lv_wal_stable(lv_store_messages(store));
    lv_lsn topology = lv_wal_stable(lv_store_topology(store));

    if (messages == shard->stable_seen && topology == shard->topology_seen)
        return;
    shard->stable_seen = messages;
    shard->topology_seen = topology;
    if (!lv_list_empty(&shard->journal.blocked))
        lv_journal_stable(&shard->journal, lv_shard_wall(shard));
    if (!lv_list_empty(&shard->awaiting))
        tell_sessions(shard);
    if (shard->first_waiting != NULL)
        finish_calls(shard);
    if (shard->index == LV_REGISTRY_LOOP)
        lv_errands_stable(shard->broker);
}

static void retry(struct lv_loop *loop, struct lv_timer *timer)
{
    struct lv_shard *shard = lv_loop_data(loop);

    (void)timer;
    lv_journal_retry(&shard->journal, lv_shard_wall(shard));
}

static bool write_states(struct lv_shard *shard);
static void carry_on(struct lv_shard *shard);

void lv_durable_turn(struct lv_loop *loop)
{
    struct lv_shard *shard = lv_loop_data(loop);
    struct lv_broker *b = shard->broker;
    struct lv_wal *wal;

    if (b->store == NULL)
        return;
    wal = lv_store_messages(b->store);
    if (LV_UNLIKELY(atomic_load_explicit(&b->is_disk_full, memory_order_relaxed)))
        shard->alarms |= LV_ALARM_DISK; /* until the alarm's own round takes it back */
    take_loads(shard);
    if (LV_UNLIKELY(shard->journal.damaged != shard->damaged_told)) {
        lv_log(STORE_DAMAGED, lv_log_u64(shard->journal.damaged - shard->damaged_told));
        shard->damaged_told = shard->journal.damaged;
    }
    if (LV_UNLIKELY(shard->journal.rescued != shard->rescued_told)) {
        lv_log(STORE_RESCUED, lv_log_u64(shard->journal.rescued - shard->rescued_told));
        shard->rescued_told = shard->journal.rescued;
    }
    take_stable(shard);
    if (LV_UNLIKELY(lv_journal_has_failed(&shard->journal)) && !lv_timer_is_running(&shard->retry))
        lv_timer_start(loop, &shard->retry, LV_RETRY_MS, retry);
    if (LV_UNLIKELY(shard->states_due != NULL) && !write_states(shard))
        lv_loop_again(loop);
    if (LV_UNLIKELY(shard->doomed != NULL))
        carry_on(shard);
    bool is_through = lv_wal_pump(wal, shard->index);
    if (shard->index == LV_REGISTRY_LOOP &&
        !lv_wal_pump(lv_store_topology(b->store), LV_REGISTRY_LOOP))
        is_through = false;
    bool is_full = !is_through || lv_wal_is_full(wal);
    lv_loop_hold_input(loop, is_full);
    atomic_store(&shard->waits, is_full || has_waiters(shard));
    if (shard->journal.end != shard->told || !is_through ||
        (shard->index == LV_REGISTRY_LOOP && b->topology_end != shard->topology_told)) {
        shard->told = shard->journal.end;
        shard->topology_told = b->topology_end;
        lv_store_wake(b->store);
    }
    /* Whatever became stable since it was looked at has woken nobody if `waits` was not set. */
    if (atomic_load(&shard->waits) &&
        (lv_wal_stable(wal) != shard->stable_seen ||
         lv_wal_stable(lv_store_topology(b->store)) != shard->topology_seen))
        lv_loop_again(loop);
}

/* Log thread. */
static void on_stable(void *ctx)
{
    struct lv_broker *b = ctx;

    for (unsigned i = 0; i < lv_loops_count(b->loops); i++)
        if (atomic_load(&b->shards[i].waits))
            lv_loop_call(b->shards[i].loop);
}

static void on_failed(void *ctx, enum lv_err err, const char *what)
{
    (void)ctx;
    /* Nothing that was not stable may be promised any more: the process ends here, and its clients see it. */
    lv_log(STORE_FAILED, lv_log_str(what), lv_log_str(lv_err_text(err)));
    lv_os_exit_now(LV_EXIT_IO);
}

static void on_full(void *ctx, bool is_full)
{
    struct lv_broker *b = ctx;

    atomic_store(&b->is_disk_full, is_full);
    atomic_store(&b->is_alarm_hurried, true);
    for (unsigned i = 0; is_full && i < lv_loops_count(b->loops); i++)
        lv_loop_call(
            b->shards[i].loop); /* whoever publishes next waits: the reserve is for the others */
    if (is_full)
        lv_log(DISK_FULL);
    else
        lv_log(DISK_FREE);
}

/* ---- checkpoints ---- */

struct lv_states {
    struct lv_job job; /* first: for the keeper */
    struct lv_broker *broker;
    lv_lsn from, end;
    lv_lsn topology; /* what must be stable of it: queues whose messages are given up are deleted */
    uint64_t first, last; /* files */
    unsigned answers;
    bool is_posted;
    _Atomic bool is_done; /* by the keeper */
    struct lv_doomed *doomed;
    struct lv_account loops[];
};

/* Files that messages are carried out of, for all loops. */
struct lv_doomed {
    _Atomic unsigned refs;
    uint32_t count;
    uint64_t numbers[DOOMED_MAX];
};

static void states_free(struct lv_states *t)
{
    for (unsigned i = 0; i < lv_loops_count(t->broker->loops); i++)
        lv_account_fini(&t->loops[i]);
    lv_mem_free(t->doomed, LV_TAG_BROKER);
    lv_mem_free(t, LV_TAG_BROKER);
}

static struct lv_states *states_new(struct lv_broker *b)
{
    unsigned loops = lv_loops_count(b->loops);
    struct lv_wal *wal = lv_store_messages(b->store);
    struct lv_states *t = lv_mem_zalloc(sizeof(*t) + loops * sizeof(t->loops[0]), LV_TAG_BROKER);

    if (t == NULL)
        return NULL;
    t->broker = b;
    t->from = lv_wal_tail(wal);
    t->first = lv_wal_first_file(wal);
    t->last = lv_lsn_file(t->from, lv_wal_file_bytes(wal));
    return t;
}

/* What a loop says of its queues and of the files. */
static void note_account(struct lv_shard *shard, struct lv_states *t)
{
    struct lv_account *mine = &t->loops[shard->index];
    struct lv_home_queue *hq;
    uint32_t pos = 0;
    enum lv_err err = lv_account_note(mine, &shard->journal, t->first);

    while (err == LV_OK && (hq = lv_handles_next(&shard->queues, &pos)) != NULL)
        err = lv_account_queue(mine, hq->queue);
    mine->is_short = err != LV_OK;
}

static enum lv_err write_changed(struct lv_shard *shard, bool is_final)
{
    struct lv_link *changed = &shard->journal.changed;

    while (!lv_list_empty(changed)) { /* written ones leave the list */
        enum lv_err err = lv_queue_write_changed(&shard->journal, is_final);
        if (err != LV_OK)
            return err;
    }
    return LV_OK;
}

/* false: not now. */
static bool write_states(struct lv_shard *shard)
{
    struct lv_states *t = shard->states_due;

    if (shard->journal.open_parts != 0 || shard->journal.open_sheds != 0)
        return false;
    lv_loop_doing(shard->loop, "writing states");
    shard->states_due = NULL;
    if (write_changed(shard, false) != LV_OK)
        t->loops[shard->index].is_short = true;
    else
        note_account(shard, t);
    lv_failpoint("checkpoint.state");
    struct lv_mail m = { .op = LV_MAIL_STATES_DONE, .w = { (uintptr_t)t } };
    lv_loop_post(shard->loop, LV_REGISTRY_LOOP, &m);
    return true;
}

/* Removes what is dead, and names what is nearly so. */
static void give_up_files(struct lv_states *t)
{
    struct lv_wal *wal = lv_store_messages(t->broker->store);
    uint64_t bytes = lv_wal_file_bytes(wal);
    unsigned loops = lv_loops_count(t->broker->loops);

    t->doomed = lv_mem_zalloc(sizeof(*t->doomed), LV_TAG_BROKER);
    for (uint64_t file = t->first; file < t->last; file++) {
        enum lv_fate fate = lv_account_fate(t->loops, loops, t->last, t->broker->back, bytes, file);
        if (fate == LV_FATE_DEAD) {
            if (lv_wal_remove_file(wal, file) == LV_OK) {
                atomic_store(&t->broker->back[file % LV_WAL_FILES_MAX], 0);
                lv_failpoint("log.file_removed");
            }
        } else if (fate == LV_FATE_DOOMED && t->doomed != NULL && t->doomed->count < DOOMED_MAX) {
            t->doomed->numbers[t->doomed->count++] = file;
        }
    }
}

/* On the keeper's thread. */
static void keep_checkpoint(struct lv_job *job)
{
    struct lv_states *t = (struct lv_states *)job;
    struct lv_checkpoint c;

    if (lv_account_checkpoint(t->loops, t->answers, t->from, t->broker->back, &c) == LV_OK) {
        enum lv_err err = lv_store_write_checkpoint(t->broker->store, &c);
        if (err == LV_OK)
            give_up_files(t);
        else if (err == LV_EIO)
            on_failed(t->broker, err, "write the checkpoint");
    }
    lv_checkpoint_fini(&c);
    atomic_store(&t->is_done, true);
    lv_loop_call(t->broker->shards[LV_REGISTRY_LOOP].loop);
}

static void states_done(struct lv_shard *registry, struct lv_states *t)
{
    struct lv_broker *b = t->broker;

    if (++t->answers < lv_loops_count(b->loops))
        return;
    for (unsigned i = 0; i < t->answers; i++) {
        t->end = LV_MAX(t->end, t->loops[i].end);
        if (t->loops[i].is_short)
            t->end = UINT64_MAX;
    }
    t->end = LV_MAX(t->end, t->from);
    t->topology = lv_wal_tail(lv_store_topology(b->store));
    if (t->end == UINT64_MAX) {
        states_free(t);
        b->states = NULL;
    }
    (void)registry;
}

static void start_round(struct lv_shard *registry)
{
    struct lv_broker *b = registry->broker;
    struct lv_states *t = states_new(b);

    if (t == NULL)
        return;
    b->states = t;
    struct lv_mail m = { .op = LV_MAIL_STATES, .w = { (uintptr_t)t } };
    for (unsigned i = 0; i < lv_loops_count(b->loops); i++)
        lv_loop_post(registry->loop, i, &m);
}

static void end_round(struct lv_shard *registry)
{
    struct lv_broker *b = registry->broker;
    struct lv_states *t = b->states;

    b->checkpoint_from = t->from;
    b->states = NULL;
    if (t->doomed != NULL && t->doomed->count != 0) {
        atomic_store(&t->doomed->refs, lv_loops_count(b->loops));
        struct lv_mail m = { .op = LV_MAIL_DOOMED, .w = { (uintptr_t)t->doomed } };
        for (unsigned i = 0; i < lv_loops_count(b->loops); i++)
            lv_loop_post(registry->loop, i, &m);
        t->doomed = NULL;
    }
    states_free(t);
}

/* On a full disk a checkpoint is worth while as soon as something has left: it lets files go. */
#define ROOM_EVERY_MS 500u

static bool wants_room(struct lv_broker *b)
{
    lv_time_ms now = lv_shard_now(&b->shards[LV_REGISTRY_LOOP]);

    if (now < b->room_after || lv_wal_tail(lv_store_messages(b->store)) == b->checkpoint_from)
        return false;
    b->room_after = now + ROOM_EVERY_MS;
    return true;
}

static void tick(struct lv_loop *loop, struct lv_timer *timer)
{
    struct lv_shard *registry = lv_loop_data(loop);
    struct lv_broker *b = registry->broker;
    struct lv_wal *wal = lv_store_messages(b->store);
    struct lv_states *t = b->states;

    lv_timer_start(loop, timer, DURABLE_TICK_MS, tick);
    if (t == NULL) {
        if (!b->is_stopping && lv_worker_is_idle(lv_store_reader(b->store)) &&
            (lv_wal_tail(wal) - b->checkpoint_from >= CHECKPOINT_FILES * lv_wal_file_bytes(wal) ||
             (atomic_load(&b->is_disk_full) && wants_room(b))))
            start_round(registry);
    } else if (atomic_load(&t->is_done)) {
        end_round(registry);
    } else if (t->answers == lv_loops_count(b->loops) && !t->is_posted &&
               lv_wal_stable(wal) >= t->end &&
               lv_wal_stable(lv_store_topology(b->store)) >= t->topology) {
        t->is_posted = true;
        t->job.run = keep_checkpoint;
        lv_worker_post(lv_store_keeper(b->store), &t->job);
    }
    lv_meta_tidy(b);
}

void lv_durable_start(struct lv_shard *registry)
{
    if (registry->broker->store != NULL)
        lv_timer_start(registry->loop, &registry->broker->durable_timer, DURABLE_TICK_MS, tick);
}

/* ---- carrying forward ---- */

static bool is_doomed(void *ctx, uint64_t file)
{
    const struct lv_doomed *d = ctx;

    for (uint32_t i = 0; i < d->count; i++)
        if (d->numbers[i] == file)
            return true;
    return false;
}

static void doomed_unref(struct lv_doomed *d)
{
    if (atomic_fetch_sub(&d->refs, 1) == 1)
        lv_mem_free(d, LV_TAG_BROKER);
}

/* A few queues a turn; one that has something stays at hand until it has nothing more. */
static void carry_on(struct lv_shard *shard)
{
    struct lv_home_queue *hq = NULL;

    if (lv_wal_is_full(lv_store_messages(shard->broker->store)))
        return; /* whoever publishes has the ring first */
    for (unsigned n = 0; n < MOVE_QUEUES; n++) {
        uint32_t pos = shard->doomed_at;
        hq = lv_handles_next(&shard->queues, &pos);
        if (hq == NULL)
            break;
        if (lv_queue_is_moving(hq->queue))
            return; /* the load that comes back is a turn of its own */
        if (!lv_queue_move(hq->queue, is_doomed, shard->doomed))
            shard->doomed_at = pos;
    }
    if (hq != NULL) {
        lv_loop_again(shard->loop);
        return;
    }
    doomed_unref(shard->doomed);
    shard->doomed = NULL;
}

void lv_durable_mail(struct lv_shard *shard, const struct lv_mail *m)
{
    if (m->op == LV_MAIL_STATES) {
        shard->states_due = (struct lv_states *)m->w[0];
    } else if (m->op == LV_MAIL_STATES_DONE) {
        states_done(shard, (struct lv_states *)m->w[0]);
    } else if (m->op == LV_MAIL_TX_CLOSED) {
        shard->journal.open_parts--;
    } else {
        if (shard->doomed != NULL)
            doomed_unref(shard->doomed);
        shard->doomed = (struct lv_doomed *)m->w[0];
        shard->doomed_at = 0;
    }
}

/* ---- start ---- */

static enum lv_err note_queues(struct lv_broker *b, struct lv_recovery *r)
{
    struct lv_ptrmap_entry *v, *e;
    enum lv_err err = LV_OK;
    size_t vpos = 0;

    while (err == LV_OK && (v = lv_ptrmap_next(&b->vhosts, &vpos)) != NULL) {
        size_t pos = 0;
        while (err == LV_OK &&
               (e = lv_ptrmap_next(&((struct lv_vhost *)v)->router.queues, &pos)) != NULL)
            err = lv_recovery_queue(r, ((struct lv_queue_entry *)e)->id);
    }
    return err;
}

static enum lv_err fill_queues(struct lv_broker *b, struct lv_recovery *r)
{
    struct lv_ptrmap_entry *v, *e;
    enum lv_err err = LV_OK;
    size_t vpos = 0;

    while (err == LV_OK && (v = lv_ptrmap_next(&b->vhosts, &vpos)) != NULL) {
        size_t pos = 0;
        while (err == LV_OK &&
               (e = lv_ptrmap_next(&((struct lv_vhost *)v)->router.queues, &pos)) != NULL) {
            struct lv_queue_entry *entry = (struct lv_queue_entry *)e;
            if (!lv_recovery_has(r, entry->id))
                continue;
            struct lv_shard *shard = &b->shards[entry->id % lv_loops_count(b->loops)];
            struct lv_home_queue *hq = lv_home_make(shard, (struct lv_vhost *)v, entry);
            err = hq != NULL ? lv_recovery_fill(r, entry->id, hq->queue) : LV_ENOMEM;
        }
    }
    return err;
}

static void log_report(const char *what, const struct lv_wal_report *report)
{
    if (report->torn_bytes != 0)
        lv_log(STORE_TORN, lv_log_str(what), lv_log_u64(report->end),
               lv_log_u64(report->torn_bytes));
    for (uint32_t i = 0; i < report->damage_count && i < LV_WAL_DAMAGES_MAX; i++)
        lv_log(STORE_RANGE_DAMAGED, lv_log_str(what), lv_log_u64(report->damage[i].from),
               lv_log_u64(report->damage[i].to));
}

static void take_facts(struct lv_broker *b, const struct lv_recovery *r)
{
    struct lv_recovery_facts facts;

    lv_recovery_facts(r, &facts);
    if (facts.damaged != facts.rescued)
        lv_log(STORE_DAMAGED, lv_log_u64(facts.damaged - facts.rescued));
    if (facts.rescued != 0)
        lv_log(STORE_RESCUED, lv_log_u64(facts.rescued));
    if (facts.unknown_queues != 0)
        lv_log(STORE_QUEUES_UNKNOWN, lv_log_u64(facts.unknown_queues),
               lv_log_u64(facts.unknown_messages));
    b->recovered_messages = facts.messages;
    if (facts.next_id <= b->next_queue_id)
        return;
    /* The topology has lost its end. An id that it does not know any more must not be given again. */
    b->next_queue_id = facts.next_id;
    b->is_topology_damaged = b->is_counter_due = true;
}

/* Reads states, walks the log, fills the queues. `c` NULL: without a checkpoint. */
static enum lv_err recover_messages(struct lv_broker *b, const struct lv_checkpoint *c,
                                    const struct lv_wal_known *known)
{
    struct lv_wal *wal = lv_store_messages(b->store);
    struct lv_journal *j = &b->shards[0].journal;
    struct lv_wal_report report;
    struct lv_recovery *r;
    enum lv_err err = lv_recovery_new(j, b->wal_reader, c != NULL, &r);

    if (err != LV_OK)
        return err;
    lv_account_restore(j, c);
    lv_recovery_topology(r, b->next_queue_id, b->is_topology_damaged);
    err = note_queues(b, r);
    for (size_t i = 0; c != NULL && i < c->queue_count && err == LV_OK; i++)
        err = lv_recovery_state(r, c->queues[i].id, c->queues[i].state);
    if (err == LV_OK)
        err = lv_wal_open(wal, known, false, lv_recovery_visit, r, &report);
    if (err == LV_OK)
        err = lv_recovery_end(r);
    if (err == LV_OK) {
        lv_account_keep_damaged(j, &report);
        log_report("messages", &report);
        take_facts(b, r);
        err = fill_queues(b, r);
    }
    lv_recovery_free(r);
    return err;
}

static uint64_t round_up(uint32_t bytes)
{
    uint64_t power = LV_WAL_FILE_MIN;

    while (power < bytes)
        power *= 2;
    return power;
}

static enum lv_err open_store(struct lv_broker *b)
{
    const struct lv_settings *settings = b->settings;
    struct lv_store_config config = {
        .appenders = lv_loops_count(b->loops),
        .file_bytes = round_up(settings->store_file_size),
        .ring_bytes = (size_t)8 << 20,
        .stable = on_stable,
        .failed = on_failed,
        .full = on_full,
        .ctx = b,
    };
    enum lv_err err = lv_dir_open(settings->data_dir, true, &config.dir);

    if (err != LV_OK)
        return err;
    err = lv_store_open(&config, &b->store);
    if (err != LV_OK)
        lv_dir_close(config.dir);
    return err;
}

static enum lv_err init_journals(struct lv_broker *b)
{
    struct lv_wal *wal = lv_store_messages(b->store);
    uint64_t limit = 0;

    (void)!lv_watermark_parse(b->settings->memory_high_watermark, lv_os_memory(), &limit);
    b->back = lv_mem_zalloc(LV_WAL_FILES_MAX * sizeof(*b->back), LV_TAG_BROKER);
    if (b->back == NULL)
        return LV_ENOMEM;
    for (unsigned i = 0; i < lv_loops_count(b->loops); i++) {
        struct lv_shard *shard = &b->shards[i];
        enum lv_err err = lv_journal_init(&shard->journal, wal, i, b->back, &journal_ops, shard);
        if (err != LV_OK)
            return err;
        /* Transient messages wait in memory up to half of what there is for all loops. */
        if (limit != 0)
            shard->journal.passing_max = limit / 2 / lv_loops_count(b->loops);
    }
    return lv_wal_reader_new(wal, &b->wal_reader);
}

enum lv_err lv_broker_recover(struct lv_broker *b)
{
    struct lv_checkpoint c;
    struct lv_stopped stopped;
    struct lv_wal_report report;
    uint64_t began = lv_clock_ns();
    enum lv_err err = open_store(b);

    if (err == LV_OK)
        err = init_journals(b);
    if (err != LV_OK)
        return err;
    b->is_recovering = true;
    b->next_queue_id = 1;
    lv_store_read_stopped(b->store, &stopped);
    struct lv_wal_known known = { .clean_end = stopped.topology };
    err = lv_wal_open(lv_store_topology(b->store), &known, false, lv_meta_visit, b, &report);
    if (err != LV_OK)
        return err;
    log_report("topology", &report);
    b->is_topology_damaged = report.damage_count != 0;
    err = lv_store_read_checkpoint(b->store, &c);
    if (err == LV_EVERSION)
        return err;
    bool has_checkpoint = err == LV_OK;
    if (err == LV_ECORRUPT)
        lv_log(CHECKPOINT_DAMAGED);
    /* Without a checkpoint nothing was ever given up: the first file of all must be there. */
    known = (struct lv_wal_known){ .from = c.from,
                                   .stable = lv_checkpoint_stable(&c),
                                   .clean_end = stopped.messages };
    if (err == LV_ENOTFOUND)
        known.from = lv_wal_file_bytes(lv_store_messages(b->store));
    err = recover_messages(b, has_checkpoint ? &c : NULL, &known);
    if (err == LV_ECORRUPT &&
        has_checkpoint) { /* a state it names is damaged: the whole log tells as much */
        lv_log(CHECKPOINT_DAMAGED);
        known.from = 0;
        err = recover_messages(b, NULL, &known);
    }
    b->checkpoint_from = has_checkpoint ? c.from : 0;
    lv_checkpoint_fini(&c);
    b->is_recovering = false;
    if (err == LV_OK)
        err = lv_store_forget_stopped(b->store);
    if (err == LV_OK && b->is_counter_due)
        err = lv_meta_put_counter(b);
    if (err == LV_OK)
        err = lv_store_start(b->store);
    if (err != LV_OK)
        return err;
    for (unsigned i = 0; i < lv_loops_count(b->loops); i++)
        b->shards[i].next_tx = lv_wal_tail(lv_store_messages(b->store));
    lv_alarm_init(b);
    lv_log(RECOVERED, lv_log_u64((lv_clock_ns() - began) / 1000), lv_log_u64(b->recovered_messages));
    return LV_OK;
}

/* ---- stop ---- */

/* A checkpoint that was under way: the last one tells more. The keeper is done with it. */
static void drop_round(struct lv_broker *b)
{
    if (b->states != NULL)
        states_free(b->states);
    b->states = NULL;
    for (unsigned i = 0; i < lv_loops_count(b->loops); i++) {
        if (b->shards[i].doomed != NULL)
            doomed_unref(b->shards[i].doomed);
        b->shards[i].doomed = NULL;
    }
}

void lv_durable_stop(struct lv_broker *b)
{
    struct lv_states *t;
    struct lv_checkpoint c;

    if (b->store == NULL || b->wal_reader == NULL)
        return;
    b->is_stopped = true;
    atomic_store(&b->is_closing, true);
    struct lv_wal *wal = lv_store_messages(b->store);
    bool is_written = true;
    for (unsigned i = 0; i < lv_loops_count(b->loops); i++) {
        struct lv_home_queue *hq;
        uint32_t pos = 0;
        while ((hq = lv_handles_next(&b->shards[i].queues, &pos)) != NULL)
            lv_queue_will_stop(hq->queue);
        is_written = write_changed(&b->shards[i], true) == LV_OK && is_written;
        while (!lv_wal_pump(wal, i) && !atomic_load(&b->is_disk_full)) {
            lv_store_wake(b->store);
            lv_os_sleep_us(100);
        }
    }
    is_written = lv_store_stop(b->store) == LV_OK && is_written;
    drop_round(b);
    if (!is_written)
        return; /* the next start walks the log */
    t = states_new(b);
    if (t == NULL)
        return;
    for (unsigned i = 0; i < lv_loops_count(b->loops); i++) {
        take_sheds(&b->shards[i]);
        note_account(&b->shards[i], t);
        is_written = is_written && !t->loops[i].is_short && b->shards[i].journal.open_sheds == 0;
    }
    if (is_written &&
        lv_account_checkpoint(t->loops, lv_loops_count(b->loops), t->from, b->back, &c) == LV_OK) {
        if (lv_store_write_checkpoint(b->store, &c) == LV_OK)
            (void)!lv_store_write_stopped(b->store);
        lv_checkpoint_fini(&c);
    }
    states_free(t);
}
