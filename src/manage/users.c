/* Users, and what they may do where. */
#include <stdio.h>
#include <string.h>

#include "broker/access.h"
#include "manage/ask.h"
#include "manage/listing.h"
#include "manage/manage_priv.h"
#include "manage/router.h"
#include "manage/shapes.h"
#include "security/defaults.h"
#include "security/password.h"
#include "store/worker.h"

/* ---- reading ---- */

static void put_limit(struct lv_json *j, const char *key, int64_t limit)
{
    if (limit != LV_NO_LIMIT)
        lv_json_i64(j, key, limit);
}

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
    put_limit(j, "max-connections", u->max_connections);
    put_limit(j, "max-channels", u->max_channels);
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

/* What a PUT says; the password is hashed by the room's worker, from where the change goes to the registry. */
struct user_body {
    struct lv_job job; /* first */
    struct lv_change *change;
    struct lv_bytes name, password;
    struct lv_tags tags;
    struct lv_password_hash hash;
    bool has_hash; /* `hash` is to be put */
    enum lv_hash_algorithm algorithm;
};

static enum lv_err put_user(struct lv_broker *b, struct lv_change *c)
{
    const struct user_body *body = c->record;
    const struct lv_user_record *have = lv_access_user(lv_broker_access(b), body->name);
    struct lv_user_record u = {
        .name = body->name,
        .max_connections = LV_NO_LIMIT,
        .max_channels = LV_NO_LIMIT,
    };
    static const struct lv_password_hash none = { .algorithm = LV_HASH_NONE };

    if (c->err == LV_EINVAL) /* the password cannot be one */
        return LV_EINVAL;
    if (have != NULL)
        u = *have;
    u.tags = body->tags;
    c->is_new = have == NULL;
    if (body->has_hash || have == NULL) {
        enum lv_err err = lv_user_set_password(&u, body->has_hash ? &body->hash : &none);
        if (err != LV_OK)
            return err;
    }
    return lv_broker_put_user(b, &u, c->why, sizeof(c->why));
}

