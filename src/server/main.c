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
#include "base/mem.h"
#include "broker/access.h"
#include "broker/broker.h"
#include "broker/definitions.h"
#include "config/config.h"
#include "loop/conn.h"
#include "manage/manage.h"
#include "os/failpoint.h"
#include "os/log.h"
#include "os/os.h"
#include "proto/amqp091/amqp091.h"
#include "server/tls.h"

#define LISTENERS_MAX 16u

struct door {
    struct lv_listener *listener;
    bool is_tls;
};

struct server {
    const struct lv_settings *settings;
    struct lv_config *config;
    struct lv_config_sources sources;
    struct lv_broker *broker;
    struct lv_loops *loops;
    struct lv_tls *tls; /* NULL: no listener with TLS */
    struct lv_manage *manage;
    struct lv_tls *manage_tls; /* NULL: no HTTPS */
    struct lv_tls *metrics_tls;
    char metrics_tls_at[LV_ADDR_MAX]; /* "ADDR:PORT"; empty: none */
    struct door amqp[LISTENERS_MAX];
    unsigned amqp_count;
    uv_signal_t on_term, on_int, on_hup, on_usr1;
    enum lv_err (*broker_start)(struct lv_loop *loop);
    int exit_code;
};

static struct server server; /* the process's one; the main thread's, which runs loop 0 */

/* ---- log ---- */

/* The data directory, and the log's within it. */
static bool make_folders(char *wrong, size_t cap)
{
    const struct lv_settings *s = server.settings;
    bool has_dir = s->log_dir[0] != '\0';

    (void)snprintf(wrong, cap, "%s", s->data_dir);
    if (lv_os_mkdir(wrong) != LV_OK)
        return false;
    (void)snprintf(wrong, cap, "%s%s", has_dir ? s->log_dir : s->data_dir, has_dir ? "" : "/log");
    return strcmp(s->log_file, "false") == 0 || strchr(s->log_file, '/') != NULL ||
           lv_os_mkdir(wrong) == LV_OK;
}

/* False: `error` says what cannot be written to. */
static bool set_log(char *error, size_t cap)
{
    struct lv_log_config log;
    char folder[4096];

    if (!make_folders(folder, sizeof(folder))) {
        (void)snprintf(error, cap, "%.400s: %s", folder, strerror(errno));
        return false;
    }
    lv_config_log(server.settings, &log);
    return lv_log_configure(&log, error, cap) == LV_OK;
}

static unsigned log_notes(const struct lv_config *config)
{
    const struct lv_config_note *note;
    unsigned errors = 0;

    for (size_t i = 0; (note = lv_config_note(config, i)) != NULL; i++) {
        errors += note->is_error;
        if (note->is_error)
            lv_log(CONFIG_ERROR, lv_log_str(note->text));
        else
            lv_log(CONFIG_NOTE, lv_log_str(note->text));
    }
    return errors;
}

static void log_files(void)
{
    const char *file;

    if (lv_config_file(server.config, 0) == NULL)
        lv_log(CONFIG_NONE, lv_log_str(server.settings->data_dir),
               lv_log_str(server.settings->amqp_listen));
    for (size_t i = 0; (file = lv_config_file(server.config, i)) != NULL; i++)
        lv_log(CONFIG_FILE, lv_log_str(file));
}

/* ---- reload ---- */

struct reload {
    uint64_t changed, need_restart;
    const struct lv_reload_report *report; /* NULL: nobody asked to be told */
};

static void on_change(void *ctx, const struct lv_config_change *change)
{
    struct reload *r = ctx;

    r->changed++;
    r->need_restart += !change->is_live;
    lv_log(CONFIG_CHANGED, lv_log_str(change->key), lv_log_str(change->from),
           lv_log_str(change->to), lv_log_str(change->is_live ? "now" : "after a restart"));
    if (r->report != NULL)
        r->report->changed(r->report->ctx, change);
}

static void tell_wrong(const struct lv_reload_report *report, const struct lv_config *fresh)
{
    const struct lv_config_note *note;

    for (size_t i = 0; (note = lv_config_note(fresh, i)) != NULL; i++)
        if (note->is_error)
            report->wrong(report->ctx, note->text);
}

