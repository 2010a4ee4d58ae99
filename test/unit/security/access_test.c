/* security/access.h and pass.h: records come and go, what hangs on them goes along, limits count, and a pass knows when it
 * is over. */
#include "security/access.h"

#include <stdio.h>

#include "base/mem.h"
#include "security/check.h"
#include "world.h"

static void world_close(void)
{
    lv_access_free(world);
    CHECK_EQ(lv_mem_used(LV_TAG_SECURITY) + lv_mem_used(LV_TAG_BASE), 0);
}

LV_TEST(records_come_and_go)
{
    world_open();
    CHECK(lv_access_user(world, str("ann")) == NULL);
    uint64_t before = lv_access_version(world);
    put_user("ann", "monitoring");
    put_vhost("/");
    put_permission("ann", "/", "", "^a", ".*");
    put_topic_permission("ann", "/", "amq.topic", "^x", ".*");
    CHECK(lv_access_version(world) > before);
    CHECK(lv_tags_have(&lv_access_user(world, str("ann"))->tags, str("monitoring")));
    CHECK(lv_access_vhost(world, str("/")) != NULL);
    CHECK(lv_bytes_eq(lv_access_permission(world, str("ann"), str("/"))->write, str("^a")));
    CHECK(
        lv_bytes_eq(lv_access_topic_permission(world, str("ann"), str("/"), str("amq.topic"))->write,
                    str("^x")));
    CHECK(lv_access_permission(world, str("an"), str("n/")) == NULL);
    put_permission("ann", "/", "", "^b", ".*");
    CHECK(lv_bytes_eq(lv_access_permission(world, str("ann"), str("/"))->write, str("^b")));
    CHECK_EQ(lv_access_count(world, LV_ACCESS_PERMISSION), 1);
    remove_record(LV_ACCESS_PERMISSION, "ann", "/");
    CHECK(lv_access_permission(world, str("ann"), str("/")) == NULL);
    CHECK_EQ(lv_access_count(world, LV_ACCESS_PERMISSION), 0);
    world_close();
}

static struct seen {
    unsigned count[LV_ACCESS_KIND_COUNT];
} seen;

static void see(void *ctx, enum lv_access_kind kind, struct lv_bytes key)
{
    ((struct seen *)ctx)->count[kind]++;
    CHECK(key.len != 0);
}

static void open_two_by_two(void)
{
    world_open();
    for (int u = 0; u < 2; u++)
        put_user(u ? "ann" : "bob", NULL);
    for (int v = 0; v < 2; v++) {
        put_vhost(v ? "/" : "other");
        for (int u = 0; u < 2; u++) {
            put_permission(u ? "ann" : "bob", v ? "/" : "other", ".*", ".*", ".*");
            put_topic_permission(u ? "ann" : "bob", v ? "/" : "other", "amq.topic", ".*", ".*");
        }
    }
}

LV_TEST(dependents_go_along)
{
    open_two_by_two();
    seen = (struct seen){ { 0 } };
    lv_access_dependents(world, LV_ACCESS_USER, LV_BYTES_LIT("\3ann"), see, &seen);
    CHECK_EQ(seen.count[LV_ACCESS_PERMISSION], 2);
    CHECK_EQ(seen.count[LV_ACCESS_TOPIC_PERMISSION], 2);
    seen = (struct seen){ { 0 } };
    lv_access_watch(world, see, &seen);
    remove_record(LV_ACCESS_USER, "ann", NULL);
    CHECK_EQ(seen.count[LV_ACCESS_USER], 1);
    CHECK_EQ(seen.count[LV_ACCESS_PERMISSION], 2);
    CHECK_EQ(seen.count[LV_ACCESS_TOPIC_PERMISSION], 2);
    CHECK(lv_access_permission(world, str("ann"), str("/")) == NULL);
    CHECK(lv_access_permission(world, str("bob"), str("/")) != NULL);
    remove_record(LV_ACCESS_VHOST, "/", NULL);
    CHECK_EQ(lv_access_count(world, LV_ACCESS_PERMISSION), 1);
    CHECK_EQ(lv_access_count(world, LV_ACCESS_TOPIC_PERMISSION), 1);
    put_user("ann", NULL); /* a namesake inherits nothing */
    put_vhost("/");
    CHECK(lv_access_permission(world, str("ann"), str("/")) == NULL);
    world_close();
}

