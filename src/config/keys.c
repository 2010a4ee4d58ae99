/* Which setting a key means, and which one was perhaps meant. */
#include <stdio.h>

#include "config/keys_priv.h"

#define LV_D_STR(def) .text = (def)
#define LV_D_SECRET(def) .text = (def)
#define LV_D_ENUM(def) .text = (def)
#define LV_D_MARK(def) .text = (def)
#define LV_D_LISTEN(def) .text = (def)
#define LV_D_MAP(def) .text = (def)
#define LV_D_SMAP(def) .text = (def)
#define LV_D_U32(def) .number = (def)
#define LV_D_LIMIT(def) .number = (def)
#define LV_D_MS(def) .number = (def)
#define LV_D_BYTES(def) .number = (def)
#define LV_D_SIZE(def) .number = (def)
#define LV_D_BOOL(def) .number = (def)

enum { RESTART, LIVE };
enum { LATER, NOW };

const struct lv_setting lv_setting_table[LV_SETTING_COUNT] = {
#define LV_SETTING(t, field, o, def, v, h, k, reload, s, effect, lo, hi)    \
    [LV_SETTING_##field] = { .type = LV_TYPE_##t,                           \
                             .section = LV_SECTION_##s,                     \
                             .offset = offsetof(struct lv_settings, field), \
                             .option = (o),                                 \
                             .value = (v),                                  \
                             .help = (h),                                   \
                             .keys = (k),                                   \
                             .low = (lo),                                   \
                             .high = (hi),                                  \
                             .is_live = (reload) == LIVE,                   \
                             .has_effect = (effect) == NOW,                 \
                             LV_D_##t(def) },
#include "config/settings.def"
#undef LV_SETTING
};

static const struct foreign {
    const char *key, *why;
} foreigners[] = {
#define LV_FOREIGN(k, w) { .key = (k), .why = (w) },
#include "config/foreign.def"
#undef LV_FOREIGN
};

/* ---- matching ---- */

static bool is_pattern(struct lv_bytes key)
{
    return memchr(key.ptr, '$', key.len) != NULL || memchr(key.ptr, '*', key.len) != NULL;
}

/* Takes one word off `key` into `name`, "\." becoming a dot; its length, 0 for none. */
static size_t take_word(struct lv_bytes key, char *name, size_t *used)
{
    size_t i = 0;

    for (; i < key.len && key.ptr[i] != '.'; i++) {
        if (key.ptr[i] == '\\' && i + 1 < key.len && key.ptr[i + 1] == '.')
            i++;
        if (*used < LV_CONF_KEY_MAX)
            name[(*used)++] = (char)key.ptr[i];
    }
    return i;
}

/* Whether `key` fits `pattern`; `name` gets what the wildcard stood for. */
static bool fits(struct lv_bytes pattern, struct lv_bytes key, char name[LV_CONF_KEY_MAX + 1])
{
    size_t p = 0, k = 0, used = 0;

    while (p < pattern.len) {
        if (pattern.ptr[p] == '*') {
            size_t n = LV_MIN(key.len - k, LV_CONF_KEY_MAX);
            memcpy(name, key.ptr + k, n);
            name[n] = '\0';
            return n != 0;
        }
        if (pattern.ptr[p] == '$') {
            size_t n = take_word(lv_bytes(key.ptr + k, key.len - k), name, &used);
            if (n == 0)
                return false;
            k += n;
            while (p < pattern.len && pattern.ptr[p] != '.')
                p++;
            continue;
        }
        if (k == key.len || key.ptr[k] != pattern.ptr[p])
            return false;
        p++;
        k++;
    }
    name[used] = '\0';
    return k == key.len;
}

struct lv_bytes lv_setting_key(const struct lv_setting *d, size_t i)
{
    const char *at = d->keys;

    for (;; i--) {
        const char *end = strchrnul(at, ' ');
        if (i == 0)
            return lv_bytes(at, (size_t)(end - at));
        if (*end == '\0')
            return LV_BYTES_LIT("");
        at = end + 1;
    }
}

static bool find(struct lv_bytes key, bool patterns, struct lv_key_match *out)
{
    for (size_t i = 0; i < LV_SETTING_COUNT; i++) {
        struct lv_bytes known;
        for (size_t n = 0; (known = lv_setting_key(&lv_setting_table[i], n)).len != 0; n++) {
            if (is_pattern(known) != patterns || !fits(known, key, out->name))
                continue;
            out->setting = &lv_setting_table[i];
            out->pattern = known;
            return true;
        }
    }
    return false;
}

bool lv_key_find(struct lv_bytes key, struct lv_key_match *out)
{
    return key.len <= LV_CONF_KEY_MAX && (find(key, false, out) || find(key, true, out));
}

bool lv_key_find_option(struct lv_bytes name, struct lv_key_match *out)
{
    for (size_t i = 0; i < LV_SETTING_COUNT; i++) {
        const struct lv_setting *d = &lv_setting_table[i];
        if (d->option[0] == '\0' || !lv_bytes_eq(lv_bytes_str(d->option), name))
            continue;
        *out = (struct lv_key_match){ .setting = d, .pattern = LV_BYTES_LIT("") };
        return true;
    }
    return lv_key_find(name, out);
}

const char *lv_key_foreign(struct lv_bytes key)
{
    char name[LV_CONF_KEY_MAX + 1];

    for (size_t i = 0; key.len <= LV_CONF_KEY_MAX && i < LV_ARRAY_LEN(foreigners); i++)
        if (fits(lv_bytes_str(foreigners[i].key), key, name))
            return foreigners[i].why;
    return NULL;
}

/* ---- suggestions ---- */

#define NEAR_MAX 96u /* longer keys are not compared */

/* Edits between two keys: letters put in, left out, changed, or swapped with their neighbour. More than `limit`: any
 * number above it. */
static unsigned distance(struct lv_bytes a, struct lv_bytes b, unsigned limit)
{
    unsigned rows[3][NEAR_MAX + 1];

    size_t apart = a.len > b.len ? a.len - b.len : b.len - a.len;
    if (a.len > NEAR_MAX || b.len > NEAR_MAX || apart > limit)
        return limit + 1;
    for (unsigned j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *row = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            unsigned cost = a.ptr[i - 1] != b.ptr[j - 1];
            unsigned d = LV_MIN(LV_MIN(row[j - 1], last[j]) + 1, last[j - 1] + cost);
            bool is_swap =
                i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1];
            row[j] = is_swap ? LV_MIN(d, before[j - 2] + 1) : d;
        }
    }
    return rows[a.len % 3][b.len];
}

