/* Users, and what they may do where. */
#include <stdio.h>
#include <string.h>

#include "broker/access.h"
#include "manage/ask.h"
#include "manage/listing.h"
#include "manage/manage_priv.h"
#include "manage/router.h"
#include "manage/shapes.h"
#include "security/credentials.h"
#include "security/defaults.h"
#include "security/password.h"
#include "store/worker.h"

/* ---- reading ---- */

static bool describe(struct lv_request *r, const struct lv_listing_item *item, struct lv_json *j)
{
    const struct lv_user_record *u = lv_access_user(lv_broker_access(r->room->broker), item->name);
    char hash[LV_HASH_TEXT_MAX];

    if (u == NULL)
        return false;
    lv_password_export(u->algorithm, u->hash, hash);
    lv_json_open(j, NULL);
    lv_json_bytes(j, "name", u->name);
    lv_json_str(j, "password_hash", hash);
    lv_json_str(j, "hashing_algorithm", lv_hash_algorithm_name(u->algorithm));
    lv_json_tags(j, "tags", &u->tags);
    lv_json_open(j, "limits");
    lv_json_limit(j, "max-connections", u->max_connections);
    lv_json_limit(j, "max-channels", u->max_channels);
    lv_json_close(j);
    lv_json_close(j);
    return true;
}

static const struct lv_listing_kind kind = { .describe = describe };

static bool has_permissions(const struct lv_access *access, struct lv_bytes user)
{
    const struct lv_permission_record *p;
    size_t pos = 0;

    while ((p = lv_access_next(access, LV_ACCESS_PERMISSION, &pos)) != NULL)
        if (lv_bytes_eq(p->user, user))
            return true;
    return false;
}

static void list_users(struct lv_request *r, bool is_without_permissions)
{
    const struct lv_access *access = lv_broker_access(r->room->broker);
    struct lv_listing *list = lv_listing_new(r, &kind);
    const struct lv_user_record *u;
    size_t pos = 0;

    if (list == NULL)
        return;
    while ((u = lv_access_next(access, LV_ACCESS_USER, &pos)) != NULL)
        if (!is_without_permissions || !has_permissions(access, u->name))
            lv_listing_add(list, lv_bytes(NULL, 0), u->name, NULL);
    lv_listing_reply(list);
}

void lv_api_users(struct lv_request *r)
{
    list_users(r, false);
}

void lv_api_users_without_permissions(struct lv_request *r)
{
    list_users(r, true);
}

void lv_api_user(struct lv_request *r)
{
    lv_reply_one(r, &kind, &(struct lv_listing_item){ .name = r->args[0] });
}

/* ---- changing ---- */

/* What a PUT says. A password is hashed by the room's worker, from where the change goes to the registry. */
struct user_body {
    struct lv_job job; /* first */
    struct lv_change *change;
    struct lv_bytes name, password;
    struct lv_tags tags;
    int64_t max_connections, max_channels; /* INT64_MIN: not said */
    const json_t *permissions;             /* of a new user, by virtual host; NULL: none */
    enum lv_hash_algorithm algorithm;      /* of new hashes */
    struct lv_password_hash hash;          /* to be put; NONE: no password will do */
    struct lv_password_hash before;        /* what the user had when he was looked at */
    uint64_t credential;                   /* likewise; 0: there was none */
    bool is_same;                          /* the password is the one that he had */
};

/* May he be changed? Who is protected only from the socket of the data directory. */
static bool is_protected(const struct lv_request *r, const struct lv_user_record *u, char *why,
                         size_t cap)
{
    if (r->who.is_operator || !lv_tags_have(&u->tags, LV_BYTES_LIT("protected")))
        return false;
    (void)snprintf(why, cap, "user '%.*s' is protected", LV_BYTES_FMT(u->name));
    return true;
}

/* RabbitMQ: of somebody new, what he may do where. */
static enum lv_err put_permissions(struct lv_broker *b, const struct user_body *body, char *why,
                                   size_t cap)
{
    enum lv_err err = LV_OK;
    const char *vhost;
    json_t *p;

    json_object_foreach((json_t *)(uintptr_t)body->permissions, vhost, p)
    {
        const struct lv_permission_record record = {
            .user = body->name,
            .vhost = lv_bytes_str(vhost),
            .configure = lv_bytes_str(json_string_value(json_object_get(p, "configure"))),
            .write = lv_bytes_str(json_string_value(json_object_get(p, "write"))),
            .read = lv_bytes_str(json_string_value(json_object_get(p, "read"))),
        };
        err = lv_broker_put_permission(b, &record, why, cap);
        if (err != LV_OK)
            break;
    }
    return err;
}

