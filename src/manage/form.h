/* manage/form.h - multipart/form-data (RFC 7578): the one part that is wanted.
 *
 * Owner   none: views. Any thread.
 */
#ifndef LV_MANAGE_FORM_H
#define LV_MANAGE_FORM_H
#include "base/bytes.h"

/* The contents of the part of that name. False: the body is no such form, or has no such part. */
bool lv_form_part(struct lv_bytes content_type, struct lv_bytes body, const char *name,
                  struct lv_bytes *out);

#endif
