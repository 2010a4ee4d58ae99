/* Who asks: HTTP Basic (RFC 7617), or whoever came through the socket of the data directory.
 *
 * The password is compared by the verifier, on its thread or from its memory; what comes back lies in the room until the end
 * of a turn. When the verifier wants an address to wait, its request waits here. */
#include "security/verify.h"

#include <openssl/crypto.h>

#include <strings.h>

#include "base/mem.h"
#include "broker/access.h"
#include "manage/manage_priv.h"
#include "manage/router.h"
#include "manage/shapes.h"
#include "os/log.h"
#include "os/os.h"
#include "security/base64.h"

#define CREDENTIALS_BYTES_MAX (LV_SHORTSTR_MAX + 1 + LV_PASSWORD_BYTES_MAX)

struct lv_login_job {
    struct lv_verify_job job;  /* first */
    struct lv_login_job *next; /* in room->logins */
    struct lv_manage *room;
    struct lv_request *request;
    struct lv_timer again;  /* until it may be asked */
    struct lv_link waiting; /* in room->waiting while that runs */
    size_t user_len, password_len;
    uint8_t text[CREDENTIALS_BYTES_MAX]; /* user, ':', password */
};

static void job_free(struct lv_login_job *l)
{
    OPENSSL_cleanse(l->text, sizeof(l->text));
    lv_mem_free(l, LV_TAG_MANAGE);
}

static void ask_for_login(struct lv_request *r, const char *reason)
{
    lv_reply_header(r, "www-authenticate", LV_BYTES_LIT("Basic realm=\"RabbitMQ Management\""));
    lv_reply_error(r, 401, "not_authorized", "%s", reason);
}

/* ---- comparing ---- */

/* The verifier's thread, or this one. */
static void verified(struct lv_verify_job *job)
{
    struct lv_login_job *l = (struct lv_login_job *)job;
    struct lv_manage *m = l->room;

    l->next = atomic_load(&m->logins);
    while (!atomic_compare_exchange_weak(&m->logins, &l->next, l)) {
    }
    lv_loop_call(m->loop);
}

static void try_again(struct lv_loop *loop, struct lv_timer *timer);

static void submit(struct lv_login_job *l)
{
    struct lv_manage *m = l->room;
    struct lv_verify_ask ask = {
        .user = lv_bytes(l->text, l->user_len),
        .password = lv_bytes(l->text + l->user_len + 1, l->password_len),
        .from_loopback = true,
        .loopback_users = m->settings->loopback_users,
    };
    uint8_t address[16];
    uint32_t wait_ms = 0;

    if (l->request->client != NULL) {
        const struct lv_conn *conn = lv_client_conn(l->request->client);
        ask.from_loopback = lv_conn_peer_is_loopback(conn);
        if (!ask.from_loopback) /* who is on this machine is not slowed */
            ask.address = lv_bytes(address, lv_conn_peer_ip(conn, address));
    }
    if (lv_verify_submit(lv_broker_verify(m->broker), lv_broker_access(m->broker), &l->job, &ask,
                         lv_loop_now(m->loop), &wait_ms) == LV_OK)
        return;
    lv_list_push(&m->waiting, &l->waiting);
    lv_timer_start(m->loop, &l->again, wait_ms, try_again);
}

/* The login comes to nothing. */
static void give_up(struct lv_login_job *l)
{
    struct lv_request *r = l->request;

    job_free(l);
    if (lv_request_back(r))
        lv_reply_error(r, 503, "service_unavailable", "the login could not be checked");
}

static void try_again(struct lv_loop *loop, struct lv_timer *timer)
{
    struct lv_login_job *l = LV_CONTAINER_OF(timer, struct lv_login_job, again);

    (void)loop;
    lv_list_remove(&l->waiting);
    if (l->request->client == NULL)
        give_up(l);
    else
        submit(l);
}

void lv_http_logins_drop(struct lv_manage *m)
{
    struct lv_link *link;

    while ((link = lv_list_pop(&m->waiting)) != NULL) {
        struct lv_login_job *l = LV_CONTAINER_OF(link, struct lv_login_job, waiting);
        lv_timer_stop(&l->again);
        give_up(l);
    }
}

