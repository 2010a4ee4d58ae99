/* security/base64.h - RFC 4648 §4, with padding, and nothing else: no blanks, no bits that are not zero behind the end. */
#ifndef LV_SECURITY_BASE64_H
#define LV_SECURITY_BASE64_H
#include "base/bytes.h"
#include "base/err.h"

#define LV_BASE64_TEXT_BYTES(n) (((n) + 2u) / 3u * 4u)

/* Writes LV_BASE64_TEXT_BYTES(in.len) bytes, without NUL. */
void lv_base64_encode(struct lv_wr *out, struct lv_bytes in);
/* LV_ESYNTAX: not base64. More than `out` has room for is only counted. */
enum lv_err lv_base64_decode(struct lv_wr *out, struct lv_bytes text) LV_MUST_USE;

#endif
