/* Definitions, read: a text becomes a list of checked items. Nothing here looks at a broker. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "broker/definitions_priv.h"
#include "config/config.h"
#include "security/base64.h"
#include "security/pattern.h"

/* ---- memory ---- */

#define CHUNK_BYTES 65536u

struct lv_chunk {
    struct lv_chunk *next;
    size_t used, cap;
    max_align_t at[];
};

static void *arena_alloc(struct lv_definitions *d, size_t bytes)
{
    struct lv_chunk *c = d->chunks;
    size_t rounded = (bytes + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);

    if (c == NULL || c->cap - c->used < rounded) {
        size_t cap = LV_MAX(rounded, (size_t)CHUNK_BYTES);
        c = lv_mem_zalloc(sizeof(*c) + cap, LV_TAG_BROKER);
        if (c == NULL)
            return NULL;
        c->cap = cap;
        c->next = d->chunks;
        d->chunks = c;
    }
    void *at = (uint8_t *)c->at + c->used;
    c->used += rounded;
    return at;
}

/* A text being read. The first thing that is wrong stays. */
struct reader {
    struct lv_definitions *d;
    const struct lv_item *item; /* at hand; NULL: none */
    struct lv_vhost *named; /* what checks of queues name in their texts; only its name is set */
    enum lv_err err;
    char *why;
    size_t cap;
};

