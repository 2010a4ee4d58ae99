/* Definitions, written. What has a name is copied in slices, a map at a time. A copy is one block of bytes: each item has its names, one behind the other as short strings, and then
 * what there is to say of it. Turned into text, the items are in the order of their names, so that two files can be
 * compared line by line. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "broker/definitions_priv.h"
#include "config/config.h"
#include "security/base64.h"

enum { DURABLE = 1, AUTO_DELETE = 2, INTERNAL = 4 };

struct piece {
    enum lv_list list;
    size_t at; /* in data */
};

struct lv_snapshot {
    struct lv_text data;
    struct piece *pieces;
    size_t count, cap;
    bool is_short, is_whole;
    char head[1024];                    /* versions */
    struct lv_text cluster_name, vhost; /* as JSON; the second one bare */
    /* copying */
    struct lv_text vhosts; /* names, as short strings */
    size_t vhost_at;       /* the one at hand */
    bool is_in_vhost, is_begun;
    unsigned part;     /* of it: in `parts` */
    size_t pos;        /* in the part's map */
    const void *slots; /* of the map, and how many were in use: another one has another order */
    size_t slot_count;
    size_t part_count, part_used; /* what was there before it */
    /* reading */
    bool is_sorted, is_open, is_done;
    size_t list, next; /* in the order of `lists`; piece */
    struct lv_text out;
    size_t out_at;
};

/* Names of an item, that it is sorted by and that come first in its bytes. */
static const uint8_t name_count[LV_LIST_COUNT] = {
    [LV_LIST_USERS] = 1,     [LV_LIST_VHOSTS] = 1,   [LV_LIST_PERMISSIONS] = 2,
    [LV_LIST_EXCHANGES] = 2, [LV_LIST_QUEUES] = 2,   [LV_LIST_TOPIC_PERMISSIONS] = 3,
    [LV_LIST_GLOBALS] = 1,   [LV_LIST_POLICIES] = 2, [LV_LIST_PARAMETERS] = 3,
    [LV_LIST_BINDINGS] = 5, /* virtual host, source, "exchange" or "queue", destination, key */
};

const char *const lv_list_names[LV_LIST_COUNT] = {
#define X(id, name) [LV_LIST_##id] = name,
    LV_LISTS(X)
#undef X
};

/* ---- copying: the registry ---- */

static void put_short(struct lv_snapshot *s, struct lv_bytes b)
{
    uint8_t len = (uint8_t)b.len;

    lv_text_bytes(&s->data, &len, 1);
    lv_text_bytes(&s->data, b.ptr, b.len);
}

static void put_u8(struct lv_snapshot *s, uint8_t v)
{
    lv_text_bytes(&s->data, &v, 1);
}

static void put_u64(struct lv_snapshot *s, uint64_t v)
{
    uint8_t b[8];

    lv_put_be64(b, v);
    lv_text_bytes(&s->data, b, sizeof(b));
}

static void put_long(struct lv_snapshot *s, struct lv_bytes b)
{
    uint8_t len[4];

    lv_put_be32(len, (uint32_t)b.len);
    lv_text_bytes(&s->data, len, sizeof(len));
    lv_text_bytes(&s->data, b.ptr, b.len);
}

static void begin_item(struct lv_snapshot *s, enum lv_list list)
{
    if (s->count == s->cap && !s->is_short) {
        size_t cap = LV_MAX(s->cap * 2, (size_t)64);
        struct piece *pieces = lv_mem_realloc(s->pieces, cap * sizeof(s->pieces[0]), LV_TAG_BROKER);
        s->is_short = pieces == NULL;
        if (pieces != NULL) {
            s->pieces = pieces;
            s->cap = cap;
        }
    }
    if (!s->is_short)
        s->pieces[s->count++] = (struct piece){ list, s->data.used };
}

static void take_users(struct lv_snapshot *s, const struct lv_access *a)
{
    const struct lv_user_record *r;
    size_t pos = 0;

    while ((r = lv_access_next(a, LV_ACCESS_USER, &pos)) != NULL) {
        uint8_t value[LV_ACCESS_VALUE_BYTES_MAX];
        struct lv_wr w = lv_wr(value, sizeof(value));
        begin_item(s, LV_LIST_USERS);
        put_short(s, r->name);
        lv_user_value(&w, r);
        put_long(s, lv_bytes(value, w.used));
    }
}

