/* A broker in this process whose loops do not run: what is changed before they do is changed at once, by this thread. */
#ifndef LV_TEST_UNIT_BROKER_STILL_H
#define LV_TEST_UNIT_BROKER_STILL_H
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/access.h"
#include "config/config.h"
#include "lv_test.h"

static char dir[256];
static struct lv_config *config;
static struct lv_broker *broker;
static struct lv_loops *loops;

#define B broker
#define S(text) lv_bytes_str(text)

static void make_dir(void)
{
    const char *temp = getenv("TMPDIR");

    snprintf(dir, sizeof(dir), "%s/lv-broker-XXXXXX", temp != NULL ? temp : P_tmpdir);
    CHECK(mkdtemp(dir) != NULL);
}

/* The broker of `dir`, with further options. */
static void open_with(const char *const *more, int more_count)
{
    struct lv_loops_config loops_config = { .count = 2 };
    char *argv[64] = { "t", "--config", "none", "--data-dir", dir };
    struct lv_config_sources sources = { .argc = 5 + more_count, .argv = argv };

    for (int i = 0; i < more_count; i++)
        argv[5 + i] = (char *)(uintptr_t)more[i];
    CHECK_EQ(lv_config_load(&sources, &config), LV_OK);
    CHECK_EQ(lv_broker_new(lv_config_settings(config), &B), LV_OK);
    lv_broker_hook(B, &loops_config);
    CHECK_EQ(lv_loops_new(&loops_config, &loops), LV_OK);
    CHECK_EQ(lv_broker_set_loops(B, loops), LV_OK);
    CHECK_EQ(lv_broker_recover(B), LV_OK);
    CHECK_EQ(lv_broker_begin(B), LV_OK);
}

static void open_broker(void)
{
    open_with(NULL, 0);
}

static void close_broker(void)
{
    lv_broker_free(B);
    lv_loops_free(loops);
    lv_config_free(config);
}

static int remove_path(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static void begin(void)
{
    make_dir();
    open_broker();
}

static void end(void)
{
    close_broker();
    CHECK_EQ(nftw(dir, remove_path, 16, FTW_DEPTH | FTW_PHYS), 0);
}

#endif
