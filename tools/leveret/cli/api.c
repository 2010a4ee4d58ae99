#include "api.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define CONNECT_TIMEOUT_MS 5000L
#define URL_MAX 16384

struct lv_api {
    const struct lv_endpoint *endpoint;
    CURL *curl;
    char error[CURL_ERROR_SIZE];
};

/* One request under way. */
struct transfer {
    CURL *curl;
    const struct lv_api_request *request;
    struct lv_api_answer *answer;
    size_t room;
    bool is_too_long;
};

struct lv_api *lv_api_open(const struct lv_endpoint *endpoint, struct lv_fault *fault)
{
    struct lv_api *api = lv_need(calloc(1, sizeof(*api)));
    bool has_tls = strncmp(endpoint->url, "https:", 6) == 0;

    /* Without TLS its library is not begun: that would be most of the time that a call takes. */
    api->endpoint = endpoint;
    if (curl_global_init(has_tls ? CURL_GLOBAL_DEFAULT : CURL_GLOBAL_NOTHING) == CURLE_OK)
        api->curl = curl_easy_init();
    if (api->curl == NULL) {
        lv_fault_set(fault, EX_SOFTWARE, 0, "cannot begin an HTTP client");
        free(api);
        return NULL;
    }
    return api;
}

void lv_api_close(struct lv_api *api)
{
    if (api == NULL)
        return;
    curl_easy_cleanup(api->curl);
    curl_global_cleanup();
    free(api);
}

const struct lv_endpoint *lv_api_endpoint(const struct lv_api *api)
{
    return api->endpoint;
}

/* ---- what curl calls ---- */

static bool is_good(struct transfer *t)
{
    long status = 0;

    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    return status >= 200 && status < 300;
}

static bool keep(struct transfer *t, const char *data, size_t len)
{
    struct lv_api_answer *a = t->answer;

    if (a->len + len >= LV_API_ANSWER_MAX) {
        t->is_too_long = true;
        return false;
    }
    if (a->len + len + 1 > t->room) {
        t->room = (a->len + len + 1) * 2;
        a->text = lv_need(realloc(a->text, t->room));
    }
    memcpy(a->text + a->len, data, len);
    a->len += len;
    a->text[a->len] = '\0';
    return true;
}

static size_t on_answer(char *data, size_t size, size_t count, void *user)
{
    struct transfer *t = user;
    size_t len = size * count;

    if (t->request->to == NULL || !is_good(t))
        return keep(t, data, len) ? len : 0;
    if (t->request->progress != NULL)
        lv_progress_add(t->request->progress, len);
    return fwrite(data, 1, len, t->request->to);
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    struct transfer *t = user;
    size_t got = fread(data, 1, size * count, t->request->from);

    if (t->request->progress != NULL)
        lv_progress_add(t->request->progress, got);
    return got == 0 && ferror(t->request->from) != 0 ? CURL_READFUNC_ABORT : got;
}

/* ---- one request ---- */

static void set_endpoint(CURL *curl, const struct lv_endpoint *e)
{
    if (e->socket != NULL)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, e->socket);
    if (e->user != NULL) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        curl_easy_setopt(curl, CURLOPT_USERNAME, e->user);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, e->password != NULL ? e->password : "");
    }
    if (e->ca_file != NULL)
        curl_easy_setopt(curl, CURLOPT_CAINFO, e->ca_file);
    if (e->cert_file != NULL)
        curl_easy_setopt(curl, CURLOPT_SSLCERT, e->cert_file);
    if (e->key_file != NULL)
        curl_easy_setopt(curl, CURLOPT_SSLKEY, e->key_file);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, e->is_insecure ? 0L : 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, e->is_insecure || e->is_host_unchecked ? 0L : 2L);
}

static void set_body(struct transfer *t)
{
    const struct lv_api_request *r = t->request;

    if (r->from != NULL) {
        curl_easy_setopt(t->curl, CURLOPT_POST, 1L);
        curl_easy_setopt(t->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->from_bytes);
        curl_easy_setopt(t->curl, CURLOPT_READFUNCTION, on_body);
        curl_easy_setopt(t->curl, CURLOPT_READDATA, t);
    } else if (r->body != NULL) {
        curl_easy_setopt(t->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
        curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS, r->body);
    } else if (strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0) {
        curl_easy_setopt(t->curl, CURLOPT_POSTFIELDSIZE, 0L);
        curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS, "");
    }
    curl_easy_setopt(t->curl, CURLOPT_CUSTOMREQUEST, r->method);
}

