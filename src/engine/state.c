/* All of a queue at one moment, as one record, or several when one does not hold it. */
#include <stdlib.h>

#include "base/mem.h"
#include "engine/queue_priv.h"
#include "engine/state_priv.h"

struct writer {
    struct lv_queue *q;
    uint8_t *buf;
    size_t cap;
    struct lv_wr w;
    uint32_t part, run_count;
    size_t run_at; /* of the run under way; 0: none */
    uint64_t handed, bytes;
    lv_lsn first, before;
};

static void begin_part(struct writer *s)
{
    s->w = lv_wr(s->buf, s->cap);
    s->run_at = 0;
    lv_wr_u64(&s->w, s->q->id);
    lv_wr_u32(&s->w, s->part);
    lv_wr_u32(&s->w, 0);
    lv_wr_u64(&s->w, s->before);
    lv_wr_u64(&s->w, s->q->seq_next);
    lv_wr_u64(&s->w, s->handed);
}

static void end_run(struct writer *s)
{
    if (s->run_at != 0)
        lv_put_be32(s->buf + s->run_at + 4, s->run_count);
    s->run_at = 0;
}

static enum lv_err end_part(struct writer *s, bool is_last)
{
    lv_lsn lsn;

    end_run(s);
    lv_put_be32(s->buf + 12, is_last);
    struct lv_bytes part = lv_bytes(s->buf, s->w.used);
    enum lv_err err = lv_journal_append(s->q->journal, LV_REC_STATE, &part, 1, &lsn);
    if (err != LV_OK)
        return err;
    if (s->part++ == 0)
        s->first = lsn;
    s->before = lsn;
    s->bytes += lv_wal_rec_size(part.len);
    return LV_OK;
}

static enum lv_err want_room(struct writer *s, size_t bytes)
{
    if (s->w.used + bytes <= s->cap)
        return LV_OK;
    enum lv_err err = end_part(s, false);
    begin_part(s);
    return err;
}

/* One of a run of such pairs: an entry, or a count. */
static enum lv_err put_pair(struct writer *s, enum lv_state_run kind, uint64_t a, uint64_t b)
{
    enum lv_err err = want_room(s, LV_STATE_RUN_HEAD + 16);

    if (err != LV_OK)
        return err;
    if (s->run_at == 0) {
        s->run_at = s->w.used;
        s->run_count = 0;
        lv_wr_u32(&s->w, kind);
        lv_wr_u32(&s->w, 0);
    }
    lv_wr_u64(&s->w, a);
    lv_wr_u64(&s->w, b);
    s->run_count++;
    return LV_OK;
}

static enum lv_err put_entry(struct writer *s, uint64_t place, uint64_t order)
{
    return put_pair(s, LV_STATE_ENTRIES, place, order);
}

static enum lv_err put_page(struct writer *s, struct lv_ready_chunk *page)
{
    enum lv_err err = want_room(s, LV_STATE_RUN_HEAD + LV_STATE_PAGE_BYTES);

    if (err != LV_OK)
        return err;
    end_run(s);
    lv_wr_u32(&s->w, LV_STATE_PAGE);
    lv_wr_u32(&s->w, page->cap);
    lv_wr_u64(&s->w, *lv_page_place(page));
    lv_wr_u64(&s->w, *lv_page_first(page));
    lv_wr_u64(&s->w, *lv_page_last(page));
    lv_wr_u64(&s->w, *lv_page_bytes(page));
    return LV_OK;
}

static int by_order(const void *a, const void *b)
{
    uint64_t x = ((const struct lv_entry *)a)->order, y = ((const struct lv_entry *)b)->order;

    return (x > y) - (x < y);
}

/* What was handed out, came back, or could not be read: older than all that is in the ready list. In the list a page stands as
 * its first entry does, with the chunk for a place, which is even. */
static enum lv_err put_slots(struct writer *s)
{
    const struct lv_slots *slots = &s->q->slots;
    enum lv_err err = LV_OK;
    size_t n = 0, most = slots->used;

