/* What a single binding matches, told as plainly as can be. The tables of topic.c and headers.c are held to it by
 * property tests and fuzzers. */
#include "base/table.h"
#include "route/route_priv.h"
#include "route/words_priv.h"

static size_t count_words(struct lv_bytes key)
{
    struct lv_words words = lv_words(key);
    struct lv_bytes word;
    size_t count = 0;

    while (lv_words_next(&words, &word))
        count++;
    return count;
}

/* Row by row: reached[j] after i words of the pattern says that they match the first j words of the key. */
static void topic_row(bool *reached, struct lv_bytes pattern_word, struct lv_bytes key)
{
    struct lv_words words = lv_words(key);
    struct lv_bytes word;
    bool is_hash = lv_word_is(pattern_word, '#'), is_star = lv_word_is(pattern_word, '*');
    bool before = reached[0]; /* with one word of the pattern and one of the key less */

    reached[0] = is_hash && before;
    for (size_t j = 1; lv_words_next(&words, &word); j++) {
        bool without = reached[j];
        if (is_hash)
            reached[j] = without || reached[j - 1];
        else
            reached[j] = before && (is_star || lv_bytes_eq(pattern_word, word));
        before = without;
    }
}

bool lv_topic_match(struct lv_bytes pattern, struct lv_bytes key)
{
    size_t count = count_words(key);
    bool *reached = lv_mem_zalloc(count + 1, LV_TAG_ROUTE);
    struct lv_words words = lv_words(pattern);
    struct lv_bytes word;

    LV_ASSERT(reached != NULL);
    reached[0] = true;
    while (lv_words_next(&words, &word))
        topic_row(reached, word, key);
    bool matches = reached[count];
    lv_mem_free(reached, LV_TAG_ROUTE);
    return matches;
}

/* ---- headers ---- */

enum lv_match lv_match_of(struct lv_bytes arguments)
{
    static const char *const names[LV_MATCH_COUNT] = {
        [LV_MATCH_ALL] = "all",
        [LV_MATCH_ANY] = "any",
        [LV_MATCH_ALL_WITH_X] = "all-with-x",
        [LV_MATCH_ANY_WITH_X] = "any-with-x",
    };
    struct lv_value v;

    if (arguments.len == 0 || !lv_table_find(arguments, LV_BYTES_LIT("x-match"), &v))
        return LV_MATCH_ALL;
    if (v.kind != LV_KIND_STRING)
        return LV_MATCH_COUNT;
    enum lv_match m = LV_MATCH_ALL;
    while (m < LV_MATCH_COUNT && !lv_bytes_eq(v.bytes, lv_bytes_str(names[m])))
        m++;
    return m;
}

bool lv_match_counts(enum lv_match m, struct lv_bytes name)
{
    if (m == LV_MATCH_ALL_WITH_X || m == LV_MATCH_ANY_WITH_X)
        return !lv_bytes_eq(name, LV_BYTES_LIT("x-match"));
    return !lv_bytes_has_prefix(name, LV_BYTES_LIT("x-"));
}

bool lv_match_next(struct lv_rd *at, struct lv_field *out)
{
    struct lv_value *v = &out->value;

    if (!lv_table_next(at, out))
        return false;
    bool is_exact = v->kind == LV_KIND_FLOAT && v->f >= -0x1p53 && v->f <= 0x1p53;
    if (is_exact && v->f == (double)(int64_t)v->f) {
        v->kind = LV_KIND_INT;
        v->i = (int64_t)v->f;
    }
    return true;
}

static bool header_holds(const struct lv_field *wanted, struct lv_bytes headers)
{
    struct lv_rd at = lv_rd(headers);
    struct lv_field header;
    bool holds = false;

    while (headers.len != 0 && lv_match_next(&at, &header))
        if (lv_bytes_eq(header.name, wanted->name))
            holds = wanted->value.kind == LV_KIND_VOID || lv_value_eq(&wanted->value, &header.value);
    return holds;
}

bool lv_headers_match(struct lv_bytes binding_arguments, struct lv_bytes headers)
{
    enum lv_match m = lv_match_of(binding_arguments);
    bool is_any = lv_match_is_any(m);
    struct lv_rd at = lv_rd(binding_arguments);
    struct lv_field wanted;

    if (m == LV_MATCH_COUNT)
        return false;
    while (binding_arguments.len != 0 && lv_match_next(&at, &wanted))
        if (lv_match_counts(m, wanted.name) && header_holds(&wanted, headers) == is_any)
            return is_any;
    return !is_any;
}
