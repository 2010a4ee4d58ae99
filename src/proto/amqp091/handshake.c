/* From the protocol header to connection.open-ok (§2.2.4), and the rest of class connection. */
#include <stdio.h>

#include "base/mem.h"
#include "base/table.h"
#include "loop/tls.h"
#include "os/log.h"
#include "proto/amqp091/amqp091.h"
#include "proto/amqp091/amqp_priv.h"
#include "security/sasl.h"

static struct lv_sasl_context sasl_context(const struct lv_amqp_conn *ac);

/* ---- header, start ---- */

static void put_text(struct lv_wr *w, const char *name, const char *text)
{
    lv_table_put_str(w, name, lv_bytes_str(text));
}

/* What clients look at: product and version by name, and capabilities by table. */
static size_t server_properties(struct lv_amqp_conn *ac, uint8_t *out, size_t cap)
{
    static const char *const capabilities[] = {
        "publisher_confirms",           "exchange_exchange_bindings", "basic.nack",
        "consumer_cancel_notify",       "connection.blocked",         "consumer_priorities",
        "authentication_failure_close", "per_consumer_qos",           "direct_reply_to",
    };
    const struct lv_settings *settings = lv_amqp_settings(ac);
    struct lv_wr w = lv_wr(out, cap);
    uint8_t nested[400];
    struct lv_wr caps = lv_wr(nested, sizeof(nested));

    for (size_t i = 0; i < LV_ARRAY_LEN(capabilities); i++)
        lv_table_put_bool(&caps, capabilities[i], true);
    lv_table_put_table(&w, "capabilities", lv_bytes(nested, caps.used));
    put_text(&w, "cluster_name", "leveret@localhost");
    put_text(&w, "copyright", "Copyright (c) the Leveret authors");
    put_text(&w, "information", "Leveret, licensed under the Apache License 2.0");
    put_text(&w, "platform", "C");
    put_text(&w, "product", settings->product);
    put_text(&w, "server", "Leveret " LV_VERSION);
    put_text(&w, "version", settings->product_version);
    LV_ASSERT(lv_wr_ok(&w) && lv_wr_ok(&caps));
    return w.used;
}

/* Which header a stranger is shown (RabbitMQ 4): a later 0-9 gets ours, anything else that of AMQP 1.0; and a client
 * that asks for 1.0, which is not spoken here yet, gets ours too. */
static bool answers_with_ours(const uint8_t *header)
{
    static const uint8_t amqp[4] = { 'A', 'M', 'Q', 'P' };

    if (memcmp(header, amqp, sizeof(amqp)) != 0)
        return false;
    bool is_0_9 = header[4] == 0 && header[5] == 0 && header[6] >= 9;
    bool is_1_0 = header[4] == 3 && header[5] == 1 && header[6] == 0 && header[7] == 0;
    return is_0_9 || is_1_0;
}

size_t lv_amqp_hello(struct lv_amqp_conn *ac, struct lv_bytes in)
{
    static const uint8_t ours[8] = { 'A', 'M', 'Q', 'P', 0, 0, 9, 1 };
    static const uint8_t amqp10[8] = { 'A', 'M', 'Q', 'P', 3, 1, 0, 0 };
    static const uint8_t old[8] = {
        'A', 'M', 'Q', 'P', 1, 1, 0, 9
    }; /* 0-9, taken for 0-9-1 (RabbitMQ) */
    uint8_t table[1024];
    char mechanisms[128];

    if (in.len < sizeof(ours))
        return 0;
    bool is_old = memcmp(in.ptr, old, sizeof(old)) == 0;
    if (!is_old && memcmp(in.ptr, ours, sizeof(ours)) != 0) {
        lv_log(BAD_HEADER, lv_log_bytes(ac->name), lv_log_bytes(lv_bytes(in.ptr, sizeof(ours))));
        lv_conn_write(&ac->s.conn,
                      lv_bytes(answers_with_ours(in.ptr) ? ours : amqp10, sizeof(ours)));
        lv_amqp_hang_up(ac);
        return in.len;
    }
    struct lv_sasl_context context = sasl_context(ac);
    size_t words = lv_sasl_offer(&context, mechanisms, sizeof(mechanisms));
    size_t len = server_properties(ac, table, sizeof(table));
    LV_AMQP_SEND(ac, 0, connection_start, .version_major = 0, .version_minor = 9,
                 .server_properties = lv_bytes(table, len),
                 .mechanisms = lv_bytes(mechanisms, words), .locales = LV_BYTES_LIT("en_US"));
    ac->state = LV_AMQP_STARTING;
    return sizeof(ours);
}