/* The log as the settings are now. */
static void renew_log(const struct lv_reload_report *report)
{
    char error[512];

    if (set_log(error, sizeof(error)))
        return;
    lv_log(CONFIG_ERROR, lv_log_str(error));
    if (report != NULL)
        report->wrong(report->ctx, error);
}

/* What is LIVE changes now; what is not is told each time until it is put back or the broker restarts. */
static bool reload(void *ctx, const struct lv_reload_report *report)
{
    struct reload r = { .report = report };
    struct lv_config *fresh;
    enum lv_err err = lv_config_reload(server.config, &server.sources, &fresh, on_change, &r);

    (void)ctx;
    unsigned errors = fresh != NULL ? log_notes(fresh) : 1;
    if (err != LV_OK && fresh != NULL && report != NULL)
        tell_wrong(report, fresh);
    lv_config_free(fresh);
    if (err != LV_OK) {
        lv_log(CONFIG_REFUSED, lv_log_u64(errors));
        return false;
    }
    lv_log_reopen();
    renew_log(report);
    lv_log(CONFIG_RELOADED, lv_log_u64(r.changed), lv_log_u64(r.need_restart));
    if (server.tls != NULL)
        lv_server_tls_reload(server.settings, LV_TLS_AMQP, server.tls);
    if (server.manage_tls != NULL)
        lv_server_tls_reload(server.settings, LV_TLS_MANAGEMENT, server.manage_tls);
    if (server.metrics_tls != NULL)
        lv_server_tls_reload(server.settings, LV_TLS_METRICS, server.metrics_tls);
    return true;
}

static enum lv_err set_key(void *ctx, const char *key, const char *value, char *why, size_t cap)
{
    enum lv_err err = lv_config_set(server.config, key, value, why, cap);

    (void)ctx;
    if (err != LV_OK)
        return err;
    lv_log(CONFIG_CHANGED, lv_log_str(key), lv_log_str(""), lv_log_str(value), lv_log_str("now"));
    if (strncmp(key, "log.", 4) == 0)
        renew_log(NULL);
    return LV_OK;
}

/* ---- signals: the first to end asks clients to go, the second ends at once ---- */

static void close_listeners(void)
{
    for (unsigned i = 0; i < server.amqp_count; i++)
        lv_listener_close(server.amqp[i].listener);
    server.amqp_count = 0;
}

static void stop(void *ctx)
{
    int number = *(const int *)ctx;

    lv_log(STOPPING, lv_log_u64((uint64_t)number), lv_log_u64(lv_broker_sessions(server.broker)));
    close_listeners();
    lv_broker_stop(server.broker, server.settings->stop_grace);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)handle;
    stop(&number);
}

static void on_hup(uv_signal_t *handle, int number)
{
    (void)number;
    lv_loop_enter(handle->data);
    (void)reload(NULL, NULL);
}

static void on_usr1(uv_signal_t *handle, int number)
{
    (void)handle, (void)number;
    lv_log_reopen();
}

static enum lv_err watch_signals(struct lv_loop *loop)
{
    const struct {
        uv_signal_t *handle;
        uv_signal_cb heard;
        int number;
    } watched[] = {
        { &server.on_term, on_signal, SIGTERM },
        { &server.on_int, on_signal, SIGINT },
        { &server.on_hup, on_hup, SIGHUP },
        { &server.on_usr1, on_usr1, SIGUSR1 },
    };

    for (size_t i = 0; i < LV_ARRAY_LEN(watched); i++) {
        if (uv_signal_init(lv_loop_uv(loop), watched[i].handle) != 0 ||
            uv_signal_start(watched[i].handle, watched[i].heard, watched[i].number) != 0)
            return LV_EIO;
        watched[i].handle->data = loop;
        uv_unref((uv_handle_t *)watched[i].handle);
    }
    return LV_OK;
}

/* ---- listening ---- */

static void accepted(struct lv_loop *loop, int fd, void *ctx)
{
    const struct door *door = ctx;

    (void)loop;
    lv_broker_place(server.broker, fd, door->is_tls ? lv_amqp_accept_tls : lv_amqp_accept);
}

