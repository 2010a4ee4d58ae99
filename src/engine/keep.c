/* A queue and the log: what is written down, what waits there instead of in memory, and what comes back.
 *
 * Written before the change is made: that a message entered (MESSAGE, ENTER), that messages left (DROP), up to where
 * messages may have been handed out (HANDED: well ahead of the head, and stable before the first of them goes, so that
 * after a crash every message that a consumer may have seen comes again as redelivered).
 * A message waits in memory while little else does; above that only its place is kept, and of a long queue only the places
 * of pages. They come back in order, some way ahead of the head, while somebody takes them. */
#include "base/mem.h"
#include "engine/queue_priv.h"
#include "os/failpoint.h"

#define HERE_QUEUE_MAX (UINT64_C(2) << 20) /* bytes of one queue's ready messages in memory */
#define HERE_QUEUE_MIN \
    (UINT64_C(64) << 10) /* as much may be there when the loop's share is used up */
#define UNSETTLED_MAX (UINT64_C(4) << 20) /* bytes of handed out messages kept in memory */
#define PAGE_AFTER 4096u                  /* entries away before pages are made */
#define PAGE_SCATTER 16u /* the span of a page's messages in the log, in multiples of their bytes */
#define PAGE_LEAST \
    255u /* entries of a page made from a chunk that was not paged when it was filled */
#define HAND_AHEAD 4096u
#define DROP_RANGES 64u
#define READS_MAX 10u /* an error of the disk this often, one retry after the other: passed over */

void lv_queue_changed(struct lv_queue *q)
{
    if (q->is_durable && !lv_list_linked(&q->changed))
        lv_list_push(&q->journal->changed, &q->changed);
}

uint64_t lv_queue_place(const struct lv_queue *q, const struct lv_entry *e)
{
    uint64_t place = lv_entry_place(e);

    return q->is_durable ? place : place | LV_PLACE_PASSING;
}

void lv_queue_unlive(struct lv_queue *q, const struct lv_entry *e)
{
    if (lv_entry_is_logged(e))
        lv_journal_live(q->journal, lv_queue_place(q, e), -1);
}

/* ---- in ---- */

static uint64_t memory_of(const struct lv_msg *m)
{
    return lv_msg_bytes(m) + 64;
}

static void here_add(struct lv_queue *q, const struct lv_msg *m)
{
    q->here_bytes += memory_of(m);
    q->journal->here_bytes += memory_of(m);
}

static void here_sub(struct lv_queue *q, const struct lv_msg *m)
{
    q->here_bytes -= memory_of(m);
    q->journal->here_bytes -= memory_of(m);
}

static bool can_stay(const struct lv_queue *q, const struct lv_lane *lane, const struct lv_msg *m,
                     bool is_logged)
{
    const struct lv_journal *j = q->journal;
    uint64_t bytes = memory_of(m);

    if (lane->ready.cursor != NULL)
        return false; /* those before it are away */
    if (!is_logged)
        return j->here_bytes + bytes <= j->passing_max;
    if (q->here_bytes + bytes <= HERE_QUEUE_MIN)
        return j->here_bytes + bytes <= 2 * j->here_max;
    return j->here_bytes + bytes <= j->here_max && q->here_bytes + bytes <= HERE_QUEUE_MAX;
}

/* May the chunk become a page? Not when a restart would keep only some of it, and not when its messages lie scattered in
 * the log: what is in a page is not carried forward, and would keep files in which little else is alive. */
static bool is_pageable(const struct lv_queue *q, const struct lv_ready_chunk *chunk,
                        uint64_t *bytes, uint64_t *expires)
{
    lv_lsn low = UINT64_MAX, high = 0;

    *bytes = *expires = 0;
    for (uint32_t i = 0; i < chunk->cap; i++) {
        uint64_t place = chunk->entries[i].place;
        if (q->is_durable && lv_place_is_passing(place))
            return false;
        *bytes += lv_class_bytes(lv_place_class(place));
        *expires |= place & LV_PLACE_EXPIRES;
        low = LV_MIN(low, lv_place_lsn(place));
        high = LV_MAX(high, lv_place_lsn(place));
    }
    return high - low <= *bytes * PAGE_SCATTER;
}