/* The password he has is the one that is put: nobody who is here with it is sent away. */
static bool keeps_password(const struct user_body *body, const struct lv_user_record *have)
{
    if (have->algorithm == body->hash.algorithm &&
        lv_bytes_eq(have->hash, lv_bytes(body->hash.bytes, body->hash.len)))
        return true;
    return body->is_same && have->credential == body->credential;
}

static enum lv_err put_user(struct lv_broker *b, struct lv_change *c)
{
    const struct user_body *body = c->record;
    const struct lv_user_record *have = lv_access_user(lv_broker_access(b), body->name);
    struct lv_user_record u = {
        .name = body->name,
        .max_connections = LV_NO_LIMIT,
        .max_channels = LV_NO_LIMIT,
    };
    enum lv_err err = LV_OK;

    c->is_new = have == NULL;
    if (have != NULL && is_protected(c->r, have, c->why, sizeof(c->why)))
        return LV_EREFUSED;
    if (have != NULL)
        u = *have;
    u.tags = body->tags;
    if (body->max_connections != INT64_MIN)
        u.max_connections = body->max_connections;
    if (body->max_channels != INT64_MIN)
        u.max_channels = body->max_channels;
    u.algorithm = body->hash.algorithm;
    u.hash = lv_bytes(body->hash.bytes, body->hash.len);
    if (have == NULL || !keeps_password(body, have))
        err = lv_user_set_password(&u, &body->hash);
    if (err == LV_OK)
        err = lv_broker_put_user(b, &u, c->why, sizeof(c->why));
    if (err == LV_OK && c->is_new)
        err = put_permissions(b, body, c->why, sizeof(c->why));
    return err;
}

/* LV_ENOTFOUND: a virtual host of his permissions. */
static void user_put(struct lv_request *r, struct lv_change *c)
{
    if (c->err == LV_ENOTFOUND)
        lv_reply_bad_request(r, "vhost_or_user_not_found");
    else
        lv_reply_changed(r, c);
}

static enum lv_err fail(struct lv_broker *b, struct lv_change *c)
{
    (void)b;
    return c->err;
}

/* On the worker's thread. */
static void hash(struct lv_job *job)
{
    struct user_body *body = (struct user_body *)job;
    struct lv_change *c = body->change;
    enum lv_err err = LV_OK;

    body->is_same =
        body->credential != 0 &&
        lv_password_verify(body->before.algorithm, lv_bytes(body->before.bytes, body->before.len),
                           body->password) == LV_OK;
    if (body->is_same && body->before.algorithm == body->algorithm)
        body->hash = body->before;
    else
        err = lv_password_hash(body->algorithm, body->password, &body->hash);
    if (err != LV_OK) {
        c->err = err;
        c->make = fail;
        (void)snprintf(c->why, sizeof(c->why), err == LV_EINVAL ? "the password is too long" : "%s",
                       lv_err_text(err));
    }
    lv_errand_send(c->r->room->broker, 0, &c->errand);
}

/* False: it was answered. */
static bool read_hash(struct lv_request *r, struct user_body *body)
{
    struct lv_bytes text, name = LV_BYTES_LIT("rabbit_password_hashing_sha256");

    if (!lv_body_need_text(r, "password_hash", &text) ||
        !lv_body_text(r, "hashing_algorithm", &name))
        return false;
    enum lv_err err = lv_password_import(text, name, &body->hash);
    if (err != LV_OK)
        lv_reply_bad_request(r,
                             err == LV_ENOTFOUND ? "unknown hashing_algorithm '%.*s'"
                                                 : "password_hash is not one of %.*s",
                             LV_BYTES_FMT(name));
    return err == LV_OK;
}

/* A password, or none, as the settings want them. False: it was answered. */
static bool check_password(struct lv_request *r, const struct user_body *body)
{
    char why[256];
    enum lv_err err = lv_credentials_check(r->room->settings, body->password, why, sizeof(why));

    if (err == LV_ENOMEM)
        lv_reply_no_memory(r);
    else if (err != LV_OK)
        lv_reply_bad_request(r, "credential_validation_failed: %s", why);
    return err == LV_OK;
}

/* False: it was answered. */
static bool read_credentials(struct lv_request *r, struct user_body *body)
{
    bool has_password = json_object_get(r->json, "password") != NULL;
    bool has_hash = json_object_get(r->json, "password_hash") != NULL;

    if (has_password && has_hash) {
        lv_reply_bad_request(r, "both_password_and_password_hash_are_provided");
        return false;
    }
    if (has_hash)
        return read_hash(r, body);
    return lv_body_text(r, "password", &body->password) && check_password(r, body);
}

