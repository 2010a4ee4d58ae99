/* tx.*: publishes and settlements are checked when they come and done at the commit, all or none of them (in RabbitMQ a
 * commit is atomic for one queue only). */
#include "base/mem.h"
#include "proto/amqp091/amqp_priv.h"

struct lv_amqp_tx_publish {
    struct lv_amqp_tx_publish *next;
    struct lv_msg *msg; /* pins */
    bool mandatory;
    uint32_t count;
    lv_handle queues[]; /* where it was routed when it came */
};

static bool is_tx(struct lv_amqp_chan *ch)
{
    if (ch->mode != LV_AMQP_TX)
        lv_amqp_error(ch, 406, "channel is not transactional");
    return ch->mode == LV_AMQP_TX;
}

void lv_amqp_tx_select(struct lv_amqp_chan *ch)
{
    if (ch->mode == LV_AMQP_CONFIRM) {
        lv_amqp_error(ch, 406, "cannot switch from confirm to tx mode");
        return;
    }
    ch->mode = LV_AMQP_TX;
    LV_AMQP_SEND(ch->conn, ch->number, tx_select_ok, );
}

void lv_amqp_tx_publish(struct lv_amqp_chan *ch, struct lv_msg *msg, const lv_handle *queues,
                        uint32_t count, bool mandatory)
{
    struct lv_amqp_tx_publish *p =
        lv_mem_alloc(sizeof(*p) + count * sizeof(p->queues[0]), LV_TAG_CHANNEL);
    struct lv_msg *kept = p != NULL ? lv_msg_keep(msg) : NULL;

    if (kept == NULL) {
        lv_mem_free(p, LV_TAG_CHANNEL);
        lv_amqp_error(ch, 541, "out of memory");
        return;
    }
    *p = (struct lv_amqp_tx_publish){ .msg = kept, .mandatory = mandatory, .count = count };
    if (count != 0)
        memcpy(p->queues, queues, count * sizeof(*queues));
    if (ch->tx_last != NULL)
        ch->tx_last->next = p;
    else
        ch->tx_first = p;
    ch->tx_last = p;
}

static struct lv_amqp_tx_publish *pop(struct lv_amqp_chan *ch)
{
    struct lv_amqp_tx_publish *p = ch->tx_first;

    if (p != NULL)
        ch->tx_first = p->next;
    if (ch->tx_first == NULL)
        ch->tx_last = NULL;
    return p;
}

static void publish_free(struct lv_amqp_tx_publish *p)
{
    lv_msg_unref(p->msg);
    lv_mem_free(p, LV_TAG_CHANNEL);
}

/* The lists of a commit, in one block that lives until it is done. */
static struct lv_commit *gather(struct lv_amqp_chan *ch)
{
    uint32_t publishes = 0, settles = 0;

    for (struct lv_amqp_tx_publish *p = ch->tx_first; p != NULL; p = p->next)
        publishes++;
    struct lv_amqp_open *e = lv_amqp_unacked_at(&ch->unacked, 0);
    for (; e != NULL; e = lv_amqp_unacked_next(&ch->unacked, e))
        settles += e->state == LV_AMQP_IN_TX;
    struct lv_commit *c =
        lv_mem_zalloc(sizeof(*c) + publishes * sizeof(*c->publishes) + settles * sizeof(*c->settles),
                      LV_TAG_CHANNEL);
    if (c == NULL)
        return NULL;
    c->publishes = (struct lv_commit_publish *)(c + 1);
    c->settles = (struct lv_commit_settle *)(c->publishes + publishes);
    for (struct lv_amqp_tx_publish *p = ch->tx_first; p != NULL; p = p->next)
        c->publishes[c->publish_count++] =
            (struct lv_commit_publish){ .msg = p->msg, .queues = p->queues, .count = p->count };
    e = lv_amqp_unacked_at(&ch->unacked, 0);
    for (; e != NULL; e = lv_amqp_unacked_next(&ch->unacked, e))
        if (e->state == LV_AMQP_IN_TX)
            c->settles[c->settle_count++] = (struct lv_commit_settle){
                .sub = &e->sub->sub, .slot = e->slot, .outcome = (enum lv_outcome)e->outcome
            };
    return c;
}

static void committed(struct lv_session *s, struct lv_call *call)
{
    struct lv_amqp_chan *ch = lv_amqp_call_chan(s, call);
    struct lv_amqp_tx_publish *p;

    ch->is_committing = false;
    while ((p = pop(ch)) != NULL) {
        if (p->count == 0 && p->mandatory)
            lv_amqp_return(ch, p->msg);
        if (ch->pub != NULL && call->failure.code == 0)
            lv_session_committed(s, &ch->pub->memo, p->msg, p->count,
                                 lv_amqp_fate(p->count, p->mandatory));
        publish_free(p);
    }
    lv_amqp_settled_tx(ch);
    lv_mem_free((void *)(uintptr_t)call->commit, LV_TAG_CHANNEL);
    if (!lv_amqp_failed(ch, call))
        LV_AMQP_SEND(ch->conn, ch->number, tx_commit_ok, );
}

void lv_amqp_tx_commit(struct lv_amqp_chan *ch)
{
    if (!is_tx(ch))
        return;
    struct lv_commit *commit = gather(ch);
    struct lv_call *call = commit != NULL ? lv_amqp_call(ch, false, committed) : NULL;
    if (call == NULL) {
        lv_mem_free(commit, LV_TAG_CHANNEL);
        lv_amqp_error(ch, 541, "out of memory");
        return;
    }
    ch->is_committing = true;
    call->commit = commit;
    lv_commit(call);
}

/* Publishes are forgotten; settlements are undone, and nothing is delivered again by that. */
void lv_amqp_tx_drop(struct lv_amqp_chan *ch)
{
    struct lv_amqp_tx_publish *p;

    if (ch->is_committing)
        return;
    while ((p = pop(ch)) != NULL)
        publish_free(p);
    if (ch->mode != LV_AMQP_TX)
        return;
    struct lv_amqp_open *e = lv_amqp_unacked_at(&ch->unacked, 0);
    for (; e != NULL; e = lv_amqp_unacked_next(&ch->unacked, e)) {
        if (e->state != LV_AMQP_IN_TX)
            continue;
        e->state = LV_AMQP_OPEN;
        ch->unacked.open++;
    }
}

uint64_t lv_amqp_tx_count(const struct lv_amqp_chan *ch)
{
    uint64_t n = 0;

    for (const struct lv_amqp_tx_publish *p = ch->tx_first; p != NULL; p = p->next)
        n++;
    return n;
}

void lv_amqp_tx_rollback(struct lv_amqp_chan *ch)
{
    if (!is_tx(ch))
        return;
    lv_amqp_tx_drop(ch);
    LV_AMQP_SEND(ch->conn, ch->number, tx_rollback_ok, );
}
