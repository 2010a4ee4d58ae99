#include "broker/look.h"

#include <stdio.h>

#include "broker/broker_priv.h"

static enum lv_errand_step fail(struct lv_look *look, uint16_t code, const char *text)
{
    look->failure.code = code;
    (void)snprintf(look->failure.text, sizeof(look->failure.text), "%.*s", LV_FAILURE_TEXT_MAX - 1,
                   text);
    return LV_ERRAND_DONE;
}

/* May he read it? What basic.get needs. */
static bool is_allowed(struct lv_broker *b, struct lv_look *look)
{
    struct lv_refusal why = { .code = 403, .text = "access refused" };
    struct lv_pass pass;

    if (look->user.len == 0)
        return true;
    enum lv_err err = lv_pass_init(&pass, b->access, look->user, look->credential);
    if (err == LV_OK)
        err = lv_pass_enter(&pass, look->vhost, &why);
    if (err == LV_OK)
        err = lv_check_operation(&pass, NULL, LV_OP_BASIC_GET,
                                 &(struct lv_operands){ .name = look->queue }, &why);
    lv_pass_fini(&pass);
    if (err != LV_OK)
        (void)fail(look, err == LV_ENOMEM ? 541 : why.code,
                   err == LV_ENOMEM ? "out of memory" : why.text);
    return err == LV_OK;
}

static enum lv_errand_step at_home(struct lv_shard *shard, struct lv_errand *errand)
{
    struct lv_look *look = (struct lv_look *)errand;
    struct lv_home_queue *hq = lv_home_find(shard, look->home);

    if (hq == NULL)
        return fail(look, 404, "the queue has gone");
    if (lv_queue_peek(hq->queue, &look->peek) != LV_OK)
        return fail(look, 541, "out of memory");
    if (lv_peek_needs(&look->peek) == 0)
        return LV_ERRAND_DONE;
    lv_durable_look(shard, look);
    return LV_ERRAND_AWAY;
}

/* The registry. */
static enum lv_errand_step find(struct lv_shard *shard, struct lv_errand *errand)
{
    struct lv_look *look = (struct lv_look *)errand;
    const struct lv_vhost *v = lv_vhost_find(shard->broker, look->vhost);
    const struct lv_queue_entry *entry;

    if (!is_allowed(shard->broker, look))
        return LV_ERRAND_DONE;
    entry = v != NULL ? (struct lv_queue_entry *)lv_router_queue(&v->router, look->queue) : NULL;
    if (entry == NULL)
        return fail(look, 404, "there is no such queue");
    if (entry->owner != 0)
        return fail(look, 405, "the queue is exclusive to another connection");
    look->home = atomic_load_explicit(&entry->home, memory_order_acquire);
    if (look->home == LV_HOME_NONE_YET || look->home == LV_HOME_NONE_EVER)
        return LV_ERRAND_DONE; /* nothing was ever in it */
    errand->run = at_home;
    if (lv_handle_loop(look->home) == shard->index)
        return at_home(shard, errand);
    lv_errand_pass(shard, errand, lv_handle_loop(look->home));
    return LV_ERRAND_AWAY;
}

void lv_look_send(struct lv_broker *b, struct lv_look *look)
{
    look->errand.run = find;
    lv_errand_send(b, LV_REGISTRY_LOOP, &look->errand);
}
