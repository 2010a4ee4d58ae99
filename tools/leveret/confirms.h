/* tools/leveret/confirms.h - which publishes of a channel are still unconfirmed. */
#ifndef LV_TOOL_CONFIRMS_H
#define LV_TOOL_CONFIRMS_H
#include <stdbool.h>
#include <stdint.h>

struct lv_confirms {
    uint64_t next;   /* tag of the next publish; the first is 1 */
    uint64_t lowest; /* lowest tag that is not confirmed */
    uint64_t mask;
    bool *ring; /* tags above `lowest` that were settled out of turn */
};

/* At most `window` tags may be open at once. */
void lv_confirms_init(struct lv_confirms *c, uint64_t window);
void lv_confirms_fini(struct lv_confirms *c);
/* Publishes without an answer, counted from the lowest one. */
static inline uint64_t lv_confirms_open(const struct lv_confirms *c)
{
    return c->next - c->lowest;
}
/* Settles `tag`, or everything up to it. Gives how many were newly settled; 0 for a tag that is not open. */
uint64_t lv_confirms_settle(struct lv_confirms *c, uint64_t tag, bool is_multiple);

#endif