static void fail(struct reader *r, enum lv_err err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void fail(struct reader *r, enum lv_err err, const char *format, ...)
{
    char reason[LV_DEFINITIONS_WHY_MAX / 2];
    va_list args;

    if (r->err != LV_OK)
        return;
    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    r->err = err;
    lv_definitions_blame(r->d, r->item, r->why, r->cap, reason);
}

static void *take(struct reader *r, size_t bytes)
{
    void *at = arena_alloc(r->d, bytes);

    if (at == NULL)
        fail(r, LV_ENOMEM, "out of memory");
    return at;
}

static struct lv_bytes copy(struct reader *r, struct lv_bytes b)
{
    void *at = b.len != 0 ? take(r, b.len) : NULL;

    if (at == NULL)
        return lv_bytes(NULL, 0);
    memcpy(at, b.ptr, b.len);
    return lv_bytes(at, b.len);
}

enum lv_err lv_definitions_new(const struct lv_settings *s, struct lv_bytes vhost,
                               struct lv_definitions **out)
{
    struct lv_definitions *d = lv_mem_zalloc(sizeof(*d), LV_TAG_BROKER);

    *out = d;
    if (d == NULL)
        return LV_ENOMEM;
    lv_ptrmap_init(&d->names, &lv_reclaim_now);
    if (s->password_hashing[0] == '\0' ||
        lv_hash_algorithm_of(lv_bytes_str(s->password_hashing), &d->hashing) != LV_OK)
        d->hashing = LV_HASH_ARGON2ID;
    if (vhost.len == 0)
        return LV_OK;
    uint8_t *name = arena_alloc(d, vhost.len);
    if (name == NULL) {
        lv_definitions_free(d);
        *out = NULL;
        return LV_ENOMEM;
    }
    memcpy(name, vhost.ptr, vhost.len);
    d->vhost = lv_bytes(name, vhost.len);
    return LV_OK;
}

void lv_definitions_free(struct lv_definitions *d)
{
    struct lv_chunk *c, *next;

    if (d == NULL)
        return;
    lv_ptrmap_fini(&d->names);
    for (c = d->chunks; c != NULL; c = next) {
        next = c->next;
        lv_mem_free(c, LV_TAG_BROKER);
    }
    for (uint32_t i = 0; i < d->file_count; i++)
        lv_mem_free(d->files[i], LV_TAG_BROKER);
    lv_mem_free((void *)d->files, LV_TAG_BROKER);
    lv_mem_free((void *)d->items, LV_TAG_BROKER);
    lv_mem_free(d, LV_TAG_BROKER);
}

/* ---- who is meant ---- */

void lv_definitions_blame(const struct lv_definitions *d, const struct lv_item *item, char *why,
                          size_t cap, const char *reason)
{
    uint32_t file = item != NULL ? item->file : d->file_count - 1;
    const char *label = d->file_count != 0 ? d->files[file] : NULL;
    size_t used = 0;

    if (cap == 0)
        return;
    why[0] = '\0';
    if (label != NULL)
        used = (size_t)snprintf(why, cap, "%.1000s: ", label);
    if (item != NULL && used < cap)
        used += (size_t)snprintf(why + used, cap - used, "%s[%u] '%.*s'", lv_list_names[item->list],
                                 item->number, LV_BYTES_FMT(item->name));
    if (item != NULL && item->vhost.len != 0 && used < cap)
        used +=
            (size_t)snprintf(why + used, cap - used, " in vhost '%.*s'", LV_BYTES_FMT(item->vhost));
    if (used < cap)
        (void)snprintf(why + used, cap - used, "%s%s", item != NULL ? ": " : "", reason);
}

/* The list, virtual host and name as one key. */
static struct lv_bytes key_of(uint8_t buf[2 + 2 * 256], enum lv_list list, struct lv_bytes vhost,
                              struct lv_bytes name)
{
    struct lv_wr w = lv_wr(buf, 2 + 2 * 256);

    lv_wr_u8(&w, (uint8_t)list);
    lv_wr_short(&w, vhost);
    lv_wr_short(&w, name);
    return lv_bytes(buf, w.used);
}

struct lv_item *lv_definitions_find(const struct lv_definitions *d, enum lv_list list,
                                    struct lv_bytes vhost, struct lv_bytes name)
{
    uint8_t buf[2 + 2 * 256];
    struct lv_bytes key;

    if (name.len > LV_SHORTSTR_MAX || vhost.len > LV_SHORTSTR_MAX)
        return NULL;
    key = key_of(buf, list, vhost, name);
    return (struct lv_item *)lv_ptrmap_get(&d->names, key, lv_hash(key, 0));
}

/* Others may refer to it. */
static void enter(struct reader *r, struct lv_item *item)
{
    uint8_t buf[2 + 2 * 256];
    struct lv_bytes vhost = item->list == LV_LIST_VHOSTS ? lv_bytes(NULL, 0) : item->vhost;

    if (r->err != LV_OK || lv_definitions_find(r->d, item->list, vhost, item->name) != NULL)
        return;
    item->entry.key = copy(r, key_of(buf, item->list, vhost, item->name));
    item->entry.hash = lv_hash(item->entry.key, 0);
    if (r->err == LV_OK && lv_ptrmap_add(&r->d->names, &item->entry) != LV_OK)
        fail(r, LV_ENOMEM, "out of memory");
}

/* ---- fields ---- */

/* A string that need not be there. */
static bool optional(struct reader *r, const json_t *o, const char *key, size_t max,
                     struct lv_bytes *out)
{
    const json_t *v = json_object_get(o, key);

    *out = lv_bytes(NULL, 0);
    if (v == NULL || json_is_null(v))
        return false;
    if (!json_is_string(v))
        fail(r, LV_EINVAL, "%s must be a string", key);
    else if (json_string_length(v) > max)
        fail(r, LV_EINVAL, "%s is longer than %zu bytes", key, max);
    else
        *out = copy(r, lv_json_str(v));
    return r->err == LV_OK;
}

static struct lv_bytes string(struct reader *r, const json_t *o, const char *key, size_t max)
{
    struct lv_bytes out;

    if (!optional(r, o, key, max, &out))
        fail(r, LV_EINVAL, "%s is missing", key);
    return out;
}

/* A name of 1 to 255 bytes. */
static struct lv_bytes name_in(struct reader *r, const json_t *o, const char *key)
{
    struct lv_bytes out = string(r, o, key, LV_SHORTSTR_MAX);

    if (out.len == 0)
        fail(r, LV_EINVAL, "%s is empty", key);
    return out;
}

static bool flag(struct reader *r, const json_t *o, const char *key, bool otherwise)
{
    const json_t *v = json_object_get(o, key);

    if (v == NULL || json_is_null(v))
        return otherwise;
    if (json_is_boolean(v))
        return json_is_true(v);
    if (json_is_string(v) && strcmp(json_string_value(v), "true") == 0)
        return true;
    if (!json_is_string(v) || strcmp(json_string_value(v), "false") != 0)
        fail(r, LV_EINVAL, "%s must be true or false", key);
    return false;
}

static struct lv_bytes vhost_in(struct reader *r, const json_t *o)
{
    return r->d->vhost.len != 0 ? r->d->vhost : name_in(r, o, "vhost");
}

/* A list, or names with commas between (before 3.9). */
static bool tags_in(struct reader *r, const json_t *o, const char *key, struct lv_tags *out)
{
    const json_t *v = json_object_get(o, key);
    const json_t *tag;
    size_t i;

    out->count = 0;
    if (v == NULL || json_is_null(v))
        return false;
    if (json_is_string(v)) {
        if (lv_tags_parse(copy(r, lv_json_str(v)), out) != LV_OK)
            fail(r, LV_EINVAL, "%s: more than %u tags, or one is too long", key, LV_TAGS_MAX);
        return true;
    }
    if (!json_is_array(v)) {
        fail(r, LV_EINVAL, "%s must be a list or a string", key);
        return true;
    }
    json_array_foreach(v, i, tag)
    {
        if (!json_is_string(tag) || json_string_length(tag) == 0 ||
            json_string_length(tag) > LV_SHORTSTR_MAX || i >= LV_TAGS_MAX) {
            fail(r, LV_EINVAL, "%s: at most %u strings of 1 to 255 bytes", key, LV_TAGS_MAX);
            return true;
        }
        out->at[out->count++] = copy(r, lv_json_str(tag));
    }
    return true;
}

/* An object, or a list: of nothing, or of {"name":..,"value":N}, as Erlang writes lists of pairs. */
static bool limit_in(struct reader *r, const json_t *limits, const char *name, int64_t *out)
{
    const json_t *v = json_object_get(limits, name);
    const json_t *pair;
    size_t i;

    *out = LV_NO_LIMIT;
    json_array_foreach(limits, i, pair)
    {
        const json_t *key = json_object_get(pair, "name");
        if (json_is_string(key) && strcmp(json_string_value(key), name) == 0)
            v = json_object_get(pair, "value");
    }
    if (v == NULL)
        return false;
    if (!json_is_integer(v) || json_integer_value(v) < LV_NO_LIMIT ||
        json_integer_value(v) > LV_LIMIT_MAX)
        fail(r, LV_EINVAL, "limits: %s must be a number from -1 to %lld", name,
             (long long)LV_LIMIT_MAX);
    else
        *out = json_integer_value(v);
    return true;
}

static bool limits_in(struct reader *r, const json_t *o, const char *second, int64_t *connections,
                      int64_t *other)
{
    const json_t *limits = json_object_get(o, "limits");

    *connections = *other = LV_NO_LIMIT;
    if (limits == NULL || json_is_null(limits))
        return false;
    if (!json_is_object(limits) && !json_is_array(limits))
        fail(r, LV_EINVAL, "limits must be an object");
    (void)limit_in(r, limits, "max-connections", connections);
    (void)limit_in(r, limits, second, other);
    return true;
}

static struct lv_bytes pattern_in(struct reader *r, const json_t *o, const char *key, bool is_topic)
{
    struct lv_bytes source = string(r, o, key, LV_PATTERN_BYTES_MAX);
    struct lv_pattern *p;
    char why[160];

    static const struct lv_pattern_vars vars = { LV_BYTES_LIT("u"), LV_BYTES_LIT("v"),
                                                 LV_BYTES_LIT("c"), true };
    uint8_t text[LV_PATTERN_BYTES_MAX];
    struct lv_wr w = lv_wr(text, sizeof(text));

    if (r->err != LV_OK)
        return source;
    bool is_pattern = !is_topic || !lv_pattern_has_vars(source);
    enum lv_err err = is_pattern ? LV_OK : lv_pattern_expand(source, &vars, &w);
    if (err == LV_OK)
        err = lv_pattern_new(is_pattern ? source : lv_bytes(text, w.used), &p, why, sizeof(why));
    else
        snprintf(why, sizeof(why), "longer than %u bytes", LV_PATTERN_BYTES_MAX);
    if (err == LV_OK)
        lv_pattern_free(p);
    else
        fail(r, err == LV_ENOMEM ? err : LV_EINVAL, "%s is no regular expression: %s", key,
             err == LV_ENOMEM ? lv_err_text(err) : why);
    return source;
}

/* The table that `arguments` stands for: the exact one beside it, if it stands for the same. */
static struct lv_bytes exact(struct reader *r, const json_t *o, const json_t *arguments)
{
    const json_t *v = json_object_get(o, LV_EXACT_ARGUMENTS);
    struct lv_text shown = { 0 };
    char why[LV_DEFINITIONS_WHY_MAX];
    size_t room = json_string_length(v);

    if (!json_is_string(v) || room == 0)
        return lv_bytes(NULL, 0);
    uint8_t *table = take(r, room);
    struct lv_wr w = lv_wr(table, room);
    if (table == NULL || lv_base64_decode(&w, lv_json_str(v)) != LV_OK || !lv_wr_ok(&w) ||
        lv_table_check(lv_bytes(table, w.used)) != LV_OK)
        return lv_bytes(NULL, 0);
    (void)lv_text_json_table(&shown, lv_bytes(table, w.used));
    json_t *parsed = lv_json_parse(lv_bytes(shown.at, shown.used), why, sizeof(why));
    bool is_same = parsed != NULL && json_equal(parsed, (json_t *)(uintptr_t)arguments) != 0;
    json_decref(parsed);
    lv_text_fini(&shown);
    return is_same ? lv_bytes(table, w.used) : lv_bytes(NULL, 0);
}

static struct lv_bytes arguments_in(struct reader *r, const json_t *o)
{
    const json_t *arguments = json_object_get(o, "arguments");
    struct lv_text table = { 0 };
    char why[200];
    struct lv_bytes out = exact(r, o, arguments);

    if (out.len != 0 || json_is_null(arguments))
        return out;
    enum lv_err err = lv_table_from_json(arguments, &table, why, sizeof(why));
    if (err != LV_OK)
        fail(r, err, "%s", err == LV_EINVAL ? why : lv_err_text(err));
    else
        out = copy(r, lv_bytes(table.at, table.used));
    lv_text_fini(&table);
    return out;
}

/* ---- items ---- */

/* Old exports name no algorithm; the length tells. */
static struct lv_bytes algorithm_of(struct lv_bytes hash)
{
    switch (hash.len) {
    case LV_BASE64_TEXT_BYTES(4 + 32):
        return LV_BYTES_LIT("rabbit_password_hashing_sha256");
    case LV_BASE64_TEXT_BYTES(4 + 64):
        return LV_BYTES_LIT("rabbit_password_hashing_sha512");
    default:
        return LV_BYTES_LIT("rabbit_password_hashing_md5");
    }
}

static void read_password(struct reader *r, const json_t *o, struct lv_user_record *u)
{
    struct lv_password_hash hash = { .algorithm = LV_HASH_NONE };
    struct lv_bytes text, algorithm, password;
    enum lv_err err;

    bool has_algorithm = optional(r, o, "hashing_algorithm", LV_SHORTSTR_MAX, &algorithm);
    if (optional(r, o, "password_hash", LV_HASH_TEXT_MAX, &text)) {
        if (!has_algorithm && text.len != 0)
            algorithm = algorithm_of(text);
        err = lv_password_import(text, algorithm, &hash);
        if (err != LV_OK)
            fail(r, LV_EINVAL,
                 err == LV_ENOTFOUND ? "hashing_algorithm '%.*s' is not known"
                                     : "password_hash is no hash of %.*s",
                 LV_BYTES_FMT(algorithm));
    } else if (optional(r, o, "password", LV_PASSWORD_BYTES_MAX, &password)) {
        err = lv_password_hash(r->d->hashing, password, &hash);
        if (err != LV_OK)
            fail(r, err == LV_ENOMEM ? err : LV_EINVAL, "password: %s", lv_err_text(err));
    } else {
        fail(r, LV_EINVAL, "password_hash is missing");
    }
    u->algorithm = hash.algorithm;
    u->hash = copy(r, lv_bytes(hash.bytes, hash.len));
}

static void read_user(struct reader *r, const json_t *o, struct lv_item *item)
{
    struct lv_user_record *u = &item->user.record;

    item->name = u->name = name_in(r, o, "name");
    (void)tags_in(r, o, "tags", &u->tags);
    item->user.has_limits = limits_in(r, o, "max-channels", &u->max_connections, &u->max_channels);
    read_password(r, o, u);
    if (r->err == LV_OK && lv_user_check(u) != LV_OK)
        fail(r, LV_EINVAL, "a value is out of its bounds");
    r->d->has_users = true;
    enter(r, item);
}

static bool is_queue_type(struct lv_bytes type)
{
    return lv_bytes_eq(type, LV_BYTES_LIT("classic")) ||
           lv_bytes_eq(type, LV_BYTES_LIT("quorum")) || lv_bytes_eq(type, LV_BYTES_LIT("stream"));
}

/* What may stand beside the name, or in its metadata. */
static void read_metadata(struct reader *r, const json_t *o, struct lv_item *item)
{
    struct lv_vhost_record *v = &item->vhost_.record;
    struct lv_bytes text;
    struct lv_tags tags;

    if (optional(r, o, "description", LV_DESCRIPTION_BYTES_MAX, &text)) {
        v->description = text;
        item->vhost_.has_description = true;
    }
    if (tags_in(r, o, "tags", &tags)) {
        v->tags = tags;
        item->vhost_.has_tags = true;
    }
    if (optional(r, o, "default_queue_type", LV_SHORTSTR_MAX, &text)) {
        bool is_none = text.len == 0 || lv_bytes_eq(text, LV_BYTES_LIT("undefined"));
        if (!is_none && !is_queue_type(text))
            fail(r, LV_EINVAL, "default_queue_type: unsupported queue type '%.*s'",
                 LV_BYTES_FMT(text));
        v->default_queue_type = is_none ? lv_bytes(NULL, 0) : text;
        item->vhost_.has_type = true;
    }
    if (json_object_get(o, "protected_from_deletion") != NULL) {
        v->is_protected = flag(r, o, "protected_from_deletion", false);
        item->vhost_.has_protection = true;
    }
}

static void read_vhost(struct reader *r, const json_t *o, struct lv_item *item)
{
    struct lv_vhost_record *v = &item->vhost_.record;
    const json_t *metadata = json_object_get(o, "metadata");

    item->name = v->name = name_in(r, o, "name");
    read_metadata(r, o, item);
    if (json_is_object(metadata))
        read_metadata(r, metadata, item);
    /* None here may be some among the parameters: it says nothing. */
    item->vhost_.has_limits = limits_in(r, o, "max-queues", &v->max_connections, &v->max_queues) &&
                              (v->max_connections != LV_NO_LIMIT || v->max_queues != LV_NO_LIMIT);
    if (r->err == LV_OK && lv_vhost_check(v) != LV_OK)
        fail(r, LV_EINVAL, "a value is out of its bounds");
    r->d->has_vhosts = true;
    enter(r, item);
}

static void read_permission(struct reader *r, const json_t *o, struct lv_item *item)
{
    struct lv_permission_record *p = &item->permission;

    item->name = p->user = name_in(r, o, "user");
    item->vhost = p->vhost = vhost_in(r, o);
    p->configure = pattern_in(r, o, "configure", false);
    p->write = pattern_in(r, o, "write", false);
    p->read = pattern_in(r, o, "read", false);
}

static void read_topic_permission(struct reader *r, const json_t *o, struct lv_item *item)
{
    struct lv_topic_permission_record *p = &item->topic_permission;

    item->name = p->user = name_in(r, o, "user");
    item->vhost = p->vhost = vhost_in(r, o);
    p->exchange = string(r, o, "exchange", LV_SHORTSTR_MAX);
    p->write = pattern_in(r, o, "write", true);
    p->read = pattern_in(r, o, "read", true);
}

static void leave_out(struct lv_item *item, const char *note)
{
    item->is_out = true;
    item->note = note;
}

/* A value of a parameter, checked, as the text that is kept. */
static void read_value(struct reader *r, struct lv_item *item, const json_t *value, bool is_policy)
{
    char why[LV_PARAMETER_WHY_MAX];
    struct lv_wr size = lv_wr(NULL, 0);

    if (r->err != LV_OK || item->is_out)
        return;
    if (value == NULL) {
        fail(r, LV_EINVAL, "value is missing");
        return;
    }
    if (lv_parameter_check(item->parameter.component, item->name, value, why, sizeof(why)) != LV_OK) {
        fail(r, LV_EINVAL, "%s", why);
        return;
    }
    void (*write)(struct lv_wr *, const json_t *) = is_policy ? lv_policy_write : lv_json_write;
    write(&size, value);
    uint8_t *text = take(r, size.used);
    if (text == NULL)
        return;
    struct lv_wr w = lv_wr(text, size.used);
    write(&w, value);
    item->parameter.value = lv_bytes(text, w.used);
}

/* Mirrored queues are gone since RabbitMQ 4.0, and files of before still speak of them. */
static void drop_mirroring(struct lv_item *item, json_t *value)
{
    json_t *definition = json_object_get(value, "definition");
    const char *key;
    json_t *v;
    void *next;
    bool had_any = false;

    json_object_foreach_safe(definition, next, key, v)
    {
        if (strncmp(key, "ha-", 3) != 0)
            continue;
        had_any = true;
        (void)json_object_del(definition, key);
    }
    if (had_any && json_object_size(definition) == 0)
        leave_out(item, "a policy of mirroring only, which is gone since RabbitMQ 4.0");
}

static void read_policy(struct reader *r, json_t *o, struct lv_item *item)
{
    item->name = name_in(r, o, "name");
    item->vhost = vhost_in(r, o);
    item->parameter.component = LV_BYTES_LIT("policy");
    drop_mirroring(item, o);
    read_value(r, item, o, true);
}

static void read_parameter(struct reader *r, json_t *o, struct lv_item *item)
{
    json_t *value = json_object_get(o, "value");
    char why[LV_PARAMETER_WHY_MAX];
    int64_t connections, queues;

    item->name = name_in(r, o, "name");
    item->vhost = vhost_in(r, o);
    item->parameter.component = name_in(r, o, "component");
    bool is_policy = lv_bytes_eq(item->parameter.component, LV_BYTES_LIT("operator_policy"));
    if (lv_bytes_eq(item->parameter.component, LV_BYTES_LIT("policy"))) {
        fail(r, LV_EINVAL, "policies have a list of their own");
        return;
    }
    if (is_policy)
        drop_mirroring(item, value);
    read_value(r, item, value, is_policy);
    if (r->err == LV_OK && lv_bytes_eq(item->parameter.component, LV_BYTES_LIT("vhost-limits")) &&
        lv_limits_parse(value, item->name, &connections, &queues, why, sizeof(why)) != LV_OK)
        fail(r, LV_EINVAL, "%s", why);
}

static void read_global(struct reader *r, json_t *o, struct lv_item *item)
{
    item->name = name_in(r, o, "name");
    if (lv_global_is_internal(item->name))
        leave_out(item, "of the broker that it came from");
    read_value(r, item, json_object_get(o, "value"), false);
}

static void read_exchange(struct reader *r, const json_t *o, struct lv_item *item)
{
    struct lv_exchange_spec *x = &item->exchange;
    struct lv_value alternate;

    item->name = x->name = string(r, o, "name", LV_SHORTSTR_MAX);
    item->vhost = vhost_in(r, o);
    struct lv_bytes type = string(r, o, "type", LV_SHORTSTR_MAX);
    x->durable = flag(r, o, "durable", true);
    x->auto_delete = flag(r, o, "auto_delete", false);
    x->internal = flag(r, o, "internal", false);
    x->arguments = arguments_in(r, o);
    if (x->name.len == 0 || lv_bytes_has_prefix(x->name, LV_BYTES_LIT("amq."))) {
        leave_out(item, "every virtual host has its own");
        return;
    }
    x->type = lv_exchange_type_of(type);
    if (x->type == LV_EXCHANGE_TYPE_COUNT)
        fail(r, LV_EINVAL, "unknown exchange type '%.*s'", LV_BYTES_FMT(type));
    if (lv_table_find(x->arguments, LV_BYTES_LIT("alternate-exchange"), &alternate)) {
        x->has_alternate =
            alternate.kind == LV_KIND_STRING && alternate.bytes.len <= LV_SHORTSTR_MAX;
        x->alternate = alternate.bytes;
        if (!x->has_alternate)
            fail(r, LV_EINVAL, "alternate-exchange must be the name of an exchange");
    }
    enter(r, item);
}

/* The arguments as a client's would be checked. */
static void check_queue(struct reader *r, const struct lv_item *item)
{
    struct lv_call call = { .name = item->name,
                            .arguments = item->queue.arguments,
                            .durable = item->queue.durable,
                            .auto_delete = item->queue.auto_delete };
    struct lv_vhost *named = r->named;

    if (r->err != LV_OK)
        return;
    if (named == NULL || !lv_bytes_eq(named->name.key, item->vhost)) {
        named = take(r, sizeof(*named) + item->vhost.len + 1);
        if (named == NULL)
            return;
        memcpy(named->text, item->vhost.ptr, item->vhost.len);
        named->name.key = lv_bytes(named->text, item->vhost.len);
        r->named = named;
    }
    call.vhost = named;
    lv_check_queue_arguments(&call);
    if (call.failure.code != 0)
        fail(r, LV_EINVAL, "%s", call.failure.text);
}

/* A type that only stands beside the arguments belongs among them. */
static void add_type(struct reader *r, const json_t *o, struct lv_item *item)
{
    static const char name[] = "x-queue-type";
    struct lv_bytes type;
    struct lv_value v;

    if (!optional(r, o, "type", LV_SHORTSTR_MAX, &type) ||
        lv_bytes_eq(type, LV_BYTES_LIT("classic")) ||
        lv_table_find(item->queue.arguments, lv_bytes_str(name), &v))
        return;
    size_t room = item->queue.arguments.len + sizeof(name) + 5 + type.len;
    uint8_t *table = take(r, room);
    if (table == NULL)
        return;
    struct lv_wr w = lv_wr(table, room);
    lv_wr_bytes(&w, item->queue.arguments.ptr, item->queue.arguments.len);
    lv_table_put_str(&w, name, type);
    item->queue.arguments = lv_bytes(table, w.used);
}

static void read_queue(struct reader *r, const json_t *o, struct lv_item *item)
{
    item->name = name_in(r, o, "name");
    item->vhost = vhost_in(r, o);
    item->queue.durable = flag(r, o, "durable", true);
    item->queue.auto_delete = flag(r, o, "auto_delete", false);
    item->queue.arguments = arguments_in(r, o);
    add_type(r, o, item);
    check_queue(r, item);
    enter(r, item);
}

static void read_binding(struct reader *r, const json_t *o, struct lv_item *item)
{
    item->binding.source = string(r, o, "source", LV_SHORTSTR_MAX);
    item->name = string(r, o, "destination", LV_SHORTSTR_MAX);
    item->vhost = vhost_in(r, o);
    struct lv_bytes type = string(r, o, "destination_type", LV_SHORTSTR_MAX);
    item->binding.key = string(r, o, "routing_key", LV_SHORTSTR_MAX);
    item->binding.arguments = arguments_in(r, o);
    item->binding.to_exchange = lv_bytes_eq(type, LV_BYTES_LIT("exchange"));
    if (!item->binding.to_exchange && !lv_bytes_eq(type, LV_BYTES_LIT("queue")))
        fail(r, LV_EINVAL, "destination_type must be queue or exchange");
    if (item->binding.source.len == 0)
        leave_out(item, "the default exchange is bound to every queue");
}

static void read_item(struct reader *r, json_t *o, struct lv_item *item)
{
    switch (item->list) {
    case LV_LIST_USERS:
        read_user(r, o, item);
        break;
    case LV_LIST_VHOSTS:
        read_vhost(r, o, item);
        break;
    case LV_LIST_PERMISSIONS:
        read_permission(r, o, item);
        break;
    case LV_LIST_TOPIC_PERMISSIONS:
        read_topic_permission(r, o, item);
        break;
    case LV_LIST_EXCHANGES:
        read_exchange(r, o, item);
        break;
    case LV_LIST_GLOBALS:
        read_global(r, o, item);
        break;
    case LV_LIST_POLICIES:
        read_policy(r, o, item);
        break;
    case LV_LIST_PARAMETERS:
        read_parameter(r, o, item);
        break;
    case LV_LIST_QUEUES:
        read_queue(r, o, item);
        break;
    case LV_LIST_BINDINGS:
        read_binding(r, o, item);
        break;
    case LV_LIST_COUNT:
        break;
    }
}

/* ---- files ---- */

static struct lv_item *add_item(struct reader *r, enum lv_list list, size_t number)
{
    struct lv_definitions *d = r->d;

    if (d->count == d->cap) {
        size_t cap = LV_MAX(d->cap * 2, (size_t)64);
        struct lv_item **items =
            lv_mem_realloc((void *)d->items, cap * sizeof(items[0]), LV_TAG_BROKER);
        if (items == NULL) {
            fail(r, LV_ENOMEM, "out of memory");
            return NULL;
        }
        d->items = items;
        d->cap = cap;
    }
    struct lv_item *item = take(r, sizeof(*item));
    if (item == NULL)
        return NULL;
    memset(item, 0, sizeof(*item));
    item->list = list;
    item->number = (uint32_t)number;
    item->file = d->file_count - 1;
    d->items[d->count++] = item;
    r->item = item;
    return item;
}

/* In a file for one virtual host only some count. */
static bool counts(const struct lv_definitions *d, enum lv_list list)
{
    return d->vhost.len == 0 || list == LV_LIST_EXCHANGES || list == LV_LIST_POLICIES ||
           list == LV_LIST_PARAMETERS || list == LV_LIST_QUEUES || list == LV_LIST_BINDINGS;
}

static void read_list(struct reader *r, const json_t *root, enum lv_list list)
{
    json_t *items = json_object_get(root, lv_list_names[list]);
    json_t *o;
    size_t i;

    if (items == NULL || json_is_null(items) || !counts(r->d, list))
        return;
    if (!json_is_array(items)) {
        fail(r, LV_EINVAL, "%s must be a list", lv_list_names[list]);
        return;
    }
    json_array_foreach(items, i, o)
    {
        struct lv_item *item = add_item(r, list, i);
        if (item == NULL)
            return;
        if (json_is_object(o))
            read_item(r, o, item);
        else
            fail(r, LV_EINVAL, "must be an object");
        if (r->err != LV_OK)
            return;
    }
    r->item = NULL;
}

static void read_root(struct reader *r, const json_t *root)
{
    const json_t *format = json_object_get(root, "rabbitmq_definition_format");
    bool is_single =
        json_is_string(format) && strcmp(json_string_value(format), "single_virtual_host") == 0;

    if (!json_is_object(root))
        fail(r, LV_EINVAL, "definitions must be a JSON object");
    else if (is_single && r->d->vhost.len == 0)
        fail(r, LV_EINVAL,
             "these are the definitions of a single virtual host, to be imported into one");
    for (enum lv_list list = 0; r->err == LV_OK && list < LV_LIST_COUNT; list++)
        read_list(r, root, list);
}

static enum lv_err add_file(struct lv_definitions *d, const char *file)
{
    char **files =
        lv_mem_realloc((void *)d->files, (d->file_count + 1) * sizeof(files[0]), LV_TAG_BROKER);

    if (files == NULL)
        return LV_ENOMEM;
    d->files = files;
    files[d->file_count] = NULL;
    if (file != NULL) {
        files[d->file_count] = lv_mem_dup(file, strlen(file) + 1, LV_TAG_BROKER);
        if (files[d->file_count] == NULL)
            return LV_ENOMEM;
    }
    d->file_count++;
    return LV_OK;
}

enum lv_err lv_definitions_add(struct lv_definitions *d, const char *file, struct lv_bytes text,
                               char *why, size_t cap)
{
    struct reader r = { .d = d, .why = why, .cap = cap };
    char reason[LV_PARAMETER_WHY_MAX];
    enum lv_err err = add_file(d, file);

    if (cap != 0)
        why[0] = '\0';
    if (err != LV_OK)
        return err;
    if (lv_bytes_has_prefix(text, LV_BYTES_LIT("\xef\xbb\xbf"))) /* a byte order mark */
        text = lv_bytes(text.ptr + 3, text.len - 3);
    if (text.len > LV_DEFINITIONS_BYTES_MAX) {
        fail(&r, LV_EINVAL, "longer than %u bytes", LV_DEFINITIONS_BYTES_MAX);
        return r.err;
    }
    json_t *root = lv_json_parse(text, reason, sizeof(reason));
    if (root == NULL) {
        fail(&r, LV_EINVAL, "%s", reason);
        return r.err;
    }
    read_root(&r, root);
    json_decref(root);
    return r.err;
}

enum lv_err lv_definitions_parse(const struct lv_settings *s, struct lv_bytes text,
                                 struct lv_bytes vhost, struct lv_definitions **out, char *why,
                                 size_t cap)
{
    enum lv_err err = lv_definitions_new(s, vhost, out);

    if (err == LV_OK)
        err = lv_definitions_add(*out, NULL, text, why, cap);
    if (err != LV_OK) {
        lv_definitions_free(*out);
        *out = NULL;
    }
    return err;
}

/* ---- what came of it ---- */

const char *lv_import_outcome_name(enum lv_outcome_of_import outcome)
{
    static const char *const names[LV_IMPORT_OUTCOMES] = { "new", "changed", "same", "ignored" };

    return names[outcome];
}

size_t lv_definitions_count(const struct lv_definitions *d)
{
    return d->count;
}

void lv_definitions_item(const struct lv_definitions *d, size_t i, struct lv_import_item *out)
{
    const struct lv_item *item = d->items[i];

    *out = (struct lv_import_item){ .list = lv_list_names[item->list],
                                    .number = item->number,
                                    .vhost = item->vhost,
                                    .name = item->name,
                                    .outcome = item->outcome,
                                    .note = item->note };
}
