/* Field tables: the check against a plain recursive one; what passes can be walked to its last byte and copied. */
#include "base/limits.h"
#include "base/table.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whole list well-formed and not deeper than `levels`? Written from the specification and RabbitMQ's list of types. */
static bool naive_check(struct lv_bytes list, bool has_names, unsigned levels)
{
    struct lv_rd r = lv_rd(list);

    if (levels == 0)
        return false;
    while (lv_rd_left(&r) > 0) {
        if (has_names)
            lv_rd_short(&r);
        uint8_t octet = lv_rd_u8(&r);
        if (octet == 0)
            return false;
        if (strchr("tbB", octet) != NULL) {
            lv_rd_bytes(&r, 1);
        } else if (strchr("su", octet) != NULL) {
            lv_rd_bytes(&r, 2);
        } else if (strchr("iIf", octet) != NULL) {
            lv_rd_bytes(&r, 4);
        } else if (octet == 'D') {
            lv_rd_bytes(&r, 5);
        } else if (strchr("lLdT", octet) != NULL) {
            lv_rd_bytes(&r, 8);
        } else if (strchr("SxAF", octet) != NULL) {
            struct lv_bytes inner = lv_rd_long(&r);
            if (r.bad)
                return false;
            if ((octet == 'A' || octet == 'F') && !naive_check(inner, octet == 'F', levels - 1))
                return false;
        } else if (octet != 'V') {
            return false;
        }
        if (r.bad)
            return false;
    }
    return true;
}

static void check_value(const struct lv_value *v)
{
    LV_ASSERT(v->raw.len > 0 && v->raw.ptr[0] == v->octet);
    LV_ASSERT(lv_value_eq(v, v));
    LV_ASSERT(strcmp(lv_value_type_name(v), "unknown") != 0);
    if (v->kind == LV_KIND_TABLE)
        LV_ASSERT(lv_table_check(v->bytes) == LV_OK);
}

static void walk(struct lv_bytes table)
{
    struct lv_rd at = lv_rd(table);
    struct lv_field field;
    struct lv_value found;

    while (lv_table_next(&at, &field)) {
        check_value(&field.value);
        LV_ASSERT(lv_table_find(table, field.name, &found));
        if (field.value.kind == LV_KIND_ARRAY) {
            struct lv_rd in = lv_rd(field.value.bytes);
            struct lv_value item;
            while (lv_array_next(&in, &item))
                check_value(&item);
            LV_ASSERT(!in.bad && lv_rd_left(&in) == 0);
        }
    }
    LV_ASSERT(!at.bad && lv_rd_left(&at) == 0);
}

/* Without its first name the table is shorter, still well-formed, and has that name no more. */
static void take_out_first(struct lv_bytes table)
{
    struct lv_rd at = lv_rd(table);
    struct lv_field first;
    struct lv_value found;

    if (!lv_table_next(&at, &first))
        return;
    uint8_t *buf = malloc(table.len);
    struct lv_wr w = lv_wr(buf, table.len);
    LV_ASSERT(buf != NULL);
    lv_table_copy_without(&w, table, first.name);
    struct lv_bytes rest = lv_bytes(buf, w.used);
    LV_ASSERT(w.used < table.len);
    LV_ASSERT(lv_table_check(rest) == LV_OK);
    LV_ASSERT(!lv_table_find(rest, first.name, &found));
    free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lv_bytes table = lv_bytes(data, size);
    struct lv_rd at = lv_rd(table);
    struct lv_field field;
    bool is_good = lv_table_check(table) == LV_OK;

    LV_ASSERT(is_good == naive_check(table, true, LV_TABLE_DEPTH_MAX));
    if (is_good) {
        walk(table);
        take_out_first(table);
    } else {
        while (lv_table_next(&at, &field))
            LV_ASSERT(at.at <= at.end);
    }
    return 0;
}
