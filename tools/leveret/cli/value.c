#include "value.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fault.h"

const json_t *lv_cli_value_at(const json_t *root, const char *path, size_t len)
{
    char key[128];

    while (len > 0 && root != NULL) {
        const char *dot = memchr(path, '.', len);
        size_t part = dot != NULL ? (size_t)(dot - path) : len;
        snprintf(key, sizeof(key), "%.*s", (int)part, path);
        if (json_is_array(root))
            root = json_array_get(root, (size_t)strtoul(key, NULL, 10));
        else
            root = json_object_get(root, key);
        path += part + (dot != NULL);
        len -= part + (dot != NULL);
    }
    return root;
}

void lv_cli_value_real(char *out, size_t size, double number, int digits)
{
    if (digits >= 0) {
        double scale = pow(10, digits);
        number = round(number * scale) / scale;
    }
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(out, size, "%.*g", precision, number);
        if (strtod(out, NULL) == number)
            break;
    }
    char *exponent = strpbrk(out, "eE");
    /* Erlang has a point in every float; small and whole ones need no exponent. */
    if (exponent != NULL && fabs(number) < 1e16 && fabs(number) >= 1e-4)
        snprintf(out, size, "%.1f", number);
    else if (exponent == NULL && strpbrk(out, ".n") == NULL)
        snprintf(out + strlen(out), size - strlen(out), ".0");
}

/* ---- text ---- */

static void put_plain(FILE *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            fprintf(out, "\\%03o", c);
        else
            fputc(c, out);
    }
}

static void put_quoted(FILE *out, const json_t *text)
{
    const char *at = json_string_value(text);

    fputc('"', out);
    for (size_t i = 0; i < json_string_length(text); i++) {
        if (at[i] == '"' || at[i] == '\\')
            fputc('\\', out);
        put_plain(out, at + i, 1);
    }
    fputc('"', out);
}

static void put_number(FILE *out, const json_t *value)
{
    char text[64];

    if (json_is_integer(value)) {
        fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return;
    }
    lv_cli_value_real(text, sizeof(text), json_real_value(value), -1);
    fputs(text, out);
}

/* What is nested in an AMQP table: words in quotes, objects as lists of pairs. Depth is bounded by the decoder. */
static void put_nested(FILE *out, const json_t *value)
{
    const char *between = "", *key;
    json_t *item;
    size_t i;

    switch (json_typeof(value)) {
    case JSON_STRING:
        put_quoted(out, value);
        return;
    case JSON_ARRAY:
        fputc('[', out);
        json_array_foreach(value, i, item)
        {
            fputs(between, out);
            put_nested(out, item);
            between = ",";
        }
        fputc(']', out);
        return;
    case JSON_OBJECT:
        fputc('[', out);
        json_object_foreach((json_t *)value, key, item)
        {
            fprintf(out, "%s{\"", between);
            put_plain(out, key, strlen(key));
            fputs("\",", out);
            put_nested(out, item);
            fputc('}', out);
            between = ",";
        }
        fputc(']', out);
        return;
    case JSON_TRUE:
        fputs("true", out);
        return;
    case JSON_FALSE:
        fputs("false", out);
        return;
    case JSON_NULL:
        fputs("undefined", out);
        return;
    default:
        put_number(out, value);
    }
}

/* A list of words; old exports have them in one text, parted by commas. */
static json_t *words_of(const json_t *value)
{
    if (!json_is_string(value))
        return json_is_array(value) ? json_incref((json_t *)value) : json_array();
    json_t *list = json_array();
    for (const char *at = json_string_value(value); *at != '\0'; at += strspn(at, ", ")) {
        size_t len = strcspn(at, ", ");
        json_array_append_new(list, json_stringn(at, len));
        at += len;
    }
    return list;
}

static void put_words(FILE *out, const json_t *value)
{
    json_t *list = words_of(value), *item;
    size_t i;

    fputc('[', out);
    json_array_foreach(list, i, item)
    {
        fputs(i > 0 ? ", " : "", out);
        put_plain(out, json_string_value(item), json_string_length(item));
    }
    fputc(']', out);
    json_decref(list);
}

