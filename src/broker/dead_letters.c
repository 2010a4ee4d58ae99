/* Dead letters: from a queue in which a message died to the queues that its dead letter exchange leads to.
 *
 * A message that dies keeps its place, in the queue and in its log, until every queue that gets the dead letter has it. That
 * it is there and no longer here is one record of the log, where all these queues live on one loop; otherwise a crash in
 * between may deliver it twice, and never loses it (RabbitMQ's classic queues may). What died in a turn goes out at its
 * end, since the engine cannot be called while it tells of a death. */
#include "base/mem.h"
#include "base/props.h"
#include "broker/broker_priv.h"
#include "broker/death.h"
#include "os/os.h"

#define KEYS_MAX 64u

struct lv_dead_letter {
    struct lv_link link; /* in shard->dead, until it goes out */
    lv_handle self;
    lv_handle queue; /* in which it died */
    struct lv_msg *msg;
    uint32_t slot; /* LV_SLOT_NONE: it never was in it */
    uint32_t lack; /* acceptances on other loops still to come */
    enum lv_death why;
    bool is_short; /* memory was: not everybody has it */
};

static void count(struct lv_home_queue *hq, enum lv_death why)
{
    bool is_sent = hq->rules != NULL && hq->rules->has_dlx;
    size_t word = offsetof(struct lv_counters, dead) / sizeof(uint64_t) +
                  ((size_t)hq->entry->kind * LV_DEATH_COUNT + why) * 2 + is_sent;

    lv_tally_add(hq->shard, word, 1);
}

void lv_home_died(void *home, const struct lv_delivery *d, enum lv_death why)
{
    struct lv_home_queue *hq = home;
    struct lv_shard *shard = hq->shard;

    count(hq, why);
    if (hq->rules == NULL || !hq->rules->has_dlx || d->msg == NULL)
        return;
    struct lv_dead_letter *dead = lv_mem_zalloc(sizeof(*dead), LV_TAG_BROKER);
    if (dead == NULL || (dead->msg = lv_msg_keep(d->msg)) == NULL) {
        lv_mem_free(dead, LV_TAG_BROKER); /* it stays where it is, until a restart */
        return;
    }
    dead->queue = hq->self;
    dead->slot = d->slot;
    dead->why = why;
    lv_list_push(&shard->dead, &dead->link);
    if (shard->is_started)
        lv_loop_again(shard->loop);
}

/* Everybody has it. */
static void bury(struct lv_shard *shard, struct lv_dead_letter *dead)
{
    struct lv_home_queue *hq = lv_home_find(shard, dead->queue);

    if (hq != NULL && dead->slot != LV_SLOT_NONE)
        lv_queue_bury(hq->queue, dead->slot, lv_shard_wall(shard));
    if (dead->self != 0)
        lv_handles_remove(&shard->dying, dead->self);
    lv_msg_unref(dead->msg);
    lv_mem_free(dead, LV_TAG_BROKER);
}

/* The message that is sent, kept; NULL: no memory. */
static struct lv_msg *letter(const struct lv_home_queue *hq, const struct lv_dead_letter *dead)
{
    const struct lv_home_rules *rules = hq->rules;
    struct lv_death_note note = {
        .why = dead->why,
        .queue = hq->entry->dest.name.key,
        .time_s = lv_clock_wall_us() / 1000000,
    };
    struct lv_bytes props, key = rules->has_key ? rules->key : lv_msg_key(dead->msg);
    enum lv_err err = lv_death_props(dead->msg, &note, &props);

    if (err == LV_ENOMEM)
        return NULL;
    if (err != LV_OK) /* what no parser understands goes on as it is */
        props = lv_msg_props(dead->msg);
    struct lv_msg *msg = lv_msg_with(dead->msg, rules->dlx, key, props);
    if (err == LV_OK)
        lv_mem_free((void *)(uintptr_t)props.ptr, LV_TAG_MESSAGE);
    if (msg == NULL)
        return NULL;
    msg->has_expiration = false;
    msg->has_died = true;
    msg->published_ms = lv_shard_wall(hq->shard);
    return msg;
}

static enum lv_err route(const struct lv_home_queue *hq, const struct lv_dead_letter *dead,
                         const struct lv_msg *msg)
{
    struct lv_exchange *x = lv_router_exchange(&hq->vhost->router, hq->rules->dlx);
    struct lv_bytes keys[KEYS_MAX];
    struct lv_props props;
    struct lv_route_query query = { .key = lv_msg_key(msg) };

    hq->shard->route.count = 0;
    if (x == NULL)
        return LV_ENOTFOUND;
    if (!hq->rules->has_key) {
        query.more_count = LV_MIN(lv_death_keys(dead->msg, keys, KEYS_MAX), KEYS_MAX) - 1;
        query.more_keys = keys + 1;
    }
    if (lv_props_decode(lv_msg_props(msg), &props) == LV_OK)
        query.headers = props.headers;
    return lv_route(&hq->vhost->router, x, &query, &hq->shard->route);
}

static void send_away(struct lv_shard *shard, struct lv_dead_letter *dead, lv_handle to,
                      struct lv_msg *msg)
{
    struct lv_mail m = { .op = LV_MAIL_DEAD_LETTER, .w = { [2] = dead->self } };

    lv_publish_post(shard, to, lv_msg_keep(msg), &m); /* kept already: cannot fail */
    dead->lack++;
}