/* tcp_listen_options. A linger that waits is the kernel's: no loop waits in a close. */
static void set_options(struct lv_listener *listener)
{
    const struct lv_settings *s = server.settings;

    lv_listener_set_options(listener,
                            &(struct lv_listen_options){
                                .backlog = (int)s->tcp_backlog,
                                .sndbuf = (int)s->tcp_sndbuf,
                                .recbuf = (int)s->tcp_recbuf,
                                .send_timeout_ms = (unsigned)s->tcp_send_timeout,
                                .waits_for_more = !s->tcp_nodelay,
                                .has_keepalive = s->tcp_keepalive,
                                .resets_at_close = s->tcp_linger_on && s->tcp_linger_s == 0,
                            });
}

/* "*:PORT" is every address of both families, or of IPv4 where there is no other. */
static enum lv_err listen_on(struct lv_loop *loop, const char *address, struct door *door)
{
    char one[LV_ADDR_MAX + 8];
    enum lv_err err;

    if (address[0] != '*')
        return lv_listen(loop, address, accepted, door, &door->listener);
    (void)snprintf(one, sizeof(one), "[::]%s", address + 1);
    err = lv_listen(loop, one, accepted, door, &door->listener);
    if (err != LV_EIO || (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL))
        return err;
    (void)snprintf(one, sizeof(one), "0.0.0.0%s", address + 1);
    return lv_listen(loop, one, accepted, door, &door->listener);
}

static enum lv_err listen_all(struct lv_loop *loop, const char *at, bool is_tls)
{
    char address[LV_ADDR_MAX];

    while (lv_listen_next(&at, address, sizeof(address))) {
        struct door *door = &server.amqp[server.amqp_count];
        enum lv_err err = LV_EFULL;
        if (server.amqp_count < LISTENERS_MAX) {
            door->is_tls = is_tls;
            err = listen_on(loop, address, door);
        }
        if (err != LV_OK) {
            fprintf(stderr, "leveretd: cannot listen on %s: %s\n", address,
                    err == LV_EINVAL  ? "not an address of the form ADDR:PORT or unix:/PATH"
                    : err == LV_EFULL ? "too many listeners"
                                      : strerror(errno));
            server.exit_code = err == LV_EIO ? EX_UNAVAILABLE : EX_USAGE;
            return err;
        }
        server.amqp_count++;
        set_options(door->listener);
        lv_listener_address(door->listener, address);
        if (is_tls)
            lv_log(LISTENING_TLS, lv_log_str("amqp/ssl"), lv_log_str(address));
        else
            lv_log(LISTENING, lv_log_str("amqp"), lv_log_str(address));
    }
    return LV_OK;
}

/* The addresses of the listeners of one kind as a JSON array. Appends to `text`, returns how much. */
static size_t put_addresses(char *text, size_t cap, bool is_tls)
{
    char address[LV_ADDR_MAX];
    const char *between = "";
    size_t used = (size_t)snprintf(text, cap, "[");

    for (unsigned i = 0; i < server.amqp_count; i++) {
        if (server.amqp[i].is_tls != is_tls)
            continue;
        lv_listener_address(server.amqp[i].listener, address);
        used += (size_t)snprintf(text + used, cap - used, "%s\"%s\"", between, address);
        between = ",";
    }
    return used + (size_t)snprintf(text + used, cap - used, "]");
}

static size_t put_doors(char *text, size_t cap, enum lv_door_kind kind)
{
    char address[LV_ADDR_MAX];
    size_t used = (size_t)snprintf(text, cap, ",\"%s\":[", lv_door_name(kind));

    for (unsigned i = 0; lv_manage_address(server.manage, kind, i, address); i++)
        used += (size_t)snprintf(text + used, cap - used, "%s\"%s\"", i != 0 ? "," : "", address);
    return used + (size_t)snprintf(text + used, cap - used, "]");
}

/* FILE, once everything answers: {"pid":N,"amqp":["ADDR:PORT",...],"amqps":[],"http":[],"https":[],"metrics":[],"metrics_tls":[],
 * "socket":["unix:/PATH"]} */
static enum lv_err write_ready_file(const char *path)
{
    char text[(LISTENERS_MAX + LV_MANAGE_DOORS_MAX) * (LV_ADDR_MAX + 3) + 128];
    size_t used = (size_t)snprintf(text, sizeof(text), "{\"pid\":%ld,\"amqp\":", (long)getpid());

