/* Value layouts, after the version octet (1):
 *   virtual host      description long, tags, default queue type short, max-connections u64, max-queues u64,
 *                     protected u8, birth u64
 *   user              algorithm u8, hash long, tags, max-connections u64, max-channels u64, credential u64
 *   permission        configure long, write long, read long
 *   topic permission  write long, read long
 * tags: u8 count, each short. A limit is a two's complement u64. */
#include "security/record.h"

#include "security/pattern.h"

#define VERSION 1

/* ---- checks ---- */

static bool is_name(struct lv_bytes b)
{
    return b.len != 0 && b.len <= LV_SHORTSTR_MAX;
}

static bool is_limit(int64_t n)
{
    return n >= LV_NO_LIMIT && n <= LV_LIMIT_MAX;
}

static bool are_tags(const struct lv_tags *tags)
{
    if (tags->count > LV_TAGS_MAX)
        return false;
    for (uint32_t i = 0; i < tags->count; i++)
        if (!is_name(tags->at[i]))
            return false;
    return true;
}

static bool is_pattern(struct lv_bytes b)
{
    return b.len <= LV_PATTERN_BYTES_MAX;
}

enum lv_err lv_vhost_check(const struct lv_vhost_record *r)
{
    bool is_good = is_name(r->name) && r->description.len <= LV_DESCRIPTION_BYTES_MAX &&
                   are_tags(&r->tags) && r->default_queue_type.len <= LV_SHORTSTR_MAX &&
                   is_limit(r->max_connections) && is_limit(r->max_queues);

    return is_good ? LV_OK : LV_EINVAL;
}

enum lv_err lv_user_check(const struct lv_user_record *r)
{
    bool is_good = is_name(r->name) && lv_hash_is_sound(r->algorithm, r->hash) &&
                   are_tags(&r->tags) && is_limit(r->max_connections) && is_limit(r->max_channels);

    return is_good ? LV_OK : LV_EINVAL;
}

enum lv_err lv_permission_check(const struct lv_permission_record *r)
{
    bool is_good = is_name(r->user) && is_name(r->vhost) && is_pattern(r->configure) &&
                   is_pattern(r->write) && is_pattern(r->read);

    return is_good ? LV_OK : LV_EINVAL;
}

enum lv_err lv_topic_permission_check(const struct lv_topic_permission_record *r)
{
    bool is_good = is_name(r->user) && is_name(r->vhost) && r->exchange.len <= LV_SHORTSTR_MAX &&
                   is_pattern(r->write) && is_pattern(r->read);

    return is_good ? LV_OK : LV_EINVAL;
}

bool lv_tags_have(const struct lv_tags *tags, struct lv_bytes tag)
{
    for (uint32_t i = 0; i < tags->count; i++)
        if (lv_bytes_eq(tags->at[i], tag))
            return true;
    return false;
}

/* ---- keys ---- */

void lv_vhost_key(struct lv_wr *w, const struct lv_vhost_record *r)
{
    lv_wr_short(w, r->name);
}

void lv_user_key(struct lv_wr *w, const struct lv_user_record *r)
{
    lv_wr_short(w, r->name);
}

void lv_permission_key(struct lv_wr *w, const struct lv_permission_record *r)
{
    lv_wr_short(w, r->user);
    lv_wr_short(w, r->vhost);
}

void lv_topic_permission_key(struct lv_wr *w, const struct lv_topic_permission_record *r)
{
    lv_wr_short(w, r->user);
    lv_wr_short(w, r->vhost);
    lv_wr_short(w, r->exchange);
}

/* ---- values ---- */

static void put_tags(struct lv_wr *w, const struct lv_tags *tags)
{
    lv_wr_u8(w, (uint8_t)tags->count);
    for (uint32_t i = 0; i < tags->count; i++)
        lv_wr_short(w, tags->at[i]);
}

static void read_tags(struct lv_rd *r, struct lv_tags *tags)
{
    tags->count = lv_rd_u8(r);
    if (tags->count > LV_TAGS_MAX) {
        r->bad = true;
        tags->count = 0;
    }
    for (uint32_t i = 0; i < tags->count; i++)
        tags->at[i] = lv_rd_short(r);
}

void lv_vhost_value(struct lv_wr *w, const struct lv_vhost_record *r)
{
    lv_wr_u8(w, VERSION);
    lv_wr_long(w, r->description);
    put_tags(w, &r->tags);
    lv_wr_short(w, r->default_queue_type);
    lv_wr_u64(w, (uint64_t)r->max_connections);
    lv_wr_u64(w, (uint64_t)r->max_queues);
    lv_wr_u8(w, r->is_protected);
    lv_wr_u64(w, r->birth);
}

