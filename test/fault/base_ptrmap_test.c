/* A map whose memory runs out stays as it was, and works again when there is some. */
#include "base/hash.h"
#include "base/mem.h"
#include "base/ptrmap.h"

#include <stdio.h>

#include "lv_test.h"

enum { ENTRIES = 200 };

struct entry {
    struct lv_ptrmap_entry e;
    char name[16];
};

/* Adds all entries with the n-th allocation failing; each add that failed is tried once more. False: none failed. */
static bool fill(struct lv_ptrmap *m, struct entry *all, uint64_t nth)
{
    bool has_failed = false;

    lv_mem_fail_at(nth);
    for (size_t i = 0; i < ENTRIES; i++) {
        enum lv_err err = lv_ptrmap_add(m, &all[i].e);
        if (err != LV_OK) {
            CHECK_EQ(err, LV_ENOMEM);
            CHECK_EQ(m->count, i);
            CHECK(lv_ptrmap_get(m, all[i].e.key, all[i].e.hash) == NULL);
            for (size_t k = 0; k < i; k++)
                CHECK(lv_ptrmap_get(m, all[k].e.key, all[k].e.hash) == &all[k].e);
            has_failed = true;
            CHECK_EQ(lv_ptrmap_add(m, &all[i].e), LV_OK);
        }
    }
    lv_mem_fail_at(0);
    return has_failed;
}

LV_TEST(ptrmap_without_memory_is_unchanged)
{
    static struct entry all[ENTRIES];
    int64_t before = lv_mem_used(LV_TAG_BASE);
    bool has_failed = true;

    for (int i = 0; i < ENTRIES; i++) {
        int len = snprintf(all[i].name, sizeof(all[i].name), "%d", i);
        all[i].e.key = lv_bytes(all[i].name, (size_t)len);
        all[i].e.hash = lv_hash(all[i].e.key, 0);
    }
    for (uint64_t nth = 1; has_failed; nth++) {
        struct lv_ptrmap m;
        lv_ptrmap_init(&m, &lv_reclaim_now);
        has_failed = fill(&m, all, nth);
        for (size_t i = 0; i < ENTRIES; i++)
            CHECK(lv_ptrmap_get(&m, all[i].e.key, all[i].e.hash) == &all[i].e);
        lv_ptrmap_fini(&m);
        CHECK_EQ(lv_mem_used(LV_TAG_BASE), before);
    }
}