    used += put_addresses(text + used, sizeof(text) - used, false);
    used += (size_t)snprintf(text + used, sizeof(text) - used, ",\"amqps\":");
    used += put_addresses(text + used, sizeof(text) - used, true);
    for (unsigned i = 0; i < LV_DOOR_KINDS; i++)
        used += put_doors(text + used, sizeof(text) - used, (enum lv_door_kind)i);
    used += (size_t)snprintf(text + used, sizeof(text) - used, "}\n");
    return lv_os_replace_file(path, lv_bytes(text, used));
}

static void say_ready(void)
{
    char address[LV_ADDR_MAX];

    for (unsigned i = 0; i < server.amqp_count; i++) {
        lv_listener_address(server.amqp[i].listener, address);
        printf("  %s %s\n", server.amqp[i].is_tls ? "amqps" : "amqp ", address);
    }
    for (unsigned i = 0; lv_manage_address(server.manage, LV_DOOR_HTTP, i, address); i++)
        printf("  http  %s\n", address);
    for (unsigned i = 0; lv_manage_address(server.manage, LV_DOOR_HTTPS, i, address); i++)
        printf("  https %s\n", address);
    for (unsigned i = 0; lv_manage_address(server.manage, LV_DOOR_METRICS, i, address); i++)
        printf("  metrics %s\n", address);
    printf("  data  %s\nServer startup complete; 0 plugins started.\n", server.settings->data_dir);
    fflush(stdout);
    lv_log(STARTED);
}

/* The HTTP API, which shows the listeners of all. */
static enum lv_err start_manage(void)
{
    char address[LV_ADDR_MAX], error[512];

    for (unsigned i = 0; i < server.amqp_count; i++) {
        lv_listener_address(server.amqp[i].listener, address);
        lv_manage_add_listener(server.manage, server.amqp[i].is_tls ? "amqp/ssl" : "amqp", address);
    }
    enum lv_err err = lv_manage_start(server.manage, error, sizeof(error));
    if (err == LV_OK)
        return LV_OK;
    fprintf(stderr, "leveretd: cannot listen for HTTP: %s\n", error);
    server.exit_code = err == LV_EINVAL ? EX_USAGE : EX_UNAVAILABLE;
    return err;
}

static enum lv_err serve(struct lv_loop *loop)
{
    const char *ready_file = server.settings->ready_file, *pid_file = server.settings->pid_file;
    char pid[32];
    enum lv_err err = watch_signals(loop);

    if (err == LV_OK)
        err = listen_all(loop, server.settings->amqp_listen, false);
    if (err == LV_OK)
        err = listen_all(loop, server.settings->amqps_listen, true);
    if (err == LV_OK)
        err = start_manage();
    if (err != LV_OK)
        return err;
    (void)snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (pid_file[0] != '\0' && lv_os_replace_file(pid_file, lv_bytes_str(pid)) != LV_OK) {
        fprintf(stderr, "leveretd: cannot write %s: %s\n", pid_file, strerror(errno));
        server.exit_code = EX_CANTCREAT;
        return LV_EIO;
    }
    if (ready_file[0] != '\0' && write_ready_file(ready_file) != LV_OK) {
        fprintf(stderr, "leveretd: cannot write %s: %s\n", ready_file, strerror(errno));
        server.exit_code = EX_CANTCREAT;
        return LV_EIO;
    }
    say_ready();
    return LV_OK;
}

/* Every loop starts its part of the broker; loop 0 then opens the door. */
static enum lv_err loop_start(struct lv_loop *loop)
{
    enum lv_err err = server.broker_start(loop);

    return err == LV_OK && lv_loop_index(loop) == 0 ? serve(loop) : err;
}

/* ---- boot ---- */

static int usage(void)
{
    static char help[16384];

    lv_settings_help(help, sizeof(help));
    printf("leveretd: a message broker that RabbitMQ clients use unchanged\n\n"
           "Usage: leveretd [--OPTION VALUE]...\n\n%s  %-32s check the configuration and end\n"
           "  %-32s print this\n  %-32s print the version\n\n"
           "Any key of the configuration file is an option too: --log.console.level info.\n"
           "All of them: leveret config list; one of them: leveret config explain KEY.\n",
           help, "--check", "--help", "--version");
    return EX_OK;
}

static int fail(const char *what, const char *why, int code)
{
    fprintf(stderr, "leveretd: %s: %s\n", what, why);
    return code;
}

