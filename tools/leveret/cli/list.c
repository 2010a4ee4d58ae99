#include "list.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <wchar.h>

#include "value.h"

#define BOLD "\033[1m"
#define PLAIN "\033[0m"
#define LINES_ON "\033(0"
#define LINES_OFF "\033(B"

static const json_t *cell(const json_t *row, const struct lv_cli_column *column)
{
    return lv_cli_value_at(row, column->path, strlen(column->path));
}

/* Text of a cell; the caller frees. */
static char *cell_text(const json_t *row, const struct lv_cli_column *column)
{
    if (column->path[0] == '=')
        return lv_need(strdup(column->path + 1));
    return lv_cli_value_text(cell(row, column), column->kind);
}

/* ---- boxes ---- */

#define TAB_WIDTH 8

/* Places on a terminal, tabs apart: they were made blanks. */
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

/* With blanks for tabs, up to the next of every 8 places. */
static char *without_tabs(const char *text)
{
    char *out = NULL;
    size_t size, place = 0;
    FILE *to = lv_need(open_memstream(&out, &size));

    for (; *text != '\0'; text++) {
        if (*text == '\t') {
            do
                fputc(' ', to);
            while (++place % TAB_WIDTH != 0);
            continue;
        }
        fputc(*text, to);
        place += ((unsigned char)*text & 0xc0) != 0x80;
    }
    fclose(to);
    return lv_need(out);
}

static void draw_line(FILE *out, const size_t *widths, size_t count, const char *corners)
{
    fputs(LINES_ON, out);
    for (size_t i = 0; i < count; i++) {
        fputc(i == 0 ? corners[0] : corners[1], out);
        for (size_t j = 0; j < widths[i] + 2; j++)
            fputc('q', out);
    }
    fprintf(out, "%c" LINES_OFF "\n", corners[2]);
}

static void draw_row(FILE *out, const size_t *widths, const char *const *cells, size_t count,
                     bool is_bold)
{
    for (size_t i = 0; i < count; i++) {
        fprintf(out, LINES_ON "x" LINES_OFF " %s%s%s", is_bold ? BOLD : "", cells[i],
                is_bold ? PLAIN : "");
        fprintf(out, "%*s", (int)(widths[i] - width_of(cells[i]) + 1), "");
    }
    fputs(LINES_ON "x" LINES_OFF "\n", out);
}

void lv_list_boxes(FILE *out, const char *const *headers, size_t column_count, const json_t *rows)
{
    size_t widths[LV_LIST_COLUMNS_MAX], i, j;
    const char *cells[LV_LIST_COLUMNS_MAX];
    json_t *row;

    for (j = 0; j < column_count; j++)
        widths[j] = headers != NULL ? width_of(headers[j]) : 0;
    json_array_foreach(rows, i, row)
    {
        for (j = 0; j < column_count; j++) {
            size_t width = width_of(json_string_value(json_array_get(row, j)));
            widths[j] = width > widths[j] ? width : widths[j];
        }
    }
    draw_line(out, widths, column_count, "lwk");
    if (headers != NULL)
        draw_row(out, widths, headers, column_count, true);
    json_array_foreach(rows, i, row)
    {
        for (j = 0; j < column_count; j++)
            cells[j] = json_string_value(json_array_get(row, j));
        if (i > 0 || headers != NULL)
            draw_line(out, widths, column_count, "tnu");
        draw_row(out, widths, cells, column_count, false);
    }
    draw_line(out, widths, column_count, "mvj");
}

static void print_pretty(struct lv_cli *c, const json_t *rows, const struct lv_cli_column *columns,
                         size_t count)
{
    json_t *cells = json_array(), *row;
    const char *headers[LV_LIST_COLUMNS_MAX];
    size_t i;

    for (size_t j = 0; j < count; j++)
        headers[j] = columns[j].name;
    json_array_foreach(rows, i, row)
    {
        json_t *line = json_array();
        for (size_t j = 0; j < count; j++) {
            char *text = cell_text(row, &columns[j]), *plain = without_tabs(text);
            json_array_append_new(line, json_string(plain));
            free(plain);
            free(text);
        }
        json_array_append_new(cells, line);
    }
    if (json_array_size(cells) > 0)
        lv_list_boxes(c->out, c->has_headers ? headers : NULL, count, cells);
    json_decref(cells);
}

/* ---- the other formats ---- */

