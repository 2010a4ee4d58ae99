#include "json.h"

#include <inttypes.h>
#include <math.h>

#include "base/table.h"
#include "base/utf8.h"

void lv_json_string(FILE *out, struct lv_bytes text)
{
    bool is_utf8 = lv_utf8_valid(text);

    fputc('"', out);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7F || (c >= 0x80 && !is_utf8))
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void put_value(FILE *out, const struct lv_value *v)
{
    switch (v->kind) {
    case LV_KIND_BOOL:
        fputs(v->i != 0 ? "true" : "false", out);
        break;
    case LV_KIND_INT:
    case LV_KIND_TIMESTAMP:
        fprintf(out, "%" PRId64, v->i);
        break;
    case LV_KIND_FLOAT:
        if (isfinite(v->f))
            fprintf(out, "%.17g", v->f);
        else
            fputs("null", out);
        break;
    case LV_KIND_DECIMAL:
        fprintf(out, "%" PRId64 "e-%u", v->i, v->scale);
        break;
    case LV_KIND_STRING:
    case LV_KIND_BINARY:
        lv_json_string(out, v->bytes);
        break;
    case LV_KIND_ARRAY:
    case LV_KIND_TABLE:
        fprintf(out, "\"(%s)\"", lv_value_type_name(v));
        break;
    case LV_KIND_VOID:
        fputs("null", out);
        break;
    }
}

void lv_json_table(FILE *out, struct lv_bytes table)
{
    struct lv_rd at = lv_rd(table);
    struct lv_field field;
    const char *between = "";

    fputc('{', out);
    while (lv_table_next(&at, &field)) {
        fputs(between, out);
        lv_json_string(out, field.name);
        fputs(": ", out);
        put_value(out, &field.value);
        between = ", ";
    }
    fputc('}', out);
}
