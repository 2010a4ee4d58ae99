/* security/pattern.h - is this name covered by that permission?
 *
 * A pattern is a PCRE regular expression, as in RabbitMQ, searched for anywhere in the name. The forms that nearly all
 * permissions have (".*", "^$", "^a$", "^a", "^(a|b)-.*" ...) are compared without PCRE2; whatever else runs under a limit of
 * steps, depth and memory, and a search that reaches one has found nothing: access is refused.
 * Two differences from RabbitMQ, both towards refusal: `$` is the very end and not also the place before a last newline,
 * and `\C` is not allowed.
 * Owner   immutable once made; any thread.
 */
#ifndef LV_SECURITY_PATTERN_H
#define LV_SECURITY_PATTERN_H
#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"

#define LV_PATTERN_BYTES_MAX 4096u   /* of the source */
#define LV_PATTERN_STEPS_MAX 100000u /* PCRE2's match limit: about a millisecond */
#define LV_PATTERN_DEPTH_MAX 5000u   /* of nested backtracking */
#define LV_PATTERN_HEAP_KIB 1024u    /* memory of one search */
#define LV_PATTERN_BRANCHES_MAX 64u  /* alternatives compared without PCRE2 */

struct lv_pattern;

/* Compiles `source` (copied). LV_EINVAL: not a pattern, and `why` (of `cap` bytes) says what is wrong and where;
 * LV_EFULL: longer than LV_PATTERN_BYTES_MAX; LV_ENOMEM. */
enum lv_err lv_pattern_new(struct lv_bytes source, struct lv_pattern **out, char *why,
                           size_t cap) LV_MUST_USE;
/* Takes `p`, which may be NULL. */
void lv_pattern_free(struct lv_pattern *p);
/* false also when a limit or the memory's end was reached. */
bool lv_pattern_match(const struct lv_pattern *p, struct lv_bytes name);
/* Is it one of the forms that need no PCRE2? */
bool lv_pattern_is_simple(const struct lv_pattern *p);
/* Tests: match by PCRE2 although the form is simple. */
enum lv_err lv_pattern_new_slow(struct lv_bytes source, struct lv_pattern **out, char *why,
                                size_t cap) LV_MUST_USE;

/* What the variables of a topic permission stand for. */
struct lv_pattern_vars {
    struct lv_bytes username, vhost, client_id;
    bool has_client_id;
};

/* Does this source hold {username}, {vhost} or {client_id}? */
bool lv_pattern_has_vars(struct lv_bytes source);
/* Writes the source with each variable replaced by a pattern of exactly its value, so that no value can mean anything but
 * itself (RabbitMQ inserts it as it is). LV_ENOTFOUND: {client_id}, and there is none: nothing may match;
 * LV_EFULL: longer than the writer has room for. */
enum lv_err lv_pattern_expand(struct lv_bytes source, const struct lv_pattern_vars *vars,
                              struct lv_wr *out) LV_MUST_USE;

#endif