/* A full chunk behind the cursor becomes a page. */
static void page_out(struct lv_queue *q, struct lv_ready *r, struct lv_ready_chunk *chunk)
{
    uint8_t text[LV_PAGE_BYTES_MAX];
    uint64_t bytes, expires;
    lv_lsn lsn;

    if (lv_wal_record_max(q->journal->wal) < LV_PAGE_BYTES_MAX ||
        !is_pageable(q, chunk, &bytes, &expires))
        return;
    struct lv_ready_chunk *stub = lv_ready_chunk_new(chunk->cap, true);
    if (stub == NULL)
        return;
    struct lv_bytes part = lv_bytes(text, lv_page_write(text, q->id, chunk->entries, chunk->cap));
    if (lv_journal_append(q->journal, LV_REC_PAGE, &part, 1, &lsn) != LV_OK) {
        lv_mem_free(stub, LV_TAG_QUEUE);
        return;
    }
    lv_failpoint("queue.paged");
    *lv_page_place(stub) = (uint64_t)lv_size_class(lv_wal_rec_size(part.len)) << 56 | lsn |
                           LV_PLACE_IN_LOG | expires | (q->is_durable ? 0 : LV_PLACE_PASSING);
    *lv_page_first(stub) = chunk->entries[0].order;
    *lv_page_last(stub) = chunk->entries[chunk->cap - 1].order;
    *lv_page_bytes(stub) = bytes;
    lv_journal_live(q->journal, *lv_page_place(stub), 1);
    lv_ready_replace(r, chunk, stub);
}

static bool is_long(const struct lv_ready *r)
{
    return r->count - r->here >= PAGE_AFTER;
}

/* The chunk before the one that was just begun is full; if the cursor stands before it, all of it is away. */
static void page_filled(struct lv_queue *q, struct lv_ready *r)
{
    struct lv_ready_chunk *chunk = r->before_last;

    if (chunk != NULL && !chunk->is_page && r->cursor != NULL && is_long(r) && chunk != r->first &&
        chunk != r->cursor && r->last != r->cursor)
        page_out(q, r, chunk);
}

static void page_more(struct lv_queue *q, struct lv_ready *r)
{
    struct lv_ready_chunk *c = r->cursor, *next;

    /* The two next to be needed stay. */
    for (unsigned skip = 0; c != NULL && skip < 2; skip++)
        c = c->next;
    for (; c != NULL && c != r->last && is_long(r); c = next) {
        next = c->next;
        if (!c->is_page && c->cap >= PAGE_LEAST)
            page_out(q, r, c);
    }
}

void lv_queue_page_more(struct lv_queue *q)
{
    for (struct lv_lane *lane = q->lanes; lane != NULL; lane = lane->next)
        page_more(q, &lane->ready);
}

enum lv_err lv_queue_put(struct lv_queue *q, struct lv_msg *msg)
{
    bool is_kept = q->is_durable && msg->persistent;
    uint64_t seq = lv_queue_next_seq(q, msg);
    struct lv_lane *lane = lv_queue_lane_make(q, lv_seq_lane(seq));
    struct lv_entry e = { .order = lv_order_make(seq) };
    struct lv_msg *kept = NULL;
    enum lv_err err = lane != NULL ? lv_ready_reserve(&lane->ready) : LV_ENOMEM;

