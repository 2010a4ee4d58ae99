/* Counting: what each loop adds up, and queues' numbers beside their names.
 *
 * A message costs an addition or two to memory that it touches anyway: in the queue's own counts (engine), and in the
 * publisher's memo, where messages of one size that go the same way are counted down together. At the turn's end a queue that changed is copied to where others read, a publisher's sums are
 * added to its exchange, and to the loop's words. Only the owner of a word writes it, so that no addition needs a lock; the
 * exchange's are added to by all loops, once a turn.
 * What takes time is timed for one publish in LV_SAMPLE_EVERY. */
#include "base/list.h"
#include "base/mem.h"
#include "broker/broker_priv.h"
#include "config/config.h"
#include "os/os.h"

#define LV_SAMPLE_EVERY 256u /* a power of two */
#define STAMP_SHIFT 13u      /* a stamp counts 8 microseconds: after nine hours it begins anew */
#define NOTED_PER_TURN 64u   /* copied in one turn; the rest in the next, which follows at once */

const uint64_t lv_size_bounds[LV_SIZE_BUCKETS - 1] = {
    100, 1000, 10000, 100000, 1000000, 10000000, 50000000, 100000000,
};

#define WORD(field) (offsetof(struct lv_counters, field) / sizeof(uint64_t))

void lv_count_init(struct lv_shard *shard)
{
    lv_list_init(&shard->noted);
    lv_list_init(&shard->publishing);
    shard->is_counting = !shard->broker->settings->management_disable_stats;
}

static inline uint64_t load(const _Atomic uint64_t *at)
{
    return atomic_load_explicit(at, memory_order_relaxed);
}

static inline void store(_Atomic uint64_t *at, uint64_t v)
{
    atomic_store_explicit(at, v, memory_order_relaxed);
}

/* ---- times ---- */

#define TIMES(shard, field) (&(shard)->tally[WORD(field)])

_Static_assert(sizeof(struct lv_times) == LV_TIMES_WORDS * sizeof(uint64_t),
               "a struct lv_times in the tally is written by lv_times_add");

static uint32_t stamp_now(uint64_t ns)
{
    uint32_t stamp = (uint32_t)(ns >> STAMP_SHIFT);

    return stamp != 0 ? stamp : 1;
}

void lv_session_delivered(struct lv_session *s, const struct lv_delivery *d)
{
    uint32_t waited = stamp_now(lv_clock_ns()) - d->msg->stamp;

    if (!d->redelivered)
        lv_times_add(TIMES(s->shard, deliver), ((uint64_t)waited << STAMP_SHIFT) / 1000);
}

/* ---- queues ---- */

static void copy_out(struct lv_home_queue *hq, const struct lv_queue_totals *from)
{
    struct lv_shard *shard = hq->shard;
    struct lv_queue_stats *to = hq->stats;
    size_t kind = hq->entry->kind;
    const uint64_t *words = (const uint64_t *)from;

    for (size_t i = 0; i < LV_QUEUE_COUNTER_COUNT; i++) {
        uint64_t grown = words[i] - load(&to->out[i]);
        if (grown == 0)
            continue;
        lv_tally_add(shard, WORD(by_kind) + kind * LV_QUEUE_COUNTER_COUNT + i, grown);
        store(&to->out[i], words[i]);
    }
}

static void copy_active(struct lv_home_queue *hq)
{
    const struct lv_feed *feed = (const struct lv_feed *)lv_queue_served(hq->queue);

    store(&hq->stats->active, feed != NULL ? feed->remote : 0);
}

