/* A call's way: lv_call_go() either runs the next step here or posts the call to the loop that owns what the step
 * needs. Ownership of the call goes with it. */
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "broker/broker_priv.h"

struct lv_call *lv_call_new(struct lv_session *s,
                            void (*done)(struct lv_session *, struct lv_call *))
{
    struct lv_call *call = lv_mem_zalloc(sizeof(*call), LV_TAG_BROKER);

    if (call == NULL)
        return NULL;
    LV_ASSERT(s->call == NULL);
    call->session = s;
    call->broker = s->broker;
    call->origin = s->shard->index;
    call->vhost = s->vhost;
    call->owner = s->id;
    call->done = done;
    return call;
}

void lv_call_fail(struct lv_call *call, uint16_t code, const char *format, ...)
{
    va_list args;

    if (call->failure.code != 0)
        return;
    call->failure.code = code;
    va_start(args, format);
    vsnprintf(call->failure.text, sizeof(call->failure.text), format, args);
    va_end(args);
}

/* The views point into a read buffer that ends with this turn: give the call bytes of its own. */
static bool call_pack(struct lv_call *call)
{
    struct lv_bytes *views[] = { &call->name, &call->other, &call->key, &call->arguments };
    size_t total = 1;

    for (size_t i = 0; i < LV_ARRAY_LEN(views); i++)
        total += views[i]->len;
    uint8_t *copy = lv_mem_alloc(total, LV_TAG_BROKER);
    if (copy == NULL)
        return false;
    call->copy = copy;
    for (size_t i = 0; i < LV_ARRAY_LEN(views); i++) {
        if (views[i]->len != 0)
            memcpy(copy, views[i]->ptr, views[i]->len);
        views[i]->ptr = copy;
        copy += views[i]->len;
    }
    return true;
}

bool lv_call_leave(struct lv_call *call)
{
    if (call->is_away)
        return true;
    if (!call_pack(call))
        return false;
    call->is_away = true;
    if (call->session != NULL) {
        call->session->call = call;
        lv_session_pause(call->session);
    }
    return true;
}

static void post(struct lv_shard *here, struct lv_call *call, unsigned to,
                 void (*step)(struct lv_shard *, struct lv_call *))
{
    struct lv_mail m = { .op = LV_MAIL_CALL, .w = { (uintptr_t)call } };

    if (!lv_call_leave(call)) {
        lv_call_fail(call, 541, "out of memory");
        lv_call_finish(here, call);
        return;
    }
    call->step = step;
    lv_loop_post(here->loop, to, &m);
}

void lv_call_go(struct lv_shard *here, struct lv_call *call, unsigned to,
                void (*step)(struct lv_shard *, struct lv_call *))
{
    if (to == here->index)
        step(here, call);
    else
        post(here, call, to, step);
}

void lv_call_later(struct lv_shard *here, struct lv_call *call,
                   void (*step)(struct lv_shard *, struct lv_call *))
{
    post(here, call, here->index, step);
}

void lv_call_arrived(struct lv_shard *shard, struct lv_call *call)
{
    call->step(shard, call);
}

void lv_call_drop(struct lv_call *call)
{
    lv_mem_free(call->copy, LV_TAG_BROKER);
    lv_mem_free(call->own, LV_TAG_BROKER);
    lv_mem_free(call, LV_TAG_BROKER);
}

void lv_call_finish(struct lv_shard *shard, struct lv_call *call)
{
    struct lv_session *s = call->session;
    bool was_away = call->is_away;

    if (shard->index != call->origin) {
        lv_call_go(shard, call, call->origin, lv_call_finish);
        return;
    }
    if (s != NULL) {
        s->call = NULL;
        if (call->done != NULL)
            call->done(s, call);
    }
    lv_call_drop(call);
    if (s == NULL || !was_away || s->call != NULL)
        return;
    if (s->is_dropping) /* it was not away after all: whoever made the call goes on */
        return;
    if (s->is_dying)
        lv_session_end(s);
    else
        lv_session_resume(s);
}

bool lv_call_may(struct lv_call *call, enum lv_operation operation, const struct lv_operands *on)
{
    struct lv_refusal why;

    if (call->session == NULL)
        return true;
    if (lv_check_operation(&call->session->pass, NULL, operation, on, &why) == LV_OK)
        return true;
    lv_call_fail(call, why.code, "%s", why.text);
    return false;
}

char *lv_rs(char *out, size_t cap, const char *kind, struct lv_bytes name,
            const struct lv_vhost *vhost)
{
    snprintf(out, cap, "%s '%.*s' in vhost '%s'", kind, LV_BYTES_FMT(name), vhost->text);
    return out;
}

void lv_call_fail_locked(struct lv_call *call, const char *rs)
{
    lv_call_fail(
        call, 405,
        "cannot obtain exclusive access to locked %s. It could be originally declared on another "
        "connection or the exclusive property value does not match that of the original "
        "declaration.",
        rs);
}

struct lv_queue_entry *lv_call_find_queue(struct lv_call *call)
{
    struct lv_dest *dest = lv_router_queue(&call->vhost->router, call->name);
    char rs[LV_RS_MAX];

    lv_rs(rs, sizeof(rs), "queue", call->name, call->vhost);
    if (dest == NULL) {
        lv_call_fail(call, 404, "no %s", rs);
        return NULL;
    }
    struct lv_queue_entry *entry = (struct lv_queue_entry *)dest;
    if (entry->owner != 0 && entry->owner != call->owner) {
        lv_call_fail_locked(call, rs);
        return NULL;
    }
    return entry;
}
