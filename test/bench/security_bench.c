/* What a check costs by itself: nanoseconds for each question, the best of five runs.
 *
 * "remembered" asks for one name again and again with a cache, "looked up" without one; "PCRE2" is a pattern that is not
 * one of the simple forms. A login is one Argon2id.
 */
#include "security/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RUNS = 5 };

static struct lv_access *a;
static struct lv_pass p;
static struct lv_check_cache cache;

static double seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static void must(enum lv_err err)
{
    if (err != LV_OK) {
        fprintf(stderr, "%s\n", lv_err_text(err));
        exit(1);
    }
}

static void put_user_and_vhost(void)
{
    struct lv_user_record u = { .name = LV_BYTES_LIT("ann"),
                                .max_connections = -1,
                                .max_channels = -1 };
    struct lv_vhost_record v = { .name = LV_BYTES_LIT("/"), .max_connections = -1, .max_queues = -1 };
    uint8_t value[256];
    struct lv_wr w = lv_wr(value, sizeof(value));

    lv_user_value(&w, &u);
    must(lv_access_put(a, LV_ACCESS_USER, LV_BYTES_LIT("\3ann"), lv_bytes(value, w.used)));
    w = lv_wr(value, sizeof(value));
    lv_vhost_value(&w, &v);
    must(lv_access_put(a, LV_ACCESS_VHOST, LV_BYTES_LIT("\1/"), lv_bytes(value, w.used)));
}

static void put_permission(void)
{
    struct lv_permission_record r = { LV_BYTES_LIT("ann"), LV_BYTES_LIT("/"), LV_BYTES_LIT(".*"),
                                      LV_BYTES_LIT("^(orders|amq\\.default)"),
                                      LV_BYTES_LIT("^orders-[a-z0-9]+$") };
    uint8_t value[256];
    struct lv_wr w = lv_wr(value, sizeof(value));

    lv_permission_value(&w, &r);
    must(lv_access_put(a, LV_ACCESS_PERMISSION, LV_BYTES_LIT("\3ann\1/"), lv_bytes(value, w.used)));
}

static void measure(const char *what, struct lv_check_cache *with, enum lv_verb verb, int count)
{
    double best = 1e9;

    for (int run = 0; run < RUNS; run++) {
        double start = seconds();
        for (int i = 0; i < count; i++)
            if (!lv_check(&p, with, LV_THING_QUEUE, LV_BYTES_LIT("orders-2024"), verb))
                exit(1);
        double each = (seconds() - start) * 1e9 / count;
        best = each < best ? each : best;
    }
    printf("%-24s %8.0f ns\n", what, best);
}

int main(void)
{
    struct lv_password_hash h;
    struct lv_refusal why;

    must(lv_access_new(&lv_reclaim_now, &a));
    put_user_and_vhost();
    put_permission();
    must(lv_pass_init(&p, a, LV_BYTES_LIT("ann"), 0));
    must(lv_pass_enter(&p, LV_BYTES_LIT("/"), &why));
    measure("remembered", &cache, LV_READ, 1000000);
    measure("looked up, simple", NULL, LV_WRITE, 300000);
    measure("looked up, PCRE2", NULL, LV_READ, 100000);
    double start = seconds();
    must(lv_password_hash(LV_HASH_ARGON2ID, LV_BYTES_LIT("password"), &h));
    printf("%-24s %8.0f ns\n", "Argon2id", (seconds() - start) * 1e9);
    lv_check_cache_fini(&cache);
    lv_pass_fini(&p);
    lv_access_free(a);
    return 0;
}