LV_TEST(what_dangles_is_swept)
{
    world_open();
    put_permission("ann", "/", ".*", ".*", ".*");
    put_topic_permission("ann", "/", "x", ".*", ".*");
    put_user("bob", NULL);
    put_vhost("/");
    put_permission("bob", "/", ".*", ".*", ".*");
    CHECK(!lv_access_has_parents(world, LV_ACCESS_PERMISSION, LV_BYTES_LIT("\3ann\1/")));
    CHECK(lv_access_has_parents(world, LV_ACCESS_PERMISSION, LV_BYTES_LIT("\3bob\1/")));
    CHECK(!lv_access_has_parents(world, LV_ACCESS_PERMISSION, LV_BYTES_LIT("\3bo")));
    seen = (struct seen){ { 0 } };
    lv_access_sweep(world, see, &seen);
    CHECK_EQ(seen.count[LV_ACCESS_PERMISSION], 1);
    CHECK_EQ(lv_access_count(world, LV_ACCESS_PERMISSION), 1);
    CHECK_EQ(lv_access_count(world, LV_ACCESS_TOPIC_PERMISSION), 0);
    world_close();
}

LV_TEST(prepared_is_not_seen)
{
    struct lv_access_change *one, *two;
    struct lv_user_record r = user_record("ann");
    uint8_t value[200];
    struct lv_wr w = lv_wr(value, sizeof(value));
    char why[100];

    world_open();
    lv_user_value(&w, &r);
    struct lv_bytes key = LV_BYTES_LIT("\3ann"), v = lv_bytes(value, w.used);
    size_t pos = 0;
    CHECK_EQ(lv_access_prepare(world, LV_ACCESS_USER, key, v, &one, why, sizeof(why)), LV_OK);
    CHECK_EQ(lv_access_prepare(world, LV_ACCESS_USER, key, v, &two, why, sizeof(why)), LV_OK);
    CHECK(lv_access_user(world, str("ann")) == NULL);
    CHECK(lv_access_next(world, LV_ACCESS_USER, &pos) == NULL);
    lv_access_remove(world, LV_ACCESS_USER, key); /* of what is not there: nothing */
    lv_access_drop(world, one);
    lv_access_commit(world, two);
    CHECK(lv_access_user(world, str("ann")) != NULL);
    CHECK_EQ(lv_access_prepare(world, LV_ACCESS_USER, key, v, &one, why, sizeof(why)), LV_OK);
    lv_access_remove(world, LV_ACCESS_USER, key);
    CHECK(lv_access_user(world, str("ann")) == NULL);
    lv_access_commit(world, one);
    CHECK(lv_access_user(world, str("ann")) != NULL);
    CHECK_EQ(lv_access_prepare(world, LV_ACCESS_USER, LV_BYTES_LIT("\3bob"), v, &one, why,
                               sizeof(why)),
             LV_OK);
    lv_access_drop(world, one);
    pos = 0;
    CHECK(lv_access_next(world, LV_ACCESS_USER, &pos) != NULL);
    CHECK(lv_access_next(world, LV_ACCESS_USER, &pos) == NULL);
    world_close();
}

LV_TEST(a_bad_pattern_is_told)
{
    struct lv_permission_record p = { str("ann"), str("/"), str(".*"), str("("), str(".*") };
    struct lv_topic_permission_record t = { str("ann"), str("/"), str("x"), str("{username}("),
                                            str("") };
    struct lv_access_change *change;
    uint8_t value[200];
    char why[100];
    struct lv_wr w = lv_wr(value, sizeof(value));

    world_open();
    lv_permission_value(&w, &p);
    CHECK_EQ(lv_access_prepare(world, LV_ACCESS_PERMISSION, LV_BYTES_LIT("\3ann\1/"),
                               lv_bytes(value, w.used), &change, why, sizeof(why)),
             LV_EINVAL);
    CHECK(change == NULL && why[0] != '\0');
    w = lv_wr(value, sizeof(value));
    lv_topic_permission_value(&w, &t);
    CHECK_EQ(lv_access_prepare(world, LV_ACCESS_TOPIC_PERMISSION, LV_BYTES_LIT("\3ann\1/\1x"),
                               lv_bytes(value, w.used), &change, why, sizeof(why)),
             LV_EINVAL);
    CHECK_EQ(lv_access_put(world, LV_ACCESS_USER, LV_BYTES_LIT("\3ann"), LV_BYTES_LIT("\1")),
             LV_ECORRUPT);
    CHECK_EQ(lv_access_put(world, LV_ACCESS_USER, LV_BYTES_LIT("\3ann"), LV_BYTES_LIT("\7")),
             LV_EVERSION);
    world_close();
}

