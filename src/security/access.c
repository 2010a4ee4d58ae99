#include "security/access.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "security/access_priv.h"

struct lv_access_change {
    enum lv_access_kind kind;
    struct lv_access_node *node;
    struct lv_access_value *value;
};

/* ---- memory ---- */

static void value_free(void *ptr)
{
    struct lv_access_value *v = ptr;

    for (size_t i = 0; v != NULL && i < LV_ARRAY_LEN(v->patterns); i++)
        lv_pattern_free(v->patterns[i]);
    lv_mem_free(v, LV_TAG_SECURITY);
}

void lv_quota_unref(struct lv_quota *q)
{
    if (q != NULL && atomic_fetch_sub_explicit(&q->refs, 1, memory_order_acq_rel) == 1)
        lv_mem_free(q, LV_TAG_SECURITY);
}

/* With its value, if it has one. */
static void node_free(void *ptr)
{
    struct lv_access_node *n = ptr;

    value_free(atomic_load_explicit(&n->value, memory_order_acquire));
    lv_quota_unref(n->quota);
    lv_mem_free(n, LV_TAG_SECURITY);
}

static struct lv_access_node *node_new(enum lv_access_kind kind, struct lv_bytes key)
{
    struct lv_access_node *n = lv_mem_zalloc(sizeof(*n) + key.len, LV_TAG_SECURITY);
    bool has_quota = kind == LV_ACCESS_USER || kind == LV_ACCESS_VHOST;

    if (n == NULL)
        return NULL;
    memcpy(n->key, key.ptr, key.len);
    n->entry = (struct lv_ptrmap_entry){ lv_hash(key, 0), lv_bytes(n->key, key.len) };
    if (!has_quota)
        return n;
    n->quota = lv_mem_zalloc(sizeof(*n->quota), LV_TAG_SECURITY);
    if (n->quota == NULL) {
        lv_mem_free(n, LV_TAG_SECURITY);
        return NULL;
    }
    atomic_init(&n->quota->refs, 1);
    return n;
}

enum lv_err lv_access_new(const struct lv_reclaim *reclaim, struct lv_access **out)
{
    struct lv_access *a = lv_mem_zalloc(sizeof(*a), LV_TAG_SECURITY);

    *out = a;
    if (a == NULL)
        return LV_ENOMEM;
    a->reclaim = reclaim;
    atomic_init(&a->version, 1);
    atomic_init(&a->max_connections, LV_NO_LIMIT);
    atomic_init(&a->max_channels, LV_NO_LIMIT);
    for (size_t i = 0; i < LV_ACCESS_KIND_COUNT; i++)
        lv_ptrmap_init(&a->maps[i], reclaim);
    return LV_OK;
}

void lv_access_free(struct lv_access *a)
{
    if (a == NULL)
        return;
    for (size_t i = 0; i < LV_ACCESS_KIND_COUNT; i++) {
        size_t pos = 0;
        struct lv_ptrmap_entry *e;
        while ((e = lv_ptrmap_next(&a->maps[i], &pos)) != NULL) {
            lv_ptrmap_remove(&a->maps[i], e);
            node_free(e);
        }
        lv_ptrmap_fini(&a->maps[i]);
    }
    lv_mem_free(a, LV_TAG_SECURITY);
}

/* ---- looking up ---- */

static struct lv_access_node *node_of(const struct lv_access *a, enum lv_access_kind kind,
                                      struct lv_bytes key)
{
    return (struct lv_access_node *)lv_ptrmap_get(&a->maps[kind], key, lv_hash(key, 0));
}

const struct lv_access_node *lv_access_find(const struct lv_access *a, enum lv_access_kind kind,
                                            struct lv_bytes key,
                                            const struct lv_access_value **value)
{
    const struct lv_access_node *n = node_of(a, kind, key);

    *value = n != NULL ? atomic_load_explicit(&n->value, memory_order_acquire) : NULL;
    return *value != NULL ? n : NULL;
}

