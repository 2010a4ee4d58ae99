/* Permissions and topic permissions of users in virtual hosts. */
#include <stdio.h>
#include <string.h>

#include "broker/access.h"
#include "manage/ask.h"
#include "manage/listing.h"
#include "manage/manage_priv.h"
#include "manage/router.h"

/* ---- permissions ---- */

static bool describe(struct lv_request *r, const struct lv_listing_item *item, struct lv_json *j)
{
    const struct lv_permission_record *p =
        lv_access_permission(lv_broker_access(r->room->broker), item->name, item->vhost);

    if (p == NULL)
        return false;
    lv_json_open(j, NULL);
    lv_json_bytes(j, "user", p->user);
    lv_json_bytes(j, "vhost", p->vhost);
    lv_json_bytes(j, "configure", p->configure);
    lv_json_bytes(j, "write", p->write);
    lv_json_bytes(j, "read", p->read);
    lv_json_close(j);
    return true;
}

static const struct lv_listing_kind kind = { .describe = describe };

/* Of a user, of a virtual host, or all: what the path says. False: it was answered. */
static bool is_user_there(struct lv_request *r, struct lv_bytes user)
{
    if (user.ptr == NULL || lv_access_user(lv_broker_access(r->room->broker), user) != NULL)
        return true;
    lv_reply_not_found(r);
    return false;
}

void lv_api_permissions(struct lv_request *r)
{
    const struct lv_access *access = lv_broker_access(r->room->broker);
    struct lv_listing *list = is_user_there(r, r->args[0]) ? lv_listing_new(r, &kind) : NULL;
    const struct lv_permission_record *p;
    size_t pos = 0;

    if (list == NULL)
        return;
    while ((p = lv_access_next(access, LV_ACCESS_PERMISSION, &pos)) != NULL)
        if ((r->vhost.ptr == NULL || lv_bytes_eq(p->vhost, r->vhost)) &&
            (r->args[0].ptr == NULL || lv_bytes_eq(p->user, r->args[0])))
            lv_listing_add(list, p->vhost, p->user, NULL);
    lv_listing_reply(list);
}

void lv_api_permission(struct lv_request *r)
{
    lv_reply_one(r, &kind, &(struct lv_listing_item){ .vhost = r->vhost, .name = r->args[0] });
}

/* What it hangs on is no matter of the path alone. */
static void permission_put(struct lv_request *r, struct lv_change *c)
{
    if (c->err == LV_ENOTFOUND)
        lv_reply_bad_request(r, "vhost_or_user_not_found");
    else
        lv_reply_changed(r, c);
}

static enum lv_err put(struct lv_broker *b, struct lv_change *c)
{
    const struct lv_permission_record *p = c->record;

    c->is_new = lv_access_permission(lv_broker_access(b), p->user, p->vhost) == NULL;
    return lv_broker_put_permission(b, p, c->why, sizeof(c->why));
}

