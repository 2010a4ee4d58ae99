/* Patterns and a key out of the input, as lines: every pattern is bound, a few are unbound again, and the trie must say
 * what the naive matcher says, pattern by pattern. */
#include "route/route.h"

#include <stdlib.h>

#include "base/mem.h"

enum { PATTERNS = 16 };

struct line {
    struct lv_bytes text;
    bool is_unbound;
};

/* The lines of the input up to 255 bytes each; one that begins with '-' is unbound again. The first one is the key. */
static size_t split(struct lv_bytes input, struct line out[PATTERNS + 1])
{
    size_t count = 0;

    while (count <= PATTERNS && input.len != 0) {
        const uint8_t *end = memchr(input.ptr, '\n', input.len);
        size_t len = end != NULL ? (size_t)(end - input.ptr) : input.len;
        struct lv_bytes text = lv_bytes(input.ptr, LV_MIN(len, 255));
        bool is_unbound = count != 0 && text.len != 0 && text.ptr[0] == '-';
        if (is_unbound)
            text = lv_bytes(text.ptr + 1, text.len - 1);
        out[count++] = (struct line){ text, is_unbound };
        len += end != NULL;
        input = lv_bytes(input.ptr + len, input.len - len);
    }
    return count;
}

static void must(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct lv_bytes no_arguments = { NULL, 0 };
    struct line lines[PATTERNS + 1];
    struct lv_dest queues[PATTERNS + 1];
    char names[PATTERNS + 1];
    struct lv_router r;
    struct lv_route rt;
    size_t count = split(lv_bytes(data, size), lines);

    if (count == 0)
        return 0;
    must(lv_router_init(&r, &lv_reclaim_now) == LV_OK);
    lv_route_init(&rt);
    struct lv_exchange *x = lv_router_exchange(&r, LV_BYTES_LIT("amq.topic"));
    for (size_t i = 1; i < count; i++) {
        names[i] = (char)('a' + i);
        queues[i].name.key = lv_bytes(&names[i], 1);
        must(lv_router_add_queue(&r, &queues[i]) == LV_OK);
        must(lv_router_bind(&r, x, &queues[i], lines[i].text, no_arguments) == LV_OK);
    }
    for (size_t i = 1; i < count; i++)
        if (lines[i].is_unbound)
            must(lv_router_unbind(&r, x, &queues[i], lines[i].text, no_arguments) == LV_OK);
    struct lv_route_query query = { .key = lines[0].text };
    must(lv_route(&r, x, &query, &rt) == LV_OK);
    for (size_t i = 1; i < count; i++) {
        bool found = false;
        for (size_t j = 0; j < rt.count; j++)
            found = found || rt.queues[j] == &queues[i];
        must(found == (!lines[i].is_unbound && lv_topic_match(lines[i].text, lines[0].text)));
    }
    for (size_t i = 1; i < count; i++)
        lv_router_remove_queue(&r, &queues[i]);
    lv_route_fini(&rt);
    lv_router_fini(&r);
    must(lv_mem_used(LV_TAG_ROUTE) == 0);
    return 0;
}
