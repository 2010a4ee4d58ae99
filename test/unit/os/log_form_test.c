/* Forms of a line, categories, and the dates at which a log file is put aside. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lv_test.h"
#include "os/log.h"

static int pipe_fds[2];
static char text[65536];

static void begin(const struct lv_log_config *c)
{
    char error[64];

    CHECK_EQ(pipe(pipe_fds), 0);
    struct lv_log_config mine = *c;
    mine.console.fd = pipe_fds[1];
    CHECK_EQ(lv_log_configure(&mine, error, sizeof(error)), LV_OK);
}

/* What was logged since begin(). */
static const char *end(void)
{
    struct lv_log_config c;
    char error[64];

    lv_log_config_init(&c);
    CHECK_EQ(lv_log_configure(&c, error, sizeof(error)), LV_OK);
    close(pipe_fds[1]);
    ssize_t n = read(pipe_fds[0], text, sizeof(text) - 1);
    close(pipe_fds[0]);
    CHECK(n >= 0);
    text[n] = '\0';
    return text;
}

static struct lv_log_config defaults(void)
{
    struct lv_log_config c;

    lv_log_config_init(&c);
    return c;
}

LV_TEST(values_stand_in_the_text)
{
    struct lv_log_config c = defaults();

    begin(&c);
    lv_log(CONN_OPENED, lv_log_u64(7), lv_log_str("127.0.0.1:1 -> 127.0.0.1:2"), lv_log_str("ann"),
           lv_log_str("/"));
    lv_log(CONN_OPENED, lv_log_u64(7), lv_log_str("n"), lv_log_str("a\nb {vhost}"), lv_log_str("/"));
    end();
    CHECK(strstr(text,
                 "connection 127.0.0.1:1 -> 127.0.0.1:2: user 'ann' authenticated and granted "
                 "access to vhost '/' id=7\n") != NULL);
    CHECK(strstr(text, "user 'a\\x0ab {vhost}' authenticated") != NULL);
}

LV_TEST(a_line_as_json)
{
    struct lv_log_config c = defaults();

    c.console.form = LV_LOG_JSON;
    c.console.time = LV_LOG_TIME_SECS;
    begin(&c);
    lv_log(CONN_OPENED, lv_log_u64(7), lv_log_str("n"), lv_log_str("\"\\\n\x01\xC3\xA4"),
           lv_log_str("\xFF"));
    end();
    CHECK(strncmp(text, "{\"time\":", 8) == 0);
    const char *rest = strstr(text, ",\"level\"");
    CHECK_STR(
        rest,
        ",\"level\":\"info\",\"msg\":\"connection n: user '\\\"\\\\\\\\x0a\\\\x01\\u00c3\\u00a4' "
        "authenticated and "
        "granted access to vhost '\\u00ff'\",\"domain\":\"rabbitmq.connection\",\"pid\":\"<main>\","
        "\"event\":\"CONN_OPENED\",\"id\":7,\"name\":\"n\",\"user\":"
        "\"\\\"\\\\\\u000a\\u0001\xC3\xA4\","
        "\"vhost\":\"\\u00ff\"}\n");
}

/* Whatever its values, a line of JSON is whole: values are cut, not the line. */
LV_TEST(a_long_json_line_is_whole)
{
    struct lv_log_config c = defaults();
    static const char euro[3] = { (char)0xE2, (char)0x82, (char)0xAC };
    char *lots = malloc(100000);

    memset(lots, '\x01', 100000);
    c.console.form = LV_LOG_JSON;
    begin(&c);
    struct lv_log_value v = lv_log_bytes(lv_bytes(lots, 100000));
    lv_log(CONN_OPENED, lv_log_u64(7), v, v, v);
    end();
    CHECK_EQ(text[strlen(text) - 1], '\n');
    CHECK_EQ(text[strlen(text) - 2], '}');
    CHECK(strlen(text) < 8192);
    for (size_t i = 0; i < 99999; i += 3)
        memcpy(lots + i, euro, sizeof(euro)); /* never half a character */
    lots[99999] = ' ';
    begin(&c);
    lv_log(CONN_OPENED, lv_log_u64(7), v, v, v);
    end();
    CHECK(strstr(text, "\xE2\"") == NULL);
    CHECK(strstr(text, "\xE2\x82\"") == NULL);
    free(lots);
}

LV_TEST(levels_of_categories_and_outputs)
{
    struct lv_log_config c = defaults();

    c.levels[LV_LOG_CATEGORY_CONNECTION] = LV_LOG_ERROR;
    begin(&c);
    lv_log(CONN_ACCEPTED, lv_log_u64(1), lv_log_str("n"));
    lv_log(STARTED);
    end();
    CHECK(strstr(text, "accepting AMQP connection") == NULL);
    CHECK(strstr(text, "Server startup complete; 0 plugins started.\n") != NULL);
    c.console.level = LV_LOG_ERROR;
    c.levels[LV_LOG_CATEGORY_CONNECTION] = LV_LOG_DEBUG;
    begin(&c);
    lv_log(CONN_ACCEPTED, lv_log_u64(1), lv_log_str("n"));
    lv_log(LOOP_NO_MEMORY, lv_log_u64(1), lv_log_u64(2));
    end();
    CHECK(strstr(text, "accepting AMQP connection") == NULL);
    CHECK(strstr(text, "no memory") != NULL);
    c.console.level = LV_LOG_NONE;
    begin(&c);
    lv_log(LOOP_NO_MEMORY, lv_log_u64(1), lv_log_u64(2));
    CHECK_STR(end(), "");
}