/* `pattern` with the words of `wrong` in place of its "$x": "listeners.$p.$n" and "listner.tcp.1" give
 * "listeners.tcp.1". False: it does not fit into `cap`, or has no such words. */
static bool fill(struct lv_bytes pattern, struct lv_bytes wrong, char *out, size_t cap)
{
    size_t used = 0, w = 0;

    for (size_t p = 0; p < pattern.len;) {
        struct lv_bytes word = lv_bytes(pattern.ptr + p, 0);
        while (p + word.len < pattern.len && pattern.ptr[p + word.len] != '.')
            word.len++;
        size_t end = w;
        while (end < wrong.len && wrong.ptr[end] != '.')
            end++;
        struct lv_bytes put = word;
        if (word.len != 0 && word.ptr[0] == '$')
            put = end > w ? lv_bytes(wrong.ptr + w, end - w) : word;
        else if (word.len == 1 && word.ptr[0] == '*')
            put = w < wrong.len ? lv_bytes(wrong.ptr + w, wrong.len - w) : word;
        bool has_dot = p + word.len < pattern.len;
        if (used + put.len + has_dot >= cap)
            return false;
        if (put.len != 0)
            memcpy(out + used, put.ptr, put.len);
        used += put.len;
        if (has_dot)
            out[used++] = '.';
        p += word.len + has_dot;
        w = LV_MIN(end + 1, wrong.len);
    }
    out[used] = '\0';
    return true;
}

struct nearest {
    struct lv_bytes wrong;
    unsigned best;
    char *out;
    size_t cap;
};

static void consider(struct nearest *n, struct lv_bytes known)
{
    char filled[NEAR_MAX + 1];

    if (!fill(known, n->wrong, filled, sizeof(filled)))
        return;
    unsigned d = distance(n->wrong, lv_bytes_str(filled), n->best);
    if (d >= n->best)
        return;
    n->best = d;
    (void)snprintf(n->out, n->cap, "%s", filled);
}

bool lv_key_suggest(struct lv_bytes wrong, bool options, char *out, size_t cap)
{
    unsigned limit = (unsigned)LV_MIN(wrong.len / 4, 4) + 2;
    struct nearest n = { wrong, limit, out, cap };

    out[0] = '\0';
    for (size_t i = 0; i < LV_SETTING_COUNT; i++) {
        const struct lv_setting *d = &lv_setting_table[i];
        struct lv_bytes known;
        for (size_t k = 0; (known = lv_setting_key(d, k)).len != 0; k++)
            consider(&n, known);
        if (options && d->option[0] != '\0')
            consider(&n, lv_bytes_str(d->option));
    }
    return n.best < limit;
}

/* ---- names ---- */

void lv_setting_name(const struct lv_setting *d, char *out, size_t cap)
{
    struct lv_bytes key = lv_setting_key(d, 0);

    if (key.len != 0)
        (void)snprintf(out, cap, "%.*s", LV_BYTES_FMT(key));
    else
        (void)snprintf(out, cap, "--%s", d->option);
}

bool lv_setting_variable(const struct lv_setting *d, char *out, size_t cap)
{
    if (d->option[0] == '\0')
        return false;
    (void)snprintf(out, cap, "LEVERET_%s", d->option);
    for (char *at = out; *at != '\0'; at++) {
        if (*at == '-')
            *at = '_';
        else if (*at >= 'a' && *at <= 'z')
            *at = (char)(*at - 'a' + 'A');
    }
    return true;
}

void lv_key_write(struct lv_bytes key, struct lv_bytes name, char *out, size_t cap)
{
    struct lv_wr w = lv_wr(out, cap - 1);

    for (size_t i = 0; i < key.len; i++) {
        bool is_word = key.ptr[i] == '$';
        if (!is_word && key.ptr[i] != '*') {
            lv_wr_u8(&w, key.ptr[i]);
            continue;
        }
        for (size_t n = 0; n < name.len; n++) {
            if (is_word && name.ptr[n] == '.')
                lv_wr_u8(&w, '\\');
            lv_wr_u8(&w, name.ptr[n]);
        }
        while (is_word && i + 1 < key.len && key.ptr[i + 1] != '.')
            i++;
    }
    out[LV_MIN(w.used, cap - 1)] = '\0';
}
