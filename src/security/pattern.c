/* Simple forms first: a source is cut into branches, each a literal that stands at the beginning, is the whole name, or
 * occurs somewhere. Anything that the cutter does not know for certain is PCRE2's. */
#include "security/pattern.h"

#include <ctype.h>
#include <stdio.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/mem.h"

enum place {
    WHOLE,    /* ^a$ */
    START,    /* ^a, ^a.* */
    ONE_LINE, /* ^a.*$: the rest has no newline */
    ANYWHERE, /* a */
};

struct branch {
    enum place place;
    uint16_t from, len; /* in the pattern's text */
};

struct lv_pattern {
    pcre2_code *code; /* NULL: the branches say it all */
    uint16_t branch_count;
    struct branch branches[LV_PATTERN_BRANCHES_MAX];
    uint8_t text[]; /* the branches' literals */
};

/* ---- cutting ---- */

struct cutter {
    struct lv_rd in;
    uint8_t text[2 * LV_PATTERN_BYTES_MAX];
    uint16_t used, count;
    struct branch branches[LV_PATTERN_BRANCHES_MAX];
};

static bool is_left(const struct cutter *c)
{
    return lv_rd_left(&c->in) != 0;
}

static bool take(struct cutter *c, const char *what)
{
    struct lv_bytes w = lv_bytes_str(what);

    if (!lv_bytes_has_prefix(lv_bytes(c->in.at, lv_rd_left(&c->in)), w))
        return false;
    c->in.at += w.len;
    return true;
}

