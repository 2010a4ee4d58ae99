#include "security/verify.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdio.h>

#include "base/mem.h"
#include "config/config.h"
#include "os/os.h"

#define BUSY_MS 250u /* before a full queue is asked again */
#define WAYS 4u

/* A password that was right: its MAC under a key of this process. The credential is part of it, so a changed password
 * or another user of the name is another entry. */
struct remembered {
    uint8_t mac[32];
    lv_time_ms until;
};

struct lv_verify {
    pthread_t thread;
    pthread_mutex_t lock; /* everything below */
    pthread_cond_t work;
    struct lv_verify_job *first, **last;
    uint32_t waiting;
    bool is_stopping;
    struct lv_throttle *throttle;
    struct remembered remembered[LV_VERIFY_REMEMBER / WAYS][WAYS];
    /* never changed */
    uint8_t key[32];
    struct lv_password_hash dummy; /* what unknown users are compared with */
};

/* ---- remembering ---- */

static void mac_of(const struct lv_verify *v, struct lv_verify_job *job)
{
    uint8_t text[8 + 2 + LV_SHORTSTR_MAX + LV_PASSWORD_BYTES_MAX];
    struct lv_wr w = lv_wr(text, sizeof(text));
    unsigned len = sizeof(job->mac);

    lv_wr_u64(&w, job->credential);
    lv_wr_u16(&w, job->user_len);
    lv_wr_bytes(&w, job->user, job->user_len);
    lv_wr_bytes(&w, job->password, job->password_len);
    if (HMAC(EVP_sha256(), v->key, sizeof(v->key), text, w.used, job->mac, &len) == NULL)
        memset(job->mac, 0, sizeof(job->mac)); /* never remembered: see remember() */
    OPENSSL_cleanse(text, sizeof(text));
}

static struct remembered *set_of(struct lv_verify *v, const uint8_t mac[32])
{
    return v->remembered[lv_be32(mac) % (LV_VERIFY_REMEMBER / WAYS)];
}

static bool is_remembered(struct lv_verify *v, const uint8_t mac[32], lv_time_ms now)
{
    struct remembered *set = set_of(v, mac);
    bool is_there = false;

    for (size_t i = 0; i < WAYS; i++)
        is_there |= (CRYPTO_memcmp(set[i].mac, mac, sizeof(set[i].mac)) == 0) & (now < set[i].until);
    return is_there;
}

static void remember(struct lv_verify *v, const uint8_t mac[32], lv_time_ms now)
{
    static const uint8_t none[32];
    struct remembered *set = set_of(v, mac), *oldest = &set[0];

    if (memcmp(mac, none, sizeof(none)) == 0)
        return;
    for (size_t i = 1; i < WAYS; i++)
        if (set[i].until < oldest->until)
            oldest = &set[i];
    memcpy(oldest->mac, mac, sizeof(oldest->mac));
    oldest->until = now + LV_VERIFY_REMEMBER_MS;
}

/* ---- comparing: the thread, without the lock ---- */

static struct lv_bytes password_of(const struct lv_verify_job *job)
{
    return lv_bytes(job->password, job->password_len);
}

/* Whatever is refused has cost one Argon2id, so that neither an unknown user nor an old hash shows in the time. */
static enum lv_login compare(const struct lv_verify *v, struct lv_verify_job *job)
{
    const struct lv_password_hash *h = job->is_known ? &job->stored : &v->dummy;
    enum lv_err err = lv_password_verify(h->algorithm, lv_bytes(h->bytes, h->len), password_of(job));

    if (err == LV_EREFUSED && h->algorithm != LV_HASH_ARGON2ID) {
        enum lv_err ignored =
            lv_password_verify(v->dummy.algorithm, lv_bytes(v->dummy.bytes, v->dummy.len),
                               password_of(job));
        (void)ignored;
    }
    if (err == LV_ENOMEM)
        return LV_LOGIN_FAILED;
    if (err != LV_OK || !job->is_known)
        return LV_LOGIN_REFUSED;
    if (job->rehash && h->algorithm != LV_HASH_ARGON2ID)
        job->has_new_hash =
            lv_password_hash(LV_HASH_ARGON2ID, password_of(job), &job->new_hash) == LV_OK;
    return LV_LOGIN_OK;
}

