/* loop/addr_priv.h - socket addresses as text: "127.0.0.1:5672", "[::1]:5672", "unix:/run/mq.sock". Numbers only, no
 * name is looked up. */
#ifndef LV_LOOP_ADDR_PRIV_H
#define LV_LOOP_ADDR_PRIV_H
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

#include "base/err.h"
#include "loop/conn.h"

/* LV_EINVAL: not an address. */
enum lv_err lv_addr_parse(const char *text, struct sockaddr_storage *out,
                          socklen_t *len) LV_MUST_USE;
/* "unix:/PATH[?mode=OCTAL]". LV_EINVAL: not that, or too long for the system. */
enum lv_err lv_addr_parse_unix(const char *text, struct sockaddr_un *out, mode_t *mode) LV_MUST_USE;
/* An address of a socket; "unix" for a Unix socket without a name, "" when it has none any more. */
void lv_addr_local(int fd, char out[LV_ADDR_MAX]);

#endif
