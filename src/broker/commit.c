/* Transactions: from loop to loop, to every home of a queue that is in it.
 *
 * On each loop all that concerns its queues is done in one step; what the queues would have written one by one is collected and
 * becomes one record, the loop's part. When one loop has all, its record is the transaction. Otherwise the parts carry
 * a number, and the commit record that follows them makes them count: no queue's state is written down in between
 * (journal.open_parts), so after a crash there is all of it or nothing. */
#include "base/mem.h"
#include "broker/broker_priv.h"

/* The loops that the transaction touches, as bits. */
static uint64_t loops_of(const struct lv_commit *c)
{
    uint64_t loops = 0;

    for (uint32_t i = 0; i < c->publish_count; i++)
        for (uint32_t k = 0; k < c->publishes[i].count; k++)
            loops |= UINT64_C(1) << lv_handle_loop(c->publishes[i].queues[k]);
    for (uint32_t i = 0; i < c->settle_count; i++)
        loops |= UINT64_C(1) << lv_handle_loop(c->settles[i].queue);
    return loops;
}

/* LV_EFULL: a queue was full, and has not got its message. LV_ENOMEM goes before it. */
static enum lv_err publish_here(struct lv_shard *shard, const struct lv_commit *c)
{
    enum lv_err result = LV_OK;

    for (uint32_t i = 0; i < c->publish_count; i++) {
        const struct lv_commit_publish *p = &c->publishes[i];
        for (uint32_t k = 0; k < p->count; k++) {
            enum lv_err err = lv_handle_loop(p->queues[k]) == shard->index
                                  ? lv_home_publish(shard, p->queues[k], p->msg)
                                  : LV_OK;
            if (err != LV_OK && result != LV_ENOMEM)
                result = err;
        }
    }
    return result;
}

static void settle_here(struct lv_shard *shard, const struct lv_commit *c)
{
    for (uint32_t i = 0; i < c->settle_count; i++) {
        const struct lv_commit_settle *s = &c->settles[i];
        struct lv_home_queue *hq;
        struct lv_feed *feed;
        if (lv_handle_loop(s->queue) != shard->index || (hq = lv_home_find(shard, s->queue)) == NULL)
            continue;
        feed = lv_handles_get(&shard->feeds, s->feed);
        if (feed != NULL && s->gives_credit)
            lv_consumer_credit(&feed->consumer, 1);
        lv_queue_settle(hq->queue, &s->slot, 1, s->outcome, lv_shard_wall(shard));
    }
}

static void commit_here(struct lv_shard *shard, struct lv_call *call);
static void commit_end(struct lv_shard *shard, struct lv_call *call);

static void go_on(struct lv_shard *shard, struct lv_call *call)
{
    if (call->loops == 0) {
        lv_call_go(shard, call, call->origin, commit_end);
        return;
    }
    unsigned next = (unsigned)__builtin_ctzll(call->loops);
    call->loops &= call->loops - 1;
    lv_call_go(shard, call, next, commit_here);
}

static void commit_here(struct lv_shard *shard, struct lv_call *call)
{
    struct lv_journal *j = &shard->journal;
    lv_lsn before = j->end;

    lv_journal_tx_begin(j);
    enum lv_err published = publish_here(shard, call->commit);
    settle_here(shard, call->commit);
    if (lv_journal_tx_end(j, call->tx) != LV_OK || published == LV_ENOMEM)
        lv_call_fail(call, 541, "partial tx completion: out of memory");
    else if (published != LV_OK)
        call->is_partial = true;
    if (j->end != before)
        call->end = LV_MAX(call->end, j->end);
    if (call->tx != 0)
        j->open_parts++;
    go_on(shard, call);
}

/* Back where it began: the parts count, unless one of them is missing. */
static void commit_end(struct lv_shard *shard, struct lv_call *call)
{
    uint64_t loops = loops_of(call->commit);
    struct lv_mail m = { .op = LV_MAIL_TX_CLOSED };

    if (call->tx != 0) {
        if (call->failure.code == 0 && lv_journal_commit(&shard->journal, call->tx) != LV_OK)
            lv_call_fail(call, 541, "out of memory");
        call->end = LV_MAX(call->end, shard->journal.end);
        for (; loops != 0; loops &= loops - 1)
            lv_loop_post(shard->loop, (unsigned)__builtin_ctzll(loops), &m);
    }
    if (call->is_partial)
        lv_call_fail(call, 406, "partial tx completion");
    lv_call_finish_stable(shard, call);
}

void lv_commit(struct lv_call *call)
{
    const struct lv_commit *c = call->commit;
    struct lv_shard *shard = call->session->shard;

    for (uint32_t i = 0; i < c->settle_count; i++) {
        struct lv_commit_settle *s = &c->settles[i];
        s->queue = s->sub->queue;
        s->feed = s->sub->feed;
        s->gives_credit = s->sub->limit != 0;
    }
    for (uint32_t i = 0; i < c->publish_count; i++)
        c->publishes[i].msg->published_ms = lv_shard_wall(shard);
    call->loops = loops_of(c);
    if ((call->loops & (call->loops - 1)) != 0) {
        call->tx = shard->next_tx++ << 6 | (shard->index & 63);
        for (uint32_t i = 0; i < c->publish_count; i++)
            lv_msg_share(c->publishes[i].msg);
    }
    go_on(shard, call);
}