static void take_limits(struct lv_snapshot *s, const struct lv_vhost_record *r)
{
    char text[128];
    bool has_both = r->max_connections != LV_NO_LIMIT && r->max_queues != LV_NO_LIMIT;
    size_t used = 0;

    if (r->max_connections == LV_NO_LIMIT && r->max_queues == LV_NO_LIMIT)
        return;
    begin_item(s, LV_LIST_PARAMETERS);
    put_short(s, r->name);
    put_short(s, LV_BYTES_LIT("vhost-limits"));
    put_short(s, LV_BYTES_LIT("limits"));
    used += (size_t)snprintf(text, sizeof(text), "{");
    if (r->max_connections != LV_NO_LIMIT)
        used +=
            (size_t)snprintf(text + used, sizeof(text) - used, "\"max-connections\":%" PRId64 "%s",
                             r->max_connections, has_both ? "," : "");
    if (r->max_queues != LV_NO_LIMIT)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "\"max-queues\":%" PRId64,
                                 r->max_queues);
    used += (size_t)snprintf(text + used, sizeof(text) - used, "}");
    put_long(s, lv_bytes(text, used));
}

static void take_vhost_record(struct lv_snapshot *s, const struct lv_vhost_record *r)
{
    uint8_t value[LV_ACCESS_VALUE_BYTES_MAX];
    struct lv_wr w = lv_wr(value, sizeof(value));

    begin_item(s, LV_LIST_VHOSTS);
    put_short(s, r->name);
    lv_vhost_value(&w, r);
    put_long(s, lv_bytes(value, w.used));
    take_limits(s, r);
}

static void take_permissions(struct lv_snapshot *s, const struct lv_access *a)
{
    const struct lv_permission_record *r;
    const struct lv_topic_permission_record *t;
    size_t pos = 0;

    while ((r = lv_access_next(a, LV_ACCESS_PERMISSION, &pos)) != NULL) {
        begin_item(s, LV_LIST_PERMISSIONS);
        put_short(s, r->vhost);
        put_short(s, r->user);
        put_long(s, r->configure);
        put_long(s, r->write);
        put_long(s, r->read);
    }
    pos = 0;
    while ((t = lv_access_next(a, LV_ACCESS_TOPIC_PERMISSION, &pos)) != NULL) {
        begin_item(s, LV_LIST_TOPIC_PERMISSIONS);
        put_short(s, t->vhost);
        put_short(s, t->user);
        put_short(s, t->exchange);
        put_long(s, t->write);
        put_long(s, t->read);
    }
}

static void take_globals(struct lv_snapshot *s, const struct lv_broker *b)
{
    const struct lv_parameter *p;
    size_t pos = 0;

    while ((p = lv_global_next(b, &pos)) != NULL) {
        if (lv_global_is_internal(p->name))
            continue;
        begin_item(s, LV_LIST_GLOBALS);
        put_short(s, p->name);
        put_long(s, p->value);
    }
}

static void take_parameters(struct lv_snapshot *s, const struct lv_broker *b, struct lv_bytes vhost)
{
    const struct lv_parameter *p;
    const struct lv_policy *policy;
    size_t pos = 0;

    while ((p = lv_parameter_next(b, vhost, &pos)) != NULL) {
        if (lv_bytes_eq(p->component, LV_BYTES_LIT("policy")))
            continue;
        begin_item(s, LV_LIST_PARAMETERS);
        put_short(s, vhost);
        put_short(s, p->component);
        put_short(s, p->name);
        put_long(s, p->value);
    }
    pos = 0;
    while ((policy = lv_policy_next(b, LV_POLICY_USER, vhost, &pos)) != NULL) {
        begin_item(s, LV_LIST_POLICIES);
        put_short(s, vhost);
        put_short(s, policy->name);
        put_long(s, policy->pattern);
        put_long(s, policy->definition);
        put_u8(s, (uint8_t)policy->apply_to);
        put_u64(s, (uint64_t)policy->priority);
    }
}

