/* The types that RabbitMQ reads and writes, by their octets. It differs from the specification's list: `s` is a
 * 16-bit integer and not a short string, `l` and `L` are the same, and `x` and `V` are added. Everything below
 * expands from TYPES. */
#include "base/table.h"

#include "base/limits.h"

/* octet, name in RabbitMQ's error texts, kind, bytes of payload (LONG: a u32 length and as many) */
#define LONG (-1)
#define TYPES(X)                    \
    X('t', bool, BOOL, 1)           \
    X('b', byte, INT, 1)            \
    X('B', unsignedbyte, INT, 1)    \
    X('s', short, INT, 2)           \
    X('u', unsignedshort, INT, 2)   \
    X('I', signedint, INT, 4)       \
    X('i', unsignedint, INT, 4)     \
    X('l', long, INT, 8)            \
    X('L', long, INT, 8)            \
    X('f', float, FLOAT, 4)         \
    X('d', double, FLOAT, 8)        \
    X('D', decimal, DECIMAL, 5)     \
    X('T', timestamp, TIMESTAMP, 8) \
    X('S', longstr, STRING, LONG)   \
    X('x', binary, BINARY, LONG)    \
    X('A', array, ARRAY, LONG)      \
    X('F', table, TABLE, LONG)      \
    X('V', void, VOID, 0)

static const struct type {
    const char *name; /* NULL: no type has this octet */
    int8_t bytes;
    uint8_t kind;
} types[256] = {
#define X(octet, name, kind, bytes) [octet] = { #name, bytes, LV_KIND_##kind },
    TYPES(X)
#undef X
};

/* Depth first, with the ends of the enclosing lists on a stack: a list's payload lies within its parent's, so one
 * position walks through all of them. */
enum lv_err lv_table_check(struct lv_bytes table)
{
    struct level {
        const uint8_t *end;
        bool has_names;
    } levels[LV_TABLE_DEPTH_MAX], *level = levels;
    struct lv_rd whole = lv_rd(table);
    const uint8_t *at = whole.at;

    *level = (struct level){ whole.end, true };
    for (;;) {
        while (at == level->end) {
            if (level == levels)
                return LV_OK;
            level--;
        }
        struct lv_rd r = { at, level->end, false };
        if (level->has_names)
            lv_rd_short(&r);
        uint8_t octet = lv_rd_u8(&r);
        const struct type *type = &types[octet];
        size_t bytes = type->bytes == LONG ? lv_rd_u32(&r) : (size_t)type->bytes;
        struct lv_bytes payload = lv_rd_bytes(&r, bytes);
        if (r.bad || type->name == NULL)
            return LV_ESYNTAX;
        at = r.at;
        if (type->kind != LV_KIND_TABLE && type->kind != LV_KIND_ARRAY)
            continue;
        if (++level == levels + LV_TABLE_DEPTH_MAX)
            return LV_EDEPTH;
        *level = (struct level){ at, type->kind == LV_KIND_TABLE };
        at = payload.ptr;
    }
}

static int64_t int_of(uint8_t octet, const uint8_t *p)
{
    switch (octet) {
    case 'b':
        return (int8_t)p[0];
    case 'B':
        return p[0];
    case 's':
        return (int16_t)lv_be16(p);
    case 'u':
        return lv_be16(p);
    case 'I':
        return (int32_t)lv_be32(p);
    case 'i':
        return lv_be32(p);
    default: /* l L */
        return (int64_t)lv_be64(p);
    }
}

static double float_of(uint8_t octet, const uint8_t *p)
{
    if (octet == 'f') {
        uint32_t bits = lv_be32(p);
        float f;
        memcpy(&f, &bits, sizeof(f));
        return (double)f;
    }
    uint64_t bits = lv_be64(p);
    double d;
    memcpy(&d, &bits, sizeof(d));
    return d;
}