static void print_table(struct lv_cli *c, const json_t *rows, const struct lv_cli_column *columns,
                        size_t count)
{
    json_t *row;
    size_t i;

    for (size_t j = 0; c->has_headers && j < count && json_array_size(rows) > 0; j++)
        fprintf(c->out, "%s%c", columns[j].name, j + 1 < count ? '\t' : '\n');
    json_array_foreach(rows, i, row)
    {
        for (size_t j = 0; j < count; j++) {
            char *text = cell_text(row, &columns[j]);
            fprintf(c->out, "%s%c", text, j + 1 < count ? '\t' : '\n');
            free(text);
        }
    }
}

static void put_csv(FILE *out, const char *text, bool is_last)
{
    fputc('"', out);
    for (; *text != '\0'; text++)
        fprintf(out, *text == '"' ? "\"%c" : "%c", *text);
    fputs(is_last ? "\"\n" : "\",", out);
}

static void print_csv(struct lv_cli *c, const json_t *rows, const struct lv_cli_column *columns,
                      size_t count)
{
    json_t *row;
    size_t i;

    for (size_t j = 0; c->has_headers && j < count && json_array_size(rows) > 0; j++)
        put_csv(c->out, columns[j].name, j + 1 == count);
    json_array_foreach(rows, i, row)
    {
        for (size_t j = 0; j < count; j++) {
            char *text = cell_text(row, &columns[j]);
            put_csv(c->out, text, j + 1 == count);
            free(text);
        }
    }
}

static json_t *object_of(const json_t *row, const struct lv_cli_column *columns, size_t count,
                         bool has_empty)
{
    json_t *object = json_object();

    for (size_t j = 0; j < count; j++) {
        const json_t *value = cell(row, &columns[j]);
        if (columns[j].path[0] == '=')
            json_object_set_new(object, columns[j].name, json_string(columns[j].path + 1));
        else if (has_empty || (value != NULL && !json_is_null(value)))
            json_object_set_new(object, columns[j].name, lv_cli_value_json(value, columns[j].kind));
    }
    return object;
}

static void print_json(struct lv_cli *c, const json_t *rows, const struct lv_cli_column *columns,
                       size_t count)
{
    bool is_stream = c->format == LV_CLI_FORMAT_JSON_STREAM;
    json_t *row;
    size_t i;

    fputs(is_stream ? "" : "[\n", c->out);
    json_array_foreach(rows, i, row)
    {
        json_t *object = object_of(row, columns, count, true);
        char *text = lv_need(json_dumps(object, JSON_COMPACT));
        fprintf(c->out, is_stream ? "%s%s\n\n" : "%s%s\n", is_stream || i == 0 ? "" : ",", text);
        free(text);
        json_decref(object);
    }
    fputs(is_stream ? "" : "]\n", c->out);
}

static void print_erlang(struct lv_cli *c, const json_t *rows, const struct lv_cli_column *columns,
                         size_t count)
{
    json_t *row;
    size_t i;

    fputc('[', c->out);
    json_array_foreach(rows, i, row)
    {
        fputs(i > 0 ? ",\n [" : "[", c->out);
        for (size_t j = 0; j < count; j++) {
            bool is_text = columns[j].path[0] == '=';
            char *term = is_text ? cell_text(row, &columns[j])
                                 : lv_cli_value_erlang(cell(row, &columns[j]), columns[j].kind);
            fprintf(c->out, "%s{%s,%s}", j > 0 ? "," : "", columns[j].name, term);
            free(term);
        }
        fputc(']', c->out);
    }
    fputs("]\n", c->out);
}

void lv_list_print(struct lv_cli *c, const json_t *rows, const struct lv_cli_column *columns,
                   size_t column_count)
{
    switch (c->format) {
    case LV_CLI_FORMAT_TABLE:
        print_table(c, rows, columns, column_count);
        break;
    case LV_CLI_FORMAT_CSV:
        print_csv(c, rows, columns, column_count);
        break;
    case LV_CLI_FORMAT_JSON:
    case LV_CLI_FORMAT_JSON_STREAM:
        print_json(c, rows, columns, column_count);
        break;
    case LV_CLI_FORMAT_PRETTY:
        print_pretty(c, rows, columns, column_count);
        break;
    case LV_CLI_FORMAT_ERLANG:
        print_erlang(c, rows, columns, column_count);
        break;
    }
}

/* ---- a row of command.def ---- */

