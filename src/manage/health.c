/* Health checks, and what tools of earlier years ask instead. */
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/access.h"
#include "broker/observe.h"
#include "manage/manage_priv.h"
#include "manage/node.h"
#include "manage/router.h"
#include "os/os.h"

static void reply_ok(struct lv_request *r)
{
    struct lv_json *j = lv_reply_json(r, 200);

    lv_json_open(j, NULL);
    lv_json_str(j, "status", "ok");
    lv_json_close(j);
    lv_reply_end(r);
}

/* Begins a failure; the caller adds what belongs to it. */
static struct lv_json *begin_failed(struct lv_request *r, const char *reason)
{
    struct lv_json *j = lv_reply_json(r, 503);

    lv_json_open(j, NULL);
    lv_json_str(j, "status", "failed");
    lv_json_str(j, "reason", reason);
    return j;
}

static void end_failed(struct lv_request *r)
{
    lv_json_close(&r->reply.json);
    lv_reply_end(r);
}

/* What is so on every node that answers: it has booted, virtual hosts run, nobody waits for a majority. */
void lv_api_health_ok(struct lv_request *r)
{
    reply_ok(r);
}

void lv_api_health_quorum(struct lv_request *r)
{
    struct lv_json *j = lv_reply_json(r, 200);

    lv_json_open(j, NULL);
    lv_json_str(j, "status", "ok");
    lv_json_str(j, "reason", "single node cluster");
    lv_json_close(j);
    lv_reply_end(r);
}

void lv_api_health_node(struct lv_request *r)
{
    if (r->args[0].ptr != NULL && !lv_bytes_eq(r->args[0], lv_bytes_str(r->room->node)))
        lv_reply_not_found(r);
    else
        reply_ok(r);
}

static void put_alarm(struct lv_json *j, const struct lv_manage *m, const char *resource)
{
    lv_json_open(j, NULL);
    lv_json_str(j, "node", m->node);
    lv_json_str(j, "resource", resource);
    lv_json_close(j);
}

void lv_api_health_alarms(struct lv_request *r)
{
    struct lv_resources have;
    struct lv_json *j;

    lv_broker_resources(r->room->broker, &have);
    if (!have.is_memory_low && !have.is_disk_low) {
        reply_ok(r);
        return;
    }
    j = begin_failed(r, "There are alarms in effect");
    lv_json_open_array(j, "alarms");
    if (have.is_memory_low)
        put_alarm(j, r->room, "memory");
    if (have.is_disk_low)
        put_alarm(j, r->room, "disk");
    lv_json_close(j);
    end_failed(r);
}

/* ---- listeners ---- */

void lv_api_health_port(struct lv_request *r)
{
    struct lv_listener_view l;
    uint64_t port = 0;
    bool is_number = r->args[0].len != 0 && r->args[0].len <= 5;
    struct lv_json *j;

    for (size_t i = 0; i < r->args[0].len && is_number; i++) {
        is_number = r->args[0].ptr[i] >= '0' && r->args[0].ptr[i] <= '9';
        port = port * 10 + (r->args[0].ptr[i] - (uint64_t)'0');
    }
    if (!is_number || port > 65535) {
        lv_reply_bad_request(r, "Invalid port");
        return;
    }
    for (unsigned i = 0; lv_listener_at(r->room, i, &l); i++) {
        if (l.port != port)
            continue;
        j = lv_reply_json(r, 200);
        lv_json_open(j, NULL);
        lv_json_str(j, "status", "ok");
        lv_json_u64(j, "port", port);
        lv_json_close(j);
        lv_reply_end(r);
        return;
    }
    j = begin_failed(r, "No active listener");
    lv_json_u64(j, "missing", port);
    lv_json_open_array(j, "ports");
    for (unsigned i = 0; lv_listener_at(r->room, i, &l); i++)
        lv_json_u64(j, NULL, l.port);
    lv_json_close(j);
    end_failed(r);
}

/* What tools call a protocol, and what a listener calls it. */
static const char *protocol_of(struct lv_bytes name)
{
    static const char *const aliases[][2] = {
        { "amqp091", "amqp" },
        { "amqp10", "amqp" },
        { "amqps", "amqp/ssl" },
        { "mqtts", "mqtt/ssl" },
        { "stomps", "stomp/ssl" },
        { "web-mqtt", "http/web-mqtt" },
        { "web-stomp", "http/web-stomp" },
        { "streams", "stream/ssl" },
    };
    static _Thread_local char text[64];

    for (size_t i = 0; i < LV_ARRAY_LEN(aliases); i++)
        if (lv_bytes_eq(name, lv_bytes_str(aliases[i][0])))
            return aliases[i][1];
    (void)snprintf(text, sizeof(text), "%.*s", LV_BYTES_FMT(name));
    return text;
}