/* What is in the data directory, or why it cannot be had. */
static int recover(void)
{
    const char *dir = server.settings->data_dir;
    enum lv_err err = lv_broker_recover(server.broker);
    int code = err == LV_EIO ? EX_IOERR : err == LV_ENOMEM ? EX_OSERR : EX_DATAERR;

    if (err == LV_OK)
        return EX_OK;
    if (err == LV_EINUSE)
        return fail(dir, "another process is using this data directory", EX_TEMPFAIL);
    if (err == LV_ENOSPC)
        return fail(dir, lv_err_text(err), EX_CANTCREAT);
    return fail(dir, err == LV_EIO || err == LV_ENOMEM ? strerror(errno) : lv_err_text(err), code);
}

/* prometheus.ssl.port and .ip. False: the metrics have no TLS. */
static bool find_metrics_tls(void)
{
    const char *items = server.settings->prometheus_tls;
    struct lv_bytes port, ip = LV_BYTES_LIT("*");

    if (!lv_items_get(items, "port", &port))
        return false;
    (void)lv_items_get(items, "ip", &ip);
    (void)snprintf(server.metrics_tls_at, sizeof(server.metrics_tls_at), "%.*s:%.*s",
                   LV_BYTES_FMT(ip), LV_BYTES_FMT(port));
    return true;
}

/* EX_OK, or what the process ends with. */
static int open_tls(void)
{
    const struct lv_settings *s = server.settings;
    char error[LV_TLS_ERROR_MAX];
    enum lv_err err = LV_OK;

    if (strcmp(s->amqps_listen, "none") != 0)
        err = lv_server_tls_open(s, LV_TLS_AMQP, lv_loops_count(server.loops), &server.tls, error);
    if (err == LV_OK && s->management_tls_port != 0)
        err = lv_server_tls_open(s, LV_TLS_MANAGEMENT, 1, &server.manage_tls, error);
    if (err == LV_OK && find_metrics_tls())
        err = lv_server_tls_open(s, LV_TLS_METRICS, 1, &server.metrics_tls, error);
    if (err != LV_OK) {
        fprintf(stderr, "leveretd: %s\n", error);
        return EX_CONFIG;
    }
    if (server.tls != NULL)
        lv_amqp_set_tls(server.tls);
    return EX_OK;
}

static int make_manage(void)
{
    static int no_signal;
    struct lv_manage_config config = {
        .broker = server.broker,
        .config = server.config,
        .tls = server.manage_tls,
        .metrics_tls = server.metrics_tls,
        .metrics_tls_at = server.metrics_tls_at,
        .hooks = { .reload = reload, .set = set_key, .stop = stop, .ctx = &no_signal },
    };

    if (lv_manage_new(&config, &server.manage) == LV_OK)
        return EX_OK;
    return fail("start", strerror(errno), EX_OSERR);
}

/* The definitions that load_definitions names, checked; *out NULL: none. */
static int open_definitions(struct lv_definitions **out)
{
    char why[LV_DEFINITIONS_WHY_MAX];
    enum lv_err err = lv_definitions_open(server.settings, out, why, sizeof(why));

    if (err == LV_OK)
        return EX_OK;
    return fail("load_definitions", why[0] != '\0' ? why : lv_err_text(err),
                err == LV_ENOMEM ? EX_OSERR : EX_CONFIG);
}

/* Who may log in, and what there is. */
static int begin(void)
{
    enum lv_err err = lv_broker_begin(server.broker);
    const char *why = lv_broker_definitions_why(server.broker);

    if (err != LV_OK && why[0] != '\0')
        return fail("load_definitions", why, err == LV_EINVAL ? EX_CONFIG : EX_OSERR);
    if (err == LV_EINVAL)
        return fail("start",
                    "the first user or virtual host cannot be as default_user, default_pass, "
                    "default_vhost, default_permissions, default_users and "
                    "credential_validator say",
                    EX_CONFIG);
    return err == LV_OK ? EX_OK : fail("start", lv_err_text(err), EX_OSERR);
}

