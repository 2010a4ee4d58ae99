/* security/verify.h - is this the password? Answered by a thread of its own, so that no loop waits for a hash.
 *
 * lv_verify_submit looks the user up (so it runs in a reader's section), and then the job travels: through the throttle
 * of its address, the memory of passwords that were right within the last minute, and a short queue to the thread, which
 * compares and calls `done`. The thread touches nothing but the job. An unknown user costs what a wrong password costs.
 * Owner   the verifier: any thread may submit. A job: the caller before submit and from `done` on; the verifier between.
 */
#ifndef LV_SECURITY_VERIFY_H
#define LV_SECURITY_VERIFY_H
#include "base/time.h"
#include "security/access.h"
#include "security/throttle.h"

#define LV_VERIFY_QUEUE 64u /* jobs waiting */
#define LV_VERIFY_PER_ADDRESS \
    8u /* of them from one network (throttle.h), so that none can fill the queue */
#define LV_VERIFY_REMEMBER 256u /* right passwords remembered */
#define LV_VERIFY_REMEMBER_MS 60000u

/* How it went, and RabbitMQ's words for the log. */
enum lv_login {
    LV_LOGIN_OK,
    LV_LOGIN_REFUSED,       /* unknown user or wrong password: not told apart, neither in time */
    LV_LOGIN_LOOPBACK_ONLY, /* right, but from elsewhere */
    LV_LOGIN_BLANK,         /* an empty password is never right */
    LV_LOGIN_FAILED,        /* could not be told: no memory, or the verifier stops */
};

struct lv_verify;

struct lv_verify_job {
    /* the caller's */
    void (*done)(struct lv_verify_job *job); /* on the verifier's thread, or before submit returns */
    void *ctx;
    bool rehash; /* a right password whose hash is not Argon2id: make one */
    /* the answer */
    enum lv_login login;
    uint64_t credential; /* of the user as he was looked up: for lv_pass_init */
    bool has_new_hash;
    struct lv_password_hash new_hash; /* to be put in the user's record with the same credential */
    /* the verifier's */
    struct lv_verify_job *next;
    bool is_known;
    struct lv_password_hash stored;
    uint8_t address[16], address_len;
    uint8_t mac[32];
    uint16_t user_len, password_len;
    uint8_t user[LV_SHORTSTR_MAX];
    uint8_t password[LV_PASSWORD_BYTES_MAX]; /* wiped before `done` */
};

struct lv_verify_ask {
    struct lv_bytes user, password;
    struct lv_bytes address;    /* the peer's, 4 or 16 bytes, as the socket says */
    bool from_loopback;         /* is that address one of 127.0.0.0/8 or ::1 */
    const char *loopback_users; /* setting of that name */
};

/* Starts the thread. LV_ENOMEM; LV_EIO: no thread, no randomness. */
enum lv_err lv_verify_start(const struct lv_throttle_rule *rule, struct lv_verify **out) LV_MUST_USE;
/* Ends it: jobs that wait are done with LV_LOGIN_FAILED. Nobody submits any more. */
void lv_verify_stop(struct lv_verify *v);
/* LV_OK: `done` is called once, or was. LV_EAGAIN: not now; ask again after *wait_ms (the address is being slowed, or too
 * many wait), and nothing was taken. */
enum lv_err lv_verify_submit(struct lv_verify *v, const struct lv_access *a,
                             struct lv_verify_job *job, const struct lv_verify_ask *ask,
                             lv_time_ms now, uint32_t *wait_ms) LV_MUST_USE;
/* May a user of this name come from there? `loopback_users` is the setting. For EXTERNAL, which asks no password. */
bool lv_loopback_allows(const char *loopback_users, struct lv_bytes user, bool from_loopback);
/* "user 'guest' can only connect via localhost" ... for the log: the client is told none of it. */
void lv_login_text(enum lv_login login, struct lv_bytes user, char *out, size_t cap);

#endif
