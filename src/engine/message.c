#include "engine/message.h"

#include "base/mem.h"

/* A kept message never has a copy of its own, so its parts begin where `kept` would stand. */
#define HEAD_BYTES offsetof(struct lv_msg, kept)

static inline void ref(struct lv_msg *m)
{
    if (m->shared)
        __atomic_fetch_add(&m->refs, 1, __ATOMIC_RELAXED);
    else
        m->refs++;
}

static inline uint8_t *put(uint8_t *at, struct lv_bytes part)
{
    if (part.len != 0)
        memcpy(at, part.ptr, part.len);
    return at + part.len;
}

struct lv_msg *lv_msg_new(struct lv_bytes exchange, struct lv_bytes key, struct lv_bytes props,
                          uint32_t body_len)
{
    LV_ASSERT(exchange.len <= UINT8_MAX && key.len <= UINT8_MAX && props.len <= UINT32_MAX);
    struct lv_msg *m =
        lv_mem_alloc(HEAD_BYTES + exchange.len + key.len + props.len + body_len, LV_TAG_MESSAGE);
    if (m == NULL)
        return NULL;
    memset(m, 0, HEAD_BYTES);
    uint8_t *at = (uint8_t *)m + HEAD_BYTES;
    m->refs = 1;
    m->exchange_len = (uint8_t)exchange.len;
    m->key_len = (uint8_t)key.len;
    m->props_len = (uint32_t)props.len;
    m->body_len = body_len;
    m->exchange = at;
    m->key = at = put(at, exchange);
    m->props = at = put(at, key);
    m->body = put(at, props);
    return m;
}

uint8_t *lv_msg_body_room(struct lv_msg *m)
{
    LV_ASSERT(!lv_msg_is_borrowed(m));
    return (uint8_t *)m + lv_msg_bytes(m) - m->body_len;
}

struct lv_msg *lv_msg_with(const struct lv_msg *m, struct lv_bytes exchange, struct lv_bytes key,
                           struct lv_bytes props)
{
    struct lv_msg *k = lv_msg_new(exchange, key, props, m->body_len);

    if (k == NULL)
        return NULL;
    k->priority = m->priority;
    k->persistent = m->persistent;
    k->has_priority = m->has_priority;
    k->has_expiration = m->has_expiration;
    k->is_ttl_seconds = m->is_ttl_seconds;
    k->has_died = m->has_died;
    k->ttl = m->ttl;
    k->published_ms = m->published_ms;
    put(lv_msg_body_room(k), lv_msg_body(m));
    return k;
}

static struct lv_msg *copy(const struct lv_msg *m)
{
    struct lv_msg *k = lv_msg_with(m, lv_msg_exchange(m), lv_msg_key(m), lv_msg_props(m));

    if (k == NULL)
        return NULL;
    k->stamp = m->stamp;
    k->lsn = lv_msg_lsn(m);
    return k;
}

struct lv_msg *lv_msg_keep(struct lv_msg *m)
{
    if (lv_msg_is_borrowed(m)) {
        if (m->kept == NULL && (m->kept = copy(m)) == NULL)
            return NULL;
        m = m->kept;
    }
    ref(m);
    return m;
}

void lv_msg_unref(struct lv_msg *m)
{
    LV_ASSERT(!lv_msg_is_borrowed(m));
    /* Release and acquire: whoever frees sees what the other threads did with it before. */
    uint32_t left = m->shared ? __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL) : --m->refs;
    if (left != 0)
        return;
    if (LV_UNLIKELY(m->in_block)) {
        struct lv_msg_block *block = m->block;
        if (__atomic_sub_fetch(&block->refs, 1, __ATOMIC_ACQ_REL) == 0)
            lv_mem_free(block, LV_TAG_MESSAGE);
        return;
    }
    lv_mem_free(m, LV_TAG_MESSAGE);
}

void lv_msg_done(struct lv_msg *m)
{
    LV_ASSERT(lv_msg_is_borrowed(m));
    if (m->kept == NULL)
        return;
    lv_msg_unref(m->kept);
    m->kept = NULL;
}

void lv_msg_share(struct lv_msg *m)
{
    LV_ASSERT(!lv_msg_is_borrowed(m));
    if (!m->shared) /* shared already: others may be reading the word */
        m->shared = true;
}

void lv_msg_set_lsn(struct lv_msg *m, uint64_t lsn)
{
    if (lv_msg_is_borrowed(m) && m->kept != NULL)
        __atomic_store_n(&m->kept->lsn, lsn, __ATOMIC_RELAXED);
    __atomic_store_n(&m->lsn, lsn, __ATOMIC_RELAXED);
}

size_t lv_msg_bytes(const struct lv_msg *m)
{
    return HEAD_BYTES + m->exchange_len + m->key_len + m->props_len + m->body_len;
}