/* On the worker's thread. */
static void hash(struct lv_job *job)
{
    struct user_body *body = (struct user_body *)job;
    struct lv_change *c = body->change;

    enum lv_err err = lv_password_hash(body->algorithm, body->password, &body->hash);
    body->has_hash = err == LV_OK;
    if (err != LV_OK) {
        c->err = LV_EINVAL;
        (void)snprintf(c->why, sizeof(c->why), "the password is empty, or too long");
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
    body->has_hash = err == LV_OK;
    if (err != LV_OK)
        lv_reply_bad_request(r,
                             err == LV_ENOTFOUND ? "unknown hashing_algorithm '%.*s'"
                                                 : "password_hash is not one of %.*s",
                             LV_BYTES_FMT(name));
    return err == LV_OK;
}

void lv_api_user_put(struct lv_request *r)
{
    struct user_body *body = lv_request_alloc(r, sizeof(*body));

    if (body == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    body->name = r->args[0];
    if (lv_request_json(r) == NULL || !lv_body_tags(r, &body->tags) ||
        !lv_body_text(r, "password", &body->password))
        return;
    if (json_object_get(r->json, "tags") == NULL) {
        lv_reply_bad_request(r, "tags should be given: key missing");
        return;
    }
    if (body->password.ptr != NULL && json_object_get(r->json, "password_hash") != NULL) {
        lv_reply_bad_request(r, "both a password and a password_hash are given");
        return;
    }
    if (lv_hash_algorithm_of(lv_bytes_str(r->room->settings->password_hashing), &body->algorithm) !=
        LV_OK)
        body->algorithm = LV_HASH_ARGON2ID;
    if (body->password.ptr == NULL && json_object_get(r->json, "password_hash") != NULL &&
        !read_hash(r, body))
        return;
    body->change = lv_change_new(r, put_user, body);
    if (body->change == NULL)
        return;
    if (body->password.ptr == NULL) {
        lv_change_send(body->change);
        return;
    }
    body->job.run = hash;
    lv_request_out(r);
    lv_worker_post(&r->room->worker, &body->job);
}

static enum lv_err remove_user(struct lv_broker *b, struct lv_bytes name)
{
    uint8_t key[LV_ACCESS_KEY_BYTES_MAX];
    struct lv_wr w = lv_wr(key, sizeof(key));

    if (name.len == 0 || name.len > LV_SHORTSTR_MAX)
        return LV_ENOTFOUND;
    lv_user_key(&w, &(struct lv_user_record){ .name = name });
    return lv_broker_remove(b, LV_ACCESS_USER, lv_bytes(key, w.used));
}

static enum lv_err delete_user(struct lv_broker *b, struct lv_change *c)
{
    return remove_user(b, c->r->args[0]);
}

void lv_api_user_delete(struct lv_request *r)
{
    struct lv_change *c = lv_change_new(r, delete_user, NULL);

    if (c != NULL)
        lv_change_send(c);
}

/* Those that are not there count as deleted. */
static enum lv_err delete_users(struct lv_broker *b, struct lv_change *c)
{
    const json_t *users = c->record;
    enum lv_err err = LV_OK;

    for (size_t i = 0; i < json_array_size(users) && err == LV_OK; i++) {
        const json_t *name = json_array_get(users, i);
        err = remove_user(b, lv_bytes(json_string_value(name), json_string_length(name)));
        if (err == LV_ENOTFOUND)
            err = LV_OK;
    }
    return err;
}

void lv_api_users_delete(struct lv_request *r)
{
    json_t *users = lv_request_json(r) != NULL ? json_object_get(r->json, "users") : NULL;
    struct lv_change *c;

    if (r->json == NULL)
        return;
    bool is_good = json_is_array(users);
    for (size_t i = 0; i < json_array_size(users); i++)
        is_good = is_good && json_is_string(json_array_get(users, i));
    if (!is_good) {
        lv_reply_bad_request(r, "users should be an array of names");
        return;
    }
    c = lv_change_new(r, delete_users, users);
    if (c != NULL)
        lv_change_send(c);
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
    put_limit(j, "max-connections", u->max_connections);
    put_limit(j, "max-channels", u->max_channels);
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

    if (have == NULL)
        return LV_ENOTFOUND;
    struct lv_user_record u = *have;
    if (lv_bytes_eq(limit->name, LV_BYTES_LIT("max-connections"))) {
        u.max_connections = limit->value;
    } else if (lv_bytes_eq(limit->name, LV_BYTES_LIT("max-channels"))) {
        u.max_channels = limit->value;
    } else {
        (void)snprintf(c->why, sizeof(c->why), "Unrecognised limit '%.*s'",
                       LV_BYTES_FMT(limit->name));
        return LV_EINVAL;
    }
    return lv_broker_put_user(b, &u, c->why, sizeof(c->why));
}

static void change_limit(struct lv_request *r, int64_t value)
{
    struct limit *limit = lv_request_alloc(r, sizeof(*limit));
    struct lv_change *c;

    if (limit == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    *limit = (struct limit){ r->args[0], r->args[1], value };
    c = lv_change_new(r, put_user_limit, limit);
    if (c != NULL)
        lv_change_send(c);
}

void lv_api_user_limit_put(struct lv_request *r)
{
    int64_t value = INT64_MIN;

    if (lv_request_json(r) == NULL || !lv_body_number(r, "value", LV_NO_LIMIT, LV_LIMIT_MAX, &value))
        return;
    if (value == INT64_MIN)
        lv_reply_bad_request(r, "value should be given: key missing");
    else
        change_limit(r, value);
}

void lv_api_user_limit_delete(struct lv_request *r)
{
    change_limit(r, LV_NO_LIMIT);
}