    if (err != LV_OK)
        return err;
    bool stays = can_stay(q, lane, msg, is_kept);
    if (stays && (kept = lv_msg_keep(msg)) == NULL)
        return LV_ENOMEM;
    if (is_kept || !stays)
        err = lv_journal_message(q->journal, is_kept ? q->id : LV_QUEUE_ID_NONE, seq, msg, false);
    if (err != LV_OK) {
        if (kept != NULL)
            lv_msg_unref(kept);
        return err;
    }
    if (is_kept || !stays)
        e.order |= LV_ORDER_LOGGED;
    if (stays) {
        e.msg = kept;
        here_add(q, kept);
    } else {
        e.place = lv_place_of(msg) | (q->is_durable ? 0 : LV_PLACE_PASSING);
    }
    if (lv_entry_is_logged(&e))
        lv_journal_live(q->journal, lv_queue_place(q, &e), 1);
    if (is_kept)
        lv_queue_changed(q);
    lv_ready_put(&lane->ready, e);
    lv_queue_was_put(q, lane, msg);
    q->passing += q->is_durable && !is_kept;
    q->seq_next++;
    q->ready_bytes += msg->body_len;
    if (LV_UNLIKELY(lane->ready.tail == 1))
        page_filled(q, &lane->ready);
    return LV_OK;
}

enum lv_err lv_queue_log_slot(struct lv_queue *q, struct lv_msg *msg, uint32_t slot)
{
    struct lv_slot *s = lv_slot_at(&q->slots, slot);
    enum lv_err err = lv_journal_message(q->journal, q->id, lv_entry_seq(&s->entry), msg, false);

    if (err != LV_OK)
        return err;
    s->entry.order |= LV_ORDER_LOGGED;
    lv_journal_live(q->journal, lv_place_of(msg), 1);
    lv_queue_changed(q);
    return LV_OK;
}

/* ---- out ---- */

static void block(struct lv_queue *q)
{
    if (!lv_list_linked(&q->blocked))
        lv_list_push(&q->journal->blocked, &q->blocked);
}

/* Nothing is wrong that may not be right later: lv_journal_retry. */
static void fail(struct lv_queue *q)
{
    lv_list_remove(&q->blocked);
    lv_list_push(&q->journal->failed, &q->blocked);
    q->has_failed = true;
}

static bool extend_handed(struct lv_queue *q, uint64_t seq)
{
    uint8_t text[16];

    lv_put_be64(text, q->id);
    lv_put_be64(text + 8, seq + HAND_AHEAD);
    struct lv_bytes part = lv_bytes(text, sizeof(text));
    if (lv_journal_append(q->journal, LV_REC_HANDED, &part, 1, NULL) != LV_OK)
        return false;
    q->handed_to = seq + HAND_AHEAD;
    q->handed_end = q->journal->end;
    lv_queue_changed(q);
    return true;
}

bool lv_queue_may_hand(struct lv_queue *q, uint64_t seq)
{
    if (q->handed_ok < q->handed_to && lv_wal_stable(q->journal->wal) >= q->handed_end)
        q->handed_ok = q->handed_to;
    if (LV_LIKELY(seq < q->handed_ok)) {
        if (LV_UNLIKELY(q->handed_ok == q->handed_to && seq + HAND_AHEAD / 2 >= q->handed_to))
            (void)extend_handed(q, seq);
        return true;
    }
    if (seq >= q->handed_to && !extend_handed(q, seq))
        fail(q);
    else
        block(q);
    return false;
}

static void ask(struct lv_queue *q, struct lv_load *load)
{
    load->journal = q->journal;
    load->queue = q->name;
    load->generation = q->generation;
    q->is_loading = q->is_asking =
        true; /* the answer may come at once: then whoever asked goes on */
    q->journal->ops->load(q->journal, load);
    q->is_asking = false;
}

static struct lv_load *load_ready(const struct lv_ready *r)
{
    const struct lv_entry *from = &r->cursor->entries[r->cursor_at];
    uint32_t most = LV_MIN(lv_ready_to(r, r->cursor) - r->cursor_at, LV_LOAD_MESSAGES_MAX), n = 0;
    uint64_t bytes = 0;

