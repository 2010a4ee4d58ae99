/* TLS contexts. A generation is what was read from the files at one moment: a site for each loop. lv_tls_reload makes
 * the next one whole, swaps it in, and retires the old one; its sites live on as long as connections hold them. */
#include "loop/tls.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include "loop/loop_priv.h"
#include "loop/tls_priv.h"
#include "os/os.h"

#define CIPHERS_12 "ECDHE+AESGCM:ECDHE+CHACHA20"
#define CIPHER_NAME_MAX 64
#define CIPHERS_MAX 2048
#define CERT_LIST_BYTES 65536 /* what a client may send as its certificates */
#define SESSION_CONTEXT "leveret"

struct lv_tls_sni {
    char name[256];
    SSL_CTX *ctx;
};

struct generation {
    unsigned count;
    struct lv_tls_site *site[]; /* one reference to the ctx of each */
};

struct lv_tls {
    unsigned loops;
    _Atomic(struct generation *) now;
};

/* What all sites of a generation are made from. */
struct material {
    const struct lv_tls_options *options;
    struct lv_tls_blob cert, key, dh, ca;
    struct lv_tls_blob *hosts; /* certificate and key of each */
    X509_STORE *store;
    STACK_OF(X509_NAME) * names;
    char ciphers_12[CIPHERS_MAX], ciphers_13[CIPHERS_MAX];
    uint8_t secret[LV_TICKET_SECRET];
    lv_time_ms began;
};

static bool has(const char *text)
{
    return text != NULL && text[0] != '\0';
}

/* ---- ciphers ---- */

static enum lv_err add_cipher(char out[CIPHERS_MAX], const char *name)
{
    size_t used = strlen(out);
    int n = snprintf(out + used, CIPHERS_MAX - used, "%s%s", used != 0 ? ":" : "", name);

    return n > 0 && (size_t)n < CIPHERS_MAX - used ? LV_OK : LV_EFULL;
}

/* Is it a cipher (or a word of OpenSSL's for several)? It ignores those that it does not know, we do not. */
static bool is_cipher(SSL_CTX *ctx, const char *name, bool is_13)
{
    bool is_word = !isalnum((unsigned char)name[0]); /* "!NAME" takes out, "@" is a command */
    int ok = is_13 ? SSL_CTX_set_ciphersuites(ctx, name) : SSL_CTX_set_cipher_list(ctx, name);

    ERR_clear_error();
    return ok == 1 || is_word;
}

static enum lv_err split_ciphers(struct material *m, SSL_CTX *ctx, char *error)
{
    const char *at = m->options->ciphers;

    while (has(at)) {
        size_t len = strcspn(at, ": ,");
        char name[CIPHER_NAME_MAX];
        if (len >= sizeof(name))
            return lv_tls_complain(error, "ciphers", "%.*s... is too long", CIPHER_NAME_MAX, at);
        memcpy(name, at, len);
        name[len] = '\0';
        at += len + (at[len] != '\0');
        if (len == 0)
            continue;
        bool is_13 = strncmp(name, "TLS_", 4) == 0;
        if (!is_cipher(ctx, name, is_13))
            return lv_tls_complain(error, "ciphers", "OpenSSL knows no cipher %s", name);
        if (add_cipher(is_13 ? m->ciphers_13 : m->ciphers_12, name) != LV_OK)
            return lv_tls_complain(error, "ciphers", "too many");
    }
    return LV_OK;
}

/* Ciphers of one version only: then the other is off. */
static unsigned versions_of(const struct material *m)
{
    unsigned both = LV_TLS_1_2 | LV_TLS_1_3;
    unsigned versions = m->options->versions != 0 ? m->options->versions : both;

    if (!has(m->options->ciphers))
        return versions;
    return versions &
           ((has(m->ciphers_12) ? LV_TLS_1_2 : 0u) | (has(m->ciphers_13) ? LV_TLS_1_3 : 0u));
}