/* ---- start-ok: who is it ---- */

static uint8_t client_caps(struct lv_bytes properties)
{
    static const struct {
        const char *name;
        uint8_t bit;
    } known[] = {
        { "authentication_failure_close", LV_AMQP_CAP_AUTH_FAILURE_CLOSE },
        { "consumer_cancel_notify", LV_AMQP_CAP_CANCEL_NOTIFY },
        { "connection.blocked", LV_AMQP_CAP_BLOCKED },
    };
    struct lv_value caps, v;
    uint8_t bits = 0;

    if (!lv_table_find(properties, LV_BYTES_LIT("capabilities"), &caps) ||
        caps.kind != LV_KIND_TABLE)
        return 0;
    for (size_t i = 0; i < LV_ARRAY_LEN(known); i++)
        if (lv_table_find(caps.bytes, lv_bytes_str(known[i].name), &v) && v.kind == LV_KIND_BOOL &&
            v.i != 0)
            bits |= known[i].bit;
    return bits;
}

static struct lv_sasl_context sasl_context(const struct lv_amqp_conn *ac)
{
    const struct lv_settings *s = lv_amqp_settings(ac);

    return (struct lv_sasl_context){
        .mechanisms = s->auth_mechanisms,
        .anonymous_user = lv_bytes_str(s->anonymous_login_user),
        .anonymous_pass = lv_bytes_str(s->anonymous_login_pass),
        .is_tls = lv_conn_is_tls(&ac->s.conn),
    };
}

static enum lv_tls_san_kind san_kind(const char *type)
{
    static const struct {
        const char *name;
        enum lv_tls_san_kind kind;
    } kinds[] = {
        { "dns", LV_TLS_SAN_DNS },          { "ip", LV_TLS_SAN_IP },
        { "email", LV_TLS_SAN_EMAIL },      { "uri", LV_TLS_SAN_URI },
        { "other_name", LV_TLS_SAN_OTHER },
    };
    size_t i = 0;

    while (strcmp(kinds[i].name, type) != 0) /* the setting allows no other word */
        i++;
    return kinds[i].kind;
}

/* What the client's certificate says of him, by RabbitMQ's ssl_cert_login_from. `name` is what the context then views. */
static void see_certificate(struct lv_amqp_conn *ac, struct lv_sasl_context *context,
                            char name[LV_TLS_NAME_MAX])
{
    const struct lv_settings *s = lv_amqp_settings(ac);
    struct lv_tls_info info;

    name[0] = '\0';
    if (!lv_conn_tls_info(&ac->s.conn, &info) || !info.has_cert) {
        context->cert =
            strcmp(s->tls_verify, "verify_peer") == 0 ? LV_SASL_NO_CERT : LV_SASL_UNVERIFIED_CERT;
        return;
    }
    if (strcmp(s->tls_login_from, "subject_alternative_name") == 0)
        (void)lv_conn_tls_san(&ac->s.conn, san_kind(s->tls_login_san_type), s->tls_login_san_index,
                              name);
    else if (strcmp(s->tls_login_from, "common_name") == 0)
        memcpy(name, info.common_name, sizeof(info.common_name));
    else
        memcpy(name, info.subject, sizeof(info.subject));
    context->cert_name = lv_bytes_str(name);
    context->cert = context->cert_name.len == 0 || context->cert_name.len > LV_SHORTSTR_MAX
                        ? LV_SASL_NAMELESS_CERT
                        : LV_SASL_CERT;
}

static void refuse_login(struct lv_amqp_conn *ac, const char *why)
{
    struct lv_bytes mechanism = lv_sasl_name(ac->mechanism);

    lv_log(LOGIN_REFUSED, lv_log_bytes(ac->name), lv_log_bytes(mechanism), lv_log_bytes(ac->user),
           lv_log_str(why));
    lv_mem_free((void *)(uintptr_t)ac->user.ptr, LV_TAG_CONN);
    ac->user = lv_bytes(NULL, 0);
    lv_amqp_conn_error(
        ac, 403, 0,
        "Login was refused using authentication mechanism %.*s. For details see the broker "
        "logfile.",
        LV_BYTES_FMT(mechanism));
}

static void say_invalid_response(struct lv_amqp_conn *ac, struct lv_bytes response)
{
    char dump[300];

    lv_amqp_format_octets_plain(response, dump, sizeof(dump));
    lv_amqp_conn_error(ac, 502, 0, "response %s invalid", dump);
}

