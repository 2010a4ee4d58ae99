/* loop/proxy_priv.h - the PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): a load balancer in front says in
 * the first bytes of a connection whose it is. */
#ifndef LV_LOOP_PROXY_PRIV_H
#define LV_LOOP_PROXY_PRIV_H
#include <sys/socket.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "loop/conn.h"

#define LV_PROXY_HEADER_MAX 2048u /* bytes, with what version 2 adds behind the addresses */

/* Whose connection it is by the header. */
struct lv_proxied {
    struct sockaddr_storage peer, local;
};

/* A header that is still coming. */
struct lv_proxy {
    void (*known)(struct lv_conn *c);
    size_t have;
    uint8_t bytes[LV_PROXY_HEADER_MAX];
};

/* How many of these bytes, the first of a connection, belong to the header; 0: it is none. */
size_t lv_proxy_extent(struct lv_bytes in);
/* LV_EMORE: not all of it is there. LV_OK: *has_addresses says whether `out` was filled in; a proxy may speak for itself
 * (health checks), and of families that are no TCP nothing is taken. LV_ESYNTAX. `in` is lv_proxy_extent long. */
enum lv_err lv_proxy_parse(struct lv_bytes in, struct lv_proxied *out,
                           bool *has_addresses) LV_MUST_USE;
/* Takes what is there of the header from the socket. Like read(): -1 with EAGAIN: go on later, also when the header is whole;
 * 0: the connection ends. */
ssize_t lv_proxy_receive(struct lv_conn *c);

#endif