LV_TEST(protected_from_deletion)
{
    struct lv_vhost_record v = vhost_record("/");

    world_open();
    v.is_protected = true;
    WORLD_PUT(VHOST, vhost, &v);
    CHECK_EQ(lv_access_may_remove(world, LV_ACCESS_VHOST, LV_BYTES_LIT("\1/")), LV_EREFUSED);
    put_vhost("/");
    CHECK_EQ(lv_access_may_remove(world, LV_ACCESS_VHOST, LV_BYTES_LIT("\1/")), LV_OK);
    CHECK_EQ(lv_access_may_remove(world, LV_ACCESS_VHOST, LV_BYTES_LIT("\1x")), LV_ENOTFOUND);
    world_close();
}

/* ---- passes ---- */

static void open_with_ann(void)
{
    world_open();
    put_user("ann", NULL);
    put_vhost("/");
    put_permission("ann", "/", ".*", ".*", ".*");
}

LV_TEST(who_may_enter)
{
    struct lv_pass p;
    struct lv_refusal why;

    open_with_ann();
    put_vhost("other");
    CHECK_EQ(lv_pass_init(&p, world, str("bob"), 1), LV_EREFUSED);
    CHECK_EQ(lv_pass_init(&p, world, str("ann"), 2), LV_EREFUSED);
    CHECK_EQ(lv_pass_init(&p, world, str("ann"), 1), LV_OK);
    CHECK_EQ(lv_pass_enter(&p, str("nowhere"), &why), LV_EREFUSED);
    CHECK_EQ(why.code, 530);
    CHECK_STR(why.text, "vhost nowhere not found");
    CHECK_EQ(lv_pass_enter(&p, str("other"), &why), LV_EREFUSED);
    CHECK_STR(why.text, "access to vhost 'other' refused for user 'ann'");
    CHECK(!lv_check(&p, NULL, LV_THING_QUEUE, str("q"), LV_READ));
    CHECK_EQ(lv_pass_enter(&p, str("/"), &why), LV_OK);
    CHECK(lv_check(&p, NULL, LV_THING_QUEUE, str("q"), LV_READ));
    CHECK_EQ(lv_pass_enter(&p, str("/"), &why), LV_EREFUSED); /* once */
    lv_pass_fini(&p);
    CHECK(!lv_check(&p, NULL, LV_THING_QUEUE, str("q"), LV_READ));
    CHECK_EQ(lv_pass_enter(&p, str("/"), &why), LV_EREFUSED);
    world_close();
}

static void expect_full(struct lv_pass *p, const char *text)
{
    struct lv_refusal why;

    CHECK_EQ(lv_pass_init(p, world, str("ann"), 1), LV_OK);
    CHECK_EQ(lv_pass_enter(p, str("/"), &why), LV_EREFUSED);
    CHECK_EQ(why.code, 530);
    CHECK_STR(why.text, text);
    lv_pass_fini(p);
}

LV_TEST(limits_of_connections)
{
    struct lv_pass a, b, c;
    struct lv_user_record u = user_record("ann");
    struct lv_vhost_record v = vhost_record("/");

    open_with_ann();
    enter(&a, "ann", "/");
    enter(&b, "ann", "/");
    u.max_connections = 2;
    WORLD_PUT(USER, user, &u);
    expect_full(&c, "connection refused for user 'ann': user connection limit (2) is reached");
    v.max_connections = 2;
    WORLD_PUT(VHOST, vhost, &v);
    expect_full(&c, "access to vhost '/' refused for user 'ann': connection limit (2) is reached");
    lv_access_limit_node(world, 2, LV_NO_LIMIT);
    expect_full(&c, "connection refused: node connection limit (2) is reached");
    lv_pass_fini(&a);
    enter(&c, "ann", "/");
    lv_pass_fini(&c);
    u.max_connections = 0;
    WORLD_PUT(USER, user, &u);
    expect_full(&c, "connection refused for user 'ann': user connection limit (0) is reached");
    lv_pass_fini(&b);
    world_close();
}