static void take_exchange(struct lv_snapshot *s, struct lv_bytes vhost,
                          const struct lv_ptrmap_entry *e)
{
    const struct lv_exchange_spec *x = &((const struct lv_exchange *)e)->spec;

    if (x->name.len == 0 || lv_bytes_has_prefix(x->name, LV_BYTES_LIT("amq.")))
        return;
    begin_item(s, LV_LIST_EXCHANGES);
    put_short(s, vhost);
    put_short(s, x->name);
    put_u8(s, (uint8_t)((x->durable ? DURABLE : 0) | (x->auto_delete ? AUTO_DELETE : 0) |
                        (x->internal ? INTERNAL : 0)));
    put_short(s, lv_bytes_str(lv_exchange_type_name(x->type)));
    put_long(s, x->arguments);
}

static void take_queue(struct lv_snapshot *s, struct lv_bytes vhost, const struct lv_ptrmap_entry *e)
{
    const struct lv_queue_entry *q = (const struct lv_queue_entry *)e;

    if (q->owner != 0)
        return;
    begin_item(s, LV_LIST_QUEUES);
    put_short(s, vhost);
    put_short(s, e->key);
    put_u8(s, (uint8_t)((q->durable ? DURABLE : 0) | (q->auto_delete ? AUTO_DELETE : 0)));
    put_long(s, q->arguments);
}

static void take_binding(struct lv_snapshot *s, struct lv_bytes vhost,
                         const struct lv_ptrmap_entry *e)
{
    const struct lv_binding *b = (const struct lv_binding *)e;
    bool to_exchange = b->dest->is_exchange;

    if (!to_exchange && ((const struct lv_queue_entry *)b->dest)->owner != 0)
        return;
    begin_item(s, LV_LIST_BINDINGS);
    put_short(s, vhost);
    put_short(s, b->source->spec.name);
    put_short(s, lv_bytes_str(to_exchange ? "exchange" : "queue"));
    put_short(s, to_exchange ? ((const struct lv_exchange *)b->dest)->spec.name : b->dest->name.key);
    put_short(s, b->key);
    put_long(s, b->arguments);
}

/* What there may be many of in a virtual host. */
static const struct {
    size_t map; /* offset in struct lv_router */
    void (*take)(struct lv_snapshot *s, struct lv_bytes vhost, const struct lv_ptrmap_entry *e);
} parts[] = {
    { offsetof(struct lv_router, exchanges), take_exchange },
    { offsetof(struct lv_router, queues), take_queue },
    { offsetof(struct lv_router, bindings), take_binding },
};

/* A map that was made larger meanwhile has another order: its part begins anew. */
static void begin_part(struct lv_snapshot *s, const struct lv_ptrmap *map)
{
    s->slots = atomic_load_explicit(&map->slots, memory_order_relaxed);
    s->slot_count = map->used;
    s->pos = 0;
    s->part_count = s->count;
    s->part_used = s->data.used;
}

static bool has_moved(const struct lv_snapshot *s, const struct lv_ptrmap *map)
{
    /* Places in use only become fewer when the map is made anew. */
    return s->slots != atomic_load_explicit(&map->slots, memory_order_relaxed) ||
           map->used < s->slot_count;
}

/* A slice of a part; true: there was nothing more. */
static bool take_part(struct lv_snapshot *s, const struct lv_vhost *v, size_t *max)
{
    const struct lv_ptrmap *map =
        (const struct lv_ptrmap *)((const uint8_t *)&v->router + parts[s->part].map);
    const struct lv_ptrmap_entry *e = NULL;

    if (s->is_begun && has_moved(s, map)) {
        s->count = s->part_count;
        s->data.used = s->part_used;
        s->is_begun = false;
    }
    if (!s->is_begun)
        begin_part(s, map);
    s->is_begun = true;
    while (*max != 0 && (e = lv_ptrmap_next(map, &s->pos)) != NULL) {
        --*max;
        parts[s->part].take(s, v->name.key, e);
    }
    s->slot_count = map->used;
    return *max != 0;
}

/* Its name is at hand in `vhosts`. */
static void begin_vhost(struct lv_snapshot *s, const struct lv_broker *b, const struct lv_vhost *v)
{
    const struct lv_vhost_record *r = lv_access_vhost(b->access, v->name.key);

    if (r != NULL)
        take_vhost_record(s, r);
    take_parameters(s, b, v->name.key);
    s->part = 0;
    s->is_begun = false;
    s->is_in_vhost = true;
}