static void put_states(FILE *out, const json_t *value)
{
    const char *between = "", *key;
    json_t *item;

    fputc('[', out);
    json_object_foreach((json_t *)value, key, item)
    {
        fprintf(out, "%s{", between);
        put_plain(out, key, strlen(key));
        fputs(", ", out);
        put_plain(out, json_string_value(item), json_string_length(item));
        fputc('}', out);
        between = ", ";
    }
    fputc(']', out);
}

/* "AMQP 0-9-1" as {0,9,1}; others stay as they are. */
static const char *amqp_version(const json_t *value)
{
    const char *text = json_string_value(value);
    bool is_amqp = text != NULL && strncmp(text, "AMQP ", 5) == 0;

    return is_amqp && text[5 + strspn(text + 5, "0123456789-")] == '\0' ? text + 5 : NULL;
}

static void put_protocol(FILE *out, const json_t *value)
{
    const char *version = amqp_version(value);

    if (version == NULL) {
        put_plain(out, json_string_value(value), json_string_length(value));
        return;
    }
    fputc('{', out);
    for (; *version != '\0'; version++)
        fputc(*version == '-' ? ',' : *version, out);
    fputc('}', out);
}

static void put_json(FILE *out, const json_t *value)
{
    json_dumpf(value, out, JSON_COMPACT | JSON_ENCODE_ANY);
}

static void put_items(FILE *out, const json_t *list)
{
    json_t *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        char *text = lv_cli_value_text(item, LV_CLI_PLAIN);
        fprintf(out, "%s%s", i > 0 ? ", " : "", text);
        free(text);
    }
}

static void put_value(FILE *out, const json_t *value, enum lv_cli_column_kind kind)
{
    if (kind == LV_CLI_TABLE || json_is_object(value)) {
        if (kind == LV_CLI_STATES)
            put_states(out, value);
        else if (kind == LV_CLI_JSON)
            put_json(out, value);
        else if (json_is_object(value))
            put_nested(out, value);
        else
            fputs("[]", out); /* an empty table, as some write it */
    } else if (kind == LV_CLI_WORDS) {
        put_words(out, value);
    } else if (kind == LV_CLI_JSON) {
        put_json(out, value);
    } else if (kind == LV_CLI_PROTOCOL && json_is_string(value)) {
        put_protocol(out, value);
    } else if (json_is_string(value)) {
        put_plain(out, json_string_value(value), json_string_length(value));
    } else if (json_is_array(value)) {
        put_items(out, value);
    } else {
        put_nested(out, value);
    }
}

char *lv_cli_value_text(const json_t *value, enum lv_cli_column_kind kind)
{
    char *text = NULL;
    size_t size;
    FILE *out = lv_need(open_memstream(&text, &size));

    if (value != NULL && !json_is_null(value))
        put_value(out, value, kind);
    fclose(out);
    return lv_need(text);
}

/* ---- JSON ---- */

static const char *amqp_type(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return "longstr";
    case JSON_INTEGER:
        return json_integer_value(value) == (int32_t)json_integer_value(value) ? "signedint"
                                                                               : "long";
    case JSON_REAL:
        return "double";
    case JSON_TRUE:
    case JSON_FALSE:
        return "bool";
    case JSON_ARRAY:
        return "array";
    case JSON_OBJECT:
        return "table";
    default:
        return "void";
    }
}

static json_t *typed(const json_t *value);

static json_t *typed_table(const json_t *table)
{
    json_t *list = json_array(), *item;
    const char *key;

    json_object_foreach((json_t *)table, key, item)
        json_array_append_new(list, json_pack("[s, s, o]", key, amqp_type(item), typed(item)));
    return list;
}

static json_t *typed_array(const json_t *array)
{
    json_t *list = json_array(), *item;
    size_t i;

    json_array_foreach(array, i, item)
        json_array_append_new(list, json_pack("[s, o]", amqp_type(item), typed(item)));
    return list;
}

static json_t *typed(const json_t *value)
{
    if (json_is_object(value))
        return typed_table(value);
    if (json_is_array(value))
        return typed_array(value);
    return json_incref((json_t *)value);
}

