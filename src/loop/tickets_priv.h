/* loop/tickets_priv.h - the keys of session tickets, the same on every loop without a word between them.
 *
 * All loops begin with one secret. Every LV_TICKET_ROTATE_MS each replaces it by its hash, so they stay alike, and what
 * was sealed before cannot be opened with what is known now. Tickets are sealed with the newest keys and opened with
 * those and the ones before.
 */
#ifndef LV_LOOP_TICKETS_PRIV_H
#define LV_LOOP_TICKETS_PRIV_H
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/time.h"

#define LV_TICKET_ROTATE_MS UINT64_C(3600000)
#define LV_TICKET_SECRET 32
#define LV_TICKET_NAME 16

struct lv_ticket_keys {
    uint8_t name[LV_TICKET_NAME]; /* goes with the ticket */
    uint8_t aes[32], mac[32];
};

struct lv_tickets {
    uint8_t secret[LV_TICKET_SECRET];
    lv_time_ms due; /* of the next rotation */
    struct lv_ticket_keys now, before;
    bool has_before;
};

/* LV_EIO: a hash failed. */
enum lv_err lv_tickets_init(struct lv_tickets *t, const uint8_t secret[LV_TICKET_SECRET],
                            lv_time_ms began) LV_MUST_USE;
/* Rotates as often as it is due. */
enum lv_err lv_tickets_advance(struct lv_tickets *t, lv_time_ms now) LV_MUST_USE;
/* The keys of that name; NULL: too old, or not ours. */
const struct lv_ticket_keys *lv_tickets_find(const struct lv_tickets *t,
                                             const uint8_t name[LV_TICKET_NAME]);
void lv_tickets_fini(struct lv_tickets *t); /* wipes */

#endif