static void copy_counts(struct lv_home_queue *hq)
{
    struct lv_queue_stats *to = hq->stats;
    struct lv_queue_counts c;

    lv_queue_counts(hq->queue, &c);
    store(&to->ready, c.ready);
    store(&to->unsettled, c.unsettled);
    store(&to->consumers, c.consumers);
    store(&to->ready_here, c.ready_here);
    store(&to->persistent, c.persistent);
    store(&to->ready_bytes, c.ready_bytes);
    store(&to->unsettled_bytes, c.unsettled_bytes);
    store(&to->published, c.published);
    store(&to->active_ms, lv_shard_now(hq->shard));
    if (hq->is_single)
        copy_active(hq);
    copy_out(hq, &c.out);
    lv_queue_watch(hq->queue);
}

void lv_count_note(void *home_queue)
{
    struct lv_home_queue *hq = home_queue;

    lv_list_push(&hq->shard->noted, &hq->noted);
}

void lv_count_last(struct lv_home_queue *hq)
{
    struct lv_queue_counts c;

    lv_list_remove(&hq->noted);
    lv_queue_counts(hq->queue, &c);
    copy_out(hq, &c.out);
}

/* ---- publishers ---- */

static void add(_Atomic uint64_t *at, uint64_t n)
{
    if (n != 0)
        atomic_fetch_add_explicit(at, n, memory_order_relaxed);
}

/* What was published in this turn went to memo->exchange, which lives as long as the turn; confirms may come long after,
 * and count for the exchange of the last publish if that is certainly still there. */
static void tell_exchange(const struct lv_session *s, const struct lv_route_memo *memo,
                          const struct lv_published *grown)
{
    uint64_t version = atomic_load_explicit(&s->vhost->router.version, memory_order_relaxed);

    if (memo->exchange == NULL || (grown->count == 0 && memo->version != version))
        return;
    struct lv_exchange_stats *x = &memo->exchange->stats;
    add(&x->in, grown->count);
    add(&x->out, memo->out);
    add(&x->confirmed, grown->confirmed);
    add(&x->returned, grown->returned);
    add(&x->dropped, grown->dropped);
}

static void count_size(struct lv_shard *shard, uint64_t bytes, uint64_t n)
{
    unsigned i = 0;

    while (i < LV_SIZE_BUCKETS - 1 && bytes > lv_size_bounds[i])
        i++;
    lv_tally_add(shard, WORD(sizes) + i, n);
    LV_TALLY(shard, size_sum, n * bytes);
}

void lv_count_run(struct lv_route_memo *memo)
{
    uint64_t n = memo->run_size - memo->run_left, key = memo->run_key;

    memo->run_key = 0;
    memo->run_left = memo->run_size = 0;
    if (n == 0)
        return;
    for (uint32_t i = 0; i < memo->count; i++)
        if (memo->routed[i] != NULL)
            memo->routed[i]->count += n;
    memo->published->life.count += n;
    memo->out += n * memo->count;
    if ((key & 2) != 0)
        memo->wanted += n;
    count_size(memo->session->shard, key >> 2, n);
}

/* Routes mostly come again in the order they were made: the first look finds it. */
struct lv_routed *lv_count_route(struct lv_route_memo *memo, const struct lv_queue_entry *entry)
{
    struct lv_published_to *to = memo->published;
    struct lv_bytes name = entry->dest.name.key;
    struct lv_routed *r;

    if (to == NULL)
        return NULL;
    for (r = to->queues; r != NULL; r = r->next)
        if (r->queue_id == entry->id)
            return r;
    if (to->queue_count >= LV_PUBLISHED_TO_MAX ||
        (r = lv_mem_zalloc(sizeof(*r) + name.len, LV_TAG_CHANNEL)) == NULL)
        return NULL;
    r->queue_id = entry->id;
    r->len = (uint8_t)name.len;
    if (name.len != 0)
        memcpy(r->queue, name.ptr, name.len);
    r->next = to->queues;
    to->queues = r;
    to->queue_count++;
    return r;
}