struct lv_bytes lv_access_key(uint8_t buf[LV_ACCESS_KEY_BYTES_MAX], const struct lv_bytes *names,
                              size_t count)
{
    struct lv_wr w = lv_wr(buf, LV_ACCESS_KEY_BYTES_MAX);

    for (size_t i = 0; i < count; i++) {
        if (names[i].len > LV_SHORTSTR_MAX)
            return lv_bytes(buf, 0);
        lv_wr_short(&w, names[i]);
    }
    return lv_bytes(buf, w.used);
}

static const void *look(const struct lv_access *a, enum lv_access_kind kind,
                        const struct lv_bytes *names, size_t count)
{
    uint8_t buf[LV_ACCESS_KEY_BYTES_MAX];
    const struct lv_access_value *v;

    lv_access_find(a, kind, lv_access_key(buf, names, count), &v);
    return v != NULL ? &v->record : NULL;
}

const struct lv_vhost_record *lv_access_vhost(const struct lv_access *a, struct lv_bytes name)
{
    return look(a, LV_ACCESS_VHOST, &name, 1);
}

const struct lv_user_record *lv_access_user(const struct lv_access *a, struct lv_bytes name)
{
    return look(a, LV_ACCESS_USER, &name, 1);
}

const struct lv_permission_record *lv_access_permission(const struct lv_access *a,
                                                        struct lv_bytes user, struct lv_bytes vhost)
{
    return look(a, LV_ACCESS_PERMISSION, (struct lv_bytes[]){ user, vhost }, 2);
}

const struct lv_topic_permission_record *lv_access_topic_permission(const struct lv_access *a,
                                                                    struct lv_bytes user,
                                                                    struct lv_bytes vhost,
                                                                    struct lv_bytes exchange)
{
    return look(a, LV_ACCESS_TOPIC_PERMISSION, (struct lv_bytes[]){ user, vhost, exchange }, 3);
}

const void *lv_access_next(const struct lv_access *a, enum lv_access_kind kind, size_t *pos)
{
    const struct lv_access_node *n;

    while ((n = (const void *)lv_ptrmap_next(&a->maps[kind], pos)) != NULL) {
        const struct lv_access_value *v = atomic_load_explicit(&n->value, memory_order_acquire);
        if (v != NULL)
            return &v->record;
    }
    return NULL;
}

size_t lv_access_count(const struct lv_access *a, enum lv_access_kind kind)
{
    return a->counts[kind];
}

uint64_t lv_access_version(const struct lv_access *a)
{
    return atomic_load_explicit(&a->version, memory_order_acquire);
}

const _Atomic uint64_t *lv_access_version_word(const struct lv_access *a)
{
    return &a->version;
}

/* ---- preparing ---- */

static enum lv_err decode(enum lv_access_kind kind, struct lv_bytes key, struct lv_bytes value,
                          struct lv_access_value *v)
{
    switch (kind) {
#define X(NAME, name)      \
    case LV_ACCESS_##NAME: \
        return lv_##name##_decode(key, value, &v->record.name);
        LV_ACCESS_KINDS(X)
#undef X
    case LV_ACCESS_KIND_COUNT:
        break;
    }
    return LV_ECORRUPT;
}

/* The patterns of a permission, by verb: configure, write, read. */
static void sources_of(const struct lv_access_value *v, enum lv_access_kind kind,
                       struct lv_bytes sources[3], bool is_there[3])
{
    memset(is_there, 0, 3 * sizeof(is_there[0]));
    if (kind == LV_ACCESS_PERMISSION) {
        const struct lv_permission_record *r = &v->record.permission;
        sources[0] = r->configure, sources[1] = r->write, sources[2] = r->read;
        is_there[0] = is_there[1] = is_there[2] = true;
    } else if (kind == LV_ACCESS_TOPIC_PERMISSION) {
        const struct lv_topic_permission_record *r = &v->record.topic_permission;
        sources[1] = r->write, sources[2] = r->read;
        is_there[1] = is_there[2] = true;
    }
}

