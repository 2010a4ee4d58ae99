/* Definitions at the start: the files that load_definitions names. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "broker/definitions_priv.h"
#include "config/config.h"
#include "os/log.h"
#include "os/os.h"

#define DIGEST_NAME "internal_definitions_digest" /* global parameter */
#define ITEMS_AT_A_TIME 1024u

struct boot {
    struct lv_definitions *d;
    EVP_MD_CTX *digest; /* NULL: not asked for */
    enum lv_err err;
    char *why;
    size_t cap;
};

static void read_file(void *ctx, const char *path)
{
    struct boot *boot = ctx;
    char *text;
    size_t bytes;

    if (boot->err != LV_OK)
        return;
    boot->err = lv_os_read_file(path, LV_DEFINITIONS_BYTES_MAX, LV_TAG_BROKER, &text, &bytes);
    if (boot->err != LV_OK) {
        snprintf(boot->why, boot->cap, "%s: %s", path,
                 boot->err == LV_EIO ? strerror(errno) : lv_err_text(boot->err));
        boot->err = boot->err == LV_ENOMEM ? LV_ENOMEM : LV_EINVAL;
        return;
    }
    if (boot->digest != NULL && EVP_DigestUpdate(boot->digest, text, bytes) != 1)
        boot->err = LV_ENOMEM;
    if (boot->err == LV_OK)
        boot->err = lv_definitions_add(boot->d, path, lv_bytes(text, bytes), boot->why, boot->cap);
    lv_mem_free(text, LV_TAG_BROKER);
}

static void read_files(struct boot *boot, const char *path)
{
    struct stat st;
    char pattern[4096];

    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        read_file(boot, path);
        return;
    }
    int n = snprintf(pattern, sizeof(pattern), "%s/*.json", path);
    enum lv_err err =
        n > 0 && (size_t)n < sizeof(pattern) ? lv_os_glob(pattern, read_file, boot) : LV_EINVAL;
    if (err != LV_OK && boot->err == LV_OK) {
        snprintf(boot->why, boot->cap, "%.1000s: %s", path, lv_err_text(err));
        boot->err = err == LV_ENOMEM ? err : LV_EINVAL;
    }
}

static enum lv_err begin_digest(struct boot *boot, const struct lv_settings *s)
{
    if (!s->definitions_skip_if_unchanged)
        return LV_OK;
    const EVP_MD *algorithm = EVP_get_digestbyname(s->definitions_hashing);
    if (algorithm == NULL) {
        snprintf(boot->why, boot->cap, "definitions.hashing.algorithm: no such algorithm: %.200s",
                 s->definitions_hashing);
        return LV_EINVAL;
    }
    boot->digest = EVP_MD_CTX_new();
    return boot->digest != NULL && EVP_DigestInit_ex(boot->digest, algorithm, NULL) == 1 ? LV_OK
                                                                                         : LV_ENOMEM;
}

static enum lv_err end_digest(struct boot *boot, const struct lv_settings *s)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    char *out = boot->d->digest;

    if (boot->digest == NULL)
        return LV_OK;
    if (EVP_DigestFinal_ex(boot->digest, bytes, &len) != 1)
        return LV_ENOMEM;
    int used = snprintf(out, sizeof(boot->d->digest), "\"%.20s:", s->definitions_hashing);
    for (unsigned i = 0; i < len && i < 64; i++)
        used += snprintf(out + used, sizeof(boot->d->digest) - (size_t)used, "%02x", bytes[i]);
    snprintf(out + used, sizeof(boot->d->digest) - (size_t)used, "\"");
    return LV_OK;
}

enum lv_err lv_definitions_open(const struct lv_settings *s, struct lv_definitions **out, char *why,
                                size_t cap)
{
    struct boot boot = { .why = why, .cap = cap };

    *out = NULL;
    why[0] = '\0';
    if (s->load_definitions[0] == '\0' || strcmp(s->definitions_backend, "local_filesystem") != 0)
        return LV_OK;
    enum lv_err err = lv_definitions_new(s, lv_bytes(NULL, 0), &boot.d);
    if (err == LV_OK)
        err = begin_digest(&boot, s);
    if (err == LV_OK) {
        read_files(&boot, s->load_definitions);
        err = boot.err;
    }
    if (err == LV_OK)
        err = end_digest(&boot, s);
    EVP_MD_CTX_free(boot.digest);
    if (err != LV_OK) {
        lv_definitions_free(boot.d);
        return err;
    }
    *out = boot.d;
    return LV_OK;
}

void lv_broker_use_definitions(struct lv_broker *b, struct lv_definitions *d)
{
    lv_definitions_free(b->definitions);
    b->definitions = d;
}

const char *lv_broker_definitions_why(const struct lv_broker *b)
{
    return b->definitions_why;
}

static bool are_unchanged(const struct lv_broker *b)
{
    const struct lv_parameter *p = lv_global_find(b, LV_BYTES_LIT(DIGEST_NAME));
    const char *digest = b->definitions->digest;

    return digest[0] != '\0' && p != NULL && lv_bytes_eq(p->value, lv_bytes_str(digest));
}

static void log_outcome(const struct lv_broker *b)
{
    const struct lv_definitions *d = b->definitions;
    uint64_t counts[LV_IMPORT_OUTCOMES] = { 0 };

    for (size_t i = 0; i < d->count; i++)
        counts[d->items[i]->outcome]++;
    lv_log(DEFINITIONS, lv_log_str(b->settings->load_definitions), lv_log_u64(d->count),
           lv_log_u64(counts[LV_IMPORT_NEW]), lv_log_u64(counts[LV_IMPORT_CHANGED]),
           lv_log_u64(counts[LV_IMPORT_IGNORED]));
}

static enum lv_err apply(struct lv_broker *b)
{
    char *why = b->definitions_why;
    enum lv_err err;

    lv_definitions_begin(b->definitions, false);
    while ((err = lv_definitions_step(b, b->definitions, ITEMS_AT_A_TIME, why,
                                      LV_DEFINITIONS_WHY_MAX)) == LV_EAGAIN)
        lv_broker_wait_stable(b); /* what is appended may not pile up */
    if (err == LV_OK && b->definitions->digest[0] != '\0')
        err =
            lv_broker_put_global(b, LV_BYTES_LIT(DIGEST_NAME), lv_bytes_str(b->definitions->digest),
                                 NULL, why, LV_DEFINITIONS_WHY_MAX);
    lv_broker_wait_stable(b);
    if (err == LV_OK)
        log_outcome(b);
    return err;
}

enum lv_err lv_definitions_boot(struct lv_broker *b)
{
    enum lv_err err = LV_OK;

    if (b->definitions == NULL)
        return LV_OK;
    if (are_unchanged(b))
        lv_log(DEFINITIONS_SKIPPED, lv_log_str(b->settings->load_definitions));
    else
        err = apply(b);
    lv_broker_use_definitions(b, NULL);
    return err;
}
