/* tx.*: publishes and settlements are checked when they come and done at the commit (RabbitMQ). Not atomic over
 * queues: that comes with the store. */
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

void lv_amqp_tx_commit(struct lv_amqp_chan *ch)
{
    struct lv_amqp_tx_publish *p;
    bool lost = false;

    if (!is_tx(ch))
        return;
    while ((p = pop(ch)) != NULL) {
        if (p->count == 0 && p->mandatory)
            lv_amqp_return(ch, p->msg);
        (void)lv_session_publish(&ch->conn->s, p->queues, p->count, p->msg, 0, &lost);
        publish_free(p);
    }
    lv_amqp_settle_tx(ch);
    if (lost)
        lv_amqp_error(ch, 406, "partial tx completion");
    else
        LV_AMQP_SEND(ch->conn, ch->number, tx_commit_ok, );
}

/* Publishes are forgotten; settlements are undone, and nothing is delivered again by that. */
void lv_amqp_tx_drop(struct lv_amqp_chan *ch)
{
    struct lv_amqp_tx_publish *p;

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

void lv_amqp_tx_rollback(struct lv_amqp_chan *ch)
{
    if (!is_tx(ch))
        return;
    lv_amqp_tx_drop(ch);
    LV_AMQP_SEND(ch->conn, ch->number, tx_rollback_ok, );
}