/* A source with variables is compiled here too, with harmless values, so that a bad one is refused when it is set. */
static enum lv_err compile_topic(struct lv_bytes source, struct lv_pattern **out, char *why,
                                 size_t cap)
{
    static const struct lv_pattern_vars vars = { LV_BYTES_LIT("u"), LV_BYTES_LIT("v"),
                                                 LV_BYTES_LIT("c"), true };
    uint8_t text[LV_PATTERN_BYTES_MAX];
    struct lv_wr w = lv_wr(text, sizeof(text));
    enum lv_err err = lv_pattern_expand(source, &vars, &w);

    if (err == LV_OK)
        err = lv_pattern_new(lv_bytes(text, w.used), out, why, cap);
    else
        snprintf(why, cap, "longer than %u bytes", LV_PATTERN_BYTES_MAX);
    if (err != LV_OK)
        return err;
    lv_pattern_free(*out);
    *out = NULL;
    return LV_OK;
}

static enum lv_err compile_patterns(struct lv_access_value *v, enum lv_access_kind kind, char *why,
                                    size_t cap)
{
    struct lv_bytes sources[3];
    bool is_there[3];

    sources_of(v, kind, sources, is_there);
    for (size_t i = 0; i < 3; i++) {
        if (!is_there[i])
            continue;
        bool has_vars = kind == LV_ACCESS_TOPIC_PERMISSION && lv_pattern_has_vars(sources[i]);
        enum lv_err err = has_vars ? compile_topic(sources[i], &v->patterns[i], why, cap)
                                   : lv_pattern_new(sources[i], &v->patterns[i], why, cap);
        if (err != LV_OK)
            return err == LV_EFULL ? LV_EINVAL : err;
    }
    return LV_OK;
}

static enum lv_err value_new(enum lv_access_kind kind, struct lv_bytes key, struct lv_bytes value,
                             struct lv_access_value **out, char *why, size_t cap)
{
    struct lv_access_value *v;

    *out = NULL;
    if (key.len > LV_ACCESS_KEY_BYTES_MAX || value.len > LV_ACCESS_VALUE_BYTES_MAX)
        return LV_ECORRUPT;
    v = lv_mem_zalloc(sizeof(*v) + key.len + value.len, LV_TAG_SECURITY);
    if (v == NULL)
        return LV_ENOMEM;
    struct lv_wr w = lv_wr(v->bytes, key.len + value.len);
    lv_wr_bytes(&w, key.ptr, key.len);
    lv_wr_bytes(&w, value.ptr, value.len);
    enum lv_err err =
        decode(kind, lv_bytes(v->bytes, key.len), lv_bytes(v->bytes + key.len, value.len), v);
    if (err == LV_OK)
        err = compile_patterns(v, kind, why, cap);
    if (err != LV_OK) {
        value_free(v);
        return err;
    }
    *out = v;
    return LV_OK;
}

/* The node of this key, made when there is none yet: readers do not see it before it has a value. */
static enum lv_err node_for(struct lv_access *a, enum lv_access_kind kind, struct lv_bytes key,
                            struct lv_access_node **out)
{
    *out = node_of(a, kind, key);
    if (*out != NULL)
        return LV_OK;
    struct lv_access_node *n = node_new(kind, key);
    if (n == NULL)
        return LV_ENOMEM;
    enum lv_err err = lv_ptrmap_add(&a->maps[kind], &n->entry);
    if (err != LV_OK) {
        node_free(n);
        return err;
    }
    *out = n;
    return LV_OK;
}

