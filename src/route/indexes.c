/* Numbers are given back to a stack and handed out again before new ones, so that they stay dense. The stack has
 * room for every number ever handed out: giving one back cannot fail. */
#include "route/route_priv.h"

struct lv_router_indexes {
    uint32_t *given_back;
    uint32_t count, cap;
    uint32_t next; /* never handed out so far; at most cap */
};

struct lv_router_indexes *lv_indexes_new(void)
{
    return lv_mem_zalloc(sizeof(struct lv_router_indexes), LV_TAG_ROUTE);
}

void lv_indexes_free(struct lv_router_indexes *ix)
{
    if (ix == NULL)
        return;
    lv_mem_free(ix->given_back, LV_TAG_ROUTE);
    lv_mem_free(ix, LV_TAG_ROUTE);
}

enum lv_err lv_indexes_take(struct lv_router_indexes *ix, uint32_t *index)
{
    if (ix->count != 0) {
        *index = ix->given_back[--ix->count];
        return LV_OK;
    }
    if (ix->next == ix->cap) {
        if (ix->cap > UINT32_MAX / 2)
            return LV_EFULL;
        uint32_t cap = LV_MAX(ix->cap * 2, 16u);
        uint32_t *more = lv_mem_realloc(ix->given_back, cap * sizeof(*more), LV_TAG_ROUTE);
        if (more == NULL)
            return LV_ENOMEM;
        ix->given_back = more;
        ix->cap = cap;
    }
    *index = ix->next++;
    return LV_OK;
}

void lv_indexes_give(struct lv_router_indexes *ix, uint32_t index)
{
    LV_ASSERT(ix->count < ix->next);
    ix->given_back[ix->count++] = index;
}
