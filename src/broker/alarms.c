/* The memory alarm: above the watermark, connections that publish are not read until it clears (RabbitMQ). Consumers
 * go on, which is what makes room. */
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

static void alarm_check(struct lv_loop *loop, struct lv_timer *t)
{
    struct lv_broker *b = LV_CONTAINER_OF(t, struct lv_broker, alarm_timer);
    uint64_t used = memory_used(), limit = memory_limit(b);
    bool is_high = limit != 0 && used > limit;

    lv_timer_start(loop, t, ALARM_CHECK_MS, alarm_check);
    if (is_high == b->is_alarmed)
        return;
    b->is_alarmed = is_high;
    if (is_high)
        lv_log(ALARM_SET, lv_log_u64(used), lv_log_u64(limit));
    else
        lv_log(ALARM_CLEARED, lv_log_u64(used), lv_log_u64(limit));
    struct lv_mail m = { .op = LV_MAIL_ALARM, .a = is_high };
    for (unsigned i = 0; i < lv_loops_count(b->loops); i++)
        lv_loop_post(loop, i, &m);
}

void lv_alarm_start(struct lv_shard *registry)
{
    struct lv_broker *b = registry->broker;

    b->memory = lv_os_memory();
    lv_timer_start(registry->loop, &b->alarm_timer, ALARM_CHECK_MS, alarm_check);
}

void lv_broker_mail_alarm(struct lv_shard *shard, const struct lv_mail *m)
{
    uint32_t pos = 0;
    struct lv_session *s;

    shard->is_alarmed = m->a != 0;
    if (shard->is_alarmed)
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

bool lv_session_block(struct lv_session *s)
{
    if (LV_LIKELY(!s->shard->is_alarmed) || s->is_blocked)
        return false;
    s->is_blocked = true;
    lv_conn_pause(&s->conn);
    return true;
}