static enum lv_err check_ciphers(struct material *m, char *error)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (ctx == NULL)
        return LV_ENOMEM;
    enum lv_err err = split_ciphers(m, ctx, error);
    SSL_CTX_free(ctx);
    if (err == LV_OK && versions_of(m) == 0)
        err = lv_tls_complain(error, "ciphers", "none for the TLS versions that are allowed");
    return err;
}

/* ---- one OpenSSL context ---- */

static enum lv_err set_versions(SSL_CTX *ctx, unsigned versions)
{
    int low = (versions & LV_TLS_1_2) != 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
    int high = (versions & LV_TLS_1_3) != 0 ? TLS1_3_VERSION : TLS1_2_VERSION;

    return SSL_CTX_set_min_proto_version(ctx, low) == 1 &&
                   SSL_CTX_set_max_proto_version(ctx, high) == 1
               ? LV_OK
               : LV_ENOMEM;
}

static enum lv_err set_ciphers(SSL_CTX *ctx, const struct material *m, char *error)
{
    const char *list = has(m->ciphers_12) ? m->ciphers_12 : CIPHERS_12;

    if (SSL_CTX_set_cipher_list(ctx, list) != 1 ||
        (has(m->ciphers_13) && SSL_CTX_set_ciphersuites(ctx, m->ciphers_13) != 1))
        return lv_tls_complain(error, "ciphers", "%s leaves none", m->options->ciphers);
    return LV_OK;
}

static enum lv_err set_verify(SSL_CTX *ctx, const struct material *m)
{
    const struct lv_tls_options *o = m->options;
    int mode = SSL_VERIFY_NONE;

    if (o->verify_peer)
        mode = SSL_VERIFY_PEER | (o->fail_if_no_peer_cert ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    SSL_CTX_set_verify(ctx, mode, NULL);
    SSL_CTX_set_verify_depth(ctx, (int)LV_MIN(o->depth, 100u));
    SSL_CTX_set_max_cert_list(ctx, CERT_LIST_BYTES);
    if (!o->verify_peer)
        return LV_OK;
    STACK_OF(X509_NAME) *names = SSL_dup_CA_list(m->names);
    if (names == NULL)
        return LV_ENOMEM;
    SSL_CTX_set1_cert_store(ctx, m->store);
    SSL_CTX_set_client_CA_list(ctx, names);
    return LV_OK;
}

/* A client that was looked at once comes back by its ticket without being looked at again, so where clients are
 * verified there are no tickets. */
static void set_sessions(SSL_CTX *ctx, const struct material *m)
{
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_session_id_context(ctx, (const unsigned char *)SESSION_CONTEXT,
                                         sizeof(SESSION_CONTEXT) - 1);
    (void)SSL_CTX_set_timeout(ctx, (long)(LV_TICKET_ROTATE_MS / 1000));
    (void)SSL_CTX_set_num_tickets(ctx, m->options->verify_peer ? 0 : 1);
    if (m->options->verify_peer)
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
}

static enum lv_err ctx_new(const struct material *m, const struct lv_tls_blob *cert,
                           const struct lv_tls_blob *key, const char *password, SSL_CTX **out,
                           char *error)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    enum lv_err err;

    *out = NULL;
    if (ctx == NULL)
        return LV_ENOMEM;
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    if (!m->options->is_client_order)
        SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    set_sessions(ctx, m);
    err = set_versions(ctx, versions_of(m));
    if (err == LV_OK)
        err = set_ciphers(ctx, m, error);
    if (err == LV_OK)
        err = set_verify(ctx, m);
    if (err == LV_OK)
        err = lv_tls_use_pair(ctx, cert, key, password, error);
    if (err == LV_OK)
        err = lv_tls_use_dh(ctx, &m->dh, error);
    if (err != LV_OK) {
        SSL_CTX_free(ctx);
        return err;
    }
    *out = ctx;
    return LV_OK;
}

/* ---- names ---- */

