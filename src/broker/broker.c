#include "broker/broker.h"

#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "broker/definitions_priv.h"
#include "config/config.h"
#include "os/os.h"

/* ---- life ---- */

static void name_node(struct lv_broker *b)
{
    char host[128];

    if (b->settings->node_name[0] != '\0') {
        (void)snprintf(b->node, sizeof(b->node), "%.255s", b->settings->node_name);
        return;
    }
    if (gethostname(host, sizeof(host)) != 0)
        (void)snprintf(host, sizeof(host), "localhost");
    host[sizeof(host) - 1] = '\0';
    host[strcspn(host, ".")] = '\0';
    (void)snprintf(b->node, sizeof(b->node), "rabbit@%s", host);
}

const char *lv_broker_node_name(const struct lv_broker *b)
{
    return b->node;
}

enum lv_err lv_broker_new(const struct lv_settings *settings, struct lv_broker **out)
{
    struct lv_broker *b = lv_mem_zalloc(sizeof(*b), LV_TAG_BROKER);

    *out = NULL;
    if (b == NULL)
        return LV_ENOMEM;
    b->settings = settings;
    name_node(b);
    lv_ptrmap_init(&b->vhosts, &lv_loop_reclaim);
    lv_list_init(&b->ending);
    enum lv_err err = lv_access_new(&lv_loop_reclaim, &b->access);
    if (err != LV_OK) {
        lv_mem_free(b, LV_TAG_BROKER);
        return err;
    }
    *out = b;
    return LV_OK;
}

/* On the loop's own thread, before its first turn. */
static enum lv_err shard_start(struct lv_loop *loop)
{
    struct lv_broker *b = lv_loop_owner(loop);
    struct lv_shard *shard = &b->shards[lv_loop_index(loop)];

    lv_loop_set_data(loop, shard);
    lv_rules_start(shard);
    lv_sessions_watch_acks(shard);
    if (shard->index == LV_REGISTRY_LOOP) {
        b->is_running = true;
        lv_alarm_start(shard);
        lv_durable_start(shard);
    }
    return LV_OK;
}

enum lv_err lv_broker_set_loops(struct lv_broker *b, struct lv_loops *loops)
{
    unsigned count = lv_loops_count(loops);

    b->shards = lv_mem_zalloc(count * sizeof(*b->shards), LV_TAG_BROKER);
    if (b->shards == NULL)
        return LV_ENOMEM;
    b->loops = loops;
    b->wall_offset = lv_clock_wall_us() / 1000 - lv_clock_ns() / 1000000;
    for (unsigned i = 0; i < count; i++) {
        struct lv_shard *shard = &b->shards[i];
        shard->broker = b;
        shard->index = i;
        shard->loop = lv_loops_at(loops, i);
        lv_handles_init(&shard->queues, (uint8_t)i);
        lv_handles_init(&shard->feeds, (uint8_t)i);
        lv_handles_init(&shard->subs, (uint8_t)i);
        lv_handles_init(&shard->sessions, (uint8_t)i);
        lv_handles_init(&shard->dying, (uint8_t)i);
        lv_list_init(&shard->dead);
        lv_route_init(&shard->route);
        lv_list_init(&shard->awaiting);
        lv_count_init(shard);
    }
    return LV_OK;
}

/* Nobody runs any more: what is left is freed without telling anyone. */
static void shard_fini(struct lv_shard *shard)
{
    struct lv_home_queue *hq;
    struct lv_feed *feed;
    uint32_t pos = 0;

    while ((feed = lv_handles_next(&shard->feeds, &pos)) != NULL) {
        lv_queue_unsubscribe(&feed->consumer);
        lv_mem_free(feed, LV_TAG_QUEUE);
    }
    pos = 0;
    while ((hq = lv_handles_next(&shard->queues, &pos)) != NULL) {
        lv_home_rules_fini(hq);
        lv_queue_free(hq->queue);
        lv_mem_free(hq, LV_TAG_QUEUE);
    }
    lv_dead_letters_drop(shard);
    lv_handles_fini(&shard->dying);
    lv_handles_fini(&shard->queues);
    lv_handles_fini(&shard->feeds);
    lv_handles_fini(&shard->subs);
    lv_handles_fini(&shard->sessions);
    lv_route_fini(&shard->route);
    lv_logins_drop(shard);
    lv_journal_fini(&shard->journal);
}

void lv_broker_free(struct lv_broker *b)
{
    struct lv_ptrmap_entry *e;
    struct lv_link *link;
    size_t pos = 0;

    atomic_store(&b->is_ending, true);
    lv_verify_stop(b->verify);
    for (unsigned i = 0; b->shards != NULL && i < lv_loops_count(b->loops); i++)
        lv_errands_drop(&b->shards[i]);
    if (b->shards != NULL)
        lv_agents_drop(&b->shards[LV_REGISTRY_LOOP]);
    lv_durable_stop(b);
    for (unsigned i = 0; b->shards != NULL && i < lv_loops_count(b->loops); i++)
        shard_fini(&b->shards[i]);
    lv_mem_free(b->shards, LV_TAG_BROKER);
    while ((e = lv_ptrmap_next(&b->vhosts, &pos)) != NULL) {
        lv_vhost_free((struct lv_vhost *)e);
    }
    while ((link = lv_list_pop(&b->ending)) != NULL)
        lv_vhost_free(LV_CONTAINER_OF(link, struct lv_vhost, ending));
    lv_ptrmap_fini(&b->vhosts);
    lv_parameters_free(atomic_load_explicit(&b->globals, memory_order_relaxed));
    lv_definitions_free(b->definitions);
    lv_access_free(b->access);
    lv_wal_reader_free(b->wal_reader);
    lv_store_close(b->store);
    lv_mem_free((void *)b->back, LV_TAG_BROKER);
    lv_mem_free(b, LV_TAG_BROKER);
}