static void tell(struct lv_session *s, struct lv_route_memo *memo)
{
    lv_count_run(memo);
    struct lv_published_to *to = memo->published;
    struct lv_shard *shard = s->shard;
    struct lv_published grown = {
        .count = to->life.count - to->told.count,
        .confirmed = to->life.confirmed - to->told.confirmed,
        .returned = to->life.returned - to->told.returned,
        .dropped = to->life.dropped - to->told.dropped,
    };

    tell_exchange(s, memo, &grown);
    LV_TALLY(shard, messages_received, grown.count);
    LV_TALLY(shard, messages_routed, memo->out);
    if ((memo->wanted | grown.confirmed) != 0) {
        LV_TALLY(shard, messages_received_confirm, memo->wanted);
        LV_TALLY(shard, messages_confirmed, grown.confirmed);
    }
    if (LV_UNLIKELY((grown.returned | grown.dropped) != 0)) {
        LV_TALLY(shard, unroutable_returned, grown.returned);
        LV_TALLY(shard, unroutable_dropped, grown.dropped);
    }
    to->told = to->life;
    memo->out = memo->wanted = 0;
    memo->active_ms = lv_shard_now(shard);
}

static struct lv_published_to **find_published(struct lv_route_memo *memo, struct lv_bytes name)
{
    struct lv_published_to **at = &memo->published;

    while (*at != NULL && !lv_bytes_eq(lv_bytes((*at)->exchange, (*at)->len), name))
        at = &(*at)->next;
    return at;
}

static struct lv_published_to *new_published(struct lv_route_memo *memo, struct lv_bytes name)
{
    struct lv_published_to *to = NULL;

    if (memo->published_count < LV_PUBLISHED_TO_MAX)
        to = lv_mem_zalloc(sizeof(*to) + name.len, LV_TAG_CHANNEL);
    if (to == NULL)
        return NULL;
    to->len = (uint8_t)name.len;
    if (name.len != 0)
        memcpy(to->exchange, name.ptr, name.len);
    memo->published_count++;
    return to;
}

void lv_count_exchange(struct lv_route_memo *memo, struct lv_exchange *x, struct lv_bytes name)
{
    struct lv_published_to **at = find_published(memo, name), *to = *at;

    lv_count_memo(memo);
    memo->count = 0; /* it has no route */
    memo->exchange = x;
    if (to != NULL)
        *at = to->next;
    else
        to = new_published(memo, name);
    if (to == NULL)
        return; /* it counts with the one before, or not at all */
    to->next = memo->published;
    memo->published = to;
}

static void routed_free(struct lv_routed *r)
{
    struct lv_routed *next;

    for (; r != NULL; r = next) {
        next = r->next;
        lv_mem_free(r, LV_TAG_CHANNEL);
    }
}

void lv_count_memo_fini(struct lv_session *s, struct lv_route_memo *memo)
{
    struct lv_published_to *to;

    lv_count_memo(memo);
    if (memo->is_publisher)
        LV_TALLY(s->shard, publishers, UINT64_MAX); /* one less */
    memo->is_publisher = false;
    while ((to = memo->published) != NULL) {
        memo->published = to->next;
        routed_free(to->queues);
        lv_mem_free(to, LV_TAG_CHANNEL);
    }
}

void lv_published_sum(const struct lv_route_memo *memo, struct lv_published *out)
{
    *out = (struct lv_published){ 0 };
    for (const struct lv_published_to *to = memo->published; to != NULL; to = to->next) {
        out->count += to->life.count;
        out->confirmed += to->life.confirmed;
        out->returned += to->life.returned;
        out->dropped += to->life.dropped;
    }
}

static void note(struct lv_session *s, struct lv_route_memo *memo)
{
    memo->session = s;
    memo->is_noted = true;
    lv_list_push(&s->shard->publishing, &memo->noted);
    if (!memo->is_publisher)
        LV_TALLY(s->shard, publishers, 1);
    memo->is_publisher = true;
}

void lv_count_memo(struct lv_route_memo *memo)
{
    if (!memo->is_noted)
        return;
    memo->is_noted = false;
    lv_list_remove(&memo->noted);
    tell(memo->session, memo);
}