static int hex(uint8_t c)
{
    return isdigit(c)             ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* One character that means itself; false: something else comes, and nothing was taken. */
static bool take_char(struct cutter *c, uint8_t *out)
{
    const uint8_t *p = c->in.at;
    size_t left = lv_rd_left(&c->in);
    bool is_special = left != 0 && *p != 0 && strchr("^$.[]|()?*+{}", *p) != NULL;

    if (left == 0 || is_special)
        return false;
    if (*p != '\\') {
        *out = *p;
        c->in.at++;
        return true;
    }
    if (left >= 2 && ispunct(p[1]) && p[1] < 0x80) {
        *out = p[1];
        c->in.at += 2;
        return true;
    }
    if (left >= 4 && p[1] == 'x' && hex(p[2]) >= 0 &&
        hex(p[3]) >= 0) { /* as lv_pattern_expand writes */
        *out = (uint8_t)(hex(p[2]) << 4 | hex(p[3]));
        c->in.at += 4;
        return true;
    }
    return false;
}

static bool add(struct cutter *c, uint16_t from)
{
    if (c->count == LV_PATTERN_BRANCHES_MAX)
        return false;
    c->branches[c->count++] = (struct branch){ ANYWHERE, from, (uint16_t)(c->used - from) };
    return true;
}

static void take_literal(struct cutter *c)
{
    uint8_t ch;

    while (c->used < sizeof(c->text) && take_char(c, &ch))
        c->text[c->used++] = ch;
}

/* What stands after an anchored literal, up to the end of its branch. */
static enum place take_tail(struct cutter *c)
{
    if (take(c, ".*$"))
        return ONE_LINE;
    if (take(c, "$"))
        return WHOLE;
    take(c, ".*");
    return START;
}

/* (a|b): its literals as branches of their own. */
static bool take_group(struct cutter *c)
{
    do {
        uint16_t from = c->used;
        take_literal(c);
        if (!add(c, from))
            return false;
    } while (take(c, "|"));
    return take(c, ")");
}

static bool put(struct cutter *c, uint16_t from, uint16_t len)
{
    if (len > sizeof(c->text) - c->used)
        return false;
    memcpy(c->text + c->used, c->text + from, len);
    c->used = (uint16_t)(c->used + len);
    return true;
}

/* ^x(a|b)y: each literal of the group between what stands before and behind it. */
static bool take_anchored(struct cutter *c)
{
    uint16_t first = c->count, before = c->used;

    take_literal(c);
    uint16_t before_len = (uint16_t)(c->used - before);
    if (!take(c, "("))
        return add(c, before);
    if (!take_group(c))
        return false;
    uint16_t after = c->used;
    take_literal(c);
    uint16_t after_len = (uint16_t)(c->used - after);
    for (uint16_t i = first; i < c->count; i++) {
        struct branch *b = &c->branches[i];
        uint16_t from = c->used;
        if (!put(c, before, before_len) || !put(c, b->from, b->len) || !put(c, after, after_len))
            return false;
        b->from = from;
        b->len = (uint16_t)(c->used - from);
    }
    return true;
}

/* One branch of the whole pattern. */
static bool take_branch(struct cutter *c)
{
    uint16_t first = c->count, from = c->used;

    if (take(c, "^")) {
        if (!take_anchored(c))
            return false;
        enum place place = take_tail(c);
        for (uint16_t i = first; i < c->count; i++)
            c->branches[i].place = place;
    } else {
        if (!take(c, ".*"))
            take_literal(c);
        if (!add(c, from))
            return false;
    }
    return !is_left(c) || *c->in.at == '|';
}

static bool cut(struct cutter *c, struct lv_bytes source)
{
    c->in = lv_rd(source);
    c->used = c->count = 0;
    if (source.len == 0) { /* RabbitMQ: an empty permission is ^$ */
        add(c, 0);
        c->branches[0].place = WHOLE;
        return true;
    }
    do {
        if (!take_branch(c))
            return false;
    } while (take(c, "|"));
    return !is_left(c);
}

/* ---- PCRE2 ---- */

static void *pcre_malloc(size_t bytes, void *ctx)
{
    (void)ctx;
    return lv_mem_alloc(bytes, LV_TAG_SECURITY);
}

static void pcre_free(void *ptr, void *ctx)
{
    (void)ctx;
    lv_mem_free(ptr, LV_TAG_SECURITY);
}

static enum lv_err compile(struct lv_bytes source, pcre2_code **out, char *why, size_t cap)
{
    pcre2_general_context *general = pcre2_general_context_create(pcre_malloc, pcre_free, NULL);
    pcre2_compile_context *ctx = general != NULL ? pcre2_compile_context_create(general) : NULL;
    uint8_t text[120];
    size_t at = 0;
    int code = PCRE2_ERROR_NOMEMORY;

    *out = NULL;
    if (ctx != NULL) {
        *out = pcre2_compile(source.ptr, source.len, PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C,
                             &code, &at, ctx);
    }
    pcre2_compile_context_free(ctx);
    pcre2_general_context_free(general);
    if (*out != NULL)
        return LV_OK;
    if (code == PCRE2_ERROR_NOMEMORY || code == PCRE2_ERROR_HEAP_FAILED)
        return LV_ENOMEM;
    if (pcre2_get_error_message(code, text, sizeof(text)) < 0)
        text[0] = '\0';
    snprintf(why, cap, "%s at %zu", (const char *)text, at);
    return LV_EINVAL;
}

static bool search(const pcre2_code *code, struct lv_bytes name)
{
    pcre2_general_context *general = pcre2_general_context_create(pcre_malloc, pcre_free, NULL);
    pcre2_match_context *ctx = general != NULL ? pcre2_match_context_create(general) : NULL;
    pcre2_match_data *data = general != NULL ? pcre2_match_data_create(1, general) : NULL;
    bool is_match = false;

    if (ctx != NULL && data != NULL) {
        pcre2_set_match_limit(ctx, LV_PATTERN_STEPS_MAX);
        pcre2_set_depth_limit(ctx, LV_PATTERN_DEPTH_MAX);
        pcre2_set_heap_limit(ctx, LV_PATTERN_HEAP_KIB);
        /* With one pair of offsets and groups in the pattern the answer is 0, without groups 1. */
        is_match = pcre2_match(code, name.len != 0 ? name.ptr : (const uint8_t *)"", name.len, 0, 0,
                               data, ctx) >= 0;
    }
    pcre2_match_data_free(data);
    pcre2_match_context_free(ctx);
    pcre2_general_context_free(general);
    return is_match;
}

/* ---- both ---- */

static enum lv_err new_pattern(struct lv_bytes source, bool may_be_simple, struct lv_pattern **out,
                               char *why, size_t cap)
{
    struct cutter c;
    pcre2_code *code = NULL;

    *out = NULL;
    if (source.len > LV_PATTERN_BYTES_MAX) {
        snprintf(why, cap, "longer than %u bytes", LV_PATTERN_BYTES_MAX);
        return LV_EFULL;
    }
    bool is_simple = may_be_simple && cut(&c, source);
    if (!is_simple) {
        c.used = c.count = 0;
        enum lv_err err = compile(source.len != 0 ? source : LV_BYTES_LIT("^$"), &code, why, cap);
        if (err != LV_OK)
            return err;
    }
    struct lv_pattern *p = lv_mem_alloc(sizeof(*p) + c.used, LV_TAG_SECURITY);
    if (p == NULL) {
        pcre2_code_free(code);
        return LV_ENOMEM;
    }
    p->code = code;
    p->branch_count = c.count;
    memcpy(p->branches, c.branches, c.count * sizeof(c.branches[0]));
    memcpy(p->text, c.text, c.used);
    *out = p;
    return LV_OK;
}

enum lv_err lv_pattern_new(struct lv_bytes source, struct lv_pattern **out, char *why, size_t cap)
{
    return new_pattern(source, true, out, why, cap);
}

enum lv_err lv_pattern_new_slow(struct lv_bytes source, struct lv_pattern **out, char *why,
                                size_t cap)
{
    return new_pattern(source, false, out, why, cap);
}

void lv_pattern_free(struct lv_pattern *p)
{
    if (p == NULL)
        return;
    pcre2_code_free(p->code);
    lv_mem_free(p, LV_TAG_SECURITY);
}

bool lv_pattern_is_simple(const struct lv_pattern *p)
{
    return p->code == NULL;
}

static bool branch_matches(const struct branch *b, struct lv_bytes literal, struct lv_bytes name)
{
    switch (b->place) {
    case WHOLE:
        return lv_bytes_eq(name, literal);
    case START:
        return lv_bytes_has_prefix(name, literal);
    case ONE_LINE:
        return lv_bytes_has_prefix(name, literal) &&
               (name.len == literal.len ||
                memchr(name.ptr + literal.len, '\n', name.len - literal.len) == NULL);
    case ANYWHERE:
        return literal.len == 0 ||
               (name.len != 0 && memmem(name.ptr, name.len, literal.ptr, literal.len) != NULL);
    }
    return false;
}

bool lv_pattern_match(const struct lv_pattern *p, struct lv_bytes name)
{
    if (p->code != NULL)
        return search(p->code, name);
    for (uint16_t i = 0; i < p->branch_count; i++) {
        const struct branch *b = &p->branches[i];
        if (branch_matches(b, lv_bytes(p->text + b->from, b->len), name))
            return true;
    }
    return false;
}

/* ---- variables ---- */

static const struct variable {
    struct lv_bytes name;
    size_t offset;
} variables[] = {
    { LV_BYTES_LIT("{username}"), offsetof(struct lv_pattern_vars, username) },
    { LV_BYTES_LIT("{vhost}"), offsetof(struct lv_pattern_vars, vhost) },
    { LV_BYTES_LIT("{client_id}"), offsetof(struct lv_pattern_vars, client_id) },
};

/* The variable that `rest` begins with, or NULL. */
static const struct variable *variable_at(struct lv_bytes rest)
{
    for (size_t i = 0; i < LV_ARRAY_LEN(variables); i++)
        if (lv_bytes_has_prefix(rest, variables[i].name))
            return &variables[i];
    return NULL;
}

bool lv_pattern_has_vars(struct lv_bytes source)
{
    for (size_t i = 0; i < source.len; i++)
        if (variable_at(lv_bytes(source.ptr + i, source.len - i)) != NULL)
            return true;
    return false;
}

/* Every ASCII byte by its number: neither what stands before (\1) nor after ({username}5, a quantifier) can join it
 * to something else, and it means itself within [] too. */
static void put_value(struct lv_wr *out, struct lv_bytes value)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < value.len; i++) {
        uint8_t b = value.ptr[i];
        if (b >= 0x80) {
            lv_wr_u8(out, b);
            continue;
        }
        lv_wr_bytes(out, "\\x", 2);
        lv_wr_u8(out, (uint8_t)digits[b >> 4]);
        lv_wr_u8(out, (uint8_t)digits[b & 15]);
    }
}

enum lv_err lv_pattern_expand(struct lv_bytes source, const struct lv_pattern_vars *vars,
                              struct lv_wr *out)
{
    size_t at = 0;

    while (at < source.len) {
        const struct variable *v = variable_at(lv_bytes(source.ptr + at, source.len - at));
        if (v == NULL) {
            lv_wr_u8(out, source.ptr[at++]);
            continue;
        }
        const struct lv_bytes *value = (const void *)((const char *)vars + v->offset);
        if (value == &vars->client_id && !vars->has_client_id)
            return LV_ENOTFOUND;
        put_value(out, *value);
        at += v->name.len;
    }
    return lv_wr_ok(out) ? LV_OK : LV_EFULL;
}