static bool is_listened_to(const struct lv_manage *m, struct lv_bytes name)
{
    const char *protocol = protocol_of(name);
    struct lv_listener_view l;

    for (unsigned i = 0; lv_listener_at(m, i, &l); i++)
        if (strcmp(l.protocol, protocol) == 0)
            return true;
    return false;
}

void lv_api_health_protocol(struct lv_request *r)
{
    struct lv_bytes left = r->args[0];
    struct lv_listener_view l;
    struct lv_json *j;

    while (left.len != 0) {
        const uint8_t *comma = memchr(left.ptr, ',', left.len);
        struct lv_bytes one =
            lv_bytes(left.ptr, comma != NULL ? (size_t)(comma - left.ptr) : left.len);
        if (is_listened_to(r->room, one)) {
            j = lv_reply_json(r, 200);
            lv_json_open(j, NULL);
            lv_json_str(j, "status", "ok");
            lv_json_str(j, "protocol", protocol_of(one));
            lv_json_close(j);
            lv_reply_end(r);
            return;
        }
        size_t used = one.len + (comma != NULL ? 1 : 0);
        left = lv_bytes(left.ptr + used, left.len - used);
    }
    j = begin_failed(r, "No active listener");
    lv_json_open_array(j, "missing");
    lv_json_bytes(j, NULL, r->args[0]);
    lv_json_close(j);
    lv_json_open_array(j, "protocols");
    for (unsigned i = 0; lv_listener_at(r->room, i, &l); i++)
        lv_json_str(j, NULL, l.protocol);
    lv_json_close(j);
    end_failed(r);
}

/* ---- certificates ---- */

#define CERTIFICATES_MAX 64u /* of one file */

/* Adds those of a PEM file that end before `until`. True: there are some, and *j has begun. */
static void check_file(struct lv_request *r, const char *path, time_t until, struct lv_json **j)
{
    FILE *file = path[0] != '\0' ? fopen(path, "re") : NULL;
    X509 *cert;

    if (file == NULL)
        return;
    for (unsigned i = 0; i < CERTIFICATES_MAX; i++) {
        cert = PEM_read_X509(file, NULL, NULL, NULL);
        if (cert == NULL)
            break;
        if (X509_cmp_time(X509_get0_notAfter(cert), &until) < 0) {
            if (*j == NULL) {
                *j = begin_failed(r, "Certificates expiring");
                lv_json_open_array(*j, "expired");
            }
            lv_json_open(*j, NULL);
            lv_json_str(*j, "node", r->room->node);
            lv_json_str(*j, "file", path);
            lv_json_u64(*j, "number", i + 1);
            lv_json_close(*j);
        }
        X509_free(cert);
    }
    (void)fclose(file);
}

void lv_api_health_certificates(struct lv_request *r)
{
    static const struct {
        const char *name;
        uint64_t days;
    } units[] = { { "days", 1 }, { "weeks", 7 }, { "months", 30 }, { "years", 365 } };
    const struct lv_settings *s = r->room->settings;
    struct lv_json *j = NULL;
    uint64_t within = 0, days = 0;

    for (size_t i = 0; i < LV_ARRAY_LEN(units); i++)
        if (lv_bytes_eq(r->args[1], lv_bytes_str(units[i].name)))
            days = units[i].days;
    bool is_number = r->args[0].len != 0 && r->args[0].len <= 4;
    for (size_t i = 0; i < r->args[0].len && is_number; i++) {
        is_number = r->args[0].ptr[i] >= '0' && r->args[0].ptr[i] <= '9';
        within = within * 10 + (r->args[0].ptr[i] - (uint64_t)'0');
    }
    if (!is_number || days == 0) {
        lv_reply_bad_request(
            r, days == 0 ? "Time unit not recognised. Supported units: days, weeks, months, years."
                         : "Invalid expiration value.");
        return;
    }
    time_t until = (time_t)(lv_clock_wall_us() / 1000000u + within * days * 86400u);
    check_file(r, s->tls_certfile, until, &j);
    check_file(r, s->tls_cacertfile, until, &j);
    check_file(r, s->management_tls_certfile, until, &j);
    check_file(r, s->management_tls_cacertfile, until, &j);
    if (j == NULL) {
        reply_ok(r);
        return;
    }
    lv_json_close(j);
    end_failed(r);
}

/* ---- for orchestrators ---- */

void lv_api_health_limit(struct lv_request *r)
{
    uint64_t have = lv_broker_sessions(r->room->broker), limit = r->room->settings->connection_max;
    struct lv_json *j;

    if (limit == LV_UNLIMITED || have < limit) {
        reply_ok(r);
        return;
    }
    j = begin_failed(r, "node connection limit is reached");
    lv_json_u64(j, "connections", have);
    lv_json_u64(j, "limit", limit);
    end_failed(r);
}
