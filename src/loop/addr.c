#include "loop/addr_priv.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop/conn_priv.h"
#include "loop/proxy_priv.h"

static bool parse_port(const char *text, in_port_t *out)
{
    unsigned port = 0;

    if (*text == '\0' || strlen(text) > 5)
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        port = port * 10 + (unsigned)(*text - '0');
    }
    *out = htons((uint16_t)port);
    return port <= UINT16_MAX;
}

enum lv_err lv_addr_parse(const char *text, struct sockaddr_storage *out, socklen_t *len)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    const char *colon = strrchr(text, ':');
    bool is_v6 = text[0] == '[';
    char host[INET6_ADDRSTRLEN];

    if (colon == NULL || (is_v6 && colon[-1] != ']'))
        return LV_EINVAL;
    const char *from = text + is_v6;
    size_t n = (size_t)(colon - from) - is_v6;
    if (n >= sizeof(host))
        return LV_EINVAL;
    memcpy(host, from, n);
    host[n] = '\0';
    memset(out, 0, sizeof(*out));
    if (is_v6) {
        *len = sizeof(*v6);
        v6->sin6_family = AF_INET6;
        if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1 && parse_port(colon + 1, &v6->sin6_port))
            return LV_OK;
    } else {
        *len = sizeof(*v4);
        v4->sin_family = AF_INET;
        if (inet_pton(AF_INET, host, &v4->sin_addr) == 1 && parse_port(colon + 1, &v4->sin_port))
            return LV_OK;
    }
    return LV_EINVAL;
}

/* Three or four octal digits, and nothing behind them. */
static bool parse_mode(const char *text, mode_t *out)
{
    size_t len = strspn(text, "01234567");
    mode_t mode = 0;

    if (text[len] != '\0' || len < 3 || len > 4)
        return false;
    for (; *text != '\0'; text++)
        mode = mode << 3 | (mode_t)(*text - '0');
    *out = mode;
    return mode <= 0777;
}

enum lv_err lv_addr_parse_unix(const char *text, struct sockaddr_un *out, mode_t *mode)
{
    static const char scheme[] = "unix:", option[] = "?mode=";

    *mode = LV_UNIX_MODE;
    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (strncmp(text, scheme, sizeof(scheme) - 1) != 0)
        return LV_EINVAL;
    text += sizeof(scheme) - 1;
    const char *query = strstr(text, option);
    size_t len = query != NULL ? (size_t)(query - text) : strlen(text);
    if (text[0] != '/' || len < 2 || len >= sizeof(out->sun_path))
        return LV_EINVAL;
    memcpy(out->sun_path, text, len);
    return query == NULL || parse_mode(query + sizeof(option) - 1, mode) ? LV_OK : LV_EINVAL;
}

/* An IPv4 address that came through an IPv6 socket is shown as what it is. */
static void format(const struct sockaddr_storage *addr, char out[LV_ADDR_MAX])
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)addr;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)addr;
    char host[INET6_ADDRSTRLEN] = "";

    if (addr->ss_family == AF_INET) {
        (void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        (void)snprintf(out, LV_ADDR_MAX, "%s:%u", host, ntohs(v4->sin_port));
    } else if (addr->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        (void)inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, host, sizeof(host));
        (void)snprintf(out, LV_ADDR_MAX, "%s:%u", host, ntohs(v6->sin6_port));
    } else if (addr->ss_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
        (void)snprintf(out, LV_ADDR_MAX, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        const struct sockaddr_un *name = (const struct sockaddr_un *)addr;
        (void)snprintf(out, LV_ADDR_MAX, "unix%s%.*s", name->sun_path[0] == '/' ? ":" : "",
                       (int)sizeof(name->sun_path), name->sun_path);
    }
}

void lv_addr_local(int fd, char out[LV_ADDR_MAX])
{
    struct sockaddr_storage addr = { 0 };
    socklen_t len = sizeof(addr);

    out[0] = '\0';
    if (getsockname(fd, (struct sockaddr *)&addr, &len) == 0)
        format(&addr, out);
}

/* The peer's address, or our own: by what a proxy said, or by the socket. */
static bool address_of(const struct lv_conn *c, bool is_peer, struct sockaddr_storage *out)
{
    socklen_t len = sizeof(*out);

    memset(out, 0, sizeof(*out));
    if (c->io == NULL)
        return false;
    if (c->io->proxied != NULL) {
        *out = is_peer ? c->io->proxied->peer : c->io->proxied->local;
        return true;
    }
    return (is_peer ? getpeername(c->io->fd, (struct sockaddr *)out, &len)
                    : getsockname(c->io->fd, (struct sockaddr *)out, &len)) == 0;
}

void lv_conn_peer(const struct lv_conn *c, char out[LV_ADDR_MAX])
{
    struct sockaddr_storage addr;

    out[0] = '\0';
    if (address_of(c, true, &addr))
        format(&addr, out);
}

void lv_conn_local(const struct lv_conn *c, char out[LV_ADDR_MAX])
{
    struct sockaddr_storage addr;

    out[0] = '\0';
    if (address_of(c, false, &addr))
        format(&addr, out);
}

bool lv_conn_peer_is_loopback(const struct lv_conn *c)
{
    struct sockaddr_storage addr;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&addr;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&addr;

    if (!address_of(c, true, &addr))
        return false;
    if (addr.ss_family == AF_INET)
        return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    if (addr.ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ||
               (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) && v6->sin6_addr.s6_addr[12] == IN_LOOPBACKNET);
    return addr.ss_family == AF_UNIX;
}

size_t lv_conn_peer_ip(const struct lv_conn *c, uint8_t out[16])
{
    struct sockaddr_storage addr;

    if (!address_of(c, true, &addr))
        return 0;
    if (addr.ss_family == AF_INET) {
        memcpy(out, &((const struct sockaddr_in *)&addr)->sin_addr, 4);
        return 4;
    }
    if (addr.ss_family != AF_INET6)
        return 0;
    memcpy(out, &((const struct sockaddr_in6 *)&addr)->sin6_addr, 16);
    return 16;
}
