/* Where rabbitmqadmin finds the broker: options, and sections of a configuration file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli.h"

#define LINE_MAX_BYTES 1024

/* What a file calls the options. */
static const char *const names[][2] = {
    { "hostname", "host" },
    { "use_tls", "ssl" },
    { "username", "login" },
    { "password", "login_password" },
    { "tls", "ssl" },
    { "tls_key_file", "ssl_key_file" },
    { "tls_cert_file", "ssl_cert_file" },
    { "tls_ca_cert_file", "ssl_ca_cert_file" },
};

static char *trimmed(char *text)
{
    text += strspn(text, " \t");
    size_t len = strlen(text);
    while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
        text[--len] = '\0';
    if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
        text[len - 1] = '\0';
        text++;
    }
    return text;
}

/* A comment begins a line, or follows a blank. */
static void drop_comment(char *line)
{
    for (char *at = line; *at != '\0'; at++) {
        if ((*at == '#' || *at == ';') && (at == line || at[-1] == ' ' || at[-1] == '\t')) {
            *at = '\0';
            return;
        }
    }
}

/* Options that were given keep what they have. */
static void take_line(struct lv_cli *c, char *line)
{
    char *equals = strchr(line, '=');

    if (equals == NULL)
        return;
    *equals = '\0';
    char *key = trimmed(line), *value = trimmed(equals + 1);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(names[i][0], key) == 0)
            key = (char *)(uintptr_t)names[i][1];
    if (strcmp(key, "ssl") == 0 && strcasecmp(value, "true") != 0)
        return;
    if (lv_cli_has(c, key) && strcmp(key, "request_timeout") != 0)
        return;
    key = lv_keep(strdup(key));
    lv_cli_set(c, key, strlen(key), lv_keep(strdup(value)));
}

static bool read_section(struct lv_cli *c, FILE *file, const char *section)
{
    char line[LINE_MAX_BYTES];
    bool is_inside = false, is_found = false;

    while (fgets(line, sizeof(line), file) != NULL) {
        drop_comment(line);
        char *text = trimmed(line);
        if (text[0] == '[') {
            text[strcspn(text, "]")] = '\0';
            is_inside = strcmp(text + 1, section) == 0;
            is_found |= is_inside;
        } else if (is_inside) {
            take_line(c, text);
        }
    }
    return is_found;
}

/* The file that is there without being named, or NULL. The caller frees. */
static char *usual_file(void)
{
    const char *home = getenv("HOME");
    char *path = NULL;

    if (home == NULL || asprintf(&path, "%s/.rabbitmqadmin.conf", home) < 0)
        return NULL;
    if (access(path, R_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static bool read_file(struct lv_cli *c)
{
    const char *named = lv_cli_var(c, "config"), *section = lv_cli_var(c, "section");
    char *path = named != NULL ? lv_need(strdup(named)) : usual_file();
    bool is_default = strcmp(section, "default") == 0;

    if (path == NULL)
        return is_default ||
               lv_fail(&c->fault, EX_CONFIG, "no configuration file with a section '%s'", section);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return lv_fail_errno(&c->fault, EX_CONFIG, "could not read config file '%s'", path);
    bool is_found = read_section(c, file, section);
    fclose(file);
    bool is_good = is_found || is_default ||
                   lv_fail(&c->fault, EX_CONFIG, "'%s' has no section '%s'", path, section);
    free(path);
    return is_good;
}

static bool has_any(const struct lv_cli *c)
{
    static const char *const what[] = { "host", "port", "login",   "login_password",
                                        "ssl",  "tls",  "use_tls", "path_prefix" };

    for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++)
        if (lv_cli_has(c, what[i]))
            return true;
    return false;
}

static const char *either(const struct lv_cli *c, const char *a, const char *b)
{
    return lv_cli_has(c, a) ? lv_cli_var(c, a) : lv_cli_var(c, b);
}

static bool set_url(struct lv_cli *c, struct lv_endpoint *out)
{
    bool is_tls = lv_cli_has(c, "ssl") || lv_cli_has(c, "tls") || lv_cli_has(c, "use_tls");
    const char *host = lv_cli_var(c, "host"), *port = lv_cli_var(c, "port");
    char *url = NULL;

    host = host != NULL ? host : "localhost";
    port = port != NULL ? port : is_tls ? "15671" : "15672";
    bool is_v6 = strchr(host, ':') != NULL && host[0] != '[';
    if (asprintf(&url, "%s://%s%s%s:%s", is_tls ? "https" : "http", is_v6 ? "[" : "", host,
                 is_v6 ? "]" : "", port) < 0)
        url = NULL;
    return lv_endpoint_parse(out, lv_keep(url), &c->fault);
}

bool lv_cli_admin_endpoint(struct lv_cli *c, struct lv_endpoint *out)
{
    const char *uri;

    if (!read_file(c))
        return false;
    uri = lv_cli_var(c, "base_uri");
    if (uri == NULL && !has_any(c))
        return lv_endpoint_find(out, NULL, NULL, &c->fault);
    if (uri != NULL ? !lv_endpoint_parse(out, uri, &c->fault) : !set_url(c, out))
        return false;
    if (lv_cli_has(c, "login") || out->user == NULL)
        out->user = lv_cli_has(c, "login") ? lv_cli_var(c, "login") : "guest";
    if (lv_cli_has(c, "login_password") || out->password == NULL)
        out->password = lv_cli_has(c, "login_password") ? lv_cli_var(c, "login_password") : "guest";
    if (lv_cli_has(c, "path_prefix"))
        out->prefix = lv_cli_var(c, "path_prefix");
    out->ca_file = either(c, "ssl_ca_cert_file", "tls_ca_cert_file");
    out->cert_file = either(c, "ssl_cert_file", "tls_cert_file");
    out->key_file = either(c, "ssl_key_file", "tls_key_file");
    out->is_insecure = lv_cli_has(c, "ssl_insecure") || lv_cli_has(c, "insecure");
    out->is_host_unchecked = lv_cli_has(c, "ssl_disable_hostname_verification");
    return true;
}