    while (n < most && (n == 0 || bytes < LV_LOAD_BYTES))
        bytes += lv_class_bytes(lv_place_class(from[n++].place));
    struct lv_load *load = lv_load_new(LV_LOAD_READY, n);
    if (load == NULL)
        return NULL;
    for (uint32_t i = 0; i < n; i++)
        load->places[i] = from[i].place;
    load->order = from[0].order;
    return load;
}

/* Did a load that was asked for come back at once, whatever it brought? */
static bool has_answer(const struct lv_queue *q)
{
    return !q->is_loading && !q->has_failed;
}

bool lv_queue_fetch(struct lv_queue *q, struct lv_lane *lane)
{
    struct lv_ready *r = &lane->ready;
    struct lv_load *load;

    if (q->is_loading || q->has_failed || r->cursor == NULL)
        return false;
    if (r->cursor->is_page) {
        load = lv_load_new(LV_LOAD_PAGE, 1);
        if (load != NULL) {
            load->places[0] = *lv_page_place(r->cursor);
            load->order = *lv_page_first(r->cursor);
            load->page = (struct lv_load_page){ q->is_durable ? q->id : LV_QUEUE_ID_NONE,
                                                *lv_page_place(r->cursor), *lv_page_first(r->cursor),
                                                *lv_page_last(r->cursor), r->cursor->cap };
        }
    } else {
        load = load_ready(r);
    }
    if (load != NULL)
        ask(q, load);
    else
        fail(q);
    return has_answer(q);
}

bool lv_queue_fetch_returned(struct lv_queue *q)
{
    uint32_t slot = q->returned.oldest;
    struct lv_load *load = NULL;

    if (q->is_loading || q->has_failed)
        return false;
    load = lv_load_new(LV_LOAD_SLOT, 1);
    if (load == NULL) {
        fail(q);
        return false;
    }
    load->places[0] = lv_slot_at(&q->slots, slot)->entry.place;
    load->order = lv_slot_at(&q->slots, slot)->entry.order;
    load->slot = slot;
    ask(q, load);
    return has_answer(q);
}

static bool may_go(struct lv_queue *q, const struct lv_entry *e)
{
    return !lv_queue_is_kept(q, e) || lv_queue_may_hand(q, lv_entry_count(e));
}

bool lv_queue_head_can_go(struct lv_queue *q)
{
    struct lv_entry e;

    /* A load may be done at once, and what it brings may be useless: then the next one is tried. */
    while (lv_queue_has_ready(q)) {
        if (lv_queue_is_returned_next(q)) {
            e = lv_slot_at(&q->slots, q->returned.oldest)->entry;
            if (lv_entry_is_here(&e))
                return may_go(q, &e);
            (void)lv_queue_fetch_returned(q);
        } else {
            struct lv_lane *head = q->head;
            if (q->here_bytes < LV_QUEUE_AHEAD_BYTES || head->ready.here == 0)
                (void)lv_queue_fetch(q, head);
            if (head != q->head || lv_queue_is_returned_next(q))
                continue;
            if (head->ready.here != 0) {
                e = lv_ready_peek(&head->ready);
                return may_go(q, &e);
            }
        }
        if (q->is_loading || lv_list_linked(&q->blocked))
            return false;
    }
    return false;
}

void lv_queue_left_ready(struct lv_queue *q, const struct lv_entry *e, bool unsettled)
{
    struct lv_seq_range range = { lv_entry_seq(e), 1 };

    here_sub(q, e->msg);
    if (unsettled)
        return;
    lv_queue_forget_passing(q, e);
    if (!lv_entry_is_logged(e))
        return;
    if (lv_queue_is_kept(q, e)) {
        (void)!lv_journal_drop(q->journal, q->id, &range, 1); /* without memory: it may come again */
        lv_queue_changed(q);
    }
    lv_queue_unlive(q, e);
}

