/* What is known of a peer by its certificate.
 *
 * Names are for access decisions, so one that does not fit, or that hides a NUL, is no name at all and never a shorter
 * one. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include "base/bytes.h"
#include "loop/tls_priv.h"

/* ---- distinguished names: RFC 4514 with RabbitMQ's words for the attributes (rabbit_cert_info) ---- */

static const struct {
    int nid;
    const char *word;
} attributes[] = {
    { NID_surname, "SN" },
    { NID_givenName, "GIVENNAME" },
    { NID_initials, "INITIALS" },
    { NID_generationQualifier, "GENERATIONQUALIFIER" },
    { NID_commonName, "CN" },
    { NID_localityName, "L" },
    { NID_stateOrProvinceName, "ST" },
    { NID_organizationName, "O" },
    { NID_organizationalUnitName, "OU" },
    { NID_title, "TITLE" },
    { NID_countryName, "C" },
    { NID_serialNumber, "SERIALNUMBER" },
    { NID_pseudonym, "PSEUDONYM" },
    { NID_domainComponent, "DC" },
    { NID_pkcs9_emailAddress, "EMAILADDRESS" },
    { NID_streetAddress, "STREET" },
    { NID_userId, "UID" },
};

static void put_text(struct lv_wr *w, const char *text)
{
    lv_wr_bytes(w, text, strlen(text));
}

static void put_attribute(struct lv_wr *w, const ASN1_OBJECT *type)
{
    char dotted[128];
    int nid = OBJ_obj2nid(type);

    for (size_t i = 0; i < LV_ARRAY_LEN(attributes); i++) {
        if (attributes[i].nid == nid) {
            put_text(w, attributes[i].word);
            return;
        }
    }
    (void)OBJ_obj2txt(dotted, sizeof(dotted), type, 1);
    put_text(w, dotted);
}

static void put_hex(struct lv_wr *w, uint8_t byte)
{
    static const char digits[] = "0123456789ABCDEF";

    lv_wr_u8(w, (uint8_t)digits[byte >> 4]);
    lv_wr_u8(w, (uint8_t)digits[byte & 15]);
}

/* RFC 4514 §2.4. RabbitMQ escapes more than that: everything that is not printable ASCII, and the tilde. */
static void put_value(struct lv_wr *w, struct lv_bytes v)
{
    for (size_t i = 0; i < v.len; i++) {
        uint8_t c = v.ptr[i];
        bool at_start = i == 0 && (c == ' ' || c == '#');
        bool at_end = i == v.len - 1 && c == ' ';
        if (c < 32 || c >= 126) {
            lv_wr_u8(w, '\\');
            put_hex(w, c);
            continue;
        }
        if (at_start || at_end || strchr("\"+,;<>\\", c) != NULL)
            lv_wr_u8(w, '\\');
        lv_wr_u8(w, c);
    }
}

static void put_entry(struct lv_wr *w, const X509_NAME_ENTRY *entry)
{
    const ASN1_STRING *value = X509_NAME_ENTRY_get_data(entry);
    unsigned char *utf8 = NULL;
    int n = ASN1_STRING_to_UTF8(&utf8, value);

    put_attribute(w, X509_NAME_ENTRY_get_object(entry));
    lv_wr_u8(w, '=');
    if (n >= 0) {
        put_value(w, lv_bytes(utf8, (size_t)n));
    } else { /* not a text */
        lv_wr_u8(w, '#');
        for (int i = 0; i < ASN1_STRING_length(value); i++)
            put_hex(w, ASN1_STRING_get0_data(value)[i]);
    }
    OPENSSL_free(utf8);
}

/* Ends the text; one that did not fit becomes "". */
static void finish(struct lv_wr *w, char *out)
{
    out[lv_wr_ok(w) ? w->used : 0] = '\0';
}

/* Last relative name first; what belongs to one of them keeps its order. */
static void put_name(const X509_NAME *name, char out[LV_TLS_NAME_MAX])
{
    struct lv_wr w = lv_wr(out, LV_TLS_NAME_MAX - 1);
    int end = X509_NAME_entry_count(name);

    while (end > 0) {
        int begin = end - 1, set = X509_NAME_ENTRY_set(X509_NAME_get_entry(name, begin));
        while (begin > 0 && X509_NAME_ENTRY_set(X509_NAME_get_entry(name, begin - 1)) == set)
            begin--;
        for (int i = begin; i < end; i++) {
            if (i > begin)
                lv_wr_u8(&w, '+');
            put_entry(&w, X509_NAME_get_entry(name, i));
        }
        end = begin;
        if (end > 0)
            lv_wr_u8(&w, ',');
    }
    finish(&w, out);
}

/* Appends a text as it is. False: it hides a NUL. */
static bool put_plain(struct lv_wr *w, const ASN1_STRING *value)
{
    unsigned char *utf8 = NULL;
    int n = ASN1_STRING_to_UTF8(&utf8, value);
    bool ok = n >= 0 && memchr(utf8, 0, (size_t)n) == NULL;

    if (ok)
        lv_wr_bytes(w, utf8, (size_t)n);
    OPENSSL_free(utf8);
    return ok;
}

