/* tools/leveret/cli/api.h - a client of the broker's HTTP API, over TCP, TLS or a Unix socket.
 *
 * Owner   one thread.
 * Limits  an answer of LV_API_ANSWER_MAX bytes in memory; no redirects; no name lookup for "localhost".
 */
#ifndef LV_CLI_API_H
#define LV_CLI_API_H
#include <jansson.h>
#include <stdio.h>
#include <time.h>

#include "../fault.h"
#include "../progress.h"

#define LV_API_ANSWER_MAX ((size_t)1 << 30)
#define LV_API_TIMEOUT_S 60L

/* Where the API is, and who asks. Borrowed texts; NULL: none. */
struct lv_endpoint {
    const char *url;    /* http://host:port, without a path behind it */
    const char *socket; /* Unix socket; `url` then only names the host */
    const char *prefix; /* comes before /api */
    const char *user, *password;
    const char *ca_file, *cert_file, *key_file;
    bool is_insecure;       /* any certificate will do */
    bool is_host_unchecked; /* a trusted certificate for whatever host will do */
    long timeout_ms;        /* of one request; 0: none */
};

struct lv_api_request {
    const char *method, *path; /* path: below /api, percent-encoded */
    const char *body;          /* JSON text; NULL: none */
    size_t body_len;
    const char *header; /* one more, "Name: value"; NULL: none */
    FILE *from, *to;    /* body from a file (from_bytes of it), answer to a file, when 2xx */
    uint64_t from_bytes;
    struct lv_progress *progress; /* told of every byte of `from` and `to` */
    bool is_patient;              /* no limit of time but one that was asked for */
};

struct lv_api_answer {
    long status;
    char *text; /* NUL-terminated; empty when it went to `to` */
    size_t len;
};

struct lv_api;

/* Looks for the broker, and does not connect. Order: `url` or `socket` when given (a data directory will do as socket), else
 * LEVERET_URL, else LEVERET_DATA_DIR, else sockets of the usual data directories that somebody listens at, else
 * http://127.0.0.1:15672 as guest. Fills `out`, which borrows from the arguments, the environment and static memory. */
bool lv_endpoint_find(struct lv_endpoint *out, const char *url, const char *socket,
                      struct lv_fault *fault);
/* Splits http://user:password@host:port/prefix into `out`. */
bool lv_endpoint_parse(struct lv_endpoint *out, const char *url, struct lv_fault *fault);

/* Copies nothing: the endpoint must outlive it. NULL and fault. */
struct lv_api *lv_api_open(const struct lv_endpoint *endpoint, struct lv_fault *fault);
void lv_api_close(struct lv_api *api);
const struct lv_endpoint *lv_api_endpoint(const struct lv_api *api);

/* false: no answer came, and why: EX_UNAVAILABLE not reached, EX_TEMPFAIL timed out, EX_PROTOCOL no HTTP. The caller frees
 * answer->text. */
bool lv_api_call(struct lv_api *api, const struct lv_api_request *request,
                 struct lv_api_answer *answer, struct lv_fault *fault);
/* Decodes an answer: NULL when it is no JSON. */
json_t *lv_api_decode(const struct lv_api_answer *answer);
/* The "reason" of an error's answer, or the status in words. New text. */
char *lv_api_reason(const struct lv_api_answer *answer);

#endif
