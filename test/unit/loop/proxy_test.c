/* PROXY protocol headers as bytes; over a socket they are tested in test/ops/test_proxy.py. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "loop/proxy_priv.h"
#include "lv_test.h"

#define V2 "\r\n\r\n\0\r\nQUIT\n"
#define BYTES(text) lv_bytes(text, sizeof(text) - 1)

static enum lv_err parse(struct lv_bytes in, struct lv_proxied *out, bool *has)
{
    size_t own = lv_proxy_extent(in);

    return own == 0 ? LV_ESYNTAX : lv_proxy_parse(lv_bytes(in.ptr, own), out, has);
}

static void check_v4(const struct sockaddr_storage *addr, const char *host, unsigned port)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)addr;
    char text[INET_ADDRSTRLEN];

    CHECK_EQ(addr->ss_family, AF_INET);
    CHECK_STR(inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text)), host);
    CHECK_EQ(ntohs(v4->sin_port), port);
}

LV_TEST(addresses_of_version_1)
{
    struct lv_bytes in = BYTES("PROXY TCP4 192.0.2.1 198.51.100.1 56324 5672\r\nAMQP");
    struct lv_proxied p;
    bool has;

    CHECK_EQ(lv_proxy_extent(in), in.len - 4);
    CHECK_EQ(parse(in, &p, &has), LV_OK);
    CHECK(has);
    check_v4(&p.peer, "192.0.2.1", 56324);
    check_v4(&p.local, "198.51.100.1", 5672);
    CHECK_EQ(parse(BYTES("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"), &p, &has), LV_OK);
    CHECK_EQ(p.local.ss_family, AF_INET6);
    CHECK_EQ(ntohs(((struct sockaddr_in6 *)&p.local)->sin6_port), 65535);
    CHECK_EQ(parse(BYTES("PROXY UNKNOWN who knows\r\n"), &p, &has), LV_OK);
    CHECK(!has);
}

LV_TEST(addresses_of_version_2)
{
    struct lv_bytes in = BYTES(V2 "\x21\x11\x00\x10\xC0\x00\x02\x01\xC6\x33\x64\x01\xDC\x04\x16\x28"
                                  "\x04\x00\x01xAMQP");
    struct lv_proxied p;
    bool has;

    CHECK_EQ(lv_proxy_extent(in), in.len - 4);
    CHECK_EQ(parse(in, &p, &has), LV_OK);
    CHECK(has);
    check_v4(&p.peer, "192.0.2.1", 56324);
    check_v4(&p.local, "198.51.100.1", 5672);
    CHECK_EQ(parse(BYTES(V2 "\x20\x00\x00\x00"), &p, &has), LV_OK);
    CHECK(!has); /* the proxy itself */
    CHECK_EQ(parse(BYTES(V2 "\x21\x31\x00\x00"), &p, &has), LV_OK);
    CHECK(!has); /* a Unix socket */
}

LV_TEST(a_header_in_pieces)
{
    struct lv_bytes in = BYTES("PROXY TCP4 192.0.2.1 198.51.100.1 56324 5672\r\n");
    struct lv_proxied p;
    bool has;

    for (size_t n = 1; n < in.len; n++) {
        CHECK_EQ(lv_proxy_extent(lv_bytes(in.ptr, n)), n);
        CHECK_EQ(lv_proxy_parse(lv_bytes(in.ptr, n), &p, &has), LV_EMORE);
    }
}

LV_TEST(what_is_no_header)
{
    static const struct lv_bytes wrong[] = {
        LV_BYTES_LIT("AMQP\0\0\x09\x01"),
        LV_BYTES_LIT("PROXY\r\n"),
        LV_BYTES_LIT("PROXZ TCP4 192.0.2.1 198.51.100.1 1 2\r\n"),
        LV_BYTES_LIT("PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n"),
        LV_BYTES_LIT("PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n"),
        LV_BYTES_LIT("PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n"),
        LV_BYTES_LIT("PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n"),
        LV_BYTES_LIT("PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n"),
        LV_BYTES_LIT("PROXY TCP4 ::1 ::1 1 2\r\n"),
        LV_BYTES_LIT("PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n"),
        LV_BYTES_LIT("PROXY TCP4 192.0.2.1\0 198.51.100.1 1 2\r\n"),
        LV_BYTES_LIT(V2 "\x11\x11\x00\x00"),
        LV_BYTES_LIT(V2 "\x22\x11\x00\x00"),
        LV_BYTES_LIT(V2 "\x21\x11\x00\x0B"
                        "12345678901"),
        LV_BYTES_LIT(V2 "\x21\x11\xFF\xFF"),
    };
    struct lv_proxied p;
    uint8_t endless[200];
    bool has;

    for (size_t i = 0; i < LV_ARRAY_LEN(wrong); i++)
        CHECK_EQ(parse(wrong[i], &p, &has), LV_ESYNTAX);
    memset(endless, 'P', sizeof(endless));
    CHECK_EQ(lv_proxy_extent(lv_bytes(endless, sizeof(endless))), 0);
}
