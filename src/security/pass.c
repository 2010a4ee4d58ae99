#include "security/pass.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "security/access_priv.h"
#include "security/refuse_priv.h"

enum lv_err lv_refuse(struct lv_refusal *why, uint16_t code, const char *format, ...)
{
    va_list args;

    why->code = code;
    va_start(args, format);
    vsnprintf(why->text, sizeof(why->text), format, args);
    va_end(args);
    return LV_EREFUSED;
}

/* ---- names ---- */

/* The three names in one block. Those that the pass has now may be among the arguments. */
static enum lv_err rename_to(struct lv_pass *p, struct lv_bytes user, struct lv_bytes vhost,
                             struct lv_bytes client_id)
{
    size_t total = user.len + vhost.len + client_id.len;
    uint8_t *block = lv_mem_alloc(total != 0 ? total : 1, LV_TAG_SECURITY);

    if (block == NULL)
        return LV_ENOMEM;
    struct lv_wr w = lv_wr(block, total);
    lv_wr_bytes(&w, user.ptr, user.len);
    lv_wr_bytes(&w, vhost.ptr, vhost.len);
    lv_wr_bytes(&w, client_id.ptr, client_id.len);
    lv_mem_free(p->block, LV_TAG_SECURITY);
    p->block = block;
    p->user = lv_bytes(block, user.len);
    p->vhost = lv_bytes(block + user.len, vhost.len);
    p->client_id = lv_bytes(block + user.len + vhost.len, client_id.len);
    return LV_OK;
}

enum lv_err lv_pass_init(struct lv_pass *p, struct lv_access *a, struct lv_bytes user,
                         uint64_t credential)
{
    const struct lv_user_record *record = lv_access_user(a, user);

    *p = (struct lv_pass){ .access = a, .credential = credential };
    if (record == NULL || record->credential != credential)
        return LV_EREFUSED;
    return rename_to(p, user, lv_bytes(NULL, 0), lv_bytes(NULL, 0));
}

enum lv_err lv_pass_set_client_id(struct lv_pass *p, struct lv_bytes client_id)
{
    enum lv_err err = rename_to(p, p->user, p->vhost, client_id);

    p->has_client_id |= err == LV_OK;
    return err;
}

void lv_pass_fini(struct lv_pass *p)
{
    lv_pass_leave(p);
    lv_mem_free(p->block, LV_TAG_SECURITY);
    *p = (struct lv_pass){ 0 };
}

/* ---- counting ---- */

