#include "manage/ask.h"

#include <string.h>

#include "base/limits.h"
#include "broker/access.h"
#include "manage/fields.h"
#include "manage/manage_priv.h"
#include "security/defaults.h"

/* ---- a verb ---- */

static void verb_clean(struct lv_request *r)
{
    lv_agent_fini(&((struct lv_act *)r->work)->agent);
}

/* RabbitMQ's answer to a reply code of AMQP. */
void lv_reply_failure(struct lv_request *r, const struct lv_failure *f)
{
    switch (f->code) {
    case 404: /* RabbitMQ has different words for what is not there to begin with and what an operation misses */
        if (r->head.method == LV_HTTP_DELETE)
            lv_reply_not_found(r);
        else
            lv_reply_error(r, 404, "not_found", "%s", f->text);
        break;
    case 403:
    case 530:
        lv_reply_refused(r, f->text);
        break;
    case 320:
    case 506:
    case 541:
        lv_reply_error(r, 503, "service_unavailable", "%s", f->text);
        break;
    default:
        lv_reply_bad_request(r, "%s", f->text);
        break;
    }
}

static void verb_back(struct lv_errand *errand)
{
    struct lv_act *v = (struct lv_act *)errand;
    struct lv_request *r = v->r;

    if (!lv_request_back(r))
        return;
    if (v->agent.failure.code != 0)
        lv_reply_failure(r, &v->agent.failure);
    else
        v->done(r, &v->agent);
}

/* The operator has no user: an administrator lends his name, one who may be in that virtual host. */
static bool borrow_name(struct lv_request *r, struct lv_agent *a)
{
    const struct lv_access *access = lv_broker_access(r->room->broker);
    const struct lv_user_record *user;
    size_t pos = 0;

    while ((user = lv_access_next(access, LV_ACCESS_USER, &pos)) != NULL) {
        if (!lv_tags_have(&user->tags, LV_BYTES_LIT("administrator")) ||
            lv_access_permission(access, user->name, a->vhost) == NULL)
            continue;
        a->user = lv_request_copy(r, user->name);
        a->credential = user->credential;
        return a->user.ptr != NULL;
    }
    return false;
}

struct lv_act *lv_act_new(struct lv_request *r, enum lv_agent_verb verb,
                          void (*done)(struct lv_request *r, struct lv_agent *agent))
{
    for (unsigned i = 0; i < LV_REQUEST_ARGS_MAX; i++)
        if (r->args[i].len > LV_SHORTSTR_MAX) {
            lv_reply_bad_request(r, "a name is longer than %u bytes", LV_SHORTSTR_MAX);
            return NULL;
        }
    struct lv_act *v = lv_request_alloc(r, sizeof(*v));
    if (v == NULL) {
        lv_reply_no_memory(r);
        return NULL;
    }
    v->r = r;
    v->done = done;
    v->agent.verb = verb;
    v->agent.errand.done = verb_back;
    v->agent.errand.desk = &r->room->desk;
    v->agent.user = r->who.name;
    v->agent.credential = r->who.credential;
    v->agent.vhost = r->vhost;
    if (r->who.is_operator && !borrow_name(r, &v->agent)) {
        lv_reply_refused(r, "No administrator has access to this virtual host");
        return NULL;
    }
    r->work = v;
    r->clean = verb_clean;
    return v;
}

void lv_act_send(struct lv_act *v)
{
    lv_request_out(v->r);
    lv_agent_send(v->r->room->broker, &v->agent);
}

void lv_reply_declared(struct lv_request *r, struct lv_agent *agent)
{
    lv_reply_empty(r, agent->is_new ? 201 : 204);
}

void lv_reply_done(struct lv_request *r, struct lv_agent *agent)
{
    (void)agent;
    lv_reply_empty(r, 204);
}

/* ---- a change ---- */

static enum lv_errand_step change_run(struct lv_shard *shard, struct lv_errand *errand)
{
    struct lv_change *c = (struct lv_change *)errand;

    c->err = c->make(lv_shard_broker(shard), c);
    return c->err == LV_OK ? LV_ERRAND_STABLE : LV_ERRAND_DONE;
}

