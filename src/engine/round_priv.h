/* engine/round_priv.h - whose turn it is: the consumers of a queue.
 *
 * Consumers of equal priority form a band and take turns; the highest band with a taker is served.
 * Who has no credit or is paused stands aside with the waiting and comes back at the end of the
 * band.
 */
#ifndef LV_ENGINE_ROUND_PRIV_H
#define LV_ENGINE_ROUND_PRIV_H
#include "engine/queue.h"

struct lv_band {
    struct lv_link link;   /* in lv_round.bands */
    struct lv_link takers; /* the first is next */
    int32_t priority;
    uint32_t members; /* takers and waiting */
};

struct lv_round {
    struct lv_band *top;    /* the highest band with a taker, or NULL */
    struct lv_link bands;   /* highest first */
    struct lv_link waiting; /* of all bands */
    uint32_t count;
    bool is_exclusive;
    bool is_single; /* only `active` may take part; the others wait in the order in which they came */
    bool had_any;
    struct lv_consumer *active;
    struct lv_band common; /* priority 0: always there, costs no memory of its own */
};

void lv_round_init(struct lv_round *r);
/* LV_ENOMEM, LV_EREFUSED: nothing changed. */
enum lv_err lv_round_add(struct lv_round *r, struct lv_consumer *c) LV_MUST_USE;
void lv_round_remove(struct lv_round *r, struct lv_consumer *c);
/* Any consumer, or NULL when there is none. */
struct lv_consumer *lv_round_any(const struct lv_round *r);
/* Puts `c` where its credit and pause want it. */
void lv_round_update(struct lv_round *r, struct lv_consumer *c);

/* Whose turn it is; there must be a top band. */
static inline struct lv_consumer *lv_round_next(const struct lv_round *r)
{
    return LV_CONTAINER_OF(r->top->takers.next, struct lv_consumer, link);
}

/* `c`, whose turn it was, has got a delivery. */
static inline void lv_round_turn(struct lv_round *r, struct lv_consumer *c)
{
    struct lv_link *takers = &c->band->takers;

    if (c->credit != LV_CREDIT_UNLIMITED && --c->credit == 0) {
        lv_round_update(r, c);
        return;
    }
    if (takers->prev == takers->next)
        return;
    lv_list_remove(&c->link);
    lv_list_push(takers, &c->link);
}

#endif