/* False: it was answered. */
static bool read_limits(struct lv_request *r, struct user_body *body)
{
    const json_t *limits = json_object_get(r->json, "limits"), *v;
    const struct {
        const char *name;
        int64_t *to;
    } known[] = { { "max-connections", &body->max_connections },
                  { "max-channels", &body->max_channels } };

    for (size_t i = 0; i < LV_ARRAY_LEN(known); i++) {
        v = json_object_get(limits, known[i].name);
        *known[i].to = json_is_integer(v) ? json_integer_value(v) : INT64_MIN;
        if (v == NULL ||
            (json_is_integer(v) && *known[i].to >= LV_NO_LIMIT && *known[i].to <= LV_LIMIT_MAX))
            continue;
        lv_reply_bad_request(r, "%s should be a number", known[i].name);
        return false;
    }
    return true;
}

/* False: it was answered. */
static bool read_permissions(struct lv_request *r, struct user_body *body)
{
    static const char *const verbs[] = { "configure", "write", "read" };
    json_t *permissions = json_object_get(r->json, "permissions"), *p;
    const char *vhost;

    body->permissions = permissions;
    json_object_foreach(permissions, vhost, p)
    {
        for (size_t i = 0; i < LV_ARRAY_LEN(verbs); i++)
            if (!json_is_string(json_object_get(p, verbs[i]))) {
                lv_reply_bad_request(r, "permissions in '%.255s' should have %s", vhost, verbs[i]);
                return false;
            }
    }
    return true;
}

/* What he is now, to be compared with what is put. */
static void look_at(struct lv_request *r, struct user_body *body)
{
    const struct lv_user_record *u = lv_access_user(lv_broker_access(r->room->broker), body->name);

    if (u == NULL)
        return;
    body->credential = u->credential;
    body->before.algorithm = u->algorithm;
    body->before.len = (uint8_t)u->hash.len;
    if (u->hash.len != 0)
        memcpy(body->before.bytes, u->hash.ptr, u->hash.len);
}