void lv_queue_trim_unsettled(struct lv_queue *q, uint32_t slot)
{
    struct lv_slot *s;

    if (LV_LIKELY(q->unsettled_here_bytes <= UNSETTLED_MAX) || slot == LV_SLOT_NONE)
        return;
    s = lv_slot_at(&q->slots, slot);
    if (!lv_entry_is_logged(&s->entry) || !lv_entry_is_here(&s->entry))
        return;
    struct lv_msg *msg = s->entry.msg;
    s->entry.place = lv_queue_place(q, &s->entry);
    q->unsettled_here_bytes -= msg->body_len;
    lv_msg_unref(msg);
}

/* ---- gone ---- */

struct drops {
    struct lv_queue *q;
    struct lv_seq_range ranges[DROP_RANGES];
    size_t count;
};

static void drops_flush(struct drops *d)
{
    /* Without memory for it the messages may come again after a crash: at least once. */
    if (d->count != 0)
        (void)!lv_journal_drop(d->q->journal, d->q->id, d->ranges, d->count);
    d->count = 0;
}

static void drops_add(struct drops *d, uint64_t seq, uint64_t count)
{
    struct lv_seq_range *last = d->count != 0 ? &d->ranges[d->count - 1] : NULL;

    if (last != NULL && last->seq + last->count == seq) {
        last->count += count;
        return;
    }
    if (d->count == DROP_RANGES)
        drops_flush(d);
    d->ranges[d->count++] = (struct lv_seq_range){ seq, count };
}

void lv_queue_drop_slots(struct lv_queue *q, const uint32_t *slots, size_t n)
{
    struct drops d = { .q = q };

    for (size_t i = 0; i < n; i++) {
        const struct lv_slot *s = lv_slot_at(&q->slots, slots[i]);
        const struct lv_entry *e = &s->entry;
        if (s->next != LV_SLOT_DYING)
            lv_queue_forget_passing(q, e);
        if (!lv_entry_is_logged(e))
            continue;
        if (lv_queue_is_kept(q, e))
            drops_add(&d, lv_entry_seq(e), 1);
        lv_queue_unlive(q, e);
    }
    if (d.count != 0)
        lv_queue_changed(q);
    drops_flush(&d);
}

static void shed_flush(struct lv_queue *q, struct lv_load **load)
{
    if (*load == NULL)
        return;
    (*load)->journal = q->journal;
    q->journal->open_sheds++;
    q->journal->ops->load(q->journal, *load);
    *load = NULL;
}

static void shed(struct lv_queue *q, struct lv_load **load, uint64_t place)
{
    lv_journal_live(q->journal, place, -1);
    if (*load == NULL && (*load = lv_load_new(LV_LOAD_SHED, 64)) != NULL)
        (*load)->count = 0;
    if (*load == NULL)
        return; /* no memory: what is in the page keeps its file until a start without a checkpoint */
    (*load)->places[(*load)->count++] = place;
    if ((*load)->count == 64)
        shed_flush(q, load);
}

static void unlive_lane(struct lv_queue *q, const struct lv_ready *r, struct lv_load **load)
{
    for (struct lv_ready_chunk *c = r->first; c != NULL; c = c->next) {
        if (c->is_page) {
            shed(q, load, *lv_page_place(c));
            continue;
        }
        for (uint32_t i = lv_ready_from(r, c); i < lv_ready_to(r, c); i++) {
            lv_queue_forget_passing(q, &c->entries[i]);
            lv_queue_unlive(q, &c->entries[i]);
        }
    }
}

/* Everything that is ready and was never handed out is dead, and what was passed over. */
static void unlive_ready(struct lv_queue *q)
{
    struct lv_load *load = NULL;

    for (struct lv_lane *lane = q->lanes; lane != NULL; lane = lane->next)
        unlive_lane(q, &lane->ready, &load);
    for (struct lv_ready_chunk *c = q->passed; c != NULL; c = c->next) {
        if (c->is_page)
            shed(q, &load, *lv_page_place(c));
        else
            lv_queue_unlive(q, &c->entries[0]);
    }
    shed_flush(q, &load);
    q->journal->here_bytes -= q->here_bytes;
    q->here_bytes = 0;
}