/* The last word on a job. `login` is what the comparison found; where the user may come from is asked afterwards. */
static void finish(struct lv_verify_job *job, enum lv_login login)
{
    enum lv_login otherwise = job->login; /* what a right password means: set at submit */

    OPENSSL_cleanse(job->password, sizeof(job->password));
    job->login = login == LV_LOGIN_OK ? otherwise : login;
    job->done(job);
}

static struct lv_verify_job *take_job(struct lv_verify *v)
{
    struct lv_verify_job *job = v->first;

    v->first = job->next;
    if (v->first == NULL)
        v->last = &v->first;
    v->waiting--;
    return job;
}

static void *run(void *arg)
{
    struct lv_verify *v = arg;

    pthread_mutex_lock(&v->lock);
    for (;;) {
        while (v->first == NULL && !v->is_stopping)
            pthread_cond_wait(&v->work, &v->lock);
        if (v->first == NULL)
            break;
        struct lv_verify_job *job = take_job(v);
        bool is_stopping = v->is_stopping;
        pthread_mutex_unlock(&v->lock);
        enum lv_login login = is_stopping ? LV_LOGIN_FAILED : compare(v, job);
        lv_time_ms now = lv_clock_ms();
        pthread_mutex_lock(&v->lock);
        lv_throttle_settle(v->throttle, lv_bytes(job->address, job->address_len),
                           login == LV_LOGIN_REFUSED, now);
        if (login == LV_LOGIN_OK)
            remember(v, job->mac, now);
        pthread_mutex_unlock(&v->lock);
        finish(job, login);
        pthread_mutex_lock(&v->lock);
    }
    pthread_mutex_unlock(&v->lock);
    return NULL;
}

/* ---- asking: any thread ---- */

/* Copies what the thread will need. */
static void fill(struct lv_verify_job *job, const struct lv_access *a,
                 const struct lv_verify_ask *ask)
{
    const struct lv_user_record *user = lv_access_user(a, ask->user);
    size_t user_len = LV_MIN(ask->user.len, sizeof(job->user));
    size_t address_len = LV_MIN(ask->address.len, sizeof(job->address));
    bool is_allowed = lv_loopback_allows(ask->loopback_users, ask->user, ask->from_loopback);

    job->login = is_allowed ? LV_LOGIN_OK : LV_LOGIN_LOOPBACK_ONLY;
    job->next = NULL;
    job->has_new_hash = false;
    job->is_known = user != NULL;
    job->credential = user != NULL ? user->credential : 0;
    if (user != NULL) {
        job->stored.algorithm = user->algorithm;
        job->stored.len = (uint8_t)user->hash.len;
        memcpy(job->stored.bytes, user->hash.ptr, user->hash.len);
    }
    job->user_len = (uint16_t)user_len;
    if (user_len != 0)
        memcpy(job->user, ask->user.ptr, user_len);
    job->password_len = (uint16_t)ask->password.len;
    memcpy(job->password, ask->password.ptr, ask->password.len);
    job->address_len = (uint8_t)address_len;
    if (address_len != 0)
        memcpy(job->address, ask->address.ptr, address_len);
}

/* May one more of this network wait? */
static bool has_room(const struct lv_verify *v, struct lv_bytes address)
{
    struct lv_bytes network = lv_throttle_network(address);
    uint32_t same = 0;

    for (const struct lv_verify_job *j = v->first; j != NULL; j = j->next)
        same += lv_bytes_eq(lv_throttle_network(lv_bytes(j->address, j->address_len)), network);
    return v->waiting < LV_VERIFY_QUEUE && same < LV_VERIFY_PER_ADDRESS;
}

enum ticket { TICKET_WAIT, TICKET_KNOWN, TICKET_QUEUED };

static enum ticket queue_job(struct lv_verify *v, struct lv_verify_job *job, lv_time_ms now,
                             uint32_t *wait_ms)
{
    struct lv_bytes address = lv_bytes(job->address, job->address_len);

    *wait_ms = BUSY_MS;
    if (!has_room(v, address))
        return TICKET_WAIT;
    *wait_ms = lv_throttle_admit(v->throttle, address, now);
    if (*wait_ms != 0)
        return TICKET_WAIT;
    if (job->is_known && is_remembered(v, job->mac, now)) {
        lv_throttle_settle(v->throttle, address, false, now);
        return TICKET_KNOWN;
    }
    *v->last = job;
    v->last = &job->next;
    v->waiting++;
    pthread_cond_signal(&v->work);
    return TICKET_QUEUED;
}