LV_TEST(forms_of_time)
{
    static const struct {
        enum lv_log_time time;
        const char *form;
    } cases[] = {
        { LV_LOG_TIME_SPACE, "0000-00-00 00:00:00.000000+00:00 [" },
        { LV_LOG_TIME_T, "0000-00-00T00:00:00.000000+00:00 [" },
        { LV_LOG_TIME_LAGER, "0000-00-00 00:00:00.000 [" },
        { LV_LOG_TIME_USECS, "0000000000000000 [" },
        { LV_LOG_TIME_SECS, "0000000000 [" },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct lv_log_config c = defaults();
        c.console.time = cases[i].time;
        begin(&c);
        lv_log(STARTED);
        end();
        for (size_t n = 0; cases[i].form[n] != '\0'; n++) {
            char wanted = cases[i].form[n], got = text[n];
            CHECK(wanted == '0'   ? got >= '0' && got <= '9'
                  : wanted == '+' ? got == '+' || got == '-'
                                  : got == wanted);
        }
    }
}

/* An output that nobody reads must not hold the writer up; what was lost is told when it goes on. */
LV_TEST(a_full_pipe_loses_lines_and_says_so)
{
    struct lv_log_config c = defaults();
    static char drained[1 << 20];

    begin(&c);
    for (int i = 0; i < 2000; i++)
        lv_log(LOOP_NO_MEMORY, lv_log_u64(1), lv_log_u64(2));
    CHECK(read(pipe_fds[0], drained, sizeof(drained)) > 60000);
    lv_log(LOOP_NO_MEMORY, lv_log_u64(1), lv_log_u64(2));
    end();
    CHECK(
        strstr(text, "an output of the log took no lines for a while output=console lines_lost=") !=
        NULL);
}

/* The journal gets the fields of a line as fields of its own. */
LV_TEST(the_journals_datagram)
{
    struct lv_log_config c = defaults();
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    char folder[64], datagram[4096];
    const char *temp = getenv("TMPDIR");

    (void)snprintf(folder, sizeof(folder), "%s/leveret-log-XXXXXX", temp != NULL ? temp : "/tmp");
    CHECK(mkdtemp(folder) != NULL);
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/socket", folder);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    CHECK_EQ(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
    c.journald.level = LV_LOG_INFO;
    memcpy(c.journald.socket, at.sun_path, sizeof(c.journald.socket));
    begin(&c);
    lv_log(CONN_OPENED, lv_log_u64(7), lv_log_str("n"), lv_log_str("a\nPRIORITY=0"),
           lv_log_str("/"));
    ssize_t n = recv(fd, datagram, sizeof(datagram) - 1, 0);
    CHECK(n > 0);
    datagram[n] = '\0';
    CHECK_STR(
        datagram,
        "MESSAGE=connection n: user 'a\\x0aPRIORITY=0' authenticated and granted access to vhost "
        "'/' id=7\nPRIORITY=6\nSYSLOG_IDENTIFIER=leveretd\nLEVERET_EVENT=CONN_OPENED\n"
        "LEVERET_THREAD=main\nLEVERET_ID=7\nLEVERET_NAME=n\nLEVERET_USER=a\\x0aPRIORITY=0\n"
        "LEVERET_VHOST=/\n");
    close(fd);
    unlink(at.sun_path);
    /* The journal is gone: the console goes on, and tells. */
    lv_log(STARTED);
    lv_log(STARTED);
    rmdir(folder);
    CHECK(strstr(end(), "Server startup complete") != NULL);
}

/* 2026-11-21 is a Saturday. */
static const char *after(const char *rule, const char *now)
{
    static char out[32];
    struct tm tm = { .tm_isdst = -1 };
    int64_t next;

    (void)strptime(now, "%Y-%m-%d %H:%M:%S", &tm);
    if (!lv_log_date_next(rule, (int64_t)mktime(&tm), &next))
        return "no date";
    time_t at = (time_t)next;
    (void)localtime_r(&at, &tm);
    (void)strftime(out, sizeof(out), "%Y-%m-%d %H:%M:%S", &tm);
    return out;
}

LV_TEST(dates_to_rotate_at)
{
    CHECK_STR(after("$D0", "2026-11-21 07:00:00"), "2026-11-22 00:00:00");
    CHECK_STR(after("$D0", "2026-11-21 00:00:00"), "2026-11-22 00:00:00");
    CHECK_STR(after("$D23", "2026-11-21 07:00:00"), "2026-11-21 23:00:00");
    CHECK_STR(after("$H0", "2026-12-31 23:30:00"), "2027-01-01 00:00:00");
    CHECK_STR(after("$H30", "2026-11-21 07:00:00"), "2026-11-21 07:30:00");
    CHECK_STR(after("$W0D23", "2026-11-21 07:00:00"), "2026-11-22 23:00:00");
    CHECK_STR(after("$W6D16", "2026-11-21 16:00:00"), "2026-11-28 16:00:00");
    CHECK_STR(after("$M1D0", "2026-11-21 07:00:00"), "2026-12-01 00:00:00");
    CHECK_STR(after("$M31D5", "2026-11-01 00:00:00"), "2026-12-31 05:00:00");
    static const char *const bad[] = { "",     "D0",    "$",     "$X1",    "$D",   "$D24",
                                       "$D1x", "$W7D0", "$M0D0", "$M1D24", "$D0D1" };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_STR(after(bad[i], "2026-11-21 07:00:00"), "no date");
}