LV_TEST(limits_of_channels)
{
    struct lv_pass a, b;
    struct lv_user_record u = user_record("ann");
    struct lv_refusal why;

    open_with_ann();
    u.max_channels = 2;
    WORLD_PUT(USER, user, &u);
    enter(&a, "ann", "/");
    enter(&b, "ann", "/");
    CHECK_EQ(lv_pass_open_channel(&a, &why), LV_OK);
    CHECK_EQ(lv_pass_open_channel(&b, &why), LV_OK);
    CHECK_EQ(lv_pass_open_channel(&b, &why), LV_EREFUSED);
    CHECK_EQ(why.code, 530);
    CHECK_STR(why.text,
              "number of channels opened for user 'ann' has reached the maximum allowed user "
              "limit of (2)");
    lv_pass_close_channel(&b);
    lv_pass_close_channel(&b); /* it has none: harmless */
    CHECK_EQ(lv_pass_open_channel(&b, &why), LV_OK);
    lv_pass_leave(&a); /* takes its channel along */
    lv_access_limit_node(world, LV_NO_LIMIT, 1);
    CHECK_EQ(lv_pass_open_channel(&b, &why), LV_EREFUSED);
    CHECK_STR(why.text,
              "number of channels opened on this node has reached the maximum allowed limit "
              "of (1)");
    lv_access_limit_node(world, LV_NO_LIMIT, 2);
    CHECK_EQ(lv_pass_open_channel(&b, &why), LV_OK);
    lv_pass_fini(&a);
    lv_pass_fini(&b);
    world_close();
}

LV_TEST(limit_of_queues)
{
    struct lv_vhost_record v = vhost_record("/");
    struct lv_refusal why;
    struct lv_pass p;

    open_with_ann();
    enter(&p, "ann", "/");
    CHECK_EQ(lv_pass_may_add_queue(&p, str("q"), 1000000, &why), LV_OK);
    v.max_queues = 3;
    WORLD_PUT(VHOST, vhost, &v);
    CHECK_EQ(lv_pass_may_add_queue(&p, str("q"), 2, &why), LV_OK);
    CHECK_EQ(lv_pass_may_add_queue(&p, str("q"), 3, &why), LV_EREFUSED);
    CHECK_EQ(why.code, 406);
    CHECK_STR(why.text, "cannot declare queue 'q': queue limit in vhost '/' (3) is reached");
    lv_pass_fini(&p);
    world_close();
}

static void expect_standing(struct lv_pass *p, enum lv_standing standing, const char *text)
{
    struct lv_check_cache cache = { 0 };
    char out[300];

    CHECK_EQ(lv_pass_standing(p), standing);
    lv_pass_standing_text(p, standing, out, sizeof(out));
    CHECK_STR(out, text);
    CHECK(!lv_check(p, NULL, LV_THING_QUEUE, str("q"), LV_READ));
    CHECK(!lv_check(p, &cache, LV_THING_QUEUE, str("q"), LV_READ));
    lv_check_cache_fini(&cache);
}