/* The name that tools show of the cluster, as JSON. */
static void take_cluster_name(struct lv_snapshot *s, const struct lv_broker *b)
{
    const struct lv_parameter *p = lv_global_find(b, LV_BYTES_LIT("cluster_name"));
    const char *name = b->settings->cluster_name;

    if (p != NULL)
        lv_text_bytes(&s->cluster_name, p->value.ptr, p->value.len);
    else
        lv_text_json_string(&s->cluster_name, lv_bytes_str(name[0] != '\0' ? name : b->node));
}

static void take_head(struct lv_snapshot *s, const struct lv_broker *b)
{
    const char *version = b->settings->product_version;

    snprintf(s->head, sizeof(s->head),
             "{\"rabbit_version\":\"%.200s\",\"rabbitmq_version\":\"%.200s\",\"product_name\":"
             "\"Leveret\",\"product_version\":\"%s\"",
             version, version, LV_VERSION);
}

static void take_names(struct lv_snapshot *s, const struct lv_broker *b)
{
    struct lv_ptrmap_entry *e;
    size_t pos = 0;

    while ((e = lv_ptrmap_next(&b->vhosts, &pos)) != NULL) {
        uint8_t len = (uint8_t)e->key.len;
        lv_text_bytes(&s->vhosts, &len, 1);
        lv_text_bytes(&s->vhosts, e->key.ptr, e->key.len);
    }
}

enum lv_err lv_snapshot_new(struct lv_broker *b, struct lv_bytes vhost, struct lv_snapshot **out)
{
    uint8_t len = (uint8_t)vhost.len;

    *out = NULL;
    if (vhost.len != 0 && lv_vhost_find(b, vhost) == NULL)
        return LV_ENOTFOUND;
    struct lv_snapshot *s = lv_mem_zalloc(sizeof(*s), LV_TAG_BROKER);
    if (s == NULL)
        return LV_ENOMEM;
    s->is_whole = vhost.len == 0;
    lv_text_bytes(&s->vhost, vhost.ptr, vhost.len);
    if (s->is_whole) {
        take_names(s, b);
    } else {
        lv_text_bytes(&s->vhosts, &len, 1);
        lv_text_bytes(&s->vhosts, vhost.ptr, vhost.len);
    }
    take_head(s, b);
    take_cluster_name(s, b);
    if (s->is_whole) {
        take_users(s, b->access);
        take_permissions(s, b->access);
        take_globals(s, b);
    }
    *out = s;
    return LV_OK;
}

static bool is_short(const struct lv_snapshot *s)
{
    return s->is_short || s->data.is_short || s->cluster_name.is_short || s->vhost.is_short ||
           s->vhosts.is_short;
}

/* The virtual host at hand, or NULL: it has ended. */
static const struct lv_vhost *vhost_at(const struct lv_snapshot *s, const struct lv_broker *b,
                                       size_t *next)
{
    struct lv_rd rd = lv_rd(lv_bytes(s->vhosts.at + s->vhost_at, s->vhosts.used - s->vhost_at));
    struct lv_bytes name = lv_rd_short(&rd);

    *next = s->vhost_at + 1 + name.len;
    return lv_vhost_find(b, name);
}

enum lv_err lv_snapshot_take(struct lv_broker *b, struct lv_snapshot *s, size_t max)
{
    while (!is_short(s) && s->vhost_at < s->vhosts.used) {
        size_t next;
        const struct lv_vhost *v = vhost_at(s, b, &next);
        if (v != NULL && !s->is_in_vhost)
            begin_vhost(s, b, v);
        if (max == 0)
            return LV_EAGAIN;
        if (v != NULL && !take_part(s, v, &max))
            return LV_EAGAIN;
        s->is_begun = false;
        if (v != NULL && ++s->part < LV_ARRAY_LEN(parts))
            continue;
        s->is_in_vhost = false;
        s->vhost_at = next;
        max -= max > 1; /* those with nothing in them count, too */
    }
    return is_short(s) ? LV_ENOMEM : LV_OK;
}

enum lv_err lv_definitions_take(struct lv_broker *b, struct lv_bytes vhost, struct lv_snapshot **out)
{
    enum lv_err err = lv_snapshot_new(b, vhost, out);

