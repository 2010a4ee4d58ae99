/* base/list.h - intrusive doubly linked ring. The head is a link that belongs to nobody. */
#ifndef LV_BASE_LIST_H
#define LV_BASE_LIST_H
#include <stdbool.h>
#include <stddef.h>

#include "base/assert.h"

struct lv_link {
    struct lv_link *prev, *next;
};

/* An empty list, or an element in no list. */
static inline void lv_list_init(struct lv_link *l)
{
    l->prev = l->next = l;
}
static inline bool lv_list_empty(const struct lv_link *head)
{
    return head->next == head;
}
/* True when `l` stands in some list (it was initialised, and added). */
static inline bool lv_list_linked(const struct lv_link *l)
{
    return l->next != l;
}
static inline void lv_list_insert_before(struct lv_link *at, struct lv_link *l)
{
    l->prev = at->prev;
    l->next = at;
    at->prev->next = l;
    at->prev = l;
}
static inline void lv_list_push(struct lv_link *head, struct lv_link *l)
{
    lv_list_insert_before(head, l);
}
/* Leaves `l` initialised, so removing twice is harmless. */
static inline void lv_list_remove(struct lv_link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    lv_list_init(l);
}
/* First element taken out, or NULL. */
static inline struct lv_link *lv_list_pop(struct lv_link *head)
{
    struct lv_link *l = head->next;

    if (l == head)
        return NULL;
    lv_list_remove(l);
    return l;
}
/* Moves all elements of `from` behind those of `to`; `from` is empty afterwards. */
static inline void lv_list_splice(struct lv_link *to, struct lv_link *from)
{
    if (lv_list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    lv_list_init(from);
}

#define LV_LIST_FOR(it, head) for (struct lv_link *it = (head)->next; it != (head); it = it->next)
/* `it` may be removed in the body. */
#define LV_LIST_FOR_SAFE(it, head)                                               \
    for (struct lv_link *it = (head)->next, *it##_next = it->next; it != (head); \
         it = it##_next, it##_next = it->next)

#endif
