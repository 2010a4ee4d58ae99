/* base/utf8.h - is a byte string well-formed UTF-8 (RFC 3629: no overlong forms, surrogates, or above U+10FFFF)? */
#ifndef LV_BASE_UTF8_H
#define LV_BASE_UTF8_H
#include <stdbool.h>

#include "base/bytes.h"

bool lv_utf8_valid(struct lv_bytes b);

#endif