    while (err == LV_OK && (err = lv_snapshot_take(b, *out, SIZE_MAX)) == LV_EAGAIN)
        err = LV_OK;
    if (err != LV_OK) {
        lv_snapshot_free(*out);
        *out = NULL;
    }
    return err;
}

void lv_snapshot_free(struct lv_snapshot *s)
{
    if (s == NULL)
        return;
    lv_text_fini(&s->data);
    lv_text_fini(&s->out);
    lv_text_fini(&s->cluster_name);
    lv_text_fini(&s->vhost);
    lv_text_fini(&s->vhosts);
    lv_mem_free(s->pieces, LV_TAG_BROKER);
    lv_mem_free(s, LV_TAG_BROKER);
}

uint64_t lv_definitions_version(const struct lv_broker *b)
{
    uint64_t words[3] = { b->store != NULL ? lv_wal_tail(lv_store_topology(b->store)) : 0,
                          lv_access_version(b->access), 0 };
    struct lv_ptrmap_entry *e;
    size_t pos = 0;

    while ((e = lv_ptrmap_next(&b->vhosts, &pos)) != NULL) /* what is transient is in no log */
        words[2] +=
            atomic_load_explicit(&((struct lv_vhost *)e)->router.version, memory_order_acquire);
    return lv_hash(lv_bytes(words, sizeof(words)), 0);
}

/* ---- text ---- */

static int compare(const void *a, const void *b, void *data)
{
    const struct piece *x = a, *y = b;
    const struct lv_text *text = data;

    if (x->list != y->list)
        return x->list < y->list ? -1 : 1;
    struct lv_rd p = lv_rd(lv_bytes(text->at + x->at, text->used - x->at));
    struct lv_rd q = lv_rd(lv_bytes(text->at + y->at, text->used - y->at));
    for (unsigned i = 0; i < name_count[x->list]; i++) {
        int c = lv_bytes_cmp(lv_rd_short(&p), lv_rd_short(&q));
        if (c != 0)
            return c;
    }
    return x->at < y->at ? -1 : x->at > y->at;
}

static void put_key(struct lv_text *t, const char *key)
{
    if (t->used != 0 && t->at[t->used - 1] != '{')
        lv_text_bytes(t, ",", 1);
    lv_text_bytes(t, "\"", 1);
    lv_text_str(t, key);
    lv_text_bytes(t, "\":", 2);
}

static void put_string(struct lv_text *t, const char *key, struct lv_bytes value)
{
    put_key(t, key);
    lv_text_json_string(t, value);
}

static void put_bool(struct lv_text *t, const char *key, bool value)
{
    put_key(t, key);
    lv_text_str(t, value ? "true" : "false");
}

static void put_raw(struct lv_text *t, const char *key, struct lv_bytes value)
{
    put_key(t, key);
    lv_text_bytes(t, value.ptr, value.len);
}

static void put_number(struct lv_text *t, const char *key, int64_t value)
{
    char text[32];

    snprintf(text, sizeof(text), "%" PRId64, value);
    put_raw(t, key, lv_bytes_str(text));
}

static void put_tags(struct lv_text *t, const char *key, const struct lv_tags *tags)
{
    put_key(t, key);
    lv_text_bytes(t, "[", 1);
    for (uint32_t i = 0; i < tags->count; i++) {
        if (i != 0)
            lv_text_bytes(t, ",", 1);
        lv_text_json_string(t, tags->at[i]);
    }
    lv_text_bytes(t, "]", 1);
}

static void put_limit(struct lv_text *t, const char *key, int64_t value)
{
    if (value != LV_NO_LIMIT)
        put_number(t, key, value);
}

/* `matters`: what must not be lost of it. */
static void put_arguments(struct lv_text *t, struct lv_bytes table, unsigned matters)
{
    uint8_t *base64;

    put_key(t, "arguments");
    if ((lv_text_json_table(t, table) & matters) == 0)
        return;
    size_t len = LV_BASE64_TEXT_BYTES(table.len);
    base64 = lv_mem_alloc(len, LV_TAG_BROKER);
    t->is_short = t->is_short || base64 == NULL;
    if (base64 == NULL)
        return;
    struct lv_wr w = lv_wr(base64, len);
    lv_base64_encode(&w, table);
    put_string(t, LV_EXACT_ARGUMENTS, lv_bytes(base64, w.used));
    lv_mem_free(base64, LV_TAG_BROKER);
}

