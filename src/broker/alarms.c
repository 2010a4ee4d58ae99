/* Alarms: above the memory watermark, or with less than disk_free_limit left, connections that publish are not read until it
 * clears (RabbitMQ). Consumers go on, which is what makes room. */
#include "base/mem.h"
#include "broker/broker_priv.h"
#include "config/config.h"
#include "os/log.h"
#include "os/os.h"

#define ALARM_CHECK_MS 250u

static uint64_t memory_used(void)
{
    int64_t sum = 0;

    for (unsigned tag = 0; tag < LV_TAG_COUNT; tag++)
        sum += lv_mem_used((enum lv_mem_tag)tag);
    return sum > 0 ? (uint64_t)sum : 0;
}

/* The watermark may change while the broker runs. 0: never. */
static uint64_t memory_limit(const struct lv_broker *b)
{
    uint64_t bytes;
    enum lv_err err = lv_watermark_parse(b->settings->memory_high_watermark, b->memory, &bytes);

    LV_ASSERT(err == LV_OK); /* checked when it was set */
    return bytes;
}

static bool memory_is_low(struct lv_broker *b)
{
    uint64_t used = memory_used(), limit = memory_limit(b);
    bool is_low = limit != 0 && used > limit, was_low = (b->alarms & LV_ALARM_MEMORY) != 0;

    if (is_low && !was_low)
        lv_log(ALARM_SET, lv_log_u64(used), lv_log_u64(limit));
    else if (!is_low && was_low)
        lv_log(ALARM_CLEARED, lv_log_u64(used), lv_log_u64(limit));
    return is_low;
}

static uint64_t disk_limit(const struct lv_broker *b)
{
    uint64_t bytes;
    enum lv_err err = lv_watermark_parse(b->settings->disk_free_limit, b->memory, &bytes);

    LV_ASSERT(err == LV_OK); /* checked when it was set */
    return bytes;
}

/* Less is free than wanted, or a log file could not be made. */
static bool disk_is_low(struct lv_broker *b)
{
    uint64_t limit = disk_limit(b), left = UINT64_MAX, total;
    bool was_low = (b->alarms & LV_ALARM_DISK) != 0;

    if (b->store == NULL)
        return false;
    if (lv_dir_space(lv_store_dir(b->store), &left, &total) != LV_OK)
        left = UINT64_MAX; /* unknown is no alarm: a write would say more */
    bool is_low = left < limit || atomic_load(&b->is_disk_full);
    if (is_low && !was_low)
        lv_log(DISK_ALARM_SET, lv_log_u64(left), lv_log_u64(limit));
    else if (!is_low && was_low)
        lv_log(DISK_ALARM_CLEARED, lv_log_u64(left), lv_log_u64(limit));
    return is_low;
}

void lv_broker_resources(const struct lv_broker *b, struct lv_resources *out)
{
    uint8_t alarms = atomic_load_explicit(&b->alarms, memory_order_relaxed);
    uint64_t total;

    *out = (struct lv_resources){
        .memory_used = memory_used(),
        .memory_limit = memory_limit(b),
        .memory_total = b->memory,
        .disk_free = UINT64_MAX,
        .disk_limit = disk_limit(b),
        .is_memory_low = (alarms & LV_ALARM_MEMORY) != 0,
        .is_disk_low = (alarms & LV_ALARM_DISK) != 0,
    };
    if (b->store != NULL && lv_dir_space(lv_store_dir(b->store), &out->disk_free, &total) != LV_OK)
        out->disk_free = UINT64_MAX;
}

static uint8_t look(struct lv_broker *b)
{
    return (uint8_t)((memory_is_low(b) ? LV_ALARM_MEMORY : 0) | (disk_is_low(b) ? LV_ALARM_DISK : 0));
}

static void alarm_check(struct lv_loop *loop, struct lv_timer *t)
{
    struct lv_broker *b = LV_CONTAINER_OF(t, struct lv_broker, alarm_timer);
    uint8_t alarms = look(b);

    lv_timer_start(loop, t, ALARM_CHECK_MS, alarm_check);
    bool was_hurried = atomic_exchange(&b->is_alarm_hurried, false);
    if (alarms == b->alarms && !was_hurried)
        return;
    b->alarms = alarms;
    struct lv_mail m = { .op = LV_MAIL_ALARM, .a = alarms };
    for (unsigned i = 0; i < lv_loops_count(b->loops); i++)
        lv_loop_post(loop, i, &m);
}

void lv_alarm_init(struct lv_broker *b)
{
    b->memory = b->settings->memory_override != 0 ? b->settings->memory_override : lv_os_memory();
    b->alarms = look(b);
    for (unsigned i = 0; i < lv_loops_count(b->loops); i++)
        b->shards[i].alarms = b->alarms;
}

void lv_alarm_start(struct lv_shard *registry)
{
    struct lv_broker *b = registry->broker;

    lv_timer_start(registry->loop, &b->alarm_timer, ALARM_CHECK_MS, alarm_check);
}

void lv_broker_mail_alarm(struct lv_shard *shard, const struct lv_mail *m)
{
    uint32_t pos = 0;
    struct lv_session *s;

    shard->alarms = (uint8_t)m->a;
    if (shard->alarms != 0)
        return; /* whoever publishes next is blocked then */
    while ((s = lv_handles_next(&shard->sessions, &pos)) != NULL) {
        if (!s->is_blocked)
            continue;
        s->ops->unblocked(s);
        lv_session_unblock(s);
    }
}

void lv_session_unblock(struct lv_session *s)
{
    s->is_blocked = false;
    lv_session_resume(s);
}

const char *lv_session_block(struct lv_session *s)
{
    static const char *const reasons[] = {
        [LV_ALARM_MEMORY] = "low on memory",
        [LV_ALARM_DISK] = "low on disk",
        [LV_ALARM_MEMORY | LV_ALARM_DISK] = "low on memory & disk",
    };

    if (LV_LIKELY(s->shard->alarms == 0) || s->is_blocked)
        return NULL;
    s->is_blocked = true;
    lv_conn_pause(&s->conn);
    return reasons[s->shard->alarms];
}