/* "*.example.org" stands for one label more. */
static bool name_matches(const char *pattern, const char *name)
{
    if (strncmp(pattern, "*.", 2) != 0)
        return strcasecmp(pattern, name) == 0;
    const char *dot = strchr(name, '.');
    return dot != NULL && dot != name && strcasecmp(pattern + 1, dot) == 0;
}

static int choose_host(SSL *ssl, int *alert, void *arg)
{
    const struct lv_tls_site *site = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    (void)alert;
    for (size_t i = 0; name != NULL && i < site->host_count; i++) {
        if (!name_matches(site->hosts[i].name, name))
            continue;
        return SSL_set_SSL_CTX(ssl, site->hosts[i].ctx) != NULL ? SSL_TLSEXT_ERR_OK
                                                                : SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

/* ---- tickets ---- */

static int use_keys(const struct lv_tls_site *site, const struct lv_ticket_keys *keys,
                    const uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_sealing)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)keys->mac,
                                          sizeof(keys->mac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };

    if (EVP_MAC_CTX_set_params(mac, params) != 1)
        return -1;
    return EVP_CipherInit_ex(cipher, site->aes, NULL, keys->aes, iv, is_sealing) == 1 ? 1 : -1;
}

/* OpenSSL asks for the keys of a ticket; -1 error, 0 full handshake, 1 go on, 2 go on and give a new one. */
static int ticket_keys(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                       EVP_MAC_CTX *mac, int is_sealing)
{
    const struct lv_tls_conn *t = SSL_get_app_data(ssl);
    struct lv_tls_site *site = t->site;

    if (lv_tickets_advance(&site->tickets, t->conn->loop->now) != LV_OK)
        return -1;
    if (is_sealing) {
        memcpy(name, site->tickets.now.name, LV_TICKET_NAME);
        if (lv_os_random(iv, EVP_MAX_IV_LENGTH) != LV_OK)
            return -1;
        return use_keys(site, &site->tickets.now, iv, cipher, mac, 1);
    }
    const struct lv_ticket_keys *keys = lv_tickets_find(&site->tickets, name);
    if (keys == NULL)
        return 0;
    int ok = use_keys(site, keys, iv, cipher, mac, 0);
    return ok == 1 && keys != &site->tickets.now ? 2 : ok;
}

/* ---- a site ---- */

static void site_free(struct lv_tls_site *site)
{
    for (size_t i = 0; i < site->host_count; i++)
        SSL_CTX_free(site->hosts[i].ctx);
    lv_mem_free(site->hosts, LV_TAG_LOOP);
    lv_tickets_fini(&site->tickets);
    EVP_CIPHER_free(site->aes);
    lv_mem_free(site, LV_TAG_LOOP);
}

/* The last reference to a site's ctx is gone. Any thread. */
static void on_ctx_freed(void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl,
                         void *argp)
{
    (void)parent, (void)data, (void)index, (void)argl, (void)argp;
    if (ptr != NULL)
        site_free(ptr);
}

static int site_index(void)
{
    static _Atomic int index = -1; /* made by lv_tls_new, first on the main thread */

    if (atomic_load(&index) < 0)
        atomic_store(&index, SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_ctx_freed));
    return atomic_load(&index);
}

static enum lv_err add_hosts(struct lv_tls_site *site, const struct material *m, char *error)
{
    const struct lv_tls_options *o = m->options;

    if (o->host_count == 0)
        return LV_OK;
    site->hosts = lv_mem_zalloc(o->host_count * sizeof(*site->hosts), LV_TAG_LOOP);
    if (site->hosts == NULL)
        return LV_ENOMEM;
    for (size_t i = 0; i < o->host_count; i++) {
        struct lv_tls_sni *host = &site->hosts[i];
        int n = snprintf(host->name, sizeof(host->name), "%s", o->hosts[i].name);
        if (n <= 0 || (size_t)n >= sizeof(host->name))
            return lv_tls_complain(error, "host name", "empty, or longer than 255 bytes");
        enum lv_err err =
            ctx_new(m, &m->hosts[2 * i],
                    m->hosts[2 * i + 1].bytes != NULL ? &m->hosts[2 * i + 1] : &m->hosts[2 * i],
                    o->hosts[i].password, &host->ctx, error);
        if (err != LV_OK)
            return err;
        site->host_count++;
    }
    return LV_OK;
}

