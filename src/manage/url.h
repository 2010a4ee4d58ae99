/* manage/url.h - the target of a request: segments of its path, and its query.
 *
 * The path is split at its slashes first and decoded afterwards, so that a name may hold a slash (%2F). One slash at the end
 * is ignored. Segments are UTF-8 without NUL, as names are in AMQP.
 * Owner   the caller's memory: everything views the block that lv_url_parse decoded into. Any thread.
 */
#ifndef LV_MANAGE_URL_H
#define LV_MANAGE_URL_H
#include "base/bytes.h"
#include "base/err.h"

#define LV_URL_SEGMENTS_MAX 12u
#define LV_URL_PARAMS_MAX 32u

struct lv_url_param {
    struct lv_bytes name, value; /* decoded; a parameter without '=' has an empty value */
};

struct lv_url {
    struct lv_bytes path; /* as sent, without the query */
    uint32_t segment_count, param_count;
    struct lv_bytes segment[LV_URL_SEGMENTS_MAX]; /* decoded */
    struct lv_url_param param[LV_URL_PARAMS_MAX];
};

/* `block` has room for target.len bytes. The absolute form (http://host/path) is taken, too. LV_ESYNTAX: not a path, or a '%'
 * that nothing follows, or no UTF-8; LV_EFULL: too many segments or parameters. */
enum lv_err lv_url_parse(struct lv_bytes target, uint8_t *block, struct lv_url *out) LV_MUST_USE;
/* Name-value pairs as a form sends them: the same rules. Fills only the parameters. */
enum lv_err lv_url_parse_form(struct lv_bytes form, uint8_t *block, struct lv_url *out) LV_MUST_USE;
/* The first of that name; ptr NULL: there is none. */
struct lv_bytes lv_url_param(const struct lv_url *url, const char *name);

/* Writes `name` so that it is one segment: everything but letters, digits and "-_.~" as %XX. Returns what it wanted, as
 * lv_wr does. */
void lv_url_encode(struct lv_wr *out, struct lv_bytes name);

#endif
