/* Messages: borrowed until somebody keeps them, then one block for all who hold it. */
#include "base/mem.h"
#include "engine/message.h"
#include "lv_test.h"

#include <pthread.h>

static struct lv_msg borrowed(const char *body)
{
    return (struct lv_msg){
        .exchange_len = 6,
        .key_len = 3,
        .props_len = 2,
        .body_len = (uint32_t)strlen(body),
        .priority = 7,
        .persistent = true,
        .has_expiration = true,
        .ttl = 60000,
        .exchange = (const uint8_t *)"logs.x",
        .key = (const uint8_t *)"a.b",
        .props = (const uint8_t *)"\x10\x00",
        .body = (const uint8_t *)body,
    };
}

LV_TEST(borrowed_costs_nothing)
{
    int64_t before = lv_mem_used(LV_TAG_MESSAGE);
    struct lv_msg m = borrowed("hello");

    lv_msg_done(&m);
    CHECK_EQ(lv_mem_used(LV_TAG_MESSAGE), before);
}

LV_TEST(kept_is_equal_and_outlives_its_source)
{
    char body[] = "hello";
    struct lv_msg m = borrowed(body);
    struct lv_msg *k = lv_msg_keep(&m);

    memset(body, 'x', sizeof(body) - 1);
    CHECK(k != &m);
    CHECK_EQ(k->priority, 7);
    CHECK_EQ(lv_msg_ttl_ms(k), 60000);
    CHECK(k->persistent && k->has_expiration && !k->shared);
    lv_msg_done(&m);
    CHECK(lv_bytes_eq(lv_msg_exchange(k), lv_bytes_str("logs.x")));
    CHECK(lv_bytes_eq(lv_msg_key(k), lv_bytes_str("a.b")));
    CHECK(lv_bytes_eq(lv_msg_props(k), lv_bytes("\x10\x00", 2)));
    CHECK(lv_bytes_eq(lv_msg_body(k), lv_bytes_str("hello")));
    CHECK(lv_msg_body_room(k) == k->body);
    lv_msg_unref(k);
}

LV_TEST(kept_once_however_often)
{
    int64_t before = lv_mem_used(LV_TAG_MESSAGE);
    struct lv_msg m = borrowed("hello");
    struct lv_msg *a = lv_msg_keep(&m), *b = lv_msg_keep(&m), *c = lv_msg_keep(a);

    CHECK(a == b && b == c);
    CHECK_EQ(a->refs, 4);
    lv_msg_done(&m);
    CHECK(m.kept == NULL);
    lv_msg_unref(a);
    lv_msg_unref(b);
    CHECK_EQ(c->refs, 1);
    lv_msg_unref(c);
    CHECK_EQ(lv_mem_used(LV_TAG_MESSAGE), before);
}

LV_TEST(empty_parts)
{
    struct lv_msg m = { 0 };
    struct lv_msg *k = lv_msg_keep(&m);

    lv_msg_done(&m);
    CHECK_EQ(lv_msg_body(k).len, 0);
    CHECK_EQ(lv_msg_exchange(k).len, 0);
    lv_msg_unref(k);
}

LV_TEST(longest_names)
{
    uint8_t name[255];
    memset(name, 'n', sizeof(name));
    struct lv_msg *m = lv_msg_new(lv_bytes(name, 255), lv_bytes(name, 255), lv_bytes(NULL, 0), 3);

    memcpy(lv_msg_body_room(m), "end", 3);
    CHECK(lv_bytes_eq(lv_msg_exchange(m), lv_bytes(name, 255)));
    CHECK(lv_bytes_eq(lv_msg_key(m), lv_bytes(name, 255)));
    CHECK(lv_bytes_eq(lv_msg_body(m), lv_bytes_str("end")));
    lv_msg_unref(m);
}

/* The promise of a small footprint: header and parts, nothing else. */
LV_TEST(small_message_stays_small)
{
    struct lv_bytes none = lv_bytes(NULL, 0);
    struct lv_msg *m = lv_msg_new(none, LV_BYTES_LIT("queue"), none, 16);

    CHECK(lv_msg_bytes(m) <= 72 + 5 + 16);
    lv_msg_unref(m);
}

LV_TEST(no_memory_keeps_nothing)
{
    int64_t before = lv_mem_used(LV_TAG_MESSAGE);
    struct lv_msg m = borrowed("hello");

    lv_mem_fail_at(1);
    CHECK(lv_msg_keep(&m) == NULL);
    CHECK(m.kept == NULL);
    struct lv_msg *k = lv_msg_keep(&m);
    CHECK(k != NULL);
    lv_msg_unref(k);
    lv_msg_done(&m);
    CHECK_EQ(lv_mem_used(LV_TAG_MESSAGE), before);
}

static void *keep_and_unref(void *arg)
{
    for (int i = 0; i < 20000; i++)
        lv_msg_unref(lv_msg_keep(arg));
    lv_msg_unref(arg);
    return NULL;
}

LV_TEST(shared_between_threads)
{
    enum { THREADS = 4 };
    int64_t before = lv_mem_used(LV_TAG_MESSAGE);
    pthread_t threads[THREADS];
    struct lv_msg m = borrowed("hello");
    struct lv_msg *k = lv_msg_keep(&m);

    lv_msg_done(&m);
    lv_msg_share(k);
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, keep_and_unref, lv_msg_keep(k)), 0);
    lv_msg_unref(k);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(lv_mem_used(LV_TAG_MESSAGE), before);
}