/* With one reference to its ctx, which it belongs to. */
static enum lv_err site_new(const struct material *m, struct lv_tls_site **out, char *error)
{
    struct lv_tls_site *site = lv_mem_zalloc(sizeof(*site), LV_TAG_LOOP);
    SSL_CTX *ctx = NULL;
    enum lv_err err;

    *out = NULL;
    if (site == NULL)
        return LV_ENOMEM;
    site->handshake_ms =
        m->options->handshake_ms != 0 ? m->options->handshake_ms : LV_TLS_HANDSHAKE_MS;
    site->aes = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    err = site->aes != NULL ? lv_tickets_init(&site->tickets, m->secret, m->began) : LV_ENOMEM;
    if (err == LV_OK)
        err = ctx_new(m, &m->cert, m->key.bytes != NULL ? &m->key : &m->cert, m->options->password,
                      &ctx, error);
    if (err == LV_OK)
        err = add_hosts(site, m, error);
    if (err == LV_OK && SSL_CTX_set_ex_data(ctx, site_index(), site) != 1)
        err = LV_ENOMEM;
    if (err != LV_OK) {
        site_free(site);
        SSL_CTX_free(ctx);
        return err;
    }
    site->ctx = ctx;
    SSL_CTX_set_tlsext_servername_callback(ctx, choose_host);
    SSL_CTX_set_tlsext_servername_arg(ctx, site);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_keys);
    *out = site;
    return LV_OK;
}

/* ---- a generation ---- */

static void generation_free(void *ptr)
{
    struct generation *g = ptr;

    for (unsigned i = 0; i < g->count; i++)
        SSL_CTX_free(g->site[i]->ctx);
    lv_mem_free(g, LV_TAG_LOOP);
}

static enum lv_err read_hosts(struct material *m, char *error)
{
    const struct lv_tls_options *o = m->options;
    enum lv_err err = LV_OK;

    if (o->host_count == 0)
        return LV_OK;
    m->hosts = lv_mem_zalloc(2 * o->host_count * sizeof(*m->hosts), LV_TAG_LOOP);
    if (m->hosts == NULL)
        return LV_ENOMEM;
    for (size_t i = 0; i < o->host_count && err == LV_OK; i++) {
        const struct lv_tls_host *h = &o->hosts[i];
        if (!has(h->cert_file))
            return lv_tls_complain(error, h->name, "no certificate file is given");
        err = lv_tls_blob_read(h->cert_file, &m->hosts[2 * i], error);
        if (err == LV_OK && has(h->key_file))
            err = lv_tls_blob_read(h->key_file, &m->hosts[2 * i + 1], error);
    }
    return err;
}

static enum lv_err read_material(struct material *m, char *error)
{
    const struct lv_tls_options *o = m->options;
    enum lv_err err;

    if (!has(o->cert_file))
        return lv_tls_complain(error, "TLS", "no certificate file is given");
    if (o->verify_peer && !has(o->ca_file))
        return lv_tls_complain(error, "TLS",
                               "clients are to be verified, and no file of authorities is given");
    err = check_ciphers(m, error);
    if (err == LV_OK)
        err = lv_tls_blob_read(o->cert_file, &m->cert, error);
    if (err == LV_OK && has(o->key_file))
        err = lv_tls_blob_read(o->key_file, &m->key, error);
    if (err == LV_OK && has(o->dh_file))
        err = lv_tls_blob_read(o->dh_file, &m->dh, error);
    if (err == LV_OK)
        err = read_hosts(m, error);
    if (err != LV_OK || !has(o->ca_file))
        return err;
    err = lv_tls_blob_read(o->ca_file, &m->ca, error);
    return err == LV_OK ? lv_tls_read_ca(&m->ca, &m->store, &m->names, error) : err;
}

