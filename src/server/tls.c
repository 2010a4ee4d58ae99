#include "server/tls.h"

#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "os/log.h"

#define CIPHERS_MAX 2048

/* A MAP's values with ':' between. False: too many. */
static bool join(const char *items, char out[CIPHERS_MAX])
{
    struct lv_bytes name, value;
    size_t used = 0;

    out[0] = '\0';
    while (lv_items_next(&items, &name, &value)) {
        int n = snprintf(out + used, CIPHERS_MAX - used, "%s%.*s", used != 0 ? ":" : "",
                         LV_BYTES_FMT(value));
        used += n > 0 ? (size_t)n : 0;
        if (used >= CIPHERS_MAX)
            return false;
    }
    return true;
}

/* Those before 1.2 are not offered whatever is set. 0: none is left. */
static unsigned versions_of(const char *items)
{
    struct lv_bytes name, value;
    unsigned versions = 0;

    while (lv_items_next(&items, &name, &value)) {
        if (lv_bytes_eq(value, LV_BYTES_LIT("tlsv1.3")))
            versions |= LV_TLS_1_3;
        if (lv_bytes_eq(value, LV_BYTES_LIT("tlsv1.2")))
            versions |= LV_TLS_1_2;
    }
    return versions;
}

static void amqp_options(const struct lv_settings *s, struct lv_tls_options *out)
{
    *out = (struct lv_tls_options){
        .cert_file = s->tls_certfile,
        .key_file = s->tls_keyfile,
        .password = s->tls_password,
        .dh_file = s->tls_dhfile,
        .ca_file = s->tls_cacertfile,
        .versions = versions_of(s->tls_versions),
        .verify_peer = strcmp(s->tls_verify, "verify_peer") == 0,
        .fail_if_no_peer_cert = s->tls_fail_if_no_peer_cert,
        .is_client_order = !s->tls_honor_cipher_order,
        .depth = s->tls_depth,
        .handshake_ms = s->tls_handshake_timeout,
    };
}

static void management_options(const struct lv_settings *s, struct lv_tls_options *out)
{
    *out = (struct lv_tls_options){
        .cert_file = s->management_tls_certfile,
        .key_file = s->management_tls_keyfile,
        .password = s->management_tls_password,
        .ca_file = s->management_tls_cacertfile,
        .versions = versions_of(s->management_tls_versions),
        .verify_peer = strcmp(s->management_tls_verify, "verify_peer") == 0,
        .fail_if_no_peer_cert = s->management_tls_fail_if_no_peer_cert,
        .depth = s->management_tls_depth,
        .handshake_ms = s->tls_handshake_timeout,
    };
}

/* The texts that a SMAP holds, as the options want them: until the next call. */
static const char *metrics_text(const struct lv_settings *s, const char *name)
{
    static char texts[4][1024];
    static unsigned next;
    struct lv_bytes value;
    char *text = texts[next++ % LV_ARRAY_LEN(texts)];

    if (!lv_items_get(s->prometheus_tls, name, &value))
        return "";
    (void)snprintf(text, sizeof(texts[0]), "%.*s", LV_BYTES_FMT(value));
    return text;
}

static bool metrics_says(const struct lv_settings *s, const char *name, const char *word)
{
    struct lv_bytes value;

    return lv_items_get(s->prometheus_tls, name, &value) && lv_bytes_eq(value, lv_bytes_str(word));
}

/* prometheus.ssl.certfile, keyfile, password, cacertfile, verify, fail_if_no_peer_cert; the rest as for management. */
static void metrics_options(const struct lv_settings *s, struct lv_tls_options *out)
{
    *out = (struct lv_tls_options){
        .cert_file = metrics_text(s, "certfile"),
        .key_file = metrics_text(s, "keyfile"),
        .password = metrics_text(s, "password"),
        .ca_file = metrics_text(s, "cacertfile"),
        .versions = versions_of(s->management_tls_versions),
        .verify_peer = metrics_says(s, "verify", "verify_peer"),
        .fail_if_no_peer_cert = metrics_says(s, "fail_if_no_peer_cert", "true"),
        .depth = s->management_tls_depth,
        .handshake_ms = s->tls_handshake_timeout,
    };
}

static enum lv_err options_of(const struct lv_settings *s, enum lv_server_tls which,
                              char ciphers[CIPHERS_MAX], struct lv_tls_options *out,
                              char error[LV_TLS_ERROR_MAX])
{
    static const char *const names[] = { "ssl_options", "management.ssl", "prometheus.ssl" };
    const char *name = names[which];
    const char *list = which == LV_TLS_AMQP ? s->tls_ciphers : s->management_tls_ciphers;

    if (which == LV_TLS_AMQP)
        amqp_options(s, out);
    else if (which == LV_TLS_MANAGEMENT)
        management_options(s, out);
    else
        metrics_options(s, out);
    out->ciphers = ciphers;
    const char *wrong = !join(list, ciphers) ? "ciphers: too many"
                        : out->versions == 0 ? "versions: neither tlsv1.2 nor tlsv1.3"
                                             : NULL;
    if (wrong != NULL)
        (void)snprintf(error, LV_TLS_ERROR_MAX, "%s.%s", name, wrong);
    return wrong == NULL ? LV_OK : LV_EINVAL;
}

enum lv_err lv_server_tls_open(const struct lv_settings *settings, enum lv_server_tls which,
                               unsigned loops, struct lv_tls **out, char error[LV_TLS_ERROR_MAX])
{
    struct lv_tls_options options;
    char ciphers[CIPHERS_MAX];
    enum lv_err err = options_of(settings, which, ciphers, &options, error);

    return err == LV_OK ? lv_tls_new(&options, loops, out, error) : err;
}

void lv_server_tls_reload(const struct lv_settings *settings, enum lv_server_tls which,
                          struct lv_tls *tls)
{
    struct lv_tls_options options;
    char ciphers[CIPHERS_MAX], error[LV_TLS_ERROR_MAX];
    enum lv_err err = options_of(settings, which, ciphers, &options, error);

    if (err == LV_OK)
        err = lv_tls_reload(tls, &options, error);
    if (err == LV_OK)
        lv_log(TLS_RELOADED, lv_log_str(options.cert_file));
    else
        lv_log(TLS_NOT_RELOADED, lv_log_str(error));
}