static uint64_t first_seq(const struct lv_ready *r)
{
    struct lv_ready_chunk *c = r->first;

    return (c->is_page ? *lv_page_first(c) : c->entries[r->head].order) >> LV_ORDER_SHIFT;
}

static void drop_passed(struct lv_queue *q, struct drops *d)
{
    for (struct lv_ready_chunk *c = q->passed; c != NULL; c = c->next) {
        uint64_t first = c->entries[0].order >> LV_ORDER_SHIFT;
        uint64_t count = c->is_page ? (*lv_page_last(c) >> LV_ORDER_SHIFT) - first + 1 : 1;
        if (c->is_page)
            lv_queue_unmark_range(q, first, count);
        else
            lv_queue_unmark(q, &c->entries[0]);
        if (c->is_page ? q->is_durable : lv_queue_is_kept(q, &c->entries[0]))
            drops_add(d, first, count);
    }
}

void lv_queue_purge_kept(struct lv_queue *q)
{
    struct drops d = { .q = q };

    for (unsigned k = 0; k < q->slots.count && q->returned.count != 0; k++) {
        const struct lv_slot_chunk *chunk = q->slots.chunks[k];
        for (uint32_t i = 0; i < chunk->fresh; i++) {
            const struct lv_slot *s = &chunk->slots[i];
            if (!lv_slot_is_returned(s))
                continue;
            lv_queue_forget_passing(q, &s->entry);
            if (lv_queue_is_kept(q, &s->entry))
                drops_add(&d, lv_entry_seq(&s->entry), 1);
            lv_queue_unlive(q, &s->entry);
        }
    }
    drop_passed(q, &d);
    for (struct lv_lane *lane = q->lanes; lane != NULL && q->is_durable; lane = lane->next) {
        if (lane->ready.count == 0)
            continue;
        uint64_t first = first_seq(&lane->ready), count = q->seq_next - lv_seq_count(first);
        lv_queue_unmark_range(q, first, count); /* some came back before the last restart */
        drops_add(&d, first, count);
    }
    if (d.count != 0)
        lv_queue_changed(q);
    drops_flush(&d);
    unlive_ready(q);
    lv_queue_forget_passed(q);
}

void lv_queue_discard(struct lv_queue *q)
{
    if (q->journal == NULL)
        return;
    for (unsigned k = 0; k < q->slots.count; k++) {
        const struct lv_slot_chunk *chunk = q->slots.chunks[k];
        for (uint32_t i = 0; i < chunk->fresh; i++)
            if (chunk->slots[i].entry.place != 0)
                lv_queue_unlive(q, &chunk->slots[i].entry);
    }
    unlive_ready(q);
    lv_queue_forget_passed(q);
    if (q->state_place != 0)
        lv_journal_live(q->journal, q->state_place, -1);
    q->state_place = 0;
}

/* ---- what cannot be read ----
 * It is passed over when it is the head, and only in memory: its file stays, its state names it, and the next life tries
 * again. */

static void pass(struct lv_queue *q, struct lv_ready_chunk *c)
{
    struct lv_ready_chunk **at = &q->passed;

    while (*at != NULL) /* pages stay in their order */
        at = &(*at)->next;
    *at = c;
    q->journal->damaged += c->is_page ? c->cap : 1;
    q->failed_reads = 0;
    lv_queue_note(q);
    if (!lv_queue_has_ready(q))
        q->ready_bytes = q->guessed_bytes = 0;
}

void lv_queue_forget_passed(struct lv_queue *q)
{
    struct lv_ready_chunk *c;

    while ((c = q->passed) != NULL) {
        q->passed = c->next;
        lv_mem_free(c, LV_TAG_QUEUE);
    }
}

