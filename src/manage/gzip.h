/* manage/gzip.h - a reply's body, compressed piece by piece (RFC 1952).
 *
 * Owner   the caller's memory; one thread.
 */
#ifndef LV_MANAGE_GZIP_H
#define LV_MANAGE_GZIP_H
#include "manage/buf.h"

struct lv_gzip;

/* NULL: no memory. */
struct lv_gzip *lv_gzip_new(void);
/* NULL is allowed. */
void lv_gzip_free(struct lv_gzip *z);
/* Appends to `out` what comes of `in`; all of it when `is_last`. Without memory out->is_short is set. */
void lv_gzip_add(struct lv_gzip *z, struct lv_bytes in, bool is_last, struct lv_buf *out);

#endif
