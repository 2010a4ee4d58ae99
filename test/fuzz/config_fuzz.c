/* A configuration file out of the input. Whatever it is, every note has a place in it; and if it is good, what `leveret
 * config list` would print of it is good too and prints the same again. */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* "f:LINE:COLUMN: ..." lies in the text. */
static void check_place(const char *note, struct lv_bytes text)
{
    unsigned line, column, n = 1;
    const uint8_t *at = text.ptr, *end = text.ptr + text.len;

    must(sscanf(note, "f:%u:%u: ", &line, &column) == 2); // NOLINT(cert-err34-c): the numbers are ours
    for (; n < line; n++) {
        at = memchr(at, '\n', (size_t)(end - at));
        must(at != NULL);
        at++;
    }
    const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));
    size_t len = (size_t)((stop != NULL ? stop : end) - at);
    must(column >= 1 && column <= len + 1);
}

/* Cuts the origins off. */
static char *list(const struct lv_config *c)
{
    size_t wanted = lv_config_list(c, true, NULL, 0) + 1;
    char *text = malloc(wanted), *to = text;

    must(text != NULL && lv_config_list(c, true, text, wanted) == wanted - 1);
    for (const char *at = text; *at != '\0';) {
        if (strncmp(at, "   # f:", 7) == 0)
            at += strcspn(at, "\n");
        else
            *to++ = *at++;
    }
    *to = '\0';
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct lv_bytes mark = LV_BYTES_LIT("\xEF\xBB\xBF");
    const struct lv_config_note *note;
    struct lv_bytes text = lv_bytes(data, size);
    struct lv_config *c, *again;
    bool has_error = false;

    if (size == 0)
        return 0;
    enum lv_err err = lv_config_check_text("f", text, &c);
    must(err == LV_OK || err == LV_EINVAL);
    if (lv_bytes_has_prefix(text, mark))
        text = lv_bytes(text.ptr + mark.len, text.len - mark.len);
    for (size_t i = 0; (note = lv_config_note(c, i)) != NULL; i++) {
        has_error = has_error || note->is_error;
        if (strncmp(note->text, "f:", 2) == 0)
            check_place(note->text, text);
    }
    must(has_error == (err != LV_OK));
    if (err == LV_OK) {
        char *first = list(c);
        must(lv_config_check_text("f", lv_bytes_str(first), &again) == LV_OK);
        char *second = list(again);
        must(strcmp(first, second) == 0);
        free(first);
        free(second);
        lv_config_free(again);
    }
    lv_config_free(c);
    must(lv_mem_used(LV_TAG_CONFIG) == 0);
    return 0;
}
