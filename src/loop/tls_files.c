/* PEM files into OpenSSL's objects. Whatever is wrong is told with the file's name, in words that say what to mend. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "loop/tls_priv.h"

#define FILE_BYTES_MAX 4194304u /* all authorities of a system are a quarter of a megabyte */
#define TIME_TEXT_MAX 32

/* ---- errors ---- */

enum lv_err lv_tls_complain(char *error, const char *path, const char *format, ...)
{
    va_list args;
    int n = snprintf(error, LV_TLS_ERROR_MAX, "%s: ", path);
    size_t used = n > 0 ? LV_MIN((size_t)n, LV_TLS_ERROR_MAX - 1u) : 0;

    va_start(args, format);
    (void)vsnprintf(error + used, LV_TLS_ERROR_MAX - used, format, args);
    va_end(args);
    ERR_clear_error();
    return LV_EINVAL;
}

const char *lv_tls_reason(char *buf, size_t cap)
{
    unsigned long e = ERR_peek_last_error();
    const char *text = ERR_reason_error_string(e);

    if (ERR_GET_LIB(e) == ERR_LIB_SSL) {
        switch (ERR_GET_REASON(e)) {
        case SSL_R_EE_KEY_TOO_SMALL:
            text = "the certificate's key is too short to be safe";
            break;
        case SSL_R_CA_KEY_TOO_SMALL:
            text = "the key of an authority in the chain is too short to be safe";
            break;
        case SSL_R_CA_MD_TOO_WEAK:
            text = "the certificate is signed with a hash that is not safe any more";
            break;
        default:
            break;
        }
    }
    (void)snprintf(buf, cap, "%s", text != NULL ? text : "unknown error");
    ERR_clear_error();
    return buf;
}

