/* security/refuse_priv.h - how a refusal gets its words. */
#ifndef LV_SECURITY_REFUSE_PRIV_H
#define LV_SECURITY_REFUSE_PRIV_H
#include "security/pass.h"

/* Fills in `why`; always LV_EREFUSED. */
enum lv_err lv_refuse(struct lv_refusal *why, uint16_t code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
