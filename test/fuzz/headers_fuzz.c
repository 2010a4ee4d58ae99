/* Field tables out of the input, each after its length in two bytes: the first is a message's headers, the others are
 * the arguments of bindings. The headers exchange must say what the naive matcher says, binding by binding. */
#include "route/route.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/table.h"

enum { BINDINGS = 16 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

static size_t split(struct lv_bytes input, struct lv_bytes out[BINDINGS + 1])
{
    struct lv_rd at = lv_rd(input);
    size_t count = 0;

    while (count <= BINDINGS) {
        uint16_t len = lv_rd_u16(&at);
        struct lv_bytes table = lv_rd_bytes(&at, len);
        if (at.bad)
            break;
        if (lv_table_check(table) == LV_OK)
            out[count++] = table;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct lv_bytes no_key = { NULL, 0 };
    struct lv_bytes tables[BINDINGS + 1];
    struct lv_dest queues[BINDINGS + 1];
    bool is_bound[BINDINGS + 1];
    char names[BINDINGS + 1];
    struct lv_router r;
    struct lv_route rt;
    size_t count = split(lv_bytes(data, size), tables);

    if (count == 0)
        return 0;
    must(lv_router_init(&r, &lv_reclaim_now) == LV_OK);
    lv_route_init(&rt);
    struct lv_exchange *x = lv_router_exchange(&r, LV_BYTES_LIT("amq.headers"));
    for (size_t i = 1; i < count; i++) {
        names[i] = (char)('a' + i);
        queues[i].name.key = lv_bytes(&names[i], 1);
        must(lv_router_add_queue(&r, &queues[i]) == LV_OK);
        enum lv_err err = lv_router_bind(&r, x, &queues[i], no_key, tables[i]);
        must(err == LV_OK || err == LV_EINVAL);
        is_bound[i] = err == LV_OK;
    }
    struct lv_route_query query = { .headers = tables[0] };
    must(lv_route(&r, x, &query, &rt) == LV_OK);
    for (size_t i = 1; i < count; i++) {
        bool found = false;
        for (size_t j = 0; j < rt.count; j++)
            found = found || rt.queues[j] == &queues[i];
        must(found == (is_bound[i] && lv_headers_match(tables[i], tables[0])));
    }
    for (size_t i = 1; i < count; i++)
        if (is_bound[i])
            must(lv_router_unbind(&r, x, &queues[i], no_key, tables[i]) == LV_OK);
    must(lv_route(&r, x, &query, &rt) == LV_OK && rt.count == 0);
    for (size_t i = 1; i < count; i++)
        lv_router_remove_queue(&r, &queues[i]);
    lv_route_fini(&rt);
    lv_router_fini(&r);
    must(lv_mem_used(LV_TAG_ROUTE) == 0);
    return 0;
}
