/* Ready lists by priority. A queue has one, until messages of another priority come; those that are empty again stay. */
#include "base/mem.h"
#include "engine/queue_priv.h"

struct lv_lane *lv_queue_lane(struct lv_queue *q, unsigned number)
{
    struct lv_lane *lane = q->lanes;

    while (lane != NULL && lane->number < number)
        lane = lane->next;
    return lane != NULL && lane->number == number ? lane : NULL;
}

struct lv_lane *lv_queue_lane_make(struct lv_queue *q, unsigned number)
{
    struct lv_lane **at = &q->lanes;

    if (LV_LIKELY(q->common.number == number))
        return &q->common;
    while (*at != NULL && (*at)->number < number)
        at = &(*at)->next;
    if (*at != NULL && (*at)->number == number)
        return *at;
    if (q->lanes == &q->common && q->common.next == NULL && q->common.ready.count == 0) {
        q->common.number = number; /* nothing is in it: it may as well be this one */
        return &q->common;
    }
    struct lv_lane *lane = lv_mem_zalloc(sizeof(*lane), LV_TAG_QUEUE);
    if (lane == NULL)
        return NULL;
    lane->number = number;
    lane->next = *at;
    *at = lane;
    return lane;
}

void lv_queue_lanes_free(struct lv_queue *q)
{
    struct lv_lane *lane;

    while ((lane = q->lanes) != NULL) {
        q->lanes = lane->next;
        lv_ready_clear(&lane->ready);
        if (lane != &q->common)
            lv_mem_free(lane, LV_TAG_QUEUE);
    }
}

void lv_queue_find_head(struct lv_queue *q)
{
    struct lv_lane *lane = q->lanes;

    while (lane->ready.count == 0 && lane->next != NULL)
        lane = lane->next;
    q->head = lane;
}
