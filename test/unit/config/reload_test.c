/* A reload: what is LIVE changes in place, the rest is told. */
#include "config/config.h"

#include <stdio.h>

#include "base/mem.h"
#include "lv_test.h"

static char changes[4096];

static void on_change(void *ctx, const struct lv_config_change *change)
{
    size_t used = strlen(changes);

    (void)ctx;
    (void)snprintf(changes + used, sizeof(changes) - used, "%s %s -> %s %s;", change->key,
                   change->from, change->to, change->is_live ? "now" : "later");
}

static struct lv_config_sources from_arguments(char **argv)
{
    int argc = 0;

    while (argv[argc] != NULL)
        argc++;
    return (struct lv_config_sources){ argc, argv, NULL, NULL };
}

#define ARGS(...) from_arguments((char *[]){ "x", __VA_ARGS__, NULL })

static enum lv_err reload(struct lv_config *running, struct lv_config_sources from)
{
    struct lv_config *fresh;

    changes[0] = '\0';
    enum lv_err err = lv_config_reload(running, &from, &fresh, on_change, NULL);
    lv_config_free(fresh);
    return err;
}

LV_TEST(live_settings_change_and_others_wait)
{
    struct lv_config_sources first = ARGS("--heartbeat", "10", "--data-dir", "a");
    struct lv_config *c;

    CHECK_EQ(lv_config_load(&first, &c), LV_OK);
    const struct lv_settings *s = lv_config_settings(c);
    const char *watermark = s->memory_high_watermark;
    CHECK_EQ(reload(c, ARGS("--heartbeat", "20", "--data-dir", "b", "--memory-high-watermark",
                            "2GB", "--log-level", "debug", "--default-pass", "new")),
             LV_OK);
    CHECK_STR(changes, "data_dir a -> b later;vm_memory_high_watermark.relative 0.6 -> 2GB now;"
                       "heartbeat 10 -> 20 now;default_pass (secret) -> (secret) later;"
                       "log.default.level info -> debug now;");
    CHECK_EQ(s->heartbeat, 20);
    CHECK_STR(s->data_dir, "a");
    CHECK_STR(s->memory_high_watermark, "2GB");
    CHECK_STR(s->default_pass, "guest");
    CHECK_STR(watermark, "0.6"); /* who has read it may go on reading it */
    /* What waits is told each time; what was put back is no change. */
    CHECK_EQ(reload(c, ARGS("--heartbeat", "20", "--data-dir", "b", "--memory-high-watermark",
                            "2GB", "--log-level", "debug")),
             LV_OK);
    CHECK_STR(changes, "data_dir a -> b later;");
    CHECK_EQ(reload(c, ARGS("--heartbeat", "10", "--data-dir", "a")), LV_OK);
    CHECK_STR(changes, "vm_memory_high_watermark.relative 2GB -> 0.6 now;heartbeat 20 -> 10 now;"
                       "log.default.level debug -> info now;");
    lv_config_free(c);
    CHECK_EQ(lv_mem_used(LV_TAG_CONFIG), 0);
}

LV_TEST(a_wrong_configuration_changes_nothing)
{
    struct lv_config_sources first = ARGS("--heartbeat", "10");
    struct lv_config *c;

    CHECK_EQ(lv_config_load(&first, &c), LV_OK);
    CHECK_EQ(reload(c, ARGS("--heartbeat", "20", "--channel-max", "x")), LV_EINVAL);
    CHECK_STR(changes, "");
    CHECK_EQ(lv_config_settings(c)->heartbeat, 10);
    lv_config_free(c);
}

LV_TEST(a_live_setting_can_be_set_by_itself)
{
    struct lv_config_sources first = ARGS("--log.connection.level", "error");
    struct lv_config *c;
    char why[512], list[16384];

    CHECK_EQ(lv_config_load(&first, &c), LV_OK);
    const struct lv_settings *s = lv_config_settings(c);
    CHECK_EQ(lv_config_set(c, "vm_memory_high_watermark.relative", "0.5", why, sizeof(why)), LV_OK);
    CHECK_STR(s->memory_high_watermark, "0.5");
    CHECK_EQ(lv_config_set(c, "heartbeat", "20", why, sizeof(why)), LV_OK);
    CHECK_EQ(s->heartbeat, 20);
    /* One item of several: the others stay, whoever said them. */
    CHECK_EQ(lv_config_set(c, "log.queue.level", "debug", why, sizeof(why)), LV_OK);
    CHECK_STR(s->log_levels, "connection=error\nqueue=debug");
    (void)lv_config_list(c, true, list, sizeof(list));
    CHECK(strstr(list, "heartbeat = 20   # set while it runs\n") != NULL);

    CHECK_EQ(lv_config_set(c, "vm_memory_high_watermark.relative", "x", why, sizeof(why)),
             LV_EINVAL);
    CHECK_STR(why,
              "expected a part of the memory like 0.6, at most 1, or a size like 512MiB, not 'x'");
    CHECK_EQ(lv_config_set(c, "data_dir", "b", why, sizeof(why)), LV_EREFUSED);
    CHECK_EQ(lv_config_set(c, "nosuch", "b", why, sizeof(why)), LV_ENOTFOUND);
    CHECK_EQ(lv_config_set(c, "log", "b", why, sizeof(why)), LV_ENOTFOUND);
    CHECK_STR(s->memory_high_watermark, "0.5");

    /* A reload brings back what the sources say. */
    CHECK_EQ(reload(c, first), LV_OK);
    CHECK_STR(changes,
              "vm_memory_high_watermark.relative 0.5 -> 0.6 now;heartbeat 20 -> 60 now;"
              "log.$category.level connection=error\nqueue=debug -> connection=error now;");
    lv_config_free(c);
    CHECK_EQ(lv_mem_used(LV_TAG_CONFIG), 0);
}