bool lv_array_next(struct lv_rd *at, struct lv_value *out)
{
    const uint8_t *start = at->at;

    if (at->bad || lv_rd_left(at) == 0)
        return false;
    uint8_t octet = lv_rd_u8(at);
    const struct type *type = &types[octet];
    struct lv_bytes payload =
        type->bytes == LONG ? lv_rd_long(at) : lv_rd_bytes(at, (size_t)type->bytes);
    if (at->bad || type->name == NULL) {
        at->bad = true;
        return false;
    }
    *out = (struct lv_value){ .kind = (enum lv_kind)type->kind, .octet = octet };
    out->raw = lv_bytes(start, (size_t)(at->at - start));
    switch (out->kind) {
    case LV_KIND_VOID:
        break;
    case LV_KIND_BOOL:
        out->i = payload.ptr[0] != 0;
        break;
    case LV_KIND_INT:
        out->i = int_of(octet, payload.ptr);
        break;
    case LV_KIND_FLOAT:
        out->f = float_of(octet, payload.ptr);
        break;
    case LV_KIND_DECIMAL:
        out->scale = payload.ptr[0];
        out->i = lv_be32(payload.ptr + 1);
        break;
    case LV_KIND_TIMESTAMP:
        out->i = (int64_t)lv_be64(payload.ptr);
        break;
    case LV_KIND_STRING:
    case LV_KIND_BINARY:
    case LV_KIND_ARRAY:
    case LV_KIND_TABLE:
        out->bytes = payload;
        break;
    }
    return true;
}

bool lv_table_next(struct lv_rd *at, struct lv_field *out)
{
    if (at->bad || lv_rd_left(at) == 0)
        return false;
    out->name = lv_rd_short(at);
    if (lv_array_next(at, &out->value))
        return true;
    at->bad = true; /* a name without a value */
    return false;
}

bool lv_table_find(struct lv_bytes table, struct lv_bytes name, struct lv_value *out)
{
    struct lv_rd at = lv_rd(table);
    struct lv_field field;

    while (lv_table_next(&at, &field)) {
        if (lv_bytes_eq(field.name, name)) {
            *out = field.value;
            return true;
        }
    }
    return false;
}

bool lv_value_eq(const struct lv_value *a, const struct lv_value *b)
{
    if (a->kind != b->kind)
        return false;
    if (a->kind == LV_KIND_FLOAT)
        return a->f == b->f || (a->f != a->f && b->f != b->f);
    return a->i == b->i && a->scale == b->scale && lv_bytes_eq(a->bytes, b->bytes);
}

const char *lv_value_type_name(const struct lv_value *v)
{
    const char *name = types[v->octet].name;

    return name != NULL ? name : "unknown";
}

static void put_head(struct lv_wr *w, const char *name, char octet)
{
    struct lv_bytes n = lv_bytes_str(name);

    LV_ASSERT(n.len <= LV_SHORTSTR_MAX);
    lv_wr_short(w, n);
    lv_wr_u8(w, (uint8_t)octet);
}

void lv_table_put_bool(struct lv_wr *w, const char *name, bool v)
{
    put_head(w, name, 't');
    lv_wr_u8(w, v);
}

void lv_table_put_str(struct lv_wr *w, const char *name, struct lv_bytes v)
{
    put_head(w, name, 'S');
    lv_wr_long(w, v);
}

void lv_table_put_i64(struct lv_wr *w, const char *name, int64_t v)
{
    put_head(w, name, 'l');
    lv_wr_u64(w, (uint64_t)v);
}

void lv_table_put_timestamp(struct lv_wr *w, const char *name, uint64_t seconds)
{
    put_head(w, name, 'T');
    lv_wr_u64(w, seconds);
}

void lv_table_put_table(struct lv_wr *w, const char *name, struct lv_bytes fields)
{
    put_head(w, name, 'F');
    lv_wr_long(w, fields);
}

size_t lv_table_begin_array(struct lv_wr *w, const char *name)
{
    put_head(w, name, 'A');
    return lv_wr_long_begin(w);
}

void lv_array_put_str(struct lv_wr *w, struct lv_bytes v)
{
    lv_wr_u8(w, 'S');
    lv_wr_long(w, v);
}

size_t lv_array_begin_table(struct lv_wr *w)
{
    lv_wr_u8(w, 'F');
    return lv_wr_long_begin(w);
}

void lv_table_copy_without(struct lv_wr *w, struct lv_bytes table, struct lv_bytes name)
{
    struct lv_rd at = lv_rd(table);
    struct lv_field field;

    for (const uint8_t *start = at.at; lv_table_next(&at, &field); start = at.at)
        if (!lv_bytes_eq(field.name, name))
            lv_wr_bytes(w, start, (size_t)(at.at - start));
}