void lv_user_value(struct lv_wr *w, const struct lv_user_record *r)
{
    lv_wr_u8(w, VERSION);
    lv_wr_u8(w, (uint8_t)r->algorithm);
    lv_wr_long(w, r->hash);
    put_tags(w, &r->tags);
    lv_wr_u64(w, (uint64_t)r->max_connections);
    lv_wr_u64(w, (uint64_t)r->max_channels);
    lv_wr_u64(w, r->credential);
}

void lv_permission_value(struct lv_wr *w, const struct lv_permission_record *r)
{
    lv_wr_u8(w, VERSION);
    lv_wr_long(w, r->configure);
    lv_wr_long(w, r->write);
    lv_wr_long(w, r->read);
}

void lv_topic_permission_value(struct lv_wr *w, const struct lv_topic_permission_record *r)
{
    lv_wr_u8(w, VERSION);
    lv_wr_long(w, r->write);
    lv_wr_long(w, r->read);
}

/* ---- decoders ---- */

/* The end of every decoder: both cursors used up, and what was read passes the check of what may be written. */
static enum lv_err verdict(const struct lv_rd *key, const struct lv_rd *value, enum lv_err check)
{
    bool is_whole = !key->bad && !value->bad && lv_rd_left(key) == 0 && lv_rd_left(value) == 0;

    return is_whole && check == LV_OK ? LV_OK : LV_ECORRUPT;
}

static bool is_known_version(struct lv_rd *value)
{
    return lv_rd_u8(value) == VERSION;
}

static enum lv_err bad_version(struct lv_bytes value)
{
    return value.len != 0 ? LV_EVERSION : LV_ECORRUPT;
}

enum lv_err lv_vhost_decode(struct lv_bytes key, struct lv_bytes value, struct lv_vhost_record *out)
{
    struct lv_rd k = lv_rd(key), v = lv_rd(value);

    *out = (struct lv_vhost_record){ .name = lv_rd_short(&k) };
    if (!is_known_version(&v))
        return bad_version(value);
    out->description = lv_rd_long(&v);
    read_tags(&v, &out->tags);
    out->default_queue_type = lv_rd_short(&v);
    out->max_connections = (int64_t)lv_rd_u64(&v);
    out->max_queues = (int64_t)lv_rd_u64(&v);
    uint8_t is_protected = lv_rd_u8(&v);
    v.bad |= is_protected > 1;
    out->is_protected = is_protected != 0;
    out->birth = lv_rd_u64(&v);
    return verdict(&k, &v, lv_vhost_check(out));
}

enum lv_err lv_user_decode(struct lv_bytes key, struct lv_bytes value, struct lv_user_record *out)
{
    struct lv_rd k = lv_rd(key), v = lv_rd(value);

    *out = (struct lv_user_record){ .name = lv_rd_short(&k) };
    if (!is_known_version(&v))
        return bad_version(value);
    uint8_t algorithm = lv_rd_u8(&v);
    v.bad |= algorithm >= LV_HASH_COUNT;
    out->algorithm = v.bad ? LV_HASH_NONE : (enum lv_hash_algorithm)algorithm;
    out->hash = lv_rd_long(&v);
    read_tags(&v, &out->tags);
    out->max_connections = (int64_t)lv_rd_u64(&v);
    out->max_channels = (int64_t)lv_rd_u64(&v);
    out->credential = lv_rd_u64(&v);
    return verdict(&k, &v, lv_user_check(out));
}

enum lv_err lv_permission_decode(struct lv_bytes key, struct lv_bytes value,
                                 struct lv_permission_record *out)
{
    struct lv_rd k = lv_rd(key), v = lv_rd(value);

    *out = (struct lv_permission_record){ .user = lv_rd_short(&k) };
    out->vhost = lv_rd_short(&k);
    if (!is_known_version(&v))
        return bad_version(value);
    out->configure = lv_rd_long(&v);
    out->write = lv_rd_long(&v);
    out->read = lv_rd_long(&v);
    return verdict(&k, &v, lv_permission_check(out));
}

enum lv_err lv_topic_permission_decode(struct lv_bytes key, struct lv_bytes value,
                                       struct lv_topic_permission_record *out)
{
    struct lv_rd k = lv_rd(key), v = lv_rd(value);

    *out = (struct lv_topic_permission_record){ .user = lv_rd_short(&k) };
    out->vhost = lv_rd_short(&k);
    out->exchange = lv_rd_short(&k);
    if (!is_known_version(&v))
        return bad_version(value);
    out->write = lv_rd_long(&v);
    out->read = lv_rd_long(&v);
    return verdict(&k, &v, lv_topic_permission_check(out));
}
