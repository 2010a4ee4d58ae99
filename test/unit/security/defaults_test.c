/* security/defaults.h: what a broker begins with lets its user in and everybody else not. */
#include "security/defaults.h"

#include "base/mem.h"
#include "security/check.h"
#include "world.h"

static enum lv_err put(void *ctx, enum lv_access_kind kind, struct lv_bytes key,
                       struct lv_bytes value)
{
    (*(int *)ctx)++;
    return lv_access_put(world, kind, key, value);
}

static enum lv_err refuse(void *ctx, enum lv_access_kind kind, struct lv_bytes key,
                          struct lv_bytes value)
{
    (void)kind, (void)key, (void)value;
    (*(int *)ctx)++;
    return LV_ENOSPC;
}

LV_TEST(the_first_user)
{
    struct lv_defaults d = { str("/"),
                             str("guest"),
                             str("secret"),
                             str(".*"),
                             str(".*"),
                             str(".*"),
                             { 2, { str("administrator"), str("x") } },
                             LV_HASH_ARGON2ID };
    struct lv_refusal why;
    struct lv_pass p;
    int count = 0;

    world_open();
    CHECK_EQ(lv_defaults_emit(&d, put, &count), LV_OK);
    CHECK_EQ(count, 3);
    const struct lv_user_record *u = lv_access_user(world, str("guest"));
    CHECK_EQ(u->tags.count, 2);
    CHECK_EQ(lv_password_verify(u->algorithm, u->hash, str("secret")), LV_OK);
    CHECK_EQ(lv_pass_init(&p, world, str("guest"), u->credential), LV_OK);
    CHECK_EQ(lv_pass_enter(&p, str("/"), &why), LV_OK);
    CHECK(lv_check(&p, NULL, LV_THING_EXCHANGE, str(""), LV_WRITE));
    lv_pass_fini(&p);
    uint64_t before = u->credential;
    CHECK_EQ(lv_defaults_emit(&d, put, &count), LV_OK);
    CHECK(lv_access_user(world, str("guest"))->credential != before);
    lv_access_free(world);
    CHECK_EQ(lv_mem_used(LV_TAG_SECURITY), 0);
}

LV_TEST(errors)
{
    struct lv_defaults d = { .vhost = str("/"),
                             .user = str("guest"),
                             .password = str("secret"),
                             .algorithm = LV_HASH_SHA256 };
    int count = 0;

    CHECK_EQ(lv_defaults_emit(&d, refuse, &count), LV_ENOSPC);
    CHECK_EQ(count, 1);
    d.user = str("");
    CHECK_EQ(lv_defaults_emit(&d, refuse, &count), LV_ENOSPC); /* the virtual host comes first */
    d.password = str("");
    CHECK_EQ(lv_defaults_emit(&d, refuse, &count), LV_EINVAL);
}

LV_TEST(tags)
{
    struct lv_tags tags;
    char longer[300];

    CHECK_EQ(lv_tags_parse(str(" a,b ,, c"), &tags), LV_OK);
    CHECK_EQ(tags.count, 3);
    CHECK(lv_bytes_eq(tags.at[2], str("c")));
    CHECK_EQ(lv_tags_parse(str(""), &tags), LV_OK);
    CHECK_EQ(tags.count, 0);
    CHECK_EQ(lv_tags_parse(str("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,"), &tags), LV_OK);
    CHECK_EQ(lv_tags_parse(str("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17"), &tags), LV_EINVAL);
    memset(longer, 'a', sizeof(longer));
    CHECK_EQ(lv_tags_parse(lv_bytes(longer, 256), &tags), LV_EINVAL);
}

LV_TEST(settings)
{
    struct lv_settings s;
    struct lv_defaults d;

    lv_settings_init(&s);
    CHECK_EQ(lv_defaults_of(&s, &d), LV_OK);
    CHECK(lv_bytes_eq(d.user, str("guest")) && lv_bytes_eq(d.vhost, str("/")));
    CHECK(lv_bytes_eq(d.write, str(".*")));
    CHECK_EQ(d.algorithm, LV_HASH_ARGON2ID);
    CHECK(lv_tags_have(&d.tags, str("administrator")));
    s.default_user_tags = "administrator=false\nmonitoring=true";
    s.password_hashing = "rabbit_password_hashing_sha512";
    CHECK_EQ(lv_defaults_of(&s, &d), LV_OK);
    CHECK_EQ(d.tags.count, 1);
    CHECK(lv_tags_have(&d.tags, str("monitoring")));
    CHECK_EQ(d.algorithm, LV_HASH_SHA512);
    s.password_hashing = "plain";
    CHECK_EQ(lv_defaults_of(&s, &d), LV_EINVAL);
}
