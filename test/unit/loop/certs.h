/* certs.h - certificates for one test run, in a folder of its own. */
#ifndef LV_TEST_CERTS_H
#define LV_TEST_CERTS_H
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "lv_test.h"

#define CERT_PATH_MAX 128
#define DAY 86400L

struct cert {
    X509 *x509;
    EVP_PKEY *key;
};

static char certs_dir[64];

static inline void certs_open(void)
{
    (void)snprintf(certs_dir, sizeof(certs_dir), "%s/lv-tls-XXXXXX", P_tmpdir);
    CHECK(mkdtemp(certs_dir) != NULL);
}

/* A file in the folder; eight paths may be in use at a time. */
static inline const char *certs_path(const char *name)
{
    static _Thread_local char paths[8][CERT_PATH_MAX];
    static _Thread_local unsigned next;
    char *path = paths[next++ % 8];

    (void)snprintf(path, CERT_PATH_MAX, "%s/%s", certs_dir, name);
    return path;
}

static inline int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static inline void certs_close(void)
{
    CHECK_EQ(nftw(certs_dir, remove_one, 4, FTW_DEPTH | FTW_PHYS), 0);
}

static inline void add_extension(X509 *x509, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

    CHECK(e != NULL);
    CHECK_EQ(X509_add_ext(x509, e, -1), 1);
    X509_EXTENSION_free(e);
}

struct cert_wish {
    const char *common_name;
    const struct cert *issuer; /* NULL: itself */
    bool is_authority;
    long from_s, to_s; /* from now; both 0: a day from yesterday to tomorrow */
    const char *san;
    X509_NAME *name;  /* instead of common_name; taken */
    EVP_PKEY *key;    /* taken; NULL: a new one */
    const EVP_MD *md; /* NULL: SHA-256 */
};

static inline struct cert cert_new(struct cert_wish wish)
{
    static long serial = 0x1000;
    struct cert c = { X509_new(), wish.key != NULL ? wish.key : EVP_EC_gen("P-256") };
    const struct cert *issuer = wish.issuer != NULL ? wish.issuer : &c;
    X509_NAME *name = wish.name != NULL ? wish.name : X509_NAME_new();

    if (wish.from_s == 0 && wish.to_s == 0) {
        wish.from_s = -DAY;
        wish.to_s = DAY;
    }
    if (wish.common_name != NULL)
        CHECK_EQ(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                            (const unsigned char *)wish.common_name, -1, -1, 0),
                 1);
    X509_set_version(c.x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c.x509), serial++);
    X509_gmtime_adj(X509_getm_notBefore(c.x509), wish.from_s);
    X509_gmtime_adj(X509_getm_notAfter(c.x509), wish.to_s);
    X509_set_pubkey(c.x509, c.key);
    X509_set_subject_name(c.x509, name);
    X509_set_issuer_name(c.x509, X509_get_subject_name(issuer->x509));
    X509_NAME_free(name);
    if (wish.is_authority)
        add_extension(c.x509, NID_basic_constraints, "critical,CA:TRUE");
    if (wish.san != NULL)
        add_extension(c.x509, NID_subject_alt_name, wish.san);
    CHECK(X509_sign(c.x509, issuer->key, wish.md != NULL ? wish.md : EVP_sha256()) > 0);
    return c;
}

static inline void cert_free(struct cert *c)
{
    X509_free(c->x509);
    EVP_PKEY_free(c->key);
}

static inline FILE *certs_file(const char *name, const char *mode)
{
    FILE *f = fopen(certs_path(name), mode);

    CHECK(f != NULL);
    return f;
}

static inline void write_text(const char *name, const char *text)
{
    FILE *f = certs_file(name, "w");

    CHECK(fputs(text, f) >= 0);
    CHECK_EQ(fclose(f), 0);
}

/* The certificate, appended or alone. */
static inline void write_cert(const char *name, const char *mode, const struct cert *c)
{
    FILE *f = certs_file(name, mode);

    CHECK_EQ(PEM_write_X509(f, c->x509), 1);
    CHECK_EQ(fclose(f), 0);
}

static inline void write_key(const char *name, const struct cert *c, const char *password)
{
    FILE *f = certs_file(name, "w");

    CHECK_EQ(PEM_write_PKCS8PrivateKey(f, c->key, password != NULL ? EVP_aes_128_cbc() : NULL,
                                       password, password != NULL ? (int)strlen(password) : 0, NULL,
                                       NULL),
             1);
    CHECK_EQ(fclose(f), 0);
}

#endif
