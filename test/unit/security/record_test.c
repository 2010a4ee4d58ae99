/* security/record.h: what is written is read, cut or lengthened it is not, and nothing out of bounds comes in. */
#include "security/record.h"

#include "lv_test.h"
#include "security/pattern.h"

static uint8_t key_buf[LV_ACCESS_KEY_BYTES_MAX], value_buf[LV_ACCESS_VALUE_BYTES_MAX];

/* Encodes `record`, decodes it into `back`, and tries every cut and one byte more. */
#define ROUND(name, record, back)                                                                \
    do {                                                                                         \
        struct lv_wr k_ = lv_wr(key_buf, sizeof(key_buf));                                       \
        struct lv_wr v_ = lv_wr(value_buf, sizeof(value_buf) - 1);                               \
        CHECK_EQ(lv_##name##_check(record), LV_OK);                                              \
        lv_##name##_key(&k_, record);                                                            \
        lv_##name##_value(&v_, record);                                                          \
        CHECK(lv_wr_ok(&k_) && lv_wr_ok(&v_));                                                   \
        struct lv_bytes key_ = lv_bytes(key_buf, k_.used);                                       \
        for (size_t cut_ = 0; cut_ < v_.used; cut_++)                                            \
            CHECK_EQ(lv_##name##_decode(key_, lv_bytes(value_buf, cut_), back), LV_ECORRUPT);    \
        for (size_t cut_ = 0; cut_ < k_.used; cut_++)                                            \
            CHECK_EQ(lv_##name##_decode(lv_bytes(key_buf, cut_), lv_bytes(value_buf, v_.used),   \
                                        back),                                                   \
                     LV_ECORRUPT);                                                               \
        value_buf[v_.used] = 0;                                                                  \
        CHECK_EQ(lv_##name##_decode(key_, lv_bytes(value_buf, v_.used + 1), back), LV_ECORRUPT); \
        value_buf[0] = 2;                                                                        \
        CHECK_EQ(lv_##name##_decode(key_, lv_bytes(value_buf, v_.used), back), LV_EVERSION);     \
        value_buf[0] = 1;                                                                        \
        CHECK_EQ(lv_##name##_decode(key_, lv_bytes(value_buf, v_.used), back), LV_OK);           \
    } while (0)

#define SAME(field) CHECK(lv_bytes_eq(r.field, back.field))

LV_TEST(vhost)
{
    struct lv_vhost_record back, r = {
        .name = LV_BYTES_LIT("/"),
        .description = LV_BYTES_LIT("the first"),
        .tags = { 2, { LV_BYTES_LIT("production"), LV_BYTES_LIT("eu") } },
        .default_queue_type = LV_BYTES_LIT("quorum"),
        .max_connections = 10,
        .max_queues = LV_NO_LIMIT,
        .is_protected = true,
        .birth = UINT64_MAX,
    };

    ROUND(vhost, &r, &back);
    SAME(name);
    SAME(description);
    SAME(default_queue_type);
    SAME(tags.at[1]);
    CHECK_EQ(back.tags.count, 2);
    CHECK_EQ(back.max_connections, 10);
    CHECK_EQ(back.max_queues, LV_NO_LIMIT);
    CHECK(back.is_protected && back.birth == UINT64_MAX);
    CHECK(lv_tags_have(&back.tags, LV_BYTES_LIT("eu")));
    CHECK(!lv_tags_have(&back.tags, LV_BYTES_LIT("e")));
}

LV_TEST(user)
{
    uint8_t hash[36] = { 1, 2, 3 };
    struct lv_user_record back, r = {
        .name = LV_BYTES_LIT("ann"),
        .algorithm = LV_HASH_SHA256,
        .hash = { hash, sizeof(hash) },
        .tags = { 1, { LV_BYTES_LIT("administrator") } },
        .max_connections = 0,
        .max_channels = LV_LIMIT_MAX,
        .credential = 7,
    };

    ROUND(user, &r, &back);
    SAME(name);
    SAME(hash);
    CHECK_EQ(back.algorithm, LV_HASH_SHA256);
    CHECK_EQ(back.max_channels, LV_LIMIT_MAX);
    CHECK_EQ(back.credential, 7);
    value_buf[1] = LV_HASH_COUNT;
    CHECK_NE(lv_user_decode(lv_bytes(key_buf, 4), lv_bytes(value_buf, 40), &back), LV_OK);
}

LV_TEST(permissions)
{
    struct lv_permission_record back, r = { LV_BYTES_LIT("ann"), LV_BYTES_LIT("/"), LV_BYTES_LIT(""),
                                            LV_BYTES_LIT(".*"), LV_BYTES_LIT("^q") };

    ROUND(permission, &r, &back);
    SAME(user);
    SAME(vhost);
    SAME(configure);
    SAME(write);
    SAME(read);
}

LV_TEST(topic_permissions)
{
    struct lv_topic_permission_record back,
        r = { LV_BYTES_LIT("ann"), LV_BYTES_LIT("/"), LV_BYTES_LIT("amq.topic"),
              LV_BYTES_LIT("^{username}"), LV_BYTES_LIT(".*") };

    ROUND(topic_permission, &r, &back);
    SAME(exchange);
    SAME(write);
    SAME(read);
}

LV_TEST(out_of_bounds)
{
    static uint8_t big[LV_PATTERN_BYTES_MAX + 1];
    struct lv_user_record u = { .name = LV_BYTES_LIT("u"),
                                .max_connections = -1,
                                .max_channels = -1 };
    struct lv_vhost_record v = { .name = LV_BYTES_LIT("v"), .max_connections = -1, .max_queues = -1 };
    struct lv_permission_record p = {
        LV_BYTES_LIT("u"), LV_BYTES_LIT("v"), { NULL, 0 }, { NULL, 0 }, { NULL, 0 }
    };

    CHECK_EQ(lv_user_check(&u), LV_OK);
    CHECK_EQ(lv_vhost_check(&v), LV_OK);
    u.max_connections = -2;
    CHECK_EQ(lv_user_check(&u), LV_EINVAL);
    u.max_connections = LV_LIMIT_MAX + 1;
    CHECK_EQ(lv_user_check(&u), LV_EINVAL);
    u.max_connections = 0;
    u.name = lv_bytes(big, 256);
    CHECK_EQ(lv_user_check(&u), LV_EINVAL);
    u.name = lv_bytes(big, 0);
    CHECK_EQ(lv_user_check(&u), LV_EINVAL);
    u.name = lv_bytes(big, 255);
    u.algorithm = LV_HASH_SHA256;
    CHECK_EQ(lv_user_check(&u), LV_EINVAL);
    v.tags.count = 1;
    CHECK_EQ(lv_vhost_check(&v), LV_EINVAL);
    v.tags.count = LV_TAGS_MAX + 1;
    CHECK_EQ(lv_vhost_check(&v), LV_EINVAL);
    v.tags.count = 0;
    v.description = lv_bytes(big, LV_DESCRIPTION_BYTES_MAX + 1);
    CHECK_EQ(lv_vhost_check(&v), LV_EINVAL);
    p.read = lv_bytes(big, sizeof(big));
    CHECK_EQ(lv_permission_check(&p), LV_EINVAL);
}
