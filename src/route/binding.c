/* A binding is known by its source, destination, key and arguments. These stand one after the other at the end of
 * the struct, as the key under which the router's map of bindings holds it. */
#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/table.h"
#include "route/route_priv.h"

#define IDENTITY_AT offsetof(struct lv_binding, source)
#define IDENTITY_HEAD (2 * sizeof(void *) + 1)
#define SMALL 512u /* an identity up to here is put together on the stack */

_Static_assert(offsetof(struct lv_binding, bytes) == IDENTITY_AT + IDENTITY_HEAD - 1,
               "source, dest and bytes are contiguous");

/* ---- arguments in the order of their names: clients whose tables have no order (Go) send the same arguments now
 * this way, now that, and mean the same binding (RabbitMQ sorts them too) ---- */

static struct lv_bytes field_name(const struct lv_bytes *field)
{
    return lv_bytes(field->ptr + 1, field->ptr[0]);
}

static int by_name(const void *a, const void *b)
{
    const struct lv_bytes *x = a, *y = b;
    int order = lv_bytes_cmp(field_name(x), field_name(y));

    return order != 0 ? order : (x->ptr > y->ptr) - (x->ptr < y->ptr);
}

static bool next_field(struct lv_rd *at, struct lv_bytes *out)
{
    struct lv_field field;
    const uint8_t *start = at->at;

    if (!lv_table_next(at, &field))
        return false;
    *out = lv_bytes(start, (size_t)(at->at - start));
    return true;
}

/* Number of fields; *sorted tells whether they are in order already. */
static size_t count_fields(struct lv_bytes table, bool *sorted)
{
    struct lv_rd at = lv_rd(table);
    struct lv_bytes before, field;
    size_t count = 0;

    *sorted = true;
    for (; next_field(&at, &field); before = field)
        if (count++ != 0 && by_name(&before, &field) > 0)
            *sorted = false;
    return count;
}

static enum lv_err write_sorted(struct lv_wr *w, struct lv_bytes table)
{
    bool sorted = true;
    size_t count = table.len != 0 ? count_fields(table, &sorted) : 0;

    if (sorted) {
        lv_wr_bytes(w, table.ptr, table.len);
        return LV_OK;
    }
    struct lv_bytes *fields = lv_mem_alloc(count * sizeof(*fields), LV_TAG_ROUTE);
    if (fields == NULL)
        return LV_ENOMEM;
    struct lv_rd at = lv_rd(table);
    for (size_t i = 0; i < count && next_field(&at, &fields[i]); i++) {
    }
    qsort(fields, count, sizeof(*fields), by_name);
    for (size_t i = 0; i < count; i++)
        lv_wr_bytes(w, fields[i].ptr, fields[i].len);
    lv_mem_free(fields, LV_TAG_ROUTE);
    return LV_OK;
}

/* ---- identity ---- */

static size_t identity_bytes(struct lv_bytes key, struct lv_bytes arguments)
{
    return IDENTITY_HEAD + key.len + arguments.len;
}

static enum lv_err identity_write(uint8_t *buf, const struct lv_exchange *source,
                                  const struct lv_dest *dest, struct lv_bytes key,
                                  struct lv_bytes arguments)
{
    struct lv_wr w = lv_wr(buf, identity_bytes(key, arguments));

    LV_ASSERT(key.len <= LV_SHORTSTR_MAX);
    lv_wr_bytes(&w, (const void *)&source, sizeof(source));
    lv_wr_bytes(&w, (const void *)&dest, sizeof(dest));
    lv_wr_short(&w, key);
    return write_sorted(&w, arguments);
}

enum lv_err lv_binding_new(struct lv_exchange *source, struct lv_dest *dest, struct lv_bytes key,
                           struct lv_bytes arguments, struct lv_binding **out)
{
    size_t bytes = identity_bytes(key, arguments);
    struct lv_binding *b = lv_mem_zalloc(IDENTITY_AT + bytes, LV_TAG_ROUTE);

    if (b == NULL)
        return LV_ENOMEM;
    uint8_t *identity = (uint8_t *)b + IDENTITY_AT;
    enum lv_err err = identity_write(identity, source, dest, key, arguments);
    if (err != LV_OK) {
        lv_mem_free(b, LV_TAG_ROUTE);
        return err;
    }
    b->identity.key = lv_bytes(identity, bytes);
    b->identity.hash = lv_hash(b->identity.key, 0);
    b->key = lv_bytes(b->bytes + 1, key.len);
    b->arguments = lv_bytes(b->bytes + 1 + key.len, arguments.len);
    lv_list_init(&b->in);
    lv_list_init(&b->out);
    *out = b;
    return LV_OK;
}

void lv_binding_free(struct lv_binding *b)
{
    lv_mem_free(b, LV_TAG_ROUTE);
}

enum lv_err lv_binding_find(const struct lv_router *r, struct lv_exchange *source,
                            struct lv_dest *dest, struct lv_bytes key, struct lv_bytes arguments,
                            struct lv_binding **out)
{
    uint8_t small[SMALL], *large = NULL;
    size_t bytes = identity_bytes(key, arguments);

    *out = NULL;
    if (bytes > sizeof(small)) {
        large = lv_mem_alloc(bytes, LV_TAG_ROUTE);
        if (large == NULL)
            return LV_ENOMEM;
    }
    uint8_t *buf = large != NULL ? large : small;
    enum lv_err err = identity_write(buf, source, dest, key, arguments);
    if (err == LV_OK) {
        struct lv_bytes identity = lv_bytes(buf, bytes);
        *out = (struct lv_binding *)lv_ptrmap_get(&r->bindings, identity, lv_hash(identity, 0));
    }
    lv_mem_free(large, LV_TAG_ROUTE);
    return err;
}
