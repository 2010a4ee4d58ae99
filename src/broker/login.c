/* Logins: from a claim to a pass. The password is compared on the verifier's thread; what comes back lies in the shard until
 * the end of a turn. The session may be gone by then: it is found by its handle, since it does not move before it is
 * open. */
#include <openssl/crypto.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "broker/broker_priv.h"
#include "config/config.h"
#include "os/os.h"

struct lv_login_try {
    struct lv_verify_job job;  /* first */
    struct lv_login_try *next; /* in shard->logins */
    struct lv_shard *shard;
    lv_handle session;
    struct lv_timer again;
    bool is_out; /* the verifier has it, or it lies in shard->logins */
    uint16_t user_len, password_len;
    uint8_t user[LV_SHORTSTR_MAX + 1]; /* cut to one more than can be right */
    uint8_t password[LV_PASSWORD_BYTES_MAX + 1];
};

static void try_free(struct lv_login_try *t)
{
    OPENSSL_cleanse(t->password, sizeof(t->password));
    lv_mem_free(t, LV_TAG_CONN);
}

/* The verifier's thread, or this one. */
static void verified(struct lv_verify_job *job)
{
    struct lv_login_try *t = (struct lv_login_try *)job;
    struct lv_shard *shard = t->shard;

    t->next = atomic_load(&shard->logins);
    while (!atomic_compare_exchange_weak(&shard->logins, &t->next, t)) {
    }
    if (!atomic_load(&shard->broker->is_ending))
        lv_loop_call(shard->loop);
}

static void try_again(struct lv_loop *loop, struct lv_timer *timer);

static void submit(struct lv_session *s, struct lv_login_try *t)
{
    const struct lv_broker *b = s->broker;
    bool is_near = lv_conn_peer_is_loopback(&s->conn);
    uint8_t address[16];
    struct lv_verify_ask ask = {
        .user = lv_bytes(t->user, t->user_len),
        .password = lv_bytes(t->password, t->password_len),
        .from_loopback = is_near,
        .loopback_users = b->settings->loopback_users,
    };
    uint32_t wait_ms;

    if (!is_near) /* who is on this machine is not slowed */
        ask.address = lv_bytes(address, lv_conn_peer_ip(&s->conn, address));
    t->is_out = true;
    if (lv_verify_submit(b->verify, b->access, &t->job, &ask, lv_shard_now(s->shard), &wait_ms) !=
        LV_OK) {
        t->is_out = false;
        lv_timer_start(s->shard->loop, &t->again, wait_ms, try_again);
    }
}

static void try_again(struct lv_loop *loop, struct lv_timer *timer)
{
    struct lv_login_try *t = LV_CONTAINER_OF(timer, struct lv_login_try, again);

    (void)loop;
    submit(lv_handles_get(&t->shard->sessions, t->session),
           t); /* a session that ends takes it along */
}

static void answer(struct lv_session *s, enum lv_login login, struct lv_bytes user,
                   uint64_t credential)
{
    if (login == LV_LOGIN_OK) {
        enum lv_err err = lv_pass_init(&s->pass, s->broker->access, user, credential);
        if (err != LV_OK) {
            lv_pass_fini(&s->pass);
            login = err == LV_EREFUSED ? LV_LOGIN_REFUSED : LV_LOGIN_FAILED;
        }
    }
    if (login == LV_LOGIN_OK)
        LV_TALLY(s->shard, logins_ok, 1);
    else
        LV_TALLY(s->shard, logins_failed, 1);
    s->ops->logged_in(s, login);
}

/* The name stands in a certificate that TLS has verified: it must be a user's. */
static void login_certificate(struct lv_session *s, struct lv_bytes name)
{
    const struct lv_user_record *user = lv_access_user(s->broker->access, name);
    bool is_allowed = lv_loopback_allows(s->broker->settings->loopback_users, name,
                                         lv_conn_peer_is_loopback(&s->conn));

    answer(s,
           user == NULL  ? LV_LOGIN_REFUSED
           : !is_allowed ? LV_LOGIN_LOOPBACK_ONLY
                         : LV_LOGIN_OK,
           name, user != NULL ? user->credential : 0);
}

void lv_session_login(struct lv_session *s, const struct lv_claim *claim)
{
    LV_ASSERT(s->login == NULL && claim->kind != LV_CLAIM_NONE);
    if (claim->kind == LV_CLAIM_CERTIFICATE) {
        login_certificate(s, claim->name);
        return;
    }
    struct lv_login_try *t = lv_mem_zalloc(sizeof(*t), LV_TAG_CONN);
    if (t == NULL) {
        s->ops->logged_in(s, LV_LOGIN_FAILED);
        return;
    }
    t->job.done = verified;
    t->shard = s->shard;
    t->session = s->self;
    t->user_len = (uint16_t)LV_MIN(claim->name.len, sizeof(t->user));
    t->password_len = (uint16_t)LV_MIN(claim->password.len, sizeof(t->password));
    if (t->user_len != 0)
        memcpy(t->user, claim->name.ptr, t->user_len);
    if (t->password_len != 0)
        memcpy(t->password, claim->password.ptr, t->password_len);
    s->login = t;
    lv_conn_pause(&s->conn);
    submit(s, t);
}

/* The session ends before its login does. */
void lv_login_abandon(struct lv_session *s)
{
    struct lv_login_try *t = s->login;

    s->login = NULL;
    if (t == NULL || t->is_out)
        return; /* what comes back finds nobody */
    lv_timer_stop(&t->again);
    try_free(t);
}

static void finish(struct lv_shard *shard, struct lv_login_try *t)
{
    struct lv_session *s = lv_handles_get(&shard->sessions, t->session);

    if (s != NULL && s->login == t) {
        s->login = NULL;
        if (!s->conn.is_closing && !s->is_dying) {
            answer(s, t->job.login, lv_bytes(t->user, t->user_len), t->job.credential);
            lv_session_resume(s);
        }
    }
    try_free(t);
}

void lv_logins_take(struct lv_shard *shard)
{
    struct lv_login_try *t = atomic_exchange(&shard->logins, NULL), *oldest = NULL, *next;

    for (; t != NULL; t = next) {
        next = t->next;
        t->next = oldest;
        oldest = t;
    }
    for (; oldest != NULL; oldest = next) {
        next = oldest->next;
        finish(shard, oldest);
    }
}

void lv_logins_drop(struct lv_shard *shard)
{
    struct lv_login_try *t = atomic_exchange(&shard->logins, NULL), *next;

    for (; t != NULL; t = next) {
        next = t->next;
        try_free(t);
    }
}

enum lv_err lv_session_enter(struct lv_session *s, struct lv_bytes vhost, struct lv_refusal *why)
{
    enum lv_err err = lv_pass_enter(&s->pass, vhost, why);

    if (err != LV_OK)
        return err;
    if (!lv_vhost_enter(s, vhost)) {
        /* It is made before its record is seen, and ends after it: this is the moment in between. */
        lv_pass_leave(&s->pass);
        why->code = 530;
        (void)snprintf(why->text, sizeof(why->text), "vhost %.*s not found", LV_BYTES_FMT(vhost));
        return LV_EREFUSED;
    }
    s->opened_ms = lv_clock_wall_us() / 1000;
    if (!s->is_detached)
        LV_TALLY(s->shard, connections_opened, 1);
    return LV_OK;
}
