/* The formats of rabbitmqadmin's lists: those of its first version, and the table styles of its second. */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "admin.h"
#include "value.h"

#define COLUMNS_MAX 128
#define RULE_WIDTH 80

/* Cells as text: rows * columns of them, each on the heap. */
struct grid {
    char *names[COLUMNS_MAX];
    size_t columns, rows;
    char **cells;
};

static char *cell(const struct grid *g, size_t row, size_t column)
{
    return g->cells[row * g->columns + column];
}

/* ---- which columns ---- */

static bool has_column(const struct grid *g, const char *name)
{
    for (size_t j = 0; j < g->columns; j++)
        if (strcmp(g->names[j], name) == 0)
            return true;
    return false;
}

static void add_column(struct grid *g, const char *name)
{
    if (g->columns < COLUMNS_MAX && !has_column(g, name))
        g->names[g->columns++] = lv_need(strdup(name));
}

/* Every scalar of the row, and of the objects in it down to `depth`. Values that are JSON themselves are scalars too. */
static void gather(struct grid *g, const json_t *object, const char *prefix, long depth)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)object, key, value)
    {
        char name[256];
        snprintf(name, sizeof(name), "%s%s%s", prefix, prefix[0] != '\0' ? "." : "", key);
        bool is_document = strcmp(key, "definition") == 0 || strcmp(key, "value") == 0;
        if (!json_is_object(value) || is_document) {
            add_column(g, name);
        } else if (depth > 1 && json_object_size(value) > 0) {
            gather(g, value, name, depth - 1);
        }
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* vhost and name lead, the rest follows by the alphabet. */
static void order(struct grid *g)
{
    static const char *const first[] = { "vhost", "name" };
    size_t lead = 0;

    for (size_t k = 0; k < sizeof(first) / sizeof(first[0]); k++) {
        for (size_t j = lead; j < g->columns; j++) {
            if (strcmp(g->names[j], first[k]) != 0)
                continue;
            char *name = g->names[j];
            g->names[j] = g->names[lead];
            g->names[lead++] = name;
            break;
        }
    }
    qsort(g->names + lead, g->columns - lead, sizeof(g->names[0]), by_name);
}

static void choose_columns(struct grid *g, const json_t *rows, const char *columns, long depth)
{
    json_t *row;
    size_t i;

    for (; columns != NULL && *columns != '\0'; columns += strspn(columns, ", ")) {
        char name[256];
        size_t len = strcspn(columns, ", ");
        snprintf(name, sizeof(name), "%.*s", (int)len, columns);
        add_column(g, name);
        columns += len;
    }
    if (g->columns > 0)
        return;
    json_array_foreach(rows, i, row) gather(g, row, "", depth);
    order(g);
}

/* What the second version calls some columns; NULL: nothing else. */
const char *lv_admin_column_alias(const char *name)
{
    static const char *const also[][2] = { { "queue_type", "type" },
                                           { "exchange_type", "type" },
                                           { "message_count", "messages" },
                                           { "apply_to", "apply-to" } };

    for (size_t i = 0; i < sizeof(also) / sizeof(also[0]); i++)
        if (strcmp(also[i][0], name) == 0)
            return also[i][1];
    return NULL;
}

static const json_t *value_of(const json_t *row, const char *name)
{
    const json_t *value = lv_cli_value_at(row, name, strlen(name));
    const char *alias = value == NULL ? lv_admin_column_alias(name) : NULL;

    return alias != NULL ? lv_cli_value_at(row, alias, strlen(alias)) : value;
}

/* The first version writes as Python does, the second does not. */
static char *text_of(const struct lv_cli *c, const json_t *value)
{
    if (c->is_second && (json_is_boolean(value) || json_is_null(value)))
        return lv_cli_value_text(value, LV_CLI_PLAIN);
    return lv_cli_value_python(value);
}

/* A value that is not there is empty in tables, and None where its name stands beside it. */
static void fill(const struct lv_cli *c, struct grid *g, const json_t *rows, bool has_none)
{
    g->rows = json_array_size(rows);
    g->cells = lv_need(calloc(g->rows * g->columns + 1, sizeof(*g->cells)));
    for (size_t i = 0; i < g->rows; i++) {
        for (size_t j = 0; j < g->columns; j++) {
            const json_t *value = value_of(json_array_get(rows, i), g->names[j]);
            bool is_blank = json_is_null(value) && !has_none;
            g->cells[i * g->columns + j] = text_of(c, is_blank ? NULL : value);
        }
    }
}

static void empty(struct grid *g)
{
    for (size_t i = 0; i < g->rows * g->columns; i++)
        free(g->cells[i]);
    for (size_t j = 0; j < g->columns; j++)
        free(g->names[j]);
    free(g->cells);
}

/* ---- boxes ---- */

struct rule {
    const char *left, *line, *middle, *right; /* line NULL: no such rule */
};

/* How the lines of a table are drawn. */
static const struct style {
    const char *name;
    struct rule top, below_header, between, bottom;
    const char *left, *middle, *right;
    size_t indent;    /* blanks before a cell */
    bool is_centered; /* headers */
} styles[] = {
    /* clang-format off */
    { "v1", { "+", "-", "+", "+" }, { "+", "-", "+", "+" }, { 0 }, { "+", "-", "+", "+" },
      "|", "|", "|", 1, true },
    { "modern", { "╭", "─", "┬", "╮" }, { "├", "─", "┼", "┤" }, { 0 }, { "╰", "─", "┴", "╯" },
      "│", "│", "│", 1, false },
    { "sharp", { "┌", "─", "┬", "┐" }, { "├", "─", "┼", "┤" }, { 0 }, { "└", "─", "┴", "┘" },
      "│", "│", "│", 1, false },
    { "ascii", { "+", "-", "+", "+" }, { "+", "-", "+", "+" }, { "+", "-", "+", "+" }, { "+", "-", "+", "+" },
      "|", "|", "|", 1, false },
    { "dots", { ".", ".", ".", "." }, { ":", ".", ":", ":" }, { ":", ".", ":", ":" }, { ":", ".", ":", ":" },
      ":", ":", ":", 1, false },
    { "psql", { 0 }, { "", "-", "+", "" }, { 0 }, { 0 }, "", "|", "", 1, false },
    { "markdown", { 0 }, { "|", "-", "|", "|" }, { 0 }, { 0 }, "|", "|", "|", 1, false },
    { "borderless", { 0 }, { 0 }, { 0 }, { 0 }, "", " ", "", 1, false },
    { "bare", { 0 }, { 0 }, { 0 }, { 0 }, "", " ", "", 0, false }, /* for scripts */
    /* clang-format on */
};

static const struct style *find_style(const char *name)
{
    for (size_t i = 0; i < sizeof(styles) / sizeof(styles[0]); i++)
        if (strcmp(styles[i].name, name) == 0)
            return &styles[i];
    return NULL;
}

static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void draw_rule(FILE *out, const struct rule *rule, const size_t *widths, size_t columns)
{
    if (rule->line == NULL)
        return;
    for (size_t j = 0; j < columns; j++) {
        fputs(j == 0 ? rule->left : rule->middle, out);
        for (size_t k = 0; k < widths[j] + 2; k++)
            fputs(rule->line, out);
    }
    fprintf(out, "%s\n", rule->right);
}

static void draw_cell(FILE *out, const struct style *s, const char *text, size_t width,
                      bool is_centered)
{
    size_t len = width_of(text), pad = width + s->indent + 1 - len;
    size_t left = is_centered ? pad / 2 : s->indent;

    fprintf(out, "%*s%s%*s", (int)left, "", text, (int)(pad - left), "");
}

static void draw_row(FILE *out, const struct style *s, char *const *cells, const size_t *widths,
                     size_t columns, bool is_centered)
{
    for (size_t j = 0; j < columns; j++) {
        fputs(j == 0 ? s->left : s->middle, out);
        draw_cell(out, s, cells[j], widths[j], is_centered);
    }
    fprintf(out, "%s\n", s->right);
}

static void print_boxes(FILE *out, const struct grid *g, const struct style *s, bool has_header)
{
    size_t widths[COLUMNS_MAX];

    for (size_t j = 0; j < g->columns; j++) {
        widths[j] = has_header ? width_of(g->names[j]) : 0;
        for (size_t i = 0; i < g->rows; i++) {
            size_t width = width_of(cell(g, i, j));
            widths[j] = width > widths[j] ? width : widths[j];
        }
    }
    draw_rule(out, &s->top, widths, g->columns);
    if (has_header) {
        draw_row(out, s, g->names, widths, g->columns, s->is_centered);
        draw_rule(out, &s->below_header, widths, g->columns);
    }
    for (size_t i = 0; i < g->rows; i++) {
        draw_row(out, s, g->cells + i * g->columns, widths, g->columns, false);
        if (i + 1 < g->rows)
            draw_rule(out, &s->between, widths, g->columns);
    }
    draw_rule(out, &s->bottom, widths, g->columns);
}

/* ---- the others ---- */

static void print_rule(FILE *out)
{
    for (int i = 0; i < RULE_WIDTH; i++)
        fputc('-', out);
    fputs("\n\n", out);
}

static void print_long(FILE *out, const struct grid *g)
{
    size_t width = 0;

    for (size_t j = 0; j < g->columns; j++)
        width = width_of(g->names[j]) > width ? width_of(g->names[j]) : width;
    fputc('\n', out);
    print_rule(out);
    for (size_t i = 0; i < g->rows; i++) {
        for (size_t j = 0; j < g->columns; j++)
            fprintf(out, "%*s%s: %s\n", (int)(width - width_of(g->names[j])), "", g->names[j],
                    cell(g, i, j));
        fputc('\n', out);
        print_rule(out);
    }
}

static void print_tsv(FILE *out, const struct grid *g, bool has_header)
{
    for (size_t j = 0; has_header && j < g->columns; j++)
        fprintf(out, "%s%c", g->names[j], j + 1 < g->columns ? '\t' : '\n');
    for (size_t i = 0; i < g->rows; i++)
        for (size_t j = 0; j < g->columns; j++)
            fprintf(out, "%s%c", cell(g, i, j), j + 1 < g->columns ? '\t' : '\n');
}

static void print_kvp(FILE *out, const struct grid *g)
{
    for (size_t i = 0; i < g->rows; i++)
        for (size_t j = 0; j < g->columns; j++)
            fprintf(out, "%s=\"%s\"%c", g->names[j], cell(g, i, j), j + 1 < g->columns ? ' ' : '\n');
}

static void print_bash(FILE *out, const struct grid *g)
{
    for (size_t j = 0; j < g->columns; j++)
        for (size_t i = 0; strcmp(g->names[j], "name") == 0 && i < g->rows; i++)
            fprintf(out, "%s%s", i > 0 ? " " : "", cell(g, i, j));
    fputc('\n', out);
}

static void print_json(FILE *out, const json_t *rows, bool is_pretty)
{
    json_dumpf(rows, out, is_pretty ? JSON_INDENT(2) : JSON_COMPACT);
    fputc('\n', out);
}

static int print_grid(struct lv_cli *c, struct grid *g, const char *format)
{
    const char *style_name = lv_cli_var(c, "table_style");
    bool is_script = lv_cli_has(c, "non_interactive");
    const char *usual = is_script ? "bare" : c->is_second ? "modern" : "v1";
    const struct style *style = find_style(style_name != NULL ? style_name : usual);

    if (style == NULL)
        return lv_cli_fail(c, EX_USAGE, "no table style '%s'", style_name);
    if (g->rows == 0 && !is_script && !c->is_second)
        fputs("No items\n", c->out);
    else if (strcmp(format, "long") == 0)
        print_long(c->out, g);
    else if (strcmp(format, "kvp") == 0)
        print_kvp(c->out, g);
    else if (strcmp(format, "bash") == 0)
        print_bash(c->out, g);
    else if (strcmp(format, "tsv") != 0 && strcmp(format, "table") != 0)
        return lv_cli_fail(c, EX_USAGE,
                           "no format '%s': table, long, tsv, kvp, bash, raw_json or pretty_json",
                           format);
    if (strcmp(format, "tsv") == 0 && g->rows > 0)
        print_tsv(c->out, g, !is_script);
    else if (strcmp(format, "table") == 0 && g->rows > 0)
        print_boxes(c->out, g, style, !is_script);
    return EX_OK;
}

int lv_admin_print(struct lv_cli *c, const json_t *rows, const char *columns)
{
    struct grid g = { 0 };
    const char *format = lv_cli_var(c, "format");
    long depth;

    if (!lv_cli_number(c, "depth", 1, &depth))
        return c->fault.code;
    if (strcmp(format, "raw_json") == 0 || strcmp(format, "pretty_json") == 0) {
        print_json(c->out, rows, format[0] == 'p');
        return EX_OK;
    }
    choose_columns(&g, rows, columns, depth);
    fill(c, &g, rows, strcmp(format, "long") == 0 || strcmp(format, "kvp") == 0);
    int code = print_grid(c, &g, format);
    empty(&g);
    return code;
}