static int no_column(struct lv_cli *c, const char *name)
{
    fprintf(stderr,
            "Error (argument validation): Info key(s) %s are not supported\nArguments given:\n\t",
            name);
    for (int i = 0; i < c->argc; i++)
        fprintf(stderr, "%s%s", i > 0 ? " " : "", c->argv[i]);
    fputs("\n\n" BOLD "Usage" PLAIN "\n\n", stderr);
    lv_cli_usage(c, c->command, stderr);
    return EX_USAGE;
}

/* Names parted by blanks or commas; EX_OK or the exit code. */
static int add_columns(struct lv_cli *c, const char *names, struct lv_cli_column *columns,
                       size_t *count)
{
    for (names += strspn(names, " ,"); *names != '\0'; names += strspn(names, " ,")) {
        size_t len = strcspn(names, " ,");
        const struct lv_cli_column *known = lv_cli_column_find(c->command->name, names, len);
        if (known == NULL) {
            char *name = lv_keep(strndup(names, len));
            return no_column(c, name);
        }
        if (*count < LV_LIST_COLUMNS_MAX)
            columns[(*count)++] = *known;
        names += len;
    }
    return EX_OK;
}

static int read_columns(struct lv_cli *c, struct lv_cli_column *columns, size_t *count)
{
    int code = EX_OK;

    const char *usual = c->command->body;

    *count = 0;
    if (usual[0] == '-')
        c->has_headers = false;
    if (c->rest_count == 0)
        return add_columns(c, usual + (usual[0] == '-'), columns, count);
    for (size_t i = 0; i < c->rest_count && code == EX_OK; i++)
        code = add_columns(c, c->rest[i], columns, count);
    return code;
}

/* The path, with what is needed of each row: a broker of many queues need not send more. */
static char *path_with_columns(const char *path, size_t path_len,
                               const struct lv_cli_column *columns, size_t count, const char *where)
{
    char *text = NULL;
    size_t size;
    FILE *out = lv_need(open_memstream(&text, &size));
    const char *between = "?columns=";

    fprintf(out, "%.*s", (int)path_len, path);
    for (size_t i = 0; i < count; i++) {
        if (columns[i].path[0] == '=')
            continue;
        fprintf(out, "%s%s", between, columns[i].path);
        between = ",";
    }
    if (where != NULL)
        fprintf(out, "%s%.*s", between, (int)strcspn(where, "="), where);
    fclose(out);
    return lv_need(text);
}

/* Drops the rows whose `key` is not `value`. */
static void keep_where(json_t *rows, const char *key, const char *value)
{
    for (size_t i = json_array_size(rows); i-- > 0;) {
        const char *got = json_string_value(json_object_get(json_array_get(rows, i), key));
        if (got == NULL || strcmp(got, value) != 0)
            json_array_remove(rows, i);
    }
}

static bool filter(struct lv_cli *c, json_t *rows, const char *where)
{
    char *text = lv_cli_text(c, where, NULL);

    if (text == NULL)
        return false;
    char *value = strchr(text, '=');
    *value++ = '\0';
    keep_where(rows, text, value);
    free(text);
    return true;
}

/* Lists that a whole row is small in need no choice of columns; those of queues and clients do. */
static bool is_wide(const struct lv_cli_command *command)
{
    return strstr(command->options, "watch") != NULL;
}

int lv_list_run(struct lv_cli *c)
{
    struct lv_cli_column columns[LV_LIST_COLUMNS_MAX];
    size_t count;
    const char *path = c->command->path, *bar = strchr(path, '|');
    const char *where = bar != NULL ? bar + 1 : NULL;

    int code = read_columns(c, columns, &count);
    if (code != EX_OK)
        return code;
    if (!lv_cli_banner(c, c->command->banner))
        return c->fault.code;
    if (lv_cli_has(c, "used"))
        path = "/deprecated-features/used";
    if (lv_cli_has(c, "offline"))
        where = "state=down";
    size_t path_len = strcspn(path, "|");
    char *template = path_with_columns(path, path_len, columns, is_wide(c->command) ? count : 0,
                                       is_wide(c->command) ? where : NULL);
    json_t *rows = lv_cli_get(c, template, c->command->errors);
    free(template);
    if (rows == NULL)
        return c->fault.code;
    if (!json_is_array(rows))
        code = lv_cli_fail(c, EX_PROTOCOL, "the broker's answer is no list");
    else if (where != NULL && !filter(c, rows, where))
        code = c->fault.code;
    else
        lv_list_print(c, rows, columns, count);
    json_decref(rows);
    return code;
}
