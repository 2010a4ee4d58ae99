/* /api/x/node: what an operator does to a running node. All of it happens on loop 0, like a signal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manage/ask.h"
#include "manage/manage_priv.h"
#include "manage/router.h"
#include "os/log.h"

#define STOP_DELAY_MS 100u /* for the answer to leave */

static enum lv_err rotate(struct lv_broker *b, struct lv_change *c)
{
    (void)b, (void)c;
    lv_log_reopen();
    return LV_OK;
}

void lv_api_rotate_logs(struct lv_request *r)
{
    lv_change_make(r, rotate, NULL, NULL);
}

/* ---- reload ---- */

struct reloading {
    struct lv_buf text[2]; /* JSON: members of "changes", of "errors" */
    struct lv_json json[2];
    bool is_good;
};

static void reload_clean(struct lv_request *r)
{
    struct reloading *rl = r->work;

    lv_buf_fini(&rl->text[0]);
    lv_buf_fini(&rl->text[1]);
}

static void changed(void *ctx, const struct lv_config_change *change)
{
    struct lv_json *j = &((struct reloading *)ctx)->json[0];

    lv_json_open(j, NULL);
    lv_json_str(j, "key", change->key);
    lv_json_str(j, "from", change->from);
    lv_json_str(j, "to", change->to);
    lv_json_str(j, "effect", change->is_live ? "now" : "after a restart");
    lv_json_close(j);
}

static void wrong(void *ctx, const char *text)
{
    lv_json_str(&((struct reloading *)ctx)->json[1], NULL, text);
}

static enum lv_err reload(struct lv_broker *b, struct lv_change *c)
{
    struct reloading *rl = c->record;
    const struct lv_manage_hooks *hooks = &c->r->room->hooks;

    (void)b;
    rl->is_good = hooks->reload(hooks->ctx, &(struct lv_reload_report){ changed, wrong, rl });
    return LV_OK;
}

static void reloaded(struct lv_request *r, struct lv_change *c)
{
    static const char *const names[2] = { "changes", "errors" };
    struct reloading *rl = c->record;

    if (c->err != LV_OK || rl->text[0].is_short || rl->text[1].is_short) {
        lv_reply_no_memory(r);
        return;
    }
    struct lv_json *j = lv_reply_json(r, rl->is_good ? 200 : 400);
    lv_json_open(j, NULL);
    if (!rl->is_good) {
        lv_json_str(j, "error", "bad_request");
        lv_json_str(j, "reason", "the configuration has errors, nothing was changed");
    }
    for (int i = 0; i < 2; i++) {
        lv_json_close(&rl->json[i]);
        lv_json_raw(j, names[i], lv_buf_view(&rl->text[i]));
    }
    lv_json_close(j);
    lv_reply_end(r);
}