enum lv_err lv_verify_submit(struct lv_verify *v, const struct lv_access *a,
                             struct lv_verify_job *job, const struct lv_verify_ask *ask,
                             lv_time_ms now, uint32_t *wait_ms)
{
    *wait_ms = 0;
    if (ask->password.len == 0 || ask->password.len > LV_PASSWORD_BYTES_MAX) {
        job->login = LV_LOGIN_OK;
        job->has_new_hash = false;
        finish(job, ask->password.len == 0 ? LV_LOGIN_BLANK : LV_LOGIN_REFUSED);
        return LV_OK;
    }
    fill(job, a, ask);
    mac_of(v, job);
    pthread_mutex_lock(&v->lock);
    enum ticket ticket = queue_job(v, job, now, wait_ms);
    pthread_mutex_unlock(&v->lock);
    if (ticket == TICKET_WAIT) {
        OPENSSL_cleanse(job->password, sizeof(job->password));
        return LV_EAGAIN;
    }
    if (ticket == TICKET_KNOWN)
        finish(job, LV_LOGIN_OK);
    return LV_OK;
}

/* ---- starting and stopping ---- */

enum lv_err lv_verify_start(const struct lv_throttle_rule *rule, struct lv_verify **out)
{
    struct lv_verify *v = lv_mem_zalloc(sizeof(*v), LV_TAG_SECURITY);
    enum lv_err err;

    *out = NULL;
    if (v == NULL)
        return LV_ENOMEM;
    v->last = &v->first;
    err = lv_throttle_new(rule, &v->throttle);
    if (err != LV_OK)
        goto err_free;
    err = lv_os_random(v->key, sizeof(v->key));
    if (err != LV_OK)
        goto err_throttle;
    err = lv_password_hash(LV_HASH_ARGON2ID, LV_BYTES_LIT("nobody's"), &v->dummy);
    if (err != LV_OK)
        goto err_throttle;
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->work, NULL);
    if (pthread_create(&v->thread, NULL, run, v) != 0) {
        err = LV_EIO;
        goto err_lock;
    }
    *out = v;
    return LV_OK;
err_lock:
    pthread_cond_destroy(&v->work);
    pthread_mutex_destroy(&v->lock);
err_throttle:
    lv_throttle_free(v->throttle);
err_free:
    lv_mem_free(v, LV_TAG_SECURITY);
    return err;
}

void lv_verify_stop(struct lv_verify *v)
{
    if (v == NULL)
        return;
    pthread_mutex_lock(&v->lock);
    v->is_stopping = true;
    pthread_cond_signal(&v->work);
    pthread_mutex_unlock(&v->lock);
    pthread_join(v->thread, NULL);
    pthread_cond_destroy(&v->work);
    pthread_mutex_destroy(&v->lock);
    lv_throttle_free(v->throttle);
    OPENSSL_cleanse(v->key, sizeof(v->key));
    lv_mem_free(v, LV_TAG_SECURITY);
}

/* ---- who may come from where ---- */

bool lv_loopback_allows(const char *loopback_users, struct lv_bytes user, bool from_loopback)
{
    struct lv_bytes name, value;
    bool is_bound = false;

    while (lv_items_next(&loopback_users, &name, &value))
        if (lv_bytes_eq(name, user))
            is_bound = lv_bytes_eq(value, LV_BYTES_LIT("true"));
    return from_loopback || !is_bound;
}

void lv_login_text(enum lv_login login, struct lv_bytes user, char *out, size_t cap)
{
    static const char *const texts[] = {
        [LV_LOGIN_OK] = " - authenticated",
        [LV_LOGIN_REFUSED] = " - invalid credentials",
        [LV_LOGIN_LOOPBACK_ONLY] = " can only connect via localhost",
        [LV_LOGIN_BLANK] = " attempted to log in with a blank password",
        [LV_LOGIN_FAILED] = " - could not be verified now",
    };

    snprintf(out, cap, "user '%.*s'%s", LV_BYTES_FMT(user), texts[login]);
}