static int boot(void)
{
    struct lv_loops_config config = { .count = server.settings->loops };
    char error[512];
    uint64_t seed;

    if (!set_log(error, sizeof(error)))
        return fail("start", error, EX_CANTCREAT);
    if (lv_os_random(&seed, sizeof(seed)) != LV_OK)
        return fail("no randomness", strerror(errno), EX_OSERR);
    lv_hash_seed(seed);
    if (lv_broker_new(server.settings, &server.broker) != LV_OK)
        return fail("start", "out of memory", EX_OSERR);
    lv_broker_hook(server.broker, &config);
    server.broker_start = config.start;
    config.start = loop_start;
    if (lv_loops_new(&config, &server.loops) != LV_OK ||
        lv_broker_set_loops(server.broker, server.loops) != LV_OK)
        return fail("start", strerror(errno), EX_OSERR);
    struct lv_definitions *definitions = NULL;
    int code = open_tls();
    if (code == EX_OK)
        code = open_definitions(&definitions);
    lv_broker_use_definitions(server.broker, definitions);
    if (code == EX_OK)
        code = recover();
    if (code == EX_OK)
        code = begin();
    if (code == EX_OK)
        code = make_manage();
    if (code != EX_OK)
        return code;
    lv_log(STARTING, lv_log_str(LV_VERSION), lv_log_u64((uint64_t)getpid()),
           lv_log_u64(lv_loops_count(server.loops)));
    log_files();
    (void)log_notes(server.config);
    if (lv_loops_run(server.loops) != LV_OK && server.exit_code == EX_OK)
        server.exit_code = fail("loops", strerror(errno), EX_OSERR);
    lv_manage_stop(server.manage);
    lv_broker_free(server.broker);
    lv_manage_free(server.manage);
    lv_log(STOPPED);
    lv_loops_free(server.loops);
    lv_tls_free(server.tls);
    lv_tls_free(server.manage_tls);
    lv_tls_free(server.metrics_tls);
    return server.exit_code;
}

/* Prints what there is to say about the configuration; the exit code that it calls for. */
static int tell_notes(bool errors_only)
{
    const struct lv_config_note *note;
    int code = EX_OK;

    for (size_t i = 0; (note = lv_config_note(server.config, i)) != NULL; i++) {
        if (note->is_error && code != EX_USAGE)
            code = note->is_usage ? EX_USAGE : EX_CONFIG;
        if (note->is_error || !errors_only)
            fprintf(stderr, "leveretd: %s%s\n", note->is_error ? "" : "notice: ", note->text);
    }
    if (code == EX_USAGE)
        fprintf(stderr, "leveretd: see leveretd --help\n");
    return code;
}

static int check(void)
{
    struct lv_definitions *definitions = NULL;
    size_t files = 0;
    int code = tell_notes(false);

    if (code == EX_OK)
        code = open_definitions(&definitions);
    if (code != EX_OK)
        return code;
    for (const char *file; (file = lv_config_file(server.config, files)) != NULL; files++)
        printf("%s\n", file);
    if (definitions != NULL)
        printf("%s: definitions of %zu items\n", server.settings->load_definitions,
               lv_definitions_count(definitions));
    lv_definitions_free(definitions);
    printf("configuration is good (%zu file%s read)\n", files, files == 1 ? "" : "s");
    return EX_OK;
}

static int print_failpoints(void)
{
#define X(name, text) puts(name);
    LV_FAILPOINTS(X)
#undef X
    return EX_OK;
}

int main(int argc, char **argv)
{
    bool is_check = false;
    int kept = 1;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return usage();
        if (strcmp(argv[i], "--version") == 0) {
            printf("leveretd %s\n", LV_VERSION);
            return EX_OK;
        }
        if (strcmp(argv[i], "--failpoints") == 0)
            return print_failpoints();
        if (strcmp(argv[i], "--check") == 0)
            is_check = true;
        else
            argv[kept++] = argv[i];
    }
    lv_mem_tune();
    signal(SIGPIPE, SIG_IGN);
    if (!lv_failpoint_init())
        return fail("LEVERET_FAILPOINT", "no such place; see --failpoints", EX_USAGE);
    server.sources = (struct lv_config_sources){ kept, argv, environ, lv_config_etc };
    enum lv_err err = lv_config_load(&server.sources, &server.config);
    if (err == LV_ENOMEM)
        return fail("start", "out of memory", EX_OSERR);
    server.settings = lv_config_settings(server.config);
    int code = is_check ? check() : err != LV_OK ? tell_notes(true) : boot();
    lv_config_free(server.config);
    return code;
}