/* One more, unless there are `limit` already. */
static bool count_up(_Atomic uint32_t *n, int64_t limit)
{
    uint32_t now = atomic_load_explicit(n, memory_order_relaxed);

    do {
        if (limit != LV_NO_LIMIT && now >= (uint64_t)limit)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(n, &now, now + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static void count_down(_Atomic uint32_t *n, uint32_t by)
{
    atomic_fetch_sub_explicit(n, by, memory_order_relaxed);
}

static struct lv_quota *pin(struct lv_quota *q)
{
    atomic_fetch_add_explicit(&q->refs, 1, memory_order_relaxed);
    return q;
}

/* ---- coming and going ---- */

static enum lv_err refuse_vhost(struct lv_refusal *why, const struct lv_pass *p,
                                struct lv_bytes vhost)
{
    return lv_refuse(why, 530, "access to vhost '%.*s' refused for user '%.*s'",
                     LV_BYTES_FMT(vhost), LV_BYTES_FMT(p->user));
}

/* Counts the connection everywhere, or nowhere. */
static enum lv_err count_in(struct lv_pass *p, struct lv_bytes vhost_name,
                            const struct lv_user_record *user, struct lv_quota *uq,
                            const struct lv_vhost_record *vhost, struct lv_quota *vq,
                            struct lv_refusal *why)
{
    struct lv_access *a = p->access;
    int64_t node_max = atomic_load_explicit(&a->max_connections, memory_order_relaxed);

    if (!count_up(&a->node.connections, node_max))
        return lv_refuse(why, 530,
                         "connection refused: node connection limit (%" PRId64 ") is reached",
                         node_max);
    if (!count_up(&vq->connections, vhost->max_connections)) {
        count_down(&a->node.connections, 1);
        return lv_refuse(
            why, 530,
            "access to vhost '%.*s' refused for user '%.*s': connection limit (%" PRId64
            ") is reached",
            LV_BYTES_FMT(vhost_name), LV_BYTES_FMT(p->user), vhost->max_connections);
    }
    if (!count_up(&uq->connections, user->max_connections)) {
        count_down(&a->node.connections, 1);
        count_down(&vq->connections, 1);
        return lv_refuse(why, 530,
                         "connection refused for user '%.*s': user connection limit (%" PRId64
                         ") is reached",
                         LV_BYTES_FMT(p->user), user->max_connections);
    }
    return LV_OK;
}

enum lv_err lv_pass_enter(struct lv_pass *p, struct lv_bytes vhost, struct lv_refusal *why)
{
    uint8_t buf[LV_ACCESS_KEY_BYTES_MAX];
    const struct lv_access_value *u, *v;

    if (p->access == NULL || p->is_inside)
        return refuse_vhost(why, p, vhost);
    const struct lv_access_node *un =
        lv_access_find(p->access, LV_ACCESS_USER, lv_access_key(buf, &p->user, 1), &u);
    const struct lv_access_node *vn =
        lv_access_find(p->access, LV_ACCESS_VHOST, lv_access_key(buf, &vhost, 1), &v);
    if (vn == NULL)
        return lv_refuse(why, 530, "vhost %.*s not found", LV_BYTES_FMT(vhost));
    if (un == NULL || u->record.user.credential != p->credential)
        return refuse_vhost(why, p, vhost);
    if (rename_to(p, p->user, vhost, p->client_id) != LV_OK)
        return LV_ENOMEM;
    enum lv_err err =
        count_in(p, vhost, &u->record.user, un->quota, &v->record.vhost, vn->quota, why);
    if (err != LV_OK)
        return err;
    p->user_quota = pin(un->quota);
    p->vhost_quota = pin(vn->quota);
    p->birth = v->record.vhost.birth;
    p->is_inside = true;
    if (lv_access_permission(p->access, p->user, p->vhost) == NULL) {
        lv_pass_leave(p);
        return refuse_vhost(why, p, vhost);
    }
    return LV_OK;
}

void lv_pass_leave(struct lv_pass *p)
{
    if (!p->is_inside)
        return;
    count_down(&p->access->node.channels, p->channels);
    count_down(&p->access->node.connections, 1);
    count_down(&p->user_quota->channels, p->channels);
    count_down(&p->user_quota->connections, 1);
    count_down(&p->vhost_quota->connections, 1);
    lv_quota_unref(p->user_quota);
    lv_quota_unref(p->vhost_quota);
    p->user_quota = p->vhost_quota = NULL;
    p->channels = 0;
    p->is_inside = false;
}

enum lv_err lv_pass_open_channel(struct lv_pass *p, struct lv_refusal *why)
{
    const struct lv_user_record *user = p->is_inside ? lv_access_user(p->access, p->user) : NULL;

    if (user == NULL)
        return lv_refuse(why, 530, "user '%.*s' is deleted", LV_BYTES_FMT(p->user));
    int64_t node_max = atomic_load_explicit(&p->access->max_channels, memory_order_relaxed);
    if (!count_up(&p->user_quota->channels, user->max_channels))
        return lv_refuse(
            why, 530,
            "number of channels opened for user '%.*s' has reached the maximum allowed "
            "user limit of (%" PRId64 ")",
            LV_BYTES_FMT(p->user), user->max_channels);
    if (!count_up(&p->access->node.channels, node_max)) {
        count_down(&p->user_quota->channels, 1);
        return lv_refuse(
            why,
            530, "number of channels opened on this node has reached the maximum allowed limit of (%" PRId64 ")",
            node_max);
    }
    p->channels++;
    return LV_OK;
}

void lv_pass_close_channel(struct lv_pass *p)
{
    if (p->channels == 0)
        return;
    count_down(&p->user_quota->channels, 1);
    count_down(&p->access->node.channels, 1);
    p->channels--;
}

/* ---- standing ---- */

enum lv_standing lv_pass_standing(const struct lv_pass *p)
{
    if (p->access == NULL)
        return LV_STANDING_USER_GONE;
    const struct lv_user_record *user = lv_access_user(p->access, p->user);
    if (user == NULL)
        return LV_STANDING_USER_GONE;
    if (user->credential != p->credential)
        return LV_STANDING_PASSWORD_CHANGED;
    if (!p->is_inside)
        return LV_STANDING_GOOD;
    const struct lv_vhost_record *vhost = lv_access_vhost(p->access, p->vhost);
    if (vhost == NULL || vhost->birth != p->birth)
        return LV_STANDING_VHOST_GONE;
    return lv_access_permission(p->access, p->user, p->vhost) != NULL ? LV_STANDING_GOOD
                                                                      : LV_STANDING_REVOKED;
}

void lv_pass_standing_text(const struct lv_pass *p, enum lv_standing standing, char *out, size_t cap)
{
    bool is_users = standing == LV_STANDING_USER_GONE || standing == LV_STANDING_PASSWORD_CHANGED;
    struct lv_bytes name = is_users ? p->user : p->vhost;

    static const struct {
        const char *before, *after;
    } texts[] = {
#define X(id, before, after) [LV_STANDING_##id] = { before, after },
        LV_STANDINGS(X)
#undef X
    };

    snprintf(out, cap, "%s'%.*s'%s", texts[standing].before, LV_BYTES_FMT(name),
             texts[standing].after);
}

enum lv_err lv_pass_may_add_queue(const struct lv_pass *p, struct lv_bytes queue, uint64_t count,
                                  struct lv_refusal *why)
{
    const struct lv_vhost_record *vhost = p->is_inside ? lv_access_vhost(p->access, p->vhost) : NULL;
    int64_t max = vhost != NULL ? vhost->max_queues : 0;

    if (max == LV_NO_LIMIT || count < (uint64_t)max)
        return LV_OK;
    return lv_refuse(why, 406,
                     "cannot declare queue '%.*s': queue limit in vhost '%.*s' (%" PRId64
                     ") is reached",
                     LV_BYTES_FMT(queue), LV_BYTES_FMT(p->vhost), max);
}
