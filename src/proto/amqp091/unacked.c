/* What a channel has been handed and must settle, in order of delivery tags. */
#include "base/mem.h"
#include "proto/amqp091/amqp_priv.h"

#define CAP_MIN 16u

static inline struct lv_amqp_open *entry(const struct lv_amqp_unacked *u, uint32_t i)
{
    return &u->ring[(u->head + i) & (u->cap - 1)];
}

/* Keeps one long-unsettled delivery from holding room for all that came and went after it. */
static void compact(struct lv_amqp_unacked *u)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < u->count; i++)
        if (entry(u, i)->state != LV_AMQP_SETTLED)
            *entry(u, kept++) = *entry(u, i);
    u->count = kept;
}

static enum lv_err make_room(struct lv_amqp_unacked *u)
{
    uint32_t settled = 0;

    for (uint32_t i = 0; i < u->count; i++)
        settled += entry(u, i)->state == LV_AMQP_SETTLED;
    if (settled > u->count / 2) {
        compact(u);
        return LV_OK;
    }
    uint32_t cap = u->cap != 0 ? u->cap * 2 : CAP_MIN;
    struct lv_amqp_open *ring = lv_mem_alloc(cap * sizeof(*ring), LV_TAG_CHANNEL);
    if (ring == NULL)
        return LV_ENOMEM;
    for (uint32_t i = 0; i < u->count; i++)
        ring[i] = *entry(u, i);
    lv_mem_free(u->ring, LV_TAG_CHANNEL);
    u->ring = ring;
    u->cap = cap;
    u->head = 0;
    return LV_OK;
}

enum lv_err lv_amqp_unacked_push(struct lv_amqp_unacked *u, uint64_t tag, struct lv_amqp_sub *sub,
                                 uint32_t slot)
{
    if (LV_UNLIKELY(u->count == u->cap)) {
        enum lv_err err = make_room(u);
        if (err != LV_OK)
            return err;
    }
    *entry(u, u->count++) =
        (struct lv_amqp_open){ .tag = tag, .sub = sub, .slot = slot, .state = LV_AMQP_OPEN };
    u->open++;
    return LV_OK;
}

struct lv_amqp_open *lv_amqp_unacked_at(struct lv_amqp_unacked *u, uint64_t tag)
{
    uint32_t low = 0, high = u->count;

    if (u->count == 0 || tag > entry(u, u->count - 1)->tag)
        return NULL;
    uint64_t first = entry(u, 0)->tag;
    if (tag <= first)
        return entry(u, 0);
    if (tag - first < u->count && entry(u, (uint32_t)(tag - first))->tag == tag)
        return entry(u, (uint32_t)(tag - first)); /* no gaps: the usual case */
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (entry(u, mid)->tag < tag)
            low = mid + 1;
        else
            high = mid;
    }
    return entry(u, low);
}

struct lv_amqp_open *lv_amqp_unacked_next(struct lv_amqp_unacked *u, struct lv_amqp_open *e)
{
    uint32_t i = ((uint32_t)(e - u->ring) - u->head) & (u->cap - 1);

    return i + 1 < u->count ? entry(u, i + 1) : NULL;
}

void lv_amqp_unacked_trim(struct lv_amqp_unacked *u)
{
    while (u->count != 0 && entry(u, 0)->state == LV_AMQP_SETTLED) {
        u->head = (u->head + 1) & (u->cap - 1);
        u->count--;
    }
    if (u->count == 0 && u->cap > CAP_MIN * 64) {
        lv_mem_free(u->ring, LV_TAG_CHANNEL);
        *u = (struct lv_amqp_unacked){ 0 };
    }
}
