/* Messages carried forward: out of log files that are nearly dead, to the end of the log. */
#include "base/mem.h"
#include "engine/queue_priv.h"
#include "os/failpoint.h"

#define MOVE_MAX 128u /* messages in one load */

/* Is there room for more in one load? */
static bool is_enough(const struct lv_load *load)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < load->count; i++)
        bytes += lv_class_bytes(lv_place_class(load->places[i]));
    return load->count == MOVE_MAX || bytes >= LV_LOAD_BYTES;
}

static void take(struct lv_queue *q, struct lv_load *load, const struct lv_entry *e)
{
    load->places[load->count] = lv_queue_place(q, e);
    load->orders[load->count++] = e->order;
}

static bool wanted(const struct lv_queue *q, const struct lv_entry *e, lv_is_doomed *is_doomed,
                   void *ctx)
{
    return lv_entry_is_logged(e) && is_doomed(ctx, lv_lsn_file(lv_place_lsn(lv_queue_place(q, e)),
                                                               lv_wal_file_bytes(q->journal->wal)));
}

static void gather_slots(struct lv_queue *q, struct lv_load *load, lv_is_doomed *is_doomed,
                         void *ctx)
{
    for (unsigned k = 0; k < q->slots.count; k++) {
        const struct lv_slot_chunk *chunk = q->slots.chunks[k];
        for (uint32_t i = 0; i < chunk->fresh && !is_enough(load); i++)
            if (chunk->slots[i].entry.place != 0 && wanted(q, &chunk->slots[i].entry, is_doomed, ctx))
                take(q, load, &chunk->slots[i].entry);
    }
}

static void gather_ready(struct lv_queue *q, const struct lv_ready *r, struct lv_load *load,
                         lv_is_doomed *is_doomed, void *ctx)
{
    for (struct lv_ready_chunk *c = r->first; c != NULL; c = c->next)
        for (uint32_t i = lv_ready_from(r, c); !c->is_page && i < lv_ready_to(r, c); i++) {
            if (is_enough(load))
                return;
            if (wanted(q, &c->entries[i], is_doomed, ctx))
                take(q, load, &c->entries[i]);
        }
}

bool lv_queue_move(struct lv_queue *q, lv_is_doomed *is_doomed, void *ctx)
{
    if (q->journal == NULL || q->is_moving)
        return false;
    if (q->is_stuck) { /* none of what was read last could be: it will not be read again and again */
        q->is_stuck = false;
        return false;
    }
    if (q->state_place != 0 && is_doomed(ctx, lv_lsn_file(lv_place_lsn(q->state_place),
                                                          lv_wal_file_bytes(q->journal->wal))))
        lv_queue_changed(q); /* the next state is written elsewhere */
    struct lv_load *load = lv_load_new(LV_LOAD_MOVE, MOVE_MAX);
    if (load == NULL)
        return false;
    load->count = 0;
    gather_slots(q, load, is_doomed, ctx);
    for (const struct lv_lane *lane = q->lanes; lane != NULL; lane = lane->next)
        gather_ready(q, &lane->ready, load, is_doomed, ctx);
    if (load->count == 0) {
        lv_load_free(load);
        return false;
    }
    load->journal = q->journal;
    load->queue = q->name;
    q->is_moving = true;
    q->journal->ops->load(q->journal, load);
    return true;
}

static struct lv_entry *find_in_slots(struct lv_queue *q, uint64_t seq)
{
    for (unsigned k = 0; k < q->slots.count; k++) {
        struct lv_slot_chunk *chunk = q->slots.chunks[k];
        for (uint32_t i = 0; i < chunk->fresh; i++)
            if (chunk->slots[i].entry.place != 0 && lv_entry_seq(&chunk->slots[i].entry) == seq)
                return &chunk->slots[i].entry;
    }
    return NULL;
}

static struct lv_entry *find_in_ready(struct lv_queue *q, uint64_t seq)
{
    const struct lv_lane *lane = lv_queue_lane(q, lv_seq_lane(seq));
    const struct lv_ready *r = lane != NULL ? &lane->ready : NULL;

    for (struct lv_ready_chunk *c = r != NULL ? r->first : NULL; c != NULL; c = c->next) {
        uint32_t lo = lv_ready_from(r, c), hi = lv_ready_to(r, c), end = hi;
        if (c->is_page || lo == hi || lv_entry_seq(&c->entries[hi - 1]) < seq)
            continue;
        while (lo < hi) {
            uint32_t mid = lo + (hi - lo) / 2;
            if (lv_entry_seq(&c->entries[mid]) < seq)
                lo = mid + 1;
            else
                hi = mid;
        }
        return lo < end && lv_entry_seq(&c->entries[lo]) == seq ? &c->entries[lo] : NULL;
    }
    return NULL;
}

static bool moved(struct lv_queue *q, struct lv_msg **msg_at, uint64_t seq, uint64_t place)
{
    struct lv_msg *msg = *msg_at;
    struct lv_entry *e = find_in_ready(q, seq);

    if (e == NULL)
        e = find_in_slots(q, seq);
    if (e == NULL || !lv_entry_is_logged(e) || lv_queue_place(q, e) != place)
        return true; /* it left meanwhile */
    uint64_t id = lv_queue_is_kept(q, e) ? q->id : LV_QUEUE_ID_NONE;
    if (lv_journal_message(q->journal, id, seq, msg, true) != LV_OK)
        return false;
    lv_failpoint("queue.moved");
    lv_journal_live(q->journal, place, -1);
    uint64_t now = lv_place_of(msg) | (place & LV_PLACE_PASSING);
    lv_journal_live(q->journal, now, 1);
    if (lv_entry_is_here(e)) { /* others may hold the old one, and name the old place */
        lv_msg_unref(e->msg);
        e->msg = *msg_at;
        *msg_at = NULL;
    } else {
        e->place = now;
    }
    lv_queue_changed(q);
    return true;
}

void lv_queue_moved(struct lv_queue *q, struct lv_load *load)
{
    bool is_any = false;

    q->is_moving = false;
    for (uint32_t i = 0; load->msgs != NULL && i < load->count; i++)
        if (load->msgs[i] != NULL)
            is_any = moved(q, &load->msgs[i], load->orders[i] >> LV_ORDER_SHIFT, load->places[i]) ||
                     is_any;
    q->is_stuck = !is_any;
}
