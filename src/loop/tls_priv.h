/* loop/tls_priv.h - what the TLS files of this room share, and what conn.c and write.c call.
 *
 *   tls.c        contexts: one site for each loop; swapping them
 *   tls_files.c  PEM files into OpenSSL's objects, with errors that one can act on
 *   tls_conn.c   the transport: records in, records out, handshake, goodbye
 *   tls_info.c   what is known of the peer
 *   tickets.c    keys of session tickets
 */
#ifndef LV_LOOP_TLS_PRIV_H
#define LV_LOOP_TLS_PRIV_H
#include <sys/types.h>

#include <openssl/ssl.h>

#include "loop/conn_priv.h"
#include "loop/loop.h"
#include "loop/tickets_priv.h"
#include "loop/tls.h"

/* More than one record decrypted: so much room is left in the read block for one that had begun. */
#define LV_TLS_RECORD_MAX 17408u
/* A record's content. With what is put around it four fit into the largest output buffer. */
#define LV_TLS_RECORD_BYTES 16320u
#define LV_TLS_RECORD_EXTRA 96u /* header, nonce, tag; older ciphers: padding and MAC */
#define LV_TLS_READ_BYTES 65536u
/* Records of a handshake, or answers to a peer that asks for many and reads none. */
#define LV_TLS_OUT_MAX 131072u

/* ---- tls_files.c ---- */

/* A file's contents; wiped when freed, for it may be a key. */
struct lv_tls_blob {
    const char *path; /* borrowed */
    uint8_t *bytes;   /* NULL: none */
    size_t len;
};

enum lv_err lv_tls_blob_read(const char *path, struct lv_tls_blob *out, char *error) LV_MUST_USE;
void lv_tls_blob_fini(struct lv_tls_blob *b);
/* `error`: "FILE: " and the text. Returns LV_EINVAL. */
enum lv_err lv_tls_complain(char *error, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Puts certificate, chain and key into `ctx`, if they are good and belong together. */
enum lv_err lv_tls_use_pair(SSL_CTX *ctx, const struct lv_tls_blob *cert,
                            const struct lv_tls_blob *key, const char *password,
                            char *error) LV_MUST_USE;
/* Puts Diffie-Hellman parameters into `ctx`; without a file those that fit the key. */
enum lv_err lv_tls_use_dh(SSL_CTX *ctx, const struct lv_tls_blob *dh, char *error) LV_MUST_USE;
/* The authorities in `ca`, and their names for clients to choose by. */
enum lv_err lv_tls_read_ca(const struct lv_tls_blob *ca, X509_STORE **store,
                           STACK_OF(X509_NAME) * *names, char *error) LV_MUST_USE;
/* OpenSSL's newest error in plain words, static or in `buf`; the queue is empty after it. */
const char *lv_tls_reason(char *buf, size_t cap);

/* ---- tls.c ---- */

/* What one loop's handshakes use. Belongs to its `ctx`, and goes with it: when no connection uses it any more. */
struct lv_tls_site {
    SSL_CTX *ctx; /* of the certificate shown without a better name */
    struct lv_tls_sni *hosts;
    size_t host_count;
    struct lv_tickets tickets;
    EVP_CIPHER *aes; /* fetched once */
    uint64_t handshake_ms;
};

/* The site of `loop`. Until the end of the turn, or as long as a reference to its ctx is held. */
struct lv_tls_site *lv_tls_site(const struct lv_tls *tls, const struct lv_loop *loop);

/* ---- tls_conn.c ---- */

enum lv_tls_state {
    LV_TLS_HANDSHAKE,
    LV_TLS_OPEN,
    LV_TLS_ENDED,  /* the peer said goodbye */
    LV_TLS_FAILED, /* a record was bad: nothing can be read or written any more */
};

struct lv_tls_conn {
    struct lv_conn *conn;
    SSL *ssl;                 /* holds a reference to the site's ctx */
    struct lv_tls_site *site; /* views */
    struct lv_out_buf *out;   /* records that wait to be sent; NULL: none */
    uint32_t out_at;          /* what of it is sent */
    enum lv_tls_state state;
    enum lv_err why;   /* it failed: LV_EIO, or LV_ECLOSED when the peer said so */
    bool has_bid;      /* our goodbye is said */
    bool has_input;    /* any byte came */
    bool is_starved;   /* no memory for records */
    const uint8_t *in; /* views the loop's block while it is decrypted */
    size_t in_bytes;
    struct lv_timer timer; /* the handshake's end */
};

/* Like readv into the owner's memory, if it has named any, and the block: what came decrypted. 0: the peer has gone. -1
 * with errno; EAGAIN also when it failed and lingers. At most `room` - LV_TLS_RECORD_MAX is read. */
ssize_t lv_tls_receive(struct lv_conn *c, uint8_t *block, size_t room);
/* Writes what waits, as far as the socket takes it. */
void lv_tls_send(struct lv_conn *c);
bool lv_tls_is_shaking(const struct lv_conn *c);
/* The connection comes to `loop`. LV_ENOMEM */
enum lv_err lv_tls_hook_in(struct lv_loop *loop) LV_MUST_USE;
void lv_tls_unhook(struct lv_conn *c);
/* Says goodbye, if that is possible at once, and frees. */
void lv_tls_close(struct lv_conn *c);

#endif
