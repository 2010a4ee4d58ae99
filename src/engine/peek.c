#include "engine/peek.h"

#include "base/mem.h"
#include "engine/queue_priv.h"

/* ---- what there is ---- */

/* Where an entry of that position belongs among those that were noted. */
static uint32_t place_of(const struct lv_peek *p, uint64_t position)
{
    uint32_t lo = 0, hi = p->count;

    if (hi == 0 || p->at[hi - 1].position < position)
        return hi;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (p->at[mid].position < position)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Notes an entry, unless there are enough that come before it. What it pins is pinned when all are chosen. */
static void note(struct lv_peek *p, const struct lv_entry *e, uint64_t place, bool is_unsettled)
{
    uint64_t position = lv_entry_seq(e);

    if (position < p->from)
        return;
    uint32_t i = place_of(p, position);
    if (p->count == p->max) {
        p->has_more = true;
        if (i == p->max)
            return;
        p->count--;
    }
    memmove(&p->at[i + 1], &p->at[i], (p->count - i) * sizeof(p->at[0]));
    p->count++;
    p->at[i] = (struct lv_peeked){
        .position = position,
        .msg = place == 0 ? e->msg : NULL,
        .place = place,
        .is_unsettled = is_unsettled,
        .redelivered = lv_entry_is_redelivered(e) || lv_entry_count(e) < p->redelivered_below,
    };
}

static uint64_t away_place(const struct lv_queue *q, const struct lv_entry *e)
{
    return lv_entry_is_here(e) ? 0 : lv_queue_place(q, e);
}

static void look_at_slots(const struct lv_queue *q, struct lv_peek *p)
{
    for (unsigned k = 0; k < q->slots.count; k++) {
        const struct lv_slot_chunk *chunk = q->slots.chunks[k];
        for (uint32_t i = 0; i < chunk->fresh; i++) {
            const struct lv_slot *s = &chunk->slots[i];
            bool is_unsettled = s->next == LV_SLOT_UNSETTLED;
            if (s->entry.place == 0 || s->next == LV_SLOT_DYING)
                continue;
            if (is_unsettled ? p->unsettled : p->ready)
                note(p, &s->entry, away_place(q, &s->entry), is_unsettled);
        }
    }
}

static void note_page(const struct lv_queue *q, const struct lv_lane *lane, struct lv_peek *p,
                      struct lv_ready_chunk *c)
{
    struct lv_ready_chunk *next = c->next;

    p->page = (struct lv_load_page){ q->is_durable ? q->id : LV_QUEUE_ID_NONE, *lv_page_place(c),
                                     *lv_page_first(c), *lv_page_last(c), c->cap };
    p->is_page_last =
        next == NULL || lv_ready_from(&lane->ready, next) == lv_ready_to(&lane->ready, next);
    while (p->is_page_last && (lane = lane->next) != NULL)
        p->is_page_last = lane->ready.count == 0;
    p->has_more = true;
}

/* The whole chunk stands before what counts. */
static bool is_before(const struct lv_ready *r, struct lv_ready_chunk *c, uint64_t from)
{
    uint32_t to = lv_ready_to(r, c);

    if (c->is_page)
        return *lv_page_last(c) >> LV_ORDER_SHIFT < from;
    return to == lv_ready_from(r, c) || lv_entry_seq(&c->entries[to - 1]) < from;
}

/* In order, until there are enough; a page is the last that is noted. */
static void look_at_lane(const struct lv_queue *q, const struct lv_lane *lane, struct lv_peek *p)
{
    const struct lv_ready *r = &lane->ready;

    for (struct lv_ready_chunk *c = r->first; c != NULL; c = c->next) {
        if (is_before(r, c, p->from))
            continue;
        if (p->count == p->max) {
            p->has_more = true;
            return;
        }
        if (c->is_page) {
            note_page(q, lane, p, c);
            return;
        }
        for (uint32_t i = lv_ready_from(r, c); i < lv_ready_to(r, c) && !p->has_more; i++)
            note(p, &c->entries[i], away_place(q, &c->entries[i]), false);
        if (p->has_more)
            return;
    }
}

static uint64_t bytes_of(const struct lv_peeked *m)
{
    return m->msg != NULL ? (uint64_t)m->msg->body_len + m->msg->props_len
                          : lv_class_bytes(lv_place_class(m->place));
}

/* Drops those that would be too much, but not the first. */
static void cut(struct lv_peek *p)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < p->count; i++) {
        bytes += bytes_of(&p->at[i]);
        if (i == 0 || bytes <= LV_PEEK_BYTES_MAX)
            continue;
        p->count = i; /* nothing from here on is pinned yet */
        p->has_more = true;
        p->page.count = 0;
        return;
    }
}

