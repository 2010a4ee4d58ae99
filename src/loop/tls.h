/* loop/tls.h - TLS under a connection: what the server shows and demands, and what is known of the peer.
 *
 * A context is made from PEM files and given to connections right after they are opened. Each loop has an OpenSSL
 * context of its own in it, as OpenSSL 3 shares badly between threads. New files come in by lv_tls_reload: they are
 * checked whole before the first handshake sees them, and connections that stand keep what they began with.
 * Owner   made, reloaded and freed by one thread; used by all loops.
 * Errors  of files come as one line that names the file and the reason: "server.key: the password is wrong".
 */
#ifndef LV_LOOP_TLS_H
#define LV_LOOP_TLS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct lv_conn;
struct lv_tls;

#define LV_TLS_ERROR_MAX 512
#define LV_TLS_HANDSHAKE_MS 5000u /* RabbitMQ: ssl_handshake_timeout */

enum lv_tls_versions {
    LV_TLS_1_2 = 1 << 0,
    LV_TLS_1_3 = 1 << 1,
};

/* Another certificate, for clients that ask for this name (SNI). */
struct lv_tls_host {
    const char *name; /* "mq.example.org", or "*.example.org" for one label */
    const char *cert_file, *key_file, *password;
};

/* All is borrowed until the call returns. An empty text is as good as NULL. */
struct lv_tls_options {
    const char *cert_file; /* PEM: the certificate, then those between it and the authority's */
    const char *key_file;  /* PEM; NULL: the key is in cert_file, too */
    const char *password;  /* of an encrypted key */
    const char *dh_file; /* PEM: Diffie-Hellman parameters, for DHE ciphers; NULL: a group as strong as the key */
    const char *ca_file; /* PEM: authorities that clients' certificates are checked against */
    /* OpenSSL's names with ':' between, best first; TLS_... are those of TLS 1.3. NULL: authenticated encryption and
     * forward secrecy only. */
    const char *ciphers;
    unsigned versions; /* of enum lv_tls_versions; 0: both */
    bool verify_peer; /* a client's certificate is asked for, and refused unless ca_file vouches for it */
    bool fail_if_no_peer_cert; /* and so is a client without one */
    bool is_client_order;      /* the client's order of ciphers counts, not ours */
    unsigned depth;            /* certificates between a client's and an authority's; 0: none */
    uint64_t handshake_ms;     /* a handshake takes at most this long; 0: LV_TLS_HANDSHAKE_MS */
    const struct lv_tls_host *hosts;
    size_t host_count;
};

/* A context for `loops` loops. LV_EINVAL: `error` says which file or option, and why; LV_ENOMEM. */
enum lv_err lv_tls_new(const struct lv_tls_options *options, unsigned loops, struct lv_tls **out,
                       char error[LV_TLS_ERROR_MAX]) LV_MUST_USE;
/* Reads everything anew; handshakes that begin from now on see it, and no ticket of before is taken any more. On an
 * error nothing changes. On a loop's thread. */
enum lv_err lv_tls_reload(struct lv_tls *tls, const struct lv_tls_options *options,
                          char error[LV_TLS_ERROR_MAX]) LV_MUST_USE;
/* After the loops have stopped, or when no connection can be given it any more. Connections that use it go on. */
void lv_tls_free(struct lv_tls *tls);

/* The peer speaks TLS, from its first byte. Right after lv_conn_open, before anything came or was written. What is
 * written before the handshake is over waits for it. LV_ENOMEM: the caller closes the connection. Afterwards ops->closed
 * may say LV_EREFUSED: the handshake failed or took too long, and the log says why. A connection may be moved once
 * its handshake is over (when input was called). */
enum lv_err lv_conn_start_tls(struct lv_conn *c, struct lv_tls *tls) LV_MUST_USE;
bool lv_conn_is_tls(const struct lv_conn *c);

#define LV_TLS_NAME_MAX 1024

struct lv_tls_info {
    const char *version; /* "TLSv1.3"; static, as is the cipher */
    const char *cipher;  /* OpenSSL's name: "TLS_AES_256_GCM_SHA384" */
    unsigned cipher_bits;
    bool is_resumed;
    char sni[256]; /* the name that the client asked for; "": none */

    /* The certificate that the client showed, and that was found good. */
    bool has_cert;
    char subject[LV_TLS_NAME_MAX]; /* RFC 4514, as RabbitMQ prints it: "CN=client,O=Example" */
    char issuer[LV_TLS_NAME_MAX];
    char common_name[LV_TLS_NAME_MAX];  /* several: with ',' between (RabbitMQ) */
    char serial[64];                    /* hexadecimal */
    uint64_t not_before_s, not_after_s; /* since 1970 */
    uint8_t spki_sha256[32];            /* of the public key with its algorithm: what one pins */
};

/* False: no TLS, or the handshake is not over. Names that are too long come as "". */
bool lv_conn_tls_info(const struct lv_conn *c, struct lv_tls_info *out);

enum lv_tls_san_kind {
    LV_TLS_SAN_DNS,
    LV_TLS_SAN_EMAIL,
    LV_TLS_SAN_URI,
    LV_TLS_SAN_IP,
    LV_TLS_SAN_OTHER, /* an otherName that is a text, such as a user principal name */
};

/* The `index`-th subject alternative name of that kind in the client's certificate, as text. False: there is none. */
bool lv_conn_tls_san(const struct lv_conn *c, enum lv_tls_san_kind kind, unsigned index,
                     char out[LV_TLS_NAME_MAX]);

#endif
