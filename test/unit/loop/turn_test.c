/* The order of a turn, its watchdog, and how loops begin and end. */
#include <stdatomic.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "lv_test.h"
#include "os/log.h"
#include "os/os.h"

static void run(const struct lv_loops_config *config, enum lv_err wanted)
{
    struct lv_loops *loops;

    CHECK_EQ(lv_loops_new(config, &loops), LV_OK);
    CHECK_EQ(lv_loops_run(loops), wanted);
    lv_loops_free(loops);
    CHECK_EQ(lv_mem_used(LV_TAG_LOOP), 0);
}

/* ---- the order of phases ---- */

static char order[64];
static struct lv_task task;
static struct lv_timer timer;
static unsigned turn_ends;

static void phase(char letter)
{
    size_t n = strlen(order);

    CHECK(n + 1 < sizeof(order));
    order[n] = letter;
}

static void on_task(struct lv_loop *loop, struct lv_task *t)
{
    phase('t');
    if (turn_ends == 0)
        lv_loop_defer(loop, t); /* from inside: the next turn */
}

static void on_timer(struct lv_loop *loop, struct lv_timer *t)
{
    (void)t;
    phase('w');
    lv_loop_defer(loop, &task);
    lv_loop_defer(loop, &task); /* once is enough */
}

static void on_mail(struct lv_loop *loop, unsigned from, const struct lv_mail *m)
{
    (void)from;
    phase('m');
    CHECK_EQ(m->op, 7);
    if (turn_ends == 1)
        lv_timer_start(loop, &timer, 0, on_timer);
}

static void on_turn_end(struct lv_loop *loop)
{
    struct lv_mail m = { .op = 7 };

    phase('e');
    if (++turn_ends <= 2)
        lv_loop_post(loop, 0, &m); /* to itself: the next turn */
    if (strchr(order, 'w') != NULL)
        lv_loops_stop(lv_loop_all(loop)); /* after this turn */
}

static enum lv_err order_start(struct lv_loop *loop)
{
    lv_list_init(&task.link);
    task.run = on_task;
    lv_loop_defer(loop, &task);
    return LV_OK;
}

LV_TEST(phases_come_in_order)
{
    static const struct lv_loops_config config = {
        .count = 1, .start = order_start, .mail = on_mail, .turn_end = on_turn_end
    };

    run(&config, LV_OK);
    CHECK_STR(order, "te"
                     "mte"
                     "me"
                     "wte");
}

/* ---- beginning and ending ---- */

static _Atomic unsigned started, stopped;

static enum lv_err count_start(struct lv_loop *loop)
{
    atomic_fetch_add(&started, 1);
    return lv_loop_index(loop) == 2 ? LV_EINUSE : LV_OK;
}

static void count_stop(struct lv_loop *loop)
{
    (void)loop;
    atomic_fetch_add(&stopped, 1);
}

LV_TEST(a_loop_that_cannot_start_stops_all)
{
    static const struct lv_loops_config config = { .count = 4,
                                                   .start = count_start,
                                                   .stop = count_stop };

    run(&config, LV_EINUSE);
    CHECK_EQ(started, 4);
    CHECK_EQ(stopped, 4);
}

static _Atomic unsigned last_mails;

static void last_words(struct lv_loop *loop)
{
    struct lv_mail m = { .op = 2000 };

    if (lv_loop_index(loop) == 0 && last_mails == 0)
        lv_loop_post(loop, 1, &m);
    lv_loops_stop(lv_loop_all(loop));
}

static void pass_on(struct lv_loop *loop, unsigned from, const struct lv_mail *m)
{
    struct lv_mail next = *m;

    atomic_fetch_add(&last_mails, 1);
    if (next.op-- > 0)
        lv_loop_post(loop, from, &next);
}

/* Mail may carry references: what was posted is taken, however late it is. */
LV_TEST(stopping_takes_the_last_mail)
{
    static const struct lv_loops_config config = { .count = 3,
                                                   .mail = pass_on,
                                                   .turn_end = last_words };

    run(&config, LV_OK);
    CHECK_EQ(last_mails, 2001);
}

LV_TEST(loops_that_never_ran_are_freed)
{
    static const struct lv_loops_config config = { .count = 2 };
    struct lv_loops *loops;

    CHECK_EQ(lv_loops_new(&config, &loops), LV_OK);
    CHECK_EQ(lv_loops_count(loops), 2);
    lv_loops_free(loops);
    CHECK_EQ(lv_mem_used(LV_TAG_LOOP), 0);
}

LV_TEST(without_a_count_there_is_a_loop_for_each_processor)
{
    static const struct lv_loops_config config = { .count = 0 };
    struct lv_loops *loops;

    CHECK_EQ(lv_loops_new(&config, &loops), LV_OK);
    CHECK_EQ(lv_loops_count(loops), lv_os_cpus());
    lv_loops_free(loops);
}

/* ---- the watchdog ---- */

static void dawdle(struct lv_loop *loop)
{
    uint64_t until = lv_clock_ns() + (LV_TURN_SLOW_MS + 20) * UINT64_C(1000000);
    static unsigned times;

    lv_loop_doing(loop, "counting sheep");
    while (lv_clock_ns() < until) {
    }
    lv_loop_doing(loop, "waking up");
    if (++times == 3) {
        struct lv_loop_stats stats;
        lv_loop_stats(loop, &stats);
        CHECK_EQ(stats.slow_turns, 2); /* and this one */
        CHECK(stats.busy_ns >= 2 * LV_TURN_SLOW_MS * UINT64_C(1000000));
        lv_loops_stop(lv_loop_all(loop));
    }
    lv_loop_again(loop);
}

LV_TEST(slow_turns_are_told)
{
    static const struct lv_loops_config config = { .count = 1, .turn_end = dawdle };
    int fds[2];
    char text[4096];

    CHECK_EQ(pipe(fds), 0);
    lv_log_set_fd(fds[1]);
    run(&config, LV_OK);
    lv_log_set_fd(STDERR_FILENO);
    close(fds[1]);
    ssize_t n = read(fds[0], text, sizeof(text) - 1);
    close(fds[0]);
    CHECK(n > 0);
    text[n] = '\0';
    CHECK(strstr(text, "[warning] <loop-0> a loop's turn took long loop=0 ms=") != NULL);
    CHECK(strstr(text, "doing=\"counting sheep\"") != NULL);
    CHECK(strchr(text, '\n') == text + n - 1); /* one line a second */
}
