#include "confirms.h"

#include <stdlib.h>

#include "fault.h"

void lv_confirms_init(struct lv_confirms *c, uint64_t window)
{
    uint64_t size = 1;

    while (size <= window)
        size *= 2;
    *c = (struct lv_confirms){ .next = 1, .lowest = 1, .mask = size - 1 };
    c->ring = lv_need(calloc(size, sizeof(*c->ring)));
}

void lv_confirms_fini(struct lv_confirms *c)
{
    free(c->ring);
    c->ring = NULL;
}

/* Settles the lowest tag; gives 1 unless it was settled out of turn before. */
static uint64_t settle_lowest(struct lv_confirms *c)
{
    bool *mark = &c->ring[c->lowest++ & c->mask];
    uint64_t is_new = *mark ? 0 : 1;

    *mark = false;
    return is_new;
}

uint64_t lv_confirms_settle(struct lv_confirms *c, uint64_t tag, bool is_multiple)
{
    uint64_t settled = 0;

    if (tag == 0 && is_multiple) /* all of them (AMQP 0-9-1, basic.ack) */
        tag = c->next - 1;
    if (tag < c->lowest || tag >= c->next)
        return 0;
    if (is_multiple) {
        while (c->lowest <= tag)
            settled += settle_lowest(c);
    } else if (!c->ring[tag & c->mask]) {
        c->ring[tag & c->mask] = true;
        settled = 1;
    }
    while (c->lowest < c->next && c->ring[c->lowest & c->mask])
        settle_lowest(c);
    return settled;
}