/* ---- mail ---- */

static void mail_arrived(struct lv_loop *loop, unsigned from, const struct lv_mail *m)
{
    struct lv_shard *shard = lv_loop_data(loop);

    (void)from;
    switch ((enum lv_broker_mail)m->op) {
    case LV_MAIL_PUBLISH:
    case LV_MAIL_ACCEPTED:
    case LV_MAIL_REPLY:
        lv_broker_mail_publish(shard, m);
        break;
    case LV_MAIL_DELIVER:
    case LV_MAIL_SETTLE:
    case LV_MAIL_CREDIT:
    case LV_MAIL_PAUSE:
    case LV_MAIL_RESUME:
    case LV_MAIL_UNSUBSCRIBE:
    case LV_MAIL_CANCELLED:
        lv_broker_mail_consumers(shard, m);
        break;
    case LV_MAIL_CALL:
        lv_call_arrived(shard, (struct lv_call *)m->w[0]);
        break;
    case LV_MAIL_REMOVE:
        lv_broker_mail_remove(shard, m);
        break;
    case LV_MAIL_ACCEPT:
        ((lv_accept_fn *)m->w[0])(shard, (int)m->a);
        break;
    case LV_MAIL_MOVE:
        lv_session_adopt(shard, (struct lv_session *)m->w[0], m->a != 0);
        break;
    case LV_MAIL_SHUT:
        lv_sessions_shut(shard);
        break;
    case LV_MAIL_ALARM:
        lv_broker_mail_alarm(shard, m);
        break;
    case LV_MAIL_ACCESS:
        lv_broker_mail_access(shard);
        break;
    case LV_MAIL_RULES:
        lv_broker_mail_rules(shard, m);
        break;
    case LV_MAIL_DEAD_LETTER:
    case LV_MAIL_BURIED:
        lv_broker_mail_dead_letters(shard, m);
        break;
    case LV_MAIL_VHOST_END:
    case LV_MAIL_VHOST_ENDED:
        lv_broker_mail_vhost(shard, m);
        break;
    case LV_MAIL_STATES:
    case LV_MAIL_STATES_DONE:
    case LV_MAIL_DOOMED:
    case LV_MAIL_TX_CLOSED:
        lv_durable_mail(shard, m);
        break;
    case LV_MAIL_OP_COUNT:
        LV_UNREACHABLE("mail without an op");
    }
}

static void turn_end(struct lv_loop *loop)
{
    struct lv_shard *shard = lv_loop_data(loop);

    if (LV_UNLIKELY(atomic_load_explicit(&shard->errands, memory_order_relaxed) != NULL))
        lv_errands_turn(shard);
    lv_access_turn(shard);
    if (LV_UNLIKELY(!lv_list_empty(&shard->dead)))
        lv_dead_letters_turn(shard);
    lv_durable_turn(loop);
    lv_count_turn(lv_loop_data(loop)); /* last: of all that was done */
}

void lv_broker_hook(struct lv_broker *b, struct lv_loops_config *config)
{
    config->owner = b;
    config->start = shard_start;
    config->mail = mail_arrived;
    config->turn_end = turn_end;
}

void lv_broker_place(struct lv_broker *b, int fd, lv_accept_fn *accept)
{
    unsigned best = lv_place_session(b);

    if (best == LV_REGISTRY_LOOP) {
        accept(&b->shards[best], fd);
        return;
    }
    struct lv_mail m = { .op = LV_MAIL_ACCEPT, .a = (uint32_t)fd, .w = { (uintptr_t)accept } };
    lv_loop_post(b->shards[LV_REGISTRY_LOOP].loop, best, &m);
}

const struct lv_settings *lv_broker_settings(const struct lv_broker *b)
{
    return b->settings;
}

uint64_t lv_broker_sessions(const struct lv_broker *b)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < lv_loops_count(b->loops); i++)
        sum += atomic_load(&b->shards[i].session_count);
    return sum;
}

/* ---- stopping ---- */

#define STOP_POLL_MS 20u

static void stop_poll(struct lv_loop *loop, struct lv_timer *t)
{
    struct lv_broker *b = LV_CONTAINER_OF(t, struct lv_broker, stop_timer);

    if (lv_broker_sessions(b) == 0 || lv_loop_now(loop) >= b->stop_due)
        lv_loops_stop(b->loops);
    else
        lv_timer_start(loop, t, STOP_POLL_MS, stop_poll);
}

void lv_broker_stop(struct lv_broker *b, uint64_t grace_ms)
{
    struct lv_shard *registry = &b->shards[LV_REGISTRY_LOOP];
    struct lv_mail m = { .op = LV_MAIL_SHUT };

    if (b->is_stopping) {
        lv_loops_stop(b->loops); /* asked twice: at once */
        return;
    }
    b->is_stopping = true;
    lv_timer_stop(&b->alarm_timer);
    b->stop_due = lv_shard_now(registry) + grace_ms;
    for (unsigned i = 0; i < lv_loops_count(b->loops); i++)
        lv_loop_post(registry->loop, i, &m);
    lv_timer_start(registry->loop, &b->stop_timer, STOP_POLL_MS, stop_poll);
}
