/* Texts, paths and bodies that a row of command.def describes. */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli.h"
#include "value.h"

#define DEFAULT_TIMEOUT_MS 60000L

/* Where the text goes; in a path every value is percent-encoded. */
struct writer {
    FILE *out;
    bool is_path;
};

static void put(struct writer *w, const char *value)
{
    static const char digits[] = "0123456789ABCDEF";
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    if (!w->is_path) {
        fputs(value, w->out);
        return;
    }
    /* Only the default exchange has no name, and in a path it is called so. */
    if (value[0] == '\0')
        fputs("amq.default", w->out);
    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;
        if (strchr(plain, c) != NULL)
            fputc(c, w->out);
        else
            fprintf(w->out, "%%%c%c", digits[c >> 4], digits[c & 15]);
    }
}

/* One of the few names that are no variables; NULL and no fault: not one of them. `buf` may hold the value. */
static const char *computed(struct lv_cli *c, const char *name, char *buf, size_t size)
{
    long timeout_ms = DEFAULT_TIMEOUT_MS;

    if (strcmp(name, "node") == 0)
        return lv_cli_node(c);
    if (strcmp(name, "timeout_ms") != 0 && strcmp(name, "timeout_s") != 0)
        return NULL;
    if (lv_cli_has(c, "timeout") && lv_cli_number(c, "timeout", 0, &timeout_ms))
        timeout_ms *= 1000;
    if (strcmp(name, "timeout_ms") == 0)
        snprintf(buf, size, "%ld", timeout_ms);
    else
        snprintf(buf, size, "%ld.0", timeout_ms / 1000);
    return buf;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A list is told sorted: brokers have it in any order. */
static void put_list(struct writer *w, const json_t *list)
{
    size_t count = json_array_size(list);
    char **words = lv_need(calloc(count + 1, sizeof(*words)));

    for (size_t i = 0; i < count; i++)
        words[i] = lv_cli_value_text(json_array_get(list, i), LV_CLI_PLAIN);
    qsort(words, count, sizeof(*words), by_text);
    for (size_t i = 0; i < count; i++) {
        put(w, i > 0 ? ", " : "");
        put(w, words[i]);
        free(words[i]);
    }
    free(words);
}

static void put_answer(struct writer *w, const json_t *answer, const char *path)
{
    const json_t *value = lv_cli_value_at(answer, path, strlen(path));

    if (json_is_array(value)) {
        put_list(w, value);
        return;
    }
    char *text = lv_cli_value_text(value, LV_CLI_PLAIN);
    put(w, text);
    free(text);
}

static bool put_name(struct lv_cli *c, struct writer *w, char *name, const json_t *answer)
{
    char buf[32], *by_default = strchr(name, '|');

    if (by_default != NULL)
        *by_default++ = '\0';
    if (name[0] == '.') {
        put_answer(w, answer, name + 1);
        return true;
    }
    const char *value = lv_cli_var(c, name);
    if (value == NULL || strcmp(name, "node") == 0)
        value = computed(c, name, buf, sizeof(buf));
    if (value == NULL && c->fault.code != EX_OK)
        return false;
    if (value == NULL)
        value = by_default != NULL ? by_default : "";
    put(w, value);
    return true;
}

static char *expand(struct lv_cli *c, const char *template, const json_t *answer, bool is_path)
{
    char *text = NULL;
    size_t size;
    bool is_good = true;
    struct writer w = { lv_need(open_memstream(&text, &size)), is_path };

    while (*template != '\0' && is_good) {
        char name[64];
        size_t len = template[0] == '{' ? strcspn(template, "}") : 0;
        if (len < 2 || len > sizeof(name) || template[len] != '}') {
            fputc(*template ++, w.out);
            continue;
        }
        memcpy(name, template + 1, len - 1);
        name[len - 1] = '\0';
        is_good = put_name(c, &w, name, answer);
        template += len + 1;
    }
    fclose(w.out);
    if (is_good)
        return lv_need(text);
    free(text);
    return NULL;
}

char *lv_cli_text(struct lv_cli *c, const char *template, const json_t *answer)
{
    return expand(c, template, answer, false);
}

char *lv_cli_path(struct lv_cli *c, const char *template)
{
    return expand(c, template, NULL, true);
}

/* ---- bodies ---- */

static json_t *list_of(const char *text)
{
    json_t *list = json_array();

    for (; *text != '\0'; text += strspn(text, ", ")) {
        size_t len = strcspn(text, ", ");
        if (len != 0)
            json_array_append_new(list, json_stringn(text, len));
        text += len;
    }
    return list;
}

static json_t *number_of(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

    if (json_is_number(value))
        return value;
    json_decref(value);
    return NULL;
}

static json_t *value_of(const char *text, char kind)
{
    switch (kind) {
    case 'n':
        return number_of(text);
    case 'j':
        return json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    case 'l':
        return list_of(text);
    case 'b':
        if (strcasecmp(text, "true") == 0)
            return json_true();
        return strcasecmp(text, "false") == 0 ? json_false() : NULL;
    default:
        return json_string(text);
    }
}

/* "key=variable:kind" in parts. */
struct member {
    char key[64], variable[64], kind;
};

static void split(const char *word, size_t len, struct member *m)
{
    const char *colon = memchr(word, ':', len);
    size_t names = colon != NULL ? (size_t)(colon - word) : len;
    const char *equals = memchr(word, '=', names);
    size_t key = equals != NULL ? (size_t)(equals - word) : names;
    const char *variable = equals != NULL ? equals + 1 : word;

    m->kind = colon != NULL ? colon[1] : 's';
    snprintf(m->key, sizeof(m->key), "%.*s", (int)key, word);
    snprintf(m->variable, sizeof(m->variable), "%.*s", (int)(word + names - variable), variable);
}

static int bad_value(struct lv_cli *c, const struct member *m, const char *text)
{
    static const char *const kinds[][2] = { { "n", "a number" },
                                            { "b", "true or false" },
                                            { "j", "JSON" },
                                            { "s", "UTF-8 text" },
                                            { "l", "UTF-8 text" } };
    const char *kind = "";

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i][0][0] == m->kind)
            kind = kinds[i][1];
    return lv_cli_fail(c, m->kind == 'j' ? EX_UNAVAILABLE : EX_DATAERR, "%s is not %s: %s",
                       m->variable, kind, text);
}

json_t *lv_cli_body(struct lv_cli *c, const char *members)
{
    json_t *body = json_object();
    const char *word;
    size_t len;

    while (lv_cli_word(&members, &word, &len)) {
        struct member m;
        split(word, len, &m);
        const char *text = lv_cli_var(c, m.variable);
        if (text == NULL)
            continue;
        json_t *value = value_of(text, m.kind);
        if (value == NULL) {
            bad_value(c, &m, text);
            json_decref(body);
            return NULL;
        }
        json_object_set_new(body, m.key, value);
    }
    return body;
}