    for (const struct lv_ready_chunk *c = s->q->passed; c != NULL; c = c->next)
        most++;
    if (most == 0)
        return LV_OK;
    struct lv_entry *list = lv_mem_alloc(most * sizeof(*list), LV_TAG_QUEUE);
    if (list == NULL)
        return LV_ENOMEM;
    for (struct lv_ready_chunk *c = s->q->passed; c != NULL; c = c->next)
        if (c->is_page)
            list[n++] = (struct lv_entry){ .place = (uintptr_t)c, .order = *lv_page_first(c) };
        else if (lv_queue_is_kept(s->q, &c->entries[0]))
            list[n++] = c->entries[0];
    for (unsigned k = 0; k < slots->count; k++) {
        for (uint32_t i = 0; i < slots->chunks[k]->fresh; i++) {
            const struct lv_slot *slot = &slots->chunks[k]->slots[i];
            if (slot->entry.place == 0 || !lv_queue_is_kept(s->q, &slot->entry))
                continue;
            list[n].place = lv_queue_place(s->q, &slot->entry);
            list[n++].order =
                slot->entry.order | (slot->next == LV_SLOT_UNSETTLED ? LV_ORDER_REDELIVERED : 0);
        }
    }
    if (n > 1)
        qsort(list, n, sizeof(*list), by_order);
    for (size_t i = 0; i < n && err == LV_OK; i++)
        err = lv_entry_is_here(&list[i])
                  ? put_page(s, (struct lv_ready_chunk *)(uintptr_t)list[i].place)
                  : put_entry(s, list[i].place, list[i].order);
    lv_mem_free(list, LV_TAG_QUEUE);
    return err;
}

static enum lv_err put_lane(struct writer *s, const struct lv_ready *r)
{
    enum lv_err err = LV_OK;

    for (struct lv_ready_chunk *c = r->first; c != NULL && err == LV_OK; c = c->next) {
        if (c->is_page) {
            err = put_page(s, c);
            continue;
        }
        for (uint32_t i = lv_ready_from(r, c); i < lv_ready_to(r, c) && err == LV_OK; i++)
            if (lv_queue_is_kept(s->q, &c->entries[i]))
                err = put_entry(s, lv_queue_place(s->q, &c->entries[i]), c->entries[i].order);
    }
    return err;
}

static enum lv_err put_ready(struct writer *s)
{
    enum lv_err err = LV_OK;

    for (const struct lv_lane *lane = s->q->lanes; lane != NULL && err == LV_OK; lane = lane->next)
        err = put_lane(s, &lane->ready);
    return err;
}

static enum lv_err put_counts(struct writer *s)
{
    enum lv_err err = LV_OK;
    struct lv_mark *mark, *next;

    end_run(s);
    HASH_ITER (hh, s->q->marks, mark, next)
        if (err == LV_OK && mark->failures != 0)
            err = put_pair(s, LV_STATE_COUNTS, mark->seq, mark->failures);
    return err;
}

enum lv_err lv_queue_write_state(struct lv_queue *q, bool is_final)
{
    struct writer s = { .q = q, .cap = LV_MIN(lv_wal_record_max(q->journal->wal), (size_t)1 << 18) };
    enum lv_err err;

    lv_queue_page_more(q);
    /* What was handed out is marked one by one when nothing more can be. */
    s.handed = is_final ? q->redelivered_below : q->handed_to;
    s.buf = lv_mem_alloc(s.cap, LV_TAG_STORE);
    if (s.buf == NULL)
        return LV_ENOMEM;
    begin_part(&s);
    err = put_slots(&s);
    if (err == LV_OK)
        err = put_ready(&s);
    if (err == LV_OK)
        err = put_counts(&s);
    if (err == LV_OK)
        err = end_part(&s, true);
    lv_mem_free(s.buf, LV_TAG_STORE);
    if (err != LV_OK)
        return err;
    if (s.part > 1)
        lv_journal_note_back(q->journal, s.first, s.before);
    if (q->state_place != 0)
        lv_journal_live(q->journal, q->state_place, -1);
    q->state_place = (uint64_t)lv_size_class(s.bytes) << 56 | s.before | LV_PLACE_IN_LOG;
    lv_journal_live(q->journal, q->state_place, 1);
    lv_list_remove(&q->changed);
    return LV_OK;
}

void lv_queue_will_stop(struct lv_queue *q)
{
    if (q->journal != NULL && q->handed_to > q->redelivered_below)
        lv_queue_changed(q);
}

uint64_t lv_queue_state_lsn(const struct lv_queue *q)
{
    return q->state_place != 0 ? lv_place_lsn(q->state_place) : 0;
}

uint64_t lv_queue_id(const struct lv_queue *q)
{
    return q->id;
}

enum lv_err lv_queue_write_changed(struct lv_journal *j, bool is_final)
{
    return lv_queue_write_state(LV_CONTAINER_OF(j->changed.next, struct lv_queue, changed),
                                is_final);
}

bool lv_queue_is_moving(const struct lv_queue *q)
{
    return q->is_moving;
}