/* ---- a login by a form: whoever passes is told how to log in from now on ---- */

static void reply_token(struct lv_request *r)
{
    const struct lv_user_record *user =
        lv_access_user(lv_broker_access(r->room->broker), r->who.name);
    struct lv_json *j = lv_reply_json(r, 200);

    lv_json_open(j, NULL);
    lv_json_open(j, "token");
    lv_json_str(j, "type", "basic");
    lv_json_bytes(j, "value", *(const struct lv_bytes *)r->state);
    lv_json_close(j);
    lv_json_open(j, "user");
    lv_json_bytes(j, "name", r->who.name);
    if (user != NULL)
        lv_json_tags(j, "tags", &user->tags);
    lv_json_close(j);
    lv_json_close(j);
    lv_reply_end(r);
}

/* ---- how it went ---- */

static unsigned tags_of(const struct lv_tags *tags)
{
    static const struct {
        const char *name;
        unsigned tag;
    } known[] = {
        { "administrator", LV_WHO_ADMINISTRATOR },
        { "monitoring", LV_WHO_MONITORING },
        { "policymaker", LV_WHO_POLICYMAKER },
        { "management", LV_WHO_MANAGEMENT },
    };
    unsigned out = 0;

    for (size_t i = 0; i < LV_ARRAY_LEN(known); i++)
        if (lv_tags_have(tags, lv_bytes_str(known[i].name)))
            out |= known[i].tag;
    return out;
}