/* To every queue it is for: those here at once, as what they log need not be logged again for the others. false: some may not
 * have got it for want of memory. One that is full has had its chance: dead letters are sent once. */
static bool deliver(struct lv_home_queue *hq, struct lv_dead_letter *dead, struct lv_msg *msg)
{
    struct lv_shard *shard = hq->shard;
    struct lv_route *rt = &shard->route;
    lv_handle homes[32], *list = homes;
    bool is_whole = true;
    size_t count = 0;

    if (rt->count > LV_ARRAY_LEN(homes))
        list = lv_mem_alloc(rt->count * sizeof(*list), LV_TAG_BROKER);
    if (list == NULL)
        return false;
    for (size_t i = 0; i < rt->count; i++) {
        struct lv_queue_entry *entry = (struct lv_queue_entry *)rt->queues[i];
        if (lv_death_is_cycle(lv_msg_props(msg), entry->dest.name.key, dead->why))
            continue;
        msg->persistent |= entry->kind == LV_QUEUE_QUORUM;
        lv_handle home = lv_home_of(shard, hq->vhost, entry);
        is_whole = is_whole && home != LV_HOME_NONE_YET;
        if (home != LV_HOME_NONE_YET && home != LV_HOME_NONE_EVER)
            list[count++] = home;
    }
    for (size_t i = 0; i < count; i++)
        if (lv_handle_loop(list[i]) == shard->index)
            is_whole = lv_home_publish(shard, list[i], msg) != LV_ENOMEM && is_whole;
    for (size_t i = 0; i < count; i++) {
        if (lv_handle_loop(list[i]) == shard->index)
            continue;
        if (dead->self != 0 || lv_handles_add(&shard->dying, dead, &dead->self) == LV_OK)
            send_away(shard, dead, list[i], msg);
        else
            is_whole = false;
    }
    if (list != homes)
        lv_mem_free(list, LV_TAG_BROKER);
    return is_whole;
}

/* It is sent once more in a later turn: without memory twice is better than never. */
static void send_again(struct lv_shard *shard, struct lv_dead_letter *dead)
{
    if (dead->self != 0)
        lv_handles_remove(&shard->dying, dead->self);
    dead->self = 0;
    dead->lack = 0;
    dead->is_short = false;
    lv_list_push(&shard->dead, &dead->link);
}

static void finish(struct lv_shard *shard, struct lv_dead_letter *dead)
{
    if (dead->is_short)
        send_again(shard, dead);
    else
        bury(shard, dead);
}

static void send(struct lv_shard *shard, struct lv_dead_letter *dead)
{
    struct lv_home_queue *hq = lv_home_find(shard, dead->queue);
    if (hq != NULL && hq->rules != NULL && hq->rules->has_dlx) {
        struct lv_msg *msg = letter(hq, dead);
        enum lv_err err = msg != NULL ? route(hq, dead, msg) : LV_ENOMEM;
        if (err == LV_ENOMEM || (err == LV_OK && !deliver(hq, dead, msg)))
            dead->is_short = true;
        if (msg != NULL)
            lv_msg_unref(msg);
    }
    if (dead->lack == 0)
        finish(shard, dead);
}

void lv_dead_letters_turn(struct lv_shard *shard)
{
    struct lv_link list;
    struct lv_link *l;

    /* What died may have come with a transaction that is still to count. */
    if (shard->journal.open_parts != 0)
        return;
    lv_list_init(&list); /* who dies of it waits for the next turn */
    lv_list_splice(&list, &shard->dead);
    if (shard->broker->store != NULL)
        lv_journal_tx_begin(&shard->journal);
    while ((l = lv_list_pop(&list)) != NULL)
        send(shard, LV_CONTAINER_OF(l, struct lv_dead_letter, link));
    if (shard->broker->store != NULL) /* without memory: after a crash they die once more */
        (void)!lv_journal_tx_end(&shard->journal, 0);
}

void lv_dead_letters_drop(struct lv_shard *shard)
{
    struct lv_dead_letter *dead;
    struct lv_link *l;
    uint32_t pos = 0;

    while ((l = lv_list_pop(&shard->dead)) != NULL) {
        dead = LV_CONTAINER_OF(l, struct lv_dead_letter, link);
        lv_msg_unref(dead->msg);
        lv_mem_free(dead, LV_TAG_BROKER);
    }
    while ((dead = lv_handles_next(&shard->dying, &pos)) != NULL) {
        lv_msg_unref(dead->msg);
        lv_mem_free(dead, LV_TAG_BROKER);
    }
}

static void arrived(struct lv_shard *shard, const struct lv_mail *m)
{
    struct lv_mail back = { .op = LV_MAIL_BURIED, .w = { m->w[2] } };

    back.a = lv_publish_take(shard, m) == LV_ENOMEM;
    lv_loop_post(shard->loop, lv_handle_loop(m->w[2]), &back);
}

void lv_broker_mail_dead_letters(struct lv_shard *shard, const struct lv_mail *m)
{
    if (m->op == LV_MAIL_DEAD_LETTER) {
        arrived(shard, m);
        return;
    }
    struct lv_dead_letter *dead = lv_handles_get(&shard->dying, m->w[0]);
    if (dead == NULL)
        return;
    dead->is_short = dead->is_short || m->a != 0;
    if (--dead->lack == 0)
        finish(shard, dead);
}
