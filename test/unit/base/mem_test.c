/* base/mem.h: what is taken is counted, what is given back is uncounted, and the n-th request fails on demand. */
#include "base/mem.h"

#include <pthread.h>

#include "lv_test.h"

LV_TEST(use_is_counted_per_tag)
{
    int64_t before = lv_mem_used(LV_TAG_TEST), other = lv_mem_used(LV_TAG_QUEUE);
    char *p = lv_mem_alloc(1000, LV_TAG_TEST);

    CHECK(p != NULL);
    CHECK(lv_mem_used(LV_TAG_TEST) >= before + 1000);
    CHECK(lv_mem_used(LV_TAG_TEST) < before + 1100);
    CHECK_EQ(lv_mem_used(LV_TAG_QUEUE), other);
    p = lv_mem_realloc(p, 5000, LV_TAG_TEST);
    CHECK(p != NULL);
    CHECK(lv_mem_used(LV_TAG_TEST) >= before + 5000);
    CHECK(lv_mem_used(LV_TAG_TEST) < before + 5100);
    lv_mem_free(p, LV_TAG_TEST);
    CHECK_EQ(lv_mem_used(LV_TAG_TEST), before);
    lv_mem_free(NULL, LV_TAG_TEST);
    CHECK_EQ(lv_mem_used(LV_TAG_TEST), before);
}

LV_TEST(contents)
{
    uint8_t *zeros = lv_mem_zalloc(100, LV_TAG_TEST);
    char *copy = lv_mem_dup("hello", 6, LV_TAG_TEST), *empty = lv_mem_dup(NULL, 0, LV_TAG_TEST);
    char *grown = lv_mem_realloc(NULL, 3, LV_TAG_TEST);

    CHECK(zeros != NULL && copy != NULL && empty != NULL && grown != NULL);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(zeros[i], 0);
    CHECK_STR(copy, "hello");
    memcpy(grown, "ab", 3);
    grown = lv_mem_realloc(grown, 3000, LV_TAG_TEST);
    CHECK(grown != NULL);
    CHECK_STR(grown, "ab");
    lv_mem_free(zeros, LV_TAG_TEST);
    lv_mem_free(copy, LV_TAG_TEST);
    lv_mem_free(empty, LV_TAG_TEST);
    lv_mem_free(grown, LV_TAG_TEST);
}

LV_TEST(the_nth_request_fails_once)
{
    int64_t before = lv_mem_used(LV_TAG_TEST);

    lv_mem_fail_at(3);
    void *a = lv_mem_alloc(1, LV_TAG_TEST), *b = lv_mem_zalloc(1, LV_TAG_TEST);
    CHECK(a != NULL && b != NULL);
    CHECK(lv_mem_dup("x", 1, LV_TAG_TEST) == NULL);
    void *c = lv_mem_alloc(1, LV_TAG_TEST);
    CHECK(c != NULL);

    lv_mem_fail_at(1);
    CHECK(lv_mem_realloc(c, 100, LV_TAG_TEST) == NULL); /* and c is still there */
    lv_mem_fail_at(1);
    lv_mem_fail_at(0);
    void *d = lv_mem_alloc(1, LV_TAG_TEST);
    CHECK(d != NULL);
    lv_mem_free(a, LV_TAG_TEST);
    lv_mem_free(b, LV_TAG_TEST);
    lv_mem_free(c, LV_TAG_TEST);
    lv_mem_free(d, LV_TAG_TEST);
    CHECK_EQ(lv_mem_used(LV_TAG_TEST), before);
}

static void *free_elsewhere(void *ptr)
{
    lv_mem_free(ptr, LV_TAG_TEST);
    return NULL;
}

/* One thread takes, another gives back and ends: the sum is what counts. */
LV_TEST(the_sum_is_over_all_threads)
{
    int64_t before = lv_mem_used(LV_TAG_TEST);

    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        void *ptr = lv_mem_alloc(512, LV_TAG_TEST);
        CHECK(ptr != NULL);
        CHECK_EQ(pthread_create(&thread, NULL, free_elsewhere, ptr), 0);
        pthread_join(thread, NULL);
    }
    CHECK_EQ(lv_mem_used(LV_TAG_TEST), before);
}

LV_TEST(tags_have_names)
{
    CHECK_STR(lv_mem_tag_name(LV_TAG_BASE), "BASE");
    CHECK_STR(lv_mem_tag_name(LV_TAG_TEST), "TEST");
}
