/* route/words_priv.h - the words of a routing key or topic pattern, one after the other.
 * RabbitMQ: "" has no words; "a." and "." have two, of which some are empty. */
#ifndef LV_ROUTE_WORDS_PRIV_H
#define LV_ROUTE_WORDS_PRIV_H
#include "base/bytes.h"

struct lv_words {
    struct lv_bytes rest; /* views */
    bool has_more;
};

static inline struct lv_words lv_words(struct lv_bytes key)
{
    return (struct lv_words){ key, key.len != 0 };
}

/* False at the end. */
static inline bool lv_words_next(struct lv_words *w, struct lv_bytes *word)
{
    if (!w->has_more)
        return false;
    const uint8_t *dot = w->rest.len != 0 ? memchr(w->rest.ptr, '.', w->rest.len) : NULL;
    if (dot == NULL) {
        *word = w->rest;
        w->has_more = false;
        return true;
    }
    *word = lv_bytes(w->rest.ptr, (size_t)(dot - w->rest.ptr));
    w->rest = lv_bytes(dot + 1, w->rest.len - word->len - 1);
    return true;
}

static inline bool lv_word_is(struct lv_bytes word, char c)
{
    return word.len == 1 && word.ptr[0] == (uint8_t)c;
}

#endif
