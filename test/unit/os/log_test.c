#include "os/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "lv_test.h"

static int pipe_fds[2];
static char text[65536];

static void begin(void)
{
    CHECK_EQ(pipe(pipe_fds), 0);
    lv_log_set_fd(pipe_fds[1]);
}

/* What was logged since begin(). */
static const char *end(void)
{
    ssize_t n;

    lv_log_set_fd(STDERR_FILENO);
    close(pipe_fds[1]);
    n = read(pipe_fds[0], text, sizeof(text) - 1);
    close(pipe_fds[0]);
    CHECK(n >= 0);
    text[n] = '\0';
    return text;
}

static const char *after_time(const char *line)
{
    /* 2026-11-21 07:00:00.123456+00:00 */
    static const char form[] = "0000-00-00 00:00:00.000000+00:00";

    for (size_t i = 0; i < sizeof(form) - 1; i++) {
        bool is_digit = line[i] >= '0' && line[i] <= '9';
        CHECK(form[i] == '0'   ? is_digit
              : form[i] == '+' ? line[i] == '+' || line[i] == '-'
                               : line[i] == form[i]);
    }
    return line + sizeof(form) - 1;
}

LV_TEST(a_line_has_time_level_thread_text_and_fields)
{
    begin();
    lv_log(ACCEPT_FAILED, lv_log_str("127.0.0.1:5672"), lv_log_str("Too many open files"),
           lv_log_u64(7));
    CHECK_STR(after_time(end()), " [error] <main> cannot accept connections address=127.0.0.1:5672 "
                                 "error=\"Too many open files\" refused=7\n");
}

LV_TEST(values_cannot_forge_a_line)
{
    begin();
    lv_log(ACCEPT_FAILED, lv_log_str("a\n2026 [error] b"), lv_log_str("\"\\\x7f\x01"),
           lv_log_u64(0));
    CHECK_STR(after_time(end()),
              " [error] <main> cannot accept connections address=\"a\\x0a2026 [error] b\" "
              "error=\"\\\"\\\\\\x7f\\x01\" refused=0\n");
    begin();
    lv_log(ACCEPT_FAILED, lv_log_str(NULL), lv_log_bytes((struct lv_bytes){ NULL, 0 }),
           lv_log_u64(0));
    CHECK(strstr(end(), "address=\"\" error=\"\" refused=0\n") != NULL);
}

LV_TEST(a_long_line_is_cut)
{
    char *lots = malloc(100000);

    memset(lots, 'x', 100000);
    begin();
    lv_log(ACCEPT_FAILED, lv_log_bytes(lv_bytes(lots, 100000)), lv_log_str("never seen"),
           lv_log_u64(0));
    end();
    CHECK_EQ(strlen(text), LV_LOG_LINE_MAX);
    CHECK_EQ(text[LV_LOG_LINE_MAX - 1], '\n');
    CHECK_EQ(text[LV_LOG_LINE_MAX - 2], 'x');
    free(lots);
}

LV_TEST(lines_below_the_level_are_dropped)
{
    enum lv_log_level level;

    CHECK(lv_log_level_parse("error", &level));
    CHECK_EQ(level, LV_LOG_ERROR);
    CHECK(!lv_log_level_parse("loud", &level));
    begin();
    lv_log_set_level(LV_LOG_ERROR);
    lv_log(LOOP_TURN_SLOW, lv_log_u64(0), lv_log_u64(99), lv_log_str("x"), lv_log_u64(98),
           lv_log_u64(1));
    lv_log(LOOP_NO_MEMORY, lv_log_u64(3), lv_log_u64(64));
    lv_log_set_level(LV_LOG_INFO);
    CHECK_STR(after_time(end()),
              " [error] <main> no memory for mail between loops loop=3 bytes=64\n");
}

static void *log_a_lot(void *name)
{
    lv_log_set_thread(name);
    for (uint64_t i = 0; i < 100; i++)
        lv_log(LOOP_NO_MEMORY, lv_log_u64(i), lv_log_u64(64));
    return NULL;
}

LV_TEST(lines_of_threads_do_not_mix)
{
    pthread_t threads[4];
    char *names[] = { "one", "two", "three", "four" }, *save = NULL;
    unsigned lines = 0;

    begin();
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, log_a_lot, names[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    end();
    for (char *line = text; line != NULL && *line != '\0'; line = save, lines++) {
        save = strchr(line, '\n');
        CHECK(save != NULL);
        *save++ = '\0';
        CHECK(strstr(after_time(line), "no memory for mail between loops loop=") != NULL);
        CHECK_STR(line + strlen(line) - 9, " bytes=64");
    }
    CHECK_EQ(lines, 400);
}
