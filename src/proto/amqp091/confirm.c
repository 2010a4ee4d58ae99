/* Publisher confirms: numbered from 1, told in order, once a turn.
 *
 * Most publishes are decided at once and need no memory: done and next grow together. Only while a publish waits for
 * queues on other loops, or for the disk, is there a ring with what it and its successors lack. */
#include "base/mem.h"
#include "proto/amqp091/amqp_priv.h"

/* A token: channel number 16, epoch 8, the low bits of the publish's number. */
#define TOKEN_NUMBER UINT64_C(0xFFFFFFFFFF)

uint64_t lv_amqp_confirm_token(const struct lv_amqp_chan *ch)
{
    if (ch->mode != LV_AMQP_CONFIRM)
        return 0;
    return (uint64_t)ch->number << 48 | (uint64_t)ch->epoch << 40 |
           (ch->confirms.next & TOKEN_NUMBER);
}

static void want_flush(struct lv_amqp_chan *ch)
{
    if (!lv_list_linked(&ch->confirms.link)) {
        lv_list_push(&ch->conn->to_confirm, &ch->confirms.link);
        lv_amqp_at_turn_end(ch->conn);
    }
}

static struct lv_amqp_lack *lack_of(const struct lv_amqp_confirms *c, uint64_t number)
{
    return &c->lack[number & (c->cap - 1)];
}

static bool reserve_lack(struct lv_amqp_confirms *c)
{
    uint64_t open = c->next - c->done;
    uint32_t cap = c->cap != 0 ? c->cap * 2 : 64;

    if (open < c->cap)
        return true;
    struct lv_amqp_lack *lack = lv_mem_alloc(cap * sizeof(*lack), LV_TAG_CHANNEL);
    if (lack == NULL)
        return false;
    for (uint64_t i = c->done; i < c->next; i++)
        lack[i & (cap - 1)] = *lack_of(c, i);
    lv_mem_free(c->lack, LV_TAG_CHANNEL);
    c->lack = lack;
    c->cap = cap;
    return true;
}

void lv_amqp_confirm(struct lv_amqp_chan *ch, uint32_t lack, lv_lsn end)
{
    struct lv_amqp_confirms *c = &ch->confirms;

    if (ch->mode != LV_AMQP_CONFIRM)
        return;
    want_flush(ch);
    if (LV_LIKELY(lack == 0 && end == 0 && c->done == c->next)) {
        c->done = ++c->next;
        return;
    }
    if (!reserve_lack(c)) {
        lv_amqp_conn_error(ch->conn, 541, LV_AMQP_BASIC_PUBLISH, "out of memory");
        return;
    }
    *lack_of(c, c->next++) = (struct lv_amqp_lack){ .end = end, .count = lack };
}

void lv_amqp_accepted(struct lv_session *s, uint64_t token, lv_lsn end, bool is_refused)
{
    struct lv_amqp_chan *ch = lv_amqp_chan_find((struct lv_amqp_conn *)s, (uint16_t)(token >> 48));

    if (ch == NULL || ch->epoch != (uint8_t)(token >> 40) || ch->state == LV_AMQP_CHAN_CLOSING)
        return;
    struct lv_amqp_confirms *c = &ch->confirms;
    uint64_t number = (c->next & ~TOKEN_NUMBER) | (token & TOKEN_NUMBER);
    if (number >= c->next) /* named before the number outgrew the token's bits */
        number -= TOKEN_NUMBER + 1;
    if (number < c->done || number >= c->next)
        return;
    struct lv_amqp_lack *lack = lack_of(c, number);
    if (is_refused)
        lack->count = LV_AMQP_NACKED;
    if (lack->count != LV_AMQP_NACKED && lack->count > 0)
        lack->count--;
    lack->end = LV_MAX(lack->end, end);
    want_flush(ch);
}

void lv_amqp_stable(struct lv_session *s)
{
    struct lv_amqp_conn *ac = (struct lv_amqp_conn *)s;
    struct lv_link due, *l;

    lv_list_init(&due);
    lv_list_splice(&due, &ac->unstable);
    while ((l = lv_list_pop(&due)) != NULL)
        lv_amqp_confirm_flush(LV_CONTAINER_OF(l, struct lv_amqp_chan, confirms.link));
}

/* The next confirm waits for the disk: this channel is flushed when more is stable. */
static void await_stable(struct lv_amqp_chan *ch)
{
    lv_list_push(&ch->conn->unstable, &ch->confirms.link);
    lv_session_await_stable(&ch->conn->s);
}

static void tell(struct lv_amqp_chan *ch, uint64_t upto)
{
    struct lv_amqp_confirms *c = &ch->confirms;

    if (upto > c->told) {
        LV_AMQP_SEND(ch->conn, ch->number, basic_ack, .delivery_tag = upto,
                     .multiple = upto - c->told > 1);
        if (ch->pub != NULL)
            lv_session_confirmed(&ch->conn->s, &ch->pub->memo, upto - c->told, upto);
    }
    c->told = upto;
}

void lv_amqp_confirm_flush(struct lv_amqp_chan *ch)
{
    struct lv_amqp_confirms *c = &ch->confirms;

    lv_list_remove(&c->link);
    if (ch->mode != LV_AMQP_CONFIRM || ch->state == LV_AMQP_CHAN_CLOSING)
        return;
    lv_lsn stable = lv_session_stable(&ch->conn->s);
    bool is_waiting = false;
    while (c->done < c->next) {
        const struct lv_amqp_lack *lack = lack_of(c, c->done);
        if (lack->count == LV_AMQP_NACKED) {
            tell(ch, c->done - 1);
            LV_AMQP_SEND(ch->conn, ch->number, basic_nack, .delivery_tag = c->done);
            c->told = c->done;
        } else if (lack->count != 0) {
            break;
        } else if (lack->end > stable) {
            is_waiting = true;
            break;
        }
        c->done++;
    }
    tell(ch, c->done - 1);
    if (is_waiting)
        await_stable(ch);
    if (c->done == c->next && c->cap > 4096) {
        lv_mem_free(c->lack, LV_TAG_CHANNEL);
        c->lack = NULL;
        c->cap = 0;
    }
}

void lv_amqp_confirms_free(struct lv_amqp_chan *ch)
{
    lv_list_remove(&ch->confirms.link);
    lv_mem_free(ch->confirms.lack, LV_TAG_CHANNEL);
    ch->confirms.lack = NULL;
    ch->confirms.cap = 0;
    ch->confirms.done = ch->confirms.next;
}

void lv_amqp_confirm_select(struct lv_amqp_chan *ch, bool no_wait)
{
    if (ch->mode == LV_AMQP_TX) {
        lv_amqp_error(ch, 406, "cannot switch from tx to confirm mode");
        return;
    }
    ch->mode = LV_AMQP_CONFIRM;
    if (!no_wait)
        LV_AMQP_SEND(ch->conn, ch->number, confirm_select_ok, );
}
