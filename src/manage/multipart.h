/* manage/multipart.h - a form that a browser sends with a file in it: multipart/form-data (RFC 7578).
 *
 * Owner   none: views of the caller's memory. Any thread.
 */
#ifndef LV_MANAGE_MULTIPART_H
#define LV_MANAGE_MULTIPART_H
#include <stdbool.h>

#include "base/bytes.h"
#include "base/err.h"

#define LV_MULTIPART_BOUNDARY_MAX 70u /* RFC 2046 */
#define LV_MULTIPART_PARTS_MAX 64u

/* Is that the content type of such a form? */
bool lv_multipart_is(struct lv_bytes content_type);
/* The contents of the first field called `name`. LV_ENOTFOUND: the form has no such field; LV_ESYNTAX: it is no such form, or it
 * does not end; LV_EFULL: too many parts. */
enum lv_err lv_multipart_field(struct lv_bytes content_type, struct lv_bytes body, const char *name,
                               struct lv_bytes *out) LV_MUST_USE;

#endif
