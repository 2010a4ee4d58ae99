/* The turn: what happens in which order, and what it took. */
#include "loop/loop_priv.h"
#include "os/log.h"
#include "os/os.h"

#define SLOW_LOG_EVERY_MS 1000u

/* ---- the watchdog ---- */

void lv_loop_doing(struct lv_loop *loop, const char *what)
{
    lv_time_ms now = lv_clock_coarse_ms(), took = now - loop->doing_since;

    if (took > loop->longest_ms) {
        loop->longest_ms = took;
        loop->longest = loop->doing;
    }
    loop->doing = what;
    loop->doing_since = now;
}

static void watch_begin(struct lv_loop *loop)
{
    loop->began_ns = uv_hrtime();
    loop->longest = loop->doing = "reading";
    loop->longest_ms = 0;
    loop->doing_since = lv_clock_coarse_ms();
}

static void watch_end(struct lv_loop *loop)
{
    uint64_t took_ns = uv_hrtime() - loop->began_ns;

    lv_stat_add(loop, LV_STAT_TURNS, 1);
    lv_stat_add(loop, LV_STAT_BUSY_NS, took_ns);
    lv_times_add(loop->turn_us, took_ns / 1000);
    if (LV_LIKELY(took_ns < LV_TURN_SLOW_MS * UINT64_C(1000000)))
        return;
    lv_stat_add(loop, LV_STAT_SLOW_TURNS, 1);
    loop->slow_turns++;
    lv_loop_doing(loop, NULL);
    if (loop->now < loop->slow_log_after)
        return;
    lv_log(LOOP_TURN_SLOW, lv_log_u64(loop->index), lv_log_u64(took_ns / 1000000u),
           lv_log_str(loop->longest), lv_log_u64(loop->longest_ms), lv_log_u64(loop->slow_turns));
    loop->slow_log_after = loop->now + SLOW_LOG_EVERY_MS;
    loop->slow_turns = 0;
}

/* ---- the phases ---- */

void lv_turn_begin(struct lv_loop *loop)
{
    if (loop->in_turn)
        return;
    loop->in_turn = true;
    atomic_store_explicit(&loop->is_asleep, false, memory_order_relaxed);
    lv_rcu_online(loop);
    loop->now = uv_now(&loop->uv);
    watch_begin(loop);
}

static void run_tasks(struct lv_loop *loop)
{
    struct lv_link due, *link;

    lv_list_init(&due);
    lv_list_splice(&due, &loop->tasks);
    while ((link = lv_list_pop(&due)) != NULL) {
        struct lv_task *task = LV_CONTAINER_OF(link, struct lv_task, link);
        task->run(loop, task);
    }
}

void lv_turn_work(struct lv_loop *loop)
{
    run_tasks(loop);
    lv_conns_attend(loop);
}

static void on_check(uv_check_t *check)
{
    struct lv_loop *loop = check->data;
    const struct lv_loops_config *hooks = &loop->all->config;

    lv_turn_begin(loop);
    loop->again = false;
    atomic_store(&loop->is_called, false); /* what it was called for is seen from here on */
    /* Mail before sockets: whoever was told of something by one loop, and asks another, finds it done there. */
    lv_loop_doing(loop, "taking mail");
    lv_rcu_turn_begin(loop);
    lv_mail_retry(loop);
    lv_mail_take(loop);
    lv_conns_read(loop);
    lv_loop_doing(loop, "timers");
    lv_wheel_advance(&loop->wheel, loop->now, loop);
    lv_loop_doing(loop, "deferred work");
    lv_turn_work(loop);
    if (hooks->turn_end != NULL)
        hooks->turn_end(loop);
    /* The others start while this one writes; releases in the flush may post again. */
    lv_mail_wake(loop);
    lv_loop_doing(loop, "writing");
    lv_conns_flush(loop);
    lv_conns_settle(loop);
    lv_mail_retry(loop);
    lv_mail_wake(loop);
    lv_rcu_turn_end(loop);
    loop->in_turn = false;
    watch_end(loop);
    if (atomic_load_explicit(&loop->is_stopping, memory_order_acquire))
        uv_stop(&loop->uv);
}

static bool has_work(struct lv_loop *loop)
{
    return loop->again || !lv_list_empty(&loop->tasks) || !lv_list_empty(&loop->attention) ||
           !lv_list_empty(&loop->dirty) || (!lv_list_empty(&loop->ready) && loop->overflowing == 0);
}

/* The libuv timer and idle handle only bound the poll. */
static void on_timer(uv_timer_t *timer)
{
    (void)timer;
}
static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

static void arm_timer(struct lv_loop *loop)
{
    lv_time_ms next = lv_wheel_next(&loop->wheel), now = uv_now(&loop->uv);

    if (next == loop->armed && (next == LV_WHEEL_NEVER || uv_is_active((uv_handle_t *)&loop->timer)))
        return;
    loop->armed = next;
    if (next == LV_WHEEL_NEVER)
        uv_timer_stop(&loop->timer);
    else
        uv_timer_start(&loop->timer, on_timer, next > now ? next - now : 0, 0);
}

/* Right before the poll: may it wait? */
static void on_prepare(uv_prepare_t *prepare)
{
    struct lv_loop *loop = prepare->data;
    bool is_busy = has_work(loop);

    if (!is_busy) {
        atomic_store_explicit(&loop->is_asleep, true, memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst);
        is_busy = lv_mail_waiting(loop) || lv_rcu_has_work(loop) || atomic_load(&loop->is_called);
    }
    if (is_busy) {
        uv_idle_start(&loop->idle, on_idle);
    } else {
        uv_idle_stop(&loop->idle);
        arm_timer(loop);
    }
    lv_rcu_quiescent(loop, !is_busy);
}

void lv_loop_wake(struct lv_loop *loop)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&loop->is_asleep, memory_order_relaxed) &&
        atomic_exchange_explicit(&loop->is_asleep, false, memory_order_relaxed))
        uv_async_send(&loop->wake);
}

void lv_loop_call(struct lv_loop *loop)
{
    atomic_store(&loop->is_called, true);
    lv_loop_wake(loop);
}

/* Only ends the poll. */
static void on_wake(uv_async_t *wake)
{
    (void)wake;
}

enum lv_err lv_turn_init(struct lv_loop *loop)
{
    uv_loop_t *uv = &loop->uv;

    if (uv_loop_init(uv) != 0)
        return LV_EIO;
    /* These cannot fail; the async opens descriptors. */
    (void)uv_prepare_init(uv, &loop->prepare);
    (void)uv_check_init(uv, &loop->check);
    (void)uv_idle_init(uv, &loop->idle);
    (void)uv_timer_init(uv, &loop->timer);
    loop->prepare.data = loop->check.data = loop;
    (void)uv_prepare_start(&loop->prepare, on_prepare);
    (void)uv_check_start(&loop->check, on_check);
    if (uv_async_init(uv, &loop->wake, on_wake) == 0)
        return LV_OK;
    lv_turn_fini(loop);
    return LV_EIO;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void lv_turn_fini(struct lv_loop *loop)
{
    uv_walk(&loop->uv, close_handle, NULL);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    LV_ASSERT(uv_loop_close(&loop->uv) == 0);
}
