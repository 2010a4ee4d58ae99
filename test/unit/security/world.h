/* A directory with a few records, for tests: put them by fields, take a pass, ask. */
#ifndef TEST_UNIT_SECURITY_WORLD_H
#define TEST_UNIT_SECURITY_WORLD_H
#include "lv_test.h"

#include "security/access.h"
#include "security/pass.h"

static struct lv_access *world;

static inline struct lv_bytes str(const char *s)
{
    return lv_bytes_str(s);
}

#define WORLD_PUT(NAME, name, record)                                                    \
    do {                                                                                 \
        static uint8_t key_[LV_ACCESS_KEY_BYTES_MAX], value_[LV_ACCESS_VALUE_BYTES_MAX]; \
        struct lv_wr k_ = lv_wr(key_, sizeof(key_)), v_ = lv_wr(value_, sizeof(value_)); \
        CHECK_EQ(lv_##name##_check(record), LV_OK);                                      \
        lv_##name##_key(&k_, record);                                                    \
        lv_##name##_value(&v_, record);                                                  \
        CHECK(lv_wr_ok(&k_) && lv_wr_ok(&v_));                                           \
        CHECK_EQ(lv_access_put(world, LV_ACCESS_##NAME, lv_bytes(key_, k_.used),         \
                               lv_bytes(value_, v_.used)),                               \
                 LV_OK);                                                                 \
    } while (0)

static inline struct lv_vhost_record vhost_record(const char *name)
{
    return (struct lv_vhost_record){
        .name = str(name), .max_connections = LV_NO_LIMIT, .max_queues = LV_NO_LIMIT, .birth = 1
    };
}

static inline struct lv_user_record user_record(const char *name)
{
    return (struct lv_user_record){ .name = str(name),
                                    .max_connections = LV_NO_LIMIT,
                                    .max_channels = LV_NO_LIMIT,
                                    .credential = 1 };
}

static inline void put_vhost(const char *name)
{
    struct lv_vhost_record r = vhost_record(name);
    WORLD_PUT(VHOST, vhost, &r);
}

static inline void put_user(const char *name, const char *tag)
{
    struct lv_user_record r = user_record(name);
    if (tag != NULL)
        r.tags = (struct lv_tags){ 1, { str(tag) } };
    WORLD_PUT(USER, user, &r);
}

static inline void put_permission(const char *user, const char *vhost, const char *configure,
                                  const char *write, const char *read)
{
    struct lv_permission_record r = { str(user), str(vhost), str(configure), str(write), str(read) };
    WORLD_PUT(PERMISSION, permission, &r);
}

static inline void put_topic_permission(const char *user, const char *vhost, const char *exchange,
                                        const char *write, const char *read)
{
    struct lv_topic_permission_record r = { str(user), str(vhost), str(exchange), str(write),
                                            str(read) };
    WORLD_PUT(TOPIC_PERMISSION, topic_permission, &r);
}

static inline void remove_record(enum lv_access_kind kind, const char *a, const char *b)
{
    uint8_t buf[LV_ACCESS_KEY_BYTES_MAX];
    struct lv_wr w = lv_wr(buf, sizeof(buf));
    lv_wr_short(&w, str(a));
    if (b != NULL)
        lv_wr_short(&w, str(b));
    lv_access_remove(world, kind, lv_bytes(buf, w.used));
}

static inline void world_open(void)
{
    CHECK_EQ(lv_access_new(&lv_reclaim_now, &world), LV_OK);
}

static inline void enter(struct lv_pass *p, const char *user, const char *vhost)
{
    struct lv_refusal why = { 0, "" };
    CHECK_EQ(lv_pass_init(p, world, str(user), 1), LV_OK);
    CHECK_EQ(lv_pass_enter(p, str(vhost), &why), LV_OK);
}

#endif