static void drop_material(struct material *m)
{
    lv_tls_blob_fini(&m->cert);
    lv_tls_blob_fini(&m->key);
    lv_tls_blob_fini(&m->dh);
    lv_tls_blob_fini(&m->ca);
    for (size_t i = 0; m->hosts != NULL && i < 2 * m->options->host_count; i++)
        lv_tls_blob_fini(&m->hosts[i]);
    lv_mem_free(m->hosts, LV_TAG_LOOP);
    X509_STORE_free(m->store);
    sk_X509_NAME_pop_free(m->names, X509_NAME_free);
    OPENSSL_cleanse(m->secret, sizeof(m->secret));
}

static enum lv_err make_sites(struct generation *g, unsigned loops, struct material *m, char *error)
{
    enum lv_err err = read_material(m, error);

    for (; err == LV_OK && g->count < loops; g->count++) {
        err = site_new(m, &g->site[g->count], error);
        if (err != LV_OK)
            break;
    }
    return err;
}

static enum lv_err generation_new(const struct lv_tls_options *options, unsigned loops,
                                  struct generation **out, char *error)
{
    struct material m = { .options = options, .began = lv_clock_ms() };
    struct generation *g =
        lv_mem_zalloc(sizeof(*g) + loops * sizeof(struct lv_tls_site *), LV_TAG_LOOP);
    enum lv_err err;

    *out = NULL;
    (void)snprintf(error, LV_TLS_ERROR_MAX, "TLS: out of memory");
    if (g == NULL)
        return LV_ENOMEM;
    err = lv_os_random(m.secret, sizeof(m.secret));
    if (err == LV_OK)
        err = make_sites(g, loops, &m, error);
    drop_material(&m);
    ERR_clear_error();
    if (err != LV_OK) {
        generation_free(g);
        return err;
    }
    error[0] = '\0';
    *out = g;
    return LV_OK;
}

/* ---- the public part ---- */

enum lv_err lv_tls_new(const struct lv_tls_options *options, unsigned loops, struct lv_tls **out,
                       char error[LV_TLS_ERROR_MAX])
{
    struct lv_tls *tls = lv_mem_zalloc(sizeof(*tls), LV_TAG_LOOP);
    struct generation *g = NULL;
    enum lv_err err = LV_ENOMEM;

    *out = NULL;
    (void)snprintf(error, LV_TLS_ERROR_MAX, "TLS: out of memory");
    if (tls != NULL)
        err = generation_new(options, loops, &g, error);
    if (err != LV_OK) {
        lv_mem_free(tls, LV_TAG_LOOP);
        return err;
    }
    tls->loops = loops;
    atomic_init(&tls->now, g);
    *out = tls;
    return LV_OK;
}

enum lv_err lv_tls_reload(struct lv_tls *tls, const struct lv_tls_options *options,
                          char error[LV_TLS_ERROR_MAX])
{
    struct generation *g;
    enum lv_err err = generation_new(options, tls->loops, &g, error);

    if (err != LV_OK)
        return err;
    g = atomic_exchange(&tls->now, g);
    lv_loop_reclaim.retire(g, generation_free);
    return LV_OK;
}

void lv_tls_free(struct lv_tls *tls)
{
    if (tls == NULL)
        return;
    generation_free(atomic_load(&tls->now));
    lv_mem_free(tls, LV_TAG_LOOP);
}

struct lv_tls_site *lv_tls_site(const struct lv_tls *tls, const struct lv_loop *loop)
{
    const struct generation *g = atomic_load_explicit(&tls->now, memory_order_acquire);

    LV_ASSERT(lv_loop_index(loop) < g->count);
    return g->site[lv_loop_index(loop)];
}