/* The head of a lane, a message or a page. */
static void pass_head(struct lv_queue *q, struct lv_ready *r)
{
    bool is_page = r->first->is_page;
    struct lv_ready_chunk *c = lv_ready_chunk_new(is_page ? r->first->cap : 1, is_page);

    if (c == NULL) {
        fail(q);
        return;
    }
    memcpy(c->entries, &r->first->entries[r->head], (is_page ? 2 : 1) * sizeof(c->entries[0]));
    (void)lv_ready_skip(r);
    lv_queue_find_head(q);
    pass(q, c);
}

/* A message that had come back. */
static void pass_slot(struct lv_queue *q)
{
    struct lv_ready_chunk *c = lv_ready_chunk_new(1, false);

    if (c == NULL) {
        fail(q);
        return;
    }
    uint32_t slot = lv_returned_pop(&q->returned, &q->slots);
    c->entries[0] = lv_slot_at(&q->slots, slot)->entry;
    lv_slots_drop(&q->slots, slot);
    pass(q, c);
}

/* Is what is next lost for this life? What fails for another reason than damage is worth some more tries. */
static bool is_unreadable(struct lv_queue *q, enum lv_err err)
{
    if (err == LV_ENOMEM || (err == LV_EIO && ++q->failed_reads < READS_MAX)) {
        fail(q);
        return false;
    }
    return true;
}

/* ---- back from the log ---- */

static uint32_t answers(const struct lv_load *load)
{
    return load->msgs != NULL ? load->count : 0;
}

/* What is known of its size now is exact. */
static void unguess(struct lv_queue *q, const struct lv_entry *e, const struct lv_msg *msg)
{
    uint64_t guess = lv_class_bytes(lv_place_class(e->place));

    if (lv_entry_count(e) >= q->seq_base)
        return;
    guess = LV_MIN(guess, q->guessed_bytes);
    q->guessed_bytes -= guess;
    q->ready_bytes += msg->body_len;
    q->ready_bytes -= LV_MIN(guess, q->ready_bytes);
}

/* The ready list that a load is for; NULL: it is for nobody any more. */
static struct lv_ready *ready_of(struct lv_queue *q, const struct lv_load *load)
{
    struct lv_lane *lane = lv_queue_lane(q, lv_seq_lane(load->order >> LV_ORDER_SHIFT));

    return load->generation == q->generation && lane != NULL && lane->ready.cursor != NULL
               ? &lane->ready
               : NULL;
}

static void ready_loaded(struct lv_queue *q, struct lv_load *load)
{
    struct lv_ready *r = ready_of(q, load);

    if (r == NULL || r->cursor->is_page || r->cursor->entries[r->cursor_at].order != load->order)
        return;
    if (answers(load) == 0) {
        if (r->here != 0)
            fail(q); /* told when it is the head */
        else if (is_unreadable(q, load->err))
            pass_head(q, r);
        return;
    }
    for (uint32_t i = 0; i < answers(load); i++) {
        struct lv_msg *msg = load->msgs[i];
        if (r->cursor->entries[r->cursor_at].place != load->places[i])
            return; /* carried forward meanwhile: what was read stands at its old place */
        if (msg == NULL) {
            if (r->here == 0)
                pass_head(q, r);
            return;
        }
        q->failed_reads = 0;
        unguess(q, &r->cursor->entries[r->cursor_at], msg);
        r->cursor->entries[r->cursor_at].msg = msg;
        load->msgs[i] = NULL;
        here_add(q, msg);
        lv_ready_arrived(r);
    }
}

