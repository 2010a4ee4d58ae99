#include "config/grammar.h"

/* One line under the reader. */
struct cursor {
    struct lv_bytes line;
    size_t at;
};

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static bool is_key(uint8_t c)
{
    return c > ' ' && c != '=' && c != '#' && c != '\'' && c != '"' && c < 0x7F;
}

bool lv_conf_is_word(struct lv_bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (!is_key(b.ptr[i]))
            return false;
    return b.len != 0;
}

static bool at_end(const struct cursor *c)
{
    return c->at == c->line.len;
}

static uint8_t here(const struct cursor *c)
{
    return at_end(c) ? 0 : c->line.ptr[c->at];
}

static void skip_blanks(struct cursor *c)
{
    while (!at_end(c) && is_blank(here(c)))
        c->at++;
}

static unsigned column(const struct cursor *c)
{
    return (unsigned)c->at + 1;
}

void lv_conf_init(struct lv_conf *c, struct lv_bytes text)
{
    static const struct lv_bytes mark = LV_BYTES_LIT("\xEF\xBB\xBF");

    if (lv_bytes_has_prefix(text, mark))
        text = lv_bytes(text.ptr + mark.len, text.len - mark.len);
    c->rest = text;
    c->line = 0;
}

static struct lv_bytes next_line(struct lv_conf *c)
{
    const uint8_t *end = memchr(c->rest.ptr, '\n', c->rest.len);
    size_t len = end != NULL ? (size_t)(end - c->rest.ptr) : c->rest.len;
    struct lv_bytes line = lv_bytes(c->rest.ptr, len);
    size_t used = len + (end != NULL);

    c->rest = lv_bytes(c->rest.ptr + used, c->rest.len - used);
    c->line++;
    if (line.len != 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

/* A key: words with dots between; "\." is a dot inside a word. NULL, or what is wrong at the cursor. */
static const char *read_key(struct cursor *c, struct lv_bytes *key)
{
    size_t from = c->at;
    bool is_word = false;

    if (at_end(c) || !is_key(here(c)))
        return "expected a key";
    for (; !at_end(c) && is_key(here(c)); c->at++) {
        if (here(c) != '.') {
            is_word = true;
            if (here(c) == '\\' && c->at + 1 < c->line.len && c->line.ptr[c->at + 1] == '.')
                c->at++;
            continue;
        }
        if (!is_word)
            return "expected a word before '.'";
        is_word = false;
    }
    if (!is_word)
        return "expected a word after '.'";
    *key = lv_bytes(c->line.ptr + from, c->at - from);
    if (key->len > LV_CONF_KEY_MAX) {
        c->at = from;
        return "a key this long";
    }
    return NULL;
}

static const char *read_quoted(struct cursor *c, struct lv_conf_item *item)
{
    size_t opened = c->at++;
    const uint8_t *end = memchr(c->line.ptr + c->at, '\'', c->line.len - c->at);

    if (end == NULL) {
        c->at = opened;
        return "a quote that is not closed";
    }
    item->is_quoted = true;
    item->value_column = column(c);
    item->value = lv_bytes(c->line.ptr + c->at, (size_t)(end - (c->line.ptr + c->at)));
    c->at += item->value.len + 1;
    skip_blanks(c);
    return at_end(c) || here(c) == '#' ? NULL : "something after the closing quote";
}

static const char *read_bare(struct cursor *c, struct lv_conf_item *item)
{
    size_t from = c->at, end;

    while (!at_end(c) && here(c) != '#')
        c->at++;
    if (!at_end(c) && c->at > from && !is_blank(c->line.ptr[c->at - 1])) {
        item->note = "'#' begins a comment here; a value that holds one stands in 'single quotes'";
        item->note_column = column(c);
    }
    for (end = c->at; end > from && is_blank(c->line.ptr[end - 1]);)
        end--;
    item->value_column = (unsigned)from + 1;
    item->value = lv_bytes(c->line.ptr + from, end - from);
    if (item->value.len == 0) {
        c->at = from;
        return "expected a value (an empty one is '')";
    }
    return NULL;
}

static const char *read_item(struct cursor *c, struct lv_conf_item *item)
{
    item->key_column = column(c);
    const char *why = read_key(c, &item->key);
    if (why != NULL)
        return why;
    skip_blanks(c);
    if (here(c) != '=')
        return "expected '=' after the key";
    c->at++;
    skip_blanks(c);
    why = here(c) == '\'' ? read_quoted(c, item) : read_bare(c, item);
    if (why != NULL)
        return why;
    for (size_t i = 0; i < item->value.len; i++)
        if (item->value.ptr[i] < ' ' && item->value.ptr[i] != '\t') {
            c->at = item->value_column - 1 + i;
            return "a control character";
        }
    if (item->value.len > LV_CONF_VALUE_MAX) {
        c->at = item->value_column - 1;
        return "a value this long";
    }
    return NULL;
}

enum lv_conf_step lv_conf_next(struct lv_conf *c, struct lv_conf_item *item,
                               struct lv_conf_fault *fault)
{
    while (c->rest.len != 0) {
        struct cursor at = { .line = next_line(c) };
        skip_blanks(&at);
        if (at_end(&at) || here(&at) == '#')
            continue;
        *item = (struct lv_conf_item){ .line = c->line };
        const char *why = read_item(&at, item);
        if (why == NULL)
            return LV_CONF_ITEM;
        *fault = (struct lv_conf_fault){ c->line, column(&at), why };
        return LV_CONF_FAULT;
    }
    return LV_CONF_END;
}
