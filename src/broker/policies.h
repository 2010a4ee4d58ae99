/* broker/policies.h - policies, operator policies, runtime parameters and global parameters.
 *
 * All four are one kind of thing, a parameter: a name (in a virtual host and a component, or global) and a JSON text. A
 * policy is a parameter of the component "policy" or "operator_policy", whose text is
 * {"pattern":..,"definition":{..},"priority":N,"apply-to":..}; it is parsed when it is put. A change is in the log before
 * anybody sees it.
 * Owner   put and remove: loop 0, or before the loops run the thread that made the broker. Everything else: any reader's
 *         section (a loop's turn, lv_reader_begin); what is found stays until it ends.
 * Bounds  LV_PARAMETER_BYTES_MAX, names of 1 to 255 bytes; how many there are is the operator's affair.
 */
#ifndef LV_BROKER_POLICIES_H
#define LV_BROKER_POLICIES_H
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "broker/observe.h"

struct lv_broker;

#define LV_PARAMETER_BYTES_MAX 65536u /* of a text, blanks left out */
#define LV_PARAMETER_WHY_MAX 1024u    /* enough for any `why` */

/* ---- changes ----
 * `json` is the value as somebody wrote it; it is kept without blanks. Each returns
 *   LV_EINVAL    refused: `why` (of `cap` bytes) has RabbitMQ's text, which begins with "Validation failed"
 *   LV_ENOTFOUND there is no such virtual host; remove: no such thing
 *   LV_EFULL, LV_ENOMEM, LV_EIO   nothing changed
 * and with is_new (may be NULL) whether the name was free. */

enum lv_policy_kind { LV_POLICY_USER, LV_POLICY_OPERATOR, LV_POLICY_KINDS };

/* `json`: an object; of it count pattern, definition, priority (0 if missing) and apply-to ("all" if missing). */
enum lv_err lv_broker_put_policy(struct lv_broker *b, enum lv_policy_kind kind,
                                 struct lv_bytes vhost, struct lv_bytes name, struct lv_bytes json,
                                 bool *is_new, char *why, size_t cap) LV_MUST_USE;
enum lv_err lv_broker_remove_policy(struct lv_broker *b, enum lv_policy_kind kind,
                                    struct lv_bytes vhost, struct lv_bytes name) LV_MUST_USE;
/* A component that is not known is refused, and the two of policies are. "vhost-limits" sets the limits in the record of the
 * virtual host (a limit that is not named is none), and is found there and not here. */
enum lv_err lv_broker_put_parameter(struct lv_broker *b, struct lv_bytes vhost,
                                    struct lv_bytes component, struct lv_bytes name,
                                    struct lv_bytes json, bool *is_new, char *why,
                                    size_t cap) LV_MUST_USE;
enum lv_err lv_broker_remove_parameter(struct lv_broker *b, struct lv_bytes vhost,
                                       struct lv_bytes component, struct lv_bytes name) LV_MUST_USE;
enum lv_err lv_broker_put_global(struct lv_broker *b, struct lv_bytes name, struct lv_bytes json,
                                 bool *is_new, char *why, size_t cap) LV_MUST_USE;
enum lv_err lv_broker_remove_global(struct lv_broker *b, struct lv_bytes name) LV_MUST_USE;

/* ---- what there is ---- */

struct lv_parameter {
    struct lv_bytes vhost, component; /* empty: a global one */
    struct lv_bytes name;
    struct lv_bytes value; /* JSON text */
};

enum lv_apply_to {
    LV_APPLY_ALL,
    LV_APPLY_QUEUES,
    LV_APPLY_EXCHANGES,
    LV_APPLY_CLASSIC_QUEUES,
    LV_APPLY_QUORUM_QUEUES,
    LV_APPLY_STREAMS,
    LV_APPLY_COUNT,
};

struct lv_policy {
    enum lv_policy_kind kind;
    struct lv_bytes vhost, name, pattern;
    struct lv_bytes definition; /* JSON text of an object */
    enum lv_apply_to apply_to;
    int64_t priority;
};

/* "all", "queues" ... static. */
const char *lv_apply_to_name(enum lv_apply_to apply_to);

/* The next policy of this kind in a virtual host, by falling priority; start with *pos = 0, NULL at the end. */
const struct lv_policy *lv_policy_next(const struct lv_broker *b, enum lv_policy_kind kind,
                                       struct lv_bytes vhost, size_t *pos);
const struct lv_policy *lv_policy_find(const struct lv_broker *b, enum lv_policy_kind kind,
                                       struct lv_bytes vhost, struct lv_bytes name);
/* The next parameter of a virtual host (policies too, but no limits), by component and name; the same. */
const struct lv_parameter *lv_parameter_next(const struct lv_broker *b, struct lv_bytes vhost,
                                             size_t *pos);
const struct lv_parameter *lv_parameter_find(const struct lv_broker *b, struct lv_bytes vhost,
                                             struct lv_bytes component, struct lv_bytes name);
/* The next global parameter, by name; the same. Those that only concern the broker itself are among them: */
const struct lv_parameter *lv_global_next(const struct lv_broker *b, size_t *pos);
const struct lv_parameter *lv_global_find(const struct lv_broker *b, struct lv_bytes name);
/* Names that begin with "internal": not in an export, nor in lists of other tools. */
bool lv_global_is_internal(struct lv_bytes name);

/* ---- what applies ---- */

/* At most one policy of each kind applies to a queue or exchange: that of the highest priority whose pattern is found in
 * the name, that is for such things, and that has no key which this type of queue does not know. NULL: none. */
struct lv_policy_match {
    const struct lv_policy *policy, *operator_policy;
};
void lv_policy_match_queue(const struct lv_broker *b, struct lv_bytes vhost, struct lv_bytes name,
                           enum lv_queue_kind kind, struct lv_policy_match *out);
void lv_policy_match_exchange(const struct lv_broker *b, struct lv_bytes vhost,
                              struct lv_bytes name, struct lv_policy_match *out);
/* Writes the definition that is in effect: both merged, where both say something the operator's rule (the smaller number,
 * the operator's word). "{}" for none. LV_ENOMEM. */
enum lv_err lv_policy_effective(const struct lv_policy_match *match, struct lv_wr *out) LV_MUST_USE;

#endif