static void put_common_names(const X509_NAME *name, char out[LV_TLS_NAME_MAX])
{
    struct lv_wr w = lv_wr(out, LV_TLS_NAME_MAX - 1);
    int at = -1;

    out[0] = '\0';
    while ((at = X509_NAME_get_index_by_NID((X509_NAME *)(uintptr_t)name, NID_commonName, at)) >= 0) {
        if (w.used != 0)
            lv_wr_u8(&w, ',');
        if (!put_plain(&w, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at))))
            return;
    }
    finish(&w, out);
}

/* ---- the rest of a certificate ---- */

static void put_serial(const X509 *cert, char out[64])
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    struct lv_wr w = lv_wr(out, 63);

    for (int i = 0; i < ASN1_STRING_length(serial); i++)
        put_hex(&w, ASN1_STRING_get0_data(serial)[i]);
    finish(&w, out);
}

static uint64_t seconds(const ASN1_TIME *t)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(t, &tm) != 1)
        return 0;
    time_t s = timegm(&tm);
    return s > 0 ? (uint64_t)s : 0;
}

static bool hash_key(const X509 *cert, uint8_t out[32])
{
    unsigned char *der = NULL;
    int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    bool ok = n > 0 && EVP_Digest(der, (size_t)n, out, NULL, EVP_sha256(), NULL) == 1;

    OPENSSL_free(der);
    return ok;
}

static SSL *ssl_of(const struct lv_conn *c)
{
    const struct lv_tls_conn *t = c->io != NULL ? c->io->tls : NULL;

    return t != NULL && t->state != LV_TLS_HANDSHAKE && SSL_is_init_finished(t->ssl) ? t->ssl : NULL;
}

static X509 *cert_of(const SSL *ssl)
{
    return SSL_get_verify_result(ssl) == X509_V_OK ? SSL_get0_peer_certificate(ssl) : NULL;
}

bool lv_conn_tls_info(const struct lv_conn *c, struct lv_tls_info *out)
{
    const SSL *ssl = ssl_of(c);

    *out = (struct lv_tls_info){ .version = "", .cipher = "" };
    if (ssl == NULL)
        return false;
    const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    int bits = SSL_CIPHER_get_bits(SSL_get_current_cipher(ssl), NULL);
    out->version = SSL_get_version(ssl);
    out->cipher = SSL_get_cipher_name(ssl);
    out->cipher_bits = bits > 0 ? (unsigned)bits : 0;
    out->is_resumed = SSL_session_reused(ssl) == 1;
    (void)snprintf(out->sni, sizeof(out->sni), "%s", sni != NULL ? sni : "");
    X509 *cert = cert_of(ssl);
    out->has_cert = cert != NULL && hash_key(cert, out->spki_sha256);
    if (!out->has_cert)
        return true;
    put_name(X509_get_subject_name(cert), out->subject);
    put_name(X509_get_issuer_name(cert), out->issuer);
    put_common_names(X509_get_subject_name(cert), out->common_name);
    put_serial(cert, out->serial);
    out->not_before_s = seconds(X509_get0_notBefore(cert));
    out->not_after_s = seconds(X509_get0_notAfter(cert));
    ERR_clear_error();
    return true;
}

/* ---- alternative names ---- */

static bool put_address(const ASN1_STRING *bytes, char out[LV_TLS_NAME_MAX])
{
    int len = ASN1_STRING_length(bytes);

    return (len == 4 || len == 16) &&
           inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(bytes), out,
                     LV_TLS_NAME_MAX) != NULL;
}

static bool put_san(const GENERAL_NAME *name, char out[LV_TLS_NAME_MAX])
{
    struct lv_wr w = lv_wr(out, LV_TLS_NAME_MAX - 1);
    const ASN1_STRING *text = name->d.ia5;

    if (name->type == GEN_IPADD)
        return put_address(name->d.iPAddress, out);
    if (name->type == GEN_OTHERNAME) {
        if (name->d.otherName->value->type != V_ASN1_UTF8STRING)
            return false;
        text = name->d.otherName->value->value.utf8string;
    }
    if (!put_plain(&w, text))
        return false;
    finish(&w, out);
    return out[0] != '\0';
}

bool lv_conn_tls_san(const struct lv_conn *c, enum lv_tls_san_kind kind, unsigned index,
                     char out[LV_TLS_NAME_MAX])
{
    static const int types[] = { [LV_TLS_SAN_DNS] = GEN_DNS,
                                 [LV_TLS_SAN_EMAIL] = GEN_EMAIL,
                                 [LV_TLS_SAN_URI] = GEN_URI,
                                 [LV_TLS_SAN_IP] = GEN_IPADD,
                                 [LV_TLS_SAN_OTHER] = GEN_OTHERNAME };
    const SSL *ssl = ssl_of(c);
    X509 *cert = ssl != NULL ? cert_of(ssl) : NULL;
    GENERAL_NAMES *names =
        cert != NULL ? X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL) : NULL;
    bool found = false;

    out[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != types[kind] || index-- != 0)
            continue;
        found = put_san(name, out);
        break;
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return found;
}