static void change_back(struct lv_errand *errand)
{
    struct lv_change *c = (struct lv_change *)errand;
    struct lv_request *r = c->r;

    if (lv_request_back(r))
        (c->done != NULL ? c->done : lv_reply_changed)(r, c);
}

void lv_reply_changed(struct lv_request *r, struct lv_change *c)
{
    switch (c->err) {
    case LV_OK:
        lv_reply_empty(r, c->is_new ? 201 : 204);
        break;
    case LV_ENOTFOUND:
        lv_reply_not_found(r);
        break;
    case LV_EINVAL:
        lv_reply_bad_request(r, "%s", c->why[0] != '\0' ? c->why : "a value is out of its bounds");
        break;
    case LV_EREFUSED:
        lv_reply_error(r, 412, "precondition_failed", "%s", c->why);
        break;
    default:
        lv_reply_error(r, 503, "service_unavailable", "%s",
                       c->why[0] != '\0' ? c->why : lv_err_text(c->err));
        break;
    }
}

void lv_reply_changed_in_vhost(struct lv_request *r, struct lv_change *c)
{
    if (c->err == LV_ENOTFOUND)
        lv_reply_error(r, 404, "not_found", "vhost_not_found");
    else
        lv_reply_changed(r, c);
}

struct lv_change *lv_change_new(struct lv_request *r,
                                enum lv_err (*make)(struct lv_broker *b, struct lv_change *c),
                                void *record)
{
    struct lv_change *c = lv_request_alloc(r, sizeof(*c));

    if (c == NULL) {
        lv_reply_no_memory(r);
        return NULL;
    }
    c->r = r;
    c->make = make;
    c->record = record;
    c->err = LV_ECLOSED; /* if it comes back unmade */
    c->errand.run = change_run;
    c->errand.done = change_back;
    c->errand.desk = &r->room->desk;
    return c;
}

void lv_change_send(struct lv_change *c)
{
    lv_request_out(c->r);
    lv_errand_send(c->r->room->broker, 0, &c->errand);
}

void lv_change_make(struct lv_request *r,
                    enum lv_err (*make)(struct lv_broker *b, struct lv_change *c), void *record,
                    void (*done)(struct lv_request *r, struct lv_change *c))
{
    struct lv_change *c = lv_change_new(r, make, record);

    if (c == NULL)
        return;
    c->done = done;
    lv_change_send(c);
}

/* ---- a census ---- */

static void poll_clean(struct lv_request *r)
{
    lv_census_fini(&((struct lv_poll *)r->poll)->census);
}

static void poll_back(struct lv_errand *errand)
{
    struct lv_poll *p = (struct lv_poll *)errand;
    struct lv_request *r = p->r;

    if (!lv_request_back(r))
        return;
    if (p->census.is_short)
        lv_reply_no_memory(r);
    else
        p->done(r, &p->census);
}

struct lv_poll *lv_poll_new(struct lv_request *r, enum lv_census_depth depth,
                            void (*done)(struct lv_request *r, struct lv_census *census))
{
    struct lv_poll *p = lv_request_alloc(r, sizeof(*p));

    if (p == NULL) {
        lv_reply_no_memory(r);
        return NULL;
    }
    p->r = r;
    p->done = done;
    p->census.depth = depth;
    p->census.vhost = r->vhost;
    p->census.errand.done = poll_back;
    p->census.errand.desk = &r->room->desk;
    r->poll = p;
    r->clean_poll = poll_clean;
    return p;
}

void lv_poll_send(struct lv_poll *p)
{
    lv_request_out(p->r);
    lv_census_send(p->r->room->broker, &p->census);
}

/* ---- bodies ---- */

static bool complain(struct lv_request *r, const char *key, const char *wanted)
{
    lv_reply_bad_request(r, "%s should be %s", key, wanted);
    return false;
}