void lv_api_user_put(struct lv_request *r)
{
    struct user_body *body = lv_request_alloc(r, sizeof(*body));

    if (body == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    body->name = r->args[0];
    if (lv_request_json(r) == NULL || !lv_body_tags(r, &body->tags))
        return;
    if (json_object_get(r->json, "tags") == NULL) {
        lv_reply_bad_request(r, "tags_not_present");
        return;
    }
    if (!read_credentials(r, body) || !read_limits(r, body) || !read_permissions(r, body))
        return;
    if (lv_hash_algorithm_of(lv_bytes_str(r->room->settings->password_hashing), &body->algorithm) !=
        LV_OK)
        body->algorithm = LV_HASH_ARGON2ID;
    body->change = lv_change_new(r, put_user, body);
    if (body->change == NULL)
        return;
    body->change->done = user_put;
    if (body->password.len == 0) {
        lv_change_send(body->change);
        return;
    }
    look_at(r, body);
    body->job.run = hash;
    lv_request_out(r);
    lv_worker_post(&r->room->worker, &body->job);
}

static enum lv_err remove_user(struct lv_broker *b, struct lv_change *c, struct lv_bytes name)
{
    const struct lv_user_record *u = lv_access_user(lv_broker_access(b), name);
    uint8_t key[LV_ACCESS_KEY_BYTES_MAX];
    struct lv_wr w = lv_wr(key, sizeof(key));

    if (u == NULL)
        return LV_ENOTFOUND;
    if (is_protected(c->r, u, c->why, sizeof(c->why)))
        return LV_EREFUSED;
    lv_user_key(&w, u);
    return lv_broker_remove(b, LV_ACCESS_USER, lv_bytes(key, w.used));
}

static enum lv_err delete_user(struct lv_broker *b, struct lv_change *c)
{
    return remove_user(b, c, c->r->args[0]);
}

void lv_api_user_delete(struct lv_request *r)
{
    lv_change_make(r, delete_user, NULL, NULL);
}

static struct lv_bytes name_at(const json_t *users, size_t i)
{
    const json_t *name = json_array_get(users, i);

    return lv_bytes(json_string_value(name), json_string_length(name));
}

/* All of them or none. */
static enum lv_err delete_users(struct lv_broker *b, struct lv_change *c)
{
    const json_t *users = c->record;
    enum lv_err err = LV_OK;

    for (size_t i = 0; i < json_array_size(users); i++) {
        const struct lv_user_record *u = lv_access_user(lv_broker_access(b), name_at(users, i));
        if (u == NULL) {
            (void)snprintf(c->why, sizeof(c->why), "no_such_user: %.*s",
                           LV_BYTES_FMT(name_at(users, i)));
            return LV_EINVAL;
        }
        if (is_protected(c->r, u, c->why, sizeof(c->why)))
            return LV_EREFUSED;
    }
    for (size_t i = 0; i < json_array_size(users) && (err == LV_OK || err == LV_ENOTFOUND); i++)
        err = remove_user(b, c, name_at(users, i)); /* one may be named twice */
    return err == LV_ENOTFOUND ? LV_OK : err;
}

void lv_api_users_delete(struct lv_request *r)
{
    json_t *users = lv_request_json(r) != NULL ? json_object_get(r->json, "users") : NULL;

    if (r->json == NULL)
        return;
    bool is_good = json_is_array(users);
    for (size_t i = 0; i < json_array_size(users); i++)
        is_good = is_good && json_is_string(json_array_get(users, i));
    if (!is_good) {
        lv_reply_bad_request(r, "users should be an array of names");
        return;
    }
    lv_change_make(r, delete_users, users, NULL);
}

/* The password is a part of the path, as RabbitMQ has it. */
void lv_api_hash_password(struct lv_request *r)
{
    struct lv_password_hash hash;
    char text[LV_HASH_TEXT_MAX];

    if (lv_password_hash(LV_HASH_SHA256, r->args[0], &hash) != LV_OK) {
        lv_reply_bad_request(r, "the password is empty, or too long");
        return;
    }
    lv_password_export(hash.algorithm, lv_bytes(hash.bytes, hash.len), text);
    struct lv_json *j = lv_reply_json(r, 200);
    lv_json_open(j, NULL);
    lv_json_str(j, "ok", text);
    lv_json_close(j);
    lv_reply_end(r);
}

/* ---- limits ---- */

static bool has_limit(const struct lv_user_record *u)
{
    return u->max_connections != LV_NO_LIMIT || u->max_channels != LV_NO_LIMIT;
}

static bool describe_limits(struct lv_request *r, const struct lv_listing_item *item,
                            struct lv_json *j)
{
    const struct lv_user_record *u = lv_access_user(lv_broker_access(r->room->broker), item->name);

    if (u == NULL || !has_limit(u))
        return false;
    lv_json_open(j, NULL);
    lv_json_bytes(j, "user", u->name);
    lv_json_open(j, "value");
    lv_json_limit(j, "max-connections", u->max_connections);
    lv_json_limit(j, "max-channels", u->max_channels);
    lv_json_close(j);
    lv_json_close(j);
    return true;
}

static const struct lv_listing_kind limits_kind = { .describe = describe_limits };

void lv_api_user_limits(struct lv_request *r)
{
    const struct lv_access *access = lv_broker_access(r->room->broker);
    const bool is_one = r->args[0].ptr != NULL;
    const struct lv_user_record *u;
    struct lv_listing *list;
    size_t pos = 0;

    if (is_one && lv_access_user(access, r->args[0]) == NULL) {
        lv_reply_not_found(r);
        return;
    }
    list = lv_listing_new(r, &limits_kind);
    if (list == NULL)
        return;
    while ((u = lv_access_next(access, LV_ACCESS_USER, &pos)) != NULL)
        if (has_limit(u) && (!is_one || lv_bytes_eq(u->name, r->args[0])))
            lv_listing_add(list, lv_bytes(NULL, 0), u->name, NULL);
    lv_listing_reply(list);
}

struct limit {
    struct lv_bytes user, name;
    int64_t value;
};

static enum lv_err put_user_limit(struct lv_broker *b, struct lv_change *c)
{
    const struct limit *limit = c->record;
    const struct lv_user_record *have = lv_access_user(lv_broker_access(b), limit->user);

    if (have == NULL) {
        (void)snprintf(c->why, sizeof(c->why), "no_such_user: %.*s", LV_BYTES_FMT(limit->user));
        return LV_EINVAL;
    }
    struct lv_user_record u = *have;
    if (lv_bytes_eq(limit->name, LV_BYTES_LIT("max-connections"))) {
        u.max_connections = limit->value;
    } else if (lv_bytes_eq(limit->name, LV_BYTES_LIT("max-channels"))) {
        u.max_channels = limit->value;
    } else {
        (void)snprintf(c->why, sizeof(c->why),
                       "Unrecognised terms [{<<\"%.*s\">>,%lld}] in user-limits",
                       LV_BYTES_FMT(limit->name), (long long)limit->value);
        return LV_EINVAL;
    }
    return lv_broker_put_user(b, &u, c->why, sizeof(c->why));
}

static void change_limit(struct lv_request *r, int64_t value)
{
    struct limit *limit = lv_request_alloc(r, sizeof(*limit));

    if (limit == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    *limit = (struct limit){ r->args[0], r->args[1], value };
    lv_change_make(r, put_user_limit, limit, NULL);
}

void lv_api_user_limit_put(struct lv_request *r)
{
    int64_t value;

    if (lv_body_limit(r, &value))
        change_limit(r, value);
}

void lv_api_user_limit_delete(struct lv_request *r)
{
    change_limit(r, LV_NO_LIMIT);
}