void lv_api_reload(struct lv_request *r)
{
    struct reloading *rl = lv_request_alloc(r, sizeof(*rl));

    if (rl == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    for (int i = 0; i < 2; i++) {
        lv_json_init(&rl->json[i], &rl->text[i]);
        lv_json_open_array(&rl->json[i], NULL);
    }
    r->work = rl;
    r->clean = reload_clean;
    lv_change_make(r, reload, rl, reloaded);
}

/* ---- the configuration as it is in force ---- */

#define CONFIG_TEXT_MAX 131072u

static enum lv_err list_config(struct lv_broker *b, struct lv_change *c)
{
    (void)b;
    return lv_config_list(c->r->room->config, false, c->record, CONFIG_TEXT_MAX) < CONFIG_TEXT_MAX
               ? LV_OK
               : LV_EFULL;
}

static void config_listed(struct lv_request *r, struct lv_change *c)
{
    if (c->err != LV_OK)
        lv_reply_no_memory(r);
    else
        lv_reply_text(r, 200, "text/plain; charset=utf-8", lv_bytes_str(c->record));
}

/* RabbitMQ: Erlang terms; here the form of a configuration file, with defaults as comments. */
void lv_api_config(struct lv_request *r)
{
    char *text = lv_request_alloc(r, CONFIG_TEXT_MAX);

    if (text == NULL)
        lv_reply_no_memory(r);
    else
        lv_change_make(r, list_config, text, config_listed);
}

/* ---- one setting ---- */

struct setting {
    char key[64], value[64];
};

static enum lv_err set(struct lv_broker *b, struct lv_change *c)
{
    const struct setting *s = c->record;
    const struct lv_manage_hooks *hooks = &c->r->room->hooks;

    (void)b;
    enum lv_err err = hooks->set(hooks->ctx, s->key, s->value, c->why, sizeof(c->why));
    if (err == LV_ENOTFOUND)
        (void)snprintf(c->why, sizeof(c->why), "there is no %s", s->key);
    return err == LV_ENOTFOUND ? LV_EINVAL : err;
}

static void change(struct lv_request *r, const char *key, const char *value)
{
    struct setting *s = lv_request_alloc(r, sizeof(*s));

    if (s == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    (void)snprintf(s->key, sizeof(s->key), "%s", key);
    (void)snprintf(s->value, sizeof(s->value), "%s", value);
    lv_change_make(r, set, s, NULL);
}

void lv_api_log_level(struct lv_request *r)
{
    struct lv_bytes level, category = LV_BYTES_LIT("default");
    enum lv_log_category known;
    char key[64], text[32];

    if (lv_request_json(r) == NULL || !lv_body_need_text(r, "level", &level) ||
        !lv_body_text(r, "category", &category))
        return;
    (void)snprintf(text, sizeof(text), "%.*s", LV_BYTES_FMT(category));
    if (!lv_log_category_parse(text, &known)) {
        lv_reply_bad_request(r, "there is no category '%s'", text);
        return;
    }
    (void)snprintf(key, sizeof(key), "log.%s.level", text);
    (void)snprintf(text, sizeof(text), "%.*s", LV_BYTES_FMT(level));
    change(r, key, text);
}

/* A part of the memory, or a size: the two keys that set one watermark. */
static void change_mark(struct lv_request *r, const char *part, const char *part_key,
                        const char *size_key)
{
    const json_t *fraction, *size;
    char text[64];

    if (lv_request_json(r) == NULL)
        return;
    fraction = json_object_get(r->json, part);
    size = json_object_get(r->json, "absolute");
    if (json_is_number(fraction) && json_number_value(fraction) >= 0) {
        (void)snprintf(text, sizeof(text), "%.6g", json_number_value(fraction));
        change(r, part_key, text);
    } else if (json_is_integer(size) && json_integer_value(size) >= 0) {
        (void)snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(size));
        change(r, size_key, text);
    } else if (json_is_string(size)) {
        (void)snprintf(text, sizeof(text), "%.*s", (int)sizeof(text) - 1, json_string_value(size));
        change(r, size_key, text);
    } else {
        lv_reply_bad_request(r, "%s should be a number, or absolute a size", part);
    }
}

void lv_api_memory_watermark(struct lv_request *r)
{
    change_mark(r, "fraction", "vm_memory_high_watermark.relative",
                "vm_memory_high_watermark.absolute");
}

void lv_api_disk_limit(struct lv_request *r)
{
    change_mark(r, "mem_relative", "disk_free_limit.relative", "disk_free_limit.absolute");
}

/* ---- stop ---- */

static enum lv_errand_step stop_run(struct lv_shard *shard, struct lv_errand *errand)
{
    const struct lv_manage *m = LV_CONTAINER_OF(errand, struct lv_manage, stopping);

    (void)shard;
    m->hooks.stop(m->hooks.ctx);
    return LV_ERRAND_DONE;
}

static void stop_done(struct lv_errand *errand)
{
    (void)errand;
}

static void stop_now(struct lv_loop *loop, struct lv_timer *t)
{
    struct lv_manage *m = LV_CONTAINER_OF(t, struct lv_manage, stop_timer);

    (void)loop;
    m->stopping = (struct lv_errand){ .run = stop_run, .done = stop_done, .desk = &m->desk };
    lv_errand_send(m->broker, 0, &m->stopping);
}

void lv_api_stop(struct lv_request *r)
{
    struct lv_manage *m = r->room;

    if (!m->is_stopping)
        lv_timer_start(m->loop, &m->stop_timer, STOP_DELAY_MS, stop_now);
    m->is_stopping = true;
    lv_reply_empty(r, 202);
}