enum lv_err lv_access_prepare(struct lv_access *a, enum lv_access_kind kind, struct lv_bytes key,
                              struct lv_bytes value, struct lv_access_change **out, char *why,
                              size_t cap)
{
    struct lv_access_change *c;

    *out = NULL;
    if (cap != 0)
        why[0] = '\0';
    if (kind >= LV_ACCESS_KIND_COUNT)
        return LV_ECORRUPT;
    c = lv_mem_zalloc(sizeof(*c), LV_TAG_SECURITY);
    if (c == NULL)
        return LV_ENOMEM;
    c->kind = kind;
    enum lv_err err = value_new(kind, key, value, &c->value, why, cap);
    if (err == LV_OK)
        err = node_for(a, kind, key, &c->node);
    if (err != LV_OK) {
        value_free(c->value);
        lv_mem_free(c, LV_TAG_SECURITY);
        return err;
    }
    c->node->pending++;
    *out = c;
    return LV_OK;
}

/* ---- changing ---- */

/* A node that nobody needs any more leaves the map. */
static void settle(struct lv_access *a, enum lv_access_kind kind, struct lv_access_node *n)
{
    if (n->pending != 0 || atomic_load_explicit(&n->value, memory_order_relaxed) != NULL)
        return;
    lv_ptrmap_remove(&a->maps[kind], &n->entry);
    a->reclaim->retire(n, node_free);
}

static void show(struct lv_access *a, struct lv_access_node *n, struct lv_access_value *v)
{
    struct lv_access_value *old = atomic_exchange_explicit(&n->value, v, memory_order_acq_rel);

    atomic_fetch_add_explicit(&a->version, 1, memory_order_release);
    if (old != NULL)
        a->reclaim->retire(old, value_free);
}

static void tell(struct lv_access *a, enum lv_access_kind kind, struct lv_bytes key)
{
    if (a->changed != NULL)
        a->changed(a->changed_ctx, kind, key);
}

void lv_access_commit(struct lv_access *a, struct lv_access_change *c)
{
    struct lv_access_node *n = c->node;

    n->pending--;
    a->counts[c->kind] += atomic_load_explicit(&n->value, memory_order_relaxed) == NULL;
    show(a, n, c->value);
    tell(a, c->kind, n->entry.key);
    lv_mem_free(c, LV_TAG_SECURITY);
}

void lv_access_drop(struct lv_access *a, struct lv_access_change *c)
{
    c->node->pending--;
    settle(a, c->kind, c->node);
    value_free(c->value);
    lv_mem_free(c, LV_TAG_SECURITY);
}

enum lv_err lv_access_put(struct lv_access *a, enum lv_access_kind kind, struct lv_bytes key,
                          struct lv_bytes value)
{
    struct lv_access_change *change;
    char why[1];
    enum lv_err err = lv_access_prepare(a, kind, key, value, &change, why, sizeof(why));

    if (err == LV_OK)
        lv_access_commit(a, change);
    return err;
}

/* One record; `key` may lie in it. */
static void remove_one(struct lv_access *a, enum lv_access_kind kind, struct lv_bytes key)
{
    uint8_t copy[LV_ACCESS_KEY_BYTES_MAX];
    struct lv_access_node *n = node_of(a, kind, key);

    if (n == NULL || atomic_load_explicit(&n->value, memory_order_relaxed) == NULL)
        return;
    memcpy(copy, n->key, n->entry.key.len);
    key = lv_bytes(copy, n->entry.key.len);
    a->counts[kind]--;
    show(a, n, NULL);
    settle(a, kind, n);
    tell(a, kind, key);
}

/* ---- who belongs to whom ---- */

/* User and virtual host of a permission's key, as keys of their own. false: not such a key. */
static bool parents_of(struct lv_bytes key, struct lv_bytes *user, struct lv_bytes *vhost)
{
    struct lv_rd r = lv_rd(key);
    struct lv_bytes u = lv_rd_short(&r), v = lv_rd_short(&r);

    *user = lv_bytes(key.ptr, 1 + u.len);
    *vhost = lv_bytes(key.ptr + 1 + u.len, 1 + v.len);
    return !r.bad;
}

static bool exists(const struct lv_access *a, enum lv_access_kind kind, struct lv_bytes key)
{
    const struct lv_access_value *v;

    return lv_access_find(a, kind, key, &v) != NULL;
}

