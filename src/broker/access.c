/* Access control at work: first records, changes and whom they reach. Logins are in login.c. */
#include "broker/access.h"

#include "base/mem.h"
#include "broker/definitions_priv.h"
#include "config/config.h"
#include "os/failpoint.h"
#include "os/os.h"
#include "security/credentials.h"
#include "security/defaults.h"

struct lv_verify *lv_broker_verify(const struct lv_broker *b)
{
    return b->verify;
}

const struct lv_access *lv_broker_access(const struct lv_broker *b)
{
    return b->access;
}

/* ---- changes ---- */

static struct lv_bytes first_name(struct lv_bytes key)
{
    struct lv_rd rd = lv_rd(key);

    return lv_rd_short(&rd);
}

static enum lv_err put(struct lv_broker *b, enum lv_access_kind kind, struct lv_bytes key,
                       struct lv_bytes value, char *why, size_t cap)
{
    struct lv_access_change *change;

    if (!lv_access_has_parents(b->access, kind, key))
        return LV_ENOTFOUND;
    enum lv_err err = lv_access_prepare(b->access, kind, key, value, &change, why, cap);
    if (err != LV_OK)
        return err;
    if (kind == LV_ACCESS_VHOST) /* without a record nobody gets in */
        err = lv_vhost_make(b, first_name(key));
    if (err == LV_OK)
        err = lv_meta_access(b, true, kind, key, value);
    if (err == LV_OK)
        lv_access_commit(b->access, change);
    else
        lv_access_drop(b->access, change);
    return err;
}

