/* Where the broker's API is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "api.h"

#define SOCKET_NAME "leveret.sock"
#define DEFAULT_URL "http://guest:guest@127.0.0.1:15672"
#define SOCKET_URL "http://localhost"

/* Data directories that a broker may be asked for without being told (docs/guide/configuration.md). */
static const char *const usual_dirs[] = { "/var/lib/leveret", "leveret-data" };

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* New text without percent signs; NULL: a sign that stands for nothing, or for NUL. */
static char *decoded(const char *text, size_t len)
{
    char *out = lv_keep(malloc(len + 1)), *to = out;

    for (size_t i = 0; i < len; i++) {
        if (text[i] != '%') {
            *to++ = text[i];
            continue;
        }
        int high = i + 2 < len ? hex(text[i + 1]) : -1;
        int low = i + 2 < len ? hex(text[i + 2]) : -1;
        if (high < 0 || low < 0 || high + low == 0)
            return NULL;
        *to++ = (char)(high * 16 + low);
        i += 2;
    }
    *to = '\0';
    return out;
}

static char *copied(const char *text, size_t len)
{
    return lv_keep(strndup(text, len));
}

bool lv_endpoint_parse(struct lv_endpoint *out, const char *url, struct lv_fault *fault)
{
    const char *host = strstr(url, "://");

    if (host == NULL || (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0))
        return lv_fail(fault, EX_USAGE, "'%s' is not an http:// or https:// URL", url);
    size_t scheme_len = (size_t)(host - url) + 3;
    host += 3;
    size_t len = strcspn(host, "/");
    const char *at = memrchr(host, '@', len);
    if (at != NULL) {
        size_t login_len = (size_t)(at - host);
        const char *colon = memchr(host, ':', login_len);
        size_t user_len = colon != NULL ? (size_t)(colon - host) : login_len;
        out->user = decoded(host, user_len);
        out->password = colon != NULL ? decoded(colon + 1, login_len - user_len - 1) : copied("", 0);
        if (out->user == NULL || out->password == NULL)
            return lv_fail(fault, EX_USAGE, "the URL's user or password is not percent-encoded");
        len -= login_len + 1;
        host = at + 1;
    }
    if (len == 0)
        return lv_fail(fault, EX_USAGE, "'%s' names no host", url);
    /* No resolver is begun for this machine. */
    bool is_local = url[4] == ':' && len >= 9 && strncmp(host, "localhost", 9) == 0 &&
                    (len == 9 || host[9] == ':');
    char *plain = lv_keep(malloc(scheme_len + len + 1));
    snprintf(plain, scheme_len + len + 1, "%.*s%s%.*s", (int)scheme_len, url,
             is_local ? "127.0.0.1" : "", (int)(is_local ? len - 9 : len),
             is_local ? host + 9 : host);
    out->url = plain;
    const char *path = host + len;
    size_t path_len = strlen(path);
    while (path_len > 0 && path[path_len - 1] == '/')
        path_len--;
    if (path_len >= 4 && strncmp(path + path_len - 4, "/api", 4) == 0)
        path_len -= 4;
    if (path_len > 0)
        out->prefix = copied(path, path_len);
    return true;
}

static bool is_listening(const char *path)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };

    if (strlen(path) >= sizeof(to.sun_path))
        return false;
    memcpy(to.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool is_there = connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0;
    close(fd);
    return is_there;
}

static char *socket_in(const char *dir)
{
    size_t len = strlen(dir) + sizeof("/" SOCKET_NAME);
    char *path = lv_keep(malloc(len));

    snprintf(path, len, "%s/%s", dir, SOCKET_NAME);
    return path;
}

static void use_socket(struct lv_endpoint *out, const char *path)
{
    struct stat info;
    bool is_dir = stat(path, &info) == 0 && S_ISDIR(info.st_mode);

    out->url = SOCKET_URL;
    out->socket = is_dir ? socket_in(path) : path;
}

static bool use_url(struct lv_endpoint *out, const char *url, struct lv_fault *fault)
{
    if (!lv_endpoint_parse(out, url, fault))
        return false;
    if (out->user == NULL) {
        out->user = "guest";
        out->password = "guest";
    }
    return true;
}

bool lv_endpoint_find(struct lv_endpoint *out, const char *url, const char *socket,
                      struct lv_fault *fault)
{
    const char *named_url = getenv("LEVERET_URL"), *named_dir = getenv("LEVERET_DATA_DIR");

    if (url != NULL)
        return use_url(out, url, fault);
    if (socket != NULL) {
        use_socket(out, socket);
        return true;
    }
    if (named_url != NULL && named_url[0] != '\0')
        return use_url(out, named_url, fault);
    if (named_dir != NULL && named_dir[0] != '\0') {
        use_socket(out, socket_in(named_dir));
        return true;
    }
    for (size_t i = 0; i < sizeof(usual_dirs) / sizeof(usual_dirs[0]); i++) {
        char *path = socket_in(usual_dirs[i]);
        if (is_listening(path)) {
            use_socket(out, path);
            return true;
        }
    }
    return use_url(out, DEFAULT_URL, fault);
}
