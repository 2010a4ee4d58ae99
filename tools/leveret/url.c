#include "url.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes text[0..len) into `out`; false when it does not fit or an escape is malformed. */
static bool decode(char *out, size_t size, const char *text, size_t len)
{
    size_t used = 0;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            if (i + 2 >= len || hex_digit(text[i + 1]) < 0 || hex_digit(text[i + 2]) < 0)
                return false;
            c = (char)(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2]));
            i += 2;
        }
        if (used + 1 >= size)
            return false;
        out[used++] = c;
    }
    out[used] = '\0';
    return true;
}

/* host, host:port, [v6] or [v6]:port */
static bool parse_address(struct lv_url *url, const char *text, size_t len)
{
    const char *end = text + len, *port = NULL;

    if (len != 0 && text[0] == '[') {
        const char *bracket = memchr(text, ']', len);
        if (bracket == NULL)
            return false;
        port = bracket + 1 < end ? bracket + 1 : NULL;
        if (!decode(url->host, sizeof(url->host), text + 1, (size_t)(bracket - text - 1)))
            return false;
    } else {
        port = memchr(text, ':', len);
        size_t host_len = port != NULL ? (size_t)(port - text) : len;
        if (host_len != 0 && !decode(url->host, sizeof(url->host), text, host_len))
            return false;
    }
    if (port == NULL)
        return true;
    return *port == ':' &&
           decode(url->port, sizeof(url->port), port + 1, (size_t)(end - port - 1)) &&
           strspn(url->port, "0123456789") == strlen(url->port) && url->port[0] != '\0';
}

static bool parse_login(struct lv_url *url, const char *text, size_t len)
{
    const char *colon = memchr(text, ':', len);
    size_t user_len = colon != NULL ? (size_t)(colon - text) : len;

    if (!decode(url->user, sizeof(url->user), text, user_len))
        return false;
    return colon == NULL ||
           decode(url->password, sizeof(url->password), colon + 1, len - user_len - 1);
}

bool lv_url_parse(struct lv_url *url, const char *text, struct lv_fault *fault)
{
    static const char scheme[] = "amqp://";
    const char *at = text;

    *url = (struct lv_url){ "guest", "guest", "127.0.0.1", "5672", "/" };
    if (strncmp(at, scheme, strlen(scheme)) != 0)
        return lv_fail(fault, EX_USAGE, "'%s' is not an amqp:// URL", text);
    at += strlen(scheme);

    size_t authority_len = strcspn(at, "/");
    const char *login_end = memrchr(at, '@', authority_len);
    const char *address = login_end != NULL ? login_end + 1 : at;
    const char *path = at + authority_len;

    if (login_end != NULL && !parse_login(url, at, (size_t)(login_end - at)))
        return lv_fail(fault, EX_USAGE, "bad user or password in '%s'", text);
    if (!parse_address(url, address, (size_t)(path - address)))
        return lv_fail(fault, EX_USAGE, "bad host or port in '%s'", text);
    if (path[0] == '/' && path[1] != '\0' &&
        !decode(url->vhost, sizeof(url->vhost), path + 1, strlen(path + 1)))
        return lv_fail(fault, EX_USAGE, "bad virtual host in '%s'", text);
    return true;
}
