#include "loop/proxy_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/conn_priv.h"
#include "os/log.h"

#define V1_MAX 107u /* bytes of a line, its end included */
#define V2_HEAD 16u

static const uint8_t v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

size_t lv_proxy_extent(struct lv_bytes in)
{
    if (in.len == 0)
        return 0;
    if (in.ptr[0] == 'P') {
        const uint8_t *end = memchr(in.ptr, '\n', LV_MIN(in.len, V1_MAX));
        return end != NULL ? (size_t)(end - in.ptr) + 1 : in.len < V1_MAX ? in.len : 0;
    }
    if (memcmp(in.ptr, v2_signature, LV_MIN(in.len, sizeof(v2_signature))) != 0)
        return 0;
    if (in.len < V2_HEAD)
        return in.len;
    size_t whole = V2_HEAD + lv_be16(in.ptr + 14);
    return whole > LV_PROXY_HEADER_MAX ? 0 : LV_MIN(in.len, whole);
}

/* ---- version 1: PROXY TCP4 192.0.2.1 198.51.100.1 56324 5672 CRLF ---- */

static bool take_word(char **at, char out[64])
{
    size_t len = strcspn(*at, " ");

    if (len == 0 || len >= 64)
        return false;
    memcpy(out, *at, len);
    out[len] = '\0';
    *at += len + ((*at)[len] == ' ');
    return true;
}

static bool take_port(char **at, in_port_t *out)
{
    char word[64];
    unsigned port = 0;

    if (!take_word(at, word) || strlen(word) > 5 || word[strspn(word, "0123456789")] != '\0')
        return false;
    for (const char *digit = word; *digit != '\0'; digit++)
        port = port * 10 + (unsigned)(*digit - '0');
    *out = htons((uint16_t)port);
    return port <= UINT16_MAX;
}

static bool take_host(char **at, int family, struct sockaddr_storage *out)
{
    char word[64];
    void *to = family == AF_INET ? (void *)&((struct sockaddr_in *)out)->sin_addr
                                 : (void *)&((struct sockaddr_in6 *)out)->sin6_addr;

    out->ss_family = (sa_family_t)family;
    return take_word(at, word) && inet_pton(family, word, to) == 1;
}

static in_port_t *port_of(struct sockaddr_storage *addr)
{
    return addr->ss_family == AF_INET ? &((struct sockaddr_in *)addr)->sin_port
                                      : &((struct sockaddr_in6 *)addr)->sin6_port;
}

static enum lv_err parse_v1(struct lv_bytes in, struct lv_proxied *out, bool *has_addresses)
{
    char line[V1_MAX + 1], kind[64], *at = line;

    if (in.ptr[in.len - 1] != '\n')
        return LV_EMORE;
    if (in.len < 8 || in.ptr[in.len - 2] != '\r' || memcmp(in.ptr, "PROXY ", 6) != 0)
        return LV_ESYNTAX;
    memcpy(line, in.ptr + 6, in.len - 8);
    line[in.len - 8] = '\0';
    if (strlen(line) != in.len - 8 || !take_word(&at, kind))
        return LV_ESYNTAX;
    if (strcmp(kind, "UNKNOWN") == 0)
        return LV_OK;
    int family = strcmp(kind, "TCP4") == 0 ? AF_INET : strcmp(kind, "TCP6") == 0 ? AF_INET6 : 0;
    if (family == 0 || !take_host(&at, family, &out->peer) || !take_host(&at, family, &out->local) ||
        !take_port(&at, port_of(&out->peer)) || !take_port(&at, port_of(&out->local)) || *at != '\0')
        return LV_ESYNTAX;
    *has_addresses = true;
    return LV_OK;
}

/* ---- version 2: signature, version and command, family, length, addresses, more ---- */

static void put_v4(struct sockaddr_storage *out, const uint8_t *host, const uint8_t *port)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;

    v4->sin_family = AF_INET;
    memcpy(&v4->sin_addr, host, 4);
    memcpy(&v4->sin_port, port, 2);
}

