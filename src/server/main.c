/* leveretd: boot order, signals, the ready file. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include <uv.h>

#include "base/hash.h"
#include "broker/broker.h"
#include "config/config.h"
#include "loop/conn.h"
#include "os/log.h"
#include "os/os.h"
#include "proto/amqp091/amqp091.h"
#include "security/security.h"

struct server {
    struct lv_settings settings;
    struct lv_users users;
    struct lv_broker *broker;
    struct lv_loops *loops;
    struct lv_listener *amqp;
    uv_signal_t on_term, on_int, on_hup;
    enum lv_err (*broker_start)(struct lv_loop *loop);
    int exit_code;
};

static struct server server; /* the process's one; the main thread's, which runs loop 0 */

/* ---- signals: the first asks clients to go, the second ends at once ---- */

static void on_signal(uv_signal_t *handle, int number)
{
    (void)handle;
    lv_log(STOPPING, lv_log_u64((uint64_t)number), lv_log_u64(lv_broker_sessions(server.broker)));
    if (server.amqp != NULL)
        lv_listener_close(server.amqp);
    server.amqp = NULL;
    lv_broker_stop(server.broker, server.settings.stop_grace);
}

static enum lv_err watch_signals(struct lv_loop *loop)
{
    struct uv_loop_s *uv = lv_loop_uv(loop);

    if (uv_signal_init(uv, &server.on_term) != 0 || uv_signal_init(uv, &server.on_int) != 0 ||
        uv_signal_start(&server.on_term, on_signal, SIGTERM) != 0 ||
        uv_signal_start(&server.on_int, on_signal, SIGINT) != 0)
        return LV_EIO;
    uv_unref((uv_handle_t *)&server.on_term);
    uv_unref((uv_handle_t *)&server.on_int);
    return LV_OK;
}

/* ---- listening ---- */

static void accepted(struct lv_loop *loop, int fd, void *ctx)
{
    (void)loop, (void)ctx;
    lv_broker_place(server.broker, fd, lv_amqp_accept);
}

/* FILE, once everything answers: {"pid":N,"amqp":["ADDR:PORT"],"http":[]} */
static enum lv_err write_ready_file(const char *path, const char *amqp)
{
    char text[256];
    int n = snprintf(text, sizeof(text), "{\"pid\":%ld,\"amqp\":[\"%s\"],\"http\":[]}\n",
                     (long)getpid(), amqp);

    return lv_os_replace_file(path, lv_bytes(text, (size_t)n));
}

static void say_ready(const char *amqp)
{
    printf("  amqp  %s\n", amqp);
    if (strcmp(server.settings.http_listen, "none") != 0)
        printf("  http  not served by this version\n");
    printf("  data  %s\nServer startup complete; 0 plugins started.\n", server.settings.data_dir);
    fflush(stdout);
}

static enum lv_err serve(struct lv_loop *loop)
{
    const struct lv_settings *settings = &server.settings;
    char address[LV_ADDR_MAX];
    enum lv_err err = watch_signals(loop);

    if (err != LV_OK)
        return err;
    err = lv_listen(loop, settings->amqp_listen, accepted, NULL, &server.amqp);
    if (err != LV_OK) {
        fprintf(stderr, "leveretd: cannot listen on %s: %s\n", settings->amqp_listen,
                err == LV_EINVAL ? "not an address of the form ADDR:PORT" : strerror(errno));
        server.exit_code = err == LV_EINVAL ? EX_USAGE : EX_UNAVAILABLE;
        return err;
    }
    lv_listener_address(server.amqp, address);
    if (settings->ready_file[0] != '\0' && write_ready_file(settings->ready_file, address) != LV_OK) {
        fprintf(stderr, "leveretd: cannot write %s: %s\n", settings->ready_file, strerror(errno));
        server.exit_code = EX_CANTCREAT;
        return LV_EIO;
    }
    lv_log(LISTENING, lv_log_str("amqp"), lv_log_str(address));
    say_ready(address);
    return LV_OK;
}

/* Every loop starts its part of the broker; loop 0 then opens the door. */
static enum lv_err loop_start(struct lv_loop *loop)
{
    enum lv_err err = server.broker_start(loop);

    return err == LV_OK && lv_loop_index(loop) == 0 ? serve(loop) : err;
}

/* ---- boot ---- */

static int usage(FILE *out)
{
    char help[4096];

    lv_settings_help(help, sizeof(help));
    fprintf(
        out,
        "leveretd: a message broker that RabbitMQ clients use unchanged\n\n"
        "Usage: leveretd [--OPTION VALUE]...\n\n%s  %-32s print this\n  %-32s print the version\n",
        help, "--help", "--version");
    return out == stdout ? EX_OK : EX_USAGE;
}

static int fail(const char *what, const char *why, int code)
{
    fprintf(stderr, "leveretd: %s: %s\n", what, why);
    return code;
}

static int boot(void)
{
    struct lv_loops_config config = { .count = server.settings.loops };
    enum lv_log_level level;
    uint64_t seed;

    if (!lv_log_level_parse(server.settings.log_level, &level))
        return fail("--log-level", "debug, info, notice, warning or error", EX_USAGE);
    lv_log_set_level(level);
    if (lv_os_mkdir(server.settings.data_dir) != LV_OK)
        return fail(server.settings.data_dir, strerror(errno), EX_CANTCREAT);
    if (lv_os_random(&seed, sizeof(seed)) != LV_OK ||
        lv_users_init(&server.users, &server.settings) != LV_OK)
        return fail("no randomness", strerror(errno), EX_OSERR);
    lv_hash_seed(seed);
    lv_amqp_init(&server.users);
    if (lv_broker_new(&server.settings, &server.broker) != LV_OK)
        return fail("start", "out of memory", EX_OSERR);
    lv_broker_hook(server.broker, &config);
    server.broker_start = config.start;
    config.start = loop_start;
    if (lv_loops_new(&config, &server.loops) != LV_OK ||
        lv_broker_set_loops(server.broker, server.loops) != LV_OK)
        return fail("start", strerror(errno), EX_OSERR);
    lv_log(STARTING, lv_log_str(LV_VERSION), lv_log_u64((uint64_t)getpid()),
           lv_log_u64(lv_loops_count(server.loops)));
    if (lv_loops_run(server.loops) != LV_OK && server.exit_code == EX_OK)
        server.exit_code = fail("loops", strerror(errno), EX_OSERR);
    lv_broker_free(server.broker);
    lv_log(STOPPED);
    lv_loops_free(server.loops);
    return server.exit_code;
}

int main(int argc, char **argv)
{
    char error[256];

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return usage(stdout);
        if (strcmp(argv[i], "--version") == 0) {
            printf("leveretd %s\n", LV_VERSION);
            return EX_OK;
        }
    }
    signal(SIGPIPE, SIG_IGN);
    lv_settings_init(&server.settings);
    if (lv_settings_parse(&server.settings, argc, argv, error, sizeof(error)) != LV_OK) {
        fprintf(stderr, "leveretd: %s\n", error);
        return usage(stderr);
    }
    return boot();
}
