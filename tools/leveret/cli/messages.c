/* Messages by way of the API: for a look and a try, not for load. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "admin.h"
#include "base/bytes.h"
#include "base/utf8.h"
#include "run.h"
#include "security/base64.h"

#define MESSAGE_BYTES_MAX ((size_t)64 << 20)
#define COLUMNS                                                                             \
    "routing_key exchange message_count payload payload_bytes payload_encoding properties " \
    "redelivered"

/* All of a file, with NUL behind it; NULL and c->fault. The caller frees. */
static char *read_all(struct lv_cli *c, FILE *file, size_t *len)
{
    size_t room = 4096;
    char *text = lv_need(malloc(room));

    *len = 0;
    for (size_t got; (got = fread(text + *len, 1, room - *len - 1, file)) > 0;) {
        *len += got;
        if (*len > MESSAGE_BYTES_MAX) {
            free(text);
            lv_cli_fail(c, EX_DATAERR, "a message of more than %zu MiB", MESSAGE_BYTES_MAX >> 20);
            return NULL;
        }
        if (room - *len < room / 2)
            text = lv_need(realloc(text, room *= 2));
    }
    text[*len] = '\0';
    return text;
}

static char *payload_of(struct lv_cli *c, size_t *len)
{
    const char *payload = lv_cli_var(c, "payload"), *path = lv_cli_var(c, "payload_file");

    if (payload != NULL) {
        *len = strlen(payload);
        return lv_need(strdup(payload));
    }
    if (path == NULL)
        return read_all(c, stdin, len);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        lv_fault_set(&c->fault, EX_NOINPUT, errno, "%s", path);
        return NULL;
    }
    char *text = read_all(c, file, len);
    fclose(file);
    return text;
}

/* Text as it is; what is no UTF-8 as base64. */
static void set_payload(struct lv_cli *c, json_t *body, const char *payload, size_t len)
{
    const char *encoding = lv_cli_var(c, "payload_encoding");

    if (lv_utf8_valid(lv_bytes(payload, len))) {
        json_object_set_new(body, "payload", json_stringn(payload, len));
        json_object_set_new(body, "payload_encoding",
                            json_string(encoding != NULL ? encoding : "string"));
        return;
    }
    size_t room = LV_BASE64_TEXT_BYTES(len);
    uint8_t *text = lv_need(malloc(room + 1));
    struct lv_wr out = lv_wr(text, room);
    lv_base64_encode(&out, lv_bytes(payload, len));
    json_object_set_new(body, "payload", json_stringn((const char *)text, room));
    json_object_set_new(body, "payload_encoding", json_string("base64"));
    free(text);
}

static void set_default(struct lv_cli *c, const char *name, const char *value)
{
    if (!lv_cli_has(c, name))
        lv_cli_set(c, name, strlen(name), value);
}

int lv_run_publish(struct lv_cli *c)
{
    json_t *answer = NULL;
    size_t len;

    set_default(c, "vhost", "/");
    set_default(c, "exchange", "");
    set_default(c, "properties", "{}");
    json_t *body = lv_cli_body(c, "routing_key properties:j");
    char *payload = body != NULL ? payload_of(c, &len) : NULL;
    if (payload == NULL) {
        json_decref(body);
        return c->fault.code;
    }
    set_payload(c, body, payload, len);
    free(payload);
    if (!lv_cli_request(c, "POST", "/exchanges/{vhost}/{exchange}/publish", body, NULL, &answer))
        return c->fault.code;
    bool is_routed = json_is_true(json_object_get(answer, "routed"));
    json_decref(answer);
    return lv_admin_done(c, is_routed ? "Message published" : "Message published but NOT routed");
}

static int write_payload(struct lv_cli *c, const json_t *message, const char *path)
{
    FILE *file = fopen(path, "we");
    const json_t *payload = json_object_get(message, "payload");

    if (file == NULL) {
        lv_fault_set(&c->fault, EX_CANTCREAT, errno, "%s", path);
        return c->fault.code;
    }
    fwrite(json_string_value(payload), 1, json_string_length(payload), file);
    if (fclose(file) != 0) {
        lv_fault_set(&c->fault, EX_IOERR, errno, "%s", path);
        return c->fault.code;
    }
    return EX_OK;
}

int lv_run_get(struct lv_cli *c)
{
    json_t *messages;

    set_default(c, "vhost", "/");
    set_default(c, "count", "1");
    set_default(c, "ackmode", "ack_requeue_true");
    set_default(c, "encoding", "auto");
    json_t *body = lv_cli_body(c, "count:n ackmode encoding truncate:n");
    if (body == NULL ||
        !lv_cli_request(c, "POST", "/queues/{vhost}/{queue}/get", body, NULL, &messages))
        return c->fault.code;
    int code = EX_OK;
    const char *path = lv_cli_var(c, "payload_file");
    if (path != NULL && json_array_size(messages) > 0) {
        code = write_payload(c, json_array_get(messages, 0), path);
        json_object_del(json_array_get(messages, 0), "payload");
    }
    if (code == EX_OK)
        code = lv_admin_print(c, messages, COLUMNS);
    json_decref(messages);
    return code;
}

/* The message at a position is the last of so many that are looked at; all of them stay. */
int lv_run_peek(struct lv_cli *c)
{
    json_t *messages;
    long position;

    if (!lv_cli_number(c, "position", 1, &position))
        return c->fault.code;
    json_t *body = json_pack("{s: i, s: s, s: s}", "count", (int)position, "ackmode",
                             "ack_requeue_true", "encoding", "auto");
    if (!lv_cli_request(c, "POST", "/queues/{vhost}/{queue}/get", body,
                        "404:69:Target queue was not found", &messages))
        return c->fault.code;
    json_t *message = json_array_get(messages, (size_t)position - 1);
    int code = EX_OK;
    if (position < 1 || message == NULL)
        code =
            lv_cli_fail(c, EX_UNAVAILABLE, "Target queue does not have a message at that position");
    else
        json_dumpf(message, c->out, lv_cli_is_json(c) ? JSON_COMPACT : JSON_INDENT(2));
    if (code == EX_OK)
        fputc('\n', c->out);
    json_decref(messages);
    return code;
}