static void page_loaded(struct lv_queue *q, struct lv_load *load)
{
    struct lv_ready *r = ready_of(q, load);
    struct lv_ready_chunk *page = r != NULL ? r->cursor : NULL, *chunk;

    if (page == NULL || !page->is_page || *lv_page_first(page) != load->order)
        return;
    if (load->err != LV_OK) {
        if (r->here != 0)
            fail(q); /* told when it is the head */
        else if (is_unreadable(q, load->err))
            pass_head(q, r);
        return;
    }
    q->failed_reads = 0;
    chunk = lv_ready_chunk_new(load->entry_count, false);
    if (chunk == NULL) {
        fail(q);
        return;
    }
    memcpy(chunk->entries, load->entries, load->entry_count * sizeof(*chunk->entries));
    q->journal->rescued += load->is_rescued;
    q->journal->damaged += page->cap - load->entry_count;
    r->count -= page->cap - load->entry_count;
    lv_journal_live(q->journal, *lv_page_place(page), -1);
    lv_ready_replace(r, page, chunk);
    lv_queue_changed(q);
}

static void slot_loaded(struct lv_queue *q, struct lv_load *load)
{
    if (q->returned.count == 0 || q->returned.oldest != load->slot)
        return;
    struct lv_slot *s = lv_slot_at(&q->slots, load->slot);
    if (s->entry.order != load->order || s->entry.place != load->places[0])
        return;
    if (answers(load) != 0 && load->msgs[0] != NULL) {
        s->entry.msg = load->msgs[0];
        load->msgs[0] = NULL;
        q->failed_reads = 0;
    } else if (is_unreadable(q, load->err)) {
        pass_slot(q);
    }
}

/* Takes the load. What is left of it after an error is tried again; for ever only if it is memory that was short: then what
 * is in the page keeps its file. */
static void shed_loaded(struct lv_load *load)
{
    struct lv_journal *j = load->journal;

    for (uint32_t i = 0; i < load->entry_count; i++)
        lv_journal_live(j, load->entries[i].place, -1);
    if (load->err == LV_OK || (load->err == LV_EIO && ++load->tries == READS_MAX)) {
        j->open_sheds--;
        lv_load_free(load);
        return;
    }
    load->count -= load->done;
    memmove(load->places, load->places + load->done, load->count * sizeof(load->places[0]));
    lv_mem_free(load->entries, LV_TAG_STORE);
    load->entries = NULL;
    load->entry_count = 0;
    load->job.next = (struct lv_job *)j->sheds;
    j->sheds = load;
}

void lv_queue_go_on(struct lv_queue *q, lv_time_ms now)
{
    lv_queue_dispatch(q, now);
    if (q->wants_get && lv_queue_has_ready(q) && !lv_queue_head_can_go(q))
        return;
    if (q->wants_get) {
        q->wants_get = false;
        q->sink->available(q->journal, q->name);
    }
}

void lv_load_return(struct lv_load *load, struct lv_queue *q, lv_time_ms now)
{
    if (load->kind == LV_LOAD_SHED) {
        shed_loaded(load);
        return;
    }
    if (load->kind == LV_LOAD_MOVE && q != NULL)
        lv_queue_moved(q, load);
    else if (q != NULL) {
        q->is_loading = false;
        if (load->kind == LV_LOAD_READY)
            ready_loaded(q, load);
        else if (load->kind == LV_LOAD_PAGE)
            page_loaded(q, load);
        else
            slot_loaded(q, load);
    }
    bool is_for_queue = q != NULL && load->kind != LV_LOAD_MOVE;
    lv_load_free(load);
    if (is_for_queue && !q->has_failed && !q->is_asking)
        lv_queue_go_on(q, now);
}

void lv_queue_unblocked(struct lv_queue *q, uint64_t now)
{
    lv_time_ms blocked_at = q->blocked_at;

    q->has_failed = false;
    q->blocked_at = 0;
    /* Who could not be handed out only because of the log has not expired meanwhile. */
    if (blocked_at != 0)
        lv_queue_hand_out(q, LV_MIN(blocked_at - 1, now));
    lv_queue_go_on(q, now);
}
