/* Every allocation of a change to the directory, of a login and of a check fails once: nothing is half done, nothing is
 * allowed that was not, and nothing is left behind. */
#include "security/access.h"

#include "base/mem.h"
#include "lv_test.h"
#include "security/check.h"

static struct lv_access *access_dir;

static struct lv_bytes str(const char *s)
{
    return lv_bytes_str(s);
}

static enum lv_err put_user(const char *name)
{
    struct lv_user_record r = { .name = str(name), .max_connections = -1, .max_channels = -1 };
    uint8_t key[64], value[256];
    struct lv_wr k = lv_wr(key, sizeof(key)), v = lv_wr(value, sizeof(value));

    lv_user_key(&k, &r);
    lv_user_value(&v, &r);
    return lv_access_put(access_dir, LV_ACCESS_USER, lv_bytes(key, k.used), lv_bytes(value, v.used));
}

static enum lv_err put_vhost(const char *name)
{
    struct lv_vhost_record r = { .name = str(name), .max_connections = -1, .max_queues = -1 };
    uint8_t key[64], value[256];
    struct lv_wr k = lv_wr(key, sizeof(key)), v = lv_wr(value, sizeof(value));

    lv_vhost_key(&k, &r);
    lv_vhost_value(&v, &r);
    return lv_access_put(access_dir, LV_ACCESS_VHOST, lv_bytes(key, k.used),
                         lv_bytes(value, v.used));
}

static enum lv_err put_permission(const char *write)
{
    struct lv_permission_record r = { str("ann"), str("/"), str(".*"), str(write), str("^[a-z]+$") };
    uint8_t key[64], value[256];
    struct lv_wr k = lv_wr(key, sizeof(key)), v = lv_wr(value, sizeof(value));

    lv_permission_key(&k, &r);
    lv_permission_value(&v, &r);
    return lv_access_put(access_dir, LV_ACCESS_PERMISSION, lv_bytes(key, k.used),
                         lv_bytes(value, v.used));
}

static enum lv_err put_topic(void)
{
    struct lv_topic_permission_record r = { str("ann"), str("/"), str("x"), str("^{username}"),
                                            str(".*") };
    uint8_t key[64], value[256];
    struct lv_wr k = lv_wr(key, sizeof(key)), v = lv_wr(value, sizeof(value));

    lv_topic_permission_key(&k, &r);
    lv_topic_permission_value(&v, &r);
    return lv_access_put(access_dir, LV_ACCESS_TOPIC_PERMISSION, lv_bytes(key, k.used),
                         lv_bytes(value, v.used));
}

/* Everything once, stopping at the first failure. */
static enum lv_err history(void)
{
    struct lv_check_cache cache = { 0 };
    struct lv_refusal why;
    struct lv_pass p = { 0 };
    enum lv_err err = lv_access_new(&lv_reclaim_now, &access_dir);

    if (err == LV_OK)
        err = put_user("ann");
    if (err == LV_OK)
        err = put_vhost("/");
    if (err == LV_OK)
        err = put_permission("^(a|b)$");
    if (err == LV_OK)
        err = put_permission("^(a|b)+$");
    if (err == LV_OK)
        err = put_topic();
    if (err == LV_OK)
        err = lv_pass_init(&p, access_dir, str("ann"), 0);
    if (err == LV_OK)
        err = lv_pass_enter(&p, str("/"), &why);
    if (err == LV_OK) {
        bool is_allowed = lv_check(&p, &cache, LV_THING_QUEUE, str("abab"), LV_WRITE);
        bool has_topic = lv_check_topic(&p, &cache, str("x"), str("ann.1"), LV_WRITE);
        CHECK(!lv_check(&p, &cache, LV_THING_QUEUE, str("abc"), LV_WRITE));
        CHECK(!lv_check_topic(&p, &cache, str("x"), str("bob.1"), LV_WRITE));
        err = is_allowed && has_topic ? LV_OK : LV_ENOMEM;
    }
    lv_check_cache_fini(&cache);
    lv_pass_fini(&p);
    lv_access_free(access_dir);
    return err;
}

LV_TEST(every_allocation_fails_once)
{
    enum lv_err err = LV_ENOMEM;
    uint64_t n = 0;

    while (err != LV_OK) {
        lv_mem_fail_at(++n);
        err = history();
        lv_mem_fail_at(0);
        CHECK(err == LV_OK || err == LV_ENOMEM);
        CHECK_EQ(lv_mem_used(LV_TAG_SECURITY) + lv_mem_used(LV_TAG_BASE), 0);
        CHECK(n < 200);
    }
    CHECK(n > 20);
}

/* A change that fails leaves what was there. */
LV_TEST(a_failed_change_changes_nothing)
{
    CHECK_EQ(lv_access_new(&lv_reclaim_now, &access_dir), LV_OK);
    CHECK_EQ(put_permission("^old$"), LV_OK);
    for (uint64_t n = 1;; n++) {
        uint64_t version = lv_access_version(access_dir);
        lv_mem_fail_at(n);
        enum lv_err err = put_permission("^(new)+$");
        lv_mem_fail_at(0);
        if (err == LV_OK)
            break;
        CHECK_EQ(err, LV_ENOMEM);
        CHECK_EQ(lv_access_version(access_dir), version);
        CHECK(lv_bytes_eq(lv_access_permission(access_dir, str("ann"), str("/"))->write,
                          str("^old$")));
    }
    lv_access_free(access_dir);
    CHECK_EQ(lv_mem_used(LV_TAG_SECURITY) + lv_mem_used(LV_TAG_BASE), 0);
}