void lv_api_permission_put(struct lv_request *r)
{
    struct lv_permission_record *p = lv_request_alloc(r, sizeof(*p));

    if (p == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    if (lv_request_json(r) == NULL || !lv_body_need_text(r, "configure", &p->configure) ||
        !lv_body_need_text(r, "write", &p->write) || !lv_body_need_text(r, "read", &p->read))
        return;
    p->user = r->args[0];
    p->vhost = r->vhost;
    lv_change_make(r, put, p, permission_put);
}

static enum lv_err del(struct lv_broker *b, struct lv_change *c)
{
    const struct lv_permission_record p = { .user = c->r->args[0], .vhost = c->r->vhost };
    uint8_t key[LV_ACCESS_KEY_BYTES_MAX];
    struct lv_wr w = lv_wr(key, sizeof(key));

    if (lv_access_permission(lv_broker_access(b), p.user, p.vhost) == NULL)
        return LV_ENOTFOUND;
    lv_permission_key(&w, &p);
    return lv_broker_remove(b, LV_ACCESS_PERMISSION, lv_bytes(key, w.used));
}

void lv_api_permission_delete(struct lv_request *r)
{
    lv_change_make(r, del, NULL, NULL);
}

/* ---- topic permissions ---- */

static bool describe_topic(struct lv_request *r, const struct lv_listing_item *item,
                           struct lv_json *j)
{
    const struct lv_topic_permission_record *key = item->object,
                                            *p = lv_access_topic_permission(lv_broker_access(
                                                                                r->room->broker),
                                                                            key->user, key->vhost,
                                                                            key->exchange);

    if (p == NULL)
        return false;
    lv_json_open(j, NULL);
    lv_json_bytes(j, "user", p->user);
    lv_json_bytes(j, "vhost", p->vhost);
    lv_json_bytes(j, "exchange", p->exchange);
    lv_json_bytes(j, "write", p->write);
    lv_json_bytes(j, "read", p->read);
    lv_json_close(j);
    return true;
}

static const struct lv_listing_kind topic_kind = { .describe = describe_topic, .is_kept = true };

/* The key of a record that stays. */
static void add_topic(struct lv_listing *list, struct lv_request *r,
                      const struct lv_topic_permission_record *p)
{
    struct lv_topic_permission_record *key = lv_request_alloc(r, sizeof(*key));
    uint8_t name[2 * LV_SHORTSTR_MAX + 1];
    struct lv_wr w = lv_wr(name, sizeof(name));

    if (key == NULL)
        return;
    key->user = lv_request_copy(r, p->user);
    key->vhost = lv_request_copy(r, p->vhost);
    key->exchange = lv_request_copy(r, p->exchange);
    lv_wr_bytes(&w, p->user.ptr, p->user.len);
    lv_wr_u8(&w, 0);
    lv_wr_bytes(&w, p->exchange.ptr, p->exchange.len);
    lv_listing_add(list, key->vhost, lv_request_copy(r, lv_bytes(name, w.used)), key);
}

static bool is_wanted(const struct lv_request *r, const struct lv_topic_permission_record *p)
{
    return (r->vhost.ptr == NULL || lv_bytes_eq(p->vhost, r->vhost)) &&
           (r->args[0].ptr == NULL || lv_bytes_eq(p->user, r->args[0])) &&
           (r->args[1].ptr == NULL || lv_bytes_eq(p->exchange, lv_path_exchange(r->args[1])));
}

/* Has the user of the path any of them in its virtual host? */
static bool has_any(const struct lv_access *access, const struct lv_request *r)
{
    const struct lv_topic_permission_record *p;
    size_t pos = 0;

    while ((p = lv_access_next(access, LV_ACCESS_TOPIC_PERMISSION, &pos)) != NULL)
        if (lv_bytes_eq(p->vhost, r->vhost) && lv_bytes_eq(p->user, r->args[0]))
            return true;
    return false;
}

/* All, of a virtual host, of a user, or of a user in a virtual host: there must be one then. */
void lv_api_topic_permissions(struct lv_request *r)
{
    const struct lv_access *access = lv_broker_access(r->room->broker);
    const struct lv_topic_permission_record *p;
    struct lv_listing *list;
    size_t pos = 0;

    if (!is_user_there(r, r->args[0]))
        return;
    if (r->vhost.ptr != NULL && r->args[0].ptr != NULL && !has_any(access, r)) {
        lv_reply_not_found(r);
        return;
    }
    list = lv_listing_new(r, &topic_kind);
    if (list == NULL)
        return;
    while ((p = lv_access_next(access, LV_ACCESS_TOPIC_PERMISSION, &pos)) != NULL)
        if (is_wanted(r, p))
            add_topic(list, r, p);
    lv_listing_reply(list);
}

static enum lv_err put_topic(struct lv_broker *b, struct lv_change *c)
{
    const struct lv_topic_permission_record *p = c->record;

    c->is_new =
        lv_access_topic_permission(lv_broker_access(b), p->user, p->vhost, p->exchange) == NULL;
    return lv_broker_put_topic_permission(b, p, c->why, sizeof(c->why));
}

void lv_api_topic_permission_put(struct lv_request *r)
{
    struct lv_topic_permission_record *p = lv_request_alloc(r, sizeof(*p));

    if (p == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    p->exchange = r->args[1];
    if (lv_request_json(r) == NULL || !lv_body_need_text(r, "write", &p->write) ||
        !lv_body_need_text(r, "read", &p->read) ||
        (p->exchange.ptr == NULL && !lv_body_need_text(r, "exchange", &p->exchange)))
        return;
    p->user = r->args[0];
    p->vhost = r->vhost;
    p->exchange = lv_path_exchange(p->exchange);
    lv_change_make(r, put_topic, p, permission_put);
}

/* That of one exchange, or of all. */
static enum lv_err del_topic(struct lv_broker *b, struct lv_change *c)
{
    const struct lv_access *access = lv_broker_access(b);
    const struct lv_topic_permission_record *p;
    uint8_t key[LV_ACCESS_KEY_BYTES_MAX];
    enum lv_err err = has_any(access, c->r) ? LV_OK : LV_ENOTFOUND;
    size_t pos = 0;

    while (err == LV_OK && (p = lv_access_next(access, LV_ACCESS_TOPIC_PERMISSION, &pos)) != NULL) {
        struct lv_wr w = lv_wr(key, sizeof(key));
        if (!is_wanted(c->r, p))
            continue;
        lv_topic_permission_key(&w, p);
        err = lv_broker_remove(b, LV_ACCESS_TOPIC_PERMISSION, lv_bytes(key, w.used));
    }
    return err;
}

void lv_api_topic_permission_delete(struct lv_request *r)
{
    lv_change_make(r, del_topic, NULL, NULL);
}