static json_t *version_numbers(const char *version)
{
    json_t *list = json_array();

    for (char *end; *version != '\0'; version = *end == '-' ? end + 1 : end) {
        json_array_append_new(list, json_integer(strtol(version, &end, 10)));
        if (end == version)
            break;
    }
    return list;
}

static json_t *as_text(const json_t *value, enum lv_cli_column_kind kind)
{
    char *text = lv_cli_value_text(value, kind);
    json_t *string = json_string(text);

    free(text);
    return string;
}

json_t *lv_cli_value_json(const json_t *value, enum lv_cli_column_kind kind)
{
    if (value == NULL || json_is_null(value))
        return json_string("");
    switch (kind) {
    case LV_CLI_WORDS:
        return words_of(value);
    case LV_CLI_TABLE:
        return json_is_object(value) ? typed_table(value) : json_array();
    case LV_CLI_JSON:
        return as_text(value, kind);
    case LV_CLI_PROTOCOL:
        return amqp_version(value) != NULL ? version_numbers(amqp_version(value))
                                           : json_incref((json_t *)value);
    default:
        return json_incref((json_t *)value);
    }
}

/* ---- Erlang ---- */

static void put_binary(FILE *out, const char *text, size_t len)
{
    fputs("<<\"", out);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"' || text[i] == '\\')
            fputc('\\', out);
        if (text[i] == '\t')
            fputs("\\t", out);
        else
            put_plain(out, text + i, 1);
    }
    fputs("\">>", out);
}

static void put_term(FILE *out, const json_t *value);

static void put_entry(FILE *out, const char *key, const json_t *value)
{
    fputc('{', out);
    put_binary(out, key, strlen(key));
    fprintf(out, ",%s,", amqp_type(value));
    put_term(out, value);
    fputc('}', out);
}

static void put_term(FILE *out, const json_t *value)
{
    const char *between = "", *key;
    json_t *item;
    size_t i;

    if (json_is_string(value)) {
        put_binary(out, json_string_value(value), json_string_length(value));
        return;
    }
    if (!json_is_array(value) && !json_is_object(value)) {
        put_nested(out, value);
        return;
    }
    fputc('[', out);
    json_array_foreach(value, i, item)
    {
        fprintf(out, "%s{%s,", between, amqp_type(item));
        put_term(out, item);
        fputc('}', out);
        between = ",";
    }
    json_object_foreach((json_t *)value, key, item)
    {
        fputs(between, out);
        put_entry(out, key, item);
        between = ",";
    }
    fputc(']', out);
}

char *lv_cli_value_erlang(const json_t *value, enum lv_cli_column_kind kind)
{
    char *text = NULL;
    size_t size;

    if (kind == LV_CLI_WORDS || kind == LV_CLI_STATES || kind == LV_CLI_PROTOCOL)
        return lv_cli_value_text(value, kind);
    FILE *out = lv_need(open_memstream(&text, &size));
    if (value == NULL || json_is_null(value))
        fputs("''", out);
    else if (kind == LV_CLI_TABLE && !json_is_object(value))
        fputs("[]", out);
    else
        put_term(out, value);
    fclose(out);
    return lv_need(text);
}

/* ---- Python ---- */

char *lv_cli_value_python(const json_t *value)
{
    if (value == NULL)
        return lv_need(strdup(""));
    switch (json_typeof(value)) {
    case JSON_NULL:
        return lv_need(strdup("None"));
    case JSON_TRUE:
        return lv_need(strdup("True"));
    case JSON_FALSE:
        return lv_need(strdup("False"));
    case JSON_OBJECT:
        return lv_need(json_dumps(value, 0));
    case JSON_ARRAY: {
        char *text = NULL;
        size_t size, i;
        json_t *item;
        FILE *out = lv_need(open_memstream(&text, &size));
        json_array_foreach(value, i, item)
        {
            char *part = lv_cli_value_python(item);
            fprintf(out, "%s%s", i > 0 ? " " : "", part);
            free(part);
        }
        fclose(out);
        return lv_need(text);
    }
    default:
        return lv_cli_value_text(value, LV_CLI_PLAIN);
    }
}