#define X(NAME, name)                                                                              \
    static enum lv_err put_##name(struct lv_broker *b, const struct lv_##name##_record *r,         \
                                  char *why, size_t cap)                                           \
    {                                                                                              \
        uint8_t key[LV_ACCESS_KEY_BYTES_MAX], value[LV_ACCESS_VALUE_BYTES_MAX];                    \
        struct lv_wr k = lv_wr(key, sizeof(key)), v = lv_wr(value, sizeof(value));                 \
        if (cap != 0)                                                                              \
            why[0] = '\0';                                                                         \
        if (lv_##name##_check(r) != LV_OK)                                                         \
            return LV_EINVAL;                                                                      \
        lv_##name##_key(&k, r);                                                                    \
        lv_##name##_value(&v, r);                                                                  \
        if (!lv_wr_ok(&k) || !lv_wr_ok(&v))                                                        \
            return LV_EINVAL;                                                                      \
        return put(b, LV_ACCESS_##NAME, lv_bytes(key, k.used), lv_bytes(value, v.used), why, cap); \
    }
LV_ACCESS_KINDS(X)
#undef X

enum lv_err lv_broker_put_vhost(struct lv_broker *b, const struct lv_vhost_record *r, char *why,
                                size_t cap)
{
    const struct lv_vhost_record *have = lv_access_vhost(b->access, r->name);
    struct lv_vhost_record record = *r;

    if (have == NULL && lv_access_count(b->access, LV_ACCESS_VHOST) >= b->settings->vhost_max) {
        (void)snprintf(why, cap, "cannot create vhost '%.*s': vhost limit of %u is reached",
                       LV_BYTES_FMT(r->name), b->settings->vhost_max);
        return LV_EREFUSED;
    }
    if (have != NULL)
        record.birth = have->birth;
    else if (lv_os_random(&record.birth, sizeof(record.birth)) != LV_OK)
        return LV_EIO;
    enum lv_err err = put_vhost(b, &record, why, cap);
    if (err == LV_OK && have == NULL)
        lv_vhost_defaults(b, r->name);
    return err;
}

enum lv_err lv_broker_put_user(struct lv_broker *b, const struct lv_user_record *r, char *why,
                               size_t cap)
{
    return put_user(b, r, why, cap);
}

enum lv_err lv_broker_put_permission(struct lv_broker *b, const struct lv_permission_record *r,
                                     char *why, size_t cap)
{
    return put_permission(b, r, why, cap);
}

enum lv_err lv_broker_put_topic_permission(struct lv_broker *b,
                                           const struct lv_topic_permission_record *r, char *why,
                                           size_t cap)
{
    return put_topic_permission(b, r, why, cap);
}

struct removal {
    struct lv_broker *broker;
    enum lv_err err;
};

static void log_removal(void *ctx, enum lv_access_kind kind, struct lv_bytes key)
{
    struct removal *r = ctx;

    if (r->err == LV_OK)
        r->err = lv_meta_access(r->broker, false, kind, key, lv_bytes(NULL, 0));
}

/* One record ends all that is in it, and the permissions: after a crash all of it is gone, or all is there. */
static enum lv_err remove_vhost(struct lv_broker *b, struct lv_bytes key)
{
    struct lv_vhost *v = lv_vhost_find(b, first_name(key));

    if (!b->is_running)
        return LV_EAGAIN;
    enum lv_err err = lv_meta_access(b, false, LV_ACCESS_VHOST, key, lv_bytes(NULL, 0));
    if (err != LV_OK)
        return err;
    lv_failpoint("vhost.removed");
    lv_access_remove(b->access, LV_ACCESS_VHOST, key);
    lv_vhost_end(b, v);
    return LV_OK;
}

enum lv_err lv_broker_remove(struct lv_broker *b, enum lv_access_kind kind, struct lv_bytes key)
{
    struct removal r = { b, lv_access_may_remove(b->access, kind, key) };

    if (r.err != LV_OK)
        return r.err;
    if (kind == LV_ACCESS_VHOST)
        return remove_vhost(b, key);
    /* The permissions first: if the log ends in between, somebody may less, and not more. */
    lv_access_dependents(b->access, kind, key, log_removal, &r);
    log_removal(&r, kind, key);
    if (r.err == LV_OK)
        lv_access_remove(b->access, kind, key);
    return r.err;
}

/* ---- whom a change reaches ---- */

static void changed(void *ctx, enum lv_access_kind kind, struct lv_bytes key)
{
    struct lv_broker *b = ctx;

    (void)kind, (void)key;
    b->is_access_changed = true;
    if (b->shards[LV_REGISTRY_LOOP].loop != NULL) /* else nobody is here yet */
        lv_loop_again(b->shards[LV_REGISTRY_LOOP].loop);
}

/* Once for all changes of a turn. */
static void tell_loops(struct lv_shard *registry)
{
    struct lv_broker *b = registry->broker;
    struct lv_mail m = { .op = LV_MAIL_ACCESS };

    b->is_access_changed = false;
    for (unsigned i = 0; i < lv_loops_count(b->loops); i++)
        lv_loop_post(registry->loop, i, &m);
}

void lv_session_recheck(struct lv_session *s)
{
    char text[LV_FAILURE_TEXT_MAX];

    s->is_recheck_due = false;
    if (s->pass.access == NULL || s->is_dying || s->conn.is_closing)
        return;
    enum lv_standing standing = lv_pass_standing(&s->pass);
    if (standing != LV_STANDING_GOOD) {
        lv_pass_standing_text(&s->pass, standing, text, sizeof(text));
        s->ops->shut(s, 320, text);
        return;
    }
    s->is_recheck_due = s->call != NULL; /* what is away may be about a consumer */
    if (s->vhost != NULL && !s->is_recheck_due)
        s->ops->recheck(s);
}

void lv_broker_mail_access(struct lv_shard *shard)
{
    struct lv_session *s;
    uint32_t pos = 0;

    while ((s = lv_handles_next(&shard->sessions, &pos)) != NULL)
        lv_session_recheck(s);
}

void lv_access_turn(struct lv_shard *shard)
{
    if (LV_UNLIKELY(atomic_load_explicit(&shard->logins, memory_order_relaxed) != NULL))
        lv_logins_take(shard);
    if (shard->index == LV_REGISTRY_LOOP && LV_UNLIKELY(shard->broker->is_access_changed))
        tell_loops(shard);
}

/* ---- the beginning ---- */

static enum lv_err emit(void *ctx, enum lv_access_kind kind, struct lv_bytes key,
                        struct lv_bytes value)
{
    struct lv_broker *b = ctx;
    const struct lv_definitions *d = b->definitions;
    char why[1];

    /* Users of definitions take the default one's place. */
    if (d != NULL && d->has_users && kind != LV_ACCESS_VHOST)
        return LV_OK;
    if (d != NULL && d->has_users && d->has_vhosts)
        return LV_OK;
    enum lv_err err = put(b, kind, key, value, why, sizeof(why));
    if (err == LV_OK && kind == LV_ACCESS_VHOST)
        lv_vhost_defaults(b, first_name(key));
    return err;
}

/* One of default_users: he may do in the first virtual host what the settings say. */
static enum lv_err add_user(struct lv_broker *b, const struct lv_defaults *d, struct lv_bytes name,
                            struct lv_bytes password)
{
    const struct lv_settings *s = b->settings;
    struct lv_user_record user = { .name = name,
                                   .max_connections = LV_NO_LIMIT,
                                   .max_channels = LV_NO_LIMIT };
    struct lv_permission_record permission = {
        .user = name,
        .vhost = d->vhost,
        .configure = lv_item_or(s->default_users_configure, name, ".*"),
        .write = lv_item_or(s->default_users_write, name, ".*"),
        .read = lv_item_or(s->default_users_read, name, ".*"),
    };
    struct lv_password_hash hash;
    char why[1];
    enum lv_err err = lv_credentials_check(s, password, why, sizeof(why));

    if (err == LV_OK)
        err = lv_password_hash(d->algorithm, password, &hash);
    if (err == LV_OK)
        err = lv_tags_parse(lv_item_or(s->default_users_tags, name, ""), &user.tags);
    if (err == LV_OK)
        err = lv_user_set_password(&user, &hash);
    if (err == LV_OK)
        err = put_user(b, &user, why, sizeof(why));
    if (err == LV_OK &&
        lv_pattern_fits(lv_item_or(s->default_users_vhost_pattern, name, ".*"), d->vhost))
        err = put_permission(b, &permission, why, sizeof(why));
    return err;
}

static enum lv_err add_users(struct lv_broker *b, const struct lv_defaults *d)
{
    const char *at = b->settings->default_users_password;
    struct lv_bytes name, password;
    enum lv_err err = LV_OK;

    while (err == LV_OK && lv_items_next(&at, &name, &password))
        if (!lv_bytes_eq(name, d->user))
            err = add_user(b, d, name, password);
    return err;
}

/* All of it or nothing: a directory with half of it would count as set up. */
void lv_broker_wait_stable(struct lv_broker *b)
{
    if (b->store == NULL)
        return;
    struct lv_wal *wal = lv_store_topology(b->store);
    while ((!lv_wal_pump(wal, LV_REGISTRY_LOOP) || lv_wal_stable(wal) < b->topology_end) &&
           !atomic_load(&b->is_disk_full)) {
        lv_store_wake(b->store);
        lv_os_sleep_us(50);
    }
}

static enum lv_err first_records(struct lv_broker *b)
{
    struct lv_defaults d;
    char why[1];
    enum lv_err err = lv_defaults_of(b->settings, &d);

    if (err == LV_OK)
        err = lv_credentials_check(b->settings, d.password, why, sizeof(why));
    if (err == LV_OK)
        err = lv_defaults_emit(&d, emit, b);
    if (err == LV_OK && (b->definitions == NULL || !b->definitions->has_users))
        err = add_users(b, &d);
    if (err == LV_OK)
        lv_broker_wait_stable(b);
    return err;
}

static int64_t limit_of(uint32_t setting)
{
    return setting == UINT32_MAX ? LV_NO_LIMIT : (int64_t)setting;
}

static enum lv_err apply_policies(struct lv_broker *b)
{
    struct lv_ptrmap_entry *v;
    enum lv_err err = LV_OK;
    size_t pos = 0;

    while (err == LV_OK && (v = lv_ptrmap_next(&b->vhosts, &pos)) != NULL)
        err = lv_policies_apply((struct lv_vhost *)v);
    return err;
}

enum lv_err lv_broker_begin(struct lv_broker *b)
{
    struct lv_throttle_rule rule = LV_THROTTLE_DEFAULT;
    struct removal swept = { b, LV_OK };

    lv_access_sweep(b->access, log_removal, &swept);
    enum lv_err err = swept.err;
    if (err == LV_OK && lv_access_count(b->access, LV_ACCESS_USER) == 0 &&
        lv_access_count(b->access, LV_ACCESS_VHOST) == 0)
        err = first_records(b);
    if (err == LV_OK)
        err = lv_definitions_boot(b);
    if (err == LV_OK)
        err = apply_policies(b);
    rule.burst = b->settings->login_failures;
    if (err == LV_OK)
        err = lv_verify_start(&rule, &b->verify);
    if (err != LV_OK)
        return err;
    lv_access_limit_node(b->access, limit_of(b->settings->connection_max),
                         limit_of(b->settings->channel_max_per_node));
    lv_access_watch(b->access, changed, b);
    return LV_OK;
}
