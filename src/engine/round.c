#include "engine/round_priv.h"

#include "base/mem.h"

static struct lv_band *band_of(struct lv_link *l)
{
    return LV_CONTAINER_OF(l, struct lv_band, link);
}

static struct lv_consumer *consumer_of(struct lv_link *l)
{
    return LV_CONTAINER_OF(l, struct lv_consumer, link);
}

static void band_init(struct lv_band *b, int32_t priority)
{
    lv_list_init(&b->takers);
    b->priority = priority;
    b->members = 0;
}

void lv_round_init(struct lv_round *r)
{
    *r = (struct lv_round){ 0 };
    lv_list_init(&r->bands);
    lv_list_init(&r->waiting);
    band_init(&r->common, 0);
    lv_list_push(&r->bands, &r->common.link);
}

/* The band of that priority, made when there is none; NULL: no memory. */
static struct lv_band *band_get(struct lv_round *r, int32_t priority)
{
    struct lv_link *at = r->bands.next;

    if (priority == 0)
        return &r->common;
    while (at != &r->bands && band_of(at)->priority > priority)
        at = at->next;
    if (at != &r->bands && band_of(at)->priority == priority)
        return band_of(at);
    struct lv_band *b = lv_mem_alloc(sizeof(*b), LV_TAG_QUEUE);
    if (b == NULL)
        return NULL;
    band_init(b, priority);
    lv_list_insert_before(at, &b->link);
    return b;
}

static void take_part(struct lv_round *r, struct lv_consumer *c)
{
    struct lv_band *b = c->band;

    c->is_waiting = false;
    lv_list_push(&b->takers, &c->link);
    if (r->top == NULL || r->top->priority < b->priority)
        r->top = b;
}

/* Leaves the list it stands in; the top moves down to the next band that has a taker. */
static void step_out(struct lv_round *r, struct lv_consumer *c)
{
    struct lv_link *at = &c->band->link;

    lv_list_remove(&c->link);
    if (r->top != c->band)
        return;
    while (at != &r->bands && lv_list_empty(&band_of(at)->takers))
        at = at->next;
    r->top = at != &r->bands ? band_of(at) : NULL;
}

static void stand_aside(struct lv_round *r, struct lv_consumer *c)
{
    c->is_waiting = true;
    lv_list_push(&r->waiting, &c->link);
}

static bool can_take(const struct lv_round *r, const struct lv_consumer *c)
{
    return c->credit != 0 && !c->is_paused && (!r->is_single || r->active == c);
}

/* The active one has left: of those of the highest priority the first that came is the next. */
static void choose_active(struct lv_round *r)
{
    struct lv_consumer *best = NULL;

    for (struct lv_link *l = r->waiting.next; l != &r->waiting; l = l->next)
        if (best == NULL || consumer_of(l)->priority > best->priority)
            best = consumer_of(l);
    r->active = best;
    if (best != NULL)
        lv_round_update(r, best);
}

enum lv_err lv_round_add(struct lv_round *r, struct lv_consumer *c)
{
    if (r->is_exclusive || (c->exclusive && (r->count != 0 || r->is_single)))
        return LV_EREFUSED;
    struct lv_band *b = band_get(r, c->priority);
    if (b == NULL)
        return LV_ENOMEM;
    c->band = b;
    b->members++;
    r->count++;
    r->is_exclusive = c->exclusive;
    r->had_any = true;
    if (r->is_single && r->active == NULL)
        r->active = c;
    if (can_take(r, c))
        take_part(r, c);
    else
        stand_aside(r, c);
    return LV_OK;
}

void lv_round_remove(struct lv_round *r, struct lv_consumer *c)
{
    struct lv_band *b = c->band;

    step_out(r, c);
    c->band = NULL;
    c->is_waiting = false;
    r->count--;
    r->is_exclusive = false;
    if (--b->members == 0 && b != &r->common) {
        lv_list_remove(&b->link);
        lv_mem_free(b, LV_TAG_QUEUE);
    }
    if (r->active == c)
        choose_active(r);
}

struct lv_consumer *lv_round_any(const struct lv_round *r)
{
    if (r->top != NULL)
        return lv_round_next(r);
    return lv_list_empty(&r->waiting) ? NULL : consumer_of(r->waiting.next);
}

void lv_round_update(struct lv_round *r, struct lv_consumer *c)
{
    if (can_take(r, c) != c->is_waiting)
        return;
    step_out(r, c);
    if (c->is_waiting)
        take_part(r, c);
    else
        stand_aside(r, c);
}
