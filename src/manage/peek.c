/* /api/x/queues/V/Q/peek: messages as they lie in the queue, which stay there. */
#include "broker/look.h"
#include "manage/ask.h"
#include "manage/manage_priv.h"
#include "manage/messages.h"
#include "manage/router.h"

#define COUNT_DEFAULT 10

struct peek {
    struct lv_look look; /* first */
    struct lv_request *r;
    struct lv_payload_form form;
    uint32_t at; /* messages that are written */
};

static void peek_clean(struct lv_request *r)
{
    lv_peek_fini(&((struct peek *)r->work)->look.peek);
}

static void write_on(struct lv_request *r)
{
    struct peek *p = r->work;
    const struct lv_peek *seen = &p->look.peek;
    struct lv_json *j = &r->reply.json;

    while (p->at < seen->count) {
        const struct lv_peeked *m = &seen->at[p->at++];
        if (m->msg == NULL) /* it left while it was looked for, or is damaged */
            continue;
        lv_json_open(j, NULL);
        lv_json_u64(j, "position", m->position);
        lv_json_str(j, "state", m->is_unsettled ? "unacked" : "ready");
        lv_json_message(j, m->msg, m->redelivered, &p->form);
        lv_json_close(j);
        if (!lv_reply_push(r))
            return;
    }
    r->go_on = NULL;
    lv_json_close(j);
    if (seen->has_more)
        lv_json_u64(j, "next", seen->next);
    else
        lv_json_null(j, "next");
    lv_json_close(j);
    lv_reply_end(r);
}

static void seen(struct lv_errand *errand)
{
    struct peek *p = (struct peek *)errand;
    struct lv_request *r = p->r;

    if (!lv_request_back(r))
        return;
    if (p->look.failure.code != 0) {
        lv_reply_failure(r, &p->look.failure);
        return;
    }
    struct lv_json *j = lv_reply_json(r, 200);
    lv_json_open(j, NULL);
    lv_json_open_array(j, "messages");
    r->go_on = write_on;
    write_on(r);
}

/* False: it was answered. */
static bool read_state(struct lv_request *r, struct lv_peek *out)
{
    struct lv_bytes state = LV_BYTES_LIT("ready");

    if (!lv_body_text(r, "state", &state))
        return false;
    bool is_all = lv_bytes_eq(state, LV_BYTES_LIT("all"));
    out->ready = is_all || lv_bytes_eq(state, LV_BYTES_LIT("ready"));
    out->unsettled = is_all || lv_bytes_eq(state, LV_BYTES_LIT("unacked"));
    if (out->ready || out->unsettled)
        return true;
    lv_reply_bad_request(r, "state should be ready, unacked or all");
    return false;
}

void lv_api_peek(struct lv_request *r)
{
    struct peek *p = lv_request_alloc(r, sizeof(*p));
    int64_t from = 0, count = COUNT_DEFAULT;

    if (p == NULL) {
        lv_reply_no_memory(r);
        return;
    }
    if (lv_request_json(r) == NULL || !lv_body_number(r, "from", 0, INT64_MAX, &from) ||
        !lv_body_number(r, "count", 1, LV_PEEK_MAX, &count) || !read_state(r, &p->look.peek) ||
        !lv_body_payload_form(r, &p->form))
        return;
    p->r = r;
    p->look.errand.done = seen;
    p->look.errand.desk = &r->room->desk;
    p->look.user = r->who.name;
    p->look.credential = r->who.credential;
    p->look.vhost = r->vhost;
    p->look.queue = r->args[0];
    p->look.peek.from = (uint64_t)from;
    p->look.peek.max = (uint32_t)count;
    r->work = p;
    r->clean = peek_clean;
    lv_request_out(r);
    lv_look_send(r->room->broker, &p->look);
}