/* Key and value of a record, as they lie in the data: name, length, value. */
static struct lv_bytes record_of(struct lv_rd *rd, struct lv_bytes *key)
{
    const uint8_t *begin = rd->at;
    struct lv_bytes name = lv_rd_short(rd);

    *key = lv_bytes(begin, 1 + name.len);
    return lv_rd_long(rd);
}

static void write_user(struct lv_text *t, struct lv_rd *rd)
{
    struct lv_user_record r;
    struct lv_bytes key, value = record_of(rd, &key);
    char hash[LV_HASH_TEXT_MAX];

    if (lv_user_decode(key, value, &r) != LV_OK)
        LV_UNREACHABLE("a record that we wrote");
    lv_password_export(r.algorithm, r.hash, hash);
    enum lv_hash_algorithm shown = r.algorithm != LV_HASH_NONE ? r.algorithm : LV_HASH_SHA256;
    put_string(t, "name", r.name);
    put_string(t, "password_hash", lv_bytes_str(hash));
    put_string(t, "hashing_algorithm", lv_bytes_str(lv_hash_algorithm_name(shown)));
    put_tags(t, "tags", &r.tags);
    put_raw(t, "limits", LV_BYTES_LIT("{"));
    put_limit(t, "max-connections", r.max_connections);
    put_limit(t, "max-channels", r.max_channels);
    lv_text_bytes(t, "}", 1);
}

static void write_metadata(struct lv_text *t, const struct lv_vhost_record *r)
{
    put_string(t, "description", r->description);
    put_tags(t, "tags", &r->tags);
    if (r->default_queue_type.len != 0)
        put_string(t, "default_queue_type", r->default_queue_type);
    if (r->is_protected)
        put_bool(t, "protected_from_deletion", true);
}

static void write_vhost(struct lv_text *t, struct lv_rd *rd, bool is_whole)
{
    struct lv_vhost_record r;
    struct lv_bytes key, value = record_of(rd, &key);

    if (lv_vhost_decode(key, value, &r) != LV_OK)
        LV_UNREACHABLE("a record that we wrote");
    if (is_whole)
        put_string(t, "name", r.name);
    else
        put_string(t, "description", r.description);
    put_raw(t, "limits", LV_BYTES_LIT("{"));
    put_limit(t, "max-connections", r.max_connections);
    put_limit(t, "max-queues", r.max_queues);
    lv_text_bytes(t, "}", 1);
    put_raw(t, "metadata", LV_BYTES_LIT("{"));
    write_metadata(t, &r);
    lv_text_bytes(t, "}", 1);
}

static void write_permission(struct lv_text *t, struct lv_rd *rd, bool is_topic)
{
    struct lv_bytes vhost = lv_rd_short(rd);

    put_string(t, "user", lv_rd_short(rd));
    put_string(t, "vhost", vhost);
    if (is_topic)
        put_string(t, "exchange", lv_rd_short(rd));
    else
        put_string(t, "configure", lv_rd_long(rd));
    put_string(t, "write", lv_rd_long(rd));
    put_string(t, "read", lv_rd_long(rd));
}

/* The virtual host, where the file is of several. */
static void write_vhost_name(struct lv_text *t, struct lv_bytes vhost, bool is_whole)
{
    if (is_whole)
        put_string(t, "vhost", vhost);
}

static void write_parameter(struct lv_text *t, struct lv_rd *rd, bool is_whole)
{
    struct lv_bytes vhost = lv_rd_short(rd), component = lv_rd_short(rd), name = lv_rd_short(rd);

    put_raw(t, "value", lv_rd_long(rd));
    write_vhost_name(t, vhost, is_whole);
    put_string(t, "component", component);
    put_string(t, "name", name);
}

static void write_global(struct lv_text *t, struct lv_rd *rd)
{
    put_string(t, "name", lv_rd_short(rd));
    put_raw(t, "value", lv_rd_long(rd));
}

static void write_policy_item(struct lv_text *t, struct lv_rd *rd, bool is_whole)
{
    write_vhost_name(t, lv_rd_short(rd), is_whole);
    put_string(t, "name", lv_rd_short(rd));
    put_string(t, "pattern", lv_rd_long(rd));
    struct lv_bytes definition = lv_rd_long(rd);
    put_string(t, "apply-to", lv_bytes_str(lv_apply_to_name((enum lv_apply_to)lv_rd_u8(rd))));
    put_raw(t, "definition", definition);
    put_number(t, "priority", (int64_t)lv_rd_u64(rd));
}