static void set_transfer(struct lv_api *api, struct transfer *t, const char *url)
{
    const struct lv_endpoint *e = api->endpoint;
    bool is_patient = t->request->is_patient && e->timeout_ms == 0;
    long timeout_ms = e->timeout_ms != 0 ? e->timeout_ms : LV_API_TIMEOUT_S * 1000;

    curl_easy_setopt(t->curl, CURLOPT_URL, url);
    curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->curl, CURLOPT_PROXY, "");
    curl_easy_setopt(t->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(t->curl, CURLOPT_ERRORBUFFER, api->error);
    curl_easy_setopt(t->curl, CURLOPT_USERAGENT, "leveret/" LV_VERSION);
    curl_easy_setopt(t->curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(t->curl, CURLOPT_TIMEOUT_MS, is_patient ? 0L : timeout_ms);
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
}

static bool tell(struct lv_api *api, const struct transfer *t, CURLcode code, struct lv_fault *fault)
{
    const struct lv_endpoint *e = api->endpoint;
    const char *where = e->socket != NULL ? e->socket : e->url;
    const char *why = api->error[0] != '\0' ? api->error : curl_easy_strerror(code);

    if (t->is_too_long)
        return lv_fail(fault, EX_SOFTWARE, "%s: an answer of more than %zu MiB", where,
                       LV_API_ANSWER_MAX >> 20);
    switch (code) {
    case CURLE_OK:
        return true;
    case CURLE_OPERATION_TIMEDOUT:
        return lv_fail(fault, EX_TEMPFAIL, "%s: no answer in time", where);
    case CURLE_WRITE_ERROR:
        return lv_fail(fault, EX_IOERR, "cannot write what %s sends", where);
    case CURLE_URL_MALFORMAT:
        return lv_fail(fault, EX_USAGE, "%s: not an http:// or https:// URL", where);
    case CURLE_UNSUPPORTED_PROTOCOL: /* curl's word for an answer without HTTP's first line */
    case CURLE_WEIRD_SERVER_REPLY:
        return lv_fail(fault, EX_PROTOCOL, "%s: %s", where, why);
    default:
        return lv_fail(fault, EX_UNAVAILABLE, "%s: %s", where, why);
    }
}

bool lv_api_call(struct lv_api *api, const struct lv_api_request *request,
                 struct lv_api_answer *answer, struct lv_fault *fault)
{
    const struct lv_endpoint *e = api->endpoint;
    struct transfer t = { .curl = api->curl, .request = request, .answer = answer };
    struct curl_slist *headers = NULL;
    char url[URL_MAX];

    *answer = (struct lv_api_answer){ .text = lv_need(calloc(1, 1)) };
    int len = snprintf(url, sizeof(url), "%s%s/api%s", e->url, e->prefix != NULL ? e->prefix : "",
                       request->path);
    if (len < 0 || (size_t)len >= sizeof(url))
        return lv_fail(fault, EX_USAGE, "names too long for a URL");
    api->error[0] = '\0';
    curl_easy_reset(t.curl);
    set_endpoint(t.curl, e);
    set_body(&t);
    set_transfer(api, &t, url);
    headers = curl_slist_append(headers, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    if (request->header != NULL)
        headers = curl_slist_append(headers, request->header);
    curl_easy_setopt(t.curl, CURLOPT_HTTPHEADER, headers);
    CURLcode code = curl_easy_perform(t.curl);
    curl_easy_getinfo(t.curl, CURLINFO_RESPONSE_CODE, &answer->status);
    curl_slist_free_all(headers);
    return tell(api, &t, code, fault);
}

json_t *lv_api_decode(const struct lv_api_answer *answer)
{
    return json_loadb(answer->text, answer->len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
}

char *lv_api_reason(const struct lv_api_answer *answer)
{
    char text[64];
    json_t *root = lv_api_decode(answer);
    const char *reason = json_string_value(json_object_get(root, "reason"));

    if (reason == NULL)
        reason = json_string_value(json_object_get(root, "error"));
    if (reason == NULL) {
        snprintf(text, sizeof(text), "the broker answered with HTTP status %ld", answer->status);
        reason = text;
    }
    char *copy = lv_need(strdup(reason));
    json_decref(root);
    return copy;
}
