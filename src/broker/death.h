/* broker/death.h - what a dead letter tells about its deaths: the headers x-death, x-first-death-* and x-last-death-*.
 *
 * They are all that is remembered, beside that a message has died: what a publisher sent is overwritten at the first death
 * (RabbitMQ 4).
 * Owner   none: pure functions. Any thread.
 * Limits  LV_DEATHS_MAX, LV_DEATHS_BYTES_MAX, LV_DEATH_KEYS_BYTES_MAX (base/limits.h).
 */
#ifndef LV_BROKER_DEATH_H
#define LV_BROKER_DEATH_H
#include "base/bytes.h"
#include "base/err.h"
#include "engine/death.h"
#include "engine/message.h"

/* As clients read it: "rejected", "expired", "maxlen", "delivery_limit". Static. */
const char *lv_death_name(enum lv_death why);

/* One death of a message. */
struct lv_death_note {
    enum lv_death why;
    struct lv_bytes queue; /* its name, at most 255 bytes; borrows */
    uint64_t time_s;       /* since 1970 */
};

/* The properties of `m` with this death on record; `m` still has the exchange and the key that brought it to the queue.
 *
 * x-death is an array of tables, the latest death first, one for each pair of queue and reason, with RabbitMQ's fields in
 * its order: original-expiration (only if the message had an expiration), count, reason, queue, time, exchange,
 * routing-keys (the key and those of CC; BCC is nobody's business). A pair that is there already only counts on and moves
 * to the front. x-first-death-queue, -reason and -exchange are written once, x-last-death-* each time. The expiration
 * property is taken out, so that the dead letter does not expire again. Headers that are written anew stand last; all
 * else stays byte for byte. An x-death that is none of these arrays is replaced.
 * `out` is the caller's: lv_mem_free with LV_TAG_MESSAGE. It is at most LV_DEATH_PROPS_MORE bytes larger than the
 * properties of `m`. LV_ENOMEM; LV_ESYNTAX or LV_EDEPTH: the properties are malformed. */
#define LV_DEATH_PROPS_MORE 8192u
enum lv_err lv_death_props(const struct lv_msg *m, const struct lv_death_note *note,
                           struct lv_bytes *out) LV_MUST_USE;

/* The keys that a dead letter is routed with when its queue names none: that of `m`, then those of its headers CC and BCC.
 * Writes the first `max` of them, and returns how many there are, at least 1. They view `m`, whose properties may be
 * any bytes. */
size_t lv_death_keys(const struct lv_msg *m, struct lv_bytes *keys, size_t max);

/* RabbitMQ's rule for each queue that a dead letter would go to: `props` are of lv_death_props, `why` is the death just
 * recorded. True: it was in that queue before, and since then nobody rejected it, so that it would go round for ever; it
 * is not put there. False for malformed properties. */
bool lv_death_is_cycle(struct lv_bytes props, struct lv_bytes queue, enum lv_death why);

#endif
