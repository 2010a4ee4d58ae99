/* The life of the loops: made, run on their threads, stopped in step, freed. */
#include <stdio.h>

#include "loop/loop_priv.h"
#include "os/log.h"
#include "os/os.h"

#define READ_BLOCK_BYTES 262144u
#define OUT_HIGH_BYTES 1048576u

static void loop_free(struct lv_loop *loop)
{
    if (loop == NULL)
        return;
    for (unsigned i = 0; i < LV_BLOCKS_MAX; i++)
        lv_mem_free(loop->blocks[i], LV_TAG_LOOP);
    lv_mem_free(loop->records, LV_TAG_LOOP);
    lv_out_pool_trim(&loop->pool);
    lv_mem_free(loop, LV_TAG_LOOP);
}

static enum lv_err loop_new(struct lv_loops *all, unsigned index, struct lv_loop **out)
{
    struct lv_loop *loop = lv_mem_zalloc(sizeof(*loop), LV_TAG_LOOP);
    enum lv_err err;

    *out = NULL;
    if (loop == NULL)
        return LV_ENOMEM;
    loop->all = all;
    loop->index = index;
    loop->again = true; /* a first turn, for what the start hook left */
    loop->block_bytes = all->config.read_block_bytes;
    loop->out_high_bytes = all->config.out_high_bytes;
    lv_list_init(&loop->tasks);
    lv_list_init(&loop->ready);
    lv_list_init(&loop->attention);
    lv_list_init(&loop->dirty);
    lv_list_init(&loop->borrowers);
    lv_list_init(&loop->conns);
    (void)snprintf(loop->name, sizeof(loop->name), "%.11s-%u",
                   all->config.name != NULL ? all->config.name : "loop", index % 1000u);
    loop->blocks[0] = lv_mem_alloc(loop->block_bytes, LV_TAG_LOOP);
    if (loop->blocks[0] == NULL) {
        loop_free(loop);
        return LV_ENOMEM;
    }
    err = lv_turn_init(loop);
    if (err != LV_OK) {
        loop_free(loop);
        return err;
    }
    loop->now = uv_now(&loop->uv);
    loop->armed = LV_WHEEL_NEVER;
    lv_wheel_init(&loop->wheel, loop->now);
    *out = loop;
    return LV_OK;
}

void lv_loops_free(struct lv_loops *loops)
{
    lv_rcu_drain(loops);
    lv_mail_close(loops);
    for (unsigned i = 0; i < loops->count && loops->loop[i] != NULL; i++) {
        lv_turn_fini(loops->loop[i]);
        loop_free(loops->loop[i]);
    }
    uv_sem_destroy(&loops->gate);
    lv_mem_free(loops, LV_TAG_LOOP);
}

enum lv_err lv_loops_new(const struct lv_loops_config *config, struct lv_loops **out)
{
    struct lv_loops *loops = lv_mem_zalloc(sizeof(*loops), LV_TAG_LOOP);
    enum lv_err err = LV_OK;

    *out = NULL;
    if (loops == NULL)
        return LV_ENOMEM;
    loops->config = *config;
    if (config->read_block_bytes == 0)
        loops->config.read_block_bytes = READ_BLOCK_BYTES;
    if (config->out_high_bytes == 0)
        loops->config.out_high_bytes = OUT_HIGH_BYTES;
    loops->count = config->count != 0 ? config->count : lv_os_cpus();
    loops->count = LV_MIN(loops->count, LV_LOOPS_MAX);
    if (uv_sem_init(&loops->gate, 0) != 0) {
        lv_mem_free(loops, LV_TAG_LOOP);
        return LV_EIO;
    }
    for (unsigned i = 0; i < loops->count && err == LV_OK; i++)
        err = loop_new(loops, i, &loops->loop[i]);
    if (err == LV_OK)
        err = lv_mail_open(loops);
    if (err != LV_OK) {
        lv_loops_free(loops);
        return err;
    }
    *out = loops;
    return LV_OK;
}

/* ---- running ---- */

/* Waits for all loops. */
static void in_step(struct lv_loops *loops)
{
    (void)pthread_barrier_wait(&loops->barrier);
}

/* Mail may still be under way when loops end, and may carry references. All loops together take what is there until
 * nobody got anything. */
static void take_last_mail(struct lv_loop *loop)
{
    struct lv_loops *loops = loop->all;
    uint64_t taken;

    do {
        in_step(loops);
        lv_turn_begin(loop);
        lv_mail_retry(loop);
        atomic_fetch_add(&loops->stop_mails, lv_mail_take(loop));
        lv_turn_work(loop);
        in_step(loops);
        taken = atomic_load(&loops->stop_mails);
        in_step(loops);
        if (loop->index == 0)
            atomic_store(&loops->stop_mails, 0);
    } while (taken != 0);
}

