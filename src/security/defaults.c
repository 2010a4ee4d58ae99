#include "security/defaults.h"

#include "os/os.h"

enum lv_err lv_tags_parse(struct lv_bytes text, struct lv_tags *out)
{
    struct lv_rd r = lv_rd(text);

    out->count = 0;
    while (lv_rd_left(&r) != 0) {
        const uint8_t *first = r.at;
        while (lv_rd_left(&r) != 0 && *r.at != ',' && *r.at != ' ')
            r.at++;
        size_t len = (size_t)(r.at - first);
        if (len > LV_SHORTSTR_MAX || (len != 0 && out->count == LV_TAGS_MAX))
            return LV_EINVAL;
        if (len != 0)
            out->at[out->count++] = lv_bytes(first, len);
        if (lv_rd_left(&r) != 0)
            r.at++;
    }
    return LV_OK;
}

/* The names that are "true". */
static enum lv_err tags_of(const char *items, struct lv_tags *out)
{
    struct lv_bytes name, value;

    out->count = 0;
    while (lv_items_next(&items, &name, &value)) {
        if (!lv_bytes_eq(value, LV_BYTES_LIT("true")))
            continue;
        if (out->count == LV_TAGS_MAX)
            return LV_EINVAL;
        out->at[out->count++] = name;
    }
    return LV_OK;
}

enum lv_err lv_defaults_of(const struct lv_settings *s, struct lv_defaults *out)
{
    const char *hashing = s->password_hashing;

    *out = (struct lv_defaults){
        .vhost = lv_bytes_str(s->default_vhost),
        .user = lv_bytes_str(s->default_user),
        .password = lv_bytes_str(s->default_pass),
        .configure = lv_bytes_str(s->default_configure),
        .write = lv_bytes_str(s->default_write),
        .read = lv_bytes_str(s->default_read),
    };
    if (hashing[0] == '\0' || lv_hash_algorithm_of(lv_bytes_str(hashing), &out->algorithm) != LV_OK)
        return LV_EINVAL;
    return tags_of(s->default_user_tags, &out->tags);
}

enum lv_err lv_user_set_password(struct lv_user_record *user, const struct lv_password_hash *hash)
{
    user->algorithm = hash->algorithm;
    user->hash = lv_bytes(hash->bytes, hash->len);
    return lv_os_random(&user->credential, sizeof(user->credential));
}

/* One record, checked, as bytes, to `emit`. */
#define EMIT(NAME, name)                                                                     \
    static enum lv_err emit_##name(const struct lv_##name##_record *r, lv_record_emit *emit, \
                                   void *ctx)                                                \
    {                                                                                        \
        uint8_t key[LV_ACCESS_KEY_BYTES_MAX], value[LV_ACCESS_VALUE_BYTES_MAX];              \
        struct lv_wr k = lv_wr(key, sizeof(key)), v = lv_wr(value, sizeof(value));           \
        if (lv_##name##_check(r) != LV_OK)                                                   \
            return LV_EINVAL;                                                                \
        lv_##name##_key(&k, r);                                                              \
        lv_##name##_value(&v, r);                                                            \
        LV_ASSERT(lv_wr_ok(&k) && lv_wr_ok(&v));                                             \
        return emit(ctx, LV_ACCESS_##NAME, lv_bytes(key, k.used), lv_bytes(value, v.used));  \
    }
EMIT(VHOST, vhost)
EMIT(USER, user)
EMIT(PERMISSION, permission)

enum lv_err lv_defaults_emit(const struct lv_defaults *d, lv_record_emit *emit, void *ctx)
{
    struct lv_vhost_record vhost = { .name = d->vhost,
                                     .max_connections = LV_NO_LIMIT,
                                     .max_queues = LV_NO_LIMIT };
    struct lv_user_record user = { .name = d->user,
                                   .max_connections = LV_NO_LIMIT,
                                   .max_channels = LV_NO_LIMIT };
    struct lv_permission_record permission = { d->user, d->vhost, d->configure, d->write, d->read };
    struct lv_password_hash hash;
    enum lv_err err = lv_password_hash(d->algorithm, d->password, &hash);

    user.tags = d->tags;
    if (err == LV_OK)
        err = lv_user_set_password(&user, &hash);
    if (err == LV_OK)
        err = lv_os_random(&vhost.birth, sizeof(vhost.birth));
    if (err == LV_OK)
        err = emit_vhost(&vhost, emit, ctx);
    if (err == LV_OK)
        err = emit_user(&user, emit, ctx);
    if (err == LV_OK)
        err = emit_permission(&permission, emit, ctx);
    return err;
}