enum lv_err lv_queue_peek(const struct lv_queue *q, struct lv_peek *p)
{
    LV_ASSERT(p->max != 0 && p->max <= LV_PEEK_MAX);
    p->at = lv_mem_alloc(((size_t)p->max + 1) * sizeof(p->at[0]), LV_TAG_QUEUE);
    if (p->at == NULL)
        return LV_ENOMEM;
    p->redelivered_below = q->redelivered_below;
    look_at_slots(q, p);
    for (const struct lv_lane *lane = q->lanes; p->ready && !p->has_more && lane != NULL;
         lane = lane->next)
        look_at_lane(q, lane, p);
    cut(p);
    for (uint32_t i = 0; i < p->count; i++)
        if (p->at[i].msg != NULL) {
            lv_msg_share(p->at[i].msg);
            p->at[i].msg = lv_msg_keep(p->at[i].msg); /* kept already: this cannot fail */
        }
    p->next = p->count != 0 ? p->at[p->count - 1].position + 1 : p->from;
    return LV_OK;
}

/* ---- what is in the log ---- */

lv_lsn lv_peek_needs(const struct lv_peek *p)
{
    lv_lsn lsn = p->page.count != 0 ? lv_place_lsn(p->page.place) : 0;

    for (uint32_t i = 0; i < p->count; i++)
        if (p->at[i].place != 0)
            lsn = LV_MAX(lsn, lv_place_lsn(p->at[i].place));
    return lsn;
}

/* The entries of the page behind those that were noted. */
static void open_page(struct lv_peek *p, struct lv_journal *journal, struct lv_wal_reader *reader)
{
    struct lv_load *load = lv_load_new(LV_LOAD_PAGE, 1);
    uint64_t last = p->page.last >> LV_ORDER_SHIFT;

    if (load == NULL)
        return; /* it is the beginning of the next look */
    load->journal = journal;
    load->places[0] = p->page.place;
    load->page = p->page;
    lv_load_run(load, reader);
    p->next = last + 1;
    p->has_more = !p->is_page_last;
    for (uint32_t i = 0; load->entries != NULL && i < load->entry_count; i++) {
        const struct lv_entry *e = &load->entries[i];
        note(p, e, e->place, false);
        if (p->count == p->max && lv_entry_seq(e) < last) {
            p->next = lv_entry_seq(e) + 1;
            p->has_more = true;
            break;
        }
    }
    lv_load_free(load);
    cut(p);
    if (p->count != 0 && p->at[p->count - 1].position + 1 < p->next && p->has_more)
        p->next = p->at[p->count - 1].position + 1;
}

static void fetch(struct lv_peek *p, struct lv_journal *journal, struct lv_wal_reader *reader,
                  uint32_t count)
{
    struct lv_load *load = lv_load_new(LV_LOAD_READY, count);
    uint32_t n = 0;

    if (load == NULL)
        return;
    load->journal = journal;
    for (uint32_t i = 0; i < p->count; i++)
        if (p->at[i].place != 0)
            load->places[n++] = p->at[i].place;
    lv_load_run(load, reader);
    n = 0;
    for (uint32_t i = 0; load->msgs != NULL && i < p->count; i++)
        if (p->at[i].place != 0) {
            p->at[i].msg = load->msgs[n];
            load->msgs[n++] = NULL;
        }
    lv_load_free(load);
}

void lv_peek_read(struct lv_peek *p, struct lv_journal *journal, struct lv_wal_reader *reader)
{
    uint32_t away = 0;

    if (p->page.count != 0)
        open_page(p, journal, reader);
    for (uint32_t i = 0; i < p->count; i++)
        away += p->at[i].place != 0;
    if (away != 0)
        fetch(p, journal, reader, away);
}

void lv_peek_fini(struct lv_peek *p)
{
    for (uint32_t i = 0; i < p->count; i++)
        if (p->at[i].msg != NULL)
            lv_msg_unref(p->at[i].msg);
    lv_mem_free(p->at, LV_TAG_QUEUE);
    p->at = NULL;
    p->count = 0;
}
