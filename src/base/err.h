/* base/err.h - the error codes of every room. 0 is success, errors are negative; see err.def. */
#ifndef LV_BASE_ERR_H
#define LV_BASE_ERR_H

enum lv_err {
#define LV_ERR(code, name, text, reply) LV_##name = (code),
#include "base/err.def"
#undef LV_ERR
};

#define LV_MUST_USE __attribute__((warn_unused_result))

/* Text of `err` in a few words, never NULL, static. Any thread. */
const char *lv_err_text(enum lv_err err);
/* AMQP 0-9-1 reply code that fits `err` when nothing more precise is known; 0: none. Any thread. */
int lv_err_reply_code(enum lv_err err);

#endif