void lv_amqp_logged_in(struct lv_session *s, enum lv_login login)
{
    static const char *const reasons[] = {
        [LV_LOGIN_OK] = "",
        [LV_LOGIN_REFUSED] = "invalid credentials",
        [LV_LOGIN_LOOPBACK_ONLY] = "user can only connect via localhost",
        [LV_LOGIN_BLANK] = "blank password",
        [LV_LOGIN_FAILED] = "could not be verified now",
    };
    struct lv_amqp_conn *ac = (struct lv_amqp_conn *)s;
    const struct lv_settings *settings = lv_amqp_settings(ac);

    if (ac->state != LV_AMQP_STARTING && ac->state != LV_AMQP_SECURING)
        return; /* it closes */
    if (login != LV_LOGIN_OK) {
        refuse_login(ac, reasons[login]);
        return;
    }
    LV_AMQP_SEND(ac, 0, connection_tune, .channel_max = (uint16_t)settings->channel_max,
                 .frame_max = settings->frame_max, .heartbeat = (uint16_t)settings->heartbeat);
    ac->state = LV_AMQP_TUNING;
}

/* One response of the client: more is wanted, or he has said who he is. */
static void sasl_step(struct lv_amqp_conn *ac, struct lv_bytes response)
{
    struct lv_sasl_context context = sasl_context(ac);
    char name[LV_TLS_NAME_MAX];
    struct lv_bytes challenge;
    struct lv_claim claim;

    if (context.is_tls)
        see_certificate(ac, &context, name);
    enum lv_err err = lv_sasl_step(ac->mechanism, &context, response, &claim, &challenge);

    if (err == LV_EMORE) {
        LV_AMQP_SEND(ac, 0, connection_secure, .challenge = challenge);
        ac->state = LV_AMQP_SECURING;
        return;
    }
    if (err != LV_OK) {
        say_invalid_response(ac, response);
        return;
    }
    if (claim.kind == LV_CLAIM_NONE) {
        refuse_login(ac, claim.reason);
        return;
    }
    ac->user.len = LV_MIN(claim.name.len, LV_SHORTSTR_MAX);
    ac->user.ptr = lv_mem_dup(claim.name.ptr, ac->user.len, LV_TAG_CONN);
    if (ac->user.ptr == NULL) {
        ac->user.len = 0;
        lv_conn_close(&ac->s.conn, 0);
        return;
    }
    lv_session_login(&ac->s, &claim);
}

/* Shown to operators; without memory there is nothing to show. */
static void keep_properties(struct lv_amqp_conn *ac, struct lv_bytes properties)
{
    if (properties.len == 0 || ac->properties.ptr != NULL)
        return;
    ac->properties.ptr = lv_mem_dup(properties.ptr, properties.len, LV_TAG_CONN);
    ac->properties.len = ac->properties.ptr != NULL ? properties.len : 0;
}

static void start_ok(struct lv_amqp_conn *ac, const struct lv_amqp_connection_start_ok *m)
{
    struct lv_sasl_context context = sasl_context(ac);

    ac->caps = client_caps(m->client_properties);
    keep_properties(ac, m->client_properties);
    ac->mechanism = lv_sasl_find(&context, m->mechanism);
    if (ac->mechanism == NULL)
        lv_amqp_conn_error(ac, 503, 0, "unknown authentication mechanism '%.*s'",
                           LV_BYTES_FMT(m->mechanism));
    else
        sasl_step(ac, m->response);
}

static void secure_ok(struct lv_amqp_conn *ac, const struct lv_amqp_connection_secure_ok *m)
{
    sasl_step(ac, m->response);
}

/* ---- tune-ok ---- */

/* RabbitMQ: a client may lower what was offered, not raise it, and not ask for "no limit" when there is one. */
static bool is_negotiable(struct lv_amqp_conn *ac, const char *what, uint32_t wanted,
                          uint32_t offered, uint32_t lowest)
{
    if (wanted != 0 && wanted < lowest)
        lv_amqp_conn_error(ac, 530, LV_AMQP_CONNECTION_TUNE,
                           "negotiated %s = %u is lower than the minimum allowed value (%u)", what,
                           wanted, lowest);
    else if (offered != 0 && wanted == 0)
        lv_amqp_conn_error(
            ac, 530, LV_AMQP_CONNECTION_TUNE,
            "negotiated %s = 0 (no limit) is higher than the maximum allowed value (%u)", what,
            offered);
    else if (offered != 0 && wanted > offered)
        lv_amqp_conn_error(ac, 530, LV_AMQP_CONNECTION_TUNE,
                           "negotiated %s = %u is higher than the maximum allowed value (%u)", what,
                           wanted, offered);
    else
        return true;
    return false;
}

