/* security/verify.h: right, wrong, unknown, blank, from elsewhere, remembered, slowed, and stopped in between. */
#include "security/verify.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "world.h"

static struct lv_verify *verifier;
static const uint8_t near[4] = { 127, 0, 0, 1 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t came = PTHREAD_COND_INITIALIZER;
static int done_count;

static void on_done(struct lv_verify_job *job)
{
    for (size_t i = 0; i < job->password_len; i++)
        CHECK_EQ(job->password[i], 0);
    pthread_mutex_lock(&lock);
    done_count++;
    pthread_cond_signal(&came);
    pthread_mutex_unlock(&lock);
}

static void wait_for(int count)
{
    pthread_mutex_lock(&lock);
    while (done_count < count)
        pthread_cond_wait(&came, &lock);
    pthread_mutex_unlock(&lock);
}

static void put_with_password(const char *name, enum lv_hash_algorithm algorithm,
                              const char *password, uint64_t credential)
{
    struct lv_user_record u = user_record(name);
    struct lv_password_hash h = { .algorithm = LV_HASH_NONE };

    if (algorithm != LV_HASH_NONE)
        CHECK_EQ(lv_password_hash(algorithm, str(password), &h), LV_OK);
    u.algorithm = algorithm;
    u.hash = lv_bytes(h.bytes, h.len);
    u.credential = credential;
    WORLD_PUT(USER, user, &u);
}

static void open_verifier(struct lv_throttle_rule rule)
{
    world_open();
    put_with_password("ann", LV_HASH_ARGON2ID, "right", 5);
    put_with_password("old", LV_HASH_SHA256, "right", 6);
    put_with_password("guest", LV_HASH_SHA512, "guest", 7);
    put_with_password("locked", LV_HASH_NONE, NULL, 8);
    done_count = 0;
    CHECK_EQ(lv_verify_start(&rule, &verifier), LV_OK);
}

static void close_verifier(void)
{
    lv_verify_stop(verifier);
    lv_access_free(world);
    CHECK_EQ(lv_mem_used(LV_TAG_SECURITY), 0);
}

static const struct lv_throttle_rule off = { 0, 0, 0, 0 };

static enum lv_err submit(struct lv_verify_job *job, const char *user, const char *password,
                          bool from_loopback, lv_time_ms now, uint32_t *wait)
{
    struct lv_verify_ask ask = { str(user), str(password), lv_bytes(near, sizeof(near)),
                                 from_loopback, "guest=true\nother=true" };

    job->done = on_done;
    return lv_verify_submit(verifier, world, job, &ask, now, wait);
}

static enum lv_login login(struct lv_verify_job *job, const char *user, const char *password,
                           bool from_loopback)
{
    uint32_t wait;
    int before = done_count;

    CHECK_EQ(submit(job, user, password, from_loopback, 1000, &wait), LV_OK);
    wait_for(before + 1);
    return job->login;
}

LV_TEST(answers)
{
    struct lv_verify_job job = { .rehash = false };
    char longer[LV_PASSWORD_BYTES_MAX + 2];

    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    open_verifier(off);
    CHECK_EQ(login(&job, "ann", "right", false), LV_LOGIN_OK);
    CHECK_EQ(job.credential, 5);
    CHECK_EQ(login(&job, "ann", "wrong", false), LV_LOGIN_REFUSED);
    CHECK_EQ(login(&job, "old", "right", true), LV_LOGIN_OK);
    CHECK_EQ(login(&job, "old", "wrong", true), LV_LOGIN_REFUSED);
    CHECK_EQ(login(&job, "nobody", "right", true), LV_LOGIN_REFUSED);
    CHECK_EQ(login(&job, "nobody", "nobody's", true),
             LV_LOGIN_REFUSED); /* the dummy's own password */
    CHECK_EQ(login(&job, "locked", "x", true), LV_LOGIN_REFUSED);
    CHECK_EQ(login(&job, "ann", "", true), LV_LOGIN_BLANK);
    CHECK_EQ(login(&job, "ann", longer, true), LV_LOGIN_REFUSED);
    CHECK_EQ(login(&job, "guest", "guest", true), LV_LOGIN_OK);
    CHECK_EQ(login(&job, "guest", "guest", false), LV_LOGIN_LOOPBACK_ONLY);
    CHECK_EQ(login(&job, "guest", "wrong", false), LV_LOGIN_REFUSED);
    close_verifier();
}

LV_TEST(remembered_until_the_password_changes)
{
    struct lv_verify_job job = { .rehash = false };
    uint32_t wait;

    open_verifier(off);
    CHECK_EQ(login(&job, "ann", "right", false), LV_LOGIN_OK);
    job.login = LV_LOGIN_FAILED;
    CHECK_EQ(submit(&job, "ann", "right", false, 1001, &wait), LV_OK);
    CHECK_EQ(job.login, LV_LOGIN_OK); /* at once */
    wait_for(2);
    put_with_password("ann", LV_HASH_ARGON2ID, "other", 55);
    CHECK_EQ(login(&job, "ann", "right", false), LV_LOGIN_REFUSED);
    CHECK_EQ(login(&job, "ann", "other", false), LV_LOGIN_OK);
    CHECK_EQ(job.credential, 55);
    close_verifier();
}

LV_TEST(an_old_hash_is_renewed)
{
    struct lv_verify_job job = { .rehash = true };

    open_verifier(off);
    CHECK_EQ(login(&job, "old", "wrong", true), LV_LOGIN_REFUSED);
    CHECK(!job.has_new_hash);
    CHECK_EQ(login(&job, "old", "right", true), LV_LOGIN_OK);
    CHECK(job.has_new_hash);
    CHECK_EQ(job.new_hash.algorithm, LV_HASH_ARGON2ID);
    CHECK_EQ(lv_password_verify(LV_HASH_ARGON2ID, lv_bytes(job.new_hash.bytes, job.new_hash.len),
                                str("right")),
             LV_OK);
    CHECK_EQ(login(&job, "ann", "right", true), LV_LOGIN_OK);
    CHECK(!job.has_new_hash);
    close_verifier();
}

LV_TEST(failures_are_slowed)
{
    struct lv_verify_job job = { .rehash = false };
    uint32_t wait;

    open_verifier((struct lv_throttle_rule){ 2, 10, 1000, 60000 });
    CHECK_EQ(login(&job, "ann", "wrong", true), LV_LOGIN_REFUSED);
    CHECK_EQ(login(&job, "ann", "right", true), LV_LOGIN_OK);
    CHECK_EQ(login(&job, "ann", "wrong", true), LV_LOGIN_REFUSED);
    CHECK_EQ(submit(&job, "ann", "right", true, 1000, &wait), LV_EAGAIN); /* remembered or not */
    CHECK_EQ(wait, 1000);
    close_verifier();
}

LV_TEST(the_queue_is_bounded_and_stops)
{
    struct lv_verify_job *jobs = calloc(LV_VERIFY_PER_ADDRESS + 2, sizeof(*jobs));
    int taken = 0, failed = 0;
    uint32_t wait;

    open_verifier(off);
    for (size_t i = 0; i < LV_VERIFY_PER_ADDRESS + 2; i++) {
        enum lv_err err = submit(&jobs[i], "ann", "wrong", true, 1000, &wait);
        if (err == LV_EAGAIN)
            CHECK(wait != 0);
        else
            taken++;
    }
    CHECK(taken >= (int)LV_VERIFY_PER_ADDRESS);
    lv_verify_stop(verifier);
    CHECK_EQ(done_count, taken); /* each once */
    for (int i = 0; i < taken; i++)
        failed += jobs[i].login == LV_LOGIN_FAILED;
    CHECK(failed > 0);
    verifier = NULL;
    close_verifier();
    free(jobs);
}

LV_TEST(loopback_users)
{
    CHECK(!lv_loopback_allows("guest=true", str("guest"), false));
    CHECK(lv_loopback_allows("guest=true", str("guest"), true));
    CHECK(lv_loopback_allows("guest=true", str("guest2"), false));
    CHECK(lv_loopback_allows("guest=true", str(""), false));
    CHECK(!lv_loopback_allows("a=true\nguest=true\nb=true", str("guest"), false));
    CHECK(!lv_loopback_allows("a=true\nb=true", str("b"), false));
    CHECK(lv_loopback_allows("a=true\nb=false", str("b"), false));
    CHECK(lv_loopback_allows("", str("guest"), false));
}

LV_TEST(texts)
{
    char out[300];

    lv_login_text(LV_LOGIN_LOOPBACK_ONLY, str("guest"), out, sizeof(out));
    CHECK_STR(out, "user 'guest' can only connect via localhost");
    lv_login_text(LV_LOGIN_REFUSED, str("x"), out, sizeof(out));
    CHECK_STR(out, "user 'x' - invalid credentials");
}
