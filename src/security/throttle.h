/* security/throttle.h - failed logins are slowed, each address for itself.
 *
 * An address may fail `burst` times in a row; failures are forgotten at `per_minute`. After that each attempt has to wait,
 * first `first_ms`, then twice as long each time, up to `max_ms`; the waiting grows shorter by half in every quiet minute,
 * and only then are failures forgotten again. Attempts that succeed cost nothing.
 * An IPv6 address counts by its first 64 bits, which is what one client can choose from; IPv4 in IPv6 as IPv4.
 * Owner   one thread, or under a lock of the caller.
 * Bounds  LV_THROTTLE_ADDRESSES; when more addresses fail at a time, the one that has been quiet longest is forgotten.
 */
#ifndef LV_SECURITY_THROTTLE_H
#define LV_SECURITY_THROTTLE_H
#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/time.h"

#define LV_THROTTLE_ADDRESSES 4096u

struct lv_throttle_rule {
    uint32_t burst, per_minute; /* burst 0: never slowed */
    uint32_t first_ms, max_ms;
};

#define LV_THROTTLE_DEFAULT ((struct lv_throttle_rule){ 10, 10, 1000, 60000 })

struct lv_throttle;

/* LV_ENOMEM. */
enum lv_err lv_throttle_new(const struct lv_throttle_rule *rule,
                            struct lv_throttle **out) LV_MUST_USE;
void lv_throttle_free(struct lv_throttle *t);
/* The part of an address that counts; views it. */
struct lv_bytes lv_throttle_network(struct lv_bytes address);
/* `address` is 4 or 16 bytes. 0: try, and tell with lv_throttle_settle how it went; else milliseconds to wait before asking
 * again. What is being tried counts as failed meanwhile, so that trying all at once gains nothing. */
uint32_t lv_throttle_admit(struct lv_throttle *t, struct lv_bytes address, lv_time_ms now);
void lv_throttle_settle(struct lv_throttle *t, struct lv_bytes address, bool has_failed,
                        lv_time_ms now);

#endif