static void admit(struct lv_request *r, const struct lv_login_job *l)
{
    struct lv_bytes name = lv_request_copy(r, lv_bytes(l->text, l->user_len));
    const struct lv_user_record *user = lv_access_user(lv_broker_access(r->room->broker), name);

    if (name.ptr == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    if (user == NULL || user->credential != l->job.credential) { /* gone, or changed meanwhile */
        ask_for_login(r, "Not_Authorized");
        return;
    }
    r->who = (struct lv_who){ name, l->job.credential, tags_of(&user->tags), false };
    if (r->state == NULL)
        lv_route_authorize(r);
    else if (r->who.tags == 0)
        lv_reply_refused(r, "Not management user");
    else
        reply_token(r);
}

static void refuse(struct lv_request *r, const struct lv_login_job *l)
{
    struct lv_bytes user = lv_bytes(l->text, l->user_len);
    char why[512], peer[LV_ADDR_MAX];

    lv_login_text(l->job.login, user, why, sizeof(why));
    lv_conn_peer(lv_client_conn(r->client), peer);
    lv_log(HTTP_LOGIN_REFUSED, lv_log_bytes(user), lv_log_str(why), lv_log_str(peer));
    if (l->job.login == LV_LOGIN_LOOPBACK_ONLY)
        lv_reply_refused(r, "User can only log in via localhost");
    else if (l->job.login == LV_LOGIN_FAILED)
        lv_reply_error(r, 503, "service_unavailable", "the login could not be checked");
    else
        ask_for_login(r, "Not_Authorized");
}

void lv_http_logins_turn(struct lv_manage *m)
{
    struct lv_login_job *l = atomic_exchange(&m->logins, NULL), *next;

    for (; l != NULL; l = next) {
        struct lv_request *r = l->request;
        next = l->next;
        if (l->job.login == LV_LOGIN_OK)
            m->logins_ok++;
        else
            m->logins_failed++;
        if (lv_request_back(r)) {
            if (l->job.login == LV_LOGIN_OK)
                admit(r, l);
            else
                refuse(r, l);
        }
        job_free(l);
    }
}

/* ---- what was sent ---- */

/* "Basic " and base64 of user, ':', password. */
static bool read_basic(struct lv_bytes header, struct lv_login_job *l)
{
    if (header.len < 6 || strncasecmp((const char *)header.ptr, "Basic ", 6) != 0)
        return false;
    struct lv_wr w = lv_wr(l->text, sizeof(l->text));
    if (lv_base64_decode(&w, lv_bytes(header.ptr + 6, header.len - 6)) != LV_OK || !lv_wr_ok(&w))
        return false;
    const uint8_t *colon = w.used != 0 ? memchr(l->text, ':', w.used) : NULL;
    if (colon == NULL)
        return false;
    l->user_len = (size_t)(colon - l->text);
    l->password_len = w.used - l->user_len - 1;
    return true;
}

static struct lv_login_job *job_new(struct lv_request *r)
{
    struct lv_login_job *l = lv_mem_zalloc(sizeof(*l), LV_TAG_MANAGE);

    if (l == NULL) {
        lv_reply_no_memory(r);
        return NULL;
    }
    lv_list_init(&l->waiting);
    l->job.done = verified;
    l->room = r->room;
    l->request = r;
    return l;
}

/* management.disable_basic_auth; metrics have a setting of their own. RabbitMQ's words. */
static bool is_basic_refused(struct lv_request *r)
{
    static const char why[] = "HTTP access denied: basic auth disabled";

    if (!r->room->settings->management_disable_basic_auth || lv_client_is_scraper(r->client))
        return false;
    lv_reply_error(r, 401, "not_authorized", "%s", why);
    return true;
}

void lv_http_login_begin(struct lv_request *r)
{
    struct lv_bytes header = lv_http_header(&r->head, "authorization");

    if (header.len == 0 && lv_client_is_operator(r->client)) {
        r->who = (struct lv_who){ .tags = LV_WHO_ADMINISTRATOR, .is_operator = true };
        lv_route_authorize(r);
        return;
    }
    if (header.len != 0 && is_basic_refused(r))
        return;
    struct lv_login_job *l = job_new(r);
    if (l == NULL)
        return;
    if (!read_basic(header, l)) {
        job_free(l);
        ask_for_login(r, "Not_Authorized");
        return;
    }
    lv_request_out(r);
    submit(l);
}

/* Base64 of user, ':', password: what Basic wants. */
static struct lv_bytes *token_of(struct lv_request *r, const struct lv_login_job *l)
{
    size_t len = l->user_len + 1 + l->password_len;
    struct lv_bytes *token = lv_request_alloc(r, sizeof(*token));
    uint8_t *text = lv_request_alloc(r, LV_BASE64_TEXT_BYTES(len));
    struct lv_wr w = lv_wr(text, LV_BASE64_TEXT_BYTES(len));

    if (token == NULL || text == NULL)
        return NULL;
    lv_base64_encode(&w, lv_bytes(l->text, len));
    *token = lv_bytes(text, w.used);
    return token;
}

void lv_api_login(struct lv_request *r)
{
    uint8_t *block = lv_request_alloc(r, r->body.len + 1);
    struct lv_url form;

    if (is_basic_refused(r))
        return;
    struct lv_login_job *l = job_new(r);
    if (l == NULL)
        return;
    if (block == NULL || lv_url_parse_form(lv_buf_view(&r->body), block, &form) != LV_OK) {
        job_free(l);
        lv_reply_bad_request(r, "Expected username and password");
        return;
    }
    struct lv_bytes user = lv_url_param(&form, "username"),
                    password = lv_url_param(&form, "password");
    if (user.ptr == NULL || password.ptr == NULL || user.len > LV_SHORTSTR_MAX ||
        password.len > LV_PASSWORD_BYTES_MAX) {
        job_free(l);
        lv_reply_bad_request(r, "Expected username and password");
        return;
    }
    l->user_len = user.len;
    l->password_len = password.len;
    struct lv_wr w = lv_wr(l->text, sizeof(l->text));
    lv_wr_bytes(&w, user.ptr, user.len);
    lv_wr_u8(&w, ':');
    lv_wr_bytes(&w, password.ptr, password.len);
    r->state = token_of(r, l);
    if (r->state == NULL) {
        job_free(l);
        lv_reply_no_memory(r);
        return;
    }
    lv_request_out(r);
    submit(l);
}

void lv_api_logout(struct lv_request *r)
{
    lv_reply_empty(r, 204);
}

/* How pages are to log in: not by OAuth 2. */
void lv_api_auth(struct lv_request *r)
{
    struct lv_json *j = lv_reply_json(r, 200);

    lv_json_open(j, NULL);
    lv_json_bool(j, "oauth_enabled", false);
    lv_json_close(j);
    lv_reply_end(r);
}