void lv_count_publishers(struct lv_shard *shard)
{
    while (!lv_list_empty(&shard->publishing))
        lv_count_memo(LV_CONTAINER_OF(shard->publishing.next, struct lv_route_memo, noted));
}

static void time_it(struct lv_route_memo *memo, struct lv_msg *msg, uint64_t confirm)
{
    uint64_t ns = lv_clock_ns();

    msg->stamp = stamp_now(ns);
    if (confirm == 0 || memo->sample != 0)
        return;
    memo->sample = confirm;
    memo->sample_us = ns / 1000;
}

static void count_fate(struct lv_published_to *to, enum lv_route_fate fate)
{
    if (fate != LV_FATE_ROUTED)
        (*(fate == LV_FATE_RETURNED ? &to->life.returned : &to->life.dropped))++;
}

void lv_session_published_slow(struct lv_session *s, struct lv_route_memo *memo, struct lv_msg *msg,
                               uint64_t confirm, uint64_t key)
{
    struct lv_published_to *to = memo->published;
    bool is_last = key == memo->run_key;

    lv_count_run(memo);
    if (!s->shard->is_counting || to == NULL)
        return;
    if (!is_last) {
        if (!memo->is_noted)
            note(s, memo);
        memo->run_key = key;
        memo->run_size = LV_SAMPLE_EVERY - (uint32_t)(to->life.count % LV_SAMPLE_EVERY);
        memo->run_left = memo->run_size - 1;
        if (memo->run_left != 0)
            return;
        lv_count_run(memo);
    }
    time_it(memo, msg, confirm);
}

void lv_session_unroutable(struct lv_session *s, struct lv_route_memo *memo, enum lv_route_fate fate)
{
    if (s->shard->is_counting && memo->published != NULL)
        count_fate(memo->published, fate);
}

void lv_session_committed(struct lv_session *s, struct lv_route_memo *memo,
                          const struct lv_msg *msg, uint32_t queues, enum lv_route_fate fate)
{
    struct lv_exchange *x = lv_router_exchange(&s->vhost->router, lv_msg_exchange(msg));

    if (!s->shard->is_counting)
        return;
    if (x != memo->exchange) { /* what is routed next is looked up anew */
        memo->version = 0;
        lv_count_exchange(memo, x, lv_msg_exchange(msg));
    }
    if (memo->published == NULL)
        return;
    if (!memo->is_noted)
        note(s, memo);
    memo->out += queues;
    memo->published->life.count++;
    count_size(s->shard, msg->body_len, 1);
    count_fate(memo->published, fate);
}

void lv_session_confirmed(struct lv_session *s, struct lv_route_memo *memo, uint64_t n,
                          uint64_t upto)
{
    if (memo->published == NULL)
        return;
    memo->published->life.confirmed += n;
    if (!memo->is_noted)
        note(s, memo);
    if (LV_LIKELY(memo->sample == 0) || upto < memo->sample)
        return;
    memo->sample = 0;
    lv_times_add(TIMES(s->shard, confirm), lv_clock_ns() / 1000 - memo->sample_us);
}

void lv_session_count_channel(struct lv_session *s, bool opened)
{
    if (opened)
        LV_TALLY(s->shard, channels_opened, 1);
    else
        LV_TALLY(s->shard, channels_closed, 1);
}

/* ---- the turn ---- */

void lv_count_turn(struct lv_shard *shard)
{
    struct lv_link *l;

    shard->is_counting = !shard->broker->settings->management_disable_stats;
    lv_count_publishers(shard);
    for (unsigned n = 0; n < NOTED_PER_TURN && (l = lv_list_pop(&shard->noted)) != NULL; n++)
        copy_counts(LV_CONTAINER_OF(l, struct lv_home_queue, noted));
    if (LV_UNLIKELY(!lv_list_empty(&shard->noted)))
        lv_loop_again(shard->loop);
}