static void loop_main(struct lv_loop *loop)
{
    struct lv_loops *loops = loop->all;
    enum lv_err err = LV_OK;

    lv_log_set_thread(loop->name);
    lv_rcu_enter(loop);
    uv_update_time(&loop->uv);
    lv_turn_begin(loop);
    if (loops->config.start != NULL)
        err = loops->config.start(loop);
    loop->in_turn = false;
    if (err != LV_OK) {
        int none = LV_OK;
        atomic_compare_exchange_strong(&loops->failed, &none, (int)err);
        lv_loops_stop(loops);
    } else {
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    }
    lv_turn_begin(loop);
    lv_conns_drop(loop);
    take_last_mail(loop);
    if (loops->config.stop != NULL)
        loops->config.stop(loop);
    lv_rcu_leave(loop);
}

static void thread_main(void *arg)
{
    struct lv_loop *loop = arg;

    uv_sem_wait(&loop->all->gate);
    if (!loop->all->is_running)
        return;
    (void)pthread_setname_np(pthread_self(), loop->name);
    loop_main(loop);
}

enum lv_err lv_loops_run(struct lv_loops *loops)
{
    unsigned made = 1;

    if (pthread_barrier_init(&loops->barrier, NULL, loops->count) != 0)
        return LV_EIO;
    while (made < loops->count &&
           uv_thread_create(&loops->loop[made]->thread, thread_main, loops->loop[made]) == 0)
        made++;
    loops->is_running = made == loops->count;
    for (unsigned i = 1; i < made; i++)
        uv_sem_post(&loops->gate);
    if (loops->is_running)
        loop_main(loops->loop[0]);
    for (unsigned i = 1; i < made; i++)
        (void)uv_thread_join(&loops->loop[i]->thread);
    (void)pthread_barrier_destroy(&loops->barrier);
    if (!loops->is_running)
        return LV_EIO;
    return (enum lv_err)atomic_load(&loops->failed);
}

void lv_loops_stop(struct lv_loops *loops)
{
    for (unsigned i = 0; i < loops->count; i++) {
        atomic_store_explicit(&loops->loop[i]->is_stopping, true, memory_order_release);
        uv_async_send(&loops->loop[i]->wake);
    }
}

/* ---- what a loop is ---- */

unsigned lv_loops_count(const struct lv_loops *loops)
{
    return loops->count;
}
struct lv_loop *lv_loops_at(struct lv_loops *loops, unsigned i)
{
    return loops->loop[i];
}
unsigned lv_loop_index(const struct lv_loop *loop)
{
    return loop->index;
}
struct lv_loops *lv_loop_all(const struct lv_loop *loop)
{
    return loop->all;
}
void *lv_loop_owner(const struct lv_loop *loop)
{
    return loop->all->config.owner;
}
void lv_loop_hold_input(struct lv_loop *loop, bool hold)
{
    if (hold == loop->holds_input)
        return;
    loop->holds_input = hold;
    if (hold)
        loop->overflowing++;
    else
        loop->overflowing--;
}

void *lv_loop_data(const struct lv_loop *loop)
{
    return loop->data;
}
void lv_loop_set_data(struct lv_loop *loop, void *data)
{
    loop->data = data;
}
lv_time_ms lv_loop_now(const struct lv_loop *loop)
{
    return loop->now;
}
struct uv_loop_s *lv_loop_uv(struct lv_loop *loop)
{
    return &loop->uv;
}
void lv_loop_enter(struct lv_loop *loop)
{
    lv_turn_begin(loop);
}
void lv_loop_again(struct lv_loop *loop)
{
    loop->again = true;
}
void lv_loop_defer(struct lv_loop *loop, struct lv_task *task)
{
    if (!lv_list_linked(&task->link))
        lv_list_push(&loop->tasks, &task->link);
}

void lv_loop_stats(const struct lv_loop *loop, struct lv_loop_stats *out)
{
    uint64_t v[LV_STAT_COUNT];

    for (int i = 0; i < LV_STAT_COUNT; i++)
        v[i] = atomic_load_explicit(&loop->stats[i], memory_order_relaxed);
    *out = (struct lv_loop_stats){
        .turns = v[LV_STAT_TURNS],
        .slow_turns = v[LV_STAT_SLOW_TURNS],
        .mails_in = v[LV_STAT_MAILS_IN],
        .mails_out = v[LV_STAT_MAILS_OUT],
        .bytes_in = v[LV_STAT_BYTES_IN],
        .bytes_out = v[LV_STAT_BYTES_OUT],
        .reads = v[LV_STAT_READS],
        .writes = v[LV_STAT_WRITES],
        .busy_ns = v[LV_STAT_BUSY_NS],
        .conns = v[LV_STAT_CONNS],
    };
    lv_times_read(loop->turn_us, &out->turn);
}