LV_TEST(a_pass_ends)
{
    struct lv_user_record u = user_record("ann");
    struct lv_vhost_record v = vhost_record("/");
    struct lv_pass p;

    open_with_ann();
    enter(&p, "ann", "/");
    CHECK_EQ(lv_pass_standing(&p), LV_STANDING_GOOD);
    put_user("ann", "administrator"); /* tags and limits end nothing */
    put_permission("ann", "/", "", "", "");
    CHECK_EQ(lv_pass_standing(&p), LV_STANDING_GOOD);
    u.credential = 2;
    WORLD_PUT(USER, user, &u);
    expect_standing(&p, LV_STANDING_PASSWORD_CHANGED, "the password of user 'ann' changed");
    put_user("ann", NULL);
    remove_record(LV_ACCESS_PERMISSION, "ann", "/");
    expect_standing(&p, LV_STANDING_REVOKED, "access to vhost '/' revoked");
    remove_record(LV_ACCESS_VHOST, "/", NULL);
    expect_standing(&p, LV_STANDING_VHOST_GONE, "vhost '/' is deleted");
    v.birth = 2; /* another one of that name */
    WORLD_PUT(VHOST, vhost, &v);
    put_permission("ann", "/", ".*", ".*", ".*");
    expect_standing(&p, LV_STANDING_VHOST_GONE, "vhost '/' is deleted");
    remove_record(LV_ACCESS_USER, "ann", NULL);
    expect_standing(&p, LV_STANDING_USER_GONE, "user 'ann' is deleted");
    u.credential = 3; /* a namesake */
    WORLD_PUT(USER, user, &u);
    CHECK_EQ(lv_pass_standing(&p), LV_STANDING_PASSWORD_CHANGED);
    lv_pass_fini(&p);
    world_close();
}

/* ---- the cache ---- */

LV_TEST(a_change_empties_the_cache)
{
    struct lv_check_cache cache = { 0 };
    struct lv_pass p;
    char longer[200];

    open_with_ann();
    enter(&p, "ann", "/");
    for (int i = 0; i < 3; i++)
        CHECK(lv_check(&p, &cache, LV_THING_QUEUE, str("q"), LV_READ));
    memset(longer, 'q', sizeof(longer));
    CHECK(lv_check(&p, &cache, LV_THING_QUEUE, lv_bytes(longer, sizeof(longer)), LV_READ));
    put_permission("ann", "/", ".*", ".*", "^z");
    CHECK(!lv_check(&p, &cache, LV_THING_QUEUE, str("q"), LV_READ));
    CHECK(lv_check(&p, &cache, LV_THING_QUEUE, str("q"), LV_WRITE));
    CHECK(lv_check(&p, &cache, LV_THING_QUEUE, str("z"), LV_READ));
    for (int c = 'a'; c < 'z'; c++) { /* more than it holds */
        uint8_t name = (uint8_t)c;
        CHECK(!lv_check(&p, &cache, LV_THING_QUEUE, lv_bytes(&name, 1), LV_READ));
    }
    lv_check_cache_fini(&cache);
    lv_pass_fini(&p);
    world_close();
}

LV_TEST(topic_variables)
{
    struct lv_check_cache cache = { 0 };
    struct lv_pass p;
    struct lv_bytes x = LV_BYTES_LIT("amq.topic");

    open_with_ann();
    enter(&p, "ann", "/");
    for (int i = 0; i < 2; i++) {
        struct lv_check_cache *c = i ? &cache : NULL;
        CHECK(lv_check_topic(&p, c, x, str("anything"), LV_WRITE)); /* none is set */
    }
    CHECK(lv_check_topic(&p, &cache, x, str("anything else"), LV_WRITE));
    CHECK(lv_check_topic(&p, &cache, x, str("anything"), LV_READ));
    put_topic_permission("ann", "/", "amq.topic", "^{username}\\.{client_id}\\.", "^{vhost}$");
    CHECK(!lv_check_topic(&p, &cache, x, str("ann..x"), LV_WRITE)); /* no client id: nothing */
    CHECK(lv_check_topic(&p, &cache, x, str("/"), LV_READ));
    CHECK(!lv_check_topic(&p, &cache, x, str("a"), LV_READ));
    CHECK(lv_check_topic(&p, &cache, str("other"), str("a"), LV_READ));
    lv_check_cache_fini(&cache);
    CHECK_EQ(lv_pass_set_client_id(&p, str("dev+1")), LV_OK);
    for (int i = 0; i < 3; i++) {
        struct lv_check_cache *c = i ? &cache : NULL;
        CHECK(lv_check_topic(&p, c, x, str("ann.dev+1.t"), LV_WRITE));
        CHECK(!lv_check_topic(&p, c, x, str("ann.devv1.t"), LV_WRITE));
        CHECK(!lv_check_topic(&p, c, x, str("ann.dev+1.t"), LV_CONFIGURE));
    }
    lv_check_cache_fini(&cache);
    lv_pass_fini(&p);
    world_close();
}