static void put_v6(struct sockaddr_storage *out, const uint8_t *host, const uint8_t *port)
{
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    v6->sin6_family = AF_INET6;
    memcpy(&v6->sin6_addr, host, 16);
    memcpy(&v6->sin6_port, port, 2);
}

static enum lv_err parse_v2(struct lv_bytes in, struct lv_proxied *out, bool *has_addresses)
{
    const uint8_t *a = in.ptr + V2_HEAD;

    if (in.len < V2_HEAD || in.len < V2_HEAD + (size_t)lv_be16(in.ptr + 14))
        return LV_EMORE;
    uint8_t command = in.ptr[12] & 15, family = in.ptr[13];
    size_t len = in.len - V2_HEAD;
    if (in.ptr[12] >> 4 != 2 || command > 1)
        return LV_ESYNTAX;
    if (command == 0 || (family != 0x11 && family != 0x21))
        return LV_OK;
    if (len < (family == 0x11 ? 12u : 36u))
        return LV_ESYNTAX;
    if (family == 0x11) {
        put_v4(&out->peer, a, a + 8);
        put_v4(&out->local, a + 4, a + 10);
    } else {
        put_v6(&out->peer, a, a + 32);
        put_v6(&out->local, a + 16, a + 34);
    }
    *has_addresses = true;
    return LV_OK;
}

enum lv_err lv_proxy_parse(struct lv_bytes in, struct lv_proxied *out, bool *has_addresses)
{
    *has_addresses = false;
    memset(out, 0, sizeof(*out));
    if (in.len == 0)
        return LV_EMORE;
    return in.ptr[0] == 'P' ? parse_v1(in, out, has_addresses) : parse_v2(in, out, has_addresses);
}

/* ---- a connection's ---- */

enum lv_err lv_conn_expect_proxy(struct lv_conn *c, void (*known)(struct lv_conn *c))
{
    struct lv_proxy *p = lv_mem_zalloc(sizeof(*p), LV_TAG_CONN);

    if (p == NULL)
        return LV_ENOMEM;
    p->known = known;
    c->io->proxy = p;
    return LV_OK;
}

/* The header is whole. */
static enum lv_err finish(struct lv_conn *c, const struct lv_proxied *found, bool has_addresses)
{
    struct lv_conn_io *io = c->io;
    struct lv_proxy *p = io->proxy;

    if (has_addresses) {
        io->proxied = lv_mem_dup(found, sizeof(*found), LV_TAG_CONN);
        if (io->proxied == NULL)
            return LV_ENOMEM;
    }
    io->proxy = NULL;
    p->known(c);
    lv_mem_free(p, LV_TAG_CONN);
    return LV_OK;
}

ssize_t lv_proxy_receive(struct lv_conn *c)
{
    struct lv_proxy *p = c->io->proxy;
    struct lv_proxied found;
    bool has_addresses;
    char peer[LV_ADDR_MAX];
    uint8_t *at = p->bytes + p->have;
    /* Only looked at: what comes behind the header is for somebody else. */
    ssize_t n = recv(c->io->fd, at, sizeof(p->bytes) - p->have, MSG_PEEK);

    if (n <= 0)
        return n;
    size_t own = lv_proxy_extent(lv_bytes(p->bytes, p->have + (size_t)n));
    enum lv_err err = LV_ESYNTAX;
    if (own > p->have && read(c->io->fd, at, own - p->have) == (ssize_t)(own - p->have)) {
        p->have = own;
        err = lv_proxy_parse(lv_bytes(p->bytes, own), &found, &has_addresses);
    }
    if (err == LV_OK)
        err = finish(c, &found, has_addresses);
    if (err == LV_OK || err == LV_EMORE) {
        errno = EAGAIN;
        return -1;
    }
    lv_conn_peer(c, peer);
    lv_log(PROXY_REFUSED, lv_log_str(peer));
    return 0;
}
