/* server/tls.h - the TLS contexts of the listeners, made from the settings.
 *
 * Owner   the main thread, which runs loop 0.
 */
#ifndef LV_SERVER_TLS_H
#define LV_SERVER_TLS_H
#include "loop/tls.h"

struct lv_settings;

/* ssl_options.*, management.ssl.*, prometheus.ssl.* */
enum lv_server_tls { LV_TLS_AMQP, LV_TLS_MANAGEMENT, LV_TLS_METRICS };

/* LV_EINVAL: `error` says which file or setting, and why. */
enum lv_err lv_server_tls_open(const struct lv_settings *settings, enum lv_server_tls which,
                               unsigned loops, struct lv_tls **out,
                               char error[LV_TLS_ERROR_MAX]) LV_MUST_USE;
/* Reads the files again and says in the log how it went. */
void lv_server_tls_reload(const struct lv_settings *settings, enum lv_server_tls which,
                          struct lv_tls *tls);

#endif