static void tune_ok(struct lv_amqp_conn *ac, const struct lv_amqp_connection_tune_ok *m)
{
    const struct lv_settings *settings = lv_amqp_settings(ac);

    if (!is_negotiable(ac, "frame_max", m->frame_max, settings->frame_max, LV_FRAME_MIN) ||
        !is_negotiable(ac, "channel_max", m->channel_max, settings->channel_max, 0))
        return;
    ac->frame_max = m->frame_max;
    ac->payload_max = m->frame_max;
    ac->channel_max = m->channel_max != 0 ? m->channel_max : UINT16_MAX;
    ac->heartbeat = m->heartbeat;
    ac->state = LV_AMQP_OPENING;
}

/* ---- open ---- */

static void open(struct lv_amqp_conn *ac, const struct lv_amqp_connection_open *m)
{
    struct lv_refusal why = { .code = 541, .text = "out of memory" };

    if (lv_session_enter(&ac->s, m->virtual_host, &why) != LV_OK) {
        lv_amqp_conn_error(ac, why.code, LV_AMQP_CONNECTION_OPEN, "%s", why.text);
        return;
    }
    ac->state = LV_AMQP_RUNNING;
    LV_AMQP_SEND(ac, 0, connection_open_ok, .reserved_1 = LV_BYTES_LIT(""));
    lv_amqp_start_heartbeat(ac);
    lv_log(CONN_OPENED, lv_log_u64(ac->s.id), lv_log_bytes(ac->name), lv_log_bytes(ac->user),
           lv_log_bytes(m->virtual_host));
}

/* ---- dispatch ---- */

#define TAKE(NAME, name, needed_state, handle)             \
    case LV_AMQP_##NAME: {                                 \
        struct lv_amqp_##name m;                           \
        if (ac->state != (needed_state)) {                 \
            wrong_state(ac, method);                       \
            break;                                         \
        }                                                  \
        enum lv_err err = lv_amqp_decode_##name(args, &m); \
        if (err != LV_OK)                                  \
            lv_amqp_cannot_decode(ac, method, args, err);  \
        else                                               \
            handle(ac, &m);                                \
        break;                                             \
    }

const char *lv_amqp_state_name(const struct lv_amqp_conn *ac)
{
    static const char *const names[] = {
        [LV_AMQP_HELLO] = "starting",    [LV_AMQP_STARTING] = "starting",
        [LV_AMQP_SECURING] = "securing", [LV_AMQP_TUNING] = "tuning",
        [LV_AMQP_OPENING] = "opening",   [LV_AMQP_RUNNING] = "running",
        [LV_AMQP_LEAVING] = "closing",   [LV_AMQP_CLOSING] = "closing",
        [LV_AMQP_SILENT] = "closing",
    };
    return names[ac->state];
}

static void wrong_state(struct lv_amqp_conn *ac, uint32_t method)
{
    lv_amqp_conn_error(ac, 504, method, "unexpected method in connection state %s",
                       lv_amqp_state_name(ac));
}

static void update_secret(struct lv_amqp_conn *ac, const struct lv_amqp_connection_update_secret *m)
{
    (void)m; /* no backend here has secrets that expire; RabbitMQ's internal one agrees to any */
    LV_AMQP_SEND(ac, 0, connection_update_secret_ok, );
}

void lv_amqp_connection_method(struct lv_amqp_conn *ac, uint32_t method, struct lv_bytes args)
{
    if (ac->state == LV_AMQP_CLOSING || ac->state == LV_AMQP_LEAVING) {
        if (method == LV_AMQP_CONNECTION_CLOSE) /* both closed at once */
            LV_AMQP_SEND(ac, 0, connection_close_ok, );
        if (method == LV_AMQP_CONNECTION_CLOSE || method == LV_AMQP_CONNECTION_CLOSE_OK)
            lv_amqp_hang_up(ac);
        return;
    }
    switch (method) {
        TAKE(CONNECTION_START_OK, connection_start_ok, LV_AMQP_STARTING, start_ok)
        TAKE(CONNECTION_SECURE_OK, connection_secure_ok, LV_AMQP_SECURING, secure_ok)
        TAKE(CONNECTION_TUNE_OK, connection_tune_ok, LV_AMQP_TUNING, tune_ok)
        TAKE(CONNECTION_OPEN, connection_open, LV_AMQP_OPENING, open)
        TAKE(CONNECTION_UPDATE_SECRET, connection_update_secret, LV_AMQP_RUNNING, update_secret)
    default:
        wrong_state(ac, method);
    }
}