bool lv_access_has_parents(const struct lv_access *a, enum lv_access_kind kind, struct lv_bytes key)
{
    struct lv_bytes user, vhost;

    if (kind != LV_ACCESS_PERMISSION && kind != LV_ACCESS_TOPIC_PERMISSION)
        return true;
    return parents_of(key, &user, &vhost) && exists(a, LV_ACCESS_USER, user) &&
           exists(a, LV_ACCESS_VHOST, vhost);
}

static bool is_dependent(struct lv_bytes grant, enum lv_access_kind kind, struct lv_bytes key)
{
    struct lv_bytes user, vhost;

    return parents_of(grant, &user, &vhost) &&
           lv_bytes_eq(key, kind == LV_ACCESS_USER ? user : vhost);
}

void lv_access_dependents(const struct lv_access *a, enum lv_access_kind kind, struct lv_bytes key,
                          lv_access_visit *visit, void *ctx)
{
    if (kind != LV_ACCESS_USER && kind != LV_ACCESS_VHOST)
        return;
    for (unsigned i = LV_ACCESS_PERMISSION; i <= LV_ACCESS_TOPIC_PERMISSION; i++) {
        size_t pos = 0;
        const struct lv_access_node *n;
        while ((n = (const void *)lv_ptrmap_next(&a->maps[i], &pos)) != NULL)
            if (atomic_load_explicit(&n->value, memory_order_relaxed) != NULL &&
                is_dependent(n->entry.key, kind, key))
                visit(ctx, (enum lv_access_kind)i, n->entry.key);
    }
}

static void remove_dependent(void *ctx, enum lv_access_kind kind, struct lv_bytes key)
{
    remove_one(ctx, kind, key);
}

enum lv_err lv_access_may_remove(const struct lv_access *a, enum lv_access_kind kind,
                                 struct lv_bytes key)
{
    const struct lv_access_value *v;

    lv_access_find(a, kind, key, &v);
    if (v == NULL)
        return LV_ENOTFOUND;
    return kind == LV_ACCESS_VHOST && v->record.vhost.is_protected ? LV_EREFUSED : LV_OK;
}

void lv_access_remove(struct lv_access *a, enum lv_access_kind kind, struct lv_bytes key)
{
    uint8_t copy[LV_ACCESS_KEY_BYTES_MAX];

    if (kind >= LV_ACCESS_KIND_COUNT || key.len > sizeof(copy))
        return;
    memcpy(copy, key.len != 0 ? key.ptr : copy, key.len);
    key = lv_bytes(copy, key.len);
    /* The user goes first: from here on nothing is his, whatever is still on the way out. */
    remove_one(a, kind, key);
    lv_access_dependents(a, kind, key, remove_dependent, a);
}

void lv_access_sweep(struct lv_access *a, lv_access_visit *visit, void *ctx)
{
    for (unsigned i = LV_ACCESS_PERMISSION; i <= LV_ACCESS_TOPIC_PERMISSION; i++) {
        enum lv_access_kind kind = (enum lv_access_kind)i;
        size_t pos = 0;
        struct lv_access_node *n;
        while ((n = (void *)lv_ptrmap_next(&a->maps[i], &pos)) != NULL) {
            if (lv_access_has_parents(a, kind, n->entry.key))
                continue;
            if (visit != NULL)
                visit(ctx, kind, n->entry.key);
            remove_one(a, kind, n->entry.key);
        }
    }
}

void lv_access_watch(struct lv_access *a, lv_access_visit *changed, void *ctx)
{
    a->changed = changed;
    a->changed_ctx = ctx;
}

void lv_access_limit_node(struct lv_access *a, int64_t max_connections, int64_t max_channels)
{
    atomic_store_explicit(&a->max_connections, max_connections, memory_order_relaxed);
    atomic_store_explicit(&a->max_channels, max_channels, memory_order_relaxed);
}