bool lv_body_bool(struct lv_request *r, const char *key, bool *out)
{
    const json_t *v = json_object_get(r->json, key);
    const char *text = json_string_value(v);

    if (v == NULL || json_is_null(v))
        return true;
    if (!json_is_boolean(v) &&
        (text == NULL || (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)))
        return complain(r, key, "true or false");
    *out = json_is_true(v) || (text != NULL && text[0] == 't');
    return true;
}

/* A number that came as a text; rabbitmqadmin sends everything so. */
static bool text_number(const char *text, int64_t *out)
{
    bool is_negative = text[0] == '-';
    int64_t v = 0;

    text += is_negative;
    if (text[0] == '\0' || strlen(text) > 18)
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        v = v * 10 + (*text - '0');
    }
    *out = is_negative ? -v : v;
    return true;
}

bool lv_body_number(struct lv_request *r, const char *key, int64_t min, int64_t max, int64_t *out)
{
    const json_t *v = json_object_get(r->json, key);
    int64_t number = json_integer_value(v);

    if (v == NULL || json_is_null(v))
        return true;
    if (!json_is_integer(v) && !(json_is_string(v) && text_number(json_string_value(v), &number)))
        return complain(r, key, "a whole number");
    if (number < min || number > max)
        return complain(r, key, "within its bounds");
    *out = number;
    return true;
}

bool lv_body_limit(struct lv_request *r, int64_t *out)
{
    *out = INT64_MIN;
    if (lv_request_json(r) == NULL || !lv_body_number(r, "value", LV_NO_LIMIT, LV_LIMIT_MAX, out))
        return false;
    if (*out == INT64_MIN)
        lv_reply_bad_request(r, "value should be given: key missing");
    return *out != INT64_MIN;
}

bool lv_body_text(struct lv_request *r, const char *key, struct lv_bytes *out)
{
    const json_t *v = json_object_get(r->json, key);

    if (v == NULL || json_is_null(v))
        return true;
    if (!json_is_string(v))
        return complain(r, key, "a string");
    *out = lv_bytes(json_string_value(v), json_string_length(v));
    return true;
}

bool lv_body_need_text(struct lv_request *r, const char *key, struct lv_bytes *out)
{
    if (json_is_string(json_object_get(r->json, key)))
        return lv_body_text(r, key, out);
    return complain(r, key,
                    json_object_get(r->json, key) == NULL ? "given: key missing" : "a string");
}

bool lv_body_arguments(struct lv_request *r, struct lv_bytes *out)
{
    const json_t *v = json_object_get(r->json, "arguments");
    struct lv_buf table = { 0 };
    enum lv_err err = LV_OK;

    *out = lv_bytes(NULL, 0);
    if (v == NULL || json_is_null(v) || (json_is_array(v) && json_array_size(v) == 0))
        return true;
    err = lv_fields_from_json(v, &table);
    if (err == LV_OK)
        *out = lv_request_copy(r, lv_buf_view(&table));
    lv_buf_fini(&table);
    if (err == LV_ENOMEM || (err == LV_OK && out->ptr == NULL)) {
        lv_reply_no_memory(r);
        return false;
    }
    if (err == LV_EDEPTH)
        return complain(r, "arguments", "nested less deeply");
    return err == LV_OK || complain(r, "arguments", "an object, with names of at most 255 bytes");
}

bool lv_body_tags(struct lv_request *r, struct lv_tags *out)
{
    const json_t *v = json_object_get(r->json, "tags");

    out->count = 0;
    if (v == NULL || json_is_null(v))
        return true;
    if (json_is_string(v))
        return lv_tags_parse(lv_bytes(json_string_value(v), json_string_length(v)), out) == LV_OK ||
               complain(r, "tags", "at most 16, of 255 bytes");
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *tag = json_array_get(v, i);
        size_t len = json_string_length(tag);
        if (!json_is_string(tag) || len == 0 || len > LV_SHORTSTR_MAX || out->count == LV_TAGS_MAX)
            return complain(r, "tags", "at most 16 strings, of 255 bytes");
        out->at[out->count++] = lv_bytes(json_string_value(tag), len);
    }
    return json_is_array(v) || complain(r, "tags", "an array or a string");
}