static void write_queue(struct lv_text *t, struct lv_rd *rd, bool is_whole)
{
    struct lv_bytes vhost = lv_rd_short(rd), arguments;
    struct lv_value type;

    put_string(t, "name", lv_rd_short(rd));
    write_vhost_name(t, vhost, is_whole);
    uint8_t flags = lv_rd_u8(rd);
    arguments = lv_rd_long(rd);
    bool has_type = lv_table_find(arguments, LV_BYTES_LIT("x-queue-type"), &type) &&
                    type.kind == LV_KIND_STRING && type.bytes.len != 0;
    put_string(t, "type", has_type ? type.bytes : LV_BYTES_LIT("classic"));
    put_bool(t, "durable", (flags & DURABLE) != 0);
    put_bool(t, "auto_delete", (flags & AUTO_DELETE) != 0);
    put_arguments(t, arguments, LV_TABLE_LOSSY);
}

static void write_exchange(struct lv_text *t, struct lv_rd *rd, bool is_whole)
{
    struct lv_bytes vhost = lv_rd_short(rd);

    put_string(t, "name", lv_rd_short(rd));
    write_vhost_name(t, vhost, is_whole);
    uint8_t flags = lv_rd_u8(rd);
    put_string(t, "type", lv_rd_short(rd));
    put_bool(t, "durable", (flags & DURABLE) != 0);
    put_bool(t, "auto_delete", (flags & AUTO_DELETE) != 0);
    put_bool(t, "internal", (flags & INTERNAL) != 0);
    put_arguments(t, lv_rd_long(rd), LV_TABLE_LOSSY);
}

static void write_binding(struct lv_text *t, struct lv_rd *rd, bool is_whole)
{
    struct lv_bytes vhost = lv_rd_short(rd);

    put_string(t, "source", lv_rd_short(rd));
    write_vhost_name(t, vhost, is_whole);
    struct lv_bytes type = lv_rd_short(rd);
    put_string(t, "destination", lv_rd_short(rd));
    put_string(t, "destination_type", type);
    put_string(t, "routing_key", lv_rd_short(rd));
    /* Arguments tell bindings apart, to the byte. */
    put_arguments(t, lv_rd_long(rd), LV_TABLE_LOSSY | LV_TABLE_WIDTH);
}

static void write_item(struct lv_snapshot *s, const struct piece *piece)
{
    struct lv_text *t = &s->out;
    struct lv_rd rd = lv_rd(lv_bytes(s->data.at + piece->at, s->data.used - piece->at));

    lv_text_bytes(t, "{", 1);
    switch (piece->list) {
    case LV_LIST_USERS:
        write_user(t, &rd);
        break;
    case LV_LIST_VHOSTS:
        write_vhost(t, &rd, true);
        break;
    case LV_LIST_PERMISSIONS:
    case LV_LIST_TOPIC_PERMISSIONS:
        write_permission(t, &rd, piece->list == LV_LIST_TOPIC_PERMISSIONS);
        break;
    case LV_LIST_EXCHANGES:
        write_exchange(t, &rd, s->is_whole);
        break;
    case LV_LIST_GLOBALS:
        write_global(t, &rd);
        break;
    case LV_LIST_POLICIES:
        write_policy_item(t, &rd, s->is_whole);
        break;
    case LV_LIST_PARAMETERS:
        write_parameter(t, &rd, s->is_whole);
        break;
    case LV_LIST_QUEUES:
        write_queue(t, &rd, s->is_whole);
        break;
    case LV_LIST_BINDINGS:
        write_binding(t, &rd, s->is_whole);
        break;
    case LV_LIST_COUNT:
        break;
    }
    lv_text_bytes(t, "}", 1);
}

static void write_explanation(struct lv_snapshot *s, const char *what, struct lv_bytes name)
{
    struct lv_text text = { 0 };

    lv_text_str(&text, "Definitions of ");
    lv_text_str(&text, what);
    lv_text_str(&text, " '");
    lv_text_bytes(&text, name.ptr, name.len);
    lv_text_str(&text, "'");
    put_string(&s->out, "explanation", lv_bytes(text.at, text.used));
    s->out.is_short = s->out.is_short || text.is_short;
    lv_text_fini(&text);
}

