/* engine/message.h - a message: where it was sent, its properties as they came, its body.
 *
 * A message lives in one of two ways. *Borrowed*: a struct on somebody's stack whose parts point
 * into a read buffer; it costs nothing and dies with the caller. *Kept*: one heap block with a copy
 * of everything, reference counted. lv_msg_keep() turns the first into the second, once, however
 * many queues want it.
 * Thread   a kept message is counted without atomics until lv_msg_share() is called; afterwards
 *          with. Share it before another thread can see it.
 */
#ifndef LV_ENGINE_MESSAGE_H
#define LV_ENGINE_MESSAGE_H
#include "base/bytes.h"
#include "base/err.h"

struct lv_msg {
    uint32_t refs; /* 0: borrowed */
    uint8_t exchange_len, key_len;
    uint8_t priority;
    bool persistent : 1; /* delivery mode 2 */
    bool shared : 1;     /* counted with atomics */
    bool has_expiration : 1;
    bool in_block : 1; /* its memory is a part of `block` */
    bool has_priority : 1;
    bool is_ttl_seconds : 1; /* what `ttl` counts: milliseconds are too many for it */
    bool has_died : 1; /* the broker made it of one that died in a queue: what its properties tell of that is true */
    uint32_t props_len, body_len;
    uint32_t ttl; /* when has_expiration: lv_msg_ttl_ms */
    uint32_t stamp; /* the owner's: when it came, for one whose way is timed; 0: for all others. Not logged */
    const uint8_t *exchange, *key;
    const uint8_t *props; /* the protocol's property bytes as they came (0-9-1: flags and list) */
    const uint8_t *body;
    uint64_t published_ms; /* wall clock; what a time to live is counted from */
    uint64_t lsn;          /* where its record stands in the log (journal.h); 0: in none */
    union {
        struct lv_msg *kept; /* borrowed only: its copy, if somebody asked for one; one reference */
        struct lv_msg_block *block; /* in_block only */
    };
};

/* Messages that were read back together: one allocation, freed with the last of them. */
struct lv_msg_block {
    uint32_t refs; /* messages alive; atomic: they may go to different threads */
    uint32_t count;
    struct lv_msg msgs[]; /* and behind them the bytes that they view */
};

static inline struct lv_bytes lv_msg_exchange(const struct lv_msg *m)
{
    return lv_bytes(m->exchange, m->exchange_len);
}
static inline struct lv_bytes lv_msg_key(const struct lv_msg *m)
{
    return lv_bytes(m->key, m->key_len);
}
static inline struct lv_bytes lv_msg_props(const struct lv_msg *m)
{
    return lv_bytes(m->props, m->props_len);
}
static inline struct lv_bytes lv_msg_body(const struct lv_msg *m)
{
    return lv_bytes(m->body, m->body_len);
}

/* Its own time to live, from the expiration property: at most 2^32 seconds, above 49 days rounded up to whole ones. */
static inline void lv_msg_set_ttl_ms(struct lv_msg *m, uint64_t ms)
{
    m->has_expiration = true;
    m->is_ttl_seconds = ms > UINT32_MAX;
    m->ttl = (uint32_t)(m->is_ttl_seconds ? LV_MIN((ms + 999) / 1000, UINT32_MAX) : ms);
}
static inline uint64_t lv_msg_ttl_ms(const struct lv_msg *m)
{
    return m->is_ttl_seconds ? (uint64_t)m->ttl * 1000 : m->ttl;
}

/* Does it die with its caller? Any thread that may see the message: it never changes. */
static inline bool lv_msg_is_borrowed(const struct lv_msg *m)
{
    return __atomic_load_n(&m->refs, __ATOMIC_RELAXED) == 0;
}

/* A kept message with one reference whose body is uninitialised: fill lv_msg_body_room(m) before it
 * is published. Names are at most 255 bytes. NULL: no memory. */
struct lv_msg *lv_msg_new(struct lv_bytes exchange, struct lv_bytes key, struct lv_bytes props,
                          uint32_t body_len) LV_MUST_USE;
uint8_t *lv_msg_body_room(struct lv_msg *m);
/* A kept message with one reference that has these names and properties, and all else of `m` but its place in the log. NULL: no
 * memory. */
struct lv_msg *lv_msg_with(const struct lv_msg *m, struct lv_bytes exchange, struct lv_bytes key,
                           struct lv_bytes props) LV_MUST_USE;
/* A kept message equal to `m` with one more reference: `m` itself, or its copy. NULL: no memory. */
struct lv_msg *lv_msg_keep(struct lv_msg *m) LV_MUST_USE;
/* One reference less; the last one frees. Kept messages only. */
void lv_msg_unref(struct lv_msg *m);
/* Ends a borrowed message: drops the copy's own reference, if a copy was made. */
void lv_msg_done(struct lv_msg *m);
/* From now on counted with atomics; harmless when it is already. Kept messages only, by their only
 * thread, before another can see it. */
void lv_msg_share(struct lv_msg *m);
/* Notes where the message was logged, in it and in its copy. */
void lv_msg_set_lsn(struct lv_msg *m, uint64_t lsn);
static inline uint64_t lv_msg_lsn(const struct lv_msg *m)
{
    return __atomic_load_n(&m->lsn, __ATOMIC_RELAXED);
}
/* Bytes a kept message takes. */
size_t lv_msg_bytes(const struct lv_msg *m);

#endif