static bool nothing_found(void)
{
    unsigned long e = ERR_peek_last_error();

    return ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

/* ---- files ---- */

enum lv_err lv_tls_blob_read(const char *path, struct lv_tls_blob *out, char *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    ssize_t n = -1;

    *out = (struct lv_tls_blob){ .path = path };
    if (fd < 0)
        return lv_tls_complain(error, path, "%s", strerrordesc_np(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)FILE_BYTES_MAX) {
        (void)close(fd);
        return lv_tls_complain(error, path, "not a regular file of at most 4 MiB");
    }
    out->bytes = lv_mem_alloc((size_t)st.st_size + 1, LV_TAG_LOOP);
    if (out->bytes != NULL)
        n = pread(fd, out->bytes, (size_t)st.st_size, 0);
    int why = errno;
    (void)close(fd);
    if (out->bytes == NULL)
        return LV_ENOMEM;
    if (n < 0) {
        lv_tls_blob_fini(out);
        return lv_tls_complain(error, path, "%s", strerrordesc_np(why));
    }
    out->len = (size_t)n;
    return LV_OK;
}

void lv_tls_blob_fini(struct lv_tls_blob *b)
{
    if (b->bytes != NULL)
        OPENSSL_cleanse(b->bytes, b->len);
    lv_mem_free(b->bytes, LV_TAG_LOOP);
    b->bytes = NULL;
}

static BIO *bio_of(const struct lv_tls_blob *b)
{
    return BIO_new_mem_buf(b->bytes, (int)b->len);
}

/* ---- certificates ---- */

static const char *time_text(const ASN1_TIME *t, char out[TIME_TEXT_MAX])
{
    struct tm tm;

    if (ASN1_TIME_to_tm(t, &tm) != 1 ||
        strftime(out, TIME_TEXT_MAX, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
        (void)snprintf(out, TIME_TEXT_MAX, "an unreadable time");
    return out;
}

/* `number` counts from 1 in the file. */
static enum lv_err check_time(const X509 *cert, const char *path, unsigned number, char *error)
{
    const ASN1_TIME *from = X509_get0_notBefore(cert), *to = X509_get0_notAfter(cert);
    char which[32] = "the certificate", text[TIME_TEXT_MAX];

    if (number > 1)
        (void)snprintf(which, sizeof(which), "certificate %u in it", number);
    if (X509_cmp_current_time(to) <= 0)
        return lv_tls_complain(error, path, "%s expired on %s", which, time_text(to, text));
    if (X509_cmp_current_time(from) > 0)
        return lv_tls_complain(error, path, "%s is not valid before %s", which,
                               time_text(from, text));
    return LV_OK;
}

/* The next certificate. LV_ENOTFOUND: there is none. */
static enum lv_err next_cert(BIO *bio, const char *path, unsigned number, X509 **out, char *error)
{
    char why[128];

    ERR_clear_error();
    *out = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    if (*out != NULL)
        return LV_OK;
    if (nothing_found()) {
        ERR_clear_error();
        return LV_ENOTFOUND;
    }
    return lv_tls_complain(error, path, "certificate %u in it is damaged (%s)", number,
                           lv_tls_reason(why, sizeof(why)));
}

static enum lv_err no_cert(const char *path, char *error)
{
    return lv_tls_complain(error, path, "no certificate in it (-----BEGIN CERTIFICATE-----)");
}

static enum lv_err use_chain(SSL_CTX *ctx, BIO *bio, const char *path, char *error)
{
    char why[128];

    for (unsigned number = 2;; number++) {
        X509 *cert;
        enum lv_err err = next_cert(bio, path, number, &cert, error);
        if (err == LV_ENOTFOUND)
            return LV_OK;
        if (err != LV_OK)
            return err;
        err = check_time(cert, path, number, error);
        if (err == LV_OK && SSL_CTX_add1_chain_cert(ctx, cert) != 1)
            err = lv_tls_complain(error, path, "certificate %u in it: %s", number,
                                  lv_tls_reason(why, sizeof(why)));
        X509_free(cert);
        if (err != LV_OK)
            return err;
    }
}

/* ---- keys ---- */

struct pass {
    const char *password;
    bool was_asked;
};

static int give_password(char *buf, int size, int is_writing, void *ctx)
{
    struct pass *p = ctx;

    (void)is_writing;
    p->was_asked = true;
    size_t len = p->password != NULL ? strlen(p->password) : 0;
    if (len == 0 || len > (size_t)size)
        return -1;
    memcpy(buf, p->password, len);
    return (int)len;
}

static enum lv_err read_key(const struct lv_tls_blob *key, const char *password, EVP_PKEY **out,
                            char *error)
{
    struct pass pass = { .password = password };
    BIO *bio = bio_of(key);

    *out = NULL;
    if (bio == NULL)
        return LV_ENOMEM;
    ERR_clear_error();
    *out = PEM_read_bio_PrivateKey(bio, NULL, give_password, &pass);
    BIO_free(bio);
    if (*out != NULL)
        return LV_OK;
    if (pass.was_asked && (password == NULL || password[0] == '\0'))
        return lv_tls_complain(error, key->path, "the key is encrypted, and no password is given");
    if (pass.was_asked)
        return lv_tls_complain(error, key->path, "the password does not open the key");
    if (memmem(key->bytes, key->len, "PRIVATE KEY-----", 16) == NULL)
        return lv_tls_complain(error, key->path,
                               "no private key in it (-----BEGIN PRIVATE "
                               "KEY-----)");
    return lv_tls_complain(error, key->path,
                           "the private key is damaged, or of a kind that is not known");
}

static enum lv_err use_both(SSL_CTX *ctx, X509 *cert, const struct lv_tls_blob *file,
                            const struct lv_tls_blob *key, const char *password, char *error)
{
    EVP_PKEY *pkey;
    char why[128];
    enum lv_err err = read_key(key, password, &pkey, error);

    if (err != LV_OK)
        return err;
    if (X509_check_private_key(cert, pkey) != 1)
        err = lv_tls_complain(error, key->path, "the key does not belong to the certificate in %s",
                              file->path);
    else if (SSL_CTX_use_certificate(ctx, cert) != 1)
        err = lv_tls_complain(error, file->path, "%s", lv_tls_reason(why, sizeof(why)));
    else if (SSL_CTX_use_PrivateKey(ctx, pkey) != 1)
        err = lv_tls_complain(error, key->path, "%s", lv_tls_reason(why, sizeof(why)));
    EVP_PKEY_free(pkey);
    return err;
}

enum lv_err lv_tls_use_pair(SSL_CTX *ctx, const struct lv_tls_blob *cert,
                            const struct lv_tls_blob *key, const char *password, char *error)
{
    BIO *bio = bio_of(cert);
    X509 *own = NULL;
    enum lv_err err;

    if (bio == NULL)
        return LV_ENOMEM;
    err = next_cert(bio, cert->path, 1, &own, error);
    if (err == LV_ENOTFOUND)
        err = no_cert(cert->path, error);
    if (err == LV_OK)
        err = check_time(own, cert->path, 1, error);
    if (err == LV_OK)
        err = use_both(ctx, own, cert, key, password, error);
    if (err == LV_OK)
        err = use_chain(ctx, bio, cert->path, error);
    X509_free(own);
    BIO_free(bio);
    return err;
}

/* ---- Diffie-Hellman ---- */

enum lv_err lv_tls_use_dh(SSL_CTX *ctx, const struct lv_tls_blob *dh, char *error)
{
    char why[128];

    if (dh->bytes == NULL)
        return SSL_CTX_set_dh_auto(ctx, 1) == 1 ? LV_OK : LV_ENOMEM;
    BIO *bio = bio_of(dh);
    if (bio == NULL)
        return LV_ENOMEM;
    ERR_clear_error();
    EVP_PKEY *parameters = PEM_read_bio_Parameters(bio, NULL);
    BIO_free(bio);
    if (parameters == NULL)
        return lv_tls_complain(
            error, dh->path, "no Diffie-Hellman parameters in it (-----BEGIN DH PARAMETERS-----)");
    if (SSL_CTX_set0_tmp_dh_pkey(ctx, parameters) == 1)
        return LV_OK;
    EVP_PKEY_free(parameters);
    return lv_tls_complain(error, dh->path, "%s", lv_tls_reason(why, sizeof(why)));
}

/* ---- authorities ---- */

static enum lv_err add_authority(X509_STORE *store, STACK_OF(X509_NAME) * names, X509 *cert)
{
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(cert));

    if (name == NULL)
        return LV_ENOMEM;
    if (sk_X509_NAME_push(names, name) == 0) {
        X509_NAME_free(name);
        return LV_ENOMEM;
    }
    return X509_STORE_add_cert(store, cert) == 1 ? LV_OK : LV_ENOMEM; /* twice the same is fine */
}

static enum lv_err read_authorities(BIO *bio, const char *path, X509_STORE *store,
                                    STACK_OF(X509_NAME) * names, char *error)
{
    unsigned number = 1, expired = 0;
    enum lv_err err = LV_OK;

    for (;; number++) {
        X509 *cert;
        err = next_cert(bio, path, number, &cert, error);
        if (err != LV_OK)
            break;
        /* Bundles keep old ones; only if nothing else is there it matters. */
        if (X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0)
            expired++;
        err = add_authority(store, names, cert);
        X509_free(cert);
        if (err != LV_OK)
            return err;
    }
    if (err != LV_ENOTFOUND)
        return err;
    if (number == 1)
        return no_cert(path, error);
    if (expired == number - 1)
        return lv_tls_complain(error, path, "every certificate in it has expired");
    return LV_OK;
}

enum lv_err lv_tls_read_ca(const struct lv_tls_blob *ca, X509_STORE **store,
                           STACK_OF(X509_NAME) * *names, char *error)
{
    BIO *bio = bio_of(ca);
    enum lv_err err = LV_ENOMEM;

    *store = X509_STORE_new();
    *names = sk_X509_NAME_new_null();
    if (bio != NULL && *store != NULL && *names != NULL)
        err = read_authorities(bio, ca->path, *store, *names, error);
    BIO_free(bio);
    if (err == LV_OK)
        return LV_OK;
    X509_STORE_free(*store);
    sk_X509_NAME_pop_free(*names, X509_NAME_free);
    *store = NULL;
    *names = NULL;
    return err;
}