static void write_head(struct lv_snapshot *s)
{
    struct lv_text *t = &s->out;
    struct lv_bytes cluster = lv_bytes(s->cluster_name.at, s->cluster_name.used);
    struct lv_bytes vhost = lv_bytes(s->vhost.at, s->vhost.used);

    lv_text_str(t, s->head);
    if (s->is_whole) {
        put_string(t, "rabbitmq_definition_format", LV_BYTES_LIT("cluster"));
        put_raw(t, "original_cluster_name", cluster);
        put_string(t, "explanation", LV_BYTES_LIT("Definitions of a whole cluster"));
        return;
    }
    put_string(t, "rabbitmq_definition_format", LV_BYTES_LIT("single_virtual_host"));
    put_string(t, "original_vhost_name", vhost);
    write_explanation(s, "virtual host", vhost);
    for (size_t i = 0; i < s->count; i++) {
        if (s->pieces[i].list != LV_LIST_VHOSTS)
            continue;
        struct lv_rd rd = lv_rd(lv_bytes(s->data.at + s->pieces[i].at, s->data.used));
        write_vhost(t, &rd, false);
    }
}

/* RabbitMQ's order. */
static const enum lv_list lists[] = {
    LV_LIST_USERS,      LV_LIST_VHOSTS,   LV_LIST_PERMISSIONS, LV_LIST_TOPIC_PERMISSIONS,
    LV_LIST_PARAMETERS, LV_LIST_GLOBALS,  LV_LIST_POLICIES,    LV_LIST_QUEUES,
    LV_LIST_EXCHANGES,  LV_LIST_BINDINGS,
};

static bool is_in_file(const struct lv_snapshot *s, enum lv_list list)
{
    return s->is_whole || list == LV_LIST_PARAMETERS || list == LV_LIST_POLICIES ||
           list == LV_LIST_QUEUES || list == LV_LIST_EXCHANGES || list == LV_LIST_BINDINGS;
}

static void open_list(struct lv_snapshot *s)
{
    s->is_open = true;
    s->next = 0;
    while (s->next < s->count && s->pieces[s->next].list < lists[s->list])
        s->next++;
    put_key(&s->out, lv_list_names[lists[s->list]]);
    lv_text_bytes(&s->out, "[", 1);
}

/* One item more, or what stands between. */
static void write_next(struct lv_snapshot *s)
{
    if (!s->is_sorted) {
        if (s->count != 0)
            qsort_r(s->pieces, s->count, sizeof(s->pieces[0]), compare, &s->data);
        s->is_sorted = true;
        write_head(s);
    } else if (s->list == LV_ARRAY_LEN(lists)) {
        lv_text_bytes(&s->out, "}", 1);
        s->is_done = true;
    } else if (!is_in_file(s, lists[s->list])) {
        s->list++;
    } else if (!s->is_open) {
        open_list(s);
    } else if (s->next < s->count && s->pieces[s->next].list == lists[s->list]) {
        if (s->out.used != 0 && s->out.at[s->out.used - 1] != '[')
            lv_text_bytes(&s->out, ",", 1);
        write_item(s, &s->pieces[s->next++]);
    } else {
        lv_text_bytes(&s->out, "]", 1);
        s->is_open = false;
        s->list++;
    }
}

enum lv_err lv_snapshot_read(struct lv_snapshot *s, void *buf, size_t cap, size_t *got)
{
    *got = 0;
    while (!s->is_done && s->out.used - s->out_at < cap)
        write_next(s);
    if (s->out.is_short)
        return LV_ENOMEM;
    *got = LV_MIN(cap, s->out.used - s->out_at);
    if (*got != 0)
        memcpy(buf, s->out.at + s->out_at, *got);
    s->out_at += *got;
    /* The last byte stays: what comes next is written with a look at it. */
    if (s->out_at > 65536 && s->out.used - s->out_at < s->out_at) {
        size_t from = s->out_at - 1;
        memmove(s->out.at, s->out.at + from, s->out.used - from);
        s->out.used -= from;
        s->out_at = 1;
    }
    return LV_OK;
}
